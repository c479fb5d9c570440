package laptop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"rolecall/infra/local/laptop"
)

// One laptop serves all tests of this package: the real binaries, wired by the real synthesised template.
var (
	pocket *laptop.Laptop
	logs   = &logBook{}
	now    = &movable{}
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == shimName {
		os.Exit(shim(os.Args[1:]))
	}
	// What runs in parallel here mostly waits, for a definitive denial as long as a customer would; processors are no measure of that.
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	out, err := os.MkdirTemp("", "rolecall-laptop-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(out) }()
	root, err := filepath.Abs("../../..")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	pocket, err = laptop.Start(context.Background(), laptop.Options{
		Environ: os.Environ(), Root: root, Out: out, APIAddress: "127.0.0.1:0", AWSAddress: "127.0.0.1:0", Clock: now.Now,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), FunctionLog: logs.add,
		Context: map[string]any{"customPermissions": map[string]any{
			"title": "Cost data", "description": "reads bills and usage", "policy": filepath.Join(root, "infra", "testdata", "custom-policy.json"),
		}, "macKeys": []int{2, 1}, // as after a rotation
			"launchesPerMinute": 1000}, // a hundred callers want one name, and every process leases ten launches at a time
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer pocket.Close()
	code := m.Run()
	if lines := logs.all(); code != 0 {
		for _, l := range lines[max(0, len(lines)-60):] {
			fmt.Fprintln(os.Stderr, l)
		}
	}
	return code
}

// movable is the pocket AWS's clock: a test may move it on, so that nobody waits for a queue.
type movable struct{ ahead atomic.Int64 }

func (c *movable) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *movable) move(d time.Duration) {
	c.ahead.Add(int64(d))
	pocket.SQS.Wake()
}

// logBook keeps what functions wrote.
type logBook struct {
	mu    sync.Mutex
	lines []string
}

func (b *logBook) add(function, line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, function+" "+line)
}

func (b *logBook) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.lines...)
}

// A tenant calls the HTTP API.
type tenant struct {
	t     testing.TB
	token string
}

func as(t testing.TB, name string, scopes ...string) tenant {
	t.Helper()
	if len(scopes) == 0 {
		scopes = []string{"connections:read", "connections:write", "credentials:issue"}
	}
	token, err := pocket.Token(name, scopes...)
	if err != nil {
		t.Fatal(err)
	}
	return tenant{t, token}
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}

func (x tenant) call(method, path, body string, header ...string) answer {
	x.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, pocket.APIURL+path, strings.NewReader(body))
	if err != nil {
		x.t.Fatal(err)
	}
	if x.token != "" {
		req.Header.Set("Authorization", "Bearer "+x.token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		x.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		x.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, bytes.TrimSpace(text)}
}

// want is call, with the status that must come.
func (x tenant) want(status int, method, path, body string, header ...string) answer {
	x.t.Helper()
	a := x.call(method, path, body, header...)
	if a.status != status {
		x.t.Fatalf("%s %s: %d %s, want %d", method, path, a.status, a.body, status)
	}
	return a
}

type connection struct {
	ID, Name, Status, ExternalID, AccountID, RoleARN string
	Permissions, RequestedPermissions, PolicyDigest  string
	PolicyUpdate                                     *struct {
		Changes        []string
		PolicyURL, CLI string
	}
	StatusReason *struct{ Code, Message, Fix string }
	Stack        *struct {
		ID, Region, TemplateVersion string
		Update                      *struct {
			From, To, UpdateURL, TemplateURL, CLI string
			Changes                               []string
		}
	}
	Checks       []struct{ Name, Verdict, Code, Message string }
	Verification *struct{ Attempt int }
	Version      int64
	Launch       *struct {
		QuickCreateURL, TemplateURL, StackName, Region       string
		CreateRoleURL, TrustPolicy, CLI, CLIStack, Terraform string
		TerraformModule                                      string
		Parameters                                           map[string]string
	}
}

// turns bounds how many connections are created at a time: the tests that run in parallel begin by making theirs, all at
// once, and Lambda would have no room for so many.
var turns = make(chan struct{}, 6)

func (x tenant) create(name string) connection {
	x.t.Helper()
	turns <- struct{}{}
	defer func() { <-turns }()
	var c connection
	x.want(http.StatusCreated, "POST", "/v1/connections", fmt.Sprintf(`{"name":%q}`, name)).into(x.t, &c)
	if c.Launch == nil {
		x.t.Fatal("a new connection without a launch")
	}
	return c
}

func (x tenant) get(id string) connection {
	x.t.Helper()
	var c connection
	x.want(http.StatusOK, "GET", "/v1/connections/"+id, "").into(x.t, &c)
	return c
}

type event struct {
	Type string
	Data map[string]any
}

func (x tenant) timeline(id string) []event {
	x.t.Helper()
	var page struct{ Items []event }
	x.want(http.StatusOK, "GET", "/v1/connections/"+id+"/events?limit=100", "").into(x.t, &page)
	return page.Items
}

// eventually asks until it is so.
func eventually(t testing.TB, within time.Duration, what string, so func() bool) {
	t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-deadline:
			t.Fatalf("not within %s: %s", within, what)
		case <-tick.C:
		}
	}
}

// A customer is an account of the pocket AWS, with ordinary clients.
type customer struct {
	t       testing.TB
	account string
	region  string
}

// transport is every AWS client's here: with one each, tests that ask again and again would run out of sockets.
var transport = awshttp.NewBuildableClient()

func awsConfig(id, secret, token, region string) aws.Config {
	return aws.Config{
		Region: region, BaseEndpoint: &pocket.AWSURL, HTTPClient: transport,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, token),
	}
}

func (c customer) cloudFormation() *cloudformation.Client {
	return cloudformation.NewFromConfig(awsConfig(c.account, "any", "", c.region))
}

func parameters(in map[string]string) (out []types.Parameter) {
	for k, v := range in {
		out = append(out, types.Parameter{ParameterKey: aws.String(k), ParameterValue: aws.String(v)})
	}
	return out
}

// launch creates the stack of a connection's link; change may alter the request.
func (c customer) launch(from connection, change func(*cloudformation.CreateStackInput)) {
	c.t.Helper()
	in := &cloudformation.CreateStackInput{
		StackName: &from.Launch.StackName, TemplateURL: &from.Launch.TemplateURL, Parameters: parameters(from.Launch.Parameters),
		Capabilities: []types.Capability{types.CapabilityCapabilityNamedIam},
	}
	if change != nil {
		change(in)
	}
	if _, err := c.cloudFormation().CreateStack(context.Background(), in); err != nil {
		c.t.Fatal(err)
	}
}

func (c customer) status(name string) types.StackStatus {
	c.t.Helper()
	out, err := c.cloudFormation().DescribeStacks(context.Background(), &cloudformation.DescribeStacksInput{StackName: &name})
	if err != nil || len(out.Stacks) != 1 {
		c.t.Fatal(err)
	}
	return out.Stacks[0].StackStatus
}

// await waits until a stack has a status, and until whoever answered it has kept what that leads to: CloudFormation has to take
// an answer before anything is written.
func (c customer) await(name string, want types.StackStatus, within time.Duration) {
	c.t.Helper()
	defer c.answered()
	eventually(c.t, within, fmt.Sprintf("stack %s %s", name, want), func() bool {
		got := c.status(name)
		if got != want && (strings.HasSuffix(string(got), "_COMPLETE") || strings.HasSuffix(string(got), "_FAILED")) {
			c.t.Fatalf("stack %s is %s, want %s: %v", name, got, want, c.reasons(name))
		}
		return got == want
	})
}

// answered waits until those who may have answered a stack have ended.
func (c customer) answered() {
	c.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	for _, name := range []string{"rolecall-callback", "rolecall-verify"} {
		if err := pocket.Lambda.Finish(ctx, "arn:aws:lambda:eu-west-1:111111111111:function:"+name); err != nil {
			c.t.Error(err)
		}
	}
}

func (c customer) reasons(name string) (out []string) {
	c.t.Helper()
	all, err := c.cloudFormation().DescribeStackEvents(context.Background(), &cloudformation.DescribeStackEventsInput{StackName: &name})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, e := range all.StackEvents {
		if e.ResourceStatusReason != nil {
			out = append(out, *e.LogicalResourceId+" "+string(e.ResourceStatus)+": "+*e.ResourceStatusReason)
		}
	}
	return out
}

// identity is who the credentials belong to.
func identity(t testing.TB, id, secret, token string) *sts.GetCallerIdentityOutput {
	t.Helper()
	out, err := sts.NewFromConfig(awsConfig(id, secret, token, "eu-west-1")).GetCallerIdentity(context.Background(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// template is the published template, as the customer's browser would get it.
func template(t testing.TB, from connection) string {
	t.Helper()
	path := strings.TrimPrefix(from.Launch.TemplateURL, "https://")
	host, key, _ := strings.Cut(path, "/")
	bucket, _, _ := strings.Cut(host, ".s3.")
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, pocket.AWSURL+"/"+bucket+"/"+key, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	return string(body)
}
