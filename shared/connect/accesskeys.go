package connect

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Sealer encrypts an access key's secret and session token so that they open for this tenant and connection alone.
type Sealer interface {
	Seal(ctx context.Context, tenant TenantID, id ConnectionID, keys Credentials) (Sealed, error)
}

// An Opener decrypts what was sealed for a tenant's connection. What does not open is an error that says nothing about
// the customer's account.
type Opener interface {
	Open(ctx context.Context, tenant TenantID, id ConnectionID, key AccessKey) (Credentials, error)
}

// KeyIntake is what taking customers' access keys needs: to prove them, and to seal them. It cannot open them again.
type KeyIntake struct {
	Verifier KeyVerifier
	Sealer   Sealer
	Limit    *Ration // of verifications; nil for none
}

// prove answers the outcome of verifying a tenant's keys, and why they are refused, if they are.
func (k KeyIntake) prove(ctx context.Context, tenant TenantID, s KeySubject) (Outcome, error) {
	if err := k.Limit.Admit(ctx, tenant); err != nil {
		return Outcome{}, err
	}
	ctx, done := context.WithTimeout(ctx, keyTime)
	defer done()
	o := k.Verifier.Verify(ctx, s)
	if refusal := o.refusal(); refusal != nil {
		return o, refusal
	}
	return o, nil
}

// createWithKeys proves the keys before anything is stored: a refused pair leaves nothing behind, the name included.
func (u Connections) createWithKeys(ctx context.Context, r CreateRequest, n NewConnection) (Connection, error) {
	if r.Idempotency != nil {
		return Connection{}, ErrIdempotencyRefused
	}
	keys, err := u.readKeys(r)
	if err != nil {
		return Connection{}, err
	}
	o, err := u.Keys.prove(ctx, r.Tenant, KeySubject{Keys: keys, Account: n.AccountID, Region: n.DefaultRegion})
	if err != nil {
		return Connection{}, err
	}
	now := u.Clock()
	id, err := NewConnectionID(now, u.Random)
	if err != nil {
		return Connection{}, err
	}
	sealed, err := u.Keys.Sealer.Seal(ctx, r.Tenant, id, keys)
	if err != nil {
		return Connection{}, unsealed(err)
	}
	return u.commit(ctx, CreateWithKeys(n, id, NewExternalID(), *accessKey(keys, sealed, nil, now), o, now))
}

// ErrIdempotencyRefused is for requests with a secret: a replay compares requests by their hash, and nothing of a secret
// may be kept, hashed or not.
var ErrIdempotencyRefused = &Error{
	Kind: KindInvalid, Code: CodeIdempotencyRefused, Message: "Idempotency-Key cannot be used where an access key goes in: nothing of such a request is kept",
	Fix: "Leave the header out. The name makes it safe to repeat: a connection that was made answers NAME_TAKEN.",
}

func (u Connections) readKeys(r CreateRequest) (Credentials, error) {
	if r.Keys == nil {
		return Credentials{}, keysInvalid("a connection by access key needs one", `Give accountId and accessKey {"accessKeyId", "secretAccessKey"}.`)
	}
	if _, err := u.account(r.AccountID); err != nil { // also where none is given
		return Credentials{}, err
	}
	return ParseKeys(*r.Keys, u.Clock())
}

// SetKeys proves a new access key of the same account and puts it in the place of the one that serves, which is dropped
// only then.
func (u Connections) SetKeys(ctx context.Context, t Target, in KeyInput) (Connection, error) {
	keys, err := ParseKeys(in, u.Clock())
	if err != nil {
		return Connection{}, err
	}
	c, err := u.forKeys(ctx, t)
	if err != nil {
		return Connection{}, err
	}
	o, err := u.Keys.prove(ctx, t.Tenant, KeySubject{Keys: keys, Account: c.s.AccountID, Region: c.s.DefaultRegion})
	if err != nil {
		return Connection{}, err
	}
	sealed, err := u.Keys.Sealer.Seal(ctx, t.Tenant, c.s.ID, keys)
	if err != nil {
		return Connection{}, unsealed(err)
	}
	return u.change(ctx, t, nil, func(c Connection) (Change, error) {
		now := u.Clock()
		return c.RotateKeys(*accessKey(keys, sealed, c.s.AccessKey, now), o, t.By, now)
	})
}

// unsealed says what somebody who gave a key can rely on where it could not be sealed.
func unsealed(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Kind == KindUnavailable {
		told := *e
		told.Fix = "Try again in a moment; nothing was stored."
		return &told
	}
	return fmt.Errorf("seal access key: %w", err)
}

// forKeys reads a connection that may take keys, before AWS is asked about any.
func (u Connections) forKeys(ctx context.Context, t Target) (Connection, error) {
	c, err := admitted(ctx, u.Store.Connection, t)
	if err != nil {
		return c, err
	}
	if err := c.mayTakeKeys(); err != nil {
		return c, err
	}
	return c, c.seen(t.IfMatch)
}

// Keyring opens the access keys of connections, and looks whether they are still what they were.
type Keyring struct {
	Opener   Opener
	Verifier KeyVerifier
	MaxAge   time.Duration // after which a long-lived key is reported as old; 0 never reports
}

// look checks the key of a connection: all of it, or only whether it still is the account's.
func (k Keyring) look(ctx context.Context, c Connection, full bool) (Outcome, error) {
	keys, err := k.Opener.Open(ctx, c.s.TenantID, c.s.ID, *c.s.AccessKey)
	if err != nil {
		return Outcome{}, fmt.Errorf("open access key: %w", err)
	}
	s := KeySubject{Keys: keys, Account: c.s.AccountID, Region: c.s.DefaultRegion}
	if full {
		return k.Verifier.Verify(ctx, s), nil
	}
	return k.Verifier.Recheck(ctx, s), nil
}

// sameAccess says that what serves is still what was looked at.
func (c Connection) sameAccess(looked Connection) bool {
	same := c.s.Method == looked.s.Method && c.s.RoleARN == looked.s.RoleARN
	if c.s.AccessKey == nil || looked.s.AccessKey == nil {
		return same && c.s.AccessKey == looked.s.AccessKey
	}
	return same && c.s.AccessKey.Sealed == looked.s.AccessKey.Sealed
}

// warn tells once that a connection's key has become old, or will end soon.
func (u Verifications) warn(ctx context.Context, c Connection) error {
	now := u.Clock()
	if ch, old := c.KeysOld(u.Keys.MaxAge, now); old {
		return u.Store.Commit(ctx, ch)
	}
	if ch, ending := c.KeysEnding(now); ending {
		return u.Store.Commit(ctx, ch)
	}
	return nil
}
