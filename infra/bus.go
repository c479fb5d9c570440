package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/jsii-runtime-go"
)

// archiveDays is how long published events can be replayed; the table keeps them for ever.
const archiveDays = 365

// addBus makes the bus that the platform's rules listen to, the archive of all that passes it, and the bucket for what
// could not be published.
func (p *platform) addBus() {
	p.bus = awsevents.NewEventBus(p.stack, jsii.String("Bus"), &awsevents.EventBusProps{
		EventBusName: jsii.String("rolecall"),
		Description:  jsii.String("What happens to connections"),
	})
	awsevents.NewCfnArchive(p.stack, jsii.String("BusArchive"), &awsevents.CfnArchiveProps{
		SourceArn:     p.bus.EventBusArn(),
		Description:   jsii.String("Every event of the bus, for replay"),
		EventPattern:  map[string]any{"account": []string{p.cfg.account}},
		RetentionDays: jsii.Number(archiveDays),
	})
	p.undelivered = awss3.NewBucket(p.stack, jsii.String("Undelivered"), &awss3.BucketProps{
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(),
		Encryption:        awss3.BucketEncryption_S3_MANAGED,
		ObjectOwnership:   awss3.ObjectOwnership_BUCKET_OWNER_ENFORCED,
		EnforceSSL:        jsii.Bool(true),
		Versioned:         jsii.Bool(true),
		RemovalPolicy:     awscdk.RemovalPolicy_RETAIN,
	})
	justify(p.undelivered, "AwsSolutions-S1", "Only Lambda writes here, and only when publishing fails for hours; "+
		"a log bucket beside it would hold nothing that CloudTrail does not.")
}
