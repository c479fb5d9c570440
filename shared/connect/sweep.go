package connect

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"time"
)

// Slots is how many slots the connections that serve are spread over: one for each minute of a day.
const Slots = 1440

// Slot is the connection's slot, fixed for its life.
func Slot(id ConnectionID) int {
	return int(hash(id) % Slots)
}

func hash(id ConnectionID) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // a hash never fails
	return h.Sum32()
}

// A SweepStore tells which connections are due.
type SweepStore interface {
	// Cursor is the last minute that was swept; zero before the first sweep.
	Cursor(ctx context.Context) (time.Time, error)
	// Advance moves the cursor from one minute to a later one; ErrConflict where it has been moved meanwhile.
	Advance(ctx context.Context, from, to time.Time) error
	// Due lists connections due in a minute, a page at a time.
	Due(ctx context.Context, minute time.Time, cursor string) (Page[ConnectionID], error)
	// InSlot lists the connections of a slot that serve, or served until they degraded, a page at a time.
	InSlot(ctx context.Context, slot int, cursor string) (Page[ConnectionID], error)
}

// SweepJobs queues connections to look at.
type SweepJobs interface {
	// Sweep queues up to SweepBatch connections as one job, to be taken up after delay, 15 minutes at most.
	Sweep(ctx context.Context, ids []ConnectionID, delay time.Duration) error
}

// SweepBatch is the most connections of one job.
const SweepBatch = 100

// Sweeping is the schedule's tick.
type Sweeping struct {
	Store    SweepStore
	Jobs     SweepJobs
	Clock    func() time.Time
	Interval time.Duration  // between two checks of an enabled connection; a day at most
	Jitter   func() float64 // in [-1,1]
}

// sweepSpread is the stretch of time over which a tick's jobs are spread: a minute holds as many as any other, so that
// STS need not answer them all in its first seconds. The first job goes at once.
const sweepSpread = 45 * time.Second

// maxCatchUp bounds the minutes of one tick; further missed ones are caught up by the next.
const maxCatchUp = 60

// Tick queues every connection that has become due since the cursor. The cursor moves minute by minute, after a minute's
// jobs are queued: a tick that dies is taken up where it stopped, and a connection may be queued twice but is never
// left out. It answers with the number of connections queued.
func (u Sweeping) Tick(ctx context.Context) (int, error) {
	cursor, err := u.Store.Cursor(ctx)
	if err != nil {
		return 0, err
	}
	now := u.Clock().UTC().Truncate(time.Minute)
	from := cursor
	if from.IsZero() {
		from = now.Add(-time.Minute)
	}
	t := tick{Sweeping: u}
	for n := 0; from.Before(now) && n < maxCatchUp; n++ {
		minute := from.Add(time.Minute)
		if err := t.minute(ctx, minute); err != nil {
			return t.queued, fmt.Errorf("sweep %s: %w", minute.Format(time.RFC3339), err)
		}
		if err := u.Store.Advance(ctx, cursor, minute); err != nil {
			return t.queued, err
		}
		cursor, from = minute, minute
	}
	return t.queued, nil
}

// A tick counts what it has queued.
type tick struct {
	Sweeping
	queued int
}

func (t *tick) minute(ctx context.Context, minute time.Time) error {
	err := t.queueAll(ctx, func(cursor string) (Page[ConnectionID], error) {
		return t.Store.Due(ctx, minute, cursor)
	})
	if err != nil {
		return err
	}
	for _, slot := range SlotsAt(minute, t.Interval) {
		err := t.queueAll(ctx, func(cursor string) (Page[ConnectionID], error) {
			return t.Store.InSlot(ctx, slot, cursor)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// SlotsAt are the slots whose turn it is in a minute, so that each slot has its turn once in an interval. The interval
// must divide a day into whole minutes.
func SlotsAt(minute time.Time, interval time.Duration) []int {
	turns := int(interval / time.Minute)
	turn := int(minute.Unix() / 60 % int64(turns))
	each := Slots / turns
	slots := make([]int, each)
	for i := range slots {
		slots[i] = turn*each + i
	}
	return slots
}

// NextTurn is the next minute after now in which the connection's slot has its turn.
func NextTurn(id ConnectionID, interval time.Duration, now time.Time) time.Time {
	turns := int64(interval / time.Minute)
	turn := int64(Slot(id)) / (Slots / turns)
	minute := now.Unix() / 60
	wait := (turn - minute%turns + turns) % turns
	if wait == 0 {
		wait = turns
	}
	return time.Unix((minute+wait)*60, 0).UTC()
}

// week is how often all checks are made of a role that serves; in between, two of them must do.
const week = 7 * 24 * time.Hour

// fullTurn says that this turn of the connection's slot is the one in a week in which all checks are made. It follows
// from the id alone, so that nothing need be kept or read for it; the connections of a slot are spread over the week.
func fullTurn(id ConnectionID, interval time.Duration, now time.Time) bool {
	if interval <= 0 {
		return false
	}
	turns, own := int64(week/interval), int64(hash(id)/Slots)
	begun := NextTurn(id, interval, now).Add(-interval)
	return begun.Unix()/int64(interval/time.Second)%turns == own%turns
}

func (t *tick) queueAll(ctx context.Context, list func(cursor string) (Page[ConnectionID], error)) error {
	cursor := ""
	for {
		page, err := list(cursor)
		if err != nil {
			return err
		}
		for ids := range slices.Chunk(page.Items, SweepBatch) {
			if err := t.Jobs.Sweep(ctx, ids, t.delay()); err != nil {
				return err
			}
			t.queued += len(ids)
		}
		if page.Next == "" {
			return nil
		}
		cursor = page.Next
	}
}

func (t *tick) delay() time.Duration {
	if t.queued == 0 {
		return 0
	}
	return time.Duration((1 + t.Jitter()) / 2 * float64(sweepSpread))
}
