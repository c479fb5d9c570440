package store

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/aws/aws-lambda-go/events"

	"rolecall/shared/connect"
)

// EventOf reads an event record from a stream record's new image.
func EventOf(image map[string]events.DynamoDBAttributeValue) (connect.Event, error) {
	text := func(name string) string {
		if v, ok := image[name]; ok && v.DataType() == events.DataTypeString {
			return v.String()
		}
		return ""
	}
	r := eventRecord{
		ID: text("id"), ConnectionID: text("connectionId"), EnrolmentID: text("enrolmentId"), TenantID: text("tenantId"), Type: text("type"),
		At: text("at"), Actor: text("actor"), Data: text("data"),
	}
	if v, ok := image["sequence"]; ok && v.DataType() == events.DataTypeNumber {
		n, err := strconv.ParseInt(v.Number(), 10, 64)
		if err != nil {
			return connect.Event{}, fmt.Errorf("event %s: %w", r.ID, err)
		}
		r.Sequence = n
	}
	if slices.Contains([]string{r.ID, r.ConnectionID + r.EnrolmentID, r.TenantID, r.Type, r.At, r.Actor}, "") || r.Sequence < 1 {
		return connect.Event{}, fmt.Errorf("event record %q is incomplete", r.ID)
	}
	e, err := r.event()
	if err == nil && e.Data == nil {
		return connect.Event{}, fmt.Errorf("event record %q has no data", r.ID)
	}
	return e, err
}
