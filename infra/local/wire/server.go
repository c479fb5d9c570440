package wire

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
)

// statusClientClosed is what the journal says of a call whose client hung up, such as a long poll that was given up.
const statusClientClosed = 499

// A Config is what a server is made of; Log may be nil for silence, all else but Secrets and Faults is needed.
type Config struct {
	Authenticator Authenticator
	Authorizer    Authorizer
	Clock         func() time.Time
	// Secrets tells the secret of an access key; signatures of keys that it does not know are not verified. May be nil.
	Secrets func(accessKeyID string) (secret string, ok bool)
	Faults  Injector     // may be nil: nothing goes wrong
	Log     *slog.Logger // one debug line per call, errors for what should not happen
}

// A Server is the front door of the pocket AWS: an [http.Handler] that answers the API of every registered service.
// Safe for concurrent use.
type Server struct {
	config  Config
	journal Journal

	mu       sync.RWMutex
	services map[string]Service
	handlers map[string]http.Handler // by path prefix
}

// NewServer makes a server without services.
func NewServer(c Config) *Server {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{config: c, services: make(map[string]Service), handlers: make(map[string]http.Handler)}
}

// Register adds a service under the name that signatures give it: "sts", "events" for EventBridge, …. A second service
// of the same name replaces the first.
func (s *Server) Register(service string, svc Service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.services[service] = svc
}

// Handle gives requests without a signature to a handler when their path begins with the prefix; the longest prefix
// wins. A signature in the URL alone does not keep a request from a prefix other than "/": the response URLs of
// custom resources are presigned, and are not API calls.
func (s *Server) Handle(prefix string, h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers[prefix] = h
}

// Journal answers what the server was asked so far.
func (s *Server) Journal() *Journal { return &s.journal }

// ServeHTTP answers one request. Its journal entry is written before the answer goes out, so whoever has an answer
// finds the entry.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil { // as in requests that were not received but made
		r.Body = http.NoBody
	}
	r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
	if h := s.handlerFor(r); h != nil {
		h.ServeHTTP(w, r)
		return
	}
	call := &Call{RequestID: newRequestID(), HTTP: r}
	a := s.answer(call)
	s.record(call, a)
	a.write(w)
}

// handlerFor finds the handler of a request that is no API call; nil for API calls and for what nobody handles.
func (s *Server) handlerFor(r *http.Request) http.Handler {
	if signedByHeader(r) {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	best := ""
	for prefix := range s.handlers {
		if strings.HasPrefix(r.URL.Path, prefix) && len(prefix) > len(best) {
			best = prefix
		}
	}
	if best == "/" && presigned(r) {
		return nil
	}
	return s.handlers[best]
}

func (s *Server) answer(call *Call) answer {
	r := call.HTTP
	if !signedByHeader(r) && !presigned(r) {
		return failure(call, protocolOf("", r), &Error{
			Code: "MissingAuthenticationToken", Message: "Request is missing Authentication Token", Status: http.StatusForbidden,
		})
	}
	from, err := readScope(r)
	if err != nil {
		return s.fail(call, protocolOf("", r), err)
	}
	call.Service, call.Region = from.service, from.region
	p := protocolOf(call.Service, r)
	a := s.perform(call, from, p)
	return call.fault.after(r.Context(), call, p, a)
}

// perform answers a call in the shape of its protocol.
func (s *Server) perform(call *Call, from scope, p protocol) answer {
	resp, err := s.serve(call, from, p)
	if err != nil {
		return s.fail(call, p, err)
	}
	a, err := success(call, p, resp)
	if err != nil {
		return s.fail(call, p, err)
	}
	return a
}

// serve takes a call from its reading to its service's answer; a service that panics fails this call alone.
func (s *Server) serve(call *Call, from scope, p protocol) (resp Response, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		}
	}()
	svc, err := s.service(call.Service)
	if err != nil {
		return Response{}, err
	}
	if call.Body, err = readBody(call.HTTP); err != nil {
		return Response{}, err
	}
	if err := readOperation(call, p); err != nil {
		return Response{}, err
	}
	if err := s.admit(call, svc, from, p); err != nil {
		return Response{}, err
	}
	return svc.Serve(call.HTTP.Context(), call)
}

func (s *Server) service(name string) (Service, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if svc, ok := s.services[name]; ok {
		return svc, nil
	}
	known := strings.Join(slices.Sorted(maps.Keys(s.services)), ", ")
	return nil, &Error{
		Code:    "UnknownService",
		Message: fmt.Sprintf("The pocket AWS has no service %q; it has: %s.", name, known),
		Status:  http.StatusNotImplemented,
	}
}

// admit authenticates the caller and checks every permission that the call needs. Faults strike in between: who calls
// and what is known by then, and a call that would be denied can go wrong like any other.
func (s *Server) admit(call *Call, svc Service, from scope, p protocol) error {
	principal, err := s.config.Authenticator.Authenticate(from.accessKeyID, from.token)
	if err != nil {
		return refused(err, p, call.Service)
	}
	if err := s.checkSignature(call, from); err != nil {
		return refused(err, p, call.Service)
	}
	call.Principal = principal
	needs, err := svc.Needs(call) // also names the operation of a REST call
	s.strike(call)
	if fault := call.fault.before(call.HTTP.Context(), call, p); fault != nil {
		return fault
	}
	if err != nil {
		return err
	}
	for _, need := range needs {
		if err := s.config.Authorizer.Authorize(principal, need); err != nil {
			return refused(err, p, call.Service)
		}
	}
	return nil
}

// refused puts a refusal into the words of the service's family; other errors stay as they are.
func refused(err error, p protocol, service string) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	why, ok := refusalOf(e.Code)
	if !ok {
		return err
	}
	translated := *e
	translated.Code, translated.Status = why.words(p, service)
	return &translated
}

// fail answers an error; what is no [Error] is a defect of the pocket AWS, and is logged.
func (s *Server) fail(call *Call, p protocol, err error) answer {
	e, ok := errors.AsType[*Error](err)
	switch {
	case errors.Is(err, errNoAnswer):
		return answer{broken: noAnswer}
	case ok && e.Code == "InvalidAction":
		translated := *e
		translated.Code, translated.Status = unknownOperation(p)
		return failure(call, p, &translated)
	case ok:
		return failure(call, p, e)
	case errors.Is(err, context.Canceled) && call.HTTP.Context().Err() != nil:
		return failure(call, p, &Error{Code: "RequestCanceled", Message: "The client hung up.", Status: statusClientClosed})
	}
	s.config.Log.ErrorContext(call.HTTP.Context(), "call failed",
		"service", call.Service, "operation", call.Operation, "requestId", call.RequestID, "error", err.Error())
	return failure(call, p, &Error{
		Code:    "InternalFailure",
		Message: "The pocket AWS failed; its log says more under request " + call.RequestID + ".",
		Status:  http.StatusInternalServerError,
	})
}

func (s *Server) record(call *Call, a answer) {
	s.journal.add(Entry{
		At:        s.config.Clock(),
		Service:   call.Service,
		Operation: call.Operation,
		Region:    call.Region,
		Caller:    call.Principal.ARN,
		Status:    a.status,
		Code:      a.code,
		Fault:     call.fault.String(),
	})
	s.config.Log.DebugContext(call.HTTP.Context(), "call",
		"service", call.Service, "operation", call.Operation, "region", call.Region, "caller", call.Principal.ARN,
		"status", a.status, "code", a.code, "requestId", call.RequestID, "fault", call.fault.String())
}

// newRequestID makes an id in the form of AWS's: a random UUID.
func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}
