package laptop_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

type keySession struct {
	sessionKeys
	Limits []string
}

func (x tenant) keySession(id, body string) (s keySession) {
	x.t.Helper()
	x.want(http.StatusOK, "POST", "/v1/connections/"+id+"/credentials", body).into(x.t, &s)
	return s
}

// What is made from a long-lived key is a session of its user; narrowed, or to sign in, one of a federated user, which can
// do what both allow. A revocation says truly that what is out lives on, and until when.
func TestSessionsOfALongLivedKey(t *testing.T) {
	t.Parallel()
	const account = "055555555505"
	acme := as(t, "acme-key-sessions")
	pair := user(t, account, "rolecall", `"ec2:DescribeRegions","sts:GetFederationToken","dynamodb:ListTables"`)
	var c connection
	acme.want(http.StatusCreated, "POST", "/v1/connections", byKeys(t, "Sessions", account, pair)).into(t, &c)
	for name, tt := range map[string]struct {
		body, who string
		works     bool
	}{
		"whole":              {`{}`, "arn:aws:iam::" + account + ":user/rolecall", true},
		"read only":          {`{"readOnly":true}`, "arn:aws:sts::" + account + ":federated-user/rolecall-", true},
		"narrowed":           {`{"policy":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"dynamodb:ListTables","Resource":"*"}]}}`, "arn:aws:sts::" + account + ":federated-user/rolecall-", true},
		"narrowed too far":   {`{"policy":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}}`, "arn:aws:sts::" + account + ":federated-user/rolecall-", false},
		"by managed policy":  {`{"policyArns":["arn:aws:iam::aws:policy/ReadOnlyAccess"]}`, "arn:aws:sts::" + account + ":federated-user/rolecall-", true},
		"whole, and shorter": {`{"durationSeconds":900}`, "arn:aws:iam::" + account + ":user/rolecall", true},
	} {
		s := acme.keySession(c.ID, tt.body)
		who := aws.ToString(identity(t, s.AccessKeyID, s.SecretAccessKey, s.Token).Arn)
		if !strings.HasPrefix(who, tt.who) || s.works() != tt.works || !slices.Equal(s.Limits, []string{"no-iam"}) || s.AccessKeyID == pair.AccessKeyID {
			t.Errorf("%s: %s, works %t, limits %v", name, who, s.works(), s.Limits)
		}
	}
	if a := acme.call("POST", "/v1/connections/"+c.ID+"/sign-in", `{"reason":"look"}`); a.status >= 300 || !strings.Contains(string(a.body), "SigninToken=") {
		t.Errorf("sign-in: %d %s", a.status, a.body)
	}

	old := acme.keys(c.ID)
	var out struct {
		Denied     bool
		ValidUntil time.Time
		Fix        string
	}
	acme.want(http.StatusOK, "POST", "/v1/connections/"+c.ID+"/revoke-sessions", "").into(t, &out)
	if left := time.Until(out.ValidUntil); out.Denied || left < 50*time.Minute || left > time.Hour || out.Fix == "" || !old.works() {
		t.Errorf("%+v, and the session works: %t", out, old.works())
	}
	if renewed := acme.keys(c.ID); renewed == old || !renewed.works() {
		t.Error("the old session is handed out after the revocation")
	}
}

// A temporary key is handed out as it is, and for nothing else.
func TestSessionsOfATemporaryKey(t *testing.T) {
	t.Parallel()
	const account = "055555555506"
	acme := as(t, "acme-key-temporary")
	pair := user(t, account, "rolecall", `"ec2:DescribeRegions","sts:GetFederationToken"`).temporary(t)
	var c connection
	acme.want(http.StatusCreated, "POST", "/v1/connections", byKeys(t, "Temporary", account, pair)).into(t, &c)
	if got := acme.keys(c.ID); got.AccessKeyID != pair.AccessKeyID || got.Token != pair.SessionToken {
		t.Errorf("key %s", got.AccessKeyID)
	}
	for path, body := range map[string]string{"credentials": `{"readOnly":true}`, "sign-in": `{"reason":"look"}`} {
		if a := acme.want(http.StatusConflict, "POST", "/v1/connections/"+c.ID+"/"+path, body); !strings.Contains(string(a.body), "KEYS_NOT_RESTRICTABLE") {
			t.Errorf("%s: %s", path, a.body)
		}
	}
}

// An upgrade whose stack fails and is rolled back leaves the key serving; one that has passed is a connection by role, which
// ends with its stack.
func TestAnUpgradeFromKeysAndItsStack(t *testing.T) {
	t.Parallel()
	const account = "055555555507"
	acme := as(t, "acme-key-upgrade")
	pair := user(t, account, "rolecall", `"ec2:DescribeRegions"`)
	var c connection
	acme.want(http.StatusCreated, "POST", "/v1/connections", byKeys(t, "Upgrading", account, pair)).into(t, &c)
	path := "/v1/connections/" + c.ID
	acme.want(http.StatusCreated, "POST", path+"/launch", "").into(t, &c)
	theirs := customer{t, account, c.Launch.Region}
	theirs.launch(c, func(in *cloudformation.CreateStackInput) {
		for i, p := range in.Parameters {
			if *p.ParameterKey == "ExternalId" {
				in.Parameters[i].ParameterValue = aws.String("somebody-elses-external-id-000001")
			}
		}
	})
	eventually(t, 30*time.Second, "the stack rolled back", func() bool { return theirs.status(c.Launch.StackName) == types.StackStatusRollbackComplete })
	var kept keyConnection
	acme.want(http.StatusOK, "GET", path, "").into(t, &kept)
	if kept.Method != "access_key" || kept.Status != "enabled" || kept.AccessKey == nil || !keepsKey(t, c.ID) {
		t.Fatalf("%+v", kept)
	}
	acme.keys(c.ID)

	acme.want(http.StatusCreated, "POST", path+"/launch", "").into(t, &c)
	theirs.launch(c, nil)
	eventually(t, 30*time.Second, "a role", func() bool { return acme.get(c.ID).RoleARN != "" })
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 30*time.Second)
	acme.keys(c.ID)
	if _, err := theirs.cloudFormation().DeleteStack(context.Background(), &cloudformation.DeleteStackInput{StackName: &c.Launch.StackName}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "disconnected", func() bool { return acme.get(c.ID).Status == "disconnected" })
	acme.want(http.StatusConflict, "GET", path+"/credentials", "")
	if keepsKey(t, c.ID) {
		t.Error("the sealed key is still there")
	}
}
