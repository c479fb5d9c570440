package laptop_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// Who connected with read-only is seen, but not read: IAM denies every reading of data explicitly, whatever else grants it,
// and a session that Rolecall hands out finds it so. The wider sets warn of what they may.
func TestReadOnlyReadsNoData(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-no-data")
	var offer struct {
		PermissionSets []struct{ Name, Warning string }
	}
	acme.want(http.StatusOK, "GET", "/v1/config", "").into(t, &offer)
	for _, s := range offer.PermissionSets {
		if strings.HasPrefix(s.Warning, "May ") != (s.Name == "power-user" || s.Name == "administrator") {
			t.Errorf("%s warns %q", s.Name, s.Warning)
		}
	}
	c := acme.create("No data")
	theirs := customer{t, "222222222388", c.Launch.Region}
	theirs.launch(c, nil)
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 60*time.Second)
	c = acme.get(c.ID)
	client, name := iamOf(theirs.account), c.RoleARN[strings.LastIndex(c.RoleARN, "/")+1:]
	// Even with more than was asked for, which nobody should grant.
	_, err := client.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: &name, PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")})
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.SimulatePrincipalPolicy(t.Context(), &iam.SimulatePrincipalPolicyInput{PolicySourceArn: &c.RoleARN, ActionNames: []string{
		"s3:GetObject", "s3:GetObjectVersion", "secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue", "ssm:GetParameter", "ssm:GetParameters",
		"ssm:GetParametersByPath", "ssm:GetParameterHistory", "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan",
		"dynamodb:PartiQLSelect", "dynamodb:GetRecords", "lambda:GetFunction", "lambda:GetLayerVersion", "logs:GetLogEvents", "logs:FilterLogEvents",
		"logs:StartQuery", "logs:GetQueryResults", "logs:StartLiveTail", "logs:GetLogRecord", "kms:Decrypt",
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range out.EvaluationResults {
		if r.EvalDecision != iamtypes.PolicyEvaluationDecisionTypeExplicitDeny {
			t.Errorf("%s is %s", *r.EvalActionName, r.EvalDecision)
		}
	}

	table := dynamodb.NewFromConfig(awsConfig(theirs.account, "any", "", "eu-west-1"))
	if _, err := table.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("theirs"), BillingMode: ddbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []ddbtypes.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: ddbtypes.ScalarAttributeTypeS}},
		KeySchema:            []ddbtypes.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: ddbtypes.KeyTypeHash}},
	}); err != nil {
		t.Fatal(err)
	}
	byPath := func(o *s3.Options) { o.UsePathStyle = true }
	bucket, objects := aws.String("data-of-388"), s3.NewFromConfig(awsConfig(theirs.account, "any", "", "eu-west-1"), byPath)
	_, err = objects.CreateBucket(t.Context(), &s3.CreateBucketInput{
		Bucket: bucket, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraintEuWest1},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = objects.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: aws.String("a"), Body: strings.NewReader("secret")}); err != nil {
		t.Fatal(err)
	}
	k := acme.keys(c.ID)
	session := awsConfig(k.AccessKeyID, k.SecretAccessKey, k.Token, "eu-west-1")
	mine := dynamodb.NewFromConfig(session)
	if _, err := mine.ListTables(t.Context(), &dynamodb.ListTablesInput{}); err != nil {
		t.Errorf("what is there cannot be seen: %v", err)
	}
	_, err = mine.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("theirs")})
	isDenied(t, "records", err)
	_, err = s3.NewFromConfig(session, byPath).GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("a")})
	isDenied(t, "objects", err)
}

func isDenied(t *testing.T, what string, err error) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || !strings.HasPrefix(e.ErrorCode(), "AccessDenied") {
		t.Errorf("%s are read: %v", what, err)
	}
}
