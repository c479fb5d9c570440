package lambda

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/wire"
)

const (
	queueARN  = "arn:aws:sqs:eu-west-1:111111111111:verify-now"
	streamARN = "arn:aws:dynamodb:eu-west-1:111111111111:table/rolecall/stream/2026-01-01T00:00:00.000"
	bucketARN = "arn:aws:s3:::lost-events"
)

// A pile is a queue in memory.
type pile struct {
	visibility time.Duration

	mu       sync.Mutex
	messages []*piled
	changed  chan struct{}
}

type piled struct {
	Message
	visibleAt time.Time
	receives  int
}

func newPile(bodies ...string) *pile {
	p := &pile{visibility: 2 * time.Minute, changed: make(chan struct{}, 1000)}
	for i, body := range bodies {
		p.send("m"+strconv.Itoa(i), body)
	}
	return p
}

func (p *pile) send(id, body string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := md5.Sum([]byte(body))
	p.messages = append(p.messages, &piled{Message: Message{
		ID: id, Body: body, MD5OfBody: hex.EncodeToString(sum[:]),
	}})
	p.changed <- struct{}{}
}

func (p *pile) VisibilityTimeout(context.Context, string) (time.Duration, error) {
	return p.visibility, nil
}

func (p *pile) Receive(ctx context.Context, _ string, maximum int, patience time.Duration) ([]Message, error) {
	deadline := time.Now().Add(patience)
	for {
		got, next := p.take(maximum)
		if len(got) > 0 {
			return got, nil
		}
		pause := time.Until(deadline)
		if pause <= 0 {
			return nil, nil
		}
		if !next.IsZero() {
			pause = min(pause, time.Until(next))
		}
		timer := time.NewTimer(pause)
		select {
		case <-p.changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
		timer.Stop()
	}
}

// take receives what is visible and tells when the next message will be.
func (p *pile) take(maximum int) (got []Message, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.messages {
		if m.visibleAt.After(time.Now()) {
			if next.IsZero() || m.visibleAt.Before(next) {
				next = m.visibleAt
			}
			continue
		}
		if len(got) == maximum {
			break
		}
		m.receives++
		m.visibleAt = time.Now().Add(p.visibility)
		m.ReceiptHandle = fmt.Sprintf("%s#%d", m.ID, m.receives)
		m.Attributes = map[string]string{"ApproximateReceiveCount": strconv.Itoa(m.receives)}
		got = append(got, m.Message)
	}
	return got, next
}

func (p *pile) Delete(_ context.Context, _ string, handles []string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.messages = slices.DeleteFunc(p.messages, func(m *piled) bool { return slices.Contains(handles, m.ReceiptHandle) })
	return nil
}

func (p *pile) left() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := []string{}
	for _, m := range p.messages {
		ids = append(ids, m.ID)
	}
	return ids
}

// A tape is a stream in memory.
type tape struct {
	mu      sync.Mutex
	records []StreamRecord
	changed chan struct{}
}

func newTape(events ...string) *tape {
	s := &tape{changed: make(chan struct{}, 1000)}
	for _, name := range events {
		s.write(name)
	}
	return s
}

func (s *tape) write(eventName string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.records) + 1
	s.records = append(s.records, StreamRecord{
		EventID: "e" + strconv.Itoa(n), EventName: eventName, SequenceNumber: fmt.Sprintf("%03d", n), Created: time.Now(),
		Keys:      json.RawMessage(fmt.Sprintf(`{"PK":{"S":"CONN#1"},"SK":{"S":"EVENT#%03d"}}`, n)),
		NewImage:  json.RawMessage(fmt.Sprintf(`{"n":{"N":"%d"}}`, n)),
		SizeBytes: 10, StreamViewType: "NEW_IMAGE",
	})
	s.changed <- struct{}{}
}

func (s *tape) Latest(context.Context, string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.records) == 0 {
		return "", nil
	}
	return s.records[len(s.records)-1].SequenceNumber, nil
}

func (s *tape) Records(ctx context.Context, _, after string, maximum int, patience time.Duration) ([]StreamRecord, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		s.mu.Lock()
		i := slices.IndexFunc(s.records, func(r StreamRecord) bool { return r.SequenceNumber > after })
		if i >= 0 {
			found := slices.Clone(s.records[i:min(i+maximum, len(s.records))])
			s.mu.Unlock()
			return found, nil
		}
		s.mu.Unlock()
		select {
		case <-s.changed:
		case <-timer.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// calls notes what a mapping's function was given and answers with a script.
type calls struct {
	mu       sync.Mutex
	got      []string // the ids of each invocation's records, such as "m0 m1"
	running  int
	most     int
	payloads [][]byte
	script   func(n int, ids []string) (Result, error)
}

func (c *calls) invoke(_ context.Context, _ string, payload []byte) (Result, error) {
	var e struct {
		Records []struct {
			MessageID string `json:"messageId"`
			DynamoDB  struct{ SequenceNumber string }
		}
	}
	if err := json.Unmarshal(payload, &e); err != nil {
		return Result{}, err
	}
	ids := []string{}
	for _, r := range e.Records {
		ids = append(ids, r.MessageID+r.DynamoDB.SequenceNumber)
	}
	c.mu.Lock()
	c.got = append(c.got, fmt.Sprint(ids))
	c.payloads = append(c.payloads, payload)
	n := len(c.got)
	c.running++
	c.most = max(c.most, c.running)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.running--
		c.mu.Unlock()
	}()
	if c.script == nil {
		return Result{RequestID: "r"}, nil
	}
	return c.script(n, ids)
}

func (c *calls) seen() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got)
}

func failed() Result {
	return Result{RequestID: "r", FunctionError: "Unhandled", Payload: []byte(`{"errorType":"E","errorMessage":"no"}`)}
}

func answered(payload string) Result { return Result{RequestID: "r", Payload: []byte(payload)} }

func partial(ids ...string) Result {
	items := []map[string]string{}
	for _, id := range ids {
		items = append(items, map[string]string{"itemIdentifier": id})
	}
	body, _ := json.Marshal(map[string]any{"batchItemFailures": items})
	return Result{RequestID: "r", Payload: body}
}

// scripted is a service in a bubble of made-up time whose function is the script.
func scripted(t *testing.T, cfg Config, c *calls) *Service {
	t.Helper()
	s := host(t, cfg, function(t))
	s.call = c.invoke
	return s
}

func mapTo(t *testing.T, s *Service, m Mapping) string {
	t.Helper()
	m.FunctionARN = testARN
	id, err := s.CreateMapping(t.Context(), m)
	if err != nil {
		t.Fatalf("CreateMapping: %v", err)
	}
	return id
}

func TestQueueBatches(t *testing.T) {
	fails := func(int, []string) (Result, error) { return failed(), nil }
	answers := func(r Result) func(int, []string) (Result, error) {
		return func(n int, _ []string) (Result, error) {
			if n == 1 {
				return r, nil
			}
			return Result{}, nil
		}
	}
	tests := map[string]struct {
		script func(int, []string) (Result, error)
		plain  bool          // without ReportBatchItemFailures
		after  time.Duration // 0: before the visibility timeout
		calls  []string
		left   []string
	}{
		"success":                        {calls: []string{"[m0 m1 m2]"}, left: []string{}},
		"function error":                 {script: fails, calls: []string{"[m0 m1 m2]"}, left: []string{"m0", "m1", "m2"}},
		"one failed":                     {script: answers(partial("m1")), calls: []string{"[m0 m1 m2]"}, left: []string{"m1"}},
		"one failed twice over":          {script: answers(partial("m1", "m1")), calls: []string{"[m0 m1 m2]"}, left: []string{"m1"}},
		"all failed":                     {script: answers(partial("m0", "m1", "m2")), calls: []string{"[m0 m1 m2]"}, left: []string{"m0", "m1", "m2"}},
		"none failed":                    {script: answers(partial()), calls: []string{"[m0 m1 m2]"}, left: []string{}},
		"null answer":                    {script: answers(answered(`null`)), calls: []string{"[m0 m1 m2]"}, left: []string{}},
		"null list":                      {script: answers(answered(`{"batchItemFailures":null}`)), calls: []string{"[m0 m1 m2]"}, left: []string{}},
		"other answer":                   {script: answers(answered(`{"x":1}`)), calls: []string{"[m0 m1 m2]"}, left: []string{}},
		"empty identifier":               {script: answers(partial("")), calls: []string{"[m0 m1 m2]"}, left: []string{"m0", "m1", "m2"}},
		"unknown identifier":             {script: answers(partial("m1", "zz")), calls: []string{"[m0 m1 m2]"}, left: []string{"m0", "m1", "m2"}},
		"null identifier":                {script: answers(answered(`{"batchItemFailures":[{"itemIdentifier":null}]}`)), calls: []string{"[m0 m1 m2]"}, left: []string{"m0", "m1", "m2"}},
		"misspelt identifier":            {script: answers(answered(`{"batchItemFailures":[{"ItemIdentifier":"m1"}]}`)), calls: []string{"[m0 m1 m2]"}, left: []string{"m0", "m1", "m2"}},
		"no object":                      {script: answers(answered(`"fine"`)), calls: []string{"[m0 m1 m2]"}, left: []string{"m0", "m1", "m2"}},
		"partial answer not asked for":   {script: answers(partial("m1")), plain: true, calls: []string{"[m0 m1 m2]"}, left: []string{}},
		"failed one comes back alone":    {script: answers(partial("m1")), after: 130 * time.Second, calls: []string{"[m0 m1 m2]", "[m1]"}, left: []string{}},
		"whole batch comes back at last": {script: answers(failed()), after: 130 * time.Second, calls: []string{"[m0 m1 m2]", "[m0 m1 m2]"}, left: []string{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, c := newPile("a", "b", "c"), &calls{script: tt.script}
				s := scripted(t, Config{Queue: q}, c)
				mapTo(t, s, Mapping{SourceARN: queueARN, ReportBatchItemFailures: !tt.plain})
				wait(t.Context(), max(tt.after, time.Second))
				synctest.Wait()
				if diff := cmp.Diff(tt.calls, c.seen()); diff != "" {
					t.Errorf("invocations (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.left, q.left()); diff != "" {
					t.Errorf("left in the queue (-want +got):\n%s", diff)
				}
				s.Close()
			})
		})
	}
}

func TestQueueRecordIsWhatLambdaSends(t *testing.T) {
	w := &mapping{Mapping: Mapping{SourceARN: queueARN}, region: testRegion}
	got, err := w.queueRecord(Message{
		ID: "id", ReceiptHandle: "handle", Body: "body", MD5OfBody: "sum",
		Attributes: map[string]string{"SentTimestamp": "1", "MessageGroupId": "conn_1"},
		MessageAttributes: map[string]MessageAttribute{
			"text":   {DataType: "String", StringValue: "x"},
			"binary": {DataType: "Binary", BinaryValue: []byte{1}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"messageId":"id","receiptHandle":"handle","body":"body","attributes":{"MessageGroupId":"conn_1","SentTimestamp":"1"},` +
		`"messageAttributes":{` +
		`"binary":{"binaryValue":"AQ==","stringListValues":[],"binaryListValues":[],"dataType":"Binary"},` +
		`"text":{"stringValue":"x","stringListValues":[],"binaryListValues":[],"dataType":"String"}},` +
		`"md5OfBody":"sum","eventSource":"aws:sqs","eventSourceARN":"` + queueARN + `","awsRegion":"eu-west-1"}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestQueueBatchSizeAndWindow(t *testing.T) {
	tests := map[string]struct {
		mapping Mapping
		calls   []string
	}{
		"size 2":               {Mapping{BatchSize: 2}, []string{"[m0 m1]", "[m2 m3]", "[m4]"}},
		"window fills a batch": {Mapping{BatchSize: 5, BatchingWindow: 10 * time.Second}, []string{"[m0 m1 m2 m3 m4]"}},
		"window ends":          {Mapping{BatchSize: 10, BatchingWindow: 2 * time.Second}, []string{"[m0 m1 m2]", "[m3 m4]"}},
		"filter deletes":       {Mapping{FilterPatterns: []string{`{"body":{"kind":["b",{"prefix":"e"}]}}`}}, []string{"[m1]", "[m4]"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, c := newPile(`{"kind":"a"}`, `{"kind":"b"}`, `no JSON`), &calls{}
				s := scripted(t, Config{Queue: q}, c)
				tt.mapping.SourceARN = queueARN
				tt.mapping.MaximumConcurrency = 2
				if tt.mapping.BatchSize == 2 {
					q.send("m3", "d")
					q.send("m4", "e")
				}
				mapTo(t, s, tt.mapping)
				wait(t.Context(), 3*time.Second)
				if tt.mapping.BatchSize != 2 {
					q.send("m3", `{"kind":"d"}`)
					q.send("m4", `{"kind":"e"}`)
				}
				wait(t.Context(), 5*time.Second)
				synctest.Wait()
				got := c.seen()
				slices.Sort(got) // two at a time
				if diff := cmp.Diff(tt.calls, got); diff != "" {
					t.Errorf("invocations (-want +got):\n%s", diff)
				}
				if left := q.left(); len(left) > 0 {
					t.Errorf("left in the queue: %v", left)
				}
				s.Close()
			})
		})
	}
}

func TestQueueMaximumConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newPile("a", "b", "c", "d", "e", "f")
		open := make(chan struct{})
		c := &calls{script: func(int, []string) (Result, error) {
			<-open
			return Result{}, nil
		}}
		s := scripted(t, Config{Queue: q}, c)
		mapTo(t, s, Mapping{SourceARN: queueARN, BatchSize: 1, MaximumConcurrency: 3})
		synctest.Wait()
		if len(c.seen()) != 3 {
			t.Errorf("%d invocations at once, want 3", len(c.seen()))
		}
		close(open)
		synctest.Wait()
		if c.most != 3 || len(q.left()) != 0 {
			t.Errorf("at most %d at once, left %v", c.most, q.left())
		}
		s.Close()
	})
}

func TestQueueThrottlesAreRepeatedWhileTheMessagesAreHidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newPile("a")
		c := &calls{script: func(n int, _ []string) (Result, error) {
			if n < 5 {
				return Result{}, throttled()
			}
			return Result{}, nil
		}}
		s := scripted(t, Config{Queue: q}, c)
		mapTo(t, s, Mapping{SourceARN: queueARN})
		wait(t.Context(), 10*time.Second)
		synctest.Wait()
		if len(c.seen()) != 5 || len(q.left()) != 0 {
			t.Errorf("%d invocations, left %v", len(c.seen()), q.left())
		}
		s.Close()
	})
}

func TestQueueGoesOnAfterReceiveFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &flaky{pile: newPile("a")}
		c := &calls{}
		s := scripted(t, Config{Queue: q}, c)
		mapTo(t, s, Mapping{SourceARN: queueARN})
		wait(t.Context(), 5*time.Second)
		if len(c.seen()) != 1 {
			t.Errorf("%d invocations", len(c.seen()))
		}
		s.Close()
	})
}

// flaky fails its first two receives.
type flaky struct {
	*pile
	n int
}

func (f *flaky) Receive(ctx context.Context, arn string, maximum int, patience time.Duration) ([]Message, error) {
	if f.n++; f.n <= 2 {
		return nil, errors.New("not now")
	}
	return f.pile.Receive(ctx, arn, maximum, patience)
}

func TestStreamBatches(t *testing.T) {
	attempts := func(n int) *int { return &n }
	poison := func(id string) func(int, []string) (Result, error) {
		return func(_ int, ids []string) (Result, error) {
			if slices.Contains(ids, id) {
				return failed(), nil
			}
			return Result{}, nil
		}
	}
	report := func(id string) func(int, []string) (Result, error) {
		return func(_ int, ids []string) (Result, error) {
			if slices.Contains(ids, id) {
				return partial(id), nil
			}
			return Result{}, nil
		}
	}
	once := func(r Result, err error) func(int, []string) (Result, error) {
		return func(n int, _ []string) (Result, error) {
			if n == 1 {
				return r, err
			}
			return Result{}, nil
		}
	}
	tests := map[string]struct {
		mapping Mapping
		script  func(int, []string) (Result, error)
		calls   []string
		lost    []string // first and last sequence number and condition of what was given up
	}{
		"in order": {Mapping{BatchSize: 2}, nil, []string{"[001 002]", "[003 004]"}, nil},
		"filter on event name and key": {
			Mapping{FilterPatterns: []string{`{"eventName":["INSERT"],"dynamodb":{"Keys":{"SK":{"S":[{"prefix":"EVENT#"}]}}}}`}},
			nil,
			[]string{"[001 002 004]"},
			nil,
		},
		"filter admits nothing": {Mapping{FilterPatterns: []string{`{"eventName":["REMOVE"]}`}}, nil, nil, nil},
		"filter on a number": {
			Mapping{FilterPatterns: []string{`{"dynamodb":{"SizeBytes":[{"numeric":[">",5,"<=",10]}],"OldImage":[{"exists":false}]}}`}},
			nil,
			[]string{"[001 002 003 004]"},
			nil,
		},
		"error blocks the stream": {
			Mapping{BatchSize: 2}, once(failed(), nil), []string{"[001 002]", "[001 002]", "[003 004]"}, nil,
		},
		"throttle is no retry": {
			Mapping{BatchSize: 2, MaximumRetryAttempts: attempts(0)},
			once(Result{}, throttled()),
			[]string{"[001 002]", "[001 002]", "[003 004]"},
			nil,
		},
		"resume from the first failed": {
			Mapping{ReportBatchItemFailures: true},
			once(partial("003", "002", "004"), nil),
			[]string{"[001 002 003 004]", "[002 003 004]"},
			nil,
		},
		"unknown sequence number fails the batch": {
			Mapping{ReportBatchItemFailures: true},
			once(partial("002", "777"), nil),
			[]string{"[001 002 003 004]", "[001 002 003 004]"},
			nil,
		},
		"attempts run out": {
			Mapping{BatchSize: 2, MaximumRetryAttempts: attempts(1), OnFailure: bucketARN},
			poison("001"),
			[]string{"[001 002]", "[001 002]", "[003 004]"},
			[]string{"001-002 RetryAttemptsExhausted"},
		},
		"partial attempts run out": {
			Mapping{ReportBatchItemFailures: true, MaximumRetryAttempts: attempts(2), OnFailure: bucketARN},
			report("003"),
			[]string{"[001 002 003 004]", "[003 004]", "[003 004]"},
			[]string{"003-004 RetryAttemptsExhausted"},
		},
		"bisect finds the poison": {
			Mapping{BisectBatchOnFunctionError: true, MaximumRetryAttempts: attempts(0), OnFailure: bucketARN},
			poison("003"),
			[]string{"[001 002 003 004]", "[001 002]", "[003 004]", "[003]", "[004]"},
			[]string{"003-003 RetryAttemptsExhausted"},
		},
		"bisect at the number reported is no retry": {
			Mapping{
				ReportBatchItemFailures: true, BisectBatchOnFunctionError: true,
				MaximumRetryAttempts: attempts(0), OnFailure: bucketARN,
			},
			once(partial("003"), nil),
			[]string{"[001 002 003 004]", "[003 004]"},
			nil,
		},
		"old records are given up": {
			Mapping{MaximumRecordAge: time.Minute, OnFailure: bucketARN},
			poison("001"),
			nil,
			[]string{"001-004 RecordAgeExceeded"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var lost []string
				deliver := func(_ context.Context, d Delivery) error {
					lost = append(lost, lostBatch(t, d))
					return nil
				}
				c := &calls{script: tt.script}
				s := scripted(t, Config{
					Stream: newTape("INSERT", "INSERT", "MODIFY", "INSERT"), Deliver: deliver,
				}, c)
				tt.mapping.SourceARN = streamARN
				mapTo(t, s, tt.mapping)
				wait(t.Context(), 90*time.Second)
				synctest.Wait()
				if got := c.seen(); tt.calls != nil || tt.mapping.MaximumRecordAge == 0 {
					if diff := cmp.Diff(tt.calls, got); diff != "" {
						t.Errorf("invocations (-want +got):\n%s", diff)
					}
				}
				if diff := cmp.Diff(tt.lost, lost); diff != "" {
					t.Errorf("given up (-want +got):\n%s", diff)
				}
				s.Close()
			})
		})
	}
}

// lostBatch checks what a bucket is given and sums it up.
func lostBatch(t *testing.T, d Delivery) string {
	t.Helper()
	var r struct {
		Payload        string
		RequestContext struct {
			FunctionARN string `json:"functionArn"`
			Condition   string
		}
		Batch struct {
			Start string `json:"startSequenceNumber"`
			End   string `json:"endSequenceNumber"`
			Size  int    `json:"batchSize"`
		} `json:"DDBStreamBatchInfo"`
	}
	if err := json.Unmarshal(d.Body, &r); err != nil {
		t.Error(err)
	}
	var whole struct{ Records []json.RawMessage }
	if err := json.Unmarshal([]byte(r.Payload), &whole); err != nil || len(whole.Records) != r.Batch.Size {
		t.Errorf("the payload has %d records of %d: %v", len(whole.Records), r.Batch.Size, err)
	}
	if d.Destination != bucketARN || d.Key == "" || r.RequestContext.FunctionARN != testARN || string(d.Payload) != r.Payload {
		t.Errorf("delivery %+v", d)
	}
	return r.Batch.Start + "-" + r.Batch.End + " " + r.RequestContext.Condition
}

func TestStreamFromLatestAndUpdateKeepTheirPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream, c := newTape("INSERT", "INSERT"), &calls{}
		s := scripted(t, Config{Stream: stream}, c)
		id := mapTo(t, s, Mapping{SourceARN: streamARN, FromLatest: true})
		stream.write("INSERT")
		synctest.Wait()
		if err := s.UpdateMapping(t.Context(), Mapping{UUID: id, FunctionARN: testARN, Disabled: true}); err != nil {
			t.Fatal(err)
		}
		stream.write("INSERT")
		synctest.Wait()
		if diff := cmp.Diff([]string{"[003]"}, c.seen()); diff != "" {
			t.Errorf("while disabled (-want +got):\n%s", diff)
		}
		if err := s.UpdateMapping(t.Context(), Mapping{UUID: id, FunctionARN: testARN}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"[003]", "[004]"}, c.seen()); diff != "" {
			t.Errorf("enabled again (-want +got):\n%s", diff)
		}
		if err := s.DeleteMapping(id); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		stream.write("INSERT")
		synctest.Wait()
		if len(c.seen()) != 2 || len(s.Mappings()) != 0 {
			t.Errorf("after the deletion: %v %v", c.seen(), s.Mappings())
		}
		s.Close()
	})
}

func TestStreamUpdateInterruptsRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &calls{script: func(n int, ids []string) (Result, error) {
			if n == 1 {
				return partial("002"), nil
			}
			if len(ids) == 2 && n < 10 {
				return failed(), nil
			}
			return Result{}, nil
		}}
		s := scripted(t, Config{Stream: newTape("INSERT", "INSERT", "INSERT")}, c)
		id := mapTo(t, s, Mapping{SourceARN: streamARN, ReportBatchItemFailures: true})
		synctest.Wait()
		if err := s.UpdateMapping(t.Context(), Mapping{UUID: id, FunctionARN: testARN, BatchSize: 1}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"[001 002 003]", "[002]", "[003]"}, c.seen()); diff != "" {
			t.Errorf("invocations (-want +got):\n%s", diff)
		}
		s.Close()
	})
}

func TestStreamRecordIsWhatLambdaSends(t *testing.T) {
	w := &mapping{Mapping: Mapping{SourceARN: streamARN}, region: testRegion}
	got, err := w.streamRecord(StreamRecord{
		EventID: "1", EventName: "REMOVE", SequenceNumber: "111", Created: time.Unix(1479499740, 5),
		Keys: json.RawMessage(`{"PK":{"S":"a"}}`), OldImage: json.RawMessage(`{"PK":{"S":"a"}}`), SizeBytes: 4,
		StreamViewType: "OLD_IMAGE", UserIdentity: json.RawMessage(`{"principalId":"dynamodb.amazonaws.com","type":"Service"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"eventID":"1","eventName":"REMOVE","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"eu-west-1",` +
		`"dynamodb":{"ApproximateCreationDateTime":1479499740,"Keys":{"PK":{"S":"a"}},"OldImage":{"PK":{"S":"a"}},` +
		`"SequenceNumber":"111","SizeBytes":4,"StreamViewType":"OLD_IMAGE"},` +
		`"userIdentity":{"principalId":"dynamodb.amazonaws.com","type":"Service"},"eventSourceARN":"` + streamARN + `"}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestCreateMappingIsRefused(t *testing.T) {
	denied := func(action string) func(string, string, string) error {
		return func(_, asked, _ string) error {
			if asked == action {
				return errors.New("denied")
			}
			return nil
		}
	}
	tests := map[string]struct {
		mapping    Mapping
		permit     func(role, action, resource string) error
		visibility time.Duration
		code       string
	}{
		"no ReceiveMessage":       {mapping: Mapping{SourceARN: queueARN}, permit: denied("sqs:ReceiveMessage")},
		"no DeleteMessage":        {mapping: Mapping{SourceARN: queueARN}, permit: denied("sqs:DeleteMessage")},
		"no GetQueueAttributes":   {mapping: Mapping{SourceARN: queueARN}, permit: denied("sqs:GetQueueAttributes")},
		"no GetRecords":           {mapping: Mapping{SourceARN: streamARN}, permit: denied("dynamodb:GetRecords")},
		"no GetShardIterator":     {mapping: Mapping{SourceARN: streamARN}, permit: denied("dynamodb:GetShardIterator")},
		"no DescribeStream":       {mapping: Mapping{SourceARN: streamARN}, permit: denied("dynamodb:DescribeStream")},
		"no ListStreams":          {mapping: Mapping{SourceARN: streamARN}, permit: denied("dynamodb:ListStreams")},
		"no PutObject":            {mapping: Mapping{SourceARN: streamARN, OnFailure: bucketARN}, permit: denied("s3:PutObject")},
		"short visibility":        {mapping: Mapping{SourceARN: queueARN}, visibility: time.Second},
		"large batch, no window":  {mapping: Mapping{SourceARN: queueARN, BatchSize: 11}},
		"concurrency of one":      {mapping: Mapping{SourceARN: queueARN, MaximumConcurrency: 1}},
		"bad filter":              {mapping: Mapping{SourceARN: streamARN, FilterPatterns: []string{`{"a":"b"}`}}},
		"unknown source":          {mapping: Mapping{SourceARN: "arn:aws:kinesis:eu-west-1:111111111111:stream/x"}},
		"unknown function":        {mapping: Mapping{SourceARN: queueARN, FunctionARN: testARN + "2"}, code: "ResourceNotFoundException"},
		"destination is no place": {mapping: Mapping{SourceARN: streamARN, OnFailure: "elsewhere"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			q := newPile()
			if tt.visibility > 0 {
				q.visibility = tt.visibility
			}
			s := host(t, Config{Queue: q, Stream: newTape(), Permit: tt.permit}, function(t))
			if tt.mapping.FunctionARN == "" {
				tt.mapping.FunctionARN = testARN
			}
			if tt.code == "" {
				tt.code = "InvalidParameterValueException"
			}
			_, err := s.CreateMapping(t.Context(), tt.mapping)
			var e *wire.Error
			if !errors.As(err, &e) || e.Code != tt.code {
				t.Errorf("got %v, want %s", err, tt.code)
			}
			if len(s.Mappings()) != 0 {
				t.Error("the mapping was made all the same")
			}
		})
	}
}

func TestSecondMappingOfTheSameSourceIsAConflict(t *testing.T) {
	s := host(t, Config{Queue: newPile()}, function(t))
	mapTo(t, s, Mapping{SourceARN: queueARN})
	_, err := s.CreateMapping(t.Context(), Mapping{SourceARN: queueARN, FunctionARN: testARN})
	var e *wire.Error
	if !errors.As(err, &e) || e.Code != "ResourceConflictException" {
		t.Errorf("got %v", err)
	}
}

func TestQueueMappingWithARealFunction(t *testing.T) {
	q := newPile("good", "bad", "good")
	done := make(chan struct{})
	s := host(t, Config{Queue: &watched{pile: q, deleted: done}}, function(t))
	mapTo(t, s, Mapping{SourceARN: queueARN, ReportBatchItemFailures: true})
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was deleted")
	}
	if diff := cmp.Diff([]string{"m1"}, q.left()); diff != "" {
		t.Errorf("left in the queue (-want +got):\n%s", diff)
	}
}

// watched tells of its first deletion.
type watched struct {
	*pile
	deleted chan struct{}
}

func (w *watched) Delete(ctx context.Context, arn string, handles []string) error {
	defer close(w.deleted)
	return w.pile.Delete(ctx, arn, handles)
}
