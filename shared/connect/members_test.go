package connect_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rolecall/shared/connect"
)

// enrolled is an enrolment of tenant acme on a stage, made by the use case itself.
func enrolled(t testing.TB, s *stage) connect.Enrolment {
	t.Helper()
	u := connect.Enrolments{Store: s.store, Clock: func() time.Time { return noon }, Random: s.random, Deployment: connect.Deployment{
		Platform: platform(), Regions: []connect.Region{"eu-west-1"}, Permissions: []connect.PermissionSet{{Name: "read-only"}},
		OrganizationTemplate: connect.PublishedTemplate{URL: "https://templates.example.com/"},
	}}
	e, err := u.Create(context.Background(), connect.EnrolRequest{
		Filter: connect.Unrestricted(), Tenant: "acme", By: "ada", OrganizationID: "o-a1b2c3d4e5", Units: []string{"r-ab12"}, NameRule: "Member {accountId}",
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// organization is a stage with one enrolment.
func organization(t testing.TB) (*stage, connect.Enrolment) {
	t.Helper()
	s := newStage()
	return s, enrolled(t, s)
}

// member is a request of an account's stack, sent now; the stack's number makes its id and its role.
func (s *stage) member(t testing.TB, e connect.Enrolment, kind connect.RequestType, number int, request string) connect.Callback {
	t.Helper()
	return connect.Callback{
		Type: kind, Resource: connect.ResourceMember, LogicalID: "Member", RequestID: request, TemplateVersion: "1.0.0", EnrolmentID: e.ID(),
		StackID: stack(t, fmt.Sprintf("arn:aws:cloudformation:eu-west-1:%s:stack/member/%08d", customerAccount, number)),
		RoleARN: memberRole(t, number), Grant: connect.Grant{Permissions: "read-only"}, SignedAt: s.now, SentAt: s.now,
	}
}

func memberRole(t testing.TB, number int) connect.RoleARN {
	return role(t, fmt.Sprintf("arn:aws:iam::%s:role/Member%d", customerAccount, number))
}

// memberStarts is the first request of an account's stack, of templates since 1.4.0.
func (s *stage) memberStarts(t testing.TB, e connect.Enrolment, kind connect.RequestType, number int, request string) connect.Callback {
	cb := s.member(t, e, kind, number, request)
	cb.Resource, cb.LogicalID, cb.RoleARN, cb.Grant = connect.ResourceStackStarted, "StackStarted", connect.RoleARN{}, connect.Grant{}
	return cb
}

// account is how far the customer's account has come.
func (s *stage) accountOf(e connect.Enrolment) connect.Member {
	m, _ := s.store.Member(e.ID(), customerAccount)
	return m
}

// passes lets time pass.
func (s *stage) passes(d time.Duration) { s.now = s.now.Add(d) }

// refuses has the role of an account's stack refused, or not any more.
func (s *stage) refuses(t testing.TB, number int, refused bool) {
	s.account.refused[memberRole(t, number).String()] = refused
}

func TestAnAccountsFirstReportConnectsIt(t *testing.T) {
	for _, starts := range []bool{false, true} {
		s, e := organization(t)
		if starts {
			if r := s.receive(t, s.memberStarts(t, e, connect.RequestCreate, 1, "s1")); r == nil || !r.OK || s.accountOf(e).State != connect.MemberConnecting {
				t.Fatalf("started: %+v, %+v", r, s.accountOf(e))
			}
		}
		create := s.member(t, e, connect.RequestCreate, 1, "r1")
		s.unchanged(t, "reported", func() {
			if r := s.receive(t, create); r != nil {
				t.Fatalf("answered at once: %+v", r)
			}
		})
		s.settle(t)
		c := s.one(t).Snapshot()
		want := e.Snapshot().Prefix + "-" + customerAccount
		if string(c.ExternalID) != want || c.Name != "Member "+customerAccount || c.TenantID != "acme" || c.Status != connect.StatusEnabled || c.OrganizationID != "o-a1b2c3d4e5" {
			t.Errorf("%+v", c)
		}
		if m := s.accountOf(e); m.State != connect.MemberEnabled || m.ConnectionID != c.ID {
			t.Errorf("member %+v", m)
		}
		s.passes(time.Second)
		s.plays(t, s.member(t, e, connect.RequestDelete, 1, "r2"))
		if got := s.one(t).Status(); got != connect.StatusDisconnected || s.accountOf(e).State != connect.MemberDisconnected {
			t.Errorf("%s after its stack's end", got)
		}
		// The same account comes back by another stack: the same connection and the same external ID.
		s.plays(t, s.member(t, e, connect.RequestCreate, 2, "r3"))
		again := s.one(t).Snapshot()
		if again.ID != c.ID || again.ExternalID != c.ExternalID || again.Status != connect.StatusEnabled || again.Offboarding != nil {
			t.Errorf("%+v", again)
		}
	}
}

func TestWhatAnEnrolmentRefuses(t *testing.T) {
	for name, one := range map[string]struct {
		prepare func(*testing.T, *stage, connect.Enrolment)
		change  func(*connect.CallbackRequest)
		code    connect.Code
		told    bool // the list of accounts says why
	}{
		"another token":     {change: func(r *connect.CallbackRequest) { r.Token = connect.NewSecret("e.bad") }, code: connect.CodeTokenInvalid},
		"no enrolment":      {change: func(r *connect.CallbackRequest) { r.EnrolmentID = "enr_1" }, code: connect.CodeEnrolmentNotFound},
		"another's role":    {change: func(r *connect.CallbackRequest) { r.RoleARN = "arn:aws:iam::333333333333:role/R" }, code: connect.CodeAccountMismatch},
		"the platform's":    {change: func(r *connect.CallbackRequest) { r.RoleARN = "arn:aws:iam::111111111111:role/R" }, code: connect.CodeOwnAccount},
		"no role":           {change: func(r *connect.CallbackRequest) { r.RoleARN = "" }, code: connect.CodeRoleARNInvalid},
		"a set not offered": {change: func(r *connect.CallbackRequest) { r.PermissionSet = "everything" }, code: connect.CodePermissionsInvalid},
		"revoked":           {prepare: revoked, code: connect.CodeEnrolmentRevoked, told: true},
		"its stack deleted before": {prepare: func(t *testing.T, s *stage, e connect.Enrolment) {
			s.plays(t, s.member(t, e, connect.RequestDelete, 1, "r0"))
		}, code: connect.CodeStackDeleted},
		"connected by another stack": {prepare: func(t *testing.T, s *stage, e connect.Enrolment) {
			s.plays(t, s.member(t, e, connect.RequestCreate, 9, "r0"))
		}, code: connect.CodeAccountConnected},
		"deleted by the tenant": {prepare: func(t *testing.T, s *stage, e connect.Enrolment) {
			s.plays(t, s.member(t, e, connect.RequestCreate, 9, "r0"))
			s.commit(t, must[connect.Change](t)(s.one(t).Delete(noon, "ada")))
		}, code: connect.CodeNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			s, e := organization(t)
			if one.prepare != nil {
				one.prepare(t, s, e)
			}
			cb := s.member(t, e, connect.RequestCreate, 1, "r1")
			s.made[requestKey(cb)] = true
			r := s.request(cb)
			if one.change != nil {
				one.change(&r)
			}
			before := len(s.store.Log())
			if err := s.callbacks.Receive(context.Background(), r); err != nil {
				t.Fatal(err)
			}
			s.settle(t)
			if told := s.told(cb); told == nil || told.OK || told.Reason.Code != one.code {
				t.Errorf("%+v, want %s", told, one.code)
			}
			if log := s.store.Log(); len(log) != before {
				t.Errorf("something happened: %+v", log[before:])
			}
			if m := s.accountOf(e); (m.Reason.Code == one.code) != one.told {
				t.Errorf("the list says %+v", m)
			}
			gone := s.member(t, e, connect.RequestDelete, 1, "r9")
			if told := s.plays(t, gone); !told.OK {
				t.Errorf("its Delete: %+v", told)
			}
		})
	}
}

func revoked(t *testing.T, s *stage, e connect.Enrolment) {
	t.Helper()
	if err := s.store.CommitEnrolment(context.Background(), e.Revoke("ada", noon)); err != nil {
		t.Fatal(err)
	}
}

// What a revoked enrolment has connected goes on: its stacks are updated and deleted as before.
func TestARevokedEnrolmentsAccountsGoOn(t *testing.T) {
	s, e := organization(t)
	s.plays(t, s.member(t, e, connect.RequestCreate, 1, "r1"))
	revoked(t, s, e)
	s.passes(time.Second)
	update := s.member(t, e, connect.RequestUpdate, 1, "r2")
	update.TemplateVersion = "1.0.1"
	if r := s.plays(t, update); !r.OK || s.one(t).Snapshot().Stack.TemplateVersion != "1.0.1" {
		t.Errorf("%+v, %+v", r, s.one(t).Snapshot().Stack)
	}
	s.plays(t, s.member(t, e, connect.RequestDelete, 1, "r3"))
	if s.one(t).Status() != connect.StatusDisconnected {
		t.Errorf("%s", s.one(t).Status())
	}
}

func TestNamesThatAreTakenGetANumber(t *testing.T) {
	s, e := organization(t)
	for _, name := range []connect.Name{"Member " + customerAccount, "Member " + customerAccount + " 2"} {
		id, err := connect.NewConnectionID(noon, s.random)
		if err != nil {
			t.Fatal(err)
		}
		s.commit(t, connect.Create(connect.NewConnection{
			TenantID: "acme", Name: name, Partition: connect.PartitionAWS, DefaultRegion: "eu-west-1", Permissions: "read-only", By: "ada",
		}, id, connect.NewExternalID(), noon))
	}
	s.plays(t, s.member(t, e, connect.RequestCreate, 1, "r1"))
	if got := s.store.Get(s.accountOf(e).Own); got.Snapshot().Name != "Member "+customerAccount+" 3" || got.Status() != connect.StatusEnabled {
		t.Errorf("named %q", got.Snapshot().Name)
	}
}

func TestAnAccountThatIsConnectedIsLinked(t *testing.T) {
	s, e := organization(t)
	known := in(t, connect.StatusEnabled)
	s.store.Put(known)
	events := len(s.store.Log())
	for range 2 {
		if r := s.plays(t, s.member(t, e, connect.RequestCreate, 1, "r1")); !r.OK {
			t.Fatalf("%+v", r)
		}
	}
	if m := s.accountOf(e); m.State != connect.MemberLinked || m.ConnectionID != known.ID() || len(s.store.All()) != 1 || len(s.store.Log()) != events+1 {
		t.Errorf("%+v, %d connections, %d events", m, len(s.store.All()), len(s.store.Log()))
	}
	s.plays(t, s.member(t, e, connect.RequestDelete, 2, "r2")) // another stack's end
	if s.accountOf(e).State != connect.MemberLinked {
		t.Error("unlinked by another stack")
	}
	s.plays(t, s.member(t, e, connect.RequestDelete, 1, "r3"))
	if s.accountOf(e).State != "" || s.one(t).Status() != connect.StatusEnabled {
		t.Error("the stack's end did not end the link alone")
	}
}

// Whatever order one stack's requests come in, however often, and whatever is in the way: one connection at most, and gone for
// good once the stack's Delete has been taken.
func TestAnyOrderOfAnAccountsReports(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, e := organization(t)
		requests := []connect.Callback{
			s.memberStarts(t, e, connect.RequestCreate, 1, "s1"), s.member(t, e, connect.RequestCreate, 1, "r1"),
			s.member(t, e, connect.RequestUpdate, 1, "r2"), s.member(t, e, connect.RequestDelete, 1, "r3"),
		}
		for i := range requests {
			requests[i].SignedAt = noon.Add(time.Duration(i) * time.Second)
			s.made[requestKey(requests[i])] = true
		}
		deleted := false
		for _, cb := range rapid.SliceOfN(rapid.SampledFrom(requests), 1, 12).Draw(rt, "requests") {
			for range rapid.IntRange(0, 2).Draw(rt, "conflicts") {
				s.store.Once("Commit", func() {
					for _, c := range s.store.All() { // somebody else is quicker
						if ch, ok, err := c.Update(connect.Update{DefaultRegion: new(otherRegion(c))}, noon, "ada"); err == nil && ok {
							_ = s.store.Commit(context.Background(), ch)
						}
					}
				})
			}
			s.plays(t, cb)
			deleted = deleted || cb.Type == connect.RequestDelete
			all := s.store.All()
			if len(all) > 1 {
				rt.Fatalf("%d connections", len(all))
			}
			for _, c := range all {
				if live := c.Status() == connect.StatusVerifying || c.Status() == connect.StatusEnabled; deleted && live {
					rt.Fatalf("%s after its stack's Delete", c.Status())
				}
			}
		}
	})
}

func otherRegion(c connect.Connection) connect.Region {
	if c.Snapshot().DefaultRegion == "eu-west-1" {
		return "us-east-1"
	}
	return "eu-west-1"
}

// An enrolled connection is not enabled by an outcome that says nothing, or not enough, of its organization.
func TestMembershipIsProvenBeforeEnabling(t *testing.T) {
	for name, one := range map[string]struct {
		answer directory
		want   connect.Status
		told   bool
	}{
		"passed":  {directory{id: "o-a1b2c3d4e5"}, connect.StatusEnabled, true},
		"unknown": {directory{err: errors.New("down")}, connect.StatusVerifying, true},
		"another": {directory{id: "o-zzzzzzzzzz"}, connect.StatusFailed, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, e := organization(t)
			s.reports.Verifier.Organizations = one.answer
			create := s.member(t, e, connect.RequestCreate, 1, "r1")
			s.receive(t, create)
			for s.told(create) == nil && s.next(t) {
			}
			if got := s.one(t).Status(); got != one.want || s.told(create).OK != one.told {
				t.Errorf("%s, want %s; told %+v", got, one.want, s.told(create))
			}
		})
	}
	s, e := organization(t)
	s.plays(t, s.member(t, e, connect.RequestCreate, 1, "r1"))
	c := s.one(t).Snapshot()
	c.Checks = slices.DeleteFunc(c.Checks, func(k connect.Check) bool { return k.Name == connect.CheckOrganization })
	if _, err := connect.Restore(c); err == nil {
		t.Error("a connection that is enabled without the check was restored")
	}
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
	s, e := organization(t)
	s.reports.Verifier.Organizations = directory{err: errDenied}
	s.plays(t, s.member(t, e, connect.RequestCreate, 1, "r1"))
	for account, m := range map[connect.AccountID]connect.Member{
		"333333333333": {State: connect.MemberFailed, RolledBack: true},
		"444444444444": {State: connect.MemberEnabled},
		"555555555555": {State: connect.MemberFailed, RolledBack: true, Reason: connect.Reason{Code: connect.CodeOrganizationMismatch}},
	} {
		m.AccountID, m.EnrolmentID, m.Own = account, e.ID(), "conn_of_"+connect.ConnectionID(account)
		s.store.PutMember(m)
	}
	retries := connect.Retries{
		Store: s.store, Jobs: s, Clock: func() time.Time { return noon },
		Deployment: connect.Deployment{Platform: platform(), Regions: []connect.Region{"eu-west-1"}},
	}
	got, err := retries.Retry(context.Background(), connect.Target{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(e.ID()), By: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Verifying, []connect.AccountID{customerAccount}) || !slices.Equal(got.Redeploy, []connect.AccountID{"333333333333"}) ||
		len(s.queue) != 1 || s.one(t).Status() != connect.StatusVerifying || !strings.Contains(got.Command, "Accounts=333333333333,") {
		t.Errorf("%+v, %d jobs", got, len(s.queue))
	}
	if _, err := retries.Retry(context.Background(), connect.Target{Filter: connect.Unrestricted(), Tenant: "other", ID: string(e.ID()), By: "eve"}); !errors.Is(err, connect.ErrEnrolmentNotFound) {
		t.Errorf("another tenant: %v", err)
	}
}

// While a role is on trial for an account, another stack's report competes with it. Whichever is proven first gets the account's
// connection; the other is told why it does not.
func TestConcurrentRegistrations(t *testing.T) {
	for name, one := range map[string]struct {
		meanwhile func(*testing.T, *stage, connect.Enrolment)
		code      connect.Code
		status    connect.Status
		linked    bool
	}{
		"its role is refused": {meanwhile: func(t *testing.T, s *stage, _ connect.Enrolment) {
			s.refuses(t, 1, true)
		}, code: connect.CodeRoleNotAssumable, status: connect.StatusFailed},
		"its account belongs elsewhere": {meanwhile: func(_ *testing.T, s *stage, _ connect.Enrolment) {
			s.reports.Verifier.Organizations = directory{id: "o-zzzzzzzzzz"}
		}, code: connect.CodeOrganizationMismatch, status: connect.StatusFailed},
		"its stack is gone": {meanwhile: func(t *testing.T, s *stage, e connect.Enrolment) {
			s.passes(time.Second)
			s.receive(t, s.member(t, e, connect.RequestDelete, 1, "gone"))
		}, code: connect.CodeStackDeleted, status: connect.StatusFailed},
		"the enrolment is revoked": {meanwhile: revoked, code: connect.CodeEnrolmentRevoked},
		"another one is proven": {meanwhile: func(t *testing.T, s *stage, _ connect.Enrolment) {
			s.refuses(t, 9, false)
			s.refuses(t, 1, true)
		}, code: connect.CodeAccountConnected, status: connect.StatusEnabled},
		"another enrolment serves the account": {meanwhile: func(t *testing.T, s *stage, _ connect.Enrolment) {
			s.plays(t, s.member(t, enrolled(t, s), connect.RequestCreate, 5, "r5"))
		}, code: "OK", linked: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, e := organization(t)
			s.refuses(t, 9, true)
			s.receive(t, s.member(t, e, connect.RequestCreate, 9, "r9"))
			s.next(t)
			s.refuses(t, 1, true) // for now
			create := s.member(t, e, connect.RequestCreate, 1, "r1")
			s.receive(t, create)
			s.next(t)
			s.refuses(t, 1, false)
			one.meanwhile(t, s, e)
			s.settle(t)
			code := connect.Code("OK")
			if r := s.told(create); !r.OK {
				code = r.Reason.Code
			}
			m := s.accountOf(e)
			if code != one.code || (m.State == connect.MemberLinked) != one.linked || (one.status != "" && s.store.Get(m.Own).Status() != one.status) {
				t.Errorf("told %s, want %s; %+v", code, one.code, m)
			}
		})
	}
}

// However many reports are made up, with the enrolment's token and whenever they come: nothing is kept of them, and a stack that is there is told
// that all is well as soon as it would be without them.
func TestMadeUpReportsStandInNobodysWay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, e := organization(t)
		n := 0
		madeUp := func() {
			kind := rapid.SampledFrom([]connect.RequestType{connect.RequestCreate, connect.RequestUpdate, connect.RequestDelete}).Draw(rt, "type")
			number := rapid.IntRange(10, 14).Draw(rt, "made up")
			n++
			cb := s.member(t, e, kind, number, fmt.Sprint("forged", n))
			if rapid.Bool().Draw(rt, "starts") {
				cb = s.memberStarts(t, e, kind, number, fmt.Sprint("forged", n))
			}
			s.refuses(t, number, true)
			s.unchanged(t, "made up", func() { s.forged(t, cb) })
		}
		for range rapid.IntRange(0, 8).Draw(rt, "before") {
			if rapid.Bool().Draw(rt, "a report") {
				madeUp()
			} else {
				s.next(t)
			}
		}
		began := s.now
		create := s.member(t, e, connect.RequestCreate, 1, "r1")
		s.receive(t, create)
		for range rapid.IntRange(0, 4).Draw(rt, "after") {
			madeUp()
		}
		for s.told(create) == nil && s.next(t) {
		}
		if r := s.told(create); r == nil || !r.OK || s.now.Sub(began) > time.Second {
			rt.Fatalf("told %+v after %s", r, s.now.Sub(began))
		}
		s.settle(t)
		if c := s.one(t).Snapshot(); c.Status != connect.StatusEnabled || c.RoleARN != memberRole(t, 1) {
			rt.Fatalf("%s with %s", c.Status, c.RoleARN)
		}
	})
}
