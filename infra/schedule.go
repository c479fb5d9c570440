package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/jsii-runtime-go"
)

// addSchedule runs refresh every minute. A tick is not repeated: the next one handles every slot since the cursor.
func (p *platform) addSchedule() {
	refresh := p.functions[fnRefresh]
	role := awsiam.NewRole(p.stack, jsii.String("ScheduleRole"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("scheduler.amazonaws.com"), &awsiam.ServicePrincipalOpts{
			// No schedule of another account can borrow the role.
			Conditions: &map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": p.cfg.account}},
		}),
		InlinePolicies: &map[string]awsiam.PolicyDocument{
			"rights": document(allow("InvokeRefresh", []string{"lambda:InvokeFunction"}, refresh.AttrArn())),
		},
	})
	awsscheduler.NewCfnSchedule(p.stack, jsii.String("EveryMinute"), &awsscheduler.CfnScheduleProps{
		Description:        jsii.String("Rolecall: starts the sweep"),
		ScheduleExpression: jsii.String("rate(1 minute)"),
		FlexibleTimeWindow: &awsscheduler.CfnSchedule_FlexibleTimeWindowProperty{Mode: jsii.String("OFF")},
		Target: &awsscheduler.CfnSchedule_TargetProperty{
			Arn:     refresh.AttrArn(),
			RoleArn: role.RoleArn(),
			RetryPolicy: &awsscheduler.CfnSchedule_RetryPolicyProperty{
				MaximumEventAgeInSeconds: jsii.Number(60),
				MaximumRetryAttempts:     jsii.Number(0),
			},
		},
	})
}
