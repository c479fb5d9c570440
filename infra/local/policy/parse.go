package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// A MalformedError says why Parse or one of the Check methods refused a document, in IAM's words where they are known.
// Services answer it as MalformedPolicyDocument.
type MalformedError struct{ Message string }

func (e *MalformedError) Error() string { return e.Message }

func malformed(format string, args ...any) error {
	return &MalformedError{Message: fmt.Sprintf(format, args...)}
}

const syntaxError = "Syntax errors in policy."

// Versions of the policy language. Without a Version a document has the older one, which knows no policy variables.
const (
	version2008 = "2008-10-17"
	version2012 = "2012-10-17"
)

// Parse reads a policy document. What IAM would refuse, an unknown element or condition operator included, is a
// [*MalformedError]: a policy that is half understood must not decide anything.
func Parse(text []byte) (Document, error) {
	members, err := object(text)
	if err != nil {
		return Document{}, err
	}
	doc := Document{Version: version2008}
	found := false
	for _, m := range members {
		switch m.name {
		case "Version":
			doc.Version, err = str(m.value)
		case "Id":
			_, err = str(m.value)
		case "Statement":
			found = true
			doc.Statements, err = statements(m.value)
		default:
			err = malformed("%s Unknown field %s", syntaxError, m.name)
		}
		if err != nil {
			return Document{}, err
		}
	}
	if !found {
		return Document{}, malformed("%s Missing required field Statement", syntaxError)
	}
	if doc.Version != version2008 && doc.Version != version2012 {
		return Document{}, malformed("The policy must contain a valid version string")
	}
	return doc, uniqueSids(doc.Statements)
}

func uniqueSids(list []Statement) error {
	seen := map[string]bool{}
	for _, s := range list {
		if s.Sid != "" && seen[s.Sid] {
			return malformed("Statement IDs (SID) in a single policy must be unique.")
		}
		seen[s.Sid] = true
	}
	return nil
}

type member struct {
	name  string
	value json.RawMessage
}

// object reads a JSON object and keeps what a map would lose: a member that comes twice is refused, since two readers
// could disagree about which one counts.
func object(text []byte) ([]member, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, malformed("%s", syntaxError)
	}
	var members []member
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, malformed("%s", syntaxError)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, malformed("%s", syntaxError)
		}
		if seen[name] {
			return nil, malformed("%s Duplicate field %s", syntaxError, name)
		}
		seen[name] = true
		members = append(members, member{name, value})
	}
	if _, err := dec.Token(); err != nil {
		return nil, malformed("%s", syntaxError)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed("%s", syntaxError)
	}
	return members, nil
}

func statements(value json.RawMessage) ([]Statement, error) {
	list := []json.RawMessage{value}
	if value[0] == '[' {
		list = nil
		if err := json.Unmarshal(value, &list); err != nil {
			return nil, malformed("%s", syntaxError)
		}
	}
	var out []Statement
	for _, raw := range list {
		s, err := statement(raw)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func statement(raw json.RawMessage) (Statement, error) {
	members, err := object(raw)
	if err != nil {
		return Statement{}, err
	}
	var s Statement
	for _, m := range members {
		if err := s.set(m); err != nil {
			return Statement{}, err
		}
	}
	return s, s.check()
}

func (s *Statement) set(m member) (err error) {
	switch m.name {
	case "Sid":
		s.Sid, err = str(m.value)
	case "Effect":
		s.Effect, err = str(m.value)
	case "Principal":
		s.Principals, err = principals(m.value)
	case "NotPrincipal":
		s.NotPrincipals, err = principals(m.value)
	case "Action":
		s.Actions, err = actions(m.value)
	case "NotAction":
		s.NotActions, err = actions(m.value)
	case "Resource":
		s.Resources, err = resources(m.value)
	case "NotResource":
		s.NotResources, err = resources(m.value)
	case "Condition":
		s.Conditions, err = conditions(m.value)
	default:
		err = malformed("%s Unknown field %s", syntaxError, m.name)
	}
	return err
}

func (s *Statement) check() error {
	if s.Effect == "" {
		return malformed("Missing required field Effect")
	}
	if s.Effect != effectAllow && s.Effect != effectDeny {
		return malformed("Invalid effect: %s", s.Effect)
	}
	if s.Actions == nil && s.NotActions == nil {
		return malformed("Policy statement must contain actions.")
	}
	if s.Actions != nil && s.NotActions != nil || s.Resources != nil && s.NotResources != nil ||
		s.Principals != nil && s.NotPrincipals != nil {
		return malformed("%s An element and its Not form exclude each other", syntaxError)
	}
	return nil
}

func str(raw json.RawMessage) (string, error) {
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", malformed("%s", syntaxError)
	}
	return s, nil
}

// list reads one value or an array of them.
func list(raw json.RawMessage, one func(json.RawMessage) (string, error)) ([]string, error) {
	values := []json.RawMessage{raw}
	if raw[0] == '[' {
		values = nil
		if err := json.Unmarshal(raw, &values); err != nil {
			return nil, malformed("%s", syntaxError)
		}
	}
	out := make([]string, 0, len(values))
	for _, v := range values {
		s, err := one(v)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// scalar reads a condition value, which may be a string, a boolean or a number.
func scalar(raw json.RawMessage) (string, error) {
	if raw[0] == '"' {
		return str(raw)
	}
	if raw[0] == '{' || raw[0] == '[' || raw[0] == 'n' {
		return "", malformed("%s", syntaxError)
	}
	return string(raw), nil
}

var actionForm = regexp.MustCompile(`^[A-Za-z0-9-]+:[A-Za-z0-9*?_-]+$`)

func actions(raw json.RawMessage) ([]string, error) {
	values, err := list(raw, str)
	if err != nil {
		return nil, err
	}
	if len(values) == 0 {
		return nil, malformed("Policy statement must contain actions.")
	}
	for _, v := range values {
		if v != "*" && !actionForm.MatchString(v) {
			return nil, malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
		}
	}
	return values, nil
}

func resources(raw json.RawMessage) ([]string, error) {
	values, err := list(raw, str)
	if err != nil {
		return nil, err
	}
	if len(values) == 0 {
		return nil, malformed("Policy statement must contain resources.")
	}
	for _, v := range values {
		if v != "*" && !strings.HasPrefix(v, "arn:") {
			return nil, malformed("Resource %s must be in ARN format or \"*\".", v)
		}
	}
	return values, nil
}

var (
	accountForm   = regexp.MustCompile(`^[0-9]{12}$`)
	principalForm = regexp.MustCompile(`^arn:aws[a-z-]*:(iam::[0-9]{12}:(root|(user|role)/[!-~]+)|` +
		`sts::[0-9]{12}:(assumed-role/[^/*?]+/[^/*?]+|federated-user/[^/*?]+))$`)
	uniqueIDForm = regexp.MustCompile(`^A[A-Z]{3}[A-Z0-9]{12,}$`)
)

const anyone = "*"

// principals reads a Principal element. Wildcards inside a principal's ARN are refused, as IAM does.
func principals(raw json.RawMessage) (map[string][]string, error) {
	if raw[0] == '"' {
		s, err := str(raw)
		if err != nil || s != anyone {
			return nil, malformed("Invalid principal in policy: \"%s\"", s)
		}
		return map[string][]string{anyone: {anyone}}, nil
	}
	members, err := object(raw)
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, m := range members {
		values, err := list(m.value, str)
		if err != nil {
			return nil, err
		}
		if err := checkPrincipals(m.name, values); err != nil {
			return nil, err
		}
		out[m.name] = values
	}
	if len(out) == 0 {
		return nil, malformed("Invalid principal in policy: {}")
	}
	return out, nil
}

func checkPrincipals(kind string, values []string) error {
	if !slices.Contains([]string{"AWS", "Service", "Federated", "CanonicalUser"}, kind) {
		return malformed("Invalid principal in policy: \"%s\"", kind)
	}
	if len(values) == 0 {
		return malformed("Invalid principal in policy: \"%s\":[]", kind)
	}
	for _, v := range values {
		if v == anyone {
			continue
		}
		if kind == "AWS" && !awsPrincipal(v) || v == "" || strings.ContainsAny(v, "*?") {
			return malformed("Invalid principal in policy: \"%s\":\"%s\"", kind, v)
		}
	}
	return nil
}

func awsPrincipal(v string) bool {
	return accountForm.MatchString(v) || principalForm.MatchString(v) || uniqueIDForm.MatchString(v)
}

func conditions(raw json.RawMessage) (map[string]map[string][]string, error) {
	members, err := object(raw)
	if err != nil {
		return nil, err
	}
	out := map[string]map[string][]string{}
	for _, m := range members {
		if _, ok := operatorNamed(m.name); !ok {
			return nil, malformed("Invalid Condition type : %s.", m.name)
		}
		keys, err := conditionKeys(m.value)
		if err != nil {
			return nil, err
		}
		out[m.name] = keys
	}
	return out, nil
}

func conditionKeys(raw json.RawMessage) (map[string][]string, error) {
	members, err := object(raw)
	if err != nil {
		return nil, err
	}
	keys := map[string][]string{}
	for _, m := range members {
		if vendor, key, ok := strings.Cut(m.name, ":"); !ok || vendor == "" || key == "" {
			return nil, malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
		}
		if keys[m.name], err = list(m.value, scalar); err != nil {
			return nil, err
		}
	}
	return keys, nil
}
