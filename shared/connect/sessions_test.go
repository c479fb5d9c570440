package connect_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rolecall/shared/connect"
)

// upstream makes sessions of the asked duration by a clock of its own, as AWS does.
type upstream struct {
	clock func() time.Time
	calls atomic.Int64
	fail  atomic.Pointer[error]
	gate  chan struct{} // closed when answers may come; nil for at once
	asked chan struct{} // told of calls that wait at the gate; nil for nobody
}

func (u *upstream) Session(ctx context.Context, a connect.SessionAsk) (connect.Issued, error) {
	u.calls.Add(1)
	if u.gate != nil {
		if u.asked != nil {
			u.asked <- struct{}{}
		}
		select {
		case <-u.gate:
		case <-ctx.Done():
			return connect.Issued{}, ctx.Err()
		}
	}
	if err := u.fail.Load(); err != nil && *err != nil {
		return connect.Issued{}, *err
	}
	return connect.Issued{Account: customerAccount, Credentials: connect.Credentials{
		AccessKeyID: "ASIA", Expires: u.clock().Add(a.Options.Duration).Truncate(time.Second),
	}}, nil
}

func (u *upstream) failing(err error) { u.fail.Store(&err) }

// handClock is moved by hand.
type handClock struct{ at atomic.Int64 }

func (c *handClock) now() time.Time       { return noon.Add(time.Duration(c.at.Load())) }
func (c *handClock) move(d time.Duration) { c.at.Add(int64(d)) }
func (c *handClock) skewed(d time.Duration) func() time.Time {
	return func() time.Time { return c.now().Add(d) }
}

// asking is the GET of an SDK.
func asking(c connect.Connection, caller connect.Actor) connect.SessionAsk {
	return connect.SessionAsk{
		Connection: c, Caller: caller, Options: connect.SessionOptions{Duration: connect.DefaultSession}, Least: connect.LeastLife,
	}
}

func long() bool { return os.Getenv("ROLECALL_LONG") != "" }

func TestSessionsAreHeldByKey(t *testing.T) {
	c := in(t, connect.StatusEnabled)
	denied := with(good(noon), connect.CheckAssumeRole, connect.Failed, connect.CodeRoleNotAssumable)
	ch, ok := c.Rechecked(denied, "ada", noon.Add(time.Hour))
	if !ok {
		t.Fatal("no further version")
	}
	clock := &handClock{}
	up := &upstream{clock: clock.now}
	cache := connect.NewSessionCache(up, 100, clock.now)
	ask := func(a connect.SessionAsk, want int64, what string) {
		t.Helper()
		if _, err := cache.Session(context.Background(), a); err != nil || up.calls.Load() != want {
			t.Errorf("%s: %d calls, want %d (%v)", what, up.calls.Load(), want, err)
		}
	}
	hour := asking(c, "svc")
	hour.Options.Duration = time.Hour
	ask(asking(c, "svc"), 1, "first")
	ask(asking(c, "svc"), 1, "again")
	ask(asking(c, "other"), 2, "another caller")
	ask(hour, 3, "another duration")
	ask(asking(ch.Connection(), "svc"), 4, "another version")
	clock.move(584 * time.Second)
	ask(asking(c, "svc"), 4, "with 1,216 seconds left")
	clock.move(2 * time.Second)
	ask(asking(c, "svc"), 5, "renewed before it is too old")
	long := asking(c, "svc")
	long.Least = 29*time.Minute + 59*time.Second
	clock.move(2 * time.Second)
	ask(long, 6, "more life asked for than is left")
}

// A session that could be handed out goes on serving while a renewal hangs or fails; a refusal ends it at once.
func TestRenewal(t *testing.T) {
	c := in(t, connect.StatusEnabled)
	clock := &handClock{}
	up := &upstream{clock: clock.now}
	cache := connect.NewSessionCache(up, 100, clock.now)
	get := func() (connect.Issued, error) { return cache.Session(context.Background(), asking(c, "svc")) }
	first, err := get()
	if err != nil {
		t.Fatal(err)
	}
	clock.move(595 * time.Second)
	up.failing(connect.Unavailable(connect.CodeSTSUnavailable, "throttled", nil))
	for range 3 {
		if got, err := get(); err != nil || got.Credentials != first.Credentials || !got.Held {
			t.Fatal("the old session does not serve", err)
		}
	}
	if up.calls.Load() != 2 {
		t.Errorf("%d calls: a failed renewal is not left alone for a moment", up.calls.Load())
	}
	up.failing(nil)
	clock.move(3 * time.Second)
	up.gate, up.asked = make(chan struct{}), make(chan struct{})
	renewed := make(chan error, 1)
	go func() { _, err := get(); renewed <- err }()
	<-up.asked
	if got, err := get(); err != nil || got.Credentials != first.Credentials {
		t.Error("a request waits for another's renewal", err)
	}
	close(up.gate)
	up.asked = nil
	if err := <-renewed; err != nil {
		t.Fatal(err)
	}
	clock.move(595 * time.Second)
	up.failing(errDenied)
	for range 2 {
		if _, err := get(); !errors.Is(err, errDenied) {
			t.Errorf("handed out although the role refuses: %v", err)
		}
	}
	if up.calls.Load() != 4 {
		t.Errorf("%d calls: the denial was not remembered", up.calls.Load())
	}
	up.failing(nil)
	clock.move(6 * time.Second)
	if _, err := get(); err != nil {
		t.Errorf("the denial is remembered for too long: %v", err)
	}
}

// However many miss at once, one session is made, and who gives up harms nobody.
func TestOneFlightPerKey(t *testing.T) {
	trials := 50
	switch {
	case long() && raced:
		trials = 1000
	case long():
		trials = 10_000
	}
	c := in(t, connect.StatusEnabled)
	clock := &handClock{}
	var late []time.Duration
	for range trials {
		up := &upstream{clock: clock.now, gate: make(chan struct{})}
		cache := connect.NewSessionCache(up, 10, clock.now)
		const waiters = 1000
		var began, failed sync.WaitGroup
		var wrong atomic.Int64
		leaving, leave := context.WithCancel(context.Background())
		began.Add(waiters)
		for i := range waiters {
			failed.Go(func() {
				ctx := context.Background()
				if i%10 == 0 { // one in ten gives up, the first one perhaps among them
					ctx = leaving
				}
				began.Done()
				if _, err := cache.Session(ctx, asking(c, "svc")); (err != nil) != (i%10 == 0 && errors.Is(err, context.Canceled)) {
					wrong.Add(1)
				}
			})
		}
		began.Wait()
		leave()
		answered := time.Now()
		close(up.gate)
		failed.Wait()
		late = append(late, time.Since(answered))
		if up.calls.Load() != 1 || wrong.Load() != 0 {
			t.Fatalf("%d sessions made, %d wrong answers", up.calls.Load(), wrong.Load())
		}
	}
	slices.Sort(late)
	median := late[len(late)/2]
	t.Logf("%d trials of 1,000: the last one answered %s after AWS in the median trial, %s in the worst", trials, median, late[len(late)-1])
	if bound := 2 * time.Millisecond; median > bound && long() && !raced {
		t.Errorf("median %s, want at most %s", median, bound)
	}
}

func TestAPanicFailsThoseWhoWait(t *testing.T) {
	clock := &handClock{}
	cache := connect.NewSessionCache(sessionsFunc(func(connect.SessionAsk) (connect.Issued, error) { panic("oh") }), 1, clock.now)
	if _, err := cache.Session(context.Background(), asking(in(t, connect.StatusEnabled), "svc")); err == nil {
		t.Error("no error")
	}
}

type sessionsFunc func(connect.SessionAsk) (connect.Issued, error)

func (f sessionsFunc) Session(_ context.Context, a connect.SessionAsk) (connect.Issued, error) {
	return f(a)
}

// The cache never holds more than its bound, and lets the least recently used one go.
func TestCacheIsBounded(t *testing.T) {
	c := in(t, connect.StatusEnabled)
	clock := &handClock{}
	up := &upstream{clock: clock.now}
	cache := connect.NewSessionCache(up, 3, clock.now)
	for _, caller := range []connect.Actor{"a", "b", "c", "a", "d", "a", "b"} {
		if _, err := cache.Session(context.Background(), asking(c, caller)); err != nil {
			t.Fatal(err)
		}
	}
	if up.calls.Load() != 5 { // a, b, c, d, and b once more
		t.Errorf("%d sessions made, want 5", up.calls.Load())
	}
}

// Whatever our clock says, AWS never sees an expired session, and SDKs never one with less life than promised.
func TestClockSkewServesNothingExpired(t *testing.T) {
	c := in(t, connect.StatusEnabled)
	rapid.Check(t, func(t *rapid.T) {
		clock := &handClock{}
		skew := time.Duration(rapid.Int64Range(-300, 300).Draw(t, "skew")) * time.Second
		up := &upstream{clock: clock.now}
		cache := connect.NewSessionCache(up, 10, clock.skewed(skew))
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			a := asking(c, "svc")
			if rapid.Bool().Draw(t, "short") {
				a.Options.Duration = time.Duration(rapid.IntRange(900, 3600).Draw(t, "duration")) * time.Second
				a.Least = a.Options.Duration * 2 / 3
			}
			if rapid.IntRange(0, 9).Draw(t, "fails") == 0 {
				up.failing(connect.Unavailable(connect.CodeSTSUnavailable, "throttled", nil))
			}
			got, err := cache.Session(context.Background(), a)
			up.failing(nil)
			// The end is in whole seconds: AWS cuts off what is left of one.
			if left := got.Credentials.Expires.Sub(clock.now()); err == nil && left < a.Least-time.Second {
				t.Fatalf("%s left of %s at a skew of %s", left, a.Options.Duration, skew)
			}
			clock.move(time.Duration(rapid.Int64Range(0, int64(20*time.Minute)).Draw(t, "pause")))
		}
	})
}

// Over days of steady use hardly more sessions are made than the rule on remaining life makes necessary.
func TestSessionsOverDays(t *testing.T) {
	connections, days := 200, 2
	if long() && !raced { // there is nothing to race here
		connections, days = 10_000, 30
	}
	base := in(t, connect.StatusEnabled)
	clock := &handClock{}
	up := &upstream{clock: clock.now}
	cache := connect.NewSessionCache(up, connections, clock.now)
	random := rand.New(rand.NewPCG(1, 2))
	const meanGap = 60
	due := make([][]int32, 1024) // by second: who asks then
	made := make([]time.Time, connections)
	callers := make([]connect.Actor, connections)
	next := func(second, who int) {
		gap := 1 + min(int(random.ExpFloat64()*meanGap), len(due)-2)
		due[(second+gap)%len(due)] = append(due[(second+gap)%len(due)], int32(who))
	}
	for i := range connections {
		callers[i] = connect.Actor(fmt.Sprint("svc", i))
		next(i%meanGap, i)
	}
	least, asked := int64(0), int64(0)
	for second := range days * 86_400 {
		clock.at.Store(int64(second) * int64(time.Second))
		now := clock.now()
		asks := due[second%len(due)]
		due[second%len(due)] = nil
		for _, who := range asks {
			asked++
			got, err := cache.Session(context.Background(), asking(base, callers[who]))
			if err != nil || got.Credentials.Expires.Sub(now) < connect.LeastLife {
				t.Fatalf("%s left (%v)", got.Credentials.Expires.Sub(now), err)
			}
			if made[who].IsZero() || connect.DefaultSession-now.Sub(made[who]) < connect.LeastLife {
				made[who], least = now, least+1
			}
			next(second, int(who))
		}
	}
	ratio := float64(up.calls.Load()) / float64(least)
	t.Logf("%d connections, %d days: %d hand-outs, %d sessions, least possible %d: %.4f", connections, days, asked, up.calls.Load(), least, ratio)
	if ratio > 1.05 {
		t.Errorf("%.4f times the least possible", ratio)
	}
}

func TestAHitIsCheap(t *testing.T) {
	cache, a := warm(t)
	if n := testing.AllocsPerRun(1000, func() { _, _ = cache.Session(context.Background(), a) }); n > 2 {
		t.Errorf("%v allocations, want 2 at most", n)
	}
}

func warm(t testing.TB) (*connect.SessionCache, connect.SessionAsk) {
	clock := &handClock{}
	cache := connect.NewSessionCache(&upstream{clock: clock.now}, 10, clock.now)
	a := asking(in(t, connect.StatusEnabled), "svc")
	if _, err := cache.Session(context.Background(), a); err != nil {
		t.Fatal(err)
	}
	return cache, a
}

func BenchmarkCacheHit(b *testing.B) {
	cache, a := warm(b)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = cache.Session(context.Background(), a)
	}
}
