package customresource

import (
	"bytes"
	"context"
	"crypto/rand"
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
	"rolecall/shared/storetest"
)

// receiver answers as the test says.
type receiver struct {
	mu       sync.Mutex
	receive  func(connect.CallbackRequest) (*connect.Reply, error)
	answerer connect.Answerer
	got      []connect.CallbackRequest
	gaveUp   int
}

func (r *receiver) Receive(ctx context.Context, c connect.CallbackRequest) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, c)
	reply, err := r.receive(c)
	if err != nil || reply == nil {
		return err
	}
	return r.answerer.Answer(ctx, c.ReplyTo, *reply)
}

func (r *receiver) GiveUp(_ context.Context, _ connect.CallbackRequest, why error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gaveUp++
	return why
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
	b.recv.answerer = b.ans
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
	}{
		"by the domain":    {receive: func(connect.CallbackRequest) (*connect.Reply, error) { return nil, fmt.Errorf("commit: %w", refused) }},
		"after a reply":    {receive: succeed},
		"of a bad request": {receive: later, change: map[string]any{"ResourceType": "Custom::Other"}},
	} {
		b := newBench(c.receive)
		b.ans.fail = refused
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

// What fails again is the domain's to give up, whatever it failed by: it may have somebody told. What it gives up is not delivered again.
func TestFailuresThatRepeatAreGivenUp(t *testing.T) {
	for name, receive := range map[string]func(connect.CallbackRequest) (*connect.Reply, error){
		"error": func(connect.CallbackRequest) (*connect.Reply, error) { return nil, errors.New("x") },
		"panic": func(connect.CallbackRequest) (*connect.Reply, error) { panic("x") },
	} {
		for deliveries, asked := range map[int]int{1: 0, 2: 1, 9: 1} {
			b := newBench(receive)
			failed := b.handle(t, record("1", wrap(t, create(t, nil, nil), nil), deliveries))
			if len(failed) != 1 || b.recv.gaveUp != asked {
				t.Errorf("%s, delivery %d: failed %v, asked %d times", name, deliveries, failed, b.recv.gaveUp)
			}
		}
	}
	b := newBench(later)
	b.h.Receiver = givingUp{}
	if failed := b.handle(t, record("1", wrap(t, create(t, nil, nil), nil), 2)); failed != nil {
		t.Errorf("failed %v", failed)
	}
}

// givingUp fails, and then needs no further delivery.
type givingUp struct{}

func (givingUp) Receive(context.Context, connect.CallbackRequest) error { return errors.New("x") }

func (givingUp) GiveUp(context.Context, connect.CallbackRequest, error) error { return nil }

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
	sender := NewSender(&bucket{steps: []step{broken(errors.New(goodURL))}}, atOnce)
	sender.pause = 0
	b.recv.answerer = sender
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

type tokens struct{}

func (tokens) ProveEnrolment(context.Context, connect.EnrolmentID, connect.Secret) error {
	return connect.Invalid(connect.CodeTokenInvalid, "the token is not this enrolment's")
}

func (tokens) Launch(_ context.Context, _ connect.ConnectionID, token connect.Secret) (int, error) {
	if !token.Equal(connect.NewSecret("token-1")) {
		return 0, connect.Invalid(connect.CodeTokenInvalid, "the callback token is not this connection's")
	}
	return 1, nil
}

type jobs struct {
	mu  sync.Mutex
	got []connect.ReportJob
}

func (j *jobs) Verify(context.Context, connect.VerifyJob, time.Duration) error { return nil }

func (j *jobs) Report(_ context.Context, job connect.ReportJob, _ time.Duration) error {
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
	clock := func() time.Time { return now.Add(time.Minute) }
	j.h.Receiver = connect.Callbacks{
		Store: j.store, Tokens: tokens{}, Jobs: j.jobs, Answerer: j.ans, Clock: clock, Account: "111111111111",
		Settling: connect.Settling{Store: j.store, Jobs: j.jobs, Random: rand.Reader, Clock: clock},
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
			if j.store.Calls("Commit", "CommitMember", "KeepFence", "Note") != 0 || len(j.jobs.got) != 0 {
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
	job := j.jobs.got[0]
	if to := job.ReplyTo; to.PhysicalID != connectionID || to.URL.Reveal() != goodURL || to.RequestID != "9f8e7d6c-0000" || to.Expires.IsZero() {
		t.Errorf("the job replies to %+v", to)
	}
	if r := job.Report; r.RoleARN.Account() != "012345678901" || r.TemplateVersion != "1.0.0" || !r.TokenValid || r.Launch != 1 || r.SignedAt.IsZero() || job.Bound {
		t.Errorf("%+v", job)
	}
	if j.store.Calls("Commit") != 0 {
		t.Error("something was written")
	}
}

func TestStackStartedIsAnsweredAtOnce(t *testing.T) {
	j := newJourney(t)
	got := j.step(t, map[string]any{"ResourceType": "Custom::RolecallStackStarted", "LogicalResourceId": "StackStarted"}, map[string]any{"RoleArn": nil, "TemplateVersion": nil})
	if got == nil || !got.OK || got.PhysicalID != connectionID || j.store.Calls("Commit") != 1 || j.store.Get(connectionID).Snapshot().Stack.ID.IsZero() {
		t.Errorf("%+v, %d writes", got, j.store.Calls("Commit"))
	}
	// The same bound stack reports: by its own word a role of its account, and of no other.
	if j.step(t, map[string]any{"RequestId": "2"}, nil); len(j.jobs.got) != 1 || !j.jobs.got[0].Bound {
		t.Errorf("%+v", j.jobs.got)
	}
}
