package laptop_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventbridgetypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"rolecall/infra/local/faults"
	"rolecall/infra/local/wire"
)

// Faults strike everybody, so the tests here do not run in parallel with others; those that do wait until these are over.

// inject puts a fault into force over HTTP, as anybody could, until the test ends.
func inject(t *testing.T, rule string) {
	t.Helper()
	a := tenant{t: t}.want(http.StatusCreated, "POST", faults.Path, rule)
	t.Cleanup(func() { tenant{t: t}.call("DELETE", a.header.Get("Location"), "") })
}

// hits is how many calls all faults in force have struck.
func hits() (n int) {
	for _, r := range pocket.Faults.Rules() {
		n += r.Hits
	}
	return n
}

const (
	// quiet without a call, and with no function at work, means that all that is left to do waits in queues.
	quiet = time.Second
	leap  = 10 * time.Second
	step  = 100 * time.Millisecond // between leaps
)

// skipWaits moves the pocket's clock whenever nothing happens, so that nobody waits for a queue. What is measured by
// that clock is what it would take without, but for less than a leap at each wait. The clock is put back in the end.
func skipWaits(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var skipped time.Duration
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(step)
		defer tick.Stop()
		seen, since := pocket.Journal.Mark(), time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if mark := pocket.Journal.Mark(); mark != seen || pocket.Lambda.InFlight() > 0 {
				seen, since = mark, time.Now()
			}
			if time.Since(since) < quiet {
				continue
			}
			now.move(leap)
			skipped += leap
		}
	})
	t.Cleanup(func() {
		stop()
		running.Wait()
		now.move(-skipped)
	})
}

// settled waits until no message is left in the queues that customers wait for, so that nothing of one test is struck by
// a fault of the next.
func settled(t *testing.T) {
	t.Helper()
	for _, name := range []string{"rolecall-callbacks", "rolecall-verify-now"} {
		eventually(t, 2*time.Minute, name+" empty", func() bool {
			a, err := pocket.SQS.Attributes("arn:aws:sqs:eu-west-1:111111111111:" + name)
			if err != nil {
				t.Fatal(err)
			}
			return a["ApproximateNumberOfMessages"]+a["ApproximateNumberOfMessagesNotVisible"]+a["ApproximateNumberOfMessagesDelayed"] == "000"
		})
	}
}

// A trial is one customer's way from a name to the end of the stack.
type trial struct {
	connection connection
	account    string
	status     string        // of the stack
	took       time.Duration // from CloudFormation's request to its answer, by the pocket's clock
	verdict    string        // the connection's status in the end
	reasons    []string
}

// drive leads one customer; requests that fail because of us are repeated as a good client would.
func drive(t *testing.T, x tenant, name, account string) trial {
	t.Helper()
	out := trial{account: account}
	x.persist(http.StatusCreated, "POST", "/v1/connections", fmt.Sprintf(`{"name":%q}`, name), "Idempotency-Key", name).into(t, &out.connection)
	theirs := customer{t, account, out.connection.Launch.Region}
	theirs.launch(out.connection, nil)
	out.status = theirs.end(out.connection.Launch.StackName)
	return out
}

// end waits until nothing happens to a stack any more, without a call that would make the journal grow; the answer is
// its status.
func (c customer) end(name string) string {
	c.t.Helper()
	defer c.answered()
	ctx, stop := context.WithTimeout(context.Background(), 6*time.Minute)
	defer stop()
	stack, err := pocket.Engine.Wait(ctx, c.account, c.region, name)
	if err != nil {
		c.t.Errorf("stack %s: %v", name, err)
	}
	return string(stack.Status)
}

// persist repeats a request until the answer is none that asks for it.
func (x tenant) persist(status int, method, path, body string, header ...string) answer {
	x.t.Helper()
	var a answer
	for range 50 {
		if a = x.call(method, path, body, header...); a.status < 500 && a.status != http.StatusTooManyRequests {
			break
		}
	}
	if a.status != status {
		x.t.Fatalf("%s %s: %d %s, want %d", method, path, a.status, a.body, status)
	}
	return a
}

// finish looks at what has become of a trial. Faults must be over.
func (r *trial) finish(t *testing.T, x tenant) {
	t.Helper()
	r.verdict = x.get(r.connection.ID).Status
	theirs := customer{t, r.account, r.connection.Launch.Region}
	all, err := theirs.cloudFormation().DescribeStackEvents(context.Background(), &cloudformation.DescribeStackEventsInput{StackName: &r.connection.Launch.StackName})
	if err != nil {
		t.Fatal(err)
	}
	var asked time.Time
	for _, e := range slices.Backward(all.StackEvents) {
		if aws.ToString(e.LogicalResourceId) != "Connection" || strings.HasPrefix(string(e.ResourceStatus), "DELETE") {
			continue
		}
		if asked.IsZero() {
			asked = *e.Timestamp
		}
		r.took = e.Timestamp.Sub(asked)
	}
	if r.status != string(types.StackStatusCreateComplete) {
		r.reasons = theirs.reasons(r.connection.Launch.StackName)
	}
}

// mixed strikes 30% of a service's calls with faults of all kinds, in front of the service and behind it.
func mixed(t *testing.T, service string, seed int) {
	t.Helper()
	all := []string{
		`"kind":"error500"`, `"kind":"error500","when":"after"`, `"kind":"throttle429"`, `"kind":"reset"`, `"kind":"reset","when":"after"`,
		`"kind":"truncated"`, `"kind":"slow","delay":"200ms"`, `"kind":"hang","delay":"300ms"`, `"kind":"hang","delay":"300ms","when":"after"`,
	}
	each := 0.3 / float64(len(all))
	for i, f := range all {
		// Each rule sees only what those in front of it have let through.
		rate := each / (1 - float64(i)*each)
		inject(t, fmt.Sprintf(`{"service":%q,%s,"rate":%f,"seed":%d}`, service, f, rate, seed+i+1))
	}
}

// With 30% of all calls of STS, DynamoDB, the bucket of answers and EventBridge going wrong, every stack is answered, no role is
// judged wrongly, and no event is lost.
func TestFaults(t *testing.T) {
	stacks, parallel := 40, 20
	if os.Getenv("ROLECALL_LONG") != "" {
		stacks = 500
	}
	received := subscribe(t, "faults")
	skipWaits(t)
	for i, service := range []string{"sts", "dynamodb", "cfn-response", "events"} {
		mixed(t, service, 1000*(i+1))
	}
	mark := pocket.Journal.Mark()
	x := as(t, "acme-faults")
	trials := make([]trial, stacks)
	var all sync.WaitGroup
	places := make(chan struct{}, parallel)
	for i := range trials {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			trials[i] = drive(t, x, fmt.Sprintf("Faulty %03d", i), fmt.Sprintf("3%011d", i))
		})
	}
	all.Wait()
	struck := hits()
	asked := map[string]int{}
	for _, e := range pocket.Journal.Entries(mark) {
		asked[e.Service]++
	}
	pocket.Faults.Clear()
	settled(t)
	if t.Failed() {
		return
	}

	var took []time.Duration
	answered := 0
	for i := range trials {
		r := &trials[i]
		r.finish(t, x)
		took = append(took, r.took)
		if r.status == string(types.StackStatusCreateComplete) && r.took <= 300*time.Second {
			answered++
		} else {
			t.Logf("stack %d: %s after %s: %v", i, r.status, r.took, r.reasons)
		}
		if r.verdict != "enabled" && r.verdict != "verifying" {
			t.Errorf("stack %d: the role is exact, but the connection is %s", i, r.verdict)
		}
	}
	slices.Sort(took)
	ids := map[string]bool{}
	for _, r := range trials {
		ids[r.connection.ID] = true
	}
	events, duplicates := allArrived(t, received, ids)
	t.Logf("%d stacks, %d answered, answered in p50 %s p99 %s; %d events, none lost, %d duplicates; %d faults struck %v",
		stacks, answered, took[len(took)/2].Round(100*time.Millisecond), took[len(took)*99/100].Round(100*time.Millisecond),
		events, duplicates, struck, asked)
	if p99 := took[len(took)*99/100]; stacks >= 500 && p99 > 120*time.Second {
		t.Errorf("answered in p99 %s, want 120 s", p99)
	}
	if answered*1000 < stacks*999 {
		t.Errorf("%d of %d stacks answered", answered, stacks)
	}
}

// A subscriber is a queue that gets every event, made as the platform's engineers would make one.
type subscriber struct {
	client *sqs.Client
	url    string
}

func subscribe(t *testing.T, name string) subscriber {
	t.Helper()
	ctx := context.Background()
	mine := awsConfig("111111111111", "any", "", "eu-west-1")
	s := subscriber{client: sqs.NewFromConfig(mine)}
	made, err := s.client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: map[string]string{
		"Policy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*"}]}`,
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.url = *made.QueueUrl
	rules := eventbridge.NewFromConfig(mine)
	bus := aws.String("rolecall")
	if _, err = rules.PutRule(ctx, &eventbridge.PutRuleInput{Name: &name, EventBusName: bus, EventPattern: aws.String(`{"source":["rolecall"]}`)}); err != nil {
		t.Fatal(err)
	}
	target := eventbridgetypes.Target{Id: &name, Arn: aws.String("arn:aws:sqs:eu-west-1:111111111111:" + name)}
	if _, err = rules.PutTargets(ctx, &eventbridge.PutTargetsInput{Rule: &name, EventBusName: bus, Targets: []eventbridgetypes.Target{target}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err1 := rules.RemoveTargets(ctx, &eventbridge.RemoveTargetsInput{Rule: &name, EventBusName: bus, Ids: []string{name}})
		_, err2 := rules.DeleteRule(ctx, &eventbridge.DeleteRuleInput{Name: &name, EventBusName: bus})
		_, err3 := s.client.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: made.QueueUrl})
		if err1 != nil || err2 != nil || err3 != nil {
			t.Error(err1, err2, err3)
		}
	})
	return s
}

// drain adds the events that have come to counts by id.
func (s subscriber) drain(t *testing.T, connections map[string]bool, counts map[string]int) {
	t.Helper()
	for {
		got, err := s.client.ReceiveMessage(context.Background(), &sqs.ReceiveMessageInput{QueueUrl: &s.url, MaxNumberOfMessages: 10})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Messages) == 0 {
			return
		}
		var done []sqstypes.DeleteMessageBatchRequestEntry
		for _, m := range got.Messages {
			var event struct {
				Detail struct{ ID, ConnectionID string }
			}
			if err := json.Unmarshal([]byte(*m.Body), &event); err != nil {
				t.Fatal(err)
			}
			if connections[event.Detail.ConnectionID] {
				counts[event.Detail.ID]++
			}
			done = append(done, sqstypes.DeleteMessageBatchRequestEntry{Id: m.MessageId, ReceiptHandle: m.ReceiptHandle})
		}
		if _, err := s.client.DeleteMessageBatch(context.Background(), &sqs.DeleteMessageBatchInput{QueueUrl: &s.url, Entries: done}); err != nil {
			t.Fatal(err)
		}
	}
}

// allArrived compares the event records in the table with what the subscriber received: the same events, each at least
// once.
func allArrived(t *testing.T, s subscriber, connections map[string]bool) (events, duplicates int) {
	t.Helper()
	counts := map[string]int{}
	var lost []string
	eventually(t, time.Minute, "every event record received", func() bool {
		s.drain(t, connections, counts)
		lost = nil
		recorded := eventRecords(t, connections)
		for id, what := range recorded {
			if counts[id] == 0 {
				lost = append(lost, what)
			}
		}
		for id := range counts {
			if recorded[id] == "" {
				t.Fatalf("event %s was published but is not in the table", id)
			}
		}
		events = len(recorded)
		return len(lost) == 0
	})
	for _, n := range counts {
		duplicates += n - 1
	}
	return events, duplicates
}

// eventRecords are the event records of connections, by the events' ids.
func eventRecords(t *testing.T, connections map[string]bool) map[string]string {
	t.Helper()
	client := dynamodb.NewFromConfig(awsConfig("111111111111", "any", "", "eu-west-1"))
	tables, err := client.ListTables(context.Background(), &dynamodb.ListTablesInput{})
	if err != nil || len(tables.TableNames) != 1 {
		t.Fatal(tables, err)
	}
	out := map[string]string{}
	pages := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{
		TableName: &tables.TableNames[0], ConsistentRead: aws.Bool(true), FilterExpression: aws.String("begins_with(SK, :e)"),
		ExpressionAttributeValues: map[string]ddbtypes.AttributeValue{":e": &ddbtypes.AttributeValueMemberS{Value: "EVENT#"}},
	})
	text := func(v ddbtypes.AttributeValue) string {
		s, ok := v.(*ddbtypes.AttributeValueMemberS)
		if !ok {
			t.Fatalf("%v is no text", v)
		}
		return s.Value
	}
	for pages.HasMorePages() {
		page, err := pages.NextPage(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			if id := strings.TrimPrefix(text(item["PK"]), "CONN#"); connections[id] {
				out[text(item["id"])] = id + " " + text(item["SK"]) + " " + text(item["type"])
			}
		}
	}
	return out
}

// Single things going wrong, each at the worst place.
func TestOneFault(t *testing.T) {
	tests := []struct {
		name   string
		faults []string
		// started has the stack tell of its start, too, which is what the callback function writes; else one callback comes, so that
		// the fault strikes the right one.
		started bool
		// impatient shortens the function's timeout, so that a hang kills it.
		impatient string
		// within is how soon the stack must be answered: a function that failed is asked again within seconds; for one that
		// died the queue waits 90 seconds (callback) or 120 (verify).
		within time.Duration
	}{
		{
			name: "lost acknowledgement of the start", within: 60 * time.Second, started: true,
			faults: []string{`{"service":"dynamodb","operation":"TransactWriteItems","kind":"reset","when":"after","count":1,"caller":"callback"}`},
		},
		{
			name: "start acknowledged in no try", within: 60 * time.Second, started: true,
			faults: []string{`{"service":"dynamodb","operation":"TransactWriteItems","kind":"error500","when":"after","count":3,"caller":"callback"}`},
		},
		{
			name: "lost acknowledgement of the verdict", within: 60 * time.Second,
			faults: []string{`{"service":"dynamodb","operation":"TransactWriteItems","kind":"truncated","count":1,"caller":"verify"}`},
		},
		{
			name: "verdict acknowledged in no try", within: 60 * time.Second,
			faults: []string{`{"service":"dynamodb","operation":"TransactWriteItems","kind":"reset","when":"after","count":3,"caller":"verify"}`},
		},
		{
			name: "verdict told but not written", within: 60 * time.Second,
			faults: []string{`{"service":"dynamodb","operation":"TransactWriteItems","kind":"error500","count":6,"caller":"verify"}`},
		},
		{
			name: "job not queued", within: 60 * time.Second,
			faults: []string{`{"service":"sqs","operation":"SendMessage","kind":"error500","count":3,"caller":"callback"}`},
		},
		{
			name: "job queued without an acknowledgement", within: 60 * time.Second,
			faults: []string{`{"service":"sqs","operation":"SendMessage","kind":"error500","when":"after","count":3,"caller":"callback"}`},
		},
		{
			name: "verdict not queued", within: 60 * time.Second,
			faults: []string{`{"service":"sqs","operation":"SendMessage","kind":"error500","count":3,"caller":"verify"}`},
		},
		{
			name: "verdict queued without an acknowledgement", within: 60 * time.Second,
			faults: []string{`{"service":"sqs","operation":"SendMessage","kind":"error500","when":"after","count":3,"caller":"verify"}`},
		},
		{
			name: "answer refused twice", within: 60 * time.Second,
			faults: []string{`{"service":"cfn-response","kind":"error500","count":2}`},
		},
		{
			name: "answer refused in three invocations", within: 90 * time.Second,
			faults: []string{`{"service":"cfn-response","kind":"error500","count":6}`},
		},
		{
			name: "answer taken without an acknowledgement", within: 60 * time.Second,
			faults: []string{`{"service":"cfn-response","kind":"reset","when":"after","count":2}`},
		},
		{
			name: "callback killed before the commit", impatient: "callback", within: 150 * time.Second, started: true,
			faults: []string{`{"service":"dynamodb","operation":"TransactWriteItems","kind":"hang","count":1,"caller":"callback"}`},
		},
		{
			name: "callback killed after the commit", impatient: "callback", within: 150 * time.Second, started: true,
			faults: []string{`{"service":"dynamodb","operation":"TransactWriteItems","kind":"hang","when":"after","count":1,"caller":"callback"}`},
		},
		{
			name: "verify killed among its questions", impatient: "verify", within: 180 * time.Second,
			faults: []string{`{"service":"sts","operation":"AssumeRole","kind":"hang","count":1,"caller":"verify"}`},
		},
		{
			name: "verify killed before the commit", impatient: "verify", within: 180 * time.Second,
			faults: []string{`{"service":"dynamodb","operation":"TransactWriteItems","kind":"hang","count":1,"caller":"verify"}`},
		},
		{
			name: "verify killed after the commit", impatient: "verify", within: 180 * time.Second,
			faults: []string{`{"service":"dynamodb","operation":"TransactWriteItems","kind":"hang","when":"after","count":1,"caller":"verify"}`},
		},
		{
			name: "verify killed before the answer", impatient: "verify", within: 180 * time.Second,
			faults: []string{`{"service":"cfn-response","kind":"hang","count":1}`},
		},
	}
	received := subscribe(t, "one-fault")
	skipWaits(t)
	x := as(t, "acme-one-fault")
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.impatient != "" {
				shorten(t, "rolecall-"+tt.impatient, time.Second)
			}
			for _, f := range tt.faults {
				inject(t, f)
			}
			x := tenant{t, x.token}
			c := x.create(tt.name)
			r := trial{connection: c, account: fmt.Sprintf("4%011d", i)}
			theirs := customer{t, r.account, c.Launch.Region}
			if tt.started {
				theirs.launch(c, nil)
			} else {
				theirs.launchBody(c, withoutStarted(t, template(t, c)))
			}
			if r.status = theirs.end(c.Launch.StackName); r.status != string(types.StackStatusCreateComplete) {
				t.Fatalf("%s: %v", r.status, theirs.reasons(c.Launch.StackName))
			}
			settled(t) // what CloudFormation has taken is written after that
			if n := hits(); n == 0 {
				t.Error("nothing was struck")
			}
			r.finish(t, x)
			t.Logf("answered after %s", r.took.Round(100*time.Millisecond))
			if r.took > tt.within || r.verdict != "enabled" {
				t.Errorf("%s, answered after %s, want within %s", r.verdict, r.took, tt.within)
			}
			var kinds []string
			told := x.timeline(c.ID)
			for _, e := range told {
				// The start is told where the connection stands when it could be written: before the role or after.
				if kind := strings.TrimPrefix(e.Type, "connection."); !tt.started || !strings.HasPrefix(kind, "stack_") {
					kinds = append(kinds, kind)
				}
			}
			if want := []string{"enabled", "role_reported", "created"}; !slices.Equal(kinds, want) || (tt.started && len(told) != len(want)+1) {
				t.Errorf("timeline %v, want each transition once: %v", told, want)
			}
			if events, _ := allArrived(t, received, map[string]bool{c.ID: true}); events != len(told) {
				t.Errorf("%d events of %d", events, len(told))
			}
		})
	}
}

// shorten gives a function less time, until the test ends.
func shorten(t *testing.T, function string, timeout time.Duration) {
	t.Helper()
	f, err := pocket.Lambda.Function("arn:aws:lambda:eu-west-1:111111111111:function:" + function)
	if err != nil {
		t.Fatal(err)
	}
	was := f.Timeout
	set := func(d time.Duration) {
		f.Timeout = d
		if err := pocket.Lambda.Update(f); err != nil {
			t.Error(err)
		}
	}
	set(timeout)
	t.Cleanup(func() { set(was) })
}

// The laptop's own route: what it refuses, and how the journal tells of what was struck.
func TestFaultsOverHTTP(t *testing.T) {
	nobody := tenant{t: t}
	if a := nobody.want(http.StatusBadRequest, "POST", faults.Path, `{"service":"sts","kind":"fire"}`); !strings.Contains(string(a.body), "kind must be one of") {
		t.Errorf("%s", a.body)
	}
	inject(t, `{"service":"dynamodb","kind":"throttle429","caller":"rolecall-api"}`)
	acme := as(t, "acme-faults-http")
	mark := pocket.Journal.Mark()
	if a := acme.call("GET", "/v1/connections", ""); a.status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", a.status, a.body)
	}
	struck := 0
	for _, e := range pocket.Journal.Entries(mark) {
		if e.Fault == string(wire.FaultThrottle429) && e.Status == 429 && e.Code == "ThrottlingException" {
			struck++
		}
	}
	var list struct{ Items []struct{ Hits int } }
	nobody.want(http.StatusOK, "GET", faults.Path, "").into(t, &list)
	if struck == 0 || len(list.Items) != 1 || list.Items[0].Hits != struck {
		t.Errorf("%d in the journal, listed as %+v", struck, list.Items)
	}
	nobody.want(http.StatusNoContent, "DELETE", faults.Path, "")
	acme.want(http.StatusOK, "GET", "/v1/connections", "")
}

// What AWS fails to answer proves nothing: a role that serves goes on serving, without so much as a strike.
func TestAFailureIsNoDenial(t *testing.T) {
	x := as(t, "acme-no-denial")
	c := x.create("Serving")
	role := pastedRole(t, "500000000000", "Serving", c.ExternalID, `"ec2:DescribeRegions","iam:GetRole"`)
	x.want(http.StatusOK, "PUT", "/v1/connections/"+c.ID+"/role", `{"roleArn":"`+role+`"}`)
	before := x.get(c.ID)
	kinds := []string{`"kind":"error500"`, `"kind":"throttle429"`, `"kind":"reset"`, `"kind":"reset","when":"after"`, `"kind":"truncated"`, `"kind":"hang","delay":"50ms"`}
	for _, service := range []string{"sts", "ec2", "iam"} {
		for _, kind := range kinds {
			t.Run(service+" "+kind, func(t *testing.T) {
				inject(t, fmt.Sprintf(`{"service":%q,%s}`, service, kind))
				x := tenant{t, x.token}
				var got connection
				x.want(http.StatusOK, "POST", "/v1/connections/"+c.ID+"/verify", "").into(t, &got)
				unknown := 0
				for _, k := range got.Checks {
					if k.Verdict == "failed" {
						t.Errorf("%s failed with %s", k.Name, k.Code)
					}
					if k.Verdict == "unknown" {
						unknown++
					}
				}
				if unknown == 0 || hits() == 0 {
					t.Errorf("%d checks unknown, %d calls struck", unknown, hits())
				}
				if after := x.get(c.ID); after.Status != "enabled" || after.StatusReason != nil {
					t.Errorf("%s: %+v", after.Status, after.StatusReason)
				}
			})
		}
	}
	if after := x.get(c.ID); after.Version != before.Version {
		t.Errorf("version %d, was %d: %+v", after.Version, before.Version, x.timeline(c.ID))
	}
}

// While STS is down, stacks are answered in time all the same, with success: the connection goes on verifying, and is
// enabled once STS is back.
func TestSTSIsDown(t *testing.T) {
	if os.Getenv("ROLECALL_LONG") == "" {
		t.Skip("takes two minutes: the deadline of a verification is the function's own")
	}
	skipWaits(t)
	x := as(t, "acme-sts-down")
	inject(t, `{"service":"sts","kind":"error500","caller":"verify"}`)
	r := drive(t, x, "STS is down", "500000000001")
	r.finish(t, x)
	if r.status != string(types.StackStatusCreateComplete) || r.verdict != "verifying" {
		t.Errorf("stack %s, connection %s: %v", r.status, r.verdict, r.reasons)
	}
	pocket.Faults.Clear()
	settled(t) // until the next try has been made
	if got := x.get(r.connection.ID); got.Status != "enabled" {
		t.Errorf("%s after STS came back", got.Status)
	}
}
