package events_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventbridgetypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/events"
	"rolecall/infra/local/sqs"
	"rolecall/infra/local/wire"
)

const (
	account = "111111111111"
	region  = "eu-west-1"
)

// fixture is a bus with one rule on everything from "rolecall", sent to a queue.
type fixture struct {
	*testing.T
	*events.Service
	queues *sqs.Service
	log    *strings.Builder
	now    *time.Time
	bus    string
	rule   string
	queue  string
}

func start(t *testing.T) fixture {
	t.Helper()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := fixture{T: t, now: &now, log: &strings.Builder{}}
	clock := func() time.Time { return *f.now }
	f.queues = sqs.New("http://127.0.0.1:4566", clock)
	f.Service = events.New(f.queues, clock, slog.New(slog.NewTextHandler(f.log, nil)))
	var err error
	if f.bus, err = f.CreateBus(account, region, "rolecall"); err != nil {
		t.Fatal(err)
	}
	f.rule, err = f.PutRule(account, region, events.Rule{Name: "all", Bus: "rolecall", Pattern: `{"source":["rolecall"]}`})
	if err != nil {
		t.Fatal(err)
	}
	f.queue = f.open("sink", "ArnEquals", f.rule)
	if err := f.PutTarget(f.rule, events.Target{ID: "sink", ARN: f.queue}); err != nil {
		t.Fatal(err)
	}
	return f
}

// open makes a queue that admits the rule.
func (f fixture) open(name, operator, rule string) string {
	f.Helper()
	q, err := f.queues.Create(account, region, name, map[string]string{"Policy": fmt.Sprintf(
		`{"Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*",`+
			`"Condition":{%q:{"aws:SourceArn":%q}}}]}`, operator, rule)})
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

func (f fixture) put(detail string) string {
	f.Helper()
	id, err := f.Put(f.bus, account, events.Event{Source: "rolecall", DetailType: "T", Detail: detail})
	if err != nil {
		f.Fatal(err)
	}
	return id
}

// call serves one API call and answers its output as generic JSON.
func (f fixture) call(operation, input string) (map[string]any, error) {
	f.Helper()
	c := &wire.Call{
		Service: "events", Operation: operation, Region: region, Body: []byte(input), Principal: wire.Principal{Account: account},
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

func TestAnEventReachesTheRulesQueue(t *testing.T) {
	f := start(t)
	id, err := f.Put(f.bus, account, events.Event{
		Source: "rolecall", DetailType: "Connection enabled", Detail: `{ "a": "<&>", "n": 1.50 }`, Resources: []string{"arn:x"},
		Time: time.Date(2026, 1, 2, 3, 4, 5, 999, time.FixedZone("", 3600)),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := f.received(f.queue)
	if len(got) != 1 {
		t.Fatalf("received %+v", got)
	}
	want := `{"version":"0","id":"` + id + `","detail-type":"Connection enabled","source":"rolecall","account":"111111111111",` +
		`"time":"2026-01-02T02:04:05Z","region":"eu-west-1","resources":["arn:x"],"detail":{"a":"<&>","n":1.50}}`
	if diff := cmp.Diff(want, got[0].Body); diff != "" {
		t.Error(diff)
	}
	if _, err := f.Put(f.bus, account, events.Event{Source: "other", DetailType: "T", Detail: `{}`}); err != nil {
		t.Fatal(err)
	}
	if got := f.received(f.queue); len(got) != 0 {
		t.Errorf("an event that does not fit: %+v", got)
	}
}

func TestADisabledRuleIsSilent(t *testing.T) {
	f := start(t)
	for _, step := range []struct {
		operation string
		want      int
	}{{"DisableRule", 0}, {"EnableRule", 1}} {
		if _, err := f.call(step.operation, `{"Name":"all","EventBusName":"rolecall"}`); err != nil {
			t.Fatal(err)
		}
		f.put(`{}`)
		if got := f.received(f.queue); len(got) != step.want {
			t.Errorf("after %s: %+v", step.operation, got)
		}
	}
}

func TestWhatAQueueDoesNotTake(t *testing.T) {
	f := start(t)
	if err := f.queues.SetAttributes(f.queue, map[string]string{"Policy": ""}); err != nil {
		t.Fatal(err)
	}
	f.put(`{"canary":"secret-canary"}`)
	if log := f.log.String(); !strings.Contains(log, "AccessDenied") || strings.Contains(log, "secret-canary") {
		t.Errorf("logged %q", log)
	}
	f.log.Reset()
	dead := f.open("dead", "ArnEquals", f.rule)
	if err := f.PutTarget(f.rule, events.Target{ID: "sink", ARN: f.queue, DeadLetter: dead}); err != nil {
		t.Fatal(err)
	}
	f.put(`{}`)
	got := f.received(dead)
	if len(got) != 1 || got[0].MessageAttributes["ERROR_CODE"].StringValue != "AccessDenied" ||
		got[0].MessageAttributes["RULE_ARN"].StringValue != f.rule {
		t.Errorf("in the dead-letter queue: %+v", got)
	}
	if f.log.Len() != 0 {
		t.Errorf("logged %s", f.log)
	}
}

func TestPutEventsAnswersPerEntry(t *testing.T) {
	f := start(t)
	entry := func(source, detail, bus string) string {
		return fmt.Sprintf(`{"Source":%q,"DetailType":"T","Detail":%q,"EventBusName":%q}`, source, detail, bus)
	}
	out, err := f.call("PutEvents", `{"Entries":[`+strings.Join([]string{
		entry("rolecall", `{"n":1}`, "rolecall"),
		entry("rolecall", `{"n":`, "rolecall"),
		entry("rolecall", `[1]`, "rolecall"),
		entry("rolecall", `null`, "rolecall"),
		entry("", `{}`, "rolecall"),
		entry("aws.ec2", `{}`, "rolecall"),
		entry("rolecall", `{}`, "nope"),
		entry("rolecall", `{}`, ""),
		entry("rolecall", `{}`, f.bus),
	}, ",")+`]}`)
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, e := range out["Entries"].([]any) {
		failed, _ := e.(map[string]any)["ErrorCode"].(string)
		codes = append(codes, failed)
	}
	want := []string{
		"", "MalformedDetail", "MalformedDetail", "MalformedDetail", "InvalidArgument", "NotAuthorizedForSourceException",
		"ResourceNotFoundException", "", "",
	}
	if diff := cmp.Diff(want, codes); diff != "" {
		t.Error(diff)
	}
	if out["FailedEntryCount"] != 6.0 {
		t.Errorf("FailedEntryCount %v", out["FailedEntryCount"])
	}
	if got := f.received(f.queue); len(got) != 2 {
		t.Errorf("delivered %+v", got)
	}
	for name, entries := range map[string]string{
		"none":       "",
		"eleven":     strings.Repeat(entry("rolecall", `{}`, "rolecall")+",", 10) + entry("rolecall", `{}`, "rolecall"),
		"over 1 MiB": entry("rolecall", `{"x":"`+strings.Repeat("x", 1<<20)+`"}`, "rolecall"),
	} {
		if _, err := f.call("PutEvents", `{"Entries":[`+entries+`]}`); code(err) != "ValidationException" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNeeds(t *testing.T) {
	f := start(t)
	if err := f.SetBusPolicy(f.bus, `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"events:*","Resource":"*"}]}`); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		operation, input string
		want             []string
	}{
		{"PutEvents", `{"Entries":[{"EventBusName":"rolecall"},{"EventBusName":"` + f.bus + `"}]}`, []string{"events:PutEvents " + f.bus}},
		{"PutEvents", `{"Entries":[{}]}`, []string{"events:PutEvents arn:aws:events:eu-west-1:111111111111:event-bus/default"}},
		{"PutRule", `{"Name":"all","EventBusName":"rolecall"}`, []string{"events:PutRule " + f.rule}},
		{"PutTargets", `{"Rule":"all","EventBusName":"` + f.bus + `"}`, []string{"events:PutTargets " + f.rule}},
		{"DescribeRule", `{"Name":"x"}`, []string{"events:DescribeRule arn:aws:events:eu-west-1:111111111111:rule/x"}},
		{"CreateArchive", `{"ArchiveName":"a"}`, []string{"events:CreateArchive arn:aws:events:eu-west-1:111111111111:archive/a"}},
		{"ListRules", `{}`, []string{"events:ListRules *"}},
	}
	for _, test := range tests {
		t.Run(test.operation, func(t *testing.T) {
			needs, err := f.Needs(&wire.Call{
				Operation: test.operation, Region: region, Body: []byte(test.input), Principal: wire.Principal{Account: account},
			})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, n := range needs {
				got = append(got, n.Action+" "+n.Resource)
				if named := n.Resource == f.bus; named != (n.ResourcePolicy != nil) {
					t.Errorf("policy %v", n.ResourcePolicy)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := f.Needs(&wire.Call{Operation: "CreateConnection"}); code(err) != "InvalidAction" {
		t.Errorf("unknown operation: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	f := start(t)
	tests := []struct{ name, operation, input, want, names string }{
		{"a schedule", "PutRule", `{"Name":"r","ScheduleExpression":"rate(1 minute)"}`, "ValidationException", "Scheduler"},
		{"a bad pattern", "PutRule", `{"Name":"r","EventPattern":"{\"a\":[{\"cidr\":\"x\"}]}"}`, "InvalidEventPatternException", "cidr"},
		{"a rule on no bus", "PutRule", `{"Name":"r","EventBusName":"nope","EventPattern":"{\"a\":[1]}"}`, "ResourceNotFoundException", "nope"},
		{"an input transformer", "PutTargets", `{"Rule":"all","EventBusName":"rolecall","Targets":[{"Id":"t","Arn":"` + f.queue +
			`","InputTransformer":{"InputTemplate":"x"}}]}`, "ValidationException", "InputTransformer"},
		{"a constant input", "PutTargets", `{"Rule":"all","EventBusName":"rolecall","Targets":[{"Id":"t","Arn":"` + f.queue +
			`","Input":"{}"}]}`, "ValidationException", "Input of"},
		{
			"a function", "PutTargets", `{"Rule":"all","EventBusName":"rolecall","Targets":[{"Id":"t","Arn":"arn:aws:lambda:eu-west-1:1:function:f"}]}`,
			"ValidationException", "lambda",
		},
		{
			"no such rule", "PutTargets", `{"Rule":"nope","EventBusName":"rolecall","Targets":[{"Id":"t","Arn":"` + f.queue + `"}]}`,
			"ResourceNotFoundException", "nope",
		},
		{"a bus that exists", "CreateEventBus", `{"Name":"rolecall"}`, "ResourceAlreadyExistsException", "rolecall"},
		{"a bus with rules", "DeleteEventBus", `{"Name":"rolecall"}`, "ValidationException", "rules"},
		{"a rule with targets", "DeleteRule", `{"Name":"all","EventBusName":"rolecall"}`, "ValidationException", "targets"},
		{"an archive that is not there", "DescribeArchive", `{"ArchiveName":"nope"}`, "ResourceNotFoundException", "nope"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := f.call(test.operation, test.input)
			if code(err) != test.want || !strings.Contains(err.Error(), test.names) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestEverythingCanBeTakenApart(t *testing.T) {
	f := start(t)
	for _, step := range [][2]string{
		{"RemoveTargets", `{"Rule":"all","EventBusName":"rolecall","Ids":["sink"]}`},
		{"DeleteRule", `{"Name":"all","EventBusName":"rolecall"}`},
		{"DeleteRule", `{"Name":"all","EventBusName":"rolecall"}`},
		{"DeleteEventBus", `{"Name":"rolecall"}`},
	} {
		if _, err := f.call(step[0], step[1]); err != nil {
			t.Fatalf("%s: %v", step[0], err)
		}
	}
	if _, err := f.call("DescribeEventBus", `{"Name":"rolecall"}`); code(err) != "ResourceNotFoundException" {
		t.Errorf("error %v", err)
	}
}

func TestAnArchiveKeepsAndReplays(t *testing.T) {
	f := start(t)
	archive, err := f.CreateArchive(account, region, events.Archive{
		Name: "kept", Source: f.bus, Pattern: `{"detail":{"keep":[true]}}`, Days: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	began := *f.now
	id := f.put(`{"keep":true,"n":1}`)
	f.put(`{"keep":false}`)
	*f.now = began.Add(time.Hour)
	f.put(`{"keep":true,"n":2}`)
	f.received(f.queue)

	out, err := f.call("DescribeArchive", `{"ArchiveName":"kept"}`)
	if err != nil || out["EventCount"] != 2.0 || out["State"] != "ENABLED" {
		t.Fatalf("archive %v, error %v", out, err)
	}
	replay := events.Replay{Name: "again", Archive: archive, From: began, To: began.Add(time.Hour), Bus: f.bus}
	if _, err := f.StartReplay(account, region, replay); err != nil {
		t.Fatal(err)
	}
	got := f.received(f.queue)
	var e struct {
		ID     string `json:"id"`
		Replay string `json:"replay-name"`
	}
	if len(got) != 1 || json.Unmarshal([]byte(got[0].Body), &e) != nil || e.ID != id || e.Replay != "again" {
		t.Errorf("replayed %+v", got)
	}
	if out, err := f.call("DescribeReplay", `{"ReplayName":"again"}`); err != nil || out["State"] != "COMPLETED" {
		t.Errorf("replay %v, error %v", out, err)
	}
	if _, err := f.StartReplay(account, region, replay); code(err) != "ResourceAlreadyExistsException" {
		t.Errorf("the same replay again: %v", err)
	}
	replay.Name, replay.Rules = "filtered", []string{f.rule + "x"}
	if _, err := f.StartReplay(account, region, replay); err != nil {
		t.Fatal(err)
	}
	if got := f.received(f.queue); len(got) != 0 {
		t.Errorf("replayed to another rule: %+v", got)
	}
	*f.now = began.AddDate(0, 0, 2).Add(time.Minute)
	out, err = f.call("DescribeArchive", `{"ArchiveName":"kept"}`)
	if err != nil || out["EventCount"] != 1.0 {
		t.Errorf("after two days: %v, error %v", out, err)
	}
}

// everybody knows every access key as an account's root and lets it do everything.
type everybody struct{}

func (everybody) Authenticate(key, _ string) (wire.Principal, error) {
	return wire.Principal{Account: key, ARN: "arn:aws:iam::" + key + ":root", UserID: key}, nil
}

func (everybody) Authorize(wire.Principal, wire.Need) error { return nil }

func TestTheGoSDKUsesABus(t *testing.T) {
	f := start(t)
	door := wire.NewServer(wire.Config{Authenticator: everybody{}, Authorizer: everybody{}, Clock: time.Now})
	door.Register("events", f.Service)
	server := httptest.NewServer(door)
	defer server.Close()
	client := eventbridge.New(eventbridge.Options{
		Region: region, BaseEndpoint: &server.URL, HTTPClient: server.Client(),
		Credentials: credentials.NewStaticCredentialsProvider(account, "any", ""),
	})
	ctx := t.Context()
	made, err := client.PutRule(ctx, &eventbridge.PutRuleInput{
		Name: aws.String("enabled"), EventBusName: aws.String("rolecall"), EventPattern: aws.String(`{"detail-type":[{"prefix":"Connection"}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	queue := f.open("enabled", "ArnLike", aws.ToString(made.RuleArn))
	targets, err := client.PutTargets(ctx, &eventbridge.PutTargetsInput{
		Rule: aws.String("enabled"), EventBusName: aws.String("rolecall"),
		Targets: []eventbridgetypes.Target{{Id: aws.String("q"), Arn: &queue, DeadLetterConfig: &eventbridgetypes.DeadLetterConfig{Arn: &f.queue}}},
	})
	if err != nil || targets.FailedEntryCount != 0 {
		t.Fatalf("targets %+v, error %v", targets, err)
	}
	put, err := client.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []eventbridgetypes.PutEventsRequestEntry{{
		EventBusName: aws.String("rolecall"), Source: aws.String("test"), DetailType: aws.String("Connection enabled"),
		Detail: aws.String(`{"x":1}`), Time: aws.Time(time.Date(2026, 1, 1, 0, 0, 1, 0, time.UTC)),
	}}})
	if err != nil || put.FailedEntryCount != 0 || len(put.Entries) != 1 {
		t.Fatalf("put %+v, error %v", put, err)
	}
	got := f.received(queue)
	if len(got) != 1 || !strings.Contains(got[0].Body, `"time":"2026-01-01T00:00:01Z"`) {
		t.Errorf("received %+v", got)
	}
	listed, err := client.ListTargetsByRule(ctx, &eventbridge.ListTargetsByRuleInput{Rule: aws.String("enabled"), EventBusName: aws.String("rolecall")})
	if err != nil || len(listed.Targets) != 1 || aws.ToString(listed.Targets[0].DeadLetterConfig.Arn) != f.queue {
		t.Errorf("targets %+v, error %v", listed, err)
	}
	rules, err := client.ListRules(ctx, &eventbridge.ListRulesInput{EventBusName: aws.String("rolecall")})
	if err != nil || len(rules.Rules) != 2 {
		t.Errorf("rules %+v, error %v", rules, err)
	}
	_, err = client.DescribeRule(ctx, &eventbridge.DescribeRuleInput{Name: aws.String("nope")})
	if missing := (*eventbridgetypes.ResourceNotFoundException)(nil); !errors.As(err, &missing) {
		t.Errorf("error %v", err)
	}
}
