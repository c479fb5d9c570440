package sqs_test

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"rolecall/infra/local/sqs"
	"rolecall/infra/local/wire"
)

// everybody knows every access key as an account's root and lets it do everything.
type everybody struct{}

func (everybody) Authenticate(key, _ string) (wire.Principal, error) {
	return wire.Principal{Account: key, ARN: "arn:aws:iam::" + key + ":root", UserID: key}, nil
}

func (everybody) Authorize(wire.Principal, wire.Need) error { return nil }

func TestTheGoSDKUsesAQueue(t *testing.T) {
	door := wire.NewServer(wire.Config{Authenticator: everybody{}, Authorizer: everybody{}, Clock: time.Now})
	server := httptest.NewServer(door)
	defer server.Close()
	door.Register("sqs", sqs.New(server.URL, time.Now))
	client := awssqs.New(awssqs.Options{
		Region: region, BaseEndpoint: &server.URL, HTTPClient: server.Client(),
		Credentials: credentials.NewStaticCredentialsProvider(account, "any", ""),
	})
	ctx := t.Context()

	made, err := client.CreateQueue(ctx, &awssqs.CreateQueueInput{QueueName: aws.String("jobs")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.SendMessage(ctx, &awssqs.SendMessageInput{
		QueueUrl: made.QueueUrl, MessageBody: aws.String("hällo <&>"),
		MessageAttributes: map[string]sqstypes.MessageAttributeValue{
			"kind":  {DataType: aws.String("String"), StringValue: aws.String("greeting")},
			"bytes": {DataType: aws.String("Binary.raw"), BinaryValue: []byte{0, 1, 255}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	// The client compares the digests of the bodies by itself.
	got, err := client.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{
		QueueUrl: made.QueueUrl, WaitTimeSeconds: 1, MessageAttributeNames: []string{"by.*", "bytes"},
		MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{sqstypes.MessageSystemAttributeNameSenderId},
	})
	if err != nil || len(got.Messages) != 1 {
		t.Fatalf("received %+v, error %v", got, err)
	}
	m := got.Messages[0]
	if aws.ToString(m.Body) != "hällo <&>" || len(m.Attributes) != 1 || m.Attributes["SenderId"] != account {
		t.Errorf("body %q, attributes %v", aws.ToString(m.Body), m.Attributes)
	}
	if len(m.MessageAttributes) != 1 || string(m.MessageAttributes["bytes"].BinaryValue) != "\x00\x01\xff" {
		t.Errorf("message attributes %v", m.MessageAttributes)
	}
	_, err = client.DeleteMessage(ctx, &awssqs.DeleteMessageInput{QueueUrl: made.QueueUrl, ReceiptHandle: m.ReceiptHandle})
	if err != nil {
		t.Fatal(err)
	}
	attributes, err := client.GetQueueAttributes(ctx, &awssqs.GetQueueAttributesInput{
		QueueUrl: made.QueueUrl, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameApproximateNumberOfMessagesNotVisible},
	})
	if err != nil || len(attributes.Attributes) != 1 || attributes.Attributes["ApproximateNumberOfMessagesNotVisible"] != "0" {
		t.Errorf("attributes %v, error %v", attributes, err)
	}
	_, err = client.GetQueueUrl(ctx, &awssqs.GetQueueUrlInput{QueueName: aws.String("nope")})
	if missing := (*sqstypes.QueueDoesNotExist)(nil); !errors.As(err, &missing) {
		t.Errorf("error %v", err)
	}
}
