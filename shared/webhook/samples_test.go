package webhook

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A post is what a sample of the docs is asked to judge.
type post struct {
	Secret    string `json:"secret"`
	Timestamp string `json:"timestamp"`
	Signature string `json:"signature"`
	Body      string `json:"body"`
	Now       int64  `json:"now"` // seconds since 1970
	Want      bool   `json:"-"`
}

func posts() map[string]post {
	body := `{"detail":{"id":"evt_1","data":{"name":"Ä <&>"}}}`
	timestamp, signature := sign([]string{"s3cret"}, []byte(body), clock())
	_, both := sign([]string{"new", "s3cret"}, []byte(body), clock())
	_, foreign := sign([]string{"other"}, []byte(body), clock())
	now := clock().Unix()
	return map[string]post{
		"genuine":              {"s3cret", timestamp, signature, body, now, true},
		"while it changes":     {"s3cret", timestamp, both, body, now, true},
		"five minutes old":     {"s3cret", timestamp, signature, body, now + 300, true},
		"older":                {"s3cret", timestamp, signature, body, now + 301, false},
		"of the future":        {"s3cret", timestamp, signature, body, now - 301, false},
		"another secret":       {"s3cret", timestamp, foreign, body, now, false},
		"another body":         {"s3cret", timestamp, signature, body + " ", now, false},
		"another time":         {"s3cret", fmt.Sprint(now + 1), signature, body, now, false},
		"no time":              {"s3cret", "", signature, body, now, false},
		"no number":            {"s3cret", "1e9", signature, body, now, false},
		"no signature":         {"s3cret", timestamp, "", body, now, false},
		"half a signature":     {"s3cret", timestamp, signature[:20], body, now, false},
		"of another version":   {"s3cret", timestamp, strings.Replace(signature, "v1=", "v2=", 1), body, now, false},
		"not even ASCII":       {"s3cret", timestamp, "v1=é", body, now, false},
		"an empty one as well": {"s3cret", timestamp, "," + signature, body, now, true},
	}
}

// Drivers read posts as JSON and write the verdicts; between them stands the docs' own code.
const (
	goDriver = `package receiver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"
)

func TestVerdicts(t *testing.T) {
	text, err := os.ReadFile("posts.json")
	if err != nil {
		t.Fatal(err)
	}
	var posts map[string]struct {
		Secret, Timestamp, Signature, Body string
		Now                                int64
	}
	if err := json.Unmarshal(text, &posts); err != nil {
		t.Fatal(err)
	}
	verdicts := map[string]bool{}
	for name, p := range posts {
		h := http.Header{"Rolecall-Timestamp": {p.Timestamp}, "Rolecall-Signature": {p.Signature}}
		verdicts[name] = Verify(p.Secret, h, []byte(p.Body), time.Unix(p.Now, 0))
	}
	text, err = json.Marshal(verdicts)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("verdicts %s\n", text)
}
`
	pythonDriver = `
import json
posts = json.load(open("posts.json", encoding="utf-8"))
headers = lambda p: {"Rolecall-Timestamp": p["timestamp"], "Rolecall-Signature": p["signature"]}
print("verdicts " + json.dumps({n: verify(p["secret"], headers(p), p["body"].encode(), p["now"]) for n, p in posts.items()}))
`
	nodeDriver = `
import { readFileSync } from "node:fs";
const posts = JSON.parse(readFileSync("posts.json", "utf8"));
const verdicts = {};
for (const [name, p] of Object.entries(posts)) {
  const headers = { "rolecall-timestamp": p.timestamp, "rolecall-signature": p.signature };
  verdicts[name] = verify(p.secret, headers, Buffer.from(p.body), p.now * 1000);
}
console.log("verdicts " + JSON.stringify(verdicts));
`
)

// The docs' samples say yes to what this package signs and no to everything else.
func TestTheDocsSamplesVerify(t *testing.T) {
	for _, l := range []struct {
		block, driver, file, driverFile string
		run                             []string
	}{
		{"go", goDriver, "receiver.go", "receiver_test.go", []string{"go", "test", "-v", "-count=1", "./..."}},
		{"python", pythonDriver, "receiver.py", "", []string{"python3", "receiver.py"}},
		{"js", nodeDriver, "receiver.mjs", "", []string{"node", "receiver.mjs"}},
	} {
		t.Run(l.block, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(l.run[0]); err != nil {
				t.Skipf("%s is not installed", l.run[0])
			}
			dir, code := t.TempDir(), block(t, l.block)
			if l.driverFile == "" {
				code += l.driver
			} else {
				write(t, dir, l.driverFile, l.driver)
			}
			write(t, dir, l.file, code)
			write(t, dir, "go.mod", "module receiver\n\ngo 1.24\n")
			text, err := json.Marshal(posts())
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, "posts.json", string(text))
			cmd := exec.CommandContext(t.Context(), l.run[0], l.run[1:]...)
			cmd.Dir, cmd.WaitDelay = dir, 5*time.Second
			cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
			output, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			judge(t, string(output))
		})
	}
}

func judge(t *testing.T, output string) {
	t.Helper()
	_, after, found := strings.Cut(output, "verdicts ")
	line, _, _ := strings.Cut(after, "\n")
	var verdicts map[string]bool
	if err := json.Unmarshal([]byte(line), &verdicts); err != nil || !found {
		t.Fatalf("%v in %s", err, output)
	}
	if len(verdicts) != len(posts()) {
		t.Errorf("%d verdicts on %d posts", len(verdicts), len(posts()))
	}
	for name, p := range posts() {
		if verdicts[name] != p.Want {
			t.Errorf("%s: %t, want %t", name, verdicts[name], p.Want)
		}
	}
}

// block is the docs' one block of code in a language.
func block(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), "\n```"+language+"\n")
	if len(parts) != 2 {
		t.Fatalf("%d blocks of %s", len(parts)-1, language)
	}
	code, _, closed := strings.Cut(parts[1], "\n```\n")
	if !closed {
		t.Fatal("the block has no end")
	}
	return code + "\n"
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
