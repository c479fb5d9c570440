package connect_test

import (
	"strings"
	"testing"

	"rolecall/shared/connect"
)

func TestRepeatedMember(t *testing.T) {
	same := func(s string) string { return s }
	deep := strings.Repeat(`{"member":[`, 100) + `{"x":1,"x":2}` + strings.Repeat("]}", 100)
	for document, want := range map[string]string{
		`{"a":1,"a":2}`:                      "a",
		`{"":1,"":2}`:                        "",
		`{"a":{"b":[0,{"c":{},"c":[]}]}}`:    "a.b[1].c",
		`[[1],[{"a":1,"b":[{}],"a":1}]]`:     "[1][0].a",
		`{"a":"b","b":{"a":"a","\u0061":1}}`: "b.a",
		deep:                                 strings.Repeat("member[0].", 6) + "memb",
	} {
		if got, found := connect.RepeatedMember([]byte(document), same); !found || got != want {
			t.Errorf("%.60s: %q, %t", document, got, found)
		}
	}
	for _, document := range []string{
		`{}`, `[]`, `1`, `"a"`, `null`, `{"a":"a","b":"a","A":1}`, `[{"a":1},{"a":1}]`, `{"a":{"a":{"a":["a","a"]}}}`,
		``, `{"a":1,"a":2`, `{"a":1,"a":2}}`, strings.Repeat("[", 30_000),
	} {
		if got, found := connect.RepeatedMember([]byte(document), same); found {
			t.Errorf("%.60s: %q", document, got)
		}
	}
	if got, found := connect.RepeatedMember([]byte(`{"Ab":{"c":1},"aB":1}`), strings.ToLower); !found || got != "aB" {
		t.Errorf("%q, %t", got, found)
	}
}
