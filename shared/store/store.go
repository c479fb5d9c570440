// Package store keeps connections, their events and what guards them in one DynamoDB table. It implements the store
// interfaces that package connect declares beside their use cases.
package store

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"rolecall/shared/connect"
)

// A Store is a table of connections.
type Store struct {
	Client *dynamodb.Client
	Table  string
}

type item = map[string]types.AttributeValue

// marshal cannot fail for the record types of this package: they hold nothing but text, numbers and flags.
func marshal(v any) (item, error) {
	m, err := attributevalue.MarshalMap(v)
	if err != nil {
		return nil, fmt.Errorf("marshal %T: %w", v, err)
	}
	return m, nil
}

func (k key) item() item {
	return item{attrPK: text(k.PK), attrSK: text(k.SK)}
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: fmt.Sprint(n)}
}

// failed wraps an error of DynamoDB itself: nothing is known to be written.
func failed(doing string, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return connect.Unavailable(connect.CodeStoreUnavailable, "the store did not answer as it should", fmt.Errorf("%s: %w", doing, err))
}

// getTries bounds the requests for what DynamoDB left unprocessed.
const getTries = 4

// read gets records of one connection, or of one tenant, consistently, by their sort keys.
func (s *Store) read(ctx context.Context, keys ...key) (map[string]item, error) {
	all, err := s.readAll(ctx, keys)
	if err != nil {
		return nil, err
	}
	found := make(map[string]item, len(all))
	for k, i := range all {
		found[k.SK] = i
	}
	return found, nil
}

// readAll gets records consistently, a hundred at most.
func (s *Store) readAll(ctx context.Context, keys []key) (map[key]item, error) {
	ask := make([]map[string]types.AttributeValue, 0, len(keys))
	for _, k := range keys {
		ask = append(ask, k.item())
	}
	pending := map[string]types.KeysAndAttributes{s.Table: {Keys: ask, ConsistentRead: aws.Bool(true)}}
	found := map[key]item{}
	for range getTries {
		out, err := s.Client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: pending})
		if err != nil {
			return nil, failed("read", err)
		}
		for _, i := range out.Responses[s.Table] {
			pk, _ := i[attrPK].(*types.AttributeValueMemberS)
			if sk, ok := i[attrSK].(*types.AttributeValueMemberS); ok && pk != nil {
				found[key{pk.Value, sk.Value}] = i
			}
		}
		if pending = out.UnprocessedKeys; len(pending) == 0 {
			return found, nil
		}
	}
	return nil, failed("read", errors.New("keys left unprocessed"))
}

// Connection reads one connection consistently.
func (s *Store) Connection(ctx context.Context, id connect.ConnectionID) (connect.Connection, error) {
	found, err := s.read(ctx, metaKey(id), checkedKey(id))
	if err != nil {
		return connect.Connection{}, err
	}
	return connectionOf(found)
}

// Bare reads the connection's own record alone: half of what Connection costs.
func (s *Store) Bare(ctx context.Context, id connect.ConnectionID) (connect.Connection, error) {
	found, err := s.read(ctx, metaKey(id))
	if err != nil {
		return connect.Connection{}, err
	}
	return connectionOf(found)
}

func connectionOf(found map[string]item) (connect.Connection, error) {
	meta, ok := found[skMeta]
	if !ok {
		return connect.Connection{}, connect.ErrNotFound
	}
	var r connectionRecord
	if err := attributevalue.UnmarshalMap(meta, &r); err != nil {
		return connect.Connection{}, fmt.Errorf("connection: %w", err)
	}
	var checked checkedRecord
	if err := attributevalue.UnmarshalMap(found[skChecked], &checked); err != nil {
		return connect.Connection{}, fmt.Errorf("time of check: %w", err)
	}
	r.LastVerifiedAt = max(r.LastVerifiedAt, checked.At)
	return r.connection()
}

// ConnectionAndFence reads a connection and what is remembered of a stack, in this order: several keys of one request are
// not read at one instant. A bound stack's fence changes with its connection, so what is decided upon a connection and a newer
// fence cannot be committed, but upon a connection and an older fence it could.
func (s *Store) ConnectionAndFence(
	ctx context.Context, id connect.ConnectionID, stack connect.StackID,
) (connect.Connection, connect.Fence, error) {
	c, err := s.Bare(ctx, id)
	if err != nil {
		return connect.Connection{}, connect.Fence{}, err
	}
	fk := fenceKey(id, stack)
	found, err := s.read(ctx, fk)
	if err != nil {
		return connect.Connection{}, connect.Fence{}, err
	}
	if _, ok := found[fk.SK]; !ok {
		return c, connect.Fence{}, nil
	}
	var r fenceRecord
	if err := attributevalue.UnmarshalMap(found[fk.SK], &r); err != nil {
		return c, connect.Fence{}, fmt.Errorf("fence: %w", err)
	}
	f, err := r.fence()
	return c, f, err
}

// KeepFence remembers a stack that is not the connection's, for ever. With a time it remembers until then a stack of which nothing
// has been known; ErrConflict where something is by now.
func (s *Store) KeepFence(ctx context.Context, id connect.ConnectionID, f connect.Fence, until time.Time) error {
	r := toFence(id, f)
	if until.IsZero() {
		return s.put(ctx, "fence", r)
	}
	r.ExpiresAt = until.Unix()
	m, err := marshal(r)
	if err != nil {
		return err
	}
	return s.putIf(ctx, "fence", dynamodb.PutItemInput{Item: m, ConditionExpression: aws.String("attribute_not_exists(PK)")})
}

// putIf writes one item under a condition; ErrConflict where it does not hold.
func (s *Store) putIf(ctx context.Context, doing string, in dynamodb.PutItemInput) error {
	in.TableName = &s.Table
	_, err := s.Client.PutItem(ctx, &in)
	var unmet *types.ConditionalCheckFailedException
	switch {
	case errors.As(err, &unmet):
		return connect.ErrConflict
	case err != nil:
		return failed(doing, err)
	}
	return nil
}

// RecordCheck keeps the time of a check that changed nothing: one small write that no index and no stream consumer sees.
func (s *Store) RecordCheck(ctx context.Context, id connect.ConnectionID, at time.Time) error {
	return s.put(ctx, "record check", checkedRecord{key: checkedKey(id), At: timeText(at)})
}

// Note keeps an event beside the connection's state, such as credentials issued.
func (s *Store) Note(ctx context.Context, e connect.Event) error {
	r, err := toEvent(e, true)
	if err != nil {
		return err
	}
	return s.put(ctx, "note", r)
}

func (s *Store) put(ctx context.Context, doing string, record any) error {
	m, err := marshal(record)
	if err != nil {
		return err
	}
	if _, err := s.Client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.Table, Item: m}); err != nil {
		return failed(doing, err)
	}
	return nil
}

// listPages bounds the pages read for one page of a filtered list; the cursor goes on from there.
const listPages = 10

// Connections lists a tenant's connections, newest first.
func (s *Store) Connections(
	ctx context.Context, tenant connect.TenantID, q connect.ListQuery,
) (connect.Page[connect.Connection], error) {
	var page connect.Page[connect.Connection]
	in := &dynamodb.QueryInput{
		TableName: &s.Table, IndexName: aws.String(indexTenant), ScanIndexForward: aws.Bool(false),
		KeyConditionExpression:    aws.String("tenantPK = :tenant"),
		ExpressionAttributeValues: item{":tenant": text(tenantPK(tenant))},
		ExpressionAttributeNames:  map[string]string{"#status": "status"},
	}
	filter(in, q)
	if q.Cursor != "" {
		id, err := readCursor(q.Cursor)
		if err != nil {
			return page, err
		}
		if in.ExclusiveStartKey, err = tenantStart(tenant, id); err != nil {
			return page, err
		}
	}
	for range listPages {
		out, err := s.Client.Query(ctx, in)
		if err != nil {
			return page, failed("list", err)
		}
		for _, i := range out.Items {
			if len(page.Items) == q.Limit {
				page.Next = writeCursor(string(page.Items[q.Limit-1].ID()))
				return page, nil
			}
			c, err := connectionOf(map[string]item{skMeta: i})
			if err != nil {
				return page, err
			}
			page.Items = append(page.Items, c)
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			return page, nil
		}
	}
	if last, ok := in.ExclusiveStartKey["tenantSK"].(*types.AttributeValueMemberS); ok {
		page.Next = writeCursor(last.Value)
	}
	return page, nil
}

func filter(in *dynamodb.QueryInput, q connect.ListQuery) {
	conditions := []string{"#status <> :status"}
	in.ExpressionAttributeValues[":status"] = text(string(connect.StatusDeleted))
	if q.Status != "" {
		conditions[0] = "#status = :status"
		in.ExpressionAttributeValues[":status"] = text(string(q.Status))
	}
	if q.Contains != "" {
		conditions = append(conditions, "contains(nameFolded, :contains)")
		in.ExpressionAttributeValues[":contains"] = text(connect.Name(q.Contains).Folded())
	}
	if q.Scope.Level != "" {
		conditions = append(conditions, scoped(in, q.Scope))
	}
	in.FilterExpression = aws.String(strings.Join(conditions, " AND "))
}

// tenantStart builds the whole key from the caller's own tenant: a cursor can lead nowhere else.
func tenantStart(t connect.TenantID, cursor string) (item, error) {
	id, err := connect.ParseConnectionID(cursor)
	if err != nil {
		return nil, errCursor
	}
	start := metaKey(id).item()
	start["tenantPK"], start["tenantSK"] = text(tenantPK(t)), text(string(id))
	return start, nil
}

func writeCursor(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func readCursor(s string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) == 0 || len(b) > 256 {
		return "", errCursor
	}
	return string(b), nil
}

var errCursor = &connect.Error{
	Kind: connect.KindInvalid, Code: connect.CodeCursorInvalid, Message: "this is no cursor of this list",
	Fix: "Send the nextCursor of the page before, or none.",
}

// Events lists a connection's events, newest first.
func (s *Store) Events(ctx context.Context, id connect.ConnectionID, q connect.EventQuery) (connect.Page[connect.Event], error) {
	var page connect.Page[connect.Event]
	in := &dynamodb.QueryInput{
		TableName: &s.Table, ScanIndexForward: aws.Bool(false), ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String("PK = :pk AND begins_with(SK, :event)"),
		ExpressionAttributeValues: item{":pk": text(connectionPK(id)), ":event": text(eventPrefix)},
		Limit:                     aws.Int32(int32(min(q.Limit, 1000))), //nolint:gosec // bounded on the same line
	}
	if q.Cursor != "" {
		sk, err := readCursor(q.Cursor)
		if err != nil || !strings.HasPrefix(sk, eventPrefix) {
			return page, errCursor
		}
		in.ExclusiveStartKey = key{connectionPK(id), sk}.item()
	}
	if q.About != "" {
		in.FilterExpression = aws.String("begins_with(#type, :type)")
		in.ExpressionAttributeNames = map[string]string{"#type": "type"}
		in.ExpressionAttributeValues[":type"] = text(q.About + ".")
	}
	for range listPages {
		out, err := s.Client.Query(ctx, in)
		if err != nil {
			return page, failed("events", err)
		}
		if err := addEvents(&page, out.Items); err != nil {
			return page, err
		}
		page.Next = ""
		last, ok := out.LastEvaluatedKey[attrSK].(*types.AttributeValueMemberS)
		if !ok {
			return page, nil
		}
		page.Next, in.ExclusiveStartKey = writeCursor(last.Value), out.LastEvaluatedKey
		if len(page.Items) > 0 { // a filtered page may be short; the cursor goes on from there
			return page, nil
		}
	}
	return page, nil
}

func addEvents(page *connect.Page[connect.Event], items []item) error {
	for _, i := range items {
		var r eventRecord
		if err := attributevalue.UnmarshalMap(i, &r); err != nil {
			return fmt.Errorf("event: %w", err)
		}
		e, err := r.event()
		if err != nil {
			return err
		}
		page.Items = append(page.Items, e)
	}
	return nil
}
