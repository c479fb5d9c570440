// Package gateway is the HTTP API (API Gateway v2) of the pocket AWS: routes in front of Lambda functions with payload
// format 2.0, JWT authorizers with scopes, and CORS. It answers what API Gateway itself answers in its words, because
// clients meet those answers too.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"rolecall/infra/local/wire"
)

const (
	maxBody   = 10 * 1024 * 1024
	maxHeader = 10240 // request line and header values together
	// maxWait is the longest that a function may take.
	maxWait = 30 * time.Second
)

// Invoke runs a function. failed tells that the function itself failed; err is Lambda's refusal, such as a throttle
// ([wire.Error] with status 429), or ctx's error.
type Invoke func(ctx context.Context, functionARN string, payload []byte) (response []byte, failed bool, err error)

// Config is what an API needs of its surroundings. ID, Account, Clock and Invoke must be set.
type Config struct {
	ID      string // "a1b2c3d4e5"
	Account string // 12 digits
	Region  string
	Stage   string // "" means $default
	Clock   func() time.Time
	Invoke  Invoke
	// Admits says whether a function's resource policy lets the route
	// (arn:aws:execute-api:<region>:<account>:<api>/<stage>/<method>/<path>) invoke it; nil asks nothing.
	Admits func(functionARN, sourceARN string) bool
	// Client fetches issuers' keys; nil means one with a timeout of 5 s.
	Client *http.Client
	// Log takes what the clients are not told: why a token or an integration was refused. It gets no secrets.
	Log func(line string)
}

// An Integration is the function behind routes.
type Integration struct {
	FunctionARN string
	Timeout     time.Duration // 0 or more than 30 s means 30 s
}

// A Route sends requests to an integration.
type Route struct {
	Key         string // "GET /v1/connections/{id}", "ANY /files/{path+}" or "$default"
	Integration string // its id
	Authorizer  string // its id; "" admits everybody
	Scopes      []string
}

// An API is one HTTP API; it is safe for concurrent use, also while it is being changed.
type API struct {
	cfg Config

	mu           sync.RWMutex
	cors         *CORS
	routes       map[string]route // by id
	integrations map[string]Integration
	authorizers  map[string]*authorizer
}

// New makes an API without routes.
func New(cfg Config) *API {
	if cfg.Stage == "" {
		cfg.Stage = "$default"
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{Timeout: 5 * time.Second}
	}
	if cfg.Log == nil {
		cfg.Log = func(string) {}
	}
	if cfg.Admits == nil {
		cfg.Admits = func(string, string) bool { return true }
	}
	return &API{
		cfg: cfg, routes: map[string]route{}, integrations: map[string]Integration{}, authorizers: map[string]*authorizer{},
	}
}

// SetCORS configures CORS; nil leaves it to the functions.
func (a *API) SetCORS(c *CORS) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cors = c
}

// PutIntegration adds or replaces an integration.
func (a *API) PutIntegration(id string, i Integration) {
	if i.Timeout <= 0 || i.Timeout > maxWait {
		i.Timeout = maxWait
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.integrations[id] = i
}

// DeleteIntegration removes an integration; routes that name it answer 500.
func (a *API) DeleteIntegration(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.integrations, id)
}

// PutAuthorizer adds or replaces a JWT authorizer. BadRequestException for a definition that cannot work.
func (a *API) PutAuthorizer(id string, j JWT) error {
	made, err := newAuthorizer(j, a.cfg)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.authorizers[id] = made
	return nil
}

// DeleteAuthorizer removes an authorizer; routes that name it answer 500.
func (a *API) DeleteAuthorizer(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.authorizers, id)
}

// PutRoute adds or replaces a route. BadRequestException for a malformed key, NotFoundException for an unknown
// integration or authorizer, ConflictException where another route has an equivalent key.
func (a *API) PutRoute(id string, r Route) error {
	parsed, err := parseRoute(r)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.integrations[r.Integration]; !ok {
		return &wire.Error{
			Code: "NotFoundException", Status: http.StatusNotFound,
			Message: "Invalid Integration identifier specified " + r.Integration,
		}
	}
	if _, ok := a.authorizers[r.Authorizer]; !ok && r.Authorizer != "" {
		return &wire.Error{
			Code: "NotFoundException", Status: http.StatusNotFound,
			Message: "Invalid Authorizer identifier specified " + r.Authorizer,
		}
	}
	for other, existing := range a.routes {
		if other != id && existing.shape() == parsed.shape() {
			return &wire.Error{
				Code: "ConflictException", Status: http.StatusConflict,
				Message: fmt.Sprintf("Route with key %s already exists for this API", r.Key),
			}
		}
	}
	a.routes[id] = parsed
	return nil
}

// DeleteRoute removes a route.
func (a *API) DeleteRoute(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.routes, id)
}

// ServeHTTP implements [http.Handler].
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	requestID := newID(a.cfg.Clock())
	w.Header().Set("Apigw-Requestid", requestID)
	a.mu.RLock()
	cors := a.cors
	a.mu.RUnlock()
	if cors.preflight(w, r) {
		return
	}
	cors.decorate(w.Header(), r)
	if headerSize(r) > maxHeader {
		say(w, http.StatusRequestHeaderFieldsTooLarge, "Request Header Fields Too Large")
		return
	}
	found, ok := a.match(r)
	if !ok {
		say(w, http.StatusNotFound, "Not Found")
		return
	}
	claims, ok := a.authorize(w, r, found)
	if !ok {
		return
	}
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	payload, err := a.request(r, found, claims, body, requestID)
	if err != nil {
		a.cfg.Log("request " + requestID + ": " + err.Error())
		say(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	a.integrate(w, r, found, payload, cors != nil)
}

// say answers in API Gateway's own words.
func say(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"message":"`+message+`"}`)
}

func headerSize(r *http.Request) int {
	size := len(r.Method) + len(r.RequestURI) + len(r.Proto) + len(r.Host)
	for _, values := range r.Header {
		for _, v := range values {
			size += len(v)
		}
	}
	return size
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	if r.ContentLength > maxBody {
		say(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		say(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return nil, false
	}
	if err != nil {
		say(w, http.StatusBadRequest, "Bad Request")
		return nil, false
	}
	return body, true
}

// integrate invokes the route's function and writes its answer.
func (a *API) integrate(w http.ResponseWriter, r *http.Request, m matched, payload []byte, ownCORS bool) {
	if !m.hasIntegration || !a.cfg.Admits(m.integration.FunctionARN, a.sourceARN(m)) {
		a.cfg.Log(m.Key + ": its integration is missing or its function does not admit the API")
		say(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), m.integration.Timeout)
	defer cancel()
	answer, failed, err := a.cfg.Invoke(ctx, m.integration.FunctionARN, payload)
	if err != nil {
		a.cfg.Log(m.Key + ": " + err.Error())
		status, message := refusal(err)
		say(w, status, message)
		return
	}
	if failed {
		say(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	if err := respond(w, answer, ownCORS); err != nil {
		a.cfg.Log(m.Key + ": " + err.Error())
		say(w, http.StatusInternalServerError, "Internal Server Error")
	}
}

// refusal is what clients are told of an invocation that Lambda refused or that took too long.
func refusal(err error) (status int, message string) {
	if errors.Is(err, context.DeadlineExceeded) {
		return http.StatusServiceUnavailable, "Service Unavailable"
	}
	var e *wire.Error
	if !errors.As(err, &e) {
		return http.StatusInternalServerError, "Internal Server Error"
	}
	switch e.Status {
	case http.StatusTooManyRequests:
		return http.StatusServiceUnavailable, "Service Unavailable"
	case http.StatusRequestEntityTooLarge:
		return http.StatusRequestEntityTooLarge, "Request Entity Too Large"
	default:
		return http.StatusInternalServerError, "Internal Server Error"
	}
}

// sourceARN names the route in functions' resource policies.
func (a *API) sourceARN(m matched) string {
	method, path, ok := strings.Cut(m.Key, " ")
	if !ok {
		method, path = "", m.Key
	}
	if method == "ANY" {
		method = "*"
	}
	arn := "arn:aws:execute-api:" + a.cfg.Region + ":" + a.cfg.Account + ":" + a.cfg.ID + "/" + a.cfg.Stage + "/"
	if method == "" {
		return arn + path
	}
	return arn + method + path
}
