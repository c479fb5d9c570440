package store

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"rolecall/shared/connect"
)

// leaseLife is how long what was leased in a minute is kept, for those who look.
const leaseLife = time.Hour

// Lease implements connect.LeaseStore by one conditional update.
func (s *Store) Lease(ctx context.Context, tenant connect.TenantID, of connect.Rationed, minute time.Time, n, limit int) (bool, error) {
	if n > limit {
		return false, nil
	}
	return s.update(ctx, "lease", dynamodb.UpdateItemInput{
		Key:                 leaseKey(tenant, of, minute).item(),
		UpdateExpression:    aws.String("ADD used :n SET expiresAt = :end"),
		ConditionExpression: aws.String("attribute_not_exists(used) OR used <= :most"),
		ExpressionAttributeValues: item{
			":n": number(int64(n)), ":most": number(int64(limit - n)), ":end": number(minute.Add(leaseLife).Unix()),
		},
	})
}
