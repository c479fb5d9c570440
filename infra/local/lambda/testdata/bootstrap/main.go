// Command bootstrap is the function under test: its events say how it shall behave.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type order struct {
	Do      string `json:"do"`
	URL     string `json:"url"`
	Records []events.SQSMessage
}

func main() {
	switch os.Getenv("INIT") {
	case "exit":
		os.Exit(7)
	case "error":
		api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/init/error"
		body := strings.NewReader(`{"errorType":"Init.NoConfig","errorMessage":"no configuration"}`)
		response, err := http.Post(api, "application/json", body)
		if err == nil {
			response.Body.Close()
		}
		os.Exit(1)
	}
	lambda.Start(handle)
}

func handle(ctx context.Context, raw json.RawMessage) (any, error) {
	var o order
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, err
	}
	switch o.Do {
	case "pid":
		return os.Getpid(), nil
	case "context":
		lc, _ := lambdacontext.FromContext(ctx)
		deadline, _ := ctx.Deadline()
		return map[string]any{
			"requestId": lc.AwsRequestID, "arn": lc.InvokedFunctionArn, "trace": os.Getenv("_X_AMZN_TRACE_ID"),
			"left": time.Until(deadline).Seconds(),
		}, nil
	case "environ":
		return os.Environ(), nil
	case "error":
		return nil, errors.New("no such thing")
	case "panic":
		panic("unexpected")
	case "exit":
		os.Exit(3)
	case "hang":
		child := exec.Command("sleep", "600")
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			return nil, err
		}
		fmt.Printf("pids %d %d\n", os.Getpid(), child.Process.Pid)
		select {}
	case "orphan":
		child := exec.Command("sleep", "600")
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			return nil, err
		}
		fmt.Printf("pids %d %d\n", os.Getpid(), child.Process.Pid)
		os.Exit(4)
	case "wait":
		response, err := http.Get(o.URL)
		if err != nil {
			return nil, err
		}
		response.Body.Close()
		return os.Getpid(), nil
	case "big":
		return strings.Repeat("x", 7<<20), nil
	case "log":
		fmt.Fprintln(os.Stderr, "to stderr")
		fmt.Println("to stdout")
		fmt.Println(strings.Repeat("é", 50000))
		return nil, nil
	}
	if o.Records != nil {
		var answer events.SQSEventResponse
		for _, r := range o.Records {
			if r.Body == "bad" {
				answer.BatchItemFailures = append(answer.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: r.MessageId})
			}
		}
		return answer, nil
	}
	return raw, nil
}
