package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"rolecall/shared/connect"
)

// Cursor is the last minute that was swept.
func (s *Store) Cursor(ctx context.Context) (time.Time, error) {
	out, err := s.Client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.Table, Key: cursorKey().item(), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return time.Time{}, failed("cursor", err)
	}
	var r cursorRecord
	if err := attributevalue.UnmarshalMap(out.Item, &r); err != nil || r.Minute == "" {
		return time.Time{}, err
	}
	t, err := time.Parse(minuteForm, r.Minute)
	if err != nil {
		return t, fmt.Errorf("cursor: %w", err)
	}
	return t, nil
}

// Advance moves the cursor, unless somebody else has. The move has a name of its own, so that the SDK may repeat a
// request whose acknowledgement was lost: what stands in its way then is its own doing.
func (s *Store) Advance(ctx context.Context, from, to time.Time) error {
	move := rand.Text()
	m, err := marshal(cursorRecord{cursorKey(), to.UTC().Format(minuteForm), move})
	if err != nil {
		return err
	}
	in := dynamodb.PutItemInput{
		Item: m, ConditionExpression: aws.String("attribute_not_exists(PK) OR #move = :move"),
		ExpressionAttributeNames:  map[string]string{"#move": "move"},
		ExpressionAttributeValues: item{":move": text(move)},
	}
	if !from.IsZero() {
		in.ConditionExpression = aws.String("#minute = :from OR #move = :move")
		in.ExpressionAttributeNames["#minute"] = "minute"
		in.ExpressionAttributeValues[":from"] = text(from.UTC().Format(minuteForm))
	}
	return s.putIf(ctx, "advance", in)
}

// Due lists the connections due in a minute.
func (s *Store) Due(ctx context.Context, minute time.Time, cursor string) (connect.Page[connect.ConnectionID], error) {
	return s.ids(ctx, indexDue, "due", duePK(minute), cursor)
}

// InSlot lists the connections of a slot that serve, or served until they degraded.
func (s *Store) InSlot(ctx context.Context, slot int, cursor string) (connect.Page[connect.ConnectionID], error) {
	return s.ids(ctx, indexSlot, "slot", slotPK(slot), cursor)
}

// idPage is how many ids are read at a time: a page as large as DynamoDB gives them takes megabytes of memory.
const idPage = 1000

// ids reads a page of a sparse index whose sort key is the connection's id.
func (s *Store) ids(ctx context.Context, index, prefix, pk, cursor string) (connect.Page[connect.ConnectionID], error) {
	var page connect.Page[connect.ConnectionID]
	in := &dynamodb.QueryInput{
		TableName: &s.Table, IndexName: &index, Limit: aws.Int32(idPage),
		KeyConditionExpression:    aws.String(prefix + "PK = :pk"),
		ExpressionAttributeValues: item{":pk": text(pk)},
	}
	if cursor != "" {
		in.ExclusiveStartKey = metaKey(connect.ConnectionID(cursor)).item()
		in.ExclusiveStartKey[prefix+"PK"], in.ExclusiveStartKey[prefix+"SK"] = text(pk), text(cursor)
	}
	out, err := s.Client.Query(ctx, in)
	if err != nil {
		return page, failed("list "+index, err)
	}
	for _, i := range out.Items {
		if sk, ok := i[prefix+"SK"].(*types.AttributeValueMemberS); ok {
			page.Items = append(page.Items, connect.ConnectionID(sk.Value))
		}
	}
	if last, ok := out.LastEvaluatedKey[prefix+"SK"].(*types.AttributeValueMemberS); ok {
		page.Next = last.Value
	}
	return page, nil
}
