package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"strings"
)

// A Pattern is a parsed event pattern. The zero Pattern matches nothing; [ParsePattern] makes one.
type Pattern struct {
	root matcher
}

// matcher looks at the value at one place of an event; there is false where the event has no such place.
type matcher interface {
	matches(value any, there bool) bool
}

// ParsePattern reads an event pattern. It knows exact values, prefix, suffix, anything-but, exists, numeric,
// equals-ignore-case, wildcard and $or, at any depth; anything else is an error that names it.
func ParsePattern(text []byte) (Pattern, error) {
	value, err := decodeJSON(text)
	if err != nil {
		return Pattern{}, fmt.Errorf("it is not JSON: %w", err)
	}
	fields, ok := value.(map[string]any)
	if !ok || len(fields) == 0 {
		return Pattern{}, errors.New("it must be a JSON object with at least one field")
	}
	root, err := parseObject(fields, "")
	return Pattern{root}, err
}

// Matches tells whether an event, as JSON, fits the pattern.
func (p Pattern) Matches(event []byte) bool {
	value, err := decodeJSON(event)
	return err == nil && p.root != nil && p.root.matches(value, true)
}

// decodeJSON keeps numbers as they are written: EventBridge compares them so.
func decodeJSON(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something after the value")
	}
	return value, nil
}

// object wants every field to match.
type object struct {
	fields map[string]matcher
	either [][]matcher // $or: of each list, one must match
}

func (o object) matches(value any, there bool) bool {
	if list, ok := value.([]any); ok { // of an array of objects, one must fit as a whole
		return slices.ContainsFunc(list, func(item any) bool { return o.matches(item, true) })
	}
	fields, ok := value.(map[string]any)
	if there && !ok {
		return false
	}
	for name, m := range o.fields {
		inner, has := fields[name]
		if !m.matches(inner, has) {
			return false
		}
	}
	for _, choices := range o.either {
		if !slices.ContainsFunc(choices, func(m matcher) bool { return m.matches(value, there) }) {
			return false
		}
	}
	return true
}

func parseObject(fields map[string]any, path string) (matcher, error) {
	if len(fields) == 0 {
		return nil, fmt.Errorf("the object at %q is empty", path)
	}
	o := object{fields: map[string]matcher{}}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		at := strings.TrimPrefix(path+"."+name, ".")
		if choices, ok := alternatives(name, fields[name]); ok {
			either, err := parseChoices(choices, at)
			if err != nil {
				return nil, err
			}
			o.either = append(o.either, either)
			continue
		}
		m, err := parseField(fields[name], at)
		if err != nil {
			return nil, err
		}
		o.fields[name] = m
	}
	return o, nil
}

// alternatives: "$or" is a choice where it holds two objects or more, and an ordinary field otherwise.
func alternatives(name string, value any) ([]map[string]any, bool) {
	list, ok := value.([]any)
	if name != "$or" || !ok || len(list) < 2 {
		return nil, false
	}
	choices := make([]map[string]any, 0, len(list))
	for _, item := range list {
		choice, ok := item.(map[string]any)
		if !ok {
			return nil, false
		}
		choices = append(choices, choice)
	}
	return choices, true
}

func parseChoices(choices []map[string]any, path string) ([]matcher, error) {
	out := make([]matcher, 0, len(choices))
	for _, choice := range choices {
		m, err := parseObject(choice, path)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func parseField(value any, path string) (matcher, error) {
	switch v := value.(type) {
	case map[string]any:
		return parseObject(v, path)
	case []any:
		return parseLeaf(v, path)
	}
	return nil, fmt.Errorf("%q must be an object or an array", path)
}

// leaf wants one of its tests to hold; of an array in the event, one item must pass.
type leaf struct {
	tests []test
	gone  bool // {"exists": false} is among the alternatives
}

// test looks at one value that is no array and no object.
type test func(value any) bool

func (l leaf) matches(value any, there bool) bool {
	if !there {
		return l.gone
	}
	switch v := value.(type) {
	case map[string]any:
		return l.gone // patterns look at leaves only: an object is as good as nothing
	case []any:
		if len(v) == 0 {
			return l.gone
		}
		return slices.ContainsFunc(v, func(item any) bool { return l.matches(item, true) })
	}
	return slices.ContainsFunc(l.tests, func(t test) bool { return t(value) })
}

func parseLeaf(items []any, path string) (matcher, error) {
	if len(items) == 0 {
		return nil, fmt.Errorf("the array at %q is empty", path)
	}
	var l leaf
	for _, item := range items {
		filter, ok := item.(map[string]any)
		if !ok {
			if _, nested := item.([]any); nested {
				return nil, fmt.Errorf("%q holds an array in an array", path)
			}
			l.tests = append(l.tests, exactly(item))
			continue
		}
		if err := l.add(filter, path); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *leaf) add(filter map[string]any, path string) error {
	name, operand, err := only(filter, path)
	if err != nil {
		return err
	}
	if name != "exists" {
		t, err := parseTest(name, operand, path)
		l.tests = append(l.tests, t)
		return err
	}
	wanted, ok := operand.(bool)
	if !ok {
		return fmt.Errorf("exists at %q must be true or false", path)
	}
	if wanted {
		l.tests = append(l.tests, func(any) bool { return true })
		return nil
	}
	l.gone = true
	return nil
}

// only answers the single member of a filter such as {"prefix": "x"}.
func only(filter map[string]any, path string) (string, any, error) {
	if len(filter) != 1 {
		return "", nil, fmt.Errorf("the filter at %q must have exactly one member", path)
	}
	for name, operand := range filter {
		return name, operand, nil
	}
	return "", nil, nil
}

func parseTest(name string, operand any, path string) (test, error) {
	switch name {
	case "prefix", "suffix", "equals-ignore-case", "wildcard":
		return parseText(name, operand, path)
	case "anything-but":
		return parseAnythingBut(operand, path)
	case "numeric":
		return parseNumeric(operand, path)
	}
	return nil, fmt.Errorf("unrecognized match type %s at %q", name, path)
}

func exactly(want any) test { return func(value any) bool { return value == want } }

func parseText(name string, operand any, path string) (test, error) {
	change := func(s string) string { return s }
	if inner, ok := operand.(map[string]any); ok && (name == "prefix" || name == "suffix") {
		fold, text, err := only(inner, path)
		if err != nil || fold != "equals-ignore-case" {
			return nil, fmt.Errorf("%s at %q takes a string or equals-ignore-case", name, path)
		}
		change, operand = strings.ToLower, text
	}
	want, ok := operand.(string)
	if !ok {
		return nil, fmt.Errorf("%s at %q must be a string", name, path)
	}
	if name == "wildcard" && strings.Contains(strings.ReplaceAll(want, `\*`, ""), "**") {
		return nil, fmt.Errorf("wildcard at %q has two wildcards side by side", path)
	}
	holds := map[string]func(value, want string) bool{
		"prefix": strings.HasPrefix, "suffix": strings.HasSuffix, "equals-ignore-case": strings.EqualFold, "wildcard": wildcard,
	}[name]
	want = change(want)
	return func(value any) bool {
		text, ok := value.(string)
		return ok && holds(change(text), want)
	}, nil
}

// wildcard matches * against any text; \* and \\ stand for themselves.
func wildcard(text, pattern string) bool {
	parts := []string{""}
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\' && i+1 < len(pattern):
			i++
			parts[len(parts)-1] += pattern[i : i+1]
		case c == '*':
			parts = append(parts, "")
		default:
			parts[len(parts)-1] += pattern[i : i+1]
		}
	}
	if len(parts) == 1 {
		return text == parts[0]
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	rest := text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(rest, part)
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
	}
	return true
}

func parseAnythingBut(operand any, path string) (test, error) {
	if filter, ok := operand.(map[string]any); ok {
		return parseNoneOf(filter, path)
	}
	unwanted, ok := operand.([]any)
	if !ok {
		unwanted = []any{operand}
	}
	for _, item := range unwanted {
		switch item.(type) {
		case string, json.Number:
		default:
			return nil, fmt.Errorf("anything-but at %q takes strings and numbers", path)
		}
	}
	if len(unwanted) == 0 {
		return nil, fmt.Errorf("anything-but at %q is empty", path)
	}
	return func(value any) bool { return !slices.Contains(unwanted, value) }, nil
}

// parseNoneOf reads {"anything-but": {"prefix": "x"}} and its kin, with one operand or a list.
func parseNoneOf(filter map[string]any, path string) (test, error) {
	name, operand, err := only(filter, path)
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"prefix", "suffix", "equals-ignore-case", "wildcard"}, name) {
		return nil, fmt.Errorf("unrecognized match type %s in anything-but at %q", name, path)
	}
	operands, ok := operand.([]any)
	if !ok {
		operands = []any{operand}
	}
	var unwanted []test
	for _, one := range operands {
		t, err := parseText(name, one, path)
		if err != nil {
			return nil, err
		}
		unwanted = append(unwanted, t)
	}
	return func(value any) bool {
		return !slices.ContainsFunc(unwanted, func(t test) bool { return t(value) })
	}, nil
}

// parseNumeric reads {"numeric": [">", 0, "<=", 5]}.
func parseNumeric(operand any, path string) (test, error) {
	items, ok := operand.([]any)
	if !ok || len(items) != 2 && len(items) != 4 {
		return nil, fmt.Errorf("numeric at %q must be an array of one or two comparisons", path)
	}
	var bounds []func(order *big.Float) bool
	for i := 0; i < len(items); i += 2 {
		bound, err := parseBound(items[i], items[i+1], path)
		if err != nil {
			return nil, err
		}
		bounds = append(bounds, bound)
	}
	return func(value any) bool {
		n, ok := number(value)
		return ok && !slices.ContainsFunc(bounds, func(holds func(*big.Float) bool) bool { return !holds(n) })
	}, nil
}

func parseBound(operator, operand any, path string) (func(*big.Float) bool, error) {
	limit, ok := number(operand)
	if !ok {
		return nil, fmt.Errorf("numeric at %q compares with numbers only", path)
	}
	switch operator {
	case "<":
		return func(n *big.Float) bool { return n.Cmp(limit) < 0 }, nil
	case "<=":
		return func(n *big.Float) bool { return n.Cmp(limit) <= 0 }, nil
	case ">":
		return func(n *big.Float) bool { return n.Cmp(limit) > 0 }, nil
	case ">=":
		return func(n *big.Float) bool { return n.Cmp(limit) >= 0 }, nil
	case "=":
		return func(n *big.Float) bool { return n.Cmp(limit) == 0 }, nil
	}
	return nil, fmt.Errorf("numeric at %q does not know %v", path, operator)
}

func number(value any) (*big.Float, bool) {
	written, ok := value.(json.Number)
	if !ok {
		return nil, false
	}
	n, _, err := big.ParseFloat(written.String(), 10, 128, big.ToNearestEven)
	return n, err == nil
}
