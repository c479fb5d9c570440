package upload_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"rolecall/infra/local/iam"
	"rolecall/infra/local/s3"
	"rolecall/infra/local/wire"
	"rolecall/shared/connect"
	"rolecall/shared/upload"
)

const (
	account = "111111111111"
	bucket  = "templates"
	key     = "connection/1.0.0-0123456789ab.yaml"
)

// closed is the bucket's policy as infra deploys it.
const closed = `{"Version": "2012-10-17", "Statement": [
  {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::templates/*", "Condition": {"Null": {"s3:if-none-match": "true"}}},
  {"Effect": "Deny", "Principal": "*", "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion"], "Resource": "arn:aws:s3:::templates/*"}]}`

// answers are what CloudFormation was told.
type answers struct {
	to    []connect.ReplyTo
	given []connect.Reply
	err   error
}

func (a *answers) Answer(_ context.Context, to connect.ReplyTo, r connect.Reply) error {
	a.to, a.given = append(a.to, to), append(a.given, r)
	return a.err
}

type platform struct {
	upload.Uploader
	s3      *s3.Service
	answers *answers
}

func newPlatform(t *testing.T) platform {
	t.Helper()
	p := platform{s3: s3.New(time.Now), answers: &answers{}}
	for name, policy := range map[string]string{bucket: closed, "assets": ""} {
		if err := errors.Join(p.s3.CreateBucket(account, "eu-west-1", name), p.s3.SetPolicy(name, policy)); err != nil {
			t.Fatal(err)
		}
	}
	accounts := iam.New(time.Now)
	door := wire.NewServer(wire.Config{Authenticator: accounts, Authorizer: accounts, Secrets: accounts.Secret, Clock: time.Now})
	door.Register("s3", p.s3)
	server := httptest.NewServer(door)
	t.Cleanup(server.Close)
	p.Uploader = upload.Uploader{Client: upload.NewClient(at(server.URL)), Bucket: bucket, Answerer: p.answers, Log: slog.New(slog.DiscardHandler)}
	return p
}

func at(endpoint string) aws.Config {
	return aws.Config{Region: "eu-west-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider(account, "any", "")}
}

// ask sends a request for the asset with this body, and answers what CloudFormation was told.
func (p platform) ask(t *testing.T, kind cfn.RequestType, body string) connect.Reply {
	t.Helper()
	if err := p.s3.PutObject("assets", "asset.yaml", []byte(body), nil); err != nil {
		t.Fatal(err)
	}
	err := p.Handle(t.Context(), cfn.Event{
		RequestType: kind, RequestID: "r", StackID: "s", LogicalResourceID: "PublishedTemplate", PhysicalResourceID: "connection/0.9.0.yaml", ResponseURL: "https://answer.example/",
		ResourceProperties: map[string]any{"From": "assets/asset.yaml", "Key": key, "ContentType": "application/yaml"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p.answers.given[len(p.answers.given)-1]
}

func (p platform) holds(t *testing.T, want string) {
	t.Helper()
	o, err := p.s3.GetObject(bucket, key)
	if err != nil || string(o.Body) != want {
		t.Errorf("the bucket holds %q, %v", o.Body, err)
	}
}

func TestAnObjectIsUploadedOnce(t *testing.T) {
	p := newPlatform(t)
	if r := p.ask(t, cfn.RequestCreate, "first"); !r.OK {
		t.Fatalf("refused: %+v", r.Reason)
	}
	o, err := p.s3.GetObject(bucket, key)
	if err != nil || o.Header.Get("Content-Type") != "application/yaml" || o.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
		t.Errorf("headers %v, %v", o.Header, err)
	}
	if to := p.answers.to[0]; to.PhysicalID != key || to.StackID != "s" || to.RequestID != "r" || to.LogicalID != "PublishedTemplate" ||
		to.URL.Reveal() != "https://answer.example/" {
		t.Errorf("answered to %+v", to)
	}
	for _, kind := range []cfn.RequestType{cfn.RequestCreate, cfn.RequestUpdate} { // a repetition, and another deployment
		if r := p.ask(t, kind, "first"); !r.OK {
			t.Errorf("%s of the same bytes is refused: %+v", kind, r.Reason)
		}
	}
	r := p.ask(t, cfn.RequestUpdate, "second")
	if r.OK || r.Reason.Fix == "" {
		t.Fatalf("other bytes under the key: %+v", r)
	}
	for _, want := range []string{
		bucket + "/" + key, "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e", "16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4",
	} {
		if !strings.Contains(r.Reason.Message, want) {
			t.Errorf("%q does not name %s", r.Reason.Message, want)
		}
	}
	p.holds(t, "first")
}

func TestADeleteTakesNothingAway(t *testing.T) {
	p := newPlatform(t)
	p.ask(t, cfn.RequestCreate, "first")
	if r := p.ask(t, cfn.RequestDelete, "first"); !r.OK {
		t.Errorf("refused: %+v", r.Reason)
	}
	if id := p.answers.to[1].PhysicalID; id != "connection/0.9.0.yaml" {
		t.Errorf("the Delete is answered for %s", id)
	}
	p.holds(t, "first")
}

// What S3 says goes to whoever deploys, and an answer that nobody took makes the function fail, so that Lambda begins again.
func TestFailuresAreTold(t *testing.T) {
	p := newPlatform(t)
	if err := p.s3.SetPolicy("assets", `{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::assets/*"}}`); err != nil {
		t.Fatal(err)
	}
	if r := p.ask(t, cfn.RequestCreate, "first"); r.OK || !strings.Contains(r.Reason.Message, "read the asset") || !strings.Contains(r.Reason.Message, "AccessDenied") {
		t.Errorf("told %+v", r)
	}
	p.answers.err = errors.New("nobody listens")
	if err := p.Handle(t.Context(), cfn.Event{RequestType: cfn.RequestDelete}); !errors.Is(err, p.answers.err) {
		t.Errorf("error %v", err)
	}
}

// S3 answers one of two uploads of a key at the same time with a conflict.
func TestAConflictIsTriedAgain(t *testing.T) {
	var puts atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && puts.Add(1) == 1 {
			w.WriteHeader(http.StatusConflict)
			_, _ = w.Write([]byte(`<Error><Code>ConditionalRequestConflict</Code><Message>another operation is going on</Message></Error>`))
		}
	}))
	defer server.Close()
	told := &answers{}
	u := upload.Uploader{Client: upload.NewClient(at(server.URL)), Bucket: bucket, Answerer: told, Log: slog.New(slog.DiscardHandler)}
	err := u.Handle(t.Context(), cfn.Event{RequestType: cfn.RequestCreate, ResourceProperties: map[string]any{"From": "assets/a", "Key": key}})
	if err != nil || !told.given[0].OK || puts.Load() != 2 {
		t.Errorf("told %+v after %d uploads, %v", told.given, puts.Load(), err)
	}
}
