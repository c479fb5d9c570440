package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"rolecall/shared/connect"
	"rolecall/shared/metric"
)

// Tries makes tries that somebody waits for.
type Tries interface {
	Try(ctx context.Context, job connect.VerifyJob) error
	// GiveUp tells who waits for a try that failed, if soon nobody listens any more.
	GiveUp(ctx context.Context, job connect.VerifyJob) error
}

// Reports does the next step of a stack's report.
type Reports interface {
	Work(ctx context.Context, job connect.ReportJob) error
	// GiveUp is for a step that failed with why. Its error is nil where another message goes on with the report.
	GiveUp(ctx context.Context, job connect.ReportJob, why error) error
}

// Sweeps looks at connections that are due.
type Sweeps interface {
	Sweep(ctx context.Context, id connect.ConnectionID) error
}

// A Handler works off batches of jobs from both queues. Each message stands or falls alone.
type Handler struct {
	Tries   Tries
	Reports Reports
	Sweeps  Sweeps
	// Jobs takes back the connections of a sweep message that could not be looked at.
	Jobs connect.SweepJobs
	// Parallel bounds the connections of one sweep message that are checked at the same time.
	Parallel int
	// Pauses let a try that failed come again soon: somebody waits for it.
	Pauses interface {
		Pause(ctx context.Context, receiptHandle string, d time.Duration) error
	}
	Clock func() time.Time
	Log   *slog.Logger
}

// finishing is what the end of an invocation is kept free for: to finish the checks that have begun, and to hand back
// those that have not.
const finishing = 10 * time.Second

var errNoTime = errors.New("no time was left to look at any connection")

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
	defer connect.Recovered(&err)
	job, err := Parse(r.Body, r.Attributes["ApproximateReceiveCount"] != "1")
	if err != nil {
		return err
	}
	if job.Report != nil {
		return h.report(ctx, r, *job.Report)
	}
	if job.Try != nil {
		h.Log.InfoContext(ctx, "try", "connectionId", job.Try.ConnectionID, "run", job.Try.Run, "attempt", job.Try.Attempt)
		return h.try(ctx, r, *job.Try)
	}
	return h.sweep(ctx, job.Sweep)
}

// report does a step of a stack's report. One that CloudFormation did not make is dropped without a trace but a metric.
func (h Handler) report(ctx context.Context, r events.SQSMessage, job connect.ReportJob) error {
	log := h.Log.With("stackId", job.Report.StackID.String(), "requestId", job.Report.RequestID, "attempt", job.Attempt)
	err := recovered(func() error { return h.Reports.Work(ctx, job) })
	if err != nil {
		why := err
		err = recovered(func() error { return h.Reports.GiveUp(ctx, job, why) })
	}
	switch {
	case errors.Is(err, connect.ErrAnswerRefused):
		log.InfoContext(ctx, "report dropped", metric.Count("CallbacksDropped", "Reason", "answer_refused", h.Clock()))
		return nil
	case err != nil:
		h.pause(ctx, r)
		return err
	}
	log.InfoContext(ctx, "report", "decided", job.Verdict != nil)
	return nil
}

func recovered(do func() error) (err error) {
	defer connect.Recovered(&err)
	return do()
}

func (h Handler) try(ctx context.Context, r events.SQSMessage, job connect.VerifyJob) (err error) {
	defer func() {
		if err != nil {
			h.giveUp(ctx, r, job)
			h.pause(ctx, r)
		}
	}()
	defer connect.Recovered(&err)
	return h.Tries.Try(ctx, job)
}

func (h Handler) giveUp(ctx context.Context, r events.SQSMessage, job connect.VerifyJob) {
	err := func() (err error) {
		defer connect.Recovered(&err)
		return h.Tries.GiveUp(ctx, job)
	}()
	if err != nil {
		h.Log.WarnContext(ctx, "nobody was told", "messageId", r.MessageId, "error", err)
	}
}

func (h Handler) pause(ctx context.Context, r events.SQSMessage) {
	deliveries, _ := strconv.Atoi(r.Attributes["ApproximateReceiveCount"])
	if err := h.Pauses.Pause(ctx, r.ReceiptHandle, connect.RetryPause(deliveries)); err != nil {
		h.Log.WarnContext(ctx, "pause not set", "messageId", r.MessageId, "error", err) // the queue's own time is one as well
	}
}

// sweep looks at connections. Those that failed, or that there was no time for, become a message of their own, so that
// what has been done is not done again. Messages shrink on the way: one of which nothing succeeds comes again as it is,
// and ends in the dead-letter queue.
func (h Handler) sweep(ctx context.Context, ids []connect.ConnectionID) error {
	left, err := h.look(ctx, ids)
	if len(left) == 0 {
		return nil
	}
	if err == nil {
		err = errNoTime
	}
	if len(left) == len(ids) {
		return err
	}
	if again := h.Jobs.Sweep(ctx, left, 0); again != nil {
		return errors.Join(err, again)
	}
	h.Log.WarnContext(ctx, "sweep goes on", "looked", len(ids)-len(left), "left", len(left), "error", err)
	return nil
}

// look answers which connections are left to look at, and what failed.
func (h Handler) look(ctx context.Context, ids []connect.ConnectionID) (left []connect.ConnectionID, err error) {
	beginning, end := h.beginning(ctx)
	defer end()
	done, errs := make([]bool, len(ids)), make([]error, len(ids))
	places := make(chan struct{}, max(1, h.Parallel))
	var wg sync.WaitGroup
	for i, id := range ids {
		if !placed(beginning, places) {
			break
		}
		wg.Go(func() {
			defer func() { <-places }()
			defer connect.Recovered(&errs[i])
			if err := h.Sweeps.Sweep(ctx, id); err != nil {
				errs[i] = fmt.Errorf("%s: %w", id, err)
				return
			}
			done[i] = true
		})
	}
	wg.Wait()
	for i, id := range ids {
		if !done[i] {
			left = append(left, id)
		}
	}
	return left, errors.Join(errs...)
}

// beginning is the part of an invocation in which checks may begin.
func (Handler) beginning(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, end.Add(-finishing))
}

// placed waits for a place, but not beyond the end of ctx.
func placed(ctx context.Context, places chan<- struct{}) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case places <- struct{}{}:
		return true
	}
}
