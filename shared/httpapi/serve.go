package httpapi

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"rolecall/shared/connect"
)

// RequestIDHeader names a request in answers and logs. What stands in front of the handlers sets it on requests.
const RequestIDHeader = "X-Request-Id"

// An operation is a route with what serves and documents it.
type operation struct {
	route   string // method and path as in Routes
	id      string
	summary string
	about   string
	input   reflect.Type
	answers []answer
	legacy  bool // errors are LegacyErrors, not problems
	serve   func(ctx context.Context, c call, r *http.Request, body []byte) (reply, error)
}

// An answer is one way in which an operation ends well.
type answer struct {
	status  int
	about   string
	body    reflect.Type // nil for none
	or      reflect.Type // another shape of the body; nil for none
	text    bool         // the body may also be plain text
	headers []string
}

// tenantsAlone ends the description of an operation that concerns the whole tenant.
const tenantsAlone = "Not for tokens that are restricted to connections."

// A call is what operations know of a request beside their input.
type call struct {
	caller Caller
	digest string // of method, path and body: two requests with one Idempotency-Key must have the same
	origin string // the API's own URL, as it was asked
}

// A reply is how an operation ended well.
type reply struct {
	status     int
	body       any
	location   string
	etag       string
	retryAfter string
	public     bool                 // may be kept by caches
	connection connect.ConnectionID // for the log
}

// does makes an operation of a function from the input I.
func does[I any](o operation, f func(ctx context.Context, c call, in I) (reply, error)) operation {
	o.input = reflect.TypeFor[I]()
	o.serve = func(ctx context.Context, c call, r *http.Request, body []byte) (reply, error) {
		var in I
		if err := bind(r, body, reflect.ValueOf(&in).Elem()); err != nil {
			return reply{}, err
		}
		return f(ctx, c, in)
	}
	return o
}

// server serves the routes of one function.
type server struct {
	operations map[string]operation // by method and path
	routes     []Route              // of both functions, so that a wrong method is told from a wrong path
	rations    map[connect.Rationed]*connect.Ration
	log        *slog.Logger
	clock      func() time.Time
}

func newServer(operations []operation, rations []*connect.Ration, log *slog.Logger, clock func() time.Time) *server {
	s := &server{
		operations: make(map[string]operation, len(operations)), routes: Routes(), rations: map[connect.Rationed]*connect.Ration{},
		log: log, clock: clock,
	}
	for _, o := range operations {
		s.operations[o.route] = o
	}
	for _, r := range rations {
		s.rations[r.Of] = r
	}
	return s
}

// sighting is what the access log tells of a request.
type sighting struct {
	requestID  string
	route      string
	tenant     connect.TenantID
	connection connect.ConnectionID
	code       connect.Code
	cause      error // of what is our own fault
	asked      bool  // that it failed is the callers' doing, whatever its status
}

// ServeHTTP answers a request, logs that it did, and outlives panics.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := s.clock()
	seen := &sighting{requestID: requestID(r)}
	rec := &recorder{ResponseWriter: w}
	rec.Header().Set(RequestIDHeader, seen.requestID)
	rec.Header().Set("X-Content-Type-Options", "nosniff")
	defer func() {
		if v := recover(); v != nil {
			s.panicked(rec, r, seen, v)
		}
		s.logAccess(r, rec, seen, s.clock().Sub(began))
	}()
	s.answer(rec, r, seen)
}

func (s *server) answer(w http.ResponseWriter, r *http.Request, seen *sighting) {
	re, err := s.handle(r, seen)
	if err != nil {
		p := problemOf(err, seen.requestID)
		if s.operations[seen.route].legacy {
			p = legacyProblem(err, p)
		}
		seen.code = p.Code
		if p.Status >= http.StatusInternalServerError {
			seen.cause, seen.asked = err, asked(err)
		}
		if s.operations[seen.route].legacy {
			writeLegacy(w, p)
			return
		}
		writeProblem(w, p)
		return
	}
	if re.connection != "" {
		seen.connection = re.connection
	}
	write(w, re)
}

func write(w http.ResponseWriter, re reply) {
	cache := "no-store"
	if re.public {
		cache = "public, max-age=300"
	}
	for name, value := range map[string]string{
		"Cache-Control": cache, "Location": re.location, "ETag": re.etag, "Retry-After": re.retryAfter,
	} {
		if value != "" {
			w.Header().Set(name, value)
		}
	}
	if re.body == nil {
		w.WriteHeader(re.status)
		return
	}
	if text, ok := re.body.(plainText); ok {
		writeText(w, re.status, text)
		return
	}
	writeJSON(w, re.status, "application/json", re.body)
}

// handle refuses as early as it can: by route, by caller, by body, by what the operation finds.
func (s *server) handle(r *http.Request, seen *sighting) (reply, error) {
	route, err := s.find(r)
	if err != nil {
		return reply{}, err
	}
	seen.route = route.Method + " " + route.Path
	if id, idErr := connect.ParseConnectionID(r.PathValue("id")); idErr == nil {
		seen.connection = id
	}
	var c call
	if route.Scope != "" {
		if c.caller, err = callerOf(r.Context(), route.Scope); err != nil {
			return reply{}, err
		}
		seen.tenant = c.caller.Tenant
		if err = s.rations[route.Rationed].Admit(r.Context(), c.caller.Tenant); err != nil {
			return reply{}, err
		}
	}
	body, err := readBody(r)
	if err != nil {
		return reply{}, err
	}
	c.digest, c.origin = digest(r, body), origin(r)
	return s.operations[seen.route].serve(r.Context(), c, r, body)
}

// find is the request's route. net/http's own mux is not used because it redirects paths that it thinks unclean and
// words its own errors; there are few routes.
func (s *server) find(r *http.Request) (Route, error) {
	var allow []string
	for _, route := range s.routes {
		if !matchPath(route.Path, r) {
			continue
		}
		if _, mine := s.operations[route.Method+" "+route.Path]; mine && route.Method == r.Method {
			return route, nil
		}
		allow = append(allow, route.Method)
	}
	if len(allow) == 0 || slices.Contains(allow, r.Method) {
		return Route{}, newProblem(http.StatusNotFound, codeRouteNotFound, "there is no such route", "See /openapi.json.")
	}
	slices.Sort(allow)
	return Route{}, newProblem(http.StatusMethodNotAllowed, codeMethodNotAllowed, "this route does not know the method",
		"Use "+strings.Join(allow, " or ")+".").with("Allow", strings.Join(allow, ", "))
}

// matchPath compares segment by segment, and keeps what stands for a {name} as the request's path value.
func matchPath(pattern string, r *http.Request) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(r.URL.EscapedPath(), "/")
	if len(want) != len(got) {
		return false
	}
	for i, segment := range want {
		name, variable := strings.CutPrefix(segment, "{")
		if !variable {
			if segment != got[i] {
				return false
			}
			continue
		}
		value, err := url.PathUnescape(got[i])
		if err != nil || value == "" {
			return false
		}
		r.SetPathValue(strings.TrimSuffix(name, "}"), value)
	}
	return true
}

func digest(r *http.Request, body []byte) string {
	h := sha256.New()
	_, _ = h.Write([]byte(r.Method + "\n" + r.URL.EscapedPath() + "\n")) // a hash never fails
	_, _ = h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// requestID is the id that the gateway gave, or one of our own where there is no gateway.
func requestID(r *http.Request) string {
	id := r.Header.Get(RequestIDHeader)
	if id == "" || len(id) > 128 || !isPrintableASCII(id) {
		return rand.Text()
	}
	return id
}

// recorder knows what has been sent.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (s *server) panicked(w *recorder, r *http.Request, seen *sighting, v any) {
	s.log.ErrorContext(r.Context(), "panic", slog.String("requestId", seen.requestID), slog.String("route", seen.route),
		slog.Any("error", connect.Panicked(v)))
	seen.code = connect.CodeInternal
	if w.status == 0 {
		writeProblem(w, problemOf(errPanic, seen.requestID))
	}
}

var errPanic = &connect.Error{Kind: connect.KindInternal, Code: connect.CodeInternal, Message: "panic"}

// asked says that callers alone bring a failure about, by asking for too much, or for changes of one connection at once.
// Nobody needs to be called for it, so it is no error in the log.
func asked(err error) bool {
	var e *connect.Error
	return errors.As(err, &e) && (e.Kind == connect.KindLimited || e.Code == connect.CodeBusy)
}

// logAccess writes one line for each request: who, what, how it ended. Never a body, a query or a header. What a stranger
// can send makes a line of INFO.
func (s *server) logAccess(r *http.Request, w *recorder, seen *sighting, took time.Duration) {
	level := slog.LevelInfo
	if w.status >= http.StatusInternalServerError && !seen.asked {
		level = slog.LevelError
	}
	attrs := []slog.Attr{
		slog.String("requestId", seen.requestID), slog.String("route", seen.route),
		slog.Int("status", w.status), slog.Float64("durationMs", float64(took.Microseconds())/1000),
		slog.String("tenant", string(seen.tenant)), slog.String("connectionId", string(seen.connection)),
	}
	if seen.code != "" {
		attrs = append(attrs, slog.String("code", string(seen.code)))
	}
	if seen.cause != nil {
		attrs = append(attrs, slog.String("error", seen.cause.Error()))
	}
	s.log.LogAttrs(r.Context(), level, "request", attrs...)
}
