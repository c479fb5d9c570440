package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A client is a program with an AWS SDK that prints the account it works in; probe succeeds where it is installed.
type client struct {
	name           string
	probe, command []string
}

// installed says which version it is, or that nothing is shown of it.
func (c client) installed(t *testing.T) {
	t.Helper()
	if c.probe == nil {
		return
	}
	version, err := exec.CommandContext(t.Context(), c.probe[0], c.probe[1:]...).CombinedOutput()
	if err != nil {
		t.Skipf("%s: not installed here, NOT tried", c.name)
	}
	t.Logf("%s: %s", c.name, strings.TrimSpace(string(version)))
}

// as is this test's own binary by the name of one of its programs, with aws-sdk-go-v2.
func as(t *testing.T, name string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Clients as they are installed, with credentials that the program has put into their environment; the AWS CLI, each command of
// which asks anew, by the other ways, too. (By the agent: TestCommandsShareAHandOut.)
func TestUnmodifiedClients(t *testing.T) {
	folder := t.TempDir()
	cli := client{"AWS CLI", []string{"aws", "--version"}, []string{"aws", "sts", "get-caller-identity", "--query", "Account", "--output", "text"}}
	sdk := as(t, "caller")
	environ := newTally(t, 0).machine(folder)
	for _, c := range []client{
		cli,
		{"aws-sdk-go-v2", nil, []string{sdk}},
		{
			"boto3",
			[]string{"python3", "-c", "import boto3; print('boto3', boto3.__version__)"},
			[]string{"python3", "-c", "import boto3; boto3.client('ec2').describe_regions(); print(boto3.client('sts').get_caller_identity()['Account'])"},
		},
		{"SDK for JavaScript", []string{"npm", "--version"}, nil}, // its program is installed first
	} {
		t.Run(c.name+" by exec", func(t *testing.T) {
			t.Parallel()
			c.installed(t)
			if c.command == nil {
				c.command = []string{"node", javaScript(t), "0"}
			}
			c.run(t, append([]string{filepath.Join(built, "rolecall"), "exec", "Production", "--"}, c.command...), environ)
		})
	}
	for way, prepare := range renewing {
		if way == "agent" || way == "exec --renew" && os.Getenv("ROLECALL_LONG") == "" {
			continue
		}
		t.Run(cli.name+" by "+way, func(t *testing.T) {
			t.Parallel()
			cli.installed(t)
			before, told := prepare(t, t.TempDir(), environ)
			cli.run(t, append(before, cli.command...), append(append([]string{}, environ...), told...))
		})
	}
}

func (client) run(t *testing.T, command, environ []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Env = environ
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "222222222222") {
		t.Errorf("%v: %s", err, out)
	}
}

// runAgent runs the program's agent until the test and its parts have ended, by a signal as a service manager sends it, and
// answers what it prints to be set.
func runAgent(t *testing.T, environ []string, token string) []string {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(built, "rolecall"), "agent", "--token-file", token, "Production")
	cmd.Env = environ
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the agent ended with %v", err)
		}
		if _, err := os.Stat(token); err == nil {
			t.Error("its token is still there")
		}
	})
	var set []string
	for scanner := bufio.NewScanner(out); len(set) < 2 && scanner.Scan(); {
		if line, ok := strings.CutPrefix(scanner.Text(), "export "); ok {
			set = append(set, line)
		}
	}
	if len(set) < 2 {
		t.Fatal("the agent did not start")
	}
	return set
}
