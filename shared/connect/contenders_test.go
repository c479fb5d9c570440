package connect_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rolecall/shared/connect"
)

// A field is an enrolment whose reports compete, with a queue that delivers in time.
type field struct {
	*organization
	callbacks connect.Callbacks
	tries     connect.Verifications
	account   *willing
	now       time.Time
	out       *outbox
	done      int // jobs that were tried
	due       []time.Time
}

func newField(t testing.TB) *field {
	t.Helper()
	o, callbacks := newOrganization(t)
	f := &field{organization: o, callbacks: callbacks, account: newWilling(), now: noon, out: &outbox{}}
	f.account.trust, f.account.trustE = platform().TrustPolicy(o.enrolment().ExternalID(customerAccount)), nil
	f.callbacks.Jobs, f.callbacks.Clock = f.out, func() time.Time { return f.now }
	f.tries = o.tries(f.account, f.out, &f.now)
	return f
}

// comes is a report of a stack at the field's time; made up, its role cannot be assumed.
func (f *field) comes(t testing.TB, kind connect.RequestType, number int, madeUp bool) *connect.Reply {
	t.Helper()
	r := f.report(t, kind, customerAccount, number, fmt.Sprint("r", number, kind))
	r.Callback.SentAt = f.now
	if madeUp {
		f.account.refused[r.RoleARN] = true
	}
	reply, err := f.callbacks.Receive(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// tryNext makes the try that is due first, when it is due.
func (f *field) tryNext(t testing.TB) bool {
	t.Helper()
	for len(f.due) < len(f.out.jobs) {
		f.due = append(f.due, f.now.Add(f.out.delays[len(f.due)]))
	}
	next := -1
	for i, at := range f.due {
		if !at.IsZero() && (next < 0 || at.Before(f.due[next])) {
			next = i
		}
	}
	if next < 0 {
		return false
	}
	f.now = later(f.now, f.due[next])
	f.due[next] = time.Time{}
	f.done++
	if err := f.tries.Try(context.Background(), f.out.jobs[next]); err != nil {
		t.Fatal(err)
	}
	return true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (f *field) settle(t testing.TB) {
	t.Helper()
	for f.tryNext(t) {
		if f.done > 10_000 {
			t.Fatal("tries without an end")
		}
	}
}

func codes(answers []connect.Reply) (out []connect.Code) {
	for _, a := range answers {
		if a.OK {
			out = append(out, "OK")
			continue
		}
		out = append(out, a.Reason.Code)
	}
	return out
}

// A report that somebody made up, and that came first, is on trial. The account's own stack is neither refused nor kept
// waiting: its role is proven, and with that the connection is its own.
func TestTheStackThatIsThereWins(t *testing.T) {
	f := newField(t)
	for n := 7; n < 10; n++ {
		f.comes(t, connect.RequestCreate, n, true)
	}
	f.tryNext(t) // the first one's: denied for now
	if reply := f.comes(t, connect.RequestCreate, 1, false); reply != nil {
		t.Fatalf("the account's own stack is told %+v", reply)
	}
	began := f.now
	for f.one(t).Status() != connect.StatusEnabled && f.tryNext(t) {
	}
	s := f.one(t).Snapshot()
	if s.Status != connect.StatusEnabled || s.RoleARN.String() != "arn:aws:iam::222222222222:role/Member1" || s.Stack.ID.String()[len(s.Stack.ID.String())-8:] != "00000001" {
		t.Fatalf("%s, %s, %s", s.Status, s.RoleARN, s.Stack.ID)
	}
	if waited := f.now.Sub(began); waited > 0 {
		t.Errorf("after %s", waited)
	}
	f.settle(t)
	if got := codes(f.out.answers); slices.Index(got, "OK") != 0 || f.one(t).Status() != connect.StatusEnabled || f.of(customerAccount).State != connect.MemberEnabled {
		t.Errorf("%v, then %s", got, f.one(t).Status())
	}
}

// An enrolment in which made-up accounts have used up all room connects an account that is there, in one change with all
// its events; of one that is made up nothing is kept.
func TestNoRoomIsNeededByWhoIsProven(t *testing.T) {
	f := newField(t)
	f.isFull()
	f.comes(t, connect.RequestCreate, 9, true)
	f.settle(t)
	if len(f.All()) != 0 || f.of(customerAccount) != (connect.Member{}) || !slices.Equal(codes(f.out.answers), []connect.Code{connect.CodeRoleNotAssumable}) {
		t.Fatalf("%d connections, %v, %v", len(f.All()), f.of(customerAccount), codes(f.out.answers))
	}
	f.Put(other(t, "Member "+customerAccount))
	f.comes(t, connect.RequestCreate, 1, false)
	f.tryNext(t)
	s := f.one(t).Snapshot()
	if s.Status != connect.StatusEnabled || s.Name != "Member "+customerAccount+" 2" || s.Version != 3 || f.of(customerAccount).State != connect.MemberEnabled {
		t.Errorf("%+v", s)
	}
	var kinds []connect.EventType
	for i, e := range f.events() {
		kinds = append(kinds, e.Type)
		if e.Sequence != int64(i+1) {
			t.Errorf("event %d has sequence %d", i, e.Sequence)
		}
	}
	if !slices.Equal(kinds, []connect.EventType{connect.EventCreated, connect.EventRoleReported, connect.EventEnabled}) {
		t.Errorf("%v", kinds)
	}
	// An account that is connected already is linked, room or not.
	g := newField(t)
	g.isFull()
	known := in(t, connect.StatusEnabled)
	g.Put(known)
	if reply := g.comes(t, connect.RequestCreate, 1, false); reply == nil || !reply.OK || g.of(customerAccount).State != connect.MemberLinked {
		t.Errorf("%+v, %+v", reply, g.of(customerAccount))
	}
}

// What becomes of a contender besides winning.
func TestHowContendersEnd(t *testing.T) {
	for name, one := range map[string]struct {
		meanwhile func(*testing.T, *field)
		code      connect.Code
		status    connect.Status
		linked    bool
	}{
		"its role is refused": {meanwhile: func(_ *testing.T, f *field) {
			f.account.refused["arn:aws:iam::222222222222:role/Member1"] = true
		}, code: connect.CodeRoleNotAssumable, status: connect.StatusFailed},
		"its account belongs elsewhere": {meanwhile: func(_ *testing.T, f *field) {
			f.tries.Verifier.Organizations = directory{id: "o-zzzzzzzzzz"}
		}, code: connect.CodeOrganizationMismatch, status: connect.StatusFailed},
		"its stack is gone": {meanwhile: func(t *testing.T, f *field) {
			f.now = f.now.Add(time.Second)
			if reply := f.comes(t, connect.RequestDelete, 1, false); reply == nil || !reply.OK {
				t.Errorf("its Delete was told %+v", reply)
			}
		}, code: connect.CodeStackDeleted, status: connect.StatusFailed},
		"the enrolment is revoked": {meanwhile: func(t *testing.T, f *field) {
			f.revoke(t)
		}, code: connect.CodeEnrolmentRevoked, status: connect.StatusFailed},
		"the connection is deleted": {meanwhile: func(t *testing.T, f *field) {
			if err := f.Commit(context.Background(), must[connect.Change](t)(f.one(t).Delete(f.now, "ada"))); err != nil {
				t.Fatal(err)
			}
		}, code: connect.CodeNotFound, status: connect.StatusDeleted},
		"another one is proven": {meanwhile: func(t *testing.T, f *field) {
			f.account.refused["arn:aws:iam::222222222222:role/Member9"] = false
			f.tried(t, goodMember())
		}, code: connect.CodeAccountConnected, status: connect.StatusEnabled},
		"another enrolment serves the account": {meanwhile: func(t *testing.T, f *field) {
			two, others := enrolled(t, f.organization)
			others.Jobs = f.out
			receive(t, others, two.report(t, connect.RequestCreate, customerAccount, 5, "r5"))
			v, _ := two.Get(two.of(customerAccount).Own).Trial()
			ch, err := two.Get(two.of(customerAccount).Own).Tried(v.Run, v.Attempt, goodMember(), 0, noon)
			if err = two.Commit(context.Background(), must[connect.Change](t)(ch, err)); err != nil {
				t.Fatal(err)
			}
		}, code: "OK", status: connect.StatusDisconnected, linked: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newField(t)
			f.comes(t, connect.RequestCreate, 9, true)
			f.tryNext(t)
			f.comes(t, connect.RequestCreate, 1, false)
			one.meanwhile(t, f)
			f.settle(t)
			if got := codes(f.out.answers); !slices.Contains(got, one.code) {
				t.Errorf("told %v, want %s among them", got, one.code)
			}
			m := f.of(customerAccount)
			if got := f.Get(m.Own).Status(); got != one.status || (m.State == connect.MemberLinked) != one.linked {
				t.Errorf("%s, %+v", got, m)
			}
		})
	}
}

// Too many contenders wait in the queue of reports: they are not refused.
func TestTooManyContendersComeAgain(t *testing.T) {
	f := newField(t)
	f.callbacks.Members.Limit = &connect.Ration{Store: f, Clock: func() time.Time { return f.now }, Of: connect.RationedContenders, PerMinute: 10}
	f.comes(t, connect.RequestCreate, 9, true)
	var refused int
	for n := range 15 {
		r := f.report(t, connect.RequestCreate, customerAccount, 10+n, fmt.Sprint("c", n))
		reply, err := f.callbacks.Receive(context.Background(), r)
		if reply != nil {
			t.Fatalf("told %+v", reply)
		}
		if err != nil {
			refused++
		}
	}
	if refused != 5 {
		t.Errorf("%d are to come again", refused)
	}
}

// However many reports are made up, and whenever they come: a stack that is there, and whose role is as it should be, is told
// that all is well, and its role is the one that serves.
func TestMadeUpReportsStandInNobodysWay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := newField(t)
		if rapid.Bool().Draw(rt, "full") {
			f.isFull()
		}
		madeUp := func(kinds ...connect.RequestType) {
			f.comes(t, rapid.SampledFrom(kinds).Draw(rt, "type"), rapid.IntRange(10, 14).Draw(rt, "made up"), true)
		}
		step := func() {
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0, 1:
				madeUp(connect.RequestCreate, connect.RequestUpdate, connect.RequestDelete)
			case 2:
				f.tryNext(t)
			default:
				f.now = f.now.Add(time.Duration(rapid.IntRange(1, 60).Draw(rt, "seconds")) * time.Second)
			}
		}
		for range rapid.IntRange(0, 8).Draw(rt, "before") {
			step()
		}
		began := f.now
		if reply := f.comes(t, connect.RequestCreate, 1, false); reply != nil {
			rt.Fatalf("told %+v", reply)
		}
		for range rapid.IntRange(0, 4).Draw(rt, "after") {
			madeUp(connect.RequestCreate, connect.RequestUpdate, connect.RequestDelete)
		}
		for !slices.Contains(codes(f.out.answers), "OK") && f.tryNext(t) {
		}
		if waited := f.now.Sub(began); waited > time.Second {
			rt.Fatalf("answered after %s", waited)
		}
		f.settle(t)
		m := f.of(customerAccount)
		if c := f.Get(m.Own).Snapshot(); c.Status != connect.StatusEnabled || c.RoleARN.String() != "arn:aws:iam::222222222222:role/Member1" {
			rt.Fatalf("%s with %s", c.Status, c.RoleARN)
		}
	})
}

// An answer that does not arrive is given again, and nothing is tried for it again.
func TestAContendersAnswerIsGivenAgain(t *testing.T) {
	f := newField(t)
	f.comes(t, connect.RequestCreate, 9, true)
	f.comes(t, connect.RequestCreate, 1, false)
	job := f.out.jobs[1]
	f.out.fail = errors.New("503")
	if err := f.tries.Try(context.Background(), job); err != nil {
		t.Fatal(err)
	}
	asked, again := len(f.account.asked), f.out.jobs[len(f.out.jobs)-1]
	f.out.fail = nil
	if err := f.tries.Try(context.Background(), again); err != nil {
		t.Fatal(err)
	}
	if got := codes(f.out.answers); !slices.Equal(got, []connect.Code{"OK"}) || len(f.account.asked) != asked {
		t.Errorf("told %v, asked %d times, then %d", got, asked, len(f.account.asked))
	}
}
