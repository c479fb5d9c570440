package connect_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

const (
	longLived = "AKIAEXAMPLEEXAMPLE01"
	session   = "ASIAEXAMPLEEXAMPLE01"
	canary    = "CANARYwJalrXUtnFEMIK7MDENGbPxRfiCYKEY000"
)

// keyAccount plays AWS to whoever holds an access key, and KMS to whoever seals.
type keyAccount struct {
	who      connect.Identity
	whoErr   error
	regions  error
	sealErr  error
	openErr  error
	asked    int
	made     []string // sessions
	makeErr  error
	lastOpen string
}

func (a *keyAccount) Identity(context.Context, connect.Credentials) (connect.Identity, error) {
	a.asked++
	if a.whoErr != nil {
		return connect.Identity{}, a.whoErr
	}
	return a.who, nil
}

func (a *keyAccount) Regions(context.Context, connect.Credentials, connect.Region) ([]connect.Region, error) {
	if a.regions != nil {
		return nil, a.regions
	}
	return []connect.Region{"eu-west-1"}, nil
}

// Seal writes down for whom; Open insists on it.
func (a *keyAccount) Seal(_ context.Context, t connect.TenantID, id connect.ConnectionID, k connect.Credentials) (connect.Sealed, error) {
	return connect.Sealed(string(t) + "|" + string(id) + "|" + k.AccessKeyID), a.sealErr
}

func (a *keyAccount) Open(_ context.Context, t connect.TenantID, id connect.ConnectionID, k connect.AccessKey) (connect.Credentials, error) {
	if a.openErr != nil {
		return connect.Credentials{}, a.openErr
	}
	if string(k.Sealed) != string(t)+"|"+string(id)+"|"+k.ID {
		return connect.Credentials{}, errors.New("sealed for somebody else")
	}
	a.lastOpen = k.ID
	return connect.Credentials{AccessKeyID: k.ID, SecretAccessKey: connect.NewSecret(canary), Expires: k.ExpiresAt}, nil
}

func (a *keyAccount) GetSessionToken(_ context.Context, k connect.Credentials, d time.Duration) (connect.Credentials, error) {
	a.made = append(a.made, "session of "+k.AccessKeyID+" for "+d.String())
	return connect.Credentials{AccessKeyID: "ASIAMADE", SecretAccessKey: connect.NewSecret("s"), SessionToken: connect.NewSecret("t"), Expires: noon.Add(d)}, a.makeErr
}

func (a *keyAccount) GetFederationToken(_ context.Context, k connect.Credentials, r connect.FederationRequest) (connect.Session, error) {
	a.made = append(a.made, "federated "+r.Name+" of "+k.AccessKeyID+" with "+r.Policy+strings.Join(r.PolicyARNs, ","))
	return connect.Session{Account: a.who.Account, Credentials: connect.Credentials{AccessKeyID: "ASIAFED", Expires: noon.Add(r.Duration)}}, a.makeErr
}

// keyBench is everything that connections by access key need, with a clock that the test moves.
type keyBench struct {
	*bench
	aws  *keyAccount
	keys connect.Connections
	sess connect.KeySessions
}

func newKeyBench() *keyBench {
	b := &keyBench{bench: &bench{store: storetest.New(), out: &outbox{}, now: noon, acct: &account{assume: func(connect.AssumeRequest) error { return errDenied }}}}
	b.aws = &keyAccount{who: connect.Identity{Account: customerAccount}}
	clock := func() time.Time { return b.now }
	v := connect.KeyVerifier{Identifier: b.aws, Regions: b.aws, Clock: clock}
	b.keys = connect.Connections{
		Store: b.store, Clock: clock, Random: rand.NewChaCha8([32]byte{3}), Keys: connect.KeyIntake{Verifier: v, Sealer: b.aws},
		Deployment: connect.Deployment{
			Platform: platform(), Regions: []connect.Region{"eu-west-1"}, Permissions: []connect.PermissionSet{{Name: "read-only"}},
		},
	}
	b.u = connect.Verifications{
		Store: b.store, Jobs: b.out, Sweeps: b.out, Answerer: b.out, Clock: clock, Jitter: func() float64 { return 0 },
		Verifier: connect.Verifier{Platform: platform(), Assumer: b.acct, Inspector: b.acct, Clock: clock},
		Keys:     connect.Keyring{Opener: b.aws, Verifier: v, MaxAge: 90 * 24 * time.Hour}, Interval: 24 * time.Hour,
	}
	b.sess = connect.KeySessions{Opener: b.aws, Identifier: b.aws, Maker: b.aws, Clock: clock}
	return b
}

func keyInput(id string) connect.KeyInput {
	in := connect.KeyInput{AccessKeyID: id, SecretAccessKey: connect.NewSecret(canary)}
	if strings.HasPrefix(id, "ASIA") {
		in.SessionToken = connect.NewSecret(canary)
	}
	return in
}

func (b *keyBench) create(in connect.KeyInput) (connect.Connection, error) {
	return b.keys.Create(context.Background(), connect.CreateRequest{
		Filter: connect.Unrestricted(), Tenant: "acme", By: "ada", Name: "By key", Method: "access_key", AccountID: customerAccount, Keys: &in,
	})
}

func (b *keyBench) made(t testing.TB, id string) connect.Connection {
	t.Helper()
	c, err := b.create(keyInput(id))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func refusedKeys(code connect.Code) error {
	return &connect.Error{Kind: connect.KindDenied, Code: code, Message: "refused"}
}

func codeOf(err error) connect.Code {
	var e *connect.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestKeysAreReadByTheirForm(t *testing.T) {
	with := func(f func(*connect.KeyInput)) connect.KeyInput {
		in := keyInput(longLived)
		f(&in)
		return in
	}
	temporary := func(f func(*connect.KeyInput)) connect.KeyInput {
		in := keyInput(session)
		f(&in)
		return in
	}
	for name, tt := range map[string]struct {
		in connect.KeyInput
		ok bool
	}{
		"long-lived":          {keyInput(longLived), true},
		"temporary":           {keyInput(session), true},
		"temporary, its end":  {temporary(func(k *connect.KeyInput) { k.ExpiresAt = "2026-11-21T14:00:00+01:00" }), true},
		"no id":               {with(func(k *connect.KeyInput) { k.AccessKeyID = "" }), false},
		"short id":            {with(func(k *connect.KeyInput) { k.AccessKeyID = "AKIASHORT" }), false},
		"long id":             {with(func(k *connect.KeyInput) { k.AccessKeyID = "AKIA" + strings.Repeat("A", 125) }), false},
		"another kind of id":  {with(func(k *connect.KeyInput) { k.AccessKeyID = "AROAEXAMPLEEXAMPLE01" }), false},
		"an account as id":    {with(func(k *connect.KeyInput) { k.AccessKeyID = customerAccount }), false},
		"lower case":          {with(func(k *connect.KeyInput) { k.AccessKeyID = strings.ToLower(longLived) }), false},
		"line end in id":      {with(func(k *connect.KeyInput) { k.AccessKeyID += "\n" }), false},
		"no secret":           {with(func(k *connect.KeyInput) { k.SecretAccessKey = connect.Secret{} }), false},
		"space in secret":     {with(func(k *connect.KeyInput) { k.SecretAccessKey = connect.NewSecret(canary + " ") }), false},
		"header in secret":    {with(func(k *connect.KeyInput) { k.SecretAccessKey = connect.NewSecret(canary + "\r\nHost:") }), false},
		"long secret":         {with(func(k *connect.KeyInput) { k.SecretAccessKey = connect.NewSecret(strings.Repeat("a", 129)) }), false},
		"token of long-lived": {with(func(k *connect.KeyInput) { k.SessionToken = connect.NewSecret(canary) }), false},
		"end of long-lived":   {with(func(k *connect.KeyInput) { k.ExpiresAt = "2026-11-21T14:00:00Z" }), false},
		"no token":            {temporary(func(k *connect.KeyInput) { k.SessionToken = connect.Secret{} }), false},
		"long token":          {temporary(func(k *connect.KeyInput) { k.SessionToken = connect.NewSecret(strings.Repeat("a", 3501)) }), false},
		"tab in token":        {temporary(func(k *connect.KeyInput) { k.SessionToken = connect.NewSecret(canary + "\t") }), false},
		"ended":               {temporary(func(k *connect.KeyInput) { k.ExpiresAt = "2026-11-21T12:00:00Z" }), false},
		"too far away":        {temporary(func(k *connect.KeyInput) { k.ExpiresAt = "2026-11-23T00:00:01Z" }), false},
		"no time":             {temporary(func(k *connect.KeyInput) { k.ExpiresAt = "tomorrow" }), false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := connect.ParseKeys(tt.in, noon)
			if (err == nil) != tt.ok {
				t.Fatalf("%v", err)
			}
			if err == nil && got.SecretAccessKey.Reveal() != canary {
				t.Error("another secret")
			}
			if err != nil && (codeOf(err) != connect.CodeKeysInvalid || strings.Contains(err.Error(), canary)) {
				t.Errorf("%v", err)
			}
		})
	}
}

// The table of what AWS may say of a key that is given, and what becomes of it.
func TestOnlyProvenKeysMakeAConnection(t *testing.T) {
	for name, tt := range map[string]struct {
		aws  func(*keyAccount)
		code connect.Code // "" makes a connection
		kind connect.Kind
	}{
		"good":            {func(*keyAccount) {}, "", 0},
		"another account": {func(a *keyAccount) { a.who.Account = "333333333333" }, connect.CodeKeysAccountMismatch, connect.KindInvalid},
		"root":            {func(a *keyAccount) { a.who.Root = true }, connect.CodeRootKeysRefused, connect.KindInvalid},
		"root of another": {func(a *keyAccount) { a.who = connect.Identity{Account: "333333333333", Root: true} }, connect.CodeRootKeysRefused, connect.KindInvalid},
		"refused":         {func(a *keyAccount) { a.whoErr = refusedKeys(connect.CodeKeysInvalid) }, connect.CodeKeysInvalid, connect.KindInvalid},
		"ended":           {func(a *keyAccount) { a.whoErr = refusedKeys(connect.CodeKeysExpired) }, connect.CodeKeysExpired, connect.KindInvalid},
		"STS switched off": {func(a *keyAccount) {
			a.whoErr = &connect.Error{Kind: connect.KindConflict, Code: connect.CodeSTSRegionDisabled, Fix: "Activate it."}
		}, connect.CodeSTSRegionDisabled, connect.KindConflict},
		"STS is down":        {func(a *keyAccount) { a.whoErr = errors.New("503") }, connect.CodeSTSUnavailable, connect.KindUnavailable},
		"Regions denied":     {func(a *keyAccount) { a.regions = errDenied }, connect.CodeRegionsDenied, connect.KindInvalid},
		"EC2 is down":        {func(a *keyAccount) { a.regions = errors.New("503") }, connect.CodeSTSUnavailable, connect.KindUnavailable},
		"sealing impossible": {func(a *keyAccount) { a.sealErr = connect.Unavailable(connect.CodeInternal, "down", nil) }, connect.CodeInternal, connect.KindUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			b := newKeyBench()
			tt.aws(b.aws)
			c, err := b.create(keyInput(longLived))
			if tt.code != "" {
				var e *connect.Error
				if !errors.As(err, &e) || e.Code != tt.code || e.Kind != tt.kind || (e.Fix == "" && e.Code != connect.CodeInternal) {
					t.Errorf("%+v", err)
				}
				if len(b.store.All()) != 0 || len(b.store.Log()) != 0 {
					t.Errorf("something was stored: %v", b.store.Log())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			s := c.Snapshot()
			if s.Status != connect.StatusEnabled || s.AccessKey == nil || s.AccessKey.ID != longLived || s.ExternalID == "" || s.AccountID != customerAccount || s.Version != 2 {
				t.Errorf("%+v", s)
			}
			if e := b.store.Log(); len(e) != 2 || e[0].Type != connect.EventCreated || e[0].Sequence != 1 || e[1].Type != connect.EventEnabled || e[1].Sequence != 2 {
				t.Errorf("events %v", e)
			}
			if _, err := connect.Restore(s); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWhatBelongsToAnotherMethodIsRefused(t *testing.T) {
	in := keyInput(longLived)
	for name, tt := range map[string]struct {
		r    connect.CreateRequest
		code connect.Code
	}{
		"no key":                    {connect.CreateRequest{Method: "access_key", AccountID: customerAccount}, connect.CodeKeysInvalid},
		"no account":                {connect.CreateRequest{Method: "access_key", Keys: &in}, connect.CodeAccountInvalid},
		"eleven digits":             {connect.CreateRequest{Method: "access_key", AccountID: "22222222222", Keys: &in}, connect.CodeAccountInvalid},
		"own account":               {connect.CreateRequest{Method: "access_key", AccountID: platformAccount, Keys: &in}, connect.CodeOwnAccount},
		"key with a role":           {connect.CreateRequest{Keys: &in}, connect.CodeMethodUnsupported},
		"eleven digits with a role": {connect.CreateRequest{Method: "role", AccountID: "22222222222"}, connect.CodeAccountInvalid},
		"own account with a role":   {connect.CreateRequest{AccountID: platformAccount}, connect.CodeOwnAccount},
		"idempotency": {
			connect.CreateRequest{Method: "access_key", AccountID: customerAccount, Keys: &in, Idempotency: &connect.Idempotency{Key: "1"}},
			connect.CodeIdempotencyRefused,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newKeyBench()
			tt.r.Filter, tt.r.Tenant, tt.r.By, tt.r.Name = connect.Unrestricted(), "acme", "ada", "x"
			if _, err := b.keys.Create(context.Background(), tt.r); codeOf(err) != tt.code {
				t.Errorf("%v", err)
			}
			if b.aws.asked != 0 || len(b.store.All()) != 0 {
				t.Error("AWS was asked, or something stored")
			}
		})
	}
}

// What no change can have written is not restored.
func TestEnabledKeysWithoutProofAreNotRestored(t *testing.T) {
	c := newKeyBench().made(t, longLived)
	for name, spoil := range map[string]func(*connect.Snapshot){
		"no key":          func(s *connect.Snapshot) { s.AccessKey = nil },
		"nothing sealed":  func(s *connect.Snapshot) { s.AccessKey.Sealed = "" },
		"no account":      func(s *connect.Snapshot) { s.AccountID = "" },
		"a check missing": func(s *connect.Snapshot) { s.Checks = s.Checks[:1] },
		"a check failed":  func(s *connect.Snapshot) { s.Checks[1].Verdict = connect.Failed },
		"a role's proof":  func(s *connect.Snapshot) { s.Checks = good(noon).Checks },
		"said to be a role": func(s *connect.Snapshot) {
			s.Method, s.RoleARN = connect.MethodRole, role(t, roleR1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.Snapshot()
			spoil(&s)
			if _, err := connect.Restore(s); err == nil {
				t.Error("restored")
			}
		})
	}
}
