package front

import (
	"rolecall/shared/connect"
	"rolecall/templates"
)

// upgrades knows the templates that were published.
type upgrades struct{}

// Changes implements connect.Upgrades. Other permission sets than the connection's are no news to its customer.
func (upgrades) Changes(from, to string, set connect.Permissions) ([]string, bool) {
	changes, ok := templates.Changes(from, to)
	texts := []string{}
	for _, c := range changes {
		if c.Set == "" || c.Set == string(set) {
			texts = append(texts, c.Text)
		}
	}
	return texts, ok
}

// Update implements connect.Upgrades.
func (upgrades) Update(stack connect.StackID, templateURL string) string {
	return templates.UpdateCLI(string(stack.Region()), stack.String(), templateURL)
}
