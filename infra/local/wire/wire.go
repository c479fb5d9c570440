// Package wire carries AWS API requests into the pocket AWS: it reads who signed a request, which service and operation
// it names, asks whether the caller may, serves it, and keeps a journal of what was asked.
//
// Every service of the pocket AWS implements [Service]. Of a particular one this package knows no more than its dialect:
// EC2, S3, SNS and SQS have words of their own for errors.
//
// A request is taken apart in request.go, answered in the shape of its protocol in answer.go, and turned away in the words
// of its family in refusal.go; server.go leads it through, and fault.go spoils what an [Injector] strikes.
package wire

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"rolecall/infra/local/policy"
)

// A Principal is the authenticated sender of a call.
type Principal struct {
	Account        string            // 12 digits
	ARN            string            // arn:aws:iam::123456789012:root, a user's ARN, or arn:aws:sts::…:assumed-role/…
	UserID         string            // "AROA…:session" for role sessions, the account for root
	RoleARN        string            // the role behind a session; empty otherwise
	AccessKeyID    string            // as in the signature
	Service        string            // "sns.amazonaws.com" where a service of the pocket AWS acts for itself
	CalledVia      []string          // services that act for the principal, such as "cloudformation.amazonaws.com"
	SourceIdentity string            // of a role session
	Tags           map[string]string // session tags
	SessionPolicy  []policy.Document // policies given to AssumeRole; each one narrows the session
}

// A Call is one authenticated API request.
type Call struct {
	Service   string // the service of the signature's scope: "sts", "dynamodb", "sqs", "events", "kms", …
	Operation string // "AssumeRole"
	Region    string // the Region of the signature's scope
	RequestID string
	Principal Principal
	Form      url.Values // the Query protocols (STS, IAM, CloudFormation, SNS, EC2)
	Body      []byte     // as received; the JSON protocols' input
	HTTP      *http.Request

	fault *Fault // what strikes it, nil for nothing
}

// Decode reads the JSON body of the call into v; a bad body is a SerializationException.
func (c *Call) Decode(v any) error {
	if len(c.Body) == 0 {
		return nil
	}
	if err := json.Unmarshal(c.Body, v); err != nil {
		return &Error{Code: "SerializationException", Message: err.Error(), Status: http.StatusBadRequest}
	}
	return nil
}

// A Need is one permission that a call takes.
type Need struct {
	Action   string              // "sqs:SendMessage"
	Resource string              // an ARN, or "*"
	Context  map[string][]string // condition keys beyond the global ones, such as "sts:ExternalId"
	// ResourcePolicy is the policy of the resource itself (queue, topic, key, bucket), nil where it has none.
	ResourcePolicy *policy.Document
	// ResourceAccount owns the resource; empty means the caller's own account.
	ResourceAccount string
	// PolicyDecides is set where the resource's policy must allow and an identity policy alone is not enough
	// (KMS keys and role trust policies).
	PolicyDecides bool
}

// A Service answers the calls of one AWS service.
type Service interface {
	// Needs says what the caller must be permitted; nil for calls that need nothing (sts:GetCallerIdentity).
	// A call on something that does not exist may answer with an [Error] right away.
	Needs(call *Call) ([]Need, error)
	// Serve performs the call. An unknown operation is an [Error] with code "InvalidAction" that names it.
	Serve(ctx context.Context, call *Call) (Response, error)
}

// A Response is what a service answers: either Raw with its content type, or a value that the wire encodes:
// JSON for calls that came as JSON, XML for the Query protocols (then it is the content of <OperationResult>).
type Response struct {
	Value       any
	Raw         []byte
	ContentType string
	Header      http.Header
	Status      int // 0 means 200
}

// An Error is an API error as AWS would answer it.
type Error struct {
	Code    string // "AccessDenied"
	Message string
	Status  int            // 0 means 400
	Fields  map[string]any // further members of a JSON error, such as CancellationReasons
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Authenticator finds the principal behind an access key id; token is the session token or "".
type Authenticator interface {
	Authenticate(accessKeyID, token string) (Principal, error)
}

// Authorizer decides whether a principal has what a call needs; a refusal is an [Error] with AWS's words.
type Authorizer interface {
	Authorize(p Principal, need Need) error
}

// An Entry is one line of the journal. It holds no input and no output: those carry secrets.
type Entry struct {
	At        time.Time
	Service   string
	Operation string
	Region    string
	Caller    string // the principal's ARN
	Status    int    // as the client saw it; 0 where a fault kept the answer back
	Code      string // the error's code, "" for success
	// Fault is the injected fault, such as "error500", or "reset after" where the call was performed; "" for none.
	Fault string
}
