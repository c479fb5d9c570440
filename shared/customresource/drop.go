package customresource

// A DropReason says, in one word for a metric, why a message was dropped.
type DropReason string

// Reasons to drop a message.
const (
	DropEnvelope  DropReason = "envelope"  // no notification of SNS
	DropTopic     DropReason = "topic"     // of a topic that is not ours
	DropMessage   DropReason = "message"   // no request of a custom resource
	DropStack     DropReason = "stack"     // of a stack that cannot report to the topic
	DropIDs       DropReason = "ids"       // with ids that CloudFormation does not make
	DropHost      DropReason = "host"      // to be answered where CloudFormation has no bucket
	DropKey       DropReason = "key"       // to be answered in another request's place
	DropSignature DropReason = "signature" // with an address that is not signed as CloudFormation signs
	DropDate      DropReason = "date"      // signed at another time than it was sent
	DropExpired   DropReason = "expired"   // so late that no answer is taken any more
	DropRefused   DropReason = "answer_refused"
)

// CallbacksDropped is the metric of dropped messages; its dimension is Reason.
const CallbacksDropped = "CallbacksDropped"

// A Dropped is the error of a message that CloudFormation did not send, or whose answer it does not take any more:
// delivering it again changes nothing. It never has the ResponseURL in it, since whoever has the URL can answer.
type Dropped struct {
	Reason DropReason
	Why    string
}

func (d *Dropped) Error() string { return "dropped: " + d.Why }

func drop(reason DropReason, why string) error { return &Dropped{reason, why} }
