package templates

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

var update = flag.Bool("update", false, "write the golden file")

func publication() Publication {
	return Publication{
		Partition: "aws", PlatformAccount: "111111111111", PlatformName: "Acme Cloud (EU)", TopicName: "rolecall-callbacks",
		Regions: []string{"eu-west-1", "us-east-1"},
	}
}

func render(t *testing.T) Rendered {
	t.Helper()
	r, err := Connection(publication())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestConnectionIsGolden(t *testing.T) {
	got := render(t)
	golden := filepath.Join("testdata", "connection.golden.yaml")
	if *update {
		if err := os.WriteFile(golden, got.Body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got.Body)); d != "" {
		t.Errorf("rendering changed (go test ./templates -update accepts it):\n%s", d)
	}
	if again := render(t); again.SHA256 != got.SHA256 {
		t.Errorf("two renderings differ: %s, %s", got.SHA256, again.SHA256)
	}
}

func TestKeyNamesVersionAndContent(t *testing.T) {
	a := render(t)
	if !regexp.MustCompile(`^connection/1\.4\.0-[0-9a-f]{12}\.yaml$`).MatchString(a.Key) || !strings.Contains(a.Key, a.SHA256[:12]) {
		t.Errorf("key %q does not name version and SHA-256 %s", a.Key, a.SHA256)
	}
	p := publication()
	p.Regions = p.Regions[:1]
	b, err := Connection(p)
	if err != nil {
		t.Fatal(err)
	}
	if a.Key == b.Key {
		t.Errorf("two bodies share the key %s", a.Key)
	}
}

func TestNothingOfTheSourceIsLeft(t *testing.T) {
	body := string(render(t).Body)
	for _, word := range []string{"PLATFORM_", "TEMPLATE_", "REVOCATION_POLICY", "000000000000", "PERMISSION_SET", "# @"} {
		if !strings.Contains(connectionSource, word) {
			t.Errorf("the source does not hold %q: this test tests nothing", word)
		}
		if strings.Contains(body, word) {
			t.Errorf("the rendering holds %q", word)
		}
	}
}

func TestWhatCannotBePublished(t *testing.T) {
	cases := map[string]func(*Publication){
		"no partition":          func(p *Publication) { p.Partition = "" },
		"other partition":       func(p *Publication) { p.Partition = "aws-cn" },
		"short account":         func(p *Publication) { p.PlatformAccount = "1111" },
		"placeholder account":   func(p *Publication) { p.PlatformAccount = "000000000000" },
		"account with newline":  func(p *Publication) { p.PlatformAccount = "111111111111\n" },
		"no name":               func(p *Publication) { p.PlatformName = "" },
		"name with newline":     func(p *Publication) { p.PlatformName = "Acme\nResources: {}" },
		"name with colon":       func(p *Publication) { p.PlatformName = "Acme: x" },
		"name with comment":     func(p *Publication) { p.PlatformName = "Acme #1" },
		"name with quote":       func(p *Publication) { p.PlatformName = "Acme's" },
		"name with reference":   func(p *Publication) { p.PlatformName = "${AWS::AccountId}" },
		"name in other letters": func(p *Publication) { p.PlatformName = "Аcme" },
		"name ends in space":    func(p *Publication) { p.PlatformName = "Acme " },
		"long name":             func(p *Publication) { p.PlatformName = strings.Repeat("a", 65) },
		"topic with colon":      func(p *Publication) { p.TopicName = "a:b" },
		"no topic":              func(p *Publication) { p.TopicName = "" },
		"no Regions":            func(p *Publication) { p.Regions = nil },
		"Region twice":          func(p *Publication) { p.Regions = []string{"eu-west-1", "eu-west-1"} },
		"Region with bracket":   func(p *Publication) { p.Regions = []string{"eu-west-1]"} },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			p := publication()
			spoil(&p)
			if _, err := Connection(p); err == nil {
				t.Errorf("%+v was rendered", p)
			}
		})
	}
}

func TestEveryPartition(t *testing.T) {
	for partition, region := range map[string]string{"aws": "ap-southeast-2", "aws-us-gov": "us-gov-west-1", "aws-cn": "cn-north-1"} {
		p := publication()
		p.Partition, p.Regions = partition, []string{region}
		if _, err := Connection(p); err != nil {
			t.Errorf("%s: %v", partition, err)
		}
	}
}

func parse(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := yaml.Unmarshal(body, &doc); err != nil {
		t.Fatalf("not YAML: %v", err)
	}
	return doc
}

func at(t *testing.T, v any, path ...string) any {
	t.Helper()
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok || m[p] == nil {
			t.Fatalf("nothing at %v", path)
		}
		v = m[p]
	}
	return v
}

func TestResourcesAreTheListed(t *testing.T) {
	doc := parse(t, render(t).Body)
	got := map[string]string{}
	for name, r := range at(t, doc, "Resources").(map[string]any) {
		got[name] = at(t, r, "Type").(string)
	}
	want := map[string]string{
		"Role": "AWS::IAM::Role", "RoleVerificationPolicy": "AWS::IAM::Policy", "RoleRevocationPolicy": "AWS::IAM::RolePolicy",
		"StackStarted": "Custom::RolecallStackStarted", "Connection": "Custom::RolecallConnection",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// renderings are all that the tests render, by file.
func renderings(t *testing.T) map[string]map[string]any {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*.golden.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	all := map[string]map[string]any{}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = parse(t, body)
	}
	return all
}

var listedRE = regexp.MustCompile("(?m)^\\| `([A-Za-z]+)` \\| `((?:AWS|Custom)::[A-Za-z:]+)` \\|")

// README.md lists every resource of every template with its type, and none that is not there.
func TestReadmeListsEveryResource(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	listed, made := map[string]bool{}, map[string]bool{}
	for _, m := range listedRE.FindAllStringSubmatch(string(readme), -1) {
		listed[m[1]+" "+m[2]] = true
	}
	for file, doc := range renderings(t) {
		for name, r := range at(t, doc, "Resources").(map[string]any) {
			resource := name + " " + at(t, r, "Type").(string)
			made[resource] = true
			if !listed[resource] {
				t.Errorf("%s: README.md does not list %s", file, resource)
			}
		}
	}
	for resource := range listed {
		if !made[resource] {
			t.Errorf("README.md lists %s, which no template makes", resource)
		}
	}
}

func TestParametersAreTheContract(t *testing.T) {
	doc := parse(t, render(t).Body)
	defaults := map[string]any{}
	for name, p := range at(t, doc, "Parameters").(map[string]any) {
		defaults[name] = p.(map[string]any)["Default"]
		if p.(map[string]any)["NoEcho"] != nil {
			t.Errorf("%s is NoEcho, which a quick-create link cannot fill", name)
		}
	}
	want := map[string]any{
		"ConnectionId": nil, "ExternalId": nil, "CallbackToken": nil, "PermissionSet": "read-only", "RoleName": "",
		"RolePath": "/", "PermissionsBoundaryArn": "", "MaxSessionDuration": 3600,
	}
	if d := cmp.Diff(want, defaults); d != "" {
		t.Error(d)
	}
}

func TestTrustNamesThePlatformAndTheExternalID(t *testing.T) {
	doc := parse(t, render(t).Body)
	got := at(t, doc, "Resources", "Role", "Properties", "AssumeRolePolicyDocument", "Statement")
	want := []any{map[string]any{
		"Sid": "PlatformWithExternalId", "Effect": "Allow",
		"Principal": map[string]any{"AWS": "arn:${AWS::Partition}:iam::111111111111:root"},
		"Action":    []any{"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"},
		"Condition": map[string]any{
			"StringEquals": map[string]any{"sts:ExternalId": "ExternalId"},
			"ArnLike":      map[string]any{"aws:PrincipalArn": "arn:${AWS::Partition}:iam::111111111111:role/rolecall/*"},
		},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestNoWildcardPrincipalAndNoCode(t *testing.T) {
	for file, doc := range renderings(t) {
		for _, found := range unwanted(file, doc) {
			t.Error(found)
		}
	}
}

// unwanted is where a template admits everybody, or holds code that its reader would have to trust.
func unwanted(path string, v any) (found []string) {
	switch v := v.(type) {
	case map[string]any:
		for key, child := range v {
			if (key == "Principal" || key == "AWS") && everybody(child) {
				found = append(found, path+"."+key+" admits everybody")
			}
			if slices.Contains([]string{"ZipFile", "Code", "UserData", "InlineCode", "NotPrincipal", "NotAction", "Fn::Transform", "Transform"}, key) {
				found = append(found, path+"."+key)
			}
			found = append(found, unwanted(path+"."+key, child)...)
		}
	case []any:
		for _, child := range v {
			found = append(found, unwanted(path+"[]", child)...)
		}
	}
	return found
}

func everybody(principal any) bool {
	list, _ := principal.([]any)
	return principal == "*" || slices.ContainsFunc(list, func(one any) bool { return one == "*" })
}

func TestUnwantedIsFound(t *testing.T) {
	for _, text := range []string{
		"Principal: '*'", "Principal: {AWS: '*'}", "Principal: {AWS: ['*']}", "Principal: {AWS: ['arn:aws:iam::1:root', '*']}", "Principal: ['*']",
		"Role: {Statement: [{NotPrincipal: {AWS: x}}]}", "Function: {Code: {ZipFile: x}}",
	} {
		if len(unwanted("", parse(t, []byte(text)))) == 0 {
			t.Errorf("%s passes", text)
		}
	}
}

func TestCustomResourcesEndInTime(t *testing.T) {
	doc := parse(t, render(t).Body)
	for name, want := range map[string][]string{
		"StackStarted": {"CallbackToken", "ConnectionId", "ServiceTimeout", "ServiceToken", "TemplateVersion"},
		"Connection": {
			"CallbackToken", "ConnectionId", "ExternalId", "PermissionSet", "PermissionsBoundaryArn", "PolicyDigest", "RoleArn", "ServiceTimeout", "ServiceToken", "TemplateVersion",
		},
	} {
		props := at(t, doc, "Resources", name, "Properties").(map[string]any)
		var got []string
		for p := range props {
			got = append(got, p)
		}
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if props["ServiceTimeout"] != 300 {
			t.Errorf("%s: ServiceTimeout %v", name, props["ServiceTimeout"])
		}
		if want := "arn:${AWS::Partition}:sns:${AWS::Region}:111111111111:rolecall-callbacks"; props["ServiceToken"] != want {
			t.Errorf("%s: ServiceToken %v", name, props["ServiceToken"])
		}
	}
	for _, name := range []string{"StackStarted", "Connection"} {
		if v := at(t, doc, "Resources", name, "Properties", "TemplateVersion"); v != Version {
			t.Errorf("%s: TemplateVersion %v", name, v)
		}
	}
}

func TestDescriptionNamesWhoAsks(t *testing.T) {
	p := publication()
	p.PlatformName = strings.Repeat("a", 64)
	r, err := Connection(p)
	if err != nil {
		t.Fatal(err)
	}
	doc := parse(t, r.Body)
	description := at(t, doc, "Description").(string)
	if !strings.Contains(description, p.PlatformName) || !strings.Contains(description, p.PlatformAccount) {
		t.Errorf("description %q", description)
	}
	if len(description) > 1024 {
		t.Errorf("description of %d characters, CloudFormation takes 1024", len(description))
	}
	if len(r.Body) > 51_200 {
		t.Errorf("template of %d bytes cannot be given to CloudFormation directly", len(r.Body))
	}
}

// The source itself must not name a permission: the manifest does.
func TestManifestIsTheOnlySource(t *testing.T) {
	m, err := Permissions()
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range m.Sets {
		words := slices.Concat(set.ManagedPolicies, set.Expects, []string{set.Name})
		for _, d := range set.Deny {
			words = append(words, d.Actions...)
		}
		for _, w := range words {
			if strings.Contains(connectionSource, w) {
				t.Errorf("connection.yaml repeats %q", w)
			}
		}
	}
}

func TestReadOnlyReadsNoData(t *testing.T) {
	m, err := Permissions()
	if err != nil {
		t.Fatal(err)
	}
	denied := map[string]bool{}
	for _, set := range m.Sets {
		if set.Name != "read-only" {
			continue
		}
		if d := cmp.Diff([]string{"ReadOnlyAccess"}, set.ManagedPolicies); d != "" {
			t.Error(d)
		}
		for _, d := range set.Deny {
			for _, a := range d.Actions {
				denied[a] = true
			}
		}
	}
	for _, a := range []string{
		"s3:GetObject", "s3:GetObjectVersion", "secretsmanager:GetSecretValue", "ssm:GetParameter", "ssm:GetParametersByPath",
		"dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan", "lambda:GetFunction", "logs:GetLogEvents", "logs:FilterLogEvents",
		"sqs:ReceiveMessage", "kinesis:GetRecords", "kms:Decrypt", "ecr:BatchGetImage", "codecommit:GitPull",
	} {
		if !denied[a] {
			t.Errorf("read-only may call %s", a)
		}
	}
	rendered := string(render(t).Body)
	for a := range denied {
		if !strings.Contains(rendered, "- "+a+"\n") {
			t.Errorf("the template does not deny %s", a)
		}
	}
}

// IAM counts all inline policies of a role together, without white space: 10,240 characters.
func TestInlinePoliciesFit(t *testing.T) {
	doc := parse(t, render(t).Body)
	text, err := json.Marshal(at(t, doc, "Resources", "Role", "Properties", "Policies"))
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 9_000 { // leaves room for the verification policy and what a platform adds
		t.Errorf("inline policies of about %d characters", len(text))
	}
}

func TestManifestThatCannotBeRendered(t *testing.T) {
	base := `{"version":"1","default":"a","always":[{"sid":"A","reason":"R","actions":["iam:GetRole"],"resource":"role"}],` +
		`"sets":[{"name":"a","title":"A","description":"d","warning":"w","managedPolicies":["P"],"expects":["s3:ListBucket"],` +
		`"deny":[{"sid":"D","reason":"R","actions":["s3:GetObject"]}]}]}`
	if _, err := parseManifest([]byte(base)); err != nil {
		t.Fatalf("the base itself: %v", err)
	}
	cases := map[string][2]string{
		"unknown field":         {`"version"`, `"verzion"`},
		"wildcard action":       {`s3:GetObject`, `s3:*`},
		"action with newline":   {`s3:GetObject`, `s3:GetObject\n`},
		"sid with space":        {`"D"`, `"D D"`},
		"reason breaks out":     {`"reason":"R","actions":["s3`, `"reason":"R\nx","actions":["s3`},
		"resource elsewhere":    {`"role"`, `"arn:aws:iam::1:role/x"`},
		"default is no set":     {`"default":"a"`, `"default":"b"`},
		"policy breaks out":     {`"P"`, `"P'"`},
		"set's name breaks out": {`"name":"a"`, `"name":"a]"`},
		"no warning":            {`"warning":"w"`, `"warning":""`},
		"nothing expected":      {`["s3:ListBucket"]`, `[]`},
		"too much expected":     {`["s3:ListBucket"]`, `["s3:ListBucket"` + strings.Repeat(`,"s3:ListBucket"`, 25) + `]`},
		"expected wildcard":     {`s3:ListBucket`, `s3:List*`},
		"expected and denied":   {`s3:ListBucket`, `s3:GetObject`},
		"description with #":    {`"description":"d"`, `"description":"d # x"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			spoilt := strings.Replace(base, c[0], c[1], 1)
			if spoilt == base {
				t.Fatal("nothing was spoilt")
			}
			if _, err := parseManifest([]byte(spoilt)); err == nil {
				t.Errorf("accepted %s", spoilt)
			}
		})
	}
}

func TestCfnLint(t *testing.T) {
	lint, err := exec.LookPath("cfn-lint")
	if err != nil {
		t.Skip("cfn-lint is not installed")
	}
	files, err := filepath.Glob(filepath.Join("cloudformation", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	rendered, err := filepath.Glob(filepath.Join("testdata", "*.golden.yaml"))
	if err != nil || len(rendered) == 0 {
		t.Fatal(rendered, err)
	}
	args := append([]string{"--include-checks", "I", "--"}, slices.Concat(files, rendered)...)
	out, err := exec.CommandContext(t.Context(), lint, args...).CombinedOutput()
	if err != nil {
		t.Errorf("cfn-lint: %v\n%s", err, out)
	}
}
