package connect_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

// A revokedStack is a connection whose stack was made by a template of a version.
type revokedStack struct {
	*revoking
	board *policyBoard
	sent  int
}

func newRevokedStack(t *testing.T, version string) *revokedStack {
	t.Helper()
	report := callback(t, connect.RequestCreate, stackOne, "r1", 1)
	report.TemplateVersion = version
	m := storetest.New(created(t))
	settled(t, m, report, proven(good(noon)), noon)
	r := revokingOf(t, m.All()[0])
	return &revokedStack{revoking: r, board: r.board, sent: 1}
}

// says has the stack send one more request.
func (s *revokedStack) says(kind connect.RequestType, version string) {
	s.Helper()
	s.sent++
	r := callback(s.T, kind, stackOne, "r"+time.Duration(s.sent).String(), s.sent)
	r.TemplateVersion = version
	before := s.connection().Version()
	settled(s.T, s.store, r, nil, s.u.Clock())
	if s.connection().Version() == before {
		s.Fatalf("%s changed nothing", kind)
	}
}

// deleted is the stack's Delete with what follows it.
func (s *revokedStack) deleted() {
	s.Helper()
	s.says(connect.RequestDelete, "")
	if err := s.u.LiftForDelete(context.Background(), s.connection()); err != nil {
		s.Fatal(err)
	}
}

// lastDelay is how long the newest job waits; it is the connection's sweep.
func (s *revokedStack) lastDelay() time.Duration {
	s.Helper()
	if len(s.out.sweeps) == 0 || s.out.sweeps[len(s.out.sweeps)-1] != s.connection().ID() {
		s.Fatal("nobody tries again")
	}
	return s.out.delays[len(s.out.delays)-1]
}

func (s *revokedStack) newest() connect.Event { log := s.store.Log(); return log[len(log)-1] }

// lifted is the event of the lift; the zero one where there is none.
func (s *revokedStack) lifted() connect.Event {
	i := slices.IndexFunc(s.store.Log(), func(e connect.Event) bool { return e.Type == connect.EventRevocationLifted })
	if i < 0 {
		return connect.Event{}
	}
	return s.store.Log()[i]
}

// What the customer denied by IAM's console stays denied, whatever becomes of our revocation.
func TestTheCustomersRevocationIsNeverTouched(t *testing.T) {
	for _, version := range []string{"1.3.0", "1.4.0"} {
		t.Run(version, func(t *testing.T) {
			s := newRevokedStack(t, version)
			s.revoke()
			s.clock.move(3 * time.Second)
			s.board.policies[consolesPolicy] = "2026-11-21T12:00:03Z"
			s.clock.move(10 * time.Minute)
			s.revoke()
			s.clock.move(66 * time.Minute)
			s.sweep()
			if s.connection().Snapshot().Revocation != nil || s.board.policies[consolesPolicy] != "2026-11-21T12:00:03Z" {
				t.Errorf("policies %v, kept %+v", s.board.policies, s.connection().Snapshot().Revocation)
			}
		})
	}
}

// Lifting puts back what a template declares, and removes what none does.
func TestLiftingRestoresWhatTheTemplateDeclares(t *testing.T) {
	for version, want := range map[string]string{
		"1.4.0": inert, "1.4.1": inert, "1.10.0": inert, "2.0.0": inert,
		"1.3.0": "", "1.3.99": "", "0.9.0": "", "": "", "1.4": "", "1.4.0-rc": "", "99999999999999999999.0.0": "",
	} {
		s := newRevokedStack(t, version)
		s.revoke()
		s.clock.move(66 * time.Minute)
		s.sweep()
		if got := s.board.cutoff(); got != want || s.board.removed != 1 || s.lifted().Data["removed"] != true {
			t.Errorf("%q: the policy is %q, want %q (%v)", version, got, want, s.lifted().Data)
		}
	}
	byHand := newRevoking(t)
	byHand.revoke()
	byHand.clock.move(66 * time.Minute)
	if byHand.sweep(); len(byHand.board.policies) != 0 {
		t.Errorf("a role made by hand keeps %v", byHand.board.policies)
	}
}

// CloudFormation deletes what its template declares; of an older stack the policy is lifted at once, and only then: not by
// whoever says that another stack is deleted.
func TestAStacksDeleteLifts(t *testing.T) {
	older := newRevokedStack(t, "1.3.0")
	older.revoke()
	older.clock.move(10 * time.Minute)
	older.deleted()
	if len(older.board.policies) != 0 || older.newest().Type != connect.EventRevocationLifted {
		t.Errorf("policies %v after %s", older.board.policies, older.newest().Type)
	}
	if fix := older.connection().Snapshot().StatusReason.Fix; !strings.Contains(fix, "DELETE_FAILED") || !strings.Contains(fix, connect.RevocationPolicy) {
		t.Errorf("the page says %q", fix)
	}

	declared := newRevokedStack(t, "1.4.0")
	declared.revoke()
	declared.clock.move(10 * time.Minute)
	want := maps.Clone(declared.board.policies)
	declared.deleted()
	declared.clock.move(2 * time.Hour)
	declared.sweep()
	if !maps.Equal(declared.board.policies, want) || declared.board.removed != 0 || strings.Contains(declared.connection().Snapshot().StatusReason.Fix, "DELETE_FAILED") {
		t.Errorf("lifted %d times: %v", declared.board.removed, declared.board.policies)
	}

	foreign := newRevokedStack(t, "1.3.0")
	foreign.revoke()
	foreign.clock.move(10 * time.Minute)
	r := callback(t, connect.RequestDelete, stackTwo, "x", 9)
	before := foreign.connection().Version()
	if settled(t, foreign.store, r, nil, foreign.clock.now()); foreign.connection().Version() != before {
		t.Errorf("another stack's Delete: %s", foreign.newest().Type)
	}
	if err := foreign.u.LiftForDelete(context.Background(), foreign.connection()); err != nil || foreign.board.removed != 0 {
		t.Errorf("lifted before a Delete (%v)", err)
	}
}

// A connection that the platform deleted first still lets its customer delete the stack.
func TestADeletedConnectionsStackIsDeleted(t *testing.T) {
	s := newRevokedStack(t, "1.3.0")
	s.revoke()
	if err := s.store.Commit(context.Background(), must[connect.Change](t)(s.connection().Delete(s.clock.now(), "ada"))); err != nil {
		t.Fatal(err)
	}
	s.clock.move(10 * time.Minute)
	if s.deleted(); len(s.board.policies) != 0 {
		t.Errorf("the role keeps %v", s.board.policies)
	}
}

// A lift that comes within a second of its revocation has a session that the policy itself denies. It is not given up, however our
// clock goes: the next attempt comes at once.
func TestALiftWithinTheCutoffsSecondIsTriedAgain(t *testing.T) {
	for _, skew := range []time.Duration{0, -2 * time.Minute, 2 * time.Minute} {
		s := newRevokedStack(t, "1.3.0")
		s.revoke()
		s.u.Clock = s.clock.skewed(skew)
		s.clock.move(300 * time.Millisecond)
		s.deleted()
		if s.board.cutoff() == "" || s.newest().Type != connect.EventDisconnected || s.lastDelay() > time.Minute {
			t.Fatalf("skew %s: policies %v after %s, again in %s", skew, s.board.policies, s.newest().Type, s.lastDelay())
		}
		if skew == 0 && s.lastDelay() != 5*time.Second {
			t.Errorf("again in %s", s.lastDelay())
		}
		s.clock.move(5 * time.Second)
		if s.sweep(); s.board.cutoff() != "" || s.newest().Data["removed"] != true {
			t.Errorf("skew %s: policies %v, %s %v", skew, s.board.policies, s.newest().Type, s.newest().Data)
		}
	}
}

// IAM takes seconds to spread what it was told, so that a refusal is final only a minute after the cutoff.
func TestARefusalIsFinalAfterAMinute(t *testing.T) {
	s := newRevokedStack(t, "1.3.0")
	s.revoke()
	s.clock.move(10 * time.Second)
	s.board.refuses = errDenied
	s.deleted()
	if s.newest().Type != connect.EventDisconnected || s.lastDelay() != 5*time.Second {
		t.Fatalf("%s, again in %s", s.newest().Type, s.lastDelay())
	}
	s.clock.move(time.Minute)
	if s.sweep(); s.newest().Type != connect.EventRevocationLifted || s.newest().Data["removed"] != false {
		t.Errorf("%s %v", s.newest().Type, s.newest().Data)
	}
	for after, want := range map[time.Duration]time.Duration{10 * time.Minute: time.Minute, 66 * time.Minute: 15 * time.Minute} {
		s := newRevokedStack(t, "1.3.0")
		s.revoke()
		s.board.refuses = connect.Unavailable(connect.CodeSTSUnavailable, "down", nil)
		s.clock.move(after)
		if s.deleted(); s.lastDelay() != want {
			t.Errorf("%s after the revocation: again in %s, want %s", after, s.lastDelay(), want)
		}
		s.board.refuses = nil
		if s.sweep(); len(s.board.policies) != 0 {
			t.Errorf("%s after the revocation: %v", after, s.board.policies)
		}
	}
}

// A role that answers although its stack was deleted, within the hour in which revoked sessions may live, denies them again: be it
// that the policy was lifted for the Delete, or that CloudFormation deleted it and not the role.
func TestARoleThatOutlivesItsStackDeniesAgain(t *testing.T) {
	for _, version := range []string{"1.3.0", "1.4.0"} {
		for name, tt := range map[string]struct {
			before time.Duration // between the revocation and the Delete
			gone   bool
			want   string
		}{
			"still there":          {10 * time.Minute, false, "2026-11-21T12:00:01Z"},
			"gone":                 {10 * time.Minute, true, ""},
			"after the last ended": {56 * time.Minute, false, ""},
		} {
			t.Run(version+" "+name, func(t *testing.T) {
				s := newRevokedStack(t, version)
				s.revoke()
				s.clock.move(tt.before)
				s.deleted()
				delete(s.board.policies, connect.RevocationPolicy) // by CloudFormation, where not by us
				s.clock.move(5 * time.Minute)
				if tt.gone {
					s.u.Verifier.Assumer = &account{assume: func(connect.AssumeRequest) error { return errDenied }}
				}
				s.sweep()
				if s.board.cutoff() != tt.want {
					t.Fatalf("the policy is %q, want %q: %s", s.board.cutoff(), tt.want, s.types())
				}
				if tt.want == "" {
					return
				}
				if !strings.HasSuffix(s.types(), "role_still_answers sessions_denied") || s.newest().Actor != connect.ActorRolecall ||
					s.newest().Data["policyRemovedAt"] != "2026-11-21T13:05:01Z" {
					t.Errorf("%s %v", s.types(), s.newest().Data)
				}
				s.clock.move(51 * time.Minute)
				if s.sweep(); s.board.cutoff() != "" { // removed, for the template's own has gone with the stack
					t.Errorf("the policy stays %q", s.board.cutoff())
				}
			})
		}
	}
}

// Attaching again is tried until AWS answers, and what is intended is known before it is tried, so that it is lifted in time.
func TestDenyingAgainIsTriedAgain(t *testing.T) {
	s := newRevokedStack(t, "1.3.0")
	s.revoke()
	s.clock.move(10 * time.Minute)
	s.deleted()
	s.clock.move(5 * time.Minute)
	s.board.refuses, s.board.lost = connect.Unavailable(connect.CodeSTSUnavailable, "down", nil), true
	s.sweep()
	if r := s.connection().Snapshot().Revocation; r == nil || !r.Undone || r.LiftAt.IsZero() || s.lastDelay() != time.Minute {
		t.Fatalf("%+v, again in %s", r, s.lastDelay())
	}
	if due := s.connection().DueAt(); due.After(s.clock.now()) {
		t.Errorf("due at %s", due)
	}
	s.board.refuses = nil
	s.clock.move(time.Minute)
	if s.sweep(); s.newest().Type != connect.EventSessionsDenied || s.connection().Snapshot().Revocation.Undone {
		t.Errorf("%s", s.types())
	}
	before := len(s.store.Log())
	if s.sweep(); len(s.store.Log()) != before {
		t.Errorf("denied once more: %s", s.types())
	}
	s.clock.move(66 * time.Minute)
	if s.sweep(); len(s.board.policies) != 0 {
		t.Errorf("the role keeps %v", s.board.policies)
	}
}

// An update to the first template that declares the policy, or back from it, may take a revocation back: it is made again.
func TestAnUpdateDoesNotLift(t *testing.T) {
	for _, c := range [][2]string{{"1.3.0", "1.4.0"}, {"1.4.0", "1.3.0"}} {
		s := newRevokedStack(t, c[0])
		s.revoke()
		s.clock.move(10 * time.Minute)
		want := s.board.cutoff()
		s.board.policies[connect.RevocationPolicy] = inert
		s.says(connect.RequestUpdate, c[1])
		if due := s.connection().DueAt(); due.After(s.clock.now()) {
			t.Errorf("%v: due at %s", c, due)
		}
		if s.sweep(); s.board.cutoff() != want {
			t.Errorf("%v: the policy is %q, want %q", c, s.board.cutoff(), want)
		}
	}
	same := newRevokedStack(t, "1.4.0")
	same.revoke()
	same.clock.move(10 * time.Minute)
	same.says(connect.RequestUpdate, "1.4.1")
	if same.connection().Snapshot().Revocation.Undone {
		t.Error("an update between templates that both declare the policy denies again")
	}
}

// A policy of an earlier version has the name of IAM's own. It is removed where it is, to the letter, what that version wrote; what
// may be the customer's stays, and that is said.
func TestAFormerRevocationIsLifted(t *testing.T) {
	for name, tt := range map[string]struct {
		there   string
		unread  error
		left    string
		removed bool
	}{
		"ours":              {there: "2026-11-21T12:00:01Z", removed: true},
		"gone":              {removed: true},
		"the customer's":    {there: "2026-11-21T12:00:03Z", left: "2026-11-21T12:00:03Z"},
		"cannot be read":    {there: "2026-11-21T12:00:01Z", unread: errDenied, left: "2026-11-21T12:00:01Z"},
		"revoked once more": {there: "2026-11-21T12:00:01Z", removed: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newRevokedStack(t, "1.3.0")
			s.revoke()
			kept := s.connection().Snapshot()
			kept.Revocation.Former = kept.Revocation.Cutoff
			s.store.Put(must[connect.Connection](t)(connect.Restore(kept)))
			clear(s.board.policies)
			if tt.there != "" {
				s.board.policies[consolesPolicy] = tt.there
			}
			if name == "revoked once more" {
				s.clock.move(10 * time.Minute)
				s.revoke()
			}
			s.board.unread = tt.unread
			s.clock.move(66 * time.Minute)
			s.sweep()
			if s.connection().Snapshot().Revocation != nil || s.board.policies[consolesPolicy] != tt.left || s.board.cutoff() != "" {
				t.Fatalf("%s: %v", s.types(), s.board.policies)
			}
			e := s.lifted()
			if said, _ := e.Data["message"].(string); e.Data["removed"] != tt.removed || strings.Contains(said, consolesPolicy) == tt.removed {
				t.Errorf("%v", e.Data)
			}
		})
	}
}

// What is owed to the former role is not forgotten when the connection is opened again.
func TestALaunchKeepsTheRevocation(t *testing.T) {
	s := newRevokedStack(t, "1.3.0")
	s.revoke()
	s.clock.move(10 * time.Minute)
	s.board.refuses = connect.Unavailable(connect.CodeSTSUnavailable, "down", nil)
	s.deleted()
	if err := s.store.Commit(context.Background(), must[connect.Change](t)(s.connection().Launch(s.clock.now(), "ada"))); err != nil {
		t.Fatal(err)
	}
	s.board.refuses = nil
	s.clock.move(time.Minute)
	if s.sweep(); len(s.board.policies) != 0 {
		t.Errorf("the role keeps %v", s.board.policies)
	}
}

// issuedOnce is a store whose timeline has one session, made before any revocation.
type issuedOnce struct {
	*storetest.Memory
}

func (issuedOnce) Events(context.Context, connect.ConnectionID, connect.EventQuery) (connect.Page[connect.Event], error) {
	return connect.Page[connect.Event]{Items: []connect.Event{{Type: connect.EventCredentialsIssued, At: noon, Data: map[string]any{
		"expiresAt": noon.Add(time.Hour).Format(time.RFC3339), "durationSeconds": 3600, "roleArn": roleR1,
	}}}}, nil
}

// A session is told to be denied as long as it is.
func TestSessionsAreDeniedUntilTheLift(t *testing.T) {
	s := newRevokedStack(t, "1.3.0")
	denied := func() bool {
		t.Helper()
		u := connect.Connections{Store: issuedOnce{s.store}, Clock: s.clock.now}
		page, err := u.Sessions(context.Background(), "acme", s.id, connect.EventQuery{})
		if err != nil || len(page.Items) != 1 {
			t.Fatal(page, err)
		}
		return page.Items[0].Denied
	}
	s.revoke()
	if !denied() {
		t.Error("revoked, and yet told to work")
	}
	s.clock.move(10 * time.Minute)
	if s.deleted(); denied() {
		t.Error("lifted, and yet told to be denied")
	}
}
