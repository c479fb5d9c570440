package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func event(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnswersArePrintedAndFailuresAreErrors(t *testing.T) {
	tests := []struct {
		name      string
		status    int
		failed    string // X-Amz-Function-Error
		answer    string
		want, err string
	}{
		{"answer", 200, "", `{"a":1}`, "{\n  \"a\": 1\n}\n", ""},
		{"nothing to say", 200, "", "null", "null\n", ""},
		{"function error", 200, "Unhandled", `{"errorMessage":"no table"}`, "", "rolecall-verify failed: {\n  \"errorMessage\": \"no table\"\n}"},
		{"no such function", 404, "", `{"Type":"User","Message":"Function not found: rolecall-verify"}`, "", "404 Not Found"},
		{"something else on the port", 501, "", `<html>`, "", "<html>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if r.Method+" "+r.URL.Path != "POST /2015-03-31/functions/rolecall-verify/invocations" || string(body) != `{"Records":[]}` ||
					!strings.Contains(r.Header.Get("Authorization"), "Credential=111111111111/") {
					t.Errorf("asked %s %s with %s", r.Method, r.URL.Path, body)
				}
				if tt.failed != "" {
					w.Header().Set("X-Amz-Function-Error", tt.failed)
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.answer)
			}))
			defer server.Close()
			var out bytes.Buffer
			err := run(t.Context(), server.URL, "verify", event(t, `{"Records":[]}`), time.Now(), &out)
			if out.String() != tt.want {
				t.Errorf("printed %q, want %q", out.String(), tt.want)
			}
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

func TestWhatCannotBeSentIsSaid(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	tests := map[string]struct{ endpoint, event, want string }{
		"nothing listens": {closed.URL, event(t, "{}"), "start `make dev`"},
		"not JSON":        {closed.URL, event(t, "{"), "is not JSON"},
		"no file":         {closed.URL, filepath.Join(t.TempDir(), "none.json"), "none.json"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := run(t.Context(), tt.endpoint, "verify", tt.event, time.Now(), &out); err == nil || !strings.Contains(err.Error(), tt.want) || out.Len() > 0 {
				t.Errorf("error %v, printed %q", err, out.String())
			}
		})
	}
}

// The stored callback is sent as if it came now, to be answered at the pocket AWS, and is the same but for that.
func TestAStoredCallbackIsDatedAnew(t *testing.T) {
	stored, err := os.ReadFile("../../../events/samples/callback.json")
	if err != nil {
		t.Fatal(err)
	}
	const endpoint = "http://127.0.0.1:4566"
	now := time.Date(2027, 3, 4, 5, 6, 7, 0, time.FixedZone("", 3600))
	var got struct{ Records []struct{ Body string } }
	if err := json.Unmarshal(fresh(stored, endpoint, now), &got); err != nil {
		t.Fatal(err)
	}
	var envelope struct{ Timestamp, Message string }
	if err := json.Unmarshal([]byte(got.Records[0].Body), &envelope); err != nil || envelope.Timestamp != "2027-03-04T04:06:07Z" {
		t.Errorf("sent %s, %v", envelope.Timestamp, err)
	}
	var request struct{ ResponseURL, StackId, LogicalResourceId, RequestId string } //nolint:revive // CloudFormation's spelling
	if err := json.Unmarshal([]byte(envelope.Message), &request); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(request.ResponseURL)
	if err != nil || u.Host != "127.0.0.1:4566" || u.Path != "/_cfn-response/"+request.StackId+"|"+request.LogicalResourceId+"|"+request.RequestId {
		t.Errorf("answered at %s, %v", u, err)
	}
	if q := u.Query(); q.Get("X-Amz-Date") != "20270304T040607Z" || q.Get("X-Amz-Credential") != "AKIAEXAMPLE/20270304/eu-west-1/s3/aws4_request" {
		t.Errorf("signed %v", q)
	}
	other, err := os.ReadFile("../../../events/samples/api.json")
	if err != nil || !bytes.Equal(fresh(other, endpoint, now), other) {
		t.Errorf("another function's event is changed, %v", err)
	}
}
