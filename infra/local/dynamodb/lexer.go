package dynamodb

import (
	"strings"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenWord
	tokenName   // #name
	tokenValue  // :value
	tokenNumber // a list index
	tokenSign   // punctuation and comparators
	tokenBad
)

type token struct {
	kind       tokenKind
	text       string
	start, end int
}

// is tells whether the token is the punctuation or, in any case, the keyword given.
func (t token) is(text string) bool {
	if t.kind == tokenSign {
		return t.text == text
	}
	return t.kind == tokenWord && strings.EqualFold(t.text, text)
}

// shown is the token as a syntax error names it.
func (t token) shown() string {
	if t.kind == tokenEnd {
		return "<EOF>"
	}
	return t.text
}

// lex splits an expression in one pass; the last token is a tokenEnd.
func lex(text string) []token {
	var tokens []token
	for at := 0; ; {
		for at < len(text) && strings.IndexByte(" \t\r\n", text[at]) >= 0 {
			at++
		}
		if at == len(text) {
			return append(tokens, token{kind: tokenEnd, start: at, end: at})
		}
		kind, length := nextToken(text[at:])
		tokens = append(tokens, token{kind: kind, text: text[at : at+length], start: at, end: at + length})
		at += length
	}
}

func nextToken(text string) (tokenKind, int) {
	c := text[0]
	switch {
	case isDigit(c):
		return tokenNumber, span(text, isDigit)
	case isNamePart(c):
		return tokenWord, span(text, isNamePart)
	case c == '#' || c == ':':
		return placeholder(text)
	case strings.HasPrefix(text, "<>") || strings.HasPrefix(text, "<=") || strings.HasPrefix(text, ">="):
		return tokenSign, 2
	case strings.IndexByte("()[],.=<>+-", c) >= 0:
		return tokenSign, 1
	}
	_, size := utf8.DecodeRuneInString(text)
	return tokenBad, size
}

func placeholder(text string) (tokenKind, int) {
	length := 1 + span(text[1:], isNamePart)
	switch {
	case length == 1:
		return tokenBad, 1
	case text[0] == '#':
		return tokenName, length
	}
	return tokenValue, length
}

func span(text string, in func(byte) bool) int {
	for i := range len(text) {
		if !in(text[i]) {
			return i
		}
	}
	return len(text)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isNamePart(c byte) bool {
	return isDigit(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
}
