package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"

	"rolecall/shared/connect"
)

// The routes of Multi-Cloud Manager's API, word for word: a client written for it works here with another bearer token.
// That API has its own errors, says nothing of unknown members, and knows one external ID at a time.

// AccountConfig is what a customer's role must ask for, as Multi-Cloud Manager's clients read it.
type AccountConfig struct {
	AWSAccountID string `json:"awsAccountId" example:"111111111111" doc:"The platform's account."`
	ExternalID   string `json:"externalId" doc:"Of the tenant's one open connection for these routes; a new one once a role has been added with it."`
}

// AddAccount is the body that names a role. Members that are not known are passed over, as that API does.
type AddAccount struct {
	RoleARN string `json:"roleArn" example:"arn:aws:iam::222222222222:role/MultiCloudManager"`
}

// AccountAdded says that the account is connected.
type AccountAdded struct {
	Message string `json:"message" example:"AWS account 222222222222 successfully added."`
}

// A LegacyError is an error of these routes.
type LegacyError struct {
	Error string `json:"error"`
}

const (
	legacyMissing = "Missing 'roleArn' in request body"
	legacyDenied  = "Access denied. Check role ARN, account ID, and ExternalId."
)

func (a api) legacyOperations() []operation {
	return []operation{{
		route: "GET /api/account/aws/config", id: "getAccountConfig", summary: "Multi-Cloud Manager: what the role must ask for",
		about: "Compatible with Multi-Cloud Manager, but for the external ID: each tenant has one of its own, and a new one for each account. " +
			"Reading makes the connection that waits for the account, so the scope is that of writing. " + tenantsAlone,
		answers: []answer{{status: http.StatusOK, body: reflect.TypeFor[AccountConfig]()}},
		input:   reflect.TypeFor[none](), legacy: true,
		serve: func(ctx context.Context, c call, _ *http.Request, _ []byte) (reply, error) {
			return a.accountConfig(ctx, c)
		},
	}}
}

func (b broker) legacyOperations() []operation {
	return []operation{{
		route: "POST /api/account/aws/add", id: "addAccount", summary: "Multi-Cloud Manager: add an account by its role",
		about: "Compatible with Multi-Cloud Manager. Verifies the role for up to 20 seconds; 403 also if it has not passed by then. " +
			"A role that a connection has already is verified again, with that connection's own external ID, and never connected twice. " +
			"That is all that a token restricted to connections may do here.",
		answers: []answer{{status: http.StatusCreated, about: "Added, or verified again", body: reflect.TypeFor[AccountAdded]()}},
		input:   reflect.TypeFor[struct{ Body AddAccount }](), legacy: true,
		serve: func(ctx context.Context, c call, _ *http.Request, body []byte) (reply, error) {
			return b.addAccount(ctx, c, body)
		},
	}}
}

func (a api) accountConfig(ctx context.Context, c call) (reply, error) {
	open, err := a.Intakes.Open(ctx, c.caller.Tenant, c.caller.Subject, c.caller.Filter)
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, connection: open.ID(), body: AccountConfig{
		AWSAccountID: string(a.Connections.Deployment.Platform.Account), ExternalID: string(open.Snapshot().ExternalID),
	}}, nil
}

func (b broker) addAccount(ctx context.Context, c call, body []byte) (reply, error) {
	role, err := legacyRole(body)
	if err != nil {
		return reply{}, err
	}
	account, err := b.Intakes.Add(ctx, connect.AddRequest{Tenant: c.caller.Tenant, By: c.caller.Subject, Filter: c.caller.Filter, Role: role}, b.Patience)
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, body: AccountAdded{Message: "AWS account " + string(account) + " successfully added."}}, nil
}

// legacyRole reads the one member that counts. An external ID is not passed over like other members: who sends one
// believes that it has a meaning.
func legacyRole(body []byte) (string, error) {
	var given map[string]json.RawMessage
	var role string
	missing := newProblem(http.StatusBadRequest, codeBodyInvalid, legacyMissing, "")
	if json.Unmarshal(body, &given) != nil {
		return "", missing
	}
	if wrong := repeatedField(body); wrong != nil {
		return "", newProblem(http.StatusBadRequest, codeFieldInvalid, "The field '"+wrong[0].Field+"' "+wrong[0].Message, "")
	}
	for name := range given {
		if isExternalID(name) {
			return "", newProblem(http.StatusBadRequest, codeUnknownField, "The field '"+name+"' "+unknownMessage(name), "")
		}
	}
	if json.Unmarshal(given["roleArn"], &role) != nil || strings.TrimSpace(role) == "" {
		return "", missing
	}
	return strings.TrimSpace(role), nil
}

// legacyProblem is an error in that API's statuses: 403 for whatever the role or the request is to blame for, 500 for
// whatever we are. The code is for the log alone. What the token may not do is said, as it is no matter of the role.
func legacyProblem(err error, p *Problem) *Problem {
	var own *Problem
	if errors.As(err, &own) { // of the route itself: no token, a missing member
		return p
	}
	var e *connect.Error
	if errors.As(err, &e) && e.Code == connect.CodeConnectionNotAllowed {
		return p
	}
	if !errors.As(err, &e) || e.Kind == connect.KindInternal || e.Kind == connect.KindUnavailable || e.Kind == connect.KindLimited {
		return newProblem(http.StatusInternalServerError, p.Code, p.Detail, "")
	}
	return newProblem(http.StatusForbidden, p.Code, legacyDenied, "")
}

func writeLegacy(w http.ResponseWriter, p *Problem) {
	for name, value := range p.headers {
		w.Header().Set(name, value)
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, p.Status, "application/json", LegacyError{Error: p.Detail})
}
