package lambda

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
)

// A filter admits a record of an event source: any of its patterns must match. The empty filter admits everything.
type filter []any

// parseFilter reads the patterns of a FilterCriteria. Lambda's event patterns, with the operators that mappings may use:
// exact values, prefix, suffix, anything-but, numeric, exists, equals-ignore-case and $or.
func parseFilter(patterns []string) (filter, error) {
	var f filter
	for _, text := range patterns {
		pattern, err := decodeNumber([]byte(text))
		if err != nil {
			return nil, invalid("Invalid filter pattern definition: %v", err)
		}
		object, ok := pattern.(map[string]any)
		if !ok || len(object) == 0 {
			return nil, invalid("Invalid filter pattern definition: %s is not an object with fields", text)
		}
		if err := checkPattern(object, ""); err != nil {
			return nil, err
		}
		f = append(f, object)
	}
	return f, nil
}

func decodeNumber(text []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	if decoder.More() {
		return nil, fmt.Errorf("more than one JSON value")
	}
	return v, nil
}

func checkPattern(pattern map[string]any, path string) error {
	for _, key := range slices.Sorted(maps.Keys(pattern)) {
		at := path + "." + key
		switch v := pattern[key].(type) {
		case map[string]any:
			if err := checkPattern(v, at); err != nil {
				return err
			}
		case []any:
			if err := checkAlternatives(key, v, at); err != nil {
				return err
			}
		default:
			return invalid("Invalid filter pattern definition: %s must be an object or an array", at)
		}
	}
	return nil
}

func checkAlternatives(key string, list []any, at string) error {
	if len(list) == 0 {
		return invalid("Invalid filter pattern definition: %s is empty", at)
	}
	for _, item := range list {
		object, isObject := item.(map[string]any)
		if key == "$or" {
			if !isObject {
				return invalid("Invalid filter pattern definition: %s must hold objects", at)
			}
			if err := checkPattern(object, at); err != nil {
				return err
			}
			continue
		}
		if _, isArray := item.([]any); isArray {
			return invalid("Invalid filter pattern definition: %s holds an array", at)
		}
		if isObject {
			if err := checkOperator(object, at); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkOperator(operator map[string]any, at string) error {
	if len(operator) != 1 {
		return invalid("Invalid filter pattern definition: %s: an operator has exactly one name", at)
	}
	for name, operand := range operator {
		ok := false
		switch name {
		case "prefix", "suffix", "equals-ignore-case":
			_, ok = operand.(string)
		case "exists":
			_, ok = operand.(bool)
		case "anything-but":
			ok = scalars(operand)
		case "numeric":
			list, isList := operand.([]any)
			ok = isList && numericOK(list)
		default:
			return invalid("Invalid filter pattern definition: %s: the operator %q is not known", at, name)
		}
		if !ok {
			return invalid("Invalid filter pattern definition: %s: operand of %q", at, name)
		}
	}
	return nil
}

// scalars says whether v is a string, number or boolean, or a list of such.
func scalars(v any) bool {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	return len(list) > 0 && !slices.ContainsFunc(list, func(item any) bool {
		switch item.(type) {
		case string, json.Number, bool:
			return false
		default:
			return true
		}
	})
}

func numericOK(list []any) bool {
	if len(list) != 2 && len(list) != 4 {
		return false
	}
	for i := 0; i < len(list); i += 2 {
		operator, _ := list[i].(string)
		_, number := list[i+1].(json.Number)
		if !number || !slices.Contains([]string{"=", "<", "<=", ">", ">="}, operator) {
			return false
		}
	}
	return true
}

// admits says whether a record (as decodeNumber reads it) matches.
func (f filter) admits(value any) bool {
	if len(f) == 0 {
		return true
	}
	return slices.ContainsFunc(f, func(pattern any) bool {
		object, ok := pattern.(map[string]any)
		return ok && matchObject(object, value)
	})
}

func matchObject(pattern map[string]any, value any) bool {
	object, _ := value.(map[string]any) // a nil map has no fields
	for key, want := range pattern {
		if key == "$or" {
			list, _ := want.([]any)
			if !filter(list).admits(value) {
				return false
			}
			continue
		}
		got, exists := object[key]
		switch want := want.(type) {
		case map[string]any:
			if !matchObject(want, got) {
				return false
			}
		case []any:
			if !matchAny(want, got, exists) {
				return false
			}
		}
	}
	return true
}

// matchAny says whether one of the alternatives matches; of an array, any element may.
func matchAny(alternatives []any, got any, exists bool) bool {
	return slices.ContainsFunc(alternatives, func(want any) bool {
		if operator, ok := want.(map[string]any); ok {
			if e, ok := operator["exists"].(bool); ok {
				_, isObject := got.(map[string]any) // exists asks for leaves only
				return e == (exists && !isObject)
			}
		}
		if !exists {
			return false
		}
		if list, ok := got.([]any); ok {
			return slices.ContainsFunc(list, func(item any) bool { return matchValue(want, item) })
		}
		return matchValue(want, got)
	})
}

func matchValue(want, got any) bool {
	operator, ok := want.(map[string]any)
	if !ok {
		return equalValue(want, got)
	}
	text, isText := got.(string)
	for name, operand := range operator {
		argument, _ := operand.(string)
		switch name {
		case "prefix":
			return isText && strings.HasPrefix(text, argument)
		case "suffix":
			return isText && strings.HasSuffix(text, argument)
		case "equals-ignore-case":
			return isText && strings.EqualFold(text, argument)
		case "anything-but":
			list, isList := operand.([]any)
			if !isList {
				list = []any{operand}
			}
			return !slices.ContainsFunc(list, func(item any) bool { return equalValue(item, got) })
		case "numeric":
			list, _ := operand.([]any)
			return matchNumeric(list, got)
		}
	}
	return false
}

func equalValue(want, got any) bool {
	a, isNumber := want.(json.Number)
	if !isNumber {
		return want == got // want is a scalar or nil, so this never compares maps
	}
	b, ok := got.(json.Number)
	if !ok {
		return false
	}
	c, ok := compare(b, a)
	return ok && c == 0
}

func matchNumeric(conditions []any, got any) bool {
	number, ok := got.(json.Number)
	if !ok {
		return false
	}
	for i := 0; i+1 < len(conditions); i += 2 {
		bound, _ := conditions[i+1].(json.Number)
		c, ok := compare(number, bound)
		if !ok {
			return false
		}
		holds := map[any]bool{"=": c == 0, "<": c < 0, "<=": c <= 0, ">": c > 0, ">=": c >= 0}
		if !holds[conditions[i]] {
			return false
		}
	}
	return true
}

// compare orders two JSON numbers exactly.
func compare(a, b json.Number) (int, bool) {
	// SetString on an exponent like 1e999999999 would build the number in full.
	if len(a) > 64 || len(b) > 64 || strings.ContainsAny(a.String()+b.String(), "eE") {
		x, errX := a.Float64()
		y, errY := b.Float64()
		return big.NewFloat(x).Cmp(big.NewFloat(y)), errX == nil && errY == nil
	}
	x, okX := new(big.Rat).SetString(a.String())
	y, okY := new(big.Rat).SetString(b.String())
	if !okX || !okY {
		return 0, false
	}
	return x.Cmp(y), true
}
