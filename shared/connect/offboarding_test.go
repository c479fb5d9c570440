package connect_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// After the end Rolecall looks whether the role is really out of reach, and says so.
func TestOffboardingIsProven(t *testing.T) {
	down := errors.New("503")
	still := func(connect.AssumeRequest) error { return nil }
	gone := func(connect.AssumeRequest) error { return errDenied }
	broken := func(connect.AssumeRequest) error { return down }
	for _, end := range []connect.Status{connect.StatusDisconnected, connect.StatusDeleted} {
		t.Run(string(end), func(t *testing.T) {
			c := in(t, end)
			if end == connect.StatusDeleted {
				c = must[connect.Change](t)(in(t, connect.StatusEnabled).Delete(noon, "ada")).Connection()
			}
			b := newBench(c)
			steps := []struct {
				after time.Duration // since the end
				sts   func(connect.AssumeRequest) error
				want  connect.EventType // "" where nobody looks yet, or any more
			}{
				{time.Minute, still, ""},
				{5 * time.Minute, broken, connect.EventOffboardingTried},
				{10 * time.Minute, still, connect.EventRoleStillAnswers},
				{30 * time.Minute, still, ""},
				{66 * time.Minute, still, connect.EventRoleStillAnswers},
				{25 * time.Hour, gone, connect.EventOffboardingProven},
				{200 * 24 * time.Hour, still, ""},
			}
			for _, s := range steps {
				b.acct.assume, b.now = s.sts, noon.Add(s.after)
				before := len(b.store.Log())
				if err := b.u.Sweep(context.Background(), c.ID()); err != nil {
					t.Fatal(err)
				}
				var got connect.EventType
				if events := b.store.Log()[before:]; len(events) == 1 {
					got = events[0].Type
				}
				if got != s.want {
					t.Errorf("after %s: %q, want %q", s.after, got, s.want)
				}
				if status := b.store.Get(c.ID()).Status(); status != end {
					t.Fatalf("became %s", status)
				}
			}
			if due := b.store.Get(c.ID()).DueAt(); !due.IsZero() {
				t.Errorf("still due at %s", due)
			}
		})
	}
}

func TestWhoNeverServedNeedsNoProof(t *testing.T) {
	for _, s := range []connect.Status{connect.StatusPending, connect.StatusVerifying, connect.StatusFailed, connect.StatusExpired} {
		c := must[connect.Change](t)(in(t, s).Delete(noon, "ada")).Connection()
		if c.Snapshot().Offboarding != nil || !c.DueAt().IsZero() {
			t.Errorf("deleted when %s: waits for proof", s)
		}
	}
}
