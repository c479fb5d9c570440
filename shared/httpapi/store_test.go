package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"rolecall/shared/connect"
)

// memory is a store in maps: versions, names, roles and idempotency keys are honoured as the ports' comments ask.
type memory struct {
	mu          sync.Mutex
	connections map[connect.ConnectionID]connect.Connection
	events      map[connect.ConnectionID][]connect.Event
	names       map[string]connect.ConnectionID
	roles       map[string]connect.ConnectionID
	scopes      map[string]connect.ConnectionID
	intakes     map[connect.TenantID]connect.ConnectionID
	keys        map[string]keyed
	checked     map[connect.ConnectionID]time.Time
	fail        error // what every call answers with, if set
	writes      int
}

type keyed struct {
	id      connect.ConnectionID
	request string
}

func newMemory() *memory {
	return &memory{
		connections: map[connect.ConnectionID]connect.Connection{}, events: map[connect.ConnectionID][]connect.Event{},
		names: map[string]connect.ConnectionID{}, roles: map[string]connect.ConnectionID{}, scopes: map[string]connect.ConnectionID{},
		intakes: map[connect.TenantID]connect.ConnectionID{}, keys: map[string]keyed{},
		checked: map[connect.ConnectionID]time.Time{},
	}
}

func (m *memory) Connection(_ context.Context, id connect.ConnectionID) (connect.Connection, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return connect.Connection{}, m.fail
	}
	c, ok := m.connections[id]
	if !ok {
		return connect.Connection{}, connect.ErrNotFound
	}
	s := c.Snapshot()
	if at := m.checked[id]; at.After(s.LastVerifiedAt) { // kept apart, and shown together, as package store does
		s.LastVerifiedAt = at
	}
	return connect.Restore(s)
}

func (m *memory) Commit(_ context.Context, ch connect.Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	c := ch.Connection()
	s := c.Snapshot()
	if i := ch.Idempotency(); i != nil {
		if k, ok := m.keys[string(s.TenantID)+" "+i.Key]; ok {
			if k.request != i.Request {
				return connect.ErrIdempotencyReused
			}
			return &connect.AlreadyDone{ID: k.id}
		}
	}
	if m.connections[s.ID].Version() != ch.Expect() {
		return connect.ErrConflict
	}
	name := string(s.TenantID) + " " + s.Name.Folded()
	if holder, taken := m.names[name]; ch.ReservesName() && taken && holder != s.ID {
		return connect.ErrNameTaken
	}
	role := string(s.TenantID) + " " + ch.ClaimsRole().String()
	if holder, taken := m.roles[role]; !ch.ClaimsRole().IsZero() && taken && holder != s.ID {
		return connect.ErrRoleInUse
	}
	for _, claim := range ch.ClaimsScopes() {
		holder := m.scopes[string(s.TenantID)+" "+claim.Scope.String()]
		switch {
		case claim.From != "" && holder != claim.From:
			return connect.ErrConflict
		case claim.From == "" && holder != "" && holder != s.ID:
			return connect.ErrScopeTaken(claim.Scope, holder)
		}
	}
	if i := ch.ClaimsIntake(); i != nil {
		if m.intakes[s.TenantID] != i.Replaces {
			return connect.ErrConflict
		}
		m.intakes[s.TenantID] = s.ID
	}
	for _, other := range ch.Also() {
		if m.connections[other.Connection().ID()].Version() != other.Expect() {
			return connect.ErrConflict
		}
	}
	if ch.ReservesName() {
		m.names[name] = s.ID
	}
	m.scope(ch)
	for _, other := range ch.Also() {
		o := other.Connection()
		m.connections[o.ID()], m.events[o.ID()] = o, append(m.events[o.ID()], other.Event())
		m.scope(other)
		m.writes++
	}
	if !ch.ClaimsRole().IsZero() {
		m.roles[role] = s.ID
	}
	for _, r := range ch.ReleasesRoles() {
		delete(m.roles, string(s.TenantID)+" "+r.String())
	}
	if i := ch.Idempotency(); i != nil {
		m.keys[string(s.TenantID)+" "+i.Key] = keyed{s.ID, i.Request}
	}
	m.connections[s.ID] = c
	m.events[s.ID] = append(m.events[s.ID], ch.Events()...)
	m.writes++
	return nil
}

func (m *memory) scope(ch connect.Change) {
	c := ch.Connection()
	for _, s := range ch.ReleasesScopes() {
		delete(m.scopes, string(c.TenantID())+" "+s.String())
	}
	for _, claim := range ch.ClaimsScopes() {
		m.scopes[string(c.TenantID())+" "+claim.Scope.String()] = c.ID()
	}
}

func (m *memory) Scoped(_ context.Context, tenant connect.TenantID, scopes []connect.Scope) (map[connect.Scope]connect.Connection, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	held := map[connect.Scope]connect.Connection{}
	for _, s := range scopes {
		if id, ok := m.scopes[string(tenant)+" "+s.String()]; ok {
			held[s] = m.connections[id]
		}
	}
	return held, m.fail
}

func (m *memory) Intake(_ context.Context, tenant connect.TenantID) (connect.ConnectionID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.intakes[tenant], m.fail
}

func (m *memory) RoleHolder(_ context.Context, tenant connect.TenantID, role connect.RoleARN) (connect.ConnectionID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.roles[string(tenant)+" "+role.String()], m.fail
}

func (m *memory) Connections(_ context.Context, tenant connect.TenantID, q connect.ListQuery) (connect.Page[connect.Connection], error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return connect.Page[connect.Connection]{}, m.fail
	}
	var found []connect.Connection
	ids := slices.Sorted(maps.Keys(m.connections))
	slices.Reverse(ids)
	for _, id := range ids {
		c := m.connections[id]
		deleted := c.Status() == connect.StatusDeleted
		named := strings.Contains(c.Snapshot().Name.Folded(), connect.Name(q.Contains).Folded())
		if c.TenantID() == tenant && named && q.Scope.Picks(c) && (c.Status() == q.Status || (q.Status == "" && !deleted)) {
			found = append(found, c)
		}
	}
	return pageOf(found, q.Cursor, q.Limit)
}

func pageOf[T any](all []T, cursor string, limit int) (connect.Page[T], error) {
	from := 0
	if cursor != "" {
		n, err := strconv.Atoi(cursor)
		if err != nil || n < 0 || n > len(all) {
			return connect.Page[T]{}, connect.Invalid(connect.CodeCursorInvalid, "this cursor is none of this list's")
		}
		from = n
	}
	to := min(from+limit, len(all))
	p := connect.Page[T]{Items: all[from:to]}
	if to < len(all) {
		p.Next = strconv.Itoa(to)
	}
	return p, nil
}

func (m *memory) Events(_ context.Context, id connect.ConnectionID, q connect.EventQuery) (connect.Page[connect.Event], error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	events := slices.Clone(m.events[id])
	slices.Reverse(events)
	events = slices.DeleteFunc(events, func(e connect.Event) bool { return !strings.HasPrefix(string(e.Type), q.About) })
	return pageOf(events, q.Cursor, q.Limit)
}

func (m *memory) Bare(ctx context.Context, id connect.ConnectionID) (connect.Connection, error) {
	return m.Connection(ctx, id)
}

func (m *memory) RecordCheck(_ context.Context, id connect.ConnectionID, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.checked[id] = at
	return nil
}

func (m *memory) Note(_ context.Context, e connect.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events[e.ConnectionID] = append(m.events[e.ConnectionID], e)
	m.writes++
	return nil
}

func (m *memory) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writes
}

// tokens are made of what they prove, which is enough where nobody forges any.
type tokens struct {
	fail error
	made int
}

// Of characters that a URL cannot have as they are, so that a link shows them otherwise.
const (
	canaryToken    = "canary+callback/token=of"
	canaryEnrolled = "canary+enrolled/token=of"
)

func (t *tokens) Token(_ context.Context, id connect.ConnectionID, launch int) (connect.Secret, error) {
	t.made++
	return connect.NewSecret(fmt.Sprintf("%s.%s.%d", canaryToken, id, launch)), t.fail
}

func (t *tokens) Launch(context.Context, connect.ConnectionID, connect.Secret) (int, error) {
	return 0, errors.New("not asked for here")
}

// account is a customer's account as STS, EC2 and IAM show it.
type account struct {
	mu        sync.Mutex
	denies    bool   // even with the right external ID
	denied    string // this role alone
	elsewhere string // this role, whose session turns out to be another account's
	open      bool   // even without one
	fixed     bool   // the role may not give itself a policy
	down      bool
	calls     int
	trust     string
	mute      bool // the role may not ask about its own permissions
	right     connect.ExternalID
	now       func() time.Time
}

const (
	canaryKey   = "canary-secret-access-key"
	canaryTrust = `{"Statement":[]}`
)

var errDenied = &connect.Error{Kind: connect.KindDenied, Code: connect.CodeRoleNotAssumable, Message: "AccessDenied"}

func (a *account) AssumeRole(_ context.Context, r connect.AssumeRequest) (connect.Session, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls++
	if a.down {
		return connect.Session{}, connect.Unavailable(connect.CodeSTSUnavailable, "STS did not answer", errors.New("dial tcp: timeout"))
	}
	if a.denies || a.denied == r.RoleARN.String() || (!a.open && r.ExternalID != a.right) {
		return connect.Session{}, errDenied
	}
	owner := r.RoleARN.Account()
	if a.elsewhere == r.RoleARN.String() {
		owner = "333333333333"
	}
	return connect.Session{Account: owner, Credentials: connect.Credentials{
		AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: connect.NewSecret(canaryKey),
		SessionToken: connect.NewSecret("canary-session-token"), Expires: a.now().Add(cmp.Or(r.Duration, time.Hour)),
	}}, nil
}

func (a *account) Regions(context.Context, connect.Credentials, connect.Region) ([]connect.Region, error) {
	return []connect.Region{"eu-west-1", "us-east-1"}, nil
}

func (a *account) TrustPolicy(context.Context, connect.Credentials, connect.RoleARN, connect.Region) (string, error) {
	return a.trust, nil
}

func (a *account) Permissions(
	_ context.Context, _ connect.Credentials, _ connect.RoleARN, _ connect.Region, actions []string,
) ([]connect.ActionRuling, error) {
	if a.mute {
		return nil, errDenied
	}
	out := make([]connect.ActionRuling, 0, len(actions))
	for _, action := range actions {
		out = append(out, connect.ActionRuling{Action: action, Ruling: connect.RulingAllowed})
	}
	return out, nil
}

func (a *account) set(change func(*account)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(a)
}

// queue keeps what is queued.
type queue struct {
	mu   sync.Mutex
	jobs []connect.VerifyJob
}

func (q *queue) Verify(_ context.Context, job connect.VerifyJob, _ time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobs = append(q.jobs, job)
	return nil
}

func (a *account) SigninToken(context.Context, connect.Credentials) (connect.Secret, error) {
	if a.down {
		return connect.Secret{}, connect.Unavailable(connect.CodeSTSUnavailable, "no answer", errors.New("dial tcp: timeout"))
	}
	return connect.NewSecret("canary-sign-in-token"), nil
}

func (a *account) DenyOlder(context.Context, connect.Credentials, connect.RoleARN, connect.Region, time.Time) error {
	if a.fixed {
		return errDenied
	}
	return nil
}

func (a *account) AllowOlder(context.Context, connect.Credentials, connect.RoleARN, connect.Region, bool) error {
	return nil
}

func (*account) RemoveFormer(context.Context, connect.Credentials, connect.RoleARN, connect.Region, time.Time) error {
	return nil
}
