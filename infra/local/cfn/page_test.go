package cfn

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const templateURL = "http://127.0.0.1:4566/templates/t.yaml"

func newPage(t *testing.T) (*Engine, *things, http.Handler) {
	t.Helper()
	config := testConfig()
	config.Fetch = func(context.Context, string) ([]byte, error) { return []byte(served), nil }
	e, things := newTestEngine(t, config)
	return e, things, NewPage(e, region)
}

func ask(t *testing.T, h http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func decode[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return v
}

func TestPageIsServed(t *testing.T) {
	t.Parallel()
	_, _, h := newPage(t)
	for path, contentType := range map[string]string{
		"/cloudformation/home?region=us-east-1": "text/html; charset=utf-8",
		"/cloudformation/home.js":               "text/javascript; charset=utf-8",
		"/cloudformation/home.css":              "text/css; charset=utf-8",
	} {
		w := ask(t, h, http.MethodGet, path, "")
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != contentType || w.Body.Len() == 0 {
			t.Errorf("%s: %d %s", path, w.Code, w.Header())
		}
		if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
		text := w.Body.String()
		for _, no := range []string{"https://", "//cdn", "innerHTML", "onclick=", "style=\"", "<style", "<script>"} {
			if strings.Contains(text, no) {
				t.Errorf("%s has %q", path, no)
			}
		}
	}
	home := ask(t, h, http.MethodGet, "/cloudformation/home", "").Body.String()
	for _, want := range []string{"I acknowledge that AWS CloudFormation might create IAM resources with custom names.", `value="222222222222"`, `id="create" class="primary" disabled`} {
		if !strings.Contains(home, want) {
			t.Errorf("no %q", want)
		}
	}
	if w := ask(t, h, http.MethodGet, "/cloudformation/page.go", ""); w.Code != http.StatusNotFound {
		t.Errorf("another path: %d", w.Code)
	}
}

func TestPageCreatesAndDeletes(t *testing.T) {
	t.Parallel()
	e, things, h := newPage(t)
	query := "?account=" + account + "&region=" + region

	shown := decode[pageTemplate](t, ask(t, h, http.MethodGet, "/cloudformation/api/template"+query+"&templateURL="+url.QueryEscape(templateURL), ""))
	want := pageTemplate{
		Description: "a role", Capability: "CAPABILITY_NAMED_IAM", CapableTypes: []string{"AWS::IAM::Role"},
		Parameters: []pageParameter{
			{Name: "Name", Label: "Its name", Type: "String", Description: "how it is called", AllowedValues: []string{"a", "b"}},
			{Name: "Secret", Type: "String", Default: "hush", NoEcho: true},
		},
		Groups:    []pageGroup{{Label: "First", Parameters: []string{"Name"}}},
		Resources: []pageResource{{"Role", "AWS::IAM::Role"}, {"Thing", "Test::Thing"}},
	}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Error(diff)
	}

	body := `{"account": "222222222222", "region": "eu-west-1", "stack": "st", "templateURL": "` + templateURL + `", "parameters": {"Name": "a"}, "acknowledged": false}`
	w := ask(t, h, http.MethodPost, "/cloudformation/api/stacks", body)
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "Requires capabilities : [CAPABILITY_NAMED_IAM]") {
		t.Errorf("without the tick: %d %s", w.Code, w.Body)
	}
	made := decode[map[string]string](t, ask(t, h, http.MethodPost, "/cloudformation/api/stacks", strings.Replace(body, "false", "true", 1), "Sec-Fetch-Site", "same-origin"))
	expect(t, e, made["stackId"], CreateComplete)
	if p := things.seen[0].Principal; p.ARN != "arn:aws:iam::222222222222:root" || p.Account != account {
		t.Errorf("made by %+v", p)
	}

	at := "/cloudformation/api/stacks" + query + "&stack=" + url.QueryEscape(made["stackId"])
	stack := decode[pageStack](t, ask(t, h, http.MethodGet, at, ""))
	if stack.Name != "st" || stack.Status != CreateComplete || !stack.Done || len(stack.Events) != 8 || stack.Outputs[0].Value != "arn:role-1" || stack.Events[0].LogicalID != "st" {
		t.Errorf("stack %+v", stack)
	}
	if len(stack.Given) != 2 || stack.Given[0] != (pageValue{Key: "Name", Value: "a"}) || stack.Given[1].Value == "hush" {
		t.Errorf("given %+v", stack.Given)
	}
	change := `{"account": "222222222222", "region": "eu-west-1", "stack": "` + made["stackId"] + `", "templateURL": "` + templateURL + `", "parameters": {"Name": "b"}, "kept": ["Secret"], "acknowledged": true}`
	if changed := decode[map[string]string](t, ask(t, h, http.MethodPost, "/cloudformation/api/stacks/update", change)); changed["stackId"] != made["stackId"] {
		t.Errorf("updated %v", changed)
	}
	expect(t, e, made["stackId"], UpdateComplete)
	if stack := decode[pageStack](t, ask(t, h, http.MethodGet, at, "")); stack.Given[0].Value != "b" {
		t.Errorf("given after the update %+v", stack.Given)
	}
	if w := ask(t, h, http.MethodPost, "/cloudformation/api/stacks/delete", `{"account": "222222222222", "region": "eu-west-1", "stack": "st"}`); w.Code != http.StatusOK {
		t.Errorf("delete: %d %s", w.Code, w.Body)
	}
	expect(t, e, made["stackId"], DeleteComplete)
	if stack := decode[pageStack](t, ask(t, h, http.MethodGet, at, "")); stack.Status != DeleteComplete {
		t.Errorf("stack %+v", stack)
	}
}

func TestPageRefuses(t *testing.T) {
	t.Parallel()
	e, _, h := newPage(t)
	good := `{"account": "222222222222", "region": "eu-west-1", "stack": "st", "templateURL": "` + templateURL + `", "parameters": {"Name": "a"}, "acknowledged": true}`
	tests := map[string]struct {
		method, target, body string
		header               []string
		status               int
		want                 string
	}{
		"another site":      {http.MethodPost, "/cloudformation/api/stacks", good, []string{"Sec-Fetch-Site", "cross-site"}, 403, "Only the page itself may do this."},
		"a form":            {http.MethodPost, "/cloudformation/api/stacks", good, []string{"Content-Type", "text/plain"}, 403, "Only the page itself may do this."},
		"no JSON":           {http.MethodPost, "/cloudformation/api/stacks", "{", nil, 400, "not the JSON that was expected"},
		"unknown member":    {http.MethodPost, "/cloudformation/api/stacks", `{"accounts": "1"}`, nil, 400, "not the JSON that was expected"},
		"account":           {http.MethodPost, "/cloudformation/api/stacks", strings.Replace(good, "222222222222", "22222222222a", 1), nil, 400, "An AWS account ID has 12 digits."},
		"region":            {http.MethodPost, "/cloudformation/api/stacks", strings.Replace(good, "eu-west-1", "Europe", 1), nil, 400, "Europe is not an AWS Region."},
		"parameter":         {http.MethodPost, "/cloudformation/api/stacks", strings.Replace(good, `"Name": "a"`, `"Name": "c"`, 1), nil, 400, "Parameter 'Name' must be one of AllowedValues"},
		"no such stack":     {http.MethodGet, "/cloudformation/api/stacks?account=222222222222&stack=nope", "", nil, 400, "Stack with id nope does not exist"},
		"template of a web": {http.MethodGet, "/cloudformation/api/template?account=222222222222&templateURL=https://example.com/", "", nil, 400, "TemplateURL must be a supported URL."},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := ask(t, h, test.method, test.target, test.body, test.header...)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
				t.Errorf("%d %s, want %d with %q", w.Code, w.Body, test.status, test.want)
			}
			if len(e.Stacks(account, region)) > 0 {
				t.Error("a stack was made")
			}
		})
	}
}
