package cfn

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/wire"
	"rolecall/templates"
)

// A vendor is the other side of the custom resource protocol: what would be a function behind a topic.
type vendor struct {
	requests chan arrival
	fail     error
}

// arrival is a request as it arrives.
type arrival struct {
	principal wire.Principal
	target    string
	body      map[string]any
}

func (m arrival) text(key string) string { s, _ := m.body[key].(string); return s }

func newVendor(t *testing.T) (*Engine, *things, *vendor) {
	t.Helper()
	v := &vendor{requests: make(chan arrival, 100)}
	config := testConfig()
	deliver := func(_ context.Context, p wire.Principal, target, message string) error {
		if v.fail != nil {
			return v.fail
		}
		m := arrival{principal: p, target: target}
		if err := json.Unmarshal([]byte(message), &m.body); err != nil {
			return err
		}
		v.requests <- m
		return nil
	}
	config.Publish = deliver
	config.InvokeAsync = func(ctx context.Context, p wire.Principal, arn string, payload []byte) error {
		return deliver(ctx, p, arn, string(payload))
	}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	config.Endpoint = server.URL
	e, things := newTestEngine(t, config)
	mux.Handle(ResponsePath, e.Responses())
	return e, things, v
}

func (v *vendor) next(t *testing.T) arrival {
	t.Helper()
	select {
	case m := <-v.requests:
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("no request came")
		return arrival{}
	}
}

// send sends a response's body and gives the status.
func send(t *testing.T, method, to, body string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, to, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode
}

// answer is a good response with changes: a nil value takes a member away.
func answer(t *testing.T, m arrival, changes map[string]any) string {
	t.Helper()
	body := map[string]any{
		"Status": "SUCCESS", "PhysicalResourceId": "conn_1", "StackId": m.body["StackId"], "RequestId": m.body["RequestId"],
		"LogicalResourceId": m.body["LogicalResourceId"],
	}
	for key, v := range changes {
		body[key] = v
		if v == nil {
			delete(body, key)
		}
	}
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (v *vendor) respond(t *testing.T, changes map[string]any) arrival {
	t.Helper()
	m := v.next(t)
	if status := send(t, http.MethodPut, m.text("ResponseURL"), answer(t, m, changes)); status != http.StatusOK {
		t.Fatalf("PUT: %d", status)
	}
	return m
}

const connection = `
Parameters: {Version: {Type: String, Default: "1"}, Token: {Type: String, Default: ` + topic + `}}
Resources:
  Connection:
    Type: Custom::RolecallConnection
    Properties:
      ServiceToken: !Ref Token
      ServiceTimeout: 300
      Version: !Ref Version
      Flag: true
      Number: 1.50
      List: [1, {Deep: false}]
Outputs:
  Id: {Value: !Ref Connection}
  Said: {Value: !GetAtt Connection.Said}
`

func TestCustomResource(t *testing.T) {
	t.Parallel()
	e, _, v := newVendor(t)
	id, err := e.Create(t.Context(), testInput("st", connection))
	if err != nil {
		t.Fatal(err)
	}
	m := v.respond(t, map[string]any{"Data": map[string]any{"Said": 7}})
	s := expect(t, e, id, CreateComplete)
	if s.Output("Id") != "conn_1" || s.Output("Said") != "7" {
		t.Errorf("outputs %v", s.Outputs)
	}
	if m.target != topic || m.principal.ARN != rootPrincipal.ARN || m.principal.CalledVia[0] != "cloudformation.amazonaws.com" {
		t.Errorf("sent to %s as %+v", m.target, m.principal)
	}
	properties := map[string]any{
		"ServiceToken": topic, "ServiceTimeout": "300", "Version": "1", "Flag": "true", "Number": "1.50",
		"List": []any{"1", map[string]any{"Deep": "false"}},
	}
	request := map[string]any{
		"RequestType": "Create", "ServiceToken": topic, "ResponseURL": m.body["ResponseURL"], "StackId": s.ID, "RequestId": m.body["RequestId"],
		"LogicalResourceId": "Connection", "ResourceType": "Custom::RolecallConnection", "ResourceProperties": properties,
	}
	if diff := cmp.Diff(request, m.body); diff != "" {
		t.Error(diff)
	}

	if _, err := e.Update(t.Context(), testInput("st", connection, "Version", "2")); err != nil {
		t.Fatal(err)
	}
	m = v.respond(t, map[string]any{"Data": map[string]any{"Said": "more"}})
	s = expect(t, e, id, UpdateComplete)
	old := m.body["OldResourceProperties"].(map[string]any)
	now := m.body["ResourceProperties"].(map[string]any)
	if m.text("RequestType") != "Update" || m.text("PhysicalResourceId") != "conn_1" || old["Version"] != "1" || now["Version"] != "2" || s.Output("Said") != "more" {
		t.Errorf("update %v, outputs %v", m.body, s.Outputs)
	}

	if err := e.Delete(DeleteInput{Principal: rootPrincipal, Account: account, Region: region, Name: "st"}); err != nil {
		t.Fatal(err)
	}
	m = v.respond(t, nil)
	if _, has := m.body["OldResourceProperties"]; has || m.text("RequestType") != "Delete" || m.text("PhysicalResourceId") != "conn_1" {
		t.Errorf("delete %v", m.body)
	}
	expect(t, e, id, DeleteComplete)
}

func TestCustomResourceReplaced(t *testing.T) {
	t.Parallel()
	e, _, v := newVendor(t)
	id, err := e.Create(t.Context(), testInput("st", connection))
	if err != nil {
		t.Fatal(err)
	}
	v.respond(t, map[string]any{"Data": map[string]any{"Said": "x"}})
	expect(t, e, id, CreateComplete)
	if _, err := e.Update(t.Context(), testInput("st", connection, "Version", "2")); err != nil {
		t.Fatal(err)
	}
	v.respond(t, map[string]any{"PhysicalResourceId": "conn_2", "Data": map[string]any{"Said": "x"}})
	m := v.respond(t, nil)
	if m.text("RequestType") != "Delete" || m.text("PhysicalResourceId") != "conn_1" {
		t.Errorf("cleanup asked for %v", m.body)
	}
	if s := expect(t, e, id, UpdateComplete); s.Output("Id") != "conn_2" {
		t.Errorf("outputs %v", s.Outputs)
	}
}

// A FAILED create is followed by a Delete: with the physical id that the response gave, else with one made up.
func TestCustomResourceThatFails(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		changes map[string]any
		raw     string // instead of changes
		reason  string
		deleted string // the physical id that the Delete names; "" for one made up
	}{
		"FAILED":                  {map[string]any{"Status": "FAILED", "Reason": "EXTERNAL_ID_NOT_REQUIRED: fix it"}, "", "Received response status [FAILED] from custom resource. Message returned: EXTERNAL_ID_NOT_REQUIRED: fix it (RequestId: ", "conn_1"},
		"FAILURE":                 {map[string]any{"Status": "FAILURE"}, "", "Invalid response status [FAILURE]. It must be SUCCESS or FAILED.", "conn_1"},
		"success in small":        {map[string]any{"Status": "success"}, "", "Invalid response status [success]. It must be SUCCESS or FAILED.", "conn_1"},
		"status under wrong name": {map[string]any{"Status": nil, "status": "SUCCESS"}, "", "Invalid response status []. It must be SUCCESS or FAILED.", "conn_1"},
		"no physical id":          {map[string]any{"PhysicalResourceId": nil}, "", "Invalid PhysicalResourceId", ""},
		"empty physical id":       {map[string]any{"PhysicalResourceId": "", "Status": "FAILED", "Reason": "unseen"}, "", "Invalid PhysicalResourceId", ""},
		"long physical id":        {map[string]any{"PhysicalResourceId": strings.Repeat("x", 1025)}, "", "Invalid PhysicalResourceId", ""},
		"longest physical id":     {map[string]any{"PhysicalResourceId": strings.Repeat("x", 1024), "Status": "FAILED", "Reason": "r"}, "", "Message returned: r (RequestId: ", strings.Repeat("x", 1024)},
		"too long":                {map[string]any{"Reason": strings.Repeat("x", 4096)}, "", "Response object is too long.", ""},
		"no JSON":                 {nil, "{", "Response object is not valid JSON.", ""},
		"two objects":             {nil, "{} {}", "Response object is not valid JSON.", ""},
		"no object":               {nil, "[]", "Response object is not valid JSON.", ""},
		"not even text":           {nil, "", "Response object is not valid JSON.", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, _, v := newVendor(t)
			id, err := e.Create(t.Context(), testInput("st", connection))
			if err != nil {
				t.Fatal(err)
			}
			m := v.next(t)
			body := test.raw
			if test.changes != nil {
				body = answer(t, m, test.changes)
			}
			if status := send(t, http.MethodPut, m.text("ResponseURL"), body); status != http.StatusOK {
				t.Errorf("PUT: %d", status)
			}
			gone := v.respond(t, nil)
			expect(t, e, id, RollbackComplete)
			if told := story(t, e, id); !strings.Contains(told, "Connection CREATE_FAILED: "+test.reason) && !strings.Contains(told, test.reason) {
				t.Errorf("no %q in\n%s", test.reason, told)
			}
			physical := gone.text("PhysicalResourceId")
			if gone.text("RequestType") != "Delete" || (test.deleted != "" && physical != test.deleted) || (test.deleted == "" && !strings.HasPrefix(physical, "st-Connection-")) {
				t.Errorf("rollback asked for %s of %q", gone.text("RequestType"), physical)
			}
		})
	}
}

func TestCustomResourceTimesOut(t *testing.T) {
	t.Parallel()
	e, _, v := newVendor(t)
	id, err := e.Create(t.Context(), testInput("st", strings.Replace(connection, "ServiceTimeout: 300", "ServiceTimeout: '1'", 1)))
	if err != nil {
		t.Fatal(err)
	}
	created := v.next(t)
	deleted := v.next(t)
	// The answer to the Create comes while the Delete is under way, and is too late.
	if status := send(t, http.MethodPut, created.text("ResponseURL"), answer(t, created, nil)); status != http.StatusOK {
		t.Errorf("late PUT: %d", status)
	}
	if status := send(t, http.MethodPut, deleted.text("ResponseURL"), answer(t, deleted, nil)); status != http.StatusOK {
		t.Errorf("PUT: %d", status)
	}
	expect(t, e, id, RollbackComplete)
	want := "CloudFormation did not receive a response from your Custom Resource. Please check your logs for requestId [" + created.text("RequestId") + "]."
	if told := story(t, e, id); !strings.Contains(told, "Connection CREATE_FAILED: "+want) {
		t.Errorf("no %q in\n%s", want, told)
	}
	if physical := deleted.text("PhysicalResourceId"); !strings.HasPrefix(physical, "st-Connection-") {
		t.Errorf("deleted %q", physical)
	}
}

// When another resource fails, CloudFormation does not wait for a custom resource under way, and its Delete overtakes.
func TestCustomResourceIsCancelled(t *testing.T) {
	t.Parallel()
	e, things, v := newVendor(t)
	gate := make(chan struct{})
	things.gates["create Bad"], things.fail["create Bad"] = gate, errors.New("no")
	id, err := e.Create(t.Context(), testInput("st", strings.Replace(connection, "Resources:", "Resources:\n  Bad: {Type: 'Test::Thing'}", 1)))
	if err != nil {
		t.Fatal(err)
	}
	created := v.next(t)
	close(gate)
	deleted := v.respond(t, nil)
	if status := send(t, http.MethodPut, created.text("ResponseURL"), answer(t, created, nil)); status != http.StatusOK {
		t.Errorf("late PUT: %d", status)
	}
	expect(t, e, id, RollbackComplete)
	if told := story(t, e, id); !strings.Contains(told, "Connection CREATE_FAILED: Resource creation cancelled") {
		t.Error(told)
	}
	if deleted.text("RequestType") != "Delete" || !strings.HasPrefix(deleted.text("PhysicalResourceId"), "st-Connection-") {
		t.Errorf("rollback asked for %v", deleted.body)
	}
}

func TestCustomResourceUpdateRollsBack(t *testing.T) {
	t.Parallel()
	e, _, v := newVendor(t)
	id, err := e.Create(t.Context(), testInput("st", connection))
	if err != nil {
		t.Fatal(err)
	}
	v.respond(t, map[string]any{"Data": map[string]any{"Said": "x"}})
	expect(t, e, id, CreateComplete)
	if _, err := e.Update(t.Context(), testInput("st", connection, "Version", "2")); err != nil {
		t.Fatal(err)
	}
	v.respond(t, map[string]any{"Status": "FAILED", "Reason": "no"})
	back := v.respond(t, map[string]any{"Data": map[string]any{"Said": "x"}})
	expect(t, e, id, UpdateRollbackComplete)
	old, now := back.body["OldResourceProperties"].(map[string]any), back.body["ResourceProperties"].(map[string]any)
	if back.text("RequestType") != "Update" || old["Version"] != "2" || now["Version"] != "1" || back.text("PhysicalResourceId") != "conn_1" {
		t.Errorf("rollback asked for %v", back.body)
	}
}

func TestCustomResourceIsRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ template, reason string }{
		"no token":         {strings.Replace(connection, "      ServiceToken: !Ref Token\n", "", 1), "Invalid service token."},
		"no ARN":           {strings.Replace(connection, "!Ref Token", "hello", 1), "Invalid service token."},
		"another service":  {strings.Replace(connection, "!Ref Token", "arn:aws:sqs:eu-west-1:111111111111:q", 1), "Invalid service token."},
		"another Region":   {strings.Replace(connection, "!Ref Token", strings.Replace(topic, region, "us-east-1", 1), 1), "Invalid service token. arn:aws:sns:us-east-1:111111111111:rolecall-callbacks must be in the stack's Region eu-west-1."},
		"timeout 0":        {strings.Replace(connection, "ServiceTimeout: 300", "ServiceTimeout: 0", 1), "Invalid ServiceTimeout."},
		"timeout too long": {strings.Replace(connection, "ServiceTimeout: 300", "ServiceTimeout: 3601", 1), "Invalid ServiceTimeout."},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, _, v := newVendor(t)
			s := create(t, e, testInput("st", test.template), RollbackComplete)
			if told := story(t, e, s.ID); !strings.Contains(told, "Connection CREATE_FAILED: "+test.reason) {
				t.Errorf("no %q in\n%s", test.reason, told)
			}
			if len(v.requests) > 0 {
				t.Error("a request was sent all the same")
			}
		})
	}
}

func TestCustomResourceThatCannotBeSent(t *testing.T) {
	t.Parallel()
	e, _, v := newVendor(t)
	v.fail = &wire.Error{Code: "AuthorizationError", Message: "User is not authorized to perform: SNS:Publish", Status: 403}
	s := create(t, e, testInput("st", connection), RollbackComplete)
	want := "Connection CREATE_FAILED: User is not authorized to perform: SNS:Publish (Status Code: 403; Error Code: AuthorizationError)"
	if told := story(t, e, s.ID); !strings.Contains(told, want) {
		t.Errorf("no %q in\n%s", want, told)
	}
}

func TestServiceTokenMayNotChange(t *testing.T) {
	t.Parallel()
	e, _, v := newVendor(t)
	id, err := e.Create(t.Context(), testInput("st", connection))
	if err != nil {
		t.Fatal(err)
	}
	v.respond(t, map[string]any{"Data": map[string]any{"Said": "x"}})
	expect(t, e, id, CreateComplete)
	if _, err := e.Update(t.Context(), testInput("st", connection, "Token", topic+"2")); err != nil {
		t.Fatal(err)
	}
	wait(t, e, id)
	if told := story(t, e, id); !strings.Contains(told, "Connection UPDATE_FAILED: Modifying service token is not allowed.") {
		t.Error(told)
	}
}

func TestCustomResourceOfALambda(t *testing.T) {
	t.Parallel()
	e, _, v := newVendor(t)
	arn := "arn:aws:lambda:eu-west-1:222222222222:function:f"
	template := strings.Replace(connection, "Custom::RolecallConnection", "AWS::CloudFormation::CustomResource", 1)
	id, err := e.Create(t.Context(), testInput("st", template, "Token", arn))
	if err != nil {
		t.Fatal(err)
	}
	m := v.respond(t, map[string]any{"Data": map[string]any{"Said": "x"}})
	if m.target != arn || m.text("ResourceType") != "AWS::CloudFormation::CustomResource" {
		t.Errorf("sent %v to %s", m.body, m.target)
	}
	expect(t, e, id, CreateComplete)
}

func TestMissingDataRollsBack(t *testing.T) {
	t.Parallel()
	e, _, v := newVendor(t)
	id, err := e.Create(t.Context(), testInput("st", connection))
	if err != nil {
		t.Fatal(err)
	}
	v.respond(t, nil)
	v.respond(t, nil) // Delete
	expect(t, e, id, RollbackComplete)
	if told := story(t, e, id); !strings.Contains(told, "CustomResource attribute error: Vendor response doesn't contain Said attribute") {
		t.Error(told)
	}
}

func TestResponseURL(t *testing.T) {
	t.Parallel()
	e, _, v := newVendor(t)
	id, err := e.Create(t.Context(), testInput("st", connection))
	if err != nil {
		t.Fatal(err)
	}
	m := v.next(t)
	good := answer(t, m, map[string]any{"Data": map[string]any{"Said": "x"}})
	u, err := url.Parse(m.text("ResponseURL"))
	if err != nil || u.Path != ResponsePath+m.text("StackId")+"|Connection|"+m.text("RequestId") {
		t.Fatalf("ResponseURL %s, %v", u, err)
	}
	if strings.ContainsAny(u.EscapedPath(), ":|+") {
		t.Errorf("the key is not percent-encoded: %s", u.EscapedPath())
	}
	for _, key := range []string{"StackId", "RequestId", "LogicalResourceId"} {
		if status := send(t, http.MethodPut, u.String(), answer(t, m, map[string]any{key: "another's"})); status != http.StatusOK {
			t.Errorf("another's %s: %d", key, status)
		}
	}
	s, err := e.Stack(account, region, id)
	if err != nil || s.Status != CreateInProgress {
		t.Fatalf("the stack took what it should not: %s, %v", s.Status, err)
	}
	for _, body := range []string{good, answer(t, m, map[string]any{"Status": "FAILED", "Reason": "second"})} {
		if status := send(t, http.MethodPut, u.String(), body); status != http.StatusOK {
			t.Errorf("PUT: %d", status)
		}
	}
	expect(t, e, id, CreateComplete)
}

// opened is one request whose response is waited for, and the bucket on its own.
func opened(t *testing.T) (c *customResources, x *exchange, now *time.Time) {
	t.Helper()
	config := testConfig()
	at := config.Clock().UTC().Truncate(time.Second)
	config.Clock = func() time.Time { return at }
	config.Endpoint, config.Log = "http://127.0.0.1:4566", slog.New(slog.DiscardHandler)
	c = newCustomResources(&config)
	return c, c.open("Create", topic, request("1")), &at
}

func request(id string) *ResourceRequest {
	return &ResourceRequest{Region: region, StackID: "arn:aws:cloudformation:eu-west-1:222222222222:stack/st/0a1b", LogicalID: "Connection", RequestID: id}
}

// put asks the bucket, and gives the status and the code of the error.
func (c *customResources) put(t *testing.T, to, body string, change func(*http.Request)) (status int, code string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, to, strings.NewReader(body))
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	var e s3Error
	if w.Code != http.StatusOK {
		if err := xml.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Message == "" || e.RequestID == "" || w.Header().Get("Content-Type") != "application/xml" {
			t.Errorf("%d %v: %s", w.Code, err, w.Body)
		}
	}
	return w.Code, e.Code
}

// What is wrong with an address is found in S3's order, and before the body is looked at. Rows with more than one fault say
// which comes first.
func TestTheBucketAnswersAsS3Does(t *testing.T) {
	t.Parallel()
	c, x, now := opened(t)
	u := x.request.ResponseURL
	query := func(name, value string) string { return replaced(t, u, name, value) }
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for _, tt := range []struct {
		name, to string
		change   func(*http.Request)
		later    time.Duration
		status   int
		code     string
	}{
		{"no signature of version 4", u[:strings.Index(u, "?")], nil, 0, 403, "AccessDenied"},
		{"version 2", u[:strings.Index(u, "?")] + "?AWSAccessKeyId=A&Expires=1&Signature=a", nil, 0, 403, "AccessDenied"},
		{"no date", query("X-Amz-Date", ""), nil, 3 * time.Hour, 400, "AuthorizationQueryParametersError"},
		{"no signature", query("X-Amz-Signature", ""), nil, 3 * time.Hour, 403, "AccessDenied"},
		{"a date twice", u + "&X-Amz-Date=20260304T050607Z", nil, 3 * time.Hour, 400, "AuthorizationQueryParametersError"},
		{"eight days", query("X-Amz-Expires", "691200"), nil, 3 * time.Hour, 400, "AuthorizationQueryParametersError"},
		{"expired, and all else", query("X-Amz-Credential", "AKIAOTHER/20260304/eu-west-1/s3/aws4_request"), header("X-Amz-Acl", "private"), 2 * time.Hour, 403, "AccessDenied"},
		{"unknown key, and all else", query("X-Amz-Credential", "AKIAOTHER/20260304/eu-west-1/s3/aws4_request"), header("X-Amz-Acl", "private"), 0, 403, "InvalidAccessKeyId"},
		{"a token that is not the key's", query("X-Amz-Security-Token", "t"), header("X-Amz-Acl", "private"), 0, 400, "InvalidToken"},
		{"wrong signature, and a header", query("X-Amz-Signature", strings.Repeat("0", 64)), header("X-Amz-Acl", "private"), 0, 403, "SignatureDoesNotMatch"},
		{"a parameter more", u + "&x-id=PutObject", nil, 0, 403, "SignatureDoesNotMatch"},
		{"another method", u, func(r *http.Request) { r.Method = http.MethodGet }, 0, 403, "SignatureDoesNotMatch"},
		{"another stack", strings.Replace(u, "stack/st/", "stack/other/", 1), nil, 0, 403, "SignatureDoesNotMatch"},
		{"another request", strings.Replace(u, "%7C1?", "%7C2?", 1), nil, 0, 403, "SignatureDoesNotMatch"},
		{"a slash more", strings.Replace(u, "/arn", "//arn", 1), nil, 0, 403, "SignatureDoesNotMatch"},
		{"a header that was not signed", u, header("X-Amz-Acl", "private"), 0, 403, "AccessDenied"},
		{"a checksum that was not signed", u, header("Content-Md5", "1B2M2Y8AsgTpgAmY7PhCfg=="), 0, 403, "AccessDenied"},
		{"nonsense", u, header("Content-Type", "text/plain"), 0, 200, ""},
	} {
		*now = now.Add(tt.later)
		status, code := c.put(t, tt.to, "{", tt.change)
		if status != tt.status || code != tt.code {
			t.Errorf("%s: %d %s", tt.name, status, code)
		}
		*now = now.Add(-tt.later)
		if waits := len(x.answer) == 0; waits != (tt.status != http.StatusOK) {
			t.Errorf("%s: the body was taken: %v", tt.name, !waits)
		}
	}
}

func replaced(t *testing.T, address, name, value string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(name, value)
	if value == "" && name != "X-Amz-Signature" {
		q.Del(name)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

func TestResponsesAreTakenOnceAndInTime(t *testing.T) {
	t.Parallel()
	c, x, now := opened(t)
	body := answer(t, arrival{body: map[string]any{"StackId": x.request.StackId, "RequestId": "1", "LogicalResourceId": "Connection"}}, nil)
	second := strings.Replace(body, "SUCCESS", "FAILED", 1)
	for _, body := range []string{body, second} { // the second would wait for ever if it were not ignored
		if status, _ := c.put(t, x.request.ResponseURL, body, nil); status != http.StatusOK {
			t.Errorf("PUT: %d", status)
		}
	}
	if got := <-x.answer; got.Status != "SUCCESS" {
		t.Errorf("read %+v", got)
	}
	c.close(x)

	late := c.open("Create", topic, request("2"))
	c.close(late)
	if status, _ := c.put(t, late.request.ResponseURL, body, nil); status != http.StatusOK || len(late.answer) != 0 {
		t.Errorf("after the time-out: %d, %d responses", status, len(late.answer))
	}
	*now = now.Add(2*time.Hour + time.Second)
	if status, code := c.put(t, late.request.ResponseURL, body, nil); status != http.StatusForbidden || code != "AccessDenied" {
		t.Errorf("after two hours: %d %s", status, code)
	}
	c.open("Create", topic, request("3"))
	if len(c.exchanges) != 1 {
		t.Errorf("%d exchanges are kept", len(c.exchanges))
	}
}

// As on AWS, some addresses live 7199 seconds, and some are signed by a temporary key; all are taken.
func TestAddressesDiffer(t *testing.T) {
	t.Parallel()
	c, _, now := opened(t)
	seen := map[string]int{}
	for i := range 12 {
		x := c.open("Create", topic, request(strconv.Itoa(i+2)))
		u, err := url.Parse(x.request.ResponseURL)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		seen[q.Get("X-Amz-Expires")+" "+strconv.FormatBool(q.Has("X-Amz-Security-Token"))]++
		day := now.Format("20060102")
		if q.Get("X-Amz-Date") != now.Format(wire.PresignDate) || !strings.HasSuffix(q.Get("X-Amz-Credential"), "/"+day+"/eu-west-1/s3/aws4_request") || q.Get("X-Amz-SignedHeaders") != "host" {
			t.Errorf("%v", q)
		}
		if status, code := c.put(t, x.request.ResponseURL, "{}", nil); status != http.StatusOK {
			t.Errorf("%d %s: %s", status, code, x.request.ResponseURL)
		}
	}
	want := map[string]int{"7199 false": 4, "7200 false": 4, "7199 true": 2, "7200 true": 2}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
}

// The product's own template is what this package is for: here it runs from the first event to the last.
func TestCustomersTemplate(t *testing.T) {
	t.Parallel()
	rendered, err := templates.Connection(templates.Publication{
		Partition: "aws", PlatformAccount: "111111111111", PlatformName: "Acme", TopicName: "rolecall-callbacks", Regions: []string{region},
	})
	if err != nil {
		t.Fatal(err)
	}
	e, things, v := newVendor(t)
	conn := "conn_" + strings.Repeat("0", 26)
	in := testInput("acme", string(rendered.Body), "ConnectionId", conn, "ExternalId", strings.Repeat("e", 32), "CallbackToken", strings.Repeat("t", 40))
	if _, err := e.Create(t.Context(), in); !strings.HasPrefix(errorText(t, err), "InsufficientCapabilitiesException: Requires capabilities : [CAPABILITY_NAMED_IAM]") {
		t.Errorf("without the tick: %v", err)
	}
	in.Capabilities = []string{"CAPABILITY_NAMED_IAM"}
	id, err := e.Create(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]arrival{}
	for range 2 {
		m := v.respond(t, map[string]any{"PhysicalResourceId": conn})
		seen[m.text("ResourceType")] = m
	}
	s := expect(t, e, id, CreateComplete)
	role := s.Output("RoleArn")
	properties := seen["Custom::RolecallConnection"].body["ResourceProperties"].(map[string]any)
	if s.Output("ConnectionId") != conn || properties["RoleArn"] != role || properties["ConnectionId"] != conn || properties["ServiceToken"] != topic {
		t.Errorf("outputs %v, properties %v", s.Outputs, properties)
	}
	if _, ok := seen["Custom::RolecallStackStarted"]; !ok {
		t.Error("the start was not reported")
	}
	made := things.alive[strings.TrimPrefix(role, "arn:")]
	if _, named := made["RoleName"]; named || made["MaxSessionDuration"] != "3600" || made["Path"] != "/" {
		t.Errorf("role %v", made)
	}

	elsewhere := in
	elsewhere.Region = "us-east-1"
	if _, err := e.Create(t.Context(), elsewhere); !strings.Contains(errorText(t, err), "Create the stack in one of them") {
		t.Errorf("in a Region without a topic: %v", err)
	}
}

// The laptop stands in for custom resources whose functions cannot run on it.
func TestRegisteredCustomTypeNeedsNoToken(t *testing.T) {
	t.Parallel()
	e, things, v := newVendor(t)
	e.Register("Custom::Thing", things)
	create(t, e, testInput("st", "Resources: {A: {Type: 'Custom::Thing'}}"), CreateComplete)
	if len(v.requests) > 0 || len(things.existing()) != 1 {
		t.Errorf("%d requests were sent, there is %v", len(v.requests), things.existing())
	}
}
