package laptop_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"gopkg.in/yaml.v3"
)

const (
	organizationID = "o-a1b2c3d4e5"
	management     = "310000000000"
	rootUnit       = "r-ab12"
)

// member is the number of one of the organization's accounts, from 1.
func member(n int) string { return fmt.Sprintf("31%010d", n) }

type enrolment struct {
	ID, Status string
	Launch     *struct {
		QuickCreateURL, TemplateURL, StackName, Region, CLI string
		Parameters                                          map[string]string
	}
	Progress struct{ Accounts, Connecting, Enabled, Failed, Disconnected, Linked int }
}

type enrolledAccount struct {
	AccountID, Status, ConnectionID string
	RolledBack                      bool
	Reason                          *struct{ Code, Fix string }
}

func (x tenant) enrolment(id string) enrolment {
	x.t.Helper()
	var e enrolment
	x.want(http.StatusOK, "GET", "/v1/enrolments/"+id, "").into(x.t, &e)
	return e
}

// accounts reads all pages of an enrolment's accounts.
func (x tenant) accounts(id string) map[string]enrolledAccount {
	x.t.Helper()
	all := map[string]enrolledAccount{}
	for cursor := ""; ; {
		var page struct {
			Items      []enrolledAccount
			NextCursor string
		}
		x.want(http.StatusOK, "GET", "/v1/enrolments/"+id+"/accounts?limit=20"+cursor, "").into(x.t, &page)
		for _, a := range page.Items {
			all[a.AccountID] = a
		}
		if page.NextCursor == "" {
			return all
		}
		cursor = "&cursor=" + page.NextCursor
	}
}

func (x tenant) awaitAccount(id, account, status string, within time.Duration) {
	x.t.Helper()
	eventually(x.t, within, account+" "+status, func() bool { return x.accounts(id)[account].Status == status })
}

// control puts a service control policy on accounts that denies one action; "" takes it away.
func control(t testing.TB, action string, accounts ...string) {
	t.Helper()
	document := ""
	if action != "" {
		document = fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":%q,"Resource":"*"}}`, action)
	}
	for _, a := range accounts {
		if err := pocket.Organizations.Control(a, document); err != nil {
			t.Fatal(err)
		}
	}
}

// instances counts the stack set's stacks by status.
func (c customer) instances(name string) map[types.StackInstanceStatus]int {
	c.t.Helper()
	out, err := c.cloudFormation().ListStackInstances(context.Background(), &cloudformation.ListStackInstancesInput{StackSetName: &name})
	if err != nil {
		c.t.Fatal(err)
	}
	counts := map[types.StackInstanceStatus]int{}
	for _, i := range out.Summaries {
		counts[i.Status]++
	}
	return counts
}

// A whole organization by one stack: 50 accounts and the management account. Three may not say where they belong, two may
// not report at all, one is connected already, and one that belongs elsewhere has got hold of the token.
func TestAnOrganization(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-organization")
	makeOrganization(t)
	theirs := customer{t, management, "eu-west-1"}
	if _, err := theirs.cloudFormation().ActivateOrganizationsAccess(context.Background(), &cloudformation.ActivateOrganizationsAccessInput{}); err != nil {
		t.Fatal(err)
	}
	silent, mute := []string{member(11), member(22), member(33)}, []string{member(44), member(45)}
	control(t, "organizations:DescribeOrganization", silent...)
	control(t, "sns:Publish", mute...)
	known := acme.create("Known before")
	customer{t, member(7), known.Launch.Region}.launch(known, nil)
	eventually(t, time.Minute, "known account enabled", func() bool { return acme.get(known.ID).Status == "enabled" })

	var e enrolment
	body := fmt.Sprintf(`{"organizationId":%q,"organizationalUnitIds":[%q],"nameRule":"Member {accountId}"}`, organizationID, rootUnit)
	acme.want(http.StatusCreated, "POST", "/v1/enrolments", body).into(t, &e)
	began := time.Now()
	theirs.createOrganizationStack(e)
	outsider := customer{t, "399999999999", "eu-west-1"}
	outsider.presents(e, "stolen")

	eventually(t, 3*time.Minute, "45 accounts enabled", func() bool { return acme.enrolment(e.ID).Progress.Enabled == 45 })
	t.Logf("stack created → 45 accounts enabled in %s", time.Since(began).Round(time.Millisecond))
	theirs.await(e.Launch.StackName, types.StackStatusCreateComplete, 5*time.Minute)
	t.Logf("stack complete, with the accounts that had to be waited for, in %s", time.Since(began).Round(time.Millisecond))
	if got := theirs.instances(e.Launch.StackName); got[types.StackInstanceStatusCurrent] != 45 || got[types.StackInstanceStatusOutdated] != 5 {
		t.Errorf("instances %v", got)
	}
	outsider.await("stolen", types.StackStatusRollbackComplete, time.Minute)
	if reasons := strings.Join(outsider.reasons("stolen"), "\n"); !strings.Contains(reasons, "ORG_MISMATCH") {
		t.Errorf("the outsider's stack does not say why:\n%s", reasons)
	}
	checkMembers(t, acme, e, known, silent, mute, outsider.account)
	verdicts := acme.memberVerdicts(e.ID, map[string]string{
		member(1): "as it should be", management: "the management account", member(7): "connected already",
		silent[0]: "may not say where it belongs", outsider.account: "of another organization",
	})
	retryFailures(t, acme, theirs, e, silent)

	// Who joins is connected, who leaves is disconnected, and a revoked enrolment takes nobody.
	if err := pocket.Organizations.Join(organizationID, member(51), rootUnit); err != nil {
		t.Fatal(err)
	}
	acme.awaitAccount(e.ID, member(51), "enabled", time.Minute)
	pocket.Organizations.Leave(member(50))
	acme.awaitAccount(e.ID, member(50), "disconnected", time.Minute)
	acme.want(http.StatusNoContent, "DELETE", "/v1/enrolments/"+e.ID, "")
	if err := pocket.Organizations.Join(organizationID, member(52), rootUnit); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "refused", func() bool { return theirs.instances(e.Launch.StackName)[types.StackInstanceStatusOutdated] == 3 })
	late := verdict{method: "organization stack", outcome: "after revocation"}
	eventually(t, time.Minute, "why", func() bool { return theirs.refusal(e.Launch.StackName, member(52)) != "" })
	if late.code, late.fix = told([]string{"Member CREATE_FAILED: " + theirs.refusal(e.Launch.StackName, member(52))}); late.code != "ENROLMENT_REVOKED" || late.fix == "" {
		t.Errorf("the account that came too late was told %+v", late)
	}
	t.Logf("\n%s", table(append(verdicts, late)))
	after := acme.enrolment(e.ID)
	if line := acme.accounts(e.ID)[member(52)]; line.Status != "failed" || line.ConnectionID != "" || line.Reason == nil || line.Reason.Code != late.code {
		t.Errorf("the line of the account that came too late: %+v", line)
	}
	if after.Status != "revoked" || after.Launch != nil || after.Progress.Enabled != 48 {
		t.Errorf("after revocation: %+v", after)
	}

	if _, err := theirs.cloudFormation().DeleteStack(context.Background(), &cloudformation.DeleteStackInput{StackName: &e.Launch.StackName}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Minute, "all disconnected", func() bool { return acme.enrolment(e.ID).Progress.Enabled == 0 })
	eventually(t, time.Minute, "the link's end", func() bool { return acme.enrolment(e.ID).Progress.Linked == 0 })
	if got := acme.get(known.ID).Status; got != "enabled" {
		t.Errorf("the connection that was linked is %s", got)
	}
}

func makeOrganization(t *testing.T) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, pocket.APIURL+"/_local/organizations", strings.NewReader(
		fmt.Sprintf(`{"id":%q,"managementAccount":%q,"root":%q,"count":50}`, organizationID, management, rootUnit)))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatal(resp.Status)
	}
}

func (c customer) createOrganizationStack(e enrolment) {
	c.t.Helper()
	if _, err := c.cloudFormation().CreateStack(context.Background(), &cloudformation.CreateStackInput{
		StackName: &e.Launch.StackName, TemplateURL: &e.Launch.TemplateURL, Parameters: parameters(e.Launch.Parameters),
		Capabilities: []types.Capability{types.CapabilityCapabilityIam},
	}); err != nil {
		c.t.Fatal(err)
	}
}

// presents makes the stack that the stack set makes in each account, in an account where it does not belong.
func (c customer) presents(e enrolment, stack string) {
	c.t.Helper()
	var from connection
	answer{body: fmt.Appendf(nil, `{"launch":{"templateUrl":%q}}`, e.Launch.TemplateURL)}.into(c.t, &from)
	var doc struct {
		Resources struct {
			Accounts struct {
				Properties struct {
					TemplateBody string `yaml:"TemplateBody"`
				} `yaml:"Properties"`
			} `yaml:"Accounts"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal([]byte(template(c.t, from)), &doc); err != nil {
		c.t.Fatal(err)
	}
	in := map[string]string{}
	for _, name := range []string{"EnrolmentId", "ExternalIdPrefix", "EnrolmentToken", "PermissionSet"} {
		in[name] = e.Launch.Parameters[name]
	}
	if _, err := c.cloudFormation().CreateStack(context.Background(), &cloudformation.CreateStackInput{
		StackName: &stack, TemplateBody: &doc.Resources.Accounts.Properties.TemplateBody, Parameters: parameters(in),
		Capabilities: []types.Capability{types.CapabilityCapabilityIam},
	}); err != nil {
		c.t.Fatal(err)
	}
}

// memberVerdicts are lines of the table of methods, of accounts with what is the matter with each.
func (x tenant) memberVerdicts(id string, outcomes map[string]string) (out []verdict) {
	x.t.Helper()
	all := x.accounts(id)
	for _, account := range slices.Sorted(maps.Keys(outcomes)) {
		v := verdict{method: "organization stack", outcome: outcomes[account], status: all[account].Status}
		if r := all[account].Reason; r != nil {
			v.code, v.fix = r.Code, r.Fix
		}
		out = append(out, v)
	}
	return out
}

// refusal is why an account has no stack of a stack set, as the set tells it.
func (c customer) refusal(name, account string) string {
	c.t.Helper()
	out, err := c.cloudFormation().ListStackInstances(context.Background(), &cloudformation.ListStackInstancesInput{
		StackSetName: &name, StackInstanceAccount: &account,
	})
	if err != nil || len(out.Summaries) != 1 {
		c.t.Fatal(out, err)
	}
	return aws.ToString(out.Summaries[0].StatusReason)
}

func checkMembers(t *testing.T, acme tenant, e enrolment, known connection, silent, mute []string, outsider string) {
	t.Helper()
	all := acme.accounts(e.ID)
	for account, want := range map[string][2]string{
		management: {"enabled", ""}, member(1): {"enabled", ""}, member(7): {"linked", ""},
		silent[0]: {"failed", "ORG_DENIED"}, outsider: {"failed", "ORG_MISMATCH"},
	} {
		got := all[account]
		if got.Status != want[0] || (want[1] != "" && (got.Reason == nil || got.Reason.Code != want[1] || got.Reason.Fix == "")) {
			t.Errorf("%s: %+v, want %v", account, got, want)
		}
	}
	if all[member(7)].ConnectionID != known.ID {
		t.Errorf("linked to %s", all[member(7)].ConnectionID)
	}
	for _, account := range mute {
		if got, there := all[account]; there {
			t.Errorf("%s never reported: %+v", account, got)
		}
	}
	if p := acme.enrolment(e.ID).Progress; p.Accounts != 50 || p.Enabled != 45 || p.Linked != 1 || p.Failed != 4 {
		t.Errorf("progress %+v", p)
	}
	one := acme.get(all[member(1)].ConnectionID)
	prefix := e.Launch.Parameters["ExternalIdPrefix"]
	if one.Name != "Member "+member(1) || one.ExternalID != prefix+"-"+member(1) || len(one.Checks) != 7 || one.AccountID != member(1) {
		t.Errorf("connection %+v", one)
	}
	if last := one.Checks[len(one.Checks)-1]; last.Name != "organization" || last.Verdict != "passed" {
		t.Errorf("check %+v", last)
	}
	acme.want(http.StatusOK, "GET", "/v1/connections/"+one.ID+"/credentials", "")
	acme.want(http.StatusConflict, "GET", "/v1/connections/"+all[outsider].ConnectionID+"/credentials", "")
}

// retryFailures mends the accounts and runs the command that the platform gives, as printed where there is an AWS CLI.
func retryFailures(t *testing.T, acme tenant, theirs customer, e enrolment, mended []string) {
	t.Helper()
	control(t, "", mended...)
	var again struct {
		Verifying, Redeploy []string
		CLI                 string
	}
	acme.want(http.StatusOK, "POST", "/v1/enrolments/"+e.ID+"/retry", "").into(t, &again)
	if !slices.Equal(again.Redeploy, mended) || len(again.Verifying) != 0 {
		t.Errorf("to deploy again: %+v, want %v", again, mended)
	}
	theirs.redeploys(again.CLI, e, mended)
	for _, account := range mended {
		acme.awaitAccount(e.ID, account, "enabled", time.Minute)
	}
}

func (c customer) redeploys(command string, e enrolment, accounts []string) {
	c.t.Helper()
	if _, err := exec.LookPath("aws"); err == nil {
		run := exec.CommandContext(c.t.Context(), "bash", "-c", command)
		run.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+pocket.AWSURL, "AWS_ACCESS_KEY_ID="+c.account, "AWS_SECRET_ACCESS_KEY=any",
			"AWS_SESSION_TOKEN=", "AWS_PAGER=", "NO_PROXY=localhost,127.0.0.1")
		if out, err := run.CombinedOutput(); err != nil {
			c.t.Fatalf("%s\n%v\n%s", command, err, out)
		}
		return
	}
	var same []types.Parameter
	for _, name := range []string{"EnrolmentId", "ExternalIdPrefix", "EnrolmentToken", "PermissionSet"} {
		same = append(same, types.Parameter{ParameterKey: aws.String(name), UsePreviousValue: aws.Bool(true)})
	}
	if _, err := c.cloudFormation().UpdateStackSet(context.Background(), &cloudformation.UpdateStackSetInput{
		StackSetName: &e.Launch.StackName, UsePreviousTemplate: aws.Bool(true), Parameters: same, Regions: []string{c.region},
		Capabilities: []types.Capability{types.CapabilityCapabilityIam},
		DeploymentTargets: &types.DeploymentTargets{
			Accounts: accounts, OrganizationalUnitIds: []string{rootUnit}, AccountFilterType: types.AccountFilterTypeIntersection,
		},
		OperationPreferences: &types.StackSetOperationPreferences{FailureTolerancePercentage: aws.Int32(100), MaxConcurrentPercentage: aws.Int32(20)},
	}); err != nil {
		c.t.Fatal(err)
	}
}
