package sqs_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"rolecall/infra/local/sqs"
	"rolecall/infra/local/wire"
)

// of sends n messages of a group, by the API; "" is none.
func (f fixture) of(group string, n int) {
	f.Helper()
	for i := range n {
		in := map[string]any{"QueueUrl": f.url, "MessageBody": fmt.Sprint(group, i)}
		if group != "" {
			in["MessageGroupId"] = group
		}
		if _, err := f.call("SendMessage", in); err != nil {
			f.Fatal(err)
		}
	}
}

// next receives n messages, one by one, and answers the group of each.
func (f fixture) next(n int) string {
	f.Helper()
	var groups []string
	for range n {
		got, err := f.Receive(f.Context(), f.arn, sqs.ReceiveInput{Max: 1})
		if err != nil {
			f.Fatal(err)
		}
		for _, m := range got {
			groups = append(groups, first(m.Attributes["MessageGroupId"]))
		}
	}
	return strings.Join(groups, "")
}

func first(group string) string {
	if group == "" {
		return "-"
	}
	return group
}

// worked receives n messages, works on each for so long, and deletes it.
func (f fixture) worked(n int, each time.Duration) string {
	f.Helper()
	groups := ""
	for range n {
		got, err := f.Receive(f.Context(), f.arn, sqs.ReceiveInput{Max: 1})
		if err != nil || len(got) == 0 {
			f.Fatalf("received %v, %v", got, err)
		}
		groups += first(got[0].Attributes["MessageGroupId"])
		f.clock.Advance(each)
		if err := f.DeleteMessage(f.arn, got[0].ReceiptHandle); err != nil {
			f.Fatal(err)
		}
	}
	return groups
}

// A group that has thirty messages in flight, and more than a tenth of all, waits for the others, and for nobody else.
func TestABigBacklogWaitsForTheOthers(t *testing.T) {
	f := start(t, map[string]string{"VisibilityTimeout": "600"})
	f.of("A", 100)
	f.next(29)
	f.of("B", 2)
	if got := f.next(1); got != "A" { // not yet: the oldest comes first
		t.Errorf("with 29 in flight: %s", got)
	}
	f.of("C", 1)
	f.of("", 2)
	if got := f.next(7); got != "BBC--AA" {
		t.Errorf("with 30 in flight: %s", got)
	}
	f.of("B", 3)
	got, err := f.Receive(t.Context(), f.arn, sqs.ReceiveInput{Max: 10})
	if err != nil || len(got) != 10 || got[0].Body != "B0" || got[2].Body != "B2" || got[3].Attributes["MessageGroupId"] != "A" {
		t.Errorf("ten at once: %v, %v", got, err)
	}
}

// Few messages that take long are noticed as well: more than a tenth of the time that is spent on the queue.
func TestABacklogThatTakesLongWaitsForTheOthers(t *testing.T) {
	f := start(t, map[string]string{"VisibilityTimeout": "600"})
	f.of("A", 40)
	if got := f.worked(5, time.Second); got != "AAAAA" {
		t.Errorf("alone: %s", got)
	}
	f.of("B", 3)
	f.of("", 1)
	if got := f.worked(6, time.Second); got != "B-BBAA" {
		t.Errorf("with others: %s", got)
	}
	// What is being worked on counts, too, and what has come back by its timeout.
	f = start(t, map[string]string{"VisibilityTimeout": "10"})
	f.of("A", 3)
	f.next(1)
	f.clock.Advance(9 * time.Second)
	f.of("B", 1)
	if got := f.next(1); got != "B" {
		t.Errorf("while A is worked on: %s", got)
	}
	f.clock.Advance(time.Minute)
	f.of("C", 1)
	if got := f.next(3); got != "CAB" {
		t.Errorf("after all came back: %s", got)
	}
}

// Of several noisy groups, the one with the fewest messages in flight comes first. Messages without a group are a tenant each:
// however many they are, they are not noisy.
func TestNoisyGroupsTakeTurns(t *testing.T) {
	f := start(t, map[string]string{"VisibilityTimeout": "600"})
	f.of("A", 60)
	f.next(35)
	f.of("B", 60)
	f.next(31)
	if got := f.next(8); got != "BBBBABAB" { // 31 against 35: B catches up, and then they alternate
		t.Errorf("two noisy groups: %s", got)
	}
	f = start(t, map[string]string{"VisibilityTimeout": "600"})
	f.of("", 60)
	f.next(40)
	f.clock.Advance(time.Second)
	f.of("B", 1)
	if got := f.next(2); got != "--" {
		t.Errorf("a backlog of no group: %s", got)
	}
}

// A group is quiet again once its backlog is gone, or once it has sent nothing for five minutes.
func TestANoisyGroupBecomesQuiet(t *testing.T) {
	f := start(t, map[string]string{"VisibilityTimeout": "3600"})
	f.of("A", 50)
	f.next(40)
	f.clock.Advance(5*time.Minute - time.Second)
	f.of("B", 1)
	if got := f.next(1); got != "B" {
		t.Errorf("within five minutes: %s", got)
	}
	f.of("B", 1)
	f.clock.Advance(time.Second)
	if got := f.next(1); got != "A" {
		t.Errorf("after five minutes: %s", got)
	}

	f = start(t, map[string]string{"VisibilityTimeout": "3600"})
	f.of("A", 3)
	f.worked(3, time.Second)
	f.next(0)
	if got := f.next(1); got != "" {
		t.Fatalf("received %s", got)
	}
	f.of("A", 1)
	f.of("B", 1)
	if got := f.next(2); got != "AB" {
		t.Errorf("after its backlog was gone: %s", got)
	}
}

// What was long ago counts no more.
func TestTimeSpentFades(t *testing.T) {
	f := start(t, map[string]string{"VisibilityTimeout": "600"})
	f.of("A", 10)
	f.worked(2, 10*time.Second)
	f.clock.Advance(9 * time.Minute)
	f.of("A", 1)
	f.of("", 1)
	if got := f.worked(1, 5*time.Second); got != "-" {
		t.Errorf("A alone has worked: %s", got)
	}
	f.of("B", 1)
	if got := f.next(2); got != "AA" {
		t.Errorf("nine minutes later: %s", got)
	}
}

// A group's name has SQS's form, alone and in a batch, and stays with the message wherever it goes.
func TestMessageGroups(t *testing.T) {
	f := start(t, nil)
	for _, bad := range []string{"", " ", "a b", "ä", "a\n", strings.Repeat("a", 129)} {
		_, err := f.call("SendMessage", map[string]any{"QueueUrl": f.url, "MessageBody": "x", "MessageGroupId": bad})
		wantCode(t, err, "InvalidParameterValue")
	}
	longest := strings.Repeat("!~", 64)
	out, err := f.call("SendMessageBatch", map[string]any{"QueueUrl": f.url, "Entries": []map[string]any{
		{"Id": "one", "MessageBody": "1", "MessageGroupId": longest}, {"Id": "two", "MessageBody": "2", "MessageGroupId": "a b"}, {"Id": "three", "MessageBody": "3"},
	}})
	if err != nil || len(out["Successful"].([]any)) != 2 || !strings.Contains(fmt.Sprint(out["Failed"]), "InvalidParameterValue") {
		t.Errorf("%v, %v", out, err)
	}
	got := f.receive(f.arn)
	if len(got) != 2 || got[0].Attributes["MessageGroupId"] != longest {
		t.Fatalf("%v", got)
	}
	if _, has := got[1].Attributes["MessageGroupId"]; has {
		t.Error("a message without a group has one")
	}

	dead := f.create("dead", nil)
	source := f.create("source", map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"` + dead.ARN + `","maxReceiveCount":1}`, "VisibilityTimeout": "1"})
	if _, err := f.call("SendMessage", map[string]any{"QueueUrl": source.URL, "MessageBody": "x", "MessageGroupId": "A"}); err != nil {
		t.Fatal(err)
	}
	f.receive(source.ARN)
	f.clock.Advance(2 * time.Second)
	f.receive(source.ARN)
	if n, err := f.Redrive(dead.ARN, ""); n != 1 || err != nil {
		t.Fatalf("%d moved, %v", n, err)
	}
	if got := f.receive(source.ARN); len(got) != 1 || got[0].Attributes["MessageGroupId"] != "A" {
		t.Errorf("after a redrive: %v", got)
	}
}

func TestTheGoSDKNamesGroups(t *testing.T) {
	door := wire.NewServer(wire.Config{Authenticator: everybody{}, Authorizer: everybody{}, Clock: time.Now})
	server := httptest.NewServer(door)
	defer server.Close()
	door.Register("sqs", sqs.New(server.URL, time.Now))
	client := awssqs.New(awssqs.Options{
		Region: region, BaseEndpoint: &server.URL, HTTPClient: server.Client(),
		Credentials: credentials.NewStaticCredentialsProvider(account, "any", ""),
	})
	made, err := client.CreateQueue(t.Context(), &awssqs.CreateQueueInput{QueueName: aws.String("jobs")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.SendMessage(t.Context(), &awssqs.SendMessageInput{QueueUrl: made.QueueUrl, MessageBody: aws.String("x"), MessageGroupId: aws.String("conn_1")}); err != nil {
		t.Fatal(err)
	}
	got, err := client.ReceiveMessage(t.Context(), &awssqs.ReceiveMessageInput{
		QueueUrl: made.QueueUrl, MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{sqstypes.MessageSystemAttributeNameMessageGroupId},
	})
	if err != nil || len(got.Messages) != 1 || got.Messages[0].Attributes["MessageGroupId"] != "conn_1" {
		t.Errorf("%+v, %v", got, err)
	}
}
