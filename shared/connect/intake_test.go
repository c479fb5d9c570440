package connect_test

import (
	"context"
	crand "crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

// desk is an Intakes over a store, and an account where each role asks for an external ID.
type desk struct {
	*storetest.Memory
	t     *testing.T
	trust map[string]connect.ExternalID // by role; what is not there may not be assumed
	down  bool
	out   *outbox
	now   time.Time
	u     connect.Intakes
}

func newDesk(t *testing.T) *desk {
	d := &desk{
		t: t, Memory: storetest.New(), trust: map[string]connect.ExternalID{}, out: &outbox{}, now: noon,
	}
	clock := func() time.Time { return d.now }
	acct := &account{trustE: errDenied, assume: func(r connect.AssumeRequest) error {
		switch want, ok := d.trust[r.RoleARN.String()]; {
		case d.down:
			return errors.New("503")
		case !ok || r.ExternalID != want:
			return errDenied
		}
		return nil
	}}
	d.u = connect.Intakes{
		Store: d, Clock: clock, Random: crand.Reader,
		Deployment: connect.Deployment{Platform: platform(), Regions: []connect.Region{"eu-west-1"}, Permissions: []connect.PermissionSet{{Name: "read-only"}}},
		Verifications: connect.Verifications{
			Store: d, Jobs: d.out, Sweeps: d.out, Answerer: d.out, Clock: clock, Jitter: func() float64 { return 0 },
			Verifier: connect.Verifier{Platform: platform(), Assumer: acct, Inspector: acct, Clock: clock},
		},
	}
	return d
}

func (d *desk) open() connect.Snapshot {
	d.t.Helper()
	c, err := d.u.Open(context.Background(), "acme", "ada", connect.Unrestricted())
	if err != nil {
		d.t.Fatal(err)
	}
	return c.Snapshot()
}

func (d *desk) add(role string) (connect.AccountID, error) {
	return d.u.Add(context.Background(), connect.AddRequest{Filter: connect.Unrestricted(), Tenant: "acme", By: "ada", Role: role}, 0)
}

func (d *desk) added(role string) {
	d.t.Helper()
	if account, err := d.add(role); err != nil || !strings.Contains(role, string(account)) || account == "" {
		d.t.Fatalf("%s is %q, %v", role, account, err)
	}
}

func (d *desk) denied(role string) {
	d.t.Helper()
	_, err := d.add(role)
	var e *connect.Error
	if !errors.As(err, &e) || e.Kind != connect.KindDenied || e.Code == "" {
		d.t.Fatalf("%s: %v", role, err)
	}
}

func TestAnIntakeIsOneUntilItIsUsed(t *testing.T) {
	d := newDesk(t)
	first := d.open()
	if first.Status != connect.StatusPending || first.Permissions != connect.PermissionsCustom || first.Requested != "read-only" || first.ExternalID == "" {
		t.Errorf("%+v", first)
	}
	if again := d.open(); again.ID != first.ID || again.ExternalID != first.ExternalID || len(d.All()) != 1 {
		t.Errorf("asked again: %s, then %s", first.ID, again.ID)
	}
	d.trust[roleR1] = first.ExternalID
	d.added(roleR1)
	got := d.Get(first.ID).Snapshot()
	if got.Status != connect.StatusEnabled || got.Name != "AWS Account (222222222222)" || got.RoleARN.String() != roleR1 {
		t.Errorf("%s %q %s", got.Status, got.Name, got.RoleARN)
	}
	second := d.open()
	if second.ID == first.ID || second.ExternalID == first.ExternalID {
		t.Error("an external ID was given twice")
	}
	d.trust[roleR2] = second.ExternalID // another role of the same account
	d.added(roleR2)
	if name := d.Get(second.ID).Snapshot().Name; name != "AWS Account (222222222222) 2" {
		t.Errorf("the second is named %q", name)
	}
}

func TestTheSameRoleTwiceIsOneConnection(t *testing.T) {
	d := newDesk(t)
	first := d.open()
	d.trust[roleR1] = first.ExternalID
	for range 3 {
		d.added(roleR1)
	}
	d.open() // another intake does not matter
	d.added(roleR1)
	if len(d.All()) != 2 || d.Get(first.ID).Snapshot().Name != "AWS Account (222222222222)" {
		t.Errorf("%d connections", len(d.All()))
	}
	delete(d.trust, roleR1) // it is really verified again
	d.denied(roleR1)
	if s := d.Get(first.ID).Snapshot(); s.Status != connect.StatusEnabled || s.Strikes != 1 {
		t.Errorf("%s, %d strikes", s.Status, s.Strikes)
	}
}

func TestARoleThatIsDeniedUsesNothingUp(t *testing.T) {
	d := newDesk(t)
	first := d.open()
	d.denied(roleR1)
	d.trust[roleR1] = "somebody-elses"
	d.denied(roleR1)
	if again := d.open(); again.ID != first.ID || again.Status != connect.StatusVerifying || len(d.All()) != 1 {
		t.Errorf("%s is %s, %d connections", again.ID, again.Status, len(d.All()))
	}
	d.trust[roleR2] = first.ExternalID // the right one at last
	d.added(roleR2)
	if s := d.Get(first.ID).Snapshot(); s.RoleARN.String() != roleR2 || s.Name != "AWS Account (222222222222)" {
		t.Errorf("%s %q", s.RoleARN, s.Name)
	}
}

// A role that passes only after the caller was told 403 is found by whoever asks next.
func TestARoleThatPassesLate(t *testing.T) {
	d := newDesk(t)
	first := d.open()
	d.denied(roleR1)
	d.trust[roleR1] = first.ExternalID
	d.now = d.now.Add(30 * time.Second)
	if err := d.u.Verifications.Try(context.Background(), d.out.jobs[len(d.out.jobs)-1]); err != nil {
		t.Fatal(err)
	}
	if s := d.Get(first.ID).Snapshot(); s.Status != connect.StatusEnabled {
		t.Fatal(s.Status)
	}
	if next := d.open(); next.ID == first.ID {
		t.Error("a used external ID was given once more")
	}
	if name := d.Get(first.ID).Snapshot().Name; name != "AWS Account (222222222222)" {
		t.Errorf("named %q", name)
	}
	d.added(roleR1)
	if len(d.All()) != 2 {
		t.Errorf("%d connections", len(d.All()))
	}
}

func TestIntakesThatOthersTouch(t *testing.T) {
	t.Run("expired", func(t *testing.T) {
		d := newDesk(t)
		first := d.open()
		ch, err := d.Get(first.ID).Expire(noon.Add(8 * 24 * time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Commit(context.Background(), ch); err != nil {
			t.Fatal(err)
		}
		if again := d.open(); again.ID != first.ID || again.Status != connect.StatusPending {
			t.Errorf("%s is %s", again.ID, again.Status)
		}
		d.trust[roleR1] = first.ExternalID
		d.added(roleR1)
	})
	t.Run("deleted", func(t *testing.T) {
		d := newDesk(t)
		first := d.open()
		ch, err := d.Get(first.ID).Delete(noon, "ada")
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Commit(context.Background(), ch); err != nil {
			t.Fatal(err)
		}
		if again := d.open(); again.ID == first.ID || again.ExternalID == first.ExternalID {
			t.Error("a deleted connection is open")
		}
	})
	t.Run("renamed", func(t *testing.T) {
		d := newDesk(t)
		first := d.open()
		ch, _, err := d.Get(first.ID).Update(connect.Update{Name: new(connect.Name("Ours"))}, noon, "ada")
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Commit(context.Background(), ch); err != nil {
			t.Fatal(err)
		}
		d.trust[roleR1] = first.ExternalID
		d.added(roleR1)
		if name := d.Get(first.ID).Snapshot().Name; name != "Ours" {
			t.Errorf("renamed to %q", name)
		}
	})
	t.Run("made by another first", func(t *testing.T) {
		d := newDesk(t)
		var theirs connect.Snapshot
		d.Once("Commit", func() { theirs = d.open() })
		if ours := d.open(); ours.ID != theirs.ID || len(d.All()) != 1 {
			t.Errorf("%s and %s", ours.ID, theirs.ID)
		}
	})
}

func TestWhatIsNoFaultOfTheRole(t *testing.T) {
	d := newDesk(t)
	first := d.open()
	d.trust[roleR1] = first.ExternalID
	d.down = true
	var e *connect.Error
	if _, err := d.add(roleR1); !errors.As(err, &e) || e.Kind != connect.KindUnavailable {
		t.Errorf("AWS is down: %v", err)
	}
	for _, bad := range []string{"", "arn", "arn:aws:iam::222222222222:user/x", "arn:aws:iam::" + platformAccount + ":role/Own"} {
		if _, err := d.add(bad); !errors.As(err, &e) || e.Kind != connect.KindInvalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
