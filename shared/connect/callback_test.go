package connect_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rolecall/shared/connect"
)

func started(t testing.TB, kind connect.RequestType, stackARN, request string, second int) connect.Callback {
	cb := callback(t, kind, stackARN, request, second)
	cb.Resource, cb.LogicalID, cb.RoleARN, cb.TemplateVersion = connect.ResourceStackStarted, "StackStarted", connect.RoleARN{}, ""
	return cb
}

// naming is a callback that reports another role than R1.
func naming(t testing.TB, kind connect.RequestType, arn, request string, second int) connect.Callback {
	cb := callback(t, kind, stackOne, request, second)
	cb.RoleARN = role(t, arn)
	return cb
}

func TestJourneyOfAStack(t *testing.T) {
	s := newStage(created(t))
	if r := s.receive(t, started(t, connect.RequestCreate, stackOne, "s1", 0)); r == nil || !r.OK {
		t.Fatalf("stack started: %+v", r)
	}
	if c := s.one(t).Snapshot(); c.Status != connect.StatusPending || c.Stack.ID.String() != stackOne || c.Stack.StartID != "StackStarted" {
		t.Fatalf("%s, bound to %+v", c.Status, c.Stack)
	}
	create := callback(t, connect.RequestCreate, stackOne, "r1", 1)
	s.unchanged(t, "a role is reported", func() {
		if r := s.receive(t, create); r != nil || len(s.queue) != 1 {
			t.Fatalf("answered %+v before anything was proven", r)
		}
	})
	s.settle(t)
	if r := s.told(create); r == nil || !r.OK || s.one(t).Status() != connect.StatusEnabled {
		t.Fatalf("%+v %s", r, s.one(t).Status())
	}
	update := callback(t, connect.RequestUpdate, stackOne, "r2", 2)
	update.TemplateVersion = "1.1.0"
	if r := s.receive(t, update); r == nil || !r.OK || s.one(t).Snapshot().Stack.TemplateVersion != "1.1.0" {
		t.Fatalf("same role, new template: %+v", r)
	}
	if r := s.receive(t, callback(t, connect.RequestDelete, stackOne, "r3", 3)); !r.OK || s.one(t).Status() != connect.StatusDisconnected {
		t.Fatalf("delete: %+v, %s", r, s.one(t).Status())
	}
	s.unchanged(t, "the other resource's Delete", func() { s.plays(t, started(t, connect.RequestDelete, stackOne, "s2", 4)) })
	want := []connect.EventType{
		connect.EventStackStarted, connect.EventRoleReported, connect.EventEnabled, connect.EventStackUpdated, connect.EventDisconnected,
	}
	if got := s.types(); !slices.Equal(got, want) {
		t.Errorf("timeline %v, want %v", got, want)
	}
}

// connected is a stage with a connection that stackOne has connected with role R1.
func connected(t *testing.T) *stage {
	t.Helper()
	s := newStage(created(t))
	s.plays(t, started(t, connect.RequestCreate, stackOne, "s1", 0))
	s.plays(t, callback(t, connect.RequestCreate, stackOne, "r1", 1))
	return s
}

// Each row is one request to a connection in some state: what the stack is told, and what becomes of the connection.
func TestReceive(t *testing.T) {
	pending := func(t *testing.T) *stage { return newStage(created(t)) }
	deleted := func(t *testing.T) *stage { return newStage(in(t, connect.StatusDeleted)) }
	request := func(kind connect.RequestType, stackARN string, second int) func(*testing.T) connect.Callback {
		return func(t *testing.T) connect.Callback { return callback(t, kind, stackARN, "x1", second) }
	}
	without := func(f func(*testing.T) connect.Callback) func(*testing.T) connect.Callback {
		return func(t *testing.T) connect.Callback {
			cb := f(t)
			cb.Launch = 0
			return cb
		}
	}
	tests := []struct {
		name    string
		stage   func(*testing.T) *stage
		request func(*testing.T) connect.Callback
		code    connect.Code // of the refusal; "" for success
		status  connect.Status
		changes bool
	}{
		{"another stack with the used link", connected, request(connect.RequestCreate, stackTwo, 5), connect.CodeLaunchUsed, connect.StatusEnabled, false},
		{"another stack starts with the used link", connected, func(t *testing.T) connect.Callback {
			return started(t, connect.RequestCreate, stackTwo, "x1", 5)
		}, connect.CodeLaunchUsed, connect.StatusEnabled, false},
		{"another stack's Update", connected, request(connect.RequestUpdate, stackTwo, 5), "", connect.StatusEnabled, false},
		{"another stack's Delete, without a token", connected, without(request(connect.RequestDelete, stackTwo, 5)), "", connect.StatusEnabled, false},
		{"a stack without a token", pending, without(request(connect.RequestCreate, stackOne, 1)), connect.CodeTokenInvalid, connect.StatusPending, false},
		{"a stack starts without a token", pending, func(t *testing.T) connect.Callback {
			cb := started(t, connect.RequestCreate, stackOne, "x1", 1)
			cb.Launch = 0
			return cb
		}, connect.CodeTokenInvalid, connect.StatusPending, false},
		{"an Update without a token", pending, without(request(connect.RequestUpdate, stackOne, 1)), "", connect.StatusPending, false},
		{"a Delete without a token", pending, without(request(connect.RequestDelete, stackOne, 1)), "", connect.StatusPending, false},
		{"a link that has expired", func(t *testing.T) *stage {
			s := pending(t)
			s.now = noon.Add(7*24*time.Hour - time.Second + time.Second)
			return s
		}, request(connect.RequestCreate, stackOne, 7*24*3600), connect.CodeLaunchExpired, connect.StatusPending, false},
		{"a role of another account than the stack's", pending, func(t *testing.T) connect.Callback {
			return naming(t, connect.RequestCreate, "arn:aws:iam::333333333333:role/R", "x1", 1)
		}, connect.CodeAccountMismatch, connect.StatusPending, false},
		{"a role of another partition", pending, func(t *testing.T) connect.Callback {
			return naming(t, connect.RequestCreate, "arn:aws-cn:iam::222222222222:role/R", "x1", 1)
		}, connect.CodePartitionMismatch, connect.StatusPending, false},
		{"a role of the platform's", pending, func(t *testing.T) connect.Callback {
			return naming(t, connect.RequestCreate, "arn:aws:iam::111111111111:role/R", "x1", 1)
		}, connect.CodeOwnAccount, connect.StatusPending, false},
		{"a Create after the stack's Delete", func(t *testing.T) *stage {
			s := pending(t)
			s.plays(t, callback(t, connect.RequestDelete, stackOne, "r2", 2))
			return s
		}, request(connect.RequestCreate, stackOne, 1), connect.CodeStackDeleted, connect.StatusPending, false},
		{"rollback before the role was made", func(t *testing.T) *stage {
			s := pending(t)
			s.plays(t, started(t, connect.RequestCreate, stackOne, "s1", 0))
			return s
		}, func(t *testing.T) connect.Callback {
			return started(t, connect.RequestDelete, stackOne, "s2", 1)
		}, "", connect.StatusDisconnected, true},
		{"the first resource leaves a connected stack", connected, func(t *testing.T) connect.Callback {
			return started(t, connect.RequestDelete, stackOne, "s2", 9)
		}, "", connect.StatusEnabled, false},
		{"an Update names the current role", connected, request(connect.RequestUpdate, stackOne, 2), "", connect.StatusEnabled, true},
		{"an Update names the current role, without a token", connected, without(request(connect.RequestUpdate, stackOne, 2)), "", connect.StatusEnabled, true},
		{"another resource of the stack updates", connected, func(t *testing.T) connect.Callback {
			cb := callback(t, connect.RequestUpdate, stackOne, "x1", 2)
			cb.LogicalID = "Another"
			return cb
		}, "", connect.StatusEnabled, false},
		{"another resource of the stack is deleted", connected, func(t *testing.T) connect.Callback {
			cb := callback(t, connect.RequestDelete, stackOne, "x1", 2)
			cb.LogicalID = "Another"
			return cb
		}, "", connect.StatusEnabled, false},
		{"the start's resource speaks as the connection's", connected, func(t *testing.T) connect.Callback {
			cb := callback(t, connect.RequestDelete, stackOne, "x1", 2)
			cb.LogicalID = "StackStarted"
			return cb
		}, "", connect.StatusEnabled, false},
		{"an Update older than what is known", func(t *testing.T) *stage {
			s := connected(t)
			s.plays(t, naming(t, connect.RequestUpdate, roleR2, "r3", 30))
			return s
		}, request(connect.RequestUpdate, stackOne, 20), "", connect.StatusEnabled, false},
		{"a deleted connection's stack is created", deleted, request(connect.RequestCreate, stackOne, 1), connect.CodeNotFound, connect.StatusDeleted, false},
		{"a deleted connection's stack is updated", deleted, request(connect.RequestUpdate, stackOne, 1), "", connect.StatusDeleted, false},
		{"a deleted connection's stack is deleted", deleted, without(request(connect.RequestDelete, stackOne, 1)), "", connect.StatusDeleted, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.stage(t)
			before := s.store.Dump()
			r := s.plays(t, tt.request(t))
			if r.OK != (tt.code == "") || r.Reason.Code != tt.code {
				t.Errorf("told %+v, want code %q", r, tt.code)
			}
			diff := before.Diff(s.store.Dump())
			if got := s.one(t).Status(); got != tt.status || (diff != "") != tt.changes {
				t.Errorf("%s, want %s; changed:\n%s", got, tt.status, diff)
			}
		})
	}
}

// A request that names nothing of ours is answered and changes nothing: a stack of it can be updated and deleted.
func TestUnknownConnection(t *testing.T) {
	for kind, ok := range map[connect.RequestType]bool{connect.RequestCreate: false, connect.RequestUpdate: true, connect.RequestDelete: true} {
		for _, id := range []connect.ConnectionID{"conn_00000000000000000000000000", "conn_x"} {
			s := newStage(created(t))
			cb := callback(t, kind, stackOne, "x1", 1)
			cb.ConnectionID = id
			s.unchanged(t, string(kind), func() {
				if r := s.plays(t, cb); r.OK != ok {
					t.Errorf("%s of %s: %+v", kind, id, r)
				}
			})
		}
	}
}

func TestReconnectAfterDisconnect(t *testing.T) {
	s := connected(t)
	s.plays(t, callback(t, connect.RequestDelete, stackOne, "r2", 2))
	before := s.one(t)
	if r := s.plays(t, callback(t, connect.RequestCreate, stackTwo, "x1", 9)); r.Reason.Code != connect.CodeLaunchUsed {
		t.Fatalf("the old link: %+v", r)
	}
	s.commit(t, must[connect.Change](t)(before.Launch(s.now, "ada")))
	cb := callback(t, connect.RequestCreate, stackTwo, "x2", 10)
	cb.Launch = 2
	if r := s.plays(t, cb); !r.OK {
		t.Fatalf("the new link: %+v", r)
	}
	if c := s.one(t).Snapshot(); c.Status != connect.StatusEnabled || c.ID != before.ID() || c.ExternalID != before.Snapshot().ExternalID || c.Stack.Launch != 2 {
		t.Fatalf("%+v", c)
	}
	s.plays(t, callback(t, connect.RequestDelete, stackOne, "late", 99))
	if got := s.one(t).Status(); got != connect.StatusEnabled {
		t.Fatalf("the old stack's Delete: %s", got)
	}
}

// One message a thousand times is one transition.
func TestRepeatsChangeNothing(t *testing.T) {
	for _, cb := range []connect.Callback{
		started(t, connect.RequestCreate, stackOne, "s1", 0),
		callback(t, connect.RequestCreate, stackOne, "r1", 1),
		callback(t, connect.RequestDelete, stackOne, "r2", 2),
	} {
		s := newStage(created(t))
		first := s.plays(t, cb)
		s.unchanged(t, string(cb.Type)+" of "+cb.LogicalID, func() {
			for range 1000 {
				if r := s.plays(t, cb); r != first {
					t.Fatalf("told %+v, then %+v", first, r)
				}
			}
		})
	}
}

// lifeOfStack is what a stack says in its life: seven requests, of which the last two end it.
func lifeOfStack(t testing.TB) []connect.Callback {
	third := naming(t, connect.RequestUpdate, roleR2, "r3", 30)
	third.TemplateVersion = "1.1.0"
	start := started(t, connect.RequestUpdate, stackOne, "s2", 31)
	start.TemplateVersion = "1.1.0"
	return []connect.Callback{
		started(t, connect.RequestCreate, stackOne, "s1", 0),
		callback(t, connect.RequestCreate, stackOne, "r1", 1),
		naming(t, connect.RequestUpdate, roleR2, "r2", 20),
		third, start,
		callback(t, connect.RequestDelete, stackOne, "r4", 40),
		started(t, connect.RequestDelete, stackOne, "s3", 41),
	}
}

// All orders of a stack's seven requests end as if they had come in their own. The Delete of a stack that is not bound yet
// is remembered, and nothing of it connects afterwards.
func TestEveryOrderOfSevenEvents(t *testing.T) {
	orders, bound := 0, 0
	permute(lifeOfStack(t), func(order []connect.Callback) {
		orders++
		s := newStage(created(t))
		for _, cb := range order {
			if r := s.plays(t, cb); cb.Type == connect.RequestDelete && !r.OK {
				t.Fatalf("a Delete was told %+v", r)
			}
		}
		c := s.one(t).Snapshot()
		if c.Stack.ID.IsZero() != (c.Status == connect.StatusPending) || c.Verification != nil {
			t.Fatalf("%s, %+v after %v", c.Status, c.Stack, names(order))
		}
		if c.Status == connect.StatusDisconnected {
			bound++
		} else if c.Status != connect.StatusPending {
			t.Fatalf("%s after %v", c.Status, names(order))
		}
	})
	if orders != 5040 || bound == 0 {
		t.Fatalf("%d orders, %d bound", orders, bound)
	}
}

// All orders of a stack's requests without its Delete end with the role and the version of the newest one.
func TestEveryOrderWithoutADelete(t *testing.T) {
	life := lifeOfStack(t)[:5]
	last := callback(t, connect.RequestUpdate, stackOne, "r5", 35) // back to R1
	last.TemplateVersion = "1.1.1"
	permute(append(life, last), func(order []connect.Callback) {
		s := newStage(created(t))
		for _, cb := range order {
			s.plays(t, cb)
		}
		if c := s.one(t).Snapshot(); c.Status != connect.StatusEnabled || c.RoleARN.String() != roleR1 || c.Stack.ReportID != "Connection" {
			t.Fatalf("%s with %s after %v", c.Status, c.RoleARN, names(order))
		}
	})
}

// Without a Delete, the newest report wins in whatever order the reports come.
func TestTheNewestReportWins(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var reports []connect.Callback
		for i := range 4 {
			arn := fmt.Sprintf("arn:aws:iam::222222222222:role/R%d", rapid.IntRange(0, 3).Draw(rt, "role"))
			reports = append(reports, naming(t, connect.RequestUpdate, arn, fmt.Sprint("r", i), 10*i))
		}
		reports[0].Type = connect.RequestCreate
		newest := reports[3].RoleARN
		s := newStage(created(t))
		s.plays(t, started(t, connect.RequestCreate, stackOne, "s1", 0))
		for _, cb := range rapid.Permutation(append(reports, reports...)).Draw(rt, "order") {
			s.receive(t, cb)
			if rapid.Bool().Draw(rt, "verified meanwhile") {
				s.settle(t)
			}
		}
		s.settle(t)
		if got := s.one(t).Snapshot().RoleARN; got != newest {
			rt.Fatalf("ended with %s, want %s", got, newest)
		}
	})
}

// Two requests that were signed within the same second are ordered by SNS's clock, and a Delete beats what was signed when it was.
func TestRequestsOfOneSecond(t *testing.T) {
	s := connected(t)
	late, early := naming(t, connect.RequestUpdate, roleR2, "r2", 9), callback(t, connect.RequestUpdate, stackOne, "r3", 9)
	early.SentAt = late.SentAt.Add(-time.Millisecond)
	early.TemplateVersion = "0.9.0"
	s.plays(t, late)
	s.plays(t, early)
	if c := s.one(t).Snapshot(); c.RoleARN.String() != roleR2 || c.Stack.TemplateVersion == "0.9.0" {
		t.Errorf("%s, %s", c.RoleARN, c.Stack.TemplateVersion)
	}
	s.plays(t, callback(t, connect.RequestDelete, stackOne, "r4", 9))
	if got := s.one(t).Status(); got != connect.StatusDisconnected {
		t.Error(got)
	}
}

func permute(list []connect.Callback, visit func([]connect.Callback)) {
	var walk func(int)
	walk = func(k int) {
		if k == len(list) {
			visit(list)
			return
		}
		for i := k; i < len(list); i++ {
			list[k], list[i] = list[i], list[k]
			walk(k + 1)
			list[k], list[i] = list[i], list[k]
		}
	}
	walk(0)
}

func names(order []connect.Callback) (out []string) {
	for _, cb := range order {
		out = append(out, fmt.Sprintf("%s %s", cb.Type, cb.LogicalID))
	}
	return out
}

// Twenty requests of a long life, shuffled, a third of them delivered twice. With the Delete the connection is disconnected, or was never
// connected; without it, the role of the newest request serves.
func TestShuffledLives(t *testing.T) {
	start := started(t, connect.RequestCreate, stackOne, "s0", 0)
	life := []connect.Callback{callback(t, connect.RequestCreate, stackOne, "r0", 1)}
	for i := 1; i <= 17; i++ {
		life = append(life, naming(t, connect.RequestUpdate, fmt.Sprintf("arn:aws:iam::222222222222:role/R%d", i%3), fmt.Sprint("r", i), 10*i))
	}
	newest := life[17].RoleARN
	random := rand.New(rand.NewPCG(1, 2))
	lives := 10_000
	if raced {
		lives = 1_000 // nothing is concurrent here, and the detector makes it twenty times as slow
	}
	for n := range lives {
		order := slices.Clone(life)
		if n%2 == 0 {
			order = append(order, callback(t, connect.RequestDelete, stackOne, "r18", 180))
		}
		for _, cb := range order {
			if random.Float64() < 0.3 {
				order = append(order, cb)
			}
		}
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		s := newStage(created(t))
		s.plays(t, start)
		for _, cb := range order {
			s.receive(t, cb)
			if random.IntN(2) == 0 {
				s.settle(t)
			}
		}
		s.settle(t)
		c := s.one(t).Snapshot()
		switch {
		case n%2 == 0 && (c.Status != connect.StatusDisconnected || c.Verification != nil):
			t.Fatalf("%s after %v", c.Status, names(order))
		case n%2 == 1 && (c.Status != connect.StatusEnabled || c.RoleARN != newest):
			t.Fatalf("%s with %s, want %s; %+v", c.Status, c.RoleARN, newest, c.Stack)
		}
	}
}
