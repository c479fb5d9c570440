package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"rolecall/infra/local/clients"
)

// A tally stands before Rolecall and counts hand-outs; the first one it answers ends after first, where that is set.
type tally struct {
	first    time.Duration
	handOuts atomic.Int32
	url      string
}

func newTally(t *testing.T, first time.Duration) *tally {
	t.Helper()
	target, err := url.Parse(pocket.APIURL)
	if err != nil {
		t.Fatal(err)
	}
	c := &tally{first: first}
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: c.passed,
	})
	t.Cleanup(front.Close)
	c.url = front.URL
	return c
}

func (c *tally) passed(r *http.Response) error {
	if !strings.HasSuffix(r.Request.URL.Path, "/credentials") || c.handOuts.Add(1) > 1 || c.first == 0 {
		return nil
	}
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return err
	}
	body["Expiration"] = time.Now().Add(c.first).UTC().Format(time.RFC3339)
	text, err := json.Marshal(body)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	r.Header.Del("Content-Length")
	return err
}

// machine is the environment of a machine whose rolecall asks by way of the tally.
func (c *tally) machine(folder string) []string {
	environ := []string{"PATH=" + built + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "AWS_DEFAULT_REGION=eu-west-1", "AWS_REGION=eu-west-1"}
	for name, value := range environment(filepath.Join(folder, "config")) {
		environ = append(environ, name+"="+value)
	}
	return append(environ, "ROLECALL_API="+c.url, "ROLECALL_ISSUER="+pocket.APIURL+"/oidc", "ROLECALL_CLIENT_ID=acme", "ROLECALL_CLIENT_SECRET=local")
}

// renewing are the ways in which a program's SDK gets new credentials by itself: what it is started by, and what it is told.
var renewing = map[string]func(t *testing.T, folder string, environ []string) (before, told []string){
	"exec --renew": func(*testing.T, string, []string) (before, told []string) {
		return []string{filepath.Join(built, "rolecall"), "exec", "--renew", "Production", "--"}, nil
	},
	"credential_process": func(t *testing.T, folder string, _ []string) (before, told []string) {
		t.Helper()
		profile := filepath.Join(folder, "aws-config")
		if err := os.WriteFile(profile, []byte("[profile production]\ncredential_process = rolecall credential-process Production\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return nil, []string{"AWS_CONFIG_FILE=" + profile, "AWS_PROFILE=production"}
	},
	"agent": func(t *testing.T, folder string, environ []string) (before, told []string) {
		t.Helper()
		return nil, runAgent(t, environ, filepath.Join(folder, "token"))
	},
}

// SDKs renew their credentials through the program when those are about to end: two hand-outs for ten calls. Each SDK does so
// at a time of its own before the end, so the first session ends that long and two seconds from now. ROLECALL_LONG tries every
// way, else the agent alone.
func TestClientsOverAnExpiry(t *testing.T) {
	for _, c := range workers(t) {
		for way, prepare := range renewing {
			if way != "agent" && os.Getenv("ROLECALL_LONG") == "" {
				continue
			}
			t.Run(c.name+" by "+way, func(t *testing.T) {
				t.Parallel()
				c.installed(t)
				folder := t.TempDir()
				first := c.renews + 2*time.Second
				if way == "credential_process" {
					first = c.renewsProcess + 2*time.Second
				}
				front := newTally(t, first)
				environ := front.machine(folder)
				before, told := prepare(t, folder, environ)
				command := append(append(append([]string{}, before...), c.program(t)...), "2.5")
				cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
				cmd.Env = append(environ, told...)
				out, err := cmd.CombinedOutput()
				if err != nil || !strings.HasSuffix(strings.TrimSpace(strings.ToLower(string(out))), "true 222222222222") {
					t.Errorf("%v: %s", err, out)
				}
				if n := front.handOuts.Load(); n != 2 {
					t.Errorf("%d hand-outs for ten calls", n)
				}
			})
		}
	}
}

// A worker is a program with an AWS SDK, that takes how many seconds it waits between its first five calls and the others.
type worker struct {
	client
	renews, renewsProcess time.Duration // how long before the end: of what it fetches, and of credential_process
	program               func(*testing.T) []string
}

func workers(t *testing.T) []worker {
	t.Helper()
	sdk := as(t, "worker")
	return []worker{
		{client{name: "aws-sdk-go-v2"}, 5 * time.Minute, 0, func(*testing.T) []string { return []string{sdk} }},
		{
			client{name: "boto3", probe: []string{"python3", "-c", "import boto3; print('boto3', boto3.__version__)"}},
			15 * time.Minute, 15 * time.Minute,
			func(t *testing.T) []string {
				program, err := clients.Python(t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				return []string{"python3", program}
			},
		},
		{
			client{name: "SDK for JavaScript", probe: []string{"npm", "--version"}},
			5 * time.Minute, 5 * time.Minute,
			func(t *testing.T) []string { return []string{"node", javaScript(t)} },
		},
	}
}

func javaScript(t *testing.T) string {
	t.Helper()
	program, err := clients.JavaScript(t.Context(), filepath.Join("..", "..", "build", "clients"))
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// Commands of the AWS CLI are processes, each of which asks for credentials. Through the agent five of them cost Rolecall one
// hand-out, and an expiry one more.
func TestCommandsShareAHandOut(t *testing.T) {
	cli := client{name: "AWS CLI", probe: []string{"aws", "--version"}}
	cli.installed(t)
	front := newTally(t, 16*time.Minute) // so little that the agent does not hold it
	folder := t.TempDir()
	environ := front.machine(folder)
	_, told := renewing["agent"](t, folder, environ)
	for _, tt := range []struct {
		times    string
		handOuts int32
	}{{"1", 1}, {"1 2 3 4 5", 2}} {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", "for i in "+tt.times+"; do aws sts get-caller-identity --query Account --output text || exit 1; done")
		cmd.Env = append(append([]string{}, environ...), told...)
		out, err := cmd.CombinedOutput()
		if want := strings.Repeat("222222222222\n", len(strings.Fields(tt.times))); err != nil || string(out) != want || front.handOuts.Load() != tt.handOuts {
			t.Fatalf("%v, %d hand-outs, want %d: %s", err, front.handOuts.Load(), tt.handOuts, out)
		}
	}
}

// work is somebody's service: it makes five calls, waits until its credentials are about to end, and makes five more.
func work() error {
	pause, err := strconv.ParseFloat(os.Args[1], 64)
	if err != nil {
		return err
	}
	cfg, err := config.LoadDefaultConfig(context.Background(), config.WithRetryMaxAttempts(1))
	if err != nil {
		return err
	}
	var account string
	var found bool
	for _, wait := range []time.Duration{time.Duration(pause * float64(time.Second)), 0} {
		for range 3 {
			out, err := sts.NewFromConfig(cfg).GetCallerIdentity(context.Background(), &sts.GetCallerIdentityInput{})
			if err != nil {
				return err
			}
			account = aws.ToString(out.Account)
		}
		for range 2 {
			out, err := iam.NewFromConfig(cfg).ListRoles(context.Background(), &iam.ListRolesInput{})
			if err != nil {
				return err
			}
			found = len(out.Roles) > 0
		}
		time.Sleep(wait)
	}
	fmt.Println(found, account)
	return nil
}
