//go:build laptop

package customresource

import "testing"

func TestLaptopTakesLoopbackOnly(t *testing.T) {
	for host, want := range map[string]string{
		"127.0.0.1:4566": "http://127.0.0.1:4566/_cfn-response", "[::1]:4566": "http://[::1]:4566/_cfn-response", "": "", "192.0.2.1:4566": "", "attacker.example:80": "",
		"localhost:4566": "", "127.0.0.1": "", "127.0.0.1:4566@attacker.example": "",
	} {
		t.Setenv("ROLECALL_LOCAL_RESPONSE_HOST", host)
		if got := localBucket(); got != want {
			t.Errorf("%q → %q, want %q", host, got, want)
		}
	}
}
