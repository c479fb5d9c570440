package storetest

import (
	"context"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"time"

	"rolecall/shared/connect"
)

// kept is a connection as DynamoDB gives it back: what no record has is lost.
func kept(s connect.Snapshot) connect.Snapshot {
	for i, k := range s.Checks {
		s.Checks[i] = connect.Check{Name: k.Name, Verdict: k.Verdict, Reason: k.Reason, At: k.At}
	}
	return s
}

func keptFence(f connect.Fence) connect.Fence {
	f.Seen = maps.Clone(f.Seen)
	return f
}

// connection restores one from its record, as the use cases read it.
func (m *Memory) connection(id connect.ConnectionID) (connect.Connection, error) {
	s, ok := m.records[connectionKey(id)].(connect.Snapshot)
	if !ok {
		return connect.Connection{}, connect.ErrNotFound
	}
	return connect.Restore(s)
}

// checked is the connection with the time of its last check that changed nothing.
func (m *Memory) checked(id connect.ConnectionID) (connect.Connection, error) {
	c, err := m.connection(id)
	if at := get[time.Time](m, checkedKey(id)); err == nil && at.After(c.Snapshot().LastVerifiedAt) {
		s := c.Snapshot()
		s.LastVerifiedAt = at
		return connect.Restore(s)
	}
	return c, err
}

// Connection implements connect.ConnectionStore.
func (m *Memory) Connection(ctx context.Context, id connect.ConnectionID) (connect.Connection, error) {
	return ask(ctx, m, "Connection", func() (connect.Connection, error) { return m.checked(id) })
}

// Bare implements connect.VerificationStore.
func (m *Memory) Bare(ctx context.Context, id connect.ConnectionID) (connect.Connection, error) {
	return ask(ctx, m, "Bare", func() (connect.Connection, error) { return m.connection(id) })
}

// ConnectionAndFence implements connect.CallbackStore.
func (m *Memory) ConnectionAndFence(
	ctx context.Context, id connect.ConnectionID, stack connect.StackID,
) (c connect.Connection, f connect.Fence, err error) {
	c, err = ask(ctx, m, "ConnectionAndFence", func() (connect.Connection, error) {
		f = keptFence(get[connect.Fence](m, fenceKey(id, stack)))
		return m.connection(id)
	})
	if err != nil {
		return c, connect.Fence{}, err
	}
	return c, f, nil
}

// RecordCheck implements connect.VerificationStore.
func (m *Memory) RecordCheck(ctx context.Context, id connect.ConnectionID, at time.Time) error {
	return m.do(ctx, "RecordCheck", func() error {
		m.set(checkedKey(id), at)
		return nil
	})
}

// Connections implements connect.ConnectionStore.
func (m *Memory) Connections(
	ctx context.Context, tenant connect.TenantID, q connect.ListQuery,
) (connect.Page[connect.Connection], error) {
	return ask(ctx, m, "Connections", func() (page connect.Page[connect.Connection], err error) {
		before, err := readCursor(q.Cursor, connect.ParseConnectionID)
		if err != nil {
			return page, err
		}
		all, err := m.connections()
		slices.Reverse(all)
		for _, c := range all {
			if c.TenantID() != tenant || !picks(q, c) || (before != "" && c.ID() >= before) {
				continue
			}
			if len(page.Items) == q.Limit {
				page.Next = writeCursor(string(page.Items[q.Limit-1].ID()))
				return page, err
			}
			page.Items = append(page.Items, c)
		}
		return page, err
	})
}

// connections are all of them by id, without the times of checks that changed nothing.
func (m *Memory) connections() ([]connect.Connection, error) {
	var all []connect.Connection
	for _, id := range m.kind(kindConnection) {
		c, err := m.connection(connect.ConnectionID(id))
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func picks(q connect.ListQuery, c connect.Connection) bool {
	listed := c.Status() == q.Status || (q.Status == "" && c.Status() != connect.StatusDeleted)
	return listed && q.Scope.Picks(c) && strings.Contains(c.Snapshot().Name.Folded(), connect.Name(q.Contains).Folded())
}

func writeCursor(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// readCursor reads what a page before ended with; "" begins the list.
func readCursor[T ~string](cursor string, parse func(string) (T, error)) (T, error) {
	if cursor == "" {
		return "", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return "", errCursor
	}
	last, err := parse(string(text))
	if err != nil {
		return "", errCursor
	}
	return last, nil
}

var errCursor = connect.Invalid(connect.CodeCursorInvalid, "this is no cursor of this list")
