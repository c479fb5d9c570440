package connect_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"rolecall/shared/connect"
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

// A hundred connections of two tenants name one role at once. Its trust policy names the external ID of one of them: that
// one is enabled, and nobody else is, neither at once nor when the queue has tried each to its end.
func TestOneRoleWantedByAHundred(t *testing.T) {
	const crowd = 100
	conns := make([]connect.Connection, crowd)
	for i := range conns {
		id := must[connect.ConnectionID](t)(connect.NewConnectionID(noon, rand.NewChaCha8([32]byte{byte(i)})))
		conns[i] = connect.Create(connect.NewConnection{
			TenantID: connect.TenantID([]string{"acme", "globex"}[i%2]), Name: connect.Name(fmt.Sprint("Wanted ", i)),
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
	store, queue, now := newMemory(conns...), &busy{}, noon
	u := connect.Verifications{
		Store: store, Jobs: queue, Sweeps: queue, Answerer: queue, Clock: func() time.Time { return now }, Jitter: func() float64 { return 0 },
		Verifier: connect.Verifier{Platform: platform(), Assumer: customer, Inspector: customer, Clock: func() time.Time { return now }},
	}
	var racing sync.WaitGroup
	for _, c := range conns {
		racing.Go(func() {
			whose := connect.Target{Filter: connect.Unrestricted(), Tenant: c.Snapshot().TenantID, ID: string(c.ID()), By: "ada"}
			if _, err := u.ReportRole(context.Background(), whose, roleR1, 0); err != nil {
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
	for _, c := range store.conns {
		want := connect.StatusFailed
		if c.ID() == rightful.ID {
			want = connect.StatusEnabled
		}
		if c.Status() != want {
			t.Errorf("%s of %s is %s, want %s", c.Snapshot().Name, c.Snapshot().TenantID, c.Status(), want)
		}
	}
}
