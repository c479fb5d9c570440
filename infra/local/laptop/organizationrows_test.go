package laptop_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"rolecall/infra/local/cfn"
	"rolecall/infra/local/organizations"
	"rolecall/infra/local/wire"
)

// The rows' own organization: accounts join it as they are needed. What its stack set would make in each, the rows make.
const (
	rowsOrganization = "o-methods000"
	rowsRoot         = "r-rows"
)

var makeRowsOrganization = sync.OnceValue(func() error {
	return pocket.Organizations.Create(organizations.Organization{ID: rowsOrganization, Management: "319999999999", Root: rowsRoot})
})

// joined is a new account of the rows' organization.
func joined(t testing.TB) customer {
	t.Helper()
	if err := makeRowsOrganization(); err != nil {
		t.Fatal(err)
	}
	account := newAccount()
	if err := pocket.Organizations.Join(rowsOrganization, account, rowsRoot); err != nil {
		t.Fatal(err)
	}
	return customer{t, account, "eu-west-1"}
}

func (x tenant) enrol(rule string) (e enrolment) {
	x.t.Helper()
	x.want(http.StatusCreated, "POST", "/v1/enrolments", fmt.Sprintf(
		`{"organizationId":%q,"organizationalUnitIds":[%q],"nameRule":"%s {accountId}"}`, rowsOrganization, rowsRoot, rule)).into(x.t, &e)
	return e
}

// makesUp reports, from any account, a stack that another one does not have. Whoever reads an enrolment's token can; but not
// that the bucket takes the answer, for which the address has CloudFormation's form and a signature of nobody's.
func (c customer) makesUp(e enrolment, account, stack string) {
	c.t.Helper()
	const topic = "arn:aws:sns:eu-west-1:111111111111:rolecall-callbacks"
	id := "arn:aws:cloudformation:eu-west-1:" + account + ":stack/" + stack + "/00000000-aaaa"
	address := cfn.ResponseAddress{
		Bucket: pocket.AWSURL + strings.TrimSuffix(cfn.ResponsePath, "/"), StackID: id, LogicalID: "Member", RequestID: "made-up",
		By: wire.Credentials{AccessKeyID: "AKIAMADEUP"}, At: now.Now(), Life: 2 * time.Hour,
	}
	message, err := json.Marshal(map[string]any{
		"RequestType": "Create", "ServiceToken": topic, "ResponseURL": address.URL(), "StackId": id,
		"RequestId": "made-up", "LogicalResourceId": "Member", "ResourceType": "Custom::RolecallMember",
		"ResourceProperties": map[string]string{
			"EnrolmentId": e.ID, "CallbackToken": e.Launch.Parameters["EnrolmentToken"], "RoleArn": "arn:aws:iam::" + account + ":role/" + stack,
			"PermissionSet": "read-only", "TemplateVersion": "1.0.0",
		},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	client := sns.NewFromConfig(awsConfig(c.account, "any", "", "eu-west-1"))
	if _, err := client.Publish(c.t.Context(), &sns.PublishInput{TopicArn: aws.String(topic), Message: aws.String(string(message))}); err != nil {
		c.t.Fatal(err)
	}
}

// An accountRow is what becomes of one account of an enrolled organization.
type accountRow struct {
	outcome, status, code, fix string
	// before is done before the account's stack is made.
	before func(t *testing.T, acme tenant, e enrolment, theirs customer)
	apart  bool // the account is not of the organization
}

const memberStack = "member"

func accountRows() []accountRow {
	done := func(theirs customer, stack string) { theirs.await(stack, types.StackStatusCreateComplete, time.Minute) }
	return []accountRow{
		{outcome: "as it should be", status: "enabled"},
		{outcome: "connected already", status: "linked", before: func(_ *testing.T, acme tenant, _ enrolment, theirs customer) {
			c := acme.create("known before " + theirs.account)
			theirs.launch(c, nil)
			done(theirs, c.Launch.StackName)
		}},
		{outcome: "connected by another enrolment", status: "linked", before: func(_ *testing.T, acme tenant, _ enrolment, theirs customer) {
			other := acme.enrol("Other")
			theirs.presents(other, "other")
			done(theirs, "other")
		}},
		{outcome: "reported before by somebody who made it up", status: "enabled", before: func(t *testing.T, acme tenant, e enrolment, theirs customer) {
			joined(t).makesUp(e, theirs.account, "made-up")
			eventually(t, time.Minute, "the made-up role on trial", func() bool {
				return slices.ContainsFunc(logs.all(), func(l string) bool {
					return strings.HasPrefix(l, "rolecall-verify ") && strings.Contains(l, `"msg":"report"`) && strings.Contains(l, theirs.account+":stack/made-up/")
				})
			})
			if line, listed := acme.accounts(e.ID)[theirs.account]; listed {
				t.Errorf("listed before CloudFormation took an answer: %+v", line)
			}
		}},
		{outcome: "a second stack", status: "enabled", code: "ACCOUNT_CONNECTED", fix: "other stack", before: func(_ *testing.T, _ tenant, e enrolment, theirs customer) {
			theirs.presents(e, "first")
			done(theirs, "first")
		}},
		{outcome: "may not say where it belongs", status: "failed", code: "ORG_DENIED", fix: "organizations:DescribeOrganization", before: func(t *testing.T, _ tenant, _ enrolment, theirs customer) {
			control(t, "organizations:DescribeOrganization", theirs.account)
		}},
		{outcome: "of another organization", status: "failed", code: "ORG_MISMATCH", fix: "Delete this stack", apart: true},
		{outcome: "after revocation", status: "failed", code: "ENROLMENT_REVOKED", fix: "new enrolment", before: func(_ *testing.T, acme tenant, e enrolment, _ customer) {
			acme.want(http.StatusNoContent, "DELETE", "/v1/enrolments/"+e.ID, "")
		}},
	}
}

// run makes the account's stack, and tells what became of the account and what its stack was told.
func (r accountRow) run(t *testing.T) verdict {
	t.Helper()
	theirs := joined(t)
	if r.apart {
		pocket.Organizations.Leave(theirs.account)
	}
	acme := as(t, "acme-method-"+theirs.account)
	e := acme.enrol("Member")
	if r.before != nil {
		r.before(t, acme, e, theirs)
	}
	theirs.presents(e, memberStack)
	v := verdict{method: "organization's account", outcome: r.outcome}
	if r.code == "" {
		theirs.await(memberStack, types.StackStatusCreateComplete, 2*time.Minute)
	} else {
		theirs.await(memberStack, types.StackStatusRollbackComplete, 160*time.Second)
		v.code, v.fix = told(theirs.reasons(memberStack))
	}
	v.status = acme.accounts(e.ID)[theirs.account].Status
	if v.status != r.status || v.code != r.code || !strings.Contains(v.fix, r.fix) {
		t.Errorf("%s: %+v, want %s %s", r.outcome, v, r.status, r.code)
	}
	return v
}

// Nothing secret of an enrolment shows, whether its accounts are connected or refused: its token in no log, record, event,
// error or call, and the secret in its external IDs in no log, event or error.
func TestNoSecretOfAnEnrolmentShows(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-enrolment-canary")
	began, mark := len(logs.all()), pocket.Journal.Mark()
	e := acme.enrol("Canary")
	good, stranger := joined(t), customer{t, newAccount(), "eu-west-1"}
	good.presents(e, memberStack)
	stranger.presents(e, memberStack)
	wrong := e
	wrong.Launch = new(*e.Launch)
	wrong.Launch.Parameters = map[string]string{}
	for name, value := range e.Launch.Parameters {
		wrong.Launch.Parameters[name] = value
	}
	token := []byte(e.Launch.Parameters["EnrolmentToken"])
	token[10] ^= 1
	wrong.Launch.Parameters["EnrolmentToken"] = string(token)
	stranger.makesUp(wrong, good.account, "wrong-token")
	stranger.makesUp(e, newAccount(), "made-up")
	good.await(memberStack, types.StackStatusCreateComplete, time.Minute)
	stranger.await(memberStack, types.StackStatusRollbackComplete, time.Minute)
	var errs []string
	for _, bad := range []string{e.Launch.Parameters["EnrolmentToken"], e.Launch.Parameters["ExternalIdPrefix"]} {
		errs = append(errs, string(acme.call("GET", "/v1/enrolments/"+bad, "").body))
	}
	acme.want(http.StatusNoContent, "DELETE", "/v1/enrolments/"+e.ID, "")

	connection := acme.accounts(e.ID)[good.account].ConnectionID
	refused := acme.accounts(e.ID)[stranger.account].ConnectionID
	open := map[string]string{ // where the secret in the external IDs must not be, either
		"logs":     strings.Join(logs.all()[began:], "\n"),
		"timeline": timelineText(acme, connection) + timelineText(acme, refused),
		"errors":   strings.Join(append(errs, stranger.reasons(memberStack)...), "\n"),
		"journal":  fmt.Sprintf("%+v", pocket.Journal.Entries(mark)),
	}
	table := linesWith(scan(t), e.ID, connection, refused)
	for where, text := range map[string]string{"table": table, "errors": open["errors"], "timeline": open["timeline"], "journal": open["journal"]} {
		if len(text) < 100 {
			t.Fatalf("%s: nothing in it", where)
		}
	}
	for _, form := range formsOf(e.Launch.Parameters["EnrolmentToken"]) {
		if strings.Contains(table, form) {
			t.Error("table: the enrolment's token")
		}
		for where, text := range open {
			if strings.Contains(text, form) {
				t.Errorf("%s: the enrolment's token", where)
			}
		}
	}
	for _, form := range formsOf(strings.TrimPrefix(e.Launch.Parameters["ExternalIdPrefix"], "rce-")) {
		for where, text := range open {
			if strings.Contains(text, form) {
				t.Errorf("%s: the secret in the external IDs", where)
			}
		}
	}
}
