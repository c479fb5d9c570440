package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rolecall/cmd/rolecall/agent"
	"rolecall/cmd/rolecall/api"
)

func (p *Program) agentCommand() *cobra.Command {
	var address, tokenFile string
	var hold time.Duration
	var wanted options
	c := &cobra.Command{
		Use:   "agent [NAME...]",
		Short: "Serve credentials to programs on this machine",
		Long: "Serves credentials on this machine, at /credentials/<name or id>, in the form that AWS SDKs fetch by themselves and renew:\n" +
			"a program needs two environment variables and no code. With names, prints these for each connection: the token serves that\n" +
			"connection alone, or with --token-file those that are named. Without, the token serves all connections of yours.\n" +
			"The agent renews its own access token. It holds a session in memory for --hold, so that commands one after the other share\n" +
			"one. It keeps nothing on disk but, with --token-file, a token that only it takes and that ends with it. It runs until it is\n" +
			"interrupted.",
		Example: "  rolecall agent Production Staging\n" +
			"  rolecall agent --listen 127.0.0.1:4570 --token-file /run/user/1000/rolecall-token",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: p.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			return p.agent(c, args, serving{address, hold}, tokenFile, wanted)
		},
	}
	c.Flags().StringVar(&address, "listen", "127.0.0.1:0", "address on this machine; port 0 takes any")
	c.Flags().DurationVar(&hold, "hold", holding, "how long a session serves before Rolecall is asked again, 10m at most; 0 asks for each request")
	c.Flags().StringVar(&tokenFile, "token-file", "", "write the agent's token to this file, for AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
	wanted.add(c)
	return c
}

// holding is how long a session is held: a command after the other asks Rolecall once, and what is revoked there is handed
// out here for no longer.
const holding = 5 * time.Minute

// serving is where an agent listens, and how long it holds what it serves.
type serving struct {
	address string
	hold    time.Duration
}

// A served connection is one that an agent was asked by name to serve.
type served struct{ name, id, region string }

func (p *Program) agent(c *cobra.Command, names []string, how serving, tokenFile string, wanted options) error {
	ask, err := wanted.ask(p)
	if err != nil {
		return err
	}
	s, err := p.session(c)
	if err != nil {
		return err
	}
	named, err := s.find(c.Context(), names) // and so a passphrase is asked for now, not when a program comes
	if err != nil {
		return err
	}
	server, a, err := serve(c.Context(), s.api, how.address, agent.Options{Ask: ask, Hold: how.hold, Clock: p.Clock, Log: p.log()})
	if err != nil {
		return err
	}
	defer server.stop()
	if tokenFile != "" {
		if err := writeToken(tokenFile, tokenFor(a, named)); err != nil {
			return err
		}
		defer func() { _ = os.Remove(tokenFile) }()
	}
	p.tellPrograms(a, named, tokenFile)
	select {
	case <-c.Context().Done():
		return nil
	case err := <-server.ended:
		return err
	}
}

func (s *session) find(ctx context.Context, names []string) ([]served, error) {
	if len(names) == 0 {
		_, err := s.access.Token(ctx)
		return nil, err
	}
	var out []served
	for _, name := range names {
		found, err := s.api.Find(ctx, name)
		if err != nil {
			return nil, err
		}
		out = append(out, served{name, found.ID, found.DefaultRegion})
	}
	return out, nil
}

// tokenFor is a token for the connections that were named, or for all where none was.
func tokenFor(a *agent.Agent, named []served) string {
	if len(named) == 0 {
		return a.TokenForAll()
	}
	only := map[string]string{}
	for _, one := range named {
		only[one.name] = one.id
	}
	return a.Token(only)
}

// tellPrograms prints what a program needs to be served. Each connection has a token of its own, so that who is given the
// lines of one gets no other's; a file has one for all that were named.
func (p *Program) tellPrograms(a *agent.Agent, named []served, tokenFile string) {
	authorization := func(of ...served) own {
		if tokenFile != "" {
			return own("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=" + quoted(tokenFile))
		}
		return own("AWS_CONTAINER_AUTHORIZATION_TOKEN=" + tokenFor(a, of))
	}
	if len(named) == 0 {
		p.print("# %s<name or id>\nexport %s\n", a.URL(""), authorization())
	}
	for _, one := range named {
		region := quoted(one.region) // the API's word, in lines for a shell
		p.print("# %s\nexport AWS_CONTAINER_CREDENTIALS_FULL_URI=%s\nexport %s\nexport AWS_REGION=%s AWS_DEFAULT_REGION=%s\n",
			one.name, quoted(a.URL(one.name)), authorization(one), region, region)
	}
}

// A server serves an agent until it is stopped.
type server struct {
	http  *http.Server
	ended chan error
}

func serve(ctx context.Context, source *api.Client, address string, o agent.Options) (*server, *agent.Agent, error) {
	if host, _, err := net.SplitHostPort(address); err != nil || net.ParseIP(host) == nil {
		return nil, nil, fmt.Errorf("%q is no address such as 127.0.0.1:4570", address)
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, nil, err
	}
	a, err := agent.New(listener.Addr().String(), source, o)
	if err != nil {
		_ = listener.Close()
		return nil, nil, err
	}
	s := &server{&http.Server{Handler: a, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}, make(chan error, 1)}
	go func() { s.ended <- s.http.Serve(listener) }()
	return s, a, nil
}

func (s *server) stop() { _ = s.http.Close() }

// writeToken writes a new file that only its owner can read. One that is there may be somebody else's, or open already.
func writeToken(path, token string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the token file: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // where the person wants it
	if err != nil {
		return fmt.Errorf("the token file: %w", err)
	}
	_, err = f.WriteString(token)
	return errors.Join(err, f.Close())
}

// quoted is a word for a POSIX shell.
func quoted(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_./:%@+-", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// execRenewed runs a command beside an agent of its own.
func (p *Program) execRenewed(c *cobra.Command, name string, command []string, ask api.IssueCredentials, region string) error {
	s, err := p.session(c)
	if err != nil {
		return err
	}
	found, _, err := issue(c.Context(), s.api, name, ask) // what is refused is refused now, not by the command
	if err != nil {
		return err
	}
	server, a, err := serve(context.WithoutCancel(c.Context()), s.api, "127.0.0.1:0", agent.Options{
		Ask: ask, Hold: holding, Clock: p.Clock, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer server.stop()
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	environ := append(p.inherited(), regionOf(found, region)...)
	token := a.Token(map[string]string{found.ID: found.ID})
	environ = append(environ, "AWS_CONTAINER_CREDENTIALS_FULL_URI="+a.URL(found.ID), "AWS_CONTAINER_AUTHORIZATION_TOKEN="+token)
	return p.child(path, command, environ)
}
