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
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"

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
	secret, err := read(ctx, cfg, *stack, *number)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, secret)
	return err
}

// read asks the key in the one role, beside the function's, that the key's policy admits.
func read(ctx context.Context, cfg aws.Config, stack string, number int) (string, error) {
	found, err := outputsOf(ctx, cloudformation.NewFromConfig(cfg), stack)
	if err != nil {
		return "", err
	}
	key, role := found["WebhookKeyArn"], found["WebhookSecretRoleArn"]
	if key == "" || role == "" {
		return "", fmt.Errorf("stack %s has no webhook whose secret can be read: deploy it with context webhookEndpoint", stack)
	}
	cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), role))
	secrets, err := webhook.NewSecrets(kms.NewFromConfig(cfg), key, []int{number}).Get(ctx)
	if err != nil {
		return "", err
	}
	return secrets[0], nil
}

func outputsOf(ctx context.Context, client *cloudformation.Client, stack string) (map[string]string, error) {
	found, err := client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &stack})
	if err != nil {
		return nil, fmt.Errorf("stack %s: %w", stack, err)
	}
	outputs := map[string]string{}
	for _, s := range found.Stacks {
		for _, o := range s.Outputs {
			outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
		}
	}
	return outputs, nil
}
