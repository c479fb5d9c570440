package connect

import "time"

// PermissionsCustom is the set whose policy a platform gives itself. A platform that stops offering it leaves stacks
// behind that have it.
const PermissionsCustom Permissions = "custom"

// A Grant is what the customer's stack says of the role besides its ARN. Templates before 1.2.0 say nothing: the zero
// value.
type Grant struct {
	Permissions Permissions
	// Withdrawn says that Permissions is a set of ours that is not on offer.
	Withdrawn  bool
	ExternalID string // as the role's trust policy asks for it
	// PolicyDigest names the platform's own policy that the role has, of templates since 1.3.0 where the set is custom.
	PolicyDigest string
	BoundaryARN  string // "" for no permissions boundary
}

var errNotOffered = &Error{
	Kind: KindInvalid, Code: CodePermissionsInvalid, Message: "the stack's PermissionSet is none that the platform offers",
	Fix: "Set the stack's parameter PermissionSet to one of the platform's permission sets.",
}

// mayTakeGrant refuses a role that asks for another external ID than ours: nobody could assume it. An update of the stack
// that is told so is rolled back, and the role with it. A set that is not on offer any more is refused to a new role
// only, or the stacks that have it could neither be updated nor rolled back.
func (c Connection) mayTakeGrant(r Callback) *Error {
	switch {
	case r.Grant.ExternalID != "" && r.Grant.ExternalID != string(c.s.ExternalID):
		return &Error{
			Kind: KindInvalid, Code: CodeExternalIDMismatch, Message: "the stack's ExternalId is not this connection's",
			Fix: "Set the stack's parameter ExternalId to " + string(c.s.ExternalID) + ".",
		}
	case r.Grant.Withdrawn && !c.serves(r.RoleARN) && !c.s.Stack.has(r.RoleARN):
		return errNotOffered
	}
	return nil
}

// granted is the set that the stack reports or, of a template that reports none, the one it was asked for. It follows
// from the request alone, so that a rollback to an older template restores it.
func (c Connection) granted(r Callback) Permissions {
	if r.Grant.Permissions == "" {
		return c.s.Requested
	}
	return r.Grant.Permissions
}

// grant keeps what the stack says that the role may do: of the role on trial, and of the connection unless another role
// still serves it.
func (s *Snapshot) grant(p Permissions, policyDigest string) {
	if s.Verification != nil {
		s.Verification.Permissions, s.Verification.PolicyDigest = p, policyDigest
	}
	if s.Verification == nil || s.Status == StatusVerifying {
		s.Permissions, s.PolicyDigest = p, policyDigest
	}
}

// lookSoon has a role that serves checked in full, once IAM has had the time to spread what the customer changed. A
// look that is planned already is a full one, too.
func (s *Snapshot) lookSoon(now time.Time) {
	if s.Status == StatusEnabled && s.NextVerificationAt.IsZero() {
		s.NextVerificationAt = now.Add(settleTime)
	}
}

// watched says that something about the role has to be found out before its slot's next turn.
func (s Snapshot) watched() bool { return s.Strikes > 0 || !s.NextVerificationAt.IsZero() }

// trialSubject is the role on trial with the set that it is to have.
func (c Connection) trialSubject(v Verification) Subject {
	s := c.subject(v.RoleARN)
	s.PolicyDigest = v.PolicyDigest
	if v.Permissions != "" {
		s.Permissions = v.Permissions
	}
	return s
}
