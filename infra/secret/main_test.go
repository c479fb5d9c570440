package main

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	"rolecall/infra/local/cfn"
	"rolecall/infra/local/iam"
	"rolecall/infra/local/kms"
	"rolecall/infra/local/resources"
	"rolecall/infra/local/wire"
	"rolecall/shared/webhook"
)

// deployed is what the CDK app makes of a webhook, as far as its secret goes.
const deployed = `{
  "Resources": {
    "Key": {"Type": "AWS::KMS::Key", "Properties": {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC", "KeyPolicy": {"Version": "2012-10-17", "Statement": [
      {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111111111111:root"}, "Action": "kms:PutKeyPolicy", "Resource": "*"},
      {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111111111111:root"}, "Action": "kms:GenerateMac", "Resource": "*",
       "Condition": {"StringEquals": {"aws:PrincipalArn": "arn:aws:iam::111111111111:role/reader"}}}]}}},
    "Role": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "reader",
      "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111111111111:root"}, "Action": "sts:AssumeRole"}]},
      "Policies": [{"PolicyName": "rights", "PolicyDocument": {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "kms:GenerateMac", "Resource": {"Fn::GetAtt": ["Key", "Arn"]}}]}}]}}
  },
  "Outputs": {
    "WebhookKeyArn": {"Value": {"Fn::GetAtt": ["Key", "Arn"]}},
    "WebhookSecretRoleArn": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}}
  }
}`

// pocket is an AWS in which the template is the stack Rolecall; its client is an administrator of the platform's account.
func pocket(t *testing.T, template string) aws.Config {
	t.Helper()
	accounts, keys := iam.New(time.Now), kms.New(time.Now)
	engine := cfn.NewEngine(cfn.Config{Clock: time.Now, NewID: func() string { return "11111111-2222-4333-8444-555555555555" }})
	t.Cleanup(engine.Close)
	resources.Register(engine, resources.Services{IAM: accounts, KMS: keys})
	door := wire.NewServer(wire.Config{Authenticator: accounts, Authorizer: accounts, Secrets: accounts.Secret, Clock: time.Now})
	for name, s := range map[string]wire.Service{"cloudformation": cfn.New(engine), "kms": keys, "sts": accounts.STS()} {
		door.Register(name, s)
	}
	server := httptest.NewServer(door)
	t.Cleanup(server.Close)
	root, err := accounts.Authenticate("111111111111", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = engine.Create(t.Context(), cfn.Input{
		Principal: root, Account: "111111111111", Region: "eu-west-1", Name: "Rolecall", Template: template, Capabilities: []string{"CAPABILITY_NAMED_IAM"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if made, err := engine.Wait(t.Context(), "111111111111", "eu-west-1", "Rolecall"); err != nil || made.Status != "CREATE_COMPLETE" {
		t.Fatal(made.Status, err)
	}
	return aws.Config{
		Region: "eu-west-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("111111111111", "any", ""),
	}
}

// Nobody but the function and the reader's role may use the key, so the secret is read in that role.
func TestTheSecretIsReadInItsRole(t *testing.T) {
	cfg := pocket(t, deployed)
	first, err := read(t.Context(), cfg, "Rolecall", 1)
	if err != nil || len(first) != 64 {
		t.Fatalf("%d characters, %v", len(first), err)
	}
	if second, err := read(t.Context(), cfg, "Rolecall", 2); err != nil || second == first {
		t.Errorf("the second secret is like the first, or %v", err)
	}
	if again, err := read(t.Context(), cfg, "Rolecall", 1); err != nil || again != first {
		t.Errorf("another secret the second time, %v", err)
	}
	found, err := outputsOf(t.Context(), cloudformation.NewFromConfig(cfg), "Rolecall")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := webhook.NewSecrets(awskms.NewFromConfig(cfg), found["WebhookKeyArn"], []int{1}).Get(t.Context()); err == nil {
		t.Error("the account's administrator reads the secret without the role")
	}
}

func TestAStackWithoutAWebhookIsNamed(t *testing.T) {
	cfg := pocket(t, `{"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument":
		{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "111111111111"}, "Action": "sts:AssumeRole"}]}}}}}`)
	if _, err := read(t.Context(), cfg, "Rolecall", 1); err == nil || !strings.Contains(err.Error(), "webhookEndpoint") {
		t.Errorf("%v does not say what to do", err)
	}
}
