package lambda

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"rolecall/infra/local/wire"
)

// errClosed answers invocations after Close.
var errClosed = errors.New("lambda: the service is closed")

// A Result is what an invocation came to.
type Result struct {
	RequestID string
	Payload   []byte // the function's answer or, with FunctionError, a JSON object with errorType and errorMessage
	// FunctionError is "" for success and "Unhandled" otherwise, as Lambda says of every custom runtime.
	FunctionError string
}

// Err is nil for success and a [FunctionError] otherwise.
func (r Result) Err() error {
	if r.FunctionError == "" {
		return nil
	}
	var body struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	if err := json.Unmarshal(r.Payload, &body); err != nil {
		return &FunctionError{Type: r.FunctionError, Message: string(r.Payload)}
	}
	return &FunctionError{Type: body.Type, Message: body.Message}
}

// A FunctionError is a function's failure, as opposed to the service's.
type FunctionError struct {
	Type    string // "Runtime.ExitError", "Sandbox.Timedout", or what the function called it
	Message string
}

func (e *FunctionError) Error() string { return e.Type + ": " + e.Message }

// An invocation is one event on its way through an environment.
type invocation struct {
	requestID string
	traceID   string
	payload   []byte
	deadline  time.Time
	answer    *answer // set once, under the environment's lock
}

// An answer is what the runtime posted.
type answer struct {
	payload []byte
	failed  bool
}

// Invoke runs a function with a JSON payload (empty means {}) and waits for its result. A function's own failure is a
// Result, not an error. Errors: ResourceNotFoundException, TooManyRequestsException, RequestTooLargeException,
// InvalidRequestContentException, and ctx's. The invocation goes on when ctx ends, as it does in Lambda.
func (s *Service) Invoke(ctx context.Context, arn string, payload []byte) (Result, error) {
	p, err := s.pool(arn)
	if err != nil {
		return Result{}, err
	}
	payload, err = acceptable(payload, maxSyncPayload)
	if err != nil {
		return Result{}, err
	}
	slot, err := p.take()
	if err != nil {
		return Result{}, err
	}
	type outcome struct {
		result Result
		err    error
	}
	done := make(chan outcome, 1)
	started := s.spawn(func() {
		end := s.begin(arn)
		result, err := p.run(slot, payload)
		end()
		done <- outcome{result, err}
	})
	if !started {
		return Result{}, errClosed
	}
	select {
	case o := <-done:
		return o.result, o.err
	case <-ctx.Done():
		return Result{}, fmt.Errorf("lambda: waiting for %s: %w", arn, ctx.Err())
	}
}

// InFlight is how many invocations are running, cold starts included.
func (s *Service) InFlight() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.running)
}

// begin counts an invocation in until end is called.
func (s *Service) begin(arn string) (end func()) {
	done := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[done] = arn
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.running, done)
		close(done)
	}
}

// Finish waits until the invocations of a function have ended that are running now; those that begin meanwhile are not
// waited for.
func (s *Service) Finish(ctx context.Context, arn string) error {
	s.mu.Lock()
	var now []chan struct{}
	for done, of := range s.running {
		if of == arn {
			now = append(now, done)
		}
	}
	s.mu.Unlock()
	for _, done := range now {
		select {
		case <-done:
		case <-ctx.Done():
			return fmt.Errorf("lambda: waiting for %s: %w", arn, ctx.Err())
		}
	}
	return nil
}

// acceptable is the payload as a function gets it.
func acceptable(payload []byte, limit int) ([]byte, error) {
	if len(payload) == 0 {
		return []byte("{}"), nil
	}
	if len(payload) > limit {
		return nil, &wire.Error{
			Code: "RequestTooLargeException", Status: http.StatusRequestEntityTooLarge,
			Message: fmt.Sprintf("%d byte payload is too large for the invocation type (limit %d bytes)", len(payload), limit),
		}
	}
	if !json.Valid(payload) {
		return nil, &wire.Error{
			Code: "InvalidRequestContentException", Message: "Could not parse request body into json",
			Fields: map[string]any{"Type": "User"},
		}
	}
	return payload, nil
}

func throttled() error {
	return &wire.Error{
		Code: "TooManyRequestsException", Status: http.StatusTooManyRequests, Message: "Rate Exceeded.",
		Fields: map[string]any{"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded", "Type": "User"},
	}
}

func isThrottle(err error) bool {
	var e *wire.Error
	return errors.As(err, &e) && e.Code == "TooManyRequestsException"
}

// failure is the Result of a function error that Lambda itself reports.
func failure(requestID, kind, format string, args ...any) Result {
	message := fmt.Sprintf(format, args...)
	body, err := json.Marshal(map[string]string{
		"errorType": kind, "errorMessage": "RequestId: " + requestID + " Error: " + message,
	})
	if err != nil { // strings always marshal
		body = []byte(`{}`)
	}
	return Result{RequestID: requestID, Payload: body, FunctionError: "Unhandled"}
}

func newInvocation(payload []byte) *invocation {
	return &invocation{
		requestID: newUUID(),
		traceID:   fmt.Sprintf("Root=1-%s-%s;Parent=%s;Sampled=0", randomHex(4), randomHex(12), randomHex(8)),
		payload:   payload,
	}
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// newUUID is a random (version 4) UUID.
func newUUID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
