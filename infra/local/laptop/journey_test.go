package laptop_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// The main job: from a name to credentials and back, driven as the people concerned would.
func TestJourney(t *testing.T) {
	acme := as(t, "acme")
	c := acme.create("Production")
	theirs := customer{t, "222222222222", c.Launch.Region}

	began := time.Now()
	theirs.launch(c, nil)
	eventually(t, 30*time.Second, "enabled", func() bool { return acme.get(c.ID).Status == "enabled" })
	took := time.Since(began)
	t.Logf("stack created → enabled in %s", took.Round(time.Millisecond))
	if took > 5*time.Second {
		t.Errorf("took %s, want less than 5s", took)
	}
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 10*time.Second)

	got := acme.get(c.ID)
	if got.AccountID != "222222222222" || !strings.HasPrefix(got.RoleARN, "arn:aws:iam::222222222222:role/") || got.Launch != nil || len(got.Checks) != 6 {
		t.Errorf("%+v", got)
	}
	for _, k := range got.Checks {
		if k.Verdict != "passed" || k.Code != "" {
			t.Errorf("%s %s %s", k.Name, k.Verdict, k.Code)
		}
	}

	a := acme.want(http.StatusOK, "GET", "/v1/connections/"+c.ID+"/credentials", "")
	if a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("credentials with Cache-Control %q", a.header.Get("Cache-Control"))
	}
	var creds struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
		AccountID       string `json:"AccountId"`
		Expiration      time.Time
	}
	a.into(t, &creds)
	if left := creds.Expiration.Sub(now.Now()); left < 25*time.Minute || left > 31*time.Minute || creds.AccountID != "222222222222" {
		t.Errorf("account %s, %s left", creds.AccountID, left)
	}
	who := identity(t, creds.AccessKeyID, creds.SecretAccessKey, creds.Token)
	if aws.ToString(who.Account) != "222222222222" || !strings.Contains(aws.ToString(who.Arn), "/rolecall-acme") {
		t.Errorf("identity %s", aws.ToString(who.Arn))
	}

	update := c.Launch.Parameters
	update["MaxSessionDuration"] = "7200"
	_, err := theirs.cloudFormation().UpdateStack(context.Background(), &cloudformation.UpdateStackInput{
		StackName: &c.Launch.StackName, UsePreviousTemplate: aws.Bool(true), Parameters: parameters(update),
		Capabilities: []types.Capability{types.CapabilityCapabilityNamedIam},
	})
	if err != nil {
		t.Fatal(err)
	}
	theirs.await(c.Launch.StackName, types.StackStatusUpdateComplete, 20*time.Second)
	acme.want(http.StatusOK, "GET", "/v1/connections/"+c.ID+"/credentials", "")

	if _, err := theirs.cloudFormation().DeleteStack(context.Background(), &cloudformation.DeleteStackInput{StackName: &c.Launch.StackName}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "disconnected", func() bool { return acme.get(c.ID).Status == "disconnected" })
	refused := acme.want(http.StatusConflict, "GET", "/v1/connections/"+c.ID+"/credentials", "")
	if !strings.Contains(string(refused.body), `"CONNECTION_NOT_ENABLED"`) {
		t.Errorf("%s", refused.body)
	}

	// The stack's two resources report side by side; the first one's report is no news once the role's has come.
	var types []string
	for _, e := range acme.timeline(c.ID) {
		if e.Type != "connection.stack_started" {
			types = append(types, e.Type)
		}
	}
	want := []string{ // one session was handed out twice
		"connection.disconnected", "credentials.issued", "connection.enabled", "connection.role_reported", "connection.created",
	}
	if !slices.Equal(types, want) {
		t.Errorf("timeline\n %v, want\n %v", types, want)
	}
}

// Another role in an Update is a candidate: the connection moves to it once it is proven.
func TestAnUpdateThatReplacesTheRole(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-replace")
	c := acme.create("Replaced")
	theirs := customer{t, "222222222233", c.Launch.Region}
	theirs.launch(c, nil)
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 30*time.Second)
	before := acme.get(c.ID)
	update := c.Launch.Parameters
	update["RoleName"] = "NamedByTheCustomer"
	_, err := theirs.cloudFormation().UpdateStack(context.Background(), &cloudformation.UpdateStackInput{
		StackName: &c.Launch.StackName, UsePreviousTemplate: aws.Bool(true), Parameters: parameters(update),
		Capabilities: []types.Capability{types.CapabilityCapabilityNamedIam},
	})
	if err != nil {
		t.Fatal(err)
	}
	theirs.await(c.Launch.StackName, types.StackStatusUpdateComplete, 30*time.Second)
	after := acme.get(c.ID)
	if after.Status != "enabled" || after.RoleARN != "arn:aws:iam::222222222233:role/NamedByTheCustomer" || after.RoleARN == before.RoleARN {
		t.Errorf("%s with %s", after.Status, after.RoleARN)
	}
}

// A trust policy that asks for no external ID rolls the stack back, and its events say why and what to do.
func TestAWrongTrustPolicyRollsBack(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-wrong")
	c := acme.create("Wrong trust")
	theirs := customer{t, "222222222244", c.Launch.Region}
	text := strings.Replace(template(t, c), "StringEquals:\n                sts:ExternalId: !Ref ExternalId", "StringLike:\n                aws:PrincipalArn: '*'", 1)
	if text == template(t, c) {
		t.Fatal("the template has changed; this test no longer spoils it")
	}
	theirs.launch(c, func(in *cloudformation.CreateStackInput) { in.TemplateURL, in.TemplateBody = nil, &text })
	theirs.await(c.Launch.StackName, types.StackStatusRollbackComplete, 150*time.Second)
	reasons := strings.Join(theirs.reasons(c.Launch.StackName), "\n")
	for _, want := range []string{"EXTERNAL_ID_NOT_REQUIRED", "without an external ID", c.ExternalID} {
		if !strings.Contains(reasons, want) {
			t.Errorf("the stack's events do not say %q:\n%s", want, reasons)
		}
	}
	got := acme.get(c.ID)
	if got.Status != "disconnected" {
		t.Errorf("%s after the rollback", got.Status)
	}
	failed := false
	for _, e := range acme.timeline(c.ID) {
		failed = failed || (e.Type == "connection.failed" && e.Data["code"] == "EXTERNAL_ID_NOT_REQUIRED")
	}
	if !failed {
		t.Error("the timeline does not tell of the failure")
	}
}

// A second stack with a used link, and a stack in a Region that has no topic, are told what to do.
func TestALinkIsUsedOnce(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-twice")
	c := acme.create("Twice")
	theirs := customer{t, "222222222255", c.Launch.Region}
	theirs.launch(c, nil)
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 30*time.Second)
	theirs.launch(c, func(in *cloudformation.CreateStackInput) { in.StackName = aws.String("second") })
	theirs.await("second", types.StackStatusRollbackComplete, 30*time.Second)
	if reasons := strings.Join(theirs.reasons("second"), "\n"); !strings.Contains(reasons, "LAUNCH_USED") {
		t.Error(reasons)
	}
	if got := acme.get(c.ID); got.Status != "enabled" {
		t.Errorf("%s after the second stack", got.Status)
	}
	elsewhere := customer{t, "222222222255", "ap-south-1"}
	in := &cloudformation.CreateStackInput{
		StackName: aws.String("elsewhere"), TemplateURL: &c.Launch.TemplateURL, Parameters: parameters(c.Launch.Parameters),
		Capabilities: []types.Capability{types.CapabilityCapabilityNamedIam},
	}
	if _, err := elsewhere.cloudFormation().CreateStack(context.Background(), in); err == nil || !strings.Contains(err.Error(), "Region") {
		t.Errorf("a Region without a topic: %v", err)
	}
}

// A stack in another Region than Rolecall's own reports through its own Region's topic.
func TestAStackInAnotherRegion(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-region")
	var c connection
	acme.want(http.StatusCreated, "POST", "/v1/connections", `{"name":"Virginia","defaultRegion":"us-east-1"}`).into(t, &c)
	if c.Launch.Region != "us-east-1" {
		t.Fatalf("launched in %s", c.Launch.Region)
	}
	theirs := customer{t, "222222222266", c.Launch.Region}
	theirs.launch(c, nil)
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 30*time.Second)
	if got := acme.get(c.ID); got.Status != "enabled" || got.Stack.Region != "us-east-1" {
		t.Errorf("%s in %+v", got.Status, got.Stack)
	}
}

// Forged callbacks: whoever knows a connection's ids but not its token changes nothing.
func TestAForgedToken(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-forged")
	c := acme.create("Forged")
	theirs := customer{t, "222222222277", c.Launch.Region}
	c.Launch.Parameters["CallbackToken"] = "1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	theirs.launch(c, nil)
	theirs.await(c.Launch.StackName, types.StackStatusRollbackComplete, 30*time.Second)
	if reasons := strings.Join(theirs.reasons(c.Launch.StackName), "\n"); !strings.Contains(reasons, "CALLBACK_TOKEN_INVALID") {
		t.Error(reasons)
	}
	if got := acme.get(c.ID); got.Status != "pending" || got.Version != 1 {
		t.Errorf("%s, version %d", got.Status, got.Version)
	}
}

// A connection that is for one account: the stack and the role of any other are refused in words, bind nothing, and leave
// the link for the right one, which then connects by it.
func TestOnlyTheExpectedAccount(t *testing.T) {
	t.Parallel()
	const expected, stranger = "022222222255", "999999999955"
	acme := as(t, "acme-expected")
	if a := acme.want(http.StatusBadRequest, "POST", "/v1/connections", `{"name":"Ours","accountId":"111111111111"}`); !strings.Contains(string(a.body), "PLATFORM_ACCOUNT") {
		t.Errorf("the platform's own account: %s", a.body)
	}
	var c connection
	acme.want(http.StatusCreated, "POST", "/v1/connections", `{"name":"Expected","accountId":"`+expected+`"}`).into(t, &c)
	theirs := customer{t, stranger, c.Launch.Region}
	theirs.launch(c, nil)
	theirs.await(c.Launch.StackName, types.StackStatusRollbackComplete, 30*time.Second)
	if reasons := strings.Join(theirs.reasons(c.Launch.StackName), "\n"); !strings.Contains(reasons, "ACCOUNT_MISMATCH") || !strings.Contains(reasons, expected) {
		t.Errorf("the stack's events: %s", reasons)
	}
	got := acme.get(c.ID)
	if got.Status != "pending" || got.AccountID != "" || got.Stack != nil || got.Launch == nil || got.StatusReason == nil || got.StatusReason.Code != "ACCOUNT_MISMATCH" {
		t.Errorf("after the stranger's stack: %+v", got)
	}
	role := pastedRole(t, stranger, "Stray", c.ExternalID, `"ec2:DescribeRegions","iam:GetRole"`)
	if a := acme.want(http.StatusBadRequest, "PUT", "/v1/connections/"+c.ID+"/role", `{"roleArn":"`+role+`"}`); !strings.Contains(string(a.body), "ACCOUNT_MISMATCH") {
		t.Errorf("a pasted role: %s", a.body)
	}
	right := customer{t, expected, c.Launch.Region}
	right.launch(c, nil)
	right.await(c.Launch.StackName, types.StackStatusCreateComplete, 30*time.Second)
	if got := acme.get(c.ID); got.Status != "enabled" || got.AccountID != expected || got.StatusReason != nil {
		t.Errorf("after the right stack: %+v", got)
	}
}

// A role whose ARN is pasted by hand is tried at once.
func TestAPastedRole(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-paste")
	c := acme.create("Pasted")
	role := pastedRole(t, "222222222288", "Pasted", c.ExternalID, `"ec2:DescribeRegions","iam:GetRole"`)
	var got connection
	acme.want(http.StatusOK, "PUT", "/v1/connections/"+c.ID+"/role", `{"roleArn":"`+role+`"}`).into(t, &got)
	if got.Status != "enabled" || got.RoleARN != role {
		t.Errorf("%s %s", got.Status, got.RoleARN)
	}
	acme.want(http.StatusOK, "POST", "/v1/connections/"+c.ID+"/verify", "").into(t, &got)
	if got.Status != "enabled" || len(got.Checks) != 6 {
		t.Errorf("%s, %d checks", got.Status, len(got.Checks))
	}
	var issued struct{ AccountID string }
	acme.want(http.StatusOK, "GET", "/v1/connections/"+c.ID+"/credentials?durationSeconds=3600", "").into(t, &issued)
	if issued.AccountID != "222222222288" {
		t.Errorf("credentials of %s", issued.AccountID)
	}
}

// Another tenant that names somebody's role proves nothing with an external ID of its own, though it comes first: it is
// told what it is told of a role that does not exist, gets nothing, and stands in nobody's way. Within a tenant the role is
// one connection's.
func TestAnotherTenantsRole(t *testing.T) {
	t.Parallel()
	rightful, thief := as(t, "acme-rightful"), as(t, "acme-thief")
	c, second := rightful.create("Mine"), rightful.create("Second")
	stolen, guessed := thief.create("Mine"), thief.create("Guessed")
	role := pastedRole(t, "222222222299", "Wanted", c.ExternalID, `"ec2:DescribeRegions","iam:GetRole"`)
	body := `{"roleArn":"` + role + `"}`
	answers := map[string]answer{}
	var all sync.WaitGroup
	var mu sync.Mutex
	for id, arn := range map[string]string{stolen.ID: role, guessed.ID: strings.ReplaceAll(role, "Wanted", "Absent")} {
		all.Go(func() {
			a := thief.call("PUT", "/v1/connections/"+id+"/role", `{"roleArn":"`+arn+`"}`)
			mu.Lock()
			defer mu.Unlock()
			answers[id] = a
		})
		eventually(t, 15*time.Second, "the thief's role is on trial", func() bool { return thief.get(id).Status == "verifying" })
	}
	rightful.want(http.StatusOK, "PUT", "/v1/connections/"+c.ID+"/role", body)
	mine := rightful.get(c.ID)
	if mine.Status != "enabled" || mine.RoleARN != role {
		t.Errorf("the rightful one is %s with %s", mine.Status, mine.RoleARN)
	}
	if a := rightful.call("PUT", "/v1/connections/"+second.ID+"/role", body); a.status != http.StatusConflict || !strings.Contains(string(a.body), `"ROLE_IN_USE"`) {
		t.Errorf("a second connection of the tenant: %d %s", a.status, a.body)
	}
	all.Wait()
	told := map[string]string{}
	for id, a := range answers {
		var got connection
		a.into(t, &got)
		told[id] = fmt.Sprintf("%d %s", a.status, got.findings())
	}
	if told[stolen.ID] != told[guessed.ID] || !strings.HasPrefix(told[stolen.ID], "202 verifying") {
		t.Errorf("the thief was told of a role that exists\n%s\nand of one that does not\n%s", told[stolen.ID], told[guessed.ID])
	}
	verdict, other := thief.settled(stolen.ID, 125*time.Second), thief.settled(guessed.ID, 125*time.Second)
	if verdict.Status != "failed" || verdict.StatusReason.Code != "ROLE_NOT_ASSUMABLE" || verdict.findings() != other.findings() {
		t.Errorf("the thief's verdict\n%s\nand that of a role that does not exist\n%s", verdict.findings(), other.findings())
	}
	thief.want(http.StatusConflict, "GET", "/v1/connections/"+stolen.ID+"/credentials", "")
	if after := rightful.get(c.ID); after.Version != mine.Version || after.Status != "enabled" {
		t.Errorf("the rightful one is %s, version %d, was %d", after.Status, after.Version, mine.Version)
	}
	rightful.want(http.StatusOK, "GET", "/v1/connections/"+c.ID+"/credentials", "")
}

// findings is what a connection says of its role, but for the role's own name.
func (c connection) findings() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, account %q, role %t, %+v\n", c.Status, c.AccountID, c.RoleARN != "", c.StatusReason)
	for _, k := range c.Checks {
		fmt.Fprintf(&b, "%+v\n", k)
	}
	return strings.NewReplacer("Wanted", "ROLE", "Absent", "ROLE", c.ExternalID, "ID").Replace(b.String())
}
