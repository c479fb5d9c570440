package lambda

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/wire"
)

func request(t *testing.T, method, path, body string) *wire.Call {
	t.Helper()
	return &wire.Call{
		Service: "lambda", Region: testRegion, Principal: wire.Principal{Account: testAccount}, Body: []byte(body),
		HTTP: httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)),
	}
}

func TestServe(t *testing.T) {
	s := host(t, Config{Queue: newPile()}, function(t))
	mapTo(t, s, Mapping{SourceARN: queueARN, Disabled: true})
	invocations := "/2015-03-31/functions/test/invocations"
	tests := map[string]struct {
		method, path, body, kind string
		status                   int
		failed                   string
		want                     string // part of the answer
	}{
		"invoke":           {method: "POST", path: invocations, body: `{"a":1}`, want: `{"a":1}`},
		"invoke by ARN":    {method: "POST", path: "/2015-03-31/functions/" + url.PathEscape(testARN) + "/invocations", want: `{}`},
		"function error":   {method: "POST", path: invocations, body: `{"do":"error"}`, failed: "Unhandled", want: "no such thing"},
		"event":            {method: "POST", path: invocations, kind: "Event", status: http.StatusAccepted},
		"dry run":          {method: "POST", path: invocations, kind: "DryRun", status: http.StatusNoContent},
		"partial ARN":      {method: "POST", path: "/2015-03-31/functions/" + testAccount + ":function:test:$LATEST/invocations", want: `{}`},
		"get":              {method: "GET", path: "/2015-03-31/functions/test"},
		"get, configured":  {method: "GET", path: "/2015-03-31/functions/test/configuration"},
		"list":             {method: "GET", path: "/2015-03-31/functions/"},
		"list of mappings": {method: "GET", path: "/2015-03-31/event-source-mappings/"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			call := request(t, tt.method, tt.path, tt.body)
			call.HTTP.Header.Set("X-Amz-Invocation-Type", tt.kind)
			if _, err := s.Needs(call); err != nil {
				t.Fatalf("Needs: %v", err)
			}
			r, err := s.Serve(t.Context(), call)
			if err != nil {
				t.Fatalf("Serve: %v", err)
			}
			if r.Status != tt.status || r.Header.Get("X-Amz-Function-Error") != tt.failed || !strings.Contains(string(r.Raw), tt.want) {
				t.Errorf("got %d %v %s", r.Status, r.Header, r.Raw)
			}
			if r.Raw == nil && r.Value == nil {
				t.Error("an empty answer")
			}
		})
	}
}

func TestServeRefuses(t *testing.T) {
	s := host(t, Config{}, function(t))
	tests := map[string]struct{ method, path, kind, code string }{
		"unknown operation": {"DELETE", "/2015-03-31/functions/test", "", "InvalidAction"},
		"other path":        {"GET", "/2020-01-01/layers", "", "InvalidAction"},
		"unknown function":  {"POST", "/2015-03-31/functions/other/invocations", "", "ResourceNotFoundException"},
		"unknown kind":      {"POST", "/2015-03-31/functions/test/invocations", "Later", "InvalidParameterValueException"},
		"event, unknown":    {"POST", "/2015-03-31/functions/other/invocations", "Event", "ResourceNotFoundException"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			call := request(t, tt.method, tt.path, "")
			call.HTTP.Header.Set("X-Amz-Invocation-Type", tt.kind)
			_, err := s.Serve(t.Context(), call)
			var e *wire.Error
			if !errors.As(err, &e) || e.Code != tt.code {
				t.Errorf("got %v, want %s", err, tt.code)
			}
		})
	}
}

func TestNeeds(t *testing.T) {
	s := New(Config{Clock: time.Now})
	got, err := s.Needs(request(t, "POST", "/2015-03-31/functions/test/invocations", ""))
	if err != nil {
		t.Fatal(err)
	}
	want := []wire.Need{{Action: "lambda:InvokeFunction", Resource: testARN, ResourceAccount: testAccount}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAdmits(t *testing.T) {
	const source = "arn:aws:execute-api:eu-west-1:111111111111:api1/$default/GET/v1/connections/{id}"
	tests := map[string]struct {
		permission Permission
		want       bool
	}{
		"exact":         {Permission{Principal: "apigateway.amazonaws.com", SourceARN: source}, true},
		"pattern":       {Permission{Principal: "apigateway.amazonaws.com", SourceARN: "arn:aws:execute-api:eu-west-1:111111111111:api1/*/*/v1/connections/{id}"}, true},
		"any source":    {Permission{Principal: "apigateway.amazonaws.com"}, true},
		"other path":    {Permission{Principal: "apigateway.amazonaws.com", SourceARN: "arn:aws:execute-api:eu-west-1:111111111111:api1/*/*/v1/config"}, false},
		"other service": {Permission{Principal: "events.amazonaws.com"}, false},
		"other account": {Permission{Principal: "apigateway.amazonaws.com", SourceAccount: "222222222222"}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := host(t, Config{}, function(t))
			tt.permission.ID = "p"
			if err := s.Allow(testARN, tt.permission); err != nil {
				t.Fatal(err)
			}
			if got := s.Admits(testARN, "apigateway.amazonaws.com", source, testAccount); got != tt.want {
				t.Errorf("Admits = %v, want %v", got, tt.want)
			}
			if err := s.Revoke(testARN, "p"); err != nil {
				t.Fatal(err)
			}
			if s.Admits(testARN, "apigateway.amazonaws.com", source, testAccount) {
				t.Error("a revoked permission admits")
			}
		})
	}
}
