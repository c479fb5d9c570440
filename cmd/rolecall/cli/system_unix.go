//go:build unix

package cli

import (
	"os"
	"syscall"

	"golang.org/x/term"
)

// passedOn are the signals that a command gets when this program does.
var passedOn = []os.Signal{
	syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGCONT,
}

// fromTerminal says whether a signal is one that a terminal sends to all programs in its foreground.
func fromTerminal(s os.Signal) bool {
	return (s == syscall.SIGINT || s == syscall.SIGQUIT || s == syscall.SIGWINCH) && term.IsTerminal(int(os.Stdin.Fd()))
}

// statusOf is the exit status as a shell tells it: 128 and the signal's number for a command that a signal has ended.
func statusOf(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}

// Replace puts a program in this one's place; it comes back only if it could not.
func Replace(path string, args, environ []string) error {
	return syscall.Exec(path, args, environ) //nolint:gosec // what the person wants to run
}
