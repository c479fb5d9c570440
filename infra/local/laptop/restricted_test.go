package laptop_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// A machine whose token names connections or scopes uses and changes those, in every way there is, and no others; what the
// claim is read against it cannot change, whatever its OAuth scopes are. What it may read is not narrowed.
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
	ids["spare"] = acme.create("Restricted spare").ID
	rows := []struct {
		claim     any
		web, data bool
	}{
		{[]string{ids["web"]}, true, false},
		{"project:data conn_elsewhere", false, true},
		{[]string{"project:web", ids["data"]}, true, true},
		{[]string{}, false, false},
		{"", false, false},
		{nil, true, true}, // absent
	}
	for i, tt := range rows {
		m := machine{restrictedTo(t, name, tt.claim), fmt.Sprint(tt.claim)}
		for what, may := range map[string]bool{"web": tt.web, "data": tt.data, "spare": tt.claim == nil} {
			path := "/v1/connections/" + ids[what]
			before := m.get(ids[what])
			if what != "spare" { // which is not enabled
				m.may(may, "GET", path+"/credentials", "")
				m.may(may, "GET", "/v1/effective-connection/credentials?project="+what, "")
				m.may(may, "POST", path+"/credentials", "{}")
				m.may(may, "POST", path+"/sign-in", "{}")
				m.may(may, "POST", path+"/verify", "")
			} else {
				m.may(may, "POST", path+"/launch", "")
			}
			m.may(may, "PATCH", path, fmt.Sprintf(`{"name":"Restricted %s %d"}`, what, i))
			if !may {
				m.may(false, "PUT", path+"/role", `{"roleArn":"arn:aws:iam::222222222261:role/Other"}`)
				m.may(false, "PUT", path+"/access-key", `{"accessKeyId":"AKIAEXAMPLEEXAMPLE22","secretAccessKey":"example"}`)
				m.may(false, "POST", path+"/launch", "")
				m.may(false, "POST", path+"/revoke-sessions", "")
				m.may(false, "DELETE", path, "")
				if after := m.get(ids[what]); after.Version != before.Version || after.Launch != nil {
					t.Errorf("%s: %s is at version %d, was %d; launch %v", m.claim, what, after.Version, before.Version, after.Launch)
				}
			}
		}
	}
	for _, tt := range rows[:len(rows)-1] {
		machine{restrictedTo(t, name, tt.claim), fmt.Sprint(tt.claim)}.cannotWiden(ids)
	}
	m := machine{restrictedTo(t, name, "project:web"), "project:web"}
	m.may(true, "POST", "/v1/connections/"+ids["web"]+"/revoke-sessions", "")
	m.may(true, "DELETE", "/v1/connections/"+ids["web"], "")
	m.may(false, "DELETE", "/v1/connections/"+ids["data"], "")
}

// cannotWiden tries what would have the claim admit more, or is the whole tenant's.
func (m machine) cannotWiden(ids map[string]string) {
	m.t.Helper()
	for _, id := range ids {
		for _, scopes := range []string{`[]`, `[{"level":"project","id":"web"},{"level":"project","id":"data"}]`} {
			m.may(false, "PUT", "/v1/connections/"+id+"/scopes", `{"takeOver":true,"scopes":`+scopes+`}`)
		}
	}
	m.may(false, "POST", "/v1/connections", `{"name":"Restricted new"}`)
	m.may(false, "POST", "/v1/connections", `{"name":"Restricted new","scopes":[{"level":"project","id":"new"}]}`)
	m.may(false, "POST", "/v1/enrolments", `{"organizationId":"o-a1b2c3d4e5","organizationalUnitIds":["r-ab12"]}`)
	for method, path := range map[string]string{"GET": "/api/account/aws/config", "POST": "/api/account/aws/add"} {
		body := map[string]string{"POST": `{"roleArn":"arn:aws:iam::222222222261:role/Unknown"}`}[method]
		if a := m.call(method, path, body); a.status != http.StatusForbidden || !strings.Contains(string(a.body), "the token is restricted to ") {
			m.t.Errorf("%s, %s %s: %d %s", m.claim, method, path, a.status, a.body)
		}
	}
}

// A machine is a tenant's client whose token has a claim.
type machine struct {
	tenant
	claim string
}

// restrictedTo has all OAuth scopes; a nil claim is absent.
func restrictedTo(t *testing.T, name string, claim any) tenant {
	t.Helper()
	token, err := pocket.Issuer.Token(name, []string{"connections:read", "connections:write", "credentials:issue"}, map[string]any{"rolecall_connections": claim})
	if err != nil {
		t.Fatal(err)
	}
	return tenant{t, token}
}

// may holds whether a request is let through.
func (m machine) may(may bool, method, path, body string) {
	m.t.Helper()
	a := m.call(method, path, body)
	refused := a.status == http.StatusForbidden && strings.Contains(string(a.body), `"CONNECTION_NOT_ALLOWED"`)
	if may && a.status >= 300 || !may && !refused {
		m.t.Errorf("%s, %s %s: %d %.200s, may: %t", m.claim, method, path, a.status, a.body, may)
	}
}
