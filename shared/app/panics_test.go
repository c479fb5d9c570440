package app_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	lambdacfn "github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/aws-lambda-go/events"
	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolecall/infra/local/cfn"
	"rolecall/infra/local/wire"
	"rolecall/shared/app/refresh"
	"rolecall/shared/bus"
	"rolecall/shared/connect"
	"rolecall/shared/customresource"
	"rolecall/shared/queue"
	"rolecall/shared/storetest"
	"rolecall/shared/upload"
	"rolecall/shared/webhook"
)

const panicSecret = "canary/secret+key&of=forty characters..."

// panicValues are what code could panic with while it has a secret at hand: ours, and what hides nothing.
func panicValues() []any {
	secret := connect.NewSecret(panicSecret)
	held := connect.Credentials{AccessKeyID: "ASIACANARY", SecretAccessKey: secret, SessionToken: secret, Expires: sweepNoon}
	link, _ := url.Parse("https://s3.example/?X-Amz-Signature=" + url.QueryEscape(panicSecret))
	return []any{
		held, &held,
		connect.Issued{Credentials: held},
		connect.CallbackRequest{Token: secret},
		fmt.Errorf("with %#v", held),
		sdk.Credentials{SecretAccessKey: panicSecret, SessionToken: panicSecret},
		"made of " + panicSecret, []byte(panicSecret), errors.New(panicSecret),
		&url.Error{Op: "Put", URL: link.String(), Err: io.EOF}, &http.Request{URL: link, Header: http.Header{"X-Amz-Security-Token": {panicSecret}}},
		map[string]any{"token": panicSecret},
	}
}

// A panicking is everything that functions are given, and panics in the one call that is named.
type panicking struct {
	in     string
	with   any
	paused *atomic.Int32
}

func (p panicking) call(name string) {
	if p.in == name {
		panic(p.with)
	}
}

// A panickingReceiver is asked about what customers' stacks report.
type panickingReceiver struct{ panicking }

func (p panickingReceiver) Receive(context.Context, connect.CallbackRequest) error {
	p.call("receive")
	return errors.New("to be given up")
}

func (p panickingReceiver) GiveUp(_ context.Context, _ connect.CallbackRequest, why error) error {
	p.call("give up")
	return why // to be paused
}

func (p panicking) Answer(context.Context, connect.ReplyTo, connect.Reply) error {
	p.call("answer")
	return errors.New("to be paused")
}

func (p panicking) Pause(context.Context, string, time.Duration) error {
	p.call("pause")
	p.paused.Add(1)
	return nil
}

type panickingTries struct{ panicking }

func (p panickingTries) Try(context.Context, connect.VerifyJob) error {
	p.call("try")
	return errors.New("to be paused")
}

func (p panickingTries) GiveUp(context.Context, connect.VerifyJob) error {
	p.call("give up")
	return nil
}

type panickingReports struct{ panicking }

func (p panickingReports) Work(context.Context, connect.ReportJob) error {
	p.call("work")
	return errors.New("to be given up")
}

func (p panickingReports) GiveUp(_ context.Context, _ connect.ReportJob, why error) error {
	p.call("give up")
	return why // to be paused
}

// Sweep looks at a connection: the first of two succeeds, so that the other one is handed back.
func (p panicking) Sweep(_ context.Context, id connect.ConnectionID) error {
	p.call("sweep")
	if strings.HasSuffix(string(id), "1") {
		return nil
	}
	return errors.New("to be handed back")
}

type panickingJobs struct{ panicking }

func (p panickingJobs) Sweep(context.Context, []connect.ConnectionID, time.Duration) error {
	p.call("jobs")
	return nil
}

// schedule is a store that answers nobody.
func (p panicking) schedule() connect.SweepStore {
	m := storetest.New()
	m.Before(func(string) error {
		p.call("cursor")
		return errors.New("no cursor")
	})
	return m
}

func (p panicking) now() time.Time {
	p.call("clock")
	return sweepNoon
}

func (p panicking) secrets(context.Context) ([]string, error) {
	p.call("secrets")
	if p.in == "clock" {
		return []string{panicSecret}, nil
	}
	return nil, errors.New("no secrets, so that nothing is posted")
}

// Do is an HTTP client, whose request is signed.
func (p panicking) Do(r *http.Request) (*http.Response, error) {
	if p.in == "request" {
		panic(r)
	}
	p.call("client")
	return nil, errors.New("no answer")
}

func (p panicking) read(map[string]events.DynamoDBAttributeValue) (connect.Event, error) {
	p.call("read")
	return connect.Event{ID: "evt_1", At: sweepNoon}, nil
}

func batchOf(body any) events.SQSEvent {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return events.SQSEvent{Records: []events.SQSMessage{{MessageId: "m1", Body: string(text), Attributes: map[string]string{"ApproximateReceiveCount": "2"}}}}
}

// panickingFunctions are the functions that no HTTP server protects: what they are given, and the calls that may panic.
func panickingFunctions() map[string]struct {
	calls  []string
	invoke func(context.Context, panicking, *slog.Logger) (any, error)
} {
	id := "conn_0000000000000000000000000"
	topics := customresource.Topics{Partition: "aws", Account: "111111111111", Name: "callbacks", Regions: []connect.Region{"eu-west-1"}}
	topic := "arn:aws:sns:eu-west-1:111111111111:callbacks"
	const stack = "arn:aws:cloudformation:eu-west-1:222222222222:stack/s/11111111-aaaa"
	address := cfn.ResponseAddress{
		Bucket: "https://cloudformation-custom-resource-response-euwest1.s3-eu-west-1.amazonaws.com", StackID: stack, LogicalID: "Connection", RequestID: "r1",
		By: wire.Credentials{AccessKeyID: "ASIAEXAMPLE", SessionToken: panicSecret}, At: sweepNoon, Life: time.Hour,
	}
	request := map[string]any{
		"RequestType": "Create", "ServiceToken": topic, "StackId": stack, "RequestId": "r1", "ResponseURL": address.URL(),
		"ResourceType": "Custom::RolecallConnection", "LogicalResourceId": "Connection", "ResourceProperties": map[string]any{
			"ServiceToken": topic, "ConnectionId": id + "0", "CallbackToken": panicSecret, "RoleArn": "arn:aws:iam::222222222222:role/r", "TemplateVersion": "1.0.0",
		},
	}
	malformed := maps.Clone(request)
	malformed["ResourceProperties"] = map[string]any{"ServiceToken": topic, "CallbackToken": []string{panicSecret}}
	type run = func(context.Context, panicking, *slog.Logger) (any, error)
	works := func(body any) run {
		return func(ctx context.Context, p panicking, log *slog.Logger) (any, error) {
			return queue.Handler{
				Clock: time.Now,
				Tries: panickingTries{p}, Reports: panickingReports{p}, Sweeps: p, Jobs: panickingJobs{p}, Parallel: 2, Pauses: p, Log: log,
			}.Handle(ctx, batchOf(body))
		}
	}
	receives := func(request map[string]any) run {
		return func(ctx context.Context, p panicking, log *slog.Logger) (any, error) {
			h := customresource.Handler{Topics: topics, Receiver: panickingReceiver{p}, Answerer: p, Pauses: p, Clock: p.now, Log: log}
			text, err := json.Marshal(request)
			if err != nil {
				return nil, err
			}
			return h.Handle(ctx, batchOf(map[string]any{
				"Type": "Notification", "TopicArn": topic, "Message": string(text), "Timestamp": sweepNoon.Format(time.RFC3339),
			}))
		}
	}
	return map[string]struct {
		calls  []string
		invoke run
	}{
		"callback":            {[]string{"receive", "give up", "pause", "clock"}, receives(request)},
		"callback, malformed": {[]string{"answer"}, receives(malformed)},
		"verify, a report": {[]string{"work", "give up", "pause"}, works(map[string]any{"report": map[string]any{
			"connectionId": id + "0", "type": "Create", "stackId": stack, "roleArn": "arn:aws:iam::222222222222:role/r",
			"reply": map[string]any{"url": address.URL()},
		}})},
		"verify, a try":   {[]string{"try", "give up", "pause"}, works(map[string]any{"connectionId": id + "0", "run": 1})},
		"verify, a sweep": {[]string{"sweep", "jobs"}, works(map[string]any{"connectionIds": []string{id + "1", id + "2"}})},
		"refresh": {[]string{"cursor"}, func(ctx context.Context, p panicking, log *slog.Logger) (any, error) {
			s := connect.Sweeping{Store: p.schedule(), Jobs: panickingJobs{p}, Clock: p.now, Interval: time.Hour, Jitter: func() float64 { return 0 }}
			return nil, refresh.Ticking(s, log)(ctx)
		}},
		"publish": {[]string{"read", "client", "request"}, func(ctx context.Context, p panicking, log *slog.Logger) (any, error) {
			client := eventbridge.New(eventbridge.Options{Region: "eu-west-1", HTTPClient: p, RetryMaxAttempts: 1, Credentials: sdk.CredentialsProviderFunc(
				func(context.Context) (sdk.Credentials, error) {
					return sdk.Credentials{AccessKeyID: "ASIA", SecretAccessKey: panicSecret, SessionToken: panicSecret}, nil
				})})
			return bus.Publisher{Client: client, Bus: "rolecall", Read: p.read, Log: log}.Handle(ctx, events.DynamoDBEvent{Records: make([]events.DynamoDBEventRecord, 1)})
		}},
		"upload": {[]string{"answer", "request"}, func(ctx context.Context, p panicking, log *slog.Logger) (any, error) {
			client := s3.New(s3.Options{Region: "eu-west-1", HTTPClient: p, RetryMaxAttempts: 1, Credentials: sdk.CredentialsProviderFunc(
				func(context.Context) (sdk.Credentials, error) {
					return sdk.Credentials{AccessKeyID: "ASIA", SecretAccessKey: panicSecret, SessionToken: panicSecret}, nil
				})})
			return nil, upload.Uploader{Client: client, Bucket: "templates", Answerer: p, Log: log}.Handle(ctx, lambdacfn.Event{
				RequestType: lambdacfn.RequestCreate, ResponseURL: "https://cloudformation.example/x?X-Amz-Signature=" + url.QueryEscape(panicSecret),
				ResourceProperties: map[string]any{"From": "assets/a", "Key": "k"},
			})
		}},
		"webhook": {[]string{"secrets", "clock", "pause"}, func(ctx context.Context, p panicking, log *slog.Logger) (any, error) {
			endpoint, err := webhook.ParseEndpoint("https://hooks.example.com/" + url.PathEscape(panicSecret))
			if err != nil {
				return nil, err
			}
			h := webhook.Handler{Sender: webhook.NewSender(endpoint, p.secrets, p.now), Pauses: p, Log: log}
			return h.Handle(ctx, batchOf(map[string]any{"detail": map[string]any{"id": "evt_1"}}))
		}},
	}
}

// syncLog is written by several goroutines.
type syncLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *syncLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// Whatever a function panics with, wherever it is called, it goes on: the panic is the failure of one message or one
// invocation, told with its place and without what it was given. So no secret is in the log, or in what Lambda is answered,
// which it logs too. (The functions behind the HTTP API: httpapi.TestPanicsAndErrorsTellNoSecret.)
func TestPanicsOfFunctionsTellNoSecret(t *testing.T) {
	part := panicSecret[:20]
	forms := []string{
		part, url.QueryEscape(part), url.PathEscape(part), hex.EncodeToString([]byte(part)), base64.StdEncoding.EncodeToString([]byte(part[:18])),
		strings.Trim(fmt.Sprintf("%d", []byte(part)), "[]"),
	}
	for name, f := range panickingFunctions() {
		for _, call := range f.calls {
			for _, v := range panicValues() {
				var log syncLog
				answer, err := f.invoke(t.Context(), panicking{call, v, new(atomic.Int32)}, slog.New(slog.NewJSONHandler(&log, nil)))
				all := fmt.Sprintf("%s\n%+v\n%v", &log.text, answer, err)
				if !strings.Contains(all, "panic: ") || !strings.Contains(all, "panics_test.go") {
					t.Fatalf("%s, %s with %T: there was no panic, or the log does not say where: %s", name, call, v, all)
				}
				for _, form := range forms {
					if strings.Contains(all, form) {
						t.Errorf("%s, %s with %T shows %q: %s", name, call, v, form, all)
					}
				}
			}
		}
	}
}

// Somebody waits for these: whatever panics, and on the way to giving up too, the message has failed and comes again soon.
func TestWhatPanicsWhileAStackWaitsComesAgainSoon(t *testing.T) {
	for name, calls := range map[string][]string{
		"callback": {"receive", "give up"}, "verify, a try": {"try", "give up"}, "verify, a report": {"work", "give up"},
	} {
		for _, call := range calls {
			var paused atomic.Int32
			answer, err := panickingFunctions()[name].invoke(t.Context(), panicking{call, "a bug", &paused}, slog.New(slog.DiscardHandler))
			out, ok := answer.(events.SQSEventResponse)
			if err != nil || !ok || len(out.BatchItemFailures) != 1 || paused.Load() != 1 {
				t.Errorf("%s, %s: paused %d times, %+v, %v", name, call, paused.Load(), answer, err)
			}
		}
	}
}

// What the Go runtime says of its own panics is of use, and has nothing of ours.
func TestFaultsOfTheRuntimeAreTold(t *testing.T) {
	var none map[string]int
	fail := func() (err error) {
		defer connect.Recovered(&err)
		none["x"] = 1
		return nil
	}
	if err := fail(); err == nil || !strings.Contains(err.Error(), "panic: assignment to entry in nil map") || !strings.Contains(err.Error(), "panics_test.go") {
		t.Error(err)
	}
}
