package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
)

// sample is an event as API Gateway sends it for a route with a JWT authorizer.
const sample = `{
 "version": "2.0", "routeKey": "PUT /v1/connections/{id}/role", "rawPath": "/v1/connections/conn_1/role",
 "rawQueryString": "a=1&a=2&b=%26", "cookies": ["s=1", "t=2"],
 "headers": {"content-type": "application/json", "x-forwarded-for": "192.0.2.1, 192.0.2.2", "x-request-id": "forged", "if-match": "\"3\""},
 "requestContext": {
  "accountId": "111111111111", "apiId": "api", "domainName": "api.example", "requestId": "gw-1", "routeKey": "$default", "stage": "$default",
  "authorizer": {"jwt": {"claims": {"sub": "anna", "client_id": "c1", "tenant": "acme", "scope": "connections:read connections:write"}, "scopes": ["connections:write"]}},
  "http": {"method": "PUT", "path": "/v1/connections/conn_1/role", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "curl"}
 },
 "body": "eyJhIjoxfQ==", "isBase64Encoded": true
}`

func sampleEvent(t *testing.T, change func(*events.APIGatewayV2HTTPRequest)) events.APIGatewayV2HTTPRequest {
	t.Helper()
	var e events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal([]byte(sample), &e); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&e)
	}
	return e
}

// seen is what a handler was given.
type seen struct {
	Method, Path, EscapedPath, Query, Host, Body string
	Header                                       http.Header
	Claims                                       *Claims
}

type claimsKey struct{}

// deliver handles an event with a handler that notes what it is given.
func deliver(t *testing.T, e events.APIGatewayV2HTTPRequest) seen {
	t.Helper()
	var got seen
	f := Function{
		TenantClaim: "tenant", ConnectionsClaim: "only",
		Identify: func(ctx context.Context, c Claims) context.Context { return context.WithValue(ctx, claimsKey{}, &c) },
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			claims, _ := r.Context().Value(claimsKey{}).(*Claims)
			got = seen{
				Method: r.Method, Path: r.URL.Path, EscapedPath: r.URL.EscapedPath(), Query: r.URL.RawQuery, Host: r.Host,
				Body: string(body), Header: r.Header, Claims: claims,
			}
		}),
	}
	if _, err := f.Handle(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRequestArrivesAsItWasSent(t *testing.T) {
	want := seen{
		Method: "PUT", Path: "/v1/connections/conn_1/role", EscapedPath: "/v1/connections/conn_1/role", Query: "a=1&a=2&b=%26",
		Host: "api.example", Body: `{"a":1}`,
		Header: http.Header{
			"Content-Type": {"application/json"}, "X-Forwarded-For": {"192.0.2.1, 192.0.2.2"}, "X-Request-Id": {"gw-1"},
			"If-Match": {`"3"`}, "Cookie": {"s=1; t=2"},
		},
		Claims: &Claims{Tenant: "acme", Subject: "anna", Scopes: []string{"connections:read", "connections:write"}},
	}
	if diff := cmp.Diff(want, deliver(t, sampleEvent(t, nil))); diff != "" {
		t.Error(diff)
	}
}

func TestPathsStayPaths(t *testing.T) {
	for raw, want := range map[string][2]string{
		"/v1/a%2Fb":  {"/v1/a/b", "/v1/a%2Fb"},
		"/v1/ä":      {"/v1/ä", "/v1/%C3%A4"},
		"/v1/x?y=1":  {"/v1/x?y=1", "/v1/x%3Fy=1"},
		"/v1/x#frag": {"/v1/x#frag", "/v1/x%23frag"},
		"/v1/100%":   {"/v1/100%", "/v1/100%25"},
		"//host/x":   {"//host/x", "//host/x"},
		"":           {"/", "/"},
		"http://x/y": {"/http://x/y", "/http://x/y"},
	} {
		got := deliver(t, sampleEvent(t, func(e *events.APIGatewayV2HTTPRequest) { e.RawPath = raw }))
		if got.Path != want[0] || got.EscapedPath != want[1] || got.Query != "a=1&a=2&b=%26" {
			t.Errorf("%q → %q %q ?%q, want %q", raw, got.Path, got.EscapedPath, got.Query, want)
		}
	}
}

func TestNobodyCallsWithoutAJWTAuthorizer(t *testing.T) {
	type request = events.APIGatewayV2HTTPRequest
	authorizer := func(json string) func(*request) {
		return func(e *request) { e.RequestContext.Authorizer = parse(t, json) }
	}
	for name, change := range map[string]func(*request){
		"none":   func(e *request) { e.RequestContext.Authorizer = nil },
		"empty":  authorizer(`{}`),
		"IAM":    authorizer(`{"iam":{"accessKey":"AKIA","accountId":"1","callerId":"c","userArn":"arn:aws:iam::1:user/a","userId":"u"}}`),
		"lambda": authorizer(`{"lambda":{"tenant":"acme","sub":"anna","scope":"connections:read"}}`),
		"no claims, whatever the headers say": func(e *request) {
			e.RequestContext.Authorizer = parse(t, `{"jwt":{"claims":{},"scopes":["connections:read"]}}`)
			e.Headers["authorization"] = "Bearer e30.eyJ0ZW5hbnQiOiJhY21lIn0.x"
		},
	} {
		if got := deliver(t, sampleEvent(t, change)); got.Claims != nil {
			t.Errorf("%s: %+v calls", name, got.Claims)
		}
	}
}

func parse(t *testing.T, text string) *events.APIGatewayV2HTTPRequestContextAuthorizerDescription {
	t.Helper()
	var a events.APIGatewayV2HTTPRequestContextAuthorizerDescription
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatal(err)
	}
	return &a
}

func TestClaims(t *testing.T) {
	for _, c := range []struct {
		name   string
		claims map[string]string
		want   Claims
	}{
		{"machine", map[string]string{"client_id": "svc", "tenant": "acme", "scope": "a"}, Claims{Tenant: "acme", Subject: "svc", Scopes: []string{"a"}}},
		{"an array of tenants stays one odd string", map[string]string{"sub": "s", "tenant": "[a b]"}, Claims{Tenant: "[a b]", Subject: "s", Scopes: nil}},
		{"no tenant", map[string]string{"sub": "s"}, Claims{Tenant: "", Subject: "s", Scopes: nil}},
		{"scp as text", map[string]string{"sub": "s", "scp": "a b"}, Claims{Tenant: "", Subject: "s", Scopes: []string{"a", "b"}}},
		{"scp as array", map[string]string{"sub": "s", "scp": "[a b]"}, Claims{Tenant: "", Subject: "s", Scopes: []string{"a", "b"}}},
		{"scope goes before scp", map[string]string{"sub": "s", "scope": "", "scp": "[a b]"}, Claims{Tenant: "", Subject: "s", Scopes: nil}},
		{"an array is no scope", map[string]string{"sub": "s", "scope": "[a b]"}, Claims{Tenant: "", Subject: "s", Scopes: []string{"[a", "b]"}}},
		{"restricted by text", map[string]string{"sub": "s", "only": "conn_1 project:web"}, Claims{Subject: "s", Connections: []string{"conn_1", "project:web"}, Restricted: true}},
		{"restricted by an array", map[string]string{"sub": "s", "only": "[conn_1 organization]"}, Claims{Subject: "s", Connections: []string{"conn_1", "organization"}, Restricted: true}},
		{"restricted to nothing", map[string]string{"sub": "s", "only": "[]"}, Claims{Subject: "s", Restricted: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := deliver(t, sampleEvent(t, func(e *events.APIGatewayV2HTTPRequest) { e.RequestContext.Authorizer.JWT.Claims = c.claims }))
			if got.Claims == nil || got.Claims.Tenant != c.want.Tenant || got.Claims.Subject != c.want.Subject || !slices.Equal(got.Claims.Scopes, c.want.Scopes) ||
				got.Claims.Restricted != c.want.Restricted || !slices.Equal(got.Claims.Connections, c.want.Connections) {
				t.Errorf("claims %+v, want %+v", got.Claims, c.want)
			}
		})
	}
}

func TestEventsThatCannotBe(t *testing.T) {
	f := Function{Handler: http.NotFoundHandler(), Identify: func(ctx context.Context, _ Claims) context.Context { return ctx }}
	for name, change := range map[string]func(*events.APIGatewayV2HTTPRequest){
		"body": func(e *events.APIGatewayV2HTTPRequest) { e.Body = "no base64!" },
		"verb": func(e *events.APIGatewayV2HTTPRequest) { e.RequestContext.HTTP.Method = "BAD VERB" },
	} {
		if _, err := f.Handle(t.Context(), sampleEvent(t, change)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func answer(t *testing.T, h http.HandlerFunc) events.APIGatewayV2HTTPResponse {
	t.Helper()
	f := Function{Handler: h, Identify: func(ctx context.Context, _ Claims) context.Context { return ctx }}
	r, err := f.Handle(t.Context(), sampleEvent(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestResponse(t *testing.T) {
	got := answer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Add("Vary", "Origin")
		w.Header().Add("Vary", "Accept")
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
		http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusCreated)
		w.WriteHeader(http.StatusTeapot)
		w.Header().Set("Late", "too late")
		_, _ = io.WriteString(w, `{"grüße":`)
		_, _ = io.WriteString(w, `1}`)
	})
	want := events.APIGatewayV2HTTPResponse{
		StatusCode: 201, Headers: map[string]string{"Content-Type": "application/json", "Vary": "Origin, Accept"},
		Cookies: []string{"a=1", "b=2"}, Body: `{"grüße":1}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSilenceIs200(t *testing.T) {
	if got := answer(t, func(http.ResponseWriter, *http.Request) {}); got.StatusCode != 200 || got.Body != "" || got.IsBase64Encoded {
		t.Errorf("%+v", got)
	}
}

func TestBytesSurvive(t *testing.T) {
	binary := string([]byte{0, 0xff, 0xfe, '\n'})
	for _, c := range []struct{ body, encoding string }{{binary, ""}, {"text", "gzip"}} {
		got := answer(t, func(w http.ResponseWriter, _ *http.Request) {
			if c.encoding != "" {
				w.Header().Set("Content-Encoding", c.encoding)
			}
			_, _ = io.WriteString(w, c.body)
		})
		raw, err := base64.StdEncoding.DecodeString(got.Body)
		if err != nil || !got.IsBase64Encoded || string(raw) != c.body {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func FuzzClaims(f *testing.F) {
	f.Add("acme", "anna", "client", "connections:read", "", "/v1/connections", "a=1", "GET", "body", false)
	f.Add("[a b]", "", "", "[x", "[a b]", "%zz", "%", "", "====", true)
	f.Add("", "", "c", "", "]", "//", ";", "CONNECT", "AAEC", true)
	f.Fuzz(func(t *testing.T, tenant, sub, client, scope, scp, path, query, method, body string, isBase64 bool) {
		e := events.APIGatewayV2HTTPRequest{RawPath: path, RawQueryString: query, Body: body, IsBase64Encoded: isBase64}
		e.RequestContext.HTTP.Method = method
		e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
			JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: map[string]string{
				"tenant": tenant, "sub": sub, "client_id": client, "scope": scope, "scp": scp,
			}},
		}
		identified := 0
		fn := Function{
			TenantClaim: "tenant",
			Identify: func(ctx context.Context, c Claims) context.Context {
				identified++
				if c.Tenant != tenant || (sub != "" && c.Subject != sub) {
					t.Errorf("claims %+v", c)
				}
				for _, s := range c.Scopes {
					if !strings.Contains(scope, s) {
						t.Errorf("scope %q is not in %q", s, scope)
					}
				}
				return ctx
			},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasPrefix(r.URL.Path, "/") || r.URL.RawQuery != query {
					t.Errorf("path %q query %q", r.URL.Path, r.URL.RawQuery)
				}
				w.WriteHeader(http.StatusNoContent)
			}),
		}
		got, err := fn.Handle(t.Context(), e)
		if identified != 1 || (err == nil && got.StatusCode != 204) {
			t.Errorf("identified %d times, %+v, %v", identified, got, err)
		}
	})
}
