// Command broker answers the HTTP API's routes that assume customers' roles.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"rolecall/shared/app/broker"
	"rolecall/shared/config"
)

func main() {
	c, err := config.Load(
		config.Table, config.Platform, config.Presentation, config.Sealing, config.VerifyNow, config.CheckInterval, config.Issuing,
		config.VerifyRate, config.RevokeRate)
	if err != nil {
		slog.Error("configuration", "error", err)
		os.Exit(1)
	}
	handle, err := broker.New(c)
	if err != nil {
		slog.Error("composition", "error", err)
		os.Exit(1)
	}
	lambda.Start(handle)
}
