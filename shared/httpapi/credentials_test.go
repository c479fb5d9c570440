package httpapi

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"rolecall/shared/connect"
)

func TestCredentialsInEveryShape(t *testing.T) {
	w := newWorld(t)
	path := "/v1/connections/" + w.enabled("a").ID + "/credentials"
	for _, method := range []string{"GET", "POST"} {
		body := ""
		if method == "POST" {
			body = "{}"
		}
		got := string(w.want(ask{method: method, path: path + "?format=process", body: body}, 200).raw)
		want := `{"Version":1,"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"canary-secret-access-key","SessionToken":"canary-session-token",` +
			`"Expiration":"2026-03-04T05:36:07Z","AccountId":"222222222222"}` + "\n"
		if got != want {
			t.Errorf("process: %s", got)
		}
		got = string(w.want(ask{method: method, path: path + "?format=env", body: body, text: true}, 200).raw)
		want = "export AWS_ACCESS_KEY_ID='ASIAEXAMPLE'\nexport AWS_SECRET_ACCESS_KEY='canary-secret-access-key'\n" +
			"export AWS_SESSION_TOKEN='canary-session-token'\nexport AWS_CREDENTIAL_EXPIRATION='2026-03-04T05:36:07Z'\n" +
			"export AWS_REGION='eu-west-1'\nexport AWS_DEFAULT_REGION='eu-west-1'\n"
		if got != want {
			t.Errorf("env: %s", got)
		}
	}
	env := w.want(ask{method: "POST", path: path + "?format=env", body: `{"region":"us-east-1"}`, text: true}, 200).raw
	out, err := exec.Command("sh", "-c", string(env)+"printf %s \"$AWS_REGION $AWS_SESSION_TOKEN\"").Output() //nolint:noctx // that a shell reads it is what is tested
	if err != nil || string(out) != "us-east-1 canary-session-token" {
		t.Errorf("a shell reads %q (%v)", out, err)
	}
	w.mustHaveNoSecret()
}

// mustHaveNoSecret looks for what was handed out in everything that stays.
func (w *world) mustHaveNoSecret() {
	w.t.Helper()
	for _, secret := range []string{"canary-secret-access-key", "canary-session-token"} {
		if strings.Contains(w.log.String(), secret) {
			w.t.Errorf("%s in the log", secret)
		}
		for _, e := range w.store.Log() {
			if text := fmt.Sprint(e); strings.Contains(text, secret) {
				w.t.Errorf("%s in event %s", secret, text)
			}
		}
	}
}

func TestCredentialsByPlace(t *testing.T) {
	w := newWorld(t)
	path := "/v1/effective-connection/credentials"
	c := w.enabled("a")
	w.refused(ask{method: "GET", path: path + "?project=web"}, 404, connect.CodeNoEffectiveConnection)
	w.want(ask{method: "PUT", path: "/v1/connections/" + c.ID + "/scopes", body: `{"scopes":[{"level":"project","id":"web"}]}`}, 200)
	got := read[Credentials](t, w.want(ask{method: "GET", path: path + "?project=web&environment=prod"}, 200))
	if got.AccountID != "222222222222" {
		t.Errorf("%+v", got)
	}
	w.want(ask{method: "GET", path: path + "?project=web&format=env", text: true}, 200)
	w.refused(ask{method: "GET", path: path + "?project=other"}, 404, connect.CodeNoEffectiveConnection)
	w.refused(ask{method: "GET", path: path + "?project=web", tenant: "other"}, 404, connect.CodeNoEffectiveConnection)
	w.want(ask{method: "DELETE", path: "/v1/connections/" + c.ID}, 204)
	w.refused(ask{method: "GET", path: path + "?project=web"}, 404, connect.CodeNoEffectiveConnection)
	w.mustHaveNoSecret()
}

func TestCredentialsWithOptions(t *testing.T) {
	w := newWorld(t)
	path := "/v1/connections/" + w.enabled("a").ID + "/credentials"
	post := func(body string) ask { return ask{method: "POST", path: path, body: body} }
	short := read[Credentials](t, w.want(post(`{"durationSeconds":900,"readOnly":true,"reason":"ticket 7"}`), 200))
	if short.Expiration != "2026-03-04T05:21:07Z" {
		t.Errorf("expires %s", short.Expiration)
	}
	if !strings.Contains(w.log.String(), `"reason":"ticket 7"`) {
		t.Error("the audit log does not say why")
	}
	w.want(post(`{"policy":{"Statement":[]},"policyArns":["arn:aws:iam::aws:policy/ReadOnlyAccess"]}`), 200)
	for body, code := range map[string]connect.Code{
		`{"durationSeconds":899}`: connect.CodeDurationInvalid, `{"durationSeconds":"900"}`: codeFieldInvalid, `{"durationSeconds":0}`: codeFieldInvalid,
		`{"durationSeconds":900.5}`: codeFieldInvalid, `{"policy":"{}"}`: codeFieldInvalid, `{"policy":null}`: codeFieldInvalid,
		`{"policy":{}}`: connect.CodePolicyInvalid, `{"policyArns":"x"}`: codeFieldInvalid, `{"policyArns":[1]}`: codeFieldInvalid,
		`{"policyArns":[null]}`: codeFieldInvalid, `{"policyArns":["x"]}`: connect.CodePolicyARNInvalid, `{"readOnly":"true"}`: codeFieldInvalid, `{"region":"mars"}`: connect.CodeRegionInvalid,
		`{"externalId":"x"}`: codeUnknownField, `{"reason":"a\u0000b"}`: connect.CodeReasonInvalid,
	} {
		calls := w.account.calls
		w.refused(post(body), 400, code)
		if w.account.calls != calls {
			t.Errorf("%s: STS was asked", body)
		}
	}
}
