package laptop_test

import (
	"net/http"
	"strings"
	"testing"
)

// A connection is made the organization's default, a second one takes a project over, and the most specific one that can
// be used is the answer, until it can no longer.
func TestScopes(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-scopes")
	enabled := func(name, account string) connection {
		t.Helper()
		c := acme.create(name)
		role := pastedRole(t, account, "Scoped", c.ExternalID, `"ec2:DescribeRegions","iam:GetRole"`)
		acme.want(http.StatusOK, "PUT", "/v1/connections/"+c.ID+"/role", `{"roleArn":"`+role+`"}`)
		return c
	}
	one, two := enabled("Default", "222222222301"), enabled("Payments", "222222222302")
	scopes := func(status int, c connection, body string) answer {
		t.Helper()
		return acme.want(status, "PUT", "/v1/connections/"+c.ID+"/scopes", body)
	}
	scopes(http.StatusOK, one, `{"scopes":[{"level":"organization"},{"level":"project","id":"payments"}]}`)
	a := scopes(http.StatusConflict, two, `{"scopes":[{"level":"project","id":"payments"}]}`)
	if !strings.Contains(string(a.body), `"SCOPE_TAKEN"`) || !strings.Contains(string(a.body), `"connectionId":"`+one.ID+`"`) {
		t.Errorf("%s", a.body)
	}
	effective := func(query, want, level string) {
		t.Helper()
		var got struct {
			Connection connection
			Match      struct{ Level string }
		}
		acme.want(http.StatusOK, "GET", "/v1/effective-connection"+query, "").into(t, &got)
		if got.Connection.ID != want || got.Match.Level != level {
			t.Errorf("%q: %s by %s, want %s by %s", query, got.Connection.ID, got.Match.Level, want, level)
		}
	}
	effective("?project=payments", one.ID, "project")
	scopes(http.StatusOK, two, `{"scopes":[{"level":"project","id":"payments"},{"level":"environment","id":"payments:live"}],"takeOver":true}`)
	effective("?project=payments", two.ID, "project")
	effective("?project=payments&environment=payments:live", two.ID, "environment")
	effective("?project=search", one.ID, "organization")
	if e := acme.timeline(one.ID)[0]; e.Type != "connection.scopes_changed" || e.Data["takenBy"] != two.ID {
		t.Errorf("the loser's timeline: %+v", e)
	}
	acme.want(http.StatusNoContent, "DELETE", "/v1/connections/"+two.ID, "")
	effective("?project=payments&environment=payments:live", one.ID, "organization")
	acme.want(http.StatusNoContent, "DELETE", "/v1/connections/"+one.ID, "")
	a = acme.want(http.StatusNotFound, "GET", "/v1/effective-connection?project=payments", "")
	if !strings.Contains(string(a.body), `"NO_EFFECTIVE_CONNECTION"`) {
		t.Errorf("%s", a.body)
	}
}
