package customer_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolecall/shared/connect"
	"rolecall/shared/customer"
)

// The federation endpoint is told the session and nothing of its duration, which AWS refuses under role chaining; and a
// session that is to last as long as its role says is asked for without one.
func TestSignInIsAskedForWithoutADuration(t *testing.T) {
	var got url.Values
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.URL.Query()
		_, _ = w.Write([]byte(`{"SigninToken":"canary-token"}`))
	}))
	t.Cleanup(server.Close)
	session := connect.Credentials{AccessKeyID: "ASIA1", SecretAccessKey: connect.NewSecret("canary-key"), SessionToken: connect.NewSecret("canary-session")}
	token, err := customer.Federation{HTTP: server.Client(), Endpoint: server.URL}.SigninToken(t.Context(), session)
	if err != nil || token.Reveal() != "canary-token" {
		t.Fatal(err)
	}
	var told map[string]string
	if err := json.Unmarshal([]byte(got.Get("Session")), &told); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"sessionId": "ASIA1", "sessionKey": "canary-key", "sessionToken": "canary-session"}, told); diff != "" {
		t.Error(diff)
	}
	if got.Get("Action") != "getSigninToken" || len(got) != 2 {
		t.Errorf("asked with %d parameters, action %s", len(got), got.Get("Action"))
	}

	tap := &wiretap{}
	_, _ = tappedAssumer(tap, "eu-west-1").AssumeRole(t.Context(), connect.AssumeRequest{RoleARN: roleARN(t, "arn:aws:iam::"+customerAccount+":role/R"), SessionName: "s"})
	if form := tap.form(t); form.Has("DurationSeconds") || form.Get("Action") != "AssumeRole" {
		t.Errorf("form %v", form)
	}
}

// Whatever the endpoint answers instead of a token, the error says so without the session, which is in its URL.
func TestWhatIsNoSigninToken(t *testing.T) {
	session := connect.Credentials{AccessKeyID: "ASIA1", SecretAccessKey: connect.NewSecret("canary-key"), SessionToken: connect.NewSecret("canary-session")}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, tt := range map[string]struct {
		status int
		body   string
	}{
		"a refusal": {400, "canary-session is bad"}, "an error": {500, "canary"}, "no JSON": {200, "<html>canary"}, "no token": {200, `{"Token":"canary"}`},
		"an empty one": {200, `{"SigninToken":""}`}, "nothing": {200, ""}, "too much": {200, strings.Repeat(" ", 1<<20) + `{"SigninToken":"canary"}`}, "nobody there": {},
	} {
		endpoint := gone.URL
		if tt.status != 0 {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			t.Cleanup(server.Close)
			endpoint = server.URL
		}
		f := customer.Federation{HTTP: &http.Client{Timeout: 10 * time.Second}, Endpoint: endpoint}
		if token, err := f.SigninToken(t.Context(), session); kind(err) != connect.KindUnavailable || !token.IsZero() || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
