package signin

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// An answer is what an address says, and with which status; "" is 404.
type answer struct {
	status int
	text   string
}

// The platform's own address says who signs people in. SELF stands for it.
func TestLocated(t *testing.T) {
	const (
		resource = "/.well-known/oauth-protected-resource"
		console  = "/config.json"
	)
	toConsole := answer{200, `{"apiBase":"","issuer":"https://login.example.com/realm","clientId":"console","scope":"openid"}`}
	for name, tt := range map[string]struct {
		kept    string
		path    string // of the API
		answers map[string]answer
		want    string
		err     string // part of what is said where there is no issuer
	}{
		"an API alone": {answers: map[string]answer{
			resource: {200, `{"resource":"SELF","authorization_servers":["https://login.example.com/"],"scopes_supported":["connections:read"]}`},
		}, want: "https://login.example.com/"},
		"an API at a path": {path: "/prod", answers: map[string]answer{
			resource + "/prod": {200, `{"resource":"SELF/prod","authorization_servers":["https://login.example.com/"]}`},
		}, want: "https://login.example.com/"},
		"a console":                {answers: map[string]answer{console: toConsole}, want: "https://login.example.com/realm"},
		"a console for every path": {answers: map[string]answer{resource: {200, "<!doctype html>"}, console: toConsole}, want: "https://login.example.com/realm"},
		"another's metadata": {answers: map[string]answer{
			resource: {200, `{"resource":"https://api.example.com","authorization_servers":["https://attacker.example"]}`}, console: toConsole,
		}, want: "https://login.example.com/realm"},
		"what the person says": {kept: "https://kept.example", answers: map[string]answer{console: toConsole}, want: "https://kept.example"},
		"neither":              {err: "--issuer"},
		"no issuer":            {answers: map[string]answer{resource: {200, `{"resource":"SELF"}`}, console: {200, `{}`}}, err: "names none"},
		"in the clear":         {answers: map[string]answer{console: {200, `{"issuer":"http://login.example.com"}`}}, err: "not https"},
		"metadata in the clear": {answers: map[string]answer{
			resource: {200, `{"resource":"SELF","authorization_servers":["http://login.example.com"]}`},
		}, err: "not https"},
		"led elsewhere": {answers: map[string]answer{resource: {302, ""}, console: {302, ""}}, err: "302"},
		"no document":   {answers: map[string]answer{resource: {200, "[]"}, console: {200, strings.Repeat(" ", maxSettings) + toConsole.text}}, err: "no JSON"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				t.Errorf("%s: %s was asked with a token", name, r.URL)
			}
			a, ok := tt.answers[r.URL.Path]
			if !ok {
				a.status = http.StatusNotFound
			}
			w.Header().Set("Location", "https://attacker.example"+r.URL.Path)
			w.WriteHeader(a.status)
			_, _ = io.WriteString(w, strings.ReplaceAll(a.text, "SELF", "http://"+r.Host))
		}))
		client := Client{Issuer: tt.kept, HTTP: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
		got, err := client.Located(t.Context(), server.URL+tt.path)
		if got.Issuer != tt.want || (err == nil) != (tt.err == "") || (err != nil && !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: %q %v", name, got.Issuer, err)
		}
		server.Close()
	}
}
