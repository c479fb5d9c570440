package broker

import (
	"regexp"
	"testing"
)

func TestEventIDsAreNew(t *testing.T) {
	form := regexp.MustCompile(`^evt_[0-9a-z]{26,}$`) // as the contract's schema has it
	seen := map[string]bool{}
	for range 100_000 {
		id := eventID()
		if seen[id] || !form.MatchString(id) {
			t.Fatalf("%q is old or malformed", id)
		}
		seen[id] = true
	}
}
