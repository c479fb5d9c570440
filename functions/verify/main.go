// Command verify tries roles that were reported and checks again those that serve.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"rolecall/shared/app/verify"
	"rolecall/shared/config"
)

func main() {
	c, err := config.Load(
		config.Table, config.Platform, config.Sealing, config.KeyMaxAge, config.VerifyNow, config.VerifySweep, config.CheckInterval, config.STSRate)
	if err != nil {
		slog.Error("configuration", "error", err)
		os.Exit(1)
	}
	handle, err := verify.New(c)
	if err != nil {
		slog.Error("composition", "error", err)
		os.Exit(1)
	}
	lambda.Start(handle)
}
