package connect

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Revocation stops the sessions that were made before it. Hand-outs stop with the connection's version; what is out
// already can be denied by a policy in the customer's account alone, which the role must be allowed to give itself.
type Revocation struct {
	At      time.Time
	RoleARN RoleARN
	Cutoff  time.Time // the policy denies sessions made before; zero where there is none
	// LiftAt is when the policy is removed, or whatever is left of an attempt to attach it; zero where nothing is.
	LiftAt time.Time
}

const (
	// revocationLife is how long the policy stays: no older session lives longer.
	revocationLife = LongestSession + 5*time.Minute
	// revocationPause is how long no new session is made while the policy is attached, so that none of them is older
	// than its cutoff.
	revocationPause = 5 * time.Second
	// revocationTime bounds each of the customer's account's answers.
	revocationTime = 4 * time.Second
	// liftAgain is how long a policy that could not be removed waits for the next attempt.
	liftAgain = 15 * time.Minute
	// MostRevocations is how often a minute one connection's sessions can be revoked. No session is made for some seconds each
	// time: who could revoke without end could keep everybody else from having any.
	MostRevocations = 2
)

// A Revoker attaches and removes the policy by which IAM's own "revoke active sessions" works, in the customer's account,
// by a session of the role itself. A refusal is an [Error] of KindDenied.
type Revoker interface {
	// DenyOlder denies everything to the role's sessions that were made before cutoff.
	DenyOlder(ctx context.Context, c Credentials, role RoleARN, region Region, cutoff time.Time) error
	// AllowOlder removes that policy; that there is none is no error.
	AllowOlder(ctx context.Context, c Credentials, role RoleARN, region Region) error
}

// Revoke makes the connection's older sessions unreachable.
func (c Connection) Revoke(now time.Time, by Actor) (Change, error) {
	if err := c.must("have its sessions revoked", StatusEnabled, StatusDegraded); err != nil {
		return Change{}, err
	}
	if c.byKeys() { // the new version alone makes older sessions unreachable
		return c.change(EventSessionsRevoked, by, now, nil, func(*Snapshot) {}), nil
	}
	return c.change(EventSessionsRevoked, by, now, nil, func(s *Snapshot) {
		s.Revocation = &Revocation{At: now, RoleARN: s.RoleARN, LiftAt: now.Add(revocationLife)}
	}), nil
}

// sessionsDenied tells that the customer's account denies older sessions from now on.
func (c Connection) sessionsDenied(cutoff, now time.Time, by Actor) Change {
	data := map[string]any{
		"roleArn": c.s.Revocation.RoleARN.String(), "deniedBefore": cutoff.UTC().Format(time.RFC3339),
		"policyRemovedAt": c.s.Revocation.LiftAt.UTC().Format(time.RFC3339),
	}
	return c.change(EventSessionsDenied, by, now, data, func(s *Snapshot) { s.Revocation.Cutoff = cutoff })
}

// lifted tells that the policy is gone, or out of reach.
func (c Connection) lifted(why Reason, now time.Time) Change {
	data := map[string]any{"roleArn": c.s.Revocation.RoleARN.String(), "removed": why.Code == ""}
	if why.Code != "" {
		data["code"], data["message"], data["fix"] = string(why.Code), why.Message, why.Fix
	}
	return c.change(EventRevocationLifted, ActorRolecall, now, data, func(s *Snapshot) { s.Revocation = nil })
}

// revoking says that sessions made now might be denied by a policy that is just being attached.
func (c Connection) revoking(now time.Time) bool {
	r := c.s.Revocation
	if r == nil {
		return false
	}
	if r.Cutoff.IsZero() {
		return !r.LiftAt.IsZero() && now.Before(r.At.Add(revocationPause))
	}
	return now.Before(r.Cutoff)
}

var errRevoking = &Error{
	Kind: KindUnavailable, Code: CodeBusy, Message: "the connection's sessions are just being revoked", Fix: "Try again in a few seconds.",
}

// liftDue says that it is time to remove the policy.
func (c Connection) liftDue(now time.Time) bool {
	return c.s.Revocation != nil && !c.s.Revocation.LiftAt.IsZero() && !now.Before(c.s.Revocation.LiftAt)
}

// A Revoked tells truthfully what a revocation has stopped, and what not.
type Revoked struct {
	Connection Connection
	At         time.Time
	Denied     bool      // older sessions are denied by the customer's account
	Before     time.Time // sessions made before are denied; where not Denied, by an earlier revocation
	LiftAt     time.Time // when the policy is removed again, or what may be left of an attempt to attach it
	ValidUntil time.Time // where not denied: no older session lives longer
	Reason     Reason    // why not denied, and what the customer can do
}

// Revoke stops hand-outs of the connection's older sessions, and has the customer's account deny them where the role may
// see to that itself.
func (u Verifications) Revoke(ctx context.Context, t Target) (Revoked, error) {
	var earlier *Revocation // whose policy is attached still
	counted := false
	c, err := u.begin(ctx, t, func(c Connection) (Change, error) {
		earlier = c.s.Revocation
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
// made, and until it has come no new one is.
func (u Verifications) deny(ctx context.Context, c Connection) denial {
	ctx, done := context.WithTimeout(ctx, revocationTime)
	defer done()
	var d denial
	session, err := u.Verifier.Assumer.AssumeRole(ctx, probe(c.subject(c.s.RoleARN), c.s.ExternalID))
	if err == nil {
		d.cutoff = session.Credentials.Expires.Add(time.Second - verifyDuration)
		err = u.Revoker.DenyOlder(ctx, session.Credentials, c.s.RoleARN, c.s.DefaultRegion, d.cutoff)
		d.unknown = err != nil && !isDenied(err)
	}
	if err == nil {
		return d
	}
	d.why = Reason{
		Code: CodeSTSUnavailable, Message: "AWS did not answer as it should, so that nothing denies the sessions that are out already",
		Fix: "Revoke again. " + revokeByHand(c.s.RoleARN),
	}
	if isDenied(err) {
		d.why.Code = CodeRevocationDenied
		d.why.Message = "the role may not give itself a policy, so that nothing denies the sessions that are out already"
		d.why.Fix = revokeByHand(c.s.RoleARN)
	}
	return d
}

func revokeByHand(role RoleARN) string {
	return fmt.Sprintf("The customer can deny them at once: in IAM, Roles, %s, Revoke sessions, choose Revoke active sessions.", role.Name())
}

// lift removes the policy once no older session is left. It is given up where the account refuses, as when the customer has
// removed the role; other failures are tried again.
func (u Verifications) lift(ctx context.Context, c Connection) (Connection, error) {
	err := u.allow(ctx, c)
	var why Reason
	switch {
	case isDenied(err):
		why = Reason{
			Code: CodeRevocationDenied, Message: "the policy AWSRevokeOlderSessions could not be removed: the account refuses",
			Fix: "It denies nothing any more. The customer can remove it: in IAM, Roles, " + c.s.Revocation.RoleARN.Name() + ", Permissions.",
		}
	case err != nil:
		return c, u.Sweeps.Sweep(ctx, []ConnectionID{c.s.ID}, liftAgain)
	}
	return u.settleRevocation(ctx, c, c.s.Revocation.At, func(c Connection) Change { return c.lifted(why, u.Clock()) })
}

func (u Verifications) allow(ctx context.Context, c Connection) error {
	ctx, done := context.WithTimeout(ctx, revocationTime)
	defer done()
	role := c.s.Revocation.RoleARN
	session, err := u.Verifier.Assumer.AssumeRole(ctx, probe(c.subject(role), c.s.ExternalID))
	if err != nil {
		return err
	}
	return u.Revoker.AllowOlder(ctx, session.Credentials, role, c.s.DefaultRegion)
}

// liftsFor reports whether the Delete of a stack has to be followed by the policy's removal: CloudFormation cannot delete a role that
// has it.
func (c Connection) liftsFor(r Callback) bool {
	v := c.s.Revocation
	return v != nil && !v.LiftAt.IsZero() && c.s.Stack.ID == r.StackID && c.s.Stack.has(v.RoleARN)
}

// liftForDelete removes the policy after the Delete of the role's stack was proven. A message of an earlier version has the answer
// to that Delete still to be given.
func (u Verifications) liftForDelete(ctx context.Context, c Connection, job VerifyJob) error {
	var err error
	if c.s.Revocation != nil && !c.s.Revocation.LiftAt.IsZero() {
		_, err = u.lift(ctx, c)
	}
	waiting := job.ReplyTo.awaited(u.Clock())
	if waiting == nil {
		return err
	}
	if u.Answerer.Answer(ctx, *waiting, Reply{OK: true}) == nil {
		return nil
	}
	job.ReplyTo = waiting
	return u.Jobs.Verify(ctx, job, answerAgain)
}
