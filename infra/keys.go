package main

import (
	"maps"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/jsii-runtime-go"
)

// A macKey is one of the keys of callback tokens. Tokens name their key by its number, so a number is never given twice.
type macKey struct {
	number string
	key    awskms.Key
}

// named is how functions are told of the key.
func (k macKey) named() string { return k.number + "=" + *k.key.KeyArn() }

// addKeys makes the keys. All outlive the stack: what is in the table can be read with no other, and links that customers
// hold name a MAC of no other.
func (p *platform) addKeys() {
	p.sealingKey = p.newKey("SealingKey", awskms.KeyProps{
		Description:       jsii.String("Rolecall: encrypts customers' access keys"),
		EnableKeyRotation: jsii.Bool(true),
		RemovalPolicy:     awscdk.RemovalPolicy_RETAIN,
	})
	for _, number := range p.cfg.macKeys {
		id, description := "Mac"+number+"Key", "Rolecall: makes and verifies callback tokens, key "+number
		if number == "1" { // as it was called when it was the only one
			id, description = "MacKey", "Rolecall: makes and verifies callback tokens"
		}
		p.macKeys = append(p.macKeys, macKey{number, p.newKey(id, awskms.KeyProps{
			Description:   jsii.String(description),
			KeySpec:       awskms.KeySpec_HMAC_256,
			KeyUsage:      awskms.KeyUsage_GENERATE_VERIFY_MAC,
			RemovalPolicy: awscdk.RemovalPolicy_RETAIN,
		})})
	}
}

// newKey makes a key that the account administers and that nobody may use until [platform.use] says so. The account's own
// statement names each action: kms:CreateGrant, for one, would give the rest away.
func (p *platform) newKey(id string, props awskms.KeyProps) awskms.Key {
	props.Policy = document(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("AccountAdministers"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewAccountRootPrincipal()},
		Actions: jsii.Strings(
			"kms:DescribeKey", "kms:UpdateKeyDescription", "kms:EnableKey", "kms:DisableKey", "kms:ScheduleKeyDeletion", "kms:CancelKeyDeletion",
			"kms:GetKeyPolicy", "kms:PutKeyPolicy", "kms:ListKeyPolicies", "kms:ListGrants", "kms:RevokeGrant",
			"kms:EnableKeyRotation", "kms:DisableKeyRotation", "kms:GetKeyRotationStatus", "kms:RotateKeyOnDemand", "kms:ListKeyRotations",
			"kms:CreateAlias", "kms:UpdateAlias", "kms:DeleteAlias", "kms:TagResource", "kms:UntagResource", "kms:ListResourceTags",
		),
		Resources: jsii.Strings("*"), // in a key's policy: this key
	}))
	return awskms.NewKey(p.stack, jsii.String(id), &props)
}

// use lets a role of ours perform a cryptographic action with keys. It takes two statements: the role's, which this answers,
// and one of each key, which leaves the decision to the account's IAM for that role's ARN alone. The ARN is written out,
// since a key that referred to a role that refers to the key would be a circle.
func (p *platform) use(role, sid, action string, conditions map[string]any, keys ...awskms.Key) awsiam.PolicyStatement {
	own := maps.Clone(conditions)
	if own == nil {
		own = map[string]any{}
	}
	own["StringEquals"] = map[string]any{"aws:PrincipalArn": p.cfg.roleARN(role)}
	props := awsiam.PolicyStatementProps{Sid: jsii.String(sid), Actions: jsii.Strings(action), Resources: &[]*string{}}
	if conditions != nil {
		props.Conditions = &conditions
	}
	for _, key := range keys {
		*props.Resources = append(*props.Resources, key.KeyArn())
		key.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Sid:        jsii.String(constructID(sidOf(role)) + sid),
			Principals: &[]awsiam.IPrincipal{awsiam.NewAccountRootPrincipal()},
			Actions:    jsii.Strings(action),
			Resources:  jsii.Strings("*"),
			Conditions: &own,
		}), nil)
	}
	return awsiam.NewPolicyStatement(&props)
}
