package templates

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func renderOrganization(t *testing.T) Rendered {
	t.Helper()
	r, err := Organization(publication())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// member is the template within the organization's that each account gets.
func member(t *testing.T) []byte {
	t.Helper()
	doc := parse(t, renderOrganization(t).Body)
	body := at(t, doc, "Resources", "Accounts", "Properties", "TemplateBody").(string)
	if !strings.HasPrefix(body, "AWSTemplateFormatVersion") || len(body) > maxMember {
		t.Fatalf("%d bytes: %.80s", len(body), body)
	}
	return []byte(body)
}

func TestOrganizationIsGolden(t *testing.T) {
	got := renderOrganization(t)
	golden := filepath.Join("testdata", "organization.golden.yaml")
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
	if !regexp.MustCompile(`^organization/1\.4\.0-[0-9a-f]{12}\.yaml$`).MatchString(got.Key) || !strings.Contains(got.Key, got.SHA256[:12]) {
		t.Errorf("key %s of %s", got.Key, got.SHA256)
	}
	for _, word := range []string{"PLATFORM_", "TEMPLATE_", "REVOCATION_POLICY", "000000000000", "# @"} {
		if strings.Contains(string(got.Body), word) {
			t.Errorf("the rendering holds %q", word)
		}
	}
}

func types(t *testing.T, body []byte) map[string]string {
	t.Helper()
	got := map[string]string{}
	for name, r := range at(t, parse(t, body), "Resources").(map[string]any) {
		got[name] = at(t, r, "Type").(string)
	}
	return got
}

func TestOrganizationsResourcesAreTheListed(t *testing.T) {
	want := map[string]string{
		"Role": "AWS::IAM::Role", "RoleVerificationPolicy": "AWS::IAM::Policy", "RoleRevocationPolicy": "AWS::IAM::RolePolicy",
		"StackStarted": "Custom::RolecallStackStarted", "Member": "Custom::RolecallMember",
	}
	if d := cmp.Diff(want, types(t, member(t))); d != "" {
		t.Errorf("in each account: %s", d)
	}
	want["Accounts"] = "AWS::CloudFormation::StackSet"
	if d := cmp.Diff(want, types(t, renderOrganization(t).Body)); d != "" {
		t.Errorf("in the organization: %s", d)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range want {
		if !strings.Contains(string(readme), "| `"+name+"` |") {
			t.Errorf("README.md does not list %s", name)
		}
	}
}

// An account's role is a connection's role, but for the external ID, which is the account's own.
func TestAccountsRoleIsAConnectionsRole(t *testing.T) {
	statement := func(body []byte) map[string]any {
		list := at(t, parse(t, body), "Resources", "Role", "Properties", "AssumeRolePolicyDocument", "Statement").([]any)
		if len(list) != 1 {
			t.Fatalf("%d statements", len(list))
		}
		return list[0].(map[string]any)
	}
	want := statement(render(t).Body)
	at(t, want, "Condition", "StringEquals").(map[string]any)["sts:ExternalId"] = "${ExternalIdPrefix}-${AWS::AccountId}"
	for where, body := range map[string][]byte{"account": member(t), "management account": renderOrganization(t).Body} {
		if d := cmp.Diff(want, statement(body)); d != "" {
			t.Errorf("%s: %s", where, d)
		}
		for _, property := range []string{"ManagedPolicyArns", "Policies"} {
			a := at(t, parse(t, render(t).Body), "Resources", "Role", "Properties", property)
			b := at(t, parse(t, body), "Resources", "Role", "Properties", property)
			if d := cmp.Diff(a, b); d != "" {
				t.Errorf("%s, %s: %s", where, property, d)
			}
		}
		granted := at(t, parse(t, body), "Resources", "RoleVerificationPolicy", "Properties", "PolicyDocument", "Statement").([]any)
		last := granted[len(granted)-1].(map[string]any)
		if !slices.Equal(last["Action"].([]any), []any{"organizations:DescribeOrganization"}) {
			t.Errorf("%s may not say which organization it belongs to: %v", where, last)
		}
		started := at(t, parse(t, body), "Resources", "StackStarted", "Properties").(map[string]any)
		for name, value := range map[string]any{
			"ServiceTimeout": 300, "ServiceToken": "arn:${AWS::Partition}:sns:${AWS::Region}:111111111111:rolecall-callbacks",
			"EnrolmentId": "EnrolmentId", "CallbackToken": "EnrolmentToken", "TemplateVersion": OrganizationVersion,
		} {
			if reported := at(t, parse(t, body), "Resources", "Member", "Properties", name); started[name] != value || reported != value {
				t.Errorf("%s: %s is %v and %v, want %v", where, name, started[name], reported, value)
			}
		}
		if len(started) != 5 {
			t.Errorf("%s starts with %v", where, started)
		}
	}
}

func TestTheStackSetLetsAccountsFailAlone(t *testing.T) {
	p := at(t, parse(t, renderOrganization(t).Body), "Resources", "Accounts", "Properties").(map[string]any)
	want := map[string]any{
		"PermissionModel": "SERVICE_MANAGED", "AutoDeployment": map[string]any{"Enabled": true, "RetainStacksOnAccountRemoval": false},
		"OperationPreferences": map[string]any{"FailureTolerancePercentage": 100, "MaxConcurrentPercentage": 20},
		"Capabilities":         []any{"CAPABILITY_IAM"},
	}
	for name, value := range want {
		if d := cmp.Diff(value, p[name]); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	group := p["StackInstancesGroup"].([]any)
	if len(group) != 1 || !slices.Equal(at(t, group[0], "Regions").([]any), []any{"AWS::Region"}) {
		t.Errorf("groups %v", group)
	}
	// All parameters of an account's stack are given, and none other.
	var given []string
	for _, one := range p["Parameters"].([]any) {
		given = append(given, at(t, one, "ParameterKey").(string))
	}
	var asked []string
	for name := range at(t, parse(t, member(t)), "Parameters").(map[string]any) {
		asked = append(asked, name)
	}
	slices.Sort(given)
	slices.Sort(asked)
	if d := cmp.Diff(asked, given); d != "" {
		t.Error(d)
	}
}

func TestOrganizationsInPartitions(t *testing.T) {
	p := publication()
	p.Partition, p.Regions = "aws-us-gov", []string{"us-gov-west-1"}
	if _, err := Organization(p); err != nil {
		t.Error(err)
	}
	p.Partition, p.Regions = "aws-cn", []string{"cn-north-1"}
	if _, err := Organization(p); !errors.Is(err, ErrNoOrganizations) {
		t.Errorf("error %v", err)
	}
	p.PlatformAccount = "1"
	if _, err := Organization(p); err == nil || errors.Is(err, ErrNoOrganizations) {
		t.Errorf("error %v", err)
	}
}

func TestOrganizationPassesLint(t *testing.T) {
	lint, err := exec.LookPath("cfn-lint")
	if err != nil {
		t.Skip("cfn-lint is not installed")
	}
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "organization.yaml"), filepath.Join(dir, "member.yaml")}
	for i, body := range [][]byte{renderOrganization(t).Body, member(t)} {
		if err := os.WriteFile(files[i], body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), lint, files...).CombinedOutput(); err != nil {
		t.Errorf("cfn-lint: %v\n%s", err, out)
	}
}

func TestOrganizationHoldsNoWildcardPrincipalAndNoCode(t *testing.T) {
	for name, body := range map[string][]byte{"organization": renderOrganization(t).Body, "member": member(t)} {
		for _, found := range unwanted(name, parse(t, body)) {
			t.Error(found)
		}
	}
}
