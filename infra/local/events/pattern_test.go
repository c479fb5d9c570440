package events_test

import (
	"fmt"
	"strings"
	"testing"

	"rolecall/infra/local/events"
)

func TestPatterns(t *testing.T) {
	const event = `{
		"source": "rolecall", "detail-type": "Connection enabled", "resources": ["arn:a", "arn:b"], "account": "111111111111",
		"detail": {
			"tenant": "Acme", "path": "a/b/c.png", "count": 300, "ratio": 1.5e1, "ok": true, "nothing": null, "empty": "", "none": [],
			"nested": {"deep": {"er": "x"}},
			"checks": [{"name": "regions", "verdict": "passed"}, {"name": "trust", "verdict": "failed"}],
			"star": "a*b"
		}
	}`
	tests := []struct {
		pattern string
		want    bool
	}{
		{`{"source": ["rolecall"]}`, true},
		{`{"source": ["other", "rolecall"]}`, true},
		{`{"source": ["other"]}`, false},
		{`{"source": ["rolecall"], "detail": {"tenant": ["Zeta"]}}`, false},
		{`{"detail": {"tenant": ["Acme"], "nested": {"deep": {"er": ["x"]}}}}`, true},
		{`{"detail": {"nested": ["x"]}}`, false},
		{`{"detail": {"tenant": {"deep": ["x"]}}}`, false},
		{`{"missing": ["x"]}`, false},
		{`{"resources": ["arn:b"]}`, true},
		{`{"resources": ["arn:c"]}`, false},
		{`{"detail": {"count": [300]}}`, true},
		{`{"detail": {"count": [300.0]}}`, false},
		{`{"detail": {"count": ["300"]}}`, false},
		{`{"detail": {"ok": [true]}}`, true},
		{`{"detail": {"ok": ["true"]}}`, false},
		{`{"detail": {"nothing": [null]}}`, true},
		{`{"detail": {"empty": [""]}}`, true},
		{`{"detail": {"empty": [null]}}`, false},

		{`{"detail-type": [{"prefix": "Connection "}]}`, true},
		{`{"detail-type": [{"prefix": "connection "}]}`, false},
		{`{"detail-type": [{"prefix": {"equals-ignore-case": "CONNECTION"}}]}`, true},
		{`{"detail": {"path": [{"suffix": ".png"}]}}`, true},
		{`{"detail": {"path": [{"suffix": ".jpg"}]}}`, false},
		{`{"detail": {"path": [{"suffix": {"equals-ignore-case": ".PNG"}}]}}`, true},
		{`{"detail": {"tenant": [{"equals-ignore-case": "ACME"}]}}`, true},
		{`{"detail": {"tenant": [{"equals-ignore-case": "ACM"}]}}`, false},
		{`{"detail": {"count": [{"prefix": "3"}]}}`, false},

		{`{"detail": {"tenant": [{"anything-but": "Acme"}]}}`, false},
		{`{"detail": {"tenant": [{"anything-but": ["Zeta", "Beta"]}]}}`, true},
		{`{"detail": {"count": [{"anything-but": [300, 400]}]}}`, false},
		{`{"detail": {"count": [{"anything-but": 301}]}}`, true},
		{`{"detail": {"missing": [{"anything-but": "x"}]}}`, false},
		{`{"detail": {"tenant": [{"anything-but": {"prefix": "Ac"}}]}}`, false},
		{`{"detail": {"tenant": [{"anything-but": {"prefix": ["X", "Y"]}}]}}`, true},
		{`{"detail": {"tenant": [{"anything-but": {"suffix": "me"}}]}}`, false},
		{`{"detail": {"tenant": [{"anything-but": {"equals-ignore-case": ["acme"]}}]}}`, false},
		{`{"detail": {"path": [{"anything-but": {"wildcard": "*.png"}}]}}`, false},

		{`{"detail": {"tenant": [{"exists": true}]}}`, true},
		{`{"detail": {"tenant": [{"exists": false}]}}`, false},
		{`{"detail": {"missing": [{"exists": false}]}}`, true},
		{`{"detail": {"missing": [{"exists": true}]}}`, false},
		{`{"detail": {"missing": {"deeper": [{"exists": false}]}}}`, true},
		{`{"detail": {"missing": ["x", {"exists": false}]}}`, true},
		{`{"detail": {"nested": [{"exists": true}]}}`, false},
		{`{"detail": {"none": [{"exists": true}]}}`, false},

		{`{"detail": {"count": [{"numeric": [">", 0, "<=", 300]}]}}`, true},
		{`{"detail": {"count": [{"numeric": [">", 300]}]}}`, false},
		{`{"detail": {"count": [{"numeric": ["<", 300]}]}}`, false},
		{`{"detail": {"ratio": [{"numeric": ["=", 15]}]}}`, true},
		{`{"detail": {"ratio": [{"numeric": [">=", 15.0]}]}}`, true},
		{`{"detail": {"tenant": [{"numeric": ["=", 1]}]}}`, false},

		{`{"detail": {"path": [{"wildcard": "a/*/c.*"}]}}`, true},
		{`{"detail": {"path": [{"wildcard": "*b*"}]}}`, true},
		{`{"detail": {"path": [{"wildcard": "a/b/c.png"}]}}`, true},
		{`{"detail": {"path": [{"wildcard": "a/*/d.*"}]}}`, false},
		{`{"detail": {"path": [{"wildcard": "a/b*b/c.png"}]}}`, false},
		{`{"detail": {"star": [{"wildcard": "a\\*b"}]}}`, true},
		{`{"detail": {"path": [{"wildcard": "a\\*"}]}}`, false},

		{`{"$or": [{"source": ["other"]}, {"detail": {"tenant": ["Acme"]}}]}`, true},
		{`{"$or": [{"source": ["other"]}, {"detail": {"tenant": ["Zeta"]}}]}`, false},
		{`{"source": ["other"], "$or": [{"source": ["rolecall"]}, {"account": ["1"]}]}`, false},
		{`{"detail": {"$or": [{"tenant": ["Zeta"]}, {"count": [{"numeric": [">", 1]}]}]}}`, true},

		{`{"detail": {"checks": {"name": ["trust"], "verdict": ["failed"]}}}`, true},
		{`{"detail": {"checks": {"name": ["regions"], "verdict": ["failed"]}}}`, false},
	}
	for _, test := range tests {
		t.Run(test.pattern, func(t *testing.T) {
			p, err := events.ParsePattern([]byte(test.pattern))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Matches([]byte(event)); got != test.want {
				t.Errorf("matches: %v", got)
			}
		})
	}
}

func TestPatternsRefused(t *testing.T) {
	tests := []struct{ pattern, names string }{
		{``, "JSON"},
		{`[]`, "object"},
		{`{}`, "at least one field"},
		{`{"a": ["x"]} {}`, "after"},
		{`{"source": "rolecall"}`, `"source"`},
		{`{"source": []}`, `"source"`},
		{`{"detail": {"a": {}}}`, `"detail.a"`},
		{`{"a": [["x"]]}`, "array in an array"},
		{`{"a": [{"cidr": "10.0.0.0/8"}]}`, "cidr"},
		{`{"a": [{"prefix": "x", "suffix": "y"}]}`, "exactly one member"},
		{`{"a": [{"prefix": 1}]}`, "prefix"},
		{`{"a": [{"exists": "yes"}]}`, "exists"},
		{`{"a": [{"numeric": [">"]}]}`, "numeric"},
		{`{"a": [{"numeric": ["~", 1]}]}`, "~"},
		{`{"a": [{"numeric": ["=", "1"]}]}`, "numbers only"},
		{`{"a": [{"anything-but": [true]}]}`, "anything-but"},
		{`{"a": [{"anything-but": {"numeric": ["=", 1]}}]}`, "numeric"},
		{`{"a": [{"wildcard": "a**b"}]}`, "wildcard"},
		{`{"$or": [{"a": ["x"]}, {"b": "y"}]}`, `"$or.b"`},
	}
	for _, test := range tests {
		t.Run(test.pattern, func(t *testing.T) {
			_, err := events.ParsePattern([]byte(test.pattern))
			if err == nil || !strings.Contains(err.Error(), test.names) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func FuzzPattern(f *testing.F) {
	f.Add([]byte(`{"a": [{"prefix": "x"}]}`), []byte(`{"a": "xy"}`))
	f.Add([]byte(`{"$or": [{"a": [{"numeric": ["=", 1e9]}]}, {"b": [null]}]}`), []byte(`{"a": 1e9}`))
	f.Fuzz(func(t *testing.T, pattern, event []byte) {
		p, err := events.ParsePattern(pattern)
		if err != nil {
			return
		}
		choice, err := events.ParsePattern(fmt.Appendf(nil, `{"$or": [%s, %s]}`, pattern, pattern))
		if err != nil {
			t.Fatalf("a choice between a pattern and itself: %v", err)
		}
		if p.Matches(event) != choice.Matches(event) {
			t.Error("a choice between a pattern and itself decides differently")
		}
	})
}
