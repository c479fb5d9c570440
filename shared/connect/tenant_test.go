package connect_test

import (
	"context"
	crand "crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

// Whatever a tenant does with its connections: what they say they have is what the records say, and each change has its event.
func TestWhatConnectionsOwn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := storetest.New()
		u := connect.Connections{
			Store: m, Scopes: m, Clock: func() time.Time { return noon }, Random: crand.Reader,
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
			"": func(t *rapid.T) { owns(t, m, given) },
		})
	})
}

// owns holds what connections say that they have against the records that keep it from others.
func owns(t *rapid.T, m *storetest.Memory, given map[string]connect.ConnectionID) {
	recorded := map[string]connect.ConnectionID{} // "name acme production", "scope acme project p1"
	for record, v := range m.Dump() {
		if id, ok := v.(connect.ConnectionID); ok {
			recorded[record] = id
		}
	}
	has := map[string]connect.ConnectionID{}
	versions := map[connect.ConnectionID]int64{}
	for _, c := range m.All() {
		s, id := c.Snapshot(), c.ID()
		versions[id] = s.Version
		name := "name acme " + s.Name.Folded()
		if holder, ok := given[name]; ok && holder != id {
			t.Fatalf("%s was %s's and is %s's", name, holder, id)
		}
		given[name] = id
		if s.Status == connect.StatusDeleted && len(s.Scopes) > 0 {
			t.Fatalf("a deleted connection has %v", s.Scopes)
		}
		for _, k := range s.Scopes {
			record := "scope acme " + k.String()
			if other, ok := has[record]; ok {
				t.Fatalf("%s has %s, and so has %s", id, k, other)
			}
			has[record] = id
		}
	}
	for record, id := range recorded {
		if owner := has[record]; id != owner && strings.HasPrefix(record, "scope") {
			t.Fatalf("%s is recorded as %q's and is %q's", record, id, owner)
		}
	}
	for record, id := range has {
		if recorded[record] != id {
			t.Fatalf("%s of %s is not recorded", record, id)
		}
	}
	for name, id := range given {
		if recorded[name] != id {
			t.Fatalf("%s is %q's, it was %s's", name, recorded[name], id)
		}
	}
	for _, e := range m.Log() {
		versions[e.ConnectionID]--
	}
	for id, left := range versions {
		if left != 0 {
			t.Fatalf("%d events are missing for %s", left, id)
		}
	}
}
