package laptop_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

const (
	platformRoot = `{"AWS":"arn:aws:iam::111111111111:root"}`
	looks        = `"ec2:DescribeRegions","iam:GetRole"`
	asks         = looks + `,"iam:SimulatePrincipalPolicy"`
)

// A handmade role is one row: how it is made, and what Rolecall must make of it. ID in a condition stands for the
// connection's external ID.
type handmade struct {
	name      string
	principal string // platformRoot by default
	condition string // of the statement that allows AssumeRole; "" is none
	more      string // further statements
	rights    string // looks by default
	boundary  string // a permissions boundary's statement

	status string
	code   string // of what stands in the way, else the warning's
	trust  string // verdict of the check trust_policy; "" is any
	says   string // in the reason
}

const exactly = `"StringEquals":{"sts:ExternalId":"ID"}`

func handmades() []handmade {
	return []handmade{
		{name: "exact", condition: exactly, status: "enabled", trust: "passed"},
		{name: "StringEqualsIgnoreCase", condition: `"StringEqualsIgnoreCase":{"sts:ExternalId":"ID"}`, status: "enabled", trust: "passed"},
		{name: "two IDs", condition: `"StringEquals":{"sts:ExternalId":["ID","another-vendors-id"]}`, status: "enabled", trust: "passed", code: "TRUST_EXTRA_PRINCIPAL", says: "statement 1 (Sid Row) also accepts another external ID"},
		{name: "none", status: "failed", code: "EXTERNAL_ID_NOT_REQUIRED"},
		{name: "StringLike *", condition: `"StringLike":{"sts:ExternalId":"*"}`, status: "failed", code: "EXTERNAL_ID_IGNORED"},
		{name: "StringLike abc*", condition: `"StringLike":{"sts:ExternalId":"BEGIN*"}`, status: "failed", code: "EXTERNAL_ID_IGNORED"},
		{name: "StringLike *xyz", condition: `"StringLike":{"sts:ExternalId":"*END"}`, status: "failed", code: "TRUST_TOO_BROAD", trust: "failed", says: "statement 1 (Sid Row) admits account 111111111111 without asking"},
		{name: "StringEqualsIfExists", condition: `"StringEqualsIfExists":{"sts:ExternalId":"ID"}`, status: "failed", code: "EXTERNAL_ID_NOT_REQUIRED"},
		{name: "StringNotEquals", condition: `"StringNotEquals":{"sts:ExternalId":"another-vendors-id"}`, status: "failed", code: "EXTERNAL_ID_NOT_REQUIRED"},
		{name: "MFA only", condition: `"Bool":{"aws:MultiFactorAuthPresent":"true"}`, status: "failed", code: "ROLE_NOT_ASSUMABLE"},
		{name: "exact and a Deny", condition: exactly, more: `,{"Effect":"Deny","Principal":` + platformRoot + `,"Action":"sts:AssumeRole"}`, status: "failed", code: "ROLE_NOT_ASSUMABLE"},
		{name: "another vendor", principal: `{"AWS":"arn:aws:iam::444444444444:root"}`, condition: exactly, status: "failed", code: "ROLE_NOT_ASSUMABLE"},
		{name: "Principal * with the right ID", principal: `"*"`, condition: exactly, status: "failed", code: "TRUST_TOO_BROAD", trust: "failed", says: "statement 1 (Sid Row) admits any principal"},
		{name: "the same, GetRole not granted", principal: `"*"`, condition: exactly, rights: `"ec2:DescribeRegions"`, status: "enabled", code: "TRUST_UNREADABLE", trust: "unknown"},

		{name: "Regions denied", condition: exactly, rights: `"iam:GetRole"`, status: "failed", code: "REGIONS_DENIED"},
		{name: "permissions missing", condition: exactly, rights: asks, status: "failed", code: "PERMISSIONS_MISSING", says: "cloudformation:DescribeStacks"},
		{
			name: "permissions beyond the boundary", condition: exactly, rights: `"*"`, boundary: `{"Effect":"Allow","NotAction":"sqs:*","Resource":"*"}`,
			status: "failed", code: "PERMISSIONS_MISSING", says: "sqs:ListQueues",
		},
		{name: "permissions there", condition: exactly, rights: `"*"`, status: "enabled", trust: "passed"},
	}
}

// THREATS.md's table of trust policies, through the real flow: each role is made by hand in an account of its own,
// reported, and awaited to its verdict. IAM's patience is real time, so all rows wait together.
func TestTrustPolicyTable(t *testing.T) {
	t.Parallel()
	began := time.Now()
	rows := handmades()
	verdicts := make([]string, len(rows))
	var all sync.WaitGroup
	for i, row := range rows {
		all.Go(func() { // not t.Parallel, which would run as many rows at a time as there are processors
			t.Run(row.name, func(t *testing.T) { verdicts[i] = row.check(t, fmt.Sprintf("3333333333%02d", i)) })
		})
	}
	all.Wait()
	took := time.Since(began)
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ROLE\tVERDICT\tCODE\tTRUST_POLICY\tAFTER")
	for _, v := range verdicts {
		_, _ = fmt.Fprintln(w, v)
	}
	_ = w.Flush()
	t.Logf("%d roles in %s\n%s", len(rows), took.Round(time.Second), table.String())
	if took > 130*time.Second {
		t.Errorf("took %s", took)
	}
}

// check makes the role, reports it and answers its line of the table.
func (row handmade) check(t *testing.T, account string) string {
	began := time.Now()
	acme := as(t, "acme-trust-"+account)
	c := acme.create(row.name)
	role := row.make(t, account, c.ExternalID)
	if a := acme.call("PUT", "/v1/connections/"+c.ID+"/role", `{"roleArn":"`+role+`"}`); a.status != http.StatusOK && a.status != http.StatusAccepted {
		t.Fatalf("%d %s", a.status, a.body)
	}
	got := acme.settled(c.ID, 125*time.Second)
	code, message, trust := got.verdict()
	if got.Status != row.status || code != row.code || (row.trust != "" && trust != row.trust) {
		t.Errorf("%s %q, trust_policy %s; want %s %q, %s", got.Status, code, trust, row.status, row.code, row.trust)
	}
	if !strings.Contains(message, row.says) {
		t.Errorf("the reason %q does not say %q", message, row.says)
	}
	issued := acme.call("GET", "/v1/connections/"+c.ID+"/credentials", "").status
	if want := map[string]int{"enabled": http.StatusOK, "failed": http.StatusConflict}[got.Status]; issued != want {
		t.Errorf("credentials of a connection that is %s: %d", got.Status, issued)
	}
	return strings.Join([]string{row.name, got.Status, code, trust, time.Since(began).Round(time.Second).String()}, "\t")
}

// settled awaits the end of a verification. It asks rarely: many wait at the same time.
func (x tenant) settled(id string, within time.Duration) connection {
	x.t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		c := x.get(id)
		if c.Status != "verifying" {
			return c
		}
		select {
		case <-deadline:
			x.t.Fatalf("no verdict within %s: %+v", within, c)
		case <-tick.C:
		}
	}
}

// verdict is what stands in the way of a connection, or else what its trust policy is warned about.
func (c connection) verdict() (code, message, trust string) {
	for _, k := range c.Checks {
		if k.Name == "trust_policy" {
			code, message, trust = k.Code, k.Message, k.Verdict
		}
	}
	if c.StatusReason != nil {
		code, message = c.StatusReason.Code, c.StatusReason.Message
	}
	return code, message, trust
}

func (row handmade) make(t *testing.T, account, externalID string) string {
	t.Helper()
	principal, rights, condition := row.principal, row.rights, ""
	if principal == "" {
		principal = platformRoot
	}
	if rights == "" {
		rights = looks
	}
	if row.condition != "" {
		fill := strings.NewReplacer("BEGIN", externalID[:8], "END", externalID[len(externalID)-3:], `"ID"`, `"`+externalID+`"`)
		condition = `,"Condition":{` + fill.Replace(row.condition) + `}`
	}
	client := iam.NewFromConfig(awsConfig(account, "any", "", "us-east-1"))
	in := &iam.CreateRoleInput{
		RoleName: aws.String("Handmade"),
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Sid":"Row","Effect":"Allow","Principal":` + principal +
			`,"Action":"sts:AssumeRole"` + condition + `}` + row.more + `]}`),
	}
	if row.boundary != "" {
		made, err := client.CreatePolicy(context.Background(), &iam.CreatePolicyInput{
			PolicyName: aws.String("Boundary"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[` + row.boundary + `]}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		in.PermissionsBoundary = made.Policy.Arn
	}
	made, err := client.CreateRole(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.PutRolePolicy(context.Background(), &iam.PutRolePolicyInput{
		RoleName: in.RoleName, PolicyName: aws.String("rights"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` + rights + `],"Resource":"*"}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	return *made.Role.Arn
}

// A stack of our template passes all six checks with every permission set that it offers.
func TestEveryPermissionSetPassesAllChecks(t *testing.T) {
	acme := as(t, "acme-sets")
	for i, set := range []string{"read-only", "power-user", "administrator"} {
		var c connection
		acme.want(http.StatusCreated, "POST", "/v1/connections", fmt.Sprintf(`{"name":%q,"permissions":%q}`, set, set)).into(t, &c)
		theirs := customer{t, fmt.Sprintf("33333333339%d", i), c.Launch.Region}
		theirs.launch(c, nil)
		theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 20*time.Second)
		got := acme.get(c.ID)
		var names []string
		for _, k := range got.Checks {
			names = append(names, k.Name)
			if k.Verdict != "passed" || k.Code != "" {
				t.Errorf("%s: %s %s %s: %s", set, k.Name, k.Verdict, k.Code, k.Message)
			}
		}
		want := []string{"assume_role", "external_id_required", "external_id_matched", "regions", "trust_policy", "permissions"}
		if !slices.Equal(names, want) || got.Status != "enabled" {
			t.Errorf("%s: %s with the checks %v", set, got.Status, names)
		}
	}
}
