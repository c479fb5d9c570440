package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudfront"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudfrontorigins"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/aws-cdk-go/awscdk/v2/customresources"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"rolecall/web"
)

// publishedFileType is the custom resource that copies one file of the console from CDK's assets to its bucket.
const publishedFileType = "Custom::PublishedFile"

// A webSite is the console's stack while it is put together: a private bucket behind a distribution that serves the API
// beside it, so that the console needs no other origin.
type webSite struct {
	cfg    config
	stack  awscdk.Stack
	bucket awss3.Bucket
}

// addWeb makes the console's stack from what `make web` built; nothing without a consoleDir, as on the laptop, and nothing
// in GovCloud, which has no CloudFront, or in China, whose CloudFront has no functions and asks for a registered domain.
func addWeb(app awscdk.App, cfg config, api awsapigatewayv2.CfnApi) error {
	if cfg.consoleDir == "" || cfg.partition != "aws" {
		return nil
	}
	site := &webSite{cfg: cfg, stack: newStack(app, cfg, "RolecallWeb", cfg.homeRegion, "Rolecall: the console and the connect widget")}
	site.addBucket()
	if err := site.addFiles(); err != nil {
		return err
	}
	return site.addDistribution(*api.Ref() + ".execute-api." + cfg.homeRegion + "." + urlSuffix(cfg.partition))
}

func urlSuffix(partition string) string {
	if partition == "aws-cn" {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

func (w *webSite) addBucket() {
	w.bucket = awss3.NewBucket(w.stack, jsii.String("Files"), &awss3.BucketProps{
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(),
		Encryption:        awss3.BucketEncryption_S3_MANAGED,
		ObjectOwnership:   awss3.ObjectOwnership_BUCKET_OWNER_ENFORCED,
		EnforceSSL:        jsii.Bool(true),
		Versioned:         jsii.Bool(true),
		RemovalPolicy:     awscdk.RemovalPolicy_RETAIN,
	})
	justify(w.bucket, "AwsSolutions-S1", "Holds nothing but the published console; only CloudFront reads it.")
}

// addFiles copies each built file from CDK's assets to the bucket, in order, the index last. Nothing is deleted: a page that
// was loaded before a deployment still finds the files that it names.
func (w *webSite) addFiles() error {
	files, err := web.Files(os.DirFS(w.cfg.consoleDir))
	if err != nil {
		return fmt.Errorf("context %q: %w: run `make web`", keyConsoleDir, err)
	}
	scope := constructs.NewConstruct(w.stack, jsii.String("Publication"))
	settings, err := newTextAsset(scope, "Settings", "config.json", web.NewSettings(w.cfg.issuer, w.cfg.consoleClientID).JSON())
	if err != nil {
		return err
	}
	sources := map[string]awss3assets.Asset{"config.json": settings}
	for _, file := range files {
		sources[file] = awss3assets.NewAsset(scope, jsii.String("Asset"+file), &awss3assets.AssetProps{
			Path: jsii.String(filepath.Join(w.cfg.consoleDir, filepath.FromSlash(file))),
		})
	}
	copies := w.newCopies(scope, sources)
	for _, file := range append([]string{"config.json"}, files...) {
		copies.add(file, sources[file])
	}
	tidyPublisher(w.stack)
	return nil
}

// copies makes the resources that copy files; all share one role, which may read and write just these.
type copies struct {
	site  *webSite
	scope constructs.Construct
	props customresources.AwsCustomResourceProps
	all   []constructs.IDependable
}

func (w *webSite) newCopies(scope constructs.Construct, sources map[string]awss3assets.Asset) *copies {
	logs := newLogGroup(scope, "Logs", w.cfg.logRetentionDays)
	var read, write []*string
	for file, asset := range sources {
		read = append(read, asset.Bucket().ArnForObjects(asset.S3ObjectKey()))
		write = append(write, w.bucket.ArnForObjects(jsii.String(file)))
	}
	role := awsiam.NewRole(scope, jsii.String("Role"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil),
		InlinePolicies: &map[string]awsiam.PolicyDocument{"rights": document(
			allow("GetAssets", []string{"s3:GetObject"}, sorted(read)...),
			allow("PutFiles", []string{"s3:PutObject"}, sorted(write)...),
			allow("Logs", []string{"logs:CreateLogStream", "logs:PutLogEvents"}, logs.LogGroupArn()),
		)},
	})
	return &copies{site: w, scope: scope, props: customresources.AwsCustomResourceProps{
		ResourceType: jsii.String(publishedFileType), Role: role, LogGroup: logs,
		InstallLatestAwsSdk: jsii.Bool(false), Timeout: awscdk.Duration_Minutes(jsii.Number(1)),
	}}
}

func (c *copies) add(file string, from awss3assets.Asset) {
	props := c.props
	props.OnUpdate = &customresources.AwsSdkCall{ // on creation too
		Service: jsii.String("S3"),
		Action:  jsii.String("copyObject"),
		Parameters: map[string]any{
			"CopySource":        jsii.String(*from.S3BucketName() + "/" + *from.S3ObjectKey()),
			"Bucket":            c.site.bucket.BucketName(),
			"Key":               file,
			"MetadataDirective": "REPLACE",
			"ContentType":       web.ContentType(file),
			"CacheControl":      web.CacheControl(file),
		},
		OutputPaths:        jsii.Strings("CopyObjectResult.ETag"),
		PhysicalResourceId: customresources.PhysicalResourceId_Of(jsii.String(file)),
	}
	made := customresources.NewAwsCustomResource(c.scope, jsii.String(file), &props)
	if file == web.Index {
		made.Node().AddDependency(c.all...)
	}
	c.all = append(c.all, made)
}

// tidyPublisher takes away a dependency that CDK writes although the function's reference to its role says the same.
func tidyPublisher(stack awscdk.Stack) {
	id := "AWS" + strings.ReplaceAll(*customresources.AwsCustomResource_PROVIDER_FUNCTION_UUID(), "-", "")
	function := stack.Node().FindChild(jsii.String(id))
	var resource awscdk.CfnResource
	jsii.UnsafeCast(function.Node().DefaultChild(), &resource)
	resource.AddDeletionOverride(jsii.String("DependsOn"))
}

// addDistribution serves the files by CloudFront, and the API beside them at api, a host.
func (w *webSite) addDistribution(api string) error {
	headers, err := web.Headers(w.cfg.issuer)
	if err != nil {
		return err
	}
	files := awscloudfrontorigins.S3BucketOrigin_WithOriginAccessControl(w.bucket, nil)
	static := func(policy awscloudfront.ResponseHeadersPolicy) *awscloudfront.BehaviorOptions {
		return &awscloudfront.BehaviorOptions{
			Origin: files, ResponseHeadersPolicy: policy, Compress: jsii.Bool(true),
			CachePolicy:          awscloudfront.CachePolicy_CACHING_OPTIMIZED(),
			ViewerProtocolPolicy: awscloudfront.ViewerProtocolPolicy_REDIRECT_TO_HTTPS,
			AllowedMethods:       awscloudfront.AllowedMethods_ALLOW_GET_HEAD_OPTIONS(),
		}
	}
	site := static(w.headersPolicy("Headers", headers, nil))
	site.FunctionAssociations = &[]*awscloudfront.FunctionAssociation{{
		EventType: awscloudfront.FunctionEventType_VIEWER_REQUEST, Function: w.fallback(),
	}}
	open := w.headersPolicy("WidgetHeaders", headers, w.cfg.corsOrigins)
	behaviours := map[string]*awscloudfront.BehaviorOptions{"/" + web.Widget: static(open)}
	for _, pattern := range web.APIPatterns() {
		behaviours[pattern] = apiBehaviour(api)
	}
	behaviours[web.APIDescription] = descriptionBehaviour(api, open)
	distribution := awscloudfront.NewDistribution(w.stack, jsii.String("Distribution"), &awscloudfront.DistributionProps{
		Comment:                jsii.String("Rolecall: console, widget and API"),
		DefaultRootObject:      jsii.String(web.Index),
		DefaultBehavior:        site,
		AdditionalBehaviors:    &behaviours,
		HttpVersion:            awscloudfront.HttpVersion_HTTP2_AND_3,
		MinimumProtocolVersion: awscloudfront.SecurityPolicyProtocol_TLS_V1_2_2021,
		PriceClass:             awscloudfront.PriceClass_PRICE_CLASS_100,
	})
	justify(distribution, "AwsSolutions-CFR1", "Customers' engineers are anywhere; who may do what is settled by tokens, not by where they are.")
	justify(distribution, "AwsSolutions-CFR2", "The API has its own throttling and authorizer, the rest is public files; a web ACL is the platform's to add.")
	justify(distribution, "AwsSolutions-CFR3", "The API has an access log of its own; who loads public files is no secret and proves nothing.")
	justify(distribution, "AwsSolutions-CFR4", "Served under CloudFront's own name and certificate, whose policy CloudFront settles; with a domain of the platform's "+
		"own, TLS 1.2 is the least.")
	output := awscdk.CfnOutputProps{
		Description: jsii.String("where the console and the widget are; the issuer must know it as the client's redirect, with /callback"),
		Value:       jsii.String("https://" + *distribution.DistributionDomainName() + "/"),
	}
	awscdk.NewCfnOutput(w.stack, jsii.String("ConsoleUrl"), &output)
	return nil
}

func apiOrigin(host string) awscloudfront.IOrigin {
	return awscloudfrontorigins.NewHttpOrigin(jsii.String(host), &awscloudfrontorigins.HttpOriginProps{
		ProtocolPolicy:     awscloudfront.OriginProtocolPolicy_HTTPS_ONLY,
		OriginSslProtocols: &[]awscloudfront.OriginSslPolicy{awscloudfront.OriginSslPolicy_TLS_V1_2},
	})
}

// descriptionBehaviour keeps the API's description for as long as the API says, and passes nothing of the request on: neither
// a query nor a header of a stranger's can make CloudFront ask for it again. What the API would say of other origins, headers
// say instead.
func descriptionBehaviour(host string, headers awscloudfront.ResponseHeadersPolicy) *awscloudfront.BehaviorOptions {
	return &awscloudfront.BehaviorOptions{
		Origin:                apiOrigin(host),
		AllowedMethods:        awscloudfront.AllowedMethods_ALLOW_GET_HEAD_OPTIONS(),
		CachePolicy:           awscloudfront.CachePolicy_CACHING_OPTIMIZED(),
		ResponseHeadersPolicy: headers,
		Compress:              jsii.Bool(true),
		ViewerProtocolPolicy:  awscloudfront.ViewerProtocolPolicy_HTTPS_ONLY,
	}
}

// apiBehaviour passes everything on, and keeps nothing: answers belong to whoever has asked.
func apiBehaviour(host string) *awscloudfront.BehaviorOptions {
	return &awscloudfront.BehaviorOptions{
		Origin:               apiOrigin(host),
		AllowedMethods:       awscloudfront.AllowedMethods_ALLOW_ALL(),
		CachePolicy:          awscloudfront.CachePolicy_CACHING_DISABLED(),
		OriginRequestPolicy:  awscloudfront.OriginRequestPolicy_ALL_VIEWER_EXCEPT_HOST_HEADER(),
		ViewerProtocolPolicy: awscloudfront.ViewerProtocolPolicy_HTTPS_ONLY,
	}
}

// fallback answers the index for every path that has no dot, since the console finds its way by itself. A file that is not
// there stays an error: a page that asks for it is old, and must not take HTML for a script.
func (w *webSite) fallback() awscloudfront.Function {
	return awscloudfront.NewFunction(w.stack, jsii.String("Fallback"), &awscloudfront.FunctionProps{
		Comment: jsii.String("Paths of the console are all the same page"),
		Runtime: awscloudfront.FunctionRuntime_JS_2_0(),
		Code: awscloudfront.FunctionCode_FromInline(jsii.String(`function handler(event) {
  var request = event.request;
  if (request.uri.split('/').pop().indexOf('.') < 0) request.uri = '/` + web.Index + `';
  return request;
}
`)),
	})
}

// headersPolicy sends the headers that the laptop sends, too. For the widget, origins are those whose pages may load it.
func (w *webSite) headersPolicy(id string, headers []web.Header, origins []string) awscloudfront.ResponseHeadersPolicy {
	props := &awscloudfront.ResponseHeadersPolicyProps{SecurityHeadersBehavior: &awscloudfront.ResponseSecurityHeadersBehavior{}}
	var custom []*awscloudfront.ResponseCustomHeader
	for _, h := range headers {
		if secure(props.SecurityHeadersBehavior, h) {
			continue
		}
		custom = append(custom, &awscloudfront.ResponseCustomHeader{Header: jsii.String(h.Name), Value: jsii.String(h.Value), Override: jsii.Bool(true)})
	}
	if id == "WidgetHeaders" {
		custom = append(custom, &awscloudfront.ResponseCustomHeader{
			Header: jsii.String("Cross-Origin-Resource-Policy"), Value: jsii.String("cross-origin"), Override: jsii.Bool(true),
		})
	}
	props.CustomHeadersBehavior = &awscloudfront.ResponseCustomHeadersBehavior{CustomHeaders: &custom}
	if len(origins) > 0 {
		props.CorsBehavior = &awscloudfront.ResponseHeadersCorsBehavior{
			AccessControlAllowCredentials: jsii.Bool(false),
			AccessControlAllowHeaders:     jsii.Strings("*"),
			AccessControlAllowMethods:     jsii.Strings("GET", "HEAD"),
			AccessControlAllowOrigins:     jsii.Strings(origins...),
			OriginOverride:                jsii.Bool(true),
		}
	}
	return awscloudfront.NewResponseHeadersPolicy(w.stack, jsii.String(id), props)
}

// secure puts a header into CloudFront's own property for it; CloudFront refuses these as custom headers.
func secure(to *awscloudfront.ResponseSecurityHeadersBehavior, h web.Header) bool {
	switch h.Name {
	case "Content-Security-Policy":
		to.ContentSecurityPolicy = &awscloudfront.ResponseHeadersContentSecurityPolicy{ContentSecurityPolicy: jsii.String(h.Value), Override: jsii.Bool(true)}
	case "Strict-Transport-Security":
		to.StrictTransportSecurity = &awscloudfront.ResponseHeadersStrictTransportSecurity{
			AccessControlMaxAge: awscdk.Duration_Seconds(jsii.Number(float64(web.TransportSecuritySeconds))), IncludeSubdomains: jsii.Bool(true), Override: jsii.Bool(true),
		}
	case "X-Content-Type-Options":
		to.ContentTypeOptions = &awscloudfront.ResponseHeadersContentTypeOptions{Override: jsii.Bool(true)}
	case "X-Frame-Options":
		to.FrameOptions = &awscloudfront.ResponseHeadersFrameOptions{FrameOption: awscloudfront.HeadersFrameOption_DENY, Override: jsii.Bool(true)}
	case "Referrer-Policy":
		to.ReferrerPolicy = &awscloudfront.ResponseHeadersReferrerPolicy{ReferrerPolicy: awscloudfront.HeadersReferrerPolicy_NO_REFERRER, Override: jsii.Bool(true)}
	default:
		return false
	}
	return true
}

func sorted(arns []*string) []*string {
	slices.SortFunc(arns, func(a, b *string) int { return strings.Compare(*a, *b) })
	return arns
}
