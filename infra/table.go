package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/jsii-runtime-go"
)

// The table's indexes; DESIGN section 4 says what is in them.
const (
	indexTenant = "tenant"
	indexSlot   = "slot"
	indexDue    = "due"
)

// addTable makes the one table. It outlives the stack: names and external IDs are reserved for ever.
func (p *platform) addTable() {
	p.table = awsdynamodb.NewTable(p.stack, jsii.String("Table"), &awsdynamodb.TableProps{
		PartitionKey:        stringKey("PK"),
		SortKey:             stringKey("SK"),
		BillingMode:         awsdynamodb.BillingMode_PAY_PER_REQUEST,
		Stream:              awsdynamodb.StreamViewType_NEW_IMAGE,
		TimeToLiveAttribute: jsii.String("expiresAt"),
		DeletionProtection:  jsii.Bool(true),
		RemovalPolicy:       awscdk.RemovalPolicy_RETAIN,
		PointInTimeRecoverySpecification: &awsdynamodb.PointInTimeRecoverySpecification{
			PointInTimeRecoveryEnabled: jsii.Bool(true),
		},
	})
	p.addIndex(indexTenant, awsdynamodb.ProjectionType_ALL)
	p.addIndex(indexSlot, awsdynamodb.ProjectionType_KEYS_ONLY)
	p.addIndex(indexDue, awsdynamodb.ProjectionType_KEYS_ONLY)
}

func (p *platform) addIndex(name string, projection awsdynamodb.ProjectionType) {
	p.table.AddGlobalSecondaryIndex(&awsdynamodb.GlobalSecondaryIndexProps{
		IndexName:      jsii.String(name),
		PartitionKey:   stringKey(name + "PK"),
		SortKey:        stringKey(name + "SK"),
		ProjectionType: projection,
	})
}

func stringKey(name string) *awsdynamodb.Attribute {
	return &awsdynamodb.Attribute{Name: jsii.String(name), Type: awsdynamodb.AttributeType_STRING}
}

// indexARN is the ARN of one index: a function that reads one needs no other.
func (p *platform) indexARN(name string) *string {
	return jsii.String(*p.table.TableArn() + "/index/" + name)
}
