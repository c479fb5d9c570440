//go:build laptop

package customresource

import (
	"net/netip"
	"os"
)

// localBucket is the address of the bucket in which the laptop's pocket AWS takes answers: on a loopback address with its
// port, and below a path that stands for the bucket's host name. It stands in a file that only the laptop's build has, so
// that no setting of a deployed function can bring it back.
func localBucket() string {
	host := os.Getenv("ROLECALL_LOCAL_RESPONSE_HOST") //nolint:forbidigo // not in shared/config, so that no deployed binary has it
	address, err := netip.ParseAddrPort(host)
	if err != nil || !address.Addr().IsLoopback() {
		return ""
	}
	return "http://" + address.String() + "/_cfn-response"
}
