package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/rogpeppe/go-internal/testscript"

	"rolecall/infra/local/laptop"
)

// One laptop serves all tests, with connections made as people make them. The program is built as people build it, into a
// folder of its own: this test's own binary would take ten times as long to start.
var (
	pocket *laptop.Laptop
	clock  movable
	built  string // the folder
)

// movable is the laptop's clock.
type movable struct{ ahead atomic.Int64 }

func (c *movable) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func TestMain(m *testing.M) {
	testscript.Main(withLaptop{m}, map[string]func(){
		"browse":  func() { os.Exit(say(browse(os.Args[1], os.Getenv("PERSON")))) },
		"led":     func() { os.Exit(say(led(os.Args[1], os.Getenv("PERSON")))) },
		"opened":  func() { os.Exit(say(os.WriteFile("opened.txt", []byte(os.Args[1]+"\n"), 0o600))) },
		"caller":  func() { os.Exit(say(caller())) },
		"worker":  func() { os.Exit(say(work())) },
		"roles":   func() { os.Exit(say(roles())) },
		"showenv": showEnv,
	})
}

func say(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

type withLaptop struct{ m *testing.M }

// Run implements testscript.TestingM; it is not called in the commands that scripts run.
func (w withLaptop) Run() int {
	out, err := os.MkdirTemp("", "rolecall-cli-")
	if err != nil {
		return say(err)
	}
	defer func() { _ = os.RemoveAll(out) }()
	root, err := filepath.Abs("../..")
	if err != nil {
		return say(err)
	}
	built = filepath.Join(out, "bin")
	build := exec.CommandContext(context.Background(), "go", "build", "-buildvcs=false", "-o", filepath.Join(built, "rolecall"), ".")
	if text, err := build.CombinedOutput(); err != nil {
		return say(fmt.Errorf("%w\n%s", err, text))
	}
	site := filepath.Join(out, "site")
	if err := errors.Join(os.Mkdir(site, 0o700), os.WriteFile(filepath.Join(site, "index.html"), []byte("<!doctype html>\n"), 0o600)); err != nil {
		return say(err)
	}
	pocket, err = laptop.Start(context.Background(), laptop.Options{
		Environ: os.Environ(), Root: root, Out: out, APIAddress: "127.0.0.1:0", AWSAddress: "127.0.0.1:0", Clock: clock.Now, Web: site,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return say(err)
	}
	defer pocket.Close()
	if err := connectAll(); err != nil {
		return say(err)
	}
	return w.m.Run()
}

// connectAll makes the connections that scripts speak of.
func connectAll() error {
	for _, c := range []struct{ tenant, name, account string }{
		{"acme", "Production", "222222222222"}, {"acme", "Büro & Lager", "333333333333"}, {"acme", "Sandbox", ""}, {"globex", "Warehouse", "444444444444"},
	} {
		if err := connect(c.tenant, c.name, c.account); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// connect makes a connection, and has the customer press the button of the quick-create page; without an account nobody does.
func connect(tenant, name, account string) error {
	var made struct {
		ID     string
		Launch struct {
			TemplateURL, StackName, Region string
			Parameters                     map[string]string
		}
	}
	if err := call(tenant, "POST", "/v1/connections", map[string]any{"name": name}, &made); err != nil || account == "" {
		return err
	}
	body, err := json.Marshal(map[string]any{
		"account": account, "region": made.Launch.Region, "stack": made.Launch.StackName, "templateURL": made.Launch.TemplateURL,
		"parameters": made.Launch.Parameters, "acknowledged": true,
	})
	if err != nil {
		return err
	}
	resp, err := http.Post(pocket.AWSURL+"/cloudformation/api/stacks", "application/json", bytes.NewReader(body)) //nolint:noctx // a test's
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	deadline := time.After(30 * time.Second)
	for tick := time.Tick(50 * time.Millisecond); ; {
		var now struct{ Status string }
		if err := call(tenant, "GET", "/v1/connections/"+made.ID, nil, &now); err != nil || now.Status == "enabled" {
			return err
		}
		select {
		case <-deadline:
			return errors.New("still " + now.Status)
		case <-tick:
		}
	}
}

func call(tenant, method, path string, in, out any) error {
	token, err := pocket.Token(tenant, "connections:read", "connections:write")
	if err != nil {
		return err
	}
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, pocket.APIURL+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		return errors.Join(err, fmt.Errorf("%s %s", resp.Status, text))
	}
	return json.Unmarshal(text, out)
}

var hiddenRE = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// browse does what a person with a browser does: looks at the page, clicks on a name, and is led back.
func browse(address, person string) error {
	resp, err := choose(http.DefaultClient, address, person) // it follows the redirect back to rolecall
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("led to %s: %s", resp.Status, text)
	}
	return err
}

// led prints where a person's browser is led that is on another machine.
func led(address, person string) error {
	there := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := choose(there, address, person)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = fmt.Println(resp.Header.Get("Location"))
	return err
}

// choose presses a person's button on the issuer's page.
func choose(client *http.Client, address, person string) (*http.Response, error) {
	page, err := get(address)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(page, `value="`+person+`"`) {
		return nil, errors.New("the page does not offer " + person)
	}
	form := url.Values{"person": {person}}
	for _, m := range hiddenRE.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], strings.NewReplacer("&amp;", "&", "&#43;", "+").Replace(m[2]))
	}
	to, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	to.RawQuery = ""
	return client.PostForm(to.String(), form) //nolint:noctx // a test's
}

func get(address string) (string, error) {
	resp, err := http.Get(address) //nolint:noctx // a test's
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, text)
	}
	return string(text), err
}

// caller is somebody's program: it uses the AWS SDK and knows nothing of Rolecall.
func caller() error {
	cfg, err := config.LoadDefaultConfig(context.Background(), config.WithRetryMaxAttempts(1))
	if err != nil {
		return err
	}
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(context.Background(), &sts.GetCallerIdentityInput{})
	if err != nil {
		return err
	}
	fmt.Println(aws.ToString(out.Account), aws.ToString(out.Arn), cfg.Region)
	return nil
}

// roles is a program that needs more than to be who it is.
func roles() error {
	cfg, err := config.LoadDefaultConfig(context.Background(), config.WithRetryMaxAttempts(1))
	if err != nil {
		return err
	}
	out, err := iam.NewFromConfig(cfg).ListRoles(context.Background(), &iam.ListRolesInput{})
	if err != nil {
		return err
	}
	fmt.Println(len(out.Roles), "roles")
	return nil
}

// showEnv prints what a command finds in its environment.
func showEnv() {
	all := os.Environ()
	slices.Sort(all)
	for _, line := range all {
		if name, value, _ := strings.Cut(line, "="); strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "ROLECALL_") {
			fmt.Println(name + "=" + value)
		}
	}
}
