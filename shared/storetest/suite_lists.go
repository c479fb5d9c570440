package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// TestList goes through pages of a tenant's connections, the newest first.
func TestList(t *testing.T, s Store) {
	ctx := t.Context()
	var ids []connect.ConnectionID
	for i := range 25 {
		ids = append(ids, Commit(t, s, Create(t, "acme", fmt.Sprintf("Account %02d", i)), nil).ID())
	}
	gone := Commit(t, s, Create(t, "acme", "Gone"), nil)
	ch, err := gone.Delete(Noon, "ada")
	Commit(t, s, ch, err)
	Commit(t, s, Create(t, "other", "Account 99"), nil)
	slices.Sort(ids)
	slices.Reverse(ids)
	all := func(q connect.ListQuery) (got []connect.ConnectionID) {
		t.Helper()
		for {
			page, err := s.Connections(ctx, "acme", q)
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Items) > q.Limit {
				t.Fatalf("%d on a page of %d", len(page.Items), q.Limit)
			}
			for _, c := range page.Items {
				got = append(got, c.ID())
			}
			if len(got) > 100 {
				t.Fatal("the list has no end")
			}
			if page.Next == "" {
				return got
			}
			q.Cursor = page.Next
		}
	}
	for _, limit := range []int{1, 7, 25, 100} {
		if got := all(connect.ListQuery{Limit: limit}); !slices.Equal(got, ids) {
			t.Errorf("by %d: %d connections, or not newest first", limit, len(got))
		}
	}
	if got := all(connect.ListQuery{Limit: 3, Contains: "ACCOUNT 1"}); len(got) != 10 {
		t.Errorf("%d contain it", len(got))
	}
	if got := all(connect.ListQuery{Limit: 10, Status: connect.StatusDeleted}); !slices.Equal(got, []connect.ConnectionID{gone.ID()}) {
		t.Errorf("deleted: %v", got)
	}
	page, err := s.Connections(ctx, "acme", connect.ListQuery{Limit: 5})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := s.Connections(ctx, "other", connect.ListQuery{Limit: 5, Cursor: page.Next})
	if err == nil && slices.ContainsFunc(foreign.Items, func(c connect.Connection) bool { return c.TenantID() != "other" }) {
		t.Error("a cursor led to another tenant")
	}
	for _, bad := range []string{"anything", "!", strings.Repeat("A", 1000)} {
		if _, err := s.Connections(ctx, "acme", connect.ListQuery{Limit: 5, Cursor: bad}); !errors.Is(err, &connect.Error{Code: connect.CodeCursorInvalid}) {
			t.Errorf("cursor %.10q: %v", bad, err)
		}
	}
}

// TestAListByScope finds the one connection that has it, wherever among its scopes; one by level finds all, over its pages.
func TestAListByScope(t *testing.T, s Store) {
	full := []string{"project web"}
	for i := range connect.MaxScopes - 1 {
		full = append(full, fmt.Sprintf("architecture a%02d", i))
	}
	for i, scopes := range [][]string{full, {"environment web"}, nil, {"organization", "project shop"}, {"project webshop"}} {
		c := Commit(t, s, Create(t, "acme", fmt.Sprint("c", i)), nil)
		if scopes != nil {
			Commit(t, s, Rescoped(t, c, nil, scopes...), nil)
		}
	}
	scoped(t, s, "other", "theirs", "project web")
	for text, want := range map[string][]string{
		"project:web": {"c0"}, "project": {"c0", "c3", "c4"}, "architecture:a18": {"c0"}, "environment:web": {"c1"}, "organization": {"c3"},
		"project:we": nil, "": {"c0", "c1", "c2", "c3", "c4"},
	} {
		f, err := connect.ParseScopeFilter(text)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		q := connect.ListQuery{Scope: f, Limit: 2}
		for more := true; more; more = q.Cursor != "" {
			page, err := s.Connections(t.Context(), "acme", q)
			if err != nil || len(page.Items) > 2 {
				t.Fatal(page, err)
			}
			for _, c := range page.Items {
				got = append(got, string(c.Snapshot().Name))
				if !f.Picks(c) {
					t.Errorf("%q lists %v", text, c.Snapshot().Scopes)
				}
			}
			q.Cursor = page.Next
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%q lists %v, want %v", text, got, want)
		}
	}
}

// TestTimeline tells all that happened, the newest first, notes behind the change in whose state they were made.
func TestTimeline(t *testing.T, s Store) {
	ctx := t.Context()
	c := Enabled(t, s, "acme", "one", roleOne)
	Enabled(t, s, "acme", "another", roleTwo)
	note := connect.Event{
		ID: "evt_note", ConnectionID: c.ID(), TenantID: "acme", Sequence: c.Version(), Type: connect.EventCredentialsIssued,
		At: Noon.Add(time.Hour), Actor: "svc", Data: map[string]any{"durationSeconds": 1800.0, "nested": map[string]any{"a": "b"}},
	}
	for range 2 { // which makes one
		if err := s.Note(ctx, note); err != nil {
			t.Fatal(err)
		}
	}
	for i, id := range []string{"evt_z", "evt_a", "evt_m"} { // later ones, whose ids sort anyhow
		later := note
		later.ID, later.At = id, note.At.Add(time.Duration(i+1)*time.Second)
		if err := s.Note(ctx, later); err != nil {
			t.Fatal(err)
		}
	}
	ch, err := c.Delete(Noon.Add(2*time.Hour), "ada")
	Commit(t, s, ch, err)
	var got []connect.Event
	for q := (connect.EventQuery{Limit: 2}); ; {
		page, err := s.Events(ctx, c.ID(), q)
		if err != nil || len(page.Items) > 2 {
			t.Fatal(page, err)
		}
		if got = append(got, page.Items...); len(got) > 100 {
			t.Fatal("the timeline has no end")
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	var types []connect.EventType
	for i, e := range got {
		types = append(types, e.Type)
		if i > 0 && e.At.After(got[i-1].At) {
			t.Errorf("%s at %s is older than %s at %s", got[i-1].ID, got[i-1].At, e.ID, e.At)
		}
	}
	issued := connect.EventCredentialsIssued
	want := []connect.EventType{
		connect.EventDeleted, issued, issued, issued, issued, connect.EventEnabled, connect.EventRoleReported, connect.EventCreated,
	}
	if !slices.Equal(types, want) {
		t.Fatalf("timeline %v, want %v", types, want)
	}
	for about, n := range map[string]int{"credentials": 4, "connection": 4} {
		page, err := s.Events(ctx, c.ID(), connect.EventQuery{About: about, Limit: 10})
		if err != nil || len(page.Items) != n || !strings.HasPrefix(string(page.Items[0].Type), about) {
			t.Errorf("%s: %d events (%v), want %d", about, len(page.Items), err, n)
		}
	}
	if !reflect.DeepEqual(note, got[4]) {
		t.Errorf("noted %+v, told %+v", note, got[4])
	}
	after, err := s.Connection(ctx, c.ID())
	if err != nil || after.Version() != c.Version()+1 {
		t.Errorf("a note changed the version: %d, %v", after.Version(), err)
	}
	if _, err := s.Events(ctx, c.ID(), connect.EventQuery{Limit: 2, Cursor: "TUVUQQ"}); !errors.Is(err, &connect.Error{Code: connect.CodeCursorInvalid}) {
		t.Errorf("a cursor that leads to the connection itself: %v", err)
	}
}
