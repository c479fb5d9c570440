package connect_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rolecall/shared/connect"
)

// Two enrolments of one tenant have the same account on trial at the same time. The one that is proven first serves it; the
// other is linked, its stack is answered with success, and it takes over once the first one is gone.
func TestTheEnrolmentThatComesTooLateIsLinked(t *testing.T) {
	s, one := organization(t)
	two := enrolled(t, s)
	first, second := s.member(t, one, connect.RequestCreate, 1, "r1"), s.member(t, two, connect.RequestCreate, 2, "r2")
	s.receive(t, first)
	s.receive(t, second)
	s.next(t) // both are proven before either is told
	s.next(t)
	s.settle(t)
	a, b := s.accountOf(one), s.accountOf(two)
	if a.State != connect.MemberEnabled || b.State != connect.MemberLinked || b.ConnectionID != a.Own {
		t.Fatalf("%+v\n%+v", a, b)
	}
	if !s.told(first).OK || !s.told(second).OK {
		t.Errorf("the stacks were told %+v, %+v", s.told(first), s.told(second))
	}
	// Its stack may report as often as it likes.
	for i := range 2 {
		s.passes(time.Second)
		if r := s.plays(t, s.member(t, two, connect.RequestUpdate, 2, fmt.Sprint("again", i))); !r.OK || s.accountOf(two).State != connect.MemberLinked {
			t.Errorf("%+v, %+v", r, s.accountOf(two))
		}
	}
	// The first one goes; the next report of the second one's stack connects.
	s.passes(time.Second)
	s.plays(t, s.member(t, one, connect.RequestDelete, 1, "r9"))
	s.plays(t, s.member(t, two, connect.RequestUpdate, 2, "r10"))
	if m := s.accountOf(two); m.State != connect.MemberEnabled || m.ConnectionID != m.Own || m.Own == a.Own {
		t.Errorf("%+v", m)
	}
}

// A proven role whose account another enrolment has come to serve between answer and commit gives way to it.
func TestAProvenRoleGivesWay(t *testing.T) {
	s, one := organization(t)
	two := enrolled(t, s)
	s.plays(t, s.memberStarts(t, two, connect.RequestCreate, 2, "s2"))
	late := s.member(t, two, connect.RequestCreate, 2, "r2")
	s.receive(t, late)
	s.next(t)
	job := s.queue[0]
	s.queue = nil
	job.report.Taken = true
	s.store.Once("Commit", func() { s.plays(t, s.member(t, one, connect.RequestCreate, 1, "r1")) })
	if err := s.work(job); err != nil {
		t.Fatal(err)
	}
	m := s.accountOf(two)
	loser := s.store.Get(m.Own).Snapshot()
	if m.State != connect.MemberLinked || m.ConnectionID != s.accountOf(one).Own || loser.Status != connect.StatusDisconnected ||
		loser.StatusReason.Code != connect.CodeAccountConnected || loser.Offboarding != nil {
		t.Errorf("%+v\n%+v", m, loser)
	}
	s.passes(time.Second)
	events := len(s.store.Log())
	s.plays(t, s.member(t, two, connect.RequestDelete, 2, "r3"))
	log := s.store.Log()[events:]
	if m := s.accountOf(two); m.State != connect.MemberDisconnected || s.store.Get(m.Own).Snapshot().LinkedTo != "" {
		t.Errorf("%+v", m)
	}
	if len(log) != 2 || log[1].Type != connect.EventUnlinked || log[1].ConnectionID != s.accountOf(one).Own || s.accountOf(one).State != connect.MemberEnabled {
		t.Errorf("%+v", log)
	}
}

// An account that failed, and that somebody has connected by hand since, is linked when its stack comes again.
func TestAFailedAccountThatIsConnectedByNowIsLinked(t *testing.T) {
	s, e := organization(t)
	s.refuses(t, 1, true)
	s.plays(t, s.member(t, e, connect.RequestCreate, 1, "r1"))
	s.plays(t, s.member(t, e, connect.RequestDelete, 1, "r2"))
	if m := s.accountOf(e); m.State != connect.MemberFailed || !m.RolledBack {
		t.Fatalf("%+v", m)
	}
	known := in(t, connect.StatusEnabled)
	s.store.Put(known)
	s.passes(time.Second)
	if r := s.plays(t, s.member(t, e, connect.RequestCreate, 2, "r3")); !r.OK {
		t.Fatalf("%+v", r)
	}
	if m := s.accountOf(e); m.State != connect.MemberLinked || m.ConnectionID != known.ID() {
		t.Errorf("%+v", m)
	}
}

// Whatever the stacks of three enrolments report of one account, in whatever order and however often, and whatever becomes of
// their trials, roles and connections: one of the tenant's enrolments serves the account at most, and a link leads elsewhere.
func TestOneEnrolmentServesAnAccount(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, first := organization(t)
		all := []connect.Enrolment{first, enrolled(t, s), enrolled(t, s)}
		n := 0
		own := func(rt *rapid.T) (connect.Connection, bool) {
			m := s.accountOf(all[rapid.IntRange(0, len(all)-1).Draw(rt, "whose")])
			return s.store.Get(m.Own), m.Own != ""
		}
		rt.Repeat(map[string]func(*rapid.T){
			"a stack reports": func(rt *rapid.T) {
				i, number := rapid.IntRange(0, len(all)-1).Draw(rt, "enrolment"), rapid.IntRange(1, 2).Draw(rt, "stack")
				kind := rapid.SampledFrom([]connect.RequestType{connect.RequestCreate, connect.RequestUpdate, connect.RequestDelete}).Draw(rt, "type")
				n++
				cb := s.member(t, all[i], kind, 10*i+number, fmt.Sprint("req", n))
				if rapid.Bool().Draw(rt, "starts") {
					cb = s.memberStarts(t, all[i], kind, 10*i+number, fmt.Sprint("req", n))
				}
				if r := s.receive(t, cb); kind == connect.RequestDelete && (r == nil || !r.OK) {
					rt.Fatalf("a Delete was told %+v", r)
				}
			},
			"a job is due": func(rt *rapid.T) {
				if len(s.queue) == 0 {
					rt.Skip("none yet")
				}
				job := rapid.SampledFrom(s.queue).Draw(rt, "job") // and is kept, as a copy that comes later
				if err := s.work(job); err != nil && !errors.Is(err, connect.ErrConflict) && !errors.Is(err, connect.ErrAnswerRefused) {
					rt.Fatal(err)
				}
			},
			"roles change": func(rt *rapid.T) {
				s.refuses(t, 10*rapid.IntRange(0, 2).Draw(rt, "enrolment")+rapid.IntRange(1, 2).Draw(rt, "stack"), rapid.Bool().Draw(rt, "refused"))
			},
			"a sweep": func(rt *rapid.T) {
				if c, ok := own(rt); ok {
					if err := s.tries.Sweep(context.Background(), c.ID()); err != nil {
						rt.Fatal(err)
					}
				}
			},
			"deleted for good": func(rt *rapid.T) {
				if c, ok := own(rt); ok && rapid.IntRange(0, 9).Draw(rt, "really") == 0 {
					if ch, err := c.Delete(s.now, "ada"); err == nil {
						_ = s.store.Commit(context.Background(), ch)
					}
				}
			},
			"time passes": func(rt *rapid.T) { s.passes(time.Duration(rapid.IntRange(1, 900).Draw(rt, "seconds")) * time.Second) },
			"":            func(rt *rapid.T) { oneServes(rt, s, all) },
		})
	})
}

func oneServes(t *rapid.T, s *stage, all []connect.Enrolment) {
	var serving []connect.ConnectionID
	external := map[connect.ExternalID]bool{}
	for _, c := range s.store.All() {
		snapshot := c.Snapshot()
		if _, err := connect.Restore(snapshot); err != nil {
			t.Fatal(err)
		}
		if external[snapshot.ExternalID] {
			t.Fatalf("the external ID %s is two connections'", snapshot.ExternalID)
		}
		external[snapshot.ExternalID] = true
		if snapshot.Status == connect.StatusEnabled || snapshot.Status == connect.StatusDegraded {
			serving = append(serving, c.ID())
		}
	}
	if len(serving) > 1 {
		t.Fatalf("%d connections serve the account", len(serving))
	}
	for _, e := range all {
		if m := s.accountOf(e); m.State == connect.MemberLinked && m.ConnectionID == m.Own {
			t.Fatalf("linked to itself: %+v", m)
		}
	}
}
