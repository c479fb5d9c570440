package store_test

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"rolecall/shared/connect"
	"rolecall/shared/store"
)

// proven is a member's connection whose role has passed, and the change that enables it.
func proven(t testing.TB, s *store.Store, e connect.Enrolment, stack connect.StackID, arn string) connect.Change {
	t.Helper()
	c := commit(t, s, joined(t, e, stack, 1), nil)
	ch, err := c.ReportRole(role(t, arn), noon, "stack")
	c = commit(t, s, ch, err)
	trial, _ := c.Trial()
	ch, err = c.Tried(trial.Run, trial.Attempt, passingMember(), 0, noon)
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// passingMember is an outcome that proves a role of an account of the organization.
func passingMember() connect.Outcome {
	o := passing()
	o.Checks = append(o.Checks, connect.Check{Name: connect.CheckOrganization, Verdict: connect.Passed, At: noon})
	return o
}

// An account is held by one of its tenant's enrolments, until that one is gone; connections that no enrolment made hold
// nothing, and neither does another tenant's.
func TestAnAccountIsHeldByOneEnrolment(t *testing.T) {
	s := newStore(t)
	stack := memberStack(t, "222222222222", 1)
	first := commit(t, s, proven(t, s, enrolled(t, s, "acme", noon), stack, "arn:aws:iam::222222222222:role/One"), nil)
	late := proven(t, s, ruled(t, s, "acme", "Second"), stack, "arn:aws:iam::222222222222:role/Two")
	var held *connect.Error
	if err := s.Commit(t.Context(), late); !errors.As(err, &held) || held.Code != connect.CodeAccountConnected || held.Connection != first.ID() {
		t.Fatalf("the second one: %v", err)
	}
	commit(t, s, proven(t, s, enrolled(t, s, "other", noon), stack, "arn:aws:iam::222222222222:role/Three"), nil)
	enabled(t, s, "acme", "By hand", "arn:aws:iam::222222222222:role/Four")
	if c, ok, err := s.Serving(t.Context(), "acme", "222222222222"); err != nil || !ok || c.ID() != first.ID() {
		t.Errorf("served by %s, %v", c.ID(), err)
	}
	ch, err := first.Delete(noon, "ada")
	commit(t, s, ch, err)
	commit(t, s, late, nil)
	if c, ok, err := s.Serving(t.Context(), "acme", "222222222222"); err != nil || !ok || c.ID() != late.Connection().ID() {
		t.Errorf("then served by %s, %v", c.ID(), err)
	}
}

// ruled is an enrolment whose connections have names of their own.
func ruled(t testing.TB, s *store.Store, tenant connect.TenantID, rule string) connect.Enrolment {
	t.Helper()
	u := connect.Enrolments{
		Store: s, Replays: s, Clock: func() time.Time { return noon }, Random: rand.NewChaCha8([32]byte{byte(rand.Int()), 1}),
		Deployment: connect.Deployment{
			Platform: connect.Platform{Partition: "aws", Account: "111111111111"}, Regions: []connect.Region{"eu-west-1"},
			Permissions:          []connect.PermissionSet{{Name: "read-only"}},
			OrganizationTemplate: connect.PublishedTemplate{URL: "https://templates.example.com/"},
		},
	}
	e, err := u.Create(t.Context(), connect.EnrolRequest{
		Filter: connect.Unrestricted(), Tenant: tenant, By: "ada", OrganizationID: "o-a1b2c3d4e5", Units: []string{"r-ab12"}, NameRule: rule + " {accountId}",
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// members is an organization's accounts: every role of one demands the external ID of the enrolment that its name tells.
type members struct {
	mu       sync.Mutex
	prefixes map[string]string // of external IDs, by the first part of a role's name
	jobs     []connect.VerifyJob
	answers  []connect.Reply
}

func (m *members) AssumeRole(_ context.Context, r connect.AssumeRequest) (connect.Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := r.RoleARN.String()[strings.LastIndex(r.RoleARN.String(), "/")+1:]
	which, _, _ := strings.Cut(name, "-")
	if string(r.ExternalID) == m.prefixes[which]+"-"+string(r.RoleARN.Account()) {
		return connect.Session{Account: r.RoleARN.Account()}, nil
	}
	return connect.Session{}, &connect.Error{Kind: connect.KindDenied, Code: connect.CodeRoleNotAssumable}
}

func (m *members) Regions(context.Context, connect.Credentials, connect.Region) ([]connect.Region, error) {
	return []connect.Region{"eu-west-1"}, nil
}

func (m *members) TrustPolicy(context.Context, connect.Credentials, connect.RoleARN, connect.Region) (string, error) {
	return "", &connect.Error{Kind: connect.KindDenied}
}

func (m *members) Permissions(context.Context, connect.Credentials, connect.RoleARN, connect.Region, []string) ([]connect.ActionRuling, error) {
	return nil, nil
}

func (m *members) Organization(context.Context, connect.Credentials, connect.Partition) (connect.OrganizationID, error) {
	return "o-a1b2c3d4e5", nil
}

func (m *members) Verify(_ context.Context, job connect.VerifyJob, _ time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.jobs = append(m.jobs, job)
	return nil
}

func (m *members) Sweep(context.Context, []connect.ConnectionID, time.Duration) error { return nil }

func (m *members) Answer(_ context.Context, _ connect.ReplyTo, r connect.Reply) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers = append(m.answers, r)
	return nil
}

// Many enrolments of one tenant get reports of the same accounts, all at the same time and some twice; then all that is on
// trial is tried at the same time, twice. Each account is served once, the others are linked to that one, and every stack
// is told that all is well.
func TestEnrolmentsRaceForAccounts(t *testing.T) {
	const enrolments, accounts = 4, 12
	s, m := newStore(t), &members{prefixes: map[string]string{}}
	now := noon
	clock := func() time.Time { return now }
	callbacks := connect.Callbacks{
		Store: s, Jobs: m, Clock: clock, Account: "111111111111", Offers: []connect.Permissions{"read-only"},
		Members: connect.Members{Store: s, Tokens: anyToken{}, Random: crand.Reader},
	}
	tries := connect.Verifications{
		Store: s, Jobs: m, Sweeps: m, Answerer: m, Clock: clock, Jitter: func() float64 { return 0 },
		Verifier: connect.Verifier{
			Platform: connect.Platform{Partition: "aws", Account: "111111111111"}, Assumer: m, Inspector: m, Organizations: m, Clock: clock,
		},
	}
	var all []connect.Enrolment
	var reports []connect.CallbackRequest
	for i := range enrolments {
		e := ruled(t, s, "acme", fmt.Sprint("Enrolment ", i))
		all = append(all, e)
		m.prefixes[fmt.Sprint("E", i)] = e.Snapshot().Prefix
		for a := range accounts {
			account := fmt.Sprintf("3100000000%02d", a)
			reports = append(reports, connect.CallbackRequest{
				EnrolmentID: string(e.ID()), RoleARN: fmt.Sprintf("arn:aws:iam::%s:role/E%d-role", account, i),
				ReplyTo: connect.ReplyTo{StackID: "any"},
				Callback: connect.Callback{
					Type: connect.RequestCreate, Resource: connect.ResourceMember, StackID: memberStack(t, account, i), LogicalID: "Member",
					RequestID: fmt.Sprintf("r%d-%d", i, a), SentAt: clock(),
				},
			})
		}
	}
	atOnce(len(reports)*3/2, func(n int) {
		_, err := callbacks.Receive(context.Background(), reports[n%len(reports)])
		for again := 0; errors.Is(err, connect.ErrConflict) && again < 20; again++ { // as the queue delivers it again
			_, err = callbacks.Receive(context.Background(), reports[n%len(reports)])
		}
		if err != nil {
			t.Error(err)
		}
	})
	waiting := m.jobs
	now = noon.Add(2 * time.Minute)
	atOnce(2*len(waiting), func(n int) {
		err := tries.Try(context.Background(), waiting[n/2])
		for again := 0; errors.Is(err, connect.ErrConflict) && again < 20; again++ {
			err = tries.Try(context.Background(), waiting[n/2])
		}
		if err != nil {
			t.Error(err)
		}
	})
	servedOnce(t, s, all, accounts)
	for _, a := range m.answers {
		if !a.OK {
			t.Errorf("a stack was told %+v", a.Reason)
		}
	}
}

func atOnce(n int, act func(int)) {
	var racing sync.WaitGroup
	for i := range n {
		racing.Go(func() { act(i) })
	}
	racing.Wait()
}

func servedOnce(t *testing.T, s *store.Store, all []connect.Enrolment, accounts int) {
	t.Helper()
	serving, linked := map[connect.AccountID]connect.ConnectionID{}, 0
	var links []connect.Member
	for _, e := range all {
		page, err := s.EnrolmentMembers(t.Context(), e.ID(), connect.EventQuery{Limit: 100})
		if err != nil || len(page.Items) != accounts {
			t.Fatalf("%d accounts, %v", len(page.Items), err)
		}
		for _, m := range page.Items {
			switch m.State {
			case connect.MemberEnabled:
				if other, twice := serving[m.AccountID]; twice {
					t.Errorf("%s is served by %s and by %s", m.AccountID, other, m.ConnectionID)
				}
				serving[m.AccountID] = m.ConnectionID
			case connect.MemberLinked:
				linked++
				links = append(links, m)
			default:
				t.Errorf("%s is %s: %+v", m.AccountID, m.State, m.Reason)
			}
		}
	}
	for _, m := range links {
		if serving[m.AccountID] != m.ConnectionID {
			t.Errorf("%s is linked to %s, but served by %s", m.AccountID, m.ConnectionID, serving[m.AccountID])
		}
	}
	if len(serving) != accounts || linked != accounts*(len(all)-1) {
		t.Errorf("%d accounts served, %d linked", len(serving), linked)
	}
}

// Many stacks report one account at once, of which one is there; some say so twice. All that is on trial is tried at the same
// time, until nothing is left to try: the one that is there is the account's, and every other one has been told so.
func TestTheStackThatIsThereWinsTheRace(t *testing.T) {
	const stacks, there = 16, 11
	for _, seats := range []int{0, connect.MaxEnrolmentAccounts} {
		s, m, now := newStore(t), &members{prefixes: map[string]string{}}, noon
		clock := func() time.Time { return now }
		e := ruled(t, s, "acme", "Contended")
		m.prefixes["there"] = e.Snapshot().Prefix
		callbacks := connect.Callbacks{
			Store: s, Jobs: m, Clock: clock, Account: "111111111111", Offers: []connect.Permissions{"read-only"},
			Members: connect.Members{Store: full{s, seats}, Tokens: anyToken{}, Random: crand.Reader},
		}
		tries := connect.Verifications{
			Store: s, Jobs: m, Sweeps: m, Answerer: m, Clock: clock, Jitter: func() float64 { return 0 },
			Contests: connect.Contests{Store: s, Random: crand.Reader},
			Verifier: connect.Verifier{
				Platform: connect.Platform{Partition: "aws", Account: "111111111111"}, Assumer: m, Inspector: m, Organizations: m, Clock: clock,
			},
		}
		atOnce(2*stacks, func(n int) {
			name := fmt.Sprintf("madeup-%d", n%stacks)
			if n%stacks == there {
				name = "there-1"
			}
			r := connect.CallbackRequest{
				EnrolmentID: string(e.ID()), RoleARN: "arn:aws:iam::222222222222:role/" + name, ReplyTo: connect.ReplyTo{StackID: name},
				Callback: connect.Callback{
					Type: connect.RequestCreate, Resource: connect.ResourceMember, StackID: memberStack(t, "222222222222", n%stacks),
					LogicalID: "Member", RequestID: fmt.Sprint("r", n%stacks), SentAt: noon,
				},
			}
			_, err := callbacks.Receive(context.Background(), r)
			for again := 0; errors.Is(err, connect.ErrConflict) && again < 50; again++ {
				_, err = callbacks.Receive(context.Background(), r)
			}
			if err != nil {
				t.Error(err)
			}
		})
		now = noon.Add(2 * time.Minute) // past all patience
		for len(m.jobs) > 0 {
			waiting := m.jobs
			m.jobs = nil
			atOnce(len(waiting), func(n int) {
				err := tries.Try(context.Background(), waiting[n])
				for again := 0; errors.Is(err, connect.ErrConflict) && again < 50; again++ {
					err = tries.Try(context.Background(), waiting[n])
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		page, err := s.EnrolmentMembers(t.Context(), e.ID(), connect.EventQuery{Limit: 10})
		if err != nil || len(page.Items) != 1 || page.Items[0].State != connect.MemberEnabled {
			t.Fatalf("%+v, %v", page.Items, err)
		}
		c, err := s.Connection(t.Context(), page.Items[0].Own)
		if err != nil || c.Snapshot().RoleARN.String() != "arn:aws:iam::222222222222:role/there-1" || c.Snapshot().Stack.ID != memberStack(t, "222222222222", there) {
			t.Errorf("%+v, %v", c.Snapshot(), err)
		}
		fine := 0
		for _, a := range m.answers {
			if a.OK {
				fine++
			}
		}
		if fine == 0 || fine == len(m.answers) {
			t.Errorf("%d of %d stacks were told that all is well", fine, len(m.answers))
		}
	}
}

// full is a store in which so many accounts of an enrolment have reported already.
type full struct {
	*store.Store
	seats int
}

func (f full) Admit(ctx context.Context, id connect.EnrolmentID, most int) error {
	if f.seats >= most {
		return connect.ErrEnrolmentFull
	}
	return f.Store.Admit(ctx, id, most)
}

// Who comes when the enrolment has been revoked gets a line that says so, which neither its stack's Delete nor a repetition
// changes, and no connection.
func TestWhoComesTooLateHasALine(t *testing.T) {
	s := newStore(t)
	e := enrolled(t, s, "acme", noon)
	if err := s.CommitEnrolment(t.Context(), e.Revoke("ada", noon)); err != nil {
		t.Fatal(err)
	}
	callbacks := connect.Callbacks{
		Store: s, Clock: func() time.Time { return noon }, Account: "111111111111", Offers: []connect.Permissions{"read-only"},
		Members: connect.Members{Store: s, Tokens: anyToken{}, Random: crand.Reader},
	}
	for i, kind := range []connect.RequestType{connect.RequestCreate, connect.RequestCreate, connect.RequestDelete, connect.RequestDelete} {
		reply, err := callbacks.Receive(t.Context(), connect.CallbackRequest{
			EnrolmentID: string(e.ID()), RoleARN: "arn:aws:iam::222222222222:role/One", Callback: connect.Callback{
				Type: kind, Resource: connect.ResourceMember, StackID: memberStack(t, "222222222222", 1), LogicalID: "Member",
				RequestID: fmt.Sprint("r", i), SentAt: noon,
			},
		})
		if err != nil || reply == nil || reply.OK != (kind == connect.RequestDelete) || (!reply.OK && reply.Reason.Code != connect.CodeEnrolmentRevoked) {
			t.Fatalf("%s: %+v, %v", kind, reply, err)
		}
	}
	page, err := s.EnrolmentMembers(t.Context(), e.ID(), connect.EventQuery{Limit: 10})
	if err != nil || len(page.Items) != 1 {
		t.Fatalf("%+v, %v", page.Items, err)
	}
	if m := page.Items[0]; m.State != connect.MemberFailed || m.Reason.Code != connect.CodeEnrolmentRevoked || m.Own != "" || m.ConnectionID != "" {
		t.Errorf("%+v", m)
	}
	if list, err := s.Connections(t.Context(), "acme", connect.ListQuery{Limit: 10}); err != nil || len(list.Items) != 0 {
		t.Errorf("%d connections, %v", len(list.Items), err)
	}
}
