package cfn

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"rolecall/infra/local/wire"
)

// Service answers the CloudFormation API for an [Engine].
type Service struct {
	engine *Engine
}

// New makes the API of an engine.
func New(engine *Engine) *Service { return &Service{engine: engine} }

var _ wire.Service = (*Service)(nil)

// Needs asks for cloudformation:<operation> on the stack, or on every stack where the call names none.
func (s *Service) Needs(call *wire.Call) ([]wire.Need, error) {
	resource := "*"
	name := call.Form.Get("StackName")
	switch {
	case strings.HasPrefix(name, "arn:"):
		resource = name
	case name != "":
		resource = s.stackARN(call, name)
	case strings.HasPrefix(call.Form.Get("ChangeSetName"), "arn:"):
		resource = s.changeSetStack(call)
	}
	return []wire.Need{{Action: "cloudformation:" + call.Operation, Resource: resource}}, nil
}

func (s *Service) stackARN(call *wire.Call, name string) string {
	if stack, err := s.engine.Stack(call.Principal.Account, call.Region, name); err == nil {
		return stack.ID
	}
	partition, _ := partitionOf(call.Region)
	return fmt.Sprintf("arn:%s:cloudformation:%s:%s:stack/%s/*", partition, call.Region, call.Principal.Account, name)
}

func (s *Service) changeSetStack(call *wire.Call) string {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	stack, _, err := s.engine.findChangeSet(call.Principal.Account, call.Region, "", call.Form.Get("ChangeSetName"))
	if err != nil {
		return "*"
	}
	return stack.ID
}

// Serve performs the call.
func (s *Service) Serve(ctx context.Context, call *wire.Call) (wire.Response, error) {
	if err := unsupported(call.Form); err != nil {
		return wire.Response{}, err
	}
	v, err := s.answer(ctx, call)
	if err != nil {
		return wire.Response{}, err
	}
	return wire.Response{Value: v}, nil
}

// unsupported refuses parameters that would change what a call does, rather than to leave them out in silence.
func unsupported(form url.Values) error {
	for _, name := range []string{"RoleARN", "StackPolicyBody", "StackPolicyURL", "StackPolicyDuringUpdateBody", "StackPolicyDuringUpdateURL", "TimeoutInMinutes"} {
		if form.Get(name) != "" {
			return invalid("%s is not supported here", name)
		}
	}
	for _, name := range []string{"EnableTerminationProtection", "ImportExistingResources", "RetainExceptOnCreate"} {
		if form.Get(name) == "true" {
			return invalid("%s is not supported here", name)
		}
	}
	for name := range form {
		if strings.HasPrefix(name, "ResourceTypes.") || strings.HasPrefix(name, "ResourcesToImport.") || strings.HasPrefix(name, "RollbackConfiguration.RollbackTriggers.") {
			return invalid("%s is not supported here", strings.SplitN(name, ".", 2)[0])
		}
	}
	return nil
}

func (s *Service) answer(ctx context.Context, call *wire.Call) (any, error) {
	switch call.Operation {
	case "CreateStack":
		return s.createStack(ctx, call)
	case "UpdateStack":
		return s.updateStack(ctx, call)
	case "DeleteStack":
		return s.deleteStack(call)
	case "DescribeStacks":
		return s.describeStacks(call)
	case "DescribeStackEvents":
		return s.describeStackEvents(call)
	case "ListStacks":
		return s.listStacks(call)
	case "ListStackResources":
		return s.listStackResources(call)
	case "DescribeStackResources":
		return s.describeStackResources(call)
	case "DescribeStackResource":
		return s.describeStackResource(call)
	case "GetTemplate":
		return s.getTemplate(call)
	case "GetTemplateSummary":
		return s.getTemplateSummary(ctx, call)
	case "ValidateTemplate":
		return s.validateTemplate(ctx, call)
	case "CreateChangeSet":
		return s.createChangeSet(ctx, call)
	case "DescribeChangeSet":
		return s.describeChangeSet(call)
	case "ExecuteChangeSet":
		return s.executeChangeSet(call)
	case "DeleteChangeSet":
		return s.deleteChangeSet(call)
	default:
		return nil, &wire.Error{
			Code: "InvalidAction", Status: http.StatusBadRequest,
			Message: "The action " + call.Operation + " is not valid for this endpoint: the pocket AWS's CloudFormation does not have it.",
		}
	}
}

// formList reads prefix.member.1, prefix.member.2, … in order. With a field it reads prefix.member.1.field.
func formList(form url.Values, prefix, field string) []string {
	if field != "" {
		field = "." + field
	}
	var out []string
	for i := 1; ; i++ {
		key := prefix + ".member." + strconv.Itoa(i)
		if !formHas(form, key) {
			return out
		}
		out = append(out, form.Get(key+field))
	}
}

func formHas(form url.Values, key string) bool {
	if form.Has(key) {
		return true
	}
	for name := range form {
		if strings.HasPrefix(name, key+".") {
			return true
		}
	}
	return false
}

// input reads what CreateStack, UpdateStack and CreateChangeSet have in common.
func input(call *wire.Call) (Input, error) {
	form := call.Form
	in := Input{
		Principal: call.Principal, Account: call.Principal.Account, Region: call.Region,
		Name: form.Get("StackName"), Template: form.Get("TemplateBody"), TemplateURL: form.Get("TemplateURL"),
		PreviousTemplate: form.Get("UsePreviousTemplate") == "true",
		Parameters:       map[string]string{},
		Capabilities:     formList(form, "Capabilities", ""),
		Notifications:    formList(form, "NotificationARNs", ""),
		OnFailure:        form.Get("OnFailure"),
		Token:            form.Get("ClientRequestToken"),
	}
	if err := inlineSize(in.Template); err != nil {
		return Input{}, err
	}
	if form.Get("DisableRollback") == "true" {
		if in.OnFailure != "" {
			return Input{}, invalid("You can specify either DisableRollback or OnFailure, but not both.")
		}
		in.OnFailure = onFailureNothing
	}
	keys, values := formList(form, "Parameters", "ParameterKey"), formList(form, "Parameters", "ParameterValue")
	for i, previous := range formList(form, "Parameters", "UsePreviousValue") {
		if previous == "true" {
			in.PreviousParameters = append(in.PreviousParameters, keys[i])
			continue
		}
		in.Parameters[keys[i]] = values[i]
	}
	values = formList(form, "Tags", "Value")
	for i, key := range formList(form, "Tags", "Key") {
		in.Tags = append(in.Tags, Tag{Key: key, Value: values[i]})
	}
	return in, nil
}

func inlineSize(body string) error {
	if len(body) > maxInline {
		return invalid("1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to %d", maxInline)
	}
	return nil
}

type stackIDAnswer struct {
	StackID string `xml:"StackId"`
}

// nothing is the answer of calls that have none.
type nothing struct{}

func (s *Service) createStack(ctx context.Context, call *wire.Call) (any, error) {
	in, err := input(call)
	if err != nil {
		return nil, err
	}
	id, err := s.engine.Create(ctx, in)
	return stackIDAnswer{StackID: id}, err
}

func (s *Service) updateStack(ctx context.Context, call *wire.Call) (any, error) {
	in, err := input(call)
	if err != nil {
		return nil, err
	}
	id, err := s.engine.Update(ctx, in)
	return stackIDAnswer{StackID: id}, err
}

func (s *Service) deleteStack(call *wire.Call) (any, error) {
	return nothing{}, s.engine.Delete(DeleteInput{
		Principal: call.Principal, Account: call.Principal.Account, Region: call.Region, Name: call.Form.Get("StackName"),
		Retain: formList(call.Form, "RetainResources", ""), Token: call.Form.Get("ClientRequestToken"),
	})
}

// A list is encoded as the Query protocol wants it: its element is there even when it is empty.
type list[T any] struct {
	Member []T `xml:"member"`
}

func listOf[A, B any](items []A, convert func(A) B) list[B] {
	out := make([]B, 0, len(items))
	for _, item := range items {
		out = append(out, convert(item))
	}
	return list[B]{Member: out}
}

func itself[T any](v T) T { return v }

type stackAnswer struct {
	StackID                     string                `xml:"StackId"`
	StackName                   string                `xml:"StackName"`
	ChangeSetID                 string                `xml:"ChangeSetId,omitempty"`
	Description                 string                `xml:"Description,omitempty"`
	Parameters                  list[parameterAnswer] `xml:"Parameters"`
	CreationTime                string                `xml:"CreationTime"`
	LastUpdatedTime             string                `xml:"LastUpdatedTime,omitempty"`
	DeletionTime                string                `xml:"DeletionTime,omitempty"`
	RollbackConfiguration       nothing               `xml:"RollbackConfiguration"`
	StackStatus                 Status                `xml:"StackStatus"`
	StackStatusReason           string                `xml:"StackStatusReason,omitempty"`
	DisableRollback             bool                  `xml:"DisableRollback"`
	NotificationARNs            list[string]          `xml:"NotificationARNs"`
	Capabilities                *list[string]         `xml:"Capabilities"`
	Outputs                     *list[outputAnswer]   `xml:"Outputs"`
	Tags                        list[tagAnswer]       `xml:"Tags"`
	EnableTerminationProtection bool                  `xml:"EnableTerminationProtection"`
	DriftInformation            driftAnswer           `xml:"DriftInformation"`
}

type parameterAnswer struct {
	Key      string `xml:"ParameterKey"`
	Value    string `xml:"ParameterValue"`
	Resolved string `xml:"ResolvedValue,omitempty"`
}

type outputAnswer struct {
	Key         string `xml:"OutputKey"`
	Value       string `xml:"OutputValue"`
	Description string `xml:"Description,omitempty"`
	ExportName  string `xml:"ExportName,omitempty"`
}

type tagAnswer struct {
	Key   string `xml:"Key"`
	Value string `xml:"Value"`
}

// driftAnswer says that drift was never looked for.
type driftAnswer struct {
	Stack    string `xml:"StackDriftStatus,omitempty"`
	Resource string `xml:"StackResourceDriftStatus,omitempty"`
}

const notChecked = "NOT_CHECKED"

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func toParameter(p ParameterValue) parameterAnswer {
	return parameterAnswer(p)
}

func toTag(t Tag) tagAnswer { return tagAnswer(t) }

func toStack(s Stack) stackAnswer {
	a := stackAnswer{
		StackID: s.ID, StackName: s.Name, ChangeSetID: s.ChangeSetID, Description: s.Description,
		Parameters: listOf(s.Parameters, toParameter), CreationTime: when(s.Created), LastUpdatedTime: when(s.Updated),
		DeletionTime: when(s.Deleted), StackStatus: s.Status, StackStatusReason: s.Reason,
		DisableRollback: s.OnFailure == onFailureNothing, NotificationARNs: listOf(s.Notification, itself[string]),
		Tags: listOf(s.Tags, toTag), DriftInformation: driftAnswer{Stack: notChecked},
	}
	if len(s.Capabilities) > 0 {
		l := listOf(s.Capabilities, itself[string])
		a.Capabilities = &l
	}
	if len(s.Outputs) > 0 {
		l := listOf(s.Outputs, func(o StackOutput) outputAnswer { return outputAnswer(o) })
		a.Outputs = &l
	}
	return a
}

func (s *Service) describeStacks(call *wire.Call) (any, error) {
	type answer struct {
		Stacks list[stackAnswer] `xml:"Stacks"`
	}
	if name := call.Form.Get("StackName"); name != "" {
		stack, err := s.engine.Stack(call.Principal.Account, call.Region, name)
		return answer{Stacks: listOf([]Stack{stack}, toStack)}, err
	}
	live := slices.DeleteFunc(s.engine.Stacks(call.Principal.Account, call.Region), func(st Stack) bool { return st.Status == DeleteComplete })
	return answer{Stacks: listOf(live, toStack)}, nil
}

type eventAnswer struct {
	StackID              string `xml:"StackId"`
	EventID              string `xml:"EventId"`
	StackName            string `xml:"StackName"`
	LogicalResourceID    string `xml:"LogicalResourceId"`
	PhysicalResourceID   string `xml:"PhysicalResourceId"`
	ResourceType         string `xml:"ResourceType"`
	Timestamp            string `xml:"Timestamp"`
	ResourceStatus       Status `xml:"ResourceStatus"`
	ResourceStatusReason string `xml:"ResourceStatusReason,omitempty"`
	ClientRequestToken   string `xml:"ClientRequestToken,omitempty"`
}

func toEvent(e Event) eventAnswer {
	return eventAnswer{
		StackID: e.StackID, EventID: e.ID, StackName: e.StackName, LogicalResourceID: e.LogicalID,
		PhysicalResourceID: e.PhysicalID, ResourceType: e.Type, Timestamp: when(e.At), ResourceStatus: e.Status,
		ResourceStatusReason: e.Reason, ClientRequestToken: e.Token,
	}
}

func (s *Service) describeStackEvents(call *wire.Call) (any, error) {
	name := call.Form.Get("StackName")
	events, err := s.engine.Events(call.Principal.Account, call.Region, name)
	if err != nil {
		return nil, invalid("Stack [%s] does not exist", name)
	}
	return struct {
		StackEvents list[eventAnswer] `xml:"StackEvents"`
	}{listOf(events, toEvent)}, nil
}

func (s *Service) listStacks(call *wire.Call) (any, error) {
	type summary struct {
		StackID             string      `xml:"StackId"`
		StackName           string      `xml:"StackName"`
		TemplateDescription string      `xml:"TemplateDescription,omitempty"`
		CreationTime        string      `xml:"CreationTime"`
		LastUpdatedTime     string      `xml:"LastUpdatedTime,omitempty"`
		DeletionTime        string      `xml:"DeletionTime,omitempty"`
		StackStatus         Status      `xml:"StackStatus"`
		StackStatusReason   string      `xml:"StackStatusReason,omitempty"`
		DriftInformation    driftAnswer `xml:"DriftInformation"`
	}
	wanted := formList(call.Form, "StackStatusFilter", "")
	stacks := slices.DeleteFunc(s.engine.Stacks(call.Principal.Account, call.Region), func(st Stack) bool {
		return len(wanted) > 0 && !slices.Contains(wanted, string(st.Status))
	})
	return struct {
		StackSummaries list[summary] `xml:"StackSummaries"`
	}{listOf(stacks, func(s Stack) summary {
		return summary{
			StackID: s.ID, StackName: s.Name, TemplateDescription: s.Description, CreationTime: when(s.Created),
			LastUpdatedTime: when(s.Updated), DeletionTime: when(s.Deleted), StackStatus: s.Status,
			StackStatusReason: s.Reason, DriftInformation: driftAnswer{Stack: notChecked},
		}
	})}, nil
}

// resourceAnswer serves the three calls that show resources; they differ in the name of the time.
type resourceAnswer struct {
	StackID              string      `xml:"StackId,omitempty"`
	StackName            string      `xml:"StackName,omitempty"`
	LogicalResourceID    string      `xml:"LogicalResourceId"`
	PhysicalResourceID   string      `xml:"PhysicalResourceId,omitempty"`
	ResourceType         string      `xml:"ResourceType"`
	Timestamp            string      `xml:"Timestamp,omitempty"`
	LastUpdatedTimestamp string      `xml:"LastUpdatedTimestamp,omitempty"`
	ResourceStatus       Status      `xml:"ResourceStatus"`
	ResourceStatusReason string      `xml:"ResourceStatusReason,omitempty"`
	Metadata             string      `xml:"Metadata,omitempty"`
	DriftInformation     driftAnswer `xml:"DriftInformation"`
}

func toResource(r StackResource) resourceAnswer {
	return resourceAnswer{
		LogicalResourceID: r.LogicalID, PhysicalResourceID: r.PhysicalID, ResourceType: r.Type, ResourceStatus: r.Status,
		ResourceStatusReason: r.Reason, DriftInformation: driftAnswer{Resource: notChecked},
	}
}

func (s *Service) listStackResources(call *wire.Call) (any, error) {
	resources, err := s.engine.Resources(call.Principal.Account, call.Region, call.Form.Get("StackName"))
	return struct {
		StackResourceSummaries list[resourceAnswer] `xml:"StackResourceSummaries"`
	}{listOf(resources, func(r StackResource) resourceAnswer {
		a := toResource(r)
		a.LastUpdatedTimestamp = when(r.Updated)
		return a
	})}, err
}

func (s *Service) describeStackResources(call *wire.Call) (any, error) {
	stack, resources, err := s.resources(call)
	if err != nil {
		return nil, err
	}
	logical := call.Form.Get("LogicalResourceId")
	resources = slices.DeleteFunc(resources, func(r StackResource) bool { return logical != "" && r.LogicalID != logical })
	return struct {
		StackResources list[resourceAnswer] `xml:"StackResources"`
	}{listOf(resources, func(r StackResource) resourceAnswer {
		a := toResource(r)
		a.StackID, a.StackName, a.Timestamp = stack.ID, stack.Name, when(r.Updated)
		return a
	})}, nil
}

// resources finds the stack by name or, where none is given, by the physical id of one of its resources.
func (s *Service) resources(call *wire.Call) (Stack, []StackResource, error) {
	account, name, physical := call.Principal.Account, call.Form.Get("StackName"), call.Form.Get("PhysicalResourceId")
	if name == "" && physical == "" {
		return Stack{}, nil, invalid("Either StackName or PhysicalResourceId must be specified.")
	}
	if name == "" {
		for _, stack := range s.engine.Stacks(account, call.Region) {
			resources, err := s.engine.Resources(account, call.Region, stack.ID)
			if err == nil && stack.Status != DeleteComplete && slices.ContainsFunc(resources, func(r StackResource) bool { return r.PhysicalID == physical }) {
				return stack, resources, nil
			}
		}
		return Stack{}, nil, invalid("Stack for %s does not exist", physical)
	}
	stack, err := s.engine.Stack(account, call.Region, name)
	if err != nil {
		return Stack{}, nil, err
	}
	resources, err := s.engine.Resources(account, call.Region, stack.ID)
	return stack, resources, err
}

func (s *Service) describeStackResource(call *wire.Call) (any, error) {
	name, logical := call.Form.Get("StackName"), call.Form.Get("LogicalResourceId")
	stack, err := s.engine.Stack(call.Principal.Account, call.Region, name)
	if err != nil {
		return nil, invalid("Stack '%s' does not exist", name)
	}
	resources, err := s.engine.Resources(call.Principal.Account, call.Region, stack.ID)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(resources, func(r StackResource) bool { return r.LogicalID == logical })
	if i < 0 {
		return nil, invalid("Resource %s does not exist for stack %s", logical, stack.Name)
	}
	a := toResource(resources[i])
	a.StackID, a.StackName, a.LastUpdatedTimestamp = stack.ID, stack.Name, when(resources[i].Updated)
	if a.Metadata, err = jsonText(resources[i].Metadata); err != nil {
		return nil, err
	}
	return struct {
		StackResourceDetail resourceAnswer `xml:"StackResourceDetail"`
	}{a}, nil
}

// jsonText is a value as JSON, nothing for no value.
func jsonText(v any) (string, error) {
	if v == nil {
		return "", nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("metadata: %w", err)
	}
	return string(b), nil
}

func (s *Service) getTemplate(call *wire.Call) (any, error) {
	type answer struct {
		TemplateBody    string       `xml:"TemplateBody"`
		StagesAvailable list[string] `xml:"StagesAvailable"`
	}
	stages := list[string]{Member: []string{"Original", "Processed"}}
	if id := call.Form.Get("ChangeSetName"); id != "" {
		s.engine.mu.Lock()
		defer s.engine.mu.Unlock()
		_, c, err := s.engine.findChangeSet(call.Principal.Account, call.Region, call.Form.Get("StackName"), id)
		if err != nil {
			return nil, err
		}
		if c.plan != nil {
			return answer{TemplateBody: c.plan.body, StagesAvailable: stages}, nil
		}
	}
	stack, err := s.engine.Stack(call.Principal.Account, call.Region, call.Form.Get("StackName"))
	return answer{TemplateBody: stack.Template, StagesAvailable: stages}, err
}

// templateOf reads the template that a call names in one of three ways.
func (s *Service) templateOf(ctx context.Context, call *wire.Call) (*Template, error) {
	body := call.Form.Get("TemplateBody")
	switch {
	case call.Form.Get("TemplateURL") != "" && body == "":
		fetched, err := s.engine.fetch(ctx, call.Form.Get("TemplateURL"))
		if err != nil {
			return nil, err
		}
		return Parse(fetched)
	case call.Form.Get("StackName") != "" && body == "":
		stack, err := s.engine.Stack(call.Principal.Account, call.Region, call.Form.Get("StackName"))
		if err != nil {
			return nil, err
		}
		return Parse([]byte(stack.Template))
	case body == "":
		return nil, invalid("Either Template URL or Template Body must be specified.")
	default:
		if err := inlineSize(body); err != nil {
			return nil, err
		}
		return Parse([]byte(body))
	}
}

type declarationAnswer struct {
	Key         string             `xml:"ParameterKey"`
	Default     *string            `xml:"DefaultValue"`
	Type        string             `xml:"ParameterType,omitempty"`
	NoEcho      bool               `xml:"NoEcho"`
	Description string             `xml:"Description,omitempty"`
	Constraints *constraintsAnswer `xml:"ParameterConstraints"`
}

type constraintsAnswer struct {
	AllowedValues list[string] `xml:"AllowedValues"`
}

func capabilityAnswers(t *Template) (capability *list[string], reason string) {
	need, types := capabilities(t)
	if need == "" {
		return nil, ""
	}
	return &list[string]{Member: []string{need}}, "The following resource(s) require capabilities: [" + strings.Join(types, ", ") + "]"
}

func (s *Service) getTemplateSummary(ctx context.Context, call *wire.Call) (any, error) {
	t, err := s.templateOf(ctx, call)
	if err != nil {
		return nil, err
	}
	type answer struct {
		Parameters         list[declarationAnswer] `xml:"Parameters"`
		Description        string                  `xml:"Description,omitempty"`
		Capabilities       *list[string]           `xml:"Capabilities"`
		CapabilitiesReason string                  `xml:"CapabilitiesReason,omitempty"`
		ResourceTypes      list[string]            `xml:"ResourceTypes"`
		Version            string                  `xml:"Version"`
		Metadata           string                  `xml:"Metadata,omitempty"`
	}
	a := answer{Description: t.Description, Version: "2010-09-09"}
	a.Capabilities, a.CapabilitiesReason = capabilityAnswers(t)
	a.Parameters = listOf(t.Parameters, func(p Parameter) declarationAnswer {
		d := declarationAnswer{Key: p.Name, Default: p.Default, Type: p.Type, NoEcho: p.NoEcho, Description: p.Description, Constraints: &constraintsAnswer{}}
		d.Constraints.AllowedValues.Member = p.AllowedValues
		return d
	})
	for _, r := range t.Resources {
		if !slices.Contains(a.ResourceTypes.Member, r.Type) {
			a.ResourceTypes.Member = append(a.ResourceTypes.Member, r.Type)
		}
	}
	if len(t.Metadata) > 0 {
		a.Metadata, err = jsonText(t.Metadata)
	}
	return a, err
}

func (s *Service) validateTemplate(ctx context.Context, call *wire.Call) (any, error) {
	t, err := s.templateOf(ctx, call)
	if err != nil {
		return nil, err
	}
	type answer struct {
		Parameters         list[declarationAnswer] `xml:"Parameters"`
		Description        string                  `xml:"Description,omitempty"`
		Capabilities       *list[string]           `xml:"Capabilities"`
		CapabilitiesReason string                  `xml:"CapabilitiesReason,omitempty"`
	}
	a := answer{Description: t.Description}
	a.Capabilities, a.CapabilitiesReason = capabilityAnswers(t)
	a.Parameters = listOf(t.Parameters, func(p Parameter) declarationAnswer {
		return declarationAnswer{Key: p.Name, Default: p.Default, NoEcho: p.NoEcho, Description: p.Description}
	})
	return a, nil
}

func (s *Service) createChangeSet(ctx context.Context, call *wire.Call) (any, error) {
	in, err := input(call)
	if err != nil {
		return nil, err
	}
	in.OnFailure = call.Form.Get("OnStackFailure")
	id, stackID, err := s.engine.createChangeSet(ctx, in, call.Form.Get("ChangeSetType"), call.Form.Get("ChangeSetName"), call.Form.Get("Description"))
	return struct {
		ID      string `xml:"Id"`
		StackID string `xml:"StackId"`
	}{id, stackID}, err
}

type resourceChangeAnswer struct {
	Action             string `xml:"Action"`
	LogicalResourceID  string `xml:"LogicalResourceId"`
	PhysicalResourceID string `xml:"PhysicalResourceId,omitempty"`
	ResourceType       string `xml:"ResourceType"`
	Replacement        string `xml:"Replacement,omitempty"`
}

type changeAnswer struct {
	Type           string               `xml:"Type"`
	ResourceChange resourceChangeAnswer `xml:"ResourceChange"`
}

func toChange(c change) changeAnswer {
	a := changeAnswer{Type: "Resource", ResourceChange: resourceChangeAnswer{
		Action: c.action, LogicalResourceID: c.logicalID, PhysicalResourceID: c.physicalID, ResourceType: c.typeName,
	}}
	if c.action == "Modify" {
		a.ResourceChange.Replacement = "Conditional" // only its provider knows
	}
	return a
}

type changeSetAnswer struct {
	ChangeSetName    string                `xml:"ChangeSetName"`
	ChangeSetID      string                `xml:"ChangeSetId"`
	StackID          string                `xml:"StackId"`
	StackName        string                `xml:"StackName"`
	Description      string                `xml:"Description,omitempty"`
	Parameters       list[parameterAnswer] `xml:"Parameters"`
	CreationTime     string                `xml:"CreationTime"`
	ExecutionStatus  string                `xml:"ExecutionStatus"`
	Status           string                `xml:"Status"`
	StatusReason     string                `xml:"StatusReason,omitempty"`
	NotificationARNs list[string]          `xml:"NotificationARNs"`
	Capabilities     list[string]          `xml:"Capabilities"`
	Tags             list[tagAnswer]       `xml:"Tags"`
	Changes          list[changeAnswer]    `xml:"Changes"`
}

func (s *Service) describeChangeSet(call *wire.Call) (any, error) {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	stack, c, err := s.engine.findChangeSet(call.Principal.Account, call.Region, call.Form.Get("StackName"), call.Form.Get("ChangeSetName"))
	if err != nil {
		return nil, err
	}
	a := changeSetAnswer{
		ChangeSetName: c.name, ChangeSetID: c.id, StackID: stack.ID, StackName: stack.Name, Description: c.description,
		Parameters: listOf(c.shownParameters(stack), toParameter), CreationTime: when(c.created),
		StatusReason: c.reason, Changes: listOf(c.changes, toChange),
	}
	a.Status, a.ExecutionStatus = c.status()
	if c.plan != nil {
		a.Capabilities, a.Tags = listOf(c.plan.in.Capabilities, itself[string]), listOf(c.plan.in.Tags, toTag)
		a.NotificationARNs = listOf(c.plan.in.Notifications, itself[string])
	}
	return a, nil
}

// shownParameters masks what must not be shown.
func (c *changeSet) shownParameters(s *stack) []ParameterValue {
	p := c.plan
	if p == nil {
		p = s.plan // nothing changes, so they are the stack's
	}
	out := slices.Clone(c.parameters)
	for i := range out {
		if p == nil || slices.ContainsFunc(p.template.Parameters, func(d Parameter) bool { return d.Name == out[i].Key && d.NoEcho }) {
			out[i].Value, out[i].Resolved = masked, ""
		}
	}
	return out
}

func (s *Service) executeChangeSet(call *wire.Call) (any, error) {
	onFailure := ""
	if call.Form.Get("DisableRollback") == "true" {
		onFailure = onFailureNothing
	}
	return nothing{}, s.engine.executeChangeSet(call.Principal, call.Principal.Account, call.Region,
		call.Form.Get("StackName"), call.Form.Get("ChangeSetName"), onFailure, call.Form.Get("ClientRequestToken"))
}

func (s *Service) deleteChangeSet(call *wire.Call) (any, error) {
	return nothing{}, s.engine.deleteChangeSet(call.Principal.Account, call.Region, call.Form.Get("StackName"), call.Form.Get("ChangeSetName"))
}
