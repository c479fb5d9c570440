package connect

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// An EffectiveQuery says where in the platform a connection is wanted; "" leaves a level out.
type EffectiveQuery struct {
	Project      string
	Environment  string
	Architecture string
	// Strict ends the search at the most specific scope that a connection has, usable or not. Without it an unusable
	// connection is passed over, and a wider scope may answer with another customer account.
	Strict bool
}

// A Match is how an effective connection was found: Scope is the rule that matched, LookedAt what was looked at, from the
// most specific scope to the one that matched.
type Match struct {
	Scope    Scope
	LookedAt []Candidate
}

// A CandidateResult is what was found at one scope.
type CandidateResult string

// Results of looking at a scope.
const (
	ResultMatched  CandidateResult = "matched"
	ResultNone     CandidateResult = "none"     // no connection has the scope
	ResultUnusable CandidateResult = "unusable" // the connection that has it is not enabled
)

// A Candidate is one scope that was looked at. Connection, Status and Reason are of the connection that has it.
type Candidate struct {
	Scope      Scope
	Result     CandidateResult
	Connection ConnectionID
	Status     Status
	Reason     Reason // why the connection is not usable, where that is known
}

func (c Candidate) String() string {
	switch c.Result {
	case ResultNone:
		return c.Scope.String() + ": no connection"
	case ResultMatched:
		return c.Scope.String() + ": connection " + string(c.Connection)
	case ResultUnusable:
	}
	text := fmt.Sprintf("%s: connection %s is %s", c.Scope, c.Connection, c.Status)
	if c.Reason.Code != "" {
		text += " (" + string(c.Reason.Code) + ")"
	}
	return text
}

// A Resolver finds the connection to use at a place in the platform.
type Resolver struct{ Store ScopeStore }

// Effective is the connection with the most specific scope: the architecture's, else the environment's, else the
// project's, else the organization's. Only an enabled one is ever the answer. CodeNoEffectiveConnection says that there
// is none, and what was looked at; CodeScopeInvalid that the query cannot be meant.
func (u Resolver) Effective(ctx context.Context, tenant TenantID, q EffectiveQuery) (Connection, Match, error) {
	scopes, err := q.scopes()
	if err != nil {
		return Connection{}, Match{}, err
	}
	held, err := u.Store.Scoped(ctx, tenant, scopes)
	if err != nil {
		return Connection{}, Match{}, err
	}
	var m Match
	for _, s := range scopes {
		c, ok := held[s]
		m.LookedAt = append(m.LookedAt, c.candidate(s, ok))
		if ok && c.s.Status == StatusEnabled {
			m.Scope = s
			return c, m, nil
		}
		if ok && q.Strict {
			break
		}
	}
	return Connection{}, m, noEffective(m)
}

// scopes are those to look at, from the most specific to the widest.
func (q EffectiveQuery) scopes() ([]Scope, error) {
	ids := map[ScopeLevel]string{
		ScopeProject: q.Project, ScopeEnvironment: q.Environment, ScopeArchitecture: q.Architecture,
	}
	var out []Scope
	for _, level := range slices.Backward(ScopeLevels()) {
		if ids[level] == "" && level != ScopeOrganization {
			continue
		}
		s, err := ParseScope(string(level), ids[level])
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (c Connection) candidate(s Scope, held bool) Candidate {
	if !held {
		return Candidate{Scope: s, Result: ResultNone}
	}
	k := Candidate{Scope: s, Result: ResultUnusable, Connection: c.s.ID, Status: c.s.Status, Reason: c.s.StatusReason}
	if c.s.Status == StatusEnabled {
		k.Result, k.Reason = ResultMatched, Reason{}
	}
	return k
}

func noEffective(m Match) *Error {
	looked := make([]string, 0, len(m.LookedAt))
	for _, k := range m.LookedAt {
		looked = append(looked, k.String())
	}
	return &Error{
		Kind: KindNotFound, Code: CodeNoEffectiveConnection,
		Message: "no usable connection applies here: " + strings.Join(looked, "; "),
		Fix:     "Give an enabled connection one of these scopes with PUT /v1/connections/{id}/scopes, or mend the one that has it.",
	}
}

// Effective is the connection to use at a place in the platform; see Resolver.
func (u Connections) Effective(ctx context.Context, tenant TenantID, q EffectiveQuery) (Connection, Match, error) {
	return Resolver{u.Scopes}.Effective(ctx, tenant, q)
}
