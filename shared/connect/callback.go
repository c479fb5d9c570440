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

// A CallbackResource is which of the templates' custom resources speaks.
type CallbackResource string

// The custom resources of the customers' templates.
const (
	ResourceStackStarted CallbackResource = "Custom::RolecallStackStarted"
	ResourceConnection   CallbackResource = "Custom::RolecallConnection"
	// ResourceMember speaks for an account of an enrolled organization.
	ResourceMember CallbackResource = "Custom::RolecallMember"
)

// A Callback is a custom resource's request. Until CloudFormation has taken our answer to it, it is a stranger's word. Taken,
// it is proven that CloudFormation made this request of this resource of this stack; what the request says of itself is
// still the word of whoever controls that stack.
type Callback struct {
	Type         RequestType
	Resource     CallbackResource
	StackID      StackID
	LogicalID    string
	RequestID    string
	ConnectionID ConnectionID // that the request names; "" where it names an enrolment, or nothing of ours
	EnrolmentID  EnrolmentID  // instead of the connection's, of an account of an organization
	// TokenValid reports whether the request has a valid token of that connection or enrolment; Launch is the number of
	// the launch that a connection's token belongs to.
	TokenValid      bool
	Launch          int
	RoleARN         RoleARN
	TemplateVersion string
	Grant           Grant
	SignedAt        time.Time // when CloudFormation signed the answer's address: orders a stack's requests
	SentAt          time.Time // SNS's own timestamp: orders requests that were signed within the same second
}

// ofMember reports whether an account of an organization speaks.
func (r Callback) ofMember() bool { return r.EnrolmentID != "" }

// A Fence is what is remembered of one stack, so that a late or repeated request changes nothing.
type Fence struct {
	StackID StackID
	Proven  bool // CloudFormation has taken an answer to one of the stack's requests
	Deleted bool
	Seen    map[string]Seen // by logical resource id
}

// Seen is the newest request of one custom resource that took effect.
type Seen struct {
	RequestID string
	SignedAt  time.Time // zero of a request that an earlier version has seen
	SentAt    time.Time
}

// after reports whether the request that was seen is a newer one than r.
func (s Seen) after(r Callback) bool {
	if s.SignedAt.IsZero() || r.SignedAt.IsZero() || s.SignedAt.Equal(r.SignedAt) {
		return s.SentAt.After(r.SentAt)
	}
	return s.SignedAt.After(r.SignedAt)
}

// saw is the fence after a request took effect.
func (f Fence) saw(r Callback) *Fence {
	seen := maps.Clone(f.Seen)
	if seen == nil {
		seen = map[string]Seen{}
	}
	seen[r.LogicalID] = Seen{RequestID: r.RequestID, SignedAt: r.SignedAt, SentAt: r.SentAt}
	return &Fence{StackID: r.StackID, Proven: true, Deleted: f.Deleted || r.Type == RequestDelete, Seen: seen}
}

// A Reply is what CloudFormation is to be told.
type Reply struct {
	OK     bool
	Reason Reason
}

func succeed() Reply { return Reply{OK: true} }

func refuse(e *Error) Reply { return Reply{Reason: e.Reason()} }

// A Stack is the customer's CloudFormation stack that the connection is bound to. A stack is bound once CloudFormation has
// taken an answer to one of its requests; from then on it speaks through the logical ids that are recorded.
type Stack struct {
	ID       StackID
	Launch   int    // whose token bound it; 0 of an account of an organization, and where an earlier version bound it
	StartID  string // logical id of its Custom::RolecallStackStarted; "" where that has not spoken
	ReportID string // logical id of its Custom::RolecallConnection or Custom::RolecallMember; "" where that has not spoken
	// RoleARN is the role that was last proven from this stack, and PreviousRoleARN the one before, to which a rollback returns.
	RoleARN, PreviousRoleARN RoleARN
	TemplateVersion          string
	// PermissionsBoundaryARN is the policy that limits the role; "" where there is none, or the template does not say.
	PermissionsBoundaryARN string
}

// templatesStartID is the logical id of Custom::RolecallStackStarted in every published template. It tells the ids of a fence apart,
// which does not say whose they are.
const templatesStartID = "StackStarted"

// logicalIDs are the recorded one of a kind of resource, and that of the other kind.
func (s Stack) logicalIDs(of CallbackResource) (own, other string) {
	if of == ResourceStackStarted {
		return s.StartID, s.ReportID
	}
	return s.ReportID, s.StartID
}

// has reports whether a role was proven from this stack and may be what the stack has now.
func (s Stack) has(r RoleARN) bool {
	return !r.IsZero() && (s.RoleARN == r || s.PreviousRoleARN == r)
}

// proves records that a role was proven from this stack.
func (s *Stack) proves(r RoleARN) {
	if s.RoleARN != r {
		s.RoleARN, s.PreviousRoleARN = r, s.RoleARN
	}
}

// speaks reports whether the request is one of the connection's own stack, through a logical id that is recorded. A stack that
// an earlier version bound has the ids of its fence. A valid token of the launch that bound the stack adds an id where none of
// its kind is recorded: whoever reads a log may borrow the answer address of another resource of the same stack.
func (c Connection) speaks(f Fence, r Callback) bool {
	s := c.s.Stack
	if s.ID.IsZero() || s.ID != r.StackID {
		return false
	}
	own, other := s.logicalIDs(r.Resource)
	if own != "" || r.LogicalID == other {
		return own == r.LogicalID
	}
	if _, seen := f.Seen[r.LogicalID]; seen && (r.LogicalID == templatesStartID) == (r.Resource == ResourceStackStarted) {
		return true
	}
	return r.TokenValid && (r.ofMember() || s.Launch == 0 || r.Launch == s.Launch)
}

// recorded reports whether the request needs no token: its logical id is recorded.
func (c Connection) recorded(f Fence, r Callback) bool {
	r.TokenValid = false
	return c.speaks(f, r)
}

// bind makes the callback's stack the connection's; every launch made so far is used up with it.
func (s *Snapshot) bind(r Callback) {
	if s.Stack.ID != r.StackID {
		s.Stack = Stack{ID: r.StackID, Launch: r.Launch}
		if s.Status == StatusPending {
			s.StatusReason = Reason{} // that another account's was refused
		}
		s.Launches, s.UsedLaunch = nil, s.LastLaunch
	}
	if r.TemplateVersion != "" && (r.Resource != ResourceStackStarted || s.Stack.TemplateVersion == "") { // or nobody would tell of the new one
		s.Stack.TemplateVersion = r.TemplateVersion
	}
	if r.Resource == ResourceStackStarted {
		s.Stack.StartID = r.LogicalID
		return
	}
	s.Stack.ReportID = r.LogicalID
	if r.Type != RequestDelete {
		s.Stack.PermissionsBoundaryARN = r.Grant.BoundaryARN
	}
}

func stackData(r Callback) map[string]any {
	return map[string]any{"stackId": r.StackID.String(), "region": string(r.StackID.Region())}
}

// serves reports whether arn is the role whose credentials are issued now.
func (c Connection) serves(arn RoleARN) bool {
	return c.s.RoleARN == arn && (c.s.Status == StatusEnabled || c.s.Status == StatusDegraded)
}

// mayBind reports whether the callback's launch may bind a stack.
func (c Connection) mayBind(r Callback, now time.Time) *Error {
	if r.Launch <= c.s.UsedLaunch {
		return errLaunchUsed
	}
	for _, l := range c.s.Launches {
		if l.Number == r.Launch && now.Before(l.ExpiresAt) {
			return nil
		}
	}
	return errLaunchExpired
}

var (
	errLaunchUsed = &Error{
		Kind: KindConflict, Code: CodeLaunchUsed, Message: "this launch link has already been used by another stack",
		Fix: "Delete this stack and open a new launch from the platform.",
	}
	errLaunchExpired = &Error{
		Kind: KindConflict, Code: CodeLaunchExpired, Message: "this launch link has expired",
		Fix: "Delete this stack and open a new launch from the platform.",
	}
	errStackDeleted = &Error{
		Kind: KindConflict, Code: CodeStackDeleted, Message: "this stack is being deleted",
		Fix: "Launch again from the platform.",
	}
	errTokenInvalid = &Error{
		Kind: KindInvalid, Code: CodeTokenInvalid, Message: "the stack's token is not one of this connection's",
		Fix: "Launch the stack from the platform's link, with its parameters unchanged.",
	}
)

// mayTakeRole refuses what could never be this connection's role.
func (c Connection) mayTakeRole(arn RoleARN) *Error {
	if arn.Partition() != c.s.Partition {
		return &Error{
			Kind: KindInvalid, Code: CodePartitionMismatch,
			Message: "the role is in partition " + string(arn.Partition()) + ", this platform serves " + string(c.s.Partition),
			Fix:     "Connect an account of the platform's own partition.",
		}
	}
	return c.mayBeAccount(arn.Account())
}

func accountMismatch(got, want AccountID) *Error {
	return &Error{
		Kind: KindInvalid, Code: CodeAccountMismatch,
		Message: "the role belongs to account " + string(got) + ", but account " + string(want) + " was expected",
		Fix:     "Use a role of account " + string(want) + ", or create a connection of its own for the other account.",
	}
}

func stackGone() Reason {
	return Reason{
		Code: CodeStackDeleted, Message: "the customer's stack was deleted",
		Fix: "Prepare a new launch to connect the account again.",
	}
}
