package connect_test

import (
	"errors"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// A run past its deadline whose deciding try is still to come is answered by nobody but that try.
func TestNobodyAnswersBeforeTheDecidingTry(t *testing.T) {
	c := in(t, connect.StatusVerifying)
	b := newBench(c)
	b.acct.assume = func(connect.AssumeRequest) error { return errDenied }
	first := b.job(c)
	job := first
	for b.now.Before(noon.Add(105 * time.Second)) {
		b.try(t, job)
		job = b.out.jobs[len(b.out.jobs)-1]
		b.now = b.now.Add(b.out.delays[len(b.out.delays)-1])
	}
	b.try(t, first) // a copy of the first message, while the last try is under way
	if len(b.out.answers) != 0 {
		t.Fatalf("answered %+v", b.out.answers)
	}
	b.try(t, job)
	if len(b.out.answers) != 1 || b.out.answers[0].OK {
		t.Errorf("answered %+v", b.out.answers)
	}
}

// While nothing can be written down, a stack is told of it before it stops waiting; of a Delete that is durable, the truth.
func TestAStackHearsOfTroubleInTime(t *testing.T) {
	for name, tt := range map[string]struct {
		lift, known, ok bool
	}{
		"a role": {}, "a Delete": {lift: true, ok: true}, "a role that has passed": {known: true, ok: true},
	} {
		c := in(t, connect.StatusVerifying)
		b := newBench(c)
		job := b.job(c)
		if tt.known {
			b.try(t, job)
			b.out.answers = nil
		}
		b.store.Before(func(op string) error {
			if op == "Commit" {
				return errors.New("503")
			}
			return nil
		})
		job.Lift = tt.lift
		told := time.Time{}
		for n := 1; n <= 10; n++ {
			if err := b.u.GiveUp(t.Context(), job); err != nil {
				t.Fatal(err)
			}
			if len(b.out.answers) > 0 && told.IsZero() {
				told = b.now
			}
			b.now = b.now.Add(connect.RetryPause(n))
		}
		if told.IsZero() || told.Before(noon.Add(3*time.Minute)) || told.After(noon.Add(5*time.Minute)) || b.out.answers[0].OK != tt.ok {
			t.Errorf("%s: told after %s: %+v", name, told.Sub(noon), b.out.answers)
		}
	}
}

// A role that was mended recovers, also where it lets nobody make the check any more that once failed: a new connection with
// that role would be enabled.
func TestAMendedRoleThatCannotBeReadRecovers(t *testing.T) {
	c := in(t, connect.StatusEnabled)
	b := newBench(c)
	good := b.acct.trust
	b.acct.trust = `{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"` + string(c.Snapshot().ExternalID) + `"}}}}`
	verify := func() connect.Status {
		b.now = b.now.Add(6 * time.Minute)
		if _, err := b.u.Verify(t.Context(), connect.Target{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(c.ID()), By: "ada"}, 0); err != nil {
			t.Fatal(err)
		}
		return b.store.Get(c.ID()).Status()
	}
	for range 3 {
		verify()
	}
	if got := b.store.Get(c.ID()).Status(); got != connect.StatusDegraded {
		t.Fatal(got)
	}
	b.acct.trust, b.acct.trustE = good, &connect.Error{Kind: connect.KindUnavailable, Code: connect.CodeSTSUnavailable}
	if got := verify(); got != connect.StatusDegraded {
		t.Errorf("%s, though AWS has only failed to say what the trust policy is", got)
	}
	b.acct.trustE = errDenied
	if got := verify(); got != connect.StatusEnabled {
		t.Errorf("%s, though all that can be asked has passed", got)
	}
}

// A lost run whose message is lost once more is looked at again, for as long as it is open.
func TestALostRunIsLookedAtAgain(t *testing.T) {
	c := in(t, connect.StatusVerifying)
	b := newBench(c)
	b.now = c.DueAt().Add(time.Minute)
	for n := 1; n <= 3; n++ {
		if err := b.u.Sweep(t.Context(), c.ID()); err != nil {
			t.Fatal(err)
		}
		if len(b.out.jobs) != n || len(b.out.sweeps) != n {
			t.Fatalf("%d tries and %d looks are queued, want %d", len(b.out.jobs), len(b.out.sweeps), n)
		}
		b.now = b.now.Add(15 * time.Minute)
	}
	b.try(t, b.out.jobs[0])
	if err := b.u.Sweep(t.Context(), c.ID()); err != nil || len(b.out.sweeps) != 3 {
		t.Errorf("%v, %d looks at a run that has ended", err, len(b.out.sweeps))
	}
}

// Neither a new launch nor the end of the connection ends the wait for the proof that the former role is refused; a new role does.
func TestALaunchKeepsTheOffboarding(t *testing.T) {
	c := in(t, connect.StatusDisconnected)
	role := c.Snapshot().Offboarding.RoleARN
	c = must[connect.Change](t)(c.Launch(noon.Add(time.Minute), "ada")).Connection()
	gone := must[connect.Change](t)(c.Delete(noon.Add(2*time.Minute), "ada")).Connection()
	for _, c := range []connect.Connection{c, gone} {
		b := newBench(c)
		b.acct.assume = func(connect.AssumeRequest) error { return errDenied }
		if b.now = c.DueAt(); b.now.Sub(noon) > time.Hour {
			t.Fatalf("%s: due only at %s", c.Status(), b.now)
		}
		if err := b.u.Sweep(t.Context(), c.ID()); err != nil {
			t.Fatal(err)
		}
		if e := b.store.Log(); len(e) != 1 || e[0].Type != connect.EventOffboardingProven || e[0].Data["roleArn"] != role.String() {
			t.Errorf("%s: %+v", c.Status(), e)
		}
	}
	reported := must[connect.Change](t)(c.ReportRole(role, noon.Add(time.Minute), "ada")).Connection()
	if o := reported.Snapshot().Offboarding; o != nil {
		t.Errorf("%+v, though the role is on trial", o)
	}
}
