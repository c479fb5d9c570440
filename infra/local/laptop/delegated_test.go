package laptop_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// delegates makes an account a delegated administrator of StackSets, as the management account does with the command that
// templates/README.md names.
func (c customer) delegates(account string) {
	c.t.Helper()
	body := fmt.Appendf(nil, `{"AccountId":%q,"ServicePrincipal":"member.org.stacksets.cloudformation.amazonaws.com"}`, account)
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, pocket.AWSURL, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AWSOrganizationsV20161128.RegisterDelegatedAdministrator")
	sum := sha256.Sum256(body)
	key := aws.Credentials{AccessKeyID: c.account, SecretAccessKey: "any"}
	if err := v4.NewSigner().SignHTTP(c.t.Context(), key, req, hex.EncodeToString(sum[:]), "organizations", "us-east-1", now.Now()); err != nil {
		c.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		c.t.Fatalf("%s %s", resp.Status, answer)
	}
}

// A delegated administrator of StackSets connects the organization: all members, itself among them, but not the management
// account, which has a connection of its own and keeps it when the organization's stack is deleted.
func TestADelegatedAdministrator(t *testing.T) {
	t.Parallel()
	const organization, head, root = "o-d1e2l3e4g5", "320000000000", "r-de12"
	acme := as(t, "acme-delegated")
	made := tenant{t: t}.call("POST", "/_local/organizations", fmt.Sprintf(`{"id":%q,"managementAccount":%q,"root":%q,"count":3}`, organization, head, root))
	if made.status != http.StatusCreated {
		t.Fatalf("%d %s", made.status, made.body)
	}
	headOf, theirs := customer{t, head, "eu-west-1"}, customer{t, "320000000002", "eu-west-1"}
	if _, err := headOf.cloudFormation().ActivateOrganizationsAccess(t.Context(), &cloudformation.ActivateOrganizationsAccessInput{}); err != nil {
		t.Fatal(err)
	}
	var e enrolment
	body := fmt.Sprintf(`{"organizationId":%q,"organizationalUnitIds":[%q],"nameRule":"Delegated {accountId}"}`, organization, root)
	acme.want(http.StatusCreated, "POST", "/v1/enrolments", body).into(t, &e)

	// Before it is registered the account may not, and neither choice of Administrator gives it the management account's place.
	for i, why := range []string{"not a delegated administrator", "not the organization's management account"} {
		administrator := []string{"delegated-administrator", "management-account"}[i]
		early := e
		launch := *e.Launch
		launch.StackName, early.Launch = fmt.Sprint("early-", i), &launch
		theirs.administers(early, administrator)
		theirs.await(launch.StackName, types.StackStatusRollbackComplete, time.Minute)
		if reasons := strings.Join(theirs.reasons(launch.StackName), "\n"); !strings.Contains(reasons, why) {
			t.Errorf("as %s:\n%s", administrator, reasons)
		}
	}
	before := acme.enrolment(e.ID).Progress.Enabled

	headOf.delegates(theirs.account)
	theirs.administers(e, "delegated-administrator")
	theirs.await(e.Launch.StackName, types.StackStatusCreateComplete, time.Minute)
	if before != 0 {
		t.Errorf("%d accounts before the administrator was registered", before)
	}
	all := acme.accounts(e.ID)
	for n := range 3 {
		account := fmt.Sprintf("32%010d", n+1)
		if got := all[account]; got.Status != "enabled" {
			t.Errorf("%s: %+v", account, got)
		}
	}
	if _, there := all[head]; there || len(all) != 3 {
		t.Errorf("accounts %v", all)
	}
	resources, err := theirs.cloudFormation().DescribeStackResources(t.Context(), &cloudformation.DescribeStackResourcesInput{StackName: &e.Launch.StackName})
	if err != nil || len(resources.StackResources) != 1 || *resources.StackResources[0].ResourceType != "AWS::CloudFormation::StackSet" {
		t.Errorf("the administrator's own stack makes %+v %v", resources, err)
	}
	one := acme.get(all[theirs.account].ConnectionID)
	if one.Name != "Delegated "+theirs.account || !strings.Contains(one.Stack.ID, "stack/StackSet-") {
		t.Errorf("the administrator's own account: %+v", one)
	}
	theirs.onlyAsDelegate(e)

	c := acme.create("Management account")
	headOf.launch(c, nil)
	headOf.await(c.Launch.StackName, types.StackStatusCreateComplete, 30*time.Second)
	if got := acme.get(c.ID); got.Status != "enabled" || got.AccountID != head {
		t.Errorf("%s of %s", got.Status, got.AccountID)
	}
	if _, err := theirs.cloudFormation().DeleteStack(t.Context(), &cloudformation.DeleteStackInput{StackName: &e.Launch.StackName}); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "all disconnected", func() bool { return acme.enrolment(e.ID).Progress.Disconnected == 3 })
	if got := acme.get(c.ID).Status; got != "enabled" {
		t.Errorf("the management account is %s", got)
	}
}

// administers creates the organization's stack with the customer's answer to who creates it.
func (c customer) administers(e enrolment, administrator string) {
	c.t.Helper()
	in := parameters(e.Launch.Parameters)
	in = append(in, types.Parameter{ParameterKey: aws.String("Administrator"), ParameterValue: &administrator})
	if _, err := c.cloudFormation().CreateStack(context.Background(), &cloudformation.CreateStackInput{
		StackName: &e.Launch.StackName, TemplateURL: &e.Launch.TemplateURL, Parameters: in, Capabilities: []types.Capability{types.CapabilityCapabilityIam},
	}); err != nil {
		c.t.Fatal(err)
	}
}

// onlyAsDelegate asks for the stack set's stacks as AWS has a delegated administrator ask, and not so.
func (c customer) onlyAsDelegate(e enrolment) {
	c.t.Helper()
	out, err := c.cloudFormation().ListStackInstances(c.t.Context(), &cloudformation.ListStackInstancesInput{StackSetName: &e.Launch.StackName, CallAs: types.CallAsDelegatedAdmin})
	if err != nil || len(out.Summaries) != 3 {
		c.t.Errorf("%+v %v", out, err)
	}
	_, err = c.cloudFormation().ListStackInstances(c.t.Context(), &cloudformation.ListStackInstancesInput{StackSetName: &e.Launch.StackName})
	var missing *types.StackSetNotFoundException
	if !errors.As(err, &missing) {
		c.t.Errorf("as itself: %v", err)
	}
}
