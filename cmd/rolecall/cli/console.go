package cli

import (
	"github.com/spf13/cobra"

	"rolecall/cmd/rolecall/api"
)

func (p *Program) consoleCommand() *cobra.Command {
	var ask api.RequestSignIn
	var noBrowser bool
	c := &cobra.Command{
		Use:   "console NAME",
		Short: "Open AWS's console in a connection's account",
		Long: "Opens AWS's console in your browser, signed in to the connection's account for an hour. With --no-browser prints the link\n" +
			"instead; whoever opens it in the next minutes is signed in, so treat it as a password.",
		Example: "  rolecall console Production\n" +
			"  rolecall console Production --read-only --reason 'ticket 1234'\n" +
			"  rolecall console Production --destination https://eu-west-1.console.aws.amazon.com/s3/home",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeName,
		RunE:              func(c *cobra.Command, args []string) error { return p.console(c, args[0], ask, noBrowser) },
	}
	c.Flags().StringVar(&ask.Destination, "destination", "", "page of AWS's console; its home by default")
	c.Flags().StringVar(&ask.Reason, "reason", "", "what it is for; kept in the audit records")
	c.Flags().BoolVar(&ask.ReadOnly, "read-only", false, "narrow the session to reading")
	c.Flags().BoolVar(&noBrowser, "no-browser", false, "print the link instead of opening it")
	return c
}

func (p *Program) console(c *cobra.Command, name string, ask api.RequestSignIn, noBrowser bool) error {
	s, err := p.session(c)
	if err != nil {
		return err
	}
	found, err := s.api.Find(c.Context(), name)
	if err != nil {
		return err
	}
	link, err := s.api.SignIn(c.Context(), found.ID, ask)
	if err != nil {
		return explain(err, found)
	}
	if noBrowser {
		p.print("%s\n", link.URL)
		return nil
	}
	if err := p.Open(c.Context(), link.URL); err != nil {
		return err // the link is a secret: it is printed for who asks for it
	}
	p.say("Opened AWS's console in %s (%s); the session ends at %s.", found.Name, orDash(found.AccountID), link.SessionExpiresAt.Local().Format("15:04"))
	return nil
}
