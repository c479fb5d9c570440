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

// A client is a program with an AWS SDK that prints the account it works in.
type client struct {
	name           string
	probe, command []string
}

func clients(t *testing.T) []client {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	sdk := filepath.Join(t.TempDir(), "caller") // what scripts call by this name: aws-sdk-go-v2
	if err := os.Symlink(self, sdk); err != nil {
		t.Fatal(err)
	}
	return []client{
		{"aws-sdk-go-v2", nil, []string{sdk}},
		{"AWS CLI", []string{"aws", "--version"}, []string{"aws", "sts", "get-caller-identity", "--query", "Account", "--output", "text"}},
		{
			"boto3",
			[]string{"python3", "-c", "import boto3; print('boto3', boto3.__version__)"},
			[]string{"python3", "-c", "import boto3; boto3.client('ec2').describe_regions(); print(boto3.client('sts').get_caller_identity()['Account'])"},
		},
	}
}

// Clients as they are installed, by each way in which the program gives them credentials.
func TestUnmodifiedClients(t *testing.T) {
	folder := t.TempDir()
	environ := []string{"PATH=" + built + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "AWS_DEFAULT_REGION=eu-west-1", "AWS_REGION=eu-west-1"}
	for name, value := range environment(filepath.Join(folder, "config")) {
		environ = append(environ, name+"="+value)
	}
	environ = append(environ, "ROLECALL_CLIENT_ID=acme", "ROLECALL_CLIENT_SECRET=local")
	profile := filepath.Join(folder, "aws-config")
	if err := os.WriteFile(profile, []byte("[profile production]\ncredential_process = rolecall credential-process Production --reason tests\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ways := map[string]struct{ before, environ []string }{
		"exec":               {before: []string{"rolecall", "exec", "Production", "--"}},
		"exec --renew":       {before: []string{"rolecall", "exec", "--renew", "Production", "--"}},
		"credential_process": {environ: []string{"AWS_CONFIG_FILE=" + profile, "AWS_PROFILE=production"}},
		"agent":              {environ: runAgent(t, environ, filepath.Join(folder, "token"))},
	}
	for _, c := range clients(t) {
		if c.probe != nil {
			version, err := exec.CommandContext(t.Context(), c.probe[0], c.probe[1:]...).CombinedOutput()
			if err != nil {
				t.Logf("%s: not installed here, NOT tried", c.name)
				continue
			}
			t.Logf("%s: %s", c.name, strings.TrimSpace(string(version)))
		}
		for way, with := range ways {
			t.Run(c.name+" by "+way, func(t *testing.T) {
				t.Parallel()
				command := append(append([]string{}, with.before...), c.command...)
				if command[0] == "rolecall" {
					command[0] = filepath.Join(built, "rolecall")
				}
				cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
				cmd.Env = append(append([]string{}, environ...), with.environ...)
				out, err := cmd.CombinedOutput()
				if err != nil || !strings.HasPrefix(string(out), "222222222222") {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
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
