package connect_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// Every action in every status: what it leads to, or that it is refused. An empty cell is a refusal.
func TestStatusMachine(t *testing.T) {
	type row map[connect.Status]connect.Status
	const (
		pending, verifying, enabled = connect.StatusPending, connect.StatusVerifying, connect.StatusEnabled
		degraded, failed            = connect.StatusDegraded, connect.StatusFailed
		disconnected, expired       = connect.StatusDisconnected, connect.StatusExpired
		deleted                     = connect.StatusDeleted
	)
	late := noon.Add(9 * 24 * time.Hour)
	denied := with(good(late), connect.CheckAssumeRole, connect.Failed, connect.CodeRoleNotAssumable)
	tried := func(o connect.Outcome) func(connect.Connection) (connect.Change, error) {
		return func(c connect.Connection) (connect.Change, error) {
			v, _ := c.Trial()
			return c.Tried(v.Run, v.Attempt, o, 0, late)
		}
	}
	rechecked := func(o connect.Outcome) func(connect.Connection) (connect.Change, error) {
		return func(c connect.Connection) (connect.Change, error) {
			ch, ok := c.Rechecked(o, connect.ActorRolecall, late)
			if !ok {
				return ch, errors.New("nothing changed")
			}
			return ch, nil
		}
	}
	actions := []struct {
		name string
		do   func(connect.Connection) (connect.Change, error)
		want row
	}{
		{
			"launch", func(c connect.Connection) (connect.Change, error) { return c.Launch(late, "ada") },
			row{pending: pending, expired: pending, disconnected: pending, failed: failed},
		},
		{
			"report role", func(c connect.Connection) (connect.Change, error) { return c.ReportRole(role(t, roleR2), late, "ada") },
			row{pending: verifying, verifying: verifying, failed: verifying, enabled: enabled, degraded: degraded},
		},
		{
			"retry", func(c connect.Connection) (connect.Change, error) { return c.Retry(late, "ada") },
			row{failed: verifying},
		},
		{"try passes", tried(good(late)), row{verifying: enabled}},
		{"try is denied for good", tried(denied), row{verifying: failed}},
		{"re-check passes", rechecked(good(late)), row{degraded: enabled}},
		{"re-check is denied", rechecked(denied), row{enabled: enabled, degraded: degraded}},
		{"expire", func(c connect.Connection) (connect.Change, error) { return c.Expire(late) }, row{pending: expired}},
		{
			"delete", func(c connect.Connection) (connect.Change, error) { return c.Delete(late, "ada") },
			row{
				pending: deleted, verifying: deleted, enabled: deleted, degraded: deleted, failed: deleted,
				disconnected: deleted, expired: deleted,
			},
		},
	}
	for _, a := range actions {
		for _, from := range connect.Statuses() {
			t.Run(a.name+" when "+string(from), func(t *testing.T) {
				before := in(t, from)
				ch, err := a.do(before)
				want, allowed := a.want[from]
				if !allowed {
					if err == nil {
						t.Fatalf("became %s, want a refusal", ch.Connection().Status())
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				checkChange(t, before, ch, want)
			})
		}
	}
}

// checkChange asserts what every change must keep.
func checkChange(t *testing.T, before connect.Connection, ch connect.Change, want connect.Status) {
	t.Helper()
	after := ch.Connection()
	if after.Status() != want {
		t.Errorf("became %s, want %s", after.Status(), want)
	}
	if ch.Expect() != before.Version() || after.Version() != before.Version()+1 {
		t.Errorf("version %d → %d, expecting %d", before.Version(), after.Version(), ch.Expect())
	}
	if e := ch.Event(); e.Sequence != after.Version() || e.ConnectionID != after.ID() || e.TenantID != after.TenantID() || e.Data["status"] != string(want) {
		t.Errorf("event %+v does not tell of the change", e)
	}
	if after.Snapshot().ExternalID != before.Snapshot().ExternalID {
		t.Error("the external ID changed")
	}
	if _, err := connect.Restore(after.Snapshot()); err != nil {
		t.Errorf("the change cannot be restored: %v", err)
	}
}

func TestRestoreRefusesWhatWasNeverWritten(t *testing.T) {
	ok := in(t, connect.StatusEnabled).Snapshot()
	for name, spoil := range map[string]func(*connect.Snapshot){
		"no id":                    func(s *connect.Snapshot) { s.ID = "" },
		"no tenant":                func(s *connect.Snapshot) { s.TenantID = "" },
		"no external ID":           func(s *connect.Snapshot) { s.ExternalID = "" },
		"unknown status":           func(s *connect.Snapshot) { s.Status = "open" },
		"enabled without a role":   func(s *connect.Snapshot) { s.RoleARN = connect.RoleARN{} },
		"enabled without checks":   func(s *connect.Snapshot) { s.Checks = nil },
		"enabled with a failure":   func(s *connect.Snapshot) { s.Checks[4].Verdict = connect.Failed },
		"enabled with an unknown":  func(s *connect.Snapshot) { s.Checks[2].Verdict = connect.Unknown },
		"verifying without a run":  func(s *connect.Snapshot) { s.Status = connect.StatusVerifying },
		"a version that never was": func(s *connect.Snapshot) { s.Version = 0 },
	} {
		s := in(t, connect.StatusEnabled).Snapshot()
		spoil(&s)
		if _, err := connect.Restore(s); err == nil {
			t.Errorf("%s: restored", name)
		}
	}
	if _, err := connect.Restore(ok); err != nil {
		t.Error(err)
	}
}

func TestTriesEndWhenTheySay(t *testing.T) {
	denied := with(good(noon), connect.CheckAssumeRole, connect.Failed, connect.CodeRoleNotAssumable)
	settling := deniedBySTS(t)
	unknown := with(good(noon), connect.CheckAssumeRole, connect.Unknown, connect.CodeSTSUnavailable)
	t.Run("a definite failure is final at once", func(t *testing.T) {
		c := in(t, connect.StatusVerifying)
		v, _ := c.Trial()
		ch, err := c.Tried(v.Run, 0, denied, 0, noon)
		if err != nil || ch.Connection().Status() != connect.StatusFailed {
			t.Fatal(ch.Connection().Status(), err)
		}
	})
	t.Run("a denial that may pass is tried nine times", func(t *testing.T) {
		c := in(t, connect.StatusVerifying)
		tries := 0
		for c.Status() == connect.StatusVerifying {
			v, _ := c.Trial()
			if tries == 8 && v.NextTryAt.Before(v.Deadline) {
				t.Fatalf("the last try comes at %s, before a denial is definitive", v.NextTryAt)
			}
			if v.NextTryAt.After(noon.Add(112 * time.Second)) {
				t.Fatalf("try %d is set for %s", tries, v.NextTryAt)
			}
			ch, err := c.Tried(v.Run, v.Attempt, settling, -1, v.NextTryAt)
			if err != nil {
				t.Fatal(err)
			}
			c, tries = ch.Connection(), tries+1
		}
		if tries != 9 || c.Status() != connect.StatusFailed {
			t.Fatalf("%s after %d tries, want failed after 9", c.Status(), tries)
		}
	})
	t.Run("a trust policy that AWS failed to show is read before anything is enabled", func(t *testing.T) {
		c := in(t, connect.StatusVerifying)
		v, _ := c.Trial()
		unread := with(good(noon), connect.CheckTrustPolicy, connect.Unknown, connect.CodeSTSUnavailable)
		ch := must[connect.Change](t)(c.Tried(v.Run, 0, unread, 0, noon))
		if got := ch.Connection().Status(); got != connect.StatusVerifying {
			t.Errorf("%s before the deadline", got)
		}
		late := must[connect.Change](t)(c.Tried(v.Run, 0, unread, 0, v.Deadline))
		if got := late.Connection().Status(); got != connect.StatusEnabled {
			t.Errorf("%s after the deadline", got)
		}
		denied := with(good(noon), connect.CheckTrustPolicy, connect.Unknown, connect.CodeTrustUnreadable)
		pasted := must[connect.Change](t)(c.Tried(v.Run, 0, denied, 0, noon))
		if got := pasted.Connection().Status(); got != connect.StatusEnabled {
			t.Errorf("%s: a pasted role need not be able to read itself", got)
		}
	})
	t.Run("AWS's own failures never fail it", func(t *testing.T) {
		c := in(t, connect.StatusVerifying)
		at := noon
		for range 40 {
			v, _ := c.Trial()
			at = v.NextTryAt
			ch, err := c.Tried(v.Run, v.Attempt, unknown, 0, at)
			if err != nil || ch.Connection().Status() != connect.StatusVerifying {
				t.Fatal(ch.Connection().Status(), err)
			}
			c = ch.Connection()
		}
		v, _ := c.Trial()
		if r, ok := c.ReplyFor(v.Run, at); !ok || !r.OK {
			t.Fatalf("the stack is told %+v %t, want success while verifying", r, ok)
		}
	})
	t.Run("another run's or another try's outcome is nobody's", func(t *testing.T) {
		c := in(t, connect.StatusVerifying)
		v, _ := c.Trial()
		for _, bad := range [][2]int64{{v.Run + 1, 0}, {v.Run, 1}} {
			if _, err := c.Tried(bad[0], int(bad[1]), good(noon), 0, noon); !errors.Is(err, connect.ErrSuperseded) {
				t.Errorf("run %d attempt %d: %v", bad[0], bad[1], err)
			}
		}
	})
}

func TestCandidateLeavesTheServingRoleAlone(t *testing.T) {
	c := in(t, connect.StatusEnabled)
	c = must[connect.Change](t)(c.ReportRole(role(t, roleR2), noon, "ada")).Connection()
	if s := c.Snapshot(); s.Status != connect.StatusEnabled || s.RoleARN.String() != roleR1 {
		t.Fatalf("%s with %s while the candidate is tried", s.Status, s.RoleARN)
	}
	v, _ := c.Trial()
	broad := with(good(noon), connect.CheckExternalIDRequired, connect.Failed, connect.CodeExternalIDNotRequired)
	refused := must[connect.Change](t)(c.Tried(v.Run, 0, broad, 0, noon))
	if s := refused.Connection().Snapshot(); s.Status != connect.StatusEnabled || s.RoleARN.String() != roleR1 || s.StatusReason.Code != "" {
		t.Errorf("after a refused candidate: %s %s %+v", s.Status, s.RoleARN, s.StatusReason)
	}
	if got := refused.ReleasesRoles(); len(got) != 1 || got[0].String() != roleR2 {
		t.Errorf("releases %v, want the candidate's role", got)
	}
	if r, ok := refused.Connection().ReplyFor(v.Run, noon); !ok || r.OK || r.Reason.Code != connect.CodeExternalIDNotRequired {
		t.Errorf("the stack is told %+v", r)
	}
	taken := must[connect.Change](t)(c.Tried(v.Run, 0, good(noon), 0, noon))
	if s := taken.Connection().Snapshot(); s.RoleARN.String() != roleR2 || s.Status != connect.StatusEnabled {
		t.Errorf("after a proven candidate: %s %s", s.Status, s.RoleARN)
	}
	if got := taken.ReleasesRoles(); len(got) != 1 || got[0].String() != roleR1 {
		t.Errorf("releases %v, want the old role", got)
	}
}

func TestStrikes(t *testing.T) {
	denied := with(good(noon), connect.CheckAssumeRole, connect.Failed, connect.CodeRoleNotAssumable)
	unknown := with(good(noon), connect.CheckAssumeRole, connect.Unknown, connect.CodeSTSUnavailable)
	c := in(t, connect.StatusEnabled)
	steps := []struct {
		minute  int
		outcome connect.Outcome
		strikes int
		status  connect.Status
	}{
		{1, denied, 1, connect.StatusEnabled},
		{3, denied, 1, connect.StatusEnabled}, // too soon to count
		{6, denied, 2, connect.StatusEnabled},
		{8, unknown, 2, connect.StatusEnabled}, // proves nothing
		{9, good(noon), 0, connect.StatusEnabled},
		{20, denied, 1, connect.StatusEnabled},
		{26, denied, 2, connect.StatusEnabled},
		{32, denied, 3, connect.StatusDegraded},
		{60, good(noon), 0, connect.StatusEnabled},
	}
	for _, s := range steps {
		if ch, ok := c.Rechecked(s.outcome, connect.ActorRolecall, noon.Add(time.Duration(s.minute)*time.Minute)); ok {
			c = ch.Connection()
		}
		if snap := c.Snapshot(); snap.Strikes != s.strikes || snap.Status != s.status {
			t.Errorf("minute %d: %d strikes, %s; want %d, %s", s.minute, snap.Strikes, snap.Status, s.strikes, s.status)
		}
	}
}

// An external ID is 160 bits of the system's randomness, all of them and nothing else, so that nobody can guess it or come to
// another one from it.
func TestExternalIDs(t *testing.T) {
	t.Run("none comes twice", func(t *testing.T) {
		seen := map[connect.ExternalID]bool{}
		for range 1_000_000 {
			id := connect.NewExternalID()
			if seen[id] {
				t.Fatalf("%s came twice", id)
			}
			seen[id] = true
		}
		for id := range seen {
			w := id.Wrong()
			if w == id || len(w) != len(id) || w[:len(w)-1] != id[:len(id)-1] {
				t.Fatalf("wrong form of %s is %s", id, w)
			}
		}
	})
	t.Run("each is 160 random bits", func(t *testing.T) {
		system := rand.Reader
		defer func() { rand.Reader = system }()
		source := &counted{r: system}
		rand.Reader = source
		alphabet := base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)
		for range 1000 {
			source.given = nil
			id := connect.NewExternalID()
			text, prefixed := strings.CutPrefix(string(id), "rc-")
			bits, err := alphabet.DecodeString(text)
			if !prefixed || err != nil || len(bits)*8 != 160 || !bytes.Equal(bits, source.given) {
				t.Fatalf("%s is %d bits %x of %x: %v", id, len(bits)*8, bits, source.given, err)
			}
		}
	})
}

// counted keeps what it gave.
type counted struct {
	r     io.Reader
	given []byte
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.given = append(c.given, p[:n]...)
	return n, err
}
