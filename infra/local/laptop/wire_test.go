package laptop_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/wire"
)

// asked counts what a function has asked AWS for since a mark.
func asked(mark wire.Mark, function string) map[string]int {
	var own []wire.Entry
	for _, e := range pocket.Journal.Entries(mark) {
		if strings.HasSuffix(e.Caller, "/rolecall-"+function) {
			own = append(own, e)
		}
	}
	return wire.Tally(own)
}

// What each operation costs, counted at the wire.
func TestRequestsPerOperation(t *testing.T) {
	acme := as(t, "acme-count")
	acme.create("First") // takes the places of five pending connections
	mark := pocket.Journal.Mark()
	c := acme.create("Counted")
	want := map[string]int{"dynamodb:TransactWriteItems": 1, "kms:GenerateMac": 1}
	if d := cmp.Diff(want, asked(mark, "api")); d != "" {
		t.Errorf("create connection (-want +got):\n%s", d)
	}

	mark = pocket.Journal.Mark()
	theirs := customer{t, "222222222211", c.Launch.Region}
	theirs.launch(c, nil)
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 20*time.Second)
	// Two callbacks, one after the other: the stack started, which is two reads (the connection, then the stack's fence) and one
	// write, and the role reported, which is two reads and a message.
	want = map[string]int{"kms:VerifyMac": 2, "dynamodb:BatchGetItem": 4, "dynamodb:TransactWriteItems": 1, "sqs:SendMessage": 1}
	if d := cmp.Diff(want, asked(mark, "callback")); d != "" {
		t.Errorf("two callbacks (-want +got):\n%s", d)
	}
	// The attempt reads whose the role is and leaves its verdict in the queue; whoever tells it reads again before that, and before the
	// one write, which comes when CloudFormation has taken it.
	want = map[string]int{
		"dynamodb:BatchGetItem": 7, "sts:AssumeRole": 3, "ec2:DescribeRegions": 1, "iam:GetRole": 1, "iam:SimulatePrincipalPolicy": 1,
		"sqs:SendMessage": 1, "dynamodb:TransactWriteItems": 1,
	}
	// EC2 and IAM are asked with the customer's session, which has the function's name.
	if d := cmp.Diff(want, asked(mark, "verify")); d != "" {
		t.Errorf("first verification (-want +got):\n%s", d)
	}

	// Beyond that, a function leases 50 hand-outs at a time of what the tenant may have.
	mark = pocket.Journal.Mark()
	acme.want(http.StatusOK, "GET", "/v1/connections/"+c.ID+"/credentials", "")
	want = map[string]int{"dynamodb:UpdateItem": 1, "dynamodb:BatchGetItem": 1, "sts:AssumeRole": 1, "dynamodb:PutItem": 1}
	if d := cmp.Diff(want, asked(mark, "broker")); d != "" {
		t.Errorf("first credentials (-want +got):\n%s", d)
	}
	mark = pocket.Journal.Mark()
	acme.want(http.StatusOK, "POST", "/v1/connections/"+c.ID+"/credentials", `{"readOnly":true}`)
	want = map[string]int{"dynamodb:BatchGetItem": 1, "sts:AssumeRole": 1, "dynamodb:PutItem": 1}
	if d := cmp.Diff(want, asked(mark, "broker")); d != "" {
		t.Errorf("credentials (-want +got):\n%s", d)
	}

	// The same function hands the session out again, for one read.
	mark = pocket.Journal.Mark()
	for range 3 {
		acme.want(http.StatusOK, "GET", "/v1/connections/"+c.ID+"/credentials?format=process", "")
	}
	want = map[string]int{"dynamodb:BatchGetItem": 3}
	if d := cmp.Diff(want, asked(mark, "broker")); d != "" {
		t.Errorf("credentials held (-want +got):\n%s", d)
	}
}

// A report by itself: two reads and one message. What it reports is written when it has been proven.
func TestRequestsOfOneCallback(t *testing.T) {
	acme := as(t, "acme-count-one")
	c := acme.create("One callback")
	theirs := customer{t, "222222222212", c.Launch.Region}
	text := withoutStarted(t, template(t, c))
	mark := pocket.Journal.Mark()
	theirs.launchBody(c, text)
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 20*time.Second)
	want := map[string]int{"kms:VerifyMac": 1, "dynamodb:BatchGetItem": 2, "sqs:SendMessage": 1}
	if d := cmp.Diff(want, asked(mark, "callback")); d != "" {
		t.Errorf("callback (-want +got):\n%s", d)
	}
}

// A role pasted by hand costs the same; where its trust policy cannot be read, one probe more finds out whether it takes
// session tags.
func TestRequestsForAPastedRole(t *testing.T) {
	acme := as(t, "acme-count-paste")
	for _, tt := range []struct {
		account string
		actions string
		probes  int
	}{{"222222222213", `"ec2:DescribeRegions","iam:GetRole"`, 3}, {"222222222216", `"ec2:DescribeRegions"`, 4}} {
		c := acme.create("Pasted " + tt.account)
		role := pastedRole(t, tt.account, "Pasted", c.ExternalID, tt.actions)
		mark := pocket.Journal.Mark()
		acme.want(http.StatusOK, "PUT", "/v1/connections/"+c.ID+"/role", `{"roleArn":"`+role+`"}`)
		got := asked(mark, "broker")
		if got["sts:AssumeRole"] != tt.probes || got["dynamodb:BatchGetItem"] != 1 || got["dynamodb:TransactWriteItems"] != 2 {
			t.Errorf("with %s: %v", tt.actions, got)
		}
	}
}

// A function that lacks a permission fails on the laptop as it would in AWS.
func TestAMissingPermissionIsMissed(t *testing.T) {
	acme := as(t, "acme-denied")
	c := acme.create("Denied")
	role := roleOf(t, "rolecall-api")
	if err := pocket.IAM.PutRolePolicy("111111111111", role, "spoil", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"dynamodb:BatchGetItem","Resource":"*"}]}`); err != nil {
		t.Fatal(err)
	}
	mark := pocket.Journal.Mark()
	a := acme.call("GET", "/v1/connections/"+c.ID, "")
	if err := pocket.IAM.DeleteRolePolicy("111111111111", role, "spoil"); err != nil {
		t.Fatal(err)
	}
	if a.status != http.StatusServiceUnavailable || !strings.Contains(string(a.body), `"STORE_UNAVAILABLE"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	denied := false
	for _, e := range pocket.Journal.Entries(mark) {
		denied = denied || (e.Operation == "BatchGetItem" && e.Status >= 400 && strings.HasPrefix(e.Code, "AccessDenied"))
	}
	if !denied {
		t.Error("the journal has no denial")
	}
	acme.get(c.ID)
}

// roleOf is the name of a function's role, as the template made it.
func roleOf(t *testing.T, function string) string {
	t.Helper()
	f, err := pocket.Lambda.Function("arn:aws:lambda:eu-west-1:111111111111:function:" + function)
	if err != nil {
		t.Fatal(err)
	}
	return f.RoleARN[strings.LastIndex(f.RoleARN, "/")+1:]
}

// A message that nobody can read is dropped and counted, at once: it is no dead letter, and holds up no other.
func TestAPoisonMessageIsDropped(t *testing.T) {
	const queue, dead = "arn:aws:sqs:eu-west-1:111111111111:rolecall-callbacks", "arn:aws:sqs:eu-west-1:111111111111:rolecall-callbacks-dlq"
	dropped := func() int {
		return strings.Count(strings.Join(logs.all(), "\n"), `"Reason":"message","CallbacksDropped":1`)
	}
	messages := func(queue, attribute string) string {
		a, err := pocket.SQS.Attributes(queue)
		if err != nil {
			t.Fatal(err)
		}
		return a[attribute]
	}
	before, deadBefore := dropped(), messages(dead, "ApproximateNumberOfMessages")
	const poison = `{"Type":"Notification","TopicArn":"arn:aws:sns:eu-west-1:111111111111:rolecall-callbacks","Timestamp":"2026-03-04T05:06:07Z","Message":"{"}`
	if _, err := pocket.SQS.Send(queue, poison, nil); err != nil {
		t.Fatal(err)
	}
	acme := as(t, "acme-poison")
	c := acme.create("Beside poison")
	theirs := customer{t, "222222222214", c.Launch.Region}
	theirs.launch(c, nil)
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 20*time.Second)
	eventually(t, 20*time.Second, "an empty queue", func() bool {
		return dropped() == before+1 && messages(queue, "ApproximateNumberOfMessages")+messages(queue, "ApproximateNumberOfMessagesNotVisible") == "00"
	})
	if n := messages(dead, "ApproximateNumberOfMessages"); n != deadBefore {
		t.Errorf("%s dead letters, before %s", n, deadBefore)
	}
}

// Another tenant's connection and one that does not exist answer byte for byte the same.
func TestTenantsCannotSeeEachOther(t *testing.T) {
	acme, other := as(t, "acme-mine"), as(t, "other")
	c := acme.create("Mine")
	nobodys := c.ID[:len(c.ID)-6] + "000000"
	routes := []struct{ method, path, body string }{
		{"GET", "", ""},
		{"DELETE", "", ""},
		{"POST", "/launch", ""},
		{"GET", "/events", ""},
		{"PUT", "/role", `{"roleArn":"arn:aws:iam::222222222222:role/x"}`},
		{"POST", "/verify", ""},
		{"GET", "/credentials", ""},
		{"POST", "/credentials", `{"readOnly":true}`},
		{"POST", "/sign-in", "{}"},
		{"POST", "/revoke-sessions", ""},
		{"GET", "/sessions", ""},
	}
	for _, r := range routes {
		theirs := other.call(r.method, "/v1/connections/"+c.ID+r.path, r.body)
		none := other.call(r.method, "/v1/connections/"+nobodys+r.path, r.body)
		if theirs.status != http.StatusNotFound || none.status != http.StatusNotFound || string(theirs.body) != string(none.body) {
			t.Errorf("%s %s: %d %s and %d %s", r.method, r.path, theirs.status, theirs.body, none.status, none.body)
		}
	}
	if got := acme.get(c.ID); got.Version != 1 {
		t.Errorf("changed by another tenant: version %d", got.Version)
	}
	var page struct{ Items []connection }
	other.want(http.StatusOK, "GET", "/v1/connections", "").into(t, &page)
	if len(page.Items) != 0 {
		t.Errorf("another tenant lists %d connections", len(page.Items))
	}
}

// Bad requests through the whole stack: a problem with a stable code, and nothing written.
func TestBadRequests(t *testing.T) {
	acme := as(t, "acme-bad")
	acme.create("Taken")
	tests := []struct {
		name, method, path, body string
		status                   int
		code                     string
	}{
		{"no JSON", "POST", "/v1/connections", "{", 400, "BODY_INVALID"},
		{"unknown field", "POST", "/v1/connections", `{"name":"x","colour":"red"}`, 400, "UNKNOWN_FIELD"},
		{"an external ID of their own", "POST", "/v1/connections", `{"name":"x","externalId":"rc-mine"}`, 400, ""},
		{"no name", "POST", "/v1/connections", `{}`, 400, ""},
		{"a name too long", "POST", "/v1/connections", `{"name":"` + strings.Repeat("x", 65) + `"}`, 400, "NAME_INVALID"},
		{"a control character", "POST", "/v1/connections", `{"name":"a\u0000b"}`, 400, "NAME_INVALID"},
		{"a name taken", "POST", "/v1/connections", `{"name":"TAKEN"}`, 409, "NAME_TAKEN"},
		{"an oversized body", "POST", "/v1/connections", `{"name":"` + strings.Repeat("x", 70_000) + `"}`, 413, ""},
		{"no such route", "GET", "/v1/nothing", "", 404, ""},
		{"a malformed ARN", "PUT", "/v1/connections/conn_00000000000000000000000000/role", `{"roleArn":"arn:aws:iam::1:role/x"}`, 400, "ROLE_ARN_INVALID"},
	}
	mark := pocket.Journal.Mark()
	for _, tt := range tests {
		a := acme.call(tt.method, tt.path, tt.body)
		if a.status != tt.status || (tt.code != "" && !strings.Contains(string(a.body), `"`+tt.code+`"`)) {
			t.Errorf("%s: %d %s, want %d %s", tt.name, a.status, a.body, tt.status, tt.code)
		}
		if tt.path != "/v1/nothing" && a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: content type %q", tt.name, a.header.Get("Content-Type"))
		}
	}
	for _, e := range pocket.Journal.Entries(mark) {
		if e.Operation == "PutItem" || (e.Operation == "TransactWriteItems" && e.Status < 400) {
			t.Errorf("written by a bad request: %s by %s", e.Operation, e.Caller)
		}
	}
}

// What a stack needs in order to be taken for the customer's is for callers who may write: whoever may only read finds it
// by no route of the API.
func TestReadersSeeNoToken(t *testing.T) {
	acme, reader := as(t, "acme-readers"), as(t, "acme-readers", "connections:read", "credentials:issue")
	c := acme.create("Read by many")
	var e enrolment
	acme.want(http.StatusCreated, "POST", "/v1/enrolments", `{"organizationId":"o-readers123","organizationalUnitIds":["r-ab12"]}`).into(t, &e)
	secrets := []string{c.Launch.Parameters["CallbackToken"], e.Launch.Parameters["EnrolmentToken"]}
	var document struct {
		Paths map[string]map[string]struct{ Security []map[string][]string }
	}
	tenant{t, ""}.want(http.StatusOK, "GET", "/openapi.json", "").into(t, &document)
	walked := 0
	for path, methods := range document.Paths {
		if get, ok := methods["get"]; !ok || len(get.Security) != 1 || get.Security[0]["token"][0] != "connections:read" {
			continue
		}
		walked++
		id := c.ID
		if strings.HasPrefix(path, "/v1/enrolments/") {
			id = e.ID
		}
		a := reader.call("GET", strings.ReplaceAll(path, "{id}", id), "")
		if a.status != http.StatusOK && path != "/v1/effective-connection" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
		for _, secret := range secrets {
			for _, form := range formsOf(secret) {
				if strings.Contains(string(a.body), form) {
					t.Errorf("%s shows a reader a token", path)
				}
			}
		}
	}
	if walked < 8 {
		t.Errorf("only %d routes were read", walked)
	}
	if seen := acme.get(c.ID).Launch; seen == nil || seen.Parameters["CallbackToken"] != secrets[0] {
		t.Error("who may write does not see the launch")
	}
	if seen := acme.enrolment(e.ID).Launch; seen == nil || seen.Parameters["EnrolmentToken"] != secrets[1] {
		t.Error("who may write does not see the enrolment's launch")
	}
}

// Secrets: none of what was handed out or handed in during the other tests shows in what the functions wrote, in the
// table, or in what was published.
func TestNoSecretShows(t *testing.T) {
	acme := as(t, "acme-canary")
	c := acme.create("Canary")
	theirs := customer{t, "222222222215", c.Launch.Region}
	theirs.launch(c, nil)
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 20*time.Second)
	var creds struct{ SecretAccessKey, Token string }
	acme.want(http.StatusOK, "GET", "/v1/connections/"+c.ID+"/credentials", "").into(t, &creds)
	secrets := map[string]string{
		"callback token": c.Launch.Parameters["CallbackToken"], "secret key": creds.SecretAccessKey, "session token": creds.Token,
		"bearer token": acme.token, "response URL": "_cfn-response", "its signature": "X-Amz-Signature",
	}
	places := map[string]string{"logs": strings.Join(logs.all(), "\n"), "table": scan(t), "timeline": timelineText(acme, c.ID)}
	for where, text := range places {
		for what, secret := range secrets {
			if secret == "" || strings.Contains(text, secret) {
				t.Errorf("%s: %s", where, what)
			}
		}
	}
}

func timelineText(x tenant, id string) string {
	return string(x.want(http.StatusOK, "GET", "/v1/connections/"+id+"/events?limit=100", "").body)
}

// What steers the laptop itself is not for other sites' pages.
func TestOtherSitesCannotSteerTheLaptop(t *testing.T) {
	for name, header := range map[string][2]string{
		"another origin": {"Origin", "https://evil.example"}, "cross-site": {"Sec-Fetch-Site", "cross-site"}, "another name": {"Host", "evil.example"},
	} {
		for _, path := range []string{"/_local/sweep", "/_local/faults"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, pocket.APIURL+path, strings.NewReader(`{"service":"kms","kind":"error500"}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set(header[0], header[1])
			if header[0] == "Host" {
				req.Host = header[1]
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusForbidden {
				t.Errorf("%s to %s: %d", name, path, resp.StatusCode)
			}
		}
	}
}

// A connection that was made is told as made, even if its launch cannot be shown: its name is used up.
func TestAConnectionIsToldAlthoughTheKeyFails(t *testing.T) {
	acme := as(t, "acme-key-fails")
	local := tenant{t, ""}
	local.want(http.StatusCreated, "POST", "/_local/faults", `{"service":"kms","kind":"error500"}`)
	var c connection
	a := acme.call("POST", "/v1/connections", `{"name":"Key fails"}`)
	local.call("DELETE", "/_local/faults", "")
	if a.status != http.StatusCreated {
		t.Fatalf("%d %s", a.status, a.body)
	}
	a.into(t, &c)
	if got := acme.get(c.ID); got.Launch == nil {
		t.Error("no launch afterwards")
	}
}
