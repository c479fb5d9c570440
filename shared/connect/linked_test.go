package connect_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rolecall/shared/connect"
)

// willing is an account of the organization, all of whose roles are as they should be, unless one is said to be refused.
type willing struct {
	account
	refused map[string]bool
}

func newWilling() *willing {
	w := &willing{refused: map[string]bool{}}
	w.trustE = errDenied
	w.assume = func(r connect.AssumeRequest) error {
		if len(r.ExternalID) > len("rce-") && r.ExternalID.Wrong() != r.ExternalID && !w.refused[r.RoleARN.String()] && isMember(r.ExternalID) {
			return nil
		}
		return errDenied
	}
	return w
}

// isMember tells a member's external ID, which ends in its account, from one with its last character changed.
func isMember(id connect.ExternalID) bool { return string(id[len(id)-12:]) == customerAccount }

// tries verifies what is on trial, at a time that the test sets.
func (o *organization) tries(w *willing, out *outbox, now *time.Time) connect.Verifications {
	clock := func() time.Time { return *now }
	return connect.Verifications{
		Store: o, Jobs: out, Sweeps: out, Answerer: out, Clock: clock, Jitter: func() float64 { return 0 },
		Contests: connect.Contests{Store: o, Random: rand.NewChaCha8([32]byte{77})},
		Verifier: connect.Verifier{
			Platform: platform(), Assumer: w, Inspector: w, Clock: clock, Organizations: directory{id: "o-a1b2c3d4e5"},
		},
	}
}

// Two enrolments of one tenant put the same account on trial at the same time. The one that is proven first serves it; the
// other is linked, its stack is answered with success, and it takes over once the first one is gone.
func TestTheEnrolmentThatComesTooLateIsLinked(t *testing.T) {
	one, callbacks := newOrganization(t)
	two, others := enrolled(t, one)
	receive(t, callbacks, one.report(t, connect.RequestCreate, customerAccount, 1, "r1"))
	receive(t, others, two.report(t, connect.RequestCreate, customerAccount, 2, "r2"))
	out, now := &outbox{}, noon
	u := one.tries(newWilling(), out, &now)
	now = noon.Add(2 * time.Minute)
	for _, job := range append(slices.Clone(one.jobs), two.jobs...) {
		job.ReplyTo.Until = now.Add(time.Minute)
		if err := u.Try(context.Background(), job); err != nil {
			t.Fatal(err)
		}
	}
	first, second := one.of(customerAccount), two.of(customerAccount)
	if first.State != connect.MemberEnabled || second.State != connect.MemberLinked || second.ConnectionID != first.Own || second.Own == first.Own {
		t.Fatalf("%+v\n%+v", first, second)
	}
	if len(out.answers) != 2 || !out.answers[0].OK || !out.answers[1].OK {
		t.Errorf("the stacks were told %+v", out.answers)
	}
	loser := one.Get(second.Own).Snapshot()
	if loser.Status != connect.StatusDisconnected || loser.StatusReason.Code != connect.CodeAccountConnected || loser.Offboarding != nil {
		t.Errorf("%+v", loser)
	}
	// Its stack may report as often as it likes.
	for i, kind := range []connect.RequestType{connect.RequestUpdate, connect.RequestUpdate} {
		r := two.report(t, kind, customerAccount, 2, fmt.Sprint("again", i))
		r.Callback.SentAt = noon.Add(time.Duration(i+1) * time.Second)
		if reply := receive(t, others, r); reply == nil || !reply.OK {
			t.Errorf("%+v", reply)
		}
	}
	if two.of(customerAccount).State != connect.MemberLinked {
		t.Errorf("%+v", two.of(customerAccount))
	}
	// The first one goes; the next report of the second one's stack connects, by the connection that it had.
	gone := one.report(t, connect.RequestDelete, customerAccount, 1, "r9")
	receive(t, callbacks, gone)
	again := two.report(t, connect.RequestUpdate, customerAccount, 2, "r10")
	again.Callback.SentAt = noon.Add(time.Hour)
	two.jobs = nil
	receive(t, others, again)
	if err := u.Try(context.Background(), two.jobs[0]); err != nil {
		t.Fatal(err)
	}
	if m := two.of(customerAccount); m.State != connect.MemberEnabled || m.ConnectionID != second.Own || len(one.All()) != 2 {
		t.Errorf("%+v, %d connections", m, len(one.All()))
	}
}

// A link that ends with its stack is told to the connection that it led to, and leaves the account free to come back.
func TestALinkEndsWithItsStack(t *testing.T) {
	one, callbacks := newOrganization(t)
	two, others := enrolled(t, one)
	out, now := &outbox{}, noon
	u := one.tries(newWilling(), out, &now)
	receive(t, others, two.report(t, connect.RequestCreate, customerAccount, 2, "r2"))
	receive(t, callbacks, one.report(t, connect.RequestCreate, customerAccount, 1, "r1"))
	now = noon.Add(2 * time.Minute)
	for _, job := range append(slices.Clone(one.jobs), two.jobs...) {
		if err := u.Try(context.Background(), job); err != nil {
			t.Fatal(err)
		}
	}
	before := len(two.events())
	receive(t, others, two.report(t, connect.RequestDelete, customerAccount, 2, "r3"))
	m := two.of(customerAccount)
	if m.State != connect.MemberDisconnected || one.Get(m.Own).Snapshot().LinkedTo != "" {
		t.Errorf("%+v", m)
	}
	if told := two.events()[before:]; len(told) != 2 || told[1].Type != connect.EventUnlinked || told[1].ConnectionID != one.of(customerAccount).Own {
		t.Errorf("%+v", told)
	}
	if one.of(customerAccount).State != connect.MemberEnabled {
		t.Errorf("the other one is %s", one.of(customerAccount).State)
	}
}

// An account that failed, and that somebody has connected by hand since, is linked when its stack comes again.
func TestAFailedAccountThatIsConnectedByNowIsLinked(t *testing.T) {
	o, u := newOrganization(t)
	receive(t, u, o.report(t, connect.RequestCreate, customerAccount, 1, "r1"))
	o.tried(t, with(goodMember(), connect.CheckOrganization, connect.Failed, connect.CodeOrganizationMismatch))
	receive(t, u, o.report(t, connect.RequestDelete, customerAccount, 1, "r2"))
	known := in(t, connect.StatusEnabled)
	o.Put(known)
	if reply := receive(t, u, o.report(t, connect.RequestCreate, customerAccount, 2, "r3")); reply == nil || !reply.OK {
		t.Fatalf("%+v", reply)
	}
	if m := o.of(customerAccount); m.State != connect.MemberLinked || m.ConnectionID != known.ID() {
		t.Errorf("%+v", m)
	}
}

// Whatever the stacks of three enrolments report of one account, in whatever order and however often, and whatever becomes of
// their trials, roles and connections: one of the tenant's enrolments serves the account at most, and a link leads elsewhere.
func TestOneEnrolmentServesAnAccount(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		first, callbacks := newOrganization(t)
		all, cbs := []*organization{first}, []connect.Callbacks{callbacks}
		for range 2 {
			o, u := enrolled(t, first)
			all, cbs = append(all, o), append(cbs, u)
		}
		now, out, w := noon, &outbox{}, newWilling()
		for i := range cbs {
			cbs[i].Clock, cbs[i].Jobs = func() time.Time { return now }, out
		}
		u := first.tries(w, out, &now)
		n := 0
		own := func(rt *rapid.T) (connect.Connection, bool) {
			i := rapid.IntRange(0, len(all)-1).Draw(rt, "whose")
			c := first.Get(all[i].of(customerAccount).Own)
			return c, c.ID() != ""
		}
		rt.Repeat(map[string]func(*rapid.T){
			"a stack reports": func(rt *rapid.T) {
				i, n1 := rapid.IntRange(0, len(all)-1).Draw(rt, "enrolment"), rapid.IntRange(1, 2).Draw(rt, "stack")
				kind := rapid.SampledFrom([]connect.RequestType{connect.RequestCreate, connect.RequestUpdate, connect.RequestDelete}).Draw(rt, "type")
				n++
				r := all[i].report(t, kind, customerAccount, 10*i+n1, fmt.Sprint("req", n))
				r.RoleARN, r.Callback.SentAt = fmt.Sprintf("%s%d", r.RoleARN, i), now
				reply, err := cbs[i].Receive(context.Background(), r)
				if err != nil {
					rt.Fatal(err)
				}
				if kind == connect.RequestDelete && (reply == nil || !reply.OK) {
					rt.Fatalf("a delete was told %+v", reply)
				}
			},
			"a try is due": func(rt *rapid.T) {
				if len(out.jobs) == 0 {
					rt.Skip("none yet")
				}
				if err := u.Try(context.Background(), rapid.SampledFrom(out.jobs).Draw(rt, "job")); err != nil && !errors.Is(err, connect.ErrConflict) {
					rt.Fatal(err)
				}
			},
			"roles change": func(rt *rapid.T) {
				if c, ok := own(rt); ok && !c.Snapshot().RoleARN.IsZero() {
					w.refused[c.Snapshot().RoleARN.String()] = rapid.Bool().Draw(rt, "refused")
				}
			},
			"a sweep": func(rt *rapid.T) {
				if c, ok := own(rt); ok {
					if err := u.Sweep(context.Background(), c.ID()); err != nil {
						rt.Fatal(err)
					}
				}
			},
			"deleted for good": func(rt *rapid.T) {
				if c, ok := own(rt); ok && rapid.IntRange(0, 9).Draw(rt, "really") == 0 {
					if ch, err := c.Delete(now, "ada"); err == nil {
						_ = first.Commit(context.Background(), ch)
					}
				}
			},
			"time passes": func(rt *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 900).Draw(rt, "seconds")) * time.Second)
			},
			"": func(rt *rapid.T) { oneServes(rt, first, all) },
		})
	})
}

func oneServes(t *rapid.T, first *organization, all []*organization) {
	var serving []connect.ConnectionID
	external := map[connect.ExternalID]bool{}
	for _, c := range first.All() {
		s, id := c.Snapshot(), c.ID()
		if _, err := connect.Restore(s); err != nil {
			t.Fatal(err)
		}
		if external[s.ExternalID] {
			t.Fatalf("the external ID %s is two connections'", s.ExternalID)
		}
		external[s.ExternalID] = true
		if s.Status == connect.StatusEnabled || s.Status == connect.StatusDegraded {
			serving = append(serving, id)
		}
	}
	if len(serving) > 1 {
		t.Fatalf("%d connections serve the account", len(serving))
	}
	if holder, held := first.Dump()["account acme "+customerAccount].(connect.ConnectionID); held != (len(serving) == 1) || (held && serving[0] != holder) {
		t.Fatalf("%v serve, %q holds the account", serving, holder)
	}
	for _, o := range all {
		if m := o.of(customerAccount); m.State == connect.MemberLinked && m.ConnectionID == m.Own {
			t.Fatalf("linked to itself: %+v", m)
		}
	}
}
