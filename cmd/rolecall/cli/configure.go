package cli

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"rolecall/cmd/rolecall/settings"
)

func (p *Program) configureCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "configure",
		Short: "Keep or show settings",
		Long: "Keeps the settings that are given as flags, for the profile; an empty one is forgotten. Without flags, shows all settings\n" +
			"and where they come from.",
		Example: "  rolecall configure --api https://rolecall.example.com --issuer https://login.example.com/\n" +
			"  rolecall --profile work configure --api https://rolecall.work.example --issuer https://login.work.example\n" +
			"  rolecall configure",
		RunE: func(c *cobra.Command, _ []string) error { return p.configure(c) },
	}
}

func (p *Program) configure(c *cobra.Command) error {
	values := given(c)
	if len(values) > 0 {
		return p.keep(c, values)
	}
	all, file, err := p.settings(c)
	if err != nil {
		return err
	}
	p.say("Profile %s, kept in %s", p.profile(c), own(file.Path))
	var rows [][]string
	for _, name := range settings.Names() {
		rows = append(rows, []string{name, orDash(all[name].Text), "(" + all[name].Source + ")"})
	}
	return p.table(rows)
}

// keep writes settings, if what they come to makes sense.
func (p *Program) keep(c *cobra.Command, values map[string]string) error {
	_, file, err := p.settings(c)
	if file == nil {
		return err
	}
	asked := map[string]string{}
	for name, value := range values {
		if value != "" {
			asked[name] = value
		}
	}
	if _, err := file.Resolve(p.profile(c), asked, func(string) string { return "" }); err != nil {
		return err
	}
	return file.Set(p.profile(c), values)
}

func (p *Program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  rolecall version",
		RunE: func(*cobra.Command, []string) error {
			version, revision := "unknown", ""
			if info, ok := debug.ReadBuildInfo(); ok {
				version = info.Main.Version
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						revision = ", commit " + s.Value
					}
				}
			}
			p.print("rolecall %s%s, %s %s/%s\n", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}
