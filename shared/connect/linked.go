package connect

import (
	"context"
	"errors"
	"time"
)

// One account is connected once by all enrolments of a tenant together: the first of their connections that serves it holds
// it, and one that comes too late gives way. Connections that somebody asked for by name hold nothing and give way to nobody:
// several of them for one account may be just what is wanted.

// heldAccount is the account that the connection alone may serve among those of its tenant's enrolments; "" for none.
func (s Snapshot) heldAccount() AccountID {
	if s.Status != StatusEnabled && s.Status != StatusDegraded {
		return ""
	}
	return s.enrolledAccount()
}

// accountClaims are the accounts that a change of one connection claims and releases; "" for none.
func accountClaims(before, after Snapshot) (claim, release AccountID) {
	was, is := before.heldAccount(), after.heldAccount()
	if was == is {
		return "", ""
	}
	return is, was
}

// ClaimsAccount is the account that becomes this connection's among those of its tenant's enrolments; "" claims none.
func (c Change) ClaimsAccount() AccountID { return c.account }

// ReleasesAccount is the account that another enrolment's connection may serve from now on; "" for none.
func (c Change) ReleasesAccount() AccountID { return c.freed }

// Note is an event to be kept beside the state of another connection, with the change; nil for none.
func (c Change) Note() *Event { return c.note }

// ErrAccountHeld says that another enrolment's connection of the same tenant serves the account.
func ErrAccountHeld(holder ConnectionID) *Error {
	return &Error{
		Kind: KindConflict, Code: CodeAccountConnected, Connection: holder,
		Message: "connection " + string(holder) + " serves this account already",
		Fix:     "Use that connection. To have this one instead, delete that one, then deploy the account's stack again.",
	}
}

// holderIn is the connection that stands in the way, where the error says that one does.
func holderIn(err error) (ConnectionID, bool) {
	var e *Error
	if errors.As(err, &e) && e.Code == CodeAccountConnected && e.Connection != "" {
		return e.Connection, true
	}
	return "", false
}

// usable says that credentials are issued for the connection, or will be again once its account is mended.
func (c Connection) usable() bool {
	return c.s.Status == StatusEnabled || c.s.Status == StatusDegraded
}

// giveWay ends what an enrolment's connection has begun, because another connection serves its account already. It keeps
// its stack and can begin again, once that one is gone. Its role was never used, so nobody waits for it to be refused.
func (c Connection) giveWay(to Connection, by Actor, now time.Time, also func(*Snapshot)) Change {
	data := map[string]any{"linkedTo": string(to.s.ID)}
	ch := c.change(EventDisconnected, by, now, data, func(s *Snapshot) {
		also(s)
		if v := s.Verification; v != nil {
			s.LastRun = RunResult{Run: v.Run, RoleARN: v.RoleARN, Passed: true}
		}
		s.Status, s.StatusReason, s.Verification = StatusDisconnected, ErrAccountHeld(to.s.ID).Reason(), nil
		s.Launches, s.LinkedTo, s.NextVerificationAt = nil, to.s.ID, time.Time{}
		s.RoleARN, s.Checks = RoleARN{}, nil // so that an update which names it again is no mere repetition
	})
	stack := ch.after.Stack.ID
	if stack.IsZero() { // the role was given by hand
		return ch
	}
	data["stackId"], data["region"] = stack.String(), string(stack.Region())
	ch.note = to.linkEvent(EventLinked, c.s.EnrolmentID, stack, now)
	return ch
}

// unlink forgets which connection this one gave way to.
func (s *Snapshot) unlink() {
	if s.LinkedTo != "" {
		s.LinkedTo, s.StatusReason = "", stackGone()
	}
}

// givesWay commits that the connection gives way to the one that stands in its way. ErrConflict says that this one serves no
// more, or that the connection itself has moved on: decide again.
func (u Verifications) givesWay(ctx context.Context, c Connection, holder ConnectionID) (Change, error) {
	to, err := u.Store.Connection(ctx, holder)
	if err != nil {
		return Change{}, err
	}
	if !to.usable() {
		return Change{}, ErrConflict
	}
	ch := c.giveWay(to, ActorRolecall, u.Clock(), func(*Snapshot) {})
	return ch, u.Store.Commit(ctx, ch)
}
