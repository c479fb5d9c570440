package dynamodb_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func put(p, more string) string {
	return `{"Put":{"TableName":"tab","Item":` + item(p, "1", more) + `}}`
}

func TestTransactionIsAllOrNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("a", "1", `"x":{"N":"1"}`)
	w.put("b", "1", `"x":{"N":"1"}`)
	w.put("c", "1", "")
	key := func(p string) string { return `"TableName":"tab","Key":` + item(p, "1", "") }
	w.must("TransactWriteItems", `{"TransactItems":[`+put("new", "")+`,
		{"Update":{`+key("a")+`,"UpdateExpression":"ADD x :one","ConditionExpression":"x = :one","ExpressionAttributeValues":{":one":{"N":"1"}}}},
		{"Delete":{`+key("c")+`}},{"ConditionCheck":{`+key("b")+`,"ConditionExpression":"attribute_exists(x)"}}]}`)
	same(t, w.get("a", "1"), item("a", "1", `"x":{"N":"2"}`))
	if w.get("new", "1") == "" || w.get("c", "1") != "" {
		t.Error("put or delete is missing")
	}
	err := w.failure("TransactWriteItems", `{"TransactItems":[`+put("other", "")+`,
		{"ConditionCheck":{`+key("b")+`,"ConditionExpression":"attribute_exists(zz)","ReturnValuesOnConditionCheckFailure":"ALL_OLD"}},
		{"Update":{`+key("a")+`,"UpdateExpression":"SET x = nowhere"}},
		{"Delete":{`+key("d")+`,"ConditionExpression":"attribute_exists(p)","ReturnValuesOnConditionCheckFailure":"ALL_OLD"}},
		{"Put":{"TableName":"tab","Item":{"p":{"S":"1"}}}}]}`,
		"TransactionCanceledException",
		"Transaction cancelled, please refer cancellation reasons for specific reasons "+
			"[None, ConditionalCheckFailed, ValidationError, ConditionalCheckFailed, ValidationError]")
	reasons, _ := json.Marshal(err.Fields["CancellationReasons"])
	same(t, string(reasons), `[{"Code":"None"},
		{"Code":"ConditionalCheckFailed","Message":"The conditional request failed","Item":`+item("b", "1", `"x":{"N":"1"}`)+`},
		{"Code":"ValidationError","Message":"The provided expression refers to an attribute that does not exist in the item"},
		{"Code":"ConditionalCheckFailed","Message":"The conditional request failed"},
		{"Code":"ValidationError","Message":"One or more parameter values were invalid: Missing the key s in the item"}]`)
	if w.get("other", "1") != "" {
		t.Error("a cancelled transaction wrote something")
	}
}

func TestTransactionsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	many := func(n int) string {
		all := make([]string, n)
		for i := range all {
			all[i] = put(fmt.Sprint(i), "")
		}
		return strings.Join(all, ",")
	}
	w.must("TransactWriteItems", `{"TransactItems":[`+many(100)+`]}`)
	big := make([]string, 11)
	for i := range big {
		big[i] = put(fmt.Sprint(i), `"x":{"S":"`+strings.Repeat("x", 390*1024)+`"}`)
	}
	for body, want := range map[string]string{
		many(101): "1 validation error detected: Value at 'transactItems' failed to satisfy constraint: Member must have length less than or equal to 100",
		``:        "1 validation error detected: Value '[]' at 'transactItems' failed to satisfy constraint: Member must have length greater than or equal to 1",
		put("1", "") + `,{"Delete":{"TableName":"tab","Key":` + item("1", "1", "") + `}}`: "Transaction request cannot include multiple operations on one item",
		`{}`: "Invalid Request: TransactWriteRequest should contain Delete or Put or Update request",
		`{"Put":{"TableName":"tab","Item":` + item("1", "1", "") + `},"Delete":{"TableName":"tab","Key":` + item("1", "1", "") + `}}`: "TransactItems can only contain one of Check, Put, Update or Delete",
		`{"Update":{"TableName":"tab","Key":` + item("1", "1", "") + `}}`:                                                             "1 validation error detected: Value null at 'transactItems.1.member.update.updateExpression' failed to satisfy constraint: Member must not be null",
		`{"Delete":{"TableName":"tab","Key":` + item("1", "1", "") + `,"ConditionExpression":"x"}}`:                                   `Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "x"`,
		strings.Join(big, ","): "Transaction request size exceeded: the aggregate size of the items in the transaction cannot exceed 4 MB",
	} {
		w.fails("TransactWriteItems", `{"TransactItems":[`+body+`]}`, "ValidationException", want)
	}
	w.fails("TransactWriteItems", `{"TransactItems":[`+strings.ReplaceAll(put("1", ""), "tab", "none")+`]}`, "ResourceNotFoundException", "Requested resource not found")
}

func TestTransactionTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	add := func(token, by string) string {
		return `{"ClientRequestToken":"` + token + `","ReturnConsumedCapacity":"TOTAL","TransactItems":[{"Update":{"TableName":"tab","Key":` + item("1", "1", "") +
			`,"UpdateExpression":"ADD x :v","ExpressionAttributeValues":{":v":{"N":"` + by + `"}}}}]}`
	}
	x := func() string { return member(t, w.get("1", "1"), "x.N") }
	first := w.must("TransactWriteItems", add("t1", "1"))
	same(t, first, `{"ConsumedCapacity":[{"TableName":"tab","CapacityUnits":2,"WriteCapacityUnits":2}]}`)
	again := w.must("TransactWriteItems", add("t1", "1"))
	same(t, again, `{"ConsumedCapacity":[{"TableName":"tab","CapacityUnits":2,"ReadCapacityUnits":2}]}`)
	if x() != `"1"` {
		t.Error("the same token wrote twice:", x())
	}
	w.fails("TransactWriteItems", add("t1", "2"), "IdempotentParameterMismatchException", "")
	w.must("TransactWriteItems", add("t2", "1"))
	w.advance(11 * time.Minute)
	w.must("TransactWriteItems", add("t1", "1"))
	if x() != `"3"` {
		t.Error("a token is good again after ten minutes; x =", x())
	}
}

func TestTransactGet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("a", "1", `"x":{"N":"1"}`)
	get := func(key, more string) string { return `{"Get":{"TableName":"tab","Key":` + key + more + `}}` }
	out := w.must("TransactGetItems", `{"TransactItems":[`+get(item("a", "1", ""), `,"ProjectionExpression":"x"`)+`,`+get(item("b", "1", ""), "")+`]}`)
	same(t, out, `{"Responses":[{"Item":{"x":{"N":"1"}}},{}]}`)
	w.fails("TransactGetItems", `{"TransactItems":[`+get(item("a", "1", ""), "")+`,`+get(`{"p":{"S":"1"}}`, "")+`]}`,
		"TransactionCanceledException", "Transaction cancelled, please refer cancellation reasons for specific reasons [None, ValidationError]")
	w.fails("TransactGetItems", `{"TransactItems":[`+get(item("a", "1", ""), "")+`,`+get(item("a", "1", ""), "")+`]}`,
		"ValidationException", "Transaction request cannot include multiple operations on one item")
}

// Money moves between accounts in concurrent transactions while others read: every snapshot must add up.
func TestConcurrentTransactionsAreAtomic(t *testing.T) {
	t.Parallel()
	const accounts, workers, rounds = 8, 16, 100
	w := newWorld(t)
	for i := range accounts {
		w.put(fmt.Sprint(i), "1", `"x":{"N":"100"},"g":{"S":"G"}`)
	}
	stream := w.service.Stream("arn:aws:dynamodb:eu-west-1:111111111111:table/tab")
	start := stream.Last()
	var group sync.WaitGroup
	var mu sync.Mutex
	moved := 0
	for worker := range workers {
		group.Go(func() {
			for round := range rounds {
				from, to := (worker+round)%accounts, (worker*3+round*5+1)%accounts
				if from == to {
					w.checkTotal(accounts)
					continue
				}
				_, err := w.call("TransactWriteItems", fmt.Sprintf(`{"TransactItems":[
					{"Update":{"TableName":"tab","Key":%s,"UpdateExpression":"SET x = x - :v","ConditionExpression":"x >= :v","ExpressionAttributeValues":{":v":{"N":"30"}}}},
					{"Update":{"TableName":"tab","Key":%s,"UpdateExpression":"SET x = x + :v","ExpressionAttributeValues":{":v":{"N":"30"}}}}]}`,
					item(fmt.Sprint(from), "1", ""), item(fmt.Sprint(to), "1", "")))
				switch {
				case err == nil:
					mu.Lock()
					moved++
					mu.Unlock()
				case err.Code != "TransactionCanceledException":
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	w.checkTotal(accounts)
	if records := len(stream.Records(start, 1<<20)); records != 2*moved {
		t.Errorf("%d records for %d transactions of two changes", records, moved)
	}
}

func (w *world) checkTotal(accounts int) {
	total := 0
	for _, got := range w.page("Scan", `{"TableName":"tab","ConsistentRead":true}`).Items {
		var x int
		if _, err := fmt.Sscan(fmt.Sprint(got["x"]["N"]), &x); err != nil {
			w.t.Error(err)
		}
		total += x
	}
	if total != 100*accounts {
		w.t.Errorf("total %d", total)
	}
}
