package connect_test

import (
	"context"
	"strings"
	"testing"

	"rolecall/shared/connect"
)

// upgrades know one newer template.
type upgrades struct{}

func (upgrades) Changes(kind connect.TemplateKind, from, to string, set connect.Permissions) ([]string, bool) {
	if kind == connect.TemplateOrganization {
		return []string{"more for accounts"}, from == "1.0.0" && to == "1.1.0"
	}
	if from != "1.0.0" || to != "1.2.0" {
		return nil, false
	}
	return []string{"more for " + string(set)}, true
}

func (upgrades) Policy(_ context.Context, from string) []string {
	return []string{"another policy than " + from}
}

func (upgrades) Update(kind connect.TemplateKind, s connect.StackID, templateURL string) string {
	if kind == connect.TemplateOrganization {
		return "update the organization's"
	}
	return "update " + s.String() + " " + templateURL
}

func (upgrades) PutPolicy(r connect.RoleARN, region connect.Region) string {
	return "put " + r.Name() + " in " + string(region)
}

// Only a connection that lives with a stack of an older template is told how to come to the current one.
func TestStackUpdate(t *testing.T) {
	d := connect.Deployment{
		Platform: platform(), Regions: []connect.Region{"eu-west-1"}, TemplateURL: "https://t.example/a b.yaml", TemplateVersion: "1.2.0", Upgrades: upgrades{},
	}
	w := newWorld(created(t))
	w.receive(t, callback(t, connect.RequestCreate, stackOne, "r1", 1))
	w.verify(t, true)
	{
		u := d.StackUpdate(context.Background(), w.c)
		if u == nil || u.From != "1.0.0" || u.To != "1.2.0" || u.Changes[0] != "more for read-only" || u.CLI != "update "+stackOne+" https://t.example/a b.yaml" {
			t.Fatalf("%s: %+v", w.c.Status(), u)
		}
		const page = "https://eu-west-1.console.aws.amazon.com/cloudformation/home?region=eu-west-1#/stacks/update/template?stackId=arn%3Aaws%3A"
		if !strings.HasPrefix(u.UpdateURL, page) || !strings.HasSuffix(u.UpdateURL, "&templateURL=https%3A%2F%2Ft.example%2Fa+b.yaml") {
			t.Error(u.UpdateURL)
		}
	}
	current := granting(t, connect.RequestUpdate, "r2", 2, "read-only")
	w.receive(t, current)
	for name, c := range map[string]connect.Connection{
		"current": w.c, "pending": in(t, connect.StatusPending), "by hand": in(t, connect.StatusEnabled), "disconnected": in(t, connect.StatusDisconnected),
		"deleted": in(t, connect.StatusDeleted),
	} {
		if u := d.StackUpdate(context.Background(), c); u != nil {
			t.Errorf("%s: %+v", name, u)
		}
	}
	d.Upgrades = nil
	if u := d.StackUpdate(context.Background(), in(t, connect.StatusEnabled)); u != nil {
		t.Errorf("nobody knows: %+v", u)
	}
}
