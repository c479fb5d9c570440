package customresource

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/cfn"
	"rolecall/shared/connect"
)

const (
	topic   = "arn:aws:sns:eu-west-1:111111111111:rolecall-callbacks"
	roleARN = "arn:aws:iam::012345678901:role/Rolecall"
)

func topics() Topics {
	return Topics{
		Partition: connect.PartitionAWS, Account: "111111111111", Name: "rolecall-callbacks",
		Regions: []connect.Region{"eu-west-1", "us-east-1"},
	}
}

// wrap is a message as SNS puts it into a queue.
func wrap(t testing.TB, message string, change map[string]any) string {
	t.Helper()
	e := map[string]any{
		"Type": "Notification", "MessageId": "m-1", "TopicArn": topic, "Subject": "AWS CloudFormation custom resource request",
		"Message": message, "Timestamp": "2026-03-04T05:06:07.123Z", "SignatureVersion": "1", "Signature": "x",
		"SigningCertURL": "https://sns.eu-west-1.amazonaws.com/cert.pem", "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
	}
	return with(t, e, change)
}

func with(t testing.TB, m, change map[string]any) string {
	t.Helper()
	for k, v := range change {
		m[k] = v
		if v == nil {
			delete(m, k)
		}
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// create is a request as CloudFormation writes it.
func create(t testing.TB, change, properties map[string]any) string {
	t.Helper()
	p := map[string]any{
		"ServiceToken": topic, "ServiceTimeout": "300", "ConnectionId": connectionID, "CallbackToken": "token-1",
		"RoleArn": roleARN, "TemplateVersion": "1.0.0",
	}
	with(t, p, properties)
	m := map[string]any{
		"RequestType": "Create", "ServiceToken": topic, "StackId": stackIn(t, "aws", "eu-west-1").String(),
		"RequestId": "9f8e7d6c-0000", "ResourceType": "Custom::RolecallConnection", "LogicalResourceId": "Connection", "ResourceProperties": p,
	}
	with(t, m, change)
	if _, given := change["ResponseURL"]; !given {
		m["ResponseURL"] = addressOf(m)
	}
	return with(t, m, nil)
}

// addressOf is the address that CloudFormation makes for a request.
func addressOf(m map[string]any) string {
	a := cfn.ResponseAddress{Bucket: "https://" + goodHost, By: signer(), At: sentAt, Life: longestLife}
	a.StackID, _ = m["StackId"].(string)
	a.LogicalID, _ = m["LogicalResourceId"].(string)
	a.RequestID, _ = m["RequestId"].(string)
	if stack, err := connect.ParseStackID(a.StackID); err == nil {
		a.Bucket = "https://" + hosts(stack)[0]
	}
	return a.URL()
}

// parse reads a message as if it came at once.
func parse(body string) (Request, error) { return topics().Parse(body, sentAt) }

func TestParse(t *testing.T) {
	got, err := parse(wrap(t, create(t, nil, nil), nil))
	if err != nil || got.Malformed != nil {
		t.Fatal(err, got.Malformed)
	}
	want := connect.CallbackRequest{
		Callback: connect.Callback{
			Type: connect.RequestCreate, Resource: connect.ResourceConnection, StackID: stackIn(t, "aws", "eu-west-1"),
			LogicalID: "Connection", RequestID: "9f8e7d6c-0000", TemplateVersion: "1.0.0",
			SignedAt: sentAt.Truncate(time.Second), SentAt: sentAt,
		},
		ConnectionID: connectionID, Token: connect.NewSecret("token-1"), RoleARN: roleARN,
		ReplyTo: connect.ReplyTo{
			URL: connect.NewSecret(goodURL), StackID: stackIn(t, "aws", "eu-west-1").String(), RequestID: "9f8e7d6c-0000",
			LogicalID: "Connection", PhysicalID: connectionID, Expires: sentAt.Truncate(time.Second).Add(2 * time.Hour),
		},
	}
	same := cmp.Options{
		cmp.Comparer(func(a, b connect.Secret) bool { return a.Equal(b) }),
		cmp.Comparer(func(a, b connect.StackID) bool { return a == b }), cmp.Comparer(func(a, b connect.RoleARN) bool { return a == b }),
	}
	if diff := cmp.Diff(want, got.CallbackRequest, same); diff != "" {
		t.Error(diff)
	}
	if got.Callback.StackID.Account() != "012345678901" {
		t.Errorf("account %s: the leading zero is lost", got.Callback.StackID.Account())
	}
}

// Since template 1.4.0 accounts' stacks of an organization say that they run, by their enrolment's id.
func TestParseTakesAMembersStart(t *testing.T) {
	const enrolment = "enr_0123456789abcdefghjkmnpqrs"
	for _, kind := range []string{"Create", "Update", "Delete"} {
		change := map[string]any{"RequestType": kind, "ResourceType": "Custom::RolecallStackStarted", "LogicalResourceId": "StackStarted"}
		got, err := topics().Parse(wrap(t, create(t, change, map[string]any{"ConnectionId": nil, "RoleArn": nil, "EnrolmentId": enrolment, "TemplateVersion": "1.4.0"}), nil), sentAt)
		if err != nil || got.Malformed != nil {
			t.Fatal(err, got.Malformed)
		}
		if got.EnrolmentID != enrolment || got.ConnectionID != "" || got.Callback.Resource != connect.ResourceStackStarted ||
			got.Callback.TemplateVersion != "1.4.0" || got.Token.Reveal() != "token-1" || got.ReplyTo.PhysicalID != enrolment+"-012345678901" {
			t.Errorf("%s: %+v", kind, got.CallbackRequest)
		}
	}
}

// Template 1.2.0 says more of the role; a Delete is not held up by any of it.
func TestParseTakesWhatIsGranted(t *testing.T) {
	const boundary = "arn:aws:iam::012345678901:policy/vendors/Boundary"
	properties := map[string]any{"ExternalId": "ext-1", "PermissionSet": "power-user", "PermissionsBoundaryArn": boundary, "PolicyDigest": "0123456789abcdef"}
	got, err := parse(wrap(t, create(t, nil, properties), nil))
	if err != nil || got.Malformed != nil {
		t.Fatal(err, got.Malformed)
	}
	if want := (connect.Grant{ExternalID: "ext-1", BoundaryARN: boundary, PolicyDigest: "0123456789abcdef"}); got.Callback.Grant != want || got.PermissionSet != "power-user" {
		t.Errorf("%+v, %q", got.Callback.Grant, got.PermissionSet)
	}
	got, err = parse(wrap(t, create(t, map[string]any{"RequestType": "Delete"}, properties), nil))
	if err != nil || got.Malformed != nil || got.Callback.Grant != (connect.Grant{}) {
		t.Errorf("a Delete: %v, %+v, %+v", err, got.Malformed, got.Callback.Grant)
	}
}

func TestParseTakesEachOfOurTopics(t *testing.T) {
	url := signedURL(hosts(stackIn(t, "aws", "us-east-1"))[2], "aws", "us-east-1")
	message := create(t, map[string]any{"StackId": stackIn(t, "aws", "us-east-1").String(), "ResponseURL": url}, nil)
	if _, err := parse(wrap(t, message, map[string]any{"TopicArn": strings.Replace(topic, "eu-west-1", "us-east-1", 1)})); err != nil {
		t.Error(err)
	}
}

// Nothing but what CloudFormation can have sent, of one of our topics, is admitted.
func TestOtherMessagesAreDropped(t *testing.T) {
	message := create(t, nil, nil)
	deep := strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000) // within every limit of length
	for name, tt := range map[string]struct {
		body   string
		reason DropReason
	}{
		"empty":                             {"", DropEnvelope},
		"no JSON":                           {"hello", DropEnvelope},
		"null":                              {"null", DropEnvelope},
		"a list":                            {"[]", DropEnvelope},
		"two objects":                       {wrap(t, message, nil) + "{}", DropEnvelope},
		"the message without its envelope":  {message, DropEnvelope},
		"no notification":                   {wrap(t, message, map[string]any{"Type": "SubscriptionConfirmation"}), DropEnvelope},
		"type in other letters":             {wrap(t, message, map[string]any{"Type": nil, "type": "Notification"}), DropEnvelope},
		"other topic":                       {wrap(t, message, map[string]any{"TopicArn": topic + "2"}), DropTopic},
		"topic of another account":          {wrap(t, message, map[string]any{"TopicArn": strings.Replace(topic, "1111", "2222", 1)}), DropTopic},
		"topic of another Region":           {wrap(t, message, map[string]any{"TopicArn": strings.Replace(topic, "eu-west-1", "eu-west-2", 1)}), DropTopic},
		"topic of another partition":        {wrap(t, message, map[string]any{"TopicArn": strings.Replace(topic, "aws", "aws-cn", 1)}), DropTopic},
		"topic of the other Region":         {wrap(t, message, map[string]any{"TopicArn": strings.Replace(topic, "eu-west-1", "us-east-1", 1)}), DropStack},
		"no topic":                          {wrap(t, message, map[string]any{"TopicArn": nil}), DropTopic},
		"topic no string":                   {wrap(t, message, map[string]any{"TopicArn": []string{topic}}), DropTopic},
		"no timestamp":                      {wrap(t, message, map[string]any{"Timestamp": nil}), DropEnvelope},
		"bad timestamp":                     {wrap(t, message, map[string]any{"Timestamp": "yesterday"}), DropEnvelope},
		"no message":                        {wrap(t, message, map[string]any{"Message": nil}), DropMessage},
		"message an object":                 {wrap(t, message, map[string]any{"Message": map[string]any{"a": 1}}), DropEnvelope},
		"message no JSON":                   {wrap(t, "hello", nil), DropMessage},
		"message with more behind":          {wrap(t, message+" x", nil), DropMessage},
		"message too long":                  {wrap(t, create(t, nil, map[string]any{"Padding": strings.Repeat("x", maxMessage)}), nil), DropMessage},
		"envelope too long":                 {wrap(t, message, map[string]any{"Subject": strings.Repeat("x", maxEnvelope)}), DropEnvelope},
		"deep message":                      {wrap(t, deep, nil), DropMessage},
		"deep property":                     {wrap(t, strings.Replace(message, `"300"`, deep, 1), nil), DropMessage},
		"deep envelope":                     {deep, DropEnvelope},
		"no ResponseURL":                    {wrap(t, create(t, map[string]any{"ResponseURL": nil}, nil), nil), DropHost},
		"ResponseURL in other letters":      {wrap(t, create(t, map[string]any{"ResponseURL": nil, "responseURL": goodURL}, nil), nil), DropHost},
		"ResponseURL a list":                {wrap(t, create(t, map[string]any{"ResponseURL": []string{goodURL}}, nil), nil), DropHost},
		"no StackId":                        {wrap(t, create(t, map[string]any{"StackId": nil}, nil), nil), DropStack},
		"StackId of another Region":         {wrap(t, create(t, map[string]any{"StackId": stackIn(t, "aws", "us-east-1").String()}, nil), nil), DropStack},
		"StackId of another partition":      {wrap(t, create(t, map[string]any{"StackId": stackIn(t, "aws-cn", "eu-west-1").String()}, nil), nil), DropStack},
		"StackId with 11 digits":            {wrap(t, create(t, map[string]any{"StackId": strings.Replace(stackIn(t, "aws", "eu-west-1").String(), ":0", ":", 1)}, nil), nil), DropStack},
		"no RequestId":                      {wrap(t, create(t, map[string]any{"RequestId": nil}, nil), nil), DropIDs},
		"no LogicalResourceId":              {wrap(t, create(t, map[string]any{"LogicalResourceId": ""}, nil), nil), DropIDs},
		"odd RequestId":                     {wrap(t, create(t, map[string]any{"RequestId": "<script>"}, nil), nil), DropIDs},
		"odd LogicalResourceId":             {wrap(t, create(t, map[string]any{"LogicalResourceId": "a b"}, nil), nil), DropIDs},
		"LogicalResourceId that ends a key": {wrap(t, create(t, map[string]any{"LogicalResourceId": "a|b", "RequestId": "c"}, nil), nil), DropIDs},
		"endless RequestId":                 {wrap(t, create(t, map[string]any{"RequestId": strings.Repeat("r", maxID+1)}, nil), nil), DropIDs},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := parse(tt.body)
			if reasonOf(err) != tt.reason {
				t.Errorf("parsed as %+v, %v", r, err)
			}
		})
	}
	for name, url := range badURLs() {
		if _, err := parse(wrap(t, create(t, map[string]any{"ResponseURL": url}, nil), nil)); reasonOf(err) == "" {
			t.Errorf("ResponseURL, %s: %v", name, err)
		} else if url != "" && strings.Contains(err.Error(), url) {
			t.Errorf("ResponseURL, %s: the error has it", name)
		}
	}
	for _, tt := range refusedAddresses(t) {
		if _, err := parse(wrap(t, create(t, map[string]any{"ResponseURL": tt.url}, nil), nil)); reasonOf(err) != tt.reason {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := topics().Parse(wrap(t, message, nil), sentAt.Add(2*time.Hour)); reasonOf(err) != DropExpired {
		t.Errorf("two hours later: %v", err)
	}
	if _, err := parse(wrap(t, message, map[string]any{"Timestamp": "2026-03-04T05:01:06Z"})); reasonOf(err) != DropDate {
		t.Errorf("sent before it was signed: %v", err)
	}
}

func TestMalformedRequestsCanBeAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		change, properties map[string]any
		deletable          bool // a Delete with it is well-formed
	}{
		"no type":                  {change: map[string]any{"RequestType": nil}, deletable: true},
		"other type":               {change: map[string]any{"RequestType": "create"}, deletable: true},
		"no resource type":         {change: map[string]any{"ResourceType": nil}},
		"other resource type":      {change: map[string]any{"ResourceType": "Custom::Other"}},
		"no properties":            {change: map[string]any{"ResourceProperties": nil}},
		"properties no object":     {change: map[string]any{"ResourceProperties": "x"}},
		"connection id a number":   {properties: map[string]any{"ConnectionId": 7}},
		"connection id a list":     {properties: map[string]any{"ConnectionId": []string{connectionID}}},
		"endless connection id":    {properties: map[string]any{"ConnectionId": strings.Repeat("c", maxID+1)}},
		"token an object":          {properties: map[string]any{"CallbackToken": map[string]any{}}},
		"endless token":            {properties: map[string]any{"CallbackToken": strings.Repeat("c", maxProperty+1)}},
		"role a number":            {properties: map[string]any{"RoleArn": 7}, deletable: true},
		"endless role":             {properties: map[string]any{"RoleArn": strings.Repeat("c", maxProperty+1)}, deletable: true},
		"odd template version":     {properties: map[string]any{"TemplateVersion": "1 0"}, deletable: true},
		"permission set a list":    {properties: map[string]any{"PermissionSet": []string{"read-only"}}, deletable: true},
		"endless permission set":   {properties: map[string]any{"PermissionSet": strings.Repeat("p", maxPermissionSet+1)}, deletable: true},
		"external id a number":     {properties: map[string]any{"ExternalId": 7}, deletable: true},
		"boundary no ARN":          {properties: map[string]any{"PermissionsBoundaryArn": "Boundary"}, deletable: true},
		"boundary with a wildcard": {properties: map[string]any{"PermissionsBoundaryArn": "arn:aws:iam::012345678901:policy/*"}, deletable: true},
		"digest no hash":           {properties: map[string]any{"PolicyDigest": "../x"}, deletable: true},
		"digest too long":          {properties: map[string]any{"PolicyDigest": strings.Repeat("a", 65)}, deletable: true},
		"boundary with a newline":  {properties: map[string]any{"PermissionsBoundaryArn": "arn:aws:iam::012345678901:policy/B\n"}, deletable: true},
		"endless template version": {properties: map[string]any{"TemplateVersion": strings.Repeat("1", maxTemplateVersion+1)}, deletable: true},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := parse(wrap(t, create(t, c.change, c.properties), nil))
			if err != nil || r.Malformed == nil || r.Malformed.Code != CodeMalformed || r.Malformed.Fix == "" || r.ReplyTo.PhysicalID == "" {
				t.Errorf("%+v, %v", r.Malformed, err)
			}
			if c.change == nil {
				c.change = map[string]any{}
			}
			c.change["RequestType"] = "Delete"
			r, err = parse(wrap(t, create(t, c.change, c.properties), nil))
			if err != nil || (r.Malformed == nil) != c.deletable {
				t.Errorf("as a Delete: %+v, %v", r.Malformed, err)
			}
		})
	}
}

func TestPhysicalIDIsTheConnections(t *testing.T) {
	for name, c := range map[string]struct {
		change, properties map[string]any
		want               string
	}{
		"Create":                  {nil, nil, connectionID},
		"Update":                  {map[string]any{"RequestType": "Update", "PhysicalResourceId": connectionID}, nil, connectionID},
		"Delete with made-up id":  {map[string]any{"RequestType": "Delete", "PhysicalResourceId": "stack-Connection-1ABC"}, nil, connectionID},
		"no connection":           {map[string]any{"PhysicalResourceId": "stack-Connection-1ABC"}, map[string]any{"ConnectionId": "x"}, "stack-Connection-1ABC"},
		"no connection, no id":    {nil, map[string]any{"ConnectionId": nil}, noConnection},
		"endless physical id":     {map[string]any{"PhysicalResourceId": strings.Repeat("p", maxID+1)}, map[string]any{"ConnectionId": nil}, noConnection},
		"connection id in a list": {nil, map[string]any{"ConnectionId": []string{connectionID}}, noConnection},
	} {
		r, err := parse(wrap(t, create(t, c.change, c.properties), nil))
		if err != nil || r.ReplyTo.PhysicalID != c.want {
			t.Errorf("%s: %q, %v", name, r.ReplyTo.PhysicalID, err)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	f.Add(wrap(f, create(f, nil, nil), nil))
	f.Add(wrap(f, create(f, map[string]any{"RequestType": "Delete", "PhysicalResourceId": "x"}, map[string]any{"ConnectionId": nil}), nil))
	f.Add(wrap(f, create(f, map[string]any{"ResourceProperties": 1}, nil), nil))
	f.Add(wrap(f, "{}", nil))
	f.Add(`{"Type":"Notification","Type":"x","Message":"{\"StackId\":null}"}`)
	f.Add(`{"Type":"Notification","TopicArn":"` + topic + `","Timestamp":"2026-03-04T05:06:07Z","Message":"[[[[[["}`)
	for _, url := range badURLs() {
		f.Add(wrap(f, create(f, map[string]any{"ResponseURL": url}, nil), nil))
	}
	f.Fuzz(func(t *testing.T, body string) {
		r, err := parse(body)
		if err != nil {
			if reasonOf(err) == "" {
				t.Fatal(err)
			}
			return
		}
		// What can be answered has all that an answer needs, and fits.
		n := names{r.Callback.StackID, r.ReplyTo.LogicalID, r.ReplyTo.RequestID}
		if _, err := admit(r.ReplyTo.URL.Reveal(), n, r.Callback.SentAt, sentAt); err != nil || r.ReplyTo.PhysicalID == "" || r.Callback.SentAt.IsZero() && r.Malformed != nil {
			t.Fatalf("%+v, %v", r, err)
		}
		if _, err := encode(r.ReplyTo, connect.Reply{}); err != nil {
			t.Fatal(err)
		}
		if r.Malformed == nil && len(r.Callback.TemplateVersion) > maxTemplateVersion {
			t.Fatalf("template version %q", r.Callback.TemplateVersion)
		}
	})
}
