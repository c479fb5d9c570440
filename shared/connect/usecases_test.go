package connect_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

// outbox collects what is queued and answered.
type outbox struct {
	reports []connect.ReportJob
	jobs    []connect.VerifyJob
	delays  []time.Duration
	sweeps  []connect.ConnectionID
	answers []connect.Reply
	fail    error
}

func (o *outbox) Verify(_ context.Context, j connect.VerifyJob, d time.Duration) error {
	o.jobs, o.delays = append(o.jobs, j), append(o.delays, d)
	return nil
}

func (o *outbox) Sweep(_ context.Context, ids []connect.ConnectionID, d time.Duration) error {
	o.sweeps, o.delays = append(o.sweeps, ids...), append(o.delays, d)
	return nil
}

func (o *outbox) Report(_ context.Context, j connect.ReportJob, _ time.Duration) error {
	o.reports = append(o.reports, j)
	return nil
}

func (o *outbox) Answer(_ context.Context, _ connect.ReplyTo, r connect.Reply) error {
	if o.fail != nil {
		return o.fail
	}
	o.answers = append(o.answers, r)
	return nil
}

// bench is everything that verifying needs, with a clock that the test moves.
type bench struct {
	store *storetest.Memory
	out   *outbox
	acct  *account
	now   time.Time
	u     connect.Verifications
}

func newBench(c connect.Connection) *bench {
	b := &bench{store: storetest.New(c), out: &outbox{}, now: noon, acct: &account{assume: func(r connect.AssumeRequest) error {
		if r.ExternalID == c.Snapshot().ExternalID {
			return nil
		}
		return errDenied
	}, trust: platform().TrustPolicy(c.Snapshot().ExternalID)}}
	clock := func() time.Time { return b.now }
	b.u = connect.Verifications{
		Store: b.store, Jobs: b.out, Sweeps: b.out, Answerer: b.out, Clock: clock, Jitter: func() float64 { return 0 },
		Verifier: connect.Verifier{Platform: platform(), Assumer: b.acct, Inspector: b.acct, Clock: clock},
	}
	return b
}

func (b *bench) job(c connect.Connection) connect.VerifyJob {
	v, _ := c.Trial()
	return connect.VerifyJob{ConnectionID: c.ID(), Run: v.Run, Attempt: v.Attempt, ReplyTo: &connect.ReplyTo{StackID: stackOne, Until: noon.Add(5 * time.Minute)}}
}

func (b *bench) try(t *testing.T, j connect.VerifyJob) {
	t.Helper()
	if err := b.u.Try(context.Background(), j); err != nil {
		t.Fatal(err)
	}
}

func TestTryAnswersOnceProven(t *testing.T) {
	c := in(t, connect.StatusVerifying)
	b := newBench(c)
	b.try(t, b.job(c))
	if got := b.store.Get(c.ID()).Status(); got != connect.StatusEnabled {
		t.Fatal(got)
	}
	if len(b.out.answers) != 1 || !b.out.answers[0].OK || len(b.out.jobs) != 0 {
		t.Fatalf("answers %+v, jobs %+v", b.out.answers, b.out.jobs)
	}
	asked := len(b.acct.asked)
	b.try(t, b.job(c)) // the same message again
	if len(b.acct.asked) != asked || len(b.out.jobs) != 0 || len(b.store.Log()) != 1 {
		t.Errorf("a repeated message asked STS %d times more and queued %d jobs", len(b.acct.asked)-asked, len(b.out.jobs))
	}
}

// A role that needs time is tried by the clock, one probe a try, and the stack is answered at the end only.
func TestTryIsPatient(t *testing.T) {
	c := in(t, connect.StatusVerifying)
	b := newBench(c)
	trust := b.acct.assume
	b.acct.assume = func(r connect.AssumeRequest) error {
		if b.now.Before(noon.Add(20 * time.Second)) {
			return errDenied
		}
		return trust(r)
	}
	job, tries := b.job(c), 0
	for {
		b.try(t, job)
		tries++
		if len(b.out.jobs) < tries {
			break
		}
		job = b.out.jobs[tries-1]
		b.now = b.now.Add(b.out.delays[tries-1])
	}
	if got := b.store.Get(c.ID()).Status(); got != connect.StatusEnabled || tries != 6 || b.now != noon.Add(30*time.Second) {
		t.Fatalf("%s after %d tries at %s", got, tries, b.now.Sub(noon))
	}
	if n := len(b.acct.asked); n != 5+3 {
		t.Errorf("%d calls of STS, want one for each of five early tries and three for the last", n)
	}
	if len(b.out.answers) != 1 || !b.out.answers[0].OK {
		t.Errorf("answers %+v", b.out.answers)
	}
}

func TestTryTellsTheStackWhy(t *testing.T) {
	c := in(t, connect.StatusVerifying)
	b := newBench(c)
	b.acct.assume = func(connect.AssumeRequest) error { return nil } // no external ID asked for
	b.now = noon.Add(2 * time.Minute)
	b.try(t, b.job(c))
	if len(b.out.answers) != 1 || b.out.answers[0].OK || b.out.answers[0].Reason.Code != connect.CodeExternalIDNotRequired || b.out.answers[0].Reason.Fix == "" {
		t.Fatalf("answers %+v", b.out.answers)
	}
}

// An answer that cannot be given is tried again without another verification.
func TestAnswerIsGivenLater(t *testing.T) {
	c := in(t, connect.StatusVerifying)
	b := newBench(c)
	b.out.fail = errors.New("503")
	b.try(t, b.job(c))
	if len(b.out.jobs) != 1 || b.out.jobs[0].ReplyTo == nil {
		t.Fatalf("jobs %+v", b.out.jobs)
	}
	asked := len(b.acct.asked)
	b.out.fail = nil
	b.try(t, b.out.jobs[0])
	if len(b.out.answers) != 1 || !b.out.answers[0].OK || len(b.acct.asked) != asked {
		t.Fatalf("answers %+v after %d more calls of STS", b.out.answers, len(b.acct.asked)-asked)
	}
}

// Once CloudFormation has stopped waiting, nobody goes on trying to answer.
func TestAnswerIsGivenUp(t *testing.T) {
	c := in(t, connect.StatusVerifying)
	b := newBench(c)
	b.out.fail = errors.New("403")
	job := b.job(c)
	for range 30 {
		b.try(t, job)
		b.now = b.now.Add(15 * time.Second)
	}
	if n := len(b.out.jobs); n == 0 || b.now.Before(job.ReplyTo.Until) {
		t.Fatalf("%d jobs by %s", n, b.now)
	}
	before := len(b.out.jobs)
	b.try(t, b.out.jobs[before-1])
	if len(b.out.jobs) != before {
		t.Error("the answer is tried for ever")
	}
}

// A candidate's run whose message was lost goes on too, and the serving role is not in its way.
func TestALostCandidateIsTakenUp(t *testing.T) {
	c := must[connect.Change](t)(in(t, connect.StatusEnabled).ReportRole(role(t, roleR2), noon, "ada")).Connection()
	b := newBench(c)
	if due := c.DueAt(); due.IsZero() {
		t.Fatal("nobody looks at it")
	}
	b.now = noon.Add(time.Hour)
	if err := b.u.Sweep(context.Background(), c.ID()); err != nil || len(b.out.jobs) != 1 {
		t.Error(err, b.out.jobs)
	}
}

// Dying between commit and queue leaves a message that is delivered again: the chain goes on. A copy without an answer
// address does not breed; one with an address is never dropped, for it may be the last that knows where the answer goes.
func TestRedeliveredTryGoesOn(t *testing.T) {
	c := in(t, connect.StatusVerifying)
	b := newBench(c)
	b.acct.assume = func(connect.AssumeRequest) error { return errDenied }
	first := b.job(c)
	first.ReplyTo = nil
	b.try(t, first)
	b.try(t, first) // a mere copy
	if len(b.out.jobs) != 1 {
		t.Fatalf("%d jobs after a copy", len(b.out.jobs))
	}
	first.Redelivered = true
	b.try(t, first)
	if len(b.out.jobs) != 2 || b.out.jobs[1].Attempt != 1 {
		t.Fatalf("jobs %+v", b.out.jobs)
	}
	b.try(t, b.job(c)) // whose attempt has been made
	if n := len(b.out.jobs); n != 3 || b.out.jobs[2].Attempt != 1 || b.out.jobs[2].ReplyTo == nil {
		t.Fatalf("jobs %+v", b.out.jobs)
	}
}

// Whoever presses "verify" while a stack waits makes the run's attempts and queues the next one without the stack's answer
// address. The stack is answered all the same, by the verdict that they found.
func TestVerifyPressedWhileAStackWaits(t *testing.T) {
	for _, proven := range []bool{true, false} {
		c := in(t, connect.StatusVerifying)
		b := newBench(c)
		trusting := b.acct.assume
		b.acct.assume = func(connect.AssumeRequest) error { return errDenied }
		stacks := b.job(c)
		if _, err := b.u.Verify(context.Background(), connect.Target{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(c.ID()), By: "ada"}, 0); err != nil {
			t.Fatal(err)
		}
		b.try(t, stacks)
		if proven {
			b.acct.assume = trusting
		}
		for range 20 {
			if len(b.out.answers) > 0 || len(b.out.jobs) == 0 {
				break
			}
			jobs := b.out.jobs
			b.out.jobs = nil
			b.now = b.now.Add(30 * time.Second)
			for _, j := range jobs {
				b.try(t, j)
			}
		}
		if n := len(b.out.answers); n != 1 || b.out.answers[0].OK != proven {
			t.Errorf("proven %v: the stack was told %+v", proven, b.out.answers)
		}
	}
}

func TestDeletedWhileTried(t *testing.T) {
	c := in(t, connect.StatusVerifying)
	b := newBench(c)
	b.store.Once("Commit", func() {
		ch, err := c.Delete(b.now, "ada")
		if err != nil || b.store.Commit(context.Background(), ch) != nil {
			t.Error("delete failed")
		}
	})
	b.try(t, b.job(c))
	if got := b.store.Get(c.ID()).Status(); got != connect.StatusDeleted {
		t.Fatal(got)
	}
	if len(b.out.answers) != 1 || b.out.answers[0].OK {
		t.Errorf("the stack was told %+v", b.out.answers)
	}
}

func TestReportRoleByHand(t *testing.T) {
	target := func(c connect.Connection) connect.Target {
		return connect.Target{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(c.ID()), By: "ada"}
	}
	t.Run("enabled at once", func(t *testing.T) {
		c := in(t, connect.StatusPending)
		b := newBench(c)
		got, err := b.u.ReportRole(context.Background(), target(c), roleR1, 0)
		if err != nil || got.Connection.Status() != connect.StatusEnabled || len(got.Checks) != 6 {
			t.Fatal(got.Connection.Status(), err)
		}
	})
	t.Run("not ready: the queue goes on", func(t *testing.T) {
		c := in(t, connect.StatusPending)
		b := newBench(c)
		b.acct.assume = func(connect.AssumeRequest) error { return errDenied }
		got, err := b.u.ReportRole(context.Background(), target(c), roleR1, time.Second)
		if err != nil || got.Connection.Status() != connect.StatusVerifying || len(b.out.jobs) != 1 {
			t.Fatal(got.Connection.Status(), err, b.out.jobs)
		}
	})
	for name, arn := range map[string]string{
		"the platform's own": "arn:aws:iam::111111111111:role/x", "a user": "arn:aws:iam::222222222222:user/x",
		"root": "arn:aws:iam::222222222222:root", "short account": "arn:aws:iam::22222222222:role/x",
		"a session": "arn:aws:sts::222222222222:assumed-role/x/y", "a wildcard": "arn:aws:iam::222222222222:role/*",
		"a parent path": "arn:aws:iam::222222222222:role/../x", "Unicode digits": "arn:aws:iam::２２２２２２２２２２２２:role/x",
		"a newline": "arn:aws:iam::222222222222:role/x\n", "something before it": "xarn:aws:iam::222222222222:role/x", "another partition": "arn:aws-cn:iam::222222222222:role/x",
		"2049 characters": "arn:aws:iam::222222222222:role/" + fmt.Sprintf("%02018d", 0),
	} {
		t.Run(name, func(t *testing.T) {
			c := in(t, connect.StatusPending)
			b := newBench(c)
			_, err := b.u.ReportRole(context.Background(), target(c), arn, 0)
			var e *connect.Error
			if !errors.As(err, &e) || e.Kind != connect.KindInvalid || len(b.acct.asked) != 0 || len(b.store.Log()) != 0 {
				t.Fatalf("%v after %d calls of STS", err, len(b.acct.asked))
			}
		})
	}
}

func TestIssue(t *testing.T) {
	for _, s := range connect.Statuses() {
		t.Run(string(s), func(t *testing.T) {
			c := in(t, s)
			b := newBench(c)
			u := connect.Issuing{Clock: b.u.Clock, Store: b.store, Sessions: connect.SessionMaker{Store: b.store, Assumer: b.acct, Clock: b.u.Clock, EventID: func() string { return "evt_1" }}}
			_, err := u.Issue(context.Background(), connect.IssueRequest{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(c.ID()), Caller: "svc"})
			if s == connect.StatusEnabled {
				if err != nil || len(b.store.Log()) != 1 || b.store.Log()[0].Type != connect.EventCredentialsIssued {
					t.Fatal(err, b.store.Log())
				}
				if r := b.acct.asked[0]; r.SourceIdentity != "rolecall-svc" || r.SessionName != "rolecall-svc" || r.ExternalID != c.Snapshot().ExternalID {
					t.Errorf("%+v", r)
				}
				return
			}
			var e *connect.Error
			if !errors.As(err, &e) || e.Kind != connect.KindConflict || len(b.acct.asked) != 0 {
				t.Fatalf("%v after %d calls of STS", err, len(b.acct.asked))
			}
		})
	}
	c := in(t, connect.StatusEnabled)
	b := newBench(c)
	u := connect.Issuing{Clock: b.u.Clock, Store: b.store, Sessions: connect.SessionMaker{Store: b.store, Assumer: b.acct, Clock: b.u.Clock, EventID: func() string { return "evt_1" }}}
	for name, r := range map[string]connect.IssueRequest{
		"another tenant": {Tenant: "other", ID: string(c.ID())}, "no such id": {Tenant: "acme", ID: "conn_00000000000000000000000000"},
		"no id at all": {Tenant: "acme", ID: "../x"},
	} {
		if _, err := u.Issue(context.Background(), r); !errors.Is(err, connect.ErrNotFound) || len(b.acct.asked) != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, d := range []time.Duration{time.Second, 899 * time.Second, 61 * time.Minute, -time.Hour, 30*time.Minute + 1} {
		r := connect.IssueRequest{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(c.ID()), Duration: d}
		if _, err := u.Issue(context.Background(), r); !errors.Is(err, &connect.Error{Code: connect.CodeDurationInvalid}) {
			t.Errorf("%s: %v", d, err)
		}
	}
	t.Run("a session of another account is not handed out", anotherAccountsSession)
	t.Run("a session is held for", heldSessions)
}

func FuzzParseRoleARN(f *testing.F) {
	for _, s := range []string{roleR1, "arn:aws:iam::012345678901:role/a/b/c", "arn:aws:iam::1:role/x", "arn:aws:iam::222222222222:role/a//b", "x" + roleR1, roleR1 + "\n", roleR1 + " x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := connect.ParseRoleARN(s)
		if err != nil {
			return
		}
		if a.String() != s || !strings.HasPrefix(s, "arn:aws") || strings.ContainsAny(s, " \n*?") || len(a.Account()) != 12 || a.Name() == "" || len(s) > 2048 {
			t.Fatalf("%q: account %q, name %q", s, a.Account(), a.Name())
		}
	})
}

func TestSweepLooksAtWhatIsDue(t *testing.T) {
	t.Run("a healthy role costs one small write", func(t *testing.T) {
		c := in(t, connect.StatusEnabled)
		b := newBench(c)
		if err := b.u.Sweep(context.Background(), c.ID()); err != nil {
			t.Fatal(err)
		}
		if b.store.Calls("RecordCheck") != 1 || len(b.store.Log()) != 0 || len(b.acct.asked) != 2 || b.store.Calls() != 2 || b.store.Calls("Bare") != 1 {
			t.Errorf("%d times kept, %d events, %d calls of STS", b.store.Calls("RecordCheck"), len(b.store.Log()), len(b.acct.asked))
		}
	})
	t.Run("AWS's failure is no verdict", func(t *testing.T) {
		c := in(t, connect.StatusEnabled)
		b := newBench(c)
		b.acct.assume = func(connect.AssumeRequest) error { return errors.New("503") }
		if err := b.u.Sweep(context.Background(), c.ID()); err != nil || len(b.store.Log()) != 0 || b.store.Calls("RecordCheck") != 0 {
			t.Error(err, b.store.Log(), b.store.Calls("RecordCheck"))
		}
	})
	t.Run("a role that needs no external ID any more is a strike", func(t *testing.T) {
		c := in(t, connect.StatusEnabled)
		b := newBench(c)
		b.acct.assume = func(connect.AssumeRequest) error { return nil }
		if err := b.u.Sweep(context.Background(), c.ID()); err != nil || b.store.Get(c.ID()).Snapshot().Strikes != 1 {
			t.Error(err, b.store.Get(c.ID()).Snapshot().Strikes)
		}
	})
	t.Run("a pending one expires after seven days, not before", func(t *testing.T) {
		c := in(t, connect.StatusPending)
		b := newBench(c)
		b.now = noon.Add(connect.LaunchLife - time.Second)
		if err := b.u.Sweep(context.Background(), c.ID()); err != nil || b.store.Get(c.ID()).Status() != connect.StatusPending {
			t.Error(err)
		}
		b.now = noon.Add(connect.LaunchLife)
		if err := b.u.Sweep(context.Background(), c.ID()); err != nil || b.store.Get(c.ID()).Status() != connect.StatusExpired {
			t.Error(err)
		}
	})
	t.Run("a lost run is taken up", func(t *testing.T) {
		c := in(t, connect.StatusVerifying)
		b := newBench(c)
		b.now = noon.Add(time.Hour)
		if err := b.u.Sweep(context.Background(), c.ID()); err != nil || len(b.out.jobs) != 1 {
			t.Error(err, b.out.jobs)
		}
	})
}

func TestEverySlotHasItsTurnOncePerInterval(t *testing.T) {
	for _, interval := range []time.Duration{24 * time.Hour, 6 * time.Hour, time.Hour, 10 * time.Minute, time.Minute} {
		turns := map[int]int{}
		for m := range int(interval / time.Minute) {
			for _, s := range connect.SlotsAt(noon.Add(time.Duration(m)*time.Minute), interval) {
				turns[s]++
			}
		}
		if len(turns) != connect.Slots {
			t.Errorf("%s: %d slots have a turn", interval, len(turns))
		}
		id := in(t, connect.StatusPending).ID()
		next := connect.NextTurn(id, interval, noon)
		if !next.After(noon) || next.Sub(noon) > interval {
			t.Errorf("%s: next turn after %s", interval, next.Sub(noon))
		}
		found := false
		for _, s := range connect.SlotsAt(next, interval) {
			found = found || s == connect.Slot(id)
		}
		if !found {
			t.Errorf("%s: the slot has no turn at its next turn", interval)
		}
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	s := connect.NewSecret("canary")
	held := struct{ S connect.Secret }{s}
	shown := []string{
		fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q %x %d", s, s, s, s, s, s, s), fmt.Sprintf("%v %+v %#v", held, held, &held), s.String(), s.GoString(),
	}
	for _, document := range []any{s, held, &held, map[connect.Secret]bool{s: true}} { // a key is marshalled as text
		text, err := json.Marshal(document)
		if err != nil {
			t.Error(err)
		}
		shown = append(shown, string(text))
	}
	var log strings.Builder
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).With("with", s).Info("told", "it", s, "held", held, slog.Group("in", "it", &s))
	}
	for _, out := range append(shown, log.String()) {
		if want := "canary"; contains(out, want) || contains(out, "63616e617279") || !contains(out, "[secret]") {
			t.Errorf("%q shows it, or nothing", out)
		}
	}
	if s.Reveal() != "canary" {
		t.Error("lost")
	}
}

func contains(s, sub string) bool {
	for i := 0; i+len(sub) <= len(s); i++ {
		if s[i:i+len(sub)] == sub {
			return true
		}
	}
	return false
}
