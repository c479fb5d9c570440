package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"rolecall/shared/connect"
	"rolecall/shared/httpapi"
)

// As the functions are composed, every route that reads, launches or revokes is refused to a tenant that has used up its
// share, and nothing but its share is asked for.
func TestTheFunctionsKeepToTheRations(t *testing.T) {
	var asked []string
	table := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		asked = append(asked, operation+" "+string(body))
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"}`)
	}))
	t.Cleanup(table.Close)
	t.Cleanup(table.CloseClientConnections)
	text, err := os.ReadFile(sample("api"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range httpapi.Routes() {
		kind := string(r.Rationed)
		if kind == "" || r.Rationed == connect.RationedCredentials || r.Rationed == connect.RationedVerifications || strings.HasPrefix(r.Path, "/api/") {
			continue
		}
		t.Run(r.Method+" "+r.Path, func(t *testing.T) {
			var e events.APIGatewayV2HTTPRequest
			if err := json.Unmarshal(text, &e); err != nil {
				t.Fatal(err)
			}
			e.RawPath = strings.ReplaceAll(r.Path, "{id}", "conn_01ka000000000000000000demx")
			e.RequestContext.HTTP.Method = r.Method
			e.RequestContext.Authorizer.JWT.Claims["scope"] = r.Scope
			payload, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			asked = nil
			function := string(r.Function)
			out, err := lambda.NewHandler(compose(t, function, configured(t, function, table.URL))).Invoke(t.Context(), payload)
			var answer events.APIGatewayV2HTTPResponse
			if err != nil || json.Unmarshal(out, &answer) != nil {
				t.Fatalf("%s, %v", out, err)
			}
			if answer.StatusCode != http.StatusTooManyRequests || answer.Headers["Retry-After"] == "" || !strings.Contains(answer.Body, `"TOO_MANY_REQUESTS"`) {
				t.Errorf("%d %s", answer.StatusCode, answer.Body)
			}
			if len(asked) != 1 || !strings.HasPrefix(asked[0], "UpdateItem ") || !strings.Contains(asked[0], "LIMIT#"+kind+"#") {
				t.Errorf("asked of AWS: %v", asked)
			}
		})
	}
}
