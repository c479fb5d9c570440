package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// An IntakeStore is what intakes need of a store.
type IntakeStore interface {
	Connection(ctx context.Context, id ConnectionID) (Connection, error)
	Commit(ctx context.Context, ch Change) error
	// Intake is the tenant's newest intake; "" where it never had one.
	Intake(ctx context.Context, tenant TenantID) (ConnectionID, error)
	// RoleHolder is the tenant's connection that has the role, serving or on trial; "" where none has.
	RoleHolder(ctx context.Context, tenant TenantID, role RoleARN) (ConnectionID, error)
}

// Intakes serve clients that know no connections: they read one external ID, have a role made that asks for it, and give
// the role's ARN. Behind that stands an intake: the tenant's one connection that waits for an account, whichever it will
// be. It is used up when a role has passed; the next to ask gets a new one, with an external ID of its own.
type Intakes struct {
	Store         IntakeStore
	Verifications Verifications // for Add alone
	Deployment    Deployment
	Clock         func() time.Time
	Random        io.Reader
}

// intakeName is what an intake is called until its account is known. It has to be a name that nobody wants.
func intakeName(id ConnectionID) Name {
	return Name("AWS Account (awaited " + string(id)[len("conn_"):] + ")")
}

// accountName is the nth name for connections of an account.
func accountName(a AccountID, n int) Name {
	if n == 1 {
		return Name("AWS Account (" + string(a) + ")")
	}
	return Name(fmt.Sprintf("AWS Account (%s) %d", a, n))
}

// maxAccountNames bounds the search for a name: beyond it, an account keeps the name that its intake had.
const maxAccountNames = 100

// An IntakeClaim makes a new connection its tenant's intake, provided that Replaces still is; "" that it has none.
type IntakeClaim struct{ Replaces ConnectionID }

// ClaimsIntake is set where the new connection becomes its tenant's intake; nil where it does not.
func (c Change) ClaimsIntake() *IntakeClaim { return c.intake }

// waits says that the connection, an intake, is still to be used: no role of it has passed.
func (c Connection) waits() bool {
	switch c.s.Status {
	case StatusPending, StatusVerifying, StatusFailed, StatusExpired:
		return true
	case StatusEnabled, StatusDegraded, StatusDisconnected, StatusDeleted:
	}
	return false
}

// Open is the tenant's open intake. It is made on first asking, and made anew once the one before is used up; of several
// who ask at once all get the same one.
func (u Intakes) Open(ctx context.Context, tenant TenantID, by Actor, filter ResourceFilter) (Connection, error) {
	if err := filter.admitTenant(); err != nil {
		return Connection{}, err
	}
	for range attempts {
		c, err := u.open(ctx, tenant, by)
		if !errors.Is(err, ErrConflict) {
			return c, err
		}
	}
	return Connection{}, ErrConflict
}

func (u Intakes) open(ctx context.Context, tenant TenantID, by Actor) (Connection, error) {
	id, err := u.Store.Intake(ctx, tenant)
	if err != nil {
		return Connection{}, err
	}
	if id == "" {
		return u.create(ctx, tenant, "", by)
	}
	c, err := u.Store.Connection(ctx, id)
	switch {
	case err != nil:
		return Connection{}, err
	case !c.waits():
		if err := u.settleName(ctx, c, by); err != nil {
			return Connection{}, err
		}
		return u.create(ctx, tenant, id, by)
	case c.s.Status == StatusExpired: // its external ID may be in somebody's trust policy by now: it goes on
		return u.commit(ctx)(c.Launch(u.Clock(), by))
	}
	return c, nil
}

func (u Intakes) create(ctx context.Context, tenant TenantID, replaces ConnectionID, by Actor) (Connection, error) {
	now := u.Clock()
	id, err := NewConnectionID(now, u.Random)
	if err != nil {
		return Connection{}, err
	}
	ch := Create(NewConnection{
		TenantID: tenant, Name: intakeName(id), Partition: u.Deployment.Platform.Partition,
		DefaultRegion: u.Deployment.Regions[0], Permissions: u.Deployment.Permissions[0].Name, By: by,
	}, id, NewExternalID(), now)
	// Its link asks for what every link asks for. Of a role that comes without it nothing in particular is expected.
	ch.after.Permissions, ch.event.Data["permissions"] = PermissionsCustom, string(PermissionsCustom)
	ch.intake = &IntakeClaim{Replaces: replaces}
	return u.commit(ctx)(ch, nil)
}

func (u Intakes) commit(ctx context.Context) func(Change, error) (Connection, error) {
	return func(ch Change, err error) (Connection, error) {
		if err == nil {
			err = u.Store.Commit(ctx, ch)
		}
		if err != nil {
			return Connection{}, err
		}
		return ch.Connection(), nil
	}
}

// An AddRequest gives a role's ARN on behalf of a tenant.
type AddRequest struct {
	Tenant TenantID
	By     Actor
	Filter ResourceFilter // of the caller
	Role   string
}

// Add connects the role's account, or verifies the connection that has the role already, and waits for the outcome. It is
// nil only if the role has passed all checks that enabling needs, just now. A role that did not within wait is of
// KindDenied, although its verification may go on and end well: then adding it once more succeeds at once.
func (u Intakes) Add(ctx context.Context, r AddRequest, wait time.Duration) (AccountID, error) {
	arn, err := ParseRoleARN(r.Role)
	if err != nil {
		return "", err
	}
	for range attempts {
		var checked Checked
		if checked, err = u.add(ctx, r, arn, wait); err == nil {
			return u.added(ctx, r, arn, checked)
		}
		if !errors.Is(err, &Error{Code: CodeVersion}) && !errors.Is(err, &Error{Code: CodeStatus}) && !errors.Is(err, ErrRoleInUse) {
			return "", err
		} // the intake was changed or used up meanwhile, or somebody else has just brought this role: look again
	}
	return "", ErrConflict
}

func (u Intakes) add(ctx context.Context, r AddRequest, arn RoleARN, wait time.Duration) (Checked, error) {
	t := Target{Tenant: r.Tenant, By: r.By, Filter: r.Filter}
	holder, err := u.Store.RoleHolder(ctx, r.Tenant, arn)
	if err != nil {
		return Checked{}, err
	}
	if t.ID = string(holder); holder == "" {
		intake, err := u.Open(ctx, r.Tenant, r.By, r.Filter)
		if err != nil {
			return Checked{}, err
		}
		// Only as it was read: once another role has passed, this one would replace it.
		t.ID, t.IfMatch = string(intake.s.ID), intake.s.Version
	}
	return u.Verifications.ReportRole(ctx, t, arn.String(), wait)
}

// added judges what became of the role.
func (u Intakes) added(ctx context.Context, r AddRequest, arn RoleARN, checked Checked) (AccountID, error) {
	c, o := checked.Connection, Outcome{Checks: checked.Checks}
	if c.s.Status != StatusEnabled || c.s.RoleARN != arn || !o.Proven() {
		return "", notAdded(o)
	}
	// Where the name cannot be settled now, whoever asks for the intake next does it.
	if err := u.settleName(ctx, c, r.By); err != nil && !errors.Is(err, ErrConflict) && !isTransient(err) {
		return "", err
	}
	return c.s.AccountID, nil
}

func isTransient(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == KindUnavailable
}

// notAdded says why a role was not found good: it, or AWS, which left a check open.
func notAdded(o Outcome) error {
	_, _, denied := o.denial()
	reason := o.blocker()
	switch {
	case reason.Code == "":
		return &Error{Kind: KindDenied, Code: CodeRoleNotAssumable, Message: "another role was brought at the same time", Fix: "Try again."}
	case denied:
		return &Error{Kind: KindDenied, Code: reason.Code, Message: reason.Message, Fix: reason.Fix}
	}
	return &Error{Kind: KindUnavailable, Code: reason.Code, Message: reason.Message, Fix: reason.Fix}
}

// settleName calls a used intake by its account. A name that somebody has given it stays.
func (u Intakes) settleName(ctx context.Context, c Connection, by Actor) error {
	for n, tries := 1, 1; n <= maxAccountNames && c.s.Name == intakeName(c.s.ID) && c.s.Status != StatusDeleted && c.s.AccountID != ""; {
		name := accountName(c.s.AccountID, n)
		ch, _, err := c.Update(Update{Name: &name}, u.Clock(), by)
		if err == nil {
			err = u.Store.Commit(ctx, ch)
		}
		switch {
		case errors.Is(err, ErrNameTaken):
			n++
		case errors.Is(err, ErrConflict) && tries < attempts:
			tries++
			if c, err = u.Store.Connection(ctx, c.s.ID); err != nil {
				return err
			}
		default:
			return err
		}
	}
	return nil
}
