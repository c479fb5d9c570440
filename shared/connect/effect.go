package connect

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"time"
)

// An effect is what a request leads to once CloudFormation has taken the answer. Its zero value is nothing. It is one change,
// member, note or fence; the other members say more about that one.
type effect struct {
	change *Change
	// reported is the part of change before the proof, of a role that was proven.
	reported *Change
	member   *MemberChange
	note     *Event // beside the connection's state
	// fence is remembered until then, of a stack that is not bound.
	fence *Fence
	until time.Time
	run   bool // the change begins a verification run that has to be queued
}

func changes(ch Change) effect { return effect{change: &ch} }

// unboundFence is how long the Delete of a stack that was never bound is remembered. No request of it can come later: the
// addresses of answers end within two hours.
const unboundFence = 24 * time.Hour

// effect is what a request leads to from what is known now. v is the verdict on a role that was reported; nil for other
// requests. What was decided when the request was answered may have changed since.
func (g standing) effect(r Callback, v *ReportVerdict, m maker) (effect, error) {
	ruled := g.rule(r, m.now)
	switch ruled.step {
	case stepNothing:
		return g.overtaken(r, v, ruled.reply, m.now), nil
	case stepStart:
		return g.start(r, m)
	case stepKeep:
		return changes(g.keep(r, m.now)), nil
	case stepReturn:
		if v != nil { // when it was reported it was another role than the two that the stack has now
			return g.conclude(r, v, m)
		}
		return g.returns(r, m.now), nil
	case stepReport:
		return g.conclude(r, v, m)
	case stepLink:
		return g.link(r, m.now), nil
	case stepRefuse:
		return g.connection.stackRefused(r, g.otherAccount(r), m.now), nil
	case stepTurnAway:
		return g.turnAway(r, m.now), nil
	case stepDelete:
		return g.deleted(r, m.now), nil
	case stepEnd:
		return g.ends(r, m.now), nil
	}
	return effect{}, nil
}

// A maker makes connections of organizations' accounts; attempt numbers the names that were tried, from 1.
type maker struct {
	now     time.Time
	random  io.Reader
	attempt int
}

// made is the connection that a request is about and, where it is an organization's account that has none, the change that
// makes it.
func (g standing) made(r Callback, m maker) (Connection, *Change, error) {
	if g.exists() {
		return g.connection, nil, nil
	}
	id, err := NewConnectionID(m.now, m.random)
	if err != nil {
		return Connection{}, nil, err
	}
	ch := g.membership.Enrolment.Connect(r.StackID.Account(), r.StackID, id, m.attempt, m.now)
	return ch.Connection(), &ch, nil
}

// after makes one change of two steps, of which there may be no first.
func after(first *Change, next Change) Change {
	if first == nil {
		return next
	}
	return first.then(next)
}

// start binds the stack.
func (g standing) start(r Callback, m maker) (effect, error) {
	c, made, err := g.made(r, m)
	if err != nil || (g.exists() && r.ofMember() && !g.bound(r) && !c.mayRebind()) {
		return effect{}, err
	}
	kind, data := EventStackStarted, stackData(r)
	if c.s.Stack.ID == r.StackID {
		if c.s.Stack.StartID == r.LogicalID {
			return effect{}, nil // the stack's other resource tells of what an update changes
		}
		kind = EventStackUpdated
		data["from"], data["templateVersion"] = c.s.Stack.TemplateVersion, c.s.Stack.TemplateVersion
	}
	ch := c.change(kind, ActorStack, m.now, data, func(s *Snapshot) { s.bind(r) })
	ch.fence, ch.joins = g.fence.saw(r), joining(r)
	return changes(after(made, ch)), nil
}

// ends binds a stack that is gone, so that the connection's page says so.
func (g standing) ends(r Callback, now time.Time) effect {
	begun := g.connection.change(EventStackStarted, ActorStack, now, stackData(r), func(s *Snapshot) { s.bind(r) })
	ch := begun.then(begun.Connection().stackDeleted(r, now))
	ch.fence = g.fence.saw(r)
	return changes(ch)
}

// joining is the stack by which an account of an organization is connected; zero for other connections.
func joining(r Callback) StackID {
	if r.ofMember() {
		return r.StackID
	}
	return StackID{}
}

// keep takes what a request reports that names the role which the stack has already, as CloudFormation's own rollback does.
func (g standing) keep(r Callback, now time.Time) Change {
	c := g.connection
	data := stackData(r)
	data["from"], data["templateVersion"] = c.s.Stack.TemplateVersion, r.TemplateVersion
	data["fromPermissions"], data["permissions"] = string(c.s.Permissions), string(c.granted(r))
	data["permissionsBoundaryArn"] = r.Grant.BoundaryARN
	if c.s.PolicyDigest != r.Grant.PolicyDigest {
		data["fromPolicyDigest"], data["policyDigest"] = c.s.PolicyDigest, r.Grant.PolicyDigest
	}
	ch := c.change(EventStackUpdated, ActorStack, now, data, func(s *Snapshot) {
		if v := s.Verification; v != nil && v.FromStack && v.RoleARN != r.RoleARN && s.Status != StatusVerifying {
			s.Verification = nil // the stack has taken its candidate back
		}
		s.bind(r)
		s.Stack.proves(r.RoleARN)
		if v := s.Verification; !c.serves(r.RoleARN) && (v == nil || v.RoleARN != r.RoleARN) {
			return // another role serves, whose permissions these are not
		}
		s.grant(c.granted(r), r.Grant.PolicyDigest)
		if c.s.Permissions != s.Permissions || c.s.Stack != s.Stack || c.s.PolicyDigest != s.PolicyDigest {
			s.lookSoon(now)
		}
		c.overwritten(s)
	})
	ch.fence = g.fence.saw(r)
	return ch
}

// returns takes a rollback to the role that the stack had before: it becomes the candidate, and nobody waits for it.
func (g standing) returns(r Callback, now time.Time) effect {
	if g.connection.mayTakeRole(r.RoleARN) != nil { // another account's role serves by now
		return changes(g.keep(r, now))
	}
	ch := g.connection.reported(g.fence, r, now)
	ch.after.Stack.proves(r.RoleARN)
	return effect{change: &ch, run: true}
}

// reported begins the run of a role that a stack reported.
func (c Connection) reported(f Fence, r Callback, now time.Time) Change {
	data := stackData(r)
	data["roleArn"], data["templateVersion"] = r.RoleARN.String(), r.TemplateVersion
	data["permissions"] = string(c.granted(r))
	ch := c.change(EventRoleReported, ActorStack, now, data, func(s *Snapshot) {
		s.bind(r)
		s.begin(r.RoleARN, now)
		s.Verification.FromStack = true
		s.grant(c.granted(r), r.Grant.PolicyDigest)
	})
	ch.fence, ch.joins = f.saw(r), joining(r)
	return ch
}

// A ReportVerdict is how the stack that reported a role is answered, and what that rests on.
type ReportVerdict struct {
	Reply   Reply
	Outcome Outcome // of the attempt that decided
	Attempt int     // that decided, from 0
	// Open reports whether the role has not been decided upon: AWS's own services failed, or ours. The stack is told SUCCESS,
	// and the run goes on.
	Open bool
}

// conclude makes of the connection what the verdict on its stack's role says.
func (g standing) conclude(r Callback, v *ReportVerdict, m maker) (effect, error) {
	c, made, err := g.made(r, m)
	if err != nil || v == nil || (v.Reply.OK && !v.Open && !v.Outcome.Proven()) {
		return effect{}, err // nothing is enabled without proof, whatever the stack was told
	}
	if !v.Open && !v.Reply.OK {
		return g.failed(c, made, r, *v, m.now), nil
	}
	reported := c.reported(g.fence, r, m.now)
	if v.Open {
		return effect{change: new(after(made, reported)), run: true}, nil
	}
	reported.after.Verification.Attempt = v.Attempt
	proven := reported.Connection().provenChange(v.Outcome, m.now)
	begun := after(made, reported)
	return effect{change: new(begun.then(proven)), reported: &begun}, nil
}

// failed keeps that a stack's role was refused. A role that serves, or that somebody else has put on trial, stays as it is.
func (g standing) failed(c Connection, made *Change, r Callback, v ReportVerdict, now time.Time) effect {
	inUse := v.Reply.Reason.Code == CodeRoleInUse // so that the connection cannot even be said to have failed with it
	if inUse && made != nil {
		return effect{}
	}
	switch {
	case c.s.Status == StatusEnabled, c.s.Status == StatusDegraded, c.s.Status == StatusVerifying, inUse:
		if r.ofMember() && !g.bound(r) {
			return effect{}
		}
		ch := c.candidateFailed(r, v, now)
		ch.fence = g.fence.saw(r)
		return changes(ch)
	}
	reported := c.reported(g.fence, r, now)
	reported.after.Verification.Attempt = v.Attempt
	refused := reported.Connection().refusedChange(v.Outcome, v.Reply.Reason, now)
	return changes(after(made, reported.then(refused)))
}

func (c Connection) candidateFailed(r Callback, v ReportVerdict, now time.Time) Change {
	return c.change(EventCandidateFailed, ActorStack, now, failureData(r, v), func(s *Snapshot) {
		s.bind(r)
		s.LastRun = RunResult{Run: s.Version + 1, RoleARN: r.RoleARN, Reason: v.Reply.Reason}
	})
}

// overtaken tells what became of a role whose stack was told that it is connected, where something else happened to the
// connection before that could be kept; and why a stack is gone that was told that it failed.
func (g standing) overtaken(r Callback, v *ReportVerdict, reply Reply, now time.Time) effect {
	if c := g.connection; v != nil && !v.Reply.OK && g.exists() && c.endedWith(r, *v) {
		return changes(c.failedBefore(r, *v, now))
	}
	if v == nil || !v.Reply.OK || reply.OK || !g.exists() || g.gone() {
		return effect{}
	}
	return effect{note: g.connection.overtakenEvent(r, reply.Reason, now)}
}

// endedWith reports whether the stack ended the connection before it could be kept that its role was refused: CloudFormation rolls a stack
// back as soon as it has been told.
func (c Connection) endedWith(r Callback, v ReportVerdict) bool {
	known := c.s.LastRun.RoleARN == r.RoleARN && c.s.LastRun.Reason == v.Reply.Reason
	return c.s.Status == StatusDisconnected && c.s.Stack.ID == r.StackID && c.s.StatusReason == stackGone() && !known
}

// failedBefore keeps why a stack failed that is gone by now.
func (c Connection) failedBefore(r Callback, v ReportVerdict, now time.Time) Change {
	return c.change(EventFailed, ActorRolecall, now, failureData(r, v), func(s *Snapshot) {
		s.LastRun = RunResult{Run: s.Version + 1, RoleARN: r.RoleARN, Reason: v.Reply.Reason}
		s.StatusReason.Message += " after: " + v.Reply.Reason.Message
	})
}

func failureData(r Callback, v ReportVerdict) map[string]any {
	data := stackData(r)
	data["roleArn"], data["attempt"], data["checks"] = r.RoleARN.String(), v.Attempt+1, checkData(v.Outcome.Checks)
	data["code"], data["message"], data["fix"] = string(v.Reply.Reason.Code), v.Reply.Reason.Message, v.Reply.Reason.Fix
	return data
}

func (c Connection) overtakenEvent(r Callback, why Reason, now time.Time) *Event {
	data := stackData(r)
	data["roleArn"], data["status"] = r.RoleARN.String(), string(c.s.Status)
	data["code"], data["message"], data["fix"] = string(why.Code), why.Message, why.Fix
	h := sha256.Sum256([]byte(r.StackID.String() + "\n" + r.LogicalID + "\n" + r.RequestID))
	return &Event{
		ID: "evt_" + hex.EncodeToString(h[:16]), ConnectionID: c.s.ID, TenantID: c.s.TenantID, Sequence: c.s.Version,
		Type: EventReportOvertaken, At: now, Actor: ActorRolecall, Data: data,
	}
}

// refusedBy is what becomes of a role that was proven and that the store does not let the connection have.
func (g standing) refusedBy(err error, r Callback, now time.Time) (effect, bool) {
	if !aboutRequest(err) || !g.exists() {
		return effect{}, false
	}
	return effect{note: g.connection.overtakenEvent(r, asError(err).Reason(), now)}, true
}

// deleted takes the Delete of a stack.
func (g standing) deleted(r Callback, now time.Time) effect {
	bound := g.bound(r)
	switch {
	case g.gone(), !bound && !r.TokenValid, !bound && g.connection.s.Stack.ID == r.StackID:
		return effect{} // among others: through another resource than those that are recorded
	case !bound && r.ofMember():
		return g.leave(r, now)
	case !bound && g.exists():
		f := g.fence.saw(r)
		if len(g.fence.Seen) > 0 {
			return effect{fence: f}
		}
		return effect{fence: f, until: now.Add(unboundFence)}
	case !bound:
		return effect{}
	case r.Resource == ResourceStackStarted && g.connection.s.Status != StatusPending:
		return effect{} // the stack's other resource tells of its end
	}
	ch := g.connection.stackDeleted(r, now)
	ch.fence = g.fence.saw(r)
	if g.connection.s.LinkedTo != "" && g.serving.s.ID == g.connection.s.LinkedTo {
		ch.note = g.serving.linkEvent(EventUnlinked, g.connection.s.EnrolmentID, r.StackID, now)
	}
	return changes(ch)
}

// stackDeleted ends the connection of a stack. Where another role serves, or is on trial, than the stack's own, only the
// stack is unlinked.
func (c Connection) stackDeleted(r Callback, now time.Time) Change {
	if c.byKeys() {
		return c.upgradeWithdrawn(r, now)
	}
	switch c.s.Status {
	case StatusEnabled, StatusDegraded, StatusVerifying:
		if !c.roleOfStack() {
			return c.change(EventStackDeleted, ActorStack, now, stackData(r), func(s *Snapshot) {
				if s.Verification != nil && s.Verification.FromStack {
					s.Verification = nil
				}
				s.Stack = Stack{}
			})
		}
	case StatusDisconnected, StatusExpired, StatusDeleted:
		return c.change(EventStackDeleted, ActorStack, now, stackData(r), func(s *Snapshot) {
			s.unlink()
			c.liftForDelete(s, now)
		})
	case StatusPending, StatusFailed:
	}
	return c.change(EventDisconnected, ActorStack, now, stackData(r), func(s *Snapshot) {
		reason := stackGone()
		if s.Status == StatusFailed {
			reason.Message += " after: " + s.StatusReason.Message
		}
		s.Status, s.StatusReason, s.Verification = StatusDisconnected, reason, nil
		s.Launches, s.NextVerificationAt = nil, time.Time{}
		s.offboard(now)
		c.liftForDelete(s, now)
	})
}

// roleOfStack reports whether the role that serves, or is on trial while none serves, is the bound stack's.
func (c Connection) roleOfStack() bool {
	v := c.s.Verification
	return c.s.Stack.has(c.s.RoleARN) || (c.s.Status == StatusVerifying && v != nil && v.FromStack)
}
