package store_test

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"rolecall/shared/connect"
	"rolecall/shared/store"
)

func scope(text string) connect.Scope {
	level, id, _ := strings.Cut(text, " ")
	return connect.Scope{Level: connect.ScopeLevel(level), ID: id}
}

func scopesOf(texts ...string) (out []connect.Scope) {
	for _, t := range texts {
		out = append(out, scope(t))
	}
	return out
}

func rescoped(t testing.TB, c connect.Connection, holders []connect.Connection, scopes ...string) connect.Change {
	t.Helper()
	ch, ok, err := c.SetScopes(scopesOf(scopes...), holders, noon, "ada")
	if !ok {
		t.Fatalf("no change to %v: %v", scopes, err)
	}
	return ch
}

func holder(t testing.TB, s *store.Store, tenant connect.TenantID, text string) connect.ConnectionID {
	t.Helper()
	held, err := s.Scoped(context.Background(), tenant, scopesOf(text))
	if err != nil {
		t.Fatal(err)
	}
	return held[scope(text)].ID()
}

// A scope is one connection's at a time within its tenant, and free again when it is given up or its connection deleted.
func TestScopes(t *testing.T) {
	s := newStore(t)
	ctx := context.Background()
	c := commit(t, s, rescoped(t, commit(t, s, create(t, "acme", "one"), nil), nil, "organization", "project p1", "environment e1"), nil)
	d := commit(t, s, create(t, "acme", "two"), nil)
	var taken *connect.Error
	err := s.Commit(ctx, rescoped(t, d, nil, "project p1", "project p2"))
	if !errors.As(err, &taken) || taken.Code != connect.CodeScopeTaken || taken.Connection != c.ID() || !strings.Contains(taken.Message, "project p1") {
		t.Fatalf("a scope of another connection: %v", err)
	}
	if got := holder(t, s, "acme", "project p2"); got != "" {
		t.Errorf("what was refused gave a scope to %s", got)
	}
	foreign := commit(t, s, rescoped(t, commit(t, s, create(t, "other", "one"), nil), nil, "organization", "project p1"), nil)
	held, err := s.Scoped(ctx, "acme", scopesOf("organization", "project p1", "project p1", "project P1", "environment e1", "architecture e1"))
	if err != nil || len(held) != 3 || held[scope("organization")].ID() != c.ID() || !slices.Equal(held[scope("project p1")].Snapshot().Scopes, c.Snapshot().Scopes) {
		t.Errorf("%v, %v", held, err)
	}
	c = commit(t, s, rescoped(t, c, nil, "organization", "environment e1"), nil)
	d = commit(t, s, rescoped(t, d, nil, "project p1", "project p2"), nil)
	ch, err := c.Delete(noon, "ada")
	commit(t, s, ch, err)
	if got := holder(t, s, "acme", "organization"); got != "" {
		t.Errorf("a deleted connection has a scope: %s", got)
	}
	commit(t, s, rescoped(t, d, nil, "organization"), nil)
	if got := holder(t, s, "other", "organization"); got != foreign.ID() {
		t.Errorf("another tenant's scope is %s's", got)
	}
	if none, err := s.Scoped(ctx, "acme", nil); err != nil || len(none) != 0 {
		t.Errorf("no scopes: %v, %v", none, err)
	}
}

// A takeover changes all connections concerned or none of them; as many as there can be fit one transaction.
func TestTakeover(t *testing.T) {
	s := newStore(t)
	ctx := context.Background()
	var wanted []string
	var holders []connect.Connection
	for i := range connect.MaxScopes {
		wanted = append(wanted, fmt.Sprintf("project p%02d", i))
		h := commit(t, s, create(t, "acme", fmt.Sprint("holder ", i)), nil)
		holders = append(holders, commit(t, s, rescoped(t, h, nil, wanted[i], fmt.Sprint("environment e", i)), nil))
	}
	c := commit(t, s, create(t, "acme", "taker"), nil)
	var own []string
	for i := range connect.MaxScopes {
		own = append(own, fmt.Sprintf("architecture a%02d", i))
	}
	c = commit(t, s, rescoped(t, c, nil, own...), nil) // so that as many are given up, too
	take := rescoped(t, c, holders, wanted...)
	moved := commit(t, s, renamed(t, holders[7], "moved meanwhile"), nil)
	if err := s.Commit(ctx, take); !errors.Is(err, connect.ErrConflict) {
		t.Fatalf("one of the holders has changed: %v", err)
	}
	for i, h := range holders {
		if got := holder(t, s, "acme", wanted[i]); got != h.ID() {
			t.Fatalf("a takeover that failed gave %s to %s", wanted[i], got)
		}
	}
	holders[7] = moved
	c = commit(t, s, rescoped(t, c, holders, wanted...), nil)
	for i, h := range holders {
		if got := holder(t, s, "acme", wanted[i]); got != c.ID() {
			t.Errorf("%s is %s's", wanted[i], got)
		}
		now, err := s.Connection(ctx, h.ID())
		if err != nil || now.Version() != h.Version()+1 || !slices.Equal(now.Snapshot().Scopes, scopesOf(fmt.Sprint("environment e", i))) {
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

// Looking for an effective connection takes two requests, however many scopes there are, and one where nothing is found.
func TestEffectiveCosts(t *testing.T) {
	s := newStore(t)
	c := enabled(t, s, "acme", "one", roleOne)
	commit(t, s, rescoped(t, c, nil, "organization", "project p"), nil)
	d := commit(t, s, create(t, "acme", "two"), nil)
	commit(t, s, rescoped(t, d, nil, "environment e"), nil)
	var requests atomic.Int64
	counted := &store.Store{Table: s.Table, Client: dynamodb.New(s.Client.Options(), func(o *dynamodb.Options) {
		o.HTTPClient = counter{o.HTTPClient, &requests}
	})}
	r := connect.Resolver{Store: counted}
	for _, test := range []struct {
		tenant connect.TenantID
		q      connect.EffectiveQuery
		want   int64
		found  connect.ConnectionID
	}{
		{"acme", connect.EffectiveQuery{}, 2, c.ID()},
		{"acme", connect.EffectiveQuery{Project: "p", Environment: "e", Architecture: "a"}, 2, c.ID()},
		{"other", connect.EffectiveQuery{Project: "p", Environment: "e", Architecture: "a"}, 1, ""},
	} {
		requests.Store(0)
		got, _, err := r.Effective(context.Background(), test.tenant, test.q)
		if got.ID() != test.found || (err == nil) != (test.found != "") {
			t.Errorf("%+v: %s, %v", test.q, got.ID(), err)
		}
		if n := requests.Load(); n != test.want {
			t.Errorf("%+v: %d requests, want %d", test.q, n, test.want)
		}
	}
}

type counter struct {
	next interface {
		Do(*http.Request) (*http.Response, error)
	}
	n *atomic.Int64
}

func (c counter) Do(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.next.Do(r)
}

type (
	take struct { // a connection asks for a scope
		scope string
		by    connect.ConnectionID
		over  bool
	}
	yield struct { // and gives it up, or is deleted
		scope string
		by    connect.ConnectionID
	}
	who struct{ scope string } // somebody looks who has it

	inTheWay struct{ holder connect.ConnectionID }
	has      struct{ holder connect.ConnectionID }
)

func scopeOfOp(op porcupine.Operation) string {
	switch in := op.Input.(type) {
	case take:
		return in.scope
	case yield:
		return in.scope
	case who:
		return in.scope
	}
	return ""
}

// scopeModel is one scope, which at each instant is nobody's or one connection's.
func scopeModel() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			by := map[string][]porcupine.Operation{}
			for _, op := range history {
				by[scopeOfOp(op)] = append(by[scopeOfOp(op)], op)
			}
			var parts [][]porcupine.Operation
			for _, ops := range by {
				parts = append(parts, ops)
			}
			return parts
		},
		Init: func() any { return connect.ConnectionID("") },
		Step: func(state, in, out any) (bool, any) {
			holder, _ := state.(connect.ConnectionID)
			switch in := in.(type) {
			case take:
				if refusal, ok := out.(inTheWay); ok {
					return !in.over && holder == refusal.holder && holder != in.by && holder != "", holder
				}
				return in.over || holder == "" || holder == in.by, in.by
			case yield:
				if holder == in.by {
					return true, connect.ConnectionID("")
				}
				return true, holder // it had been taken over
			case who:
				return out == has{holder}, holder
			}
			return false, holder
		},
	}
}

// However connections take scopes, take them over, give them up and are deleted: a scope never has two of them.
func TestHistoryOfScopes(t *testing.T) {
	s := newStore(t)
	_, rounds := size()
	u := connect.Connections{
		Store: s, Replays: s, Scopes: s, Clock: func() time.Time { return noon }, Random: crand.Reader,
		Deployment: connect.Deployment{
			Platform: connect.Platform{Partition: connect.PartitionAWS}, Regions: []connect.Region{"eu-west-1"},
			Permissions: []connect.PermissionSet{{Name: "read-only"}},
		},
	}
	ctx := context.Background()
	places := []string{"organization", "project p", "environment e", "architecture a"} // few, so that they meet
	count := map[string]int{}
	for history := range rounds / roundsEach {
		tenant := connect.TenantID(fmt.Sprint("tenant-", history))
		var r recorder
		race(crowd, func(caller int) {
			fresh := func() connect.Target {
				c, err := u.Create(ctx, connect.CreateRequest{Filter: connect.Unrestricted(), Tenant: tenant, By: "ada", Name: "own " + crand.Text()})
				if err != nil {
					t.Errorf("create: %v", err)
				}
				return connect.Target{Filter: connect.Unrestricted(), Tenant: tenant, ID: string(c.ID()), By: "ada"}
			}
			own := fresh()
			for range 2 * roundsEach {
				text := places[rand.IntN(len(places))]
				by := connect.ConnectionID(own.ID)
				over := rand.IntN(2) == 0
				call := r.clock.Add(1)
				_, err := u.SetScopes(ctx, connect.ScopesRequest{Target: own, Scopes: scopesOf(text), TakeOver: over})
				var refused *connect.Error
				switch {
				case err == nil:
					r.did(caller, call, take{text, by, over}, done{})
				case errors.As(err, &refused) && refused.Code == connect.CodeScopeTaken:
					r.did(caller, call, take{text, by, over}, inTheWay{refused.Connection})
					continue
				case errors.Is(err, connect.ErrConflict):
					continue
				default:
					t.Errorf("take: %v", err)
					return
				}
				call = r.clock.Add(1)
				if held, err := s.Scoped(ctx, tenant, scopesOf(text)); err == nil {
					r.did(caller, call, who{text}, has{held[scope(text)].ID()})
				} else if !errors.Is(err, connect.ErrConflict) {
					t.Errorf("look: %v", err)
				}
				call = r.clock.Add(1)
				if rand.IntN(3) == 0 {
					for err = connect.ErrConflict; errors.Is(err, connect.ErrConflict); {
						err = u.Delete(ctx, own)
					}
					own = fresh()
				} else {
					for err = connect.ErrConflict; errors.Is(err, connect.ErrConflict); {
						_, err = u.SetScopes(ctx, connect.ScopesRequest{Target: connect.Target{Filter: connect.Unrestricted(), Tenant: tenant, ID: string(by), By: "ada"}})
					}
				}
				if err != nil {
					t.Errorf("yield: %v", err)
					return
				}
				r.did(caller, call, yield{text, by}, done{})
			}
		})
		r.check(t, scopeModel())
		for _, op := range r.ops {
			in, ok := op.Input.(take)
			switch _, refused := op.Output.(inTheWay); {
			case refused:
				count["in the way"]++
			case ok && in.over:
				count["taken over"]++
			case ok:
				count["taken"]++
			}
		}
	}
	t.Logf("%v", count)
	if count["in the way"] == 0 || count["taken over"] == 0 || count["taken"] == 0 {
		t.Errorf("nothing happened: %v", count)
	}
}

// A hundred connections want one scope: one gets it, and the others are told which.
func TestScopeRace(t *testing.T) {
	s := newStore(t)
	ctx := context.Background()
	changes := make([]connect.Change, 100)
	for i := range changes {
		changes[i] = rescoped(t, commit(t, s, create(t, "acme", fmt.Sprint("racer ", i)), nil), nil, "organization")
	}
	var won atomic.Pointer[connect.ConnectionID]
	named := make([]connect.ConnectionID, len(changes))
	race(len(changes), func(i int) {
		for {
			err := s.Commit(ctx, changes[i])
			var taken *connect.Error
			switch {
			case errors.Is(err, connect.ErrConflict):
				continue
			case err == nil:
				if id := changes[i].Connection().ID(); !won.CompareAndSwap(nil, &id) {
					t.Errorf("%s won, too", id)
				}
			case errors.As(err, &taken):
				named[i] = taken.Connection
			default:
				t.Error(err)
			}
			return
		}
	})
	for i, id := range named {
		if id != *won.Load() && changes[i].Connection().ID() != *won.Load() {
			t.Errorf("racer %d was told that %q won", i, id)
		}
	}
}
