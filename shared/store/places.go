package store

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"rolecall/shared/connect"
)

// TakePlaces implements connect.PlaceStore by one conditional update: in the transaction that makes a connection, those
// who make several at the same time would conflict.
func (s *Store) TakePlaces(ctx context.Context, tenant connect.TenantID, n, most int) (bool, error) {
	if n > most {
		return false, nil
	}
	return s.update(ctx, "take places", dynamodb.UpdateItemInput{
		Key:                       placesKey(tenant).item(),
		UpdateExpression:          aws.String("ADD used :n"),
		ConditionExpression:       aws.String("attribute_not_exists(used) OR used <= :most"),
		ExpressionAttributeValues: item{":n": number(int64(n)), ":most": number(int64(most - n))},
	})
}

type placesRecord struct {
	CountedAt string `dynamodbav:"countedAt"`
}

// RecountPlaces implements connect.PlaceStore. Who counts says so first, so that of several one does.
func (s *Store) RecountPlaces(ctx context.Context, tenant connect.TenantID, now time.Time, every time.Duration) (time.Duration, error) {
	at := placesKey(tenant)
	found, err := s.read(ctx, at)
	if err != nil {
		return 0, err
	}
	var last placesRecord
	if err := attributevalue.UnmarshalMap(found[at.SK], &last); err != nil {
		return 0, failed("places", err)
	}
	var r reading
	if counted := r.time(last.CountedAt); r.err == nil && !counted.IsZero() && counted.Add(every).After(now) {
		return counted.Add(every).Sub(now), nil
	}
	mine, err := s.update(ctx, "count places", dynamodb.UpdateItemInput{
		Key: at.item(), UpdateExpression: aws.String("SET countedAt = :now"),
		ConditionExpression:       aws.String("attribute_not_exists(countedAt) OR countedAt = :last"),
		ExpressionAttributeValues: item{":now": text(timeText(now)), ":last": text(last.CountedAt)},
	})
	if err != nil || !mine {
		return every, err
	}
	pending, err := s.countPending(ctx, tenant)
	if err != nil {
		return 0, err
	}
	_, err = s.update(ctx, "count places", dynamodb.UpdateItemInput{
		Key: at.item(), UpdateExpression: aws.String("SET used = :pending"),
		ConditionExpression:       aws.String("countedAt = :now"),
		ExpressionAttributeValues: item{":now": text(timeText(now)), ":pending": number(pending)},
	})
	return 0, err
}

// countPending reads all of a tenant's connections, in their index, and answers a number alone.
func (s *Store) countPending(ctx context.Context, tenant connect.TenantID) (int64, error) {
	in := &dynamodb.QueryInput{
		TableName: &s.Table, IndexName: aws.String(indexTenant), Select: types.SelectCount,
		KeyConditionExpression:    aws.String("tenantPK = :tenant"),
		FilterExpression:          aws.String("#status = :pending"),
		ExpressionAttributeNames:  map[string]string{"#status": "status"},
		ExpressionAttributeValues: item{":tenant": text(tenantPK(tenant)), ":pending": text(string(connect.StatusPending))},
	}
	var n int64
	for {
		out, err := s.Client.Query(ctx, in)
		if err != nil {
			return 0, failed("count pending", err)
		}
		n += int64(out.Count)
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			return n, nil
		}
	}
}

// update makes one conditional update; false where the condition did not hold.
func (s *Store) update(ctx context.Context, doing string, in dynamodb.UpdateItemInput) (bool, error) {
	in.TableName = &s.Table
	_, err := s.Client.UpdateItem(ctx, &in)
	var unmet *types.ConditionalCheckFailedException
	if errors.As(err, &unmet) {
		return false, nil
	}
	if err != nil {
		return false, failed(doing, err)
	}
	return true, nil
}
