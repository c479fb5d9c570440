package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"rolecall/infra/local/wire"
)

// operation is one API operation: the IAM action that it takes, what kind of thing it is about, and what it does.
type operation struct {
	action string
	about  func(*wire.Call, subject) string // the resource's ARN
	run    func(*wire.Call) (any, error)
}

// subject is the part of an input that names what the call is about. "Name" is a bus's in some operations, a rule's in
// others; a rule given as "Rule" belongs to the targets' operations.
type subject struct {
	Name         string
	Rule         string
	EventBusName string
	ArchiveName  string
	ReplayName   string
}

func (s *Service) table() map[string]operation {
	everything := func(*wire.Call, subject) string { return "*" }
	return map[string]operation{
		"CreateEventBus":    {"events:CreateEventBus", aboutBus, s.createEventBus},
		"DeleteEventBus":    {"events:DeleteEventBus", aboutBus, s.deleteEventBus},
		"DescribeEventBus":  {"events:DescribeEventBus", aboutBus, s.describeEventBus},
		"ListEventBuses":    {"events:ListEventBuses", everything, s.listEventBuses},
		"PutRule":           {"events:PutRule", aboutRule, s.putRule},
		"DescribeRule":      {"events:DescribeRule", aboutRule, s.describeRule},
		"DeleteRule":        {"events:DeleteRule", aboutRule, s.deleteRule},
		"EnableRule":        {"events:EnableRule", aboutRule, s.enableRule},
		"DisableRule":       {"events:DisableRule", aboutRule, s.disableRule},
		"ListRules":         {"events:ListRules", everything, s.listRules},
		"PutTargets":        {"events:PutTargets", aboutRule, s.putTargets},
		"RemoveTargets":     {"events:RemoveTargets", aboutRule, s.removeTargets},
		"ListTargetsByRule": {"events:ListTargetsByRule", aboutRule, s.listTargetsByRule},
		"PutEvents":         {"events:PutEvents", everything, s.putEvents},
		"TestEventPattern":  {"events:TestEventPattern", everything, s.testEventPattern},
		"CreateArchive":     {"events:CreateArchive", aboutArchive, s.createArchive},
		"DescribeArchive":   {"events:DescribeArchive", aboutArchive, s.describeArchive},
		"DeleteArchive":     {"events:DeleteArchive", aboutArchive, s.deleteArchive},
		"StartReplay":       {"events:StartReplay", aboutReplay, s.startReplay},
		"DescribeReplay":    {"events:DescribeReplay", aboutReplay, s.describeReplay},
	}
}

func aboutBus(call *wire.Call, in subject) string {
	return busARN(call.Principal.Account, call.Region, in.Name)
}

func aboutRule(call *wire.Call, in subject) string {
	return ruleARN(call, in.EventBusName, in.Name+in.Rule)
}

func aboutArchive(call *wire.Call, in subject) string { return arnOf(call, "archive/"+in.ArchiveName) }

func aboutReplay(call *wire.Call, in subject) string { return arnOf(call, "replay/"+in.ReplayName) }

func arnOf(call *wire.Call, resource string) string {
	return "arn:aws:events:" + call.Region + ":" + call.Principal.Account + ":" + resource
}

// ruleARN is the ARN of the caller's rule on a bus that is given by name or ARN.
func ruleARN(call *wire.Call, of, rule string) string {
	name := of[strings.LastIndexByte(of, '/')+1:]
	if name == "" {
		name = defaultBus
	}
	return (&bus{account: call.Principal.Account, region: call.Region, name: name}).ruleARN(rule)
}

// Needs implements [wire.Service].
func (s *Service) Needs(call *wire.Call) ([]wire.Need, error) {
	op, known := s.operations[call.Operation]
	if !known {
		return nil, unknown(call)
	}
	if call.Operation == "PutEvents" {
		return s.needsOfPut(call)
	}
	var in subject
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	return []wire.Need{{Action: op.action, Resource: op.about(call, in)}}, nil
}

// needsOfPut: events:PutEvents on each bus that the entries name. Buses that do not exist are left to PutEvents, which
// answers per entry.
func (s *Service) needsOfPut(call *wire.Call) ([]wire.Need, error) {
	var in putEventsInput
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	seen := map[string]wire.Need{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range in.Entries {
		arn := busARN(call.Principal.Account, call.Region, e.EventBusName)
		need := wire.Need{Action: "events:PutEvents", Resource: arn}
		if b, err := s.find(arn); err == nil {
			need.ResourcePolicy, need.ResourceAccount = b.policy, b.account
		}
		seen[arn] = need
	}
	needs := []wire.Need{}
	for _, arn := range slices.Sorted(maps.Keys(seen)) {
		needs = append(needs, seen[arn])
	}
	return needs, nil
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
		Message: fmt.Sprintf("The action %s is not part of the pocket AWS's EventBridge.", call.Operation),
	}
}

func codeOf(err error) string {
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return e.Code
	}
	return "InternalFailure"
}

func (s *Service) createEventBus(call *wire.Call) (any, error) {
	var in struct{ Name string }
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	arn, err := s.CreateBus(call.Principal.Account, call.Region, in.Name)
	if err != nil {
		return nil, err
	}
	return map[string]string{"EventBusArn": arn}, nil
}

func (s *Service) deleteEventBus(call *wire.Call) (any, error) {
	var in subject
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	return nil, s.DeleteBus(aboutBus(call, in))
}

// busItem is a bus in answers.
type busItem struct {
	Name         string
	Arn          string
	Policy       string  `json:",omitempty"`
	CreationTime float64 // seconds since 1970
}

func (b *bus) item() busItem {
	return busItem{b.name, b.arn(), b.policyText, unix(b.created)}
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (s *Service) describeEventBus(call *wire.Call) (any, error) {
	var in subject
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(aboutBus(call, in))
	if err != nil {
		return nil, err
	}
	return b.item(), nil
}

func (s *Service) listEventBuses(call *wire.Call) (any, error) {
	var in struct{ NamePrefix string }
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.find(aboutBus(call, subject{})); err != nil { // makes the default bus
		return nil, err
	}
	items := []busItem{}
	for _, arn := range slices.Sorted(maps.Keys(s.buses)) {
		b := s.buses[arn]
		if b.account == call.Principal.Account && b.region == call.Region && strings.HasPrefix(b.name, in.NamePrefix) {
			items = append(items, b.item())
		}
	}
	return map[string]any{"EventBuses": items}, nil
}

func (s *Service) putRule(call *wire.Call) (any, error) {
	var in struct {
		Name, EventPattern, ScheduleExpression, State, Description, EventBusName string
	}
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	if in.ScheduleExpression != "" {
		return nil, fail("ValidationException", "Scheduled rules are not part of the pocket AWS; use EventBridge Scheduler.")
	}
	arn, err := s.PutRule(call.Principal.Account, call.Region, Rule{
		Name: in.Name, Bus: in.EventBusName, Pattern: in.EventPattern, Description: in.Description, Disabled: in.State == "DISABLED",
	})
	if err != nil {
		return nil, err
	}
	return map[string]string{"RuleArn": arn}, nil
}

// ruleItem is a rule in answers.
type ruleItem struct {
	Name, Arn, EventPattern, State, EventBusName string
	Description                                  string `json:",omitempty"`
}

func (r *Rule) item() ruleItem {
	state := "ENABLED"
	if r.Disabled {
		state = "DISABLED"
	}
	return ruleItem{r.Name, r.ARN, r.Pattern, state, r.Bus, r.Description}
}

func (s *Service) describeRule(call *wire.Call) (any, error) {
	return s.withRule(call, func(_ *bus, r *Rule) (any, error) {
		return struct {
			ruleItem
			CreatedBy string
		}{r.item(), r.account}, nil
	})
}

// withRule finds the rule that the call names and holds the lock while use runs.
func (s *Service) withRule(call *wire.Call, use func(*bus, *Rule) (any, error)) (any, error) {
	var in subject
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(busARN(call.Principal.Account, call.Region, in.EventBusName))
	if err != nil {
		return nil, err
	}
	r, ok := b.rules[in.Name+in.Rule]
	if !ok {
		return nil, fail("ResourceNotFoundException", "Rule %s does not exist on EventBus %s.", in.Name+in.Rule, b.name)
	}
	return use(b, r)
}

func (s *Service) deleteRule(call *wire.Call) (any, error) {
	var in subject
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	return nil, s.DeleteRule(aboutRule(call, in))
}

func (s *Service) enableRule(call *wire.Call) (any, error) {
	return s.withRule(call, func(_ *bus, r *Rule) (any, error) { r.Disabled = false; return nil, nil })
}

func (s *Service) disableRule(call *wire.Call) (any, error) {
	return s.withRule(call, func(_ *bus, r *Rule) (any, error) { r.Disabled = true; return nil, nil })
}

func (s *Service) listRules(call *wire.Call) (any, error) {
	var in struct{ NamePrefix, EventBusName string }
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(busARN(call.Principal.Account, call.Region, in.EventBusName))
	if err != nil {
		return nil, err
	}
	items := []ruleItem{}
	for _, name := range slices.Sorted(maps.Keys(b.rules)) {
		if strings.HasPrefix(name, in.NamePrefix) {
			items = append(items, b.rules[name].item())
		}
	}
	return map[string]any{"Rules": items}, nil
}

// targetItem is a target in inputs and answers. The members that the pocket AWS refuses are there to be refused by name.
type targetItem struct {
	ID               string          `json:"Id"`
	ARN              string          `json:"Arn"`
	DeadLetterConfig *deadLetterItem `json:",omitempty"`
	Input            json.RawMessage `json:",omitempty"`
	InputPath        json.RawMessage `json:",omitempty"`
	InputTransformer json.RawMessage `json:",omitempty"`
	SqsParameters    json.RawMessage `json:",omitempty"`
}

type deadLetterItem struct {
	ARN string `json:"Arn,omitempty"`
}

func (t targetItem) target() (Target, error) {
	for _, refused := range []struct {
		name  string
		given json.RawMessage
	}{
		{"Input", t.Input}, {"InputPath", t.InputPath}, {"InputTransformer", t.InputTransformer}, {"SqsParameters", t.SqsParameters},
	} {
		if len(refused.given) > 0 && string(refused.given) != "null" {
			return Target{}, fail("ValidationException", "%s of target %s is not part of the pocket AWS: targets get the event as it is.", refused.name, t.ID)
		}
	}
	target := Target{ID: t.ID, ARN: t.ARN}
	if t.DeadLetterConfig != nil {
		target.DeadLetter = t.DeadLetterConfig.ARN
	}
	return target, nil
}

func (s *Service) putTargets(call *wire.Call) (any, error) {
	var in struct {
		Rule, EventBusName string
		Targets            []targetItem
	}
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	rule := ruleARN(call, in.EventBusName, in.Rule)
	for _, item := range in.Targets {
		target, err := item.target()
		if err != nil {
			return nil, err
		}
		if err := s.PutTarget(rule, target); err != nil {
			return nil, err
		}
	}
	return noFailures(), nil
}

// noFailures is the answer of operations on several targets, which here succeed or fail as a whole.
func noFailures() any {
	return map[string]any{"FailedEntryCount": 0, "FailedEntries": []any{}}
}

func (s *Service) removeTargets(call *wire.Call) (any, error) {
	var in struct {
		Rule, EventBusName string
		IDs                []string `json:"Ids"`
	}
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	for _, id := range in.IDs {
		if err := s.RemoveTarget(ruleARN(call, in.EventBusName, in.Rule), id); err != nil {
			return nil, err
		}
	}
	return noFailures(), nil
}

func (s *Service) listTargetsByRule(call *wire.Call) (any, error) {
	return s.withRule(call, func(_ *bus, r *Rule) (any, error) {
		items := []targetItem{}
		for _, t := range r.Targets {
			item := targetItem{ID: t.ID, ARN: t.ARN}
			if t.DeadLetter != "" {
				item.DeadLetterConfig = &deadLetterItem{t.DeadLetter}
			}
			items = append(items, item)
		}
		return map[string]any{"Targets": items}, nil
	})
}

type putEventsInput struct {
	Entries []struct {
		Source, DetailType, Detail, EventBusName string
		Resources                                []string
		Time                                     *float64 // seconds since 1970
	}
}

func (s *Service) putEvents(call *wire.Call) (any, error) {
	var in putEventsInput
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	if n := len(in.Entries); n < 1 || n > 10 {
		return nil, fail("ValidationException", "1 validation error detected: Value at 'entries' failed to satisfy constraint: "+
			"Member must have length greater than or equal to 1 and less than or equal to 10; it has %d", n)
	}
	type target struct {
		bus   string
		event Event
	}
	var puts []target
	size := 0
	for _, e := range in.Entries {
		event := Event{Source: e.Source, DetailType: e.DetailType, Detail: e.Detail, Resources: e.Resources}
		if e.Time != nil {
			event.Time = time.UnixMilli(int64(*e.Time * 1000))
		}
		size += event.size()
		puts = append(puts, target{busARN(call.Principal.Account, call.Region, e.EventBusName), event})
	}
	if size > maxSize {
		return nil, fail("ValidationException", "Total size of the entries in the request is over the limit.")
	}
	failures := 0
	results := make([]map[string]string, 0, len(puts))
	for _, p := range puts {
		id, err := s.Put(p.bus, call.Principal.Account, p.event)
		if err != nil {
			failures++
			results = append(results, failedEntry(err))
			continue
		}
		results = append(results, map[string]string{"EventId": id})
	}
	return map[string]any{"FailedEntryCount": failures, "Entries": results}, nil
}

func failedEntry(err error) map[string]string {
	message := err.Error()
	if e, ok := errors.AsType[*wire.Error](err); ok {
		message = e.Message
	}
	return map[string]string{"ErrorCode": codeOf(err), "ErrorMessage": message}
}

func (s *Service) testEventPattern(call *wire.Call) (any, error) {
	var in struct{ EventPattern, Event string }
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	pattern, err := ParsePattern([]byte(in.EventPattern))
	if err != nil {
		return nil, fail("InvalidEventPatternException", "Event pattern is not valid. Reason: %v", err)
	}
	return map[string]bool{"Result": pattern.Matches([]byte(in.Event))}, nil
}

func (s *Service) createArchive(call *wire.Call) (any, error) {
	var in struct {
		ArchiveName, EventSourceArn, EventPattern, Description string
		RetentionDays                                          int
	}
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	arn, err := s.CreateArchive(call.Principal.Account, call.Region, Archive{
		Name: in.ArchiveName, Source: in.EventSourceArn, Pattern: in.EventPattern, Description: in.Description, Days: in.RetentionDays,
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"ArchiveArn": arn, "State": "ENABLED", "CreationTime": unix(s.clock())}, nil
}

func (s *Service) describeArchive(call *wire.Call) (any, error) {
	var in subject
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.archive(aboutArchive(call, in))
	if err != nil {
		return nil, err
	}
	a.expire(s.clock())
	return struct {
		ArchiveName, ArchiveArn, EventSourceArn, State string
		EventPattern                                   string `json:",omitempty"`
		Description                                    string `json:",omitempty"`
		RetentionDays, EventCount, SizeBytes           int
		CreationTime                                   float64
	}{a.Name, a.arn, a.Source, "ENABLED", a.Pattern, a.Description, a.Days, len(a.events), a.size(), unix(a.created)}, nil
}

func (s *Service) deleteArchive(call *wire.Call) (any, error) {
	var in subject
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	return nil, s.DeleteArchive(aboutArchive(call, in))
}

func (s *Service) startReplay(call *wire.Call) (any, error) {
	var in struct {
		ReplayName, EventSourceArn   string
		EventStartTime, EventEndTime float64
		Destination                  struct {
			Arn        string
			FilterArns []string
		}
	}
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	arn, err := s.StartReplay(call.Principal.Account, call.Region, Replay{
		Name: in.ReplayName, Archive: in.EventSourceArn, Bus: in.Destination.Arn, Rules: in.Destination.FilterArns,
		From: time.UnixMilli(int64(in.EventStartTime * 1000)), To: time.UnixMilli(int64(in.EventEndTime * 1000)),
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"ReplayArn": arn, "State": "STARTING", "ReplayStartTime": unix(s.clock())}, nil
}

func (s *Service) describeReplay(call *wire.Call) (any, error) {
	var in subject
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.replays[aboutReplay(call, in)]
	if !ok {
		return nil, fail("ResourceNotFoundException", "Replay %s does not exist.", in.ReplayName)
	}
	out := map[string]any{
		"ReplayName": r.name, "ReplayArn": r.arn, "EventSourceArn": r.archive, "State": "RUNNING",
		"Destination":    map[string]string{"Arn": r.destination},
		"EventStartTime": unix(r.from), "EventEndTime": unix(r.to), "ReplayStartTime": unix(r.started),
	}
	if !r.ended.IsZero() {
		out["State"], out["ReplayEndTime"] = "COMPLETED", unix(r.ended)
	}
	return out, nil
}
