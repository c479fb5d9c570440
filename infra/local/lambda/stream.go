package lambda

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

const (
	streamWait = 20 * time.Second
	// The shard of a pocket stream; it has one, so that the whole stream is in order.
	streamShard = "shardId-00000000000000000000-00000001"

	firstStreamPause = 250 * time.Millisecond
	lastStreamPause  = 30 * time.Second
)

// A Stream is what mappings need of DynamoDB Streams.
type Stream interface {
	// Records answers up to maximum records after a sequence number ("" for the first record there is), in order; it
	// waits up to wait for the first one and answers none after that, or ctx's error.
	Records(ctx context.Context, streamARN, after string, maximum int, wait time.Duration) ([]StreamRecord, error)
	// Latest is the sequence number of the last record, "" in an empty stream; an error where there is no such stream.
	Latest(ctx context.Context, streamARN string) (string, error)
}

// A StreamRecord is one change of an item. Keys and images are JSON objects of attribute values ({"PK":{"S":"a"}}).
type StreamRecord struct {
	EventID        string
	EventName      string // INSERT, MODIFY or REMOVE
	SequenceNumber string
	Created        time.Time
	Keys           json.RawMessage
	NewImage       json.RawMessage // nil where the view has none
	OldImage       json.RawMessage
	SizeBytes      int
	StreamViewType string
	// UserIdentity is {"principalId":"dynamodb.amazonaws.com","type":"Service"} for a deletion by TTL, else nil.
	UserIdentity json.RawMessage
}

// The types below are what a function sees of a change.
type streamRecord struct {
	EventID        string          `json:"eventID"`
	EventName      string          `json:"eventName"`
	EventVersion   string          `json:"eventVersion"`
	EventSource    string          `json:"eventSource"`
	Region         string          `json:"awsRegion"`
	Change         streamChange    `json:"dynamodb"`
	UserIdentity   json.RawMessage `json:"userIdentity,omitempty"`
	EventSourceARN string          `json:"eventSourceARN"`
}

type streamChange struct {
	Created        int64           `json:"ApproximateCreationDateTime"` // seconds
	Keys           json.RawMessage `json:"Keys,omitempty"`
	NewImage       json.RawMessage `json:"NewImage,omitempty"`
	OldImage       json.RawMessage `json:"OldImage,omitempty"`
	SequenceNumber string          `json:"SequenceNumber"`
	SizeBytes      int             `json:"SizeBytes"`
	StreamViewType string          `json:"StreamViewType"`
}

func (w *mapping) streamRecord(r StreamRecord) (json.RawMessage, error) {
	return json.Marshal(streamRecord{
		EventID: r.EventID, EventName: r.EventName, EventVersion: "1.1", EventSource: "aws:dynamodb", Region: w.region,
		Change: streamChange{
			Created: r.Created.Unix(), Keys: r.Keys, NewImage: r.NewImage, OldImage: r.OldImage,
			SequenceNumber: r.SequenceNumber, SizeBytes: r.SizeBytes, StreamViewType: r.StreamViewType,
		},
		UserIdentity: r.UserIdentity, EventSourceARN: w.SourceARN,
	})
}

// A change is a record with the JSON that the function gets.
type change struct {
	StreamRecord
	json json.RawMessage
}

// pollStream reads the stream in order until ctx ends; w.after is where it got to.
func (w *mapping) pollStream(ctx context.Context) {
	for ctx.Err() == nil {
		changes, last := w.read(ctx)
		if last == "" {
			continue
		}
		if !w.settleAll(ctx, changes) {
			return
		}
		w.after = last
	}
}

// read answers the next batch of admitted records and the sequence number of the last record read, admitted or not.
func (w *mapping) read(ctx context.Context) (batch []change, last string) {
	opened := w.service.cfg.Clock()
	after, patience := w.after, streamWait
	for len(batch) < w.BatchSize {
		records, err := w.service.cfg.Stream.Records(ctx, w.SourceARN, after, w.BatchSize-len(batch), patience)
		if err != nil && ctx.Err() == nil {
			w.log("reading %s: %v", w.SourceARN, err)
			wait(ctx, time.Second)
		}
		if last == "" {
			opened = w.service.cfg.Clock()
		}
		for _, r := range records {
			after, last = r.SequenceNumber, r.SequenceNumber
			if c, ok := w.admitted(r); ok {
				batch = append(batch, c)
			}
		}
		patience = w.BatchingWindow - w.service.cfg.Clock().Sub(opened)
		if last == "" || patience <= 0 || ctx.Err() != nil {
			break
		}
	}
	return batch, last
}

func (w *mapping) admitted(r StreamRecord) (change, bool) {
	text, err := w.streamRecord(r)
	if err != nil {
		w.log("record %s of %s: %v", r.SequenceNumber, w.SourceARN, err)
		return change{}, false
	}
	return change{StreamRecord: r, json: text}, w.admits(text)
}

// settleAll settles a batch in parts that fit into an invocation; false means that ctx ended first.
func (w *mapping) settleAll(ctx context.Context, batch []change) bool {
	for len(batch) > 0 {
		n := fitting(batch)
		if !w.settle(ctx, attempt{batch: batch[:n]}) {
			return false
		}
		batch = batch[n:]
	}
	return true
}

// fitting is how many of the changes, at least one, fit into one invocation.
func fitting(batch []change) int {
	size := len(`{"Records":[]}`)
	for i, c := range batch {
		size += len(c.json) + 1
		if size > maxSyncPayload && i > 0 {
			return i
		}
	}
	return len(batch)
}

// An attempt is a batch and what was already tried on it.
type attempt struct {
	batch       []change
	retries     int // function errors that count
	invocations int
	pause       int // failures in a row, for the backoff
	last        Result
}

// settle tries a batch until every record of it succeeded or was given up; false means that ctx ended first.
func (w *mapping) settle(ctx context.Context, a attempt) bool {
	for {
		a.batch = w.dropExpired(ctx, a)
		if len(a.batch) == 0 {
			return true
		}
		result, err := w.service.call(w.service.ctx, w.FunctionARN, event(texts(a.batch)))
		if w.service.ctx.Err() != nil {
			return false
		}
		var split bool
		if err != nil { // throttles and the like do not count as retries
			w.log("batch of %d records of %s: %v", len(a.batch), w.SourceARN, err)
		} else {
			a, split = w.judge(a, result)
		}
		switch {
		case len(a.batch) == 0:
			return true
		case split:
			return w.bisect(ctx, a)
		case w.exhausted(a.retries):
			w.giveUp(ctx, a, "RetryAttemptsExhausted")
			return true
		}
		a.pause++
		if !wait(ctx, backoff(a.pause, firstStreamPause, lastStreamPause)) {
			return false
		}
	}
}

// judge answers what is left to do after an invocation; split says to try the halves.
func (w *mapping) judge(a attempt, result Result) (rest attempt, split bool) {
	a.invocations++
	a.last = result
	first, whole := w.firstFailed(a.batch, result)
	w.advance(a.batch[:first])
	a.batch = a.batch[first:]
	if w.BisectBatchOnFunctionError && whole && len(a.batch) > 1 {
		return a, true
	}
	// A batch cut at the failed record is a bisection too where that is on, and bisections are not retries.
	if !w.BisectBatchOnFunctionError || first == 0 {
		a.retries++
	}
	return a, false
}

func (w *mapping) bisect(ctx context.Context, a attempt) bool {
	left, right := a, a
	half := len(a.batch) / 2
	left.batch, right.batch = a.batch[:half], a.batch[half:]
	return w.settle(ctx, left) && w.settle(ctx, right)
}

func (w *mapping) exhausted(retries int) bool {
	return w.MaximumRetryAttempts != nil && *w.MaximumRetryAttempts >= 0 && retries > *w.MaximumRetryAttempts
}

// advance moves the checkpoint past settled records, so that an updated mapping does not repeat them.
func (w *mapping) advance(settled []change) {
	if len(settled) > 0 {
		w.after = settled[len(settled)-1].SequenceNumber
	}
}

// firstFailed is the index of the first record that failed, the batch's length for none. whole tells that the function
// failed altogether and named no record.
func (w *mapping) firstFailed(batch []change, result Result) (first int, whole bool) {
	if err := result.Err(); err != nil {
		w.log("batch of %d records of %s failed: %v", len(batch), w.SourceARN, err)
		return 0, true
	}
	if !w.ReportBatchItemFailures {
		return len(batch), false
	}
	ids, ok := failedItems(result.Payload)
	if !ok {
		w.log("malformed batch response for %s", w.SourceARN)
		return 0, true
	}
	first = len(batch)
	for _, id := range ids {
		i := slices.IndexFunc(batch, func(c change) bool { return c.SequenceNumber == id })
		if i < 0 {
			w.log("batch response for %s names the unknown sequence number %q", w.SourceARN, id)
			return 0, true
		}
		first = min(first, i)
	}
	return first, false
}

// dropExpired gives up the records that are older than the mapping allows and answers the others.
func (w *mapping) dropExpired(ctx context.Context, a attempt) []change {
	if w.MaximumRecordAge == 0 {
		return a.batch
	}
	now := w.service.cfg.Clock()
	n := 0
	for n < len(a.batch) && now.Sub(a.batch[n].Created) > w.MaximumRecordAge {
		n++
	}
	if n > 0 {
		expired := a
		expired.batch = a.batch[:n]
		w.giveUp(ctx, expired, "RecordAgeExceeded")
	}
	return a.batch[n:]
}

// giveUp hands the records to the failure destination and moves on.
func (w *mapping) giveUp(ctx context.Context, a attempt, condition string) {
	w.log("%d records of %s given up: %s", len(a.batch), w.SourceARN, condition)
	w.advance(a.batch)
	if w.OnFailure == "" {
		return
	}
	p, err := w.service.pool(w.FunctionARN)
	if err != nil {
		w.log("records lost: %v", err)
		return
	}
	first, last := a.batch[0], a.batch[len(a.batch)-1]
	r := w.service.newRecord(w.FunctionARN, condition, a.invocations, a.last)
	r.StreamBatch = &streamBatch{
		ShardID: streamShard, StartSequence: first.SequenceNumber, EndSequence: last.SequenceNumber,
		FirstArrival: stamp(first.Created), LastArrival: stamp(last.Created),
		BatchSize: len(a.batch), StreamARN: w.SourceARN,
	}
	d := Delivery{Function: p.definition(), Destination: w.OnFailure, Payload: event(texts(a.batch))}
	if arnService(w.OnFailure) == "s3" {
		r.Payload = string(d.Payload)
		d.Key = objectKey(w.UUID, w.service.cfg.Clock())
	}
	if d.Body, err = json.Marshal(r); err != nil {
		w.log("records lost: %v", err)
		return
	}
	w.service.deliver(ctx, d)
}

func texts(batch []change) []json.RawMessage {
	list := make([]json.RawMessage, 0, len(batch))
	for _, c := range batch {
		list = append(list, c.json)
	}
	return list
}
