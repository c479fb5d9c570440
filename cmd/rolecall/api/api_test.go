package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The document that Rolecall's HTTP API is described by says which members there are. What this client reads must be
// among them, and what it asks for too.
func TestTypesAreTheAPIs(t *testing.T) {
	doc := document(t)
	for name, model := range map[string]reflect.Type{
		"Connection": reflect.TypeFor[Connection](), "Reason": reflect.TypeFor[Reason](), "Connections": reflect.TypeFor[Connections](),
		"Credentials": reflect.TypeFor[Credentials](), "Problem": reflect.TypeFor[Problem](),
		"IssueCredentials": reflect.TypeFor[IssueCredentials](), "RequestSignIn": reflect.TypeFor[RequestSignIn](), "SignInLink": reflect.TypeFor[SignInLink](),
	} {
		schema, ok := doc.Components.Schemas[name]
		if !ok {
			t.Errorf("the API has no %s", name)
			continue
		}
		for field := range model.Fields() {
			member, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if member == "-" {
				continue
			}
			property, ok := schema.Properties[member]
			if !ok {
				t.Errorf("%s.%s: the API has no member %q", name, field.Name, member)
				continue
			}
			if want := kind(field.Type); property.Type != want && (property.Ref == "" || want != "object") {
				t.Errorf("%s.%s is a %s, the API's %s is a %s", name, field.Name, want, member, property.Type)
			}
		}
	}
	for route, parameters := range map[string][]string{
		"/v1/connections": {"status", "q", "limit", "cursor"}, "/v1/connections/{id}": nil, "/v1/connections/{id}/credentials": {"durationSeconds"},
	} {
		get, ok := doc.Paths[route]["get"]
		if !ok {
			t.Errorf("the API has no GET %s", route)
		}
		if _, ok := doc.Paths["/v1/connections/{id}/sign-in"]["post"]; !ok {
			t.Error("the API has no sign-in")
		}
		for _, wanted := range parameters {
			if !slices.ContainsFunc(get.Parameters, func(p parameter) bool { return p.Name == wanted && p.In == "query" }) {
				t.Errorf("GET %s has no parameter %s", route, wanted)
			}
		}
	}
}

type (
	property struct {
		Type string `json:"type"`
		Ref  string `json:"$ref"`
	}
	schema struct {
		Properties map[string]property `json:"properties"`
	}
	parameter struct{ Name, In string }
	operation struct{ Parameters []parameter }
	openapi   struct {
		Components struct{ Schemas map[string]schema }
		Paths      map[string]map[string]operation
	}
)

func document(t *testing.T) openapi {
	t.Helper()
	text, err := os.ReadFile("../../../shared/httpapi/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc openapi
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func kind(t reflect.Type) string {
	if t == reflect.TypeFor[json.RawMessage]() {
		return "object"
	}
	if t == reflect.TypeFor[time.Time]() || t == reflect.TypeFor[*time.Time]() {
		return "string"
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Struct, reflect.Map:
		return "object"
	case reflect.Slice:
		return "array"
	case reflect.Int:
		return "integer"
	case reflect.Bool:
		return "boolean"
	default:
		return t.Kind().String()
	}
}

func client(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return &Client{Base: s.URL, HTTP: s.Client(), Token: func(context.Context) (string, error) { return "t0ken", nil }}
}

// A name may be on a later page, and be spelt otherwise; a name that only begins alike is not it.
func TestFind(t *testing.T) {
	var asked []string
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path+"?"+r.URL.RawQuery)
		if r.Header.Get("Authorization") != "Bearer t0ken" {
			t.Error(r.Header)
		}
		switch {
		case r.URL.Path == "/v1/connections/conn_01jd0000000000000000000000":
			_, _ = w.Write([]byte(`{"id":"conn_01jd0000000000000000000000","name":"By id"}`))
		case strings.HasPrefix(r.URL.Path, "/v1/connections/"):
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"status":404,"code":"CONNECTION_NOT_FOUND","detail":"there is none"}`))
		case r.URL.Query().Get("cursor") == "":
			_, _ = w.Write([]byte(`{"items":[{"id":"a","name":"Zürich 2"}],"nextCursor":"more"}`))
		default:
			_, _ = w.Write([]byte(`{"items":[{"id":"b","name":"ZÜRICH"}]}`))
		}
	})
	for given, want := range map[string]string{"Zürich": "b", "zu\u0308rich": "b", " zürich 2 ": "a", "conn_01jd0000000000000000000000": "conn_01jd0000000000000000000000"} {
		if got, err := c.Find(t.Context(), given); err != nil || got.ID != want {
			t.Errorf("%q: %s %v, want %s", given, got.ID, err, want)
		}
	}
	asked = nil
	for _, given := range []string{"", "Zür", "conn_99jd0000000000000000000000", strings.Repeat("x", 65)} {
		if got, err := c.Find(t.Context(), given); !errors.Is(err, ErrNoConnection) {
			t.Errorf("%q: %s %v", given, got.ID, err)
		}
	}
	want := []string{
		"/v1/connections?limit=100&q=Z%C3%BCr", "/v1/connections?cursor=more&limit=100&q=Z%C3%BCr", "/v1/connections/conn_99jd0000000000000000000000?",
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestProblems(t *testing.T) {
	for name, tt := range map[string]struct {
		status     int
		body, want string
	}{
		"a problem":       {409, `{"status":409,"detail":"it is pending","code":"NOT_YET","fix":"Wait."}`, "it is pending (NOT_YET)\nWait."},
		"its request":     {500, `{"status":500,"title":"Oh","code":"INTERNAL","requestId":"r1"}`, "Oh (INTERNAL), request r1"},
		"the gateway's":   {503, `{"message":"Service Unavailable"}`, "Rolecall answers 503 Service Unavailable"},
		"no JSON":         {502, `<html>`, "Rolecall answers 502 Bad Gateway"},
		"signed out":      {401, `{"message":"Unauthorized"}`, "Rolecall does not take the access token\nSign in again: rolecall login."},
		"not allowed":     {403, `{"message":"Forbidden"}`, "Rolecall answers 403 Forbidden\nThe access token may lack a scope. Sign in again, or have your identity provider grant it."},
		"a redirect":      {302, ``, "Rolecall answers 302 Found"},
		"something else":  {200, `<html>`, "the API's answer cannot be read"},
		"other JSON":      {200, `{}`, "the API's answer is no credentials"},
		"half an answer":  {200, `{"AccessKeyId":"ASIA","SecretAccessKey":"x"}`, "the API's answer is no credentials"},
		"no secret at it": {200, `{"AccessKeyId":"ASIA","SecretAccessKey":"hush"}`, "the API's answer is no credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			c := client(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			})
			_, err := c.Credentials(t.Context(), "conn_1", IssueCredentials{})
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "t0ken") || strings.Contains(err.Error(), "hush") {
				t.Fatalf("%v, want %s", err, tt.want)
			}
			if p := (*Problem)(nil); errors.As(err, &p) && (p.Status != tt.status || p.RetryAfter != "7") {
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestNoTokenNoRequest(t *testing.T) {
	c := client(t, func(http.ResponseWriter, *http.Request) { t.Error("asked without a token") })
	signedOut := errors.New("signed out")
	c.Token = func(context.Context) (string, error) { return "", signedOut }
	if _, err := c.List(t.Context(), Filter{}); !errors.Is(err, signedOut) {
		t.Error(err)
	}
}
