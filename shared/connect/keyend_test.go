package connect_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// Ciphertext that does not open is our own failure, and says nothing about the customer's key.
func TestWhatDoesNotOpenDemotesNobody(t *testing.T) {
	b := newKeyBench()
	id := b.made(t, longLived).ID()
	b.aws.openErr = errors.New("KMS is down")
	for i := range 4 {
		b.now = noon.Add(time.Duration(i) * 6 * time.Minute)
		if err := b.u.Sweep(context.Background(), id); err == nil {
			t.Error("the message would not come again")
		}
	}
	if s := b.store.Get(id).Snapshot(); s.Status != connect.StatusEnabled || s.Strikes != 0 {
		t.Errorf("%s with %d strikes", s.Status, s.Strikes)
	}
}

// A temporary key that AWS ends before its time is not handed out either.
func TestAKeyThatAWSEndsSoonerIsNotHandedOut(t *testing.T) {
	b := newKeyBench()
	c := b.made(t, session)
	b.aws.whoErr = refusedKeys(connect.CodeKeysExpired)
	if _, err := b.ask(c, nil); codeOf(err) != connect.CodeNotEnabled {
		t.Errorf("%v", err)
	}
	if s := b.look(t, c); s.Status != connect.StatusDegraded || s.StatusReason.Code != connect.CodeKeysExpired {
		t.Errorf("%s: %+v", s.Status, s.StatusReason)
	}
}

// A temporary key signs nobody in.
func TestATemporaryKeyDoesNotSignIn(t *testing.T) {
	b := newKeyBench()
	id := b.made(t, session).ID()
	f, issue := &federation{}, b.issuing()
	maker, _ := issue.Sessions.(connect.SessionMaker)
	u := connect.SignIns{Issuing: issue, Maker: maker, Federation: f, Partition: connect.PartitionAWS}
	_, err := u.Link(context.Background(), connect.SignInRequest{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(id), Caller: "ada", Reason: "x"})
	if codeOf(err) != connect.CodeKeysFixed || kindOf(err) != connect.KindConflict || f.asked != 0 {
		t.Errorf("sign-in: %v", err)
	}
}

func kindOf(err error) connect.Kind {
	var e *connect.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return 0
}

// A revocation tells the truth about sessions that are out: nobody denies them, and the last ends when it says.
func TestARevocationOfKeysTellsWhatLives(t *testing.T) {
	for name, tt := range map[string]struct {
		key, end string
		until    time.Time
	}{
		"long-lived":                   {longLived, "", noon.Add(time.Hour)},
		"temporary":                    {session, "2026-11-21T20:00:00Z", noon.Add(8 * time.Hour)},
		"temporary, and over too soon": {session, "2026-11-21T12:30:00Z", noon.Add(time.Hour)}, // a key before it may have made longer ones
	} {
		t.Run(name, func(t *testing.T) {
			b := newKeyBench()
			in := keyInput(tt.key)
			in.ExpiresAt = tt.end
			c, err := b.create(in)
			if err != nil {
				t.Fatal(err)
			}
			got, err := b.u.Revoke(context.Background(), connect.Target{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(c.ID()), By: "ada"})
			if err != nil || got.Denied || !got.ValidUntil.Equal(tt.until) || got.Reason.Fix == "" || got.Connection.Version() != c.Version()+1 {
				t.Errorf("%+v %v", got, err)
			}
		})
	}
}

// Upgrades: whatever becomes of the stack before its role has passed, the key serves on; afterwards its end is the
// connection's.
func TestAnUpgradeThatIsWithdrawn(t *testing.T) {
	for name, tt := range map[string]struct {
		passes bool
		status connect.Status
		method string
	}{
		"before it passed": {false, connect.StatusEnabled, connect.MethodAccessKey},
		"after it passed":  {true, connect.StatusDisconnected, "role"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newKeyBench()
			c := b.made(t, longLived)
			b.acct.assume = func(r connect.AssumeRequest) error {
				if tt.passes && r.ExternalID == c.Snapshot().ExternalID {
					return nil
				}
				return errDenied
			}
			b.acct.trust = platform().TrustPolicy(c.Snapshot().ExternalID)
			c = b.commit(t)(c.Launch(noon, "ada"))
			c = b.stackSays(t, c, connect.RequestCreate, "r1", 1)
			v, ok := c.Trial()
			if !ok || c.Status() != connect.StatusEnabled {
				t.Fatalf("%s, on trial %t", c.Status(), ok)
			}
			b.tries(t, c.ID(), v)
			if got, err := b.ask(c, nil); err != nil || (got.Credentials.AccessKeyID == "ASIAMADE") == tt.passes {
				t.Errorf("%+v %v", got.Credentials.AccessKeyID, err)
			}
			c = b.stackSays(t, b.store.Get(c.ID()), connect.RequestDelete, "r2", 2)
			s := c.Snapshot()
			if s.Status != tt.status || s.Method != tt.method || (s.AccessKey == nil) != tt.passes || s.Name != "By key" || s.Verification != nil {
				t.Errorf("%+v", s)
			}
			if _, err := b.ask(c, nil); (err != nil) != tt.passes {
				t.Errorf("credentials: %v", err)
			}
		})
	}
}

func (b *keyBench) commit(t testing.TB) func(connect.Change, error) connect.Connection {
	t.Helper()
	return func(ch connect.Change, err error) connect.Connection {
		t.Helper()
		if err == nil {
			err = b.store.Commit(context.Background(), ch)
		}
		if err != nil {
			t.Fatal(err)
		}
		return ch.Connection()
	}
}

func (b *keyBench) stackSays(t testing.TB, c connect.Connection, kind connect.RequestType, request string, second int) connect.Connection {
	t.Helper()
	cb := callback(t, kind, stackOne, request, second)
	cb.ConnectionID = c.ID()
	settled(t, b.store, cb, &connect.ReportVerdict{Reply: connect.Reply{OK: true}, Open: true}, noon.Add(time.Duration(second)*time.Second))
	after := b.store.Get(c.ID())
	if after.Version() == c.Version() {
		t.Fatal("nothing came of it")
	}
	return after
}

func (b *keyBench) tries(t testing.TB, id connect.ConnectionID, v connect.Verification) {
	t.Helper()
	if err := b.u.Try(context.Background(), connect.VerifyJob{ConnectionID: id, Run: v.Run, Attempt: v.Attempt}); err != nil {
		t.Fatal(err)
	}
}
