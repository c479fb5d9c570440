package customresource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync"

	"github.com/aws/aws-lambda-go/events"

	"rolecall/shared/connect"
)

// A Receiver acts upon requests.
type Receiver interface {
	// Receive answers with nil where the answer is given later. An error means that the request must come again.
	Receive(ctx context.Context, r connect.CallbackRequest) (*connect.Reply, error)
}

// lastChance is the delivery at which a stack is told of a failure that repeats: with the queue's visibility of 90
// seconds about three minutes have passed, and CloudFormation's patience ends after five.
const lastChance = 3

// Handler handles batches of the callback queue.
type Handler struct {
	Topics   Topics
	Receiver Receiver
	Answerer connect.Answerer
	Log      *slog.Logger
}

// Handle takes a batch. A message that fails is delivered again alone; the error is always nil. Messages are handled
// side by side, since each may wait for its answer to be taken.
func (h Handler) Handle(ctx context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
	failed := make([]bool, len(e.Records))
	var all sync.WaitGroup
	for i, record := range e.Records {
		all.Go(func() { failed[i] = h.record(ctx, record) != nil })
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

// record handles one message and logs how that ended.
func (h Handler) record(ctx context.Context, m events.SQSMessage) error {
	deliveries, _ := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	log := h.Log.With(slog.String("messageId", m.MessageId), slog.Int("delivery", deliveries))
	r, err := h.parse(m.Body)
	if err != nil {
		log.ErrorContext(ctx, "callback refused", slog.Any("error", err))
		return err
	}
	r.Redelivered = deliveries > 1
	log = log.With(
		slog.String("requestId", r.Callback.RequestID), slog.String("stackId", r.ReplyTo.StackID),
		slog.String("resource", string(r.Callback.Resource)), slog.String("requestType", string(r.Callback.Type)),
		slog.String("connectionId", r.ReplyTo.PhysicalID))
	reply, err := h.receive(ctx, r)
	if err != nil && deliveries >= lastChance && r.Callback.Type != connect.RequestDelete {
		reply = &connect.Reply{Reason: errTrouble.Reason()}
	}
	if answerErr := h.answer(ctx, r.ReplyTo, reply); answerErr != nil {
		err = errors.Join(err, answerErr)
	}
	if err != nil {
		log.ErrorContext(ctx, "callback failed", slog.Any("error", err))
		return err
	}
	log.InfoContext(ctx, "callback received", slog.String("outcome", outcome(reply)))
	return nil
}

// errTrouble is what a stack is told when we keep failing. A Delete is never told so: its success must be durable.
var errTrouble = &connect.Error{
	Kind: connect.KindInternal, Code: connect.CodeInternal, Message: "the platform could not handle the request",
	Fix: "Try again later: delete this stack and open a new launch from the platform.",
}

func outcome(r *connect.Reply) string {
	switch {
	case r == nil:
		return "answered later"
	case r.OK:
		return statusSuccess
	default:
		return string(r.Reason.Code)
	}
}

func (h Handler) parse(body string) (r Request, err error) {
	defer recovered(&err)
	return h.Topics.Parse(body)
}

// receive asks the domain, except about what cannot be acted upon: that is answered here.
func (h Handler) receive(ctx context.Context, r Request) (reply *connect.Reply, err error) {
	defer recovered(&err)
	switch {
	case r.Malformed == nil:
		return h.Receiver.Receive(ctx, r.CallbackRequest)
	case r.Callback.Type == connect.RequestDelete:
		return &connect.Reply{OK: true}, nil // what we never understood is nothing to keep
	default:
		return &connect.Reply{Reason: r.Malformed.Reason()}, nil
	}
}

func (h Handler) answer(ctx context.Context, to connect.ReplyTo, reply *connect.Reply) (err error) {
	defer recovered(&err)
	if reply == nil {
		return nil
	}
	return h.Answerer.Answer(ctx, to, *reply)
}

// recovered makes a panic an error of this one message. The stack is part of it, for the log.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
	}
}
