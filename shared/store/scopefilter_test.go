package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"rolecall/shared/connect"
)

// A list by scope finds the one connection that has it, wherever among its scopes; one by level finds all, over its pages.
func TestAListByScope(t *testing.T) {
	s := newStore(t)
	var many []string
	for i := range connect.MaxScopes - 1 {
		many = append(many, fmt.Sprintf("architecture a%02d", i))
	}
	full := append([]string{"project web"}, many...)
	for i, scopes := range [][]string{full, {"environment web"}, nil, {"organization", "project shop"}, {"project webshop"}} {
		c := commit(t, s, create(t, "acme", fmt.Sprint("c", i)), nil)
		if scopes != nil {
			commit(t, s, rescoped(t, c, nil, scopes...), nil)
		}
	}
	commit(t, s, rescoped(t, commit(t, s, create(t, "other", "theirs"), nil), nil, "project web"), nil)
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
			page, err := s.Connections(context.Background(), "acme", q)
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
