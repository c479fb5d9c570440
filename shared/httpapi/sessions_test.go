package httpapi

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
)

func TestSessionsAreListed(t *testing.T) {
	w := newWorld(t)
	path := "/v1/connections/" + w.enabled("a").ID
	w.want(ask{method: "GET", path: path + "/credentials", subject: "svc"}, 200)
	w.now = w.now.Add(10 * time.Minute)
	w.want(ask{method: "POST", path: path + "/credentials", body: `{"durationSeconds":3600,"readOnly":true,"reason":"ticket 7"}`}, 200)
	w.now = w.now.Add(time.Second)
	w.want(ask{method: "POST", path: path + "/sign-in", body: `{}`}, 200)
	page := read[Sessions](t, w.want(ask{method: "GET", path: path + "/sessions"}, 200))
	if len(page.Items) != 3 || page.Items[0].Purpose != "console" || page.Items[1].Reason != "ticket 7" || page.Items[1].PolicyHash == "" ||
		page.Items[2].Caller != "svc" || page.Items[2].SessionName != "rolecall-svc" || page.Items[2].Denied {
		t.Errorf("%+v", page)
	}
	w.now = w.now.Add(25 * time.Minute)
	if page := read[Sessions](t, w.want(ask{method: "GET", path: path + "/sessions"}, 200)); len(page.Items) != 2 {
		t.Errorf("%d sessions, the first one has ended", len(page.Items))
	}
	paged := read[Sessions](t, w.want(ask{method: "GET", path: path + "/sessions?limit=1"}, 200))
	if len(paged.Items) != 1 || paged.NextCursor == "" {
		t.Errorf("%+v", paged)
	}
	events := read[Events](t, w.want(ask{method: "GET", path: path + "/events?type=credentials"}, 200))
	if len(events.Items) != 3 {
		t.Errorf("%d events of credentials", len(events.Items))
	}
	w.refused(ask{method: "GET", path: path + "/events?type=secrets"}, 400, codeParameterInvalid)
	w.mustHaveNoSecret()
}

func TestRevokeSessions(t *testing.T) {
	w := newWorld(t)
	c := w.enabled("a")
	path := "/v1/connections/" + c.ID
	w.want(ask{method: "GET", path: path + "/credentials"}, 200)
	res := w.want(ask{method: "POST", path: path + "/revoke-sessions"}, 200)
	out := read[RevokedSessions](t, res)
	if !out.Denied || out.DeniedBefore == nil || out.PolicyRemovedAt == nil || out.ValidUntil != nil || res.Header.Get("ETag") != etag(out.Version) {
		t.Errorf("%+v", out)
	}
	w.now = w.now.Add(time.Minute)
	if page := read[Sessions](t, w.want(ask{method: "GET", path: path + "/sessions"}, 200)); len(page.Items) != 1 || !page.Items[0].Denied {
		t.Errorf("%+v", page)
	}
	w.account.fixed = true
	out = read[RevokedSessions](t, w.want(ask{method: "POST", path: path + "/revoke-sessions"}, 200))
	if out.Denied || out.ValidUntil == nil || out.Code != string(connect.CodeRevocationDenied) || out.Fix == "" {
		t.Errorf("%+v", out)
	}
	w.refused(ask{method: "POST", path: path + "/revoke-sessions", header: map[string]string{"If-Match": `"1"`}}, 412, connect.CodeVersion)
	w.want(ask{method: "DELETE", path: path}, 204)
	w.refused(ask{method: "POST", path: path + "/revoke-sessions"}, 409, connect.CodeStatus)
}

func TestSignInLink(t *testing.T) {
	w := newWorld(t)
	path := "/v1/connections/" + w.enabled("a").ID + "/sign-in"
	link := read[SignInLink](t, w.want(ask{method: "POST", path: path, body: `{"reason":"look"}`}, 200))
	if !strings.HasPrefix(link.URL, "https://signin.aws.amazon.com/federation?Action=login&") || !link.ExpiresAt.Equal(w.now.Add(15*time.Minute)) {
		t.Errorf("%+v", link)
	}
	w.refused(ask{method: "POST", path: path, body: `{"destination":"https://evil.example/"}`}, 400, connect.CodeDestinationInvalid)
	w.refused(ask{method: "POST", path: path, body: `{"issuer":"http://x"}`}, 400, connect.CodeIssuerInvalid)
	w.account.down = true
	w.refused(ask{method: "POST", path: path, body: `{}`}, 503, connect.CodeSTSUnavailable)
	if strings.Contains(w.log.String(), "canary-sign-in-token") {
		t.Error("the link is in the log")
	}
}

// A token's restriction is the link's, too.
func TestSignInIsRestricted(t *testing.T) {
	w := newWorld(t)
	id := w.enabled("a").ID
	for _, route := range []string{"/sign-in", "/credentials"} {
		for status, allowed := range map[int][]string{403: {"project:web"}, 200: {id}} {
			r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/connections/"+id+route, strings.NewReader(`{}`))
			r.Header.Set("Content-Type", "application/json")
			rec := httptest.NewRecorder()
			w.broker.ServeHTTP(rec, r.WithContext(Restrict(Identify(r.Context(), "acme", "anna", allScopes()), allowed)))
			if rec.Code != status || status == 403 && !strings.Contains(rec.Body.String(), string(connect.CodeConnectionNotAllowed)) {
				t.Errorf("%s with %v: %d %s", route, allowed, rec.Code, rec.Body)
			}
		}
	}
}

// What the body narrows, the session is narrowed to.
func TestSignInLinkForReading(t *testing.T) {
	w := newWorld(t)
	path := "/v1/connections/" + w.enabled("a").ID
	w.want(ask{method: "POST", path: path + "/sign-in", body: `{"readOnly":true}`}, 200)
	w.now = w.now.Add(time.Second)
	w.want(ask{method: "POST", path: path + "/sign-in", body: `{"readOnly":false}`}, 200)
	sessions := read[Sessions](t, w.want(ask{method: "GET", path: path + "/sessions"}, 200)).Items
	if len(sessions) != 2 || sessions[0].PolicyHash != "" || sessions[1].PolicyHash == "" {
		t.Errorf("%+v", sessions)
	}
}
