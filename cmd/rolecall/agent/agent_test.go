package agent

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"rolecall/cmd/rolecall/api"
)

// A source has one connection, "Büro & Lager/2", and an error to answer with.
type source struct {
	err   error
	finds int
}

func (s *source) Find(_ context.Context, name string) (api.Connection, error) {
	s.finds++
	if name != "Büro & Lager/2" {
		return api.Connection{}, api.ErrNoConnection
	}
	return api.Connection{ID: "conn_1"}, nil
}

func (s *source) Credentials(_ context.Context, id string, ask api.IssueCredentials) (api.Credentials, error) {
	if id != "conn_1" || ask.DurationSeconds != 3600 {
		return api.Credentials{}, errors.New("asked for " + id)
	}
	return api.Credentials{AccessKeyID: "ASIA", SecretAccessKey: "hush", Token: "t", Expiration: "2026-01-02T03:04:05Z", AccountID: "222222222222"}, s.err
}

func started(t *testing.T, s Source) *Agent {
	t.Helper()
	a, err := New("127.0.0.1:4570", s, Options{
		Ask: api.IssueCredentials{DurationSeconds: 3600}, Clock: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

const buero = "Büro & Lager/2"

// ask asks for that connection's credentials with a token for all, unless change says otherwise.
func ask(t *testing.T, a *Agent, change func(*http.Request)) (int, map[string]string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "GET", a.URL(buero), nil)
	r.Header.Set("Authorization", a.TokenForAll())
	change(r)
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	var body map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%v %v %s", err, w.Header(), w.Body)
	}
	return w.Code, body
}

func TestServes(t *testing.T) {
	s := &source{}
	a := started(t, s)
	alone := a.Token(map[string]string{buero: "conn_1"})
	for name, change := range map[string]func(*http.Request){
		"as SDKs ask":        func(*http.Request) {},
		"as Bearer":          func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+a.TokenForAll()) },
		"as localhost":       func(r *http.Request) { r.Host = "localhost:4570" },
		"its own":            func(r *http.Request) { r.Header.Set("Authorization", alone) },
		"its own, as Bearer": func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+alone) },
	} {
		code, body := ask(t, a, change)
		if code != http.StatusOK || body["AccessKeyId"] != "ASIA" || body["SecretAccessKey"] != "hush" || body["Token"] != "t" ||
			body["Expiration"] != "2026-01-02T03:04:05Z" || body["AccountId"] != "222222222222" {
			t.Errorf("%s: %d %v", name, code, body)
		}
	}
	if s.finds != 1 {
		t.Errorf("looked for a name %d times", s.finds)
	}
}

func TestRefuses(t *testing.T) {
	a := started(t, &source{})
	token := a.TokenForAll()
	for name, tt := range map[string]struct {
		change func(*http.Request)
		code   string
	}{
		"no token":               {func(r *http.Request) { r.Header.Del("Authorization") }, "UNAUTHENTICATED"},
		"no text":                {func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") }, "UNAUTHENTICATED"},
		"another token":          {func(r *http.Request) { r.Header.Set("Authorization", "guess") }, "UNAUTHENTICATED"},
		"another agent's":        {func(r *http.Request) { r.Header.Set("Authorization", started(t, &source{}).TokenForAll()) }, "UNAUTHENTICATED"},
		"part of the token":      {func(r *http.Request) { r.Header.Set("Authorization", token[1:]) }, "UNAUTHENTICATED"},
		"more than the token":    {func(r *http.Request) { r.Header.Set("Authorization", token+"A") }, "UNAUTHENTICATED"},
		"a name that leads here": {func(r *http.Request) { r.Host = "attacker.example:4570" }, "FORBIDDEN"},
		"no port":                {func(r *http.Request) { r.Host = "127.0.0.1" }, "FORBIDDEN"},
		"another port":           {func(r *http.Request) { r.Host = "127.0.0.1:80" }, "FORBIDDEN"},
		"another address":        {func(r *http.Request) { r.Host = "0.0.0.0:4570" }, "FORBIDDEN"},
		"a web page":             {func(r *http.Request) { r.Header.Set("Origin", "https://attacker.example") }, "FORBIDDEN"},
		"a page of localhost":    {func(r *http.Request) { r.Header.Set("Origin", "http://localhost:4570") }, "FORBIDDEN"},
		"a browser":              {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none") }, "FORBIDDEN"},
		"another path":           {func(r *http.Request) { r.URL.Path = "/" }, "FORBIDDEN"},
		"no name":                {func(r *http.Request) { r.URL.Path = Path }, "FORBIDDEN"},
		"POST":                   {func(r *http.Request) { r.Method = "POST" }, "FORBIDDEN"},
		"HEAD":                   {func(r *http.Request) { r.Method = "HEAD" }, "FORBIDDEN"},
		"an option":              {func(r *http.Request) { r.URL.RawQuery = "durationSeconds=3600" }, "FORBIDDEN"},
		"no option":              {func(r *http.Request) { r.URL.ForceQuery = true }, "FORBIDDEN"},
		"a body":                 {func(r *http.Request) { r.ContentLength = 2 }, "FORBIDDEN"},
		"a body of any length":   {func(r *http.Request) { r.ContentLength = -1 }, "FORBIDDEN"},
	} {
		status, body := ask(t, a, tt.change)
		if status != http.StatusForbidden || body["code"] != tt.code || body["message"] == "" || body["SecretAccessKey"] != "" {
			t.Errorf("%s: %d %v", name, status, body)
		}
	}
	if status, body := ask(t, a, func(r *http.Request) { r.URL.Path = Path + "other" }); status != http.StatusNotFound || body["code"] != "CONNECTION_NOT_FOUND" {
		t.Errorf("a connection that is not there: %d %v", status, body)
	}
}

// everything finds every connection, and hands out credentials that name it.
type everything struct{}

func (everything) Find(_ context.Context, name string) (api.Connection, error) {
	return api.Connection{ID: "conn_" + name}, nil
}

func (everything) Credentials(_ context.Context, id string, _ api.IssueCredentials) (api.Credentials, error) {
	return api.Credentials{AccessKeyID: id, SecretAccessKey: "hush", Token: "t", Expiration: "2026-01-02T03:04:05Z"}, nil
}

// A token opens what it is for: by the very name, with no option, beside other tokens of the same agent.
func TestATokenIsForItsConnections(t *testing.T) {
	a := started(t, everything{})
	tokens := map[string]string{
		"a": a.Token(map[string]string{"a": "conn_a"}), "b": a.Token(map[string]string{"b": "conn_b"}),
		"a and b": a.Token(map[string]string{"a": "conn_a", "b": "conn_b"}), "none": a.Token(nil), "all": a.TokenForAll(),
	}
	for whose, opens := range map[string]string{"a": "a", "b": "b", "a and b": "a b", "none": "", "all": "a b c conn_a A"} {
		for _, name := range []string{"a", "b", "c", "conn_a", "A", "a ", "a/", "a/../b", ""} {
			status, body := ask(t, a, func(r *http.Request) {
				r.URL.Path = Path + name
				r.Header.Set("Authorization", tokens[whose])
			})
			want := slices.Contains(strings.Fields(opens), name) || whose == "all" && name != ""
			if (status == http.StatusOK) != want || want && body["AccessKeyId"] != "conn_"+name || !want && (status != http.StatusForbidden || body["SecretAccessKey"] != "") {
				t.Errorf("%s with the token for %s: %d %v", name, whose, status, body)
			}
		}
	}
	if _, body := ask(t, a, func(r *http.Request) { r.URL.Path = Path + "c"; r.Header.Set("Authorization", tokens["a and b"]) }); body["message"] != "this token is for the credentials at /credentials/a and /credentials/b alone" {
		t.Error(body)
	}
}

// SDKs show code and message; what Rolecall says reaches the person.
func TestPassesOn(t *testing.T) {
	for name, tt := range map[string]struct {
		err           error
		status        int
		code, message string
	}{
		"Rolecall's refusal": {&api.Problem{Status: 409, Code: "CONNECTION_NOT_ENABLED", Detail: "it is pending", Fix: "Wait."}, 409, "CONNECTION_NOT_ENABLED", "it is pending Wait."},
		"not now":            {&api.Problem{Status: 503, Code: "STS_UNAVAILABLE", Detail: "later", RetryAfter: "5"}, 503, "STS_UNAVAILABLE", "later"},
		"something else":     {errors.New("not signed in\nSign in with: rolecall login"), 502, "AGENT_FAILED", "not signed in Sign in with: rolecall login"},
	} {
		code, body := ask(t, started(t, &source{err: tt.err}), func(*http.Request) {})
		if code != tt.status || body["code"] != tt.code || body["message"] != tt.message {
			t.Errorf("%s: %d %v", name, code, body)
		}
	}
}

func TestServesThisMachineAlone(t *testing.T) {
	for _, address := range []string{"0.0.0.0:1", "[::]:1", "192.168.1.2:1", "localhost:1", "nonsense"} {
		if _, err := New(address, &source{}, Options{}); err == nil {
			t.Errorf("%s was taken", address)
		}
	}
	a := started(t, &source{})
	one, other := a.TokenForAll(), a.Token(nil)
	if one == other || len(one) < 26 || strings.ContainsAny(one, " \n'\"$") {
		t.Error(one, other)
	}
}

// What others say reaches whoever shows it as text and nothing more.
func TestHostileReasons(t *testing.T) {
	p := &api.Problem{Status: 409, Code: "X\x1b[2J", Detail: "a\x1b]0;b\a\u202e", Fix: "c\r\nd"}
	_, body := ask(t, started(t, &source{err: p}), func(*http.Request) {})
	if body["code"] != "X?[2J" || body["message"] != "a?]0;b?? c??d" {
		t.Errorf("%q", body)
	}
}
