package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"rolecall/infra/local/wire"
)

// A Mapping is an event source mapping: a queue or stream that Lambda polls for a function, as the function's role.
type Mapping struct {
	UUID                    string // made by CreateMapping
	FunctionARN             string
	SourceARN               string // of an SQS queue or a DynamoDB stream
	Disabled                bool
	BatchSize               int           // 0 means 10 for queues and 100 for streams
	BatchingWindow          time.Duration // 0–300 s; at least 1 s for a queue's batches of more than 10
	ReportBatchItemFailures bool
	FilterPatterns          []string // JSON event patterns, any of which admits a record

	// MaximumConcurrency bounds a queue's simultaneous invocations, 2–1000. 0 and more than 5 mean 5: Lambda starts there and
	// takes more with time, which a laptop has no room for.
	MaximumConcurrency int

	// FromLatest starts a stream after the records that exist (LATEST) instead of at the first (TRIM_HORIZON).
	FromLatest                 bool
	BisectBatchOnFunctionError bool
	MaximumRetryAttempts       *int          // nil or -1: until the records expire
	MaximumRecordAge           time.Duration // 60 s – 7 days; 0: as long as the stream keeps them
	OnFailure                  string        // ARN of a queue, topic or bucket for a stream's failed batches, or ""
}

// A mapping is a Mapping at work.
type mapping struct {
	service *Service
	Mapping
	filter     filter
	region     string
	visibility time.Duration // of a queue
	after      string        // a stream's checkpoint; owned by the poller until done is closed
	stop       context.CancelFunc
	done       chan struct{}
}

// CreateMapping checks a mapping as Lambda does (the function's role may read the source, the queue's visibility timeout
// covers the function's timeout) and starts to poll. It answers the UUID. Errors: InvalidParameterValueException,
// ResourceNotFoundException, ResourceConflictException for a second mapping of the same function and source.
func (s *Service) CreateMapping(ctx context.Context, m Mapping) (string, error) {
	m.UUID = newUUID()
	w, err := s.prepare(ctx, m)
	if err != nil {
		return "", err
	}
	if m.FromLatest && arnService(m.SourceARN) == "dynamodb" {
		if w.after, err = s.cfg.Stream.Latest(ctx, m.SourceARN); err != nil {
			return "", err
		}
	}
	s.mu.Lock()
	for _, other := range s.mappings {
		if other.FunctionARN == m.FunctionARN && other.SourceARN == m.SourceARN {
			s.mu.Unlock()
			return "", &wire.Error{
				Code: "ResourceConflictException", Status: http.StatusConflict,
				Message: fmt.Sprintf("The event source arn (%q) and function (%q) provided mapping already exists. "+
					"Please update or delete the existing mapping with UUID %s", m.SourceARN, m.FunctionARN, other.UUID),
			}
		}
	}
	s.mappings[w.UUID] = w
	s.mu.Unlock()
	return w.UUID, s.poll(w)
}

// UpdateMapping replaces everything of a mapping but its UUID, source and starting position; a stream goes on where it
// was. It waits for a stream's invocation in progress. Errors as for CreateMapping.
func (s *Service) UpdateMapping(ctx context.Context, m Mapping) error {
	s.mu.Lock()
	old, ok := s.mappings[m.UUID]
	s.mu.Unlock()
	if !ok {
		return mappingNotFound()
	}
	m.SourceARN, m.FromLatest = old.SourceARN, old.FromLatest
	w, err := s.prepare(ctx, m)
	if err != nil {
		return err
	}
	old.stop()
	select {
	case <-old.done:
	case <-ctx.Done():
		return fmt.Errorf("lambda: waiting for mapping %s: %w", m.UUID, ctx.Err())
	}
	w.after = old.after
	s.mu.Lock()
	s.mappings[w.UUID] = w
	s.mu.Unlock()
	return s.poll(w)
}

// DeleteMapping stops a mapping. Batches in progress are finished.
func (s *Service) DeleteMapping(uuid string) error {
	s.mu.Lock()
	w, ok := s.mappings[uuid]
	delete(s.mappings, uuid)
	s.mu.Unlock()
	if !ok {
		return mappingNotFound()
	}
	w.stop()
	return nil
}

// Mappings are all event source mappings, by UUID.
func (s *Service) Mappings() []Mapping {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Mapping, 0, len(s.mappings))
	for _, w := range s.mappings {
		list = append(list, w.Mapping)
	}
	slices.SortFunc(list, func(a, b Mapping) int { return strings.Compare(a.UUID, b.UUID) })
	return list
}

func mappingNotFound() error {
	return &wire.Error{
		Code: "ResourceNotFoundException", Status: http.StatusNotFound,
		Message: "The resource you requested does not exist.", Fields: map[string]any{"Type": "User"},
	}
}

// poll starts a mapping's poller.
func (s *Service) poll(w *mapping) error {
	ctx, stop := context.WithCancel(s.ctx)
	w.stop, w.done = stop, make(chan struct{})
	if w.Disabled {
		close(w.done)
		return nil
	}
	run := func() {
		defer close(w.done)
		defer stop()
		if arnService(w.SourceARN) == "sqs" {
			w.pollQueue(ctx)
			return
		}
		w.pollStream(ctx)
	}
	if !s.spawn(run) {
		stop()
		return errClosed
	}
	return nil
}

// prepare checks a mapping and fills in Lambda's defaults.
func (s *Service) prepare(ctx context.Context, m Mapping) (*mapping, error) {
	p, err := s.pool(m.FunctionARN)
	if err != nil {
		return nil, err
	}
	if m.BatchingWindow < 0 || m.BatchingWindow > 300*time.Second {
		return nil, invalid("MaximumBatchingWindowInSeconds must lie between 0 and 300")
	}
	if m.BatchSize < 0 || m.BatchSize > 10000 {
		return nil, invalid("BatchSize must lie between 1 and 10000")
	}
	patterns, err := parseFilter(m.FilterPatterns)
	if err != nil {
		return nil, err
	}
	w := &mapping{service: s, Mapping: m, filter: patterns, stop: func() {}}
	if parts := strings.Split(m.SourceARN, ":"); len(parts) > 3 {
		w.region = parts[3]
	}
	switch service := arnService(m.SourceARN); service {
	case "sqs":
		return w, w.prepareQueue(ctx, p.definition())
	case "dynamodb":
		return w, w.prepareStream(p.definition())
	default:
		return nil, invalid("Unrecognized event source: %s", m.SourceARN)
	}
}

const startingConcurrency = 5

func (w *mapping) prepareQueue(ctx context.Context, f Function) error {
	if w.BatchSize == 0 {
		w.BatchSize = 10
	}
	if w.BatchSize > 10 && w.BatchingWindow < time.Second {
		return invalid("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10")
	}
	if w.MaximumConcurrency != 0 && (w.MaximumConcurrency < 2 || w.MaximumConcurrency > 1000) {
		return invalid("MaximumConcurrency must lie between 2 and 1000")
	}
	if w.MaximumConcurrency == 0 || w.MaximumConcurrency > startingConcurrency {
		w.MaximumConcurrency = startingConcurrency
	}
	if w.service.cfg.Queue == nil {
		return invalid("no queue service to poll %s", w.SourceARN)
	}
	for _, name := range []string{"ReceiveMessage", "DeleteMessage", "GetQueueAttributes"} {
		if err := w.service.cfg.Permit(f.RoleARN, "sqs:"+name, w.SourceARN); err != nil {
			return invalid("The provided execution role does not have permissions to call %s on SQS: %v", name, err)
		}
	}
	visibility, err := w.service.cfg.Queue.VisibilityTimeout(ctx, w.SourceARN)
	if err != nil {
		return err
	}
	if visibility < f.Timeout {
		return invalid("Queue visibility timeout: %d seconds is less than Function timeout: %d seconds",
			int(visibility.Seconds()), int(f.Timeout.Seconds()))
	}
	w.visibility = visibility
	return nil
}

func (w *mapping) prepareStream(f Function) error {
	if w.BatchSize == 0 {
		w.BatchSize = 100
	}
	if w.MaximumConcurrency != 0 {
		return invalid("MaximumConcurrency is for queues only")
	}
	if n := w.MaximumRetryAttempts; n != nil && (*n < -1 || *n > 10000) {
		return invalid("MaximumRetryAttempts must lie between -1 and 10000")
	}
	if age := w.MaximumRecordAge; age != 0 && (age < time.Minute || age > 7*24*time.Hour) {
		return invalid("MaximumRecordAgeInSeconds must be -1 or lie between 60 and 604800")
	}
	if w.service.cfg.Stream == nil {
		return invalid("no stream service to poll %s", w.SourceARN)
	}
	for _, name := range []string{"GetRecords", "GetShardIterator", "DescribeStream"} {
		if err := w.service.cfg.Permit(f.RoleARN, "dynamodb:"+name, w.SourceARN); err != nil {
			return cannotRead(w.SourceARN, err)
		}
	}
	if err := w.service.cfg.Permit(f.RoleARN, "dynamodb:ListStreams", "*"); err != nil {
		return cannotRead(w.SourceARN, err)
	}
	if w.OnFailure == "" {
		return nil
	}
	return w.service.permitDestination(f.RoleARN, w.OnFailure, objectKey(w.UUID, w.service.cfg.Clock()))
}

func cannotRead(stream string, err error) error {
	return invalid("Cannot access stream %s. Please ensure the role can perform the GetRecords, GetShardIterator, "+
		"DescribeStream, and ListStreams Actions on your stream in IAM: %v", stream, err)
}

// admits says whether the filter lets an event record through.
func (w *mapping) admits(eventRecord []byte) bool {
	if len(w.filter) == 0 {
		return true
	}
	value, err := decodeNumber(eventRecord)
	return err == nil && w.filter.admits(value)
}

// event is the payload that holds the records.
func event(records []json.RawMessage) []byte {
	var b bytes.Buffer
	b.WriteString(`{"Records":[`)
	for i, r := range records {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(r)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// failedItems reads a partial batch response. It is not ok where the response is malformed, which fails the whole batch.
// Field names count as written: Lambda does not ignore case.
func failedItems(payload []byte) (ids []string, ok bool) {
	payload = bytes.TrimSpace(payload)
	if len(payload) == 0 {
		return nil, true
	}
	var response map[string]json.RawMessage
	if err := json.Unmarshal(payload, &response); err != nil {
		return nil, false
	}
	list, ok := response["batchItemFailures"]
	if !ok {
		return nil, true
	}
	var items []map[string]any
	if err := json.Unmarshal(list, &items); err != nil {
		return nil, false
	}
	for _, item := range items {
		id, isText := item["itemIdentifier"].(string)
		if !isText || id == "" {
			return nil, false
		}
		ids = append(ids, id)
	}
	return ids, true
}

// backoff is the wait after the n-th failure in a row, n from 1.
func backoff(n int, first, last time.Duration) time.Duration {
	d := first
	for range n - 1 {
		if d >= last {
			return last
		}
		d *= 2
	}
	return min(d, last)
}
