package token

import (
	"encoding/base64"
	"fmt"
	"testing"
)

// FuzzParse holds that a token has one spelling: what parses is, letter for letter, what would be given out.
func FuzzParse(f *testing.F) {
	mac := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	for _, s := range []string{
		"1." + mac, "2147483648." + mac, "01." + mac, "+1." + mac, "1." + mac + "=", "1.\n" + mac, "1." + mac[:42] + "B", "1.", ".", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		launch, mac, ok := parse(s)
		if !ok {
			return
		}
		if launch < 1 || len(mac) != 32 {
			t.Fatalf("launch %d with a MAC of %d bytes", launch, len(mac))
		}
		if again := fmt.Sprintf("%d.%s", launch, base64.RawURLEncoding.EncodeToString(mac)); again != s {
			t.Fatalf("%q is a second spelling of %q", s, again)
		}
	})
}
