package cfn

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

// testScope has one of everything.
func testScope(t *testing.T) *scope {
	t.Helper()
	template, err := Parse([]byte(`
Parameters:
  Name: {Type: String}
  Empty: {Type: String}
  Size: {Type: Number}
  Zones: {Type: CommaDelimitedList}
Mappings:
  Sizes:
    eu-west-1: {Small: s, List: [a, b]}
    "012345678901": {Small: z}
Conditions:
  Right: !Equals [a, a]
  Wrong: !Equals [a, b]
  Number: !Equals [5, "5"]
  OfParameter: !Equals [!Ref Name, alice]
  OfList: !Equals [!Join [",", !Ref Zones], "a,b"]
  Inverse: !Not [!Condition Right]
  Both: !And [!Condition Right, !Condition Number]
  NotBoth: !And [!Condition Right, !Condition Wrong]
  Either: !Or [!Condition Wrong, !Condition Right]
  Neither: !Or [!Condition Wrong, !Equals [x, y]]
  OfMap: !Equals [!FindInMap [Sizes, !Ref AWS::Region, Small], s]
Resources: {Role: {Type: 'Test::Thing'}}
`))
	if err != nil {
		t.Fatal(err)
	}
	s := &scope{
		template:   template,
		parameters: map[string]any{"Name": "alice", "Empty": "", "Size": "5", "Zones": []any{"a", "b"}},
		pseudo: map[string]any{
			"AWS::AccountId": account, "AWS::Region": region, "AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com", "AWS::StackName": "st",
			"AWS::StackId": "arn:stack", "AWS::NotificationARNs": []any{"arn:t"}, "AWS::NoValue": noValue{},
		},
		resource: func(name string) (Resolved, bool) {
			r := attributesOf("role-1")
			return Resolved{Type: "Test::Thing", PhysicalID: r.PhysicalID, Attributes: r.Attributes}, name == "Role"
		},
		imported: func(name string) (string, error) {
			if name != "st-export" {
				return "", invalid("No export named %s found.", name)
			}
			return "imported", nil
		},
	}
	if err := s.judge(); err != nil {
		t.Fatal(err)
	}
	return s
}

// value reads one YAML value with short forms.
func value(t *testing.T, text string) any {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	v, err := (&decoder{order: map[string][]string{}}).yamlValue(doc.Content[0], "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestResolve(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		want any
	}{
		"plain":                 {"{a: [1, x, true]}", map[string]any{"a": value(t, "[1, x, true]")}},
		"Ref parameter":         {"!Ref Name", "alice"},
		"Ref number":            {"!Ref Size", "5"},
		"Ref list":              {"!Ref Zones", []any{"a", "b"}},
		"Ref resource":          {"!Ref Role", "role-1"},
		"Ref account":           {"!Ref AWS::AccountId", account},
		"Ref region":            {"!Ref AWS::Region", region},
		"Ref partition":         {"!Ref AWS::Partition", "aws"},
		"Ref suffix":            {"!Ref AWS::URLSuffix", "amazonaws.com"},
		"Ref stack name":        {"!Ref AWS::StackName", "st"},
		"Ref stack id":          {"!Ref AWS::StackId", "arn:stack"},
		"Ref notifications":     {"!Ref AWS::NotificationARNs", []any{"arn:t"}},
		"NoValue property":      {"{a: !Ref AWS::NoValue, b: 1x}", map[string]any{"b": "1x"}},
		"NoValue member":        {"[!Ref AWS::NoValue, x]", []any{"x"}},
		"GetAtt":                {"!GetAtt Role.Arn", "arn:role-1"},
		"GetAtt list":           {"!GetAtt [Role, Arn]", "arn:role-1"},
		"GetAtt dotted":         {"!GetAtt Role.Nested.Id", "n-role-1"},
		"GetAtt by function":    {"{'Fn::GetAtt': [Role, !Join ['', [Ar, n]]]}", "arn:role-1"},
		"GetAtt long string":    {"{'Fn::GetAtt': Role.Arn}", "arn:role-1"},
		"Sub":                   {"!Sub 'arn:${AWS::Partition}:iam::${AWS::AccountId}:role/${Name}-${Role.Arn}-${Role}'", "arn:aws:iam::222222222222:role/alice-arn:role-1-role-1"},
		"Sub literal":           {"!Sub '${!Name}-$Name-${Name}-${'", "${Name}-$Name-alice-${"},
		"Sub with map":          {"!Sub ['${X}-${Name}-${Y}', {X: !Ref Size, Name: own, Y: !GetAtt Role.Arn}]", "5-own-arn:role-1"},
		"Sub does not repeat":   {"!Sub ['${X}', {X: '${!Name}'}]", "${!Name}"},
		"If true":               {"!If [Right, a, b]", "a"},
		"If false":              {"!If [Wrong, a, b]", "b"},
		"If lazy":               {"!If [Right, a, !Select [9, [x]]]", "a"},
		"If NoValue":            {"{a: !If [Wrong, x, !Ref AWS::NoValue]}", map[string]any{}},
		"Join":                  {"!Join ['-', [a, !Ref Name, 7, true]]", "a-alice-7-true"},
		"Join nothing":          {"!Join ['-', []]", ""},
		"Join list function":    {"!Join ['/', !Split [',', 'x,y,z']]", "x/y/z"},
		"Join drops NoValue":    {"!Join ['-', [a, !Ref AWS::NoValue, b]]", "a-b"},
		"Select":                {"!Select [1, [a, b]]", "b"},
		"Select by text":        {"!Select ['0', !Ref Zones]", "a"},
		"Select from attribute": {"!Select [1, !GetAtt Role.Parts]", "y"},
		"Split":                 {"!Split ['|', 'a|b||c']", []any{"a", "b", "", "c"}},
		"Split without match":   {"!Split ['|', 'abc']", []any{"abc"}},
		"FindInMap":             {"!FindInMap [Sizes, !Ref AWS::Region, Small]", "s"},
		"FindInMap list":        {"!FindInMap [Sizes, eu-west-1, List]", []any{"a", "b"}},
		"FindInMap account":     {"!FindInMap [Sizes, '012345678901', Small]", "z"},
		"Base64":                {"{'Fn::Base64': !Sub 'hi ${Name}'}", "aGkgYWxpY2U="},
		"ImportValue":           {"!ImportValue st-export", "imported"},
		"ImportValue Sub":       {"{'Fn::ImportValue': !Sub '${AWS::StackName}-export'}", "imported"},
		"policy condition":      {"{Condition: {StringEquals: {a: !Ref Name}}}", map[string]any{"Condition": map[string]any{"StringEquals": map[string]any{"a": "alice"}}}},
	}
	s := testScope(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := s.evaluate().resolve(value(t, test.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestResolveRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, want string }{
		"Select beyond":       {"!Select [2, [a, b]]", "Fn::Select cannot select nonexistent value at index 2"},
		"Select below":        {"!Select [-1, [a, b]]", "Fn::Select cannot select nonexistent value at index -1"},
		"Select no number":    {"!Select [x, [a]]", "an integer index and a list"},
		"Select no list":      {"!Select [0, a]", "an integer index and a list"},
		"Join no list":        {"!Join ['-', a]", "every Fn::Join object requires two parameters"},
		"Join objects":        {"!Join ['-', [{a: b}]]", "every Fn::Join object requires two parameters"},
		"Split by nothing":    {"!Split ['', a]", "every Fn::Split object requires two parameters"},
		"Split a list":        {"!Split [',', [a]]", "every Fn::Split object requires two parameters"},
		"FindInMap map":       {"!FindInMap [Nope, a, b]", "Mapping named 'Nope' is not present in the 'Mappings' section of template."},
		"FindInMap key":       {"!FindInMap [Sizes, eu-west-9, Small]", "Unable to get mapping for Sizes::eu-west-9::Small"},
		"Base64 of a list":    {"{'Fn::Base64': [a]}", "every Fn::Base64 object must have a String-typed value."},
		"ImportValue unknown": {"!ImportValue nope", "No export named nope found."},
		"GetAtt attribute":    {"!GetAtt Role.Nope", "resource Role does not support attribute type Nope in Fn::GetAtt"},
		"GetAtt not made":     {"!GetAtt Other.Arn", "Unresolved resource dependencies [Other]"},
		"Sub of a list":       {"!Sub '${Zones}'", "variable Zones in Fn::Sub expression does not resolve to a string"},
		"unknown function":    {"{'Fn::Nope': a}", "Fn::Nope"},
	}
	s := testScope(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := s.evaluate().resolve(value(t, test.in))
			if got := errorText(t, err); !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	want := map[string]bool{
		"Right": true, "Wrong": false, "Number": true, "OfParameter": true, "OfList": true, "Inverse": false, "Both": true,
		"NotBoth": false, "Either": true, "Neither": false, "OfMap": true,
	}
	if diff := cmp.Diff(want, testScope(t).conditions); diff != "" {
		t.Error(diff)
	}
}

func TestConditionsRefuse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, want string }{
		"a circle":      {"{A: !Not [!Condition B], B: !Not [!Condition A]}", "Circular dependency between conditions: [A, B]"},
		"And of one":    {"{A: !And [!Equals [a, a]]}", "every Fn::And object requires a list of at least 2 and at most 10"},
		"Or of eleven":  {"{A: !Or [" + strings.Repeat("!Equals [a, a], ", 11) + "]}", "every Fn::Or object requires a list of at least 2 and at most 10"},
		"Not of two":    {"{A: !Not [!Equals [a, a], !Equals [a, a]]}", "every Fn::Not object requires one boolean parameter."},
		"Equals of one": {"{A: !Equals [a]}", "every Fn::Equals object requires a list of 2"},
		"no boolean":    {"{A: !Join ['', [a]]}", "Fn::Join is no condition function"},
		"rule function": {"{A: !Contains [[a], a]}", "Fn::Contains can only be used in the Rules block"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			template, err := Parse([]byte(someResource + "Conditions: " + test.in))
			if err == nil {
				err = (&scope{template: template}).judge()
			}
			if got := errorText(t, err); !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rule string
		ok   bool
	}{
		"contains":                {"{Assertions: [{Assert: !Contains [[eu-west-1, us-east-1], !Ref AWS::Region], AssertDescription: why}]}", true},
		"contains not":            {"{Assertions: [{Assert: !Contains [[us-east-1], !Ref AWS::Region], AssertDescription: why}]}", false},
		"not contains, as CDK":    {"{Assertions: [{Assert: !Not [!Contains [['1', '2'], !Ref Size]], AssertDescription: why}]}", true},
		"each member in":          {"{Assertions: [{Assert: !EachMemberIn [!Ref Zones, [a, b, c]], AssertDescription: why}]}", true},
		"each member in not":      {"{Assertions: [{Assert: !EachMemberIn [!Ref Zones, [a]], AssertDescription: why}]}", false},
		"each member equals":      {"{Assertions: [{Assert: !EachMemberEquals [[alice, alice], !Ref Name], AssertDescription: why}]}", true},
		"each member equals not":  {"{Assertions: [{Assert: !EachMemberEquals [!Ref Zones, a], AssertDescription: why}]}", false},
		"all of a type":           {"{Assertions: [{Assert: !EachMemberIn [!RefAll String, [alice, '']], AssertDescription: why}]}", true},
		"second assertion":        {"{Assertions: [{Assert: !Equals [a, a]}, {Assert: !Equals [a, b], AssertDescription: why}]}", false},
		"condition does not hold": {"{RuleCondition: !Equals [!Ref Name, bob], Assertions: [{Assert: !Equals [a, b]}]}", true},
		"condition holds":         {"{RuleCondition: !Equals [!Ref Name, alice], Assertions: [{Assert: !Equals [a, b], AssertDescription: why}]}", false},
	}
	s := testScope(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := *s
			text := "Parameters: {Name: {Type: String}, Empty: {Type: String}, Size: {Type: Number}, Zones: {Type: CommaDelimitedList}}\n"
			template, err := Parse([]byte(text + someResource + "Rules: {R: " + test.rule + "}"))
			if err != nil {
				t.Fatal(err)
			}
			own.template = template
			got, want := errorText(t, own.obey()), ""
			if !test.ok {
				want = "ValidationError: Rule R failed to satisfy assertion: why"
			}
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// A condition that names another twice, which does the same, must not take time that doubles with each.
func TestConditionsAreWorkedOutOnce(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(someResource + "Conditions:\n  C0: !Equals [a, a]\n")
	for i := 1; i <= 60; i++ {
		previous := "!Condition C" + strconv.Itoa(i-1)
		b.WriteString("  C" + strconv.Itoa(i) + ": !And [" + previous + ", " + previous + "]\n")
	}
	template, err := Parse([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	s := &scope{template: template}
	if err := s.judge(); err != nil || !s.conditions["C60"] {
		t.Errorf("C60 is %v, %v", s.conditions["C60"], err)
	}
}

// A list in a mapping that is named thousands of times must not fill the memory.
func TestResolvedSizeIsLimited(t *testing.T) {
	t.Parallel()
	long := "[" + strings.TrimSuffix(strings.Repeat("xxxxxxxxxxxxxxxx,", 2000), ",") + "]"
	many := "[" + strings.TrimSuffix(strings.Repeat("!FindInMap [M, a, b],", 2000), ",") + "]"
	e, _ := newTestEngine(t, testConfig())
	_, err := e.Create(t.Context(), testInput("s", "Mappings: {M: {a: {b: "+long+"}}}\nResources: {A: {Type: 'Test::Thing', Properties: {X: "+many+"}}}"))
	if got := errorText(t, err); !strings.Contains(got, "a resolved value is larger than") {
		t.Errorf("got %q", got)
	}
}

func TestGraphNamesTheCircle(t *testing.T) {
	t.Parallel()
	e, things := newTestEngine(t, testConfig())
	_, err := e.Create(t.Context(), testInput("s", `
Resources:
  Before: {Type: 'Test::Thing'}
  A: {Type: 'Test::Thing', Properties: {X: !Ref B, Y: !Ref Before}}
  B: {Type: 'Test::Thing', Properties: {X: !Sub '${C.Arn}'}}
  C: {Type: 'Test::Thing', DependsOn: A}
  After: {Type: 'Test::Thing', DependsOn: C}
`))
	if got, want := errorText(t, err), "ValidationError: Circular dependency between resources: [A, B, C]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if steps := things.steps(); len(steps) > 0 {
		t.Errorf("done before the template was checked: %v", steps)
	}
}
