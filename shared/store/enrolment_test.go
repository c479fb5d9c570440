package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolecall/shared/connect"
	"rolecall/shared/store"
)

// enrolled is an enrolment of the tenant as the use case makes it, in the store.
func enrolled(t testing.TB, s *store.Store, tenant connect.TenantID, at time.Time) connect.Enrolment {
	t.Helper()
	u := connect.Enrolments{
		Store: s, Replays: s, Clock: func() time.Time { return at }, Random: rand.NewChaCha8([32]byte{byte(rand.Int())}),
		Deployment: connect.Deployment{
			Platform: connect.Platform{Partition: "aws", Account: "111111111111"}, Regions: []connect.Region{"eu-west-1"},
			Permissions:          []connect.PermissionSet{{Name: "read-only"}},
			OrganizationTemplate: connect.PublishedTemplate{URL: "https://templates.example.com/"},
		},
	}
	e, err := u.Create(t.Context(), connect.EnrolRequest{
		Filter: connect.Unrestricted(), Tenant: tenant, By: "ada", OrganizationID: "o-a1b2c3d4e5", Units: []string{"r-ab12", "ou-ab12-c3d4e5f6"}, NameRule: "Member {accountId}",
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func memberStack(t testing.TB, account string, number int) connect.StackID {
	t.Helper()
	id, err := connect.ParseStackID(fmt.Sprintf("arn:aws:cloudformation:eu-west-1:%s:stack/member/%08d", account, number))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// joined is the change that makes the connection of an account.
func joined(t testing.TB, e connect.Enrolment, stack connect.StackID, attempt int) connect.Change {
	t.Helper()
	id, err := connect.NewConnectionID(noon, rand.NewChaCha8([32]byte{byte(rand.Int()), byte(rand.Int())}))
	if err != nil {
		t.Fatal(err)
	}
	return e.Connect(stack.Account(), stack, id, attempt, noon)
}

func TestEnrolmentsAreKept(t *testing.T) {
	s := newStore(t)
	e := enrolled(t, s, "acme", noon)
	got, err := s.Enrolment(t.Context(), e.ID())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(e.Snapshot(), got.Snapshot()); d != "" {
		t.Error(d)
	}
	revoked := got.Revoke("ada", noon.Add(time.Hour))
	if err := s.CommitEnrolment(t.Context(), revoked); err != nil {
		t.Fatal(err)
	}
	if err := s.CommitEnrolment(t.Context(), revoked); !errors.Is(err, connect.ErrConflict) {
		t.Errorf("a change of what has changed: %v", err)
	}
	if got, err = s.Enrolment(t.Context(), e.ID()); err != nil || got.Snapshot().Status != connect.EnrolmentRevoked {
		t.Errorf("%v, %v", got.Snapshot(), err)
	}
	if _, err := s.Enrolment(t.Context(), "enr_01ka000000000000000000demx"); !errors.Is(err, connect.ErrEnrolmentNotFound) {
		t.Errorf("none: %v", err)
	}
}

// A tenant's enrolments are neither another's nor among its connections.
func TestEnrolmentsAreListedApart(t *testing.T) {
	s := newStore(t)
	var want []connect.EnrolmentID
	for i := range 5 {
		want = append([]connect.EnrolmentID{enrolled(t, s, "acme", noon.Add(time.Duration(i)*time.Second)).ID()}, want...)
	}
	enrolled(t, s, "other", noon)
	commit(t, s, create(t, "acme", "One"), nil)
	var got []connect.EnrolmentID
	for q := (connect.EventQuery{Limit: 2}); ; {
		page, err := s.Enrolments(t.Context(), "acme", q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Items {
			got = append(got, e.ID())
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	connections, err := s.Connections(t.Context(), "acme", connect.ListQuery{Limit: 50})
	if err != nil || len(connections.Items) != 1 {
		t.Errorf("%d connections, %v", len(connections.Items), err)
	}
	if _, err := s.Enrolments(t.Context(), "acme", connect.EventQuery{Limit: 2, Cursor: "bm9uZQ"}); err == nil {
		t.Error("a cursor of nothing was taken")
	}
}

func TestAnAccountsLineFollowsItsConnection(t *testing.T) {
	s := newStore(t)
	e := enrolled(t, s, "acme", noon)
	stack := memberStack(t, "222222222222", 1)
	c := commit(t, s, joined(t, e, stack, 1), nil)
	ch, err := c.ReportRole(role(t, "arn:aws:iam::222222222222:role/One"), noon, "stack")
	c = commit(t, s, ch, err)
	m, err := s.Membership(t.Context(), e.ID(), stack)
	if err != nil || m.Member == nil || m.Member.State != connect.MemberConnecting || m.Member.ConnectionID != c.ID() || m.StackDeleted {
		t.Fatalf("%+v, %v", m, err)
	}
	ch, err = c.Delete(noon, "ada")
	commit(t, s, ch, err)
	page, err := s.EnrolmentMembers(t.Context(), e.ID(), connect.EventQuery{Limit: 10})
	if err != nil || len(page.Items) != 1 || page.Items[0].State != connect.MemberDeleted {
		t.Errorf("%+v, %v", page, err)
	}
	back, err := s.Connection(t.Context(), c.ID())
	if err != nil || back.Snapshot().EnrolmentID != e.ID() || back.Snapshot().OrganizationID != "o-a1b2c3d4e5" {
		t.Errorf("%+v, %v", back.Snapshot(), err)
	}
}

// Of many reports of one account at the same time, one makes the connection.
func TestOneConnectionForAnAccount(t *testing.T) {
	s := newStore(t)
	e := enrolled(t, s, "acme", noon)
	const racers = 20
	changes := make([]connect.Change, racers)
	for i := range changes {
		changes[i] = joined(t, e, memberStack(t, "222222222222", i), i+1)
	}
	var all sync.WaitGroup
	errs := make([]error, racers)
	for i, ch := range changes {
		all.Go(func() { errs[i] = s.Commit(t.Context(), ch) })
	}
	all.Wait()
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

func TestAStackThatIsGoneConnectsNothing(t *testing.T) {
	s := newStore(t)
	e := enrolled(t, s, "acme", noon)
	stack := memberStack(t, "222222222222", 1)
	callbacks := connect.Callbacks{
		Store: s, Clock: func() time.Time { return noon }, Account: "111111111111", Offers: []connect.Permissions{"read-only"},
		Members: connect.Members{Store: s, Tokens: anyToken{}, Random: rand.NewChaCha8([32]byte{5})},
	}
	request := connect.CallbackRequest{EnrolmentID: string(e.ID()), RoleARN: "arn:aws:iam::222222222222:role/One", Callback: connect.Callback{
		Type: connect.RequestDelete, Resource: connect.ResourceMember, StackID: stack, LogicalID: "Member", RequestID: "r1", SentAt: noon,
	}}
	for range 2 {
		if reply, err := callbacks.Receive(t.Context(), request); err != nil || reply == nil || !reply.OK {
			t.Fatalf("%+v, %v", reply, err)
		}
	}
	if m, err := s.Membership(t.Context(), e.ID(), stack); err != nil || !m.StackDeleted || m.Member != nil {
		t.Fatalf("%+v, %v", m, err)
	}
	if err := s.Commit(t.Context(), joined(t, e, stack, 1)); !errors.Is(err, connect.ErrConflict) {
		t.Errorf("a connection by a stack that is gone: %v", err)
	}
	// An account that is connected is linked, and the link ends with the stack that made it.
	known := commit(t, s, create(t, "acme", "Known"), nil)
	ch, err := known.ReportRole(role(t, "arn:aws:iam::222222222222:role/Known"), noon, "ada")
	known = commit(t, s, ch, err)
	trial, _ := known.Trial()
	ch, err = known.Tried(trial.Run, trial.Attempt, passing(), 0, noon)
	known = commit(t, s, ch, err)
	request.Callback.Type, request.Callback.RequestID, request.Callback.StackID = connect.RequestCreate, "r2", memberStack(t, "222222222222", 2)
	if reply, err := callbacks.Receive(t.Context(), request); err != nil || reply == nil || !reply.OK {
		t.Fatalf("%+v, %v", reply, err)
	}
	m, err := s.Membership(t.Context(), e.ID(), stack)
	if err != nil || m.Member == nil || m.Member.State != connect.MemberLinked || m.Member.ConnectionID != known.ID() {
		t.Fatalf("%+v, %v", m, err)
	}
	request.Callback.Type, request.Callback.RequestID = connect.RequestDelete, "r3"
	if _, err := callbacks.Receive(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if m, err = s.Membership(t.Context(), e.ID(), stack); err != nil || m.Member != nil {
		t.Errorf("%+v, %v", m, err)
	}
	events, err := s.Events(t.Context(), known.ID(), connect.EventQuery{Limit: 2})
	if err != nil || len(events.Items) != 2 {
		t.Fatalf("%+v, %v", events, err)
	}
	got := map[connect.EventType]bool{events.Items[0].Type: true, events.Items[1].Type: true}
	if !got[connect.EventLinked] || !got[connect.EventUnlinked] {
		t.Errorf("timeline %v", got)
	}
}

type anyToken struct{}

func (anyToken) EnrolmentToken(_ context.Context, _ connect.EnrolmentID) (connect.Secret, error) {
	return connect.Secret{}, nil
}

func (anyToken) ProveEnrolment(context.Context, connect.EnrolmentID, connect.Secret) error {
	return nil
}

// passing is an outcome that proves a role.
func passing() connect.Outcome {
	o := connect.Outcome{At: noon}
	for _, n := range []connect.CheckName{
		connect.CheckAssumeRole, connect.CheckExternalIDRequired, connect.CheckExternalIDMatched, connect.CheckRegions, connect.CheckTrustPolicy,
	} {
		o.Checks = append(o.Checks, connect.Check{Name: n, Verdict: connect.Passed, At: noon})
	}
	return o
}

func TestSeatsEnd(t *testing.T) {
	s := newStore(t)
	e := enrolled(t, s, "acme", noon)
	var all sync.WaitGroup
	errs := make([]error, 30)
	for i := range errs {
		all.Go(func() { errs[i] = s.Admit(t.Context(), e.ID(), 10) })
	}
	all.Wait()
	admitted := 0
	for _, err := range errs {
		if err == nil {
			admitted++
		} else if !errors.Is(err, connect.ErrEnrolmentFull) {
			t.Error(err)
		}
	}
	if admitted != 10 {
		t.Errorf("%d admitted", admitted)
	}
}
