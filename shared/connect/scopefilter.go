package connect

import (
	"slices"
	"strings"
)

// A ScopeFilter picks connections by where they apply: with one scope, or without an ID with any scope of a level. The zero
// filter picks all.
type ScopeFilter Scope

// ParseScopeFilter reads a filter as people write it: "project:web", or "project" for all projects; "" is the zero filter.
func ParseScopeFilter(text string) (ScopeFilter, error) {
	level, id, one := strings.Cut(text, ":")
	if text == "" || (!one && slices.Contains(ScopeLevels(), ScopeLevel(level))) {
		return ScopeFilter{Level: ScopeLevel(level)}, nil
	}
	s, err := ParseScope(level, id)
	return ScopeFilter(s), err
}

// Picks tells whether a connection has such a scope.
func (f ScopeFilter) Picks(c Connection) bool {
	return f.Level == "" || slices.ContainsFunc(c.s.Scopes, func(s Scope) bool {
		return s.Level == f.Level && (f.ID == "" || s.ID == f.ID)
	})
}
