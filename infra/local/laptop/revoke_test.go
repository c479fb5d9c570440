package laptop_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
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

// Sessions that are out are denied in the customer's account, new ones are not, and the policy does not stand in the way
// when the customer deletes the stack.
func TestRevokedSessionsAreDenied(t *testing.T) {
	acme := as(t, "acme-revoke")
	var c connection
	acme.want(http.StatusCreated, "POST", "/v1/connections", `{"name":"Revoked","permissions":"administrator"}`).into(t, &c)
	theirs := customer{t, "222222222277", c.Launch.Region}
	theirs.launch(c, nil)
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 30*time.Second)
	old := acme.keys(c.ID)
	if !old.works() {
		t.Fatal("the session does not work to begin with")
	}
	var out struct {
		Denied bool
		Code   string
	}
	acme.want(http.StatusOK, "POST", "/v1/connections/"+c.ID+"/revoke-sessions", "").into(t, &out)
	if !out.Denied || old.works() {
		t.Fatalf("denied %v %s, and yet the session works", out.Denied, out.Code)
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
	if _, err := theirs.cloudFormation().DeleteStack(context.Background(), &cloudformation.DeleteStackInput{StackName: &c.Launch.StackName}); err != nil {
		t.Fatal(err)
	}
	id := acme.get(c.ID).Stack.ID
	theirs.await(id, types.StackStatusDeleteComplete, 30*time.Second)
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
