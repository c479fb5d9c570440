package sqs

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"rolecall/infra/local/policy"
)

// settings are a queue's attributes that can be set. A value of settings is never changed: a new one takes its place.
type settings struct {
	raw         map[string]string
	policy      *policy.Document
	deadLetter  string // ARN
	maxReceives int
}

// bound is the range of a numeric attribute and its value where none was given.
type bound struct{ low, high, standard int }

func bounds(name string) (bound, bool) {
	switch name {
	case "DelaySeconds":
		return bound{0, 900, 0}, true
	case "MaximumMessageSize":
		return bound{1024, maxSize, maxSize}, true
	case "MessageRetentionPeriod":
		return bound{60, 1209600, 345600}, true
	case "ReceiveMessageWaitTimeSeconds":
		return bound{0, 20, 0}, true
	case "VisibilityTimeout":
		return bound{0, 43200, 30}, true
	}
	return bound{}, false
}

func (c settings) value(name string) string {
	if value, ok := c.raw[name]; ok {
		return value
	}
	if b, ok := bounds(name); ok {
		return strconv.Itoa(b.standard)
	}
	if name == "SqsManagedSseEnabled" {
		return "true"
	}
	return ""
}

func (c settings) number(name string) int {
	n, _ := strconv.Atoi(c.value(name)) // checked when it was set
	return n
}

func (c settings) seconds(name string) time.Duration {
	return time.Duration(c.number(name)) * time.Second
}

// checked answers the queue's settings with the given changes, or says what is wrong with them.
func (s *Service) checked(q *queue, changes map[string]string) (settings, error) {
	c := q.settings
	c.raw = maps.Clone(c.raw)
	if c.raw == nil {
		c.raw = map[string]string{}
	}
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		value := strings.TrimSpace(changes[name])
		if err := s.set(q, &c, name, value); err != nil {
			return settings{}, err
		}
		if value == "" {
			delete(c.raw, name)
			continue
		}
		c.raw[name] = value
	}
	return c, nil
}

func (s *Service) set(q *queue, c *settings, name, value string) error {
	if b, ok := bounds(name); ok {
		n, err := strconv.Atoi(value)
		if err != nil || n < b.low || n > b.high {
			return fail("InvalidAttributeValue", "Invalid value for the parameter %s.", name)
		}
		return nil
	}
	switch name {
	case "Policy":
		return c.setPolicy(value)
	case "RedrivePolicy":
		return s.setRedrive(q, c, value)
	case "RedriveAllowPolicy":
		_, err := parseAllow(value)
		return err
	case "SqsManagedSseEnabled":
		if value != "true" && value != "false" {
			return fail("InvalidAttributeValue", "Invalid value for the parameter SqsManagedSseEnabled.")
		}
		return nil
	case "KmsMasterKeyId":
		if value != "" {
			return fail("InvalidAttributeValue", "KmsMasterKeyId: queues encrypted with KMS keys are not part of the pocket AWS.")
		}
		return nil
	}
	return fail("InvalidAttributeName", "Unknown Attribute %s.", name)
}

func (c *settings) setPolicy(value string) error {
	c.policy = nil
	if value == "" {
		return nil
	}
	document, err := policy.Parse([]byte(value))
	if err == nil {
		err = document.CheckResource()
	}
	if err != nil {
		return fail("InvalidAttributeValue", "Invalid value for the parameter Policy: %v", err)
	}
	c.policy = &document
	return nil
}

func (s *Service) setRedrive(q *queue, c *settings, value string) error {
	c.deadLetter, c.maxReceives = "", 0
	if value == "" {
		return nil
	}
	var redrive struct {
		Target string      `json:"deadLetterTargetArn"`
		Max    json.Number `json:"maxReceiveCount"` // SQS takes a number and a numeric string
	}
	if err := json.Unmarshal([]byte(value), &redrive); err != nil {
		return fail("InvalidParameterValue", "Value %s for parameter RedrivePolicy is invalid. Reason: %v", value, err)
	}
	most, err := strconv.Atoi(redrive.Max.String())
	if err != nil || most < 1 || most > 1000 {
		return fail("InvalidParameterValue", "Value %s for parameter RedrivePolicy is invalid. Reason: "+
			"Invalid value for maxReceiveCount: %q, valid values are from 1 to 1000 both inclusive.", value, redrive.Max)
	}
	target, exists := s.queues[redrive.Target]
	if !exists || target.account != q.account || target.region != q.region {
		return fail("InvalidParameterValue", "Value %s for parameter RedrivePolicy is invalid. Reason: "+
			"Dead letter target does not exist.", value)
	}
	allow, err := parseAllow(target.settings.raw["RedriveAllowPolicy"])
	if err != nil {
		return err
	}
	if !allow.admits(q.arn()) {
		return fail("InvalidParameterValue", "Value %s for parameter RedrivePolicy is invalid. Reason: "+
			"Queue is not permitted to use the dead letter target.", value)
	}
	c.deadLetter, c.maxReceives = redrive.Target, most
	return nil
}

// redriveAllow is a dead-letter queue's word on who may use it.
type redriveAllow struct {
	Permission string   `json:"redrivePermission"`
	Sources    []string `json:"sourceQueueArns"`
}

func parseAllow(value string) (redriveAllow, error) {
	allow := redriveAllow{Permission: "allowAll"}
	if value == "" {
		return allow, nil
	}
	if err := json.Unmarshal([]byte(value), &allow); err != nil {
		return allow, fail("InvalidAttributeValue", "Invalid value for the parameter RedriveAllowPolicy: %v", err)
	}
	if !slices.Contains([]string{"allowAll", "denyAll", "byQueue"}, allow.Permission) {
		return allow, fail("InvalidAttributeValue", "Invalid value for the parameter RedriveAllowPolicy.")
	}
	return allow, nil
}

func (a redriveAllow) admits(source string) bool {
	return a.Permission == "allowAll" || a.Permission == "byQueue" && slices.Contains(a.Sources, source)
}

// attributes answers everything that GetQueueAttributes knows of the queue.
func (q *queue) attributes(now time.Time) map[string]string {
	q.expire(now)
	var visible, hidden, delayed int
	for _, m := range q.messages {
		switch {
		case !m.visibleAt.After(now):
			visible++
		case m.nonce == "":
			delayed++
		default:
			hidden++
		}
	}
	all := map[string]string{
		"QueueArn":                              q.arn(),
		"CreatedTimestamp":                      strconv.FormatInt(q.created.Unix(), 10),
		"LastModifiedTimestamp":                 strconv.FormatInt(q.modified.Unix(), 10),
		"ApproximateNumberOfMessages":           strconv.Itoa(visible),
		"ApproximateNumberOfMessagesNotVisible": strconv.Itoa(hidden),
		"ApproximateNumberOfMessagesDelayed":    strconv.Itoa(delayed),
	}
	for _, name := range settable() {
		if value := q.settings.value(name); value != "" {
			all[name] = value
		}
	}
	return all
}

func settable() []string {
	return []string{
		"DelaySeconds", "MaximumMessageSize", "MessageRetentionPeriod", "ReceiveMessageWaitTimeSeconds", "VisibilityTimeout",
		"Policy", "RedrivePolicy", "RedriveAllowPolicy", "SqsManagedSseEnabled", "KmsMasterKeyId",
	}
}

func computed() []string {
	return []string{
		"QueueArn", "CreatedTimestamp", "LastModifiedTimestamp", "ApproximateNumberOfMessages",
		"ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed",
	}
}
