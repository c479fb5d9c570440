package sqs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/sqs"
	"rolecall/infra/local/wire"
)

const (
	account = "111111111111"
	region  = "eu-west-1"
)

// clock is a clock that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fixture is a service with a clock of its own and one queue.
type fixture struct {
	*testing.T
	*sqs.Service
	clock *clock
	arn   string
	url   string
}

func start(t *testing.T, attributes map[string]string) fixture {
	t.Helper()
	c := newClock()
	s := sqs.New("http://127.0.0.1:4566/", c.Now)
	q, err := s.Create(account, region, "jobs", attributes)
	if err != nil {
		t.Fatal(err)
	}
	return fixture{t, s, c, q.ARN, q.URL}
}

func (f fixture) create(name string, attributes map[string]string) sqs.Queue {
	f.Helper()
	q, err := f.Create(account, region, name, attributes)
	if err != nil {
		f.Fatal(err)
	}
	return q
}

func (f fixture) send(body string) {
	f.Helper()
	if _, err := f.Send(f.arn, body, nil); err != nil {
		f.Fatal(err)
	}
}

func (f fixture) receive(arn string) []sqs.Message {
	f.Helper()
	got, err := f.Receive(f.Context(), arn, sqs.ReceiveInput{Max: 10})
	if err != nil {
		f.Fatal(err)
	}
	return got
}

func (f fixture) bodies(arn string) []string {
	f.Helper()
	var out []string
	for _, m := range f.receive(arn) {
		out = append(out, m.Body)
	}
	return out
}

// call serves one API call and answers its output as generic JSON.
func (f fixture) call(operation string, input any) (map[string]any, error) {
	f.Helper()
	body, err := json.Marshal(input)
	if err != nil {
		f.Fatal(err)
	}
	c := &wire.Call{
		Service: "sqs", Operation: operation, Region: region, Body: body,
		Principal: wire.Principal{Account: account, UserID: account},
	}
	if _, err := f.Needs(c); err != nil {
		return nil, err
	}
	resp, err := f.Serve(f.Context(), c)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(resp.Value)
	if err != nil {
		f.Fatal(err)
	}
	out := map[string]any{}
	if err := json.Unmarshal(raw, &out); err != nil {
		f.Fatal(err)
	}
	return out, nil
}

func code(err error) string {
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return e.Code
	}
	return fmt.Sprint(err)
}

func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	if got := code(err); got != want {
		t.Errorf("error %v, want code %s", err, want)
	}
}

func (f fixture) counts(arn string) [3]string {
	f.Helper()
	all, err := f.Attributes(arn)
	if err != nil {
		f.Fatal(err)
	}
	return [3]string{
		all["ApproximateNumberOfMessages"], all["ApproximateNumberOfMessagesNotVisible"], all["ApproximateNumberOfMessagesDelayed"],
	}
}

func TestAReceivedMessageIsHiddenUntilItsVisibilityTimeoutEnds(t *testing.T) {
	f := start(t, map[string]string{"VisibilityTimeout": "90"})
	f.send("one")
	first := f.receive(f.arn)
	if len(first) != 1 || first[0].Body != "one" {
		t.Fatalf("first receive: %+v", first)
	}
	f.clock.Advance(89 * time.Second)
	if got := f.bodies(f.arn); got != nil {
		t.Errorf("a second before the end: %v", got)
	}
	f.clock.Advance(time.Second)
	again := f.receive(f.arn)
	if len(again) != 1 {
		t.Fatalf("at the end: %+v", again)
	}
	sent := fmt.Sprint(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMilli())
	want := map[string]string{
		"ApproximateReceiveCount": "2", "SentTimestamp": sent, "ApproximateFirstReceiveTimestamp": sent,
	}
	if diff := cmp.Diff(want, again[0].Attributes); diff != "" {
		t.Error(diff)
	}
}

func TestDelayOfQueueAndOfMessage(t *testing.T) {
	f := start(t, map[string]string{"DelaySeconds": "60"})
	f.send("queue's delay")
	if _, err := f.call("SendMessage", map[string]any{"QueueUrl": f.url, "MessageBody": "own delay", "DelaySeconds": 5}); err != nil {
		t.Fatal(err)
	}
	if got, want := f.counts(f.arn), [3]string{"0", "0", "2"}; got != want {
		t.Errorf("counts %v, want %v", got, want)
	}
	f.clock.Advance(5 * time.Second)
	if diff := cmp.Diff([]string{"own delay"}, f.bodies(f.arn)); diff != "" {
		t.Error(diff)
	}
	if got, want := f.counts(f.arn), [3]string{"0", "1", "1"}; got != want {
		t.Errorf("counts %v, want %v", got, want)
	}
	f.clock.Advance(55 * time.Second)
	if diff := cmp.Diff([]string{"queue's delay", "own delay"}, f.bodies(f.arn)); diff != "" {
		t.Error(diff)
	}
}

// waiting starts a long poll and answers the channel of its result. It returns once the poll runs, or may as well: what
// follows must be right whether the poll looks before or after it.
func (f fixture) waiting(wait time.Duration) <-chan []sqs.Message {
	done := make(chan []sqs.Message, 1)
	go func() {
		got, err := f.Receive(f.Context(), f.arn, sqs.ReceiveInput{Max: 10, Wait: &wait})
		if err != nil {
			f.Error(err)
		}
		done <- got
	}()
	return done
}

func result(t *testing.T, done <-chan []sqs.Message) []sqs.Message {
	t.Helper()
	select {
	case got := <-done:
		return got
	case <-time.After(10 * time.Second):
		t.Fatal("the long poll still waits")
		return nil
	}
}

func TestALongPollEnds(t *testing.T) {
	t.Run("with a message that is sent", func(t *testing.T) {
		f := start(t, nil)
		done := f.waiting(20 * time.Second)
		f.send("now")
		if got := result(t, done); len(got) != 1 {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("with a delayed message once the clock is there", func(t *testing.T) {
		f := start(t, map[string]string{"DelaySeconds": "15"})
		f.send("later")
		done := f.waiting(20 * time.Second)
		stop := advanceUntil(f, done, time.Second)
		if len(stop) != 1 {
			t.Errorf("got %+v", stop)
		}
	})
	t.Run("empty when the wait is over", func(t *testing.T) {
		f := start(t, nil)
		done := f.waiting(20 * time.Second)
		if got := advanceUntil(f, done, time.Second); len(got) != 0 {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("by real time where the clock is real", func(t *testing.T) {
		s := sqs.New("http://127.0.0.1:4566", time.Now)
		q, err := s.Create(account, region, "real", nil)
		if err != nil {
			t.Fatal(err)
		}
		wait, began := 30*time.Millisecond, time.Now()
		if _, err := s.Receive(t.Context(), q.ARN, sqs.ReceiveInput{Wait: &wait}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < wait {
			t.Errorf("ended after %v", took)
		}
	})
	t.Run("with the caller's context", func(t *testing.T) {
		f := start(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wait := 20 * time.Second
		if _, err := f.Receive(ctx, f.arn, sqs.ReceiveInput{Wait: &wait}); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("when its queue is deleted", func(t *testing.T) {
		f := start(t, nil)
		failed := make(chan error, 1)
		wait := 20 * time.Second
		go func() {
			_, err := f.Receive(f.Context(), f.arn, sqs.ReceiveInput{Wait: &wait})
			failed <- err
		}()
		if err := f.Delete(f.arn); err != nil {
			t.Fatal(err)
		}
		wantCode(t, <-failed, "QueueDoesNotExist")
	})
}

// advanceUntil moves the clock in steps, with a Wake each, until the poll ends. A poll counts its wait from when it began,
// so the steps go on for as long as it takes.
func advanceUntil(f fixture, done <-chan []sqs.Message, step time.Duration) []sqs.Message {
	f.Helper()
	for range 1_000_000 {
		select {
		case got := <-done:
			return got
		default:
			f.clock.Advance(step)
			f.Wake()
		}
	}
	f.Fatal("the long poll still waits")
	return nil
}

func TestMessagesReceivedTooOftenGoToTheDeadLetterQueueAndBack(t *testing.T) {
	f := start(t, nil)
	dead := f.create("jobs-dlq", nil)
	redrive := fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"2"}`, dead.ARN)
	if err := f.SetAttributes(f.arn, map[string]string{"RedrivePolicy": redrive, "VisibilityTimeout": "1"}); err != nil {
		t.Fatal(err)
	}
	f.send("poison")
	for range 2 {
		if got := f.bodies(f.arn); len(got) != 1 {
			t.Fatalf("got %v", got)
		}
		f.clock.Advance(time.Second)
	}
	if got := f.bodies(f.arn); got != nil {
		t.Fatalf("a third time: %v", got)
	}
	buried := f.receive(dead.ARN)
	if len(buried) != 1 || buried[0].Attributes["DeadLetterQueueSourceArn"] != f.arn {
		t.Fatalf("in the dead-letter queue: %+v", buried)
	}
	f.clock.Advance(time.Minute)
	if _, err := f.call("StartMessageMoveTask", map[string]any{"SourceArn": dead.ARN}); err != nil {
		t.Fatal(err)
	}
	back := f.receive(f.arn)
	if len(back) != 1 || back[0].Body != "poison" || back[0].Attributes["ApproximateReceiveCount"] != "1" {
		t.Errorf("after the redrive: %+v", back)
	}
	if back[0].MessageID == buried[0].MessageID {
		t.Error("a redriven message kept its id")
	}
	tasks, err := f.call("ListMessageMoveTasks", map[string]any{"SourceArn": dead.ARN})
	if err != nil {
		t.Fatal(err)
	}
	task := tasks["Results"].([]any)[0].(map[string]any)
	if task["Status"] != "COMPLETED" || task["ApproximateNumberOfMessagesMoved"] != 1.0 {
		t.Errorf("task %v", task)
	}
	_, err = f.call("StartMessageMoveTask", map[string]any{"SourceArn": f.arn})
	wantCode(t, err, "InvalidParameterValue")
}

func TestReceiptHandles(t *testing.T) {
	f := start(t, map[string]string{"VisibilityTimeout": "30"})
	other := f.create("other", nil)
	f.send("body")
	stale := f.receive(f.arn)[0].ReceiptHandle
	f.clock.Advance(30 * time.Second)
	wantCode(t, f.ChangeVisibility(f.arn, stale, time.Minute), "MessageNotInflight")
	fresh := f.receive(f.arn)[0].ReceiptHandle

	if err := f.DeleteMessage(f.arn, stale); err != nil {
		t.Errorf("delete with a stale handle: %v", err)
	}
	if got, want := f.counts(f.arn), [3]string{"0", "1", "0"}; got != want {
		t.Errorf("the stale handle deleted: counts %v", got)
	}
	wantCode(t, f.ChangeVisibility(f.arn, stale, time.Minute), "InvalidParameterValue")
	wantCode(t, f.DeleteMessage(f.arn, "nonsense"), "ReceiptHandleIsInvalid")
	wantCode(t, f.DeleteMessage(other.ARN, fresh), "ReceiptHandleIsInvalid")
	wantCode(t, f.ChangeVisibility(f.arn, fresh, 12*time.Hour+time.Second), "InvalidParameterValue")
	f.clock.Advance(time.Second)
	wantCode(t, f.ChangeVisibility(f.arn, fresh, 12*time.Hour), "InvalidParameterValue")

	f.clock.Advance(time.Minute) // visible again, but not received again: the handle still deletes
	for range 2 {
		if err := f.DeleteMessage(f.arn, fresh); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if got, want := f.counts(f.arn), [3]string{"0", "0", "0"}; got != want {
		t.Errorf("counts %v, want %v", got, want)
	}
}

func TestChangeVisibilityShowsAMessageAtOnce(t *testing.T) {
	f := start(t, nil)
	f.send("body")
	handle := f.receive(f.arn)[0].ReceiptHandle
	done := f.waiting(20 * time.Second)
	if err := f.ChangeVisibility(f.arn, handle, 0); err != nil {
		t.Fatal(err)
	}
	if got := result(t, done); len(got) != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestMessagesEndWithTheQueuesRetention(t *testing.T) {
	f := start(t, map[string]string{"MessageRetentionPeriod": "60"})
	f.send("old")
	f.clock.Advance(61 * time.Second)
	f.send("new")
	if diff := cmp.Diff([]string{"new"}, f.bodies(f.arn)); diff != "" {
		t.Error(diff)
	}
}

func TestSendRefuses(t *testing.T) {
	f := start(t, nil)
	small := f.create("small", map[string]string{"MaximumMessageSize": "1024"})
	attribute := func(name, kind, value string) map[string]any {
		return map[string]any{name: map[string]any{"DataType": kind, "StringValue": value}}
	}
	eleven := map[string]any{}
	for i := range 11 {
		eleven[fmt.Sprint("a", i)] = map[string]any{"DataType": "String", "StringValue": "x"}
	}
	tests := []struct {
		name  string
		input map[string]any
		want  string
	}{
		{"no body", map[string]any{}, "MissingParameter"},
		{"a control character", map[string]any{"MessageBody": "a\x01b"}, "InvalidMessageContents"},
		{"more than 1 MiB", map[string]any{"MessageBody": strings.Repeat("x", 1<<20+1)}, "InvalidParameterValue"},
		{"more than 1 MiB with attributes", map[string]any{
			"MessageBody": strings.Repeat("x", 1<<20-5), "MessageAttributes": attribute("name", "String", "v"),
		}, "InvalidParameterValue"},
		{"more than the queue takes", map[string]any{"QueueUrl": small.URL, "MessageBody": strings.Repeat("x", 1025)}, "InvalidParameterValue"},
		{"a delay over 900 s", map[string]any{"MessageBody": "x", "DelaySeconds": 901}, "InvalidParameterValue"},
		{"a negative delay", map[string]any{"MessageBody": "x", "DelaySeconds": -1}, "InvalidParameterValue"},
		{"an attribute of no type", map[string]any{"MessageBody": "x", "MessageAttributes": attribute("a", "Text", "v")}, "InvalidParameterValue"},
		{"an empty attribute", map[string]any{"MessageBody": "x", "MessageAttributes": attribute("a", "String", "")}, "InvalidParameterValue"},
		{"a bad attribute name", map[string]any{"MessageBody": "x", "MessageAttributes": attribute("a b", "String", "v")}, "InvalidParameterValue"},
		{"eleven attributes", map[string]any{"MessageBody": "x", "MessageAttributes": eleven}, "InvalidParameterValue"},
		{"an unknown queue", map[string]any{"QueueUrl": "http://127.0.0.1:4566/111111111111/nope", "MessageBody": "x"}, "QueueDoesNotExist"},
		{"another account's queue", map[string]any{"QueueUrl": "http://127.0.0.1:4566/222222222222/jobs", "MessageBody": "x"}, "QueueDoesNotExist"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, given := test.input["QueueUrl"]; !given {
				test.input["QueueUrl"] = f.url
			}
			_, err := f.call("SendMessage", test.input)
			wantCode(t, err, test.want)
		})
	}
	if got := f.bodies(f.arn); got != nil {
		t.Errorf("refused and yet there: %v", got)
	}
	if _, err := f.call("SendMessage", map[string]any{"QueueUrl": f.url, "MessageBody": strings.Repeat("x", 1<<20)}); err != nil {
		t.Errorf("exactly 1 MiB: %v", err)
	}
}

func TestBatches(t *testing.T) {
	f := start(t, nil)
	entry := func(id, body string) map[string]any { return map[string]any{"Id": id, "MessageBody": body} }
	send := func(entries ...map[string]any) (map[string]any, error) {
		return f.call("SendMessageBatch", map[string]any{"QueueUrl": f.url, "Entries": entries})
	}
	_, err := send()
	wantCode(t, err, "EmptyBatchRequest")
	_, err = send(entry("a", "x"), entry("a", "y"))
	wantCode(t, err, "BatchEntryIdsNotDistinct")
	_, err = send(entry("a b", "x"))
	wantCode(t, err, "InvalidBatchEntryId")
	_, err = send(entry("a", strings.Repeat("x", 1<<19)), entry("b", strings.Repeat("x", 1<<19+1)))
	wantCode(t, err, "BatchRequestTooLong")
	eleven := make([]map[string]any, 11)
	for i := range eleven {
		eleven[i] = entry(fmt.Sprint(i), "x")
	}
	_, err = send(eleven...)
	wantCode(t, err, "TooManyEntriesInBatchRequest")

	out, err := send(entry("good", "x"), entry("bad", "\x01"))
	if err != nil {
		t.Fatal(err)
	}
	failed := out["Failed"].([]any)[0].(map[string]any)
	if failed["Id"] != "bad" || failed["Code"] != "InvalidMessageContents" || len(out["Successful"].([]any)) != 1 {
		t.Errorf("answer %v", out)
	}
	handle := f.receive(f.arn)[0].ReceiptHandle
	out, err = f.call("ChangeMessageVisibilityBatch", map[string]any{"QueueUrl": f.url, "Entries": []map[string]any{
		{"Id": "a", "ReceiptHandle": handle, "VisibilityTimeout": 60},
	}})
	if err != nil || len(out["Successful"].([]any)) != 1 {
		t.Errorf("change: %v %v", out, err)
	}
	out, err = f.call("DeleteMessageBatch", map[string]any{"QueueUrl": f.url, "Entries": []map[string]any{
		{"Id": "a", "ReceiptHandle": handle}, {"Id": "b", "ReceiptHandle": "nonsense"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	failed = out["Failed"].([]any)[0].(map[string]any)
	if failed["Id"] != "b" || failed["Code"] != "ReceiptHandleIsInvalid" {
		t.Errorf("delete: %v", out)
	}
	if got, want := f.counts(f.arn), [3]string{"0", "0", "0"}; got != want {
		t.Errorf("counts %v, want %v", got, want)
	}
}

func TestDigestOfAttributes(t *testing.T) {
	f := start(t, nil)
	out, err := f.call("SendMessage", map[string]any{
		"QueueUrl": f.url, "MessageBody": "derp",
		"MessageAttributes": map[string]any{"timestamp": map[string]any{"DataType": "Number", "StringValue": "1493147359900"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	// Both digests are what SQS itself answers for this message.
	if out["MD5OfMessageBody"] != "58fd9edd83341c29f1aebba81c31e257" || out["MD5OfMessageAttributes"] != "235c5c510d26fb653d073faed50ae77c" {
		t.Errorf("answer %v", out)
	}
}

func TestDeliverAsksTheQueuesPolicy(t *testing.T) {
	const topic = "arn:aws:sns:us-east-1:111111111111:rolecall-callbacks"
	admit := func(service, condition string) string {
		return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":%q},`+
			`"Action":"sqs:SendMessage","Resource":"*","Condition":%s}]}`, service, condition)
	}
	bySource := fmt.Sprintf(`{"ArnEquals":{"aws:SourceArn":%q}}`, topic)
	tests := []struct {
		name, policy string
		want         string
	}{
		{"no policy", "", "AccessDenied"},
		{"this topic", admit("sns.amazonaws.com", bySource), "<nil>"},
		{"this account", admit("sns.amazonaws.com", `{"StringEquals":{"aws:SourceAccount":"111111111111"}}`), "<nil>"},
		{"another topic", admit("sns.amazonaws.com", `{"ArnEquals":{"aws:SourceArn":"arn:aws:sns:us-east-1:111111111111:x"}}`), "AccessDenied"},
		{"another account", admit("sns.amazonaws.com", `{"StringEquals":{"aws:SourceAccount":"222222222222"}}`), "AccessDenied"},
		{"another service", admit("events.amazonaws.com", bySource), "AccessDenied"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := start(t, map[string]string{"Policy": test.policy})
			err := f.Deliver(sqs.Delivery{
				QueueARN: f.arn, Body: "hello", Service: "sns.amazonaws.com", SourceARN: topic, SourceAccount: account,
			})
			wantCode(t, err, test.want)
			if got := len(f.receive(f.arn)); (got == 1) != (test.want == "<nil>") {
				t.Errorf("%d messages there", got)
			}
		})
	}
}

func TestNeeds(t *testing.T) {
	f := start(t, map[string]string{"Policy": `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"sqs:*","Resource":"*"}]}`})
	tests := []struct {
		operation string
		input     map[string]any
		action    string
		resource  string
		owned     bool
	}{
		{"SendMessage", map[string]any{"QueueUrl": f.url}, "sqs:SendMessage", f.arn, true},
		{"SendMessageBatch", map[string]any{"QueueUrl": f.url}, "sqs:SendMessage", f.arn, true},
		{"ChangeMessageVisibilityBatch", map[string]any{"QueueUrl": f.url}, "sqs:ChangeMessageVisibility", f.arn, true},
		{"GetQueueUrl", map[string]any{"QueueName": "jobs", "QueueOwnerAWSAccountId": account}, "sqs:GetQueueUrl", f.arn, true},
		{"CreateQueue", map[string]any{"QueueName": "new"}, "sqs:CreateQueue", "arn:aws:sqs:eu-west-1:222222222222:new", false},
		{"ListQueues", map[string]any{}, "sqs:ListQueues", "*", false},
	}
	for _, test := range tests {
		t.Run(test.operation, func(t *testing.T) {
			body, _ := json.Marshal(test.input)
			needs, err := f.Needs(&wire.Call{
				Operation: test.operation, Region: region, Body: body, Principal: wire.Principal{Account: "222222222222"},
			})
			if err != nil || len(needs) != 1 {
				t.Fatalf("needs %v, error %v", needs, err)
			}
			n := needs[0]
			if n.Action != test.action || n.Resource != test.resource {
				t.Errorf("needs %s on %s", n.Action, n.Resource)
			}
			if owned := n.ResourcePolicy != nil && n.ResourceAccount == account; owned != test.owned {
				t.Errorf("policy %v, account %q", n.ResourcePolicy, n.ResourceAccount)
			}
		})
	}
}

func TestAttributes(t *testing.T) {
	f := start(t, nil)
	f.create("dlq", map[string]string{"RedriveAllowPolicy": `{"redrivePermission":"denyAll"}`})
	refused := map[string]map[string]string{
		"InvalidAttributeName":  {"Colour": "red"},
		"InvalidAttributeValue": {"VisibilityTimeout": "43201"},
		"InvalidParameterValue": {"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:111111111111:nope","maxReceiveCount":3}`},
	}
	for want, attributes := range refused {
		wantCode(t, f.SetAttributes(f.arn, attributes), want)
	}
	wantCode(t, f.SetAttributes(f.arn, map[string]string{"KmsMasterKeyId": "alias/aws/sqs"}), "InvalidAttributeValue")
	wantCode(t, f.SetAttributes(f.arn, map[string]string{
		"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:111111111111:dlq","maxReceiveCount":3}`,
	}), "InvalidParameterValue")
	wantCode(t, f.SetAttributes(f.arn, map[string]string{"Policy": `{"Statement":[{"Effect":"Perhaps"}]}`}), "InvalidAttributeValue")

	f.clock.Advance(time.Minute)
	if err := f.SetAttributes(f.arn, map[string]string{"VisibilityTimeout": "90"}); err != nil {
		t.Fatal(err)
	}
	out, err := f.call("GetQueueAttributes", map[string]any{"QueueUrl": f.url, "AttributeNames": []string{"All"}})
	if err != nil {
		t.Fatal(err)
	}
	created := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Unix()
	want := map[string]any{
		"QueueArn": f.arn, "CreatedTimestamp": fmt.Sprint(created), "LastModifiedTimestamp": fmt.Sprint(created + 60),
		"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "0", "ApproximateNumberOfMessagesDelayed": "0",
		"DelaySeconds": "0", "MaximumMessageSize": "1048576", "MessageRetentionPeriod": "345600",
		"ReceiveMessageWaitTimeSeconds": "0", "VisibilityTimeout": "90", "SqsManagedSseEnabled": "true",
	}
	if diff := cmp.Diff(want, out["Attributes"]); diff != "" {
		t.Error(diff)
	}
	_, err = f.call("GetQueueAttributes", map[string]any{"QueueUrl": f.url, "AttributeNames": []string{"Colour"}})
	wantCode(t, err, "InvalidAttributeName")
}

func TestQueuesOfAccountsAndRegionsAreApart(t *testing.T) {
	f := start(t, map[string]string{"VisibilityTimeout": "90"})
	for _, at := range [][2]string{{account, "us-east-1"}, {"222222222222", region}} {
		q, err := f.Create(at[0], at[1], "jobs", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Send(q.ARN, "elsewhere", nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.bodies(f.arn); got != nil {
		t.Errorf("got %v", got)
	}
	out, err := f.call("ListQueues", map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"QueueUrls": []any{f.url}}, out); diff != "" {
		t.Error(diff)
	}
	if q := f.create("jobs", map[string]string{"VisibilityTimeout": "90"}); q.ARN != f.arn {
		t.Errorf("the same queue again is %s", q.ARN)
	}
	_, err = f.Create(account, region, "jobs", map[string]string{"VisibilityTimeout": "91"})
	wantCode(t, err, "QueueNameExists")
	_, err = f.Create(account, region, "jobs.fifo", nil)
	wantCode(t, err, "InvalidParameterValue")
}

func TestPurge(t *testing.T) {
	f := start(t, nil)
	f.send("x")
	if _, err := f.call("PurgeQueue", map[string]any{"QueueUrl": f.url}); err != nil {
		t.Fatal(err)
	}
	if got := f.bodies(f.arn); got != nil {
		t.Errorf("got %v", got)
	}
	_, err := f.call("PurgeQueue", map[string]any{"QueueUrl": f.url})
	wantCode(t, err, "PurgeQueueInProgress")
	f.clock.Advance(time.Minute)
	if _, err := f.call("PurgeQueue", map[string]any{"QueueUrl": f.url}); err != nil {
		t.Error(err)
	}
}

func TestUnknownOperationIsNamed(t *testing.T) {
	f := start(t, nil)
	_, err := f.Serve(t.Context(), &wire.Call{Operation: "TagQueue"})
	wantCode(t, err, "InvalidAction")
	if !strings.Contains(err.Error(), "TagQueue") {
		t.Errorf("error %v", err)
	}
}

func TestManyReceiversGetEachMessageOnce(t *testing.T) {
	const messages, receivers = 500, 16
	f := start(t, map[string]string{"VisibilityTimeout": "600"})
	var mu sync.Mutex
	seen := map[string]int{}
	var once sync.Once
	all := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range receivers {
		group.Go(func() {
			wait := 20 * time.Second
			for {
				got, err := f.Receive(ctx, f.arn, sqs.ReceiveInput{Max: 10, Wait: &wait})
				if err != nil {
					return
				}
				mu.Lock()
				for _, m := range got {
					seen[m.Body]++
				}
				if len(got) > 0 && len(seen) == messages {
					once.Do(func() { close(all) })
				}
				mu.Unlock()
				for _, m := range got {
					if err := f.DeleteMessage(f.arn, m.ReceiptHandle); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for i := range messages {
		group.Go(func() {
			if _, err := f.Send(f.arn, fmt.Sprint(i), nil); err != nil {
				t.Error(err)
			}
		})
	}
	select {
	case <-all:
	case <-time.After(30 * time.Second):
		t.Error("not all messages arrived")
	}
	stop()
	group.Wait()
	for body, times := range seen {
		if times != 1 {
			t.Errorf("message %s came %d times", body, times)
		}
	}
}
