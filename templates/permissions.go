package templates

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Manifest says what the platform's role may do in a customer's account. The templates' policies are made from it.
type Manifest struct {
	Version string `json:"version"`
	// Notes are what the template of this version changes besides permissions, a sentence each.
	Notes   []string `json:"notes,omitempty"`
	Default string   `json:"default"` // the set that is chosen unless the customer chooses another
	Always  []Grant  `json:"always"`  // granted with every set: what verification needs
	Sets    []Set    `json:"sets"`
}

// A Grant is one allowing statement.
type Grant struct {
	SID      string   `json:"sid"`
	Reason   string   `json:"reason"`
	Actions  []string `json:"actions"`
	Resource string   `json:"resource"` // "role" is the role itself, "*" everything
}

// A Set is one of the choices that a customer has.
type Set struct {
	Name            string   `json:"name"`
	Title           string   `json:"title"`
	Description     string   `json:"description"` // continues "<name>: …"
	Warning         string   `json:"warning"`     // what the customer should know before choosing it
	ManagedPolicies []string `json:"managedPolicies"`
	Expects         []string `json:"expects"` // actions that tell whether the role has the set; what verification asks IAM about
	Deny            []Denial `json:"deny"`
	// Policy is what a platform's own set grants, as JSON made by [Custom].
	Policy string `json:"policy,omitempty"`
	// Digest names Policy, also where there is no room for it.
	Digest string `json:"digest,omitempty"`
}

// A Denial takes actions away again, on all resources.
type Denial struct {
	SID     string   `json:"sid"`
	Reason  string   `json:"reason"`
	Actions []string `json:"actions"`
}

// Permissions is the manifest that this version of the templates is rendered from.
func Permissions() (Manifest, error) {
	return parseManifest(permissionsSource)
}

func parseManifest(source []byte) (Manifest, error) {
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(source))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("templates: permissions.json: %w", err)
	}
	if err := m.validate(); err != nil {
		return Manifest{}, fmt.Errorf("templates: permissions.json: %w", err)
	}
	return m, nil
}

// The forms count no repetitions: those are checked by length, for a counted one costs a function's start dear.
var (
	sidRE    = regexp.MustCompile(`^[A-Za-z0-9]+$`)
	actionRE = regexp.MustCompile(`^[a-z0-9-]+:[A-Za-z0-9]+$`)
	policyRE = regexp.MustCompile(`^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$`)
	setRE    = regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	proseRE  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9 ,.;()-]*$`)
)

// validate keeps the manifest within what can be written into YAML as it stands; wildcards in actions are refused, since
// a reader of the manifest is to see what is meant.
func (m Manifest) validate() error {
	if len(m.Sets) == 0 || len(m.Always) == 0 {
		return errors.New("sets and always must not be empty")
	}
	for _, g := range m.Always {
		if err := checkStatement(g.SID, g.Reason, g.Actions); err != nil {
			return err
		}
		if g.Resource != "role" && g.Resource != "*" {
			return fmt.Errorf("%s: resource %q is neither role nor *", g.SID, g.Resource)
		}
	}
	names := make([]string, 0, len(m.Sets))
	for _, s := range m.Sets {
		if err := s.validate(); err != nil {
			return fmt.Errorf("set %q: %w", s.Name, err)
		}
		if slices.Contains(names, s.Name) {
			return fmt.Errorf("set %q is there twice", s.Name)
		}
		names = append(names, s.Name)
	}
	if !slices.Contains(names, m.Default) {
		return fmt.Errorf("default %q is no set", m.Default)
	}
	return nil
}

func (s Set) validate() error {
	switch {
	case !setRE.MatchString(s.Name):
		return errors.New("the name is not lower-case words")
	case !proseRE.MatchString(s.Description):
		return errors.New("the description is not plain prose")
	case s.Title == "" || s.Warning == "":
		return errors.New("title and warning must not be empty")
	case s.Policy != "" || s.Digest != "" || s.Name == CustomSet:
		return errors.New("a platform's own policy does not stand in the manifest")
	case len(s.ManagedPolicies) == 0:
		return errors.New("no managed policies")
	case len(s.Expects) == 0 || len(s.Expects) > maxExpects:
		return fmt.Errorf("%d expected actions, which are not 1 to %d", len(s.Expects), maxExpects)
	}
	for _, p := range s.ManagedPolicies {
		if !policyRE.MatchString(p) {
			return fmt.Errorf("%q is not the name of an AWS managed policy", p)
		}
	}
	for _, d := range s.Deny {
		if err := checkStatement(d.SID, d.Reason, d.Actions); err != nil {
			return err
		}
		for _, a := range d.Actions {
			if slices.Contains(s.Expects, a) {
				return fmt.Errorf("%s is expected and denied", a)
			}
		}
	}
	return checkActions("expects", s.Expects)
}

// maxExpects keeps what is missing, with the policy to paste, within an event of a customer's stack.
const maxExpects = 25

func checkStatement(sid, reason string, actions []string) error {
	switch {
	case len(sid) > 64 || !sidRE.MatchString(sid):
		return fmt.Errorf("sid %q is not letters and digits", sid)
	case !proseRE.MatchString(reason):
		return fmt.Errorf("%s: the reason is not plain prose", sid)
	case len(actions) == 0:
		return fmt.Errorf("%s: no actions", sid)
	}
	return checkActions(sid, actions)
}

func checkActions(where string, actions []string) error {
	for _, a := range actions {
		if !actionRE.MatchString(a) {
			return fmt.Errorf("%s: %q is not an action", where, a)
		}
	}
	return nil
}

// summary is one sentence about the sets, for the parameter's description.
func (m Manifest) summary() string {
	parts := make([]string, 0, len(m.Sets))
	for _, s := range m.Sets {
		parts = append(parts, s.Name+" "+s.Description)
	}
	return strings.Join(parts, "; ") + "."
}

// condition is the name of the template's condition for the set: "read-only" → "IsReadOnly".
func (s Set) condition() string {
	var b strings.Builder
	b.WriteString("Is")
	for word := range strings.SplitSeq(s.Name, "-") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// blocks are the lines that take the place of the template's marks.
func (m Manifest) blocks(regions []string) map[string][]string {
	return map[string][]string{
		"permission-sets":        m.allowedValues(),
		"default-permission-set": {"Default: " + m.Default},
		"conditions":             m.conditions(),
		"managed-policies":       m.managedPolicies(),
		"policies":               m.policies(),
		"always":                 m.alwaysGranted(),
		"policy-digest":          m.policyDigest(),
		"revocation":             inertRevocation(),
		"regions":                {"- [" + strings.Join(regions, ", ") + "]"},
	}
}

func (m Manifest) allowedValues() []string {
	lines := []string{"AllowedValues:"}
	for _, s := range m.Sets {
		lines = append(lines, "  - "+s.Name)
	}
	return lines
}

// policyDigest is what a stack reports of the platform's own set, where that is chosen: an update that changes the policy,
// and neither the set nor the role's ARN, would not be reported without.
func (m Manifest) policyDigest() []string {
	for _, s := range m.Sets {
		if s.Name == CustomSet {
			return []string{"PolicyDigest: !If [" + s.condition() + ", " + strconv.Quote(s.Digest) + ", '']"}
		}
	}
	return []string{"PolicyDigest: ''"}
}

func (m Manifest) conditions() []string {
	var lines []string
	for _, s := range m.Sets {
		lines = append(lines, s.condition()+": !Equals [!Ref PermissionSet, "+s.Name+"]")
	}
	return lines
}

func (m Manifest) managedPolicies() []string {
	lines := []string{"ManagedPolicyArns:"}
	for _, s := range m.Sets {
		for _, p := range s.ManagedPolicies {
			lines = append(lines, "  - !If ["+s.condition()+", !Sub 'arn:${AWS::Partition}:iam::aws:policy/"+p+"', !Ref AWS::NoValue]")
		}
	}
	return lines
}

// policies stand in the role itself and not in a policy of their own: there is no moment at which a managed policy is
// attached and its exceptions are not.
func (m Manifest) policies() []string {
	lines := []string{"Policies:"}
	for _, s := range m.Sets {
		if s.Policy != "" {
			lines = append(lines, s.policyLines()...)
			continue
		}
		if len(s.Deny) == 0 {
			continue
		}
		lines = append(lines,
			"  - !If",
			"    - "+s.condition(),
			"    - PolicyName: RolecallExceptions",
			"      PolicyDocument:",
			"        Version: '2012-10-17'",
			"        Statement:")
		for _, d := range s.Deny {
			lines = append(lines, statement("          ", "Deny", d.SID, d.Reason, d.Actions, "'*'")...)
		}
		lines = append(lines, "    - !Ref AWS::NoValue")
	}
	if len(lines) == 1 {
		return []string{"Policies: []"}
	}
	return lines
}

func (m Manifest) alwaysGranted() []string {
	lines := []string{"Statement:"}
	for _, g := range m.Always {
		resource := "'*'"
		if g.Resource == "role" {
			resource = "!GetAtt Role.Arn"
		}
		lines = append(lines, statement("  ", "Allow", g.SID, g.Reason, g.Actions, resource)...)
	}
	return lines
}

func statement(indent, effect, sid, reason string, actions []string, resource string) []string {
	lines := []string{
		indent + "# " + reason,
		indent + "- Sid: " + sid,
		indent + "  Effect: " + effect,
		indent + "  Action:",
	}
	for _, a := range actions {
		lines = append(lines, indent+"    - "+a)
	}
	return append(lines, indent+"  Resource: "+resource)
}
