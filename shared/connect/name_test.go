package connect_test

import (
	"testing"

	"rolecall/shared/connect"
)

func TestNames(t *testing.T) {
	for _, bad := range []string{
		"", " x", "x ", "a\x00b", "a\u0085b", "a\u200bb", "a\u202eb", "Ac\u00adme", "Ac\u034fme", "Acme\u3164", "Acme\u180e", "Acme\ufe0f",
		"Acme\U000e0041", "\u2800", "\ue000", "a\u2028b", "a\ufeffb", "a\xffb",
	} {
		if n, err := connect.ParseName(bad); err == nil {
			t.Errorf("%q is admitted as %q", bad, n)
		}
	}
	for _, good := range []string{"Production", "Straße 1", "本番環境", "Ünïcödé", "a", "x (eu-west-1) #2", "🚀 rocket"} {
		if _, err := connect.ParseName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, pair := range [][2]string{
		{"Acme", "ACME"}, {"Straße", "STRASSE"}, {"ＡＣＭＥ", "acme"}, {"é", "e\u0301"}, {"İstanbul", "i\u0307stanbul"}, {"ΟΔΟΣ", "οδος"}, {"ﬁn", "FIN"},
	} {
		if a, b := connect.Name(pair[0]).Folded(), connect.Name(pair[1]).Folded(); a != b {
			t.Errorf("%q and %q fold to %q and %q", pair[0], pair[1], a, b)
		}
	}
}
