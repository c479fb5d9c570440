package connect_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"rolecall/shared/connect"
)

const (
	platformAccount = "111111111111"
	customerAccount = "222222222222"
	roleR1          = "arn:aws:iam::222222222222:role/acme/R1"
	roleR2          = "arn:aws:iam::222222222222:role/R2"
	stackOne        = "arn:aws:cloudformation:eu-west-1:222222222222:stack/one/11111111-aaaa"
	stackTwo        = "arn:aws:cloudformation:us-east-1:222222222222:stack/two/22222222-bbbb"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func platform() connect.Platform {
	return connect.Platform{Partition: connect.PartitionAWS, Account: platformAccount}
}

func role(t testing.TB, s string) connect.RoleARN {
	t.Helper()
	a, err := connect.ParseRoleARN(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func stack(t testing.TB, s string) connect.StackID {
	t.Helper()
	id, err := connect.ParseStackID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// created is a pending connection with one open launch.
func created(t testing.TB) connect.Connection {
	t.Helper()
	id, err := connect.NewConnectionID(noon, rand.NewChaCha8([32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	n := connect.NewConnection{
		TenantID: "acme", Name: "Production", Partition: connect.PartitionAWS, DefaultRegion: "eu-west-1",
		Permissions: "read-only", By: "ada",
	}
	return connect.Create(n, id, connect.NewExternalID(), noon).Connection()
}

// good is an outcome that proves a role.
func good(at time.Time) connect.Outcome {
	o := connect.Outcome{Account: customerAccount, At: at, Regions: []connect.Region{"eu-west-1"}, SessionTags: true}
	for _, n := range []connect.CheckName{
		connect.CheckAssumeRole, connect.CheckExternalIDRequired, connect.CheckExternalIDMatched,
		connect.CheckRegions, connect.CheckTrustPolicy, connect.CheckPermissions,
	} {
		o.Checks = append(o.Checks, connect.Check{Name: n, Verdict: connect.Passed, At: at})
	}
	return o
}

// with replaces one check's verdict.
func with(o connect.Outcome, name connect.CheckName, v connect.Verdict, code connect.Code) connect.Outcome {
	checks := append([]connect.Check(nil), o.Checks...)
	for i := range checks {
		if checks[i].Name == name {
			checks[i].Verdict, checks[i].Reason = v, connect.Reason{Code: code, Message: "because", Fix: "mend it"}
		}
	}
	o.Checks = checks
	return o
}

func must[T any](t testing.TB) func(v T, err error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// in makes a connection of every status by the ways that lead there.
func in(t testing.TB, s connect.Status) connect.Connection {
	t.Helper()
	c := created(t)
	change := must[connect.Change](t)
	report := func(c connect.Connection) connect.Connection {
		return change(c.ReportRole(role(t, roleR1), noon, "ada")).Connection()
	}
	tried := func(c connect.Connection, o connect.Outcome, at time.Time) connect.Connection {
		v, _ := c.Trial()
		return change(c.Tried(v.Run, v.Attempt, o, 0, at)).Connection()
	}
	denied := with(good(noon), connect.CheckAssumeRole, connect.Failed, connect.CodeRoleNotAssumable)
	switch s {
	case connect.StatusPending:
		return c
	case connect.StatusVerifying:
		return report(c)
	case connect.StatusEnabled:
		return tried(report(c), good(noon), noon)
	case connect.StatusFailed:
		return tried(report(c), denied, noon.Add(2*time.Minute))
	case connect.StatusDegraded:
		c = in(t, connect.StatusEnabled)
		for i := 1; i <= 3; i++ {
			ch, ok := c.Rechecked(denied, connect.ActorRolecall, noon.Add(time.Duration(i)*6*time.Minute))
			if !ok {
				t.Fatal("a strike changed nothing")
			}
			c = ch.Connection()
		}
		return c
	case connect.StatusExpired:
		return change(c.Expire(noon.Add(8 * 24 * time.Hour))).Connection()
	case connect.StatusDisconnected:
		st := newStage(c)
		st.plays(t, callback(t, connect.RequestCreate, stackOne, "r1", 1))
		st.plays(t, callback(t, connect.RequestDelete, stackOne, "r2", 2))
		return st.one(t)
	case connect.StatusDeleted:
		return change(c.Delete(noon, "ada")).Connection()
	}
	t.Fatalf("no way to %s", s)
	return c
}

// callback is a request of the template's connection resource, sent at noon plus second.
func callback(t testing.TB, kind connect.RequestType, stackARN, request string, second int) connect.Callback {
	t.Helper()
	return connect.Callback{
		Type: kind, Resource: connect.ResourceConnection, StackID: stack(t, stackARN), LogicalID: "Connection",
		RequestID: request, Launch: 1, RoleARN: role(t, roleR1), TemplateVersion: "1.0.0",
		SignedAt: noon.Add(time.Duration(second) * time.Second), SentAt: noon.Add(time.Duration(second)*time.Second + 200*time.Millisecond),
	}
}

// account plays a customer's account in which one role may be assumed.
type account struct {
	assume  func(connect.AssumeRequest) error
	regions error
	trust   string
	trustE  error
	rules   map[string]connect.Ruling // of actions that are not allowed
	rulesE  error
	asked   []connect.AssumeRequest
	actions [][]string // each question about permissions
}

var errDenied = &connect.Error{Kind: connect.KindDenied, Code: connect.CodeRoleNotAssumable, Message: "denied"}

func (a *account) AssumeRole(_ context.Context, r connect.AssumeRequest) (connect.Session, error) {
	a.asked = append(a.asked, r)
	if err := a.assume(r); err != nil {
		return connect.Session{}, err
	}
	return connect.Session{Account: r.RoleARN.Account()}, nil
}

func (a *account) Regions(context.Context, connect.Credentials, connect.Region) ([]connect.Region, error) {
	return []connect.Region{"eu-west-1", "us-east-1"}, a.regions
}

func (a *account) TrustPolicy(context.Context, connect.Credentials, connect.RoleARN, connect.Region) (string, error) {
	return a.trust, a.trustE
}

func (a *account) Permissions(
	_ context.Context, _ connect.Credentials, _ connect.RoleARN, _ connect.Region, actions []string,
) ([]connect.ActionRuling, error) {
	a.actions = append(a.actions, actions)
	if a.rulesE != nil {
		return nil, a.rulesE
	}
	var out []connect.ActionRuling
	for _, action := range actions {
		r := connect.ActionRuling{Action: action, Ruling: connect.RulingAllowed}
		if other, ok := a.rules[action]; ok {
			r.Ruling = other
		}
		out = append(out, r)
	}
	return out, nil
}
