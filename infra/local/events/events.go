// Package events is the pocket AWS's EventBridge: buses, rules with event patterns, SQS queues as targets, archives and
// replays. Scheduled rules, other targets and input transformers are refused.
//
// PutEvents delivers at once, so that an event is in its queues before PutEvents answers. The queue's policy decides
// whether it gets in, as in AWS; what cannot be delivered goes to the target's dead-letter queue.
package events

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

// Queues takes what rules deliver; [sqs.Service] is one.
type Queues interface {
	Deliver(sqs.Delivery) error
}

// Service holds the buses of all accounts and Regions. Make one with [New].
type Service struct {
	queues     Queues
	clock      func() time.Time
	log        *slog.Logger
	operations map[string]operation

	mu       sync.Mutex
	buses    map[string]*bus     // by ARN
	archives map[string]*archive // by ARN
	replays  map[string]*replay  // by ARN
}

var _ wire.Service = (*Service)(nil)

// bus is guarded by the service's mutex.
type bus struct {
	account, region, name string

	policy     *policy.Document
	policyText string
	rules      map[string]*Rule // by name
	created    time.Time
}

// A Rule sends the events of a bus that fit its pattern to its targets.
type Rule struct {
	Name        string
	ARN         string // given by PutRule
	Bus         string // the bus's name
	Pattern     string // JSON
	Description string
	Disabled    bool
	Targets     []Target

	account, region string
	parsed          Pattern
}

// A Target is a queue that a rule sends events to.
type Target struct {
	ID         string
	ARN        string // the queue's
	DeadLetter string // ARN of a queue for what could not be delivered, "" for none
}

// New makes a service that delivers to queues and logs what it could not deliver. Every account has a bus "default" in
// every Region.
func New(queues Queues, clock func() time.Time, log *slog.Logger) *Service {
	s := &Service{
		queues: queues, clock: clock, log: log,
		buses: map[string]*bus{}, archives: map[string]*archive{}, replays: map[string]*replay{},
	}
	s.operations = s.table()
	return s
}

const defaultBus = "default"

var (
	busName  = regexp.MustCompile(`^[A-Za-z0-9._/-]{1,256}$`)
	ruleName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	targetID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
)

// CreateBus makes a bus and answers its ARN.
func (s *Service) CreateBus(account, region, name string) (string, error) {
	if !busName.MatchString(name) || name == defaultBus {
		return "", fail("ValidationException", "%q cannot be the name of an event bus.", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	arn := busARN(account, region, name)
	if _, exists := s.buses[arn]; exists {
		return "", fail("ResourceAlreadyExistsException", "Event bus %s already exists.", name)
	}
	s.buses[arn] = s.newBus(account, region, name)
	return arn, nil
}

func (s *Service) newBus(account, region, name string) *bus {
	return &bus{account: account, region: region, name: name, rules: map[string]*Rule{}, created: s.clock()}
}

// SetBusPolicy sets who else may put events on a bus; "" removes the policy.
func (s *Service) SetBusPolicy(arn, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(arn)
	if err != nil {
		return err
	}
	if text == "" {
		b.policy, b.policyText = nil, ""
		return nil
	}
	document, err := policy.Parse([]byte(text))
	if err == nil {
		err = document.CheckResource()
	}
	if err != nil {
		return fail("ValidationException", "The policy is not valid: %v", err)
	}
	b.policy, b.policyText = &document, text
	return nil
}

// DeleteBus removes a bus that has no rules; one that is not there is no error, as in EventBridge.
func (s *Service) DeleteBus(arn string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, exists := s.buses[arn]
	if !exists {
		return nil
	}
	if b.name == defaultBus {
		return fail("ValidationException", "Cannot delete event bus default.")
	}
	if len(b.rules) > 0 {
		return fail("ValidationException", "Cannot delete event bus %s: it has rules.", b.name)
	}
	delete(s.buses, arn)
	return nil
}

// PutRule makes or changes a rule and answers its ARN; the targets of an existing rule stay. Rule.Targets is not read.
func (s *Service) PutRule(account, region string, r Rule) (string, error) {
	if !ruleName.MatchString(r.Name) {
		return "", fail("ValidationException", "%q cannot be the name of a rule.", r.Name)
	}
	parsed, err := ParsePattern([]byte(r.Pattern))
	if err != nil {
		return "", fail("InvalidEventPatternException", "Event pattern is not valid. Reason: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(busARN(account, region, r.Bus))
	if err != nil {
		return "", err
	}
	r.account, r.region, r.parsed, r.Targets = account, region, parsed, nil
	r.Bus, r.ARN = b.name, b.ruleARN(r.Name)
	if old, exists := b.rules[r.Name]; exists {
		r.Targets = old.Targets
	}
	b.rules[r.Name] = &r
	return r.ARN, nil
}

// PutTarget adds a target to a rule, or changes the one with its id.
func (s *Service) PutTarget(ruleARN string, target Target) error {
	if !targetID.MatchString(target.ID) {
		return fail("ValidationException", "%q cannot be the id of a target.", target.ID)
	}
	for _, queue := range []string{target.ARN, target.DeadLetter} {
		parts := strings.Split(queue, ":")
		if queue == target.DeadLetter && queue == "" {
			continue
		}
		if len(parts) != 6 || parts[2] != "sqs" {
			return fail("ValidationException", "The pocket AWS's EventBridge sends to SQS queues only, not to %q.", queue)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, r, err := s.rule(ruleARN)
	if err != nil {
		return err
	}
	r.Targets = slices.DeleteFunc(slices.Clone(r.Targets), func(old Target) bool { return old.ID == target.ID })
	if len(r.Targets) == 5 {
		return fail("LimitExceededException", "The requested resource exceeds the maximum number allowed: 5 targets per rule.")
	}
	r.Targets = append(r.Targets, target)
	return nil
}

// RemoveTarget takes a target off a rule.
func (s *Service) RemoveTarget(ruleARN, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, r, err := s.rule(ruleARN)
	if err != nil {
		return err
	}
	r.Targets = slices.DeleteFunc(slices.Clone(r.Targets), func(old Target) bool { return old.ID == id })
	return nil
}

// DeleteRule removes a rule that has no targets; one that is not there is no error, as in EventBridge.
func (s *Service) DeleteRule(arn string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, r, err := s.rule(arn)
	if err != nil {
		return nil //nolint:nilerr // deleting what is gone succeeds
	}
	if len(r.Targets) > 0 {
		return fail("ValidationException", "Rule can't be deleted since it has targets.")
	}
	delete(b.rules, r.Name)
	return nil
}

// find answers a bus; the default one is made when it is first asked for.
func (s *Service) find(arn string) (*bus, error) {
	if b, ok := s.buses[arn]; ok {
		return b, nil
	}
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) == 6 && parts[2] == "events" && parts[5] == "event-bus/"+defaultBus {
		b := s.newBus(parts[4], parts[3], defaultBus)
		s.buses[arn] = b
		return b, nil
	}
	name := strings.TrimPrefix(parts[len(parts)-1], "event-bus/")
	return nil, fail("ResourceNotFoundException", "Event bus %s does not exist.", name)
}

func (s *Service) rule(arn string) (*bus, *Rule, error) {
	for _, b := range s.buses {
		for _, r := range b.rules {
			if r.ARN == arn {
				return b, r, nil
			}
		}
	}
	return nil, nil, fail("ResourceNotFoundException", "Rule %s does not exist.", arn[strings.LastIndexByte(arn, '/')+1:])
}

// busARN resolves a bus's name, its ARN, or "" for the default bus.
func busARN(account, region, bus string) string {
	switch {
	case strings.HasPrefix(bus, "arn:"):
		return bus
	case bus == "":
		bus = defaultBus
	}
	return "arn:aws:events:" + region + ":" + account + ":event-bus/" + bus
}

func (b *bus) arn() string { return busARN(b.account, b.region, b.name) }

func (b *bus) ruleARN(rule string) string {
	prefix := "arn:aws:events:" + b.region + ":" + b.account + ":rule/"
	if b.name == defaultBus {
		return prefix + rule
	}
	return prefix + b.name + "/" + rule
}

// An Event is one to put on a bus.
type Event struct {
	Source     string
	DetailType string
	Detail     string // a JSON object
	Resources  []string
	Time       time.Time // zero: now
}

// maxSize is the most that all events of a PutEvents call may take, in bytes.
const maxSize = 1 << 20

func (e Event) size() int {
	size := len(e.Source) + len(e.DetailType) + len(e.Detail)
	if !e.Time.IsZero() {
		size += 14
	}
	for _, r := range e.Resources {
		size += len(r)
	}
	return size
}

func (e Event) check() error {
	for _, given := range []struct{ name, value string }{
		{"Source", e.Source}, {"DetailType", e.DetailType}, {"Detail", e.Detail},
	} {
		if given.value == "" {
			return fail("InvalidArgument", "Parameter %s is not valid. Reason: %s is a required argument.", given.name, given.name)
		}
	}
	if strings.HasPrefix(e.Source, "aws.") {
		return fail("NotAuthorizedForSourceException", "Not authorized for the source.")
	}
	var detail map[string]json.RawMessage
	if err := json.Unmarshal([]byte(e.Detail), &detail); err != nil || detail == nil {
		return fail("MalformedDetail", "Detail is malformed.")
	}
	return nil
}

// envelope is an event as targets get it.
type envelope struct {
	Version    string          `json:"version"`
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       string          `json:"time"`
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	Replay     string          `json:"replay-name,omitempty"`
	Detail     json.RawMessage `json:"detail"`
}

// Put puts an event of account on a bus and answers the event's id. Errors are [wire.Error]s with the codes of failed
// entries: InvalidArgument, MalformedDetail, NotAuthorizedForSourceException, ResourceNotFoundException.
func (s *Service) Put(busARN, account string, e Event) (string, error) {
	if err := e.check(); err != nil {
		return "", err
	}
	s.mu.Lock()
	b, err := s.find(busARN)
	if err != nil {
		s.mu.Unlock()
		return "", err
	}
	now := s.clock()
	when := e.Time
	if when.IsZero() {
		when = now
	}
	out := envelope{
		Version: "0", ID: newID(), DetailType: e.DetailType, Source: e.Source, Account: account,
		Time: when.UTC().Format("2006-01-02T15:04:05Z"), Region: b.region, Resources: e.Resources, Detail: json.RawMessage(e.Detail),
	}
	if out.Resources == nil {
		out.Resources = []string{}
	}
	body := out.encode()
	s.keep(b.arn(), body, now)
	rules := b.matching(body)
	s.mu.Unlock()
	s.deliver(rules, body)
	return out.ID, nil
}

// encode writes the event as EventBridge does, with <, > and & as they are.
func (e envelope) encode() []byte {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(e) // the detail was checked, and strings always encode
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}

// matching answers copies of the rules that an event fits, by name.
func (b *bus) matching(event []byte) []Rule {
	var out []Rule
	for _, name := range slices.Sorted(maps.Keys(b.rules)) {
		if r := b.rules[name]; !r.Disabled && r.parsed.Matches(event) {
			out = append(out, *r)
		}
	}
	return out
}

func (s *Service) deliver(rules []Rule, event []byte) {
	for _, r := range rules {
		for _, target := range r.Targets {
			s.deliverTo(r, target, event)
		}
	}
}

func (s *Service) deliverTo(r Rule, target Target, event []byte) {
	d := sqs.Delivery{
		QueueARN: target.ARN, Body: string(event), Service: "events.amazonaws.com", SourceARN: r.ARN, SourceAccount: r.account,
	}
	err := s.queues.Deliver(d)
	if err == nil {
		return
	}
	if target.DeadLetter == "" {
		s.log.Error("EventBridge lost an event", "rule", r.ARN, "queue", target.ARN, "error", err)
		return
	}
	d.QueueARN, d.Attributes = target.DeadLetter, reason(r, target, err)
	if buried := s.queues.Deliver(d); buried != nil {
		s.log.Error("EventBridge lost an event that its dead-letter queue did not take", "rule", r.ARN,
			"queue", target.ARN, "deadLetterQueue", target.DeadLetter, "error", err, "deadLetterError", buried)
	}
}

// reason is what EventBridge tells of a dead letter.
func reason(r Rule, target Target, err error) map[string]sqs.Attribute {
	text := func(value string) sqs.Attribute { return sqs.Attribute{DataType: "String", StringValue: value} }
	return map[string]sqs.Attribute{
		"RULE_ARN": text(r.ARN), "TARGET_ARN": text(target.ARN),
		"ERROR_CODE": text(codeOf(err)), "ERROR_MESSAGE": text(err.Error()),
	}
}

// newID makes a random UUID, the form of EventBridge's event ids.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func fail(code, format string, args ...any) *wire.Error {
	return &wire.Error{Code: code, Message: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}
