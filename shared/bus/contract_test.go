package bus_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

const (
	schemaFile = "../../events/connection-event.v1.schema.json"
	roleOne    = "arn:aws:iam::222222222222:role/acme/One"
	roleTwo    = "arn:aws:iam::222222222222:role/Two"
	stackOne   = "arn:aws:cloudformation:eu-west-1:222222222222:stack/one/11111111-aaaa"
	stackTwo   = "arn:aws:cloudformation:us-east-1:222222222222:stack/two/22222222-bbbb"
)

// A life drives connections through everything that can happen to them and keeps one event of each type.
type life struct {
	*testing.T
	events map[connect.EventType]connect.Event
}

func (l *life) took(ch connect.Change, err error) connect.Connection {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
	l.events[ch.Event().Type] = ch.Event()
	return ch.Connection()
}

func (l *life) rechecked(c connect.Connection, o connect.Outcome, at time.Time) connect.Connection {
	l.Helper()
	ch, ok := c.Rechecked(o, connect.ActorRolecall, at)
	if !ok {
		l.Fatal("the check changed nothing")
	}
	return l.took(ch, nil)
}

func (l *life) probed(c connect.Connection, v connect.Verdict) {
	l.Helper()
	probe := outcome(v).Checks[0]
	probe.Name = connect.CheckOffboarded
	ch, ok := c.Offboarded(probe, noon.Add(time.Hour))
	if !ok {
		l.Fatal("the probe changed nothing")
	}
	l.took(ch, nil)
}

func (l *life) updated(c connect.Connection) {
	l.Helper()
	name, region := connect.Name("Production (Virginia)"), connect.Region("us-east-1")
	ch, ok, err := c.Update(connect.Update{Name: &name, DefaultRegion: &region}, noon, "ada")
	if !ok {
		l.Fatal("the update changed nothing")
	}
	l.took(ch, err)
}

// rescoped keeps the event of a connection that takes a scope over.
func (l *life) rescoped(c connect.Connection) {
	l.Helper()
	id, err := connect.NewConnectionID(noon, rand.NewChaCha8([32]byte{8}))
	if err != nil {
		l.Fatal(err)
	}
	organization := connect.Scope{Level: connect.ScopeOrganization}
	other := connect.Create(connect.NewConnection{
		TenantID: "acme", Name: "Other", Partition: connect.PartitionAWS, DefaultRegion: "eu-west-1", Permissions: "read-only", By: "ada",
		Scopes: []connect.Scope{organization},
	}, id, connect.NewExternalID(), noon).Connection()
	ch, ok, err := c.SetScopes([]connect.Scope{organization}, []connect.Connection{other}, noon, "ada")
	if !ok || len(ch.Also()) != 1 {
		l.Fatal("nothing was taken over")
	}
	l.took(ch, err)
	l.events[scopesTaken] = ch.Also()[0].Event()
}

// scopesTaken stands for a further sample of connection.scopes_changed: what the connection tells that lost its scopes.
const scopesTaken connect.EventType = "connection.scopes_changed-taken"

// revocation is what becomes of one, as the use case commits it.
func (l *life) revocation(c connect.Connection) {
	l.Helper()
	held := storetest.New(c)
	u := connect.Verifications{
		Store: held, Verifier: connect.Verifier{Assumer: one{}}, Revoker: willing{}, Clock: func() time.Time { return noon.Add(2 * time.Hour) },
	}
	if _, err := u.Revoke(l.Context(), connect.Target{Tenant: "acme", ID: string(c.ID()), By: "ada"}); err != nil {
		l.Fatal(err)
	}
	if err := u.Try(l.Context(), connect.VerifyJob{ConnectionID: c.ID(), Farewell: true}); err != nil {
		l.Fatal(err)
	}
	for _, e := range held.Log() {
		l.events[e.Type] = e
	}
}

// willing is an account that lets the role give itself a policy.
type willing struct{}

func (willing) DenyOlder(context.Context, connect.Credentials, connect.RoleARN, connect.Region, time.Time) error {
	return nil
}

func (willing) AllowOlder(context.Context, connect.Credentials, connect.RoleARN, connect.Region) error {
	return nil
}

func (l *life) tried(c connect.Connection, o connect.Outcome) connect.Connection {
	l.Helper()
	v, _ := c.Trial()
	return l.took(c.Tried(v.Run, v.Attempt, o, 0, noon.Add(time.Minute)))
}

func (l *life) received(c connect.Connection, f connect.Fence, r connect.Callback) (connect.Connection, connect.Fence) {
	l.Helper()
	d := c.Receive(f, r, noon.Add(2*time.Minute))
	if d.Change == nil {
		l.Fatalf("%s of %s changed nothing: %+v", r.Type, r.Resource, d.Reply)
	}
	return l.took(*d.Change, nil), *d.Change.Fence()
}

func (l *life) role(s string) connect.RoleARN {
	l.Helper()
	arn, err := connect.ParseRoleARN(s)
	if err != nil {
		l.Fatal(err)
	}
	return arn
}

func (l *life) callback(kind connect.RequestType, resource connect.CallbackResource, stack, request string) connect.Callback {
	l.Helper()
	id, err := connect.ParseStackID(stack)
	if err != nil {
		l.Fatal(err)
	}
	return connect.Callback{
		Type: kind, Resource: resource, StackID: id, LogicalID: string(resource[len("Custom::Rolecall"):]), RequestID: request,
		Launch: 1, RoleARN: l.role(roleOne), TemplateVersion: "1.0.0", SentAt: noon,
	}
}

func outcome(v connect.Verdict, regions ...connect.Region) connect.Outcome {
	o := connect.Outcome{Account: "222222222222", At: noon, Regions: regions}
	for _, n := range []connect.CheckName{
		connect.CheckAssumeRole, connect.CheckExternalIDRequired, connect.CheckExternalIDMatched, connect.CheckRegions, connect.CheckTrustPolicy,
	} {
		o.Checks = append(o.Checks, connect.Check{Name: n, Verdict: connect.Passed, At: noon})
	}
	if v != connect.Passed {
		o.Checks[0].Verdict = v
		o.Checks[0].Reason = connect.Reason{Code: connect.CodeRoleNotAssumable, Message: "the role cannot be assumed", Fix: "Mend it."}
	}
	return o
}

// one is an account all of whose roles may be assumed.
type one struct{}

func (one) AssumeRole(context.Context, connect.AssumeRequest) (connect.Session, error) {
	return connect.Session{Account: "222222222222", Credentials: connect.Credentials{
		AccessKeyID: "ASIA1", SecretAccessKey: connect.NewSecret("CANARY"), SessionToken: connect.NewSecret("CANARY"), Expires: noon,
	}}, nil
}

// lived is one event of each type, made by the domain itself.
func lived(t *testing.T) map[connect.EventType]connect.Event {
	t.Helper()
	l := &life{T: t, events: map[connect.EventType]connect.Event{}}
	id, err := connect.NewConnectionID(noon, rand.NewChaCha8([32]byte{7}))
	if err != nil {
		t.Fatal(err)
	}
	made := l.took(connect.Create(connect.NewConnection{
		TenantID: "acme", Name: "Production", Partition: connect.PartitionAWS, DefaultRegion: "eu-west-1", Permissions: "read-only", By: "ada",
		Scopes: []connect.Scope{{Level: connect.ScopeProject, ID: "payments"}},
	}, id, connect.NewExternalID(), noon), nil)
	l.updated(made)
	l.rescoped(made)
	l.took(made.Launch(noon, "ada"))
	l.took(made.Expire(noon.Add(8 * 24 * time.Hour)))
	l.took(made.Delete(noon, "ada"))

	// By a stack: begun, enabled, updated, deleted.
	c, f := l.received(made, connect.Fence{}, l.callback(connect.RequestCreate, connect.ResourceStackStarted, stackOne, "r1"))
	c, f = l.received(c, f, l.callback(connect.RequestCreate, connect.ResourceConnection, stackOne, "r2"))
	c = l.tried(c, outcome(connect.Unknown))
	c = l.tried(c, outcome(connect.Passed, "eu-west-1"))
	c, f = l.received(c, f, l.callback(connect.RequestUpdate, connect.ResourceConnection, stackOne, "r3"))
	c, _ = l.received(c, f, l.callback(connect.RequestDelete, connect.ResourceConnection, stackOne, "r4"))

	// Gone, as far as can be told.
	l.probed(c, connect.Unknown)
	l.probed(c, connect.Failed)
	l.probed(c, connect.Passed)

	// By hand: failed, begun again, changed, and a stack that comes only to go.
	c = l.tried(l.took(made.ReportRole(l.role(roleOne), noon, "ada")), outcome(connect.Failed))
	c = l.tried(l.took(c.Retry(noon, "ada")), outcome(connect.Passed, "eu-west-1"))
	l.received(c, connect.Fence{}, l.callback(connect.RequestDelete, connect.ResourceConnection, stackTwo, "r5"))
	candidate := l.took(c.ReportRole(l.role(roleTwo), noon, "ada"))
	l.tried(candidate, outcome(connect.Failed))
	l.tried(candidate, outcome(connect.Passed, "eu-west-1"))

	// In service.
	l.rechecked(c, outcome(connect.Passed, "eu-west-1", "us-east-1"), noon)
	down := c
	for i := 1; i <= 3; i++ {
		down = l.rechecked(down, outcome(connect.Failed), noon.Add(time.Duration(i)*6*time.Minute))
	}
	l.rechecked(down, outcome(connect.Passed), noon.Add(time.Hour))
	revoked := l.took(c.Revoke(noon, "ada"))
	l.revocation(revoked)
	held := storetest.New(c)
	issuing := connect.Issuing{Clock: func() time.Time { return noon }, Store: held, Sessions: connect.SessionMaker{
		Store: held, Assumer: one{}, Clock: func() time.Time { return noon }, EventID: func() string { return "evt_abc" },
	}}
	if _, err := issuing.Issue(t.Context(), connect.IssueRequest{Tenant: "acme", ID: string(id), Caller: "ada"}); err != nil {
		t.Fatal(err)
	}
	for _, e := range held.Log() {
		l.events[e.Type] = e
	}
	l.enrolled()
	l.byKeys(id)
	return l.events
}

// enrolled drives an organization's enrolment: made, an account linked that is connected already, its stack gone, revoked.
func (l *life) enrolled() {
	l.Helper()
	held := storetest.New(l.connected())
	u := connect.Enrolments{
		Store: held, Clock: func() time.Time { return noon }, Random: rand.NewChaCha8([32]byte{8}),
		Deployment: connect.Deployment{
			Platform: connect.Platform{Partition: connect.PartitionAWS, Account: "111111111111"}, Regions: []connect.Region{"eu-west-1"},
			Permissions: []connect.PermissionSet{{Name: "read-only"}}, OrganizationTemplate: connect.PublishedTemplate{URL: "https://templates.example.com/"},
		},
	}
	e, err := u.Create(l.Context(), connect.EnrolRequest{Tenant: "acme", By: "ada", OrganizationID: "o-a1b2c3d4e5", Units: []string{"r-ab12"}})
	if err != nil {
		l.Fatal(err)
	}
	callbacks := connect.Callbacks{
		Store: held, Clock: u.Clock, Account: "111111111111", Members: connect.Members{Store: held, Tokens: anyToken{}, Random: u.Random},
	}
	for request, kind := range []connect.RequestType{connect.RequestCreate, connect.RequestDelete} {
		cb := l.callback(kind, connect.ResourceMember, stackTwo, "m"+strconv.Itoa(request))
		reply, err := callbacks.Receive(l.Context(), connect.CallbackRequest{Callback: cb, EnrolmentID: string(e.ID()), RoleARN: roleOne})
		if err != nil || reply == nil || !reply.OK {
			l.Fatalf("%s of an account that is connected: %+v, %v", kind, reply, err)
		}
	}
	if err := u.Revoke(l.Context(), "acme", string(e.ID()), "ada"); err != nil {
		l.Fatal(err)
	}
	for _, e := range held.Log() {
		l.events[e.Type] = e
	}
}

// connected is an enabled connection.
func (l *life) connected() connect.Connection {
	l.Helper()
	id, err := connect.NewConnectionID(noon, rand.NewChaCha8([32]byte{9}))
	if err != nil {
		l.Fatal(err)
	}
	made := connect.Create(connect.NewConnection{
		TenantID: "acme", Name: "Known", Partition: connect.PartitionAWS, DefaultRegion: "eu-west-1", Permissions: "read-only", By: "ada",
	}, id, connect.NewExternalID(), noon).Connection()
	apart := &life{T: l.T, events: map[connect.EventType]connect.Event{}}
	return apart.tried(apart.took(made.ReportRole(l.role(roleOne), noon, "ada")), outcome(connect.Passed, "eu-west-1"))
}

// anyToken takes every token of an enrolment.
type anyToken struct{}

func (anyToken) EnrolmentToken(context.Context, connect.EnrolmentID) (connect.Secret, error) {
	return connect.NewSecret("e.token"), nil
}

func (anyToken) ProveEnrolment(context.Context, connect.EnrolmentID, connect.Secret) error {
	return nil
}

// byKeys lives the life of a connection by access key: changed, grown old, replaced by a role.
func (l *life) byKeys(id connect.ConnectionID) {
	l.Helper()
	o := connect.Outcome{Method: connect.MethodAccessKey, Account: "222222222222", At: noon, Regions: []connect.Region{"eu-west-1"}}
	for _, n := range []connect.CheckName{connect.CheckKeys, connect.CheckRegions} {
		o.Checks = append(o.Checks, connect.Check{Name: n, Verdict: connect.Passed, At: noon})
	}
	made := connect.CreateWithKeys(connect.NewConnection{
		TenantID: "acme", Name: "By key", Partition: connect.PartitionAWS, AccountID: "222222222222", DefaultRegion: "eu-west-1",
		Permissions: "read-only", By: "ada",
	}, id, connect.NewExternalID(), connect.AccessKey{ID: "AKIAEXAMPLEEXAMPLE01", Sealed: "c2VhbGVk", SetAt: noon}, o, noon).Connection()
	ch, err := made.RotateKeys(connect.AccessKey{ID: "AKIAEXAMPLEEXAMPLE02", Sealed: "c2VhbGVk", SetAt: noon}, o, "ada", noon)
	c := l.took(ch, err)
	old, ok := c.KeysOld(90*24*time.Hour, noon.Add(91*24*time.Hour))
	if !ok {
		l.Fatal("the key does not get old")
	}
	c = l.took(old, nil)
	temporary := connect.AccessKey{ID: "ASIAEXAMPLEEXAMPLE03", Sealed: "c2VhbGVk", SetAt: noon, ExpiresAt: noon.Add(time.Hour)}
	ch, err = made.RotateKeys(temporary, o, "ada", noon)
	if err != nil {
		l.Fatal(err)
	}
	ending, ok := ch.Connection().KeysEnding(noon.Add(50 * time.Minute))
	if !ok {
		l.Fatal("nobody is told that the key will end")
	}
	l.took(ending, nil)
	reported, err := c.ReportRole(l.role(roleOne), noon, "ada")
	if err != nil {
		l.Fatal(err)
	}
	l.tried(reported.Connection(), outcome(connect.Passed, "eu-west-1"))
}

// declared are the event types that package connect has constants for.
func declared(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../connect/event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "EventType" {
			return true
		}
		for _, v := range spec.Values {
			if literal, ok := v.(*ast.BasicLit); ok {
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				found = append(found, text)
			}
		}
		return true
	})
	slices.Sort(found)
	return found
}

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Whatever can happen to a connection is published as the schema says, with no member that the schema does not tell of.
func TestEveryEventIsPublishedAsTheSchemaSays(t *testing.T) {
	happened := lived(t)
	var types []string
	for kind, e := range happened {
		if kind == e.Type {
			types = append(types, string(kind))
		}
	}
	slices.Sort(types)
	if diff := cmp.Diff(declared(t), types); diff != "" {
		t.Fatalf("event types (-declared +tried):\n%s", diff)
	}
	s, known := schema(t), documented(t)
	w := newWorld(t)
	for kind, e := range happened {
		t.Run(string(kind), func(t *testing.T) {
			if out, err := w.publisher.Handle(t.Context(), batch(e)); err != nil || len(out.BatchItemFailures) > 0 {
				t.Fatalf("not published: %+v, error %v", out, err)
			}
			var detail map[string]any
			if err := json.Unmarshal(w.received()[0].Detail, &detail); err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(detail); err != nil {
				t.Errorf("%v\n%v", err, detail)
			}
			data, _ := detail["data"].(map[string]any)
			for name := range data {
				if !slices.Contains(known[string(e.Type)], name) {
					t.Errorf("the schema does not tell of data.%s", name)
				}
			}
		})
	}
}

var update = flag.Bool("update", false, "write events/samples/published anew, from what the domain does")

// Every type has a sample, of what a rule's target gets, whose data has the members that the domain really gives. Words
// in a sample may fall behind; its shape may not. events_test.go holds the samples against the schema.
func TestEveryEventHasASample(t *testing.T) {
	w := newWorld(t)
	for kind, e := range lived(t) {
		t.Run(string(kind), func(t *testing.T) {
			if e.EnrolmentID != "" {
				e.EnrolmentID = "enr_01ka000000000000000000demx"
			} else {
				e.ConnectionID = "conn_01ka000000000000000000demx"
			}
			if kind != connect.EventCredentialsIssued {
				e.ID = "evt_01ka000000000000000000demx_" + strconv.FormatInt(e.Sequence, 10)
			}
			if out, err := w.publisher.Handle(t.Context(), batch(e)); err != nil || len(out.BatchItemFailures) > 0 {
				t.Fatalf("not published: %+v, error %v", out, err)
			}
			got := w.bodies()
			if len(got) != 1 {
				t.Fatalf("%d events", len(got))
			}
			file := filepath.Join("../../events/samples/published", string(kind)+".json")
			if *update {
				writeSample(t, file, got[0])
			}
			var sample, published envelope
			readJSON(t, file, &sample)
			if err := json.Unmarshal([]byte(got[0]), &published); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(members(published), members(sample)); diff != "" {
				t.Errorf("%s (-published +sample); `go test ./shared/bus -run Sample -update` writes it anew:\n%s", file, diff)
			}
		})
	}
}

type envelope struct {
	DetailType string `json:"detail-type"`
	Source     string
	Detail     map[string]any
}

// members are the names that an event has, those of its data among them.
func members(e envelope) []string {
	names := []string{"detail-type " + e.DetailType, "source " + e.Source}
	for name := range e.Detail {
		names = append(names, name)
	}
	data, _ := e.Detail["data"].(map[string]any)
	for name := range data {
		names = append(names, "data."+name)
	}
	slices.Sort(names)
	return names
}

// writeSample writes an event with an id that does not change each time.
func writeSample(t *testing.T, file, body string) {
	t.Helper()
	var e map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	out.WriteString("{")
	for i, name := range []string{"version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"} {
		if i > 0 {
			out.WriteString(",")
		}
		value := e[name]
		if name == "id" {
			value = json.RawMessage(`"6f1e1c60-c6c4-41f0-a4a1-0a1b2c3d4e5f"`)
		}
		out.WriteString(strconv.Quote(name) + ":")
		out.Write(value)
	}
	out.WriteString("}")
	var indented bytes.Buffer
	if err := json.Indent(&indented, out.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	indented.WriteString("\n")
	if err := os.WriteFile(file, indented.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// documented are the members of data that the schema names for each type.
func documented(t *testing.T) map[string][]string {
	t.Helper()
	var doc struct {
		AllOf []struct {
			If struct {
				Properties struct{ Type struct{ Const string } }
			}
			Then struct {
				Properties struct {
					Data struct{ Properties map[string]any }
				}
			}
		}
	}
	readJSON(t, schemaFile, &doc)
	known := map[string][]string{}
	for _, rule := range doc.AllOf {
		for name := range rule.Then.Properties.Data.Properties {
			kind := rule.If.Properties.Type.Const
			known[kind] = append(known[kind], name)
		}
	}
	return known
}
