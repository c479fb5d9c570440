package connect

import (
	"context"
	"time"
)

// An Offboarding is the wait for proof that a role which once served can no longer be assumed.
type Offboarding struct {
	RoleARN RoleARN
	Attempt int // probes made so far
	NextAt  time.Time
}

// offboardingProbes are the times after the end at which the role is tried: soon, when IAM should have spread its
// deletion, and then ever more rarely. After the last one nobody looks any more.
func offboardingProbes() []time.Duration {
	return []time.Duration{5 * time.Minute, time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}
}

// due is when the role is tried next; zero is never.
func (o *Offboarding) due() time.Time {
	if o == nil {
		return time.Time{}
	}
	return o.NextAt
}

// offboard begins the wait, if the connection has served a role. One that was launched again and has got none yet goes on
// waiting for the proof about its former role.
func (s *Snapshot) offboard(now time.Time) {
	if s.RoleARN.IsZero() || s.EnabledAt.IsZero() {
		return
	}
	s.Offboarding = &Offboarding{RoleARN: s.RoleARN, NextAt: now.Add(offboardingProbes()[0])}
}

// Offboarded takes what a probe found: Passed is that AssumeRole was refused. Each probe that the role still answers is
// told, and once that it does so no longer.
func (c Connection) Offboarded(probe Check, now time.Time) (ch Change, ok bool) {
	o := c.s.Offboarding
	if o == nil {
		return Change{}, false
	}
	data := map[string]any{"roleArn": o.RoleARN.String(), "attempt": o.Attempt + 1}
	if probe.Verdict == Passed {
		return c.change(EventOffboardingProven, ActorRolecall, now, data, func(s *Snapshot) { s.Offboarding = nil }), true
	}
	kind, step := EventRoleStillAnswers, 1
	if probe.Verdict == Unknown {
		kind, step = EventOffboardingTried, 0 // AWS's own failure proves nothing and uses up no probe
	}
	data["code"], data["message"], data["fix"] = string(probe.Reason.Code), probe.Reason.Message, probe.Reason.Fix
	return c.change(kind, ActorRolecall, now, data, func(s *Snapshot) {
		s.Offboarding.next(step, now)
		if kind == EventRoleStillAnswers {
			c.outlives(s, o.RoleARN, now)
		}
	}), true
}

func (o *Offboarding) next(step int, now time.Time) {
	probes := offboardingProbes()
	o.Attempt += step
	if o.Attempt >= len(probes) {
		o.NextAt = time.Time{}
		return
	}
	wait := probes[0]
	if step > 0 {
		wait = probes[o.Attempt] - probes[o.Attempt-1]
	}
	o.NextAt = now.Add(wait)
}

// Gone tells whether a role that should serve no longer is refused. Only AccessDenied proves it.
func (v Verifier) Gone(ctx context.Context, s Subject) Check {
	_, err := v.Assumer.AssumeRole(ctx, probe(s, s.ExternalID))
	c := passed(CheckOffboarded, v.Clock())
	switch {
	case isDenied(err):
	case err != nil:
		c.Verdict, c.Reason = Unknown, unavailable("STS")
	default:
		c.Verdict, c.Reason = Failed, Reason{
			Code: CodeRoleStillAnswers, Message: "the role can still be assumed although the connection has ended",
			Fix: "Delete the customer's stack, or the role in IAM, with its inline policy " + RevocationPolicy + " if there is one; Rolecall itself does not use it any more.",
		}
	}
	return c
}

// offboardingProbe probes an ended connection's role and keeps what was found.
func (u Verifications) offboardingProbe(ctx context.Context, c Connection) error {
	if c.s.Offboarding == nil || u.Clock().Before(c.s.Offboarding.NextAt) {
		return nil
	}
	ch, ok := c.Offboarded(u.Verifier.Gone(ctx, c.subject(c.s.Offboarding.RoleARN)), u.Clock())
	if !ok {
		return nil
	}
	if err := u.Store.Commit(ctx, ch); err != nil {
		return err
	}
	if c = ch.Connection(); c.undone(u.Clock()) {
		_, err := u.denyAgain(ctx, c)
		return err
	}
	return nil
}
