package lambda

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// runtimeAPI is the Lambda Runtime API of one environment, version 2018-06-01.
func (e *environment) runtimeAPI() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", e.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", e.response)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", e.invocationError)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", e.initError)
	return mux
}

// next keeps the runtime waiting until there is an invocation.
func (e *environment) next(w http.ResponseWriter, r *http.Request) {
	if !e.finish() {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the invocation in progress has no answer yet")
		return
	}
	select {
	case e.ready <- struct{}{}:
	default:
	}
	select {
	case inv := <-e.work:
		e.send(w, inv)
	case <-e.gone:
	case <-r.Context().Done():
	}
}

func (e *environment) send(w http.ResponseWriter, inv *invocation) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(inv.payload)))
	header.Set("Lambda-Runtime-Aws-Request-Id", inv.requestID)
	header.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
	header.Set("Lambda-Runtime-Invoked-Function-Arn", e.function.ARN)
	header.Set("Lambda-Runtime-Trace-Id", inv.traceID)
	_, _ = w.Write(inv.payload) // a runtime that hung up is noticed by its exit or its timeout
}

// finish ends the invocation in progress; false means that it has no answer yet.
func (e *environment) finish() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current != nil && e.current.answer == nil {
		return false
	}
	e.current = nil
	return true
}

func (e *environment) response(w http.ResponseWriter, r *http.Request) {
	body, err := readLimited(r, maxResponse)
	if errors.Is(err, errTooLarge) {
		e.accept(w, r, http.StatusRequestEntityTooLarge, answer{failed: true, payload: marshalError(
			"Function.ResponseSizeTooLarge",
			fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", maxResponse),
		)})
		return
	}
	if err != nil { // the process died while it sent; the reaper tells why
		return
	}
	if r.Trailer.Get("Lambda-Runtime-Function-Error-Type") != "" {
		e.accept(w, r, http.StatusAccepted, answer{failed: true, payload: trailerError(r.Trailer)})
		return
	}
	e.accept(w, r, http.StatusAccepted, answer{payload: body})
}

func (e *environment) invocationError(w http.ResponseWriter, r *http.Request) {
	body, err := readLimited(r, maxResponse)
	if err != nil {
		body = marshalError("Runtime.UnknownError", err.Error())
	}
	e.accept(w, r, http.StatusAccepted, answer{failed: true, payload: body})
}

// accept records the answer to the invocation in progress; only its first one counts.
func (e *environment) accept(w http.ResponseWriter, r *http.Request, status int, a answer) {
	e.mu.Lock()
	current := e.current
	known := current != nil && current.requestID == r.PathValue("id") && current.answer == nil
	if known {
		current.answer = &a
	}
	e.mu.Unlock()
	if !known {
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "no invocation in progress has the id "+r.PathValue("id"))
		return
	}
	if status != http.StatusAccepted {
		refuse(w, status, "RequestEntityTooLarge", "the response is too large")
		return
	}
	accepted(w)
}

func (e *environment) initError(w http.ResponseWriter, r *http.Request) {
	body, err := readLimited(r, maxResponse)
	if err != nil || !json.Valid(body) {
		body = marshalError(r.Header.Get("Lambda-Runtime-Function-Error-Type"), string(body))
	}
	select {
	case e.broken <- body:
	default:
	}
	accepted(w)
}

func accepted(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(marshalError(kind, message))
}

// trailerError is the error that a runtime reports after it began to send its answer.
func trailerError(trailer http.Header) []byte {
	body, err := base64.StdEncoding.DecodeString(trailer.Get("Lambda-Runtime-Function-Error-Body"))
	if err != nil || !json.Valid(body) {
		return marshalError(trailer.Get("Lambda-Runtime-Function-Error-Type"), "the runtime ended its answer with an error")
	}
	return body
}

func marshalError(kind, message string) []byte {
	body, err := json.Marshal(map[string]string{"errorType": kind, "errorMessage": message})
	if err != nil { // strings always marshal
		return []byte(`{}`)
	}
	return body
}

var errTooLarge = errors.New("lambda: the body is too large")

// readLimited reads the whole body, trailers included, keeping at most limit bytes.
func readLimited(r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("lambda: reading the runtime's answer: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, errTooLarge
	}
	return body, nil
}
