package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"rolecall/cmd/rolecall/cli"
)

// A program with AWS's SDK goes on working through the agent when its session and the agent's access token have ended.
func TestAgentOverAnExpiry(t *testing.T) {
	var ours movable
	p, log := program(t, &ours)
	if status := p.Run(t.Context(), []string{"login"}); status != 0 {
		t.Fatalf("login: %d\n%s", status, log)
	}
	vault, err := os.ReadFile(filepath.Join(p.folder, "vault.json"))
	if err != nil {
		t.Fatal(err)
	}
	startAgent(t, p, log)

	counted := &counter{}
	// The SDK's clock cannot be moved: let it take what lasts for less than 29:57 to be at its end.
	window := func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = 30*time.Minute - 3*time.Second }
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithHTTPClient(&http.Client{Transport: counted}), config.WithCredentialsCacheOptions(window))
	if err != nil {
		t.Fatal(err)
	}
	client := sts.NewFromConfig(cfg)
	first, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	if err := identify(client); err != nil {
		t.Fatal(err)
	}

	clock.ahead.Store(int64(61 * time.Minute))
	ours.ahead.Store(int64(61 * time.Minute))
	stale := cfg.Copy()
	stale.Credentials = credentials.StaticCredentialsProvider{Value: first}
	if err := identify(sts.NewFromConfig(stale)); err == nil || !strings.Contains(err.Error(), "Expired") {
		t.Fatalf("the first session is to have ended: %v", err)
	}
	deadline := time.After(20 * time.Second)
	for tick := time.Tick(50 * time.Millisecond); ; {
		if err = identify(client); err == nil {
			break
		}
		select {
		case <-deadline:
			t.Fatalf("%v\n%s", err, log)
		case <-tick:
		}
	}
	second, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil || second.AccessKeyID == first.AccessKeyID {
		t.Errorf("%s again, %v", second.AccessKeyID, err)
	}
	if now, err := os.ReadFile(filepath.Join(p.folder, "vault.json")); err != nil || bytes.Equal(now, vault) {
		t.Error("the agent has not renewed its access token", err)
	}
	counted.handOuts.Store(0)
	for range 20 {
		if err := identify(client); err != nil {
			t.Fatal(err)
		}
	}
	if n := counted.handOuts.Load(); n > 4 {
		t.Errorf("%d hand-outs for 20 calls", n)
	}
}

func identify(client *sts.Client) error {
	_, err := client.GetCallerIdentity(context.Background(), &sts.GetCallerIdentityInput{})
	return err
}

// A counter counts what the SDK asks of the agent.
type counter struct{ handOuts atomic.Int32 }

// RoundTrip implements [http.RoundTripper].
func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.Path, "/credentials/") {
		c.handOuts.Add(1)
	}
	return http.DefaultTransport.RoundTrip(r)
}

type tested struct {
	*cli.Program
	folder string
}

// program is the program itself, in this process, for Grace of Globex. Its log can be read once it has ended.
func program(t *testing.T, clock *movable) (tested, *lines) {
	t.Helper()
	folder, log := t.TempDir(), &lines{}
	var environ []string
	for name, value := range environment(folder) {
		environ = append(environ, name+"="+value)
	}
	return tested{&cli.Program{
		In: strings.NewReader(""), Out: io.Discard, Err: log, Environ: environ, Clock: clock.Now, Ring: ring{},
		Open: func(_ context.Context, address string) error {
			go func() { _ = browse(address, "grace@globex.example") }()
			return nil
		},
		Ask: ask, Replace: func(string, []string, []string) error { return cli.ErrCannotReplace },
	}, folder}, log
}

// lines are safe to write and to read at a time.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// startAgent runs the agent until the test ends, and sets the environment as it prints it: with the token in a file.
func startAgent(t *testing.T, p tested, log *lines) {
	t.Helper()
	out, in := io.Pipe()
	p.Out = in
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if status := p.Run(ctx, []string{"agent", "--token-file", filepath.Join(p.folder, "token"), "Warehouse"}); status != 0 {
			t.Errorf("agent: %d\n%s", status, log)
		}
		_ = in.Close()
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	set := 0
	for scanner := bufio.NewScanner(out); set < 2 && scanner.Scan(); {
		if line, ok := strings.CutPrefix(scanner.Text(), "export "); ok {
			name, value, _ := strings.Cut(line, "=")
			t.Setenv(name, value)
			set++
		}
	}
	if set < 2 {
		t.Fatal("the agent did not start")
	}
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": pocket.AWSURL, "AWS_REGION": "eu-west-1", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_CA_BUNDLE": "",
	} {
		t.Setenv(name, value)
	}
}
