package httpapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// Whatever code panics or fails with while it holds credentials, neither the log nor the answer has a secret of them.
func TestPanicsAndErrorsTellNoSecret(t *testing.T) {
	const secret, token = "canary/secret+key&of=forty characters...", "canary-session-token-of-some-length"
	held := connect.Credentials{
		AccessKeyID: "ASIACANARY", SecretAccessKey: connect.NewSecret(secret), SessionToken: connect.NewSecret(token), Expires: time.Now(),
	}
	issued := connect.Issued{Credentials: held, Account: "222222222222"}
	for name, v := range map[string]any{
		"credentials": held, "a pointer to them": &held, "what was issued": issued, "a secret": held.SecretAccessKey,
		"text made of them": fmt.Sprintf("%v %+v %#v %s", held, issued, &issued, held.SessionToken), "an error": fmt.Errorf("with %+v: %w", held, context.Canceled),
		"a map": map[string]any{"session": issued}, "one of ours": connect.Unavailable(connect.CodeSTSUnavailable, "down", fmt.Errorf("%#v", held)),
	} {
		for _, panics := range []bool{true, false} {
			var log syncBuffer
			s := newServer([]operation{does(operation{route: "GET /v1/config"}, func(context.Context, call, none) (reply, error) {
				if panics {
					panic(v)
				}
				return reply{}, fmt.Errorf("failed: %v", v)
			})}, nil, slog.New(slog.NewJSONHandler(&log, nil)), time.Now)
			rec := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/config", nil)
			s.ServeHTTP(rec, r.WithContext(Identify(r.Context(), "acme", "anna", allScopes())))
			if rec.Code != 500 || !strings.Contains(log.String(), `"level":"ERROR"`) {
				t.Errorf("%s, panics %t: %d, log %s", name, panics, rec.Code, log.String())
			}
			all := bytes.Join([][]byte{rec.Body.Bytes(), []byte(log.String())}, []byte("\n"))
			for _, part := range []string{secret[:20], token[:20]} {
				for _, form := range []string{part, url.QueryEscape(part), base64.StdEncoding.EncodeToString([]byte(part[:18]))} {
					if bytes.Contains(all, []byte(form)) {
						t.Errorf("%s, panics %t: %q shows in %s", name, panics, form, all)
					}
				}
			}
		}
	}
}

// What is no type of ours hides nothing, so of what code panics with the log has the type alone.
func TestPanicsTellNothingOfOtherTypes(t *testing.T) {
	const secret = "canary/secret+key&of=forty characters..."
	for name, v := range map[string]any{
		"text": "with " + secret, "bytes": []byte(secret), "an error": errors.New(secret), "a map": map[string]any{"token": secret},
		"a request": &http.Request{Method: secret, Header: http.Header{"X-Amz-Security-Token": {secret}}}, "a URL's error": &url.Error{URL: secret, Err: io.EOF},
	} {
		var log syncBuffer
		s := newServer([]operation{does(operation{route: "GET /v1/config"}, func(context.Context, call, none) (reply, error) { panic(v) })},
			nil, slog.New(slog.NewJSONHandler(&log, nil)), time.Now)
		rec := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/config", nil)
		s.ServeHTTP(rec, r.WithContext(Identify(r.Context(), "acme", "anna", allScopes())))
		if all := log.String() + rec.Body.String(); rec.Code != 500 || !strings.Contains(all, fmt.Sprintf("panic: %T", v)) || !strings.Contains(all, "canary_test.go") ||
			strings.Contains(all, "canary/secret") || strings.Contains(all, base64.StdEncoding.EncodeToString([]byte(secret[:18]))) {
			t.Errorf("%s: %d %s", name, rec.Code, all)
		}
	}
}
