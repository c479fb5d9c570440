// Command publish puts the table's event records on the bus.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"rolecall/shared/app/publish"
	"rolecall/shared/config"
)

func main() {
	c, err := config.Load(config.Bus)
	if err != nil {
		slog.Error("configuration", "error", err)
		os.Exit(1)
	}
	lambda.Start(publish.New(c))
}
