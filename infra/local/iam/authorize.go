package iam

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"rolecall/infra/local/policy"
	"rolecall/infra/local/wire"
)

// Authorize decides as AWS does: an explicit Deny anywhere wins; within an account the identity's policies or the
// resource's policy must allow, across accounts both must, and with need.PolicyDecides the resource's policy must in any
// case. Boundaries and session policies narrow what identity policies give. The root of an account may do everything
// that no resource's policy denies. The refusal is an AccessDenied with status 403, in AWS's words.
//
// Of the global condition keys it fills in all that follow from the principal and the clock; a caller that knows the
// Region of a call adds aws:RequestedRegion to the need, which is otherwise taken from the resource's ARN.
func (s *Service) Authorize(p wire.Principal, need wire.Need) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.authorize(p, need)
}

func (s *Service) authorize(p wire.Principal, need wire.Need) error {
	if s.withoutIAM(p, need.Action) {
		return invalidToken()
	}
	v := s.verdicts(p, need)
	if why := v.refusal(need); why != "" {
		return denied(p, need, why)
	}
	return nil
}

// withoutIAM tells whether AWS would not know the caller's token at all: IAM does not take sessions of GetSessionToken
// without MFA and of GetFederationToken.
func (s *Service) withoutIAM(p wire.Principal, action string) bool {
	se := s.sessions[p.AccessKeyID]
	return se != nil && se.kind != roleSession && strings.HasPrefix(action, "iam:")
}

// denied writes AWS's words. STS gives no reason, so that nobody can learn about roles of others.
func denied(p wire.Principal, need wire.Need, why string) error {
	who := p.ARN
	if p.Service != "" {
		who = p.Service
	}
	message := "User: " + who + " is not authorized to perform: " + need.Action
	if need.Resource != "*" || strings.HasPrefix(need.Action, "sts:") {
		message += " on resource: " + need.Resource
	}
	if !strings.HasPrefix(need.Action, "sts:") {
		message += " " + why
	}
	return fail("AccessDenied", http.StatusForbidden, "%s", message)
}

// verdicts are what the policies of each kind say of one request.
type verdicts struct {
	root        bool
	service     bool
	sameAccount bool
	bounded     bool // there is a permissions boundary
	narrowed    bool // there are session policies, or would have to be
	identity    policy.Decision
	boundary    policy.Decision
	session     policy.Decision
	resource    policy.Decision
	grade       policy.Grade
}

func (s *Service) verdicts(p wire.Principal, need wire.Need) verdicts {
	now := s.clock()
	e, isRoot := s.identity(p)
	r := s.request(p, e, need, now)
	v := verdicts{root: isRoot, service: p.Service != "", sameAccount: resourceAccount(p, need) == p.Account}
	if need.ResourcePolicy != nil {
		v.resource, v.grade = need.ResourcePolicy.Grants(r)
	}
	if e != nil {
		g := e.grants.at(now)
		v.identity = combine(s.documents(p.Account, g), r)
		if g.boundary != "" {
			v.bounded = true
			v.boundary = combine(s.managedDocuments(p.Account, g.boundary), r)
		}
	}
	se := s.sessions[p.AccessKeyID]
	if len(p.SessionPolicy) > 0 || se != nil && se.kind == federatedSession {
		v.narrowed = true
		v.session = combine(p.SessionPolicy, r)
	}
	return v
}

// identity finds whose policies count for a principal; isRoot is set where none are needed.
func (s *Service) identity(p wire.Principal) (e *entity, isRoot bool) {
	if p.Service != "" {
		return nil, false
	}
	arn := p.ARN
	if p.RoleARN != "" {
		arn = p.RoleARN
	} else if se := s.sessions[p.AccessKeyID]; se != nil && se.base != "" {
		arn = se.base
	}
	if arn == arnPrefix+"iam::"+p.Account+":root" {
		return nil, true
	}
	return s.entity(arn), false
}

func (s *Service) documents(account string, g grants) []policy.Document {
	var docs []policy.Document
	for _, d := range g.inline {
		docs = append(docs, d.parsed)
	}
	return append(docs, s.managedDocuments(account, g.attached...)...)
}

func (s *Service) managedDocuments(account string, arns ...string) []policy.Document {
	var docs []policy.Document
	for _, arn := range arns {
		if p, ok := s.managed(account, arn); ok {
			docs = append(docs, p.doc.parsed)
		}
	}
	return docs
}

// combine evaluates policies of one kind together: any Deny, else any Allow.
func combine(docs []policy.Document, r policy.Request) policy.Decision {
	best := policy.NoMatch
	for _, d := range docs {
		best = max(best, d.Evaluate(r))
	}
	return best
}

// refusal is the reason for refusing, as AWS puts it after "is not authorized to perform …"; "" means allowed.
func (v verdicts) refusal(need wire.Need) string {
	for _, one := range []struct {
		decision policy.Decision
		kind     string
	}{
		{v.identity, "an identity-based policy"},
		{v.boundary, "a permissions boundary"},
		{v.session, "a session policy"},
		{v.resource, "a resource-based policy"},
	} {
		if one.decision == policy.Deny {
			return "with an explicit deny in " + one.kind
		}
	}
	because := func(kind string) string { return "because no " + kind + " allows the " + need.Action + " action" }
	if v.resource != policy.Allow && (v.service || need.PolicyDecides || !v.sameAccount) {
		return because("resource-based policy")
	}
	if v.service || v.sameAccount && v.direct() {
		return ""
	}
	switch {
	case !v.root && v.identity != policy.Allow:
		return because("identity-based policy")
	case v.bounded && v.boundary != policy.Allow:
		return because("permissions boundary")
	case v.narrowed && v.session != policy.Allow:
		return because("session policy")
	}
	return ""
}

// direct tells whether the resource's policy is enough by itself. Naming the account only leaves it to the account's own
// policies. What is given to a role is limited by boundary and session policies; what is given to a session or user is not.
func (v verdicts) direct() bool {
	if v.resource != policy.Allow || v.grade < policy.ByRole {
		return false
	}
	return v.grade == policy.ByName ||
		(!v.bounded || v.boundary == policy.Allow) && (!v.narrowed || v.session == policy.Allow)
}

// resourceAccount is the account that owns the resource of a need: the one named, the one in the ARN, or the caller's.
func resourceAccount(p wire.Principal, need wire.Need) string {
	if need.ResourceAccount != "" {
		return need.ResourceAccount
	}
	if parts := strings.SplitN(need.Resource, ":", 6); len(parts) == 6 && accountForm.MatchString(parts[4]) {
		return parts[4]
	}
	return p.Account
}

// request fills in the global condition keys; those of the need win.
func (s *Service) request(p wire.Principal, e *entity, need wire.Need, now time.Time) policy.Request {
	c := map[string][]string{}
	set := func(key, value string) {
		if value != "" {
			c[strings.ToLower(key)] = []string{value}
		}
	}
	set("aws:CurrentTime", now.UTC().Format(time.RFC3339))
	set("aws:EpochTime", strconv.FormatInt(now.Unix(), 10))
	set("aws:SecureTransport", "true") // the pocket AWS stands for endpoints that are reached by TLS
	set("aws:PrincipalIsAWSService", strconv.FormatBool(p.Service != ""))
	set("aws:PrincipalServiceName", p.Service)
	set("aws:ViaAWSService", strconv.FormatBool(len(p.CalledVia) > 0))
	set("aws:ResourceAccount", resourceAccount(p, need))
	if parts := strings.SplitN(need.Resource, ":", 6); len(parts) == 6 {
		set("aws:RequestedRegion", parts[3])
	}
	if len(p.CalledVia) > 0 {
		c["aws:calledvia"] = p.CalledVia
		set("aws:CalledViaFirst", p.CalledVia[0])
		set("aws:CalledViaLast", p.CalledVia[len(p.CalledVia)-1])
	}
	if p.Service == "" {
		s.describe(p, e, set)
	}
	for key, values := range need.Context {
		c[strings.ToLower(key)] = values
	}
	return policy.Request{
		Action: need.Action, Resource: need.Resource, Context: c,
		Principal: policy.Principal{Account: p.Account, ARN: p.ARN, RoleARN: p.RoleARN, Service: p.Service},
	}
}

// describe sets the keys that tell of a principal who is not a service.
func (s *Service) describe(p wire.Principal, e *entity, set func(key, value string)) {
	arn, kind := p.ARN, "Account"
	switch {
	case p.RoleARN != "":
		arn, kind = p.RoleARN, "AssumedRole"
	case strings.Contains(p.ARN, ":user/"):
		kind = "User"
	case strings.Contains(p.ARN, ":federated-user/"):
		kind = "FederatedUser"
	}
	set("aws:PrincipalArn", arn)
	set("aws:PrincipalAccount", p.Account)
	set("aws:PrincipalType", kind)
	set("aws:userid", p.UserID)
	set("aws:SourceIdentity", p.SourceIdentity)
	if kind == "User" && e != nil {
		set("aws:username", e.name)
	}
	tags := map[string]string{}
	if e != nil {
		maps.Copy(tags, e.tags)
	}
	for key, value := range p.Tags { // a session's tag replaces the role's, whatever its case
		maps.DeleteFunc(tags, func(k, _ string) bool { return strings.EqualFold(k, key) })
		tags[key] = value
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		set("aws:PrincipalTag/"+key, tags[key])
	}
	if se := s.sessions[p.AccessKeyID]; se != nil {
		set("aws:MultiFactorAuthPresent", "false") // there are no MFA devices here; long-lived keys lack the key as in AWS
		set("aws:TokenIssueTime", se.issued.UTC().Format(time.RFC3339))
	}
}
