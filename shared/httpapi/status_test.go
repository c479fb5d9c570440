package httpapi

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// following is a connection's status as a page asks for it: with the ETag that it has.
func (w *world) following(id, tag string, status int) received {
	w.t.Helper()
	return w.want(ask{method: "GET", path: "/v1/connections/" + id + "/status", header: map[string]string{"If-None-Match": tag}}, status)
}

// A page that follows a connection pays for what changes, and for nothing else: neither a body nor a token is made for it.
func TestFollowingAConnection(t *testing.T) {
	w := newWorld(t)
	c := w.create("Followed")
	first := w.following(c.ID, "", 200)
	tag := first.Header.Get("ETag")
	got := read[ConnectionStatus](t, first)
	if got.ID != c.ID || got.Status != "pending" || got.Version != 1 || got.StackStarted || got.Verification != nil ||
		!got.UpdatedAt.Equal(w.now) || got.LaunchExpiresAt == nil || !got.LaunchExpiresAt.Equal(c.Launch.ExpiresAt) {
		t.Errorf("%s", first.raw)
	}
	w.tokens.fail = connect.Unavailable(connect.CodeInternal, "no token is to be made", nil)
	for range 100 {
		w.now = w.now.Add(time.Second)
		if same := w.following(c.ID, tag, 304); len(same.raw) != 0 || same.Header.Get("ETag") != tag {
			t.Fatalf("%d bytes, ETag %s", len(same.raw), same.Header.Get("ETag"))
		}
	}
	w.tokens.fail = nil

	// Whatever a page shows, it hears of: the launch ends, a role is verified, it is found good again without a new version.
	news := func(what string, happen func()) ConnectionStatus {
		t.Helper()
		happen()
		res := w.following(c.ID, tag, 200)
		if tag = res.Header.Get("ETag"); len(res.raw) >= 1024 {
			t.Errorf("%s: %d bytes", what, len(res.raw))
		}
		w.following(c.ID, tag, 304)
		return read[ConnectionStatus](t, res)
	}
	began := w.now
	if got := news("the launch has ended", func() { w.now = w.now.Add(connect.LaunchLife) }); got.LaunchExpiresAt != nil || got.Version != 1 {
		t.Errorf("%+v", got)
	}
	w.now = began
	tag = w.following(c.ID, tag, 200).Header.Get("ETag")
	w.account.set(func(a *account) { a.denies = true })
	trial := news("a role is on trial", func() {
		w.want(ask{method: "PUT", path: "/v1/connections/" + c.ID + "/role", body: `{"roleArn":"` + roleARN + `"}`}, 202)
	})
	if v := trial.Verification; v == nil || v.Attempt != 1 || !v.NextTryAt.After(w.now) || !v.Deadline.After(v.NextTryAt) {
		t.Errorf("%+v", trial)
	}
	found := news("found good without a change", func() {
		if err := w.store.RecordCheck(t.Context(), connect.ConnectionID(c.ID), w.now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	})
	if found.LastVerifiedAt == nil || !found.LastVerifiedAt.Equal(w.now.Add(time.Hour)) || found.Version != trial.Version {
		t.Errorf("%+v", found)
	}
}

// The ETag of a status is no version of the connection, and the status of another tenant's connection is none, whoever knows
// its ETag.
func TestAStatusIsItsTenantsAlone(t *testing.T) {
	w := newWorld(t)
	c := w.create("Mine")
	tag := w.following(c.ID, "", 200).Header.Get("ETag")
	w.refused(ask{method: "POST", path: "/v1/connections/" + c.ID + "/launch", header: map[string]string{"If-Match": tag}}, 400, codeIfMatchInvalid)
	unknown := strings.Repeat("0", len("01jd0000000000000000000000"))
	var answers []string
	for _, id := range []string{c.ID, "conn_" + unknown, "nonsense"} {
		for _, match := range []string{"", tag, "*"} {
			a := ask{method: "GET", path: "/v1/connections/" + id + "/status", tenant: "other", header: map[string]string{"If-None-Match": match}}
			answers = append(answers, string(w.want(a, 404).raw))
		}
	}
	for _, a := range answers {
		if a != answers[0] {
			t.Errorf("answers differ: %s and %s", answers[0], a)
		}
	}
}

// However much there is to say of what is wrong, a status stays small; a fix is whole or not there.
func TestALongReasonStaysSmall(t *testing.T) {
	long := connect.Reason{Code: connect.CodeTrustTooBroad, Message: strings.Repeat("ä", 4000), Fix: strings.Repeat("x", 4000)}
	got := shortReason(long)
	if n := len([]rune(got.Message)); n != shortMessage || !strings.HasSuffix(got.Message, "…") || got.Fix != "" {
		t.Errorf("%d characters, fix of %d", n, len(got.Fix))
	}
	body, err := json.Marshal(ConnectionStatus{
		ID: "conn_01jd0000000000000000000000", Status: "disconnected", StatusReason: &Reason{Code: strings.Repeat("C", 40), Message: got.Message, Fix: strings.Repeat("x", shortFix)},
		Version: 1 << 40, Verification: &TrialStatus{}, LastVerifiedAt: &time.Time{}, LaunchExpiresAt: &time.Time{},
	})
	if err != nil || len(body) >= 1024 {
		t.Errorf("%d bytes at most, %v", len(body), err)
	}
	short := connect.Reason{Code: connect.CodeLaunchExpired, Message: "nobody launched the stack within seven days", Fix: "Prepare a new launch."}
	if got := shortReason(short); got.Message != short.Message || got.Fix != short.Fix {
		t.Errorf("%+v", got)
	}
}

// The description of the API costs a body once, whatever becomes of its ETag on the way.
func TestTheDescriptionIsCached(t *testing.T) {
	w := newWorld(t)
	get := func(match string, status int) received {
		t.Helper()
		return w.want(ask{method: "GET", path: "/openapi.json", tenant: "-", header: map[string]string{"If-None-Match": match}}, status)
	}
	first := get("", 200)
	tag := first.Header.Get("ETag")
	if first.Header.Get("Cache-Control") != "public, max-age=300" || len(tag) < 10 {
		t.Fatalf("headers %v", first.Header)
	}
	bytes := 0
	for range 200 {
		for _, match := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
			same := get(match, 304)
			bytes += len(same.raw)
			if same.Header.Get("ETag") != tag || same.Header.Get("Cache-Control") != "public, max-age=300" {
				t.Fatalf("headers %v", same.Header)
			}
		}
	}
	if bytes != 0 {
		t.Errorf("800 requests cost %d bytes", bytes)
	}
	for _, match := range []string{`"other"`, `W/"other"`, tag[:len(tag)-2] + `"`, strings.Trim(tag, `"`)} {
		get(match, 200)
	}
}
