package connect

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrNotOurs reports that a policy with the name of IAM's own is not as Rolecall wrote it.
var ErrNotOurs = errors.New("the policy is not as Rolecall wrote it")

// A Revoker writes and removes [RevocationPolicy], which works as IAM's own "revoke active sessions" does, in the customer's
// account, by a session of the role itself. A refusal is an [Error] of KindDenied.
type Revoker interface {
	// DenyOlder denies everything to the role's sessions that were made before cutoff.
	DenyOlder(ctx context.Context, c Credentials, role RoleARN, region Region, cutoff time.Time) error
	// AllowOlder puts back the text that denies nothing, where the role's template declares the policy, and else removes it; that
	// there is none to remove is no error.
	AllowOlder(ctx context.Context, c Credentials, role RoleARN, region Region, declared bool) error
	// RemoveFormer removes the policy of that cutoff which an earlier version attached under the name of IAM's own; that there
	// is none is no error, and [ErrNotOurs] one that it leaves alone.
	RemoveFormer(ctx context.Context, c Credentials, role RoleARN, region Region, cutoff time.Time) error
}

// A Revoked tells truthfully what a revocation has stopped, and what not.
type Revoked struct {
	Connection Connection
	At         time.Time
	Denied     bool      // older sessions are denied by the customer's account
	Before     time.Time // sessions made before are denied; where not Denied, by an earlier revocation
	LiftAt     time.Time // when the policy is lifted, or what may be left of an attempt to attach it
	ValidUntil time.Time // where not denied: no older session lives longer
	Reason     Reason    // why not denied, and what the customer can do
}

// Revoke stops hand-outs of the connection's older sessions, and has the customer's account deny them where the role may
// see to that itself.
func (u Verifications) Revoke(ctx context.Context, t Target) (Revoked, error) {
	counted := false
	var earlier *Revocation // whose policy is attached still
	c, err := u.begin(ctx, t, func(c Connection) (Change, error) {
		earlier = nil
		if c.s.Revocation.attached() {
			earlier = c.s.Revocation
		}
		ch, err := c.Revoke(u.Clock(), t.By)
		if err != nil || counted {
			return ch, err
		}
		counted = true
		return ch, u.Revocations.AdmitFor(ctx, t.Tenant, c.s.ID)
	})
	if err != nil {
		return Revoked{}, err
	}
	if c.byKeys() {
		return c.revokedKeys(), nil
	}
	r := c.s.Revocation
	out := Revoked{Connection: c, At: r.At, ValidUntil: r.At.Add(LongestSession)}
	d := u.deny(ctx, c)
	out.Reason = d.why
	switch {
	case d.why.Code == "":
		out.Denied, out.Before, out.LiftAt, out.ValidUntil = true, d.cutoff, r.LiftAt, time.Time{}
	case earlier != nil && earlier.RoleARN == r.RoleARN && !earlier.Cutoff.IsZero():
		out.Before, out.LiftAt = earlier.Cutoff, r.LiftAt // that much is denied, as it was before
	case d.unknown || earlier != nil:
		out.LiftAt = r.LiftAt
		return out, nil // a policy may be attached: what is intended stays, so that it is removed in time
	}
	settled, err := u.settleRevocation(ctx, c, r.At, func(c Connection) Change {
		if !out.Before.IsZero() {
			return c.sessionsDenied(out.Before, u.Clock(), t.By)
		}
		return c.lifted(d.why, u.Clock())
	})
	if err != nil {
		return Revoked{}, err
	}
	out.Connection = settled
	return out, nil
}

// settleRevocation commits what became of a revocation, unless a newer one has taken its place.
func (u Verifications) settleRevocation(ctx context.Context, c Connection, at time.Time, decide func(Connection) Change) (Connection, error) {
	var err error
	for range attempts {
		if c.s.Revocation == nil || !c.s.Revocation.At.Equal(at) {
			return c, nil
		}
		ch := decide(c)
		if err = u.Store.Commit(ctx, ch); err == nil {
			return ch.Connection(), nil
		}
		if !errors.Is(err, ErrConflict) {
			return c, err
		}
		if c, err = u.Store.Connection(ctx, c.s.ID); err != nil {
			return c, err
		}
	}
	return c, ErrConflict
}

// A denial is what became of attaching the policy.
type denial struct {
	cutoff  time.Time
	why     Reason // that it is not attached
	unknown bool   // it may be attached all the same: AWS was asked, and gave no answer
}

// deny attaches the policy by a session of the role. AWS's clock counts: the cutoff is the second after that session was
// made, and until it has come no new one is. A policy that is attached again keeps the cutoff that it had.
func (u Verifications) deny(ctx context.Context, c Connection) denial {
	ctx, done := context.WithTimeout(ctx, revocationTime)
	defer done()
	d, role := denial{cutoff: c.s.Revocation.Cutoff}, c.s.Revocation.RoleARN
	session, err := u.Verifier.Assumer.AssumeRole(ctx, probe(c.subject(role), c.s.ExternalID))
	if err == nil {
		if d.cutoff.IsZero() {
			d.cutoff = session.made().Add(time.Second)
		}
		err = u.Revoker.DenyOlder(ctx, session.Credentials, role, c.s.DefaultRegion, d.cutoff)
		d.unknown = err != nil && !isDenied(err)
	}
	if err == nil {
		return d
	}
	d.why = Reason{
		Code: CodeSTSUnavailable, Message: "AWS did not answer as it should, so that nothing denies the sessions that are out already",
		Fix: "Revoke again. " + revokeByHand(role),
	}
	if isDenied(err) {
		d.why.Code = CodeRevocationDenied
		d.why.Message = "the role may not give itself a policy, so that nothing denies the sessions that are out already"
		d.why.Fix = revokeByHand(role)
	}
	return d
}

// made is when a session of [verifyDuration] was made, by AWS's clock.
func (s Session) made() time.Time { return s.Credentials.Expires.Add(-verifyDuration) }

// tendRevocation lifts the policy when that is due, and attaches it again where it was undone too early.
func (u Verifications) tendRevocation(ctx context.Context, c Connection) (Connection, error) {
	switch now := u.Clock(); {
	case c.liftDue(now):
		return u.lift(ctx, c)
	case c.undone(now):
		return u.denyAgain(ctx, c)
	}
	return c, nil
}

// denyAgain attaches a policy that was undone too early. Where AWS does not answer it is tried again.
func (u Verifications) denyAgain(ctx context.Context, c Connection) (Connection, error) {
	d := u.deny(ctx, c)
	if d.why.Code != "" && d.why.Code != CodeRevocationDenied {
		return c, u.Sweeps.Sweep(ctx, []ConnectionID{c.s.ID}, c.againIn(u.Clock()))
	}
	return u.settleRevocation(ctx, c, c.s.Revocation.At, func(c Connection) Change {
		if d.why.Code != "" {
			return c.lifted(d.why, u.Clock())
		}
		return c.sessionsDenied(d.cutoff, u.Clock(), ActorRolecall)
	})
}

func revokeByHand(role RoleARN) string {
	return fmt.Sprintf("The customer can deny them at once: in IAM, Roles, %s, Revoke sessions, choose Revoke active sessions.", role.Name())
}

// LiftForDelete lifts the policy at once where the Delete of the connection's stack, which c's last change has committed, may
// fail by it. What cannot be lifted yet the sweep tries again: CloudFormation may be faster.
func (u Verifications) LiftForDelete(ctx context.Context, c Connection) error {
	if !c.liftDue(u.Clock()) {
		return nil
	}
	_, err := u.lift(ctx, c)
	return err
}

// lift makes the policy deny nothing once its time has come: where the template declares it the inert text is put back, elsewhere
// it is removed. It is given up where the account refuses, as when the customer has removed the role; other failures are
// tried again.
func (u Verifications) lift(ctx context.Context, c Connection) (Connection, error) {
	err := u.allow(ctx, c)
	var why Reason
	switch {
	case errors.Is(err, ErrNotOurs):
		why = c.notOurs()
	case isDenied(err) && !c.justRevoked(u.Clock()):
		why = Reason{
			Code: CodeRevocationDenied, Message: "the policy " + RevocationPolicy + " could not be lifted: the account refuses",
			Fix: "The customer can remove it: in IAM, Roles, " + c.s.Revocation.RoleARN.Name() + ", Permissions.",
		}
	case err != nil:
		return c, u.Sweeps.Sweep(ctx, []ConnectionID{c.s.ID}, c.againIn(u.Clock()))
	}
	return u.settleRevocation(ctx, c, c.s.Revocation.At, func(c Connection) Change { return c.lifted(why, u.Clock()) })
}

// notOurs tells of a policy with the name of IAM's own that may be the customer's.
func (c Connection) notOurs() Reason {
	return Reason{
		Code:    CodeRevocationDenied,
		Message: "the policy AWSRevokeOlderSessions could not be told from one that the customer attached, and was left alone",
		Fix: "It denies sessions made before its date, and nothing else. The customer can remove it: in IAM, Roles, " +
			c.s.Revocation.RoleARN.Name() + ", Permissions.",
	}
}

// errStillRevoked says that the session at hand was made before the cutoff: the policy denies it to lift the policy.
var errStillRevoked = Unavailable(CodeBusy, "the session at hand is one of those that are revoked", nil)

func (u Verifications) allow(ctx context.Context, c Connection) error {
	ctx, done := context.WithTimeout(ctx, revocationTime)
	defer done()
	r := *c.s.Revocation
	session, err := u.Verifier.Assumer.AssumeRole(ctx, probe(c.subject(r.RoleARN), c.s.ExternalID))
	if err != nil {
		return err
	}
	if session.made().Before(r.Cutoff) {
		return errStillRevoked
	}
	// Once the connection has ended nobody needs the declared policy any more; CloudFormation may have deleted it already.
	declared := c.declared(r.RoleARN) && c.s.Status != StatusDisconnected && c.s.Status != StatusDeleted
	err = u.Revoker.AllowOlder(ctx, session.Credentials, r.RoleARN, c.s.DefaultRegion, declared)
	if err != nil || r.Former.IsZero() {
		return err
	}
	err = u.Revoker.RemoveFormer(ctx, session.Credentials, r.RoleARN, c.s.DefaultRegion, r.Former)
	if isDenied(err) {
		return ErrNotOurs // it cannot be read
	}
	return err
}
