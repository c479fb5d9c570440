package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	lambdaevents "github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"rolecall/infra/local/dynamodb"
	"rolecall/infra/local/events"
	"rolecall/infra/local/iam"
	"rolecall/infra/local/s3"
	"rolecall/infra/local/sqs"
	"rolecall/infra/local/wire"
)

// The laptop's TestDeliveryOfEvents runs the command itself; here is what it does with odd things.

func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"":                               "",
		"-send":                          "",
		"-from table -connection conn_1": "",
		"-from table -since 2026-11-20T00:00:00Z -until 2026-11-21T00:00:00+01:00": "",
		"-from table":      "needs -connection",
		"-from bus":        "must be undelivered or table",
		"-since yesterday": "since",
		"-since 2026-11-21T00:00:00Z -until 2026-11-20T00:00:00Z": "before",
		"send": "no flag",
	} {
		_, err := parse(strings.Fields(args), io.Discard)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
	var help bytes.Buffer
	if _, err := parse([]string{"-help"}, &help); !errors.Is(err, flag.ErrHelp) || !strings.Contains(help.String(), "make republish") {
		t.Errorf("%v\n%s", err, help.String())
	}
}

func record(id, kind, at string) lambdaevents.DynamoDBEventRecord {
	text := lambdaevents.NewStringAttribute
	return lambdaevents.DynamoDBEventRecord{Change: lambdaevents.DynamoDBStreamRecord{NewImage: map[string]lambdaevents.DynamoDBAttributeValue{
		"id": text(id), "type": text(kind), "at": text(at), "connectionId": text("conn_1"), "tenantId": text("acme"), "actor": text("ada"),
		"sequence": lambdaevents.NewNumberAttribute("1"), "data": text(`{"status":"pending"}`),
	}}}
}

func TestOnlyWhatIsNamedCounts(t *testing.T) {
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	all := batch{
		record("evt_1", "connection.created", "2026-11-21T11:59:59.9Z"), record("evt_2", "connection.enabled", "2026-11-21T12:00:00Z"),
		{},
		record("evt_3", "connection.enabled", "2026-11-21T12:00:00.5Z"), record("evt_4", "connection.deleted", "2026-11-21T12:00:01Z"),
	}
	for name, c := range map[string]struct {
		o    options
		want int
	}{
		"everything":         {options{}, 4},
		"a time":             {options{since: noon, until: noon.Add(time.Second)}, 2},
		"a connection":       {options{connection: "conn_1"}, 4},
		"another connection": {options{connection: "conn_2"}, 0},
	} {
		tally := tally{types: map[string]int{}}
		if got := tally.read(all, c.o); len(got) != c.want || tally.events != c.want || tally.unreadable != 1 || tally.verdict() == nil {
			t.Errorf("%s: %d records, %+v", name, len(got), tally)
		}
	}
}

// A record that the bus does not take keeps none of the others back.
func TestOneThatIsNotTakenIsTheOnlyOne(t *testing.T) {
	accounts := iam.New(time.Now)
	door := wire.NewServer(wire.Config{Authenticator: accounts, Authorizer: accounts, Clock: time.Now})
	server := httptest.NewServer(door)
	t.Cleanup(server.Close)
	queues := sqs.New(server.URL, time.Now)
	buses, objects := events.New(queues, time.Now, slog.New(slog.DiscardHandler)), s3.New(time.Now)
	door.Register("events", buses)
	door.Register("s3", objects)
	door.Register("dynamodb", dynamodb.New(time.Now))
	c := connectTo(aws.Config{
		Region: "eu-west-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("111111111111", "any", ""),
	}, slog.New(slog.DiscardHandler))
	if _, err := buses.CreateBus("111111111111", "eu-west-1", "rolecall"); err != nil {
		t.Fatal(err)
	}
	var b batch
	tally := tally{types: map[string]int{}}
	for range 25 {
		b = append(b, record("evt_1", "connection.created", "2026-11-21T12:00:00Z"))
	}
	b = tally.read(b, options{})
	b[7].Change.NewImage = nil
	if err := c.send(t.Context(), "rolecall", b, &tally); err != nil || tally.sent != 24 || tally.failed != 1 || tally.verdict() == nil {
		t.Errorf("%+v, %v", tally, err)
	}

	// An object that is none of Lambda's is told of, and the others are read.
	if err := objects.CreateBucket("111111111111", "eu-west-1", "lost"); err != nil {
		t.Fatal(err)
	}
	for key, body := range map[string]string{
		"aws/lambda/1": `{"payload":"{\"Records\":[]}"}`, "aws/lambda/2": "{", "aws/lambda/3": `{"payload":"{"}`, "elsewhere": "",
	} {
		if err := objects.PutObject("lost", key, []byte(body), nil); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	err := c.republish(t.Context(), options{from: fromUndelivered, bucket: "lost", bus: "rolecall"}, &out)
	if err == nil || !strings.Contains(out.String(), "0 events in 3 objects") || !strings.Contains(out.String(), "2  cannot be read") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
