package dynamodb_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

type page struct {
	Items            []map[string]map[string]any
	Count            int
	ScannedCount     int
	LastEvaluatedKey json.RawMessage
}

func (w *world) page(operation, body string) page {
	w.t.Helper()
	var p page
	if err := json.Unmarshal([]byte(w.must(operation, body)), &p); err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (p page) texts(name string) string {
	var all []string
	for _, item := range p.Items {
		for _, text := range item[name] {
			all = append(all, fmt.Sprint(text))
		}
	}
	return strings.Join(all, " ")
}

func TestQueries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, s := range []string{"a", "ab", "abc", "b", "ba", "c", "é", "z"} {
		w.put("1", s, fmt.Sprintf(`"x":{"N":"%d"}`, i))
		w.put("2", s, "")
	}
	for _, c := range []struct{ condition, rest, want string }{
		{"p = :p", ``, "a ab abc b ba c z é"}, // order of UTF-8 bytes
		{":p = p", ``, "a ab abc b ba c z é"},
		{"p = :p", `"ScanIndexForward":false`, "é z c ba b abc ab a"},
		{"p = :p AND s = :v", ``, "b"},
		{"s = :v AND p = :p", ``, "b"},
		{"(p = :p) AND (s < :v)", ``, "a ab abc"},
		{"p = :p AND s <= :v", ``, "a ab abc b"},
		{"p = :p AND s > :v", ``, "ba c z é"},
		{"p = :p AND :v < s", ``, "ba c z é"},
		{"p = :p AND s >= :v", ``, "b ba c z é"},
		{"p = :p AND s >= :v", `"ScanIndexForward":false`, "é z c ba b"},
		{"p = :p AND begins_with(s, :v)", ``, "b ba"},
		{"p = :p AND begins_with(s, :v)", `"ScanIndexForward":false`, "ba b"},
		{"p = :p AND s BETWEEN :v AND :w", ``, "b ba c"},
		{"p = :p", `"Limit":3`, "a ab abc"},
		{"p = :p", `"FilterExpression":"x > :n"`, "c z é"},
		{"p = :p", `"Limit":5,"FilterExpression":"x > :n"`, ""},
		{"p = :p", `"Select":"COUNT"`, ""},
	} {
		values := `":p":{"S":"1"}`
		for name, value := range map[string]string{":v": `{"S":"b"}`, ":w": `{"S":"c"}`, ":n": `{"N":"4"}`} {
			if containsName(c.condition+c.rest, name) {
				values += fmt.Sprintf(`,%q:%s`, name, value)
			}
		}
		rest := ""
		if c.rest != "" {
			rest = "," + c.rest
		}
		p := w.page("Query", fmt.Sprintf(`{"TableName":"tab","KeyConditionExpression":%q,"ExpressionAttributeValues":{%s}%s}`, c.condition, values, rest))
		if got := p.texts("s"); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.condition, c.rest, got, c.want)
		}
		if strings.Contains(c.rest, "COUNT") && (p.Count != 8 || p.Items != nil) {
			t.Errorf("COUNT: %+v", p)
		}
	}
}

func TestQueriesAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct{ condition, rest, want string }{
		{"s = :p", ``, "Query condition missed key schema element: p"},
		{"p = :p AND x = :p", ``, "Query condition missed key schema element: s"},
		{"p > :p", ``, "Query key condition not supported"},
		{"begins_with(p, :p)", ``, "Query key condition not supported"},
		{"p = :p OR s = :p", ``, "Invalid operator used in KeyConditionExpression: OR"},
		{"NOT p = :p", ``, "Invalid operator used in KeyConditionExpression: NOT"},
		{"p <> :p", ``, "Invalid operator used in KeyConditionExpression: <>"},
		{"p = :p AND contains(s, :p)", ``, "Invalid operator used in KeyConditionExpression: contains"},
		{"p IN (:p)", ``, "Invalid operator used in KeyConditionExpression: IN"},
		{"p = :p AND p = :p", ``, "KeyConditionExpressions must only contain one condition per key"},
		{"p.a = :p", ``, "KeyConditionExpressions cannot have conditions on nested attributes"},
		{"p = :p AND size(s) = :p", ``, "KeyConditionExpressions cannot contain nested operations"},
		{"p = :p AND s = x", ``, "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"},
		{"p = :p", `,"FilterExpression":"s = :p"`, "Filter Expression can only contain non-primary key attributes: Primary key attribute: s"},
		{"p = :p", `,"IndexName":"nope"`, "The table does not have the specified index: nope"},
		{"g = :p", `,"IndexName":"keys","ConsistentRead":true`, "Consistent reads are not supported on global secondary indexes"},
		{"g = :p", `,"IndexName":"keys","Select":"ALL_ATTRIBUTES"`, "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global secondary index keys because its projection type is not ALL"},
		{"g = :p", `,"IndexName":"some","ProjectionExpression":"b"`, "One or more parameter values were invalid: Global secondary index some does not project [b]"},
		{"g = :p AND n = :p", `,"IndexName":"all"`, "One or more parameter values were invalid: Condition parameter type does not match schema type"},
		{"g = :p AND s = :p", `,"IndexName":"keys"`, "Query key condition not supported"},
		{"p = :p", `,"ExclusiveStartKey":{"p":{"S":"x"}}`, "The provided starting key is invalid"},
		{"p = :p", `,"ExclusiveStartKey":{"p":{"S":"q"},"s":{"S":"q"}}`, "The provided starting key is outside query boundaries based on provided conditions"},
		{"p = :p AND s > :p", `,"ExclusiveStartKey":{"p":{"S":"x"},"s":{"S":"a"}}`, "The provided starting key does not match the range key predicate"},
		{"p = :p", `,"Limit":0`, "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"p = :p", `,"Select":"ALL_ATTRIBUTES","ProjectionExpression":"a"`, "Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES"},
	} {
		w.fails("Query", fmt.Sprintf(`{"TableName":"tab","KeyConditionExpression":%q,"ExpressionAttributeValues":{":p":{"S":"x"}}%s}`, c.condition, c.rest),
			"ValidationException", c.want)
	}
	w.fails("Query", `{"TableName":"tab"}`, "ValidationException", "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
}

func TestNumbersSortNumerically(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := []string{"-1e100", "-123.5", "-123", "-12", "-1", "-0.5", "-1e-100", "0", "1e-100", "0.5", "0.55", "1", "9", "10", "12.5", "100", "1e100"}
	for i, n := range slices.Backward(want) {
		w.put("1", fmt.Sprint(i), fmt.Sprintf(`"g":{"S":"G"},"n":{"N":%q},"nr":{"S":"%d"}`, n, i))
	}
	p := w.page("Query", `{"TableName":"tab","IndexName":"all","KeyConditionExpression":"g = :g","ExpressionAttributeValues":{":g":{"S":"G"}}}`)
	if got := p.texts("nr"); got != "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16" {
		t.Error(got)
	}
	p = w.page("Query", `{"TableName":"tab","IndexName":"all","KeyConditionExpression":"g = :g AND n BETWEEN :a AND :b",
		"ExpressionAttributeValues":{":g":{"S":"G"},":a":{"N":"-1.00"},":b":{"N":"9.0"}}}`)
	if got := p.texts("nr"); got != "4 5 6 7 8 9 10 11 12" {
		t.Error(got)
	}
}

func TestIndexesProjectAndAreSparse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("1", "1", `"g":{"S":"G"},"n":{"N":"1"},"a":{"S":"A"},"b":{"S":"B"}`)
	w.put("2", "1", `"g":{"S":"G"},"a":{"S":"A"}`)
	w.put("3", "1", `"n":{"N":"1"}`)
	for index, want := range map[string]string{
		"all":  `[{"p":{"S":"1"},"s":{"S":"1"},"g":{"S":"G"},"n":{"N":"1"},"a":{"S":"A"},"b":{"S":"B"}}]`,
		"keys": `[{"p":{"S":"1"},"s":{"S":"1"},"g":{"S":"G"}},{"p":{"S":"2"},"s":{"S":"1"},"g":{"S":"G"}}]`,
		"some": `[{"p":{"S":"1"},"s":{"S":"1"},"g":{"S":"G"},"a":{"S":"A"}},{"p":{"S":"2"},"s":{"S":"1"},"g":{"S":"G"},"a":{"S":"A"}}]`,
	} {
		out := w.must("Query", fmt.Sprintf(`{"TableName":"tab","IndexName":%q,"KeyConditionExpression":"g = :g","ExpressionAttributeValues":{":g":{"S":"G"}}}`, index))
		same(t, member(t, out, "Items"), want)
	}
	w.must("UpdateItem", `{"TableName":"tab","Key":`+item("1", "1", "")+`,"UpdateExpression":"REMOVE g"}`)
	if p := w.page("Scan", `{"TableName":"tab","IndexName":"all"}`); p.Count != 0 {
		t.Errorf("the index kept %v", p)
	}
}

// walkAll follows LastEvaluatedKey to the end and answers the texts of attribute s, and how many pages there were.
func (w *world) walkAll(operation, body string) (texts []string, pages int) {
	w.t.Helper()
	start := ""
	for {
		p := w.page(operation, strings.TrimSuffix(body, "}")+start+"}")
		pages++
		if p.Count > 0 {
			texts = append(texts, strings.Fields(p.texts("s"))...)
		}
		if p.LastEvaluatedKey == nil {
			return texts, pages
		}
		start = `,"ExclusiveStartKey":` + string(p.LastEvaluatedKey)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var want []string
	for i := range 25 {
		s := fmt.Sprintf("%02d", i)
		want = append(want, s)
		w.put("1", s, `"g":{"S":"G"},"n":{"N":"1"}`) // equal index keys: only the table's key tells them apart
	}
	for _, c := range []struct {
		operation, body string
		pages           int
	}{
		{"Query", `{"TableName":"tab","Limit":10,"KeyConditionExpression":"p = :p","ExpressionAttributeValues":{":p":{"S":"1"}}}`, 3},
		{"Query", `{"TableName":"tab","Limit":5,"KeyConditionExpression":"p = :p","ExpressionAttributeValues":{":p":{"S":"1"}}}`, 6}, // the last is empty
		{"Query", `{"TableName":"tab","IndexName":"all","Limit":7,"KeyConditionExpression":"g = :p","ExpressionAttributeValues":{":p":{"S":"G"}}}`, 4},
		{"Scan", `{"TableName":"tab","Limit":10}`, 3},
		{"Scan", `{"TableName":"tab","IndexName":"all","Limit":10}`, 3},
	} {
		got, pages := w.walkAll(c.operation, c.body)
		slices.Sort(got)
		if !slices.Equal(got, want) || pages != c.pages {
			t.Errorf("%s: %v in %d pages, want %d", c.body, got, pages, c.pages)
		}
	}
	got, _ := w.walkAll("Query", `{"TableName":"tab","Limit":4,"ScanIndexForward":false,"KeyConditionExpression":"p = :p","ExpressionAttributeValues":{":p":{"S":"1"}}}`)
	slices.Reverse(got)
	if !slices.Equal(got, want) {
		t.Errorf("backwards: %v", got)
	}
}

func TestAPageEndsAtOneMegabyte(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 6 {
		w.put("1", fmt.Sprint(i), `"x":{"S":"`+strings.Repeat("x", 350*1024)+`"}`)
	}
	body := `{"TableName":"tab","ReturnConsumedCapacity":"TOTAL","KeyConditionExpression":"p = :p","ExpressionAttributeValues":{":p":{"S":"1"}}}`
	p := w.page("Query", body)
	if p.Count != 3 || p.LastEvaluatedKey == nil {
		t.Errorf("%d items, last %s", p.Count, p.LastEvaluatedKey)
	}
	out := w.must("Query", body)
	same(t, member(t, out, "ConsumedCapacity"), `{"TableName":"tab","CapacityUnits":131.5}`) // ceil(3 × 358406 / 4096) / 2
	if got, pages := w.walkAll("Scan", `{"TableName":"tab"}`); len(got) != 6 || pages != 3 {
		t.Errorf("%d items in %d pages", len(got), pages)
	}
}

func TestSegmentsCoverTheTableOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 200 {
		w.put(fmt.Sprint(i), fmt.Sprint(i), "")
	}
	for _, total := range []int{1, 3, 7, 1000000} {
		seen := map[string]int{}
		segments := min(total, 7)
		for segment := range segments {
			got, _ := w.walkAll("Scan", fmt.Sprintf(`{"TableName":"tab","Limit":10,"Segment":%d,"TotalSegments":%d}`, segment, total))
			for _, s := range got {
				seen[s]++
			}
		}
		if total <= 7 && len(seen) != 200 {
			t.Errorf("%d segments found %d items", total, len(seen))
		}
		for s, times := range seen {
			if times != 1 {
				t.Errorf("%d segments found %s %d times", total, s, times)
			}
		}
	}
	w.fails("Scan", `{"TableName":"tab","Segment":2,"TotalSegments":2}`, "ValidationException",
		"The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 2 is not less than TotalSegments: 2")
}
