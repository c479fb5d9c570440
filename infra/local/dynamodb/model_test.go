package dynamodb_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A model is what the table should hold: "p|s" → x, with the index key g where x is even.
type model map[string]int

func (m model) query(p string, keep func(s string) bool) []string {
	var found []string
	for key := range m {
		partition, s, _ := strings.Cut(key, "|")
		if partition == p && keep(s) {
			found = append(found, s)
		}
	}
	slices.Sort(found)
	return found
}

func attributes(x int) string {
	if x%2 == 0 {
		return fmt.Sprintf(`"x":{"N":"%d"},"g":{"S":"even"},"n":{"N":"%d"}`, x, x)
	}
	return fmt.Sprintf(`"x":{"N":"%d"}`, x)
}

type machine struct {
	w     *world
	m     model
	parts *rapid.Generator[string]
	sorts *rapid.Generator[string]
}

func TestAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		s := &machine{
			w: newWorld(t), m: model{},
			parts: rapid.SampledFrom([]string{"a", "b", "ab"}), sorts: rapid.StringMatching(`[ab]{1,3}`),
		}
		r.Repeat(map[string]func(*rapid.T){
			"put": s.put, "update": s.update, "delete": s.delete, "query": s.query, "transact": s.transact, "batch": s.batch, "": s.check,
		})
	})
}

func (s *machine) key(r *rapid.T) (p, sort, id string) {
	p, sort = s.parts.Draw(r, "p"), s.sorts.Draw(r, "s")
	return p, sort, p + "|" + sort
}

func (s *machine) put(r *rapid.T) {
	p, sort, id := s.key(r)
	x, fresh := rapid.IntRange(0, 9).Draw(r, "x"), rapid.Bool().Draw(r, "fresh")
	condition := ""
	if fresh {
		condition = `,"ConditionExpression":"attribute_not_exists(p)"`
	}
	_, err := s.w.call("PutItem", `{"TableName":"tab","Item":`+item(p, sort, attributes(x))+condition+`}`)
	_, exists := s.m[id]
	if (err != nil) != (fresh && exists) {
		r.Fatalf("put: %v", err)
	}
	if err == nil {
		s.m[id] = x
	}
}

// setX is an update to x that fails unless the item has at most the limit.
func setX(p, sort string, x, limit int) string {
	expression := `SET x = :x REMOVE g, n`
	more := ""
	if x%2 == 0 {
		expression, more = `SET x = :x, g = :g, n = :x`, `,":g":{"S":"even"}`
	}
	return fmt.Sprintf(`"TableName":"tab","Key":%s,"UpdateExpression":%q,"ConditionExpression":"x <= :limit",
		"ExpressionAttributeValues":{":x":{"N":"%d"},":limit":{"N":"%d"}%s}`, item(p, sort, ""), expression, x, limit, more)
}

func (s *machine) update(r *rapid.T) {
	p, sort, id := s.key(r)
	x, limit := rapid.IntRange(0, 9).Draw(r, "x"), rapid.IntRange(0, 9).Draw(r, "limit")
	_, err := s.w.call("UpdateItem", "{"+setX(p, sort, x, limit)+"}")
	old, exists := s.m[id]
	if (err == nil) != (exists && old <= limit) {
		r.Fatalf("update of %d, %v with limit %d: %v", old, exists, limit, err)
	}
	if err == nil {
		s.m[id] = x
	}
}

func (s *machine) delete(r *rapid.T) {
	p, sort, id := s.key(r)
	s.w.must("DeleteItem", `{"TableName":"tab","Key":`+item(p, sort, "")+`}`)
	delete(s.m, id)
}

func (s *machine) batch(r *rapid.T) {
	keys := rapid.SliceOfNDistinct(rapid.StringMatching(`a\|[ab]{1,3}`), 1, 10, rapid.ID[string]).Draw(r, "keys")
	var requests []string
	for _, id := range keys {
		p, sort, _ := strings.Cut(id, "|")
		if rapid.Bool().Draw(r, "put") {
			s.m[id] = len(sort)
			requests = append(requests, `{"PutRequest":{"Item":`+item(p, sort, attributes(len(sort)))+`}}`)
			continue
		}
		delete(s.m, id)
		requests = append(requests, `{"DeleteRequest":{"Key":`+item(p, sort, "")+`}}`)
	}
	s.w.must("BatchWriteItem", `{"RequestItems":{"tab":[`+strings.Join(requests, ",")+`]}}`)
}

func (s *machine) transact(r *rapid.T) {
	var actions []string
	next := maps.Clone(s.m)
	ok, seen, twice := true, map[string]bool{}, false
	for range rapid.IntRange(1, 5).Draw(r, "actions") {
		p, sort, id := s.key(r)
		x := rapid.IntRange(0, 9).Draw(r, "x")
		twice = twice || seen[id]
		seen[id] = true
		old, exists := s.m[id]
		switch rapid.IntRange(0, 3).Draw(r, "kind") {
		case 0:
			actions = append(actions, `{"Put":{"TableName":"tab","Item":`+item(p, sort, attributes(x))+`}}`)
			next[id] = x
		case 1:
			actions = append(actions, `{"Update":{`+setX(p, sort, x, 8)+`}}`)
			ok = ok && exists && old <= 8
			next[id] = x
		case 2:
			actions = append(actions, `{"Delete":{"TableName":"tab","Key":`+item(p, sort, "")+`}}`)
			delete(next, id)
		default:
			actions = append(actions, `{"ConditionCheck":{"TableName":"tab","Key":`+item(p, sort, "")+`,"ConditionExpression":"attribute_not_exists(x)"}}`)
			ok = ok && !exists
		}
	}
	_, err := s.w.call("TransactWriteItems", `{"TransactItems":[`+strings.Join(actions, ",")+`]}`)
	switch {
	case twice && (err == nil || err.Code != "ValidationException"):
		r.Fatalf("one item twice: %v", err)
	case !twice && (err == nil) != ok:
		r.Fatalf("transaction: %v, want ok = %v", err, ok)
	case err == nil:
		s.m = next
	}
}

func (s *machine) query(r *rapid.T) {
	p, v, _ := s.key(r)
	forward, limit := rapid.Bool().Draw(r, "forward"), rapid.IntRange(1, 5).Draw(r, "limit")
	conditions := map[string]func(string) bool{
		"s < :v": func(s string) bool { return s < v }, "s >= :v": func(s string) bool { return s >= v },
		"s > :v": func(s string) bool { return s > v }, "s <= :v": func(s string) bool { return s <= v },
		"begins_with(s, :v)": func(s string) bool { return strings.HasPrefix(s, v) }, "s = :v": func(s string) bool { return s == v },
	}
	condition := rapid.SampledFrom(slices.Sorted(maps.Keys(conditions))).Draw(r, "condition")
	want := s.m.query(p, conditions[condition])
	if !forward {
		slices.Reverse(want)
	}
	got, _ := s.w.walkAll("Query", fmt.Sprintf(`{"TableName":"tab","ScanIndexForward":%v,"Limit":%d,"KeyConditionExpression":"p = :p AND %s",
		"ExpressionAttributeValues":{":p":{"S":%q},":v":{"S":%q}}}`, forward, limit, condition, p, v))
	if !slices.Equal(got, want) {
		r.Fatalf("%s %q: %v, want %v", condition, v, got, want)
	}
}

// check compares all items, and the index, with the model.
func (s *machine) check(r *rapid.T) {
	got, even := model{}, 0
	for _, found := range s.w.page("Scan", `{"TableName":"tab"}`).Items {
		var x int
		if _, err := fmt.Sscan(fmt.Sprint(found["x"]["N"]), &x); err != nil {
			r.Fatal(err)
		}
		got[fmt.Sprintf("%v|%v", found["p"]["S"], found["s"]["S"])] = x
	}
	if !maps.Equal(got, s.m) {
		r.Fatalf("table %v, model %v", got, s.m)
	}
	for _, x := range s.m {
		even += 1 - x%2
	}
	index := s.w.page("Query", `{"TableName":"tab","IndexName":"all","KeyConditionExpression":"g = :g","ExpressionAttributeValues":{":g":{"S":"even"}}}`)
	if index.Count != even || !slices.IsSorted(strings.Fields(index.texts("x"))) {
		r.Fatalf("index %v, want %d in order", index.texts("x"), even)
	}
	// The stream, replayed, is the table.
	replayed := map[string]bool{}
	for _, record := range s.w.service.Stream(tableARN).Records(0, 1<<20) {
		encoded, _ := json.Marshal(record.Change.Keys)
		if record.EventName == "REMOVE" {
			delete(replayed, string(encoded))
			continue
		}
		replayed[string(encoded)] = true
	}
	if len(replayed) != len(s.m) {
		r.Fatalf("the stream leads to %d items, not %d", len(replayed), len(s.m))
	}
}
