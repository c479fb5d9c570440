package mutants_test

// running: the whole, on a laptop.
var running = []mutant{
	{"a role is registered by another tenant", "shared/store/keys.go", "\treturn key{tenantPK(t), \"ROLE#\" + r.String()}", "\treturn key{tenantPK(\"all\"), \"ROLE#\" + r.String()}", "laptop.TestAnotherTenantsRole"},
	{"tenants share an external ID", "shared/connect/ids.go", "\t_, _ = rand.Read(b[:]) // never fails, says its documentation\n\treturn ExternalID(\"rc-\"", "\t_ = rand.Reader\n\treturn ExternalID(\"rc-\"", "laptop.TestAnotherTenantsRole"},
	{"a tenant's connections have one role", "shared/store/commit.go", "\t\tb.own(roleKey(tenant, r), id, connect.ErrRoleInUse)", "\t\t_ = r", "laptop.TestAnotherTenantsRole"},
	{"restricted machines change scopes", "shared/connect/scopes.go", "\t\tif err := r.Filter.admitTenant(); err != nil {", "\t\tif err := r.Filter.admit(c); err != nil {", "laptop.TestRestrictedMachines"},
	{"restricted machines change other connections", "shared/connect/connections.go", "\t\tif c, err = admitted(ctx, u.Store.Connection, t); err != nil {", "\t\tif c, err = owned(ctx, u.Store.Connection, t.Tenant, t.ID); err != nil {", "laptop.TestRestrictedMachines"},
	{"a token without an end is taken", "infra/local/gateway/jwt.go", "err != nil || !present || now >= expires {", "err != nil || (present && now >= expires) {", "laptop.TestTokens"},
	{"an expired token is taken", "infra/local/gateway/jwt.go", "err != nil || !present || now >= expires {", "err != nil || !present || now < -expires {", "laptop.TestTokens"},
	{"another issuer's token is taken", "infra/local/gateway/jwt.go", "!ok || iss != a.Issuer {", `!ok || iss == "" {`, "laptop.TestTokens"},
	{"another audience's token is taken", "infra/local/gateway/jwt.go", "\tif !slices.ContainsFunc(audience(claims), func", "\tif false && !slices.ContainsFunc(audience(claims), func", "laptop.TestTokens"},
	{"a token with another signature is taken", "infra/local/gateway/jwt.go", "\t\treturn nil, refuse(\"the token has an invalid signature\")\n", "\t\tpayload, _ = base64.RawURLEncoding.DecodeString(strings.Split(token, \".\")[1])\n", "laptop.TestTokens"},
	{"the console's ID tokens are taken", "infra/http_api.go", "jsii.Strings(p.cfg.audience...)", `jsii.Strings(append([]string{"rolecall-console"}, p.cfg.audience...)...)`, "laptop.TestTokens"},
	{"routes ask for no scope", "infra/http_api.go", "\t\tprops.AuthorizationScopes = jsii.Strings(route.Scope)\n", "", "laptop.TestTokens"},
	{"a route asks for no token", "infra/http_api.go", "\tif route.Scope != \"\" {\n\t\tprops.AuthorizationType", "\tif route.Scope != \"\" && route.Method != \"PATCH\" {\n\t\tprops.AuthorizationType", "laptop.TestTokens"},
}
