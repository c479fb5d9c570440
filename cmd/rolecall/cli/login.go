package cli

import (
	"bufio"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"rolecall/cmd/rolecall/settings"
	"rolecall/cmd/rolecall/signin"
)

func (p *Program) loginCommand() *cobra.Command {
	var noBrowser bool
	c := &cobra.Command{
		Use:   "login",
		Short: "Sign in",
		Long: "Signs you in with your browser, and keeps the sign-in sealed: in the system's keyring or, where there is none, under a\n" +
			"passphrase. Over SSH use --no-browser: it works with a browser anywhere. A machine signs in with a client id and a client secret, from ROLECALL_CLIENT_SECRET or a file; with these in its\n" +
			"environment it need not sign in at all.",
		Example: "  rolecall login\n" +
			"  rolecall login --no-browser\n" +
			"  rolecall --profile work --api https://rolecall.example.com login\n" +
			"  rolecall login --client-id nightly --client-secret-file secret.txt",
		RunE: func(c *cobra.Command, _ []string) error { return p.login(c, noBrowser) },
	}
	c.Flags().BoolVar(&noBrowser, "no-browser", false, "only print the address, for a browser anywhere; on another machine, paste here where it ends")
	c.Flags().String("client-secret-file", "", "file with a machine's client secret; - reads it from standard input (ROLECALL_CLIENT_SECRET_FILE)")
	return c
}

func (p *Program) login(c *cobra.Command, noBrowser bool) error {
	s, err := p.session(c)
	if err != nil {
		return err
	}
	if s.access.Client, err = s.access.Client.Located(c.Context(), s.access.API); err != nil {
		return err
	}
	if s.access.Secret != "" {
		return p.machineLogin(c, s)
	}
	tokens, err := s.access.Client.Browser(c.Context(), func(address string, answer func(string) error) error {
		p.say("Sign in at\n\n  %s\n", address)
		if noBrowser {
			p.say("On another machine the browser ends at an address that it cannot open: paste that here.")
			go p.paste(answer)
			return nil
		}
		if err := p.Open(c.Context(), address); err != nil {
			p.say("No browser could be opened (%s): open the address yourself.", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.access.Keep(tokens, ""); err != nil {
		return err
	}
	if tokens.Refresh == "" {
		p.say("The issuer gave no refresh token: this lasts until %s.", tokens.Expires.Local().Format("15:04"))
	}
	who := tokens.Subject
	if tokens.Name != "" {
		who = fmt.Sprintf("%s (%s)", tokens.Name, tokens.Subject)
	}
	p.say("Signed in to %s as %s.", s.settings.Text(settings.API), who)
	return nil
}

// paste hands over what the person types until it is the answer. It may outlive the sign-in, for nothing ends a read of a terminal.
func (p *Program) paste(answer func(string) error) {
	lines := bufio.NewScanner(p.In)
	for lines.Scan() {
		err := answer(lines.Text())
		if err == nil {
			return
		}
		p.say("That is not it: %s.", err)
	}
}

func (p *Program) machineLogin(c *cobra.Command, s *session) error {
	tokens, err := s.access.Client.Machine(c.Context(), s.access.Secret)
	if err != nil {
		return err
	}
	if err := s.access.Keep(tokens, s.access.Secret); err != nil {
		return err
	}
	p.say("Signed in to %s as the client %s.", s.settings.Text(settings.API), s.access.Client.ID)
	return nil
}

func (p *Program) logoutCommand() *cobra.Command {
	var forget bool
	c := &cobra.Command{
		Use:   "logout",
		Short: "Sign out",
		Long:  "Forgets the profile's sign-in, and ends it at the issuer where that can be done.",
		Example: "  rolecall logout\n" +
			"  rolecall logout --forget",
		RunE: func(c *cobra.Command, _ []string) error { return p.logout(c, forget) },
	}
	c.Flags().BoolVar(&forget, "forget", false, "throw away everything that is kept, of all profiles, also without its passphrase")
	return c
}

func (p *Program) logout(c *cobra.Command, forget bool) error {
	s, err := p.session(c)
	if err != nil {
		return err
	}
	if forget {
		if err := s.vault.Remove(); err != nil {
			return err
		}
		p.say("Everything that was kept is gone. What the issuer gave may still be valid there.")
		return nil
	}
	unended, err := s.access.SignOut(c.Context())
	if errors.Is(err, signin.ErrSignedOut) {
		p.say("You were not signed in.")
		return nil
	}
	if err != nil {
		return err
	}
	if unended != nil {
		p.say("The sign-in is forgotten, but could not be ended at the issuer: %s", unended)
		return nil
	}
	p.say("Signed out.")
	return nil
}
