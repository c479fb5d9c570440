package laptop_test

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"rolecall/templates"
)

// update changes parameters of a stack.
func (c customer) update(stack string, change map[string]string) {
	c.t.Helper()
	c.updateStack(&cloudformation.UpdateStackInput{StackName: &stack, UsePreviousTemplate: aws.Bool(true)}, change)
}

// updateStack updates a stack, whose other parameters stay.
func (c customer) updateStack(in *cloudformation.UpdateStackInput, change map[string]string) {
	c.t.Helper()
	in.Capabilities = []types.Capability{types.CapabilityCapabilityNamedIam}
	out, err := c.cloudFormation().DescribeStacks(context.Background(), &cloudformation.DescribeStacksInput{StackName: in.StackName})
	if err != nil || len(out.Stacks) != 1 {
		c.t.Fatal(err)
	}
	for _, p := range out.Stacks[0].Parameters {
		given := types.Parameter{ParameterKey: p.ParameterKey, UsePreviousValue: aws.Bool(true)}
		if v, ok := change[*p.ParameterKey]; ok {
			given = types.Parameter{ParameterKey: p.ParameterKey, ParameterValue: &v}
		}
		in.Parameters = append(in.Parameters, given)
	}
	if _, err := c.cloudFormation().UpdateStack(context.Background(), in); err != nil {
		c.t.Fatal(err)
	}
}

// A stack of template 1.1.0 works, is upgraded, and from then on tells what the customer changes: which the connection
// says, and checks.
func TestAStackIsUpgraded(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-upgrade")
	c := acme.create("Upgraded")
	theirs := customer{t, "222222222311", c.Launch.Region}
	old, err := os.ReadFile(filepath.Join("testdata", "connection-1.1.0.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	theirs.launch(c, func(in *cloudformation.CreateStackInput) {
		in.TemplateURL, in.TemplateBody = nil, aws.String(string(old))
	})
	name := c.Launch.StackName
	theirs.await(name, types.StackStatusCreateComplete, 30*time.Second)
	got := acme.get(c.ID)
	if got.Status != "enabled" || got.Stack.TemplateVersion != "1.1.0" || got.Permissions != "read-only" {
		t.Fatalf("%s, %s of template %s", got.Status, got.Permissions, got.Stack.TemplateVersion)
	}

	u := got.Stack.Update
	if u == nil || u.From != "1.1.0" || u.To != templates.Version || len(u.Changes) != 4 || u.TemplateURL != c.Launch.TemplateURL ||
		!strings.Contains(u.UpdateURL, "#/stacks/update/template?stackId="+url.QueryEscape(got.Stack.ID)+"&templateURL="+url.QueryEscape(u.TemplateURL)) {
		t.Fatalf("the way to a newer template: %+v", u)
	}
	shell(t, shimmedPath(t), u.CLI, theirs.account)
	theirs.await(name, types.StackStatusUpdateComplete, 30*time.Second)
	got = acme.get(c.ID)
	if got.Stack.Update != nil {
		t.Errorf("still to be updated: %+v", got.Stack.Update)
	}
	if e := acme.timeline(c.ID)[0]; e.Type != "connection.stack_updated" || e.Data["from"] != "1.1.0" || e.Data["templateVersion"] != templates.Version {
		t.Errorf("%s %v", e.Type, e.Data)
	}
	if got.Status != "enabled" || got.Stack.TemplateVersion != templates.Version || got.Permissions != "read-only" {
		t.Errorf("upgraded: %s, %s of template %s", got.Status, got.Permissions, got.Stack.TemplateVersion)
	}

	theirs.update(name, map[string]string{"PermissionSet": "power-user"})
	theirs.await(name, types.StackStatusUpdateComplete, 30*time.Second)
	role := got.RoleARN
	got = acme.get(c.ID)
	if got.Status != "enabled" || got.Permissions != "power-user" || got.RequestedPermissions != "read-only" || got.RoleARN != role {
		t.Errorf("another set: %s, %s (asked for %s) with %s", got.Status, got.Permissions, got.RequestedPermissions, got.RoleARN)
	}
	event := acme.timeline(c.ID)[0]
	if event.Type != "connection.stack_updated" || event.Data["fromPermissions"] != "read-only" || event.Data["permissions"] != "power-user" {
		t.Errorf("%s %v", event.Type, event.Data)
	}
	acme.want(http.StatusOK, "POST", "/v1/connections/"+c.ID+"/verify", "").into(t, &got)
	for _, k := range got.Checks {
		if k.Verdict != "passed" {
			t.Errorf("%s %s %s", k.Name, k.Verdict, k.Message)
		}
	}
}

// A stack whose external ID is changed is rolled back, the role with it, and the connection goes on serving.
func TestAChangedExternalIDRollsBack(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-foreign")
	c := acme.create("Foreign")
	theirs := customer{t, "222222222322", c.Launch.Region}
	theirs.launch(c, nil)
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 30*time.Second)
	theirs.update(c.Launch.StackName, map[string]string{"ExternalId": "another-vendors-external-id", "PermissionSet": "power-user"})
	theirs.await(c.Launch.StackName, types.StackStatusUpdateRollbackComplete, 30*time.Second)
	reasons := strings.Join(theirs.reasons(c.Launch.StackName), "\n")
	for _, want := range []string{"EXTERNAL_ID_MISMATCH", c.ExternalID} {
		if !strings.Contains(reasons, want) {
			t.Errorf("the stack's events do not say %q:\n%s", want, reasons)
		}
	}
	var got connection
	acme.want(http.StatusOK, "POST", "/v1/connections/"+c.ID+"/verify", "").into(t, &got)
	if got.Status != "enabled" || got.StatusReason != nil || got.Permissions != "read-only" {
		t.Errorf("%s with %s: %+v", got.Status, got.Permissions, got.StatusReason)
	}
	acme.want(http.StatusOK, "GET", "/v1/connections/"+c.ID+"/credentials", "")
}

// Who is refused credentials by the customer's account has the connection looked at: its status tells of it at once.
func TestARefusalIsLookedInto(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-refused")
	c := acme.create("Refused")
	theirs := customer{t, "222222222333", c.Launch.Region}
	theirs.launch(c, nil)
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 30*time.Second)
	role := acme.get(c.ID).RoleARN
	_, err := iam.NewFromConfig(awsConfig(theirs.account, "any", "", "us-east-1")).UpdateAssumeRolePolicy(context.Background(), &iam.UpdateAssumeRolePolicyInput{
		RoleName:       aws.String(role[strings.LastIndex(role, "/")+1:]),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"444444444444"},"Action":"sts:AssumeRole"}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		acme.want(http.StatusForbidden, "GET", "/v1/connections/"+c.ID+"/credentials", "")
	}
	eventually(t, 20*time.Second, "the first strike", func() bool {
		got := acme.get(c.ID)
		return got.Status == "enabled" && got.StatusReason != nil && got.StatusReason.Code == "ROLE_NOT_ASSUMABLE"
	})
	denials := 0
	for _, e := range acme.timeline(c.ID) {
		if e.Type == "connection.denied" {
			denials++
		}
	}
	if denials != 1 {
		t.Errorf("%d strikes", denials)
	}
}

// A permission set of the platform's own is offered, granted and checked like the others.
func TestAPlatformsOwnPermissionSet(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-custom")
	var offer struct {
		PermissionSets []struct {
			Name, Title, Description, Warning string
			ManagedPolicies, DeniedActions    []string
		}
	}
	acme.want(http.StatusOK, "GET", "/v1/config", "").into(t, &offer)
	sets := offer.PermissionSets
	if len(sets) != 4 || sets[0].Name != "read-only" || !slices.Contains(sets[0].DeniedActions, "s3:GetObject") || sets[2].Warning == "" ||
		sets[3].Name != "custom" || sets[3].Title != "Cost data" || !slices.Equal(sets[3].DeniedActions, []string{"secretsmanager:Get*", "ssm:GetParameter*"}) {
		t.Errorf("%+v", sets)
	}
	var c connection
	acme.want(http.StatusCreated, "POST", "/v1/connections", `{"name":"Costs","permissions":"custom"}`).into(t, &c)
	theirs := customer{t, "222222222344", c.Launch.Region}
	theirs.launch(c, nil)
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 30*time.Second)
	got := acme.get(c.ID)
	if got.Status != "enabled" || got.Permissions != "custom" {
		t.Errorf("%s with %s", got.Status, got.Permissions)
	}
	for _, k := range got.Checks {
		if k.Verdict != "passed" {
			t.Errorf("%s %s %s", k.Name, k.Verdict, k.Message)
		}
	}

	role := iam.NewFromConfig(awsConfig(theirs.account, "any", "", "us-east-1"))
	name := aws.String(got.RoleARN[strings.LastIndex(got.RoleARN, "/")+1:])
	if _, err := role.DeleteRolePolicy(context.Background(), &iam.DeleteRolePolicyInput{RoleName: name, PolicyName: aws.String("RolecallCustom")}); err != nil {
		t.Fatal(err)
	}
	acme.want(http.StatusOK, "POST", "/v1/connections/"+c.ID+"/verify", "").into(t, &got)
	if r := got.StatusReason; r == nil || r.Code != "PERMISSIONS_MISSING" || !strings.Contains(r.Message, "ce:GetCostAndUsage") || strings.Contains(r.Fix, "managed policy") {
		t.Errorf("without its policy: %+v", r)
	}
}
