package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"rolecall/shared/connect"
	"rolecall/shared/queue"
	"rolecall/shared/storetest"
)

// The tests of this file and its neighbours run a whole sweep: tick, queue, handler, checks.

var sweepNoon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// minuteOf is the minute after noon in which a slot has its turn, once a day.
func minuteOf(slot int) time.Time {
	for m := sweepNoon; ; m = m.Add(time.Minute) {
		if connect.SlotsAt(m, 24*time.Hour)[0] == slot {
			return m
		}
	}
}

// serving is the snapshot of an enabled connection and, on the way there, the changes that a store must commit.
func serving(t testing.TB) (connect.Snapshot, []connect.Change) {
	t.Helper()
	id, err := connect.NewConnectionID(sweepNoon, rand.NewChaCha8([32]byte{3}))
	if err != nil {
		t.Fatal(err)
	}
	role, err := connect.ParseRoleARN("arn:aws:iam::222222222222:role/rolecall-acme-production-Role-1A2B3C4D5E6F")
	if err != nil {
		t.Fatal(err)
	}
	created := connect.Create(connect.NewConnection{
		TenantID: "acme", Name: "Production", Partition: "aws", DefaultRegion: "eu-west-1", Permissions: "read-only", By: "ada",
	}, id, connect.NewExternalID(), sweepNoon)
	reported, err := created.Connection().ReportRole(role, sweepNoon, "ada")
	if err != nil {
		t.Fatal(err)
	}
	o := connect.Outcome{Account: "222222222222", At: sweepNoon, SessionTags: true}
	for i := range 18 { // as many as an account has by default
		o.Regions = append(o.Regions, connect.Region(fmt.Sprintf("eu-west-%d", i+1)))
	}
	for _, n := range []connect.CheckName{
		connect.CheckAssumeRole, connect.CheckExternalIDRequired, connect.CheckExternalIDMatched, connect.CheckRegions,
		connect.CheckTrustPolicy, connect.CheckPermissions,
	} {
		o.Checks = append(o.Checks, connect.Check{Name: n, Verdict: connect.Passed, At: sweepNoon})
	}
	v, _ := reported.Connection().Trial()
	proven, err := reported.Connection().Tried(v.Run, v.Attempt, o, 0, sweepNoon)
	if err != nil {
		t.Fatal(err)
	}
	return proven.Connection().Snapshot(), []connect.Change{created, reported, proven}
}

// idsIn makes n ids of one slot. It looks for their last three characters, which is much quicker than to draw whole ids.
func idsIn(t testing.TB, slot, n int) []connect.ConnectionID {
	t.Helper()
	const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	ids := make([]connect.ConnectionID, 0, n)
	for i := 0; ; i++ {
		prefix := fmt.Sprintf("conn_%023d", i)
		var h uint32 = 2166136261 // FNV-1a
		step := func(h uint32, b byte) uint32 { return (h ^ uint32(b)) * 16777619 }
		for _, b := range []byte(prefix) {
			h = step(h, b)
		}
		for _, a := range []byte(alphabet) {
			for _, b := range []byte(alphabet) {
				for _, c := range []byte(alphabet) {
					if step(step(step(h, a), b), c)%connect.Slots != uint32(slot) {
						continue
					}
					if ids = append(ids, connect.ConnectionID(prefix+string([]byte{a, b, c}))); len(ids) == n {
						if connect.Slot(ids[n-1]) != slot {
							t.Fatal("these ids are of other slots")
						}
						return ids
					}
				}
			}
		}
	}
}

// message is a sweep's job as SQS hands it over.
func message(t testing.TB, ids []connect.ConnectionID) events.SQSEvent {
	t.Helper()
	body, err := json.Marshal(map[string]any{"connectionIds": ids})
	if err != nil {
		t.Fatal(err)
	}
	return events.SQSEvent{Records: []events.SQSMessage{{
		MessageId: "m", Body: string(body), Attributes: map[string]string{"ApproximateReceiveCount": "1"},
	}}}
}

var errDenied = &connect.Error{Kind: connect.KindDenied, Code: connect.CodeRoleNotAssumable, Message: "denied"}

// exact is how STS answers for a role with the right trust policy.
func exact(r connect.AssumeRequest, external connect.ExternalID) (connect.Session, error) {
	if r.ExternalID != external {
		return connect.Session{}, errDenied
	}
	return connect.Session{Account: r.RoleARN.Account()}, nil
}

// A mortalSweep is all that a sweep talks to: a store, a queue and STS. One of its calls is the process's last.
type mortalSweep struct {
	*storetest.Memory
	mu       sync.Mutex
	calls    int
	last     int // of the calls; 0 lives for ever
	after    bool
	process  context.Context // that lives now
	kill     context.CancelFunc
	external connect.ExternalID

	queue   [][]connect.ConnectionID
	checked map[connect.ConnectionID]int
}

// call makes a call unless the process has died, and ends it where it must: before the call has an effect, or when it
// has had one but nobody has heard of it.
func (m *mortalSweep) call(ctx context.Context, do func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	m.calls++
	last := m.calls == m.last
	if !last || m.after {
		do()
	}
	if last {
		m.kill()
	}
	return ctx.Err()
}

// hook is the store's.
func (m *mortalSweep) hook(_ string, call func() error) (err error) {
	if died := m.call(m.process, func() { err = call() }); died != nil {
		return died
	}
	return err
}

// RecordCheck counts how often a living process says that it has checked a connection.
func (m *mortalSweep) RecordCheck(ctx context.Context, id connect.ConnectionID, at time.Time) error {
	if ctx.Err() == nil {
		m.mu.Lock()
		m.checked[id]++
		m.mu.Unlock()
	}
	return m.Memory.RecordCheck(ctx, id, at)
}

func (m *mortalSweep) AssumeRole(ctx context.Context, r connect.AssumeRequest) (s connect.Session, err error) {
	if err := m.call(ctx, func() {}); err != nil {
		return s, err
	}
	return exact(r, m.external)
}

func (m *mortalSweep) Sweep(ctx context.Context, ids []connect.ConnectionID, _ time.Duration) error {
	return m.call(ctx, func() { m.queue = append(m.queue, ids) })
}

// live runs ticks and deliveries until there is nothing left to do, or the process dies.
func (m *mortalSweep) live(t *testing.T, now time.Time) {
	t.Helper()
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	m.process, m.kill = ctx, kill
	clock := func() time.Time { return now }
	tick := connect.Sweeping{Store: m, Jobs: m, Clock: clock, Interval: 24 * time.Hour, Jitter: func() float64 { return 0 }}
	h := queue.Handler{
		Sweeps: connect.Verifications{Store: m, Sweeps: m, Clock: clock, Verifier: connect.Verifier{Assumer: m, Clock: clock}},
		Jobs:   m, Parallel: 3, Log: slog.New(slog.DiscardHandler),
	}
	_, _ = tick.Tick(ctx)
	for range 100 {
		if ctx.Err() != nil || len(m.queue) == 0 {
			return
		}
		job := m.queue[0]
		m.queue = m.queue[1:]
		out, err := h.Handle(ctx, message(t, job))
		if err != nil || len(out.BatchItemFailures) > 0 || ctx.Err() != nil { // a dead function acknowledges nothing
			m.queue = append(m.queue, job)
		}
	}
	t.Fatal("jobs multiply")
}

// Wherever a tick or a check dies, what comes after it checks each due connection at least once.
func TestASweepKilledAnywhereResumes(t *testing.T) {
	snapshot, _ := serving(t)
	var all []connect.Connection
	for i := range 2 {
		for _, id := range idsIn(t, connect.SlotsAt(sweepNoon.Add(time.Duration(i+1)*time.Minute), 24*time.Hour)[0], 12) {
			snapshot.ID = id
			c, err := connect.Restore(snapshot)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, c)
		}
	}
	born := func() *mortalSweep {
		m := &mortalSweep{Memory: storetest.New(all...), external: snapshot.ExternalID, checked: map[connect.ConnectionID]int{}}
		m.IDPage = 10
		if err := m.Advance(t.Context(), time.Time{}, sweepNoon); err != nil {
			t.Fatal(err)
		}
		m.Around(m.hook)
		return m
	}
	seen := func(m *mortalSweep, now time.Time) (n int) {
		for _, c := range m.All() {
			if c.Snapshot().LastVerifiedAt.Equal(now) {
				n++
			}
		}
		return n
	}
	now := sweepNoon.Add(2 * time.Minute)
	whole := born()
	whole.live(t, now)
	most := 0
	for last := 1; last <= whole.calls; last++ {
		for _, after := range []bool{false, true} {
			m := born()
			m.last, m.after = last, after
			m.live(t, now)
			m.last = 0
			m.live(t, now)
			m.live(t, now)
			m.Around(nil)
			cursor, err := m.Cursor(t.Context())
			if n := seen(m, now); n != 24 || len(m.queue) > 0 || !cursor.Equal(now) || err != nil {
				t.Errorf("killed at call %d, after it %t: %d of 24 checked, %d jobs left, cursor %s, %v", last, after, n, len(m.queue), cursor, err)
			}
			most = max(most, slices.Max(slices.Collect(maps.Values(m.checked))))
		}
	}
	if most > 2 {
		t.Errorf("one death makes for up to %d checks of a connection", most)
	}
	t.Logf("killed at each of %d calls, before and after it had an effect: 24 of 24 checked, none more than %d times", whole.calls, most)
}
