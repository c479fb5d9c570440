package signin

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rolecall/cmd/rolecall/vault"
)

// A memory is a keyring in memory.
type memory struct {
	mu   sync.Mutex
	keys map[string]string
}

func (m *memory) Get(name string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.keys[name]; ok {
		return s, nil
	}
	return "", errors.New("not found")
}

func (m *memory) Set(name, secret string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys[name] = secret
	return nil
}

// A desk is where several programs of one person run: they share a vault.
type desk struct {
	client Client
	path   string
	ring   *memory
	ahead  atomic.Int64
	grants atomic.Int32 // asked of the issuer
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{path: filepath.Join(t.TempDir(), "vault.json"), ring: &memory{keys: map[string]string{}}}
	d.client = issuer(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/token") {
				d.grants.Add(1)
			}
			next.ServeHTTP(w, r)
		})
	})
	d.client.Clock = func() time.Time { return time.Now().Add(time.Duration(d.ahead.Load())) }
	return d
}

func (d *desk) program() *Access {
	return &Access{
		API: "https://api.example", Profile: "default", Client: d.client,
		Vault: &vault.Vault{Path: d.path, Ring: d.ring, Kind: vault.Keyring, Ask: func(bool) (string, error) { return "", errors.New("asked") }},
	}
}

func (d *desk) signIn(t *testing.T) {
	t.Helper()
	tokens, err := d.client.Browser(t.Context(), func(address string, _ func(string) error) error {
		go func() { visit(t, approve(t, address), same) }()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.program().Keep(tokens, ""); err != nil {
		t.Fatal(err)
	}
}

// Many programs find the access token at its end at the same time. One renews it, the others take what came: a refresh
// token used twice would have ended the sign-in.
func TestRenewedOnce(t *testing.T) {
	d := newDesk(t)
	d.signIn(t)
	for range 3 {
		d.ahead.Add(int64(time.Hour))
		d.grants.Store(0)
		got := make([]string, 12)
		var all sync.WaitGroup
		for n := range got {
			all.Go(func() {
				var err error
				if got[n], err = d.program().Token(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, token := range got {
			if token == "" || token != got[0] {
				t.Errorf("%d different tokens", len(got))
			}
		}
		if n := d.grants.Load(); n != 1 {
			t.Errorf("%d renewals", n)
		}
	}
}

func TestATokenIsKept(t *testing.T) {
	d := newDesk(t)
	d.signIn(t)
	d.grants.Store(0)
	a := d.program()
	d.ahead.Store(int64(58 * time.Minute))
	for range 3 {
		if _, err := a.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := d.grants.Load(); n != 0 {
		t.Errorf("%d renewals of a token that is valid", n)
	}
	d.ahead.Store(int64(59*time.Minute + 30*time.Second)) // it must not end on the way
	if _, err := a.Token(t.Context()); err != nil || d.grants.Load() != 1 {
		t.Errorf("%d renewals, %v", d.grants.Load(), err)
	}
}

// A program that is interrupted while it renews must not lose the new refresh token.
func TestARenewalIsNotInterrupted(t *testing.T) {
	d := newDesk(t)
	d.signIn(t)
	d.ahead.Store(int64(time.Hour))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.program().Token(gone); err != nil {
		t.Fatal(err)
	}
	d.ahead.Store(int64(2 * time.Hour))
	if _, err := d.program().Token(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSignedOut(t *testing.T) {
	d := newDesk(t)
	if _, err := d.program().Token(t.Context()); !errors.Is(err, ErrSignedOut) {
		t.Error(err)
	}
	d.signIn(t)
	d.ahead.Store(int64(time.Hour))
	other := d.program()
	other.API = "https://attacker.example"
	if token, err := other.Token(t.Context()); err == nil || token != "" || !strings.Contains(err.Error(), "signed in to https://api.example") {
		t.Errorf("%q %v", token, err)
	}
	stolen := d.refreshToken(t)
	if unended, err := d.program().SignOut(t.Context()); err != nil || unended != nil {
		t.Fatal(unended, err)
	}
	if _, err := d.program().Token(t.Context()); !errors.Is(err, ErrSignedOut) {
		t.Error(err)
	}
	if _, err := d.client.Renew(t.Context(), stolen); !errors.Is(err, ErrEnded) {
		t.Errorf("the issuer still takes it: %v", err)
	}
	if _, err := d.program().SignOut(t.Context()); !errors.Is(err, ErrSignedOut) {
		t.Error(err)
	}
}

func (d *desk) refreshToken(t *testing.T) string {
	t.Helper()
	text, err := d.program().Vault.Read()
	if err != nil {
		t.Fatal(err)
	}
	all, err := entries(text)
	if err != nil {
		t.Fatal(err)
	}
	return all["default"].Refresh
}

// What the issuer has ended is told as such, with what to do.
func TestEndedAtTheIssuer(t *testing.T) {
	d := newDesk(t)
	d.signIn(t)
	if err := d.client.Revoke(t.Context(), d.refreshToken(t)); err != nil {
		t.Fatal(err)
	}
	d.ahead.Store(int64(time.Hour))
	if _, err := d.program().Token(t.Context()); !errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), "rolecall login") {
		t.Error(err)
	}
}

func TestMachines(t *testing.T) {
	d := newDesk(t)
	d.client.ID = "nightly"
	a := d.program()
	a.Secret = "local"
	d.grants.Store(0)
	for range 3 {
		if _, err := a.Token(t.Context()); err != nil || a.Vault.Kept() {
			t.Errorf("kept something: %v", err)
		}
	}
	if n := d.grants.Load(); n != 1 {
		t.Errorf("%d tokens asked for in one hour", n)
	}
	tokens, err := d.client.Machine(t.Context(), "local")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.program().Keep(tokens, "local"); err != nil {
		t.Fatal(err)
	}
	d.ahead.Store(int64(time.Hour))
	if token, err := d.program().Token(t.Context()); err != nil || token == tokens.Access {
		t.Error("not renewed", err)
	}
	if _, err := d.client.Machine(t.Context(), "guess"); err == nil || strings.Contains(err.Error(), "guess") || !strings.Contains(err.Error(), "invalid_client") {
		t.Error(err)
	}
}
