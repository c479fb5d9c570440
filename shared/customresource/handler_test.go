package customresource

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
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
	"rolecall/shared/storetest"
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
	if diff := cmp.Diff([]string{"2", "3", "5", "6"}, failed); diff != "" {
		t.Error(diff)
	}
	if len(b.ans.got) != 3 {
		t.Errorf("answers %+v", b.ans.got)
	}
	for _, want := range []string{"panic: string", "table on fire", "unanswerable", `"messageId":"3"`} {
		if !strings.Contains(b.log.String(), want) {
			t.Errorf("the log lacks %s", want)
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
	b.ans.fail = errors.New("the bucket replied with status 403")
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

// A message that failed comes again soon, so that a stack waits seconds for what was over in seconds; one that nobody
// can act upon comes again in the queue's own time.
func TestFailuresComeAgainSoon(t *testing.T) {
	b := newBench(func(connect.CallbackRequest) (*connect.Reply, error) { return nil, errors.New("table on fire") })
	good := wrap(t, create(t, nil, nil), nil)
	failed := b.handle(t, record("1", good, 1), record("2", good, 2), record("4", good, 4), record("9", good, 9), record("x", "poison", 1))
	want := map[string]time.Duration{
		"handle-1": 5 * time.Second, "handle-2": 10 * time.Second, "handle-4": 40 * time.Second, "handle-9": 40 * time.Second,
	}
	if diff := cmp.Diff(want, b.pauses.got); diff != "" || len(failed) != 5 {
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
		s := NewSender(&bucket{steps: []step{broken(errors.New(goodURL))}})
		s.pause = 0
		return s
	}()
	b.handle(t, record("3", wrap(t, create(t, nil, map[string]any{"CallbackToken": token}), nil), 1))
	for _, secret := range []string{token, "canary0signature"} {
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
	store *storetest.Memory
	jobs  *jobs
}

func newJourney(t *testing.T) journey {
	t.Helper()
	now := time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)
	made := connect.Create(connect.NewConnection{
		TenantID: "acme", Name: "a", Partition: connect.PartitionAWS, DefaultRegion: "eu-west-1", Permissions: "read-only", By: "anna",
	}, connectionID, connect.NewExternalID(), now)
	j := journey{bench: newBench(nil), jobs: &jobs{}, store: storetest.New(made.Connection())}
	j.h.Receiver = connect.Callbacks{
		Store: j.store, Tokens: tokens{}, Jobs: j.jobs, Clock: func() time.Time { return now.Add(time.Minute) }, Account: "111111111111",
	}
	return j
}

func (j journey) connection() connect.Connection { return j.store.Get(connectionID) }

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
			before := j.store.Dump()
			got := j.step(t, nil, c.properties)
			if got == nil || got.OK || got.Code != c.code || got.PhysicalID == "" {
				t.Errorf("answer %+v, want %s", got, c.code)
			}
			if changed := before.Diff(j.store.Dump()); changed != "" || len(j.jobs.got) != 0 {
				t.Errorf("%d jobs, and this was written:\n%s", len(j.jobs.got), changed)
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
	if s := j.connection().Snapshot(); s.AccountID != "012345678901" || s.Stack.TemplateVersion != "1.0.0" {
		t.Errorf("account %s, template %s", s.AccountID, s.Stack.TemplateVersion)
	}
	for range 1000 { // SNS and SQS both deliver at least once
		j.step(t, nil, nil)
	}
	if len(j.store.Log()) != 1 || len(j.jobs.got) != 1 {
		t.Errorf("%d writes, %d jobs", len(j.store.Log()), len(j.jobs.got))
	}
}

func TestUpdateWithANewRoleIsTried(t *testing.T) {
	j := newJourney(t)
	j.step(t, nil, nil)
	other := "arn:aws:iam::012345678901:role/Other"
	j.step(t, map[string]any{"RequestType": "Update", "RequestId": "2", "PhysicalResourceId": connectionID}, map[string]any{"RoleArn": other})
	if v, ok := j.connection().Trial(); !ok || v.RoleARN.String() != other || len(j.jobs.got) != 2 {
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
		if got := j.step(t, change, nil); got == nil || !got.OK || j.connection().Status() != connect.StatusVerifying {
			t.Errorf("%s: %+v, connection %s", name, got, j.connection().Status())
		}
	}
	if got := j.step(t, map[string]any{"RequestType": "Delete", "RequestId": "5"}, nil); got == nil || !got.OK || j.connection().Status() != connect.StatusDisconnected {
		t.Errorf("its own stack: %+v, connection %s", got, j.connection().Status())
	}
}

func TestStackStartedIsAnsweredAtOnce(t *testing.T) {
	j := newJourney(t)
	got := j.step(t, map[string]any{"ResourceType": "Custom::RolecallStackStarted", "LogicalResourceId": "StackStarted"}, map[string]any{"RoleArn": nil, "TemplateVersion": nil})
	if got == nil || !got.OK || got.PhysicalID != connectionID || len(j.store.Log()) != 1 {
		t.Errorf("%+v, %d writes", got, len(j.store.Log()))
	}
}
