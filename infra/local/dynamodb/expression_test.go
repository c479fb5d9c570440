package dynamodb_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const subject = `"a":{"S":"hello"},"n":{"N":"5"},"b":{"B":"AQID"},"t":{"BOOL":true},"z":{"NULL":true},
	"l":{"L":[{"S":"x"},{"N":"2"},{"M":{"k":{"S":"v"}}}]},"m":{"M":{"deep":{"M":{"x":{"N":"1"}}}}},
	"ss":{"SS":["one","two"]},"ns":{"NS":["1","2.50"]},"big":{"N":"12345678901234567890123456789012345678"},"v.w":{"S":"dot"}`

const values = `":hello":{"S":"hello"},":he":{"S":"he"},":ell":{"S":"ell"},":five":{"N":"5.0"},":ten":{"N":"10"},":one":{"N":"1"},
	":true":{"BOOL":true},":null":{"NULL":true},":two":{"S":"two"},":x":{"S":"x"},":S":{"S":"S"},":M":{"S":"M"},":n25":{"N":"2.5"},
	":v":{"S":"v"},":big":{"N":"12345678901234567890123456789012345677"},":ab":{"B":"AQI="},":list":{"L":[{"S":"x"}]},
	":ss":{"SS":["two","one"]},":aa":{"S":"aa"},":zz":{"S":"zz"},":bogus":{"S":"X"}`

// only keeps the values that an expression uses.
func only(expression string) string {
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte("{"+values+"}"), &all); err != nil {
		panic(err)
	}
	var used []string
	for name, value := range all {
		if containsName(expression, name) {
			used = append(used, fmt.Sprintf("%q:%s", name, value))
		}
	}
	if len(used) == 0 {
		return ""
	}
	return `,"ExpressionAttributeValues":{` + strings.Join(used, ",") + "}"
}

func containsName(expression, name string) bool {
	for rest := expression; ; {
		at := strings.Index(rest, name)
		if at < 0 {
			return false
		}
		rest = rest[at+len(name):]
		if rest == "" || !strings.ContainsAny(rest[:1], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") {
			return true
		}
	}
}

func TestConditionsHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("1", "1", strings.ReplaceAll(subject, `"n":`, `"num":`))
	for expression, want := range map[string]bool{
		"a = :hello":                                  true,
		"a <> :hello":                                 false,
		"lacking <> :hello":                           true,
		"lacking = :hello":                            false,
		"lacking = absent":                            false,
		"num = :five":                                 true,
		"num < :ten":                                  true,
		"num > :ten":                                  false,
		"num <= :five AND num >= :five":               true,
		"num < :hello":                                false,
		"num = :hello":                                false,
		"NOT num = :hello":                            true,
		"big > :big":                                  true,
		"t = :true AND z = :null":                     true,
		"ss = :ss":                                    true,
		"attribute_exists(a)":                         true,
		"attribute_exists(l[2].k)":                    true,
		"attribute_exists(l[3])":                      false,
		"attribute_not_exists(m.deep.y)":              true,
		"attribute_exists(m.deep.x)":                  true,
		"attribute_type(a, :S)":                       true,
		"attribute_type(m, :M)":                       true,
		"attribute_type(num, :S)":                     false,
		"begins_with(a, :he)":                         true,
		"begins_with(a, :ell)":                        false,
		"begins_with(b, :ab)":                         true,
		"begins_with(num, :he)":                       false,
		"contains(a, :ell)":                           true,
		"contains(ss, :two)":                          true,
		"contains(ns, :n25)":                          true,
		"contains(ns, :two)":                          false,
		"contains(l, :x)":                             true,
		"contains(l, :v)":                             false,
		"size(a) = :five":                             true,
		"size(l) > :one":                              true,
		"size(b) < :five AND size(ss) < :five":        true,
		"size(lacking) = :five":                       false,
		"l[0] = :x":                                   true,
		"l[2].k = :v":                                 true,
		"#vw = :hello":                                false,
		"a IN (:x, :hello)":                           true,
		"a IN (:x)":                                   false,
		"a BETWEEN :aa AND :zz":                       true,
		"num BETWEEN :one AND :ten":                   true,
		"a BETWEEN :he AND :hello AND num = :five":    true,
		"a = :x OR a = :hello AND num = :five":        true,
		"(a = :x OR a = :hello) AND num = :ten":       false,
		"a = :hello OR a = :hello AND num = :ten":     true,
		"NOT a = :x AND num = :five":                  true,
		"NOT (a = :hello AND num = :five)":            false,
		"not a = :x and num between :one and :ten":    true,
		"(a) = (:hello)":                              true,
		"(size(a)) = :five AND (attribute_exists(b))": true,
		":hello = a":                                  true,
	} {
		names := ""
		if strings.Contains(expression, "#vw") {
			names = `,"ExpressionAttributeNames":{"#vw":"v.w"}`
		}
		_, err := w.call("DeleteItem", fmt.Sprintf(`{"TableName":"tab","Key":%s,"ConditionExpression":%q%s%s}`,
			item("1", "1", ""), expression, only(expression), names))
		switch {
		case err == nil != want || (err != nil && err.Code != "ConditionalCheckFailedException"):
			t.Errorf("%s: %v, want %v", expression, err, want)
		case err == nil:
			w.put("1", "1", strings.ReplaceAll(subject, `"n":`, `"num":`))
		}
	}
}

func TestConditionsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for expression, want := range map[string]string{
		"":                                    "The expression can not be empty;",
		"a = ":                                `Syntax error; token: "<EOF>", near: "= "`,
		"a = :x :x":                           `Syntax error; token: ":x", near: ":x :x"`,
		"a":                                   `Syntax error; token: "<EOF>", near: "a"`,
		"a = :x AND":                          `Syntax error; token: "<EOF>", near: "AND"`,
		"a ! :x":                              `Syntax error; token: "!", near: "a ! :x"`,
		"(a = :x":                             `Syntax error; token: "<EOF>", near: ":x"`,
		"a..b = :x":                           `Syntax error; token: ".", near: "..b"`,
		"a[x] = :x":                           `Syntax error; token: "x", near: "[x]"`,
		"status = :x":                         "Attribute name is a reserved keyword; reserved keyword: status",
		"a.Name = :x":                         "Attribute name is a reserved keyword; reserved keyword: Name",
		"#q = :x":                             "An expression attribute name used in the document path is not defined; attribute name: #q",
		"a = :undefined":                      "An expression attribute value used in expression is not defined; attribute value: :undefined",
		"foo(a)":                              "Invalid function name; function: foo",
		"ATTRIBUTE_EXISTS(a)":                 "Invalid function name; function: ATTRIBUTE_EXISTS",
		"size(a)":                             "The function is not allowed to be used this way in an expression; function: size",
		"attribute_exists(a) = :x":            "The function is not allowed to be used this way in an expression; function: attribute_exists",
		"attribute_exists(a, b)":              "Incorrect number of operands for operator or function; operator or function: attribute_exists, number of operands: 2",
		"attribute_exists(:x)":                "Operator or function requires a document path; operator or function: attribute_exists",
		"begins_with(a, :one)":                "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
		"attribute_type(a, :bogus)":           "Invalid attribute type name found; type: X, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
		"a = a":                               "The first operand must be distinct from the remaining operands for this operator or function; operator: =, first operand: [a]",
		"a < :true":                           "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL",
		"((a = :x))":                          "The expression has redundant parentheses;",
		"a BETWEEN :zz AND :aa":               "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {S:zz}, upper bound operand: AttributeValue: {S:aa}",
		"a BETWEEN :one AND :aa":              "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:aa}",
		strings.Repeat("a = :x OR ", 500):     "Expression size has exceeded the maximum allowed size; expression size: 5000",
		strings.Repeat("(", 300) + "a":        "The expression is nested too deeply",
		"a.b.c = :x OR size(size(a), b) = :x": "Incorrect number of operands for operator or function; operator or function: size, number of operands: 2",
	} {
		body := fmt.Sprintf(`{"TableName":"tab","Item":%s,"ConditionExpression":%q%s}`, item("1", "1", ""), expression, only(expression))
		if strings.Contains(expression, "#q") {
			body = strings.TrimSuffix(body, "}") + `,"ExpressionAttributeNames":{"#z":"zz"}}`
		}
		w.fails("PutItem", body, "ValidationException", "Invalid ConditionExpression: "+want)
	}
}

func TestPlaceholdersAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for rest, want := range map[string]string{
		`"ExpressionAttributeNames":{"#a":"a"}`:                                                                  "ExpressionAttributeNames can only be specified when using expressions",
		`"ExpressionAttributeValues":{":a":{"S":"a"}}`:                                                           "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null",
		`"ConditionExpression":"a=:a","ExpressionAttributeValues":{":a":{"S":"a"},":b":{"S":"a"},":c":{"S":""}}`: "Value provided in ExpressionAttributeValues unused in expressions: keys: {:b, :c}",
		`"ConditionExpression":"attribute_exists(a)","ExpressionAttributeNames":{"#a":"a"}`:                      "Value provided in ExpressionAttributeNames unused in expressions: keys: {#a}",
		`"ConditionExpression":"attribute_exists(a)","ExpressionAttributeNames":{}`:                              "ExpressionAttributeNames must not be empty",
		`"ConditionExpression":"attribute_exists(a)","ExpressionAttributeValues":{}`:                             "ExpressionAttributeValues must not be empty",
		`"ConditionExpression":"attribute_exists(a)","ExpressionAttributeNames":{"a":"a"}`:                       `ExpressionAttributeNames contains invalid key: Syntax error; key: "a"`,
		`"ConditionExpression":"a=:a","ExpressionAttributeValues":{":a":{"N":"x"}}`:                              "ExpressionAttributeValues contains invalid value: The parameter cannot be converted to a numeric value: x for key :a",
		`"ConditionExpression":"a=:a","ExpressionAttributeValues":{":a":{}}`:                                     "ExpressionAttributeValues contains invalid value: Supplied AttributeValue is empty, must contain exactly one of the supported datatypes for key :a",
		`"Expected":{"a":{"Exists":false}}`:                                                                      "The legacy parameter Expected is not supported by this emulator: use expressions",
		`"ReturnValues":"ALL_NEW"`:                                                                               "Return values set to invalid value",
		`"ReturnValues":"X"`:                                                                                     "1 validation error detected: Value 'X' at 'returnValues' failed to satisfy constraint: Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]",
	} {
		w.fails("PutItem", fmt.Sprintf(`{"TableName":"tab","Item":%s,%s}`, item("1", "1", ""), rest), "ValidationException", want)
	}
}

func TestUpdates(t *testing.T) {
	t.Parallel()
	const start = `"n":{"N":"5"},"a":{"S":"A"},"l":{"L":[{"N":"0"},{"N":"1"},{"N":"2"}]},"m":{"M":{"x":{"N":"1"},"y":{"S":"Y"}}},
		"ss":{"SS":["a","b"]},"d":{"N":"0.1"}`
	for _, c := range []struct{ name, expression, values, want string }{
		{"set", "SET a = :v", `":v":{"BOOL":false}`, `"a":{"BOOL":false}`},
		{"plus", "SET n = n + :v", `":v":{"N":"2"}`, `"n":{"N":"7"}`},
		{"minus", "SET n = :v - n", `":v":{"N":"2"}`, `"n":{"N":"-3"}`},
		{"exact", "SET d = d + :v", `":v":{"N":"0.2"}`, `"d":{"N":"0.3"}`},
		{"to zero", "SET n = n - n", ``, `"n":{"N":"0"}`},
		{"38 digits", "SET n = n + :v", `":v":{"N":"99999999999999999999999999999999999990"}`, `"n":{"N":"99999999999999999999999999999999999995"}`},
		{"if_not_exists, missing", "SET c = if_not_exists(c, :v) + :v", `":v":{"N":"1"}`, `"c":{"N":"2"}`},
		{"if_not_exists, there", "SET n = if_not_exists(n, :v) + :v", `":v":{"N":"1"}`, `"n":{"N":"6"}`},
		{"list_append", "SET l = list_append(l, :v)", `":v":{"L":[{"S":"z"}]}`, `"l":{"L":[{"N":"0"},{"N":"1"},{"N":"2"},{"S":"z"}]}`},
		{"list_append to a new one", "SET k = list_append(if_not_exists(k, :e), :v)", `":v":{"L":[{"S":"z"}]},":e":{"L":[]}`, `"k":{"L":[{"S":"z"}]}`},
		{"swap sees the old item", "SET a = n, n = :v", `":v":{"N":"1"}`, `"a":{"N":"5"},"n":{"N":"1"}`},
		{"nested", "SET m.z = :v, m.x = m.x + :v", `":v":{"N":"1"}`, `"m":{"M":{"x":{"N":"2"},"y":{"S":"Y"},"z":{"N":"1"}}}`},
		{"list element", "SET l[1] = :v", `":v":{"S":"one"}`, `"l":{"L":[{"N":"0"},{"S":"one"},{"N":"2"}]}`},
		{"beyond the end", "SET l[9] = :w, l[7] = :v", `":v":{"S":"7"},":w":{"S":"9"}`, `"l":{"L":[{"N":"0"},{"N":"1"},{"N":"2"},{"S":"7"},{"S":"9"}]}`},
		{"remove", "REMOVE a, m.x, lacking", ``, `"a":null,"m":{"M":{"y":{"S":"Y"}}}`},
		{"remove elements by their old indices", "REMOVE l[0], l[1]", ``, `"l":{"L":[{"N":"2"}]}`},
		{"remove and append", "SET l[5] = :v REMOVE l[0]", `":v":{"S":"z"}`, `"l":{"L":[{"N":"1"},{"N":"2"},{"S":"z"}]}`},
		{"add number", "ADD n :v", `":v":{"N":"-1.5"}`, `"n":{"N":"3.5"}`},
		{"add to nothing", "ADD c :v", `":v":{"N":"3"}`, `"c":{"N":"3"}`},
		{"add to set", "ADD ss :v", `":v":{"SS":["c","a"]}`, `"ss":{"SS":["a","b","c"]}`},
		{"delete from set", "DELETE ss :v", `":v":{"SS":["a","q"]}`, `"ss":{"SS":["b"]}`},
		{"delete all of a set", "DELETE ss :v", `":v":{"SS":["a","b"]}`, `"ss":null`},
		{"delete from nothing", "DELETE nothing :v", `":v":{"SS":["a"]}`, ``},
		{"copy into a map and close up beside", "SET m.l = l REMOVE l[0]", ``, `"m":{"M":{"x":{"N":"1"},"y":{"S":"Y"},"l":{"L":[{"N":"0"},{"N":"1"},{"N":"2"}]}}},"l":{"L":[{"N":"1"},{"N":"2"}]}`},
		{"all sections, any case", "set a = :v remove d add n :n delete ss :s", `":v":{"S":"B"},":n":{"N":"1"},":s":{"SS":["a"]}`, `"a":{"S":"B"},"d":null,"n":{"N":"6"},"ss":{"SS":["b"]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.put("1", "1", start)
			attributes := ""
			if c.values != "" {
				attributes = `,"ExpressionAttributeValues":{` + c.values + `}`
			}
			w.must("UpdateItem", fmt.Sprintf(`{"TableName":"tab","Key":%s,"UpdateExpression":%q%s}`, item("1", "1", ""), c.expression, attributes))
			same(t, w.get("1", "1"), merged(t, item("1", "1", start), "{"+c.want+"}"))
		})
	}
}

func TestUpdatesAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("1", "1", `"n":{"N":"5"},"a":{"S":"A"},"m":{"M":{}},"l":{"L":[]},"ss":{"SS":["a"]}`)
	const prefix = "Invalid UpdateExpression: "
	for _, c := range []struct{ expression, values, want string }{
		{"", ``, prefix + "The expression can not be empty;"},
		{"SET", ``, prefix + `Syntax error; token: "<EOF>", near: "SET"`},
		{"SET a = :v,", `":v":{"S":"x"}`, prefix + `Syntax error; token: "<EOF>", near: ","`},
		{"SET a = n + :v + :v", `":v":{"N":"1"}`, prefix + `Syntax error; token: "+", near: ":v + :v"`},
		{"SET a = :v SET n = :v", `":v":{"N":"1"}`, prefix + `The "SET" section can only be used once in an update expression;`},
		{"SET a = :v REMOVE a", `":v":{"N":"1"}`, prefix + "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a]"},
		{"SET m = :v, m.x = :v", `":v":{"N":"1"}`, prefix + "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [m], path two: [m, x]"},
		{"SET m.x = :v, m[0] = :v", `":v":{"N":"1"}`, prefix + "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: [m, x], path two: [m, [0]]"},
		{"SET year = :v", `":v":{"N":"1"}`, prefix + "Attribute name is a reserved keyword; reserved keyword: year"},
		{"SET a = foo(a)", ``, prefix + "Invalid function name; function: foo"},
		{"SET a = if_not_exists(:v, a)", `":v":{"N":"1"}`, prefix + "Operator or function requires a document path; operator or function: if_not_exists"},
		{"SET a = list_append(a)", ``, prefix + "Incorrect number of operands for operator or function; operator or function: list_append, number of operands: 1"},
		{"SET a = n + :v", `":v":{"S":"1"}`, prefix + "Incorrect operand type for operator or function; operator or function: +, operand type: S"},
		{"ADD a :v", `":v":{"S":"x"}`, prefix + "Incorrect operand type for operator or function; operator: ADD, operand type: STRING, typeSet: ALLOWED_FOR_ADD_OPERAND"},
		{"DELETE a :v", `":v":{"N":"1"}`, prefix + "Incorrect operand type for operator or function; operator: DELETE, operand type: NUMBER, typeSet: ALLOWED_FOR_DELETE_OPERAND"},
		{"SET s = :v", `":v":{"S":"x"}`, "One or more parameter values were invalid: Cannot update attribute s. This attribute is part of the key"},
		{"SET a = lacking", ``, "The provided expression refers to an attribute that does not exist in the item"},
		{"SET a = a + :v", `":v":{"N":"1"}`, "An operand in the update expression has an incorrect data type"},
		{"ADD a :v", `":v":{"N":"1"}`, "An operand in the update expression has an incorrect data type"},
		{"DELETE n :v", `":v":{"SS":["1"]}`, "An operand in the update expression has an incorrect data type"},
		{"SET q.x = :v", `":v":{"N":"1"}`, "The document path provided in the update expression is invalid for update"},
		{"SET a.x = :v", `":v":{"N":"1"}`, "The document path provided in the update expression is invalid for update"},
		{"SET m[0] = :v", `":v":{"N":"1"}`, "The document path provided in the update expression is invalid for update"},
		{"REMOVE q.x", ``, "The document path provided in the update expression is invalid for update"},
		{"SET b = :v + :v", `":v":{"N":"9e125"}`, "Number overflow. Attempting to store a number with magnitude larger than supported range"},
		{"SET g = :v", `":v":{"N":"1"}`, "One or more parameter values were invalid: Type mismatch for Index Key g Expected: S Actual: N IndexName: all"},
	} {
		attributes := ""
		if c.values != "" {
			attributes = `,"ExpressionAttributeValues":{` + c.values + `}`
		}
		w.fails("UpdateItem", fmt.Sprintf(`{"TableName":"tab","Key":%s,"UpdateExpression":%q%s}`, item("1", "1", ""), c.expression, attributes),
			"ValidationException", c.want)
	}
}
