package storetest

import (
	"context"
	"time"

	"rolecall/shared/connect"
)

// Membership implements connect.SettlingStore.
func (m *Memory) Membership(ctx context.Context, id connect.EnrolmentID, s connect.StackID) (connect.Membership, error) {
	return ask(ctx, m, "Membership", func() (connect.Membership, error) {
		e, err := m.enrolment(id)
		if err != nil {
			return connect.Membership{}, err
		}
		seen := get[stack](m, stackKey(id, s))
		out := connect.Membership{Enrolment: e, StackDeleted: seen.deleted, StackSeen: seen.seen}
		if member, ok := m.records[memberKey(id, s.Account())].(connect.Member); ok {
			out.Member = &member
		}
		return out, nil
	})
}

// Serving implements connect.SettlingStore.
func (m *Memory) Serving(
	ctx context.Context, tenant connect.TenantID, account connect.AccountID,
) (c connect.Connection, ok bool, err error) {
	c, err = ask(ctx, m, "Serving", func() (connect.Connection, error) {
		var found connect.Connection
		found, ok, err = m.serving(tenant, account)
		return found, err
	})
	return c, ok && err == nil, err
}

// serving finds the one of the enrolments' connections that serves the account, else any other one of the tenant's.
func (m *Memory) serving(tenant connect.TenantID, account connect.AccountID) (connect.Connection, bool, error) {
	if id := get[connect.ConnectionID](m, accountKey(tenant, account)); id != "" {
		if c, err := m.connection(id); err != nil || serves(c) {
			return c, err == nil, err
		}
	}
	all, err := m.connections()
	for _, c := range all {
		if c.TenantID() == tenant && serves(c) && c.Snapshot().AccountID == account {
			return c, true, nil
		}
	}
	return connect.Connection{}, false, err
}

func serves(c connect.Connection) bool {
	return c.Status() == connect.StatusEnabled || c.Status() == connect.StatusDegraded
}

// KeepFence implements connect.SettlingStore. Nothing expires here.
func (m *Memory) KeepFence(ctx context.Context, id connect.ConnectionID, f connect.Fence, until time.Time) error {
	return m.do(ctx, "KeepFence", func() error {
		if _, known := m.records[fenceKey(id, f.StackID)]; known && !until.IsZero() {
			return connect.ErrConflict
		}
		m.set(fenceKey(id, f.StackID), keptFence(f))
		return nil
	})
}

// CommitMember implements connect.SettlingStore.
func (m *Memory) CommitMember(ctx context.Context, ch connect.MemberChange) error {
	return m.do(ctx, "CommitMember", func() error {
		var t transaction
		t.membership(ch)
		if e := ch.Event(); e != nil {
			if err := t.event(*e, true); err != nil {
				return err
			}
		}
		return m.commit(t)
	})
}

// membership adds a step of an account's that is not its connection's.
func (t *transaction) membership(ch connect.MemberChange) {
	member := ch.Member()
	account, of := memberKey(member.EnrolmentID, member.AccountID), stackKey(member.EnrolmentID, member.StackID)
	seen := stack{deleted: ch.StackDeleted(), seen: seenLinked}
	switch {
	case member.State != "":
		t.put(account, member, notItsOwn)
		if member.State == connect.MemberLinked {
			t.put(of, seen, notDeleted)
		}
	case member.ConnectionID != "":
		t.put(account, nil, linkedBy(member.StackID))
		t.put(of, seen, nil)
	case ch.StackSeen() == 0:
		t.put(of, seen, unless(connect.ErrConflict))
	default:
		seen.seen = ch.StackSeen()
		t.put(of, seen, func(old any) error {
			if is, _ := old.(stack); is.seen != seen.seen {
				return connect.ErrConflict
			}
			return nil
		})
	}
}

// linkedBy refuses to forget an account that is not, or no longer, linked by the stack.
func linkedBy(s connect.StackID) func(any) error {
	return func(old any) error {
		if m, _ := old.(connect.Member); m.State != connect.MemberLinked || m.StackID != s || m.Own != "" {
			return connect.ErrConflict
		}
		return nil
	}
}
