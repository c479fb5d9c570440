package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"

	"rolecall/shared/bus"
	"rolecall/shared/config"
	"rolecall/shared/connect"
	"rolecall/shared/customresource"
	"rolecall/shared/queue"
	"rolecall/shared/store"
)

// Callback receives what customers' stacks report.
func Callback(c config.Config) func(context.Context, events.SQSEvent) (events.SQSEventResponse, error) {
	log := logger(c)
	h := customresource.Handler{
		Receiver: connect.Callbacks{
			Store: tableStore(c), Tokens: tokens(c), Jobs: jobs(c), Clock: time.Now, Account: c.Platform.Account,
		},
		Answerer: customresource.NewSender(log),
		Topics: customresource.Topics{
			Partition: c.Platform.Partition, Account: c.Platform.Account, Name: c.TopicName, Regions: c.Regions,
		},
		Log: log,
	}
	return h.Handle
}

// sweepParallel bounds how many connections one invocation re-checks at the same time.
const sweepParallel = 10

// Verify makes tries and re-checks.
func Verify(c config.Config) func(context.Context, events.SQSEvent) (events.SQSEventResponse, error) {
	return queue.Handler{Verifications: verifications(c), Parallel: sweepParallel, Log: logger(c)}.Handle
}

// Refresh queues the connections that have become due.
func Refresh(c config.Config) func(context.Context) error {
	log := logger(c)
	s := connect.Sweeping{Store: tableStore(c), Jobs: jobs(c), Clock: time.Now, Interval: c.CheckInterval}
	return func(ctx context.Context) error {
		queued, err := s.Tick(ctx)
		level := slog.LevelInfo
		if err != nil {
			level = slog.LevelError
		}
		log.Log(ctx, level, "sweep", "queued", queued, "error", err)
		return err
	}
}

// Publish puts event records on the bus.
func Publish(c config.Config) func(context.Context, events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
	p := bus.Publisher{Client: eventbridge.NewFromConfig(awsConfig(c)), Bus: c.Bus, Read: store.EventOf, Log: logger(c)}
	return p.Handle
}
