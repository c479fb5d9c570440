package storetest

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// reads checks that the connection is read as it was committed, but for what is no store's to keep.
func reads(t testing.TB, s Store, want connect.Connection) {
	t.Helper()
	got, err := s.Connection(t.Context(), want.ID())
	if err != nil {
		t.Fatal(err)
	}
	committed, read := kept(want.Snapshot()), got.Snapshot()
	if !reflect.DeepEqual(committed, read) {
		t.Errorf("%s is read otherwise:\n%s", want.Status(), Dump{"it": committed}.Diff(Dump{"it": read}))
	}
	happened(t, s, want)
}

// happened holds that each change of a connection has its event.
func happened(t testing.TB, s Store, c connect.Connection) {
	t.Helper()
	page, err := s.Events(t.Context(), c.ID(), connect.EventQuery{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	told := map[int64]bool{}
	for _, e := range page.Items {
		told[e.Sequence] = true
	}
	for version := int64(1); version <= c.Version(); version++ {
		if !told[version] {
			t.Errorf("change %d has no event", version)
		}
	}
}

// TestWhatIsCommittedIsRead drives connections through all that a record can have.
func TestWhatIsCommittedIsRead(t *testing.T, s Store) {
	c := Commit(t, s, Create(t, "acme", "Production"), nil)
	reads(t, s, c)
	ch, err := c.ReportRole(Role(t, roleOne), Noon.Add(time.Second), "ada")
	c = Commit(t, s, ch, err)
	reads(t, s, c)
	v, _ := c.Trial()
	unknown := Good(Noon)
	unknown.Checks[0].Verdict, unknown.Checks[0].Reason = connect.Unknown, connect.Reason{Code: connect.CodeSTSUnavailable, Message: "down"}
	ch, err = c.Tried(v.Run, 0, unknown, 0.5, Noon.Add(2*time.Second))
	c = Commit(t, s, ch, err)
	reads(t, s, c)
	ch, err = c.Tried(v.Run, 1, Good(Noon), 0, Noon.Add(5*time.Second))
	c = Commit(t, s, ch, err)
	reads(t, s, c)
	ch, err = c.ReportRole(Role(t, roleTwo), Noon.Add(time.Hour), "ada") // a candidate
	c = Commit(t, s, ch, err)
	reads(t, s, c)
	byStack := Commit(t, s, Create(t, "acme", "Of a stack"), nil)
	settle(t, s, connect.Callback{
		Type: connect.RequestCreate, Resource: connect.ResourceConnection, StackID: stackOf(t, stackID), LogicalID: "Connection", RequestID: "r1",
		ConnectionID: byStack.ID(), TokenValid: true, Launch: 1, RoleARN: Role(t, "arn:aws:iam::222222222222:role/Three"), TemplateVersion: "1.2.0",
		SignedAt: Noon, SentAt: Noon,
		Grant: connect.Grant{Permissions: "custom", PolicyDigest: "0123456789abcdef", BoundaryARN: "arn:aws:iam::222222222222:policy/Boundary"},
	}, &connect.ReportVerdict{Reply: connect.Reply{OK: true}, Open: true})
	byStack, err = s.Connection(t.Context(), byStack.ID())
	if v, running := byStack.Trial(); err != nil || !running || !v.FromStack || byStack.Snapshot().Stack.ReportID != "Connection" || byStack.Snapshot().Stack.Launch != 1 {
		t.Fatalf("%+v, %v", byStack.Snapshot(), err)
	}
	v, _ = byStack.Trial()
	ch, err = byStack.Tried(v.Run, 0, Good(Noon), 0, Noon.Add(time.Minute)) // which the stack's record names
	byStack = Commit(t, s, ch, err)
	reads(t, s, byStack)
	reads(t, s, Commit(t, s, Rescoped(t, byStack, nil, "organization", "project p"), nil))
	ch, err = c.Delete(Noon.Add(2*time.Hour), "ada")
	reads(t, s, Commit(t, s, ch, err))
}

// settle commits what a stack's request leads to whose answer was taken.
func settle(t testing.TB, s Store, r connect.Callback, v *connect.ReportVerdict) {
	t.Helper()
	u := connect.Settling{Store: s, Jobs: &arena{}, Random: crand.Reader, Clock: func() time.Time { return Noon.Add(time.Minute) }}
	if err := u.Settle(t.Context(), r, v); err != nil {
		t.Fatal(err)
	}
}

func stackOf(t testing.TB, arn string) connect.StackID {
	t.Helper()
	id, err := connect.ParseStackID(arn)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestARevocationIsKept until it is lifted.
func TestARevocationIsKept(t *testing.T, s Store) {
	c := Enabled(t, s, "acme", "one", roleOne)
	ch, err := c.Revoke(Noon.Add(time.Hour), "ada")
	Commit(t, s, ch, err)
	read, err := s.Connection(t.Context(), c.ID())
	if err != nil {
		t.Fatal(err)
	}
	want := connect.Revocation{At: Noon.Add(time.Hour), RoleARN: c.Snapshot().RoleARN, LiftAt: Noon.Add(2*time.Hour + 5*time.Minute)}
	if got := read.Snapshot().Revocation; got == nil || *got != want {
		t.Errorf("kept %v, want %v", got, want)
	}
	full := read.Snapshot()
	want = connect.Revocation{
		At: Noon, RoleARN: want.RoleARN, Cutoff: Noon.Add(time.Second), LiftAt: Noon.Add(time.Hour), Undone: true, Former: Noon.Add(-time.Minute),
	}
	full.Revocation = &want
	restored, err := connect.Restore(full)
	if err != nil {
		t.Fatal(err)
	}
	ch, err = restored.Delete(Noon.Add(2*time.Hour), "ada")
	Commit(t, s, ch, err)
	if read, err = s.Connection(t.Context(), c.ID()); err != nil || *read.Snapshot().Revocation != want {
		t.Errorf("kept %v, %v, want %v", read.Snapshot().Revocation, err, want)
	}
}

// TestNobodysConnection is not found, whoever looks.
func TestNobodysConnection(t *testing.T, s Store) {
	const id = "conn_00000000000000000000000000"
	if _, err := s.Connection(t.Context(), id); !errors.Is(err, connect.ErrNotFound) {
		t.Error(err)
	}
	if _, err := s.Bare(t.Context(), id); !errors.Is(err, connect.ErrNotFound) {
		t.Error(err)
	}
	if _, _, err := s.ConnectionAndFence(t.Context(), id, connect.StackID{}); !errors.Is(err, connect.ErrNotFound) {
		t.Error(err)
	}
}

// TestConflict has of two changes decided upon the same version one committed, and nothing of the other.
func TestConflict(t *testing.T, s Store) {
	ctx := t.Context()
	c := Commit(t, s, Create(t, "acme", "Production"), nil)
	first, err := c.ReportRole(Role(t, roleOne), Noon, "ada")
	second, err2 := c.ReportRole(Role(t, roleTwo), Noon, "bob")
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	Commit(t, s, first, nil)
	if err := s.Commit(ctx, second); !errors.Is(err, connect.ErrConflict) {
		t.Fatalf("the second: %v", err)
	}
	if err := s.Commit(ctx, first); !errors.Is(err, connect.ErrConflict) {
		t.Fatalf("the first once more: %v", err)
	}
	events, err := s.Events(ctx, c.ID(), connect.EventQuery{Limit: 10})
	if err != nil || len(events.Items) != 2 || events.Items[0].Actor != "ada" {
		t.Errorf("%d events, %v", len(events.Items), err)
	}
	other := Commit(t, s, Create(t, "acme", "Other"), nil)
	ch, err := other.ReportRole(Role(t, roleTwo), Noon, "bob") // the loser reserved nothing
	Commit(t, s, ch, err)
	if err := s.Commit(ctx, renamed(t, Create(t, "acme", "Never made").Connection(), "Never")); !errors.Is(err, connect.ErrConflict) {
		t.Errorf("a change of what is not there: %v", err)
	}
}

// TestARefusedChangeChangesNothing whatever refuses it, and however much of it could have been.
func TestARefusedChangeChangesNothing(t *testing.T, s Store) {
	ctx := t.Context()
	Commit(t, s, Create(t, "acme", "Taken").Idempotent(&connect.Idempotency{Key: "k", Request: "a"}), nil)
	scoped(t, s, "acme", "Holder", "organization")
	fresh := func(name string, scopes ...string) connect.Change {
		return connect.Create(connect.NewConnection{
			TenantID: "acme", Name: connect.Name(name), Partition: "aws", DefaultRegion: "eu-west-1", Permissions: "read-only", By: "ada",
			Scopes: Scopes(scopes...),
		}, newID(t), connect.NewExternalID(), Noon)
	}
	for what, one := range map[string]struct {
		change connect.Change
		want   error
	}{
		"a name that is taken":   {fresh("Taken", "project p").Idempotent(&connect.Idempotency{Key: "n", Request: "n"}), connect.ErrNameTaken},
		"a scope that is taken":  {fresh("Free", "organization", "project p"), &connect.Error{Code: connect.CodeScopeTaken}},
		"a key that was used":    {fresh("Free", "project p").Idempotent(&connect.Idempotency{Key: "k", Request: "b"}), connect.ErrIdempotencyReused},
		"a key, before the name": {fresh("Taken", "project p").Idempotent(&connect.Idempotency{Key: "k", Request: "b"}), connect.ErrIdempotencyReused},
		"a name before a scope":  {fresh("Taken", "organization"), connect.ErrNameTaken},
	} {
		if err := s.Commit(ctx, one.change); !errors.Is(err, one.want) {
			t.Errorf("%s: %v", what, err)
		}
		id := one.change.Connection().ID()
		if _, err := s.Connection(ctx, id); !errors.Is(err, connect.ErrNotFound) {
			t.Errorf("%s: the connection: %v", what, err)
		}
		if page, err := s.Events(ctx, id, connect.EventQuery{Limit: 10}); err != nil || len(page.Items) != 0 {
			t.Errorf("%s: %d events, %v", what, len(page.Items), err)
		}
	}
	if held := holder(t, s, "acme", "project p"); held != "" {
		t.Errorf("what was refused has a scope: %s", held)
	}
	Commit(t, s, fresh("Free"), nil)
	if err := s.Replay(ctx, "acme", connect.Idempotency{Key: "n", Request: "n"}); err != nil {
		t.Errorf("what was refused used its key up: %v", err)
	}
}

// TestACanceledCaller is told so, and nothing takes effect.
func TestACanceledCaller(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ch := Create(t, "acme", "Too late")
	if err := s.Commit(ctx, ch); !errors.Is(err, context.Canceled) {
		t.Errorf("commit: %v", err)
	}
	if _, err := s.Connection(ctx, ch.Connection().ID()); !errors.Is(err, context.Canceled) {
		t.Errorf("read: %v", err)
	}
	if _, err := s.Connection(t.Context(), ch.Connection().ID()); !errors.Is(err, connect.ErrNotFound) {
		t.Errorf("what was canceled was done: %v", err)
	}
}

// TestTimeOfCheck is shown with the connection, and changes nothing of it.
func TestTimeOfCheck(t *testing.T, s Store) {
	ctx := t.Context()
	c := Enabled(t, s, "acme", "one", roleOne)
	at := Noon.Add(24 * time.Hour)
	for _, when := range []time.Time{Noon.Add(-time.Hour), at} {
		if err := s.RecordCheck(ctx, c.ID(), when); err != nil {
			t.Fatal(err)
		}
		want := c.Snapshot().LastVerifiedAt
		if when.After(want) {
			want = when
		}
		got, err := s.Connection(ctx, c.ID())
		if err != nil || !got.Snapshot().LastVerifiedAt.Equal(want) || got.Version() != c.Version() {
			t.Errorf("%s, version %d, %v", got.Snapshot().LastVerifiedAt, got.Version(), err)
		}
	}
	bare, err := s.Bare(ctx, c.ID())
	if err != nil || !bare.Snapshot().LastVerifiedAt.Equal(c.Snapshot().LastVerifiedAt) || bare.Version() != c.Version() {
		t.Errorf("bare: %s, version %d, %v", bare.Snapshot().LastVerifiedAt, bare.Version(), err)
	}
	scope := Rescoped(t, c, nil, "organization")
	Commit(t, s, scope, nil)
	held, err := s.Scoped(ctx, "acme", Scopes("organization"))
	if got := held[Scopes("organization")[0]].Snapshot(); err != nil || !got.LastVerifiedAt.Equal(at) {
		t.Errorf("by its scope: %s, %v", got.LastVerifiedAt, err)
	}
}

// TestFences are each stack's own, of each connection.
func TestFences(t *testing.T, s Store) {
	ctx := t.Context()
	c, other := Commit(t, s, Create(t, "acme", "one"), nil), Commit(t, s, Create(t, "acme", "two"), nil)
	id := stackOf(t, stackID)
	cb := connect.Callback{
		Type: connect.RequestCreate, Resource: connect.ResourceStackStarted, StackID: id, LogicalID: "StackStarted", RequestID: "r1",
		ConnectionID: c.ID(), TokenValid: true, Launch: 1, SignedAt: Noon.Add(time.Minute), SentAt: Noon.Add(time.Minute + 123*time.Millisecond),
	}
	_, f, err := s.ConnectionAndFence(ctx, c.ID(), id)
	if err != nil || f.Deleted || len(f.Seen) != 0 {
		t.Fatalf("before: %+v %v", f, err)
	}
	settle(t, s, cb, nil)
	got, f, err := s.ConnectionAndFence(ctx, c.ID(), id)
	seen := f.Seen["StackStarted"]
	if err != nil || f.Deleted || !f.Proven || seen.RequestID != "r1" || !seen.SentAt.Equal(cb.SentAt) || !seen.SignedAt.Equal(cb.SignedAt) || f.StackID != id {
		t.Errorf("after: %+v %v", f, err)
	}
	if got.Snapshot().Stack.ID != id {
		t.Errorf("bound to %s", got.Snapshot().Stack.ID)
	}
	cb.Type, cb.RequestID, cb.SignedAt = connect.RequestDelete, "r2", Noon.Add(2*time.Minute)
	settle(t, s, cb, nil)
	if got, f, err = s.ConnectionAndFence(ctx, c.ID(), id); err != nil || !f.Deleted || got.Status() != connect.StatusDisconnected {
		t.Errorf("deleted: %+v, %s, %v", f, got.Status(), err)
	}
	if _, f, err := s.ConnectionAndFence(ctx, other.ID(), id); err != nil || f.Deleted {
		t.Errorf("another connection's: %+v %v", f, err)
	}
	if _, f, err := s.ConnectionAndFence(ctx, c.ID(), stackOf(t, stackID+"b")); err != nil || f.Deleted {
		t.Errorf("another stack's: %+v %v", f, err)
	}
}

// TestAFenceOfAStackThatIsNotBound is kept beside the connection, which stays as it is.
func TestAFenceOfAStackThatIsNotBound(t *testing.T, s Store) {
	c, id := Commit(t, s, Create(t, "acme", "one"), nil), stackOf(t, stackID)
	for _, until := range []time.Time{Noon.Add(24 * time.Hour), {}} {
		f := connect.Fence{StackID: id, Proven: true, Deleted: true, Seen: map[string]connect.Seen{"Connection": {RequestID: "r1", SignedAt: Noon, SentAt: Noon}}}
		if err := s.KeepFence(t.Context(), c.ID(), f, until); err != nil {
			t.Fatal(err)
		}
		got, kept, err := s.ConnectionAndFence(t.Context(), c.ID(), id)
		if err != nil || !kept.Deleted || kept.Seen["Connection"].RequestID != "r1" || got.Version() != c.Version() {
			t.Errorf("%+v, version %d, %v", kept, got.Version(), err)
		}
	}
	f := connect.Fence{StackID: id, Deleted: true}
	if err := s.KeepFence(t.Context(), c.ID(), f, Noon.Add(24*time.Hour)); !errors.Is(err, connect.ErrConflict) {
		t.Errorf("what is known of a stack is overwritten as if nothing were: %v", err)
	}
	// What was decided before that, as if the stack were there, is not committed.
	planned := &planning{Store: New(c)}
	u := connect.Settling{Store: planned, Jobs: &arena{}, Random: crand.Reader, Clock: atNoon}
	if err := u.Settle(t.Context(), connect.Callback{
		Type: connect.RequestCreate, Resource: connect.ResourceStackStarted, StackID: id, LogicalID: "StackStarted", RequestID: "s1", ConnectionID: c.ID(),
		TokenValid: true, Launch: 1, SignedAt: Noon, SentAt: Noon,
	}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), *planned.change); !errors.Is(err, connect.ErrConflict) {
		t.Errorf("a stack that is gone is bound: %v", err)
	}
}

// planning is a store that is told of a change instead of committing it.
type planning struct {
	Store
	change *connect.Change
}

func (p *planning) Commit(_ context.Context, ch connect.Change) error {
	p.change = &ch
	return nil
}

// TestIdempotencyKeys tell a repetition from another request.
func TestIdempotencyKeys(t *testing.T, s Store) {
	ctx := t.Context()
	key := func(request string) *connect.Idempotency {
		return &connect.Idempotency{Key: "k1", Request: request, ExpiresAt: Noon.Add(24 * time.Hour)}
	}
	if err := s.Replay(ctx, "acme", *key("a")); err != nil {
		t.Errorf("never used: %v", err)
	}
	c := Commit(t, s, Create(t, "acme", "one").Idempotent(key("a")), nil)
	var done *connect.AlreadyDone
	if err := s.Commit(ctx, Create(t, "acme", "one").Idempotent(key("a"))); !errors.As(err, &done) || done.ID != c.ID() {
		t.Errorf("repeated: %v", err)
	}
	if err := s.Commit(ctx, Create(t, "acme", "two").Idempotent(key("b"))); !errors.Is(err, connect.ErrIdempotencyReused) {
		t.Errorf("used for something else: %v", err)
	}
	if err := s.Replay(ctx, "acme", *key("a")); !errors.As(err, &done) || done.ID != c.ID() {
		t.Errorf("looked up: %v", err)
	}
	if err := s.Replay(ctx, "acme", *key("b")); !errors.Is(err, connect.ErrIdempotencyReused) {
		t.Errorf("looked up for something else: %v", err)
	}
	Commit(t, s, Create(t, "other", "one").Idempotent(key("b")), nil)
	e := enrolments(s, Noon)
	r := connect.EnrolRequest{Filter: connect.Unrestricted(), Tenant: "acme", By: "ada", OrganizationID: "o-a1b2c3d4e5", Units: []string{"r-ab12"}, Idempotency: key("e")}
	r.Idempotency.Key = "k2"
	first, err := e.Create(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := e.Create(ctx, r); err != nil || again.ID() != first.ID() {
		t.Errorf("an enrolment once more: %s, then %s, %v", first.ID(), again.ID(), err)
	}
	if err := s.Replay(ctx, "acme", *r.Idempotency); !errors.As(err, &done) || string(done.ID) != string(first.ID()) {
		t.Errorf("looked up: %v", err)
	}
}

func goodKeys(at time.Time) connect.Outcome {
	o := connect.Outcome{Method: connect.MethodAccessKey, Account: "222222222222", At: at, Regions: []connect.Region{"eu-west-1"}}
	for _, n := range []connect.CheckName{connect.CheckKeys, connect.CheckRegions} {
		o.Checks = append(o.Checks, connect.Check{Name: n, Verdict: connect.Passed, At: at})
	}
	return o
}

// byKey makes a connection by access key: two events and two versions in one change.
func byKey(t testing.TB, tenant connect.TenantID, name connect.Name, key connect.AccessKey) connect.Change {
	t.Helper()
	return connect.CreateWithKeys(connect.NewConnection{
		TenantID: tenant, Name: name, Partition: "aws", DefaultRegion: "eu-west-1", Permissions: "read-only", AccountID: "222222222222", By: "ada",
	}, newID(t), connect.NewExternalID(), key, goodKeys(Noon), Noon)
}

// TestAKeyConnectionIsReadAsCommitted when it is stored with what is sealed, rotated, reported as old, upgraded and deleted;
// what replaces a key leaves nothing of it.
func TestAKeyConnectionIsReadAsCommitted(t *testing.T, s Store) {
	ctx := t.Context()
	has := func(c connect.Connection, sealed connect.Sealed) {
		t.Helper()
		reads(t, s, c)
		if k := c.Snapshot().AccessKey; (k == nil) != (sealed == "") || (k != nil && k.Sealed != sealed) {
			t.Fatalf("key %v, want %q", k, sealed)
		}
	}
	first := connect.AccessKey{ID: "AKIAEXAMPLEEXAMPLE01", Sealed: "sealed one", SetAt: Noon}
	c := Commit(t, s, byKey(t, "acme", "By key", first), nil)
	has(c, first.Sealed)
	page, err := s.Events(ctx, c.ID(), connect.EventQuery{Limit: 10})
	if err != nil || len(page.Items) != 2 || page.Items[0].Type != connect.EventEnabled || page.Items[1].Type != connect.EventCreated {
		t.Errorf("%+v %v", page.Items, err)
	}
	if err := s.Commit(ctx, byKey(t, "acme", "By KEY", first)); !errors.Is(err, connect.ErrNameTaken) {
		t.Errorf("the name once more: %v", err)
	}

	old, ok := c.KeysOld(24*time.Hour, Noon.Add(48*time.Hour))
	if !ok {
		t.Fatal("not old")
	}
	c = Commit(t, s, old, nil)
	has(c, first.Sealed)

	end := Noon.Add(50 * time.Hour)
	second := connect.AccessKey{ID: "ASIAEXAMPLEEXAMPLE02", Sealed: "sealed two", SetAt: Noon.Add(49 * time.Hour), ExpiresAt: end}
	rotate, err := c.RotateKeys(second, goodKeys(second.SetAt), "ada", second.SetAt)
	rotated := Commit(t, s, rotate, err)
	has(rotated, second.Sealed)
	stale, err := c.RotateKeys(first, goodKeys(Noon), "ada", Noon)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(ctx, stale); !errors.Is(err, connect.ErrConflict) {
		t.Errorf("a rotation of what was there before: %v", err)
	}
	has(rotated, second.Sealed)
	looked := func(at time.Time) {
		t.Helper()
		due, err := s.Due(ctx, at, "")
		if err != nil || len(due.Items) != 1 || due.Items[0] != c.ID() {
			t.Errorf("at %s nobody looks at it: %+v %v", at, due, err)
		}
	}
	told := end.Add(-15 * time.Minute)
	looked(told)
	ending, ok := rotated.KeysEnding(told)
	if !ok {
		t.Fatal("its end is not told")
	}
	rotated = Commit(t, s, ending, nil)
	has(rotated, second.Sealed)
	looked(end)

	candidate, err := rotated.ReportRole(Role(t, roleOne), Noon.Add(49*time.Hour), "ada")
	c = Commit(t, s, candidate, err)
	has(c, second.Sealed)
	v, _ := c.Trial()
	upgrade, err := c.Tried(v.Run, v.Attempt, Good(Noon), 0, Noon.Add(49*time.Hour))
	c = Commit(t, s, upgrade, err)
	has(c, "")
	if c.Snapshot().Method != connect.MethodRole || c.Status() != connect.StatusEnabled {
		t.Errorf("%+v", c.Snapshot())
	}

	other := Commit(t, s, byKey(t, "globex", "By key", first), nil) // another tenant's name
	gone, err := other.Delete(Noon.Add(time.Minute), "ada")
	has(Commit(t, s, gone, err), "")
}

// TestNamesAreReservedForEver within their tenant, however they are written.
func TestNamesAreReservedForEver(t *testing.T, s Store) {
	ctx := t.Context()
	c := Commit(t, s, Create(t, "acme", "Straße ①"), nil)
	for _, same := range []string{"Straße ①", "STRASSE 1", "strasse 1", "Straße 1"} {
		if err := s.Commit(ctx, Create(t, "acme", same)); !errors.Is(err, connect.ErrNameTaken) {
			t.Errorf("%q: %v", same, err)
		}
	}
	ch, err := c.Delete(Noon, "ada")
	Commit(t, s, ch, err)
	if err := s.Commit(ctx, Create(t, "acme", "straße 1")); !errors.Is(err, connect.ErrNameTaken) {
		t.Errorf("after deletion: %v", err)
	}
	Commit(t, s, Create(t, "other", "Straße ①"), nil)
	Commit(t, s, Create(t, "acme", "Strasse 2"), nil)
}

// TestRenaming reserves the new name and keeps the old one: nobody else ever gets either, and the connection may go back.
func TestRenaming(t *testing.T, s Store) {
	ctx := t.Context()
	c := Commit(t, s, Create(t, "acme", "First"), nil)
	d := Commit(t, s, Create(t, "acme", "Other"), nil)
	c = Commit(t, s, renamed(t, c, "Second"), nil)
	for _, name := range []string{"First", "FIRST", "second"} {
		if err := s.Commit(ctx, Create(t, "acme", name)); !errors.Is(err, connect.ErrNameTaken) {
			t.Errorf("a new connection named %s: %v", name, err)
		}
		if err := s.Commit(ctx, renamed(t, d, name)); !errors.Is(err, connect.ErrNameTaken) {
			t.Errorf("another one renamed to %s: %v", name, err)
		}
	}
	if err := s.Commit(ctx, renamed(t, c, "other")); !errors.Is(err, connect.ErrNameTaken) {
		t.Errorf("renamed to another one's name: %v", err)
	}
	read, err := s.Connection(ctx, c.ID())
	if err != nil || read.Snapshot().Name != "Second" || read.Version() != 2 {
		t.Errorf("%s, version %d, %v: what was refused changed something", read.Snapshot().Name, read.Version(), err)
	}
	c = Commit(t, s, renamed(t, c, "SECOND"), nil) // its own in other letters
	c = Commit(t, s, renamed(t, c, "First"), nil)  // and back
	page, err := s.Connections(ctx, "acme", connect.ListQuery{Limit: 10, Contains: "first"})
	if err != nil || len(page.Items) != 1 || page.Items[0].ID() != c.ID() {
		t.Errorf("found by its name now: %d, %v", len(page.Items), err)
	}
	ch, err := c.Delete(Noon, "ada")
	Commit(t, s, ch, err)
	for _, name := range []string{"First", "Second"} {
		if err := s.Commit(ctx, Create(t, "acme", name)); !errors.Is(err, connect.ErrNameTaken) {
			t.Errorf("%s after deletion: %v", name, err)
		}
	}
	Commit(t, s, renamed(t, Commit(t, s, Create(t, "other", "Third"), nil), "First"), nil)
}

// TestARoleIsOneConnectionsWithinItsTenant until that one gives it up.
func TestARoleIsOneConnectionsWithinItsTenant(t *testing.T, s Store) {
	ctx := t.Context()
	c := Enabled(t, s, "acme", "one", roleOne)
	d := Commit(t, s, Create(t, "acme", "two"), nil)
	take, err := d.ReportRole(Role(t, roleOne), Noon, "ada")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(ctx, take); !errors.Is(err, connect.ErrRoleInUse) {
		t.Fatalf("taken twice: %v", err)
	}
	Enabled(t, s, "other", "one", roleOne) // another tenant proves it by an external ID of its own
	ch, err := c.Delete(Noon, "ada")
	Commit(t, s, ch, err)
	Commit(t, s, take, nil) // free again
}

// TestRoleHolder is who has the role, serving or on trial.
func TestRoleHolder(t *testing.T, s Store) {
	want := func(arn string, holder connect.ConnectionID) {
		t.Helper()
		for tenant, id := range map[connect.TenantID]connect.ConnectionID{"acme": holder, "other": ""} {
			if got, err := s.RoleHolder(t.Context(), tenant, Role(t, arn)); got != id || err != nil {
				t.Errorf("%s of %s: %s, %v", arn, tenant, got, err)
			}
		}
	}
	want(roleOne, "")
	c := Enabled(t, s, "acme", "one", roleOne)
	want(roleOne, c.ID())
	ch, err := c.ReportRole(Role(t, roleTwo), Noon, "ada")
	c = Commit(t, s, ch, err)
	want(roleTwo, c.ID()) // on trial
	ch, err = c.Delete(Noon, "ada")
	Commit(t, s, ch, err)
	want(roleOne, "")
	want(roleTwo, "")
}

// TestRaces has a hundred callers want the same name, and a hundred the same role: one gets it, and the others know why they
// did not.
func TestRaces(t *testing.T, s Store) {
	ctx := t.Context()
	const racers = 100
	race := func(changes []connect.Change, lost error) {
		t.Helper()
		errs := make([]error, len(changes))
		Race(len(changes), func(i int) {
			for errs[i] = connect.ErrConflict; errors.Is(errs[i], connect.ErrConflict); {
				errs[i] = s.Commit(ctx, changes[i])
			}
		})
		won := 0
		for _, err := range errs {
			switch {
			case err == nil:
				won++
			case !errors.Is(err, lost):
				t.Errorf("lost by %v", err)
			}
		}
		if won != 1 {
			t.Errorf("%d won", won)
		}
	}
	names, roles, renames := make([]connect.Change, racers), make([]connect.Change, racers), make([]connect.Change, racers)
	for i := range racers {
		names[i] = Create(t, "acme", "wanted")
		c := Commit(t, s, Create(t, "acme", fmt.Sprint("racer ", i)), nil)
		ch, err := c.ReportRole(Role(t, roleOne), Noon, "ada")
		if err != nil {
			t.Fatal(err)
		}
		roles[i] = ch
		renames[i] = renamed(t, Commit(t, s, Create(t, "acme", fmt.Sprint("runner ", i)), nil), "finisher")
	}
	race(names, connect.ErrNameTaken)
	race(renames, connect.ErrNameTaken)
	race(roles, connect.ErrRoleInUse)
}
