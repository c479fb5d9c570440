package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// hostile clears the screen, renames the window, moves the cursor, turns text around, and would like a line of its own.
const hostile = "\x1b[2J\x1b]0;owned\a\r\n\tFORGED\x00\x7f\u009b31m\u202e\u2066\u200b\u2028FORGED\u2029"

// mustBePlain allows what people read and nothing that a terminal obeys; others have no line of their own.
func mustBePlain(t *testing.T, what, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)) {
			t.Errorf("%s: %U in %q", what, r, text)
			return
		}
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "FORGED") {
			t.Errorf("%s: a line of somebody else's: %q", what, text)
		}
	}
}

// Whatever the API says, a terminal shows it as text.
func TestHostileAnswersOfTheAPI(t *testing.T) {
	for _, args := range [][]string{
		{"connections"},
		{"exec", production, "--", "true"},
		{"exec", production, "--renew", "--", "true"},
		{"credential-process", production},
		{"console", production},
		{"exec", production, "--read-only", "--", "true"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			f := newFake(t)
			f.reason, f.region = hostile, "eu-west-1"+hostile
			p, out, log := f.program(t)
			p.Run(t.Context(), args)
			mustBePlain(t, "output", out.String())
			mustBePlain(t, "errors", log.String())
			if !strings.Contains(out.String()+log.String(), "?[2J") {
				t.Errorf("nothing of it is told: %q %q", out, log)
			}
		})
	}
}

// JSON stays JSON and says the same, though it is safe to show.
func TestHostileAnswersAsJSON(t *testing.T) {
	f := newFake(t)
	f.reason = hostile
	p, out, log := f.program(t)
	if status := p.Run(t.Context(), []string{"connections", "--json"}); status != 0 {
		t.Fatal(log)
	}
	mustBePlain(t, "output", out.String())
	var all []struct{ Name, AccountID, Status string }
	if err := json.Unmarshal([]byte(out.String()), &all); err != nil || len(all) != 2 || all[0].Name != "Production"+hostile || all[0].AccountID != "2"+hostile {
		t.Errorf("%v %q", err, out)
	}
}

// The lines that the agent prints are for a shell: what the API says in them is a word, and no command.
func TestHostileRegions(t *testing.T) {
	f := newFake(t)
	f.region = "eu-west-1'; touch owned; $(touch owned) `touch owned` \x1b[2J\n touch owned #"
	lines := f.agent(t, 3, "Production")
	for _, text := range slices.Concat(lines["AWS_REGION="], lines["# "]) {
		mustBePlain(t, "a line", text)
	}
	if len(lines["AWS_REGION="]) != 1 || !regexp.MustCompile(`^'eu-west-1'\\''; touch owned; [^']*' AWS_DEFAULT_REGION='eu-west-1'\\''; touch owned; [^']*'$`).MatchString(lines["AWS_REGION="][0]) {
		t.Errorf("%q", lines["AWS_REGION="])
	}
}

// What a gateway in front, another server or the issuer answers is not trusted to be text, either.
func TestHostileServers(t *testing.T) {
	text := strings.NewReplacer("\r", "", "\n", "").Replace(hostile) // a status line has no lines
	for name, tt := range map[string]struct {
		serve http.HandlerFunc
		args  []string
	}{
		"a status": {func(w http.ResponseWriter, _ *http.Request) {
			raw(w, "HTTP/1.1 502 Bad "+text+"\r\nContent-Length: 0\r\n\r\n")
		}, []string{"connections"}},
		"no HTTP": {func(w http.ResponseWriter, _ *http.Request) { raw(w, text+"\r\n"+text+"\r\n\r\n") }, []string{"connections"}},
		"no issuer": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(hostile))
		}, []string{"login"}},
		"another issuer": {func(w http.ResponseWriter, _ *http.Request) {
			answer(w, http.StatusOK, map[string]any{"issuer": hostile})
		}, []string{"login"}},
		"an address": {func(w http.ResponseWriter, r *http.Request) {
			answer(w, http.StatusOK, map[string]any{"issuer": "http://" + r.Host, "token_endpoint": "http://attacker.example/" + hostile})
		}, []string{"login"}},
		"a refusal": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				answer(w, http.StatusBadRequest, map[string]any{"error": "x" + hostile, "error_description": hostile})
				return
			}
			answer(w, http.StatusOK, map[string]any{"issuer": "http://" + r.Host, "token_endpoint": "http://" + r.Host + "/token"})
		}, []string{"--client-id", "acme", "login", "--client-secret-file", "secret"}},
		"who is the issuer": {func(w http.ResponseWriter, r *http.Request) {
			answer(w, http.StatusOK, map[string]any{"resource": "http://" + r.Host, "authorization_servers": []string{"http://attacker.example/" + hostile}, "issuer": hostile})
		}, []string{"--issuer", "", "login"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(tt.serve)
			defer s.Close()
			f := &fake{url: s.URL}
			p, out, log := f.program(t)
			if tt.args[len(tt.args)-1] == "secret" {
				tt.args[len(tt.args)-1] = filepath.Join(t.TempDir(), "secret")
				if err := os.WriteFile(tt.args[len(tt.args)-1], []byte(clientSecret), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if status := p.Run(t.Context(), tt.args); status != 1 {
				t.Fatalf("%d %s", status, log)
			}
			mustBePlain(t, "output", out.String())
			mustBePlain(t, "errors", log.String())
			t.Log(log)
		})
	}
}

// raw answers as no server does.
func raw(w http.ResponseWriter, text string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = conn.Write([]byte(text))
	_ = conn.Close()
}

// The address of the page to sign in at is the issuer's word.
func TestHostileSignInPage(t *testing.T) {
	f := newFake(t)
	f.reason = hostile
	p, out, log := f.program(t)
	ctx, cancel := context.WithCancel(t.Context())
	p.Open = func(context.Context, string) error {
		cancel() // nobody signs in
		return errors.New("a browser's word: \x1b[2J\u202e")
	}
	p.Run(ctx, []string{"login"})
	mustBePlain(t, "output", out.String())
	mustBePlain(t, "errors", log.String())
	if !strings.Contains(log.String(), "/authorize?[2J") || !strings.Contains(log.String(), "word: ?[2J?") {
		t.Errorf("%q", log)
	}
}

// What a shell shows beside a name that it completes is the API's word, too. A name that would have to be changed is not offered.
func TestHostileCompletions(t *testing.T) {
	f := newFake(t)
	f.reason, f.names = hostile, []string{"Production", "Prod" + hostile}
	p, out, _ := f.program(t)
	p.Run(t.Context(), []string{"__complete", "exec", "Prod"})
	mustBePlain(t, "output", out.String())
	if !strings.HasPrefix(out.String(), "Production\t2?[2J") || strings.Count(out.String(), "Prod") != 1 {
		t.Errorf("%q", out)
	}
}

// All output goes through one file, so that no text of others gets past it.
func TestOnlyOneFilePrints(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	prints := regexp.MustCompile(`\bp\.(Out|Err)\b|fmt\.Fp?rint|os\.Std(out|err)|tabwriter|json\.NewEncoder`)
	for _, file := range files {
		if file == "output.go" || strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			allowed := strings.Contains(line, "root.SetOut(p.Out)") || strings.Contains(line, "root.SetErr(p.Err)") || strings.Contains(line, "Stdout: p.Out, Stderr: p.Err")
			if prints.MatchString(line) && !allowed {
				t.Errorf("%s prints by itself: %s", file, line)
			}
		}
	}
}
