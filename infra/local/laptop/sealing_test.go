package laptop_test

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// The functions may use the sealing key for one tenant's one connection at a time, and in no other way.
func TestSealingIsForOneConnection(t *testing.T) {
	keys, err := kms.NewFromConfig(awsConfig("111111111111", "any", "", "eu-west-1")).ListKeys(context.Background(), &kms.ListKeysInput{})
	if err != nil || len(keys.Keys) == 0 {
		t.Fatal(keys, err)
	}
	allowed := func(function, action string, encryption map[string]string) bool {
		return slices.ContainsFunc(keys.Keys, func(key kmstypes.KeyListEntry) bool {
			out, err := iamOf("111111111111").SimulatePrincipalPolicy(context.Background(), &iam.SimulatePrincipalPolicyInput{
				PolicySourceArn: aws.String("arn:aws:iam::111111111111:role/" + pathOf[function] + roleOf(t, "rolecall-"+function)),
				ActionNames:     []string{action}, ResourceArns: []string{*key.KeyArn}, ContextEntries: entries(encryption),
			})
			if err != nil {
				t.Fatal(err)
			}
			return out.EvaluationResults[0].EvalDecision == types.PolicyEvaluationDecisionTypeAllowed
		})
	}
	for _, tt := range []struct {
		encryption map[string]string
		want       bool
	}{
		{map[string]string{"tenant": "acme", "connection": "conn_1"}, true},
		{nil, false},
		{map[string]string{"tenant": "acme"}, false},
		{map[string]string{"connection": "conn_1"}, false},
		{map[string]string{"tenant": "acme", "connection": "conn_1", "more": "1"}, false},
	} {
		for function, action := range map[string]string{"api": "kms:Encrypt", "broker": "kms:Decrypt", "verify": "kms:Decrypt"} {
			if got := allowed(function, action, tt.encryption); got != tt.want {
				t.Errorf("%s may %s with %v: %t", function, action, tt.encryption, got)
			}
		}
	}
}

// pathOf is where the roles that assume customers' roles lie.
var pathOf = map[string]string{"broker": "rolecall/", "verify": "rolecall/"}

// entries are the condition keys of a request with an encryption context, as KMS makes them.
func entries(encryption map[string]string) (out []types.ContextEntry) {
	if len(encryption) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(encryption))
	out = append(out, types.ContextEntry{
		ContextKeyName: aws.String("kms:EncryptionContextKeys"), ContextKeyType: types.ContextKeyTypeEnumStringList, ContextKeyValues: names,
	})
	for _, n := range names {
		out = append(out, types.ContextEntry{
			ContextKeyName: aws.String("kms:EncryptionContext:" + n), ContextKeyType: types.ContextKeyTypeEnumString, ContextKeyValues: []string{encryption[n]},
		})
	}
	return out
}
