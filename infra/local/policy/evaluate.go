package policy

import (
	"slices"
	"strings"
)

const (
	effectAllow = "Allow"
	effectDeny  = "Deny"
)

// A Grade says how directly an allowing statement names the principal. It decides whether a resource's policy is enough
// by itself within one account: naming the account only lets the account's own policies decide.
type Grade int

// Grades, from the least direct; Open statements have no Principal element, as in identity policies.
const (
	Open      Grade = iota
	ByAccount       // the account, as its id or root ARN
	ByRole          // the role behind a session, or "*"
	ByName          // the caller's own ARN, or the service
)

// Evaluate says what the document makes of a request: an explicit Deny wins over any Allow. Statements with a Principal
// element must name the request's principal; those without one match every principal, so call [Document.CheckResource]
// when a resource's policy is stored.
func (d Document) Evaluate(r Request) Decision {
	decision, _ := d.Grants(r)
	return decision
}

// Grants is Evaluate that also tells, for an Allow, how directly the principal was named.
func (d Document) Grants(r Request) (Decision, Grade) {
	e := newEvaluation(d, r)
	decision, grade := NoMatch, Open
	for i := range d.Statements {
		s := &d.Statements[i]
		g, ok := e.applies(s)
		if !ok {
			continue
		}
		switch s.Effect {
		case effectDeny:
			return Deny, Open
		case effectAllow:
			decision, grade = Allow, max(grade, g)
		}
	}
	return decision, grade
}

// An evaluation is one request being held against one document.
type evaluation struct {
	request   Request
	context   map[string][]string // lower-case keys
	variables bool
}

func newEvaluation(d Document, r Request) *evaluation {
	e := &evaluation{request: r, context: make(map[string][]string, len(r.Context)+2), variables: d.Version == version2012}
	if r.Principal.Account != "" {
		e.context["aws:principalaccount"] = []string{r.Principal.Account}
	}
	if arn := r.Principal.arn(); arn != "" {
		e.context["aws:principalarn"] = []string{arn}
	}
	for k, v := range r.Context {
		e.context[strings.ToLower(k)] = v
	}
	return e
}

// arn is what aws:PrincipalArn holds: a session's role rather than the session.
func (p Principal) arn() string {
	if p.RoleARN != "" {
		return p.RoleARN
	}
	return p.ARN
}

func (e *evaluation) applies(s *Statement) (Grade, bool) {
	grade, ok := e.principal(s)
	if !ok || !e.action(s) || !e.resource(s) {
		return Open, false
	}
	return grade, e.conditions(s)
}

func (e *evaluation) principal(s *Statement) (Grade, bool) {
	if s.NotPrincipals != nil {
		return ByRole, !e.spared(s)
	}
	if s.Principals == nil {
		return Open, true
	}
	return e.request.Principal.named(s.Principals)
}

// named finds the most direct way in which a Principal element names p.
func (p Principal) named(set map[string][]string) (Grade, bool) {
	best := Open
	if slices.Contains(set[anyone], anyone) || slices.Contains(set["AWS"], anyone) {
		best = ByRole
	}
	if p.Service != "" {
		if slices.Contains(set["Service"], p.Service) || slices.Contains(set["Service"], anyone) {
			best = ByName
		}
		return best, best != Open
	}
	for _, v := range set["AWS"] {
		best = max(best, p.grade(v))
	}
	return best, best != Open
}

func (p Principal) grade(v string) Grade {
	switch {
	case v == "":
		return Open
	case v == p.ARN && !strings.HasSuffix(v, ":root"):
		return ByName
	case v == p.RoleARN:
		return ByRole
	case p.ofAccount(v):
		return ByAccount
	}
	return Open
}

// ofAccount tells whether v is the id or the root ARN of p's account.
func (p Principal) ofAccount(v string) bool {
	if p.Account == "" {
		return false
	}
	if v == p.Account {
		return true
	}
	rest, ok := strings.CutSuffix(v, "::"+p.Account+":root")
	return ok && strings.HasPrefix(rest, "arn:aws") && strings.HasSuffix(rest, ":iam")
}

// spared tells whether a NotPrincipal element exempts the caller. IAM may look at the account, then the role, then the
// session, so a Deny spares only a caller whose whole chain is listed; an Allow leaves out whoever is mentioned at all.
func (e *evaluation) spared(s *Statement) bool {
	p := e.request.Principal
	if s.Effect != effectDeny || p.Service != "" {
		_, ok := p.named(s.NotPrincipals)
		return ok
	}
	listed := s.NotPrincipals["AWS"]
	if slices.Contains(s.NotPrincipals[anyone], anyone) || slices.Contains(listed, anyone) {
		return true
	}
	return slices.ContainsFunc(listed, p.ofAccount) && slices.Contains(listed, p.ARN) &&
		(p.RoleARN == "" || slices.Contains(listed, p.RoleARN))
}

func (e *evaluation) action(s *Statement) bool {
	matches := func(text string) bool {
		p := make(pattern, 0, len(text))
		for _, r := range strings.ToLower(text) {
			p = append(p, token{kindOf(r, true), r})
		}
		return p.matches(strings.ToLower(e.request.Action))
	}
	if s.NotActions != nil {
		return !slices.ContainsFunc(s.NotActions, matches)
	}
	return slices.ContainsFunc(s.Actions, matches)
}

func (e *evaluation) resource(s *Statement) bool {
	matches := func(text string) bool {
		p, ok := e.compile(text, true)
		return ok && p.matchesARN(e.request.Resource, true)
	}
	switch {
	case s.NotResources != nil:
		return !slices.ContainsFunc(s.NotResources, matches)
	case s.Resources != nil:
		return slices.ContainsFunc(s.Resources, matches)
	}
	return true // a trust policy: the role itself is the resource
}
