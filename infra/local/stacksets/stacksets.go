// Package stacksets is CloudFormation StackSets with service-managed permissions on the pocket AWS: one stack in each
// account of an organization's units, made through the same engine as any other stack, in the account itself.
package stacksets

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"

	"rolecall/infra/local/cfn"
	"rolecall/infra/local/organizations"
	"rolecall/infra/local/wire"
)

// A Config is what stack sets need.
type Config struct {
	NewID         func() string
	Engine        *cfn.Engine
	Organizations *organizations.Service
	// Root is the root of an account. AWS deploys with a role of its own there, which may do everything.
	Root func(account string) (wire.Principal, error)
}

// Service keeps stack sets, in memory. Safe for concurrent use; Close must be called.
type Service struct {
	config Config
	next   wire.Service // for CloudFormation's other calls
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex
	sets map[string]*set // by administrator, Region and name
}

type set struct {
	id, name, admin, region string
	spec                    spec
	instances               map[string]*instance // by account: there is one Region
	operations              map[string]*operation
	busy                    sync.Mutex // one operation at a time
}

// An instance is what a stack set knows of its stack in one account.
type instance struct {
	account, stackID, status, detailed, reason, operation string
}

// An operation is one run over some of a set's accounts.
type operation struct {
	id, action, status string
	failed             int
}

// Statuses of instances and operations.
const (
	current   = "CURRENT"
	outdated  = "OUTDATED"
	pending   = "PENDING"
	running   = "RUNNING"
	succeeded = "SUCCEEDED"
	failed    = "FAILED"
)

// New makes the service in front of CloudFormation's own calls.
func New(c Config, next wire.Service) *Service {
	s := &Service{config: c, next: next, sets: map[string]*set{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	c.Organizations.Watch(s.moved)
	return s
}

// Close ends what is under way.
func (s *Service) Close() {
	s.cancel()
	s.wg.Wait()
}

// spec is AWS::CloudFormation::StackSet, as far as it is known here; what is not known is refused.
type spec struct {
	StackSetName, Description, PermissionModel, CallAs, TemplateBody string

	Capabilities   []string
	AutoDeployment struct{ Enabled, RetainStacksOnAccountRemoval flag }
	// ManagedExecution lets operations run side by side in AWS; here they wait for each other.
	ManagedExecution     struct{ Active flag }
	OperationPreferences preferences
	StackInstancesGroup  []struct {
		DeploymentTargets struct {
			OrganizationalUnitIDs []string `json:"OrganizationalUnitIds"`
		}
		Regions []string
	}
	Parameters []struct{ ParameterKey, ParameterValue string }
}

type preferences struct{ FailureTolerancePercentage, MaxConcurrentPercentage number }

// Templates may write flags and numbers as text.
type (
	flag   bool
	number int
)

func (f *flag) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseBool(string(bytes.Trim(b, `"`)))
	*f = flag(v)
	return err
}

func (n *number) UnmarshalJSON(b []byte) error {
	v, err := strconv.Atoi(string(bytes.Trim(b, `"`)))
	*n = number(v)
	return err
}

func invalid(format string, args ...any) error {
	return &wire.Error{Code: "ValidationError", Message: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}

var nameRE = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]{0,127}$`)

// maxTemplate is the most that a stack set takes as a template's body.
const maxTemplate = 51200

func readSpec(properties map[string]any, region string) (spec, error) {
	text, err := json.Marshal(properties)
	if err != nil {
		return spec{}, err
	}
	var p spec
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return spec{}, invalid("properties: %v", err)
	}
	group := p.StackInstancesGroup
	switch {
	case !nameRE.MatchString(p.StackSetName):
		return p, invalid("StackSetName %q is not letters, digits and hyphens", p.StackSetName)
	case p.PermissionModel != "SERVICE_MANAGED" || (p.CallAs != "SELF" && p.CallAs != delegated):
		return p, invalid("the pocket AWS has stack sets with service-managed permissions only")
	case p.TemplateBody == "" || len(p.TemplateBody) > maxTemplate:
		return p, invalid("TemplateBody has %d bytes, not 1 to %d", len(p.TemplateBody), maxTemplate)
	case len(group) != 1 || len(group[0].DeploymentTargets.OrganizationalUnitIDs) == 0 || !slices.Equal(group[0].Regions, []string{region}):
		return p, invalid("the pocket AWS deploys to one group of units, in the Region of the stack set")
	}
	return p, nil
}

func (p spec) units() []string {
	return p.StackInstancesGroup[0].DeploymentTargets.OrganizationalUnitIDs
}

// Register teaches the engine the resource type.
func (s *Service) Register(e *cfn.Engine) { e.Register("AWS::CloudFormation::StackSet", provider{s}) }

type provider struct{ s *Service }

func key(admin, region, name string) string { return admin + " " + region + " " + name }

// Create makes the set and its stacks, and fails when more accounts fail than the preferences tolerate.
func (p provider) Create(ctx context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
	sp, err := readSpec(r.Properties, r.Region)
	if err != nil {
		return cfn.Result{}, err
	}
	accounts, err := p.s.config.Organizations.Targets(r.Account, sp.CallAs == delegated, sp.units())
	if err != nil {
		return cfn.Result{}, err
	}
	made := &set{
		id: sp.StackSetName + ":" + p.s.config.NewID(), name: sp.StackSetName, admin: r.Account, region: r.Region, spec: sp,
		instances: map[string]*instance{}, operations: map[string]*operation{},
	}
	p.s.mu.Lock()
	if p.s.sets[key(r.Account, r.Region, sp.StackSetName)] != nil {
		p.s.mu.Unlock()
		return cfn.Result{}, &wire.Error{Code: "NameAlreadyExistsException", Message: "StackSet " + sp.StackSetName + " already exists"}
	}
	p.s.sets[key(r.Account, r.Region, sp.StackSetName)] = made
	p.s.mu.Unlock()
	return p.result(made), p.s.operate(ctx, made, p.s.begin(made, "CREATE"), accounts, sp.OperationPreferences)
}

func (provider) result(m *set) cfn.Result {
	return cfn.Result{PhysicalID: m.id, Attributes: map[string]any{"StackSetId": m.id}}
}

// Update deploys to every account again; those that are as they should be are left alone.
func (p provider) Update(ctx context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
	sp, err := readSpec(r.Properties, r.Region)
	if err != nil {
		return cfn.Result{}, err
	}
	m, err := p.s.find(r.Account, r.Region, sp.StackSetName)
	if err != nil {
		return cfn.Result{}, invalid("the name of a stack set cannot be changed here")
	}
	accounts, err := p.s.config.Organizations.Targets(r.Account, sp.CallAs == delegated, sp.units())
	if err != nil {
		return cfn.Result{}, err
	}
	p.s.mu.Lock()
	m.spec = sp
	p.s.mu.Unlock()
	return p.result(m), p.s.operate(ctx, m, p.s.begin(m, "UPDATE"), accounts, sp.OperationPreferences)
}

// Delete deletes all stacks, and then the set.
func (p provider) Delete(ctx context.Context, r *cfn.ResourceRequest) error {
	sp, err := readSpec(r.Properties, r.Region)
	if err != nil {
		return err
	}
	m, err := p.s.find(r.Account, r.Region, sp.StackSetName)
	if err != nil {
		return nil //nolint:nilerr // what does not exist is deleted
	}
	p.s.mu.Lock()
	accounts := slices.Sorted(maps.Keys(m.instances))
	p.s.mu.Unlock()
	if err := p.s.withdraw(ctx, m, accounts); err != nil {
		return err
	}
	p.s.mu.Lock()
	delete(p.s.sets, key(m.admin, m.region, m.name))
	p.s.mu.Unlock()
	return nil
}

func (s *Service) find(admin, region, name string) (*set, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.sets {
		if m.admin == admin && m.region == region && (m.name == name || m.id == name) {
			return m, nil
		}
	}
	return nil, notFound(name)
}

func notFound(name string) error {
	return &wire.Error{Code: "StackSetNotFoundException", Message: "StackSet " + name + " not found", Status: http.StatusNotFound}
}

func (s *Service) begin(m *set, action string) *operation {
	o := &operation{id: s.config.NewID(), action: action, status: running}
	s.mu.Lock()
	defer s.mu.Unlock()
	m.operations[o.id] = o
	return o
}

// operate brings the stacks of some accounts to where the set wants them, so many at a time, and stops once more have
// failed than are tolerated.
func (s *Service) operate(ctx context.Context, m *set, o *operation, accounts []string, p preferences) error {
	m.busy.Lock()
	defer m.busy.Unlock()
	s.mu.Lock()
	for _, a := range accounts {
		if m.instances[a] == nil {
			m.instances[a] = &instance{account: a}
		}
		i := m.instances[a]
		i.status, i.detailed, i.reason, i.operation = outdated, pending, "", o.id
	}
	s.mu.Unlock()
	tolerated := len(accounts) * int(p.FailureTolerancePercentage) / 100
	var each sync.WaitGroup
	room := make(chan struct{}, max(1, min(len(accounts)*int(p.MaxConcurrentPercentage)/100, tolerated+1)))
	for _, account := range accounts {
		room <- struct{}{}
		if s.failures(o) > tolerated || ctx.Err() != nil {
			break
		}
		each.Go(func() {
			defer func() { <-room }()
			s.settle(m, o, account, s.deploy(ctx, m, account))
		})
	}
	each.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	o.status = succeeded
	if o.failed > tolerated {
		o.status = failed
		return invalid("Stack set operation [%s] was unexpectedly stopped or failed", o.id)
	}
	return ctx.Err()
}

func (s *Service) failures(o *operation) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return o.failed
}

// settle notes how the stack of one account has ended.
func (s *Service) settle(m *set, o *operation, account string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := m.instances[account]
	i.status, i.detailed = current, succeeded
	if err != nil {
		i.status, i.detailed, i.reason = outdated, failed, err.Error()
		o.failed++
	}
}

// deploy makes or updates the stack of one account. A stack whose creation fails is deleted, as StackSets does.
func (s *Service) deploy(ctx context.Context, m *set, account string) error {
	root, err := s.config.Root(account)
	if err != nil {
		return err
	}
	s.mu.Lock()
	sp, i := m.spec, m.instances[account]
	i.detailed = running
	in := cfn.Input{
		Principal: root, Account: account, Region: m.region, Name: i.stackID, Template: sp.TemplateBody,
		Capabilities: sp.Capabilities, OnFailure: "DELETE", Parameters: map[string]string{},
	}
	s.mu.Unlock()
	for _, p := range sp.Parameters {
		in.Parameters[p.ParameterKey] = p.ParameterValue
	}
	if in.Name != "" {
		if known, err := s.config.Engine.Stack(account, m.region, in.Name); err == nil && known.Status != cfn.DeleteComplete {
			return s.update(ctx, in)
		}
	}
	in.Name = "StackSet-" + m.name[:min(len(m.name), 80)] + "-" + s.config.NewID()
	id, err := s.config.Engine.Create(ctx, in)
	if err != nil {
		return err
	}
	s.mu.Lock()
	i.stackID = id
	s.mu.Unlock()
	return s.wait(ctx, account, m.region, id, cfn.CreateComplete)
}

func (s *Service) update(ctx context.Context, in cfn.Input) error {
	in.OnFailure = ""
	id, err := s.config.Engine.Update(ctx, in)
	var api *wire.Error
	if errors.As(err, &api) && api.Message == "No updates are to be performed." {
		return nil
	}
	if err != nil {
		return err
	}
	return s.wait(ctx, in.Account, in.Region, id, cfn.UpdateComplete)
}

// wait waits for the end of a stack's operation; the error is the first reason in the stack's events.
func (s *Service) wait(ctx context.Context, account, region, id string, want cfn.Status) error {
	ended, err := s.config.Engine.Wait(ctx, account, region, id)
	if err != nil || ended.Status == want {
		return err
	}
	events, err := s.config.Engine.Events(account, region, id)
	if err != nil {
		return err
	}
	for _, e := range slices.Backward(events) {
		if e.Status == cfn.CreateFailed || e.Status == cfn.UpdateFailed || e.Status == cfn.DeleteFailed {
			return fmt.Errorf("ResourceLogicalId:%s, ResourceType:%s, ResourceStatusReason:%s", e.LogicalID, e.Type, e.Reason)
		}
	}
	return fmt.Errorf("the stack is %s", ended.Status)
}

// withdraw deletes the stacks of some accounts.
func (s *Service) withdraw(ctx context.Context, m *set, accounts []string) error {
	m.busy.Lock()
	defer m.busy.Unlock()
	var each sync.WaitGroup
	errs := make([]error, len(accounts))
	for n, account := range accounts {
		each.Go(func() { errs[n] = s.remove(ctx, m, account) })
	}
	each.Wait()
	return errors.Join(errs...)
}

func (s *Service) remove(ctx context.Context, m *set, account string) error {
	s.mu.Lock()
	i := m.instances[account]
	s.mu.Unlock()
	if i == nil {
		return nil
	}
	if i.stackID != "" {
		root, err := s.config.Root(account)
		if err != nil {
			return err
		}
		if err := s.config.Engine.Delete(cfn.DeleteInput{Principal: root, Account: account, Region: m.region, Name: i.stackID}); err != nil {
			return err
		}
		if err := s.wait(ctx, account, m.region, i.stackID, cfn.DeleteComplete); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(m.instances, account)
	return nil
}

// moved deploys to an account that has joined a set's units, and withdraws from one that has left.
func (s *Service) moved(account string, joined bool) {
	s.mu.Lock()
	sets := slices.Collect(maps.Values(s.sets))
	s.mu.Unlock()
	for _, m := range sets {
		if !m.spec.AutoDeployment.Enabled {
			continue
		}
		s.wg.Go(func() {
			if !joined {
				_ = s.withdraw(s.ctx, m, []string{account}) // what cannot be deleted shows in its stack's events
				return
			}
			targets, err := s.config.Organizations.Targets(m.admin, m.spec.CallAs == delegated, m.spec.units())
			if err == nil && slices.Contains(targets, account) {
				_ = s.operate(s.ctx, m, s.begin(m, "CREATE"), []string{account}, m.spec.OperationPreferences) // the instance says why
			}
		})
	}
}
