package storetest

import (
	crand "crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"rolecall/shared/connect"
)

func intakes(s Store) connect.Intakes {
	return connect.Intakes{Store: s, Clock: atNoon, Random: crand.Reader, Deployment: deployment()}
}

// TestOneIntake is a tenant's, however many ask at once; the same again once it is used up.
func TestOneIntake(t *testing.T, s Store) {
	ctx := t.Context()
	u := intakes(s)
	var seen [3]connect.ConnectionID
	for round := range seen {
		var first atomic.Pointer[connect.ConnectionID]
		Race(50, func(int) {
			c, err := connect.Connection{}, error(connect.ErrConflict)
			for errors.Is(err, connect.ErrConflict) {
				c, err = u.Open(ctx, "acme", "ada", connect.Unrestricted())
			}
			id := c.ID()
			if err != nil || (!first.CompareAndSwap(nil, &id) && *first.Load() != id) {
				t.Errorf("round %d: %s and %s, %v", round, *first.Load(), id, err)
			}
		})
		seen[round] = *first.Load()
		c, err := s.Connection(ctx, seen[round])
		if err != nil {
			t.Fatal(err)
		}
		ch, err := c.Delete(Noon, "ada")
		Commit(t, s, ch, err)
	}
	if seen[0] == seen[1] || seen[1] == seen[2] || seen[0] == seen[2] {
		t.Errorf("a deleted connection is open: %v", seen)
	}
	page, err := s.Connections(ctx, "acme", connect.ListQuery{Status: connect.StatusDeleted, Limit: 100})
	if err != nil || len(page.Items) != len(seen) {
		t.Errorf("%d connections were made, %v", len(page.Items), err)
	}
	meddled := &between{Store: s}
	meddled.meanwhile = func() {
		if _, err := u.Open(ctx, "third", "eve", connect.Unrestricted()); err != nil {
			t.Error(err)
		}
	}
	ours, err := intakes(meddled).Open(ctx, "third", "ada", connect.Unrestricted())
	if theirs, readErr := s.Intake(ctx, "third"); err != nil || readErr != nil || ours.ID() != theirs || ours.Snapshot().CreatedBy != "eve" {
		t.Errorf("of two at the same instant the slower one got %s, %v; the other one made %s, %v", ours.ID(), err, theirs, readErr)
	}
	if id, err := s.Intake(ctx, "other"); id != "" || err != nil {
		t.Errorf("another tenant's: %s, %v", id, err)
	}
}

// TestNamesOfAccounts go on and on for an account that is added again and again.
func TestNamesOfAccounts(t *testing.T, s Store) {
	u := intakes(s)
	for i, want := range []connect.Name{"AWS Account (222222222222)", "AWS Account (222222222222) 2", "AWS Account (222222222222) 3"} {
		c, err := u.Open(t.Context(), "acme", "ada", connect.Unrestricted())
		if err != nil {
			t.Fatal(err)
		}
		c = enabledBy(t, s, c, fmt.Sprint(roleOne, i), Good(Noon))
		if _, err := u.Open(t.Context(), "acme", "ada", connect.Unrestricted()); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Connection(t.Context(), c.ID()); err != nil || got.Snapshot().Name != want {
			t.Errorf("%q, want %q, %v", got.Snapshot().Name, want, err)
		}
	}
}
