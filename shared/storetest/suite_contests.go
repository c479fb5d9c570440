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
	jobs     []connect.VerifyJob
	answers  []connect.Reply
	now      time.Time
}

func newArena() *arena { return &arena{prefixes: map[string]string{}, now: Noon} }

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

func (a *arena) Verify(_ context.Context, job connect.VerifyJob, _ time.Duration) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.jobs = append(a.jobs, job)
	return nil
}

func (a *arena) Sweep(context.Context, []connect.ConnectionID, time.Duration) error { return nil }

func (a *arena) Answer(_ context.Context, _ connect.ReplyTo, r connect.Reply) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers = append(a.answers, r)
	return nil
}

// tries verifies what is on trial, with contests over a store of their own.
func (a *arena) tries(s Store, contests connect.ContestStore) connect.Verifications {
	return connect.Verifications{
		Store: s, Jobs: a, Sweeps: a, Answerer: a, Clock: a.clock, Jitter: func() float64 { return 0 },
		Contests: connect.Contests{Store: contests, Random: crand.Reader},
		Verifier: connect.Verifier{Platform: platform(), Assumer: a, Inspector: a, Organizations: a, Clock: a.clock},
	}
}

// allReceived has reports come at the same time, and each again as long as it conflicts with others, as the queue does.
func allReceived(t testing.TB, u connect.Callbacks, n int, report func(int) connect.CallbackRequest) {
	Race(n, func(i int) {
		persist(t, func() error {
			_, err := u.Receive(context.Background(), report(i))
			return err
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

// TestEnrolmentsRaceForAccounts of one tenant: many enrolments get reports of the same accounts, all at the same time and
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
	allReceived(t, callbacks(s, s, a, a.clock), len(reports)*3/2, func(n int) connect.CallbackRequest { return reports[n%len(reports)] })
	waiting, tries := a.jobs, a.tries(s, s)
	a.now = Noon.Add(2 * time.Minute)
	Race(2*len(waiting), func(n int) {
		persist(t, func() error { return tries.Try(context.Background(), waiting[n/2]) })
	})
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

// TestTheStackThatIsThereWinsTheRace when many stacks report one account at once, of which one is there; some say so twice. All
// that is on trial is tried at the same time, until nothing is left to try: the one that is there is the account's, and every
// other one has been told so. It is so whether the enrolment has room for a further account or not.
func TestTheStackThatIsThereWinsTheRace(t *testing.T, s Store) {
	t.Run("with room", func(t *testing.T) { raceOfStacks(t, s, s, "acme") })
	t.Run("without room", func(t *testing.T) { raceOfStacks(t, s, full{s}, "globex") })
}

// full is a store in which no enrolment has any room left.
type full struct{ Store }

func (full) Admit(context.Context, connect.EnrolmentID, int) error { return connect.ErrEnrolmentFull }

func raceOfStacks(t *testing.T, s Store, members connect.MemberStore, tenant connect.TenantID) {
	const stacks, there = 16, 11
	a := newArena()
	e := Enrol(t, s, tenant, "Contended")
	a.prefixes["there"] = e.Snapshot().Prefix
	allReceived(t, callbacks(s, members, a, a.clock), 2*stacks, func(n int) connect.CallbackRequest {
		role := fmt.Sprintf("madeup-%d", n%stacks)
		if n%stacks == there {
			role = "there-1"
		}
		return memberReport(e, connect.RequestCreate, memberStack(t, "222222222222", n%stacks), role, fmt.Sprint("r", n%stacks))
	})
	a.now = Noon.Add(2 * time.Minute) // past all patience
	tries := a.tries(s, s)
	for len(a.jobs) > 0 {
		waiting := a.jobs
		a.jobs = nil
		Race(len(waiting), func(n int) {
			persist(t, func() error { return tries.Try(context.Background(), waiting[n]) })
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
	for _, r := range a.answers {
		if r.OK {
			fine++
		}
	}
	if fine == 0 || fine == len(a.answers) {
		t.Errorf("%d of %d stacks were told that all is well", fine, len(a.answers))
	}
}

// TestAContenderWinsWhileItsStackGoes and whichever of the two is written down first, nothing serves for a stack that is gone,
// and its Delete is answered with success.
func TestAContenderWinsWhileItsStackGoes(t *testing.T, s Store) {
	for i, one := range []struct {
		what                string
		deleteFirst, linked bool
	}{
		{"the Delete is first", true, false},
		{"the contender is first", false, false},
		{"the Delete is first, and the stack was linked before", true, true},
		{"the contender is first, and the stack was linked before", false, true},
	} {
		t.Run(one.what, func(t *testing.T) {
			contenderGoes(t, s, connect.TenantID(fmt.Sprint("tenant-", i)), one.deleteFirst, one.linked)
		})
	}
}

func contenderGoes(t *testing.T, s Store, tenant connect.TenantID, deleteFirst, linked bool) {
	a, meddled := newArena(), &between{Store: s}
	e := Enrol(t, s, tenant, "Contended")
	a.prefixes["there"] = e.Snapshot().Prefix
	u, tries := callbacks(s, meddled, a, a.clock), a.tries(s, meddled)
	report := func(kind connect.RequestType, number int, role string) {
		t.Helper()
		r := memberReport(e, kind, memberStack(t, "222222222222", number), role, fmt.Sprint(kind, number))
		r.Callback.SentAt = a.now
		reply, err := u.Receive(t.Context(), r)
		if err != nil || (kind == connect.RequestDelete && (reply == nil || !reply.OK)) {
			t.Errorf("%s: %+v, %v", kind, reply, err)
		}
	}
	win := func() {
		t.Helper()
		if err := tries.Try(t.Context(), a.jobs[len(a.jobs)-1]); err != nil {
			t.Error(err)
		}
	}
	if linked {
		known := Enabled(t, s, tenant, "Known", "arn:aws:iam::222222222222:role/Known")
		report(connect.RequestCreate, 1, "there-1")
		ch, err := known.Delete(Noon, "ada")
		Commit(t, s, ch, err)
	}
	report(connect.RequestCreate, 9, "madeup-9")
	report(connect.RequestUpdate, 1, "there-1")
	a.now = Noon.Add(2 * time.Minute) // past all patience
	if deleteFirst {
		meddled.meanwhile = func() { report(connect.RequestDelete, 1, "there-1") }
		win()
	} else {
		meddled.meanwhile = win
		report(connect.RequestDelete, 1, "there-1")
	}
	page, err := s.EnrolmentMembers(t.Context(), e.ID(), connect.EventQuery{Limit: 10})
	if err != nil || len(page.Items) != 1 {
		t.Fatalf("%+v, %v", page.Items, err)
	}
	if state := page.Items[0].State; state == connect.MemberEnabled || state == connect.MemberDegraded {
		t.Errorf("the account is %s by a stack that is gone", state)
	}
	if _, serves, err := s.Serving(t.Context(), tenant, "222222222222"); serves || err != nil {
		t.Errorf("served: %t, %v", serves, err)
	}
	if told := a.answers; len(told) != 1 || told[0].OK == deleteFirst {
		t.Errorf("its report was told %+v", told)
	}
}
