package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"rolecall/shared/connect"
)

// Enrolments lie beside connections: ENR#<id> / META the enrolment, / EVENT#<sequence> its events, / ACCOUNT#<account>
// how far each has come, / STACK#<hash> what is remembered of a stack before its account has a connection.

func enrolmentPK(id connect.EnrolmentID) string { return "ENR#" + string(id) }

func enrolmentKey(id connect.EnrolmentID) key { return key{enrolmentPK(id), skMeta} }

func memberKey(id connect.EnrolmentID, a connect.AccountID) key {
	return key{enrolmentPK(id), memberPrefix + string(a)}
}

const memberPrefix = "ACCOUNT#"

func memberStackKey(id connect.EnrolmentID, s connect.StackID) key {
	h := sha256.Sum256([]byte(s.String()))
	return key{enrolmentPK(id), "STACK#" + hex.EncodeToString(h[:16])}
}

// enrolmentsPK keeps a tenant's enrolments apart from its connections in the same index; no tenant has a # in its name.
func enrolmentsPK(t connect.TenantID) string { return tenantPK(t) + "#ENROLMENTS" }

type enrolmentRecord struct {
	key
	TenantPK string `dynamodbav:"tenantPK"`
	TenantSK string `dynamodbav:"tenantSK"`

	ID             string   `dynamodbav:"id"`
	TenantID       string   `dynamodbav:"tenantId"`
	OrganizationID string   `dynamodbav:"organizationId"`
	Units          []string `dynamodbav:"organizationalUnitIds"`
	Status         string   `dynamodbav:"status"`
	Partition      string   `dynamodbav:"partition"`
	DefaultRegion  string   `dynamodbav:"defaultRegion"`
	Permissions    string   `dynamodbav:"permissions"`
	NameRule       string   `dynamodbav:"nameRule"`
	Prefix         string   `dynamodbav:"externalIdPrefix"`
	CreatedAt      string   `dynamodbav:"createdAt"`
	CreatedBy      string   `dynamodbav:"createdBy"`
	RevokedAt      string   `dynamodbav:"revokedAt,omitempty"`
	Version        int64    `dynamodbav:"version"`
}

func toEnrolment(e connect.Enrolment) enrolmentRecord {
	s := e.Snapshot()
	r := enrolmentRecord{
		key: enrolmentKey(s.ID), TenantPK: enrolmentsPK(s.TenantID), TenantSK: string(s.ID),
		ID: string(s.ID), TenantID: string(s.TenantID), OrganizationID: string(s.OrganizationID), Status: string(s.Status),
		Partition: string(s.Partition), DefaultRegion: string(s.DefaultRegion), Permissions: string(s.Permissions),
		NameRule: string(s.NameRule), Prefix: s.Prefix, CreatedAt: timeText(s.CreatedAt), CreatedBy: string(s.CreatedBy),
		RevokedAt: timeText(s.RevokedAt), Version: s.Version,
	}
	for _, u := range s.Units {
		r.Units = append(r.Units, string(u))
	}
	return r
}

func enrolmentOf(i item) (connect.Enrolment, error) {
	var r enrolmentRecord
	if err := attributevalue.UnmarshalMap(i, &r); err != nil {
		return connect.Enrolment{}, fmt.Errorf("enrolment: %w", err)
	}
	var p reading
	s := connect.EnrolmentSnapshot{
		ID: connect.EnrolmentID(r.ID), TenantID: connect.TenantID(r.TenantID), OrganizationID: connect.OrganizationID(r.OrganizationID),
		Status: connect.EnrolmentStatus(r.Status), Partition: connect.Partition(r.Partition), DefaultRegion: connect.Region(r.DefaultRegion),
		Permissions: connect.Permissions(r.Permissions), NameRule: connect.NameRule(r.NameRule), Prefix: r.Prefix,
		CreatedAt: p.time(r.CreatedAt), CreatedBy: connect.Actor(r.CreatedBy), RevokedAt: p.time(r.RevokedAt), Version: r.Version,
	}
	for _, u := range r.Units {
		s.Units = append(s.Units, connect.UnitID(u))
	}
	if p.err != nil {
		return connect.Enrolment{}, fmt.Errorf("enrolment %s: %w", r.ID, p.err)
	}
	return connect.RestoreEnrolment(s)
}

type memberRecord struct {
	key
	AccountID    string        `dynamodbav:"accountId"`
	ConnectionID string        `dynamodbav:"connectionId"`
	Own          string        `dynamodbav:"ownId,omitempty"`
	State        string        `dynamodbav:"memberState"`
	Reason       *reasonRecord `dynamodbav:"reason,omitempty"`
	StackID      string        `dynamodbav:"stackId,omitempty"`
	RolledBack   bool          `dynamodbav:"rolledBack"`
	UpdatedAt    string        `dynamodbav:"updatedAt"`
}

func toMember(m connect.Member) memberRecord {
	return memberRecord{
		key: memberKey(m.EnrolmentID, m.AccountID), AccountID: string(m.AccountID), ConnectionID: string(m.ConnectionID),
		Own: string(m.Own), State: string(m.State), Reason: toReason(m.Reason), StackID: m.StackID.String(), RolledBack: m.RolledBack,
		UpdatedAt: timeText(m.UpdatedAt),
	}
}

func memberOf(id connect.EnrolmentID, i item) (connect.Member, error) {
	var r memberRecord
	if err := attributevalue.UnmarshalMap(i, &r); err != nil {
		return connect.Member{}, fmt.Errorf("account of enrolment %s: %w", id, err)
	}
	var p reading
	m := connect.Member{
		EnrolmentID: id, AccountID: connect.AccountID(r.AccountID), ConnectionID: connect.ConnectionID(r.ConnectionID),
		Own: connect.ConnectionID(r.Own), State: connect.MemberState(r.State), Reason: reasonOf(r.Reason), StackID: p.stack(r.StackID), RolledBack: r.RolledBack,
		UpdatedAt: p.time(r.UpdatedAt),
	}
	return m, p.err
}

// A memberStackRecord remembers a stack of an account: one that was deleted never connects it.
type memberStackRecord struct {
	key
	Deleted bool  `dynamodbav:"deleted"`
	Seen    int64 `dynamodbav:"seen"`
}

// Enrolment reads one enrolment consistently.
func (s *Store) Enrolment(ctx context.Context, id connect.EnrolmentID) (connect.Enrolment, error) {
	k := enrolmentKey(id)
	found, err := s.read(ctx, k)
	if err != nil {
		return connect.Enrolment{}, err
	}
	i, ok := found[k.SK]
	if !ok {
		return connect.Enrolment{}, connect.ErrEnrolmentNotFound
	}
	return enrolmentOf(i)
}

// CommitEnrolment writes a change of an enrolment with its event.
func (s *Store) CommitEnrolment(ctx context.Context, ch connect.EnrolmentChange) error {
	b := builder{table: s.Table}
	after := ch.Enrolment().Snapshot()
	if i := ch.Idempotency(); i != nil {
		// The record names what a request made by its id alone, whatever it is: another request has another hash.
		b.idempotency(after.TenantID, connect.ConnectionID(after.ID), *i)
	}
	if ch.Expect() == 0 {
		b.putNew(toEnrolment(ch.Enrolment()), connect.ErrConflict)
	} else {
		b.put(toEnrolment(ch.Enrolment()), "version = :version", item{":version": number(ch.Expect())}, refusedWith(connect.ErrConflict))
	}
	e, err := toEvent(ch.Event(), false)
	if err != nil {
		return err
	}
	b.putNew(e, connect.ErrConflict)
	return s.commit(ctx, b)
}

// Enrolments lists a tenant's enrolments, newest first.
func (s *Store) Enrolments(ctx context.Context, tenant connect.TenantID, q connect.EventQuery) (connect.Page[connect.Enrolment], error) {
	var page connect.Page[connect.Enrolment]
	in := &dynamodb.QueryInput{
		TableName: &s.Table, IndexName: aws.String(indexTenant), ScanIndexForward: aws.Bool(false), Limit: limited(q.Limit),
		KeyConditionExpression:    aws.String("tenantPK = :tenant"),
		ExpressionAttributeValues: item{":tenant": text(enrolmentsPK(tenant))},
	}
	if q.Cursor != "" {
		cursor, err := readCursor(q.Cursor)
		if err != nil {
			return page, err
		}
		id, err := connect.ParseEnrolmentID(cursor)
		if err != nil {
			return page, errCursor
		}
		in.ExclusiveStartKey = enrolmentKey(id).item()
		in.ExclusiveStartKey["tenantPK"], in.ExclusiveStartKey["tenantSK"] = text(enrolmentsPK(tenant)), text(cursor)
	}
	out, err := s.Client.Query(ctx, in)
	if err != nil {
		return page, failed("list enrolments", err)
	}
	for _, i := range out.Items {
		e, err := enrolmentOf(i)
		if err != nil {
			return page, err
		}
		page.Items = append(page.Items, e)
	}
	if last, ok := out.LastEvaluatedKey["tenantSK"].(*types.AttributeValueMemberS); ok {
		page.Next = writeCursor(last.Value)
	}
	return page, nil
}

func limited(n int) *int32 {
	return aws.Int32(int32(min(n, 1000))) //nolint:gosec // bounded on the same line
}

// EnrolmentMembers lists an enrolment's accounts, by account.
func (s *Store) EnrolmentMembers(ctx context.Context, id connect.EnrolmentID, q connect.EventQuery) (connect.Page[connect.Member], error) {
	var page connect.Page[connect.Member]
	in := &dynamodb.QueryInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true), Limit: limited(q.Limit),
		KeyConditionExpression:    aws.String("PK = :pk AND begins_with(SK, :account)"),
		ExpressionAttributeValues: item{":pk": text(enrolmentPK(id)), ":account": text(memberPrefix)},
	}
	if q.Cursor != "" {
		sk, err := readCursor(q.Cursor)
		if err != nil || !strings.HasPrefix(sk, memberPrefix) {
			return page, errCursor
		}
		in.ExclusiveStartKey = key{enrolmentPK(id), sk}.item()
	}
	out, err := s.Client.Query(ctx, in)
	if err != nil {
		return page, failed("list accounts", err)
	}
	for _, i := range out.Items {
		m, err := memberOf(id, i)
		if err != nil {
			return page, err
		}
		page.Items = append(page.Items, m)
	}
	if last, ok := out.LastEvaluatedKey[attrSK].(*types.AttributeValueMemberS); ok {
		page.Next = writeCursor(last.Value)
	}
	return page, nil
}

// Membership reads what is known of the account and the stack that report to an enrolment.
func (s *Store) Membership(ctx context.Context, id connect.EnrolmentID, stack connect.StackID) (connect.Membership, error) {
	ek, mk, sk := enrolmentKey(id), memberKey(id, stack.Account()), memberStackKey(id, stack)
	found, err := s.read(ctx, ek, mk, sk)
	if err != nil {
		return connect.Membership{}, err
	}
	if _, ok := found[ek.SK]; !ok {
		return connect.Membership{}, connect.ErrEnrolmentNotFound
	}
	var m connect.Membership
	if m.Enrolment, err = enrolmentOf(found[ek.SK]); err != nil {
		return m, err
	}
	if i, ok := found[mk.SK]; ok {
		member, err := memberOf(id, i)
		if err != nil {
			return m, err
		}
		m.Member = &member
	}
	var seen memberStackRecord
	if err := attributevalue.UnmarshalMap(found[sk.SK], &seen); err != nil {
		return m, fmt.Errorf("stack of enrolment %s: %w", id, err)
	}
	m.StackDeleted, m.StackSeen = seen.Deleted, seen.Seen
	return m, nil
}

// Serving finds a connection of the tenant's that serves the account: the enrolments' own is one read. Else it goes through
// the tenant's connections, once for each account that reports for the first time, and reads again what it has found, for
// an index may be behind.
func (s *Store) Serving(ctx context.Context, tenant connect.TenantID, account connect.AccountID) (connect.Connection, bool, error) {
	if c, ok, err := s.holder(ctx, tenant, account); ok || err != nil {
		return c, ok, err
	}
	in := &dynamodb.QueryInput{
		TableName: &s.Table, IndexName: aws.String(indexTenant),
		KeyConditionExpression:   aws.String("tenantPK = :tenant"),
		FilterExpression:         aws.String("accountId = :account AND #status IN (:enabled, :degraded)"),
		ExpressionAttributeNames: map[string]string{"#status": "status"},
		ExpressionAttributeValues: item{
			":tenant": text(tenantPK(tenant)), ":account": text(string(account)),
			":enabled": text(string(connect.StatusEnabled)), ":degraded": text(string(connect.StatusDegraded)),
		},
	}
	for {
		out, err := s.Client.Query(ctx, in)
		if err != nil {
			return connect.Connection{}, false, failed("find account", err)
		}
		for _, i := range out.Items {
			c, ok, err := s.serves(ctx, i, account)
			if ok || err != nil {
				return c, ok, err
			}
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			return connect.Connection{}, false, nil
		}
	}
}

// holder is the one of the tenant's enrolments' connections that serves the account.
func (s *Store) holder(ctx context.Context, tenant connect.TenantID, account connect.AccountID) (connect.Connection, bool, error) {
	k := accountKey(tenant, account)
	found, err := s.read(ctx, k)
	if err != nil || found[k.SK] == nil {
		return connect.Connection{}, false, err
	}
	var r ownerRecord
	if err := attributevalue.UnmarshalMap(found[k.SK], &r); err != nil {
		return connect.Connection{}, false, fmt.Errorf("account: %w", err)
	}
	c, err := s.Bare(ctx, connect.ConnectionID(r.ConnectionID))
	return c, err == nil && serving(c), err
}

// serves reads consistently what an index has brought, which may have changed since.
func (s *Store) serves(ctx context.Context, i item, account connect.AccountID) (connect.Connection, bool, error) {
	seen, err := connectionOf(map[string]item{skMeta: i})
	if err != nil {
		return connect.Connection{}, false, err
	}
	c, err := s.Bare(ctx, seen.ID())
	return c, err == nil && serving(c) && c.Snapshot().AccountID == account, err
}

func serving(c connect.Connection) bool {
	return c.Status() == connect.StatusEnabled || c.Status() == connect.StatusDegraded
}

// holds makes an account the connection's among those of its tenant's enrolments, unless it is another one's.
func (b *builder) holds(t connect.TenantID, a connect.AccountID, id connect.ConnectionID) {
	r := ownerRecord{accountKey(t, a), string(id)}
	b.put(r, mineOrNobodys, item{":id": text(string(id))}, func(old item) error {
		var holder ownerRecord
		if err := attributevalue.UnmarshalMap(old, &holder); err != nil {
			return failed("account", err)
		}
		return connect.ErrAccountHeld(connect.ConnectionID(holder.ConnectionID))
	})
}

// CommitMember writes a membership without a connection of its own.
func (s *Store) CommitMember(ctx context.Context, ch connect.MemberChange) error {
	b, m := builder{table: s.Table}, ch.Member()
	stack := memberStackRecord{key: memberStackKey(m.EnrolmentID, m.StackID), Deleted: ch.StackDeleted(), Seen: seenLinked}
	switch {
	case m.State != "":
		b.put(toMember(m), notItsOwn, nil, refusedWith(connect.ErrConflict))
		if m.State == connect.MemberLinked {
			b.joins(stack)
		}
	case m.ConnectionID != "":
		b.forget(m)
		b.put(stack, "", nil, nil)
	case ch.StackSeen() == 0:
		b.putNew(stack, connect.ErrConflict)
	default:
		stack.Seen = ch.StackSeen()
		b.put(stack, "seen = :seen", item{":seen": number(stack.Seen)}, refusedWith(connect.ErrConflict))
	}
	if e := ch.Event(); e != nil {
		b.note(*e)
	}
	return s.commit(ctx, b)
}

// seenLinked marks a stack whose report was taken for a link; with a connection's version added, one that bound the stack.
const seenLinked = 1

// notItsOwn keeps the connection that the enrolment made for an account from being forgotten.
const notItsOwn = "attribute_not_exists(ownId)"

// member writes how far an account has come beside its connection. When the connection is made, nobody else's may stand
// there, and its stack must not have been deleted.
func (b *builder) member(ch connect.Change) {
	m, ok := connect.MemberOf(ch.Connection())
	if !ok {
		return
	}
	if ch.Expect() == 0 {
		b.put(toMember(m), notItsOwn, nil, refusedWith(connect.ErrConflict))
	} else {
		b.put(toMember(m), "", nil, nil)
	}
	if stack := ch.Joins(); !stack.IsZero() {
		b.joins(memberStackRecord{key: memberStackKey(m.EnrolmentID, stack), Seen: seenLinked + ch.Connection().Version()})
	}
}

func (b *builder) joins(stack memberStackRecord) {
	no := item{":no": &types.AttributeValueMemberBOOL{Value: false}}
	b.put(stack, "attribute_not_exists(PK) OR deleted = :no", no, refusedWith(connect.ErrConflict))
}

func (b *builder) forget(m connect.Member) {
	b.steps = append(b.steps, step{types.TransactWriteItem{Delete: &types.Delete{
		TableName: &b.table, Key: memberKey(m.EnrolmentID, m.AccountID).item(),
		ConditionExpression:       aws.String("memberState = :linked AND stackId = :stack AND " + notItsOwn),
		ExpressionAttributeValues: item{":linked": text(string(connect.MemberLinked)), ":stack": text(m.StackID.String())},
	}}, refusedWith(connect.ErrConflict)})
}
