// Package app puts Rolecall's functions together: it is the one place where the domain meets AWS. Each function has a
// package of its own below this one, so that it links, and initialises at every cold start, only the clients it uses.
// Here is what all of them share.
package app

import (
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/middleware"

	"rolecall/shared/config"
)

// CallTimeout bounds one request to AWS, retries apart. A function that waits longer has better things to do.
const CallTimeout = 5 * time.Second

// AWS is what the SDK's own loader would make of a function's environment, without its price at start-up: it
// would look for profiles, single sign-on and instance metadata that no Lambda function has.
func AWS(c config.Config) aws.Config {
	cfg := aws.Config{
		Region: c.Region,
		Credentials: credentials.NewStaticCredentialsProvider(
			os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")),
		HTTPClient: awshttp.NewBuildableClient().WithTimeout(CallTimeout),
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

// Logger writes JSON lines, at the level that is configured, to where Lambda collects them.
func Logger(c config.Config) *slog.Logger {
	return slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: c.LogLevel}))
}

// Jitter is uniform in [-1,1].
func Jitter() float64 {
	const steps = 1 << 20
	n, err := rand.Int(rand.Reader, big.NewInt(2*steps+1))
	if err != nil {
		return 0
	}
	return float64(n.Int64()-steps) / steps
}
