// Command api answers the HTTP API's routes that take no right in any customer's account.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"rolecall/shared/app/api"
	"rolecall/shared/config"
)

func main() {
	c, err := config.Load(
		config.Table, config.Platform, config.Presentation, config.Sealing, config.CheckInterval, config.VerifyRate, config.Pending,
		config.ReadRate, config.LaunchRate, config.Issuer)
	if err != nil {
		slog.Error("configuration", "error", err)
		os.Exit(1)
	}
	handle, err := api.New(c)
	if err != nil {
		slog.Error("composition", "error", err)
		os.Exit(1)
	}
	lambda.Start(handle)
}
