package httpapi

import (
	"context"
	_ "embed"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"rolecall/shared/connect"
)

// APIParts are what function api is composed of.
type APIParts struct {
	Connections connect.Connections
	Intakes     connect.Intakes
	Tokens      connect.Tokens
	Enrolments  connect.Enrolments
	// EnrolmentTokens are shown with enrolments' launches.
	EnrolmentTokens connect.EnrolmentTokens
	Issuer          string // of the tokens that the API takes
	// Rations are what tenants may have of the routes in a minute, as [Route] says; what has none is not limited.
	Rations []*connect.Ration
	Log     *slog.Logger
}

// NewAPI serves the routes of function api.
func NewAPI(p APIParts) http.Handler {
	a := api{APIParts: p, present: presenter{
		deployment: p.Connections.Deployment, tokens: launchTokens{connections: p.Tokens, enrolments: p.EnrolmentTokens},
	}}
	return newServer(a.operations(), p.Rations, p.Log, p.Connections.Clock)
}

type api struct {
	APIParts
	present presenter
}

// OpenAPI is the OpenAPI 3.1 document of all routes, as JSON.
func OpenAPI() []byte { return slices.Clone(openAPI) }

//go:embed openapi.json
var openAPI []byte

// Inputs; the tags are read by bind and by the OpenAPI document.
type (
	none struct{}

	documentInput struct {
		IfNoneMatch string `header:"If-None-Match" doc:"The ETag of the last answer: 304, without a body, as long as that is true."`
	}

	createInput struct {
		IdempotencyKey string `header:"Idempotency-Key" doc:"1 to 128 printable ASCII characters. A second request with the same key changes nothing and answers with what the first one made; kept for a day." maxLength:"128"`
		Body           CreateConnection
	}
	listInput struct {
		Status string `query:"status" doc:"Only connections of this status; without it all but deleted ones." enum:"pending,verifying,enabled,degraded,failed,disconnected,expired,deleted"`
		Q      string `query:"q" doc:"Only connections whose name has this in it, ignoring case." maxLength:"64"`
		Scope  string `query:"scope" doc:"Only connections with this scope, such as project:web, or with any scope of a level, such as project." maxLength:"141"`
		Limit  int    `query:"limit" doc:"Items on a page." minimum:"1" maximum:"100" default:"50"`
		Cursor string `query:"cursor" doc:"nextCursor of the page before."`
	}
	oneInput struct {
		ID string `path:"id" doc:"The connection's id."`
	}
	changeInput struct {
		ID      string `path:"id" doc:"The connection's id."`
		IfMatch string `header:"If-Match" doc:"The ETag of the connection as you know it; 412 if it has changed since."`
	}
	launchInput struct {
		ID             string `path:"id" doc:"The connection's id."`
		IfMatch        string `header:"If-Match" doc:"The ETag of the connection as you know it; 412 if it has changed since."`
		IdempotencyKey string `header:"Idempotency-Key" doc:"As on POST /v1/connections." maxLength:"128"`
	}
	eventsInput struct {
		ID     string `path:"id" doc:"The connection's id."`
		Type   string `query:"type" doc:"Only events of this kind. A page may then have fewer items than asked for." enum:"connection,credentials"`
		Limit  int    `query:"limit" doc:"Items on a page." minimum:"1" maximum:"100" default:"50"`
		Cursor string `query:"cursor" doc:"nextCursor of the page before."`
	}
)

func (a api) operations() []operation {
	return append([]operation{
		does(operation{
			route: "GET /openapi.json", id: "getOpenAPI", summary: "This document",
			about: "Caches may keep it for five minutes.",
			answers: []answer{
				{status: http.StatusOK, about: "OpenAPI 3.1", body: reflect.TypeFor[map[string]any](), headers: []string{"ETag", "Cache-Control"}},
				{status: http.StatusNotModified, about: "As the ETag in If-None-Match has it", headers: []string{"ETag", "Cache-Control"}},
			},
		}, a.openAPI),
		a.metadataOperation(),
		does(operation{
			route: "GET /v1/config", id: "getConfig", summary: "What the platform offers",
			about:   "What a page needs to know before it offers to connect an account.",
			answers: []answer{{status: http.StatusOK, body: reflect.TypeFor[Config]()}},
		}, a.config),
		does(operation{
			route: "POST /v1/connections", id: "createConnection", summary: "Create a connection",
			about: "Makes a pending connection with its external ID and a launch. Open launch.quickCreateUrl in the customer's " +
				"console, or give launch's parts to a tool. With an access key instead: makes a connection that is enabled at " +
				"once, without a launch; a key that does not pass leaves nothing behind, not even the name. " + tenantsAlone,
			answers: []answer{{
				status: http.StatusCreated, about: "Created, with its launch", body: reflect.TypeFor[Connection](),
				headers: []string{"Location", "ETag"},
			}},
		}, a.create),
		does(operation{
			route: "GET /v1/connections", id: "listConnections", summary: "List connections, newest first",
			answers: []answer{{status: http.StatusOK, body: reflect.TypeFor[Connections]()}},
		}, a.list),
		does(operation{
			route: "GET /v1/connections/{id}", id: "getConnection", summary: "Read a connection",
			about: "With its launch while the customer's stack or role is awaited, for callers who also have the scope `connections:write` and may change the connection. " +
				"Deleted connections can still be read.",
			answers: []answer{{
				status: http.StatusOK, body: reflect.TypeFor[Connection](), headers: []string{"ETag"},
			}},
		}, a.get),
		a.statusOperation(),
		a.updateOperation(),
		does(operation{
			route: "DELETE /v1/connections/{id}", id: "deleteConnection", summary: "Delete a connection",
			about:   "For ever: its name and external ID are never used again. Deleting a deleted one changes nothing.",
			answers: []answer{{status: http.StatusNoContent, about: "Deleted"}},
		}, a.delete),
		does(operation{
			route: "POST /v1/connections/{id}/launch", id: "launchConnection", summary: "Prepare a further launch",
			about: "Also opens an expired or disconnected connection again, with the same external ID.",
			answers: []answer{{
				status: http.StatusCreated, about: "The connection with its new launch", body: reflect.TypeFor[Connection](),
				headers: []string{"Location", "ETag"},
			}},
		}, a.launch),
		does(keysOperation(), a.accessKey),
		does(operation{
			route: "GET /v1/connections/{id}/events", id: "listEvents", summary: "A connection's timeline, newest first",
			about:   "It outlives the connection.",
			answers: []answer{{status: http.StatusOK, body: reflect.TypeFor[Events]()}},
		}, a.events),
		a.sessionsOperation(),
	}, slices.Concat(a.scopeOperations(), a.legacyOperations(), a.enrolmentOperations())...)
}

// openAPITag is made once, when it is first asked for: starts have no time for it.
var openAPITag = sync.OnceValue(func() string { return hashTag(openAPI) })

func (a api) openAPI(_ context.Context, _ call, in documentInput) (reply, error) {
	return reply{status: http.StatusOK, body: document(openAPI), etag: openAPITag(), public: true}.unless(in.IfNoneMatch), nil
}

func (a api) config(context.Context, call, none) (reply, error) {
	return reply{status: http.StatusOK, body: a.present.config()}, nil
}

// idempotencyLife is how long an Idempotency-Key is remembered.
const idempotencyLife = 24 * time.Hour

func (a api) idempotency(c call, key string) (*connect.Idempotency, error) {
	if key == "" {
		return nil, nil
	}
	if err := checkIdempotencyKey(key); err != nil {
		return nil, err
	}
	return &connect.Idempotency{
		Key: key, Request: c.digest, ExpiresAt: a.Connections.Clock().Add(idempotencyLife),
	}, nil
}

func (a api) create(ctx context.Context, c call, in createInput) (reply, error) {
	idem, err := a.idempotency(c, in.IdempotencyKey)
	if err != nil {
		return reply{}, err
	}
	wanted, err := parseScopes(in.Body.Scopes)
	if err != nil {
		return reply{}, err
	}
	made, err := a.Connections.Create(ctx, connect.CreateRequest{
		Tenant: c.caller.Tenant, By: c.caller.Subject, Filter: c.caller.Filter, Name: in.Body.Name, Method: in.Body.Method,
		AccountID: in.Body.AccountID, Keys: in.Body.AccessKey.input(),
		DefaultRegion: in.Body.DefaultRegion, Permissions: in.Body.Permissions, Scopes: wanted, Idempotency: idem,
	})
	if err != nil {
		return reply{}, err
	}
	return a.created(ctx, c, made), nil
}

func (a api) launch(ctx context.Context, c call, in launchInput) (reply, error) {
	version, err := ifMatch(in.IfMatch)
	if err != nil {
		return reply{}, err
	}
	idem, err := a.idempotency(c, in.IdempotencyKey)
	if err != nil {
		return reply{}, err
	}
	launched, err := a.Connections.Launch(ctx, target(c, in.ID, version), idem)
	if err != nil {
		return reply{}, err
	}
	return a.created(ctx, c, launched), nil
}

func target(c call, id string, version int64) connect.Target {
	return connect.Target{Tenant: c.caller.Tenant, ID: id, By: c.caller.Subject, Filter: c.caller.Filter, IfMatch: version}
}

func (a api) created(ctx context.Context, c call, made connect.Connection) reply {
	re := a.shown(ctx, c, made)
	re.status, re.location = http.StatusCreated, "/v1/connections/"+string(made.ID())
	return re
}

func (a api) one(ctx context.Context, c call, found connect.Connection) (reply, error) {
	body, err := a.present.launched(ctx, c.caller, found, a.Connections.Clock())
	return reply{status: http.StatusOK, body: body, etag: etag(found.Version()), connection: found.ID()}, err
}

func (a api) get(ctx context.Context, c call, in oneInput) (reply, error) {
	found, err := a.Connections.Get(ctx, c.caller.Tenant, in.ID)
	if err != nil {
		return reply{}, err
	}
	return a.one(ctx, c, found)
}

func (a api) list(ctx context.Context, c call, in listInput) (reply, error) {
	limit, err := pageSize(in.Limit)
	if err != nil {
		return reply{}, err
	}
	if in.Status != "" && !slices.Contains(connect.Statuses(), connect.Status(in.Status)) {
		return reply{}, invalidParameter("status", "must be one of "+statusNames())
	}
	if utf8.RuneCountInString(in.Q) > 64 {
		return reply{}, invalidParameter("q", "must be 1 to 64 characters, as names are")
	}
	scope, err := connect.ParseScopeFilter(in.Scope)
	if err != nil {
		return reply{}, err
	}
	page, err := a.Connections.List(ctx, c.caller.Tenant, connect.ListQuery{
		Status: connect.Status(in.Status), Contains: in.Q, Scope: scope, Limit: limit, Cursor: in.Cursor,
	})
	if err != nil {
		return reply{}, err
	}
	now := a.Connections.Clock()
	out := Connections{Items: make([]Connection, 0, len(page.Items)), NextCursor: page.Next}
	for _, item := range page.Items {
		out.Items = append(out.Items, a.present.connection(item, now))
	}
	return reply{status: http.StatusOK, body: out}, nil
}

func (a api) events(ctx context.Context, c call, in eventsInput) (reply, error) {
	limit, err := pageSize(in.Limit)
	if err != nil {
		return reply{}, err
	}
	if in.Type != "" && in.Type != "connection" && in.Type != "credentials" {
		return reply{}, invalidParameter("type", "must be connection or credentials")
	}
	page, err := a.Connections.Events(ctx, c.caller.Tenant, in.ID, connect.EventQuery{About: in.Type, Limit: limit, Cursor: in.Cursor})
	if err != nil {
		return reply{}, err
	}
	out := Events{Items: make([]Event, 0, len(page.Items)), NextCursor: page.Next}
	for _, e := range page.Items {
		out.Items = append(out.Items, event(e))
	}
	return reply{status: http.StatusOK, body: out}, nil
}

func (a api) delete(ctx context.Context, c call, in changeInput) (reply, error) {
	version, err := ifMatch(in.IfMatch)
	if err != nil {
		return reply{}, err
	}
	if err := a.Connections.Delete(ctx, target(c, in.ID, version)); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusNoContent}, nil
}

const (
	defaultPage = 50
	largestPage = 100
)

func pageSize(limit int) (int, error) {
	if limit == 0 {
		return defaultPage, nil
	}
	if limit < 1 || limit > largestPage {
		return 0, invalidParameter("limit", "must be 1 to 100")
	}
	return limit, nil
}

func invalidParameter(name, message string) error {
	p := newProblem(http.StatusBadRequest, codeParameterInvalid, "the parameter "+name+" "+message, "")
	p.Errors = []FieldError{{Field: name, Code: codeParameterInvalid, Message: message}}
	return p
}
