package customresource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"rolecall/shared/connect"
)

// Topics are the SNS topics that customers' stacks report to: one of the same name in each Region.
type Topics struct {
	Partition connect.Partition
	Account   connect.AccountID
	Name      string
	Regions   []connect.Region
}

// region is the Region of one of the topics.
func (t Topics) region(arn string) (connect.Region, bool) {
	i := slices.IndexFunc(t.Regions, func(r connect.Region) bool {
		return arn == fmt.Sprintf("arn:%s:sns:%s:%s:%s", t.Partition, r, t.Account, t.Name)
	})
	if i < 0 {
		return "", false
	}
	return t.Regions[i], true
}

// Limits of what is read. SNS's own limit of a message is 256 KB; the ids' are such that an answer always has room for
// them.
const (
	maxEnvelope = 2 << 20
	maxMessage  = 256 << 10
	maxID       = 256
	maxProperty = 2048
)

// envelope is what SNS wraps a message in (raw delivery off).
type envelope struct {
	kind, topic, message string
	sentAt               time.Time
}

// A Request is a custom resource's request. Malformed is set where it can be answered but not be acted upon.
type Request struct {
	connect.CallbackRequest
	Malformed *connect.Error
}

// Parse reads the body of a message in the queue, and admits it only if CloudFormation can have sent it and takes an answer
// now. All of that is judged from the message alone. The error is a [Dropped].
func (t Topics) Parse(body string, now time.Time) (Request, error) {
	e, err := openEnvelope(body)
	if err != nil {
		return Request{}, err
	}
	region, ours := t.region(e.topic)
	if !ours {
		return Request{}, drop(DropTopic, "the message does not come from our topic")
	}
	message, ok := object(e.message)
	if !ok || len(e.message) > maxMessage {
		return Request{}, drop(DropMessage, "the message is no request")
	}
	n, err := t.names(message, region)
	if err != nil {
		return Request{}, err
	}
	raw, _ := text(message, "ResponseURL", maxURL)
	signed, err := admit(raw, n, e.sentAt, now)
	if err != nil {
		return Request{}, err
	}
	r := Request{CallbackRequest: connect.CallbackRequest{ReplyTo: connect.ReplyTo{
		URL: connect.NewSecret(raw), StackID: n.stack.String(), RequestID: n.requestID, LogicalID: n.logicalID,
		PhysicalID: physicalID(message, n.stack), Expires: signed.ends,
	}}}
	r.Callback.StackID, r.Callback.SignedAt, r.Callback.SentAt = n.stack, signed.at, e.sentAt
	r.Callback.RequestID, r.Callback.LogicalID = n.requestID, n.logicalID
	r.Malformed = r.read(message)
	return r, nil
}

// names are the request's. A stack can only report to a topic of its own Region and partition.
func (t Topics) names(message map[string]json.RawMessage, region connect.Region) (names, error) {
	stack, _ := text(message, "StackId", 1024)
	logical, _ := text(message, "LogicalResourceId", maxID)
	request, _ := text(message, "RequestId", maxID)
	n, err := readNames(stack, logical, request)
	if err != nil {
		return names{}, err
	}
	if n.stack.Region() != region || n.stack.Partition() != t.Partition {
		return names{}, drop(DropStack, "the StackId is none of the topic's Region")
	}
	return n, nil
}

// admit judges where the answer is to go, and when.
func admit(raw string, n names, sentAt, now time.Time) (signing, error) {
	u, err := responseURL(raw, n)
	if err != nil {
		return signing{}, err
	}
	s, err := readSigning(u.RawQuery, n.stack.Region())
	if err != nil {
		return signing{}, err
	}
	return s, s.inTime(sentAt, now)
}

func openEnvelope(body string) (envelope, error) {
	if len(body) > maxEnvelope {
		return envelope{}, drop(DropEnvelope, "the message is too long")
	}
	members, ok := object(body)
	if !ok {
		return envelope{}, drop(DropEnvelope, "the message is not JSON")
	}
	var e envelope
	e.kind, _ = text(members, "Type", 64)
	e.topic, _ = text(members, "TopicArn", 512)
	e.message, ok = text(members, "Message", maxEnvelope)
	sent, _ := text(members, "Timestamp", 64)
	at, err := time.Parse(time.RFC3339, sent)
	if !ok || err != nil || e.kind != "Notification" {
		return envelope{}, drop(DropEnvelope, "the message is no SNS notification")
	}
	e.sentAt = at
	return e, nil
}

// object reads one JSON object by the exact names of its members; encoding/json's structs would take other letters'
// case too. Nesting deeper than 10,000 is refused by encoding/json itself.
func object(s string) (map[string]json.RawMessage, bool) {
	d := json.NewDecoder(bytes.NewReader([]byte(s)))
	var members map[string]json.RawMessage
	if d.Decode(&members) != nil || members == nil {
		return nil, false
	}
	_, err := d.Token()
	return members, errors.Is(err, io.EOF)
}

// text is a member that is a string of at most limit bytes; "" where there is none.
func text(members map[string]json.RawMessage, name string, limit int) (string, bool) {
	raw, there := members[name]
	if !there {
		return "", true
	}
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil || len(s) > limit {
		return "", false
	}
	return s, true
}

// noConnection is the physical id where a request names no connection: there must always be one.
const noConnection = "rolecall-no-connection"

// physicalID is the connection's id, always; a changed one would make CloudFormation replace the resource. An account of an
// organization has no connection before it reports, so there it is the enrolment's id with the account. A request that
// names neither keeps the id that it came with.
func physicalID(message map[string]json.RawMessage, stack connect.StackID) string {
	if properties, ok := object(string(message["ResourceProperties"])); ok {
		enrolment, _ := text(properties, "EnrolmentId", maxID)
		if _, err := connect.ParseEnrolmentID(enrolment); err == nil {
			return enrolment + "-" + string(stack.Account())
		}
		id, _ := text(properties, "ConnectionId", maxID)
		if _, err := connect.ParseConnectionID(id); err == nil {
			return id
		}
	}
	if id, _ := text(message, "PhysicalResourceId", maxID); id != "" {
		return id
	}
	return noConnection
}

var (
	templateVersionRE = regexp.MustCompile(`^[0-9A-Za-z.+-]*$`)
	policyDigestRE    = regexp.MustCompile(`^[0-9a-f]*$`)
	boundaryRE        = regexp.MustCompile(`^$|^arn:aws[a-z-]*:iam::(aws|[0-9]+):policy/[0-9A-Za-z_+=,.@/-]+$`)
)

const (
	maxTemplateVersion = 64
	maxPermissionSet   = 64
	maxPolicyDigest    = 64
)

// read takes the rest of a request, and says what is wrong with it. What a Delete does not need is not asked of it.
func (r *Request) read(message map[string]json.RawMessage) *connect.Error {
	kind, _ := text(message, "RequestType", 64)
	resource, _ := text(message, "ResourceType", 128)
	r.Callback.Type, r.Callback.Resource = connect.RequestType(kind), connect.CallbackResource(resource)
	if !slices.Contains([]connect.RequestType{connect.RequestCreate, connect.RequestUpdate, connect.RequestDelete}, r.Callback.Type) {
		return malformed("RequestType is none of Create, Update and Delete")
	}
	ours := []connect.CallbackResource{connect.ResourceStackStarted, connect.ResourceConnection, connect.ResourceMember}
	if !slices.Contains(ours, r.Callback.Resource) {
		return malformed("ResourceType is none of our templates'")
	}
	properties, ok := object(string(message["ResourceProperties"]))
	if !ok {
		return malformed("ResourceProperties is no object")
	}
	return r.readProperties(properties)
}

func (r *Request) readProperties(properties map[string]json.RawMessage) *connect.Error {
	var ok [9]bool
	var token string
	r.ConnectionID, ok[0] = text(properties, "ConnectionId", maxID)
	token, ok[1] = text(properties, "CallbackToken", maxProperty)
	r.RoleARN, ok[2] = text(properties, "RoleArn", maxProperty)
	r.Callback.TemplateVersion, ok[3] = text(properties, "TemplateVersion", maxTemplateVersion)
	r.PermissionSet, ok[4] = text(properties, "PermissionSet", maxPermissionSet)
	r.Callback.Grant.ExternalID, ok[5] = text(properties, "ExternalId", maxProperty)
	r.Callback.Grant.BoundaryARN, ok[6] = text(properties, "PermissionsBoundaryArn", maxProperty)
	r.EnrolmentID, ok[7] = text(properties, "EnrolmentId", maxID)
	r.Callback.Grant.PolicyDigest, ok[8] = text(properties, "PolicyDigest", maxPolicyDigest)
	r.Token = connect.NewSecret(token)
	if r.Callback.Type == connect.RequestDelete {
		return r.readDelete(ok[0] && ok[1])
	}
	for i, name := range []string{
		"ConnectionId", "CallbackToken", "RoleArn", "TemplateVersion", "PermissionSet", "ExternalId", "PermissionsBoundaryArn",
		"EnrolmentId", "PolicyDigest",
	} {
		if !ok[i] {
			return malformed(name + " is not a string, or is too long")
		}
	}
	if !templateVersionRE.MatchString(r.Callback.TemplateVersion) {
		return malformed("TemplateVersion is not a version")
	}
	if !boundaryRE.MatchString(r.Callback.Grant.BoundaryARN) {
		return malformed("PermissionsBoundaryArn is not the ARN of a policy")
	}
	if !policyDigestRE.MatchString(r.Callback.Grant.PolicyDigest) {
		return malformed("PolicyDigest is not the beginning of a hash")
	}
	return nil
}

// readDelete leaves out what a Delete has no use for, so that nothing wrong in it stands in the way.
func (r *Request) readDelete(named bool) *connect.Error {
	if !named {
		return malformed("ConnectionId or CallbackToken is not a string, or is too long")
	}
	r.Callback.Grant = connect.Grant{}
	if !templateVersionRE.MatchString(r.Callback.TemplateVersion) {
		r.Callback.TemplateVersion = ""
	}
	return nil
}

// CodeMalformed is the code of a request that does not come from our template.
const CodeMalformed connect.Code = "REQUEST_MALFORMED"

func malformed(why string) *connect.Error {
	return &connect.Error{
		Kind: connect.KindInvalid, Code: CodeMalformed, Message: why,
		Fix: "Launch the stack from the platform's own link, with the template unchanged.",
	}
}
