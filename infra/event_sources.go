package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"
)

// eventRecords admits new event records and nothing else of the table's stream.
const eventRecords = `{"eventName":["INSERT"],"dynamodb":{"Keys":{"SK":{"S":[{"prefix":"EVENT#"}]}}}}`

// addEventSources feeds the functions. Callbacks and work of customers who wait come one by one: a customer's stack that
// answers slowly holds up no other.
func (p *platform) addEventSources() {
	p.fromQueue("CallbackSource", fnCallback, p.callbacks, p.cfg.concurrency.awaited)
	p.fromQueue("VerifyNowSource", fnVerify, p.verifyNow, p.cfg.concurrency.awaited)
	p.fromQueue("VerifySweepSource", fnVerify, p.verifySweep, p.cfg.concurrency.sweeps)
	awslambda.NewCfnEventSourceMapping(p.stack, jsii.String("PublishSource"), &awslambda.CfnEventSourceMappingProps{
		FunctionName:     p.functions[fnPublish].Ref(),
		EventSourceArn:   p.table.TableStreamArn(),
		StartingPosition: jsii.String("TRIM_HORIZON"),
		BatchSize:        jsii.Number(10), // what one PutEvents takes
		FilterCriteria: &awslambda.CfnEventSourceMapping_FilterCriteriaProperty{
			Filters: []any{&awslambda.CfnEventSourceMapping_FilterProperty{Pattern: jsii.String(eventRecords)}},
		},
		FunctionResponseTypes:      jsii.Strings("ReportBatchItemFailures"),
		BisectBatchOnFunctionError: jsii.Bool(true),
		// Hours of an outage of EventBridge are ridden out; a record that can never be published ends in the bucket.
		MaximumRecordAgeInSeconds: jsii.Number(6 * 3600),
		MaximumRetryAttempts:      jsii.Number(100),
		DestinationConfig: &awslambda.CfnEventSourceMapping_DestinationConfigProperty{
			OnFailure: &awslambda.CfnEventSourceMapping_OnFailureProperty{Destination: p.undelivered.BucketArn()},
		},
	})
}

func (p *platform) fromQueue(id, function string, queue awssqs.Queue, concurrency int) {
	awslambda.NewCfnEventSourceMapping(p.stack, jsii.String(id), &awslambda.CfnEventSourceMappingProps{
		FunctionName:          p.functions[function].Ref(),
		EventSourceArn:        queue.QueueArn(),
		BatchSize:             jsii.Number(1),
		FunctionResponseTypes: jsii.Strings("ReportBatchItemFailures"),
		ScalingConfig:         &awslambda.CfnEventSourceMapping_ScalingConfigProperty{MaximumConcurrency: jsii.Number(concurrency)},
	})
}
