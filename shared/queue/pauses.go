package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// Pauses settle when a message that failed comes again. Without one it stays hidden for its queue's visibility timeout,
// which must allow for a function that died and so is far too long for one that knows it has failed.
type Pauses struct {
	Client *sqs.Client
	URL    string // of the queue
}

// Pause hides a message that was received for d from now on: whole seconds, 12 hours at most.
func (p Pauses) Pause(ctx context.Context, receiptHandle string, d time.Duration) error {
	_, err := p.Client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &p.URL, ReceiptHandle: &receiptHandle, VisibilityTimeout: int32(d / time.Second), //nolint:gosec // 12 hours at most
	})
	if err != nil {
		return fmt.Errorf("pause of a message: %w", err)
	}
	return nil
}
