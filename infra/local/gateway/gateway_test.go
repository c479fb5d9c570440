package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"rolecall/infra/local/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 12, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

const functionARN = "arn:aws:lambda:eu-west-1:111111111111:function:api"

// echo answers the event itself, as the body.
func echo(_ context.Context, _ string, payload []byte) ([]byte, bool, error) {
	body, err := json.Marshal(map[string]any{"statusCode": 200, "body": string(payload)})
	return body, false, err
}

func api(t *testing.T, invoke Invoke, keys ...string) *API {
	t.Helper()
	a := New(Config{ID: "api1", Account: "111111111111", Region: "eu-west-1", Clock: clock, Invoke: invoke})
	a.PutIntegration("i", Integration{FunctionARN: functionARN})
	for _, key := range keys {
		if err := a.PutRoute(key, Route{Key: key, Integration: "i"}); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func serve(t *testing.T, a http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w
}

func TestMatching(t *testing.T) {
	a := api(
		t, echo, "GET /", "GET /v1/connections", "ANY /v1/connections", "GET /v1/connections/{id}",
		"GET /v1/connections/new", "POST /v1/connections/{id}/verify", "ANY /files/{path+}", "GET /files/{name}",
		"GET /{a}/{b}/{c}", "ANY /v1/{proxy+}",
	)
	tests := map[string]struct {
		method, path string
		route        string // "" for 404
		parameters   map[string]string
	}{
		"root":                     {"GET", "/", "GET /", nil},
		"literal":                  {"GET", "/v1/connections", "GET /v1/connections", nil},
		"method over ANY":          {"PUT", "/v1/connections", "ANY /v1/connections", nil},
		"parameter":                {"GET", "/v1/connections/c1", "GET /v1/connections/{id}", map[string]string{"id": "c1"}},
		"literal over parameter":   {"GET", "/v1/connections/new", "GET /v1/connections/new", nil},
		"parameter is decoded":     {"GET", "/v1/connections/a%20b", "GET /v1/connections/{id}", map[string]string{"id": "a b"}},
		"parameter in the middle":  {"POST", "/v1/connections/c1/verify", "POST /v1/connections/{id}/verify", map[string]string{"id": "c1"}},
		"parameter over greedy":    {"GET", "/files/a", "GET /files/{name}", map[string]string{"name": "a"}},
		"greedy":                   {"GET", "/files/a/b/c", "ANY /files/{path+}", map[string]string{"path": "a/b/c"}},
		"greedy takes other verbs": {"DELETE", "/files/a", "ANY /files/{path+}", map[string]string{"path": "a"}},
		"greedy needs something":   {"GET", "/files/", "", nil},
		"literal first":            {"GET", "/v1/x/y", "ANY /v1/{proxy+}", map[string]string{"proxy": "x/y"}},
		"slash at the end counts":  {"PUT", "/v1/connections/", "ANY /v1/{proxy+}", map[string]string{"proxy": "connections/"}},
		"other method":             {"POST", "/", "", nil},
		"nothing":                  {"GET", "/nothing", "", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := serve(t, a, tt.method, tt.path, "")
			if tt.route == "" {
				if r.Code != http.StatusNotFound || r.Body.String() != `{"message":"Not Found"}` {
					t.Errorf("status %d", r.Code)
				}
				return
			}
			var e request
			if err := json.Unmarshal(r.Body.Bytes(), &e); err != nil {
				t.Fatal(err)
			}
			if e.RouteKey != tt.route {
				t.Errorf("route %q, want %q", e.RouteKey, tt.route)
			}
			if diff := cmp.Diff(tt.parameters, e.PathParameters); diff != "" {
				t.Errorf("parameters (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDefaultRouteTakesTheRest(t *testing.T) {
	a := api(t, echo, "$default", "ANY /a/{proxy+}")
	for path, want := range map[string]string{"/a/b": "ANY /a/{proxy+}", "/": "$default", "/b": "$default"} {
		var e request
		if err := json.Unmarshal(serve(t, a, "GET", path, "").Body.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		if e.RouteKey != want {
			t.Errorf("%s goes to %q, want %q", path, e.RouteKey, want)
		}
	}
}

func TestPutRouteRefuses(t *testing.T) {
	a := api(t, echo, "GET /a/{id}")
	tests := map[string]struct {
		route Route
		code  string
	}{
		"no method":          {Route{Key: "/a", Integration: "i"}, "BadRequestException"},
		"unknown method":     {Route{Key: "FETCH /a", Integration: "i"}, "BadRequestException"},
		"no slash":           {Route{Key: "GET a", Integration: "i"}, "BadRequestException"},
		"greedy not last":    {Route{Key: "GET /{a+}/b", Integration: "i"}, "BadRequestException"},
		"half a parameter":   {Route{Key: "GET /a{b}", Integration: "i"}, "BadRequestException"},
		"parameter twice":    {Route{Key: "GET /{a}/{a}", Integration: "i"}, "BadRequestException"},
		"same but its name":  {Route{Key: "GET /a/{name}", Integration: "i"}, "ConflictException"},
		"unknown authorizer": {Route{Key: "GET /b", Integration: "i", Authorizer: "x"}, "NotFoundException"},
		"no integration":     {Route{Key: "GET /b"}, "NotFoundException"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var e *wire.Error
			if err := a.PutRoute("new", tt.route); !errors.As(err, &e) || e.Code != tt.code {
				t.Errorf("got %v, want %s", err, tt.code)
			}
		})
	}
}

func TestPayload(t *testing.T) {
	a := api(t, echo, "POST /v1/connections/{id}")
	r := serve(
		t, a, "POST", "http://localhost:8080/v1/connections/a%2Fb%20c?x=1&x=2&y=%20", `{"name":"é"}`,
		"Content-Type", "application/json", "X-Twice", "a", "X-Twice", "b", "Cookie", "s=1; t=2", "User-Agent", "tester",
	)
	if r.Code != http.StatusNotFound { // an encoded slash is a slash: API Gateway matches the decoded path
		t.Errorf("status %d", r.Code)
	}
	r = serve(
		t, a, "POST", "http://localhost:8080/v1/connections/a%20c?x=1&x=2&y=%20", `{"name":"é"}`,
		"Content-Type", "application/json", "X-Twice", "a", "X-Twice", "b", "Cookie", "s=1; t=2", "User-Agent", "tester",
	)
	var got map[string]any
	if err := json.Unmarshal(r.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	context, _ := got["requestContext"].(map[string]any)
	headers, _ := got["headers"].(map[string]any)
	if id := r.Header().Get("Apigw-Requestid"); id == "" || context["requestId"] != id {
		t.Errorf("request id %v, header %q", context["requestId"], id)
	}
	if headers["x-amzn-trace-id"] == "" {
		t.Error("no trace id")
	}
	delete(context, "requestId")
	delete(headers, "x-amzn-trace-id")
	want := map[string]any{
		"version": "2.0", "routeKey": "POST /v1/connections/{id}", "rawPath": "/v1/connections/a c",
		"rawQueryString": "x=1&x=2&y=%20", "cookies": []any{"s=1", "t=2"},
		"headers": map[string]any{
			"content-type": "application/json", "x-twice": "a,b", "user-agent": "tester", "host": "localhost:8080",
			"content-length": "13", "x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "http", "x-forwarded-port": "8080",
		},
		"queryStringParameters": map[string]any{"x": "1,2", "y": " "},
		"pathParameters":        map[string]any{"id": "a c"},
		"requestContext": map[string]any{
			"accountId": "111111111111", "apiId": "api1", "domainName": "localhost:8080", "domainPrefix": "localhost:8080",
			"http": map[string]any{
				"method": "POST", "path": "/v1/connections/a c", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "tester",
			},
			"routeKey": "POST /v1/connections/{id}", "stage": "$default",
			"time": "12/Mar/2026:12:00:00 +0000", "timeEpoch": float64(noon.UnixMilli()),
		},
		"body": `{"name":"é"}`, "isBase64Encoded": false,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestBodiesThatAreNoTextAreEncoded(t *testing.T) {
	a := api(t, echo, "POST /")
	tests := map[string]struct {
		kind, body string
		encoded    bool
	}{
		"JSON":              {"application/json; charset=utf-8", "{}", false},
		"problem JSON":      {"application/problem+json", "{}", false},
		"text":              {"text/plain", "x", false},
		"form":              {"application/x-www-form-urlencoded", "a=b", true},
		"bytes":             {"application/octet-stream", "\x00\xff", true},
		"JSON but no UTF-8": {"application/json", "\xff", true},
		"no kind":           {"", "x", false},
		"nothing":           {"application/octet-stream", "", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var e request
			if err := json.Unmarshal(serve(t, a, "POST", "/", tt.body, "Content-Type", tt.kind).Body.Bytes(), &e); err != nil {
				t.Fatal(err)
			}
			want := tt.body
			if tt.encoded {
				want = base64.StdEncoding.EncodeToString([]byte(tt.body))
			}
			if e.Body != want || e.IsBase64Encoded != tt.encoded {
				t.Errorf("body %q, encoded %v", e.Body, e.IsBase64Encoded)
			}
		})
	}
}

func TestResponses(t *testing.T) {
	tests := map[string]struct {
		answer string
		status int
		body   string
		header map[string]string
	}{
		"whole": {
			`{"statusCode":201,"headers":{"location":"/x","X-Number":7,"x-bool":true,"content-type":"application/problem+json"},"body":"{}"}`,
			201, "{}",
			map[string]string{"Location": "/x", "X-Number": "7", "X-Bool": "true", "Content-Type": "application/problem+json"},
		},
		"cookies":                  {`{"statusCode":200,"cookies":["a=1"]}`, 200, "", map[string]string{"Set-Cookie": "a=1"}},
		"encoded":                  {`{"statusCode":200,"body":"AP8=","isBase64Encoded":true}`, 200, "\x00\xff", nil},
		"status as text":           {`{"statusCode":"404"}`, 404, "", nil},
		"no kind":                  {`{"statusCode":200,"body":"x"}`, 200, "x", map[string]string{"Content-Type": "text/plain; charset=utf-8"}},
		"multi-value is ignored":   {`{"statusCode":200,"multiValueHeaders":{"x-a":["b"]}}`, 200, "", map[string]string{"X-A": ""}},
		"wrong length is ignored":  {`{"statusCode":200,"headers":{"content-length":"99"},"body":"x"}`, 200, "x", nil},
		"inferred object":          {`{"a":1}`, 200, `{"a":1}`, map[string]string{"Content-Type": "application/json"}},
		"inferred text":            {`"hi"`, 200, `hi`, map[string]string{"Content-Type": "application/json"}},
		"inferred null":            {`null`, 200, `null`, nil},
		"no JSON":                  {`oops`, 500, `{"message":"Internal Server Error"}`, nil},
		"status is no number":      {`{"statusCode":"x"}`, 500, `{"message":"Internal Server Error"}`, nil},
		"status is none":           {`{"statusCode":99}`, 500, `{"message":"Internal Server Error"}`, nil},
		"body is no text":          {`{"statusCode":200,"body":{}}`, 500, `{"message":"Internal Server Error"}`, nil},
		"body is badly encoded":    {`{"statusCode":200,"body":"%","isBase64Encoded":true}`, 500, `{"message":"Internal Server Error"}`, nil},
		"header is a list":         {`{"statusCode":200,"headers":{"x-ok":"1","x-a":["b"]}}`, 500, `{"message":"Internal Server Error"}`, map[string]string{"X-Ok": ""}},
		"headers are not an array": {`{"statusCode":200,"headers":[]}`, 500, `{"message":"Internal Server Error"}`, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := api(t, func(context.Context, string, []byte) ([]byte, bool, error) { return []byte(tt.answer), false, nil }, "$default")
			r := serve(t, a, "GET", "/", "")
			if r.Code != tt.status {
				t.Errorf("status %d, want %d", r.Code, tt.status)
			}
			for name, want := range tt.header {
				if got := r.Header().Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if body := r.Body.String(); body != tt.body {
				t.Errorf("body %q, want %q", body, tt.body)
			}
		})
	}
}

func TestIntegrationFailures(t *testing.T) {
	const internal, unavailable = `{"message":"Internal Server Error"}`, `{"message":"Service Unavailable"}`
	tests := map[string]struct {
		failed bool
		err    error
		status int
		body   string
	}{
		"function error": {true, nil, 500, internal},
		"no function":    {false, &wire.Error{Code: "ResourceNotFoundException", Status: 404}, 500, internal},
		"throttled":      {false, &wire.Error{Code: "TooManyRequestsException", Status: 429}, 503, unavailable},
		"too large":      {false, &wire.Error{Code: "RequestTooLargeException", Status: 413}, 413, `{"message":"Request Entity Too Large"}`},
		"anything":       {false, errors.New("secret words"), 500, internal},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := api(t, func(context.Context, string, []byte) ([]byte, bool, error) {
				return []byte(`{"errorMessage":"secret words"}`), tt.failed, tt.err
			}, "$default")
			r := serve(t, a, "GET", "/", "")
			if body := r.Body.String(); r.Code != tt.status || body != tt.body {
				t.Errorf("got %d %s", r.Code, body)
			}
		})
	}
}

func TestSlowFunctionIsUnavailable(t *testing.T) {
	for name, tt := range map[string]struct{ timeout, want time.Duration }{
		"default": {0, 30 * time.Second}, "shorter": {5 * time.Second, 5 * time.Second}, "longer": {time.Minute, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := api(t, func(ctx context.Context, _ string, _ []byte) ([]byte, bool, error) {
					<-ctx.Done()
					return nil, false, ctx.Err()
				}, "$default")
				a.PutIntegration("i", Integration{FunctionARN: functionARN, Timeout: tt.timeout})
				began := time.Now()
				r := serve(t, a, "GET", "/", "")
				if body := r.Body.String(); r.Code != 503 || body != `{"message":"Service Unavailable"}` {
					t.Errorf("got %d %s", r.Code, body)
				}
				if took := time.Since(began); took != tt.want {
					t.Errorf("after %v, want %v", took, tt.want)
				}
			})
		})
	}
}

func TestLimits(t *testing.T) {
	a := api(t, echo, "$default")
	if r := serve(t, a, "POST", "/", strings.Repeat("x", maxBody+1)); r.Code != 413 {
		t.Errorf("large body: %d", r.Code)
	}
	chunked := httptest.NewRequestWithContext(t.Context(), "POST", "/", strings.NewReader(strings.Repeat("x", maxBody+1)))
	chunked.ContentLength = -1
	w := httptest.NewRecorder()
	a.ServeHTTP(w, chunked)
	if w.Code != 413 {
		t.Errorf("large body without length: %d", w.Code)
	}
	if r := serve(t, a, "GET", "/", "", "X-Long", strings.Repeat("x", maxHeader)); r.Code != 431 {
		t.Errorf("large header: %d", r.Code)
	}
}

func TestFunctionMustAdmitTheRoute(t *testing.T) {
	var asked string
	a := New(Config{
		ID: "api1", Account: "111111111111", Region: "eu-west-1", Clock: clock, Invoke: echo,
		Admits: func(_, source string) bool { asked = source; return false },
	})
	a.PutIntegration("i", Integration{FunctionARN: functionARN})
	if err := a.PutRoute("r", Route{Key: "GET /v1/{id}", Integration: "i"}); err != nil {
		t.Fatal(err)
	}
	if r := serve(t, a, "GET", "/v1/a", ""); r.Code != 500 {
		t.Errorf("status %d", r.Code)
	}
	if want := "arn:aws:execute-api:eu-west-1:111111111111:api1/$default/GET/v1/{id}"; asked != want {
		t.Errorf("asked for %s, want %s", asked, want)
	}
}

func TestCORS(t *testing.T) {
	a := api(t, func(context.Context, string, []byte) ([]byte, bool, error) {
		return []byte(`{"statusCode":200,"headers":{"access-control-allow-origin":"*"}}`), false, nil
	}, "GET /")
	cors := &CORS{
		AllowOrigins: []string{"https://app.example.com"}, AllowMethods: []string{"GET", "POST"},
		AllowHeaders: []string{"authorization", "if-match"}, ExposeHeaders: []string{"etag"}, MaxAge: time.Hour,
	}
	a.SetCORS(cors)
	preflight := map[string]string{
		"Access-Control-Allow-Origin": "https://app.example.com", "Access-Control-Allow-Methods": "GET,POST",
		"Access-Control-Allow-Headers": "authorization,if-match", "Access-Control-Max-Age": "3600",
	}
	none := map[string]string{"Access-Control-Allow-Origin": "", "Access-Control-Allow-Methods": ""}
	tests := map[string]struct {
		method, path, origin, asks string
		status                     int
		header                     map[string]string
	}{
		"preflight":               {"OPTIONS", "/anything", "https://app.example.com", "POST", 204, preflight},
		"preflight, other origin": {"OPTIONS", "/", "https://evil.example.com", "POST", 204, none},
		"preflight, longer name":  {"OPTIONS", "/", "https://app.example.com.evil.com", "POST", 204, none},
		"preflight, other scheme": {"OPTIONS", "/", "http://app.example.com", "POST", 204, none},
		"OPTIONS, no preflight":   {"OPTIONS", "/", "", "", 404, none},
		"request":                 {"GET", "/", "https://app.example.com", "", 200, map[string]string{"Access-Control-Allow-Origin": "https://app.example.com", "Access-Control-Expose-Headers": "etag"}},
		"request, other origin":   {"GET", "/", "https://evil.example.com", "", 200, none},
		"error":                   {"GET", "/none", "https://app.example.com", "", 404, map[string]string{"Access-Control-Allow-Origin": "https://app.example.com"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := serve(t, a, tt.method, tt.path, "", "Origin", tt.origin, "Access-Control-Request-Method", tt.asks)
			if r.Code != tt.status {
				t.Errorf("status %d, want %d", r.Code, tt.status)
			}
			for name, want := range tt.header {
				if got := r.Header().Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
	t.Run("left to the function", func(t *testing.T) {
		a.SetCORS(nil)
		r := serve(t, a, "GET", "/", "", "Origin", "https://evil.example.com")
		if got := r.Header().Get("Access-Control-Allow-Origin"); got != "*" {
			t.Errorf("got %q", got)
		}
	})
}
