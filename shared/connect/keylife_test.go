package connect_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rolecall/shared/connect"
)

// look has the sweep look at a connection by keys.
func (b *keyBench) look(t *testing.T, c connect.Connection) connect.Snapshot {
	t.Helper()
	if err := b.u.Sweep(context.Background(), c.ID()); err != nil {
		t.Fatal(err)
	}
	return b.store.Get(c.ID()).Snapshot()
}

// issuing hands out sessions of the bench's connections.
func (b *keyBench) issuing() connect.Issuing {
	return connect.Issuing{Clock: b.u.Clock, Store: b.store, Sessions: connect.SessionMaker{
		Store: b.store, Assumer: b.acct, Keys: b.sess, Clock: b.u.Clock, EventID: func() string { return "evt_1" },
	}}
}

func (b *keyBench) ask(c connect.Connection, more func(*connect.IssueRequest)) (connect.Issued, error) {
	r := connect.IssueRequest{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(c.ID()), Caller: "svc"}
	if more != nil {
		more(&r)
	}
	return b.issuing().Issue(context.Background(), r)
}

// Keys that the customer deactivates degrade the connection at the third denial, each at least five minutes after the one
// before; STS's own failures count for nothing; keys that work again serve again.
func TestDeactivatedKeysDegrade(t *testing.T) {
	b := newKeyBench()
	c := b.made(t, longLived)
	b.aws.whoErr = refusedKeys(connect.CodeKeysInvalid)
	for _, step := range []struct {
		after   time.Duration
		err     error
		strikes int
		status  connect.Status
	}{
		{time.Hour, refusedKeys(connect.CodeKeysInvalid), 1, connect.StatusEnabled},
		{time.Minute, refusedKeys(connect.CodeKeysInvalid), 1, connect.StatusEnabled},
		{5 * time.Minute, errors.New("503"), 1, connect.StatusEnabled},
		{5 * time.Minute, refusedKeys(connect.CodeKeysInvalid), 2, connect.StatusEnabled},
		{6 * time.Minute, refusedKeys(connect.CodeKeysInvalid), 3, connect.StatusDegraded},
		{time.Hour, errors.New("503"), 3, connect.StatusDegraded},
	} {
		b.now, b.aws.whoErr = b.now.Add(step.after), step.err
		s := b.look(t, c)
		if s.Strikes != step.strikes || s.Status != step.status {
			t.Fatalf("after %s: %s with %d strikes, want %s with %d", step.after, s.Status, s.Strikes, step.status, step.strikes)
		}
	}
	if _, err := b.ask(c, nil); codeOf(err) != connect.CodeNotEnabled || len(b.aws.made) != 0 {
		t.Errorf("issued while degraded: %v", err)
	}
	b.now, b.aws.whoErr = b.now.Add(time.Hour), nil
	if s := b.look(t, c); s.Status != connect.StatusEnabled || s.Strikes != 0 {
		t.Errorf("%s with %d strikes, and the keys work", s.Status, s.Strikes)
	}
}

// What becomes of a key's account afterwards is found, too: the root user's, or another's, is as bad as none.
func TestKeysThatBecomeAnothers(t *testing.T) {
	for name, who := range map[string]connect.Identity{
		"root": {Account: customerAccount, Root: true}, "another account": {Account: "333333333333"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newKeyBench()
			c := b.made(t, longLived)
			b.aws.who = who
			b.now = b.now.Add(time.Hour)
			if s := b.look(t, c); s.Strikes != 1 || s.Status != connect.StatusEnabled {
				t.Errorf("%s with %d strikes", s.Status, s.Strikes)
			}
		})
	}
}

// A temporary key serves until its end and not a moment longer, whatever AWS says of it; a new one takes its place.
func TestATemporaryKeysEnd(t *testing.T) {
	b := newKeyBench()
	in := keyInput(session)
	in.ExpiresAt = "2026-11-21T14:00:00Z"
	c, err := b.create(in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.ask(c, nil)
	if err != nil || got.Credentials.AccessKeyID != session || !got.Credentials.Expires.Equal(noon.Add(2*time.Hour)) {
		t.Fatal(got, err)
	}
	for name, more := range map[string]func(*connect.IssueRequest){
		"a policy":     func(r *connect.IssueRequest) { r.Policy = `{"Version":"2012-10-17","Statement":[]}` },
		"policy ARNs":  func(r *connect.IssueRequest) { r.PolicyARNs = []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"} },
		"reading only": func(r *connect.IssueRequest) { r.ReadOnly = true },
	} {
		if _, err := b.ask(c, more); codeOf(err) != connect.CodeKeysFixed {
			t.Errorf("with %s: %v", name, err)
		}
	}
	b.now = noon.Add(2 * time.Hour)
	if _, err := b.ask(c, nil); codeOf(err) != connect.CodeNotEnabled {
		t.Errorf("at its end: %v", err)
	}
	asked := b.aws.asked
	if s := b.look(t, c); s.Status != connect.StatusDegraded || s.StatusReason.Code != connect.CodeKeysExpired || b.aws.asked != asked {
		t.Errorf("%s %s after %d questions", s.Status, s.StatusReason.Code, b.aws.asked-asked)
	}
	target := connect.Target{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(c.ID()), By: "ada"}
	if again, err := b.keys.SetKeys(context.Background(), target, keyInput(longLived)); err != nil || again.Status() != connect.StatusEnabled {
		t.Fatal(again.Status(), err)
	}
	if got, err := b.ask(c, nil); err != nil || got.Credentials.AccessKeyID != "ASIAMADE" {
		t.Error(got, err)
	}
}

// A long-lived pair is never handed out: what is, is a session of it, and a federated one where it must be narrowed.
func TestSessionsOfALongLivedKey(t *testing.T) {
	for name, tt := range map[string]struct {
		more func(*connect.IssueRequest)
		made string
		id   string
	}{
		"plain": {nil, "session of " + longLived + " for 30m0s", "ASIAMADE"},
		"policy ARNs": {func(r *connect.IssueRequest) {
			r.PolicyARNs = []string{"arn:aws:iam::aws:policy/job-function/ViewOnlyAccess"}
		}, "federated rolecall-svc of " + longLived + " with arn:aws:iam::aws:policy/job-function/ViewOnlyAccess", "ASIAFED"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newKeyBench()
			c := b.made(t, longLived)
			got, err := b.ask(c, tt.more)
			if err != nil || got.Credentials.AccessKeyID != tt.id || !got.NoIAM || !slices.Equal(b.aws.made, []string{tt.made}) {
				t.Errorf("%+v, made %q: %v", got, b.aws.made, err)
			}
		})
	}
	b := newKeyBench()
	c := b.made(t, longLived)
	b.aws.who.Account = "333333333333"
	if _, err := b.ask(c, func(r *connect.IssueRequest) { r.ReadOnly = true }); codeOf(err) != connect.CodeAccountMismatch {
		t.Errorf("a federated session of another account: %v", err)
	}
}

// keyed is a history's customer who gives keys, takes them back, and moves to a role.
type keyed struct {
	*history
	*keyAccount
	state string // of the keys: "good", "off", "root", "another's"
}

func (k *keyed) Identity(context.Context, connect.Credentials) (connect.Identity, error) {
	switch {
	case k.sts == "down":
		return connect.Identity{}, errors.New("503")
	case k.state == "off":
		return connect.Identity{}, refusedKeys(connect.CodeKeysInvalid)
	case k.state == "another's":
		return connect.Identity{Account: "333333333333"}, nil
	}
	return connect.Identity{Account: customerAccount, Root: k.state == "root"}, nil
}

func (k *keyed) Regions(context.Context, connect.Credentials, connect.Region) ([]connect.Region, error) {
	if k.sts == "down" {
		return nil, errors.New("503")
	}
	return []connect.Region{"eu-west-1"}, nil
}

func (k *keyed) GetSessionToken(_ context.Context, keys connect.Credentials, d time.Duration) (connect.Credentials, error) {
	if k.sts == "down" {
		return connect.Credentials{}, errors.New("503")
	}
	return connect.Credentials{AccessKeyID: "ASIAMADE of " + keys.AccessKeyID, Expires: k.now.Add(d)}, nil
}

// newKeyed begins a history with a connection by keys, long-lived or temporary.
func newKeyed(t *rapid.T, tb testing.TB) *keyed {
	in := keyInput(rapid.SampledFrom([]string{longLived, session}).Draw(t, "first key"))
	b := newKeyBench()
	c, err := b.create(in)
	if err != nil {
		tb.Fatal(err)
	}
	k := &keyed{history: historyOf(t, c), keyAccount: &keyAccount{who: connect.Identity{Account: customerAccount}}, state: "good"}
	k.name = c.Snapshot().Name
	clock := func() time.Time { return k.now }
	v := connect.KeyVerifier{Identifier: k, Regions: k, Clock: clock}
	k.u.Keys = connect.Keyring{Opener: k.keyAccount, Verifier: v, MaxAge: 90 * 24 * time.Hour}
	k.u.Interval = 24 * time.Hour
	maker := k.issue.Sessions.(connect.SessionMaker)
	maker.Keys = connect.KeySessions{Opener: k.keyAccount, Identifier: k, Maker: k, Clock: clock}
	k.issue.Sessions = maker
	return k
}

func (k *keyed) commands(tb testing.TB) map[string]func(*rapid.T) {
	all := k.history.commands(tb)
	intake := connect.Connections{Store: k.store, Clock: func() time.Time { return k.now }, Keys: connect.KeyIntake{
		Verifier: k.u.Keys.Verifier, Sealer: k.keyAccount,
	}}
	all["a key is given"] = func(t *rapid.T) {
		in := keyInput(rapid.SampledFrom([]string{longLived, session, "AKIAIOSFODNN7SECOND2"}).Draw(t, "key"))
		before := k.conn().Snapshot()
		_, err := intake.SetKeys(context.Background(), connect.Target{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(k.id), By: "ada"}, in)
		k.domain(err)
		if after := k.conn().Snapshot(); (err != nil || k.state != "good") && after.Version != before.Version {
			t.Fatalf("keys that are %s changed the connection: %v", k.state, err)
		}
	}
	all["the customer changes the keys' user"] = func(t *rapid.T) {
		k.state = rapid.SampledFrom([]string{"good", "good", "off", "root", "another's"}).Draw(t, "state")
	}
	all["credentials are asked for"] = func(t *rapid.T) {
		before := k.conn().Snapshot()
		got, err := k.issue.Issue(context.Background(), connect.IssueRequest{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(k.id), Caller: "svc"})
		k.domain(err)
		if err != nil {
			return
		}
		if before.Status != connect.StatusEnabled {
			t.Fatalf("issued while %s", before.Status)
		}
		if got.Credentials.AccessKeyID == longLived || !k.now.Before(got.Credentials.Expires) {
			t.Fatalf("handed out %s until %s at %s", got.Credentials.AccessKeyID, got.Credentials.Expires, k.now)
		}
	}
	return all
}

// The invariants of a connection hold for those by keys, on whatever way they take to a role.
func TestInvariantsOfKeys(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		k := newKeyed(rt, t)
		k.repeat(k.commands(t))
	})
}
