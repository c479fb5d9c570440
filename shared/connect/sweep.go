package connect

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"
)

// Slots is how many slots the enabled connections are spread over: one for each minute of a day.
const Slots = 1440

// Slot is the connection's slot, fixed for its life.
func Slot(id ConnectionID) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // a hash never fails
	return int(h.Sum32() % Slots)
}

// A SweepStore tells which connections are due.
type SweepStore interface {
	// Cursor is the last minute that was swept; zero before the first sweep.
	Cursor(ctx context.Context) (time.Time, error)
	// Advance moves the cursor from one minute to a later one; ErrConflict where it has been moved meanwhile.
	Advance(ctx context.Context, from, to time.Time) error
	// Due lists connections due in a minute, a page at a time.
	Due(ctx context.Context, minute time.Time, cursor string) (Page[ConnectionID], error)
	// InSlot lists enabled connections of a slot, a page at a time.
	InSlot(ctx context.Context, slot int, cursor string) (Page[ConnectionID], error)
}

// SweepJobs queues connections to look at.
type SweepJobs interface {
	// Sweep queues up to SweepBatch connections as one job.
	Sweep(ctx context.Context, ids []ConnectionID) error
}

// SweepBatch is the most connections of one job.
const SweepBatch = 100

// Sweeping is the schedule's tick.
type Sweeping struct {
	Store    SweepStore
	Jobs     SweepJobs
	Clock    func() time.Time
	Interval time.Duration // between two checks of an enabled connection; a day at most
}

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
	queued := 0
	for n := 0; from.Before(now) && n < maxCatchUp; n++ {
		minute := from.Add(time.Minute)
		k, err := u.minute(ctx, minute)
		queued += k
		if err != nil {
			return queued, fmt.Errorf("sweep %s: %w", minute.Format(time.RFC3339), err)
		}
		if err := u.Store.Advance(ctx, cursor, minute); err != nil {
			return queued, err
		}
		cursor, from = minute, minute
	}
	return queued, nil
}

func (u Sweeping) minute(ctx context.Context, minute time.Time) (int, error) {
	queued, err := u.queueAll(ctx, func(cursor string) (Page[ConnectionID], error) {
		return u.Store.Due(ctx, minute, cursor)
	})
	if err != nil {
		return queued, err
	}
	for _, slot := range SlotsAt(minute, u.Interval) {
		n, err := u.queueAll(ctx, func(cursor string) (Page[ConnectionID], error) {
			return u.Store.InSlot(ctx, slot, cursor)
		})
		queued += n
		if err != nil {
			return queued, err
		}
	}
	return queued, nil
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

func (u Sweeping) queueAll(ctx context.Context, list func(cursor string) (Page[ConnectionID], error)) (int, error) {
	queued, cursor := 0, ""
	for {
		page, err := list(cursor)
		if err != nil {
			return queued, err
		}
		for ids := page.Items; len(ids) > 0; {
			n := min(len(ids), SweepBatch)
			if err := u.Jobs.Sweep(ctx, ids[:n]); err != nil {
				return queued, err
			}
			queued, ids = queued+n, ids[n:]
		}
		if page.Next == "" {
			return queued, nil
		}
		cursor = page.Next
	}
}
