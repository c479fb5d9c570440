package connect_test

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

// sequences is how many histories each property is tried on, unless rapid is told otherwise on the command line.
const (
	sequences     = "1000"
	longSequences = "20000" // with ROLECALL_LONG set, as `make test-long` does
)

func TestMain(m *testing.M) {
	flag.Parse()
	checks := sequences
	if os.Getenv("ROLECALL_LONG") != "" {
		checks = longSequences
	}
	for name, value := range map[string]string{"rapid.checks": checks, "rapid.steps": "60"} {
		if f := flag.Lookup(name); f.Value.String() == f.DefValue {
			if err := f.Value.Set(value); err != nil {
				panic(err)
			}
		}
	}
	os.Exit(m.Run())
}

// A history is one connection's life under random commands: its stacks, its account and its callers do what they like,
// messages come twice, and AWS fails now and then. Whatever happens, the invariants of a connection hold.
type history struct {
	t       *rapid.T
	store   *storetest.Memory
	out     *outbox
	u       connect.Verifications
	cbs     connect.Callbacks
	reports connect.Reports
	issue   connect.Issuing
	now     time.Time
	id      connect.ConnectionID
	name    connect.Name
	trust   map[connect.RoleARN]string // what each role's trust asks for: "ours", "any", "none", or nothing of us
	sts     string                     // "up", "down"
	sent    []connect.CallbackRequest
	n       int
	fenced  map[connect.StackID]bool
	began   int64 // the version that it began with
}

func (h *history) AssumeRole(_ context.Context, r connect.AssumeRequest) (connect.Session, error) {
	if h.sts == "down" {
		return connect.Session{}, errors.New("503")
	}
	ours := h.conn().Snapshot().ExternalID
	asks := h.trust[r.RoleARN]
	if asks == "none" || (asks == "any" && r.ExternalID != "") || (asks == "ours" && r.ExternalID == ours) {
		return connect.Session{Account: r.RoleARN.Account(), Credentials: connect.Credentials{Expires: h.now.Add(r.Duration)}}, nil
	}
	return connect.Session{}, errDenied
}

func (h *history) Regions(context.Context, connect.Credentials, connect.Region) ([]connect.Region, error) {
	return []connect.Region{"eu-west-1"}, nil
}

func (h *history) TrustPolicy(context.Context, connect.Credentials, connect.RoleARN, connect.Region) (string, error) {
	return "", errDenied
}

func (h *history) Permissions(
	context.Context, connect.Credentials, connect.RoleARN, connect.Region, []string,
) ([]connect.ActionRuling, error) {
	return nil, errDenied
}

// Tokens: "1" is launch 1's token.
func (h *history) Token(_ context.Context, _ connect.ConnectionID, n int) (connect.Secret, error) {
	return connect.NewSecret(fmt.Sprint(n)), nil
}

func (h *history) Launch(_ context.Context, _ connect.ConnectionID, s connect.Secret) (int, error) {
	var n int
	if _, err := fmt.Sscan(s.Reveal(), &n); err != nil || n < 1 {
		return 0, connect.Invalid(connect.CodeTokenInvalid, "no token of ours")
	}
	return n, nil
}

func (h *history) ProveEnrolment(context.Context, connect.EnrolmentID, connect.Secret) error {
	return connect.Invalid(connect.CodeTokenInvalid, "no token of ours")
}

func newHistory(t *rapid.T, tb testing.TB) *history { return historyOf(t, created(tb)) }

func historyOf(t *rapid.T, c connect.Connection) *history {
	h := &history{
		t: t, store: storetest.New(c), out: &outbox{}, now: noon, id: c.ID(), name: c.Snapshot().Name, sts: "up", began: c.Version(),
		trust: map[connect.RoleARN]string{}, fenced: map[connect.StackID]bool{},
	}
	clock := func() time.Time { return h.now }
	h.u = connect.Verifications{
		Store: h.store, Jobs: h.out, Sweeps: h.out, Answerer: h.out, Clock: clock, Jitter: func() float64 { return 0 },
		Verifier: connect.Verifier{Platform: platform(), Assumer: h, Inspector: h, Clock: clock},
	}
	settling := connect.Settling{Store: h.store, Jobs: h.out, Random: rand.Reader, Clock: clock}
	h.cbs = connect.Callbacks{
		Store: h.store, Tokens: h, Jobs: h.out, Answerer: h.out, Settling: settling, Clock: clock, Account: platformAccount, Offers: offered(),
	}
	h.reports = connect.Reports{
		Store: h.store, Holders: h.store, Verifier: h.u.Verifier, Answerer: h.out, Jobs: h.out, Settling: settling, Clock: clock,
		Jitter: h.u.Jitter, Limits: connect.ReportLimits{Store: h.store, Clock: clock},
	}
	h.issue = connect.Issuing{Clock: clock, Store: h.store, Sessions: connect.SessionMaker{Store: h.store, Assumer: h, Clock: clock, EventID: func() string { h.n++; return fmt.Sprint(h.n) }}}
	return h
}

func offered() []connect.Permissions { return []connect.Permissions{"read-only", "power-user"} }

func (h *history) conn() connect.Connection { return h.store.Get(h.id) }

func (h *history) drawRole(tb testing.TB) connect.RoleARN {
	account := rapid.SampledFrom([]string{customerAccount, customerAccount, customerAccount, "333333333333"}).Draw(h.t, "account")
	return role(tb, fmt.Sprintf("arn:aws:iam::%s:role/R%d", account, rapid.IntRange(0, 2).Draw(h.t, "role")))
}

func (h *history) receive(r connect.CallbackRequest) {
	wasFenced, before := h.fenced[r.Callback.StackID], h.conn()
	answers := len(h.out.answers)
	if err := h.cbs.Receive(context.Background(), r); err != nil {
		h.t.Fatalf("callback: %v", err)
	}
	var reply *connect.Reply
	if len(h.out.answers) > answers {
		reply = &h.out.answers[answers]
	}
	if r.Callback.Type == connect.RequestDelete {
		if reply == nil || !reply.OK {
			h.t.Fatalf("a delete was told %+v", reply)
		}
		_, f, err := h.store.ConnectionAndFence(context.Background(), h.id, r.Callback.StackID)
		if err != nil {
			h.t.Fatal(err)
		}
		if f.Deleted {
			h.fenced[r.Callback.StackID] = true
		}
	}
	foreign := r.Callback.Grant.ExternalID != "" && r.Callback.Grant.ExternalID != string(before.Snapshot().ExternalID)
	speaks := r.Callback.Resource == connect.ResourceConnection && r.Callback.Type != connect.RequestDelete
	if speaks && foreign && h.conn().Version() != before.Version() {
		h.t.Fatal("a role that asks for another external ID changed the connection")
	}
	overtaken := r.Callback.Resource == connect.ResourceStackStarted && r.Callback.Type == connect.RequestCreate && h.conn().Status() == connect.StatusDisconnected
	if wasFenced && !overtaken && h.conn().Version() != before.Version() {
		h.t.Fatalf("a request of a deleted stack changed the connection")
	}
	if reply != nil && !reply.OK && (reply.Reason.Code == "" || reply.Reason.Message == "") {
		h.t.Fatalf("a refusal without a reason: %+v", reply)
	}
}

func (h *history) commands(tb testing.TB) map[string]func(*rapid.T) {
	target := connect.Target{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(h.id), By: "ada"}
	commit := func(ch connect.Change, err error) {
		if err == nil {
			if err := h.store.Commit(context.Background(), ch); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	return map[string]func(*rapid.T){
		"stack reports": func(t *rapid.T) {
			kind := rapid.SampledFrom([]connect.RequestType{connect.RequestCreate, connect.RequestCreate, connect.RequestUpdate, connect.RequestDelete}).Draw(t, "type")
			stackARN := rapid.SampledFrom([]string{stackOne, stackTwo}).Draw(t, "stack")
			h.n++
			cb := callback(tb, kind, stackARN, fmt.Sprint("req", h.n), h.n)
			r := connect.CallbackRequest{
				ConnectionID: string(h.id), Token: connect.NewSecret(fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "launch"))), RoleARN: h.drawRole(tb).String(),
			}
			r.PermissionSet = rapid.SampledFrom([]string{"", "read-only", "power-user", "custom", "root"}).Draw(t, "set")
			own := h.conn().Snapshot().ExternalID
			cb.Grant.ExternalID = rapid.SampledFrom([]string{"", string(own), string(own), string(own.Wrong())}).Draw(t, "external ID")
			if rapid.Bool().Draw(t, "started") {
				cb.Resource, cb.LogicalID = connect.ResourceStackStarted, "StackStarted"
			}
			r.Callback, r.Callback.RoleARN = cb, connect.RoleARN{}
			h.sent = append(h.sent, r)
			h.receive(r)
		},
		"a request comes again": func(t *rapid.T) {
			if len(h.sent) == 0 {
				t.Skip("none yet")
			}
			r := rapid.SampledFrom(h.sent).Draw(t, "request")
			h.receive(r)
		},
		"a report goes on": func(t *rapid.T) {
			if len(h.out.reports) == 0 {
				t.Skip("none yet")
			}
			j := rapid.SampledFrom(h.out.reports).Draw(t, "job") // also old ones
			j.Redelivered = rapid.Bool().Draw(t, "redelivered")
			wasFenced, version := h.fenced[j.Report.StackID], h.conn().Version()
			if err := h.reports.Work(context.Background(), j); err != nil {
				t.Fatal(err)
			}
			if wasFenced && h.conn().Version() != version {
				t.Fatal("the report of a deleted stack changed the connection")
			}
		},
		"a try is due": func(t *rapid.T) {
			if len(h.out.jobs) == 0 {
				t.Skip("none yet")
			}
			j := rapid.SampledFrom(h.out.jobs).Draw(t, "job") // also old ones
			j.Redelivered = rapid.Bool().Draw(t, "redelivered")
			if err := h.u.Try(context.Background(), j); err != nil {
				t.Fatal(err)
			}
		},
		"a role is pasted": func(*rapid.T) {
			_, err := h.u.ReportRole(context.Background(), target, h.drawRole(tb).String(), 0)
			h.domain(err)
		},
		"verify now": func(*rapid.T) {
			_, err := h.u.Verify(context.Background(), target, 0)
			h.domain(err)
		},
		"sweep": func(t *rapid.T) {
			if err := h.u.Sweep(context.Background(), h.id); err != nil {
				t.Fatal(err)
			}
		},
		"it is renamed, moved and given scopes": func(t *rapid.T) { // whatever else is going on
			up := connect.Update{Name: new(connect.Name(rapid.SampledFrom([]string{"Production", "Live"}).Draw(t, "name")))}
			up.DefaultRegion = new(connect.Region(rapid.SampledFrom([]string{"eu-west-1", "us-east-1"}).Draw(t, "region")))
			if ch, ok, err := h.conn().Update(up, h.now, "ada"); ok {
				commit(ch, err)
				h.name = *up.Name
			}
			scopes := scopesOf("organization", "project p")[:rapid.IntRange(0, 2).Draw(t, "scopes")]
			if ch, ok, err := h.conn().SetScopes(scopes, nil, h.now, "ada"); ok {
				commit(ch, err)
			}
		},
		"launch": func(*rapid.T) { commit(h.conn().Launch(h.now, "ada")) },
		"delete": func(t *rapid.T) {
			if rapid.IntRange(0, 9).Draw(t, "really") == 0 {
				commit(h.conn().Delete(h.now, "ada"))
			}
		},
		"a customer changes a trust policy": func(t *rapid.T) {
			h.trust[h.drawRole(tb)] = rapid.SampledFrom([]string{"ours", "ours", "any", "none", "not us"}).Draw(t, "trust")
		},
		"STS fails or recovers": func(t *rapid.T) { h.sts = rapid.SampledFrom([]string{"up", "up", "down"}).Draw(t, "sts") },
		"time passes": func(t *rapid.T) {
			h.now = h.now.Add(time.Duration(rapid.IntRange(1, 3*24*3600).Draw(t, "seconds")) * time.Second)
		},
		"a moment passes": func(t *rapid.T) {
			h.now = h.now.Add(time.Duration(rapid.IntRange(1, 400).Draw(t, "seconds")) * time.Second)
		},
		"credentials are asked for": func(t *rapid.T) {
			before := h.conn()
			_, err := h.issue.Issue(context.Background(), connect.IssueRequest{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(h.id), Caller: "svc"})
			if err == nil && before.Status() != connect.StatusEnabled {
				t.Fatalf("issued while %s", before.Status())
			}
			h.domain(err)
		},
	}
}

// domain accepts an error that names its reason.
func (h *history) domain(err error) {
	var e *connect.Error
	if err != nil && !errors.As(err, &e) && h.sts == "up" {
		h.t.Fatalf("an error without a code: %v", err)
	}
}

// check holds after every command.
func (h *history) check(before connect.Connection, sts string) {
	c := h.conn()
	s, was := c.Snapshot(), before.Snapshot()
	if _, err := connect.Restore(s); err != nil {
		h.t.Fatal(err) // among others: enabled means proven
	}
	if s.ExternalID != was.ExternalID || s.ID != was.ID || s.TenantID != was.TenantID || s.Name != h.name {
		h.t.Fatal("an identity changed")
	}
	if !slices.Contains(append(offered(), connect.PermissionsCustom), s.Permissions) || s.Requested != was.Requested {
		h.t.Fatalf("permissions %q, asked for %q", s.Permissions, s.Requested)
	}
	if s.Status == connect.StatusDeleted && len(s.Scopes) > 0 {
		h.t.Fatal("deleted, and in the way of another connection")
	}
	if s.Version < was.Version {
		h.t.Fatal("the version went back")
	}
	if was.Status == connect.StatusDeleted && s.Status != connect.StatusDeleted {
		h.t.Fatal("risen from the dead")
	}
	if s.Status == connect.StatusEnabled && s.Method == connect.MethodRole && s.RoleARN.Account() != s.AccountID {
		h.t.Fatalf("enabled with a role of %s in account %s", s.RoleARN.Account(), s.AccountID)
	}
	if was.Method == connect.MethodRole && s.Method != connect.MethodRole {
		h.t.Fatal("a role was given up for keys")
	}
	if (s.AccessKey != nil) != (s.Method == connect.MethodAccessKey && s.Status != connect.StatusDeleted) {
		h.t.Fatalf("%s by %s with the key %v", s.Status, s.Method, s.AccessKey)
	}
	if !s.Stack.ID.IsZero() && s.Status == connect.StatusVerifying && s.LastRun.Run == 0 && s.RoleARN.Account() != s.AccountID {
		h.t.Fatal("verifying another account's role")
	}
	ended := s.StatusReason.Code == connect.CodeKeysExpired // which the clock says, not AWS
	if sts == "down" && !ended && was.Status == connect.StatusEnabled && (s.Status == connect.StatusDegraded || s.Strikes > was.Strikes) {
		h.t.Fatal("AWS's own failure demoted it")
	}
	h.resolves(s)
	if int64(len(h.changes())) != s.Version-h.began {
		h.t.Fatalf("%d events of change for version %d", len(h.changes()), s.Version)
	}
}

// changes are the events that stand for a change of state, each with the next sequence.
func (h *history) changes() (out []connect.Event) {
	for _, e := range h.store.Log() {
		if e.Type != connect.EventCredentialsIssued && e.Type != connect.EventReportOvertaken { // notes beside the state
			out = append(out, e)
			if e.Sequence != int64(len(out))+h.began {
				h.t.Fatalf("event %d has sequence %d", len(out), e.Sequence)
			}
		}
	}
	return out
}

func TestInvariants(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(rt, t)
		h.repeat(h.commands(t))
	})
}

// repeat runs commands in random order, and checks after each.
func (h *history) repeat(commands map[string]func(*rapid.T)) {
	before, sts := h.conn(), h.sts
	commands[""] = func(*rapid.T) {
		h.check(before, sts)
		before, sts = h.conn(), h.sts
	}
	h.t.Repeat(commands)
}
