package templates

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The manifest of every version that was ever published, the current one among them: stacks of all of them are there. Only
// that of [Unreleased] may change.
//
//go:embed manifests/*.json
var published embed.FS

// A Change is one difference between two versions of the template, as a customer reads it.
type Change struct {
	Set  string // the permission set that it is about; "" for all of them
	Text string
}

// Changes tells in words what the template of version to changes for a stack of version from: first what differs in
// permissions, then what the versions in between did besides. ok is false where one of them was never published, or
// to is not the newer one.
func Changes(from, to string) (changes []Change, ok bool) {
	if !newer(to, from) {
		return nil, false
	}
	before, err := publishedManifest(from)
	if err != nil {
		return nil, false
	}
	after, err := publishedManifest(to)
	if err != nil {
		return nil, false
	}
	changes = append(changesOf("", before.rights(), after.rights()), setChanges(before, after)...)
	for _, v := range versions() {
		if m, err := publishedManifest(v); err == nil && newer(v, from) && !newer(v, to) {
			for _, n := range m.Notes {
				changes = append(changes, Change{Text: n})
			}
		}
	}
	return changes, true
}

// organizationManifest is the version of the manifest that a version of the organization's template was rendered from, for
// what it grants in each account; "" where there was no such version.
func organizationManifest(version string) string {
	if own, ok := map[string]string{"1.0.0": "1.2.0", "1.1.0": "1.3.0"}[version]; ok {
		return own
	}
	if newer(version, "1.3.0") { // since then it has the manifest's own versions
		return version
	}
	return ""
}

// OrganizationChanges is [Changes] for the template that connects organizations.
func OrganizationChanges(from, to string) (changes []Change, ok bool) {
	if !newer(to, from) {
		return nil, false
	}
	return Changes(organizationManifest(from), organizationManifest(to))
}

// publishedManifest reads a version's manifest. It is not held against today's rules: it was published.
func publishedManifest(version string) (Manifest, error) {
	var m Manifest
	text, err := published.ReadFile("manifests/" + version + ".json")
	if err != nil {
		return m, fmt.Errorf("templates: version %q was not published: %w", version, err)
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&m); err != nil {
		return m, fmt.Errorf("templates: manifest %s: %w", version, err)
	}
	return m, nil
}

// versions are all that were published, oldest first.
func versions() []string {
	files, _ := published.ReadDir("manifests") // it is embedded
	all := make([]string, 0, len(files))
	for _, f := range files {
		all = append(all, strings.TrimSuffix(f.Name(), ".json"))
	}
	slices.SortFunc(all, func(a, b string) int {
		if newer(a, b) {
			return 1
		}
		return -1
	})
	return all
}

// newer says that version a comes after b. What is no version of ours is neither newer nor older.
func newer(a, b string) bool {
	x, y := numbers(a), numbers(b)
	return x != nil && y != nil && slices.Compare(x, y) > 0
}

func numbers(version string) []int {
	parts := strings.Split(version, ".")
	if len(parts) != 3 {
		return nil
	}
	out := make([]int, 0, len(parts))
	for _, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 {
			return nil
		}
		out = append(out, n)
	}
	return out
}

// A right is one kind of what is granted, with the sentences for more and for less of it.
type right struct {
	more, less string
	items      []string
}

// rights are what every set grants.
func (m Manifest) rights() []right {
	all, own := right{more: "may also call %s", less: "may no longer call %s"}, right{
		more: "may also call %s, on the role itself", less: "may no longer call %s, on the role itself",
	}
	for _, g := range m.Always {
		if g.Resource == "role" {
			own.items = append(own.items, g.Actions...)
			continue
		}
		all.items = append(all.items, g.Actions...)
	}
	return []right{all, own}
}

func (s Set) rights() []right {
	return []right{
		{"also has AWS's managed policy %s", "no longer has AWS's managed policy %s", s.ManagedPolicies},
		{"is also denied %s", "is no longer denied %s", s.DeniedActions()},
	}
}

func setChanges(before, after Manifest) []Change {
	var out []Change
	for _, s := range after.Sets {
		i := slices.IndexFunc(before.Sets, func(o Set) bool { return o.Name == s.Name })
		if i < 0 {
			out = append(out, Change{Text: "There is a new permission set, " + s.Name + ", which " + s.Description + "."})
			continue
		}
		out = append(out, changesOf(s.Name, before.Sets[i].rights(), s.rights())...)
	}
	for _, s := range before.Sets {
		if !slices.ContainsFunc(after.Sets, func(o Set) bool { return o.Name == s.Name }) {
			out = append(out, Change{Set: s.Name, Text: "The permission set " + s.Name + " is no longer there."})
		}
	}
	return out
}

// changesOf tells what is in one and not in the other, kind by kind.
func changesOf(set string, before, after []right) []Change {
	who := "With every permission set, the platform "
	if set != "" {
		who = "With " + set + ", the platform "
	}
	var out []Change
	for i, r := range after {
		if more := without(r.items, before[i].items); len(more) > 0 {
			out = append(out, Change{set, who + fmt.Sprintf(r.more, strings.Join(more, ", ")) + "."})
		}
		if less := without(before[i].items, r.items); len(less) > 0 {
			out = append(out, Change{set, who + fmt.Sprintf(r.less, strings.Join(less, ", ")) + "."})
		}
	}
	return out
}

func without(list, taken []string) []string {
	var out []string
	for _, item := range list {
		if !slices.Contains(taken, item) {
			out = append(out, item)
		}
	}
	slices.Sort(out)
	return out
}

// parameters are the template's, in its order; they have been the same in every version that was published.
func parameters() []string {
	return []string{
		"ConnectionId", "ExternalId", "CallbackToken", "PermissionSet", "RoleName", "RolePath", "PermissionsBoundaryArn", "MaxSessionDuration",
	}
}

// organizationParameters are those of the organization's template.
func organizationParameters() []string {
	return []string{"EnrolmentId", "ExternalIdPrefix", "EnrolmentToken", "PermissionSet", "OrganizationalUnitIds", "Administrator"}
}

// UpdateCLI are commands of the AWS CLI, for bash or zsh, that move a stack to the template and wait for it. The stack
// keeps its parameters.
func UpdateCLI(region, stackID, templateURL string) string {
	return updateCLI(region, stackID, templateURL, "CAPABILITY_NAMED_IAM", parameters())
}

// UpdateOrganizationCLI is [UpdateCLI] for the stack that connects an organization; its stack set then updates the
// accounts' stacks.
func UpdateOrganizationCLI(region, stackID, templateURL string) string {
	return updateCLI(region, stackID, templateURL, "CAPABILITY_IAM", organizationParameters())
}

func updateCLI(region, stackID, templateURL, capability string, parameters []string) string {
	where := " --region " + shellQuote(region) + " --stack-name " + shellQuote(stackID)
	type parameter struct {
		ParameterKey     string
		UsePreviousValue bool
	}
	var kept []parameter
	for _, p := range parameters {
		kept = append(kept, parameter{p, true})
	}
	list, _ := json.Marshal(kept) // strings always encode
	return "aws cloudformation update-stack" + where + " \\\n" +
		"  --template-url " + shellQuote(templateURL) + " --capabilities " + capability + " \\\n" +
		"  --parameters " + shellQuote(string(list)) + " &&\n" +
		"aws cloudformation wait stack-update-complete" + where + "\n"
}
