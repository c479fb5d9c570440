package cfn

import (
	"context"
	"slices"
	"strings"
	"time"

	"rolecall/infra/local/wire"
)

// A changeSet is a request for a stack that waits to be executed.
type changeSet struct {
	id          string
	name        string
	description string
	created     time.Time
	plan        *plan // nil where there is nothing to execute
	changes     []change
	parameters  []ParameterValue
	reason      string // why it failed
	executed    bool
}

const nothingChanges = "The submitted information didn't contain changes. Submit different information to create a change set."

func (c *changeSet) status() (status, execution string) {
	switch {
	case c.plan == nil:
		return "FAILED", "UNAVAILABLE"
	case c.executed:
		return "CREATE_COMPLETE", "EXECUTE_COMPLETE"
	default:
		return "CREATE_COMPLETE", "AVAILABLE"
	}
}

// createChangeSet works out at once what a request would change. kind is CREATE or UPDATE.
func (e *Engine) createChangeSet(ctx context.Context, in Input, kind, name, description string) (id, stackID string, err error) {
	s, isNew, err := e.changed(&in, kind, name)
	if err != nil {
		return "", "", err
	}
	c := &changeSet{name: name, description: description, created: e.config.Clock()}
	if isNew {
		err = e.reviewCreate(ctx, &in, s, c)
	} else {
		err = e.reviewUpdate(ctx, &in, s, c)
	}
	if err != nil {
		return "", "", err
	}
	partition, _ := partitionOf(s.Region)
	c.id = "arn:" + partition + ":cloudformation:" + s.Region + ":" + s.Account + ":changeSet/" + name + "/" + e.config.NewID()
	e.mu.Lock()
	defer e.mu.Unlock()
	if slices.ContainsFunc(s.changes, func(other *changeSet) bool { return other.name == name }) {
		return "", "", &wire.Error{Code: "AlreadyExistsException", Message: "ChangeSet " + name + " already exists", Status: 400}
	}
	if e.stacks[s.ID] == nil {
		if e.live(s.Account, s.Region, s.Name) != nil {
			return "", "", &wire.Error{Code: "AlreadyExistsException", Message: "Stack [" + s.Name + "] already exists", Status: 400}
		}
		e.stacks[s.ID] = s
		e.mark(s, ReviewInProgress, userInitiated)
	}
	s.changes = append(s.changes, c)
	return c.id, s.ID, nil
}

// changed finds the stack that a change set is for, or prepares one that nobody sees yet.
func (e *Engine) changed(in *Input, kind, name string) (s *stack, isNew bool, err error) {
	if !stackName.MatchString(name) {
		return nil, false, invalid("1 validation error detected: Value '%s' at 'changeSetName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*", name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s = e.find(in.Account, in.Region, in.Name)
	switch {
	case kind == "CREATE" && s == nil:
		if !stackName.MatchString(in.Name) {
			return nil, false, invalid("1 validation error detected: Value '%s' at 'stackName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*", in.Name)
		}
		return &stack{
			Stack:     Stack{ID: e.stackID(in), Name: in.Name, Account: in.Account, Region: in.Region, Created: e.config.Clock()},
			resources: map[string]*resource{},
		}, true, nil
	case kind == "CREATE" && s.Status == ReviewInProgress:
		return s, true, nil
	case kind == "CREATE":
		return nil, false, invalid("Stack [%s] already exists and cannot be created again with the changeSet [%s].", in.Name, name)
	case kind != "UPDATE" && kind != "":
		return nil, false, invalid("ChangeSetType %s is not supported here", kind)
	case s == nil || s.Status == DeleteComplete || s.Status == ReviewInProgress:
		return nil, false, invalid("Stack [%s] does not exist", in.Name)
	default:
		return s, false, nil
	}
}

func (e *Engine) reviewCreate(ctx context.Context, in *Input, s *stack, c *changeSet) error {
	in.Name = s.Name
	if err := e.load(ctx, in); err != nil {
		return err
	}
	p, err := e.plan(ctx, in, s.ID, nil)
	if err != nil {
		return err
	}
	e.bind(s, p)
	c.plan, c.parameters, c.changes = p, p.parameters, e.differences(s, p)
	return nil
}

func (e *Engine) reviewUpdate(ctx context.Context, in *Input, s *stack, c *changeSet) error {
	p, err := e.planUpdate(ctx, s, in)
	if err != nil {
		return err
	}
	c.parameters, c.changes = p.parameters, e.differences(s, p)
	if len(c.changes) == 0 && !e.shown(s, p) {
		c.reason = nothingChanges
		return nil
	}
	c.plan = p
	return nil
}

// findChangeSet finds one by its id, or by its name and its stack's. The caller holds the lock.
func (e *Engine) findChangeSet(account, region, stackName, nameOrID string) (*stack, *changeSet, error) {
	for _, s := range e.stacks {
		if s.Account != account || s.Region != region || (stackName != "" && s.Name != stackName && s.ID != stackName) {
			continue
		}
		for _, c := range s.changes {
			if c.id == nameOrID || (c.name == nameOrID && stackName != "" && s.Status != DeleteComplete) {
				return s, c, nil
			}
		}
	}
	return nil, nil, &wire.Error{Code: "ChangeSetNotFound", Message: "ChangeSet [" + nameOrID + "] does not exist", Status: 404}
}

// executeChangeSet starts what a change set describes. The principal is the one who executes it.
func (e *Engine) executeChangeSet(principal wire.Principal, account, region, stackName, nameOrID, onFailure, token string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, c, err := e.findChangeSet(account, region, stackName, nameOrID)
	if err != nil {
		return err
	}
	if status, execution := c.status(); execution != "AVAILABLE" {
		return &wire.Error{
			Code: "InvalidChangeSetStatus", Status: 400,
			Message: "ChangeSet [" + c.id + "] cannot be executed in its current status of [" + status + "]",
		}
	}
	c.plan.in.Principal, c.plan.in.Token = principal, token
	if onFailure != "" {
		c.plan.in.OnFailure = onFailure
	}
	if s.Status == ReviewInProgress {
		err = e.startCreate(s, c.plan)
	} else {
		err = e.startUpdate(s, c.plan)
	}
	if err != nil {
		return err
	}
	c.executed, s.ChangeSetID = true, c.id
	s.changes = slices.DeleteFunc(s.changes, func(other *changeSet) bool { return other != c }) // they no longer fit
	return nil
}

func (e *Engine) deleteChangeSet(account, region, stackName, nameOrID string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, c, err := e.findChangeSet(account, region, stackName, nameOrID)
	if err != nil {
		if stackName == "" || strings.HasPrefix(nameOrID, "arn:") {
			return nil // like CloudFormation: one that is gone is deleted
		}
		return err
	}
	s.changes = slices.DeleteFunc(s.changes, func(other *changeSet) bool { return other == c })
	return nil
}
