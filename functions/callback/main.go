// Command callback receives what customers' stacks report.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"rolecall/shared/app/callback"
	"rolecall/shared/config"
)

func main() {
	c, err := config.Load(config.Table, config.Platform, config.Callbacks, config.VerifyNow)
	if err != nil {
		slog.Error("configuration", "error", err)
		os.Exit(1)
	}
	handle, err := callback.New(c)
	if err != nil {
		slog.Error("composition", "error", err)
		os.Exit(1)
	}
	lambda.Start(handle)
}
