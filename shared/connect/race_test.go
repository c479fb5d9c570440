//go:build race

package connect_test

// raced says that the race detector watches: it makes what is sequential twenty times as slow, and remembers goroutines.
const raced = true
