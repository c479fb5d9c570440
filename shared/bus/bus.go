// Package bus publishes event records on an EventBridge bus as the table's stream brings them.
package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	lambdaevents "github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"rolecall/events"
	"rolecall/shared/connect"
)

// A Publisher sends each record of a batch in order and says where it had to stop.
type Publisher struct {
	Client *eventbridge.Client
	Bus    string
	// Read makes an event of a stream record's new image.
	Read func(image map[string]lambdaevents.DynamoDBAttributeValue) (connect.Event, error)
	Log  *slog.Logger
}

// putBatch is the most entries of one PutEvents.
const putBatch = 10

// Handle publishes a batch. The stream delivers again from the first record that is named as failed, so everything
// after it may be published twice; consumers deduplicate by the event's id. After a panic all of them come again.
func (p Publisher) Handle(ctx context.Context, batch lambdaevents.DynamoDBEvent) (_ lambdaevents.DynamoDBEventResponse, err error) {
	defer connect.Recovered(&err)
	for start := 0; start < len(batch.Records); start += putBatch {
		records := batch.Records[start:min(start+putBatch, len(batch.Records))]
		if failed := p.publish(ctx, records); failed >= 0 {
			return stopAt(records[failed]), nil
		}
	}
	return lambdaevents.DynamoDBEventResponse{}, nil
}

func stopAt(r lambdaevents.DynamoDBEventRecord) lambdaevents.DynamoDBEventResponse {
	return lambdaevents.DynamoDBEventResponse{
		BatchItemFailures: []lambdaevents.DynamoDBBatchItemFailure{{ItemIdentifier: r.Change.SequenceNumber}},
	}
}

// publish sends up to ten records and answers with the index of the first one that was not taken, or -1.
func (p Publisher) publish(ctx context.Context, records []lambdaevents.DynamoDBEventRecord) int {
	in := &eventbridge.PutEventsInput{}
	for i, r := range records {
		entry, err := p.entry(r)
		if err != nil {
			p.Log.ErrorContext(ctx, "unreadable event record", "sequenceNumber", r.Change.SequenceNumber, "error", err)
			if i == 0 {
				return 0
			}
			if failed := p.put(ctx, in); failed >= 0 {
				return failed
			}
			return i
		}
		in.Entries = append(in.Entries, entry)
	}
	return p.put(ctx, in)
}

func (p Publisher) put(ctx context.Context, in *eventbridge.PutEventsInput) int {
	out, err := p.Client.PutEvents(ctx, in)
	if err != nil {
		p.Log.ErrorContext(ctx, "events not published", "count", len(in.Entries), "error", err)
		return 0
	}
	for i, e := range in.Entries { // what was given no id was not taken
		var r types.PutEventsResultEntry
		if i < len(out.Entries) {
			r = out.Entries[i]
		}
		if r.ErrorCode != nil || aws.ToString(r.EventId) == "" {
			p.Log.ErrorContext(ctx, "event not published", "code", aws.ToString(r.ErrorCode), "detailType", aws.ToString(e.DetailType))
			return i
		}
	}
	for _, e := range in.Entries {
		p.Log.InfoContext(ctx, "published", "detailType", aws.ToString(e.DetailType))
	}
	return -1
}

func (p Publisher) entry(r lambdaevents.DynamoDBEventRecord) (_ types.PutEventsRequestEntry, err error) {
	defer connect.Recovered(&err) // by one record, which fails alone
	e, err := p.Read(r.Change.NewImage)
	if err != nil {
		return types.PutEventsRequestEntry{}, err
	}
	detail, err := json.Marshal(events.Detail{
		ID: e.ID, Type: string(e.Type), Version: events.Version, TenantID: string(e.TenantID),
		ConnectionID: string(e.ConnectionID), EnrolmentID: string(e.EnrolmentID), Sequence: e.Sequence, At: e.At.UTC().Format(time.RFC3339Nano),
		Actor: string(e.Actor), Data: e.Data,
	})
	if err != nil {
		return types.PutEventsRequestEntry{}, fmt.Errorf("event %s: %w", e.ID, err)
	}
	return types.PutEventsRequestEntry{
		EventBusName: &p.Bus, Source: aws.String(events.Source), DetailType: aws.String(string(e.Type)),
		Detail: aws.String(string(detail)), Time: aws.Time(e.At), Resources: []string{string(e.ConnectionID) + string(e.EnrolmentID)}, // one of them

	}, nil
}
