package connect

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A SessionAsk asks for a session of one connection, as it was read a moment ago, for one caller.
type SessionAsk struct {
	Connection Connection
	Caller     Actor
	Options    SessionOptions
	Reason     string        // why, in the caller's words; of the one who asks first
	Purpose    string        // PurposeConsole, or "" for credentials
	Least      time.Duration // how long the session must still live when it is handed out
}

// PurposeConsole is the purpose of a session behind a sign-in link.
const PurposeConsole = "console"

// Sessions is where sessions come from.
type Sessions interface {
	Session(ctx context.Context, ask SessionAsk) (Issued, error)
}

// A SessionCache keeps the sessions of Next in memory, as long as they live long enough to be handed out, and makes one
// at a time for each key, however many ask. The key has the tenant, the connection and its version, the caller and the
// options: whatever changes a connection makes all its older sessions unreachable. It is safe for concurrent use.
type SessionCache struct {
	next  Sessions
	clock func() time.Time
	size  int

	mu      sync.Mutex
	entries map[sessionKey]*list.Element // of *sessionEntry
	recent  *list.List                   // the most recently used one first
}

// NewSessionCache decorates next; at most size sessions are kept, and the least recently used one gives way.
func NewSessionCache(next Sessions, size int, clock func() time.Time) *SessionCache {
	return &SessionCache{next: next, clock: clock, size: max(1, size), entries: map[sessionKey]*list.Element{}, recent: list.New()}
}

// Times of the cache.
const (
	// sessionTime bounds the making of one session, which goes on when whoever asked first has left.
	sessionTime = 10 * time.Second
	// denialMemory is how long a definite refusal stands: long enough to spare AWS a crowd that tries again, and so short
	// that nobody who mends it notices.
	denialMemory = 5 * time.Second
	// failureMemory is how long an old session serves in peace after a renewal that failed.
	failureMemory = 2 * time.Second
	// renewalPatience is how long a request that renews waits while the old session could serve it.
	renewalPatience = time.Second
	// renewalShare: the last fortieth of the time in which a session may be handed out is when a request renews it. So
	// renewing ahead costs 2.5% more sessions than the least possible.
	renewalShare = 40
)

type sessionKey struct {
	tenant   TenantID
	id       ConnectionID
	version  int64
	caller   Actor
	duration time.Duration
	narrowed string
}

func (a SessionAsk) key() sessionKey {
	return sessionKey{
		a.Connection.s.TenantID, a.Connection.s.ID, a.Connection.s.Version, a.Caller, a.Options.Duration, a.Options.narrowed,
	}
}

// A sessionEntry is what is known of one key. The cache's lock guards it.
type sessionEntry struct {
	key    sessionKey
	issued Issued
	made   time.Time // by our clock
	flight *sessionFlight
	quiet  time.Time // until then nothing is asked upstream: refusal stands, or else the old session serves
	denied error
}

// A sessionFlight is one session in the making. done is closed when issued and err are set.
type sessionFlight struct {
	done   chan struct{}
	issued Issued
	err    error
}

// left is how long the session will live for certain. Two clocks are asked, ours for its age and AWS's for its end, and
// the worse answer counts: one that is slow or fast by minutes makes sessions shorter, never longer.
func (e *sessionEntry) left(now time.Time) time.Duration {
	if e.issued.Credentials.Expires.IsZero() {
		return 0
	}
	return min(e.issued.Credentials.Expires.Sub(now), e.key.duration-now.Sub(e.made))
}

// Session implements Sessions. A caller who gives up fails nobody else; a session that is being renewed goes on serving
// the others, and serves the renewing request, too, where AWS does not answer in time.
func (c *SessionCache) Session(ctx context.Context, ask SessionAsk) (Issued, error) {
	c.mu.Lock()
	now := c.now()
	e := c.entry(ask.key(), now)
	left := e.left(now)
	serves, fresh := left >= ask.Least && left > 0, left >= ask.Least+(ask.Options.Duration-ask.Least)/renewalShare
	if serves && (fresh || e.flight != nil || now.Before(e.quiet)) {
		held := e.issued
		c.mu.Unlock()
		held.Held = true
		return held, nil
	}
	if e.flight == nil && e.denied != nil && now.Before(e.quiet) {
		err := e.denied
		c.mu.Unlock()
		return Issued{}, err
	}
	held, f := e.issued, c.join(ctx, e, &ask)
	c.mu.Unlock()
	if serves {
		return c.renewed(ctx, held, f)
	}
	select {
	case <-f.done:
		return f.issued, f.err
	case <-ctx.Done():
		return Issued{}, ctx.Err()
	}
}

// join is the session in the making; where there is none, one is begun. The caller holds the lock.
func (c *SessionCache) join(ctx context.Context, e *sessionEntry, ask *SessionAsk) *sessionFlight {
	if e.flight == nil {
		e.flight = &sessionFlight{done: make(chan struct{})}
		copied := *ask // so that the ask of a hit, by far the most, stays off the heap
		go c.fly(context.WithoutCancel(ctx), e, e.flight, &copied)
	}
	return e.flight
}

// renewed is the new session, or the old one where the new one does not come. A definite refusal counts at once: who has
// taken the role away does not want its sessions handed out any more.
func (c *SessionCache) renewed(ctx context.Context, old Issued, f *sessionFlight) (Issued, error) {
	old.Held = true
	patience := time.NewTimer(renewalPatience)
	defer patience.Stop()
	select {
	case <-f.done:
	case <-patience.C:
		return old, nil
	case <-ctx.Done():
		return Issued{}, ctx.Err()
	}
	if f.err != nil && !definite(f.err) {
		return old, nil
	}
	return f.issued, f.err
}

// definite tells an answer that will be the same in a moment from a failure that may not.
func definite(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Kind == KindDenied || e.Kind == KindInvalid || e.Kind == KindConflict)
}

// now has no monotonic part: a function that was frozen between two requests has not aged by it.
func (c *SessionCache) now() time.Time { return c.clock().Round(0) }

// entry finds or makes the key's entry and puts it in front. The caller holds the lock.
func (c *SessionCache) entry(k sessionKey, now time.Time) *sessionEntry {
	if el, ok := c.entries[k]; ok {
		c.recent.MoveToFront(el)
		if e, is := el.Value.(*sessionEntry); is {
			return e
		}
	}
	c.shed(now)
	e := &sessionEntry{key: k}
	c.entries[k] = c.recent.PushFront(e)
	return e
}

// shed makes room for one more, and lets go of what has ended at the far end: nobody has asked for it since.
func (c *SessionCache) shed(now time.Time) {
	for el := c.recent.Back(); el != nil; el = c.recent.Back() {
		e, ok := el.Value.(*sessionEntry)
		if ok && len(c.entries) < c.size && (e.flight != nil || e.left(now) > 0) {
			return
		}
		c.recent.Remove(el)
		delete(c.entries, e.key)
	}
}

// fly makes a session, whoever waits for it. A panic becomes an error of those who wait.
func (c *SessionCache) fly(ctx context.Context, e *sessionEntry, f *sessionFlight, ask *SessionAsk) {
	ctx, done := context.WithTimeout(ctx, sessionTime)
	defer done()
	began := c.now() // the session's age counts from before it was asked for
	defer func() {
		if v := recover(); v != nil {
			f.issued, f.err = Issued{}, fmt.Errorf("while a session was made: %w", Panicked(v))
		}
		c.land(e, f, began)
		close(f.done)
	}()
	f.issued, f.err = c.next.Session(ctx, *ask)
}

func (c *SessionCache) land(e *sessionEntry, f *sessionFlight, began time.Time) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	e.flight = nil
	switch {
	case f.err == nil:
		e.issued, e.made, e.denied, e.quiet = f.issued, began, nil, time.Time{}
	case definite(f.err):
		e.issued, e.denied, e.quiet = Issued{}, f.err, now.Add(denialMemory)
	default:
		e.denied, e.quiet = nil, now.Add(failureMemory)
	}
}

// DefaultCacheSize is how many sessions a process keeps. One takes about 3 KB with its token.
const DefaultCacheSize = 8192

// leastLife is what must be left of a session when it is handed out: two thirds, or what the caller asks for.
func leastLife(d, least time.Duration) time.Duration { return cmp.Or(least, d*2/3) }
