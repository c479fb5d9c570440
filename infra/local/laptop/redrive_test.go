package laptop_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"rolecall/infra/local/sns"
	"rolecall/infra/local/sqs"
)

// Dead letters that are redriven long after, a thousand of them, change nothing: the stack's own messages, kept by a
// second queue at the topic, come again when the connection is enabled.
func TestARedriveChangesNothing(t *testing.T) {
	const (
		topic  = "arn:aws:sns:eu-west-1:111111111111:rolecall-callbacks"
		queue  = "arn:aws:sqs:eu-west-1:111111111111:rolecall-callbacks"
		dead   = queue + "-dlq"
		copies = 1000
	)
	kept, err := pocket.SQS.Create("111111111111", "eu-west-1", "kept-callbacks", map[string]string{
		"Policy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*"}]}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	subscription, err := pocket.SNS.Subscribe(sns.Subscription{TopicARN: topic, Protocol: "sqs", Endpoint: kept.ARN})
	if err != nil {
		t.Fatal(err)
	}
	acme := as(t, "acme-redrive")
	c := acme.create("Redriven")
	theirs := customer{t, "222222222231", c.Launch.Region}
	theirs.launch(c, nil)
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 20*time.Second)
	pocket.SNS.Unsubscribe(subscription)
	before, records := acme.get(c.ID), strings.Count(scan(t), c.ID)

	messages := keptOf(t, kept.ARN, c.ID)
	for i := range copies {
		if _, err := pocket.SQS.Send(dead, messages[i%len(messages)], nil); err != nil {
			t.Fatal(err)
		}
	}
	moved, err := pocket.SQS.Redrive(dead, queue)
	if err != nil || moved < copies {
		t.Fatal(moved, err)
	}
	eventually(t, 120*time.Second, "an empty queue", func() bool {
		a, err := pocket.SQS.Attributes(queue)
		return err == nil && a["ApproximateNumberOfMessages"] == "0" && a["ApproximateNumberOfMessagesNotVisible"] == "0"
	})
	if after := acme.get(c.ID); after.Status != "enabled" || after.Version != before.Version {
		t.Errorf("%s, version %d; before %s, version %d", after.Status, after.Version, before.Status, before.Version)
	}
	if n := strings.Count(scan(t), c.ID); n != records {
		t.Errorf("the table names the connection %d times, before %d", n, records)
	}
}

// keptOf are the callbacks of a connection's stack that a queue holds.
func keptOf(t *testing.T, queue, connection string) (bodies []string) {
	t.Helper()
	for {
		got, err := pocket.SQS.Receive(context.Background(), queue, sqs.ReceiveInput{Max: 10})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			break
		}
		for _, m := range got {
			var envelope struct{ Message string }
			if err := json.Unmarshal([]byte(m.Body), &envelope); err == nil && strings.Contains(envelope.Message, connection) {
				bodies = append(bodies, m.Body)
			}
		}
	}
	if len(bodies) != 2 {
		t.Fatalf("%d callbacks of the stack's Create", len(bodies))
	}
	return bodies
}
