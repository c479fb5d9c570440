package laptop_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"rolecall/templates"
)

// When a platform changes its own policy, the accounts of an organization say so; the way to it is the one stack that made
// theirs, and its update brings all of them the new policy.
func TestAnOrganizationsPolicyChanges(t *testing.T) {
	t.Parallel()
	const organization, head, root = "o-p1o2l3i4c5", "330000000000", "r-po12"
	acme := as(t, "acme-organization-policy")
	digest, address := acme.publishedSet()
	old := earlier(t, address)
	made := tenant{t: t}.call("POST", "/_local/organizations", fmt.Sprintf(`{"id":%q,"managementAccount":%q,"root":%q,"count":2}`, organization, head, root))
	if made.status != http.StatusCreated {
		t.Fatalf("%d %s", made.status, made.body)
	}
	theirs := customer{t, head, "eu-west-1"}
	if _, err := theirs.cloudFormation().ActivateOrganizationsAccess(t.Context(), &cloudformation.ActivateOrganizationsAccessInput{}); err != nil {
		t.Fatal(err)
	}
	var e enrolment
	body := fmt.Sprintf(`{"organizationId":%q,"organizationalUnitIds":[%q],"permissions":"custom"}`, organization, root)
	acme.want(http.StatusCreated, "POST", "/v1/enrolments", body).into(t, &e)
	current := e.Launch.TemplateURL
	e.Launch.TemplateURL = publishedBefore(t, current, old)
	theirs.createOrganizationStack(e)
	theirs.await(e.Launch.StackName, types.StackStatusCreateComplete, time.Minute)

	each := func() (out []connection) {
		t.Helper()
		all := acme.accounts(e.ID)
		for n := range 3 {
			out = append(out, acme.get(all[fmt.Sprintf("33%010d", n)].ConnectionID))
		}
		return out
	}
	command := ""
	for n, c := range each() {
		if c.Status != "enabled" || c.PolicyDigest != old.Digest || c.Stack.Update == nil {
			t.Fatalf("%s of %s: %+v", c.Status, c.PolicyDigest, c.Stack)
		}
		u := c.Stack.Update
		if u.From != u.To || u.TemplateURL != current || !slices.Contains(u.Changes, "With custom, the platform may no longer call budgets:ViewBudget.") {
			t.Errorf("%+v", u)
		}
		if (u.CLI != "") != (n == 0) || (u.UpdateURL != "") != (n == 0) {
			t.Errorf("account %d is told %+v", n, u)
		}
		command += u.CLI
	}
	shell(t, shimmedPath(t), command, head)
	theirs.await(e.Launch.StackName, types.StackStatusUpdateComplete, time.Minute)
	for n, c := range each() {
		if c.Status != "enabled" || c.PolicyDigest != digest || c.Stack.Update != nil {
			t.Errorf("account %d: %s with %s, %+v", n, c.Status, c.PolicyDigest, c.Stack.Update)
		}
	}
	if _, err := theirs.cloudFormation().DeleteStack(t.Context(), &cloudformation.DeleteStackInput{StackName: &e.Launch.StackName}); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "all disconnected", func() bool { return acme.enrolment(e.ID).Progress.Disconnected == 3 })
}

// publishedBefore publishes the organization's template as it was with another policy, beside the current one.
func publishedBefore(t *testing.T, current string, old templates.Set) string {
	t.Helper()
	was, err := templates.Organization(templates.Publication{
		Partition: "aws", PlatformAccount: "111111111111", PlatformName: "Rolecall", TopicName: "rolecall-callbacks", Regions: []string{"eu-west-1", "us-east-1"}, Custom: &old,
	})
	if err != nil {
		t.Fatal(err)
	}
	bucket, key := objectBehind(current)
	publishBefore(t, bucket, was.Key, was.Body)
	return strings.TrimSuffix(current, key) + was.Key
}
