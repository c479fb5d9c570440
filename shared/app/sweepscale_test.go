package app_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rolecall/shared/connect"
	"rolecall/shared/customer"
	"rolecall/shared/queue"
)

// The simulation's figures: how long AWS takes, which nothing but the time that functions are paid for depends on.
const (
	simSTS     = 50 * time.Millisecond // a request of STS
	simRequest = 5 * time.Millisecond  // one of DynamoDB or SQS
	simInvoke  = 20 * time.Millisecond // from one invocation's end to the next one's beginning
	simTimeout = 20 * time.Second      // of verify, as the CDK app sets it
)

// A simulation is a deployment on a virtual clock: what is simulated is AWS, what runs is Rolecall.
type simulation struct {
	mu        sync.Mutex
	snapshot  connect.Snapshot
	slots     map[int][]connect.ConnectionID
	cursor    time.Time
	waiting   []simJob
	checked   int
	calls     int
	lastCall  time.Time
	began     time.Time
	perSecond map[int64]int

	reads, writes, sends, queries, ticks, invocations int
	verifying, refreshing                             time.Duration // that functions ran
}

type simJob struct {
	at  time.Time
	ids []connect.ConnectionID
}

func (s *simulation) count(n *int) {
	time.Sleep(simRequest)
	s.mu.Lock()
	defer s.mu.Unlock()
	*n++
}

func (s *simulation) Cursor(context.Context) (time.Time, error) {
	s.count(&s.reads)
	return s.cursor, nil
}

func (s *simulation) Advance(_ context.Context, _, to time.Time) error {
	s.count(&s.writes)
	s.cursor = to
	return nil
}

func (s *simulation) Due(context.Context, time.Time, string) (connect.Page[connect.ConnectionID], error) {
	s.count(&s.queries)
	return connect.Page[connect.ConnectionID]{}, nil
}

func (s *simulation) InSlot(_ context.Context, slot int, _ string) (connect.Page[connect.ConnectionID], error) {
	s.count(&s.queries)
	return connect.Page[connect.ConnectionID]{Items: s.slots[slot]}, nil
}

func (s *simulation) Sweep(_ context.Context, ids []connect.ConnectionID, delay time.Duration) error {
	s.count(&s.sends)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, simJob{time.Now().Add(delay), ids})
	return nil
}

// receive is the first job whose time has come.
func (s *simulation) receive() ([]connect.ConnectionID, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	i := slices.IndexFunc(s.waiting, func(j simJob) bool { return !j.at.After(now) })
	if i < 0 {
		return nil, false
	}
	ids := s.waiting[i].ids
	s.waiting = slices.Delete(s.waiting, i, i+1)
	return ids, true
}

func (s *simulation) Bare(_ context.Context, id connect.ConnectionID) (connect.Connection, error) {
	s.count(&s.reads)
	snapshot := s.snapshot
	snapshot.ID = id
	return connect.Restore(snapshot)
}

func (s *simulation) Connection(ctx context.Context, id connect.ConnectionID) (connect.Connection, error) {
	return s.Bare(ctx, id)
}

func (s *simulation) Commit(context.Context, connect.Change) error {
	panic("nothing changes for a healthy role")
}

func (s *simulation) RecordCheck(context.Context, connect.ConnectionID, time.Time) error {
	s.count(&s.writes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checked++
	return nil
}

// Do is STS's end of the line, behind a function's pace.
func (s *simulation) Do(*http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.calls++
	s.lastCall = time.Now()
	s.perSecond[s.lastCall.Unix()]++
	s.mu.Unlock()
	time.Sleep(simSTS)
	return &http.Response{}, nil
}

// A simFunction is one copy of verify: its pace lives as long as it does.
type simFunction struct {
	*simulation
	pace *customer.Pace
}

func (f simFunction) AssumeRole(ctx context.Context, r connect.AssumeRequest) (connect.Session, error) {
	if _, err := f.pace.Do((&http.Request{}).WithContext(ctx)); err != nil { //nolint:bodyclose // there is no body
		return connect.Session{}, err
	}
	return exact(r, f.snapshot.ExternalID)
}

// Regions, TrustPolicy and Permissions are what the weekly checks see in a customer's account.
func (f simFunction) Regions(context.Context, connect.Credentials, connect.Region) ([]connect.Region, error) {
	time.Sleep(simSTS)
	return f.snapshot.Regions, nil
}

func (f simFunction) TrustPolicy(context.Context, connect.Credentials, connect.RoleARN, connect.Region) (string, error) {
	time.Sleep(simSTS)
	return simPlatform().TrustPolicy(f.snapshot.ExternalID), nil
}

func (f simFunction) Permissions(
	context.Context, connect.Credentials, connect.RoleARN, connect.Region, []string,
) ([]connect.ActionRuling, error) {
	time.Sleep(simSTS)
	return nil, nil
}

func simPlatform() connect.Platform {
	return connect.Platform{Partition: "aws", Account: "111111111111"}
}

// work is a function's life: one message an invocation.
func (s *simulation) work(t *testing.T, due, limit int) {
	share := limit / 2
	f := simFunction{s, customer.NewPace(s, float64(share), time.Now)}
	h := queue.Handler{
		Sweeps: connect.Verifications{
			Store: s, Sweeps: s, Clock: time.Now, Interval: 24 * time.Hour,
			Verifier: connect.Verifier{Platform: simPlatform(), Assumer: f, Inspector: f, Clock: time.Now},
		},
		Jobs: s, Parallel: share / 5, Log: slog.New(slog.DiscardHandler),
	}
	for !s.done(due) {
		time.Sleep(simInvoke)
		ids, ok := s.receive()
		if !ok {
			continue
		}
		began := time.Now()
		ctx, end := context.WithTimeout(t.Context(), simTimeout)
		out, err := h.Handle(ctx, message(t, ids))
		if err != nil || len(out.BatchItemFailures) > 0 || ctx.Err() != nil {
			t.Errorf("an invocation failed: %v, %v", err, ctx.Err())
		}
		end()
		s.mu.Lock()
		s.invocations++
		s.verifying += time.Since(began)
		s.mu.Unlock()
	}
}

func (s *simulation) done(due int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checked >= due
}

// schedule ticks every minute until it has caught up: what comes due anew meanwhile is the next day's.
func (s *simulation) schedule(t *testing.T) {
	tick := connect.Sweeping{
		Store: s, Jobs: s, Interval: 24 * time.Hour, Jitter: func() float64 { return 2*rand.Float64() - 1 },
		Clock: func() time.Time { return s.began },
	}
	for s.cursor.Before(s.began.Truncate(time.Minute)) {
		began := time.Now()
		if _, err := tick.Tick(t.Context()); err != nil {
			t.Error(err)
		}
		took := time.Since(began)
		if took > 50*time.Second {
			t.Errorf("a tick took %s; refresh has 50 s", took)
		}
		s.ticks++
		s.refreshing += took
		time.Sleep(time.Minute - took)
	}
}

// simulate sweeps n connections that are all due, after an outage of a whole day, under a limit of requests of STS a
// second.
func simulate(t *testing.T, n, limit int) *simulation {
	t.Helper()
	snapshot, _ := serving(t)
	s := &simulation{snapshot: snapshot, slots: map[int][]connect.ConnectionID{}, perSecond: map[int64]int{}}
	random := rand.NewChaCha8([32]byte{7})
	for range n {
		id, err := connect.NewConnectionID(sweepNoon, random)
		if err != nil {
			t.Fatal(err)
		}
		slot := connect.Slot(id)
		s.slots[slot] = append(s.slots[slot], id)
	}
	synctest.Test(t, func(t *testing.T) {
		s.began = time.Now()
		s.cursor = s.began.UTC().Truncate(time.Minute).Add(-24 * time.Hour)
		var all sync.WaitGroup
		all.Go(func() { s.schedule(t) })
		for range 2 {
			all.Go(func() { s.work(t, n, limit) })
		}
		all.Wait()
	})
	return s
}

// prices are list prices; the file says of when, and whence.
type prices struct {
	Region, Currency, Date, Source         string
	DynamodbReadMillion                    float64
	DynamodbWriteMillion                   float64
	LambdaRequestMillion                   float64
	LambdaArmGBSecond                      float64
	SQSRequestMillion                      float64
	SchedulerInvocationMillion             float64
	StepFunctionsStandardTransitionMillion float64
	StepFunctionsExpressRequestMillion     float64
	StepFunctionsExpressGBSecond           float64
}

func readPrices(t testing.TB) prices {
	t.Helper()
	text, err := os.ReadFile("testdata/prices.json")
	if err != nil {
		t.Fatal(err)
	}
	var p prices
	if err := json.Unmarshal(text, &p); err != nil || p.Date == "" || p.Source == "" {
		t.Fatalf("prices: %v", err)
	}
	return p
}

// What one month of checks is reckoned from.
const (
	daysOfMonth   = 30
	functionGB    = 0.25 // memory of a function: 256 MB
	slotEntry     = 250  // bytes of an entry of the slot index, and of what DynamoDB adds to it
	idlePolls     = 5 * 24 * 3600 / 20
	states        = 6 // of a state machine's daily round: wait, read, assume with the external ID and without, decide, write
	expressGB     = 64.0 / 1024
	alonePerCheck = 2*simSTS + 2*simRequest // a function that checks one connection
)

// TestAMillionDue sweeps a million connections that are all due at once under a limit of 600 requests of STS a second
// (without ROLECALL_LONG a tenth of both). It ends within 5% of the least time that this limit allows, keeps to the
// limit, and says what a month of it costs, beside other ways to do the same.
func TestAMillionDue(t *testing.T) {
	n, limit := 100_000, 60
	if os.Getenv("ROLECALL_LONG") != "" {
		n, limit = 1_000_000, 600
	}
	started := time.Now()
	s := simulate(t, n, limit)
	took := s.lastCall.Sub(s.began)
	floor := time.Duration(s.calls) * time.Second / time.Duration(limit)
	t.Logf("%d due, %d requests of STS at %d a second: %s, %.2f%% over the floor of %s (simulated in %s)",
		n, s.calls, limit, took.Round(time.Second), 100*(took.Seconds()/floor.Seconds()-1), floor.Round(time.Second),
		time.Since(started).Round(time.Second))
	if took > floor*105/100 {
		t.Errorf("%s is more than 5%% over %s", took, floor)
	}
	if s.checked != n || s.calls < 2*n || s.calls > 2*n+n/6 {
		t.Errorf("%d of %d checked by %d requests", s.checked, n, s.calls)
	}
	for second, calls := range s.perSecond {
		if calls > limit*12/10+2 {
			t.Errorf("%d requests of STS in second %d", calls, second)
		}
	}
	t.Logf("%d ticks, %d messages, %d invocations of %s on average", s.ticks, s.sends, s.invocations,
		(s.verifying / time.Duration(s.invocations)).Round(time.Millisecond))
	s.bill(t, n)
}

// bill prints a month's cost: the simulated day thirty times, with a tick for every minute of it.
func (s *simulation) bill(t *testing.T, n int) {
	t.Helper()
	p := readPrices(t)
	const million, minutes = 1e6, 1440 * daysOfMonth
	checks := float64(n) * daysOfMonth
	gb := func(d time.Duration) float64 { return d.Seconds() * functionGB * p.LambdaArmGBSecond }
	messages := float64(s.sends) * daysOfMonth
	table := (checks*p.DynamodbReadMillion + checks*p.DynamodbWriteMillion) / million
	schedule := (minutes*(1+2*0.5)+checks*slotEntry/8192)*p.DynamodbReadMillion/million + minutes*p.DynamodbWriteMillion/million
	sqs := (3*messages + idlePolls*daysOfMonth) * p.SQSRequestMillion / million
	lambda := (messages+minutes)*p.LambdaRequestMillion/million + daysOfMonth*gb(s.verifying+s.refreshing)
	scheduler := minutes * p.SchedulerInvocationMillion / million
	total := table + schedule + sqs + lambda + scheduler
	alone := table + checks*(p.LambdaRequestMillion/million+gb(alonePerCheck))
	each := alone + checks*p.SchedulerInvocationMillion/million
	standard := table + checks*states*p.StepFunctionsStandardTransitionMillion/million
	express := table + checks*(p.SchedulerInvocationMillion/million+p.StepFunctionsExpressRequestMillion/million+
		alonePerCheck.Seconds()*expressGB*p.StepFunctionsExpressGBSecond)
	t.Logf("A month of daily checks of %d connections, %s, list prices as known on %s (see testdata/prices.json):", n, p.Region, p.Date)
	t.Logf("  sweep                             %9.2f %s: checks in DynamoDB %.2f, cursor and indexes %.2f, SQS %.2f, Lambda %.2f, Scheduler %.2f",
		total, p.Currency, table, schedule, sqs, lambda, scheduler)
	t.Logf("  a Scheduler schedule for each     %9.2f %s", each, p.Currency)
	t.Logf("  Step Functions, standard          %9.2f %s", standard, p.Currency)
	t.Logf("  Step Functions, express           %9.2f %s", express, p.Currency)
	if total >= each || total >= standard || total >= express {
		t.Error("another way would be cheaper")
	}
}
