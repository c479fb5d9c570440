package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"rolecall/cmd/rolecall/cli"
	"rolecall/cmd/rolecall/signin"
	"rolecall/cmd/rolecall/vault"
)

const (
	passphrase   = "correct horse battery"
	accessToken  = "eyJhbGciOiJSUzI1NiJ9.access-canary"
	refreshToken = "refresh-canary"
	clientSecret = "secret-canary"
	production   = "conn_01jd0000000000000000000001"
	staging      = "conn_01jd0000000000000000000002"
)

// A fake is Rolecall's API and its issuer. It has two connections, and says what it is told to say.
type fake struct {
	url    string
	reason string // why a connection is not enabled, and what everything else is called; "" for friendly texts
	region string
	names  []string // of two connections; nil for Production and Staging, each with the reason

	mu    sync.Mutex
	asked []string // for credentials: method, id and body
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{region: "eu-west-1"}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	f.url = s.URL
	return f
}

// ServeHTTP implements [http.Handler].
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer(w, http.StatusOK, map[string]any{
			"issuer": f.url, "token_endpoint": f.url + "/token", "authorization_endpoint": f.url + "/authorize" + f.reason, "jwks_uri": f.url + "/jwks",
		})
	case "/token":
		answer(w, http.StatusOK, map[string]any{"access_token": accessToken, "token_type": "Bearer", "expires_in": 3600})
	case "/v1/connections":
		one, other := f.connection("Production", production), f.connection("Staging", staging)
		if f.names != nil {
			one["name"], other["name"] = f.names[0], f.names[1]
		}
		answer(w, http.StatusOK, map[string]any{"items": []any{one, other}})
	case "/v1/connections/" + production:
		answer(w, http.StatusOK, f.connection("Production", production))
	case "/v1/connections/" + staging:
		answer(w, http.StatusOK, f.connection("Staging", staging))
	default:
		f.handOut(w, r)
	}
}

func (f *fake) connection(name, id string) map[string]any {
	c := map[string]any{"id": id, "name": name + f.reason, "status": "enabled", "accountId": "222222222222", "defaultRegion": f.region, "permissions": "read-only"}
	if f.reason != "" {
		c["status"], c["accountId"], c["permissions"] = "failed"+f.reason, "2"+f.reason, f.reason
		c["statusReason"] = map[string]any{"code": "CODE" + f.reason, "message": "why" + f.reason, "fix": f.reason}
	}
	return c
}

func (f *fake) handOut(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.asked = append(f.asked, r.Method+" "+r.URL.RequestURI()+" "+string(body))
	f.mu.Unlock()
	if f.reason != "" {
		answer(w, http.StatusConflict, map[string]any{
			"status": 409, "title": "t" + f.reason, "detail": "detail" + f.reason, "code": "CONNECTION_NOT_ENABLED", "fix": "fix" + f.reason, "requestId": "r" + f.reason,
		})
		return
	}
	answer(w, http.StatusOK, map[string]string{
		"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "aws-secret", "Token": "aws-token", "Expiration": "2026-01-02T03:04:05Z", "AccountId": "222222222222",
	})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// output is what a program prints; it may be read while the program goes on.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// A ring is a keyring in memory.
type ring map[string]string

func (r ring) Get(name string) (string, error) {
	if secret, ok := r[name]; ok {
		return secret, nil
	}
	return "", errors.New("not found")
}

func (r ring) Set(name, secret string) error {
	r[name] = secret
	return nil
}

// program is the helper for a person who has signed in, or for a machine, with environ besides.
func (f *fake) program(t *testing.T, environ ...string) (p *cli.Program, out, log *output) {
	t.Helper()
	folder, keys := t.TempDir(), ring{}
	out, log = &output{}, &output{}
	p = &cli.Program{
		In: bytes.NewReader(nil), Out: out, Err: log, Clock: time.Now, Ring: keys,
		Environ: append([]string{
			"PATH=" + os.Getenv("PATH"), "ROLECALL_API=" + f.url, "ROLECALL_ISSUER=" + f.url, "ROLECALL_CONFIG_DIR=" + folder,
			"ROLECALL_PASSPHRASE=" + passphrase,
		}, environ...),
		Open:    func(context.Context, string) error { return nil },
		Ask:     func(string) (string, error) { return "", errors.New("nobody is there") },
		Replace: func(string, []string, []string) error { return cli.ErrCannotReplace },
	}
	kept := &signin.Access{
		API: f.url, Profile: "default", Client: signin.Client{Issuer: f.url, ID: "rolecall-cli"},
		Vault: &vault.Vault{Path: filepath.Join(folder, "vault.json"), Ring: keys, Kind: vault.Keyring},
	}
	if err := kept.Keep(signin.Tokens{Access: accessToken, Expires: time.Now().Add(time.Hour), Refresh: refreshToken}, ""); err != nil {
		t.Fatal(err)
	}
	return p, out, log
}
