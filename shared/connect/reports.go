package connect

import (
	"context"
	"errors"
	"time"
)

// A ReportJob is a stack's request on its way: a role to be proven, a verdict to be told, or what has been told and is to be
// committed. Nothing of it is written anywhere else before CloudFormation has taken the answer.
type ReportJob struct {
	Report      Callback
	Bound       bool // the stack was the connection's when the report came
	StartedAt   time.Time
	Attempt     int // attempts made so far to prove the role
	ReplyTo     ReplyTo
	Verdict     *ReportVerdict // nil while the role is being proven, and of requests that report none
	Taken       bool           // CloudFormation has taken the answer: it is given no more
	Settled     int            // attempts made so far to commit, or to answer a Delete that nobody waits for any more
	Redelivered bool           // an earlier delivery of the same message did not end well; not part of the message
}

// awaited is until when an answer is of use. That a stack is being deleted is worth knowing for as long as CloudFormation takes the
// answer, though it waits no more.
func (j ReportJob) awaited() time.Time {
	if j.Report.Type == RequestDelete && j.ReplyTo.Expires.After(j.ReplyTo.Until) {
		return j.ReplyTo.Expires
	}
	return j.ReplyTo.Until
}

func (j ReportJob) deadline() time.Time { return j.StartedAt.Add(settleTime) }

// A RoleHolder knows who has a role.
type RoleHolder interface {
	// RoleHolder is the tenant's connection that has the role, serving or on trial; "" where none has.
	RoleHolder(ctx context.Context, tenant TenantID, role RoleARN) (ConnectionID, error)
}

// Reports prove the roles that stacks report, answer the stacks, and commit what CloudFormation has taken.
type Reports struct {
	Store    StandingStore
	Holders  RoleHolder
	Verifier Verifier
	Answerer Answerer
	Jobs     Jobs
	Settling Settling
	Limits   ReportLimits
	Clock    func() time.Time
	Jitter   func() float64 // in [-1,1]
}

// Work does the next step of a job. [ErrAnswerRefused] says that CloudFormation did not make the request: the job is to be dropped.
func (u Reports) Work(ctx context.Context, job ReportJob) error {
	switch {
	case job.Taken:
		return u.settle(ctx, job)
	case job.Verdict != nil:
		return u.tell(ctx, job)
	}
	return u.attempt(ctx, job)
}

// attempt tries to prove the role once. A verdict goes into the queue before anybody is told.
func (u Reports) attempt(ctx context.Context, job ReportJob) error {
	now := u.Clock()
	if now.After(job.ReplyTo.Until) {
		return nil // nobody waits any more
	}
	g, err := stand(ctx, u.Store, job.Report)
	if unknown(err) {
		return u.decided(ctx, job, ReportVerdict{Reply: refusal(job.Report, asError(err)).reply})
	}
	if err != nil {
		return err
	}
	if ruled := g.rule(job.Report, now); ruled.step != stepReport {
		return u.decided(ctx, job, ReportVerdict{Reply: ruled.reply})
	}
	if job.ReplyTo.late(now) && job.Attempt > 0 {
		return u.decided(ctx, job, lateVerdict(job.Report))
	}
	if wait := u.Limits.wait(ctx, g, job); wait > 0 {
		return u.Jobs.Report(ctx, job, wait)
	}
	probing, done := context.WithTimeout(ctx, probeTime)
	o := u.Verifier.Verify(probing, g.subject(job.Report))
	done()
	v, err := u.verdict(ctx, g, job, o)
	if err != nil {
		return err
	}
	if v != nil {
		return u.decided(ctx, job, *v)
	}
	at := nextTry(Verification{StartedAt: job.StartedAt, Attempt: job.Attempt, Deadline: job.deadline()}, u.Jitter(), u.Clock())
	job.Attempt++
	return u.Jobs.Report(ctx, job, at.Sub(u.Clock()))
}

// verdict is what an outcome says; nil while IAM may still be spreading what the customer has just made. A report without a valid
// token is tried once: each of our templates sends one, and a stranger who names a customer's stack does not have it.
func (u Reports) verdict(ctx context.Context, g standing, job ReportJob, o Outcome) (*ReportVerdict, error) {
	over := !u.Clock().Before(job.deadline()) || !job.Report.TokenValid
	reason, settling, denied := o.denial()
	switch {
	case o.Proven() && (over || !unread(o)):
		return u.proven(ctx, g, job, o)
	case denied && (over || !settling):
		return &ReportVerdict{Reply: Reply{Reason: reason}, Outcome: o, Attempt: job.Attempt}, nil
	case over && job.Attempt+1 >= len(tries()), !job.Report.TokenValid:
		return &ReportVerdict{Reply: succeed(), Outcome: o, Attempt: job.Attempt, Open: true}, nil
	}
	return nil, nil
}

// proven is the verdict on a role that passed, unless another connection of the tenant has it.
func (u Reports) proven(ctx context.Context, g standing, job ReportJob, o Outcome) (*ReportVerdict, error) {
	tenant := g.subjectOf(job.Report).s.TenantID
	holder, err := u.Holders.RoleHolder(ctx, tenant, job.Report.RoleARN)
	if err != nil {
		return nil, err
	}
	if holder != "" && holder != g.connection.s.ID {
		return &ReportVerdict{Reply: refuse(ErrRoleInUse), Outcome: o, Attempt: job.Attempt}, nil
	}
	return &ReportVerdict{Reply: succeed(), Outcome: o, Attempt: job.Attempt}, nil
}

// unread reports whether the trust policy could not be read yet: roles of our templates can read their own.
func unread(o Outcome) bool {
	for _, k := range o.Checks {
		if k.Name == CheckTrustPolicy {
			return k.Verdict == Unknown
		}
	}
	return false
}

// subject is the role that a stack reports, as it would be verified if it were the connection's.
func (g standing) subject(r Callback) Subject {
	c := g.subjectOf(r)
	s := c.subject(r.RoleARN)
	s.Permissions, s.PolicyDigest = c.granted(r), r.Grant.PolicyDigest
	return s
}

// lateVerdict is told when soon nobody listens. No update of a customer's fails because of us.
func lateVerdict(r Callback) ReportVerdict {
	if r.Type == RequestUpdate {
		return ReportVerdict{Reply: succeed(), Open: true}
	}
	return ReportVerdict{Reply: refuse(ErrTrouble)}
}

func (u Reports) decided(ctx context.Context, job ReportJob, v ReportVerdict) error {
	job.Verdict = &v
	return u.Jobs.Report(ctx, job, 0)
}

// tell gives the verdict to the stack and commits what it leads to. What has been told never changes; before that, what has
// happened to the connection since counts.
func (u Reports) tell(ctx context.Context, job ReportJob) error {
	now := u.Clock()
	if now.After(job.awaited()) {
		return nil
	}
	if !job.Redelivered && job.Verdict.Reply.OK && !job.Verdict.Open {
		g, err := stand(ctx, u.Store, job.Report)
		if err != nil && !unknown(err) {
			return err
		}
		if ruled := g.rule(job.Report, u.Clock()); ruled.step == stepNothing && !ruled.reply.OK {
			return u.decided(ctx, job, ReportVerdict{Reply: ruled.reply})
		}
	}
	err := u.Answerer.Answer(ctx, job.ReplyTo, job.Verdict.Reply)
	if errors.Is(err, ErrAnswerRefused) {
		return err
	}
	if err != nil {
		wait := answerAgain
		if now.After(job.ReplyTo.Until) {
			job.Settled++
			wait = settleAgain(job.Settled)
		}
		return u.Jobs.Report(ctx, job, wait)
	}
	job.Taken, job.Settled = true, 0
	return u.settle(ctx, job)
}

// Pauses between attempts to commit what CloudFormation has taken.
const (
	firstSettle = 15 * time.Second
	lastSettle  = 15 * time.Minute
	// settleTries keep a job for as long as its queue would keep it: four days.
	settleTries = 4 * 24 * 4
)

// settleAgain is how long a job waits that has failed so often.
func settleAgain(failed int) time.Duration {
	d := firstSettle
	for ; failed > 0 && d < lastSettle; failed-- {
		d *= 2
	}
	return min(d, lastSettle)
}

// settle commits what CloudFormation has taken. What cannot be committed now waits, and is not answered again.
func (u Reports) settle(ctx context.Context, job ReportJob) error {
	err := u.Settling.Settle(ctx, job.Report, job.Verdict)
	if err == nil {
		return nil
	}
	if job.Settled == settleTries {
		return err
	}
	wait := settleAgain(job.Settled)
	job.Settled++
	if again := u.Jobs.Report(ctx, job, wait); again != nil {
		return errors.Join(err, again)
	}
	return nil
}

// GiveUp is for a job that failed with why and may go on failing until nobody listens any more: the stack is told before that. The
// error is nil where another message goes on with the job.
func (u Reports) GiveUp(ctx context.Context, job ReportJob, why error) error {
	if job.Taken || job.Verdict != nil || errors.Is(why, ErrAnswerRefused) || !job.ReplyTo.late(u.Clock()) {
		return why
	}
	if err := u.decided(ctx, job, lateVerdict(job.Report)); err != nil {
		return errors.Join(why, err)
	}
	return nil
}

// ReportLimits bound the further attempts to prove reported roles. They delay, and never refuse; first attempts are never
// delayed.
type ReportLimits struct {
	Store LeaseStore // nil for no limits
	Clock func() time.Time
}

const (
	// RationedReports are the runs of further attempts; those of an account's own stack are counted by the account.
	RationedReports Rationed = "reports"

	accountRuns   = 30 // of further attempts, in accountWindow, of the stacks of one account that are bound
	accountWindow = 10 * time.Minute
	otherRuns     = 60 // in a minute and for one tenant, of all other stacks
)

// wait is how long a job is to wait before its first further attempt; zero for not at all. Trouble with the count delays nobody.
func (l ReportLimits) wait(ctx context.Context, g standing, job ReportJob) time.Duration {
	if l.Store == nil || job.Attempt != 1 {
		return 0
	}
	now := l.Clock().UTC()
	of, window, most := RationedReports, time.Minute, otherRuns
	if job.Bound {
		of, window, most = RationedReports+"#"+Rationed(job.Report.StackID.Account()), accountWindow, accountRuns
	}
	begin := now.Truncate(window)
	ok, err := l.Store.Lease(ctx, g.subjectOf(job.Report).s.TenantID, of, begin, 1, most)
	if ok || err != nil {
		return 0
	}
	return min(begin.Add(window).Sub(now), max(time.Second, job.ReplyTo.Until.Add(-lastCall).Sub(now)))
}
