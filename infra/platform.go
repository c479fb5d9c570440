package main

import (
	"fmt"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"
)

// platform is the home stack while it is put together; each file adds its part.
type platform struct {
	cfg         config
	stack       awscdk.Stack
	table       awsdynamodb.Table
	sealingKey  awskms.Key // encrypts customers' access keys
	macKeys     []macKey   // of callback tokens, the current one first
	callbacks   awssqs.Queue
	verifyNow   awssqs.Queue
	verifySweep awssqs.Queue
	bus         awsevents.EventBus
	undelivered awss3.Bucket
	template    published
	// organization is the template that connects whole organizations; without a URL where there is none.
	organization published
	module       published // the Terraform module
	functions    map[string]awslambda.CfnFunction
}

// build puts the app together: the home stack, one topic stack per Region, and the console's. What can be wrong with cfg was found by
// loadConfig; an error here says that the customers' template cannot be rendered.
func build(app awscdk.App, cfg config) error {
	p := &platform{cfg: cfg, functions: map[string]awslambda.CfnFunction{}, stack: newStack(app, cfg, "Rolecall", cfg.homeRegion, "Rolecall: connections to customers' AWS accounts")}
	p.noteCustomSet()
	p.addTable()
	p.addKeys()
	p.addQueues()
	p.addBus()
	if err := p.addTemplates(); err != nil {
		return err
	}
	p.addFunctions()
	p.addEventSources()
	p.addWebhook()
	p.addSchedule()
	api := p.addHTTPAPI()
	p.addOutputs()

	for _, region := range cfg.regions {
		topics := newTopicStack(app, cfg, region)
		topics.AddStackDependency(p.stack, jsii.String("the subscription needs the queue"))
	}
	return addWeb(app, cfg, api)
}

// noteCustomSet tells who deploys what is uncommon about the platform's own permission set.
func (p *platform) noteCustomSet() {
	if p.cfg.custom == nil {
		return
	}
	for i, note := range p.cfg.custom.CustomNotes() {
		awscdk.Annotations_Of(p.stack).AddWarningV2(jsii.String(fmt.Sprintf("rolecall:%s:%d", keyCustom, i+1)),
			jsii.String("permission set custom: "+note))
	}
}

// newStack makes a stack whose account and Region are settled, so that ARNs of one stack can be written in another. The
// CLI checks the bootstrap version by the manifest; a rule and a parameter in the template would say it again.
func newStack(app awscdk.App, cfg config, id, region, description string) awscdk.Stack {
	return awscdk.NewStack(app, jsii.String(id), &awscdk.StackProps{
		Description:           jsii.String(description),
		Env:                   &awscdk.Environment{Account: jsii.String(cfg.account), Region: jsii.String(region)},
		TerminationProtection: jsii.Bool(true),
		Synthesizer: awscdk.NewDefaultStackSynthesizer(&awscdk.DefaultStackSynthesizerProps{
			GenerateBootstrapVersionRule: jsii.Bool(false),
		}),
	})
}

func (p *platform) addOutputs() {
	p.output("TableName", "DynamoDB table", p.table.TableName())
	p.output("BusName", "EventBridge bus with what happens to connections", p.bus.EventBusName())
	p.output("UndeliveredName", "S3 bucket with what the stream could not deliver; `make republish` sends it again", p.undelivered.BucketName())
	p.output("TemplateUrl", "what customers' stacks are made from", p.template.url)
	p.output("TopicName", "SNS topic of each supported Region that takes callbacks", jsii.String(topicName))
}

func (p *platform) output(id, description string, value *string) {
	awscdk.NewCfnOutput(p.stack, jsii.String(id), &awscdk.CfnOutputProps{Description: jsii.String(description), Value: value})
}

// arn writes the ARN of something in the platform's account whose name is fixed.
func (c config) arn(service, region, resource string) string {
	return strings.Join([]string{"arn", c.partition, service, region, c.account, resource}, ":")
}

// roleName is a role's name in IAM, where names are the whole account's: the Region parts one deployment from another.
func (c config) roleName(role string) string { return "rolecall-" + role + "-" + c.homeRegion }

// roleARN is known before the role is made, so that keys can name it.
func (c config) roleARN(role string) string {
	return c.arn("iam", "", "role"+rolePath(role)+c.roleName(role))
}

// rolePath is where a role lies. Customers' trust policies admit those under assumingPath.
func rolePath(role string) string {
	if role == fnBroker || role == fnVerify {
		return assumingPath
	}
	return "/"
}
