package templates

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func custom(t testing.TB, policy string) Set {
	t.Helper()
	s, err := Custom("Cost data", "reads bills and usage", policy, "aws")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// policy is a policy of the statements.
func policy(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

const describes = `{"Effect":"Allow","Action":"ec2:DescribeInstances","Resource":"*"}`

func TestCustomIsGolden(t *testing.T) {
	p := publication()
	set := custom(t, policy(
		`{"Sid":"Costs","Effect":"Allow","Action":["ce:GetCostAndUsage","ec2:Describe*"],"Resource":"*"}`,
		`{"Sid":"Reports","Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::*-reports/*","arn:aws:s3:::${aws:PrincipalTag/bucket}/*"]}`,
		`{"Sid":"NeverSecrets","Effect":"Deny","Action":"secretsmanager:Get*","Resource":"*"}`,
		`{"Sid":"Tagged","Effect":"Allow","Action":"ec2:StopInstances","Resource":"*","Condition":{"ForAnyValue:StringLikeIfExists":{"aws:TagKeys":["a: # b","c"]},"Bool":{"aws:SecureTransport":true}}}`,
	))
	p.Custom = &set
	r, err := Connection(p)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "connection.custom.golden.yaml")
	if *update {
		if err := os.WriteFile(golden, r.Body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(r.Body)); d != "" {
		t.Errorf("rendering changed (go test ./templates -update accepts it):\n%s", d)
	}
	if r.Key == render(t).Key {
		t.Error("another template under the same key")
	}
	doc := parse(t, r.Body)
	policies := at(t, doc, "Resources", "Role", "Properties", "Policies").([]any)
	last := policies[len(policies)-1].([]any)
	var written any
	if err := json.Unmarshal([]byte(set.Policy), &written); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(written, at(t, last[1], "PolicyDocument")); last[0] != "IsCustom" || d != "" {
		t.Errorf("the template's policy is not the one that was checked: %v %s", last[0], d)
	}
	sets := at(t, doc, "Parameters", "PermissionSet", "AllowedValues")
	if d := cmp.Diff([]any{"read-only", "power-user", "administrator", "custom"}, sets); d != "" {
		t.Error(d)
	}
}

func TestWhatIsMadeOfAPolicy(t *testing.T) {
	var many, first []string
	for i := range maxExpects + 5 {
		action := "ec2:Describe" + strings.Repeat("A", i)
		many = append(many, `"`+action+`"`)
		if i < maxExpects {
			first = append(first, action)
		}
	}
	tests := []struct {
		name, policy string
		expects      []string
		denied       []string
		warns        string
	}{
		{"explicit", policy(describes), []string{"ec2:DescribeInstances"}, nil, ""},
		{"a statement that is no list", `{"Version":"2012-10-17","Statement":` + describes + `}`, []string{"ec2:DescribeInstances"}, nil, ""},
		{"wildcards are not asked", policy(`{"Effect":"Allow","Action":["ec2:Describe*","s3:List?uckets"],"Resource":"*"}`), nil, nil, ""},
		{"single resources are not asked", policy(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}`), nil, nil, ""},
		{"conditions are not asked", policy(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"Null":{"aws:x":"true"}}}`), nil, nil, ""},
		{
			"what is denied is not asked", policy(describes, `{"Effect":"Allow","Action":["s3:GetObject","sqs:SendMessage"],"Resource":"*"}`,
				`{"Effect":"Deny","Action":["s3:get*","ec2:RunInstances"],"Resource":"*"}`),
			[]string{"ec2:DescribeInstances", "sqs:SendMessage"},
			[]string{"ec2:RunInstances", "s3:get*"},
			"",
		},
		{
			"denied by exception", policy(describes, `{"Effect":"Allow","Action":["s3:GetObject"],"Resource":"*"}`,
				`{"Effect":"Deny","NotAction":"ec2:*","Resource":"*"}`),
			[]string{"ec2:DescribeInstances"},
			nil, "",
		},
		{
			"denied actions are shown", policy(describes, `{"Effect":"Deny","Action":["s3:GetObject","kms:*"],"Resource":"*"}`,
				`{"Effect":"Deny","Action":"sqs:*","Resource":"arn:aws:sqs:*:*:q"}`),
			[]string{"ec2:DescribeInstances"},
			[]string{"kms:*", "s3:GetObject"},
			"",
		},
		{"at most so many", policy(`{"Effect":"Allow","Action":[` + strings.Join(many, ",") + `],"Resource":"*"}`), first, nil, ""},
		{"everything", policy(`{"Effect":"Allow","Action":"*","Resource":"*"}`), nil, nil, "everything in the account"},
		{"all of IAM", policy(`{"Effect":"Allow","Action":"iam:*","Resource":"*"}`), nil, nil, "change permissions"},
		{"one way to more", policy(`{"Effect":"Allow","Action":"iam:PutRole*","Resource":"*"}`), nil, nil, "change permissions"},
		{"a whole service", policy(`{"Effect":"Allow","Action":"sqs:*","Resource":"*"}`), nil, nil, "everything in some services"},
		{"all but", policy(`{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}`), nil, nil, "everything but"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := custom(t, tt.policy)
			if !slices.Equal(s.Expects, tt.expects) || !slices.Equal(s.DeniedActions(), tt.denied) {
				t.Errorf("expects %v, denies %v", s.Expects, s.DeniedActions())
			}
			if (s.Warning == "") != (tt.warns == "") || !strings.Contains(s.Warning, tt.warns) {
				t.Errorf("warns %q", s.Warning)
			}
		})
	}
}

// What functions are told of the set is all that they need, and its policy where there is room for it.
func TestOfferedIsWhatWasPublished(t *testing.T) {
	s := custom(t, policy(describes, `{"Effect":"Deny","Action":"s3:GetObject","Resource":"*"}`))
	long := custom(t, policy(describes, `{"Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::`+strings.Repeat("b", 2000)+`/*"]}`))
	for _, s := range []Set{s, long} {
		m, err := Offered(s.Offer())
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Policy) > 2000 {
			s.Policy = ""
		}
		if d := cmp.Diff(s, m.Sets[len(m.Sets)-1]); d != "" || len(m.Sets) != 4 {
			t.Errorf("%d sets, %s", len(m.Sets), d)
		}
		recipe, ok := m.ByHand(Order{Partition: "aws", Region: "eu-west-1", PermissionSet: CustomSet, RoleName: "r", TrustPolicy: "{}"})
		if ok != (s.Policy != "") || (ok && (!strings.Contains(recipe.CLI, s.Policy) || !strings.Contains(recipe.Terraform, "ec2:DescribeInstances"))) {
			t.Errorf("by hand: %t %s", ok, recipe.CLI)
		}
	}
	if m, err := Offered(""); err != nil || len(m.Sets) != 3 {
		t.Errorf("%d sets without one of the platform's own, %v", len(m.Sets), err)
	}
	for _, bad := range []string{"{", `{"name":"root"}`, "null"} {
		if _, err := Offered(bad); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

func TestNotesForWhoDeploys(t *testing.T) {
	long := policy(describes, `{"Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::`+strings.Repeat("b", 6200)+`/*"]}`)
	for _, c := range []struct{ policy, says string }{
		{policy(`{"Effect":"Allow","Action":"*","Resource":"*"}`), "customers are warned: May do everything"},
		{policy(`{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}`), "cannot tell"},
		{long, "too many for a managed policy"},
		{long, "customers have the template alone"},
	} {
		if notes := strings.Join(custom(t, c.policy).CustomNotes(), "\n"); !strings.Contains(notes, c.says) {
			t.Errorf("%.80s: %q", c.policy, notes)
		}
	}
	if notes := custom(t, policy(describes)).CustomNotes(); len(notes) != 0 {
		t.Errorf("notes about nothing: %q", notes)
	}
}

func TestPoliciesThatAreRefused(t *testing.T) {
	statement := func(members string) string { return policy(`{` + members + `}`) }
	cases := map[string][2]string{
		"not JSON":            {`{`, "JSON"},
		"a list":              {`[]`, "not a JSON object"},
		"something behind":    {policy(describes) + "x", ""},
		"two objects":         {policy(describes) + "{}", "behind"},
		"no version":          {`{"Statement":[` + describes + `]}`, "Version"},
		"the old version":     {`{"Version":"2008-10-17","Statement":[` + describes + `]}`, "Version"},
		"no statement":        {`{"Version":"2012-10-17"}`, "statement 1"},
		"no statements":       {policy(), "allows nothing"},
		"unknown member":      {`{"Version":"2012-10-17","Statement":[` + describes + `],"Ref":"X"}`, `"Ref"`},
		"version twice":       {`{"Version":"2012-10-17","Version":"2012-10-17","Statement":[` + describes + `]}`, "twice"},
		"only Deny":           {statement(`"Effect":"Deny","Action":"s3:*","Resource":"*"`), "allows nothing"},
		"a principal":         {statement(`"Effect":"Allow","Action":"s3:*","Resource":"*","Principal":"*"`), "Principal"},
		"no principal":        {statement(`"Effect":"Allow","Action":"s3:*","Resource":"*","NotPrincipal":"*"`), "NotPrincipal"},
		"another effect":      {statement(`"Effect":"allow","Action":"s3:*","Resource":"*"`), "Effect"},
		"no effect":           {statement(`"Action":"s3:*","Resource":"*"`), "Effect"},
		"no action":           {statement(`"Effect":"Allow","Resource":"*"`), "Action and NotAction"},
		"both actions":        {statement(`"Effect":"Allow","Action":"s3:*","NotAction":"s3:*","Resource":"*"`), "Action and NotAction"},
		"no resource":         {statement(`"Effect":"Allow","Action":"s3:*"`), "Resource and NotResource"},
		"empty actions":       {statement(`"Effect":"Allow","Action":[],"Resource":"*"`), "empty"},
		"any service":         {statement(`"Effect":"Allow","Action":"*:*","Resource":"*"`), "no action"},
		"part of a service":   {statement(`"Effect":"Allow","Action":"s*:Get","Resource":"*"`), "no action"},
		"no service":          {statement(`"Effect":"Allow","Action":"GetObject","Resource":"*"`), "no action"},
		"action a function":   {statement(`"Effect":"Allow","Action":{"Ref":"X"},"Resource":"*"`), "strings"},
		"resource a function": {statement(`"Effect":"Allow","Action":"s3:*","Resource":{"Fn::GetAtt":["Role","Arn"]}`), "strings"},
		"resource no ARN":     {statement(`"Effect":"Allow","Action":"s3:*","Resource":"bucket"`), "ARN"},
		"another partition":   {statement(`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws-cn:s3:::b"`), "partition"},
		"not ASCII":           {statement(`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b\u00fc"`), "ASCII"},
		"a newline":           {statement(`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b\nResources: {}"`), "ASCII"},
		"no operator":         {statement(`"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"Ref":"X"}`), "operator"},
		"half an operator":    {statement(`"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"NullIfExists":{"aws:x":"true"}}`), "operator"},
		"a function as key":   {statement(`"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"Fn::Sub":"x"}}`), "condition key"},
		"a reference as key":  {statement(`"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"Ref":"x"}}`), "condition key"},
		"value a function":    {statement(`"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:x":{"Ref":"X"}}}`), "strings"},
		"condition a list":    {statement(`"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":[]`), "Condition"},
		"odd Sid":             {statement(`"Sid":"a b","Effect":"Allow","Action":"s3:*","Resource":"*"`), "Sid"},
		"Sid twice":           {policy(`{"Sid":"A","Effect":"Allow","Action":"s3:*","Resource":"*"}`, `{"Sid":"A","Effect":"Allow","Action":"s3:*","Resource":"*"}`), "twice"},
		"a placeholder":       {statement(`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:iam::000000000000:role/x"`), "replaced"},
		"too long":            {statement(`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::` + strings.Repeat("b", 8_192) + `"`), "characters"},
		"too much denied":     {policy(describes, `{"Effect":"Deny","Action":["s3:`+strings.Repeat(`Get","s3:`, 300)+`Put"],"Resource":"*"}`), "wildcards"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Custom("Title", "does things", c[0], "aws")
			if err == nil || !strings.Contains(err.Error(), c[1]) {
				t.Errorf("%v, want a word about %q", err, c[1])
			}
		})
	}
	if _, err := Custom("Title", "does things", statement(`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws-cn:s3:::b"`), "aws-cn"); err != nil {
		t.Errorf("its own partition: %v", err)
	}
}

// Whatever policy is accepted, the template is YAML, holds that policy and none of CloudFormation's functions in it.
func FuzzCustom(f *testing.F) {
	f.Add(policy(describes))
	f.Add(policy(describes, `{"Sid":"D","Effect":"Deny","NotAction":["s3:*"],"NotResource":"arn:aws:s3:::b/${aws:username}","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`))
	f.Add(policy(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"Fn::Sub":"${X}"}}}`))
	f.Fuzz(func(t *testing.T, source string) {
		s, err := Custom("Title", "does things", source, "aws")
		if err != nil {
			return
		}
		p := publication()
		p.Custom = &s
		r, err := Connection(p)
		if err != nil {
			t.Fatalf("accepted, but not rendered: %v", err)
		}
		policies := at(t, parse(t, r.Body), "Resources", "Role", "Properties", "Policies").([]any)
		var written any
		if err := json.Unmarshal([]byte(s.Policy), &written); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(written, at(t, policies[len(policies)-1].([]any)[1], "PolicyDocument")); d != "" {
			t.Fatalf("rendered as another policy: %s", d)
		}
		var walk func(v any)
		walk = func(v any) {
			switch v := v.(type) {
			case map[string]any:
				for k, child := range v {
					if k == "Ref" || strings.HasPrefix(k, "Fn::") {
						t.Fatalf("a function of CloudFormation: %s", k)
					}
					walk(child)
				}
			case []any:
				for _, child := range v {
					walk(child)
				}
			}
		}
		walk(written)
	})
}
