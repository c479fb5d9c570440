package dynamodb_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/dynamodb"
	"rolecall/infra/local/wire"
)

func TestTableLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("1", "1", `"g":{"S":"G"}`)
	table := member(t, w.must("DescribeTable", `{"TableName":"tab"}`), "Table")
	for path, want := range map[string]string{
		"TableStatus": `"ACTIVE"`, "TableArn": `"` + tableARN + `"`, "ItemCount": "1", "TableSizeBytes": "6",
		"LatestStreamArn": `"` + tableARN + `/stream/2026-01-02T03:04:05.000"`, "BillingModeSummary": `{"BillingMode":"PAY_PER_REQUEST"}`,
		"StreamSpecification": `{"StreamEnabled":true,"StreamViewType":"NEW_AND_OLD_IMAGES"}`, "CreationDateTime": "1767323045",
		"DeletionProtectionEnabled": "false",
	} {
		if got := member(t, table, path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	var indexes []dynamodb.IndexDescription
	if err := json.Unmarshal([]byte(member(t, table, "GlobalSecondaryIndexes")), &indexes); err != nil {
		t.Fatal(err)
	}
	if len(indexes) != 3 || indexes[1].IndexStatus != "ACTIVE" || indexes[1].ItemCount != 1 || indexes[1].IndexArn != tableARN+"/index/keys" {
		t.Errorf("%+v", indexes)
	}
	w.fails("CreateTable", single, "ResourceInUseException", "Table already exists: tab")
	w.must("UpdateTable", `{"TableName":"tab","DeletionProtectionEnabled":true}`)
	w.fails("DeleteTable", `{"TableName":"tab"}`, "ValidationException",
		"Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	same(t, w.must("DescribeTable", `{"TableName":"`+tableARN+`"}`), w.must("DescribeTable", `{"TableName":"tab"}`)) // by ARN too
	if err := w.service.DeleteTable(account, region, "tab", true); err != nil {
		t.Error(err)
	}
	w.fails("DescribeTable", `{"TableName":"tab"}`, "ResourceNotFoundException", "Requested resource not found: Table: tab not found")
	if err := w.service.DeleteTable(account, region, "tab", true); !dynamodb.IsNotFound(err) {
		t.Error(err)
	}
}

func TestTablesBelongToAccountAndRegion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	definition := dynamodb.Definition{
		TableName: "tab", BillingMode: "PAY_PER_REQUEST",
		AttributeDefinitions:    []dynamodb.AttributeDefinition{{AttributeName: "p", AttributeType: "S"}},
		KeySchema:               []dynamodb.KeyElement{{AttributeName: "p", KeyType: "HASH"}},
		StreamSpecification:     &dynamodb.StreamSpecification{StreamViewType: "NEW_IMAGE"},
		TimeToLiveSpecification: &dynamodb.TimeToLiveSpecification{AttributeName: "x", Enabled: true},
		PointInTimeRecoverySpecification: &dynamodb.PointInTimeRecoverySpecification{
			PointInTimeRecoveryEnabled: true,
		},
	}
	for _, place := range [][2]string{{"222222222222", region}, {account, "us-east-1"}} {
		d, err := w.service.CreateTable(place[0], place[1], definition)
		if err != nil {
			t.Fatal(err)
		}
		if want := "arn:aws:dynamodb:" + place[1] + ":" + place[0] + ":table/tab"; d.TableArn != want || d.LatestStreamArn == "" {
			t.Errorf("%s, want %s", d.TableArn, want)
		}
	}
	if got := member(t, w.must("DescribeTable", `{"TableName":"tab"}`), "Table.TableArn"); got != `"`+tableARN+`"` {
		t.Error(got)
	}
	remote := dynamodb.TableARN(account, "us-east-1", "tab")
	if got := member(t, w.must("DescribeContinuousBackups", `{"TableName":"`+remote+`"}`),
		"ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus"); got != `"ENABLED"` {
		t.Error(got)
	}
	w.must("UpdateContinuousBackups", `{"TableName":"`+remote+`","PointInTimeRecoverySpecification":{"PointInTimeRecoveryEnabled":false}}`)
	if got := member(t, w.must("DescribeContinuousBackups", `{"TableName":"`+remote+`"}`),
		"ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus"); got != `"DISABLED"` {
		t.Error(got)
	}
	same(t, w.must("ListTables", `{}`), `{"TableNames":["tab"]}`)
}

func TestListTablesPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"aaa", "zzz"} {
		w.must("CreateTable", strings.Replace(single, `"tab"`, `"`+name+`"`, 1))
	}
	same(t, w.must("ListTables", `{"Limit":2}`), `{"TableNames":["aaa","tab"],"LastEvaluatedTableName":"tab"}`)
	same(t, w.must("ListTables", `{"Limit":2,"ExclusiveStartTableName":"tab"}`), `{"TableNames":["zzz"]}`)
}

func TestUpdateTableAddsAndDropsIndexes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("1", "1", `"h":{"S":"H"}`)
	w.put("2", "1", `"h":{"N":"1"}`) // cannot be in the index, and does not stop it
	w.must("UpdateTable", `{"TableName":"tab","AttributeDefinitions":[{"AttributeName":"h","AttributeType":"S"}],
		"GlobalSecondaryIndexUpdates":[{"Create":{"IndexName":"late","KeySchema":[{"AttributeName":"h","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}},
		{"Delete":{"IndexName":"all"}}],"StreamSpecification":{"StreamEnabled":false}}`)
	if p := w.page("Scan", `{"TableName":"tab","IndexName":"late"}`); p.Count != 1 {
		t.Errorf("%+v", p)
	}
	w.fails("Scan", `{"TableName":"tab","IndexName":"all"}`, "ValidationException", "The table does not have the specified index: all")
	if w.service.Stream(tableARN) != nil {
		t.Error("the stream is still there")
	}
	w.must("UpdateTable", `{"TableName":"tab","StreamSpecification":{"StreamEnabled":true,"StreamViewType":"KEYS_ONLY"}}`)
	if got := w.service.Stream(tableARN).ARN(); got != tableARN+"/stream/2026-01-02T03:04:05.001" {
		t.Error("a new stream has a label of its own:", got)
	}
}

func TestDefinitionsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const base = `{"TableName":"new","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"p","AttributeType":"S"}],"KeySchema":[{"AttributeName":"p","KeyType":"HASH"}]}`
	const parameters = "One or more parameter values were invalid: "
	for _, c := range []struct{ from, to, want string }{
		{`"new"`, `"x"`, "TableName must be at least 3 characters long and at most 255 characters long"},
		{`"new"`, `"a b c"`, "1 validation error detected: Value 'a b c' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"},
		{`"PAY_PER_REQUEST"`, `"PROVISIONED"`, parameters + "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"},
		{`"KeySchema":[{"AttributeName":"p"`, `"KeySchema":[{"AttributeName":"q"`, parameters + "Some index key attributes are not defined in AttributeDefinitions. Keys: [q], AttributeDefinitions: [p]"},
		{`"HASH"`, `"RANGE"`, "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"},
		{
			`[{"AttributeName":"p","AttributeType":"S"}`, `[{"AttributeName":"p","AttributeType":"S"},{"AttributeName":"q","AttributeType":"S"}`,
			parameters + "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions",
		},
	} {
		body := strings.Replace(base, c.from, c.to, 1)
		if body == base {
			t.Fatalf("%s is not in the definition", c.from)
		}
		w.fails("CreateTable", body, "ValidationException", c.want)
	}
	w.must("CreateTable", base)
}

func TestNeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := item("1", "1", "")
	need := func(action, resource string) string { return "dynamodb:" + action + " " + resource }
	for _, c := range []struct {
		operation, body string
		want            []string
		leading         []string
	}{
		{"GetItem", `{"TableName":"tab","Key":` + key + `}`, []string{need("GetItem", tableARN)}, []string{"1"}},
		{"PutItem", `{"TableName":"tab","Item":` + key + `}`, []string{need("PutItem", tableARN)}, []string{"1"}},
		{"Query", `{"TableName":"tab","KeyConditionExpression":"p = :p","ExpressionAttributeValues":{":p":{"S":"x"}}}`, []string{need("Query", tableARN)}, []string{"x"}},
		{"Query", `{"TableName":"tab","IndexName":"all","KeyConditionExpression":"g = :p","ExpressionAttributeValues":{":p":{"S":"x"}}}`, []string{need("Query", tableARN+"/index/all")}, []string{"x"}},
		{"Scan", `{"TableName":"tab"}`, []string{need("Scan", tableARN)}, nil},
		{"DescribeTable", `{"TableName":"none"}`, []string{need("DescribeTable", "arn:aws:dynamodb:eu-west-1:111111111111:table/none")}, nil},
		{"ListTables", `{}`, []string{need("ListTables", "*")}, nil},
		{"BatchGetItem", `{"RequestItems":{"tab":{"Keys":[` + key + `]}}}`, []string{need("BatchGetItem", tableARN)}, []string{"1"}},
		{"BatchWriteItem", `{"RequestItems":{"tab":[{"DeleteRequest":{"Key":` + key + `}}]}}`, []string{need("BatchWriteItem", tableARN)}, []string{"1"}},
		{
			"TransactWriteItems", `{"TransactItems":[` + put("1", "") + `,` + put("2", "") + `,{"ConditionCheck":{"TableName":"tab","Key":` + key + `}},
			{"Update":{"TableName":"tab","Key":` + key + `}},{"Delete":{"TableName":"tab","Key":` + key + `}}]}`,
			[]string{need("PutItem", tableARN), need("ConditionCheckItem", tableARN), need("UpdateItem", tableARN), need("DeleteItem", tableARN)},
			[]string{"1", "2"},
		},
		{"TransactGetItems", `{"TransactItems":[{"Get":{"TableName":"tab","Key":` + key + `}}]}`, []string{need("GetItem", tableARN)}, []string{"1"}},
	} {
		needs, err := w.service.Needs(&wire.Call{Operation: c.operation, Region: region, Principal: wire.Principal{Account: account}, Body: []byte(c.body)})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, n := range needs {
			got = append(got, fmt.Sprintf("%s %s", n.Action, n.Resource))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.operation, diff)
		}
		if diff := cmp.Diff(c.leading, needs[0].Context["dynamodb:LeadingKeys"]); diff != "" {
			t.Errorf("%s leading keys (-want +got):\n%s", c.operation, diff)
		}
	}
	if _, err := w.service.Needs(&wire.Call{Operation: "GetItem", Body: []byte("{")}); err == nil {
		t.Error("a broken body was accepted")
	}
}
