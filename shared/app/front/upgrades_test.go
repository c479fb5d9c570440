package front

import (
	"slices"
	"strings"
	"testing"

	"rolecall/shared/config"
	"rolecall/shared/connect"
	"rolecall/templates"
)

// What is offered to callers is the one manifest, with every set's title, policies and denied actions.
func TestDeploymentOffersTheManifest(t *testing.T) {
	m, err := templates.Permissions()
	if err != nil {
		t.Fatal(err)
	}
	d := Deployment(config.Config{}, m)
	for i, s := range m.Sets {
		p := d.Permissions[i]
		if string(p.Name) != s.Name || p.Title != s.Title || p.Warning != s.Warning || !slices.Equal(p.ManagedPolicies, s.ManagedPolicies) || !slices.Equal(p.DeniedActions, s.DeniedActions()) {
			t.Errorf("%+v", p)
		}
	}
}

// The connection's customer reads what changes for its own set, and for all of them.
func TestChangesAreThoseOfTheSet(t *testing.T) {
	for _, set := range []connect.Permissions{"read-only", "administrator"} {
		got, ok := upgrades{}.Changes(connect.TemplateConnection, "1.0.0", templates.Version, set)
		if !ok || len(got) == 0 || !strings.Contains(got[0], "iam:SimulatePrincipalPolicy") {
			t.Errorf("%s: %t %v", set, ok, got)
		}
		for _, text := range got {
			if strings.HasPrefix(text, "With ") && !strings.HasPrefix(text, "With every") && !strings.HasPrefix(text, "With "+string(set)) {
				t.Errorf("%s is told %q", set, text)
			}
		}
	}
	if got, ok := (upgrades{}).Changes(connect.TemplateConnection, templates.Version, templates.Version, "read-only"); ok || got == nil {
		t.Errorf("the current template is newer than itself: %v", got)
	}
}
