package wire

import (
	"net/http"
	"strings"
)

// Each family of AWS services has its own words for the same few refusals. The packages that refuse say one of them;
// the tables here turn it into the words of the family that was asked, so that clients recognise it.

// A refusal is a reason why a call is turned away before its service sees it.
type refusal int

const (
	denied       refusal = iota // the principal lacks a permission
	unknownKey                  // nobody has this access key, or the token does not belong to it
	expired                     // the session has ended
	badSignature                // made with another secret
)

// refusalOf recognises a refusal in any family's words.
func refusalOf(code string) (refusal, bool) {
	switch code {
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError":
		return denied, true
	case "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "AuthFailure":
		return unknownKey, true
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired":
		return expired, true
	case "SignatureDoesNotMatch", "InvalidSignatureException":
		return badSignature, true
	}
	return 0, false
}

// words answers the code and status with which a service refuses.
func (r refusal) words(p protocol, service string) (code string, status int) {
	switch p {
	case protocolJSON:
		return r.jsonCode(), http.StatusBadRequest
	case protocolREST:
		return r.jsonCode(), http.StatusForbidden
	case protocolEC2:
		return r.ec2Words()
	case protocolS3:
		return r.s3Words()
	case protocolQuery:
	}
	if r == denied && service == "sns" { // the one Query service with a word of its own
		return "AuthorizationError", http.StatusForbidden
	}
	return r.queryCode(), http.StatusForbidden
}

func (r refusal) queryCode() string {
	switch r {
	case unknownKey:
		return "InvalidClientTokenId"
	case expired:
		return "ExpiredToken"
	case badSignature:
		return "SignatureDoesNotMatch"
	case denied:
	}
	return "AccessDenied"
}

func (r refusal) jsonCode() string {
	switch r {
	case unknownKey:
		return "UnrecognizedClientException"
	case expired:
		return "ExpiredTokenException"
	case badSignature:
		return "InvalidSignatureException"
	case denied:
	}
	return "AccessDeniedException"
}

func (r refusal) ec2Words() (code string, status int) {
	switch r {
	case unknownKey, badSignature:
		return "AuthFailure", http.StatusUnauthorized
	case expired:
		return "RequestExpired", http.StatusBadRequest
	case denied:
	}
	return "UnauthorizedOperation", http.StatusForbidden
}

func (r refusal) s3Words() (code string, status int) {
	switch r {
	case unknownKey:
		return "InvalidAccessKeyId", http.StatusForbidden
	case expired:
		return "ExpiredToken", http.StatusBadRequest
	case badSignature:
		return "SignatureDoesNotMatch", http.StatusForbidden
	case denied:
	}
	return "AccessDenied", http.StatusForbidden
}

// unknownOperation is how each family says that it has no such operation.
func unknownOperation(p protocol) (code string, status int) {
	switch p {
	case protocolJSON:
		return "UnknownOperationException", http.StatusBadRequest
	case protocolREST:
		return "UnknownOperationException", http.StatusNotFound
	case protocolS3:
		return "NotImplemented", http.StatusNotImplemented
	case protocolQuery, protocolEC2:
	}
	return "InvalidAction", http.StatusBadRequest
}

// SQS spoke Query before it spoke JSON. Clients of both ages look for its errors under the old names, which a header
// carries beside the new ones.
const sqsPrefix = "AWS.SimpleQueueService."

// queryName answers the old name of an error; most never had another.
func queryName(code string) string {
	switch code {
	case "QueueDoesNotExist":
		return sqsPrefix + "NonExistentQueue"
	case "BatchEntryIdsNotDistinct", "BatchRequestTooLong", "EmptyBatchRequest", "InvalidBatchEntryId",
		"MessageNotInflight", "PurgeQueueInProgress", "QueueDeletedRecently", "TooManyEntriesInBatchRequest",
		"UnsupportedOperation":
		return sqsPrefix + code
	case "QueueNameExists":
		return "QueueAlreadyExists"
	}
	if r, ok := refusalOf(code); ok {
		return r.queryCode()
	}
	return code
}

// shapeName answers the new name for either name of an error.
func shapeName(code string) string {
	switch code {
	case sqsPrefix + "NonExistentQueue":
		return "QueueDoesNotExist"
	case "QueueAlreadyExists":
		return "QueueNameExists"
	}
	return strings.TrimPrefix(code, sqsPrefix)
}
