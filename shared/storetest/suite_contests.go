package storetest

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// An arena is an organization's accounts, the queue of what is to be tried, and what stacks were told. Every role asks for
// the external ID of the enrolment that the first part of its name tells.
type arena struct {
	mu       sync.Mutex
	prefixes map[string]string // of external IDs, by the first part of a role's name
	jobs     []connect.ReportJob
	answers  []connect.Reply
	told     map[string]connect.Reply // by stack and request
	now      time.Time
}

func newArena() *arena {
	return &arena{prefixes: map[string]string{}, told: map[string]connect.Reply{}, now: Noon}
}

func (a *arena) clock() time.Time { return a.now }

func (a *arena) AssumeRole(_ context.Context, r connect.AssumeRequest) (connect.Session, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	name := r.RoleARN.String()[strings.LastIndex(r.RoleARN.String(), "/")+1:]
	which, _, _ := strings.Cut(name, "-")
	if string(r.ExternalID) == a.prefixes[which]+"-"+string(r.RoleARN.Account()) {
		return connect.Session{Account: r.RoleARN.Account()}, nil
	}
	return connect.Session{}, &connect.Error{Kind: connect.KindDenied, Code: connect.CodeRoleNotAssumable}
}

func (a *arena) Regions(context.Context, connect.Credentials, connect.Region) ([]connect.Region, error) {
	return []connect.Region{"eu-west-1"}, nil
}

func (a *arena) TrustPolicy(context.Context, connect.Credentials, connect.RoleARN, connect.Region) (string, error) {
	return "", &connect.Error{Kind: connect.KindDenied}
}

func (a *arena) Permissions(context.Context, connect.Credentials, connect.RoleARN, connect.Region, []string) ([]connect.ActionRuling, error) {
	return nil, nil
}

func (a *arena) Organization(context.Context, connect.Credentials, connect.Partition) (connect.OrganizationID, error) {
	return "o-a1b2c3d4e5", nil
}

func (a *arena) Verify(context.Context, connect.VerifyJob, time.Duration) error { return nil }

func (a *arena) Report(_ context.Context, job connect.ReportJob, _ time.Duration) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.jobs = append(a.jobs, job)
	return nil
}

// Answer is CloudFormation's bucket: every answer is taken.
func (a *arena) Answer(_ context.Context, to connect.ReplyTo, r connect.Reply) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers = append(a.answers, r)
	a.told[to.StackID+to.RequestID] = r
	return nil
}

// Launch and ProveEnrolment take every token.
func (*arena) Launch(context.Context, connect.ConnectionID, connect.Secret) (int, error) {
	return 1, nil
}

func (*arena) ProveEnrolment(context.Context, connect.EnrolmentID, connect.Secret) error { return nil }

func (a *arena) settling(s Store) connect.Settling {
	return connect.Settling{Store: s, Jobs: a, Random: crand.Reader, Clock: a.clock}
}

// callbacks receives what stacks report.
func (a *arena) callbacks(s Store) connect.Callbacks {
	return connect.Callbacks{
		Store: s, Tokens: a, Jobs: a, Answerer: a, Settling: a.settling(s), Clock: a.clock, Account: "111111111111", Offers: []connect.Permissions{"read-only"},
	}
}

// reports proves the roles that stacks report.
func (a *arena) reports(s Store) connect.Reports {
	return connect.Reports{
		Store: s, Holders: s, Jobs: a, Answerer: a, Settling: a.settling(s), Clock: a.clock, Jitter: func() float64 { return 0 },
		Verifier: connect.Verifier{Platform: platform(), Assumer: a, Inspector: a, Organizations: a, Clock: a.clock},
	}
}

// receive is one request with all that follows from it, and what its stack was told.
func (a *arena) receive(t testing.TB, s Store, r connect.CallbackRequest) *connect.Reply {
	t.Helper()
	if err := a.callbacks(s).Receive(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	a.work(t, s, 1)
	if told, ok := a.told[r.ReplyTo.StackID+r.ReplyTo.RequestID]; ok {
		return &told
	}
	return nil
}

// work does all that is queued, and that follows from it, all at the same time; each job as often as said.
func (a *arena) work(t testing.TB, s Store, times int) {
	t.Helper()
	u := a.reports(s)
	for len(a.jobs) > 0 {
		waiting := a.jobs
		a.jobs = nil
		Race(times*len(waiting), func(n int) {
			persist(t, func() error { return u.Work(context.Background(), waiting[n/times]) })
		})
		times = 1
	}
}

// allReceived has reports come at the same time, and each again as long as it conflicts with others, as the queue does.
func allReceived(t testing.TB, u connect.Callbacks, n int, report func(int) connect.CallbackRequest) {
	Race(n, func(i int) {
		persist(t, func() error {
			return u.Receive(context.Background(), report(i))
		})
	})
}

func persist(t testing.TB, do func() error) {
	err := do()
	for again := 0; errors.Is(err, connect.ErrConflict) && again < 50; again++ {
		err = do()
	}
	if err != nil {
		t.Error(err)
	}
}

// TestEnrolmentsRaceForAccounts says that many enrolments of one tenant get reports of the same accounts, all at the same time and
// some twice; then all that is on trial is tried at the same time, twice. Each account is served once, the others are linked
// to that one, and every stack is told that all is well.
func TestEnrolmentsRaceForAccounts(t *testing.T, s Store) {
	const each, accounts = 4, 12
	a := newArena()
	var all []connect.Enrolment
	var reports []connect.CallbackRequest
	for i := range each {
		e := Enrol(t, s, "acme", fmt.Sprint("Enrolment ", i))
		all = append(all, e)
		a.prefixes[fmt.Sprint("E", i)] = e.Snapshot().Prefix
		for n := range accounts {
			stack := memberStack(t, fmt.Sprintf("3100000000%02d", n), i)
			reports = append(reports, memberReport(e, connect.RequestCreate, stack, fmt.Sprintf("E%d-role", i), fmt.Sprintf("r%d-%d", i, n)))
		}
	}
	allReceived(t, a.callbacks(s), len(reports)*3/2, func(n int) connect.CallbackRequest { return reports[n%len(reports)] })
	a.now = Noon.Add(2 * time.Minute)
	a.work(t, s, 2)
	servedOnce(t, s, all, accounts)
	for _, r := range a.answers {
		if !r.OK {
			t.Errorf("a stack was told %+v", r.Reason)
		}
	}
}

func servedOnce(t *testing.T, s Store, all []connect.Enrolment, accounts int) {
	t.Helper()
	serving := map[connect.AccountID]connect.ConnectionID{}
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
		page, err := s.Events(t.Context(), m.ConnectionID, connect.EventQuery{Limit: 100})
		if err != nil || !slices.ContainsFunc(page.Items, func(e connect.Event) bool {
			return e.Type == connect.EventLinked && e.Data["enrolmentId"] == string(m.EnrolmentID)
		}) {
			t.Errorf("%s was not told that an account of %s is linked to it: %v", m.ConnectionID, m.EnrolmentID, err)
		}
	}
	if len(serving) != accounts || len(links) != accounts*(len(all)-1) {
		t.Errorf("%d accounts served, %d linked", len(serving), len(links))
	}
}

// TestTheStackThatIsThereWinsTheRace says that many stacks report one account at once, of which one is there; some say so twice. All
// that is reported is tried at the same time, until nothing is left to try: the one that is there is the account's, and every
// other one has been told so.
func TestTheStackThatIsThereWinsTheRace(t *testing.T, s Store) {
	const stacks, there = 16, 11
	a := newArena()
	e := Enrol(t, s, "acme", "Contended")
	a.prefixes["there"] = e.Snapshot().Prefix
	allReceived(t, a.callbacks(s), 2*stacks, func(n int) connect.CallbackRequest {
		role := fmt.Sprintf("madeup-%d", n%stacks)
		if n%stacks == there {
			role = "there-1"
		}
		return memberReport(e, connect.RequestCreate, memberStack(t, "222222222222", n%stacks), role, fmt.Sprint("r", n%stacks))
	})
	a.now = Noon.Add(2 * time.Minute) // past all patience
	a.work(t, s, 1)
	page, err := s.EnrolmentMembers(t.Context(), e.ID(), connect.EventQuery{Limit: 10})
	if err != nil || len(page.Items) != 1 || page.Items[0].State != connect.MemberEnabled {
		t.Fatalf("%+v, %v", page.Items, err)
	}
	c, err := s.Connection(t.Context(), page.Items[0].Own)
	if err != nil || c.Snapshot().RoleARN.String() != "arn:aws:iam::222222222222:role/there-1" || c.Snapshot().Stack.ID != memberStack(t, "222222222222", there) {
		t.Errorf("%+v, %v", c.Snapshot(), err)
	}
	fine := 0
	for _, r := range a.answers {
		if r.OK {
			fine++
		}
	}
	if fine == 0 || fine == len(a.answers) {
		t.Errorf("%d of %d stacks were told that all is well", fine, len(a.answers))
	}
}

// TestARoleIsProvenWhileItsStackGoes says that whichever of the two is written down first, nothing serves for a stack that is gone,
// and its Delete is answered with success.
func TestARoleIsProvenWhileItsStackGoes(t *testing.T, s Store) {
	t.Run("the Delete is first", func(t *testing.T) { provenAndGone(t, s, "acme", true) })
	t.Run("the proof is first", func(t *testing.T) { provenAndGone(t, s, "globex", false) })
}

func provenAndGone(t *testing.T, s Store, tenant connect.TenantID, deleteFirst bool) {
	a, meddled := newArena(), &between{Store: s}
	e := Enrol(t, s, tenant, "Contended")
	a.prefixes["there"] = e.Snapshot().Prefix
	stack := memberStack(t, "222222222222", 1)
	create, remove := memberReport(e, connect.RequestCreate, stack, "there-1", "r1"), memberReport(e, connect.RequestDelete, stack, "there-1", "r2")
	remove.Callback.SignedAt = Noon.Add(time.Minute)
	gone, proves := newArena(), func() { a.work(t, meddled, 1) }
	if err := a.callbacks(s).Receive(t.Context(), create); err != nil {
		t.Fatal(err)
	}
	a.now = Noon.Add(2 * time.Minute)
	if deleteFirst {
		meddled.meanwhile = func() { gone.receive(t, s, remove) }
		proves()
	} else {
		meddled.meanwhile = proves
		gone.receive(t, meddled, remove)
	}
	if len(gone.answers) != 1 || !gone.answers[0].OK {
		t.Errorf("its Delete was told %+v", gone.answers)
	}
	page, err := s.EnrolmentMembers(t.Context(), e.ID(), connect.EventQuery{Limit: 10})
	if err != nil || len(page.Items) > 1 {
		t.Fatalf("%+v, %v", page.Items, err)
	}
	for _, m := range page.Items {
		if m.State == connect.MemberEnabled || m.State == connect.MemberDegraded {
			t.Errorf("the account is %s by a stack that is gone", m.State)
		}
	}
	if _, serves, err := s.Serving(t.Context(), tenant, "222222222222"); serves || err != nil {
		t.Errorf("served: %t, %v", serves, err)
	}
	if told := a.answers; len(told) != 1 || !told[0].OK {
		t.Errorf("its report was told %+v", told)
	}
}
