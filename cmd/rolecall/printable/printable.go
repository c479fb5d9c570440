// Package printable keeps text that others wrote from doing anything to a terminal but to be read: no escape sequences, no
// lines of its own, no letters in another order than they stand in.
package printable

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
)

// Line is text in one line, with a question mark for each character that a terminal would obey or not show.
func Line(text string) string {
	return strings.Map(func(r rune) rune {
		if obeyed(r) {
			return '?'
		}
		return r
	}, text)
}

// Lines is the same for text whose line breaks and tabs are ours.
func Lines(text string) string {
	return strings.Map(func(r rune) rune {
		if obeyed(r) && r != '\n' && r != '\t' {
			return '?'
		}
		return r
	}, text)
}

// JSON is a document of encoding/json with these characters escaped: it reads the same.
func JSON(document string) string {
	var out strings.Builder
	for _, r := range document {
		if !obeyed(r) || r == '\n' {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return out.String()
}

// obeyed tells control characters (C0, DEL, C1) and those that format: bidirectional overrides and isolates, separators of
// lines, and what has no width.
func obeyed(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// Error has the words of err in one line, where others had a part in them; nil for nil.
func Error(err error) error {
	if err == nil {
		return nil
	}
	return foreign{err}
}

type foreign struct{ err error }

func (e foreign) Error() string { return Line(e.err.Error()) }

// Unwrap is the error in its own words.
func (e foreign) Unwrap() error { return e.err }
