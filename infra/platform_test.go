package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolecall/shared/httpapi"
	"rolecall/templates"
)

func TestTable(t *testing.T) {
	table := home().one(t, "AWS::DynamoDB::Table", "Table")
	p := table.Properties
	for name, pair := range map[string][2]any{
		"billing":             {"PAY_PER_REQUEST", p["BillingMode"]},
		"deletion protection": {true, p["DeletionProtectionEnabled"]},
		"recovery":            {"PointInTimeRecoveryEnabled=true", flat(p["PointInTimeRecoverySpecification"])},
		"stream":              {"StreamViewType=NEW_IMAGE", flat(p["StreamSpecification"])},
		"time to live":        {"AttributeName=expiresAt Enabled=true", flat(p["TimeToLiveSpecification"])},
		"keys":                {"AttributeName=PK KeyType=HASH,AttributeName=SK KeyType=RANGE", flat(p["KeySchema"])},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %v, want %v", name, pair[1], pair[0])
		}
	}
	indexes := map[string]string{}
	for _, i := range list(p["GlobalSecondaryIndexes"]) {
		index := i.(map[string]any)
		indexes[flat(index["IndexName"])] = flat(index["KeySchema"]) + " " + flat(index["Projection"])
	}
	want := map[string]string{
		"tenant": "AttributeName=tenantPK KeyType=HASH,AttributeName=tenantSK KeyType=RANGE ProjectionType=ALL",
		"slot":   "AttributeName=slotPK KeyType=HASH,AttributeName=slotSK KeyType=RANGE ProjectionType=KEYS_ONLY",
		"due":    "AttributeName=duePK KeyType=HASH,AttributeName=dueSK KeyType=RANGE ProjectionType=KEYS_ONLY",
	}
	if d := cmp.Diff(want, indexes); d != "" {
		t.Error(d)
	}
	for _, a := range list(p["AttributeDefinitions"]) {
		if a.(map[string]any)["AttributeType"] != "S" {
			t.Errorf("attribute %s", flat(a))
		}
	}
}

// A construct that moves in the tree gets another logical id, and CloudFormation then makes a second, empty table.
func TestWhatLastsKeepsItsLogicalID(t *testing.T) {
	var got []string
	for id, r := range home().Resources {
		if r.DeletionPolicy == "Retain" {
			if r.UpdateReplacePolicy != "Retain" {
				t.Errorf("%s is lost when replaced", id)
			}
			if r.Type != "AWS::Logs::LogGroup" {
				got = append(got, r.Type+" "+id)
			}
		}
	}
	slices.Sort(got)
	want := []string{
		"AWS::DynamoDB::Table TableCD117FA1", "AWS::KMS::Key MacKey790F75A3", "AWS::KMS::Key SealingKey98C9818D",
		"AWS::S3::Bucket Templates785E9C36", "AWS::S3::Bucket UndeliveredF3CF66A9",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for name, group := range home().ofType("AWS::Logs::LogGroup") {
		if group.DeletionPolicy != "Retain" || group.Properties["RetentionInDays"] != 90.0 {
			t.Errorf("%s: %s, %v days", name, group.DeletionPolicy, group.Properties["RetentionInDays"])
		}
	}
}

func TestKeys(t *testing.T) {
	keys := home().ofType("AWS::KMS::Key")
	sealing, mac := keys["SealingKey"].Properties, keys["MacKey"].Properties
	if sealing["EnableKeyRotation"] != true || sealing["KeySpec"] != nil {
		t.Errorf("sealing key: %v", sealing)
	}
	if mac["KeySpec"] != "HMAC_256" || mac["KeyUsage"] != "GENERATE_VERIFY_MAC" {
		t.Errorf("MAC key: %v", mac)
	}
}

func TestFunctions(t *testing.T) {
	template := []string{"ROLECALL_TERRAFORM_MODULE_SHA256", "ROLECALL_TEMPLATE_SHA256", "ROLECALL_TEMPLATE_URL", "ROLECALL_TEMPLATE_VERSION"}
	common := []string{"ROLECALL_PARTITION", "ROLECALL_PLATFORM_ACCOUNT", "ROLECALL_REGIONS", "ROLECALL_TABLE"}
	environment := map[string][]string{
		"Api": slices.Concat(common, template, []string{
			"ROLECALL_MAC_KEY", "ROLECALL_SEALING_KEY_ARN", "ROLECALL_PLATFORM_NAME", "ROLECALL_TENANT_CLAIM", "ROLECALL_CONNECTIONS_CLAIM", "ROLECALL_CHECK_INTERVAL",
			"ROLECALL_ORGANIZATION_TEMPLATE_SHA256", "ROLECALL_ORGANIZATION_TEMPLATE_URL", "ROLECALL_VERIFY_RATE", "ROLECALL_MOST_PENDING", "ROLECALL_ISSUER",
			"ROLECALL_READ_RATE", "ROLECALL_LAUNCH_RATE",
		}),
		"Broker": slices.Concat(common, template, []string{
			"ROLECALL_MAC_KEY", "ROLECALL_SEALING_KEY_ARN", "ROLECALL_PLATFORM_NAME", "ROLECALL_TENANT_CLAIM", "ROLECALL_VERIFY_NOW_QUEUE_URL", "ROLECALL_CHECK_INTERVAL",
			"ROLECALL_CONNECTIONS_CLAIM", "ROLECALL_ISSUE_RATE", "ROLECALL_VERIFY_RATE", "ROLECALL_REVOKE_RATE",
		}),
		"Callback": slices.Concat(common, []string{"ROLECALL_MAC_KEYS", "ROLECALL_TOPIC_NAME", "ROLECALL_CALLBACKS_QUEUE_URL", "ROLECALL_VERIFY_NOW_QUEUE_URL"}),
		"Verify": slices.Concat(common, []string{
			"ROLECALL_SEALING_KEY_ARN", "ROLECALL_ACCESS_KEY_MAX_AGE_DAYS",
			"ROLECALL_VERIFY_NOW_QUEUE_URL", "ROLECALL_VERIFY_SWEEP_QUEUE_URL", "ROLECALL_CHECK_INTERVAL", "ROLECALL_STS_RATE",
		}),
		"Refresh": {"ROLECALL_TABLE", "ROLECALL_VERIFY_SWEEP_QUEUE_URL", "ROLECALL_CHECK_INTERVAL"},
		"Publish": {"ROLECALL_BUS_NAME"},
		"Upload":  {"ROLECALL_TEMPLATES_BUCKET"},
	}
	functions := home().ofType("AWS::Lambda::Function")
	for name, want := range environment {
		p := functions[name+"Function"].Properties
		if flat(p["Architectures"]) != "arm64" || p["Runtime"] != "provided.al2023" || p["Handler"] != "bootstrap" {
			t.Errorf("%s: %v %v %v", name, p["Architectures"], p["Runtime"], p["Handler"])
		}
		if role := flat(p["Role"]); role != "${"+name+"Role.Arn}" {
			t.Errorf("%s has role %s", name, role)
		}
		if logs := flat(p["LoggingConfig"].(map[string]any)["LogGroup"]); logs != "${"+name+"Logs}" {
			t.Errorf("%s logs to %s", name, logs)
		}
		var got []string
		for variable := range p["Environment"].(map[string]any)["Variables"].(map[string]any) {
			got = append(got, variable)
		}
		slices.Sort(got)
		slices.Sort(want)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if len(functions) != len(environment) {
		t.Errorf("%d functions", len(functions))
	}
}

func TestEnvironmentSaysWhatIsThere(t *testing.T) {
	broker := home().one(t, "AWS::Lambda::Function", "BrokerFunction").Properties["Environment"].(map[string]any)["Variables"].(map[string]any)
	of := templates.Publication{
		Partition: "aws", PlatformAccount: laptopAccount, PlatformName: "Rolecall", TopicName: topicName,
		Regions: []string{"eu-west-1", "us-east-1"},
	}
	rendered, err := templates.Connection(of)
	if err != nil {
		t.Fatal(err)
	}
	module, err := templates.Module(of)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"ROLECALL_TABLE":                   "${Table}",
		"ROLECALL_PARTITION":               "aws",
		"ROLECALL_PLATFORM_ACCOUNT":        "111111111111",
		"ROLECALL_PLATFORM_NAME":           "Rolecall",
		"ROLECALL_TENANT_CLAIM":            "tenant_id",
		"ROLECALL_REGIONS":                 "eu-west-1,us-east-1",
		"ROLECALL_MAC_KEY":                 "1=${MacKey.Arn}",
		"ROLECALL_SEALING_KEY_ARN":         "${SealingKey.Arn}",
		"ROLECALL_TEMPLATE_URL":            "https://${Templates.RegionalDomainName}/" + rendered.Key,
		"ROLECALL_TEMPLATE_VERSION":        rendered.Version,
		"ROLECALL_TEMPLATE_SHA256":         rendered.SHA256,
		"ROLECALL_TERRAFORM_MODULE_SHA256": module.SHA256,
		"ROLECALL_VERIFY_NOW_QUEUE_URL":    "${VerifyNow}",
		"ROLECALL_CHECK_INTERVAL":          "24h0m0s",
		"ROLECALL_CONNECTIONS_CLAIM":       "rolecall_connections",
		"ROLECALL_ISSUE_RATE":              "6000",
		"ROLECALL_VERIFY_RATE":             "300",
		"ROLECALL_REVOKE_RATE":             "300",
	}
	got := map[string]string{}
	for k, v := range broker {
		got[k] = flat(v)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestQueues(t *testing.T) {
	queues, functions := home().ofType("AWS::SQS::Queue"), home().ofType("AWS::Lambda::Function")
	for name, consumer := range map[string]string{"Callbacks": "Callback", "VerifyNow": "Verify", "VerifySweep": "Verify"} {
		queue, dead := queues[name].Properties, queues[name+"Dead"].Properties
		timeout := functions[consumer+"Function"].Properties["Timeout"].(float64)
		if visible := queue["VisibilityTimeout"].(float64); visible < 6*timeout {
			t.Errorf("%s: visible again after %v s, its function may take %v s", name, visible, timeout)
		}
		redrive := queue["RedrivePolicy"].(map[string]any)
		if redrive["maxReceiveCount"].(float64) < 5 || flat(redrive["deadLetterTargetArn"]) != "${"+name+"Dead.Arn}" {
			t.Errorf("%s: %s", name, flat(redrive))
		}
		if dead["MessageRetentionPeriod"] != 14*24*3600.0 {
			t.Errorf("%s: dead letters are kept for %v s", name, dead["MessageRetentionPeriod"])
		}
		if dead["QueueName"] != flat(queue["QueueName"])+"-dlq" {
			t.Errorf("%s: dead-letter queue %v", name, dead["QueueName"])
		}
		if queue["SqsManagedSseEnabled"] != true || dead["SqsManagedSseEnabled"] != true {
			t.Errorf("%s is not encrypted", name)
		}
	}
	if callbacks := queues["Callbacks"].Properties; callbacks["QueueName"] != "rolecall-callbacks" || callbacks["VisibilityTimeout"] != 90.0 {
		t.Errorf("callbacks: %v", callbacks)
	}
	if len(queues) != 6 {
		t.Errorf("%d queues", len(queues))
	}
}

func TestEventSources(t *testing.T) {
	sources := home().ofType("AWS::Lambda::EventSourceMapping")
	for name, want := range map[string][2]string{
		"CallbackSource":    {"${Callbacks.Arn}", "${CallbackFunction}"},
		"VerifyNowSource":   {"${VerifyNow.Arn}", "${VerifyFunction}"},
		"VerifySweepSource": {"${VerifySweep.Arn}", "${VerifyFunction}"},
		"PublishSource":     {"${Table.StreamArn}", "${PublishFunction}"},
	} {
		p := sources[name].Properties
		if flat(p["EventSourceArn"]) != want[0] || flat(p["FunctionName"]) != want[1] {
			t.Errorf("%s: %s → %s", name, flat(p["EventSourceArn"]), flat(p["FunctionName"]))
		}
		if flat(p["FunctionResponseTypes"]) != "ReportBatchItemFailures" {
			t.Errorf("%s: one bad message fails its whole batch", name)
		}
	}
	if len(sources) != 4 {
		t.Errorf("%d event sources", len(sources))
	}
	if n := sources["VerifySweepSource"].Properties["BatchSize"]; n != 1.0 {
		t.Errorf("an invocation takes %v messages of a hundred connections", n)
	}
}

// In a new account, whose quota of concurrent executions is 10, what queues can set going takes 6 of them, 8 with a webhook, and
// nothing is reserved, since AWS would refuse the deployment. In one of 1,000, api and broker have their own.
func TestConcurrency(t *testing.T) {
	large, err := synthesise(t.TempDir(), "large", map[string]any{
		keyConcurrency: 1000, keyRequests: 1000, keyWebhookEndpoint: "https://hooks.example.com/rolecall",
	})
	if err != nil {
		t.Fatal(err)
	}
	stage := large["Rolecall"].one(t, "AWS::ApiGatewayV2::Stage", "HttpApiStage").Properties
	if got := flat(stage["DefaultRouteSettings"]); got != "ThrottlingBurstLimit=2000 ThrottlingRateLimit=1000" {
		t.Errorf("with 1000 requests a second: %s", got)
	}
	for name, tt := range map[string]struct {
		stack    template
		sources  map[string]string
		reserved any
	}{
		"a new account": {home(), map[string]string{"CallbackSource": "2", "VerifyNowSource": "2", "VerifySweepSource": "2"}, nil},
		"a new account with a webhook": {assembly.hooked["Rolecall"], map[string]string{
			"CallbackSource": "2", "VerifyNowSource": "2", "VerifySweepSource": "2", "WebhookSource": "2",
		}, nil},
		"quota 1000": {large["Rolecall"], map[string]string{
			"CallbackSource": "100", "VerifyNowSource": "100", "VerifySweepSource": "2", "WebhookSource": "5",
		}, 250.0},
	} {
		sources := map[string]string{}
		for source, r := range tt.stack.ofType("AWS::Lambda::EventSourceMapping") {
			if source != "PublishSource" { // a stream has as many executions as shards
				sources[source] = strings.TrimPrefix(flat(r.Properties["ScalingConfig"]), "MaximumConcurrency=")
			}
		}
		if d := cmp.Diff(tt.sources, sources); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		for function, r := range tt.stack.ofType("AWS::Lambda::Function") {
			var want any
			if function == "ApiFunction" || function == "BrokerFunction" {
				want = tt.reserved
			}
			if got := r.Properties["ReservedConcurrentExecutions"]; got != want {
				t.Errorf("%s: %v reserved for %s, want %v", name, got, function, want)
			}
		}
	}
}

func TestStreamAdmitsEventRecordsOnly(t *testing.T) {
	p := home().one(t, "AWS::Lambda::EventSourceMapping", "PublishSource").Properties
	filters := list(p["FilterCriteria"].(map[string]any)["Filters"])
	if len(filters) != 1 {
		t.Fatalf("%d filters; several are an OR", len(filters))
	}
	var pattern, want any
	if err := json.Unmarshal([]byte(flat(filters[0].(map[string]any)["Pattern"])), &pattern); err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal([]byte(`{"eventName":["INSERT"],"dynamodb":{"Keys":{"SK":{"S":[{"prefix":"EVENT#"}]}}}}`), &want)
	if d := cmp.Diff(want, pattern); d != "" {
		t.Error(d)
	}
	if p["StartingPosition"] != "TRIM_HORIZON" {
		t.Errorf("starts at %v: records written before are lost", p["StartingPosition"])
	}
	if to := flat(p["DestinationConfig"]); to != "OnFailure=Destination=${Undelivered.Arn}" {
		t.Errorf("what cannot be published goes to %s", to)
	}
}

func TestRoutesAreTheCodes(t *testing.T) {
	got := map[string]string{}
	for _, r := range home().ofType("AWS::ApiGatewayV2::Route") {
		p := r.Properties
		got[flat(p["RouteKey"])] = strings.Join([]string{
			flat(p["Target"]), flat(p["AuthorizationType"]), flat(list(p["AuthorizationScopes"])), flat(list(p["AuthorizerId"])),
		}, " ")
	}
	want := map[string]string{}
	for _, r := range httpapi.Routes() {
		target := "integrations/${HttpApi" + constructID(string(r.Function)) + "}"
		if r.Scope == "" {
			want[r.Method+" "+r.Path] = target + " NONE  "
			continue
		}
		want[r.Method+" "+r.Path] = target + " JWT " + r.Scope + " ${HttpApiTokens}"
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestHTTPAPI(t *testing.T) {
	jwt := home().one(t, "AWS::ApiGatewayV2::Authorizer", "HttpApiTokens").Properties
	if jwt["AuthorizerType"] != "JWT" || flat(jwt["JwtConfiguration"]) != "Audience=rolecall Issuer=https://issuer.example.com" ||
		flat(jwt["IdentitySource"]) != "$request.header.Authorization" {
		t.Errorf("authorizer: %s", flat(jwt))
	}
	cors := home().one(t, "AWS::ApiGatewayV2::Api", "HttpApi").Properties["CorsConfiguration"].(map[string]any)
	for key, want := range map[string]string{
		"AllowOrigins": "https://app.example.com", "AllowHeaders": "authorization,content-type,if-match,if-none-match,idempotency-key",
		"ExposeHeaders": "etag,location,retry-after", "AllowMethods": "GET,POST,PATCH,DELETE,PUT",
	} {
		if flat(cors[key]) != want {
			t.Errorf("CORS %s: %s", key, flat(cors[key]))
		}
	}
	stage := home().one(t, "AWS::ApiGatewayV2::Stage", "HttpApiStage").Properties
	if stage["StageName"] != "$default" || stage["AutoDeploy"] != true ||
		flat(stage["DefaultRouteSettings"]) != "ThrottlingBurstLimit=800 ThrottlingRateLimit=400" {
		t.Errorf("stage: %s", flat(stage))
	}
	format := flat(stage["AccessLogSettings"].(map[string]any)["Format"])
	for _, secret := range []string{"header", "querystring", "path"} {
		if strings.Contains(strings.ToLower(format), secret) {
			t.Errorf("access log holds %s: %s", secret, format)
		}
	}
	for name, i := range home().ofType("AWS::ApiGatewayV2::Integration") {
		if i.Properties["PayloadFormatVersion"] != "2.0" {
			t.Errorf("%s: payload %v", name, i.Properties["PayloadFormatVersion"])
		}
	}
}

func TestNoCORSUnlessAsked(t *testing.T) {
	if c := (&platform{}).cors(); c != nil {
		t.Errorf("without origins: %v", c)
	}
}

func TestSchedule(t *testing.T) {
	p := home().one(t, "AWS::Scheduler::Schedule", "EveryMinute").Properties
	target := p["Target"].(map[string]any)
	if p["ScheduleExpression"] != "rate(1 minute)" || flat(target["Arn"]) != "${RefreshFunction.Arn}" ||
		flat(target["RoleArn"]) != "${ScheduleRole.Arn}" {
		t.Errorf("schedule: %s", flat(p))
	}
}

func TestBus(t *testing.T) {
	if name := home().one(t, "AWS::Events::EventBus", "Bus").Properties["Name"]; name != "rolecall" {
		t.Errorf("bus %v", name)
	}
	archive := home().one(t, "AWS::Events::Archive", "BusArchive").Properties
	if flat(archive["SourceArn"]) != "${Bus.Arn}" || flat(archive["EventPattern"]) != "account=111111111111" {
		t.Errorf("archive: %s", flat(archive))
	}
}

func TestTopics(t *testing.T) {
	stacks := topics()
	if len(stacks) != 2 {
		t.Fatalf("%d topic stacks", len(stacks))
	}
	for region, stack := range stacks {
		topic := stack.one(t, "AWS::SNS::Topic", "Callbacks").Properties
		if topic["TopicName"] != "rolecall-callbacks" || topic["KmsMasterKeyId"] != nil {
			t.Errorf("%s: %s", region, flat(topic))
		}
		sub := stack.one(t, "AWS::SNS::Subscription", "CallbacksToHome").Properties
		if sub["Protocol"] != "sqs" || sub["RawMessageDelivery"] != false ||
			sub["Endpoint"] != "arn:aws:sqs:eu-west-1:111111111111:rolecall-callbacks" || flat(sub["TopicArn"]) != "${Callbacks}" {
			t.Errorf("%s: %s", region, flat(sub))
		}
	}
}

func TestTopicsOfOptInRegionsHaveTheirOwnPrincipal(t *testing.T) {
	cfg := config{account: laptopAccount, partition: "aws", homeRegion: "eu-west-1", regions: []string{"eu-west-1", "eu-south-2", "us-east-1"}}
	got := map[string][]string{}
	for _, g := range cfg.topicsByService() {
		got[g.principal] = g.topics
	}
	want := map[string][]string{
		"sns.amazonaws.com": {
			"arn:aws:sns:eu-west-1:111111111111:rolecall-callbacks", "arn:aws:sns:us-east-1:111111111111:rolecall-callbacks",
		},
		"sns.eu-south-2.amazonaws.com": {"arn:aws:sns:eu-south-2:111111111111:rolecall-callbacks"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestTemplatesArePublishedAsRendered(t *testing.T) {
	of := templates.Publication{
		Partition: "aws", PlatformAccount: laptopAccount, PlatformName: "Rolecall", TopicName: topicName,
		Regions: []string{"eu-west-1", "us-east-1"},
	}
	connection, err := templates.Connection(of)
	if err != nil {
		t.Fatal(err)
	}
	organization, err := templates.Organization(of)
	if err != nil {
		t.Fatal(err)
	}
	module, err := templates.Module(of)
	if err != nil {
		t.Fatal(err)
	}
	isPublished(t, "PublishedTemplate", connection)
	isPublished(t, "PublishedTerraformModule", module)
	isPublished(t, "PublishedOrganizationTemplate", organization)
	for name, resource := range map[string]string{
		"ApiFunction": "PublishedTemplate", "BrokerFunction": "PublishedTemplate",
	} {
		after := flat(list(home().one(t, "AWS::Lambda::Function", name).DependsOn))
		if !strings.Contains(after, resource) || !strings.Contains(after, "PublishedTerraformModule") || (name == "ApiFunction" && !strings.Contains(after, "PublishedOrganizationTemplate")) {
			t.Errorf("%s can show a link before the template is there: %s", name, after)
		}
	}
	environment := home().one(t, "AWS::Lambda::Function", "ApiFunction").Properties["Environment"].(map[string]any)["Variables"].(map[string]any)
	if environment["ROLECALL_ORGANIZATION_TEMPLATE_SHA256"] != organization.SHA256 ||
		!strings.HasSuffix(flat(environment["ROLECALL_ORGANIZATION_TEMPLATE_URL"]), "/"+organization.Key) {
		t.Errorf("api is told of %v", environment)
	}
}

func isPublished(t *testing.T, resource string, rendered templates.Rendered) {
	t.Helper()
	p := home().one(t, publishedType, resource).Properties
	if flat(p["ServiceToken"]) != "${UploadFunction.Arn}" || flat(p["Key"]) != rendered.Key {
		t.Errorf("%s: %s", resource, flat(p))
	}
	// Should the function die, Lambda begins again after one minute and after two.
	if patience, err := strconv.Atoi(flat(p["ServiceTimeout"])); err != nil || patience < 3*uploadTimeout+60+120 {
		t.Errorf("%s is given up after %v s", resource, p["ServiceTimeout"])
	}
	_, asset, _ := strings.Cut(flat(p["From"]), "/")
	body, err := os.ReadFile(filepath.Join(assembly.dir, "asset."+asset))
	if err != nil {
		t.Fatal(err)
	}
	if string(body) != string(rendered.Body) {
		t.Errorf("what is uploaded to %s is not the rendering %s", flat(p["Key"]), rendered.Key)
	}
}

// A deployment of before the function of ours keeps its stack: CloudFormation lets no custom resource change its function, so
// these are other resources than the ones that CDK's function made, which were called Publication….
func TestPublishedTemplatesAreNewResources(t *testing.T) {
	for id, r := range home().Resources {
		if r.Type == publishedType && !strings.HasPrefix(id, "Published") {
			t.Errorf("%s has been another function's", id)
		}
	}
}

func TestOutputs(t *testing.T) {
	var got []string
	for name := range home().Outputs {
		if !strings.HasPrefix(name, "ExportsOutput") { // what CDK tells the console's stack
			got = append(got, name)
		}
	}
	slices.Sort(got)
	if d := cmp.Diff([]string{"ApiUrl", "BusName", "TableName", "TemplateUrl", "TopicName", "UndeliveredName"}, got); d != "" {
		t.Error(d)
	}
}
