package connect

import (
	"context"
	"maps"
	"math"
	"sync"
	"time"
)

// Limits keep one caller, and one tenant, from taking what others need. A caller's limit holds within this process alone and
// costs nothing; a tenant's holds for all processes together. It is safe for concurrent use.
type Limits struct {
	Tenants *Ration
	Clock   func() time.Time

	mu      sync.Mutex
	callers map[limitedCaller]*bucket
}

const (
	// CallerRate is how many hand-outs a second one caller may have of one process.
	CallerRate = 50
	// CallerBurst is how many it may have at once.
	CallerBurst = 500

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

// Admit counts one hand-out. A refusal says when to try again.
func (l *Limits) Admit(ctx context.Context, tenant TenantID, caller Actor) error {
	if err := l.Tenants.spent(tenant); err != nil { // which is no reason to count against the caller, too
		return err
	}
	l.mu.Lock()
	now := l.Clock()
	wait := l.caller(limitedCaller{tenant, caller}, now).take(now)
	l.mu.Unlock()
	if wait > 0 {
		return tooMany("this caller asks for credentials too often", fixKeep, wait)
	}
	return l.Tenants.Admit(ctx, tenant)
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
