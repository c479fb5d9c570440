package connect_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

func limited(perMinute int) (*connect.Limits, *storetest.Memory, *handClock) {
	clock, table := &handClock{}, storetest.New()
	ration := &connect.Ration{Store: table, Clock: clock.now, Of: connect.RationedCredentials, PerMinute: perMinute}
	return &connect.Limits{Tenants: ration, Clock: clock.now}, table, clock
}

func retryAfter(err error) time.Duration {
	var e *connect.Error
	if errors.As(err, &e) && e.Kind == connect.KindLimited {
		return e.RetryAfter
	}
	return 0
}

// One process cannot give a tenant more than its limit, knows until when, and leaves other tenants alone.
func TestTenantsAreLimited(t *testing.T) {
	l, table, clock := limited(200)
	clock.move(15 * time.Second)
	admitted := 0
	for i := range 400 {
		if l.Admit(context.Background(), "acme", connect.Actor(fmt.Sprint("svc", i%10))) == nil {
			admitted++
		}
	}
	if admitted != 200 || table.Calls("Lease") != 5 {
		t.Errorf("%d admitted for %d writes", admitted, table.Calls("Lease"))
	}
	err := l.Admit(context.Background(), "acme", "svc0")
	if retryAfter(err) != 45*time.Second || table.Calls("Lease") != 5 {
		t.Errorf("%v; %d writes", err, table.Calls("Lease"))
	}
	if err := l.Admit(context.Background(), "other", "svc0"); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	clock.move(45 * time.Second)
	if err := l.Admit(context.Background(), "acme", "svc0"); err != nil {
		t.Errorf("the next minute: %v", err)
	}
}

// Hand-outs cost 0.02 writes each, whatever minute they fall into.
func TestLeasesAreCheap(t *testing.T) {
	l, table, clock := limited(6000)
	const n = 5000
	for range n {
		if err := l.Admit(context.Background(), "acme", "svc"); err != nil {
			t.Fatal(err)
		}
		clock.move(7 * time.Second)
	}
	if per := float64(table.Calls("Lease")) / n; per > 0.05 {
		t.Errorf("%.3f writes a hand-out", per)
	}
}

// One caller cannot use up what the tenant's others need; its tokens come back.
func TestCallersAreLimited(t *testing.T) {
	l, _, clock := limited(1_000_000)
	admitted := 0
	for range 1000 {
		if l.Admit(context.Background(), "acme", "greedy") == nil {
			admitted++
		}
	}
	if admitted != connect.CallerBurst {
		t.Errorf("%d admitted at once, want %d", admitted, connect.CallerBurst)
	}
	wait := retryAfter(l.Admit(context.Background(), "acme", "greedy"))
	if wait <= 0 || wait > time.Second/connect.CallerRate {
		t.Errorf("to wait %s", wait)
	}
	if err := l.Admit(context.Background(), "acme", "modest"); err != nil {
		t.Errorf("another caller: %v", err)
	}
	clock.move(wait)
	if err := l.Admit(context.Background(), "acme", "greedy"); err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

func TestALeaseThatFails(t *testing.T) {
	l, table, _ := limited(100)
	table.Before(func(string) error { return connect.Unavailable(connect.CodeStoreUnavailable, "down", nil) })
	if err := l.Admit(context.Background(), "acme", "svc"); !errors.Is(err, &connect.Error{Code: connect.CodeStoreUnavailable}) {
		t.Error(err)
	}
	table.Around(nil)
	if err := l.Admit(context.Background(), "acme", "svc"); err != nil {
		t.Error(err)
	}
}

// A token that names connections or scopes gets no others, and one that names none gets nothing.
func TestRestrictedCallers(t *testing.T) {
	issue, sts, _, c := narrowing(t)
	id := string(c.ID())
	for _, tt := range []struct {
		allowed    connect.Allowance
		restricted bool
		ok         bool
	}{
		{nil, false, true},
		{nil, true, false},
		{connect.Allowance{}, true, false},
		{connect.Allowance{id}, true, true},
		{connect.Allowance{"conn_x", id}, true, true},
		{connect.Allowance{"organization"}, true, false},
		{connect.Allowance{"*"}, true, false},
	} {
		_, err := issue.Issue(context.Background(), connect.IssueRequest{
			Tenant: "acme", ID: id, Caller: "svc", Allowed: tt.allowed, Restricted: tt.restricted,
		})
		if (err == nil) != tt.ok || !tt.ok && !errors.Is(err, &connect.Error{Code: connect.CodeConnectionNotAllowed}) {
			t.Errorf("%v: %v", tt.allowed, err)
		}
	}
	if len(sts.asks) != 1 {
		t.Errorf("STS was asked %d times", len(sts.asks))
	}
}
