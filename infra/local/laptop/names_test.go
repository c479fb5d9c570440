package laptop_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// A hundred callers want one name, through the gateway and the real function: one gets it, and nobody ever again.
// Not beside other tests: so many callers throttle the function for everybody.
func TestOneName(t *testing.T) {
	acme := as(t, "acme-names")
	answers := make([]answer, 100)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			for answers[i].status == 0 || answers[i].status == http.StatusServiceUnavailable { // busy or throttled: asked to try again
				answers[i] = acme.call("POST", "/v1/connections", `{"name":"Wanted"}`)
			}
		})
	}
	wg.Wait()
	var won connection
	for _, a := range answers {
		switch {
		case a.status == http.StatusCreated && won.ID == "":
			a.into(t, &won)
		case a.status == http.StatusConflict && strings.Contains(string(a.body), `"NAME_TAKEN"`):
		default:
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if won.ID == "" {
		t.Fatal("nobody got the name")
	}
	taken := func(name string) {
		t.Helper()
		a := acme.want(http.StatusConflict, "POST", "/v1/connections", fmt.Sprintf(`{"name":%q}`, name))
		if !strings.Contains(string(a.body), `"NAME_TAKEN"`) {
			t.Errorf("%s", a.body)
		}
	}
	path := "/v1/connections/" + won.ID
	var got connection
	a := acme.want(http.StatusOK, "PATCH", path, `{"name":"Better","defaultRegion":"us-east-1"}`, "If-Match", `"1"`)
	if a.into(t, &got); got.Name != "Better" || got.Version != 2 || got.Launch.Region != "us-east-1" {
		t.Errorf("%s", a.body)
	}
	taken("WANTED")
	acme.want(http.StatusPreconditionFailed, "PATCH", path, `{"name":"Best"}`, "If-Match", `"1"`)
	acme.want(http.StatusNoContent, "DELETE", path, "")
	taken("wanted")
	taken("ＢＥＴＴＥＲ")
	as(t, "acme-other-names").create("Wanted")
	if e := acme.timeline(won.ID)[1]; e.Type != "connection.updated" || e.Data["previousName"] != "Wanted" {
		t.Errorf("%+v", e)
	}
}
