package webhook

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	lambdaevents "github.com/aws/aws-lambda-go/events"

	"rolecall/shared/connect"
)

// Pauses before an event is posted again: doubled each time, so that a receiver that is down for an hour costs a dozen
// tries, and capped, so that one that comes back waits no longer than that.
const (
	firstPause = 30 * time.Second
	lastPause  = 2 * time.Hour
)

// A Handler posts the events of a queue. What could not be delivered comes back after a pause that grows with the number
// of tries; the queue's own limit of tries ends in its dead-letter queue.
type Handler struct {
	Sender *Sender
	Pauses Pauses
	Log    *slog.Logger
}

// Pauses settle when a message that failed comes again.
type Pauses interface {
	// Pause hides a received message for d from now on.
	Pause(ctx context.Context, receiptHandle string, d time.Duration) error
}

// Handle posts each message and names the ones that must come again.
func (h Handler) Handle(ctx context.Context, batch lambdaevents.SQSEvent) (out lambdaevents.SQSEventResponse, err error) {
	defer connect.Recovered(&err)
	for _, m := range batch.Records {
		if h.deliver(ctx, m) {
			continue
		}
		out.BatchItemFailures = append(out.BatchItemFailures, lambdaevents.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
	}
	return out, nil
}

// deliver says whether the message is done with.
func (h Handler) deliver(ctx context.Context, m lambdaevents.SQSMessage) bool {
	err := h.send(ctx, m)
	tries, _ := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	switch {
	case err == nil:
		h.Log.InfoContext(ctx, "event delivered", "messageId", m.MessageId, "tries", tries)
		return true
	case errors.Is(err, ErrGone):
		h.Log.WarnContext(ctx, "event refused for good", "messageId", m.MessageId, "tries", tries)
		return true
	default:
		wait := pause(tries)
		h.Log.WarnContext(ctx, "event not delivered", "messageId", m.MessageId, "tries", tries, "again", wait.String(), "error", err)
		if err := h.Pauses.Pause(ctx, m.ReceiptHandle, wait); err != nil { // the queue's own time is a pause as well
			h.Log.ErrorContext(ctx, "pause not set", "error", err)
		}
		return false
	}
}

// send posts a message; a panic is its own failure.
func (h Handler) send(ctx context.Context, m lambdaevents.SQSMessage) (err error) {
	defer connect.Recovered(&err)
	return h.Sender.Send(ctx, []byte(m.Body))
}

// pause is how long a message waits that has been tried so often.
func pause(tries int) time.Duration {
	d := firstPause
	for n := 1; n < tries && d < lastPause; n++ {
		d *= 2
	}
	return min(d, lastPause)
}
