// Package refresh composes the function that queues the connections that have become due.
package refresh

import (
	"context"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"rolecall/shared/app"
	"rolecall/shared/config"
	"rolecall/shared/connect"
	"rolecall/shared/queue"
	"rolecall/shared/store"
)

// New makes the function that queues the connections that have become due.
func New(c config.Config) func(context.Context) error {
	cfg, log := app.AWS(c), app.Logger(c)
	s := connect.Sweeping{
		Store: &store.Store{Client: dynamodb.NewFromConfig(cfg), Table: c.Table},
		Jobs:  queue.Jobs{Client: sqs.NewFromConfig(cfg), SweepURL: c.VerifySweepURL},
		Clock: time.Now, Interval: c.CheckInterval, Jitter: app.Jitter,
	}
	return Ticking(s, log)
}

// Ticking is the function around the tick. A panic is its error, without what it was given.
func Ticking(s connect.Sweeping, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		queued, err := tick(ctx, s)
		if err != nil {
			log.ErrorContext(ctx, "sweep", "queued", queued, "error", err)
			return err
		}
		log.InfoContext(ctx, "sweep", "queued", queued)
		return nil
	}
}

func tick(ctx context.Context, s connect.Sweeping) (queued int, err error) {
	defer connect.Recovered(&err)
	return s.Tick(ctx)
}
