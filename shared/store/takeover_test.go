package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"rolecall/shared/connect"
	"rolecall/shared/store"
	"rolecall/shared/storetest"
)

// unreliable loses requests on their way to DynamoDB, and answers on their way back, or has them come twice.
type unreliable struct {
	dynamodb.HTTPClient
	mu     sync.Mutex
	random *rand.Rand
	struck int
}

func (u *unreliable) Do(r *http.Request) (*http.Response, error) {
	u.mu.Lock()
	fate := u.random.IntN(100)
	if fate < 40 {
		u.struck++
	}
	u.mu.Unlock()
	lost := &net.OpError{Op: "read", Err: syscall.ECONNRESET}
	switch {
	case fate < 15: // it never arrives
		return nil, lost
	case fate < 30: // it is done, and nobody hears of it
		out, err := u.HTTPClient.Do(r)
		if err == nil {
			_ = out.Body.Close()
		}
		return nil, lost
	case fate < 40: // it is done, and AWS says that it failed
		out, err := u.HTTPClient.Do(r)
		if err == nil {
			_ = out.Body.Close()
			out.StatusCode, out.Body = http.StatusInternalServerError, http.NoBody
		}
		return out, err
	}
	return u.HTTPClient.Do(r)
}

// Connections of one tenant take scopes from each other, all at once, through a store of whose requests two in five go wrong
// before or after they are done. No scope is ever two connections', or nobody's once it was somebody's, and what one timeline
// tells of a loss another one tells of the gain.
func TestTakeoverUnderFaults(t *testing.T) {
	const takers, rounds = 6, 15
	s := newStore(t)
	ctx := context.Background()
	wanted := storetest.Scopes("organization", "project p", "environment e")
	first := storetest.Commit(t, s, storetest.Rescoped(t, storetest.Commit(t, s, storetest.Create(t, "acme", "first"), nil), nil, "organization", "project p", "environment e"), nil)
	all := []connect.ConnectionID{first.ID()}
	for i := range takers - 1 {
		all = append(all, storetest.Commit(t, s, storetest.Create(t, "acme", fmt.Sprint("taker ", i)), nil).ID())
	}
	faults := &unreliable{HTTPClient: s.Client.Options().HTTPClient, random: rand.New(rand.NewPCG(1, 2))}
	lossy := &store.Store{Table: s.Table, Client: dynamodb.New(s.Client.Options(), func(o *dynamodb.Options) {
		o.HTTPClient, o.RetryMaxAttempts = faults, 1
	})}
	u := connect.Connections{Store: lossy, Scopes: lossy, Clock: func() time.Time { return noon }}

	stop, watched := make(chan struct{}), make(chan struct{})
	go func() { // looks on through a store that works
		defer close(watched)
		for {
			select {
			case <-stop:
				return
			default:
				held, err := s.Scoped(ctx, "acme", wanted)
				if err == nil && len(held) != len(wanted) { // a scope that moved while it was looked at is an error
					t.Errorf("only %d scopes are held", len(held))
					return
				}
			}
		}
	}()
	storetest.Race(takers, func(n int) {
		random := rand.New(rand.NewPCG(3, uint64(n)))
		for range rounds {
			some := slices.Clone(wanted)
			random.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
			c, err := s.Connection(ctx, all[n])
			if err != nil {
				t.Error(err)
				return
			}
			some = append(c.Snapshot().Scopes, some[:1+random.IntN(len(some))]...)
			slices.SortFunc(some, func(a, b connect.Scope) int { return slices.Index(wanted, a) - slices.Index(wanted, b) })
			// What comes of it is not known to who asked, and asked again it is no other request.
			_, _ = u.SetScopes(ctx, connect.ScopesRequest{
				Target: connect.Target{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(all[n]), By: "ada"}, Scopes: slices.Compact(some), TakeOver: true,
			})
		}
	})
	close(stop)
	<-watched
	if faults.struck < 50 {
		t.Errorf("only %d requests went wrong", faults.struck)
	}
	takenOver(t, s, all, wanted)
}

func takenOver(t *testing.T, s *store.Store, all []connect.ConnectionID, wanted []connect.Scope) {
	t.Helper()
	ctx := context.Background()
	held, err := s.Scoped(ctx, "acme", wanted)
	if err != nil {
		t.Fatal(err)
	}
	owners := map[connect.Scope][]connect.ConnectionID{}
	losses, gains := map[string]int{}, map[string]int{}
	for _, id := range all {
		c, err := s.Connection(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		for _, scope := range c.Snapshot().Scopes {
			owners[scope] = append(owners[scope], id)
		}
		page, err := s.Events(ctx, id, connect.EventQuery{Limit: 1000})
		if err != nil || int64(len(page.Items)) != c.Version() {
			t.Fatalf("%d events for version %d, %v", len(page.Items), c.Version(), err)
		}
		for _, e := range page.Items {
			if by, ok := e.Data["takenBy"].(string); ok {
				losses[by+" from "+string(id)]++
			}
			from, _ := e.Data["takenFrom"].([]any)
			for _, f := range from {
				gains[fmt.Sprintf("%s from %v", id, f)]++
			}
		}
	}
	for _, scope := range wanted {
		if len(owners[scope]) != 1 || held[scope].ID() != owners[scope][0] {
			t.Errorf("%s is %v's, the record says %s", scope, owners[scope], held[scope].ID())
		}
	}
	if len(gains) == 0 || fmt.Sprint(losses) != fmt.Sprint(gains) {
		t.Errorf("lost %v\ngained %v", losses, gains)
	}
}
