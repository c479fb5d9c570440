package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

// A concern is what a route is about, as far as a restricted token is concerned.
type concern string

const (
	public     concern = "nobody's data"
	reads      concern = "reading"
	connection concern = "using or changing one connection"
	wholeOne   concern = "the whole tenant, by one of its connections or enrolments"
	whole      concern = "the whole tenant"
)

// concerns has every route, and how it ends for who may: a new route belongs here, or the tests below fail.
func concerns() map[string]struct {
	concern concern
	status  int
} {
	type row = struct {
		concern concern
		status  int
	}
	return map[string]row{
		"GET /openapi.json":                         {public, 200},
		"GET /.well-known/oauth-protected-resource": {public, 200},

		"GET /v1/config":                    {reads, 200},
		"GET /v1/connections":               {reads, 200},
		"GET /v1/connections/{id}":          {reads, 200},
		"GET /v1/connections/{id}/events":   {reads, 200},
		"GET /v1/connections/{id}/sessions": {reads, 200},
		"GET /v1/connections/{id}/status":   {reads, 200},
		"GET /v1/effective-connection":      {reads, 200},
		"GET /v1/enrolments":                {reads, 200},
		"GET /v1/enrolments/{id}":           {reads, 200},
		"GET /v1/enrolments/{id}/accounts":  {reads, 200},

		"GET /v1/connections/{id}/credentials":      {connection, 200},
		"POST /v1/connections/{id}/credentials":     {connection, 200},
		"GET /v1/effective-connection/credentials":  {connection, 200},
		"POST /v1/connections/{id}/sign-in":         {connection, 200},
		"POST /v1/connections/{id}/revoke-sessions": {connection, 200},
		"PATCH /v1/connections/{id}":                {connection, 200},
		"DELETE /v1/connections/{id}":               {connection, 204},
		"POST /v1/connections/{id}/launch":          {connection, 201},
		"PUT /v1/connections/{id}/role":             {connection, 200},
		"POST /v1/connections/{id}/verify":          {connection, 200},
		"PUT /v1/connections/{id}/access-key":       {connection, 409}, // it is one by role
		"POST /api/account/aws/add":                 {connection, 201}, // of a role that a connection has

		"PUT /v1/connections/{id}/scopes": {wholeOne, 200},
		"DELETE /v1/enrolments/{id}":      {wholeOne, 204},
		"POST /v1/enrolments/{id}/retry":  {wholeOne, 200},

		"POST /v1/connections":        {whole, 201},
		"POST /v1/enrolments":         {whole, 201},
		"GET /api/account/aws/config": {whole, 200},
	}
}

// mustPass is the one table: which claim lets a token do what. A claim names things, or is absent.
func mustPass() map[string]map[concern]bool {
	everything := map[concern]bool{reads: true, connection: true, wholeOne: true, whole: true}
	return map[string]map[concern]bool{
		"absent":                       everything,
		"names the connection":         {reads: true, connection: true},
		"names a scope of it":          {reads: true, connection: true},
		"names it among others":        {reads: true, connection: true},
		"names another connection":     {reads: true},
		"names another's scope":        {reads: true},
		"names what the body asks for": {reads: true},
		"names its name":               {reads: true},
		"empty":                        {reads: true},
	}
}

// A fixture is a tenant with a connection of each kind, and what another tenant has.
type fixture struct {
	*world
	target, other, waiting Connection // the last one is still to be launched
	enrolment              Enrolment
	strangers, enrolments  string // ids of another tenant's connection and enrolment
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{world: newWorld(t)}
	f.other = f.connected("Other", "arn:aws:iam::222222222222:role/Other")
	f.want(f.scopes(f.other.ID, `{"scopes":[{"level":"project","id":"other"}]}`), 200)
	f.waiting = f.create("Waiting")
	f.want(f.scopes(f.waiting.ID, `{"scopes":[{"level":"project","id":"waiting"}]}`), 200)
	f.target = f.connected("Target", roleARN)
	f.want(f.scopes(f.target.ID, `{"scopes":[{"level":"environment","id":"live"},{"level":"project","id":"target"}]}`), 200)
	f.enrolment = f.enrol(enrolBody)
	theirs := read[Connection](t, f.want(ask{method: "POST", path: "/v1/connections", body: `{"name":"Theirs","scopes":[{"level":"project","id":"target"}]}`, tenant: "other"}, 201))
	enrolled := read[Enrolment](t, f.want(ask{method: "POST", path: "/v1/enrolments", body: enrolBody, tenant: "other"}, 201))
	f.strangers, f.enrolments = theirs.ID, enrolled.ID
	return f
}

// connected is an enabled connection; the account's role goes on taking its external ID.
func (w *world) connected(name, role string) Connection {
	w.t.Helper()
	w.now = w.now.Add(time.Millisecond)
	c := w.create(name)
	w.answersTo(c.ExternalID)
	return read[Connection](w.t, w.want(ask{method: "PUT", path: "/v1/connections/" + c.ID + "/role", body: `{"roleArn":"` + role + `"}`}, 200))
}

func (w *world) answersTo(externalID string) {
	id := connect.ExternalID(externalID)
	trust := connect.Platform{Partition: connect.PartitionAWS, Account: platformAccount}.TrustPolicy(id)
	w.account.set(func(a *account) { a.right, a.trust = id, trust })
}

// askOf is a request of a route for a connection or an enrolment. Bodies ask for the scope project:wanted.
func askOf(r Route, connection, enrolment, project, role string) ask {
	id := connection
	if strings.HasPrefix(r.Path, "/v1/enrolments/") {
		id = enrolment
	}
	a := ask{method: r.Method, path: strings.ReplaceAll(r.Path, "{id}", id)}
	if strings.HasPrefix(r.Path, "/v1/effective-connection") {
		a.path += "?project=" + project
	}
	a.body = map[string]string{
		"POST /v1/connections":                  `{"name":"New","scopes":[{"level":"project","id":"wanted"}]}`,
		"PATCH /v1/connections/{id}":            `{"name":"project:wanted"}`,
		"PUT /v1/connections/{id}/access-key":   `{"accessKeyId":"AKIAEXAMPLEEXAMPLE22","secretAccessKey":"example"}`,
		"PUT /v1/connections/{id}/role":         `{"roleArn":"` + role + `"}`,
		"PUT /v1/connections/{id}/scopes":       `{"scopes":[{"level":"project","id":"wanted"}],"takeOver":true}`,
		"POST /v1/connections/{id}/credentials": `{}`,
		"POST /v1/connections/{id}/sign-in":     `{}`,
		"POST /api/account/aws/add":             `{"roleArn":"` + role + `"}`,
		"POST /v1/enrolments":                   enrolBody,
	}[r.Method+" "+r.Path]
	return a
}

// claims are the claims of mustPass for a connection with its scopes; nil is the absent one.
func (f *fixture) claims(c Connection, scope string) map[string]*[]string {
	return map[string]*[]string{
		"absent":                       nil,
		"names the connection":         {c.ID},
		"names a scope of it":          {scope},
		"names it among others":        {"project:nothing", f.other.ID, c.ID, "conn_x"},
		"names another connection":     {f.other.ID},
		"names another's scope":        {"project:other", "organization"},
		"names what the body asks for": {"project:wanted", f.strangers, "project"},
		"names its name":               {c.Name, "*", ""},
		"empty":                        {},
	}
}

// Every route with every claim, held against the one table: what is refused changes nothing and asks nobody, and another
// tenant's answers as what is not there.
func TestEveryRouteWithEveryClaim(t *testing.T) {
	for _, r := range Routes() {
		route := r.Method + " " + r.Path
		row, known := concerns()[route]
		if !known {
			t.Errorf("%s: say in concerns what it is to a restricted token", route)
			continue
		}
		if row.concern == public {
			continue
		}
		for name, passes := range mustPass() {
			t.Run(route+" claim "+name, func(t *testing.T) {
				f := newFixture(t)
				c, project := f.target, "target"
				if r.Path == "/v1/connections/{id}/launch" {
					c, project = f.waiting, "waiting"
				}
				claim := f.claims(c, "project:"+project)[name]
				a := askOf(r, c.ID, f.enrolment.ID, project, roleARN)
				a.claim = claim
				if !passes[row.concern] {
					f.notAllowed(a)
				} else {
					f.want(a, row.status)
				}
				f.strange(r, claim)
			})
		}
	}
	if len(concerns()) != len(Routes()) {
		t.Errorf("%d routes of concerns are none", len(concerns())-len(Routes()))
	}
}

// notAllowed is a refusal that has changed nothing and asked nobody.
func (w *world) notAllowed(a ask) {
	w.t.Helper()
	before := w.state()
	res := w.want(a, 403)
	says := `"code":"CONNECTION_NOT_ALLOWED"`
	if isLegacy(a.path) {
		says = `{"error":"the token is restricted to `
	}
	if !strings.Contains(string(res.raw), says) {
		w.t.Errorf("%s %s: %s", a.method, a.path, res.raw)
	}
	if changed := before.diff(w.state()); changed != "" {
		w.t.Errorf("%s %s was refused, and all the same:\n%s", a.method, a.path, changed)
	}
}

// A state is all that a request could change, and whether anybody was asked.
type state struct {
	kept                storetest.Dump
	writes, jobs, calls int
}

func (w *world) state() state {
	return state{
		kept: w.store.Dump(), writes: w.store.Calls("Commit", "CommitEnrolment", "RecordCheck", "Note"),
		jobs: len(w.queue.jobs), calls: w.account.calls,
	}
}

// diff says what has changed until the later state; "" for nothing.
func (s state) diff(later state) string {
	changed := s.kept.Diff(later.kept)
	if s.writes != later.writes || s.jobs != later.jobs || s.calls != later.calls {
		changed += fmt.Sprintf("\n%d writes, %d jobs, %d calls of AWS", later.writes-s.writes, later.jobs-s.jobs, later.calls-s.calls)
	}
	return changed
}

// strange asks for another tenant's thing and for one that does not exist: whatever the claim, the answers are the same.
func (f *fixture) strange(r Route, claim *[]string) {
	f.t.Helper()
	if !strings.Contains(r.Path, "{id}") {
		return
	}
	theirs := askOf(r, f.strangers, f.enrolments, "", roleARN)
	none := askOf(r, "conn_00000000000000000000000000", "enr_00000000000000000000000000", "", roleARN)
	theirs.claim, none.claim = claim, claim
	before := f.state()
	one, two := f.want(theirs, 404), f.want(none, 404)
	if string(one.raw) != string(two.raw) {
		f.t.Errorf("another tenant's: %s, what is not there: %s", one.raw, two.raw)
	}
	if changed := before.diff(f.state()); changed != "" {
		f.t.Errorf("another tenant's was changed:\n%s", changed)
	}
}

// Whatever restricted tokens do, in any order and among others' changes: each request ends as the table says for the
// moment at which it came, a connection that a claim does not admit stays as it is, and no claim ever comes to admit one
// that it did not admit.
func TestNoRestrictionIsWidened(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		g := &game{world: w, rt: rt}
		for i := range 3 {
			c := w.connected(fmt.Sprint("Connection ", i), fmt.Sprint(roleARN, i))
			g.ids = append(g.ids, c.ID)
			w.want(w.scopes(c.ID, `{"scopes":[{"level":"project","id":"p`+fmt.Sprint(i)+`"}]}`), 200)
		}
		g.ids = append(g.ids, w.create("Waiting").ID)
		g.enrolments = append(g.enrolments, w.enrol(enrolBody).ID)
		routes := slices.DeleteFunc(Routes(), func(r Route) bool { return r.Scope == "" })
		for range 25 {
			g.play(rapid.SampledFrom(routes).Draw(rt, "route"))
		}
	})
}

type game struct {
	*world
	rt         *rapid.T
	ids        []string
	enrolments []string
	turns      int
}

func (g *game) scope(what string) Scope {
	return rapid.SampledFrom([]Scope{{Level: "organization"}, {Level: "project", ID: "p0"}, {Level: "project", ID: "p1"}, {Level: "project", ID: "p2"}, {Level: "environment", ID: "e"}}).Draw(g.rt, what)
}

func claimed(s Scope) string { return strings.TrimSuffix(s.Level+":"+s.ID, ":") }

// admits is what connect.ResourceFilter is to answer, in other words.
func admits(claim *[]string, c connect.Connection) bool {
	if claim == nil {
		return true
	}
	for _, name := range *claim {
		level, id, _ := strings.Cut(name, ":")
		if name == string(c.ID()) || slices.Contains(c.Snapshot().Scopes, connect.Scope{Level: connect.ScopeLevel(level), ID: id}) {
			return true
		}
	}
	return false
}

func (g *game) claim() *[]string {
	if rapid.IntRange(0, 3).Draw(g.rt, "unrestricted") == 0 {
		return nil
	}
	claim := []string{}
	for range rapid.IntRange(0, 2).Draw(g.rt, "ids") {
		claim = append(claim, rapid.SampledFrom(g.ids).Draw(g.rt, "id"))
	}
	for range rapid.IntRange(0, 2).Draw(g.rt, "scopes") {
		claim = append(claim, claimed(g.scope("claimed")))
	}
	return &claim
}

// play makes one request and holds it against the table.
func (g *game) play(r Route) {
	g.turns++
	g.now = g.now.Add(10 * time.Minute) // so that nothing is being revoked any more
	id := rapid.SampledFrom(g.ids).Draw(g.rt, "connection")
	place := g.scope("place")
	role := g.role(id)
	a := askOf(r, id, rapid.SampledFrom(g.enrolments).Draw(g.rt, "enrolment"), cmpOr(place.ID, "p0"), role)
	g.vary(r, &a)
	a.claim = g.claim()
	concern := concerns()[r.Method+" "+r.Path].concern
	target, there := g.aim(r, id, cmpOr(place.ID, "p0"), role)
	passes := a.claim == nil || concern == reads || concern == connection && (!there || admits(a.claim, target))
	if r.Path == "/api/account/aws/add" && !there {
		passes = a.claim == nil // it would be a new connection
	}
	before := g.store.All()
	if there {
		g.answersTo(string(target.Snapshot().ExternalID))
	}
	if !passes {
		g.notAllowed(a)
	} else if res := g.send(a); strings.Contains(string(res.raw), "CONNECTION_NOT_ALLOWED") || strings.Contains(string(res.raw), "the token is restricted") {
		g.rt.Fatalf("%s %s with %v of %v: %s", a.method, a.path, a.claim, target.Snapshot().Scopes, res.raw)
	}
	g.check(a, before, target)
	g.learn()
}

// vary draws what else a request asks for.
func (g *game) vary(r Route, a *ask) {
	s := g.scope("scope")
	scopes, _ := json.Marshal([]Scope{s})
	switch r.Method + " " + r.Path {
	case "POST /v1/connections":
		a.body = fmt.Sprintf(`{"name":"New %d","scopes":%s}`, g.turns, []string{"[]", string(scopes)}[rapid.IntRange(0, 1).Draw(g.rt, "scoped")])
	case "PATCH /v1/connections/{id}":
		a.body = fmt.Sprintf(`{"name":%q,"defaultRegion":"us-east-1"}`, fmt.Sprint(claimed(s), " ", g.turns))
	case "PUT /v1/connections/{id}/scopes":
		a.body = fmt.Sprintf(`{"takeOver":%t,"scopes":%s}`, rapid.Bool().Draw(g.rt, "take over"), []string{"[]", string(scopes)}[rapid.IntRange(0, 1).Draw(g.rt, "scoped")])
	}
}

// role is the connection's own, or a new one of its account.
func (g *game) role(id string) string {
	if s := g.store.Get(connect.ConnectionID(id)).Snapshot(); !s.RoleARN.IsZero() && rapid.Bool().Draw(g.rt, "own role") {
		return s.RoleARN.String()
	}
	return fmt.Sprint(roleARN, "-", g.turns)
}

// aim is the connection that a request is about; there is false where it is about none.
func (g *game) aim(r Route, id, project, role string) (connect.Connection, bool) {
	switch {
	case r.Path == "/api/account/aws/add":
		return g.holder(role)
	case strings.HasPrefix(r.Path, "/v1/connections/{id}"):
		return g.store.Get(connect.ConnectionID(id)), true
	case r.Path == "/v1/effective-connection/credentials":
		var found EffectiveConnection
		res := g.send(ask{method: "GET", path: "/v1/effective-connection?project=" + project})
		if res.StatusCode != 200 {
			return connect.Connection{}, false
		}
		found = read[EffectiveConnection](g.t, res)
		return g.store.Get(connect.ConnectionID(found.Connection.ID)), true
	}
	return connect.Connection{}, false
}

// holder is the connection that has a role, if one does.
func (g *game) holder(role string) (connect.Connection, bool) {
	arn, err := connect.ParseRoleARN(role)
	if err != nil {
		g.rt.Fatal(err)
	}
	id, err := g.store.RoleHolder(g.t.Context(), "acme", arn)
	if err != nil {
		g.rt.Fatal(err)
	}
	return g.store.Get(id), id != ""
}

// check holds what has become of the connections against the claim.
func (g *game) check(a ask, before []connect.Connection, target connect.Connection) {
	were := map[connect.ConnectionID]connect.Connection{}
	for _, c := range before {
		were[c.ID()] = c
	}
	for _, c := range g.store.All() {
		id := c.ID()
		was, old := were[id]
		switch {
		case a.claim == nil:
		case !old:
			g.rt.Fatalf("%s %s with %v made a connection", a.method, a.path, *a.claim)
		case !admits(a.claim, was) && c.Version() != was.Version():
			g.rt.Fatalf("%s %s with %v changed %v", a.method, a.path, *a.claim, was.Snapshot().Scopes)
		case id != target.ID() && c.Version() != was.Version():
			g.rt.Fatalf("%s %s changed another connection", a.method, a.path)
		case !admits(a.claim, was) && admits(a.claim, c):
			g.rt.Fatalf("%s %s with %v came to admit %v", a.method, a.path, *a.claim, c.Snapshot().Scopes)
		}
	}
}

// learn keeps the ids of what was made.
func (g *game) learn() {
	g.ids, g.enrolments = nil, nil
	for _, c := range g.store.All() {
		g.ids = append(g.ids, string(c.ID()))
	}
	made, err := g.store.Enrolments(g.t.Context(), "acme", connect.EventQuery{Limit: 100}) // more than a game makes
	if err != nil {
		g.rt.Fatal(err)
	}
	for _, e := range slices.Backward(made.Items) {
		g.enrolments = append(g.enrolments, string(e.ID()))
	}
}

// Reading is the same for every claim, but for launches: their tokens are shown to those who may use them.
func TestRestrictedTokensReadAllButLaunches(t *testing.T) {
	f := newFixture(t)
	for _, r := range Routes() {
		if concerns()[r.Method+" "+r.Path].concern != reads {
			continue
		}
		a := askOf(r, f.waiting.ID, f.enrolment.ID, "target", "")
		whole := read[map[string]any](t, f.want(a, 200))
		for name, claim := range f.claims(f.waiting, "project:waiting") {
			want := maps.Clone(whole)
			if claim != nil && (r.Path != "/v1/connections/{id}" || !mustPass()[name][connection]) {
				delete(want, "launch")
			}
			a.claim = claim
			if diff := cmp.Diff(want, read[map[string]any](t, f.want(a, 200))); diff != "" {
				t.Errorf("%s %s, claim %s: %s", r.Method, r.Path, name, diff)
			}
		}
	}
	for _, a := range []ask{{path: "/v1/connections/" + f.waiting.ID}, {path: "/v1/enrolments/" + f.enrolment.ID}} {
		a.method = "GET"
		if raw := string(f.want(a, 200).raw); !strings.Contains(raw, "Token") {
			t.Errorf("%s has no token to hide: %s", a.path, raw)
		}
	}
}

// A repetition of what an unrestricted token did, with its Idempotency-Key, is a request like any other.
func TestARepetitionIsRestrictedToo(t *testing.T) {
	f := newFixture(t)
	key := map[string]string{"Idempotency-Key": "k-1"}
	for _, a := range []ask{
		{method: "POST", path: "/v1/connections", body: `{"name":"Once"}`, header: key},
		{method: "POST", path: "/v1/connections/" + f.waiting.ID + "/launch", header: map[string]string{"Idempotency-Key": "k-2"}},
	} {
		f.want(a, 201)
		a.claim = &[]string{f.target.ID}
		f.notAllowed(a)
	}
}
