package laptop_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// shimName is what the test binary is called when it stands in for the AWS CLI, where that is not installed.
const shimName = "aws"

// shim is as much of the AWS CLI as the printed commands use. What it does not know it refuses: a misspelt option must not
// pass because nobody looked.
func shim(args []string) int {
	if err := shimmed(context.Background(), args); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 255
	}
	return 0
}

func shimmed(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return errors.New("aws: no command")
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	command, rest := args[0]+" "+args[1], args[2:]
	switch command {
	case "iam create-role":
		return shimCreateRole(ctx, cfg, rest)
	case "iam put-role-policy":
		o, err := options(rest, "--region", "--role-name", "--policy-name", "--policy-document")
		if err != nil {
			return err
		}
		_, err = iam.NewFromConfig(cfg, in(o("--region"))).PutRolePolicy(ctx, &iam.PutRolePolicyInput{
			RoleName: o("--role-name"), PolicyName: o("--policy-name"), PolicyDocument: o("--policy-document"),
		})
		return err
	case "iam attach-role-policy":
		o, err := options(rest, "--region", "--role-name", "--policy-arn")
		if err != nil {
			return err
		}
		_, err = iam.NewFromConfig(cfg, in(o("--region"))).AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: o("--role-name"), PolicyArn: o("--policy-arn")})
		return err
	case "cloudformation create-stack":
		return shimCreateStack(ctx, cfg, rest)
	case "cloudformation update-stack":
		return shimUpdateStack(ctx, cfg, rest)
	case "cloudformation wait":
		return shimWait(ctx, cfg, rest)
	}
	return fmt.Errorf("aws: unknown command %s", command)
}

func in(region *string) func(*iam.Options) { return func(o *iam.Options) { o.Region = *region } }

func shimCreateRole(ctx context.Context, cfg aws.Config, args []string) error {
	o, err := options(args, "--region", "--role-name", "--description", "--max-session-duration", "--assume-role-policy-document", "--query", "--output")
	if err != nil {
		return err
	}
	if *o("--query") != "Role.Arn" || *o("--output") != "text" {
		return errors.New("aws: unknown query or output")
	}
	seconds, err := strconv.ParseInt(*o("--max-session-duration"), 10, 32)
	if err != nil {
		return err
	}
	out, err := iam.NewFromConfig(cfg, in(o("--region"))).CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: o("--role-name"), Description: o("--description"), MaxSessionDuration: aws.Int32(int32(seconds)),
		AssumeRolePolicyDocument: o("--assume-role-policy-document"),
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(os.Stdout, aws.ToString(out.Role.Arn))
	return err
}

func shimCreateStack(ctx context.Context, cfg aws.Config, args []string) error {
	o, err := options(args, "--region", "--stack-name", "--template-url", "--capabilities", "--parameters")
	if err != nil {
		return err
	}
	in := &cloudformation.CreateStackInput{StackName: o("--stack-name"), TemplateURL: o("--template-url")}
	if err := json.Unmarshal([]byte(*o("--parameters")), &in.Parameters); err != nil {
		return err
	}
	for _, c := range strings.Fields(*o("--capabilities")) {
		in.Capabilities = append(in.Capabilities, capability(c))
	}
	cfg.Region = *o("--region")
	out, err := cloudformation.NewFromConfig(cfg).CreateStack(ctx, in)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]string{"StackId": aws.ToString(out.StackId)})
}

func shimUpdateStack(ctx context.Context, cfg aws.Config, args []string) error {
	o, err := options(args, "--region", "--stack-name", "--template-url", "--capabilities", "--parameters")
	if err != nil {
		return err
	}
	in := &cloudformation.UpdateStackInput{StackName: o("--stack-name"), TemplateURL: o("--template-url")}
	if err := json.Unmarshal([]byte(*o("--parameters")), &in.Parameters); err != nil {
		return err
	}
	for _, c := range strings.Fields(*o("--capabilities")) {
		in.Capabilities = append(in.Capabilities, capability(c))
	}
	cfg.Region = *o("--region")
	_, err = cloudformation.NewFromConfig(cfg).UpdateStack(ctx, in)
	return err
}

func shimWait(ctx context.Context, cfg aws.Config, args []string) error {
	if len(args) == 0 || (args[0] != "stack-create-complete" && args[0] != "stack-update-complete") {
		return errors.New("aws: unknown waiter")
	}
	o, err := options(args[1:], "--region", "--stack-name")
	if err != nil {
		return err
	}
	cfg.Region = *o("--region")
	if args[0] == "stack-update-complete" {
		waiter := cloudformation.NewStackUpdateCompleteWaiter(cloudformation.NewFromConfig(cfg), func(w *cloudformation.StackUpdateCompleteWaiterOptions) {
			w.MinDelay, w.MaxDelay = 200*time.Millisecond, time.Second
		})
		return waiter.Wait(ctx, &cloudformation.DescribeStacksInput{StackName: o("--stack-name")}, time.Minute)
	}
	quick := func(w *cloudformation.StackCreateCompleteWaiterOptions) {
		w.MinDelay, w.MaxDelay = 200*time.Millisecond, time.Second
	}
	waiter := cloudformation.NewStackCreateCompleteWaiter(cloudformation.NewFromConfig(cfg), quick)
	return waiter.Wait(ctx, &cloudformation.DescribeStacksInput{StackName: o("--stack-name")}, time.Minute)
}

// options reads exactly the options that a command must have.
func options(args []string, names ...string) (func(string) *string, error) {
	given := map[string]string{}
	for i := 0; i < len(args); i += 2 {
		if !slices.Contains(names, args[i]) || i+1 == len(args) {
			return nil, fmt.Errorf("aws: unknown option %s", args[i])
		}
		given[args[i]] = args[i+1]
	}
	for _, name := range names {
		if given[name] == "" {
			return nil, fmt.Errorf("aws: the option %s is missing", name)
		}
	}
	return func(name string) *string { return aws.String(given[name]) }, nil
}
