// Command rolecall gives shells and programs on this machine short-lived credentials for the AWS accounts that are
// connected with Rolecall. docs/cli.md tells how to use it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/zalando/go-keyring"
	"golang.org/x/term"

	"rolecall/cmd/rolecall/cli"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := &cli.Program{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.Environ(), Clock: time.Now,
		Ring: ring{}, Open: open, Ask: ask, Replace: cli.Replace,
	}
	return p.Run(ctx, os.Args[1:])
}

// A ring is the system's keyring: macOS's Keychain, the Secret Service of Linux desktops, Windows's Credential Manager.
type ring struct{}

// service is what the keyring shows as the owner of a secret.
const service = "rolecall"

func (ring) Get(name string) (string, error) { return keyring.Get(service, name) }

func (ring) Set(name, secret string) error { return keyring.Set(service, name, secret) }

// open shows an address in the browser that the person prefers, and does not wait for it to end.
func open(ctx context.Context, address string) error {
	command := []string{"xdg-open"}
	switch browser := os.Getenv("BROWSER"); {
	case browser != "":
		command = []string{browser}
	case runtime.GOOS == "darwin":
		command = []string{"open"}
	case runtime.GOOS == "windows":
		command = []string{"rundll32", "url.dll,FileProtocolHandler"}
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), command[0], append(command[1:], address)...) //nolint:gosec // the person's own browser
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // how a browser ends is nobody's business
	return nil
}

// ask asks at the terminal, even where standard input is something else.
func ask(prompt string) (string, error) {
	terminal, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		terminal = os.Stdin
		if !term.IsTerminal(int(terminal.Fd())) {
			return "", errors.New("a passphrase is needed, and there is no terminal to ask at\nGive it in ROLECALL_PASSPHRASE")
		}
	} else {
		defer func() { _ = terminal.Close() }()
	}
	_, _ = fmt.Fprint(os.Stderr, prompt)
	text, err := term.ReadPassword(int(terminal.Fd()))
	_, _ = fmt.Fprintln(os.Stderr)
	return string(text), err
}
