package sns_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssns "github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/policy"
	"rolecall/infra/local/sns"
	"rolecall/infra/local/sqs"
	"rolecall/infra/local/wire"
)

const (
	platform = "111111111111"
	customer = "222222222222"
)

func now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC) }

// fixture is a topic in us-east-1, subscribed by a queue of another Region.
type fixture struct {
	*testing.T
	*sns.Service
	queues       *sqs.Service
	log          *strings.Builder
	topic        string
	queue        string
	subscription string
}

func start(t *testing.T, raw bool, redrive string) fixture {
	t.Helper()
	f := fixture{T: t, queues: sqs.New("http://127.0.0.1:4566", now), log: &strings.Builder{}}
	f.Service = sns.New(f.queues, now, slog.New(slog.NewTextHandler(f.log, nil)))
	var err error
	if f.topic, err = f.CreateTopic(platform, "us-east-1", "callbacks", nil); err != nil {
		t.Fatal(err)
	}
	f.queue = f.open("callbacks")
	f.subscription, err = f.Subscribe(sns.Subscription{
		TopicARN: f.topic, Protocol: "sqs", Endpoint: f.queue, Raw: raw, RedrivePolicy: redrive,
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// open makes a queue that admits the topic.
func (f fixture) open(name string) string {
	f.Helper()
	q, err := f.queues.Create(platform, "eu-west-1", name, map[string]string{"Policy": fmt.Sprintf(
		`{"Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*",`+
			`"Condition":{"ArnEquals":{"aws:SourceArn":%q}}}]}`, f.topic)})
	if err != nil {
		f.Fatal(err)
	}
	return q.ARN
}

func (f fixture) received(queue string) []sqs.Message {
	f.Helper()
	got, err := f.queues.Receive(f.Context(), queue, sqs.ReceiveInput{Max: 10})
	if err != nil {
		f.Fatal(err)
	}
	return got
}

func code(err error) string {
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return e.Code
	}
	return fmt.Sprint(err)
}

func TestTheEnvelopeIsSNSs(t *testing.T) {
	f := start(t, false, "")
	id, err := f.Publish(f.topic, sns.Message{
		Subject: "AWS CloudFormation custom resource request", Body: `{"a":"<&>"}`,
		Attributes: map[string]sqs.Attribute{
			"kind":  {DataType: "String", StringValue: "x"},
			"bytes": {DataType: "Binary", BinaryValue: []byte{1, 2}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := f.received(f.queue)
	if len(got) != 1 || len(got[0].MessageAttributes) != 0 {
		t.Fatalf("received %+v", got)
	}
	body := regexp.MustCompile(`"Signature" : "[^"]+"`).ReplaceAllString(got[0].Body, `"Signature" : "S"`)
	body = regexp.MustCompile(`Service-[0-9a-f]{32}\.pem`).ReplaceAllString(body, "Service-N.pem")
	want := `{
  "Type" : "Notification",
  "MessageId" : "` + id + `",
  "TopicArn" : "arn:aws:sns:us-east-1:111111111111:callbacks",
  "Subject" : "AWS CloudFormation custom resource request",
  "Message" : "{\"a\":\"<&>\"}",
  "Timestamp" : "2026-03-01T12:00:00.123Z",
  "SignatureVersion" : "1",
  "Signature" : "S",
  "SigningCertURL" : "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-N.pem",
  "UnsubscribeURL" : "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn=` + f.subscription + `",
  "MessageAttributes" : {
    "bytes" : {"Type":"Binary","Value":"AQI="},
    "kind" : {"Type":"String","Value":"x"}
  }
}`
	if diff := cmp.Diff(want, body); diff != "" {
		t.Error(diff)
	}
	if !json.Valid([]byte(got[0].Body)) {
		t.Error("the envelope is not JSON")
	}
}

func TestSignaturesVerifyAgainstTheCertificate(t *testing.T) {
	for _, version := range []string{"1", "2"} {
		t.Run(version, func(t *testing.T) {
			f := start(t, false, "")
			if err := f.SetTopicAttribute(f.topic, "SignatureVersion", version); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Publish(f.topic, sns.Message{Subject: "s", Body: "b"}); err != nil {
				t.Fatal(err)
			}
			var e struct{ Message, MessageID, Subject, Timestamp, TopicArn, Signature string }
			if err := json.Unmarshal([]byte(f.received(f.queue)[0].Body), &e); err != nil {
				t.Fatal(err)
			}
			text := []byte("Message\n" + e.Message + "\nMessageId\n" + e.MessageID + "\nSubject\n" + e.Subject +
				"\nTimestamp\n" + e.Timestamp + "\nTopicArn\n" + e.TopicArn + "\nType\nNotification\n")
			signature, err := base64.StdEncoding.DecodeString(e.Signature)
			if err != nil {
				t.Fatal(err)
			}
			if err := verify(t, f, version, text, signature); err != nil {
				t.Error(err)
			}
		})
	}
}

func verify(t *testing.T, f fixture, version string, text, signature []byte) error {
	t.Helper()
	certificate, err := f.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(certificate)
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	key := parsed.PublicKey.(*rsa.PublicKey)
	if version == "2" {
		sum := sha256.Sum256(text)
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature)
	}
	sum := sha1.Sum(text)
	return rsa.VerifyPKCS1v15(key, crypto.SHA1, sum[:], signature)
}

func TestRawDeliveryBringsTheMessageItself(t *testing.T) {
	f := start(t, true, "")
	attributes := map[string]sqs.Attribute{"kind": {DataType: "String", StringValue: "x"}}
	if _, err := f.Publish(f.topic, sns.Message{Subject: "gone", Body: "hello", Attributes: attributes}); err != nil {
		t.Fatal(err)
	}
	got := f.received(f.queue)
	if len(got) != 1 || got[0].Body != "hello" {
		t.Fatalf("received %+v", got)
	}
	if diff := cmp.Diff(attributes, got[0].MessageAttributes); diff != "" {
		t.Error(diff)
	}
}

func TestWhatAQueueDoesNotTake(t *testing.T) {
	closed := map[string]string{"Policy": ""}
	t.Run("goes to the dead-letter queue", func(t *testing.T) {
		f := start(t, true, `{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:111111111111:dead"}`)
		dead := f.open("dead")
		if err := f.queues.SetAttributes(f.queue, closed); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Publish(f.topic, sns.Message{Body: "hello"}); err != nil {
			t.Fatal(err)
		}
		if got := f.received(dead); len(got) != 1 || got[0].Body != "hello" {
			t.Errorf("in the dead-letter queue: %+v", got)
		}
		if f.log.Len() != 0 {
			t.Errorf("logged %s", f.log)
		}
	})
	t.Run("is logged without one", func(t *testing.T) {
		f := start(t, true, "")
		if err := f.queues.SetAttributes(f.queue, closed); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Publish(f.topic, sns.Message{Body: "secret-canary"}); err != nil {
			t.Fatal(err)
		}
		if log := f.log.String(); !strings.Contains(log, "AccessDenied") || !strings.Contains(log, f.queue) {
			t.Errorf("logged %q", log)
		}
		if strings.Contains(f.log.String(), "secret-canary") {
			t.Error("the log holds the message")
		}
	})
	t.Run("is logged where the dead-letter queue is closed too", func(t *testing.T) {
		f := start(t, true, `{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:111111111111:nowhere"}`)
		if err := f.queues.Delete(f.queue); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Publish(f.topic, sns.Message{Body: "x"}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(f.log.String(), "nowhere") {
			t.Errorf("logged %q", f.log)
		}
	})
}

func TestTimestampsRiseWithEveryMessage(t *testing.T) {
	const publishers, each = 8, 10
	f := start(t, false, "")
	var group sync.WaitGroup
	for range publishers {
		group.Go(func() {
			for range each {
				if _, err := f.Publish(f.topic, sns.Message{Body: "x"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	var stamps []string
	for got := f.received(f.queue); len(got) > 0; got = f.received(f.queue) {
		for _, m := range got {
			var e struct{ Timestamp string }
			if err := json.Unmarshal([]byte(m.Body), &e); err != nil {
				t.Fatal(err)
			}
			stamps = append(stamps, e.Timestamp)
		}
	}
	slices.Sort(stamps)
	if different := len(slices.Compact(slices.Clone(stamps))); different != publishers*each {
		t.Errorf("%d different timestamps for %d messages", different, publishers*each)
	}
	if stamps[0] != "2026-03-01T12:00:00.123Z" || stamps[len(stamps)-1] != "2026-03-01T12:00:00.202Z" {
		t.Errorf("from %s to %s", stamps[0], stamps[len(stamps)-1])
	}
}

func TestMessagesRefused(t *testing.T) {
	f := start(t, false, "")
	tests := []struct {
		name string
		m    sns.Message
		want string
	}{
		{"empty", sns.Message{}, "InvalidParameter"},
		{"over 256 KiB", sns.Message{Body: strings.Repeat("x", 256<<10+1)}, "InvalidParameter"},
		{"a subject of two lines", sns.Message{Subject: "a\nb", Body: "x"}, "InvalidParameter"},
		{"a subject of 101 characters", sns.Message{Subject: strings.Repeat("s", 101), Body: "x"}, "InvalidParameter"},
		{"a structure that is no JSON", sns.Message{Body: "x", Structure: "json"}, "InvalidParameter"},
		{"a structure without default", sns.Message{Body: `{"email":"x"}`, Structure: "json"}, "InvalidParameter"},
		{"an attribute of a strange type", sns.Message{Body: "x", Attributes: map[string]sqs.Attribute{
			"a": {DataType: "Text", StringValue: "x"},
		}}, "ParameterValueInvalid"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := f.Publish(f.topic, test.m); code(err) != test.want {
				t.Errorf("error %v", err)
			}
		})
	}
	if _, err := f.Publish(f.topic+"x", sns.Message{Body: "x"}); code(err) != "NotFound" {
		t.Errorf("unknown topic: %v", err)
	}
	if got := f.received(f.queue); len(got) != 0 {
		t.Errorf("delivered %+v", got)
	}
}

func TestAMessagePerProtocol(t *testing.T) {
	f := start(t, true, "")
	for body, want := range map[string]string{
		`{"default":"d","sqs":"s"}`: "s", `{"default":"d","email":"e"}`: "d",
	} {
		if _, err := f.Publish(f.topic, sns.Message{Body: body, Structure: "json"}); err != nil {
			t.Fatal(err)
		}
		if got := f.received(f.queue); len(got) != 1 || got[0].Body != want {
			t.Errorf("%s delivered %+v", body, got)
		}
	}
}

func TestSubscriptionsRefused(t *testing.T) {
	f := start(t, false, "")
	if _, err := f.Subscribe(sns.Subscription{TopicARN: f.topic, Protocol: "https", Endpoint: "https://x"}); code(err) != "InvalidParameter" {
		t.Errorf("https: %v", err)
	}
	for _, name := range []string{"FilterPolicy", "FilterPolicyScope", "Colour"} {
		if err := f.SetSubscription(f.subscription, name, "{}"); code(err) != "InvalidParameter" || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if again, err := f.Subscribe(sns.Subscription{TopicARN: f.topic, Protocol: "sqs", Endpoint: f.queue}); err != nil || again != f.subscription {
		t.Errorf("the same queue again: %s, %v", again, err)
	}
	f.Unsubscribe(f.subscription)
	if _, err := f.Publish(f.topic, sns.Message{Body: "x"}); err != nil {
		t.Fatal(err)
	}
	if got := f.received(f.queue); len(got) != 0 {
		t.Errorf("unsubscribed, and yet: %+v", got)
	}
}

func TestPublishNeedsTheTopicsPolicy(t *testing.T) {
	f := start(t, false, "")
	call := &wire.Call{
		Operation: "Publish", Region: "us-east-1", Principal: wire.Principal{Account: customer},
		Form: url.Values{"TopicArn": {f.topic}, "Message": {"x"}},
	}
	if err := f.SetTopicAttribute(f.topic, "Policy",
		`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"sns:Publish","Resource":"*"}]}`); err != nil {
		t.Fatal(err)
	}
	needs, err := f.Needs(call)
	if err != nil || len(needs) != 1 {
		t.Fatalf("needs %v, error %v", needs, err)
	}
	n := needs[0]
	if n.Action != "sns:Publish" || n.Resource != f.topic || n.ResourceAccount != platform {
		t.Errorf("needs %+v", n)
	}
	asked := policy.Request{Action: n.Action, Resource: n.Resource, Principal: policy.Principal{Account: customer, ARN: "arn:aws:iam::222222222222:user/x"}}
	if got := n.ResourcePolicy.Evaluate(asked); got != policy.Allow {
		t.Errorf("the policy says %v", got)
	}
	call.Region = "eu-west-1"
	if _, err := f.Needs(call); code(err) != "InvalidParameter" {
		t.Errorf("through another Region: %v", err)
	}
	call.Region = ""
	if needs, err := f.Needs(call); err != nil || needs[0].Resource != f.topic {
		t.Errorf("from within: %v, error %v", needs, err)
	}
	call.Region, call.Form = "us-east-1", url.Values{"TopicArn": {f.topic + "x"}}
	if _, err := f.Needs(call); code(err) != "NotFound" {
		t.Errorf("unknown topic: %v", err)
	}
	if _, err := f.Needs(&wire.Call{Operation: "TagResource"}); code(err) != "InvalidAction" {
		t.Errorf("unknown operation: %v", err)
	}
}

// everybody knows every access key as an account's root and lets it do everything.
type everybody struct{}

func (everybody) Authenticate(key, _ string) (wire.Principal, error) {
	return wire.Principal{Account: key, ARN: "arn:aws:iam::" + key + ":root", UserID: key}, nil
}

func (everybody) Authorize(wire.Principal, wire.Need) error { return nil }

func TestTheGoSDKUsesATopic(t *testing.T) {
	f := start(t, false, "")
	door := wire.NewServer(wire.Config{Authenticator: everybody{}, Authorizer: everybody{}, Clock: now})
	door.Register("sns", f.Service)
	server := httptest.NewServer(door)
	defer server.Close()
	client := awssns.New(awssns.Options{
		Region: "us-east-1", BaseEndpoint: &server.URL, HTTPClient: server.Client(),
		Credentials: credentials.NewStaticCredentialsProvider(platform, "any", ""),
	})
	ctx := t.Context()
	made, err := client.CreateTopic(ctx, &awssns.CreateTopicInput{Name: aws.String("second"), Attributes: map[string]string{"DisplayName": "2"}})
	if err != nil {
		t.Fatal(err)
	}
	topics, err := client.ListTopics(ctx, nil)
	if err != nil || len(topics.Topics) != 2 || aws.ToString(topics.Topics[1].TopicArn) != aws.ToString(made.TopicArn) {
		t.Fatalf("topics %+v, error %v", topics, err)
	}
	attributes, err := client.GetTopicAttributes(ctx, &awssns.GetTopicAttributesInput{TopicArn: made.TopicArn})
	if err != nil || attributes.Attributes["DisplayName"] != "2" || attributes.Attributes["Owner"] != platform {
		t.Errorf("attributes %v, error %v", attributes, err)
	}
	f.topic = aws.ToString(made.TopicArn)
	queue := f.open("second")
	subscribed, err := client.Subscribe(ctx, &awssns.SubscribeInput{
		TopicArn: made.TopicArn, Protocol: aws.String("sqs"), Endpoint: &queue, Attributes: map[string]string{"RawMessageDelivery": "true"},
	})
	if err != nil {
		t.Fatal(err)
	}
	listed, err := client.ListSubscriptionsByTopic(ctx, &awssns.ListSubscriptionsByTopicInput{TopicArn: made.TopicArn})
	if err != nil || len(listed.Subscriptions) != 1 || aws.ToString(listed.Subscriptions[0].SubscriptionArn) != aws.ToString(subscribed.SubscriptionArn) {
		t.Errorf("subscriptions %+v, error %v", listed, err)
	}
	published, err := client.Publish(ctx, &awssns.PublishInput{
		TopicArn: made.TopicArn, Message: aws.String("one & only"),
		MessageAttributes: map[string]snstypes.MessageAttributeValue{"k": {DataType: aws.String("String"), StringValue: aws.String("v")}},
	})
	if err != nil || aws.ToString(published.MessageId) == "" {
		t.Fatalf("published %+v, error %v", published, err)
	}
	batch, err := client.PublishBatch(ctx, &awssns.PublishBatchInput{TopicArn: made.TopicArn, PublishBatchRequestEntries: []snstypes.PublishBatchRequestEntry{
		{Id: aws.String("a"), Message: aws.String("two")}, {Id: aws.String("b"), Message: aws.String("x"), Subject: aws.String("\n")},
	}})
	if err != nil || len(batch.Successful) != 1 || len(batch.Failed) != 1 || aws.ToString(batch.Failed[0].Id) != "b" {
		t.Errorf("batch %+v, error %v", batch, err)
	}
	var bodies []string
	for _, m := range f.received(queue) {
		bodies = append(bodies, m.Body)
	}
	if diff := cmp.Diff([]string{"one & only", "two"}, bodies); diff != "" {
		t.Error(diff)
	}
	if _, err := client.DeleteTopic(ctx, &awssns.DeleteTopicInput{TopicArn: made.TopicArn}); err != nil {
		t.Error(err)
	}
	_, err = client.GetTopicAttributes(ctx, &awssns.GetTopicAttributesInput{TopicArn: made.TopicArn})
	if missing := (*snstypes.NotFoundException)(nil); !errors.As(err, &missing) {
		t.Errorf("error %v", err)
	}
}
