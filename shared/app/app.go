// Package app puts Rolecall's functions together: it is the one place where the domain meets AWS.
package app

import (
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"

	"rolecall/shared/config"
	"rolecall/shared/connect"
	"rolecall/shared/customer"
	"rolecall/shared/customresource"
	"rolecall/shared/queue"
	"rolecall/shared/store"
	"rolecall/shared/token"
	"rolecall/templates"
)

// callTimeout bounds one request to AWS, retries apart. A function that waits longer has better things to do.
const callTimeout = 5 * time.Second

// awsConfig is what the SDK's own loader would make of a function's environment, without its price at start-up: it
// would look for profiles, single sign-on and instance metadata that no Lambda function has.
func awsConfig(c config.Config) aws.Config {
	cfg := aws.Config{
		Region: c.Region,
		Credentials: credentials.NewStaticCredentialsProvider(
			os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")),
		HTTPClient: awshttp.NewBuildableClient().WithTimeout(callTimeout),
		APIOptions: []func(*middleware.Stack) error{withholdEcho},
		Retryer:    retryer,
	}
	if c.Endpoint != "" {
		cfg.BaseEndpoint = &c.Endpoint
	}
	return cfg
}

// retryer tries again what the SDK's own does, and what came back cut off, which that takes for the last word: it says no
// more than a connection that broke a moment earlier, and nothing that is asked here does harm when it is asked twice.
func retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.Retryables = append(o.Retryables, retry.IsErrorRetryableFunc(cutOff))
	})
}

func cutOff(err error) aws.Ternary {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}

func logger(c config.Config) *slog.Logger {
	return slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: c.LogLevel}))
}

func tableStore(c config.Config) *store.Store {
	return &store.Store{Client: dynamodb.NewFromConfig(awsConfig(c)), Table: c.Table}
}

func tokens(c config.Config) token.MAC {
	return token.MAC{Client: kms.NewFromConfig(awsConfig(c)), KeyARN: c.MACKeyARN}
}

func jobs(c config.Config) queue.Jobs {
	return queue.Jobs{Client: sqs.NewFromConfig(awsConfig(c)), NowURL: c.VerifyNowURL, SweepURL: c.VerifySweepURL}
}

func assumer(c config.Config) customer.Assumer {
	return customer.Assumer{Client: sts.NewFromConfig(awsConfig(c))}
}

// paced is the assumer of a sweep: its requests, those that the SDK repeats among them, keep to a share of the limit.
func paced(c config.Config, perSecond float64, parallel int) customer.Assumer {
	cfg := awsConfig(c)
	pool := awshttp.NewBuildableClient().WithTimeout(callTimeout).WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = parallel // or connections would be made again and again
	})
	cfg.HTTPClient = customer.NewPace(pool, perSecond, time.Now)
	return customer.Assumer{Client: sts.NewFromConfig(cfg)}
}

func verifications(c config.Config) (connect.Verifications, error) {
	expects, err := expectations()
	if err != nil {
		return connect.Verifications{}, err
	}
	return connect.Verifications{
		Store: tableStore(c),
		Verifier: connect.Verifier{
			Platform: c.Platform, Assumer: assumer(c), Clock: time.Now, Expects: expects,
			Inspector: customer.Inspector{HTTP: plainClient(), Clock: time.Now, Endpoint: c.Endpoint},
		},
		Jobs: jobs(c), Sweeps: jobs(c), Answerer: customresource.NewSender(nil), Clock: time.Now, Jitter: jitter,
		Interval: c.CheckInterval,
	}, nil
}

// expectations are what verification asks about each permission set, from the one manifest of them.
func expectations() (map[connect.Permissions]connect.Expectation, error) {
	manifest, err := templates.Permissions()
	if err != nil {
		return nil, err
	}
	out := map[connect.Permissions]connect.Expectation{}
	for _, s := range manifest.Sets {
		out[connect.Permissions(s.Name)] = connect.Expectation{Policies: s.ManagedPolicies, Actions: s.Expects}
	}
	return out, nil
}

// plainClient is for requests that are signed here: they follow no redirect, for a signature holds for one host.
func plainClient() *http.Client {
	return &http.Client{
		Timeout: callTimeout,
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
			TLSHandshakeTimeout: 3 * time.Second, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 4, IdleConnTimeout: 90 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// jitter is uniform in [-1,1].
func jitter() float64 {
	const steps = 1 << 20
	n, err := rand.Int(rand.Reader, big.NewInt(2*steps+1))
	if err != nil {
		return 0
	}
	return float64(n.Int64()-steps) / steps
}

func eventID() string { return "evt_" + strings.ToLower(rand.Text()) }
