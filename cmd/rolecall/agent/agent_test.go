package agent

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
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

func ask(t *testing.T, a *Agent, change func(*http.Request)) (int, map[string]string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "GET", a.URL("Büro & Lager/2"), nil)
	r.Header.Set("Authorization", a.Token())
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
	for name, change := range map[string]func(*http.Request){
		"as SDKs ask":  func(*http.Request) {},
		"as Bearer":    func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+a.Token()) },
		"as localhost": func(r *http.Request) { r.Host = "localhost:4570" },
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
	for name, tt := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"no token":               {func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		"another token":          {func(r *http.Request) { r.Header.Set("Authorization", "guess") }, 401},
		"part of the token":      {func(r *http.Request) { r.Header.Set("Authorization", a.Token()[1:]) }, 401},
		"more than the token":    {func(r *http.Request) { r.Header.Set("Authorization", a.Token()+"A") }, 401},
		"a name that leads here": {func(r *http.Request) { r.Host = "attacker.example:4570" }, 403},
		"no port":                {func(r *http.Request) { r.Host = "127.0.0.1" }, 403},
		"another port":           {func(r *http.Request) { r.Host = "127.0.0.1:80" }, 403},
		"another address":        {func(r *http.Request) { r.Host = "0.0.0.0:4570" }, 403},
		"a web page":             {func(r *http.Request) { r.Header.Set("Origin", "https://attacker.example") }, 403},
		"a page of localhost":    {func(r *http.Request) { r.Header.Set("Origin", "http://localhost:4570") }, 403},
		"a browser":              {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none") }, 403},
		"another path":           {func(r *http.Request) { r.URL.Path = "/" }, 404},
		"no name":                {func(r *http.Request) { r.URL.Path = Path }, 404},
		"another connection":     {func(r *http.Request) { r.URL.Path = Path + "other" }, 404},
		"POST":                   {func(r *http.Request) { r.Method = "POST" }, 405},
	} {
		code, body := ask(t, a, tt.change)
		if code != tt.want || body["code"] == "" || body["message"] == "" || body["SecretAccessKey"] != "" {
			t.Errorf("%s: %d %v, want %d", name, code, body, tt.want)
		}
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
	one, other := started(t, &source{}), started(t, &source{})
	if one.Token() == other.Token() || len(one.Token()) < 26 || strings.ContainsAny(one.Token(), " \n'\"$") {
		t.Error(one.Token(), other.Token())
	}
}
