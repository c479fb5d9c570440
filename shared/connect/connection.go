package connect

import (
	"fmt"
	"slices"
	"time"
)

// A Status is where a connection stands in its life.
type Status string

// Statuses; ARCHITECTURE.md has the diagram.
const (
	StatusPending      Status = "pending"
	StatusVerifying    Status = "verifying"
	StatusEnabled      Status = "enabled"
	StatusDegraded     Status = "degraded"
	StatusFailed       Status = "failed"
	StatusDisconnected Status = "disconnected"
	StatusExpired      Status = "expired"
	StatusDeleted      Status = "deleted"
)

// Statuses lists all of them, in the order of a connection's life.
func Statuses() []Status {
	return []Status{
		StatusPending, StatusVerifying, StatusEnabled, StatusDegraded, StatusFailed,
		StatusDisconnected, StatusExpired, StatusDeleted,
	}
}

// MethodRole is the way of connecting by an IAM role.
const MethodRole = "role"

// Permissions is the set of permissions that the customer's role is to have.
type Permissions string

// LaunchLife is how long a launch can be used, and how long a connection stays pending.
const LaunchLife = 7 * 24 * time.Hour

// A Launch is one prepared link, numbered from 1.
type Launch struct {
	Number    int
	ExpiresAt time.Time
}

// A Verification is a run in progress: a role on trial, and when it is tried next.
type Verification struct {
	Run         int64 // the version at which the run began; names the run
	RoleARN     RoleARN
	Permissions Permissions // the set that the role on trial is to have
	// PolicyDigest is as in [Snapshot], of the role on trial.
	PolicyDigest string
	StartedAt    time.Time
	Attempt      int // tries made so far
	NextTryAt    time.Time
	Deadline     time.Time // from then on a denial is definitive
	FromStack    bool      // the connection's stack has told of the role
}

// A RunResult is how a run ended; the zero value is none.
type RunResult struct {
	Run     int64
	RoleARN RoleARN
	Passed  bool
	Reason  Reason // why it did not pass
}

// A Snapshot is all that a connection is made of, as stores keep it. Changing one changes no connection.
type Snapshot struct {
	ID            ConnectionID
	TenantID      TenantID
	Name          Name
	Method        string
	Status        Status
	StatusReason  Reason
	AccountID     AccountID // that it has; "" until one is reported
	Partition     Partition
	DefaultRegion Region
	ExternalID    ExternalID
	RoleARN       RoleARN
	SessionTags   bool        // the role accepts session tags and a source identity
	Permissions   Permissions // that the role has, as the customer's stack reports; until one does, those asked for
	Requested     Permissions // the set that the platform asks for
	// PolicyDigest names the platform's own policy that the role was made with, where its set is [PermissionsCustom]; ""
	// where that is not known.
	PolicyDigest string
	Stack        Stack
	Scopes       []Scope  // that the connection alone has within its tenant, the widest first
	Launches     []Launch // that may still be used, if not expired
	LastLaunch   int      // the number of the newest launch ever made
	UsedLaunch   int      // launches up to this number can bind no further stack
	Checks       []Check
	Regions      []Region
	// Verification is the run in progress. While the connection is enabled or degraded, its role is a candidate: the
	// old role serves until the candidate has passed.
	Verification *Verification
	LastRun      RunResult
	AccessKey    *AccessKey   // of a connection by access key that serves
	Offboarding  *Offboarding // of a connection that has ended, until its role is proven to be refused
	Revocation   *Revocation  // while the role may bear a policy that denies older sessions
	Strikes      int          // definitive denials in a row since the role last passed
	LastStrikeAt time.Time

	CreatedAt          time.Time
	CreatedBy          Actor
	UpdatedAt          time.Time
	EnabledAt          time.Time
	LastVerifiedAt     time.Time
	NextVerificationAt time.Time
	Version            int64 // counts changes, from 1; also the sequence of the newest change's event

	EnrolmentID    EnrolmentID    // of the enrolment that made the connection; "" for none
	OrganizationID OrganizationID // that the account must belong to; "" where it does not matter
	LinkedTo       ConnectionID   // the connection that it gave way to, since that one serves the account; "" for none

	ExpectedAccountID AccountID // the only account that it may be of; "" where any may come
}

// A Connection is one customer account of one tenant. Its zero value is no connection.
type Connection struct{ s Snapshot }

// Restore makes a connection of what a store kept, and refuses what this package cannot have written.
func Restore(s Snapshot) (Connection, error) {
	switch {
	case s.ID == "" || s.TenantID == "" || s.ExternalID == "" || s.Version < 1:
		return Connection{}, fmt.Errorf("connection %q: the record lacks its identity", s.ID)
	case !slices.Contains(Statuses(), s.Status):
		return Connection{}, fmt.Errorf("connection %s: unknown status %q", s.ID, s.Status)
	case s.Status == StatusEnabled && (!s.hasAccess() || !proven(s.Method, s.Checks)):
		return Connection{}, fmt.Errorf("connection %s: enabled without proof", s.ID)
	case s.Status == StatusEnabled && s.OrganizationID != "" && !provenMember(s.Checks):
		return Connection{}, fmt.Errorf("connection %s: enabled without proof of its organization", s.ID)
	case s.Status == StatusVerifying && s.Verification == nil:
		return Connection{}, fmt.Errorf("connection %s: verifying nothing", s.ID)
	case s.ExpectedAccountID != "" && s.AccountID != "" && s.AccountID != s.ExpectedAccountID:
		return Connection{}, fmt.Errorf("connection %s: of another account than was expected", s.ID)
	case s.LinkedTo != "" && s.Status != StatusDisconnected:
		return Connection{}, fmt.Errorf("connection %s: %s, although it gave way to another", s.ID, s.Status)
	}
	s = s.clone()
	if s.Requested == "" { // kept before the two were told apart
		s.Requested = s.Permissions
	}
	if s.Stack.StartID == "" && s.Stack.ReportID == "" && !s.Stack.ID.IsZero() && s.Stack.RoleARN.IsZero() {
		s.Stack.RoleARN = s.RoleARN // bound by a version that did not tell a stack's role from another one
	}
	return Connection{s}, nil
}

// hasAccess says that there is something to issue credentials from.
func (s Snapshot) hasAccess() bool {
	if s.Method == MethodAccessKey {
		return s.AccessKey != nil && s.AccessKey.Sealed != "" && s.AccountID != ""
	}
	return !s.RoleARN.IsZero()
}

// Snapshot is a copy of all that the connection is made of.
func (c Connection) Snapshot() Snapshot { return c.s.clone() }

func (s Snapshot) clone() Snapshot {
	s.Launches = slices.Clone(s.Launches)
	s.Checks = slices.Clone(s.Checks)
	s.Scopes = slices.Clone(s.Scopes)
	s.Regions = slices.Clone(s.Regions)
	if s.Verification != nil {
		v := *s.Verification
		s.Verification = &v
	}
	if s.Offboarding != nil {
		o := *s.Offboarding
		s.Offboarding = &o
	}
	if s.Revocation != nil {
		r := *s.Revocation
		s.Revocation = &r
	}
	if s.AccessKey != nil {
		k := *s.AccessKey
		s.AccessKey = &k
	}
	return s
}

// ID of the connection.
func (c Connection) ID() ConnectionID { return c.s.ID }

// TenantID is whose connection it is.
func (c Connection) TenantID() TenantID { return c.s.TenantID }

// Status of the connection.
func (c Connection) Status() Status { return c.s.Status }

// Version counts the connection's changes.
func (c Connection) Version() int64 { return c.s.Version }

// A Change is one step of a connection's life, to be committed whole or not at all: the connection as it becomes, one
// event, and what must be reserved beside it. Only this package makes one.
type Change struct {
	after    Snapshot
	earlier  []Event // of the steps before the last one
	event    Event
	expect   int64
	fence    *Fence
	name     bool
	claim    RoleARN
	releases []RoleARN
	idem     *Idempotency

	scopeClaims   []ScopeClaim
	scopeReleases []Scope
	also          []Change
	intake        *IntakeClaim
	joins         StackID

	account, freed AccountID
	note           *Event
}

// Connection is what the connection becomes.
func (c Change) Connection() Connection { return Connection{c.after.clone()} }

// Event tells of the change, or of its last step.
func (c Change) Event() Event { return c.event }

// Events tell of all steps of the change, in their order.
func (c Change) Events() []Event { return append(slices.Clone(c.earlier), c.event) }

// then makes one change of two steps. The second one neither claims nor releases scopes.
func (c Change) then(next Change) Change {
	next.earlier, next.expect, next.name, next.scopeClaims = c.Events(), c.expect, c.name, c.scopeClaims
	if next.joins.IsZero() {
		next.joins = c.joins
	}
	if next.fence == nil {
		next.fence = c.fence
	}
	return next.withRolesOf(c)
}

// withRolesOf adds the roles that an earlier step claims and releases; what that one claims and this one releases is neither.
func (c Change) withRolesOf(earlier Change) Change {
	released := slices.DeleteFunc(slices.Clone(c.releases), func(r RoleARN) bool { return r == earlier.claim })
	if c.claim.IsZero() && len(released) == len(c.releases) {
		c.claim = earlier.claim
	}
	c.releases = append(slices.Clone(earlier.releases), released...)
	return c
}

// Expect is the version that the stored connection must have; 0 means that it must not exist.
func (c Change) Expect() int64 { return c.expect }

// Fence is the stack's fence to store with the change; nil leaves it alone.
func (c Change) Fence() *Fence { return c.fence }

// ReservesName says that the connection's name is to be reserved for ever with the change.
func (c Change) ReservesName() bool { return c.name }

// ClaimsRole is the role that becomes this connection's alone within its tenant; zero claims none.
func (c Change) ClaimsRole() RoleARN { return c.claim }

// ReleasesRoles are roles that other connections of the tenant may use again.
func (c Change) ReleasesRoles() []RoleARN { return c.releases }

// Idempotency is the record of the request that asked for the change; nil where the caller sent no key.
func (c Change) Idempotency() *Idempotency { return c.idem }

// An Idempotency ties a caller's Idempotency-Key to what the first request with it made.
type Idempotency struct {
	Key       string // unique within the tenant
	Request   string // a hash of the request
	ExpiresAt time.Time
}

// Idempotent is the change, committed at most once for the key.
func (c Change) Idempotent(i *Idempotency) Change {
	c.idem = i
	return c
}

// change is the connection after mutate, one version on, with its event.
func (c Connection) change(kind EventType, actor Actor, now time.Time, data map[string]any, mutate func(*Snapshot)) Change {
	after := c.s.clone()
	mutate(&after)
	after.Version = c.s.Version + 1
	after.UpdatedAt = now
	if data == nil {
		data = map[string]any{}
	}
	data["status"] = string(after.Status)
	ch := Change{
		after: after, expect: c.s.Version,
		event: Event{
			ID: changeEventID(after.ID, after.Version), ConnectionID: after.ID, TenantID: after.TenantID,
			Sequence: after.Version, Type: kind, At: now, Actor: actor, Data: data,
		},
	}
	ch.claim, ch.releases = roleClaims(c.s, after)
	ch.scopeClaims, ch.scopeReleases = scopeDiff(c.s, after)
	ch.account, ch.freed = accountClaims(c.s, after)
	return ch
}

// roles that a connection holds: its own and its candidate's.
func (s Snapshot) roles() []RoleARN {
	var held []RoleARN
	if !s.RoleARN.IsZero() && s.Status != StatusDisconnected && s.Status != StatusDeleted {
		held = append(held, s.RoleARN)
	}
	if s.Verification != nil && !slices.Contains(held, s.Verification.RoleARN) {
		held = append(held, s.Verification.RoleARN)
	}
	return held
}

func roleClaims(before, after Snapshot) (claim RoleARN, releases []RoleARN) {
	was, is := before.roles(), after.roles()
	for _, r := range is {
		if !slices.Contains(was, r) {
			claim = r
		}
	}
	for _, r := range was {
		if !slices.Contains(is, r) {
			releases = append(releases, r)
		}
	}
	return claim, releases
}

// NewConnection is what a tenant asks for.
type NewConnection struct {
	TenantID      TenantID
	Name          Name
	Partition     Partition
	AccountID     AccountID // the only one that may become it; "" for any, but of a connection by access key
	DefaultRegion Region
	Permissions   Permissions
	Scopes        []Scope // as CheckScopes has put them
	By            Actor
}

// Create makes a pending connection with its external ID and its first launch.
func Create(n NewConnection, id ConnectionID, external ExternalID, now time.Time) Change {
	c := Connection{Snapshot{
		ID: id, TenantID: n.TenantID, Name: n.Name, Method: MethodRole, Status: StatusPending, ExpectedAccountID: n.AccountID,
		Partition: n.Partition, DefaultRegion: n.DefaultRegion, ExternalID: external, Permissions: n.Permissions, Requested: n.Permissions,
		CreatedAt: now, CreatedBy: n.By,
	}}
	data := map[string]any{"name": string(n.Name), "method": MethodRole, "permissions": string(n.Permissions)}
	if n.AccountID != "" {
		data["expectedAccountId"] = string(n.AccountID)
	}
	if len(n.Scopes) > 0 {
		data["scopes"] = scopeData(n.Scopes)
	}
	ch := c.change(EventCreated, n.By, now, data, func(s *Snapshot) {
		s.Scopes = n.Scopes
		s.addLaunch(now)
	})
	ch.name = true
	return ch
}

func (s *Snapshot) addLaunch(now time.Time) {
	s.LastLaunch++
	usable := s.Launches[:0]
	for _, l := range s.Launches {
		if now.Before(l.ExpiresAt) {
			usable = append(usable, l)
		}
	}
	s.Launches = append(usable, Launch{Number: s.LastLaunch, ExpiresAt: now.Add(LaunchLife)})
	if len(s.Launches) > maxLaunches {
		s.Launches = s.Launches[len(s.Launches)-maxLaunches:]
	}
}

// maxLaunches bounds how many launches can be open at once; the oldest ones give way.
const maxLaunches = 20

// OpenLaunch is the newest launch that can still be used; ok is false where there is none.
func (c Connection) OpenLaunch(now time.Time) (l Launch, ok bool) {
	if n := len(c.s.Launches); n > 0 && now.Before(c.s.Launches[n-1].ExpiresAt) {
		return c.s.Launches[n-1], true
	}
	return Launch{}, false
}

// Launch prepares a further link. It opens an expired or disconnected connection again, with the same external ID. A
// connection by access key goes on serving: the role that the launch brings is a candidate.
func (c Connection) Launch(now time.Time, by Actor) (Change, error) {
	if err := c.must("be launched", StatusPending, StatusExpired, StatusDisconnected, StatusFailed); err != nil && !c.byKeys() {
		return Change{}, err
	}
	data := map[string]any{"launch": c.s.LastLaunch + 1}
	if c.byKeys() {
		return c.change(EventLaunched, by, now, data, func(s *Snapshot) { s.addLaunch(now) }), nil
	}
	return c.change(EventLaunched, by, now, data, func(s *Snapshot) {
		s.addLaunch(now)
		if s.Status != StatusFailed {
			s.Status, s.StatusReason = StatusPending, Reason{}
		}
		if c.s.Status == StatusDisconnected {
			s.Stack, s.RoleARN, s.AccountID, s.Regions = Stack{}, RoleARN{}, "", nil
			s.SessionTags, s.Checks = false, nil // but not Revocation: the former role is still to lose its policy
			s.Permissions, s.PolicyDigest, s.LinkedTo = s.Requested, "", ""
		}
	}), nil
}

// must refuses an action in any status but those given.
func (c Connection) must(action string, in ...Status) error {
	if slices.Contains(in, c.s.Status) {
		return nil
	}
	return &Error{
		Kind: KindConflict, Code: CodeStatus,
		Message: fmt.Sprintf("a connection that is %s cannot %s", c.s.Status, action),
		Fix:     statusFix(c.s.Status),
	}
}

func statusFix(s Status) string {
	switch s {
	case StatusPending:
		return "Launch the customer's stack, or give the role's ARN, first."
	case StatusVerifying:
		return "Wait until the verification has ended."
	case StatusFailed:
		return "Mend what statusReason says and verify again."
	case StatusDegraded:
		return "Mend what statusReason says; the connection recovers by itself or when you verify it."
	case StatusDisconnected, StatusExpired:
		return "Open it again with POST /v1/connections/{id}/launch."
	case StatusDeleted:
		return "Create a new connection."
	case StatusEnabled:
		return "Delete the connection, or the customer's stack, first."
	}
	return ""
}

// Delete ends the connection for ever. Its name and external ID stay reserved, its scopes are free.
func (c Connection) Delete(now time.Time, by Actor) (Change, error) {
	if c.s.Status == StatusDeleted {
		return Change{}, c.must("be deleted")
	}
	data := map[string]any{"from": string(c.s.Status)}
	return c.change(EventDeleted, by, now, data, func(s *Snapshot) {
		s.Status, s.StatusReason = StatusDeleted, Reason{}
		s.Launches, s.Verification, s.Scopes, s.AccessKey, s.LinkedTo = nil, nil, nil, nil, ""
		s.NextVerificationAt = time.Time{}
		if c.s.Status != StatusDisconnected {
			s.offboard(now)
		}
	}), nil
}

// Expired says that the connection has waited for its role too long.
func (c Connection) Expired(now time.Time) bool {
	return c.s.Status == StatusPending && !now.Before(c.pendingUntil())
}

// pendingUntil is when a pending connection expires: with its last launch, or a launch's life after its stack began.
func (c Connection) pendingUntil() time.Time {
	if n := len(c.s.Launches); n > 0 {
		return c.s.Launches[n-1].ExpiresAt
	}
	return c.s.UpdatedAt.Add(LaunchLife)
}

// Expire ends the waiting of a pending connection.
func (c Connection) Expire(now time.Time) (Change, error) {
	if !c.Expired(now) {
		return Change{}, c.must("expire")
	}
	return c.change(EventExpired, ActorRolecall, now, nil, func(s *Snapshot) {
		s.Status = StatusExpired
		s.Launches = nil
		s.StatusReason = Reason{
			Code: CodeLaunchExpired, Message: "nobody launched the stack within seven days",
			Fix: "Prepare a new launch and open its link.",
		}
	}), nil
}

// DueAt is when Rolecall must look at the connection again although nobody asks: a pending one may expire, a run may
// have been lost, a degraded one may have recovered. Zero is never; an enabled one is found by its slot instead.
func (c Connection) DueAt() time.Time {
	due := c.statusDueAt()
	if r := c.s.Revocation; r != nil {
		due = sooner(due, r.LiftAt)
		if r.Undone {
			due = sooner(due, c.s.UpdatedAt)
		}
	}
	if v := c.s.Verification; v != nil {
		due = sooner(due, v.NextTryAt.Add(lostRunAfter))
	}
	return due
}

// sooner is the earlier of two times, of which the zero one is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

func (c Connection) statusDueAt() time.Time {
	switch c.s.Status {
	case StatusPending:
		return sooner(c.pendingUntil(), c.s.Offboarding.due())
	case StatusEnabled:
		return c.nextLook()
	case StatusDegraded:
		return c.s.NextVerificationAt
	case StatusDisconnected, StatusExpired, StatusDeleted:
		return c.s.Offboarding.due()
	case StatusVerifying, StatusFailed:
	}
	return time.Time{}
}

// nextLook at an enabled connection is while denials are being counted, and when its temporary key is about to end, and
// ends.
func (c Connection) nextLook() time.Time {
	due := c.s.NextVerificationAt
	k := c.s.AccessKey
	if k == nil || k.ExpiresAt.IsZero() {
		return due
	}
	end := k.ExpiresAt
	if k.EndingAt.IsZero() {
		end = k.endingAt()
	}
	return sooner(due, end)
}

// lostRun says that the message which should have made a run's next try has not.
func (c Connection) lostRun(now time.Time) bool {
	v := c.s.Verification
	return v != nil && !now.Before(v.NextTryAt.Add(lostRunAfter))
}

// lostRunAfter is how late a try may be before the schedule takes the run up again.
const lostRunAfter = 2 * time.Minute
