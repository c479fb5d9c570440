package laptop_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rolecall/infra/local/clients"
)

// Unmodified clients in other languages, each a program of its own with the two variables, call STS and EC2 in a
// customer's account, and renew their credentials when those are about to end: two hand-outs for ten calls. Each client
// renews at a time of its own before the end, so the first session of each ends that long and two seconds from now.
func TestOtherClients(t *testing.T) {
	t.Parallel()
	t.Run("AWS CLI", func(t *testing.T) {
		t.Parallel()
		// One command is one process: it finds a session that has all but ended, and asks once more before it calls.
		client := otherClient{account: "222222222282", renews: 10 * time.Second, version: []string{"aws", "--version"}}
		client.run(t, 2, "222222222282", "aws", "sts", "get-caller-identity", "--query", "Account", "--output", "text")
		client.renews = 0
		client.account = "222222222287"
		client.run(t, 1, "True", "aws", "ec2", "describe-regions", "--query", "length(Regions) > `0`", "--output", "text")
	})
	t.Run("boto3", func(t *testing.T) {
		t.Parallel()
		client := otherClient{
			account: "222222222285", renews: 15*time.Minute + 2*time.Second, version: []string{"python3", "-c", "import boto3; print('boto3', boto3.__version__)"},
		}
		program, err := clients.Python(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		client.run(t, 2, "True 222222222285", "python3", program, "2.5")
	})
	t.Run("SDK for JavaScript", func(t *testing.T) {
		t.Parallel()
		client := otherClient{account: "222222222286", renews: 5*time.Minute + 2*time.Second, version: []string{"npm", "--version"}}
		client.installed(t)
		program, err := clients.JavaScript(t.Context(), filepath.Join("..", "..", "..", "build", "clients"))
		if err != nil {
			t.Fatal(err)
		}
		client.run(t, 2, "true 222222222286", "node", program, "2.5")
	})
}

// An otherClient is a program that knows AWS, but not Rolecall.
type otherClient struct {
	account string
	renews  time.Duration // before the end of a session, and a little; 0 for a first session that lasts
	version []string      // a command that works where the client is installed
}

func (c otherClient) installed(t *testing.T) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), c.version[0], c.version[1:]...).CombinedOutput()
	if err != nil {
		t.Skipf("not installed here, NOT tried: %s", strings.Join(c.version, " "))
	}
	t.Logf("%s", bytes.TrimSpace(out))
}

func (c otherClient) run(t *testing.T, handOuts int64, want string, command ...string) {
	t.Helper()
	c.installed(t)
	d := newDesk(t, "acme-client-"+c.account, c.account)
	d.first = c.renews
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for k, v := range d.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil || strings.TrimSpace(string(out)) != want {
		t.Errorf("%v: %s%s", err, out, &complaints)
	}
	if n := d.handOuts.Load(); n != handOuts {
		t.Errorf("%d hand-outs, want %d", n, handOuts)
	}
}
