package oidc

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636, appendix B
	console  = "http://localhost:8080/callback"
	loopback = "http://127.0.0.1:49152/callback"
	state    = "af0ifjsldkj"
)

// people is an issuer with a clock that can be moved.
func withPeople(t *testing.T) (*Issuer, *time.Time) {
	t.Helper()
	at := now
	i, err := New(Config{
		Issuer: "http://localhost:8080/oidc", Audience: "rolecall", TenantClaim: "tenant",
		Scopes: []string{"connections:read", "connections:write"}, Clock: func() time.Time { return at },
		Clients: []Client{
			{ID: "rolecall-console", Redirects: []string{console}, SignedOut: []string{"http://localhost:8080/"}},
			{ID: "rolecall-cli", Redirects: []string{"http://127.0.0.1/callback", "http://[::1]/callback"}, Loopback: true},
		},
		People: []Person{
			{Subject: "ada@acme.example", Name: "Ada Lovelace", Tenant: "acme", TenantName: "Acme"},
			{Subject: "grace@globex.example", Name: "Grace Hopper", Tenant: "globex", TenantName: "Globex"},
		},
		Origins: []string{"http://localhost:5173"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return i, &at
}

// changed are the values with some of them set or, for "", left out.
func changed(values url.Values, change ...string) url.Values {
	for n := 0; n+1 < len(change); n += 2 {
		values.Del(change[n])
		if change[n+1] != "" {
			values.Set(change[n], change[n+1])
		}
	}
	return values
}

func authorization(change ...string) url.Values {
	return changed(url.Values{
		"response_type": {"code"}, "client_id": {"rolecall-console"}, "redirect_uri": {console}, "state": {state}, "nonce": {"n-0S6_WzA2Mj"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
		"scope": {"openid offline_access connections:read"},
	}, change...)
}

func redemption(code string, change ...string) url.Values {
	return changed(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"rolecall-console"}, "redirect_uri": {console}, "code": {code}, "code_verifier": {verifier},
	}, change...)
}

func renewal(token string, change ...string) url.Values {
	return changed(url.Values{"grant_type": {"refresh_token"}, "client_id": {"rolecall-console"}, "refresh_token": {token}}, change...)
}

var hiddenRE = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// click shows the page and presses the button of a person, as a browser would: with what stands in the page.
func click(t *testing.T, i *Issuer, request url.Values, person string) *url.URL {
	t.Helper()
	shown, _ := ask(t, i, "GET", "/oidc/authorize?"+request.Encode(), nil, nil)
	if shown.Code != http.StatusOK || !strings.Contains(shown.Body.String(), "Ada Lovelace") {
		t.Fatalf("%d %s", shown.Code, shown.Body)
	}
	form := url.Values{"person": {person}}
	for _, m := range hiddenRE.FindAllStringSubmatch(shown.Body.String(), -1) {
		form.Add(m[1], unescape(m[2]))
	}
	w, _ := ask(t, i, "POST", "/oidc/authorize", form, nil)
	if w.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return location(t, w)
}

func unescape(s string) string {
	return strings.NewReplacer("&amp;", "&", "&#43;", "+", "&#34;", `"`, "&#39;", "'", "&lt;", "<", "&gt;", ">").Replace(s)
}

func location(t *testing.T, w *httptest.ResponseRecorder) *url.URL {
	t.Helper()
	u, err := url.Parse(w.Header().Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// code signs Ada in.
func code(t *testing.T, i *Issuer, change ...string) string {
	t.Helper()
	back := click(t, i, authorization(change...), "ada@acme.example")
	if back.Query().Get("code") == "" {
		t.Fatal(back)
	}
	return back.Query().Get("code")
}

func redeemed(t *testing.T, i *Issuer, form url.Values) map[string]any {
	t.Helper()
	w, body := ask(t, i, "POST", "/oidc/token", form, nil)
	if w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return body
}

func refused(t *testing.T, i *Issuer, form url.Values, want string) {
	t.Helper()
	w, body := ask(t, i, "POST", "/oidc/token", form, nil)
	if w.Code/100 != 4 || body["error"] != want || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s, want %s", w.Code, w.Body, want)
	}
}

func text(body map[string]any, name string) string {
	s, _ := body[name].(string)
	return s
}

func TestSignIn(t *testing.T) {
	i, _ := withPeople(t)
	for name, tt := range map[string]struct{ client, redirect string }{
		"console":            {"rolecall-console", console},
		"loopback":           {"rolecall-cli", loopback},
		"loopback, IPv6":     {"rolecall-cli", "http://[::1]:49152/callback"},
		"loopback, any port": {"rolecall-cli", "http://127.0.0.1:1/callback"},
	} {
		t.Run(name, func(t *testing.T) {
			back := click(t, i, authorization("client_id", tt.client, "redirect_uri", tt.redirect), "grace@globex.example")
			q := back.Query()
			if q.Get("state") != state || q.Get("iss") != "http://localhost:8080/oidc" || !strings.HasPrefix(back.String(), tt.redirect+"?") {
				t.Fatal(back)
			}
			body := redeemed(t, i, redemption(q.Get("code"), "client_id", tt.client, "redirect_uri", tt.redirect))
			access, id := verified(t, i, text(body, "access_token")), verified(t, i, text(body, "id_token"))
			if access["jti"] == "" || access["sid"] == "" || access["sid"] != id["sid"] {
				t.Errorf("%v, %v", access, id)
			}
			delete(access, "jti")
			delete(access, "sid")
			delete(id, "sid")
			begins, ends := float64(now.Unix()), float64(now.Add(time.Hour).Unix())
			if diff := cmp.Diff(map[string]any{
				"iss": "http://localhost:8080/oidc", "aud": "rolecall", "sub": "grace@globex.example", "client_id": tt.client, "tenant": "globex",
				"scope": "openid offline_access connections:read", "iat": begins, "exp": ends,
			}, access); diff != "" {
				t.Errorf("access token (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]any{
				"iss": "http://localhost:8080/oidc", "aud": tt.client, "sub": "grace@globex.example", "name": "Grace Hopper", "tenant": "globex",
				"nonce": "n-0S6_WzA2Mj", "auth_time": begins, "iat": begins, "exp": ends,
			}, id); diff != "" {
				t.Errorf("ID token (-want +got):\n%s", diff)
			}
			if text(body, "refresh_token") == "" || body["token_type"] != "Bearer" || body["expires_in"] != float64(3600) {
				t.Errorf("%v", body)
			}
		})
	}
}

func TestScopesDecideWhatIsGiven(t *testing.T) {
	i, _ := withPeople(t)
	for asked, want := range map[string]struct {
		scope       string
		id, refresh bool
	}{
		"openid connections:read":                  {"openid connections:read", true, false},
		"connections:read connections:read":        {"connections:read", false, false},
		"offline_access connections:write":         {"offline_access connections:write", false, true},
		"":                                         {"openid connections:read connections:write", true, false},
		"connections:write connections:read":       {"connections:write connections:read", false, false},
		"openid offline_access\tconnections:write": {"openid offline_access connections:write", true, true},
	} {
		body := redeemed(t, i, redemption(code(t, i, "scope", asked)))
		if body["scope"] != want.scope || (text(body, "id_token") != "") != want.id || (text(body, "refresh_token") != "") != want.refresh {
			t.Errorf("%q: %v", asked, body)
		}
	}
}

// Who cannot be told to be a client of ours gets a page, and no redirect.
func TestAuthorizeShowsAPage(t *testing.T) {
	i, _ := withPeople(t)
	twice := authorization()
	twice.Add("redirect_uri", console)
	for name, q := range map[string]url.Values{
		"no client":                      authorization("client_id", ""),
		"unknown client":                 authorization("client_id", "other"),
		"no redirect":                    authorization("redirect_uri", ""),
		"another site":                   authorization("redirect_uri", "https://attacker.example/callback"),
		"another path":                   authorization("redirect_uri", console+"/more"),
		"a query":                        authorization("redirect_uri", console+"?x=1"),
		"a fragment":                     authorization("redirect_uri", console+"#x"),
		"another port":                   authorization("redirect_uri", "http://localhost:8081/callback"),
		"upper case":                     authorization("redirect_uri", "http://LOCALHOST:8080/callback"),
		"no URL":                         authorization("redirect_uri", "http://%zz"),
		"twice":                          twice,
		"loopback for the console":       authorization("redirect_uri", loopback),
		"the console's for the loopback": authorization("client_id", "rolecall-cli"),
		"loopback by name":               authorization("client_id", "rolecall-cli", "redirect_uri", "http://localhost:49152/callback"),
		"loopback, another path":         authorization("client_id", "rolecall-cli", "redirect_uri", "http://127.0.0.1:49152/other"),
		"loopback, a query":              authorization("client_id", "rolecall-cli", "redirect_uri", loopback+"?x=1"),
		"loopback, https":                authorization("client_id", "rolecall-cli", "redirect_uri", "https://127.0.0.1:49152/callback"),
		"loopback, user":                 authorization("client_id", "rolecall-cli", "redirect_uri", "http://127.0.0.1@attacker.example:80/callback"),
		"loopback, another host":         authorization("client_id", "rolecall-cli", "redirect_uri", "http://127.0.0.2:49152/callback"),
		"loopback, spelt otherwise":      authorization("client_id", "rolecall-cli", "redirect_uri", "http://127.1:49152/callback"),
		"loopback, a longer host":        authorization("client_id", "rolecall-cli", "redirect_uri", "http://127.0.0.1.attacker.example:80/callback"),
	} {
		t.Run(name, func(t *testing.T) {
			for _, w := range both(t, i, q) {
				if w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" || strings.Contains(w.Body.String(), "Ada") {
					t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
				}
			}
		})
	}
}

// both sends a request to the page and, as its form would, with a person chosen.
func both(t *testing.T, i *Issuer, q url.Values) []*httptest.ResponseRecorder {
	t.Helper()
	shown, _ := ask(t, i, "GET", "/oidc/authorize?"+q.Encode(), nil, nil)
	form := url.Values{"person": {"ada@acme.example"}}
	for name, values := range q {
		if len(values) > 1 {
			return []*httptest.ResponseRecorder{shown}
		}
		form[name] = values
	}
	clicked, _ := ask(t, i, "POST", "/oidc/authorize", form, nil)
	return []*httptest.ResponseRecorder{shown, clicked}
}

// What is wrong with a client's request is told to the client.
func TestAuthorizeRefuses(t *testing.T) {
	i, _ := withPeople(t)
	twice := authorization()
	twice.Add("scope", "openid")
	for name, tt := range map[string]struct {
		query url.Values
		want  string
	}{
		"no response type":   {authorization("response_type", ""), "unsupported_response_type"},
		"implicit":           {authorization("response_type", "token"), "unsupported_response_type"},
		"hybrid":             {authorization("response_type", "code id_token"), "unsupported_response_type"},
		"fragment":           {authorization("response_mode", "fragment"), "invalid_request"},
		"no PKCE":            {authorization("code_challenge", "", "code_challenge_method", ""), "invalid_request"},
		"no challenge":       {authorization("code_challenge", ""), "invalid_request"},
		"no method":          {authorization("code_challenge_method", ""), "invalid_request"},
		"plain PKCE":         {authorization("code_challenge_method", "plain"), "invalid_request"},
		"a short challenge":  {authorization("code_challenge", "abc"), "invalid_request"},
		"no state":           {authorization("state", ""), "invalid_request"},
		"an unknown scope":   {authorization("scope", "openid admin"), "invalid_scope"},
		"a parameter twice":  {twice, "invalid_request"},
		"a request object":   {authorization("request", "ey"), "request_not_supported"},
		"a request's URI":    {authorization("request_uri", "https://attacker.example"), "request_uri_not_supported"},
		"without being seen": {authorization("prompt", "none"), "login_required"},
	} {
		t.Run(name, func(t *testing.T) {
			answers := both(t, i, tt.query)
			if tt.want == "login_required" {
				answers = answers[:1]
			}
			for _, w := range answers {
				q := location(t, w).Query()
				if w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), console+"?") || q.Get("error") != tt.want || q.Has("code") ||
					q.Get("state") != tt.query.Get("state") || q.Get("iss") == "" {
					t.Errorf("%d %s", w.Code, w.Header().Get("Location"))
				}
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	i, _ := withPeople(t)
	for _, person := range []string{"", "mallory@acme.example"} {
		if back := click(t, i, authorization(), person); back.Query().Get("error") != "access_denied" || back.Query().Has("code") {
			t.Error(back)
		}
	}
}

// Another site must not sign a browser's user in behind his back.
func TestOnlyItsOwnPageSignsIn(t *testing.T) {
	i, _ := withPeople(t)
	form := authorization()
	form.Set("person", "ada@acme.example")
	for _, tt := range []struct {
		site, origin string
		want         int
	}{
		{"", "", 303},
		{"same-origin", "null", 303},
		{"", "http://localhost:8080", 303},
		{"cross-site", "https://attacker.example", 403},
		{"same-site", "http://localhost:9000", 403},
		{"none", "", 403},
		{"", "https://attacker.example", 403},
		{"", "http://localhost:80", 403},
		{"", "null", 403},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/oidc/authorize", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if tt.site != "" {
			r.Header.Set("Sec-Fetch-Site", tt.site)
		}
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		w := httptest.NewRecorder()
		i.ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%+v: %d", tt, w.Code)
		}
	}
}

func TestThePageNeedsNoScript(t *testing.T) {
	i, _ := withPeople(t)
	w, _ := ask(t, i, "GET", "/oidc/authorize?"+authorization("state", `"><script>alert(1)</script>`).Encode(), nil, nil)
	policy := w.Header().Get("Content-Security-Policy")
	if strings.Contains(w.Body.String(), "<script") || !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") ||
		w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%v\n%s", w.Header(), w.Body)
	}
	if w, _ := ask(t, i, "GET", "/oidc/page.css", nil, nil); w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") {
		t.Errorf("style: %d", w.Code)
	}
}

func TestRedemptionRefused(t *testing.T) {
	i, at := withPeople(t)
	for name, tt := range map[string]struct {
		change []string
		want   string
	}{
		"no code":              {[]string{"code", ""}, "invalid_request"},
		"no redirect":          {[]string{"redirect_uri", ""}, "invalid_request"},
		"no verifier":          {[]string{"code_verifier", ""}, "invalid_request"},
		"a made-up code":       {[]string{"code", "guess"}, "invalid_grant"},
		"another verifier":     {[]string{"code_verifier", strings.Repeat("a", 43)}, "invalid_grant"},
		"the challenge itself": {[]string{"code_verifier", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "invalid_grant"},
		"a short verifier":     {[]string{"code_verifier", "abc"}, "invalid_grant"},
		"another redirect":     {[]string{"redirect_uri", "http://localhost:8080/"}, "invalid_grant"},
		"another client":       {[]string{"client_id", "rolecall-cli"}, "invalid_grant"},
		"no client":            {[]string{"client_id", ""}, "invalid_client"},
		"unknown client":       {[]string{"client_id", "acme"}, "invalid_client"},
		"a secret":             {[]string{"client_secret", Secret}, "invalid_client"},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, i, redemption(code(t, i), tt.change...), tt.want)
		})
	}
	t.Run("a minute later", func(t *testing.T) {
		late := code(t, i)
		*at = at.Add(codeLife)
		refused(t, i, redemption(late), "invalid_grant")
	})
	t.Run("in the form and by Basic", func(t *testing.T) {
		w, body := ask(t, i, "POST", "/oidc/token", redemption(code(t, i)), []string{"rolecall-console", Secret})
		if w.Code != http.StatusUnauthorized || body["error"] != "invalid_client" {
			t.Errorf("%d %v", w.Code, body)
		}
	})
}

// A code that failed once is not to be guessed at.
func TestACodeIsTriedOnce(t *testing.T) {
	i, _ := withPeople(t)
	c := code(t, i)
	refused(t, i, redemption(c, "code_verifier", strings.Repeat("a", 43)), "invalid_grant")
	refused(t, i, redemption(c), "invalid_grant")
}

func TestACodeUsedTwiceEndsWhatItGave(t *testing.T) {
	i, at := withPeople(t)
	c := code(t, i)
	first := redeemed(t, i, redemption(c))
	*at = at.Add(time.Hour)
	refused(t, i, redemption(c), "invalid_grant")
	refused(t, i, renewal(text(first, "refresh_token")), "invalid_grant")
}

func TestRefresh(t *testing.T) {
	i, at := withPeople(t)
	body := redeemed(t, i, redemption(code(t, i)))
	for range 3 {
		*at = at.Add(refreshLife - time.Second) // as long as it is used it goes on
		next := redeemed(t, i, renewal(text(body, "refresh_token")))
		if text(next, "refresh_token") == text(body, "refresh_token") || text(next, "refresh_token") == "" || text(next, "id_token") == "" {
			t.Fatalf("%v", next)
		}
		claims := verified(t, i, text(next, "access_token"))
		if claims["sub"] != "ada@acme.example" || claims["tenant"] != "acme" || claims["exp"] != float64(at.Add(time.Hour).Unix()) {
			t.Errorf("%v", claims)
		}
		body = next
	}
	narrow := redeemed(t, i, renewal(text(body, "refresh_token"), "scope", "connections:read"))
	if narrow["scope"] != "connections:read" || text(narrow, "id_token") != "" {
		t.Errorf("%v", narrow)
	}
	wide := redeemed(t, i, renewal(text(narrow, "refresh_token")))
	if wide["scope"] != "openid offline_access connections:read" {
		t.Errorf("%v", wide)
	}
}

func TestRefreshRefused(t *testing.T) {
	i, at := withPeople(t)
	fresh := func() string { return text(redeemed(t, i, redemption(code(t, i))), "refresh_token") }
	refused(t, i, renewal(""), "invalid_request")
	refused(t, i, renewal("guess"), "invalid_grant")
	refused(t, i, renewal(fresh(), "client_id", "rolecall-cli"), "invalid_grant")
	refused(t, i, renewal(fresh(), "client_id", ""), "invalid_client")
	refused(t, i, renewal(fresh(), "client_secret", Secret), "invalid_client")
	refused(t, i, renewal(fresh(), "scope", "connections:write"), "invalid_scope")
	old := fresh()
	*at = at.Add(refreshLife)
	refused(t, i, renewal(old), "invalid_grant")
}

// Whoever uses an old refresh token has stolen it, or has been robbed.
func TestARefreshTokenUsedTwiceEndsTheSignIn(t *testing.T) {
	i, _ := withPeople(t)
	first := text(redeemed(t, i, redemption(code(t, i))), "refresh_token")
	second := text(redeemed(t, i, renewal(first)), "refresh_token")
	refused(t, i, renewal(first), "invalid_grant")
	refused(t, i, renewal(second), "invalid_grant")
}

func TestRevoke(t *testing.T) {
	i, _ := withPeople(t)
	first := text(redeemed(t, i, redemption(code(t, i))), "refresh_token")
	for name, tt := range map[string]struct {
		form   url.Values
		status int
	}{
		"no client":      {url.Values{"token": {first}}, 401},
		"no token":       {url.Values{"client_id": {"rolecall-console"}}, 400},
		"another client": {url.Values{"client_id": {"rolecall-cli"}, "token": {first}}, 200}, // and nothing happens
		"unknown":        {url.Values{"client_id": {"rolecall-console"}, "token": {"guess"}}, 200},
	} {
		if w, _ := ask(t, i, "POST", "/oidc/revoke", tt.form, nil); w.Code != tt.status {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	second := text(redeemed(t, i, renewal(first)), "refresh_token")
	if w, _ := ask(t, i, "POST", "/oidc/revoke", url.Values{"client_id": {"rolecall-console"}, "token": {second}}, nil); w.Code != http.StatusOK {
		t.Fatalf("%d", w.Code)
	}
	refused(t, i, renewal(second), "invalid_grant")
}

func TestEndSession(t *testing.T) {
	i, at := withPeople(t)
	body := redeemed(t, i, redemption(code(t, i)))
	other := redeemed(t, i, redemption(code(t, i)))
	hint := text(body, "id_token")
	*at = at.Add(2 * time.Hour) // an ID token that has ended still says whose sign-in it was
	for name, tt := range map[string]struct {
		query url.Values
		want  int
	}{
		"another site":   {url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {"https://attacker.example/"}}, 400},
		"no client":      {url.Values{"post_logout_redirect_uri": {"http://localhost:8080/"}}, 400},
		"another client": {url.Values{"id_token_hint": {hint}, "client_id": {"rolecall-cli"}}, 400},
		"no ID token":    {url.Values{"id_token_hint": {"guess"}}, 400},
		"access token":   {url.Values{"id_token_hint": {text(body, "access_token")}}, 400},
		"nothing":        {nil, 200},
		"client":         {url.Values{"client_id": {"rolecall-console"}, "post_logout_redirect_uri": {"http://localhost:8080/"}}, 303},
	} {
		if w, _ := ask(t, i, "GET", "/oidc/end-session?"+tt.query.Encode(), nil, nil); w.Code != tt.want {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	body = redeemed(t, i, renewal(text(body, "refresh_token"))) // none of these has ended it
	w, _ := ask(t, i, "GET", "/oidc/end-session?"+url.Values{
		"id_token_hint": {hint}, "post_logout_redirect_uri": {"http://localhost:8080/"}, "state": {state},
	}.Encode(), nil, nil)
	if got := w.Header().Get("Location"); got != "http://localhost:8080/?state="+state {
		t.Error(got)
	}
	refused(t, i, renewal(text(body, "refresh_token")), "invalid_grant")
	redeemed(t, i, renewal(text(other, "refresh_token"))) // another sign-in goes on
}

func TestCORS(t *testing.T) {
	i, _ := withPeople(t)
	send := func(method, path, origin string) http.Header {
		r := httptest.NewRequestWithContext(t.Context(), method, "/oidc"+path, nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		w := httptest.NewRecorder()
		i.ServeHTTP(w, r)
		return w.Header()
	}
	for path, method := range map[string]string{"/.well-known/openid-configuration": "GET", "/jwks": "GET", "/token": "POST", "/revoke": "POST"} {
		for _, m := range []string{method, "OPTIONS"} {
			if h := send(m, path, "http://localhost:5173"); h.Get("Access-Control-Allow-Origin") != "http://localhost:5173" || h.Get("Vary") != "Origin" {
				t.Errorf("%s %s: %v", m, path, h)
			}
			for _, origin := range []string{"http://localhost:5174", "https://attacker.example", "null"} {
				if h := send(m, path, origin); h.Get("Access-Control-Allow-Origin") != "" || h.Get("Access-Control-Allow-Methods") != "" {
					t.Errorf("%s %s from %s: %v", m, path, origin, h)
				}
			}
		}
		if h := send("OPTIONS", path, "http://localhost:5173"); h.Get("Access-Control-Allow-Methods") != method {
			t.Errorf("%s: %v", path, h)
		}
	}
	if h := send("GET", "/authorize", "http://localhost:5173"); h.Get("Access-Control-Allow-Origin") != "" {
		t.Error("a page may be read by another site")
	}
}

// Nobody fills the memory of a laptop with sign-ins that he never ends.
func TestSignInsAreBounded(t *testing.T) {
	i, at := withPeople(t)
	for range maxSignIns + 5 {
		i.grants.add(&signIn{expires: at.Add(time.Hour)}, *at)
	}
	if len(i.grants.all) != maxSignIns {
		t.Error(len(i.grants.all))
	}
	i.grants.add(&signIn{expires: at.Add(2 * time.Hour)}, at.Add(time.Hour))
	if len(i.grants.all) != 1 {
		t.Error(len(i.grants.all))
	}
}

func TestMachinesAreNotClientsForPeople(t *testing.T) {
	i, _ := withPeople(t)
	refused(t, i, grant("client_id", "rolecall-cli"), "unauthorized_client")
}
