package connect_test

import (
	"errors"
	"testing"

	"rolecall/shared/connect"
)

func TestScopeFiltersAreReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]connect.ScopeFilter{
		"": {}, "organization": {Level: connect.ScopeOrganization}, "project": {Level: connect.ScopeProject},
		"project:web": {Level: connect.ScopeProject, ID: "web"}, "environment:eu:live": {Level: connect.ScopeEnvironment, ID: "eu:live"},
	} {
		got, err := connect.ParseScopeFilter(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"team", "team:web", "project:", "organization:acme", "project:web page", "Project", ":web", " "} {
		if got, err := connect.ParseScopeFilter(text); !errors.Is(err, &connect.Error{Code: connect.CodeScopeInvalid}) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}
