package httpapi

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolecall/shared/connect"
)

func (w *world) scopes(id, body string) ask {
	return ask{method: "PUT", path: "/v1/connections/" + id + "/scopes", body: body}
}

func TestScopesOfAConnection(t *testing.T) {
	w := newWorld(t)
	one := read[Connection](t, w.want(ask{
		method: "POST", path: "/v1/connections",
		body: `{"name":"one","scopes":[{"level":"project","id":"p1"},{"level":"organization"}]}`,
	}, 201))
	if diff := cmp.Diff([]Scope{{Level: "organization"}, {Level: "project", ID: "p1"}}, one.Scopes); diff != "" {
		t.Error(diff)
	}
	p := w.refused(ask{method: "POST", path: "/v1/connections", body: `{"name":"two","scopes":[{"level":"project","id":"p1"}]}`}, 409, connect.CodeScopeTaken)
	if p.ConnectionID != one.ID || p.Fix == "" || p.Errors[0].Field != "scopes" {
		t.Errorf("%+v", p)
	}
	two := w.create("two") // its name was not used up
	tooMany := make([]string, 0, connect.MaxScopes+1)
	for i := range connect.MaxScopes + 1 {
		tooMany = append(tooMany, fmt.Sprintf(`{"level":"project","id":"p%d"}`, i))
	}
	for body, code := range map[string]connect.Code{
		`{}`:                          codeFieldInvalid,
		`{"scopes":null}`:             codeFieldInvalid,
		`{"scopes":{}}`:               codeFieldInvalid,
		`{"scopes":["organization"]}`: codeFieldInvalid,
		`{"scopes":[{"id":"p1"}]}`:    codeFieldInvalid,
		`{"scopes":[{"level":"project","id":7}]}`:                                       codeFieldInvalid,
		`{"scopes":[{"level":"organization","name":"x"}]}`:                              codeUnknownField,
		`{"scopes":[{"level":"organization","level":"project"}]}`:                       codeFieldInvalid,
		`{"scopes":[],"takeover":true}`:                                                 codeUnknownField,
		`{"scopes":[],"takeOver":"true"}`:                                               codeFieldInvalid,
		`{"scopes":[{"level":"team","id":"x"}]}`:                                        connect.CodeScopeInvalid,
		`{"scopes":[{"level":"project"}]}`:                                              connect.CodeScopeInvalid,
		`{"scopes":[{"level":"organization","id":"x"}]}`:                                connect.CodeScopeInvalid,
		`{"scopes":[{"level":"project","id":"a b"}]}`:                                   connect.CodeScopeInvalid,
		`{"scopes":[{"level":"project","id":"p"},{"level":"project","id":"p"}]}`:        connect.CodeScopeInvalid,
		`{"scopes":[` + strings.Join(tooMany, ",") + `]}`:                               connect.CodeScopeInvalid,
		`{"takeOver":true,"scopes":[` + strings.Join(append(tooMany, "{}"), ",") + `]}`: codeFieldInvalid,
	} {
		w.refused(w.scopes(two.ID, body), 400, code)
	}
	stale := w.scopes(two.ID, `{"scopes":[]}`)
	stale.header = map[string]string{"If-Match": `"9"`}
	stale.body = `{"scopes":[{"level":"architecture","id":"a"}]}`
	w.refused(stale, 412, connect.CodeVersion)
	take := `{"scopes":[{"level":"architecture","id":"a"},{"level":"project","id":"p1"}]`
	if p := w.refused(w.scopes(two.ID, take+`}`), 409, connect.CodeScopeTaken); p.ConnectionID != one.ID {
		t.Errorf("%+v", p)
	}
	w.refused(w.scopes(two.ID, take+`,"takeOver":false}`), 409, connect.CodeScopeTaken)
	res := w.want(w.scopes(two.ID, take+`,"takeOver":true}`), 200)
	if got := read[Connection](t, res); got.Version != 2 || res.Header.Get("ETag") != `"2"` || len(got.Scopes) != 2 || got.Launch == nil {
		t.Errorf("%+v", got)
	}
	loser := read[Connection](t, w.want(ask{method: "GET", path: "/v1/connections/" + one.ID}, 200))
	if diff := cmp.Diff([]Scope{{Level: "organization"}}, loser.Scopes); diff != "" || loser.Version != 2 {
		t.Errorf("version %d: %s", loser.Version, diff)
	}
	events := read[Events](t, w.want(ask{method: "GET", path: "/v1/connections/" + one.ID + "/events"}, 200)).Items
	if events[0].Type != "connection.scopes_changed" || events[0].Data["takenBy"] != two.ID {
		t.Errorf("the loser was told %+v", events[0])
	}
	w.want(ask{method: "DELETE", path: "/v1/connections/" + one.ID}, 204)
	w.want(w.scopes(two.ID, `{"scopes":[{"level":"organization"}]}`), 200) // free again
	w.refused(w.scopes(one.ID, `{"scopes":[]}`), 409, connect.CodeStatus)
	other := ask{method: "POST", path: "/v1/connections", tenant: "other", body: `{"name":"one","scopes":[{"level":"organization"}]}`}
	w.want(other, 201) // another tenant's organization
}

func TestEffectiveConnection(t *testing.T) {
	w := newWorld(t)
	effective := func(query string) ask { return ask{method: "GET", path: "/v1/effective-connection" + query} }
	p := w.refused(effective(""), 404, connect.CodeNoEffectiveConnection)
	if p.Fix == "" || !strings.Contains(p.Detail, "organization: no connection") {
		t.Errorf("%+v", p)
	}
	c := w.enabled("one")
	w.want(w.scopes(c.ID, `{"scopes":[{"level":"organization"},{"level":"project","id":"p1"}]}`), 200)
	pending := w.create("two")
	w.want(w.scopes(pending.ID, `{"scopes":[{"level":"environment","id":"e1"}]}`), 200)
	got := read[EffectiveConnection](t, w.want(effective("?project=p1&environment=e1"), 200))
	want := EffectiveConnection{
		Connection: got.Connection, Match: Scope{Level: "project", ID: "p1"},
		LookedAt: []ScopeCandidate{
			{Scope: Scope{Level: "environment", ID: "e1"}, Result: "unusable", ConnectionID: pending.ID, Status: "pending"},
			{Scope: Scope{Level: "project", ID: "p1"}, Result: "matched", ConnectionID: c.ID, Status: "enabled"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" || got.Connection.ID != c.ID || got.Connection.Launch != nil {
		t.Errorf("%s %s", got.Connection.ID, diff)
	}
	if got := read[EffectiveConnection](t, w.want(effective("?strict=false&architecture=a1"), 200)); got.Match != (Scope{Level: "organization"}) || len(got.LookedAt) != 2 {
		t.Errorf("%+v", got)
	}
	p = w.refused(effective("?strict=true&environment=e1"), 404, connect.CodeNoEffectiveConnection)
	if !strings.Contains(p.Detail, "environment e1: connection "+pending.ID+" is pending") {
		t.Errorf("%+v", p)
	}
	for query, code := range map[string]connect.Code{
		"?project=": codeParameterInvalid, "?project=a%20b": codeParameterInvalid, "?project=a&project=b": codeParameterInvalid,
		"?organization=x": codeUnknownParameter, "?strict=yes": codeParameterInvalid, "?architecture=" + strings.Repeat("x", 129): codeParameterInvalid,
	} {
		w.refused(effective(query), 400, code)
	}
	stranger := effective("?project=p1")
	stranger.tenant = "other"
	w.refused(stranger, 404, connect.CodeNoEffectiveConnection)
	w.want(ask{method: "DELETE", path: "/v1/connections/" + c.ID}, 204)
	w.refused(effective("?project=p1"), 404, connect.CodeNoEffectiveConnection)
}
