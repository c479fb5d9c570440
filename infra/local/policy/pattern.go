package policy

import (
	"strings"
	"unicode/utf8"
)

type kind int

const (
	literal kind = iota
	quoted       // a literal that came out of a variable: never a wildcard, never a separator of an ARN
	anyRun       // *
	anyOne       // ?
)

type token struct {
	kind kind
	r    rune
}

type pattern []token

// compile makes a pattern of a policy's text: variables are replaced (2012-10-17 only), * and ? become wildcards where
// wild is set. It is false where a variable has no value in the request, which makes the text match nothing.
func (e *evaluation) compile(text string, wild bool) (pattern, bool) {
	var p pattern
	for text != "" {
		if name, rest, ok := variable(text); ok && e.variables {
			value, ok := e.value(name)
			if !ok {
				return nil, false
			}
			for _, r := range value {
				p = append(p, token{quoted, r})
			}
			text = rest
			continue
		}
		r, size := utf8.DecodeRuneInString(text)
		p = append(p, token{kindOf(r, wild), r})
		text = text[size:]
	}
	return p, true
}

func kindOf(r rune, wild bool) kind {
	switch {
	case wild && r == '*':
		return anyRun
	case wild && r == '?':
		return anyOne
	}
	return literal
}

// variable splits "${name}rest".
func variable(text string) (name, rest string, ok bool) {
	if !strings.HasPrefix(text, "${") {
		return "", "", false
	}
	return strings.Cut(text[2:], "}")
}

// value is what a policy variable stands for: ${*}, ${?} and ${$} are these characters, ${key, 'x'} has a default.
func (e *evaluation) value(name string) (string, bool) {
	if name == "*" || name == "?" || name == "$" {
		return name, true
	}
	key, def, hasDefault := strings.Cut(name, ",")
	if values := e.context[strings.ToLower(strings.TrimSpace(key))]; len(values) == 1 {
		return values[0], true
	}
	def = strings.TrimSpace(def)
	if !hasDefault || len(def) < 2 || def[0] != '\'' || def[len(def)-1] != '\'' {
		return "", false
	}
	return def[1 : len(def)-1], true
}

// matches compares with backtracking to the last star only, so its worst case is len(p)·len(text).
func (p pattern) matches(text string) bool {
	t := []rune(text)
	i, j, star, mark := 0, 0, -1, 0
	for j < len(t) {
		switch {
		case i < len(p) && p[i].kind == anyRun:
			star, mark = i, j
			i++
		case i < len(p) && (p[i].kind == anyOne || p[i].r == t[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i].kind == anyRun {
		i++
	}
	return i == len(p)
}

const arnParts = 6

// split cuts a pattern at its first five colons, as an ARN is cut.
func (p pattern) split() []pattern {
	var parts []pattern
	start := 0
	for i, t := range p {
		if t.kind == literal && t.r == ':' && len(parts) < arnParts-1 {
			parts = append(parts, p[start:i])
			start = i + 1
		}
	}
	return append(parts, p[start:])
}

func (p pattern) star() bool { return len(p) == 1 && p[0].kind == anyRun }

// matchesARN compares part by part, so that a star in one part does not reach into the next. A pattern with fewer than
// six parts is filled up with stars if fill is set (Resource elements), and matches nothing otherwise (Arn operators).
func (p pattern) matchesARN(text string, fill bool) bool {
	if p.star() {
		return true
	}
	have := strings.SplitN(text, ":", arnParts)
	want := p.split()
	if len(have) < arnParts || len(want) < arnParts && !fill {
		return false
	}
	for i, w := range want {
		if !w.matches(have[i]) {
			return false
		}
	}
	return true
}
