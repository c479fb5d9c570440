package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// A Delivery is what Lambda sends, as the function's role, about events that were given up (or, for OnSuccess of
// asynchronous invocations, that succeeded).
type Delivery struct {
	Function    Function
	Destination string // ARN of a queue, topic, bus, function or bucket
	Body        []byte // JSON as Lambda writes it for that kind of destination; for a dead letter queue the event itself
	// Key is the object key for a bucket, "" otherwise.
	Key string
	// Attributes are the message attributes of a dead letter (RequestID, ErrorCode, ErrorMessage), nil otherwise.
	Attributes map[string]string
	// Payload is the whole event with all its records, whatever the destination's Body leaves out.
	Payload []byte
}

// A record is the JSON that destinations get.
type record struct {
	Version         string           `json:"version"`
	Timestamp       string           `json:"timestamp"`
	RequestContext  requestContext   `json:"requestContext"`
	RequestPayload  json.RawMessage  `json:"requestPayload,omitempty"`
	ResponseContext *responseContext `json:"responseContext,omitempty"`
	ResponsePayload json.RawMessage  `json:"responsePayload,omitempty"`
	StreamBatch     *streamBatch     `json:"DDBStreamBatchInfo,omitempty"`
	// Payload is the whole event as a string; Lambda writes it for buckets only.
	Payload string `json:"payload,omitempty"`
}

type requestContext struct {
	RequestID   string `json:"requestId"`
	FunctionARN string `json:"functionArn"`
	Condition   string `json:"condition"`
	Invocations int    `json:"approximateInvokeCount"`
}

type responseContext struct {
	StatusCode      int    `json:"statusCode"`
	ExecutedVersion string `json:"executedVersion"`
	FunctionError   string `json:"functionError,omitempty"`
}

type streamBatch struct {
	ShardID       string `json:"shardId"`
	StartSequence string `json:"startSequenceNumber"`
	EndSequence   string `json:"endSequenceNumber"`
	FirstArrival  string `json:"approximateArrivalOfFirstRecord"`
	LastArrival   string `json:"approximateArrivalOfLastRecord"`
	BatchSize     int    `json:"batchSize"`
	StreamARN     string `json:"streamArn"`
}

const recordTime = "2006-01-02T15:04:05.000Z"

func stamp(t time.Time) string { return t.UTC().Format(recordTime) }

// newRecord describes the last invocation of an event that was given up.
func (s *Service) newRecord(arn, condition string, invocations int, last Result) record {
	r := record{
		Version: "1.0", Timestamp: stamp(s.cfg.Clock()),
		RequestContext: requestContext{
			RequestID: last.RequestID, FunctionARN: arn, Condition: condition, Invocations: invocations,
		},
	}
	if last.RequestID != "" {
		r.ResponseContext = &responseContext{StatusCode: 200, ExecutedVersion: "$LATEST", FunctionError: last.FunctionError}
	}
	return r
}

// deliver hands a delivery over. What cannot be delivered is lost, as in Lambda, but the function's log says so.
func (s *Service) deliver(ctx context.Context, d Delivery) {
	if err := s.handOver(ctx, d); err != nil {
		s.cfg.Log(d.Function.Name, fmt.Sprintf("events lost: destination %s: %v", d.Destination, err))
	}
}

func (s *Service) handOver(ctx context.Context, d Delivery) error {
	if err := s.permitDestination(d.Function.RoleARN, d.Destination, d.Key); err != nil {
		return err
	}
	if s.cfg.Deliver == nil {
		return fmt.Errorf("lambda: nothing delivers to destinations")
	}
	return s.cfg.Deliver(ctx, d)
}

// permitDestination asks whether a role may send to a destination.
func (s *Service) permitDestination(roleARN, destination, key string) error {
	action, resource := "", destination
	switch service := arnService(destination); service {
	case "sqs":
		action = "sqs:SendMessage"
	case "sns":
		action = "sns:Publish"
	case "events":
		action = "events:PutEvents"
	case "lambda":
		action = "lambda:InvokeFunction"
	case "s3":
		action, resource = "s3:PutObject", destination+"/"+key
	default:
		return invalid("%s is no destination: its service is %q", destination, service)
	}
	if err := s.cfg.Permit(roleARN, action, resource); err != nil {
		_, name, _ := strings.Cut(action, ":")
		return invalid("The provided execution role does not have permissions to call %s on %s: %v", name, destination, err)
	}
	return nil
}

func arnService(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" {
		return ""
	}
	return parts[2]
}

// objectKey is where Lambda puts what a mapping gave up.
func objectKey(mapping string, at time.Time) string {
	at = at.UTC()
	return fmt.Sprintf("aws/lambda/%s/%s/%s-%s", mapping, at.Format("2006/01/02"), at.Format("2006-01-02T15.04.05"), newUUID())
}

// wait sleeps for d or until ctx ends; false means that ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
