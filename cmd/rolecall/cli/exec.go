package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rolecall/cmd/rolecall/api"
	"rolecall/cmd/rolecall/printable"
)

func (p *Program) execCommand() *cobra.Command {
	var wanted options
	var region string
	var renew bool
	c := &cobra.Command{
		Use:   "exec NAME -- COMMAND [ARGUMENT...]",
		Short: "Run a command with a connection's credentials",
		Long: "Runs a command with credentials for the connection's account in its environment, and with the connection's default Region.\n" +
			"AWS settings of yours that would get in the way are left out. The command's exit status is rolecall's.\n\n" +
			"The credentials end after half an hour, or --duration up to an hour. --read-only and --policy narrow what they may do,\n" +
			"--reason says in the audit records what they were for. With --renew the command's AWS SDK fetches new ones\n" +
			"for as long as the command runs.",
		Example: "  rolecall exec Production -- aws s3 ls\n" +
			"  rolecall exec Production --duration 1h --reason 'ticket 1234' -- terraform plan\n" +
			"  rolecall exec Production --read-only -- ./report\n" +
			"  rolecall exec Production --renew -- ./long-running-job\n" +
			"  rolecall exec Production -- bash",
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: p.completeThenCommand,
		RunE: func(c *cobra.Command, args []string) error {
			ask, err := wanted.ask(p)
			if err != nil {
				return err
			}
			if renew {
				return p.execRenewed(c, args[0], args[1:], ask, region)
			}
			return p.exec(c, args[0], args[1:], ask, region)
		},
	}
	c.Flags().SetInterspersed(true)
	wanted.add(c)
	c.Flags().StringVar(&region, "region", "", "AWS Region instead of the connection's own")
	c.Flags().BoolVar(&renew, "renew", false, "let the command fetch new credentials for as long as it runs")
	return c
}

func (p *Program) exec(c *cobra.Command, name string, command []string, ask api.IssueCredentials, region string) error {
	s, err := p.session(c)
	if err != nil {
		return err
	}
	found, creds, err := issue(c.Context(), s.api, name, ask)
	if err != nil {
		return err
	}
	environ := append(p.inherited(), regionOf(found, region)...)
	environ = append(environ, "AWS_ACCESS_KEY_ID="+creds.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+creds.SecretAccessKey,
		"AWS_SESSION_TOKEN="+creds.Token, "AWS_CREDENTIAL_EXPIRATION="+creds.Expiration, "AWS_ACCOUNT_ID="+creds.AccountID)
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	// The command takes this program's place, so that signals and the exit status are its own.
	if err := p.Replace(path, command, environ); !errors.Is(err, ErrCannotReplace) {
		return err
	}
	return p.child(path, command, environ)
}

// issue finds a connection and asks for credentials.
func issue(ctx context.Context, client *api.Client, name string, ask api.IssueCredentials) (api.Connection, api.Credentials, error) {
	found, err := client.Find(ctx, name)
	if err != nil {
		return api.Connection{}, api.Credentials{}, err
	}
	creds, err := client.Credentials(ctx, found.ID, ask)
	return found, creds, explain(err, found)
}

// explain adds why a connection is not enabled to the refusal.
func explain(err error, c api.Connection) error {
	var p *api.Problem
	if errors.As(err, &p) && p.Code == "CONNECTION_NOT_ENABLED" && c.StatusReason != nil {
		because := fmt.Sprintf("It is %s because %s (%s)", c.Status, c.StatusReason.Message, c.StatusReason.Code)
		return fmt.Errorf("%w\n%s", err, printable.Line(because))
	}
	return err
}

func regionOf(c api.Connection, region string) []string {
	if region == "" {
		region = c.DefaultRegion
	}
	return []string{"AWS_REGION=" + region, "AWS_DEFAULT_REGION=" + region}
}

// hindering are the variables by which an AWS SDK would find other credentials, another account or another Region.
var hindering = []string{
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_ACCESS_KEY", "AWS_SECRET_KEY",
	"AWS_CREDENTIAL_EXPIRATION", "AWS_CREDENTIAL_FILE", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCOUNT_ID", "AWS_REGION", "AWS_DEFAULT_REGION",
	"AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
	"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_VAULT",
	"AWS_BEARER_TOKEN_BEDROCK",
}

// ours are the variables that hold a secret of rolecall's, or lead to one: a command is given a connection, not the sign-in.
var ours = []string{"ROLECALL_PASSPHRASE", "ROLECALL_CLIENT_SECRET", "ROLECALL_CLIENT_SECRET_FILE", "ROLECALL_CONFIG_DIR"}

// inherited is the environment without what would get in the way, and without what is ours.
func (p *Program) inherited() []string {
	return slices.DeleteFunc(slices.Clone(p.Environ), func(line string) bool {
		name, _, _ := strings.Cut(line, "=")
		name = strings.ToUpper(name)
		return slices.Contains(hindering, name) || slices.Contains(ours, name)
	})
}

// child runs a command beside this program, which passes signals on and ends as the command does.
func (p *Program) child(path string, command, environ []string) error {
	cmd := &exec.Cmd{Path: path, Args: command, Env: environ, Stdin: p.In, Stdout: p.Out, Stderr: p.Err}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, passedOn...)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			if !fromTerminal(s) { // the terminal has told the command itself
				_ = cmd.Process.Signal(s) // one that has ended already needs none
			}
		case err := <-ended:
			return exitOf(cmd, err)
		}
	}
}

func exitOf(cmd *exec.Cmd, err error) error {
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		return err
	}
	if code := statusOf(cmd.ProcessState); code != 0 {
		return Exit(code)
	}
	return nil
}

func (p *Program) processCommand() *cobra.Command {
	var wanted options
	c := &cobra.Command{
		Use:   "credential-process NAME",
		Short: "Print credentials for AWS's configuration file",
		Long: "Prints credentials as the setting credential_process of AWS CLI and SDKs wants them. They ask again when the credentials end.\n" +
			"Without a keyring each of them asks for the passphrase, at the terminal or in ROLECALL_PASSPHRASE; rolecall agent asks once.",
		Example: "  # in ~/.aws/config:\n" +
			"  [profile production]\n" +
			"  credential_process = rolecall credential-process Production\n" +
			"  region = eu-west-1",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeName,
		RunE: func(c *cobra.Command, args []string) error {
			ask, err := wanted.ask(p)
			if err != nil {
				return err
			}
			s, err := p.session(c)
			if err != nil {
				return err
			}
			_, creds, err := issue(c.Context(), s.api, args[0], ask)
			if err != nil {
				return err
			}
			return p.json(processCredentials{
				Version: 1, AccessKeyID: creds.AccessKeyID, SecretAccessKey: creds.SecretAccessKey, SessionToken: creds.Token,
				Expiration: creds.Expiration, AccountID: creds.AccountID,
			}, "")
		},
	}
	wanted.add(c)
	return c
}

// processCredentials are what AWS documents for credential_process, letter for letter.
type processCredentials struct {
	Version         int
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      string
	AccountID       string `json:"AccountId"`
}
