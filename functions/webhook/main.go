// Command webhook posts published events to the platform's own endpoint.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"rolecall/shared/app/webhook"
	"rolecall/shared/config"
)

func main() {
	c, err := config.Load(config.Webhook)
	if err != nil {
		slog.Error("configuration", "error", err)
		os.Exit(1)
	}
	handle, err := webhook.New(c)
	if err != nil {
		slog.Error("composition", "error", err)
		os.Exit(1)
	}
	lambda.Start(handle)
}
