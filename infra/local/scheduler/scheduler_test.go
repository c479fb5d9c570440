package scheduler_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/scheduler"
)

const (
	role   = "arn:aws:iam::111111111111:role/scheduler"
	target = "arn:aws:lambda:eu-west-1:111111111111:function:refresh"
)

// fixture is a service whose invocations arrive on a channel.
type fixture struct {
	*scheduler.Service
	log     *buffer
	invoked chan string

	mu  sync.Mutex
	now time.Time
	err error // what invocations come to
}

// buffer is a log that several goroutines write.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func start(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{log: &buffer{}, invoked: make(chan string, 100), now: time.Date(2026, 3, 1, 12, 0, 30, 0, time.UTC)}
	clock := func() time.Time {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.now
	}
	invoke := func(_ context.Context, roleARN, targetARN string, input []byte) error {
		if roleARN != role || targetARN != target {
			t.Errorf("invoked %s as %s", targetARN, roleARN)
		}
		f.invoked <- string(input)
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.err
	}
	f.Service = scheduler.New(clock, invoke, slog.New(slog.NewTextHandler(f.log, nil)))
	return f
}

func (f *fixture) advance(d time.Duration) {
	f.mu.Lock()
	f.now = f.now.Add(d)
	f.mu.Unlock()
	f.Wake()
}

func (f *fixture) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// run starts the service and answers a function that stops it and waits for its end.
func (f *fixture) run(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.Run(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}

func schedule(name, expression string) scheduler.Schedule {
	return scheduler.Schedule{
		Account: "111111111111", Region: "eu-west-1", Name: name, Expression: expression,
		TargetARN: target, RoleARN: role, Input: name + " <aws.scheduler.scheduled-time>",
	}
}

func put(t *testing.T, f *fixture, s scheduler.Schedule) {
	t.Helper()
	if err := f.Put(s); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) next(t *testing.T) string {
	t.Helper()
	select {
	case input := <-f.invoked:
		return input
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was invoked")
		return ""
	}
}

func (f *fixture) wantNext(t *testing.T, want string) {
	t.Helper()
	if got := f.next(t); got != want {
		t.Errorf("invoked with %q, want %q", got, want)
	}
}

// left answers the invocations that nobody looked at. Ask when the service has stopped.
func (f *fixture) left() []string {
	var out []string
	for {
		select {
		case input := <-f.invoked:
			out = append(out, input)
		default:
			return out
		}
	}
}

func TestASchedulesRate(t *testing.T) {
	f := start(t)
	stop := f.run(t)
	put(t, f, schedule("sweep", "rate(1 minute)"))
	f.wantNext(t, "sweep 2026-03-01T12:00:30Z")
	f.advance(59 * time.Second)
	f.advance(time.Second)
	f.wantNext(t, "sweep 2026-03-01T12:01:30Z")
	f.advance(5*time.Minute + 10*time.Second)
	f.wantNext(t, "sweep 2026-03-01T12:06:30Z")
	f.advance(50 * time.Second)
	f.wantNext(t, "sweep 2026-03-01T12:07:30Z")
	stop()
	if left := f.left(); left != nil {
		t.Errorf("also invoked %q", left)
	}
}

func TestSchedulesAreIndependent(t *testing.T) {
	f := start(t)
	put(t, f, schedule("often", "rate(2 minutes)"))
	put(t, f, schedule("seldom", "rate(1 hour)"))
	off := schedule("off", "rate(1 minute)")
	off.Disabled = true
	put(t, f, off)
	gone := schedule("gone", "rate(1 minute)")
	put(t, f, gone)
	f.Delete(gone.ARN())
	if _, there := f.Find(gone.ARN()); there {
		t.Error("a deleted schedule is still there")
	}
	stop := f.run(t)
	got := map[string]int{}
	for range 2 {
		got[strings.Fields(f.next(t))[0]]++
	}
	for range 3 {
		f.advance(2 * time.Minute)
		got[strings.Fields(f.next(t))[0]]++
	}
	stop()
	if diff := cmp.Diff(map[string]int{"often": 4, "seldom": 1}, got); diff != "" {
		t.Error(diff)
	}
	if left := f.left(); left != nil {
		t.Errorf("also invoked %q", left)
	}
}

func TestAFailureIsLoggedAndTheNextTimeComes(t *testing.T) {
	f := start(t)
	f.fail(errors.New("AccessDenied: no"))
	put(t, f, schedule("sweep", "rate(1 minute)"))
	stop := f.run(t)
	f.next(t)
	f.advance(time.Minute)
	f.next(t)
	stop()
	if log := f.log.String(); strings.Count(log, "AccessDenied") != 2 || !strings.Contains(log, ":schedule/default/sweep") {
		t.Errorf("logged %s", log)
	}
}

func TestFireAllInvokesAtOnce(t *testing.T) {
	f := start(t)
	put(t, f, schedule("a", "rate(1 day)"))
	put(t, f, schedule("b", "rate(1 hour)"))
	off := schedule("c", "rate(1 hour)")
	off.Disabled = true
	put(t, f, off)
	if err := f.FireAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a 2026-03-01T12:00:30Z", "b 2026-03-01T12:00:30Z"}, f.left()); diff != "" {
		t.Error(diff)
	}
	no := errors.New("no")
	f.fail(no)
	if err := f.FireAll(t.Context()); !errors.Is(err, no) || len(f.left()) != 2 {
		t.Errorf("error %v", err)
	}
}

func TestInputs(t *testing.T) {
	f := start(t)
	s := schedule("s", "rate(1 minute)")
	s.Group = "sweeps"
	s.Input = `["<aws.scheduler.schedule-arn>","<aws.scheduler.execution-id>","<aws.scheduler.attempt-number>"]`
	put(t, f, s)
	if err := f.FireAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	var words []string
	if err := json.Unmarshal([]byte(f.next(t)), &words); err != nil {
		t.Fatal(err)
	}
	if words[0] != "arn:aws:scheduler:eu-west-1:111111111111:schedule/sweeps/s" || len(words[1]) != 16 || words[2] != "1" {
		t.Errorf("keywords %q", words)
	}
	s.Input = ""
	put(t, f, s)
	if err := f.FireAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(f.next(t)), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "id")
	want := map[string]any{
		"version": "0", "detail-type": "Scheduled Event", "source": "aws.scheduler", "account": "111111111111",
		"time": "2026-03-01T12:00:30Z", "region": "eu-west-1", "detail": "{}",
		"resources": []any{"arn:aws:scheduler:eu-west-1:111111111111:schedule/sweeps/s"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSchedulesRefused(t *testing.T) {
	f := start(t)
	for _, expression := range []string{"cron(0 12 * * ? *)", "at(2026-01-01T00:00:00)", "rate(0 minutes)", "rate(5 seconds)", "rate(-1 minutes)", ""} {
		if err := f.Put(schedule("s", expression)); err == nil || !strings.Contains(err.Error(), expression) {
			t.Errorf("%q: %v", expression, err)
		}
	}
	if err := f.Put(schedule("a/b", "rate(1 minute)")); err == nil {
		t.Error("a name with a slash was taken")
	}
}
