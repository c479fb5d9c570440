package connect

import (
	"context"
	"net/url"
	"strings"
)

// A TemplateKind says which template a stack is of.
type TemplateKind string

// Kinds of templates; their versions are their own.
const (
	TemplateConnection   TemplateKind = "connection"
	TemplateOrganization TemplateKind = "organization"
)

// Upgrades know the templates and the policies that were published.
type Upgrades interface {
	// Changes are what the template of version to changes for a stack of version from with the permission set, in
	// words; ok is false where it is not a newer one.
	Changes(kind TemplateKind, from, to string, set Permissions) (changes []string, ok bool)
	// Policy is what the platform's own policy changes against an earlier one of that digest, in words; "" is one that is
	// not known. There is always a sentence.
	Policy(ctx context.Context, from string) []string
	// Update are commands that move a stack to a template.
	Update(kind TemplateKind, stack StackID, templateURL string) string
	// PutPolicy are commands that give a role the platform's own policy; "" where it is too long to be shown.
	PutPolicy(role RoleARN, region Region) string
}

// A StackUpdate is how a customer's stack comes to the current template. From and To are the same where only the
// platform's own permission set has changed. An account's stack of an organization is updated by its stack set: then there
// is neither a link nor a command.
type StackUpdate struct {
	From, To    string // versions
	Changes     []string
	UpdateURL   string // the console's page for updating the stack; AWS does not document its parameters
	TemplateURL string
	CLI         string
}

// A PolicyUpdate is how a role that was made by hand comes to the platform's current policy.
type PolicyUpdate struct {
	Changes   []string
	PolicyURL string
	CLI       string // "" where the policy is too long to be shown
}

// StackUpdate is how the connection's stack comes to the current template; nil where it has it, or has no stack.
func (d Deployment) StackUpdate(ctx context.Context, c Connection) *StackUpdate {
	if d.Upgrades == nil || c.s.Stack.ID.IsZero() || !c.s.mayBeUpdated() {
		return nil
	}
	kind, to, templateURL := TemplateConnection, d.TemplateVersion, d.TemplateURL
	if c.s.EnrolmentID != "" {
		kind, to, templateURL = TemplateOrganization, d.OrganizationTemplate.Version, d.OrganizationTemplate.URL
	}
	from := c.s.Stack.TemplateVersion
	changes, newer := d.Upgrades.Changes(kind, from, to, c.s.Permissions)
	if d.policyChanged(c, newer) {
		changes, newer = append(changes, d.Upgrades.Policy(ctx, c.s.PolicyDigest)...), true
	}
	if !newer {
		return nil
	}
	u := &StackUpdate{From: from, To: to, Changes: changes, TemplateURL: templateURL}
	if !strings.HasPrefix(c.s.Stack.ID.Name(), stackSetInstance) {
		region := c.s.Stack.ID.Region()
		u.UpdateURL = d.consoleURL(region) + "/cloudformation/home?region=" + string(region) + "#/stacks/update/template?stackId=" +
			url.QueryEscape(c.s.Stack.ID.String()) + "&templateURL=" + url.QueryEscape(templateURL)
		u.CLI = d.Upgrades.Update(kind, c.s.Stack.ID, templateURL)
	}
	return u
}

// stackSetInstance is how the names of stacks that stack sets make begin, and those of no others.
const stackSetInstance = "StackSet-"

// mayBeUpdated says that there is a role to be brought up to date.
func (s Snapshot) mayBeUpdated() bool {
	switch s.Status {
	case StatusVerifying, StatusEnabled, StatusDegraded, StatusFailed:
		return true
	case StatusPending, StatusExpired, StatusDisconnected, StatusDeleted:
	}
	return false
}

// policyChanged says that the platform's own policy is another one than the role's. Where that is not known, as of older
// templates, a newer template is needed for it to matter.
func (d Deployment) policyChanged(c Connection, newer bool) bool {
	current := d.policy()
	if c.s.Permissions != PermissionsCustom || current == "" || c.s.PolicyDigest == current {
		return false
	}
	return c.s.PolicyDigest != "" || newer
}

// PolicyUpdate is how a role made by hand comes to the platform's current policy; nil where it has it, or a stack sees to
// it.
func (d Deployment) PolicyUpdate(ctx context.Context, c Connection) *PolicyUpdate {
	byHand := c.s.Method == MethodRole && c.s.Stack.ID.IsZero() && !c.s.RoleARN.IsZero()
	if d.Upgrades == nil || !byHand || !c.s.mayBeUpdated() || !d.policyChanged(c, false) {
		return nil
	}
	u := &PolicyUpdate{Changes: d.Upgrades.Policy(ctx, c.s.PolicyDigest), CLI: d.Upgrades.PutPolicy(c.s.RoleARN, c.s.DefaultRegion)}
	for _, s := range d.Permissions {
		if s.Name == PermissionsCustom {
			u.PolicyURL = s.PolicyURL
		}
	}
	return u
}
