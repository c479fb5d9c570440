package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"

	pocketdb "rolecall/infra/local/dynamodb"
	"rolecall/infra/local/wire"
	"rolecall/shared/connect"
	"rolecall/shared/queue"
	"rolecall/shared/store"
)

// A ledger counts requests, and the capacity that DynamoDB says they took.
type ledger struct {
	mu       sync.Mutex
	requests map[string]int
	units    map[string]float64
}

func (l *ledger) note(operation string, used ...ddbtypes.ConsumedCapacity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests[operation]++
	for _, u := range used {
		l.units[operation] += *u.CapacityUnits
	}
}

func (l *ledger) reset() { l.requests, l.units = map[string]int{}, map[string]float64{} }

// stack has every request of a client of DynamoDB say what it took.
func (l *ledger) stack(s *middleware.Stack) error {
	total := ddbtypes.ReturnConsumedCapacityTotal
	return s.Initialize.Add(middleware.InitializeMiddlewareFunc("ledger", func(
		ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
	) (middleware.InitializeOutput, middleware.Metadata, error) {
		switch p := in.Parameters.(type) {
		case *dynamodb.GetItemInput:
			p.ReturnConsumedCapacity = total
		case *dynamodb.BatchGetItemInput:
			p.ReturnConsumedCapacity = total
		case *dynamodb.QueryInput:
			p.ReturnConsumedCapacity = total
		case *dynamodb.PutItemInput:
			p.ReturnConsumedCapacity = total
		}
		out, metadata, err := next.HandleInitialize(ctx, in)
		switch r := out.Result.(type) {
		case *dynamodb.GetItemOutput:
			l.note("GetItem", *r.ConsumedCapacity)
		case *dynamodb.BatchGetItemOutput:
			l.note("BatchGetItem", r.ConsumedCapacity...)
		case *dynamodb.QueryOutput:
			l.note("Query", *r.ConsumedCapacity)
		case *dynamodb.PutItemOutput:
			l.note("PutItem", *r.ConsumedCapacity)
		default:
			l.note(fmt.Sprintf("%T", out.Result))
		}
		return out, metadata, err
	}), middleware.Before)
}

// A sweptTable is a table of the pocket AWS with many enabled connections, and what a sweep over them needs.
type sweptTable struct {
	t        testing.TB
	client   *dynamodb.Client // does not count
	store    *store.Store     // counts
	ledger   *ledger
	external connect.ExternalID
	meta     map[string]ddbtypes.AttributeValue // records to copy
	checked  map[string]ddbtypes.AttributeValue
	id       string // in them
}

// direct hands a client's requests to the pocket AWS's table without a network between them, or a journal that grows.
type direct struct{ service *pocketdb.Service }

func (d direct) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	answer, err := d.service.Serve(r.Context(), &wire.Call{
		Operation: operation, Region: "eu-west-1", Principal: wire.Principal{Account: "111111111111"}, Body: body,
	})
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(answer.Value)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(text))}, err
}

func newSweptTable(t testing.TB) *sweptTable {
	t.Helper()
	l := &ledger{}
	l.reset()
	options := dynamodb.Options{
		Region: "eu-west-1", HTTPClient: direct{pocketdb.New(time.Now)},
		Credentials: credentials.NewStaticCredentialsProvider("111111111111", "any", ""),
	}
	table := &sweptTable{t: t, client: dynamodb.New(options), ledger: l}
	options.APIOptions = append(options.APIOptions, l.stack)
	table.store = &store.Store{Client: dynamodb.New(options), Table: "rolecall"}
	table.create()
	table.prototype()
	return table
}

func (w *sweptTable) create() {
	w.t.Helper()
	attribute := func(name string) ddbtypes.AttributeDefinition {
		return ddbtypes.AttributeDefinition{AttributeName: &name, AttributeType: ddbtypes.ScalarAttributeTypeS}
	}
	keys := func(hash, sort string) []ddbtypes.KeySchemaElement {
		return []ddbtypes.KeySchemaElement{
			{AttributeName: &hash, KeyType: ddbtypes.KeyTypeHash}, {AttributeName: &sort, KeyType: ddbtypes.KeyTypeRange},
		}
	}
	in := &dynamodb.CreateTableInput{TableName: &w.store.Table, BillingMode: ddbtypes.BillingModePayPerRequest, KeySchema: keys("PK", "SK")}
	in.AttributeDefinitions = []ddbtypes.AttributeDefinition{attribute("PK"), attribute("SK")}
	for name, projection := range map[string]ddbtypes.ProjectionType{
		"tenant": ddbtypes.ProjectionTypeAll, "slot": ddbtypes.ProjectionTypeKeysOnly, "due": ddbtypes.ProjectionTypeKeysOnly,
	} {
		in.AttributeDefinitions = append(in.AttributeDefinitions, attribute(name+"PK"), attribute(name+"SK"))
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, ddbtypes.GlobalSecondaryIndex{
			IndexName: &name, KeySchema: keys(name+"PK", name+"SK"), Projection: &ddbtypes.Projection{ProjectionType: projection},
		})
	}
	if _, err := w.client.CreateTable(w.t.Context(), in); err != nil {
		w.t.Fatal(err)
	}
}

// prototype commits one connection as its life would, and reads the records that it leaves.
func (w *sweptTable) prototype() {
	w.t.Helper()
	s, changes := serving(w.t)
	for _, ch := range changes {
		if err := w.store.Commit(w.t.Context(), ch); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.store.RecordCheck(w.t.Context(), s.ID, sweepNoon); err != nil {
		w.t.Fatal(err)
	}
	w.id, w.external = string(s.ID), s.ExternalID
	get := func(sk string) map[string]ddbtypes.AttributeValue {
		out, err := w.client.GetItem(w.t.Context(), &dynamodb.GetItemInput{TableName: &w.store.Table, Key: map[string]ddbtypes.AttributeValue{
			"PK": &ddbtypes.AttributeValueMemberS{Value: "CONN#" + w.id}, "SK": &ddbtypes.AttributeValueMemberS{Value: sk},
		}})
		if err != nil || len(out.Item) == 0 {
			w.t.Fatalf("%s: %v", sk, err)
		}
		return out.Item
	}
	w.meta, w.checked = get("META"), get("CHECKED")
}

// fill writes n connections of a slot in bulk.
func (w *sweptTable) fill(slot, n int) {
	w.t.Helper()
	var batch []ddbtypes.WriteRequest
	write := func() {
		in := &dynamodb.BatchWriteItemInput{RequestItems: map[string][]ddbtypes.WriteRequest{w.store.Table: batch}}
		if out, err := w.client.BatchWriteItem(w.t.Context(), in); err != nil || len(out.UnprocessedItems) > 0 {
			w.t.Fatal(err, len(out.UnprocessedItems))
		}
		batch = nil
	}
	for _, id := range idsIn(w.t, slot, n) {
		for _, record := range []map[string]ddbtypes.AttributeValue{w.meta, w.checked} {
			item := maps.Clone(record)
			for name, v := range item {
				if s, ok := v.(*ddbtypes.AttributeValueMemberS); ok {
					item[name] = &ddbtypes.AttributeValueMemberS{Value: strings.ReplaceAll(s.Value, w.id, string(id))}
				}
			}
			if _, ok := item["slotPK"]; ok {
				item["slotPK"] = &ddbtypes.AttributeValueMemberS{Value: fmt.Sprint("SLOT#", slot)}
			}
			batch = append(batch, ddbtypes.WriteRequest{PutRequest: &ddbtypes.PutRequest{Item: item}})
		}
		if len(batch) > 23 {
			write()
		}
	}
	if len(batch) > 0 {
		write()
	}
}

// AssumeRole counts, and answers as for a role with the right trust policy.
func (w *sweptTable) AssumeRole(_ context.Context, r connect.AssumeRequest) (connect.Session, error) {
	w.ledger.note("AssumeRole")
	return exact(r, w.external)
}

// A sweepBill is what one sweep took.
type sweepBill struct {
	due      int
	requests map[string]int
	units    map[string]float64
	grown    int64 // bytes of the heap, at most
	took     time.Duration
}

func (b sweepBill) perDue() (requests, units float64) {
	for _, n := range b.requests {
		requests += float64(n)
	}
	for _, u := range b.units {
		units += u
	}
	return requests / float64(b.due), units / float64(b.due)
}

// pipe hands jobs on as they come, so that no test keeps what SQS would.
type pipe struct {
	w    *sweptTable
	jobs chan []connect.ConnectionID
}

func (p pipe) Sweep(_ context.Context, ids []connect.ConnectionID, _ time.Duration) error {
	p.w.ledger.note("SendMessage")
	p.jobs <- ids
	return nil
}

// sweep runs the tick in which a slot has its turn, and two functions that work its jobs off.
func (w *sweptTable) sweep(slot, due int) sweepBill {
	w.t.Helper()
	now := minuteOf(slot)
	clock := func() time.Time { return now }
	p := pipe{w, make(chan []connect.ConnectionID, 2)}
	h := queue.Handler{
		Sweeps: connect.Verifications{Store: w.store, Sweeps: p, Clock: clock, Verifier: connect.Verifier{Assumer: w, Clock: clock}},
		Jobs:   p, Parallel: 6, Log: slog.New(slog.DiscardHandler),
	}
	if err := w.store.Advance(w.t.Context(), w.cursor(), now.Add(-time.Minute)); err != nil {
		w.t.Fatal(err)
	}
	w.ledger.reset()
	began, before, most := time.Now(), heap(), int64(0)
	var mu sync.Mutex
	var functions sync.WaitGroup
	worked := 0
	for range 2 {
		functions.Go(func() {
			for ids := range p.jobs {
				out, err := h.Handle(w.t.Context(), message(w.t, ids))
				if err != nil || len(out.BatchItemFailures) > 0 {
					w.t.Errorf("a message failed: %v", err)
				}
				mu.Lock()
				if worked++; worked%90 == 0 {
					most = max(most, heap()-before)
				}
				mu.Unlock()
			}
		})
	}
	tick := connect.Sweeping{Store: w.store, Jobs: p, Clock: clock, Interval: 24 * time.Hour, Jitter: func() float64 { return 0 }}
	queued, err := tick.Tick(w.t.Context())
	close(p.jobs)
	functions.Wait()
	if err != nil || queued != due {
		w.t.Fatalf("queued %d of %d: %v", queued, due, err)
	}
	return sweepBill{
		due: due, requests: maps.Clone(w.ledger.requests), units: maps.Clone(w.ledger.units),
		grown: max(most, heap()-before), took: time.Since(began),
	}
}

func (w *sweptTable) cursor() time.Time {
	w.t.Helper()
	c, err := w.store.Cursor(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// heap is what is in use, in bytes.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A check of a healthy connection costs the same whether a thousand are due or a hundred thousand (with ROLECALL_LONG;
// else five thousand): one read, two requests of STS, one small write; and what it keeps in memory does not grow with their number.
func TestWhatASweepCosts(t *testing.T) {
	const few, fewSlot, manySlot, nobodySlot = 1000, 100, 200, 300
	many := 3_000
	if os.Getenv("ROLECALL_LONG") != "" {
		many = 100_000
	}
	w := newSweptTable(t)
	nobody := w.sweep(nobodySlot, 0)
	want := map[string]int{"GetItem": 1, "Query": 2, "PutItem": 1} // the cursor read and moved; one index each for slot and minute
	if !maps.Equal(nobody.requests, want) {
		t.Errorf("a minute with nobody in it takes %v, want %v", nobody.requests, want)
	}
	t.Logf("a minute in which nobody is due: requests %v, capacity units %v", nobody.requests, nobody.units)
	w.fill(fewSlot, few)
	w.fill(manySlot, many)
	bills := []sweepBill{w.sweep(fewSlot, few), w.sweep(manySlot, many)}
	for _, b := range bills {
		requests, units := b.perDue()
		t.Logf("%6d due: %.4f requests and %.4f capacity units each; heap +%d KiB; %s; requests %v, capacity units %v",
			b.due, requests, units, b.grown>>10, b.took.Round(time.Millisecond), b.requests, b.units)
		pages := b.requests["Query"] - 1
		if b.requests["BatchGetItem"] != b.due || b.requests["AssumeRole"] != 2*b.due || b.requests["PutItem"] != b.due+1 ||
			b.requests["GetItem"] != 1 || pages < 1 || pages > 1+b.due/1000 || b.requests["SendMessage"] > b.due/connect.SweepBatch+pages {
			t.Errorf("%d due: requests %v", b.due, b.requests)
		}
		if b.units["BatchGetItem"] != float64(b.due) || b.units["PutItem"] != float64(b.due+1) {
			t.Errorf("%d due: capacity units %v, want one to read and one to write each", b.due, b.units)
		}
		// The table shares the heap: a record that is written anew takes it some dozens of bytes more, once, and the race
		// detector has its share. A sweep that kept what it reads would take kilobytes for each connection.
		if b.grown > int64(32<<20+64*b.due) {
			t.Errorf("%d due: the heap has grown by %d bytes", b.due, b.grown)
		}
	}
	fewRequests, fewUnits := bills[0].perDue()
	manyRequests, manyUnits := bills[1].perDue()
	if off := manyRequests/fewRequests - 1; off < -0.1 || off > 0.1 {
		t.Errorf("requests per due connection differ by %+.1f%%", 100*off)
	}
	if off := manyUnits/fewUnits - 1; off < -0.1 || off > 0.1 {
		t.Errorf("capacity units per due connection differ by %+.1f%%", 100*off)
	}
}

// BenchmarkSweepCheck is one check of a healthy connection against the pocket AWS's table.
func BenchmarkSweepCheck(b *testing.B) {
	w := newSweptTable(b)
	clock := func() time.Time { return sweepNoon }
	u := connect.Verifications{Store: w.store, Clock: clock, Verifier: connect.Verifier{Assumer: w, Clock: clock}}
	w.ledger.reset()
	for b.Loop() {
		if err := u.Sweep(b.Context(), connect.ConnectionID(w.id)); err != nil {
			b.Fatal(err)
		}
	}
	per := func(n float64) float64 { return n / float64(b.N) }
	b.ReportMetric(per(float64(w.ledger.requests["AssumeRole"])), "sts/check")
	b.ReportMetric(per(w.ledger.units["BatchGetItem"]), "rcu/check")
	b.ReportMetric(per(w.ledger.units["PutItem"]), "wcu/check")
}
