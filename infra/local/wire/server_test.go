package wire_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/ec2query"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/wire"
)

// The access keys that the tests' authenticator knows.
const (
	goodKey    = "AKIAGOOD"
	expiredKey = "ASIAEXPIRED"
	strangeKey = "AKIASTRANGE"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// door authenticates and authorizes: everything is allowed but what needs the resource "forbidden".
type door struct{}

func (door) Authenticate(accessKeyID, token string) (wire.Principal, error) {
	switch accessKeyID {
	case goodKey:
		return wire.Principal{Account: "222222222222", ARN: "arn:aws:iam::222222222222:user/" + token}, nil
	case expiredKey:
		return wire.Principal{}, &wire.Error{Code: "ExpiredToken", Message: "The security token included in the request is expired"}
	case "AKIADEFECT":
		return wire.Principal{}, errors.New("defect")
	case "AKIASLOW":
		return wire.Principal{}, &wire.Error{Code: "Throttling", Message: "Rate exceeded"}
	}
	return wire.Principal{}, &wire.Error{Code: "InvalidClientTokenId", Message: "The security token included in the request is invalid."}
}

func (door) Authorize(p wire.Principal, need wire.Need) error {
	if need.Resource != "forbidden" {
		return nil
	}
	return &wire.Error{Code: "AccessDenied", Message: "User: " + p.ARN + " is not authorized to perform: " + need.Action}
}

// fake is a service made of functions.
type fake struct {
	needs func(*wire.Call) ([]wire.Need, error)
	serve func(*wire.Call) (wire.Response, error)
}

func (f fake) Needs(c *wire.Call) ([]wire.Need, error) {
	if f.needs == nil {
		return nil, nil
	}
	return f.needs(c)
}

func (f fake) Serve(_ context.Context, c *wire.Call) (wire.Response, error) { return f.serve(c) }

func answering(value any) fake {
	return fake{serve: func(*wire.Call) (wire.Response, error) { return wire.Response{Value: value}, nil }}
}

func failing(err error) fake {
	return fake{serve: func(*wire.Call) (wire.Response, error) { return wire.Response{}, err }}
}

func forbidden(action string) fake {
	return fake{needs: func(*wire.Call) ([]wire.Need, error) {
		return []wire.Need{{Action: "x:Fine", Resource: "*"}, {Action: action, Resource: "forbidden"}}, nil
	}}
}

// pocket is a server under test that listens, and what it logged.
type pocket struct {
	*wire.Server
	url string
	log *lockedBuffer
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func newPocket(t testing.TB, services map[string]wire.Service) pocket {
	t.Helper()
	log := new(lockedBuffer)
	server := wire.NewServer(wire.Config{
		Authenticator: door{},
		Authorizer:    door{},
		Clock:         func() time.Time { return start },
		Log:           slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	for name, svc := range services {
		server.Register(name, svc)
	}
	listening := httptest.NewServer(server)
	t.Cleanup(listening.Close)
	return pocket{Server: server, url: listening.URL, log: log}
}

// config is an SDK configuration that signs with the key and tries once.
func (p pocket) config(accessKeyID string) aws.Config {
	return aws.Config{
		Region:           "eu-west-1",
		BaseEndpoint:     aws.String(p.url),
		Credentials:      credentials.NewStaticCredentialsProvider(accessKeyID, "secret", "alice"),
		RetryMaxAttempts: 1,
	}
}

func TestJSONReachesTheClient(t *testing.T) {
	var got wire.Call
	p := newPocket(t, map[string]wire.Service{"dynamodb": fake{serve: func(c *wire.Call) (wire.Response, error) {
		got = *c
		var in struct{ TableName string }
		if err := c.Decode(&in); err != nil {
			return wire.Response{}, err
		}
		return wire.Response{Value: map[string]any{"Item": map[string]any{"PK": map[string]string{"S": in.TableName + "<&>"}}}}, nil
	}}})
	out, err := dynamodb.NewFromConfig(p.config(goodKey)).GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: aws.String("connections"),
		Key:       map[string]ddbtypes.AttributeValue{"PK": &ddbtypes.AttributeValueMemberS{Value: "1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]ddbtypes.AttributeValue{"PK": &ddbtypes.AttributeValueMemberS{Value: "connections<&>"}}
	if diff := cmp.Diff(want, out.Item, cmp.AllowUnexported(ddbtypes.AttributeValueMemberS{})); diff != "" {
		t.Error(diff)
	}
	type seen struct{ Service, Operation, Region, Caller string }
	if diff := cmp.Diff(
		seen{"dynamodb", "GetItem", "eu-west-1", "arn:aws:iam::222222222222:user/alice"},
		seen{got.Service, got.Operation, got.Region, got.Principal.ARN},
	); diff != "" {
		t.Error(diff)
	}
}

func TestQueryReachesTheClient(t *testing.T) {
	type user struct {
		ID  string `xml:"AssumedRoleId"`
		Arn string
	}
	type creds struct {
		ID              string `xml:"AccessKeyId"`
		SecretAccessKey string
		SessionToken    string
		Expiration      time.Time
	}
	type result struct {
		AssumedRoleUser user
		Credentials     creds
	}
	var got wire.Call
	p := newPocket(t, map[string]wire.Service{"sts": fake{serve: func(c *wire.Call) (wire.Response, error) {
		got = *c
		return wire.Response{Value: result{
			AssumedRoleUser: user{Arn: c.Form.Get("RoleArn") + "/" + c.Form.Get("ExternalId"), ID: "AROA:s"},
			Credentials:     creds{ID: "ASIA1", SecretAccessKey: "<&>", SessionToken: "t", Expiration: start},
		}}, nil
	}}})
	out, err := sts.NewFromConfig(p.config(goodKey)).AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: aws.String("arn:r"), RoleSessionName: aws.String("s"), ExternalId: aws.String("a b&c"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Operation != "AssumeRole" || got.Service != "sts" {
		t.Errorf("got %s:%s", got.Service, got.Operation)
	}
	if g, w := aws.ToString(out.AssumedRoleUser.Arn), "arn:r/a b&c"; g != w {
		t.Errorf("Arn = %q, want %q", g, w)
	}
	if g := aws.ToString(out.Credentials.SecretAccessKey); g != "<&>" {
		t.Errorf("SecretAccessKey = %q", g)
	}
	if !out.Credentials.Expiration.Equal(start) {
		t.Errorf("Expiration = %v", out.Credentials.Expiration)
	}
}

func TestQueryWithoutResult(t *testing.T) {
	p := newPocket(t, map[string]wire.Service{"sns": answering(nil)})
	client := sns.NewFromConfig(p.config(goodKey))
	if _, err := client.Unsubscribe(t.Context(), &sns.UnsubscribeInput{SubscriptionArn: aws.String("s")}); err != nil {
		t.Errorf("an operation without output: %v", err)
	}
	tags := &sns.TagResourceInput{ResourceArn: aws.String("a"), Tags: []snstypes.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}
	if _, err := client.TagResource(t.Context(), tags); err != nil {
		t.Errorf("an operation whose output has no members: %v", err)
	}
	if _, err := client.ListTopics(t.Context(), &sns.ListTopicsInput{}); err != nil {
		t.Errorf("an operation whose output is empty: %v", err)
	}
}

func TestQueryAsGetWithSignedURL(t *testing.T) {
	p := newPocket(t, map[string]wire.Service{"sts": answering(struct{ Account string }{"222222222222"})})
	signed, err := sts.NewPresignClient(sts.NewFromConfig(p.config(goodKey))).
		PresignGetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	status, body := send(t, request(t, http.MethodGet, signed.URL, nil))
	if status != http.StatusOK || !strings.Contains(body, "<GetCallerIdentityResult><Account>222222222222</Account>") {
		t.Errorf("%d %s", status, body)
	}
}

// The words of each family are what the clients of that family look for.
func TestErrorsReachTheClient(t *testing.T) {
	transaction := &wire.Error{
		Code: "TransactionCanceledException", Message: "Transaction cancelled",
		Fields: map[string]any{"CancellationReasons": []map[string]string{{"Code": "ConditionalCheckFailed"}}},
	}
	tests := []struct {
		name    string
		service fake
		key     string
		call    func(context.Context, aws.Config) error
		code    string
		status  int
	}{
		{"json, of the service", failing(transaction), goodKey, getItem, "TransactionCanceledException", 400},
		{"json, denied", forbidden("dynamodb:GetItem"), goodKey, getItem, "AccessDeniedException", 400},
		{"json, expired", answering(nil), expiredKey, getItem, "ExpiredTokenException", 400},
		{"json, unknown key", answering(nil), strangeKey, getItem, "UnrecognizedClientException", 400},
		{"json, unknown operation", failing(&wire.Error{Code: "InvalidAction"}), goodKey, getItem, "UnknownOperationException", 400},
		{"json, defect", failing(errors.New("defect")), goodKey, getItem, "InternalFailure", 500},
		{"json 1.1, of the service", failing(&wire.Error{Code: "NotFoundException"}), goodKey, describeKey, "NotFoundException", 400},
		{"json 1.1, denied", forbidden("kms:DescribeKey"), goodKey, describeKey, "AccessDeniedException", 400},
		{"once query, by the new name", failing(&wire.Error{Code: "QueueDoesNotExist"}), goodKey, queueURL, "AWS.SimpleQueueService.NonExistentQueue", 400},
		{"once query, by the old name", failing(&wire.Error{Code: "AWS.SimpleQueueService.NonExistentQueue"}), goodKey, queueURL, "AWS.SimpleQueueService.NonExistentQueue", 400},
		{"once query, same name", failing(&wire.Error{Code: "InvalidAttributeName"}), goodKey, queueURL, "InvalidAttributeName", 400},
		{"once query, denied", forbidden("sqs:GetQueueUrl"), goodKey, queueURL, "AccessDenied", 400},
		{"once query, expired", answering(nil), expiredKey, queueURL, "ExpiredToken", 400},
		{"query, of the service", failing(&wire.Error{Code: "MalformedPolicyDocument"}), goodKey, assumeRole, "MalformedPolicyDocument", 400},
		{"query, status of the service", failing(&wire.Error{Code: "NoSuchEntity", Status: 404}), goodKey, assumeRole, "NoSuchEntity", 404},
		{"query, denied", forbidden("sts:AssumeRole"), goodKey, assumeRole, "AccessDenied", 403},
		{"query, expired", answering(nil), expiredKey, assumeRole, "ExpiredToken", 403},
		{"query, unknown key", answering(nil), strangeKey, assumeRole, "InvalidClientTokenId", 403},
		{"query, unknown operation", failing(&wire.Error{Code: "InvalidAction"}), goodKey, assumeRole, "InvalidAction", 400},
		{"query, defect", failing(errors.New("defect")), goodKey, assumeRole, "InternalFailure", 500},
		{"query of its own mind, denied", forbidden("sns:Publish"), goodKey, publish, "AuthorizationError", 403},
		{"s3, of the service", failing(&wire.Error{Code: "NoSuchBucket", Status: 404}), goodKey, getObject, "NoSuchBucket", 404},
		{"s3, denied", forbidden("s3:GetObject"), goodKey, getObject, "AccessDenied", 403},
		{"s3, expired", answering(nil), expiredKey, getObject, "ExpiredToken", 400},
		{"s3, unknown key", answering(nil), strangeKey, getObject, "InvalidAccessKeyId", 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPocket(t, everywhere(tt.service))
			err := tt.call(t.Context(), p.config(tt.key))
			var api smithy.APIError
			if !errors.As(err, &api) {
				t.Fatalf("%v is no API error", err)
			}
			if api.ErrorCode() != tt.code {
				t.Errorf("code = %q, want %q (%v)", api.ErrorCode(), tt.code, err)
			}
			var response interface{ HTTPStatusCode() int }
			if !errors.As(err, &response) || response.HTTPStatusCode() != tt.status {
				t.Errorf("status of %v, want %d", err, tt.status)
			}
			var id interface{ ServiceRequestID() string }
			if !errors.As(err, &id) || len(id.ServiceRequestID()) != 36 {
				t.Errorf("%v carries no request id", err)
			}
		})
	}
}

func TestTypedErrorsReachTheClient(t *testing.T) {
	t.Run("members beside the message", func(t *testing.T) {
		p := newPocket(t, everywhere(failing(&wire.Error{
			Code: "TransactionCanceledException", Message: "Transaction cancelled",
			Fields: map[string]any{"CancellationReasons": []map[string]string{{"Code": "None"}, {"Code": "ConditionalCheckFailed"}}},
		})))
		var e *ddbtypes.TransactionCanceledException
		if err := getItem(t.Context(), p.config(goodKey)); !errors.As(err, &e) {
			t.Fatal(err)
		}
		if e.ErrorMessage() != "Transaction cancelled" || len(e.CancellationReasons) != 2 ||
			aws.ToString(e.CancellationReasons[1].Code) != "ConditionalCheckFailed" {
			t.Errorf("got %q, %v", e.ErrorMessage(), e.CancellationReasons)
		}
	})
	t.Run("an old name becomes the new type", func(t *testing.T) {
		p := newPocket(t, everywhere(failing(&wire.Error{Code: "AWS.SimpleQueueService.NonExistentQueue", Message: "no queue"})))
		var e *sqstypes.QueueDoesNotExist
		if err := queueURL(t.Context(), p.config(goodKey)); !errors.As(err, &e) || e.ErrorMessage() != "no queue" {
			t.Fatal(err)
		}
	})
	t.Run("json 1.1", func(t *testing.T) {
		p := newPocket(t, everywhere(failing(&wire.Error{Code: "NotFoundException", Message: "no key"})))
		var e *kmstypes.NotFoundException
		if err := describeKey(t.Context(), p.config(goodKey)); !errors.As(err, &e) || e.ErrorMessage() != "no key" {
			t.Fatal(err)
		}
	})
}

func everywhere(svc wire.Service) map[string]wire.Service {
	return map[string]wire.Service{"dynamodb": svc, "kms": svc, "sqs": svc, "sts": svc, "sns": svc, "s3": svc, "ec2": svc, "scheduler": svc}
}

func getItem(ctx context.Context, c aws.Config) error {
	_, err := dynamodb.NewFromConfig(c).GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String("t"),
		Key:       map[string]ddbtypes.AttributeValue{"PK": &ddbtypes.AttributeValueMemberS{Value: "1"}},
	})
	return err
}

func describeKey(ctx context.Context, c aws.Config) error {
	_, err := kms.NewFromConfig(c).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String("k")})
	return err
}

func queueURL(ctx context.Context, c aws.Config) error {
	_, err := sqs.NewFromConfig(c).GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("q")})
	return err
}

func assumeRole(ctx context.Context, c aws.Config) error {
	_, err := sts.NewFromConfig(c).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: aws.String("r"), RoleSessionName: aws.String("s")})
	return err
}

func publish(ctx context.Context, c aws.Config) error {
	_, err := sns.NewFromConfig(c).Publish(ctx, &sns.PublishInput{TopicArn: aws.String("t"), Message: aws.String("m")})
	return err
}

func getObject(ctx context.Context, c aws.Config) error {
	_, err := s3.NewFromConfig(c).GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: aws.String("key")})
	return err
}

// EC2's client takes minutes to build, so its dialect is checked at the wire.
func TestEC2Dialect(t *testing.T) {
	type region struct {
		Name string `xml:"regionName"`
	}
	type regions struct {
		Regions []region `xml:"regionInfo>item"`
	}
	form := url.Values{"Action": {"DescribeRegions"}, "Version": {"2016-11-15"}}

	t.Run("success", func(t *testing.T) {
		p := newPocket(t, everywhere(answering(&regions{[]region{{"eu-west-1"}, {"us-east-1"}}})))
		_, body := send(t, signed(t, p, "ec2", form))
		var got struct {
			XMLName   xml.Name
			RequestID string `xml:"requestId"`
			regions
		}
		if err := xml.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]region{{"eu-west-1"}, {"us-east-1"}}, got.Regions); diff != "" {
			t.Error(diff)
		}
		if got.XMLName.Local != "DescribeRegionsResponse" || got.XMLName.Space != "https://ec2.amazonaws.com/doc/2016-11-15/" {
			t.Errorf("root is %v", got.XMLName)
		}
		if len(got.RequestID) != 36 {
			t.Errorf("requestId = %q in %s", got.RequestID, body)
		}
	})
	t.Run("denied", func(t *testing.T) {
		p := newPocket(t, everywhere(forbidden("ec2:DescribeRegions")))
		status, body := send(t, signed(t, p, "ec2", form))
		e, err := ec2query.GetErrorResponseComponents(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if status != http.StatusForbidden || e.Code != "UnauthorizedOperation" || e.RequestID == "" ||
			!strings.HasSuffix(e.Message, "is not authorized to perform: ec2:DescribeRegions") {
			t.Errorf("%d %+v", status, e)
		}
	})
}

// Services with REST paths derive their operation themselves; the journal then knows it too.
func TestRESTServicesNameTheirOperation(t *testing.T) {
	p := newPocket(t, map[string]wire.Service{"scheduler": fake{
		needs: func(c *wire.Call) ([]wire.Need, error) {
			if c.Operation != "" {
				t.Errorf("operation %q is not the wire's to know", c.Operation)
			}
			c.Operation = "GetSchedule"
			return nil, nil
		},
		serve: func(c *wire.Call) (wire.Response, error) {
			return wire.Response{Value: map[string]string{"Name": strings.TrimPrefix(c.HTTP.URL.Path, "/schedules/")}}, nil
		},
	}})
	r := request(t, http.MethodGet, p.url+"/schedules/refresh", nil)
	sign(r, "scheduler", goodKey)
	status, body := send(t, r)
	if status != http.StatusOK || body != `{"Name":"refresh"}` {
		t.Errorf("%d %s", status, body)
	}
	if diff := cmp.Diff(map[string]int{"scheduler:GetSchedule": 1}, wire.Tally(p.Journal().Entries(0))); diff != "" {
		t.Error(diff)
	}
}

func TestRawAnswersAreVerbatim(t *testing.T) {
	p := newPocket(t, map[string]wire.Service{"s3": fake{serve: func(*wire.Call) (wire.Response, error) {
		return wire.Response{
			Raw: []byte("template"), ContentType: "text/yaml", Status: http.StatusPartialContent,
			Header: http.Header{"ETag": {`"1"`}},
		}, nil
	}}})
	out, err := s3.NewFromConfig(p.config(goodKey)).GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Body.Close() }()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	if string(body) != "template" || aws.ToString(out.ContentType) != "text/yaml" || aws.ToString(out.ETag) != `"1"` {
		t.Errorf("%q %q %q", body, aws.ToString(out.ContentType), aws.ToString(out.ETag))
	}
}

func TestRequestsThatCannotBeServed(t *testing.T) {
	query := url.Values{"Action": {"GetCallerIdentity"}}
	tests := []struct {
		name string
		make func(*testing.T, pocket) *http.Request
		code string
		says string
	}{
		{
			"unknown service", func(t *testing.T, p pocket) *http.Request { return signed(t, p, "polly", query) },
			"UnknownService", `no service "polly"; it has: dynamodb, ec2, kms, s3, scheduler, sns, sqs, sts`,
		},
		{
			"no operation", func(t *testing.T, p pocket) *http.Request { return signed(t, p, "sts", url.Values{"A": {"B"}}) },
			"MissingAction", "no operation of sts",
		},
		{"an operation that is no name", func(t *testing.T, p pocket) *http.Request {
			return signed(t, p, "sts", url.Values{"Action": {"<a b='c'>"}})
		}, "InvalidAction", "cannot be an operation of sts"},
		{"a form that cannot be read", func(t *testing.T, p pocket) *http.Request {
			r := signed(t, p, "sts", nil)
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader("Action=%zz")), 10
			return r
		}, "MalformedQueryString", "%zz"},
		{"a credential that is none", func(t *testing.T, p pocket) *http.Request {
			r := signed(t, p, "sts", query)
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIA/eu-west-1/sts, Signature=0")
			return r
		}, "IncompleteSignature", "AKIA/eu-west-1/sts"},
		{"no credential", func(t *testing.T, p pocket) *http.Request {
			r := signed(t, p, "sts", query)
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Signature=0")
			return r
		}, "IncompleteSignature", "requires 'Credential'"},
		{"no signature", func(t *testing.T, p pocket) *http.Request {
			r := signed(t, p, "sts", query)
			r.Header.Del("Authorization")
			return r
		}, "MissingAuthenticationToken", "missing Authentication Token"},
		{"a protocol that is not spoken", func(t *testing.T, p pocket) *http.Request {
			r := signed(t, p, "sts", query)
			r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
			return r
		}, "UnsupportedProtocol", "rpc-v2-cbor"},
		{"more than the limit", func(t *testing.T, p pocket) *http.Request {
			return signed(t, p, "sts", url.Values{"Action": {strings.Repeat("a", 20<<20)}})
		}, "RequestEntityTooLarge", "larger than 20971520 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			served := false
			p := newPocket(t, everywhere(fake{serve: func(*wire.Call) (wire.Response, error) {
				served = true
				return wire.Response{}, nil
			}}))
			_, body := send(t, tt.make(t, p))
			var got struct {
				Code    string `xml:"Error>Code"`
				Message string `xml:"Error>Message"`
			}
			if err := xml.Unmarshal([]byte(body), &got); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			if got.Code != tt.code || !strings.Contains(got.Message, tt.says) {
				t.Errorf("got %s: %s", got.Code, got.Message)
			}
			if served {
				t.Error("the service was asked")
			}
		})
	}
}

func TestPanicFailsOneCall(t *testing.T) {
	p := newPocket(t, map[string]wire.Service{"sts": fake{serve: func(c *wire.Call) (wire.Response, error) {
		if c.Form.Get("RoleArn") == "bad" {
			var missing *wire.Need
			return wire.Response{Value: missing.Action}, nil
		}
		return wire.Response{Value: struct{}{}}, nil
	}}})
	form := func(arn string) url.Values { return url.Values{"Action": {"AssumeRole"}, "RoleArn": {arn}} }
	status, body := send(t, signed(t, p, "sts", form("bad")))
	if status != http.StatusInternalServerError || !strings.Contains(body, "<Code>InternalFailure</Code>") {
		t.Errorf("%d %s", status, body)
	}
	if strings.Contains(body, "nil pointer") {
		t.Errorf("the cause went to the client: %s", body)
	}
	if log := p.log.String(); !strings.Contains(log, "nil pointer") || !strings.Contains(log, "server_test.go") {
		t.Errorf("the log does not tell cause and place: %s", log)
	}
	if status, _ := send(t, signed(t, p, "sts", form("good"))); status != http.StatusOK {
		t.Errorf("the next call got %d", status)
	}
}

func TestUnsignedRequestsGoToHandlers(t *testing.T) {
	p := newPocket(t, everywhere(answering(nil)))
	for _, prefix := range []string{"/", "/_cfn", "/_cfn-response/"} {
		p.Handle(prefix, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, prefix) }))
	}
	const presign = "?X-Amz-Credential=AKIAGOOD%2F20260102%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Signature=0"
	tests := map[string]string{
		"/bucket/key":                   "/",
		"/_cfn/page":                    "/_cfn",
		"/_cfn-response/1":              "/_cfn-response/",
		"/_cfn-response/1" + presign:    "/_cfn-response/",
		"/bucket/key" + presign:         "", // S3's answer to nothing
		"/?Action=GetCallerIdentity&X=": "/",
	}
	for path, want := range tests {
		if _, got := send(t, request(t, http.MethodGet, p.url+path, nil)); got != want {
			t.Errorf("%s went to %q, want %q", path, got, want)
		}
	}
	r := request(t, http.MethodGet, p.url+"/_cfn-response/key", nil)
	sign(r, "s3", goodKey)
	if _, got := send(t, r); got != "" {
		t.Errorf("a request signed in its header went to %q", got)
	}
	if n := len(p.Journal().Entries(0)); n != 2 {
		t.Errorf("%d journal entries, want the 2 API calls", n)
	}
}

func TestJournal(t *testing.T) {
	p := newPocket(t, everywhere(answering(struct{}{})))
	ask := func(key string) {
		r := signed(t, p, "sts", url.Values{"Action": {"GetCallerIdentity"}})
		sign(r, "sts", key)
		send(t, r)
	}
	ask(goodKey)
	mark := p.Journal().Mark()
	ask(goodKey)
	ask(expiredKey)

	call := wire.Entry{
		At: start, Service: "sts", Operation: "GetCallerIdentity", Region: "eu-west-1",
		Caller: "arn:aws:iam::222222222222:user/", Status: 200,
	}
	refused := call
	refused.Caller, refused.Status, refused.Code = "", 403, "ExpiredToken"
	if diff := cmp.Diff([]wire.Entry{call, refused}, p.Journal().Entries(mark)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"sts:GetCallerIdentity": 3}, wire.Tally(p.Journal().Entries(0))); diff != "" {
		t.Error(diff)
	}
	p.Journal().Reset()
	if got := p.Journal().Entries(0); len(got) != 0 {
		t.Errorf("after Reset: %v", got)
	}
	ask(goodKey)
	if got := p.Journal().Entries(mark); len(got) != 1 {
		t.Errorf("an old mark shows %v", got)
	}
	if got := p.Journal().Entries(mark + 100); len(got) != 0 {
		t.Errorf("a mark of the future shows %v", got)
	}
}

func TestLogHoldsNoInput(t *testing.T) {
	p := newPocket(t, everywhere(answering(nil)))
	send(t, signed(t, p, "sts", url.Values{"Action": {"AssumeRole"}, "ExternalId": {"canary"}}))
	log := p.log.String()
	if !strings.Contains(log, "operation=AssumeRole") || strings.Contains(log, "canary") {
		t.Error(log)
	}
}

// request is an unsigned request; its body may be nil.
func request(t testing.TB, method, target string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// signed is a Query call.
func signed(t testing.TB, p pocket, service string, form url.Values) *http.Request {
	t.Helper()
	r := request(t, http.MethodPost, p.url+"/", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	sign(r, service, goodKey)
	return r
}

func sign(r *http.Request, service, accessKeyID string) {
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+accessKeyID+"/20260102/eu-west-1/"+service+
		"/aws4_request, SignedHeaders=host;x-amz-date, Signature=00")
}

func send(t testing.TB, r *http.Request) (status int, body string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
