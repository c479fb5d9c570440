package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	commandRE = regexp.MustCompile("`rolecall ([a-z-]+)")
	flagRE    = regexp.MustCompile("(^|[ `])(--[a-z][a-z-]*)")
	variables = regexp.MustCompile(`ROLECALL_[A-Z_]+`)
)

// docs/cli.md speaks of commands, flags and variables that there are, and of all commands.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	help := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), filepath.Join(built, "rolecall"), append(args, "--help")...).Output()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return string(out)
	}
	var all strings.Builder
	for _, name := range []string{"login", "logout", "connections", "exec", "credential-process", "console", "agent", "configure", "completion", "version"} {
		if !bytes.Contains(text, []byte("`rolecall "+name)) {
			t.Errorf("nothing about %s", name)
		}
		page := help(name)
		if name != "completion" && !strings.Contains(page, "Examples:\n") {
			t.Errorf("the help of %s has no example", name)
		}
		all.WriteString(page)
	}
	for _, m := range commandRE.FindAllSubmatch(text, -1) {
		if !strings.Contains(all.String(), "rolecall "+string(m[1])) {
			t.Errorf("there is no command %s", m[1])
		}
	}
	for _, m := range flagRE.FindAllSubmatch(text, -1) {
		if !regexp.MustCompile(regexp.QuoteMeta(string(m[2])) + `\b`).MatchString(all.String()) {
			t.Errorf("no command has the flag %s", m[2])
		}
	}
	sources, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var code []byte
	for _, path := range sources {
		part, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		code = append(code, part...)
	}
	for _, name := range variables.FindAll(text, -1) {
		settings := []string{"ROLECALL_API", "ROLECALL_ISSUER", "ROLECALL_CLIENT_ID", "ROLECALL_AUDIENCE", "ROLECALL_SCOPES"}
		if !bytes.Contains(code, name) && !slices.Contains(settings, string(name)) { // those are made of the settings' names
			t.Errorf("nothing reads %s", name)
		}
	}
}
