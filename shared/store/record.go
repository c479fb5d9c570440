package store

import (
	"encoding/json"
	"fmt"
	"time"

	"rolecall/shared/connect"
)

// The records as the table keeps them. They are types of their own, so that the domain can change its mind without
// rewriting what is stored.

type reasonRecord struct {
	Code    string `dynamodbav:"code"`
	Message string `dynamodbav:"message"`
	Fix     string `dynamodbav:"fix,omitempty"`
}

type checkRecord struct {
	Name    string        `dynamodbav:"name"`
	Verdict string        `dynamodbav:"verdict"`
	Reason  *reasonRecord `dynamodbav:"reason,omitempty"`
	At      string        `dynamodbav:"at"`
}

type launchRecord struct {
	Number    int    `dynamodbav:"number"`
	ExpiresAt string `dynamodbav:"expiresAt"`
}

type trialRecord struct {
	Run     int64  `dynamodbav:"run"`
	RoleARN string `dynamodbav:"roleArn"`
	// Permissions is absent in records of before 1.2.0.
	Permissions  string `dynamodbav:"permissions,omitempty"`
	PolicyDigest string `dynamodbav:"policyDigest,omitempty"`
	StartedAt    string `dynamodbav:"startedAt"`
	Attempt      int    `dynamodbav:"attempt"`
	NextTryAt    string `dynamodbav:"nextTryAt"`
	Deadline     string `dynamodbav:"deadline"`
	FromStack    bool   `dynamodbav:"fromStack,omitempty"`
}

type runRecord struct {
	Run     int64         `dynamodbav:"run"`
	RoleARN string        `dynamodbav:"roleArn"`
	Passed  bool          `dynamodbav:"passed"`
	Reason  *reasonRecord `dynamodbav:"reason,omitempty"`
}

type accessKeyRecord struct {
	ID        string `dynamodbav:"id"`
	Sealed    string `dynamodbav:"sealed"` // ciphertext that opens for this tenant and connection alone
	SetAt     string `dynamodbav:"setAt"`
	ExpiresAt string `dynamodbav:"expiresAt,omitempty"`
	OldAt     string `dynamodbav:"oldAt,omitempty"`
	EndingAt  string `dynamodbav:"endingAt,omitempty"`
}

type offboardingRecord struct {
	RoleARN string `dynamodbav:"roleArn"`
	Attempt int    `dynamodbav:"attempt"`
	NextAt  string `dynamodbav:"nextAt,omitempty"`
}

type scopeRecord struct {
	Level string `dynamodbav:"level"`
	ID    string `dynamodbav:"id,omitempty"`
}

type revocationRecord struct {
	At      string `dynamodbav:"at"`
	RoleARN string `dynamodbav:"roleArn"`
	Cutoff  string `dynamodbav:"cutoff,omitempty"`
	LiftAt  string `dynamodbav:"liftAt,omitempty"`
	Policy  string `dynamodbav:"policy,omitempty"` // its name; "" of earlier versions
	Former  string `dynamodbav:"formerCutoff,omitempty"`
	Undone  bool   `dynamodbav:"undone,omitempty"`
}

type connectionRecord struct {
	key
	TenantPK string `dynamodbav:"tenantPK"`
	TenantSK string `dynamodbav:"tenantSK"`
	SlotPK   string `dynamodbav:"slotPK,omitempty"`
	SlotSK   string `dynamodbav:"slotSK,omitempty"`
	DuePK    string `dynamodbav:"duePK,omitempty"`
	DueSK    string `dynamodbav:"dueSK,omitempty"`

	ID              string             `dynamodbav:"id"`
	TenantID        string             `dynamodbav:"tenantId"`
	Name            string             `dynamodbav:"name"`
	NameFolded      string             `dynamodbav:"nameFolded"`
	Method          string             `dynamodbav:"method"`
	Status          string             `dynamodbav:"status"`
	StatusReason    *reasonRecord      `dynamodbav:"statusReason,omitempty"`
	AccountID       string             `dynamodbav:"accountId,omitempty"`
	ExpectedAccount string             `dynamodbav:"expectedAccountId,omitempty"`
	Partition       string             `dynamodbav:"partition"`
	DefaultRegion   string             `dynamodbav:"defaultRegion"`
	ExternalID      string             `dynamodbav:"externalId"`
	RoleARN         string             `dynamodbav:"roleArn,omitempty"`
	SessionTags     bool               `dynamodbav:"sessionTags"`
	Permissions     string             `dynamodbav:"permissions"`
	StackID         string             `dynamodbav:"stackId,omitempty"`
	StackLaunch     int                `dynamodbav:"stackLaunch,omitempty"`
	StackStartID    string             `dynamodbav:"stackStartId,omitempty"`
	StackReportID   string             `dynamodbav:"stackReportId,omitempty"`
	StackRoleARN    string             `dynamodbav:"stackRoleArn,omitempty"`
	StackRoleBefore string             `dynamodbav:"stackPreviousRoleArn,omitempty"`
	TemplateVersion string             `dynamodbav:"templateVersion,omitempty"`
	Requested       string             `dynamodbav:"requestedPermissions,omitempty"`
	BoundaryARN     string             `dynamodbav:"permissionsBoundaryArn,omitempty"`
	PolicyDigest    string             `dynamodbav:"policyDigest,omitempty"`
	Scopes          []scopeRecord      `dynamodbav:"scopes,omitempty"`
	Launches        []launchRecord     `dynamodbav:"launches,omitempty"`
	LastLaunch      int                `dynamodbav:"lastLaunch"`
	UsedLaunch      int                `dynamodbav:"usedLaunch"`
	Checks          []checkRecord      `dynamodbav:"checks,omitempty"`
	Regions         []string           `dynamodbav:"regions,omitempty"`
	Verification    *trialRecord       `dynamodbav:"verification,omitempty"`
	LastRun         *runRecord         `dynamodbav:"lastRun,omitempty"`
	AccessKey       *accessKeyRecord   `dynamodbav:"accessKey,omitempty"`
	Offboarding     *offboardingRecord `dynamodbav:"offboarding,omitempty"`
	Revocation      *revocationRecord  `dynamodbav:"revocation,omitempty"`
	Strikes         int                `dynamodbav:"strikes"`
	LastStrikeAt    string             `dynamodbav:"lastStrikeAt,omitempty"`

	CreatedAt          string `dynamodbav:"createdAt"`
	CreatedBy          string `dynamodbav:"createdBy"`
	UpdatedAt          string `dynamodbav:"updatedAt"`
	EnabledAt          string `dynamodbav:"enabledAt,omitempty"`
	LastVerifiedAt     string `dynamodbav:"lastVerifiedAt,omitempty"`
	NextVerificationAt string `dynamodbav:"nextVerificationAt,omitempty"`
	Version            int64  `dynamodbav:"version"`

	EnrolmentID    string `dynamodbav:"enrolmentId,omitempty"`
	OrganizationID string `dynamodbav:"organizationId,omitempty"`
	LinkedTo       string `dynamodbav:"linkedTo,omitempty"`
}

type eventRecord struct {
	key
	ID           string `dynamodbav:"id"`
	ConnectionID string `dynamodbav:"connectionId,omitempty"`
	EnrolmentID  string `dynamodbav:"enrolmentId,omitempty"`
	TenantID     string `dynamodbav:"tenantId"`
	Sequence     int64  `dynamodbav:"sequence"`
	Type         string `dynamodbav:"type"`
	At           string `dynamodbav:"at"`
	Actor        string `dynamodbav:"actor"`
	Data         string `dynamodbav:"data"` // JSON, so that numbers and nesting survive the stream as they are
}

type seenRecord struct {
	RequestID string `dynamodbav:"requestId"`
	SignedAt  string `dynamodbav:"signedAt,omitempty"` // absent in records of before 1.4.0
	SentAt    string `dynamodbav:"sentAt"`
}

type fenceRecord struct {
	key
	StackID   string                `dynamodbav:"stackId"`
	Proven    bool                  `dynamodbav:"proven,omitempty"` // absent in records of before 1.4.0
	Deleted   bool                  `dynamodbav:"deleted"`
	Seen      map[string]seenRecord `dynamodbav:"seen"`
	ExpiresAt int64                 `dynamodbav:"expiresAt,omitempty"` // seconds since 1970: the table's TTL attribute
}

// An ownerRecord reserves a name, a role or a scope for one connection.
type ownerRecord struct {
	key
	ConnectionID string `dynamodbav:"connectionId"`
}

type idempotencyRecord struct {
	key
	ConnectionID string `dynamodbav:"connectionId"`
	Request      string `dynamodbav:"request"`
	ExpiresAt    int64  `dynamodbav:"expiresAt"` // seconds since 1970: the table's TTL attribute
}

type checkedRecord struct {
	key
	At string `dynamodbav:"at"`
}

type cursorRecord struct {
	key
	Minute string `dynamodbav:"minute"`
	Move   string `dynamodbav:"move"` // names the write
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// A reading collects the first error of reading a record's many small parts.
type reading struct{ err error }

func (r *reading) time(s string) time.Time {
	if s == "" || r.err != nil {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	r.err = err
	return t
}

func (r *reading) role(s string) connect.RoleARN {
	if s == "" || r.err != nil {
		return connect.RoleARN{}
	}
	a, err := connect.ParseRoleARN(s)
	r.err = err
	return a
}

func (r *reading) stack(s string) connect.StackID {
	if s == "" || r.err != nil {
		return connect.StackID{}
	}
	id, err := connect.ParseStackID(s)
	r.err = err
	return id
}

func reasonOf(r *reasonRecord) connect.Reason {
	if r == nil {
		return connect.Reason{}
	}
	return connect.Reason{Code: connect.Code(r.Code), Message: r.Message, Fix: r.Fix}
}

func toReason(r connect.Reason) *reasonRecord {
	if r == (connect.Reason{}) {
		return nil
	}
	return &reasonRecord{Code: string(r.Code), Message: r.Message, Fix: r.Fix}
}

func toConnection(c connect.Connection) connectionRecord {
	s := c.Snapshot()
	r := connectionRecord{
		key: metaKey(s.ID), TenantPK: tenantPK(s.TenantID), TenantSK: string(s.ID),
		ID: string(s.ID), TenantID: string(s.TenantID), Name: string(s.Name), NameFolded: s.Name.Folded(), Method: s.Method,
		Status: string(s.Status), StatusReason: toReason(s.StatusReason), AccountID: string(s.AccountID), ExpectedAccount: string(s.ExpectedAccountID),
		Partition: string(s.Partition), DefaultRegion: string(s.DefaultRegion), ExternalID: string(s.ExternalID),
		RoleARN: s.RoleARN.String(), SessionTags: s.SessionTags, Permissions: string(s.Permissions),
		Requested: string(s.Requested), PolicyDigest: s.PolicyDigest,
		StackID: s.Stack.ID.String(), StackLaunch: s.Stack.Launch, StackStartID: s.Stack.StartID, StackReportID: s.Stack.ReportID,
		StackRoleARN: s.Stack.RoleARN.String(), StackRoleBefore: s.Stack.PreviousRoleARN.String(),
		TemplateVersion: s.Stack.TemplateVersion, BoundaryARN: s.Stack.PermissionsBoundaryARN,
		LastLaunch: s.LastLaunch, UsedLaunch: s.UsedLaunch, Strikes: s.Strikes, LastStrikeAt: timeText(s.LastStrikeAt),
		EnrolmentID: string(s.EnrolmentID), OrganizationID: string(s.OrganizationID), LinkedTo: string(s.LinkedTo),
		CreatedAt: timeText(s.CreatedAt), CreatedBy: string(s.CreatedBy), UpdatedAt: timeText(s.UpdatedAt),
		EnabledAt: timeText(s.EnabledAt), LastVerifiedAt: timeText(s.LastVerifiedAt),
		NextVerificationAt: timeText(s.NextVerificationAt), Version: s.Version,
	}
	r.index(c)
	for _, k := range s.Scopes {
		r.Scopes = append(r.Scopes, scopeRecord{Level: string(k.Level), ID: k.ID})
	}
	for _, l := range s.Launches {
		r.Launches = append(r.Launches, launchRecord{Number: l.Number, ExpiresAt: timeText(l.ExpiresAt)})
	}
	for _, k := range s.Checks {
		r.Checks = append(r.Checks, checkRecord{
			Name: string(k.Name), Verdict: string(k.Verdict), Reason: toReason(k.Reason), At: timeText(k.At),
		})
	}
	for _, g := range s.Regions {
		r.Regions = append(r.Regions, string(g))
	}
	if v := s.Verification; v != nil {
		r.Verification = &trialRecord{
			Run: v.Run, RoleARN: v.RoleARN.String(), Permissions: string(v.Permissions), PolicyDigest: v.PolicyDigest, StartedAt: timeText(v.StartedAt), Attempt: v.Attempt,
			NextTryAt: timeText(v.NextTryAt), Deadline: timeText(v.Deadline), FromStack: v.FromStack,
		}
	}
	if k := s.AccessKey; k != nil {
		r.AccessKey = &accessKeyRecord{
			ID: k.ID, Sealed: string(k.Sealed), SetAt: timeText(k.SetAt), ExpiresAt: timeText(k.ExpiresAt), OldAt: timeText(k.OldAt), EndingAt: timeText(k.EndingAt),
		}
	}
	if o := s.Offboarding; o != nil {
		r.Offboarding = &offboardingRecord{RoleARN: o.RoleARN.String(), Attempt: o.Attempt, NextAt: timeText(o.NextAt)}
	}
	if v := s.Revocation; v != nil {
		r.Revocation = &revocationRecord{
			At: timeText(v.At), RoleARN: v.RoleARN.String(), Cutoff: timeText(v.Cutoff), LiftAt: timeText(v.LiftAt),
			Policy: connect.RevocationPolicy, Former: timeText(v.Former), Undone: v.Undone,
		}
	}
	if l := s.LastRun; l.Run != 0 {
		r.LastRun = &runRecord{Run: l.Run, RoleARN: l.RoleARN.String(), Passed: l.Passed, Reason: toReason(l.Reason)}
	}
	return r
}

// index puts the connection into the sparse indexes that its state belongs to.
func (r *connectionRecord) index(c connect.Connection) {
	s := c.Snapshot()
	if s.Status == connect.StatusEnabled || s.Status == connect.StatusDegraded { // should it be missed when it is due
		r.SlotPK, r.SlotSK = slotPK(connect.Slot(s.ID)), string(s.ID)
	}
	if due := c.DueAt(); !due.IsZero() {
		r.DuePK, r.DueSK = duePK(dueMinute(due, s.UpdatedAt)), string(s.ID)
	}
}

// dueMinute is the first minute that has not begun before the connection is due, and that no sweep can have passed.
func dueMinute(due, written time.Time) time.Time {
	if least := written.Add(time.Minute); due.Before(least) {
		due = least
	}
	return due.Add(time.Minute - time.Nanosecond).Truncate(time.Minute)
}

func (r connectionRecord) connection() (connect.Connection, error) {
	var p reading
	s := connect.Snapshot{
		ID: connect.ConnectionID(r.ID), TenantID: connect.TenantID(r.TenantID), Name: connect.Name(r.Name), Method: r.Method,
		Status: connect.Status(r.Status), StatusReason: reasonOf(r.StatusReason), AccountID: connect.AccountID(r.AccountID), ExpectedAccountID: connect.AccountID(r.ExpectedAccount),
		Partition: connect.Partition(r.Partition), DefaultRegion: connect.Region(r.DefaultRegion),
		ExternalID: connect.ExternalID(r.ExternalID), RoleARN: p.role(r.RoleARN), SessionTags: r.SessionTags,
		Permissions: connect.Permissions(r.Permissions), Requested: connect.Permissions(r.Requested), PolicyDigest: r.PolicyDigest,
		Stack: connect.Stack{
			ID: p.stack(r.StackID), Launch: r.StackLaunch, StartID: r.StackStartID, ReportID: r.StackReportID,
			RoleARN: p.role(r.StackRoleARN), PreviousRoleARN: p.role(r.StackRoleBefore),
			TemplateVersion: r.TemplateVersion, PermissionsBoundaryARN: r.BoundaryARN,
		},
		LastLaunch: r.LastLaunch, UsedLaunch: r.UsedLaunch, Strikes: r.Strikes, LastStrikeAt: p.time(r.LastStrikeAt),
		EnrolmentID: connect.EnrolmentID(r.EnrolmentID), OrganizationID: connect.OrganizationID(r.OrganizationID),
		LinkedTo:  connect.ConnectionID(r.LinkedTo),
		CreatedAt: p.time(r.CreatedAt), CreatedBy: connect.Actor(r.CreatedBy), UpdatedAt: p.time(r.UpdatedAt),
		EnabledAt: p.time(r.EnabledAt), LastVerifiedAt: p.time(r.LastVerifiedAt),
		NextVerificationAt: p.time(r.NextVerificationAt), Version: r.Version,
	}
	for _, k := range r.Scopes {
		s.Scopes = append(s.Scopes, connect.Scope{Level: connect.ScopeLevel(k.Level), ID: k.ID})
	}
	for _, l := range r.Launches {
		s.Launches = append(s.Launches, connect.Launch{Number: l.Number, ExpiresAt: p.time(l.ExpiresAt)})
	}
	for _, k := range r.Checks {
		s.Checks = append(s.Checks, connect.Check{
			Name: connect.CheckName(k.Name), Verdict: connect.Verdict(k.Verdict), Reason: reasonOf(k.Reason), At: p.time(k.At),
		})
	}
	for _, g := range r.Regions {
		s.Regions = append(s.Regions, connect.Region(g))
	}
	if v := r.Verification; v != nil {
		s.Verification = &connect.Verification{
			Run: v.Run, RoleARN: p.role(v.RoleARN), Permissions: connect.Permissions(v.Permissions), PolicyDigest: v.PolicyDigest, StartedAt: p.time(v.StartedAt), Attempt: v.Attempt,
			NextTryAt: p.time(v.NextTryAt), Deadline: p.time(v.Deadline), FromStack: v.FromStack,
		}
	}
	if k := r.AccessKey; k != nil {
		s.AccessKey = &connect.AccessKey{
			ID: k.ID, Sealed: connect.Sealed(k.Sealed), SetAt: p.time(k.SetAt), ExpiresAt: p.time(k.ExpiresAt), OldAt: p.time(k.OldAt), EndingAt: p.time(k.EndingAt),
		}
	}
	if o := r.Offboarding; o != nil {
		s.Offboarding = &connect.Offboarding{RoleARN: p.role(o.RoleARN), Attempt: o.Attempt, NextAt: p.time(o.NextAt)}
	}
	if v := r.Revocation; v != nil {
		s.Revocation = &connect.Revocation{
			At: p.time(v.At), RoleARN: p.role(v.RoleARN), Cutoff: p.time(v.Cutoff), LiftAt: p.time(v.LiftAt),
			Former: p.time(v.Former), Undone: v.Undone,
		}
		if v.Policy == "" { // written by a version whose policy had the name of IAM's own
			s.Revocation.Former = s.Revocation.Cutoff
		}
	}
	if l := r.LastRun; l != nil {
		s.LastRun = connect.RunResult{Run: l.Run, RoleARN: p.role(l.RoleARN), Passed: l.Passed, Reason: reasonOf(l.Reason)}
	}
	if p.err != nil {
		return connect.Connection{}, fmt.Errorf("connection %s: %w", r.ID, p.err)
	}
	return connect.Restore(s)
}

func toEvent(e connect.Event, note bool) (eventRecord, error) {
	data, err := json.Marshal(e.Data)
	if err != nil {
		return eventRecord{}, fmt.Errorf("event %s: %w", e.ID, err)
	}
	return eventRecord{
		key: eventKey(e, note), ID: e.ID, ConnectionID: string(e.ConnectionID), EnrolmentID: string(e.EnrolmentID), TenantID: string(e.TenantID),
		Sequence: e.Sequence, Type: string(e.Type), At: timeText(e.At), Actor: string(e.Actor), Data: string(data),
	}, nil
}

func (r eventRecord) event() (connect.Event, error) {
	var p reading
	e := connect.Event{
		ID: r.ID, ConnectionID: connect.ConnectionID(r.ConnectionID), EnrolmentID: connect.EnrolmentID(r.EnrolmentID), TenantID: connect.TenantID(r.TenantID),
		Sequence: r.Sequence, Type: connect.EventType(r.Type), At: p.time(r.At), Actor: connect.Actor(r.Actor),
	}
	if p.err != nil {
		return e, fmt.Errorf("event %s: %w", r.ID, p.err)
	}
	if err := json.Unmarshal([]byte(r.Data), &e.Data); err != nil {
		return e, fmt.Errorf("event %s: %w", r.ID, err)
	}
	return e, nil
}

func toFence(id connect.ConnectionID, f connect.Fence) fenceRecord {
	r := fenceRecord{
		key: fenceKey(id, f.StackID), StackID: f.StackID.String(), Proven: f.Proven, Deleted: f.Deleted, Seen: map[string]seenRecord{},
	}
	for name, s := range f.Seen {
		r.Seen[name] = seenRecord{RequestID: s.RequestID, SignedAt: timeText(s.SignedAt), SentAt: timeText(s.SentAt)}
	}
	return r
}

func (r fenceRecord) fence() (connect.Fence, error) {
	var p reading
	f := connect.Fence{StackID: p.stack(r.StackID), Proven: r.Proven, Deleted: r.Deleted, Seen: map[string]connect.Seen{}}
	for name, s := range r.Seen {
		f.Seen[name] = connect.Seen{RequestID: s.RequestID, SignedAt: p.time(s.SignedAt), SentAt: p.time(s.SentAt)}
	}
	return f, p.err
}
