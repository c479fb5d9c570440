package cfn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"rolecall/infra/local/wire"
)

// A Provider makes the resources of one type. Its methods are called from several goroutines at once and must end when
// their context does. Properties must not be changed.
//
// An error that is a [wire.Error] shows its code and message in the stack's events. A Result that comes with an error
// and has a physical id tells the engine that something was left behind, which a rollback then deletes.
type Provider interface {
	Create(ctx context.Context, r *ResourceRequest) (Result, error)
	// Update answers with the same physical id, or with a new one where it made a replacement: then the old one is
	// deleted once the whole stack is updated, or the new one if the update fails.
	Update(ctx context.Context, r *ResourceRequest) (Result, error)
	// Delete treats what does not exist as deleted.
	Delete(ctx context.Context, r *ResourceRequest) error
}

// A ResourceRequest asks a provider for one resource.
type ResourceRequest struct {
	Account   string
	Region    string
	Partition string
	StackID   string
	StackName string
	StackTags map[string]string
	LogicalID string
	Type      string
	// RequestID is unique per step, a UUID.
	RequestID  string
	PhysicalID string         // empty on Create
	Properties map[string]any // resolved; strings, bools, json.Number, lists and maps
	// OldProperties are set on Update only.
	OldProperties map[string]any
	// Principal asked for the stack's operation; its CalledVia ends with cloudformation.amazonaws.com.
	Principal wire.Principal
}

// Name makes a physical name like CloudFormation's: stack name, logical id and a random end, at most limit characters.
func (r *ResourceRequest) Name(limit int) string {
	end := "-" + strings.ToUpper(strings.ReplaceAll(r.RequestID, "-", ""))
	end = end[:min(len(end), 13)]
	stem := r.StackName + "-" + r.LogicalID
	return stem[:max(min(len(stem), limit-len(end)), 0)] + end
}

// A Result is what a provider made.
type Result struct {
	PhysicalID string         // what Ref gives
	Attributes map[string]any // what GetAtt gives; strings or lists of strings
}

// A Config is what an engine needs. All fields but Log must be set; Publish, InvokeAsync, Parameter and Fetch may be nil
// where nothing needs them, and then say so in an error.
type Config struct {
	Clock func() time.Time
	NewID func() string // a fresh UUID
	// Endpoint is the base of the ResponseURLs that custom resources get, such as "http://127.0.0.1:4566". TemplateURLs
	// may lie there too.
	Endpoint string
	// Publish sends a custom resource request to an SNS topic as principal.
	Publish func(ctx context.Context, principal wire.Principal, topicARN, message string) error
	// InvokeAsync sends a custom resource request to a Lambda function as principal.
	InvokeAsync func(ctx context.Context, principal wire.Principal, functionARN string, payload []byte) error
	// Parameter reads an SSM parameter.
	Parameter func(ctx context.Context, account, region, name string) (string, error)
	// Fetch reads a template from S3.
	Fetch func(ctx context.Context, url string) ([]byte, error)
	Log   *slog.Logger
}

// An Engine keeps stacks, in memory. Close must be called.
type Engine struct {
	config Config
	custom *customResources
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	providers map[string]Provider
	stacks    map[string]*stack // by id, deleted ones too
}

type stack struct {
	Stack
	token     string // ClientRequestToken of the operation under way
	first     string // ClientRequestToken of CreateStack
	plan      *plan  // what it is; nil until it was created once
	resources map[string]*resource
	orphans   []*resource // replaced resources that cleanup deletes
	events    []Event     // oldest first
	changes   []*changeSet
	op        *operation // the last one; nil before the first
}

type resource struct {
	StackResource
	properties    map[string]any
	attributes    map[string]any
	needs         []string
	deletion      string // DeletionPolicy
	replacement   string // UpdateReplacePolicy
	dirty         bool   // an update of it failed, so that its true state is unknown
	createdInThis bool   // by the operation under way: RetainExceptOnCreate does not keep it yet
	gone          bool
}

// An operation is one run over a stack.
type operation struct {
	done   chan struct{}
	cancel context.CancelFunc
}

// NewEngine makes an engine without stacks that knows custom resources and CDK's metadata.
func NewEngine(config Config) *Engine {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Parameter == nil {
		config.Parameter = func(context.Context, string, string, string) (string, error) {
			return "", errors.New("there is no parameter store")
		}
	}
	config.Endpoint = strings.TrimRight(config.Endpoint, "/")
	e := &Engine{config: config, providers: map[string]Provider{}, stacks: map[string]*stack{}}
	e.custom = newCustomResources(&e.config)
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.providers["AWS::CDK::Metadata"] = metadata{}
	return e
}

// metadata is CDK's note of which constructs made a template: there is nothing behind it.
type metadata struct{}

func (metadata) Create(_ context.Context, r *ResourceRequest) (Result, error) {
	return Result{PhysicalID: r.RequestID}, nil
}

func (metadata) Update(_ context.Context, r *ResourceRequest) (Result, error) {
	return Result{PhysicalID: r.PhysicalID}, nil
}

func (metadata) Delete(context.Context, *ResourceRequest) error { return nil }

// Register names the provider of a resource type; to be called before the first stack. A custom resource's type can be
// registered too: then its requests go to the provider and not to the service token.
func (e *Engine) Register(typeName string, p Provider) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.providers[typeName] = p
}

func (e *Engine) provider(typeName string) (Provider, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p, ok := e.providers[typeName]; ok {
		return p, true
	}
	return e.custom, isCustom(typeName)
}

// Close ends all operations where they stand and waits for them.
func (e *Engine) Close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.cancel()
	e.wg.Wait()
}

// An Input asks for a stack. Fields that do not apply to an operation are ignored by it.
type Input struct {
	Principal          wire.Principal
	Account            string
	Region             string
	Name               string // for updates also the stack's id
	Template           string // its text, or TemplateURL
	TemplateURL        string
	PreviousTemplate   bool // of updates: the template stays
	Parameters         map[string]string
	PreviousParameters []string // of updates: parameters that stay
	Tags               []Tag    // nil on an update: they stay
	Capabilities       []string
	Notifications      []string // only for the pseudo parameter AWS::NotificationARNs
	OnFailure          string   // ROLLBACK (also when empty), DELETE or DO_NOTHING
	Token              string
}

func (in *Input) setDefaults() error {
	switch in.OnFailure {
	case "":
		in.OnFailure = onFailureRollback
	case onFailureRollback, onFailureDelete, onFailureNothing:
	default:
		return invalid("1 validation error detected: Value '%s' at 'onFailure' failed to satisfy constraint: Member must satisfy enum value set: [ROLLBACK, DELETE, DO_NOTHING]", in.OnFailure)
	}
	return nil
}

// What OnFailure may say.
const (
	onFailureRollback = "ROLLBACK"
	onFailureDelete   = "DELETE"
	onFailureNothing  = "DO_NOTHING"
)

var stackName = regexp.MustCompile(`^[a-zA-Z][-a-zA-Z0-9]{0,127}$`)

// Create starts a new stack and gives its id at once. Everything that is wrong with the request is an error here; what
// fails later shows in the stack's events.
func (e *Engine) Create(ctx context.Context, in Input) (string, error) {
	if !stackName.MatchString(in.Name) {
		return "", invalid("1 validation error detected: Value '%s' at 'stackName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*", in.Name)
	}
	if existing, ok := e.repeated(&in); ok {
		return existing, nil
	}
	if err := e.load(ctx, &in); err != nil {
		return "", err
	}
	id := e.stackID(&in)
	p, err := e.plan(ctx, &in, id, nil)
	if err != nil {
		return "", err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.live(in.Account, in.Region, in.Name) != nil {
		return "", &wire.Error{Code: "AlreadyExistsException", Message: "Stack [" + in.Name + "] already exists", Status: 400}
	}
	s := e.add(&in, id)
	s.first = in.Token
	return id, e.startCreate(s, p)
}

// repeated finds the stack that the same request, by its token, made before.
func (e *Engine) repeated(in *Input) (string, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.live(in.Account, in.Region, in.Name)
	if s == nil || in.Token == "" || s.first != in.Token {
		return "", false
	}
	return s.ID, true
}

func (e *Engine) stackID(in *Input) string {
	partition, _ := partitionOf(in.Region)
	return fmt.Sprintf("arn:%s:cloudformation:%s:%s:stack/%s/%s", partition, in.Region, in.Account, in.Name, e.config.NewID())
}

// add makes an empty stack. The caller holds the lock.
func (e *Engine) add(in *Input, id string) *stack {
	s := &stack{
		Stack:     Stack{ID: id, Name: in.Name, Account: in.Account, Region: in.Region, Created: e.config.Clock()},
		resources: map[string]*resource{},
	}
	e.stacks[id] = s
	return s
}

// startCreate starts the creation of an empty stack. The caller holds the lock.
func (e *Engine) startCreate(s *stack, p *plan) error {
	s.token = p.in.Token
	s.describe(p)
	return e.start(s, CreateInProgress, func(ctx context.Context) { e.runCreate(ctx, s, p) })
}

// describe takes over from a plan what the stack shows.
func (s *stack) describe(p *plan) {
	s.Description, s.Parameters, s.Template = p.template.Description, p.parameters, p.body
	s.Capabilities, s.Notification, s.OnFailure = p.in.Capabilities, p.in.Notifications, p.in.OnFailure
	if p.in.Tags != nil || s.plan == nil {
		s.Tags = p.in.Tags
	}
	s.plan = p
}

// start runs an operation beside the caller, who holds the lock.
func (e *Engine) start(s *stack, status Status, run func(ctx context.Context)) error {
	if e.closed {
		return errors.New("the engine is closed")
	}
	previous := s.op
	ctx, cancel := context.WithCancel(e.ctx)
	op := &operation{done: make(chan struct{}), cancel: cancel}
	s.op = op
	e.mark(s, status, userInitiated)
	e.wg.Go(func() {
		defer close(op.done)
		defer cancel()
		if previous != nil {
			<-previous.done
		}
		run(ctx)
	})
	return nil
}

// bind lets a plan's functions see the stack's resources.
func (e *Engine) bind(s *stack, p *plan) {
	p.scope.resource = func(logicalID string) (Resolved, bool) {
		e.mu.Lock()
		defer e.mu.Unlock()
		r, ok := s.resources[logicalID]
		if !ok || r.gone || r.PhysicalID == "" {
			return Resolved{}, false
		}
		return Resolved{Type: r.Type, PhysicalID: r.PhysicalID, Attributes: r.attributes}, true
	}
}

func (e *Engine) runCreate(ctx context.Context, s *stack, p *plan) {
	e.bind(s, p)
	run := &pass{engine: e, stack: s, plan: p}
	failed := p.graph.run(ctx, true, run.apply)
	if ctx.Err() != nil {
		return
	}
	reason := ""
	if len(failed) > 0 {
		reason = "The following resource(s) failed to create: [" + strings.Join(failed, ", ") + "]. "
	} else if err := e.publishOutputs(s, p, CreateComplete); err != nil {
		reason = message(err) + " "
	} else {
		return
	}
	switch p.in.OnFailure {
	case onFailureNothing:
		e.stackMark(s, CreateFailed, reason)
	case onFailureDelete:
		e.stackMark(s, DeleteInProgress, reason+"Delete requested by user.")
		e.runDelete(ctx, s, p.in, nil, true)
	default:
		e.stackMark(s, RollbackInProgress, reason+"Rollback requested by user.")
		e.rollbackCreate(ctx, s, p)
	}
}

func (e *Engine) rollbackCreate(ctx context.Context, s *stack, p *plan) {
	failed := e.deleteAll(ctx, s, p.in, func(*resource) bool { return true })
	if ctx.Err() != nil {
		return
	}
	if len(failed) > 0 {
		e.stackMark(s, RollbackFailed, "The following resource(s) failed to delete: ["+strings.Join(failed, ", ")+"]. ")
		return
	}
	e.stackMark(s, RollbackComplete, "")
}

// publishOutputs ends a create or an update that went well, unless an output cannot be had.
func (e *Engine) publishOutputs(s *stack, p *plan, status Status) error {
	outputs, err := p.resolveOutputs()
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, o := range outputs {
		if other := e.exporter(s.Account, s.Region, o.ExportName); other != nil && other != s {
			return invalid("Export with name %s is already exported by stack %s. Rollback requested by user.", o.ExportName, other.Name)
		}
	}
	for _, o := range s.Outputs {
		kept := slices.ContainsFunc(outputs, func(n StackOutput) bool { return n.ExportName == o.ExportName && n.Value == o.Value })
		if user := e.importer(s, o.ExportName); user != nil && !kept {
			return invalid("Export %s cannot be updated as it is in use by %s", o.ExportName, user.Name)
		}
	}
	s.Outputs = outputs
	for _, r := range s.resources {
		r.createdInThis = false
	}
	e.mark(s, status, "")
	return nil
}

// exporter finds the stack that exports a name. The caller holds the lock.
func (e *Engine) exporter(account, region, name string) *stack {
	if name == "" {
		return nil
	}
	for _, s := range e.stacks {
		if s.Account == account && s.Region == region && s.Status != DeleteComplete &&
			slices.ContainsFunc(s.Outputs, func(o StackOutput) bool { return o.ExportName == name }) {
			return s
		}
	}
	return nil
}

// importer finds a stack that uses an export of s. The caller holds the lock.
func (e *Engine) importer(s *stack, name string) *stack {
	if name == "" {
		return nil
	}
	for _, other := range e.stacks {
		if other != s && other.Account == s.Account && other.Region == s.Region && other.Status != DeleteComplete &&
			other.plan != nil && slices.Contains(other.plan.imports, name) {
			return other
		}
	}
	return nil
}

// exported answers Fn::ImportValue.
func (e *Engine) exported(account, region, name string) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.exporter(account, region, name)
	if s == nil {
		return "", invalid("No export named %s found.", name)
	}
	i := slices.IndexFunc(s.Outputs, func(o StackOutput) bool { return o.ExportName == name })
	return s.Outputs[i].Value, nil
}

// Update starts the change of a stack to another template or other parameters. Where nothing would change, it is a
// ValidationError that says "No updates are to be performed."
func (e *Engine) Update(ctx context.Context, in Input) (string, error) {
	e.mu.Lock()
	s := e.find(in.Account, in.Region, in.Name)
	e.mu.Unlock()
	if s == nil || s.status(e) == DeleteComplete {
		return "", invalid("Stack [%s] does not exist", in.Name)
	}
	p, err := e.planUpdate(ctx, s, &in)
	if err != nil {
		return "", err
	}
	if len(e.differences(s, p)) == 0 && !e.shown(s, p) {
		return "", invalid("No updates are to be performed.")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return s.ID, e.startUpdate(s, p)
}

func (s *stack) status(e *Engine) Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return s.Status
}

// planUpdate checks a request for a change of a stack.
func (e *Engine) planUpdate(ctx context.Context, s *stack, in *Input) (*plan, error) {
	e.mu.Lock()
	before := s.Stack // not its view: that masks values which PreviousParameters need
	e.mu.Unlock()
	if !before.Status.updatable() {
		return nil, notUpdatable(before)
	}
	in.Name = before.Name
	if in.Notifications == nil {
		in.Notifications = before.Notification
	}
	if err := e.load(ctx, in); err != nil {
		return nil, err
	}
	p, err := e.plan(ctx, in, before.ID, &before)
	if err != nil {
		return nil, err
	}
	e.bind(s, p)
	return p, e.sameTypes(s, p)
}

func notUpdatable(s Stack) error {
	return invalid("Stack:%s is in %s state and can not be updated.", s.ID, s.Status)
}

func (e *Engine) sameTypes(s *stack, p *plan) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var changed []string
	for _, name := range sortedKeys(p.graph) {
		declared, _ := p.template.resource(name)
		if r, ok := s.resources[name]; ok && !r.gone && r.Type != declared.Type {
			changed = append(changed, name)
		}
	}
	if len(changed) > 0 {
		return invalid("Update of resource type is not permitted. The new template modifies resource type of the following resources: [%s]", strings.Join(changed, ", "))
	}
	return nil
}

// A change is what an update would do to a resource.
type change struct {
	action     string // Add, Modify or Remove
	logicalID  string
	physicalID string
	typeName   string
}

// differences lists what an update would change, as far as can be told before: a resource whose properties hang on
// another that changes may turn out to be changed too.
func (e *Engine) differences(s *stack, p *plan) []change {
	var changes []change
	for _, r := range p.template.Resources {
		if _, kept := p.graph[r.LogicalID]; !kept {
			continue
		}
		current, exists := e.current(s, r.LogicalID)
		if !exists || current.PhysicalID == "" {
			changes = append(changes, change{"Add", r.LogicalID, "", r.Type})
			continue
		}
		properties, err := p.properties(r)
		if err != nil || current.dirty || !same(properties, current.properties) || !reflect.DeepEqual(r.Metadata, current.Metadata) {
			changes = append(changes, change{"Modify", r.LogicalID, current.PhysicalID, r.Type})
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, name := range sortedKeys(s.resources) {
		if _, kept := p.graph[name]; !kept && !s.resources[name].gone {
			r := s.resources[name]
			changes = append(changes, change{"Remove", name, r.PhysicalID, r.Type})
		}
	}
	return changes
}

// shown tells whether anything changes beside the resources: outputs, tags, or that the last update failed.
func (e *Engine) shown(s *stack, p *plan) bool {
	outputs, err := p.resolveOutputs()
	e.mu.Lock()
	defer e.mu.Unlock()
	return err != nil || !slices.Equal(outputs, s.Outputs) || s.Status == UpdateFailed ||
		(p.in.Tags != nil && !slices.Equal(p.in.Tags, s.Tags))
}

func same(a, b map[string]any) bool { return reflect.DeepEqual(texts(a), texts(b)) }

// current copies the present state of a resource.
func (e *Engine) current(s *stack, logicalID string) (resource, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r, ok := s.resources[logicalID]
	if !ok || r.gone {
		return resource{}, false
	}
	return *r, true
}

// startUpdate starts an update. The caller holds the lock.
func (e *Engine) startUpdate(s *stack, p *plan) error {
	if !s.Status.updatable() { // another request may have been quicker
		return notUpdatable(s.view())
	}
	s.token = p.in.Token
	s.Updated = e.config.Clock()
	return e.start(s, UpdateInProgress, func(ctx context.Context) { e.runUpdate(ctx, s, p) })
}

func (e *Engine) runUpdate(ctx context.Context, s *stack, p *plan) {
	e.mu.Lock()
	old := s.plan
	before := make(map[string]resource, len(s.resources))
	for name, r := range s.resources {
		before[name] = *r
	}
	e.mu.Unlock()

	run := &pass{engine: e, stack: s, plan: p}
	failed := p.graph.run(ctx, true, run.apply)
	if ctx.Err() != nil {
		return
	}
	reason := ""
	if len(failed) > 0 {
		reason = "The following resource(s) failed to update: [" + strings.Join(failed, ", ") + "]. "
	} else if err := e.publishOutputs(s, p, UpdateCleanup); err != nil {
		reason = message(err)
	} else {
		e.mu.Lock()
		s.describe(p)
		e.mu.Unlock()
		e.cleanUp(ctx, s, p, UpdateComplete)
		return
	}
	if p.in.OnFailure == onFailureNothing {
		e.stackMark(s, UpdateFailed, reason)
		return
	}
	e.stackMark(s, UpdateRollback, reason)
	e.rollbackUpdate(ctx, s, old, before, p.in)
}

// rollbackUpdate updates the stack back to what it was.
func (e *Engine) rollbackUpdate(ctx context.Context, s *stack, old *plan, before map[string]resource, in *Input) {
	back := *old
	back.in = withPrincipal(old.in, in)
	run := &pass{engine: e, stack: s, plan: &back, before: before}
	failed := back.graph.run(ctx, true, run.apply)
	if ctx.Err() != nil {
		return
	}
	if len(failed) > 0 {
		e.stackMark(s, UpdateRollbackFailed, "The following resource(s) failed to update: ["+strings.Join(failed, ", ")+"]. ")
		return
	}
	e.stackMark(s, UpdateRollbackCleanup, "")
	e.cleanUp(ctx, s, &back, UpdateRollbackComplete)
}

// withPrincipal is an earlier request in the hands of the one who asks now: CloudFormation acts for the latter.
func withPrincipal(old, now *Input) *Input {
	in := *old
	in.Principal, in.Token = now.Principal, now.Token
	return &in
}

// cleanUp deletes what an update left over. What cannot be deleted does not fail the stack.
func (e *Engine) cleanUp(ctx context.Context, s *stack, p *plan, status Status) {
	e.deleteAll(ctx, s, p.in, func(r *resource) bool { _, kept := p.graph[r.LogicalID]; return !kept })
	e.mu.Lock()
	orphans := s.orphans
	s.orphans = nil
	e.mu.Unlock()
	for _, orphan := range slices.Backward(orphans) {
		if ctx.Err() != nil {
			return
		}
		// Its error is in the events, and like CloudFormation the stack is complete all the same.
		_ = e.deleteOne(ctx, s, p.in, orphan, orphan.replacement)
	}
	if ctx.Err() != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.DeleteFunc(s.resources, func(_ string, r *resource) bool { return r.gone })
	e.mark(s, status, "")
}

// A pass applies a plan to a stack's resources.
type pass struct {
	engine *Engine
	stack  *stack
	plan   *plan
	before map[string]resource // of a rollback: what to return to
}

// apply brings one resource to where the plan wants it.
func (p *pass) apply(ctx context.Context, name string) error {
	declared, _ := p.plan.template.resource(name)
	current, exists := p.engine.current(p.stack, name)
	if exists && current.PhysicalID != "" && p.restored(&current) {
		return nil
	}
	properties, err := p.plan.properties(declared)
	if err != nil {
		return p.unresolved(declared, err)
	}
	if exists && current.Status == CreateFailed && current.PhysicalID != "" {
		p.engine.orphan(p.stack, current)
		exists = false
	}
	if !exists || current.PhysicalID == "" {
		return p.create(ctx, declared, properties)
	}
	if !current.dirty && same(current.properties, properties) {
		p.keep(declared, properties)
		return nil
	}
	return p.update(ctx, declared, &current, properties)
}

// restored puts back a resource that the failed update had replaced: the old one still exists.
func (p *pass) restored(current *resource) bool {
	before, ok := p.before[current.LogicalID]
	if !ok || before.PhysicalID == "" || before.PhysicalID == current.PhysicalID {
		return false
	}
	e := p.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	p.stack.orphans = slices.DeleteFunc(p.stack.orphans, func(r *resource) bool { return r.PhysicalID == before.PhysicalID && r.LogicalID == before.LogicalID })
	left := *current
	left.replacement = "Delete" // the replacement was never anybody's: no policy keeps it
	p.stack.orphans = append(p.stack.orphans, &left)
	back := before
	p.stack.resources[back.LogicalID] = &back
	e.note(p.stack, &back, UpdateComplete, "")
	return true
}

// unresolved records that a resource's properties cannot be worked out.
func (p *pass) unresolved(declared Resource, err error) error {
	e := p.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	r, ok := p.stack.resources[declared.LogicalID]
	status := UpdateFailed
	if !ok || r.gone || r.PhysicalID == "" {
		r = &resource{StackResource: StackResource{LogicalID: declared.LogicalID, Type: declared.Type}}
		p.stack.resources[declared.LogicalID] = r
		status = CreateFailed
	}
	e.note(p.stack, r, status, message(err))
	return err
}

func (p *pass) create(ctx context.Context, declared Resource, properties map[string]any) error {
	e := p.engine
	r := &resource{
		StackResource: StackResource{LogicalID: declared.LogicalID, Type: declared.Type, Metadata: declared.Metadata},
		properties:    properties, createdInThis: true,
	}
	p.policies(r, declared)
	e.mu.Lock()
	p.stack.resources[r.LogicalID] = r
	e.note(p.stack, r, CreateInProgress, "")
	e.mu.Unlock()

	request := e.request(p.stack, p.plan.in, r)
	provider, _ := e.provider(r.Type)
	result, err := provider.Create(ctx, request)

	e.mu.Lock()
	defer e.mu.Unlock()
	r.PhysicalID, r.attributes = result.PhysicalID, result.Attributes
	if err != nil {
		e.note(p.stack, r, CreateFailed, reasonOf(ctx, err, "Resource creation cancelled", request))
		return err
	}
	e.note(p.stack, r, CreateInProgress, creationInitiated)
	e.note(p.stack, r, CreateComplete, "")
	return nil
}

func (p *pass) policies(r *resource, declared Resource) {
	r.deletion, r.replacement = declared.DeletionPolicy, declared.UpdateReplacePolicy
	r.needs, r.Metadata = p.plan.graph[declared.LogicalID], declared.Metadata
}

// keep takes over what changes about a resource without its provider.
func (p *pass) keep(declared Resource, properties map[string]any) {
	p.engine.mu.Lock()
	defer p.engine.mu.Unlock()
	r := p.stack.resources[declared.LogicalID]
	r.properties = properties
	p.policies(r, declared)
}

func (p *pass) update(ctx context.Context, declared Resource, current *resource, properties map[string]any) error {
	e := p.engine
	e.mu.Lock()
	r := p.stack.resources[declared.LogicalID]
	e.note(p.stack, r, UpdateInProgress, "")
	e.mu.Unlock()

	request := e.request(p.stack, p.plan.in, current)
	request.Properties, request.OldProperties = properties, current.properties
	provider, _ := e.provider(r.Type)
	result, err := provider.Update(ctx, request)

	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		// Nobody knows how far it came: a rollback sends the old properties again, whatever these are.
		r.properties, r.dirty = properties, true
		e.note(p.stack, r, UpdateFailed, reasonOf(ctx, err, "Resource update cancelled", request))
		return err
	}
	replaced := result.PhysicalID != "" && result.PhysicalID != current.PhysicalID
	if replaced {
		old := *current
		old.replacement = declared.UpdateReplacePolicy
		p.stack.orphans = append(p.stack.orphans, &old)
		r.PhysicalID = result.PhysicalID
		e.note(p.stack, r, UpdateInProgress, replacementNeeded)
	}
	r.properties, r.attributes, r.dirty = properties, result.Attributes, false
	p.policies(r, declared)
	e.note(p.stack, r, UpdateComplete, "")
	return nil
}

func (e *Engine) orphan(s *stack, r resource) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.orphans = append(s.orphans, &r)
}

func (e *Engine) request(s *stack, in *Input, r *resource) *ResourceRequest {
	partition, _ := partitionOf(s.Region)
	e.mu.Lock()
	defer e.mu.Unlock()
	given := s.Tags
	if in.Tags != nil {
		given = in.Tags
	}
	tags := make(map[string]string, len(given))
	for _, tag := range given {
		tags[tag.Key] = tag.Value
	}
	principal := in.Principal
	principal.CalledVia = append(slices.Clone(principal.CalledVia), "cloudformation.amazonaws.com")
	return &ResourceRequest{
		Account: s.Account, Region: s.Region, Partition: partition, StackID: s.ID, StackName: s.Name, StackTags: tags,
		LogicalID: r.LogicalID, Type: r.Type, RequestID: e.config.NewID(), PhysicalID: r.PhysicalID,
		Properties: r.properties, Principal: principal,
	}
}

// DeleteInput names a stack to delete.
type DeleteInput struct {
	Principal wire.Principal
	Account   string
	Region    string
	Name      string   // or its id
	Retain    []string // logical ids to leave alone; only for a stack in DELETE_FAILED
	Token     string
}

// Delete starts the deletion of a stack. One that does not exist is no error, as in CloudFormation. A stack that is
// still being created is stopped first.
func (e *Engine) Delete(in DeleteInput) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.find(in.Account, in.Region, in.Name)
	if s == nil || s.Status == DeleteComplete || s.Status == DeleteInProgress {
		return nil
	}
	if !s.Status.Done() && s.Status != CreateInProgress && s.Status != ReviewInProgress {
		return invalid("Stack [%s] cannot be deleted while in status %s", s.Name, s.Status)
	}
	if len(in.Retain) > 0 && s.Status != DeleteFailed {
		return invalid("Invalid operation on stack [%s]. RetainResources can only be used when the stack is in DELETE_FAILED state", s.ID)
	}
	if s.op != nil {
		s.op.cancel()
	}
	s.token = in.Token
	request := &Input{Principal: in.Principal, Token: in.Token}
	return e.start(s, DeleteInProgress, func(ctx context.Context) { e.runDelete(ctx, s, request, in.Retain, false) })
}

func (e *Engine) runDelete(ctx context.Context, s *stack, in *Input, retain []string, creating bool) {
	if reason := e.inUse(s); reason != "" {
		e.stackMark(s, DeleteFailed, reason)
		return
	}
	e.mu.Lock()
	for _, r := range s.resources {
		if slices.Contains(retain, r.LogicalID) {
			r.deletion = "Retain"
		}
		r.createdInThis = r.createdInThis && creating
	}
	e.mu.Unlock()
	failed := e.deleteAll(ctx, s, in, func(*resource) bool { return true })
	if ctx.Err() != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(failed) > 0 {
		e.mark(s, DeleteFailed, "The following resource(s) failed to delete: ["+strings.Join(failed, ", ")+"]. ")
		return
	}
	s.Deleted = e.config.Clock()
	e.mark(s, DeleteComplete, "")
}

func (e *Engine) inUse(s *stack) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, o := range s.Outputs {
		if user := e.importer(s, o.ExportName); user != nil {
			return fmt.Sprintf("Export %s cannot be deleted as it is in use by %s", o.ExportName, user.Name)
		}
	}
	return ""
}

// deleteAll deletes the chosen resources, dependents first, and names those that failed.
func (e *Engine) deleteAll(ctx context.Context, s *stack, in *Input, choose func(*resource) bool) []string {
	e.mu.Lock()
	g := graph{}
	for name, r := range s.resources {
		g[name] = r.needs
	}
	g = g.only(func(name string) bool { r, ok := s.resources[name]; return ok && !r.gone && choose(r) })
	e.mu.Unlock()
	return g.reversed().run(ctx, false, func(ctx context.Context, name string) error {
		e.mu.Lock()
		r := s.resources[name]
		e.mu.Unlock()
		return e.deleteOne(ctx, s, in, r, r.deletion)
	})
}

func (e *Engine) deleteOne(ctx context.Context, s *stack, in *Input, r *resource, policy string) error {
	if e.skipped(s, r, policy) {
		return nil
	}
	request := e.request(s, in, r)
	provider, _ := e.provider(r.Type)
	err := provider.Delete(ctx, request)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		e.note(s, r, DeleteFailed, reasonOf(ctx, err, "Resource deletion cancelled", request))
		return err
	}
	r.gone = true
	e.note(s, r, DeleteComplete, "")
	return nil
}

// skipped notes the start of a deletion, or that there is nothing to do.
func (e *Engine) skipped(s *stack, r *resource, policy string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case r.PhysicalID == "":
		r.gone = true
		e.note(s, r, DeleteComplete, "")
		return true
	case policy == "Retain", policy == "RetainExceptOnCreate" && !r.createdInThis:
		r.gone = true
		e.note(s, r, DeleteSkipped, "")
		return true
	default:
		e.note(s, r, DeleteInProgress, "")
		return false
	}
}

// A failure is a reason that events show word for word.
type failure string

func (f failure) Error() string { return string(f) }

// reasonOf words an error for the events.
func reasonOf(ctx context.Context, err error, cancelled string, r *ResourceRequest) string {
	if ctx.Err() != nil {
		return cancelled
	}
	var own failure
	if errors.As(err, &own) {
		return string(own)
	}
	code := "GeneralServiceException"
	var api *wire.Error
	if errors.As(err, &api) {
		code = api.Code
	}
	return fmt.Sprintf(`Resource handler returned message: "%s" (RequestToken: %s, HandlerErrorCode: %s)`, message(err), r.RequestID, code)
}

// message is an error without its code.
func message(err error) string {
	var api *wire.Error
	if errors.As(err, &api) {
		return api.Message
	}
	return err.Error()
}

// live finds the stack that holds a name. The caller holds the lock.
func (e *Engine) live(account, region, name string) *stack {
	for _, s := range e.stacks {
		if s.Name == name && s.Account == account && s.Region == region && s.Status != DeleteComplete {
			return s
		}
	}
	return nil
}

// find finds a stack by name, or by id even if it is deleted. The caller holds the lock.
func (e *Engine) find(account, region, nameOrID string) *stack {
	s, ok := e.stacks[nameOrID]
	if ok && s.Account == account && s.Region == region {
		return s
	}
	return e.live(account, region, nameOrID)
}

// view copies what can be seen. The caller holds the lock.
func (s *stack) view() Stack {
	v := s.Stack
	v.Parameters, v.Outputs, v.Tags = slices.Clone(s.Parameters), slices.Clone(s.Outputs), slices.Clone(s.Tags)
	if s.plan == nil {
		return v
	}
	for i, p := range s.plan.template.Parameters {
		if p.NoEcho && i < len(v.Parameters) {
			v.Parameters[i].Value, v.Parameters[i].Resolved = masked, ""
		}
	}
	return v
}

// Stack shows a stack by name, or by id even if it is deleted; a ValidationError where there is none.
func (e *Engine) Stack(account, region, nameOrID string) (Stack, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.find(account, region, nameOrID)
	if s == nil {
		return Stack{}, missing(nameOrID)
	}
	return s.view(), nil
}

func missing(nameOrID string) error { return invalid("Stack with id %s does not exist", nameOrID) }

// Stacks lists an account's stacks in a Region, deleted ones too, newest first.
func (e *Engine) Stacks(account, region string) []Stack {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []Stack
	for _, id := range sortedKeys(e.stacks) {
		if s := e.stacks[id]; s.Account == account && s.Region == region {
			out = append(out, s.view())
		}
	}
	slices.SortStableFunc(out, func(a, b Stack) int { return b.Created.Compare(a.Created) })
	return out
}

// Resources lists a stack's resources by logical id, with those that its deletion or rollback deleted.
func (e *Engine) Resources(account, region, nameOrID string) ([]StackResource, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.find(account, region, nameOrID)
	if s == nil {
		return nil, missing(nameOrID)
	}
	var out []StackResource
	for _, name := range sortedKeys(s.resources) {
		out = append(out, s.resources[name].StackResource)
	}
	return out, nil
}

// Events lists a stack's events, newest first.
func (e *Engine) Events(account, region, nameOrID string) ([]Event, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.find(account, region, nameOrID)
	if s == nil {
		return nil, missing(nameOrID)
	}
	out := slices.Clone(s.events)
	slices.Reverse(out)
	return out, nil
}

// Wait waits until no operation runs on a stack, and shows it then. It does not judge how the operation ended.
func (e *Engine) Wait(ctx context.Context, account, region, nameOrID string) (Stack, error) {
	for {
		e.mu.Lock()
		s := e.find(account, region, nameOrID)
		if s == nil {
			e.mu.Unlock()
			return Stack{}, missing(nameOrID)
		}
		op, view := s.op, s.view()
		e.mu.Unlock()
		if op == nil {
			return view, nil
		}
		select {
		case <-op.done:
		case <-ctx.Done():
			return view, ctx.Err()
		}
		if last, err := e.ended(s, op); last || err != nil {
			return e.shownNow(s), err
		}
	}
}

// ended tells whether op is still the last operation, now that it is done.
func (e *Engine) ended(s *stack, op *operation) (bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return true, errors.New("the engine is closed")
	}
	return s.op == op, nil
}

func (e *Engine) shownNow(s *stack) Stack {
	e.mu.Lock()
	defer e.mu.Unlock()
	return s.view()
}
