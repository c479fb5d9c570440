package storetest

import (
	"cmp"
	"context"
	"time"

	"rolecall/shared/connect"
)

// Cursor implements connect.SweepStore.
func (m *Memory) Cursor(ctx context.Context) (time.Time, error) {
	return ask(ctx, m, "Cursor", func() (time.Time, error) { return get[time.Time](m, cursorKey()), nil })
}

// Advance implements connect.SweepStore.
func (m *Memory) Advance(ctx context.Context, from, to time.Time) error {
	return m.do(ctx, "Advance", func() error {
		if !get[time.Time](m, cursorKey()).Equal(from.UTC().Truncate(time.Minute)) {
			return connect.ErrConflict
		}
		m.set(cursorKey(), to.UTC().Truncate(time.Minute))
		return nil
	})
}

// Due implements connect.SweepStore.
func (m *Memory) Due(ctx context.Context, minute time.Time, cursor string) (connect.Page[connect.ConnectionID], error) {
	minute = minute.UTC().Truncate(time.Minute)
	return m.ids(ctx, "Due", cursor, func(c connect.Connection) bool {
		due := c.DueAt()
		return !due.IsZero() && dueMinute(due, c.Snapshot().UpdatedAt).Equal(minute)
	})
}

// dueMinute is the first minute that has not begun before the connection is due, and that no sweep can have passed.
func dueMinute(due, written time.Time) time.Time {
	if least := written.Add(time.Minute); due.Before(least) {
		due = least
	}
	return due.Add(time.Minute - time.Nanosecond).Truncate(time.Minute)
}

// InSlot implements connect.SweepStore.
func (m *Memory) InSlot(ctx context.Context, slot int, cursor string) (connect.Page[connect.ConnectionID], error) {
	return m.ids(ctx, "InSlot", cursor, func(c connect.Connection) bool { return serves(c) && connect.Slot(c.ID()) == slot })
}

func (m *Memory) ids(ctx context.Context, op, cursor string, picks func(connect.Connection) bool) (connect.Page[connect.ConnectionID], error) {
	return ask(ctx, m, op, func() (page connect.Page[connect.ConnectionID], err error) {
		limit := cmp.Or(m.IDPage, 1000)
		all, err := m.connections()
		for _, c := range all {
			if string(c.ID()) <= cursor || !picks(c) {
				continue
			}
			if len(page.Items) == limit {
				page.Next = string(page.Items[limit-1])
				break
			}
			page.Items = append(page.Items, c.ID())
		}
		return page, err
	})
}
