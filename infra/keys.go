package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/jsii-runtime-go"
)

// addKeys makes the two keys. Both outlive the stack: what is in the table can be read with no other, and links that
// customers hold name a MAC of no other.
func (p *platform) addKeys() {
	p.sealingKey = awskms.NewKey(p.stack, jsii.String("SealingKey"), &awskms.KeyProps{
		Description:       jsii.String("Rolecall: encrypts customers' access keys"),
		EnableKeyRotation: jsii.Bool(true),
		RemovalPolicy:     awscdk.RemovalPolicy_RETAIN,
	})
	p.macKey = awskms.NewKey(p.stack, jsii.String("MacKey"), &awskms.KeyProps{
		Description:   jsii.String("Rolecall: makes and verifies callback tokens"),
		KeySpec:       awskms.KeySpec_HMAC_256,
		KeyUsage:      awskms.KeyUsage_GENERATE_VERIFY_MAC,
		RemovalPolicy: awscdk.RemovalPolicy_RETAIN,
	})
}
