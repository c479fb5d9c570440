// Package iam is the pocket AWS's IAM and STS: accounts with their roles, users, policies and access keys, the sessions
// that STS makes, who stands behind an access key ([Service.Authenticate]) and what they may do ([Service.Authorize]).
//
// IAM's own answers are consistent at once; what authorization and STS see of a role can be held back, as IAM's slow
// spreading does in AWS: see [Service.SetPropagation].
package iam

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"rolecall/infra/local/policy"
	"rolecall/infra/local/wire"
)

// A Service holds all accounts; an account exists as soon as it is named. It answers the IAM API; [Service.STS] answers
// the STS API on the same state. Safe for concurrent use.
type Service struct {
	clock      func() time.Time
	operations map[string]operation
	aws        map[string]*managedPolicy // AWS's own policies by ARN; never changed

	mu       sync.RWMutex
	accounts map[string]*accountState
	keys     map[string]*accessKey // by access key id
	sessions map[string]*session   // by access key id
	sweepAt  int                   // number of sessions at which ended ones are forgotten
	regions  Regions
	stsOff   map[string]bool // by account and Region
}

var (
	_ wire.Service       = (*Service)(nil)
	_ wire.Authenticator = (*Service)(nil)
	_ wire.Authorizer    = (*Service)(nil)
)

// New makes the service with no entity in any account.
func New(clock func() time.Time) *Service {
	return &Service{
		clock:      clock,
		operations: operations(),
		aws:        awsPolicies(),
		accounts:   map[string]*accountState{},
		keys:       map[string]*accessKey{},
		stsOff:     map[string]bool{},
		sessions:   map[string]*session{},
		sweepAt:    minSweep,
	}
}

const globalRegion = "us-east-1" // where AWS says that calls of global services happen

// Needs says what an IAM call takes: one permission of the operation's name on the role, user or policy it names.
func (s *Service) Needs(call *wire.Call) ([]wire.Need, error) {
	op, ok := s.operations[call.Operation]
	if !ok {
		return nil, unknownOperation(call)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	resource, about := op.target(s, call)
	about["aws:RequestedRegion"] = []string{globalRegion}
	return []wire.Need{{
		Action: "iam:" + call.Operation, Resource: resource, Context: about, ResourceAccount: call.Principal.Account,
	}}, nil
}

// Serve performs an IAM call in the caller's account.
func (s *Service) Serve(_ context.Context, call *wire.Call) (wire.Response, error) {
	op, ok := s.operations[call.Operation]
	if !ok {
		return wire.Response{}, unknownOperation(call)
	}
	value, err := op.serve(s, call)
	if err != nil {
		return wire.Response{}, err
	}
	return wire.Response{Value: value}, nil
}

func unknownOperation(call *wire.Call) error {
	return fail("InvalidAction", http.StatusBadRequest, "The pocket AWS has no operation %s of %s.", call.Operation, call.Service)
}

func fail(code string, status int, format string, args ...any) error {
	return &wire.Error{Code: code, Status: status, Message: fmt.Sprintf(format, args...)}
}

func noSuchEntity(format string, args ...any) error {
	return fail("NoSuchEntity", http.StatusNotFound, format, args...)
}

func deleteConflict(message string) error {
	return fail("DeleteConflict", http.StatusConflict, "%s", message)
}

func limitExceeded(format string, args ...any) error {
	return fail("LimitExceeded", http.StatusConflict, format, args...)
}

func invalidInput(format string, args ...any) error {
	return fail("InvalidInput", http.StatusBadRequest, format, args...)
}

func malformedPolicy(format string, args ...any) error {
	return fail("MalformedPolicyDocument", http.StatusBadRequest, format, args...)
}

const arnPrefix = "arn:aws:" // the pocket AWS is of one partition

type accountState struct {
	id       string
	roles    map[string]*role // by lower-case name: names are unique ignoring case
	users    map[string]*user // by lower-case name
	policies map[string]*managedPolicy
	delays   propagation
}

type propagation struct{ role, policies, trust time.Duration }

// account finds or makes an account; the caller holds the lock for writing.
func (s *Service) account(id string) *accountState {
	a, ok := s.accounts[id]
	if !ok {
		a = &accountState{id: id, roles: map[string]*role{}, users: map[string]*user{}, policies: map[string]*managedPolicy{}}
		s.accounts[id] = a
	}
	return a
}

// look finds an account for reading; one that nobody wrote to is empty.
func (s *Service) look(id string) *accountState {
	if a, ok := s.accounts[id]; ok {
		return a
	}
	return &accountState{id: id}
}

// SetPropagation makes later changes in an account visible to STS and authorization only after a while: a new role's
// existence, changes of a role's policies (its boundary included), and changes of its trust policy, each on its own.
// IAM's own Get and List calls show changes at once. Zero, the default, is at once for all.
func (s *Service) SetPropagation(account string, role, policies, trust time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account(account).delays = propagation{role, policies, trust}
}

// A history holds the values of something whose changes spread slowly, oldest first.
type history[T any] []version[T]

type version[T any] struct {
	value     T
	visibleAt time.Time
}

// set adds a value and forgets those that nobody can see any more.
func (h *history[T]) set(value T, now time.Time, delay time.Duration) {
	kept := (*h)[max(h.visible(now), 0):]
	*h = append(append(history[T]{}, kept...), version[T]{value, now.Add(delay)})
}

// visible is the index of the newest value that has spread, or -1.
func (h *history[T]) visible(now time.Time) int {
	for i := len(*h) - 1; i >= 0; i-- {
		if !(*h)[i].visibleAt.After(now) {
			return i
		}
	}
	return -1
}

// at is the value that has spread by now; the zero value where none has.
func (h *history[T]) at(now time.Time) T {
	var none T
	if i := h.visible(now); i >= 0 {
		return (*h)[i].value
	}
	return none
}

// latest is the value that was set last.
func (h *history[T]) latest() T {
	var none T
	if len(*h) == 0 {
		return none
	}
	return (*h)[len(*h)-1].value
}

// A document is a policy as it was given and as it is understood.
type document struct {
	text   string
	parsed policy.Document
}

// identityDocument reads a policy that is to be attached to somebody.
func identityDocument(text string) (document, error) {
	parsed, err := policy.Parse([]byte(text))
	if err == nil {
		err = parsed.CheckIdentity()
	}
	if err != nil {
		return document{}, malformedPolicy("%s", err)
	}
	return document{text, parsed}, nil
}
