// Package policy reads and evaluates IAM policy documents the way IAM does, as far as Rolecall's templates and its
// customers' trust policies need it.
package policy

// A Document is a parsed policy. Parse makes one.
type Document struct {
	Version    string
	Statements []Statement
}

// A Statement is one statement of a policy; NotX fields hold what their AWS namesakes hold.
type Statement struct {
	Sid           string
	Effect        string              // "Allow" or "Deny"
	Principals    map[string][]string // "AWS", "Service", "Federated"; "*" alone is {"*": {"*"}}
	NotPrincipals map[string][]string
	Actions       []string
	NotActions    []string
	Resources     []string
	NotResources  []string
	Conditions    map[string]map[string][]string // operator → key → values
}

// A Request is what is evaluated against documents.
type Request struct {
	Action    string
	Resource  string
	Principal Principal
	Context   map[string][]string // condition keys, any case
}

// A Principal is matched against Principal elements.
type Principal struct {
	Account string
	ARN     string // the caller's ARN
	RoleARN string // the role behind a session, which Principal elements name too
	Service string // "sns.amazonaws.com" for a service acting for itself
}

// A Decision is what one document says of a request.
type Decision int

// Decisions; Deny wins over Allow wins over NoMatch.
const (
	NoMatch Decision = iota
	Allow
	Deny
)
