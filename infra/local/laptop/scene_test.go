package laptop_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	snsapi "github.com/aws/aws-sdk-go-v2/service/sns"
	sqsapi "github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"rolecall/infra/local/cfn"
	"rolecall/infra/local/faults"
	"rolecall/infra/local/sns"
	"rolecall/infra/local/sqs"
	"rolecall/infra/local/wire"
)

const (
	callbacksTopic = "arn:aws:sns:eu-west-1:111111111111:rolecall-callbacks"
	sceneTenant    = "acme-scene"
	stranger       = "999999999999"
	dropRefused    = "answer_refused"
	madeUpToken    = "1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)

// A message is a custom resource's request, whoever made it.
type message map[string]any

func (m message) text(name string) string { s, _ := m[name].(string); return s }

func (m message) with(name string, value any) message {
	out := maps.Clone(m)
	out[name] = value
	return out
}

// saying is the message with another of its resource's properties; "" takes it away.
func (m message) saying(name, value string) message {
	was, _ := m["ResourceProperties"].(map[string]any)
	properties := maps.Clone(was)
	properties[name] = value
	if value == "" {
		delete(properties, name)
	}
	return m.with("ResourceProperties", properties)
}

// succeed answers a message, as whoever is asked would.
func (m message) succeed(t *testing.T) {
	t.Helper()
	body, err := json.Marshal(map[string]string{
		"Status": "SUCCESS", "PhysicalResourceId": "x", "StackId": m.text("StackId"), "RequestId": m.text("RequestId"), "LogicalResourceId": m.text("LogicalResourceId"),
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, m.text("ResponseURL"), strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
}

// A tap is a queue that hears what a topic is told.
type tap struct {
	topic, queue string
	heard        []message
}

// listen hears a topic of the account's, which is made if there is none.
func listen(t *testing.T, account, name string) *tap {
	t.Helper()
	topic, err := "arn:aws:sns:eu-west-1:"+account+":"+name, error(nil)
	if topic != callbacksTopic {
		if topic, err = pocket.SNS.CreateTopic(account, "eu-west-1", name, nil); err != nil {
			t.Fatal(err)
		}
	}
	q, err := pocket.SQS.Create(account, "eu-west-1", "tap-"+rand.Text(), map[string]string{
		"Policy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*"}]}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	subscription, err := pocket.SNS.Subscribe(sns.Subscription{TopicARN: topic, Protocol: "sqs", Endpoint: q.ARN})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pocket.SNS.Unsubscribe(subscription) })
	return &tap{topic: topic, queue: q.ARN}
}

// all is what has been heard so far.
func (x *tap) all(t *testing.T) []message {
	t.Helper()
	for {
		got, err := pocket.SQS.Receive(context.Background(), x.queue, sqs.ReceiveInput{Max: 10})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			return x.heard
		}
		for _, m := range got {
			var envelope struct{ Message string }
			var heard message
			if json.Unmarshal([]byte(m.Body), &envelope) == nil && json.Unmarshal([]byte(envelope.Message), &heard) == nil {
				x.heard = append(x.heard, heard)
			}
			if err := pocket.SQS.DeleteMessage(x.queue, m.ReceiptHandle); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// next awaits a request of a kind.
func (x *tap) next(t *testing.T, kind string) (out message) {
	t.Helper()
	eventually(t, 60*time.Second, "a "+kind, func() bool {
		i := slices.IndexFunc(x.all(t), func(m message) bool { return m.text("RequestType") == kind })
		if i >= 0 {
			out = x.heard[i]
		}
		return i >= 0
	})
	return out
}

// onboarded is a customer whose account is connected.
type onboarded struct {
	acme           tenant
	theirs         customer
	launched, made connection
}

func (o onboarded) get() connection { o.acme.t.Helper(); return o.acme.get(o.launched.ID) }

// credentials is how a request for them is answered.
func (o onboarded) credentials() int {
	return o.acme.call("GET", "/v1/connections/"+o.made.ID+"/credentials", "").status
}

// onboard connects an account with the right to revoke sessions.
func (s *scene) onboard(t *testing.T, name string, change func(*cloudformation.CreateStackInput)) onboarded {
	t.Helper()
	o := onboarded{acme: tenant{t, s.acme}}
	o.acme.want(http.StatusCreated, "POST", "/v1/connections", fmt.Sprintf(`{"name":%q,"permissions":"administrator"}`, name+" "+newAccount())).into(t, &o.launched)
	return o.launch(t, change)
}

func (o onboarded) launch(t *testing.T, change func(*cloudformation.CreateStackInput)) onboarded {
	t.Helper()
	o.theirs = customer{t, newAccount(), "eu-west-1"}
	o.theirs.launch(o.launched, change)
	o.theirs.await(o.launched.Launch.StackName, types.StackStatusCreateComplete, 60*time.Second)
	o.made = o.get()
	if o.made.Status != "enabled" {
		t.Fatalf("%s is %s", o.made.Name, o.made.Status)
	}
	return o
}

// withToken is a connection's link with another token in it.
func (c connection) withToken(token string) connection {
	launch := *c.Launch
	launch.Parameters = maps.Clone(launch.Parameters)
	launch.Parameters["CallbackToken"] = token
	c.Launch = &launch
	return c
}

// raw creates a stack of bare resources.
func (c customer) raw(name string, resources map[string]any) {
	c.t.Helper()
	text, err := json.Marshal(map[string]any{"Resources": resources})
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.cloudFormation().CreateStack(context.Background(), &cloudformation.CreateStackInput{StackName: &name, TemplateBody: aws.String(string(text))}); err != nil {
		c.t.Fatal(err)
	}
}

// told is the code that the platform refused a stack with.
func (c customer) told(name string) string {
	c.t.Helper()
	m := regexp.MustCompile(`Message returned: ([A-Z_]+):`).FindStringSubmatch(strings.Join(c.reasons(name), "\n"))
	if m == nil {
		return "without a reason"
	}
	return m[1]
}

// spoilt updates a stack so that it rolls back once the connection has answered.
func (c customer) spoilt(from connection, change map[string]string) {
	c.t.Helper()
	c.updateStack(&cloudformation.UpdateStackInput{
		StackName: &from.Launch.StackName, TemplateBody: aws.String(withResource(c.t, template(c.t, from),
			"Spoiler", "DependsOn: Connection", "Type: Custom::Spoiler", "Properties: {ServiceToken: 'arn:aws:sns:eu-west-1:"+c.account+":nowhere'}")),
	}, change)
}

// withResource is a template with a resource more.
func withResource(t testing.TB, text, name string, lines ...string) string {
	t.Helper()
	before, after, found := strings.Cut(text, "\nResources:\n")
	if !found {
		t.Fatal("the template has changed; this test no longer knows it")
	}
	return before + "\nResources:\n  " + name + ":\n    " + strings.Join(lines, "\n    ") + "\n\n" + after
}

// A scene is a customer whose account is connected, a stranger, and all that can be seen of what the stranger does.
type scene struct {
	t         *testing.T
	acme      string // token of the tenant
	victim    victim
	strangers *tap // a topic of the stranger's own, whose stack has asked it
	tap       *tap // the callbacks' topic
	client    *snsapi.Client
	stolen    wire.Credentials // whose id CloudFormation signs with
	events    subscriber
	published map[string]string // by id
	others    map[string]bool   // connections of other tests
}

// A victim is connected by the second of two launches; its stack has another custom resource, of its own topic.
type victim struct {
	onboarded
	older, token string
	other        *tap
}

var connectionID = regexp.MustCompile(`conn_[0-9a-z]{26}`)

func newScene(t *testing.T) *scene {
	t.Helper()
	quietNow(t)
	s := &scene{
		t: t, acme: as(t, sceneTenant).token, tap: listen(t, "111111111111", "rolecall-callbacks"), published: map[string]string{}, others: map[string]bool{},
		client: snsapi.NewFromConfig(awsConfig(stranger, "any", "", "eu-west-1")), events: subscribe(t, "scene-"+strings.ToLower(rand.Text())),
	}
	for _, id := range connectionID.FindAllString(scan(t), -1) {
		s.others[id] = true
	}
	me := customer{t, stranger, "eu-west-1"}
	s.strangers = listen(t, stranger, "mine-"+rand.Text())
	me.raw("own-"+rand.Text(), map[string]any{"Own": map[string]any{"Type": "Custom::Own", "Properties": map[string]any{"ServiceToken": s.strangers.topic}}})
	q, err := url.Parse(s.strangers.next(t, "Create").text("ResponseURL"))
	if err != nil {
		t.Fatal(err)
	}
	id, _, _ := strings.Cut(q.Query().Get("X-Amz-Credential"), "/")
	s.stolen = wire.Credentials{AccessKeyID: id, SecretAccessKey: "made up", SessionToken: q.Query().Get("X-Amz-Security-Token")}
	s.connectVictim()
	return s
}

func (s *scene) connectVictim() {
	s.t.Helper()
	acme := tenant{s.t, s.acme}
	v := &s.victim
	v.acme = acme
	acme.want(http.StatusCreated, "POST", "/v1/connections", `{"name":"Victim `+newAccount()+`","permissions":"administrator"}`).into(s.t, &v.launched)
	v.older = v.launched.Launch.Parameters["CallbackToken"]
	acme.want(http.StatusCreated, "POST", "/v1/connections/"+v.launched.ID+"/launch", "").into(s.t, &v.launched)
	v.token = v.launched.Launch.Parameters["CallbackToken"]
	v.theirs = customer{s.t, newAccount(), "eu-west-1"}
	v.other = listen(s.t, v.theirs.account, "other")
	text := withResource(s.t, template(s.t, v.launched), "Other", "Type: Custom::Other", "Properties: {ServiceToken: '"+v.other.topic+"'}")
	v.theirs.launchBody(v.launched, text)
	v.other.next(s.t, "Create").succeed(s.t)
	v.theirs.await(v.launched.Launch.StackName, types.StackStatusCreateComplete, 60*time.Second)
	if v.made = v.get(); v.made.Status != "enabled" || v.older == v.token {
		s.t.Fatalf("the victim is %s", v.made.Status)
	}
}

func bucket() string { return pocket.AWSURL + strings.TrimSuffix(cfn.ResponsePath, "/") }

// signed is an answer address as CloudFormation's are, but for the signature.
func (s *scene) signed(stack, logical, request string) string {
	return s.signedAgo(stack, logical, request, 0)
}

func (s *scene) signedAgo(stack, logical, request string, ago time.Duration) string {
	return cfn.ResponseAddress{
		Bucket: bucket(), StackID: stack, LogicalID: logical, RequestID: request, By: s.stolen, At: now.Now().Add(-ago), Life: 2 * time.Hour,
	}.URL()
}

// forged is what the stranger makes up in the victim's name.
func (s *scene) forged(kind, resource string) message {
	return s.forgedOf(s.victim.onboarded, kind, resource)
}

func (s *scene) forgedOf(o onboarded, kind, resource string) message {
	request := rand.Text()
	return message{
		"RequestType": kind, "ServiceToken": callbacksTopic, "StackId": o.made.Stack.ID, "RequestId": request, "LogicalResourceId": resource,
		"ResourceType": "Custom::Rolecall" + resource, "PhysicalResourceId": o.made.ID, "ResponseURL": s.signed(o.made.Stack.ID, resource, request),
		"ResourceProperties": map[string]any{
			"ConnectionId": o.made.ID, "ExternalId": o.made.ExternalID, "RoleArn": "arn:aws:iam::" + o.theirs.account + ":role/Forged",
			"PermissionSet": "administrator", "TemplateVersion": "9.9.9",
		},
	}
}

// publish sends messages to the callbacks' topic as the stranger, whom the topic's policy admits like anybody.
func (s *scene) publish(t *testing.T, all ...message) {
	t.Helper()
	for _, m := range all {
		text, err := json.Marshal(m)
		if err != nil {
			t.Error(err)
		}
		if _, err := s.client.Publish(context.Background(), &snsapi.PublishInput{TopicArn: aws.String(callbacksTopic), Message: aws.String(string(text))}); err != nil {
			t.Error(err)
		}
	}
}

// dropped is an attack whose messages are all to be dropped.
func (s *scene) dropped(name, expected string, all ...message) attack {
	return attack{name, expected, func(t *testing.T) string {
		return s.watch(t, func() { s.publish(t, all...) }, func(g sight) bool {
			n := 0
			for _, drops := range g.drops {
				n += drops
			}
			return n >= len(all)
		}).String()
	}}
}

// A sight is what was seen of something.
type sight struct {
	drops   map[string]int // of messages, by reason
	puts    map[int]int    // at the bucket for answers, by status
	asked   int            // requests that the functions made for callbacks
	failed  []string       // ERROR lines
	changed []string       // in the table, among the events and in the queues
}

func (g sight) change() string {
	if len(g.changed) == 0 {
		return "nothing written"
	}
	return "CHANGED " + strings.Join(g.changed[:min(4, len(g.changed))], " ")
}

func (g sight) String() string {
	var parts []string
	if len(g.drops) > 0 {
		parts = append(parts, "dropped: "+tally(g.drops))
	}
	if len(g.puts) > 0 {
		parts = append(parts, "PUTs: "+tally(g.puts))
	} else if g.asked == 0 {
		parts = append(parts, "no I/O")
	}
	if len(g.failed) > 0 {
		parts = append(parts, "ERROR "+strings.Join(g.failed, "\n"))
	}
	return strings.Join(append(parts, g.change()), "; ")
}

func tally[K string | int](counts map[K]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%v ×%d", k, counts[k]))
	}
	return strings.Join(parts, ", ")
}

// A count goes on from where it began.
type count struct {
	line int
	mark wire.Mark
	sum  sight
}

func (s *scene) count() *count {
	return &count{line: len(logs.all()), mark: pocket.Journal.Mark(), sum: sight{drops: map[string]int{}, puts: map[int]int{}}}
}

var reason = regexp.MustCompile(`"Reason":"([a-z_]+)","CallbacksDropped":1`)

// look is what has been seen since the count began.
func (c *count) look() sight {
	entries := pocket.Journal.Entries(c.mark)
	c.mark += wire.Mark(len(entries))
	for _, e := range entries {
		switch {
		case e.Service == faults.CustomResponse:
			c.sum.puts[e.Status]++
		case strings.HasSuffix(e.Caller, "/rolecall-callback"), strings.HasSuffix(e.Caller, "/rolecall-verify"):
			c.sum.asked++
		}
	}
	lines := logs.all()[c.line:]
	c.line += len(lines)
	for _, l := range lines {
		if m := reason.FindStringSubmatch(l); m != nil {
			c.sum.drops[m[1]]++
		}
		if strings.Contains(l, `"level":"ERROR"`) {
			c.sum.failed = append(c.sum.failed, l)
		}
	}
	return c.sum
}

// watch does something and tells what came of it, once that has been seen and nothing happens any more.
func (s *scene) watch(t *testing.T, do func(), seen func(sight) bool) sight {
	t.Helper()
	quietNow(t)
	before, c := s.state(t), s.count()
	do()
	eventually(t, 4*time.Minute, "an outcome", func() bool { return seen(c.look()) })
	quietNow(t)
	g := c.look()
	g.changed = difference(before, s.state(t))
	return g
}

// state is the whole table, all published events and the lengths of all queues, but for other tests' connections, leases,
// which count, and the schedule's cursor.
func (s *scene) state(t *testing.T) []string {
	t.Helper()
	var out []string
	for line := range strings.Lines(scan(t)) {
		if strings.Contains(line, "SK:LIMIT#") || strings.Contains(line, "SK:SWEEP#cursor") || s.isOthers(line) {
			continue
		}
		out = append(out, line)
	}
	s.drainEvents(t)
	for id, body := range s.published {
		out = append(out, "event "+id+" "+body)
	}
	out = append(out, "queues "+lengths(t, "rolecall-callbacks", "rolecall-verify-now", "rolecall-verify-sweep")+" dead "+deadLetters(t))
	slices.Sort(out)
	return out
}

func (s *scene) isOthers(text string) bool {
	return slices.ContainsFunc(connectionID.FindAllString(text, -1), func(id string) bool { return s.others[id] })
}

func (s *scene) drainEvents(t *testing.T) {
	t.Helper()
	for {
		got, err := s.events.client.ReceiveMessage(context.Background(), &sqsapi.ReceiveMessageInput{QueueUrl: &s.events.url, MaxNumberOfMessages: 10})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Messages) == 0 {
			return
		}
		var done []sqstypes.DeleteMessageBatchRequestEntry
		for _, m := range got.Messages {
			var event struct{ Detail struct{ ID string } }
			if err := json.Unmarshal([]byte(*m.Body), &event); err != nil {
				t.Fatal(err)
			}
			if !s.isOthers(*m.Body) {
				s.published[event.Detail.ID] = *m.Body
			}
			done = append(done, sqstypes.DeleteMessageBatchRequestEntry{Id: m.MessageId, ReceiptHandle: m.ReceiptHandle})
		}
		if _, err := s.events.client.DeleteMessageBatch(context.Background(), &sqsapi.DeleteMessageBatchInput{QueueUrl: &s.events.url, Entries: done}); err != nil {
			t.Fatal(err)
		}
	}
}

// difference is the lines that one of two sorted lists has and the other has not.
func difference(before, after []string) (out []string) {
	for _, l := range after {
		if _, same := slices.BinarySearch(before, l); !same {
			out = append(out, "+"+l)
		}
	}
	for _, l := range before {
		if _, same := slices.BinarySearch(after, l); !same {
			out = append(out, "-"+l)
		}
	}
	return out
}

// lengths are the messages in queues: visible, in flight and delayed.
func lengths(t *testing.T, names ...string) string {
	t.Helper()
	var out []string
	for _, name := range names {
		a, err := pocket.SQS.Attributes("arn:aws:sqs:eu-west-1:111111111111:" + name)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, a["ApproximateNumberOfMessages"]+"/"+a["ApproximateNumberOfMessagesNotVisible"]+"/"+a["ApproximateNumberOfMessagesDelayed"])
	}
	return strings.Join(out, " ")
}

func deadLetters(t *testing.T) string {
	t.Helper()
	return lengths(t, "rolecall-callbacks-dlq", "rolecall-verify-now-dlq", "rolecall-verify-sweep-dlq")
}

func errorLines() (out []string) {
	for _, l := range logs.all() {
		if strings.Contains(l, `"level":"ERROR"`) {
			out = append(out, l)
		}
	}
	return out
}

// quietNow waits until no function is at work and nobody waits in a queue.
func quietNow(t *testing.T) {
	t.Helper()
	mark, since := pocket.Journal.Mark(), time.Now()
	eventually(t, 3*time.Minute, "quiet", func() bool {
		now := pocket.Journal.Mark()
		if now != mark || pocket.Lambda.InFlight() > 0 || lengths(t, "rolecall-callbacks", "rolecall-verify-now") != "0/0/0 0/0/0" {
			mark, since = now, time.Now()
		}
		return time.Since(since) >= quiet
	})
}
