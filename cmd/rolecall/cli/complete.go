package cli

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rolecall/cmd/rolecall/api"
	"rolecall/cmd/rolecall/printable"
)

// completing bounds what a person waits for after pressing Tab, unless ROLECALL_COMPLETION_TIMEOUT says otherwise.
const completing = 2 * time.Second

func (p *Program) completing() time.Duration {
	if d, err := time.ParseDuration(p.getenv("ROLECALL_COMPLETION_TIMEOUT")); err == nil && d > 0 {
		return d
	}
	return completing
}

// completeName completes one connection's name.
func (p *Program) completeName(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.completeNames(c, nil, begun)
}

// completeThenCommand completes a connection's name, and then whatever the shell knows.
func (p *Program) completeThenCommand(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return p.completeNames(c, nil, begun)
}

// completeNames completes names of enabled connections. It never asks for anything: who is not signed in, or would have
// to open the vault first, gets no names.
func (p *Program) completeNames(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	s, err := p.session(c)
	if err != nil || (s.access.Secret == "" && s.vault.NeedsPassphrase() && p.getenv("ROLECALL_PASSPHRASE") == "") {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	s.vault.Warn = nil // not in the middle of what somebody types
	ctx := c.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, p.completing())
	defer cancel()
	page, err := s.api.List(ctx, api.Filter{Status: "enabled", Query: begun, Limit: 100})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for _, one := range page.Items {
		name := printable.Line(one.Name)
		if name == one.Name && strings.HasPrefix(strings.ToLower(name), strings.ToLower(begun)) && !slices.Contains(args, name) {
			names = append(names, cobra.CompletionWithDesc(name, printable.Line(one.AccountID)))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeProfile completes the profiles that have settings.
func (p *Program) completeProfile(c *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	_, file, err := p.settings(c)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(file.Profiles)), cobra.ShellCompDirectiveNoFileComp
}
