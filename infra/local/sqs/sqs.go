// Package sqs is the pocket AWS's Simple Queue Service: standard queues in memory with visibility timeouts, delays, long
// polling, retention, dead-letter queues, queue policies and fair queues. FIFO queues and encryption with KMS keys are refused.
//
// Time comes from the injected clock alone. Waiting receivers set a real timer for the next instant at which something can
// change and then ask the clock again, so a test with a clock of its own moves it and calls [Service.Wake].
package sqs

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"rolecall/infra/local/policy"
	"rolecall/infra/local/wire"
)

// Service holds the queues of all accounts and Regions. Make one with [New].
type Service struct {
	base       string
	clock      func() time.Time
	operations map[string]operation

	mu     sync.Mutex
	queues map[string]*queue // by ARN
}

var _ wire.Service = (*Service)(nil)

// queue is guarded by the service's mutex.
type queue struct {
	account, region, name string

	settings settings
	created  time.Time
	modified time.Time
	purged   time.Time
	tasks    []moveTask
	messages []*message // oldest first
	fair     fairness
	changed  chan struct{} // closed and replaced when a waiting receiver should look again
}

// A Queue names one queue.
type Queue struct {
	Name string
	ARN  string
	URL  string
}

// New makes a service whose queue URLs start with base, such as "http://127.0.0.1:4566".
func New(base string, clock func() time.Time) *Service {
	s := &Service{base: strings.TrimSuffix(base, "/"), clock: clock, queues: map[string]*queue{}}
	s.operations = s.table()
	return s
}

var queueName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

// Create makes a queue with the given attributes, named as in the API ("VisibilityTimeout" → "90"). Creating a queue that
// exists with the same attributes answers the existing one; with others it is a QueueNameExists [wire.Error].
func (s *Service) Create(account, region, name string, attributes map[string]string) (Queue, error) {
	if strings.HasSuffix(name, ".fifo") || attributes["FifoQueue"] == "true" {
		return Queue{}, fail("InvalidParameterValue", "FIFO queues are not part of the pocket AWS: %s", name)
	}
	if !queueName.MatchString(name) {
		return Queue{}, fail("InvalidParameterValue",
			"Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	arn := queueARN(account, region, name)
	if old, exists := s.queues[arn]; exists {
		return s.again(old, attributes)
	}
	now := s.clock()
	q := &queue{account: account, region: region, name: name, created: now, modified: now, changed: make(chan struct{})}
	changed, err := s.checked(q, attributes)
	if err != nil {
		return Queue{}, err
	}
	q.settings = changed
	s.queues[arn] = q
	return s.describe(q), nil
}

// again answers a second creation of the same queue.
func (s *Service) again(old *queue, attributes map[string]string) (Queue, error) {
	for name, value := range attributes {
		if old.settings.value(name) != value {
			return Queue{}, fail("QueueNameExists",
				"A queue already exists with the same name and a different value for attribute %s", name)
		}
	}
	return s.describe(old), nil
}

// Find answers the queue with the given ARN; a missing one is a QueueDoesNotExist [wire.Error].
func (s *Service) Find(arn string) (Queue, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(arn)
	if err != nil {
		return Queue{}, err
	}
	return s.describe(q), nil
}

// SetAttributes changes attributes of a queue; an empty Policy, RedrivePolicy or RedriveAllowPolicy removes it.
func (s *Service) SetAttributes(arn string, attributes map[string]string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(arn)
	if err != nil {
		return err
	}
	changed, err := s.checked(q, attributes)
	if err != nil {
		return err
	}
	q.settings, q.modified = changed, s.clock()
	q.signal()
	return nil
}

// Attributes answers all attributes of a queue, as GetQueueAttributes names them.
func (s *Service) Attributes(arn string) (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(arn)
	if err != nil {
		return nil, err
	}
	return q.attributes(s.clock()), nil
}

// Delete removes a queue with its messages. Receivers that wait on it get QueueDoesNotExist.
func (s *Service) Delete(arn string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(arn)
	if err != nil {
		return err
	}
	delete(s.queues, arn)
	q.signal()
	return nil
}

// Wake makes every waiting receiver ask the clock again. Tests call it after they moved their clock.
func (s *Service) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.queues {
		q.signal()
	}
}

// NeedFor says what calling action (such as "sqs:ReceiveMessage") on the queue takes, for parts of the pocket AWS that act
// with somebody's role, such as event source mappings.
func (s *Service) NeedFor(action, arn string) (wire.Need, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(arn)
	if err != nil {
		return wire.Need{}, err
	}
	return wire.Need{Action: action, Resource: arn, ResourcePolicy: q.settings.policy, ResourceAccount: q.account}, nil
}

// A Delivery is a message that another service of the pocket AWS brings to a queue.
type Delivery struct {
	QueueARN      string
	Body          string
	Attributes    map[string]Attribute
	Service       string // who delivers: "sns.amazonaws.com", "events.amazonaws.com"
	SourceARN     string // for aws:SourceArn: the topic, the rule
	SourceAccount string // for aws:SourceAccount
}

// Deliver puts a message of a service into a queue if the queue's policy admits that service for that source: nothing else
// does, not even the same account. Errors are [wire.Error]s: AccessDenied, QueueDoesNotExist, or those of SendMessage.
func (s *Service) Deliver(d Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(d.QueueARN)
	if err != nil {
		return err
	}
	if !q.admits(d) {
		return &wire.Error{Code: "AccessDenied", Status: http.StatusForbidden, Message: fmt.Sprintf(
			"the policy of %s does not allow %s to sqs:SendMessage for %s", d.QueueARN, d.Service, d.SourceARN)}
	}
	_, err = s.enqueue(q, outgoing{body: d.Body, attributes: d.Attributes, sender: d.Service})
	return err
}

func (q *queue) admits(d Delivery) bool {
	if q.settings.policy == nil {
		return false
	}
	return q.settings.policy.Evaluate(policy.Request{
		Action:    "sqs:SendMessage",
		Resource:  d.QueueARN,
		Principal: policy.Principal{Service: d.Service},
		Context: map[string][]string{
			"aws:SourceArn":             {d.SourceARN},
			"aws:SourceAccount":         {d.SourceAccount},
			"aws:PrincipalIsAWSService": {"true"},
			"aws:SecureTransport":       {"true"},
		},
	}) == policy.Allow
}

// Send puts a message into a queue without asking who sends it. Its id is the answer.
func (s *Service) Send(arn, body string, attributes map[string]Attribute) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(arn)
	if err != nil {
		return "", err
	}
	m, err := s.enqueue(q, outgoing{body: body, attributes: attributes})
	if err != nil {
		return "", err
	}
	return m.id, nil
}

// DeleteMessage removes the message that the receipt handle was given for. As in SQS, the handle of an earlier receipt and
// one of a message that is gone succeed and remove nothing; what is no handle of this queue is ReceiptHandleIsInvalid.
func (s *Service) DeleteMessage(arn, receiptHandle string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(arn)
	if err != nil {
		return err
	}
	id, nonce, err := openHandle(arn, receiptHandle)
	if err != nil {
		return err
	}
	if m := q.message(id); m != nil && m.nonce == nonce {
		q.worked(m, s.clock())
		q.remove(m)
	}
	return nil
}

// ChangeVisibility sets when a message in flight can be received again: timeout from now, at most 12 hours after its receipt.
func (s *Service) ChangeVisibility(arn, receiptHandle string, timeout time.Duration) error {
	if timeout < 0 || timeout > maxVisibility {
		return fail("InvalidParameterValue",
			"Value %d for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and 43200.", int(timeout.Seconds()))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(arn)
	if err != nil {
		return err
	}
	id, nonce, err := openHandle(arn, receiptHandle)
	if err != nil {
		return err
	}
	m, now := q.message(id), s.clock()
	switch {
	case m == nil || m.nonce != nonce:
		return fail("InvalidParameterValue", "Value %s for parameter ReceiptHandle is invalid. Reason: "+
			"Message does not exist or is not available for visibility timeout change.", receiptHandle)
	case !m.visibleAt.After(now):
		return fail("MessageNotInflight", "The message referred to isn't in flight.")
	case now.Add(timeout).After(m.received.Add(maxVisibility)):
		return fail("InvalidParameterValue", "Value %d for parameter VisibilityTimeout is invalid. Reason: "+
			"Total VisibilityTimeout for the message is beyond the limit [43200 seconds].", int(timeout.Seconds()))
	}
	m.visibleAt = now.Add(timeout)
	q.signal()
	return nil
}

func (s *Service) find(arn string) (*queue, error) {
	q, ok := s.queues[arn]
	if !ok {
		return nil, fail("QueueDoesNotExist", "The specified queue does not exist.")
	}
	return q, nil
}

func (s *Service) describe(q *queue) Queue {
	return Queue{Name: q.name, ARN: q.arn(), URL: s.base + "/" + q.account + "/" + q.name}
}

func (q *queue) arn() string { return queueARN(q.account, q.region, q.name) }

// signal wakes the receivers that wait on the queue.
func (q *queue) signal() {
	close(q.changed)
	q.changed = make(chan struct{})
}

func (q *queue) message(id string) *message {
	at := slices.IndexFunc(q.messages, func(m *message) bool { return m.id == id })
	if at < 0 {
		return nil
	}
	return q.messages[at]
}

func (q *queue) remove(gone *message) {
	q.messages = slices.DeleteFunc(q.messages, func(m *message) bool { return m == gone })
}

// expire drops messages older than the queue's retention.
func (q *queue) expire(now time.Time) {
	oldest := now.Add(-q.settings.seconds("MessageRetentionPeriod"))
	q.messages = slices.DeleteFunc(q.messages, func(m *message) bool { return m.sent.Before(oldest) })
}

func queueARN(account, region, name string) string {
	return "arn:aws:sqs:" + region + ":" + account + ":" + name
}

// sealHandle makes a receipt handle: opaque to clients, and good for one receipt of one message of one queue.
func sealHandle(arn, id, nonce string) string {
	return base64.StdEncoding.EncodeToString([]byte(arn + "|" + id + "|" + nonce))
}

func openHandle(arn, handle string) (id, nonce string, err error) {
	raw, err := base64.StdEncoding.DecodeString(handle)
	parts := strings.Split(string(raw), "|")
	if err != nil || len(parts) != 3 || parts[0] != arn {
		return "", "", fail("ReceiptHandleIsInvalid", "The input receipt handle %q is not a valid receipt handle.", handle)
	}
	return parts[1], parts[2], nil
}

// newID makes a random UUID, the form of SQS's message ids.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func fail(code, format string, args ...any) *wire.Error {
	return &wire.Error{Code: code, Message: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}

// await blocks until changed is closed or the pause is over; false means that ctx ended first.
func await(ctx context.Context, changed <-chan struct{}, pause time.Duration) bool {
	timer := time.NewTimer(max(pause, time.Millisecond))
	defer timer.Stop()
	select {
	case <-changed:
		return true
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
