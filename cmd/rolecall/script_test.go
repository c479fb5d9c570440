package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// What people type, and what they see.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			for name, value := range environment(filepath.Join(e.WorkDir, "config")) {
				e.Setenv(name, value)
			}
			e.Setenv("PATH", built+string(os.PathListSeparator)+e.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"await": await, "nosecrets": noSecrets},
	})
}

// environment is that of a person with a laptop, no keyring, and `make dev` on other ports.
func environment(folder string) map[string]string {
	return map[string]string{
		"ROLECALL_API": pocket.APIURL, "ROLECALL_CONFIG_DIR": folder, "ROLECALL_VAULT": "passphrase", "ROLECALL_PASSPHRASE": "correct horse",
		"ROLECALL_COMPLETION_TIMEOUT": "30s", // this machine may be busy
		"BROWSER":                     "browse", "PERSON": "ada@acme.example", "AWS_ENDPOINT_URL": pocket.AWSURL, "NO_PROXY": "localhost,127.0.0.1",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	}
}

// await FILE waits until a file has a whole line.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await file")
	}
	deadline := time.After(20 * time.Second)
	for tick := time.Tick(20 * time.Millisecond); ; {
		if text, err := os.ReadFile(ts.MkAbs(args[0])); err == nil && strings.HasSuffix(string(text), "\n") {
			return
		}
		select {
		case <-deadline:
			ts.Fatalf("%s does not come", args[0])
		case <-tick:
		}
	}
}

// nosecrets FOLDER TEXT... makes sure that nothing on disk shows a token or any of the texts, and that nobody else can read it.
// What is sealed is written in base64: a text of three letters would come up in it by chance.
func noSecrets(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: nosecrets folder text...")
	}
	files := 0
	err := filepath.Walk(ts.MkAbs(args[0]), func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, secret := range append([]string{"eyJhbGci", "refresh", "access", "ada@"}, args[1:]...) {
			if strings.Contains(string(text), secret) {
				return fmt.Errorf("%s shows %q", path, secret)
			}
		}
		if strings.HasSuffix(path, "vault.json") && info.Mode().Perm() != 0o600 {
			return fmt.Errorf("%s is %s", path, info.Mode())
		}
		return nil
	})
	if err != nil || files == 0 {
		ts.Fatalf("%d files: %v", files, err)
	}
}
