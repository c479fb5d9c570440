package connect_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// yard plays the table's counts of places, and what it is asked.
type yard struct {
	mu      sync.Mutex
	used    map[connect.TenantID]int
	pending map[connect.TenantID]int // as a recount finds them
	counted map[connect.TenantID]time.Time
	asked   map[connect.TenantID]int
	counts  int
	fail    error
}

func newYard() *yard {
	return &yard{
		used: map[connect.TenantID]int{}, pending: map[connect.TenantID]int{}, counted: map[connect.TenantID]time.Time{}, asked: map[connect.TenantID]int{},
	}
}

func (y *yard) TakePlaces(_ context.Context, t connect.TenantID, n, most int) (bool, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.asked[t]++
	if y.fail != nil || y.used[t]+n > most {
		return false, y.fail
	}
	y.used[t] += n
	return true, nil
}

func (y *yard) RecountPlaces(_ context.Context, t connect.TenantID, now time.Time, every time.Duration) (time.Duration, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.asked[t]++
	if last, ok := y.counted[t]; ok && last.Add(every).After(now) {
		return last.Add(every).Sub(now), nil
	}
	y.counts++
	y.counted[t], y.used[t] = now, y.pending[t]
	return 0, nil
}

func placesFor(most int) (*connect.Places, *yard, *handClock) {
	clock, y := &handClock{}, newYard()
	return &connect.Places{Store: y, Clock: clock.now, Most: most}, y, clock
}

func pendingLimit(err error) time.Duration {
	var e *connect.Error
	if errors.As(err, &e) && e.Code == connect.CodePendingLimit && e.Kind == connect.KindConflict && e.Fix != "" {
		return e.RetryAfter
	}
	return 0
}

// A tenant gets its places to the last one, cheaply; then it is told when to ask again, which costs nothing until then.
func TestPlacesOfPendingConnections(t *testing.T) {
	p, y, clock := placesFor(100)
	take := func() error {
		err := p.Take(context.Background(), "acme")
		if err == nil {
			y.pending["acme"]++
		}
		return err
	}
	for i := range 100 {
		if err := take(); err != nil {
			t.Fatalf("place %d: %v", i, err)
		}
	}
	if y.asked["acme"] != 20 {
		t.Errorf("%d requests for 100 places", y.asked["acme"])
	}
	if wait := pendingLimit(take()); wait != 30*time.Second {
		t.Errorf("to wait %s", wait)
	}
	before := y.asked["acme"]
	for range 1000 {
		if pendingLimit(take()) == 0 {
			t.Fatal("admitted")
		}
	}
	if y.asked["acme"] != before {
		t.Errorf("%d requests for 1,000 refusals", y.asked["acme"]-before)
	}
	y.pending["acme"] -= 2 // two customers have finished
	clock.move(31 * time.Second)
	if a, b, c := take(), take(), take(); a != nil || b != nil || pendingLimit(c) == 0 {
		t.Errorf("with two places free: %v, %v, %v", a, b, c)
	}
	if y.counts != 2 {
		t.Errorf("counted %d times", y.counts)
	}
}

// However often a tenant that is full asks, and whoever of its processes: its connections are counted every half minute.
func TestCountingIsBounded(t *testing.T) {
	_, y, clock := placesFor(20)
	y.used["acme"], y.pending["acme"] = 20, 20
	for range 60 {
		for range 10 { // processes that have just begun and know nothing
			p := connect.Places{Store: y, Clock: clock.now, Most: 20}
			if wait := pendingLimit(p.Take(context.Background(), "acme")); wait <= 0 || wait > 30*time.Second {
				t.Fatalf("to wait %s", wait)
			}
		}
		clock.move(time.Second)
	}
	if y.counts != 2 {
		t.Errorf("counted %d times in a minute", y.counts)
	}
}

func TestPlacesAndAStoreThatFails(t *testing.T) {
	p, y, _ := placesFor(20)
	y.fail = connect.Unavailable(connect.CodeStoreUnavailable, "down", nil)
	if err := p.Take(context.Background(), "acme"); !errors.Is(err, y.fail) {
		t.Error(err)
	}
	y.fail = nil
	if err := p.Take(context.Background(), "acme"); err != nil {
		t.Error(err)
	}
}

// waitingRoom is listless, and each connection that is made there takes up a place.
type waitingRoom struct {
	listless
	yard *yard
}

func (l waitingRoom) Commit(ctx context.Context, ch connect.Change) error {
	l.yard.pending[ch.Connection().TenantID()]++
	return l.memory.Commit(ctx, ch)
}

// A tenant that floods Rolecall with connections and verifications is stopped before it reaches the table or AWS, and
// another tenant's requests are all served, at what they always cost.
func TestAFloodHindersNobodyElse(t *testing.T) {
	clock := &handClock{}
	y, table := newYard(), &leases{taken: map[string]int{}}
	store := waitingRoom{listless{newMemory()}, y}
	u := connect.Connections{
		Store: store, Clock: clock.now, Random: rand.Reader, Deployment: connect.Deployment{Platform: platform(), Regions: []connect.Region{"eu-west-1"}, Permissions: []connect.PermissionSet{{Name: "read-only"}}},
		Places: &connect.Places{Store: y, Clock: clock.now, Most: 50},
	}
	v := connect.Verifications{
		Store: store, Clock: clock.now,
		Limit: &connect.Ration{Store: table, Clock: clock.now, Of: connect.RationedVerifications, PerMinute: 20},
	}
	create := func(tenant connect.TenantID, i int) error {
		_, err := u.Create(context.Background(), connect.CreateRequest{Filter: connect.Unrestricted(), Tenant: tenant, By: "svc", Name: fmt.Sprint("c", i)})
		return err
	}
	verify := func(tenant connect.TenantID) error {
		_, err := v.Verify(context.Background(), connect.Target{Filter: connect.Unrestricted(), Tenant: tenant, ID: "conn_00000000000000000000000000"}, 0)
		return err
	}
	var refused, throttled int
	for i := range 5000 {
		if pendingLimit(create("flood", i)) > 0 {
			refused++
		}
		if retryAfter(verify("flood")) > 0 {
			throttled++
		}
		if i%500 != 0 {
			continue
		}
		if err := create("modest", i); err != nil {
			t.Errorf("another tenant's connection: %v", err)
		}
		if err := verify("modest"); !errors.Is(err, connect.ErrNotFound) {
			t.Errorf("another tenant's verification: %v", err)
		}
	}
	if refused != 4950 || throttled != 4980 {
		t.Errorf("%d connections and %d verifications were refused of 5,000", refused, throttled)
	}
	if n := y.asked["flood"]; n > 15 {
		t.Errorf("the flood made %d requests for places", n)
	}
	if table.writes != 2+1+1 { // two blocks and a refusal for the flood, one block for the other
		t.Errorf("%d requests for verifications", table.writes)
	}
	if len(store.conns) != 60 || y.asked["modest"] != 2 {
		t.Errorf("%d connections written, %d requests for the other's places", len(store.conns), y.asked["modest"])
	}
}
