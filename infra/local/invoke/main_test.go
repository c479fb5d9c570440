package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
			err := run(t.Context(), server.URL, "verify", event(t, `{"Records":[]}`), &out)
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
			if err := run(t.Context(), tt.endpoint, "verify", tt.event, &out); err == nil || !strings.Contains(err.Error(), tt.want) || out.Len() > 0 {
				t.Errorf("error %v, printed %q", err, out.String())
			}
		})
	}
}
