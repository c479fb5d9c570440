// Package cli is the command-line helper: its commands, what they print and how they end.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rolecall/cmd/rolecall/api"
	"rolecall/cmd/rolecall/settings"
	"rolecall/cmd/rolecall/signin"
	"rolecall/cmd/rolecall/vault"
)

// A Program is what the commands take from the outside. All fields must be set.
type Program struct {
	In       io.Reader
	Out, Err io.Writer
	Environ  []string
	Clock    func() time.Time
	Ring     vault.Ring
	// Open shows an address in the person's browser.
	Open func(ctx context.Context, address string) error
	// Ask asks the person for a secret, without showing it.
	Ask func(prompt string) (string, error)
	// Replace runs a program instead of this one, where the system can; else it answers [ErrCannotReplace].
	Replace func(path string, args, environ []string) error
}

// ErrCannotReplace is the error of a system where a program cannot take another one's place.
var ErrCannotReplace = errors.New("a program cannot take another one's place")

// An Exit is an error that ends the program with a status and without a word: another program has said what there was to say.
type Exit int

// Error implements error.
func (e Exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// requestTimeout is longer than Rolecall keeps anybody waiting.
const requestTimeout = 35 * time.Second

// Run runs one command and answers the exit status: 0, 1 for what went wrong, 2 for what was not understood, or that of
// the program that was run.
func (p *Program) Run(ctx context.Context, args []string) int {
	root := p.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if _, _, unknown := root.Find(args); err != nil && unknown != nil {
		err = &usageError{problem: unknown.Error()}
	}
	var exit Exit
	var misuse *usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return int(exit)
	case errors.As(err, &misuse):
		p.say("rolecall: %s\n%s --help tells more", misuse, strings.TrimSpace("rolecall "+misuse.command))
		return 2
	default:
		p.say("rolecall: %s", err)
		return 1
	}
}

// getenv is the last value of a variable.
func (p *Program) getenv(name string) string {
	for _, line := range slices.Backward(p.Environ) {
		if key, value, _ := strings.Cut(line, "="); key == name {
			return value
		}
	}
	return ""
}

type usageError struct{ command, problem string }

func (e *usageError) Error() string { return e.problem }

func (p *Program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "rolecall",
		Short: "Work in connected AWS accounts from this machine",
		Long: "rolecall gives your shell, your AWS CLI and your programs short-lived credentials for the AWS accounts that are\n" +
			"connected with Rolecall. Nothing secret is kept on disk unencrypted.",
		Example: "  rolecall login\n  rolecall connections\n  rolecall exec Production -- aws s3 ls",
		// Errors are told once, in one form, by Run.
		SilenceErrors: true, SilenceUsage: true,
	}
	root.SetIn(p.In)
	root.SetOut(p.Out)
	root.SetErr(p.Err)
	root.PersistentFlags().String("profile", "", "settings and sign-in to use, by a name of yours (ROLECALL_PROFILE; \"default\")")
	for _, name := range settings.Names() {
		root.PersistentFlags().String(name, "", settings.About(name)+" ("+settings.Variable(name)+")")
	}
	_ = root.RegisterFlagCompletionFunc("profile", p.completeProfile) // the flag is there
	root.AddCommand(
		p.loginCommand(), p.logoutCommand(), p.connectionsCommand(), p.execCommand(), p.processCommand(), p.consoleCommand(),
		p.agentCommand(), p.configureCommand(), p.versionCommand(),
	)
	root.SetFlagErrorFunc(misused)
	for _, c := range root.Commands() {
		c.Args = orUsage(c.Args)
	}
	return root
}

// misused marks what the person got wrong in how a command is called.
func misused(c *cobra.Command, err error) error {
	return &usageError{strings.TrimPrefix(c.CommandPath(), "rolecall "), err.Error()}
}

func orUsage(check cobra.PositionalArgs) cobra.PositionalArgs {
	if check == nil {
		check = cobra.NoArgs
	}
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return misused(c, err)
		}
		return nil
	}
}

// folder is where settings and vault lie.
func (p *Program) folder() (string, error) {
	if dir := p.getenv("ROLECALL_CONFIG_DIR"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("%w; say where with ROLECALL_CONFIG_DIR", err)
	}
	return filepath.Join(dir, "rolecall"), nil
}

func (p *Program) profile(c *cobra.Command) string {
	if name, err := c.Flags().GetString("profile"); err == nil && name != "" {
		return name
	}
	if name := p.getenv("ROLECALL_PROFILE"); name != "" {
		return name
	}
	return "default"
}

// settings are what flags, environment and file say; file is where the latter are.
func (p *Program) settings(c *cobra.Command) (settings.Settings, *settings.File, error) {
	dir, err := p.folder()
	if err != nil {
		return nil, nil, err
	}
	file, err := settings.Read(filepath.Join(dir, "config.json"))
	if err != nil {
		return nil, nil, err
	}
	all, err := file.Resolve(p.profile(c), given(c), p.getenv)
	return all, file, err
}

// given are the settings that were given as flags.
func given(c *cobra.Command) map[string]string {
	out := map[string]string{}
	for _, name := range settings.Names() {
		if f := c.Flags().Lookup(name); f != nil && f.Changed {
			out[name] = f.Value.String()
		}
	}
	return out
}

// A session is what a command works with.
type session struct {
	settings settings.Settings
	vault    *vault.Vault
	access   *signin.Access
	api      *api.Client
}

func (p *Program) session(c *cobra.Command) (*session, error) {
	all, _, err := p.settings(c)
	if err != nil {
		return nil, err
	}
	secret, err := p.clientSecret(c)
	if err != nil {
		return nil, err
	}
	v, err := p.vault()
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		Timeout: requestTimeout,
		// Tokens go to whom they are meant for, and nowhere that one sends us.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	access := &signin.Access{
		API: all.Text(settings.API), Profile: p.profile(c), Vault: v, Secret: secret,
		Client: signin.Client{
			Issuer: all.Text(settings.Issuer), ID: all.Text(settings.ClientID), Audience: all.Text(settings.Audience),
			Scopes: strings.Fields(all.Text(settings.Scopes)), HTTP: client, Clock: p.Clock,
		},
	}
	return &session{all, v, access, &api.Client{Base: all.Text(settings.API), HTTP: client, Token: access.Token}}, nil
}

func (p *Program) vault() (*vault.Vault, error) {
	dir, err := p.folder()
	if err != nil {
		return nil, err
	}
	kind := p.getenv("ROLECALL_VAULT")
	switch kind {
	case "":
		kind = vault.Auto
	case vault.Auto, vault.Keyring, vault.Passphrase:
	default:
		return nil, fmt.Errorf("ROLECALL_VAULT is %q, not %s, %s or %s", kind, vault.Auto, vault.Keyring, vault.Passphrase)
	}
	return &vault.Vault{Path: filepath.Join(dir, "vault.json"), Ring: p.Ring, Ask: p.passphrase, Kind: kind, Warn: p.warn}, nil
}

// warn tells of a passphrase that opens the vault and should not.
func (p *Program) warn(why error) {
	p.say("rolecall: %s\nThe vault keeps this one. To choose another: rolecall logout --forget, then rolecall login.", why)
}

// passphrase opens the vault where there is no keyring.
func (p *Program) passphrase(confirm bool) (string, error) {
	if text := p.getenv("ROLECALL_PASSPHRASE"); text != "" {
		return text, nil
	}
	if !confirm {
		return p.Ask("Passphrase of rolecall's vault: ")
	}
	p.say("There is no keyring, so the sign-in is kept in a file sealed with a passphrase of yours.")
	first, err := p.Ask("New passphrase: ")
	if err != nil {
		return "", err
	}
	second, err := p.Ask("Once more: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two differ")
	}
	return first, nil
}

// clientSecret is a machine's, "" for a person.
func (p *Program) clientSecret(c *cobra.Command) (string, error) {
	path := p.getenv("ROLECALL_CLIENT_SECRET_FILE")
	if f := c.Flags().Lookup("client-secret-file"); f != nil && f.Changed {
		path = f.Value.String()
	} else if text := p.getenv("ROLECALL_CLIENT_SECRET"); text != "" {
		return text, nil
	}
	if path == "" {
		return "", nil
	}
	text, err := p.readFile(path)
	if err != nil {
		return "", fmt.Errorf("the client secret: %w", err)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", errors.New("the client secret: " + path + " is empty")
	}
	return secret, nil
}

// maxSecretFile is more than any secret.
const maxSecretFile = 64 << 10

// readFile reads a small file; "-" is what comes in.
func (p *Program) readFile(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(p.In, maxSecretFile))
	}
	f, err := os.Open(path) //nolint:gosec // the person's own file
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, maxSecretFile))
}
