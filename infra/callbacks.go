package main

import (
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"
)

// topicName is the callbacks' topic in every supported Region. Customers' stacks name it, so it never changes.
const topicName = "rolecall-callbacks"

// admitTopics lets the callback topics of the supported Regions, and nothing else, put messages on the callback queue.
func (p *platform) admitTopics() {
	for _, group := range p.cfg.topicsByService() {
		p.callbacks.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Sid:        jsii.String(group.sid),
			Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String(group.principal), nil)},
			Actions:    jsii.Strings("sqs:SendMessage"),
			Resources:  &[]*string{p.callbacks.QueueArn()},
			Conditions: &map[string]any{"ArnEquals": map[string]any{"aws:SourceArn": group.topics}},
		}))
	}
}

// A topicGroup is the topics that one service principal delivers from.
type topicGroup struct {
	sid       string
	principal string
	topics    []string
}

// topicsByService groups the topics by the principal under which SNS delivers to a queue in another Region: from a
// Region that an account must opt into, that is the Region's own.
func (c config) topicsByService() []topicGroup {
	common := topicGroup{sid: "CallbackTopics", principal: "sns.amazonaws.com"}
	var own []topicGroup
	for _, region := range c.regions {
		arn := c.arn("sns", region, topicName)
		if isOptIn(region) && region != c.homeRegion {
			own = append(own, topicGroup{
				sid: "CallbackTopic" + sidOf(region), principal: "sns." + region + ".amazonaws.com", topics: []string{arn},
			})
			continue
		}
		common.topics = append(common.topics, arn)
	}
	return append([]topicGroup{common}, own...)
}

// isOptIn tells Regions that are not enabled by default: all that AWS opened after March 2019.
func isOptIn(region string) bool {
	return partitionOf(region) == "aws" && !slices.Contains([]string{
		"us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1",
		"eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1", "eu-north-1",
		"ap-south-1", "ap-southeast-1", "ap-southeast-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3",
	}, region)
}

// sidOf makes a Region's code fit for a statement id.
func sidOf(region string) string {
	var sid []byte
	for i := range len(region) {
		if region[i] != '-' {
			sid = append(sid, region[i])
		}
	}
	return string(sid)
}

// newTopicStack makes what a Region needs to take customers' callbacks: CloudFormation accepts only topics of the
// customer's stack's own Region.
func newTopicStack(app awscdk.App, cfg config, region string) awscdk.Stack {
	stack := newStack(app, cfg, "RolecallTopic-"+region, region, "Rolecall: takes callbacks of customers' stacks in "+region)
	// Not encrypted by a KMS key: CloudFormation publishes as the customer, who has no right to a key of ours.
	topic := awssns.NewCfnTopic(stack, jsii.String("Callbacks"), &awssns.CfnTopicProps{TopicName: jsii.String(topicName)})
	awssns.NewCfnTopicPolicy(stack, jsii.String("CallbacksPolicy"), &awssns.CfnTopicPolicyProps{
		Topics:         &[]*string{topic.Ref()},
		PolicyDocument: topicPolicy(topic.Ref(), cfg.calledVia),
	})
	awssns.NewCfnSubscription(stack, jsii.String("CallbacksToHome"), &awssns.CfnSubscriptionProps{
		TopicArn:           topic.Ref(),
		Protocol:           jsii.String("sqs"),
		Endpoint:           jsii.String(cfg.arn("sqs", cfg.homeRegion, queueCallbacks)),
		RawMessageDelivery: jsii.Bool(false),
	})
	return stack
}

// topicPolicy lets any AWS account publish, and nobody who is not one: an anonymous caller's aws:PrincipalAccount is
// "anonymous", an account's has twelve characters. Whoever publishes has to prove the rest in the message itself.
func topicPolicy(topic *string, calledVia bool) map[string]any {
	condition := map[string]any{"StringLike": map[string]any{"aws:PrincipalAccount": "????????????"}}
	if calledVia {
		condition["ForAnyValue:StringEquals"] = map[string]any{"aws:CalledVia": "cloudformation.amazonaws.com"}
	}
	return map[string]any{
		"Version": "2012-10-17",
		"Statement": []any{
			map[string]any{
				"Sid": "AnyAccountsStack", "Effect": "Allow", "Principal": map[string]any{"AWS": "*"},
				"Action": "sns:Publish", "Resource": topic, "Condition": condition,
			},
			map[string]any{
				"Sid": "NeverInTheClear", "Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": topic,
				"Condition": map[string]any{"Bool": map[string]any{"aws:SecureTransport": "false"}},
			},
		},
	}
}
