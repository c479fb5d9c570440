package connect_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

func scope(text string) connect.Scope {
	level, id, _ := strings.Cut(text, " ")
	return connect.Scope{Level: connect.ScopeLevel(level), ID: id}
}

func scopesOf(texts ...string) (out []connect.Scope) {
	for _, t := range texts {
		out = append(out, scope(t))
	}
	return out
}

func TestParseScope(t *testing.T) {
	for _, good := range []string{"organization", "project p1", "environment payments:production", "architecture A.b_c-1", "project " + strings.Repeat("x", 128)} {
		s := scope(good)
		if got, err := connect.ParseScope(string(s.Level), s.ID); err != nil || got != s || got.String() != good {
			t.Errorf("%q: %v, %v", good, got, err)
		}
	}
	for _, bad := range []string{
		"", "team x", "Project p1", "organization acme", "project", "project ", "project a b", "project ä", "project a#b", "project a/b",
		"environment " + strings.Repeat("x", 129), "project a\n",
	} {
		s := scope(bad)
		if got, err := connect.ParseScope(string(s.Level), s.ID); !errors.Is(err, &connect.Error{Code: connect.CodeScopeInvalid}) || got != (connect.Scope{}) {
			t.Errorf("%q is %v, %v", bad, got, err)
		}
	}
}

func TestCheckScopes(t *testing.T) {
	got, err := connect.CheckScopes(scopesOf("architecture a", "project z", "organization", "project b", "environment e"))
	if want := scopesOf("organization", "project b", "project z", "environment e", "architecture a"); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	many := make([]connect.Scope, connect.MaxScopes+1)
	for i := range many {
		many[i] = scope(fmt.Sprint("project p", i))
	}
	if _, err := connect.CheckScopes(many[1:]); err != nil {
		t.Errorf("%d scopes: %v", connect.MaxScopes, err)
	}
	for what, bad := range map[string][]connect.Scope{"too many": many, "twice": scopesOf("project p", "organization", "project p")} {
		if _, err := connect.CheckScopes(bad); !errors.Is(err, &connect.Error{Code: connect.CodeScopeInvalid}) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// other is a connection like those of in, with another id and these scopes.
func other(t *testing.T, name string, scopes ...string) connect.Connection {
	t.Helper()
	id, err := connect.NewConnectionID(noon, rand.NewChaCha8([32]byte{2, byte(len(name)), name[0]}))
	if err != nil {
		t.Fatal(err)
	}
	return connect.Create(connect.NewConnection{
		TenantID: "acme", Name: connect.Name(name), Partition: connect.PartitionAWS, DefaultRegion: "eu-west-1",
		Permissions: "read-only", By: "ada", Scopes: scopesOf(scopes...),
	}, id, connect.NewExternalID(), noon).Connection()
}

func TestSetScopes(t *testing.T) {
	for _, status := range connect.Statuses() {
		c := in(t, status)
		ch, ok, err := c.SetScopes(scopesOf("project p1", "organization"), nil, noon, "bob")
		if status == connect.StatusDeleted {
			if !errors.Is(err, &connect.Error{Code: connect.CodeStatus}) {
				t.Errorf("deleted: %v", err)
			}
			continue
		}
		if err != nil || !ok || ch.Connection().Status() != status || ch.Connection().Version() != c.Version()+1 {
			t.Fatalf("%s: %t, %v", status, ok, err)
		}
		want := []connect.ScopeClaim{{Scope: scope("organization")}, {Scope: scope("project p1")}}
		if !reflect.DeepEqual(ch.ClaimsScopes(), want) || len(ch.ReleasesScopes()) != 0 || len(ch.Also()) != 0 {
			t.Errorf("%s: claims %v, releases %v", status, ch.ClaimsScopes(), ch.ReleasesScopes())
		}
		c = ch.Connection()
		if _, ok, err := c.SetScopes(scopesOf("organization", "project p1"), nil, noon, "bob"); ok || err != nil {
			t.Errorf("%s: the same once more changes something: %v", status, err)
		}
		ch, _, err = c.SetScopes(scopesOf("project p1", "architecture a"), nil, noon, "bob")
		if err != nil || !slices.Equal(ch.ReleasesScopes(), scopesOf("organization")) || len(ch.ClaimsScopes()) != 1 {
			t.Errorf("%s: %+v, %v", status, ch, err)
		}
		ch, err = c.Delete(noon, "bob")
		if err != nil || len(ch.ReleasesScopes()) != 2 || len(ch.Connection().Snapshot().Scopes) != 0 {
			t.Errorf("%s: a deleted connection keeps %v, %v", status, ch.Connection().Snapshot().Scopes, err)
		}
	}
}

func TestTakingScopesOver(t *testing.T) {
	c := in(t, connect.StatusEnabled)
	h, idle := other(t, "holder", "organization", "project p1", "project p2"), other(t, "idle", "project p9")
	ch, ok, err := c.SetScopes(scopesOf("organization", "project p2", "project p3"), []connect.Connection{h, idle}, noon, "bob")
	if err != nil || !ok || len(ch.Also()) != 1 {
		t.Fatalf("%t, %d others, %v", ok, len(ch.Also()), err)
	}
	wantClaims := []connect.ScopeClaim{
		{Scope: scope("organization"), From: h.ID()}, {Scope: scope("project p2"), From: h.ID()}, {Scope: scope("project p3")},
	}
	if !reflect.DeepEqual(ch.ClaimsScopes(), wantClaims) {
		t.Errorf("claims %+v", ch.ClaimsScopes())
	}
	loss := ch.Also()[0]
	if len(loss.ReleasesScopes()) != 0 || len(loss.ClaimsScopes()) != 0 || loss.Expect() != h.Version() {
		t.Errorf("the loss %+v touches a record that the taking writes", loss)
	}
	if got := loss.Connection().Snapshot().Scopes; !slices.Equal(got, scopesOf("project p1")) {
		t.Errorf("the holder keeps %v", got)
	}
	won, lost := ch.Event(), loss.Event()
	if won.ConnectionID != c.ID() || !reflect.DeepEqual(won.Data["takenFrom"], []any{string(h.ID())}) || won.Sequence != c.Version()+1 {
		t.Errorf("%+v", won)
	}
	if lost.ConnectionID != h.ID() || lost.Data["takenBy"] != string(c.ID()) || lost.Type != connect.EventScopesChanged || lost.Actor != "bob" {
		t.Errorf("%+v", lost)
	}
}

// applying is the connection with these scopes, and an id that its status tells.
func applying(t testing.TB, c connect.Connection, scopes ...connect.Scope) connect.Connection {
	t.Helper()
	s := c.Snapshot()
	s.ID = must[connect.ConnectionID](t)(connect.NewConnectionID(noon, rand.NewChaCha8([32]byte{4, s.Status[0], s.Status[1]})))
	s.Scopes = scopes
	return must[connect.Connection](t)(connect.Restore(s))
}

func TestEffective(t *testing.T) {
	good, bad := applying(t, in(t, connect.StatusEnabled)), applying(t, in(t, connect.StatusDegraded))
	everything := connect.EffectiveQuery{Project: "p", Environment: "e", Architecture: "a"}
	strict := everything
	strict.Strict = true
	for _, test := range []struct {
		what   string
		held   map[string]connect.Connection
		q      connect.EffectiveQuery
		looked string // or, where nothing matches, the same without "matched"
	}{
		{"nothing anywhere", nil, everything, "architecture a none, environment e none, project p none, organization none"},
		{"the default", map[string]connect.Connection{"organization": good}, connect.EffectiveQuery{}, "organization matched"},
		{"the default from afar", map[string]connect.Connection{"organization": good}, everything, "architecture a none, environment e none, project p none, organization matched"},
		{"most specific wins", map[string]connect.Connection{"organization": good, "project p": good, "environment e": good, "architecture a": good}, everything, "architecture a matched"},
		{"environment before project", map[string]connect.Connection{"organization": good, "project p": good, "environment e": good}, everything, "architecture a none, environment e matched"},
		{"project before default", map[string]connect.Connection{"organization": good, "project p": good}, everything, "architecture a none, environment e none, project p matched"},
		{"what is not asked for does not count", map[string]connect.Connection{"organization": good, "architecture a": good}, connect.EffectiveQuery{Project: "p"}, "project p none, organization matched"},
		{"another project", map[string]connect.Connection{"project q": good}, everything, "architecture a none, environment e none, project p none, organization none"},
		{"an unusable one is passed over", map[string]connect.Connection{"organization": good, "project p": bad}, everything, "architecture a none, environment e none, project p unusable, organization matched"},
		{"unusable ones only", map[string]connect.Connection{"organization": bad, "project p": bad}, everything, "architecture a none, environment e none, project p unusable, organization unusable"},
		{"strictly", map[string]connect.Connection{"organization": good, "environment e": bad}, strict, "architecture a none, environment e unusable"},
		{"strictly, and usable", map[string]connect.Connection{"organization": good}, strict, "architecture a none, environment e none, project p none, organization matched"},
	} {
		t.Run(test.what, func(t *testing.T) {
			scopes := map[connect.ConnectionID][]connect.Scope{}
			for s, c := range test.held {
				scopes[c.ID()] = append(scopes[c.ID()], scope(s))
			}
			p := storetest.New(applying(t, good, scopes[good.ID()]...), applying(t, bad, scopes[bad.ID()]...))
			c, m, err := connect.Resolver{Store: p}.Effective(context.Background(), "acme", test.q)
			var looked []string
			for _, k := range m.LookedAt {
				looked = append(looked, k.Scope.String()+" "+string(k.Result))
				if k.Result == connect.ResultUnusable && (k.Connection != bad.ID() || k.Status != connect.StatusDegraded || k.Reason.Code == "") {
					t.Errorf("%+v does not say why", k)
				}
			}
			if got := strings.Join(looked, ", "); got != test.looked {
				t.Errorf("looked at %s, want %s", got, test.looked)
			}
			if p.Calls() != 1 {
				t.Errorf("%d questions to the store", p.Calls())
			}
			if strings.HasSuffix(test.looked, "matched") {
				if err != nil || c.Status() != connect.StatusEnabled || m.Scope != m.LookedAt[len(m.LookedAt)-1].Scope {
					t.Errorf("%s by %s, %v", c.Status(), m.Scope, err)
				}
				return
			}
			var e *connect.Error
			if !errors.As(err, &e) || e.Code != connect.CodeNoEffectiveConnection || e.Kind != connect.KindNotFound || e.Fix == "" || c.ID() != "" {
				t.Fatalf("%+v, %v", c, err)
			}
			for _, k := range m.LookedAt {
				if !strings.Contains(e.Message, k.Scope.String()) {
					t.Errorf("%q does not tell of %s", e.Message, k.Scope)
				}
			}
		})
	}
}

// A connection in any status but enabled is never the answer.
func TestEffectiveIsEnabled(t *testing.T) {
	for _, status := range connect.Statuses() {
		p := storetest.New(applying(t, in(t, status), scope("organization")))
		_, _, err := connect.Resolver{Store: p}.Effective(context.Background(), "acme", connect.EffectiveQuery{})
		if (err == nil) != (status == connect.StatusEnabled) {
			t.Errorf("%s: %v", status, err)
		}
	}
	p := storetest.New()
	if _, _, err := (connect.Resolver{Store: p}).Effective(context.Background(), "acme", connect.EffectiveQuery{Project: "a b"}); !errors.Is(err, &connect.Error{Code: connect.CodeScopeInvalid}) || p.Calls() != 0 {
		t.Errorf("%v, %d questions", err, p.Calls())
	}
	p.Before(func(string) error { return connect.ErrConflict })
	if _, _, err := (connect.Resolver{Store: p}).Effective(context.Background(), "acme", connect.EffectiveQuery{}); !errors.Is(err, connect.ErrConflict) {
		t.Error(err)
	}
}
