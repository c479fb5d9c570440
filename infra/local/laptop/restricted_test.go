package laptop_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// A machine whose token names connections or scopes is handed credentials for those, in every way there is, and for nothing
// else; what it may read is not narrowed.
func TestRestrictedMachines(t *testing.T) {
	const name = "acme-restricted"
	acme := as(t, name)
	ids := map[string]string{}
	for what, account := range map[string]string{"web": "222222222261", "data": "222222222262"} {
		c := acme.create("Restricted " + what)
		theirs := customer{t, account, c.Launch.Region}
		theirs.launch(c, nil)
		theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 30*time.Second)
		acme.want(http.StatusOK, "PUT", "/v1/connections/"+c.ID+"/scopes", `{"scopes":[{"level":"project","id":"`+what+`"}]}`)
		ids[what] = c.ID
	}
	for _, tt := range []struct {
		claim     any
		web, data int
	}{
		{[]string{ids["web"]}, http.StatusOK, http.StatusForbidden},
		{"project:data conn_elsewhere", http.StatusForbidden, http.StatusOK},
		{[]string{"project:web", ids["data"]}, http.StatusOK, http.StatusOK},
		{[]string{}, http.StatusForbidden, http.StatusForbidden},
	} {
		token, err := pocket.Issuer.Token(name, []string{"connections:read", "credentials:issue"}, map[string]any{"rolecall_connections": tt.claim})
		if err != nil {
			t.Fatal(err)
		}
		machine := tenant{t, token}
		for what, want := range map[string]int{"web": tt.web, "data": tt.data} {
			machine.want(http.StatusOK, "GET", "/v1/connections/"+ids[what], "")
			for _, ask := range []struct{ method, path string }{
				{"GET", "/v1/connections/" + ids[what] + "/credentials"},
				{"GET", "/v1/effective-connection/credentials?project=" + what},
				{"POST", "/v1/connections/" + ids[what] + "/credentials"},
				{"POST", "/v1/connections/" + ids[what] + "/sign-in"},
			} {
				body := ""
				if ask.method == "POST" {
					body = "{}"
				}
				if a := machine.call(ask.method, ask.path, body); a.status != want || (want == http.StatusForbidden) != strings.Contains(string(a.body), "CONNECTION_NOT_ALLOWED") {
					t.Errorf("%v, %s %s of %s: %d %.200s, want %d", tt.claim, ask.method, ask.path, what, a.status, a.body, want)
				}
			}
		}
	}
}
