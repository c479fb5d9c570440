package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"rolecall/shared/connect"
)

func holder(t testing.TB, s Store, tenant connect.TenantID, text string) connect.ConnectionID {
	t.Helper()
	held, err := s.Scoped(t.Context(), tenant, Scopes(text))
	if err != nil {
		t.Fatal(err)
	}
	return held[Scopes(text)[0]].ID()
}

// TestScopes are one connection's at a time within its tenant, and free again when they are given up or it is deleted.
func TestScopes(t *testing.T, s Store) {
	ctx := t.Context()
	c := scoped(t, s, "acme", "one", "organization", "project p1", "environment e1")
	d := Commit(t, s, Create(t, "acme", "two"), nil)
	var taken *connect.Error
	err := s.Commit(ctx, Rescoped(t, d, nil, "project p1", "project p2"))
	if !errors.As(err, &taken) || taken.Code != connect.CodeScopeTaken || taken.Connection != c.ID() || !strings.Contains(taken.Message, "project p1") {
		t.Fatalf("a scope of another connection: %v", err)
	}
	if got := holder(t, s, "acme", "project p2"); got != "" {
		t.Errorf("what was refused gave a scope to %s", got)
	}
	foreign := scoped(t, s, "other", "one", "organization", "project p1")
	asked := Scopes("organization", "project p1", "project p1", "project P1", "environment e1", "architecture e1")
	held, err := s.Scoped(ctx, "acme", asked)
	if err != nil || len(held) != 3 || held[asked[0]].ID() != c.ID() || !slices.Equal(held[asked[1]].Snapshot().Scopes, c.Snapshot().Scopes) {
		t.Errorf("%v, %v", held, err)
	}
	c = Commit(t, s, Rescoped(t, c, nil, "organization", "environment e1"), nil)
	d = Commit(t, s, Rescoped(t, d, nil, "project p1", "project p2"), nil)
	ch, err := c.Delete(Noon, "ada")
	Commit(t, s, ch, err)
	if got := holder(t, s, "acme", "organization"); got != "" {
		t.Errorf("a deleted connection has a scope: %s", got)
	}
	Commit(t, s, Rescoped(t, d, nil, "organization"), nil)
	if got := holder(t, s, "other", "organization"); got != foreign.ID() {
		t.Errorf("another tenant's scope is %s's", got)
	}
	if none, err := s.Scoped(ctx, "acme", nil); err != nil || len(none) != 0 {
		t.Errorf("no scopes: %v, %v", none, err)
	}
}

// TestTakeover changes all connections concerned or none of them; as many as there can be fit one transaction.
func TestTakeover(t *testing.T, s Store) {
	ctx := t.Context()
	var wanted, own []string
	var holders []connect.Connection
	for i := range connect.MaxScopes {
		wanted, own = append(wanted, fmt.Sprintf("project p%02d", i)), append(own, fmt.Sprintf("architecture a%02d", i))
		holders = append(holders, scoped(t, s, "acme", fmt.Sprint("holder ", i), wanted[i], fmt.Sprint("environment e", i)))
	}
	c := scoped(t, s, "acme", "taker", own...) // so that as many are given up, too
	take := Rescoped(t, c, holders, wanted...)
	moved := Commit(t, s, renamed(t, holders[7], "moved meanwhile"), nil)
	if err := s.Commit(ctx, take); !errors.Is(err, connect.ErrConflict) {
		t.Fatalf("one of the holders has changed: %v", err)
	}
	for i, h := range holders {
		if got := holder(t, s, "acme", wanted[i]); got != h.ID() {
			t.Fatalf("a takeover that failed gave %s to %s", wanted[i], got)
		}
	}
	holders[7] = moved
	c = Commit(t, s, Rescoped(t, c, holders, wanted...), nil)
	for i, h := range holders {
		if got := holder(t, s, "acme", wanted[i]); got != c.ID() {
			t.Errorf("%s is %s's", wanted[i], got)
		}
		now, err := s.Connection(ctx, h.ID())
		if err != nil || now.Version() != h.Version()+1 || !slices.Equal(now.Snapshot().Scopes, Scopes(fmt.Sprint("environment e", i))) {
			t.Errorf("holder %d: version %d, %v, %v", i, now.Version(), now.Snapshot().Scopes, err)
		}
		page, err := s.Events(ctx, h.ID(), connect.EventQuery{Limit: 1})
		if err != nil || page.Items[0].Data["takenBy"] != string(c.ID()) || page.Items[0].Sequence != now.Version() {
			t.Errorf("holder %d was told %+v, %v", i, page.Items, err)
		}
	}
	if got := holder(t, s, "acme", own[3]); got != "" {
		t.Errorf("%s was given up and is %s's", own[3], got)
	}
}

// TestScopeRace has a hundred connections want one scope: one gets it, and the others are told which.
func TestScopeRace(t *testing.T, s Store) {
	changes := make([]connect.Change, 100)
	for i := range changes {
		changes[i] = Rescoped(t, Commit(t, s, Create(t, "acme", fmt.Sprint("racer ", i)), nil), nil, "organization")
	}
	var won atomic.Pointer[connect.ConnectionID]
	named := make([]connect.ConnectionID, len(changes))
	Race(len(changes), func(i int) {
		err := error(connect.ErrConflict)
		for errors.Is(err, connect.ErrConflict) {
			err = s.Commit(t.Context(), changes[i])
		}
		var taken *connect.Error
		switch {
		case err == nil:
			if id := changes[i].Connection().ID(); !won.CompareAndSwap(nil, &id) {
				t.Errorf("%s won, too", id)
			}
		case errors.As(err, &taken):
			named[i] = taken.Connection
		default:
			t.Error(err)
		}
	})
	for i, id := range named {
		if id != *won.Load() && changes[i].Connection().ID() != *won.Load() {
			t.Errorf("racer %d was told that %q won", i, id)
		}
	}
}
