package printable

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"
)

const letters = "Zürich 雪 👍 \u00a0!"

// Whatever there is in Unicode and out of it, nothing that a terminal obeys is left, and nothing else changes.
func TestNothingIsObeyed(t *testing.T) {
	var all strings.Builder
	for r := range rune(unicode.MaxRune + 1) {
		all.WriteRune(r)
	}
	text := all.String() + "\x1b\x9b\xff\xc2" // the last ones are no UTF-8
	for _, r := range Line(text) {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			t.Fatalf("%U is left", r)
		}
	}
	for _, r := range Lines(text) {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)) {
			t.Fatalf("%U is left in lines", r)
		}
	}
	for given, want := range map[string]string{
		letters: letters, "a\x1b[2Jb": "a?[2Jb", "a\nb\tc\rd": "a?b?c?d", "\u202eevil\u202c": "?evil?", "\u2066a\u2069": "?a?", "\x7f\u009b1m": "??1m", "a\x9bb": "a\ufffdb",
		"\u2028\u2029\u200b\ufeff\U000e0041": "?????",
	} {
		if got := Line(given); got != want {
			t.Errorf("%q becomes %q", given, got)
		}
	}
	if got := Lines("a\n\tb\r\x1b\u202e"); got != "a\n\tb???" {
		t.Errorf("%q", got)
	}
}

// A document reads the same, though a terminal that shows it obeys nothing.
func TestJSON(t *testing.T) {
	given := []string{letters, "\x1b[2J\x00\r\n\t", "\u202e\u2066\u2028\u2029\u009b\x7f", "\U000e0041", `"\`}
	text, err := json.MarshalIndent(given, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	out := JSON(string(text))
	for _, r := range out {
		if r != '\n' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)) {
			t.Errorf("%U is left", r)
		}
	}
	var got []string
	if err := json.Unmarshal([]byte(out), &got); err != nil || strings.Join(got, "|") != strings.Join(given, "|") {
		t.Errorf("%v: %q", err, got)
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("no\nsuch\x1b[2J")
	err := Error(cause)
	if err.Error() != "no?such?[2J" || !errors.Is(err, cause) || Error(nil) != nil {
		t.Errorf("%q", err)
	}
}
