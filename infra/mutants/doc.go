// Package mutants shows that the tests of docs/security.md can fail. Each row of its table takes one defence away, and the test
// that docs/security.md names for it must then fail. Everything is in its tests; `make mutants` runs all rows.
package mutants
