package app

import (
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"rolecall/shared/bus"
	"rolecall/shared/config"
	"rolecall/shared/connect"
	"rolecall/shared/customresource"
	"rolecall/shared/gateway"
	"rolecall/shared/httpapi"
	"rolecall/shared/queue"
	"rolecall/shared/store"
	"rolecall/shared/webhook"
	"rolecall/templates"
)

// An HTTPFunction answers one request that API Gateway hands over.
type HTTPFunction = func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error)

func behindGateway(c config.Config, h http.Handler) HTTPFunction {
	identify := func(ctx context.Context, claims gateway.Claims) context.Context {
		return httpapi.Identify(ctx, claims.Tenant, claims.Subject, claims.Scopes)
	}
	return gateway.Function{Handler: h, TenantClaim: c.TenantClaim, Identify: identify}.Handle
}

func deployment(c config.Config) (connect.Deployment, error) {
	manifest, err := templates.Permissions()
	if err != nil {
		return connect.Deployment{}, err
	}
	d := connect.Deployment{
		Platform: c.Platform, PlatformName: c.PlatformName, Regions: c.Regions, TemplateURL: c.TemplateURL,
		TemplateVersion: c.TemplateVersion, TemplateSHA256: c.TemplateSHA256, ConsoleURL: c.ConsoleURL, CheckInterval: c.CheckInterval,
	}
	for _, s := range manifest.Sets {
		d.Permissions = append(d.Permissions, connect.PermissionSet{
			Name: connect.Permissions(s.Name), Description: s.Description, Warning: s.Warning,
		})
	}
	return d, nil
}

// API answers the routes that take no right in any customer's account.
func API(c config.Config) (HTTPFunction, error) {
	d, err := deployment(c)
	if err != nil {
		return nil, err
	}
	table := tableStore(c)
	return behindGateway(c, httpapi.NewAPI(httpapi.APIParts{
		Connections: connect.Connections{Store: table, Replays: table, Deployment: d, Clock: time.Now, Random: rand.Reader},
		Tokens:      tokens(c), Log: logger(c),
	})), nil
}

// Broker answers the routes that assume customers' roles.
func Broker(c config.Config) (HTTPFunction, error) {
	d, err := deployment(c)
	if err != nil {
		return nil, err
	}
	v, err := verifications(c)
	if err != nil {
		return nil, err
	}
	return behindGateway(c, httpapi.NewBroker(httpapi.BrokerParts{
		Verifications: v, Deployment: d, Tokens: tokens(c), Log: logger(c),
		Issuing: connect.Issuing{Store: tableStore(c), Assumer: assumer(c), Clock: time.Now, EventID: eventID},
	})), nil
}

// Callback receives what customers' stacks report.
func Callback(c config.Config) func(context.Context, events.SQSEvent) (events.SQSEventResponse, error) {
	log := logger(c)
	h := customresource.Handler{
		Receiver: connect.Callbacks{
			Store: tableStore(c), Tokens: tokens(c), Jobs: jobs(c), Clock: time.Now, Account: c.Platform.Account,
		},
		Answerer: customresource.NewSender(nil),
		Topics: customresource.Topics{
			Partition: c.Platform.Partition, Account: c.Platform.Account, Name: c.TopicName, Regions: c.Regions,
		},
		Log: log,
	}
	return h.Handle
}

// sweeps is how many sweeps run at the same time and so share the limit of STS: the CDK app lets the queue start no more.
const sweeps = 2

// Verify makes tries and re-checks. Only re-checks keep to a rate: nobody waits for them.
func Verify(c config.Config) (func(context.Context, events.SQSEvent) (events.SQSEventResponse, error), error) {
	tries, err := verifications(c)
	if err != nil {
		return nil, err
	}
	share := float64(c.STSRate) / sweeps
	parallel := parallelAt(share)
	swept := tries
	swept.Verifier.Assumer = paced(c, share, parallel)
	return queue.Handler{Tries: tries, Sweeps: swept, Jobs: jobs(c), Parallel: parallel, Log: logger(c)}.Handle, nil
}

// parallelAt is how many connections are checked at the same time under a limit of so many requests of STS a second: as
// many as use it up while each check of two requests takes up to 0.4 s. More would only wait for their turn.
func parallelAt(rate float64) int { return max(1, int(rate/5)) }

// Refresh queues the connections that have become due.
func Refresh(c config.Config) func(context.Context) error {
	log := logger(c)
	s := connect.Sweeping{Store: tableStore(c), Jobs: jobs(c), Clock: time.Now, Interval: c.CheckInterval, Jitter: jitter}
	return func(ctx context.Context) error {
		queued, err := s.Tick(ctx)
		if err != nil {
			log.ErrorContext(ctx, "sweep", "queued", queued, "error", err)
			return err
		}
		log.InfoContext(ctx, "sweep", "queued", queued)
		return nil
	}
}

// Publish puts event records on the bus.
func Publish(c config.Config) func(context.Context, events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
	p := bus.Publisher{Client: eventbridge.NewFromConfig(awsConfig(c)), Bus: c.Bus, Read: store.EventOf, Log: logger(c)}
	return p.Handle
}

// Webhook posts published events to the endpoint that was configured.
func Webhook(c config.Config) (func(context.Context, events.SQSEvent) (events.SQSEventResponse, error), error) {
	endpoint, err := webhook.ParseEndpoint(c.WebhookEndpoint)
	if err != nil {
		return nil, err
	}
	secrets := webhook.NewSecrets(kms.NewFromConfig(awsConfig(c)), c.WebhookKeyARN, c.WebhookSecrets)
	h := webhook.Handler{
		Sender: webhook.NewSender(endpoint, secrets.Get, time.Now),
		Client: sqs.NewFromConfig(awsConfig(c)), QueueURL: c.WebhookURL, Log: logger(c),
	}
	return h.Handle, nil
}
