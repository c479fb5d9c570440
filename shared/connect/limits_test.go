package connect_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// Reads cost half as much, and each of a tenant's connections has a ration of its own where one is meant.
func TestOtherRations(t *testing.T) {
	clock, table := &handClock{}, storetest.New()
	reads := &connect.Ration{Store: table, Clock: clock.now, Of: connect.RationedReads, PerMinute: 6000}
	for range 5000 {
		if err := reads.Admit(context.Background(), "acme"); err != nil {
			t.Fatal(err)
		}
	}
	if n := table.Calls("Lease"); n != 50 {
		t.Errorf("5000 reads cost %d writes", n)
	}
	revocations := &connect.Ration{Store: storetest.New(), Clock: clock.now, Of: connect.RationedRevocations, PerMinute: 2}
	for _, id := range []connect.ConnectionID{"conn_1", "conn_2"} {
		for range 2 {
			if err := revocations.AdmitFor(context.Background(), "acme", id); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
		if err := revocations.AdmitFor(context.Background(), "acme", id); retryAfter(err) != time.Minute {
			t.Errorf("%s: %v", id, err)
		}
	}
	if err := (*connect.Ration)(nil).AdmitFor(context.Background(), "acme", "conn_1"); err != nil {
		t.Error(err)
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

// A token that names connections or scopes gets no others, neither credentials nor a sign-in link; one that names none gets
// nothing, and neither does who forgot to say.
func TestRestrictedCallers(t *testing.T) {
	issue, sts, store, c := narrowing(t)
	id := string(c.ID())
	scoped, _, err := c.SetScopes([]connect.Scope{{Level: connect.ScopeOrganization}, {Level: connect.ScopeProject, ID: "web"}}, nil, noon, "ada")
	if err != nil {
		t.Fatal(err)
	}
	store.Put(scoped.Connection())
	maker := connect.SessionMaker{Store: store, Assumer: sts, Clock: issue.Clock, EventID: func() string { return "evt_3" }}
	issue.Sessions = maker // so that each hand-out asks STS
	signIns := connect.SignIns{Issuing: issue, Maker: maker, Federation: &federation{}, Partition: connect.PartitionAWS}
	for name, tt := range map[string]struct {
		filter connect.ResourceFilter
		ok     bool
	}{
		"not restricted":       {connect.Unrestricted(), true},
		"forgotten":            {connect.ResourceFilter{}, false},
		"to nothing":           {connect.RestrictedTo(), false},
		"to it":                {connect.RestrictedTo(id), true},
		"to it and another":    {connect.RestrictedTo("conn_x", id), true},
		"to it in other words": {connect.RestrictedTo(strings.ToUpper(id)), false},
		"to a scope of its":    {connect.RestrictedTo("project:web"), true},
		"to its other scope":   {connect.RestrictedTo("organization"), true},
		"to another scope":     {connect.RestrictedTo("project:we", "project:web:", "environment:web", "project", "web"), false},
		"to a wildcard":        {connect.RestrictedTo("*", "project:*", ""), false},
		"by its name":          {connect.RestrictedTo("Production"), false},
	} {
		_, err := issue.Issue(context.Background(), connect.IssueRequest{Filter: tt.filter, Tenant: "acme", ID: id, Caller: "svc"})
		_, linkErr := signIns.Link(context.Background(), connect.SignInRequest{Filter: tt.filter, Tenant: "acme", ID: id, Caller: "svc"})
		for what, err := range map[string]error{"credentials": err, "sign-in": linkErr} {
			if (err == nil) != tt.ok || !tt.ok && !errors.Is(err, &connect.Error{Code: connect.CodeConnectionNotAllowed}) {
				t.Errorf("%s, restricted %s: %v", what, name, err)
			}
		}
		asked := 0
		if tt.ok {
			asked = 2
		}
		if len(sts.asks) != asked {
			t.Errorf("restricted %s: STS was asked %d times", name, len(sts.asks))
		}
		sts.asks = nil
	}
}
