// Command local runs Rolecall on a laptop: a pocket AWS, the synthesised CDK app deployed into it, and nothing else to
// install. `make dev` starts it.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"rolecall/infra/local/laptop"
	"rolecall/web"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "rolecall:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	began := time.Now()
	l, err := laptop.Start(ctx, laptop.Options{
		Environ: os.Environ(), Root: root, Out: filepath.Join(root, "build", "laptop"),
		APIAddress: "127.0.0.1:" + portFrom("ROLECALL_PORT", "8080"), AWSAddress: "127.0.0.1:" + portFrom("ROLECALL_AWS_PORT", "4566"),
		Context: contextFrom("ROLECALL_WEBHOOK_ENDPOINT"),
		Web:     consoleFrom(filepath.Join(root, "build", "web")), Origins: strings.Fields(os.Getenv("ROLECALL_CORS_ORIGINS")),
		Clock: time.Now, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		FunctionLog: func(function, line string) {
			fmt.Printf("%-10s %s\n", strings.TrimPrefix(function, "rolecall-"), line)
		},
		Progress: func(step string) { fmt.Printf("%6.1fs  %s\n", time.Since(began).Seconds(), step) },
	})
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Printf("%6.1fs  ready\n\n  Console       %[2]s/\n  HTTP API      %[2]s/v1\n  AWS endpoint  %[3]s\n\nThe tour in README.md goes on in another shell. Ctrl-C ends everything.\n\n",
		time.Since(began).Seconds(), l.APIURL, l.AWSURL)
	<-ctx.Done()
	fmt.Println("stopping")
	return nil
}

func portFrom(variable, fallback string) string {
	if p := os.Getenv(variable); p != "" {
		return p
	}
	return fallback
}

// contextFrom is the CDK context that the environment asks for: a webhook, perhaps to a receiver on this machine.
func contextFrom(variable string) map[string]any {
	if endpoint := os.Getenv(variable); endpoint != "" {
		return map[string]any{"webhookEndpoint": endpoint}
	}
	return nil
}

// consoleFrom is the folder of the built console, which `make dev` builds first; "" where there is none.
func consoleFrom(dir string) string {
	if _, err := os.Stat(filepath.Join(dir, web.Index)); err != nil {
		return ""
	}
	return dir
}
