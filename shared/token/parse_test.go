package token

import (
	"encoding/base64"
	"testing"
)

// FuzzParse holds that a token has one spelling: what parses is, letter for letter, what would be given out.
func FuzzParse(f *testing.F) {
	mac := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	for _, s := range []string{
		"1." + mac, "2147483648." + mac, "01." + mac, "+1." + mac, "1." + mac + "=", "1.\n" + mac, "1." + mac[:42] + "B", "1.", ".", "",
		"1.2." + mac, "1.1." + mac, "1.02." + mac, "e." + mac, "e.2." + mac, "1.2.3." + mac,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, ok := parse(s)
		if !ok {
			return
		}
		if p.key < 1 || len(p.mac) != 32 {
			t.Fatalf("key %d with a MAC of %d bytes", p.key, len(p.mac))
		}
		if p.String() != s {
			t.Fatalf("%q is a second spelling of %q", s, p.String())
		}
		if launch, ok := number(p.subject); ok && (launch < 1 || p.subject == enrolmentSubject) {
			t.Fatalf("launch %d", launch)
		}
	})
}
