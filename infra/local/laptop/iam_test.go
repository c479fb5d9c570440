package laptop_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// pastedRole makes a role by hand, as a customer without CloudFormation would.
func pastedRole(t testing.TB, account, name, externalID string) string {
	t.Helper()
	client := iam.NewFromConfig(awsConfig(account, "any", "", "us-east-1"))
	made, err := client.CreateRole(context.Background(), &iam.CreateRoleInput{
		RoleName: &name,
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},` +
			`"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"` + externalID + `"}}}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.PutRolePolicy(context.Background(), &iam.PutRolePolicyInput{
		RoleName: &name, PolicyName: aws.String("verify"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ec2:DescribeRegions","iam:GetRole"],"Resource":"*"}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	return *made.Role.Arn
}
