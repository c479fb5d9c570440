package stacksets

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"rolecall/infra/local/wire"
)

var _ wire.Service = (*Service)(nil)

// serves are CloudFormation's calls that are about stack sets.
func (s *Service) serves() map[string]func(*wire.Call) (any, error) {
	return map[string]func(*wire.Call) (any, error){
		"ActivateOrganizationsAccess": s.activate, "UpdateStackSet": s.updateStackSet,
		"ListStackInstances": s.listStackInstances, "DescribeStackSetOperation": s.describeOperation,
	}
}

// Needs asks for cloudformation:<operation>; other calls are CloudFormation's own.
func (s *Service) Needs(call *wire.Call) ([]wire.Need, error) {
	if s.serves()[call.Operation] == nil {
		return s.next.Needs(call)
	}
	resource := "*"
	if name := call.Form.Get("StackSetName"); name != "" {
		resource = fmt.Sprintf("arn:aws:cloudformation:%s:%s:stackset/%s:*", call.Region, call.Principal.Account, name)
	}
	return []wire.Need{{Action: "cloudformation:" + call.Operation, Resource: resource}}, nil
}

// Serve performs a call about stack sets, and hands on all others.
func (s *Service) Serve(ctx context.Context, call *wire.Call) (wire.Response, error) {
	serve := s.serves()[call.Operation]
	if serve == nil {
		return s.next.Serve(ctx, call)
	}
	value, err := serve(call)
	return wire.Response{Value: value}, err
}

func (s *Service) activate(call *wire.Call) (any, error) {
	return nil, s.config.Organizations.Trust(call.Principal.Account)
}

// member reads prefix.member.1, prefix.member.2, …
func member(form url.Values, prefix string) []string {
	var out []string
	for i := 1; form.Has(prefix + ".member." + strconv.Itoa(i)); i++ {
		out = append(out, form.Get(prefix+".member."+strconv.Itoa(i)))
	}
	return out
}

// asked is the stack set that a call names. A delegated administrator's is found only by calls that say so: as itself an
// account has stack sets of its own, which are none of the organization's.
func (s *Service) asked(call *wire.Call) (*set, error) {
	m, err := s.find(call.Principal.Account, call.Region, call.Form.Get("StackSetName"))
	if err == nil && (m.spec.CallAs == delegated) != (call.Form.Get("CallAs") == delegated) {
		return nil, notFound(call.Form.Get("StackSetName"))
	}
	return m, err
}

// delegated is how a delegated administrator asks.
const delegated = "DELEGATED_ADMIN"

// updateStackSet is the update that changes nothing, in some accounts: the way to deploy again what failed.
func (s *Service) updateStackSet(call *wire.Call) (any, error) {
	form := call.Form
	m, err := s.asked(call)
	if err != nil {
		return nil, err
	}
	if form.Get("UsePreviousTemplate") != "true" || !slices.Equal(member(form, "Regions"), []string{call.Region}) ||
		form.Get("DeploymentTargets.AccountFilterType") != "INTERSECTION" {
		return nil, invalid("the pocket AWS updates a stack set in the accounts that are named, with the template that it has")
	}
	for i := range m.spec.Parameters {
		prefix := "Parameters.member." + strconv.Itoa(i+1) + "."
		if !form.Has(prefix+"ParameterKey") || form.Get(prefix+"UsePreviousValue") != "true" {
			return nil, invalid("Parameters: [%s] must have values", m.spec.Parameters[i].ParameterKey)
		}
	}
	targets, err := s.config.Organizations.Targets(m.admin, m.spec.CallAs == delegated, member(form, "DeploymentTargets.OrganizationalUnitIds"))
	if err != nil {
		return nil, err
	}
	named := member(form, "DeploymentTargets.Accounts")
	accounts := slices.DeleteFunc(targets, func(a string) bool { return !slices.Contains(named, a) })
	var p preferences
	for name, to := range map[string]*number{
		"FailureTolerancePercentage": &p.FailureTolerancePercentage, "MaxConcurrentPercentage": &p.MaxConcurrentPercentage,
	} {
		n, _ := strconv.Atoi(form.Get("OperationPreferences." + name)) // none is 0
		*to = number(n)
	}
	o := s.begin(m, "UPDATE")
	s.wg.Go(func() { _ = s.operate(s.ctx, m, o, accounts, p) }) // the operation and its instances say how it ended
	return struct {
		ID string `xml:"OperationId"`
	}{o.id}, nil
}

type instanceAnswer struct {
	StackSetID   string `xml:"StackSetId"`
	Region       string `xml:"Region"`
	Account      string `xml:"Account"`
	StackID      string `xml:"StackId,omitempty"`
	Status       string `xml:"Status"`
	StatusReason string `xml:"StatusReason,omitempty"`
	Detailed     string `xml:"StackInstanceStatus>DetailedStatus"`
	Operation    string `xml:"LastOperationId"`
}

func (s *Service) listStackInstances(call *wire.Call) (any, error) {
	m, err := s.asked(call)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out struct {
		Summaries struct {
			Member []instanceAnswer `xml:"member"`
		} `xml:"Summaries"`
	}
	for _, account := range slices.Sorted(maps.Keys(m.instances)) {
		if only := call.Form.Get("StackInstanceAccount"); only != "" && only != account {
			continue
		}
		i := m.instances[account]
		out.Summaries.Member = append(out.Summaries.Member, instanceAnswer{
			StackSetID: m.id, Region: m.region, Account: account, StackID: i.stackID, Status: i.status, StatusReason: i.reason,
			Detailed: i.detailed, Operation: i.operation,
		})
	}
	return out, nil
}

func (s *Service) describeOperation(call *wire.Call) (any, error) {
	m, err := s.asked(call)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := m.operations[call.Form.Get("OperationId")]
	if o == nil {
		return nil, &wire.Error{Code: "OperationNotFoundException", Message: "there is no such operation", Status: http.StatusNotFound}
	}
	return struct {
		ID       string `xml:"StackSetOperation>OperationId"`
		StackSet string `xml:"StackSetOperation>StackSetId"`
		Action   string `xml:"StackSetOperation>Action"`
		Status   string `xml:"StackSetOperation>Status"`
		Failed   int    `xml:"StackSetOperation>StatusDetails>FailedStackInstancesCount"`
	}{o.id, m.id, o.action, o.status, o.failed}, nil
}
