package laptop_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// keep puts a record into the table, as other processes would have left it.
func keep(t *testing.T, record map[string]any) {
	t.Helper()
	client := dynamodb.NewFromConfig(awsConfig("111111111111", "any", "", "eu-west-1"))
	tables, err := client.ListTables(context.Background(), &dynamodb.ListTablesInput{})
	if err != nil {
		t.Fatal(err)
	}
	item, err := attributevalue.MarshalMap(record)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutItem(context.Background(), &dynamodb.PutItemInput{TableName: &tables.TableNames[0], Item: item}); err != nil {
		t.Fatal(err)
	}
}

func refusedFor(t *testing.T, a answer, status int, code string) time.Duration {
	t.Helper()
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if a.status != status || err != nil || !strings.Contains(string(a.body), `"`+code+`"`) || !strings.Contains(string(a.body), `"fix"`) {
		t.Errorf("%d %s, Retry-After %q; want %d %s", a.status, a.body, a.header.Get("Retry-After"), status, code)
	}
	return time.Duration(seconds) * time.Second
}

// A tenant that has used up its limits is told so, and when to come back; nothing is asked of AWS for it, and another
// tenant's requests cost what they always do.
func TestATenantsLimits(t *testing.T) {
	flood, modest := as(t, "acme-flood"), as(t, "acme-modest")
	keep(t, map[string]any{"PK": "TENANT#acme-flood", "SK": "PLACES", "used": 1000, "countedAt": time.Now().UTC().Format(time.RFC3339Nano)})
	if wait := refusedFor(t, flood.call("POST", "/v1/connections", `{"name":"One more"}`), http.StatusConflict, "PENDING_LIMIT"); wait > 30*time.Second {
		t.Errorf("to wait %s", wait)
	}
	mark := pocket.Journal.Mark()
	refusedFor(t, flood.call("POST", "/v1/connections", `{"name":"One more"}`), http.StatusConflict, "PENDING_LIMIT")
	if got := asked(mark, "api"); len(got) != 0 {
		t.Errorf("a refusal that was to be expected cost %v", got)
	}
	c := modest.create("Beside a flood")

	for i := range 2 { // the minute may end meanwhile
		minute := time.Now().UTC().Add(time.Duration(i) * time.Minute).Format("2006-01-02T15:04")
		keep(t, map[string]any{"PK": "TENANT#acme-flood", "SK": "LIMIT#verifications#" + minute, "used": 300})
	}
	mark = pocket.Journal.Mark()
	for _, body := range []string{"", `{"roleArn":"arn:aws:iam::222222222217:role/Flood"}`} {
		method, path := "POST", "/v1/connections/"+c.ID+"/verify"
		if body != "" {
			method, path = "PUT", "/v1/connections/"+c.ID+"/role"
		}
		if wait := refusedFor(t, flood.call(method, path, body), http.StatusTooManyRequests, "TOO_MANY_REQUESTS"); wait > time.Minute {
			t.Errorf("to wait %s", wait)
		}
	}
	if got := asked(mark, "broker"); got["sts:AssumeRole"]+got["dynamodb:BatchGetItem"]+got["dynamodb:TransactWriteItems"] != 0 {
		t.Errorf("refused verifications cost %v", got)
	}
	role := pastedRole(t, "222222222217", "Modest", c.ExternalID, `"ec2:DescribeRegions","iam:GetRole"`)
	modest.want(http.StatusOK, "PUT", "/v1/connections/"+c.ID+"/role", `{"roleArn":"`+role+`"}`)

	for i := range 2 {
		minute := time.Now().UTC().Add(time.Duration(i) * time.Minute).Format("2006-01-02T15:04")
		keep(t, map[string]any{"PK": "TENANT#acme-modest", "SK": "LIMIT#revocations#" + c.ID + "#" + minute, "used": 2})
	}
	mark = pocket.Journal.Mark()
	a := modest.call("POST", "/v1/connections/"+c.ID+"/revoke-sessions", "")
	if wait := refusedFor(t, a, http.StatusTooManyRequests, "TOO_MANY_REQUESTS"); wait > time.Minute {
		t.Errorf("to wait %s", wait)
	}
	if got := asked(mark, "broker"); got["sts:AssumeRole"]+got["dynamodb:TransactWriteItems"] != 0 {
		t.Errorf("a refused revocation cost %v", got)
	}
}

// Places that were taken by connections that are pending no more are found again when they are counted.
func TestPlacesAreCountedAnew(t *testing.T) {
	acme := as(t, "acme-places")
	keep(t, map[string]any{"PK": "TENANT#acme-places", "SK": "PLACES", "used": 1000, "countedAt": "2026-01-01T00:00:00Z"})
	mark := pocket.Journal.Mark()
	acme.create("After the count")
	if got := asked(mark, "api"); got["dynamodb:Query"] != 1 || got["dynamodb:TransactWriteItems"] != 1 {
		t.Errorf("%v", got)
	}
}
