package store_test

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"rolecall/shared/connect"
	"rolecall/shared/store"
	"rolecall/shared/storetest"
)

// Looking for an effective connection takes two requests, however many scopes there are, and one where nothing is found.
func TestEffectiveCosts(t *testing.T) {
	s := newStore(t)
	c := storetest.Enabled(t, s, "acme", "one", roleOne)
	storetest.Commit(t, s, storetest.Rescoped(t, c, nil, "organization", "project p"), nil)
	d := storetest.Commit(t, s, storetest.Create(t, "acme", "two"), nil)
	storetest.Commit(t, s, storetest.Rescoped(t, d, nil, "environment e"), nil)
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
		storetest.Race(crowd, func(caller int) {
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
				_, err := u.SetScopes(ctx, connect.ScopesRequest{Target: own, Scopes: storetest.Scopes(text), TakeOver: over})
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
				if held, err := s.Scoped(ctx, tenant, storetest.Scopes(text)); err == nil {
					r.did(caller, call, who{text}, has{held[storetest.Scopes(text)[0]].ID()})
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
