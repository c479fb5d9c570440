package connect

import (
	"context"
	"maps"
	"math"
	"sync"
	"time"
)

// A LeaseStore gives out parts of what a tenant may have in a minute.
type LeaseStore interface {
	// Lease takes n of the tenant's limit for the minute; ok is false where not so many are left.
	Lease(ctx context.Context, tenant TenantID, minute time.Time, n, limit int) (ok bool, err error)
}

// Limits keep one caller, and one tenant, from taking what others need. A caller's limit holds within this process alone and
// costs nothing. A tenant's holds for all processes together: each leases hand-outs in blocks, one write for a block,
// and uses them up before it asks for more. It is safe for concurrent use.
type Limits struct {
	Store     LeaseStore
	Clock     func() time.Time
	PerMinute int // of a tenant, at least Block

	mu      sync.Mutex
	callers map[limitedCaller]*bucket
	tenants map[TenantID]*lease
}

const (
	// CallerRate is how many hand-outs a second one caller may have of one process.
	CallerRate = 50
	// CallerBurst is how many it may have at once.
	CallerBurst = 500
	// LeaseBlock is how many hand-outs are leased at a time: 0.02 writes for each.
	LeaseBlock = 50

	maxLimited = 10_000 // callers and tenants that are remembered
)

type limitedCaller struct {
	tenant TenantID
	caller Actor
}

// A bucket has tokens as of a moment.
type bucket struct {
	tokens float64
	at     time.Time
}

// A lease is what is left of the tenant's blocks, and until when asking for another one is useless.
type lease struct {
	left  int
	until time.Time
}

// Admit counts one hand-out. A refusal says when to try again.
func (l *Limits) Admit(ctx context.Context, tenant TenantID, caller Actor) error {
	now := l.Clock()
	l.mu.Lock()
	wait, leased := l.take(limitedCaller{tenant, caller}, now)
	l.mu.Unlock()
	if wait > 0 {
		return tooMany("this caller asks for credentials too often", wait)
	}
	if leased {
		return nil
	}
	minute := now.UTC().Truncate(time.Minute)
	ok, err := l.Store.Lease(ctx, tenant, minute, LeaseBlock, l.PerMinute)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tenant(tenant)
	if !ok {
		t.until = minute.Add(time.Minute)
		return tooMany("this tenant's services ask for credentials too often", t.until.Sub(now))
	}
	t.left += LeaseBlock - 1
	return nil
}

// take takes one token of the caller's, and one of the tenant's lease where there is one. The caller holds the lock.
func (l *Limits) take(c limitedCaller, now time.Time) (wait time.Duration, leased bool) {
	t := l.tenant(c.tenant)
	if t.left == 0 && now.Before(t.until) {
		return t.until.Sub(now), false
	}
	if wait = l.caller(c, now).take(now); wait > 0 {
		return wait, false
	}
	if t.left > 0 {
		t.left--
		return 0, true
	}
	return 0, false
}

func (b *bucket) take(now time.Time) (wait time.Duration) {
	b.tokens = math.Min(CallerBurst, b.tokens+CallerRate*math.Max(0, now.Sub(b.at).Seconds()))
	b.at = now
	if b.tokens < 1 {
		return time.Duration((1 - b.tokens) / CallerRate * float64(time.Second))
	}
	b.tokens--
	return 0
}

// caller finds or makes the caller's bucket. Buckets that are full again say nothing and are let go.
func (l *Limits) caller(c limitedCaller, now time.Time) *bucket {
	if b, ok := l.callers[c]; ok {
		return b
	}
	if len(l.callers) >= maxLimited {
		full := now.Add(-CallerBurst / CallerRate * time.Second)
		maps.DeleteFunc(l.callers, func(_ limitedCaller, b *bucket) bool { return b.at.Before(full) })
	}
	if l.callers == nil || len(l.callers) >= maxLimited {
		l.callers = map[limitedCaller]*bucket{}
	}
	b := &bucket{tokens: CallerBurst, at: now}
	l.callers[c] = b
	return b
}

func (l *Limits) tenant(t TenantID) *lease {
	if found, ok := l.tenants[t]; ok {
		return found
	}
	if l.tenants == nil || len(l.tenants) >= maxLimited {
		l.tenants = map[TenantID]*lease{}
	}
	made := &lease{}
	l.tenants[t] = made
	return made
}

func tooMany(message string, wait time.Duration) *Error {
	return &Error{
		Kind: KindLimited, Code: CodeTooManyRequests, Message: message, RetryAfter: wait,
		Fix: "Keep credentials for as long as they last, as SDKs do, and try again after the time in Retry-After.",
	}
}
