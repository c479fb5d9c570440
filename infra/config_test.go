package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func load(t *testing.T, change map[string]any, account string) (config, error) {
	t.Helper()
	context, err := readContext(filepath.Join("..", "cdk.json"))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range change {
		context[k] = v
	}
	return loadConfig(func(key string) any { return context[key] }, func(string) string { return account })
}

func TestDefaults(t *testing.T) {
	got, err := load(t, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	want := config{
		account: "111111111111", homeRegion: "eu-west-1", regions: []string{"eu-west-1", "us-east-1"}, partition: "aws",
		platformName: "Rolecall", issuer: "https://issuer.example.com", audience: []string{"rolecall"}, tenantClaim: "tenant_id",
		connectionsClaim: "rolecall_connections", issuesPerMinute: 6000, verifications: 300, pending: 1000,
		reads: 12_000, launches: 300, revocations: 300, requests: 400, concurrency: concurrency{awaited: 2, sweeps: 2, webhooks: 2},
		functionsDir: "build/lambda", consoleDir: "build/web", consoleClientID: "rolecall-console", checkInterval: 24 * time.Hour, stsRate: 60, keyMaxAgeDays: 90, logRetentionDays: 90,
		webhookSecrets: []string{"1"}, macKeys: []string{"1"},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(config{}, concurrency{})); d != "" {
		t.Error(d)
	}
}

func TestContextAsTheCommandLineHasIt(t *testing.T) {
	got, err := load(t, map[string]any{
		"regions": "us-gov-east-1,us-gov-west-1", "homeRegion": "us-gov-west-1", "logRetentionDays": "30", "stsRate": "600", "corsOrigins": "https://a.example,http://localhost:5173",
		"calledViaCloudFormation": "true", "audience": `["one","two"]`, "issuer": "http://127.0.0.1:8080",
	}, "222222222222")
	if err != nil {
		t.Fatal(err)
	}
	want := config{
		account: "222222222222", homeRegion: "us-gov-west-1", regions: []string{"us-gov-west-1", "us-gov-east-1"}, partition: "aws-us-gov",
		platformName: "Rolecall", issuer: "http://127.0.0.1:8080", audience: []string{"one", "two"}, tenantClaim: "tenant_id",
		connectionsClaim: "rolecall_connections", issuesPerMinute: 6000, verifications: 300, pending: 1000,
		reads: 12_000, launches: 300, revocations: 300, requests: 400, concurrency: concurrency{awaited: 2, sweeps: 2, webhooks: 2},
		corsOrigins:  []string{"https://a.example", "http://localhost:5173"},
		functionsDir: "build/lambda", consoleDir: "build/web", consoleClientID: "rolecall-console", checkInterval: 24 * time.Hour, stsRate: 600, keyMaxAgeDays: 90, webhookSecrets: []string{"1"}, macKeys: []string{"1"}, logRetentionDays: 30, calledVia: true,
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(config{}, concurrency{})); d != "" {
		t.Error(d)
	}
}

func TestWrongContextNamesTheKey(t *testing.T) {
	cases := []struct {
		key   string
		value any
	}{
		{"account", "1234"},
		{"account", 123456789012.0},
		{"homeRegion", nil},
		{"homeRegion", "Ireland"},
		{"homeRegion", "cn-north-1"},
		{"regions", []any{"us-east-1"}},
		{"regions", []any{"eu-west-1", "eu-west-1"}},
		{"regions", []any{"eu-west-1", "cn-north-1"}},
		{"regions", map[string]any{}},
		{"regions", nil},
		{"platformName", ""},
		{"platformName", "A: b"},
		{"issuer", nil},
		{"issuer", "login.example.com"},
		{"issuer", "http://login.example.com"},
		{"issuer", "https://login.example.com?x=1"},
		{"audience", []any{}},
		{"audience", "two words, three words"},
		{"tenantClaim", "a b"},
		{"connectionsClaim", ""},
		{"issuesPerMinute", 59},
		{"issuesPerMinute", "many"},
		{"verificationsPerMinute", 19},
		{"pendingConnections", nil},
		{"readsPerMinute", 199},
		{"launchesPerMinute", "many"},
		{"revocationsPerMinute", nil},
		{"requestsPerSecond", 9},
		{"requestsPerSecond", 10_001.0},
		{"requestsPerSecond", "fast"},
		{"lambdaConcurrency", 9},
		{"lambdaConcurrency", nil},
		{"lambdaConcurrency", 1_000_001.0},
		{"corsOrigins", []any{"*"}},
		{"corsOrigins", []any{"https://*.example.com"}},
		{"corsOrigins", []any{"https://app.example.com/"}},
		{"corsOrigins", []any{"http://app.example.com"}},
		{"functionsDir", ""},
		{"checkInterval", "day"},
		{"checkInterval", "10s"},
		{"checkInterval", "7h"},
		{"checkInterval", "48h"},
		{"checkInterval", 24.0},
		{"stsRate", 1.0},
		{"stsRate", 10_001.0},
		{"stsRate", 60.5},
		{"stsRate", "60/s"},
		{"stsRate", nil},
		{"accessKeyMaxAgeDays", 0.0},
		{"accessKeyMaxAgeDays", "90d"},
		{"accessKeyMaxAgeDays", nil},
		{"logRetentionDays", 91.0},
		{"logRetentionDays", nil},
		{"calledViaCloudFormation", "perhaps"},
		{"customPermissions", true},
		{"customPermissions", `{"title":"T"}`},
		{"customPermissions", map[string]any{"title": "T", "description": "d", "policy": "testdata/custom-policy.json", "warning": "none"}},
	}
	for _, c := range cases {
		t.Run(c.key+" "+shown(c.value), func(t *testing.T) {
			_, err := load(t, map[string]any{c.key: c.value}, "")
			key := c.key
			if key == "homeRegion" && c.value == "cn-north-1" {
				key = "regions"
			}
			if err == nil || !strings.Contains(err.Error(), `"`+key+`"`) || !strings.Contains(err.Error(), "give ") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// The platform's own permission set is an object of cdk.json, or the same as JSON on the command line.
func TestCustomPermissions(t *testing.T) {
	const asText = `{"title":"Cost data","description":"reads bills and usage","policy":"testdata/custom-policy.json"}`
	var asObject map[string]any
	if err := json.Unmarshal([]byte(asText), &asObject); err != nil {
		t.Fatal(err)
	}
	for _, given := range []any{asText, asObject} {
		got, err := load(t, map[string]any{"customPermissions": given}, "")
		if err != nil || got.custom == nil || got.custom.Title != "Cost data" || got.custom.Name != "custom" {
			t.Errorf("%v: %+v, %v", given, got.custom, err)
		}
	}
	for given, want := range map[string]string{
		strings.Replace(asText, "custom-policy", "nowhere", 1):             "nowhere.json",
		strings.Replace(asText, "testdata/custom-policy", "../cdk", 1):     `"app"`, // no policy
		strings.Replace(asText, "Cost data", "Cost: data", 1):              "title",
		strings.Replace(asText, "bills and usage", "bills\\nand usage", 1): "description",
	} {
		if _, err := load(t, map[string]any{"customPermissions": given}, ""); err == nil || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "customPermissions") {
			t.Errorf("%s: %v", given, err)
		}
	}
}

// What the gateway lets through follows from what one tenant's services may have, unless it is given.
func TestRequestsPerSecond(t *testing.T) {
	for _, tt := range []struct {
		issues, requests any
		want             int
	}{
		{6000, 0.0, 400},
		{6000, nil, 400},
		{"6000", "", 400},
		{60, 0, 200},
		{30_000, "0", 2000},
		{1_000_000.0, 0, 10_000},
		{6000, 50.0, 50},
		{60, "10000", 10_000},
	} {
		got, err := load(t, map[string]any{"issuesPerMinute": tt.issues, "requestsPerSecond": tt.requests}, "")
		if err != nil || got.requests != tt.want {
			t.Errorf("%v issues a minute, %v given: %d a second, %v", tt.issues, tt.requests, got.requests, err)
		}
	}
}

// However small or large the account's quota: every source has what SQS asks for, all of them together leave room for the
// functions that answer people, and what is reserved leaves what AWS demands and what the sources take.
func TestConcurrencyFollowsFromTheQuota(t *testing.T) {
	for quota := 10; quota <= 100_000; quota += 1 + quota/50 {
		c := concurrencyOf(quota)
		sources := 2*c.awaited + c.sweeps + c.webhooks
		if c.awaited < 2 || c.sweeps < 2 || c.webhooks < 2 || c.awaited > 1000 || sources > quota*8/10 {
			t.Errorf("quota %d: %+v", quota, c)
		}
		if rest := quota - 2*c.reserved; c.reserved > 0 && (rest < 100 || rest < 2*sources) {
			t.Errorf("quota %d: %+v leaves %d", quota, c, rest)
		}
		if (c.reserved > 0) != (quota >= 199) {
			t.Errorf("quota %d: %d reserved", quota, c.reserved)
		}
	}
	if c := concurrencyOf(1000); c != (concurrency{awaited: 100, sweeps: 2, webhooks: 5, reserved: 250}) {
		t.Errorf("quota 1000: %+v", c)
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	_, err := load(t, map[string]any{"issuer": nil, "audience": nil, "checkInterval": nil}, "12")
	for _, want := range []string{"issuer", "audience", "checkInterval", "CDK_DEFAULT_ACCOUNT"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

func TestMissingFunctionsSayWhatToDo(t *testing.T) {
	dir := t.TempDir()
	for _, name := range functionNames()[1:] {
		if err := writeBootstrap(dir, name); err != nil {
			t.Fatal(err)
		}
	}
	err := checkFunctions(dir)
	if err == nil || !strings.Contains(err.Error(), filepath.Join("api", "bootstrap")) || !strings.Contains(err.Error(), "make build") {
		t.Errorf("error %v", err)
	}
	if err := writeBootstrap(dir, "api"); err != nil {
		t.Fatal(err)
	}
	if err := checkFunctions(dir); err != nil {
		t.Error(err)
	}
}

func TestOutsideTheCheckout(t *testing.T) {
	_, err := readContext(filepath.Join(t.TempDir(), "cdk.json"))
	if err == nil || !strings.Contains(err.Error(), "top of the checkout") || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
