package storetest

import (
	"context"
	"time"

	"rolecall/shared/connect"
)

// Lease implements connect.LeaseStore.
func (m *Memory) Lease(ctx context.Context, tenant connect.TenantID, of connect.Rationed, minute time.Time, n, limit int) (bool, error) {
	return ask(ctx, m, "Lease", func() (bool, error) {
		k := leaseKey(tenant, of, minute)
		used := get[int](m, k) + n
		if used > limit {
			return false, nil
		}
		m.set(k, used)
		return true, nil
	})
}

// places are those of a tenant's pending connections.
type places struct {
	used    int
	counted time.Time // the last time
}

// TakePlaces implements connect.PlaceStore.
func (m *Memory) TakePlaces(ctx context.Context, tenant connect.TenantID, n, most int) (bool, error) {
	return ask(ctx, m, "TakePlaces", func() (bool, error) {
		p := get[places](m, placesKey(tenant))
		if p.used += n; p.used > most {
			return false, nil
		}
		m.set(placesKey(tenant), p)
		return true, nil
	})
}

// RecountPlaces implements connect.PlaceStore.
func (m *Memory) RecountPlaces(
	ctx context.Context, tenant connect.TenantID, now time.Time, every time.Duration,
) (time.Duration, error) {
	return ask(ctx, m, "RecountPlaces", func() (time.Duration, error) {
		p := get[places](m, placesKey(tenant))
		if next := p.counted.Add(every); !p.counted.IsZero() && next.After(now) {
			return next.Sub(now), nil
		}
		all, err := m.connections()
		if err != nil {
			return 0, err
		}
		p = places{counted: now}
		for _, c := range all {
			if c.TenantID() == tenant && c.Status() == connect.StatusPending {
				p.used++
			}
		}
		m.set(placesKey(tenant), p)
		return 0, nil
	})
}
