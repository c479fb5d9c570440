package httpapi

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"

	"rolecall/shared/connect"
)

// A Problem is an error as callers see it (RFC 9457, application/problem+json).
type Problem struct {
	Type   string       `json:"type" enum:"about:blank"`
	Title  string       `json:"title" doc:"The status in words."`
	Status int          `json:"status"`
	Detail string       `json:"detail" doc:"What is wrong, for people."`
	Code   connect.Code `json:"code" doc:"What is wrong, for programs; it never changes."`
	Fix    string       `json:"fix,omitempty" doc:"What to do about it."`
	Errors []FieldError `json:"errors,omitempty" doc:"What is wrong with single fields or parameters."`
	// ConnectionID is the caller's other connection that stands in the way, where one does.
	ConnectionID string `json:"connectionId,omitempty"`
	// RequestID is there where nothing but the log can tell what happened.
	RequestID string `json:"requestId,omitempty"`

	headers map[string]string
}

// A FieldError says what is wrong with one field or parameter.
type FieldError struct {
	Field   string       `json:"field" example:"name"`
	Code    connect.Code `json:"code"`
	Message string       `json:"message"`
}

func (p *Problem) Error() string { return string(p.Code) + ": " + p.Detail }

func (p *Problem) with(header, value string) *Problem {
	if p.headers == nil {
		p.headers = map[string]string{}
	}
	p.headers[header] = value
	return p
}

func newProblem(status int, code connect.Code, detail, fix string) *Problem {
	return &Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: code, Fix: fix,
	}
}

// problemOf is the one place where errors become statuses. What is no error for callers says nothing of its cause.
func problemOf(err error, requestID string) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var e *connect.Error
	if !errors.As(err, &e) || e.Kind == connect.KindInternal {
		p = newProblem(http.StatusInternalServerError, connect.CodeInternal, "something went wrong at our side",
			"Try again; if it happens again, tell the platform's operators the request id.")
		p.RequestID = requestID
		return p
	}
	p = newProblem(statusOf(e.Kind), e.Code, e.Message, e.Fix)
	p.ConnectionID = string(e.Connection)
	if field := fieldOf(e.Code); field != "" {
		p.Errors = []FieldError{{Field: field, Code: e.Code, Message: e.Message}}
	}
	if e.Kind == connect.KindLimited || e.RetryAfter > 0 {
		p = p.with("Retry-After", wait(e.RetryAfter))
	}
	if e.Kind == connect.KindUnavailable {
		p.RequestID = requestID
		p = p.with("Retry-After", retryAfter(e.Code))
	}
	return p
}

func statusOf(k connect.Kind) int {
	switch k {
	case connect.KindInvalid:
		return http.StatusBadRequest
	case connect.KindNotFound:
		return http.StatusNotFound
	case connect.KindConflict:
		return http.StatusConflict
	case connect.KindStale:
		return http.StatusPreconditionFailed
	case connect.KindDenied:
		return http.StatusForbidden
	case connect.KindUnavailable:
		return http.StatusServiceUnavailable
	case connect.KindLimited:
		return http.StatusTooManyRequests
	case connect.KindInternal:
	}
	return http.StatusInternalServerError
}

// retryAfter is in seconds: a change that lost a race can be tried at once, a service that is down needs longer.
func retryAfter(c connect.Code) string {
	if c == connect.CodeBusy {
		return "1"
	}
	return "5"
}

// fieldOf is the field or parameter that a code of the domain speaks of.
func fieldOf(c connect.Code) string {
	return cmp.Or(keyFieldOf(c), map[connect.Code]string{
		connect.CodeNameInvalid:        "name",
		connect.CodeNameTaken:          "name",
		connect.CodeMethodUnsupported:  "method",
		connect.CodeRegionInvalid:      "defaultRegion",
		connect.CodeRegionUnsupported:  "defaultRegion",
		connect.CodePermissionsInvalid: "permissions",
		connect.CodeRoleARNInvalid:     "roleArn",
		connect.CodeRoleInUse:          "roleArn",
		connect.CodeOwnAccount:         "roleArn",
		connect.CodeScopeInvalid:       "scopes",
		connect.CodeScopeTaken:         "scopes",
		connect.CodeCursorInvalid:      "cursor",
		connect.CodeDurationInvalid:    "durationSeconds",
		connect.CodePolicyInvalid:      "policy",
		connect.CodePolicyTooLarge:     "policy",
		connect.CodePolicyARNInvalid:   "policyArns",
		connect.CodeDestinationInvalid: "destination",
		connect.CodeIssuerInvalid:      "issuer",
		connect.CodeReasonInvalid:      "reason",
		connect.CodeRegionDisabled:     "region",
		connect.CodeIdempotencyReused:  "Idempotency-Key",

		connect.CodeOrganizationInvalid: "organizationId",
		connect.CodeUnitsInvalid:        "organizationalUnitIds",
		connect.CodeNameRuleInvalid:     "nameRule",
	}[c])
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	for name, value := range p.headers {
		w.Header().Set(name, value)
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, p.Status, "application/problem+json", p)
}

func writeJSON(w http.ResponseWriter, status int, contentType string, body any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // so that links can be copied from what curl shows
	_ = e.Encode(body)     // strings, numbers and times: only the connection can fail, and then nobody listens
}
