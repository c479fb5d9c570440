package cfn

import (
	"context"
	"errors"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"rolecall/infra/local/wire"
)

// A plan is a template together with parameters: all that a stack shall be, checked as far as that is possible before
// anything exists.
type plan struct {
	body       string
	template   *Template
	parameters []ParameterValue
	in         *Input
	scope      *scope
	graph      graph
	imports    []string
}

// plan checks a request for a stack with this name and id. previous is nil for new stacks.
func (e *Engine) plan(ctx context.Context, in *Input, stackID string, previous *Stack) (*plan, error) {
	p := &plan{in: in, body: in.Template}
	if p.body == "" && in.PreviousTemplate && previous != nil {
		p.body = previous.Template
	}
	var (
		err error
		old []ParameterValue
	)
	if p.template, err = Parse([]byte(p.body)); err != nil {
		return nil, err
	}
	if err := e.known(p.template); err != nil {
		return nil, err
	}
	if previous != nil {
		old = previous.Parameters
	}
	lookUp := func(ctx context.Context, name string) (string, error) {
		return e.config.Parameter(ctx, in.Account, in.Region, name)
	}
	if p.parameters, err = fillParameters(ctx, p.template, in, old, lookUp); err != nil {
		return nil, err
	}
	p.scope = e.scope(p, stackID)
	if err := p.scope.judge(); err != nil {
		return nil, err
	}
	if err := p.scope.obey(); err != nil {
		return nil, err
	}
	if err := acknowledged(p.template, in.Capabilities); err != nil {
		return nil, err
	}
	if p.graph, err = p.scope.active(); err != nil {
		return nil, err
	}
	return p, p.rehearse()
}

// known refuses resource types that nobody registered.
func (e *Engine) known(t *Template) error {
	var unknown []string
	for _, r := range t.Resources {
		if _, ok := e.provider(r.Type); !ok && !slices.Contains(unknown, r.Type) {
			unknown = append(unknown, r.Type)
		}
	}
	if len(unknown) > 0 {
		return invalid("Template format error: Unrecognized resource types: [%s]", strings.Join(unknown, ", "))
	}
	return nil
}

func (e *Engine) scope(p *plan, stackID string) *scope {
	s := &scope{template: p.template, parameters: map[string]any{}}
	for i, parameter := range p.template.Parameters {
		s.parameters[parameter.Name] = parameter.value(p.parameters[i])
	}
	notifications := []any{}
	for _, arn := range p.in.Notifications {
		notifications = append(notifications, arn)
	}
	partition, suffix := partitionOf(p.in.Region)
	s.pseudo = map[string]any{
		"AWS::AccountId": p.in.Account, "AWS::Region": p.in.Region, "AWS::Partition": partition, "AWS::URLSuffix": suffix,
		"AWS::StackName": p.in.Name, "AWS::StackId": stackID, "AWS::NotificationARNs": notifications, "AWS::NoValue": noValue{},
	}
	s.imported = func(name string) (string, error) { return e.exported(p.in.Account, p.in.Region, name) }
	return s
}

func partitionOf(region string) (partition, suffix string) {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn", "amazonaws.com.cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov", "amazonaws.com"
	default:
		return "aws", "amazonaws.com"
	}
}

// rehearse resolves everything that does not hang on a resource, so that its mistakes show before anything is created.
func (p *plan) rehearse() error {
	inner := p.scope.imported
	p.scope.imported = func(name string) (string, error) {
		v, err := inner(name)
		if err == nil && !slices.Contains(p.imports, name) {
			p.imports = append(p.imports, name)
		}
		return v, err
	}
	defer func() { p.scope.imported = inner }()
	for _, r := range p.template.Resources {
		if _, kept := p.graph[r.LogicalID]; !kept {
			continue
		}
		if err := p.scope.evaluate().rehearse(r.Properties, p.graph, "Resources"); err != nil {
			return err
		}
	}
	for _, o := range p.outputs() {
		if err := p.scope.evaluate().rehearse([]any{o.Value, o.ExportName}, p.graph, "Outputs"); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluation) rehearse(v any, kept graph, block string) error {
	bound := false
	if err := e.references(v, kept, block, func(string) { bound = true }); err != nil {
		return err
	}
	if !bound {
		_, err := e.resolve(v)
		return err
	}
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if err := e.rehearse(item, kept, block); err != nil {
				return err
			}
		}
	case map[string]any:
		return e.rehearseObject(v, kept, block)
	}
	return nil
}

func (e *evaluation) rehearseObject(m map[string]any, kept graph, block string) error {
	if name, argument, ok := function(m); ok && name == "Fn::If" {
		condition, branches, err := ifArguments(argument)
		if err != nil {
			return err
		}
		if e.conditions[condition] {
			return e.rehearse(branches[0], kept, block)
		}
		return e.rehearse(branches[1], kept, block)
	}
	for _, key := range sortedKeys(m) {
		if err := e.rehearse(m[key], kept, block); err != nil {
			return err
		}
	}
	return nil
}

// outputs are those that the conditions keep.
func (p *plan) outputs() []Output {
	return slices.DeleteFunc(slices.Clone(p.template.Outputs), func(o Output) bool {
		return o.Condition != "" && !p.scope.conditions[o.Condition]
	})
}

// resolveOutputs needs all resources to exist.
func (p *plan) resolveOutputs() ([]StackOutput, error) {
	var out []StackOutput
	for _, o := range p.outputs() {
		v, err := p.scope.evaluate().resolve(o.Value)
		if err != nil {
			return nil, err
		}
		value, ok := scalar(v)
		if !ok {
			return nil, invalid("Template format error: Output %s is malformed. The Value field of every Outputs member must evaluate to a String.", o.Name)
		}
		export := ""
		if o.ExportName != nil {
			if export, err = p.scope.evaluate().text(o.ExportName, "Template format error: Output "+o.Name+" is malformed. The Name field of every Export member must evaluate to a String."); err != nil {
				return nil, err
			}
		}
		out = append(out, StackOutput{Key: o.Name, Value: value, Description: o.Description, ExportName: export})
	}
	return out, nil
}

// properties resolves what a resource's provider is given.
func (p *plan) properties(r Resource) (map[string]any, error) {
	v, err := p.scope.evaluate().resolve(r.Properties)
	if err != nil {
		return nil, err
	}
	properties, ok := v.(map[string]any)
	if !ok {
		return nil, invalid("Template format error: [/Resources/%s/Properties] must be an object.", r.LogicalID)
	}
	return properties, nil
}

// capabilities says what a template's author must be told of: "" where nothing.
func capabilities(t *Template) (capability string, types []string) {
	for _, r := range t.Resources {
		name, isIAM := iamName(r.Type)
		if !isIAM {
			continue
		}
		if !slices.Contains(types, r.Type) {
			types = append(types, r.Type)
		}
		if capability == "" {
			capability = "CAPABILITY_IAM"
		}
		if _, named := r.Properties[name]; named && name != "" {
			capability = "CAPABILITY_NAMED_IAM"
		}
	}
	return capability, types
}

// iamName tells whether a type takes a capability, and which property gives it a name of the author's choice.
func iamName(resourceType string) (property string, isIAM bool) {
	switch resourceType {
	case "AWS::IAM::Role":
		return "RoleName", true
	case "AWS::IAM::User":
		return "UserName", true
	case "AWS::IAM::Group":
		return "GroupName", true
	case "AWS::IAM::ManagedPolicy":
		return "ManagedPolicyName", true
	case "AWS::IAM::InstanceProfile":
		return "InstanceProfileName", true
	case "AWS::IAM::AccessKey", "AWS::IAM::Policy", "AWS::IAM::RolePolicy", "AWS::IAM::UserPolicy", "AWS::IAM::GroupPolicy",
		"AWS::IAM::UserToGroupAddition":
		return "", true
	default:
		return "", false
	}
}

// acknowledged asserts that the caller ticked what the template takes.
func acknowledged(t *Template, given []string) error {
	need, _ := capabilities(t)
	if need == "" || slices.Contains(given, need) || slices.Contains(given, "CAPABILITY_NAMED_IAM") {
		return nil
	}
	return &wire.Error{Code: "InsufficientCapabilitiesException", Message: "Requires capabilities : [" + need + "]", Status: 400}
}

// load fetches the template of a request that names it by URL.
func (e *Engine) load(ctx context.Context, in *Input) error {
	if err := in.setDefaults(); err != nil {
		return err
	}
	if in.TemplateURL == "" {
		if in.Template == "" && !in.PreviousTemplate {
			return invalid("Either Template URL or Template Body must be specified.")
		}
		return nil
	}
	if in.Template != "" || in.PreviousTemplate {
		return invalid("You must specify one of TemplateBody, TemplateURL or UsePreviousTemplate, and not several.")
	}
	body, err := e.fetch(ctx, in.TemplateURL)
	if err != nil {
		return err
	}
	in.Template = string(body)
	return nil
}

var s3Host = regexp.MustCompile(`^([a-z0-9.-]+\.)?s3([.-][a-z0-9-]+)*\.amazonaws\.com(\.cn)?$`)

// fetch reads a template from S3, which is all that CloudFormation reads from: in AWS's form or at our own endpoint.
func (e *Engine) fetch(ctx context.Context, templateURL string) ([]byte, error) {
	u, err := url.Parse(templateURL)
	if err != nil || len(templateURL) > 1024 || u.User != nil || !e.s3(u) {
		return nil, invalid("TemplateURL must be a supported URL.")
	}
	if e.config.Fetch == nil {
		return nil, errors.New("templates cannot be fetched: no S3 is connected")
	}
	body, err := e.config.Fetch(ctx, templateURL)
	if err != nil {
		return nil, invalid("S3 error: %s", message(err))
	}
	return body, nil
}

func (e *Engine) s3(u *url.URL) bool {
	if u.Scheme == "https" && s3Host.MatchString(u.Host) {
		return true
	}
	own, err := url.Parse(e.config.Endpoint)
	if err != nil || u.Scheme != own.Scheme || u.Port() != own.Port() {
		return false
	}
	return u.Hostname() == own.Hostname() || (loopback(u.Hostname()) && loopback(own.Hostname()))
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || (ip != nil && ip.IsLoopback())
}
