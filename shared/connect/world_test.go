package connect_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

// A world is a stage of one connection, for tests that follow what becomes of it request by request.
type world struct {
	*stage
	c      connect.Connection
	events []connect.Event
}

// A decided is what a request has led to so far.
type decided struct {
	Reply   *connect.Reply // nil while the stack waits for a verdict
	Changed bool
}

func newWorld(c connect.Connection) *world {
	w := &world{stage: newStage(c), c: c}
	w.callbacks.Offers = []connect.Permissions{"read-only", "power-user", "administrator", connect.PermissionsCustom}
	return w
}

func (w *world) receive(t testing.TB, cb connect.Callback) decided {
	t.Helper()
	before := w.store.Dump()
	reply := w.stage.receive(t, cb)
	w.look()
	return decided{Reply: reply, Changed: before.Diff(w.store.Dump()) != ""}
}

// verify ends what is being verified: roles pass, or are refused.
func (w *world) verify(t testing.TB, passes bool) {
	t.Helper()
	for _, q := range w.queue {
		if q.report != nil {
			w.account.refused[q.report.Report.RoleARN.String()] = !passes
		}
	}
	w.settle(t)
	w.look()
}

// commit is a change of the connection's own.
func (w *world) commit(t testing.TB, ch connect.Change) {
	t.Helper()
	w.stage.commit(t, ch)
	w.look()
}

// settled commits what a stack's request leads to whose answer was taken at a time; v is the verdict on a role that it reports.
func settled(t testing.TB, m *storetest.Memory, r connect.Callback, v *connect.ReportVerdict, at time.Time) {
	t.Helper()
	r.TokenValid = true
	if r.ConnectionID == "" {
		r.ConnectionID = m.All()[0].ID()
	}
	u := connect.Settling{Store: m, Jobs: &outbox{}, Random: rand.NewChaCha8([32]byte{6}), Clock: func() time.Time { return at }}
	if err := u.Settle(context.Background(), r, v); err != nil {
		t.Fatal(err)
	}
}

// proven is the verdict on a role that has passed.
func proven(o connect.Outcome) *connect.ReportVerdict {
	return &connect.ReportVerdict{Reply: connect.Reply{OK: true}, Outcome: o}
}

func (w *world) look() { w.c, w.events = w.store.Get(w.c.ID()), w.store.Log(w.c.ID()) }
