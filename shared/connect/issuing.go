package connect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Limits of the sessions that are handed out. AWS ends role chaining at an hour.
const (
	DefaultSession = 30 * time.Minute
	LeastSession   = 30 * time.Minute
	LongestSession = time.Hour
)

// An IssuingStore is what issuing credentials needs of a store.
type IssuingStore interface {
	Connection(ctx context.Context, id ConnectionID) (Connection, error)
	// Note keeps an event that changes no state.
	Note(ctx context.Context, e Event) error
}

// Issuing hands out sessions of customers' roles.
type Issuing struct {
	Store   IssuingStore
	Assumer Assumer
	Clock   func() time.Time
	EventID func() string // unique for ever
	// Refusals hears of roles that the customer's account refuses; nil for nobody.
	Refusals Refusals
}

// Refusals is told that the role of an enabled connection was refused.
type Refusals interface {
	Refused(ctx context.Context, id ConnectionID) error
}

// An IssueRequest asks for credentials.
type IssueRequest struct {
	Tenant   TenantID
	ID       string
	Caller   Actor
	Duration time.Duration // 0 for DefaultSession
}

// Issued are credentials and the account they are for.
type Issued struct {
	Credentials Credentials
	Account     AccountID
}

// Issue makes a session, provided that the connection is enabled at the moment of asking. The audit record is durable
// before the credentials leave.
func (u Issuing) Issue(ctx context.Context, r IssueRequest) (Issued, error) {
	duration, err := sessionDuration(r.Duration)
	if err != nil {
		return Issued{}, err
	}
	c, err := owned(ctx, u.Store, r.Tenant, r.ID)
	if err != nil {
		return Issued{}, err
	}
	if c.s.Status != StatusEnabled {
		return Issued{}, &Error{
			Kind: KindConflict, Code: CodeNotEnabled, Message: fmt.Sprintf("the connection is %s, not enabled", c.s.Status),
			Fix: statusFix(c.s.Status),
		}
	}
	ask := c.assumeRequest(r.Caller, duration)
	session, err := u.assume(ctx, ask)
	if err != nil {
		return Issued{}, issueError(u.tell(ctx, c, err))
	}
	if session.Account != c.s.AccountID {
		return Issued{}, accountMismatch(session.Account, c.s.AccountID)
	}
	if err := u.Store.Note(ctx, u.issued(c, r.Caller, ask, session)); err != nil {
		return Issued{}, fmt.Errorf("audit record: %w", err)
	}
	return Issued(session), nil
}

func sessionDuration(d time.Duration) (time.Duration, error) {
	if d == 0 {
		return DefaultSession, nil
	}
	if d < LeastSession || d > LongestSession || d%time.Second != 0 {
		return 0, &Error{
			Kind: KindInvalid, Code: CodeDurationInvalid,
			Message: "a session lasts from 1800 to 3600 seconds: AWS ends role chaining at an hour",
			Fix:     "Ask for 1800 to 3600 seconds.",
		}
	}
	return d, nil
}

func (c Connection) assumeRequest(caller Actor, d time.Duration) AssumeRequest {
	name := SessionName(caller)
	r := AssumeRequest{
		RoleARN: c.s.RoleARN, ExternalID: c.s.ExternalID, SessionName: name, Duration: d,
	}
	if c.s.SessionTags {
		r.SourceIdentity = name
		r.Tags = map[string]string{"rolecall:connection": string(c.s.ID), "rolecall:tenant": string(c.s.TenantID)}
	}
	return r
}

// assume asks with tags where the role was found to take them, and without where it does so no longer.
func (u Issuing) assume(ctx context.Context, r AssumeRequest) (Session, error) {
	s, err := u.Assumer.AssumeRole(ctx, r)
	if isDenied(err) && r.Tags != nil {
		r.Tags, r.SourceIdentity = nil, ""
		return u.Assumer.AssumeRole(ctx, r)
	}
	return s, err
}

// tell has a refusal looked into. Where that cannot be asked for, the error says so, too.
func (u Issuing) tell(ctx context.Context, c Connection, err error) error {
	if u.Refusals == nil || !isDenied(err) {
		return err
	}
	return errors.Join(err, u.Refusals.Refused(ctx, c.s.ID))
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

func (u Issuing) issued(c Connection, caller Actor, ask AssumeRequest, s Session) Event {
	return Event{
		ID: u.EventID(), ConnectionID: c.s.ID, TenantID: c.s.TenantID, Sequence: c.s.Version,
		Type: EventCredentialsIssued, At: u.Clock(), Actor: caller,
		Data: map[string]any{
			"sessionName": ask.SessionName, "accessKeyId": s.Credentials.AccessKeyID, "roleArn": ask.RoleARN.String(),
			"durationSeconds": int(ask.Duration.Seconds()), "expiresAt": s.Credentials.Expires.UTC().Format(time.RFC3339),
		},
	}
}

// SessionName is the caller as the customer's CloudTrail shows it: "rolecall-" and the caller, cut to STS's 64
// characters and to those it allows.
func SessionName(caller Actor) string {
	name := strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '_' || strings.ContainsRune("+=,.@-", r) ||
			(r >= '0' && r <= '9') || (r >= 'A' && r <= 'Z') || (r >= 'a' && r <= 'z')) {
			return r
		}
		return '-'
	}, string(caller))
	name = "rolecall-" + name
	if len(name) > 64 {
		name = name[:64]
	}
	return name
}
