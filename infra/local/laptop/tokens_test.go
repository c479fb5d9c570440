package laptop_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"rolecall/infra/local/laptop"
	"rolecall/infra/local/oidc"
)

// Tokens decide, at the real gateway: every one that is not a valid access token of the issuer for this API is refused
// there, on routes of both functions, before a function hears of it; one without the route's scope is, too.
func TestTokens(t *testing.T) {
	const tenantName, scopes = "acme-tokens", "connections:read connections:write credentials:issue"
	id := as(t, tenantName).create("Tokens").ID
	routes := []struct {
		method, path string
		good         int // a good token's answer: the connection is pending
	}{
		{"GET", "/v1/connections/" + id, http.StatusOK},
		{"PATCH", "/v1/connections/" + id, http.StatusBadRequest},
		{"GET", "/v1/connections/" + id + "/credentials", http.StatusConflict},
	}
	f := newForger(t, tenantName, scopes)
	with := func(extra map[string]any) string { return f.issued(extra) }
	soon, ago := now.Now().Add(time.Hour).Unix(), now.Now().Add(-time.Second).Unix()
	person := signedIn(t)
	good := map[string]string{
		"as the issuer makes it":        with(nil),
		"without aud, for our client":   with(map[string]any{"aud": nil, "client_id": laptop.Audience}),
		"for several, this API as well": with(map[string]any{"aud": []string{"another-api", laptop.Audience}}),
	}
	bad := map[string]string{
		"none":                                 "",
		"rubbish":                              "x.y.z",
		"expired":                              with(map[string]any{"exp": ago}),
		"without an end":                       with(map[string]any{"exp": nil}),
		"with an end that is none":             with(map[string]any{"exp": "never"}),
		"not valid yet":                        with(map[string]any{"nbf": soon}),
		"issued in the future":                 with(map[string]any{"iat": soon}),
		"of another issuer, signed by ours":    with(map[string]any{"iss": "https://evil.example/oidc"}),
		"of no issuer":                         with(map[string]any{"iss": nil}),
		"of another issuer":                    f.foreign(f.foreignURL),
		"of another issuer that names ours":    f.foreign(pocket.APIURL + "/oidc"),
		"signed by a key of its own":           f.signed(f.header(nil)),
		"with its key in the header":           f.signed(f.header(map[string]any{"jwk": f.publicKey()})),
		"with its keys' address in the header": f.signed(f.header(map[string]any{"jku": f.foreignURL + "/jwks"})),
		"for another API":                      with(map[string]any{"aud": "another-api"}),
		"for nobody":                           with(map[string]any{"aud": nil, "client_id": nil}),
		"without aud, for another client":      with(map[string]any{"aud": nil, "client_id": "another-client"}),
		"for another API, by our client":       with(map[string]any{"aud": "another-api", "client_id": laptop.Audience}),
		"ID token":                             person["id_token"],
		"refresh token":                        person["refresh_token"],
		"alg none":                             f.unsigned("none", ""),
		"alg None, with the old signature":     f.unsigned("None", f.signature),
		"no alg":                               f.unsigned("", f.signature),
		"changed, with the old signature":      f.changed(map[string]any{"exp": soon + 1}),
		"HS256 with the public key (PEM)":      f.hmac(f.public.pem),
		"HS256 with the public key (DER)":      f.hmac(f.public.der),
		"HS256 with the public key (modulus)":  f.hmac(f.public.modulus),
		"HS256 with the public key (JWK)":      f.hmac(f.public.jwk),
		"HS256 with nothing":                   f.hmac([]byte{}),
	}
	tooLittle := map[string]string{
		"without scopes":            with(map[string]any{"scope": nil}),
		"ID token for this API":     with(map[string]any{"scope": nil, "client_id": nil, "nonce": "n"}),
		"with other scopes":         with(map[string]any{"scope": "connections:read:x openid CONNECTIONS:READ *"}),
		"with scopes as permission": with(map[string]any{"scope": nil, "permissions": strings.Fields(scopes)}),
	}
	for _, r := range routes {
		body := ""
		if r.method == "PATCH" {
			body = `{}`
		}
		for name, token := range good {
			if a := (tenant{t, token}).call(r.method, r.path, body); a.status != r.good {
				t.Errorf("%s %s with a good token %s: %d %s", r.method, r.path, name, a.status, a.body)
			}
		}
		if token := person["access_token"]; r.method == "GET" {
			if a := (tenant{t, token}).call(r.method, r.path, ""); a.status != http.StatusNotFound { // ada's tenant is another one
				t.Errorf("%s %s with a person's access token: %d %s", r.method, r.path, a.status, a.body)
			}
		}
		for name, token := range bad {
			f.refused(r.method, r.path, body, name, token, http.StatusUnauthorized, `{"message":"Unauthorized"}`)
		}
		for name, token := range tooLittle {
			f.refused(r.method, r.path, body, name, token, http.StatusForbidden, `{"message":"Forbidden"}`)
		}
	}
	reader := as(t, tenantName, "connections:read")
	f.refused("POST", "/v1/connections", `{"name":"x"}`, "a reader's, to write", reader.token, http.StatusForbidden, `{"message":"Forbidden"}`)
	if got := as(t, tenantName).get(id); got.Version != 1 {
		t.Errorf("changed by a token that is none: version %d", got.Version)
	}
	if a := (tenant{t, ""}).call("GET", "/openapi.json", ""); a.status != http.StatusOK || !strings.Contains(string(a.body), `"openapi"`) {
		t.Errorf("the public document: %d", a.status)
	}
}

// A forger has a good token, all that is public, and an issuer of its own.
type forger struct {
	t                       *testing.T
	tenant, scopes          string
	payload, signature, kid string // of a good token
	foreignURL              string
	issuer                  *oidc.Issuer // the foreign one
	key                     *rsa.PrivateKey
	public                  struct{ pem, der, modulus, jwk []byte } // the true issuer's key, in all its shapes
}

func newForger(t *testing.T, tenantName, scopes string) *forger {
	t.Helper()
	f := &forger{t: t, tenant: tenantName, scopes: scopes}
	parts := strings.Split(f.issued(nil), ".")
	f.payload, f.signature = parts[1], parts[2]
	var header struct{ Kid string }
	decode(t, parts[0], &header)
	f.kid = header.Kid
	var err error
	if f.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.issuer.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	f.foreignURL = server.URL + "/oidc"
	f.readPublicKey()
	return f
}

// readPublicKey fetches what the true issuer publishes.
func (f *forger) readPublicKey() {
	f.t.Helper()
	resp, err := http.Get(pocket.APIURL + "/oidc/jwks") //nolint:noctx // of the laptop itself
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(text, &set); err != nil || len(set.Keys) != 1 {
		f.t.Fatal(err, string(text))
	}
	var key rsa.PublicKey
	parsed, err := jwk.ParseKey(set.Keys[0])
	if err != nil {
		f.t.Fatal(err)
	}
	if err := jwk.Export(parsed, &key); err != nil {
		f.t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key)
	if err != nil {
		f.t.Fatal(err)
	}
	f.public.der, f.public.jwk, f.public.modulus = der, set.Keys[0], key.N.Bytes()
	f.public.pem = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// issued is a token of the true issuer; extra claims replace the usual ones, and nil takes one away.
func (f *forger) issued(extra map[string]any) string {
	f.t.Helper()
	token, err := pocket.Issuer.Token(f.tenant, strings.Fields(f.scopes), extra)
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

// foreign is a token of another issuer, as it is made there, that names itself so.
func (f *forger) foreign(name string) string {
	f.t.Helper()
	var err error
	f.issuer, err = oidc.New(oidc.Config{
		Issuer: f.foreignURL, Audience: laptop.Audience, TenantClaim: laptop.TenantClaim, Scopes: strings.Fields(f.scopes), Clock: now.Now,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	token, err := f.issuer.Token(f.tenant, strings.Fields(f.scopes), map[string]any{"iss": name})
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

// header names the true issuer's key, and what else is given.
func (f *forger) header(extra map[string]any) jws.Headers {
	f.t.Helper()
	h := jws.NewHeaders()
	fields := map[string]any{"typ": "JWT", "kid": f.kid}
	maps.Copy(fields, extra)
	for name, value := range fields {
		if err := h.Set(name, value); err != nil {
			f.t.Fatal(err)
		}
	}
	return h
}

func (f *forger) publicKey() jwk.Key {
	f.t.Helper()
	key, err := jwk.Import(f.key.Public())
	if err != nil {
		f.t.Fatal(err)
	}
	return key
}

// signed is the good token's payload, signed by the forger's own key.
func (f *forger) signed(h jws.Headers) string {
	f.t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(f.payload)
	if err != nil {
		f.t.Fatal(err)
	}
	token, err := jws.Sign(payload, jws.WithKey(jwa.RS256(), f.key, jws.WithProtectedHeaders(h)))
	if err != nil {
		f.t.Fatal(err)
	}
	return string(token)
}

// unsigned is the good token's payload under another algorithm.
func (f *forger) unsigned(alg, signature string) string {
	return encode(map[string]string{"alg": alg, "typ": "JWT", "kid": f.kid}) + "." + f.payload + "." + signature
}

// changed is the good token with other claims.
func (f *forger) changed(extra map[string]any) string {
	claims := map[string]any{}
	decode(f.t, f.payload, &claims)
	maps.Copy(claims, extra)
	return encode(map[string]string{"alg": "RS256", "typ": "JWT", "kid": f.kid}) + "." + encode(claims) + "." + f.signature
}

// hmac takes a public key for a secret.
func (f *forger) hmac(secret []byte) string {
	text := encode(map[string]string{"alg": "HS256", "typ": "JWT", "kid": f.kid}) + "." + f.payload
	mac := hmac.New(sha256.New, secret)
	_, _ = mac.Write([]byte(text)) // a hash never fails
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// refused holds that the gateway itself refuses a token.
func (f *forger) refused(method, path, body, name, token string, status int, says string) {
	f.t.Helper()
	if a := (tenant{f.t, token}).call(method, path, body); a.status != status || string(a.body) != says {
		f.t.Errorf("%s %s with a token %s: %d %.200s, want %d %s", method, path, name, a.status, a.body, status, says)
	}
}

func encode(v any) string {
	text, _ := json.Marshal(v) // maps of text and numbers
	return base64.RawURLEncoding.EncodeToString(text)
}

func decode(t *testing.T, segment string, into any) {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// signedIn are the tokens of a person who has signed in to the console.
func signedIn(t *testing.T) map[string]string {
	t.Helper()
	const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge := sha256.Sum256([]byte(verifier))
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	post := func(path string, form url.Values) *http.Response {
		resp, err := client.PostForm(pocket.APIURL+path, form) //nolint:noctx // of the laptop itself
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	click := post("/oidc/authorize", url.Values{
		"response_type": {"code"}, "client_id": {laptop.ConsoleClient}, "redirect_uri": {pocket.APIURL + "/callback"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
		"scope": {"openid offline_access connections:read connections:write credentials:issue"}, "person": {"ada@acme.example"},
	})
	_ = click.Body.Close()
	back, err := click.Location()
	if err != nil {
		t.Fatal(click.StatusCode, err)
	}
	resp := post("/oidc/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {laptop.ConsoleClient}, "redirect_uri": {pocket.APIURL + "/callback"},
		"code": {back.Query().Get("code")}, "code_verifier": {verifier},
	})
	defer func() { _ = resp.Body.Close() }()
	var all map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, name := range []string{"access_token", "id_token", "refresh_token"} {
		token, _ := all[name].(string)
		if token == "" {
			t.Fatalf("no %s in %v", name, all)
		}
		out[name] = token
	}
	return out
}
