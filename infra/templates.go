package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
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

// hash is nil for a template that there is not.
func (t published) hash() *string {
	if t.url == nil {
		return nil
	}
	return jsii.String(t.sha256)
}

// addTemplates makes the template bucket, which holds nothing else since everybody can read it: CloudFormation fetches
// templates as the customer. Earlier templates stay under their keys, as links and stacks name them.
func (p *platform) addTemplates() error {
	of := templates.Publication{
		Partition:       p.cfg.partition,
		PlatformAccount: p.cfg.account,
		PlatformName:    p.cfg.platformName,
		TopicName:       topicName,
		Regions:         p.cfg.regions,
		Custom:          p.cfg.custom,
	}
	connection, err := templates.Connection(of)
	if err != nil {
		return fmt.Errorf("customers' template: %w", err)
	}
	all := []publication{{rendered: connection, id: "Template", asset: "Asset", file: "connection.yaml", as: &p.template}}
	if p.cfg.custom != nil {
		all = append(all, publication{
			rendered: templates.PublishedPolicy(*p.cfg.custom), id: "CustomPolicy", asset: "CustomPolicyAsset", file: "custom.json", kind: "application/json",
		})
	}
	module, err := templates.Module(of)
	if err != nil {
		return fmt.Errorf("module for Terraform: %w", err)
	}
	all = append(all, publication{
		rendered: module, id: "TerraformModule", asset: "TerraformModuleAsset", file: "module.zip", kind: "application/zip", as: &p.module,
	})
	organization, err := templates.Organization(of)
	switch {
	case err == nil:
		all = append(all, publication{
			rendered: organization, id: "OrganizationTemplate", asset: "OrganizationAsset", file: "organization.yaml", as: &p.organization,
		})
	case !errors.Is(err, templates.ErrNoOrganizations):
		return fmt.Errorf("organizations' template: %w", err)
	}
	return p.deployTemplates(p.addTemplateBucket(), all)
}

// addTemplateBucket opens GetObject under the templates' folders to everybody, and nothing else: no listing, no ACLs.
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
		Resources: &[]*string{
			bucket.ArnForObjects(jsii.String("connection/*")), bucket.ArnForObjects(jsii.String("organization/*")),
			bucket.ArnForObjects(jsii.String("permissions/*")), bucket.ArnForObjects(jsii.String("terraform/*")),
		},
	}))
	// Who holds a link holds what the key's hash says: what lies under a key is there for good. S3 has no copy on condition, so
	// nobody copies into this bucket.
	bucket.AddToResourcePolicy(neverInBucket(bucket, "NothingIsOverwritten", map[string]any{"Null": map[string]any{"s3:if-none-match": "true"}}, "s3:PutObject"))
	bucket.AddToResourcePolicy(neverInBucket(bucket, "NothingIsDeleted", nil, "s3:DeleteObject", "s3:DeleteObjectVersion"))
	justify(bucket, "AwsSolutions-S1", "Holds nothing but the public template; who reads it is no secret and proves nothing.")
	justify(bucket, "AwsSolutions-S2", "CloudFormation fetches the template as the customer, whose account is not known beforehand; ACLs stay "+
		"blocked and the policy admits GetObject under the templates' folders only.")
	return bucket
}

// neverInBucket denies actions on all objects to everybody, the account's root among them.
func neverInBucket(bucket awss3.Bucket, sid string, conditions map[string]any, actions ...string) awsiam.PolicyStatement {
	props := awsiam.PolicyStatementProps{
		Sid: jsii.String(sid), Effect: awsiam.Effect_DENY, Principals: &[]awsiam.IPrincipal{awsiam.NewAnyPrincipal()},
		Actions: jsii.Strings(actions...), Resources: &[]*string{bucket.ArnForObjects(jsii.String("*"))},
	}
	if conditions != nil {
		props.Conditions = &conditions
	}
	return awsiam.NewPolicyStatement(&props)
}

// publishedType is the custom resource that uploads what customers run from CDK's assets, by our own function: CDK's
// BucketDeployment and AwsCustomResource know no upload that overwrites nothing.
const publishedType = "Custom::PublishedTemplate"

// uploadTimeout in seconds; CloudFormation waits for it and for the two times that Lambda begins again.
const (
	uploadTimeout  = 30
	uploadPatience = 300
)

// A publication is one rendered template, or what belongs to it, on its way to the bucket.
type publication struct {
	rendered        templates.Rendered
	id, asset, file string     // of the uploaded resource, of the asset, and the asset's name
	kind            string     // content type; "" is a template's
	as              *published // nil where nothing else names it
}

// deployTemplates puts the rendered templates under their keys. Nothing deletes them, then or later: links and stacks name
// them. One function uploads them all, with rights on just these objects; it reads those that are there already.
func (p *platform) deployTemplates(bucket awss3.Bucket, all []publication) error {
	scope := constructs.NewConstruct(p.stack, jsii.String("Published"))
	var sources, targets []*string
	resources := make([]awscdk.CustomResourceProps, len(all))
	for i, t := range all {
		asset, err := newTextAsset(scope, t.asset, t.file, t.rendered.Body)
		if err != nil {
			return err
		}
		sources = append(sources, asset.Bucket().ArnForObjects(asset.S3ObjectKey()))
		targets = append(targets, bucket.ArnForObjects(jsii.String(t.rendered.Key)))
		contentType := "application/yaml"
		if t.kind != "" {
			contentType = t.kind
		}
		resources[i] = awscdk.CustomResourceProps{
			ResourceType: jsii.String(publishedType), ServiceTimeout: awscdk.Duration_Seconds(jsii.Number(uploadPatience)),
			Properties: &map[string]any{
				"From": *asset.S3BucketName() + "/" + *asset.S3ObjectKey(), "Key": t.rendered.Key, "ContentType": contentType,
			},
		}
	}
	function := p.newFunction(
		spec{fnUpload, "Rolecall: uploads what customers run, on deployment.", uploadTimeout, []string{envTemplates}},
		[]awsiam.PolicyStatement{
			allow("GetAssets", []string{"s3:GetObject"}, sources...),
			allow("PutTemplates", []string{"s3:PutObject", "s3:GetObject"}, targets...),
		},
		map[string]*string{envTemplates: bucket.BucketName()})
	for i, t := range all {
		resources[i].ServiceToken = function.AttrArn()
		resource := awscdk.NewCustomResource(scope, jsii.String(t.id), &resources[i])
		if t.as == nil {
			continue
		}
		*t.as = published{
			url: bucket.VirtualHostedUrlForObject(jsii.String(t.rendered.Key),
				&awss3.VirtualHostedStyleUrlOptions{Regional: jsii.Bool(true)}),
			version: t.rendered.Version, sha256: t.rendered.SHA256, resource: resource,
		}
	}
	return nil
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
