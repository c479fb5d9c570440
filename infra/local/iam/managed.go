package iam

import (
	"strings"
	"time"

	"rolecall/infra/local/policy"
)

// awsPolicies are the AWS managed policies that the pocket AWS knows. AWS's own documents run to thousands of lines and
// change weekly; these grant the same kind of thing on the services that matter here.
func awsPolicies() map[string]*managedPolicy {
	out := map[string]*managedPolicy{}
	add := func(path, name, description string, statements ...policy.Statement) {
		arn := arnPrefix + "iam::aws:policy" + path + name
		since := time.Date(2015, 2, 6, 18, 39, 46, 0, time.UTC)
		out[arn] = &managedPolicy{
			name: name, path: path, arn: arn, id: awsPolicyID(name), description: description, version: 1, created: since, updated: since,
			doc: document{parsed: policy.Document{Version: "2012-10-17", Statements: statements}},
		}
	}
	add("/", "AdministratorAccess", "Provides full access to AWS services and resources.", allow("*"))
	add("/", "PowerUserAccess", "Provides full access to AWS services and resources, but does not allow management of Users and groups.",
		policy.Statement{Effect: "Allow", NotActions: []string{"iam:*", "organizations:*", "account:*"}, Resources: []string{"*"}},
		allow("account:GetAccountInformation", "account:GetPrimaryEmail", "account:ListRegions", "iam:CreateServiceLinkedRole",
			"iam:DeleteServiceLinkedRole", "iam:ListRoles", "organizations:DescribeEffectivePolicy", "organizations:DescribeOrganization"))
	add("/", "ReadOnlyAccess", "Provides read-only access to AWS services and resources.",
		allow(append(each([]string{"Describe*", "Get*", "List*"}),
			"dynamodb:BatchGet*", "dynamodb:ConditionCheckItem", "dynamodb:PartiQLSelect", "dynamodb:Query", "dynamodb:Scan",
			"iam:Generate*", "iam:Simulate*", "cloudformation:Detect*", "cloudformation:Estimate*",
			"cloudtrail:LookupEvents", "logs:FilterLogEvents", "logs:StartQuery", "logs:StopQuery", "logs:TestMetricFilter",
			"sns:Check*", "ec2:Search*")...))
	add("/", "SecurityAudit", "The security audit template grants access to read security configuration metadata.",
		allow(append(each([]string{"Describe*", "List*"}),
			"iam:Get*", "iam:Generate*", "iam:Simulate*", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "s3:GetBucket*",
			"s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration", "sqs:GetQueueAttributes", "sns:GetTopicAttributes",
			"lambda:GetPolicy", "lambda:GetFunctionConfiguration", "cloudtrail:GetTrail*", "cloudformation:GetStackPolicy",
			"cloudformation:GetTemplate", "config:Get*", "ec2:Get*")...))
	add("/job-function/", "ViewOnlyAccess", "This policy grants permissions to view resources and basic metadata across all AWS services.",
		allow(append(each([]string{"List*"}),
			"ec2:Describe*", "autoscaling:Describe*", "cloudformation:DescribeStacks", "cloudtrail:DescribeTrails", "cloudwatch:Describe*",
			"dynamodb:DescribeTable", "elasticloadbalancing:Describe*", "events:DescribeRule", "lambda:GetAccountSettings",
			"logs:Describe*", "rds:Describe*", "iam:GetAccountSummary", "s3:GetBucketLocation")...))
	add("/service-role/", "AWSLambdaBasicExecutionRole", "Provides write permissions to CloudWatch Logs.",
		allow("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"))
	return out
}

// awsPolicyID makes up an id that is the same in every run.
func awsPolicyID(name string) string {
	return "ANPA" + strings.ToUpper((name + strings.Repeat("A", idSuffixLength))[:idSuffixLength])
}

func allow(actions ...string) policy.Statement {
	return policy.Statement{Effect: "Allow", Actions: actions, Resources: []string{"*"}}
}

// each makes every service's actions of the given forms.
func each(forms []string) []string {
	services := strings.Fields(`access-analyzer acm apigateway autoscaling backup budgets cloudformation cloudfront cloudtrail cloudwatch
		config dynamodb ec2 ecr ecs eks elasticache elasticfilesystem elasticloadbalancing events guardduty iam kinesis kms lambda logs
		organizations rds redshift route53 s3 scheduler secretsmanager securityhub servicequotas sns sqs ssm states sts tag wafv2`)
	secrets := map[string]bool{"secretsmanager:Get*": true}
	var out []string
	for _, service := range services {
		for _, form := range forms {
			if action := service + ":" + form; !secrets[action] { // reading configuration, not the secrets themselves
				out = append(out, action)
			}
		}
	}
	return out
}
