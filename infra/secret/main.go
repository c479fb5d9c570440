// Command secret shows a secret that signs webhooks, for whoever sets up a receiver. `make webhook-secret` runs it;
// docs/webhooks.md tells the rest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"rolecall/shared/webhook"
)

func main() {
	err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "webhook-secret:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, problems io.Writer) error {
	f := flag.NewFlagSet("webhook-secret", flag.ContinueOnError)
	f.SetOutput(problems)
	number := f.Int("number", 1, "which secret; as in context webhookSecrets")
	stack := f.String("stack", "Rolecall", "CloudFormation stack that has the webhook")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *number < 1 || f.NArg() > 0 {
		return errors.New("-number must be 1 or more, and nothing else is taken")
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("AWS configuration: %w", err)
	}
	key, err := keyOf(ctx, cloudformation.NewFromConfig(cfg), *stack)
	if err != nil {
		return err
	}
	secrets, err := webhook.NewSecrets(kms.NewFromConfig(cfg), key, []int{*number}).Get(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, secrets[0])
	return err
}

func keyOf(ctx context.Context, client *cloudformation.Client, stack string) (string, error) {
	found, err := client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &stack})
	if err != nil {
		return "", fmt.Errorf("stack %s: %w", stack, err)
	}
	for _, s := range found.Stacks {
		for _, o := range s.Outputs {
			if aws.ToString(o.OutputKey) == "WebhookKeyArn" {
				return aws.ToString(o.OutputValue), nil
			}
		}
	}
	return "", fmt.Errorf("stack %s has no webhook: deploy it with context webhookEndpoint", stack)
}
