package httpapi

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
)

func (t *tokens) EnrolmentToken(_ context.Context, id connect.EnrolmentID) (connect.Secret, error) {
	t.made++
	return connect.NewSecret(canaryEnrolled + "." + string(id)), t.fail
}

func (t *tokens) ProveEnrolment(context.Context, connect.EnrolmentID, connect.Secret) error {
	return nil
}

const enrolBody = `{"organizationId":"o-a1b2c3d4e5","organizationalUnitIds":["r-ab12","ou-ab12-c3d4e5f6"],"nameRule":"Acme {accountId}"}`

func (w *world) enrol(body string) Enrolment {
	w.t.Helper()
	var e Enrolment
	if err := json.Unmarshal([]byte(w.want(ask{method: "POST", path: "/v1/enrolments", body: body}, 201).raw), &e); err != nil {
		w.t.Fatal(err)
	}
	return e
}

func TestAnEnrolmentsLife(t *testing.T) {
	w := newWorld(t)
	made := w.enrol(enrolBody)
	if made.Status != "active" || made.NameRule != "Acme {accountId}" || made.Permissions != "read-only" || made.DefaultRegion != "eu-west-1" {
		t.Errorf("made %+v", made)
	}
	l := made.Launch
	if l == nil || l.Parameters["EnrolmentToken"] == "" || !strings.HasPrefix(l.Parameters["ExternalIdPrefix"], "rce-") ||
		l.Parameters["OrganizationalUnitIds"] != "r-ab12,ou-ab12-c3d4e5f6" || !strings.Contains(l.QuickCreateURL, "param_EnrolmentId="+made.ID) {
		t.Fatalf("launch %+v", l)
	}
	for _, word := range []string{"create-stack", "CAPABILITY_IAM", `r-ab12\,ou-ab12-c3d4e5f6`, "'https://templates.example/organization.yaml'"} {
		if !strings.Contains(l.CLI, word) {
			t.Errorf("the command lacks %s:\n%s", word, l.CLI)
		}
	}
	w.want(ask{method: "GET", path: "/v1/enrolments"}, 200)
	id := connect.EnrolmentID(made.ID)
	stack, err := connect.ParseStackID("arn:aws:cloudformation:eu-west-1:222222222222:stack/one/11111111-aaaa")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []connect.Member{
		{EnrolmentID: id, AccountID: "222222222222", ConnectionID: "conn_1", Own: "conn_1", State: connect.MemberEnabled, StackID: stack, UpdatedAt: w.now},
		{
			EnrolmentID: id, AccountID: "333333333333", ConnectionID: "conn_2", Own: "conn_2", State: connect.MemberFailed, RolledBack: true, UpdatedAt: w.now,
			Reason: connect.Reason{Code: connect.CodeOrganizationDenied, Message: "not there", Fix: "Leave."},
		},
	} {
		w.store.PutMember(m)
	}
	var read Enrolment
	if err := json.Unmarshal([]byte(w.want(ask{method: "GET", path: "/v1/enrolments/" + made.ID}, 200).raw), &read); err != nil {
		t.Fatal(err)
	}
	if p := read.Progress; p == nil || p.Accounts != 2 || p.Enabled != 1 || p.Failed != 1 || read.Launch.Parameters["EnrolmentToken"] != l.Parameters["EnrolmentToken"] {
		t.Errorf("read %+v", read)
	}
	accounts := string(w.want(ask{method: "GET", path: "/v1/enrolments/" + made.ID + "/accounts"}, 200).raw)
	if !strings.Contains(accounts, `"ORG_DENIED"`) || !strings.Contains(accounts, `"333333333333"`) {
		t.Errorf("accounts %s", accounts)
	}
	again := string(w.want(ask{method: "POST", path: "/v1/enrolments/" + made.ID + "/retry"}, 200).raw)
	if !strings.Contains(again, `"redeploy":["333333333333"]`) || !strings.Contains(again, "update-stack-set") || strings.Contains(again, "222222222222") {
		t.Errorf("retried %s", again)
	}
	for range 2 {
		w.want(ask{method: "DELETE", path: "/v1/enrolments/" + made.ID}, 204)
	}
	after := string(w.want(ask{method: "GET", path: "/v1/enrolments/" + made.ID}, 200).raw)
	if !strings.Contains(after, `"revoked"`) || strings.Contains(after, "launch") {
		t.Errorf("revoked: %s", after)
	}
}

func TestEnrolmentsThatCannotBe(t *testing.T) {
	w := newWorld(t)
	for body, code := range map[string]string{
		`{"organizationId":"o-1","organizationalUnitIds":["r-ab12"]}`:                                                                  "ORGANIZATION_INVALID",
		`{"organizationId":"o-a1b2c3d4e5","organizationalUnitIds":[]}`:                                                                 "ORGANIZATIONAL_UNITS_INVALID",
		`{"organizationId":"o-a1b2c3d4e5","organizationalUnitIds":["r-ab12","r-ab12"]}`:                                                "ORGANIZATIONAL_UNITS_INVALID",
		`{"organizationId":"o-a1b2c3d4e5","organizationalUnitIds":["ou-ab12"]}`:                                                        "ORGANIZATIONAL_UNITS_INVALID",
		`{"organizationId":"o-a1b2c3d4e5","organizationalUnitIds":"r-ab12"}`:                                                           "FIELD_INVALID",
		`{"organizationId":"o-a1b2c3d4e5","organizationalUnitIds":["r-ab12"],"nameRule":"all the same"}`:                               "NAME_RULE_INVALID",
		`{"organizationId":"o-a1b2c3d4e5","organizationalUnitIds":["r-ab12"],"nameRule":"{accountId} {prefix}"}`:                       "NAME_RULE_INVALID",
		`{"organizationId":"o-a1b2c3d4e5","organizationalUnitIds":["r-ab12"],"permissions":"everything"}`:                              "PERMISSIONS_INVALID",
		`{"organizationId":"o-a1b2c3d4e5","organizationalUnitIds":["r-ab12"],"externalId":"mine"}`:                                     "UNKNOWN_FIELD",
		`{"organizationId":"o-a1b2c3d4e5","organizationalUnitIds":["r-ab12"],"defaultRegion":"cn-north-1"}`:                            "PARTITION_MISMATCH",
		`{"organizationId":"o-a1b2c3d4e5","organizationalUnitIds":["r-ab12"],"nameRule":"` + strings.Repeat("x", 60) + `{accountId}"}`: "NAME_RULE_INVALID",
	} {
		if raw := string(w.want(ask{method: "POST", path: "/v1/enrolments", body: body}, 400).raw); !strings.Contains(raw, `"`+code+`"`) {
			t.Errorf("%s: %s, want %s", body, raw, code)
		}
	}
	for range connect.MaxEnrolments {
		w.now = w.now.Add(time.Millisecond)
		w.enrol(enrolBody)
	}
	if raw := string(w.want(ask{method: "POST", path: "/v1/enrolments", body: enrolBody}, 409).raw); !strings.Contains(raw, "ENROLMENT_LIMIT") {
		t.Error(raw)
	}
}

func TestOtherTenantsEnrolmentsDoNotExist(t *testing.T) {
	w := newWorld(t)
	mine := w.enrol(enrolBody).ID
	var bodies []string
	for _, id := range []string{mine, "enr_01ka000000000000000000demx", "enr_", "x", mine + "%00"} {
		for _, r := range Routes() {
			if !strings.HasPrefix(r.Path, "/v1/enrolments/{id}") {
				continue
			}
			raw := w.want(ask{method: r.Method, path: strings.ReplaceAll(r.Path, "{id}", id), tenant: "other"}, 404).raw
			bodies = append(bodies, string(raw))
		}
	}
	for _, b := range bodies {
		if b != bodies[0] || !strings.Contains(b, "ENROLMENT_NOT_FOUND") {
			t.Errorf("answers differ:\n%s\n%s", bodies[0], b)
		}
	}
	if list := string(w.want(ask{method: "GET", path: "/v1/enrolments", tenant: "other"}, 200).raw); strings.Contains(list, mine) {
		t.Errorf("another tenant's list: %s", list)
	}
}
