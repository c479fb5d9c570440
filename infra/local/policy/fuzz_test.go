package policy_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rolecall/infra/local/policy"
)

// FuzzEvaluate asserts, for whatever parses: evaluation ends without panic, writing and reading changes nothing, and an
// unconditional matching Deny, wherever it stands, is never outweighed.
func FuzzEvaluate(f *testing.F) {
	f.Add(`{"Statement":[]}`, "sts:AssumeRole", "*", "sts:ExternalId", "abc")
	f.Add(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"sts:*","Condition":{"StringLike":{"sts:ExternalId":"a*${aws:PrincipalAccount, 'x'}?"}}}}`,
		"sts:AssumeRole", "arn:aws:iam::222222222222:role/r", "sts:ExternalId", "abc")
	f.Add(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotPrincipal":{"AWS":"111111111111"},"NotAction":"s3:*","NotResource":"arn:aws:s3:::*","Condition":{"ForAllValues:ArnNotLikeIfExists":{"aws:x":["arn:*"]},"DateLessThan":{"aws:x":1e9},"IpAddress":{"aws:x":"::/0"},"Null":{"aws:x":true}}}]}`,
		"sqs:Send", "arn:aws:sqs:::q", "aws:x", "::1")
	f.Add(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":["arn","${*}","arn:${"],"Condition":{"NumericNotEquals":{"aws:x":[]},"BinaryEquals":{"aws:x":"="}}}]}`,
		"", "", "", "")
	f.Fuzz(func(t *testing.T, text, action, resource, key, value string) {
		doc, err := policy.Parse([]byte(text))
		if err != nil {
			return
		}
		request := policy.Request{
			Action: action, Resource: resource, Principal: broker,
			Context: map[string][]string{key: {value}},
		}
		before := doc.Evaluate(request)
		checkRoundTrip(t, doc, request, before)

		deny := policy.Statement{Effect: "Deny", Actions: []string{"*"}, Resources: []string{"*"}}
		first := policy.Document{Version: doc.Version, Statements: append([]policy.Statement{deny}, doc.Statements...)}
		last := policy.Document{Version: doc.Version, Statements: append(doc.Statements[:len(doc.Statements):len(doc.Statements)], deny)}
		for name, d := range map[string]policy.Document{"first": first, "last": last} {
			if got := d.Evaluate(request); got != policy.Deny {
				t.Errorf("with a Deny of everything %s: %v (without: %v)", name, got, before)
			}
		}
	})
}

func checkRoundTrip(t *testing.T, doc policy.Document, request policy.Request, want policy.Decision) {
	t.Helper()
	written, err := json.Marshal(doc)
	if err != nil {
		t.Fatalf("Marshal: %v", err)
	}
	again, err := policy.Parse(written)
	if err != nil {
		t.Fatalf("Parse(%s): %v", written, err)
	}
	if diff := cmp.Diff(doc, again, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("written and read again: %s", diff)
	}
	if got := again.Evaluate(request); got != want {
		t.Errorf("written and read again: %v, before %v", got, want)
	}
}
