package storetest

import (
	"context"
	crand "crypto/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// Noon is when the suite's connections are made.
var Noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const (
	roleOne = "arn:aws:iam::222222222222:role/One"
	roleTwo = "arn:aws:iam::222222222222:role/Two"
	stackID = "arn:aws:cloudformation:eu-west-1:222222222222:stack/one/11111111-aaaa"
)

// Create is the change that makes a pending connection.
func Create(t testing.TB, tenant connect.TenantID, name string) connect.Change {
	t.Helper()
	return createAt(t, tenant, name, Noon)
}

func createAt(t testing.TB, tenant connect.TenantID, name string, at time.Time) connect.Change {
	t.Helper()
	n, err := connect.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	return connect.Create(connect.NewConnection{
		TenantID: tenant, Name: n, Partition: "aws", DefaultRegion: "eu-west-1", Permissions: "read-only", By: "ada",
	}, newIDAt(t, at), connect.NewExternalID(), Noon)
}

func newID(t testing.TB) connect.ConnectionID { return newIDAt(t, Noon) }

func newIDAt(t testing.TB, at time.Time) connect.ConnectionID {
	t.Helper()
	id, err := connect.NewConnectionID(at, crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Role reads a role's ARN.
func Role(t testing.TB, arn string) connect.RoleARN {
	t.Helper()
	a, err := connect.ParseRoleARN(arn)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Commit commits a change that was made with err, and is the connection after it.
func Commit(t testing.TB, s Store, ch connect.Change, err error) connect.Connection {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(context.Background(), ch); err != nil {
		t.Fatal(err)
	}
	return ch.Connection()
}

// Good is an outcome that proves a role.
func Good(at time.Time) connect.Outcome {
	o := connect.Outcome{Account: "222222222222", At: at, Regions: []connect.Region{"eu-west-1", "us-east-1"}, SessionTags: true}
	for _, n := range []connect.CheckName{
		connect.CheckAssumeRole, connect.CheckExternalIDRequired, connect.CheckExternalIDMatched, connect.CheckRegions, connect.CheckTrustPolicy,
	} {
		o.Checks = append(o.Checks, connect.Check{Name: n, Verdict: connect.Passed, At: at})
	}
	o.Checks[4].Reason = connect.Reason{Code: connect.CodeTrustExtraPrincipal, Message: "wide", Fix: "narrow it"}
	return o
}

// Enabled commits a connection's whole way to enabled.
func Enabled(t testing.TB, s Store, tenant connect.TenantID, name, arn string) connect.Connection {
	t.Helper()
	return enabledBy(t, s, Commit(t, s, Create(t, tenant, name), nil), arn, Good(Noon))
}

// enabledBy commits that the pending connection's role has passed.
func enabledBy(t testing.TB, s Store, c connect.Connection, arn string, o connect.Outcome) connect.Connection {
	t.Helper()
	return Commit(t, s, passes(t, s, c, arn, o), nil)
}

// passes commits that a role is on trial, and is the change by which it passes.
func passes(t testing.TB, s Store, c connect.Connection, arn string, o connect.Outcome) connect.Change {
	t.Helper()
	ch, err := c.ReportRole(Role(t, arn), Noon, "ada")
	c = Commit(t, s, ch, err)
	v, _ := c.Trial()
	ch, err = c.Tried(v.Run, v.Attempt, o, 0, Noon)
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// Scopes reads scopes as people write them: "organization", "project p1".
func Scopes(texts ...string) (out []connect.Scope) {
	for _, text := range texts {
		level, id, _ := strings.Cut(text, " ")
		out = append(out, connect.Scope{Level: connect.ScopeLevel(level), ID: id})
	}
	return out
}

// Rescoped is the change that gives a connection exactly these scopes, taken from the holders that have them.
func Rescoped(t testing.TB, c connect.Connection, holders []connect.Connection, scopes ...string) connect.Change {
	t.Helper()
	ch, ok, err := c.SetScopes(Scopes(scopes...), holders, Noon, "ada")
	if !ok {
		t.Fatalf("no change to %v: %v", scopes, err)
	}
	return ch
}

// scoped commits a new connection with these scopes.
func scoped(t testing.TB, s Store, tenant connect.TenantID, name string, scopes ...string) connect.Connection {
	t.Helper()
	return Commit(t, s, Rescoped(t, Commit(t, s, Create(t, tenant, name), nil), nil, scopes...), nil)
}

func renamed(t testing.TB, c connect.Connection, name string) connect.Change {
	t.Helper()
	ch, ok, err := c.Update(connect.Update{Name: new(connect.Name(name))}, Noon, "ada")
	if !ok {
		t.Fatalf("renaming %s to %s: %v", c.Snapshot().Name, name, err)
	}
	return ch
}

func deployment() connect.Deployment {
	return connect.Deployment{
		Platform: platform(), Regions: []connect.Region{"eu-west-1"}, Permissions: []connect.PermissionSet{{Name: "read-only"}},
		OrganizationTemplate: connect.PublishedTemplate{URL: "https://templates.example.com/"},
	}
}

func platform() connect.Platform { return connect.Platform{Partition: "aws", Account: "111111111111"} }

func atNoon() time.Time { return Noon }

// Race lets callers act at once and waits for all of them.
func Race(callers int, act func(caller int)) {
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			<-start
			act(i)
		})
	}
	close(start)
	wg.Wait()
}
