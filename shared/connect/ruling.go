package connect

import "time"

// A standing is what is known of a request's stack and of the connection that it is about.
type standing struct {
	connection Connection // zero where there is none, or none yet of an organization's account
	fence      Fence
	membership *Membership // nil but for an account of an organization
	// serving is another connection of the tenant's that serves the account of an organization already; zero for none.
	serving Connection
}

func (g standing) exists() bool { return g.connection.s.ID != "" }

// gone reports whether the stack's Delete has taken effect.
func (g standing) gone() bool {
	return g.fence.Deleted || (g.membership != nil && g.membership.StackDeleted)
}

// linked reports whether the account is to be linked to the connection that serves it already, instead of getting one of
// its own, or beginning again with the one that it has.
func (g standing) linked() bool {
	return g.serving.s.ID != "" && g.serving.s.ID != g.connection.s.ID && (!g.exists() || g.connection.mayRebind())
}

// bound reports whether the request is one of the connection's own stack.
func (g standing) bound(r Callback) bool { return g.exists() && g.connection.speaks(g.fence, r) }

// A step is what a request leads to, once CloudFormation has taken the answer.
type step int

const (
	stepNothing  step = iota
	stepStart         // the stack is bound
	stepKeep          // the stack has the role that it had: what else it reports is kept
	stepReturn        // a rollback: the stack has the role again that it had before
	stepReport        // the role is to be proven first: the answer is the verdict
	stepLink          // the account is linked to the connection that serves it already
	stepRefuse        // the stack is of another account than the connection is for: its page says so
	stepTurnAway      // the enrolment is revoked: its list says that the account came too late
	stepDelete
	stepEnd // the stack began and is gone: its Delete has overtaken its start
)

// A ruling is the answer to a request and what it leads to. A step that reports has no answer yet.
type ruling struct {
	step  step
	reply Reply
}

// rule decides upon a request from what is known now. It changes nothing: a stranger may have made it up.
func (g standing) rule(r Callback, now time.Time) ruling {
	if r.Type == RequestDelete {
		return ruling{stepDelete, succeed()}
	}
	if err := g.refused(r, now); err != nil {
		if g.ended(r, now) {
			return ruling{stepEnd, refuse(err)}
		}
		return refusal(r, err)
	}
	if err := g.otherAccount(r); err != nil {
		ruled := refusal(r, err)
		if !ruled.reply.OK {
			ruled.step = stepRefuse
		}
		return ruled
	}
	seen := g.fence.Seen[r.LogicalID]
	switch {
	case seen.RequestID == r.RequestID:
		return ruling{stepNothing, g.connection.told(r)}
	case seen.after(r):
		return ruling{stepNothing, succeed()} // a newer request of the same resource has taken effect
	case g.linked():
		return ruling{stepLink, succeed()}
	case r.Resource == ResourceStackStarted:
		return ruling{stepStart, succeed()}
	}
	return g.ruleRole(r)
}

// refusal is how a request is refused by its stack's standing: the update of a stack that is not the connection's succeeds and changes
// nothing, for it must not be rolled back because of us; and so does its Delete.
func refusal(r Callback, err *Error) ruling {
	switch {
	case r.Type != RequestCreate:
		return ruling{stepNothing, succeed()}
	case err == errEnrolmentRevoked:
		return ruling{stepTurnAway, refuse(err)}
	}
	return ruling{stepNothing, refuse(err)}
}

// refused is why the stack has no say, whatever it reports.
func (g standing) refused(r Callback, now time.Time) *Error {
	switch {
	case g.gone():
		return errStackDeleted
	case r.ofMember():
		return g.memberRefused(r)
	case !g.exists() || g.connection.s.Status == StatusDeleted:
		return ErrNotFound
	case g.bound(r):
		if g.connection.s.Status == StatusExpired {
			return errLaunchExpired
		}
		return nil
	case !r.TokenValid:
		return errTokenInvalid
	case g.connection.s.Stack.ID == r.StackID:
		return errLaunchUsed // through another resource than those that are recorded
	}
	return g.connection.mayBind(r, now)
}

// ended reports whether a stack is gone that its start would have bound, had its Delete not counted first.
func (g standing) ended(r Callback, now time.Time) bool {
	c := g.connection
	return g.exists() && g.fence.Deleted && g.fence.Seen[r.LogicalID].after(r) &&
		r.Resource == ResourceStackStarted && r.Type == RequestCreate && !r.ofMember() &&
		c.s.Status == StatusPending && c.s.Stack.ID != r.StackID && r.TokenValid && c.mayBind(r, now) == nil && g.otherAccount(r) == nil
}

// otherAccount refuses a stack of another account than the connection is for, before anything is bound to it.
func (g standing) otherAccount(r Callback) *Error {
	if !g.exists() || r.ofMember() || g.bound(r) {
		return nil
	}
	return g.connection.mayBeAccount(r.StackID.Account())
}

// memberRefused is why the stack of an organization's account has no say, whatever it reports.
func (g standing) memberRefused(r Callback) *Error {
	c, bound := g.connection, g.bound(r)
	switch {
	case bound && c.s.Status != StatusDeleted:
		return nil
	case !r.TokenValid:
		return errEnrolmentToken
	case c.s.Status == StatusDeleted:
		return errMemberDeleted
	case g.membership.Enrolment.s.Status == EnrolmentRevoked:
		return errEnrolmentRevoked
	case c.s.Status == StatusEnabled && !c.serves(r.RoleARN):
		return errAccountConnected
	}
	return nil
}

// ruleRole decides upon a role that a stack reports which has a say.
func (g standing) ruleRole(r Callback) ruling {
	c, bound := g.connection, g.bound(r)
	if err := g.subjectOf(r).mayTakeGrant(r); err != nil {
		return ruling{stepNothing, refuse(err)}
	}
	switch {
	case c.serves(r.RoleARN) && r.ofMember() && !bound:
		return ruling{stepNothing, succeed()} // another stack of the account reports the role that serves
	case c.serves(r.RoleARN), r.Type == RequestUpdate && bound && c.s.Stack.RoleARN == r.RoleARN:
		return ruling{stepKeep, succeed()}
	case r.Type == RequestUpdate && bound && c.s.Stack.PreviousRoleARN == r.RoleARN:
		return ruling{stepReturn, succeed()}
	}
	if err := g.mayReport(r); err != nil {
		return ruling{stepNothing, refuse(err)}
	}
	return ruling{step: stepReport}
}

// mayReport refuses what could never be the connection's role.
func (g standing) mayReport(r Callback) *Error {
	if r.StackID.Account() != r.RoleARN.Account() {
		return accountMismatch(r.RoleARN.Account(), r.StackID.Account())
	}
	return g.subjectOf(r).mayTakeRole(r.RoleARN)
}

// subjectOf is the connection, or the one that an organization's account would get.
func (g standing) subjectOf(r Callback) Connection {
	if g.exists() {
		return g.connection
	}
	return g.membership.Enrolment.newcomer(r.StackID.Account())
}

// told is the answer to a request that has been answered before, for whoever delivers it again.
func (c Connection) told(r Callback) Reply {
	if last := c.s.LastRun; r.Resource != ResourceStackStarted && last.RoleARN == r.RoleARN && last.Run != 0 && !last.Passed {
		return Reply{Reason: last.Reason}
	}
	return succeed()
}
