package httpapi

import (
	"slices"
	"strings"
	"testing"

	"rolecall/shared/connect"
)

func TestAListByScope(t *testing.T) {
	w := newWorld(t)
	w.want(w.scopes(w.create("web").ID, `{"scopes":[{"level":"organization"},{"level":"project","id":"web"}]}`), 200)
	w.want(w.scopes(w.create("shop").ID, `{"scopes":[{"level":"project","id":"shop"}]}`), 200)
	w.create("none")
	for query, want := range map[string][]string{
		"scope=project:web": {"web"}, "scope=project": {"shop", "web"}, "scope=organization": {"web"}, "scope=environment": nil,
		"scope=project&q=sh": {"shop"}, "scope=": {"none", "shop", "web"}, "scope=project&status=enabled": nil,
	} {
		var got []string
		for _, c := range read[Connections](t, w.want(ask{method: "GET", path: "/v1/connections?" + query}, 200)).Items {
			got = append(got, c.Name)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s lists %v, want %v", query, got, want)
		}
	}
	for _, query := range []string{"scope=team", "scope=project:", "scope=organization:x", "scope=project:" + strings.Repeat("x", 129)} {
		w.refused(ask{method: "GET", path: "/v1/connections?" + query}, 400, connect.CodeScopeInvalid)
	}
}
