package connect_test

import (
	"context"
	crand "crypto/rand"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rolecall/shared/connect"
)

// A ledger is a store of one tenant that keeps what connections own as records, each written at most once by a
// transaction, as DynamoDB demands.
type ledger struct {
	lists
	owners map[string]connect.ConnectionID // "name production", "scope project p1"
	fatal  func(format string, args ...any)
}

func (l *ledger) Commit(ctx context.Context, ch connect.Change) error {
	owners := map[string]connect.ConnectionID{}
	touched := map[string]bool{}
	touch := func(record string) {
		if touched[record] {
			l.fatal("%s is written twice in one transaction", record)
		}
		touched[record] = true
	}
	all := append([]connect.Change{ch}, ch.Also()...)
	for _, one := range all {
		c := one.Connection()
		touch("connection " + string(c.ID()))
		if l.conns[c.ID()].Version() != one.Expect() {
			return connect.ErrConflict
		}
		if name := "name " + c.Snapshot().Name.Folded(); one.ReservesName() {
			touch(name)
			if holder := l.owners[name]; holder != "" && holder != c.ID() {
				return connect.ErrNameTaken
			}
			owners[name] = c.ID()
		}
		for _, claim := range one.ClaimsScopes() {
			scope := "scope " + claim.Scope.String()
			touch(scope)
			switch holder := l.owners[scope]; {
			case claim.From != "" && holder != claim.From:
				return connect.ErrConflict
			case claim.From == "" && holder != "" && holder != c.ID():
				return connect.ErrScopeTaken(claim.Scope, holder)
			}
			owners[scope] = c.ID()
		}
		for _, s := range one.ReleasesScopes() {
			scope := "scope " + s.String()
			touch(scope)
			if l.owners[scope] != c.ID() {
				l.fatal("%s releases %s, which is %q's", c.ID(), scope, l.owners[scope])
			}
			owners[scope] = ""
		}
	}
	for record, id := range owners {
		l.owners[record] = id
	}
	for _, one := range all {
		if err := l.memory.Commit(ctx, one); err != nil {
			l.fatal("half a transaction: %v", err)
		}
	}
	return nil
}

func (l *ledger) Scoped(_ context.Context, _ connect.TenantID, scopes []connect.Scope) (map[connect.Scope]connect.Connection, error) {
	held := map[connect.Scope]connect.Connection{}
	for _, s := range scopes {
		if id := l.owners["scope "+s.String()]; id != "" {
			held[s] = l.conns[id]
		}
	}
	return held, nil
}

// Whatever a tenant does with its connections: what they say they have is what the records say, and each change has its event.
func TestWhatConnectionsOwn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := &ledger{lists: lists{newMemory()}, owners: map[string]connect.ConnectionID{}, fatal: rt.Fatalf}
		u := connect.Connections{
			Store: l, Scopes: l, Clock: func() time.Time { return noon }, Random: crand.Reader,
			Deployment: connect.Deployment{
				Platform: platform(), Regions: []connect.Region{"eu-west-1"}, Permissions: []connect.PermissionSet{{Name: "read-only"}},
			},
		}
		var ids []string
		given := map[string]connect.ConnectionID{} // every name that was ever had
		name := func(t *rapid.T) string {
			return rapid.SampledFrom([]string{"Production", "PRODUCTION", "Straße", "STRASSE", "test", "Staging"}).Draw(t, "name")
		}
		scopes := func(t *rapid.T) []connect.Scope {
			return rapid.SliceOfNDistinct(rapid.SampledFrom(scopesOf("organization", "project p1", "project p2", "environment e", "architecture a")),
				0, 4, rapid.ID[connect.Scope]).Draw(t, "scopes")
		}
		domain := func(err error) {
			var e *connect.Error
			if err != nil && (!errors.As(err, &e) || e.Kind == connect.KindInternal || errors.Is(err, connect.ErrConflict)) {
				rt.Fatal(err) // nobody else is here to be in the way
			}
		}
		target := func(t *rapid.T) connect.Target {
			if len(ids) == 0 {
				t.Skip("none yet")
			}
			return connect.Target{Filter: connect.Unrestricted(), Tenant: "acme", ID: rapid.SampledFrom(ids).Draw(t, "connection"), By: "ada"}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) {
				c, err := u.Create(context.Background(), connect.CreateRequest{Filter: connect.Unrestricted(), Tenant: "acme", By: "ada", Name: name(t), Scopes: scopes(t)})
				if domain(err); err == nil {
					ids = append(ids, string(c.ID()))
				}
			},
			"rename": func(t *rapid.T) {
				_, err := u.Update(context.Background(), connect.UpdateRequest{Target: target(t), Name: new(name(t))})
				domain(err)
			},
			"set scopes": func(t *rapid.T) {
				r := connect.ScopesRequest{Target: target(t), Scopes: scopes(t), TakeOver: rapid.Bool().Draw(t, "take over")}
				_, err := u.SetScopes(context.Background(), r)
				if domain(err); r.TakeOver && errors.Is(err, &connect.Error{Code: connect.CodeScopeTaken}) {
					t.Fatal(err)
				}
			},
			"delete": func(t *rapid.T) {
				if rapid.IntRange(0, 3).Draw(t, "really") == 0 {
					domain(u.Delete(context.Background(), target(t)))
				}
			},
			"": func(t *rapid.T) { l.check(t, given) },
		})
	})
}

func (l *ledger) check(t *rapid.T, given map[string]connect.ConnectionID) {
	has := map[string]connect.ConnectionID{}
	versions := map[connect.ConnectionID]int64{}
	for id, c := range l.conns {
		s := c.Snapshot()
		versions[id] = s.Version
		name := "name " + s.Name.Folded()
		if holder, ok := given[name]; ok && holder != id {
			t.Fatalf("%s was %s's and is %s's", name, holder, id)
		}
		given[name] = id
		if s.Status == connect.StatusDeleted && len(s.Scopes) > 0 {
			t.Fatalf("a deleted connection has %v", s.Scopes)
		}
		for _, k := range s.Scopes {
			if other, ok := has["scope "+k.String()]; ok {
				t.Fatalf("%s has %s, and so has %s", id, k, other)
			}
			has["scope "+k.String()] = id
		}
	}
	for record, id := range l.owners {
		if owner := has[record]; id != owner && record[:5] == "scope" {
			t.Fatalf("%s is recorded as %q's and is %q's", record, id, owner)
		}
	}
	for record, id := range has {
		if l.owners[record] != id {
			t.Fatalf("%s of %s is not recorded", record, id)
		}
	}
	for name, id := range given {
		if l.owners[name] != id {
			t.Fatalf("%s is %q's, it was %s's", name, l.owners[name], id)
		}
	}
	for _, e := range l.events {
		versions[e.ConnectionID]--
	}
	for id, left := range versions {
		if left != 0 {
			t.Fatalf("%d events are missing for %s", left, id)
		}
	}
}
