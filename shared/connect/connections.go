package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// A ConnectionStore keeps connections and their events.
type ConnectionStore interface {
	// Connection reads consistently; ErrNotFound where there is none. Deleted ones are found.
	Connection(ctx context.Context, id ConnectionID) (Connection, error)
	// Commit writes a change whole or not at all: ErrConflict, ErrNameTaken, ErrRoleInUse, [ErrScopeTaken], [AlreadyDone].
	Commit(ctx context.Context, ch Change) error
	// Connections lists a tenant's, newest first.
	Connections(ctx context.Context, tenant TenantID, q ListQuery) (Page[Connection], error)
	// Events lists a connection's, newest first.
	Events(ctx context.Context, id ConnectionID, q EventQuery) (Page[Event], error)
}

// A Page is one page of a list; Next is "" on the last one.
type Page[T any] struct {
	Items []T
	Next  string
}

// A ListQuery narrows a list of connections.
type ListQuery struct {
	Status   Status // "" lists all but deleted ones
	Contains string // in the name, ignoring case and Unicode form
	Scope    ScopeFilter
	Limit    int
	Cursor   string
}

// An EventQuery narrows a timeline.
type EventQuery struct {
	About  string // "credentials" or "connection": events whose type begins so; "" for all
	Limit  int
	Cursor string
}

// AlreadyDone is the error of a commit whose Idempotency-Key has been used for the same request before.
type AlreadyDone struct{ ID ConnectionID }

func (e *AlreadyDone) Error() string { return "already done: " + string(e.ID) }

// Replays tells what requests with an Idempotency-Key have made.
type Replays interface {
	// Replay is nil for a key that is new, [AlreadyDone] for the same request once more, ErrIdempotencyReused for another.
	Replay(ctx context.Context, tenant TenantID, i Idempotency) error
}

// Connections is what a tenant can do with its connections that takes no right in any customer's account.
type Connections struct {
	Store      ConnectionStore
	Replays    Replays
	Scopes     ScopeStore
	Deployment Deployment
	Keys       KeyIntake
	Places     *Places // for pending connections; nil for room without end
	Clock      func() time.Time
	Random     io.Reader
}

// A CreateRequest asks for a connection; empty members take defaults.
type CreateRequest struct {
	Tenant        TenantID
	By            Actor
	Filter        ResourceFilter // of the caller: only one that admits the whole tenant creates
	Name          string
	Method        string    // "role" by default
	AccountID     string    // the only account that may become it; any may by default, but by access key
	Keys          *KeyInput // of a connection by access key alone
	DefaultRegion string    // Rolecall's own by default
	Permissions   string    // the first set on offer by default
	Scopes        []Scope
	Idempotency   *Idempotency
}

// Create makes a pending connection with a launch, or an enabled one by access key.
func (u Connections) Create(ctx context.Context, r CreateRequest) (Connection, error) {
	if err := r.Filter.admitTenant(); err != nil {
		return Connection{}, err
	}
	n, err := u.validate(r)
	if err != nil {
		return Connection{}, err
	}
	if r.Method == MethodAccessKey {
		return u.createWithKeys(ctx, r, n)
	}
	now := u.Clock()
	id, err := NewConnectionID(now, u.Random)
	if err != nil {
		return Connection{}, err
	}
	if err := u.Places.Take(ctx, r.Tenant); err != nil {
		return u.replayed(ctx, r.Tenant, r.Idempotency, err)
	}
	ch := Create(n, id, NewExternalID(), now).Idempotent(r.Idempotency)
	c, err := u.commit(ctx, ch)
	if err != nil || c.s.ID != id { // refused, or a repetition of what was made before
		u.Places.Return(r.Tenant, 1)
	}
	return c, err
}

func (u Connections) commit(ctx context.Context, ch Change) (Connection, error) {
	err := u.Store.Commit(ctx, ch)
	var done *AlreadyDone
	if errors.As(err, &done) {
		return u.Store.Connection(ctx, done.ID)
	}
	if err != nil {
		return Connection{}, err
	}
	return ch.Connection(), nil
}

func (u Connections) validate(r CreateRequest) (NewConnection, error) {
	n := NewConnection{
		TenantID: r.Tenant, By: r.By, Partition: u.Deployment.Platform.Partition,
		DefaultRegion: u.Deployment.Regions[0], Permissions: u.Deployment.Permissions[0].Name,
	}
	var err error
	if n.Name, err = ParseName(r.Name); err != nil {
		return n, err
	}
	if err := r.methodFits(); err != nil {
		return n, err
	}
	if n.Scopes, err = CheckScopes(r.Scopes); err != nil {
		return n, err
	}
	if r.AccountID != "" {
		if n.AccountID, err = u.account(r.AccountID); err != nil {
			return n, err
		}
	}
	if r.DefaultRegion != "" {
		if n.DefaultRegion, err = u.region(r.DefaultRegion); err != nil {
			return n, err
		}
	}
	if r.Permissions != "" {
		n.Permissions = Permissions(r.Permissions)
	}
	if !u.Deployment.HasPermissions(n.Permissions) {
		return n, &Error{
			Kind: KindInvalid, Code: CodePermissionsInvalid, Message: "there is no such permission set",
			Fix: "Choose one of " + u.Deployment.permissionNames() + ".",
		}
	}
	return n, nil
}

// account reads the id of a customer's account.
func (u Connections) account(text string) (AccountID, error) {
	a, err := ParseAccountID(text)
	if err == nil && a == u.Deployment.Platform.Account {
		err = &Error{
			Kind: KindInvalid, Code: CodeOwnAccount, Message: "this is the platform's own account", Fix: "Connect a customer's account.",
		}
	}
	return a, err
}

// methodFits refuses an unknown method, and what belongs to another one.
func (r CreateRequest) methodFits() error {
	switch {
	case r.Method == MethodAccessKey:
		return nil
	case r.Method != "" && r.Method != MethodRole:
		return &Error{
			Kind: KindInvalid, Code: CodeMethodUnsupported, Message: fmt.Sprintf("%q is no method of connecting", r.Method),
			Fix: `Use "role" or "access_key".`,
		}
	case r.Keys != nil:
		return &Error{
			Kind: KindInvalid, Code: CodeMethodUnsupported, Message: "accessKey belongs to connections by access key",
			Fix: `Set method to "access_key", or leave it out.`,
		}
	}
	return nil
}

// Get reads one of the tenant's connections.
func (u Connections) Get(ctx context.Context, tenant TenantID, id string) (Connection, error) {
	return owned(ctx, u.Store.Connection, tenant, id)
}

// reader reads a connection consistently; ErrNotFound where there is none.
type reader func(ctx context.Context, id ConnectionID) (Connection, error)

// owned reads a connection of the tenant. One that does not exist, one that cannot exist and one of another tenant give
// the same error.
func owned(ctx context.Context, read reader, tenant TenantID, id string) (Connection, error) {
	parsed, err := ParseConnectionID(id)
	if err != nil {
		return Connection{}, err
	}
	c, err := read(ctx, parsed)
	if err != nil {
		return Connection{}, err
	}
	if c.s.TenantID != tenant {
		return Connection{}, ErrNotFound
	}
	return c, nil
}

// admitted reads a connection that is to be used or changed. Whose it is decides first, so that a refusal says nothing
// about another tenant's.
func admitted(ctx context.Context, read reader, t Target) (Connection, error) {
	c, err := owned(ctx, read, t.Tenant, t.ID)
	if err == nil {
		err = t.Filter.admit(c)
	}
	if err != nil {
		return Connection{}, err
	}
	return c, nil
}

// List reads a page of the tenant's connections.
func (u Connections) List(ctx context.Context, tenant TenantID, q ListQuery) (Page[Connection], error) {
	return u.Store.Connections(ctx, tenant, q)
}

// Events reads a page of a connection's timeline. It outlives the connection.
func (u Connections) Events(ctx context.Context, tenant TenantID, id string, q EventQuery) (Page[Event], error) {
	c, err := owned(ctx, u.Store.Connection, tenant, id)
	if err != nil {
		return Page[Event]{}, err
	}
	return u.Store.Events(ctx, c.s.ID, q)
}

// A Target names a connection, or an enrolment, for a change by one of the tenant's callers.
type Target struct {
	Tenant  TenantID
	ID      string
	By      Actor
	Filter  ResourceFilter // of the caller
	IfMatch int64          // the version the caller has seen; 0 for any
}

// Delete ends a connection for ever. Deleting a deleted one changes nothing.
func (u Connections) Delete(ctx context.Context, t Target) error {
	_, err := u.change(ctx, t, nil, func(c Connection) (Change, error) {
		if c.s.Status == StatusDeleted {
			return Change{}, errNothing
		}
		return c.Delete(u.Clock(), t.By)
	})
	return err
}

// Launch prepares a further launch of a connection.
func (u Connections) Launch(ctx context.Context, t Target, i *Idempotency) (Connection, error) {
	return u.change(ctx, t, i, func(c Connection) (Change, error) {
		ch, err := c.Launch(u.Clock(), t.By)
		if err == nil && c.s.Status != StatusPending && ch.after.Status == StatusPending {
			err = u.Places.Take(ctx, t.Tenant)
		}
		return ch, err
	})
}

// errNothing ends a change before it is committed: the connection is already as it was to be.
var errNothing = errors.New("nothing to change")

// attempts bounds how often a change is decided anew because somebody else was quicker.
const attempts = 4

func (u Connections) change(
	ctx context.Context, t Target, i *Idempotency, decide func(Connection) (Change, error),
) (Connection, error) {
	var err error
	for range attempts {
		var c Connection
		if c, err = admitted(ctx, u.Store.Connection, t); err != nil {
			return Connection{}, err
		}
		ch, refusal := decide(c)
		if errors.Is(refusal, errNothing) {
			return c, nil
		}
		if stale := c.seen(t.IfMatch); stale != nil {
			refusal = stale
		}
		if refusal != nil {
			return u.replayed(ctx, t.Tenant, i, refusal)
		}
		if c, err = u.commit(ctx, ch.Idempotent(i)); !errors.Is(err, ErrConflict) {
			return c, err
		}
	}
	return Connection{}, err
}

// replayed answers a request that is refused now, but may be a repetition of one that was not.
func (u Connections) replayed(ctx context.Context, tenant TenantID, i *Idempotency, refusal error) (Connection, error) {
	if i == nil {
		return Connection{}, refusal
	}
	err := u.Replays.Replay(ctx, tenant, *i)
	var done *AlreadyDone
	switch {
	case errors.As(err, &done):
		return u.Store.Connection(ctx, done.ID)
	case err != nil:
		return Connection{}, err
	}
	return Connection{}, refusal
}

// seen refuses a change by somebody who has seen another version.
func (c Connection) seen(ifMatch int64) error {
	if ifMatch == 0 || ifMatch == c.s.Version {
		return nil
	}
	return &Error{
		Kind: KindStale, Code: CodeVersion, Message: "the connection has changed since you read it",
		Fix: "Read it again, look at what changed, and send the new ETag.",
	}
}
