package store

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"rolecall/shared/connect"
)

// leaseLife is how long what was leased in a minute is kept, for those who look.
const leaseLife = time.Hour

// Lease implements connect.LeaseStore by one conditional update.
func (s *Store) Lease(ctx context.Context, tenant connect.TenantID, minute time.Time, n, limit int) (bool, error) {
	_, err := s.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.Table, Key: leaseKey(tenant, minute).item(),
		UpdateExpression:    aws.String("ADD used :n SET expiresAt = :end"),
		ConditionExpression: aws.String("attribute_not_exists(used) OR used <= :most"),
		ExpressionAttributeValues: item{
			":n": number(int64(n)), ":most": number(int64(limit - n)), ":end": number(minute.Add(leaseLife).Unix()),
		},
	})
	var full *types.ConditionalCheckFailedException
	if errors.As(err, &full) {
		return false, nil
	}
	if err != nil {
		return false, failed("lease", err)
	}
	return true, nil
}
