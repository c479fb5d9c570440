package httpapi

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"

	"rolecall/shared/connect"
)

// The OpenAPI document is rendered here and embedded, so that no function links the library that renders it: importing
// huma alone costs a start about a millisecond (tables of its own and of its YAML writer).

var updateDocument = flag.Bool("update", false, "render openapi.json anew")

func allOperations() []operation {
	return append(api{}.operations(), broker{}.operations()...)
}

// documentOf renders the OpenAPI document of all operations from the types that they read and answer with.
func documentOf(t *testing.T) (*huma.OpenAPI, []byte) {
	t.Helper()
	huma.DefaultArrayNullable = false // lists are never null in what we answer
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: "Rolecall", Version: "1", Description: introduction()},
		Servers: []*huma.Server{{URL: "/"}},
		Components: &huma.Components{
			Schemas: registry,
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"token": {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "A JWT of the platform's identity provider. Its tenant claim says whose connections are meant; its scopes say what may be done."},
			},
		},
	}
	problem := registry.Schema(reflect.TypeFor[Problem](), true, "")
	var codes []any
	for _, c := range Codes() {
		codes = append(codes, string(c.Code))
	}
	registry.SchemaFromRef("#/components/schemas/Problem").Properties["code"].Enum = codes
	for _, o := range allOperations() {
		doc.AddOperation(describe(t, o, registry, problem))
	}
	allowMoreIn(doc, registry)
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, raw, "", " "); err != nil {
		t.Fatal(err)
	}
	return doc, append(indented.Bytes(), '\n')
}

func describe(t *testing.T, o operation, registry huma.Registry, problem *huma.Schema) *huma.Operation {
	t.Helper()
	method, path, _ := strings.Cut(o.route, " ")
	out := &huma.Operation{
		Method: method, Path: path, OperationID: o.id, Summary: o.summary, Description: o.about,
		Responses: map[string]*huma.Response{"default": {
			Description: "A problem",
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: problem}},
			Headers:     map[string]*huma.Header{RequestIDHeader: stringHeader("Names the request in the platform's log.")},
		}},
	}
	if scope := routeOf(t, o.route).Scope; scope != "" {
		out.Security = []map[string][]string{{"token": {scope}}}
		out.Description = strings.TrimSpace(out.Description + " Scope: `" + scope + "`.")
	}
	if routeOf(t, o.route).Rationed != "" && !o.legacy {
		out.Responses["429"] = &huma.Response{
			Description: "The tenant asks too often; code is TOO_MANY_REQUESTS",
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: problem}},
			Headers:     map[string]*huma.Header{"Retry-After": stringHeader("In seconds.")},
		}
	}
	if o.legacy {
		out.Responses["default"] = response(registry, answer{about: "An error", body: reflect.TypeFor[LegacyError](), headers: []string{RequestIDHeader}})
	}
	for f := range o.input.Fields() {
		if f.Name == bodyField {
			schema := registry.Schema(f.Type, true, "")
			out.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
			continue
		}
		out.Parameters = append(out.Parameters, parameter(registry, f))
	}
	for _, a := range o.answers {
		out.Responses[strconv.Itoa(a.status)] = response(registry, a)
	}
	return out
}

// allowMoreIn lets answers gain members later without breaking those who validate them; bodies of requests stay strict.
func allowMoreIn(doc *huma.OpenAPI, registry huma.Registry) {
	strict := map[string]bool{}
	for _, path := range doc.Paths {
		for _, o := range []*huma.Operation{path.Get, path.Put, path.Post, path.Patch, path.Delete} {
			if o != nil && o.RequestBody != nil {
				strict[o.RequestBody.Content["application/json"].Schema.Ref] = true
			}
		}
	}
	for name, schema := range registry.Map() {
		if !strict["#/components/schemas/"+name] {
			schema.AdditionalProperties = nil
		}
	}
}

func stringHeader(about string) *huma.Header {
	return &huma.Header{Description: about, Schema: &huma.Schema{Type: huma.TypeString}}
}

func parameter(registry huma.Registry, f reflect.StructField) *huma.Param {
	for _, in := range []string{"path", "query", "header"} {
		if name := f.Tag.Get(in); name != "" {
			schema := huma.SchemaFromField(registry, f, "")
			about := schema.Description
			schema.Description = ""
			return &huma.Param{Name: name, In: in, Required: in == "path", Description: about, Schema: schema}
		}
	}
	panic("the input's member " + f.Name + " is read from nowhere")
}

func response(registry huma.Registry, a answer) *huma.Response {
	r := &huma.Response{Description: a.about, Headers: map[string]*huma.Header{}}
	if r.Description == "" {
		r.Description = http.StatusText(a.status)
	}
	for _, h := range a.headers {
		r.Headers[h] = stringHeader("")
	}
	if a.body != nil {
		r.Content = map[string]*huma.MediaType{"application/json": {Schema: bodySchema(registry, a)}}
	}
	if a.text {
		r.Content["text/plain"] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	}
	return r
}

func bodySchema(registry huma.Registry, a answer) *huma.Schema {
	schema := registry.Schema(a.body, true, "")
	if a.or == nil {
		return schema
	}
	return &huma.Schema{OneOf: []*huma.Schema{schema, registry.Schema(a.or, true, "")}}
}

func routeOf(t *testing.T, route string) Route {
	t.Helper()
	for _, r := range Routes() {
		if r.Method+" "+r.Path == route {
			return r
		}
	}
	t.Fatalf("%s is no route", route)
	return Route{}
}

func introduction() string {
	var b strings.Builder
	b.WriteString("Connects customers' AWS accounts and issues credentials for them.\n\n" +
		"A claim can restrict a token to some of its tenant's connections, named by id or by scope. Such a token reads as any other, but for launches. " +
		"Credentials, sign-in links and changes it gets for those connections alone; what concerns the whole tenant (new connections, scopes, enrolments) it may not change. " +
		"All else is refused with `CONNECTION_NOT_ALLOWED`. A claim that names nothing allows neither uses nor changes; a token without the claim is not restricted.\n\n" +
		"Errors are problems (RFC 9457) with a stable `code`. A status of - marks codes that occur only as reasons and in checks.\n\n" +
		"| Code | Status | Meaning |\n|---|---|---|\n")
	for _, c := range Codes() {
		status := "-"
		if c.Status != 0 {
			status = strconv.Itoa(c.Status)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.Code, status, c.Meaning)
	}
	return b.String()
}

func TestDocumentIsUpToDate(t *testing.T) {
	_, want := documentOf(t)
	if *updateDocument {
		if err := os.WriteFile("openapi.json", want, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(want), string(OpenAPI())); diff != "" {
		t.Errorf("openapi.json is out of date; render it anew with: go test ./shared/httpapi -run TestDocument -update\n%s", diff)
	}
}

func TestDocumentHasEveryRoute(t *testing.T) {
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Security []map[string][]string
		}
	}
	if err := json.Unmarshal(OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("openapi = %q", doc.OpenAPI)
	}
	documented := 0
	for _, methods := range doc.Paths {
		documented += len(methods)
	}
	if documented != len(Routes()) {
		t.Errorf("%d operations are documented, there are %d routes", documented, len(Routes()))
	}
	for _, r := range Routes() {
		op, ok := doc.Paths[r.Path][strings.ToLower(r.Method)]
		if !ok {
			t.Errorf("%s %s is not documented", r.Method, r.Path)
			continue
		}
		var scopes []string
		for _, s := range op.Security {
			scopes = append(scopes, s["token"]...)
		}
		if r.Scope != "" && !slices.Equal(scopes, []string{r.Scope}) || r.Scope == "" && len(scopes) > 0 {
			t.Errorf("%s %s: documented scopes %v, want %q", r.Method, r.Path, scopes, r.Scope)
		}
	}
}

func TestEachFunctionServesItsOwnRoutes(t *testing.T) {
	served := map[Function][]string{}
	for f, operations := range map[Function][]operation{API: api{}.operations(), Broker: broker{}.operations()} {
		for _, o := range operations {
			served[f] = append(served[f], o.route)
		}
	}
	want := map[Function][]string{}
	for _, r := range Routes() {
		want[r.Function] = append(want[r.Function], r.Method+" "+r.Path)
	}
	if diff := cmp.Diff(want, served); diff != "" {
		t.Error(diff)
	}
}

// TestEveryCodeIsDocumented reads the domain's source, so that a code that is added there is not forgotten here.
func TestEveryCodeIsDocumented(t *testing.T) {
	documented := map[string]int{}
	for _, c := range Codes() {
		documented[string(c.Code)]++
	}
	for _, dir := range []string{"../connect", "."} {
		for _, code := range codesIn(t, dir) {
			if documented[code] != 1 {
				t.Errorf("code %s of %s is listed %d times in Codes", code, dir, documented[code])
			}
		}
	}
}

func TestDocumentedStatusesAreTheDomains(t *testing.T) {
	want := strings.Join(texts(connect.Statuses()), ",")
	for _, model := range []reflect.Type{reflect.TypeFor[Connection](), reflect.TypeFor[listInput]()} {
		if f, ok := model.FieldByName("Status"); !ok || f.Tag.Get("enum") != want {
			t.Errorf("%s: documented statuses %q, want %q", model, f.Tag.Get("enum"), want)
		}
	}
}

func codesIn(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal("no source in ", dir, err)
	}
	var codes []string
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || typeName(spec.Type) != "Code" {
				return true
			}
			if lit, isLit := spec.Values[0].(*ast.BasicLit); isLit {
				code, _ := strconv.Unquote(lit.Value)
				codes = append(codes, code)
			}
			return true
		})
	}
	if len(codes) < 10 {
		t.Fatalf("only %v found in %s", codes, dir)
	}
	return codes
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}
