package iam

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// The create-role page makes the role that the console would make of the link's parts.
func TestCreateRolePage(t *testing.T) {
	s := New(time.Now)
	page := NewPage(s, "/styles.css")
	ask := func(method, path, body string, header ...string) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		page.ServeHTTP(w, r)
		return w
	}
	if w := ask("GET", "/iam/home", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `href="/styles.css"`) ||
		!strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := ask("GET", "/iam/home.js", ""); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "innerHTML") {
		t.Errorf("the script: %d", w.Code)
	}
	const body = `{"account":"222222222222","name":"Made","trustedAccount":"111111111111","externalId":"a\"b","policies":["arn:aws:iam::aws:policy/ReadOnlyAccess"]}`
	json := []string{"Content-Type", "application/json"}
	if w := ask("POST", "/iam/api/roles", body, json...); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"arn:aws:iam::222222222222:role/Made"`) {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	role, err := s.Role("222222222222", "Made")
	if err != nil {
		t.Fatal(err)
	}
	trust, err := url.PathUnescape(role.Trust)
	if err != nil || !strings.Contains(trust, `"sts:ExternalId":"a\"b"`) || !strings.Contains(trust, "111111111111") || len(role.Attached) != 1 {
		t.Errorf("%s %v %v", trust, role.Attached, err)
	}
	for name, c := range map[string]struct {
		status int
		body   string
		header []string
	}{
		"another page's":     {http.StatusForbidden, body, append(json, "Sec-Fetch-Site", "cross-site")},
		"a form's":           {http.StatusForbidden, body, []string{"Content-Type", "text/plain"}},
		"no account":         {http.StatusBadRequest, strings.Replace(body, "222222222222", "2", 1), json},
		"an unknown member":  {http.StatusBadRequest, strings.Replace(body, `"name"`, `"title"`, 1), json},
		"a name that exists": {http.StatusConflict, body, json},
		"no such policy":     {http.StatusNotFound, strings.NewReplacer("Made", "Other", "ReadOnlyAccess", "Nothing").Replace(body), json},
	} {
		if w := ask("POST", "/iam/api/roles", c.body, c.header...); w.Code != c.status {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, c.status)
		}
	}
}
