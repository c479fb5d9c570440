package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"
)

// A FaultKind is one way in which a call can go wrong on the wire.
type FaultKind string

// Kinds of faults, as clients see them.
const (
	FaultError500    FaultKind = "error500"    // status 500 and the service's own word for an error of its own
	FaultThrottle429 FaultKind = "throttle429" // status 429 and the service's own word for a throttle
	FaultReset       FaultKind = "reset"       // the connection is reset
	FaultHang        FaultKind = "hang"        // no answer until the client gives up or Delay is over, then a reset
	FaultSlow        FaultKind = "slow"        // the answer comes after Delay
	FaultTruncated   FaultKind = "truncated"   // half of the answer, under the whole one's Content-Length
)

// A Fault is what is to happen to one call.
type Fault struct {
	Kind FaultKind
	// After lets the call be performed first, so that what goes wrong is its answer. It is so for every FaultTruncated.
	After bool
	Delay time.Duration // of FaultSlow and FaultHang; a hang of 0 lasts until the client gives up
}

// An Injector decides which calls are struck by a fault. It is asked once for every call whose caller is known.
type Injector interface {
	Strike(call *Call) (f Fault, struck bool)
}

// A breakage is how the sending of an answer goes wrong.
type breakage int

const (
	unbroken breakage = iota
	cutOff            // half of the body, then the connection ends
	noAnswer          // the connection is reset
)

// errNoAnswer ends a call that gets no answer.
var errNoAnswer = errors.New("a fault kept the answer back")

// String is the fault as the journal has it: "reset", or "reset after" where the call was performed; "" for none.
func (f *Fault) String() string {
	switch {
	case f == nil:
		return ""
	case f.After:
		return string(f.Kind) + " after"
	default:
		return string(f.Kind)
	}
}

// strike asks the injector about a call and remembers what is to happen.
func (s *Server) strike(call *Call) {
	if s.config.Faults == nil {
		return
	}
	f, struck := s.config.Faults.Strike(call)
	if !struck {
		return
	}
	f.After = f.After || f.Kind == FaultTruncated
	call.fault = &f
}

// before does what happens to a call that has not been performed; without an error it goes on.
func (f *Fault) before(ctx context.Context, call *Call, p protocol) error {
	if f == nil || f.After {
		return nil
	}
	switch f.Kind {
	case FaultError500, FaultThrottle429:
		return f.words(call, p)
	case FaultSlow:
		return pause(ctx, f.Delay)
	case FaultHang:
		f.hang(ctx)
	case FaultReset, FaultTruncated:
	}
	return errNoAnswer
}

// after does what happens to the answer of a call that has been performed.
func (f *Fault) after(ctx context.Context, call *Call, p protocol, a answer) answer {
	if f == nil || !f.After {
		return a
	}
	switch f.Kind {
	case FaultError500, FaultThrottle429:
		return failure(call, p, f.words(call, p))
	case FaultSlow:
		if pause(ctx, f.Delay) != nil {
			a.broken = noAnswer
		}
	case FaultTruncated:
		a.broken = cutOff
	case FaultHang:
		f.hang(ctx)
		a.broken = noAnswer
	case FaultReset:
		a.broken = noAnswer
	}
	if a.broken == noAnswer {
		return answer{broken: noAnswer}
	}
	return a
}

func (f *Fault) hang(ctx context.Context) {
	if f.Delay == 0 {
		<-ctx.Done()
		return
	}
	_ = pause(ctx, f.Delay) // whoever left has no answer either
}

// pause waits; a client that gives up meanwhile gets no answer.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return errNoAnswer
	}
}

func (f *Fault) words(call *Call, p protocol) *Error {
	if f.Kind == FaultThrottle429 {
		return &Error{Code: throttleCode(call.Service, p), Message: "Rate exceeded", Status: http.StatusTooManyRequests}
	}
	return &Error{
		Code: internalCode(call.Service, p), Message: "We encountered an internal error. Please try again.",
		Status: http.StatusInternalServerError,
	}
}

// internalCode is how a service says that it failed.
func internalCode(service string, p protocol) string {
	switch service {
	case "dynamodb":
		return "InternalServerError"
	case "kms":
		return "KMSInternalException"
	case "events":
		return "InternalException"
	case "iam":
		return "ServiceFailure"
	case "ec2", "sns":
		return "InternalError"
	}
	if p == protocolS3 {
		return "InternalError"
	}
	return "InternalFailure"
}

// throttleCode is how a service says that it was asked too often.
func throttleCode(service string, p protocol) string {
	switch service {
	case "sqs":
		return "RequestThrottled"
	case "ec2":
		return "RequestLimitExceeded"
	}
	switch p {
	case protocolS3:
		return "SlowDown"
	case protocolQuery, protocolEC2:
		return "Throttling"
	case protocolJSON, protocolREST:
	}
	return "ThrottlingException"
}

// Guard lets faults strike a handler that is no API service but stands for one, such as the bucket that takes custom
// resources' responses. It is known to the injector and the journal under the given name, its operations are the HTTP
// methods, and its errors are S3's.
func (s *Server) Guard(service string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := &Call{Service: service, Operation: r.Method, RequestID: newRequestID(), HTTP: r}
		a := s.guarded(call, h)
		s.record(call, a)
		a.write(w)
	})
}

func (s *Server) guarded(call *Call, h http.Handler) answer {
	body, err := readBody(call.HTTP) // all of it: only then does the server notice that a client has left
	if err != nil {
		return s.fail(call, protocolS3, err)
	}
	s.strike(call)
	ctx := call.HTTP.Context()
	if err := call.fault.before(ctx, call, protocolS3); err != nil {
		return s.fail(call, protocolS3, err)
	}
	call.HTTP.Body = io.NopCloser(bytes.NewReader(body))
	kept := &keeper{answer: answer{header: make(http.Header)}}
	h.ServeHTTP(kept, call.HTTP)
	kept.WriteHeader(http.StatusOK) // no more than a default
	return call.fault.after(ctx, call, protocolS3, kept.answer)
}

// A keeper is a [http.ResponseWriter] that keeps the answer.
type keeper struct{ answer answer }

func (k *keeper) Header() http.Header { return k.answer.header }

func (k *keeper) WriteHeader(status int) {
	if k.answer.status == 0 {
		k.answer.status = status
	}
}

func (k *keeper) Write(p []byte) (int, error) {
	k.WriteHeader(http.StatusOK)
	k.answer.body = append(k.answer.body, p...)
	return len(p), nil
}

// cut sends half of the answer. The server ends a connection on which less than the announced length was written.
func (a answer) cut(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)+1))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body[:len(a.body)/2])
}

// reset ends the connection so that the client's system says "connection reset by peer". Where the connection cannot be
// had, as under HTTP/2, it is ended as best the server can.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // drops what is unsent and sends RST
	}
	_ = conn.Close()
}
