// Command infra is the CDK app: it synthesises everything that Rolecall is in AWS, one file per concern.
//
// `go run ./infra`, at the top of the checkout, writes the cloud assembly to $CDK_OUTDIR, with or without the CDK CLI. The
// same assembly is what the laptop target runs. config.go says what can be configured.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

func main() {
	code := 0
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "rolecall:", err)
		code = 1
	}
	jsii.Close()
	os.Exit(code)
}

func run() error {
	defaults, err := readContext("cdk.json")
	if err != nil {
		return err
	}
	app := awscdk.NewApp(&awscdk.AppProps{
		AnalyticsReporting: jsii.Bool(false),
		TreeMetadata:       jsii.Bool(false),
		Context:            &defaults,
	})
	cfg, err := loadConfig(contextOf(app), os.Getenv)
	if err != nil {
		return err
	}
	if err := checkFunctions(cfg.functionsDir, cfg.optionalFunctions()...); err != nil {
		return err
	}
	if err := build(app, cfg); err != nil {
		return err
	}
	app.Synth(nil)
	return nil
}

// readContext reads the context of cdk.json, so that its defaults hold without the CDK CLI too. What the CLI or
// CDK_CONTEXT_JSON says goes before it.
func readContext(path string) (map[string]any, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the path is a constant, another one in tests
	if err != nil {
		return nil, fmt.Errorf("run this at the top of the checkout: %w", err)
	}
	var file struct {
		Context map[string]any `json:"context"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return file.Context, nil
}

func contextOf(app awscdk.App) func(string) any {
	return func(key string) any { return app.Node().TryGetContext(jsii.String(key)) }
}
