package signin

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The platform's own address says who signs people in, as it says to its console.
func TestLocated(t *testing.T) {
	for name, tt := range map[string]struct {
		kept, answer string
		status       int
		want, err    string
	}{
		"what the console is told": {"", `{"apiBase":"","issuer":"https://login.example.com/realm","clientId":"console","scope":"openid"}`, 200, "https://login.example.com/realm", ""},
		"what the person says":     {"https://kept.example", `{"issuer":"https://other.example"}`, 200, "https://kept.example", ""},
		"an API alone":             {"", `{"code":"ROUTE_NOT_FOUND"}`, 404, "", "--issuer"},
		"a page":                   {"", "<!doctype html>", 200, "", "--issuer"},
		"no issuer":                {"", `{}`, 200, "", "--issuer"},
		"in the clear":             {"", `{"issuer":"http://login.example.com"}`, 200, "", "not https"},
		"led elsewhere":            {"", ``, 302, "", "302"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/config.json" || r.Header.Get("Authorization") != "" {
				t.Errorf("%s: asked for %s, or with a token", name, r.URL)
			}
			w.Header().Set("Location", "https://attacker.example/config.json")
			w.WriteHeader(tt.status)
			_, _ = w.Write([]byte(tt.answer))
		}))
		client := Client{Issuer: tt.kept, HTTP: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
		got, err := client.Located(t.Context(), server.URL)
		if got.Issuer != tt.want || (err == nil) != (tt.err == "") || (err != nil && !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: %q %v", name, got.Issuer, err)
		}
		server.Close()
	}
}
