package cfn

import (
	"encoding/base64"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// maxResolved bounds the size of one resolved resource or output, and of all conditions together. Without it a small template could
// ask for gigabytes (a long mapping, named thousands of times).
const maxResolved = 1 << 20

// noValue is what {"Ref": "AWS::NoValue"} resolves to: its property or list member vanishes.
type noValue struct{}

// A scope is all that a template's functions can see.
type scope struct {
	template   *Template
	parameters map[string]any
	pseudo     map[string]any
	conditions map[string]bool
	// resource answers Ref and GetAtt; false while the resource does not exist.
	resource func(logicalID string) (Resolved, bool)
	// imported answers Fn::ImportValue.
	imported func(export string) (string, error)
}

// Resolved is what other resources can learn of an existing one.
type Resolved struct {
	Type       string
	PhysicalID string         // what Ref gives
	Attributes map[string]any // what GetAtt gives
}

// An evaluation resolves one value.
type evaluation struct {
	*scope
	left int // bytes that may still be produced
}

func (s *scope) evaluate() *evaluation { return &evaluation{scope: s, left: maxResolved} }

// function tells whether an object is a call of a function.
func function(m map[string]any) (name string, argument any, ok bool) {
	if len(m) != 1 {
		return "", nil, false
	}
	for key, v := range m {
		if key == "Ref" || strings.HasPrefix(key, "Fn::") {
			return key, v, true
		}
	}
	return "", nil, false
}

// resolve gives the value with all functions replaced; noValue{} where nothing is meant to be there.
func (e *evaluation) resolve(v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		if name, argument, ok := function(v); ok {
			return e.call(name, argument)
		}
		return e.object(v)
	case []any:
		return e.list(v)
	default:
		return e.spend(v)
	}
}

func (e *evaluation) object(m map[string]any) (any, error) {
	out := make(map[string]any, len(m))
	for _, key := range sortedKeys(m) {
		if err := e.take(len(key)); err != nil {
			return nil, err
		}
		v, err := e.resolve(m[key])
		if err != nil {
			return nil, err
		}
		if !isNoValue(v) {
			out[key] = v
		}
	}
	return out, nil
}

func (e *evaluation) list(items []any) (any, error) {
	out := make([]any, 0, len(items))
	for _, item := range items {
		v, err := e.resolve(item)
		if err != nil {
			return nil, err
		}
		if !isNoValue(v) {
			out = append(out, v)
		}
	}
	return out, nil
}

func isNoValue(v any) bool {
	_, ok := v.(noValue)
	return ok
}

// spend charges a value that came from outside the template's text, and copies it, because what is resolved belongs to
// the one who asked.
func (e *evaluation) spend(v any) (any, error) {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			var err error
			if out[i], err = e.spend(item); err != nil {
				return nil, err
			}
		}
		return out, e.take(1)
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			var err error
			if out[key], err = e.spend(item); err != nil {
				return nil, err
			}
		}
		return out, e.take(1)
	default:
		s, _ := scalar(v)
		return v, e.take(len(s) + 1)
	}
}

func (e *evaluation) take(n int) error {
	if e.left -= n; e.left < 0 {
		return invalid("Template error: a resolved value is larger than %d bytes", maxResolved)
	}
	return nil
}

func (e *evaluation) call(name string, argument any) (any, error) {
	switch name {
	case "Ref":
		return e.ref(argument)
	case "Fn::GetAtt":
		return e.getAtt(argument)
	case "Fn::Sub":
		return e.sub(argument)
	case "Fn::If":
		return e.choose(argument)
	case "Fn::Join":
		return e.join(argument)
	case "Fn::Select":
		return e.selected(argument)
	case "Fn::Split":
		return e.split(argument)
	case "Fn::FindInMap":
		return e.findInMap(argument)
	case "Fn::Base64":
		return e.base64(argument)
	case "Fn::ImportValue":
		return e.importValue(argument)
	default:
		return nil, invalid("Template error: the function %s is not supported here", name)
	}
}

func (e *evaluation) ref(argument any) (any, error) {
	name, _ := argument.(string)
	if v, ok := e.lookUp(name); ok {
		return e.spend(v)
	}
	return nil, unresolved(name, "Resources")
}

// lookUp finds what Ref of a name gives.
func (e *evaluation) lookUp(name string) (any, bool) {
	if v, ok := e.parameters[name]; ok {
		return v, true
	}
	if v, ok := e.pseudo[name]; ok {
		return v, true
	}
	if e.resource == nil {
		return nil, false
	}
	r, ok := e.resource(name)
	return r.PhysicalID, ok
}

func (e *evaluation) getAtt(argument any) (any, error) {
	logical, attribute, err := getAttNames(argument)
	if err != nil {
		return nil, err
	}
	name, err := e.text(attribute, "Template error: every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute")
	if err != nil {
		return nil, err
	}
	return e.attribute(logical, name)
}

// getAttNames reads both forms: "Logical.Attribute" and ["Logical", attribute], whose second may be a function.
func getAttNames(argument any) (logical string, attribute any, err error) {
	switch v := argument.(type) {
	case string:
		l, a, _ := strings.Cut(v, ".")
		logical, attribute = l, a
	case []any:
		if len(v) == 2 {
			logical, _ = v[0].(string)
			attribute = v[1]
		}
	}
	if logical == "" || attribute == nil || attribute == "" {
		return "", nil, invalid("Template error: every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute")
	}
	return logical, attribute, nil
}

func (e *evaluation) attribute(logical, name string) (any, error) {
	if e.resource == nil {
		return nil, unresolved(logical, "Resources")
	}
	r, ok := e.resource(logical)
	if !ok {
		return nil, unresolved(logical, "Resources")
	}
	v, ok := r.Attributes[name]
	if !ok && isCustom(r.Type) {
		return nil, invalid("CustomResource attribute error: Vendor response doesn't contain %s attribute in object %s", name, r.PhysicalID)
	}
	if !ok {
		return nil, invalid("Template error: resource %s does not support attribute type %s in Fn::GetAtt", logical, name)
	}
	return e.spend(v)
}

// A subPart is a piece of a Fn::Sub text: literal text or the name within ${…}.
type subPart struct {
	text     string
	variable bool
}

func parseSub(s string) ([]subPart, error) {
	var parts []subPart
	for {
		before, rest, found := strings.Cut(s, "${")
		if !found {
			return append(parts, subPart{text: s}), nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return append(parts, subPart{text: s}), nil
		}
		parts = append(parts, subPart{text: before})
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			parts = append(parts, subPart{text: "${" + literal + "}"})
		} else {
			if name = strings.TrimSpace(name); !subName(name) {
				return nil, invalid("Template error: variable names in Fn::Sub syntax must contain only alphanumeric characters, underscores, periods, and colons")
			}
			parts = append(parts, subPart{text: name, variable: true})
		}
		s = after
	}
}

func subName(name string) bool {
	for _, c := range []byte(name) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '_' && c != '.' && c != ':' {
			return false
		}
	}
	return name != ""
}

const subShape = "Template error: One or more Fn::Sub intrinsic functions don't specify expected arguments. Specify a string as first argument, and an optional second argument to specify a mapping of values to replace in the string"

func subArguments(argument any) (text string, variables map[string]any, err error) {
	if s, ok := argument.(string); ok {
		return s, nil, nil
	}
	list, ok := argument.([]any)
	if !ok || len(list) != 2 {
		return "", nil, invalid("%s", subShape)
	}
	text, textOK := list[0].(string)
	variables, mapOK := list[1].(map[string]any)
	if !textOK || !mapOK {
		return "", nil, invalid("%s", subShape)
	}
	return text, variables, nil
}

func (e *evaluation) sub(argument any) (any, error) {
	template, variables, err := subArguments(argument)
	if err != nil {
		return nil, err
	}
	parts, err := parseSub(template)
	if err != nil {
		return nil, err
	}
	var out strings.Builder
	for _, part := range parts {
		piece := part.text
		if part.variable {
			if piece, err = e.subVariable(part.text, variables); err != nil {
				return nil, err
			}
		}
		if err := e.take(len(piece)); err != nil {
			return nil, err
		}
		out.WriteString(piece)
	}
	return out.String(), nil
}

func (e *evaluation) subVariable(name string, variables map[string]any) (string, error) {
	var (
		v   any
		err error
	)
	if own, ok := variables[name]; ok {
		v, err = e.resolve(own)
	} else if direct, ok := e.lookUp(name); ok {
		v = direct
	} else if logical, attribute, dotted := strings.Cut(name, "."); dotted {
		v, err = e.attribute(logical, attribute)
	} else {
		err = unresolved(name, "Resources")
	}
	if err != nil {
		return "", err
	}
	s, ok := scalar(v)
	if !ok {
		return "", invalid("Template error: variable %s in Fn::Sub expression does not resolve to a string", name)
	}
	return s, nil
}

func (e *evaluation) choose(argument any) (any, error) {
	condition, branches, err := ifArguments(argument)
	if err != nil {
		return nil, err
	}
	truth, ok := e.conditions[condition]
	if !ok {
		return nil, invalid("Template error: unresolved condition dependency %s in Fn::If", condition)
	}
	if truth {
		return e.resolve(branches[0])
	}
	return e.resolve(branches[1])
}

func ifArguments(argument any) (condition string, branches []any, err error) {
	list, ok := argument.([]any)
	if !ok || len(list) != 3 {
		return "", nil, invalid("Template error: Fn::If requires a list argument with three elements: the condition, the value if true and the value if false")
	}
	condition, ok = list[0].(string)
	if !ok {
		return "", nil, invalid("Template error: Fn::If requires a list argument with the first element being a condition")
	}
	return condition, list[1:], nil
}

func (e *evaluation) join(argument any) (any, error) {
	const shape = "Template error: every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be joined or a function that returns a list of strings (such as Fn::GetAZs) to be joined."
	list, ok := argument.([]any)
	if !ok || len(list) != 2 {
		return nil, invalid("%s", shape)
	}
	delimiter, ok := list[0].(string)
	if !ok {
		return nil, invalid("%s", shape)
	}
	items, err := e.stringList(list[1], shape)
	if err != nil {
		return nil, err
	}
	size := len(delimiter) * max(len(items)-1, 0)
	for _, item := range items {
		size += len(item)
	}
	if err := e.take(size); err != nil {
		return nil, err
	}
	return strings.Join(items, delimiter), nil
}

// stringList resolves a list whose members must all be strings (or scalars, which count as strings).
func (e *evaluation) stringList(v any, shape string) ([]string, error) {
	resolved, err := e.resolve(v)
	if err != nil {
		return nil, err
	}
	list, ok := resolved.([]any)
	if !ok {
		return nil, invalid("%s", shape)
	}
	out := make([]string, 0, len(list))
	for _, item := range list {
		s, ok := scalar(item)
		if !ok {
			return nil, invalid("%s", shape)
		}
		out = append(out, s)
	}
	return out, nil
}

// text resolves a value that must be a string.
func (e *evaluation) text(v any, shape string) (string, error) {
	resolved, err := e.resolve(v)
	if err != nil {
		return "", err
	}
	s, ok := scalar(resolved)
	if !ok {
		return "", invalid("%s", shape)
	}
	return s, nil
}

func (e *evaluation) selected(argument any) (any, error) {
	const shape = "Template error: Fn::Select requires a list argument with two elements: an integer index and a list"
	list, ok := argument.([]any)
	if !ok || len(list) != 2 {
		return nil, invalid("%s", shape)
	}
	index, err := e.text(list[0], shape)
	if err != nil {
		return nil, err
	}
	i, err := strconv.Atoi(index)
	if err != nil {
		return nil, invalid("%s", shape)
	}
	resolved, err := e.resolve(list[1])
	if err != nil {
		return nil, err
	}
	items, ok := resolved.([]any)
	if !ok {
		return nil, invalid("%s", shape)
	}
	if i < 0 || i >= len(items) {
		return nil, invalid("Template error: Fn::Select cannot select nonexistent value at index %d", i)
	}
	return items[i], nil
}

func (e *evaluation) split(argument any) (any, error) {
	const shape = "Template error: every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be split or a function that returns a string to be split."
	list, ok := argument.([]any)
	if !ok || len(list) != 2 {
		return nil, invalid("%s", shape)
	}
	delimiter, ok := list[0].(string)
	if !ok || delimiter == "" {
		return nil, invalid("%s", shape)
	}
	s, err := e.text(list[1], shape)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, piece := range strings.Split(s, delimiter) {
		out = append(out, piece)
	}
	return out, e.take(len(s) + len(out))
}

func (e *evaluation) findInMap(argument any) (any, error) {
	const shape = "Template error: every Fn::FindInMap object requires three parameters, the map name, map key and the attribute for return value"
	list, ok := argument.([]any)
	if !ok || len(list) != 3 {
		return nil, invalid("%s", shape)
	}
	var names [3]string
	for i, item := range list {
		var err error
		if names[i], err = e.text(item, shape); err != nil {
			return nil, err
		}
	}
	mapping, ok := e.template.mappings[names[0]].(map[string]any)
	if !ok {
		return nil, invalid("Template error: Mapping named '%s' is not present in the 'Mappings' section of template.", names[0])
	}
	level, _ := mapping[names[1]].(map[string]any)
	v, ok := level[names[2]]
	if !ok {
		return nil, invalid("Template error: Unable to get mapping for %s::%s::%s", names[0], names[1], names[2])
	}
	return e.spend(v)
}

func (e *evaluation) base64(argument any) (any, error) {
	s, err := e.text(argument, "Template error: every Fn::Base64 object must have a String-typed value.")
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.EncodeToString([]byte(s)), e.take(2 * len(s))
}

func (e *evaluation) importValue(argument any) (any, error) {
	name, err := e.text(argument, "Template error: the attribute in Fn::ImportValue must be a string or a function that returns a string")
	if err != nil {
		return nil, err
	}
	if e.imported == nil {
		return nil, invalid("No export named %s found.", name)
	}
	v, err := e.imported(name)
	if err != nil {
		return nil, err
	}
	return e.spend(v)
}

func unresolved(name, block string) error {
	return invalid("Template format error: Unresolved resource dependencies [%s] in the %s block of the template", name, block)
}

// judge evaluates all conditions. Each is worked out once, however many others name it.
func (s *scope) judge() error {
	s.conditions = map[string]bool{}
	visiting := map[string]bool{}
	e := s.evaluate()
	for _, name := range sortedKeys(s.template.conditions) {
		if _, err := e.condition(name, visiting); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluation) condition(name string, visiting map[string]bool) (bool, error) {
	if known, ok := e.conditions[name]; ok {
		return known, nil
	}
	body, ok := e.template.conditions[name]
	if !ok {
		return false, undefinedCondition(name, "Conditions")
	}
	if visiting[name] {
		return false, invalid("Template error: Circular dependency between conditions: [%s]", strings.Join(sortedKeys(visiting), ", "))
	}
	visiting[name] = true
	defer delete(visiting, name)
	truth, err := e.truth(body, func(other string) (bool, error) { return e.condition(other, visiting) })
	if err == nil {
		e.conditions[name] = truth
	}
	return truth, err
}

// obey checks the rules; the first assertion that fails is the error.
func (s *scope) obey() error {
	e := s.evaluate()
	for _, r := range s.template.rules {
		if err := e.rule(r); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluation) rule(r rule) error {
	if r.condition != nil {
		applies, err := e.truth(r.condition, nil)
		if err != nil || !applies {
			return err
		}
	}
	for _, a := range r.assertions {
		holds, err := e.truth(a.assert, nil)
		if err != nil {
			return err
		}
		if !holds {
			return invalid("Rule %s failed to satisfy assertion: %s", r.name, a.description)
		}
	}
	return nil
}

// truth evaluates a function that is true or false. condition answers {"Condition": name}; nil in rules, which cannot
// name conditions.
func (e *evaluation) truth(v any, condition func(string) (bool, error)) (bool, error) {
	m, ok := v.(map[string]any)
	if !ok || len(m) != 1 {
		return false, invalid("Template format error: Conditions can only be boolean operations on parameters and other conditions")
	}
	name := sortedKeys(m)[0]
	argument := m[name]
	switch name {
	case "Condition":
		other, ok := argument.(string)
		if !ok || condition == nil {
			return false, invalid("Template error: Condition must name a condition of the template")
		}
		return condition(other)
	case "Fn::Not":
		return e.not(argument, condition)
	case "Fn::And":
		return e.combine(name, argument, condition)
	case "Fn::Or":
		return e.combine(name, argument, condition)
	case "Fn::Equals":
		return e.equals(argument)
	case "Fn::Contains", "Fn::EachMemberEquals", "Fn::EachMemberIn":
		if condition != nil {
			return false, invalid("Template error: %s can only be used in the Rules block", name)
		}
		return e.membership(name, argument)
	default:
		return false, invalid("Template error: %s is no condition function", name)
	}
}

func (e *evaluation) not(argument any, condition func(string) (bool, error)) (bool, error) {
	list, ok := argument.([]any)
	if !ok || len(list) != 1 {
		return false, invalid("Template error: every Fn::Not object requires one boolean parameter.")
	}
	truth, err := e.truth(list[0], condition)
	return !truth, err
}

// combine evaluates every operand, so that a mistake in a later one is found whatever the first says.
func (e *evaluation) combine(name string, argument any, condition func(string) (bool, error)) (bool, error) {
	list, ok := argument.([]any)
	if !ok || len(list) < 2 || len(list) > 10 {
		return false, invalid("Template error: every %s object requires a list of at least 2 and at most 10 boolean parameters.", name)
	}
	all, some := true, false
	for _, item := range list {
		truth, err := e.truth(item, condition)
		if err != nil {
			return false, err
		}
		all, some = all && truth, some || truth
	}
	if name == "Fn::And" {
		return all, nil
	}
	return some, nil
}

func (e *evaluation) equals(argument any) (bool, error) {
	list, ok := argument.([]any)
	if !ok || len(list) != 2 {
		return false, invalid("Template error: every Fn::Equals object requires a list of 2 string parameters.")
	}
	left, err := e.resolve(list[0])
	if err != nil {
		return false, err
	}
	right, err := e.resolve(list[1])
	if err != nil {
		return false, err
	}
	return reflect.DeepEqual(texts(left), texts(right)), nil
}

// texts turns all scalars within a value into strings: to CloudFormation 1 and "1" are the same.
func texts(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = texts(item)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = texts(item)
		}
		return out
	default:
		if s, ok := scalar(v); ok {
			return s
		}
		return v
	}
}

func (e *evaluation) membership(name string, argument any) (bool, error) {
	shape := "Template error: every " + name + " object requires two parameters, a list of strings and a string or a second list"
	list, ok := argument.([]any)
	if !ok || len(list) != 2 {
		return false, invalid("%s", shape)
	}
	first, err := e.ruleList(list[0], shape)
	if err != nil {
		return false, err
	}
	if name == "Fn::EachMemberIn" {
		second, err := e.ruleList(list[1], shape)
		if err != nil {
			return false, err
		}
		return !slices.ContainsFunc(first, func(s string) bool { return !slices.Contains(second, s) }), nil
	}
	value, err := e.text(list[1], shape)
	if err != nil {
		return false, err
	}
	if name == "Fn::Contains" {
		return slices.Contains(first, value), nil
	}
	return !slices.ContainsFunc(first, func(s string) bool { return s != value }), nil
}

// ruleList resolves a list in a rule, where Fn::RefAll gives all parameters of a type.
func (e *evaluation) ruleList(v any, shape string) ([]string, error) {
	m, ok := v.(map[string]any)
	if !ok || m["Fn::RefAll"] == nil {
		return e.stringList(v, shape)
	}
	var out []string
	for _, p := range e.template.Parameters {
		if p.Type != m["Fn::RefAll"] {
			continue
		}
		if s, ok := scalar(e.parameters[p.Name]); ok {
			out = append(out, s)
		}
	}
	return out, nil
}

func undefinedCondition(name, block string) error {
	return invalid("Template format error: Unresolved condition dependency %s in the %s block of the template", name, block)
}
