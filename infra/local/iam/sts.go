package iam

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"rolecall/infra/local/policy"
	"rolecall/infra/local/wire"
)

// STS answers the STS API on the accounts of its Service.
type STS struct{ iam *Service }

var _ wire.Service = (*STS)(nil)

// STS answers the STS API of the same accounts.
func (s *Service) STS() *STS { return &STS{s} }

// Needs is nil for most operations: GetCallerIdentity and GetSessionToken take no permission, and AssumeRole asks for its
// own while it serves, because what it needs is the other account's to decide and a missing role must look like a denial.
func (t *STS) Needs(call *wire.Call) ([]wire.Need, error) {
	switch call.Operation {
	case "AssumeRole", "GetCallerIdentity", "GetSessionToken":
		return nil, nil
	case "GetFederationToken":
		return t.federationNeeds(call)
	}
	return nil, unknownOperation(call)
}

// Serve performs an STS call.
func (t *STS) Serve(_ context.Context, call *wire.Call) (wire.Response, error) {
	var value any
	var err error
	switch call.Operation {
	case "AssumeRole":
		value, err = t.assumeRole(call)
	case "GetCallerIdentity":
		p := call.Principal
		value = callerIdentity{Arn: p.ARN, UserID: p.UserID, Account: p.Account}
	case "GetSessionToken":
		value, err = t.sessionToken(call)
	case "GetFederationToken":
		value, err = t.federationToken(call)
	default:
		err = unknownOperation(call)
	}
	if err != nil {
		return wire.Response{}, err
	}
	return wire.Response{Value: value}, nil
}

type callerIdentity struct {
	Arn     string
	UserID  string `xml:"UserId"`
	Account string
}

type credentialsXML struct {
	AccessKeyID     string `xml:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      string
}

func (c Credentials) xml() credentialsXML {
	return credentialsXML{c.AccessKeyID, c.SecretAccessKey, c.Token, stamp(c.Expiration)}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

type assumeRoleResult struct {
	AssumedRoleUser struct {
		AssumedRoleID string `xml:"AssumedRoleId"`
		Arn           string
	}
	Credentials      credentialsXML
	PackedPolicySize int
	SourceIdentity   string `xml:",omitempty"`
}

// Limits of STS.
const (
	minSession      = 15 * time.Minute
	maxSession      = 12 * time.Hour
	maxLongSession  = 36 * time.Hour // GetSessionToken and GetFederationToken for users
	rootSession     = time.Hour      // the same for root
	chainedSession  = time.Hour
	maxPacked       = 2048
	maxPolicyARNs   = 10
	mfaFailed       = "MultiFactorAuthentication failed with invalid MFA one time pass code. "
	packedARNWeight = 20 // AWS stores a managed policy's id rather than its ARN
)

var (
	sessionNameForm = regexp.MustCompile(`^[\w+=,.@-]*$`)
	externalIDForm  = regexp.MustCompile(`^[\w+=,.@:/-]*$`)
)

func sessionName() rule {
	return rule{"roleSessionName", 2, 64, sessionNameForm, `[\w+=,.@-]*`}
}

// An assumption is one AssumeRole request.
type assumption struct {
	roleARN        string
	sessionName    string
	externalID     string
	hasExternalID  bool
	sourceIdentity string
	duration       time.Duration
	tags           map[string]string
	transitive     []string
	scope          scope
}

// A scope is what narrows a session.
type scope struct {
	policies []policy.Document
	packed   int // percent of what AWS can store
}

func (t *STS) assumeRole(call *wire.Call) (any, error) {
	q, err := readAssumption(call.Form)
	if err != nil {
		return nil, err
	}
	s := t.iam
	s.mu.Lock()
	defer s.mu.Unlock()
	p := call.Principal
	if err := q.inherit(p, s.sessions[p.AccessKeyID]); err != nil {
		return nil, err
	}
	r, err := s.admit(p, q, call.Region)
	if err != nil {
		return nil, err
	}
	if err := q.fits(p, r); err != nil {
		return nil, err
	}
	account, _, _, _ := roleFromARN(r.arn)
	if err := s.mayIssue(account, p.Account, call.Region); err != nil {
		return nil, err
	}
	if q.scope, err = s.readScope(call.Form, account, q.tags); err != nil {
		return nil, err
	}
	return s.assume(r, q), nil
}

func readAssumption(form url.Values) (*assumption, error) {
	q := &assumption{
		roleARN: form.Get("RoleArn"), sessionName: form.Get("RoleSessionName"), externalID: form.Get("ExternalId"),
		hasExternalID: form.Has("ExternalId"), sourceIdentity: form.Get("SourceIdentity"),
		transitive: members(form, "TransitiveTagKeys", ""),
	}
	var err error
	if q.duration, err = seconds(form, "DurationSeconds", time.Hour); err != nil {
		return nil, err
	}
	if q.tags, err = tagsOf(form); err != nil {
		return nil, err
	}
	if err := q.check(form); err != nil {
		return nil, err
	}
	if form.Has("SerialNumber") || form.Has("TokenCode") {
		return nil, fail("AccessDenied", http.StatusForbidden, mfaFailed)
	}
	return q, nil
}

func (q *assumption) check(form url.Values) error {
	if err := (rule{field: "roleArn", min: 20, max: 2048}).check(q.roleARN); err != nil {
		return err
	}
	if !strings.HasPrefix(q.roleARN, "arn:") || strings.Count(q.roleARN, ":") < 5 {
		return invalid("%s is invalid", q.roleARN)
	}
	if err := sessionName().check(q.sessionName); err != nil {
		return err
	}
	if q.hasExternalID {
		if err := (rule{"externalId", 2, 1224, externalIDForm, `[\w+=,.@:\/-]*`}).check(q.externalID); err != nil {
			return err
		}
	}
	if form.Has("SourceIdentity") {
		if err := checkSourceIdentity(q.sourceIdentity); err != nil {
			return err
		}
	}
	for _, key := range q.transitive {
		if _, ok := q.tags[key]; !ok {
			return fail("InvalidParameterValue", http.StatusBadRequest, "The specified transitive tag key must be included in the requested tags.")
		}
	}
	if err := checkTags(q.tags); err != nil {
		return err
	}
	return between("durationSeconds", q.duration, minSession, maxSession)
}

func checkSourceIdentity(v string) error {
	if strings.HasPrefix(strings.ToLower(v), "aws:") {
		return invalid("SourceIdentity must not begin with aws:")
	}
	return (rule{"sourceIdentity", 2, 64, nameForm, `[\w+=,.@-]*`}).check(v)
}

// inherit adds what the caller's own session passes on: its source identity, which cannot be changed any more, and its
// transitive tags.
func (q *assumption) inherit(p wire.Principal, from *session) error {
	if p.SourceIdentity != "" {
		if q.sourceIdentity != "" && q.sourceIdentity != p.SourceIdentity {
			return fail("AccessDenied", http.StatusForbidden,
				"User: %s is not authorized to perform: sts:SetSourceIdentity on resource: %s", p.ARN, q.roleARN)
		}
		q.sourceIdentity = p.SourceIdentity
	}
	if from == nil {
		return nil
	}
	for key, value := range from.transitive {
		if _, ok := q.tags[key]; ok {
			return fail("InvalidParameterValue", http.StatusBadRequest, "One of the specified transitive tag keys can't be set "+
				"because it conflicts with a transitive tag key from the calling session.")
		}
		q.tags[key] = value
		q.transitive = append(q.transitive, key)
	}
	return nil
}

// admit finds the role if the caller has what it takes: a role that does not exist (yet) is denied like any other.
func (s *Service) admit(p wire.Principal, q *assumption, region string) (*role, error) {
	r := s.visibleRole(q.roleARN)
	about := q.context()
	about["aws:RequestedRegion"] = []string{region}
	for _, action := range q.actions() {
		need := wire.Need{Action: action, Resource: q.roleARN, Context: about, PolicyDecides: true}
		if r == nil {
			return nil, denied(p, need, "")
		}
		trust := r.trust.at(s.clock()).parsed
		need.ResourcePolicy = &trust
		need.ResourceAccount, _, _, _ = roleFromARN(r.arn)
		if err := s.authorize(p, need); err != nil {
			return nil, err
		}
	}
	if se := s.sessions[p.AccessKeyID]; se != nil && se.kind == federatedSession {
		return nil, denied(p, wire.Need{Action: "sts:AssumeRole", Resource: q.roleARN}, "")
	}
	return r, nil
}

func (q *assumption) actions() []string {
	actions := []string{"sts:AssumeRole"}
	if len(q.tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	if q.sourceIdentity != "" {
		actions = append(actions, "sts:SetSourceIdentity")
	}
	return actions
}

func (q *assumption) context() map[string][]string {
	about := tagContext(q.tags)
	about["sts:RoleSessionName"] = []string{q.sessionName}
	if q.hasExternalID {
		about["sts:ExternalId"] = []string{q.externalID}
	}
	if q.sourceIdentity != "" {
		about["sts:SourceIdentity"] = []string{q.sourceIdentity}
	}
	if len(q.transitive) > 0 {
		about["sts:TransitiveTagKeys"] = q.transitive
	}
	return about
}

// fits compares the duration with what the role and role chaining permit. AWS tells it only to those it admits.
func (q *assumption) fits(p wire.Principal, r *role) error {
	if p.RoleARN != "" && q.duration > chainedSession {
		return invalid("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	}
	if q.duration > r.maxSession {
		return invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	return nil
}

func (s *Service) assume(r *role, q *assumption) assumeRoleResult {
	p := assumed(r, q.sessionName)
	p.SourceIdentity, p.Tags, p.SessionPolicy = q.sourceIdentity, q.tags, q.scope.policies
	transitive := map[string]string{}
	for _, key := range q.transitive {
		transitive[key] = q.tags[key]
	}
	creds := s.open(session{principal: p, ownerID: r.id, transitive: transitive}, q.duration)
	out := assumeRoleResult{Credentials: creds.xml(), PackedPolicySize: q.scope.packed, SourceIdentity: q.sourceIdentity}
	out.AssumedRoleUser.AssumedRoleID, out.AssumedRoleUser.Arn = p.UserID, p.ARN
	return out
}

// readScope reads session policies. What AWS stores of them and of the tags is packed in an undocumented way; here
// 2,048 characters are 100 percent.
func (s *Service) readScope(form url.Values, account string, tags map[string]string) (scope, error) {
	var sc scope
	size := 0
	if form.Has("Policy") {
		text := form.Get("Policy")
		if err := (rule{field: "policy", min: 1, max: maxPacked}).check(text); err != nil {
			return scope{}, err
		}
		doc, err := identityDocument(text)
		if err != nil {
			return scope{}, err
		}
		sc.policies = append(sc.policies, doc.parsed)
		size += weight(text)
	}
	arns := members(form, "PolicyArns", ".arn")
	if len(arns) > maxPolicyARNs {
		return scope{}, invalid("1 validation error detected: Value at 'policyArns' failed to satisfy constraint: "+
			"Member must have length less than or equal to %d", maxPolicyARNs)
	}
	for _, arn := range arns {
		p, ok := s.managed(account, arn)
		if !ok {
			return scope{}, malformedPolicy("Policy %s does not exist or is not attachable.", arn)
		}
		sc.policies = append(sc.policies, p.doc.parsed)
		size += packedARNWeight
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		size += len(key) + len(tags[key])
	}
	sc.packed = (size*100 + maxPacked - 1) / maxPacked
	if size > maxPacked {
		return scope{}, fail("PackedPolicyTooLarge", http.StatusBadRequest, "Packed policy consumes %d%% of allotted space, please use smaller policy.", sc.packed)
	}
	return sc, nil
}

// longLived refuses callers who hold a session: they cannot make another one of this kind.
func (s *Service) longLived(p wire.Principal, operation string) error {
	if p.RoleARN != "" || s.sessions[p.AccessKeyID] != nil {
		return fail("AccessDenied", http.StatusForbidden, "Cannot call %s with session credentials", operation)
	}
	return nil
}

// longDuration reads the duration of GetSessionToken and GetFederationToken. Root's sessions are cut at an hour.
func longDuration(call *wire.Call) (time.Duration, error) {
	d, err := seconds(call.Form, "DurationSeconds", maxSession)
	if err != nil {
		return 0, err
	}
	if err := between("durationSeconds", d, minSession, maxLongSession); err != nil {
		return 0, err
	}
	if strings.HasSuffix(call.Principal.ARN, ":root") {
		return min(d, rootSession), nil
	}
	return d, nil
}

func (t *STS) sessionToken(call *wire.Call) (any, error) {
	s := t.iam
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.longLived(call.Principal, "GetSessionToken"); err != nil {
		return nil, err
	}
	if call.Form.Has("SerialNumber") || call.Form.Has("TokenCode") {
		return nil, fail("AccessDenied", http.StatusForbidden, mfaFailed)
	}
	d, err := longDuration(call)
	if err != nil {
		return nil, err
	}
	if err := s.mayIssue(call.Principal.Account, call.Principal.Account, call.Region); err != nil {
		return nil, err
	}
	creds := s.open(session{kind: tokenSession, principal: call.Principal, ownerID: s.entityID(call.Principal.ARN)}, d)
	return struct{ Credentials credentialsXML }{creds.xml()}, nil
}

// entityID is the unique id of a user; "" for root.
func (s *Service) entityID(arn string) string {
	if e := s.entity(arn); e != nil {
		return e.id
	}
	return ""
}

func federated(account, name string) string {
	return arnPrefix + "sts::" + account + ":federated-user/" + name
}

func (t *STS) federationNeeds(call *wire.Call) ([]wire.Need, error) {
	tags, err := tagsOf(call.Form)
	if err != nil {
		return nil, err
	}
	arn := federated(call.Principal.Account, call.Form.Get("Name"))
	needs := []wire.Need{{Action: "sts:GetFederationToken", Resource: arn, Context: tagContext(tags)}}
	if len(tags) > 0 {
		needs = append(needs, wire.Need{Action: "sts:TagSession", Resource: arn, Context: tagContext(tags)})
	}
	return needs, nil
}

type federationResult struct {
	FederatedUser struct {
		FederatedUserID string `xml:"FederatedUserId"`
		Arn             string
	}
	Credentials      credentialsXML
	PackedPolicySize int
}

func (t *STS) federationToken(call *wire.Call) (any, error) {
	name, p := call.Form.Get("Name"), call.Principal
	if err := (rule{"name", 2, 32, sessionNameForm, `[\w+=,.@-]*`}).check(name); err != nil {
		return nil, err
	}
	tags, err := tagsOf(call.Form)
	if err != nil {
		return nil, err
	}
	if err := checkTags(tags); err != nil {
		return nil, err
	}
	d, err := longDuration(call)
	if err != nil {
		return nil, err
	}
	s := t.iam
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.longLived(p, "GetFederationToken"); err != nil {
		return nil, err
	}
	if err := s.mayIssue(p.Account, p.Account, call.Region); err != nil {
		return nil, err
	}
	sc, err := s.readScope(call.Form, p.Account, tags)
	if err != nil {
		return nil, err
	}
	user := wire.Principal{
		Account: p.Account, ARN: federated(p.Account, name), UserID: p.Account + ":" + name, Tags: tags, SessionPolicy: sc.policies,
	}
	creds := s.open(session{kind: federatedSession, principal: user, base: p.ARN, ownerID: s.entityID(p.ARN)}, d)
	out := federationResult{Credentials: creds.xml(), PackedPolicySize: sc.packed}
	out.FederatedUser.FederatedUserID, out.FederatedUser.Arn = user.UserID, user.ARN
	return out, nil
}
