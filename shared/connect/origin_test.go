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

// everyRequest is one request of each kind that a stack can send, as its stack would send it.
func everyRequest(t testing.TB) map[string]connect.Callback {
	out := map[string]connect.Callback{}
	for _, kind := range []connect.RequestType{connect.RequestCreate, connect.RequestUpdate, connect.RequestDelete} {
		out["start "+string(kind)] = started(t, kind, stackOne, "forged", 50)
		out["same role "+string(kind)] = callback(t, kind, stackOne, "forged", 50)
		out["new role "+string(kind)] = naming(t, kind, "arn:aws:iam::222222222222:role/Forged", "forged", 50)
		out["role before "+string(kind)] = naming(t, kind, roleR2, "forged", 50)
		out["another stack "+string(kind)] = callback(t, kind, stackTwo, "forged", 50)
	}
	return out
}

// Whatever a stranger sends whose answer CloudFormation does not take, nothing is stored, queued for long or told: with every token, whatever
// state the connection is in, and though the named role could be assumed.
func TestNothingForgedTakesEffect(t *testing.T) {
	for _, status := range connect.Statuses() {
		for _, launch := range []int{0, 1, 2} {
			for name, cb := range everyRequest(t) {
				s := newStage(in(t, status))
				if status == connect.StatusEnabled {
					s = connected(t)
				}
				cb.Launch = launch
				s.unchanged(t, fmt.Sprintf("%s, launch %d, %s", status, launch, name), func() {
					s.forged(t, cb)
					s.settle(t)
				})
				if puts := s.puts[requestKey(cb)]; puts > 1 {
					t.Errorf("%s, launch %d, %s: %d answers", status, launch, name, puts)
				}
			}
		}
	}
}

// A made-up report without a valid token costs one attempt: at most nine calls of STS.
func TestTheCostOfAForgedReport(t *testing.T) {
	s := connected(t)
	s.account.asked = nil
	cb := naming(t, connect.RequestUpdate, "arn:aws:iam::222222222222:role/Forged", "forged", 50)
	cb.Launch = 0
	s.account.refused[cb.RoleARN.String()] = true
	reads := s.store.Calls("ConnectionAndFence")
	s.forged(t, cb)
	s.settle(t)
	if got := s.store.Calls("ConnectionAndFence") - reads; got > 2 {
		t.Errorf("%d reads", got)
	}
	if len(s.account.asked) > 9 || s.puts[requestKey(cb)] != 1 {
		t.Errorf("%d calls of STS, %d answers", len(s.account.asked), s.puts[requestKey(cb)])
	}
}

// Thousands of reports that name the customer's stack, its logical id and new roles leave its own alone: an update that replaces the role, and one that
// is refused and rolled back, are answered in time.
func TestAFloodOfForgeriesStandsInNobodysWay(t *testing.T) {
	s := connected(t)
	flood := func(n int) {
		for i := range n {
			cb := naming(t, connect.RequestUpdate, fmt.Sprintf("arn:aws:iam::222222222222:role/F%d", i), fmt.Sprint("f", i), 60)
			cb.Launch = 0
			s.account.refused[cb.RoleARN.String()] = true
			s.forged(t, cb)
		}
	}
	flood(500)
	replace := naming(t, connect.RequestUpdate, roleR2, "r2", 1)
	replace.SignedAt, replace.SentAt = s.now.Add(10*time.Second), s.now.Add(10*time.Second)
	s.receive(t, replace)
	flood(500)
	s.settle(t)
	if r := s.told(replace); r == nil || !r.OK || s.one(t).Snapshot().RoleARN.String() != roleR2 {
		t.Fatalf("the replacement was told %+v", r)
	}
	bad := naming(t, connect.RequestUpdate, "arn:aws:iam::222222222222:role/Bad", "r3", 1)
	bad.SignedAt, bad.SentAt = s.now.Add(20*time.Second), s.now.Add(20*time.Second)
	s.account.refused[bad.RoleARN.String()] = true
	s.receive(t, bad)
	flood(500)
	s.settle(t)
	back := naming(t, connect.RequestUpdate, roleR2, "r4", 1)
	back.SignedAt, back.SentAt = s.now.Add(30*time.Second), s.now.Add(30*time.Second)
	flood(500)
	if r := s.told(bad); r == nil || r.OK || s.plays(t, back) != (connect.Reply{OK: true}) || s.one(t).Status() != connect.StatusEnabled {
		t.Errorf("the bad update was told %+v; %s", r, s.one(t).Status())
	}
}

// A rollback to the role before is told SUCCESS at once, though another role serves by then, and the role serves again.
func TestARollbackReturnsToTheRoleBefore(t *testing.T) {
	s := connected(t)
	s.plays(t, naming(t, connect.RequestUpdate, roleR2, "r2", 20))
	back := callback(t, connect.RequestUpdate, stackOne, "r3", 30)
	if r := s.receive(t, back); r == nil || !r.OK {
		t.Fatalf("told %+v", r)
	}
	s.settle(t)
	if c := s.one(t).Snapshot(); c.Status != connect.StatusEnabled || c.RoleARN.String() != roleR1 || c.Stack.PreviousRoleARN.String() != roleR2 {
		t.Errorf("%s with %s", c.Status, c.RoleARN)
	}
	s.plays(t, callback(t, connect.RequestDelete, stackOne, "r4", 40))
	if got := s.one(t).Status(); got != connect.StatusDisconnected {
		t.Error(got)
	}
}

// When a stack is deleted whose role does not serve, because another one was pasted, the stack is unlinked and the connection untouched.
func TestTheDeleteOfAStackWhoseRoleDoesNotServe(t *testing.T) {
	s := connected(t)
	target := connect.Target{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(s.one(t).ID()), By: "ada"}
	if _, err := s.tries.ReportRole(context.Background(), target, roleR2, 0); err != nil {
		t.Fatal(err)
	}
	s.settle(t)
	s.plays(t, callback(t, connect.RequestDelete, stackOne, "r4", 40))
	c := s.one(t).Snapshot()
	if c.Status != connect.StatusEnabled || c.RoleARN.String() != roleR2 || !c.Stack.ID.IsZero() || c.Offboarding != nil {
		t.Errorf("%s with %s, stack %s", c.Status, c.RoleARN, c.Stack.ID)
	}
}

// Whoever else advances a connection while a stack waits takes nothing from it: it is told its verdict within its time, twenty times each.
func TestWhileAStackWaits(t *testing.T) {
	others := map[string]func(*testing.T, *stage, connect.Target){
		"verify is pressed": func(_ *testing.T, s *stage, to connect.Target) { _, _ = s.tries.Verify(context.Background(), to, 0) },
		"its role is pasted": func(_ *testing.T, s *stage, to connect.Target) {
			_, _ = s.tries.ReportRole(context.Background(), to, roleR2, 0)
		},
		"another role is pasted": func(_ *testing.T, s *stage, to connect.Target) {
			_, _ = s.tries.ReportRole(context.Background(), to, "arn:aws:iam::222222222222:role/Pasted", 0)
		},
		"the schedule looks": func(t *testing.T, s *stage, _ connect.Target) {
			if err := s.tries.Sweep(context.Background(), s.one(t).ID()); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, meanwhile := range others {
		for _, first := range []bool{true, false} {
			for n := range 20 {
				s := newStage(created(t))
				if !first {
					s = connected(t)
				}
				cb := naming(t, connect.RequestUpdate, roleR2, "r2", 0)
				if first {
					cb.Type = connect.RequestCreate
				}
				cb.SignedAt, cb.SentAt = s.now.Add(10*time.Second), s.now.Add(10*time.Second)
				s.account.refused[roleR2] = true // until its trust policy is repaired
				s.receive(t, cb)
				repaired := s.now.Add(10 * time.Second)
				for i := 0; s.next(t); i++ {
					if i == n%4 {
						meanwhile(t, s, connect.Target{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(s.one(t).ID()), By: "ada"})
					}
					s.account.refused[roleR2] = s.now.Before(repaired)
				}
				r := s.told(cb)
				if r == nil || !r.OK || s.one(t).Snapshot().RoleARN.String() != roleR2 || s.one(t).Status() != connect.StatusEnabled {
					t.Fatalf("%s, first %t, %d: told %+v; %s with %s", name, first, n, r, s.one(t).Status(), s.one(t).Snapshot().RoleARN)
				}
			}
		}
	}
}

// Whatever is down when a stack reports: no update and no Delete is told FAILED, a creation is told so in time or its role is verified, and what CloudFormation
// has taken is committed when the store is back.
func TestTroubleOfOurs(t *testing.T) {
	down := errors.New("503")
	for name, tt := range map[string]struct {
		fails  func(*stage)
		heals  func(*stage)
		create bool // is told SUCCESS, too
	}{
		"STS is down":     {func(s *stage) { s.account.down = true }, func(s *stage) { s.account.down = false }, true},
		"the key is down": {func(s *stage) { s.keys = connect.Unavailable(connect.CodeInternal, "down", down) }, func(s *stage) { s.keys = nil }, false},
		"the store is down": {func(s *stage) {
			s.store.Before(func(string) error { return connect.Unavailable(connect.CodeStoreUnavailable, "down", down) })
		}, func(s *stage) { s.store.Around(nil) }, false},
		"the store takes no writes": {func(s *stage) {
			s.store.Before(func(op string) error {
				if op == "Commit" {
					return connect.Unavailable(connect.CodeStoreUnavailable, "down", down)
				}
				return nil
			})
		}, func(s *stage) { s.store.Around(nil) }, true},
	} {
		for _, kind := range []connect.RequestType{connect.RequestCreate, connect.RequestUpdate, connect.RequestDelete} {
			t.Run(name+", "+string(kind), func(t *testing.T) {
				s := newStage(created(t))
				if kind != connect.RequestCreate {
					s = connected(t)
				}
				cb := naming(t, kind, roleR2, "r2", 0)
				cb.SignedAt, cb.SentAt = s.now.Add(10*time.Second), s.now.Add(10*time.Second)
				s.made[requestKey(cb)] = true
				tt.fails(s)
				s.delivers(t, cb)
				r := s.told(cb)
				if want := tt.create || kind != connect.RequestCreate; r == nil || r.OK != want {
					t.Fatalf("told %+v", r)
				}
				tt.heals(s)
				s.now = s.now.Add(20 * time.Minute)
				s.settle(t)
				want := connect.StatusEnabled
				switch {
				case kind == connect.RequestDelete:
					want = connect.StatusDisconnected
				case !r.OK:
					want = connect.StatusPending
				}
				c := s.one(t).Snapshot()
				if c.Status != want || (want == connect.StatusEnabled && c.RoleARN.String() != roleR2) {
					t.Errorf("%s with %s, want %s", c.Status, c.RoleARN, want)
				}
			})
		}
	}
}

// delivers has the functions work for six minutes as queues do: what fails comes again after a pause, until a message has been
// delivered ten times.
func (s *stage) delivers(t testing.TB, cb connect.Callback) {
	t.Helper()
	end, r := s.now.Add(6*time.Minute), s.request(cb)
	s.again(end, func() error { return s.callbacks.Receive(context.Background(), r) },
		func(why error) error { return s.callbacks.GiveUp(context.Background(), r, why) })
	s.works(end)
}

// works has the functions work off the queue until then.
func (s *stage) works(end time.Time) {
	for len(s.queue) > 0 && s.now.Before(end) {
		job := s.queue[0]
		s.queue = s.queue[1:]
		if job.at.After(s.now) {
			s.now = job.at
		}
		s.again(end, func() error { return s.work(job) }, func(why error) error {
			if job.report == nil {
				return why
			}
			return s.reports.GiveUp(context.Background(), *job.report, why)
		})
	}
}

// again delivers a message until its work, or giving it up, succeeds.
func (s *stage) again(end time.Time, work func() error, giveUp func(error) error) {
	for try := 1; ; try++ {
		err := work()
		if err != nil {
			err = giveUp(err)
		}
		if err == nil || errors.Is(err, connect.ErrAnswerRefused) || try == 20 || s.now.After(end) {
			return
		}
		s.now = s.now.Add(connect.RetryPause(try))
	}
}

// An answer of which nobody knows whether it was taken is given again, while somebody waits for it; nothing takes effect before.
func TestUnsureAnswers(t *testing.T) {
	s := newStage(created(t))
	s.bucket = errors.New("503")
	cb := callback(t, connect.RequestCreate, stackOne, "r1", 0)
	s.made[requestKey(cb)] = true
	s.unchanged(t, "the bucket fails", func() {
		s.delivers(t, cb)
		if n := s.puts[requestKey(cb)]; n < 5 || len(s.queue) > 0 {
			t.Errorf("%d answers, %d jobs", n, len(s.queue))
		}
	})
	s = connected(t)
	s.bucket = errors.New("503")
	gone := callback(t, connect.RequestDelete, stackOne, "r2", 2)
	s.made[requestKey(gone)] = true
	r := s.request(gone)
	r.ReplyTo.Expires = s.now.Add(2 * time.Hour)
	if err := s.callbacks.Receive(context.Background(), r); err != nil || s.one(t).Status() != connect.StatusEnabled {
		t.Fatalf("%v, %s", err, s.one(t).Status())
	}
	for s.now.Before(noon.Add(time.Hour)) && s.next(t) { // at growing intervals
	}
	if n := s.puts[requestKey(gone)]; s.one(t).Status() != connect.StatusEnabled || n > 40 {
		t.Fatalf("%s after %d answers", s.one(t).Status(), n)
	}
	s.bucket = nil
	if s.settle(t); s.one(t).Status() != connect.StatusDisconnected {
		t.Error(s.one(t).Status())
	}
}

// Where something else has happened to the connection between the answer and its commit, the stack stays as told and the
// connection as it is; an event says what became of the report. Each row is one such conflict.
func TestWhatHappensBetweenAnswerAndCommit(t *testing.T) {
	for name, tt := range map[string]struct {
		meanwhile func(*testing.T, *stage)
		code      connect.Code
		status    connect.Status
	}{
		"the connection is deleted": {func(t *testing.T, s *stage) {
			s.commit(t, must[connect.Change](t)(s.one(t).Delete(s.now, "ada")))
		}, connect.CodeNotFound, connect.StatusDeleted},
		"another stack is bound": {func(t *testing.T, s *stage) {
			s.plays(t, callback(t, connect.RequestCreate, stackTwo, "x1", 1))
		}, connect.CodeLaunchUsed, connect.StatusEnabled},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(created(t))
			other := newStage() // with a queue and answers of its own
			other.store, other.account.store = s.store, s.store
			other.callbacks.Store, other.callbacks.Settling.Store, other.reports.Store, other.reports.Holders, other.reports.Settling.Store = s.store, s.store, s.store, s.store, s.store
			cb := naming(t, connect.RequestCreate, roleR2, "r1", 0)
			s.receive(t, cb)
			s.next(t) // the attempt that proves it
			job := s.queue[0]
			s.queue = nil
			s.answers[requestKey(cb)] = connect.Reply{OK: true}
			job.report.Taken = true
			tt.meanwhile(t, other)
			if err := s.work(job); err != nil {
				t.Fatal(err)
			}
			log := s.store.Log(s.one(t).ID())
			last := log[len(log)-1]
			if last.Type != connect.EventReportOvertaken || last.Data["code"] != string(tt.code) || s.one(t).Status() != tt.status {
				t.Errorf("%s, then %s of %v", s.one(t).Status(), last.Type, last.Data)
			}
			if err := s.work(job); err != nil || len(s.store.Log(s.one(t).ID())) != len(log) {
				t.Errorf("told twice: %v", err)
			}
		})
	}
}

// A role that another connection of the tenant has is refused before the stack is told anything else.
func TestARoleThatAnotherConnectionHas(t *testing.T) {
	s := connected(t)
	two := otherPending(t)
	s.store.Put(two)
	cb := callback(t, connect.RequestCreate, stackTwo, "x1", 1)
	cb.ConnectionID = two.ID()
	if r := s.plays(t, cb); r.Reason.Code != connect.CodeRoleInUse || s.store.Get(two.ID()).Status() != connect.StatusPending {
		t.Errorf("told %+v; %s", r, s.store.Get(two.ID()).Status())
	}
	log := s.store.Log(two.ID())
	if last := log[len(log)-1]; last.Type != connect.EventCandidateFailed || last.Data["code"] != string(connect.CodeRoleInUse) {
		t.Errorf("%s of %v", last.Type, last.Data)
	}
}

// otherPending is another pending connection of the same tenant.
func otherPending(t testing.TB) connect.Connection {
	t.Helper()
	id, err := connect.NewConnectionID(noon.Add(time.Hour), rapidReader{})
	if err != nil {
		t.Fatal(err)
	}
	n := connect.NewConnection{
		TenantID: "acme", Name: "Second", Partition: connect.PartitionAWS, DefaultRegion: "eu-west-1", Permissions: "read-only", By: "ada",
	}
	return connect.Create(n, id, connect.NewExternalID(), noon).Connection()
}

type rapidReader struct{}

func (rapidReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 7
	}
	return len(p), nil
}

// No change of a connection or a fence is ever committed for a request whose answer CloudFormation has not taken, whatever mixture of genuine
// and made-up requests comes.
func TestNoEffectWithoutTaken(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newStage(created(t))
		requests := everyRequest(t)
		kinds := make([]string, 0, len(requests))
		for name := range requests {
			kinds = append(kinds, name)
		}
		slices.Sort(kinds)
		for n := range rapid.IntRange(1, 12).Draw(rt, "requests") {
			cb := requests[rapid.SampledFrom(kinds).Draw(rt, "kind")]
			cb.RequestID = fmt.Sprint("q", n)
			cb.Launch = rapid.IntRange(0, 2).Draw(rt, "launch")
			cb.SignedAt, cb.SentAt = s.now.Add(10*time.Second), s.now.Add(10*time.Second)
			if rapid.Bool().Draw(rt, "forged") {
				s.unchanged(t, "forged "+cb.RequestID, func() { s.forged(t, cb); s.settle(t) })
				continue
			}
			s.receive(t, cb)
			s.settle(t)
			if s.told(cb) == nil {
				rt.Fatalf("%s of %s is never answered", cb.Type, cb.LogicalID)
			}
		}
	})
}

// A stack that keeps reporting roles that cannot be assumed is delayed, not refused; another account's is not delayed by it.
func TestFurtherAttemptsAreLimited(t *testing.T) {
	s := connected(t)
	for n := range 40 {
		cb := naming(t, connect.RequestUpdate, fmt.Sprintf("arn:aws:iam::222222222222:role/X%d", n), fmt.Sprint("x", n), 0)
		cb.SignedAt, cb.SentAt = s.now.Add(10*time.Second), s.now.Add(10*time.Second+time.Duration(n)*time.Millisecond)
		s.account.refused[cb.RoleARN.String()] = true
		s.receive(t, cb)
	}
	began := s.now
	for range 40 {
		s.next(t) // the first attempts
	}
	if s.now.Sub(began) > time.Second {
		t.Errorf("first attempts were delayed until %s", s.now.Sub(began))
	}
	delayed := 0
	for range 40 {
		s.next(t)
	}
	for _, q := range s.queue {
		if q.report.Attempt == 1 {
			delayed++
		}
	}
	if delayed != 10 {
		t.Errorf("%d are delayed, want 10", delayed)
	}
	s.settle(t)
	for n := range 40 {
		cb := naming(t, connect.RequestUpdate, fmt.Sprintf("arn:aws:iam::222222222222:role/X%d", n), fmt.Sprint("x", n), 0)
		if s.told(cb) == nil {
			t.Errorf("%d was never answered", n)
		}
	}
}

// A table of before 1.4.0: the stack is bound and has its fence, without what is recorded since. Its Update and its Delete, signed or not, work.
func TestStacksThatEarlierVersionsBound(t *testing.T) {
	old := connected(t).one(t).Snapshot()
	old.Stack = connect.Stack{ID: old.Stack.ID, TemplateVersion: "1.3.0"}
	c, err := connect.Restore(old)
	if err != nil {
		t.Fatal(err)
	}
	bound := func() *stage {
		s := newStage(c)
		f := connect.Fence{StackID: old.Stack.ID, Seen: map[string]connect.Seen{
			"StackStarted": {RequestID: "s1", SentAt: noon}, "Connection": {RequestID: "r1", SentAt: noon.Add(time.Second)},
		}}
		if err := s.store.KeepFence(context.Background(), c.ID(), f, time.Time{}); err != nil {
			t.Fatal(err)
		}
		return s
	}
	same := callback(t, connect.RequestUpdate, stackOne, "r2", 20)
	same.Launch = 0
	s := bound()
	if r := s.plays(t, same); !r.OK || s.one(t).Snapshot().Stack.ReportID != "Connection" {
		t.Errorf("same role: %+v, %+v", r, s.one(t).Snapshot().Stack)
	}
	s.plays(t, naming(t, connect.RequestUpdate, roleR2, "r3", 30))
	if got := s.one(t).Snapshot(); got.RoleARN.String() != roleR2 || got.Stack.PreviousRoleARN.String() != roleR1 {
		t.Errorf("new role: %s, %+v", got.RoleARN, got.Stack)
	}
	gone := callback(t, connect.RequestDelete, stackOne, "r4", 40)
	gone.Launch = 0
	if s.plays(t, gone); s.one(t).Status() != connect.StatusDisconnected {
		t.Errorf("Delete: %s", s.one(t).Status())
	}
	s = bound()
	borrowed := callback(t, connect.RequestDelete, stackOne, "x1", 40)
	borrowed.LogicalID, borrowed.Launch = "Another", 0
	s.unchanged(t, "another resource's address", func() { s.plays(t, borrowed) })
	s.plays(t, gone)
	if s.one(t).Status() != connect.StatusDisconnected {
		t.Errorf("Delete at once: %s", s.one(t).Status())
	}
}
