package httpapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

// world is both functions over one store, one customer's account and one clock.
type world struct {
	t       *testing.T
	store   *storetest.Memory
	account *account
	queue   *queue
	tokens  *tokens
	log     *syncBuffer
	now     time.Time
	api     http.Handler
	broker  http.Handler
	// apiParts and brokerParts can be changed before they are composed anew.
	apiParts    APIParts
	brokerParts BrokerParts
	doc         *huma.OpenAPI
}

// fail has every call of the store answer with err; nil has it work again.
func (w *world) fail(err error) { w.store.Before(func(string) error { return err }) }

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

const (
	platformAccount = "111111111111"
	roleARN         = "arn:aws:iam::222222222222:role/Rolecall"
)

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, store: storetest.New(), queue: &queue{}, tokens: &tokens{}, log: &syncBuffer{},
		now: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
	}
	clock := func() time.Time { return w.now }
	w.account = &account{now: clock, trust: canaryTrust}
	deployment := connect.Deployment{
		Platform:     connect.Platform{Partition: connect.PartitionAWS, Account: platformAccount},
		PlatformName: "Acme", Regions: []connect.Region{"eu-west-1", "us-east-1"},
		TemplateURL: "https://templates.example/connection.yaml", TemplateVersion: "1.0.0", TemplateSHA256: "abc",
		Permissions: []connect.PermissionSet{
			{Name: "read-only", Title: "Read only", Description: "reads", ManagedPolicies: []string{"ReadOnlyAccess"}, DeniedActions: []string{"s3:GetObject"}},
			{Name: "administrator", Warning: "all"},
		},
		CheckInterval: 24 * time.Hour, Recipes: recipes{},
		OrganizationTemplate: connect.PublishedTemplate{URL: "https://templates.example/organization.yaml"},
	}
	log := slog.New(slog.NewJSONHandler(w.log, nil))
	w.apiParts = APIParts{
		Connections: connect.Connections{Store: w.store, Scopes: w.store, Deployment: deployment, Clock: clock, Random: rand.Reader},
		Intakes:     connect.Intakes{Store: w.store, Deployment: deployment, Clock: clock, Random: rand.Reader},
		Enrolments:  connect.Enrolments{Store: w.store, Deployment: deployment, Clock: clock, Random: rand.Reader},
		Tokens:      w.tokens, EnrolmentTokens: w.tokens, Issuer: "https://login.example.com/", Log: log,
	}
	maker := connect.SessionMaker{Store: w.store, Assumer: w.account, Clock: clock, EventID: rand.Text}
	issuing := connect.Issuing{Clock: clock, Store: w.store, Scopes: w.store, Sessions: maker}
	verifications := connect.Verifications{
		Store: w.store, Jobs: w.queue, Revoker: w.account, Clock: clock, Jitter: func() float64 { return 0 },
		Verifier: connect.Verifier{
			Platform: deployment.Platform, Assumer: w.account, Inspector: w.account, Clock: clock,
			Expects: map[connect.Permissions]connect.Expectation{"read-only": {Actions: []string{"ec2:DescribeInstances"}}},
		},
	}
	w.brokerParts = BrokerParts{
		Verifications: verifications,
		Intakes: connect.Intakes{
			Store: w.store, Verifications: verifications, Deployment: deployment, Clock: clock, Random: rand.Reader,
		},
		Issuing:    issuing,
		SignIns:    connect.SignIns{Issuing: issuing, Maker: maker, Federation: w.account, Partition: connect.PartitionAWS},
		Retries:    connect.Retries{Store: w.store, Jobs: w.queue, Deployment: deployment, Clock: clock},
		Deployment: deployment, Tokens: w.tokens, Log: log, Patience: time.Nanosecond,
	}
	w.compose()
	w.doc, _ = documentOf(t)
	return w
}

func (w *world) compose() { w.api, w.broker = NewAPI(w.apiParts), NewBroker(w.brokerParts) }

// recipes tell what they were asked for.
type recipes struct{}

func (recipes) Role(o connect.RoleOrder) connect.RoleRecipe {
	return connect.RoleRecipe{
		PolicyARNs: []string{"arn:aws:iam::aws:policy/Some"}, CLI: "make " + o.Name + " with " + string(o.Permissions),
		Terraform: "trust " + o.TrustPolicy,
	}
}

func (recipes) Stack(l connect.LaunchLink) string { return l.StackName + " from " + l.TemplateURL }

// ask is a request; a zero tenant stands for acme, "-" for nobody.
type ask struct {
	method, path string
	body         string
	header       map[string]string
	tenant       string
	subject      string
	scopes       []string
	text         bool      // plain text is asked for
	claim        *[]string // restricts the token; nil for a token that is not restricted
}

func allScopes() []string { return []string{ScopeRead, ScopeWrite, ScopeIssue} }

// received is an answer that has been read to its end.
type received struct {
	StatusCode int
	Header     http.Header
	raw        []byte
}

func (w *world) send(a ask) received {
	w.t.Helper()
	var body io.Reader
	if a.body != "" {
		body = strings.NewReader(a.body)
	}
	r := httptest.NewRequestWithContext(w.t.Context(), a.method, a.path, body)
	if a.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for k, v := range a.header {
		r.Header.Set(k, v)
	}
	if a.tenant != "-" {
		r = r.WithContext(Identify(r.Context(), cmpOr(a.tenant, "acme"), cmpOr(a.subject, "anna"), orScopes(a.scopes)))
	}
	if a.claim != nil {
		r = r.WithContext(Restrict(r.Context(), *a.claim))
	}
	handler := w.api
	for _, route := range Routes() {
		probe := httptest.NewRequestWithContext(w.t.Context(), a.method, a.path, nil)
		if route.Function == Broker && route.Method == a.method && matchPath(route.Path, probe) {
			handler = w.broker
		}
	}
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, r)
	res := received{StatusCode: rec.Code, Header: rec.Header(), raw: rec.Body.Bytes()}
	w.obeysDocument(a, res)
	return res
}

func cmpOr(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func orScopes(s []string) []string {
	if s == nil {
		return allScopes()
	}
	return s
}

// obeysDocument checks every answer of every test against the OpenAPI document.
func (w *world) obeysDocument(a ask, res received) {
	w.t.Helper()
	raw := res.raw
	what := a.method + " " + a.path + " → " + strconv.Itoa(res.StatusCode)
	if res.Header.Get(RequestIDHeader) == "" {
		w.t.Errorf("%s: no request id", what)
	}
	public := a.path == "/openapi.json" && res.StatusCode < http.StatusBadRequest
	if cache := res.Header.Get("Cache-Control"); !public && cache != "no-store" {
		w.t.Errorf("%s: Cache-Control %q", what, cache)
	}
	schema, contentType := w.documented(a, res.StatusCode)
	if schema == nil {
		if len(raw) > 0 {
			w.t.Errorf("%s: a body where none is documented: %s", what, raw)
		}
		return
	}
	if a.text && res.StatusCode == http.StatusOK {
		contentType = "text/plain; charset=utf-8"
	}
	if got := res.Header.Get("Content-Type"); got != contentType {
		w.t.Errorf("%s: Content-Type %q, documented is %q", what, got, contentType)
	}
	if a.text && res.StatusCode == http.StatusOK {
		return
	}
	var parsed any
	if err := json.Unmarshal(raw, &parsed); err != nil {
		w.t.Fatalf("%s: %v in %s", what, err, raw)
	}
	found := &huma.ValidateResult{}
	huma.Validate(w.doc.Components.Schemas, schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, parsed, found)
	for _, e := range found.Errors {
		w.t.Errorf("%s: the answer is not as documented: %v in %s", what, e, raw)
	}
}

func (w *world) documented(a ask, status int) (*huma.Schema, string) {
	w.t.Helper()
	if status >= 400 && status != 405 && isLegacy(a.path) {
		return w.doc.Components.Schemas.SchemaFromRef("#/components/schemas/LegacyError"), "application/json"
	}
	if status >= 400 {
		return w.doc.Components.Schemas.SchemaFromRef("#/components/schemas/Problem"), "application/problem+json"
	}
	for _, o := range allOperations() {
		method, path, _ := strings.Cut(o.route, " ")
		if method != a.method || !matchPath(path, httptest.NewRequestWithContext(w.t.Context(), a.method, a.path, nil)) {
			continue
		}
		for _, answer := range o.answers {
			if answer.status == status && answer.body == nil {
				return nil, ""
			}
			if answer.status == status {
				return bodySchema(w.doc.Components.Schemas, answer), "application/json"
			}
		}
	}
	w.t.Errorf("%s %s: status %d is not documented", a.method, a.path, status)
	return nil, ""
}

func read[T any](t *testing.T, res received) T {
	t.Helper()
	var v T
	d := json.NewDecoder(bytes.NewReader(res.raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (w *world) want(a ask, status int) received {
	w.t.Helper()
	res := w.send(a)
	if res.StatusCode != status {
		w.t.Fatalf("%s %s → %d %s, want %d", a.method, a.path, res.StatusCode, res.raw, status)
	}
	return res
}

func isLegacy(path string) bool { return strings.HasPrefix(path, "/api/account/") }

func (w *world) refused(a ask, status int, code connect.Code) Problem {
	w.t.Helper()
	before := w.store.Dump()
	if isLegacy(a.path) && status != 405 {
		return Problem{Detail: read[LegacyError](w.t, w.want(a, status)).Error} // all that such an error says
	}
	p := read[Problem](w.t, w.want(a, status))
	if p.Code != code || p.Status != status || p.Title != http.StatusText(status) || p.Detail == "" {
		w.t.Errorf("%s %s → %+v, want code %s", a.method, a.path, p, code)
	}
	if changed := before.Diff(w.store.Dump()); changed != "" {
		w.t.Errorf("%s %s was refused and written all the same:\n%s", a.method, a.path, changed)
	}
	return p
}

func (w *world) create(name string) Connection {
	w.t.Helper()
	return read[Connection](w.t, w.want(ask{method: "POST", path: "/v1/connections", body: `{"name":` + strconv.Quote(name) + `}`}, 201))
}

// enabled is a connection whose role has been given and found good.
func (w *world) enabled(name string) Connection {
	w.t.Helper()
	c := w.create(name)
	external := connect.ExternalID(c.ExternalID)
	trust := connect.Platform{Partition: connect.PartitionAWS, Account: platformAccount}.TrustPolicy(external)
	w.account.set(func(a *account) { a.right, a.trust = external, trust })
	return read[Connection](w.t, w.want(ask{method: "PUT", path: "/v1/connections/" + c.ID + "/role", body: `{"roleArn":"` + roleARN + `"}`}, 200))
}

func TestCreateAnswersWithTheConnectionAndItsLaunch(t *testing.T) {
	w := newWorld(t)
	res := w.want(ask{method: "POST", path: "/v1/connections", body: `{"name":"Prod","defaultRegion":"us-east-1","permissions":"administrator","method":"role"}`}, 201)
	c := read[Connection](t, res)
	if res.Header.Get("Location") != "/v1/connections/"+c.ID || res.Header.Get("ETag") != `"1"` {
		t.Errorf("headers %v", res.Header)
	}
	token := canaryToken + "." + c.ID + ".1"
	want := Connection{
		ID: c.ID, Name: "Prod", Provider: "aws", Method: "role", Status: "pending", Partition: "aws", DefaultRegion: "us-east-1",
		ExternalID: c.ExternalID, Permissions: "administrator", Requested: "administrator", Scopes: []Scope{}, Checks: []Check{}, Regions: []string{},
		CreatedAt: w.now, CreatedBy: "anna", UpdatedAt: w.now, Version: 1,
		Launch: &Launch{
			QuickCreateURL: c.Launch.QuickCreateURL, TemplateURL: "https://templates.example/connection.yaml",
			StackName: c.Launch.StackName, Region: "us-east-1", CreateRoleURL: c.Launch.CreateRoleURL, TrustPolicy: c.Launch.TrustPolicy,
			CLI: "make " + c.Launch.StackName + " with administrator", CLIStack: c.Launch.StackName + " from https://templates.example/connection.yaml",
			Terraform: "trust " + c.Launch.TrustPolicy, ExpiresAt: w.now.Add(connect.LaunchLife),
			Parameters: map[string]string{"ConnectionId": c.ID, "ExternalId": c.ExternalID, "CallbackToken": token, "PermissionSet": "administrator"},
		},
		LaunchExpiresAt: &c.Launch.ExpiresAt,
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(c.Launch.QuickCreateURL, "param_CallbackToken="+url.QueryEscape(token)) || !strings.Contains(c.Launch.TrustPolicy, c.ExternalID) ||
		!strings.HasSuffix(c.Launch.CreateRoleURL, "&externalId="+c.ExternalID+"&policies=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FSome") {
		t.Errorf("launch %+v", c.Launch)
	}
	again := read[Connection](t, w.want(ask{method: "GET", path: "/v1/connections/" + c.ID}, 200))
	if diff := cmp.Diff(c, again); diff != "" {
		t.Errorf("read again: %s", diff)
	}
}

func TestBadBodiesAreRefusedAndNothingIsWritten(t *testing.T) {
	w := newWorld(t)
	create := func(body string) ask { return ask{method: "POST", path: "/v1/connections", body: body} }
	typed := func(body, contentType string) ask {
		a := create(body)
		a.header = map[string]string{"Content-Type": contentType}
		return a
	}
	long := `{"name":"` + strings.Repeat("x", maxBody) + `"}`
	for _, c := range []struct {
		name   string
		ask    ask
		status int
		code   connect.Code
		field  string
	}{
		{"no body", create(""), 400, codeBodyMissing, ""},
		{"no JSON", create("name=x"), 400, codeBodyInvalid, ""},
		{"an array", create(`["name"]`), 400, codeBodyInvalid, ""},
		{"null", create(`null`), 400, codeBodyInvalid, ""},
		{"cut short", create(`{"name":"x"`), 400, codeBodyInvalid, ""},
		{"cut in a key", create(`{"name`), 400, codeBodyInvalid, ""},
		{"two objects", create(`{"name":"x"}{}`), 400, codeBodyInvalid, ""},
		{"rubbish behind", create(`{"name":"x"} x`), 400, codeBodyInvalid, ""},
		{"not UTF-8", create("{\"name\":\"\xff\"}"), 400, codeBodyInvalid, ""},
		{"deep", create(strings.Repeat("[", 30000)), 400, codeBodyInvalid, ""},
		{"deep in a field", create(`{"name":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`), 400, codeBodyInvalid, ""},
		{"unknown field", create(`{"name":"x","colour":"red"}`), 400, codeUnknownField, "colour"},
		{"wrong case", create(`{"Name":"x"}`), 400, codeUnknownField, "Name"},
		{"external ID", create(`{"name":"x","externalId":"rc-mine"}`), 400, codeUnknownField, "externalId"},
		{"external ID in other letters", create(`{"name":"x","EXTERNAL_ID":"rc-mine"}`), 400, codeUnknownField, "EXTERNAL_ID"},
		{"tenant", create(`{"name":"x","tenantId":"other"}`), 400, codeUnknownField, "tenantId"},
		{"twice", create(`{"name":"x","name":"y"}`), 400, codeFieldInvalid, "name"},
		{"a number", create(`{"name":7}`), 400, codeFieldInvalid, "name"},
		{"null name", create(`{"name":null}`), 400, codeFieldInvalid, "name"},
		{"an object", create(`{"name":{"a":1}}`), 400, codeFieldInvalid, "name"},
		{"no name", create(`{}`), 400, codeFieldInvalid, "name"},
		{"empty name", create(`{"name":""}`), 400, connect.CodeNameInvalid, "name"},
		{"long name", create(`{"name":"` + strings.Repeat("ä", 65) + `"}`), 400, connect.CodeNameInvalid, "name"},
		{"bidi name", create(`{"name":"a\u202eb"}`), 400, connect.CodeNameInvalid, "name"},
		{"lone surrogate", create(`{"name":"a\ud800b"}`), 400, connect.CodeNameInvalid, "name"},
		{"method", create(`{"name":"x","method":"magic"}`), 400, connect.CodeMethodUnsupported, "method"},
		{"region", create(`{"name":"x","defaultRegion":"europe"}`), 400, connect.CodeRegionInvalid, "defaultRegion"},
		{"other partition", create(`{"name":"x","defaultRegion":"cn-north-1"}`), 400, connect.CodePartitionMismatch, ""},
		{"permissions", create(`{"name":"x","permissions":"root"}`), 400, connect.CodePermissionsInvalid, "permissions"},
		{"too large", create(long), 413, codeBodyTooLarge, ""},
		{"form", typed(`{"name":"x"}`, "application/x-www-form-urlencoded"), 415, codeContentType, ""},
		{"text", typed(`{"name":"x"}`, "text/plain"), 415, codeContentType, ""},
		{"no type", typed(`{"name":"x"}`, ""), 415, codeContentType, ""},
		{"other charset", typed(`{"name":"x"}`, "application/json; charset=utf-16"), 415, codeContentType, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.t = t
			p := w.refused(c.ask, c.status, c.code)
			if c.field != "" && (len(p.Errors) == 0 || p.Errors[0].Field != c.field) {
				t.Errorf("errors %+v do not name %s", p.Errors, c.field)
			}
			if strings.Contains(strings.ToLower(c.field), "external") && !strings.Contains(p.Detail, "never taken from a request") {
				t.Errorf("detail %q does not say why", p.Detail)
			}
		})
	}
	w.t = t
	if n := len(w.store.All()); n != 0 {
		t.Errorf("%d connections were made", n)
	}
	w.want(typed(`{"name":"good"}`, "Application/JSON; charset=UTF-8"), 201)
}

func TestEveryFieldThatIsWrongIsNamed(t *testing.T) {
	w := newWorld(t)
	p := w.refused(ask{method: "POST", path: "/v1/connections", body: `{"method":1,"x":2,"permissions":[]}`}, 400, codeUnknownField)
	got := map[string]connect.Code{}
	for _, e := range p.Errors {
		got[e.Field] = e.Code
	}
	want := map[string]connect.Code{"method": codeFieldInvalid, "x": codeUnknownField, "permissions": codeFieldInvalid, "name": codeFieldInvalid}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRoutesWithoutBodyRefuseOne(t *testing.T) {
	w := newWorld(t)
	id := w.create("a").ID
	w.want(ask{method: "POST", path: "/v1/connections/" + id + "/launch", body: `{}`}, 201)
	for _, a := range []ask{
		{method: "POST", path: "/v1/connections/" + id + "/launch", body: `{"externalId":"rc-mine"}`},
		{method: "POST", path: "/v1/connections/" + id + "/verify", body: `{"externalId":"rc-mine"}`},
		{method: "DELETE", path: "/v1/connections/" + id, body: `{"externalId":"rc-mine"}`},
		{method: "PUT", path: "/v1/connections/" + id + "/role", body: `{"roleArn":"` + roleARN + `","externalId":"rc-mine"}`},
	} {
		if p := w.refused(a, 400, codeUnknownField); !strings.Contains(p.Detail, "never taken from a request") {
			t.Errorf("%s %s: %q", a.method, a.path, p.Detail)
		}
	}
}

func TestNamesAreNeverUsedAgain(t *testing.T) {
	w := newWorld(t)
	c := w.create("Prod")
	w.want(ask{method: "DELETE", path: "/v1/connections/" + c.ID}, 204)
	for _, name := range []string{"Prod", "PROD", "ｐｒｏｄ"} {
		p := w.refused(ask{method: "POST", path: "/v1/connections", body: `{"name":"` + name + `"}`}, 409, connect.CodeNameTaken)
		if p.Fix == "" || p.Errors[0].Field != "name" {
			t.Errorf("problem %+v", p)
		}
	}
	w.want(ask{method: "POST", path: "/v1/connections", body: `{"name":"Prod"}`, tenant: "other"}, 201)
	if got := read[Connection](t, w.want(ask{method: "GET", path: "/v1/connections/" + c.ID}, 200)); got.Status != "deleted" || got.Launch != nil {
		t.Errorf("deleted connection reads as %+v", got)
	}
}

func TestIdempotencyKey(t *testing.T) {
	w := newWorld(t)
	post := func(path, body, key string) ask {
		return ask{method: "POST", path: path, body: body, header: map[string]string{"Idempotency-Key": key}}
	}
	first := read[Connection](t, w.want(post("/v1/connections", `{"name":"a"}`, "k-1"), 201))
	again := read[Connection](t, w.want(post("/v1/connections", `{"name":"a"}`, "k-1"), 201))
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the replay differs: %s", diff)
	}
	w.refused(post("/v1/connections", `{"name":"b"}`, "k-1"), 400, connect.CodeIdempotencyReused)
	w.refused(post("/v1/connections/"+first.ID+"/launch", "", "k-1"), 400, connect.CodeIdempotencyReused)
	launch := post("/v1/connections/"+first.ID+"/launch", "", "k-2")
	one, two := read[Connection](t, w.want(launch, 201)), read[Connection](t, w.want(launch, 201))
	if diff := cmp.Diff(one, two); diff != "" || one.Version != 2 {
		t.Errorf("a replayed launch differs, version %d: %s", one.Version, diff)
	}
	second := w.create("second")
	w.refused(post("/v1/connections/"+second.ID+"/launch", "", "k-2"), 400, connect.CodeIdempotencyReused) // the path differs, nothing else
	other := post("/v1/connections", `{"name":"a"}`, "k-1")
	other.tenant = "other"
	if c := read[Connection](t, w.want(other, 201)); c.ID == first.ID {
		t.Error("another tenant's key was taken for this one's")
	}
	for _, key := range []string{strings.Repeat("k", 129), "k\tk", "schlüssel"} {
		w.refused(post("/v1/connections", `{"name":"c"}`, key), 400, codeIdempotencyKeyInvalid)
	}
	w.want(post("/v1/connections", `{"name":"c"}`, strings.Repeat("~", 128)), 201)
}

func TestIfMatch(t *testing.T) {
	w := newWorld(t)
	c := w.create("a")
	w.want(ask{method: "POST", path: "/v1/connections/" + c.ID + "/launch"}, 201)
	del := func(tag string) ask {
		return ask{method: "DELETE", path: "/v1/connections/" + c.ID, header: map[string]string{"If-Match": tag}}
	}
	for _, tag := range []string{`2`, `"2`, `W/"2"`, `"0"`, `"-1"`, `"02"`, `"+2"`, `"two"`, `"1", "2"`, `""`, `"99999999999999999999"`} {
		w.refused(del(tag), 400, codeIfMatchInvalid)
	}
	w.refused(del(`"1"`), 412, connect.CodeVersion)
	w.refused(ask{method: "PUT", path: "/v1/connections/" + c.ID + "/role", body: `{"roleArn":"` + roleARN + `"}`, header: map[string]string{"If-Match": `"1"`}}, 412, connect.CodeVersion)
	w.refused(ask{method: "POST", path: "/v1/connections/" + c.ID + "/launch", header: map[string]string{"If-Match": `"3"`}}, 412, connect.CodeVersion)
	if tag := w.want(ask{method: "GET", path: "/v1/connections/" + c.ID}, 200).Header.Get("ETag"); tag != `"2"` {
		t.Errorf("ETag %s", tag)
	}
	w.want(del(`"2"`), 204)
	w.want(del(`*`), 204)
}

func TestListsArePagedAndFiltered(t *testing.T) {
	w := newWorld(t)
	for i, name := range []string{"Alpha", "Beta", "Älpha", "Gamma"} {
		w.now = w.now.Add(time.Second)
		c := w.create(name)
		if i == 3 {
			w.want(ask{method: "DELETE", path: "/v1/connections/" + c.ID}, 204)
		}
	}
	names := func(query string) (out []string, next string) {
		page := read[Connections](t, w.want(ask{method: "GET", path: "/v1/connections" + query}, 200))
		for _, c := range page.Items {
			if c.Launch != nil {
				t.Error("a list shows launches")
			}
			out = append(out, c.Name)
		}
		return out, page.NextCursor
	}
	for query, want := range map[string][]string{
		"": {"Älpha", "Beta", "Alpha"}, "?q=ALPHA": {"Alpha"}, "?q=%C3%A4lpha": {"Älpha"}, "?status=deleted": {"Gamma"},
		"?status=enabled": nil, "?limit=100": {"Älpha", "Beta", "Alpha"},
	} {
		if got, _ := names(query); !slices.Equal(got, want) {
			t.Errorf("%s → %v, want %v", query, got, want)
		}
	}
	first, next := names("?limit=2")
	second, end := names("?limit=2&cursor=" + next)
	if !slices.Equal(append(first, second...), []string{"Älpha", "Beta", "Alpha"}) || end != "" {
		t.Errorf("pages %v %v, then %q", first, second, end)
	}
	for query, code := range map[string]connect.Code{
		"?limit=0": codeParameterInvalid, "?limit=101": codeParameterInvalid, "?limit=x": codeParameterInvalid,
		"?limit=99999999999": codeParameterInvalid, "?limit=1&limit=2": codeParameterInvalid, "?status=happy": codeParameterInvalid,
		"?state=enabled": codeUnknownParameter, "?cursor=nonsense": connect.CodeCursorInvalid, "?q=%zz": codeParameterInvalid, "?a;b": codeParameterInvalid,
		"?q=" + strings.Repeat("x", 65): codeParameterInvalid,
	} {
		w.refused(ask{method: "GET", path: "/v1/connections" + query}, 400, code)
	}
	raw := w.want(ask{method: "GET", path: "/v1/connections", tenant: "nobody"}, 200).raw
	if string(raw) != "{\"items\":[]}\n" {
		t.Errorf("an empty list is %s", raw)
	}
}

func TestEventsAreTheTimeline(t *testing.T) {
	w := newWorld(t)
	c := w.enabled("a")
	page := read[Events](t, w.want(ask{method: "GET", path: "/v1/connections/" + c.ID + "/events?limit=2"}, 200))
	if len(page.Items) != 2 || page.Items[0].Type != "connection.enabled" || page.Items[1].Actor != "anna" || page.NextCursor == "" {
		t.Fatalf("page %+v", page)
	}
	rest := read[Events](t, w.want(ask{method: "GET", path: "/v1/connections/" + c.ID + "/events?cursor=" + page.NextCursor}, 200))
	if len(rest.Items) != 1 || rest.Items[0].Type != "connection.created" || rest.Items[0].Sequence != 1 {
		t.Errorf("rest %+v", rest)
	}
}

func TestConfig(t *testing.T) {
	w := newWorld(t)
	got := read[Config](t, w.want(ask{method: "GET", path: "/v1/config"}, 200))
	want := Config{
		PlatformAccount: platformAccount, PlatformName: "Acme", Partition: "aws", Principal: "arn:aws:iam::111111111111:root",
		RoleARNPattern: "arn:aws:iam::111111111111:role/rolecall/*", Regions: []string{"eu-west-1", "us-east-1"},
		PermissionSets: []PermissionSet{
			{Name: "read-only", Title: "Read only", Description: "reads", ManagedPolicies: []string{"ReadOnlyAccess"}, DeniedActions: []string{"s3:GetObject"}},
			{Name: "administrator", Warning: "all", ManagedPolicies: []string{}, DeniedActions: []string{}},
		},
		SessionLimits: SessionLimits{Default: 1800, Least: 900, Longest: 3600},
		Template:      Template{Version: "1.0.0", URL: "https://templates.example/connection.yaml", SHA256: "abc"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOpenAPIIsServedToAnyone(t *testing.T) {
	w := newWorld(t)
	res := w.want(ask{method: "GET", path: "/openapi.json", tenant: "-"}, 200)
	var doc map[string]any
	if err := json.Unmarshal(res.raw, &doc); err != nil || doc["openapi"] != "3.1.0" {
		t.Error(doc["openapi"], err)
	}
}

// A client that knows the API's address alone finds out where to sign in. The address is the one that the gateway was asked
// by, whatever the client says of it; it says so to whoever holds no token.
func TestWhereToSignIn(t *testing.T) {
	w := newWorld(t)
	for want, header := range map[string]map[string]string{
		"https://example.com": {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "attacker.example", "Forwarded": "host=attacker.example"},
		"http://example.com":  {"X-Forwarded-Proto": "http"},
	} {
		res := w.want(ask{method: "GET", path: "/.well-known/oauth-protected-resource", tenant: "-", header: header}, 200)
		var got map[string]any
		if err := json.Unmarshal(res.raw, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]any{
			"resource": want, "resource_name": "Acme", "authorization_servers": []any{"https://login.example.com/"}, "bearer_methods_supported": []any{"header"},
			"scopes_supported": []any{"connections:read", "connections:write", "credentials:issue"},
		}, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestRoleThatPassesEnables(t *testing.T) {
	w := newWorld(t)
	c := w.enabled("a")
	if c.Status != "enabled" || c.AccountID != "222222222222" || c.RoleARN != roleARN || len(c.Checks) != 6 || c.Launch != nil {
		t.Errorf("connection %+v", c)
	}
	for _, check := range c.Checks {
		if check.Verdict != "passed" {
			t.Errorf("check %+v", check)
		}
	}
	next := connect.NextTurn(connect.ConnectionID(c.ID), 24*time.Hour, w.now)
	if c.NextVerificationAt == nil || !c.NextVerificationAt.Equal(next) {
		t.Errorf("nextVerificationAt %v, want %v", c.NextVerificationAt, next)
	}
	w.now = w.now.Add(time.Hour)
	again := read[Connection](t, w.want(ask{method: "POST", path: "/v1/connections/" + c.ID + "/verify"}, 200))
	if !again.LastVerifiedAt.Equal(w.now) || again.Version != c.Version {
		t.Errorf("verified at %v, version %d", again.LastVerifiedAt, again.Version)
	}
	got := read[Connection](t, w.want(ask{method: "GET", path: "/v1/connections/" + c.ID}, 200))
	if !got.LastVerifiedAt.Equal(w.now) {
		t.Errorf("lastVerifiedAt %v, want that of the last unchanged check", got.LastVerifiedAt)
	}
}

// A check that could not be made stands in nobody's way, and does not make the others unmade.
func TestARoleThatMayNotAskAboutItselfIsVerifiedAllTheSame(t *testing.T) {
	w := newWorld(t)
	w.account.set(func(a *account) { a.mute = true })
	c := w.enabled("a")
	if last := c.Checks[len(c.Checks)-1]; last.Name != "permissions" || last.Verdict != "unknown" || last.Code != "NOT_ASKED" || last.Fix == "" {
		t.Errorf("check %+v", last)
	}
	w.now = w.now.Add(time.Hour)
	again := read[Connection](t, w.want(ask{method: "POST", path: "/v1/connections/" + c.ID + "/verify"}, 200))
	if !again.LastVerifiedAt.Equal(w.now) || again.Status != "enabled" {
		t.Errorf("%s, verified at %v", again.Status, again.LastVerifiedAt)
	}
}

func TestRoleThatIsStillSettlingIsAccepted(t *testing.T) {
	w := newWorld(t)
	c := w.create("a")
	w.account.set(func(a *account) { a.denies = true })
	res := w.want(ask{method: "PUT", path: "/v1/connections/" + c.ID + "/role", body: `{"roleArn":"` + roleARN + `"}`}, 202)
	got := read[Connection](t, res)
	if got.Status != "verifying" || got.Verification == nil || got.Verification.Attempt != 1 || got.Verification.RoleARN != roleARN {
		t.Errorf("connection %+v", got)
	}
	if got.Checks[0].Code != "ROLE_NOT_ASSUMABLE" || got.StatusReason.Code != "ROLE_NOT_ASSUMABLE" {
		t.Errorf("checks %+v, reason %+v", got.Checks, got.StatusReason)
	}
	if res.Header.Get("Retry-After") != "2" || len(w.queue.jobs) != 1 {
		t.Errorf("Retry-After %q, %d jobs", res.Header.Get("Retry-After"), len(w.queue.jobs))
	}
	w.want(ask{method: "POST", path: "/v1/connections/" + c.ID + "/verify"}, 202)
}

func TestCandidateIsTriedWhileTheOldRoleServes(t *testing.T) {
	w := newWorld(t)
	c := w.enabled("a")
	other := "arn:aws:iam::222222222222:role/Other"
	w.account.set(func(a *account) { a.denied = other })
	got := read[Connection](t, w.want(ask{method: "PUT", path: "/v1/connections/" + c.ID + "/role", body: `{"roleArn":"` + other + `"}`}, 202))
	if got.Status != "enabled" || got.RoleARN != roleARN || got.Verification.RoleARN != other {
		t.Errorf("connection %+v", got)
	}
	w.want(ask{method: "POST", path: "/v1/connections/" + c.ID + "/verify"}, 200) // the role that serves is tested, and that has ended
	w.want(ask{method: "PUT", path: "/v1/connections/" + c.ID + "/role", body: `{"roleArn":"` + roleARN + `"}`}, 200)
	w.want(ask{method: "GET", path: "/v1/connections/" + c.ID + "/credentials"}, 200)
}

func TestCandidateThatIsRefusedSaysWhy(t *testing.T) {
	w := newWorld(t)
	c := w.enabled("a")
	other := "arn:aws:iam::222222222222:role/Other"
	w.account.set(func(a *account) { a.elsewhere = other })
	got := read[Connection](t, w.want(ask{method: "PUT", path: "/v1/connections/" + c.ID + "/role", body: `{"roleArn":"` + other + `"}`}, 200))
	if got.Status != "enabled" || got.RoleARN != roleARN || got.StatusReason == nil || got.StatusReason.Code != "ACCOUNT_MISMATCH" {
		t.Errorf("connection %+v, reason %+v", got, got.StatusReason)
	}
}

func TestManualDenialShowsItsChecksBeforeItCounts(t *testing.T) {
	w := newWorld(t)
	c := w.enabled("a")
	w.account.set(func(a *account) { a.denies = true })
	got := read[Connection](t, w.want(ask{method: "POST", path: "/v1/connections/" + c.ID + "/verify"}, 200))
	if got.Status != "enabled" || got.Checks[0].Verdict != "failed" || !got.LastVerifiedAt.Equal(*c.LastVerifiedAt) {
		t.Errorf("connection %+v", got)
	}
	if p := w.refused(ask{method: "GET", path: "/v1/connections/" + c.ID + "/credentials"}, 403, connect.CodeRoleNotAssumable); p.Fix == "" {
		t.Error("no fix")
	}
}

func TestRolesThatCannotBeMeant(t *testing.T) {
	w := newWorld(t)
	c := w.create("a")
	put := func(arn string) ask {
		b, _ := json.Marshal(map[string]string{"roleArn": arn})
		return ask{method: "PUT", path: "/v1/connections/" + c.ID + "/role", body: string(b)}
	}
	for _, arn := range []string{
		"", "arn:aws:iam::222222222222:user/a", "arn:aws:iam::222222222222:root", "arn:aws:sts::222222222222:assumed-role/a/b",
		"arn:aws:iam::22222222222:role/a", "arn:aws:iam::222222222222:role/*", "arn:aws:iam::222222222222:role/../a", roleARN + "\n",
		"arn:aws:iam::２２２２２２２２２２２２:role/a", "arn:aws:iam::222222222222:role/" + strings.Repeat("a/", 1024),
	} {
		w.refused(put(arn), 400, connect.CodeRoleARNInvalid)
	}
	w.refused(put("arn:aws:iam::111111111111:role/a"), 400, connect.CodeOwnAccount)
	w.refused(put("arn:aws-cn:iam::222222222222:role/a"), 400, connect.CodePartitionMismatch)
	if w.account.calls != 0 {
		t.Errorf("STS was called %d times", w.account.calls)
	}
	w.enabled("b")
	w.refused(put(roleARN), 409, connect.CodeRoleInUse)
}

func TestCredentialsAreInTheContainerShape(t *testing.T) {
	w := newWorld(t)
	c := w.enabled("a")
	raw := w.want(ask{method: "GET", path: "/v1/connections/" + c.ID + "/credentials"}, 200).raw
	want := `{"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"canary-secret-access-key","Token":"canary-session-token",` +
		`"Expiration":"2026-03-04T05:36:07Z","AccountId":"222222222222"}` + "\n"
	if string(raw) != want {
		t.Errorf("credentials %s", raw)
	}
	hour := read[Credentials](t, w.want(ask{method: "GET", path: "/v1/connections/" + c.ID + "/credentials?durationSeconds=3600"}, 200))
	if hour.Expiration != "2026-03-04T06:06:07Z" {
		t.Errorf("expires %s", hour.Expiration)
	}
	for query, code := range map[string]connect.Code{
		"?durationSeconds=1799": connect.CodeDurationInvalid, "?durationSeconds=3601": connect.CodeDurationInvalid,
		"?durationSeconds=-1800": codeParameterInvalid, "?durationSeconds=30m": codeParameterInvalid, "?format=xml": codeParameterInvalid,
	} {
		w.refused(ask{method: "GET", path: "/v1/connections/" + c.ID + "/credentials" + query}, 400, code)
	}
	w.want(ask{method: "DELETE", path: "/v1/connections/" + c.ID}, 204)
	w.refused(ask{method: "GET", path: "/v1/connections/" + c.ID + "/credentials"}, 409, connect.CodeNotEnabled)
}

// routesOf fills a connection's id into every route of one connection, with a body where one is needed.
func routesOf(id string) []ask {
	var out []ask
	for _, r := range Routes() {
		if !strings.HasPrefix(r.Path, "/v1/connections/{id}") {
			continue
		}
		a := ask{method: r.Method, path: strings.ReplaceAll(r.Path, "{id}", id)}
		a.body = map[string]string{
			"PUT /v1/connections/{id}/role":         `{"roleArn":"` + roleARN + `"}`,
			"PATCH /v1/connections/{id}":            `{"name":"mine now"}`,
			"POST /v1/connections/{id}/credentials": `{}`,
			"PUT /v1/connections/{id}/scopes":       `{"scopes":[{"level":"organization"}]}`,
			"POST /v1/connections/{id}/sign-in":     `{}`,
			"PUT /v1/connections/{id}/access-key":   `{"accessKeyId":"AKIAEXAMPLEEXAMPLE22","secretAccessKey":"example"}`,
		}[r.Method+" "+r.Path]
		out = append(out, a)
	}
	return out
}

func TestOtherTenantsConnectionsDoNotExist(t *testing.T) {
	w := newWorld(t)
	mine := w.enabled("a").ID
	unknown, err := connect.NewConnectionID(w.now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var bodies []string
	for _, id := range []string{mine, string(unknown), "conn_", "x", "..%2f..", strings.ToUpper(mine), mine + "%00", "%C3%A4"} {
		for _, a := range routesOf(id) {
			a.tenant = "other"
			res := w.want(a, 404)
			raw := res.raw
			head := maps.Clone(res.Header)
			delete(head, RequestIDHeader)
			b, _ := json.Marshal(head)
			bodies = append(bodies, string(b)+string(raw))
		}
	}
	for _, b := range bodies {
		if b != bodies[0] {
			t.Errorf("answers differ:\n%s\n%s", bodies[0], b)
		}
	}
	if got := w.store.Get(connect.ConnectionID(mine)); got.Status() != connect.StatusEnabled {
		t.Errorf("the connection is %s", got.Status())
	}
}

func TestRoutesAndMethods(t *testing.T) {
	w := newWorld(t)
	id := w.create("a").ID
	for _, path := range []string{"/", "/v1", "/v1/", "/v1/connections/", "//v1/connections", "/v1//connections", "/v1/../v1/connections", "/V1/connections", "/v1/connections/" + id + "/", "/v1/connections/" + id + "/secrets", "/healthz", "/v1%2fconnections"} {
		w.refused(ask{method: "GET", path: path}, 404, codeRouteNotFound)
		w.refused(ask{method: "GET", path: path, tenant: "-"}, 404, codeRouteNotFound)
	}
	for route, allow := range map[string]string{
		"PATCH /v1/connections": "GET, POST", "POST /v1/config": "GET", "HEAD /v1/config": "GET", "PUT /v1/connections/" + id: "DELETE, GET, PATCH",
		"GET /v1/connections/" + id + "/role": "PUT", "OPTIONS /v1/connections": "GET, POST", "get /v1/config": "GET",
	} {
		method, path, _ := strings.Cut(route, " ")
		res := w.want(ask{method: method, path: path}, 405)
		if got := res.Header.Get("Allow"); got != allow {
			t.Errorf("%s: Allow %q, want %q", route, got, allow)
		}
	}
	rec := httptest.NewRecorder() // a route of the other function
	w.api.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "POST", "/v1/connections/"+id+"/verify", nil))
	if rec.Code != 404 {
		t.Errorf("api answers broker's route with %d", rec.Code)
	}
}

func TestEveryRouteFailsClosed(t *testing.T) {
	w := newWorld(t)
	id := w.create("a").ID
	for _, r := range Routes() {
		if r.Scope == "" {
			continue
		}
		a := ask{method: r.Method, path: strings.ReplaceAll(r.Path, "{id}", id)}
		a.tenant = "-"
		w.refused(a, 401, codeUnauthenticated)
		for _, tenant := range []string{"[a b]", "a b", "[acme]", "", "acme\n", "ac/me", strings.Repeat("a", 129)} {
			a.tenant, a.scopes = tenant, allScopes()
			if tenant == "" {
				continue // send takes it for the usual one; see below
			}
			w.refused(a, 403, connect.CodeTenantInvalid)
		}
		a.tenant = ""
		for _, subject := range []string{"rolecall", "stack", "a\nb", strings.Repeat("s", 257)} {
			a.subject = subject
			w.refused(a, 403, codeSubjectInvalid)
		}
		a.subject = ""
		a.scopes = slices.DeleteFunc(allScopes(), func(s string) bool { return s == r.Scope })
		a.scopes = append(a.scopes, r.Scope+":x", strings.ToUpper(r.Scope), "*")
		if p := w.refused(a, 403, codeScopeMissing); !strings.Contains(p.Detail, r.Scope) {
			t.Errorf("%s does not name %s", p.Detail, r.Scope)
		}
	}
	for _, empty := range []struct{ tenant, subject string }{{"", "anna"}, {"acme", ""}} {
		rec := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/connections", nil)
		w.api.ServeHTTP(rec, r.WithContext(Identify(r.Context(), empty.tenant, empty.subject, allScopes())))
		if rec.Code != 403 {
			t.Errorf("%+v → %d", empty, rec.Code)
		}
	}
}

func TestFailuresSayNothingOfTheirCause(t *testing.T) {
	w := newWorld(t)
	c := w.enabled("a")
	w.fail(errors.New("dynamodb: secret endpoint exploded"))
	p := w.refused(ask{method: "GET", path: "/v1/connections/" + c.ID, header: map[string]string{RequestIDHeader: "req-7"}}, 500, connect.CodeInternal)
	if strings.Contains(p.Detail+p.Fix, "dynamodb") || p.RequestID != "req-7" {
		t.Errorf("problem %+v", p)
	}
	if !strings.Contains(w.log.String(), "secret endpoint exploded") || !strings.Contains(w.log.String(), `"requestId":"req-7"`) {
		t.Error("the log does not tell the cause")
	}
	w.fail(connect.ErrConflict)
	res := w.want(ask{method: "POST", path: "/v1/connections/" + c.ID + "/launch"}, 503)
	if res.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", res.Header.Get("Retry-After"))
	}
	w.fail(nil)
	w.account.set(func(a *account) { a.down = true })
	if p := w.refused(ask{method: "GET", path: "/v1/connections/" + c.ID + "/credentials"}, 503, connect.CodeSTSUnavailable); strings.Contains(p.Detail, "dial") {
		t.Errorf("problem %+v", p)
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	var log syncBuffer
	s := newServer([]operation{does(operation{route: "GET /v1/config"}, func(context.Context, call, none) (reply, error) {
		panic("out of cheese")
	})}, nil, slog.New(slog.NewJSONHandler(&log, nil)), time.Now)
	rec := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/config", nil)
	s.ServeHTTP(rec, r.WithContext(Identify(r.Context(), "acme", "anna", allScopes())))
	if p := read[Problem](t, received{raw: rec.Body.Bytes()}); rec.Code != 500 || p.Code != connect.CodeInternal || strings.Contains(p.Detail, "cheese") {
		t.Errorf("%d %+v", rec.Code, p)
	}
	if !strings.Contains(log.String(), "panic: string") || strings.Contains(log.String(), "cheese") || !strings.Contains(log.String(), `"status":500`) {
		t.Errorf("log %s", log.String())
	}
}

func TestLogTellsWhoDidWhatAndNoSecret(t *testing.T) {
	w := newWorld(t)
	c := w.enabled("Very Private Name")
	w.want(ask{method: "GET", path: "/v1/connections/" + c.ID + "/credentials?durationSeconds=1800"}, 200)
	w.want(ask{method: "GET", path: "/v1/connections?q=private-query"}, 200)
	log := w.log.String()
	for _, secret := range []string{canaryToken, canaryKey, "canary-session-token", "Very Private Name", "private-query", c.ExternalID} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
	var line map[string]any
	for l := range strings.Lines(log) {
		if strings.Contains(l, "/credentials") {
			if err := json.Unmarshal([]byte(l), &line); err != nil {
				t.Fatal(err)
			}
		}
	}
	for key, want := range map[string]any{"route": "GET /v1/connections/{id}/credentials", "tenant": "acme", "connectionId": c.ID, "status": 200.0} {
		if line[key] != want {
			t.Errorf("%s = %v, want %v in %v", key, line[key], want, line)
		}
	}
	if !strings.Contains(log, `"msg":"credentials handed out","tenant":"acme","connectionId":"`+c.ID+`","caller":"anna","accessKeyId":"ASIAEXAMPLE"`) {
		t.Errorf("no audit line in %s", log)
	}
}

func TestLaunchThatCannotBeShownDoesNotHideTheVerdict(t *testing.T) {
	w := newWorld(t)
	c := w.create("a")
	w.tokens.fail = connect.Unavailable(connect.CodeSTSUnavailable, "KMS did not answer", nil)
	w.refused(ask{method: "GET", path: "/v1/connections/" + c.ID}, 503, connect.CodeSTSUnavailable)
	external := connect.ExternalID(c.ExternalID)
	w.account.set(func(a *account) { a.right, a.open = external, true })
	w.now = w.now.Add(time.Second)
	w.want(ask{method: "PUT", path: "/v1/connections/" + c.ID + "/role", body: `{"roleArn":"` + roleARN + `"}`}, 202)
	if s := w.store.Get(connect.ConnectionID(c.ID)).Snapshot(); s.Checks[1].Reason.Code != connect.CodeExternalIDNotRequired {
		t.Errorf("checks %+v", s.Checks)
	}
}

func TestNoModelShowsTheTenant(t *testing.T) {
	for _, m := range []reflect.Type{reflect.TypeFor[Connection](), reflect.TypeFor[Event]()} {
		for f := range m.Fields() {
			if strings.Contains(strings.ToLower(f.Name), "tenant") {
				t.Errorf("%s.%s", m, f.Name)
			}
		}
	}
}

func FuzzRequestBody(f *testing.F) {
	for _, s := range []string{
		`{"name":"a"}`, `{}`, ``, `null`, `{"name":1}`, `{"name":"a","name":"b"}`, `{"externalId":"x"}`, `{"name":"\ud800"}`,
		`{"name":"a"}x`, "{\"name\":\"\xff\"}", `{"name":{"name":[[[]]]}}`, `{"a":`, `{"name":"a","method":"role","defaultRegion":"eu-west-1","permissions":"p"}`,
		`{"name":"a","scopes":[{"level":"project","id":"p1"},{"level":"organization"}]}`, `{"name":"a","scopes":[]}`, `{"name":"a","scopes":[null,{},[],{"id":""}]}`,
		`{"name":"a","scopes":[{"level":"project","Level":"x","level":"y"}]}`, `{"name":"a","scopes":null}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got CreateConnection
		err := decodeObject(body, reflect.ValueOf(&got).Elem())
		var p *Problem
		if err != nil && (!errors.As(err, &p) || p.Status != 400 || p.Code == "") {
			t.Fatalf("error %v", err)
		}
		if err != nil {
			return
		}
		// What is let through is what a strict decoder reads too, with nothing else in it.
		var strict CreateConnection
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(&strict); err != nil || !reflect.DeepEqual(strict, got) {
			t.Fatalf("%q was read as %+v, strictly as %+v, %v", body, got, strict, err)
		}
	})
}

func FuzzCaller(f *testing.F) {
	f.Add("acme", "anna", "connections:read credentials:issue")
	f.Add("[a b]", "stack", "")
	f.Add("", "", "[connections:read]")
	f.Fuzz(func(t *testing.T, tenant, subject, scopes string) {
		c, err := callerOf(Identify(t.Context(), tenant, subject, strings.Fields(scopes)), ScopeRead)
		if err != nil {
			var p *Problem
			if !errors.As(err, &p) || p.Status != 403 {
				t.Fatalf("error %v", err)
			}
			return
		}
		if _, err := connect.ParseTenantID(string(c.Tenant)); err != nil || string(c.Tenant) != tenant || c.Subject == connect.ActorStack {
			t.Fatalf("caller %+v", c)
		}
		if !slices.Contains(strings.Fields(scopes), ScopeRead) {
			t.Fatalf("admitted with %q", scopes)
		}
	})
}

func BenchmarkNewAPI(b *testing.B) {
	for b.Loop() {
		NewAPI(APIParts{Log: slog.Default()})
	}
}

func BenchmarkNewBroker(b *testing.B) {
	for b.Loop() {
		NewBroker(BrokerParts{Log: slog.Default()})
	}
}
