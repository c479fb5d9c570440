package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// An IssuingStore is what issuing credentials needs of a store.
type IssuingStore interface {
	// Bare reads a connection consistently, in one request.
	Bare(ctx context.Context, id ConnectionID) (Connection, error)
}

// A NoteStore keeps events that change no state.
type NoteStore interface {
	Note(ctx context.Context, e Event) error
}

// Issuing hands out sessions of customers' accounts. Before each hand-out it reads the connection consistently.
type Issuing struct {
	Store    IssuingStore
	Sessions Sessions
	Clock    func() time.Time
	Scopes   ScopeStore // for those who ask for the connection of a place
	Limits   *Limits    // nil for none
}

// Refusals is told that the role of an enabled connection was refused.
type Refusals interface {
	Refused(ctx context.Context, id ConnectionID) error
}

// An IssueRequest asks for credentials; its zero options ask for what the role itself may do.
type IssueRequest struct {
	Tenant   TenantID
	ID       string
	Place    *EffectiveQuery // asks for the connection that applies there, instead of ID
	Caller   Actor
	Duration time.Duration // 0 for DefaultSession
	Shortest time.Duration // the least that Duration may be; 0 for LeastSession
	Least    time.Duration // what must be left of it when it is handed out; 0 for two thirds
	Restriction
	Region string         // where the credentials are to be used; "" for the connection's own
	Reason string         // why, for the audit records
	Filter ResourceFilter // of the caller
}

// Issued are credentials, and what they are for.
type Issued struct {
	Credentials Credentials
	Account     AccountID
	Region      Region
	Connection  ConnectionID
	SessionName string // by which the customer's CloudTrail shows the caller
	Held        bool   // handed out before, and now once more
	NoIAM       bool   // as of the Session
}

// Issue hands out a session, provided that the connection is enabled at the moment of asking. The audit record of a new
// one is durable before its credentials leave.
func (u Issuing) Issue(ctx context.Context, r IssueRequest) (Issued, error) {
	duration, err := sessionDuration(r.Duration, cmp.Or(r.Shortest, LeastSession))
	if err != nil {
		return Issued{}, err
	}
	if err = checkReason(r.Reason); err != nil {
		return Issued{}, err
	}
	if u.Limits != nil {
		if err = u.Limits.Admit(ctx, r.Tenant, r.Caller); err != nil {
			return Issued{}, err
		}
	}
	c, err := u.find(ctx, r)
	if err != nil {
		return Issued{}, err
	}
	options, err := r.options(duration, c)
	if err != nil {
		return Issued{}, err
	}
	region, err := c.sessionRegion(r.Region)
	if err != nil {
		return Issued{}, err
	}
	issued, err := u.Sessions.Session(ctx, SessionAsk{
		Connection: c, Caller: r.Caller, Options: options, Reason: r.Reason, Least: leastLife(duration, r.Least),
	})
	issued.Region, issued.Connection = region, c.s.ID
	return issued, err
}

// find reads the connection that is asked for by its id, or by its place in the platform.
func (u Issuing) find(ctx context.Context, r IssueRequest) (Connection, error) {
	if r.Place == nil {
		return u.serving(ctx, Target{Tenant: r.Tenant, ID: r.ID, Filter: r.Filter})
	}
	c, _, err := Resolver{u.Scopes}.Effective(ctx, r.Tenant, *r.Place)
	if err == nil {
		err = r.Filter.admit(c)
	}
	if err == nil && c.revoking(u.Clock()) {
		err = errRevoking
	}
	return c, err
}

// serving reads a connection that is to be used, which must be enabled.
func (u Issuing) serving(ctx context.Context, t Target) (Connection, error) {
	c, err := admitted(ctx, u.Store.Bare, t)
	switch {
	case err != nil:
		return c, err
	case c.s.Status != StatusEnabled:
		return c, &Error{
			Kind: KindConflict, Code: CodeNotEnabled, Message: fmt.Sprintf("the connection is %s, not enabled", c.s.Status),
			Fix: statusFix(c.s.Status),
		}
	}
	if c.revoking(u.Clock()) {
		return c, errRevoking
	}
	return c, nil
}

// A SessionMaker makes a session with each ask, and its audit record.
type SessionMaker struct {
	Store   NoteStore
	Assumer Assumer
	Keys    KeySessions // of connections by access key
	Clock   func() time.Time
	EventID func() string // unique for ever
	// Refusals hears of roles that the customer's account refuses; nil for nobody.
	Refusals Refusals
}

// Session implements Sessions.
func (m SessionMaker) Session(ctx context.Context, a SessionAsk) (Issued, error) {
	if a.Connection.s.Method == MethodAccessKey {
		return m.fromKeys(ctx, a)
	}
	ask := a.Connection.assumeRequest(a.Caller, a.Options)
	session, err := m.assume(ctx, ask)
	if err != nil {
		return Issued{}, issueError(m.tell(ctx, a.Connection, err))
	}
	if session.Account != a.Connection.s.AccountID {
		return Issued{}, accountMismatch(session.Account, a.Connection.s.AccountID)
	}
	if err := m.Store.Note(ctx, m.issued(a, ask, session)); err != nil {
		return Issued{}, fmt.Errorf("audit record: %w", err)
	}
	return Issued{Credentials: session.Credentials, Account: session.Account, SessionName: ask.SessionName}, nil
}

func (c Connection) assumeRequest(caller Actor, o SessionOptions) AssumeRequest {
	name := SessionName(caller)
	r := AssumeRequest{
		RoleARN: c.s.RoleARN, ExternalID: c.s.ExternalID, SessionName: name, Duration: o.Duration,
		Policy: o.Policy, PolicyARNs: o.PolicyARNs,
	}
	if c.s.SessionTags {
		r.SourceIdentity = name
		r.Tags = map[string]string{"rolecall:connection": string(c.s.ID), "rolecall:tenant": string(c.s.TenantID)}
	}
	return r
}

// assume asks with tags where the role was found to take them, and without where it does so no longer.
func (m SessionMaker) assume(ctx context.Context, r AssumeRequest) (Session, error) {
	s, err := m.Assumer.AssumeRole(ctx, r)
	if isDenied(err) && r.Tags != nil {
		r.Tags, r.SourceIdentity = nil, ""
		return m.Assumer.AssumeRole(ctx, r)
	}
	return s, err
}

// tell has a refusal looked into. Where that cannot be asked for, the error says so, too.
func (m SessionMaker) tell(ctx context.Context, c Connection, err error) error {
	if m.Refusals == nil || !isDenied(err) {
		return err
	}
	return errors.Join(err, m.Refusals.Refused(ctx, c.s.ID))
}

func issueError(err error) error {
	if isDenied(err) {
		return &Error{
			Kind: KindDenied, Code: CodeRoleNotAssumable, Message: "the customer's account refuses the role", cause: err,
			Fix: "Verify the connection with POST /v1/connections/{id}/verify; its checks say what to mend.",
		}
	}
	return err
}

func (m SessionMaker) issued(a SessionAsk, ask AssumeRequest, s Session) Event {
	c := a.Connection
	e := Event{
		ID: m.EventID(), ConnectionID: c.s.ID, TenantID: c.s.TenantID, Sequence: c.s.Version,
		Type: EventCredentialsIssued, At: m.Clock(), Actor: a.Caller,
		Data: map[string]any{
			"accessKeyId":     s.Credentials.AccessKeyID,
			"durationSeconds": int(cmp.Or(a.Options.Duration, LongestSession).Seconds()),
			"expiresAt":       s.Credentials.Expires.UTC().Format(time.RFC3339),
		},
	}
	for name, value := range map[string]string{
		"sessionName": ask.SessionName, "roleArn": ask.RoleARN.String(), "reason": a.Reason, "purpose": a.Purpose, "policyHash": a.Options.PolicyHash(), "sourceIdentity": ask.SourceIdentity,
	} {
		if value != "" {
			e.Data[name] = value
		}
	}
	return e
}
