package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"
)

// Names of the queues; each has a dead-letter queue of the same name and "-dlq".
const (
	queueCallbacks   = "rolecall-callbacks"
	queueVerifyNow   = "rolecall-verify-now"
	queueVerifySweep = "rolecall-verify-sweep"
)

// receives is how often a message is tried before it goes to the dead-letter queue. Where a stack waits, a message that
// failed comes again after connect.RetryPause already; ten tries then fill the five minutes for which CloudFormation waits.
const (
	receives        = 5
	awaitedReceives = 10
)

// addQueues makes the queues. Two lead to verify, so that a sweep never delays a customer who waits.
func (p *platform) addQueues() {
	p.callbacks = p.newQueue("Callbacks", queueCallbacks, callbackTimeout, awaitedReceives)
	p.verifyNow = p.newQueue("VerifyNow", queueVerifyNow, verifyTimeout, awaitedReceives)
	p.verifySweep = p.newQueue("VerifySweep", queueVerifySweep, verifyTimeout, receives)
	p.admitTopics()
}

// newQueue makes a queue and its dead-letter queue. A message is hidden for six times as long as its function may take,
// as AWS advises, so that none is worked on twice while Lambda still tries.
func (p *platform) newQueue(id, name string, functionTimeout float64, tries int) awssqs.Queue {
	dead := awssqs.NewQueue(p.stack, jsii.String(id+"Dead"), &awssqs.QueueProps{
		QueueName:       jsii.String(name + "-dlq"),
		Encryption:      awssqs.QueueEncryption_SQS_MANAGED,
		EnforceSSL:      jsii.Bool(true),
		RetentionPeriod: awscdk.Duration_Days(jsii.Number(14)),
		RedriveAllowPolicy: &awssqs.RedriveAllowPolicy{
			RedrivePermission: awssqs.RedrivePermission_BY_QUEUE,
			SourceQueues:      &[]awssqs.IQueue{p.queueByName(id+"ByName", name)},
		},
	})
	return awssqs.NewQueue(p.stack, jsii.String(id), &awssqs.QueueProps{
		QueueName:         jsii.String(name),
		Encryption:        awssqs.QueueEncryption_SQS_MANAGED,
		EnforceSSL:        jsii.Bool(true),
		RetentionPeriod:   awscdk.Duration_Days(jsii.Number(4)),
		VisibilityTimeout: awscdk.Duration_Seconds(jsii.Number(6 * functionTimeout)),
		DeadLetterQueue:   &awssqs.DeadLetterQueue{Queue: dead, MaxReceiveCount: jsii.Number(tries)},
	})
}

// queueByName is the queue as a name alone: queue and dead-letter queue each name the other, and references in both
// directions would be a circle.
func (p *platform) queueByName(id, name string) awssqs.IQueue {
	return awssqs.Queue_FromQueueArn(p.stack, jsii.String(id), jsii.String(p.cfg.arn("sqs", p.cfg.homeRegion, name)))
}
