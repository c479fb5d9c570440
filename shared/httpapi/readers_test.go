package httpapi

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"rolecall/shared/connect"
)

// onlyReads are the scopes of a caller who may read, and of nothing that merely looks like writing.
func onlyReads() []string {
	return []string{ScopeRead, ScopeWrite + ":x", strings.ToUpper(ScopeWrite), "connections", "*"}
}

// A stage is a connection or an enrolment as it may be found, and whether those who may write see its launch.
type stage struct {
	name     string
	id       string
	launched bool
}

// stages are a connection in every status and by each method, all with a launch that has not expired.
func (w *world) stages() []stage {
	w.t.Helper()
	enabled := w.enabled("enabled")
	w.want(ask{method: "PUT", path: "/v1/connections/" + enabled.ID + "/scopes", body: `{"scopes":[{"level":"organization"}]}`}, http.StatusOK)
	served := w.store.Get(connect.ConnectionID(enabled.ID)).Snapshot()
	stages := []stage{{"enabled", enabled.ID, false}}
	for _, status := range connect.Statuses() {
		if status != connect.StatusEnabled {
			waits := status == connect.StatusPending || status == connect.StatusFailed
			stages = append(stages, stage{string(status), w.restored(string(status), func(s *connect.Snapshot) {
				s.Status, s.Checks, s.RoleARN = status, served.Checks, served.RoleARN
				s.StatusReason = connect.Reason{Code: connect.CodeRoleNotAssumable, Message: "denied", Fix: "Allow it."}
				if status == connect.StatusVerifying {
					s.Verification = &connect.Verification{Run: 1, RoleARN: served.RoleARN, NextTryAt: w.now, Deadline: w.now}
				}
			}), waits})
		}
	}
	for _, status := range []connect.Status{connect.StatusEnabled, connect.StatusDegraded} {
		name := string(status) + " by access key"
		stages = append(stages, stage{name, w.restored(name, func(s *connect.Snapshot) {
			s.Method, s.Status, s.AccountID = connect.MethodAccessKey, status, "222222222222"
			s.AccessKey = &connect.AccessKey{ID: "AKIAIOSFODNN7EXAMPLE", Sealed: "sealed", SetAt: w.now}
			s.Checks = []connect.Check{{Name: connect.CheckKeys, Verdict: connect.Passed}, {Name: connect.CheckRegions, Verdict: connect.Passed}}
		}), true})
	}
	return stages
}

// restored is a new connection, with its launch, as change makes it.
func (w *world) restored(name string, change func(*connect.Snapshot)) string {
	w.t.Helper()
	id := connect.ConnectionID(w.create(name).ID)
	s := w.store.Get(id).Snapshot()
	change(&s)
	c, err := connect.Restore(s)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, open := c.OpenLaunch(w.now); !open {
		w.t.Fatalf("%s: no launch that could be shown", name)
	}
	w.store.Put(c)
	return string(id)
}

// enrolmentStages are an enrolment in every status.
func (w *world) enrolmentStages() []stage {
	w.t.Helper()
	active, revoked := w.enrol(enrolBody).ID, w.enrol(enrolBody).ID
	w.want(ask{method: "DELETE", path: "/v1/enrolments/" + revoked}, http.StatusNoContent)
	w.store.PutMember(connect.Member{
		EnrolmentID: connect.EnrolmentID(active), AccountID: "333333333333", ConnectionID: "conn_2", Own: "conn_2", State: connect.MemberFailed,
		RolledBack: true, UpdatedAt: w.now, Reason: connect.Reason{Code: connect.CodeOrganizationDenied, Message: "not there", Fix: "Leave."},
	})
	return []stage{{"active", active, true}, {"revoked", revoked, false}}
}

// shows reports whether a body has a token of a launch in any form that a link, a command or a list could give it.
func shows(body []byte) bool {
	for _, secret := range []string{canaryToken, canaryEnrolled} {
		forms := []string{secret, url.QueryEscape(secret), url.PathEscape(secret)}
		for skip := range 3 { // where a text in base64 could have it
			part := []byte(secret[skip : skip+len(secret[skip:])/3*3])
			forms = append(forms, base64.RawStdEncoding.EncodeToString(part), base64.RawURLEncoding.EncodeToString(part))
		}
		for _, form := range forms {
			if bytes.Contains(body, []byte(form)) {
				return true
			}
		}
	}
	return false
}

// A caller who may only read sees no token of a launch, nor what holds one, by any route and whatever has become of the
// connection or the enrolment. None is made for them either. Who may write sees it where it is awaited, and nowhere else.
func TestReadersSeeNoLaunch(t *testing.T) {
	w := newWorld(t)
	kinds := map[string][]stage{"/v1/connections/{id}": w.stages(), "/v1/enrolments/{id}": w.enrolmentStages()}
	answered := map[string]bool{}
	for _, r := range Routes() {
		var found []stage
		for prefix, stages := range kinds {
			if r.Path == prefix || strings.HasPrefix(r.Path, prefix+"/") {
				found = stages
			}
		}
		if found == nil {
			found = []stage{{name: "no id"}}
		}
		if strings.Contains(r.Path, "{") != (found[0].id != "") {
			t.Errorf("%s %s: this test does not know what it is about", r.Method, r.Path)
			continue
		}
		for _, s := range found {
			what := r.Method + " " + r.Path + ", " + s.name
			a := ask{method: r.Method, path: strings.ReplaceAll(r.Path, "{id}", s.id), scopes: onlyReads()}
			if r.Method != http.MethodGet || (r.Scope != ScopeRead && r.Scope != "") {
				if raw := w.want(a, http.StatusForbidden).raw; shows(raw) {
					t.Errorf("%s: who may only read sees a token in the refusal %.600s", what, raw)
				}
				continue
			}
			made := w.tokens.made
			res := w.send(a)
			if shows(res.raw) || bytes.Contains(res.raw, []byte(`"quickCreateUrl":"`)) {
				t.Errorf("%s: who may only read sees a launch: %.600s", what, res.raw)
			}
			if w.tokens.made != made {
				t.Errorf("%s: a token is made for who may only read", what)
			}
			answered[r.Path] = answered[r.Path] || res.StatusCode == http.StatusOK
			a.scopes = allScopes()
			res = w.send(a)
			if single := strings.HasSuffix(r.Path, "/{id}"); shows(res.raw) != (single && s.launched) {
				t.Errorf("%s: who may write sees a launch: %t; %.600s", what, shows(res.raw), res.raw)
			}
		}
		if _, ok := answered[r.Path]; ok && !answered[r.Path] {
			t.Errorf("%s %s answered nothing that could show a token", r.Method, r.Path)
		}
	}
	if len(answered) < 8 {
		t.Errorf("only %d routes were read", len(answered))
	}
}

// Who may not see a launch is told that there is one.
func TestReadersKnowThatALaunchIsOpen(t *testing.T) {
	w := newWorld(t)
	w.tokens.fail = connect.Unavailable(connect.CodeStoreUnavailable, "KMS is down", nil) // of no concern to readers
	for _, s := range w.stages() {
		c := read[Connection](t, w.want(ask{method: "GET", path: "/v1/connections/" + s.id, scopes: onlyReads()}, http.StatusOK))
		if c.Launch != nil || (c.LaunchExpiresAt != nil) != s.launched {
			t.Errorf("%s: launch %v, open until %v", s.name, c.Launch, c.LaunchExpiresAt)
		}
	}
}
