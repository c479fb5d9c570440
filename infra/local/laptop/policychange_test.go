package laptop_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"rolecall/templates"
)

// earlier is the platform's own permission set as it was before its policy was changed, published as the deployment of
// that time did.
func earlier(t *testing.T, beside string) templates.Set {
	t.Helper()
	set, err := templates.Custom("Cost data", "reads bills and usage", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["ce:GetCostAndUsage","budgets:ViewBudget"],"Resource":"*"},
		{"Effect":"Deny","Action":["secretsmanager:Get*","ssm:GetParameter*"],"Resource":"*"}]}`, "aws")
	if err != nil {
		t.Fatal(err)
	}
	bucket, _ := objectBehind(beside)
	was := templates.PublishedPolicy(set)
	publishBefore(t, bucket, was.Key, was.Body)
	return set
}

// publishedSet is what config says of the platform's own set.
func (x tenant) publishedSet() (digest, address string) {
	x.t.Helper()
	var offer struct {
		PermissionSets []struct{ Name, PolicyDigest, PolicyURL string }
	}
	x.want(http.StatusOK, "GET", "/v1/config", "").into(x.t, &offer)
	for _, s := range offer.PermissionSets {
		if (s.PolicyDigest != "") != (s.Name == "custom") {
			x.t.Errorf("%+v", s)
		}
		if s.Name == "custom" {
			digest, address = s.PolicyDigest, s.PolicyURL
		}
	}
	return digest, address
}

// A platform changes its own policy, under the same template's version: stacks of before say so, with what changes, and
// come to it by the printed commands; so do roles that were made by hand. Nothing is missed of them meanwhile.
func TestAPlatformsOwnPolicyChanges(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-policy")
	digest, address := acme.publishedSet()
	body, err := fromBucket(t.Context(), address)
	if err != nil || templates.PolicyDigest(string(body)) != digest {
		t.Fatalf("published is %s: %v", body, err)
	}
	old := earlier(t, address)
	var c connection
	acme.want(http.StatusCreated, "POST", "/v1/connections", `{"name":"By stack","permissions":"custom"}`).into(t, &c)
	was, err := templates.Connection(templates.Publication{
		Partition: "aws", PlatformAccount: "111111111111", PlatformName: "Rolecall", TopicName: "rolecall-callbacks", Regions: []string{"eu-west-1", "us-east-1"}, Custom: &old,
	})
	if err != nil {
		t.Fatal(err)
	}
	theirs := customer{t, "222222222355", c.Launch.Region}
	name, module := c.Launch.StackName, c.Launch.TerraformModule
	theirs.launch(c, func(in *cloudformation.CreateStackInput) {
		in.TemplateURL, in.TemplateBody = nil, aws.String(string(was.Body))
	})
	theirs.await(name, types.StackStatusCreateComplete, 30*time.Second)
	want := []string{"With custom, the platform may no longer call budgets:ViewBudget."}
	changed := func(changes []string) bool {
		return slices.Contains(changes, want[0]) && slices.ContainsFunc(changes, func(s string) bool {
			return strings.HasPrefix(s, "With custom, the platform may also call ")
		})
	}
	c = acme.get(c.ID)
	u := c.Stack.Update
	if c.Status != "enabled" || c.PolicyDigest != old.Digest || u == nil || u.From != u.To || !changed(u.Changes) || c.PolicyUpdate != nil {
		t.Fatalf("%s with policy %s: %+v", c.Status, c.PolicyDigest, u)
	}
	acme.want(http.StatusOK, "POST", "/v1/connections/"+c.ID+"/verify", "").into(t, &c)
	if c.StatusReason != nil {
		t.Errorf("an earlier policy is held against the platform's new one: %+v", c.StatusReason)
	}
	shell(t, shimmedPath(t), u.CLI, theirs.account)
	theirs.await(name, types.StackStatusUpdateComplete, 30*time.Second)
	c = acme.get(c.ID)
	if c.Status != "enabled" || c.PolicyDigest != digest || c.Stack.Update != nil {
		t.Errorf("updated: %s with %s, %+v", c.Status, c.PolicyDigest, c.Stack.Update)
	}
	if e := acme.timeline(c.ID)[0]; e.Type != "connection.stack_updated" || e.Data["fromPolicyDigest"] != old.Digest || e.Data["policyDigest"] != digest {
		t.Errorf("%s %v", e.Type, e.Data)
	}

	var byHand connection
	acme.want(http.StatusCreated, "POST", "/v1/connections", `{"name":"By hand","permissions":"custom"}`).into(t, &byHand)
	const account = "222222222366"
	arn := printed(t, shimmedPath(t), byHand.Launch.CLI, account)
	path := "/v1/connections/" + byHand.ID
	acme.want(http.StatusOK, "PUT", path+"/role", `{"roleArn":"`+arn+`"}`).into(t, &byHand)
	if byHand.Status != "enabled" || byHand.PolicyDigest != digest || byHand.PolicyUpdate != nil {
		t.Fatalf("%s with %q: %+v", byHand.Status, byHand.PolicyDigest, byHand.PolicyUpdate)
	}
	setBack(t, byHand.ID, "policyDigest", old.Digest)
	byHand = acme.get(byHand.ID)
	if v := byHand.PolicyUpdate; v == nil || !changed(v.Changes) || v.PolicyURL != address || !strings.Contains(v.CLI, "put-role-policy") {
		t.Fatalf("%+v", v)
	}
	shell(t, shimmedPath(t), byHand.PolicyUpdate.CLI, account)
	acme.want(http.StatusOK, "PUT", path+"/role", `{"roleArn":"`+arn+`"}`)
	byHand = connection{}
	acme.want(http.StatusOK, "GET", path, "").into(t, &byHand)
	if byHand.PolicyDigest != digest || byHand.PolicyUpdate != nil || byHand.StatusReason != nil {
		t.Errorf("after: %q %+v %+v", byHand.PolicyDigest, byHand.PolicyUpdate, byHand.StatusReason)
	}
	if !strings.Contains(module, "?checksum=sha256:") {
		t.Error(module)
	}
}

// The module that is published is what the repository holds, with the platform's own set in it; what was changed on the
// way is not taken.
func TestThePublishedModule(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-published-module")
	var offer struct {
		TerraformModule struct{ Version, URL, SHA256 string }
	}
	acme.want(http.StatusOK, "GET", "/v1/config", "").into(t, &offer)
	m := offer.TerraformModule
	if m.Version != templates.Version || len(m.SHA256) != 64 || !strings.HasSuffix(m.URL, "/terraform/"+m.Version+"-"+m.SHA256[:12]+".zip") {
		t.Fatalf("%+v", m)
	}
	policy, err := os.ReadFile(filepath.Join("..", "..", "testdata", "custom-policy.json"))
	if err != nil {
		t.Fatal(err)
	}
	own, err := templates.Custom("Cost data", "reads bills and usage", string(policy), "aws")
	if err != nil {
		t.Fatal(err)
	}
	want, err := templates.Module(templates.Publication{
		Partition: "aws", PlatformAccount: "111111111111", PlatformName: "Rolecall", TopicName: "rolecall-callbacks", Regions: []string{"eu-west-1", "us-east-1"}, Custom: &own,
	})
	body, getErr := fromBucket(t.Context(), m.URL)
	if err != nil || getErr != nil || want.SHA256 != m.SHA256 || string(body) != string(want.Body) {
		t.Fatalf("%s is published, %s is rendered: %v %v", m.SHA256, want.SHA256, err, getErr)
	}
	c := acme.create("by module")
	spoilt := strings.Replace(c.Launch.TerraformModule, m.SHA256, strings.Repeat("0", 64), 1)
	if _, err := applied(t, fstest.MapFS{"main.tf": {Data: []byte(spoilt)}}, "222222222377", nil); err == nil || !strings.Contains(err.Error(), "Checksums did not match") {
		t.Errorf("another hash: %v", err)
	}
	arn := bySnippet(t, c.Launch.TerraformModule, "222222222377")
	acme.want(http.StatusOK, "PUT", "/v1/connections/"+c.ID+"/role", fmt.Sprintf(`{"roleArn":%q}`, arn)).into(t, &c)
	if c.Status != "enabled" || c.AccountID != "222222222377" {
		t.Errorf("%s of %s", c.Status, c.AccountID)
	}
}
