package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"

	"rolecall/shared/connect"
)

// claim makes a scope the connection's: a free one, or the one that is taken from its holder in the same transaction.
func (b *builder) claim(t connect.TenantID, c connect.ScopeClaim, id connect.ConnectionID) {
	r := ownerRecord{scopeKey(t, c.Scope), string(id)}
	if c.From != "" {
		b.put(r, "connectionId = :from", item{":from": text(string(c.From))}, refusedWith(connect.ErrConflict))
		return
	}
	b.put(r, mineOrNobodys, item{":id": text(string(id))}, func(old item) error {
		var holder ownerRecord
		if err := attributevalue.UnmarshalMap(old, &holder); err != nil {
			return failed("scope", err)
		}
		return connect.ErrScopeTaken(c.Scope, connect.ConnectionID(holder.ConnectionID))
	})
}

// scopedTries bounds how often scopes are read anew because one of them has moved on between two reads.
const scopedTries = 3

// Scoped reads which connections of the tenant have these scopes, at most connect.MaxScopes: two requests, or one where
// nobody has any.
func (s *Store) Scoped(ctx context.Context, tenant connect.TenantID, scopes []connect.Scope) (map[connect.Scope]connect.Connection, error) {
	for range scopedTries {
		holders, err := s.holders(ctx, tenant, scopes)
		if err != nil || len(holders) == 0 {
			return nil, err
		}
		held, moved, err := s.held(ctx, tenant, holders)
		if err != nil || !moved {
			return held, err
		}
	}
	return nil, connect.ErrConflict
}

func (s *Store) holders(ctx context.Context, tenant connect.TenantID, scopes []connect.Scope) (map[connect.Scope]connect.ConnectionID, error) {
	var keys []key
	for _, k := range scopes {
		if !slices.Contains(keys, scopeKey(tenant, k)) { // DynamoDB refuses a key that is asked for twice
			keys = append(keys, scopeKey(tenant, k))
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	found, err := s.readAll(ctx, keys)
	if err != nil {
		return nil, err
	}
	holders := map[connect.Scope]connect.ConnectionID{}
	for _, k := range scopes {
		i, ok := found[scopeKey(tenant, k)]
		if !ok {
			continue
		}
		var r ownerRecord
		if err := attributevalue.UnmarshalMap(i, &r); err != nil {
			return nil, fmt.Errorf("scope %s: %w", k, err)
		}
		holders[k] = connect.ConnectionID(r.ConnectionID)
	}
	return holders, nil
}

// held reads the holders themselves; moved is true where one of them has its scope no longer.
func (s *Store) held(
	ctx context.Context, tenant connect.TenantID, holders map[connect.Scope]connect.ConnectionID,
) (held map[connect.Scope]connect.Connection, moved bool, err error) {
	var keys []key
	for _, id := range holders {
		if !slices.Contains(keys, metaKey(id)) {
			keys = append(keys, metaKey(id), checkedKey(id))
		}
	}
	found, err := s.readAll(ctx, keys)
	if err != nil {
		return nil, false, err
	}
	held = map[connect.Scope]connect.Connection{}
	for scope, id := range holders {
		records := map[string]item{skMeta: found[metaKey(id)]}
		if checked, ok := found[checkedKey(id)]; ok {
			records[skChecked] = checked
		}
		c, err := connectionOf(records)
		if err != nil {
			return nil, false, err
		}
		if c.TenantID() != tenant || !slices.Contains(c.Snapshot().Scopes, scope) {
			return nil, true, nil
		}
		held[scope] = c
	}
	return held, false, nil
}
