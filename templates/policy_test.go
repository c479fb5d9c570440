package templates

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

func TestPolicyChangesInWords(t *testing.T) {
	const (
		bills   = `{"Sid":"Bills","Effect":"Allow","Action":["ce:GetCostAndUsage","ce:ListTagsForResource"],"Resource":"*"}`
		more    = `{"Sid":"Bills","Effect":"Allow","Action":["ce:GetCostAndUsage","cur:Describe*"],"Resource":"*"}`
		reports = `{"Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::b/*","arn:aws:s3:::a/*"]}`
		others  = `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::100%d/*"}`
		stops   = `{"Effect":"Allow","Action":"ec2:StopInstances","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":["eu-west-1","eu-north-1"]},"Bool":{"aws:SecureTransport":true}}}`
		secrets = `{"Effect":"Deny","Action":"secretsmanager:Get*","Resource":"*"}`
		allBut  = `{"Effect":"Deny","NotAction":["s3:*","ce:*"],"NotResource":"arn:aws:s3:::a/*"}`
	)
	for _, tt := range []struct {
		name          string
		before, after []string
		want          []string
	}{
		{"nothing", []string{bills, secrets}, []string{bills, secrets}, nil},
		{"other words for the same", []string{bills, reports}, []string{reports, `{"Effect":"Allow","Action":"ce:ListTagsForResource","Resource":"*"}`, `{"Effect":"Allow","Action":"ce:GetCostAndUsage","Resource":["*"]}`}, nil},
		{"actions", []string{bills}, []string{more}, []string{
			"With custom, the platform may also call cur:Describe*.", "With custom, the platform may no longer call ce:ListTagsForResource.",
		}},
		{"resources", []string{bills, reports}, []string{bills, others}, []string{
			"With custom, the platform may also call s3:GetObject on arn:aws:s3:::100%d/*.",
			"With custom, the platform may no longer call s3:GetObject on arn:aws:s3:::a/*, arn:aws:s3:::b/*.",
		}},
		{"a condition", []string{bills}, []string{bills, stops}, []string{
			"With custom, the platform may also call ec2:StopInstances if aws:SecureTransport Bool true and aws:RequestedRegion StringEquals eu-north-1 or eu-west-1.",
		}},
		{"denials", []string{bills, secrets}, []string{bills, allBut}, []string{
			"With custom, the platform is no longer denied secretsmanager:Get*.",
			"With custom, the platform is also denied everything but ce:*, s3:* on everything but arn:aws:s3:::a/*.",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			changes, err := PolicyChanges(custom(t, policy(tt.before...)).Policy, custom(t, policy(tt.after...)).Policy)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range changes {
				if c.Set != CustomSet {
					t.Errorf("of the set %q", c.Set)
				}
				got = append(got, c.Text)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
	if got, err := PolicyChanges("no policy", custom(t, policy(bills)).Policy); err == nil {
		t.Errorf("%v", got)
	}
}

// Whatever differs between two policies is told, and what does not is not; what one way grants, the other takes away.
func TestPolicyChangesMissNothing(t *testing.T) {
	statement := rapid.Custom(func(r *rapid.T) string {
		pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(r, label) }
		return `{"Effect":"` + pick("effect", "Allow", "Deny") + `","` + pick("element", "Action", "NotAction") + `":["` + pick("action", "s3:GetObject", "ec2:Describe*", "ce:*") +
			`"],"` + pick("on", "Resource", "NotResource") + `":"` + pick("resource", "*", "arn:aws:s3:::a/*") + `"` + pick("condition", "", `,"Condition":{"Bool":{"aws:SecureTransport":true}}`) + `}`
	})
	rapid.Check(t, func(r *rapid.T) {
		text := func(label string) ownPolicy {
			p, err := parsePolicy([]byte(policy(append(rapid.SliceOfN(statement, 0, 3).Draw(r, label), describes)...)), "aws")
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		before, after := text("before"), text("after")
		there, err := PolicyChanges(before.text(), after.text())
		back, err2 := PolicyChanges(after.text(), before.text())
		if err != nil || err2 != nil {
			r.Fatal(err, err2)
		}
		same := cmp.Equal(before.rights(), after.rights())
		if same != (len(there) == 0) || len(there) != len(back) {
			r.Fatalf("%s\n%s\n%v\n%v", before.text(), after.text(), there, back)
		}
		for _, c := range there {
			if strings.Contains(c.Text, "%!") || strings.Contains(c.Text, "\x00") {
				r.Fatal(c.Text)
			}
		}
	})
}

func TestAPolicyIsNamedByItsHash(t *testing.T) {
	s := custom(t, policy(describes))
	p := PublishedPolicy(s)
	if s.Digest != PolicyDigest(s.Policy) || len(s.Digest) != 16 || p.Key != "permissions/custom-"+s.Digest+".json" || string(p.Body) != s.Policy || !strings.HasPrefix(p.SHA256, s.Digest) {
		t.Errorf("%s at %s, %s", s.Digest, p.Key, p.SHA256)
	}
	if other := custom(t, policy(`{"Effect":"Allow","Action":"ec2:DescribeRegions","Resource":"*"}`)); other.Digest == s.Digest {
		t.Error("two policies of one name")
	}
	reworded, err := Custom("Another title", "reads other words", policy(describes), "aws")
	if err != nil || reworded.Digest != s.Digest {
		t.Errorf("the same policy has another name: %v", err)
	}
	m, err := Offered(custom(t, policy(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::`+strings.Repeat("a", maxOffered)+`/*"}`)).Offer())
	if last := m.Sets[len(m.Sets)-1]; err != nil || last.Policy != "" || last.Digest == "" {
		t.Errorf("a policy without room has no name: %v", err)
	}
}

// A role made by hand is given the policy by one command.
func TestPutPolicyCLI(t *testing.T) {
	m, err := Permissions()
	if err != nil {
		t.Fatal(err)
	}
	if cli := m.PutPolicyCLI("eu-west-1", "R"); cli != "" {
		t.Errorf("a platform without a policy of its own puts %s", cli)
	}
	s := custom(t, policy(describes))
	if cli := m.With(s).PutPolicyCLI("eu-west-1", "Role's"); !strings.Contains(cli, `--role-name 'Role'\''s' --policy-name RolecallCustom`) || !strings.Contains(cli, "'"+s.Policy+"'") {
		t.Error(cli)
	}
}

// Up to 1.1.0 the versions of the organization's template were its own: each has the manifest that it was rendered from.
func TestOrganizationChanges(t *testing.T) {
	for from, manifest := range map[string]string{"1.0.0": "1.2.0", "1.1.0": "1.3.0"} {
		got, ok := OrganizationChanges(from, OrganizationVersion)
		want, _ := Changes(manifest, Version)
		if d := cmp.Diff(want, got); d != "" || !ok || len(got) == 0 {
			t.Errorf("from %s: %t %s", from, ok, d)
		}
	}
	for _, from := range []string{OrganizationVersion, "", "1.2.0", "1.3.0", "9.0.0"} { // of which the two in between never were
		if got, ok := OrganizationChanges(from, OrganizationVersion); ok {
			t.Errorf("from %q: %v", from, got)
		}
	}
	cli := UpdateOrganizationCLI("eu-west-1", "arn:stack", "https://t.example/x.yaml")
	doc, count := parse(t, renderOrganization(t).Body), 0
	for name := range at(t, doc, "Parameters").(map[string]any) {
		count++
		if !strings.Contains(cli, `{"ParameterKey":"`+name+`","UsePreviousValue":true}`) {
			t.Errorf("%s is not kept", name)
		}
	}
	if strings.Count(cli, "ParameterKey") != count {
		t.Error(cli)
	}
}

// The same sources make the same bytes, and the archive holds what the folder does, with the platform's own set.
func TestModuleIsReproducible(t *testing.T) {
	p := publication()
	own := custom(t, policy(describes))
	for name, set := range map[string]*Set{"without": nil, "with": &own} {
		p.Custom = set
		a, err := Module(p)
		b, err2 := Module(p)
		if err != nil || err2 != nil || !bytes.Equal(a.Body, b.Body) || a.Key != ModuleKey(a.SHA256) {
			t.Fatalf("%s: %v %v %s %s", name, err, err2, a.SHA256, b.SHA256)
		}
		files, err := zip.NewReader(bytes.NewReader(a.Body), int64(len(a.Body)))
		if err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir("terraform")
		if err != nil || len(files.File) != len(entries) {
			t.Fatalf("%d files of %d: %v", len(files.File), len(entries), err)
		}
		for _, e := range entries {
			got, err := fs.ReadFile(files, e.Name())
			want, err2 := os.ReadFile(filepath.Join("terraform", e.Name()))
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			if e.Name() != "permission_sets.json" && !bytes.Equal(got, want) {
				t.Errorf("%s is not the folder's", e.Name())
			}
			if e.Name() == "permission_sets.json" && strings.Contains(string(got), "ec2:DescribeInstances\"") != (set != nil) {
				t.Errorf("%s: %s", name, got)
			}
		}
	}
	p.Partition = "nowhere"
	if _, err := Module(p); err == nil {
		t.Error("published for no partition")
	}
}

// Whatever a platform is called, the call is one that Terraform can read, in its own form.
func TestModuleCalls(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c := ModuleCall{
			URL: "https://t.s3.eu-west-1.amazonaws.com/terraform/1.zip", SHA256: strings.Repeat("a", 64), PlatformName: strange.Draw(r, "name"), PlatformAccount: "111111111111",
			ConnectionID: "conn_1", ExternalID: strange.Draw(r, "external"), PermissionSet: "read-only", RoleName: "rolecall-0-1",
		}
		text := c.Terraform()
		file, diags := hclsyntax.ParseConfig([]byte(text), "main.tf", hcl.InitialPos)
		if diags.HasErrors() {
			r.Fatal(diags)
		}
		if d := cmp.Diff(string(hclwrite.Format([]byte(text))), text); d != "" {
			r.Fatal(d)
		}
		call := file.Body.(*hclsyntax.Body).Blocks[0]
		for name, want := range map[string]string{"platform_name": c.PlatformName, "external_id": c.ExternalID, "source": c.URL + "?checksum=sha256:" + c.SHA256} {
			got, diags := call.Body.Attributes[name].Expr.Value(nil)
			if diags.HasErrors() || got.AsString() != norm.NFC.String(want) {
				r.Fatalf("%s is %q, want %q", name, got, want)
			}
		}
	})
}
