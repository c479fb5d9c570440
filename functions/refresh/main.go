// Command refresh is the schedule's tick: it queues the connections that have become due.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"rolecall/shared/app/refresh"
	"rolecall/shared/config"
)

func main() {
	c, err := config.Load(config.Table, config.VerifySweep, config.CheckInterval)
	if err != nil {
		slog.Error("configuration", "error", err)
		os.Exit(1)
	}
	lambda.Start(refresh.New(c))
}
