// Package front is what the functions behind the HTTP API have in common.
package front

import (
	"context"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"rolecall/shared/config"
	"rolecall/shared/connect"
	"rolecall/shared/gateway"
	"rolecall/shared/httpapi"
	"rolecall/templates"
)

// A Function answers one request that API Gateway hands over.
type Function = func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error)

// BehindGateway makes a function of a handler.
func BehindGateway(c config.Config, h http.Handler) Function {
	identify := func(ctx context.Context, claims gateway.Claims) context.Context {
		ctx = httpapi.Identify(ctx, claims.Tenant, claims.Subject, claims.Scopes)
		if claims.Restricted || c.ConnectionsClaim == "" { // who cannot tell restricted tokens takes every token for one
			ctx = httpapi.Restrict(ctx, claims.Connections)
		}
		return ctx
	}
	return gateway.Function{Handler: h, TenantClaim: c.TenantClaim, ConnectionsClaim: c.ConnectionsClaim, Identify: identify}.Handle
}

// Ration is what each tenant may have in a minute, of all processes together.
func Ration(table connect.LeaseStore, of connect.Rationed, perMinute int) *connect.Ration {
	return &connect.Ration{Store: table, Clock: time.Now, Of: of, PerMinute: perMinute}
}

// Deployment is what answers tell of the platform.
func Deployment(c config.Config, manifest templates.Manifest) connect.Deployment {
	d := connect.Deployment{
		Platform: c.Platform, PlatformName: c.PlatformName, Regions: c.Regions, TemplateURL: c.TemplateURL,
		TemplateVersion: c.TemplateVersion, TemplateSHA256: c.TemplateSHA256, ConsoleURL: c.ConsoleURL, CheckInterval: c.CheckInterval,
		Recipes: recipes{manifest, c}, Upgrades: upgrades{manifest: manifest, policies: newPolicies(c)},
	}
	d.OrganizationTemplate = connect.PublishedTemplate{
		URL: c.OrganizationTemplateURL, Version: templates.OrganizationVersion, SHA256: c.OrganizationTemplateSHA256,
	}
	d.TerraformModule = connect.PublishedTemplate{URL: moduleURL(c), Version: templates.Version, SHA256: c.ModuleSHA256}
	for _, s := range manifest.Sets {
		d.Permissions = append(d.Permissions, connect.PermissionSet{
			Name: connect.Permissions(s.Name), Title: s.Title, Description: s.Description, Warning: s.Warning,
			ManagedPolicies: s.ManagedPolicies, DeniedActions: s.DeniedActions(), PolicyDigest: s.Digest, PolicyURL: policyURL(c, s.Digest),
		})
	}
	return d
}
