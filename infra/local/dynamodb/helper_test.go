package dynamodb_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/dynamodb"
	"rolecall/infra/local/wire"
)

const (
	account = "111111111111"
	region  = "eu-west-1"
	single  = `{"TableName":"tab","BillingMode":"PAY_PER_REQUEST",
		"AttributeDefinitions":[{"AttributeName":"p","AttributeType":"S"},{"AttributeName":"s","AttributeType":"S"},
			{"AttributeName":"g","AttributeType":"S"},{"AttributeName":"n","AttributeType":"N"}],
		"KeySchema":[{"AttributeName":"p","KeyType":"HASH"},{"AttributeName":"s","KeyType":"RANGE"}],
		"StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_AND_OLD_IMAGES"},
		"GlobalSecondaryIndexes":[
			{"IndexName":"all","KeySchema":[{"AttributeName":"g","KeyType":"HASH"},{"AttributeName":"n","KeyType":"RANGE"}],
				"Projection":{"ProjectionType":"ALL"}},
			{"IndexName":"keys","KeySchema":[{"AttributeName":"g","KeyType":"HASH"}],"Projection":{"ProjectionType":"KEYS_ONLY"}},
			{"IndexName":"some","KeySchema":[{"AttributeName":"g","KeyType":"HASH"}],
				"Projection":{"ProjectionType":"INCLUDE","NonKeyAttributes":["a"]}}]}`
)

// A world is a service with one table "tab" and a clock that stands still.
type world struct {
	t       testing.TB
	service *dynamodb.Service
	mu      sync.Mutex
	now     time.Time
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	w.service = dynamodb.New(w.clock)
	w.must("CreateTable", single)
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) call(operation, body string) (string, *wire.Error) {
	w.t.Helper()
	response, err := w.service.Serve(context.Background(), &wire.Call{
		Service: "dynamodb", Operation: operation, Region: region, Principal: wire.Principal{Account: account}, Body: []byte(body),
	})
	if err != nil {
		var api *wire.Error
		if !errors.As(err, &api) {
			w.t.Fatalf("%s %s: %v is no API error", operation, body, err)
		}
		return "", api
	}
	encoded, err := json.Marshal(response.Value)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(encoded), nil
}

func (w *world) must(operation, body string) string {
	w.t.Helper()
	out, err := w.call(operation, body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", operation, body, err)
	}
	return out
}

// fails asserts an error's code and message; an empty message may be any.
func (w *world) fails(operation, body, code, message string) {
	w.t.Helper()
	_ = w.failure(operation, body, code, message)
}

// failure asserts as fails does, and answers the error.
func (w *world) failure(operation, body, code, message string) *wire.Error {
	w.t.Helper()
	out, err := w.call(operation, body)
	if err == nil {
		w.t.Fatalf("%s %s = %s, want %s %s", operation, body, out, code, message)
	}
	if err.Code != code || (message != "" && err.Message != message) {
		w.t.Errorf("%s %s\n got %s: %s\nwant %s: %s", operation, body, err.Code, err.Message, code, message)
	}
	return err
}

// put stores {p: p, s: s} and further attributes given as JSON members.
func (w *world) put(p, s, more string) {
	w.t.Helper()
	w.must("PutItem", fmt.Sprintf(`{"TableName":"tab","Item":%s}`, item(p, s, more)))
}

func item(p, s, more string) string {
	if more != "" {
		more = "," + more
	}
	return fmt.Sprintf(`{"p":{"S":%q},"s":{"S":%q}%s}`, p, s, more)
}

func (w *world) get(p, s string) string {
	w.t.Helper()
	out := w.must("GetItem", fmt.Sprintf(`{"TableName":"tab","ConsistentRead":true,"Key":%s}`, item(p, s, "")))
	return member(w.t, out, "Item")
}

// member picks one member of a JSON object, "" where it is absent.
func member(t testing.TB, object, path string) string {
	t.Helper()
	for name := range strings.SplitSeq(path, ".") {
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(object), &members); err != nil {
			t.Fatalf("%s: %v", object, err)
		}
		object = string(members[name])
		if object == "" {
			return ""
		}
	}
	return object
}

// same compares JSON by meaning.
func same(t testing.TB, got, want string) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal([]byte(got), &a); err != nil {
		t.Fatalf("got %q: %v", got, err)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatalf("want %q: %v", want, err)
	}
	if diff := cmp.Diff(b, a); diff != "" {
		t.Errorf("mismatch (-want +got):\n%s", diff)
	}
}

// merged lays the members of one JSON object over another's; null removes.
func merged(t testing.TB, base, over string) string {
	t.Helper()
	result, changes := map[string]any{}, map[string]any{}
	if err := json.Unmarshal([]byte(base), &result); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(over), &changes); err != nil {
		t.Fatal(err)
	}
	for name, value := range changes {
		result[name] = value
		if value == nil {
			delete(result, name)
		}
	}
	encoded, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}
