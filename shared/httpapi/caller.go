package httpapi

import (
	"context"
	"net/http"
	"slices"

	"rolecall/shared/connect"
)

// A Caller is who asks, as a token that has been verified says.
type Caller struct {
	Tenant  connect.TenantID
	Subject connect.Actor
	Scopes  []string
	Filter  connect.ResourceFilter
}

func (c Caller) has(scope string) bool { return slices.Contains(c.Scopes, scope) }

type restrictionKey struct{}

// Restrict restricts whoever is behind ctx to the connections that a claim of a verified token names; see
// connect.RestrictedTo.
func Restrict(ctx context.Context, names []string) context.Context {
	return context.WithValue(ctx, restrictionKey{}, connect.RestrictedTo(names...))
}

type identityKey struct{}

// identity is what a verified token claims, word for word.
type identity struct {
	tenant, subject string
	scopes          []string
}

// Identify tells the handlers behind ctx what a verified token claims. Only what has verified the token may call it;
// a request that nobody identified is refused. The claims are taken as they are, and judged when a route is asked for.
func Identify(ctx context.Context, tenant, subject string, scopes []string) context.Context {
	return context.WithValue(ctx, identityKey{}, identity{tenant: tenant, subject: subject, scopes: scopes})
}

// callerOf is the caller, if the token may ask for the scope.
func callerOf(ctx context.Context, scope string) (Caller, error) {
	id, ok := ctx.Value(identityKey{}).(identity)
	if !ok {
		return Caller{}, newProblem(http.StatusUnauthorized, codeUnauthenticated, "this needs an access token",
			"Send one as: Authorization: Bearer <token>.").with("WWW-Authenticate", "Bearer")
	}
	tenant, err := connect.ParseTenantID(id.tenant)
	if err != nil {
		return Caller{}, newProblem(http.StatusForbidden, connect.CodeTenantInvalid, "the token names no valid tenant",
			"Have the identity provider put exactly one tenant into the claim that this deployment reads.")
	}
	if !isSubject(id.subject) {
		return Caller{}, newProblem(http.StatusForbidden, codeSubjectInvalid, "the token does not say who calls",
			"Have the identity provider set sub or client_id, 1 to 256 printable characters.")
	}
	if !slices.Contains(id.scopes, scope) {
		return Caller{}, newProblem(http.StatusForbidden, codeScopeMissing, "the token lacks the scope "+scope,
			"Ask for a token with the scope "+scope+".").
			with("WWW-Authenticate", `Bearer error="insufficient_scope", scope="`+scope+`"`)
	}
	c := Caller{Tenant: tenant, Subject: connect.Actor(id.subject), Scopes: id.scopes, Filter: connect.Unrestricted()}
	if filter, restricted := ctx.Value(restrictionKey{}).(connect.ResourceFilter); restricted {
		c.Filter = filter
	}
	return c, nil
}

// isSubject admits what can stand in an audit trail: printable, and none of the names by which Rolecall's own doings
// are known there.
func isSubject(s string) bool {
	if s == "" || len(s) > 256 || s == string(connect.ActorStack) || s == string(connect.ActorRolecall) {
		return false
	}
	return isPrintableASCII(s)
}

func isPrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
