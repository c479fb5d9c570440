package sqs

import (
	"context"
	"crypto/md5" //nolint:gosec // SQS's protocol answers MD5 digests and the SDKs compare them
	"encoding/binary"
	"encoding/hex"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxVisibility = 12 * time.Hour
	maxWait       = 20 * time.Second
	maxDelay      = 900 * time.Second
	maxSize       = 1 << 20 // bytes: of a message, and of all messages of a batch
	maxBatch      = 10
)

// An Attribute is a message attribute.
type Attribute struct {
	DataType    string // "String", "Number" or "Binary", with an optional ".label"
	StringValue string `json:",omitempty"`
	BinaryValue []byte `json:",omitempty"`
}

// A Message is one received message, in the shape of ReceiveMessage's answer.
type Message struct {
	MessageID         string               `json:"MessageId"`
	ReceiptHandle     string               `json:"ReceiptHandle"`
	MD5OfBody         string               `json:"MD5OfBody"`
	Body              string               `json:"Body"`
	Attributes        map[string]string    `json:"Attributes,omitempty"` // ApproximateReceiveCount, SentTimestamp, …
	MD5OfAttributes   string               `json:"MD5OfMessageAttributes,omitempty"`
	MessageAttributes map[string]Attribute `json:"MessageAttributes,omitempty"`
}

// message is a stored message, guarded by the service's mutex.
type message struct {
	id         string
	body       string
	attributes map[string]Attribute
	sender     string
	trace      string // AWSTraceHeader
	group      string // MessageGroupId; "" for none

	sent          time.Time
	visibleAt     time.Time
	firstReceived time.Time
	received      time.Time
	receives      int
	nonce         string // of the latest receipt; empty before the first
	source        string // ARN of the queue that a dead letter came from
}

// outgoing is a message on its way into a queue.
type outgoing struct {
	body       string
	attributes map[string]Attribute
	delay      *time.Duration // nil: the queue's
	sender     string
	trace      string
	group      *string
}

func (s *Service) enqueue(q *queue, out outgoing) (*message, error) {
	if err := out.check(q.settings.number("MaximumMessageSize")); err != nil {
		return nil, err
	}
	delay := q.settings.seconds("DelaySeconds")
	if out.delay != nil {
		delay = *out.delay
	}
	now := s.clock()
	m := &message{
		id: newID(), body: out.body, attributes: out.attributes, sender: out.sender, trace: out.trace,
		group: orElse(out.group, ""), sent: now, visibleAt: now.Add(delay),
	}
	q.sentBy(m.group, now)
	q.messages = append(q.messages, m)
	q.signal()
	return m, nil
}

func (out outgoing) check(limit int) error {
	if out.body == "" {
		return fail("MissingParameter", "The request must contain the parameter MessageBody.")
	}
	if strings.ContainsFunc(out.body, forbidden) {
		return fail("InvalidMessageContents", "Invalid characters found. Valid unicode characters are "+
			"#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF")
	}
	if out.delay != nil && (*out.delay < 0 || *out.delay > maxDelay) {
		return fail("InvalidParameterValue", "Value %d for parameter DelaySeconds is invalid. Reason: "+
			"DelaySeconds must be >= 0 and <= 900.", int(out.delay.Seconds()))
	}
	if err := checkGroup(out.group); err != nil {
		return err
	}
	if err := checkAttributes(out.attributes); err != nil {
		return err
	}
	if out.size() > limit {
		return fail("InvalidParameterValue", "One or more parameters are invalid. Reason: "+
			"Message must be shorter than %d bytes.", limit)
	}
	return nil
}

// forbidden tells the characters that XML, and so SQS, cannot carry.
func forbidden(r rune) bool {
	switch {
	case r == '\t', r == '\n', r == '\r':
		return false
	case r < 0x20, r == 0xFFFE, r == 0xFFFF:
		return true
	}
	return false
}

func (out outgoing) size() int {
	size := len(out.body)
	for name, a := range out.attributes {
		size += len(name) + len(a.DataType) + len(a.StringValue) + len(a.BinaryValue)
	}
	return size
}

var (
	attributeName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,256}$`)
	attributeType = regexp.MustCompile(`^(String|Number|Binary)(\..{1,249})?$`)
)

func checkAttributes(attributes map[string]Attribute) error {
	if len(attributes) > 10 {
		return fail("InvalidParameterValue", "Number of message attributes [%d] exceeds the allowed maximum [10].", len(attributes))
	}
	for name, a := range attributes {
		if !attributeName.MatchString(name) {
			return fail("InvalidParameterValue", "The message attribute name '%s' is invalid.", name)
		}
		if !attributeType.MatchString(a.DataType) {
			return fail("InvalidParameterValue", "The type of message (user) attribute '%s' is invalid: '%s'. "+
				"You must use only the following supported type prefixes: Binary, Number, String.", name, a.DataType)
		}
		if a.StringValue == "" && len(a.BinaryValue) == 0 {
			return fail("InvalidParameterValue", "The message attribute '%s' must contain non-empty message attribute value.", name)
		}
	}
	return nil
}

// A ReceiveInput says what to receive; nil fields take the queue's own values.
type ReceiveInput struct {
	Max        int            // 1–10; 0 means 1
	Wait       *time.Duration // long polling, at most 20 s
	Visibility *time.Duration // at most 12 h
}

func (in ReceiveInput) check() error {
	if in.Max < 1 || in.Max > maxBatch {
		return fail("InvalidParameterValue", "Value %d for parameter MaxNumberOfMessages is invalid. Reason: "+
			"Must be between 1 and 10, if provided.", in.Max)
	}
	if in.Wait != nil && (*in.Wait < 0 || *in.Wait > maxWait) {
		return fail("InvalidParameterValue", "Value %d for parameter WaitTimeSeconds is invalid. Reason: "+
			"Must be >= 0 and <= 20, if provided.", int(in.Wait.Seconds()))
	}
	if in.Visibility != nil && (*in.Visibility < 0 || *in.Visibility > maxVisibility) {
		return fail("InvalidParameterValue", "Value %d for parameter VisibilityTimeout is invalid. Reason: "+
			"Must be between 0 and 43200, if provided.", int(in.Visibility.Seconds()))
	}
	return nil
}

// Receive takes messages from a queue and hides them for the visibility timeout. With none there it waits as asked, then
// answers none. It ends early with ctx's error, and with QueueDoesNotExist if the queue is deleted meanwhile.
func (s *Service) Receive(ctx context.Context, arn string, in ReceiveInput) ([]Message, error) {
	if in.Max == 0 {
		in.Max = 1
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	start := s.clock()
	for {
		look, err := s.take(arn, in)
		if err != nil || len(look.got) > 0 {
			return look.got, err
		}
		now, deadline := s.clock(), start.Add(look.wait)
		if !now.Before(deadline) {
			return nil, nil
		}
		if !look.next.IsZero() && look.next.Before(deadline) {
			deadline = look.next
		}
		if !await(ctx, look.changed, deadline.Sub(now)) {
			return nil, ctx.Err()
		}
	}
}

// glance is one look into a queue.
type glance struct {
	got     []Message
	wait    time.Duration   // how long the receiver may wait in all
	next    time.Time       // when the next hidden message shows; zero if none is hidden
	changed <-chan struct{} // closed when it is worth looking again
}

func (s *Service) take(arn string, in ReceiveInput) (glance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(arn)
	if err != nil {
		return glance{}, err
	}
	now := s.clock()
	q.expire(now)
	look := glance{changed: q.changed, wait: orElse(in.Wait, q.settings.seconds("ReceiveMessageWaitTimeSeconds"))}
	hide := orElse(in.Visibility, q.settings.seconds("VisibilityTimeout"))
	for _, m := range q.inTurn(now) {
		switch {
		case len(look.got) == in.Max:
			return look, nil
		case m.visibleAt.After(now):
			if look.next.IsZero() || m.visibleAt.Before(look.next) {
				look.next = m.visibleAt
			}
		case !s.bury(q, m, now):
			q.worked(m, now)
			look.got = append(look.got, m.receive(arn, now, hide))
		}
	}
	return look, nil
}

// bury moves a message that was received too often to the dead-letter queue.
func (s *Service) bury(q *queue, m *message, now time.Time) bool {
	if q.settings.deadLetter == "" || m.receives < q.settings.maxReceives {
		return false
	}
	graveyard, exists := s.queues[q.settings.deadLetter]
	if !exists {
		return false
	}
	q.remove(m)
	m.source, m.nonce, m.visibleAt = q.arn(), "", now
	graveyard.messages = append(graveyard.messages, m)
	graveyard.signal()
	return true
}

func (m *message) receive(arn string, now time.Time, hide time.Duration) Message {
	m.receives++
	m.received = now
	if m.firstReceived.IsZero() {
		m.firstReceived = now
	}
	m.visibleAt = now.Add(hide)
	m.nonce = newID()
	return Message{
		MessageID: m.id, ReceiptHandle: sealHandle(arn, m.id, m.nonce),
		Body: m.body, MD5OfBody: digest([]byte(m.body)),
		Attributes: m.system(), MessageAttributes: maps.Clone(m.attributes), MD5OfAttributes: attributesDigest(m.attributes),
	}
}

func (m *message) system() map[string]string {
	all := map[string]string{
		"ApproximateReceiveCount":          strconv.Itoa(m.receives),
		"ApproximateFirstReceiveTimestamp": millis(m.firstReceived),
		"SentTimestamp":                    millis(m.sent),
	}
	for name, value := range map[string]string{
		"SenderId": m.sender, "AWSTraceHeader": m.trace, "DeadLetterQueueSourceArn": m.source, "MessageGroupId": m.group,
	} {
		if value != "" {
			all[name] = value
		}
	}
	return all
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

func orElse[T any](given *T, otherwise T) T {
	if given == nil {
		return otherwise
	}
	return *given
}

func digest(b []byte) string {
	sum := md5.Sum(b) //nolint:gosec // SQS's protocol
	return hex.EncodeToString(sum[:])
}

// attributesDigest is the MD5 of message attributes as SQS's developer guide defines it; "" for none.
func attributesDigest(attributes map[string]Attribute) string {
	if len(attributes) == 0 {
		return ""
	}
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		a := attributes[name]
		b = lengthPrefixed(b, []byte(name))
		b = lengthPrefixed(b, []byte(a.DataType))
		if strings.HasPrefix(a.DataType, "Binary") {
			b = lengthPrefixed(append(b, 2), a.BinaryValue)
			continue
		}
		b = lengthPrefixed(append(b, 1), []byte(a.StringValue))
	}
	return digest(b)
}

func lengthPrefixed(b, value []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(value))) //nolint:gosec // at most 1 MiB
	return append(b, value...)
}
