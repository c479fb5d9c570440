package connect

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A PlaceStore counts the connections that wait for a tenant's customers. The count is one of places taken: nobody gives
// one back, since that would be a write more for every connection that is made. It is counted anew when it is full.
type PlaceStore interface {
	// TakePlaces counts n more; ok is false where that would make more than most of them.
	TakePlaces(ctx context.Context, tenant TenantID, n, most int) (ok bool, err error)
	// RecountPlaces makes the count what it truly is. Where that was done less than every ago it does nothing but say how
	// long to wait.
	RecountPlaces(ctx context.Context, tenant TenantID, now time.Time, every time.Duration) (wait time.Duration, err error)
}

// Places bound how many pending connections a tenant has: each has a link that strangers may use, a minute in which the
// schedule must look at it, and a name. Processes take them in blocks, so that a tenant may exceed its limit by what
// idle processes still hold. It is safe for concurrent use; a nil one has room for all.
type Places struct {
	Store PlaceStore
	Clock func() time.Time
	Most  int

	mu   sync.Mutex
	held map[TenantID]*lease
}

const (
	// placeBlock is how many places are taken at a time: 0.2 writes for each connection.
	placeBlock = 5
	// recountAfter bounds what a tenant that keeps asking costs: counting reads all of its connections.
	recountAfter = 30 * time.Second
)

// Take takes a place for one more. A refusal says when to try again, and costs nothing until then.
func (p *Places) Take(ctx context.Context, tenant TenantID) error {
	if p == nil {
		return nil
	}
	if held, err := p.take(tenant); held || err != nil {
		return err
	}
	ok, err := p.Store.TakePlaces(ctx, tenant, placeBlock, p.Most)
	if err != nil {
		return err
	}
	if ok {
		p.Return(tenant, placeBlock-1)
		return nil
	}
	return p.squeeze(ctx, tenant)
}

// squeeze takes the last places one by one, after they were counted anew.
func (p *Places) squeeze(ctx context.Context, tenant TenantID) error {
	wait, err := p.Store.RecountPlaces(ctx, tenant, p.Clock(), recountAfter)
	if err != nil {
		return err
	}
	if ok, err := p.Store.TakePlaces(ctx, tenant, 1, p.Most); ok || err != nil {
		return err
	}
	if wait <= 0 {
		wait = recountAfter
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lease(tenant).until = p.Clock().Add(wait)
	return p.refusal(wait)
}

// Return keeps n places for the tenant's next connections: what was to take them was not made.
func (p *Places) Return(tenant TenantID, n int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lease(tenant).left += n
}

func (p *Places) take(tenant TenantID) (held bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lease(tenant)
	if l.left > 0 {
		l.left--
		return true, nil
	}
	if wait := l.until.Sub(p.Clock()); wait > 0 {
		return false, p.refusal(wait)
	}
	return false, nil
}

// lease finds or makes what this process holds for the tenant. The caller holds the lock.
func (p *Places) lease(t TenantID) *lease {
	if found, ok := p.held[t]; ok {
		return found
	}
	if p.held == nil || len(p.held) >= maxLimited {
		p.held = map[TenantID]*lease{}
	}
	made := &lease{}
	p.held[t] = made
	return made
}

func (p *Places) refusal(wait time.Duration) error {
	return &Error{
		Kind: KindConflict, Code: CodePendingLimit, RetryAfter: wait,
		Message: fmt.Sprintf("this tenant may have %d pending connections, and has them", p.Most),
		Fix:     "Have customers finish, or delete connections that nobody will finish, and try again after the time in Retry-After. Pending ones expire after seven days.",
	}
}
