package customresource

import (
	"regexp"
	"time"

	"rolecall/shared/connect"
)

// What is said here of CloudFormation's addresses comes from recorded ones, see recorded_test.go, and has not been measured
// everywhere: GovCloud's and StackSets' are not among them. An alarm on [CallbacksDropped] by reason shows within minutes
// where it does not hold.
const (
	// longestLife is how long an address lives; some live a second less.
	longestLife = 7200 * time.Second
	// skew is how far CloudFormation's clock may be ahead of SNS's.
	skew = 5 * time.Minute
	// margin is what an answer needs until the bucket has looked at its address.
	margin = 5 * time.Second
)

// names are what an object's key says: which request of which resource of which stack the object answers. S3's 200 proves
// that CloudFormation made that request, and nothing else.
type names struct {
	stack                connect.StackID
	logicalID, requestID string
}

var (
	requestIDRE = regexp.MustCompile(`^[0-9A-Za-z-]{1,256}$`)
	logicalIDRE = regexp.MustCompile(`^[0-9A-Za-z]{1,256}$`)
)

// readNames takes only ids as CloudFormation makes them, so that no part of a key can pass for another.
func readNames(stackID, logicalID, requestID string) (names, error) {
	stack, err := connect.ParseStackID(stackID)
	if err != nil {
		return names{}, drop(DropStack, "the StackId is none")
	}
	if !logicalIDRE.MatchString(logicalID) || !requestIDRE.MatchString(requestID) {
		return names{}, drop(DropIDs, "RequestId or LogicalResourceId is not as CloudFormation writes it")
	}
	return names{stack, logicalID, requestID}, nil
}

// keyForms say, for each partition, how an object's key names its request. A partition without one is answered nothing: to
// take an address whose key does not name the request would be to prove nothing.
var keyForms = map[connect.Partition]func(names) string{
	connect.PartitionAWS:   pipedKey,
	connect.PartitionChina: pipedKey,
	connect.PartitionGov:   pipedKey,
}

func pipedKey(n names) string { return n.stack.String() + "|" + n.logicalID + "|" + n.requestID }
