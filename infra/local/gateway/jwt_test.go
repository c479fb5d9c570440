package gateway

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
)

// A signer is an issuer with keys of its own making.
type signer struct {
	*httptest.Server
	fetches atomic.Int32
	down    atomic.Bool
	claims  atomic.Pointer[string] // the issuer that the discovery document names
	set     atomic.Pointer[jwk.Set]
}

func newSigner(t *testing.T, keys ...jwk.Key) *signer {
	t.Helper()
	s := &signer{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		s.fetches.Add(1)
		if s.down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": *s.claims.Load(), "jwks_uri": s.URL + "/keys"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(*s.set.Load())
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	s.claims.Store(&s.URL)
	s.publish(t, keys...)
	return s
}

func (s *signer) publish(t *testing.T, keys ...jwk.Key) {
	t.Helper()
	set := jwk.NewSet()
	for _, k := range keys {
		public, err := k.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		if err := set.AddKey(public); err != nil {
			t.Fatal(err)
		}
	}
	s.set.Store(&set)
}

func newKey(t *testing.T, kid string) jwk.Key {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwk.Import(private)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Set(jwk.KeyIDKey, kid); err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, key jwk.Key, algorithm jwa.SignatureAlgorithm, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.Sign(payload, jws.WithKey(algorithm, key))
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

func segmentOf(v any) string {
	b, _ := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(b)
}

// guarded is an API with one route that wants a scope, and one that wants a token only.
func guarded(t *testing.T, s *signer, now func() time.Time) *API {
	t.Helper()
	client := s.Client()
	a := New(Config{ID: "api1", Account: "111111111111", Clock: now, Invoke: echo, Client: client})
	t.Cleanup(client.CloseIdleConnections)
	a.PutIntegration("i", Integration{FunctionARN: functionARN})
	if err := a.PutAuthorizer("jwt", JWT{Issuer: s.URL, Audience: []string{"rolecall", "other"}}); err != nil {
		t.Fatal(err)
	}
	for key, scopes := range map[string][]string{"GET /read": {"connections:read", "admin"}, "GET /any": nil} {
		if err := a.PutRoute(key, Route{Key: key, Integration: "i", Authorizer: "jwt", Scopes: scopes}); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func TestAuthorizer(t *testing.T) {
	key, stranger := newKey(t, "k1"), newKey(t, "k1")
	s := newSigner(t, key)
	a := guarded(t, s, clock)
	good := map[string]any{
		"iss": s.URL, "aud": "rolecall", "sub": "acme", "client_id": "acme", "scope": "connections:write connections:read",
		"tenant": "acme", "iat": noon.Unix(), "exp": noon.Add(time.Hour).Unix(),
	}
	with := func(changes ...any) map[string]any {
		c := maps.Clone(good)
		for i := 0; i+1 < len(changes); i += 2 {
			name, _ := changes[i].(string)
			delete(c, name)
			if changes[i+1] != nil {
				c[name] = changes[i+1]
			}
		}
		return c
	}
	rs256 := func(changes ...any) string { return "Bearer " + sign(t, key, jwa.RS256(), with(changes...)) }
	plain := rs256()
	parts := strings.Split(strings.TrimPrefix(plain, "Bearer "), ".")
	unsigned := "Bearer " + segmentOf(map[string]string{"alg": "none", "kid": "k1"}) + "." + parts[1] + "."
	// The old trick: the public key taken for a shared secret.
	public, err := json.Marshal(*s.set.Load())
	if err != nil {
		t.Fatal(err)
	}
	symmetric := segmentOf(map[string]string{"alg": "HS256", "kid": "k1"}) + "." + parts[1]
	mac := hmac.New(sha256.New, public)
	mac.Write([]byte(symmetric))
	symmetric += "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	nameless := newKey(t, "k1")
	if err := nameless.Remove(jwk.KeyIDKey); err != nil {
		t.Fatal(err)
	}

	tests := map[string]struct {
		token  string
		path   string // "" is /read, which wants a scope
		status int
		says   string // part of www-authenticate
	}{
		"good":                     {token: plain, status: 200},
		"without Bearer":           {token: strings.TrimPrefix(plain, "Bearer "), status: 200},
		"bearer in lower case":     {token: "b" + strings.TrimPrefix(plain, "B"), status: 200},
		"one of several audiences": {token: rs256("aud", []string{"x", "other"}), status: 200},
		"client_id for audience":   {token: rs256("aud", nil, "client_id", "rolecall"), status: 200},
		"scp for scope":            {token: rs256("scope", nil, "scp", []string{"connections:read"}), status: 200},
		"other scope of the route": {token: rs256("scope", "admin"), status: 200},
		"no scope asked":           {token: rs256("scope", nil), path: "/any", status: 200},
		"ends in a second":         {token: rs256("exp", noon.Unix()+1), status: 200},

		"none at all":             {status: 401, says: "Bearer"},
		"only Bearer":             {token: "Bearer ", status: 401, says: "Bearer"},
		"nonsense":                {token: "Bearer x.y.z", status: 401, says: "malformed"},
		"two parts":               {token: "Bearer " + parts[0] + "." + parts[1], status: 401, says: "malformed"},
		"alg none":                {token: unsigned, status: 401, says: "unsupported algorithm"},
		"HS256 with public key":   {token: "Bearer " + symmetric, status: 401, says: "unsupported algorithm"},
		"RS512":                   {token: "Bearer " + sign(t, key, jwa.RS512(), good), status: 401, says: "unsupported algorithm"},
		"PS256":                   {token: "Bearer " + sign(t, key, jwa.PS256(), good), status: 401, says: "unsupported algorithm"},
		"a stranger's key":        {token: "Bearer " + sign(t, stranger, jwa.RS256(), good), status: 401, says: "invalid signature"},
		"signature of another":    {token: "Bearer " + parts[0] + "." + segmentOf(with("tenant", "x")) + "." + parts[2], status: 401, says: "invalid signature"},
		"no key id":               {token: "Bearer " + sign(t, nameless, jwa.RS256(), good), status: 401, says: "no key id"},
		"wrong issuer":            {token: rs256("iss", "http://elsewhere"), status: 401, says: "invalid issuer"},
		"issuer with slash":       {token: rs256("iss", s.URL+"/"), status: 401, says: "invalid issuer"},
		"no issuer":               {token: rs256("iss", nil), status: 401, says: "invalid issuer"},
		"wrong audience":          {token: rs256("aud", "x"), status: 401, says: "invalid audience"},
		"audience over client_id": {token: rs256("aud", "x", "client_id", "rolecall"), status: 401, says: "invalid audience"},
		"no audience":             {token: rs256("aud", nil, "client_id", nil), status: 401, says: "invalid audience"},
		"expired":                 {token: rs256("exp", noon.Unix()), status: 401, says: "expired"},
		"never expires":           {token: rs256("exp", nil), status: 401, says: "expired"},
		"end is text":             {token: rs256("exp", "2099"), status: 401, says: "expired"},
		"not yet":                 {token: rs256("nbf", noon.Unix()+1), status: 401, says: "not valid yet"},
		"issued tomorrow":         {token: rs256("iat", noon.Add(24*time.Hour).Unix()), status: 401, says: "not valid yet"},

		"missing scope":     {token: rs256("scope", "connections:write"), status: 403, says: "insufficient_scope"},
		"part of a scope":   {token: rs256("scope", "connections:reader"), status: 403, says: "insufficient_scope"},
		"like an ID token":  {token: rs256("scope", nil, "nonce", "n", "email", "a@b.c"), status: 403, says: "insufficient_scope"},
		"scope is a number": {token: rs256("scope", 1), status: 403, says: "insufficient_scope"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := tt.path
			if path == "" {
				path = "/read"
			}
			r := serve(t, a, "GET", path, "", "Authorization", tt.token)
			if r.Code != tt.status {
				t.Fatalf("status %d, want %d; %s", r.Code, tt.status, r.Header().Get("Www-Authenticate"))
			}
			if !strings.Contains(r.Header().Get("Www-Authenticate"), tt.says) {
				t.Errorf("www-authenticate: %q, want …%s…", r.Header().Get("Www-Authenticate"), tt.says)
			}
			want := map[int]string{401: `{"message":"Unauthorized"}`, 403: `{"message":"Forbidden"}`}[tt.status]
			if body := r.Body.String(); want != "" && body != want {
				t.Errorf("body %s", body)
			}
		})
	}
}

func TestClaimsReachTheFunctionAsStrings(t *testing.T) {
	key := newKey(t, "k1")
	s := newSigner(t, key)
	a := guarded(t, s, clock)
	token := sign(t, key, jwa.RS256(), map[string]any{
		"iss": s.URL, "aud": []string{"rolecall", "x"}, "exp": noon.Unix() + 60, "scope": "connections:read b",
		"tenant": []string{"a", "b"}, "admin": true, "nothing": nil, "big": 12345678901234567, "deep": map[string]any{"b": 1, "a": []int{1, 2}},
	})
	tests := map[string]struct {
		path   string
		scopes []string
	}{
		"with scopes":    {"/read", []string{"connections:read", "b"}},
		"without scopes": {"/any", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var e request
			if err := json.Unmarshal(serve(t, a, "GET", tt.path, "", "Authorization", token).Body.Bytes(), &e); err != nil {
				t.Fatal(err)
			}
			want := jwtInfo{Scopes: tt.scopes, Claims: map[string]string{
				"iss": s.URL, "aud": "[rolecall x]", "exp": "1773316860", "scope": "connections:read b", "tenant": "[a b]",
				"admin": "true", "nothing": "<nil>", "big": "12345678901234567", "deep": "map[a:[1 2] b:1]",
			}}
			if diff := cmp.Diff(want, e.Context.Authorizer.JWT); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestKeysAreKeptAndFetchedAgain(t *testing.T) {
	var shift atomic.Int64
	now := func() time.Time { return noon.Add(time.Duration(shift.Load())) }
	first, second := newKey(t, "k1"), newKey(t, "k2")
	s := newSigner(t, first)
	a := guarded(t, s, now)
	ask := func(key jwk.Key) int {
		return serve(t, a, "GET", "/any", "", "Authorization", sign(t, key, jwa.RS256(), map[string]any{
			"iss": s.URL, "aud": "rolecall", "exp": noon.Add(24 * time.Hour).Unix(),
		})).Code
	}
	steps := []struct {
		name    string
		do      func()
		key     jwk.Key
		status  int
		fetches int32
	}{
		{"first use fetches", func() {}, first, 200, 1},
		{"then they are kept", func() {}, first, 200, 1},
		{"an unknown key at once", func() {}, second, 401, 1},
		{"an unknown key later fetches once", func() { shift.Store(int64(keysRest)) }, second, 401, 2},
		{"a new key is found", func() { shift.Add(int64(keysRest)); s.publish(t, first, second) }, second, 200, 3},
		{"the issuer is down, keys kept", func() { shift.Add(int64(time.Hour)); s.down.Store(true) }, first, 200, 3},
		{"the issuer is down, keys old", func() { shift.Add(int64(keysKept)) }, first, 401, 4},
		{"the issuer is back", func() { s.down.Store(false) }, first, 200, 5},
		{"the document is another's", func() {
			shift.Add(int64(keysKept))
			other := "http://other"
			s.claims.Store(&other)
		}, first, 401, 6},
	}
	for _, step := range steps {
		step.do()
		if got := ask(step.key); got != step.status || s.fetches.Load() != step.fetches {
			t.Errorf("%s: %d after %d fetches, want %d after %d", step.name, got, s.fetches.Load(), step.status, step.fetches)
		}
	}
}

func TestPutAuthorizerRefuses(t *testing.T) {
	a := api(t, echo)
	for name, j := range map[string]JWT{
		"no issuer":       {Audience: []string{"a"}},
		"no audience":     {Issuer: "http://i"},
		"identity source": {Issuer: "http://i", Audience: []string{"a"}, IdentitySource: "$context.x"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := a.PutAuthorizer("x", j); err == nil {
				t.Error("the authorizer was taken")
			}
		})
	}
}

func FuzzKeyID(f *testing.F) {
	f.Add("e30.e30.e30")
	f.Add("eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.x")
	f.Fuzz(func(t *testing.T, token string) {
		kid, err := keyID(token)
		if (err == nil) != (kid != "") {
			t.Errorf("key id %q with error %v", kid, err)
		}
	})
}
