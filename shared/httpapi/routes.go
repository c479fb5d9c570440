package httpapi

import "rolecall/shared/connect"

// Function names the Lambda function that answers a route.
type Function string

// The functions that answer routes.
const (
	API    Function = "api"    // has no right to assume roles
	Broker Function = "broker" // assumes customers' roles
)

// The OAuth scopes that routes ask for.
const (
	ScopeRead  = "connections:read"
	ScopeWrite = "connections:write"
	ScopeIssue = "credentials:issue"
)

// A Route is one method and path of the HTTP API. The CDK app makes API Gateway's routes from these, so that what the
// gateway lets through and what the functions answer is written once.
type Route struct {
	Method   string
	Path     string // as API Gateway and net/http write it: /v1/connections/{id}
	Function Function
	Scope    string // the one scope that admits; "" is a public route
	// Rationed is what a request counts as, of all that its tenant may have in a minute; "" is not counted. Hand-outs and
	// verifications are counted by the use cases, the rest as soon as it is known who calls.
	Rationed connect.Rationed
}

// Routes are all routes of the HTTP API.
func Routes() []Route {
	return []Route{
		{"GET", "/openapi.json", API, "", ""},
		{"GET", "/.well-known/oauth-protected-resource", API, "", ""},
		{"GET", "/v1/config", API, ScopeRead, connect.RationedReads},
		{"POST", "/v1/connections", API, ScopeWrite, connect.RationedLaunches},
		{"GET", "/v1/connections", API, ScopeRead, connect.RationedReads},
		{"GET", "/v1/connections/{id}", API, ScopeRead, connect.RationedReads},
		{"GET", "/v1/connections/{id}/status", API, ScopeRead, connect.RationedReads},
		{"PATCH", "/v1/connections/{id}", API, ScopeWrite, ""},
		{"DELETE", "/v1/connections/{id}", API, ScopeWrite, ""},
		{"POST", "/v1/connections/{id}/launch", API, ScopeWrite, connect.RationedLaunches},
		{"PUT", "/v1/connections/{id}/access-key", API, ScopeWrite, connect.RationedVerifications},
		{"GET", "/v1/connections/{id}/events", API, ScopeRead, connect.RationedReads},
		{"GET", "/v1/connections/{id}/sessions", API, ScopeRead, connect.RationedReads},
		{"PUT", "/v1/connections/{id}/scopes", API, ScopeWrite, ""},
		{"GET", "/v1/effective-connection", API, ScopeRead, connect.RationedReads},
		{"GET", "/api/account/aws/config", API, ScopeWrite, connect.RationedLaunches}, // it makes the connection that waits for the account
		{"PUT", "/v1/connections/{id}/role", Broker, ScopeWrite, connect.RationedVerifications},
		{"POST", "/v1/connections/{id}/verify", Broker, ScopeWrite, connect.RationedVerifications},
		{"POST", "/api/account/aws/add", Broker, ScopeWrite, connect.RationedVerifications},
		{"GET", "/v1/connections/{id}/credentials", Broker, ScopeIssue, connect.RationedCredentials},
		{"POST", "/v1/connections/{id}/credentials", Broker, ScopeIssue, connect.RationedCredentials},
		{"GET", "/v1/effective-connection/credentials", Broker, ScopeIssue, connect.RationedCredentials},
		{"POST", "/v1/connections/{id}/sign-in", Broker, ScopeIssue, connect.RationedCredentials},
		{"POST", "/v1/connections/{id}/revoke-sessions", Broker, ScopeWrite, connect.RationedRevocations},
		{"POST", "/v1/enrolments", API, ScopeWrite, connect.RationedLaunches},
		{"GET", "/v1/enrolments", API, ScopeRead, connect.RationedReads},
		{"GET", "/v1/enrolments/{id}", API, ScopeRead, connect.RationedReads},
		{"DELETE", "/v1/enrolments/{id}", API, ScopeWrite, ""},
		{"GET", "/v1/enrolments/{id}/accounts", API, ScopeRead, connect.RationedReads},
		{"POST", "/v1/enrolments/{id}/retry", Broker, ScopeWrite, connect.RationedVerifications},
	}
}
