package policy_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/policy"
)

func TestParse(t *testing.T) {
	doc := parse(t, ` { "Version" : "2012-10-17", "Id":"x", "Statement": {
		"Sid":"One", "Effect":"Allow",
		"Principal":{"AWS":["111111111111","arn:aws:iam::222222222222:role/a/b"],"Service":"sns.amazonaws.com"},
		"Action":["sqs:*","sns:Publish"], "Resource":"*",
		"Condition":{"Bool":{"aws:SecureTransport":true},"NumericLessThan":{"s3:max-keys":[10,"20"]},"StringLike":{"app:a":"b*"}}}}`)
	want := policy.Document{Version: "2012-10-17", Statements: []policy.Statement{{
		Sid: "One", Effect: "Allow",
		Principals: map[string][]string{"AWS": {"111111111111", "arn:aws:iam::222222222222:role/a/b"}, "Service": {"sns.amazonaws.com"}},
		Actions:    []string{"sqs:*", "sns:Publish"}, Resources: []string{"*"},
		Conditions: map[string]map[string][]string{
			"Bool":            {"aws:SecureTransport": {"true"}},
			"NumericLessThan": {"s3:max-keys": {"10", "20"}},
			"StringLike":      {"app:a": {"b*"}},
		},
	}}}
	if diff := cmp.Diff(want, doc); diff != "" {
		t.Error(diff)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, parse(t, string(text))); diff != "" {
		t.Errorf("written and read again: %s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	statement := func(s string) string { return `{"Version":"2012-10-17","Statement":[{` + s + `}]}` }
	cases := map[string]string{
		"nothing":                   ``,
		"no object":                 `[]`,
		"trailing text":             `{"Statement":[]} x`,
		"no statement":              `{"Version":"2012-10-17"}`,
		"unknown version":           `{"Version":"2012-10-18","Statement":[]}`,
		"unknown field":             `{"Version":"2012-10-17","Statement":[],"Extra":1}`,
		"statement is text":         `{"Statement":"x"}`,
		"statement is null":         `{"Statement":null}`,
		"field twice":               statement(`"Effect":"Deny","Effect":"Allow","Action":"*","Resource":"*"`),
		"unknown statement field":   statement(`"Effect":"Allow","Action":"*","Resource":"*","Actoin":"x"`),
		"field in other case":       statement(`"effect":"Allow","Action":"*","Resource":"*"`),
		"no effect":                 statement(`"Action":"*","Resource":"*"`),
		"effect in other case":      statement(`"Effect":"allow","Action":"*","Resource":"*"`),
		"no action":                 statement(`"Effect":"Allow","Resource":"*"`),
		"empty actions":             statement(`"Effect":"Allow","Action":[],"Resource":"*"`),
		"action without vendor":     statement(`"Effect":"Allow","Action":"AssumeRole","Resource":"*"`),
		"vendor with wildcard":      statement(`"Effect":"Allow","Action":"*:Get","Resource":"*"`),
		"action and not action":     statement(`"Effect":"Allow","Action":"*","NotAction":"a:b","Resource":"*"`),
		"number as action":          statement(`"Effect":"Allow","Action":7,"Resource":"*"`),
		"resource without arn":      statement(`"Effect":"Allow","Action":"*","Resource":"bucket/*"`),
		"resource and not resource": statement(`"Effect":"Allow","Action":"*","Resource":"*","NotResource":"*"`),
		"principal as text":         statement(`"Effect":"Allow","Action":"*","Principal":"arn:aws:iam::111111111111:root"`),
		"principal of no kind":      statement(`"Effect":"Allow","Action":"*","Principal":{"Azure":"x"}`),
		"principal empty":           statement(`"Effect":"Allow","Action":"*","Principal":{}`),
		"principal list empty":      statement(`"Effect":"Allow","Action":"*","Principal":{"AWS":[]}`),
		"principal wildcard":        statement(`"Effect":"Allow","Action":"*","Principal":{"AWS":"arn:aws:iam::111111111111:role/*x"}`),
		"principal short account":   statement(`"Effect":"Allow","Action":"*","Principal":{"AWS":"11111111111"}`),
		"principal twice":           statement(`"Effect":"Allow","Action":"*","Principal":"*","NotPrincipal":"*"`),
		"unknown operator":          statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringIs":{"aws:x":"y"}}`),
		"unknown relation":          statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NumericIs":{"aws:x":"1"}}`),
		"Null with IfExists":        statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NullIfExists":{"aws:x":"y"}}`),
		"unknown quantifier":        statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForSome:StringLike":{"aws:x":"y"}}`),
		"key without vendor":        statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringLike":{"x":"y"}}`),
		"object as value":           statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringLike":{"aws:x":{}}}`),
		"null as value":             statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringLike":{"aws:x":null}}`),
		"condition is a list":       statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":[]`),
		"same sid":                  `{"Statement":[{"Sid":"a","Effect":"Allow","Action":"*"},{"Sid":"a","Effect":"Deny","Action":"*"}]}`,
	}
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := policy.Parse([]byte(text))
			var malformed *policy.MalformedError
			if !errors.As(err, &malformed) {
				t.Fatalf("error %v, want a MalformedError", err)
			}
		})
	}
}

func TestChecks(t *testing.T) {
	const withPrincipal = `{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}`
	cases := map[string]struct {
		statement                 string
		identity, trust, resource string // part of the error; "" means accepted
	}{
		"trust":            {withPrincipal, "should not specify a principal", "", ""},
		"identity":         {`{"Effect":"Allow","Action":"s3:*","Resource":"*"}`, "", "prohibited field Resource", "Missing required field Principal"},
		"no resource":      {`{"Effect":"Allow","Action":"sts:*"}`, "must contain resources", "Missing required field Principal", "Principal"},
		"queue":            {`{"Effect":"Allow","Principal":"*","Action":"sqs:*","Resource":"*"}`, "principal", "Resource", ""},
		"other action":     {`{"Effect":"Allow","Principal":"*","Action":["sts:AssumeRole","s3:Get*"]}`, "principal", "STS AssumeRole actions", ""},
		"every action":     {`{"Effect":"Allow","Principal":"*","Action":"*"}`, "principal", "STS AssumeRole actions", ""},
		"not action":       {`{"Effect":"Allow","Principal":"*","NotAction":"s3:*"}`, "principal", "STS AssumeRole actions", ""},
		"not principal":    {`{"Effect":"Allow","NotPrincipal":"*","Action":"sts:AssumeRole"}`, "principal", "NotPrincipal", ""},
		"sid with a space": {`{"Sid":"a b","Effect":"Allow","Action":"s3:*","Resource":"*"}`, "alpha-numeric", "Resource", "Principal"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			doc := parse(t, `{"Version":"2012-10-17","Statement":`+c.statement+`}`)
			for _, check := range []struct {
				name string
				err  error
				want string
			}{{"identity", doc.CheckIdentity(), c.identity}, {"trust", doc.CheckTrust(), c.trust}, {"resource", doc.CheckResource(), c.resource}} {
				if check.want == "" && check.err != nil {
					t.Errorf("%s: %v, want none", check.name, check.err)
				}
				if check.want != "" && (check.err == nil || !strings.Contains(check.err.Error(), check.want)) {
					t.Errorf("%s: %v, want %q", check.name, check.err, check.want)
				}
			}
		})
	}
}

func TestAWSPrincipals(t *testing.T) {
	doc := parse(t, `{"Statement":[{"Effect":"Allow","Principal":{"AWS":["*","111111111111"],"Service":"x.amazonaws.com"},"Action":"sts:AssumeRole"},
		{"Effect":"Deny","NotPrincipal":{"AWS":"222222222222"},"Action":"sts:AssumeRole"}]}`)
	if diff := cmp.Diff([]string{"111111111111", "222222222222"}, doc.AWSPrincipals()); diff != "" {
		t.Error(diff)
	}
}
