package storetest

import (
	"context"

	"rolecall/shared/connect"
)

// Commit implements connect.ConnectionStore.
func (m *Memory) Commit(ctx context.Context, ch connect.Change) error {
	return m.do(ctx, "Commit", func() error {
		var t transaction
		if i := ch.Idempotency(); i != nil {
			t.idempotency(ch.Connection().TenantID(), ch.Connection().ID(), *i)
		}
		for _, one := range append([]connect.Change{ch}, ch.Also()...) {
			if err := t.change(one); err != nil {
				return err
			}
		}
		return m.commit(t)
	})
}

// change adds what one connection's change writes.
func (t *transaction) change(ch connect.Change) error {
	c, id, tenant := ch.Connection(), ch.Connection().ID(), ch.Connection().TenantID()
	t.put(connectionKey(id), kept(c.Snapshot()), func(old any) error {
		if s, _ := old.(connect.Snapshot); s.Version != ch.Expect() {
			return connect.ErrConflict
		}
		return nil
	})
	for _, e := range ch.Events() {
		if err := t.event(e, false); err != nil {
			return err
		}
	}
	if ch.ReservesName() {
		t.put(nameKey(tenant, c.Snapshot().Name), id, free(id, always(connect.ErrNameTaken)))
	}
	t.member(ch)
	if f := ch.Fence(); f != nil {
		t.put(fenceKey(id, f.StackID), keptFence(*f), func(old any) error {
			if was, _ := old.(connect.Fence); was.Deleted && !f.Deleted {
				return connect.ErrConflict
			}
			return nil
		})
	}
	t.owns(ch, tenant, id)
	if e := ch.Note(); e != nil {
		return t.event(*e, true)
	}
	return nil
}

// owns adds what the connection alone has within its tenant from now on, or no longer.
func (t *transaction) owns(ch connect.Change, tenant connect.TenantID, id connect.ConnectionID) {
	if r := ch.ClaimsRole(); !r.IsZero() {
		t.put(roleKey(tenant, r), id, free(id, always(connect.ErrRoleInUse)))
	}
	for _, r := range ch.ReleasesRoles() {
		t.release(roleKey(tenant, r), id)
	}
	for _, claim := range ch.ClaimsScopes() {
		t.claim(tenant, claim, id)
	}
	if i := ch.ClaimsIntake(); i != nil {
		t.put(intakeKey(tenant), id, only(i.Replaces, connect.ErrConflict))
	}
	for _, s := range ch.ReleasesScopes() {
		t.release(scopeKey(tenant, s), id)
	}
	if a := ch.ClaimsAccount(); a != "" {
		t.put(accountKey(tenant, a), id, free(id, func(holder connect.ConnectionID) error { return connect.ErrAccountHeld(holder) }))
	}
	if a := ch.ReleasesAccount(); a != "" {
		t.release(accountKey(tenant, a), id)
	}
}

func (t *transaction) release(k key, id connect.ConnectionID) {
	t.put(k, nil, free(id, always(connect.ErrConflict)))
}

// claim adds a scope: a free one, or one that is taken from the connection that has it.
func (t *transaction) claim(tenant connect.TenantID, c connect.ScopeClaim, id connect.ConnectionID) {
	refuse := free(id, func(holder connect.ConnectionID) error { return connect.ErrScopeTaken(c.Scope, holder) })
	if c.From != "" {
		refuse = only(c.From, connect.ErrConflict)
	}
	t.put(scopeKey(tenant, c.Scope), id, refuse)
}

// A request is what the first one with an Idempotency-Key has made.
type request struct {
	made connect.ConnectionID // or an enrolment's id
	connect.Idempotency
}

func (t *transaction) idempotency(tenant connect.TenantID, id connect.ConnectionID, i connect.Idempotency) {
	t.put(requestKey(tenant, i.Key), request{id, i}, func(old any) error { return repeated(old, i) })
}

func repeated(old any, i connect.Idempotency) error {
	was, there := old.(request)
	switch {
	case !there:
		return nil
	case was.Request != i.Request:
		return connect.ErrIdempotencyReused
	}
	return &connect.AlreadyDone{ID: was.made}
}

// Replay implements connect.Replays.
func (m *Memory) Replay(ctx context.Context, tenant connect.TenantID, i connect.Idempotency) error {
	return m.do(ctx, "Replay", func() error { return repeated(m.records[requestKey(tenant, i.Key)], i) })
}

// member adds how far the account of an enrolment has come that the connection was made for.
func (t *transaction) member(ch connect.Change) {
	member, ok := connect.MemberOf(ch.Connection())
	if !ok {
		return
	}
	var refuse func(any) error
	if ch.Expect() == 0 {
		refuse = notItsOwn
	}
	t.put(memberKey(member.EnrolmentID, member.AccountID), member, refuse)
	if s := ch.Joins(); !s.IsZero() {
		t.put(stackKey(member.EnrolmentID, s), stack{seen: seenLinked + ch.Connection().Version()}, notDeleted)
	}
}

// A stack is what an enrolment remembers of one that is not its account's connection's.
type stack struct {
	deleted bool
	seen    int64
}

// seenLinked marks a stack whose report was taken.
const seenLinked = 1

// notItsOwn keeps the connection that the enrolment made for an account from being forgotten.
func notItsOwn(old any) error {
	if m, _ := old.(connect.Member); m.Own != "" {
		return connect.ErrConflict
	}
	return nil
}

func notDeleted(old any) error {
	if s, _ := old.(stack); s.deleted {
		return connect.ErrConflict
	}
	return nil
}
