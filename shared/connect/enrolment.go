package connect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// EnrolmentID is "enr_" and 26 lower-case characters that sort by time of creation.
type EnrolmentID string

var enrolmentIDRE = regexp.MustCompile(`^enr_[0-9a-hjkmnp-tv-z]+$`)

// ErrEnrolmentNotFound is the one answer for what does not exist and for what is another tenant's.
var ErrEnrolmentNotFound = &Error{Kind: KindNotFound, Code: CodeEnrolmentNotFound, Message: "there is no such enrolment"}

// ParseEnrolmentID reads an enrolment's id; anything else is as good as an enrolment that does not exist.
func ParseEnrolmentID(s string) (EnrolmentID, error) {
	if len(s) != len("enr_")+26 || !enrolmentIDRE.MatchString(s) {
		return "", ErrEnrolmentNotFound
	}
	return EnrolmentID(s), nil
}

// NewEnrolmentID makes an id like a connection's.
func NewEnrolmentID(now time.Time, random io.Reader) (EnrolmentID, error) {
	id, err := NewConnectionID(now, random)
	return EnrolmentID("enr_" + strings.TrimPrefix(string(id), "conn_")), err
}

// An EnrolmentStatus says whether an enrolment takes further accounts.
type EnrolmentStatus string

// Statuses of an enrolment.
const (
	EnrolmentActive  EnrolmentStatus = "active"
	EnrolmentRevoked EnrolmentStatus = "revoked" // the accounts that it has connected stay
)

// Limits of enrolments. Whoever reads a token can report made-up accounts, so what one can bring about has an end.
const (
	MaxEnrolmentAccounts = 5000 // accounts of one enrolment that are written down before they are proven
	MaxEnrolments        = 20   // active ones of a tenant
	maxUnits             = 50   // their ids fit one parameter of CloudFormation, which takes 4,096 characters
)

// An Enrolment connects the accounts of one AWS organization by one stack: its token is used by every account's own
// stack. Its zero value is none.
type Enrolment struct{ s EnrolmentSnapshot }

// An EnrolmentSnapshot is all that an enrolment is made of, as stores keep it.
type EnrolmentSnapshot struct {
	ID             EnrolmentID
	TenantID       TenantID
	OrganizationID OrganizationID
	Units          []UnitID
	Status         EnrolmentStatus
	Partition      Partition
	DefaultRegion  Region
	Permissions    Permissions
	NameRule       NameRule
	// Prefix begins the external ID of every account: "rce-" and 160 random bits.
	Prefix    string
	CreatedAt time.Time
	CreatedBy Actor
	RevokedAt time.Time
	Version   int64 // counts changes, from 1; also the sequence of the newest change's event
}

// RestoreEnrolment makes an enrolment of what a store kept, and refuses what this package cannot have written.
func RestoreEnrolment(s EnrolmentSnapshot) (Enrolment, error) {
	if s.ID == "" || s.TenantID == "" || s.OrganizationID == "" || len(s.Prefix) < 30 || s.Version < 1 {
		return Enrolment{}, fmt.Errorf("enrolment %q: the record lacks its identity", s.ID)
	}
	if s.Status != EnrolmentActive && s.Status != EnrolmentRevoked {
		return Enrolment{}, fmt.Errorf("enrolment %s: unknown status %q", s.ID, s.Status)
	}
	s.Units = slices.Clone(s.Units)
	return Enrolment{s}, nil
}

// Snapshot is a copy of all that the enrolment is made of.
func (e Enrolment) Snapshot() EnrolmentSnapshot {
	s := e.s
	s.Units = slices.Clone(s.Units)
	return s
}

// ID of the enrolment.
func (e Enrolment) ID() EnrolmentID { return e.s.ID }

// ExternalID is what the role of one account of the enrolment must ask for. It is worked out here, and by the template in
// the account, but never told by one to the other.
func (e Enrolment) ExternalID(a AccountID) ExternalID {
	return ExternalID(e.s.Prefix + "-" + string(a))
}

// A NameRule makes the name of an account's connection: text in which {accountId} stands for the account.
type NameRule string

const (
	accountMark     = "{accountId}"
	defaultNameRule = NameRule(accountMark)
	nameSuffix      = 6 // characters kept free, so that a number can make a name unique
)

// ParseNameRule reads a rule: it holds {accountId} once, and makes names as they must be, with room for " 99999".
func ParseNameRule(s string) (NameRule, error) {
	rule := NameRule(s)
	rest := strings.Replace(s, accountMark, "", 1)
	name, err := ParseName(string(rule.name("000000000000", 1)))
	if rest == s || strings.ContainsAny(rest, "{}") || err != nil || utf8.RuneCountInString(string(name)) > 64-nameSuffix {
		return "", &Error{
			Kind: KindInvalid, Code: CodeNameRuleInvalid,
			Message: "a rule for names holds {accountId} once, no other braces, and makes names of at most 58 characters",
			Fix:     `Use a rule such as "Acme {accountId}".`,
		}
	}
	return rule, nil
}

// name is the account's name by the rule; from the second attempt on with a number, for names are never used twice.
func (r NameRule) name(a AccountID, attempt int) Name {
	n := strings.Replace(string(r), accountMark, string(a), 1)
	if attempt > 1 {
		n = fmt.Sprintf("%s %d", n, attempt)
	}
	return Name(n)
}

// An EnrolmentChange is one step of an enrolment's life, to be committed whole or not at all with its event.
type EnrolmentChange struct {
	after  EnrolmentSnapshot
	event  Event
	expect int64
	idem   *Idempotency
}

// Enrolment is what the enrolment becomes.
func (c EnrolmentChange) Enrolment() Enrolment { return Enrolment{c.after} }

// Event tells of the change.
func (c EnrolmentChange) Event() Event { return c.event }

// Expect is the version that the stored enrolment must have; 0 means that it must not exist.
func (c EnrolmentChange) Expect() int64 { return c.expect }

// Idempotency is the record of the request that asked for the change; nil where the caller sent no key.
func (c EnrolmentChange) Idempotency() *Idempotency { return c.idem }

func (e Enrolment) change(kind EventType, by Actor, now time.Time, data map[string]any, mutate func(*EnrolmentSnapshot)) EnrolmentChange {
	after := e.Snapshot()
	mutate(&after)
	after.Version++
	data["organizationId"], data["status"] = string(after.OrganizationID), string(after.Status)
	return EnrolmentChange{after: after, expect: e.s.Version, event: Event{
		ID:          fmt.Sprintf("evt_%s_%d", strings.TrimPrefix(string(after.ID), "enr_"), after.Version),
		EnrolmentID: after.ID, TenantID: after.TenantID, Sequence: after.Version, Type: kind, At: now, Actor: by, Data: data,
	}}
}

// enrol makes an enrolment of what has been validated.
func enrol(s EnrolmentSnapshot, id EnrolmentID, now time.Time) EnrolmentChange {
	s.ID, s.Status, s.CreatedAt = id, EnrolmentActive, now
	s.Prefix = strings.Replace(string(NewExternalID()), "rc-", "rce-", 1)
	units := make([]any, 0, len(s.Units))
	for _, u := range s.Units {
		units = append(units, string(u))
	}
	data := map[string]any{"permissions": string(s.Permissions), "organizationalUnitIds": units}
	return Enrolment{s}.change(EventEnrolmentCreated, s.CreatedBy, now, data, func(*EnrolmentSnapshot) {})
}

// Revoke ends an enrolment: its token admits no further account. The accounts that are connected stay so.
func (e Enrolment) Revoke(by Actor, now time.Time) EnrolmentChange {
	return e.change(EventEnrolmentRevoked, by, now, map[string]any{}, func(s *EnrolmentSnapshot) {
		s.Status, s.RevokedAt = EnrolmentRevoked, now
	})
}

// Connect makes the pending connection of an account that reports for the first time, from a stack of its own. The
// attempt numbers the names that were tried: the first one is the rule's own.
func (e Enrolment) Connect(account AccountID, stack StackID, id ConnectionID, attempt int, now time.Time) Change {
	name := e.s.NameRule.name(account, attempt)
	c := Connection{Snapshot{
		ID: id, TenantID: e.s.TenantID, Name: name, Method: MethodRole, Status: StatusPending, AccountID: account,
		Partition: e.s.Partition, DefaultRegion: e.s.DefaultRegion, ExternalID: e.ExternalID(account), Permissions: e.s.Permissions, Requested: e.s.Permissions,
		EnrolmentID: e.s.ID, OrganizationID: e.s.OrganizationID, CreatedAt: now, CreatedBy: ActorStack,
	}}
	data := map[string]any{
		"name": string(name), "method": MethodRole, "permissions": string(e.s.Permissions),
		"enrolmentId": string(e.s.ID), "accountId": string(account),
	}
	ch := c.change(EventCreated, ActorStack, now, data, func(*Snapshot) {})
	ch.name, ch.joins = true, stack
	return ch
}

// Joins is the stack by which an account of an enrolment reports for the first time, with the change that makes its
// connection; zero for every other change.
func (c Change) Joins() StackID { return c.joins }

// enrolledAccount is the account that an enrolment made the connection for; "" for a connection of no enrolment.
func (s Snapshot) enrolledAccount() AccountID {
	if s.EnrolmentID == "" {
		return ""
	}
	return AccountID(s.ExternalID[len(s.ExternalID)-12:])
}

// A MemberState is how far an enrolment has come with one account.
type MemberState string

// States of an account of an enrolment.
const (
	MemberConnecting   MemberState = "connecting"
	MemberEnabled      MemberState = "enabled"
	MemberDegraded     MemberState = "degraded"
	MemberFailed       MemberState = "failed"
	MemberDisconnected MemberState = "disconnected"
	MemberDeleted      MemberState = "deleted"
	MemberLinked       MemberState = "linked" // another connection of the tenant serves the account already
)

// A Member is one account of an enrolment.
type Member struct {
	EnrolmentID  EnrolmentID
	AccountID    AccountID
	ConnectionID ConnectionID // the one that serves it, or is to
	// Own is the connection that the enrolment made for the account, also while it is linked to another one; "" where it
	// has made none.
	Own     ConnectionID
	State   MemberState
	Reason  Reason // why it failed, or is not as it should be
	StackID StackID
	// RolledBack says that the account's stack is gone after a failure: only the customer can deploy it again.
	RolledBack bool
	UpdatedAt  time.Time
}

// MemberOf is the account of an enrolment that the connection was made for; ok is false for a connection of no enrolment.
// Stores keep it beside the connection, in the same transaction, so that progress can be read without its connections.
func MemberOf(c Connection) (m Member, ok bool) {
	s := c.s
	m = Member{
		EnrolmentID: s.EnrolmentID, AccountID: s.enrolledAccount(), ConnectionID: s.ID, Own: s.ID, State: memberState(s.Status),
		Reason: s.StatusReason, StackID: s.Stack.ID, UpdatedAt: s.UpdatedAt,
	}
	switch {
	case s.LinkedTo != "":
		m.ConnectionID, m.State, m.Reason = s.LinkedTo, MemberLinked, Reason{}
	case s.Status == StatusDisconnected && s.LastRun.Run != 0 && !s.LastRun.Passed:
		m.State, m.Reason, m.RolledBack = MemberFailed, s.LastRun.Reason, true
	}
	return m, s.EnrolmentID != ""
}

func memberState(s Status) MemberState {
	switch s {
	case StatusPending, StatusVerifying:
		return MemberConnecting
	case StatusEnabled:
		return MemberEnabled
	case StatusDegraded:
		return MemberDegraded
	case StatusFailed:
		return MemberFailed
	case StatusDisconnected, StatusExpired:
		return MemberDisconnected
	case StatusDeleted:
	}
	return MemberDeleted
}

// EnrolmentTokens makes and proves enrolment tokens: MACs over an enrolment's id. Nothing of them is stored, and they are
// used by every account of the organization; what ends one is the enrolment's status.
type EnrolmentTokens interface {
	EnrolmentToken(ctx context.Context, id EnrolmentID) (Secret, error)
	// ProveEnrolment refuses a token that is not the enrolment's with an [Error] of CodeTokenInvalid.
	ProveEnrolment(ctx context.Context, id EnrolmentID, token Secret) error
}

// linkEventID names the event of a stack's link, or of its end, so that it is told once.
func linkEventID(kind EventType, id EnrolmentID, stack StackID) string {
	h := sha256.Sum256([]byte(string(kind) + "\n" + string(id) + "\n" + stack.String()))
	return "evt_" + hex.EncodeToString(h[:16])
}
