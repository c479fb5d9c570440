package connect_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// Trouble of ours that begins when a role is being proven: the stack is told before nobody listens any more. A creation is told of
// the trouble. An update is told SUCCESS, and its role is verified when we can.
func TestTroubleWhileARoleIsBeingProven(t *testing.T) {
	for kind, ok := range map[connect.RequestType]bool{connect.RequestCreate: false, connect.RequestUpdate: true} {
		t.Run(string(kind), func(t *testing.T) {
			s := newStage(created(t))
			if kind == connect.RequestUpdate {
				s = connected(t)
			}
			cb := naming(t, kind, roleR2, "r2", 0)
			cb.SignedAt, cb.SentAt = s.now.Add(10*time.Second), s.now.Add(10*time.Second)
			s.receive(t, cb)
			s.store.Before(func(string) error {
				return connect.Unavailable(connect.CodeStoreUnavailable, "down", errors.New("503"))
			})
			s.works(cb.SentAt.Add(connect.AnswerTime))
			if r := s.told(cb); r == nil || r.OK != ok || !ok && r.Reason.Code != connect.ErrTrouble.Code {
				t.Fatalf("told %+v", r)
			}
			s.store.Around(nil)
			s.settle(t)
			if c := s.one(t).Snapshot(); ok != (c.Status == connect.StatusEnabled && c.RoleARN.String() == roleR2) {
				t.Errorf("%s with %s", c.Status, c.RoleARN)
			}
		})
	}
}

// Whoever has no valid token has its role tried once, without a wait: it is told what AWS said, and SUCCESS of an update that AWS's
// own failure left open.
func TestAReportWithoutATokenIsTriedOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		refused, down, ok bool
	}{
		"the role is refused": {refused: true}, "STS is down": {down: true, ok: true}, "the role passes": {ok: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := connected(t)
			s.account.asked, s.account.down, s.account.refused[roleR2] = nil, tt.down, tt.refused
			cb := naming(t, connect.RequestUpdate, roleR2, "r2", 10)
			cb.Launch = 0
			s.receive(t, cb)
			began, asked := s.now, 0
			for s.told(cb) == nil && s.next(t) {
				asked = len(s.account.asked)
			}
			if r := s.told(cb); r == nil || r.OK != tt.ok || !s.now.Equal(began) {
				t.Errorf("told %+v after %s", r, s.now.Sub(began))
			}
			if asked > 9 {
				t.Errorf("%d calls of STS", asked)
			}
		})
	}
}

// An account that changes its mind whenever a function dies: what a stack is told and what becomes of the connection rest on one verdict,
// for it is durable before it is told.
func TestAVerdictIsDurableBeforeItIsTold(t *testing.T) {
	whole := &fuse{left: -1}
	newStage(created(t)).life(t, callback(t, connect.RequestCreate, stackOne, "k", 10), whole, false)
	for _, after := range []bool{false, true} {
		for at := range whole.calls {
			f := &fuse{left: at, after: after}
			s, cb := newStage(created(t)), callback(t, connect.RequestCreate, stackOne, "k", 10)
			f.burns = func() { s.account.refused[cb.RoleARN.String()] = true }
			s.life(t, cb, f, false)
			where := fmt.Sprintf("call %d, after %t", at, after)
			if r, enabled := s.told(cb), s.one(t).Status() == connect.StatusEnabled; r == nil || r.OK != enabled {
				t.Errorf("%s: told %+v, and the connection is %s", where, r, s.one(t).Status())
			}
		}
	}
}
