package store

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"rolecall/shared/connect"
)

// A step is one action of a transaction, and what its failed condition means.
type step struct {
	action  types.TransactWriteItem
	refused func(old item) error
}

func refusedWith(err error) func(item) error { return func(item) error { return err } }

// Commit writes a change in one transaction: the connection on condition of its version, the event, and what the change
// reserves or fences. An idempotency record is looked at first, for a repeated request fails every other condition too.
func (s *Store) Commit(ctx context.Context, ch connect.Change) error {
	steps, err := s.steps(ch)
	if err != nil {
		return err
	}
	return s.commit(ctx, builder{steps: steps})
}

// commit makes the transaction of a builder's steps.
func (s *Store) commit(ctx context.Context, b builder) error {
	if b.err != nil {
		return b.err
	}
	in := &dynamodb.TransactWriteItemsInput{}
	for _, st := range b.steps {
		in.TransactItems = append(in.TransactItems, st.action)
	}
	_, err := s.Client.TransactWriteItems(ctx, in)
	var canceled *types.TransactionCanceledException
	if errors.As(err, &canceled) {
		return refusal(b.steps, canceled)
	}
	var same *types.TransactionInProgressException
	if errors.As(err, &same) {
		return connect.ErrConflict
	}
	if err != nil {
		return failed("commit", err)
	}
	return nil
}

func refusal(steps []step, canceled *types.TransactionCanceledException) error {
	conflict := false
	for i, reason := range canceled.CancellationReasons {
		switch aws.ToString(reason.Code) {
		case "ConditionalCheckFailed":
			if i < len(steps) {
				return steps[i].refused(reason.Item)
			}
		case "TransactionConflict":
			conflict = true
		}
	}
	if conflict {
		return connect.ErrConflict
	}
	return failed("commit", canceled)
}

func (s *Store) steps(ch connect.Change) ([]step, error) {
	b := builder{table: s.Table}
	if i := ch.Idempotency(); i != nil {
		b.idempotency(ch.Connection().TenantID(), ch.Connection().ID(), *i)
	}
	b.change(ch)
	for _, other := range ch.Also() {
		b.change(other)
	}
	return b.steps, b.err
}

// A builder collects the steps of a transaction and the first error on the way.
type builder struct {
	table string
	steps []step
	err   error
}

func (b *builder) put(record any, condition string, values item, refused func(item) error) {
	m, err := marshal(record)
	if err != nil {
		b.err = err
		return
	}
	p := &types.Put{TableName: &b.table, Item: m}
	if condition != "" {
		p.ConditionExpression = &condition
		p.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
	}
	if len(values) > 0 {
		p.ExpressionAttributeValues = values
	}
	b.steps = append(b.steps, step{types.TransactWriteItem{Put: p}, refused})
}

// change adds what one connection's change takes.
func (b *builder) change(ch connect.Change) {
	c, id := ch.Connection(), ch.Connection().ID()
	tenant := c.TenantID()
	b.connection(ch)
	for _, happened := range ch.Events() {
		e, err := toEvent(happened, false)
		if err != nil {
			b.err = err
			return
		}
		b.putNew(e, connect.ErrConflict)
	}
	if ch.ReservesName() {
		b.own(nameKey(tenant, c.Snapshot().Name), id, connect.ErrNameTaken)
	}
	b.member(ch)
	if f := ch.Fence(); f != nil {
		b.fence(id, *f)
	}
	if r := ch.ClaimsRole(); !r.IsZero() {
		b.own(roleKey(tenant, r), id, connect.ErrRoleInUse)
	}
	for _, r := range ch.ReleasesRoles() {
		b.release(roleKey(tenant, r), id)
	}
	for _, s := range ch.ClaimsScopes() {
		b.claim(tenant, s, id)
	}
	if i := ch.ClaimsIntake(); i != nil {
		b.intake(tenant, *i, id)
	}
	for _, s := range ch.ReleasesScopes() {
		b.release(scopeKey(tenant, s), id)
	}
	if a := ch.ClaimsAccount(); a != "" {
		b.holds(tenant, a, id)
	}
	if a := ch.ReleasesAccount(); a != "" {
		b.release(accountKey(tenant, a), id)
	}
	if e := ch.Note(); e != nil {
		b.note(*e)
	}
}

// fence remembers what a stack has reported. A stack that is gone by then has nothing more to report.
func (b *builder) fence(id connect.ConnectionID, f connect.Fence) {
	if f.Deleted {
		b.put(toFence(id, f), "", nil, nil)
		return
	}
	no := item{":no": &types.AttributeValueMemberBOOL{Value: false}}
	b.put(toFence(id, f), "attribute_not_exists(PK) OR deleted = :no", no, refusedWith(connect.ErrConflict))
}

// note keeps an event beside another connection's state.
func (b *builder) note(e connect.Event) {
	r, err := toEvent(e, true)
	if err != nil {
		b.err = err
		return
	}
	b.put(r, "", nil, nil)
}

func (b *builder) putNew(record any, taken error) {
	b.put(record, "attribute_not_exists(PK)", nil, refusedWith(taken))
}

func (b *builder) connection(ch connect.Change) {
	r := toConnection(ch.Connection())
	if ch.Expect() == 0 {
		b.putNew(r, connect.ErrConflict)
		return
	}
	b.put(r, "version = :version", item{":version": number(ch.Expect())}, refusedWith(connect.ErrConflict))
}

// idempotency ties the key to the connection, unless it is tied already.
func (b *builder) idempotency(t connect.TenantID, id connect.ConnectionID, i connect.Idempotency) {
	r := idempotencyRecord{idempotencyKey(t, i.Key), string(id), i.Request, i.ExpiresAt.Unix()}
	b.put(r, "attribute_not_exists(PK)", nil, func(old item) error { return repeated(old, i) })
}

// repeated tells a repetition from another request with the same key.
func repeated(old item, i connect.Idempotency) error {
	var was idempotencyRecord
	if err := attributevalue.UnmarshalMap(old, &was); err != nil {
		return failed("idempotency", err)
	}
	if was.Request != i.Request {
		return connect.ErrIdempotencyReused
	}
	return &connect.AlreadyDone{ID: connect.ConnectionID(was.ConnectionID)}
}

// Replay looks an Idempotency-Key up.
func (s *Store) Replay(ctx context.Context, tenant connect.TenantID, i connect.Idempotency) error {
	k := idempotencyKey(tenant, i.Key)
	found, err := s.read(ctx, k)
	if err != nil {
		return err
	}
	if old, ok := found[k.SK]; ok {
		return repeated(old, i)
	}
	return nil
}

const (
	mineOrNobodys = "attribute_not_exists(PK) OR connectionId = :id"
)

// own makes what the key stands for the connection's, unless it is another one's.
func (b *builder) own(k key, id connect.ConnectionID, taken error) {
	b.put(ownerRecord{k, string(id)}, mineOrNobodys, item{":id": text(string(id))}, refusedWith(taken))
}

func (b *builder) release(k key, id connect.ConnectionID) {
	b.steps = append(b.steps, step{types.TransactWriteItem{Delete: &types.Delete{
		TableName: &b.table, Key: k.item(), ConditionExpression: aws.String(mineOrNobodys),
		ExpressionAttributeValues: item{":id": text(string(id))},
	}}, refusedWith(connect.ErrConflict)})
}
