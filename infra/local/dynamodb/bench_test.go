package dynamodb_test

import (
	"fmt"
	"testing"
)

func BenchmarkPut(b *testing.B) {
	w := newWorld(b)
	i := 0
	for b.Loop() {
		i++
		w.put(fmt.Sprint(i%1000), fmt.Sprint(i), `"g":{"S":"G"},"n":{"N":"1"},"a":{"S":"some text of an attribute"}`)
	}
}

func BenchmarkTransact(b *testing.B) {
	w := newWorld(b)
	i := 0
	for b.Loop() {
		i++
		w.must("TransactWriteItems", fmt.Sprintf(`{"ClientRequestToken":"%d","TransactItems":[{"Put":{"TableName":"tab","Item":%s,
			"ConditionExpression":"attribute_not_exists(p)"}},{"Update":{"TableName":"tab","Key":%s,"UpdateExpression":"ADD x :one",
			"ExpressionAttributeValues":{":one":{"N":"1"}}}}]}`, i, item("event", fmt.Sprint(i), ""), item("meta", "1", "")))
	}
}

// BenchmarkLargeTable measures a put and a query of ten items in one partition of a million.
func BenchmarkLargeTable(b *testing.B) {
	w := newWorld(b)
	const million = 1_000_000
	for i := range million {
		w.put("1", fmt.Sprintf("%07d", i), "")
	}
	i := 0
	b.Run("put", func(b *testing.B) {
		for b.Loop() {
			i = (i + 7919) % million
			w.put("1", fmt.Sprintf("%07d", i), `"a":{"S":"A"}`)
		}
	})
	b.Run("query", func(b *testing.B) {
		for b.Loop() {
			i = (i + 7919) % million
			w.must("Query", fmt.Sprintf(`{"TableName":"tab","Limit":10,"KeyConditionExpression":"p = :p AND s > :s",
				"ExpressionAttributeValues":{":p":{"S":"1"},":s":{"S":"%07d"}}}`, i))
		}
	})
}
