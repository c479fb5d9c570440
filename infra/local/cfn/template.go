// Package cfn is the CloudFormation of the pocket AWS: it reads templates, resolves their functions, creates, updates
// and deletes stacks with CloudFormation's order, statuses, events and rollbacks, speaks the custom resource protocol,
// answers the CloudFormation API and serves a quick-create page.
//
// It knows no resource type of its own but custom resources and CDK's metadata: the others are registered with the
// [Engine] as a [Provider]. The same engine runs the platform's synthesised templates and the customers' stacks.
package cfn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"rolecall/infra/local/wire"
)

// Limits of templates, as CloudFormation's.
const (
	maxTemplate    = 1_000_000 // bytes, by URL or in Go
	maxInline      = 51_200    // bytes of TemplateBody in an API request
	maxDepth       = 100       // our own: CloudFormation names none
	maxResources   = 500
	maxParameters  = 200
	maxOutputs     = 200
	maxDescription = 1024
)

// A Template is a parsed and checked template. Functions in it are in their long form ({"Fn::Sub": …}), numbers are
// json.Number so that their text survives.
type Template struct {
	Description string
	Metadata    map[string]any
	Parameters  []Parameter // in the order of declaration
	Resources   []Resource  // in the order of declaration
	Outputs     []Output    // in the order of declaration

	rules      []rule
	mappings   map[string]any
	conditions map[string]any
}

// A Resource is a resource as the template declares it.
type Resource struct {
	LogicalID           string
	Type                string
	Properties          map[string]any
	Metadata            any
	DependsOn           []string
	Condition           string
	DeletionPolicy      string // Delete, Retain or RetainExceptOnCreate; Delete where the template says nothing
	UpdateReplacePolicy string // Delete or Retain
}

// An Output is an output as the template declares it.
type Output struct {
	Name        string
	Description string
	Value       any
	Condition   string
	ExportName  any // nil where nothing is exported
}

type rule struct {
	name       string
	condition  any // nil: always
	assertions []assertion
}

type assertion struct {
	assert      any
	description string
}

// Parse reads a template in JSON or YAML and checks all that can be known without parameters. Its errors are
// ValidationErrors in CloudFormation's words.
func Parse(body []byte) (*Template, error) {
	if len(body) > maxTemplate {
		return nil, invalid("Template may not exceed %d bytes in size.", maxTemplate)
	}
	if !utf8.Valid(body) {
		return nil, invalid("Template format error: the template is not UTF-8")
	}
	d := &decoder{order: map[string][]string{}}
	root, err := d.decode(body)
	if err != nil {
		return nil, err
	}
	t, err := build(root, d.order)
	if err != nil {
		return nil, err
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Template) resource(logicalID string) (Resource, bool) {
	i := slices.IndexFunc(t.Resources, func(r Resource) bool { return r.LogicalID == logicalID })
	if i < 0 {
		return Resource{}, false
	}
	return t.Resources[i], true
}

func (t *Template) parameter(name string) bool {
	return slices.ContainsFunc(t.Parameters, func(p Parameter) bool { return p.Name == name })
}

// invalid makes CloudFormation's error for everything that is wrong with a request or a template.
func invalid(format string, args ...any) error {
	return &wire.Error{Code: "ValidationError", Message: fmt.Sprintf(format, args...), Status: 400}
}

// A decoder turns text into plain values. Go's maps have no order, so it notes the order of each section's members.
type decoder struct {
	order map[string][]string // "/Resources" → logical ids
}

func (d *decoder) decode(body []byte) (map[string]any, error) {
	var (
		v   any
		err error
	)
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && trimmed[0] == '{' {
		v, err = d.decodeJSON(body)
	} else {
		v, err = d.decodeYAML(body)
	}
	if err != nil {
		return nil, err
	}
	root, ok := v.(map[string]any)
	if !ok {
		return nil, invalid("Template format error: unsupported structure.")
	}
	return root, nil
}

func (d *decoder) decodeJSON(body []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	v, err := d.jsonValue(dec, "", 0)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("text after the template's end")
		}
	}
	var known *wire.Error
	if err != nil && !errors.As(err, &known) {
		before := body[:min(int(dec.InputOffset()), len(body))]
		line := bytes.Count(before, []byte("\n")) + 1
		column := len(before) - bytes.LastIndexByte(before, '\n')
		return nil, invalid("Template format error: JSON not well-formed. (line %d, column %d)", line, column)
	}
	return v, err
}

func (d *decoder) jsonValue(dec *json.Decoder, path string, depth int) (any, error) {
	if depth > maxDepth {
		return nil, tooDeep(path)
	}
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case nil:
		return nil, nullValue(path)
	case json.Delim:
		if token == '[' {
			return d.jsonList(dec, path, depth)
		}
		return d.jsonObject(dec, path, depth)
	default:
		return token, nil
	}
}

func (d *decoder) jsonList(dec *json.Decoder, path string, depth int) (any, error) {
	list := []any{}
	for dec.More() {
		v, err := d.jsonValue(dec, fmt.Sprintf("%s/%d", path, len(list)), depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := dec.Token()
	return list, err
}

func (d *decoder) jsonObject(dec *json.Decoder, path string, depth int) (any, error) {
	object := map[string]any{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		key, ok := token.(string)
		if !ok {
			return nil, fmt.Errorf("key %v is no string", token)
		}
		v, err := d.jsonValue(dec, path+"/"+key, depth+1)
		if err != nil {
			return nil, err
		}
		if err := d.put(object, path, key, v, depth); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token()
	return object, err
}

func (d *decoder) decodeYAML(body []byte) (any, error) {
	dec := yaml.NewDecoder(bytes.NewReader(body))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		return nil, invalid("Template format error: YAML not well-formed. (%s)", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var second yaml.Node
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, invalid("Template format error: YAML not well-formed. (more than one document)")
	}
	if len(doc.Content) != 1 {
		return nil, invalid("Template format error: unsupported structure.")
	}
	return d.yamlValue(doc.Content[0], "", 0)
}

func (d *decoder) yamlValue(n *yaml.Node, path string, depth int) (any, error) {
	if depth > maxDepth {
		return nil, tooDeep(path)
	}
	// Aliases let a short text stand for an enormous one; CloudFormation refuses them too.
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return nil, invalid("Template format error: YAML aliases are not allowed in CloudFormation templates")
	}
	if name, ok := strings.CutPrefix(n.Tag, "!"); ok && !strings.HasPrefix(n.Tag, "!!") {
		return d.shortForm(n, name, path, depth)
	}
	return d.untagged(n, path, depth)
}

// shortForm turns !Sub x into {"Fn::Sub": x}. Names that are no function are found by the later check.
func (d *decoder) shortForm(n *yaml.Node, name, path string, depth int) (any, error) {
	var (
		argument any = n.Value
		err      error
	)
	if n.Kind != yaml.ScalarNode {
		if argument, err = d.untagged(n, path, depth+1); err != nil {
			return nil, err
		}
	}
	if name == "Ref" || name == "Condition" {
		return map[string]any{name: argument}, nil
	}
	if text, ok := argument.(string); ok && name == "GetAtt" {
		logical, attribute, _ := strings.Cut(text, ".")
		argument = []any{logical, attribute}
	}
	return map[string]any{"Fn::" + name: argument}, nil
}

func (d *decoder) untagged(n *yaml.Node, path string, depth int) (any, error) {
	switch n.Kind {
	case yaml.MappingNode:
		return d.yamlObject(n, path, depth)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for i, item := range n.Content {
			v, err := d.yamlValue(item, fmt.Sprintf("%s/%d", path, i), depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.ScalarNode:
		return yamlScalar(n, path)
	default:
		return nil, invalid("Template format error: YAML not well-formed. (line %d, column %d)", n.Line, n.Column)
	}
}

func (d *decoder) yamlObject(n *yaml.Node, path string, depth int) (any, error) {
	object := make(map[string]any, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.Anchor != "" || key.ShortTag() == "!!merge" {
			return nil, invalid("Template format error: YAML not well-formed. (line %d, column %d)", key.Line, key.Column)
		}
		v, err := d.yamlValue(n.Content[i+1], path+"/"+key.Value, depth+1)
		if err != nil {
			return nil, err
		}
		if err := d.put(object, path, key.Value, v, depth); err != nil {
			return nil, err
		}
	}
	return object, nil
}

func (d *decoder) put(object map[string]any, path, key string, v any, depth int) error {
	if _, twice := object[key]; twice {
		return invalid("Template format error: duplicate key %s in [%s]", key, path)
	}
	object[key] = v
	if depth == 1 {
		d.order[path] = append(d.order[path], key)
	}
	return nil
}

// yamlScalar reads a plain scalar. Dates stay text (a policy's Version), and so does whatever JSON would not call a
// number: an account id with a leading zero must not lose it.
func yamlScalar(n *yaml.Node, path string) (any, error) {
	switch n.ShortTag() {
	case "!!null":
		return nil, nullValue(path)
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), nil
	case "!!int", "!!float":
		if isNumber(n.Value) {
			return json.Number(n.Value), nil
		}
		return n.Value, nil
	case "!!str", "!!timestamp":
		return n.Value, nil
	default:
		return nil, invalid("Template format error: YAML not well-formed. (line %d, column %d: unknown tag %s)", n.Line, n.Column, n.Tag)
	}
}

func isNumber(text string) bool {
	var number json.Number
	return len(text) > 0 && text[0] != '"' && json.Unmarshal([]byte(text), &number) == nil && number.String() == text
}

func tooDeep(path string) error {
	return invalid("Template format error: [%.200s] is nested more than %d levels deep", path, maxDepth)
}

func nullValue(path string) error {
	return invalid("[%s] 'null' values are not allowed in templates", path)
}

// build reads the sections of a decoded template.
func build(root map[string]any, order map[string][]string) (*Template, error) {
	t := &Template{}
	for _, name := range sortedKeys(root) {
		if !knownSection(name) {
			return nil, invalid("Invalid template property or properties [%s]", name)
		}
	}
	if version, ok := root["AWSTemplateFormatVersion"]; ok && version != "2010-09-09" {
		return nil, invalid("Template format error: unsupported value for AWSTemplateFormatVersion.")
	}
	var err error
	if t.Description, err = text(root, "/Description", "Description"); err != nil {
		return nil, err
	}
	if len(t.Description) > maxDescription {
		return nil, invalid("Template format error: 'Description' length is greater than %d.", maxDescription)
	}
	for _, section := range []struct {
		name string
		most int
		read func(name string, v any) error
	}{
		{"Metadata", 0, func(name string, v any) error { put(&t.Metadata, name, v); return nil }},
		{"Mappings", 0, t.readMapping},
		{"Conditions", 0, func(name string, v any) error { put(&t.conditions, name, v); return nil }},
		{"Parameters", maxParameters, t.readParameter},
		{"Rules", 0, t.readRule},
		{"Resources", maxResources, t.readResource},
		{"Outputs", maxOutputs, t.readOutput},
	} {
		if err := readSection(root, order, section.name, section.most, section.read); err != nil {
			return nil, err
		}
	}
	if len(t.Resources) == 0 {
		return nil, invalid("Template format error: At least one Resources member must be defined.")
	}
	return t, nil
}

func knownSection(name string) bool {
	switch name {
	case "AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Rules", "Mappings", "Conditions", "Resources", "Outputs":
		return true
	default:
		return false // "Transform" among them: no macro runs here
	}
}

func readSection(root map[string]any, order map[string][]string, name string, most int, read func(string, any) error) error {
	section, ok := root[name]
	if !ok {
		return nil
	}
	members, ok := section.(map[string]any)
	if !ok {
		return invalid("Template format error: [/%s] must be an object.", name)
	}
	if most > 0 && len(members) > most {
		return invalid("Template format error: Number of %s, %d, is greater than maximum allowed, %d", strings.ToLower(name), len(members), most)
	}
	for _, member := range order["/"+name] {
		if err := read(member, members[member]); err != nil {
			return err
		}
	}
	return nil
}

func put(m *map[string]any, name string, v any) {
	if *m == nil {
		*m = map[string]any{}
	}
	(*m)[name] = v
}

func (t *Template) readMapping(name string, v any) error {
	levels, ok := v.(map[string]any)
	if !ok {
		return invalid("Template format error: Every Mappings member %s must be a map", name)
	}
	for _, key := range sortedKeys(levels) {
		values, ok := levels[key].(map[string]any)
		if !ok {
			return invalid("Template format error: Every Mappings attribute must be a map. %s::%s is none", name, key)
		}
		for _, second := range sortedKeys(values) {
			if !flat(values[second]) {
				return invalid("Template format error: Every Mappings attribute must be a String or a List. %s::%s::%s is neither", name, key, second)
			}
		}
	}
	put(&t.mappings, name, levels)
	return nil
}

func flat(v any) bool {
	list, ok := v.([]any)
	if !ok {
		_, ok := scalar(v)
		return ok
	}
	return !slices.ContainsFunc(list, func(item any) bool { _, ok := scalar(item); return !ok })
}

func (t *Template) readRule(name string, v any) error {
	path := "/Rules/" + name
	m, err := members(v, path, "RuleCondition", "Assertions")
	if err != nil {
		return err
	}
	list, ok := m["Assertions"].([]any)
	if !ok || len(list) == 0 {
		return invalid("Template format error: [%s] Every Rules object must contain an Assertions list.", path)
	}
	r := rule{name: name, condition: m["RuleCondition"]}
	for i, item := range list {
		at := fmt.Sprintf("%s/Assertions/%d", path, i)
		a, err := members(item, at, "Assert", "AssertDescription")
		if err != nil {
			return err
		}
		if a["Assert"] == nil {
			return invalid("Template format error: [%s] Every assertion must contain an Assert member.", at)
		}
		description, err := text(a, at, "AssertDescription")
		if err != nil {
			return err
		}
		r.assertions = append(r.assertions, assertion{assert: a["Assert"], description: description})
	}
	t.rules = append(t.rules, r)
	return nil
}

func (t *Template) readResource(name string, v any) error {
	path := "/Resources/" + name
	if !alphanumeric(name) {
		return invalid("Template format error: Resource name %s is non alphanumeric.", name)
	}
	m, err := members(v, path, "Type", "Properties", "DependsOn", "Condition", "DeletionPolicy", "UpdateReplacePolicy", "Metadata")
	if err != nil {
		return err
	}
	r := Resource{LogicalID: name, Metadata: m["Metadata"]}
	if r.Type, err = text(m, path, "Type"); err != nil {
		return err
	}
	if r.Type == "" {
		return invalid("Template format error: [%s] Every Resources object must contain a Type member.", path)
	}
	if properties, ok := m["Properties"]; ok {
		if r.Properties, ok = properties.(map[string]any); !ok {
			return invalid("Template format error: [%s/Properties] must be an object.", path)
		}
	}
	if r.Condition, err = text(m, path, "Condition"); err != nil {
		return err
	}
	if r.DependsOn, err = dependencies(m["DependsOn"], path); err != nil {
		return err
	}
	if r.DeletionPolicy, err = retention(m, path, "DeletionPolicy", "Delete", "Retain", "RetainExceptOnCreate"); err != nil {
		return err
	}
	if r.UpdateReplacePolicy, err = retention(m, path, "UpdateReplacePolicy", "Delete", "Retain"); err != nil {
		return err
	}
	t.Resources = append(t.Resources, r)
	return nil
}

func dependencies(v any, path string) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case []any:
		names := make([]string, 0, len(v))
		for _, item := range v {
			name, ok := item.(string)
			if !ok {
				return nil, invalid("Template format error: [%s] Every DependsOn value must be a string.", path)
			}
			names = append(names, name)
		}
		return names, nil
	default:
		return nil, invalid("Template format error: [%s] DependsOn must be a string or list of strings.", path)
	}
}

func retention(m map[string]any, path, key string, allowed ...string) (string, error) {
	policy, err := text(m, path, key)
	if err != nil {
		return "", err
	}
	if policy == "" {
		return "Delete", nil
	}
	if !slices.Contains(allowed, policy) {
		return "", invalid("Template error: [%s] unsupported %s %s; one of %s", path, key, policy, strings.Join(allowed, ", "))
	}
	return policy, nil
}

func (t *Template) readOutput(name string, v any) error {
	path := "/Outputs/" + name
	if !alphanumeric(name) {
		return invalid("Template format error: Output name %s is non alphanumeric.", name)
	}
	m, err := members(v, path, "Value", "Description", "Condition", "Export")
	if err != nil {
		return err
	}
	o := Output{Name: name, Value: m["Value"]}
	if o.Value == nil {
		return invalid("Template format error: [%s] Every Outputs member must contain a Value object", path)
	}
	if o.Description, err = text(m, path, "Description"); err != nil {
		return err
	}
	if o.Condition, err = text(m, path, "Condition"); err != nil {
		return err
	}
	if export, ok := m["Export"]; ok {
		e, err := members(export, path+"/Export", "Name")
		if err != nil {
			return err
		}
		if o.ExportName = e["Name"]; o.ExportName == nil {
			return invalid("Template format error: [%s/Export] must contain a Name.", path)
		}
	}
	t.Outputs = append(t.Outputs, o)
	return nil
}

// members asserts that v is an object with no members but the allowed ones.
func members(v any, path string, allowed ...string) (map[string]any, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, invalid("Template format error: [%s] must be an object.", path)
	}
	for _, key := range sortedKeys(m) {
		if !slices.Contains(allowed, key) {
			return nil, invalid("Template format error: [%s] unsupported or invalid property '%s'", path, key)
		}
	}
	return m, nil
}

// text reads a member that must be a string where it is present.
func text(m map[string]any, path, key string) (string, error) {
	v, ok := m[key]
	if !ok {
		return "", nil
	}
	s, ok := v.(string)
	if !ok {
		return "", invalid("Template format error: [%s] %s must be a string.", path, key)
	}
	return s, nil
}

// scalar gives the text of a string, number or boolean, as CloudFormation writes it.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	case int:
		return strconv.Itoa(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	default:
		return "", false
	}
}

func alphanumeric(name string) bool {
	if name == "" || len(name) > 255 {
		return false
	}
	for _, c := range []byte(name) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
