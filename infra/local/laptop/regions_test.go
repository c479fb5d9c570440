package laptop_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// Stacks of one account in several Regions at the same time: each reports through its own Region's topic, and a link may be
// used in any Region that has one.
func TestStacksInSeveralRegions(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-regions")
	type launched struct {
		c    connection
		from customer
	}
	var all []launched
	for name, regions := range map[string][2]string{ // the connection's default Region, and where its link is used
		"Ireland": {"eu-west-1", "eu-west-1"}, "Virginia": {"us-east-1", "us-east-1"}, "Elsewhere": {"eu-west-1", "us-east-1"},
	} {
		var c connection
		acme.want(http.StatusCreated, "POST", "/v1/connections", `{"name":"`+name+`","defaultRegion":"`+regions[0]+`"}`).into(t, &c)
		l := launched{c, customer{t, "222222223301", regions[1]}}
		l.from.launch(c, nil)
		all = append(all, l)
	}
	roles := map[string]bool{}
	for _, l := range all {
		l.from.await(l.c.Launch.StackName, types.StackStatusCreateComplete, 60*time.Second)
		got := acme.get(l.c.ID)
		if got.Status != "enabled" || got.Stack == nil || got.Stack.Region != l.from.region {
			t.Errorf("%s: %s with a stack %+v, launched in %s", l.c.Name, got.Status, got.Stack, l.from.region)
		}
		roles[got.RoleARN] = true
	}
	if len(roles) != len(all) {
		t.Errorf("%d stacks made %d roles", len(all), len(roles))
	}
}

// A default Region that the customer has not enabled stands in nobody's way: the stack comes up in Rolecall's own, and the
// check of Regions asks where it is answered.
func TestADefaultRegionThatIsNotEnabled(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-opt-in")
	var c connection
	acme.want(http.StatusCreated, "POST", "/v1/connections", `{"name":"Milan","defaultRegion":"eu-south-1"}`).into(t, &c)
	if c.Launch.Region != "eu-west-1" {
		t.Fatalf("launched in %s", c.Launch.Region)
	}
	theirs := customer{t, "222222223302", c.Launch.Region}
	theirs.launch(c, nil)
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 60*time.Second)
	var got struct {
		Status  string
		Regions []string
	}
	acme.want(http.StatusOK, "GET", "/v1/connections/"+c.ID, "").into(t, &got)
	if got.Status != "enabled" || !slices.Contains(got.Regions, "eu-west-1") || slices.Contains(got.Regions, "eu-south-1") {
		t.Errorf("%s, Regions %v", got.Status, got.Regions)
	}
}

// A customer who has switched STS off for Rolecall's Region is told so, with what to do about it, and not that AWS is down: while
// the role is on trial, and when credentials are asked for. It says nothing about the role, so nothing is held against it.
func TestSTSThatIsSwitchedOff(t *testing.T) {
	t.Parallel()
	const account, code = "222222223303", "STS_REGION_DISABLED"
	acme := as(t, "acme-sts-off")
	pocket.IAM.SwitchSTS(account, "eu-west-1", false)
	c := acme.create("Switched off")
	role := pastedRole(t, account, "SwitchedOff", c.ExternalID, `"ec2:DescribeRegions","iam:GetRole"`)
	acme.want(http.StatusAccepted, "PUT", "/v1/connections/"+c.ID+"/role", `{"roleArn":"`+role+`"}`)
	var got connection
	eventually(t, 60*time.Second, "a reason", func() bool { got = acme.get(c.ID); return got.StatusReason != nil })
	if got.Status != "verifying" || got.StatusReason.Code != code || !strings.Contains(got.StatusReason.Fix, "Account settings") {
		t.Errorf("%s: %+v", got.Status, got.StatusReason)
	}
	pocket.IAM.SwitchSTS(account, "eu-west-1", true)
	eventually(t, 2*time.Minute, "enabled", func() bool { return acme.get(c.ID).Status == "enabled" })

	pocket.IAM.SwitchSTS(account, "eu-west-1", false)
	var p problem
	acme.want(http.StatusConflict, "GET", "/v1/connections/"+c.ID+"/credentials", "").into(t, &p)
	if p.Code != code || !strings.Contains(p.Fix, "Account settings") {
		t.Errorf("%+v", p)
	}
	acme.want(http.StatusOK, "POST", "/v1/connections/"+c.ID+"/verify", "")
	if got = acme.get(c.ID); got.Status != "enabled" {
		t.Errorf("then it is %s", got.Status)
	}
	pocket.IAM.SwitchSTS(account, "eu-west-1", true)
	eventually(t, 60*time.Second, "credentials, once the refusal stands no more", func() bool {
		return acme.call("GET", "/v1/connections/"+c.ID+"/credentials", "").status == http.StatusOK
	})
}
