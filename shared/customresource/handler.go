package customresource

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"rolecall/shared/connect"
	"rolecall/shared/metric"
)

// A Receiver answers requests and acts upon them.
type Receiver interface {
	// Receive returns an error that wraps [connect.ErrAnswerRefused] where CloudFormation did not make the request. After any
	// other error the request must come again.
	Receive(ctx context.Context, r connect.CallbackRequest) error
	// GiveUp is for a request that failed with why. Its error is nil where it need not come again.
	GiveUp(ctx context.Context, r connect.CallbackRequest, why error) error
}

// Pauses settle when a message that failed comes again.
type Pauses interface {
	// Pause hides a received message for d from now on.
	Pause(ctx context.Context, receiptHandle string, d time.Duration) error
}

// Handler handles batches of the callback queue.
type Handler struct {
	Topics   Topics
	Receiver Receiver
	Answerer connect.Answerer
	Pauses   Pauses
	Clock    func() time.Time
	Log      *slog.Logger
}

// Handle takes a batch. A message that fails is delivered again alone, and one that is dropped has not failed; the error is
// always nil. Messages are handled side by side, since each may wait for its answer to be taken.
func (h Handler) Handle(ctx context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
	failed := make([]bool, len(e.Records))
	var all sync.WaitGroup
	for i, record := range e.Records {
		all.Go(func() { failed[i] = h.alone(ctx, record) != nil })
	}
	all.Wait()
	out := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	for i, record := range e.Records {
		if failed[i] {
			out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: record.MessageId})
		}
	}
	return out, nil
}

// alone handles one message, whose panic is its own failure wherever it comes from.
func (h Handler) alone(ctx context.Context, m events.SQSMessage) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = connect.Panicked(v)
			h.Log.ErrorContext(ctx, "callback failed", slog.String("messageId", m.MessageId), slog.Any("error", err))
		}
	}()
	return h.record(ctx, m)
}

// record handles one message and logs how that ended.
func (h Handler) record(ctx context.Context, m events.SQSMessage) error {
	deliveries, _ := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	log := h.Log.With(slog.String("messageId", m.MessageId), slog.Int("delivery", deliveries))
	r, err := h.parse(m.Body)
	if d, ok := errors.AsType[*Dropped](err); ok {
		h.drop(ctx, log, d)
		return nil
	}
	if err != nil {
		log.ErrorContext(ctx, "callback not read", slog.Any("error", err))
		return err
	}
	log = log.With(
		slog.String("requestId", r.Callback.RequestID), slog.String("stackId", r.ReplyTo.StackID),
		slog.String("resource", string(r.Callback.Resource)), slog.String("requestType", string(r.Callback.Type)),
		slog.String("connectionId", r.ReplyTo.PhysicalID))
	err = h.receive(ctx, r)
	if err != nil && deliveries > 1 && r.Malformed == nil {
		err = h.giveUp(ctx, r.CallbackRequest, err)
	}
	if errors.Is(err, connect.ErrAnswerRefused) {
		h.drop(ctx, log, &Dropped{DropRefused, err.Error()})
		return nil
	}
	if err != nil {
		log.ErrorContext(ctx, "callback failed", slog.Any("error", err))
		if pauseErr := h.Pauses.Pause(ctx, m.ReceiptHandle, connect.RetryPause(deliveries)); pauseErr != nil {
			log.WarnContext(ctx, "pause not set", slog.Any("error", pauseErr)) // the queue's own time is a pause as well
		}
		return err
	}
	log.InfoContext(ctx, "callback received")
	return nil
}

// drop lets go of a message that CloudFormation did not send, or does not wait for any more: it counts, and no more. Any AWS
// account can send such messages, so they are no trouble of ours.
func (h Handler) drop(ctx context.Context, log *slog.Logger, d *Dropped) {
	log.InfoContext(ctx, "callback dropped", slog.String("why", d.Why), metric.Count(CallbacksDropped, "Reason", string(d.Reason), h.Clock()))
}

func (h Handler) parse(body string) (r Request, err error) {
	defer connect.Recovered(&err)
	return h.Topics.Parse(body, h.Clock())
}

// receive asks the domain, except about what cannot be acted upon: that is answered here.
func (h Handler) receive(ctx context.Context, r Request) (err error) {
	defer connect.Recovered(&err)
	switch {
	case r.Malformed == nil:
		return h.Receiver.Receive(ctx, r.CallbackRequest)
	case r.Callback.Type == connect.RequestDelete:
		return h.Answerer.Answer(ctx, r.ReplyTo, connect.Reply{OK: true}) // what we never understood is nothing to keep
	default:
		return h.Answerer.Answer(ctx, r.ReplyTo, connect.Reply{Reason: r.Malformed.Reason()})
	}
}

func (h Handler) giveUp(ctx context.Context, r connect.CallbackRequest, why error) (err error) {
	defer connect.Recovered(&err)
	return h.Receiver.GiveUp(ctx, r, why)
}
