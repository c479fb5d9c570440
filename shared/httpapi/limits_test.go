package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

// limited is a world in which each tenant may have so much a minute.
func limited(t *testing.T, reads, launches, revocations int) *world {
	t.Helper()
	w := newWorld(t)
	table := storetest.New() // of its own: that a request is counted is no change that a refused one makes
	ration := func(of connect.Rationed, perMinute int) *connect.Ration {
		return &connect.Ration{Store: table, Clock: func() time.Time { return w.now }, Of: of, PerMinute: perMinute}
	}
	w.apiParts.Rations = []*connect.Ration{ration(connect.RationedReads, reads), ration(connect.RationedLaunches, launches)}
	w.brokerParts.Rations = []*connect.Ration{ration(connect.RationedRevocations, revocations)}
	w.brokerParts.Verifications.Revocations = ration(connect.RationedRevocations, connect.MostRevocations)
	w.compose()
	return w
}

// tooMany is a refusal with the time to come back, which is the minute's end; at 05:06:07 that is 53 s away.
func (w *world) tooMany(a ask) {
	w.t.Helper()
	p := w.refused(a, http.StatusTooManyRequests, connect.CodeTooManyRequests)
	if after := w.send(a).Header.Get("Retry-After"); after != "53" || p.Fix == "" {
		w.t.Errorf("%s %s: Retry-After %q, fix %q", a.method, a.path, after, p.Fix)
	}
}

// A tenant that has read as much as it may is refused on every route that reads, and on no other; other tenants read on.
func TestReadsAreRationed(t *testing.T) {
	w := limited(t, 300, 100, 100)
	c := w.create("Read")
	for range 300 {
		w.want(ask{method: "GET", path: "/v1/config"}, 200)
	}
	refused := 0
	for _, r := range Routes() {
		a := ask{method: r.Method, path: strings.ReplaceAll(r.Path, "{id}", c.ID)}
		if r.Scope == ScopeRead {
			refused++
			w.tooMany(a)
			a.tenant = "other"
		}
		if got := w.send(a); got.StatusCode == http.StatusTooManyRequests {
			t.Errorf("%s %s: %s", a.method, a.path, got.raw)
		}
	}
	if refused < 10 {
		t.Errorf("%d routes read", refused)
	}
	w.now = w.now.Add(53 * time.Second)
	w.want(ask{method: "GET", path: "/v1/config"}, 200)
}

func TestLaunchesAreRationed(t *testing.T) {
	w := limited(t, 1000, 20, 100)
	c := w.create("Launched")
	for range 19 {
		w.want(ask{method: "POST", path: "/v1/connections/" + c.ID + "/launch"}, 201)
	}
	enrol := `{"organizationId":"o-a1b2c3d4e5","organizationalUnitIds":["r-ab12"]}`
	for _, a := range []ask{
		{method: "POST", path: "/v1/connections/" + c.ID + "/launch"},
		{method: "POST", path: "/v1/connections", body: `{"name":"More"}`},
		{method: "POST", path: "/v1/enrolments", body: enrol},
	} {
		w.tooMany(a)
		a.tenant = "other"
		if got := w.send(a); got.StatusCode == http.StatusTooManyRequests {
			t.Errorf("%s %s of another tenant: %s", a.method, a.path, got.raw)
		}
	}
	w.want(ask{method: "GET", path: "/v1/connections"}, 200)
}

// Revoking is rationed for each tenant, and for each of its connections: else who could revoke without end could keep
// everybody from having a session.
func TestRevocationsAreRationed(t *testing.T) {
	w := limited(t, 1000, 100, 20)
	revoke := func(c Connection) ask {
		return ask{method: "POST", path: "/v1/connections/" + c.ID + "/revoke-sessions"}
	}
	first := w.enabled("First")
	for range connect.MostRevocations {
		w.want(revoke(first), 200)
	}
	w.tooMany(revoke(first))
	w.tooMany(revoke(first))
	second := w.second("Second", "222222222223")
	w.want(revoke(second), 200)

	// What is not the tenant's costs it a request, and the other tenant nothing.
	for range 20 {
		other := revoke(second)
		other.tenant = "other"
		if got := w.send(other); got.StatusCode != 404 && got.StatusCode != 429 {
			t.Errorf("%d", got.StatusCode)
		}
	}
	w.want(revoke(second), 200)
	for range 20 {
		w.send(revoke(second))
	}
	third := w.second("Third", "222222222224")
	w.tooMany(revoke(third)) // the tenant has had its share
	w.now = w.now.Add(53 * time.Second)
	w.want(revoke(third), 200)
}

// second is another connection that is enabled, of another account.
func (w *world) second(name, account string) Connection {
	w.t.Helper()
	c := w.create(name)
	external := connect.ExternalID(c.ExternalID)
	trust := connect.Platform{Partition: connect.PartitionAWS, Account: platformAccount}.TrustPolicy(external)
	w.account.right, w.account.trust = external, trust
	role := strings.Replace(roleARN, "222222222222", account, 1)
	return read[Connection](w.t, w.want(ask{method: "PUT", path: "/v1/connections/" + c.ID + "/role", body: `{"roleArn":"` + role + `"}`}, 200))
}

// The document says where 429 can come from.
func TestRationedRoutesAreDocumented(t *testing.T) {
	var doc struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct{ Headers map[string]any }
		}
	}
	if err := json.Unmarshal(OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	for _, r := range Routes() {
		_, says := doc.Paths[r.Path][strings.ToLower(r.Method)].Responses["429"].Headers["Retry-After"]
		if want := r.Rationed != "" && !isLegacy(r.Path); says != want {
			t.Errorf("%s %s: 429 is documented: %t", r.Method, r.Path, says)
		}
		if r.Scope == ScopeRead && r.Rationed != connect.RationedReads || r.Scope == ScopeIssue && r.Rationed != connect.RationedCredentials {
			t.Errorf("%s %s is rationed as %q", r.Method, r.Path, r.Rationed)
		}
	}
}

// Nothing that can be sent, by anybody, makes more than a line of INFO: else strangers could hide what is wrong, or wake
// somebody up.
func TestWhatStrangersSendIsNoError(t *testing.T) {
	w := limited(t, 200, 20, 20)
	c := w.enabled("Attacked")
	bodies := []string{
		"", "{", "[]", "null", `{"name":1}`, `{"externalId":"mine"}`, `{"roleArn":"arn:aws:iam::000000000000:role/../x"}`, "\x00\xff", strings.Repeat("a", 70_000),
		`{"policy":{"Statement":[{"Effect":"Maybe"}]}}`, `{"scopes":[{"level":"project","id":"` + strings.Repeat("x", 500) + `"}]}`, `{"reason":"` + strings.Repeat("\\u0000", 300) + `"}`,
	}
	cursor := base64.RawURLEncoding.EncodeToString([]byte("EVENT#\xff\x00"))
	queries := []string{"", "?limit=-1", "?cursor=%ff", "?cursor=" + cursor, "?status=x", "?format=x", "?x=y", "?%zz", "?project=", "?durationSeconds=1"}
	headers := []map[string]string{nil, {"If-Match": "x"}, {"Idempotency-Key": strings.Repeat("k", 200)}, {"If-None-Match": strings.Repeat(",", 5000)}}
	ids := []string{c.ID, "conn_x", "%00", "%C3%A4", strings.Repeat("x", 2000)}
	callers := []ask{{}, {tenant: "-"}, {tenant: "a b"}, {subject: "rolecall"}, {scopes: []string{"nothing"}}, {tenant: "other"}}
	sent := 0
	for i, r := range append(Routes(), Route{Method: "GET", Path: "/nowhere"}, Route{Method: "BREW", Path: "/v1/config"}) {
		for j, body := range bodies { // each with another of the rest, in turn
			n := i + j
			a := callers[n%len(callers)]
			a.method, a.path = r.Method, strings.ReplaceAll(r.Path, "{id}", ids[n%len(ids)])+strings.ReplaceAll(queries[n%len(queries)], " ", "")
			a.body, a.header = body, headers[n%len(headers)]
			for range 3 {
				w.send(a)
				sent++
			}
		}
	}
	for range 30 { // beyond the limits, the legacy route's own way of saying so among them
		w.send(ask{method: "GET", path: "/api/account/aws/config"})
		w.send(ask{method: "POST", path: "/v1/connections/" + c.ID + "/revoke-sessions"})
		w.send(ask{method: "GET", path: "/v1/connections/" + c.ID + "/credentials"})
	}
	w.fail(connect.ErrConflict) // many change one connection at once
	w.send(ask{method: "DELETE", path: "/v1/connections/" + c.ID})
	w.fail(nil)
	statuses := map[int]int{}
	for l := range strings.Lines(w.log.String()) {
		var line struct {
			Level, Msg, Route, Code, Error string
			Status                         int
		}
		if err := json.Unmarshal([]byte(l), &line); err != nil {
			t.Fatal(err)
		}
		statuses[line.Status]++
		if line.Level != "INFO" {
			t.Errorf("%s", strings.TrimSpace(l))
		}
	}
	for _, status := range []int{400, 401, 403, 404, 405, 413, 429, 500, 503} {
		if statuses[status] == 0 {
			t.Errorf("no request of %d was answered %d: %v", sent, status, slices.Sorted(maps.Keys(statuses)))
		}
	}
	w.fail(connect.Unavailable(connect.CodeStoreUnavailable, "down", nil))
	w.send(ask{method: "DELETE", path: "/v1/connections/" + c.ID})
	if got := w.log.String(); strings.Count(got, `"level":"ERROR"`) != 1 {
		t.Errorf("our own trouble makes %s lines of ERROR", strconv.Itoa(strings.Count(got, `"level":"ERROR"`)))
	}
}
