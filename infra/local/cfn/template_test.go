package cfn

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseReadsJSONAndYAMLAlike(t *testing.T) {
	t.Parallel()
	inYAML := `
AWSTemplateFormatVersion: 2010-09-09
Description: both
Parameters:
  B: {Type: String, Default: 012345678901}
  A: {Type: Number, Default: 5}
Conditions:
  Yes: !Not [!Equals [!Ref B, ""]]
Resources:
  Z:
    Type: Test::Thing
    Properties:
      Version: 2012-10-17
      Account: 012345678901
      Count: 3
      Ratio: 1.50
      On: true
      Text: !Sub ${B}-x
      Arn: !GetAtt Y.Arn
      Deep: !GetAtt [Y, Nested.Id]
      Either: !If [Yes, !Ref B, !Ref AWS::NoValue]
  Y: {Type: Test::Thing, DependsOn: [], DeletionPolicy: Retain}
Outputs:
  Last: {Value: !Join ["-", [a, !Ref Z]], Condition: Yes}
`
	inJSON := `{
"AWSTemplateFormatVersion": "2010-09-09", "Description": "both",
"Parameters": {"B": {"Type": "String", "Default": "012345678901"}, "A": {"Type": "Number", "Default": 5}},
"Conditions": {"Yes": {"Fn::Not": [{"Fn::Equals": [{"Ref": "B"}, ""]}]}},
"Resources": {
  "Z": {"Type": "Test::Thing", "Properties": {"Version": "2012-10-17", "Account": "012345678901", "Count": 3, "Ratio": 1.50, "On": true,
    "Text": {"Fn::Sub": "${B}-x"}, "Arn": {"Fn::GetAtt": ["Y", "Arn"]}, "Deep": {"Fn::GetAtt": ["Y", "Nested.Id"]},
    "Either": {"Fn::If": ["Yes", {"Ref": "B"}, {"Ref": "AWS::NoValue"}]}}},
  "Y": {"Type": "Test::Thing", "DependsOn": [], "DeletionPolicy": "Retain"}},
"Outputs": {"Last": {"Value": {"Fn::Join": ["-", ["a", {"Ref": "Z"}]]}, "Condition": "Yes"}}}`
	fromYAML, err := Parse([]byte(inYAML))
	if err != nil {
		t.Fatal(err)
	}
	fromJSON, err := Parse([]byte(inJSON))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fromJSON, fromYAML, cmp.AllowUnexported(Template{}, Parameter{}, rule{}, assertion{})); diff != "" {
		t.Error(diff)
	}
	if got := fromYAML.Resources[0].LogicalID + fromYAML.Parameters[0].Name; got != "ZB" {
		t.Errorf("the order of declaration is lost: %s", got)
	}
	if got := fromYAML.Resources[0].Properties["Ratio"]; got != json.Number("1.50") {
		t.Errorf("the text of a number is lost: %#v", got)
	}
}

const someResource = "Resources: {A: {Type: 'Test::Thing'}}\n"

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ template, want string }{
		"empty":                    {"", "YAML not well-formed"},
		"no object":                {"- a", "unsupported structure"},
		"a scalar":                 {"hello", "unsupported structure"},
		"broken JSON":              {`{"Resources": `, "JSON not well-formed. (line 1, column"},
		"text after JSON":          {`{"Resources": {"A": {"Type": "T"}}} x`, "JSON not well-formed"},
		"broken YAML":              {"Resources: [", "YAML not well-formed"},
		"two documents":            {someResource + "---\n" + someResource, "more than one document"},
		"not UTF-8":                {"Resources: \xff", "UTF-8"},
		"no resources":             {"Description: x", "At least one Resources member must be defined."},
		"empty resources":          {"Resources: {}", "At least one Resources member must be defined."},
		"unknown section":          {someResource + "Foo: {}", "Invalid template property or properties [Foo]"},
		"macros":                   {someResource + "Transform: AWS::Serverless-2016-10-31", "Invalid template property or properties [Transform]"},
		"version":                  {"AWSTemplateFormatVersion: '2020-01-01'\n" + someResource, "unsupported value for AWSTemplateFormatVersion."},
		"description":              {someResource + "Description: " + strings.Repeat("x", 1025), "'Description' length is greater than 1024."},
		"null":                     {"Resources: {A: {Type: 'Test::Thing', Properties: {B: null}}}", "[/Resources/A/Properties/B] 'null' values are not allowed"},
		"null in JSON":             {`{"Resources": {"A": {"Type": "T", "Properties": {"B": [null]}}}}`, "[/Resources/A/Properties/B/0] 'null' values are not allowed"},
		"alias":                    {"Resources: {A: &a {Type: 'Test::Thing'}, B: *a}", "YAML aliases are not allowed"},
		"anchor alone":             {"Resources: {A: &a {Type: 'Test::Thing'}}", "YAML aliases are not allowed"},
		"merge key":                {"Resources: {A: {<<: {Type: 'Test::Thing'}}}", "YAML not well-formed"},
		"binary":                   {"Resources: {A: {Type: !!binary aGk=}}", "unknown tag"},
		"duplicate key":            {"Resources: {A: {Type: T}, A: {Type: T}}", "duplicate key A in [/Resources]"},
		"duplicate key in JSON":    {`{"Resources": {"A": {"Type": "T"}, "A": {"Type": "T"}}}`, "duplicate key A in [/Resources]"},
		"nested too deep":          {someResource + "Metadata: {A: " + strings.Repeat("[", 120) + strings.Repeat("]", 120) + "}", "levels deep"},
		"nested too deep in JSON":  {`{"Metadata": {"A": ` + strings.Repeat("[", 120) + strings.Repeat("]", 120) + "}}", "levels deep"},
		"resource without type":    {"Resources: {A: {Properties: {}}}", "[/Resources/A] Every Resources object must contain a Type member."},
		"resource name":            {"Resources: {A-B: {Type: T}}", "Resource name A-B is non alphanumeric."},
		"resource attribute":       {"Resources: {A: {Type: T, Propertys: {}}}", "unsupported or invalid property 'Propertys'"},
		"properties no object":     {"Resources: {A: {Type: T, Properties: []}}", "[/Resources/A/Properties] must be an object."},
		"deletion policy":          {"Resources: {A: {Type: T, DeletionPolicy: Keep}}", "unsupported DeletionPolicy Keep"},
		"snapshot":                 {"Resources: {A: {Type: T, DeletionPolicy: Snapshot}}", "unsupported DeletionPolicy Snapshot"},
		"depends on nothing":       {"Resources: {A: {Type: T, DependsOn: B}}", "Unresolved resource dependencies [B] in the Resources block of the template"},
		"depends on an object":     {"Resources: {A: {Type: T, DependsOn: {B: C}}}", "DependsOn must be a string or list of strings."},
		"undefined condition":      {"Resources: {A: {Type: T, Condition: C}}", "Unresolved condition dependency C in the Resources block"},
		"Ref of nothing":           {"Resources: {A: {Type: T, Properties: {X: !Ref B}}}", "Unresolved resource dependencies [B] in the Resources block of the template"},
		"Ref of no pseudo":         {"Resources: {A: {Type: T, Properties: {X: !Ref AWS::Foo}}}", "Unresolved resource dependencies [AWS::Foo]"},
		"Ref of a list":            {"Resources: {A: {Type: T, Properties: {X: !Ref [B]}}}", "every Ref object must have a single String value."},
		"Sub of nothing":           {"Resources: {A: {Type: T, Properties: {X: !Sub '${B}'}}}", "Unresolved resource dependencies [B]"},
		"Sub of an attribute":      {"Resources: {A: {Type: T, Properties: {X: !Sub '${B.Arn}'}}}", "Unresolved resource dependencies [B]"},
		"Sub of a bad name":        {"Resources: {A: {Type: T, Properties: {X: !Sub '${B-C}'}}}", "must contain only alphanumeric characters, underscores, periods, and colons"},
		"Sub of three":             {"Resources: {A: {Type: T, Properties: {X: !Sub [a, {}, c]}}}", "Fn::Sub intrinsic functions don't specify expected arguments"},
		"GetAtt of nothing":        {"Resources: {A: {Type: T, Properties: {X: !GetAtt B.Arn}}}", "instance of Fn::GetAtt references undefined resource B"},
		"GetAtt without attribute": {"Resources: {A: {Type: T}, B: {Type: T, Properties: {X: !GetAtt A}}}", "every Fn::GetAtt object requires two non-empty parameters"},
		"If of nothing":            {"Resources: {A: {Type: T, Properties: {X: !If [C, 1, 2]}}}", "Unresolved condition dependency C"},
		"If of two":                {"Resources: {A: {Type: T, Properties: {X: !If [C, 1]}}}", "Fn::If requires a list argument with three elements"},
		"Join of one":              {"Resources: {A: {Type: T, Properties: {X: !Join [a]}}}", "every Fn::Join object requires two parameters"},
		"FindInMap of two":         {"Resources: {A: {Type: T, Properties: {X: !FindInMap [a, b]}}}", "every Fn::FindInMap object requires three parameters"},
		"unknown function":         {"Resources: {A: {Type: T, Properties: {X: {'Fn::Cidr': [a]}}}}", "the function Fn::Cidr in the Resources block is not supported here"},
		"unknown tag":              {"Resources: {A: {Type: T, Properties: {X: !Frob a}}}", "the function Fn::Frob in the Resources block is not supported here"},
		"unknown in outputs":       {someResource + "Outputs: {O: {Value: !GetAZs ''}}", "the function Fn::GetAZs in the Outputs block is not supported here"},
		"output of nothing":        {someResource + "Outputs: {O: {Value: !Ref B}}", "Unresolved resource dependencies [B] in the Outputs block of the template"},
		"output without value":     {someResource + "Outputs: {O: {Description: x}}", "[/Outputs/O] Every Outputs member must contain a Value object"},
		"output's export":          {someResource + "Outputs: {O: {Value: x, Export: {}}}", "[/Outputs/O/Export] must contain a Name."},
		"output's condition":       {someResource + "Outputs: {O: {Value: x, Condition: C}}", "Unresolved condition dependency C in the Outputs block"},
		"condition on a resource":  {someResource + "Conditions: {C: !Equals [!Ref A, x]}", "Unresolved dependencies [A]. Cannot reference resources in the Conditions block of the template"},
		"condition by attribute":   {someResource + "Conditions: {C: !Equals [!GetAtt A.Arn, x]}", "the function Fn::GetAtt cannot be used in the Conditions block"},
		"condition on nothing":     {someResource + "Conditions: {C: !Not [!Condition D]}", "Unresolved condition dependency D in the Conditions block"},
		"mapping too flat":         {someResource + "Mappings: {M: {a: b}}", "Every Mappings attribute must be a map"},
		"mapping too deep":         {someResource + "Mappings: {M: {a: {b: {c: d}}}}", "Every Mappings attribute must be a String or a List"},
		"function in a mapping":    {someResource + "Mappings: {M: {a: {b: !Ref A}}}", "Every Mappings attribute must be a String or a List"},
		"rule without assertions":  {someResource + "Rules: {R: {}}", "Every Rules object must contain an Assertions list."},
		"rule without assert":      {someResource + "Rules: {R: {Assertions: [{AssertDescription: x}]}}", "must contain an Assert member"},
		"rule on a resource":       {someResource + "Rules: {R: {Assertions: [{Assert: !Equals [!Ref A, x]}]}}", "Cannot reference resources in the Rules block"},
		"parameter type":           {someResource + "Parameters: {P: {Type: 'AWS::EC2::VPC::Id'}}", "Unrecognized parameter type: AWS::EC2::VPC::Id"},
		"parameter without type":   {someResource + "Parameters: {P: {Default: x}}", "Every Parameters object must contain a Type member."},
		"parameter attribute":      {someResource + "Parameters: {P: {Type: String, Pattern: x}}", "unsupported or invalid property 'Pattern'"},
		"parameter pattern":        {someResource + "Parameters: {P: {Type: String, AllowedPattern: '(?=x)'}}", "AllowedPattern is not a regular expression"},
		"parameter default":        {someResource + "Parameters: {P: {Type: String, Default: [a]}}", "Every Default member must be a string."},
		"allowed values":           {someResource + "Parameters: {P: {Type: String, AllowedValues: a}}", "AllowedValues must be a list."},
		"min length":               {someResource + "Parameters: {P: {Type: String, MinLength: a}}", "MinLength must be a number."},
		"too large":                {someResource + "#" + strings.Repeat("x", maxTemplate), "Template may not exceed 1000000 bytes in size."},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(test.template))
			if got := errorText(t, err); !strings.HasPrefix(got, "ValidationError: ") || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want a ValidationError with %q", got, test.want)
			}
		})
	}
}

func TestParseLimitsCounts(t *testing.T) {
	t.Parallel()
	resources := map[string]any{}
	for i := range 501 {
		resources["R"+strings.Repeat("x", i)] = map[string]any{"Type": "Test::Thing"}
	}
	body, err := json.Marshal(map[string]any{"Resources": resources})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Parse(body)
	want := "ValidationError: Template format error: Number of resources, 501, is greater than maximum allowed, 500"
	if got := errorText(t, err); len(body) < maxTemplate && got != want {
		t.Errorf("got %q", got)
	}
}
