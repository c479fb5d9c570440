package dynamodb_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rolecall/infra/local/dynamodb"
)

const tableARN = "arn:aws:dynamodb:eu-west-1:111111111111:table/tab"

func TestStreamRecords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stream := w.service.Stream(tableARN)
	w.put("1", "1", `"a":{"S":"A"}`)
	w.put("1", "1", `"a":{"S":"A"}`) // nothing changes: no record
	w.must("UpdateItem", `{"TableName":"tab","Key":`+item("1", "1", "")+`,"UpdateExpression":"SET a = a"}`)
	w.put("1", "1", `"a":{"S":"B"}`)
	w.must("DeleteItem", `{"TableName":"tab","Key":`+item("1", "1", "")+`}`)
	w.must("DeleteItem", `{"TableName":"tab","Key":`+item("1", "1", "")+`}`) // there is nothing to delete: no record
	records := stream.Records(0, 100)
	if len(records) != 3 {
		t.Fatalf("%d records", len(records))
	}
	encoded, err := json.Marshal(records[1])
	if err != nil {
		t.Fatal(err)
	}
	same(t, string(encoded), fmt.Sprintf(`{"eventID":%q,"eventName":"MODIFY","eventVersion":"1.1","eventSource":"aws:dynamodb",
		"awsRegion":"eu-west-1","eventSourceARN":"%s/stream/2026-01-02T03:04:05.000","dynamodb":{"ApproximateCreationDateTime":1767323045,
		"Keys":{"p":{"S":"1"},"s":{"S":"1"}},"NewImage":{"p":{"S":"1"},"s":{"S":"1"},"a":{"S":"B"}},
		"OldImage":{"p":{"S":"1"},"s":{"S":"1"},"a":{"S":"A"}},"SequenceNumber":"100000000000000000002","SizeBytes":16,
		"StreamViewType":"NEW_AND_OLD_IMAGES"}}`, records[1].EventID, tableARN))
	var names []string
	for _, r := range records {
		names = append(names, r.EventName)
	}
	if got := strings.Join(names, " "); got != "INSERT MODIFY REMOVE" {
		t.Error(got)
	}
	if records[0].EventID == records[1].EventID || len(records[0].EventID) != 32 {
		t.Error("event ids", records[0].EventID, records[1].EventID)
	}
	if next := stream.Records(records[0].Position, 1); len(next) != 1 || next[0].EventName != "MODIFY" {
		t.Error("reading on from a position", next)
	}
}

func TestStreamViews(t *testing.T) {
	t.Parallel()
	for view, want := range map[string][2]bool{
		"KEYS_ONLY": {false, false}, "NEW_IMAGE": {true, false}, "OLD_IMAGE": {false, true}, "NEW_AND_OLD_IMAGES": {true, true},
	} {
		w := newWorld(t)
		w.must("CreateTable", strings.NewReplacer("NEW_AND_OLD_IMAGES", view, `"tab"`, `"view"`).Replace(single))
		for _, a := range []string{"A", "B"} {
			w.must("PutItem", `{"TableName":"view","Item":`+item("1", "1", `"a":{"S":"`+a+`"}`)+`}`)
		}
		records := w.service.Stream(dynamodb.TableARN(account, region, "view")).Records(1, 10)
		if len(records) != 1 {
			t.Fatalf("%s: %d records", view, len(records))
		}
		change := records[0].Change
		if got := [2]bool{change.NewImage != nil, change.OldImage != nil}; got != want || change.Keys == nil || change.StreamViewType != view {
			t.Errorf("%s: new and old %v, want %v", view, got, want)
		}
	}
}

func TestStreamWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stream := w.service.Stream(tableARN)
	const writes = 500
	done := make(chan []string)
	go func() {
		var got []string
		for at := int64(0); ; {
			err := stream.Wait(context.Background(), at)
			if errors.Is(err, dynamodb.ErrStreamClosed) {
				done <- got
				return
			}
			for _, r := range stream.Records(at, 7) {
				got = append(got, r.Change.SequenceNumber)
				at = r.Position
			}
		}
	}()
	for i := range writes {
		w.put("1", fmt.Sprint(i), "")
	}
	w.must("DeleteTable", `{"TableName":"tab"}`)
	got := <-done
	if len(got) != writes {
		t.Fatalf("%d records of %d", len(got), writes)
	}
	for i, sequence := range got {
		if sequence != fmt.Sprintf("1%020d", i+1) {
			t.Fatalf("record %d is %s", i, sequence)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w.must("CreateTable", single)
	if err := w.service.Stream(tableARN).Wait(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestStreamForgetsAfterADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stream := w.service.Stream(tableARN)
	w.put("1", "1", "")
	w.advance(25 * time.Hour)
	w.put("1", "2", "")
	if records := stream.Records(0, 10); len(records) != 1 || records[0].Position != 2 {
		t.Errorf("%v", records)
	}
}

func TestTimeToLive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := func(d time.Duration) string {
		return fmt.Sprintf(`"x":{"N":"%d"},"g":{"S":"G"}`, w.clock().Add(d).Unix())
	}
	w.put("early", "1", at(-time.Second)) // stored before time to live is on
	w.must("UpdateTimeToLive", `{"TableName":"tab","TimeToLiveSpecification":{"AttributeName":"x","Enabled":true}}`)
	same(t, w.must("DescribeTimeToLive", `{"TableName":"tab"}`), `{"TimeToLiveDescription":{"TimeToLiveStatus":"ENABLED","AttributeName":"x"}}`)
	w.fails("UpdateTimeToLive", `{"TableName":"tab","TimeToLiveSpecification":{"AttributeName":"x","Enabled":true}}`, "ValidationException", "TimeToLive is already enabled")
	w.put("late", "1", at(time.Hour))
	w.put("moved", "1", at(-time.Second))
	w.put("moved", "1", at(time.Hour))
	w.put("ancient", "1", at(-6*365*24*time.Hour)) // older than five years is taken for a mistake
	w.put("text", "1", `"x":{"S":"1"}`)
	w.put("none", "1", "")
	stream := w.service.Stream(tableARN)
	last := stream.Last()
	if removed := w.service.ExpireNow(); removed != 1 {
		t.Errorf("%d removed", removed)
	}
	if w.get("early", "1") != "" {
		t.Error("expired and still there")
	}
	records := stream.Records(last, 10)
	if len(records) != 1 || records[0].EventName != "REMOVE" || records[0].UserIdentity == nil ||
		*records[0].UserIdentity != (dynamodb.UserIdentity{Type: "Service", PrincipalID: "dynamodb.amazonaws.com"}) {
		t.Errorf("%+v", records)
	}
	w.advance(2 * time.Hour)
	if removed := w.service.ExpireNow(); removed != 2 {
		t.Errorf("later %d removed", removed)
	}
	if p := w.page("Scan", `{"TableName":"tab","IndexName":"keys"}`); p.Count != 1 {
		t.Errorf("the index has %d", p.Count)
	}
	w.must("UpdateTimeToLive", `{"TableName":"tab","TimeToLiveSpecification":{"AttributeName":"x","Enabled":false}}`)
	w.put("late", "1", at(-time.Hour))
	if removed := w.service.ExpireNow(); removed != 0 {
		t.Errorf("off, and %d removed", removed)
	}
}
