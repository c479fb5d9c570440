package laptop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Build compiles every function for this machine into out/<name>/bootstrap. The tag "laptop" is the only difference
// from what is deployed: it admits the pocket AWS's address as one that waits for a custom resource's answer.
func Build(ctx context.Context, environ []string, root, out string) error {
	mains, err := filepath.Glob(filepath.Join(root, "functions", "*", "main.go"))
	if err != nil || len(mains) == 0 {
		return fmt.Errorf("no function below %s", filepath.Join(root, "functions"))
	}
	for _, m := range mains {
		name := filepath.Base(filepath.Dir(m))
		cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-tags", "lambda.norpc,laptop", "-trimpath", "-ldflags", "-s -w", //nolint:gosec // fixed words
			"-o", filepath.Join(out, name, "bootstrap"), "./functions/"+name)
		cmd.Env = append(slices.Clone(environ), "CGO_ENABLED=0")
		if err := quietly(cmd, root); err != nil {
			return fmt.Errorf("build %s: %w", name, err)
		}
	}
	return nil
}

// Synthesise runs the CDK app for the laptop's platform and writes its cloud assembly to out. more is further CDK context.
func Synthesise(ctx context.Context, environ []string, root, out, functions, issuer string, more map[string]any) error {
	if err := removeAll(out); err != nil {
		return err
	}
	given := map[string]any{
		"account": Account, "homeRegion": HomeRegion, "functionsDir": functions, "issuer": issuer,
		"audience": []string{Audience}, "tenantClaim": TenantClaim,
		"lambdaConcurrency": 100, // as much as the pocket AWS starts at once, and nothing reserved, since it has as many machines as this one
	}
	maps.Copy(given, more)
	settings, err := json.Marshal(given)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "run", "./infra")
	cmd.Env = append(slices.Clone(environ), "CDK_OUTDIR="+out, "CDK_VALIDATION=false", "CDK_CONTEXT_JSON="+string(settings), "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=1",
		"JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION=1", "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION=1")
	if err := quietly(cmd, root); err != nil {
		return fmt.Errorf("synthesise: %w", err)
	}
	return nil
}

// quietly runs a command and shows what it printed only if it fails.
func quietly(cmd *exec.Cmd, dir string) error {
	var output bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w\n%s", err, strings.TrimSpace(output.String()))
	}
	return nil
}
