// Package publish composes the function that puts event records on the bus.
package publish

import (
	"context"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"

	"rolecall/shared/app"
	"rolecall/shared/bus"
	"rolecall/shared/config"
	"rolecall/shared/store"
)

// New makes the function that puts event records on the bus.
func New(c config.Config) func(context.Context, events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
	p := bus.Publisher{Client: eventbridge.NewFromConfig(app.AWS(c)), Bus: c.Bus, Read: store.EventOf, Log: app.Logger(c)}
	return p.Handle
}
