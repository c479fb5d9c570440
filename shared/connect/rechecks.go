package connect

import (
	"context"
	"maps"
	"sync"
	"time"
)

// Rechecks asks for a look at connections whose role was refused when somebody needed it, so that the connection's
// status tells of it before the schedule would have found out. It is safe for concurrent use.
type Rechecks struct {
	Jobs  SweepJobs
	Clock func() time.Time

	mu    sync.Mutex
	asked map[ConnectionID]time.Time
}

// maxRechecks bounds what is remembered: beyond it, a connection may be looked at more often than need be.
const maxRechecks = 1000

// Refused asks for a look at the connection, at most once in the time in which one denial counts. A denial that is
// found then is a strike like any other.
func (r *Rechecks) Refused(ctx context.Context, id ConnectionID) error {
	if !r.due(id) {
		return nil
	}
	err := r.Jobs.Sweep(ctx, []ConnectionID{id}, 0)
	if err != nil {
		r.forget(id)
	}
	return err
}

func (r *Rechecks) due(id ConnectionID) bool {
	now := r.Clock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.asked[id]; ok && now.Before(at.Add(strikeGap)) {
		return false
	}
	if len(r.asked) >= maxRechecks {
		maps.DeleteFunc(r.asked, func(_ ConnectionID, at time.Time) bool { return !now.Before(at.Add(strikeGap)) })
	}
	if r.asked == nil || len(r.asked) >= maxRechecks {
		r.asked = map[ConnectionID]time.Time{}
	}
	r.asked[id] = now
	return true
}

func (r *Rechecks) forget(id ConnectionID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.asked, id)
}
