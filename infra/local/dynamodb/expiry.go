package dynamodb

import (
	"context"
	"math"
	"strconv"
	"time"
)

// oldest is how far in the past a time of expiry may lie: DynamoDB takes older ones for mistakes.
const oldest = 5 * 365 * 24 * time.Hour

// expiryOf places an item by its time of expiry; ok is false for one that has none.
func (t *table) expiryOf(r *record, base key) (key, bool) {
	if r == nil || t.ttl == "" {
		return key{}, false
	}
	value, ok := r.item[t.ttl]
	if !ok || value.kind != kindNumber {
		return key{}, false
	}
	seconds, err := strconv.ParseFloat(value.text, 64)
	if err != nil || seconds <= 0 || seconds >= math.MaxInt64 {
		return key{}, false
	}
	return key{hash: uint64(seconds), base: base.joined()}, true
}

func (t *table) applyExpiry(c change) {
	if before, ok := t.expiryOf(c.old, c.key); ok {
		t.expiry.remove(before)
	}
	if after, ok := t.expiryOf(c.next, c.key); ok {
		t.expiry.set(after, c.next)
	}
}

func (t *table) startExpiry(attribute string) {
	t.ttl = attribute
	t.items.ascend(func(key) bool { return false }, func(e entry) bool {
		t.applyExpiry(change{table: t, key: e.key, next: e.record})
		return true
	})
}

func (t *table) stopExpiry() {
	t.ttl = ""
	t.expiry = tree{}
}

// expire removes what has expired and answers how many items that were.
func (t *table) expire(now time.Time) int {
	var due []*record
	from, to := uint64(max(0, now.Add(-oldest).Unix())), uint64(max(0, now.Unix()))
	t.expiry.ascend(func(k key) bool { return k.hash < from }, func(e entry) bool {
		if e.key.hash >= to {
			return false
		}
		due = append(due, e.record)
		return true
	})
	for _, r := range due {
		t.apply(change{table: t, key: t.keys.of(r.item), old: r}, now, byService)
	}
	return len(due)
}

// ExpireNow removes all items whose time to live is over, from every table, and answers how many. DynamoDB does so within
// days; here it happens when this is called.
func (s *Service) ExpireNow() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	removed := 0
	for _, t := range s.tables {
		removed += t.expire(s.clock())
	}
	return removed
}

// Sweep calls ExpireNow every so often until ctx ends.
func (s *Service) Sweep(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.ExpireNow()
		}
	}
}
