package main

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A machine's agent goes on when Rolecall comes back and when its access token has ended, serves many programs at a time,
// and shows nothing secret anywhere.
func TestAgentOverAnOutage(t *testing.T) {
	var ours movable
	p, log := program(t, &ours)
	target, err := url.Parse(pocket.APIURL)
	if err != nil {
		t.Fatal(err)
	}
	var away atomic.Bool
	var handOuts atomic.Int32
	var tokens sync.Map // that the agent has sent
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tokens.Store(r.Header.Get("Authorization"), true)
		if away.Load() {
			panic(http.ErrAbortHandler) // as a connection that breaks
		}
		if strings.HasSuffix(r.URL.Path, "/credentials") {
			handOuts.Add(1)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	const secret = "local"
	p.Environ = append(p.Environ, "ROLECALL_API="+front.URL, "ROLECALL_ISSUER="+pocket.APIURL+"/oidc", "ROLECALL_CLIENT_ID=globex", "ROLECALL_CLIENT_SECRET="+secret)
	startAgent(t, p, log)

	status, first := fetch(t)
	if status != http.StatusOK || first["AccessKeyId"] == "" {
		t.Fatal(status, first["message"], log)
	}
	away.Store(true)
	if status, held := fetch(t); status != http.StatusOK || held["AccessKeyId"] != first["AccessKeyId"] {
		t.Error("a short outage is noticed", status, held["message"])
	}
	ours.ahead.Store(int64(6 * time.Minute)) // nothing is held for so long
	if status, refused := fetch(t); status != http.StatusBadGateway || refused["code"] != "AGENT_FAILED" {
		t.Error(status, refused)
	}
	away.Store(false)
	ours.ahead.Store(int64(61 * time.Minute)) // the agent takes its access token to have ended
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if status, got := fetch(t); status != http.StatusOK || got["AccessKeyId"] == "" {
				t.Error(status, got["message"])
			}
		})
	}
	all.Wait()
	if n := handOuts.Load(); n != 2 {
		t.Errorf("%d hand-outs, not one for all who asked before the outage and one for all after it", n)
	}

	seen := 0
	canaries := []string{first["SecretAccessKey"], first["Token"]}
	tokens.Range(func(token, _ any) bool {
		seen++
		text, _ := strings.CutPrefix(token.(string), "Bearer ")
		canaries = append(canaries, text)
		return true
	})
	if seen != 2 {
		t.Errorf("%d access tokens, not one before the hour and one after it", seen)
	}
	shown := log.String()
	err = filepath.WalkDir(p.folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		shown += string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, canary := range canaries {
		if canary == "" || strings.Contains(shown, canary) {
			t.Errorf("a secret is shown: %.8s…", canary)
		}
	}
}

// fetch asks the agent as an SDK does.
func fetch(t *testing.T) (int, map[string]string) {
	t.Helper()
	token, err := os.ReadFile(os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"))
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI"), nil)
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	req.Header.Set("Authorization", string(token))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	defer func() { _ = resp.Body.Close() }()
	var body map[string]string
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		t.Error(err)
	}
	return resp.StatusCode, body
}
