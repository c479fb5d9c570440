package connect_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

// organization is an enrolment in a store, with the queue of what its accounts' reports have put on trial.
type organization struct {
	*storetest.Memory
	id   connect.EnrolmentID
	jobs []connect.VerifyJob
}

func (o *organization) enrolment() connect.Enrolment {
	e, err := o.Enrolment(context.Background(), o.id)
	if err != nil {
		panic(err)
	}
	return e
}

func (o *organization) revoke(t testing.TB) {
	t.Helper()
	if err := o.CommitEnrolment(context.Background(), o.enrolment().Revoke("ada", noon)); err != nil {
		t.Fatal(err)
	}
}

// of is how far an account has come; the zero member where it is not known.
func (o *organization) of(account connect.AccountID) connect.Member {
	m, _ := o.Member(o.id, account)
	return m
}

// events are those of connections.
func (o *organization) events() []connect.Event {
	return slices.DeleteFunc(o.Log(), func(e connect.Event) bool { return e.ConnectionID == "" })
}

// made are the connections that enrolments have made.
func (o *organization) made() []connect.Connection {
	return slices.DeleteFunc(o.All(), func(c connect.Connection) bool { return c.Snapshot().EnrolmentID == "" })
}

// isFull takes away all room for accounts that have proven nothing.
func (o *organization) isFull() {
	o.Before(func(op string) error {
		if op == "Admit" {
			return connect.ErrEnrolmentFull
		}
		return nil
	})
}

func (o *organization) Verify(_ context.Context, job connect.VerifyJob, _ time.Duration) error {
	o.jobs = append(o.jobs, job)
	return nil
}

const goodToken = "e.good"

func (o *organization) EnrolmentToken(context.Context, connect.EnrolmentID) (connect.Secret, error) {
	return connect.NewSecret(goodToken), nil
}

func (o *organization) ProveEnrolment(_ context.Context, _ connect.EnrolmentID, token connect.Secret) error {
	if token.Reveal() != goodToken {
		return connect.Invalid(connect.CodeTokenInvalid, "not ours")
	}
	return nil
}

// newOrganization is an enrolment of tenant acme, made by the use case itself.
func newOrganization(t testing.TB) (*organization, connect.Callbacks) {
	t.Helper()
	return enrolled(t, nil)
}

// enrolled is a further enrolment of the same tenant.
func enrolled(t testing.TB, first *organization) (*organization, connect.Callbacks) {
	t.Helper()
	o, seed := &organization{Memory: storetest.New()}, byte(3)
	if first != nil {
		page := must[connect.Page[connect.Enrolment]](t)(first.Enrolments(context.Background(), "acme", connect.EventQuery{Limit: 100}))
		o.Memory, seed = first.Memory, seed+byte(len(page.Items))
	}
	clock, random := func() time.Time { return noon }, rand.NewChaCha8([32]byte{seed})
	u := connect.Enrolments{Store: o, Clock: clock, Random: random, Deployment: connect.Deployment{
		Platform: platform(), Regions: []connect.Region{"eu-west-1"}, Permissions: []connect.PermissionSet{{Name: "read-only"}},
		OrganizationTemplate: connect.PublishedTemplate{URL: "https://templates.example.com/"},
	}}
	e, err := u.Create(context.Background(), connect.EnrolRequest{
		Tenant: "acme", By: "ada", OrganizationID: "o-a1b2c3d4e5", Units: []string{"r-ab12"}, NameRule: "Member {accountId}",
	})
	if err != nil {
		t.Fatal(err)
	}
	o.id = e.ID()
	return o, connect.Callbacks{
		Store: o, Jobs: o, Clock: clock, Account: platformAccount, Offers: []connect.Permissions{"read-only"},
		Members: connect.Members{Store: o, Tokens: o, Random: random},
	}
}

// report is a request of an account's stack; the stack's number makes its id.
func (o *organization) report(t testing.TB, kind connect.RequestType, account string, number int, request string) connect.CallbackRequest {
	t.Helper()
	id := stack(t, fmt.Sprintf("arn:aws:cloudformation:eu-west-1:%s:stack/member/%08d", account, number))
	return connect.CallbackRequest{
		EnrolmentID: string(o.id), Token: connect.NewSecret(goodToken),
		RoleARN: fmt.Sprintf("arn:aws:iam::%s:role/Member%d", account, number), PermissionSet: "read-only",
		Callback: connect.Callback{
			Type: kind, Resource: connect.ResourceMember, StackID: id, LogicalID: "Member", RequestID: request, SentAt: noon, TemplateVersion: "1.0.0",
		},
	}
}

// one is the one connection that was made for an account.
func (o *organization) one(t testing.TB) connect.Connection {
	t.Helper()
	made := o.made()
	if len(made) != 1 {
		t.Fatalf("%d connections", len(made))
	}
	return made[0]
}

// tried ends the run of that one.
func (o *organization) tried(t testing.TB, outcome connect.Outcome) {
	t.Helper()
	c := o.one(t)
	v, _ := c.Trial()
	if err := o.Commit(context.Background(), must[connect.Change](t)(c.Tried(v.Run, v.Attempt, outcome, 0, noon))); err != nil {
		t.Fatal(err)
	}
}

// member is an outcome that proves the role of an account of the organization.
func goodMember() connect.Outcome {
	o := good(noon)
	o.Checks = append(o.Checks, connect.Check{Name: connect.CheckOrganization, Verdict: connect.Passed, At: noon})
	return o
}

func receive(t testing.TB, u connect.Callbacks, r connect.CallbackRequest) *connect.Reply {
	t.Helper()
	reply, err := u.Receive(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

func TestAnAccountsFirstReportConnectsIt(t *testing.T) {
	o, u := newOrganization(t)
	if reply := receive(t, u, o.report(t, connect.RequestCreate, customerAccount, 1, "r1")); reply != nil {
		t.Fatalf("answered at once: %+v", reply)
	}
	s := o.one(t).Snapshot()
	want := o.enrolment().Snapshot().Prefix + "-" + customerAccount
	if string(s.ExternalID) != want || s.Name != "Member "+customerAccount || s.TenantID != "acme" || s.Status != connect.StatusVerifying ||
		s.OrganizationID != "o-a1b2c3d4e5" || len(o.jobs) != 1 {
		t.Errorf("%+v, %d jobs", s, len(o.jobs))
	}
	if o.jobs[0].ReplyTo.PhysicalID != "" { // the driver's, which knows no connection
		t.Errorf("physical id %q", o.jobs[0].ReplyTo.PhysicalID)
	}
	o.tried(t, goodMember())
	if m := o.of(customerAccount); m.State != connect.MemberEnabled || m.ConnectionID != s.ID {
		t.Errorf("member %+v", m)
	}
	receive(t, u, o.report(t, connect.RequestDelete, customerAccount, 1, "r2"))
	if got := o.one(t).Status(); got != connect.StatusDisconnected || o.of(customerAccount).State != connect.MemberDisconnected {
		t.Errorf("%s after its stack's end", got)
	}
	// The same account comes back by another stack: the same connection and the same external ID.
	receive(t, u, o.report(t, connect.RequestCreate, customerAccount, 2, "r3"))
	again := o.one(t).Snapshot()
	if again.ID != s.ID || again.ExternalID != s.ExternalID || again.Status != connect.StatusVerifying || again.Offboarding != nil {
		t.Errorf("%+v", again)
	}
}

func TestWhatAnEnrolmentRefuses(t *testing.T) {
	for name, one := range map[string]struct {
		prepare func(*testing.T, *organization, connect.Callbacks)
		change  func(*connect.CallbackRequest)
		code    connect.Code
	}{
		"another token":     {change: func(r *connect.CallbackRequest) { r.Token = connect.NewSecret("e.bad") }, code: connect.CodeTokenInvalid},
		"no enrolment":      {change: func(r *connect.CallbackRequest) { r.EnrolmentID = "enr_1" }, code: connect.CodeEnrolmentNotFound},
		"another's role":    {change: func(r *connect.CallbackRequest) { r.RoleARN = "arn:aws:iam::333333333333:role/R" }, code: connect.CodeAccountMismatch},
		"the platform's":    {change: func(r *connect.CallbackRequest) { r.RoleARN = "arn:aws:iam::111111111111:role/R" }, code: connect.CodeOwnAccount},
		"no role":           {change: func(r *connect.CallbackRequest) { r.RoleARN = "" }, code: connect.CodeRoleARNInvalid},
		"a set not offered": {change: func(r *connect.CallbackRequest) { r.PermissionSet = "everything" }, code: connect.CodePermissionsInvalid},
		"revoked": {prepare: func(t *testing.T, o *organization, _ connect.Callbacks) {
			o.revoke(t)
		}, code: connect.CodeEnrolmentRevoked},
		"its stack deleted before": {prepare: func(t *testing.T, o *organization, u connect.Callbacks) {
			receive(t, u, o.report(t, connect.RequestDelete, customerAccount, 1, "r0"))
		}, code: connect.CodeStackDeleted},
		"connected by another stack": {prepare: func(t *testing.T, o *organization, u connect.Callbacks) {
			receive(t, u, o.report(t, connect.RequestCreate, customerAccount, 9, "r0"))
			o.tried(t, goodMember())
		}, code: connect.CodeAccountConnected},
		"deleted by the tenant": {prepare: func(t *testing.T, o *organization, u connect.Callbacks) {
			receive(t, u, o.report(t, connect.RequestCreate, customerAccount, 9, "r0"))
			_ = o.Commit(context.Background(), must[connect.Change](t)(o.one(t).Delete(noon, "ada")))
		}, code: connect.CodeNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			o, u := newOrganization(t)
			if one.prepare != nil {
				one.prepare(t, o, u)
			}
			r := o.report(t, connect.RequestCreate, customerAccount, 1, "r1")
			if one.change != nil {
				one.change(&r)
			}
			before := len(o.events())
			reply := receive(t, u, r)
			if reply == nil || reply.OK || reply.Reason.Code != one.code {
				t.Errorf("%+v, want %s", reply, one.code)
			}
			if len(o.events()) != before {
				t.Errorf("something happened: %+v", o.events()[before:])
			}
			r.Callback.Type, r.Callback.RequestID = connect.RequestDelete, "r9"
			if reply := receive(t, u, r); reply == nil || !reply.OK {
				t.Errorf("its Delete: %+v", reply)
			}
		})
	}
}

// What a revoked enrolment has connected goes on: its stacks are updated and deleted as before.
func TestARevokedEnrolmentsAccountsGoOn(t *testing.T) {
	o, u := newOrganization(t)
	receive(t, u, o.report(t, connect.RequestCreate, customerAccount, 1, "r1"))
	o.tried(t, goodMember())
	o.revoke(t)
	update := o.report(t, connect.RequestUpdate, customerAccount, 1, "r2")
	update.Callback.TemplateVersion = "1.0.1"
	if reply := receive(t, u, update); reply == nil || !reply.OK || o.one(t).Status() != connect.StatusEnabled {
		t.Errorf("%+v, %s", reply, o.one(t).Status())
	}
	receive(t, u, o.report(t, connect.RequestDelete, customerAccount, 1, "r3"))
	if o.one(t).Status() != connect.StatusDisconnected {
		t.Errorf("%s", o.one(t).Status())
	}
}

func TestNamesThatAreTakenGetANumber(t *testing.T) {
	o, u := newOrganization(t)
	o.Put(other(t, "Member "+customerAccount), other(t, "Member "+customerAccount+" 2"))
	receive(t, u, o.report(t, connect.RequestCreate, customerAccount, 1, "r1"))
	if got := o.one(t).Snapshot().Name; got != "Member "+customerAccount+" 3" {
		t.Errorf("named %q", got)
	}
}

func TestAnAccountThatIsConnectedIsLinked(t *testing.T) {
	o, u := newOrganization(t)
	known := in(t, connect.StatusEnabled)
	o.Put(known)
	for range 2 {
		if reply := receive(t, u, o.report(t, connect.RequestCreate, customerAccount, 1, "r1")); reply == nil || !reply.OK {
			t.Fatalf("%+v", reply)
		}
	}
	if m := o.of(customerAccount); m.State != connect.MemberLinked || m.ConnectionID != known.ID() || len(o.All()) != 1 || len(o.events()) != 1 {
		t.Errorf("%+v, %d connections, %d events", m, len(o.All()), len(o.events()))
	}
	receive(t, u, o.report(t, connect.RequestDelete, customerAccount, 2, "r2")) // another stack's end
	if _, there := o.Member(o.id, customerAccount); !there {
		t.Error("unlinked by another stack")
	}
	receive(t, u, o.report(t, connect.RequestDelete, customerAccount, 1, "r3"))
	if _, there := o.Member(o.id, customerAccount); there || o.Get(known.ID()).Status() != connect.StatusEnabled {
		t.Error("the stack's end did not end the link alone")
	}
}

// Whatever order one stack's requests come in, however often, and whatever is in the way: one connection at most, never
// enabled, and gone for good once the stack's Delete has been taken.
func TestAnyOrderOfAnAccountsReports(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o, u := newOrganization(t)
		create := o.report(t, connect.RequestCreate, customerAccount, 1, "r1")
		update := o.report(t, connect.RequestUpdate, customerAccount, 1, "r2")
		update.Callback.SentAt = noon.Add(time.Second)
		remove := o.report(t, connect.RequestDelete, customerAccount, 1, "r3")
		remove.Callback.SentAt = noon.Add(2 * time.Second)
		all := rapid.SliceOfN(rapid.SampledFrom([]connect.CallbackRequest{create, update, remove}), 1, 12).Draw(rt, "requests")
		deleted := false
		for _, r := range all {
			conflicts := rapid.IntRange(0, 2).Draw(rt, "conflicts")
			o.Before(func(op string) error { // as if somebody else had been quicker
				if op != "Commit" || conflicts == 0 {
					return nil
				}
				conflicts--
				return connect.ErrConflict
			})
			if _, err := u.Receive(context.Background(), r); err != nil {
				if !errors.Is(err, connect.ErrConflict) {
					rt.Fatal(err)
				}
				continue
			}
			deleted = deleted || r.Callback.Type == connect.RequestDelete
			if len(o.All()) > 1 {
				rt.Fatalf("%d connections", len(o.All()))
			}
			for _, c := range o.All() {
				live := c.Status() == connect.StatusVerifying || c.Status() == connect.StatusEnabled
				if c.Status() == connect.StatusEnabled || (deleted && live) {
					rt.Fatalf("%s, deleted %t", c.Status(), deleted)
				}
			}
		}
	})
}

// An enrolled connection is not enabled by an outcome that says nothing, or not enough, of its organization.
func TestMembershipIsProvenBeforeEnabling(t *testing.T) {
	for name, one := range map[string]struct {
		outcome connect.Outcome
		want    connect.Status
	}{
		"passed":  {goodMember(), connect.StatusEnabled},
		"unknown": {with(goodMember(), connect.CheckOrganization, connect.Unknown, connect.CodeSTSUnavailable), connect.StatusVerifying},
		"another": {with(goodMember(), connect.CheckOrganization, connect.Failed, connect.CodeOrganizationMismatch), connect.StatusFailed},
	} {
		t.Run(name, func(t *testing.T) {
			o, u := newOrganization(t)
			receive(t, u, o.report(t, connect.RequestCreate, customerAccount, 1, "r1"))
			o.tried(t, one.outcome)
			if got := o.one(t).Status(); got != one.want {
				t.Errorf("%s, want %s", got, one.want)
			}
		})
	}
	o, u := newOrganization(t)
	receive(t, u, o.report(t, connect.RequestCreate, customerAccount, 1, "r1"))
	o.tried(t, goodMember())
	s := o.one(t).Snapshot()
	s.Checks = s.Checks[:len(s.Checks)-1]
	if _, err := connect.Restore(s); err == nil {
		t.Error("a connection that is enabled without the check was restored")
	}
}

// directory answers for AWS Organizations.
type directory struct {
	id  connect.OrganizationID
	err error
}

func (d directory) Organization(context.Context, connect.Credentials, connect.Partition) (connect.OrganizationID, error) {
	return d.id, d.err
}

func TestTheOrganizationCheck(t *testing.T) {
	for name, one := range map[string]struct {
		answer  directory
		verdict connect.Verdict
		code    connect.Code
	}{
		"the enrolled one": {directory{id: "o-a1b2c3d4e5"}, connect.Passed, ""},
		"another one":      {directory{id: "o-zzzzzzzzzz"}, connect.Failed, connect.CodeOrganizationMismatch},
		"none":             {directory{}, connect.Failed, connect.CodeOrganizationMismatch},
		"denied":           {directory{err: errDenied}, connect.Failed, connect.CodeOrganizationDenied},
		"down":             {directory{err: errors.New("down")}, connect.Unknown, connect.CodeSTSUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			a := &account{assume: func(r connect.AssumeRequest) error {
				if r.ExternalID != "rce-secret-222222222222" {
					return errDenied
				}
				return nil
			}}
			v := connect.Verifier{
				Platform: platform(), Assumer: a, Inspector: a, Organizations: one.answer, Clock: func() time.Time { return noon },
			}
			out := v.Verify(context.Background(), connect.Subject{
				RoleARN: role(t, roleR1), ExternalID: "rce-secret-222222222222", Region: "eu-west-1", Organization: "o-a1b2c3d4e5",
			})
			got := out.Checks[len(out.Checks)-1]
			if got.Name != connect.CheckOrganization || got.Verdict != one.verdict || got.Reason.Code != one.code || (one.code != "" && got.Reason.Fix == "") {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestRetryBeginsFailuresAlone(t *testing.T) {
	o, u := newOrganization(t)
	receive(t, u, o.report(t, connect.RequestCreate, customerAccount, 1, "r1"))
	o.tried(t, with(goodMember(), connect.CheckOrganization, connect.Failed, connect.CodeOrganizationDenied))
	for account, m := range map[connect.AccountID]connect.Member{
		"333333333333": {State: connect.MemberFailed, RolledBack: true},
		"444444444444": {State: connect.MemberEnabled},
		"555555555555": {State: connect.MemberFailed, RolledBack: true, Reason: connect.Reason{Code: connect.CodeOrganizationMismatch}},
	} {
		m.AccountID, m.EnrolmentID, m.Own = account, o.id, "conn_of_"+connect.ConnectionID(account)
		o.PutMember(m)
	}
	o.jobs = nil
	retries := connect.Retries{
		Store: o, Jobs: o, Clock: func() time.Time { return noon },
		Deployment: connect.Deployment{Platform: platform(), Regions: []connect.Region{"eu-west-1"}},
	}
	got, err := retries.Retry(context.Background(), "acme", string(o.id), "ada")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Verifying, []connect.AccountID{customerAccount}) || !slices.Equal(got.Redeploy, []connect.AccountID{"333333333333"}) ||
		len(o.jobs) != 1 || o.one(t).Status() != connect.StatusVerifying || !strings.Contains(got.Command, "Accounts=333333333333,") {
		t.Errorf("%+v, %d jobs", got, len(o.jobs))
	}
	if _, err := retries.Retry(context.Background(), "other", string(o.id), "eve"); !errors.Is(err, connect.ErrEnrolmentNotFound) {
		t.Errorf("another tenant: %v", err)
	}
}
