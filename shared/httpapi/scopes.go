package httpapi

import (
	"context"
	"net/http"
	"reflect"

	"rolecall/shared/connect"
)

// A Scope is one thing in the platform that a connection applies to.
type Scope struct {
	Level string `json:"level" enum:"organization,project,environment,architecture" doc:"organization is the tenant as a whole: its default connection."`
	ID    string `json:"id,omitempty" doc:"The platform's own id of the project, environment or architecture, unique among the tenant's things of that level; case matters. The organization has none." pattern:"^[A-Za-z0-9_.:-]{1,128}$" example:"payments:production"`
}

// SetScopes is the body that gives a connection its scopes.
type SetScopes struct {
	Scopes   []Scope `json:"scopes" maxItems:"20" doc:"All scopes that the connection is to have; those that are left out become free."`
	TakeOver bool    `json:"takeOver,omitempty" doc:"Take scopes from the connections that have them, all at once or not at all. Without it they are refused (SCOPE_TAKEN)."`
}

// An EffectiveConnection is the connection to use at a place in the platform, and how it was found.
type EffectiveConnection struct {
	Connection Connection       `json:"connection"`
	Match      Scope            `json:"match" doc:"The scope that matched."`
	LookedAt   []ScopeCandidate `json:"lookedAt" doc:"What was looked at, from the most specific scope to the one that matched."`
}

// A ScopeCandidate is one scope that was looked at. All but scope and result are of the connection that has it.
type ScopeCandidate struct {
	Scope        Scope   `json:"scope"`
	Result       string  `json:"result" enum:"matched,none,unusable" doc:"none: no connection has the scope; unusable: the one that has it is not enabled."`
	ConnectionID string  `json:"connectionId,omitempty"`
	Status       string  `json:"status,omitempty"`
	Reason       *Reason `json:"reason,omitempty" doc:"Why the connection is unusable, where that is known."`
}

type (
	scopesInput struct {
		ID      string `path:"id" doc:"The connection's id."`
		IfMatch string `header:"If-Match" doc:"The ETag of the connection as you know it; 412 if it has changed since."`
		Body    SetScopes
	}
	// effectiveInput names its parameters after the levels. They are pointers because an empty id is a slip: to take it
	// for none could lead to another account.
	effectiveInput struct {
		Project      *string `query:"project" doc:"The project's id."`
		Environment  *string `query:"environment" doc:"The environment's id."`
		Architecture *string `query:"architecture" doc:"The architecture's id."`
		Strict       string  `query:"strict" doc:"true: end at the most specific scope that a connection has, even if that one is unusable, rather than go on to a wider scope, whose connection may be of another account." enum:"true,false" default:"false"`
	}
)

func (a api) scopeOperations() []operation {
	return []operation{
		does(operation{
			route: "PUT /v1/connections/{id}/scopes", id: "setScopes", summary: "Say where a connection applies",
			about: "At most one connection of a tenant has a scope, and a connection has at most 20. Scopes that another one has are " +
				"refused with SCOPE_TAKEN, whose connectionId names it, unless takeOver is true: then both connections change, " +
				"or neither does. Deleting a connection frees its scopes. " + tenantsAlone,
			answers: []answer{{status: http.StatusOK, body: reflect.TypeFor[Connection](), headers: []string{"ETag"}}},
		}, a.setScopes),
		does(operation{
			route: "GET /v1/effective-connection", id: "getEffectiveConnection", summary: "The connection to use at a place in the platform",
			about: "The most specific scope wins: the architecture's connection, else the environment's, else the project's, else the " +
				"organization's default. Connections that are not enabled never match. Where none does, NO_EFFECTIVE_CONNECTION says what was looked at.",
			answers: []answer{{status: http.StatusOK, body: reflect.TypeFor[EffectiveConnection]()}},
		}, a.effective),
	}
}

func (a api) setScopes(ctx context.Context, c call, in scopesInput) (reply, error) {
	version, err := ifMatch(in.IfMatch)
	if err != nil {
		return reply{}, err
	}
	wanted, err := parseScopes(in.Body.Scopes)
	if err != nil {
		return reply{}, err
	}
	changed, err := a.Connections.SetScopes(ctx, connect.ScopesRequest{
		Target: target(c, in.ID, version), Scopes: wanted, TakeOver: in.Body.TakeOver,
	})
	if err != nil {
		return reply{}, err
	}
	return a.shown(ctx, c, changed), nil
}

func parseScopes(in []Scope) ([]connect.Scope, error) {
	out := make([]connect.Scope, 0, len(in))
	for _, s := range in {
		parsed, err := connect.ParseScope(s.Level, s.ID)
		if err != nil {
			return nil, err
		}
		out = append(out, parsed)
	}
	return out, nil
}

func (a api) effective(ctx context.Context, c call, in effectiveInput) (reply, error) {
	q, err := in.query()
	if err != nil {
		return reply{}, err
	}
	found, match, err := a.Connections.Effective(ctx, c.caller.Tenant, q)
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, connection: found.ID(), body: EffectiveConnection{
		Connection: a.present.connection(found, a.Connections.Clock()), Match: scope(match.Scope), LookedAt: candidates(match),
	}}, nil
}

func (in effectiveInput) query() (q connect.EffectiveQuery, err error) {
	for _, p := range []struct {
		level connect.ScopeLevel
		given *string
		into  *string
	}{
		{connect.ScopeProject, in.Project, &q.Project},
		{connect.ScopeEnvironment, in.Environment, &q.Environment},
		{connect.ScopeArchitecture, in.Architecture, &q.Architecture},
	} {
		if p.given == nil {
			continue
		}
		s, err := connect.ParseScope(string(p.level), *p.given)
		if err != nil {
			return q, invalidParameter(string(p.level), "must be 1 to 128 characters of A-Z a-z 0-9 _ . : -, or left out")
		}
		*p.into = s.ID
	}
	if in.Strict != "" && in.Strict != "true" && in.Strict != "false" {
		return q, invalidParameter("strict", "must be true or false")
	}
	q.Strict = in.Strict == "true"
	return q, nil
}

func scope(s connect.Scope) Scope { return Scope{Level: string(s.Level), ID: s.ID} }

func scopes(in []connect.Scope) []Scope {
	out := make([]Scope, 0, len(in))
	for _, s := range in {
		out = append(out, scope(s))
	}
	return out
}

func candidates(m connect.Match) []ScopeCandidate {
	out := make([]ScopeCandidate, 0, len(m.LookedAt))
	for _, k := range m.LookedAt {
		out = append(out, ScopeCandidate{
			Scope: scope(k.Scope), Result: string(k.Result), ConnectionID: string(k.Connection), Status: string(k.Status),
			Reason: reason(k.Reason),
		})
	}
	return out
}
