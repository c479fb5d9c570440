package customresource

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"rolecall/shared/connect"
)

// receiver answers by connection id.
type receiver struct {
	mu      sync.Mutex
	receive func(connect.CallbackRequest) (*connect.Reply, error)
	got     []connect.CallbackRequest
}

func (r *receiver) Receive(_ context.Context, c connect.CallbackRequest) (*connect.Reply, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, c)
	return r.receive(c)
}

// given is one answer that an answerer was asked to give.
type given struct {
	RequestID, PhysicalID string
	OK                    bool
	Code                  connect.Code
}

type answerer struct {
	mu   sync.Mutex
	fail error
	got  []given
}

func (a *answerer) Answer(_ context.Context, to connect.ReplyTo, r connect.Reply) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got = append(a.got, given{to.RequestID, to.PhysicalID, r.OK, r.Reason.Code})
	return a.fail
}

func record(id, body string, deliveries int) events.SQSMessage {
	return events.SQSMessage{MessageId: id, ReceiptHandle: "handle-" + id, Body: body, Attributes: map[string]string{"ApproximateReceiveCount": strconv.Itoa(deliveries)}}
}

// sentAt is when SNS took the requests that wrap makes.
var sentAt = time.Date(2026, 3, 4, 5, 6, 7, 123e6, time.UTC)

// atOnce is the clock of one who handles them then.
func atOnce() time.Time { return sentAt }

// pauses keeps how long each message was put off.
type pauses struct {
	mu   sync.Mutex
	fail error
	got  map[string]time.Duration // by receipt handle
}

func (p *pauses) Pause(_ context.Context, receiptHandle string, d time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got[receiptHandle] = d
	return p.fail
}

type bench struct {
	h      Handler
	recv   *receiver
	ans    *answerer
	pauses *pauses
	now    *time.Time
	log    *bytes.Buffer
}

func newBench(receive func(connect.CallbackRequest) (*connect.Reply, error)) bench {
	sent := sentAt
	b := bench{
		recv: &receiver{receive: receive}, ans: &answerer{}, pauses: &pauses{got: map[string]time.Duration{}}, now: &sent, log: &bytes.Buffer{},
	}
	b.h = Handler{
		Topics: topics(), Receiver: b.recv, Answerer: b.ans, Pauses: b.pauses, Clock: func() time.Time { return *b.now },
		Log: slog.New(slog.NewJSONHandler(b.log, nil)),
	}
	return b
}

func (b bench) handle(t *testing.T, records ...events.SQSMessage) []string {
	t.Helper()
	out, err := b.h.Handle(t.Context(), events.SQSEvent{Records: records})
	if err != nil {
		t.Fatal(err)
	}
	var failed []string
	for _, f := range out.BatchItemFailures {
		failed = append(failed, f.ItemIdentifier)
	}
	return failed
}

func succeed(connect.CallbackRequest) (*connect.Reply, error) { return &connect.Reply{OK: true}, nil }

func later(connect.CallbackRequest) (*connect.Reply, error) { return nil, nil }

func TestPoisonFailsAlone(t *testing.T) {
	b := newBench(func(c connect.CallbackRequest) (*connect.Reply, error) {
		switch c.Callback.RequestID {
		case "panics":
			panic("out of cheese")
		case "fails":
			return nil, errors.New("table on fire")
		}
		return &connect.Reply{OK: true}, nil
	})
	message := func(request string) string {
		return wrap(t, create(t, map[string]any{"RequestId": request}, nil), nil)
	}
	failed := b.handle(t,
		record("1", message("r1"), 1), record("2", "poison", 1), record("3", message("panics"), 1), record("4", message("r4"), 1),
		record("5", message("fails"), 1), record("6", wrap(t, create(t, map[string]any{"ResponseURL": "https://attacker.example/"}, nil), nil), 1),
		record("7", message("r7"), 1))
	if diff := cmp.Diff([]string{"3", "5"}, failed); diff != "" {
		t.Error(diff)
	}
	if len(b.ans.got) != 3 {
		t.Errorf("answers %+v", b.ans.got)
	}
	for _, want := range []string{"panic: string", "table on fire", `"messageId":"3"`} {
		if !strings.Contains(b.log.String(), want) {
			t.Errorf("the log lacks %s", want)
		}
	}
}

// dropped are the reasons that the log counts, in order, and the level of each of its lines.
func (b bench) dropped(t *testing.T) (reasons, levels []string) {
	t.Helper()
	for line := range strings.Lines(b.log.String()) {
		var r struct {
			Level, Reason    string
			CallbacksDropped int
			AWS              struct {
				CloudWatchMetrics []struct{ Namespace string }
			} `json:"_aws"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		levels = append(levels, r.Level)
		if r.CallbacksDropped == 1 && len(r.AWS.CloudWatchMetrics) == 1 && r.AWS.CloudWatchMetrics[0].Namespace == "Rolecall" {
			reasons = append(reasons, r.Reason)
		}
	}
	return reasons, levels
}

// What CloudFormation did not send is let go of at once, whoever sends however much of it: nobody is asked, nothing is
// answered or comes again, and there is one line that counts it and no alarm.
func TestStrangersMessagesAreDropped(t *testing.T) {
	bodies := map[string]string{
		"envelope": "poison", "topic": wrap(t, create(t, nil, nil), map[string]any{"TopicArn": topic + "2"}), "message": wrap(t, "{", nil),
		"stack": wrap(t, create(t, map[string]any{"StackId": "x"}, nil), nil), "ids": wrap(t, create(t, map[string]any{"RequestId": ""}, nil), nil),
		"host":      wrap(t, create(t, map[string]any{"ResponseURL": "https://attacker.example" + key + signature}, nil), nil),
		"key":       wrap(t, create(t, map[string]any{"ResponseURL": changed(t, "rolecall-abc-1", "other")}, nil), nil),
		"signature": wrap(t, create(t, map[string]any{"ResponseURL": goodURL + "&X-Amz-Date=20260304T050607Z"}, nil), nil),
		"date":      wrap(t, create(t, nil, nil), map[string]any{"Timestamp": "2026-03-04T05:00:00Z"}),
	}
	token := map[string]any{"CallbackToken": "canary-callback-token"}
	bodies["expired"] = wrap(t, create(t, map[string]any{"ResponseURL": changed(t, "Expires=7200", "Expires=5")}, token), nil)
	for reason, body := range bodies {
		b := newBench(func(connect.CallbackRequest) (*connect.Reply, error) {
			t.Errorf("%s: the domain was asked", reason)
			return nil, nil
		})
		failed := b.handle(t, record("1", body, 1))
		reasons, levels := b.dropped(t)
		if diff := cmp.Diff([]string{reason}, reasons); diff != "" || failed != nil || len(b.ans.got) != 0 || len(b.pauses.got) != 0 {
			t.Errorf("%s: failed %v, answers %v, pauses %v: %s", reason, failed, b.ans.got, b.pauses.got, diff)
		}
		if diff := cmp.Diff([]string{"INFO"}, levels); diff != "" {
			t.Errorf("%s: levels %s", reason, diff)
		}
		for _, secret := range []string{"X-Amz", "canary-callback-token", "attacker.example", canary} {
			if strings.Contains(b.log.String(), secret) {
				t.Errorf("%s: the log has %s: %s", reason, secret, b.log)
			}
		}
	}
}

// An answer that the bucket refuses shows that CloudFormation did not ask for it: that request is dropped, too, whoever
// gives the answer.
func TestRefusedAnswersAreDropped(t *testing.T) {
	refused := fmt.Errorf("answer: %w: the bucket replied with status 403", connect.ErrAnswerRefused)
	for name, c := range map[string]struct {
		receive    func(connect.CallbackRequest) (*connect.Reply, error)
		change     map[string]any
		deliveries int
		after      time.Duration
	}{
		"by the domain":    {receive: func(connect.CallbackRequest) (*connect.Reply, error) { return nil, fmt.Errorf("commit: %w", refused) }},
		"after a reply":    {receive: succeed},
		"of a bad request": {receive: later, change: map[string]any{"ResourceType": "Custom::Other"}},
		"of our trouble": {
			receive:    func(connect.CallbackRequest) (*connect.Reply, error) { return nil, errors.New("table on fire") },
			deliveries: 6, after: 115 * time.Second,
		},
	} {
		b := newBench(c.receive)
		b.ans.fail = refused
		*b.now = sentAt.Add(c.after)
		failed := b.handle(t, record("1", wrap(t, create(t, c.change, nil), nil), c.deliveries))
		reasons, levels := b.dropped(t)
		if diff := cmp.Diff([]string{"answer_refused"}, reasons); diff != "" || failed != nil || len(b.pauses.got) != 0 {
			t.Errorf("%s: failed %v, pauses %v: %s", name, failed, b.pauses.got, diff)
		}
		if diff := cmp.Diff([]string{"INFO"}, levels); diff != "" {
			t.Errorf("%s: levels %s", name, diff)
		}
	}
}

func TestNoFailuresIsAnEmptyList(t *testing.T) {
	b := newBench(succeed)
	out, _ := b.h.Handle(t.Context(), events.SQSEvent{})
	raw, _ := json.Marshal(out)
	if string(raw) != `{"batchItemFailures":[]}` {
		t.Errorf("%s", raw) // null would fail the whole batch
	}
}

func TestDeliveriesAreCounted(t *testing.T) {
	for deliveries, want := range map[int]bool{1: false, 2: true, 7: true} {
		b := newBench(later)
		if failed := b.handle(t, record("1", wrap(t, create(t, nil, nil), nil), deliveries)); failed != nil || len(b.ans.got) != 0 {
			t.Errorf("failed %v, answers %v", failed, b.ans.got)
		}
		if got := b.recv.got[0].Redelivered; got != want {
			t.Errorf("delivery %d: redelivered %v", deliveries, got)
		}
	}
}

func TestAnswerThatIsNotTakenIsGivenAgain(t *testing.T) {
	b := newBench(succeed)
	b.ans.fail = errors.New("the bucket replied with status 503")
	if failed := b.handle(t, record("1", wrap(t, create(t, nil, nil), nil), 1)); len(failed) != 1 {
		t.Errorf("failed %v", failed)
	}
	b.ans.fail = nil
	if failed := b.handle(t, record("1", wrap(t, create(t, nil, nil), nil), 2)); len(failed) != 0 || len(b.ans.got) != 2 {
		t.Errorf("failed %v, answers %v", failed, b.ans.got)
	}
}

func TestMalformedRequestsAreAnsweredWithoutAskingTheDomain(t *testing.T) {
	for kind, want := range map[string]given{
		"Create": {"9f8e7d6c-0000", connectionID, false, CodeMalformed},
		"Update": {"9f8e7d6c-0000", connectionID, false, CodeMalformed},
		"Delete": {"9f8e7d6c-0000", connectionID, true, ""},
	} {
		b := newBench(succeed)
		failed := b.handle(t, record("1", wrap(t, create(t, map[string]any{"RequestType": kind, "ResourceType": "Custom::Other"}, nil), nil), 1))
		if diff := cmp.Diff([]given{want}, b.ans.got); diff != "" || failed != nil || len(b.recv.got) != 0 {
			t.Errorf("%s: failed %v, asked %v: %s", kind, failed, b.recv.got, diff)
		}
	}
}

func TestStacksAreToldOfFailuresThatRepeat(t *testing.T) {
	for _, c := range []struct {
		kind       string
		deliveries int
		after      time.Duration
		answers    int
	}{
		{"Create", 1, 0, 0},
		{"Create", 5, 75 * time.Second, 0},
		{"Create", 6, 115 * time.Second, 1},
		{"Update", 2, 180 * time.Second, 1},
		{"Create", 1, 180 * time.Second, 0}, // it lay in the queue, and may yet go well
		{"Delete", 6, 115 * time.Second, 0},
		{"Delete", 9, 240 * time.Second, 0},
	} {
		for name, receive := range map[string]func(connect.CallbackRequest) (*connect.Reply, error){
			"error": func(connect.CallbackRequest) (*connect.Reply, error) { return nil, errors.New("x") },
			"panic": func(connect.CallbackRequest) (*connect.Reply, error) { panic("x") },
		} {
			b := newBench(receive)
			*b.now = sentAt.Add(c.after)
			failed := b.handle(t, record("1", wrap(t, create(t, map[string]any{"RequestType": c.kind}, nil), nil), c.deliveries))
			if len(failed) != 1 || len(b.ans.got) != c.answers {
				t.Errorf("%s, %s, delivery %d: failed %v, answers %v", name, c.kind, c.deliveries, failed, b.ans.got)
			}
			for _, a := range b.ans.got {
				if a.OK || a.Code != connect.CodeInternal {
					t.Errorf("answer %+v", a)
				}
			}
		}
	}
}

// A message that failed comes again soon, so that a stack waits seconds for what was over in seconds.
func TestFailuresComeAgainSoon(t *testing.T) {
	b := newBench(func(connect.CallbackRequest) (*connect.Reply, error) { return nil, errors.New("table on fire") })
	good := wrap(t, create(t, nil, nil), nil)
	failed := b.handle(t, record("1", good, 1), record("2", good, 2), record("4", good, 4), record("9", good, 9))
	want := map[string]time.Duration{
		"handle-1": 5 * time.Second, "handle-2": 10 * time.Second, "handle-4": 40 * time.Second, "handle-9": 40 * time.Second,
	}
	if diff := cmp.Diff(want, b.pauses.got); diff != "" || len(failed) != 4 {
		t.Errorf("failed %v, pauses (-want +got):\n%s", failed, diff)
	}
	b.pauses.fail = errors.New("not now")
	if failed := b.handle(t, record("1", good, 1)); len(failed) != 1 {
		t.Errorf("failed %v although its pause could not be set", failed)
	}
}

func TestLogHasNoSecret(t *testing.T) {
	b := newBench(func(r connect.CallbackRequest) (*connect.Reply, error) { panic(r) })
	token := "canary-callback-token"
	b.handle(t, record("1", wrap(t, create(t, nil, map[string]any{"CallbackToken": token}), nil), 1))
	b.recv.receive = func(r connect.CallbackRequest) (*connect.Reply, error) {
		return nil, errors.New(r.ReplyTo.URL.String())
	}
	b.handle(t, record("2", wrap(t, create(t, nil, map[string]any{"CallbackToken": token}), nil), 1))
	b.recv.receive = succeed
	b.h.Answerer = func() *Sender {
		s := NewSender(&bucket{steps: []step{broken(errors.New(goodURL))}}, atOnce)
		s.pause = 0
		return s
	}()
	b.handle(t, record("3", wrap(t, create(t, nil, map[string]any{"CallbackToken": token}), nil), 1))
	for _, secret := range []string{token, canary} {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), url.QueryEscape(secret)} {
			if strings.Contains(b.log.String(), form) {
				t.Errorf("the log has %s: %s", secret, b.log)
			}
		}
	}
	if strings.Count(b.log.String(), `"level":"ERROR"`) != 3 {
		t.Errorf("log %s", b.log)
	}
}

// store keeps one connection and its stacks' fences, as the domain's port asks.
type store struct {
	mu     sync.Mutex
	c      connect.Connection
	fences map[connect.StackID]connect.Fence
	writes int
}

func (s *store) ConnectionAndFence(_ context.Context, id connect.ConnectionID, stack connect.StackID) (connect.Connection, connect.Fence, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c.ID() != id {
		return connect.Connection{}, connect.Fence{}, connect.ErrNotFound
	}
	return s.c, s.fences[stack], nil
}

func (s *store) Commit(_ context.Context, ch connect.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c.Version() != ch.Expect() {
		return connect.ErrConflict
	}
	s.c = ch.Connection()
	s.writes++
	if f := ch.Fence(); f != nil {
		s.fences[f.StackID] = *f
	}
	return nil
}

type tokens struct{}

func (tokens) Token(context.Context, connect.ConnectionID, int) (connect.Secret, error) {
	return connect.NewSecret("token-1"), nil
}

func (tokens) Launch(_ context.Context, _ connect.ConnectionID, token connect.Secret) (int, error) {
	if !token.Equal(connect.NewSecret("token-1")) {
		return 0, connect.Invalid(connect.CodeTokenInvalid, "the callback token is not this connection's")
	}
	return 1, nil
}

type jobs struct {
	mu  sync.Mutex
	got []connect.VerifyJob
}

func (j *jobs) Verify(_ context.Context, job connect.VerifyJob, _ time.Duration) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.got = append(j.got, job)
	return nil
}

// journey is the handler in front of the domain itself.
type journey struct {
	bench
	store *store
	jobs  *jobs
}

func newJourney(t *testing.T) journey {
	t.Helper()
	now := time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)
	made := connect.Create(connect.NewConnection{
		TenantID: "acme", Name: "a", Partition: connect.PartitionAWS, DefaultRegion: "eu-west-1", Permissions: "read-only", By: "anna",
	}, connectionID, connect.NewExternalID(), now)
	j := journey{bench: newBench(nil), jobs: &jobs{}, store: &store{c: made.Connection(), fences: map[connect.StackID]connect.Fence{}}}
	j.h.Receiver = connect.Callbacks{
		Store: j.store, Tokens: tokens{}, Jobs: j.jobs, Clock: func() time.Time { return now.Add(time.Minute) }, Account: "111111111111",
	}
	return j
}

// step delivers one request and gives the answer that it led to, if any.
func (j journey) step(t *testing.T, change, properties map[string]any) *given {
	t.Helper()
	before := len(j.ans.got)
	if failed := j.handle(t, record("1", wrap(t, create(t, change, properties), nil), 1)); failed != nil {
		t.Fatalf("failed %v: %s", failed, j.log)
	}
	if len(j.ans.got) == before {
		return nil
	}
	return &j.ans.got[before]
}

func TestEveryRefusalReachesTheStack(t *testing.T) {
	for name, c := range map[string]struct {
		properties map[string]any
		code       connect.Code
	}{
		"unknown connection":            {map[string]any{"ConnectionId": "conn_01jd0000000000000000000001"}, connect.CodeNotFound},
		"no connection":                 {map[string]any{"ConnectionId": nil}, connect.CodeNotFound},
		"an external ID for connection": {map[string]any{"ConnectionId": "rc-0123"}, connect.CodeNotFound},
		"wrong token":                   {map[string]any{"CallbackToken": "token-2"}, connect.CodeTokenInvalid},
		"no token":                      {map[string]any{"CallbackToken": nil}, connect.CodeTokenInvalid},
		"no role":                       {map[string]any{"RoleArn": nil}, connect.CodeRoleARNInvalid},
		"role of another account":       {map[string]any{"RoleArn": "arn:aws:iam::222222222222:role/Rolecall"}, connect.CodeAccountMismatch},
		"account that only looks alike": {map[string]any{"RoleArn": "arn:aws:iam::112345678901:role/Rolecall"}, connect.CodeAccountMismatch},
		"account without leading zero":  {map[string]any{"RoleArn": "arn:aws:iam::12345678901:role/Rolecall"}, connect.CodeRoleARNInvalid},
		"account in a property":         {map[string]any{"AccountId": "222222222222", "RoleArn": "arn:aws:iam::222222222222:role/R"}, connect.CodeAccountMismatch},
		"the platform's own account":    {map[string]any{"RoleArn": "arn:aws:iam::111111111111:role/R"}, connect.CodeOwnAccount},
		"other partition":               {map[string]any{"RoleArn": "arn:aws-cn:iam::012345678901:role/R"}, connect.CodePartitionMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJourney(t)
			got := j.step(t, nil, c.properties)
			if got == nil || got.OK || got.Code != c.code || got.PhysicalID == "" {
				t.Errorf("answer %+v, want %s", got, c.code)
			}
			if j.store.writes != 0 || len(j.jobs.got) != 0 {
				t.Error("something was written")
			}
			if got := j.step(t, map[string]any{"RequestType": "Delete", "PhysicalResourceId": "made-up", "RequestId": "2"}, c.properties); got == nil || !got.OK {
				t.Errorf("Delete is answered %+v", got)
			}
		})
	}
}

func TestRoleThatIsReportedIsTriedAndAnsweredLater(t *testing.T) {
	j := newJourney(t)
	if got := j.step(t, nil, nil); got != nil {
		t.Fatalf("answered at once: %+v", got)
	}
	to := j.jobs.got[0].ReplyTo
	if to == nil || to.PhysicalID != connectionID || to.URL.Reveal() != goodURL || to.RequestID != "9f8e7d6c-0000" {
		t.Errorf("the job replies to %+v", to)
	}
	if s := j.store.c.Snapshot(); s.AccountID != "012345678901" || s.Stack.TemplateVersion != "1.0.0" {
		t.Errorf("account %s, template %s", s.AccountID, s.Stack.TemplateVersion)
	}
	for range 1000 { // SNS and SQS both deliver at least once
		j.step(t, nil, nil)
	}
	if j.store.writes != 1 || len(j.jobs.got) != 1 {
		t.Errorf("%d writes, %d jobs", j.store.writes, len(j.jobs.got))
	}
}

func TestUpdateWithANewRoleIsTried(t *testing.T) {
	j := newJourney(t)
	j.step(t, nil, nil)
	other := "arn:aws:iam::012345678901:role/Other"
	j.step(t, map[string]any{"RequestType": "Update", "RequestId": "2", "PhysicalResourceId": connectionID}, map[string]any{"RoleArn": other})
	if v, ok := j.store.c.Trial(); !ok || v.RoleARN.String() != other || len(j.jobs.got) != 2 {
		t.Errorf("trial %+v, %d jobs", v, len(j.jobs.got))
	}
}

func TestDeleteOfAnotherStackChangesNothing(t *testing.T) {
	j := newJourney(t)
	j.step(t, nil, nil)
	foreign := strings.Replace(stackIn(t, "aws", "eu-west-1").String(), "rolecall-abc-1", "other", 1)
	for name, change := range map[string]map[string]any{
		"another stack of the account": {"RequestType": "Delete", "RequestId": "3", "StackId": foreign, "PhysicalResourceId": connectionID},
		"a stack of another account":   {"RequestType": "Delete", "RequestId": "4", "StackId": strings.Replace(foreign, "0123", "9123", 1)},
	} {
		if got := j.step(t, change, nil); got == nil || !got.OK || j.store.c.Status() != connect.StatusVerifying {
			t.Errorf("%s: %+v, connection %s", name, got, j.store.c.Status())
		}
	}
	if got := j.step(t, map[string]any{"RequestType": "Delete", "RequestId": "5"}, nil); got == nil || !got.OK || j.store.c.Status() != connect.StatusDisconnected {
		t.Errorf("its own stack: %+v, connection %s", got, j.store.c.Status())
	}
}

func TestStackStartedIsAnsweredAtOnce(t *testing.T) {
	j := newJourney(t)
	got := j.step(t, map[string]any{"ResourceType": "Custom::RolecallStackStarted", "LogicalResourceId": "StackStarted"}, map[string]any{"RoleArn": nil, "TemplateVersion": nil})
	if got == nil || !got.OK || got.PhysicalID != connectionID || j.store.writes != 1 {
		t.Errorf("%+v, %d writes", got, j.store.writes)
	}
}
