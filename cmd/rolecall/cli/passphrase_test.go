package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A passphrase that is guessed at once makes no vault, wherever it comes from.
func TestAWeakPassphraseMakesNoVault(t *testing.T) {
	f := newFake(t)
	for name, environ := range map[string]string{"typed": "ROLECALL_PASSPHRASE=", "in the environment": "ROLECALL_PASSPHRASE=qwertyuiop12"} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			p, _, log := f.program(t, environ, "ROLECALL_CONFIG_DIR="+folder, "ROLECALL_VAULT=passphrase", "ROLECALL_CLIENT_SECRET="+clientSecret)
			p.Ask = func(string) (string, error) { return "password1234", nil }
			if status := p.Run(t.Context(), []string{"--client-id", "acme", "login"}); status != 1 {
				t.Fatal(status)
			}
			if text := log.String(); !strings.Contains(text, "guessed too easily") || !strings.Contains(text, "Take 12 characters or more") || strings.Contains(text, "password1234") {
				t.Error(text)
			}
			if _, err := os.Stat(filepath.Join(folder, "vault.json")); !os.IsNotExist(err) {
				t.Error("there is a vault", err)
			}
		})
	}
}

// A vault of an earlier version opens by whatever it was sealed with. Who opens it is told; who completes a name is not.
func TestAWeakPassphraseIsWarnedOf(t *testing.T) {
	f, folder := newFake(t), t.TempDir()
	sealed, err := os.ReadFile("testdata/weak-vault.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "vault.json"), sealed, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		p, _, log := f.program(t, "ROLECALL_API=http://localhost:1", "ROLECALL_CONFIG_DIR="+folder, "ROLECALL_PASSPHRASE=12345678")
		p.Run(t.Context(), args)
		return log.String()
	}
	text := run("connections")
	if strings.Count(text, "guessed too easily") != 1 || !strings.Contains(text, "To choose another: rolecall logout --forget, then rolecall login") ||
		!strings.Contains(text, "cannot reach Rolecall") {
		t.Error(text)
	}
	if text := run("__complete", "exec", ""); strings.Contains(text, "guessed") {
		t.Error(text)
	}
}

// A policy reaches Rolecall as it was written. What was read and written again would have lost a member that is there twice.
func TestAPolicyIsSentAsWritten(t *testing.T) {
	f, file := newFake(t), filepath.Join(t.TempDir(), "policy.json")
	const policy = `{"Statement":[{"Effect":"Deny","Effect":"Allow"}],"Statement":[]}`
	if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	p, _, log := f.program(t)
	if status := p.Run(t.Context(), []string{"credential-process", "Production", "--policy", file}); status != 0 {
		t.Fatal(log)
	}
	f.mustHaveBeenAsked(t, "POST /v1/connections/"+production+`/credentials {"policy":`+policy+`}`)
}
