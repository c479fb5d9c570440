package store_test

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"rolecall/shared/connect"
	"rolecall/shared/store"
)

func intakes(s *store.Store) connect.Intakes {
	return connect.Intakes{
		Store: s, Clock: func() time.Time { return noon }, Random: crand.Reader,
		Deployment: connect.Deployment{
			Platform: connect.Platform{Partition: connect.PartitionAWS}, Regions: []connect.Region{"eu-west-1"},
			Permissions: []connect.PermissionSet{{Name: "read-only"}},
		},
	}
}

// However many ask at once, a tenant has one intake; the same again once it is used up.
func TestOneIntake(t *testing.T) {
	s := newStore(t)
	ctx := context.Background()
	u := intakes(s)
	var seen [3]connect.ConnectionID
	for round := range seen {
		var first atomic.Pointer[connect.ConnectionID]
		race(50, func(int) {
			for {
				c, err := u.Open(ctx, "acme", "ada", connect.Unrestricted())
				if errors.Is(err, connect.ErrConflict) {
					continue
				}
				id := c.ID()
				if err != nil || (!first.CompareAndSwap(nil, &id) && *first.Load() != id) {
					t.Errorf("round %d: %s and %s, %v", round, *first.Load(), id, err)
				}
				return
			}
		})
		seen[round] = *first.Load()
		c, err := s.Connection(ctx, seen[round])
		if err != nil {
			t.Fatal(err)
		}
		ch, err := c.Delete(noon, "ada")
		commit(t, s, ch, err)
	}
	if seen[0] == seen[1] || seen[1] == seen[2] || seen[0] == seen[2] {
		t.Errorf("a deleted connection is open: %v", seen)
	}
	page, err := s.Connections(ctx, "acme", connect.ListQuery{Status: connect.StatusDeleted, Limit: 100})
	if err != nil || len(page.Items) != len(seen) {
		t.Errorf("%d connections were made, %v", len(page.Items), err)
	}
	if id, err := s.Intake(ctx, "other"); id != "" || err != nil {
		t.Errorf("another tenant's: %s, %v", id, err)
	}
}

func TestRoleHolder(t *testing.T) {
	s := newStore(t)
	ctx := context.Background()
	want := func(arn string, holder connect.ConnectionID) {
		t.Helper()
		for tenant, id := range map[connect.TenantID]connect.ConnectionID{"acme": holder, "other": ""} {
			if got, err := s.RoleHolder(ctx, tenant, role(t, arn)); got != id || err != nil {
				t.Errorf("%s of %s: %s, %v", arn, tenant, got, err)
			}
		}
	}
	want(roleOne, "")
	c := enabled(t, s, "acme", "one", roleOne)
	want(roleOne, c.ID())
	ch, err := c.ReportRole(role(t, roleTwo), noon, "ada")
	c = commit(t, s, ch, err)
	want(roleTwo, c.ID()) // on trial
	ch, err = c.Delete(noon, "ada")
	commit(t, s, ch, err)
	want(roleOne, "")
	want(roleTwo, "")
}

// An account that is added again and again is named on and on.
func TestNamesOfAccounts(t *testing.T) {
	s := newStore(t)
	ctx := context.Background()
	u := intakes(s)
	for i, want := range []connect.Name{"AWS Account (222222222222)", "AWS Account (222222222222) 2", "AWS Account (222222222222) 3"} {
		c, err := u.Open(ctx, "acme", "ada", connect.Unrestricted())
		if err != nil {
			t.Fatal(err)
		}
		ch, err := c.ReportRole(role(t, fmt.Sprint(roleOne, i)), noon, "ada")
		c = commit(t, s, ch, err)
		v, _ := c.Trial()
		ch, err = c.Tried(v.Run, v.Attempt, good(noon), 0, noon)
		c = commit(t, s, ch, err)
		if _, err := u.Open(ctx, "acme", "ada", connect.Unrestricted()); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Connection(ctx, c.ID()); err != nil || got.Snapshot().Name != want {
			t.Errorf("%q, want %q, %v", got.Snapshot().Name, want, err)
		}
	}
}
