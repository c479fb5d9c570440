package connect

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A CallbackStore is what receiving callbacks needs of a store.
type CallbackStore interface {
	// ConnectionAndFence reads both consistently in one request; ErrNotFound where there is no such connection, the
	// zero Fence where the stack has none.
	ConnectionAndFence(ctx context.Context, id ConnectionID, stack StackID) (Connection, Fence, error)
	Commit(ctx context.Context, ch Change) error
}

// A ReplyTo is where CloudFormation waits for the answer to one request.
type ReplyTo struct {
	URL       Secret // signed: whoever has it can answer
	StackID   string
	RequestID string
	LogicalID string
	// PhysicalID is the connection's id, or the enrolment's and the account, always: a changed one would make
	// CloudFormation replace the resource.
	PhysicalID string
	// Until is when CloudFormation stops waiting; an answer after that is nobody's.
	Until time.Time
	// Expires is when the URL's signature ends. CloudFormation takes no answer after that.
	Expires time.Time
}

// AnswerTime is the ServiceTimeout of the template's custom resources: how long CloudFormation waits for an answer.
const AnswerTime = 5 * time.Minute

// A VerifyJob asks for one try of a run.
type VerifyJob struct {
	ConnectionID ConnectionID
	Run          int64
	Attempt      int
	ReplyTo      *ReplyTo // nil where nobody waits, or the answer has been given
	// Contender is tried instead of a run of the connection's; nil for none.
	Contender *Contender
	// Farewell asks for no try: a stack's Delete waits until the role can be deleted.
	Farewell bool
	// Redelivered says that an earlier delivery of the same message did not end well. Not part of the message.
	Redelivered bool
}

// Jobs queues tries.
type Jobs interface {
	// Verify queues a try to be made after delay, rounded to whole seconds, 15 minutes at most.
	Verify(ctx context.Context, job VerifyJob, delay time.Duration) error
}

// A CallbackRequest is a custom resource's request as a stranger sent it: parsed, but nothing in it is proven.
type CallbackRequest struct {
	Callback      Callback // without Launch, RoleARN and what is made of PermissionSet
	ConnectionID  string
	EnrolmentID   string // instead of the connection's, of an account of an organization
	Token         Secret
	RoleARN       string
	PermissionSet string // "" of templates before 1.2.0
	ReplyTo       ReplyTo
	Redelivered   bool
}

// Callbacks receives what customers' stacks report.
type Callbacks struct {
	Store  CallbackStore
	Tokens Tokens
	Jobs   Jobs
	Clock  func() time.Time
	// Account is the platform's own, whose roles are nobody's to connect.
	Account AccountID
	// Offers are the permission sets that stacks may report.
	Offers  []Permissions
	Members Members
}

// Receive acts upon a callback. The reply is nil where it is given later, by the verification's end. An error means that
// nothing is known to be durable: the request must be delivered again.
func (u Callbacks) Receive(ctx context.Context, r CallbackRequest) (*Reply, error) {
	reply, err := u.receive(ctx, r)
	var e *Error
	if errors.As(err, &e) && e.Kind != KindUnavailable && e.Kind != KindInternal {
		reply, err = &Reply{Reason: e.Reason()}, nil
	}
	if err != nil {
		return nil, err
	}
	if reply != nil && r.Callback.Type == RequestDelete {
		reply = &Reply{OK: true}
	}
	return reply, nil
}

func (u Callbacks) receive(ctx context.Context, r CallbackRequest) (*Reply, error) {
	if r.ofMember() {
		return u.receiveMember(ctx, r)
	}
	id, err := ParseConnectionID(r.ConnectionID)
	if err != nil {
		return nil, err
	}
	cb := r.Callback
	if cb.Launch, err = u.Tokens.Launch(ctx, id, r.Token); err != nil {
		return nil, err
	}
	if cb.RoleARN, err = u.role(r); err != nil {
		return nil, err
	}
	if err = u.readGrant(&cb, r.PermissionSet); err != nil {
		return nil, err
	}
	for range attempts {
		c, fence, readErr := u.Store.ConnectionAndFence(ctx, id, cb.StackID)
		if readErr != nil {
			return nil, readErr
		}
		d := c.Receive(fence, cb, u.Clock())
		if d.Change != nil {
			if err = u.Store.Commit(ctx, *d.Change); errors.Is(err, ErrConflict) {
				continue
			}
			if err != nil {
				return nil, err
			}
			c = d.Change.Connection()
		}
		return u.conclude(ctx, c, d, r)
	}
	return nil, err
}

// ofMember reports whether the request comes from an account's stack of an enrolled organization.
func (r CallbackRequest) ofMember() bool {
	starts := r.Callback.Resource == ResourceStackStarted && r.ConnectionID == "" && r.EnrolmentID != ""
	return starts || r.Callback.Resource == ResourceMember
}

// conclude answers at once, or queues the try that will lead to an answer.
func (u Callbacks) conclude(ctx context.Context, c Connection, d Decision, r CallbackRequest) (*Reply, error) {
	if d.Reply != nil && u.awaitsFarewell(ctx, c, d, r) {
		return nil, nil
	}
	if d.Reply != nil {
		return d.Reply, nil
	}
	if d.Change == nil && !r.Redelivered {
		return nil, nil // a copy of a request that is being seen to
	}
	v, _ := c.Trial()
	reply := r.ReplyTo
	reply.Until = r.Callback.SentAt.Add(AnswerTime)
	if r.Callback.Resource != ResourceMember { // whose id was settled before there was a connection
		reply.PhysicalID = string(c.s.ID)
	}
	job := VerifyJob{ConnectionID: c.s.ID, Run: d.Run, Attempt: v.Attempt, ReplyTo: &reply}
	if err := u.Jobs.Verify(ctx, job, v.NextTryAt.Sub(u.Clock())); err != nil {
		return nil, fmt.Errorf("queue verification: %w", err)
	}
	return nil, nil
}

// awaitsFarewell leaves the answer to a Delete to function verify, where the role bears a policy of ours that would keep
// CloudFormation from deleting it. Where that cannot be asked for, the Delete is answered at once.
func (u Callbacks) awaitsFarewell(ctx context.Context, c Connection, d Decision, r CallbackRequest) bool {
	if r.Callback.Type != RequestDelete || d.Change == nil || c.s.Revocation == nil || c.s.Revocation.LiftAt.IsZero() {
		return false
	}
	reply := r.ReplyTo
	reply.PhysicalID, reply.Until = string(c.s.ID), r.Callback.SentAt.Add(AnswerTime)
	return u.Jobs.Verify(ctx, VerifyJob{ConnectionID: c.s.ID, Farewell: true, ReplyTo: &reply}, 0) == nil
}

// role reads the reported role's ARN; a Delete and the first resource need none.
func (u Callbacks) role(r CallbackRequest) (RoleARN, error) {
	if r.Callback.Resource == ResourceStackStarted || r.Callback.Type == RequestDelete {
		return RoleARN{}, nil
	}
	arn, err := ParseRoleARN(r.RoleARN)
	if err != nil {
		return RoleARN{}, err
	}
	return arn, refuseOwn(arn, u.Account)
}

func refuseOwn(arn RoleARN, platform AccountID) error {
	if arn.Account() != platform {
		return nil
	}
	return &Error{
		Kind: KindInvalid, Code: CodeOwnAccount, Message: "this role belongs to the platform's own account",
		Fix: "Connect the account of a customer.",
	}
}
