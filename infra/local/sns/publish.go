package sns

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"rolecall/infra/local/sqs"
	"rolecall/infra/local/wire"
)

// maxSize is the most that a message and its attributes may take, in bytes; for a batch, all of them together.
const maxSize = 256 << 10

// A Message is one to publish.
type Message struct {
	Subject    string // optional
	Body       string
	Structure  string                   // "json": Body is an object with a text per protocol and a "default"
	Attributes map[string]sqs.Attribute // the two services' attributes are alike
}

// Publish delivers a message to the subscriptions of a topic and answers the message's id. A delivery that fails is not
// Publish's error: it goes to the subscription's dead-letter queue, or to the log.
func (s *Service) Publish(topicARN string, m Message) (string, error) {
	body, err := m.text()
	if err != nil {
		return "", err
	}
	m.Body = body
	out, subscriptions, err := s.prepare(topicARN, m)
	if err != nil {
		return "", err
	}
	for _, sub := range subscriptions {
		s.deliver(sub, out)
	}
	return out.id, nil
}

// text answers what SQS subscribers get to read.
func (m Message) text() (string, error) {
	switch {
	case m.Body == "":
		return "", invalid("Empty message")
	case !utf8.ValidString(m.Body):
		return "", invalid("Message")
	case m.size() > maxSize:
		return "", invalid("Message too long")
	case !validSubject(m.Subject):
		return "", invalid("Subject")
	}
	if err := checkAttributes(m.Attributes); err != nil {
		return "", err
	}
	switch m.Structure {
	case "":
		return m.Body, nil
	case "json":
		return m.forSQS()
	}
	return "", invalid("MessageStructure")
}

// forSQS picks the text for queues out of a message of structure "json".
func (m Message) forSQS() (string, error) {
	var texts map[string]string
	if err := json.Unmarshal([]byte(m.Body), &texts); err != nil {
		return "", invalid("Message Structure - JSON message body failed to parse")
	}
	if text, given := texts["sqs"]; given {
		return text, nil
	}
	text, given := texts["default"]
	if !given {
		return "", invalid("Message Structure - No default entry in JSON message body")
	}
	return text, nil
}

func checkAttributes(attributes map[string]sqs.Attribute) error {
	for name, a := range attributes {
		if !slices.Contains([]string{"String", "String.Array", "Number", "Binary"}, a.DataType) {
			return &wire.Error{Code: "ParameterValueInvalid", Message: fmt.Sprintf(
				"The message attribute '%s' has an invalid message attribute type, the set of supported type prefixes is "+
					"Binary, Number, and String.", name)}
		}
		if a.StringValue == "" && len(a.BinaryValue) == 0 {
			return &wire.Error{Code: "ParameterValueInvalid", Message: fmt.Sprintf(
				"The message attribute '%s' must contain non-empty message attribute value for message attribute type '%s'.",
				name, a.DataType)}
		}
	}
	return nil
}

func (m Message) size() int {
	size := len(m.Body)
	for name, a := range m.Attributes {
		size += len(name) + len(a.DataType) + len(a.StringValue) + len(a.BinaryValue)
	}
	return size
}

// validSubject: up to 100 characters of ASCII text that begin with no space.
func validSubject(subject string) bool {
	control := func(r rune) bool { return r < ' ' || r > '~' }
	return len(subject) <= 100 && !strings.HasPrefix(subject, " ") && !strings.ContainsFunc(subject, control)
}

// notification is a published message on its way to subscribers.
type notification struct {
	Message
	id        string
	at        string // its Timestamp
	topic     string
	account   string // the topic's
	region    string
	signature string // version, "1" or "2"
}

func (s *Service) prepare(topicARN string, m Message) (notification, []Subscription, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.find(topicARN)
	if err != nil {
		return notification{}, nil, err
	}
	subscriptions := make([]Subscription, 0, len(t.subscriptions))
	for _, sub := range t.subscriptions {
		subscriptions = append(subscriptions, *sub)
	}
	version := "1"
	if set := t.attributes["SignatureVersion"]; set != "" {
		version = set
	}
	return notification{
		Message: m, id: newID(), at: s.timestamp().Format("2006-01-02T15:04:05.000Z"),
		topic: topicARN, account: t.account, region: t.region, signature: version,
	}, subscriptions, nil
}

// timestamp gives each message a later millisecond than the one before: who reads the messages orders them by it.
func (s *Service) timestamp() time.Time {
	now := s.clock().UTC().Truncate(time.Millisecond)
	if !now.After(s.last) {
		now = s.last.Add(time.Millisecond)
	}
	s.last = now
	return now
}

func (s *Service) deliver(sub Subscription, n notification) {
	d := sqs.Delivery{
		QueueARN: sub.Endpoint, Body: n.Body, Attributes: n.Attributes,
		Service: "sns.amazonaws.com", SourceARN: n.topic, SourceAccount: n.account,
	}
	if !sub.Raw {
		envelope, err := s.envelope(sub, n)
		if err != nil {
			s.log.Error("SNS cannot sign a message", "topic", n.topic, "error", err)
			return
		}
		d.Body, d.Attributes = envelope, nil
	}
	err := s.queues.Deliver(d)
	if err == nil {
		return
	}
	if sub.deadLetter == "" {
		s.log.Error("SNS lost a message", "subscription", sub.ARN, "queue", sub.Endpoint, "message", n.id, "error", err)
		return
	}
	d.QueueARN = sub.deadLetter
	if buried := s.queues.Deliver(d); buried != nil {
		s.log.Error("SNS lost a message that its dead-letter queue did not take", "subscription", sub.ARN,
			"queue", sub.Endpoint, "deadLetterQueue", sub.deadLetter, "message", n.id, "error", err, "deadLetterError", buried)
	}
}

// envelope wraps a message the way SNS does for queues without raw delivery, member order and spacing included.
func (s *Service) envelope(sub Subscription, n notification) (string, error) {
	signer, err := s.signer()
	if err != nil {
		return "", err
	}
	signature, err := signer.sign(n)
	if err != nil {
		return "", err
	}
	host := "https://sns." + n.region + ".amazonaws.com/"
	members := []string{member("Type", "Notification"), member("MessageId", n.id), member("TopicArn", n.topic)}
	if n.Subject != "" {
		members = append(members, member("Subject", n.Subject))
	}
	members = append(members,
		member("Message", n.Body),
		member("Timestamp", n.at),
		member("SignatureVersion", n.signature),
		member("Signature", signature),
		member("SigningCertURL", host+"SimpleNotificationService-"+signer.name+".pem"),
		member("UnsubscribeURL", host+"?Action=Unsubscribe&SubscriptionArn="+sub.ARN),
	)
	if len(n.Attributes) > 0 {
		members = append(members, quote("MessageAttributes")+" : "+attributesJSON(n.Attributes))
	}
	return "{\n  " + strings.Join(members, ",\n  ") + "\n}", nil
}

func attributesJSON(attributes map[string]sqs.Attribute) string {
	names := make([]string, 0, len(attributes))
	for name := range attributes {
		names = append(names, name)
	}
	slices.Sort(names)
	lines := make([]string, 0, len(names))
	for _, name := range names {
		a := attributes[name]
		value := a.StringValue
		if strings.HasPrefix(a.DataType, "Binary") {
			value = base64.StdEncoding.EncodeToString(a.BinaryValue)
		}
		lines = append(lines, "    "+quote(name)+` : {"Type":`+quote(a.DataType)+`,"Value":`+quote(value)+"}")
	}
	return "{\n" + strings.Join(lines, ",\n") + "\n  }"
}

func member(name, value string) string { return quote(name) + " : " + quote(value) }

// quote writes a JSON string as SNS does: with <, > and & as they are.
func quote(text string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string always encodes
	return strings.TrimSuffix(b.String(), "\n")
}
