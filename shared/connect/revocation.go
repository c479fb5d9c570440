package connect

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Revocation stops the sessions that were made before it. Hand-outs stop with the connection's version; what is out
// already can be denied by a policy in the customer's account alone, which the role must be allowed to give itself.
type Revocation struct {
	At      time.Time
	RoleARN RoleARN
	Cutoff  time.Time // the policy denies sessions made before; zero where there is none
	// LiftAt is when the policy is lifted, or whatever is left of an attempt to attach it; zero where nothing is, be it that the
	// policy was lifted before the last of the older sessions had ended, since the role was to go.
	LiftAt time.Time
	// Undone says that the policy is to be attached again: it was lifted for a stack's Delete and yet the role answers, or an
	// update of the stack may have overwritten it.
	Undone bool
	// Former is the cutoff of a policy that an earlier version attached under the name of IAM's own; zero for none.
	Former time.Time
}

// RevocationPolicy is the name of the policy. IAM's console gives its own another one, which is the customer's: it is neither
// overwritten nor removed.
const RevocationPolicy = "RolecallRevokedSessions"

// attached reports whether the role may bear the policy with a cutoff that denies something.
func (r *Revocation) attached() bool { return r != nil && !r.LiftAt.IsZero() }

const (
	// revocationLife is how long the policy stays: no older session lives longer.
	revocationLife = LongestSession + 5*time.Minute
	// revocationPause is how long no new session is made while the policy is attached, so that none of them is older
	// than its cutoff.
	revocationPause = 5 * time.Second
	// revocationTime bounds each of the customer's account's answers.
	revocationTime = 4 * time.Second
	// refusalSettles after the cutoff a refusal counts: until then the policy itself may be what refuses.
	refusalSettles = time.Minute
	// liftAgain is how long a policy that could not be lifted waits for the next attempt, liftAgainSoon where a stack's Delete
	// or the account's answers wait for it, and liftAtOnce within [refusalSettles].
	liftAgain     = 15 * time.Minute
	liftAgainSoon = time.Minute
	liftAtOnce    = 5 * time.Second
	// MostRevocations is how often a minute one connection's sessions can be revoked. No session is made for some seconds each
	// time: who could revoke without end could keep everybody else from having any.
	MostRevocations = 2
)

// Revoke makes the connection's older sessions unreachable.
func (c Connection) Revoke(now time.Time, by Actor) (Change, error) {
	if err := c.must("have its sessions revoked", StatusEnabled, StatusDegraded); err != nil {
		return Change{}, err
	}
	if c.byKeys() { // the new version alone makes older sessions unreachable
		return c.change(EventSessionsRevoked, by, now, nil, func(*Snapshot) {}), nil
	}
	return c.change(EventSessionsRevoked, by, now, nil, func(s *Snapshot) {
		r := &Revocation{At: now, RoleARN: s.RoleARN, LiftAt: now.Add(revocationLife)}
		if earlier := s.Revocation; earlier.attached() && earlier.RoleARN == r.RoleARN {
			r.Former = earlier.Former
		}
		s.Revocation = r
	}), nil
}

// sessionsDenied tells that the customer's account denies older sessions from now on.
func (c Connection) sessionsDenied(cutoff, now time.Time, by Actor) Change {
	data := map[string]any{
		"roleArn": c.s.Revocation.RoleARN.String(), "deniedBefore": cutoff.UTC().Format(time.RFC3339),
		"policyRemovedAt": c.s.Revocation.LiftAt.UTC().Format(time.RFC3339),
	}
	return c.change(EventSessionsDenied, by, now, data, func(s *Snapshot) { s.Revocation.Cutoff, s.Revocation.Undone = cutoff, false })
}

// lifted tells that the policy denies nothing any more, or is out of reach. One that was lifted while older sessions may be left
// is kept in mind, should the role outlive it.
func (c Connection) lifted(why Reason, now time.Time) Change {
	data := map[string]any{"roleArn": c.s.Revocation.RoleARN.String(), "removed": why.Code == ""}
	if why.Code != "" {
		data["code"], data["message"], data["fix"] = string(why.Code), why.Message, why.Fix
	}
	return c.change(EventRevocationLifted, ActorRolecall, now, data, func(s *Snapshot) {
		if why.Code == "" && c.olderLeft(now) {
			s.Revocation.LiftAt, s.Revocation.Former, s.Revocation.Undone = time.Time{}, time.Time{}, false
			return
		}
		s.Revocation = nil
	})
}

// olderLeft reports whether sessions that were revoked may not have ended yet.
func (c Connection) olderLeft(now time.Time) bool {
	r := c.s.Revocation
	return r != nil && !r.Cutoff.IsZero() && now.Before(r.Cutoff.Add(LongestSession))
}

// inertSince is the first version of the templates that declares the policy.
const inertSince = "1.4.0"

// declared reports whether the template of the connection's stack declares the policy for the role.
func (c Connection) declared(role RoleARN) bool {
	return c.s.madeByStack(role) && !olderVersion(c.s.Stack.TemplateVersion, inertSince)
}

// madeByStack reports whether the connection's stack made the role.
func (s Snapshot) madeByStack(role RoleARN) bool {
	return !s.Stack.ID.IsZero() && s.Stack.has(role) && s.Stack.ID.Account() == role.Account()
}

// olderVersion reports whether a template's version comes before another. What is no version of ours comes before all.
func olderVersion(version, other string) bool {
	return slices.Compare(versionNumbers(version), versionNumbers(other)) < 0
}

func versionNumbers(version string) []int {
	parts := strings.Split(version, ".")
	numbers := make([]int, 0, len(parts))
	for _, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || len(parts) != 3 {
			return nil
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// liftForDelete has the policy lifted at once, in s as it becomes, when the connection's stack is being deleted with the role:
// CloudFormation deletes no role that bears a policy which its template does not declare. One that it declares CloudFormation
// deletes itself.
func (c Connection) liftForDelete(s *Snapshot, now time.Time) {
	r := s.Revocation
	if !r.attached() || !c.s.madeByStack(r.RoleARN) {
		return
	}
	if c.declared(r.RoleARN) {
		r.LiftAt, r.Undone = time.Time{}, false
		return
	}
	r.LiftAt, r.Undone = now, false
	if s.Status == StatusDisconnected {
		s.StatusReason.Fix += " If the stack ends in DELETE_FAILED, delete it again: its role bore the policy " + RevocationPolicy +
			", since its sessions were revoked. If that fails, too, remove the policy from the role first."
	}
}

// overwritten has the policy attached again, in s as it becomes, after an update of the stack to a template that declares it where
// the one before did not, or the other way round: CloudFormation may have written the text that denies nothing, or removed it.
func (c Connection) overwritten(s *Snapshot) {
	if r := s.Revocation; r.attached() && c.declared(r.RoleARN) != (Connection{*s}).declared(r.RoleARN) {
		r.Undone = true
	}
}

// outlives has the policy attached again, in s as it becomes, if it was lifted so that the role could be deleted, and the role
// answers all the same.
func (c Connection) outlives(s *Snapshot, role RoleARN, now time.Time) {
	if r := s.Revocation; c.olderLeft(now) && r.RoleARN == role && !r.attached() {
		r.LiftAt, r.Undone = r.Cutoff.Add(revocationLife), true
	}
}

// undone reports whether the policy is to be attached again.
func (c Connection) undone(now time.Time) bool {
	return c.s.Revocation.attached() && c.s.Revocation.Undone && c.olderLeft(now)
}

// justRevoked reports whether the policy itself may be what refuses.
func (c Connection) justRevoked(now time.Time) bool {
	since := c.s.Revocation.Cutoff
	if since.IsZero() {
		since = c.s.Revocation.At
	}
	return now.Before(since.Add(refusalSettles))
}

// againIn is how long an attempt to lift the policy, or to attach it again, waits for the next one.
func (c Connection) againIn(now time.Time) time.Duration {
	switch {
	case c.justRevoked(now):
		return liftAtOnce
	case c.olderLeft(now):
		return liftAgainSoon
	}
	return liftAgain
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

// liftDue says that it is time to lift the policy.
func (c Connection) liftDue(now time.Time) bool {
	return c.s.Revocation.attached() && !now.Before(c.s.Revocation.LiftAt)
}

// liftForStack lifts the policy after the Delete of the role's stack was proven. A message of an earlier version has the answer to
// that Delete still to be given.
func (u Verifications) liftForStack(ctx context.Context, c Connection, job VerifyJob) error {
	lifting := u.LiftForDelete(ctx, c)
	waiting := job.ReplyTo.awaited(u.Clock())
	if waiting == nil || u.Answerer.Answer(ctx, *waiting, Reply{OK: true}) == nil {
		return lifting
	}
	job.ReplyTo = waiting
	return u.Jobs.Verify(ctx, job, answerAgain)
}
