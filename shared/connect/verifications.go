package connect

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A VerificationStore is what verifying needs of a store.
type VerificationStore interface {
	Connection(ctx context.Context, id ConnectionID) (Connection, error)
	// Bare is Connection without the time of the last check that changed nothing, for those who have no use for it.
	Bare(ctx context.Context, id ConnectionID) (Connection, error)
	Commit(ctx context.Context, ch Change) error
	// RecordCheck keeps the time of a check that changed nothing. It bumps no version.
	RecordCheck(ctx context.Context, id ConnectionID, at time.Time) error
}

// ErrAnswerRefused reports that CloudFormation's bucket refused an answer for good: the address was not signed by
// CloudFormation for this request, or has expired. Nothing that the request says may take effect.
var ErrAnswerRefused = errors.New("CloudFormation did not ask for this answer")

// A VerifyJob asks for one attempt of a connection's verification run.
type VerifyJob struct {
	ConnectionID ConnectionID
	Run          int64
	Attempt      int
	// ReplyTo is where a stack waits for the end of the run, in messages of versions before 1.4.0; nil where nobody does.
	ReplyTo *ReplyTo
	// Lift asks for no attempt: a stack was deleted, and our policy keeps CloudFormation from deleting its role.
	Lift bool
	// Redelivered says that an earlier delivery of the same message did not end well. Not part of the message.
	Redelivered bool
}

// Jobs queues work that somebody waits for, to be done after delay: rounded up to whole seconds, 15 minutes at most.
type Jobs interface {
	Verify(ctx context.Context, job VerifyJob, delay time.Duration) error
	Report(ctx context.Context, job ReportJob, delay time.Duration) error
}

// An Answerer tells CloudFormation how a request ended. nil proves that CloudFormation made the request; an error that
// wraps [ErrAnswerRefused] says that it did not; after any other error that is unknown, and the answer may be given again.
type Answerer interface {
	Answer(ctx context.Context, to ReplyTo, r Reply) error
}

// Verifications tries roles, run by run.
type Verifications struct {
	Store       VerificationStore
	Verifier    Verifier
	Keys        Keyring
	Jobs        Jobs
	Sweeps      SweepJobs
	Answerer    Answerer
	Revoker     Revoker
	Clock       func() time.Time
	Jitter      func() float64 // in [-1,1]
	Interval    time.Duration  // between two checks of an enabled connection; a day at most
	Limit       *Ration        // of what tenants themselves ask for; nil for none
	Revocations *Ration        // of each connection, MostRevocations a minute; nil for none
}

// probeTime bounds one try's questions to AWS, so that there is time left to commit and to answer. What has not been
// answered by then is unknown, and asked again by the next try.
const probeTime = 8 * time.Second

// answerAgain is how long an answer that could not be given waits for the next attempt.
const answerAgain = 15 * time.Second

// Try makes one try of a run, answers the waiting stack once the run has ended, and queues the next try while it has
// not. It can be repeated: a try that has been made is not made again. A connection that does not exist any more is
// nobody's to verify.
func (u Verifications) Try(ctx context.Context, job VerifyJob) error {
	c, err := u.Store.Connection(ctx, job.ConnectionID)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if job.Lift {
		return u.liftForStack(ctx, c, job)
	}
	made := false
	if v, ok := c.Trial(); ok && v.Run == job.Run && v.Attempt == job.Attempt {
		if c, _, err = u.try(ctx, c, v); err != nil {
			return err
		}
		made = true
	}
	return u.conclude(ctx, c, job, made)
}

// GiveUp is for a try that failed and may go on failing until nobody listens any more: the stack is told before that. What is
// known to have come of the run is told as such.
func (u Verifications) GiveUp(ctx context.Context, job VerifyJob) error {
	now := u.Clock()
	waiting := job.ReplyTo.awaited(now)
	if waiting == nil || now.Before(waiting.Until.Add(-lastCall)) {
		return nil
	}
	return u.Answerer.Answer(ctx, *waiting, u.known(ctx, job, now))
}

// known is what can be said of a job that failed.
func (u Verifications) known(ctx context.Context, job VerifyJob, now time.Time) Reply {
	trouble := Reply{Reason: ErrTrouble.Reason()}
	switch {
	case job.Lift:
		return Reply{OK: true}
	}
	c, err := u.Store.Connection(ctx, job.ConnectionID)
	if err != nil {
		return trouble
	}
	if r, ready := c.ReplyFor(job.Run, now); ready {
		return r
	}
	return trouble
}

// ErrTrouble is what a stack is told when we keep failing.
var ErrTrouble = &Error{
	Kind: KindInternal, Code: CodeInternal, Message: "the platform could not handle the request",
	Fix: "Try again later: delete this stack and open a new launch from the platform.",
}

// conclude answers if there is an answer, and queues the next try. A message whose try others have made queues nothing, or
// copies would multiply; but whoever holds an answer address goes on with the run until the stack has been answered, and
// one that is delivered again may be the last of its run.
func (u Verifications) conclude(ctx context.Context, c Connection, job VerifyJob, made bool) error {
	now := u.Clock()
	waiting := job.ReplyTo.awaited(now)
	reply, ready := c.ReplyFor(job.Run, now)
	if ready && waiting != nil && u.Answerer.Answer(ctx, *waiting, reply) == nil {
		waiting = nil
	}
	v, ok := c.Trial()
	if ok && v.Run == job.Run {
		if !made && !job.Redelivered && waiting == nil {
			return nil
		}
		next := VerifyJob{ConnectionID: c.s.ID, Run: v.Run, Attempt: v.Attempt, ReplyTo: waiting}
		return u.Jobs.Verify(ctx, next, v.NextTryAt.Sub(now))
	}
	if ready && waiting != nil {
		return u.Jobs.Verify(ctx, VerifyJob{ConnectionID: c.s.ID, Run: job.Run, Attempt: job.Attempt, ReplyTo: waiting}, answerAgain)
	}
	return nil
}

// awaited is where an answer is still awaited; nil where nobody waits, or no longer.
func (to *ReplyTo) awaited(now time.Time) *ReplyTo {
	if to == nil || now.After(to.Until) {
		return nil
	}
	return to
}

// try verifies the role on trial and commits what was found, unless the run has moved on meanwhile.
func (u Verifications) try(ctx context.Context, c Connection, v Verification) (Connection, []Check, error) {
	probing, done := context.WithTimeout(ctx, probeTime)
	outcome := u.Verifier.Verify(probing, c.trialSubject(v))
	done()
	var err error
	for range attempts {
		ch, decideErr := c.Tried(v.Run, v.Attempt, outcome, u.Jitter(), u.Clock())
		if errors.Is(decideErr, ErrSuperseded) {
			return c, outcome.Checks, nil
		}
		if decideErr != nil {
			return c, nil, decideErr
		}
		err = u.Store.Commit(ctx, ch)
		if holder, held := holderIn(err); held {
			ch, err = u.givesWay(ctx, c, holder)
		}
		if err == nil {
			return ch.Connection(), outcome.Checks, nil
		}
		if !errors.Is(err, ErrConflict) {
			return c, nil, fmt.Errorf("commit verification: %w", err)
		}
		if c, err = u.Store.Connection(ctx, c.s.ID); err != nil {
			return c, nil, err
		}
	}
	return c, nil, ErrConflict
}

func (c Connection) subject(role RoleARN) Subject {
	return Subject{RoleARN: role, ExternalID: c.s.ExternalID, Region: c.s.DefaultRegion, Permissions: c.s.Permissions, PolicyDigest: c.s.PolicyDigest, Organization: c.s.OrganizationID}
}

// A Checked is a connection after somebody asked for it to be verified, with the checks that were made for them: they
// differ from the connection's own while a denial has not yet counted.
type Checked struct {
	Connection Connection
	Checks     []Check
}

// ReportRole takes a role's ARN by hand and tries it until it has passed or been refused, wait is over, or the caller
// leaves; then the queue goes on with it.
func (u Verifications) ReportRole(ctx context.Context, t Target, role string, wait time.Duration) (Checked, error) {
	arn, err := ParseRoleARN(role)
	if err != nil {
		return Checked{}, err
	}
	if err := refuseOwn(arn, u.Verifier.Platform.Account); err != nil {
		return Checked{}, err
	}
	if err := u.Limit.Admit(ctx, t.Tenant); err != nil {
		return Checked{}, err
	}
	c, err := u.begin(ctx, t, func(c Connection) (Change, error) {
		if c.serves(arn) {
			return Change{}, errNothing
		}
		return c.ReportRole(arn, u.Clock(), t.By)
	})
	if err != nil {
		return Checked{}, err
	}
	if c.serves(arn) {
		return u.reproved(ctx, c, t.By)
	}
	return u.follow(ctx, c, wait)
}

// Verify tests a connection now. One that failed begins a new run; one that serves is checked in full, and a denial
// counts as one strike.
func (u Verifications) Verify(ctx context.Context, t Target, wait time.Duration) (Checked, error) {
	if err := u.Limit.Admit(ctx, t.Tenant); err != nil {
		return Checked{}, err
	}
	c, err := u.begin(ctx, t, func(c Connection) (Change, error) {
		switch c.s.Status {
		case StatusEnabled, StatusDegraded, StatusVerifying:
			return Change{}, errNothing
		case StatusPending, StatusFailed, StatusDisconnected, StatusExpired, StatusDeleted:
		}
		return c.Retry(u.Clock(), t.By)
	})
	if err != nil {
		return Checked{}, err
	}
	if c.s.Status == StatusEnabled || c.s.Status == StatusDegraded {
		return u.recheck(ctx, c, t.By)
	}
	return u.follow(ctx, c, wait)
}

func (u Verifications) begin(ctx context.Context, t Target, decide func(Connection) (Change, error)) (Connection, error) {
	var err error
	for range attempts {
		var c Connection
		if c, err = admitted(ctx, u.Store.Connection, t); err != nil {
			return c, err
		}
		if err = c.seen(t.IfMatch); err != nil {
			return c, err
		}
		ch, decideErr := decide(c)
		if errors.Is(decideErr, errNothing) {
			return c, nil
		}
		if decideErr != nil {
			return c, decideErr
		}
		if err = u.Store.Commit(ctx, ch); err == nil {
			return ch.Connection(), nil
		}
		if !errors.Is(err, ErrConflict) {
			return c, err
		}
	}
	return Connection{}, err
}

// follow makes the tries of a run that fall within wait, and leaves the rest to the queue.
func (u Verifications) follow(ctx context.Context, c Connection, wait time.Duration) (Checked, error) {
	until := u.Clock().Add(wait)
	v, running := c.Trial()
	run, checks := v.Run, c.s.Checks
	for running && v.Run == run && !v.NextTryAt.After(until) {
		if err := pause(ctx, v.NextTryAt.Sub(u.Clock())); err != nil {
			break
		}
		var err error
		if c, checks, err = u.try(ctx, c, v); err != nil {
			return Checked{}, err
		}
		v, running = c.Trial()
	}
	if running && v.Run == run {
		job := VerifyJob{ConnectionID: c.s.ID, Run: run, Attempt: v.Attempt}
		if err := u.Jobs.Verify(context.WithoutCancel(ctx), job, v.NextTryAt.Sub(u.Clock())); err != nil {
			return Checked{}, fmt.Errorf("queue verification: %w", err)
		}
	}
	return Checked{Connection: c, Checks: checks}, nil
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// recheck runs all checks on the role that serves.
func (u Verifications) recheck(ctx context.Context, c Connection, by Actor) (Checked, error) {
	o, err := u.whole(ctx, c)
	if err != nil {
		return Checked{}, err
	}
	c, err = u.settle(ctx, c, o, by)
	return Checked{Connection: c, Checks: o.Checks}, err
}

// reproved checks a role that serves and was given once more. One made by hand is held against the platform's current
// policy: giving it again is how its customer says that it has been brought up to date.
func (u Verifications) reproved(ctx context.Context, c Connection, by Actor) (Checked, error) {
	if c.s.Method == MethodAccessKey || !c.s.Stack.ID.IsZero() {
		return u.recheck(ctx, c, by)
	}
	s := c.subject(c.s.RoleARN)
	s.PolicyDigest = ""
	o := u.Verifier.Verify(ctx, s)
	c, err := u.settle(ctx, c, o, by)
	return Checked{Connection: c, Checks: o.Checks}, err
}

// whole makes all checks of what serves: the role, or the access key.
func (u Verifications) whole(ctx context.Context, c Connection) (Outcome, error) {
	if c.s.Method == MethodAccessKey {
		return u.Keys.look(ctx, c, true)
	}
	return u.Verifier.Verify(ctx, c.subject(c.s.RoleARN)), nil
}

// settle commits what a check of a serving role has changed, or keeps its time.
func (u Verifications) settle(ctx context.Context, c Connection, o Outcome, by Actor) (Connection, error) {
	now := u.Clock()
	looked := c
	var err error
	for range attempts {
		ch, changed := c.Rechecked(o, by, now)
		if !changed {
			if o.answered() {
				err = u.Store.RecordCheck(ctx, c.s.ID, now)
			}
			return c, err
		}
		if err = u.Store.Commit(ctx, ch); err == nil {
			return ch.Connection(), nil
		}
		if !errors.Is(err, ErrConflict) {
			return c, err
		}
		if c, err = u.Store.Connection(ctx, c.s.ID); err != nil || !c.sameAccess(looked) {
			return c, err
		}
	}
	return c, ErrConflict
}

// answered says that AWS gave a definite answer to what was asked.
func (o Outcome) answered() bool {
	_, _, denied := o.denial()
	return denied || o.blocker().Code == ""
}

// Sweep looks at a connection because the schedule says so: a serving role is checked again, one that waited too long
// expires, a run whose message was lost goes on. A healthy role costs one read, two calls of STS and one small write.
func (u Verifications) Sweep(ctx context.Context, id ConnectionID) error {
	c, err := u.Store.Bare(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	now := u.Clock()
	if c.lostRun(now) {
		return u.takeUp(ctx, c)
	}
	if c, err = u.tendRevocation(ctx, c); err != nil {
		return err
	}
	switch c.s.Status {
	case StatusEnabled, StatusDegraded:
		err = u.sweepServing(ctx, c)
	case StatusPending:
		if c.Expired(now) {
			ch, expireErr := c.Expire(now)
			if expireErr != nil {
				return expireErr
			}
			err = u.Store.Commit(ctx, ch)
			break
		}
		err = u.offboardingProbe(ctx, c)
	case StatusDisconnected, StatusExpired, StatusDeleted:
		err = u.offboardingProbe(ctx, c)
	case StatusVerifying, StatusFailed:
	}
	if errors.Is(err, ErrConflict) {
		return nil // somebody else has just seen to it
	}
	return err
}

// takeUp goes on with a run whose message was lost. The minute in which it is due goes by unwritten, so that somebody looks
// again, in case this message is lost as well.
func (u Verifications) takeUp(ctx context.Context, c Connection) error {
	v := c.s.Verification
	if err := u.Jobs.Verify(ctx, VerifyJob{ConnectionID: c.s.ID, Run: v.Run, Attempt: v.Attempt}, 0); err != nil {
		return err
	}
	return u.Sweeps.Sweep(ctx, []ConnectionID{c.s.ID}, degradedInterval)
}

// sweepServing checks the role or the key of a connection that serves, or served until it degraded.
func (u Verifications) sweepServing(ctx context.Context, c Connection) error {
	o, err := u.look(ctx, c)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil && !o.answered() {
		return err // the end has come, and not from AWS
	}
	if c, err = u.settle(ctx, c, o, ActorRolecall); err != nil {
		return err
	}
	if err := u.warn(ctx, c); err != nil {
		return err
	}
	if o.answered() || c.s.NextVerificationAt.IsZero() {
		return nil
	}
	// Nothing was found out and so nothing was written: the minute in which it is due has gone by.
	return u.Sweeps.Sweep(ctx, []ConnectionID{c.s.ID}, degradedInterval)
}

// look makes all checks once a week, after the customer's stack has changed the role, and as long as denials are being
// counted: two checks could neither confirm nor clear what another one has found.
func (u Verifications) look(ctx context.Context, c Connection) (Outcome, error) {
	ctx, done := context.WithTimeout(ctx, probeTime)
	defer done()
	full := c.s.watched() || c.s.Status == StatusDegraded || fullTurn(c.s.ID, u.Interval, u.Clock())
	switch {
	case c.s.Method == MethodAccessKey:
		return u.Keys.look(ctx, c, full)
	case full:
		return u.Verifier.Verify(ctx, c.subject(c.s.RoleARN)), nil
	}
	return u.Verifier.Recheck(ctx, c.subject(c.s.RoleARN)), nil
}
