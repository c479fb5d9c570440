package httpapi

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// legacy asks one of Multi-Cloud Manager's routes and gives the answer word for word.
func (w *world) legacy(method, path, body string, status int) string {
	w.t.Helper()
	return strings.TrimSpace(string(w.want(ask{method: method, path: "/api/account/aws" + path, body: body}, status).raw))
}

func TestMultiCloudManagersRoutes(t *testing.T) {
	w := newWorld(t)
	config := read[AccountConfig](t, w.want(ask{method: "GET", path: "/api/account/aws/config"}, 200))
	if config.AWSAccountID != platformAccount || config.ExternalID == "" {
		t.Fatalf("%+v", config)
	}
	want := `{"awsAccountId":"111111111111","externalId":"` + config.ExternalID + `"}`
	for _, query := range []string{"", "?_=1"} {
		if again := w.legacy("GET", "/config"+query, "", 200); again != want {
			t.Errorf("read again: %s, want %s", again, want)
		}
	}
	const missing = `{"error":"Missing 'roleArn' in request body"}`
	for _, body := range []string{"", "{}", "null", "[]", "roleArn=x", `{"roleArn":""}`, `{"roleArn":" "}`, `{"roleArn":7}`, `{"roleArn":null}`, `{"RoleArn":"` + roleARN + `"}`} {
		if got := w.legacy("POST", "/add", body, 400); got != missing {
			t.Errorf("%q: %s", body, got)
		}
	}
	if got := w.legacy("POST", "/add", `{"roleArn":"`+roleARN+`","externalId":"mine"}`, 400); !strings.HasPrefix(got, `{"error":"The field 'externalId' is made by Rolecall alone`) {
		t.Error(got)
	}
	const denied = `{"error":"Access denied. Check role ARN, account ID, and ExternalId."}`
	for _, arn := range []string{roleARN, "x", "arn:aws:iam::222222222222:user/x", "arn:aws-cn:iam::222222222222:role/x", "arn:aws:iam::" + platformAccount + ":role/Own"} {
		if got := w.legacy("POST", "/add", `{"roleArn":"`+arn+`"}`, 403); got != denied {
			t.Errorf("%s: %s", arn, got)
		}
	}
	w.account.set(func(a *account) { a.right = connect.ExternalID(config.ExternalID); a.mute = true })
	w.account.set(func(a *account) {
		a.trust = connect.Platform{Partition: connect.PartitionAWS, Account: platformAccount}.TrustPolicy(a.right)
	})
	const added = `{"message":"AWS account 222222222222 successfully added."}`
	for _, body := range []string{`{"roleArn":"` + roleARN + `"}`, `{"roleArn":" ` + roleARN + `\n","alias":"prod","tags":[1]}`} {
		if got := w.legacy("POST", "/add", body, 201); got != added {
			t.Errorf("%s: %s", body, got)
		}
	}
	page := read[Connections](t, w.want(ask{method: "GET", path: "/v1/connections"}, 200))
	if len(page.Items) != 1 || page.Items[0].Name != "AWS Account (222222222222)" || page.Items[0].Status != "enabled" {
		t.Errorf("%+v", page.Items)
	}
	if next := read[AccountConfig](t, w.want(ask{method: "GET", path: "/api/account/aws/config"}, 200)); next.ExternalID == config.ExternalID {
		t.Error("a used external ID is given again")
	}
	other := read[AccountConfig](t, w.want(ask{method: "GET", path: "/api/account/aws/config", tenant: "other"}, 200))
	if other.ExternalID == config.ExternalID {
		t.Error("two tenants have one external ID")
	}
}

func TestMultiCloudManagersOtherErrors(t *testing.T) {
	w := newWorld(t)
	w.legacy("GET", "/config", "", 200)
	w.account.set(func(a *account) { a.down = true })
	if got := w.legacy("POST", "/add", `{"roleArn":"`+roleARN+`"}`, 500); !strings.HasPrefix(got, `{"error":"`) || strings.Contains(got, "dial tcp") {
		t.Error(got)
	}
	w.fail(errors.New("a secret of the store"))
	if got := w.legacy("GET", "/config", "", 500); got != `{"error":"something went wrong at our side"}` {
		t.Error(got)
	}
	w.fail(connect.Unavailable(connect.CodeStoreUnavailable, "the store is down", errors.New("why")))
	if got := w.legacy("GET", "/config", "", 500); got != `{"error":"the store is down"}` {
		t.Error(got)
	}
	w.fail(nil)
	for _, route := range []string{"GET /api/account/aws/config", "POST /api/account/aws/add"} {
		method, path, _ := strings.Cut(route, " ")
		for status, a := range map[int]ask{
			401: {method: method, path: path, tenant: "-"}, 403: {method: method, path: path, scopes: []string{ScopeRead}},
		} {
			if got := string(w.want(a, status).raw); !strings.HasPrefix(got, `{"error":"`) {
				t.Errorf("%s: %s", route, got)
			}
		}
	}
	w.refused(ask{method: "PUT", path: "/api/account/aws/add"}, 405, codeMethodNotAllowed)
}

// The names of an account's connections are counted on.
func TestNamesOfAddedAccounts(t *testing.T) {
	w := newWorld(t)
	w.create("aws account (222222222222) 2")
	for i, want := range []string{"AWS Account (222222222222)", "AWS Account (222222222222) 3", "AWS Account (222222222222) 4"} {
		w.now = w.now.Add(time.Second)
		config := read[AccountConfig](t, w.want(ask{method: "GET", path: "/api/account/aws/config"}, 200))
		external := connect.ExternalID(config.ExternalID)
		trust := connect.Platform{Partition: connect.PartitionAWS, Account: platformAccount}.TrustPolicy(external)
		w.account.set(func(a *account) { a.right, a.trust = external, trust })
		w.legacy("POST", "/add", fmt.Sprintf(`{"roleArn":"%s%d"}`, roleARN, i), 201)
		if got := read[Connections](t, w.want(ask{method: "GET", path: "/v1/connections"}, 200)).Items[0].Name; got != want {
			t.Errorf("added as %q, want %q", got, want)
		}
	}
}
