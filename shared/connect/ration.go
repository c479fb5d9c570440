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
	RationedReads         Rationed = "reads"
	RationedLaunches      Rationed = "launches"
	RationedRevocations   Rationed = "revocations"
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
	tenants map[rationed]*lease
}

// A rationed is a tenant and what it may have so much of: of its own, or for one of its connections.
type rationed struct {
	tenant TenantID
	of     Rationed
}

// A lease is what is left of the tenant's blocks, and until when asking for another one is useless.
type lease struct {
	left  int
	until time.Time
}

// block is how much is leased at a time: 0.01 writes for each read, 0.02 for each hand-out, 0.1 for each verification, of
// which each takes at least five requests by itself.
func (r *Ration) block() int {
	switch r.Of {
	case RationedReads:
		return 100
	case RationedCredentials:
		return 50
	default:
		return 10
	}
}

// Admit counts one. A refusal says when to try again, and costs nothing until then. A nil Ration admits all.
func (r *Ration) Admit(ctx context.Context, tenant TenantID) error {
	if r == nil {
		return nil
	}
	return r.admit(ctx, rationed{tenant, r.Of}, r.block())
}

// AdmitFor counts one for a connection, of which each may have the whole ration. The caller has found it to be the tenant's.
func (r *Ration) AdmitFor(ctx context.Context, tenant TenantID, id ConnectionID) error {
	if r == nil {
		return nil
	}
	return r.admit(ctx, rationed{tenant, r.Of + "#" + Rationed(id)}, 1)
}

func (r *Ration) admit(ctx context.Context, k rationed, block int) error {
	if leased, err := r.take(k); leased || err != nil {
		return err
	}
	now := r.Clock()
	minute := now.UTC().Truncate(time.Minute)
	ok, err := r.Store.Lease(ctx, k.tenant, k.of, minute, block, r.PerMinute)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lease(k)
	if !ok {
		l.until = minute.Add(time.Minute)
		return r.refusal(l.until.Sub(now))
	}
	l.left += block - 1
	return nil
}

func (r *Ration) take(k rationed) (leased bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lease(k)
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
	return r.until(r.lease(rationed{tenant, r.Of}))
}

func (r *Ration) until(l *lease) error {
	if wait := l.until.Sub(r.Clock()); l.left == 0 && wait > 0 {
		return r.refusal(wait)
	}
	return nil
}

// lease finds or makes what is left. The caller holds the lock.
func (r *Ration) lease(k rationed) *lease {
	if found, ok := r.tenants[k]; ok {
		return found
	}
	if r.tenants == nil || len(r.tenants) >= maxLimited {
		r.tenants = map[rationed]*lease{}
	}
	made := &lease{}
	r.tenants[k] = made
	return made
}

const fixKeep = "Keep credentials for as long as they last, as SDKs do, and try again after the time in Retry-After."

func (r *Ration) refusal(wait time.Duration) error {
	const later = "try again after the time in Retry-After."
	switch r.Of {
	case RationedVerifications:
		return tooMany("this tenant has roles or access keys verified too often", "Let verifications that are under way end, and "+later, wait)
	case RationedReads:
		return tooMany("this tenant reads too often",
			"Keep what you have read, follow a connection by GET /v1/connections/{id}/status with If-None-Match, and "+later, wait)
	case RationedLaunches:
		return tooMany("this tenant creates or launches connections too often", "Use the launches that there are, and "+later, wait)
	case RationedRevocations:
		return tooMany("sessions are revoked too often", "What has been revoked stays so; for more, "+later, wait)
	default:
		return tooMany("this tenant's services ask for credentials too often", fixKeep, wait)
	}
}

func tooMany(message, fix string, wait time.Duration) *Error {
	return &Error{Kind: KindLimited, Code: CodeTooManyRequests, Message: message, Fix: fix, RetryAfter: wait}
}
