package sns

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"rolecall/infra/local/sqs"
	"rolecall/infra/local/wire"
)

// operation is one API operation: the IAM action that it takes, and what it does.
type operation struct {
	action string
	run    func(*wire.Call) (any, error)
}

func (s *Service) table() map[string]operation {
	return map[string]operation{
		"CreateTopic":               {"sns:CreateTopic", s.createTopic},
		"DeleteTopic":               {"sns:DeleteTopic", s.deleteTopic},
		"GetTopicAttributes":        {"sns:GetTopicAttributes", s.getTopicAttributes},
		"SetTopicAttributes":        {"sns:SetTopicAttributes", s.setTopicAttributes},
		"ListTopics":                {"sns:ListTopics", s.listTopics},
		"Subscribe":                 {"sns:Subscribe", s.subscribe},
		"Unsubscribe":               {"sns:Unsubscribe", s.unsubscribe},
		"GetSubscriptionAttributes": {"sns:GetSubscriptionAttributes", s.getSubscriptionAttributes},
		"SetSubscriptionAttributes": {"sns:SetSubscriptionAttributes", s.setSubscriptionAttributes},
		"ListSubscriptionsByTopic":  {"sns:ListSubscriptionsByTopic", s.listSubscriptionsByTopic},
		"Publish":                   {"sns:Publish", s.publish},
		"PublishBatch":              {"sns:Publish", s.publishBatch},
	}
}

// Needs implements [wire.Service]. The topic's policy comes along as the resource's policy, and its account as the
// resource's account: another account's principal gets in only by that policy.
func (s *Service) Needs(call *wire.Call) ([]wire.Need, error) {
	op, known := s.operations[call.Operation]
	if !known {
		return nil, unknown(call)
	}
	need := wire.Need{Action: op.action, Resource: "*"}
	switch call.Operation {
	case "ListTopics":
		return []wire.Need{need}, nil
	case "CreateTopic":
		need.Resource = "arn:aws:sns:" + call.Region + ":" + call.Principal.Account + ":" + call.Form.Get("Name")
		return []wire.Need{need}, nil
	case "Subscribe":
		need.Context = map[string][]string{"sns:Protocol": {call.Form.Get("Protocol")}, "sns:Endpoint": {call.Form.Get("Endpoint")}}
	}
	arn, err := topicARN(call)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	need.Resource = arn
	t, err := s.find(arn)
	if err == nil {
		need.ResourcePolicy, need.ResourceAccount = t.policy, t.account
		return []wire.Need{need}, nil
	}
	if call.Operation == "DeleteTopic" || call.Operation == "Unsubscribe" {
		return []wire.Need{need}, nil // deleting what is gone succeeds
	}
	return nil, err
}

// topicARN finds the topic that a call is about. SNS serves a topic in its own Region only; a call without a Region, which
// comes from within the pocket AWS, goes to the topic's.
func topicARN(call *wire.Call) (string, error) {
	arn := call.Form.Get("TopicArn")
	if arn == "" && call.Operation == "Publish" {
		arn = call.Form.Get("TargetArn")
	}
	if subscription := call.Form.Get("SubscriptionArn"); arn == "" {
		arn = subscription[:max(strings.LastIndexByte(subscription, ':'), 0)]
	}
	parts := strings.Split(arn, ":")
	if len(parts) != 6 || parts[2] != "sns" || call.Region != "" && parts[3] != call.Region {
		return "", invalid("TopicArn")
	}
	return arn, nil
}

// Serve implements [wire.Service].
func (s *Service) Serve(_ context.Context, call *wire.Call) (wire.Response, error) {
	op, known := s.operations[call.Operation]
	if !known {
		return wire.Response{}, unknown(call)
	}
	value, err := op.run(call)
	if err != nil {
		return wire.Response{}, err
	}
	return wire.Response{Value: value}, nil
}

func unknown(call *wire.Call) error {
	return &wire.Error{
		Code: "InvalidAction", Status: http.StatusBadRequest,
		Message: fmt.Sprintf("The action %s is not part of the pocket AWS's SNS.", call.Operation),
	}
}

// entry is one pair of a map in SNS's answers.
type entry struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

type attributesResult struct {
	Entries []entry `xml:"Attributes>entry"`
}

func attributesOf(all map[string]string) attributesResult {
	var out attributesResult
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out.Entries = append(out.Entries, entry{name, all[name]})
	}
	return out
}

func (s *Service) createTopic(call *wire.Call) (any, error) {
	arn, err := s.CreateTopic(call.Principal.Account, call.Region, call.Form.Get("Name"), pairs(call.Form, "Attributes"))
	if err != nil {
		return nil, err
	}
	return struct{ TopicArn string }{arn}, nil
}

func (s *Service) deleteTopic(call *wire.Call) (any, error) {
	arn, err := topicARN(call)
	if err != nil {
		return nil, err
	}
	s.DeleteTopic(arn)
	return nil, nil
}

func (s *Service) getTopicAttributes(call *wire.Call) (any, error) {
	arn, err := topicARN(call)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.find(arn)
	if err != nil {
		return nil, err
	}
	all := maps.Clone(t.attributes)
	all["TopicArn"], all["Owner"] = arn, t.account
	all["SubscriptionsConfirmed"] = strconv.Itoa(len(t.subscriptions))
	all["SubscriptionsPending"], all["SubscriptionsDeleted"] = "0", "0"
	return attributesOf(all), nil
}

func (s *Service) setTopicAttributes(call *wire.Call) (any, error) {
	arn, err := topicARN(call)
	if err != nil {
		return nil, err
	}
	return nil, s.SetTopicAttribute(arn, call.Form.Get("AttributeName"), call.Form.Get("AttributeValue"))
}

func (s *Service) listTopics(call *wire.Call) (any, error) {
	type item struct{ TopicArn string }
	var out struct {
		Topics []item `xml:"Topics>member"`
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, arn := range slices.Sorted(maps.Keys(s.topics)) {
		if t := s.topics[arn]; t.account == call.Principal.Account && t.region == call.Region {
			out.Topics = append(out.Topics, item{arn})
		}
	}
	return out, nil
}

func (s *Service) subscribe(call *wire.Call) (any, error) {
	arn, err := topicARN(call)
	if err != nil {
		return nil, err
	}
	sub := Subscription{
		TopicARN: arn, Protocol: call.Form.Get("Protocol"), Endpoint: call.Form.Get("Endpoint"), Owner: call.Principal.Account,
	}
	attributes := pairs(call.Form, "Attributes")
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		if sub, err = sub.with(name, attributes[name]); err != nil {
			return nil, err
		}
	}
	made, err := s.Subscribe(sub)
	if err != nil {
		return nil, err
	}
	return struct{ SubscriptionArn string }{made}, nil
}

func (s *Service) unsubscribe(call *wire.Call) (any, error) {
	s.Unsubscribe(call.Form.Get("SubscriptionArn"))
	return nil, nil
}

func (s *Service) getSubscriptionAttributes(call *wire.Call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, sub, err := s.subscription(call.Form.Get("SubscriptionArn"))
	if err != nil {
		return nil, err
	}
	all := map[string]string{
		"SubscriptionArn": sub.ARN, "TopicArn": sub.TopicARN, "Protocol": sub.Protocol, "Endpoint": sub.Endpoint,
		"Owner": sub.Owner, "RawMessageDelivery": strconv.FormatBool(sub.Raw), "PendingConfirmation": "false",
	}
	if sub.RedrivePolicy != "" {
		all["RedrivePolicy"] = sub.RedrivePolicy
	}
	return attributesOf(all), nil
}

func (s *Service) setSubscriptionAttributes(call *wire.Call) (any, error) {
	return nil, s.SetSubscription(call.Form.Get("SubscriptionArn"), call.Form.Get("AttributeName"), call.Form.Get("AttributeValue"))
}

func (s *Service) listSubscriptionsByTopic(call *wire.Call) (any, error) {
	type item struct{ SubscriptionArn, Owner, Protocol, Endpoint, TopicArn string }
	var out struct {
		Subscriptions []item `xml:"Subscriptions>member"`
	}
	arn, err := topicARN(call)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.find(arn)
	if err != nil {
		return nil, err
	}
	for _, sub := range t.subscriptions {
		out.Subscriptions = append(out.Subscriptions, item{sub.ARN, sub.Owner, sub.Protocol, sub.Endpoint, sub.TopicARN})
	}
	return out, nil
}

func (s *Service) publish(call *wire.Call) (any, error) {
	arn, err := topicARN(call)
	if err != nil {
		return nil, err
	}
	m, err := messageAt(call.Form, "")
	if err != nil {
		return nil, err
	}
	id, err := s.Publish(arn, m)
	if err != nil {
		return nil, err
	}
	return struct {
		ID string `xml:"MessageId"`
	}{id}, nil
}

// published and failed are the entries of PublishBatch's answer.
type published struct {
	ID        string `xml:"Id"`
	MessageID string `xml:"MessageId"`
}

type failed struct {
	ID          string `xml:"Id"`
	Code        string
	Message     string
	SenderFault bool
}

func (s *Service) publishBatch(call *wire.Call) (any, error) {
	var out struct {
		Successful []published `xml:"Successful>member"`
		Failed     []failed    `xml:"Failed>member"`
	}
	arn, err := topicARN(call)
	if err != nil {
		return nil, err
	}
	prefixes, err := batchPrefixes(call.Form)
	if err != nil {
		return nil, err
	}
	for _, prefix := range prefixes {
		id := call.Form.Get(prefix + "Id")
		m, err := messageAt(call.Form, prefix)
		messageID := ""
		if err == nil {
			messageID, err = s.Publish(arn, m)
		}
		if e, ok := errors.AsType[*wire.Error](err); ok {
			out.Failed = append(out.Failed, failed{id, e.Code, e.Message, true})
			continue
		}
		out.Successful = append(out.Successful, published{id, messageID})
	}
	return out, nil
}

// batchPrefixes checks a batch as a whole and answers where its entries are in the form.
func batchPrefixes(form url.Values) ([]string, error) {
	var prefixes []string
	seen := map[string]bool{}
	size := 0
	for i := 1; ; i++ {
		prefix := fmt.Sprintf("PublishBatchRequestEntries.member.%d.", i)
		if !form.Has(prefix + "Id") {
			break
		}
		id := form.Get(prefix + "Id")
		if seen[id] {
			return nil, batchError("BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id.")
		}
		seen[id] = true
		size += len(form.Get(prefix + "Message"))
		prefixes = append(prefixes, prefix)
	}
	switch {
	case len(prefixes) == 0:
		return nil, batchError("EmptyBatchRequest", "The batch request doesn't contain any entries.")
	case len(prefixes) > 10:
		return nil, batchError("TooManyEntriesInBatchRequest", "The batch request contains more entries than permissible.")
	case size > maxSize:
		return nil, batchError("BatchRequestTooLong", "The length of all the batch messages put together is more than the limit.")
	}
	return prefixes, nil
}

func batchError(code, message string) error {
	return &wire.Error{Code: code, Message: message, Status: http.StatusBadRequest}
}

// messageAt reads a message from the form; prefix says which entry of a batch.
func messageAt(form url.Values, prefix string) (Message, error) {
	m := Message{
		Subject: form.Get(prefix + "Subject"), Body: form.Get(prefix + "Message"), Structure: form.Get(prefix + "MessageStructure"),
	}
	for i := 1; ; i++ {
		at := fmt.Sprintf("%sMessageAttributes.entry.%d.", prefix, i)
		if !form.Has(at + "Name") {
			return m, nil
		}
		binary, err := base64.StdEncoding.DecodeString(form.Get(at + "Value.BinaryValue"))
		if err != nil {
			return Message{}, invalid("MessageAttributes: %v", err)
		}
		if m.Attributes == nil {
			m.Attributes = map[string]sqs.Attribute{}
		}
		m.Attributes[form.Get(at+"Name")] = sqs.Attribute{
			DataType: form.Get(at + "Value.DataType"), StringValue: form.Get(at + "Value.StringValue"), BinaryValue: binary,
		}
	}
}

// pairs reads a map from the form.
func pairs(form url.Values, name string) map[string]string {
	out := map[string]string{}
	for i := 1; ; i++ {
		at := fmt.Sprintf("%s.entry.%d.", name, i)
		if !form.Has(at + "key") {
			return out
		}
		out[form.Get(at+"key")] = form.Get(at + "value")
	}
}
