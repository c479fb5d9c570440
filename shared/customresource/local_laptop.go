//go:build laptop

package customresource

import (
	"net/netip"
	"os"
)

// localHost is where the laptop's pocket AWS takes answers: a loopback address with its port. It stands in a file that
// only the laptop's build has, so that no setting of a deployed function can bring it back.
func localHost() string {
	host := os.Getenv("ROLECALL_LOCAL_RESPONSE_HOST") //nolint:forbidigo // not in shared/config, so that no deployed binary has it
	address, err := netip.ParseAddrPort(host)
	if err != nil || !address.Addr().IsLoopback() {
		return ""
	}
	return address.String()
}
