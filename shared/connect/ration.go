package connect

import (
	"context"
	"sync"
	"time"
)

// A Rationed is something of which each tenant may have so much a minute.
type Rationed string

// What is rationed.
const (
	RationedCredentials   Rationed = "credentials"
	RationedVerifications Rationed = "verifications"
)

// A LeaseStore gives out parts of what a tenant may have in a minute.
type LeaseStore interface {
	// Lease takes n of the tenant's limit for the minute; ok is false where not so many are left.
	Lease(ctx context.Context, tenant TenantID, of Rationed, minute time.Time, n, limit int) (ok bool, err error)
}

// A Ration is what each tenant may have in a minute, of all processes together: each process leases it in blocks, one write
// for a block, and uses them up before it asks for more. It is safe for concurrent use.
type Ration struct {
	Store     LeaseStore
	Clock     func() time.Time
	Of        Rationed
	PerMinute int // at least a block

	mu      sync.Mutex
	tenants map[TenantID]*lease
}

// A lease is what is left of the tenant's blocks, and until when asking for another one is useless.
type lease struct {
	left  int
	until time.Time
}

// block is how much is leased at a time: 0.02 writes for each hand-out, 0.1 for each verification, of which each takes at
// least five requests by itself.
func (r *Ration) block() int {
	if r.Of == RationedCredentials {
		return 50
	}
	return 10
}

// Admit counts one. A refusal says when to try again, and costs nothing until then. A nil Ration admits all.
func (r *Ration) Admit(ctx context.Context, tenant TenantID) error {
	if r == nil {
		return nil
	}
	if leased, err := r.take(tenant); leased || err != nil {
		return err
	}
	now := r.Clock()
	minute := now.UTC().Truncate(time.Minute)
	ok, err := r.Store.Lease(ctx, tenant, r.Of, minute, r.block(), r.PerMinute)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lease(tenant)
	if !ok {
		l.until = minute.Add(time.Minute)
		return r.refusal(l.until.Sub(now))
	}
	l.left += r.block() - 1
	return nil
}

func (r *Ration) take(tenant TenantID) (leased bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lease(tenant)
	if l.left > 0 {
		l.left--
		return true, nil
	}
	return false, r.until(l)
}

// spent is the refusal of a tenant that is known to have had what it may in this minute.
func (r *Ration) spent(tenant TenantID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.until(r.lease(tenant))
}

func (r *Ration) until(l *lease) error {
	if wait := l.until.Sub(r.Clock()); l.left == 0 && wait > 0 {
		return r.refusal(wait)
	}
	return nil
}

// lease finds or makes what is left to the tenant. The caller holds the lock.
func (r *Ration) lease(t TenantID) *lease {
	if found, ok := r.tenants[t]; ok {
		return found
	}
	if r.tenants == nil || len(r.tenants) >= maxLimited {
		r.tenants = map[TenantID]*lease{}
	}
	made := &lease{}
	r.tenants[t] = made
	return made
}

const fixKeep = "Keep credentials for as long as they last, as SDKs do, and try again after the time in Retry-After."

func (r *Ration) refusal(wait time.Duration) error {
	if r.Of == RationedVerifications {
		return tooMany("this tenant has roles or access keys verified too often",
			"Let verifications that are under way end, and try again after the time in Retry-After.", wait)
	}
	return tooMany("this tenant's services ask for credentials too often", fixKeep, wait)
}

func tooMany(message, fix string, wait time.Duration) *Error {
	return &Error{Kind: KindLimited, Code: CodeTooManyRequests, Message: message, Fix: fix, RetryAfter: wait}
}
