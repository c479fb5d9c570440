package templates

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

// bodies are all templates that make a role, by where they run.
func bodies(t *testing.T) map[string][]byte {
	t.Helper()
	return map[string][]byte{"connection": render(t).Body, "member": member(t), "management account": renderOrganization(t).Body}
}

// Every template declares the policy that revoking overwrites, with the revoker's own text. The resource is spelt out here
// since it may never change: CloudFormation would write it anew, over a revocation that is in force.
func TestTemplatesDeclareTheInertRevocation(t *testing.T) {
	want := map[string]any{
		"RoleName": "Role", "PolicyName": "RolecallRevokedSessions",
		"PolicyDocument": map[string]any{
			"Version": "2012-10-17",
			"Statement": []any{map[string]any{
				"Effect": "Deny", "Action": "*", "Resource": "*",
				"Condition": map[string]any{"DateLessThan": map[string]any{"aws:TokenIssueTime": "1970-01-01T00:00:00Z"}},
			}},
		},
	}
	for where, body := range bodies(t) {
		resource := at(t, parse(t, body), "Resources", "RoleRevocationPolicy").(map[string]any)
		if d := cmp.Diff(want, resource["Properties"]); d != "" || resource["Type"] != "AWS::IAM::RolePolicy" {
			t.Errorf("%s: %v %s", where, resource["Type"], d)
		}
	}
	var text map[string]any
	if err := json.Unmarshal([]byte(Revocation(InertCutoff())), &text); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want["PolicyDocument"], any(text)); d != "" {
		t.Errorf("the revoker restores another text than the templates declare: %s", d)
	}
	if RevocationPolicy != want["PolicyName"] {
		t.Errorf("the revoker overwrites %s", RevocationPolicy)
	}
}

func TestRevocationsDifferInTheirDateAlone(t *testing.T) {
	got := Revocation(time.Date(2026, 11, 30, 13, 0, 1, 0, time.FixedZone("", 3600)))
	want := `{"Statement":[{"Action":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"2026-11-30T12:00:01Z"}},"Effect":"Deny","Resource":"*"}],"Version":"2012-10-17"}`
	if got != want {
		t.Error(got)
	}
}

// The report waits for all that it is about: the platform knows the stack, and nothing of the role is missing.
func TestReportsComeLast(t *testing.T) {
	for where, body := range bodies(t) {
		reports := "Member"
		if where == "connection" {
			reports = "Connection"
		}
		got := at(t, parse(t, body), "Resources", reports, "DependsOn")
		if d := cmp.Diff([]any{"StackStarted", "RoleVerificationPolicy", "RoleRevocationPolicy"}, got); d != "" {
			t.Errorf("%s: %s", where, d)
		}
		if first := at(t, parse(t, body), "Resources", "StackStarted").(map[string]any); first["DependsOn"] != nil {
			t.Errorf("%s: the start waits for %v", where, first["DependsOn"])
		}
	}
}

// What the management account's stack makes for itself it makes under one condition, or a delegated administrator would.
func TestTheManagementAccountsResourcesAreConditional(t *testing.T) {
	var doc struct {
		Resources map[string]struct {
			Condition string `yaml:"Condition"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(renderOrganization(t).Body, &doc); err != nil {
		t.Fatal(err)
	}
	for name, r := range doc.Resources {
		if conditional := r.Condition == "InManagementAccount"; conditional == (name == "Accounts") {
			t.Errorf("%s: condition %q", name, r.Condition)
		}
	}
}
