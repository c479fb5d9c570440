package httpapi

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"rolecall/shared/connect"
)

// No route takes a body in which an object has a member twice, however deep: which of the two counts is anybody's guess.
func TestRepeatedFieldsAreRefusedEverywhere(t *testing.T) {
	w := newWorld(t)
	id := w.enabled("a").ID
	refused := func(o operation, field, body string) {
		t.Helper()
		method, path, _ := strings.Cut(o.route, " ")
		calls := w.account.calls
		a := ask{method: method, path: strings.ReplaceAll(path, "{id}", id), body: body}
		if o.legacy {
			if p := w.refused(a, 400, ""); p.Detail != "The field '"+field+"' is given twice" {
				t.Errorf("%s %s: %s", o.route, body, p.Detail)
			}
			return
		}
		p := read[Problem](t, w.want(a, 400))
		if !slices.Contains(p.Errors, FieldError{Field: field, Code: codeFieldInvalid, Message: "is given twice"}) {
			t.Errorf("%s %s: %+v", o.route, body, p)
		}
		if w.account.calls != calls {
			t.Errorf("%s %s: AWS was asked", o.route, body)
		}
	}
	tried := map[string]bool{}
	for _, o := range allOperations() {
		if strings.HasPrefix(o.route, "GET ") {
			continue
		}
		body, ok := o.input.FieldByName(bodyField)
		if !ok {
			refused(o, "a", `{"a":1,"a":1}`)
			continue
		}
		_, doubled := example(body.Type)
		for _, field := range slices.Sorted(maps.Keys(doubled)) {
			refused(o, field, doubled[field])
			tried[o.route+" "+field] = true
		}
	}
	for _, deep := range []string{
		"POST /v1/connections accessKey.secretAccessKey", "PUT /v1/connections/{id}/scopes scopes[0].level", "POST /api/account/aws/add roleArn",
		"POST /v1/connections/{id}/credentials policy.a", "POST /v1/connections/{id}/credentials policy.a.b[0].c",
	} {
		if !tried[deep] {
			t.Errorf("%s was not tried", deep)
		}
	}
}

// example is a value of a type as JSON, and the same with each of its members repeated, by the way to that member.
func example(of reflect.Type) (whole string, doubled map[string]string) {
	doubled = map[string]string{}
	switch of.Kind() {
	case reflect.Pointer:
		return example(of.Elem())
	case reflect.Bool:
		return "true", nil
	case reflect.Int:
		return "900", nil
	case reflect.Slice:
		item, inside := example(of.Elem())
		for path, text := range inside {
			doubled["[0]."+path] = "[" + text + "]"
		}
		return "[" + item + "]", doubled
	case reflect.Map:
		return `{"a":1}`, map[string]string{"a": `{"a":1,"a":1}`, "a.b[0].c": `{"a":{"b":[{"c":1,"d":2,"\u0063":3}]}}`}
	case reflect.Struct:
		var members []string
		for f := range of.Fields() {
			name, _ := jsonName(f)
			value, _ := example(f.Type)
			members = append(members, `"`+name+`":`+value)
		}
		for i, f := range slices.Collect(of.Fields()) {
			name, _ := jsonName(f)
			object := func(member string) string {
				return "{" + strings.Join(slices.Replace(slices.Clone(members), i, i+1, member), ",") + "}"
			}
			doubled[name] = object(members[i] + "," + members[i])
			_, inside := example(f.Type)
			for path, text := range inside {
				doubled[strings.Replace(name+"."+path, ".[", "[", 1)] = object(`"` + name + `":` + text)
			}
		}
		return "{" + strings.Join(members, ",") + "}", doubled
	default:
		return `"x"`, nil
	}
}

// A policy's members may not differ by their case alone, since IAM does not tell condition keys apart by it.
func TestPoliciesWithAMemberInTwoCases(t *testing.T) {
	w := newWorld(t)
	path := "/v1/connections/" + w.enabled("a").ID + "/credentials"
	body := `{"policy":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*",
		"Condition":{"StringEquals":{"aws:SourceIp":"192.0.2.1","AWS:SourceIP":"198.51.100.1"}}}]}}`
	p := w.refused(ask{method: "POST", path: path, body: body}, 400, connect.CodePolicyInvalid)
	if !strings.Contains(strings.ToLower(p.Detail), `"statement[0].condition.stringequals.aws:sourceip"`) || p.Errors[0].Field != "policy" {
		t.Errorf("%+v", p)
	}
}
