package iam

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"rolecall/infra/local/policy"
	"rolecall/infra/local/wire"
)

// onSource is the target of a simulation: whose policies are tried.
func onSource(_ *Service, call *wire.Call) (resource string, about map[string][]string) {
	return call.Form.Get("PolicySourceArn"), requestContext(call)
}

type simulationXML struct {
	EvaluationResults items[evaluationXML]
	IsTruncated       bool
	Marker            string `xml:",omitempty"`
}

// evaluationXML leaves out MatchedStatements: the pocket AWS keeps no positions in documents.
type evaluationXML struct {
	EvalActionName                    string
	EvalResourceName                  string
	EvalDecision                      string
	MissingContextValues              items[string]
	PermissionsBoundaryDecisionDetail *boundaryDetailXML `xml:",omitempty"`
}

type boundaryDetailXML struct{ AllowedByPermissionsBoundary bool }

var (
	actionForm = regexp.MustCompile(`^[A-Za-z0-9-]+:[A-Za-z0-9]+$`)
	// simulated are the parameters that a simulation here understands. Any other one would change the answer, so it is
	// refused rather than ignored.
	simulated = regexp.MustCompile(`^(Action|Version|PolicySourceArn|MaxItems|Marker|ResourceArns\.member\.1|ActionNames\.member\.\d+|` +
		`ContextEntries\.member\.\d+\.(ContextKeyName|ContextKeyType|ContextKeyValues\.member\.\d+))$`)
)

// simulatePrincipalPolicy evaluates the policies of a role or user, and its boundary, as they have spread by now. Of
// conditions it knows what AWS's simulator knows: nothing but the time, whose policies they are, and what it is told.
func simulatePrincipalPolicy(s *Service, call *wire.Call) (any, error) {
	for _, key := range slices.Sorted(maps.Keys(call.Form)) {
		if !simulated.MatchString(key) {
			return nil, invalidInput("The pocket AWS does not simulate with the parameter %s.", key)
		}
	}
	actions := members(call.Form, "ActionNames", "")
	if len(actions) == 0 {
		return nil, invalid("1 validation error detected: Value at 'actionNames' failed to satisfy constraint: Member must not be null")
	}
	for _, a := range actions {
		if !actionForm.MatchString(a) {
			return nil, invalidInput("Invalid action: %s", a)
		}
	}
	resource := call.Form.Get("ResourceArns.member.1")
	if resource == "" {
		resource = "*"
	}
	arn, about := call.Form.Get("PolicySourceArn"), contextEntries(call.Form)
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, err := s.source(call.Principal.Account, arn)
	if err != nil {
		return nil, err
	}
	all := make([]evaluationXML, 0, len(actions))
	for _, a := range actions {
		all = append(all, s.simulate(e, wire.Need{Action: a, Resource: resource, Context: about}))
	}
	p, err := page(call, all)
	return simulationXML{p.items, p.truncated, p.marker}, err
}

// source is the role or user of the caller's account whose policies are tried.
func (s *Service) source(account, arn string) (*entity, error) {
	owner, _, _, ok := roleFromARN(arn)
	if !ok {
		owner, _, _, ok = fromARN(arn, ":user/")
	}
	if !ok {
		return nil, invalidInput("Invalid Entity Arn: %s does not clearly define entity type and name.", arn)
	}
	e := s.entity(arn)
	if e == nil || owner != account {
		return nil, noSuchEntity("The entity with ARN %s cannot be found.", arn)
	}
	return e, nil
}

// contextEntries are the condition keys that the caller tells; lower-case, like all keys.
func contextEntries(form url.Values) map[string][]string {
	about := map[string][]string{}
	for i, key := range members(form, "ContextEntries", ".ContextKeyName") {
		about[strings.ToLower(key)] = members(form, "ContextEntries.member."+strconv.Itoa(i+1)+".ContextKeyValues", "")
	}
	return about
}

// simulate is one action's evaluation. The caller holds the lock.
func (s *Service) simulate(e *entity, need wire.Need) evaluationXML {
	p := wire.Principal{Account: strings.Split(e.arn, ":")[4], ARN: e.arn, UserID: e.id}
	if e.kind == "role" {
		p.RoleARN = e.arn
	}
	v := s.verdicts(p, need)
	out := evaluationXML{EvalActionName: need.Action, EvalResourceName: need.Resource, EvalDecision: "implicitDeny"}
	switch {
	case v.identity == policy.Deny || v.boundary == policy.Deny:
		out.EvalDecision = "explicitDeny"
	case v.refusal(need) == "":
		out.EvalDecision = "allowed"
	}
	if v.bounded {
		out.PermissionsBoundaryDecisionDetail = &boundaryDetailXML{v.boundary == policy.Allow}
	}
	known := s.request(p, e, need, s.clock()).Context
	g := e.grants.at(s.clock())
	out.MissingContextValues.Members = missingKeys(s.documents(p.Account, g), need.Action, known)
	return out
}

// missingKeys are the condition keys that statements on the action ask for and nobody has told. Like AWS, it names those
// of the role's own policies and is silent about the boundary's.
func missingKeys(docs []policy.Document, action string, known map[string][]string) []string {
	missing := map[string]bool{}
	for _, d := range docs {
		for _, st := range d.Statements {
			bare := policy.Document{Version: d.Version, Statements: []policy.Statement{{
				Effect: "Allow", Actions: st.Actions, NotActions: st.NotActions, Resources: []string{"*"},
			}}}
			if bare.Evaluate(policy.Request{Action: action, Resource: "*"}) == policy.NoMatch {
				continue
			}
			for _, keys := range st.Conditions {
				for key := range keys {
					if _, ok := known[strings.ToLower(key)]; !ok {
						missing[key] = true
					}
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(missing))
}
