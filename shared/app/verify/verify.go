// Package verify composes the function that makes tries and re-checks.
package verify

import (
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"rolecall/shared/app"
	"rolecall/shared/app/keys"
	"rolecall/shared/config"
	"rolecall/shared/connect"
	"rolecall/shared/customer"
	"rolecall/shared/customresource"
	"rolecall/shared/queue"
	"rolecall/shared/store"
	"rolecall/templates"
)

// sweeps is how many sweeps run at the same time and so share the limit of STS: the CDK app lets the queue start no more.
const sweeps = 2

// New makes the function that makes tries and re-checks. Only re-checks keep to a rate: nobody waits for them.
func New(c config.Config) (func(context.Context, events.SQSEvent) (events.SQSEventResponse, error), error) {
	manifest, err := templates.Offered(c.CustomPermissions)
	if err != nil {
		return nil, err
	}
	cfg := app.AWS(c)
	tries := Verifications(c, cfg, manifest)
	share := float64(c.STSRate) / sweeps
	parallel := parallelAt(share)
	swept := tries
	swept.Verifier.Assumer = paced(cfg, share, parallel)
	return queue.Handler{
		Tries: tries, Reports: reports(tries, table(c, cfg)), Sweeps: swept, Jobs: jobs(c, cfg), Parallel: parallel, Clock: time.Now, Log: app.Logger(c),
		Pauses: queue.Pauses{Client: sqs.NewFromConfig(cfg), URL: c.VerifyNowURL},
	}.Handle, nil
}

// parallelAt is how many connections are checked at the same time under a limit of so many requests of STS a second: as
// many as use it up while each check of two requests takes up to 0.4 s. More would only wait for their turn.
func parallelAt(rate float64) int { return max(1, int(rate/5)) }

// Verifications are the tries of one run; broker makes them, too.
func Verifications(c config.Config, cfg aws.Config, manifest templates.Manifest) connect.Verifications {
	jobs := jobs(c, cfg)
	inspector := customer.Inspector{HTTP: app.PlainClient(), Clock: time.Now, Endpoint: c.Endpoint}
	return connect.Verifications{
		Store: table(c, cfg),
		Verifier: connect.Verifier{
			Platform: c.Platform, Assumer: customer.Assumer{Client: sts.NewFromConfig(cfg)}, Clock: time.Now, Expects: expectations(manifest),
			Inspector: inspector, Organizations: inspector,
		},
		Keys: keys.Ring(c, cfg), Revoker: revoker(inspector), Jobs: jobs, Sweeps: jobs, Answerer: customresource.NewSender(nil, time.Now), Clock: time.Now, Jitter: app.Jitter,
		Interval: c.CheckInterval,
	}
}

func table(c config.Config, cfg aws.Config) *store.Store {
	return &store.Store{Client: dynamodb.NewFromConfig(cfg), Table: c.Table}
}

// reports prove the roles that stacks report, as tries do those that people give.
func reports(v connect.Verifications, table *store.Store) connect.Reports {
	return connect.Reports{
		Store: table, Holders: table, Verifier: v.Verifier, Answerer: v.Answerer, Jobs: v.Jobs, Clock: v.Clock, Jitter: v.Jitter,
		Settling: connect.Settling{Store: table, Jobs: v.Jobs, Random: rand.Reader, Clock: v.Clock},
		Limits:   connect.ReportLimits{Store: table, Clock: v.Clock},
	}
}

// revoker writes the policy that the templates declare.
func revoker(i customer.Inspector) customer.Revoker {
	return customer.Revoker{Inspector: i, Text: templates.Revocation, Inert: templates.InertCutoff()}
}

func jobs(c config.Config, cfg aws.Config) queue.Jobs {
	return queue.Jobs{Client: sqs.NewFromConfig(cfg), NowURL: c.VerifyNowURL, SweepURL: c.VerifySweepURL}
}

// Soon queues looks at single connections that somebody will soon wait for. They go into the queue of tries, which is the
// one that broker may send to; a job says itself what it is.
func Soon(c config.Config, cfg aws.Config) queue.Jobs {
	return queue.Jobs{Client: sqs.NewFromConfig(cfg), SweepURL: c.VerifyNowURL}
}

// expectations are what verification asks about each permission set, from the one manifest of them.
func expectations(manifest templates.Manifest) map[connect.Permissions]connect.Expectation {
	out := map[connect.Permissions]connect.Expectation{}
	for _, s := range manifest.Sets {
		out[connect.Permissions(s.Name)] = connect.Expectation{Policies: s.ManagedPolicies, Actions: s.Expects, PolicyDigest: s.Digest}
	}
	return out
}

// paced is the assumer of a sweep: its requests, those that the SDK repeats among them, keep to a share of the limit.
func paced(cfg aws.Config, perSecond float64, parallel int) customer.Assumer {
	pool := awshttp.NewBuildableClient().WithTimeout(app.CallTimeout).WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = parallel // or connections would be made again and again
	})
	cfg.HTTPClient = customer.NewPace(pool, perSecond, time.Now)
	return customer.Assumer{Client: sts.NewFromConfig(cfg)}
}
