//go:build laptop

package webhook

// admitsLoopback lets the laptop's function post to a receiver beside it, by plain http. It stands in a file that only the
// laptop's build has, so that no setting of a deployed function can bring it back.
func admitsLoopback() bool { return true }
