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
	"rolecall/shared/storetest"
)

// yard is a store that tells how often it is asked for places, and how often it has counted them.
type yard struct {
	*storetest.Memory
	mu     sync.Mutex
	asked  map[connect.TenantID]int
	counts int
}

func newYard() *yard { return &yard{Memory: storetest.New(), asked: map[connect.TenantID]int{}} }

func (y *yard) TakePlaces(ctx context.Context, t connect.TenantID, n, most int) (bool, error) {
	y.asks(t)
	return y.Memory.TakePlaces(ctx, t, n, most)
}

func (y *yard) RecountPlaces(ctx context.Context, t connect.TenantID, now time.Time, every time.Duration) (time.Duration, error) {
	y.asks(t)
	wait, err := y.Memory.RecountPlaces(ctx, t, now, every)
	if err == nil && wait == 0 {
		y.counts++
	}
	return wait, err
}

func (y *yard) asks(t connect.TenantID) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.asked[t]++
}

// waits has a further connection of the tenant wait for its customer.
func (y *yard) waits(t testing.TB) connect.Connection {
	t.Helper()
	return storetest.Commit(t, y, storetest.Create(t, "acme", fmt.Sprint("waits ", len(y.All()))), nil)
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
			y.waits(t)
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
	for _, c := range y.All()[:2] { // two customers have finished
		storetest.Commit(t, y, must[connect.Change](t)(c.ReportRole(role(t, fmt.Sprint(roleR1, c.ID())), noon, "ada")), nil)
	}
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
	for range 20 {
		y.waits(t)
	}
	if ok, err := y.Memory.TakePlaces(t.Context(), "acme", 20, 20); !ok || err != nil {
		t.Fatal(ok, err)
	}
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
	down := connect.Unavailable(connect.CodeStoreUnavailable, "down", nil)
	y.Before(func(string) error { return down })
	if err := p.Take(context.Background(), "acme"); !errors.Is(err, down) {
		t.Error(err)
	}
	y.Around(nil)
	if err := p.Take(context.Background(), "acme"); err != nil {
		t.Error(err)
	}
}

// A tenant that floods Rolecall with connections and verifications is stopped before it reaches the table or AWS, and
// another tenant's requests are all served, at what they always cost.
func TestAFloodHindersNobodyElse(t *testing.T) {
	clock := &handClock{}
	y := newYard()
	u := connect.Connections{
		Store: y, Clock: clock.now, Random: rand.Reader, Deployment: connect.Deployment{Platform: platform(), Regions: []connect.Region{"eu-west-1"}, Permissions: []connect.PermissionSet{{Name: "read-only"}}},
		Places: &connect.Places{Store: y, Clock: clock.now, Most: 50},
	}
	v := connect.Verifications{
		Store: y, Clock: clock.now,
		Limit: &connect.Ration{Store: y, Clock: clock.now, Of: connect.RationedVerifications, PerMinute: 20},
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
	if n := y.Calls("Lease"); n != 2+1+1 { // two blocks and a refusal for the flood, one block for the other
		t.Errorf("%d requests for verifications", n)
	}
	if len(y.All()) != 60 || y.asked["modest"] != 2 {
		t.Errorf("%d connections written, %d requests for the other's places", len(y.All()), y.asked["modest"])
	}
}
