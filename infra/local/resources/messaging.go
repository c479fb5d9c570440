package resources

import (
	"context"
	"encoding/json"
	"strconv"

	"rolecall/infra/local/cfn"
	"rolecall/infra/local/events"
	"rolecall/infra/local/scheduler"
	"rolecall/infra/local/sns"
)

func registerMessaging(e *cfn.Engine, s Services) {
	e.Register("AWS::SQS::Queue", provider{create: createQueue(s), remove: func(_ context.Context, r *cfn.ResourceRequest) error {
		return ignoreMissing(s.SQS.Delete(queueARN(r, r.PhysicalID)))
	}})
	e.Register("AWS::SQS::QueuePolicy", provider{create: queuePolicy(s), remove: nothing})
	e.Register("AWS::SNS::Topic", provider{create: createTopic(s), remove: func(_ context.Context, r *cfn.ResourceRequest) error {
		s.SNS.DeleteTopic(r.PhysicalID)
		return nil
	}})
	e.Register("AWS::SNS::TopicPolicy", provider{create: topicPolicy(s), remove: nothing})
	e.Register("AWS::SNS::Subscription", provider{create: subscribe(s), remove: func(_ context.Context, r *cfn.ResourceRequest) error {
		s.SNS.Unsubscribe(r.PhysicalID)
		return nil
	}})
	e.Register("AWS::Events::EventBus", provider{create: createBus(s), remove: func(_ context.Context, r *cfn.ResourceRequest) error {
		return s.Events.DeleteBus(eventsARN(r, "event-bus/"+r.PhysicalID))
	}})
	e.Register("AWS::Events::Archive", provider{create: createArchive(s), remove: func(_ context.Context, r *cfn.ResourceRequest) error {
		return ignoreMissing(s.Events.DeleteArchive(eventsARN(r, "archive/"+r.PhysicalID)))
	}})
	e.Register("AWS::Events::Rule", provider{create: createRule(s), remove: removeRule(s)})
	e.Register("AWS::Scheduler::Schedule", provider{create: createSchedule(s), remove: removeSchedule(s)})
}

// queueARN is found by the last part of the queue's URL, which is its name.
func queueARN(r *cfn.ResourceRequest, url string) string {
	name := url
	for i := len(url) - 1; i >= 0; i-- {
		if url[i] == '/' {
			name = url[i+1:]
			break
		}
	}
	return "arn:" + r.Partition + ":sqs:" + r.Region + ":" + r.Account + ":" + name
}

func createQueue(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var p struct {
			QueueName                                                                              string
			VisibilityTimeout, MessageRetentionPeriod, DelaySeconds, ReceiveMessageWaitTimeSeconds *integer
			MaximumMessageSize                                                                     *integer
			RedrivePolicy, RedriveAllowPolicy                                                      json.RawMessage
			SqsManagedSseEnabled                                                                   *flag
			Tags                                                                                   []tag
		}
		if err := properties(r.Properties, &p); err != nil {
			return cfn.Result{}, err
		}
		if p.QueueName == "" {
			p.QueueName = r.Name(80)
		}
		attributes := map[string]string{}
		for name, n := range map[string]*integer{
			"VisibilityTimeout": p.VisibilityTimeout, "MessageRetentionPeriod": p.MessageRetentionPeriod, "DelaySeconds": p.DelaySeconds,
			"ReceiveMessageWaitTimeSeconds": p.ReceiveMessageWaitTimeSeconds, "MaximumMessageSize": p.MaximumMessageSize,
		} {
			if n != nil {
				attributes[name] = strconv.Itoa(int(*n))
			}
		}
		for name, text := range map[string]json.RawMessage{"RedrivePolicy": p.RedrivePolicy, "RedriveAllowPolicy": p.RedriveAllowPolicy} {
			if len(text) > 0 {
				attributes[name] = string(text)
			}
		}
		if p.SqsManagedSseEnabled != nil {
			attributes["SqsManagedSseEnabled"] = strconv.FormatBool(bool(*p.SqsManagedSseEnabled))
		}
		q, err := s.SQS.Create(r.Account, r.Region, p.QueueName, attributes)
		if err != nil {
			return cfn.Result{}, err
		}
		return cfn.Result{PhysicalID: q.URL, Attributes: map[string]any{"Arn": q.ARN, "QueueName": q.Name, "QueueUrl": q.URL}}, nil
	}
}

func queuePolicy(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var p struct {
			Queues         []string
			PolicyDocument document
		}
		if err := properties(r.Properties, &p); err != nil {
			return cfn.Result{}, err
		}
		for _, url := range p.Queues {
			if err := s.SQS.SetAttributes(queueARN(r, url), map[string]string{"Policy": p.PolicyDocument.text}); err != nil {
				return cfn.Result{}, err
			}
		}
		return cfn.Result{PhysicalID: r.Name(128)}, nil
	}
}

func createTopic(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var p struct {
			TopicName, DisplayName string
			Tags                   []tag
		}
		if err := properties(r.Properties, &p); err != nil {
			return cfn.Result{}, err
		}
		if p.TopicName == "" {
			p.TopicName = r.Name(256)
		}
		attributes := map[string]string{}
		if p.DisplayName != "" {
			attributes["DisplayName"] = p.DisplayName
		}
		arn, err := s.SNS.CreateTopic(r.Account, r.Region, p.TopicName, attributes)
		if err != nil {
			return cfn.Result{}, err
		}
		return cfn.Result{PhysicalID: arn, Attributes: map[string]any{"TopicArn": arn, "TopicName": p.TopicName}}, nil
	}
}

func topicPolicy(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var p struct {
			Topics         []string
			PolicyDocument document
		}
		if err := properties(r.Properties, &p); err != nil {
			return cfn.Result{}, err
		}
		for _, arn := range p.Topics {
			if err := s.SNS.SetTopicAttribute(arn, "Policy", p.PolicyDocument.text); err != nil {
				return cfn.Result{}, err
			}
		}
		return cfn.Result{PhysicalID: r.Name(128)}, nil
	}
}

func subscribe(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var p struct {
			TopicArn, Protocol, Endpoint, Region string
			RawMessageDelivery                   flag
			RedrivePolicy                        json.RawMessage
		}
		if err := properties(r.Properties, &p); err != nil {
			return cfn.Result{}, err
		}
		arn, err := s.SNS.Subscribe(sns.Subscription{
			TopicARN: p.TopicArn, Protocol: p.Protocol, Endpoint: p.Endpoint, Owner: r.Account,
			Raw: bool(p.RawMessageDelivery), RedrivePolicy: string(p.RedrivePolicy),
		})
		return cfn.Result{PhysicalID: arn, Attributes: map[string]any{"Arn": arn}}, err
	}
}

func createBus(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var p struct{ Name, Description string }
		if err := properties(r.Properties, &p); err != nil {
			return cfn.Result{}, err
		}
		arn, err := s.Events.CreateBus(r.Account, r.Region, p.Name)
		return cfn.Result{PhysicalID: p.Name, Attributes: map[string]any{"Arn": arn, "Name": p.Name}}, err
	}
}

func createArchive(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var p struct {
			ArchiveName, Description, SourceArn string
			EventPattern                        document
			RetentionDays                       integer
		}
		if err := properties(r.Properties, &p); err != nil {
			return cfn.Result{}, err
		}
		if p.ArchiveName == "" {
			p.ArchiveName = r.Name(48)
		}
		arn, err := s.Events.CreateArchive(r.Account, r.Region, events.Archive{
			Name: p.ArchiveName, Source: p.SourceArn, Pattern: p.EventPattern.text, Description: p.Description, Days: int(p.RetentionDays),
		})
		return cfn.Result{PhysicalID: p.ArchiveName, Attributes: map[string]any{"Arn": arn, "ArchiveName": p.ArchiveName}}, err
	}
}

type ruleProperties struct {
	Name, Description, EventBusName, State string
	EventPattern                           document
	Targets                                []struct {
		Id, Arn          string //nolint:revive // the property's own name
		DeadLetterConfig struct{ Arn string }
		RetryPolicy      json.RawMessage
	}
}

func eventsARN(r *cfn.ResourceRequest, resource string) string {
	return "arn:" + r.Partition + ":events:" + r.Region + ":" + r.Account + ":" + resource
}

func ruleARN(r *cfn.ResourceRequest, p ruleProperties) string {
	if p.EventBusName == "" || p.EventBusName == "default" {
		return eventsARN(r, "rule/"+r.PhysicalID)
	}
	return eventsARN(r, "rule/"+p.EventBusName+"/"+r.PhysicalID)
}

func createRule(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var p ruleProperties
		if err := properties(r.Properties, &p); err != nil {
			return cfn.Result{}, err
		}
		if p.Name == "" {
			p.Name = r.Name(64)
		}
		arn, err := s.Events.PutRule(r.Account, r.Region, events.Rule{
			Name: p.Name, Bus: p.EventBusName, Pattern: p.EventPattern.text, Description: p.Description, Disabled: p.State == "DISABLED",
		})
		made := cfn.Result{PhysicalID: p.Name, Attributes: map[string]any{"Arn": arn}}
		if err != nil {
			return cfn.Result{}, err
		}
		for _, t := range p.Targets {
			if err := s.Events.PutTarget(arn, events.Target{ID: t.Id, ARN: t.Arn, DeadLetter: t.DeadLetterConfig.Arn}); err != nil {
				return made, err
			}
		}
		return made, nil
	}
}

func removeRule(s Services) removeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) error {
		var p ruleProperties
		if err := properties(r.Properties, &p); err != nil {
			return err
		}
		arn := ruleARN(r, p)
		for _, t := range p.Targets {
			if err := s.Events.RemoveTarget(arn, t.Id); err != nil && !isMissing(err) {
				return err
			}
		}
		return ignoreMissing(s.Events.DeleteRule(arn))
	}
}

type scheduleProperties struct {
	Name, GroupName, Description, ScheduleExpression, State string
	FlexibleTimeWindow                                      json.RawMessage
	Target                                                  struct {
		Arn, RoleArn, Input string
		RetryPolicy         json.RawMessage
	}
}

func createSchedule(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var p scheduleProperties
		if err := properties(r.Properties, &p); err != nil {
			return cfn.Result{}, err
		}
		if p.Name == "" {
			p.Name = r.Name(64)
		}
		schedule := scheduler.Schedule{
			Account: r.Account, Region: r.Region, Name: p.Name, Group: p.GroupName, Expression: p.ScheduleExpression,
			TargetARN: p.Target.Arn, RoleARN: p.Target.RoleArn, Input: p.Target.Input, Disabled: p.State == "DISABLED",
		}
		return cfn.Result{PhysicalID: p.Name, Attributes: map[string]any{"Arn": schedule.ARN()}}, s.Scheduler.Put(schedule)
	}
}

func removeSchedule(s Services) removeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) error {
		var p scheduleProperties
		if err := properties(r.Properties, &p); err != nil {
			return err
		}
		s.Scheduler.Delete(scheduler.Schedule{Account: r.Account, Region: r.Region, Group: p.GroupName, Name: r.PhysicalID}.ARN())
		return nil
	}
}
