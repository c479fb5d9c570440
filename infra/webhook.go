package main

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"
)

// fnWebhook is built always and deployed only with an endpoint.
const fnWebhook = "webhook"

const (
	queueWebhook   = "rolecall-webhook"
	webhookTimeout = 15 // seconds: a post may take five, and KMS and SQS are asked too
	// webhookReceives is how often an event is posted before it goes to the dead-letter queue. The function's pauses, 30 s
	// and doubled up to two hours, make a day of it.
	webhookReceives = 20
)

// Environment variables of the webhook's function.
const (
	envWebhookEndpoint = "ROLECALL_WEBHOOK_ENDPOINT"
	envWebhookKey      = "ROLECALL_WEBHOOK_KEY_ARN"
	envWebhookSecrets  = "ROLECALL_WEBHOOK_SECRETS" //nolint:gosec // a variable's name; it holds numbers, no secret
	envWebhookQueue    = "ROLECALL_WEBHOOK_QUEUE_URL"
)

// optionalFunctions are those that are deployed besides functionNames.
func (c config) optionalFunctions() []string {
	if c.webhookEndpoint == "" {
		return nil
	}
	return []string{fnWebhook}
}

// addWebhook makes what posts published events to the endpoint; without one, nothing at all.
func (p *platform) addWebhook() {
	if p.cfg.webhookEndpoint == "" {
		return
	}
	// The secrets that sign are made from this key (package webhook under shared), so that none is stored anywhere.
	// Whoever removes the webhook is done with them; KMS waits 30 days before it deletes.
	key := p.newKey("WebhookKey", awskms.KeyProps{
		Description:   jsii.String("Rolecall: makes the secrets that sign webhooks"),
		KeySpec:       awskms.KeySpec_HMAC_256,
		KeyUsage:      awskms.KeyUsage_GENERATE_VERIFY_MAC,
		RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
	queue := p.newQueue("Webhooks", queueWebhook, webhookTimeout, webhookReceives)
	p.functions[fnWebhook] = p.newFunction(
		spec{fnWebhook, "Rolecall: posts published events to the configured endpoint.", webhookTimeout, []string{
			envWebhookEndpoint, envWebhookKey, envWebhookSecrets, envWebhookQueue,
		}},
		[]awsiam.PolicyStatement{
			allow("TakeEvents", consume("sqs:ChangeMessageVisibility"), queue.QueueArn()),
			p.use(fnWebhook, "MakeSecrets", "kms:GenerateMac", nil, key),
		},
		map[string]*string{
			envWebhookEndpoint: jsii.String(p.cfg.webhookEndpoint),
			envWebhookKey:      key.KeyArn(),
			envWebhookSecrets:  jsii.String(strings.Join(p.cfg.webhookSecrets, ",")),
			envWebhookQueue:    queue.QueueUrl(),
		})
	p.fromQueue("WebhookSource", fnWebhook, queue, p.cfg.concurrency.webhooks)
	p.addWebhookRule(queue)
	p.output("WebhookKeyArn", "KMS key that makes the webhook's secrets", key.KeyArn())
	p.output("WebhookSecretRoleArn", "IAM role that may read the webhook's secrets; `make webhook-secret` assumes it", p.addSecretReader(key))
}

// roleWebhookSecret is no function's: who sets up a receiver needs the secret, and the key's policy gives it to nobody else.
const roleWebhookSecret = "webhook-secret"

// addSecretReader makes the role that `make webhook-secret` assumes. It is for whom the account's IAM allows sts:AssumeRole on
// it, and each reading of the secret is in CloudTrail under its name.
func (p *platform) addSecretReader(key awskms.Key) *string {
	role := awsiam.NewRole(p.stack, jsii.String("WebhookSecretRole"), &awsiam.RoleProps{
		Description: jsii.String("Rolecall: reads the secrets that sign webhooks"),
		AssumedBy:   awsiam.NewAccountRootPrincipal(),
		RoleName:    jsii.String(p.cfg.roleName(roleWebhookSecret)),
		Path:        jsii.String(rolePath(roleWebhookSecret)),
		InlinePolicies: &map[string]awsiam.PolicyDocument{"rights": document(
			p.use(roleWebhookSecret, "ReadSecrets", "kms:GenerateMac", nil, key),
		)},
	})
	return role.RoleArn()
}

// addWebhookRule sends every event of Rolecall to the queue. What EventBridge cannot deliver there for a day goes to the
// queue's own dead-letter queue, from which a redrive brings it back.
func (p *platform) addWebhookRule(queue awssqs.Queue) {
	dead := queue.DeadLetterQueue().Queue
	rule := awsevents.NewCfnRule(p.stack, jsii.String("WebhookRule"), &awsevents.CfnRuleProps{
		Description:  jsii.String("Rolecall: events for the webhook"),
		EventBusName: p.bus.EventBusName(),
		EventPattern: map[string]any{"source": []string{"rolecall"}, "account": []string{p.cfg.account}},
		Targets: []any{&awsevents.CfnRule_TargetProperty{
			Id: jsii.String("queue"), Arn: queue.QueueArn(),
			DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: dead.QueueArn()},
		}},
	})
	for _, q := range []awssqs.IQueue{queue, dead} {
		q.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Sid:        jsii.String("EventsOfTheRule"),
			Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("events.amazonaws.com"), nil)},
			Actions:    jsii.Strings("sqs:SendMessage"),
			Resources:  &[]*string{q.QueueArn()},
			Conditions: &map[string]any{"ArnEquals": map[string]any{"aws:SourceArn": rule.AttrArn()}},
		}))
	}
}
