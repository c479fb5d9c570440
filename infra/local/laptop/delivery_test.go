package laptop_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolecall/infra/local/faults"
	"rolecall/infra/local/laptop"
)

// A receiver is a platform's own endpoint: it judges signatures with nothing but what docs/webhooks.md tells.
type receiver struct {
	*httptest.Server
	answer atomic.Int64

	mu    sync.Mutex
	posts []received
}

type received struct {
	id, timestamp, signature string
	body                     []byte
	kind, connection         string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.answer.Store(http.StatusNoContent)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		var e struct {
			DetailType string `json:"detail-type"`
			Detail     struct {
				ConnectionID string `json:"connectionId"`
			}
		}
		_ = json.Unmarshal(body, &e)
		r.mu.Lock()
		r.posts = append(r.posts, received{
			req.Header.Get("Rolecall-Event-Id"), req.Header.Get("Rolecall-Timestamp"), req.Header.Get("Rolecall-Signature"), body,
			e.DetailType, e.Detail.ConnectionID,
		})
		r.mu.Unlock()
		w.WriteHeader(int(r.answer.Load()))
	}))
	t.Cleanup(r.Close)
	return r
}

// of are the posts about a connection.
func (r *receiver) of(connection string) (out []received) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.posts {
		if p.connection == connection {
			out = append(out, p)
		}
	}
	return out
}

// A platform is a laptop of its own for tests that break what all others share.
type platform struct {
	*testing.T
	*laptop.Laptop
	ahead *atomic.Int64 // of its clock
	lines *logBook
}

// with is the platform in another test's hands.
func (p *platform) with(t *testing.T) *platform { return &platform{t, p.Laptop, p.ahead, p.lines} }

// retries is how often Lambda tries a batch of the stream, instead of for hours.
var retries = regexp.MustCompile(`"MaximumRetryAttempts": *100`)

func newPlatform(t *testing.T, more map[string]any) *platform {
	t.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	p := &platform{T: t, ahead: new(atomic.Int64), lines: new(logBook)}
	patched := 0
	p.Laptop, err = laptop.Start(t.Context(), laptop.Options{
		Environ: os.Environ(), Root: root, Out: t.TempDir(), APIAddress: "127.0.0.1:0", AWSAddress: "127.0.0.1:0", Context: more,
		Clock: func() time.Time { return time.Now().Add(time.Duration(p.ahead.Load())) }, FunctionLog: p.lines.add,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
		Patch: func(_, template string) string {
			patched += len(retries.FindAllString(template, -1))
			return retries.ReplaceAllString(template, `"MaximumRetryAttempts": 1`)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		if t.Failed() {
			lines := p.lines.all()
			t.Log(strings.Join(lines[max(0, len(lines)-40):], "\n"))
		}
	})
	if patched != 1 {
		t.Fatalf("%d event sources to patch", patched)
	}
	return p
}

func (p *platform) move(d time.Duration) {
	p.ahead.Add(int64(d))
	p.SQS.Wake()
}

func (p *platform) config() aws.Config {
	return aws.Config{
		Region: laptop.HomeRegion, BaseEndpoint: &p.AWSURL, Credentials: credentials.NewStaticCredentialsProvider(laptop.Account, "any", ""),
	}
}

func (p *platform) output(key string) string {
	p.Helper()
	out, err := cloudformation.NewFromConfig(p.config()).DescribeStacks(p.Context(), &cloudformation.DescribeStacksInput{StackName: aws.String("Rolecall")})
	if err != nil {
		p.Fatal(err)
	}
	for _, o := range out.Stacks[0].Outputs {
		if aws.ToString(o.OutputKey) == key {
			return aws.ToString(o.OutputValue)
		}
	}
	p.Fatalf("no output %s", key)
	return ""
}

func (p *platform) create(name string) string {
	p.Helper()
	token, err := p.Token("acme", "connections:write")
	if err != nil {
		p.Fatal(err)
	}
	req, err := http.NewRequestWithContext(p.Context(), http.MethodPost, p.APIURL+"/v1/connections", strings.NewReader(fmt.Sprintf(`{"name":%q}`, name)))
	if err != nil {
		p.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var c struct{ ID string }
	if err := json.NewDecoder(resp.Body).Decode(&c); err != nil || resp.StatusCode != http.StatusCreated {
		p.Fatal(resp.Status, err)
	}
	return c.ID
}

// command runs one of the operator's commands as `make` does.
func (p *platform) command(folder string, args ...string) (string, error) {
	p.Helper()
	cmd := exec.CommandContext(p.Context(), "go", append([]string{"run", "./infra/" + folder}, args...)...)
	cmd.Dir, cmd.WaitDelay = "../../..", 5*time.Second
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+p.AWSURL, "AWS_REGION="+laptop.HomeRegion, "AWS_ACCESS_KEY_ID="+laptop.Account,
		"AWS_SECRET_ACCESS_KEY=any", "AWS_EC2_METADATA_DISABLED=true")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// undelivered are the payloads of what Lambda gave up, whole.
func (p *platform) undelivered() (payloads []string) {
	p.Helper()
	client, bucket := s3.NewFromConfig(p.config(), func(o *s3.Options) { o.UsePathStyle = true }), p.output("UndeliveredName")
	list, err := client.ListObjectsV2(p.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil {
		p.Fatal(err)
	}
	for _, o := range list.Contents {
		got, err := client.GetObject(p.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: o.Key})
		if err != nil {
			p.Fatal(err)
		}
		text, err := io.ReadAll(got.Body)
		_ = got.Body.Close()
		var record struct{ Payload string }
		if err != nil || json.Unmarshal(text, &record) != nil || record.Payload == "" {
			p.Fatalf("%s holds %s, %v", aws.ToString(o.Key), text, err)
		}
		payloads = append(payloads, record.Payload)
	}
	return payloads
}

// Published events reach an endpoint, signed with the secret that the operator can show; one that is down for a while
// gets them later.
func TestDeliveryOfEvents(t *testing.T) {
	t.Parallel() // on a laptop of its own
	hook := newReceiver(t)
	p := newPlatform(t, map[string]any{"webhookEndpoint": hook.URL + "/rolecall"})

	t.Run("webhook", func(t *testing.T) {
		p := p.with(t)
		secret, err := p.command("secret")
		if err != nil {
			t.Fatalf("%v\n%s", err, secret)
		}
		id := p.create("Hooked")
		eventually(t, 20*time.Second, "a post", func() bool { return len(hook.of(id)) > 0 })
		post := hook.of(id)[0]
		mac := hmac.New(sha256.New, []byte(strings.TrimSpace(secret)))
		mac.Write([]byte(post.timestamp + "."))
		mac.Write(post.body)
		if want := "v1=" + hex.EncodeToString(mac.Sum(nil)); post.signature != want || post.kind != "connection.created" || !strings.HasPrefix(post.id, "evt_") {
			t.Errorf("%s %s signed %s, want %s", post.kind, post.id, post.signature, want)
		}
	})

	t.Run("receiver down", func(t *testing.T) {
		p := p.with(t)
		hook.answer.Store(http.StatusServiceUnavailable)
		id := p.create("Down")
		eventually(t, 20*time.Second, "a first post", func() bool { return len(hook.of(id)) == 1 })
		p.move(20 * time.Second) // less than the first pause
		hook.answer.Store(http.StatusOK)
		eventually(t, 30*time.Second, "a second post", func() bool {
			p.move(5 * time.Second)
			return len(hook.of(id)) == 2
		})
		if posts := hook.of(id); posts[0].id != posts[1].id || !bytes.Equal(posts[0].body, posts[1].body) {
			t.Errorf("the second post is another one: %s, then %s", posts[0].body, posts[1].body)
		}
	})

	t.Run("bus down, then republished", func(t *testing.T) { busDown(t, p.with(t), hook) })
	t.Run("poison", func(t *testing.T) { poison(t, p.with(t), hook) })
}

// What cannot be published lies whole in the bucket, and comes from there when the bus is back.
func busDown(t *testing.T, p *platform, hook *receiver) {
	rule := `{"service":"events","operation":"PutEvents","kind":"error500","rate":1}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.APIURL+faults.Path, strings.NewReader(rule))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
	var ids []string
	for i := range 6 {
		ids = append(ids, p.create(fmt.Sprintf("Lost %d", i)))
	}
	missing := func() bool {
		whole := strings.Join(p.undelivered(), "\n")
		return slices.ContainsFunc(ids, func(id string) bool { return !strings.Contains(whole, id) })
	}
	eventually(t, 60*time.Second, "all in the bucket", func() bool { return !missing() })
	for _, payload := range p.undelivered() {
		var e struct {
			Records []struct {
				Dynamodb struct{ NewImage map[string]map[string]string }
			}
		}
		if err := json.Unmarshal([]byte(payload), &e); err != nil || len(e.Records) == 0 || e.Records[0].Dynamodb.NewImage["data"]["S"] == "" {
			t.Errorf("%v: not whole: %s", err, payload)
		}
	}
	req, err = http.NewRequestWithContext(t.Context(), http.MethodDelete, p.APIURL+faults.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err = http.DefaultClient.Do(req); err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	out, err := p.command("republish")
	if err != nil || !strings.Contains(out, "6 events in ") || !strings.Contains(out, "6  connection.created") || !strings.Contains(out, "nothing was sent") {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, id := range ids {
		if len(hook.of(id)) > 0 {
			t.Fatal("counting sent something")
		}
	}
	if out, err = p.command("republish", "-send"); err != nil || !strings.Contains(out, "6 sent to bus rolecall, 0 not") {
		t.Fatalf("%v\n%s", err, out)
	}
	eventually(t, 20*time.Second, "posts of all", func() bool {
		return !slices.ContainsFunc(ids, func(id string) bool { return len(hook.of(id)) == 0 })
	})
	first := hook.of(ids[3])
	if out, err = p.command("republish", "-from", "table", "-connection", ids[3], "-send"); err != nil || !strings.Contains(out, "1 sent to bus") {
		t.Fatalf("%v\n%s", err, out)
	}
	eventually(t, 20*time.Second, "a post more", func() bool { return len(hook.of(ids[3])) > len(first) })
	if again := hook.of(ids[3]); again[len(again)-1].id != first[0].id {
		t.Errorf("sent again under another id: %s, %s", first[0].id, again[len(again)-1].id)
	}
	since := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	if out, err = p.command("republish", "-from", "table", "-since", since); err != nil || !strings.Contains(out, "8 events in table") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err = p.command("republish", "-from", "table", "-until", since); err != nil || !strings.Contains(out, "0 events in table") {
		t.Errorf("%v\n%s", err, out)
	}
}

// A record that nobody can publish goes alone into the bucket; what comes after it is published.
func poison(t *testing.T, p *platform, hook *receiver) {
	before := len(p.undelivered())
	table := p.output("TableName")
	_, err := dynamodb.NewFromConfig(p.config()).PutItem(context.WithoutCancel(t.Context()), &dynamodb.PutItemInput{TableName: &table, Item: map[string]ddbtypes.AttributeValue{
		"PK": &ddbtypes.AttributeValueMemberS{Value: "CONN#poison"}, "SK": &ddbtypes.AttributeValueMemberS{Value: "EVENT#0000000001"},
		"data": &ddbtypes.AttributeValueMemberS{Value: "canary of poison"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	id := p.create("After poison")
	eventually(t, 30*time.Second, "the event after it", func() bool { return len(hook.of(id)) > 0 })
	all := p.undelivered()
	if len(all) != before+1 {
		t.Fatalf("%d objects more", len(all)-before)
	}
	holds := slices.IndexFunc(all, func(payload string) bool { return strings.Contains(payload, "canary of poison") })
	if holds < 0 || strings.Contains(all[holds], id) {
		t.Errorf("the poison is not alone: %v", all)
	}
	out, err := p.command("republish", "-send")
	if err == nil || !strings.Contains(out, "1  cannot be read") || !strings.Contains(out, "6 sent to bus rolecall, 0 not") {
		t.Errorf("%v\n%s", err, out)
	}
}
