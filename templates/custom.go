package templates

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// CustomSet is the name of the permission set that a platform defines itself.
const CustomSet = "custom"

// Limits of a platform's own policy, in characters without white space as IAM counts.
const (
	// maxInline is IAM's limit of all inline policies of a role together.
	maxInline = 10_240
	// verificationRoom is what RolecallVerification may take of it: it names the role twice, whose ARN can be long.
	verificationRoom = 2_048
	// maxManaged is IAM's limit of a managed policy, for those who attach the policy by hand.
	maxManaged = 6_144
	// maxOffered bounds what functions are told of the set: all variables of a function share 4 KB.
	maxOffered = 2_000
)

// Custom makes the permission set that a platform defines itself: a title and a description in plain prose, and an IAM
// policy (JSON) whose ARNs are of the partition. What is rendered is made from what was checked, and nothing else. An
// error says what to change; the set's warning tells customers what is uncommonly wide about it.
func Custom(title, description, policy, partition string) (Set, error) {
	document, err := parsePolicy([]byte(policy), partition)
	if err != nil {
		return Set{}, err
	}
	s := Set{
		Name: CustomSet, Title: title, Description: description, Warning: document.warning(), ManagedPolicies: []string{},
		Expects: document.expects(), Deny: document.denials(), Policy: document.text(),
	}
	s.Digest = PolicyDigest(s.Policy)
	switch {
	case len(title) > 64 || !proseRE.MatchString(title):
		return Set{}, errors.New("the title is not 1 to 64 characters of plain prose: letters, digits, spaces and ,.;()-")
	case len(description) > 256 || !proseRE.MatchString(description):
		return Set{}, errors.New("the description is not 1 to 256 characters of plain prose: letters, digits, spaces and ,.;()-")
	}
	if n := len(s.Offer()); n > maxOffered {
		return Set{}, fmt.Errorf("title, description and denied actions take %d bytes, which are more than %d: deny by wildcards", n, maxOffered)
	}
	return s, nil
}

// Offer is the set as functions are told of it, for [Offered]: with its policy where there is room for it. Without, it
// is offered in the template alone, and not as commands or Terraform.
func (s Set) Offer() string {
	text, _ := json.Marshal(s) // strings always encode
	if len(text) > maxOffered {
		s.Policy = ""
		text, _ = json.Marshal(s)
	}
	return string(text)
}

// With is the manifest with a platform's own set as its last.
func (m Manifest) With(custom Set) Manifest {
	m.Sets = append(slices.Clone(m.Sets), custom)
	return m
}

// Has says that the manifest has a set of that name.
func (m Manifest) Has(set string) bool {
	return slices.ContainsFunc(m.Sets, func(s Set) bool { return s.Name == set })
}

// Offered is the manifest with the platform's own set, as the CDK app tells functions of it by [Set.Offer]; "" is none.
func Offered(custom string) (Manifest, error) {
	m, err := Permissions()
	if err != nil || custom == "" {
		return m, err
	}
	var s Set
	if err := json.Unmarshal([]byte(custom), &s); err != nil || s.Name != CustomSet {
		return Manifest{}, fmt.Errorf("templates: the platform's own permission set cannot be read: %w", err)
	}
	return m.With(s), nil
}

// DeniedActions are those that the set takes away again, sorted.
func (s Set) DeniedActions() []string {
	actions := []string{}
	for _, d := range s.Deny {
		actions = append(actions, d.Actions...)
	}
	slices.Sort(actions)
	return slices.Compact(actions)
}

// An ownPolicy is an IAM policy of an identity, as far as it is admitted.
type ownPolicy struct {
	Version    string         `json:"Version"`
	Statements []ownStatement `json:"Statement"`
}

type ownStatement struct {
	SID         string                         `json:"Sid,omitempty"`
	Effect      string                         `json:"Effect"`
	Action      []string                       `json:"Action,omitempty"`
	NotAction   []string                       `json:"NotAction,omitempty"`
	Resource    []string                       `json:"Resource,omitempty"`
	NotResource []string                       `json:"NotResource,omitempty"`
	Condition   map[string]map[string][]string `json:"Condition,omitempty"`
}

// parsePolicy reads a policy by IAM's grammar of identity policies. Keys are taken to the letter, unknown ones are
// refused: CloudFormation would read its own functions, such as Ref, out of them.
func parsePolicy(source []byte, partition string) (ownPolicy, error) {
	var p ownPolicy
	members, err := object(source, "the policy", "Version", "Id", "Statement")
	if err != nil {
		return p, err
	}
	if p.Version, err = text(members["Version"]); err != nil || p.Version != "2012-10-17" {
		return p, errors.New(`the policy's Version must be "2012-10-17"`)
	}
	statements := []json.RawMessage{members["Statement"]}
	if bytes.HasPrefix(members["Statement"], []byte("[")) {
		_ = json.Unmarshal(members["Statement"], &statements) // it is valid JSON and begins as a list
	}
	allows := false
	for i, raw := range statements {
		s, err := parseStatement(raw, partition)
		if err != nil {
			return p, fmt.Errorf("statement %d: %w", i+1, err)
		}
		if s.SID != "" && slices.ContainsFunc(p.Statements, func(o ownStatement) bool { return o.SID == s.SID }) {
			return p, fmt.Errorf("statement %d: Sid %q is there twice", i+1, s.SID)
		}
		allows = allows || s.Effect == allowEffect
		p.Statements = append(p.Statements, s)
	}
	if !allows {
		return p, errors.New("the policy allows nothing")
	}
	return p, p.fits()
}

const (
	allowEffect = "Allow"
	denyEffect  = "Deny"
)

func (p ownPolicy) fits() error {
	text := p.text()
	for _, word := range append(placeholders(), roleARN) {
		if strings.Contains(text, word) {
			return fmt.Errorf("the policy holds %q, which is replaced when the template is rendered", word)
		}
	}
	if n := len(text); n > maxInline-verificationRoom {
		return fmt.Errorf("the policy has %d characters without white space; IAM takes %d of a role's inline policies, of which Rolecall's own "+
			"needs up to %d", n, maxInline, verificationRoom)
	}
	return nil
}

func parseStatement(source json.RawMessage, partition string) (ownStatement, error) {
	var s ownStatement
	m, err := object(source, "it", "Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition")
	if err != nil {
		return s, err
	}
	if _, there := m["Sid"]; there {
		if s.SID, err = text(m["Sid"]); err != nil || len(s.SID) > 64 || !sidRE.MatchString(s.SID) {
			return s, errors.New("the Sid is not letters and digits")
		}
	}
	if s.Effect, err = text(m["Effect"]); err != nil || (s.Effect != allowEffect && s.Effect != denyEffect) {
		return s, errors.New("the Effect is neither Allow nor Deny")
	}
	if s.Action, s.NotAction, err = either(m, "Action", "NotAction", checkAction); err != nil {
		return s, err
	}
	checkResource := func(r string) error { return checkResource(r, partition) }
	if s.Resource, s.NotResource, err = either(m, "Resource", "NotResource", checkResource); err != nil {
		return s, err
	}
	if raw, there := m["Condition"]; there {
		s.Condition, err = parseCondition(raw)
	}
	return s, err
}

// either reads the one of two elements that must be there.
func either(m map[string]json.RawMessage, name, not string, check func(string) error) (is, isNot []string, err error) {
	raw, positive := m[name]
	other, negative := m[not]
	if positive == negative {
		return nil, nil, fmt.Errorf("one of %s and %s must be there, and not both", name, not)
	}
	if negative {
		name, raw = not, other
	}
	values, err := texts(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, v := range values {
		if err := check(v); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if negative {
		return nil, values, nil
	}
	return values, nil, nil
}

var (
	anyActionRE = regexp.MustCompile(`^(\*|[a-z0-9-]+:[A-Za-z0-9*?]+)$`)
	resourceRE  = regexp.MustCompile(`^arn:([a-z*-]+):[a-z0-9*-]+:[a-z0-9*-]*:[0-9*?]*:[!-~]+$`)
	keyRE       = regexp.MustCompile(`^[A-Za-z0-9-]+:[A-Za-z0-9:/._@=+-]+$`)
)

func checkAction(a string) error {
	if !anyActionRE.MatchString(a) {
		return fmt.Errorf(`%q is no action such as "s3:GetObject" or "s3:Get*"`, a)
	}
	return nil
}

func checkResource(r, partition string) error {
	if r == "*" {
		return nil
	}
	m := resourceRE.FindStringSubmatch(r)
	switch {
	case m == nil:
		return fmt.Errorf("%q is neither * nor an ARN", r)
	case m[1] != partition && m[1] != "*":
		return fmt.Errorf("%q is of another partition than %s", r, partition)
	}
	return nil
}

// operators are IAM's condition operators without their prefixes and suffix.
func operators() []string {
	return []string{
		"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike",
		"NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals",
		"DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals",
		"Bool", "BinaryEquals", "IpAddress", "NotIpAddress", "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike", "Null",
	}
}

func isOperator(name string) bool {
	plain := strings.TrimPrefix(strings.TrimPrefix(name, "ForAllValues:"), "ForAnyValue:")
	if bare, ok := strings.CutSuffix(plain, "IfExists"); ok && bare != "Null" {
		plain = bare
	}
	return slices.Contains(operators(), plain)
}

func parseCondition(source json.RawMessage) (map[string]map[string][]string, error) {
	byOperator, err := object(source, "Condition")
	if err != nil {
		return nil, err
	}
	out := map[string]map[string][]string{}
	for operator, raw := range byOperator {
		if !isOperator(operator) {
			return nil, fmt.Errorf("the Condition: %q is no operator of IAM", operator)
		}
		byKey, err := object(raw, "Condition "+operator)
		if err != nil {
			return nil, err
		}
		out[operator] = map[string][]string{}
		for key, raw := range byKey {
			if !keyRE.MatchString(key) || strings.HasPrefix(key, "Fn:") {
				return nil, fmt.Errorf("the Condition %s: %q is no condition key", operator, key)
			}
			if out[operator][key], err = texts(raw); err != nil {
				return nil, fmt.Errorf("the Condition %s %s: %w", operator, key, err)
			}
		}
	}
	return out, nil
}

// object reads a JSON object whose keys are among those that are known, or any where none are named. encoding/json would
// take the last of two members of the same name.
func object(source json.RawMessage, what string, known ...string) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(source))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("%s is not a JSON object", what)
	}
	members := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("%s is not JSON: %w", what, err)
		}
		key, _ := t.(string) // an object's keys are strings
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("%s is not JSON: %w", what, err)
		}
		switch _, twice := members[key]; {
		case twice:
			return nil, fmt.Errorf("%s has %q twice", what, key)
		case len(known) > 0 && !slices.Contains(known, key):
			return nil, fmt.Errorf("%s has %q, which a role's policy does not know", what, key)
		}
		members[key] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("%s is not JSON: %w", what, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s has something behind it", what)
	}
	return members, nil
}

func text(raw json.RawMessage) (string, error) {
	var s string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", errors.New("not a string")
	}
	return s, nil
}

// texts reads one value or a list of them; numbers and booleans become strings, as IAM takes them.
func texts(raw json.RawMessage) ([]string, error) {
	var one any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&one); err != nil {
		return nil, errors.New("it is missing or not JSON")
	}
	all, isList := one.([]any)
	if !isList {
		all = []any{one}
	}
	if len(all) == 0 {
		return nil, errors.New("it is empty")
	}
	out := make([]string, 0, len(all))
	for _, v := range all {
		switch v.(type) {
		case string, bool, json.Number:
		default:
			return nil, errors.New("it holds something else than strings")
		}
		s := fmt.Sprint(v)
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
			return nil, fmt.Errorf("%q holds other than printable ASCII characters", s)
		}
		out = append(out, s)
	}
	return out, nil
}

// text is the policy without white space, as IAM counts it.
func (p ownPolicy) text() string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(p) // strings always encode
	return strings.TrimSuffix(b.String(), "\n")
}

// expects are the actions that verification asks IAM about: those that are written out, allowed on everything and
// without a condition, and not denied anywhere. Of all others IAM's simulator could not say anything certain.
func (p ownPolicy) expects() []string {
	actions := []string{}
	for _, s := range p.Statements {
		if s.Effect != allowEffect || len(s.Condition) > 0 || !slices.Contains(s.Resource, "*") {
			continue
		}
		for _, a := range s.Action {
			if actionRE.MatchString(a) && !p.denies(a) && !slices.Contains(actions, a) && len(actions) < maxExpects {
				actions = append(actions, a)
			}
		}
	}
	return actions
}

func (p ownPolicy) denies(action string) bool {
	return slices.ContainsFunc(p.Statements, func(s ownStatement) bool {
		matches := func(pattern string) bool { return matchesAction(pattern, action) }
		return s.Effect == denyEffect &&
			(slices.ContainsFunc(s.Action, matches) || (len(s.NotAction) > 0 && !slices.ContainsFunc(s.NotAction, matches)))
	})
}

// matchesAction is IAM's matching: * is any text, ? any character, letters' case does not matter.
func matchesAction(pattern, action string) bool {
	form := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
	return regexp.MustCompile("(?i)^" + form + "$").MatchString(action)
}

// denials are the actions that the policy denies on everything and without a condition.
func (p ownPolicy) denials() []Denial {
	out := []Denial{}
	for _, s := range p.Statements {
		if s.Effect == denyEffect && len(s.Condition) == 0 && len(s.Action) > 0 && slices.Contains(s.Resource, "*") {
			out = append(out, Denial{SID: s.SID, Actions: s.Action})
		}
	}
	return out
}

// warning says in plain words what is uncommonly wide; "" where nothing is.
func (p ownPolicy) warning() string {
	found := map[string]string{}
	for _, s := range p.Statements {
		if s.Effect != allowEffect {
			continue
		}
		if len(s.NotAction) > 0 {
			found["1"] = "Allows everything but what it names, services that AWS has yet to make included."
		}
		for _, a := range s.Action {
			switch {
			case matchesAction(a, "any:Action") && slices.Contains(s.Resource, "*"):
				found["0"] = "May do everything in the account, including to create users and change this role's own guard."
			case matchesAction(a, "iam:PutRolePolicy") || matchesAction(a, "iam:AttachRolePolicy") || matchesAction(a, "iam:CreatePolicyVersion"):
				found["2"] = "May change permissions, its own among them, and so come to do everything in the account."
			case strings.HasSuffix(a, ":*"):
				found["3"] = "May do everything in some services, also what AWS adds to them."
			}
		}
	}
	order := slices.Sorted(maps.Keys(found))
	words := make([]string, 0, len(order))
	for _, k := range order {
		words = append(words, found[k])
	}
	return strings.Join(words, " ")
}

// CustomNotes are what a platform should know of its own set when it deploys it: what customers are warned of, and that
// the policy is too long for a managed one.
func (s Set) CustomNotes() []string {
	var notes []string
	if s.Warning != "" {
		notes = append(notes, "customers are warned: "+s.Warning)
	}
	if len(s.Expects) == 0 {
		notes = append(notes, "it allows no action by its full name on all resources, so verification cannot tell whether the role has it")
	}
	if n := len(s.Policy); n > maxManaged {
		notes = append(notes, fmt.Sprintf("its %d characters are too many for a managed policy (%d): a role made by hand must have it inline", n, maxManaged))
	}
	if !strings.Contains(s.Offer(), "Statement") {
		notes = append(notes, "its policy is too long to be shown as AWS CLI commands and Terraform: customers have the template alone")
	}
	return notes
}

// policyLines are the lines of a platform's own policy. JSON is YAML, and what was checked holds none of CloudFormation's
// functions.
func (s Set) policyLines() []string {
	lines := []string{
		"  - !If",
		"    - " + s.condition(),
		"    - PolicyName: " + customPolicy,
		"      PolicyDocument:",
	}
	var p bytes.Buffer
	_ = json.Indent(&p, []byte(s.Policy), "", "  ") // it was encoded here
	for line := range strings.SplitSeq(p.String(), "\n") {
		lines = append(lines, "        "+line)
	}
	return append(lines, "    - !Ref AWS::NoValue")
}
