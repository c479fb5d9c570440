package bus_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	lambdaevents "github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/google/go-cmp/cmp"

	pocket "rolecall/infra/local/events"
	"rolecall/infra/local/iam"
	"rolecall/infra/local/sqs"
	"rolecall/infra/local/wire"
	"rolecall/shared/bus"
	"rolecall/shared/connect"
)

const (
	account = "111111111111"
	region  = "eu-west-1"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 123456789, time.UTC)

// A world is the pocket AWS's bus, with a queue that gets all of Rolecall's events.
type world struct {
	*testing.T
	publisher bus.Publisher
	queues    *sqs.Service
	queue     string
	journal   *wire.Journal
	log       *bytes.Buffer
}

func newWorld(t *testing.T) world {
	t.Helper()
	w := world{T: t, log: &bytes.Buffer{}}
	accounts := iam.New(time.Now)
	door := wire.NewServer(wire.Config{Authenticator: accounts, Authorizer: accounts, Clock: time.Now})
	w.journal = door.Journal()
	server := httptest.NewServer(door)
	t.Cleanup(server.Close)
	w.queues = sqs.New(server.URL, time.Now)
	service := pocket.New(w.queues, time.Now, slog.New(slog.NewTextHandler(w.log, nil)))
	door.Register("events", service)
	if _, err := service.CreateBus(account, region, "rolecall"); err != nil {
		t.Fatal(err)
	}
	rule, err := service.PutRule(account, region, pocket.Rule{Name: "all", Bus: "rolecall", Pattern: `{"source":["rolecall"]}`})
	if err != nil {
		t.Fatal(err)
	}
	q, err := w.queues.Create(account, region, "sink", map[string]string{"Policy": fmt.Sprintf(
		`{"Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*",`+
			`"Condition":{"ArnEquals":{"aws:SourceArn":%q}}}]}`, rule)})
	if err != nil {
		t.Fatal(err)
	}
	if err := service.PutTarget(rule, pocket.Target{ID: "sink", ARN: q.ARN}); err != nil {
		t.Fatal(err)
	}
	w.queue, w.publisher = q.ARN, publisher(server.URL, w.log)
	return w
}

func publisher(url string, log io.Writer) bus.Publisher {
	return bus.Publisher{
		Bus: "rolecall", Read: read, Log: slog.New(slog.NewJSONHandler(log, nil)),
		Client: eventbridge.New(eventbridge.Options{
			Region: region, BaseEndpoint: &url, RetryMaxAttempts: 1,
			Credentials: credentials.NewStaticCredentialsProvider(account, "any", ""),
		}),
	}
}

// A published is an EventBridge event as a rule's target gets it.
type published struct {
	DetailType string `json:"detail-type"`
	Source     string
	Account    string
	Time       time.Time
	Resources  []string
	Detail     json.RawMessage
}

// received takes everything out of the queue, in the order in which it went in.
func (w world) received() []published {
	w.Helper()
	var all []published
	for _, body := range w.bodies() {
		var p published
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			w.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// bodies are received, as the queue has them.
func (w world) bodies() []string {
	w.Helper()
	var all []string
	var none time.Duration
	for {
		got, err := w.queues.Receive(w.Context(), w.queue, sqs.ReceiveInput{Max: 10, Wait: &none})
		if err != nil {
			w.Fatal(err)
		}
		if len(got) == 0 {
			return all
		}
		for _, m := range got {
			all = append(all, m.Body)
			if err := w.queues.DeleteMessage(w.queue, m.ReceiptHandle); err != nil {
				w.Fatal(err)
			}
		}
	}
}

// read is a stand-in for the store's reader: an image with nothing in it is unreadable.
func read(image map[string]lambdaevents.DynamoDBAttributeValue) (connect.Event, error) {
	var e connect.Event
	if len(image) == 0 {
		return e, errors.New("unreadable")
	}
	at, err := time.Parse(time.RFC3339Nano, image["at"].String())
	if err != nil {
		return e, err
	}
	e = connect.Event{
		ID: image["id"].String(), ConnectionID: connect.ConnectionID(image["connectionId"].String()),
		EnrolmentID: connect.EnrolmentID(image["enrolmentId"].String()),
		TenantID:    connect.TenantID(image["tenantId"].String()), Type: connect.EventType(image["type"].String()),
		At: at, Actor: connect.Actor(image["actor"].String()),
	}
	if e.Sequence, err = strconv.ParseInt(image["sequence"].Number(), 10, 64); err != nil {
		return e, err
	}
	return e, json.Unmarshal([]byte(image["data"].String()), &e.Data)
}

// record is a stream record of an event; its sequence number follows from n.
func record(n int, e connect.Event) lambdaevents.DynamoDBEventRecord {
	data, err := json.Marshal(e.Data)
	if err != nil {
		panic(err)
	}
	text := lambdaevents.NewStringAttribute
	r := blank(n)
	r.Change.NewImage = map[string]lambdaevents.DynamoDBAttributeValue{
		"id": text(e.ID), "connectionId": text(string(e.ConnectionID)), "enrolmentId": text(string(e.EnrolmentID)), "tenantId": text(string(e.TenantID)),
		"type": text(string(e.Type)), "at": text(e.At.Format(time.RFC3339Nano)), "actor": text(string(e.Actor)),
		"sequence": lambdaevents.NewNumberAttribute(strconv.FormatInt(e.Sequence, 10)), "data": text(string(data)),
	}
	return r
}

// blank is a record that cannot be read.
func blank(n int) lambdaevents.DynamoDBEventRecord {
	return lambdaevents.DynamoDBEventRecord{Change: lambdaevents.DynamoDBStreamRecord{SequenceNumber: sequenceNumber(n)}}
}

func sequenceNumber(n int) string { return fmt.Sprintf("1110000000000000000%05d", n) }

func batch(all ...connect.Event) lambdaevents.DynamoDBEvent {
	var b lambdaevents.DynamoDBEvent
	for i, e := range all {
		b.Records = append(b.Records, record(i, e))
	}
	return b
}

// many are n events of one connection.
func many(n int) []connect.Event {
	var all []connect.Event
	for i := range n {
		all = append(all, connect.Event{
			ID: fmt.Sprint("evt_", i), ConnectionID: "conn_01k0000000000000000000000a", TenantID: "acme", Sequence: int64(i + 1),
			Type: connect.EventLaunched, At: noon.Add(time.Duration(i) * time.Second), Actor: "ada", Data: map[string]any{"launch": float64(i)},
		})
	}
	return all
}

func ids(t *testing.T, all []published) []string {
	t.Helper()
	var out []string
	for _, p := range all {
		var d struct{ ID string }
		if err := json.Unmarshal(p.Detail, &d); err != nil {
			t.Fatal(err)
		}
		out = append(out, d.ID)
	}
	return out
}

func wantIDs(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprint("evt_", i))
	}
	return out
}

// stoppedAt is the sequence number that the stream is to begin with again; "" where all were taken.
func stoppedAt(t *testing.T, p bus.Publisher, b lambdaevents.DynamoDBEvent) string {
	t.Helper()
	out, err := p.Handle(t.Context(), b)
	if err != nil {
		t.Fatalf("the whole batch failed: %v", err)
	}
	switch len(out.BatchItemFailures) {
	case 0:
		return ""
	case 1:
		return out.BatchItemFailures[0].ItemIdentifier
	}
	t.Fatalf("more than one place to begin again: %+v", out)
	return ""
}

func TestAnEventIsPublishedByItsContract(t *testing.T) {
	w := newWorld(t)
	zone := time.FixedZone("east", 2*60*60)
	e := connect.Event{
		ID: "evt_x_7", ConnectionID: "conn_01k0000000000000000000000a", TenantID: "acme:eu", Sequence: 1<<53 - 1, Type: connect.EventDeleted,
		At: noon.In(zone), Actor: "ada <ada@example.com>", Data: map[string]any{"from": "enabled", "deep": map[string]any{"list": []any{"é", 1.5, nil}}},
	}
	if at := stoppedAt(t, w.publisher, batch(e)); at != "" {
		t.Fatalf("stopped at %s", at)
	}
	got := w.received()
	if len(got) != 1 {
		t.Fatalf("%d events", len(got))
	}
	p := got[0]
	if p.Source != "rolecall" || p.DetailType != "connection.deleted" || p.Account != account ||
		!slices.Equal(p.Resources, []string{"conn_01k0000000000000000000000a"}) || !p.Time.Equal(noon.Truncate(time.Second)) {
		t.Errorf("event %+v", p)
	}
	var detail map[string]any
	d := json.NewDecoder(bytes.NewReader(p.Detail))
	d.UseNumber()
	if err := d.Decode(&detail); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"id": "evt_x_7", "type": "connection.deleted", "version": "1", "tenantId": "acme:eu", "connectionId": "conn_01k0000000000000000000000a",
		"sequence": json.Number("9007199254740991"), "at": "2026-11-21T12:00:00.123456789Z", "actor": "ada <ada@example.com>",
		"data": map[string]any{"from": "enabled", "deep": map[string]any{"list": []any{"é", json.Number("1.5"), nil}}},
	}
	if diff := cmp.Diff(want, detail); diff != "" {
		t.Errorf("detail (-want +got):\n%s", diff)
	}
}

func TestEventsArePublishedInOrderTenAtATime(t *testing.T) {
	for n, calls := range map[int]int{0: 0, 1: 1, 10: 1, 11: 2, 25: 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := newWorld(t)
			if at := stoppedAt(t, w.publisher, batch(many(n)...)); at != "" {
				t.Fatalf("stopped at %s", at)
			}
			var want []string
			if n > 0 {
				want = wantIDs(n)
			}
			if diff := cmp.Diff(want, ids(t, w.received())); diff != "" {
				t.Errorf("published (-want +got):\n%s", diff)
			}
			if got := wire.Tally(w.journal.Entries(0))["events:PutEvents"]; got != calls {
				t.Errorf("%d calls, want %d", got, calls)
			}
		})
	}
}

// What comes before a record that cannot be read is published, and nothing after it: order is kept.
func TestAnUnreadableRecordStopsThere(t *testing.T) {
	for _, at := range []int{0, 1, 9, 10, 13, 24} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			w := newWorld(t)
			b := batch(many(25)...)
			b.Records[at] = blank(at)
			if got := stoppedAt(t, w.publisher, b); got != sequenceNumber(at) {
				t.Errorf("stopped at %q, want %q", got, sequenceNumber(at))
			}
			var want []string
			if at > 0 {
				want = wantIDs(at)
			}
			if diff := cmp.Diff(want, ids(t, w.received())); diff != "" {
				t.Errorf("published (-want +got):\n%s", diff)
			}
		})
	}
}

// answers gives one prepared answer after the other, and counts.
type answers struct {
	all   []http.HandlerFunc
	calls int
}

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.calls++
	if a.calls > len(a.all) {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	a.all[a.calls-1](w, r)
}

// entries answers for n entries, of which those named have failed.
func entries(n int, failed ...int) http.HandlerFunc {
	var list []string
	for i := range n {
		if slices.Contains(failed, i) {
			list = append(list, `{"ErrorCode":"ThrottlingException","ErrorMessage":"Rate exceeded"}`)
			continue
		}
		list = append(list, fmt.Sprintf(`{"EventId":"%d"}`, i))
	}
	return says(http.StatusOK, fmt.Sprintf(`{"FailedEntryCount":%d,"Entries":[%s]}`, len(failed), strings.Join(list, ",")))
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestPublishingStopsAtTheFirstThatWasNotTaken(t *testing.T) {
	unreadable := func(b lambdaevents.DynamoDBEvent, at int) lambdaevents.DynamoDBEvent {
		b.Records[at] = blank(at)
		return b
	}
	tests := map[string]struct {
		batch   lambdaevents.DynamoDBEvent
		answers []http.HandlerFunc
		stop    int // -1: nowhere
		calls   int
	}{
		"all taken":                      {batch(many(12)...), []http.HandlerFunc{entries(10), entries(2)}, -1, 2},
		"the first":                      {batch(many(3)...), []http.HandlerFunc{entries(3, 0)}, 0, 1},
		"one in the middle":              {batch(many(10)...), []http.HandlerFunc{entries(10, 4)}, 4, 1},
		"two: the earlier one counts":    {batch(many(10)...), []http.HandlerFunc{entries(10, 7, 3)}, 3, 1},
		"all":                            {batch(many(3)...), []http.HandlerFunc{entries(3, 0, 1, 2)}, 0, 1},
		"in the first ten of many":       {batch(many(25)...), []http.HandlerFunc{entries(10, 9)}, 9, 1},
		"in the second ten":              {batch(many(25)...), []http.HandlerFunc{entries(10), entries(10, 2)}, 12, 2},
		"before an unreadable one":       {unreadable(batch(many(8)...), 6), []http.HandlerFunc{entries(6, 2)}, 2, 1},
		"only the unreadable one":        {unreadable(batch(many(8)...), 6), []http.HandlerFunc{entries(6)}, 6, 1},
		"refused before unreadable":      {unreadable(batch(many(8)...), 6), []http.HandlerFunc{says(500, `{}`)}, 0, 1},
		"call fails":                     {batch(many(25)...), []http.HandlerFunc{entries(10), says(500, `{"__type":"InternalException"}`)}, 10, 2},
		"call throttled":                 {batch(many(3)...), []http.HandlerFunc{says(400, `{"__type":"ThrottlingException"}`)}, 0, 1},
		"call denied":                    {batch(many(3)...), []http.HandlerFunc{says(400, `{"__type":"AccessDeniedException"}`)}, 0, 1},
		"answer cut off":                 {batch(many(3)...), []http.HandlerFunc{says(200, `{"FailedEntryCount":0,"Entr`)}, 0, 1},
		"answer without entries":         {batch(many(3)...), []http.HandlerFunc{says(200, `{}`)}, 0, 1},
		"answer without a body":          {batch(many(3)...), []http.HandlerFunc{says(200, ``)}, 0, 1},
		"answer for fewer":               {batch(many(3)...), []http.HandlerFunc{entries(2)}, 2, 1},
		"answer that only counts a fail": {batch(many(1)...), []http.HandlerFunc{says(200, `{"FailedEntryCount":1,"Entries":[{}]}`)}, 0, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := &answers{all: tt.answers}
			server := httptest.NewServer(a)
			defer server.Close()
			var log bytes.Buffer
			want := ""
			if tt.stop >= 0 {
				want = sequenceNumber(tt.stop)
			}
			if got := stoppedAt(t, publisher(server.URL, &log), tt.batch); got != want {
				t.Errorf("stopped at %q, want %q", got, want)
			}
			if a.calls != tt.calls {
				t.Errorf("%d calls, want %d", a.calls, tt.calls)
			}
			if want != "" && !strings.Contains(log.String(), `"level":"ERROR"`) {
				t.Errorf("nothing is logged of it: %s", log.String())
			}
		})
	}
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
