package config_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolecall/shared/config"
	"rolecall/shared/connect"
)

var everything = []config.Need{
	config.Table, config.Platform, config.Presentation, config.Callbacks, config.VerifyNow, config.VerifySweep,
	config.CheckInterval, config.STSRate, config.Issuing, config.Issuer, config.Bus, config.Webhook, config.Sealing, config.KeyMaxAge,
	config.VerifyRate, config.Pending, config.ReadRate, config.LaunchRate, config.RevokeRate, config.Templates,
}

// environment is complete: every variable that any function reads.
var environment = map[string]string{
	"AWS_REGION":                       "eu-west-1",
	"AWS_ENDPOINT_URL":                 "",
	"ROLECALL_LOG_LEVEL":               "",
	"ROLECALL_TABLE":                   "table",
	"ROLECALL_PARTITION":               "aws",
	"ROLECALL_PLATFORM_ACCOUNT":        "011111111111",
	"ROLECALL_PLATFORM_NAME":           "Acme & Söhne",
	"ROLECALL_TENANT_CLAIM":            "https://acme.example/tenant",
	"ROLECALL_REGIONS":                 "eu-west-1,us-east-1",
	"ROLECALL_MAC_KEY":                 "4=arn:aws:kms:eu-west-1:011111111111:key/4",
	"ROLECALL_MAC_KEYS":                "4=arn:aws:kms:eu-west-1:011111111111:key/4,1=arn:aws:kms:eu-west-1:011111111111:key/1",
	"ROLECALL_TEMPLATE_URL":            "https://templates.example/1/connection.yaml",
	"ROLECALL_TEMPLATE_VERSION":        "1.0.0",
	"ROLECALL_TEMPLATE_SHA256":         "abc",
	"ROLECALL_TEMPLATES_BUCKET":        "rolecall-templates",
	"ROLECALL_TERRAFORM_MODULE_SHA256": "def",
	"ROLECALL_CONSOLE_URL":             "",
	"ROLECALL_TOPIC_NAME":              "rolecall-callbacks",
	"ROLECALL_CALLBACKS_QUEUE_URL":     "https://sqs.example/callbacks",
	"ROLECALL_VERIFY_NOW_QUEUE_URL":    "https://sqs.example/now",
	"ROLECALL_VERIFY_SWEEP_QUEUE_URL":  "https://sqs.example/sweep",
	"ROLECALL_CHECK_INTERVAL":          "6h",
	"ROLECALL_STS_RATE":                "60",
	"ROLECALL_CONNECTIONS_CLAIM":       "rolecall_connections",
	"ROLECALL_ISSUE_RATE":              "6000",
	"ROLECALL_VERIFY_RATE":             "300",
	"ROLECALL_MOST_PENDING":            "1000",
	"ROLECALL_READ_RATE":               "12000",
	"ROLECALL_LAUNCH_RATE":             "300",
	"ROLECALL_REVOKE_RATE":             "200",
	"ROLECALL_ISSUER":                  "https://login.example.com/",
	"ROLECALL_BUS_NAME":                "rolecall",
	"ROLECALL_WEBHOOK_ENDPOINT":        "https://hooks.example.com/",
	"ROLECALL_WEBHOOK_KEY_ARN":         "arn:aws:kms:eu-west-1:011111111111:key/2",
	"ROLECALL_WEBHOOK_SECRETS":         "2,1",
	"ROLECALL_WEBHOOK_QUEUE_URL":       "https://sqs.example/webhook",
	"ROLECALL_SEALING_KEY_ARN":         "arn:aws:kms:eu-west-1:011111111111:key/3",
	"ROLECALL_ACCESS_KEY_MAX_AGE_DAYS": "90",
}

// set puts the complete environment in place, with changes: pairs of name and value.
func set(t *testing.T, changes ...string) {
	t.Helper()
	for name, value := range environment {
		t.Setenv(name, value)
	}
	for i := 0; i+1 < len(changes); i += 2 {
		if _, known := environment[changes[i]]; !known {
			t.Fatalf("nobody reads %s", changes[i])
		}
		t.Setenv(changes[i], changes[i+1])
	}
}

func TestLoadReadsEveryVariable(t *testing.T) {
	set(t, "AWS_ENDPOINT_URL", "http://127.0.0.1:4566", "ROLECALL_CONSOLE_URL", "http://localhost:4566", "ROLECALL_LOG_LEVEL", "debug")
	got, err := config.Load(everything...)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		Table:        "table",
		Platform:     connect.Platform{Partition: connect.PartitionAWS, Account: "011111111111"},
		PlatformName: "Acme & Söhne", Issuer: "https://login.example.com/", TenantClaim: "https://acme.example/tenant",
		Regions:       []connect.Region{"eu-west-1", "us-east-1"},
		MACKey:        4,
		MACKeys:       map[int]string{4: "arn:aws:kms:eu-west-1:011111111111:key/4", 1: "arn:aws:kms:eu-west-1:011111111111:key/1"},
		SealingKeyARN: "arn:aws:kms:eu-west-1:011111111111:key/3", KeyMaxAge: 90 * 24 * time.Hour,
		TemplateURL: "https://templates.example/1/connection.yaml", TemplateVersion: "1.0.0", TemplateSHA256: "abc", ModuleSHA256: "def",
		TemplatesBucket: "rolecall-templates",
		ConsoleURL:      "http://localhost:4566", TopicName: "rolecall-callbacks", CallbacksURL: "https://sqs.example/callbacks",
		VerifyNowURL: "https://sqs.example/now", VerifySweepURL: "https://sqs.example/sweep",
		CheckInterval: 6 * time.Hour, STSRate: 60, Bus: "rolecall", ConnectionsClaim: "rolecall_connections", IssueRate: 6000, VerifyRate: 300, MostPending: 1000,
		ReadRate: 12_000, LaunchRate: 300, RevokeRate: 200,
		WebhookEndpoint: "https://hooks.example.com/", WebhookKeyARN: "arn:aws:kms:eu-west-1:011111111111:key/2",
		WebhookSecrets: []int{2, 1}, WebhookURL: "https://sqs.example/webhook",
		Endpoint: "http://127.0.0.1:4566", Region: "eu-west-1", LogLevel: slog.LevelDebug,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}

func TestWhatOnlyALaptopSetsMayBeMissing(t *testing.T) {
	set(t)
	c, err := config.Load(everything...)
	if err != nil {
		t.Fatal(err)
	}
	if c.Endpoint != "" || c.ConsoleURL != "" || c.LogLevel != slog.LevelInfo {
		t.Errorf("endpoint %q, console %q, level %v", c.Endpoint, c.ConsoleURL, c.LogLevel)
	}
}

// What a function does not need, it must not be kept from starting by.
func TestEachNeedAsksForItsOwnVariables(t *testing.T) {
	tests := map[string]struct {
		need  config.Need
		names []string
	}{
		"table":    {config.Table, []string{"ROLECALL_TABLE"}},
		"platform": {config.Platform, []string{"ROLECALL_PARTITION", "ROLECALL_PLATFORM_ACCOUNT", "ROLECALL_REGIONS"}},
		"presentation": {config.Presentation, []string{
			"ROLECALL_PLATFORM_NAME", "ROLECALL_TENANT_CLAIM", "ROLECALL_CONNECTIONS_CLAIM", "ROLECALL_MAC_KEY", "ROLECALL_TEMPLATE_URL",
			"ROLECALL_TEMPLATE_VERSION", "ROLECALL_TEMPLATE_SHA256", "ROLECALL_TERRAFORM_MODULE_SHA256",
		}},
		"callbacks":      {config.Callbacks, []string{"ROLECALL_TOPIC_NAME", "ROLECALL_MAC_KEYS", "ROLECALL_CALLBACKS_QUEUE_URL"}},
		"sealing":        {config.Sealing, []string{"ROLECALL_SEALING_KEY_ARN"}},
		"key age":        {config.KeyMaxAge, []string{"ROLECALL_ACCESS_KEY_MAX_AGE_DAYS"}},
		"verify now":     {config.VerifyNow, []string{"ROLECALL_VERIFY_NOW_QUEUE_URL"}},
		"verify sweep":   {config.VerifySweep, []string{"ROLECALL_VERIFY_SWEEP_QUEUE_URL"}},
		"check interval": {config.CheckInterval, []string{"ROLECALL_CHECK_INTERVAL"}},
		"STS rate":       {config.STSRate, []string{"ROLECALL_STS_RATE"}},
		"issuing":        {config.Issuing, []string{"ROLECALL_ISSUE_RATE"}},
		"verify rate":    {config.VerifyRate, []string{"ROLECALL_VERIFY_RATE"}},
		"pending":        {config.Pending, []string{"ROLECALL_MOST_PENDING"}},
		"read rate":      {config.ReadRate, []string{"ROLECALL_READ_RATE"}},
		"launch rate":    {config.LaunchRate, []string{"ROLECALL_LAUNCH_RATE"}},
		"revoke rate":    {config.RevokeRate, []string{"ROLECALL_REVOKE_RATE"}},
		"issuer":         {config.Issuer, []string{"ROLECALL_ISSUER"}},
		"templates":      {config.Templates, []string{"ROLECALL_TEMPLATES_BUCKET"}},
		"bus":            {config.Bus, []string{"ROLECALL_BUS_NAME"}},
		"webhook": {config.Webhook, []string{
			"ROLECALL_WEBHOOK_ENDPOINT", "ROLECALL_WEBHOOK_KEY_ARN", "ROLECALL_WEBHOOK_SECRETS", "ROLECALL_WEBHOOK_QUEUE_URL",
		}},
	}
	if len(tests) != len(everything) {
		t.Fatalf("%d needs are tried, there are %d", len(tests), len(everything))
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for variable := range environment {
				t.Setenv(variable, "")
			}
			t.Setenv("AWS_REGION", "eu-west-1")
			_, err := config.Load(tt.need)
			if err == nil {
				t.Fatal("nothing is missing")
			}
			for variable := range environment {
				if asked := strings.Contains(err.Error(), variable+" "); asked != slices.Contains(tt.names, variable) {
					t.Errorf("asked for %s: %t\n%v", variable, asked, err)
				}
			}
			for _, variable := range tt.names {
				t.Setenv(variable, environment[variable])
			}
			if _, err := config.Load(tt.need); err != nil {
				t.Errorf("with all it asked for: %v", err)
			}
		})
	}
}

func TestMissingVariablesAreNamedAllAtOnce(t *testing.T) {
	optional := map[string]bool{"AWS_ENDPOINT_URL": true, "ROLECALL_CONSOLE_URL": true, "ROLECALL_LOG_LEVEL": true}
	for name := range environment {
		t.Run(name, func(t *testing.T) {
			set(t, name, "")
			_, err := config.Load(everything...)
			if optional[name] {
				if err != nil {
					t.Errorf("error %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), "environment variable "+name+" is missing") {
				t.Fatalf("error %v, want one that names %s", err, name)
			}
			for other := range environment {
				if other != name && strings.Contains(err.Error(), other+" ") {
					t.Errorf("%s is blamed too: %v", other, err)
				}
			}
		})
	}
	set(t, "ROLECALL_TABLE", "", "ROLECALL_BUS_NAME", "", "ROLECALL_CHECK_INTERVAL", "often")
	_, err := config.Load(everything...)
	for _, name := range []string{"ROLECALL_TABLE", "ROLECALL_BUS_NAME", "ROLECALL_CHECK_INTERVAL"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named: %v", name, err)
		}
	}
}

func TestMalformedVariablesAreNamed(t *testing.T) {
	for name, values := range map[string][]string{
		"ROLECALL_LOG_LEVEL":               {"loud", "info,debug", " info"},
		"ROLECALL_PARTITION":               {"AWS", "aws-iso", "arn:aws", " aws"},
		"ROLECALL_PLATFORM_ACCOUNT":        {"1", "11111111111", "1111111111111", "11111111111a", "1111-1111-1111", "١١١١١١١١١١١١", "111111111111\n"},
		"ROLECALL_REGIONS":                 {",", "eu-west-1,", "eu-west-1, us-east-1", "eu-west-1;us-east-1", "EU-WEST-1", "eu-west", "eu-west-1,eu-west-1/x"},
		"ROLECALL_MAC_KEY":                 {"arn", "1", "1=", "=arn", "0=arn", "-1=arn", "one=arn", "1=a,", "1=a, 2=b", "1=a,1=b", ","},
		"ROLECALL_MAC_KEYS":                {"arn:aws:kms:eu-west-1:011111111111:key/1", "2=a,1"},
		"ROLECALL_WEBHOOK_SECRETS":         {"0", "-1", "one", "1,", "1, 2", "1;2"},
		"ROLECALL_ACCESS_KEY_MAX_AGE_DAYS": {"0", "-1", "90d", "9999", "1.5"},
		"ROLECALL_ISSUE_RATE":              {"59", "1000001", "6000/m"},
		"ROLECALL_VERIFY_RATE":             {"19", "-300", "1e3"},
		"ROLECALL_MOST_PENDING":            {"19", "many", "1000001"},
		"ROLECALL_READ_RATE":               {"199", "1000001"},
		"ROLECALL_LAUNCH_RATE":             {"19", "1000001"},
		"ROLECALL_REVOKE_RATE":             {"19", "1000001"},
		"ROLECALL_STS_RATE":                {"0", "1", "-60", "60/s", "1e3", "10001", "60.5", " 60"},
		"ROLECALL_CHECK_INTERVAL": {
			"24", "1d", "0", "0s", "-1h", "30s", "59s", "90s", "7h", "25h", "48h", "1h0m1s", "1m0.5s", "2562047h47m16s", "9999999h",
		},
	} {
		for _, value := range values {
			t.Run(name+"="+value, func(t *testing.T) {
				set(t, name, value)
				if _, err := config.Load(everything...); err == nil || !strings.Contains(err.Error(), "environment variable "+name+" must be ") {
					t.Errorf("error %v, want one that says what %s must be", err, name)
				}
			})
		}
	}
}

// One deployment serves one partition.
func TestRegionsAreOfThePartition(t *testing.T) {
	regions := map[string]string{"aws": "eu-west-1,us-east-1", "aws-us-gov": "us-gov-west-1,us-gov-east-1", "aws-cn": "cn-north-1,cn-northwest-1"}
	for partition := range regions {
		for of, list := range regions {
			set(t, "ROLECALL_PARTITION", partition, "ROLECALL_REGIONS", list)
			if _, err := config.Load(everything...); (err == nil) != (of == partition) {
				t.Errorf("%s with %s: %v", partition, list, err)
			}
		}
		set(t, "ROLECALL_PARTITION", partition, "ROLECALL_REGIONS", regions["aws"]+","+regions["aws-cn"])
		if _, err := config.Load(everything...); err == nil {
			t.Errorf("%s with Regions of two", partition)
		}
	}
}

func TestWellFormedVariablesAreTaken(t *testing.T) {
	for name, values := range map[string][]string{
		"ROLECALL_LOG_LEVEL":        {"debug", "INFO", "warn", "error"},
		"ROLECALL_PLATFORM_ACCOUNT": {"000000000000", "999999999999"},
		"ROLECALL_REGIONS":          {"eu-west-1", "eu-west-1,ap-southeast-2,mx-central-1"},
		"ROLECALL_MAC_KEY":          {"1=a", "12=b"},
		"ROLECALL_MAC_KEYS":         {"1=a", "3=c,2=b,1=a"},
		"ROLECALL_WEBHOOK_SECRETS":  {"1", "7", "3,2,1"},
		"ROLECALL_STS_RATE":         {"2", "60", "600", "10000"},
		"ROLECALL_CHECK_INTERVAL":   {"1m", "60s", "5m", "1h", "6h0m0s", "24h", "24h0m0s", "1440m"},
	} {
		for _, value := range values {
			t.Run(name+"="+value, func(t *testing.T) {
				set(t, name, value)
				if _, err := config.Load(everything...); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
