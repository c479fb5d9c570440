package connect

import "slices"

// An Allowance is the part of a tenant's connections for which a caller gets credentials: connection ids, and scopes
// written as "project:web" or "organization". An empty one allows none; a caller without one is not restricted.
type Allowance []string

// admits says that a connection, or one of its scopes, is named.
func (a Allowance) admits(c Connection) bool {
	if slices.Contains(a, string(c.s.ID)) {
		return true
	}
	return slices.ContainsFunc(c.s.Scopes, func(s Scope) bool {
		name := string(s.Level)
		if s.ID != "" {
			name += ":" + s.ID
		}
		return slices.Contains(a, name)
	})
}

var errNotAllowed = &Error{
	Kind: KindDenied, Code: CodeConnectionNotAllowed, Message: "the token allows credentials for other connections alone",
	Fix: "Have the identity provider name this connection, or one of its scopes, in the claim that restricts the token.",
}
