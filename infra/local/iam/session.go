package iam

import (
	"crypto/rand"
	"encoding/base64"
	"maps"
	"net/http"
	"strings"
	"time"

	"rolecall/infra/local/policy"
	"rolecall/infra/local/wire"
)

// Credentials are an access key; Token and Expiration are empty for long-lived ones.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	Token           string
	Expiration      time.Time
}

type sessionKind int

const (
	roleSession sessionKind = iota
	tokenSession
	federatedSession
)

// A session is what STS handed out.
type session struct {
	kind       sessionKind
	principal  wire.Principal
	secret     string
	token      string
	issued     time.Time
	expires    time.Time
	ownerID    string            // the unique id of the role or user: one that is made anew does not get the session back
	base       string            // of a federated session: the ARN of the user or root who made it
	transitive map[string]string // session tags that the next role in a chain gets too
}

// Ended sessions stay known for a day, so that their holder hears "expired" and not "unknown".
const (
	minSweep    = 1024
	sweepAfter  = 24 * time.Hour
	tokenLength = 180
)

// open keeps a session and answers its credentials. The caller holds the lock for writing.
func (s *Service) open(se session, d time.Duration) Credentials {
	var token [tokenLength]byte
	_, _ = rand.Read(token[:]) // never fails
	now := s.clock()
	se.secret, se.token = newSecret(), base64.StdEncoding.EncodeToString(token[:])
	se.issued, se.expires = now, now.Add(d).UTC().Truncate(time.Second)
	se.principal.AccessKeyID = newKeyID("ASIA")
	if len(s.sessions) >= s.sweepAt {
		maps.DeleteFunc(s.sessions, func(_ string, old *session) bool { return now.Sub(old.expires) > sweepAfter })
		s.sweepAt = max(minSweep, 2*len(s.sessions))
	}
	s.sessions[se.principal.AccessKeyID] = &se
	return Credentials{
		AccessKeyID: se.principal.AccessKeyID, SecretAccessKey: se.secret, Token: se.token, Expiration: se.expires,
	}
}

// Authenticate finds who has an access key. A key id of 12 digits is the root of that account. Errors:
// InvalidClientTokenId (unknown key, wrong token, role or user gone), ExpiredToken.
func (s *Service) Authenticate(accessKeyID, token string) (wire.Principal, error) {
	if accountForm.MatchString(accessKeyID) {
		return root(accessKeyID, accessKeyID), nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if se := s.sessions[accessKeyID]; se != nil && token == se.token {
		return s.resume(se)
	}
	k := s.keys[accessKeyID]
	if k == nil || !k.active || token != "" {
		return wire.Principal{}, invalidToken()
	}
	if k.user == "" {
		return root(k.account, k.id), nil
	}
	u := s.look(k.account).user(k.user)
	if u == nil {
		return wire.Principal{}, invalidToken()
	}
	return wire.Principal{Account: k.account, ARN: u.arn, UserID: u.id, AccessKeyID: k.id}, nil
}

func invalidToken() error {
	return fail("InvalidClientTokenId", http.StatusForbidden, "The security token included in the request is invalid.")
}

func (s *Service) resume(se *session) (wire.Principal, error) {
	if !s.clock().Before(se.expires) {
		return wire.Principal{}, fail("ExpiredToken", http.StatusForbidden, "The security token included in the request is expired")
	}
	if owner := s.owner(se); owner == nil && se.ownerID != "" || owner != nil && owner.id != se.ownerID {
		return wire.Principal{}, invalidToken()
	}
	return se.principal, nil
}

// owner is the role or user whose permissions a session has; nil for root.
func (s *Service) owner(se *session) *entity {
	switch {
	case se.principal.RoleARN != "":
		return s.entity(se.principal.RoleARN)
	case se.base != "":
		return s.entity(se.base)
	}
	return s.entity(se.principal.ARN)
}

// entity finds a role or user by its ARN; nil where there is none.
func (s *Service) entity(arn string) *entity {
	if account, path, name, ok := roleFromARN(arn); ok {
		if r := s.look(account).role(name); r != nil && r.path == path {
			return &r.entity
		}
	}
	if account, path, name, ok := fromARN(arn, ":user/"); ok {
		if u := s.look(account).user(name); u != nil && u.path == path {
			return &u.entity
		}
	}
	return nil
}

// Secret answers the secret of an access key, for checking a signature. A 12-digit key has none: any will do.
func (s *Service) Secret(accessKeyID string) (secret string, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if se := s.sessions[accessKeyID]; se != nil {
		return se.secret, true
	}
	if k := s.keys[accessKeyID]; k != nil {
		return k.secret, true
	}
	return "", false
}

func root(account, keyID string) wire.Principal {
	return wire.Principal{Account: account, ARN: arnPrefix + "iam::" + account + ":root", UserID: account, AccessKeyID: keyID}
}

// RoleSession makes the credentials with which a Lambda function runs; the role must trust lambda.amazonaws.com.
// The duration is not bound by the role's longest session. Errors: AccessDenied, ValidationError (the session's name).
func (s *Service) RoleSession(roleARN, sessionName string, d time.Duration) (Credentials, error) {
	return s.ServiceSession(ServiceRequest{
		Service: "lambda.amazonaws.com", RoleARN: roleARN, SessionName: sessionName, Duration: d,
	})
}

// A ServiceRequest is an AWS service taking on a role that was given to it.
type ServiceRequest struct {
	Service     string // "scheduler.amazonaws.com"
	RoleARN     string
	SessionName string
	SourceARN   string // what the service acts for, as aws:SourceArn; may be empty
	Duration    time.Duration
}

// ServiceSession makes credentials for a service of the pocket AWS; the role's trust policy must allow the service.
// aws:SourceAccount is the role's account. Errors: AccessDenied, ValidationError (the session's name).
func (s *Service) ServiceSession(q ServiceRequest) (Credentials, error) {
	if err := sessionName().check(q.SessionName); err != nil {
		return Credentials{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.visibleRole(q.RoleARN)
	if r == nil || !s.trusts(r, q) {
		return Credentials{}, fail("AccessDenied", http.StatusForbidden, "The role %s cannot be assumed by %s.", q.RoleARN, q.Service)
	}
	return s.open(session{principal: assumed(r, q.SessionName), ownerID: r.id}, q.Duration), nil
}

func (s *Service) trusts(r *role, q ServiceRequest) bool {
	account, _, _, _ := roleFromARN(r.arn)
	about := map[string][]string{"aws:SourceAccount": {account}, "sts:RoleSessionName": {q.SessionName}}
	if q.SourceARN != "" {
		about["aws:SourceArn"] = []string{q.SourceARN}
	}
	return r.trust.at(s.clock()).parsed.Evaluate(policy.Request{
		Action: "sts:AssumeRole", Resource: r.arn, Principal: policy.Principal{Service: q.Service}, Context: about,
	}) == policy.Allow
}

// visibleRole finds a role that has spread; nil where there is none.
func (s *Service) visibleRole(arn string) *role {
	account, path, name, ok := roleFromARN(arn)
	if !ok {
		return nil
	}
	r := s.look(account).role(name)
	if r == nil || r.path != path || r.visibleAt.After(s.clock()) {
		return nil
	}
	return r
}

// assumed is the principal of a session of r.
func assumed(r *role, sessionName string) wire.Principal {
	account, _, _, _ := roleFromARN(r.arn)
	return wire.Principal{
		Account: account, ARN: strings.Join([]string{arnPrefix + "sts::" + account + ":assumed-role", r.name, sessionName}, "/"),
		UserID: r.id + ":" + sessionName, RoleARN: r.arn,
	}
}

// Secrets are the secret keys and tokens of all sessions that an account's roles and users have had, whoever heard of them:
// for tests that look where none of them may be.
func (s *Service) Secrets(account string) (out []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, se := range s.sessions {
		if se.principal.Account == account {
			out = append(out, se.secret, se.token)
		}
	}
	return out
}
