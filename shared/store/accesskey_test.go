package store_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"rolecall/shared/connect"
)

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
	id, err := connect.NewConnectionID(noon.Add(time.Duration(rand.IntN(1e9))), rand.NewChaCha8([32]byte{byte(rand.Int()), byte(rand.Int()), byte(rand.Int())}))
	if err != nil {
		t.Fatal(err)
	}
	return connect.CreateWithKeys(connect.NewConnection{
		TenantID: tenant, Name: name, Partition: "aws", DefaultRegion: "eu-west-1", Permissions: "read-only", AccountID: "222222222222", By: "ada",
	}, id, connect.NewExternalID(), key, goodKeys(noon), noon)
}

// A connection by access key is stored with what is sealed, rotated, reported as old, upgraded and deleted; each time it is
// read as it was committed, and what replaces a key leaves nothing of it.
func TestAKeyConnectionIsReadAsCommitted(t *testing.T) {
	s := newStore(t)
	ctx := context.Background()
	reads := func(want connect.Connection, sealed connect.Sealed) {
		t.Helper()
		got, err := s.Connection(ctx, want.ID())
		if err != nil {
			t.Fatal(err)
		}
		w, g := want.Snapshot(), got.Snapshot()
		if g.Version != w.Version || g.Status != w.Status || g.Method != w.Method || g.AccountID != w.AccountID || len(g.Checks) != len(w.Checks) {
			t.Errorf("read %+v, committed %+v", g, w)
		}
		if (g.AccessKey == nil) != (sealed == "") || (w.AccessKey == nil) != (sealed == "") {
			t.Fatalf("key %v, committed %v", g.AccessKey, w.AccessKey)
		}
		if k := g.AccessKey; k != nil && (*k != *w.AccessKey || k.Sealed != sealed) {
			t.Errorf("key %+v, committed %+v", k, w.AccessKey)
		}
	}
	first := connect.AccessKey{ID: "AKIAEXAMPLEEXAMPLE01", Sealed: "sealed one", SetAt: noon}
	ch := byKey(t, "acme", "By key", first)
	c := commit(t, s, ch, nil)
	reads(c, first.Sealed)
	page, err := s.Events(ctx, c.ID(), connect.EventQuery{Limit: 10})
	if err != nil || len(page.Items) != 2 || page.Items[0].Type != connect.EventEnabled || page.Items[1].Type != connect.EventCreated {
		t.Errorf("%+v %v", page.Items, err)
	}
	if err := s.Commit(ctx, byKey(t, "acme", "By KEY", first)); err == nil {
		t.Error("the name was taken twice")
	}

	old, ok := c.KeysOld(24*time.Hour, noon.Add(48*time.Hour))
	if !ok {
		t.Fatal("not old")
	}
	c = commit(t, s, old, nil)
	reads(c, first.Sealed)

	end := noon.Add(50 * time.Hour)
	second := connect.AccessKey{ID: "ASIAEXAMPLEEXAMPLE02", Sealed: "sealed two", SetAt: noon.Add(49 * time.Hour), ExpiresAt: end}
	rotate, err := c.RotateKeys(second, goodKeys(second.SetAt), "ada", second.SetAt)
	rotated := commit(t, s, rotate, err)
	reads(rotated, second.Sealed)
	stale, err := c.RotateKeys(first, goodKeys(noon), "ada", noon)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(ctx, stale); !errors.Is(err, connect.ErrConflict) {
		t.Errorf("a rotation of what was there before: %v", err)
	}
	reads(rotated, second.Sealed)
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
	rotated = commit(t, s, ending, nil)
	reads(rotated, second.Sealed)
	looked(end)

	candidate, err := rotated.ReportRole(role(t, roleOne), noon.Add(49*time.Hour), "ada")
	c = commit(t, s, candidate, err)
	reads(c, second.Sealed)
	v, _ := c.Trial()
	upgrade, err := c.Tried(v.Run, v.Attempt, good(noon), 0, noon.Add(49*time.Hour))
	c = commit(t, s, upgrade, err)
	reads(c, "")
	if c.Snapshot().Method != connect.MethodRole || c.Status() != connect.StatusEnabled {
		t.Errorf("%+v", c.Snapshot())
	}

	other := commit(t, s, byKey(t, "globex", "By key", first), nil) // another tenant's name
	gone, err := other.Delete(noon.Add(time.Minute), "ada")
	reads(commit(t, s, gone, err), "")
}
