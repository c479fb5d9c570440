package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// An EnrolmentStore keeps enrolments and shows how far they have come.
type EnrolmentStore interface {
	// Enrolment reads consistently; ErrEnrolmentNotFound where there is none.
	Enrolment(ctx context.Context, id EnrolmentID) (Enrolment, error)
	// CommitEnrolment writes a change whole or not at all: ErrConflict, [AlreadyDone] with the enrolment's id.
	CommitEnrolment(ctx context.Context, ch EnrolmentChange) error
	// Enrolments lists a tenant's, newest first.
	Enrolments(ctx context.Context, tenant TenantID, q EventQuery) (Page[Enrolment], error)
	// EnrolmentMembers lists an enrolment's accounts, by account.
	EnrolmentMembers(ctx context.Context, id EnrolmentID, q EventQuery) (Page[Member], error)
}

// Enrolments is what a tenant can do with its organizations' enrolments.
type Enrolments struct {
	Store      EnrolmentStore
	Replays    Replays
	Deployment Deployment
	Clock      func() time.Time
	Random     io.Reader
}

// An EnrolRequest asks for an enrolment; empty members take defaults.
type EnrolRequest struct {
	Tenant         TenantID
	By             Actor
	Filter         ResourceFilter // of the caller: only one that admits the whole tenant enrols
	OrganizationID string
	Units          []string
	Permissions    string // the first set on offer by default
	DefaultRegion  string // Rolecall's own by default
	NameRule       string // the account's number by default
	Idempotency    *Idempotency
}

// Create makes an active enrolment.
func (u Enrolments) Create(ctx context.Context, r EnrolRequest) (Enrolment, error) {
	if err := r.Filter.admitTenant(); err != nil {
		return Enrolment{}, err
	}
	s, err := u.validate(r)
	if err != nil {
		return Enrolment{}, err
	}
	if err := u.room(ctx, r.Tenant); err != nil {
		return u.replayed(ctx, r, err)
	}
	now := u.Clock()
	id, err := NewEnrolmentID(now, u.Random)
	if err != nil {
		return Enrolment{}, err
	}
	ch := enrol(s, id, now)
	ch.idem = r.Idempotency
	err = u.Store.CommitEnrolment(ctx, ch)
	var done *AlreadyDone
	if errors.As(err, &done) {
		return u.Store.Enrolment(ctx, EnrolmentID(done.ID))
	}
	return ch.Enrolment(), err
}

// replayed answers a request that is refused now, but may be a repetition of one that was not.
func (u Enrolments) replayed(ctx context.Context, r EnrolRequest, refusal error) (Enrolment, error) {
	if r.Idempotency == nil {
		return Enrolment{}, refusal
	}
	err := u.Replays.Replay(ctx, r.Tenant, *r.Idempotency)
	var done *AlreadyDone
	switch {
	case errors.As(err, &done):
		return u.Store.Enrolment(ctx, EnrolmentID(done.ID))
	case err != nil:
		return Enrolment{}, err
	}
	return Enrolment{}, refusal
}

func (u Enrolments) validate(r EnrolRequest) (EnrolmentSnapshot, error) {
	d := u.Deployment
	s := EnrolmentSnapshot{TenantID: r.Tenant, CreatedBy: r.By, NameRule: defaultNameRule}
	if d.OrganizationTemplate.URL == "" {
		return s, &Error{
			Kind: KindInvalid, Code: CodeEnrolmentUnsupported, Message: "organizations cannot be enrolled in partition " + string(d.Platform.Partition),
			Fix: "Connect each account by a connection of its own.",
		}
	}
	// An account's connection is to be one that could be asked for by itself.
	n, err := Connections{Deployment: d}.validate(CreateRequest{Name: "account", DefaultRegion: r.DefaultRegion, Permissions: r.Permissions})
	if err != nil {
		return s, err
	}
	s.Partition, s.DefaultRegion, s.Permissions = n.Partition, n.DefaultRegion, n.Permissions
	if s.OrganizationID, err = ParseOrganizationID(r.OrganizationID); err != nil {
		return s, err
	}
	if s.Units, err = parseUnits(r.Units); err != nil {
		return s, err
	}
	if r.NameRule != "" {
		s.NameRule, err = ParseNameRule(r.NameRule)
	}
	return s, err
}

func parseUnits(in []string) ([]UnitID, error) {
	if len(in) == 0 || len(in) > maxUnits {
		return nil, unitsError(fmt.Sprintf("these are %d roots and organizational units, not 1 to %d", len(in), maxUnits))
	}
	out := make([]UnitID, 0, len(in))
	for _, id := range in {
		u, err := ParseUnitID(id)
		if err != nil {
			return nil, err
		}
		if slices.Contains(out, u) {
			return nil, unitsError("an organizational unit is named twice")
		}
		out = append(out, u)
	}
	return out, nil
}

// room refuses a tenant that has as many active enrolments as it may. It reads what may be a moment old: the limit keeps
// anybody from filling the table, and need not be exact for that.
func (u Enrolments) room(ctx context.Context, tenant TenantID) error {
	active, q := 0, EventQuery{Limit: 100}
	for {
		page, err := u.Store.Enrolments(ctx, tenant, q)
		if err != nil {
			return err
		}
		for _, e := range page.Items {
			if e.s.Status == EnrolmentActive {
				active++
			}
		}
		if active >= MaxEnrolments {
			return &Error{
				Kind: KindConflict, Code: CodeEnrolmentLimit, Message: fmt.Sprintf("there are %d active enrolments already", active),
				Fix: "Revoke one that is no longer needed; the accounts that it connected stay.",
			}
		}
		if page.Next == "" {
			return nil
		}
		q.Cursor = page.Next
	}
}

// enrolmentReader is the least that finding a tenant's enrolment takes.
type enrolmentReader interface {
	Enrolment(ctx context.Context, id EnrolmentID) (Enrolment, error)
}

// ownedEnrolment reads an enrolment of the tenant; see owned.
func ownedEnrolment(ctx context.Context, store enrolmentReader, tenant TenantID, id string) (Enrolment, error) {
	parsed, err := ParseEnrolmentID(id)
	if err != nil {
		return Enrolment{}, err
	}
	e, err := store.Enrolment(ctx, parsed)
	if err != nil {
		return Enrolment{}, err
	}
	if e.s.TenantID != tenant {
		return Enrolment{}, ErrEnrolmentNotFound
	}
	return e, nil
}

// admittedEnrolment reads an enrolment that is to be changed; see admitted.
func admittedEnrolment(ctx context.Context, store enrolmentReader, t Target) (Enrolment, error) {
	e, err := ownedEnrolment(ctx, store, t.Tenant, t.ID)
	if err == nil {
		err = t.Filter.admitTenant()
	}
	if err != nil {
		return Enrolment{}, err
	}
	return e, nil
}

// Progress counts an enrolment's accounts by how far they have come.
type Progress map[MemberState]int

// memberPage is how many accounts are read at a time where they are only counted.
const memberPage = 1000

// Get reads one of the tenant's enrolments and how far it has come.
func (u Enrolments) Get(ctx context.Context, tenant TenantID, id string) (Enrolment, Progress, error) {
	e, err := ownedEnrolment(ctx, u.Store, tenant, id)
	if err != nil {
		return Enrolment{}, nil, err
	}
	counts, q := Progress{}, EventQuery{Limit: memberPage}
	for {
		page, err := u.Store.EnrolmentMembers(ctx, e.s.ID, q)
		if err != nil {
			return Enrolment{}, nil, err
		}
		for _, m := range page.Items {
			counts[m.State]++
		}
		if page.Next == "" {
			return e, counts, nil
		}
		q.Cursor = page.Next
	}
}

// List reads a page of the tenant's enrolments.
func (u Enrolments) List(ctx context.Context, tenant TenantID, q EventQuery) (Page[Enrolment], error) {
	return u.Store.Enrolments(ctx, tenant, q)
}

// Accounts reads a page of an enrolment's accounts.
func (u Enrolments) Accounts(ctx context.Context, tenant TenantID, id string, q EventQuery) (Page[Member], error) {
	e, err := ownedEnrolment(ctx, u.Store, tenant, id)
	if err != nil {
		return Page[Member]{}, err
	}
	return u.Store.EnrolmentMembers(ctx, e.s.ID, q)
}

// Revoke ends an enrolment. Revoking a revoked one changes nothing.
func (u Enrolments) Revoke(ctx context.Context, t Target) error {
	var err error
	for range attempts {
		e, readErr := admittedEnrolment(ctx, u.Store, t)
		if readErr != nil || e.s.Status == EnrolmentRevoked {
			return readErr
		}
		if err = u.Store.CommitEnrolment(ctx, e.Revoke(t.By, u.Clock())); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return err
}

// A PublishedTemplate is a template of ours as customers fetch it.
type PublishedTemplate struct {
	URL     string // "" where it is not on offer
	Version string
	SHA256  string // lower-case hex
}

// An EnrolmentLink is all that a customer needs in order to enrol an organization.
type EnrolmentLink struct {
	QuickCreateURL string
	TemplateURL    string
	StackName      string
	Region         Region
	Parameters     map[string]string
	CLI            string
}

// EnrolmentLink is the link of an enrolment that is active; nil for one that is revoked, or where tokens is nil because the
// reader may not see a link.
func (d Deployment) EnrolmentLink(ctx context.Context, tokens EnrolmentTokens, e Enrolment) (*EnrolmentLink, error) {
	if e.s.Status != EnrolmentActive || tokens == nil {
		return nil, nil
	}
	token, err := tokens.EnrolmentToken(ctx, e.s.ID)
	if err != nil {
		return nil, fmt.Errorf("enrolment token: %w", err)
	}
	units := make([]string, 0, len(e.s.Units))
	for _, u := range e.s.Units {
		units = append(units, string(u))
	}
	l := &LaunchLink{
		TemplateURL: d.OrganizationTemplate.URL, StackName: stackSetName(e.s.ID), Region: d.enrolmentRegion(e),
		Parameters: map[string]string{
			"EnrolmentId": string(e.s.ID), "ExternalIdPrefix": e.s.Prefix, "EnrolmentToken": token.Reveal(),
			"PermissionSet": string(e.s.Permissions), "OrganizationalUnitIds": strings.Join(units, ","),
		},
	}
	return &EnrolmentLink{
		QuickCreateURL: d.quickCreate(l), TemplateURL: l.TemplateURL, StackName: l.StackName, Region: l.Region,
		Parameters: l.Parameters, CLI: createStackCommand(l),
	}, nil
}

func (d Deployment) enrolmentRegion(e Enrolment) Region {
	return d.launchRegion(Connection{Snapshot{DefaultRegion: e.s.DefaultRegion}})
}

// stackSetName names the organization's stack and its stack set, as the template does.
func stackSetName(id EnrolmentID) string {
	return "rolecall-" + strings.ReplaceAll(string(id), "_", "-")
}

// createStackCommand is the stack as one command of the AWS CLI. Commas within a value are written as the CLI's shorthand
// wants them.
func createStackCommand(l *LaunchLink) string {
	lines := []string{
		"aws cloudformation create-stack", "--region " + string(l.Region), "--stack-name " + l.StackName,
		"--template-url " + shellQuoted(l.TemplateURL), "--capabilities CAPABILITY_IAM", "--parameters",
	}
	for _, name := range sortedNames(l.Parameters) {
		value := strings.ReplaceAll(l.Parameters[name], ",", `\,`)
		lines = append(lines, "  "+shellQuoted("ParameterKey="+name+",ParameterValue="+value))
	}
	return strings.Join(lines, " \\\n  ")
}

func sortedNames(parameters map[string]string) []string {
	names := make([]string, 0, len(parameters))
	for n := range parameters {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// shellQuoted is s for a shell, where nothing in it means anything.
func shellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// Retries begins the failed accounts of enrolments again.
type Retries struct {
	Store interface {
		enrolmentReader
		EnrolmentMembers(ctx context.Context, id EnrolmentID, q EventQuery) (Page[Member], error)
		Connection(ctx context.Context, id ConnectionID) (Connection, error)
		Commit(ctx context.Context, ch Change) error
	}
	Jobs       Jobs
	Deployment Deployment
	Clock      func() time.Time
	Limit      *Ration // of verifications; nil for none
}

// mostRetried bounds what one request begins; the next one goes on.
const mostRetried = 200

// A Retried is what became of an enrolment's failures.
type Retried struct {
	Verifying []AccountID // their roles are there: each is on trial again
	Redeploy  []AccountID // their stacks rolled back: only the customer can deploy them again
	Command   string      // which does that for those accounts alone; "" where there are none
	More      bool        // there are further failures: ask again
}

// Retry begins anew the verification of each account that failed, and of no other. Where the stack has rolled back, as
// CloudFormation does with one that failed, there is no role any more: the answer says how to deploy those again.
func (u Retries) Retry(ctx context.Context, t Target) (Retried, error) {
	e, err := admittedEnrolment(ctx, u.Store, t)
	if err != nil {
		return Retried{}, err
	}
	var out Retried
	q := EventQuery{Limit: memberPage}
	for {
		page, err := u.Store.EnrolmentMembers(ctx, e.s.ID, q)
		if err != nil {
			return out, err
		}
		for _, m := range page.Items {
			if err := u.again(ctx, m, t.By, &out); err != nil {
				return out, err
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" || out.More {
			break
		}
	}
	out.Command = u.Deployment.redeployCommand(e, out.Redeploy)
	return out, nil
}

func (u Retries) again(ctx context.Context, m Member, by Actor, out *Retried) error {
	switch {
	case out.More || m.State != MemberFailed || m.Reason.Code == CodeOrganizationMismatch || m.Own == "":
		return nil // who does not belong there fails again, and so does who was turned away
	case len(out.Verifying)+len(out.Redeploy) == mostRetried:
		out.More = true
		return nil
	case m.RolledBack:
		out.Redeploy = append(out.Redeploy, m.AccountID)
		return nil
	}
	c, err := u.Store.Connection(ctx, m.ConnectionID)
	if err != nil {
		return err
	}
	ch, err := c.Retry(u.Clock(), by)
	if err != nil {
		return nil //nolint:nilerr // it has failed no more since the list was read
	}
	if err := u.Limit.Admit(ctx, c.s.TenantID); err != nil && len(out.Verifying)+len(out.Redeploy) > 0 {
		out.More = true // what was begun is told; the next request hears when to go on
		return nil
	} else if err != nil {
		return err
	}
	if err := u.Store.Commit(ctx, ch); errors.Is(err, ErrConflict) {
		return nil // somebody else is seeing to it
	} else if err != nil {
		return err
	}
	out.Verifying = append(out.Verifying, m.AccountID)
	return u.Jobs.Verify(ctx, VerifyJob{ConnectionID: m.ConnectionID, Run: ch.after.Verification.Run}, 0)
}

// redeployCommand deploys the stack set's stacks again in some accounts: an update that changes nothing leaves all others
// alone, and is AWS's own advice for stacks that failed.
func (d Deployment) redeployCommand(e Enrolment, accounts []AccountID) string {
	if len(accounts) == 0 {
		return ""
	}
	units, ids := make([]string, 0, len(e.s.Units)), make([]string, 0, len(accounts))
	for _, u := range e.s.Units {
		units = append(units, string(u))
	}
	for _, a := range accounts {
		ids = append(ids, string(a))
	}
	region := string(d.enrolmentRegion(e))
	lines := []string{
		"aws cloudformation update-stack-set", "--region " + region, "--stack-set-name " + stackSetName(e.s.ID),
		"--use-previous-template", "--capabilities CAPABILITY_IAM", "--regions " + region,
		"--deployment-targets 'OrganizationalUnitIds=" + strings.Join(units, ",") + ",Accounts=" + strings.Join(ids, ",") + ",AccountFilterType=INTERSECTION'",
		"--operation-preferences FailureTolerancePercentage=100,MaxConcurrentPercentage=20", "--parameters",
	}
	for _, name := range []string{"EnrolmentId", "ExternalIdPrefix", "EnrolmentToken", "PermissionSet"} {
		lines = append(lines, "  ParameterKey="+name+",UsePreviousValue=true")
	}
	return strings.Join(lines, " \\\n  ")
}
