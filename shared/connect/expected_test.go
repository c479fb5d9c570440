package connect_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolecall/shared/connect"
)

const (
	otherRole  = "arn:aws:iam::333333333333:role/acme/R1"
	otherStack = "arn:aws:cloudformation:eu-west-1:333333333333:stack/other/33333333-cccc"
)

// expecting is a connection of the status that only customerAccount may become, with an open launch.
func expecting(t testing.TB, c connect.Connection) connect.Connection {
	t.Helper()
	s := c.Snapshot()
	s.ExpectedAccountID = customerAccount
	s.LastLaunch++
	s.Launches = append(s.Launches, connect.Launch{Number: s.LastLaunch, ExpiresAt: noon.Add(30 * 24 * time.Hour)})
	return must[connect.Connection](t)(connect.Restore(s))
}

// comers are the ways in which an account can come to be a connection's. They answer the code of the refusal, "" for none.
var comers = map[string]func(*testing.T, *world) connect.Code{
	"a stack starts": func(t *testing.T, w *world) connect.Code {
		return told(w.receive(t, latest(w, started(t, connect.RequestCreate, otherStack, "o1", 1))))
	},
	"a stack reports": func(t *testing.T, w *world) connect.Code {
		return told(w.receive(t, latest(w, others(t, connect.RequestCreate, otherStack))))
	},
	"a stack's update reports": func(t *testing.T, w *world) connect.Code {
		return told(w.receive(t, latest(w, others(t, connect.RequestUpdate, otherStack))))
	},
	"the own stack reports another account's role": func(t *testing.T, w *world) connect.Code {
		return told(w.receive(t, latest(w, others(t, connect.RequestUpdate, stackOne))))
	},
	"a role is pasted": func(t *testing.T, w *world) connect.Code {
		ch, err := w.c.ReportRole(role(t, otherRole), w.now, "ada")
		if err != nil {
			return codeOf(err)
		}
		w.commit(t, ch)
		return ""
	},
}

// latest is the request with the newest launch's token.
func latest(w *world, r connect.Callback) connect.Callback {
	r.Launch = w.c.Snapshot().LastLaunch
	return r
}

func others(t *testing.T, kind connect.RequestType, stackARN string) connect.Callback {
	t.Helper()
	cb := callback(t, kind, stackARN, "o2", 2)
	cb.RoleARN = role(t, otherRole)
	return cb
}

func told(d decided) connect.Code {
	if d.Reply == nil {
		return ""
	}
	return d.Reply.Reason.Code
}

// owned are what an account that has come is seen by.
func owned(c connect.Connection) []any {
	s := c.Snapshot()
	return []any{s.Status, s.AccountID, s.RoleARN.String(), s.Stack.ID.String(), s.Launches, s.UsedLaunch, s.Verification, s.Method, s.AccessKey}
}

// Whatever has become of a connection, by an access key or by a role, and whichever way another account comes: it is refused,
// nothing is bound, and the launch still waits for the right one. The refused stack's end changes nothing either.
func TestOnlyTheExpectedAccountConnects(t *testing.T) {
	from := map[string]connect.Connection{"by access key": newKeyBench().made(t, longLived)}
	for _, status := range connect.Statuses() {
		from[string(status)] = in(t, status)
	}
	closed := map[string]connect.Code{"deleted": connect.CodeNotFound, "expired": connect.CodeStatus, "disconnected": connect.CodeStatus}
	for name, c := range from {
		for way, come := range comers {
			t.Run(name+", "+way, func(t *testing.T) {
				w := newWorld(expecting(t, c))
				before := owned(w.c)
				code := come(t, w)
				unknown := code == "" && (way == "a stack's update reports" || (name == "deleted" && way == "the own stack reports another account's role")) // is told SUCCESS, and changes nothing
				if !unknown && code != connect.CodeAccountMismatch && (code == "" || code != closed[name]) && (name != "deleted" || code != connect.CodeStatus) {
					t.Errorf("refused with %q", code)
				}
				for _, gone := range []connect.Callback{
					started(t, connect.RequestDelete, otherStack, "o3", 3), callback(t, connect.RequestDelete, otherStack, "o4", 4),
				} {
					if d := w.receive(t, latest(w, gone)); !d.Reply.OK {
						t.Errorf("a Delete is told %+v", d.Reply)
					}
				}
				if name != "pending" && w.c.Version() != c.Version() {
					t.Errorf("something was written: %v", w.events[len(w.events)-1].Type)
				}
				if diff := cmp.Diff(before, owned(w.c), cmp.AllowUnexported(connect.RoleARN{})); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// Without an account that is expected, a connection of an enrolment is that account's, one that serves stays with the account
// that it serves, and any may become another one.
func TestAnAccountThatIsExpectedOtherwise(t *testing.T) {
	enrolled := in(t, connect.StatusFailed).Snapshot()
	enrolled.EnrolmentID, enrolled.ExternalID = "enr_01ka000000000000000000demx", "rce-0123456789abcdef0123456789abcdef-"+customerAccount
	for name, tt := range map[string]struct {
		c    connect.Connection
		code connect.Code
	}{
		"of an enrolment": {must[connect.Connection](t)(connect.Restore(enrolled)), connect.CodeAccountMismatch},
		"enabled":         {in(t, connect.StatusEnabled), connect.CodeAccountMismatch},
		"degraded":        {in(t, connect.StatusDegraded), connect.CodeAccountMismatch},
		"pending":         {in(t, connect.StatusPending), ""},
		"failed":          {in(t, connect.StatusFailed), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := tt.c.Snapshot()
			s.LastLaunch++
			s.Launches = []connect.Launch{{Number: s.LastLaunch, ExpiresAt: noon.Add(24 * time.Hour)}}
			for _, way := range []string{"a stack starts", "a role is pasted"} {
				if code := comers[way](t, newWorld(must[connect.Connection](t)(connect.Restore(s)))); code != tt.code {
					t.Errorf("%s: %q", way, code)
				}
			}
		})
	}
}

// A stack of another account is told of on the connection, once, and not any more when the right one has begun.
func TestARefusedStackIsToldOfOnce(t *testing.T) {
	w := newWorld(expecting(t, created(t)))
	for range 3 {
		w.receive(t, latest(w, started(t, connect.RequestCreate, otherStack, "o1", 1)))
	}
	var types []connect.EventType
	for _, e := range w.events {
		types = append(types, e.Type)
	}
	reason := w.c.Snapshot().StatusReason
	if !slices.Equal(types, []connect.EventType{connect.EventStackRefused}) || reason.Code != connect.CodeAccountMismatch || reason.Fix == "" {
		t.Errorf("%v, %+v", types, reason)
	}
	if d := w.receive(t, latest(w, started(t, connect.RequestCreate, otherStack, "o1", 1))); d.Reply.OK {
		t.Error("a copy of the refused request is told SUCCESS")
	}
	relaunched := must[connect.Change](t)(w.c.Launch(w.now, "ada")).Connection().Snapshot()
	if relaunched.StatusReason.Code != "" || relaunched.ExpectedAccountID != customerAccount {
		t.Errorf("launched again: %+v for %s", relaunched.StatusReason, relaunched.ExpectedAccountID)
	}
	if d := w.receive(t, latest(w, started(t, connect.RequestCreate, stackOne, "s1", 2))); !d.Reply.OK || w.c.Snapshot().StatusReason.Code != "" {
		t.Errorf("%+v, %+v", d.Reply, w.c.Snapshot().StatusReason)
	}
	w.receive(t, latest(w, callback(t, connect.RequestCreate, stackOne, "r1", 3)))
	w.verify(t, true)
	w.receive(t, callback(t, connect.RequestDelete, stackOne, "r2", 4))
	again := must[connect.Change](t)(w.c.Launch(w.now, "ada")).Connection()
	if _, err := again.ReportRole(role(t, otherRole), w.now, "ada"); codeOf(err) != connect.CodeAccountMismatch {
		t.Errorf("connected again by another account: %v", err)
	}
}

// The account that is given at creation is kept, and what names another one is not restored.
func TestTheExpectedAccountIsKept(t *testing.T) {
	u := newKeyBench().keys
	c, err := u.Create(context.Background(), connect.CreateRequest{Filter: connect.Unrestricted(), Tenant: "acme", By: "ada", Name: "x", AccountID: "022222222222"})
	if s := c.Snapshot(); err != nil || s.ExpectedAccountID != "022222222222" || s.AccountID != "" {
		t.Errorf("%v, expects %s, has %s", err, s.ExpectedAccountID, s.AccountID)
	}
	if s := newKeyBench().made(t, longLived).Snapshot(); s.ExpectedAccountID != customerAccount {
		t.Errorf("by access key: %q", s.ExpectedAccountID)
	}
	s := in(t, connect.StatusEnabled).Snapshot()
	s.ExpectedAccountID = "333333333333"
	if _, err := connect.Restore(s); err == nil {
		t.Error("a connection of another account was restored")
	}
}
