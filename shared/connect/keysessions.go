package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// A KeySession asks for a session from a connection's access key.
type KeySession struct {
	Caller   Actor
	Duration time.Duration
	// Policy (JSON) and PolicyARNs narrow the session.
	Policy     string
	PolicyARNs []string
	// SignIn asks for a session that AWS's console takes.
	SignIn bool
}

// narrowed says that the session must be a federated one, as no other can be narrowed or sign in.
func (r KeySession) narrowed() bool { return r.Policy != "" || len(r.PolicyARNs) > 0 || r.SignIn }

// wholePolicy narrows nothing: a federated session without any policy could do nothing at all.
const wholePolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// A FederationRequest is one call of GetFederationToken.
type FederationRequest struct {
	Name       string // 2 to 32 characters, as CloudTrail shows it
	Policy     string
	PolicyARNs []string
	Duration   time.Duration
}

// A KeySessionMaker makes sessions with a customer's access key. A refusal is an [Error] of KindDenied.
type KeySessionMaker interface {
	GetSessionToken(ctx context.Context, keys Credentials, d time.Duration) (Credentials, error)
	GetFederationToken(ctx context.Context, keys Credentials, r FederationRequest) (Session, error)
}

// KeySessions makes sessions for connections by access key. The long-lived pair itself is never handed out.
type KeySessions struct {
	Opener     Opener
	Identifier Identifier
	Maker      KeySessionMaker
	Clock      func() time.Time
}

// Session makes a session of a connection by access key, which the caller has found enabled. A long-lived key makes a
// session of GetSessionToken, or of GetFederationToken where it is to be narrowed or to sign in. A temporary key is
// handed out itself, until its end: that session can be shorter than was asked for, and can be neither narrowed nor used
// to sign in (CodeKeysFixed).
func (k KeySessions) Session(ctx context.Context, c Connection, r KeySession) (Session, error) {
	if c.s.AccessKey == nil {
		return Session{}, errors.New("a connection without an access key")
	}
	if temporary(c.s.AccessKey.ID) {
		return k.stored(ctx, c, r)
	}
	keys, err := k.open(ctx, c)
	if err != nil {
		return Session{}, err
	}
	if r.narrowed() {
		return k.federated(ctx, c, keys, r)
	}
	session, err := k.Maker.GetSessionToken(ctx, keys, r.Duration)
	if err != nil {
		return Session{}, keyIssueError(err)
	}
	return Session{Credentials: session, Account: c.s.AccountID, NoIAM: true}, nil
}

func (k KeySessions) open(ctx context.Context, c Connection) (Credentials, error) {
	keys, err := k.Opener.Open(ctx, c.s.TenantID, c.s.ID, *c.s.AccessKey)
	if err != nil {
		return Credentials{}, fmt.Errorf("open access key: %w", err)
	}
	return keys, nil
}

func (k KeySessions) federated(ctx context.Context, c Connection, keys Credentials, r KeySession) (Session, error) {
	if r.Policy == "" && len(r.PolicyARNs) == 0 {
		r.Policy = wholePolicy
	}
	name := FederationName(r.Caller)
	s, err := k.Maker.GetFederationToken(ctx, keys, FederationRequest{
		Name: name, Policy: r.Policy, PolicyARNs: r.PolicyARNs, Duration: r.Duration,
	})
	var e *Error
	if isDenied(err) && errors.As(err, &e) && e.Code == CodeKeysFederationDenied {
		return Session{}, &Error{
			Kind: KindDenied, Code: e.Code, Message: "the user of the access key may not make sessions that are narrowed or sign in", cause: err,
			Fix: "In IAM, add to the user's permissions an inline policy with this statement: " +
				allowStatement("*", []string{"sts:GetFederationToken"}) + ".",
		}
	}
	if err != nil {
		return Session{}, keyIssueError(err)
	}
	if s.Account != c.s.AccountID {
		return Session{}, accountMismatch(s.Account, c.s.AccountID)
	}
	s.Name, s.NoIAM = name, true
	return s, nil
}

// stored hands a temporary key out, once AWS has said that it is still good.
func (k KeySessions) stored(ctx context.Context, c Connection, r KeySession) (Session, error) {
	if r.narrowed() {
		return Session{}, &Error{
			Kind: KindConflict, Code: CodeKeysFixed, Message: "a temporary access key can be neither narrowed nor used to sign in",
			Fix: "Ask without policies and sign-in; or give a long-lived key, or better connect by a role.",
		}
	}
	if !k.Clock().Before(c.s.AccessKey.ExpiresAt) {
		return Session{}, keysEnded()
	}
	keys, err := k.open(ctx, c)
	if err != nil {
		return Session{}, err
	}
	who, err := k.Identifier.Identity(ctx, keys)
	if err != nil {
		return Session{}, keyIssueError(err)
	}
	return Session{Credentials: keys, Account: who.Account}, nil
}

// keysEnded is keysExpired for those who ask for credentials.
func keysEnded() *Error {
	e := keysExpired()
	e.Code = CodeNotEnabled
	return e
}

func keyIssueError(err error) error {
	var e *Error
	switch {
	case !errors.As(err, &e) || e.Kind != KindDenied:
		return err
	case e.Code == CodeKeysExpired:
		return keysEnded()
	}
	return &Error{
		Kind: KindDenied, Code: CodeKeysRefused, Message: "AWS refuses the connection's access key", cause: err,
		Fix: "Verify the connection with POST /v1/connections/{id}/verify; its checks say what to mend.",
	}
}

// fromKeys is Session for a connection by access key. Its audit record names the customer's key in the place of a role.
func (m SessionMaker) fromKeys(ctx context.Context, a SessionAsk) (Issued, error) {
	r := KeySession{Caller: a.Caller, Duration: cmp.Or(a.Options.Duration, LongestSession), SignIn: a.Purpose == PurposeConsole, Policy: a.Options.Policy, PolicyARNs: a.Options.PolicyARNs}
	s, err := m.Keys.Session(ctx, a.Connection, r)
	if err != nil {
		return Issued{}, m.tell(ctx, a.Connection, err)
	}
	e := m.issued(a, AssumeRequest{SessionName: s.Name}, s)
	e.Data["fromAccessKeyId"] = a.Connection.s.AccessKey.ID
	if s.Credentials.AccessKeyID == a.Connection.s.AccessKey.ID { // it lasts as long as it lasts
		e.Data["durationSeconds"] = int(s.Credentials.Expires.Sub(m.Clock()).Seconds())
	}
	if err := m.Store.Note(ctx, e); err != nil {
		return Issued{}, fmt.Errorf("audit record: %w", err)
	}
	return Issued{Credentials: s.Credentials, Account: s.Account, SessionName: s.Name, NoIAM: s.NoIAM}, nil
}

// revokedKeys is what a revocation stops of a connection by access key: hand-outs. There is no role that could deny the
// sessions that are out already.
func (c Connection) revokedKeys() Revoked {
	until := c.s.UpdatedAt.Add(LongestSession)
	if end := c.s.AccessKey.ExpiresAt; end.After(until) { // a temporary key was handed out itself
		until = end
	}
	return Revoked{
		Connection: c, At: c.s.UpdatedAt, ValidUntil: until,
		Reason: Reason{
			Code: CodeRevocationDenied, Message: "sessions made with an access key cannot be denied by Rolecall, so that those that are out already live on",
			Fix: "The customer can deny them at once: in IAM, give the key's user a policy that denies everything where aws:TokenIssueTime is earlier " +
				"than now, or delete the user. Deactivating the key only stops new sessions.",
		},
	}
}
