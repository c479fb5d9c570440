// Command upload puts what customers run where links name it. CloudFormation calls it when the platform is deployed.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"rolecall/shared/app/upload"
	"rolecall/shared/config"
)

func main() {
	c, err := config.Load(config.Templates)
	if err != nil {
		slog.Error("configuration", "error", err)
		os.Exit(1)
	}
	lambda.Start(upload.New(c))
}
