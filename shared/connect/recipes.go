package connect

import (
	"net/url"
	"strings"
)

// Recipes write down, for those who would rather not press a link, how its work is done by other tools.
type Recipes interface {
	// Role is how to make the role by hand; the zero value for a permission set that is not on offer.
	Role(o RoleOrder) RoleRecipe
	// Stack is a command that creates the stack of a link.
	Stack(l LaunchLink) string
}

// A RoleOrder is the role that a customer is to make.
type RoleOrder struct {
	Platform     Platform
	Region       Region // of the launch
	PlatformName string
	Connection   ConnectionID
	ExternalID   ExternalID
	Permissions  Permissions
	Name         string // fresh for each launch
	TrustPolicy  string
}

// A RoleRecipe is how to make it.
type RoleRecipe struct {
	PolicyARNs []string // of AWS's managed policies that the permission set grants
	CLI        string
	Terraform  string
	Module     string // the same by the published Terraform module
}

// addRecipes adds the ways around the stack to a link.
func (d Deployment) addRecipes(l *LaunchLink, c Connection) {
	var r RoleRecipe
	if d.Recipes != nil {
		r = d.Recipes.Role(RoleOrder{
			Platform: d.Platform, Region: l.Region, PlatformName: d.PlatformName, Connection: c.s.ID, ExternalID: c.s.ExternalID, Permissions: c.s.Requested,
			Name: l.StackName, TrustPolicy: l.TrustPolicy,
		})
		l.CLIStack = d.Recipes.Stack(*l)
	}
	l.CLI, l.Terraform, l.TerraformModule = r.CLI, r.Terraform, r.Module
	l.CreateRoleURL = d.createRole(c.s.ExternalID, r.PolicyARNs)
}

// createRole opens the console where a role for another account is made, with the platform, the external ID and the
// policies filled in. AWS documents none of these parameters, so what the page leaves out is written in the other recipes:
// its role has the exact condition on the external ID, but not our limit to certain roles, nor a set's exceptions.
func (d Deployment) createRole(external ExternalID, policies []string) string {
	var q strings.Builder
	q.WriteString(d.globalConsole() + "/iam/home#/roles/create?step=type&trustedEntityType=AWS_ACCOUNT&awsAccount=" +
		string(d.Platform.Account) + "&isThirdParty=true&externalId=" + url.QueryEscape(string(external)))
	for _, arn := range policies {
		q.WriteString("&policies=" + url.QueryEscape(arn))
	}
	return q.String()
}

// globalConsole is where the partition's services without Regions are.
func (d Deployment) globalConsole() string {
	if d.ConsoleURL == "" && d.Platform.Partition == PartitionAWS {
		return "https://console.aws.amazon.com"
	}
	return d.consoleURL("")
}
