package signin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"rolecall/infra/local/oidc"
)

// issuer is the laptop's, which asks for all that a careful one does.
func issuer(t *testing.T, change func(http.Handler) http.Handler) Client {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	base := "http://" + server.Listener.Addr().String() + "/oidc"
	i, err := oidc.New(oidc.Config{
		Issuer: base, Audience: "rolecall", TenantClaim: "tenant", Scopes: []string{"connections:read", "credentials:issue"}, Clock: time.Now,
		Clients: []oidc.Client{{ID: "rolecall-cli", Redirects: []string{"http://127.0.0.1/callback"}, Loopback: true}},
		People:  []oidc.Person{{Subject: "ada@acme.example", Name: "Ada Lovelace", Tenant: "acme", TenantName: "Acme"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = change(i)
	server.Start()
	t.Cleanup(server.Close)
	return Client{Issuer: base, ID: "rolecall-cli", Scopes: []string{"connections:read"}, HTTP: server.Client(), Clock: time.Now}
}

func unchanged(h http.Handler) http.Handler { return h }

// approve is Ada's click: it answers where the browser is led.
func approve(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Error(err)
		return ""
	}
	form := u.Query()
	form.Set("person", "ada@acme.example")
	u.RawQuery = ""
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.PostForm(u.String(), form) //nolint:noctx // a test's
	if err != nil {
		t.Error(err)
		return ""
	}
	_ = resp.Body.Close()
	return resp.Header.Get("Location")
}

func visit(t *testing.T, address string, change func(*http.Request)) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, address, nil)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	change(r)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

func same(*http.Request) {}

// with changes the query of an address.
func with(address string, change func(url.Values)) string {
	u, _ := url.Parse(address)
	q := u.Query()
	change(q)
	u.RawQuery = q.Encode()
	return u.String()
}

// Whatever comes to the listener before the answer, or claims to be it, changes nothing.
func TestOnlyTheAnswerCounts(t *testing.T) {
	c := issuer(t, unchanged)
	said := make(chan string, 1)
	got, err := c.Browser(t.Context(), func(address string, _ func(string) error) error {
		go func() {
			back := approve(t, address)
			root := strings.TrimSuffix(back[:strings.Index(back, "?")], "/callback")
			for name, strange := range map[string]string{
				"another path":   root + "/favicon.ico",
				"nothing":        root + "/callback",
				"another state":  with(back, func(q url.Values) { q.Set("state", "guess") }),
				"no state":       with(back, func(q url.Values) { q.Del("state") }),
				"another issuer": with(back, func(q url.Values) { q.Set("iss", "https://attacker.example") }),
				"no issuer":      with(back, func(q url.Values) { q.Del("iss") }),
				"no code":        with(back, func(q url.Values) { q.Del("code") }),
				"both":           with(back, func(q url.Values) { q.Set("error", "access_denied") }),
			} {
				if code, _ := visit(t, strange, same); code != http.StatusBadRequest && code != http.StatusNotFound {
					t.Errorf("%s: %d", name, code)
				}
			}
			if code, _ := visit(t, back, func(r *http.Request) { r.Host = "attacker.example" }); code != http.StatusNotFound {
				t.Errorf("another host: %d", code)
			}
			_, text := visit(t, back, same)
			said <- text
		}()
		return nil
	})
	if err != nil || got.Subject != "ada@acme.example" || got.Name != "Ada Lovelace" || got.Refresh == "" || time.Until(got.Expires) < 59*time.Minute {
		t.Errorf("%s %s %v %v", got.Subject, got.Name, got.Expires, err)
	}
	if text := <-said; !strings.Contains(text, "You are signed in") {
		t.Error(text)
	}
}

// An ID token that was made for another sign-in is not taken, whoever slips it in.
func TestAnotherSignInsToken(t *testing.T) {
	var nonce string
	c := issuer(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/authorize") && r.Method == http.MethodPost && nonce != "" {
				_ = r.ParseForm()
				r.PostForm.Set("nonce", nonce)
				r.Form.Set("nonce", nonce)
			}
			next.ServeHTTP(w, r)
		})
	})
	nonce = "of-another-sign-in"
	_, err := c.Browser(t.Context(), func(address string, _ func(string) error) error {
		go func() {
			if code, text := visit(t, approve(t, address), same); code != http.StatusBadRequest || strings.Contains(text, "You are signed in") {
				t.Errorf("%d %s", code, text)
			}
		}()
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "not of this sign-in") {
		t.Error(err)
	}
}

// A browser on another machine is led to where nobody listens. The person brings the address, and it is judged as if the
// browser had come.
func TestTheAnswerIsPasted(t *testing.T) {
	c := issuer(t, unchanged)
	got, err := c.Browser(t.Context(), func(address string, answer func(string) error) error {
		back := approve(t, address)
		for name, strange := range map[string]string{
			"nothing":        "",
			"no address":     "%zz",
			"the page":       address,
			"another port":   strings.Replace(back, "127.0.0.1:", "127.0.0.1:1", 1),
			"another path":   strings.Replace(back, "/callback", "/elsewhere", 1),
			"another state":  with(back, func(q url.Values) { q.Set("state", "guess") }),
			"another issuer": with(back, func(q url.Values) { q.Set("iss", "https://attacker.example") }),
			"no code":        with(back, func(q url.Values) { q.Del("code") }),
		} {
			if answer(strange) == nil {
				t.Errorf("%s is taken", name)
			}
		}
		if err := answer("  " + back + "\r\n"); err != nil {
			t.Error(err)
		}
		if answer(back) == nil {
			t.Error("the answer is taken twice")
		}
		return nil
	})
	if err != nil || got.Subject != "ada@acme.example" || got.Refresh == "" {
		t.Errorf("%s %v", got.Subject, err)
	}
}

func TestNobodyComes(t *testing.T) {
	c := issuer(t, unchanged)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := c.Browser(ctx, func(string, func(string) error) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A discovery document that sends secrets over the open network is not followed.
func TestSecretsAreNotSentInTheClear(t *testing.T) {
	c := issuer(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			recorder := httptest.NewRecorder()
			next.ServeHTTP(recorder, r)
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, strings.ReplaceAll(recorder.Body.String(), "http://"+r.Host+"/oidc/token", "http://login.example.com/token"))
		})
	})
	for name, ask := range map[string]func() error{
		"machine": func() error { _, err := c.Machine(t.Context(), "hush"); return err },
		"renewal": func() error { _, err := c.Renew(t.Context(), "hush"); return err },
		"browser": func() error {
			_, err := c.Browser(t.Context(), func(string, func(string) error) error { return nil })
			return err
		},
	} {
		if err := ask(); err == nil || !strings.Contains(err.Error(), "not https") || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
