package laptop_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// tourHeading begins the part of the README that is run.
const tourHeading = "## A tour in three minutes\n"

// The README's tour, pasted as it stands: every command of it ends well, and what it promises is what it prints.
func TestTour(t *testing.T) {
	for _, tool := range []string{"aws", "jq"} {
		if err := exec.CommandContext(t.Context(), tool, "--version").Run(); err != nil {
			t.Skipf("%s is not installed: %v", tool, err)
		}
	}
	output := paste(t, tour(t))
	rest := output
	for _, want := range []string{
		`"status": "pending"`, `"externalId": "rc-`, `"quickCreateUrl": "http`, // created
		`"StackId": "arn:aws:cloudformation:eu-west-1:222222222222:stack/rolecall-`,
		`"status": "enabled"`, `"accountId": "222222222222"`, `"permissions: passed"`,
		`connection\.enabled  rolecall\n`, `connection\.created  acme\n`,
		`Connection\tCREATE_COMPLETE\n`,
		`"AccessKeyId": "ASIA`, `"AccountId": "222222222222"`,
		`"Arn": "arn:aws:sts::222222222222:assumed-role/.*/rolecall-acme"`, // with credentials from the environment
		`"Arn": "arn:aws:sts::222222222222:assumed-role/.*/rolecall-acme"`, // with those that the CLI fetched
		`\teu-west-1\t`,
		`\nEXTERNAL_ID_NOT_REQUIRED: .*\nEXTERNAL_ID_IGNORED: .*\nTRUST_TOO_BROAD: `,
		`assume_role: passed\nexternal_id_required: passed\nexternal_id_matched: passed\n`,
		`"status": 409`, `"code": "CONNECTION_NOT_ENABLED"`,
		`connection\.disconnected  stack\n`, `connection\.denied  acme\n`, `credentials\.issued  acme\n`,
		`"status": "enabled"`, `"accessKeyId": "AKIA`, `keys: passed`, `regions: passed`,
	} {
		at := regexp.MustCompile(want).FindStringIndex(rest)
		if at == nil {
			t.Fatalf("the tour does not print, at its place, %s\n%s", want, output)
		}
		rest = rest[at[1]:]
	}
	if strings.Contains(output, "SecretAccessKey") {
		t.Error("the tour prints a secret")
	}
}

// tour is all that a reader pastes, with this laptop's ports.
func tour(t *testing.T) string {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join("..", "..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, part, found := strings.Cut(string(readme), tourHeading)
	if !found {
		t.Fatalf("README.md has no part %q", tourHeading)
	}
	part, _, _ = strings.Cut(part, "\n## ")
	var script strings.Builder
	for _, block := range regexp.MustCompile("(?s)\n```sh\n(.*?)```\n").FindAllStringSubmatch(part, -1) {
		script.WriteString(block[1])
	}
	if script.Len() == 0 {
		t.Fatal("the tour has no commands")
	}
	return strings.NewReplacer(
		"localhost:8080", strings.TrimPrefix(pocket.APIURL, "http://"),
		"127.0.0.1:4566", strings.TrimPrefix(pocket.AWSURL, "http://"),
	).Replace(script.String())
}

// paste gives the script to a shell as its input, so that a command that would swallow what is pasted after it fails. It
// ends at the first command that fails. The environment is the developer's own: what of it disturbs, the tour puts right.
func paste(t *testing.T, script string) string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	var out, problems bytes.Buffer
	shell := exec.CommandContext(ctx, "bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-s")
	shell.Dir, shell.Stdin, shell.Stdout, shell.Stderr = t.TempDir(), strings.NewReader(script), &out, &problems
	shell.Env = append(os.Environ(), "NO_PROXY=localhost,127.0.0.1", "no_proxy=localhost,127.0.0.1")
	shell.WaitDelay = 5 * time.Second
	if err := shell.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out.String(), problems.String())
	}
	return out.String()
}
