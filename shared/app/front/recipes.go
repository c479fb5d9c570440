package front

import (
	"maps"
	"slices"

	"rolecall/shared/config"
	"rolecall/shared/connect"
	"rolecall/templates"
)

// recipes are written from the same list of permissions as the template.
type recipes struct {
	manifest templates.Manifest
	config   config.Config
}

// Role implements connect.Recipes.
func (r recipes) Role(o connect.RoleOrder) connect.RoleRecipe {
	made, ok := r.manifest.ByHand(templates.Order{
		Partition: string(o.Platform.Partition), Region: string(o.Region), PlatformName: o.PlatformName, PlatformAccount: string(o.Platform.Account),
		ConnectionID: string(o.Connection), PermissionSet: string(o.Permissions), RoleName: o.Name, TrustPolicy: o.TrustPolicy,
	})
	recipe := connect.RoleRecipe{PolicyARNs: made.PolicyARNs, CLI: made.CLI, Terraform: made.Terraform}
	if ok || string(o.Permissions) == templates.CustomSet && r.manifest.Has(templates.CustomSet) { // whose policy the module holds
		recipe.Module = templates.ModuleCall{
			URL: moduleURL(r.config), SHA256: r.config.ModuleSHA256, PlatformName: o.PlatformName, PlatformAccount: string(o.Platform.Account),
			ConnectionID: string(o.Connection), ExternalID: string(o.ExternalID), PermissionSet: string(o.Permissions), RoleName: o.Name,
		}.Terraform()
	}
	return recipe
}

// Stack implements connect.Recipes.
func (r recipes) Stack(l connect.LaunchLink) string {
	o := templates.StackOrder{Region: string(l.Region), Name: l.StackName, TemplateURL: l.TemplateURL}
	for _, name := range slices.Sorted(maps.Keys(l.Parameters)) {
		o.Parameters = append(o.Parameters, templates.Parameter{Name: name, Value: l.Parameters[name]})
	}
	return o.CLI()
}
