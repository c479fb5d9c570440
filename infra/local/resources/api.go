package resources

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"rolecall/infra/local/cfn"
	"rolecall/infra/local/gateway"
)

// APIs are the HTTP APIs that templates have made.
type APIs struct {
	// New makes an API without routes.
	New func(id, account, region string) *gateway.API

	mu   sync.Mutex
	byID map[string]*gateway.API
}

// ServeHTTP lets the one API answer; a laptop has one.
func (a *APIs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	var only *gateway.API
	for _, api := range a.byID {
		only = api
	}
	a.mu.Unlock()
	if only == nil {
		http.Error(w, "the HTTP API is not deployed yet", http.StatusServiceUnavailable)
		return
	}
	only.ServeHTTP(w, r)
}

func (a *APIs) get(id string) (*gateway.API, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if api, ok := a.byID[id]; ok {
		return api, nil
	}
	return nil, refuse("there is no API %q", id)
}

func (a *APIs) add(id string, api *gateway.API) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byID == nil {
		a.byID = map[string]*gateway.API{}
	}
	a.byID[id] = api
}

func (a *APIs) remove(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.byID, id)
}

func registerAPI(e *cfn.Engine, s Services) {
	e.Register("AWS::ApiGatewayV2::Api", provider{create: createAPI(s), remove: func(_ context.Context, r *cfn.ResourceRequest) error {
		s.APIs.remove(r.PhysicalID)
		return nil
	}})
	e.Register("AWS::ApiGatewayV2::Authorizer", provider{create: createAuthorizer(s), remove: nothing})
	e.Register("AWS::ApiGatewayV2::Integration", provider{create: createIntegration(s), remove: nothing})
	e.Register("AWS::ApiGatewayV2::Route", provider{create: createRoute(s), remove: nothing})
	e.Register("AWS::ApiGatewayV2::Stage", provider{create: createStage(s), remove: nothing})
}

func createAPI(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var p struct {
			Name, Description, ProtocolType string
			DisableExecuteApiEndpoint       flag //nolint:revive // the property's own name
			CorsConfiguration               *struct {
				AllowOrigins, AllowMethods, AllowHeaders, ExposeHeaders []string
				MaxAge                                                  integer
				AllowCredentials                                        flag
			}
			Tags map[string]string
		}
		if err := properties(r.Properties, &p); err != nil {
			return cfn.Result{}, err
		}
		if p.ProtocolType != "HTTP" {
			return cfn.Result{}, refuse("the laptop knows HTTP APIs, not %s", p.ProtocolType)
		}
		id := strings.ToLower(strings.ReplaceAll(r.RequestID, "-", ""))[:10]
		api := s.APIs.New(id, r.Account, r.Region)
		if c := p.CorsConfiguration; c != nil {
			api.SetCORS(&gateway.CORS{
				AllowOrigins: c.AllowOrigins, AllowMethods: c.AllowMethods, AllowHeaders: c.AllowHeaders, ExposeHeaders: c.ExposeHeaders,
				MaxAge: time.Duration(c.MaxAge) * time.Second, AllowCredentials: bool(c.AllowCredentials),
			})
		}
		s.APIs.add(id, api)
		return cfn.Result{PhysicalID: id, Attributes: map[string]any{
			"ApiId": id, "ApiEndpoint": "https://" + id + ".execute-api." + r.Region + ".amazonaws.com",
		}}, nil
	}
}

func createAuthorizer(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var p struct {
			ApiId, Name, AuthorizerType string //nolint:revive // the property's own name
			IdentitySource              []string
			JwtConfiguration            struct {
				Audience []string
				Issuer   string
			}
		}
		if err := properties(r.Properties, &p); err != nil {
			return cfn.Result{}, err
		}
		api, err := s.APIs.get(p.ApiId)
		if err != nil {
			return cfn.Result{}, err
		}
		if p.AuthorizerType != "JWT" || len(p.IdentitySource) != 1 {
			return cfn.Result{}, refuse("the laptop knows JWT authorizers with one identity source")
		}
		id := r.LogicalID
		return cfn.Result{PhysicalID: id, Attributes: map[string]any{"AuthorizerId": id}}, api.PutAuthorizer(id, gateway.JWT{
			Issuer: p.JwtConfiguration.Issuer, Audience: p.JwtConfiguration.Audience, IdentitySource: p.IdentitySource[0],
		})
	}
}

func createIntegration(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var p struct {
			ApiId, IntegrationType, IntegrationUri, PayloadFormatVersion string //nolint:revive // the properties' own names
			TimeoutInMillis                                              integer
		}
		if err := properties(r.Properties, &p); err != nil {
			return cfn.Result{}, err
		}
		api, err := s.APIs.get(p.ApiId)
		if err != nil {
			return cfn.Result{}, err
		}
		if p.IntegrationType != "AWS_PROXY" || p.PayloadFormatVersion != "2.0" {
			return cfn.Result{}, refuse("the laptop knows AWS_PROXY integrations with payload format 2.0")
		}
		api.PutIntegration(r.LogicalID, gateway.Integration{
			FunctionARN: p.IntegrationUri, Timeout: time.Duration(p.TimeoutInMillis) * time.Millisecond,
		})
		return cfn.Result{PhysicalID: r.LogicalID}, nil
	}
}

func createRoute(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var p struct {
			ApiId, AuthorizationType, AuthorizerId, RouteKey, Target string //nolint:revive // the properties' own names
			AuthorizationScopes                                      []string
		}
		if err := properties(r.Properties, &p); err != nil {
			return cfn.Result{}, err
		}
		api, err := s.APIs.get(p.ApiId)
		if err != nil {
			return cfn.Result{}, err
		}
		if p.AuthorizationType == "NONE" {
			p.AuthorizerId = ""
		}
		return cfn.Result{PhysicalID: r.LogicalID}, api.PutRoute(r.LogicalID, gateway.Route{
			Key: p.RouteKey, Integration: strings.TrimPrefix(p.Target, "integrations/"), Authorizer: p.AuthorizerId, Scopes: p.AuthorizationScopes,
		})
	}
}

// createStage takes the default stage only: a laptop has no access log and no throttling.
func createStage(_ Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var p struct {
			ApiId, StageName                        string //nolint:revive // the property's own name
			AutoDeploy                              flag
			AccessLogSettings, DefaultRouteSettings json.RawMessage
		}
		if err := properties(r.Properties, &p); err != nil {
			return cfn.Result{}, err
		}
		if p.StageName != "$default" {
			return cfn.Result{}, refuse("the laptop knows the stage $default, not %q", p.StageName)
		}
		return cfn.Result{PhysicalID: p.StageName}, nil
	}
}
