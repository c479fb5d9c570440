package connect_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

// resolves holds after every command: the connection is the effective one where it has the scope and is enabled, and only
// there.
func (h *history) resolves(s connect.Snapshot) {
	want := connect.Scope{}
	for _, rule := range scopesOf("organization", "project p") {
		if s.Status == connect.StatusEnabled && slices.Contains(s.Scopes, rule) {
			want = rule
		}
	}
	r := connect.Resolver{Store: h.store}
	c, m, err := r.Effective(context.Background(), "acme", connect.EffectiveQuery{Project: "p"})
	if (err == nil) != (want != connect.Scope{}) || m.Scope != want || (err == nil && c.ID() != s.ID) {
		h.t.Fatalf("%s with %v resolves by %q: %v", s.Status, s.Scopes, m.Scope, err)
	}
}

// Of many connections, in all statuses and with all kinds of scopes, the effective one is enabled and has the most specific
// scope that any enabled one has of those asked for; strictly, the most specific that any one has at all. What was looked at
// is told from the most specific on.
func TestEffectiveIsTheMostSpecific(t *testing.T) {
	some := map[connect.Status]connect.Connection{}
	for _, s := range connect.Statuses() {
		some[s] = in(t, s)
	}
	levels := scopesOf("architecture a", "environment e", "project p", "organization") // the most specific first
	elsewhere := scopesOf("architecture b", "environment f", "project q")
	rapid.Check(t, func(rt *rapid.T) {
		all, owner := storetest.New(), map[connect.Scope]connect.ConnectionID{}
		free := slices.Concat(levels, elsewhere)
		for i := range rapid.IntRange(0, 5).Draw(rt, "connections") {
			s := some[rapid.SampledFrom(connect.Statuses()).Draw(rt, "status")].Snapshot()
			s.ID = must[connect.ConnectionID](t)(connect.NewConnectionID(noon, rand.NewChaCha8([32]byte{9, byte(i)})))
			if s.Status != connect.StatusDeleted { // which has none: TestInvariants
				for _, scope := range free {
					if owner[scope] == "" && rapid.Bool().Draw(rt, fmt.Sprint(i, " has ", scope)) {
						s.Scopes, owner[scope] = append(s.Scopes, scope), s.ID
					}
				}
			}
			all.Put(must[connect.Connection](t)(connect.Restore(s)))
		}
		q := connect.EffectiveQuery{Strict: rapid.Bool().Draw(rt, "strict")}
		asked := levels[3:]
		if rapid.Bool().Draw(rt, "project") {
			q.Project, asked = "p", append(scopesOf("project p"), asked...)
		}
		if rapid.Bool().Draw(rt, "environment") {
			q.Environment, asked = "e", append(scopesOf("environment e"), asked...)
		}
		if rapid.Bool().Draw(rt, "architecture") {
			q.Architecture, asked = "a", append(scopesOf("architecture a"), asked...)
		}
		var want connect.Scope
		looked := 0
		for _, scope := range asked {
			looked++
			id := owner[scope]
			if id != "" && all.Get(id).Status() == connect.StatusEnabled {
				want = scope
			}
			if want != (connect.Scope{}) || (q.Strict && id != "") {
				break
			}
		}
		c, m, err := connect.Resolver{Store: all}.Effective(context.Background(), "acme", q)
		if want == (connect.Scope{}) {
			if !errors.Is(err, &connect.Error{Code: connect.CodeNoEffectiveConnection}) {
				rt.Fatalf("%+v resolves to %s, %v", q, c.ID(), err)
			}
		} else if err != nil || c.ID() != owner[want] || c.Status() != connect.StatusEnabled || m.Scope != want {
			rt.Fatalf("%+v: %s by %q, %v; want %s by %q", q, c.ID(), m.Scope, err, owner[want], want)
		}
		if len(m.LookedAt) != looked {
			rt.Fatalf("%+v: looked at %v, want %d of them", q, m.LookedAt, looked)
		}
		for i, k := range m.LookedAt {
			if k.Scope != asked[i] || k.Connection != owner[asked[i]] {
				rt.Fatalf("%+v: looked at %v", q, m.LookedAt)
			}
		}
	})
}
