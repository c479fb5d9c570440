package main

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"rolecall/shared/httpapi"
)

// Names of the functions, of their folders and of their builds.
const (
	fnAPI      = string(httpapi.API)
	fnBroker   = string(httpapi.Broker)
	fnCallback = "callback"
	fnVerify   = "verify"
	fnRefresh  = "refresh"
	fnPublish  = "publish"
	fnUpload   = "upload" // the deployment's own: templates.go
)

func functionNames() []string {
	return []string{fnAPI, fnBroker, fnCallback, fnVerify, fnRefresh, fnPublish, fnUpload}
}

// Timeouts in seconds. Queues' visibility follows from them; broker's stays under the 30 s that an HTTP API waits.
const (
	apiTimeout      = 10
	brokerTimeout   = 29
	callbackTimeout = 15
	verifyTimeout   = 20 // so that a try that died is made again in time to answer the stack: see ARCHITECTURE.md
	refreshTimeout  = 50
	publishTimeout  = 30
)

// memory in MB. It settles the share of a processor too: less makes cold starts slow, more makes nothing quicker here.
const memory = 256

// assumingPath is the path of the roles that customers' trust policies admit.
const assumingPath = "/rolecall/"

// A spec is what functions differ in.
type spec struct {
	name        string
	description string
	timeout     float64 // seconds
	environment []string
}

func specs() []spec {
	return []spec{
		{fnAPI, "Rolecall: connections, launches, timeline. Cannot assume roles.", apiTimeout, []string{
			envTable, envPartition, envAccount, envName, envClaim, envConnections, envRegions, envMACKey, envTemplateURL, envTemplateVersion, envTemplateSHA,
			envModuleSHA, envSealingKey, envInterval, envCustom, envOrganizationURL, envOrganizationSHA, envVerifyRate, envPending, envIssuer,
			envReadRate, envLaunchRate,
		}},
		{fnBroker, "Rolecall: verifies now and issues credentials.", brokerTimeout, []string{
			envTable, envPartition, envAccount, envName, envClaim, envConnections, envRegions, envMACKey, envTemplateURL, envTemplateVersion, envTemplateSHA,
			envModuleSHA, envSealingKey, envVerifyNow, envInterval, envIssueRate, envVerifyRate, envRevokeRate, envCustom,
		}},
		{fnCallback, "Rolecall: takes what customers' stacks report.", callbackTimeout, []string{
			envTable, envPartition, envAccount, envRegions, envMACKeys, envTopic, envCallbacks, envVerifyNow, envCustom,
		}},
		{fnVerify, "Rolecall: proves roles safe and answers customers' stacks.", verifyTimeout, []string{
			envTable, envPartition, envAccount, envRegions, envSealingKey, envKeyMaxAge, envVerifyNow, envVerifySweep, envInterval, envSTSRate,
			envCustom,
		}},
		{fnRefresh, "Rolecall: every minute, finds the connections that are due.", refreshTimeout, []string{
			envTable, envVerifySweep, envInterval,
		}},
		{fnPublish, "Rolecall: publishes event records of the table's stream on the bus.", publishTimeout, []string{
			envBus,
		}},
	}
}

// Environment variables; package config under shared reads them.
const (
	envTable           = "ROLECALL_TABLE"
	envPartition       = "ROLECALL_PARTITION"
	envAccount         = "ROLECALL_PLATFORM_ACCOUNT"
	envName            = "ROLECALL_PLATFORM_NAME"
	envClaim           = "ROLECALL_TENANT_CLAIM"
	envRegions         = "ROLECALL_REGIONS"
	envMACKey          = "ROLECALL_MAC_KEY"  // the one that makes tokens
	envMACKeys         = "ROLECALL_MAC_KEYS" // those whose tokens are admitted
	envSealingKey      = "ROLECALL_SEALING_KEY_ARN"
	envKeyMaxAge       = "ROLECALL_ACCESS_KEY_MAX_AGE_DAYS"
	envTemplateURL     = "ROLECALL_TEMPLATE_URL"
	envTemplateVersion = "ROLECALL_TEMPLATE_VERSION"
	envTemplateSHA     = "ROLECALL_TEMPLATE_SHA256"
	envModuleSHA       = "ROLECALL_TERRAFORM_MODULE_SHA256"
	envOrganizationURL = "ROLECALL_ORGANIZATION_TEMPLATE_URL"
	envOrganizationSHA = "ROLECALL_ORGANIZATION_TEMPLATE_SHA256"
	envTopic           = "ROLECALL_TOPIC_NAME"
	envCallbacks       = "ROLECALL_CALLBACKS_QUEUE_URL"
	envVerifyNow       = "ROLECALL_VERIFY_NOW_QUEUE_URL"
	envVerifySweep     = "ROLECALL_VERIFY_SWEEP_QUEUE_URL"
	envInterval        = "ROLECALL_CHECK_INTERVAL"
	envConnections     = "ROLECALL_CONNECTIONS_CLAIM"
	envIssueRate       = "ROLECALL_ISSUE_RATE"
	envVerifyRate      = "ROLECALL_VERIFY_RATE"
	envPending         = "ROLECALL_MOST_PENDING"
	envReadRate        = "ROLECALL_READ_RATE"
	envLaunchRate      = "ROLECALL_LAUNCH_RATE"
	envRevokeRate      = "ROLECALL_REVOKE_RATE"
	envIssuer          = "ROLECALL_ISSUER"
	envSTSRate         = "ROLECALL_STS_RATE"
	envTemplates       = "ROLECALL_TEMPLATES_BUCKET"
	envBus             = "ROLECALL_BUS_NAME"
	envCustom          = "ROLECALL_CUSTOM_PERMISSIONS" // only where the platform has a permission set of its own
)

func (p *platform) values() map[string]*string {
	named := make([]string, 0, len(p.macKeys))
	for _, k := range p.macKeys {
		named = append(named, k.named())
	}
	return map[string]*string{
		envTable:           p.table.TableName(),
		envPartition:       jsii.String(p.cfg.partition),
		envAccount:         jsii.String(p.cfg.account),
		envName:            jsii.String(p.cfg.platformName),
		envClaim:           jsii.String(p.cfg.tenantClaim),
		envRegions:         jsii.String(strings.Join(p.cfg.regions, ",")),
		envMACKey:          jsii.String(p.macKeys[0].named()),
		envMACKeys:         jsii.String(strings.Join(named, ",")),
		envSealingKey:      p.sealingKey.KeyArn(),
		envKeyMaxAge:       jsii.String(strconv.Itoa(p.cfg.keyMaxAgeDays)),
		envTemplateURL:     p.template.url,
		envTemplateVersion: jsii.String(p.template.version),
		envTemplateSHA:     jsii.String(p.template.sha256),
		envModuleSHA:       p.module.hash(),
		envOrganizationURL: p.organization.url, // nil, like its hash, where organizations cannot be connected
		envOrganizationSHA: p.organization.hash(),
		envTopic:           jsii.String(topicName),
		envCallbacks:       p.callbacks.QueueUrl(),
		envVerifyNow:       p.verifyNow.QueueUrl(),
		envVerifySweep:     p.verifySweep.QueueUrl(),
		envInterval:        jsii.String(p.cfg.checkInterval.String()),
		envConnections:     jsii.String(p.cfg.connectionsClaim),
		envIssueRate:       jsii.String(strconv.Itoa(p.cfg.issuesPerMinute)),
		envVerifyRate:      jsii.String(strconv.Itoa(p.cfg.verifications)),
		envPending:         jsii.String(strconv.Itoa(p.cfg.pending)),
		envReadRate:        jsii.String(strconv.Itoa(p.cfg.reads)),
		envLaunchRate:      jsii.String(strconv.Itoa(p.cfg.launches)),
		envRevokeRate:      jsii.String(strconv.Itoa(p.cfg.revocations)),
		envIssuer:          jsii.String(p.cfg.issuer),
		envSTSRate:         jsii.String(strconv.Itoa(p.cfg.stsRate)),
		envBus:             p.bus.EventBusName(),
		envCustom:          p.customSet(),
	}
}

// customSet is what functions need to know of the platform's own permission set; nil for none.
func (p *platform) customSet() *string {
	if p.cfg.custom == nil {
		return nil
	}
	return jsii.String(p.cfg.custom.Offer())
}

func (p *platform) addFunctions() {
	rights, values := p.rights(), p.values()
	for _, s := range specs() {
		p.functions[s.name] = p.newFunction(s, rights[s.name], values)
	}
	for _, maker := range []string{fnAPI, fnBroker} {
		p.functions[maker].Node().AddDependency(p.functions[fnCallback]) // no token of a new key before it is admitted
	}
}

func (p *platform) newFunction(s spec, rights []awsiam.PolicyStatement, values map[string]*string) awslambda.CfnFunction {
	scope := constructs.NewConstruct(p.stack, jsii.String(constructID(s.name)))
	logs := newLogGroup(scope, "Logs", p.cfg.logRetentionDays)
	rights = append(rights, allow("Logs", []string{"logs:CreateLogStream", "logs:PutLogEvents"}, logs.LogGroupArn()))
	role := awsiam.NewRole(scope, jsii.String("Role"), &awsiam.RoleProps{
		AssumedBy:      awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil),
		RoleName:       jsii.String(p.cfg.roleName(s.name)),
		Path:           jsii.String(rolePath(s.name)),
		InlinePolicies: &map[string]awsiam.PolicyDocument{"rights": document(rights...)},
	})
	p.justifyRights(s.name, role)
	environment := map[string]*string{}
	for _, name := range s.environment {
		if values[name] != nil {
			environment[name] = values[name]
		}
	}
	code := awss3assets.NewAsset(scope, jsii.String("Code"), &awss3assets.AssetProps{
		Path: jsii.String(filepath.Join(p.cfg.functionsDir, s.name)),
	})
	function := awslambda.NewCfnFunction(scope, jsii.String("Function"), &awslambda.CfnFunctionProps{
		FunctionName:  jsii.String("rolecall-" + s.name),
		Description:   jsii.String(s.description),
		Runtime:       jsii.String("provided.al2023"),
		Architectures: jsii.Strings("arm64"),
		Handler:       jsii.String("bootstrap"),
		Code: &awslambda.CfnFunction_CodeProperty{
			S3Bucket: code.S3BucketName(),
			S3Key:    code.S3ObjectKey(),
		},
		Role:    role.RoleArn(),
		Timeout: jsii.Number(s.timeout),

		ReservedConcurrentExecutions: p.reserved(s.name),

		MemorySize:  jsii.Number(memory),
		Environment: &awslambda.CfnFunction_EnvironmentProperty{Variables: environment},
		LoggingConfig: &awslambda.CfnFunction_LoggingConfigProperty{
			LogGroup:  logs.LogGroupName(),
			LogFormat: jsii.String("JSON"),
		},
	})
	if slices.Contains(s.environment, envTemplateURL) {
		function.Node().AddDependency(p.template.resource) // no link before what it links to
		function.Node().AddDependency(p.module.resource)
		if p.organization.resource != nil && slices.Contains(s.environment, envOrganizationURL) {
			function.Node().AddDependency(p.organization.resource)
		}
	}
	code.AddResourceMetadata(function, jsii.String("Code"))
	return function
}

// reserved keeps a part of the account's executions for those that people and services wait for; nil for none.
func (p *platform) reserved(name string) *float64 {
	if p.cfg.concurrency.reserved == 0 || (name != fnAPI && name != fnBroker) {
		return nil
	}
	return jsii.Number(p.cfg.concurrency.reserved)
}

// justifyRights speaks for the wildcards in the rights above.
func (p *platform) justifyRights(name string, role awsiam.Role) {
	switch name {
	case fnBroker, fnVerify:
		justify(role, "AwsSolutions-IAM5", "Customers' roles are in accounts that are not known when this is deployed; their trust policies ask for the "+
			"connection's external ID, and the platform's own roles are denied.")
	case fnPublish:
		justify(role, "AwsSolutions-IAM5", "Lambda chooses the names of the objects that hold what could not be published; the prefix is the one it uses. "+
			"dynamodb:ListStreams knows no resource but *.")
	}
}

// constructID is the name in the construct tree, and so in logical ids: "api" → "Api".
func constructID(name string) string {
	return strings.ToUpper(name[:1]) + name[1:]
}
