package connect

import "net/url"

// Upgrades know the templates that were published.
type Upgrades interface {
	// Changes are what the template of version to changes for a stack of version from with the permission set, in
	// words; ok is false where it is not a newer one.
	Changes(from, to string, set Permissions) (changes []string, ok bool)
	// Update are commands that move a stack to a template.
	Update(stack StackID, templateURL string) string
}

// A StackUpdate is how a customer's stack comes to the current template.
type StackUpdate struct {
	From, To    string // versions
	Changes     []string
	UpdateURL   string // the console's page for updating the stack; AWS does not document its parameters
	TemplateURL string
	CLI         string
}

// StackUpdate is how the connection's stack comes to the current template; nil where it has it, or has no stack.
func (d Deployment) StackUpdate(c Connection) *StackUpdate {
	if d.Upgrades == nil || c.s.Stack.ID.IsZero() {
		return nil
	}
	switch c.s.Status {
	case StatusVerifying, StatusEnabled, StatusDegraded, StatusFailed:
	case StatusPending, StatusExpired, StatusDisconnected, StatusDeleted:
		return nil
	}
	changes, newer := d.Upgrades.Changes(c.s.Stack.TemplateVersion, d.TemplateVersion, c.s.Permissions)
	if !newer {
		return nil
	}
	region := c.s.Stack.ID.Region()
	return &StackUpdate{
		From: c.s.Stack.TemplateVersion, To: d.TemplateVersion, Changes: changes, TemplateURL: d.TemplateURL,
		UpdateURL: d.consoleURL(region) + "/cloudformation/home?region=" + string(region) + "#/stacks/update/template?stackId=" +
			url.QueryEscape(c.s.Stack.ID.String()) + "&templateURL=" + url.QueryEscape(d.TemplateURL),
		CLI: d.Upgrades.Update(c.s.Stack.ID, d.TemplateURL),
	}
}
