// Command minimal is the least that a Lambda function in Go can be: what starts no faster than this is not to be had.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(context.Context) error { return nil })
}
