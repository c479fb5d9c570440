// Package gateway turns what API Gateway sends a function (HTTP API, payload format 2.0) into net/http, and the answer
// back. It knows who a token's claims name, not what they may do.
package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
)

// requestIDHeader names the request to the handler. A client's own header of the name does not get through.
const requestIDHeader = "X-Request-Id"

// Claims are what a token says that API Gateway's JWT authorizer has verified; nothing in them is judged yet.
type Claims struct {
	Tenant  string // as the configured claim has it; an array arrives as "[a b]"
	Subject string // sub, or client_id where there is no sub
	Scopes  []string
	// Connections are what the token is restricted to, where Restricted: the claim may be there and name none.
	Connections []string
	Restricted  bool
}

// A Function is a Lambda function behind an HTTP API.
type Function struct {
	// Handler answers the requests.
	Handler http.Handler
	// TenantClaim names the claim that has the tenant.
	TenantClaim string
	// ConnectionsClaim names the claim that restricts a token to connections, text with spaces or an array; "" for none.
	ConnectionsClaim string
	// Identify tells the handler, by the request's context, who calls. It is not called for a request that no JWT
	// authorizer has let through.
	Identify func(ctx context.Context, c Claims) context.Context
}

// Handle is the function to start. An error is one that the caller of the API sees as a 500 of API Gateway's.
func (f Function) Handle(ctx context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	if c, ok := f.claims(e); ok {
		ctx = f.Identify(ctx, c)
	}
	r, err := request(ctx, e)
	if err != nil {
		return events.APIGatewayV2HTTPResponse{}, err
	}
	w := &writer{header: http.Header{}}
	f.Handler.ServeHTTP(w, r)
	return w.response(), nil
}

// claims are those of a JWT authorizer. IAM and Lambda authorizers, and none at all, give none: then nobody calls.
func (f Function) claims(e events.APIGatewayV2HTTPRequest) (Claims, bool) {
	a := e.RequestContext.Authorizer
	if a == nil || a.JWT == nil || len(a.JWT.Claims) == 0 {
		return Claims{}, false
	}
	claims := a.JWT.Claims
	subject := claims["sub"]
	if subject == "" {
		subject = claims["client_id"]
	}
	out := Claims{Tenant: claims[f.TenantClaim], Subject: subject, Scopes: scopes(claims)}
	if f.ConnectionsClaim != "" {
		if claim, restricted := claims[f.ConnectionsClaim]; restricted {
			out.Connections, out.Restricted = fields(claim), true
		}
	}
	return out, true
}

// scopes are those of the claim "scope", or of "scp" as some providers call it, which may be an array.
func scopes(claims map[string]string) []string {
	if s, ok := claims["scope"]; ok {
		return strings.Fields(s)
	}
	return fields(claims["scp"])
}

// fields reads a claim of several words: text with spaces, or an array, which arrives as "[a b]".
func fields(s string) []string {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		s = strings.TrimSuffix(inner, "]")
	}
	return strings.Fields(s)
}

// request builds the request without parsing its target anew, so that no character in the path can become a query.
func request(ctx context.Context, e events.APIGatewayV2HTTPRequest) (*http.Request, error) {
	body := []byte(e.Body)
	if e.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return nil, fmt.Errorf("body is not base64: %w", err)
		}
	}
	method := e.RequestContext.HTTP.Method
	r, err := http.NewRequestWithContext(ctx, method, "/", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("method %q: %w", method, err)
	}
	r.URL = target(e)
	r.RequestURI = r.URL.RequestURI()
	r.Host = e.RequestContext.DomainName
	r.RemoteAddr = e.RequestContext.HTTP.SourceIP
	for name, value := range e.Headers {
		r.Header.Set(name, value)
	}
	if len(e.Cookies) > 0 {
		r.Header.Set("Cookie", strings.Join(e.Cookies, "; "))
	}
	r.Header.Del(requestIDHeader)
	if id := e.RequestContext.RequestID; id != "" {
		r.Header.Set(requestIDHeader, id)
	}
	return r, nil
}

func target(e events.APIGatewayV2HTTPRequest) *url.URL {
	u := &url.URL{Path: e.RawPath, RawQuery: e.RawQueryString}
	// A path that does not decode is taken as it stands.
	if decoded, err := url.PathUnescape(e.RawPath); err == nil {
		u.Path, u.RawPath = decoded, e.RawPath
	}
	if !strings.HasPrefix(u.Path, "/") {
		u.Path, u.RawPath = "/"+u.Path, ""
	}
	return u
}

// writer keeps an answer until it is whole.
type writer struct {
	header http.Header
	sent   http.Header // as it was when the status was written
	status int
	body   bytes.Buffer
}

func (w *writer) Header() http.Header { return w.header }

func (w *writer) WriteHeader(status int) {
	if w.status != 0 || status < 200 { // informational answers do not fit through
		return
	}
	w.status, w.sent = status, w.header.Clone()
}

func (w *writer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

func (w *writer) response() events.APIGatewayV2HTTPResponse {
	w.WriteHeader(http.StatusOK)
	out := events.APIGatewayV2HTTPResponse{
		StatusCode: w.status, Headers: map[string]string{}, Cookies: slices.Clone(w.sent.Values("Set-Cookie")),
	}
	for name, values := range w.sent {
		if name != "Set-Cookie" && len(values) > 0 {
			out.Headers[name] = strings.Join(values, ", ")
		}
	}
	out.Body, out.IsBase64Encoded = encode(w.body.Bytes(), w.sent)
	return out
}

// encode sends text as it is and everything else, compressed text too, as base64.
func encode(body []byte, header http.Header) (text string, isBase64 bool) {
	if header.Get("Content-Encoding") == "" && utf8.Valid(body) {
		return string(body), false
	}
	return base64.StdEncoding.EncodeToString(body), true
}
