package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"rolecall/web"
)

func newServer(t *testing.T) *web.Server {
	t.Helper()
	site := fstest.MapFS{
		"index.html": {Data: []byte("<!doctype html>")}, "rolecall-connect.js": {Data: []byte("export {}")}, "assets/index-1.js": {Data: []byte("1")},
	}
	s, err := web.NewServer(site, web.NewSettings("https://login.example.com/realm", "console"), []string{"https://app.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func get(t *testing.T, path, origin string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	w := httptest.NewRecorder()
	newServer(t).ServeHTTP(w, r)
	return w
}

func TestPaths(t *testing.T) {
	tests := []struct {
		path   string
		status int
		kind   string
		body   string
	}{
		{"/", 200, "text/html; charset=utf-8", "<!doctype html>"},
		{"/connections/conn_1", 200, "text/html; charset=utf-8", "<!doctype html>"},
		{"/connections/", 200, "text/html; charset=utf-8", "<!doctype html>"},
		{"/assets", 200, "text/html; charset=utf-8", "<!doctype html>"},
		{"/assets/index-1.js", 200, "text/javascript; charset=utf-8", "1"},
		{"/assets/gone-2.js", 404, "", "not found"},
		{"/../../etc/passwd.txt", 404, "", "not found"},
		{"/config.json", 200, "application/json", `{"apiBase":"","issuer":"https://login.example.com/realm","clientId":"console","scope":"openid connections:read connections:write credentials:issue"}`},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			w := get(t, tt.path, "")
			if w.Code != tt.status || strings.TrimSpace(w.Body.String()) != tt.body {
				t.Errorf("%d %q", w.Code, w.Body)
			}
			if tt.kind != "" && w.Header().Get("Content-Type") != tt.kind {
				t.Errorf("Content-Type %q", w.Header().Get("Content-Type"))
			}
			policy := w.Header().Get("Content-Security-Policy")
			if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "connect-src 'self' https://login.example.com;") || strings.Contains(policy, "unsafe") {
				t.Errorf("policy %q", policy)
			}
		})
	}
}

// Pages of other origins may load the widget if they are configured, and nothing else ever.
func TestOrigins(t *testing.T) {
	for _, tt := range []struct{ path, origin, want string }{
		{"/rolecall-connect.js", "https://app.example.com", "https://app.example.com"},
		{"/rolecall-connect.js", "https://app.example.com.attacker.tld", ""},
		{"/rolecall-connect.js", "null", ""},
		{"/assets/index-1.js", "https://app.example.com", ""},
		{"/config.json", "https://app.example.com", ""},
	} {
		if got := get(t, tt.path, tt.origin).Header().Get("Access-Control-Allow-Origin"); got != tt.want {
			t.Errorf("%s from %s: %q, want %q", tt.path, tt.origin, got, tt.want)
		}
	}
}

func TestWhatIsAPI(t *testing.T) {
	for path, want := range map[string]bool{
		"/v1/connections": true, "/v1/": true, "/api/account/aws/config": true, "/openapi.json": true,
		"/": false, "/v1": false, "/connections/conn_1": false, "/openapi.json.map": false, "/docs": false,
	} {
		if web.IsAPI(path) != want {
			t.Errorf("IsAPI(%q) is %v", path, !want)
		}
	}
}

func TestOnlyReading(t *testing.T) {
	w := httptest.NewRecorder()
	newServer(t).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Error(w.Code)
	}
}

func TestUnbuilt(t *testing.T) {
	if _, err := web.NewServer(fstest.MapFS{}, web.NewSettings("https://login.example.com", "console"), nil); err == nil || !strings.Contains(err.Error(), "not been built") {
		t.Error(err)
	}
}
