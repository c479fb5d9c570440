package connect

import "slices"

// A ResourceFilter says which of a tenant's connections a caller may use and change, as a claim of its token restricts
// it. The zero value admits none.
//
// What the claim is read against, ids and scopes, no restricted caller can change: nobody gives an id twice, and scopes
// concern the whole tenant, as do new connections and enrolments.
type ResourceFilter struct {
	unrestricted bool
	names        []string
}

// Unrestricted admits all of the tenant's connections, and what concerns the whole tenant.
func Unrestricted() ResourceFilter { return ResourceFilter{unrestricted: true} }

// RestrictedTo admits the connections that are named, by id or by one of their scopes, written as "project:web" or
// "organization". Without names it admits none.
func RestrictedTo(names ...string) ResourceFilter {
	return ResourceFilter{names: slices.Clone(names)}
}

// Admits reports whether the caller may use and change the connection.
func (f ResourceFilter) Admits(c Connection) bool {
	return f.unrestricted || slices.Contains(f.names, string(c.s.ID)) ||
		slices.ContainsFunc(c.s.Scopes, func(s Scope) bool { return slices.Contains(f.names, s.claimed()) })
}

// AdmitsTenant reports whether the caller may do what concerns the whole tenant: create connections, give and take
// scopes, enrol organizations.
func (f ResourceFilter) AdmitsTenant() bool { return f.unrestricted }

// claimed is the scope as a claim names it.
func (s Scope) claimed() string {
	if s.ID == "" {
		return string(s.Level)
	}
	return string(s.Level) + ":" + s.ID
}

// admit is the gate of every use and change of a connection.
func (f ResourceFilter) admit(c Connection) error {
	if f.Admits(c) {
		return nil
	}
	return &Error{
		Kind: KindDenied, Code: CodeConnectionNotAllowed, Message: "the token is restricted to other connections",
		Fix: "Have the identity provider name this connection, or one of its scopes, in the claim that restricts the token.",
	}
}

// admitTenant is the gate of what concerns the whole tenant.
func (f ResourceFilter) admitTenant() error {
	if f.AdmitsTenant() {
		return nil
	}
	return &Error{
		Kind: KindDenied, Code: CodeConnectionNotAllowed,
		Message: "the token is restricted to some connections, and this concerns the whole tenant",
		Fix:     "Use a token without the claim that restricts it.",
	}
}
