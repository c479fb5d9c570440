package store_test

import (
	"cmp"
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"rolecall/shared/connect"
	"rolecall/shared/store"
	"rolecall/shared/storetest"
)

// Histories of concurrent callers are checked for linearizability: every call must seem to have happened at one instant
// between its start and its end.

// size is how many callers race, and how many calls each of them makes; ROLECALL_LONG asks for THREATS.md's figure. After
// every few rounds a new history begins, with fresh connections.
func size() (callers, rounds int) {
	if os.Getenv("ROLECALL_LONG") != "" {
		return 200, 100
	}
	return 20, 25
}

const (
	crowd      = 5 // callers of one connection; the work of checking grows exponentially with them
	roundsEach = 5 // rounds of one history
	checkTime  = 20 * time.Second
)

// A recorder keeps a history. Its clock counts calls and returns, so that no two are at the same time.
type recorder struct {
	clock atomic.Int64
	mu    sync.Mutex
	ops   []porcupine.Operation
}

// did keeps what a caller did since call. What is known to have changed nothing and says nothing is not kept.
func (r *recorder) did(caller int, call int64, in, out any) {
	returned := r.clock.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, porcupine.Operation{ClientId: caller, Input: in, Call: call, Output: out, Return: returned})
}

func (r *recorder) check(t *testing.T, model porcupine.Model) {
	t.Helper()
	result := porcupine.CheckOperationsTimeout(model, r.ops, checkTime)
	if result == porcupine.Ok {
		return
	}
	slices.SortFunc(r.ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	var b strings.Builder
	for _, op := range r.ops {
		fmt.Fprintf(&b, "%6d..%-6d caller %3d: %T%+v -> %T%+v\n", op.Call, op.Return, op.ClientId, op.Input, op.Input, op.Output, op.Output)
	}
	t.Fatalf("the history is not linearizable (%s):\n%s", result, b.String())
}

// The register is what a connection must look like from outside: its status, and the version that counts its changes.
type register struct {
	version int64
	status  connect.Status
}

type (
	issue  struct{}
	read   struct{}
	remove struct{}
	move   register // one change committed, from the version before

	issued  struct{ version int64 } // for which the session was made
	refused register                // as it was read
	done    struct{}
)

func registerModel(initial register) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return initial },
		Step: func(state, in, out any) (bool, any) {
			is, ok := state.(register)
			if !ok {
				return false, state
			}
			switch in := in.(type) {
			case issue:
				if got, ok := out.(issued); ok {
					return is == register{got.version, connect.StatusEnabled}, is
				}
				return out == refused(is) && is.status != connect.StatusEnabled, is
			case read:
				return out == is, is
			case move:
				// What a revocation has done in the account is written down of a deleted connection, too.
				return in.version == is.version+1 && (is.status != connect.StatusDeleted || in.status == connect.StatusDeleted), register(in)
			case remove:
				if is.status != connect.StatusDeleted {
					is = register{is.version + 1, connect.StatusDeleted}
				}
				return out == is, is
			}
			return false, is
		},
	}
}

// An auditor remembers what its one caller has read or committed.
type auditor struct {
	*store.Store
	read connect.Connection
}

func (a *auditor) Connection(ctx context.Context, id connect.ConnectionID) (connect.Connection, error) {
	c, err := a.Store.Connection(ctx, id)
	a.read = c
	return c, err
}

func (a *auditor) Bare(ctx context.Context, id connect.ConnectionID) (connect.Connection, error) {
	c, err := a.Store.Bare(ctx, id)
	a.read = c
	return c, err
}

func (a *auditor) Commit(ctx context.Context, ch connect.Change) error {
	err := a.Store.Commit(ctx, ch)
	if err == nil {
		a.read = ch.Connection()
	}
	return err
}

func (a *auditor) knows() register { return register{a.read.Version(), a.read.Status()} }

// A life is a connection that callers move, end and ask for credentials.
type life struct {
	t      *testing.T
	store  *store.Store
	held   [processes]*connect.SessionCache
	id     connect.ConnectionID
	tenant connect.TenantID
	ticks  atomic.Int64
	recorder

	initial register
	events  map[connect.EventType]int // committed while callers raced; under the recorder's lock
}

// processes is how many serve one connection, each with sessions of its own.
const processes = 3

// now is six minutes later whenever it is asked for, so that every denial counts.
func (l *life) now() time.Time { return noon.Add(time.Duration(l.ticks.Add(1)) * 6 * time.Minute) }

// stamped makes sessions whose access key id tells for which version of the connection they were made.
type stamped struct{}

func (stamped) Session(_ context.Context, a connect.SessionAsk) (connect.Issued, error) {
	return connect.Issued{Credentials: connect.Credentials{
		AccessKeyID: fmt.Sprint(a.Connection.Version()), Expires: noon.Add(time.Hour),
	}}, nil
}

// issue asks by the cache of a caller's process, which others ask too: what it holds must not outlive the version it was made for.
func (l *life) issue(caller int) {
	a := &auditor{Store: l.store}
	u := connect.Issuing{Clock: l.now, Store: a, Sessions: l.held[caller%processes]}
	call := l.clock.Add(1)
	got, err := u.Issue(context.Background(), connect.IssueRequest{Filter: connect.Unrestricted(), Tenant: l.tenant, ID: string(l.id), Caller: "svc"})
	switch {
	case err == nil:
		version, parseErr := strconv.ParseInt(got.Credentials.AccessKeyID, 10, 64)
		if parseErr != nil {
			l.t.Error(parseErr)
		}
		l.did(caller, call, issue{}, issued{version})
	case errors.Is(err, &connect.Error{Code: connect.CodeNotEnabled}):
		l.did(caller, call, issue{}, refused(a.knows()))
	default:
		l.t.Errorf("issue: %v", err)
	}
}

func (l *life) remove(caller int) {
	a := &auditor{Store: l.store}
	u := connect.Connections{Store: a, Replays: a, Clock: l.now}
	for {
		call := l.clock.Add(1)
		err := u.Delete(context.Background(), connect.Target{Filter: connect.Unrestricted(), Tenant: l.tenant, ID: string(l.id), By: "ada"})
		if err == nil {
			l.did(caller, call, remove{}, a.knows())
			return
		}
		if !errors.Is(err, connect.ErrConflict) {
			l.t.Errorf("delete: %v", err)
			return
		}
	}
}

// move reads the connection, and commits whatever can become of it next.
func (l *life) move(caller int) {
	call := l.clock.Add(1)
	c, err := l.store.Connection(context.Background(), l.id)
	if err != nil {
		l.t.Errorf("read: %v", err)
		return
	}
	l.did(caller, call, read{}, register{c.Version(), c.Status()})
	ch, err := l.next(c)
	if err != nil || ch == nil {
		if err != nil {
			l.t.Errorf("%s: %v", c.Status(), err)
		}
		return
	}
	call = l.clock.Add(1)
	err = l.store.Commit(context.Background(), *ch)
	if err == nil {
		l.moved(caller, call, *ch)
	} else if !errors.Is(err, connect.ErrConflict) {
		l.t.Errorf("commit: %v", err)
	}
}

func (l *life) moved(caller int, call int64, ch connect.Change) {
	l.did(caller, call, move{ch.Connection().Version(), ch.Connection().Status()}, done{})
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range ch.Events() {
		l.events[e.Type]++
	}
}

// A mover keeps each of the changes by which its caller's one call does its work.
type mover struct {
	*store.Store
	l      *life
	caller int
}

func (m mover) Commit(ctx context.Context, ch connect.Change) error {
	call := m.l.clock.Add(1)
	err := m.Store.Commit(ctx, ch)
	if err == nil {
		m.l.moved(m.caller, call, ch)
	}
	return err
}

// willing is the customer's account, where the role may deny its older sessions.
type willing struct{}

func (willing) AssumeRole(_ context.Context, r connect.AssumeRequest) (connect.Session, error) {
	return connect.Session{Account: r.RoleARN.Account(), Credentials: connect.Credentials{Expires: noon}}, nil
}

func (willing) DenyOlder(context.Context, connect.Credentials, connect.RoleARN, connect.Region, time.Time) error {
	return nil
}

func (willing) AllowOlder(context.Context, connect.Credentials, connect.RoleARN, connect.Region, bool) error {
	return nil
}

func (willing) RemoveFormer(context.Context, connect.Credentials, connect.RoleARN, connect.Region, time.Time) error {
	return nil
}

// revoke has all sessions of the connection end, as `POST …/revoke-sessions` does.
func (l *life) revoke(caller int) {
	u := connect.Verifications{
		Store: mover{l.store, l, caller}, Verifier: connect.Verifier{Assumer: willing{}}, Revoker: willing{}, Clock: l.now,
	}
	_, err := u.Revoke(context.Background(), connect.Target{Filter: connect.Unrestricted(), Tenant: l.tenant, ID: string(l.id), By: "ada"})
	var refused *connect.Error
	if err != nil && !errors.Is(err, connect.ErrConflict) && (!errors.As(err, &refused) || refused.Kind != connect.KindConflict) {
		l.t.Errorf("revoke: %v", err)
	}
}

// next is a change of the connection as it was read; nil where there is none.
func (l *life) next(c connect.Connection) (*connect.Change, error) {
	some := func(ch connect.Change, err error) (*connect.Change, error) { return &ch, err }
	s := c.Snapshot()
	switch s.Status {
	case connect.StatusPending:
		return l.receive(c, connect.RequestCreate, stackOf(l.t, s.LastLaunch))
	case connect.StatusVerifying:
		v, _ := c.Trial()
		return some(c.Tried(v.Run, v.Attempt, storetest.Good(noon), 0, l.now()))
	case connect.StatusEnabled:
		if rand.IntN(2) == 0 && l.initial.version != 0 { // once callers race
			return l.receive(c, connect.RequestDelete, s.Stack.ID)
		}
		return l.recheck(c, connect.Failed)
	case connect.StatusDegraded:
		return l.recheck(c, connect.Passed)
	case connect.StatusDisconnected:
		return some(c.Launch(l.now(), "ada"))
	default:
		return nil, nil
	}
}

func (l *life) recheck(c connect.Connection, verdict connect.Verdict) (*connect.Change, error) {
	o := storetest.Good(noon)
	if o.Checks[0].Verdict = verdict; verdict == connect.Failed {
		o.Checks[0].Reason = connect.Reason{Code: connect.CodeRoleNotAssumable}
	}
	if ch, ok := c.Rechecked(o, "ada", l.now()); ok {
		return &ch, nil
	}
	return nil, nil
}

// receive is the change that a stack's request leads to; a role that it reports is on trial then.
func (l *life) receive(c connect.Connection, kind connect.RequestType, stack connect.StackID) (*connect.Change, error) {
	planned := &plan{SettlingStore: l.store}
	u := connect.Settling{Store: planned, Jobs: idle{}, Random: crand.Reader, Clock: l.now}
	err := u.Settle(context.Background(), connect.Callback{
		Type: kind, Resource: connect.ResourceConnection, StackID: stack, LogicalID: "Connection", RequestID: fmt.Sprint(kind, c.Version()),
		ConnectionID: l.id, TokenValid: true, Launch: c.Snapshot().LastLaunch, RoleARN: storetest.Role(l.t, roleOne), SignedAt: l.now(), SentAt: l.now(),
	}, &connect.ReportVerdict{Reply: connect.Reply{OK: true}, Open: true})
	return planned.change, err
}

// plan is a store that is told of a change instead of committing it.
type plan struct {
	connect.SettlingStore
	change *connect.Change
}

func (p *plan) Commit(_ context.Context, ch connect.Change) error {
	p.change = &ch
	return nil
}

// idle queues nothing.
type idle struct{}

func (idle) Verify(context.Context, connect.VerifyJob, time.Duration) error { return nil }

func (idle) Report(context.Context, connect.ReportJob, time.Duration) error { return nil }

func stackOf(t *testing.T, launch int) connect.StackID {
	id, err := connect.ParseStackID(fmt.Sprintf("arn:aws:cloudformation:eu-west-1:222222222222:stack/s%d/11111111-aaaa", launch))
	if err != nil {
		t.Error(err)
	}
	return id
}

// newLife is an enabled connection of a tenant's own.
func newLife(t *testing.T, s *store.Store, tenant connect.TenantID) *life {
	t.Helper()
	c := storetest.Commit(t, s, storetest.Create(t, tenant, "one"), nil)
	l := &life{t: t, store: s, id: c.ID(), tenant: tenant, events: map[connect.EventType]int{}}
	for i := range l.held {
		l.held[i] = connect.NewSessionCache(stamped{}, 100, func() time.Time { return noon })
	}
	for c.Status() != connect.StatusEnabled || c.Snapshot().Strikes < 2 { // the next denial degrades it
		ch, err := l.next(c)
		if err != nil || ch == nil {
			t.Fatalf("%s: no way on: %v", c.Status(), err)
		}
		c = storetest.Commit(t, s, *ch, nil)
	}
	l.initial = register{c.Version(), c.Status()}
	return l
}

func (l *life) count(by map[string]int) {
	for _, op := range l.ops {
		switch in := op.Input.(type) {
		case move:
			by["moved to "+string(in.status)]++
		case issue:
			by[fmt.Sprintf("%T", op.Output)]++
		case remove:
			by["store_test.remove"]++
		}
	}
	for kind, n := range l.events {
		by[string(kind)] += n
	}
	by["calls"] += len(l.ops)
}

// Credentials are issued only at an instant at which the connection is enabled, by a session of that very version, whichever of
// several processes is asked: however a role degrades and recovers, sessions are revoked, a stack is deleted and launched again, and the connection is deleted
// meanwhile.
func TestHistoryOfIssuing(t *testing.T) {
	s := newStore(t)
	callers, rounds := size()
	count := map[string]int{}
	// What is to happen is drawn by lot: the histories go on until each of it has.
	for history := 0; history < rounds/roundsEach || (missing(count) != "" && history < 10*rounds/roundsEach); history++ {
		lives := make([]*life, callers/crowd)
		for i := range lives {
			lives[i] = newLife(t, s, connect.TenantID(fmt.Sprintf("tenant-%d-%d", history, i)))
		}
		last := rand.IntN(roundsEach)
		storetest.Race(callers, func(caller int) {
			l := lives[caller%len(lives)]
			deletes := caller < (1+history%2)*len(lives) // one of the crowd, or two
			for nth := range roundsEach {
				switch {
				case deletes && nth == last:
					l.remove(caller)
				case rand.IntN(5) == 0:
					l.revoke(caller)
				case rand.IntN(2) == 0:
					l.move(caller)
				default:
					l.issue(caller)
				}
			}
		})
		for _, l := range lives {
			for process := range processes {
				l.issue(process) // long after the end
			}
			l.check(t, registerModel(l.initial))
			l.count(count)
		}
	}
	t.Logf("%d callers, %d rounds: %v", callers, rounds, count)
	if what := missing(count); what != "" {
		t.Errorf("in no history there was %s: %v", what, count)
	}
}

// missing is what has happened in no history.
func missing(count map[string]int) string {
	for _, what := range []string{
		"store_test.issued", "store_test.refused", "store_test.remove", string(connect.EventSessionsRevoked), string(connect.EventSessionsDenied),
		string(connect.EventDisconnected), string(connect.EventDegraded),
	} {
		if count[what] == 0 {
			return what
		}
	}
	return ""
}

type (
	claim struct { // a connection is created, or renamed
		name string
		by   connect.ConnectionID // "" of a creation that failed
	}
	free struct{ name string } // the connection that has the name now is deleted

	taken struct{}
)

// nameModel is one name, which belongs to nobody or, for ever, to the first connection that claims it: that one may claim
// it again.
func nameModel() porcupine.Model {
	name := func(op porcupine.Operation) string {
		switch in := op.Input.(type) {
		case claim:
			return in.name
		case free:
			return in.name
		}
		return ""
	}
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byName := map[string][]porcupine.Operation{}
			for _, op := range history {
				byName[name(op)] = append(byName[name(op)], op)
			}
			var parts [][]porcupine.Operation
			for _, ops := range byName {
				parts = append(parts, ops)
			}
			return parts
		},
		Init: func() any { return connect.ConnectionID("") },
		Step: func(state, in, out any) (bool, any) {
			owner, _ := state.(connect.ConnectionID)
			c, ok := in.(claim)
			switch {
			case !ok: // deleted: nothing changes
				return owner != "", owner
			case out == taken{}:
				return owner != "" && owner != c.by, owner
			default:
				return owner == "" || owner == c.by, c.by
			}
		},
	}
}

// A namer creates, renames and deletes connections, each of them its own.
type namer struct {
	t      *testing.T
	u      connect.Connections
	r      *recorder
	caller int
	tenant connect.TenantID
	last   connect.Connection // that it made
}

var names = [][]string{{"Straße ①", "STRASSE 1", "strasse 1"}, {"Production"}, {"test", "Test"}, {"late"}, {"later", "LATER"}}

func (n *namer) did(call int64, c claim, err error) bool {
	switch {
	case err == nil:
		n.r.did(n.caller, call, c, done{})
	case errors.Is(err, connect.ErrNameTaken):
		n.r.did(n.caller, call, c, taken{})
	case !errors.Is(err, connect.ErrConflict):
		n.t.Errorf("%+v: %v", c, err)
	}
	return err == nil
}

func (n *namer) create() {
	spellings := names[rand.IntN(len(names))]
	name := spellings[rand.IntN(len(spellings))]
	if rand.IntN(4) == 0 { // so that there is something to rename
		spellings = []string{"own " + crand.Text()}
		name = spellings[0]
	}
	call := n.r.clock.Add(1)
	c, err := n.u.Create(context.Background(), connect.CreateRequest{Filter: connect.Unrestricted(), Tenant: n.tenant, By: "ada", Name: name})
	if n.did(call, claim{spellings[0], c.ID()}, err) {
		n.last = c
	}
}

func (n *namer) target() connect.Target {
	return connect.Target{Filter: connect.Unrestricted(), Tenant: n.tenant, ID: string(n.last.ID()), By: "ada"}
}

func (n *namer) rename() {
	spellings := names[rand.IntN(len(names))]
	name := spellings[rand.IntN(len(spellings))]
	call := n.r.clock.Add(1)
	c, err := n.u.Update(context.Background(), connect.UpdateRequest{Target: n.target(), Name: &name})
	if n.did(call, claim{spellings[0], n.last.ID()}, err) {
		n.last = c
	}
}

func (n *namer) remove() {
	name := string(n.last.Snapshot().Name)
	for _, spellings := range names {
		if slices.Contains(spellings, name) {
			name = spellings[0]
		}
	}
	call := n.r.clock.Add(1)
	if err := n.u.Delete(context.Background(), n.target()); err != nil {
		n.t.Errorf("delete: %v", err)
		return
	}
	n.r.did(n.caller, call, free{name}, done{})
	n.last = connect.Connection{}
}

// A name is won once within its tenant, however it is written and whether by creating or by renaming, and never again
// when its connection is deleted or renamed: not by anybody else.
func TestHistoryOfNames(t *testing.T) {
	s := newStore(t)
	callers, rounds := size()
	u := connect.Connections{
		Store: s, Replays: s, Clock: func() time.Time { return noon }, Random: crand.Reader,
		Deployment: connect.Deployment{
			Platform: connect.Platform{Partition: connect.PartitionAWS}, Regions: []connect.Region{"eu-west-1"},
			Permissions: []connect.PermissionSet{{Name: "read-only"}},
		},
	}
	count := map[string]int{}
	for history := range rounds / roundsEach {
		tenant := connect.TenantID(fmt.Sprint("tenant-", history))
		var r recorder
		storetest.Race(callers, func(caller int) {
			n := &namer{t: t, u: u, r: &r, caller: caller, tenant: tenant}
			for range 2 * roundsEach {
				switch {
				case n.last.ID() == "":
					n.create()
				case rand.IntN(3) == 0:
					n.remove()
				default:
					n.rename()
				}
			}
		})
		r.check(t, nameModel())
		owners := map[string]connect.ConnectionID{}
		for _, op := range r.ops {
			c, ok := op.Input.(claim)
			switch {
			case !ok:
				count["deleted"]++
			case op.Output == taken{}:
				count["taken"]++
			case owners[c.name] == c.by:
				count["taken back"]++
			default:
				count["won"]++
				owners[c.name] = c.by
			}
		}
	}
	t.Logf("%d callers, %d rounds: %v", callers, rounds, count)
	if count["won"] == 0 || count["taken"] == 0 || count["deleted"] == 0 || count["taken back"] == 0 {
		t.Errorf("nothing happened: %v", count)
	}
}
