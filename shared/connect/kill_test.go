package connect_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// A fuse ends the process at one call to the outside: before it is made, or after it was made but before anybody knows.
type fuse struct {
	left  int // calls until it burns; negative never
	after bool
	calls int
	burns func() // what else happens then; nil for nothing
}

type died struct{}

func (f *fuse) call(do func()) {
	f.calls++
	burn := f.left == 0
	f.left--
	if burn && f.burns != nil {
		defer f.burns()
	}
	if burn && !f.after {
		panic(died{})
	}
	do()
	if burn {
		panic(died{})
	}
}

// lives does something unless the process dies of it.
func lives(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if _, expected := p.(died); !expected {
				panic(p)
			}
			err = errors.New("died")
		}
	}()
	return do()
}

// hidden is how long a message that a dead process held stays out of sight: verify-now's.
const hidden = 2 * time.Minute

// life runs one request through the functions with all deliveries that the fuse makes necessary, each at its time. twice
// delivers what a dead process held two times.
func (s *stage) life(t testing.TB, cb connect.Callback, f *fuse, twice bool) {
	t.Helper()
	s.made[requestKey(cb)] = true
	s.fuse = f.call
	s.store.Around(func(_ string, call func() error) (err error) {
		f.call(func() { err = call() })
		return err
	})
	deliver := func(handle func(redelivered bool) error) {
		redelivered := false
		for lives(func() error { return handle(redelivered) }) != nil {
			if redelivered {
				t.Fatal("a message fails for ever")
			}
			redelivered = true
			s.passes(hidden)
		}
		if redelivered && twice {
			_ = lives(func() error { return handle(true) })
		}
	}
	deliver(func(bool) error { return s.callbacks.Receive(context.Background(), s.request(cb)) })
	for n := 0; len(s.queue) > 0; n++ {
		if n > 60 {
			t.Fatal("jobs multiply")
		}
		job := s.queue[0]
		s.queue = s.queue[1:]
		if job.at.After(s.now) {
			s.now = job.at
		}
		deliver(func(redelivered bool) error {
			if job.report != nil {
				job.report.Redelivered = redelivered
			}
			return s.work(job)
		})
	}
	s.fuse = nil
	s.store.Around(nil)
}

// Wherever a function dies, at each step of a start, a report, an update with the same role, a rollback and a Delete: the stack is answered once
// with the truth, also of a wrong role; the connection ends in the same state, and its events are whole.
func TestKilledAtEveryCall(t *testing.T) {
	fresh := func(t *testing.T) *stage { return newStage(created(t)) }
	for name, tt := range map[string]struct {
		stage   func(*testing.T) *stage
		request func(*testing.T) connect.Callback
		wrong   bool
		status  connect.Status
		types   int // events that it adds
	}{
		"start":                 {fresh, func(t *testing.T) connect.Callback { return started(t, connect.RequestCreate, stackOne, "k", 10) }, false, connect.StatusPending, 1},
		"report":                {fresh, func(t *testing.T) connect.Callback { return callback(t, connect.RequestCreate, stackOne, "k", 10) }, false, connect.StatusEnabled, 2},
		"report of a wrong one": {fresh, func(t *testing.T) connect.Callback { return callback(t, connect.RequestCreate, stackOne, "k", 10) }, true, connect.StatusFailed, 2},
		"another role":          {connected, func(t *testing.T) connect.Callback { return naming(t, connect.RequestUpdate, roleR2, "k", 10) }, false, connect.StatusEnabled, 2},
		"same role":             {connected, func(t *testing.T) connect.Callback { return callback(t, connect.RequestUpdate, stackOne, "k", 10) }, false, connect.StatusEnabled, 1},
		"Delete":                {connected, func(t *testing.T) connect.Callback { return callback(t, connect.RequestDelete, stackOne, "k", 10) }, false, connect.StatusDisconnected, 1},
	} {
		run := func(f *fuse, twice bool) (*stage, int, connect.Callback) {
			s, cb := tt.stage(t), tt.request(t)
			before := len(s.store.Log())
			s.account.refused[cb.RoleARN.String()] = tt.wrong
			s.life(t, cb, f, twice)
			return s, before, cb
		}
		whole := &fuse{left: -1}
		run(whole, false)
		for _, after := range []bool{false, true} {
			for _, twice := range []bool{false, true} {
				for at := range whole.calls {
					s, before, cb := run(&fuse{left: at, after: after}, twice)
					where := fmt.Sprintf("%s, call %d, after %t, twice %t", name, at, after, twice)
					if got := s.one(t).Status(); got != tt.status {
						t.Errorf("%s: %s, want %s", where, got, tt.status)
					}
					if n := len(s.store.Log()) - before; n != tt.types {
						t.Errorf("%s: %d events, want %d", where, n, tt.types)
					}
					if r := s.told(cb); r == nil || r.OK == tt.wrong {
						t.Errorf("%s: told %+v", where, r)
					}
				}
			}
		}
		t.Logf("%s: killed at each of %d calls, before and after it, retried once and twice", name, whole.calls)
	}
}
