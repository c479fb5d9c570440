package storetest

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"rolecall/shared/connect"
)

func enrolments(s Store, at time.Time) connect.Enrolments {
	return connect.Enrolments{Store: s, Replays: s, Clock: func() time.Time { return at }, Random: crand.Reader, Deployment: deployment()}
}

// Enrol has the use case make an enrolment, whose connections are named by the rule.
func Enrol(t testing.TB, s Store, tenant connect.TenantID, rule string) connect.Enrolment {
	t.Helper()
	return enrolledAt(t, s, tenant, rule, Noon)
}

func enrolledAt(t testing.TB, s Store, tenant connect.TenantID, rule string, at time.Time) connect.Enrolment {
	t.Helper()
	e, err := enrolments(s, at).Create(t.Context(), connect.EnrolRequest{
		Filter: connect.Unrestricted(), Tenant: tenant, By: "ada", OrganizationID: "o-a1b2c3d4e5", Units: []string{"r-ab12", "ou-ab12-c3d4e5f6"}, NameRule: rule + " {accountId}",
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func memberStack(t testing.TB, account string, number int) connect.StackID {
	t.Helper()
	return stackOf(t, fmt.Sprintf("arn:aws:cloudformation:eu-west-1:%s:stack/member/%08d", account, number))
}

// joined is the change that makes the connection of an account.
func joined(t testing.TB, e connect.Enrolment, stack connect.StackID, attempt int) connect.Change {
	t.Helper()
	return e.Connect(stack.Account(), stack, newID(t), attempt, Noon)
}

// goodMember is an outcome that proves a role of an account of the organization.
func goodMember() connect.Outcome {
	o := Good(Noon)
	o.Checks = append(o.Checks, connect.Check{Name: connect.CheckOrganization, Verdict: connect.Passed, At: Noon})
	return o
}

// proven is the change that enables an account's connection, which is made, and whose role is on trial.
func proven(t testing.TB, s Store, e connect.Enrolment, stack connect.StackID, arn string) connect.Change {
	t.Helper()
	return passes(t, s, Commit(t, s, joined(t, e, stack, 1), nil), arn, goodMember())
}

// memberReport is what an account's stack reports; its role bears the name.
func memberReport(e connect.Enrolment, kind connect.RequestType, stack connect.StackID, role, request string) connect.CallbackRequest {
	return connect.CallbackRequest{
		EnrolmentID: string(e.ID()), RoleARN: fmt.Sprintf("arn:aws:iam::%s:role/%s", stack.Account(), role),
		ReplyTo: connect.ReplyTo{StackID: stack.String(), RequestID: request},
		Callback: connect.Callback{
			Type: kind, Resource: connect.ResourceMember, StackID: stack, LogicalID: "Member", RequestID: request, SignedAt: Noon, SentAt: Noon,
		},
	}
}

// TestEnrolmentsAreKept as they were committed, each change upon the version that it was decided on.
func TestEnrolmentsAreKept(t *testing.T, s Store) {
	ctx := t.Context()
	e := Enrol(t, s, "acme", "Member")
	got, err := s.Enrolment(ctx, e.ID())
	if err != nil || !reflect.DeepEqual(e.Snapshot(), got.Snapshot()) {
		t.Errorf("committed %+v\nread %+v, %v", e.Snapshot(), got.Snapshot(), err)
	}
	revoked := got.Revoke("ada", Noon.Add(time.Hour))
	if err := s.CommitEnrolment(ctx, revoked); err != nil {
		t.Fatal(err)
	}
	if err := s.CommitEnrolment(ctx, revoked); !errors.Is(err, connect.ErrConflict) {
		t.Errorf("a change of what has changed: %v", err)
	}
	if got, err = s.Enrolment(ctx, e.ID()); err != nil || !reflect.DeepEqual(revoked.Enrolment().Snapshot(), got.Snapshot()) {
		t.Errorf("%v, %v", got.Snapshot(), err)
	}
	if err := s.CommitEnrolment(ctx, Enrol(t, New(), "acme", "Elsewhere").Revoke("ada", Noon)); !errors.Is(err, connect.ErrConflict) {
		t.Errorf("a change of what is not there: %v", err)
	}
	const none = "enr_01ka000000000000000000demx"
	if _, err := s.Enrolment(ctx, none); !errors.Is(err, connect.ErrEnrolmentNotFound) {
		t.Errorf("none: %v", err)
	}
	if _, err := s.Membership(ctx, none, memberStack(t, "222222222222", 1)); !errors.Is(err, connect.ErrEnrolmentNotFound) {
		t.Errorf("an account of none: %v", err)
	}
}

// TestEnrolmentsAreListedApart says that a tenant's are neither another's nor among its connections.
func TestEnrolmentsAreListedApart(t *testing.T, s Store) {
	var want, got []connect.EnrolmentID
	for i := range 5 {
		e := enrolledAt(t, s, "acme", "Member", Noon.Add(time.Duration(i)*time.Second))
		want = append([]connect.EnrolmentID{e.ID()}, want...)
	}
	Enrol(t, s, "other", "Member")
	Commit(t, s, Create(t, "acme", "One"), nil)
	for q := (connect.EventQuery{Limit: 2}); ; {
		page, err := s.Enrolments(t.Context(), "acme", q)
		if err != nil || len(page.Items) > 2 {
			t.Fatal(page, err)
		}
		for _, e := range page.Items {
			got = append(got, e.ID())
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	if !slices.Equal(want, got) {
		t.Errorf("made %v, listed %v", want, got)
	}
	connections, err := s.Connections(t.Context(), "acme", connect.ListQuery{Limit: 50})
	if err != nil || len(connections.Items) != 1 {
		t.Errorf("%d connections, %v", len(connections.Items), err)
	}
	if _, err := s.Enrolments(t.Context(), "acme", connect.EventQuery{Limit: 2, Cursor: "bm9uZQ"}); !errors.Is(err, &connect.Error{Code: connect.CodeCursorInvalid}) {
		t.Errorf("a cursor of nothing: %v", err)
	}
}

// TestAnAccountsLineFollowsItsConnection in the same transaction.
func TestAnAccountsLineFollowsItsConnection(t *testing.T, s Store) {
	ctx := t.Context()
	e := Enrol(t, s, "acme", "Member")
	stack := memberStack(t, "222222222222", 1)
	c := Commit(t, s, joined(t, e, stack, 1), nil)
	ch, err := c.ReportRole(Role(t, roleOne), Noon, "stack")
	c = Commit(t, s, ch, err)
	m, err := s.Membership(ctx, e.ID(), stack)
	if err != nil || m.Member == nil || m.Member.State != connect.MemberConnecting || m.Member.ConnectionID != c.ID() || m.Member.Own != c.ID() || m.StackDeleted {
		t.Fatalf("%+v, %v", m, err)
	}
	v, _ := c.Trial()
	denied := goodMember()
	denied.Checks[0].Verdict, denied.Checks[0].Reason = connect.Failed, connect.Reason{Code: connect.CodeRoleNotAssumable, Message: "m", Fix: "f"}
	ch, err = c.Tried(v.Run, v.Attempt, denied, 0, Noon.Add(10*time.Minute))
	c = Commit(t, s, ch, err)
	if m, err = s.Membership(ctx, e.ID(), stack); err != nil || m.Member.State != connect.MemberFailed || m.Member.Reason != denied.Checks[0].Reason {
		t.Fatalf("%+v, %v", m.Member, err)
	}
	ch, err = c.Delete(Noon, "ada")
	Commit(t, s, ch, err)
	page, err := s.EnrolmentMembers(ctx, e.ID(), connect.EventQuery{Limit: 10})
	if err != nil || len(page.Items) != 1 || page.Items[0].State != connect.MemberDeleted {
		t.Errorf("%+v, %v", page, err)
	}
	back, err := s.Connection(ctx, c.ID())
	if err != nil || back.Snapshot().EnrolmentID != e.ID() || back.Snapshot().OrganizationID != "o-a1b2c3d4e5" {
		t.Errorf("%+v, %v", back.Snapshot(), err)
	}
}

// TestAccountsAreListed by their numbers, over pages, of their enrolment alone.
func TestAccountsAreListed(t *testing.T, s Store) {
	e, other := Enrol(t, s, "acme", "Member"), Enrol(t, s, "acme", "Other")
	var want, got []string
	for i := range 5 {
		want = append(want, fmt.Sprintf("%012d", 10+i))
		Commit(t, s, joined(t, e, memberStack(t, fmt.Sprintf("%012d", 14-i), 1), 1), nil)
	}
	Commit(t, s, joined(t, other, memberStack(t, "222222222222", 1), 1), nil)
	for q := (connect.EventQuery{Limit: 2}); ; {
		page, err := s.EnrolmentMembers(t.Context(), e.ID(), q)
		if err != nil || len(page.Items) > 2 {
			t.Fatal(page, err)
		}
		for _, m := range page.Items {
			got = append(got, string(m.AccountID))
			if m.EnrolmentID != e.ID() || m.Own == "" {
				t.Errorf("%+v", m)
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	if !slices.Equal(want, got) {
		t.Errorf("listed %v, want %v", got, want)
	}
	if _, err := s.EnrolmentMembers(t.Context(), e.ID(), connect.EventQuery{Limit: 2, Cursor: "bm9uZQ"}); !errors.Is(err, &connect.Error{Code: connect.CodeCursorInvalid}) {
		t.Errorf("a cursor of nothing: %v", err)
	}
}

// TestOneConnectionForAnAccount is made by one of many reports that come at the same time.
func TestOneConnectionForAnAccount(t *testing.T, s Store) {
	e := Enrol(t, s, "acme", "Member")
	changes := make([]connect.Change, 20)
	for i := range changes {
		changes[i] = joined(t, e, memberStack(t, "222222222222", i), i+1)
	}
	errs := make([]error, len(changes))
	Race(len(changes), func(i int) { errs[i] = s.Commit(t.Context(), changes[i]) })
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, connect.ErrConflict) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d connections", won)
	}
}

// TestAStackThatIsGoneConnectsNothing and one that has linked its account ends the link when it goes.
func TestAStackThatIsGoneConnectsNothing(t *testing.T, s Store) {
	ctx := t.Context()
	e := Enrol(t, s, "acme", "Member")
	stack, second := memberStack(t, "222222222222", 1), memberStack(t, "222222222222", 2)
	u := newArena()
	receive := func(kind connect.RequestType, stack connect.StackID, request string) {
		t.Helper()
		if reply := u.receive(t, s, memberReport(e, kind, stack, "One", request)); reply == nil || !reply.OK {
			t.Fatalf("%+v", reply)
		}
	}
	receive(connect.RequestDelete, stack, "r1")
	receive(connect.RequestDelete, stack, "r1")
	m, err := s.Membership(ctx, e.ID(), stack)
	if err != nil || !m.StackDeleted || m.Member != nil {
		t.Fatalf("%+v, %v", m, err)
	}
	if err := s.Commit(ctx, joined(t, e, stack, 1)); !errors.Is(err, connect.ErrConflict) {
		t.Errorf("a connection by a stack that is gone: %v", err)
	}
	known := Enabled(t, s, "acme", "Known", "arn:aws:iam::222222222222:role/Known")
	receive(connect.RequestCreate, second, "r2")
	if m, err = s.Membership(ctx, e.ID(), stack); err != nil || m.Member == nil || m.Member.State != connect.MemberLinked || m.Member.ConnectionID != known.ID() {
		t.Fatalf("%+v, %v", m, err)
	}
	if m, err = s.Membership(ctx, e.ID(), second); err != nil || m.StackDeleted || m.StackSeen == 0 {
		t.Fatalf("%+v, %v", m, err)
	}
	receive(connect.RequestDelete, second, "r3")
	if m, err = s.Membership(ctx, e.ID(), second); err != nil || m.Member != nil || !m.StackDeleted {
		t.Errorf("%+v, %v", m, err)
	}
	events, err := s.Events(ctx, known.ID(), connect.EventQuery{Limit: 2})
	if err != nil || len(events.Items) != 2 {
		t.Fatalf("%+v, %v", events, err)
	}
	got := map[connect.EventType]bool{events.Items[0].Type: true, events.Items[1].Type: true}
	if !got[connect.EventLinked] || !got[connect.EventUnlinked] {
		t.Errorf("timeline %v", got)
	}
}

// between is a store in which something happens between what is read and what is committed, once.
type between struct {
	Store
	meanwhile func()
}

func (b *between) happens() {
	if f := b.meanwhile; f != nil {
		b.meanwhile = nil
		f()
	}
}

func (b *between) Commit(ctx context.Context, ch connect.Change) error {
	b.happens()
	return b.Store.Commit(ctx, ch)
}

func (b *between) CommitMember(ctx context.Context, ch connect.MemberChange) error {
	b.happens()
	return b.Store.CommitMember(ctx, ch)
}

// TestALinkGivesWayToNothingElse says that what an account or its stack has become between reading and writing is not written over.
func TestALinkGivesWayToNothingElse(t *testing.T, s Store) {
	ctx := t.Context()
	const replaced = connect.RequestType("Delete, and another stack links the account")
	for i, one := range []struct {
		what      string
		first     connect.RequestType // what the stack reports before; "" for nothing
		kind      connect.RequestType // what it reports then
		known     bool                // a connection serves the account, to which it is linked
		meanwhile connect.RequestType // what comes between; "" is a connection of the enrolment's own
	}{
		{"a link, and its stack goes", "", connect.RequestCreate, true, connect.RequestDelete},
		{"a stack goes twice at once", "", connect.RequestDelete, false, connect.RequestDelete},
		{"a link ends twice at once", connect.RequestCreate, connect.RequestDelete, true, connect.RequestDelete},
		{"a link ends when another stack has linked", connect.RequestCreate, connect.RequestDelete, true, replaced},
		{"a link, and a connection is made", "", connect.RequestCreate, true, ""},
	} {
		t.Run(one.what, func(t *testing.T) {
			tenant := connect.TenantID(fmt.Sprint("tenant-", i))
			e, stack := Enrol(t, s, tenant, "Member"), memberStack(t, "222222222222", 1)
			if one.known {
				Enabled(t, s, tenant, "Known", roleOne)
			}
			u, meddled := newArena(), &between{Store: s}
			receive := func(s Store, kind connect.RequestType, request string) {
				t.Helper()
				if reply := u.receive(t, s, memberReport(e, kind, stack, "One", request)); reply == nil || !reply.OK {
					t.Fatalf("%s: %+v", kind, reply)
				}
			}
			if one.first != "" {
				receive(s, one.first, "first")
			}
			second := memberStack(t, "222222222222", 3)
			meddled.meanwhile = func() {
				if one.meanwhile == replaced {
					receive(s, connect.RequestDelete, "between")
					u.receive(t, s, memberReport(e, connect.RequestCreate, second, "One", "second"))
					return
				}
				if one.meanwhile != "" {
					receive(s, one.meanwhile, "between")
					return
				}
				other := memberStack(t, "222222222222", 2)
				c := Commit(t, s, joined(t, e, other, 1), nil)
				ch, err := c.ReportRole(Role(t, roleTwo), Noon, "stack")
				c = Commit(t, s, ch, err)
				v, _ := c.Trial()
				ch, err = c.Tried(v.Run, v.Attempt, goodMember(), 0, Noon)
				Commit(t, s, ch, err)
			}
			receive(meddled, one.kind, "then")
			m, err := s.Membership(ctx, e.ID(), stack)
			if err != nil || m.StackDeleted != (one.meanwhile != "") {
				t.Errorf("%+v, %v", m, err)
			}
			if one.meanwhile == replaced {
				if m.Member == nil || m.Member.State != connect.MemberLinked || m.Member.StackID != second {
					t.Errorf("the account is %+v, want it linked by %s", m.Member, second)
				}
				return
			}
			if own := one.meanwhile == ""; (m.Member != nil) != own || (own && m.Member.Own == "") {
				t.Errorf("the account is %+v", m.Member)
			}
		})
	}
}

// TestWhoComesTooLateHasALine says that whoever comes when the enrolment has been revoked gets a line that says so, which neither its
// stack's Delete nor a repetition changes, and no connection.
func TestWhoComesTooLateHasALine(t *testing.T, s Store) {
	ctx := t.Context()
	e := Enrol(t, s, "acme", "Member")
	if err := s.CommitEnrolment(ctx, e.Revoke("ada", Noon)); err != nil {
		t.Fatal(err)
	}
	u := newArena()
	for i, kind := range []connect.RequestType{connect.RequestCreate, connect.RequestCreate, connect.RequestDelete, connect.RequestDelete} {
		reply := u.receive(t, s, memberReport(e, kind, memberStack(t, "222222222222", 1), "One", fmt.Sprint("r", i)))
		if reply == nil || reply.OK != (kind == connect.RequestDelete) || (!reply.OK && reply.Reason.Code != connect.CodeEnrolmentRevoked) {
			t.Fatalf("%s: %+v", kind, reply)
		}
	}
	page, err := s.EnrolmentMembers(ctx, e.ID(), connect.EventQuery{Limit: 10})
	if err != nil || len(page.Items) != 1 {
		t.Fatalf("%+v, %v", page.Items, err)
	}
	if m := page.Items[0]; m.State != connect.MemberFailed || m.Reason.Code != connect.CodeEnrolmentRevoked || m.Own != "" || m.ConnectionID != "" {
		t.Errorf("%+v", m)
	}
	if list, err := s.Connections(ctx, "acme", connect.ListQuery{Limit: 10}); err != nil || len(list.Items) != 0 {
		t.Errorf("%d connections, %v", len(list.Items), err)
	}
}

// TestAnAccountIsHeldByOneEnrolment of its tenant, until that one is gone; connections that no enrolment made hold nothing,
// and neither does another tenant's.
func TestAnAccountIsHeldByOneEnrolment(t *testing.T, s Store) {
	ctx := t.Context()
	stack := memberStack(t, "222222222222", 1)
	first := Commit(t, s, proven(t, s, Enrol(t, s, "acme", "Member"), stack, "arn:aws:iam::222222222222:role/One"), nil)
	late := proven(t, s, Enrol(t, s, "acme", "Second"), stack, "arn:aws:iam::222222222222:role/Two")
	var held *connect.Error
	if err := s.Commit(ctx, late); !errors.As(err, &held) || held.Code != connect.CodeAccountConnected || held.Connection != first.ID() {
		t.Fatalf("the second one: %v", err)
	}
	Commit(t, s, proven(t, s, Enrol(t, s, "other", "Member"), stack, "arn:aws:iam::222222222222:role/Three"), nil)
	byHand := Commit(t, s, createAt(t, "acme", "By hand", Noon.Add(-time.Hour)), nil) // so that a list has it first
	enabledBy(t, s, byHand, "arn:aws:iam::222222222222:role/Four", Good(Noon))
	if c, ok, err := s.Serving(ctx, "acme", "222222222222"); err != nil || !ok || c.ID() != first.ID() {
		t.Errorf("served by %s, %v", c.ID(), err)
	}
	ch, err := first.Delete(Noon, "ada")
	Commit(t, s, ch, err)
	Commit(t, s, late, nil)
	if c, ok, err := s.Serving(ctx, "acme", "222222222222"); err != nil || !ok || c.ID() != late.Connection().ID() {
		t.Errorf("then served by %s, %v", c.ID(), err)
	}
}

// TestWhoServesAnAccount is one of the tenant's that is enabled or degraded for it, whoever made it.
func TestWhoServesAnAccount(t *testing.T, s Store) {
	want := func(tenant connect.TenantID, account connect.AccountID, id connect.ConnectionID) {
		t.Helper()
		c, ok, err := s.Serving(t.Context(), tenant, account)
		if err != nil || ok != (id != "") || (ok && c.ID() != id) {
			t.Errorf("%s of %s is served by %q, %t, %v", account, tenant, c.ID(), ok, err)
		}
	}
	pending := Commit(t, s, Create(t, "acme", "pending"), nil)
	ch, err := pending.ReportRole(Role(t, roleTwo), Noon, "ada")
	Commit(t, s, ch, err)
	want("acme", "222222222222", "")
	c := Enabled(t, s, "acme", "one", roleOne)
	want("acme", "222222222222", c.ID())
	want("acme", "333333333333", "")
	want("other", "222222222222", "")
	denied := Good(Noon)
	denied.Checks[0].Verdict, denied.Checks[0].Reason = connect.Failed, connect.Reason{Code: connect.CodeRoleNotAssumable}
	for i := range 3 {
		ch, _ := c.Rechecked(denied, "ada", Noon.Add(time.Duration(6*i)*time.Minute))
		c = Commit(t, s, ch, nil)
	}
	want("acme", "222222222222", c.ID()) // degraded
	ch, err = c.Delete(Noon, "ada")
	Commit(t, s, ch, err)
	want("acme", "222222222222", "")
}
