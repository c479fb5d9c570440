package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Who has no webhook has nothing of it, and who has one has everything else as it was.
func TestAWebhookAddsAndChangesNothing(t *testing.T) {
	var added []string
	for id, r := range assembly.hooked["Rolecall"].Resources {
		before, there := home().Resources[id]
		if !there {
			added = append(added, r.Type+" "+readable(id))
			continue
		}
		if d := cmp.Diff(before.Properties, r.Properties); d != "" {
			t.Errorf("%s changes: %s", id, d)
		}
	}
	slices.Sort(added)
	want := []string{
		"AWS::Events::Rule WebhookRule", "AWS::IAM::Role WebhookRole", "AWS::IAM::Role WebhookSecretRole", "AWS::KMS::Key WebhookKey",
		"AWS::Lambda::EventSourceMapping WebhookSource", "AWS::Lambda::Function WebhookFunction", "AWS::Logs::LogGroup WebhookLogs",
		"AWS::SQS::Queue Webhooks", "AWS::SQS::Queue WebhooksDead", "AWS::SQS::QueuePolicy WebhooksDeadPolicy", "AWS::SQS::QueuePolicy WebhooksPolicy",
	}
	if d := cmp.Diff(want, added); d != "" {
		t.Error(d)
	}
	for id := range home().Resources {
		if strings.Contains(id, "Webhook") {
			t.Errorf("%s is there without an endpoint", id)
		}
	}
}

func TestTheWebhooksRightsAreGolden(t *testing.T) {
	var before, fresh []string
	for _, r := range rightsOf(t) {
		before = append(before, hexRE.ReplaceAllString(r.String(), "<hash>$1"))
	}
	for _, r := range rightsIn(t, assembly.hooked) {
		line := hexRE.ReplaceAllString(r.String(), "<hash>$1")
		if !slices.Contains(before, line) {
			fresh = append(fresh, line)
		}
	}
	slices.Sort(fresh)
	golden(t, "rights-webhook.golden", strings.Join(fresh, "\n")+"\n")
}

func TestWebhook(t *testing.T) {
	stack := assembly.hooked["Rolecall"]
	function := stack.one(t, "AWS::Lambda::Function", "WebhookFunction").Properties
	got := map[string]string{}
	for k, v := range function["Environment"].(map[string]any)["Variables"].(map[string]any) {
		got[k] = flat(v)
	}
	want := map[string]string{
		"ROLECALL_WEBHOOK_ENDPOINT": "https://hooks.example.com/rolecall", "ROLECALL_WEBHOOK_KEY_ARN": "${WebhookKey.Arn}",
		"ROLECALL_WEBHOOK_SECRETS": "1", "ROLECALL_WEBHOOK_QUEUE_URL": "${Webhooks}",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	rule := stack.one(t, "AWS::Events::Rule", "WebhookRule").Properties
	if flat(rule["EventPattern"]) != "account=111111111111 source=rolecall" || flat(rule["EventBusName"]) != "${Bus}" ||
		flat(rule["Targets"]) != "Arn=${Webhooks.Arn} DeadLetterConfig=Arn=${WebhooksDead.Arn} Id=queue" {
		t.Errorf("rule %s", flat(rule))
	}
	queue, dead := stack.one(t, "AWS::SQS::Queue", "Webhooks").Properties, stack.one(t, "AWS::SQS::Queue", "WebhooksDead").Properties
	redrive := queue["RedrivePolicy"].(map[string]any)
	if queue["VisibilityTimeout"].(float64) < 6*function["Timeout"].(float64) || redrive["maxReceiveCount"].(float64) < 5 ||
		dead["MessageRetentionPeriod"] != 14*24*3600.0 || queue["MessageRetentionPeriod"].(float64) < 2*24*3600 {
		t.Errorf("queue %s\ndead letters %s", flat(queue), flat(dead))
	}
	source := stack.one(t, "AWS::Lambda::EventSourceMapping", "WebhookSource").Properties
	if source["BatchSize"] != 1.0 || flat(source["ScalingConfig"]) != "MaximumConcurrency=2" || flat(source["FunctionResponseTypes"]) != "ReportBatchItemFailures" {
		t.Errorf("source %s", flat(source))
	}
	key := stack.one(t, "AWS::KMS::Key", "WebhookKey").Properties
	if key["KeySpec"] != "HMAC_256" || key["KeyUsage"] != "GENERATE_VERIFY_MAC" {
		t.Errorf("key %s", flat(key))
	}
	if flat(stack.Outputs["WebhookKeyArn"].Value) != "${WebhookKey.Arn}" {
		t.Error("nothing says which key makes the secrets")
	}
	if flat(stack.Outputs["WebhookSecretRoleArn"].Value) != "${WebhookSecretRole.Arn}" {
		t.Error("nothing says which role reads the secrets")
	}
}

func TestWebhookEndpoints(t *testing.T) {
	for endpoint, want := range map[any]bool{
		"": true, nil: true, "https://hooks.example.com/rolecall?a=b": true, "https://8.8.8.8/": true,
		"http://127.0.0.1:9000/":    true, // the laptop's; a deployed function refuses it
		"http://hooks.example.com/": false, "https://user@hooks.example.com/": false, "https://intranet/": false, "https://10.0.0.1/": false,
		"https://169.254.169.254/": false, "hooks.example.com": false, "https://hooks.example.com/#a": false, 1: false,
	} {
		_, err := load(t, map[string]any{keyWebhookEndpoint: endpoint}, "")
		if (err == nil) != want {
			t.Errorf("%v: %v", endpoint, err)
		}
		if err != nil && !strings.Contains(err.Error(), keyWebhookEndpoint) {
			t.Errorf("%v does not name the key", err)
		}
	}
	for _, numbers := range []any{[]any{}, []any{0.0}, "1,one", []any{1.0, 1.0}} {
		if _, err := load(t, map[string]any{keyWebhookSecrets: numbers}, ""); err == nil {
			t.Errorf("secrets %v were taken", numbers)
		}
	}
	cfg, err := load(t, map[string]any{keyWebhookSecrets: "2,1"}, "")
	if err != nil || !slices.Equal(cfg.webhookSecrets, []string{"2", "1"}) {
		t.Errorf("%v, %v", cfg.webhookSecrets, err)
	}
}
