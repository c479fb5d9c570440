// Package callback composes the function that receives what customers' stacks report.
package callback

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"rolecall/shared/app"
	"rolecall/shared/config"
	"rolecall/shared/connect"
	"rolecall/shared/customresource"
	"rolecall/shared/queue"
	"rolecall/shared/store"
	"rolecall/shared/token"
	"rolecall/templates"
)

// New makes the function that receives what customers' stacks report.
func New(c config.Config) (func(context.Context, events.SQSEvent) (events.SQSEventResponse, error), error) {
	manifest, err := templates.Offered(c.CustomPermissions)
	if err != nil {
		return nil, err
	}
	cfg := app.AWS(c)
	table := &store.Store{Client: dynamodb.NewFromConfig(cfg), Table: c.Table}
	tokens := token.MAC{Client: kms.NewFromConfig(cfg), Current: c.MACKey, Keys: c.MACKeys}
	queues := sqs.NewFromConfig(cfg)
	jobs := queue.Jobs{Client: queues, NowURL: c.VerifyNowURL}
	sender := customresource.NewSender(nil, time.Now)
	h := customresource.Handler{
		Receiver: connect.Callbacks{
			Store: table, Tokens: tokens, Jobs: jobs, Answerer: sender, Clock: time.Now, Account: c.Platform.Account, Offers: offers(manifest),
			Settling: connect.Settling{Store: table, Jobs: jobs, Random: rand.Reader, Clock: time.Now},
		},
		Answerer: sender,
		Topics: customresource.Topics{
			Partition: c.Platform.Partition, Account: c.Platform.Account, Name: c.TopicName, Regions: c.Regions,
		},
		Pauses: queue.Pauses{Client: queues, URL: c.CallbacksURL}, Clock: time.Now, Log: app.Logger(c),
	}
	return h.Handle, nil
}

// offers are the permission sets that stacks may report.
func offers(manifest templates.Manifest) []connect.Permissions {
	names := make([]connect.Permissions, 0, len(manifest.Sets))
	for _, s := range manifest.Sets {
		names = append(names, connect.Permissions(s.Name))
	}
	return names
}
