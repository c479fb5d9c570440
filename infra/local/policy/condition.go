package policy

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

type quantifier int

const (
	plain quantifier = iota
	forAll
	forAny
)

// An operator is a condition operator with its prefix and suffix taken apart.
type operator struct {
	quantifier quantifier
	ifExists   bool
	null       bool
	negated    bool // holds if none of the policy's values matches
	match      func(e *evaluation, want, got string) bool
}

func operatorNamed(name string) (operator, bool) {
	var op operator
	if rest, ok := strings.CutPrefix(name, "ForAllValues:"); ok {
		op.quantifier, name = forAll, rest
	} else if rest, ok := strings.CutPrefix(name, "ForAnyValue:"); ok {
		op.quantifier, name = forAny, rest
	}
	name, op.ifExists = strings.CutSuffix(name, "IfExists")
	if name == "Null" {
		op.null = true
		return op, !op.ifExists
	}
	op.match, op.negated = comparison(name)
	return op, op.match != nil
}

func comparison(name string) (match func(e *evaluation, want, got string) bool, negated bool) {
	switch name {
	case "StringEquals":
		return stringEquals, false
	case "StringNotEquals":
		return stringEquals, true
	case "StringEqualsIgnoreCase":
		return stringEqualsIgnoreCase, false
	case "StringNotEqualsIgnoreCase":
		return stringEqualsIgnoreCase, true
	case "StringLike":
		return stringLike, false
	case "StringNotLike":
		return stringLike, true
	case "ArnEquals", "ArnLike":
		return arnLike, false
	case "ArnNotEquals", "ArnNotLike":
		return arnLike, true
	case "Bool":
		return stringEqualsIgnoreCase, false
	case "BinaryEquals":
		return binaryEquals, false
	case "IpAddress":
		return ipAddress, false
	case "NotIpAddress":
		return ipAddress, true
	}
	if rest, ok := strings.CutPrefix(name, "Numeric"); ok {
		return ordered(rest, number)
	}
	if rest, ok := strings.CutPrefix(name, "Date"); ok {
		return ordered(rest, date)
	}
	return nil, false
}

// conditions is the AND over all operators and keys of a statement.
func (e *evaluation) conditions(s *Statement) bool {
	for name, keys := range s.Conditions {
		op, ok := operatorNamed(name)
		if !ok {
			return false
		}
		for key, want := range keys {
			if !op.holds(e, want, e.context[strings.ToLower(key)]) {
				return false
			}
		}
	}
	return true
}

// holds compares the policy's values with the request's. A key that the request lacks satisfies negated operators,
// …IfExists and ForAllValues, and nothing else.
func (op operator) holds(e *evaluation, want, got []string) bool {
	if op.null {
		return nullHolds(want, len(got) == 0)
	}
	if len(got) == 0 {
		return op.ifExists || op.quantifier == forAll || op.quantifier == plain && op.negated
	}
	all := op.quantifier == forAll || op.quantifier == plain && op.negated
	for _, g := range got {
		if op.satisfied(e, want, g) != all {
			return !all
		}
	}
	return all
}

func (op operator) satisfied(e *evaluation, want []string, got string) bool {
	for _, w := range want {
		if op.match(e, w, got) {
			return !op.negated
		}
	}
	return op.negated
}

func nullHolds(want []string, missing bool) bool {
	for _, w := range want {
		if strings.EqualFold(w, strconv.FormatBool(missing)) {
			return true
		}
	}
	return false
}

func (e *evaluation) expand(text string) (string, bool) {
	p, ok := e.compile(text, false)
	if !ok {
		return "", false
	}
	var b strings.Builder
	for _, t := range p {
		b.WriteRune(t.r)
	}
	return b.String(), true
}

func stringEquals(e *evaluation, want, got string) bool {
	w, ok := e.expand(want)
	return ok && w == got
}

func stringEqualsIgnoreCase(e *evaluation, want, got string) bool {
	w, ok := e.expand(want)
	return ok && strings.EqualFold(w, got)
}

func stringLike(e *evaluation, want, got string) bool {
	p, ok := e.compile(want, true)
	return ok && p.matches(got)
}

// arnLike serves ArnEquals too: IAM treats them alike.
func arnLike(e *evaluation, want, got string) bool {
	p, ok := e.compile(want, true)
	return ok && p.matchesARN(got, false)
}

func binaryEquals(_ *evaluation, want, got string) bool {
	w, errWant := base64.StdEncoding.DecodeString(want)
	g, errGot := base64.StdEncoding.DecodeString(got)
	return errWant == nil && errGot == nil && bytes.Equal(w, g)
}

func ipAddress(_ *evaluation, want, got string) bool {
	addr, err := netip.ParseAddr(got)
	if err != nil {
		return false
	}
	if !strings.Contains(want, "/") {
		w, err := netip.ParseAddr(want)
		return err == nil && w.Unmap() == addr.Unmap()
	}
	prefix, err := netip.ParsePrefix(want)
	return err == nil && prefix.Contains(addr.Unmap())
}

// ordered makes a comparison of values that parse reads; what it cannot read matches nothing.
func ordered(relation string, parse func(string) (float64, bool)) (match func(e *evaluation, want, got string) bool, negated bool) {
	holds, negated := relationNamed(relation)
	if holds == nil {
		return nil, false
	}
	return func(e *evaluation, want, got string) bool {
		text, ok := e.expand(want)
		if !ok {
			return false
		}
		w, okWant := parse(text)
		g, okGot := parse(got)
		return okWant && okGot && holds(cmp.Compare(g, w))
	}, negated
}

func relationNamed(name string) (holds func(order int) bool, negated bool) {
	switch name {
	case "Equals":
		return func(o int) bool { return o == 0 }, false
	case "NotEquals":
		return func(o int) bool { return o == 0 }, true
	case "LessThan":
		return func(o int) bool { return o < 0 }, false
	case "LessThanEquals":
		return func(o int) bool { return o <= 0 }, false
	case "GreaterThan":
		return func(o int) bool { return o > 0 }, false
	case "GreaterThanEquals":
		return func(o int) bool { return o >= 0 }, false
	}
	return nil, false
}

func number(text string) (float64, bool) {
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil && !math.IsNaN(n)
}

// date reads ISO 8601 or seconds since 1970, as seconds.
func date(text string) (float64, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return float64(t.UnixMilli()) / 1000, true
		}
	}
	return number(text)
}
