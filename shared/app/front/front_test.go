package front

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"rolecall/shared/config"
	"rolecall/shared/connect"
	"rolecall/shared/httpapi"
)

// A claim restricts from API Gateway's event to the domain: nothing on the way forgets it. An array arrives as "[a b]".
func TestAClaimRestricts(t *testing.T) {
	offers := connect.Deployment{Regions: []connect.Region{"eu-west-1"}, Permissions: []connect.PermissionSet{{Name: "read-only"}}}
	api := httpapi.NewAPI(httpapi.APIParts{Connections: connect.Connections{Clock: time.Now, Deployment: offers}, Log: slog.New(slog.DiscardHandler)})
	const refused, invalid = `"code":"CONNECTION_NOT_ALLOWED"`, `"code":"NAME_INVALID"`
	for name, tt := range map[string]struct {
		claimName string // as it is configured
		claims    map[string]string
		want      string
	}{
		"absent":         {"only", nil, invalid},
		"empty":          {"only", map[string]string{"only": ""}, refused},
		"an empty array": {"only", map[string]string{"only": "[]"}, refused},
		"null":           {"only", map[string]string{"only": "<nil>"}, refused},
		"names one":      {"only", map[string]string{"only": "project:web"}, refused},
		"another claim":  {"only", map[string]string{"except": "project:web"}, invalid},
		"none is read":   {"", nil, refused},
	} {
		claims := map[string]string{"tenant": "acme", "sub": "ci", "scope": "connections:write"}
		for k, v := range tt.claims {
			claims[k] = v
		}
		f := BehindGateway(config.Config{TenantClaim: "tenant", ConnectionsClaim: tt.claimName}, api)
		e := events.APIGatewayV2HTTPRequest{RawPath: "/v1/connections", Body: `{"name":""}`, Headers: map[string]string{"content-type": "application/json"}}
		e.RequestContext.HTTP.Method = "POST"
		e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: claims}}
		answer, err := f(t.Context(), e)
		if err != nil || !strings.Contains(answer.Body, tt.want) {
			t.Errorf("%s: %s %v, want %s", name, answer.Body, err, tt.want)
		}
	}
}
