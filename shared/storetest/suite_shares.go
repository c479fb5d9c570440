package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// TestLeasesAreShared by all who take them, and each minute's and tenant's are its own.
func TestLeasesAreShared(t *testing.T, s Store) {
	lease := func(tenant connect.TenantID, minute time.Time, n int) bool {
		ok, err := s.Lease(t.Context(), tenant, connect.RationedCredentials, minute, n, 500)
		if err != nil {
			t.Error(err)
		}
		return ok
	}
	if lease("acme", Noon, 501) {
		t.Error("the first lease was of more than there is")
	}
	var granted atomic.Int64
	Race(40, func(int) {
		if lease("acme", Noon, 50) {
			granted.Add(1)
		}
	})
	if granted.Load() != 10 {
		t.Errorf("%d leases of 50 were granted of 500", granted.Load())
	}
	if !lease("acme", Noon.Add(time.Minute), 50) {
		t.Error("the next minute's are taken")
	}
	if !lease("other", Noon, 50) {
		t.Error("another tenant's are taken")
	}
}

// TestLeasesOfDifferentThings are not taken from each other.
func TestLeasesOfDifferentThings(t *testing.T, s Store) {
	for _, of := range []connect.Rationed{connect.RationedCredentials, connect.RationedVerifications} {
		if ok, err := s.Lease(t.Context(), "acme", of, Noon, 60, 60); err != nil || !ok {
			t.Errorf("%s: %v %v", of, ok, err)
		}
		if ok, err := s.Lease(t.Context(), "acme", of, Noon, 1, 60); err != nil || ok {
			t.Errorf("more %s: %v %v", of, ok, err)
		}
	}
}

// TestPlacesAreShared to the last one and no further, however many ask at once; when all are taken they are
// counted, by one of those who would, and found to be as many as connections are pending.
func TestPlacesAreShared(t *testing.T, s Store) {
	ctx := t.Context()
	if ok, err := s.TakePlaces(ctx, "acme", 5, 4); err != nil || ok {
		t.Errorf("more than there are: %v %v", ok, err)
	}
	var granted atomic.Int64
	Race(40, func(int) {
		ok, err := s.TakePlaces(ctx, "acme", 5, 100)
		if err != nil {
			t.Error(err)
		}
		if ok {
			granted.Add(1)
		}
	})
	if granted.Load() != 20 {
		t.Errorf("%d blocks of 5 were granted of 100", granted.Load())
	}
	if ok, err := s.TakePlaces(ctx, "other", 5, 100); err != nil || !ok {
		t.Errorf("another tenant: %v %v", ok, err)
	}
	for i := range 3 {
		Commit(t, s, Create(t, "acme", fmt.Sprint("waits ", i)), nil)
	}
	Commit(t, s, Create(t, "other", "waits too"), nil)
	Enabled(t, s, "acme", "serves", roleOne)
	var counted atomic.Int64
	Race(10, func(int) {
		wait, err := s.RecountPlaces(ctx, "acme", Noon, 30*time.Second)
		if err != nil {
			t.Error(err)
		}
		if wait == 0 {
			counted.Add(1)
		}
	})
	if counted.Load() != 1 {
		t.Errorf("counted %d times", counted.Load())
	}
	if ok, err := s.TakePlaces(ctx, "acme", 97, 100); err != nil || !ok {
		t.Errorf("97 beside 3: %v %v", ok, err)
	}
	if ok, err := s.TakePlaces(ctx, "acme", 1, 100); err != nil || ok {
		t.Errorf("one more than there are: %v %v", ok, err)
	}
	if wait, err := s.RecountPlaces(ctx, "acme", Noon.Add(10*time.Second), 30*time.Second); err != nil || wait != 20*time.Second {
		t.Errorf("to wait %s, %v", wait, err)
	}
	if wait, err := s.RecountPlaces(ctx, "acme", Noon.Add(30*time.Second), 30*time.Second); err != nil || wait != 0 {
		t.Errorf("to wait %s, %v", wait, err)
	}
}

// TestSweepIndexes find what serves by its slot, and what somebody must look at by its minute.
func TestSweepIndexes(t *testing.T, s Store) {
	ctx := t.Context()
	pending := Commit(t, s, Create(t, "acme", "pending"), nil)
	c := Enabled(t, s, "acme", "enabled", roleOne)
	inSlot := func(id connect.ConnectionID) bool {
		page, err := s.InSlot(ctx, connect.Slot(id), "")
		if err != nil {
			t.Fatal(err)
		}
		return slices.Contains(page.Items, id)
	}
	due := func(at time.Time, id connect.ConnectionID) bool {
		page, err := s.Due(ctx, at, "")
		if err != nil {
			t.Fatal(err)
		}
		return slices.Contains(page.Items, id)
	}
	if inSlot(pending.ID()) || !inSlot(c.ID()) {
		t.Error("slots hold enabled connections, and no others")
	}
	if !due(Noon.Add(connect.LaunchLife), pending.ID()) || due(Noon.Add(connect.LaunchLife+time.Minute), pending.ID()) {
		t.Error("a pending one is due when its launch ends, and then alone")
	}
	denied := Good(Noon)
	denied.Checks[0].Verdict, denied.Checks[0].Reason = connect.Failed, connect.Reason{Code: connect.CodeRoleNotAssumable}
	for i := range 3 {
		ch, ok := c.Rechecked(denied, "ada", Noon.Add(time.Duration(6*i)*time.Minute))
		if !ok {
			t.Fatal("a denial changed nothing")
		}
		c = Commit(t, s, ch, nil)
	}
	if c.Status() != connect.StatusDegraded || !inSlot(c.ID()) {
		t.Errorf("a %s connection has no slot to be found in, should it be missed when it is due", c.Status())
	}
	if !due(Noon.Add(27*time.Minute), c.ID()) {
		t.Error("a quarter of an hour after it degraded it is not due")
	}
	bare, err := s.Bare(ctx, c.ID())
	if err != nil || bare.Version() != c.Version() {
		t.Errorf("bare: version %d, %v", bare.Version(), err)
	}
	ch, err := c.Delete(Noon, "ada")
	c = Commit(t, s, ch, err)
	if inSlot(c.ID()) || due(Noon.Add(27*time.Minute), c.ID()) {
		t.Error("a deleted connection is still looked at as if it served")
	}
	onTrial := Commit(t, s, Create(t, "acme", "on trial"), nil)
	ch, err = onTrial.ReportRole(Role(t, roleTwo), Noon.Add(30*time.Second), "ada")
	onTrial = Commit(t, s, ch, err)
	begun := onTrial.DueAt().Truncate(time.Minute)
	if onTrial.DueAt().Equal(begun) || due(begun, onTrial.ID()) || !due(begun.Add(time.Minute), onTrial.ID()) {
		t.Errorf("what is due at %s is to be found in the minute that begins then", onTrial.DueAt())
	}
	missed := Commit(t, s, Create(t, "acme", "missed"), nil) // and changed after it was due: the sweep has passed its minute
	written := Noon.Add(connect.LaunchLife + time.Hour)
	ch, _, err = missed.Update(connect.Update{Name: new(connect.Name("Missed"))}, written, "ada")
	missed = Commit(t, s, ch, err)
	if due(Noon.Add(connect.LaunchLife), missed.ID()) || !due(written.Add(time.Minute), missed.ID()) {
		t.Errorf("what was due at %s and written at %s is due in the minute after that", missed.DueAt(), written)
	}
}

// TestSweepPages list all that is due in a minute, each once, however many pages there are.
func TestSweepPages(t *testing.T, s Store) {
	const many = 30
	want := map[connect.ConnectionID]bool{}
	for i := range many {
		want[Commit(t, s, Create(t, "acme", fmt.Sprint("waits ", i)), nil).ID()] = true
	}
	cursor, last := "", connect.ConnectionID("")
	for pages := 0; pages <= many; pages++ {
		page, err := s.Due(t.Context(), Noon.Add(connect.LaunchLife), cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range page.Items {
			if !want[id] || id <= last {
				t.Errorf("%s after %s", id, last)
			}
			delete(want, id)
			last = id
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if len(want) > 0 || cursor != "" {
		t.Errorf("%d were left out, cursor %q", len(want), cursor)
	}
	if page, err := s.Due(t.Context(), Noon.Add(connect.LaunchLife), string(last)); err != nil || len(page.Items) != 0 {
		t.Errorf("after the last one: %v, %v", page.Items, err)
	}
}

// TestCursor moves on from where it is, and from nowhere else.
func TestCursor(t *testing.T, s Store) {
	ctx := t.Context()
	cursor, err := s.Cursor(ctx)
	if err != nil || !cursor.IsZero() {
		t.Fatalf("before the first sweep: %s, %v", cursor, err)
	}
	if err := s.Advance(ctx, Noon, Noon.Add(time.Minute)); !errors.Is(err, connect.ErrConflict) {
		t.Errorf("from where it has never been: %v", err)
	}
	if err := s.Advance(ctx, time.Time{}, Noon); err != nil {
		t.Fatal(err)
	}
	if err := s.Advance(ctx, time.Time{}, Noon); !errors.Is(err, connect.ErrConflict) {
		t.Errorf("advanced twice: %v", err)
	}
	if err := s.Advance(ctx, Noon, Noon.Add(time.Minute)); err != nil {
		t.Error(err)
	}
	if err := s.Advance(ctx, Noon, Noon.Add(2*time.Minute)); !errors.Is(err, connect.ErrConflict) {
		t.Errorf("from where it was: %v", err)
	}
	if cursor, err = s.Cursor(ctx); err != nil || !cursor.Equal(Noon.Add(time.Minute)) {
		t.Errorf("cursor %s, %v", cursor, err)
	}
}
