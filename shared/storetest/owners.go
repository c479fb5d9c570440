package storetest

import (
	"context"

	"rolecall/shared/connect"
)

// Scoped implements connect.ScopeStore.
func (m *Memory) Scoped(ctx context.Context, tenant connect.TenantID, scopes []connect.Scope) (map[connect.Scope]connect.Connection, error) {
	return ask(ctx, m, "Scoped", func() (map[connect.Scope]connect.Connection, error) {
		held := map[connect.Scope]connect.Connection{}
		for _, s := range scopes {
			id := get[connect.ConnectionID](m, scopeKey(tenant, s))
			if id == "" {
				continue
			}
			c, err := m.checked(id)
			if err != nil {
				return nil, err
			}
			held[s] = c
		}
		return held, nil
	})
}

// Intake implements connect.IntakeStore.
func (m *Memory) Intake(ctx context.Context, tenant connect.TenantID) (connect.ConnectionID, error) {
	return ask(ctx, m, "Intake", func() (connect.ConnectionID, error) {
		return get[connect.ConnectionID](m, intakeKey(tenant)), nil
	})
}

// RoleHolder implements connect.IntakeStore.
func (m *Memory) RoleHolder(ctx context.Context, tenant connect.TenantID, role connect.RoleARN) (connect.ConnectionID, error) {
	return ask(ctx, m, "RoleHolder", func() (connect.ConnectionID, error) {
		return get[connect.ConnectionID](m, roleKey(tenant, role)), nil
	})
}
