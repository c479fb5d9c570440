package app_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"go.uber.org/goleak"

	"rolecall/shared/app/api"
	"rolecall/shared/app/broker"
	"rolecall/shared/app/callback"
	"rolecall/shared/app/publish"
	"rolecall/shared/app/refresh"
	"rolecall/shared/app/upload"
	"rolecall/shared/app/verify"
	"rolecall/shared/app/webhook"
	"rolecall/shared/config"
	"rolecall/shared/customresource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// environments are what the CDK app tells each function.
var environments = map[string][]string{
	"api": {
		"TABLE", "PARTITION", "PLATFORM_ACCOUNT", "PLATFORM_NAME", "TENANT_CLAIM", "CONNECTIONS_CLAIM", "REGIONS", "MAC_KEY",
		"TEMPLATE_URL", "TEMPLATE_VERSION", "TEMPLATE_SHA256", "TERRAFORM_MODULE_SHA256", "SEALING_KEY_ARN", "CHECK_INTERVAL", "VERIFY_RATE", "MOST_PENDING", "ISSUER",
		"READ_RATE", "LAUNCH_RATE",
	},
	"broker": {
		"TABLE", "PARTITION", "PLATFORM_ACCOUNT", "PLATFORM_NAME", "TENANT_CLAIM", "REGIONS", "MAC_KEY",
		"TEMPLATE_URL", "TEMPLATE_VERSION", "TEMPLATE_SHA256", "TERRAFORM_MODULE_SHA256", "SEALING_KEY_ARN", "VERIFY_NOW_QUEUE_URL", "CHECK_INTERVAL",
		"CONNECTIONS_CLAIM", "ISSUE_RATE", "VERIFY_RATE", "REVOKE_RATE",
	},
	"callback": {"TABLE", "PARTITION", "PLATFORM_ACCOUNT", "REGIONS", "MAC_KEYS", "TOPIC_NAME", "CALLBACKS_QUEUE_URL", "VERIFY_NOW_QUEUE_URL"},
	"verify":   {"TABLE", "PARTITION", "PLATFORM_ACCOUNT", "REGIONS", "SEALING_KEY_ARN", "ACCESS_KEY_MAX_AGE_DAYS", "VERIFY_NOW_QUEUE_URL", "VERIFY_SWEEP_QUEUE_URL", "CHECK_INTERVAL", "STS_RATE"},
	"refresh":  {"TABLE", "VERIFY_SWEEP_QUEUE_URL", "CHECK_INTERVAL"},
	"publish":  {"BUS_NAME"},
	"upload":   {"TEMPLATES_BUCKET"},
	"webhook":  {"WEBHOOK_ENDPOINT", "WEBHOOK_KEY_ARN", "WEBHOOK_SECRETS", "WEBHOOK_QUEUE_URL"},
}

// values are of all variables, for a function beside the given AWS endpoint.
func values(endpoint string) map[string]string {
	return map[string]string{
		"TABLE": "rolecall", "PARTITION": "aws", "PLATFORM_ACCOUNT": "111111111111", "PLATFORM_NAME": "Acme",
		"TENANT_CLAIM": "tenant_id", "REGIONS": "eu-west-1,us-east-1", "MAC_KEY": "1=arn:aws:kms:eu-west-1:111111111111:key/1", "MAC_KEYS": "1=arn:aws:kms:eu-west-1:111111111111:key/1",
		"TEMPLATE_URL": "https://templates.example/1.0.0/connection.yaml", "TEMPLATE_VERSION": "1.0.0", "TEMPLATE_SHA256": "abc", "TERRAFORM_MODULE_SHA256": "def",
		"TEMPLATES_BUCKET": "rolecall-templates", "TOPIC_NAME": "rolecall-callbacks", "BUS_NAME": "rolecall", "CHECK_INTERVAL": "24h", "STS_RATE": "60",
		"CONNECTIONS_CLAIM": "connections", "ISSUE_RATE": "600", "VERIFY_RATE": "300", "MOST_PENDING": "1000", "READ_RATE": "12000", "LAUNCH_RATE": "300", "REVOKE_RATE": "300", "ISSUER": "https://login.example.com/",
		"SEALING_KEY_ARN": "arn:aws:kms:eu-west-1:111111111111:key/3", "ACCESS_KEY_MAX_AGE_DAYS": "90",
		"CALLBACKS_QUEUE_URL":    endpoint + "/111111111111/rolecall-callbacks",
		"VERIFY_NOW_QUEUE_URL":   endpoint + "/111111111111/rolecall-verify-now",
		"VERIFY_SWEEP_QUEUE_URL": endpoint + "/111111111111/rolecall-verify-sweep",
		"WEBHOOK_ENDPOINT":       "https://hooks.example.com/events",
		"WEBHOOK_KEY_ARN":        "arn:aws:kms:eu-west-1:111111111111:key/2", "WEBHOOK_SECRETS": "2,1",
		"WEBHOOK_QUEUE_URL": endpoint + "/111111111111/rolecall-webhook",
	}
}

// configured is what a function's own main loads from the environment that the CDK app gives it.
func configured(t testing.TB, function, endpoint string) config.Config {
	t.Helper()
	all := values(endpoint)
	for name := range all {
		value := ""
		if slices.Contains(environments[function], name) {
			value = all[name]
		}
		t.Setenv("ROLECALL_"+name, value)
	}
	for name, value := range map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "111111111111",
		"AWS_SECRET_ACCESS_KEY": "any", "AWS_SESSION_TOKEN": "", "ROLECALL_LOG_LEVEL": "error", "ROLECALL_CONSOLE_URL": "",
	} {
		t.Setenv(name, value)
	}
	c, err := config.Load(needs(t, function)...)
	if err != nil {
		t.Fatalf("what the CDK app gives %s is not what its main loads: %v", function, err)
	}
	return c
}

// needs are the arguments with which a function's main loads its configuration.
func needs(t testing.TB, function string) []config.Need {
	t.Helper()
	known := map[string]config.Need{
		"Table": config.Table, "Platform": config.Platform, "Presentation": config.Presentation, "Callbacks": config.Callbacks,
		"VerifyNow": config.VerifyNow, "VerifySweep": config.VerifySweep, "CheckInterval": config.CheckInterval, "STSRate": config.STSRate, "Bus": config.Bus,
		"Webhook": config.Webhook, "Sealing": config.Sealing, "KeyMaxAge": config.KeyMaxAge,
		"Issuing": config.Issuing, "VerifyRate": config.VerifyRate, "Pending": config.Pending, "Issuer": config.Issuer, "Templates": config.Templates,
		"ReadRate": config.ReadRate, "LaunchRate": config.LaunchRate, "RevokeRate": config.RevokeRate,
	}
	path := filepath.Join("../../functions", function, "main.go")
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []config.Need
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || selected(call.Fun) != "config.Load" {
			return true
		}
		for _, arg := range call.Args {
			need, ok := known[strings.TrimPrefix(selected(arg), "config.")]
			if !ok {
				t.Fatalf("%s loads what this test does not know", path)
			}
			found = append(found, need)
		}
		return false
	})
	if len(found) == 0 {
		t.Fatalf("%s loads no configuration", path)
	}
	return found
}

// selected is "package.Name" of such an expression.
func selected(e ast.Expr) string {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if x, ok := s.X.(*ast.Ident); ok {
		return x.Name + "." + s.Sel.Name
	}
	return ""
}

// compose makes a function's handler as its main does.
func compose(t testing.TB, function string, c config.Config) any {
	t.Helper()
	var handler any
	var err error
	switch function {
	case "api":
		handler, err = api.New(c)
	case "broker":
		handler, err = broker.New(c)
	case "callback":
		handler, err = callback.New(c)
	case "verify":
		handler, err = verify.New(c)
	case "refresh":
		handler = refresh.New(c)
	case "publish":
		handler = publish.New(c)
	case "upload":
		handler = upload.New(c)
	case "webhook":
		handler, err = webhook.New(c)
	default:
		t.Fatalf("nobody composes %s", function)
	}
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// functions are those that exist.
func functions(t testing.TB) []string {
	t.Helper()
	mains, err := filepath.Glob("../../functions/*/main.go")
	if err != nil || len(mains) == 0 {
		t.Fatalf("no functions: %v", err)
	}
	var names []string
	for _, m := range mains {
		names = append(names, filepath.Base(filepath.Dir(m)))
	}
	return names
}

// An aws answers as little of AWS as it is told to, and notes what it is asked.
type aws struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

// newAWS knows an answer for each target; all else is an error of the service's own.
func newAWS(t testing.TB, answers map[string]string) *aws {
	t.Helper()
	a := &aws{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		a.mu.Lock()
		a.asked = append(a.asked, operation)
		a.mu.Unlock()
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		answer, ok := answers[operation]
		if !ok {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(func() {
		a.CloseClientConnections()
		a.Close()
	})
	return a
}

func (a *aws) requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.asked)
}

// Composing happens at every cold start: it must ask nobody, start nothing, and need nothing that it is not given.
func TestComposingAsksNobodyAndStartsNothing(t *testing.T) {
	for _, function := range functions(t) {
		t.Run(function, func(t *testing.T) {
			a := newAWS(t, nil)
			before := goleak.IgnoreCurrent()
			handler := lambda.NewHandler(compose(t, function, configured(t, function, a.URL)))
			if handler == nil {
				t.Fatal("no handler")
			}
			if asked := a.requests(); len(asked) > 0 {
				t.Errorf("composing asked AWS: %v", asked)
			}
			if err := goleak.Find(before); err != nil {
				t.Error(err)
			}
		})
	}
}

// invoke gives a function its sample as Lambda does: as bytes.
func invoke(t *testing.T, function string, a *aws, into any) {
	t.Helper()
	payload, err := os.ReadFile(sample(function))
	if err != nil {
		t.Fatal(err)
	}
	out, err := lambda.NewHandler(compose(t, function, configured(t, function, a.URL))).Invoke(t.Context(), payload)
	if err != nil {
		t.Fatalf("%s failed: %v", function, err)
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("%s answered %s: %v", function, out, err)
	}
}

func sample(function string) string { return filepath.Join("../../events/samples", function+".json") }

const nothingFound = `{"Responses":{"rolecall":[]},"UnprocessedKeys":{}}`

func wantRequests(t *testing.T, a *aws, want ...string) {
	t.Helper()
	if got := a.requests(); !slices.Equal(got, want) {
		t.Errorf("asked of AWS: %v, want %v", got, want)
	}
}

func TestAPITakesItsSample(t *testing.T) {
	a := newAWS(t, map[string]string{"UpdateItem": `{}`})
	var out events.APIGatewayV2HTTPResponse
	invoke(t, "api", a, &out)
	if out.StatusCode != http.StatusOK || !strings.Contains(out.Body, `"111111111111"`) || !strings.Contains(out.Body, "https://templates.example/1.0.0/connection.yaml") {
		t.Errorf("%d %s", out.StatusCode, out.Body)
	}
	wantRequests(t, a, "UpdateItem") // a block of the tenant's reads
}

func TestBrokerTakesItsSample(t *testing.T) {
	a := newAWS(t, map[string]string{"UpdateItem": `{}`, "BatchGetItem": nothingFound})
	var out events.APIGatewayV2HTTPResponse
	invoke(t, "broker", a, &out)
	if out.StatusCode != http.StatusNotFound || !strings.Contains(out.Body, "CONNECTION_NOT_FOUND") {
		t.Errorf("%d %s", out.StatusCode, out.Body)
	}
	wantRequests(t, a, "UpdateItem", "BatchGetItem") // a block of the tenant's limit, and the connection
}

func TestVerifyTakesItsSample(t *testing.T) {
	a := newAWS(t, map[string]string{"BatchGetItem": nothingFound})
	var out events.SQSEventResponse
	invoke(t, "verify", a, &out)
	if len(out.BatchItemFailures) > 0 {
		t.Errorf("failed: %+v", out)
	}
	wantRequests(t, a, "BatchGetItem") // a connection that does not exist is nobody's to verify
}

func TestVerifyKeepsWhatItCouldNotDo(t *testing.T) {
	a := newAWS(t, map[string]string{"BatchGetItem": `{"Responses":`})
	var out events.SQSEventResponse
	invoke(t, "verify", a, &out)
	if len(out.BatchItemFailures) != 1 || out.BatchItemFailures[0].ItemIdentifier != "1f1e1d1c-1b1a-4119-8817-161514131211" {
		t.Errorf("failures %+v, want the one message", out)
	}
}

func TestRefreshTakesItsSample(t *testing.T) {
	a := newAWS(t, map[string]string{"GetItem": `{}`, "Query": `{"Items":[],"Count":0}`, "PutItem": `{}`})
	var out any
	invoke(t, "refresh", a, &out)
	if out != nil {
		t.Errorf("answered %v", out)
	}
	wantRequests(t, a, "GetItem", "Query", "Query", "PutItem") // the cursor, what is due, one slot, the cursor
}

func TestPublishTakesItsSample(t *testing.T) {
	a := newAWS(t, map[string]string{"PutEvents": `{"FailedEntryCount":0,"Entries":[{"EventId":"1"},{"EventId":"2"},{"EventId":"3"}]}`})
	var out events.DynamoDBEventResponse
	invoke(t, "publish", a, &out)
	if len(out.BatchItemFailures) > 0 {
		t.Errorf("failed: %+v", out)
	}
	wantRequests(t, a, "PutEvents")
}

// No receiver is asked while nobody can sign: the message is put off and comes again.
func TestWebhookKeepsWhatItCannotSign(t *testing.T) {
	a := newAWS(t, map[string]string{"ChangeMessageVisibility": `{}`})
	var out events.SQSEventResponse
	invoke(t, "webhook", a, &out)
	if len(out.BatchItemFailures) != 1 || out.BatchItemFailures[0].ItemIdentifier != "2f2e2d2c-2b2a-4229-8827-262524232221" {
		t.Errorf("failures %+v, want the one message", out)
	}
	asked := a.requests()
	if len(asked) < 2 || asked[0] != "GenerateMac" || asked[len(asked)-1] != "ChangeMessageVisibility" {
		t.Errorf("asked of AWS: %v", asked)
	}
}

func TestWebhookRefusesAnEndpointThatIsNotPublic(t *testing.T) {
	c := configured(t, "webhook", "http://127.0.0.1:1")
	c.WebhookEndpoint = "https://169.254.169.254/"
	if _, err := webhook.New(c); err == nil || strings.Contains(err.Error(), "169.254") {
		t.Errorf("error %v", err)
	}
}

// The callback's answer would go to CloudFormation itself, so that its sample is parsed and not acted upon.
func TestCallbacksSampleIsARequestOfTheTemplates(t *testing.T) {
	text, err := os.ReadFile(sample("callback"))
	if err != nil {
		t.Fatal(err)
	}
	var e events.SQSEvent
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatal(err)
	}
	c := configured(t, "callback", "http://127.0.0.1:1")
	topics := customresource.Topics{Partition: c.Platform.Partition, Account: c.Platform.Account, Name: c.TopicName, Regions: c.Regions}
	sent := time.Date(2026, 11, 21, 12, 0, 1, 0, time.UTC) // make invoke dates the sample anew
	r, err := topics.Parse(e.Records[0].Body, sent)
	if err != nil || r.Malformed != nil {
		t.Fatalf("malformed %v, error %v", r.Malformed, err)
	}
	if r.ConnectionID != "conn_01ka000000000000000000demx" || r.RoleARN == "" || r.Token.IsZero() || r.ReplyTo.URL.IsZero() ||
		r.Callback.Type != "Create" || r.Callback.TemplateVersion != "1.0.0" {
		t.Errorf("request %+v", r)
	}
}

// BenchmarkCompose is what a cold start spends in Rolecall's own code.
func BenchmarkCompose(b *testing.B) {
	for _, function := range functions(b) {
		b.Run(function, func(b *testing.B) {
			c := configured(b, function, "")
			b.ReportAllocs()
			for b.Loop() {
				compose(b, function, c)
			}
		})
	}
}
