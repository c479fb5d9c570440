package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A ScopeLevel is a kind of thing in the platform that a connection can apply to.
type ScopeLevel string

// Levels, from the widest to the most specific.
const (
	ScopeOrganization ScopeLevel = "organization" // the tenant as a whole: its default
	ScopeProject      ScopeLevel = "project"
	ScopeEnvironment  ScopeLevel = "environment"
	ScopeArchitecture ScopeLevel = "architecture"
)

// ScopeLevels lists all levels, from the widest to the most specific.
func ScopeLevels() []ScopeLevel {
	return []ScopeLevel{ScopeOrganization, ScopeProject, ScopeEnvironment, ScopeArchitecture}
}

// A Scope is one thing in the platform that a connection applies to. ID is the platform's own name for it, 1 to 128
// characters of [A-Za-z0-9_.:-], case included, and unique among the tenant's things of that level; the organization has none.
type Scope struct {
	Level ScopeLevel
	ID    string
}

func (s Scope) String() string {
	if s.ID == "" {
		return string(s.Level)
	}
	return string(s.Level) + " " + s.ID
}

// MaxScopes is how many scopes a connection can have. To take all of them from as many connections is one transaction.
const MaxScopes = 20

// ParseScope reads a scope.
func ParseScope(level, id string) (Scope, error) {
	s := Scope{ScopeLevel(level), id}
	switch {
	case !slices.Contains(ScopeLevels(), s.Level):
		return Scope{}, scopeError("there is no such level of scopes", "Choose organization, project, environment or architecture.")
	case s.Level == ScopeOrganization && id != "":
		return Scope{}, scopeError("the organization's scope has no id", "Leave the id out.")
	case s.Level != ScopeOrganization && !tenantIDRE.MatchString(id), len(id) > 128:
		return Scope{}, scopeError("the id of a scope is 1 to 128 characters of A-Z a-z 0-9 _ . : -",
			"Give the platform's own id of the "+level+".")
	}
	return s, nil
}

func scopeError(message, fix string) *Error {
	return &Error{Kind: KindInvalid, Code: CodeScopeInvalid, Message: message, Fix: fix}
}

// CheckScopes puts a connection's scopes in order, from the widest to the most specific, and refuses repetitions and too many.
func CheckScopes(scopes []Scope) ([]Scope, error) {
	if len(scopes) > MaxScopes {
		return nil, scopeError(fmt.Sprintf("a connection has at most %d scopes", MaxScopes), "Give a wider scope instead.")
	}
	sorted := slices.Clone(scopes)
	slices.SortFunc(sorted, func(a, b Scope) int {
		if a.Level != b.Level {
			return slices.Index(ScopeLevels(), a.Level) - slices.Index(ScopeLevels(), b.Level)
		}
		return strings.Compare(a.ID, b.ID)
	})
	if len(slices.Compact(slices.Clone(sorted))) < len(sorted) {
		return nil, scopeError("a scope is given twice", "Give each scope once.")
	}
	return sorted, nil
}

// ErrScopeTaken says that another connection of the same tenant has the scope.
func ErrScopeTaken(s Scope, holder ConnectionID) *Error {
	return &Error{
		Kind: KindConflict, Code: CodeScopeTaken, Connection: holder,
		Message: fmt.Sprintf("the scope %s is connection %s's", s, holder),
		Fix:     "Take it over with PUT /v1/connections/{id}/scopes and takeOver true, or change that connection's scopes first.",
	}
}

// A ScopeClaim is a scope that becomes a connection's.
type ScopeClaim struct {
	Scope Scope
	From  ConnectionID // the connection that must have it until then; "" where nobody may
}

// ClaimsScopes are scopes that become this connection's alone within its tenant.
func (c Change) ClaimsScopes() []ScopeClaim { return c.scopeClaims }

// ReleasesScopes are scopes that other connections of the tenant may take.
func (c Change) ReleasesScopes() []Scope { return c.scopeReleases }

// Also are changes of other connections of the same tenant, which are committed with this one or not at all.
func (c Change) Also() []Change { return c.also }

// scopeDiff is what a change of one connection claims and releases.
func scopeDiff(before, after Snapshot) (claims []ScopeClaim, releases []Scope) {
	for _, s := range after.Scopes {
		if !slices.Contains(before.Scopes, s) {
			claims = append(claims, ScopeClaim{Scope: s})
		}
	}
	for _, s := range before.Scopes {
		if !slices.Contains(after.Scopes, s) {
			releases = append(releases, s)
		}
	}
	return claims, releases
}

// SetScopes gives the connection exactly these scopes. Those that holders have are taken from them, in the same
// transaction; any other that is not free is refused when the change is committed. ok is false where nothing would change.
func (c Connection) SetScopes(scopes []Scope, holders []Connection, now time.Time, by Actor) (ch Change, ok bool, err error) {
	if c.s.Status == StatusDeleted {
		return Change{}, false, c.must("have scopes")
	}
	if scopes, err = CheckScopes(scopes); err != nil {
		return Change{}, false, err
	}
	if slices.Equal(scopes, c.s.Scopes) {
		return Change{}, false, nil
	}
	data := map[string]any{"scopes": scopeData(scopes), "previousScopes": scopeData(c.s.Scopes)}
	ch = c.change(EventScopesChanged, by, now, data, func(s *Snapshot) { s.Scopes = scopes })
	var from []any
	for _, h := range holders {
		loss, lost := h.loseScopes(scopes, c.s.ID, now, by)
		if !lost {
			continue
		}
		ch.takes(loss)
		from = append(from, string(h.s.ID))
	}
	if from != nil {
		data["takenFrom"] = from
	}
	return ch, true, nil
}

// loseScopes takes scopes from a connection; lost is false where it has none of them.
func (c Connection) loseScopes(scopes []Scope, to ConnectionID, now time.Time, by Actor) (ch Change, lost bool) {
	keeps := slices.DeleteFunc(slices.Clone(c.s.Scopes), func(s Scope) bool { return slices.Contains(scopes, s) })
	if len(keeps) == len(c.s.Scopes) {
		return Change{}, false
	}
	data := map[string]any{
		"scopes": scopeData(keeps), "previousScopes": scopeData(c.s.Scopes), "takenBy": string(to),
	}
	return c.change(EventScopesChanged, by, now, data, func(s *Snapshot) { s.Scopes = keeps }), true
}

// takes makes another connection's loss of scopes part of this change: what it releases is claimed from it.
func (c *Change) takes(loss Change) {
	for i, claim := range c.scopeClaims {
		if slices.Contains(loss.scopeReleases, claim.Scope) {
			c.scopeClaims[i].From = loss.after.ID
		}
	}
	loss.scopeReleases = nil
	c.also = append(c.also, loss)
}

func scopeData(scopes []Scope) []any {
	out := make([]any, 0, len(scopes))
	for _, s := range scopes {
		m := map[string]any{"level": string(s.Level)}
		if s.ID != "" {
			m["id"] = s.ID
		}
		out = append(out, m)
	}
	return out
}

// A ScopeStore finds connections by their scopes.
type ScopeStore interface {
	// Scoped reads consistently which connections of the tenant have these scopes; a scope that none has is left out.
	Scoped(ctx context.Context, tenant TenantID, scopes []Scope) (map[Scope]Connection, error)
}

// A ScopesRequest asks for a connection to have exactly these scopes.
type ScopesRequest struct {
	Target
	Scopes []Scope
	// TakeOver takes scopes from the connections that have them, which otherwise stand in the way.
	TakeOver bool
}

// SetScopes gives a connection its scopes, for callers that may do what concerns the whole tenant. What is as it was asked for already changes nothing.
func (u Connections) SetScopes(ctx context.Context, r ScopesRequest) (Connection, error) {
	for range attempts {
		c, err := u.setScopes(ctx, r)
		if !r.TakeOver || !errors.Is(err, &Error{Code: CodeScopeTaken}) {
			return c, err
		} // somebody else was quicker to take what was free: it is to be taken from them
	}
	return Connection{}, ErrConflict
}

func (u Connections) setScopes(ctx context.Context, r ScopesRequest) (Connection, error) {
	return u.change(ctx, r.Target, nil, func(c Connection) (Change, error) {
		if err := r.Filter.admitTenant(); err != nil {
			return Change{}, err
		}
		holders, err := u.holders(ctx, c, r)
		if err != nil {
			return Change{}, err
		}
		ch, ok, err := c.SetScopes(r.Scopes, holders, u.Clock(), r.By)
		if err == nil && !ok {
			return Change{}, errNothing
		}
		return ch, err
	})
}

// holders are the other connections that have some of the scopes; none unless they are to be taken over.
func (u Connections) holders(ctx context.Context, c Connection, r ScopesRequest) ([]Connection, error) {
	if !r.TakeOver || len(r.Scopes) > MaxScopes {
		return nil, nil
	}
	held, err := u.Scopes.Scoped(ctx, r.Tenant, r.Scopes)
	if err != nil {
		return nil, err
	}
	var out []Connection
	for _, s := range r.Scopes { // in their order, and each connection once
		h, ok := held[s]
		if ok && h.s.ID != c.s.ID && !slices.ContainsFunc(out, func(o Connection) bool { return o.s.ID == h.s.ID }) {
			out = append(out, h)
		}
	}
	return out, nil
}
