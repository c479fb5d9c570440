package queue_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rolecall/infra/local/iam"
	"rolecall/infra/local/sqs"
	"rolecall/infra/local/wire"
	"rolecall/shared/connect"
	"rolecall/shared/queue"
)

const (
	account = "111111111111"
	region  = "eu-west-1"
	canary  = "https://answer.example/?X-Amz-Signature=CANARY&<é>"
)

// A world is the pocket AWS with both queues, and a clock that the test moves.
type world struct {
	*testing.T
	sqs        *sqs.Service
	jobs       queue.Jobs
	now, sweep string // ARNs
	clock      *time.Time
	sent       *[]string // bodies of requests
}

func newWorld(t *testing.T) world {
	t.Helper()
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	w := world{T: t, clock: &at, sent: &[]string{}}
	clock := func() time.Time { return *w.clock }
	accounts := iam.New(clock)
	door := wire.NewServer(wire.Config{Authenticator: accounts, Authorizer: accounts, Clock: clock})
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		*w.sent = append(*w.sent, string(body))
		r.Body = io.NopCloser(bytes.NewReader(body))
		door.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	w.sqs = sqs.New(server.URL, clock)
	door.Register("sqs", w.sqs)
	now, sweep := w.create("rolecall-verify-now"), w.create("rolecall-verify-sweep")
	w.now, w.sweep = now.ARN, sweep.ARN
	w.jobs = queue.Jobs{Client: client(server.URL), NowURL: now.URL, SweepURL: sweep.URL}
	return w
}

func client(url string) *awssqs.Client {
	return awssqs.New(awssqs.Options{
		Region: region, BaseEndpoint: &url, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(account, "any", ""),
	})
}

func (w world) create(name string) sqs.Queue {
	w.Helper()
	q, err := w.sqs.Create(account, region, name, nil)
	if err != nil {
		w.Fatal(err)
	}
	return q
}

// received are the bodies that can be received now.
func (w world) received(arn string) []string {
	w.Helper()
	var none time.Duration
	got, err := w.sqs.Receive(w.Context(), arn, sqs.ReceiveInput{Max: 10, Wait: &none})
	if err != nil {
		w.Fatal(err)
	}
	var bodies []string
	for _, m := range got {
		bodies = append(bodies, m.Body)
	}
	return bodies
}

// groups are those of the messages that can be received now.
func (w world) groups(arn string) []string {
	w.Helper()
	var none time.Duration
	got, err := w.sqs.Receive(w.Context(), arn, sqs.ReceiveInput{Max: 10, Wait: &none})
	if err != nil {
		w.Fatal(err)
	}
	var groups []string
	for _, m := range got {
		groups = append(groups, m.Attributes["MessageGroupId"])
	}
	return groups
}

func id(n int) connect.ConnectionID {
	return connect.ConnectionID(fmt.Sprintf("conn_%026d", n))
}

func fullReplyTo() connect.ReplyTo {
	return connect.ReplyTo{
		URL:       connect.NewSecret(canary),
		StackID:   "arn:aws:cloudformation:eu-west-1:222222222222:stack/one/11111111-aaaa",
		RequestID: "request", LogicalID: "Connection", PhysicalID: string(id(1)),
		Until: time.Date(2026, 11, 21, 12, 5, 0, 0, time.UTC), Expires: time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC),
	}
}

func fullJob() connect.VerifyJob {
	to := fullReplyTo()
	return connect.VerifyJob{ConnectionID: id(1), Run: 1<<53 + 1, Attempt: 8, Lift: true, Redelivered: true, ReplyTo: &to}
}

func same[T comparable](a, b T) bool { return a == b }

func fullCallback() connect.Callback {
	stack, err := connect.ParseStackID("arn:aws:cloudformation:eu-west-1:222222222222:stack/one/11111111-aaaa")
	if err != nil {
		panic(err)
	}
	role, err := connect.ParseRoleARN("arn:aws:iam::222222222222:role/path/R")
	if err != nil {
		panic(err)
	}
	return connect.Callback{
		Type: connect.RequestCreate, Resource: connect.ResourceMember, StackID: stack, LogicalID: "Member", RequestID: "request", TokenValid: true, Launch: 1,
		ConnectionID: id(1), EnrolmentID: "enr_01ka000000000000000000demx",
		RoleARN: role, TemplateVersion: "1.0.0", SignedAt: time.Date(2026, 11, 21, 11, 59, 58, 0, time.UTC), SentAt: time.Date(2026, 11, 21, 11, 59, 59, 0, time.UTC),
		Grant: connect.Grant{
			Permissions: "custom", Withdrawn: true, ExternalID: "rce-x-222222222222", PolicyDigest: "d1",
			BoundaryARN: "arn:aws:iam::222222222222:policy/B",
		},
	}
}

// fullReport has all that a report on its way can say.
func fullReport() connect.ReportJob {
	at := time.Date(2026, 11, 21, 12, 0, 0, int(time.Millisecond), time.UTC)
	why := connect.Reason{Code: "C", Message: "m", Fix: "f"}
	return connect.ReportJob{
		Report: fullCallback(), Bound: true, StartedAt: at, Attempt: 3, ReplyTo: fullReplyTo(), Taken: true, Settled: 2, Redelivered: true,
		Verdict: &connect.ReportVerdict{
			Reply: connect.Reply{OK: true, Reason: why}, Attempt: 2, Open: true,
			Outcome: connect.Outcome{
				Checks: []connect.Check{{Name: "assume_role", Verdict: connect.Passed, Reason: why, At: at}}, Account: "222222222222",
				Regions: []connect.Region{"eu-west-1"}, SessionTags: true, PolicyDigest: "d1", At: at,
			},
		},
	}
}

func TestAJobArrivesWhole(t *testing.T) {
	r := fullReport()
	for _, v := range []any{fullJob(), fullReplyTo(), r, r.Report, r.Report.Grant, *r.Verdict, r.Verdict.Outcome} { // a field that is new must be tried too
		for i, value := 0, reflect.ValueOf(v); i < value.NumField(); i++ {
			if name := value.Type().Field(i).Name; value.Field(i).IsZero() && name != "Method" { // of an outcome: a role's is ""
				t.Fatalf("the sample has no %s", name)
			}
		}
	}
	w := newWorld(t)
	bare := connect.VerifyJob{ConnectionID: id(2), Run: 1}
	for _, job := range []connect.VerifyJob{fullJob(), bare} {
		if err := w.jobs.Verify(t.Context(), job, 0); err != nil {
			t.Fatal(err)
		}
		w.arrives(queue.Job{Try: &job}, job.Redelivered)
	}
	ofMember, ofConnection, fresh := fullReport(), fullReport(), fullReport()
	ofMember.Report.ConnectionID, ofConnection.Report.EnrolmentID, fresh.Report.EnrolmentID = "", "", ""
	fresh.Verdict, fresh.Redelivered, fresh.Report.SignedAt = nil, false, time.Time{}
	for _, job := range []connect.ReportJob{ofMember, ofConnection, fresh} {
		if err := w.jobs.Report(t.Context(), job, 0); err != nil {
			t.Fatal(err)
		}
		w.arrives(queue.Job{Report: &job}, job.Redelivered)
	}
	if left := w.received(w.sweep); len(left) > 0 {
		t.Errorf("somebody's try waits in the sweep's queue: %v", left)
	}
}

// arrives holds that the only message in verify-now is this job.
func (w world) arrives(want queue.Job, redelivered bool) {
	w.Helper()
	bodies := w.received(w.now)
	if len(bodies) != 1 {
		w.Fatalf("%d messages", len(bodies))
	}
	got, err := queue.Parse(bodies[0], redelivered)
	if err != nil {
		w.Fatal(err)
	}
	// Secrets compare by what they hide.
	opts := cmp.Options{cmp.Comparer(same[connect.RoleARN]), cmp.Comparer(same[connect.StackID]), cmpopts.IgnoreUnexported(connect.Check{})}
	if diff := cmp.Diff(want, got, opts); diff != "" {
		w.Errorf("job (-sent +received):\n%s", diff)
	}
}

// Messages that versions before 1.4.0 have left in the queue are understood: a run with its stack's answer address, the Delete of a stack whose role is still
// denied, and a report that competes for an account.
func TestMessagesOfEarlierVersions(t *testing.T) {
	const stackID, reply = "arn:aws:cloudformation:eu-west-1:222222222222:stack/one/11111111-aaaa", `"reply":{"url":"u","stackId":"s","requestId":"r","logicalId":"l","physicalId":"p","until":1795262700}`
	connection := string(id(1))
	got, err := queue.Parse(`{"connectionId":"`+connection+`","run":3,"attempt":1,`+reply+`}`, false)
	if err != nil || got.Try == nil || got.Try.Run != 3 || got.Try.ReplyTo == nil || !got.Try.ReplyTo.Expires.IsZero() {
		t.Errorf("%+v, %v", got.Try, err)
	}
	got, err = queue.Parse(`{"connectionId":"`+connection+`","farewell":true,`+reply+`}`, false)
	if err != nil || got.Try == nil || !got.Try.Lift || got.Try.ReplyTo == nil {
		t.Errorf("%+v, %v", got.Try, err)
	}
	got, err = queue.Parse(`{"attempt":2,"contender":{"enrolmentId":"enr_01ka000000000000000000demx","type":"Create","resource":"Custom::RolecallMember","stackId":"`+stackID+`",
		"logicalId":"Member","requestId":"r","roleArn":"arn:aws:iam::222222222222:role/R","sentAt":1795262400000,"startedAt":1795262401000,"verdict":{"ok":true}},`+reply+`}`, false)
	if err != nil || got.Report == nil {
		t.Fatal(err)
	}
	if r := got.Report; !r.Report.TokenValid || r.Attempt != 2 || r.ReplyTo.URL.Reveal() != "u" || r.Verdict != nil || r.Taken || r.Report.EnrolmentID == "" {
		t.Errorf("%+v", r)
	}
}

func TestASweepArrivesInOrder(t *testing.T) {
	w := newWorld(t)
	ids := []connect.ConnectionID{id(3), id(1), id(2)}
	if err := w.jobs.Sweep(t.Context(), ids, 0); err != nil {
		t.Fatal(err)
	}
	bodies := w.received(w.sweep)
	if len(bodies) != 1 || len(w.received(w.now)) > 0 {
		t.Fatalf("%d messages", len(bodies))
	}
	got, err := queue.Parse(bodies[0], false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(queue.Job{Sweep: ids}, got); diff != "" {
		t.Errorf("job (-sent +received):\n%s", diff)
	}
}

func TestDelaysAreWholeSecondsAndNeverShorter(t *testing.T) {
	tests := []struct {
		delay time.Duration
		want  int
	}{
		{-time.Hour, 0},
		{-1, 0},
		{0, 0},
		{1, 1},
		{999 * time.Millisecond, 1},
		{time.Second, 1},
		{time.Second + 1, 2},
		{14*time.Minute + 59*time.Second + 1, 900},
		{15 * time.Minute, 900},
		{15*time.Minute + 1, 900},
		{1<<63 - 1, 900},
	}
	for _, tt := range tests {
		t.Run(tt.delay.String(), func(t *testing.T) {
			w := newWorld(t)
			if err := w.jobs.Verify(t.Context(), connect.VerifyJob{ConnectionID: id(1), Run: 1}, tt.delay); err != nil {
				t.Fatal(err)
			}
			var asked struct{ DelaySeconds int }
			if err := json.Unmarshal([]byte((*w.sent)[0]), &asked); err != nil || asked.DelaySeconds != tt.want {
				t.Fatalf("delay of %d s, want %d (error %v)", asked.DelaySeconds, tt.want, err)
			}
			due := w.clock.Add(time.Duration(tt.want) * time.Second)
			if tt.want > 0 {
				*w.clock = due.Add(-time.Nanosecond)
				if early := w.received(w.now); len(early) > 0 {
					t.Errorf("received %v early", early)
				}
			}
			*w.clock = due
			if len(w.received(w.now)) != 1 {
				t.Error("not received when due")
			}
		})
	}
}

func TestAQueueThatDoesNotAnswer(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"500":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"broken off": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"other body received": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			_, _ = io.WriteString(w, `{"MessageId":"m","MD5OfMessageBody":"00000000000000000000000000000000"}`)
		},
		"no such queue": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"gone"}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(h)
			defer server.Close()
			jobs := queue.Jobs{Client: client(server.URL), NowURL: server.URL + "/1/now", SweepURL: server.URL + "/1/sweep"}
			for _, err := range []error{
				jobs.Verify(t.Context(), fullJob(), time.Second), jobs.Sweep(t.Context(), []connect.ConnectionID{id(1)}, 0),
			} {
				var e *connect.Error
				if !errors.As(err, &e) || e.Kind != connect.KindUnavailable {
					t.Errorf("error %v, want unavailable", err)
				}
				if strings.Contains(fmt.Sprintf("%v %#v", err, err), "CANARY") {
					t.Errorf("the error tells the reply's URL: %v", err)
				}
			}
		})
	}
}

func TestMalformedBodiesAreRefused(t *testing.T) {
	good := string(id(1))
	for name, body := range map[string]string{
		"empty":                        ``,
		"null":                         `null`,
		"text":                         `"` + good + `"`,
		"array":                        `["` + good + `"]`,
		"nothing in it":                `{}`,
		"cut off":                      `{"connectionId":"` + good + `"`,
		"two objects":                  `{"connectionId":"` + good + `"}{}`,
		"no connection's id":           `{"connectionId":"conn_1","run":1}`,
		"another case":                 `{"connectionId":"` + strings.ToUpper(good) + `","run":1}`,
		"id as a number":               `{"connectionId":1,"run":1}`,
		"line end behind the id":       `{"connectionId":"` + good + `\n","run":1}`,
		"run as text":                  `{"connectionId":"` + good + `","run":"1"}`,
		"run beyond numbers":           `{"connectionId":"` + good + `","run":9223372036854775808}`,
		"run as a fraction":            `{"connectionId":"` + good + `","run":1.5}`,
		"reply as text":                `{"connectionId":"` + good + `","run":1,"reply":"` + canary + `"}`,
		"reply to a number":            `{"connectionId":"` + good + `","run":1,"reply":{"url":1,"x":"` + canary + `"}}`,
		"sweep of none":                `{"connectionIds":[]}`,
		"sweep of one bad among goods": `{"connectionIds":["` + good + `","../` + good + `"]}`,
		"sweep of null":                `{"connectionIds":[null]}`,
	} {
		t.Run(name, func(t *testing.T) {
			job, err := queue.Parse(body, false)
			if err == nil {
				t.Fatalf("parsed as %+v", job)
			}
			if diff := cmp.Diff(queue.Job{}, job); diff != "" {
				t.Errorf("an error came with a job: %s", diff)
			}
			if strings.Contains(err.Error(), "CANARY") {
				t.Errorf("the error tells the reply's URL: %v", err)
			}
		})
	}
}

// FuzzParse holds that whatever parses names well-formed connections, and one kind of work.
func FuzzParse(f *testing.F) {
	good := string(id(1))
	f.Add(`{"connectionId":"` + good + `","run":3,"attempt":2,"reply":{"url":"https://x/","stackId":"s","requestId":"r","logicalId":"l","physicalId":"p"}}`)
	f.Add(`{"connectionIds":["` + good + `"]}`)
	f.Add(`{}`)
	f.Fuzz(func(t *testing.T, body string) {
		job, err := queue.Parse(body, false)
		if err != nil {
			return
		}
		ids := job.Sweep
		if job.Try != nil {
			ids = append(ids, job.Try.ConnectionID)
		}
		if len(ids) == 0 || (job.Try != nil && len(job.Sweep) > 0) {
			t.Fatalf("%q is work of no kind or of both", body)
		}
		for _, id := range ids {
			if _, err := connect.ParseConnectionID(string(id)); err != nil {
				t.Fatalf("%q names %q", body, id)
			}
		}
	})
}

// A message that is paused is hidden for that long, be it shorter or longer than the queue's own time.
func TestPauses(t *testing.T) {
	for _, d := range []time.Duration{5 * time.Second, 40 * time.Second, 2 * time.Hour} {
		w := newWorld(t)
		q, err := w.sqs.Create(account, region, "callbacks", map[string]string{"VisibilityTimeout": "90"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.sqs.Send(q.ARN, "one", nil); err != nil {
			t.Fatal(err)
		}
		var none time.Duration
		got, err := w.sqs.Receive(t.Context(), q.ARN, sqs.ReceiveInput{Max: 1, Wait: &none})
		if err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		pauses := queue.Pauses{Client: w.jobs.Client, URL: q.URL}
		if err := pauses.Pause(t.Context(), got[0].ReceiptHandle, d); err != nil {
			t.Fatal(err)
		}
		*w.clock = w.clock.Add(d - time.Second)
		if early := w.received(q.ARN); len(early) > 0 {
			t.Errorf("%s: received before its time", d)
		}
		*w.clock = w.clock.Add(time.Second)
		if late := w.received(q.ARN); len(late) != 1 {
			t.Errorf("%s: not received", d)
		}
		pauses.URL += "-gone"
		if err := pauses.Pause(t.Context(), got[0].ReceiptHandle, d); err == nil {
			t.Error("paused in a queue that is not there")
		}
	}
}
