package oidc

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func issuer(t *testing.T) *Issuer {
	t.Helper()
	i, err := New(Config{
		Issuer: "http://localhost:8080/oidc", Audience: "rolecall", TenantClaim: "tenant",
		Scopes: []string{"connections:read", "connections:write"}, Clock: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func ask(t *testing.T, i *Issuer, method, path string, form url.Values, basic []string) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if basic != nil {
		r.SetBasicAuth(basic[0], basic[1])
	}
	w := httptest.NewRecorder()
	i.ServeHTTP(w, r)
	var body map[string]any
	if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
	}
	return w, body
}

func grant(change ...string) url.Values {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"acme"}, "client_secret": {Secret}}
	for i := 0; i+1 < len(change); i += 2 {
		form.Del(change[i])
		if change[i+1] != "" {
			form.Set(change[i], change[i+1])
		}
	}
	return form
}

func TestTokens(t *testing.T) {
	i := issuer(t)
	tests := map[string]struct {
		form          url.Values
		basic         []string
		tenant, scope string
	}{
		"form":               {form: grant(), tenant: "acme", scope: "connections:read connections:write"},
		"one scope":          {form: grant("scope", "connections:read"), tenant: "acme", scope: "connections:read"},
		"basic":              {form: grant("client_id", "", "client_secret", ""), basic: []string{"acme", Secret}, tenant: "acme", scope: "connections:read connections:write"},
		"basic, escaped":     {form: grant("client_id", "", "client_secret", ""), basic: []string{"a%3Ab", Secret}, tenant: "a:b", scope: "connections:read connections:write"},
		"id in both":         {form: grant("client_secret", ""), basic: []string{"acme", Secret}, tenant: "acme", scope: "connections:read connections:write"},
		"longest tenant":     {form: grant("client_id", strings.Repeat("a", 128)), tenant: strings.Repeat("a", 128), scope: "connections:read connections:write"},
		"all of its letters": {form: grant("client_id", "aZ09_.:-"), tenant: "aZ09_.:-", scope: "connections:read connections:write"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, body := ask(t, i, "POST", "/oidc/token", tt.form, tt.basic)
			if r.Code != http.StatusOK || r.Header().Get("Cache-Control") != "no-store" {
				t.Fatalf("%d %v %v", r.Code, r.Header(), body)
			}
			token, _ := body["access_token"].(string)
			claims := verified(t, i, token)
			if claims["jti"] == "" {
				t.Error("no jti")
			}
			delete(claims, "jti")
			want := map[string]any{
				"iss": "http://localhost:8080/oidc", "aud": "rolecall", "sub": tt.tenant, "client_id": tt.tenant,
				"tenant": tt.tenant, "scope": tt.scope,
				"iat": float64(now.Unix()), "exp": float64(now.Add(time.Hour).Unix()),
			}
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
			delete(body, "access_token")
			wantBody := map[string]any{"token_type": "Bearer", "expires_in": float64(3600), "scope": tt.scope}
			if diff := cmp.Diff(wantBody, body); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

// verified checks a token with nothing but what the issuer publishes.
func verified(t *testing.T, i *Issuer, token string) map[string]any {
	t.Helper()
	w := httptest.NewRecorder()
	i.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/oidc/jwks", nil))
	if strings.Contains(w.Body.String(), `"d"`) {
		t.Fatal("the private key is published")
	}
	set, err := jwk.Parse(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	payload, err := jws.Verify([]byte(token), jws.WithKeySet(set))
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestTokensRefused(t *testing.T) {
	i := issuer(t)
	twice := grant()
	twice.Add("client_id", "other")
	tests := map[string]struct {
		form   url.Values
		basic  []string
		status int
		code   string
	}{
		"no grant type":    {grant("grant_type", ""), nil, 400, "invalid_request"},
		"other grant type": {grant("grant_type", "password"), nil, 400, "unsupported_grant_type"},
		"no secret":        {grant("client_secret", ""), nil, 401, "invalid_client"},
		"wrong secret":     {grant("client_secret", "guess"), nil, 401, "invalid_client"},
		"no client":        {grant("client_id", ""), nil, 401, "invalid_client"},
		"bad tenant":       {grant("client_id", "a b"), nil, 401, "invalid_client"},
		"newline":          {grant("client_id", "acme\n"), nil, 401, "invalid_client"},
		"long tenant":      {grant("client_id", strings.Repeat("a", 129)), nil, 401, "invalid_client"},
		"unknown scope":    {grant("scope", "connections:read admin"), nil, 400, "invalid_scope"},
		"twice":            {twice, nil, 400, "invalid_request"},
		"two ways":         {grant(), []string{"acme", Secret}, 400, "invalid_request"},
		"two clients":      {grant("client_secret", ""), []string{"other", Secret}, 400, "invalid_request"},
		"too large":        {grant("x", strings.Repeat("x", maxForm)), nil, 400, "invalid_request"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, body := ask(t, i, "POST", "/oidc/token", tt.form, tt.basic)
			if r.Code != tt.status || body["error"] != tt.code || r.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("got %d %v, want %d %s", r.Code, body, tt.status, tt.code)
			}
			if (r.Code == 401) != (r.Header().Get("Www-Authenticate") != "") {
				t.Error("WWW-Authenticate belongs to 401 and to nothing else")
			}
		})
	}
}

func TestDiscovery(t *testing.T) {
	i := issuer(t)
	r, body := ask(t, i, "GET", "/oidc/.well-known/openid-configuration", nil, nil)
	if r.Code != http.StatusOK || body["issuer"] != "http://localhost:8080/oidc" ||
		body["jwks_uri"] != "http://localhost:8080/oidc/jwks" || body["token_endpoint"] != "http://localhost:8080/oidc/token" ||
		body["authorization_endpoint"] != "http://localhost:8080/oidc/authorize" || body["end_session_endpoint"] != "http://localhost:8080/oidc/end-session" ||
		body["revocation_endpoint"] != "http://localhost:8080/oidc/revoke" {
		t.Errorf("%d %v", r.Code, body)
	}
	if r, _ := ask(t, i, "GET", "/oidc/token", nil, nil); r.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET of the token endpoint: %d", r.Code)
	}
}

func TestNewRefuses(t *testing.T) {
	good := Config{Issuer: "http://h/oidc", Audience: "a", TenantClaim: "t", Scopes: []string{"s"}, Clock: time.Now}
	tests := map[string]func(c *Config){
		"no URL":         func(c *Config) { c.Issuer = "oidc" },
		"slash at end":   func(c *Config) { c.Issuer += "/" },
		"standard claim": func(c *Config) { c.TenantClaim = "aud" },
		"no audience":    func(c *Config) { c.Audience = "" },
		"no scopes":      func(c *Config) { c.Scopes = nil },
		"no clock":       func(c *Config) { c.Clock = nil },
		"no name":        func(c *Config) { c.People = []Person{{Subject: "a", Tenant: "a", TenantName: "A"}} },
		"bad tenant":     func(c *Config) { c.People = []Person{{Subject: "a", Name: "A", Tenant: "a b", TenantName: "A"}} },
		"no redirect":    func(c *Config) { c.Clients = []Client{{ID: "a", Redirects: []string{"/callback"}}} },
		"a script":       func(c *Config) { c.Clients = []Client{{ID: "a", Redirects: []string{"javascript://a/"}}} },
		"loopback port": func(c *Config) {
			c.Clients = []Client{{ID: "a", Redirects: []string{"http://127.0.0.1:1/"}, Loopback: true}}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			c := good
			change(&c)
			if _, err := New(c); err == nil {
				t.Error("the configuration was taken")
			}
		})
	}
}
