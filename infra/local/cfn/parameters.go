package cfn

import (
	"context"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Parameter types of a template.
const (
	typeString = "String"
	typeNumber = "Number"
	typeList   = "CommaDelimitedList"
	typeSSM    = "AWS::SSM::Parameter::Value<String>"
)

const maxParameterValue = 4096 // bytes

// masked is what every answer shows in place of a NoEcho parameter's value.
const masked = "****"

// A Parameter is a parameter as the template declares it.
type Parameter struct {
	Name          string
	Type          string
	Description   string
	Default       *string // nil where the template has none
	NoEcho        bool
	AllowedValues []string

	constraint         string // ConstraintDescription
	pattern            *regexp.Regexp
	patternText        string
	minLength, maxSize *int
	minimum, maximum   *big.Rat
}

func (t *Template) readParameter(name string, v any) error {
	path := "/Parameters/" + name
	if !alphanumeric(name) {
		return invalid("Template format error: Parameter name %s is non alphanumeric.", name)
	}
	m, err := members(v, path, "Type", "Default", "Description", "NoEcho", "AllowedValues", "AllowedPattern",
		"ConstraintDescription", "MinLength", "MaxLength", "MinValue", "MaxValue")
	if err != nil {
		return err
	}
	p := Parameter{Name: name}
	if p.Type, err = text(m, path, "Type"); err != nil {
		return err
	}
	switch p.Type {
	case typeString, typeNumber, typeList, typeSSM:
	case "":
		return invalid("Template format error: [%s] Every Parameters object must contain a Type member.", path)
	default:
		return invalid("Template format error: Unrecognized parameter type: %s", p.Type)
	}
	if err := p.readTexts(m, path); err != nil {
		return err
	}
	if err := p.readConstraints(m, path); err != nil {
		return err
	}
	t.Parameters = append(t.Parameters, p)
	return nil
}

func (p *Parameter) readTexts(m map[string]any, path string) error {
	var err error
	if p.Description, err = text(m, path, "Description"); err != nil {
		return err
	}
	if p.constraint, err = text(m, path, "ConstraintDescription"); err != nil {
		return err
	}
	if v, ok := m["Default"]; ok {
		s, ok := scalar(v)
		if !ok {
			return invalid("Template format error: [%s] Every Default member must be a string.", path)
		}
		p.Default = &s
	}
	if v, ok := m["NoEcho"]; ok {
		s, _ := scalar(v)
		if p.NoEcho, err = strconv.ParseBool(s); err != nil {
			return invalid("Template format error: [%s] NoEcho must be true or false.", path)
		}
	}
	if v, ok := m["AllowedValues"]; ok {
		list, _ := v.([]any)
		for _, item := range list {
			s, ok := scalar(item)
			if !ok {
				return invalid("Template format error: [%s] Every AllowedValues member must be a string.", path)
			}
			p.AllowedValues = append(p.AllowedValues, s)
		}
		if len(p.AllowedValues) == 0 {
			return invalid("Template format error: [%s] AllowedValues must be a list.", path)
		}
	}
	return nil
}

func (p *Parameter) readConstraints(m map[string]any, path string) error {
	var err error
	if p.patternText, err = text(m, path, "AllowedPattern"); err != nil {
		return err
	}
	if p.patternText != "" {
		// CloudFormation matches the whole value, anchors or not.
		if p.pattern, err = regexp.Compile(`^(?:` + splitRepeats(p.patternText) + `)$`); err != nil {
			return invalid("Template format error: [%s] AllowedPattern is not a regular expression that can be read here: %s", path, p.patternText)
		}
	}
	for key, target := range map[string]**int{"MinLength": &p.minLength, "MaxLength": &p.maxSize} {
		if v, ok := m[key]; ok {
			s, _ := scalar(v)
			n, err := strconv.Atoi(s)
			if err != nil {
				return invalid("Template format error: [%s] %s must be a number.", path, key)
			}
			*target = &n
		}
	}
	for key, target := range map[string]**big.Rat{"MinValue": &p.minimum, "MaxValue": &p.maximum} {
		if v, ok := m[key]; ok {
			s, _ := scalar(v)
			n, ok := number(s)
			if !ok {
				return invalid("Template format error: [%s] %s must be a number.", path, key)
			}
			*target = n
		}
	}
	return nil
}

// splitRepeats makes Go read repetitions above its limit of 1000, which Java, and so CloudFormation, does not have:
// x{16,1024} becomes x{16,1000}x{0,24}.
func splitRepeats(pattern string) string {
	var (
		out    strings.Builder
		atom   string // what a repetition at this place would repeat
		groups []int  // where the open groups begin in out
	)
	for i := 0; i < len(pattern); {
		piece := nextPiece(pattern[i:])
		i += len(piece)
		switch first := piece[0]; {
		case first == '(':
			groups = append(groups, out.Len())
			atom = ""
		case first == ')' && len(groups) > 0:
			atom = out.String()[groups[len(groups)-1]:] + piece
			groups = groups[:len(groups)-1]
		case first == '{' && len(piece) > 1:
			piece = splitRepeat(atom, piece)
		default:
			atom = piece
		}
		out.WriteString(piece)
		if out.Len() > 1<<16 { // nested repetitions multiply; the compiler then refuses the pattern as it stands
			return pattern
		}
	}
	return out.String()
}

var (
	repeat    = regexp.MustCompile(`^\{([0-9]{1,4})(,?)([0-9]{0,4})\}`)
	longPiece = regexp.MustCompile(`^(\\[pPx]\{[^}]*\}|\\.|\[\^?\]?([^\]\\]|\\.|\[:[a-z^]+:\])*\])`)
)

// nextPiece takes a class, an escape, a repetition or a single character off the front.
func nextPiece(rest string) string {
	for _, form := range []*regexp.Regexp{repeat, longPiece} {
		if piece := form.FindString(rest); piece != "" {
			return piece
		}
	}
	_, size := utf8.DecodeRuneInString(rest)
	return rest[:size]
}

func splitRepeat(atom, piece string) string {
	const limit = 1000
	m := repeat.FindStringSubmatch(piece)
	least, _ := strconv.Atoi(m[1])
	most := least
	if m[3] != "" {
		most, _ = strconv.Atoi(m[3])
	}
	if max(least, most) <= limit || most < least || atom == "" {
		return piece
	}
	var out strings.Builder
	for n := 0; least > 0 || most > 0; n++ {
		if n > 0 {
			out.WriteString(atom)
		}
		low, high := min(least, limit), min(most, limit)
		least, most = least-low, most-high
		if m[2] != "" && m[3] == "" && most == 0 {
			return out.String() + fmt.Sprintf("{%d,}", low) // without an upper end
		}
		fmt.Fprintf(&out, "{%d,%d}", low, high)
	}
	return out.String()
}

// number reads a decimal number. The length is limited because big.Rat would expand a huge exponent in memory.
func number(s string) (*big.Rat, bool) {
	if len(s) > 64 || !isNumber(s) || strings.ContainsAny(s, "eE") {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

func decimal(n *big.Rat) string {
	return strings.TrimRight(strings.TrimRight(n.FloatString(10), "0"), ".")
}

// check says in CloudFormation's words why a value is not allowed.
func (p *Parameter) check(value string) error {
	if len(value) > maxParameterValue {
		return invalid("Parameter '%s' must not be longer than %d bytes", p.Name, maxParameterValue)
	}
	reason := p.violation(value)
	if reason == "" {
		return nil
	}
	if p.constraint != "" {
		return invalid("Parameter %s failed to satisfy constraint: %s", p.Name, p.constraint)
	}
	return invalid("Parameter '%s' %s", p.Name, reason)
}

func (p *Parameter) violation(value string) string {
	values := []string{value}
	if p.Type == typeList {
		values = commaList(value)
	}
	if len(p.AllowedValues) > 0 && slices.ContainsFunc(values, func(v string) bool { return !slices.Contains(p.AllowedValues, v) }) {
		return "must be one of AllowedValues"
	}
	if p.Type == typeNumber {
		return p.numberViolation(value)
	}
	size := len([]rune(value))
	switch {
	case p.pattern != nil && !p.pattern.MatchString(value):
		return "must match pattern " + p.patternText
	case p.minLength != nil && size < *p.minLength:
		return fmt.Sprintf("must contain at least %d characters", *p.minLength)
	case p.maxSize != nil && size > *p.maxSize:
		return fmt.Sprintf("must contain at most %d characters", *p.maxSize)
	default:
		return ""
	}
}

func (p *Parameter) numberViolation(value string) string {
	n, ok := number(value)
	switch {
	case !ok:
		return "must be a number"
	case p.minimum != nil && n.Cmp(p.minimum) < 0:
		return "must be a number not less than " + decimal(p.minimum)
	case p.maximum != nil && n.Cmp(p.maximum) > 0:
		return "must be a number not greater than " + decimal(p.maximum)
	default:
		return ""
	}
}

// A ParameterValue is a parameter of a stack.
type ParameterValue struct {
	Key      string
	Value    string // as given; of a NoEcho parameter "****" wherever it is shown
	Resolved string // what an SSM parameter held; empty for other types
}

// fillParameters joins what was given with defaults and previous values and checks it all.
func fillParameters(ctx context.Context, t *Template, in *Input, previous []ParameterValue, lookUp func(context.Context, string) (string, error)) ([]ParameterValue, error) {
	given := map[string]string{}
	var unknown []string
	for _, name := range append(sortedKeys(in.Parameters), in.PreviousParameters...) {
		if !t.parameter(name) && !slices.Contains(unknown, name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return nil, invalid("Parameters: [%s] do not exist in the template", strings.Join(unknown, ", "))
	}
	for _, name := range in.PreviousParameters {
		i := slices.IndexFunc(previous, func(v ParameterValue) bool { return v.Key == name })
		if i >= 0 {
			given[name] = previous[i].Value
		}
	}
	for name, value := range in.Parameters {
		given[name] = value
	}
	var (
		values  []ParameterValue
		missing []string
	)
	for _, p := range t.Parameters {
		value, ok := given[p.Name]
		if !ok && p.Default == nil {
			missing = append(missing, p.Name)
			continue
		}
		if !ok {
			value = *p.Default
		}
		values = append(values, ParameterValue{Key: p.Name, Value: value})
	}
	if len(missing) > 0 {
		return nil, invalid("Parameters: [%s] must have values", strings.Join(missing, ", "))
	}
	return values, finishParameters(ctx, t, values, lookUp)
}

func finishParameters(ctx context.Context, t *Template, values []ParameterValue, lookUp func(context.Context, string) (string, error)) error {
	for i, p := range t.Parameters {
		if err := p.check(values[i].Value); err != nil {
			return err
		}
		if p.Type != typeSSM {
			continue
		}
		resolved, err := lookUp(ctx, values[i].Value)
		if err != nil {
			return invalid("Unable to fetch parameters [%s] from parameter store for this account. (%s)", values[i].Value, err)
		}
		values[i].Resolved = resolved
	}
	return nil
}

// value is what Ref of the parameter gives.
func (p *Parameter) value(v ParameterValue) any {
	switch p.Type {
	case typeList:
		list := []any{}
		for _, item := range commaList(v.Value) {
			list = append(list, item)
		}
		return list
	case typeSSM:
		return v.Resolved
	default:
		return v.Value
	}
}

func commaList(value string) []string {
	items := strings.Split(value, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}
