package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

const (
	receiveMax  = 10               // what one ReceiveMessage may answer
	receiveWait = 20 * time.Second // SQS's longest poll
)

// A Queue is what mappings need of SQS.
type Queue interface {
	// VisibilityTimeout is how long the queue hides a received message; an error where the queue does not exist.
	VisibilityTimeout(ctx context.Context, queueARN string) (time.Duration, error)
	// Receive answers up to maximum (1–10) visible messages and hides them; it waits up to wait for the first one and
	// answers none after that, or ctx's error.
	Receive(ctx context.Context, queueARN string, maximum int, wait time.Duration) ([]Message, error)
	// Delete removes received messages.
	Delete(ctx context.Context, queueARN string, receiptHandles []string) error
}

// A Message is a received message.
type Message struct {
	ID                string
	ReceiptHandle     string
	Body              string
	MD5OfBody         string
	MD5OfAttributes   string            // "" without message attributes
	Attributes        map[string]string // ApproximateReceiveCount, SentTimestamp, SenderId, ApproximateFirstReceiveTimestamp, …
	MessageAttributes map[string]MessageAttribute
}

// A MessageAttribute is one of a message's own attributes.
type MessageAttribute struct {
	DataType    string // "String", "Number", "Binary", or one of them with a custom suffix
	StringValue string
	BinaryValue []byte // for Binary
}

// The types below are what a function sees of a message.
type queueRecord struct {
	MessageID         string                    `json:"messageId"`
	ReceiptHandle     string                    `json:"receiptHandle"`
	Body              string                    `json:"body"`
	Attributes        map[string]string         `json:"attributes"`
	MessageAttributes map[string]queueAttribute `json:"messageAttributes"`
	MD5OfAttributes   string                    `json:"md5OfMessageAttributes,omitempty"`
	MD5OfBody         string                    `json:"md5OfBody"`
	EventSource       string                    `json:"eventSource"`
	EventSourceARN    string                    `json:"eventSourceARN"`
	Region            string                    `json:"awsRegion"`
}

type queueAttribute struct {
	StringValue      *string  `json:"stringValue,omitempty"`
	BinaryValue      []byte   `json:"binaryValue,omitempty"`
	StringListValues []string `json:"stringListValues"`
	BinaryListValues [][]byte `json:"binaryListValues"`
	DataType         string   `json:"dataType"`
}

func (w *mapping) queueRecord(m Message) (json.RawMessage, error) {
	r := queueRecord{
		MessageID: m.ID, ReceiptHandle: m.ReceiptHandle, Body: m.Body, Attributes: m.Attributes,
		MessageAttributes: map[string]queueAttribute{}, MD5OfAttributes: m.MD5OfAttributes, MD5OfBody: m.MD5OfBody,
		EventSource: "aws:sqs", EventSourceARN: w.SourceARN, Region: w.region,
	}
	for name, a := range m.MessageAttributes {
		x := queueAttribute{StringListValues: []string{}, BinaryListValues: [][]byte{}, DataType: a.DataType}
		if a.BinaryValue != nil {
			x.BinaryValue = a.BinaryValue
		} else {
			x.StringValue = &a.StringValue
		}
		r.MessageAttributes[name] = x
	}
	return json.Marshal(r)
}

// A queueBatch is messages on their way through one invocation.
type queueBatch struct {
	messages []Message
	records  []json.RawMessage // of messages, in the same order
	received time.Time         // of the first
}

// pollQueue receives batches while fewer than MaximumConcurrency are being worked on. Batches in progress when ctx ends
// are finished.
func (w *mapping) pollQueue(ctx context.Context) {
	places := make(chan struct{}, w.MaximumConcurrency)
	for {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		b := w.collect(ctx)
		started := len(b.messages) > 0 && w.service.spawn(func() {
			defer func() { <-places }()
			w.process(w.service.ctx, b)
		})
		if !started {
			<-places
		}
	}
}

// collect receives a batch: what is there at once or, with a batching window, what comes until the batch is full or the
// window over.
func (w *mapping) collect(ctx context.Context) queueBatch {
	messages := w.receive(ctx, min(w.BatchSize, receiveMax), receiveWait)
	b := queueBatch{messages: messages, received: w.service.cfg.Clock()}
	if len(messages) == 0 || w.BatchingWindow == 0 {
		return b
	}
	for len(b.messages) < w.BatchSize && ctx.Err() == nil {
		rest := w.BatchingWindow - w.service.cfg.Clock().Sub(b.received)
		if rest <= 0 {
			break
		}
		b.messages = append(b.messages, w.receive(ctx, min(w.BatchSize-len(b.messages), receiveMax), min(rest, receiveWait))...)
	}
	return b
}

func (w *mapping) receive(ctx context.Context, maximum int, patience time.Duration) []Message {
	messages, err := w.service.cfg.Queue.Receive(ctx, w.SourceARN, maximum, patience)
	if err != nil && ctx.Err() == nil {
		w.log("receiving from %s: %v", w.SourceARN, err)
		wait(ctx, time.Second)
	}
	return messages
}

// process invokes the function with a batch and deletes what succeeded; everything else comes back when its visibility
// timeout is over.
func (w *mapping) process(ctx context.Context, b queueBatch) {
	b = w.filterQueue(ctx, b)
	w.invokeBatch(ctx, b)
}

func (w *mapping) invokeBatch(ctx context.Context, b queueBatch) {
	if len(b.messages) == 0 {
		return
	}
	payload := event(b.records)
	if half := len(b.messages) / 2; len(payload) > maxSyncPayload && half > 0 {
		w.invokeBatch(ctx, queueBatch{b.messages[:half], b.records[:half], b.received})
		w.invokeBatch(ctx, queueBatch{b.messages[half:], b.records[half:], b.received})
		return
	}
	result, err := w.invokeWhileHidden(ctx, payload, b.received)
	if err == nil {
		err = result.Err()
	}
	if err != nil {
		w.log("batch of %d messages of %s failed: %v", len(b.messages), w.SourceARN, err)
		return
	}
	w.remove(ctx, w.succeeded(b.messages, result.Payload))
}

// invokeWhileHidden repeats an invocation that is throttled until the messages are visible again.
func (w *mapping) invokeWhileHidden(ctx context.Context, payload []byte, received time.Time) (Result, error) {
	for n := 1; ; n++ {
		result, err := w.service.call(ctx, w.FunctionARN, payload)
		if !isThrottle(err) {
			return result, err
		}
		pause := backoff(n, 100*time.Millisecond, 5*time.Second)
		if w.service.cfg.Clock().Add(pause).Sub(received) >= w.visibility || !wait(ctx, pause) {
			return Result{}, err
		}
	}
}

// succeeded are the messages to delete after an invocation without function error.
func (w *mapping) succeeded(messages []Message, response []byte) []Message {
	if !w.ReportBatchItemFailures {
		return messages
	}
	ids, ok := failedItems(response)
	failed := map[string]bool{}
	for _, id := range ids {
		failed[id] = true
	}
	var done []Message
	for _, m := range messages {
		if !failed[m.ID] {
			done = append(done, m)
		}
	}
	// An id that is not of this batch means that the function is confused about what it did: nothing counts as done.
	if !ok || len(done)+len(failed) != len(messages) {
		w.log("malformed batch response for %s: all %d messages return", w.SourceARN, len(messages))
		return nil
	}
	return done
}

// filterQueue makes the records and removes messages that the filter does not admit, as Lambda does.
func (w *mapping) filterQueue(ctx context.Context, b queueBatch) queueBatch {
	kept := queueBatch{received: b.received}
	var dropped []Message
	for _, m := range b.messages {
		r, err := w.queueRecord(m)
		if err != nil {
			w.log("message %s: %v", m.ID, err)
			continue
		}
		if !w.admits(withJSONBody(r, m.Body)) {
			dropped = append(dropped, m)
			continue
		}
		kept.messages, kept.records = append(kept.messages, m), append(kept.records, r)
	}
	w.remove(ctx, dropped)
	return kept
}

// withJSONBody is a message's record as filters see it: a body that is a JSON object can be looked into.
func withJSONBody(r json.RawMessage, body string) json.RawMessage {
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(body), &object) != nil || object == nil {
		return r
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(r, &fields) != nil {
		return r
	}
	fields["body"] = json.RawMessage(body)
	opened, err := json.Marshal(fields)
	if err != nil {
		return r
	}
	return opened
}

func (w *mapping) remove(ctx context.Context, messages []Message) {
	for start := 0; start < len(messages); start += receiveMax {
		part := messages[start:min(start+receiveMax, len(messages))]
		handles := make([]string, 0, len(part))
		for _, m := range part {
			handles = append(handles, m.ReceiptHandle)
		}
		if err := w.service.cfg.Queue.Delete(ctx, w.SourceARN, handles); err != nil {
			w.log("deleting from %s: %v", w.SourceARN, err)
		}
	}
}

// log writes to the function's log.
func (w *mapping) log(format string, args ...any) {
	name := w.FunctionARN
	if p, err := w.service.pool(name); err == nil {
		name = p.definition().Name
	}
	w.service.cfg.Log(name, fmt.Sprintf(format, args...))
}
