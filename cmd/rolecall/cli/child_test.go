package cli_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if os.Getenv("BE_THE_COMMAND") != "" {
		command()
		return
	}
	os.Exit(m.Run())
}

// seen is what a command finds that rolecall runs.
type seen struct {
	Environ, Args []string
	Files         map[string]string // that its environment names
	Answers       map[string]answered
}

type answered struct {
	Status int
	Body   map[string]string
}

// command is a program that rolecall runs, and that wants more than it was given.
func command() {
	s := seen{Environ: os.Environ(), Args: os.Args, Files: map[string]string{}}
	for _, line := range s.Environ {
		name, value, _ := strings.Cut(line, "=")
		if name == "LOOK_UNDER" || !strings.HasPrefix(value, os.Getenv("LOOK_UNDER")) {
			continue
		}
		_ = filepath.WalkDir(value, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				text, _ := os.ReadFile(path)
				s.Files[path] = string(text)
			}
			return nil
		})
	}
	if address := os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI"); address != "" {
		s.Answers = tryAll(address, os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN"))
	}
	_ = json.NewEncoder(os.Stdout).Encode(s)
}

// tryAll asks for what the address and the token are for, and for more.
func tryAll(address, token string) map[string]answered {
	base := address[:strings.LastIndex(address, "/")+1]
	out := map[string]answered{}
	try := func(what, method, address, token, body string) { out[what] = fetch(method, address, token, body) }
	try("own", "GET", address, token, "")
	try("own again", "GET", address, "Bearer "+token, "")
	try("another name", "GET", base+"Staging", token, "")
	try("another id", "GET", base+staging, token, "")
	for _, way := range []string{"Production", "production", production} { // one of them may be its own
		if base+way != address {
			try("its own connection as "+way, "GET", base+way, token, "")
		}
	}
	try("a longer session", "GET", address+"?durationSeconds=3600", token, "")
	try("no restriction", "GET", address+"?readOnly=false", token, "")
	try("an empty query", "GET", address+"?", token, "")
	try("options in a body", "POST", address, token, `{"durationSeconds":3600}`)
	try("options in a body of GET", "GET", address, token, `{"readOnly":false}`)
	try("the list", "GET", base, token, "")
	try("the root", "GET", strings.TrimSuffix(base, "credentials/"), token, "")
	try("a path that leads back", "GET", base+"Staging/../"+strings.TrimPrefix(address, base)+"/x", token, "")
	try("no token", "GET", address, "", "")
	try("the wrong token", "GET", address, strings.Repeat("A", len(token)), "")
	try("half the token", "GET", address, token[:len(token)/2], "")
	return out
}

func fetch(method, address, token, body string) answered {
	req, err := http.NewRequestWithContext(context.Background(), method, address, strings.NewReader(body))
	if err != nil {
		return answered{Body: map[string]string{"error": err.Error()}}
	}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answered{Body: map[string]string{"error": err.Error()}}
	}
	defer func() { _ = resp.Body.Close() }()
	a := answered{Status: resp.StatusCode}
	_ = json.NewDecoder(resp.Body).Decode(&a.Body)
	return a
}

func mustBeOwnAlone(t *testing.T, answers map[string]answered) {
	t.Helper()
	if len(answers) < 15 {
		t.Fatalf("%d answers", len(answers))
	}
	for what, a := range answers {
		if strings.HasPrefix(what, "own") {
			if a.Status != http.StatusOK || a.Body["AccessKeyId"] != "ASIAEXAMPLE" {
				t.Errorf("%s: %+v", what, a)
			}
			continue
		}
		if a.Status != http.StatusForbidden || a.Body["message"] == "" || a.Body["SecretAccessKey"] != "" {
			t.Errorf("%s: %+v", what, a)
		}
	}
}

// A command that rolecall runs gets one connection, by the options it was given, and nothing with which it could ask for more.
func TestACommandGetsItsConnectionAlone(t *testing.T) {
	for _, who := range []string{"person", "machine", "machine with a file"} {
		for _, renew := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, renewed %t", who, renew), func(t *testing.T) {
				f, folder := newFake(t), t.TempDir()
				p, out, log := f.program(t, "BE_THE_COMMAND=1", "LOOK_UNDER="+filepath.Dir(folder), "NO_PROXY=127.0.0.1",
					"AWS_CONTAINER_AUTHORIZATION_TOKEN=mine-canary", "AWS_SESSION_TOKEN=mine-canary")
				switch file := filepath.Join(folder, "client-secret"); who {
				case "machine":
					p.Environ = append(p.Environ, "ROLECALL_CLIENT_SECRET="+clientSecret)
				case "machine with a file":
					if err := os.WriteFile(file, []byte(clientSecret), 0o600); err != nil {
						t.Fatal(err)
					}
					p.Environ = append(p.Environ, "ROLECALL_CLIENT_SECRET_FILE="+file)
				}
				args := []string{"exec", "Production", "--read-only", "--duration", "15m", "--reason", "ticket 1", "--", os.Args[0], "-test.run=^$"}
				if renew {
					args = slices.Insert(args, 2, "--renew")
				}
				if status := p.Run(t.Context(), args); status != 0 {
					t.Fatalf("%d\n%s", status, log)
				}
				var got seen
				if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				everything := fmt.Sprint(got.Environ, got.Args, got.Files)
				for _, secret := range []string{accessToken, refreshToken, clientSecret, passphrase, "eyJ", "canary", "vault.json"} {
					if strings.Contains(everything, secret) {
						t.Errorf("%s shows in %s", secret, everything)
					}
				}
				if renew {
					mustBeOwnAlone(t, got.Answers)
				} else if !slices.Contains(got.Environ, "AWS_SESSION_TOKEN=aws-token") {
					t.Error(got.Environ)
				}
				f.mustHaveBeenAsked(t, "POST /v1/connections/"+production+`/credentials {"durationSeconds":900,"readOnly":true,"reason":"ticket 1"}`)
			})
		}
	}
}

func (f *fake) mustHaveBeenAsked(t *testing.T, only string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.asked) == 0 || slices.ContainsFunc(f.asked, func(s string) bool { return s != only }) {
		t.Errorf("Rolecall was asked for %q", f.asked)
	}
}

// Two commands that run at a time cannot use one another's address.
func TestEachRunHasATokenOfItsOwn(t *testing.T) {
	f := newFake(t)
	given := map[string]bool{}
	for range 3 {
		p, out, log := f.program(t, "BE_THE_COMMAND=1", "LOOK_UNDER=/nowhere/", "NO_PROXY=127.0.0.1")
		if status := p.Run(t.Context(), []string{"exec", "Production", "--renew", "--", os.Args[0]}); status != 0 {
			t.Fatalf("%d\n%s", status, log)
		}
		var got seen
		if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
			t.Fatal(err)
		}
		for _, line := range got.Environ {
			if token, ok := strings.CutPrefix(line, "AWS_CONTAINER_AUTHORIZATION_TOKEN="); ok {
				if len(token) < 26 || given[token] {
					t.Errorf("the token %q", token)
				}
				given[token] = true
			}
		}
	}
	if len(given) != 3 {
		t.Errorf("%d tokens", len(given))
	}
}

// An agent that was asked for connections by name serves those, each by a token of its own; one that was asked for none serves all.
func TestAnAgentServesWhatWasNamed(t *testing.T) {
	f := newFake(t)
	lines := f.agent(t, 6, "Production", "Staging", "--read-only")
	uri, token := "AWS_CONTAINER_CREDENTIALS_FULL_URI=", "AWS_CONTAINER_AUTHORIZATION_TOKEN="
	mustBeOwnAlone(t, tryAll(lines[uri][0], lines[token][0]))
	if a := fetch("GET", lines[uri][1], lines[token][1], ""); a.Status != http.StatusOK {
		t.Errorf("the other connection by its own token: %+v", a)
	}
	for i, other := range []int{1, 0} {
		if a := fetch("GET", lines[uri][i], lines[token][other], ""); a.Status != http.StatusForbidden {
			t.Errorf("by the other connection's token: %+v", a)
		}
	}
	for _, asked := range f.asked {
		if !strings.HasSuffix(asked, ` {"readOnly":true}`) {
			t.Error(asked)
		}
	}

	file := filepath.Join(t.TempDir(), "token")
	lines = f.agent(t, 3, "Production", "--token-file", file)
	kept, err := os.ReadFile(file)
	if err != nil || len(lines[token]) != 0 {
		t.Fatal(err, lines)
	}
	mustBeOwnAlone(t, tryAll(lines[uri][0], string(kept)))

	lines = f.agent(t, 1)
	base := strings.TrimSuffix(strings.TrimPrefix(lines["# "][0], "# "), "<name or id>")
	for _, name := range []string{"Production", "Staging", production} {
		if a := fetch("GET", base+name, lines[token][0], ""); a.Status != http.StatusOK {
			t.Errorf("an agent for all, %s: %+v", name, a)
		}
	}
	for _, more := range []string{"", "Production?durationSeconds=3600"} {
		if a := fetch("GET", base+more, lines[token][0], ""); a.Status != http.StatusForbidden {
			t.Errorf("an agent for all, %q: %+v", more, a)
		}
	}
}

// agent runs one until the test ends, and answers the values that it prints, by what they begin with, once exports of them came.
func (f *fake) agent(t *testing.T, exports int, args ...string) map[string][]string {
	t.Helper()
	p, _, log := f.program(t)
	out, in := io.Pipe()
	p.Out = in
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if status := p.Run(ctx, append([]string{"agent"}, args...)); status != 0 {
			t.Errorf("agent: %d\n%s", status, log)
		}
		_ = in.Close()
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	lines := map[string][]string{}
	for scanner := bufio.NewScanner(out); exports > 0 && scanner.Scan(); {
		line, exported := strings.CutPrefix(scanner.Text(), "export ")
		if !exported {
			lines["# "] = append(lines["# "], line)
			continue
		}
		exports--
		name, value, _ := strings.Cut(line, "=")
		lines[name+"="] = append(lines[name+"="], value)
	}
	return lines
}
