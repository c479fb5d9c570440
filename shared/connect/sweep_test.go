package connect_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

// calendar is a store that tells which minutes and slots it is asked for, and the queue of what was due then.
type calendar struct {
	*storetest.Memory
	minutes []time.Time // asked for
	asked   map[int]int // of each slot
	jobs    [][]connect.ConnectionID
	delays  []time.Duration
	failAt  int // the job that the queue refuses, from 1; 0 is none
}

func (c *calendar) Due(ctx context.Context, minute time.Time, cursor string) (connect.Page[connect.ConnectionID], error) {
	if cursor == "" {
		c.minutes = append(c.minutes, minute)
	}
	return c.Memory.Due(ctx, minute, cursor)
}

func (c *calendar) InSlot(ctx context.Context, slot int, cursor string) (connect.Page[connect.ConnectionID], error) {
	c.asked[slot]++
	return c.Memory.InSlot(ctx, slot, cursor)
}

func (c *calendar) Sweep(_ context.Context, ids []connect.ConnectionID, d time.Duration) error {
	if len(c.jobs)+1 == c.failAt {
		c.failAt = 0
		return errors.New("no queue")
	}
	c.jobs, c.delays = append(c.jobs, ids), append(c.delays, d)
	return nil
}

func newCalendar(t testing.TB, cursor time.Time, cs ...connect.Connection) *calendar {
	t.Helper()
	c := &calendar{Memory: storetest.New(cs...), asked: map[int]int{}}
	if err := c.Advance(t.Context(), time.Time{}, cursor); err != nil {
		t.Fatal(err)
	}
	return c
}

// inSlot are n connections that serve, of one slot; no two calls with different numbers have one in common.
func inSlot(t testing.TB, number, slot, n int) (cs []connect.Connection) {
	t.Helper()
	s := in(t, connect.StatusEnabled).Snapshot()
	for i := 0; len(cs) < n; i++ {
		if s.ID = connect.ConnectionID(fmt.Sprintf("conn_%06d%020d", number, i)); connect.Slot(s.ID) == slot {
			cs = append(cs, must[connect.Connection](t)(connect.Restore(s)))
		}
	}
	return cs
}

// slotAt is the slot whose turn is in a minute, once a day.
func slotAt(minute time.Time) int { return connect.SlotsAt(minute, 24*time.Hour)[0] }

func idsOf(cs []connect.Connection) (ids []connect.ConnectionID) {
	for _, c := range cs {
		ids = append(ids, c.ID())
	}
	return ids
}

func (c *calendar) sweeping(now *time.Time, interval time.Duration, jitter float64) connect.Sweeping {
	return connect.Sweeping{
		Store: c, Jobs: c, Interval: interval, Clock: func() time.Time { return *now }, Jitter: func() float64 { return jitter },
	}
}

// After an outage every minute has its turn, each once, an hour's worth with each tick.
func TestMissedMinutesAreCaughtUp(t *testing.T) {
	const missed = 150
	now := noon.Add(missed * time.Minute)
	var all []connect.Connection
	for i := range missed {
		all = append(all, inSlot(t, i, slotAt(noon.Add(time.Duration(i+1)*time.Minute)), 1)...)
	}
	c := newCalendar(t, noon, all...)
	u := c.sweeping(&now, 24*time.Hour, 0)
	for i, want := range []int{60, 60, 30, 0} {
		if n, err := u.Tick(t.Context()); err != nil || n != want {
			t.Errorf("tick %d queued %d, %v; want %d", i, n, err, want)
		}
	}
	if got := slices.Concat(c.jobs...); !slices.Equal(got, idsOf(all)) {
		t.Errorf("queued %d connections: %v", len(got), got)
	}
	for i, m := range c.minutes {
		if want := noon.Add(time.Duration(i+1) * time.Minute); !m.Equal(want) {
			t.Errorf("minute %d is %s, want %s", i, m, want)
		}
	}
	for slot, n := range c.asked {
		if n != 1 {
			t.Errorf("slot %d was asked for %d times", slot, n)
		}
	}
}

// A deployment's interval decides how often a connection has its turn.
func TestTheIntervalIsTheDeployments(t *testing.T) {
	for interval, want := range map[time.Duration]int{24 * time.Hour: 1, 6 * time.Hour: 4, time.Hour: 24} {
		now := noon
		c := newCalendar(t, noon, inSlot(t, 0, 77, 1)...)
		u := c.sweeping(&now, interval, 0)
		for now.Before(noon.Add(24 * time.Hour)) {
			now = now.Add(time.Minute)
			if _, err := u.Tick(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if len(c.jobs) != want {
			t.Errorf("%s: %d checks a day, want %d", interval, len(c.jobs), want)
		}
	}
}

func TestJobsAreBatchedAndSpread(t *testing.T) {
	all := inSlot(t, 0, slotAt(noon.Add(time.Minute)), 700)
	pending := other(t, "due").Snapshot()
	pending.Launches[0].ExpiresAt, pending.UpdatedAt = noon.Add(time.Minute), noon
	for i := range 30 {
		pending.ID = connect.ConnectionID(fmt.Sprintf("conn_%026d", i))
		all = append(all, must[connect.Connection](t)(connect.Restore(pending)))
	}
	for _, jitter := range []float64{-1, 0, 1} {
		now := noon.Add(time.Minute)
		c := newCalendar(t, noon, all...)
		c.IDPage = 250
		if n, err := c.sweeping(&now, 24*time.Hour, jitter).Tick(t.Context()); err != nil || n != len(all) {
			t.Fatal(n, err)
		}
		var sizes []int
		for _, j := range c.jobs {
			sizes = append(sizes, len(j))
		}
		if want := []int{30, 100, 100, 50, 100, 100, 50, 100, 100}; !slices.Equal(sizes, want) {
			t.Errorf("batches %v, want %v", sizes, want)
		}
		if c.delays[0] != 0 {
			t.Errorf("the first job waits %s", c.delays[0])
		}
		for _, d := range c.delays[1:] {
			if want := time.Duration((1 + jitter) / 2 * float64(45*time.Second)); d != want {
				t.Errorf("jitter %v: delay %s, want %s", jitter, d, want)
			}
		}
	}
}

// Wherever the queue fails, the next tick queues that minute again and leaves nobody out.
func TestATickGoesOnWhereItFailed(t *testing.T) {
	all := append(inSlot(t, 1, slotAt(noon.Add(time.Minute)), 300), inSlot(t, 2, slotAt(noon.Add(2*time.Minute)), 300)...)
	for at := 1; at <= 6; at++ {
		now := noon.Add(2 * time.Minute)
		c := newCalendar(t, noon, all...)
		c.failAt = at
		u := c.sweeping(&now, 24*time.Hour, 0)
		if _, err := u.Tick(t.Context()); err == nil {
			t.Errorf("job %d: nothing failed", at)
		}
		if _, err := u.Tick(t.Context()); err != nil {
			t.Errorf("job %d: %v", at, err)
		}
		got := slices.Concat(c.jobs...)
		slices.Sort(got)
		twice := len(got) - len(all)
		got = slices.Compact(got)
		if len(got) != len(all) || twice >= 300 {
			t.Errorf("job %d: %d of %d queued, %d twice", at, len(got), len(all), twice)
		}
	}
}

// Two checks of each turn, and all of them once a week, however often a turn comes.
func TestAllChecksAreMadeOnceAWeek(t *testing.T) {
	for _, interval := range []time.Duration{24 * time.Hour, 6 * time.Hour, time.Hour} {
		c := in(t, connect.StatusEnabled)
		b := newBench(c)
		b.acct.trust = platform().TrustPolicy(c.Snapshot().ExternalID)
		b.u.Interval = interval
		turns := int(14 * 24 * time.Hour / interval)
		full := 0
		b.now = connect.NextTurn(c.ID(), interval, noon)
		for range turns {
			b.acct.asked = nil
			b.now = b.now.Add(90 * time.Second) // the queue takes its time
			if err := b.u.Sweep(t.Context(), c.ID()); err != nil {
				t.Fatal(err)
			}
			switch len(b.acct.asked) {
			case 2:
			case 3:
				full++
			default:
				t.Fatalf("%d calls of STS", len(b.acct.asked))
			}
			b.now = b.now.Add(interval - 90*time.Second)
		}
		if full != 2 {
			t.Errorf("%s: all checks were made %d times in two weeks", interval, full)
		}
	}
}

// What only the third check sees is found by the weekly one; it counts until the connection degrades, and is cleared
// only by a role that passes it again.
func TestAWildcardThatCameLaterIsFound(t *testing.T) {
	c := in(t, connect.StatusEnabled)
	b := newBench(c)
	b.u.Interval = 24 * time.Hour
	b.acct.trust = platform().TrustPolicy(c.Snapshot().ExternalID)
	strict := b.acct.assume
	b.acct.assume = func(r connect.AssumeRequest) error {
		if r.ExternalID == "" {
			return errDenied
		}
		return nil
	}
	now := func() connect.Snapshot { return b.store.Get(c.ID()).Snapshot() }
	for day := 0; day < 7 && now().Strikes == 0; day++ {
		b.now = b.now.Add(24 * time.Hour)
		if err := b.u.Sweep(t.Context(), c.ID()); err != nil {
			t.Fatal(err)
		}
	}
	if now().Strikes != 1 || now().StatusReason.Code != connect.CodeExternalIDIgnored {
		t.Fatalf("after a week: %d strikes, %+v", now().Strikes, now().StatusReason)
	}
	for range 2 {
		b.now = b.now.Add(6 * time.Minute)
		if err := b.u.Sweep(t.Context(), c.ID()); err != nil {
			t.Fatal(err)
		}
	}
	if now().Status != connect.StatusDegraded {
		t.Fatalf("%s after %d strikes", now().Status, now().Strikes)
	}
	if wait := now().NextVerificationAt.Sub(b.now); wait != 15*time.Minute {
		t.Errorf("a degraded connection is checked again after %s", wait)
	}
	b.acct.assume = strict
	b.now = now().NextVerificationAt
	if err := b.u.Sweep(t.Context(), c.ID()); err != nil || now().Status != connect.StatusEnabled || now().Strikes != 0 {
		t.Errorf("%s, %d strikes, %v", now().Status, now().Strikes, err)
	}
}

// The minute in which a degraded connection is due comes once. If AWS fails just then, a message keeps it in mind.
func TestAnOutageForgetsNobodyWhoIsDue(t *testing.T) {
	c := in(t, connect.StatusDegraded)
	b := newBench(c)
	b.now = c.Snapshot().NextVerificationAt
	b.acct.assume = func(connect.AssumeRequest) error { return errors.New("503") }
	if err := b.u.Sweep(t.Context(), c.ID()); err != nil || len(b.store.Log()) > 0 {
		t.Fatal(err, b.store.Log())
	}
	if !slices.Equal(b.out.sweeps, []connect.ConnectionID{c.ID()}) || b.out.delays[0] != 15*time.Minute {
		t.Errorf("queued %v after %v", b.out.sweeps, b.out.delays)
	}
}

// An invocation that ends in the middle of a check has not made it: the connection must be handed back.
func TestACheckCutShortIsNoCheck(t *testing.T) {
	c := in(t, connect.StatusEnabled)
	b := newBench(c)
	ctx, end := context.WithCancel(t.Context())
	b.acct.assume = func(connect.AssumeRequest) error {
		end()
		return ctx.Err()
	}
	if err := b.u.Sweep(ctx, c.ID()); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
