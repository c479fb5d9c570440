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

// A world is one connection with the fences of its stacks, as a store would keep them.
type world struct {
	c      connect.Connection
	fences map[connect.StackID]connect.Fence
	now    time.Time
	events []connect.Event
}

func newWorld(c connect.Connection) *world {
	return &world{c: c, fences: map[connect.StackID]connect.Fence{}, now: noon.Add(time.Hour)}
}

func (w *world) receive(cb connect.Callback) connect.Decision {
	d := w.c.Receive(w.fences[cb.StackID], cb, w.now)
	if d.Change != nil {
		w.commit(*d.Change)
		if f := d.Change.Fence(); f != nil {
			w.fences[f.StackID] = *f
		}
	}
	return d
}

func (w *world) commit(ch connect.Change) {
	w.c = ch.Connection()
	w.events = append(w.events, ch.Events()...)
}

// verify ends the run in progress with the outcome.
func (w *world) verify(t testing.TB, o connect.Outcome) {
	t.Helper()
	v, ok := w.c.Trial()
	if !ok {
		return
	}
	ch, err := w.c.Tried(v.Run, v.Attempt, o, 0, w.now)
	if err != nil {
		t.Fatal(err)
	}
	w.commit(ch)
}

func started(t testing.TB, kind connect.RequestType, stackARN, request string, second int) connect.Callback {
	cb := callback(t, kind, stackARN, request, second)
	cb.Resource, cb.LogicalID, cb.RoleARN, cb.TemplateVersion = connect.ResourceStackStarted, "StackStarted", connect.RoleARN{}, ""
	return cb
}

func TestJourneyOfAStack(t *testing.T) {
	w := newWorld(created(t))
	if d := w.receive(started(t, connect.RequestCreate, stackOne, "s1", 0)); d.Reply == nil || !d.Reply.OK || d.Change == nil {
		t.Fatalf("stack started: %+v", d)
	}
	if w.c.Status() != connect.StatusPending || w.c.Snapshot().Stack.ID.String() != stackOne {
		t.Fatalf("%s, bound to %s", w.c.Status(), w.c.Snapshot().Stack.ID)
	}
	d := w.receive(callback(t, connect.RequestCreate, stackOne, "r1", 1))
	if d.Reply != nil || d.Run == 0 || w.c.Status() != connect.StatusVerifying {
		t.Fatalf("role reported: %+v, %s", d, w.c.Status())
	}
	if _, ok := w.c.ReplyFor(d.Run, w.now); ok {
		t.Fatal("answered before anything was proven")
	}
	w.verify(t, good(w.now))
	if r, ok := w.c.ReplyFor(d.Run, w.now); !ok || !r.OK || w.c.Status() != connect.StatusEnabled {
		t.Fatalf("%+v %t %s", r, ok, w.c.Status())
	}
	update := callback(t, connect.RequestUpdate, stackOne, "r2", 2)
	update.TemplateVersion = "1.1.0"
	if d := w.receive(update); d.Reply == nil || !d.Reply.OK || w.c.Snapshot().Stack.TemplateVersion != "1.1.0" {
		t.Fatalf("same role, new template: %+v", d)
	}
	if d := w.receive(callback(t, connect.RequestDelete, stackOne, "r3", 3)); !d.Reply.OK || w.c.Status() != connect.StatusDisconnected {
		t.Fatalf("delete: %+v, %s", d, w.c.Status())
	}
	if d := w.receive(started(t, connect.RequestDelete, stackOne, "s2", 4)); !d.Reply.OK || d.Change != nil {
		t.Fatalf("the other resource's delete: %+v", d)
	}
	var types []connect.EventType
	for _, e := range w.events {
		types = append(types, e.Type)
	}
	want := []connect.EventType{
		connect.EventStackStarted, connect.EventRoleReported, connect.EventEnabled, connect.EventStackUpdated, connect.EventDisconnected,
	}
	if !slices.Equal(types, want) {
		t.Errorf("timeline %v, want %v", types, want)
	}
}

// Each row is one request to a connection in some state: what the stack is told, and whether anything changes.
func TestReceive(t *testing.T) {
	bound := func(t *testing.T) *world {
		w := newWorld(created(t))
		w.receive(callback(t, connect.RequestCreate, stackOne, "r1", 1))
		w.verify(t, good(w.now))
		return w
	}
	tests := []struct {
		name    string
		world   func(*testing.T) *world
		request func(*testing.T) connect.Callback
		code    connect.Code // of the refusal; "" for success
		status  connect.Status
		changes bool
	}{
		{"another stack with the used link", bound, func(t *testing.T) connect.Callback {
			return callback(t, connect.RequestCreate, stackTwo, "x1", 5)
		}, connect.CodeLaunchUsed, connect.StatusEnabled, false},
		{"another stack starts with the used link", bound, func(t *testing.T) connect.Callback {
			return started(t, connect.RequestCreate, stackTwo, "x1", 5)
		}, connect.CodeLaunchUsed, connect.StatusEnabled, false},
		{"another stack's delete", bound, func(t *testing.T) connect.Callback {
			return callback(t, connect.RequestDelete, stackTwo, "x1", 5)
		}, "", connect.StatusEnabled, false},
		{"a link that has expired", func(t *testing.T) *world {
			w := newWorld(created(t))
			w.now = noon.Add(8 * 24 * time.Hour)
			return w
		}, func(t *testing.T) connect.Callback {
			return callback(t, connect.RequestCreate, stackOne, "r1", 1)
		}, connect.CodeLaunchExpired, connect.StatusPending, false},
		{"a role of another account than the stack's", func(t *testing.T) *world { return newWorld(created(t)) }, func(t *testing.T) connect.Callback {
			cb := callback(t, connect.RequestCreate, stackOne, "r1", 1)
			cb.RoleARN = role(t, "arn:aws:iam::333333333333:role/R")
			return cb
		}, connect.CodeAccountMismatch, connect.StatusPending, false},
		{"a role of another partition", func(t *testing.T) *world { return newWorld(created(t)) }, func(t *testing.T) connect.Callback {
			cb := callback(t, connect.RequestCreate, stackOne, "r1", 1)
			cb.RoleARN = role(t, "arn:aws-cn:iam::222222222222:role/R")
			return cb
		}, connect.CodePartitionMismatch, connect.StatusPending, false},
		{"a delete seen first binds, disconnects and fences", func(t *testing.T) *world { return newWorld(created(t)) }, func(t *testing.T) connect.Callback {
			return callback(t, connect.RequestDelete, stackOne, "r2", 2)
		}, "", connect.StatusDisconnected, true},
		{"a create after the stack's delete", func(t *testing.T) *world {
			w := newWorld(created(t))
			w.receive(callback(t, connect.RequestDelete, stackOne, "r2", 2))
			return w
		}, func(t *testing.T) connect.Callback {
			return callback(t, connect.RequestCreate, stackOne, "r1", 1)
		}, connect.CodeStackDeleted, connect.StatusDisconnected, false},
		{"rollback before the role was made", func(t *testing.T) *world {
			w := newWorld(created(t))
			w.receive(started(t, connect.RequestCreate, stackOne, "s1", 0))
			return w
		}, func(t *testing.T) connect.Callback {
			return started(t, connect.RequestDelete, stackOne, "s2", 1)
		}, "", connect.StatusDisconnected, true},
		{"the first resource leaves a connected stack", bound, func(t *testing.T) connect.Callback {
			return started(t, connect.RequestDelete, stackOne, "s2", 9)
		}, "", connect.StatusEnabled, false},
		{"an update names the current role", bound, func(t *testing.T) connect.Callback {
			return callback(t, connect.RequestUpdate, stackOne, "r2", 2)
		}, "", connect.StatusEnabled, true},
		{"an update older than what is known", func(t *testing.T) *world {
			w := bound(t)
			up := callback(t, connect.RequestUpdate, stackOne, "r3", 30)
			up.RoleARN = role(t, roleR2)
			w.receive(up)
			w.verify(t, good(w.now))
			return w
		}, func(t *testing.T) connect.Callback {
			return callback(t, connect.RequestUpdate, stackOne, "r2", 20)
		}, "", connect.StatusEnabled, false},
		{"a deleted connection's stack is created", func(t *testing.T) *world { return newWorld(in(t, connect.StatusDeleted)) }, func(t *testing.T) connect.Callback {
			return callback(t, connect.RequestCreate, stackOne, "r1", 1)
		}, connect.CodeNotFound, connect.StatusDeleted, false},
		{"a deleted connection's stack is deleted", func(t *testing.T) *world { return newWorld(in(t, connect.StatusDeleted)) }, func(t *testing.T) connect.Callback {
			return callback(t, connect.RequestDelete, stackOne, "r1", 1)
		}, "", connect.StatusDeleted, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := tt.world(t)
			d := w.receive(tt.request(t))
			if d.Reply == nil {
				t.Fatal("no reply at once")
			}
			if d.Reply.OK != (tt.code == "") || d.Reply.Reason.Code != tt.code {
				t.Errorf("told %+v, want code %q", d.Reply, tt.code)
			}
			if w.c.Status() != tt.status || (d.Change != nil) != tt.changes {
				t.Errorf("%s, changed %t; want %s, %t", w.c.Status(), d.Change != nil, tt.status, tt.changes)
			}
		})
	}
}

func TestReconnectAfterDisconnect(t *testing.T) {
	before := in(t, connect.StatusDisconnected)
	w := newWorld(before)
	if d := w.receive(callback(t, connect.RequestCreate, stackTwo, "x1", 9)); d.Reply == nil || d.Reply.Reason.Code != connect.CodeLaunchUsed {
		t.Fatalf("the old link: %+v", d)
	}
	w.commit(must[connect.Change](t)(w.c.Launch(w.now, "ada")))
	cb := callback(t, connect.RequestCreate, stackTwo, "x2", 10)
	cb.Launch = 2
	if d := w.receive(cb); d.Reply != nil || w.c.Status() != connect.StatusVerifying {
		t.Fatalf("the new link: %+v", d)
	}
	w.verify(t, good(w.now))
	if s := w.c.Snapshot(); s.Status != connect.StatusEnabled || s.ID != before.ID() || s.ExternalID != before.Snapshot().ExternalID {
		t.Fatalf("%+v", s)
	}
	if d := w.receive(callback(t, connect.RequestDelete, stackOne, "late", 99)); !d.Reply.OK || w.c.Status() != connect.StatusEnabled {
		t.Fatalf("the old stack's delete: %s", w.c.Status())
	}
}

// One message a thousand times is one transition.
func TestRepeatsChangeNothing(t *testing.T) {
	for _, cb := range []connect.Callback{
		started(t, connect.RequestCreate, stackOne, "s1", 0),
		callback(t, connect.RequestCreate, stackOne, "r1", 1),
		callback(t, connect.RequestDelete, stackOne, "r2", 2),
	} {
		w := newWorld(created(t))
		w.receive(cb)
		version := w.c.Version()
		for range 1000 {
			w.receive(cb)
			w.verify(t, good(w.now))
		}
		want := version
		if cb.Type == connect.RequestCreate && cb.Resource == connect.ResourceConnection {
			want++ // the run has ended
		}
		if w.c.Version() != want {
			t.Errorf("%s of %s: version %d, want %d", cb.Type, cb.Resource, w.c.Version(), want)
		}
	}
}

// All orders of a stack's seven events end in the same state.
func TestEveryOrderOfSevenEvents(t *testing.T) {
	second := callback(t, connect.RequestUpdate, stackOne, "r2", 20)
	second.RoleARN = role(t, roleR2)
	third := callback(t, connect.RequestUpdate, stackOne, "r3", 30)
	third.TemplateVersion = "1.1.0"
	life := []connect.Callback{
		started(t, connect.RequestCreate, stackOne, "s1", 0),
		callback(t, connect.RequestCreate, stackOne, "r1", 1),
		second, third,
		started(t, connect.RequestUpdate, stackOne, "s2", 31),
		callback(t, connect.RequestDelete, stackOne, "r4", 40),
		started(t, connect.RequestDelete, stackOne, "s3", 41),
	}
	orders := 0
	permute(life, func(order []connect.Callback) {
		orders++
		w := newWorld(created(t))
		for _, cb := range order {
			d := w.receive(cb)
			if cb.Type == connect.RequestDelete && (d.Reply == nil || !d.Reply.OK) {
				t.Fatalf("a delete was told %+v", d.Reply)
			}
			w.verify(t, good(w.now))
		}
		if s := w.c.Snapshot(); s.Status != connect.StatusDisconnected || s.Stack.ID.String() != stackOne || s.Verification != nil {
			t.Fatalf("%s after %v", s.Status, names(order))
		}
	})
	if orders != 5040 {
		t.Fatalf("%d orders", orders)
	}
}

// Without a delete, the newest report wins in whatever order the reports come.
func TestTheNewestReportWins(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var reports []connect.Callback
		for i := range 4 {
			cb := callback(t, connect.RequestUpdate, stackOne, fmt.Sprint("r", i), 10*i)
			cb.RoleARN = role(t, fmt.Sprintf("arn:aws:iam::222222222222:role/R%d", rapid.IntRange(0, 3).Draw(rt, "role")))
			reports = append(reports, cb)
		}
		reports[0].Type = connect.RequestCreate
		newest := reports[3].RoleARN
		w := newWorld(created(t))
		for _, cb := range rapid.Permutation(append(reports, reports...)).Draw(rt, "order") {
			w.receive(cb)
			if rapid.Bool().Draw(rt, "verified meanwhile") {
				w.verify(t, good(w.now))
			}
		}
		w.verify(t, good(w.now))
		if got := w.c.Snapshot().RoleARN; got != newest {
			rt.Fatalf("ended with %s, want %s", got, newest)
		}
	})
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

// Twenty requests of a long life, shuffled, a third of them delivered twice: the end is the same.
func TestShuffledLives(t *testing.T) {
	var life []connect.Callback
	life = append(life, started(t, connect.RequestCreate, stackOne, "s0", 0), callback(t, connect.RequestCreate, stackOne, "r0", 1))
	for i := 1; i <= 16; i++ {
		cb := callback(t, connect.RequestUpdate, stackOne, fmt.Sprint("r", i), 10*i)
		cb.RoleARN = role(t, fmt.Sprintf("arn:aws:iam::222222222222:role/R%d", i%3))
		life = append(life, cb)
	}
	life = append(life, callback(t, connect.RequestDelete, stackOne, "r17", 170), started(t, connect.RequestDelete, stackOne, "s1", 171))
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		order := slices.Clone(life)
		for _, cb := range life {
			if random.Float64() < 0.3 {
				order = append(order, cb)
			}
		}
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		w := newWorld(created(t))
		for _, cb := range order {
			w.receive(cb)
			if random.IntN(2) == 0 {
				w.verify(t, good(w.now))
			}
		}
		if s := w.c.Snapshot(); s.Status != connect.StatusDisconnected || s.Stack.ID.String() != stackOne || s.Verification != nil {
			t.Fatalf("%s after %v", s.Status, names(order))
		}
	}
}
