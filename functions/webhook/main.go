// Command webhook posts published events to the platform's own endpoint.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"rolecall/shared/app"
	"rolecall/shared/config"
)

func main() {
	c, err := config.Load(config.Webhook)
	if err != nil {
		slog.Error("configuration", "error", err)
		os.Exit(1)
	}
	handle, err := app.Webhook(c)
	if err != nil {
		slog.Error("composition", "error", err)
		os.Exit(1)
	}
	lambda.Start(handle)
}
