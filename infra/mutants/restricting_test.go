package mutants_test

// restricting: tokens that are restricted.
var restricting = []mutant{
	{"a connection is read for whoever asks", "shared/connect/connections.go", "\t\terr = t.Filter.admit(c)\n", "\t\terr = nil\n", "connect.TestRestrictedCallers httpapi.TestEveryRouteWithEveryClaim httpapi.TestNoRestrictionIsWidened"},
	{"a hand-out is not restricted", "shared/connect/issuing.go", "Target{Tenant: r.Tenant, ID: r.ID, Filter: r.Filter}", "Target{Tenant: r.Tenant, ID: r.ID, Filter: Unrestricted()}", "connect.TestRestrictedCallers"},
	{"a hand-out by place is not restricted", "shared/connect/issuing.go", "\t\terr = r.Filter.admit(c)\n", "\t\terr = nil\n", "httpapi.TestEveryRouteWithEveryClaim"},
	{"a change is not restricted", "shared/connect/connections.go", "\t\tif c, err = admitted(ctx, u.Store.Connection, t); err != nil {", "\t\tif c, err = owned(ctx, u.Store.Connection, t.Tenant, t.ID); err != nil {", "httpapi.TestEveryRouteWithEveryClaim"},
	{"a verification is not restricted", "shared/connect/verifications.go", "\t\tif c, err = admitted(ctx, u.Store.Connection, t); err != nil {", "\t\tif c, err = owned(ctx, u.Store.Connection, t.Tenant, t.ID); err != nil {", "httpapi.TestEveryRouteWithEveryClaim"},
	{"an access key is not restricted", "shared/connect/accesskeys.go", "\tc, err := admitted(ctx, u.Store.Connection, t)", "\tc, err := owned(ctx, u.Store.Connection, t.Tenant, t.ID)", "httpapi.TestEveryRouteWithEveryClaim"},
	{"scopes are changed by a restricted token", "shared/connect/scopes.go", "\t\tif err := r.Filter.admitTenant(); err != nil {", "\t\tif err := r.Filter.admit(c); err != nil {", "httpapi.TestEveryRouteWithEveryClaim httpapi.TestNoRestrictionIsWidened"},
	{"a restricted token creates connections", "shared/connect/connections.go", "\tif err := r.Filter.admitTenant(); err != nil {", "\tif err := error(nil); err != nil {", "httpapi.TestEveryRouteWithEveryClaim httpapi.TestNoRestrictionIsWidened httpapi.TestARepetitionIsRestrictedToo"},
	{"a restricted token enrols", "shared/connect/enrolments.go", "\tif err := r.Filter.admitTenant(); err != nil {", "\tif err := error(nil); err != nil {", "httpapi.TestEveryRouteWithEveryClaim"},
	{"a restricted token changes enrolments", "shared/connect/enrolments.go", "\t\terr = t.Filter.admitTenant()\n", "\t\terr = nil\n", "httpapi.TestEveryRouteWithEveryClaim"},
	{"a restricted token opens an intake", "shared/connect/intake.go", "\tif err := filter.admitTenant(); err != nil {", "\tif err := error(nil); err != nil {", "httpapi.TestEveryRouteWithEveryClaim"},
	{"an intake is not restricted", "shared/connect/intake.go", "t := Target{Tenant: r.Tenant, By: r.By, Filter: r.Filter}", "t := Target{Tenant: r.Tenant, By: r.By, Filter: Unrestricted()}", "httpapi.TestEveryRouteWithEveryClaim"},
	{"an intake is opened for a restricted token", "shared/connect/intake.go", "u.Open(ctx, r.Tenant, r.By, r.Filter)", "u.Open(ctx, r.Tenant, r.By, Unrestricted())", "httpapi.TestNoRestrictionIsWidened"},
	{"a restriction is not taken over", "shared/httpapi/caller.go", "\t\tc.Filter = filter\n", "\t\t_ = filter\n", "httpapi.TestEveryRouteWithEveryClaim"},
	{"a claim that names none does not restrict", "shared/gateway/gateway.go", "if claim, restricted := claims[f.ConnectionsClaim]; restricted {", `if claim := claims[f.ConnectionsClaim]; claim != "" {`, "front.TestAClaimRestricts"},
	{"who names no connection is not restricted", "shared/app/front/front.go", "\t\tif claims.Restricted || ", "\t\tif len(claims.Connections) > 0 || ", "front.TestAClaimRestricts"},
	{"who is told of no claim admits all", "shared/app/front/front.go", ` || c.ConnectionsClaim == ""`, "", "front.TestAClaimRestricts"},
	{"a change comes without a filter", "shared/httpapi/api.go", "By: c.caller.Subject, Filter: c.caller.Filter, IfMatch: version", "By: c.caller.Subject, IfMatch: version", "httpapi.TestEveryRouteWithEveryClaim"},
	{"a filter without names admits all", "shared/connect/resourcefilter.go", "\treturn f.unrestricted || slices", "\treturn f.unrestricted || len(f.names) == 0 || slices", "connect.TestRestrictedCallers"},
	{"a scope counts by its level", "shared/connect/resourcefilter.go", "\treturn string(s.Level) + \":\" + s.ID\n", "\treturn string(s.Level)\n", "httpapi.TestEveryRouteWithEveryClaim"},
	{"a refusal tells what is another tenant's", "shared/connect/connections.go", "\tc, err := owned(ctx, read, t.Tenant, t.ID)\n\tif err == nil {", "\tc, err := owned(ctx, read, t.Tenant, t.ID)\n\tif errors.Is(err, ErrNotFound) && !t.Filter.unrestricted {\n\t\terr = t.Filter.admitTenant()\n\t}\n\tif err == nil {", "httpapi.TestEveryRouteWithEveryClaim"},
	{"function api is not told of the claim", "infra/functions.go", "\t\t\tenvTable, envPartition, envAccount, envName, envClaim, envConnections, envRegions, envMACKey, envTemplateURL, envTemplateVersion, envTemplateSHA,\n\t\t\tenvModuleSHA, envSealingKey, envInterval", "\t\t\tenvTable, envPartition, envAccount, envName, envClaim, envRegions, envMACKey, envTemplateURL, envTemplateVersion, envTemplateSHA,\n\t\t\tenvModuleSHA, envSealingKey, envInterval", "infra.TestFunctions"},
	{"the claim is not read", "shared/config/config.go", "\t\tc.ConnectionsClaim = r.text(\"ROLECALL_CONNECTIONS_CLAIM\")\n", "", "config.TestEachNeedAsksForItsOwnVariables"},
}
