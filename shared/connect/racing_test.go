package connect_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

// A crowded account is one that many ask at once.
type crowded struct {
	account
	mu sync.Mutex
}

func (c *crowded) AssumeRole(ctx context.Context, r connect.AssumeRequest) (connect.Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.account.AssumeRole(ctx, r)
}

func (c *crowded) Permissions(
	ctx context.Context, s connect.Credentials, a connect.RoleARN, r connect.Region, actions []string,
) ([]connect.ActionRuling, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.account.Permissions(ctx, s, a, r, actions)
}

// A busy queue takes jobs from many at once.
type busy struct {
	outbox
	mu sync.Mutex
}

func (b *busy) Verify(ctx context.Context, j connect.VerifyJob, d time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.outbox.Verify(ctx, j, d)
}

// A hundred connections of many tenants name one role at once. Its trust policy names the external ID of one of them: that
// one is enabled, and nobody else is, neither at once nor when the queue has tried each to its end. Of another tenant's three
// or four connections, one has the role on trial, and the others are told so.
func TestOneRoleWantedByAHundred(t *testing.T) {
	const crowd, tenants = 100, 30
	conns := make([]connect.Connection, crowd)
	for i := range conns {
		id := must[connect.ConnectionID](t)(connect.NewConnectionID(noon, rand.NewChaCha8([32]byte{byte(i)})))
		tenant := connect.TenantID(fmt.Sprint("tenant-", i%tenants))
		if i == crowd/2 {
			tenant = "acme"
		}
		conns[i] = connect.Create(connect.NewConnection{
			TenantID: tenant, Name: connect.Name(fmt.Sprint("Wanted ", i)),
			Partition: connect.PartitionAWS, DefaultRegion: "eu-west-1", Permissions: "read-only", By: "ada",
		}, id, connect.NewExternalID(), noon).Connection()
	}
	rightful := conns[crowd/2].Snapshot()
	customer := &crowded{account: account{trust: platform().TrustPolicy(rightful.ExternalID), assume: func(r connect.AssumeRequest) error {
		if r.ExternalID == rightful.ExternalID {
			return nil
		}
		return errDenied
	}}}
	store, queue, now := storetest.New(conns...), &busy{}, noon
	u := connect.Verifications{
		Store: store, Jobs: queue, Sweeps: queue, Answerer: queue, Clock: func() time.Time { return now }, Jitter: func() float64 { return 0 },
		Verifier: connect.Verifier{Platform: platform(), Assumer: customer, Inspector: customer, Clock: func() time.Time { return now }},
	}
	var racing sync.WaitGroup
	var refused atomic.Int64
	for _, c := range conns {
		racing.Go(func() {
			whose := connect.Target{Filter: connect.Unrestricted(), Tenant: c.Snapshot().TenantID, ID: string(c.ID()), By: "ada"}
			_, err := u.ReportRole(context.Background(), whose, roleR1, 0)
			if errors.Is(err, connect.ErrRoleInUse) && whose.Tenant != "acme" {
				refused.Add(1)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	racing.Wait()
	now = noon.Add(2 * time.Minute) // past all patience
	for n := 0; n < len(queue.jobs); n++ {
		if err := u.Try(context.Background(), queue.jobs[n]); err != nil {
			t.Fatal(err)
		}
	}
	found := map[connect.Status]int{}
	for _, c := range store.All() {
		found[c.Status()]++
		if enabled := c.Status() == connect.StatusEnabled; enabled != (c.ID() == rightful.ID) {
			t.Errorf("%s of %s is %s", c.Snapshot().Name, c.Snapshot().TenantID, c.Status())
		}
	}
	if found[connect.StatusFailed] != tenants || found[connect.StatusPending] != int(refused.Load()) || len(found) != 3 {
		t.Errorf("%v, %d were refused", found, refused.Load())
	}
}
