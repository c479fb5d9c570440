package connect

import "time"

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
	errEnrolmentToken = &Error{
		Kind: KindInvalid, Code: CodeTokenInvalid, Message: "the stack's token is not this enrolment's",
		Fix: "Create the organization's stack from the platform's link, with its parameters unchanged.",
	}
)

// memberNames bounds the names that are tried for an account.
const memberNames = 25

// mayRebind reports whether another stack of the account may take the connection over as soon as it starts: only where no role
// serves and none is on trial. While one is on trial, or the connection is degraded, the other stack's role must be proven
// first; while the connection is enabled no other stack takes it.
func (c Connection) mayRebind() bool {
	switch c.s.Status {
	case StatusPending, StatusFailed, StatusDisconnected, StatusExpired:
		return true
	case StatusVerifying, StatusEnabled, StatusDegraded, StatusDeleted:
	}
	return false
}

// newcomer is the connection that an account would get, as far as it is known before there is one.
func (e Enrolment) newcomer(a AccountID) Connection {
	return Connection{Snapshot{
		TenantID: e.s.TenantID, Partition: e.s.Partition, DefaultRegion: e.s.DefaultRegion, EnrolmentID: e.s.ID, ExternalID: e.ExternalID(a),
		Permissions: e.s.Permissions, Requested: e.s.Permissions, OrganizationID: e.s.OrganizationID,
	}}
}

func (g standing) member(r Callback) Member {
	return Member{EnrolmentID: r.EnrolmentID, AccountID: r.StackID.Account(), StackID: r.StackID}
}

// link remembers that another connection serves the account. The stack's own role is of no use then: nobody assumes it.
func (g standing) link(r Callback, now time.Time) effect {
	to := g.serving
	if g.exists() {
		ch := g.connection.giveWay(to, ActorStack, now, func(s *Snapshot) { s.bind(r) })
		ch.fence = g.fence.saw(r)
		return changes(ch)
	}
	if was := g.membership.Member; was != nil && was.StackID == r.StackID && was.ConnectionID == to.s.ID {
		return effect{}
	}
	m := g.member(r)
	m.ConnectionID, m.State, m.UpdatedAt = to.s.ID, MemberLinked, now
	return effect{member: &MemberChange{member: m, event: to.linkEvent(EventLinked, r.EnrolmentID, r.StackID, now)}}
}

// turnAway keeps in the enrolment's list that an account came when the enrolment had been revoked.
func (g standing) turnAway(r Callback, now time.Time) effect {
	if was := g.membership.Member; g.exists() || (was != nil && was.State != MemberFailed) {
		return effect{}
	}
	m := g.member(r)
	m.State, m.Reason, m.RolledBack, m.UpdatedAt = MemberFailed, errEnrolmentRevoked.Reason(), true, now
	return effect{member: &MemberChange{member: m}}
}

// leave takes the Delete of a stack that is not the account's connection's: a link ends, or the stack is remembered, so that
// a report of it that comes late connects nothing.
func (g standing) leave(r Callback, now time.Time) effect {
	ch := MemberChange{deleted: true, seen: g.membership.StackSeen, member: g.member(r)}
	linked := g.membership.Member != nil && g.membership.Member.State == MemberLinked && !g.exists()
	switch {
	case linked && g.membership.Member.StackID != r.StackID:
		return effect{}
	case linked && g.serving.s.ID == g.membership.Member.ConnectionID:
		ch.member.ConnectionID = g.serving.s.ID
		ch.event = g.serving.linkEvent(EventUnlinked, r.EnrolmentID, r.StackID, now)
	}
	return effect{member: &ch}
}

func (c Connection) linkEvent(kind EventType, e EnrolmentID, stack StackID, now time.Time) *Event {
	return &Event{
		ID: linkEventID(kind, e, stack), ConnectionID: c.s.ID, TenantID: c.s.TenantID, Sequence: c.s.Version,
		Type: kind, At: now, Actor: ActorStack, Data: map[string]any{
			"enrolmentId": string(e), "accountId": string(stack.Account()), "stackId": stack.String(), "status": string(c.s.Status),
		},
	}
}
