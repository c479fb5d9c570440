package httpapi

import (
	"testing"

	"rolecall/shared/connect"
)

func TestUpdateConnection(t *testing.T) {
	w := newWorld(t)
	c := w.create("First")
	w.create("Other")
	path := "/v1/connections/" + c.ID
	patch := func(body, match string) ask {
		a := ask{method: "PATCH", path: path, body: body}
		if match != "" {
			a.header = map[string]string{"If-Match": match}
		}
		return a
	}
	for _, bad := range []struct {
		body, match string
		status      int
		code        connect.Code
	}{
		{`{}`, "", 400, codeNothingGiven},
		{``, "", 400, codeBodyMissing},
		{`{"name":""}`, "", 400, connect.CodeNameInvalid},
		{`{"name":null}`, "", 400, codeFieldInvalid},
		{`{"name":7}`, "", 400, codeFieldInvalid},
		{`{"name":"x","status":"enabled"}`, "", 400, codeUnknownField},
		{`{"name":"x","externalId":"rc-mine"}`, "", 400, codeUnknownField},
		{`{"name":"x","scopes":[]}`, "", 400, codeUnknownField},
		{`{"name":"x","name":"y"}`, "", 400, codeFieldInvalid},
		{`{"defaultRegion":""}`, "", 400, connect.CodeRegionInvalid},
		{`{"name":"x","defaultRegion":"cn-north-1"}`, "", 400, connect.CodePartitionMismatch},
		{`{"name":"oTHER"}`, "", 409, connect.CodeNameTaken},
		{`{"name":"x"}`, `"7"`, 412, connect.CodeVersion},
		{`{"name":"x"}`, `7`, 400, codeIfMatchInvalid},
	} {
		w.refused(patch(bad.body, bad.match), bad.status, bad.code)
	}
	res := w.want(patch(`{"name":"Second","defaultRegion":"us-east-1"}`, `"1"`), 200)
	got := read[Connection](t, res)
	if got.Name != "Second" || got.DefaultRegion != "us-east-1" || got.Version != 2 || res.Header.Get("ETag") != `"2"` {
		t.Errorf("%+v, ETag %s", got, res.Header.Get("ETag"))
	}
	if got.Launch == nil || got.Launch.Region != "us-east-1" || got.ExternalID != c.ExternalID {
		t.Errorf("the launch is for %+v", got.Launch)
	}
	if same := read[Connection](t, w.want(patch(`{"name":"Second"}`, ""), 200)); same.Version != 2 {
		t.Errorf("nothing to change made version %d", same.Version)
	}
	w.refused(ask{method: "POST", path: "/v1/connections", body: `{"name":"first"}`}, 409, connect.CodeNameTaken)
	w.want(patch(`{"name":"first"}`, ""), 200) // its own
	w.want(ask{method: "DELETE", path: path}, 204)
	w.refused(patch(`{"name":"Third"}`, ""), 409, connect.CodeStatus)
	w.refused(ask{method: "PATCH", path: path, body: `{"name":"x"}`, scopes: []string{ScopeRead}}, 403, codeScopeMissing)
}
