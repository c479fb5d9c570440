package cfn

import (
	"slices"
	"strings"
	"time"
)

// A Status is the status of a stack or a resource, in CloudFormation's words.
type Status string

// Statuses of stacks and resources.
const (
	ReviewInProgress Status = "REVIEW_IN_PROGRESS" // made by a change set that was not executed yet

	CreateInProgress Status = "CREATE_IN_PROGRESS"
	CreateComplete   Status = "CREATE_COMPLETE"
	CreateFailed     Status = "CREATE_FAILED"

	RollbackInProgress Status = "ROLLBACK_IN_PROGRESS"
	RollbackComplete   Status = "ROLLBACK_COMPLETE"
	RollbackFailed     Status = "ROLLBACK_FAILED"

	UpdateInProgress       Status = "UPDATE_IN_PROGRESS"
	UpdateCleanup          Status = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
	UpdateComplete         Status = "UPDATE_COMPLETE"
	UpdateFailed           Status = "UPDATE_FAILED"
	UpdateRollback         Status = "UPDATE_ROLLBACK_IN_PROGRESS"
	UpdateRollbackCleanup  Status = "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"
	UpdateRollbackComplete Status = "UPDATE_ROLLBACK_COMPLETE"
	UpdateRollbackFailed   Status = "UPDATE_ROLLBACK_FAILED"
	DeleteInProgress       Status = "DELETE_IN_PROGRESS"
	DeleteComplete         Status = "DELETE_COMPLETE"
	DeleteFailed           Status = "DELETE_FAILED"
	DeleteSkipped          Status = "DELETE_SKIPPED" // resources only: their policy keeps them
	stackType                     = "AWS::CloudFormation::Stack"
	userInitiated                 = "User Initiated"
	creationInitiated             = "Resource creation Initiated"
	replacementNeeded             = "Requested update requires the creation of a new physical resource; hence creating one."
)

// Done tells whether nothing more happens to a stack by itself.
func (s Status) Done() bool { return !strings.HasSuffix(string(s), "_IN_PROGRESS") }

// updatable tells whether UpdateStack is allowed.
func (s Status) updatable() bool {
	return s == CreateComplete || s == UpdateComplete || s == UpdateRollbackComplete || s == UpdateFailed
}

// A Tag is a tag of a stack.
type Tag struct {
	Key   string
	Value string
}

// A Stack is what can be seen of a stack.
type Stack struct {
	ID           string
	Name         string
	Account      string
	Region       string
	Description  string
	Status       Status
	Reason       string
	Created      time.Time
	Updated      time.Time // zero until the first update
	Deleted      time.Time // zero until it is deleted
	Parameters   []ParameterValue
	Outputs      []StackOutput
	Tags         []Tag
	Capabilities []string
	Notification []string // ARNs of topics, as given
	OnFailure    string   // ROLLBACK, DELETE or DO_NOTHING
	ChangeSetID  string   // of the change set that made its present state
	Template     string   // as given
}

// Output gives the value of an output, "" where there is none.
func (s *Stack) Output(name string) string {
	i := slices.IndexFunc(s.Outputs, func(o StackOutput) bool { return o.Key == name })
	if i < 0 {
		return ""
	}
	return s.Outputs[i].Value
}

// A StackOutput is an output of a stack.
type StackOutput struct {
	Key         string
	Value       string
	Description string
	ExportName  string
}

// A StackResource is what can be seen of a stack's resource.
type StackResource struct {
	LogicalID  string
	PhysicalID string
	Type       string
	Status     Status
	Reason     string
	Updated    time.Time
	Metadata   any
}

// An Event is a step of a stack.
type Event struct {
	ID         string
	StackID    string
	StackName  string
	LogicalID  string
	PhysicalID string
	Type       string
	At         time.Time
	Status     Status
	Reason     string
	Token      string // the ClientRequestToken of the request that led to it
}

// mark sets the status of the stack and records it. The caller holds the engine's lock.
func (e *Engine) mark(s *stack, status Status, reason string) {
	s.Status, s.Reason = status, reason
	e.record(s, Event{LogicalID: s.Name, PhysicalID: s.ID, Type: stackType, Status: status, Reason: reason, ID: e.config.NewID()})
}

// note sets the status of a resource and records it. The caller holds the engine's lock.
func (e *Engine) note(s *stack, r *resource, status Status, reason string) {
	r.Status, r.Reason, r.Updated = status, reason, e.config.Clock()
	e.record(s, Event{
		LogicalID: r.LogicalID, PhysicalID: r.PhysicalID, Type: r.Type, Status: status, Reason: reason,
		ID: r.LogicalID + "-" + string(status) + "-" + r.Updated.UTC().Format("2006-01-02T15:04:05.000Z") + "-" + e.config.NewID(),
	})
}

func (e *Engine) record(s *stack, event Event) {
	event.StackID, event.StackName, event.At, event.Token = s.ID, s.Name, e.config.Clock(), s.token
	s.events = append(s.events, event)
	e.config.Log.Debug("stack event", "stack", s.Name, "resource", event.LogicalID, "status", event.Status, "reason", event.Reason)
}

// stackMark is mark for callers without the lock.
func (e *Engine) stackMark(s *stack, status Status, reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mark(s, status, reason)
}
