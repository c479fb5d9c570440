package laptop_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// At the wire a tenant's limit costs at most 0.05 writes for each hand-out. When the minute's are used up, credentials and
// sign-in links are refused with the time to come back, and AWS is not asked for anything.
func TestATenantsHandOuts(t *testing.T) {
	acme := as(t, "acme-hand-outs")
	c := acme.create("Much used")
	theirs := customer{t, "222222222263", c.Launch.Region}
	theirs.launch(c, nil)
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 30*time.Second)
	const handOuts = 120
	mark := pocket.Journal.Mark()
	for range handOuts {
		acme.want(http.StatusOK, "GET", "/v1/connections/"+c.ID+"/credentials", "")
	}
	if got := asked(mark, "broker"); got["dynamodb:UpdateItem"] == 0 || float64(got["dynamodb:UpdateItem"]) > 0.05*handOuts {
		t.Errorf("%d hand-outs cost %v", handOuts, got)
	}

	flood := as(t, "acme-issue-flood")
	f := flood.create("Flooded")
	for i := range 2 { // the minute may end meanwhile
		minute := time.Now().UTC().Add(time.Duration(i) * time.Minute).Format("2006-01-02T15:04")
		keep(t, map[string]any{"PK": "TENANT#acme-issue-flood", "SK": "LIMIT#credentials#" + minute, "used": 6000})
	}
	mark = pocket.Journal.Mark()
	for _, ask := range []struct{ method, path, body string }{
		{"GET", "/credentials", ""}, {"POST", "/credentials", `{"readOnly":true}`}, {"POST", "/sign-in", "{}"},
	} {
		a := flood.call(ask.method, "/v1/connections/"+f.ID+ask.path, ask.body)
		if wait := refusedFor(t, a, http.StatusTooManyRequests, "TOO_MANY_REQUESTS"); wait <= 0 || wait > time.Minute {
			t.Errorf("%s %s: to wait %s", ask.method, ask.path, wait)
		}
	}
	if got := asked(mark, "broker"); got["sts:AssumeRole"]+got["dynamodb:BatchGetItem"]+got["dynamodb:PutItem"] != 0 || got["dynamodb:UpdateItem"] > 3 {
		t.Errorf("what was refused cost %v", got)
	}
}
