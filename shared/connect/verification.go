package connect

import (
	"fmt"
	"slices"
	"time"
)

// tries are the times after the report at which a role is tried, for IAM needs seconds to minutes to spread it.
func tries() []time.Duration {
	s := time.Second
	return []time.Duration{0, 2 * s, 4 * s, 8 * s, 15 * s, 30 * s, 50 * s, 75 * s, 100 * s}
}

const (
	// settleTime after the report a denial is definitive.
	settleTime = 105 * time.Second
	// patience is how long to wait between tries once only AWS's own services are at fault.
	patience = time.Minute
	// strikeGap is the least time between two denials that count.
	strikeGap = 5 * time.Minute
	// strikesOut is how many denials in a row make a connection degraded.
	strikesOut = 3
	// degradedInterval is how often a degraded connection is tried.
	degradedInterval = 15 * time.Minute
)

// ErrSuperseded says that the try belongs to a run that has ended or has been tried further: there is nothing to do.
var ErrSuperseded = &Error{Kind: KindConflict, Code: "SUPERSEDED", Message: "this verification run has ended"}

// begin puts a role on trial: as the connection's own, or as a candidate while another one serves.
func (s *Snapshot) begin(arn RoleARN, now time.Time) {
	s.Verification = &Verification{
		Run: s.Version + 1, RoleARN: arn, Permissions: s.Permissions, PolicyDigest: s.PolicyDigest, StartedAt: now, NextTryAt: now, Deadline: now.Add(settleTime),
	}
	if s.Status == StatusEnabled || s.Status == StatusDegraded {
		return
	}
	s.Status, s.StatusReason, s.LinkedTo = StatusVerifying, Reason{}, ""
	s.RoleARN, s.AccountID = arn, arn.Account()
	s.Checks, s.Regions, s.SessionTags, s.Offboarding = nil, nil, false, nil
}

// ReportRole takes a role that the platform was given by hand. It is put on trial at once.
func (c Connection) ReportRole(arn RoleARN, now time.Time, by Actor) (Change, error) {
	err := c.must("take a role", StatusPending, StatusVerifying, StatusFailed, StatusEnabled, StatusDegraded)
	if err != nil {
		return Change{}, err
	}
	if err := c.mayTakeRole(arn); err != nil {
		return Change{}, err
	}
	data := map[string]any{"roleArn": arn.String()}
	return c.change(EventRoleReported, by, now, data, func(s *Snapshot) {
		s.begin(arn, now)
		s.grant(s.Permissions, "") // whose policy is the current one, if it passes
	}), nil
}

// Retry begins a new run for the role of a connection that has failed.
func (c Connection) Retry(now time.Time, by Actor) (Change, error) {
	if err := c.must("be verified again", StatusFailed); err != nil {
		return Change{}, err
	}
	data := map[string]any{"roleArn": c.s.RoleARN.String()}
	return c.change(EventVerificationBegun, by, now, data, func(s *Snapshot) { s.begin(s.RoleARN, now) }), nil
}

// Trial is the run in progress and the role it tries; ok is false where there is none.
func (c Connection) Trial() (v Verification, ok bool) {
	if c.s.Verification == nil {
		return Verification{}, false
	}
	return *c.s.Verification, true
}

// Tried takes the outcome of one try of a run. The change is final, and the connection has no trial any more, when the
// role has passed or has been refused for good; else the trial's NextTryAt says when to try again. jitter in [-1,1]
// spreads the tries by ±10%.
func (c Connection) Tried(run int64, attempt int, o Outcome, jitter float64, now time.Time) (Change, error) {
	v := c.s.Verification
	if v == nil || v.Run != run || v.Attempt != attempt {
		return Change{}, ErrSuperseded
	}
	settled := !now.Before(v.Deadline)
	if o.Proven() && (settled || !c.mayYetRead(o)) {
		return c.provenChange(o, now), nil
	}
	reason, settling, denied := o.denial()
	if denied && (settled || !settling) {
		return c.refusedChange(o, reason, now), nil
	}
	return c.triedChange(o, nextTry(*v, jitter, now), now), nil
}

func nextTry(v Verification, jitter float64, now time.Time) time.Time {
	if v.Attempt+1 >= len(tries()) {
		return now.Add(patience)
	}
	offset := float64(tries()[v.Attempt+1]) * (1 + 0.1*jitter)
	at := v.StartedAt.Add(time.Duration(offset))
	if v.Attempt+2 == len(tries()) && at.Before(v.Deadline) {
		at = v.Deadline // the last try decides, so it comes when a denial is definitive
	}
	if at.Before(now) {
		return now
	}
	return at
}

// mayYetRead says that the trust policy could not be read, but should be readable by another try: AWS itself failed, or
// the role is of our template, which lets it read itself once IAM has spread that right.
func (c Connection) mayYetRead(o Outcome) bool {
	for _, k := range o.Checks {
		if k.Name == CheckTrustPolicy && k.Verdict == Unknown {
			return k.Reason.Code == CodeSTSUnavailable || !c.s.Stack.ID.IsZero()
		}
	}
	return false
}

func (c Connection) triedChange(o Outcome, next, now time.Time) Change {
	data := map[string]any{
		"attempt": c.s.Verification.Attempt + 1, "nextTryAt": next.UTC().Format(time.RFC3339), "checks": checkData(o.Checks),
	}
	return c.change(EventVerificationTried, ActorRolecall, now, data, func(s *Snapshot) {
		s.Verification.Attempt++
		s.Verification.NextTryAt = next
		if s.Status == StatusVerifying {
			s.Checks, s.StatusReason = o.Checks, o.blocker()
		}
	})
}

func (c Connection) provenChange(o Outcome, now time.Time) Change {
	v := *c.s.Verification
	kind := EventEnabled
	if c.s.Status != StatusVerifying {
		kind = EventRoleChanged
	}
	data := map[string]any{
		"roleArn": v.RoleARN.String(), "accountId": string(v.RoleARN.Account()), "permissions": string(c.trialSubject(v).Permissions),
		"attempt": v.Attempt + 1, "checks": checkData(o.Checks),
	}
	if k := c.s.AccessKey; k != nil {
		kind, data["droppedAccessKeyId"] = EventUpgraded, k.ID
	}
	held := c.heldTo(v.PolicyDigest, o)
	if held != "" {
		data["policyDigest"] = held
	}
	return c.change(kind, ActorRolecall, now, data, func(s *Snapshot) {
		s.RoleARN, s.AccountID, s.Permissions = v.RoleARN, v.RoleARN.Account(), c.trialSubject(v).Permissions
		if v.FromStack {
			s.Stack.proves(v.RoleARN)
		}
		s.PolicyDigest = held
		s.Checks, s.Regions, s.SessionTags = o.Checks, o.Regions, o.SessionTags
		s.Status, s.StatusReason = StatusEnabled, Reason{}
		s.Verification = nil
		s.dropKey()
		s.LastRun = RunResult{Run: v.Run, RoleARN: v.RoleARN, Passed: true}
		s.Strikes, s.LastStrikeAt, s.NextVerificationAt = 0, time.Time{}, time.Time{}
		s.LastVerifiedAt = now
		if s.EnabledAt.IsZero() || kind == EventEnabled {
			s.EnabledAt = now
		}
	})
}

func (c Connection) refusedChange(o Outcome, reason Reason, now time.Time) Change {
	v := *c.s.Verification
	data := map[string]any{
		"roleArn": v.RoleARN.String(), "attempt": v.Attempt + 1, "checks": checkData(o.Checks),
		"code": string(reason.Code), "message": reason.Message, "fix": reason.Fix,
	}
	kind := EventFailed
	if c.s.Status != StatusVerifying {
		kind = EventCandidateFailed
	}
	return c.change(kind, ActorRolecall, now, data, func(s *Snapshot) {
		s.Verification = nil
		s.LastRun = RunResult{Run: v.Run, RoleARN: v.RoleARN, Reason: reason}
		if kind == EventFailed {
			s.Status, s.StatusReason, s.Checks = StatusFailed, reason, o.Checks
		}
	})
}

// Rechecked takes the outcome of checking a role that serves. A denial is a strike, three of them at least five minutes
// apart make the connection degraded, and a pass clears them. ok is false where nothing has changed: then the time of
// the check is all there is to keep. What AWS's own failures left unknown changes nothing.
func (c Connection) Rechecked(o Outcome, by Actor, now time.Time) (ch Change, ok bool) {
	if c.s.Status != StatusEnabled && c.s.Status != StatusDegraded {
		return Change{}, false
	}
	if reason, _, denied := o.denial(); denied {
		return c.struck(o, reason, by, now)
	}
	merged := mergeChecks(c.s.Checks, o.Checks)
	if !proven(c.s.Method, merged) || len(o.blocker().Code) > 0 {
		return Change{}, false
	}
	held := c.heldTo(c.s.PolicyDigest, o)
	if c.s.Status == StatusEnabled && !c.s.watched() && held == c.s.PolicyDigest && sameVerdicts(c.s.Checks, merged) && sameRegions(c.s.Regions, o.Regions) {
		return Change{}, false
	}
	kind := EventVerified
	if c.s.Status == StatusDegraded {
		kind = EventRecovered
	}
	data := map[string]any{"checks": checkData(o.Checks)}
	if held != c.s.PolicyDigest {
		data["policyDigest"] = held
	}
	return c.change(kind, by, now, data, func(s *Snapshot) {
		s.Status, s.StatusReason, s.Checks = StatusEnabled, Reason{}, merged
		s.Strikes, s.LastStrikeAt, s.NextVerificationAt = 0, time.Time{}, time.Time{}
		s.LastVerifiedAt, s.PolicyDigest = now, held
		if len(o.Regions) > 0 {
			s.Regions = o.Regions
		}
	}), true
}

// heldTo is the policy that a role which passed is known to have: as its stack reported it or, of a role made by hand, the
// one that it was held against.
func (c Connection) heldTo(reported string, o Outcome) string {
	if c.s.Stack.ID.IsZero() && o.PolicyDigest != "" {
		return o.PolicyDigest
	}
	return reported
}

func (c Connection) struck(o Outcome, reason Reason, by Actor, now time.Time) (Change, bool) {
	if reason.Code == CodeKeysExpired {
		return c.keyEnded(o, reason, by, now)
	}
	if c.s.Strikes > 0 && now.Before(c.s.LastStrikeAt.Add(strikeGap)) {
		return Change{}, false
	}
	if c.s.Status == StatusDegraded && c.s.StatusReason.Code == reason.Code && now.Before(c.s.NextVerificationAt) {
		return Change{}, false
	}
	strikes := c.s.Strikes + 1
	kind := EventDenied
	if strikes >= strikesOut && c.s.Status == StatusEnabled {
		kind = EventDegraded
	}
	data := map[string]any{
		"strike": strikes, "checks": checkData(o.Checks),
		"code": string(reason.Code), "message": reason.Message, "fix": reason.Fix,
	}
	return c.change(kind, by, now, data, func(s *Snapshot) {
		s.Strikes, s.LastStrikeAt, s.StatusReason = strikes, now, reason
		if kind == EventDegraded {
			s.Status = StatusDegraded
			s.Checks = mergeChecks(s.Checks, o.Checks)
		}
		s.NextVerificationAt = now.Add(strikeGap)
		if s.Status == StatusDegraded {
			s.NextVerificationAt = now.Add(degradedInterval)
		}
	}), true
}

// mergeChecks keeps what was known of what could not be found out now. But a failure does not outlast a role that lets nobody
// make that check any more: a verdict that nothing could ever change would keep a mended role degraded for good.
func mergeChecks(old, fresh []Check) []Check {
	merged := slices.Clone(old)
	for _, f := range fresh {
		i := slices.IndexFunc(merged, func(c Check) bool { return c.Name == f.Name })
		switch {
		case f.Verdict == Unknown && (i < 0 || merged[i].Verdict != Failed || f.Reason.Code == CodeSTSUnavailable):
		case i < 0:
			merged = append(merged, f)
		default:
			merged[i] = f
		}
	}
	return merged
}

func sameVerdicts(a, b []Check) bool {
	return slices.EqualFunc(a, b, func(x, y Check) bool {
		return x.Name == y.Name && x.Verdict == y.Verdict && x.Reason.Code == y.Reason.Code
	})
}

func sameRegions(old, fresh []Region) bool {
	return len(fresh) == 0 || slices.Equal(old, fresh)
}

// ReplyFor is what a stack is told of a run: ok is false while the run goes on with a denial that may yet turn out well.
// A run that only AWS's own failures keep open after its last try is answered with success; the connection stays
// verifying. The deadline alone says nothing: a try that was denied may be the last that is known, and the deciding one late.
func (c Connection) ReplyFor(run int64, now time.Time) (r Reply, ok bool) {
	if v := c.s.Verification; v != nil && v.Run == run {
		if now.Before(v.Deadline) || v.Attempt < len(tries()) {
			return Reply{}, false
		}
		return Reply{OK: true}, true
	}
	if c.s.LastRun.Run == run {
		return Reply{OK: c.s.LastRun.Passed, Reason: c.s.LastRun.Reason}, true
	}
	if c.s.Status == StatusDeleted || c.s.Status == StatusDisconnected {
		return Reply{Reason: Reason{
			Code: CodeStatus, Message: fmt.Sprintf("the connection is %s", c.s.Status), Fix: statusFix(c.s.Status),
		}}, true
	}
	return Reply{OK: true}, true // a newer request has taken over
}
