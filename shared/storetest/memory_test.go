package storetest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(testing.TB) storetest.Store { return storetest.New() })
}

// What was put is held as if it had been committed: nobody else gets it.
func TestWhatIsPutIsHeld(t *testing.T) {
	made := storetest.New()
	c := storetest.Enabled(t, made, "acme", "Production", "arn:aws:iam::222222222222:role/One")
	c = storetest.Commit(t, made, storetest.Rescoped(t, c, nil, "organization"), nil)
	m := storetest.New(c)
	if got := m.Get(c.ID()); got.Status() != connect.StatusEnabled || len(m.All()) != 1 || len(m.Log()) != 0 {
		t.Errorf("%s, %d connections, %d events", got.Status(), len(m.All()), len(m.Log()))
	}
	other := storetest.Commit(t, m, storetest.Create(t, "acme", "Other"), nil)
	role, err := other.ReportRole(c.Snapshot().RoleARN, storetest.Noon, "ada")
	if err != nil {
		t.Fatal(err)
	}
	for what, one := range map[string]struct {
		change connect.Change
		want   error
	}{
		"its name":  {storetest.Create(t, "acme", "production"), connect.ErrNameTaken},
		"its role":  {role, connect.ErrRoleInUse},
		"its scope": {storetest.Rescoped(t, other, nil, "organization"), &connect.Error{Code: connect.CodeScopeTaken}},
	} {
		if err := m.Commit(t.Context(), one.change); !errors.Is(err, one.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	gone, err := c.Delete(storetest.Noon, "ada")
	if err != nil {
		t.Fatal(err)
	}
	m.Put(gone.Connection())
	storetest.Commit(t, m, role, nil)
}

// A hook stands before a call, in its place, or between it and its caller.
func TestHooks(t *testing.T) {
	m := storetest.New()
	lost := errors.New("lost")
	ch := storetest.Create(t, "acme", "Production")
	m.Before(func(op string) error {
		if op == "Commit" {
			return lost
		}
		return nil
	})
	if err := m.Commit(t.Context(), ch); !errors.Is(err, lost) || m.Get(ch.Connection().ID()).Version() != 0 {
		t.Errorf("what never arrived: %v", err)
	}
	if _, err := m.Connection(t.Context(), ch.Connection().ID()); !errors.Is(err, connect.ErrNotFound) {
		t.Errorf("another operation: %v", err)
	}
	m.Around(func(_ string, call func() error) error { return errors.Join(call(), lost) })
	if err := m.Commit(t.Context(), ch); !errors.Is(err, lost) || m.Get(ch.Connection().ID()).Version() != 1 {
		t.Errorf("what was done and not heard of: %v", err)
	}
	if c, err := m.Connection(t.Context(), ch.Connection().ID()); !errors.Is(err, lost) || c.ID() != "" {
		t.Errorf("an answer that was lost is %q, %v", c.ID(), err)
	}
	m.Around(nil)
	deleted, err := ch.Connection().Delete(storetest.Noon, "ada")
	if err != nil {
		t.Fatal(err)
	}
	m.Once("Commit", func() { storetest.Commit(t, m, deleted, nil) }) // somebody else was quicker
	renamed, _, err := ch.Connection().Update(connect.Update{Name: new(connect.Name("New"))}, storetest.Noon, "ada")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := m.Commit(t.Context(), renamed); !errors.Is(err, connect.ErrConflict) {
			t.Errorf("the slower one: %v", err)
		}
	}
	if m.Calls("Commit") != 5 || m.Calls("Connection") != 2 || m.Calls() != 7 {
		t.Errorf("%d commits, %d reads, %d calls", m.Calls("Commit"), m.Calls("Connection"), m.Calls())
	}
}

// A process that dies in a call leaves the store usable.
func TestAHookThatPanics(t *testing.T) {
	m := storetest.New()
	m.Before(func(string) error { panic("died") })
	func() {
		defer func() { _ = recover() }()
		_ = m.Commit(t.Context(), storetest.Create(t, "acme", "Production"))
	}()
	m.Around(nil)
	storetest.Commit(t, m, storetest.Create(t, "acme", "Production"), nil)
}

// Nothing has changed where two dumps are the same; where they are not, the difference says what.
func TestDump(t *testing.T) {
	m := storetest.New()
	empty := m.Dump()
	c := storetest.Commit(t, m, storetest.Create(t, "acme", "Production"), nil)
	created := m.Dump()
	if d := created.Diff(m.Dump()); d != "" {
		t.Errorf("nothing happened, but\n%s", d)
	}
	_ = m.Commit(t.Context(), storetest.Create(t, "acme", "PRODUCTION"))
	_, _ = m.Connection(context.Background(), c.ID())
	if d := created.Diff(m.Dump()); d != "" {
		t.Errorf("what was refused left\n%s", d)
	}
	made := empty.Diff(created)
	for _, record := range []string{"+ connection " + string(c.ID()), "+ event " + string(c.ID()), "+ name acme production"} {
		if !strings.Contains(made, record) {
			t.Errorf("%q does not tell of %s", made, record)
		}
	}
	if gone := created.Diff(empty); !strings.Contains(gone, "- name acme production") {
		t.Errorf("%q does not tell of the name", gone)
	}
	ch, err := c.ReportRole(storetest.Role(t, "arn:aws:iam::222222222222:role/One"), storetest.Noon, "ada")
	storetest.Commit(t, m, ch, err)
	if d := created.Diff(m.Dump()); !strings.Contains(d, "~ connection "+string(c.ID())+": Status pending, then verifying") {
		t.Errorf("%q does not tell of the status", d)
	}
}

// The data of events are what DynamoDB gives back: numbers are those of JSON.
func TestDataOfEventsIsJSON(t *testing.T) {
	m := storetest.New()
	c := storetest.Commit(t, m, storetest.Create(t, "acme", "One"), nil)
	if err := m.Note(t.Context(), connect.Event{ID: "evt_1", ConnectionID: c.ID(), Data: map[string]any{"n": 1}}); err != nil {
		t.Fatal(err)
	}
	if got := m.Log()[1].Data["n"]; got != 1.0 {
		t.Errorf("%T %v", got, got)
	}
	if err := m.Note(t.Context(), connect.Event{ID: "evt_2", ConnectionID: c.ID(), Data: map[string]any{"f": func() {}}}); err == nil || len(m.Log()) != 2 {
		t.Errorf("what is no JSON: %v", err)
	}
}

// The log is in the order of what happened, over all connections.
func TestLog(t *testing.T) {
	m := storetest.New()
	one, two := storetest.Commit(t, m, storetest.Create(t, "acme", "One"), nil), storetest.Commit(t, m, storetest.Create(t, "acme", "Two"), nil)
	ch, err := one.Delete(storetest.Noon, "ada")
	storetest.Commit(t, m, ch, err)
	var of []connect.ConnectionID
	for _, e := range m.Log() {
		of = append(of, e.ConnectionID)
	}
	if len(of) != 3 || of[0] != one.ID() || of[1] != two.ID() || of[2] != one.ID() {
		t.Errorf("events of %v", of)
	}
	if some := m.Log(one.ID()); len(some) != 2 || some[1].Type != connect.EventDeleted || some[1].Data["status"] != "deleted" {
		t.Errorf("%+v", some)
	}
}
