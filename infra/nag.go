package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// justify tells cdk-nag why a finding of a rule stands at a construct's own resource. It writes the metadata that cdk-nag
// reads and so does without cdk-nag itself, which only the tests run: synthesis stays quick.
func justify(construct constructs.IConstruct, rule, reason string) {
	if !*awscdk.CfnResource_IsCfnResource(construct) {
		construct = construct.Node().DefaultChild()
	}
	var resource awscdk.CfnResource
	jsii.UnsafeCast(construct, &resource)
	const key = "cdk_nag"
	var rules []any
	if before, ok := resource.GetMetadata(jsii.String(key)).(map[string]any); ok {
		rules, _ = before["rules_to_suppress"].([]any)
	}
	rules = append(rules, map[string]any{"id": rule, "reason": reason})
	resource.AddMetadata(jsii.String(key), map[string]any{"rules_to_suppress": rules})
}
