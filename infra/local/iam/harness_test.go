package iam_test

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"rolecall/infra/local/iam"
	"rolecall/infra/local/wire"
)

const (
	platform = "111111111111"
	customer = "222222222222"
)

// A world is the service with a clock that the test moves, called as the front door calls it.
type world struct {
	t      *testing.T
	iam    *iam.Service
	now    time.Time
	region string // where calls go; eu-west-1 by default
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	w.iam = iam.New(func() time.Time { return w.now })
	return w
}

func (w *world) pass(d time.Duration) { w.now = w.now.Add(d) }

// params makes a form of name, value, name, value, …
func params(pairs ...string) url.Values {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return form
}

// as answers the principal behind credentials.
func (w *world) as(c iam.Credentials) wire.Principal {
	w.t.Helper()
	p, err := w.iam.Authenticate(c.AccessKeyID, c.Token)
	if err != nil {
		w.t.Fatalf("Authenticate: %v", err)
	}
	return p
}

func (w *world) root(account string) wire.Principal {
	w.t.Helper()
	return w.as(iam.Credentials{AccessKeyID: account})
}

// call performs an operation such as "iam:GetRole" and answers the XML of its result.
func (w *world) call(p wire.Principal, operation string, pairs ...string) (string, error) {
	w.t.Helper()
	service, op, _ := strings.Cut(operation, ":")
	var svc wire.Service = w.iam
	if service == "sts" {
		svc = w.iam.STS()
	}
	call := &wire.Call{Service: service, Operation: op, Region: cmp.Or(w.region, "eu-west-1"), Principal: p, Form: params(pairs...)}
	needs, err := svc.Needs(call)
	if err != nil {
		return "", err
	}
	for _, need := range needs {
		if err := w.iam.Authorize(p, need); err != nil {
			return "", err
		}
	}
	resp, err := svc.Serve(context.Background(), call)
	if err != nil {
		return "", err
	}
	if resp.Value == nil {
		return "", nil
	}
	var b strings.Builder
	if err := xml.NewEncoder(&b).EncodeElement(resp.Value, xml.StartElement{Name: xml.Name{Local: "Result"}}); err != nil {
		w.t.Fatalf("encode the answer of %s: %v", operation, err)
	}
	return b.String(), nil
}

// must is call where it has to succeed.
func (w *world) must(p wire.Principal, operation string, pairs ...string) string {
	w.t.Helper()
	out, err := w.call(p, operation, pairs...)
	if err != nil {
		w.t.Fatalf("%s: %v", operation, err)
	}
	return out
}

// refused is call where it has to fail with a code and status.
func (w *world) refused(p wire.Principal, code string, status int, operation string, pairs ...string) string {
	w.t.Helper()
	_, err := w.call(p, operation, pairs...)
	return wantError(w.t, err, code, status)
}

func wantError(t *testing.T, err error, code string, status int) string {
	t.Helper()
	e, ok := errors.AsType[*wire.Error](err)
	if !ok || e.Code != code || e.Status != status {
		t.Fatalf("error %v, want %s with status %d", err, code, status)
	}
	return e.Message
}

// field is the text of the first element of a name.
func field(t *testing.T, text, name string) string {
	t.Helper()
	m := regexp.MustCompile(`<` + name + `>([^<]*)</` + name + `>`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in %s", name, text)
	}
	return m[1]
}

func has(text, name string) bool { return strings.Contains(text, "<"+name+">") }

func credentials(t *testing.T, text string) iam.Credentials {
	t.Helper()
	end, err := time.Parse(time.RFC3339, field(t, text, "Expiration"))
	if err != nil {
		t.Fatal(err)
	}
	return iam.Credentials{
		AccessKeyID: field(t, text, "AccessKeyId"), SecretAccessKey: field(t, text, "SecretAccessKey"),
		Token: field(t, text, "SessionToken"), Expiration: end,
	}
}

// document makes a policy of statements.
func document(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

func allow(action, resource string) string {
	return `{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}`
}

func deny(action, resource string) string {
	return `{"Effect":"Deny","Action":"` + action + `","Resource":"` + resource + `"}`
}

// trusting makes a trust statement; principal and condition are JSON, condition may be empty.
func trusting(principal, actions, condition string) string {
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	return `{"Effect":"Allow","Principal":` + principal + `,"Action":` + actions + condition + `}`
}

func rootOf(account string) string { return `{"AWS":"arn:aws:iam::` + account + `:root"}` }

const lambda = `{"Service":"lambda.amazonaws.com"}`

// function makes a role that Lambda may take on, with one inline policy, and a session of it.
func (w *world) function(name, inline string) wire.Principal {
	w.t.Helper()
	role := w.role(platform, iam.RoleSpec{
		Name: name, Path: "/rolecall/", Trust: document(trusting(lambda, `"sts:AssumeRole"`, "")),
		Inline: map[string]string{"default": inline},
	})
	c, err := w.iam.RoleSession(role.ARN, "fn", time.Hour)
	if err != nil {
		w.t.Fatalf("RoleSession: %v", err)
	}
	return w.as(c)
}

func (w *world) role(account string, spec iam.RoleSpec) iam.Role {
	w.t.Helper()
	r, err := w.iam.CreateRole(account, spec)
	if err != nil {
		w.t.Fatalf("CreateRole: %v", err)
	}
	return r
}
