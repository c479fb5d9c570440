package organizations_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"rolecall/infra/local/organizations"
	"rolecall/infra/local/wire"
)

const (
	management = "310000000000"
	root       = "r-ab12"
	upper      = "ou-ab12-aaaaaaaa"
	lower      = "ou-ab12-bbbbbbbb"
)

func made(t *testing.T) *organizations.Service {
	t.Helper()
	s := organizations.New()
	if err := s.Create(organizations.Organization{
		ID: "o-a1b2c3d4e5", Management: management, Root: root, Units: map[string]string{upper: root, lower: upper},
		Accounts: map[string]string{"310000000001": "", "310000000002": upper, "310000000003": lower},
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

func call(s *organizations.Service, account, operation, body string) (map[string]any, error) {
	r, err := s.Serve(context.Background(), &wire.Call{
		Service: "organizations", Operation: operation, Body: []byte(body),
		Principal: wire.Principal{Account: account, ARN: "arn:aws:iam::" + account + ":root"},
	})
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(r.Value)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	return out, json.Unmarshal(text, &out)
}

func code(err error) string {
	var e *wire.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestEveryAccountMayAskWhereItBelongs(t *testing.T) {
	s := made(t)
	for _, account := range []string{management, "310000000003"} {
		got, err := call(s, account, "DescribeOrganization", "{}")
		if err != nil || got["Organization"].(map[string]any)["Id"] != "o-a1b2c3d4e5" || got["Organization"].(map[string]any)["MasterAccountId"] != management {
			t.Errorf("%s: %v, %v", account, got, err)
		}
	}
	if _, err := call(s, "399999999999", "DescribeOrganization", "{}"); code(err) != "AWSOrganizationsNotInUseException" {
		t.Errorf("an outsider: %v", err)
	}
	if _, err := call(s, "310000000001", "ListAccounts", "{}"); code(err) != "AccessDeniedException" {
		t.Errorf("a member's list: %v", err)
	}
	got, err := call(s, management, "ListAccounts", `{"MaxResults":3}`)
	if err != nil || len(got["Accounts"].([]any)) != 3 || got["NextToken"] != "3" {
		t.Errorf("%v, %v", got, err)
	}
	if got, err = call(s, management, "ListAccounts", `{"NextToken":"3"}`); err != nil || len(got["Accounts"].([]any)) != 1 || got["NextToken"] != nil {
		t.Errorf("%v, %v", got, err)
	}
	if got, err = call(s, management, "ListRoots", "{}"); err != nil || got["Roots"].([]any)[0].(map[string]any)["Id"] != root {
		t.Errorf("%v, %v", got, err)
	}
}

func TestTargetsOfAStackSet(t *testing.T) {
	s := made(t)
	if _, err := s.Targets(management, false, []string{root}); code(err) != "ValidationError" {
		t.Errorf("without trusted access: %v", err)
	}
	if err := s.Trust("310000000001"); err == nil {
		t.Error("a member activated trusted access")
	}
	if err := s.Trust(management); err != nil {
		t.Fatal(err)
	}
	for unit, want := range map[string][]string{
		root: {"310000000001", "310000000002", "310000000003"}, upper: {"310000000002", "310000000003"}, lower: {"310000000003"},
	} {
		if got, err := s.Targets(management, false, []string{unit}); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", unit, got, err)
		}
	}
	if _, err := s.Targets("310000000001", true, []string{root}); err == nil {
		t.Error("a member that is no delegated administrator")
	}
	body := `{"AccountId":"310000000001","ServicePrincipal":"member.org.stacksets.cloudformation.amazonaws.com"}`
	if _, err := call(s, management, "RegisterDelegatedAdministrator", body); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Targets("310000000001", true, []string{root}); err != nil || len(got) != 3 {
		t.Errorf("a delegated administrator: %v, %v", got, err)
	}
	if _, err := s.Targets("310000000001", false, []string{root}); err == nil {
		t.Error("a member that calls for itself")
	}
}

func TestServiceControlPoliciesBindAllButTheManagementAccount(t *testing.T) {
	s := made(t)
	deny := `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"sns:Publish","Resource":"*"}}`
	for _, account := range []string{management, "310000000001"} {
		if err := s.Control(account, deny); err != nil {
			t.Fatal(err)
		}
	}
	need := wire.Need{Action: "sns:Publish", Resource: "arn:aws:sns:eu-west-1:111111111111:t"}
	for account, want := range map[string]string{"310000000001": "AccessDenied", "310000000002": "", management: "", "399999999999": ""} {
		p := wire.Principal{Account: account, ARN: "arn:aws:iam::" + account + ":root"}
		if got := code(s.Forbids(p, need)); got != want {
			t.Errorf("%s: %q, want %q", account, got, want)
		}
	}
	if err := s.Control("310000000001", ""); err != nil || s.Forbids(wire.Principal{Account: "310000000001"}, need) != nil {
		t.Errorf("taken away: %v", err)
	}
	if err := s.Control("310000000001", "{"); err == nil {
		t.Error("a policy that is none")
	}
}

func TestOrganizationsThatCannotBe(t *testing.T) {
	s := made(t)
	for name, o := range map[string]organizations.Organization{
		"id":            {ID: "o-1", Management: "320000000000", Root: root},
		"root":          {ID: "o-bbbbbbbbbb", Management: "320000000000", Root: "root"},
		"unit":          {ID: "o-bbbbbbbbbb", Management: "320000000000", Root: root, Units: map[string]string{"ou": root}},
		"account":       {ID: "o-bbbbbbbbbb", Management: "320000000000", Root: root, Accounts: map[string]string{"1": ""}},
		"taken account": {ID: "o-bbbbbbbbbb", Management: "320000000000", Root: root, Accounts: map[string]string{"310000000001": ""}},
	} {
		if err := s.Create(o); err == nil {
			t.Errorf("%s: made", name)
		}
	}
}
