package main

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/jsii-runtime-go"

	"rolecall/shared/httpapi"
)

// addHTTPAPI makes the API from httpapi.Routes: what passes the gateway is what the functions answer.
func (p *platform) addHTTPAPI() awsapigatewayv2.CfnApi {
	api := awsapigatewayv2.NewCfnApi(p.stack, jsii.String("HttpApi"), &awsapigatewayv2.CfnApiProps{
		Name:              jsii.String("rolecall"),
		Description:       jsii.String("Rolecall's HTTP API"),
		ProtocolType:      jsii.String("HTTP"),
		CorsConfiguration: p.cors(),
	})
	authorizer := awsapigatewayv2.NewCfnAuthorizer(p.stack, jsii.String("HttpApiTokens"), &awsapigatewayv2.CfnAuthorizerProps{
		ApiId:          api.Ref(),
		Name:           jsii.String("tokens"),
		AuthorizerType: jsii.String("JWT"),
		IdentitySource: jsii.Strings("$request.header.Authorization"),
		JwtConfiguration: &awsapigatewayv2.CfnAuthorizer_JWTConfigurationProperty{
			Issuer:   jsii.String(p.cfg.issuer),
			Audience: jsii.Strings(p.cfg.audience...),
		},
	})
	targets := map[string]*string{}
	for _, name := range []string{fnAPI, fnBroker} {
		targets[name] = p.integrate(api, name)
	}
	for _, route := range httpapi.Routes() {
		p.addRoute(api, authorizer, route, targets[string(route.Function)])
	}
	p.addStage(api)
	p.output("ApiUrl", "where the HTTP API is", api.AttrApiEndpoint())
	return api
}

// integrate joins a function to the API and answers the routes' target.
func (p *platform) integrate(api awsapigatewayv2.CfnApi, name string) *string {
	function := p.functions[name]
	integration := awsapigatewayv2.NewCfnIntegration(p.stack, jsii.String("HttpApi"+constructID(name)), &awsapigatewayv2.CfnIntegrationProps{
		ApiId:                api.Ref(),
		IntegrationType:      jsii.String("AWS_PROXY"),
		IntegrationUri:       function.AttrArn(),
		PayloadFormatVersion: jsii.String("2.0"),
	})
	awslambda.NewCfnPermission(p.stack, jsii.String("HttpApi"+constructID(name)+"Permission"), &awslambda.CfnPermissionProps{
		Action:        jsii.String("lambda:InvokeFunction"),
		FunctionName:  function.Ref(),
		Principal:     jsii.String("apigateway.amazonaws.com"),
		SourceAccount: jsii.String(p.cfg.account),
		SourceArn:     jsii.String(p.cfg.arn("execute-api", p.cfg.homeRegion, *api.Ref()+"/*/*")),
	})
	return jsii.String("integrations/" + *integration.Ref())
}

// addRoute asks for exactly one scope, since several on a route are an OR, and since a scope is what tells an access token
// from an ID token.
func (p *platform) addRoute(api awsapigatewayv2.CfnApi, authorizer awsapigatewayv2.CfnAuthorizer, route httpapi.Route, target *string) {
	props := &awsapigatewayv2.CfnRouteProps{
		ApiId:             api.Ref(),
		RouteKey:          jsii.String(route.Method + " " + route.Path),
		Target:            target,
		AuthorizationType: jsii.String("NONE"),
	}
	if route.Scope != "" {
		props.AuthorizationType = jsii.String("JWT")
		props.AuthorizerId = authorizer.Ref()
		props.AuthorizationScopes = jsii.Strings(route.Scope)
	}
	made := awsapigatewayv2.NewCfnRoute(p.stack, jsii.String(routeID(route)), props)
	if route.Scope == "" {
		justify(made, "AwsSolutions-APIG4", "A public route: it answers the API's description, the same for everybody, and reads nothing.")
	}
}

// routeID is the route's logical id: "GET /v1/connections/{id}/events" → "RouteGetV1ConnectionsIdEvents".
func routeID(route httpapi.Route) string {
	id := "Route" + constructID(strings.ToLower(route.Method))
	for _, word := range strings.FieldsFunc(route.Path, func(c rune) bool { return strings.ContainsRune("/{}.-", c) }) {
		id += constructID(word)
	}
	return id
}

// cors is nothing without origins: then no browser of another site gets an answer.
func (p *platform) cors() any {
	if len(p.cfg.corsOrigins) == 0 {
		return nil
	}
	return &awsapigatewayv2.CfnApi_CorsProperty{
		AllowOrigins:  jsii.Strings(p.cfg.corsOrigins...),
		AllowMethods:  jsii.Strings(methods()...),
		AllowHeaders:  jsii.Strings("authorization", "content-type", "if-match", "if-none-match", "idempotency-key"),
		ExposeHeaders: jsii.Strings("etag", "location", "retry-after"),
		MaxAge:        jsii.Number(600),
	}
}

func methods() []string {
	var all []string
	for _, route := range httpapi.Routes() {
		if !slices.Contains(all, route.Method) {
			all = append(all, route.Method)
		}
	}
	return all
}

// mostBurst is API Gateway's own quota of requests at once.
const mostBurst = 5000

func (p *platform) addStage(api awsapigatewayv2.CfnApi) {
	logs := newLogGroup(p.stack, "HttpApiLogs", p.cfg.logRetentionDays)
	awsapigatewayv2.NewCfnStage(p.stack, jsii.String("HttpApiStage"), &awsapigatewayv2.CfnStageProps{
		ApiId:      api.Ref(),
		StageName:  jsii.String("$default"),
		AutoDeploy: jsii.Bool(true),
		AccessLogSettings: &awsapigatewayv2.CfnStage_AccessLogSettingsProperty{
			DestinationArn: logs.LogGroupArn(),
			Format:         jsii.String(accessLogFormat()),
		},
		DefaultRouteSettings: &awsapigatewayv2.CfnStage_RouteSettingsProperty{
			// Of the whole API, before a tenant's own limits.
			ThrottlingRateLimit:  jsii.Number(p.cfg.requests),
			ThrottlingBurstLimit: jsii.Number(min(2*p.cfg.requests, mostBurst)),
		},
	})
}

// accessLogFormat has no query string and no header: tokens do not end in logs.
func accessLogFormat() string {
	format, _ := json.Marshal(map[string]string{ // strings always marshal
		"requestId":        "$context.requestId",
		"at":               "$context.requestTime",
		"ip":               "$context.identity.sourceIp",
		"route":            "$context.routeKey",
		"status":           "$context.status",
		"latency":          "$context.responseLatency",
		"integrationError": "$context.integrationErrorMessage",
		"authorizerError":  "$context.authorizer.error",
		"subject":          "$context.authorizer.claims.sub",
	})
	return string(format)
}
