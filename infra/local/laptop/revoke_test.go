package laptop_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"

	"rolecall/templates"
)

type sessionKeys struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Token           string
}

// works says whether a session may still do something in its account.
func (k sessionKeys) works() bool {
	client := dynamodb.NewFromConfig(awsConfig(k.AccessKeyID, k.SecretAccessKey, k.Token, "eu-west-1"))
	_, err := client.ListTables(context.Background(), &dynamodb.ListTablesInput{})
	return err == nil
}

func (x tenant) keys(id string) sessionKeys {
	x.t.Helper()
	var k sessionKeys
	x.want(http.StatusOK, "GET", "/v1/connections/"+id+"/credentials", "").into(x.t, &k)
	return k
}

// inlinePolicy is the text of one of the role's own policies; "" where there is none.
func (c customer) inlinePolicy(roleARN, policy string) string {
	c.t.Helper()
	name := roleARN[strings.LastIndex(roleARN, "/")+1:]
	out, err := iamOf(c.account).GetRolePolicy(context.Background(), &iam.GetRolePolicyInput{RoleName: &name, PolicyName: &policy})
	if missing := (*iamtypes.NoSuchEntityException)(nil); errors.As(err, &missing) {
		return ""
	}
	if err != nil {
		c.t.Fatal(err)
	}
	text, err := url.PathUnescape(*out.PolicyDocument)
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}

// sameJSON says whether two documents mean the same.
func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal([]byte(a), &x), json.Unmarshal([]byte(b), &y)); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}

func (x tenant) revoke(id string) (denied bool) {
	x.t.Helper()
	var out struct{ Denied bool }
	x.want(http.StatusOK, "POST", "/v1/connections/"+id+"/revoke-sessions", "").into(x.t, &out)
	return out.Denied
}

func (c customer) deleteStack(name string) {
	c.t.Helper()
	if _, err := c.cloudFormation().DeleteStack(context.Background(), &cloudformation.DeleteStackInput{StackName: &name}); err != nil {
		c.t.Fatal(err)
	}
}

// Sessions that are out are denied in the customer's account by the policy that the template declares, new ones are not, the customer's
// own revocation stays as it is, and nothing stands in the way when the customer deletes the stack at once.
func TestRevokedSessionsAreDenied(t *testing.T) {
	acme := as(t, "acme-revoke")
	var c connection
	acme.want(http.StatusCreated, "POST", "/v1/connections", `{"name":"Revoked","permissions":"administrator"}`).into(t, &c)
	theirs := customer{t, "222222222277", c.Launch.Region}
	theirs.launch(c, nil)
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 30*time.Second)
	made := acme.get(c.ID)
	if declared := theirs.inlinePolicy(made.RoleARN, templates.RevocationPolicy); !sameJSON(t, declared, templates.Revocation(templates.InertCutoff())) {
		t.Errorf("the template declares %s", declared)
	}
	old := acme.keys(c.ID)
	if !old.works() {
		t.Fatal("the session does not work to begin with")
	}
	name, console, own := made.RoleARN[strings.LastIndex(made.RoleARN, "/")+1:], "AWSRevokeOlderSessions", templates.Revocation(time.Unix(1, 0))
	if _, err := iamOf(theirs.account).PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: &console, PolicyDocument: &own}); err != nil {
		t.Fatal(err)
	}
	if denied := acme.revoke(c.ID); !denied || old.works() {
		t.Fatalf("denied %v, and yet the session works", denied)
	}
	if theirs.inlinePolicy(made.RoleARN, console) != own {
		t.Error("the customer's own revocation was overwritten")
	}
	eventually(t, 10*time.Second, "credentials again", func() bool {
		return acme.call("GET", "/v1/connections/"+c.ID+"/credentials", "").status == http.StatusOK
	})
	renewed := acme.keys(c.ID)
	if renewed == old || !renewed.works() {
		t.Error("a session made after the revocation does not work")
	}
	var live struct {
		Items []struct {
			AccessKeyID string `json:"accessKeyId"`
			ExpiresAt   time.Time
			Denied      bool
		}
	}
	acme.want(http.StatusOK, "GET", "/v1/connections/"+c.ID+"/sessions", "").into(t, &live)
	told := map[string]bool{}
	for _, s := range live.Items {
		told[s.AccessKeyID] = s.Denied
	}
	if denied, listed := told[old.AccessKeyID]; !listed || !denied || told[renewed.AccessKeyID] {
		t.Errorf("sessions that are out: %+v", live.Items)
	}
	if _, err := iamOf(theirs.account).DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: &console}); err != nil {
		t.Fatal(err)
	}
	acme.revoke(c.ID)
	theirs.deleteStack(c.Launch.StackName)
	theirs.await(made.Stack.ID, types.StackStatusDeleteComplete, 30*time.Second)
}

// A stack of a template that does not declare the policy can be deleted all the same: at once where the policy is lifted in time, which
// begins when CloudFormation has taken the answer to the Delete, and else once more.
func TestARevokedStackOfAnOlderTemplateIsDeleted(t *testing.T) {
	t.Parallel()
	older, err := os.ReadFile(filepath.Join("testdata", "connection-1.1.0.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, pause := range map[string]time.Duration{"at once": 0, "later": 3 * time.Second} {
		t.Run(name, func(t *testing.T) {
			acme := as(t, "acme-revoke-older")
			var c connection
			acme.want(http.StatusCreated, "POST", "/v1/connections", `{"name":"Revoked `+name+`","permissions":"administrator"}`).into(t, &c)
			theirs := customer{t, newAccount(), c.Launch.Region}
			theirs.launch(c, func(in *cloudformation.CreateStackInput) {
				in.TemplateURL, in.TemplateBody = nil, aws.String(string(older))
			})
			theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 60*time.Second)
			made := acme.get(c.ID)
			if old := acme.keys(c.ID); !acme.revoke(c.ID) || old.works() {
				t.Fatal("the session works")
			}
			time.Sleep(pause) // AWS's clock, which the cutoff is of, cannot be moved
			theirs.deleteStack(c.Launch.StackName)
			eventually(t, 60*time.Second, "an end", func() bool { return theirs.status(made.Stack.ID) != types.StackStatusDeleteInProgress })
			if reason := acme.get(c.ID).StatusReason; reason == nil || !strings.Contains(reason.Fix, "DELETE_FAILED") {
				t.Errorf("the page says %+v", reason)
			}
			if theirs.status(made.Stack.ID) == types.StackStatusDeleteFailed { // CloudFormation was faster: here it takes milliseconds
				eventually(t, 60*time.Second, "the policy lifted", func() bool { return theirs.inlinePolicy(made.RoleARN, templates.RevocationPolicy) == "" })
				theirs.deleteStack(made.Stack.ID)
			}
			theirs.await(made.Stack.ID, types.StackStatusDeleteComplete, 60*time.Second)
		})
	}
}

// A sign-in link is one that the federation endpoint takes.
func TestSignInLinksAreTaken(t *testing.T) {
	acme := as(t, "acme-sign-in")
	c := acme.create("Signed in to")
	theirs := customer{t, "222222222278", c.Launch.Region}
	theirs.launch(c, nil)
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 30*time.Second)
	var link struct{ URL string }
	acme.want(http.StatusOK, "POST", "/v1/connections/"+c.ID+"/sign-in", `{"issuer":"https://app.example.com"}`).into(t, &link)
	body, status := fetched(t, link.URL)
	if status != http.StatusOK || !strings.Contains(body, ":assumed-role/") || !strings.Contains(body, "https://console.aws.amazon.com/console/home?region=eu-west-1") {
		t.Errorf("%d %s", status, body)
	}
	session, err := json.Marshal(map[string]string{"sessionId": "ASIAUNKNOWN", "sessionKey": "x", "sessionToken": "y"})
	if err != nil {
		t.Fatal(err)
	}
	if _, status := fetched(t, pocket.AWSURL+"/federation?Action=getSigninToken&Session="+url.QueryEscape(string(session))); status != http.StatusBadRequest {
		t.Errorf("a made-up session: %d", status)
	}
	for _, l := range logs.all() {
		if parsed, err := url.Parse(link.URL); err == nil && strings.Contains(l, parsed.Query().Get("SigninToken")) {
			t.Error("the token is in a log")
		}
	}
}

func fetched(t *testing.T, link string) (body string, status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, link, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), resp.StatusCode
}
