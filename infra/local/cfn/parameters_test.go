package cfn

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParameters(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		declared string // of the parameter P
		given    []string
		want     string // the error after "ValidationError: ", or "" and P is accepted
	}{
		"default":                  {"{Type: String, Default: a}", nil, ""},
		"given":                    {"{Type: String}", []string{"P", "a"}, ""},
		"missing":                  {"{Type: String}", nil, "Parameters: [P] must have values"},
		"unknown":                  {"{Type: String, Default: a}", []string{"Q", "a", "R", "b"}, "Parameters: [Q, R] do not exist in the template"},
		"allowed":                  {"{Type: String, AllowedValues: [a, 1]}", []string{"P", "1"}, ""},
		"not allowed":              {"{Type: String, AllowedValues: [a, 1]}", []string{"P", "2"}, "Parameter 'P' must be one of AllowedValues"},
		"default not allowed":      {"{Type: String, Default: b, AllowedValues: [a]}", nil, "Parameter 'P' must be one of AllowedValues"},
		"constraint's description": {"{Type: String, AllowedValues: [a], ConstraintDescription: say a}", []string{"P", "b"}, "Parameter P failed to satisfy constraint: say a"},
		"pattern":                  {"{Type: String, AllowedPattern: '[a-z]+'}", []string{"P", "abc"}, ""},
		"pattern is whole":         {"{Type: String, AllowedPattern: '[a-z]+'}", []string{"P", "abc1"}, "Parameter 'P' must match pattern [a-z]+"},
		"pattern of alternatives":  {"{Type: String, AllowedPattern: '^$|^x$'}", []string{"P", ""}, ""},
		"pattern and newline":      {"{Type: String, AllowedPattern: '^[a-z]+$'}", []string{"P", "abc\n"}, "Parameter 'P' must match pattern ^[a-z]+$"},
		"too short":                {"{Type: String, MinLength: 3}", []string{"P", "äö"}, "Parameter 'P' must contain at least 3 characters"},
		"too long":                 {"{Type: String, MaxLength: '3'}", []string{"P", "abcd"}, "Parameter 'P' must contain at most 3 characters"},
		"runes":                    {"{Type: String, MaxLength: 3}", []string{"P", "äöü"}, ""},
		"huge":                     {"{Type: String}", []string{"P", strings.Repeat("x", 4097)}, "Parameter 'P' must not be longer than 4096 bytes"},
		"number":                   {"{Type: Number, MinValue: 900, MaxValue: 43200}", []string{"P", "3600"}, ""},
		"decimal":                  {"{Type: Number, MinValue: 0.5}", []string{"P", "-1.25"}, "Parameter 'P' must be a number not less than 0.5"},
		"too low":                  {"{Type: Number, MinValue: 900}", []string{"P", "899"}, "Parameter 'P' must be a number not less than 900"},
		"too high":                 {"{Type: Number, MaxValue: 43200}", []string{"P", "43201"}, "Parameter 'P' must be a number not greater than 43200"},
		"no number":                {"{Type: Number}", []string{"P", "x"}, "Parameter 'P' must be a number"},
		"enormous number":          {"{Type: Number}", []string{"P", "1e999999999"}, "Parameter 'P' must be a number"},
		"list":                     {"{Type: CommaDelimitedList, AllowedValues: [a, b]}", []string{"P", "a, b"}, ""},
		"list not allowed":         {"{Type: CommaDelimitedList, AllowedValues: [a, b]}", []string{"P", "a,c"}, "Parameter 'P' must be one of AllowedValues"},
		"from the parameter store": {"{Type: 'AWS::SSM::Parameter::Value<String>', Default: /cdk-bootstrap/hnb659fds/version}", nil, ""},
		"not in the store":         {"{Type: 'AWS::SSM::Parameter::Value<String>', Default: /x}", nil, "Unable to fetch parameters [/x] from parameter store for this account. (ParameterNotFound)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, _ := newTestEngine(t, testConfig())
			_, err := e.Create(t.Context(), testInput("s", someResource+"Parameters: {P: "+test.declared+"}", test.given...))
			want := test.want
			if want != "" {
				want = "ValidationError: " + want
			}
			if got := errorText(t, err); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// Java's patterns, and so CloudFormation's, repeat more often than Go's may.
func TestPatternsWithLongRepetitions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pattern  string
		yes, not []int // numbers of x
	}{
		{`^x{16,1024}$`, []int{16, 1000, 1001, 1024}, []int{15, 1025}},
		{`[a-z]{16,1024}`, []int{16, 1024}, []int{15, 1025}},
		{`\w{2048}`, []int{2048}, []int{2047, 2049}},
		{`x{1500,}`, []int{1500, 3000}, []int{1499}},
		{`^([xy]|[\]()z]){0,1100}$`, []int{0, 1100}, []int{1101}},
		{`(x(x)){2,1001}`, []int{4, 2002}, []int{2, 3, 2004}},
		{`x{2,5}x{1,1200}`, []int{3, 1205}, []int{2, 1206}},
		{`\p{L}{0,1024}`, []int{0, 1024}, []int{1025}},
	}
	for _, test := range tests {
		template, err := Parse([]byte(someResource + "Parameters: {P: {Type: String, AllowedPattern: '" + test.pattern + "'}}"))
		if err != nil {
			t.Errorf("%s: %v", test.pattern, err)
			continue
		}
		p := template.Parameters[0].pattern
		for _, n := range test.yes {
			if !p.MatchString(strings.Repeat("x", n)) {
				t.Errorf("%s as %s does not match %d", test.pattern, p, n)
			}
		}
		for _, n := range test.not {
			if p.MatchString(strings.Repeat("x", n)) {
				t.Errorf("%s as %s matches %d", test.pattern, p, n)
			}
		}
	}
}

func TestParametersAreShownWithoutSecrets(t *testing.T) {
	t.Parallel()
	e, things := newTestEngine(t, testConfig())
	template := `
Parameters:
  Secret: {Type: String, NoEcho: true}
  Version: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /cdk-bootstrap/hnb659fds/version}
  Open: {Type: String, Default: o}
Resources: {A: {Type: 'Test::Thing', Properties: {S: !Ref Secret, V: !Ref Version, O: !Ref Open}}}
`
	s := create(t, e, testInput("s", template, "Secret", "hunter2"), CreateComplete)
	want := []ParameterValue{{Key: "Secret", Value: "****"}, {Key: "Version", Value: "/cdk-bootstrap/hnb659fds/version", Resolved: "21"}, {Key: "Open", Value: "o"}}
	if diff := cmp.Diff(want, s.Parameters); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"S": "hunter2", "V": "21", "O": "o"}, things.alive["a-1"]); diff != "" {
		t.Error(diff)
	}

	// An update that keeps the secret keeps the true one, not the asterisks.
	in := testInput(s.ID, "", "Open", "p")
	in.PreviousTemplate, in.PreviousParameters = true, []string{"Secret"}
	update(t, e, in, UpdateComplete)
	if diff := cmp.Diff(map[string]any{"S": "hunter2", "V": "21", "O": "p"}, things.alive["a-1"]); diff != "" {
		t.Error(diff)
	}
}
