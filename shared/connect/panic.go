package connect

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
)

// Panicked is the error of a panic that was recovered, with the stack for the log; call it in the deferred function itself.
// Of the value it tells no more than its type, unless the Go runtime made it: whatever else code panics with may hold a request
// and its signature, or text that a secret was written into.
func Panicked(value any) error {
	what := fmt.Sprintf("%T", value)
	var fault runtime.Error
	if err, ok := value.(error); ok && errors.As(err, &fault) {
		what = fault.Error()
	}
	return fmt.Errorf("panic: %s\n%s", what, debug.Stack())
}

// Recovered makes a panic the error of what it has ended; defer it.
func Recovered(err *error) {
	if v := recover(); v != nil {
		*err = Panicked(v)
	}
}
