package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/aws-cdk-go/awscdk/v2/customresources"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"rolecall/templates"
)

// published is the customers' template as links name it.
type published struct {
	url      *string
	version  string
	sha256   string
	resource constructs.IDependable // there once the template is under its key
}

// addTemplates makes the template bucket, which holds nothing else since everybody can read it: CloudFormation fetches
// templates as the customer. Earlier templates stay under their keys, as links and stacks name them.
func (p *platform) addTemplates() error {
	rendered, err := templates.Connection(templates.Publication{
		Partition:       p.cfg.partition,
		PlatformAccount: p.cfg.account,
		PlatformName:    p.cfg.platformName,
		TopicName:       topicName,
		Regions:         p.cfg.regions,
		Custom:          p.cfg.custom,
	})
	if err != nil {
		return fmt.Errorf("customers' template: %w", err)
	}
	bucket := p.addTemplateBucket()
	p.template = published{
		url: bucket.VirtualHostedUrlForObject(jsii.String(rendered.Key),
			&awss3.VirtualHostedStyleUrlOptions{Regional: jsii.Bool(true)}),
		version: rendered.Version,
		sha256:  rendered.SHA256,
	}
	return p.deployTemplate(bucket, rendered)
}

// addTemplateBucket opens GetObject under connection/ to everybody, and nothing else: no listing, no ACLs.
func (p *platform) addTemplateBucket() awss3.Bucket {
	bucket := awss3.NewBucket(p.stack, jsii.String("Templates"), &awss3.BucketProps{
		BlockPublicAccess: awss3.NewBlockPublicAccess(&awss3.BlockPublicAccessOptions{
			BlockPublicAcls:       jsii.Bool(true),
			IgnorePublicAcls:      jsii.Bool(true),
			BlockPublicPolicy:     jsii.Bool(false),
			RestrictPublicBuckets: jsii.Bool(false),
		}),
		Encryption:      awss3.BucketEncryption_S3_MANAGED,
		ObjectOwnership: awss3.ObjectOwnership_BUCKET_OWNER_ENFORCED,
		EnforceSSL:      jsii.Bool(true),
		Versioned:       jsii.Bool(true),
		RemovalPolicy:   awscdk.RemovalPolicy_RETAIN,
	})
	bucket.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("AnyoneReadsTemplates"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewAnyPrincipal()},
		Actions:    jsii.Strings("s3:GetObject"),
		Resources:  &[]*string{bucket.ArnForObjects(jsii.String("connection/*"))},
	}))
	justify(bucket, "AwsSolutions-S1", "Holds nothing but the public template; who reads it is no secret and proves nothing.")
	justify(bucket, "AwsSolutions-S2", "CloudFormation fetches the template as the customer, whose account is not known beforehand; ACLs stay "+
		"blocked and the policy admits GetObject under one prefix only.")
	return bucket
}

// publishedType is the custom resource that copies the template from CDK's assets to its bucket, by one s3:CopyObject.
// CDK's BucketDeployment would do as much with the AWS CLI in a layer of 22 MB and rights on two whole buckets.
const publishedType = "Custom::PublishedTemplate"

// deployTemplate puts the rendered template under its key. Nothing deletes it, then or later: links and stacks name it.
func (p *platform) deployTemplate(bucket awss3.Bucket, rendered templates.Rendered) error {
	scope := constructs.NewConstruct(p.stack, jsii.String("Publication"))
	asset, err := newTextAsset(scope, "Asset", "connection.yaml", rendered.Body)
	if err != nil {
		return err
	}
	logs := newLogGroup(scope, "Logs", p.cfg.logRetentionDays)
	role := awsiam.NewRole(scope, jsii.String("Role"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil),
		InlinePolicies: &map[string]awsiam.PolicyDocument{"rights": document(
			allow("GetAsset", []string{"s3:GetObject"}, asset.Bucket().ArnForObjects(asset.S3ObjectKey())),
			allow("PutTemplate", []string{"s3:PutObject"}, bucket.ArnForObjects(jsii.String(rendered.Key))),
			allow("Logs", []string{"logs:CreateLogStream", "logs:PutLogEvents"}, logs.LogGroupArn()),
		)},
	})
	p.template.resource = customresources.NewAwsCustomResource(scope, jsii.String("Template"), &customresources.AwsCustomResourceProps{
		ResourceType: jsii.String(publishedType),
		OnUpdate: &customresources.AwsSdkCall{ // on creation too
			Service: jsii.String("S3"),
			Action:  jsii.String("copyObject"),
			Parameters: map[string]any{
				"CopySource":        jsii.String(*asset.S3BucketName() + "/" + *asset.S3ObjectKey()),
				"Bucket":            bucket.BucketName(),
				"Key":               rendered.Key,
				"MetadataDirective": "REPLACE",
				"ContentType":       "application/yaml",
				"CacheControl":      "public, max-age=31536000, immutable",
			},
			OutputPaths:        jsii.Strings("CopyObjectResult.ETag"),
			PhysicalResourceId: customresources.PhysicalResourceId_Of(jsii.String(rendered.Key)),
		},
		Role:                role,
		LogGroup:            logs,
		InstallLatestAwsSdk: jsii.Bool(false),
		Timeout:             awscdk.Duration_Minutes(jsii.Number(1)),
	})
	tidyPublisher(p.stack)
	return nil
}

// tidyPublisher takes away a dependency that CDK writes although the function's reference to its role says the same.
func tidyPublisher(stack awscdk.Stack) {
	id := "AWS" + strings.ReplaceAll(*customresources.AwsCustomResource_PROVIDER_FUNCTION_UUID(), "-", "")
	function := stack.Node().FindChild(jsii.String(id))
	var resource awscdk.CfnResource
	jsii.UnsafeCast(function.Node().DefaultChild(), &resource)
	resource.AddDeletionOverride(jsii.String("DependsOn"))
}

// newTextAsset makes an asset of a text. CDK copies the file at once, so it need not stay.
func newTextAsset(scope constructs.Construct, id, name string, text []byte) (awss3assets.Asset, error) {
	dir, err := os.MkdirTemp("", "rolecall-asset-")
	if err != nil {
		return nil, fmt.Errorf("asset %s: %w", name, err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // a folder left in the temporary place harms nothing
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, fmt.Errorf("asset %s: %w", name, err)
	}
	return awss3assets.NewAsset(scope, jsii.String(id), &awss3assets.AssetProps{Path: jsii.String(file)}), nil
}
