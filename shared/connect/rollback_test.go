package connect_test

import (
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// CloudFormation rolls a stack back as soon as it is told FAILED. When the Delete of that counts first, the page still says why.
func TestAFailureIsKnownThoughItsStackIsGone(t *testing.T) {
	s := newStage(created(t))
	s.plays(t, started(t, connect.RequestCreate, stackOne, "s1", 0))
	report := callback(t, connect.RequestCreate, stackOne, "r1", 1)
	s.account.refused[report.RoleARN.String()] = true
	s.receive(t, report)
	for range 20 {
		if s.next(t); s.queue[0].report.Verdict != nil {
			break
		}
	}
	job := s.queue[0]
	s.queue = nil
	s.answers[requestKey(report)] = connect.Reply{Reason: job.report.Verdict.Reply.Reason}
	job.report.Taken = true
	gone := callback(t, connect.RequestDelete, stackOne, "d1", 3)
	gone.SignedAt = s.now.Add(time.Second)
	s.plays(t, gone)
	s.plays(t, started(t, connect.RequestDelete, stackOne, "d2", 4))
	for range 2 { // the second time is a copy
		if err := s.work(job); err != nil {
			t.Fatal(err)
		}
	}
	c, log := s.one(t).Snapshot(), s.store.Log(s.one(t).ID())
	last := log[len(log)-1]
	if c.Status != connect.StatusDisconnected || last.Type != connect.EventFailed || last.Data["code"] != string(connect.CodeRoleNotAssumable) {
		t.Errorf("%s, last %s of %v", c.Status, last.Type, last.Data)
	}
	if strings.Count(c.StatusReason.Message, " after: ") != 1 || log[len(log)-2].Type == connect.EventFailed {
		t.Errorf("the page says %q", c.StatusReason.Message)
	}
}

// A stack that fails before it has been told that it started is deleted meanwhile, and its page does not wait for it.
func TestADeleteOvertakesItsStart(t *testing.T) {
	s := newStage(created(t))
	s.plays(t, started(t, connect.RequestDelete, stackOne, "d1", 1))
	if r := s.plays(t, started(t, connect.RequestCreate, stackOne, "s1", 0)); r.OK {
		t.Errorf("told %+v", r)
	}
	if c := s.one(t).Snapshot(); c.Status != connect.StatusDisconnected {
		t.Errorf("%s", c.Status)
	}
}

// A verdict without what was found proves nothing, whatever the stack was told.
func TestNothingIsEnabledWithoutProof(t *testing.T) {
	s := newStage(created(t))
	settled(t, s.store, callback(t, connect.RequestCreate, stackOne, "r1", 1), proven(connect.Outcome{}), s.now)
	if c := s.one(t); c.Status() != connect.StatusPending || c.Snapshot().RoleARN != (connect.RoleARN{}) {
		t.Errorf("%s", c.Status())
	}
}

// A Delete that found its stack bound to nothing ends the connection all the same, where the stack has been bound since.
func TestADeleteMeetsTheBinding(t *testing.T) {
	s := newStage(created(t))
	s.store.Once("KeepFence", func() {
		settled(t, s.store, started(t, connect.RequestCreate, stackOne, "s1", 0), nil, s.now)
	})
	s.plays(t, started(t, connect.RequestDelete, stackOne, "d1", 1))
	if c := s.one(t); c.Status() != connect.StatusDisconnected || s.store.Calls("KeepFence") != 1 {
		t.Errorf("%s", c.Status())
	}
}
