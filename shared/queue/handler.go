package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"

	"github.com/aws/aws-lambda-go/events"

	"rolecall/shared/connect"
)

// A Verifications makes tries and looks at connections that are due.
type Verifications interface {
	Try(ctx context.Context, job connect.VerifyJob) error
	Sweep(ctx context.Context, id connect.ConnectionID) error
}

// A Handler works off batches of jobs from both queues. Each message stands or falls alone.
type Handler struct {
	Verifications Verifications
	// Parallel bounds the connections of one sweep message that are checked at the same time.
	Parallel int
	Log      *slog.Logger
}

// Handle works off a batch; the messages of a batch run at the same time, for somebody waits for each of them.
func (h Handler) Handle(ctx context.Context, batch events.SQSEvent) (events.SQSEventResponse, error) {
	failed := make([]bool, len(batch.Records))
	var wg sync.WaitGroup
	for i, r := range batch.Records {
		wg.Go(func() {
			if err := h.record(ctx, r); err != nil {
				h.Log.ErrorContext(ctx, "job failed", "messageId", r.MessageId, "error", err)
				failed[i] = true
			}
		})
	}
	wg.Wait()
	var out events.SQSEventResponse
	for i, bad := range failed {
		if bad {
			out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: batch.Records[i].MessageId})
		}
	}
	return out, nil
}

func (h Handler) record(ctx context.Context, r events.SQSMessage) (err error) {
	defer recovered(&err)
	job, err := Parse(r.Body, r.Attributes["ApproximateReceiveCount"] != "1")
	if err != nil {
		return err
	}
	if job.Try != nil {
		h.Log.InfoContext(ctx, "try", "connectionId", job.Try.ConnectionID, "run", job.Try.Run, "attempt", job.Try.Attempt)
		return h.Verifications.Try(ctx, *job.Try)
	}
	return h.sweep(ctx, job.Sweep)
}

// recovered turns a panic into the failure of one message.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}
}

// sweep looks at every connection even if some of them fail.
func (h Handler) sweep(ctx context.Context, ids []connect.ConnectionID) error {
	errs := make([]error, len(ids))
	places := make(chan struct{}, max(1, h.Parallel))
	var wg sync.WaitGroup
	for i, id := range ids {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			defer recovered(&errs[i])
			if err := h.Verifications.Sweep(ctx, id); err != nil {
				errs[i] = fmt.Errorf("%s: %w", id, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
