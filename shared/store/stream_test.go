package store_test

import (
	"encoding/json"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"rolecall/shared/connect"
	"rolecall/shared/store"
	"rolecall/shared/storetest"
)

type image = map[string]events.DynamoDBAttributeValue

// streamed are the images of a stream event as Lambda delivers it.
func streamed(t *testing.T) []image {
	t.Helper()
	text, err := os.ReadFile("../../events/samples/publish.json")
	if err != nil {
		t.Fatal(err)
	}
	var e events.DynamoDBEvent
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatal(err)
	}
	var images []image
	for _, r := range e.Records {
		images = append(images, r.Change.NewImage)
	}
	return images
}

func TestEventsAreReadFromTheStream(t *testing.T) {
	const (
		id   = connect.ConnectionID("conn_01ka000000000000000000demx")
		role = "arn:aws:iam::222222222222:role/rolecall-acme-production-Role-1A2B3C4D5E6F"
	)
	want := []connect.Event{
		{
			ID: "evt_01ka000000000000000000demx_1", ConnectionID: id, TenantID: "acme", Sequence: 1, Type: connect.EventCreated,
			At: time.Date(2026, 11, 21, 12, 0, 0, 123456789, time.UTC), Actor: "ada@example.com",
			Data: map[string]any{"name": "Production", "method": "role", "permissions": "read-only", "status": "pending"},
		},
		{
			ID: "evt_01ka000000000000000000demx_3", ConnectionID: id, TenantID: "acme", Sequence: 3, Type: connect.EventRoleReported,
			At: time.Date(2026, 11, 21, 12, 0, 30, 0, time.UTC), Actor: connect.ActorStack,
			Data: map[string]any{
				"region": "eu-west-1", "roleArn": role, "status": "verifying", "templateVersion": "1.0.0",
				"stackId": "arn:aws:cloudformation:eu-west-1:222222222222:stack/rolecall-acme-production/6f1e1c60-c6c4-11f0-a4a1-0a1b2c3d4e5f",
			},
		},
		{
			ID: "evt_mz4k7q2h6s3w5x7a2c4e6g8j", ConnectionID: id, TenantID: "acme", Sequence: 4, Type: connect.EventCredentialsIssued,
			At: time.Date(2026, 11, 21, 12, 1, 0, 500000000, time.UTC), Actor: "cost-reports",
			Data: map[string]any{
				"accessKeyId": "ASIAEXAMPLE", "durationSeconds": 1800.0, "expiresAt": "2026-11-21T12:31:00Z", "roleArn": role,
				"sessionName": "rolecall-cost-reports",
			},
		},
	}
	var got []connect.Event
	for _, i := range streamed(t) {
		e, err := store.EventOf(i)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// What the store writes is what it reads from the stream: changes and notes alike.
func TestTheStreamReadsWhatTheStoreWrites(t *testing.T) {
	s := newStore(t)
	ch := storetest.Create(t, "acme", "Streamed")
	if err := s.Commit(t.Context(), ch); err != nil {
		t.Fatal(err)
	}
	note := connect.Event{
		ID: "evt_note", ConnectionID: ch.Connection().ID(), TenantID: "acme", Sequence: ch.Connection().Version(),
		Type: connect.EventCredentialsIssued, At: noon.Add(time.Nanosecond), Actor: "é \"quoted\"",
		Data: map[string]any{"n": 1.5, "deep": map[string]any{"list": []any{"<&>", nil, true}}},
	}
	if err := s.Note(t.Context(), note); err != nil {
		t.Fatal(err)
	}
	out, err := s.Client.Query(t.Context(), &dynamodb.QueryInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true),
		KeyConditionExpression: aws.String("PK = :pk AND begins_with(SK, :sk)"),
		ExpressionAttributeValues: map[string]ddbtypes.AttributeValue{
			":pk": &ddbtypes.AttributeValueMemberS{Value: "CONN#" + string(ch.Connection().ID())},
			":sk": &ddbtypes.AttributeValueMemberS{Value: "EVENT#"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []connect.Event
	for _, item := range out.Items {
		e, err := store.EventOf(asStreamed(t, item))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if diff := cmp.Diff([]connect.Event{ch.Event(), note}, got); diff != "" {
		t.Errorf("events (-written +read):\n%s", diff)
	}
}

// asStreamed is an item as a stream record has it; event records hold nothing but text and numbers.
func asStreamed(t *testing.T, item map[string]ddbtypes.AttributeValue) image {
	t.Helper()
	i := image{}
	for name, value := range item {
		switch v := value.(type) {
		case *ddbtypes.AttributeValueMemberS:
			i[name] = events.NewStringAttribute(v.Value)
		case *ddbtypes.AttributeValueMemberN:
			i[name] = events.NewNumberAttribute(v.Value)
		default:
			t.Fatalf("%s is a %T", name, value)
		}
	}
	return i
}

func TestADamagedEventRecordIsNotPublished(t *testing.T) {
	whole := streamed(t)[0]
	text, number := events.NewStringAttribute, events.NewNumberAttribute
	tests := map[string]image{
		"no image":               nil,
		"sequence as text":       {"sequence": text("1")},
		"sequence zero":          {"sequence": number("0")},
		"sequence a fraction":    {"sequence": number("1.5")},
		"sequence too large":     {"sequence": number("9223372036854775808")},
		"id as a number":         {"id": number("1")},
		"id as a list":           {"id": events.NewListAttribute([]events.DynamoDBAttributeValue{text("evt_1")})},
		"id as nothing":          {"id": events.NewNullAttribute()},
		"time of day":            {"at": text("noon")},
		"time without a zone":    {"at": text("2026-11-21T12:00:00")},
		"data that is no object": {"data": text(`["x"]`)},
		"data that is null":      {"data": text(`null`)},
		"data cut off":           {"data": text(`{"status":"pend`)},
		"data as a map":          {"data": events.NewMapAttribute(image{"status": text("pending")})},
	}
	for _, name := range []string{"id", "connectionId", "tenantId", "sequence", "type", "at", "actor", "data"} {
		tests[name+" empty"] = image{name: text("")}
		tests[name+" missing"] = image{name: {}}
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			damaged := maps.Clone(whole)
			maps.Copy(damaged, change)
			if change == nil {
				damaged = nil
			}
			if attribute, ok := strings.CutSuffix(name, " missing"); ok {
				delete(damaged, attribute)
			}
			if e, err := store.EventOf(damaged); err == nil {
				t.Errorf("read as %+v", e)
			}
		})
	}
	if _, err := store.EventOf(whole); err != nil {
		t.Errorf("the whole record: %v", err)
	}
}
