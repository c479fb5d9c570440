package webhook

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	lambdaevents "github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"rolecall/infra/local/iam"
	pocketkms "rolecall/infra/local/kms"
	pocketsqs "rolecall/infra/local/sqs"
	"rolecall/infra/local/wire"
)

const (
	account = "111111111111"
	region  = "eu-west-1"
)

// A world is a queue of the pocket AWS whose clock the test moves, a key, and a receiver.
type world struct {
	*testing.T
	now     time.Time
	queues  *pocketsqs.Service
	queue   pocketsqs.Queue
	kms     *kms.Client
	key     string
	handler Handler
	log     bytes.Buffer
	answer  int
	posts   int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), answer: http.StatusServiceUnavailable}
	accounts := iam.New(time.Now)
	door := wire.NewServer(wire.Config{Authenticator: accounts, Authorizer: accounts, Clock: time.Now})
	server := httptest.NewServer(door)
	t.Cleanup(server.Close)
	w.queues = pocketsqs.New(server.URL, func() time.Time { return w.now })
	keys := pocketkms.New(time.Now)
	door.Register("sqs", w.queues)
	door.Register("kms", keys)
	var err error
	if w.queue, err = w.queues.Create(account, region, "hooks", map[string]string{"VisibilityTimeout": "60"}); err != nil {
		t.Fatal(err)
	}
	if w.key, err = keys.CreateKey(account, region, pocketkms.KeyInput{Spec: pocketkms.HMAC256, Usage: pocketkms.GenerateVerifyMac}); err != nil {
		t.Fatal(err)
	}
	cfg := aws.Config{Region: region, BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider(account, "any", "")}
	w.kms = kms.NewFromConfig(cfg)
	sender := posting(t, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		w.posts++
		rw.WriteHeader(w.answer)
	}), NewSecrets(w.kms, w.key, []int{1}).Get)
	w.handler = Handler{
		Sender: sender, Pauses: pauses{w.queues, w.queue.ARN}, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	}
	return w
}

// pauses are those of a queue of the pocket AWS.
type pauses struct {
	queues *pocketsqs.Service
	arn    string
}

func (p pauses) Pause(_ context.Context, receiptHandle string, d time.Duration) error {
	return p.queues.ChangeVisibility(p.arn, receiptHandle, d)
}

// turn is what Lambda does: receive, invoke, delete what did not fail. It says whether there was a message.
func (w *world) turn() bool {
	w.Helper()
	var none time.Duration
	got, err := w.queues.Receive(w.Context(), w.queue.ARN, pocketsqs.ReceiveInput{Max: 1, Wait: &none})
	if err != nil {
		w.Fatal(err)
	}
	if len(got) == 0 {
		return false
	}
	out, err := w.handler.Handle(w.Context(), lambdaevents.SQSEvent{Records: []lambdaevents.SQSMessage{{
		MessageId: got[0].MessageID, ReceiptHandle: got[0].ReceiptHandle, Body: got[0].Body, Attributes: got[0].Attributes,
	}}})
	if err != nil {
		w.Fatal(err)
	}
	if len(out.BatchItemFailures) == 0 {
		if err := w.queues.DeleteMessage(w.queue.ARN, got[0].ReceiptHandle); err != nil {
			w.Fatal(err)
		}
	}
	return true
}

func (w *world) send(body string) {
	w.Helper()
	if _, err := w.queues.Send(w.queue.ARN, body, nil); err != nil {
		w.Fatal(err)
	}
}

// A receiver that is down is asked less and less often, and gets the event when it is back.
func TestTriesBackOff(t *testing.T) {
	w := newWorld(t)
	w.send(event)
	var pauses []string
	for range 12 {
		if !w.turn() {
			t.Fatal("the message is not there when its pause is over")
		}
		began := w.now
		for !w.visible() {
			w.now = w.now.Add(15 * time.Second)
		}
		pauses = append(pauses, w.now.Sub(began).String())
	}
	want := "30s 1m0s 2m0s 4m0s 8m0s 16m0s 32m0s 1h4m0s 2h0m0s 2h0m0s 2h0m0s 2h0m0s"
	if got := strings.Join(pauses, " "); got != want {
		t.Errorf("pauses %s\nwant   %s", got, want)
	}
	w.answer = http.StatusNoContent
	if !w.turn() || w.turn() || w.posts != 13 {
		t.Errorf("%d posts", w.posts)
	}
	w.now = w.now.Add(24 * time.Hour)
	if w.turn() {
		t.Error("a delivered event comes again")
	}
}

// visible says whether the message can be received now; it does not touch it.
func (w *world) visible() bool {
	w.Helper()
	a, err := w.queues.Attributes(w.queue.ARN)
	if err != nil {
		w.Fatal(err)
	}
	return a["ApproximateNumberOfMessages"] == "1"
}

func TestGoneIsNotAskedAgain(t *testing.T) {
	w := newWorld(t)
	w.answer = http.StatusGone
	w.send(event)
	if !w.turn() {
		t.Fatal("no message")
	}
	w.now = w.now.Add(24 * time.Hour)
	if w.turn() || w.posts != 1 || !strings.Contains(w.log.String(), "refused for good") {
		t.Errorf("%d posts\n%s", w.posts, w.log.String())
	}
}

// Without the right to set a pause, the queue's own visibility timeout is one.
func TestAPauseThatCannotBeSetLosesNothing(t *testing.T) {
	w := newWorld(t)
	w.handler.Pauses = pauses{w.queues, w.queue.ARN + "-gone"}
	w.send(event)
	if !w.turn() || w.turn() {
		t.Fatal("not put off")
	}
	w.now = w.now.Add(61 * time.Second)
	if !w.turn() || w.posts != 2 {
		t.Errorf("%d posts", w.posts)
	}
}

func TestLogsHoldNoEventAndNoSecret(t *testing.T) {
	w := newWorld(t)
	for _, status := range []int{200, 410, 503} {
		w.answer = status
		w.send(event)
		w.turn()
	}
	secrets, err := w.handler.Sender.secrets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, hidden := range append(secrets, "canary", "Ä <&>") {
		if strings.Contains(w.log.String(), hidden) {
			t.Errorf("the log holds %q\n%s", hidden, w.log.String())
		}
	}
}

func TestSecretsAreOnesOfTheirNumbers(t *testing.T) {
	w := newWorld(t)
	get := func(numbers ...int) []string {
		t.Helper()
		s, err := NewSecrets(w.kms, w.key, numbers).Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	two, one := get(2, 1), get(1)
	if len(two) != 2 || two[1] != one[0] || two[0] == two[1] || len(one[0]) != 64 {
		t.Errorf("secrets of 2 and 1 %v, of 1 %v", two, one)
	}
	// What docs/webhooks.md tells the operator to run.
	out, err := w.kms.GenerateMac(t.Context(), &kms.GenerateMacInput{
		KeyId: &w.key, MacAlgorithm: "HMAC_SHA_256", Message: []byte("rolecall/webhook/v1\n1"),
	})
	if err != nil || one[0] != hexOf(out.Mac) {
		t.Errorf("the operator's secret is another one: %v", err)
	}
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, x := range b {
		s.WriteByte(digits[x>>4])
		s.WriteByte(digits[x&15])
	}
	return s.String()
}

func TestSecretsAreAskedForOnceAndAgainAfterAnError(t *testing.T) {
	w := newWorld(t)
	s := NewSecrets(w.kms, "arn:aws:kms:eu-west-1:111111111111:key/none", []int{1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Get(ctx); err == nil {
		t.Fatal("a secret of no key")
	}
	s.keyARN = w.key
	first, err := s.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.keyARN = "arn:aws:kms:eu-west-1:111111111111:key/none"
	if again, err := s.Get(t.Context()); err != nil || again[0] != first[0] {
		t.Errorf("KMS was asked twice: %v", err)
	}
	if _, err := NewSecrets(w.kms, w.key, nil).Get(t.Context()); err == nil {
		t.Error("no number, no error")
	}
}
