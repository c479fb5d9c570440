package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"rolecall/cmd/rolecall/api"
)

func (p *Program) connectionsCommand() *cobra.Command {
	var f api.Filter
	var asJSON bool
	var most int
	c := &cobra.Command{
		Use:     "connections",
		Aliases: []string{"ls"},
		Short:   "List the connected accounts",
		Long:    "Lists connections, newest first. With --json, prints one JSON array.",
		Example: "  rolecall connections\n" +
			"  rolecall connections --status enabled -q prod\n" +
			"  rolecall connections --json | jq -r '.[].accountId'",
		RunE: func(c *cobra.Command, _ []string) error { return p.connections(c, f, most, asJSON) },
	}
	c.Flags().StringVar(&f.Status, "status", "", "only connections of this status; \"deleted\" for those that other lists leave out")
	c.Flags().StringVarP(&f.Query, "query", "q", "", "only connections with this in their name")
	c.Flags().IntVar(&most, "limit", 0, "at most so many; 0 for all")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	_ = c.RegisterFlagCompletionFunc("status", cobra.FixedCompletions( // the flag is there
		[]cobra.Completion{"pending", "verifying", "enabled", "degraded", "failed", "disconnected", "expired", "deleted"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (p *Program) connections(c *cobra.Command, f api.Filter, most int, asJSON bool) error {
	if most < 0 {
		return misused(c, fmt.Errorf("--limit is %d", most))
	}
	s, err := p.session(c)
	if err != nil {
		return err
	}
	all, err := list(c.Context(), s.api, f, most)
	if err != nil {
		return err
	}
	if asJSON {
		return p.json(all, "  ")
	}
	if len(all) == 0 {
		p.say("There is none.")
		return nil
	}
	rows := [][]string{{"NAME", "STATUS", "ACCOUNT", "REGION", "PERMISSIONS", "VERIFIED", "ID"}}
	for _, one := range all {
		rows = append(rows, []string{
			one.Name, one.Status, orDash(one.AccountID), one.DefaultRegion, orDash(one.Permissions), since(one.LastVerified, p.Clock()), one.ID,
		})
	}
	return p.table(rows)
}

// list reads page after page.
func list(ctx context.Context, client *api.Client, f api.Filter, most int) ([]api.Connection, error) {
	all := []api.Connection{}
	for {
		f.Limit = 100
		if most > 0 {
			f.Limit = min(100, most-len(all))
		}
		page, err := client.List(ctx, f)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.NextCursor == "" || (most > 0 && len(all) >= most) {
			return all, nil
		}
		f.Cursor = page.NextCursor
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func since(at *time.Time, now time.Time) string {
	if at == nil {
		return "-"
	}
	switch d := now.Sub(*at); {
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	default:
		return at.Local().Format(time.DateOnly)
	}
}
