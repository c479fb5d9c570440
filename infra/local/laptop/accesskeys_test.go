package laptop_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// A keyPair is an access key as the customer has it.
type keyPair struct {
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
	SessionToken    string `json:"sessionToken,omitempty"`
	ExpiresAt       string `json:"expiresAt,omitempty"`
}

func (k keyPair) json(t testing.TB) string {
	t.Helper()
	b, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// user makes an IAM user that may do what actions say, with an access key.
func user(t testing.TB, account, name, actions string) keyPair {
	t.Helper()
	client := iam.NewFromConfig(awsConfig(account, "any", "", "us-east-1"))
	if _, err := client.CreateUser(context.Background(), &iam.CreateUserInput{UserName: &name}); err != nil {
		t.Fatal(err)
	}
	_, err := client.PutUserPolicy(context.Background(), &iam.PutUserPolicyInput{
		UserName: &name, PolicyName: aws.String("rights"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` + actions + `],"Resource":"*"}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	return newKey(t, account, name)
}

// newKey makes a further access key of a user; of the account's root where the name is "".
func newKey(t testing.TB, account, name string) keyPair {
	t.Helper()
	in := &iam.CreateAccessKeyInput{}
	if name != "" {
		in.UserName = &name
	}
	made, err := iam.NewFromConfig(awsConfig(account, "any", "", "us-east-1")).CreateAccessKey(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return keyPair{AccessKeyID: *made.AccessKey.AccessKeyId, SecretAccessKey: *made.AccessKey.SecretAccessKey}
}

func byKeys(t testing.TB, name, account string, k keyPair) string {
	t.Helper()
	return `{"name":"` + name + `","method":"access_key","accountId":"` + account + `","accessKey":` + k.json(t) + `}`
}

type keyConnection struct {
	connection
	Method    string
	AccessKey *struct {
		AccessKeyID string `json:"accessKeyId"`
		SetAt       time.Time
		AgeDays     int
		ExpiresAt   *time.Time
	}
}

// A connection by access key is enabled at once, gives sessions and never the pair itself.
func TestAConnectionByAccessKey(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-keys")
	const account = "055555555501"
	pair := user(t, account, "rolecall", `"ec2:DescribeRegions"`)
	var c keyConnection
	a := acme.want(http.StatusCreated, "POST", "/v1/connections", byKeys(t, "By key", account, pair))
	a.into(t, &c)
	if c.Status != "enabled" || c.Method != "access_key" || c.AccountID != account || c.Launch != nil || c.AccessKey == nil || c.AccessKey.AccessKeyID != pair.AccessKeyID {
		t.Fatalf("%s", a.body)
	}
	var creds struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
		AccountID       string `json:"AccountId"`
	}
	acme.want(http.StatusOK, "GET", "/v1/connections/"+c.ID+"/credentials", "").into(t, &creds)
	if creds.AccessKeyID == pair.AccessKeyID || creds.SecretAccessKey == pair.SecretAccessKey || creds.Token == "" || creds.AccountID != account {
		t.Errorf("key %s of %s", creds.AccessKeyID, creds.AccountID)
	}
	if who := identity(t, creds.AccessKeyID, creds.SecretAccessKey, creds.Token); aws.ToString(who.Arn) != "arn:aws:iam::"+account+":user/rolecall" {
		t.Errorf("identity %s", aws.ToString(who.Arn))
	}
	acme.want(http.StatusOK, "POST", "/v1/connections/"+c.ID+"/verify", "").into(t, &c)
	if c.Status != "enabled" || len(c.Checks) != 2 {
		t.Errorf("%s with %+v", c.Status, c.Checks)
	}
}
