package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"
)

// startTimeout is what Lambda gives a function to start.
const startTimeout = 10 * time.Second

// warmUp is how many rounds are thrown away: they bring the binaries into memory.
const warmUp = 3

// measure starts each function as often as it is told. They take turns, so that whatever else this machine does at
// a time befalls all of them alike.
func measure(ctx context.Context, functions []*function, starts int, clock func() time.Time) error {
	l, err := newLauncher(ctx, clock)
	if err != nil {
		return err
	}
	defer l.close()
	for round := range warmUp + starts {
		for i := range functions {
			f := functions[(i+round)%len(functions)]
			s, err := l.start(ctx, f.bootstrap)
			if err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			if round >= warmUp {
				f.starts = append(f.starts, s)
			}
		}
	}
	return nil
}

// A launcher starts functions, one at a time, in front of as much of the Lambda Runtime API as they need for it.
type launcher struct {
	clock  func() time.Time
	server *http.Server
	env    []string
	asked  chan time.Time
}

func newLauncher(ctx context.Context, clock func() time.Time) (*launcher, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &launcher{clock: clock, env: environment(listener.Addr().String()), asked: make(chan time.Time, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", l.next)
	l.server = &http.Server{Handler: mux, ReadHeaderTimeout: startTimeout}
	go func() { _ = l.server.Serve(listener) }() // ends with ErrServerClosed
	return l, nil
}

func (l *launcher) close() { _ = l.server.Close() }

// next never has work: the function waits until it is killed.
func (l *launcher) next(_ http.ResponseWriter, r *http.Request) {
	l.asked <- l.clock()
	<-r.Context().Done()
}

// A start is one of a function's: what its first request for work waited for.
type start struct {
	took time.Duration // from exec to the request
	cpu  time.Duration // of all cores; unlike the time, it hardly depends on what else the machine does
}

// start starts a function and ends it at its first request for work.
func (l *launcher) start(ctx context.Context, bootstrap string) (start, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, bootstrap)
	cmd.Env, cmd.Stdout, cmd.Stderr = l.env, &output, &output
	began := l.clock()
	if err := cmd.Start(); err != nil {
		return start{}, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // ProcessState tells
	}()
	select {
	case at := <-l.asked:
		cancel()
		<-ended
		return start{took: at.Sub(began), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil
	case <-ended:
		return start{}, errors.Join(fmt.Errorf("ended before it asked for work: %v", cmd.ProcessState), errors.New(output.String()))
	}
}

// environment is complete for every function (one that misses a variable ends, and names it); nothing of this machine's
// own is in it. AWS_CA_BUNDLE above all must stay out: it costs several milliseconds that no function in AWS spends.
func environment(api string) []string {
	return []string{
		"PATH=" + os.DevNull,
		"TZ=:UTC",
		"_HANDLER=bootstrap",
		"AWS_LAMBDA_RUNTIME_API=" + api,
		"AWS_LAMBDA_FUNCTION_NAME=bench",
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256",
		"AWS_REGION=eu-west-1",
		"AWS_ACCESS_KEY_ID=ASIAAAAAAAAAAAAAAAAA",
		"AWS_SECRET_ACCESS_KEY=secret",
		"AWS_SESSION_TOKEN=token",
		"ROLECALL_TABLE=rolecall",
		"ROLECALL_PARTITION=aws",
		"ROLECALL_PLATFORM_ACCOUNT=111111111111",
		"ROLECALL_PLATFORM_NAME=Acme",
		"ROLECALL_TENANT_CLAIM=tenant_id",
		"ROLECALL_REGIONS=eu-west-1,us-east-1",
		"ROLECALL_MAC_KEY=1=arn:aws:kms:eu-west-1:111111111111:key/00000000-0000-4000-8000-000000000000",
		"ROLECALL_MAC_KEYS=1=arn:aws:kms:eu-west-1:111111111111:key/00000000-0000-4000-8000-000000000000",
		"ROLECALL_SEALING_KEY_ARN=arn:aws:kms:eu-west-1:111111111111:key/00000000-0000-4000-8000-000000000002",
		"ROLECALL_ACCESS_KEY_MAX_AGE_DAYS=90",
		"ROLECALL_TEMPLATE_URL=https://templates.example/connection.yaml",
		"ROLECALL_TEMPLATE_VERSION=1.0.0",
		"ROLECALL_TERRAFORM_MODULE_SHA256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"ROLECALL_TEMPLATE_SHA256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"ROLECALL_TEMPLATES_BUCKET=rolecall-templates",
		"ROLECALL_TOPIC_NAME=rolecall-callbacks",
		"ROLECALL_CALLBACKS_QUEUE_URL=https://sqs.eu-west-1.amazonaws.com/111111111111/rolecall-callbacks",
		"ROLECALL_VERIFY_NOW_QUEUE_URL=https://sqs.eu-west-1.amazonaws.com/111111111111/rolecall-verify-now",
		"ROLECALL_VERIFY_SWEEP_QUEUE_URL=https://sqs.eu-west-1.amazonaws.com/111111111111/rolecall-verify-sweep",
		"ROLECALL_CHECK_INTERVAL=24h",
		"ROLECALL_STS_RATE=300",
		"ROLECALL_CONNECTIONS_CLAIM=rolecall_connections",
		"ROLECALL_ISSUE_RATE=6000",
		"ROLECALL_VERIFY_RATE=300",
		"ROLECALL_MOST_PENDING=1000",
		"ROLECALL_READ_RATE=12000",
		"ROLECALL_LAUNCH_RATE=300",
		"ROLECALL_REVOKE_RATE=300",
		"ROLECALL_ISSUER=https://login.example.com/",
		"ROLECALL_BUS_NAME=rolecall",
		"ROLECALL_WEBHOOK_ENDPOINT=https://example.com/rolecall",
		"ROLECALL_WEBHOOK_KEY_ARN=arn:aws:kms:eu-west-1:111111111111:key/00000000-0000-4000-8000-000000000001",
		"ROLECALL_WEBHOOK_SECRETS=1",
		"ROLECALL_WEBHOOK_QUEUE_URL=https://sqs.eu-west-1.amazonaws.com/111111111111/rolecall-webhook",
	}
}
