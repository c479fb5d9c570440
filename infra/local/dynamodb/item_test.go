package dynamodb_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestReturnValues(t *testing.T) {
	t.Parallel()
	const before = `"a":{"S":"1"},"b":{"S":"2"},"m":{"M":{"x":{"N":"1"},"y":{"N":"2"}}}`
	const update = `"UpdateExpression":"SET a = :v, m.x = :v REMOVE b","ExpressionAttributeValues":{":v":{"S":"new"}}`
	for _, c := range []struct{ operation, rest, want string }{
		{"PutItem", `"Item":{"p":{"S":"1"},"s":{"S":"1"}},"ReturnValues":"ALL_OLD"`, item("1", "1", before)},
		{"PutItem", `"Item":{"p":{"S":"1"},"s":{"S":"1"}}`, ""},
		{"PutItem", `"Item":{"p":{"S":"1"},"s":{"S":"new"}},"ReturnValues":"ALL_OLD"`, ""},
		{"DeleteItem", `"Key":{"p":{"S":"1"},"s":{"S":"1"}},"ReturnValues":"ALL_OLD"`, item("1", "1", before)},
		{"DeleteItem", `"Key":{"p":{"S":"1"},"s":{"S":"none"}},"ReturnValues":"ALL_OLD"`, ""},
		{"UpdateItem", `"Key":{"p":{"S":"1"},"s":{"S":"1"}},"ReturnValues":"ALL_OLD",` + update, item("1", "1", before)},
		{
			"UpdateItem", `"Key":{"p":{"S":"1"},"s":{"S":"1"}},"ReturnValues":"ALL_NEW",` + update,
			item("1", "1", `"a":{"S":"new"},"m":{"M":{"x":{"S":"new"},"y":{"N":"2"}}}`),
		},
		{
			"UpdateItem", `"Key":{"p":{"S":"1"},"s":{"S":"1"}},"ReturnValues":"UPDATED_OLD",` + update,
			`{"a":{"S":"1"},"b":{"S":"2"},"m":{"M":{"x":{"N":"1"}}}}`,
		},
		{
			"UpdateItem", `"Key":{"p":{"S":"1"},"s":{"S":"1"}},"ReturnValues":"UPDATED_NEW",` + update,
			`{"a":{"S":"new"},"m":{"M":{"x":{"S":"new"}}}}`,
		},
		{"UpdateItem", `"Key":{"p":{"S":"1"},"s":{"S":"1"}},"ReturnValues":"NONE",` + update, ""},
	} {
		w := newWorld(t)
		w.put("1", "1", before)
		got := member(t, w.must(c.operation, `{"TableName":"tab",`+c.rest+`}`), "Attributes")
		if c.want == "" && got == "" {
			continue
		}
		same(t, got, c.want)
	}
}

func TestFailedConditionsReturnTheItem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("1", "1", `"a":{"S":"A"}`)
	const condition = `"ConditionExpression":"attribute_exists(zz)","ReturnValuesOnConditionCheckFailure":"ALL_OLD"`
	for operation, target := range map[string]string{
		"PutItem": `"Item":` + item("1", "1", ""), "DeleteItem": `"Key":` + item("1", "1", ""),
		"UpdateItem": `"UpdateExpression":"REMOVE a","Key":` + item("1", "1", ""),
	} {
		err := w.failure(operation, `{"TableName":"tab",`+target+`,`+condition+`}`, "ConditionalCheckFailedException", "The conditional request failed")
		encoded, _ := json.Marshal(err.Fields["Item"])
		same(t, string(encoded), item("1", "1", `"a":{"S":"A"}`))
		err = w.failure(operation, strings.ReplaceAll(`{"TableName":"tab",`+target+`,`+condition+`}`, "ALL_OLD", "NONE"), "ConditionalCheckFailedException", "")
		if err.Fields["Item"] != nil {
			t.Error("the item came without being asked for")
		}
	}
}

func TestUpdateOfNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ expression, want string }{
		{`,"UpdateExpression":"SET a = :v","ExpressionAttributeValues":{":v":{"S":"x"}}`, item("1", "1", `"a":{"S":"x"}`)},
		{``, item("1", "1", "")},
		{`,"UpdateExpression":"REMOVE a"`, ""}, // only removing does not make an item
		{`,"UpdateExpression":"DELETE a :v","ExpressionAttributeValues":{":v":{"SS":["x"]}}`, ""},
	} {
		w := newWorld(t)
		w.must("UpdateItem", `{"TableName":"tab","Key":`+item("1", "1", "")+c.expression+`}`)
		got := w.get("1", "1")
		if c.want == "" {
			if got != "" {
				t.Errorf("%s made %s", c.expression, got)
			}
			continue
		}
		same(t, got, c.want)
	}
}

func TestProjection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("1", "1", `"l":{"L":[{"S":"0"},{"S":"1"},{"S":"2"}]},"m":{"M":{"x":{"N":"1"},"y":{"N":"2"}}},"a.b":{"S":"dot"}`)
	for expression, want := range map[string]string{
		"p, l[2], l[0]": `{"p":{"S":"1"},"l":{"L":[{"S":"0"},{"S":"2"}]}}`,
		"m.y, nope.q":   `{"m":{"M":{"y":{"N":"2"}}}}`,
		"nope":          `{}`,
		"#ab":           `{"a.b":{"S":"dot"}}`,
	} {
		names := ""
		if expression == "#ab" {
			names = `,"ExpressionAttributeNames":{"#ab":"a.b"}`
		}
		out := w.must("GetItem", fmt.Sprintf(`{"TableName":"tab","Key":%s,"ProjectionExpression":%q%s}`, item("1", "1", ""), expression, names))
		same(t, member(t, out, "Item"), want)
	}
	for expression, want := range map[string]string{
		"m, m.x": "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [m], path two: [m, x]",
		"p,":     `Syntax error; token: "<EOF>", near: ","`,
		"name":   "Attribute name is a reserved keyword; reserved keyword: name",
	} {
		w.fails("GetItem", fmt.Sprintf(`{"TableName":"tab","Key":%s,"ProjectionExpression":%q}`, item("1", "1", ""), expression),
			"ValidationException", "Invalid ProjectionExpression: "+want)
	}
}

func TestItemsAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const parameters = "One or more parameter values were invalid: "
	for given, want := range map[string]string{
		`{"p":{"S":"1"}}`:                                                                       parameters + "Missing the key s in the item",
		`{"p":{"N":"1"},"s":{"S":"1"}}`:                                                         parameters + "Type mismatch for key p expected: S actual: N",
		`{"p":{"S":""},"s":{"S":"1"}}`:                                                          "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: p",
		item(strings.Repeat("x", 2049), "1", ""):                                                parameters + "Size of hashkey has exceeded the maximum size limit of2048 bytes",
		item("1", strings.Repeat("x", 1025), ""):                                                parameters + "Aggregated size of all range keys has exceeded the size limit of 1024 bytes",
		item("1", "1", `"a":{"SS":[]}`):                                                         parameters + "An string set  may not be empty",
		item("1", "1", `"a":{"NS":[]}`):                                                         parameters + "An number set  may not be empty",
		item("1", "1", `"a":{"BS":[]}`):                                                         parameters + "Binary sets should not be empty",
		item("1", "1", `"a":{"SS":["x","x"]}`):                                                  parameters + "Input collection [x, x] contains duplicates.",
		item("1", "1", `"a":{"NS":["1","1.0"]}`):                                                "Input collection contains duplicates",
		item("1", "1", `"a":{"NULL":false}`):                                                    parameters + "Null attribute value types must have the value of true",
		item("1", "1", `"a":{"S":"x","N":"1"}`):                                                 "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
		item("1", "1", `"a":{"L":[{"M":{"x":{}}}]}`):                                            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
		item("1", "1", `"a":{"N":"1e126"}`):                                                     "Number overflow. Attempting to store a number with magnitude larger than supported range",
		item("1", "1", `"a":{"N":"-1e-131"}`):                                                   "Number underflow. Attempting to store a number with magnitude smaller than supported range",
		item("1", "1", `"a":{"N":"`+strings.Repeat("1", 39)+`"}`):                               "Attempting to store more than 38 significant digits in a Number",
		item("1", "1", `"a":{"N":""}`):                                                          "The parameter cannot be converted to a numeric value",
		item("1", "1", `"a":{"N":"NaN"}`):                                                       "The parameter cannot be converted to a numeric value: NaN",
		item("1", "1", `"a":{"S":"`+strings.Repeat("x", 400*1024)+`"}`):                         "Item size has exceeded the maximum allowed size",
		item("1", "1", `"g":{"S":""}`):                                                          "One or more parameter values are not valid. A value specified for a secondary index key is not supported. The AttributeValue for a key attribute cannot contain an empty string value. IndexName: all, IndexKey: g",
		item("1", "1", `"g":{"N":"1"}`):                                                         parameters + "Type mismatch for Index Key g Expected: S Actual: N IndexName: all",
		item("1", "1", `"a":`+strings.Repeat(`{"L":[`, 32)+`{"S":""}`+strings.Repeat("]}", 32)): "Nesting Levels have exceeded supported limits",
	} {
		w.fails("PutItem", `{"TableName":"tab","Item":`+given+`}`, "ValidationException", want)
	}
	// What is just legal.
	for _, given := range []string{
		item(strings.Repeat("x", 2048), strings.Repeat("y", 1024), ""),
		item("1", "1", `"a":{"S":""},"b":{"B":""},"l":{"L":[]},"m":{"M":{}}`),
		item("1", "1", `"a":{"S":"`+strings.Repeat("x", 400*1024-1-4)+`"}`),
		item("1", "1", `"a":{"N":"9.9999999999999999999999999999999999999E+125"},"b":{"N":"-1E-130"}`),
		item("1", "1", `"a":`+strings.Repeat(`{"L":[`, 31)+`{"S":""}`+strings.Repeat("]}", 31)),
	} {
		w.must("PutItem", `{"TableName":"tab","Item":`+given+`}`)
	}
	w.fails("GetItem", `{"TableName":"tab","Key":{"p":{"S":"1"}}}`, "ValidationException", "The provided key element does not match the schema")
	w.fails("GetItem", `{"TableName":"tab","Key":`+item("1", "1", `"a":{"S":"x"}`)+`}`, "ValidationException", "The provided key element does not match the schema")
	w.fails("GetItem", `{"TableName":"none","Key":`+item("1", "1", "")+`}`, "ResourceNotFoundException", "Requested resource not found")
	w.fails("PutItem", `{"TableName":"tab","Item":{"p":{"S":1}}}`, "SerializationException", "NUMBER_VALUE cannot be converted to String")
	w.fails("PutItem", `{"TableName":"tab","Item":`, "SerializationException", "")
	w.fails("Frobnicate", `{}`, "InvalidAction", "")
}

func TestNumbersComeBackCanonical(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for given, want := range map[string]string{
		"007.50": "7.5", "-0": "0", "0.0e126": "0", "1E2": "100", "1e-3": "0.001", "+.5": "0.5", "5.": "5", "-12.340e1": "-123.4",
		"0.1e126": "1" + strings.Repeat("0", 125),
	} {
		w.put("1", "1", `"x":{"N":"`+given+`"}`)
		if got := member(t, w.get("1", "1"), "x.N"); got != `"`+want+`"` {
			t.Errorf("%s came back as %s, want %s", given, got, want)
		}
	}
}

func TestConsumedCapacity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	big := func(n int) string { return `"x":{"S":"` + strings.Repeat("x", n) + `"}` }
	tab := func(units string) string { return `{"TableName":"tab","CapacityUnits":` + units + `}` }
	key := item("1", "1", "")
	for _, c := range []struct{ operation, body, want string }{
		{"PutItem", `"Item":` + item("1", "1", ""), tab("1")},
		{"PutItem", `"Item":` + item("1", "1", big(1100)), tab("2")},
		{"PutItem", `"Item":` + item("1", "1", ""), tab("2")},                            // the larger of both counts
		{"PutItem", `"Item":` + item("1", "1", `"g":{"S":"G"}`), tab("3")},               // two of the three indexes have it
		{"PutItem", `"Item":` + item("1", "1", `"g":{"S":"G"},"x":{"S":"1"}`), tab("1")}, // none of them projects x
		{"PutItem", `"Item":` + item("1", "1", `"g":{"S":"G"},"a":{"S":"1"}`), tab("2")}, // "some" does project a
		{"PutItem", `"Item":` + item("1", "1", `"g":{"S":"H"}`), tab("5")},               // moving is a delete and a put
		{"PutItem", `"Item":` + item("1", "1", `"g":{"S":"H"},"n":{"N":"1"}`), tab("2")},
		{"DeleteItem", `"Key":` + key, tab("4")},
		{"DeleteItem", `"Key":` + key, tab("1")},
		{"GetItem", `"Key":` + key, tab("0.5")},
		{"GetItem", `"ConsistentRead":true,"Key":` + key, tab("1")},
	} {
		out := w.must(c.operation, `{"TableName":"tab","ReturnConsumedCapacity":"TOTAL",`+c.body+`}`)
		if got := member(t, out, "ConsumedCapacity"); got != c.want {
			t.Errorf("%s %.80s: %s, want %s", c.operation, c.body, got, c.want)
		}
	}
	w.put("1", "1", big(5000))
	out := w.must("GetItem", `{"TableName":"tab","ReturnConsumedCapacity":"INDEXES","ConsistentRead":true,"Key":`+key+`}`)
	same(t, member(t, out, "ConsumedCapacity"), `{"TableName":"tab","CapacityUnits":2,"Table":{"CapacityUnits":2}}`)
	out = w.must("PutItem", `{"TableName":"tab","ReturnConsumedCapacity":"INDEXES","Item":`+item("2", "1", `"g":{"S":"G"}`)+`}`)
	same(t, member(t, out, "ConsumedCapacity"), `{"TableName":"tab","CapacityUnits":3,"Table":{"CapacityUnits":1},
		"GlobalSecondaryIndexes":{"keys":{"CapacityUnits":1},"some":{"CapacityUnits":1}}}`)
	if out := w.must("PutItem", `{"TableName":"tab","Item":`+key+`}`); out != "{}" {
		t.Errorf("unasked: %s", out)
	}
	out = w.must("TransactWriteItems", `{"ReturnConsumedCapacity":"INDEXES","TransactItems":[
		{"Put":{"TableName":"tab","Item":`+item("3", "1", big(1100))+`}},{"Put":{"TableName":"tab","Item":`+item("4", "1", `"g":{"S":"G"}`)+`}}]}`)
	same(t, member(t, out, "ConsumedCapacity"), `[{"TableName":"tab","CapacityUnits":10,"WriteCapacityUnits":10,
		"Table":{"CapacityUnits":6,"WriteCapacityUnits":6},"GlobalSecondaryIndexes":{"keys":{"CapacityUnits":2,"WriteCapacityUnits":2},
		"some":{"CapacityUnits":2,"WriteCapacityUnits":2}}}]`)
	out = w.must("TransactGetItems", `{"ReturnConsumedCapacity":"TOTAL","TransactItems":[{"Get":{"TableName":"tab","Key":`+item("3", "1", "")+`}}]}`)
	same(t, member(t, out, "ConsumedCapacity"), `[{"TableName":"tab","CapacityUnits":2,"ReadCapacityUnits":2}]`)
}

func TestBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("old", "1", "")
	out := w.must("BatchWriteItem", `{"ReturnConsumedCapacity":"TOTAL","RequestItems":{"tab":[{"PutRequest":{"Item":`+item("new", "1", `"a":{"S":"A"}`)+
		`}},{"DeleteRequest":{"Key":`+item("old", "1", "")+`}}]}}`)
	same(t, out, `{"UnprocessedItems":{},"ConsumedCapacity":[{"TableName":"tab","CapacityUnits":2}]}`)
	out = w.must("BatchGetItem", `{"RequestItems":{"tab":{"ProjectionExpression":"a","Keys":[`+item("new", "1", "")+`,`+item("old", "1", "")+`]}}}`)
	same(t, out, `{"Responses":{"tab":[{"a":{"S":"A"}}]},"UnprocessedKeys":{}}`)

	requests := func(n int, format string) string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf(format, item(fmt.Sprint(i), "1", ""))
		}
		return strings.Join(all, ",")
	}
	w.must("BatchWriteItem", `{"RequestItems":{"tab":[`+requests(25, `{"PutRequest":{"Item":%s}}`)+`]}}`)
	w.fails("BatchWriteItem", `{"RequestItems":{"tab":[`+requests(26, `{"PutRequest":{"Item":%s}}`)+`]}}`, "ValidationException", "Too many items requested for the BatchWriteItem call")
	w.must("BatchGetItem", `{"RequestItems":{"tab":{"Keys":[`+requests(100, `%s`)+`]}}}`)
	w.fails("BatchGetItem", `{"RequestItems":{"tab":{"Keys":[`+requests(101, `%s`)+`]}}}`, "ValidationException", "Too many items requested for the BatchGetItem call")
	twice := item("x", "1", "")
	w.fails("BatchGetItem", `{"RequestItems":{"tab":{"Keys":[`+twice+`,`+twice+`]}}}`, "ValidationException", "Provided list of item keys contains duplicates")
	w.fails("BatchWriteItem", `{"RequestItems":{"tab":[{"PutRequest":{"Item":`+twice+`}},{"DeleteRequest":{"Key":`+twice+`}}]}}`, "ValidationException", "Provided list of item keys contains duplicates")
	w.fails("BatchWriteItem", `{"RequestItems":{"tab":[{"PutRequest":{"Item":`+twice+`}},{"DeleteRequest":{"Key":{"p":{"S":"1"}}}}]}}`, "ValidationException", "The provided key element does not match the schema")
	if w.get("x", "1") != "" {
		t.Error("a refused batch wrote something")
	}
	w.fails("BatchWriteItem", `{"RequestItems":{}}`, "ValidationException", "1 validation error detected: Value '{}' at 'requestItems' failed to satisfy constraint: Member must have length greater than or equal to 1")
}

func TestFullBatchLeavesKeysForLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var keys []string
	for i := range 44 {
		name := fmt.Sprint(i)
		w.put(name, "1", `"x":{"S":"`+strings.Repeat("x", 390*1024)+`"}`)
		keys = append(keys, item(name, "1", ""))
	}
	out := w.must("BatchGetItem", `{"RequestItems":{"tab":{"ConsistentRead":true,"Keys":[`+strings.Join(keys, ",")+`]}}}`)
	var got struct {
		Responses       map[string][]json.RawMessage
		UnprocessedKeys map[string]struct {
			Keys           []json.RawMessage
			ConsistentRead bool
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	done, left := len(got.Responses["tab"]), got.UnprocessedKeys["tab"]
	if done != 42 || len(left.Keys) != 2 || !left.ConsistentRead {
		t.Errorf("%d done, left %d (consistent %v); want 42, 2, true", done, len(left.Keys), left.ConsistentRead)
	}
}
