// Package sns is the pocket AWS's Simple Notification Service: standard topics with policies, and subscriptions of SQS
// queues in any account and Region. Filter policies, encrypted and FIFO topics, and other protocols are refused.
//
// Publishing delivers at once, so that a message is in its queues before Publish answers. The subscribed queue's policy
// decides whether it gets in, as in AWS; what cannot be delivered goes to the subscription's dead-letter queue.
package sns

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"rolecall/infra/local/policy"
	"rolecall/infra/local/sqs"
	"rolecall/infra/local/wire"
)

// Queues takes what topics deliver; [sqs.Service] is one.
type Queues interface {
	Deliver(sqs.Delivery) error
}

// Service holds the topics of all accounts and Regions. Make one with [New].
type Service struct {
	queues     Queues
	clock      func() time.Time
	log        *slog.Logger
	operations map[string]operation
	signer     func() (*signer, error)

	mu     sync.Mutex
	topics map[string]*topic // by ARN
	last   time.Time         // the latest timestamp given out
}

var _ wire.Service = (*Service)(nil)

// topic is guarded by the service's mutex.
type topic struct {
	account, region, name string

	attributes    map[string]string
	policy        *policy.Document
	subscriptions []*Subscription // in the order of their making
}

// A Subscription brings a topic's messages to a queue.
type Subscription struct {
	ARN           string // given by Subscribe
	TopicARN      string
	Protocol      string // "sqs"
	Endpoint      string // the queue's ARN
	Owner         string // account that subscribed
	Raw           bool   // deliver the message itself rather than SNS's envelope
	RedrivePolicy string // {"deadLetterTargetArn": …}, "" for none

	deadLetter string
}

// New makes a service that delivers to queues and logs what it could not deliver.
func New(queues Queues, clock func() time.Time, log *slog.Logger) *Service {
	s := &Service{queues: queues, clock: clock, log: log, topics: map[string]*topic{}}
	s.signer = sync.OnceValues(func() (*signer, error) { return newSigner(clock()) })
	s.operations = s.table()
	return s
}

var topicName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)

// CreateTopic makes a topic, or changes the attributes of the one that is there, and answers its ARN.
func (s *Service) CreateTopic(account, region, name string, attributes map[string]string) (string, error) {
	if strings.HasSuffix(name, ".fifo") || attributes["FifoTopic"] == "true" {
		return "", invalid("FIFO topics are not part of the pocket AWS: %s", name)
	}
	if !topicName.MatchString(name) {
		return "", invalid("Topic Name")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	arn := "arn:aws:sns:" + region + ":" + account + ":" + name
	t := &topic{account: account, region: region, name: name, attributes: map[string]string{}}
	if old, exists := s.topics[arn]; exists {
		t = old
	}
	for _, attribute := range slices.Sorted(maps.Keys(attributes)) {
		if err := t.set(attribute, attributes[attribute]); err != nil {
			return "", err
		}
	}
	s.topics[arn] = t
	return arn, nil
}

// SetTopicAttribute sets "Policy", "DisplayName", "SignatureVersion", "DeliveryPolicy" or "TracingConfig"; an empty Policy
// removes it.
func (s *Service) SetTopicAttribute(arn, name, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.find(arn)
	if err != nil {
		return err
	}
	return t.set(name, value)
}

func (t *topic) set(name, value string) error {
	switch name {
	case "Policy":
		return t.setPolicy(value)
	case "SignatureVersion":
		if value != "1" && value != "2" {
			return invalid("SignatureVersion")
		}
	case "DisplayName", "DeliveryPolicy", "TracingConfig":
	case "FifoTopic", "ContentBasedDeduplication":
		if value != "false" {
			return invalid("%s: FIFO topics are not part of the pocket AWS", name)
		}
		return nil
	case "KmsMasterKeyId":
		if value != "" {
			return invalid("KmsMasterKeyId: encrypted topics are not part of the pocket AWS")
		}
		return nil
	default:
		return invalid("AttributeName: %s", name)
	}
	t.attributes[name] = value
	return nil
}

func (t *topic) setPolicy(value string) error {
	if value == "" {
		t.policy = nil
		delete(t.attributes, "Policy")
		return nil
	}
	document, err := policy.Parse([]byte(value))
	if err == nil {
		err = document.CheckResource()
	}
	if err != nil {
		return invalid("Policy Error: %v", err)
	}
	t.policy, t.attributes["Policy"] = &document, value
	return nil
}

// DeleteTopic removes a topic and its subscriptions; one that is not there is no error, as in SNS.
func (s *Service) DeleteTopic(arn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.topics, arn)
}

// Subscribe subscribes a queue and answers the subscription's ARN. The same queue subscribed again answers the same one.
// Nothing has to be confirmed here: whether the topic gets its messages in is up to the queue's policy.
func (s *Service) Subscribe(sub Subscription) (string, error) {
	if sub.Protocol != "sqs" {
		return "", invalid("Protocol: the pocket AWS delivers to sqs only, not to %q", sub.Protocol)
	}
	if parts := strings.Split(sub.Endpoint, ":"); len(parts) != 6 || parts[2] != "sqs" {
		return "", invalid("SQS endpoint ARN")
	}
	deadLetter, err := deadLetterOf(sub.RedrivePolicy)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.find(sub.TopicARN)
	if err != nil {
		return "", err
	}
	for _, old := range t.subscriptions {
		if old.Endpoint == sub.Endpoint {
			return old.ARN, nil
		}
	}
	sub.ARN, sub.deadLetter = sub.TopicARN+":"+newID(), deadLetter
	if sub.Owner == "" {
		sub.Owner = t.account
	}
	t.subscriptions = append(t.subscriptions, &sub)
	return sub.ARN, nil
}

// SetSubscription changes a subscription's attribute "RawMessageDelivery" or "RedrivePolicy".
func (s *Service) SetSubscription(arn, name, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, sub, err := s.subscription(arn)
	if err != nil {
		return err
	}
	changed, err := sub.with(name, value)
	if err != nil {
		return err
	}
	*sub = changed
	return nil
}

func (sub Subscription) with(name, value string) (Subscription, error) {
	switch name {
	case "RawMessageDelivery":
		if value != "true" && value != "false" {
			return sub, invalid("Attributes Reason: RawMessageDelivery: Invalid value [%s]. Must be true or false.", value)
		}
		sub.Raw = value == "true"
		return sub, nil
	case "RedrivePolicy":
		deadLetter, err := deadLetterOf(value)
		sub.RedrivePolicy, sub.deadLetter = value, deadLetter
		return sub, err
	case "FilterPolicy", "FilterPolicyScope":
		return sub, invalid("%s: filter policies are not part of the pocket AWS; the subscription would get every message", name)
	}
	return sub, invalid("AttributeName: %s", name)
}

func deadLetterOf(redrive string) (string, error) {
	if redrive == "" {
		return "", nil
	}
	var in struct {
		Target string `json:"deadLetterTargetArn"`
	}
	if err := json.Unmarshal([]byte(redrive), &in); err != nil || in.Target == "" {
		return "", invalid("RedrivePolicy: %s", redrive)
	}
	return in.Target, nil
}

// Unsubscribe ends a subscription; one that is not there is no error, as in SNS.
func (s *Service) Unsubscribe(arn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, sub, err := s.subscription(arn)
	if err != nil {
		return
	}
	t.subscriptions = slices.DeleteFunc(t.subscriptions, func(other *Subscription) bool { return other == sub })
}

func (s *Service) find(arn string) (*topic, error) {
	t, ok := s.topics[arn]
	if !ok {
		return nil, missing("Topic does not exist")
	}
	return t, nil
}

func (s *Service) subscription(arn string) (*topic, *Subscription, error) {
	end := strings.LastIndexByte(arn, ':')
	if t, ok := s.topics[arn[:max(end, 0)]]; ok {
		for _, sub := range t.subscriptions {
			if sub.ARN == arn {
				return t, sub, nil
			}
		}
	}
	return nil, nil, missing("Subscription does not exist")
}

// newID makes a random UUID, the form of SNS's message ids.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func invalid(format string, args ...any) *wire.Error {
	return &wire.Error{
		Code: "InvalidParameter", Message: "Invalid parameter: " + fmt.Sprintf(format, args...), Status: http.StatusBadRequest,
	}
}

func missing(message string) *wire.Error {
	return &wire.Error{Code: "NotFound", Message: message, Status: http.StatusNotFound}
}
