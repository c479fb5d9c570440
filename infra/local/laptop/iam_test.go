package laptop_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// pastedRole makes a role by hand, as a customer without CloudFormation would; actions is what it may do.
func pastedRole(t testing.TB, account, name, externalID, actions string) string {
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
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` + actions + `],"Resource":"*"}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	return *made.Role.Arn
}

// scan is the whole table as text.
func scan(t testing.TB) string {
	t.Helper()
	client := dynamodb.NewFromConfig(awsConfig("111111111111", "any", "", "eu-west-1"))
	tables, err := client.ListTables(context.Background(), &dynamodb.ListTablesInput{})
	if err != nil || len(tables.TableNames) != 1 {
		t.Fatal(tables, err)
	}
	var text strings.Builder
	pages := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{TableName: &tables.TableNames[0]})
	for pages.HasMorePages() {
		page, err := pages.NextPage(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			var m map[string]any
			if err := attributevalue.UnmarshalMap(item, &m); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&text, m)
		}
	}
	return text.String()
}

// withoutStarted is the template without the resource that reports the stack's start, so that one callback comes.
func withoutStarted(t testing.TB, text string) string {
	t.Helper()
	from, to := strings.Index(text, "  # Tells the platform"), strings.Index(text, "  # The role.")
	if from < 0 || to < from {
		t.Fatal("the template has changed; this test no longer knows it")
	}
	alone := strings.Replace(text[:from]+text[to:], "DependsOn: [StackStarted, ", "DependsOn: [", 1)
	if strings.Contains(alone, "StackStarted") {
		t.Fatal("the template still names what has been taken out of it")
	}
	return alone
}

func (c customer) launchBody(from connection, text string) {
	c.t.Helper()
	c.launch(from, func(in *cloudformation.CreateStackInput) { in.TemplateURL, in.TemplateBody = nil, &text })
}
