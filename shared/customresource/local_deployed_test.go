//go:build !laptop

package customresource

import "testing"

func TestNoSettingOpensADeployedFunction(t *testing.T) {
	t.Setenv("ROLECALL_LOCAL_RESPONSE_HOST", "127.0.0.1:4566")
	if b := localBucket(); b != "" {
		t.Errorf("local bucket %q", b)
	}
	if _, err := responseURL("http://127.0.0.1:4566/_cfn-response"+key+signature, namesIn(t, "aws", "eu-west-1")); err == nil {
		t.Error("the laptop's URL was taken")
	}
}
