package storetest

import (
	"context"
	"slices"

	"rolecall/shared/connect"
)

func (m *Memory) enrolment(id connect.EnrolmentID) (connect.Enrolment, error) {
	s, ok := m.records[enrolmentKey(id)].(connect.EnrolmentSnapshot)
	if !ok {
		return connect.Enrolment{}, connect.ErrEnrolmentNotFound
	}
	return connect.RestoreEnrolment(s)
}

// Enrolment implements connect.EnrolmentStore.
func (m *Memory) Enrolment(ctx context.Context, id connect.EnrolmentID) (connect.Enrolment, error) {
	return ask(ctx, m, "Enrolment", func() (connect.Enrolment, error) { return m.enrolment(id) })
}

// CommitEnrolment implements connect.EnrolmentStore.
func (m *Memory) CommitEnrolment(ctx context.Context, ch connect.EnrolmentChange) error {
	return m.do(ctx, "CommitEnrolment", func() error {
		var t transaction
		after := ch.Enrolment().Snapshot()
		if i := ch.Idempotency(); i != nil {
			t.idempotency(after.TenantID, connect.ConnectionID(after.ID), *i)
		}
		t.put(enrolmentKey(after.ID), after, func(old any) error {
			if s, _ := old.(connect.EnrolmentSnapshot); s.Version != ch.Expect() {
				return connect.ErrConflict
			}
			return nil
		})
		if err := t.event(ch.Event(), false); err != nil {
			return err
		}
		return m.commit(t)
	})
}

// Enrolments implements connect.EnrolmentStore.
func (m *Memory) Enrolments(ctx context.Context, tenant connect.TenantID, q connect.EventQuery) (connect.Page[connect.Enrolment], error) {
	return ask(ctx, m, "Enrolments", func() (page connect.Page[connect.Enrolment], err error) {
		before, err := readCursor(q.Cursor, connect.ParseEnrolmentID)
		if err != nil {
			return page, err
		}
		for _, text := range slices.Backward(m.kind(kindEnrolment)) {
			id := connect.EnrolmentID(text)
			e, err := m.enrolment(id)
			if err != nil {
				return page, err
			}
			if e.Snapshot().TenantID != tenant || (before != "" && id >= before) {
				continue
			}
			if len(page.Items) == q.Limit {
				page.Next = writeCursor(string(page.Items[q.Limit-1].ID()))
				return page, nil
			}
			page.Items = append(page.Items, e)
		}
		return page, nil
	})
}

// EnrolmentMembers implements connect.EnrolmentStore.
func (m *Memory) EnrolmentMembers(ctx context.Context, id connect.EnrolmentID, q connect.EventQuery) (connect.Page[connect.Member], error) {
	return ask(ctx, m, "EnrolmentMembers", func() (page connect.Page[connect.Member], err error) {
		after, err := readCursor(q.Cursor, connect.ParseAccountID)
		if err != nil {
			return page, err
		}
		for _, k := range m.of(kindMember, string(id)) {
			if k.name <= string(after) {
				continue
			}
			if len(page.Items) == q.Limit {
				page.Next = writeCursor(string(page.Items[q.Limit-1].AccountID))
				return page, nil
			}
			page.Items = append(page.Items, get[connect.Member](m, k))
		}
		return page, nil
	})
}
