package connect

import (
	"maps"
	"time"
)

// A RequestType is what CloudFormation asks of a custom resource.
type RequestType string

// Request types.
const (
	RequestCreate RequestType = "Create"
	RequestUpdate RequestType = "Update"
	RequestDelete RequestType = "Delete"
)

// A CallbackResource is which of the template's two custom resources speaks.
type CallbackResource string

// The custom resources of the customer's template.
const (
	ResourceStackStarted CallbackResource = "Custom::RolecallStackStarted"
	ResourceConnection   CallbackResource = "Custom::RolecallConnection"
	// ResourceMember speaks for an account of an enrolled organization.
	ResourceMember CallbackResource = "Custom::RolecallMember"
)

// A Callback is a custom resource's request whose token has been verified. All else in it is a stranger's word.
type Callback struct {
	Type            RequestType
	Resource        CallbackResource
	StackID         StackID
	LogicalID       string
	RequestID       string
	Launch          int // of the token
	RoleARN         RoleARN
	TemplateVersion string
	Grant           Grant
	SignedAt        time.Time // when CloudFormation signed the request's answer address; orders a stack's requests
	SentAt          time.Time // SNS's own timestamp: orders requests that were signed within the same second
}

// A Fence is what is remembered of one stack for ever, so that a late or repeated request changes nothing.
type Fence struct {
	StackID StackID
	Deleted bool
	Seen    map[string]Seen // by logical resource id
}

// Seen is the newest request of one custom resource that was acted upon.
type Seen struct {
	RequestID string
	SentAt    time.Time
}

// A Reply is what CloudFormation is to be told.
type Reply struct {
	OK     bool
	Reason Reason
}

// A Decision is what a callback leads to: a change to commit (or none), and then either a reply at once or, when Reply
// is nil, a verification run after which to reply.
type Decision struct {
	Change *Change
	Reply  *Reply
	Run    int64
}

func succeed() Decision { return Decision{Reply: &Reply{OK: true}} }

func refuse(e *Error) Decision { return Decision{Reply: &Reply{Reason: e.Reason()}} }

// Receive decides upon a callback; f is the fence of the callback's stack, the zero value where there is none yet.
// Every Delete is answered with success: a customer must be able to delete a stack whatever has become of us.
func (c Connection) Receive(f Fence, r Callback, now time.Time) Decision {
	switch {
	case r.Type == RequestDelete:
		return c.receiveDelete(f, r, now)
	case c.s.Status == StatusDeleted:
		return refuse(ErrNotFound)
	case f.Deleted:
		return refuse(errStackDeleted)
	case f.Seen[r.LogicalID].RequestID == r.RequestID:
		return c.repeat(r)
	case f.Seen[r.LogicalID].SentAt.After(r.SentAt):
		return succeed() // a newer request of the same resource has been acted upon
	}
	if err := c.mayBind(r, now); err != nil {
		return refuse(err)
	}
	if r.Resource == ResourceStackStarted {
		return c.stackStarted(f, r, now)
	}
	if c.s.Reported.tooOften(now) {
		return refuse(errReportsTooOften)
	}
	return c.roleReported(f, r, now)
}

// Reported counts the reports that were acted upon. Each begins a run, and whoever knows a link can send as many as they
// like, from any account: without an end to it the platform would ask STS for them as often.
type Reported struct {
	Since time.Time
	Count int
}

const (
	reportsWindow = 10 * time.Minute
	mostReports   = 30 // in a window; a stack that is updated and rolled back makes two
)

func (r Reported) tooOften(now time.Time) bool {
	return r.Count >= mostReports && now.Before(r.Since.Add(reportsWindow))
}

func (r Reported) once(now time.Time) Reported {
	if now.Before(r.Since.Add(reportsWindow)) {
		return Reported{Since: r.Since, Count: r.Count + 1}
	}
	return Reported{Since: now, Count: 1}
}

var errReportsTooOften = &Error{
	Kind: KindLimited, Code: CodeTooManyRequests, Message: "this stack has reported a role too often within ten minutes",
	Fix: "Wait ten minutes, then create or update the stack again.",
}

var errStackDeleted = &Error{
	Kind: KindConflict, Code: CodeStackDeleted, Message: "this stack is being deleted",
	Fix: "Launch again from the platform.",
}

// repeat answers a request that was acted upon before, from what has become of it.
func (c Connection) repeat(r Callback) Decision {
	v := c.s.Verification
	switch {
	case r.Resource == ResourceStackStarted:
		return succeed()
	case v != nil && v.RoleARN == r.RoleARN:
		return Decision{Run: v.Run}
	case c.s.LastRun.RoleARN == r.RoleARN && !c.s.LastRun.Passed:
		return Decision{Reply: &Reply{Reason: c.s.LastRun.Reason}}
	}
	return succeed()
}

// mayBind says whether the callback's stack is, or may become, the connection's.
func (c Connection) mayBind(r Callback, now time.Time) *Error {
	if c.s.Stack.ID == r.StackID && c.s.Status != StatusExpired {
		return nil
	}
	if r.Resource == ResourceMember {
		return c.mayRebind()
	}
	if r.Launch <= c.s.UsedLaunch {
		return &Error{
			Kind: KindConflict, Code: CodeLaunchUsed, Message: "this launch link has already been used by another stack",
			Fix: "Delete this stack and open a new launch from the platform.",
		}
	}
	for _, l := range c.s.Launches {
		if l.Number == r.Launch && now.Before(l.ExpiresAt) {
			return nil
		}
	}
	return &Error{
		Kind: KindConflict, Code: CodeLaunchExpired, Message: "this launch link has expired",
		Fix: "Delete this stack and open a new launch from the platform.",
	}
}

// bind makes the callback's stack the connection's; every launch made so far is used up with it.
func (s *Snapshot) bind(r Callback) {
	if s.Stack.ID != r.StackID {
		s.Stack = Stack{ID: r.StackID}
		s.Launches, s.UsedLaunch = nil, s.LastLaunch
	}
	if r.TemplateVersion != "" {
		s.Stack.TemplateVersion = r.TemplateVersion
	}
	if r.Resource == ResourceConnection && r.Type != RequestDelete {
		s.Stack.PermissionsBoundaryARN = r.Grant.BoundaryARN
	}
}

func (f Fence) saw(r Callback) *Fence {
	seen := maps.Clone(f.Seen)
	if seen == nil {
		seen = map[string]Seen{}
	}
	seen[r.LogicalID] = Seen{RequestID: r.RequestID, SentAt: r.SentAt}
	return &Fence{StackID: r.StackID, Deleted: f.Deleted || r.Type == RequestDelete, Seen: seen}
}

func stackData(r Callback) map[string]any {
	return map[string]any{"stackId": r.StackID.String(), "region": string(r.StackID.Region())}
}

func (c Connection) stackStarted(f Fence, r Callback, now time.Time) Decision {
	if c.s.Stack.ID == r.StackID {
		return succeed()
	}
	ch := c.change(EventStackStarted, ActorStack, now, stackData(r), func(s *Snapshot) { s.bind(r) })
	ch.fence = f.saw(r)
	d := succeed()
	d.Change = &ch
	return d
}

func (c Connection) roleReported(f Fence, r Callback, now time.Time) Decision {
	if err := c.mayTakeRole(r.RoleARN); err != nil {
		return refuse(err)
	}
	if r.StackID.Account() != r.RoleARN.Account() {
		return refuse(accountMismatch(r.RoleARN.Account(), r.StackID.Account()))
	}
	if err := c.mayTakeGrant(r); err != nil {
		return refuse(err)
	}
	if c.namesOwnRole(r) {
		return c.sameRole(f, r, now)
	}
	data := stackData(r)
	data["roleArn"], data["templateVersion"] = r.RoleARN.String(), r.TemplateVersion
	data["permissions"] = string(c.granted(r))
	ch := c.change(EventRoleReported, ActorStack, now, data, func(s *Snapshot) {
		s.bind(r)
		s.Reported = s.Reported.once(now)
		s.begin(r.RoleARN, now)
		s.grant(c.granted(r), r.Grant.PolicyDigest)
	})
	ch.fence = f.saw(r)
	return Decision{Change: &ch, Run: ch.after.Verification.Run}
}

// namesOwnRole says that the request changes nothing about which role the connection has.
func (c Connection) namesOwnRole(r Callback) bool {
	return c.serves(r.RoleARN) || (r.Type == RequestUpdate && c.s.RoleARN == r.RoleARN)
}

// serves says that arn is the role whose credentials are handed out now.
func (c Connection) serves(arn RoleARN) bool {
	return c.s.RoleARN == arn && (c.s.Status == StatusEnabled || c.s.Status == StatusDegraded)
}

// sameRole answers a request that names the role the connection already has, as CloudFormation's own rollback does. It is
// kept like any other, so that an older request that comes late cannot undo it.
func (c Connection) sameRole(f Fence, r Callback, now time.Time) Decision {
	data := stackData(r)
	data["from"], data["templateVersion"] = c.s.Stack.TemplateVersion, r.TemplateVersion
	data["fromPermissions"], data["permissions"] = string(c.s.Permissions), string(c.granted(r))
	data["permissionsBoundaryArn"] = r.Grant.BoundaryARN
	if c.s.PolicyDigest != r.Grant.PolicyDigest {
		data["fromPolicyDigest"], data["policyDigest"] = c.s.PolicyDigest, r.Grant.PolicyDigest
	}
	ch := c.change(EventStackUpdated, ActorStack, now, data, func(s *Snapshot) {
		if s.Status != StatusVerifying {
			s.Verification = nil // the candidate has been taken back
		}
		s.bind(r)
		s.Reported = s.Reported.once(now)
		s.grant(c.granted(r), r.Grant.PolicyDigest)
		if c.s.Permissions != s.Permissions || c.s.Stack != s.Stack || c.s.PolicyDigest != s.PolicyDigest {
			s.lookSoon(now)
		}
		c.overwritten(s)
	})
	ch.fence = f.saw(r)
	d := succeed()
	d.Change = &ch
	return d
}

// mayTakeRole refuses what could never be this connection's role.
func (c Connection) mayTakeRole(arn RoleARN) *Error {
	if arn.Partition() != c.s.Partition {
		return &Error{
			Kind: KindInvalid, Code: CodePartitionMismatch,
			Message: "the role is in partition " + string(arn.Partition()) + ", this platform serves " + string(c.s.Partition),
			Fix:     "Connect an account of the platform's own partition.",
		}
	}
	if enrolled := c.s.enrolledAccount(); enrolled != "" && arn.Account() != enrolled {
		return accountMismatch(arn.Account(), enrolled)
	}
	if c.s.AccountID != "" && arn.Account() != c.s.AccountID &&
		(c.s.Status == StatusEnabled || c.s.Status == StatusDegraded) {
		return accountMismatch(arn.Account(), c.s.AccountID)
	}
	return nil
}

func accountMismatch(got, want AccountID) *Error {
	return &Error{
		Kind: KindInvalid, Code: CodeAccountMismatch,
		Message: "the role belongs to account " + string(got) + ", but account " + string(want) + " was expected",
		Fix:     "Use a role of account " + string(want) + ", or create a connection of its own for the other account.",
	}
}

func (c Connection) receiveDelete(f Fence, r Callback, now time.Time) Decision {
	d := succeed()
	current := c.s.Stack.ID == r.StackID
	unbound := !current && c.mayBind(r, now) == nil && c.s.Status != StatusDeleted
	switch {
	case f.Deleted || (!current && !unbound):
		return d
	case r.Resource == ResourceStackStarted && !c.waitsForRole():
		return d // the connection's own resource tells of its end
	}
	ch := c.stackDeleted(r, now)
	ch.fence = f.saw(r)
	d.Change = &ch
	return d
}

// waitsForRole says that no role has been reported since the stack began.
func (c Connection) waitsForRole() bool { return c.s.Status == StatusPending }

// stackDeleted ends the connection, unless its role never came from that stack or it has ended already.
func (c Connection) stackDeleted(r Callback, now time.Time) Change {
	current := c.s.Stack.ID == r.StackID
	if current && c.byKeys() {
		return c.upgradeWithdrawn(r, now)
	}
	switch c.s.Status {
	case StatusPending:
	case StatusVerifying, StatusFailed, StatusEnabled, StatusDegraded:
		if !current {
			return c.change(EventStackDeleted, ActorStack, now, stackData(r), func(*Snapshot) {})
		}
	case StatusDisconnected, StatusExpired, StatusDeleted:
		return c.change(EventStackDeleted, ActorStack, now, stackData(r), func(s *Snapshot) {
			s.unlink()
			if current {
				c.liftForDelete(s, now)
			}
		})
	}
	return c.change(EventDisconnected, ActorStack, now, stackData(r), func(s *Snapshot) {
		s.bind(r)
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

func stackGone() Reason {
	return Reason{
		Code: CodeStackDeleted, Message: "the customer's stack was deleted",
		Fix: "Prepare a new launch to connect the account again.",
	}
}
