package httpapi

import (
	"context"
	"net/http"
	"reflect"
)

// ProtectedResource is how the API describes itself to OAuth clients (RFC 9728, whose names these are).
type ProtectedResource struct {
	Resource             string   `json:"resource" doc:"The API's URL, as it was asked for."`
	Name                 string   `json:"resource_name"`
	AuthorizationServers []string `json:"authorization_servers" doc:"The OIDC issuer whose tokens the API takes; there is one."`
	Scopes               []string `json:"scopes_supported"`
	BearerMethods        []string `json:"bearer_methods_supported" doc:"How the token is sent: in the Authorization header, and in no other way."`
}

func (a api) metadataOperation() operation {
	return does(operation{
		route: "GET /.well-known/oauth-protected-resource", id: "getProtectedResource", summary: "Who issues the API's tokens",
		about:   "OAuth 2.0 Protected Resource Metadata (RFC 9728): a client that knows the API's URL alone finds out where to sign in.",
		answers: []answer{{status: http.StatusOK, body: reflect.TypeFor[ProtectedResource]()}},
	}, a.protectedResource)
}

func (a api) protectedResource(_ context.Context, c call, _ none) (reply, error) {
	return reply{status: http.StatusOK, body: ProtectedResource{
		Resource: c.origin, Name: a.present.deployment.PlatformName, AuthorizationServers: []string{a.Issuer},
		Scopes: []string{ScopeRead, ScopeWrite, ScopeIssue}, BearerMethods: []string{"header"},
	}}, nil
}

// origin is the URL at which the API was asked, as API Gateway tells it: the host is the one that it took the request
// for, and a client's own X-Forwarded-Proto does not get through. Only a laptop is asked by http.
func origin(r *http.Request) string {
	if r.Header.Get("X-Forwarded-Proto") == "http" {
		return "http://" + r.Host
	}
	return "https://" + r.Host
}
