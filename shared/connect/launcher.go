package connect

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"sort"
	"strings"
	"time"
)

// A Tokens makes and proves callback tokens: MACs over a connection's id and a launch's number. Nothing of them is
// stored, and the same launch always has the same token.
type Tokens interface {
	// Token is the launch's callback token.
	Token(ctx context.Context, id ConnectionID, launch int) (Secret, error)
}

// A Deployment is where Rolecall runs and what it offers.
type Deployment struct {
	Platform        Platform
	PlatformName    string   // as customers read it
	Regions         []Region // where customers may launch the stack; the first one is Rolecall's own
	TemplateURL     string
	TemplateVersion string
	TemplateSHA256  string
	ConsoleURL      string // instead of the AWS console's, on a laptop; else ""
	Permissions     []PermissionSet
	CheckInterval   time.Duration
	Recipes         Recipes  // nil where nothing but the link is shown
	Upgrades        Upgrades // nil where nobody is told of newer templates

	// OrganizationTemplate enrols whole organizations; without a URL where that is not on offer.
	OrganizationTemplate PublishedTemplate
	// TerraformModule is published beside the templates.
	TerraformModule PublishedTemplate
}

// A PermissionSet is one choice of rights for the customer's role.
type PermissionSet struct {
	Name            Permissions
	Title           string
	Description     string
	Warning         string   // what the customer should know before granting it; may be ""
	ManagedPolicies []string // names of AWS's managed policies that it grants; none for a platform's own set
	DeniedActions   []string // that it takes away again, sorted; wildcards are possible in a platform's own set
	// PolicyDigest and PolicyURL name a platform's own policy, and say where it is published; "" of the other sets.
	PolicyDigest string
	PolicyURL    string
}

// A LaunchLink is all that a customer needs in order to connect an account: one link to press, and its parts for those
// who would rather use a tool.
type LaunchLink struct {
	QuickCreateURL string
	TemplateURL    string
	StackName      string
	Region         Region
	Parameters     map[string]string
	CreateRoleURL  string // the console's page for a role of another account; AWS does not document its parameters
	TrustPolicy    string
	CLI            string // commands that make the role and print its ARN; "" for a permission set that is no longer offered
	CLIStack       string // commands that create the stack
	Terraform      string // resources that make the role; "" as CLI
	// TerraformModule makes it by the published module; "" for a permission set that is no longer offered.
	TerraformModule string
	ExpiresAt       time.Time
}

// Link is the connection's open launch; nil where it has none, or where tokens is nil because the reader may not see one.
func (d Deployment) Link(ctx context.Context, tokens Tokens, c Connection, now time.Time) (*LaunchLink, error) {
	l, open := c.OpenLaunch(now)
	if !open || tokens == nil {
		return nil, nil
	}
	token, err := tokens.Token(ctx, c.s.ID, l.Number)
	if err != nil {
		return nil, fmt.Errorf("callback token: %w", err)
	}
	link := &LaunchLink{
		TemplateURL: d.TemplateURL, StackName: stackName(c.s.ID, l.Number), Region: d.launchRegion(c),
		Parameters: map[string]string{
			"ConnectionId": string(c.s.ID), "ExternalId": string(c.s.ExternalID), "CallbackToken": token.Reveal(),
			"PermissionSet": string(c.s.Requested),
		},
		TrustPolicy: d.Platform.TrustPolicy(c.s.ExternalID), ExpiresAt: l.ExpiresAt,
	}
	link.QuickCreateURL = d.quickCreate(link)
	d.addRecipes(link, c)
	return link, nil
}

// launchRegion is the connection's default Region where Rolecall has a topic there, else Rolecall's own.
func (d Deployment) launchRegion(c Connection) Region {
	if slices.Contains(d.Regions, c.s.DefaultRegion) {
		return c.s.DefaultRegion
	}
	return d.Regions[0]
}

// stackName is fresh for each launch, so that a failed stack never stands in the way of the next.
func stackName(id ConnectionID, launch int) string {
	return fmt.Sprintf("rolecall-%s-%d", string(id)[len(id)-10:], launch)
}

func (d Deployment) quickCreate(l *LaunchLink) string {
	names := make([]string, 0, len(l.Parameters))
	for n := range l.Parameters {
		names = append(names, n)
	}
	sort.Strings(names)
	var q strings.Builder
	fmt.Fprintf(&q, "%s/cloudformation/home?region=%s#/stacks/quickcreate?templateURL=%s&stackName=%s",
		d.consoleURL(l.Region), l.Region, url.QueryEscape(l.TemplateURL), url.QueryEscape(l.StackName))
	for _, n := range names {
		fmt.Fprintf(&q, "&param_%s=%s", n, url.QueryEscape(l.Parameters[n]))
	}
	return q.String()
}

func (d Deployment) consoleURL(r Region) string {
	switch {
	case d.ConsoleURL != "":
		return d.ConsoleURL
	case d.Platform.Partition == PartitionGov:
		return "https://console.amazonaws-us-gov.com"
	case d.Platform.Partition == PartitionChina:
		return "https://console.amazonaws.cn"
	default:
		return "https://" + string(r) + ".console.aws.amazon.com"
	}
}

// HasPermissions says that the deployment offers the set.
func (d Deployment) HasPermissions(p Permissions) bool {
	return slices.ContainsFunc(d.Permissions, func(s PermissionSet) bool { return s.Name == p })
}

// policy is the digest of the platform's own policy; "" where it has none.
func (d Deployment) policy() string {
	for _, s := range d.Permissions {
		if s.Name == PermissionsCustom {
			return s.PolicyDigest
		}
	}
	return ""
}

// permissionNames is for error messages.
func (d Deployment) permissionNames() string {
	names := make([]string, 0, len(d.Permissions))
	for _, s := range d.Permissions {
		names = append(names, string(s.Name))
	}
	b, _ := json.Marshal(names) // strings always marshal
	return string(b)
}
