package connect_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

// A stage is what callbacks play on: a store, the functions callback and verify with the queue between them, a CloudFormation that
// takes answers to the requests that it made and to no others, and an account whose roles ask for what they should, unless
// they are said to be refused.
type stage struct {
	store     *storetest.Memory
	callbacks connect.Callbacks
	reports   connect.Reports
	tries     connect.Verifications
	account   *trusting
	now       time.Time
	queue     []queued
	made      map[string]bool          // requests that CloudFormation made
	answers   map[string]connect.Reply // by request: what CloudFormation has read
	puts      map[string]int           // answers that were sent, taken or not
	bucket    error                    // what CloudFormation's bucket fails with
	keys      error                    // what the key fails with
	random    *rand.ChaCha8
	fuse      func(call func()) // stands around every call of a function to the outside; nil for nothing
}

// outside makes a call to the outside.
func (s *stage) outside(call func()) {
	if s.fuse == nil {
		call()
		return
	}
	s.fuse(call)
}

// A queued job is due at a time; one of its members is set.
type queued struct {
	at     time.Time
	verify *connect.VerifyJob
	report *connect.ReportJob
}

// trusting is a customer's account: every role of it asks for its connection's external ID, and is refused where it is said to be.
type trusting struct {
	account
	store   *storetest.Memory
	refused map[string]bool
	down    bool
	last    connect.ExternalID // by which a role was assumed
}

func (a *trusting) AssumeRole(_ context.Context, r connect.AssumeRequest) (connect.Session, error) {
	a.asked = append(a.asked, r)
	switch {
	case a.down:
		return connect.Session{}, errors.New("503")
	case a.refused[r.RoleARN.String()] || !a.knows(r.ExternalID):
		return connect.Session{}, errDenied
	}
	a.last = r.ExternalID
	return connect.Session{Account: r.RoleARN.Account()}, nil
}

func (a *trusting) TrustPolicy(context.Context, connect.Credentials, connect.RoleARN, connect.Region) (string, error) {
	return platform().TrustPolicy(a.last), nil
}

// knows reports whether a connection has this external ID, or an enrolment gives it to the customer's account.
func (a *trusting) knows(id connect.ExternalID) bool {
	for _, c := range a.store.All() {
		if c.Snapshot().ExternalID == id {
			return true
		}
	}
	return len(id) > 12 && id[:4] == "rce-" && string(id[len(id)-12:]) == customerAccount
}

func newStage(cs ...connect.Connection) *stage {
	s := &stage{
		store: storetest.New(cs...), now: noon, made: map[string]bool{}, answers: map[string]connect.Reply{}, puts: map[string]int{},
		random: rand.NewChaCha8([32]byte{5}),
	}
	s.account = &trusting{store: s.store, refused: map[string]bool{}}
	clock := func() time.Time { return s.now }
	settling := connect.Settling{Store: s.store, Jobs: s, Random: s.random, Clock: clock}
	verifier := connect.Verifier{
		Platform: platform(), Assumer: s.account, Inspector: s.account, Clock: clock, Organizations: directory{id: "o-a1b2c3d4e5"},
	}
	jitter := func() float64 { return 0 }
	s.callbacks = connect.Callbacks{
		Store: s.store, Tokens: s, Jobs: s, Answerer: s, Settling: settling, Clock: clock, Account: platformAccount, Offers: offered(),
	}
	s.reports = connect.Reports{
		Store: s.store, Holders: s.store, Verifier: verifier, Answerer: s, Jobs: s, Settling: settling, Clock: clock, Jitter: jitter,
		Limits: connect.ReportLimits{Store: s.store, Clock: clock},
	}
	s.tries = connect.Verifications{
		Store: s.store, Jobs: s, Sweeps: s, Answerer: s, Clock: clock, Jitter: jitter, Verifier: verifier,
	}
	return s
}

// Launch proves that "1" is launch 1's token, and "e" every enrolment's.
func (s *stage) Launch(_ context.Context, _ connect.ConnectionID, token connect.Secret) (n int, err error) {
	s.outside(func() { n, err = s.launchOf(token) })
	return n, err
}

func (s *stage) launchOf(token connect.Secret) (int, error) {
	n := 0
	if s.keys != nil {
		return 0, s.keys
	}
	if _, err := fmt.Sscan(token.Reveal(), &n); err != nil || n < 1 {
		return 0, connect.Invalid(connect.CodeTokenInvalid, "no token of ours")
	}
	return n, nil
}

func (s *stage) ProveEnrolment(_ context.Context, _ connect.EnrolmentID, token connect.Secret) error {
	if s.keys != nil {
		return s.keys
	}
	if token.Reveal() != "e" {
		return connect.Invalid(connect.CodeTokenInvalid, "no token of ours")
	}
	return nil
}

func (s *stage) Verify(_ context.Context, j connect.VerifyJob, d time.Duration) error {
	s.outside(func() { s.queue = append(s.queue, queued{at: s.now.Add(d), verify: &j}) })
	return nil
}

func (s *stage) Report(_ context.Context, j connect.ReportJob, d time.Duration) error {
	s.outside(func() { s.queue = append(s.queue, queued{at: s.now.Add(d), report: &j}) })
	return nil
}

func (s *stage) Sweep(context.Context, []connect.ConnectionID, time.Duration) error { return nil }

// Answer is CloudFormation's bucket: the first answer to a request is read, all later ones are taken.
func (s *stage) Answer(_ context.Context, to connect.ReplyTo, r connect.Reply) (err error) {
	s.outside(func() { err = s.put(to, r) })
	return err
}

func (s *stage) put(to connect.ReplyTo, r connect.Reply) error {
	key := to.StackID + "|" + to.LogicalID + "|" + to.RequestID
	s.puts[key]++
	if !s.made[key] {
		return fmt.Errorf("403: %w", connect.ErrAnswerRefused)
	}
	if s.bucket != nil {
		return s.bucket
	}
	if _, read := s.answers[key]; !read {
		s.answers[key] = r
	}
	return nil
}

func requestKey(cb connect.Callback) string {
	return cb.StackID.String() + "|" + cb.LogicalID + "|" + cb.RequestID
}

// request is a callback as a stack sends it, with the token of its launch.
func (s *stage) request(cb connect.Callback) connect.CallbackRequest {
	r := connect.CallbackRequest{
		Callback: cb, ConnectionID: string(cb.ConnectionID), EnrolmentID: string(cb.EnrolmentID), Token: connect.NewSecret(fmt.Sprint(cb.Launch)),
		RoleARN: cb.RoleARN.String(), PermissionSet: string(cb.Grant.Permissions),
		ReplyTo: connect.ReplyTo{StackID: cb.StackID.String(), LogicalID: cb.LogicalID, RequestID: cb.RequestID, PhysicalID: string(cb.ConnectionID)},
	}
	if cb.EnrolmentID != "" {
		r.Token = connect.NewSecret("e")
	}
	if r.ConnectionID == "" && cb.EnrolmentID == "" {
		if all := s.store.All(); len(all) > 0 {
			r.ConnectionID = string(all[0].ID())
		}
	}
	r.Callback.RoleARN, r.Callback.ConnectionID, r.Callback.EnrolmentID, r.Callback.Launch = connect.RoleARN{}, "", "", 0
	r.Callback.Grant.Permissions = ""
	return r
}

// receive is a request that CloudFormation made; the reply is nil while the stack waits for a verdict.
func (s *stage) receive(t testing.TB, cb connect.Callback) *connect.Reply {
	t.Helper()
	s.made[requestKey(cb)] = true
	if err := s.callbacks.Receive(context.Background(), s.request(cb)); err != nil {
		t.Fatalf("%s of %s: %v", cb.Type, cb.LogicalID, err)
	}
	return s.told(cb)
}

// told is what CloudFormation has read; nil for nothing yet.
func (s *stage) told(cb connect.Callback) *connect.Reply {
	if r, ok := s.answers[requestKey(cb)]; ok {
		return &r
	}
	return nil
}

// forged is a request that somebody made up.
func (s *stage) forged(t testing.TB, cb connect.Callback) {
	t.Helper()
	if err := s.callbacks.Receive(context.Background(), s.request(cb)); err != nil && !errors.Is(err, connect.ErrAnswerRefused) {
		t.Fatal(err)
	}
}

// next works off the job that is due first, when it is due; false where there is none.
func (s *stage) next(t testing.TB) bool {
	t.Helper()
	if len(s.queue) == 0 {
		return false
	}
	first := 0
	for i, j := range s.queue {
		if j.at.Before(s.queue[first].at) {
			first = i
		}
	}
	job := s.queue[first]
	s.queue = slices.Delete(s.queue, first, first+1)
	if job.at.After(s.now) {
		s.now = job.at
	}
	if err := s.work(job); err != nil && !errors.Is(err, connect.ErrAnswerRefused) {
		t.Fatal(err)
	}
	return true
}

func (s *stage) work(job queued) error {
	if job.report != nil {
		return s.reports.Work(context.Background(), *job.report)
	}
	return s.tries.Try(context.Background(), *job.verify)
}

// settle works off all jobs.
func (s *stage) settle(t testing.TB) {
	t.Helper()
	for n := 0; s.next(t); n++ {
		if n > 20_000 {
			t.Fatal("jobs without an end")
		}
	}
}

// plays is a request from its beginning to its end.
func (s *stage) plays(t testing.TB, cb connect.Callback) connect.Reply {
	t.Helper()
	s.receive(t, cb)
	s.settle(t)
	r := s.told(cb)
	if r == nil {
		t.Fatalf("%s of %s is never answered", cb.Type, cb.LogicalID)
	}
	return *r
}

// one is the only connection that there is.
func (s *stage) one(t testing.TB) connect.Connection {
	t.Helper()
	all := s.store.All()
	if len(all) != 1 {
		t.Fatalf("%d connections", len(all))
	}
	return all[0]
}

func (s *stage) types() (out []connect.EventType) {
	for _, e := range s.store.Log() {
		out = append(out, e.Type)
	}
	return out
}

// unchanged does something and holds that nothing is stored of it.
func (s *stage) unchanged(t testing.TB, name string, do func()) {
	t.Helper()
	before := maps.Clone(s.store.Dump())
	do()
	if diff := before.Diff(s.store.Dump()); diff != "" {
		t.Errorf("%s: stored:\n%s", name, diff)
	}
}

func (s *stage) commit(t testing.TB, ch connect.Change) {
	t.Helper()
	if err := s.store.Commit(context.Background(), ch); err != nil {
		t.Fatal(err)
	}
}

// directory is an AWS Organizations that knows one organization.
type directory struct {
	id  connect.OrganizationID
	err error
}

func (d directory) Organization(context.Context, connect.Credentials, connect.Partition) (connect.OrganizationID, error) {
	return d.id, d.err
}
