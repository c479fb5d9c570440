package front

import (
	"context"

	"rolecall/shared/connect"
	"rolecall/templates"
)

// upgrades knows the templates and the policies that were published.
type upgrades struct {
	manifest templates.Manifest
	policies *policies
}

// Changes implements connect.Upgrades. Other permission sets than the connection's are no news to its customer.
func (upgrades) Changes(kind connect.TemplateKind, from, to string, set connect.Permissions) ([]string, bool) {
	find := templates.Changes
	if kind == connect.TemplateOrganization {
		find = templates.OrganizationChanges
	}
	changes, ok := find(from, to)
	texts := []string{}
	for _, c := range changes {
		if c.Set == "" || c.Set == string(set) {
			texts = append(texts, c.Text)
		}
	}
	return texts, ok
}

// Policy implements connect.Upgrades.
func (u upgrades) Policy(ctx context.Context, from string) []string {
	own := u.own()
	if from == "" {
		return []string{"The platform's own permission set may have changed since: the stack does not say which version of it the role has."}
	}
	before, err := u.policies.published(ctx, from)
	after := own.Policy
	if err == nil && after == "" { // there was no room for it
		after, err = u.policies.published(ctx, own.Digest)
	}
	var changes []templates.Change
	if err == nil {
		changes, err = templates.PolicyChanges(before, after)
	}
	switch {
	case err != nil:
		return []string{"The platform's own permission set has changed, from version " + from + " to " + own.Digest +
			". What exactly cannot be told just now: compare the role's policy with the published one."}
	case len(changes) == 0:
		return []string{"The platform's own permission set was written anew, and grants what it granted before."}
	}
	texts := make([]string, 0, len(changes))
	for _, c := range changes {
		texts = append(texts, c.Text)
	}
	return texts
}

// own is the platform's own permission set.
func (u upgrades) own() templates.Set {
	for _, s := range u.manifest.Sets {
		if s.Name == templates.CustomSet {
			return s
		}
	}
	return templates.Set{}
}

// Update implements connect.Upgrades.
func (upgrades) Update(kind connect.TemplateKind, stack connect.StackID, templateURL string) string {
	if kind == connect.TemplateOrganization {
		return templates.UpdateOrganizationCLI(string(stack.Region()), stack.String(), templateURL)
	}
	return templates.UpdateCLI(string(stack.Region()), stack.String(), templateURL)
}

// PutPolicy implements connect.Upgrades.
func (u upgrades) PutPolicy(role connect.RoleARN, region connect.Region) string {
	return u.manifest.PutPolicyCLI(string(region), role.Name())
}
