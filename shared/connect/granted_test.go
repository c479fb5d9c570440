package connect_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

const boundary = "arn:aws:iam::222222222222:policy/Boundary"

// connectedBy12 is a connection whose stack of template 1.2.0 reported read-only.
func connectedBy12(t testing.TB) *world {
	t.Helper()
	w := newWorld(created(t))
	w.receive(t, granting(t, connect.RequestCreate, "r1", 1, "read-only"))
	w.verify(t, true)
	if w.c.Status() != connect.StatusEnabled {
		t.Fatal(w.c.Status())
	}
	return w
}

// granting is a request of template 1.2.0's connection resource.
func granting(t testing.TB, kind connect.RequestType, request string, second int, set connect.Permissions) connect.Callback {
	cb := callback(t, kind, stackOne, request, second)
	cb.TemplateVersion, cb.Grant.Permissions = "1.2.0", set
	return cb
}

// Each row is an update of a connected stack: what the stack is told, and what the connection then says of the role.
func TestWhatAnUpdateGrants(t *testing.T) {
	tests := []struct {
		name    string
		update  func(*connect.Callback, connect.ExternalID)
		code    connect.Code
		set     connect.Permissions
		bound   string
		changes bool
		soon    bool // the role is checked in full once IAM has spread the change
	}{
		{"nothing new", func(*connect.Callback, connect.ExternalID) {}, "", "read-only", "", true, false},
		{"another set", func(cb *connect.Callback, _ connect.ExternalID) { cb.Grant.Permissions = "power-user" }, "", "power-user", "", true, true},
		{"a boundary", func(cb *connect.Callback, _ connect.ExternalID) { cb.Grant.BoundaryARN = boundary }, "", "read-only", boundary, true, true},
		{"a newer template", func(cb *connect.Callback, _ connect.ExternalID) { cb.TemplateVersion = "1.3.0" }, "", "read-only", "", true, true},
		{"back to a template that reports no set", func(cb *connect.Callback, _ connect.ExternalID) {
			cb.TemplateVersion, cb.Grant = "1.1.0", connect.Grant{}
		}, "", "read-only", "", true, true},
		{"the connection's external ID", func(cb *connect.Callback, own connect.ExternalID) { cb.Grant.ExternalID = string(own) }, "", "read-only", "", true, false},
		{"another external ID", func(cb *connect.Callback, own connect.ExternalID) { cb.Grant.ExternalID = string(own.Wrong()) }, connect.CodeExternalIDMismatch, "read-only", "", false, false},
		{"its external ID in other letters", func(cb *connect.Callback, own connect.ExternalID) {
			cb.Grant.ExternalID = strings.ToUpper(string(own))
		}, connect.CodeExternalIDMismatch, "read-only", "", false, false},
		{"a set that is not on offer any more", func(cb *connect.Callback, _ connect.ExternalID) {
			cb.Grant.Permissions, cb.Grant.Withdrawn = connect.PermissionsCustom, true
		}, "", connect.PermissionsCustom, "", true, true},
		{"a set that is not on offer, for a new role", func(cb *connect.Callback, _ connect.ExternalID) {
			cb.RoleARN, cb.Grant.Permissions, cb.Grant.Withdrawn = role(t, roleR2), connect.PermissionsCustom, true
		}, connect.CodePermissionsInvalid, "read-only", "", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := connectedBy12(t)
			cb := granting(t, connect.RequestUpdate, "r2", 2, "read-only")
			tt.update(&cb, w.c.Snapshot().ExternalID)
			d := w.receive(t, cb)
			if d.Reply == nil || d.Reply.OK != (tt.code == "") || d.Reply.Reason.Code != tt.code || d.Changed != tt.changes {
				t.Fatalf("told %+v, changed %t", d.Reply, d.Changed)
			}
			if !d.Reply.OK && d.Reply.Reason.Fix == "" {
				t.Error("no fix")
			}
			s := w.c.Snapshot()
			if s.Status != connect.StatusEnabled || s.Permissions != tt.set || s.Requested != "read-only" || s.Stack.PermissionsBoundaryARN != tt.bound {
				t.Errorf("%s with %s (asked %s) within %q", s.Status, s.Permissions, s.Requested, s.Stack.PermissionsBoundaryARN)
			}
			if soon := s.NextVerificationAt.Equal(w.now.Add(105 * time.Second)); soon != tt.soon {
				t.Errorf("looked at again at %s", s.NextVerificationAt)
			}
		})
	}
}

// The stack's own external ID passes; another one is refused before anything is tried.
func TestAStackReportsItsExternalID(t *testing.T) {
	for _, own := range []bool{true, false} {
		w := newWorld(created(t))
		cb := granting(t, connect.RequestCreate, "r1", 1, "read-only")
		cb.Grant.ExternalID = string(w.c.Snapshot().ExternalID)
		if !own {
			cb.Grant.ExternalID = string(w.c.Snapshot().ExternalID.Wrong())
		}
		d := w.receive(t, cb)
		if own && (d.Reply != nil || len(w.queue) != 1) {
			t.Errorf("its own: %+v, %s", d.Reply, w.c.Status())
		}
		if !own && (d.Reply == nil || d.Reply.Reason.Code != connect.CodeExternalIDMismatch || d.Changed ||
			!strings.Contains(d.Reply.Reason.Fix, string(w.c.Snapshot().ExternalID))) {
			t.Errorf("another: %+v", d.Reply)
		}
	}
}

// An event tells which set and version the role had and has.
func TestTheTimelineTellsOfGrants(t *testing.T) {
	w := connectedBy12(t)
	w.receive(t, granting(t, connect.RequestUpdate, "r2", 2, "power-user"))
	e := w.events[len(w.events)-1]
	if e.Type != connect.EventStackUpdated || e.Data["fromPermissions"] != "read-only" || e.Data["permissions"] != "power-user" || e.Data["from"] != "1.2.0" {
		t.Errorf("%s %v", e.Type, e.Data)
	}
}

// A candidate has the set that was reported with it; the old role keeps its own until the candidate has passed.
func TestACandidateBringsItsSet(t *testing.T) {
	for _, passes := range []bool{true, false} {
		w := connectedBy12(t)
		cb := granting(t, connect.RequestUpdate, "r2", 2, "administrator")
		cb.RoleARN = role(t, roleR2)
		w.receive(t, cb)
		if w.c.Snapshot().Permissions != "read-only" {
			t.Fatalf("%s before the role is proven", w.c.Snapshot().Permissions)
		}
		want := connect.Permissions("administrator")
		if !passes {
			want = "read-only"
		}
		w.verify(t, passes)
		if got := w.c.Snapshot().Permissions; got != want {
			t.Errorf("passes %t: %s, want %s", passes, got, want)
		}
	}
}

// A connection that is launched again asks for what it asked for at first.
func TestALaunchAsksForTheSameSetAgain(t *testing.T) {
	w := connectedBy12(t)
	w.receive(t, granting(t, connect.RequestUpdate, "r2", 2, "administrator"))
	w.receive(t, callback(t, connect.RequestDelete, stackOne, "r3", 3))
	w.commit(t, must[connect.Change](t)(w.c.Launch(w.now, "ada")))
	w.look()
	if s := w.c.Snapshot(); s.Permissions != "read-only" || s.Requested != "read-only" {
		t.Errorf("%s, asks for %s", s.Permissions, s.Requested)
	}
}

// What a record of before 1.2.0 lacks is what it was then.
func TestRecordsOfBeforeGrantsWereKept(t *testing.T) {
	s := created(t).Snapshot()
	s.Requested = ""
	if got := must[connect.Connection](t)(connect.Restore(s)).Snapshot().Requested; got != "read-only" {
		t.Errorf("asks for %q", got)
	}
}

// After an update that changed the set, the next look is a full one, against the new set; then all is as usual.
func TestAChangedSetIsCheckedSoon(t *testing.T) {
	w := connectedBy12(t)
	w.receive(t, granting(t, connect.RequestUpdate, "r2", 2, "power-user"))
	at := w.c.DueAt()
	a := &account{assume: func(r connect.AssumeRequest) error {
		if r.ExternalID == w.c.Snapshot().ExternalID {
			return nil
		}
		return errDenied
	}, trust: platform().TrustPolicy(w.c.Snapshot().ExternalID)}
	store := storetest.New(w.c)
	out := &outbox{}
	clock := func() time.Time { return at }
	u := connect.Verifications{
		Store: store, Jobs: out, Sweeps: out, Answerer: out, Clock: clock, Jitter: func() float64 { return 0 }, Interval: 24 * time.Hour,
		Verifier: connect.Verifier{Platform: platform(), Assumer: a, Inspector: a, Clock: clock, Expects: map[connect.Permissions]connect.Expectation{
			"read-only":  {Policies: []string{"ReadOnlyAccess"}, Actions: []string{"ec2:DescribeInstances"}},
			"power-user": {Policies: []string{"PowerUserAccess"}, Actions: []string{"ec2:RunInstances"}},
		}},
	}
	if err := u.Sweep(context.Background(), w.c.ID()); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(a.actions) != "[[ec2:RunInstances]]" {
		t.Errorf("asked about %v", a.actions)
	}
	if s := store.Get(w.c.ID()).Snapshot(); !s.NextVerificationAt.IsZero() || s.Status != connect.StatusEnabled || !s.LastVerifiedAt.Equal(at) {
		t.Errorf("%s, next at %s, last at %s", s.Status, s.NextVerificationAt, s.LastVerifiedAt)
	}

	a.rules = map[string]connect.Ruling{"ec2:RunInstances": connect.RulingMissing}
	store = storetest.New(w.c)
	u.Store = store
	if err := u.Sweep(context.Background(), w.c.ID()); err != nil {
		t.Fatal(err)
	}
	if s := store.Get(w.c.ID()).Snapshot(); s.Strikes != 1 || s.StatusReason.Code != connect.CodePermissionsMissing {
		t.Errorf("%d strikes, %+v", s.Strikes, s.StatusReason)
	}
}

// The permission set is read to the letter, and from the connection's resource alone.
func TestSetsOnOffer(t *testing.T) {
	for set, code := range map[string]connect.Code{
		"": "", "read-only": "", "power-user": "", "Read-Only": connect.CodePermissionsInvalid, "read-only ": connect.CodePermissionsInvalid,
		"administrator": connect.CodePermissionsInvalid, "custom": connect.CodePermissionsInvalid, "*": connect.CodePermissionsInvalid,
	} {
		st := newStage(created(t))
		cb := callback(t, connect.RequestCreate, stackOne, "r1", 1)
		cb.Grant.Permissions = connect.Permissions(set)
		var got connect.Code
		if r := st.receive(t, cb); r != nil {
			got = r.Reason.Code
		}
		if got != code {
			t.Errorf("%q was told %q, want %q", set, got, code)
		}
		cb.Type, cb.RequestID = connect.RequestDelete, "r2"
		if r := st.receive(t, cb); !r.OK {
			t.Errorf("%q stands in the way of a delete", set)
		}
	}
}

// tokens verifies launch 1's token.
type tokens struct{}

func (tokens) Token(context.Context, connect.ConnectionID, int) (connect.Secret, error) {
	return connect.NewSecret("1"), nil
}

func (tokens) Launch(context.Context, connect.ConnectionID, connect.Secret) (int, error) {
	return 1, nil
}

// All orders of seven reports, template changes and refused ones among them, end with what the newest one granted.
func TestEveryOrderOfSevenGrants(t *testing.T) {
	old := callback(t, connect.RequestCreate, stackOne, "r1", 1)
	old.TemplateVersion = "1.1.0"
	moved := granting(t, connect.RequestUpdate, "r3", 30, "administrator")
	moved.RoleARN = role(t, roleR2)
	foreign := granting(t, connect.RequestUpdate, "r4", 40, "power-user")
	foreign.Grant.ExternalID = "somebody-elses"
	back := granting(t, connect.RequestUpdate, "r5", 50, "read-only")
	last := granting(t, connect.RequestUpdate, "r6", 60, "power-user")
	last.Grant.BoundaryARN = boundary
	life := []connect.Callback{
		started(t, connect.RequestCreate, stackOne, "s1", 0), old, granting(t, connect.RequestUpdate, "r2", 20, "power-user"),
		moved, foreign, back, last,
	}
	orders := 0
	permute(life, func(order []connect.Callback) {
		orders++
		w := newWorld(created(t))
		for _, cb := range order {
			w.receive(t, cb)
			w.verify(t, true)
		}
		s := w.c.Snapshot()
		if s.Status != connect.StatusEnabled || s.RoleARN != last.RoleARN || s.Permissions != "power-user" || s.Verification != nil ||
			s.Stack.TemplateVersion != "1.2.0" || s.Stack.PermissionsBoundaryARN != boundary {
			t.Fatalf("%s, %s with %s, %+v after %v", s.Status, s.RoleARN, s.Permissions, s.Stack, names(order))
		}
	})
	if orders != 5040 {
		t.Fatalf("%d orders", orders)
	}
}

// Whatever a stack reports, in whatever order and however often: what the newest report granted is what stands.
func TestTheNewestGrantWins(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		sets := []connect.Permissions{"", "read-only", "power-user", "administrator", connect.PermissionsCustom}
		var reports []connect.Callback
		for i := range 5 {
			cb := callback(t, connect.RequestUpdate, stackOne, fmt.Sprint("r", i), 10*i)
			cb.RoleARN = role(t, fmt.Sprintf("arn:aws:iam::222222222222:role/R%d", rapid.IntRange(0, 1).Draw(rt, "role")))
			cb.Grant.Permissions = rapid.SampledFrom(sets).Draw(rt, "set")
			cb.TemplateVersion = rapid.SampledFrom([]string{"1.1.0", "1.2.0"}).Draw(rt, "version")
			cb.Grant.PolicyDigest = rapid.SampledFrom([]string{"", earlierPolicy, currentPolicy}).Draw(rt, "policy")
			reports = append(reports, cb)
		}
		reports[0].Type = connect.RequestCreate
		w := newWorld(created(t))
		for _, cb := range rapid.Permutation(append(reports, reports...)).Draw(rt, "order") {
			w.receive(t, cb)
			if rapid.Bool().Draw(rt, "verified meanwhile") {
				w.verify(t, true)
			}
		}
		w.verify(t, true)
		newest, s := reports[4], w.c.Snapshot()
		want := newest.Grant.Permissions
		if want == "" {
			want = s.Requested
		}
		if s.RoleARN != newest.RoleARN || s.Permissions != want || s.PolicyDigest != newest.Grant.PolicyDigest || s.Stack.TemplateVersion != newest.TemplateVersion {
			rt.Fatalf("ended with %s, %s of %s; want %s, %s of %s", s.RoleARN, s.Permissions, s.Stack.TemplateVersion, newest.RoleARN, want, newest.TemplateVersion)
		}
	})
}

// A refusal has the connection looked at, once in five minutes however many ask; what the queue did not take is asked again.
func TestRefusalsAreLookedInto(t *testing.T) {
	now := noon
	out := &outbox{}
	r := &connect.Rechecks{Jobs: out, Clock: func() time.Time { return now }}
	ask := func() error { return r.Refused(context.Background(), "conn_a") }
	for range 10 {
		if err := ask(); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Refused(context.Background(), "conn_b"); err != nil {
		t.Fatal(err)
	}
	now = now.Add(5 * time.Minute)
	_ = ask()
	if got := fmt.Sprint(out.sweeps); got != "[conn_a conn_b conn_a]" {
		t.Errorf("looked at %s", got)
	}
	down := &connect.Rechecks{Jobs: broken{}, Clock: func() time.Time { return now }}
	for range 2 {
		if err := down.Refused(context.Background(), "conn_a"); err == nil {
			t.Error("a queue that is down was not told of")
		}
	}
}

type broken struct{}

func (broken) Sweep(context.Context, []connect.ConnectionID, time.Duration) error {
	return errors.New("down")
}

// Only a refusal by the customer's account is looked into, and the caller is told the same as ever.
func TestIssuingTellsOfRefusals(t *testing.T) {
	for _, tt := range []struct {
		err    error
		looked int
		code   connect.Code
	}{{errDenied, 1, connect.CodeRoleNotAssumable}, {connect.Unavailable(connect.CodeSTSUnavailable, "throttled", nil), 0, connect.CodeSTSUnavailable}} {
		c := in(t, connect.StatusEnabled)
		out := &outbox{}
		held := storetest.New(c)
		issue := connect.Issuing{Clock: func() time.Time { return noon }, Store: held, Sessions: connect.SessionMaker{
			Store: held, Assumer: &account{assume: func(connect.AssumeRequest) error { return tt.err }},
			Clock: func() time.Time { return noon }, EventID: func() string { return "e" },
			Refusals: &connect.Rechecks{Jobs: out, Clock: func() time.Time { return noon }},
		}}
		_, err := issue.Issue(context.Background(), connect.IssueRequest{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(c.ID()), Caller: "svc"})
		var e *connect.Error
		if !errors.As(err, &e) || e.Code != tt.code || len(out.sweeps) != tt.looked {
			t.Errorf("%v: told %v, looked %d times", tt.err, err, len(out.sweeps))
		}
	}
}
