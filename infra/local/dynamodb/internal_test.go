package dynamodb

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestTreeAgainstSortedSlice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		var tr tree
		present := map[int]bool{}
		for range rapid.IntRange(0, 3000).Draw(r, "writes") {
			n := rapid.IntRange(0, 800).Draw(r, "n")
			k := key{sort: fmt.Sprintf("%04d", n)}
			if rapid.IntRange(0, 2).Draw(r, "remove") == 0 {
				tr.remove(k)
				delete(present, n)
				continue
			}
			tr.set(k, &record{size: n})
			present[n] = true
		}
		var want []int
		for n := range present {
			want = append(want, n)
		}
		slices.Sort(want)
		from := rapid.IntRange(0, 800).Draw(r, "from")
		at := fmt.Sprintf("%04d", from)
		var up, down []int
		tr.ascend(func(k key) bool { return k.sort < at }, func(e entry) bool { up = append(up, e.record.size); return true })
		tr.descend(func(k key) bool { return k.sort >= at }, func(e entry) bool { down = append(down, e.record.size); return true })
		slices.Reverse(down)
		if got := slices.Concat(down, up); !slices.Equal(got, want) || tr.count != len(want) {
			r.Fatalf("got %v (%d), want %v", got, tr.count, want)
		}
		if (tr.get(key{sort: at}) != nil) != present[from] {
			r.Fatalf("get %d: want %v", from, present[from])
		}
	})
}

// Three levels and more: the model above stays with two.
func TestTreeGrowsAndShrinks(t *testing.T) {
	t.Parallel()
	const count = 20_011 // a prime, so that multiplying by any step visits all
	at := func(i int) key { return key{sort: fmt.Sprintf("%06d", i)} }
	for _, step := range []int{1, 7919, count - 1} {
		var tr tree
		for i := range count {
			tr.set(at(i*step%count), &record{size: i * step % count})
		}
		left := count
		for i := range count {
			tr.remove(at(i * 104729 % count))
			if left--; left%4_000 == 0 && !inOrder(&tr, left) {
				t.Fatalf("step %d: out of order or not %d entries", step, left)
			}
		}
		if tr.root != nil || tr.count != 0 {
			t.Errorf("step %d: %d entries are left", step, tr.count)
		}
	}
}

func inOrder(tr *tree, want int) bool {
	last, seen := -1, 0
	tr.ascend(func(key) bool { return false }, func(e entry) bool {
		ok := e.record.size > last
		last = e.record.size
		seen++
		return ok
	})
	down := 0
	tr.descend(func(key) bool { return false }, func(e entry) bool {
		ok := e.record.size <= last
		last = e.record.size
		down++
		return ok
	})
	return seen == want && down == want && tr.count == want
}

func rational(text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		panic(text)
	}
	return r
}

func TestNumbersAgainstRationals(t *testing.T) {
	t.Parallel()
	text := rapid.Custom(func(r *rapid.T) string {
		return rapid.StringMatching(`-?[0-9]{1,18}(\.[0-9]{1,18})?(e-?[0-9]{1,2})?`).Draw(r, "number")
	})
	rapid.Check(t, func(r *rapid.T) {
		x, y := text.Draw(r, "x"), text.Draw(r, "y")
		a, problem := parseNumber(x)
		if problem != "" {
			r.Fatal(x, problem)
		}
		b, problem := parseNumber(y)
		if problem != "" {
			r.Fatal(y, problem)
		}
		if rational(a.String()).Cmp(rational(x)) != 0 {
			r.Fatalf("%s became %s", x, a)
		}
		if got, want := strings.Compare(a.sortable(), b.sortable()), rational(x).Cmp(rational(y)); got != want {
			r.Fatalf("%s and %s compare as %d, want %d", x, y, got, want)
		}
		sum, problem := addNumbers(a, b)
		exact := new(big.Rat).Add(rational(x), rational(y))
		if problem == "" && rational(sum.String()).Cmp(exact) != 0 {
			r.Fatalf("%s + %s = %s", x, y, sum)
		}
		if problem != "" && len(sum.digits) <= maxDigits {
			r.Fatalf("%s + %s: %s", x, y, problem)
		}
	})
}

// FuzzExpressions feeds all parsers; what they accept must also evaluate without trouble.
func FuzzExpressions(f *testing.F) {
	for _, seed := range []string{
		"a = :v AND NOT (b IN (:v, c) OR size(d[2].#n) BETWEEN :v AND :w)", "SET a = if_not_exists(a, :v) + :w REMOVE b[1] ADD c :w DELETE d :s",
		"a, b.c[0], #n", "((((", "NOT NOT NOT a", "a[99999999999999999999]", "contains(a, :v) <> b", "SET a.b = list_append(a, b), l[3] = :v",
		"a BETWEEN :v AND :w AND begins_with(l[0], :v)", "#", ":", "a = \xff", strings.Repeat("NOT ", 900) + "a = :v",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		item := Item{
			"a": {kind: kindString, text: "x"}, "b": {kind: kindList, rest: []Value{{kind: kindNull}, {kind: kindBool}}},
			"c": {kind: kindNumber, text: "1"}, "d": {kind: kindStringSet, rest: []string{"x"}},
			"l": {kind: kindList, rest: []Value{{kind: kindMap, rest: map[string]Value{"n": {kind: kindNumber, text: "2"}}}}},
			"m": {kind: kindMap, rest: map[string]Value{"n": {kind: kindList, rest: []Value{}}}},
		}
		before, _ := Value{kind: kindMap, rest: map[string]Value(item)}.MarshalJSON()
		n := newNames(map[string]string{"#n": "n"}, map[string]Value{
			":v": {kind: kindString, text: "x"}, ":w": {kind: kindNumber, text: "3"}, ":s": {kind: kindStringSet, rest: []string{"x"}},
		})
		if c, err := parseCondition("ConditionExpression", text, n); err == nil {
			c.holds(item)
			_, _ = readKeyConditions(c)
			eachPath(c, func(path) {})
		}
		if p, err := parseProjection(text, n); err == nil {
			p.project(item)
		}
		if u, err := parseUpdate(text, n); err == nil {
			if updated, err := u.apply(item); err == nil && updated.problem() != "" {
				t.Fatalf("%q left an invalid attribute: %s", text, updated.problem())
			}
		}
		after, _ := Value{kind: kindMap, rest: map[string]Value(item)}.MarshalJSON()
		if string(before) != string(after) {
			t.Fatalf("%q changed the stored item:\n%s\n%s", text, before, after)
		}
	})
}
