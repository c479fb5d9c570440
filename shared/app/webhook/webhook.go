// Package webhook composes the function that posts published events to the endpoint that was configured.
package webhook

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"rolecall/shared/app"
	"rolecall/shared/config"
	"rolecall/shared/queue"
	"rolecall/shared/webhook"
)

// New makes the function that posts published events to the endpoint that was configured.
func New(c config.Config) (func(context.Context, events.SQSEvent) (events.SQSEventResponse, error), error) {
	endpoint, err := webhook.ParseEndpoint(c.WebhookEndpoint)
	if err != nil {
		return nil, err
	}
	cfg := app.AWS(c)
	secrets := webhook.NewSecrets(kms.NewFromConfig(cfg), c.WebhookKeyARN, c.WebhookSecrets)
	h := webhook.Handler{
		Sender: webhook.NewSender(endpoint, secrets.Get, time.Now),
		Pauses: queue.Pauses{Client: sqs.NewFromConfig(cfg), URL: c.WebhookURL}, Log: app.Logger(c),
	}
	return h.Handle, nil
}
