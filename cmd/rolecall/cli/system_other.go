//go:build !unix

package cli

import "os"

// passedOn are the signals that a command gets when this program does.
var passedOn = []os.Signal{os.Interrupt}

// fromTerminal says whether a signal is one that a terminal sends to all programs in its foreground.
func fromTerminal(os.Signal) bool { return true }

// statusOf is the exit status of a program that has ended.
func statusOf(s *os.ProcessState) int { return s.ExitCode() }

// Replace cannot be had on this system.
func Replace(string, []string, []string) error { return ErrCannotReplace }
