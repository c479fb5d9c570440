package connect_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

// A fuse ends the process at one external call: before it is made, or after it was made but before anybody knows.
type fuse struct {
	mu    sync.Mutex
	left  int // calls until it burns; negative never
	after bool
	calls int
}

type died struct{}

func (f *fuse) call(do func()) {
	f.mu.Lock()
	f.calls++
	burn := f.left == 0
	f.left--
	f.mu.Unlock()
	if burn && !f.after {
		panic(died{})
	}
	do()
	if burn {
		panic(died{})
	}
}

// mortal is the outside world seen through a fuse: the queue, CloudFormation's answer, KMS and STS. The store has a hook.
type mortal struct {
	*fuse
	acct  *account
	queue *queued
}

// hook is one by which the store's calls burn the fuse.
func (f *fuse) hook(_ string, call func() error) (err error) {
	f.call(func() { err = call() })
	return err
}

// queued is a queue that delivers at least once: what a dead process held comes again.
type queued struct {
	mu      sync.Mutex
	jobs    []connect.VerifyJob
	due     []time.Time // when each job may be delivered
	now     time.Time
	answers []connect.Reply
}

func (q *queued) clock() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.now
}

// until lets time pass.
func (q *queued) until(t time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.After(q.now) {
		q.now = t
	}
}

// hidden is how long a message that a dead process held stays out of sight: verify-now's.
const hidden = 2 * time.Minute

func (m mortal) Verify(_ context.Context, j connect.VerifyJob, delay time.Duration) error {
	m.call(func() {
		m.queue.mu.Lock()
		defer m.queue.mu.Unlock()
		m.queue.jobs, m.queue.due = append(m.queue.jobs, j), append(m.queue.due, m.queue.now.Add(delay))
	})
	return nil
}

func (m mortal) Answer(_ context.Context, _ connect.ReplyTo, r connect.Reply) error {
	m.call(func() {
		m.queue.mu.Lock()
		defer m.queue.mu.Unlock()
		m.queue.answers = append(m.queue.answers, r)
	})
	return nil
}

func (m mortal) Token(context.Context, connect.ConnectionID, int) (connect.Secret, error) {
	return connect.NewSecret("1"), nil
}

func (m mortal) Launch(context.Context, connect.ConnectionID, connect.Secret) (n int, err error) {
	m.call(func() { n = 1 })
	return n, nil
}

func (m mortal) AssumeRole(ctx context.Context, r connect.AssumeRequest) (s connect.Session, err error) {
	m.call(func() {
		m.queue.mu.Lock()
		defer m.queue.mu.Unlock()
		s, err = m.acct.AssumeRole(ctx, r)
	})
	return s, err
}

// life runs one request of a stack through callback and verify, with all deliveries that the fuse makes necessary, each at
// its time. twice delivers what a dead process held two times at once; wrong is a role that asks for no external ID.
func life(t *testing.T, cb connect.CallbackRequest, start connect.Connection, f *fuse, twice, wrong bool) (*storetest.Memory, *queued) {
	t.Helper()
	b := newBench(start)
	store := b.store
	store.Around(f.hook)
	if wrong {
		b.acct.assume = func(connect.AssumeRequest) error { return nil }
	}
	q := &queued{now: noon.Add(time.Second)}
	m := mortal{fuse: f, acct: b.acct, queue: q}
	callbacks := connect.Callbacks{Store: store, Tokens: m, Jobs: m, Clock: q.clock, Account: platformAccount}
	verifications := connect.Verifications{
		Store: store, Jobs: m, Answerer: m, Clock: q.clock, Jitter: func() float64 { return 0 },
		Verifier: connect.Verifier{Platform: platform(), Assumer: m, Inspector: b.acct, Clock: q.clock},
	}
	// deliver handles a message until a process lives to its end.
	deliver := func(handle func(redelivered bool) error) {
		for redelivered := false; ; redelivered = true {
			copies := 1
			if redelivered {
				q.until(q.clock().Add(hidden))
			}
			if redelivered && twice {
				copies = 2
			}
			ok := make([]bool, copies)
			var wg sync.WaitGroup
			for i := range copies {
				wg.Go(func() {
					defer func() {
						if p := recover(); p != nil {
							if _, expected := p.(died); !expected {
								panic(p)
							}
						}
					}()
					ok[i] = handle(redelivered) == nil
				})
			}
			wg.Wait()
			for _, alive := range ok {
				if alive {
					return
				}
			}
		}
	}
	deliver(func(redelivered bool) error {
		r := cb
		r.Redelivered = redelivered
		reply, err := callbacks.Receive(context.Background(), r)
		if err != nil || reply == nil {
			return err
		}
		return m.Answer(context.Background(), r.ReplyTo, *reply)
	})
	for n := 0; n < len(q.jobs); n++ {
		if n > 50 {
			t.Fatal("jobs multiply")
		}
		job := q.jobs[n]
		q.until(q.due[n])
		deliver(func(redelivered bool) error {
			j := job
			j.Redelivered = redelivered
			return verifications.Try(context.Background(), j)
		})
	}
	return store, q
}

// Wherever a function dies, the stack is answered in time, and with the truth, also of a wrong role; the connection ends in
// the same state, and its events are whole.
func TestKilledAtEveryCall(t *testing.T) {
	pending := created(t)
	request := func(kind connect.RequestType) connect.CallbackRequest {
		cb := callback(t, kind, stackOne, "r1", 1)
		cb.RoleARN = connect.RoleARN{}
		return connect.CallbackRequest{
			Callback: cb, ConnectionID: string(pending.ID()), Token: connect.NewSecret("1"), RoleARN: roleR1,
			ReplyTo: connect.ReplyTo{StackID: stackOne},
		}
	}
	for _, tt := range []struct {
		kind   connect.RequestType
		wrong  bool
		status connect.Status
		events int // at most; a wrong role that is found out later is tried less often
	}{
		{connect.RequestCreate, false, connect.StatusEnabled, 2},
		{connect.RequestCreate, true, connect.StatusFailed, 10},
		{connect.RequestDelete, false, connect.StatusDisconnected, 1},
	} {
		whole := &fuse{left: -1}
		life(t, request(tt.kind), pending, whole, false, tt.wrong)
		for _, after := range []bool{false, true} {
			for _, twice := range []bool{false, true} {
				for at := range whole.calls {
					name := fmt.Sprintf("%s, wrong %t, call %d, after %t, twice %t", tt.kind, tt.wrong, at, after, twice)
					store, q := life(t, request(tt.kind), pending, &fuse{left: at, after: after}, twice, tt.wrong)
					if got := store.Get(pending.ID()).Status(); got != tt.status {
						t.Errorf("%s: %s, want %s", name, got, tt.status)
					}
					if n := len(store.Log()); n > tt.events || (n < tt.events && !tt.wrong) {
						t.Errorf("%s: %d events, want %d", name, n, tt.events)
					}
					if len(q.answers) == 0 {
						t.Errorf("%s: the stack is never answered", name)
					}
					for _, a := range q.answers {
						if a.OK == tt.wrong {
							t.Errorf("%s: answered %+v", name, a)
						}
					}
				}
			}
		}
		t.Logf("%s, wrong role %t: killed at each of %d calls, before and after it, retried once and twice at a time", tt.kind, tt.wrong, whole.calls)
	}
}
