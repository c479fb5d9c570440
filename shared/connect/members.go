package connect

import (
	"context"
	"errors"
	"io"
	"time"
)

// A Membership is what is known of an account and a stack of it that report to an enrolment.
type Membership struct {
	Enrolment    Enrolment
	Member       *Member // nil where the account has not reported before
	StackDeleted bool    // the stack's Delete has come already
	StackSeen    int64   // changes whenever a report of the stack is taken; 0 where none ever was
}

// A MemberChange is a step of an account's membership that makes no change of its own connection: the account is linked to
// a connection that serves it already, the link ends, or a Delete came before anything else.
type MemberChange struct {
	member  Member
	deleted bool
	seen    int64
	event   *Event
}

// Member is the account after the change; its State is "" where it is to be forgotten or was never known.
func (c MemberChange) Member() Member { return c.member }

// StackDeleted says that the member's stack has gone: no later word of it counts.
func (c MemberChange) StackDeleted() bool { return c.deleted }

// StackSeen must still be what it was when the membership was read, where the change is of the stack alone.
func (c MemberChange) StackSeen() int64 { return c.seen }

// Event is a note for the timeline of the connection that is linked; nil where there is none.
func (c MemberChange) Event() *Event { return c.event }

// A MemberStore is what receiving the callbacks of an organization's accounts needs of a store.
type MemberStore interface {
	// Membership reads consistently; ErrEnrolmentNotFound where there is no such enrolment.
	Membership(ctx context.Context, id EnrolmentID, stack StackID) (Membership, error)
	// Serving is a connection of the tenant's that is enabled or degraded for the account; ok is false where there is
	// none. One that no enrolment made and that has just become so may be missed.
	Serving(ctx context.Context, tenant TenantID, account AccountID) (c Connection, ok bool, err error)
	// Admit counts one more account of an enrolment that has proven nothing; ErrEnrolmentFull where there were most of them
	// already.
	Admit(ctx context.Context, id EnrolmentID, most int) error
	// CommitMember writes the change; ErrConflict where the account or the stack is no longer as it was read.
	CommitMember(ctx context.Context, ch MemberChange) error
}

// Members receives what the stacks of an organization's accounts report.
type Members struct {
	Store  MemberStore
	Tokens EnrolmentTokens
	Random io.Reader
	Limit  *Ration // of contenders; nil for none
}

// ErrEnrolmentFull says that as many accounts have reported to an enrolment as are written down before they are proven.
var ErrEnrolmentFull = errors.New("the enrolment takes no further account that has proven nothing")

var (
	errEnrolmentRevoked = &Error{
		Kind: KindConflict, Code: CodeEnrolmentRevoked, Message: "this enrolment has been revoked and takes no further account",
		Fix: "Delete the stack set, or ask the platform for a new enrolment.",
	}
	errAccountConnected = &Error{
		Kind: KindConflict, Code: CodeAccountConnected, Message: "this account is already connected by another stack",
		Fix: "Delete the account's other stack, then deploy this one again.",
	}
	errMemberDeleted = &Error{
		Kind: KindConflict, Code: CodeNotFound, Message: "the platform has deleted this account's connection for good",
		Fix: "Delete this stack, or ask the platform for a new enrolment.",
	}
)

// memberNames bounds the names that are tried for an account.
const memberNames = 25

// receiveMember acts upon a callback of an organization's account. Everything in it but the stack's account is a
// stranger's word even when the token is right: every account of the organization can read the token.
func (u Callbacks) receiveMember(ctx context.Context, r CallbackRequest) (*Reply, error) {
	id, err := ParseEnrolmentID(r.EnrolmentID)
	if err != nil {
		return nil, err
	}
	if err = u.Members.Tokens.ProveEnrolment(ctx, id, r.Token); err != nil {
		return nil, err
	}
	if r.Callback.Resource == ResourceStackStarted {
		return &Reply{OK: true}, nil // the account's own resource tells of its beginning and its end
	}
	if r.Callback.RoleARN, err = u.role(r); err != nil {
		return nil, err
	}
	if err = u.readGrant(&r.Callback, r.PermissionSet); err != nil {
		return nil, err
	}
	var reply *Reply
	for range attempts {
		if reply, err = u.member(ctx, id, r); !errors.Is(err, ErrConflict) {
			return reply, err
		}
	}
	return nil, err
}

func (u Callbacks) member(ctx context.Context, id EnrolmentID, r CallbackRequest) (*Reply, error) {
	m, err := u.Members.Store.Membership(ctx, id, r.Callback.StackID)
	if err != nil {
		return nil, err
	}
	switch {
	case m.Member != nil && m.Member.Own != "":
		return u.memberReports(ctx, m, m.Member.Own, r)
	case r.Callback.Type == RequestDelete:
		return &Reply{OK: true}, u.leave(ctx, m, r.Callback)
	case m.StackDeleted:
		return nil, errStackDeleted
	case m.Enrolment.s.Status == EnrolmentRevoked:
		return nil, u.turnAway(ctx, m, r.Callback)
	}
	return u.join(ctx, m, r)
}

// memberReports takes the report of an account that has a connection of the enrolment's.
func (u Callbacks) memberReports(ctx context.Context, m Membership, id ConnectionID, r CallbackRequest) (*Reply, error) {
	c, fence, err := u.Store.ConnectionAndFence(ctx, id, r.Callback.StackID)
	if err != nil {
		return nil, err
	}
	if r.Callback.Type != RequestDelete {
		switch {
		case c.s.Status == StatusDeleted:
			return nil, errMemberDeleted
		case m.StackDeleted:
			return nil, errStackDeleted
		case m.Enrolment.s.Status == EnrolmentRevoked && c.s.Stack.ID != r.Callback.StackID:
			return nil, errEnrolmentRevoked
		case c.s.Stack.ID != r.Callback.StackID && c.serves(r.Callback.RoleARN):
			return &Reply{OK: true}, nil
		case c.s.Stack.ID != r.Callback.StackID && (c.s.Status == StatusVerifying || c.s.Status == StatusDegraded):
			if err := u.admitContender(ctx, m.Enrolment); err != nil {
				return nil, err
			}
			return u.contend(ctx, m.Enrolment, r)
		}
	}
	d, err := u.decide(ctx, m, c, fence, r.Callback)
	if err != nil {
		return nil, err
	}
	if d.Change != nil {
		if err := u.Store.Commit(ctx, *d.Change); err != nil {
			return nil, err
		}
		c = d.Change.Connection()
	}
	return u.conclude(ctx, c, d, r)
}

// decide looks first whether another connection has come to serve the account, where this one has nothing under way.
func (u Callbacks) decide(ctx context.Context, m Membership, c Connection, f Fence, r Callback) (Decision, error) {
	if r.Type == RequestDelete {
		return u.parts(ctx, m, c, f, r)
	}
	if c.mayRebind() == nil && c.s.Version > 1 { // version 1 has just been made, since there was none
		to, ok, err := u.Members.Store.Serving(ctx, c.s.TenantID, c.s.enrolledAccount())
		if err != nil {
			return Decision{}, err
		}
		if ok && to.s.ID != c.s.ID {
			return c.reportsInVain(f, r, to, u.Clock()), nil
		}
	}
	return c.Receive(f, r, u.Clock()), nil
}

// parts takes a Delete. The connection that this one gave way to is told that it is no longer linked.
func (u Callbacks) parts(ctx context.Context, m Membership, c Connection, f Fence, r Callback) (Decision, error) {
	d := c.Receive(f, r, u.Clock())
	if d.Change == nil && c.s.Stack.ID != r.StackID && !m.StackDeleted && !f.Deleted {
		return d, u.forget(ctx, m, r)
	}
	if d.Change == nil || c.s.LinkedTo == "" {
		return d, nil
	}
	to, _, err := u.Store.ConnectionAndFence(ctx, c.s.LinkedTo, r.StackID)
	if err != nil {
		return Decision{}, err
	}
	d.Change.note = to.linkEvent(EventUnlinked, c.s.EnrolmentID, r.StackID, u.Clock())
	return d, nil
}

// mayRebind says whether another stack of the same account may take the connection over with its mere report: only once the
// old one serves no more and is not on trial. Else any account that reads the token could move others' connections away
// from their stacks. While the old one is on trial or degraded, the new one is a [Contender].
func (c Connection) mayRebind() *Error {
	switch c.s.Status {
	case StatusPending, StatusFailed, StatusDisconnected, StatusExpired:
		return nil
	case StatusVerifying, StatusEnabled, StatusDegraded, StatusDeleted:
	}
	return errAccountConnected
}

// forget remembers that a stack is gone which is not the connection's: what it reported is on trial, or still to come.
func (u Callbacks) forget(ctx context.Context, m Membership, r Callback) error {
	return u.Members.Store.CommitMember(ctx, MemberChange{deleted: true, seen: m.StackSeen, member: Member{
		EnrolmentID: m.Enrolment.s.ID, AccountID: r.StackID.Account(), StackID: r.StackID,
	}})
}

// turnAway refuses an account that comes when the enrolment has been revoked. Where there is room, its line says so.
func (u Callbacks) turnAway(ctx context.Context, m Membership, r Callback) error {
	if m.Member == nil {
		err := u.Members.Store.Admit(ctx, m.Enrolment.s.ID, MaxEnrolmentAccounts)
		if errors.Is(err, ErrEnrolmentFull) {
			return errEnrolmentRevoked
		}
		if err != nil {
			return err
		}
	}
	if m.Member == nil || m.Member.State == MemberFailed {
		if err := u.Members.Store.CommitMember(ctx, MemberChange{member: Member{
			EnrolmentID: m.Enrolment.s.ID, AccountID: r.StackID.Account(), State: MemberFailed, Reason: errEnrolmentRevoked.Reason(),
			StackID: r.StackID, RolledBack: true, UpdatedAt: u.Clock(),
		}}); err != nil {
			return err
		}
	}
	return errEnrolmentRevoked
}

// leave takes the Delete of a stack that has no connection of its own: a link ends, or the stack is remembered so that a
// report which comes late connects nothing.
func (u Callbacks) leave(ctx context.Context, m Membership, r Callback) error {
	linked := m.Member != nil && m.Member.State == MemberLinked
	if m.StackDeleted || (linked && m.Member.StackID != r.StackID) {
		return nil
	}
	ch := MemberChange{deleted: true, seen: m.StackSeen, member: Member{EnrolmentID: m.Enrolment.s.ID, AccountID: r.StackID.Account(), StackID: r.StackID}}
	if linked {
		c, _, err := u.Store.ConnectionAndFence(ctx, m.Member.ConnectionID, r.StackID)
		if err != nil {
			return err
		}
		ch.member.ConnectionID = c.s.ID
		ch.event = c.linkEvent(EventUnlinked, m.Enrolment.s.ID, r.StackID, u.Clock())
	}
	return u.Members.Store.CommitMember(ctx, ch)
}

// join takes an account up: it is linked to the tenant's connection that serves it already, or gets one of its own.
func (u Callbacks) join(ctx context.Context, m Membership, r CallbackRequest) (*Reply, error) {
	e, account := m.Enrolment, r.Callback.StackID.Account()
	if role := r.Callback.RoleARN.Account(); role != account {
		return nil, accountMismatch(role, account)
	}
	full, err := u.full(ctx, m)
	if err != nil {
		return nil, err
	}
	found, ok, err := u.Members.Store.Serving(ctx, e.s.TenantID, account)
	if err != nil {
		return nil, err
	}
	if ok {
		return &Reply{OK: true}, u.link(ctx, m, found, r.Callback)
	}
	if full {
		return u.contend(ctx, e, r)
	}
	id, err := u.connectMember(ctx, e, r.Callback.StackID)
	if err != nil {
		return nil, err
	}
	return u.memberReports(ctx, m, id, r)
}

// full says that there is no room for an account that reports for the first time. Then it costs a contender's part of what
// its tenant may have in a minute.
func (u Callbacks) full(ctx context.Context, m Membership) (bool, error) {
	if m.Member != nil {
		return false, nil
	}
	err := u.Members.Store.Admit(ctx, m.Enrolment.s.ID, MaxEnrolmentAccounts)
	if errors.Is(err, ErrEnrolmentFull) {
		return true, u.admitContender(ctx, m.Enrolment)
	}
	return false, err
}

// link remembers that another connection serves the account. The stack's own role is of no use then: nobody assumes it.
func (u Callbacks) link(ctx context.Context, m Membership, to Connection, r Callback) error {
	if m.Member != nil && m.Member.StackID == r.StackID && m.Member.ConnectionID == to.s.ID {
		return nil
	}
	now := u.Clock()
	return u.Members.Store.CommitMember(ctx, MemberChange{
		member: Member{
			EnrolmentID: m.Enrolment.s.ID, AccountID: r.StackID.Account(), ConnectionID: to.s.ID, State: MemberLinked,
			StackID: r.StackID, UpdatedAt: now,
		},
		event: to.linkEvent(EventLinked, m.Enrolment.s.ID, r.StackID, now),
	})
}

func (c Connection) linkEvent(kind EventType, e EnrolmentID, stack StackID, now time.Time) *Event {
	return &Event{
		ID: linkEventID(kind, e, stack), ConnectionID: c.s.ID, TenantID: c.s.TenantID, Sequence: c.s.Version,
		Type: kind, At: now, Actor: ActorStack, Data: map[string]any{
			"enrolmentId": string(e), "accountId": string(stack.Account()), "stackId": stack.String(), "status": string(c.s.Status),
		},
	}
}

// connectMember makes the account's connection, under the first name of the rule that is free.
func (u Callbacks) connectMember(ctx context.Context, e Enrolment, stack StackID) (ConnectionID, error) {
	now := u.Clock()
	id, err := NewConnectionID(now, u.Members.Random)
	if err != nil {
		return "", err
	}
	for attempt := 1; attempt <= memberNames; attempt++ {
		err = u.Store.Commit(ctx, e.Connect(stack.Account(), stack, id, attempt, now))
		if !errors.Is(err, ErrNameTaken) {
			return id, err
		}
	}
	return "", err
}
