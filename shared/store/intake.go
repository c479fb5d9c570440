package store

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"

	"rolecall/shared/connect"
)

// intake makes a new connection its tenant's intake, in the place of the one before.
func (b *builder) intake(t connect.TenantID, c connect.IntakeClaim, id connect.ConnectionID) {
	r := ownerRecord{intakeKey(t), string(id)}
	if c.Replaces == "" {
		b.putNew(r, connect.ErrConflict)
		return
	}
	b.put(r, "connectionId = :from", item{":from": text(string(c.Replaces))}, refusedWith(connect.ErrConflict))
}

// Intake is the tenant's newest intake; "" where it never had one.
func (s *Store) Intake(ctx context.Context, tenant connect.TenantID) (connect.ConnectionID, error) {
	return s.owner(ctx, intakeKey(tenant))
}

// RoleHolder is the tenant's connection that has the role; "" where none has.
func (s *Store) RoleHolder(ctx context.Context, tenant connect.TenantID, role connect.RoleARN) (connect.ConnectionID, error) {
	return s.owner(ctx, roleKey(tenant, role))
}

func (s *Store) owner(ctx context.Context, k key) (connect.ConnectionID, error) {
	found, err := s.read(ctx, k)
	if err != nil {
		return "", err
	}
	var r ownerRecord
	if err := attributevalue.UnmarshalMap(found[k.SK], &r); err != nil {
		return "", fmt.Errorf("owner: %w", err)
	}
	return connect.ConnectionID(r.ConnectionID), nil
}
