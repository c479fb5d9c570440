package connect_test

import (
	"testing"

	"rolecall/shared/connect"
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

func (w *world) look() { w.c, w.events = w.store.Get(w.c.ID()), w.store.Log(w.c.ID()) }
