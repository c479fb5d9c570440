package connect

import (
	"context"
	"errors"
	"io"
	"time"
)

// A Contender is the report of an account's stack that cannot be written down: another stack's role is on trial for the
// account, or more accounts than may have reported to the enrolment and proven nothing. It is tried all the same, and only
// once it is proven does it get the account's connection, or one for its account. So nobody who makes reports up stands in
// the way of a stack that is there, and nothing is kept of what does not prove itself.
type Contender struct {
	EnrolmentID EnrolmentID
	Report      Callback
	StartedAt   time.Time
	Verdict     *Reply // what its stack is to be told, and could not be yet; nil while it is tried
}

// deadline is from when a denial is definitive.
func (k Contender) deadline() time.Time { return k.StartedAt.Add(settleTime) }

// MaxContenders is how many reports of one tenant's accounts may begin to contend in a minute. The others come again.
const MaxContenders = 300

// admitContender counts a report that is to contend. One that comes at a time of too many is delivered again.
func (u Callbacks) admitContender(ctx context.Context, e Enrolment) error {
	if err := u.Members.Limit.Admit(ctx, e.s.TenantID); err != nil {
		return Unavailable(CodeTooManyRequests, "too many reports compete for accounts", err)
	}
	return nil
}

// contend queues the first try of a report that competes with others.
func (u Callbacks) contend(ctx context.Context, e Enrolment, r CallbackRequest) (*Reply, error) {
	report, reply := r.Callback, r.ReplyTo
	report.Type = RequestCreate // for this connection it is as good as new, whatever it is for its stack
	reply.Until = report.SentAt.Add(AnswerTime)
	job := VerifyJob{Contender: &Contender{EnrolmentID: e.s.ID, Report: report, StartedAt: u.Clock()}, ReplyTo: &reply}
	return nil, u.Jobs.Verify(ctx, job, 0)
}

// A ContestStore is what trying contenders needs of a store.
type ContestStore interface {
	Membership(ctx context.Context, id EnrolmentID, stack StackID) (Membership, error)
	ConnectionAndFence(ctx context.Context, id ConnectionID, stack StackID) (Connection, Fence, error)
	Commit(ctx context.Context, ch Change) error
}

// Contests try contenders.
type Contests struct {
	Store  ContestStore
	Random io.Reader
}

// A contest is where a contender stands: Connection is the account's, its zero value where it has none.
type contest struct {
	Contender
	membership Membership
	connection Connection
	fence      Fence
}

// contested makes one try of a contender, and answers its stack once it has won or lost. The try of one that nobody waits
// for any more is the last.
func (u Verifications) contested(ctx context.Context, job VerifyJob) error {
	if v := job.Contender.Verdict; v != nil {
		return u.tell(ctx, job, *v)
	}
	g, err := u.Contests.read(ctx, *job.Contender)
	if err != nil {
		return err
	}
	if reply := g.decided(); reply != nil {
		return u.tell(ctx, job, *reply)
	}
	probing, done := context.WithTimeout(ctx, probeTime)
	o := u.Verifier.Verify(probing, g.subject())
	done()
	now := u.Clock()
	over := !now.Before(g.deadline())
	reason, settling, denied := o.denial()
	switch {
	case o.Proven() && (over || !unread(o)):
		reply, err := u.Contests.win(ctx, g, o, now)
		if err != nil {
			return err
		}
		return u.tell(ctx, job, reply)
	case denied && (over || !settling):
		u.Contests.lose(ctx, g, o, reason, now)
		return u.tell(ctx, job, Reply{Reason: reason})
	}
	waiting := job.ReplyTo.awaited(now)
	if waiting == nil {
		return nil
	}
	at := nextTry(Verification{StartedAt: g.StartedAt, Attempt: job.Attempt, Deadline: g.deadline()}, u.Jitter(), now)
	return u.Jobs.Verify(ctx, VerifyJob{Contender: job.Contender, Attempt: job.Attempt + 1, ReplyTo: waiting}, at.Sub(now))
}

// tell answers the contender's stack; an answer that could not be given is given later, without another try.
func (u Verifications) tell(ctx context.Context, job VerifyJob, r Reply) error {
	to := job.ReplyTo.awaited(u.Clock())
	if to == nil || u.Answerer.Answer(ctx, *to, r) == nil {
		return nil
	}
	k := *job.Contender
	k.Verdict = &r
	return u.Jobs.Verify(ctx, VerifyJob{Contender: &k, Attempt: job.Attempt, ReplyTo: to}, answerAgain)
}

// unread says that the trust policy could not be read yet; roles of the accounts' template can read their own.
func unread(o Outcome) bool {
	for _, k := range o.Checks {
		if k.Name == CheckTrustPolicy {
			return k.Verdict == Unknown
		}
	}
	return false
}

func (u Contests) read(ctx context.Context, k Contender) (contest, error) {
	g := contest{Contender: k}
	var err error
	if g.membership, err = u.Store.Membership(ctx, k.EnrolmentID, k.Report.StackID); err != nil {
		return g, err
	}
	if m := g.membership.Member; m != nil && m.Own != "" {
		g.connection, g.fence, err = u.Store.ConnectionAndFence(ctx, m.Own, k.Report.StackID)
	}
	return g, err
}

// exists says that the account has a connection of the enrolment's.
func (g contest) exists() bool { return g.connection.s.ID != "" }

// decided is the answer where there is nothing to be tried any more; nil where there is.
func (g contest) decided() *Reply {
	c, stack := g.connection, g.Report.StackID
	switch {
	case g.membership.StackDeleted || g.fence.Deleted:
		return &Reply{Reason: errStackDeleted.Reason()}
	case c.s.Status == StatusDeleted:
		return &Reply{Reason: errMemberDeleted.Reason()}
	case c.serves(g.Report.RoleARN):
		return &Reply{OK: true}
	case c.s.Status == StatusEnabled:
		return &Reply{Reason: errAccountConnected.Reason()}
	case g.membership.Enrolment.s.Status == EnrolmentRevoked && (!g.exists() || c.s.Stack.ID != stack):
		return &Reply{Reason: errEnrolmentRevoked.Reason()}
	}
	return nil
}

// subject is the contender's role, as it would be verified if it were the connection's.
func (g contest) subject() Subject {
	e := g.membership.Enrolment
	s := Subject{
		RoleARN: g.Report.RoleARN, ExternalID: e.ExternalID(g.Report.StackID.Account()), Region: e.s.DefaultRegion,
		Permissions: e.s.Permissions, Organization: e.s.OrganizationID, PolicyDigest: g.Report.Grant.PolicyDigest,
	}
	if g.exists() {
		s.Region, s.Permissions = g.connection.s.DefaultRegion, g.connection.s.Requested
	}
	if p := g.Report.Grant.Permissions; p != "" {
		s.Permissions = p
	}
	return s
}

// reported is the change by which the contender's report is taken, which makes the connection where there is none. The
// attempt numbers the names that were tried.
func (g contest) reported(random io.Reader, attempt int, now time.Time) (Change, error) {
	c, stack := g.connection, g.Report.StackID
	if g.exists() {
		return c.contended(g.fence, g.Report, now)
	}
	id, err := NewConnectionID(now, random)
	if err != nil {
		return Change{}, err
	}
	made := g.membership.Enrolment.Connect(stack.Account(), stack, id, attempt, now)
	reported, err := made.Connection().contended(g.fence, g.Report, now)
	return made.then(reported), err
}

// contended takes a report although another stack's role is on trial, which is forgotten with it.
func (c Connection) contended(f Fence, r Callback, now time.Time) (Change, error) {
	d := c.roleReported(f, r, now)
	if d.Change == nil || d.Run == 0 {
		return Change{}, &Error{Kind: KindConflict, Code: d.Reply.Reason.Code, Message: d.Reply.Reason.Message, Fix: d.Reply.Reason.Fix}
	}
	d.Change.joins = r.StackID
	return *d.Change, nil
}

// win gives the account's connection to the contender, in one change with all that led to it.
func (u Contests) win(ctx context.Context, g contest, o Outcome, now time.Time) (Reply, error) {
	attempt := 1
	var err error
	for range attempts + memberNames {
		var ch Change
		if ch, err = g.reported(u.Random, attempt, now); err == nil {
			err = u.commit(ctx, ch, o, now)
		}
		var e *Error
		switch {
		case err == nil:
			return Reply{OK: true}, nil
		case errors.Is(err, ErrNameTaken) && !g.exists():
			attempt++
			continue
		case errors.As(err, &e) && e.Kind != KindUnavailable && e.Kind != KindInternal:
			return Reply{Reason: e.Reason()}, nil
		case !errors.Is(err, ErrConflict):
			return Reply{}, err
		}
		if g, err = u.read(ctx, g.Contender); err != nil {
			return Reply{}, err
		}
		if reply := g.decided(); reply != nil {
			return *reply, nil
		}
	}
	return Reply{}, ErrConflict
}

// commit enables what was reported, or has it give way where another enrolment serves the account.
func (u Contests) commit(ctx context.Context, reported Change, o Outcome, now time.Time) error {
	c := reported.Connection()
	err := u.Store.Commit(ctx, reported.then(c.provenChange(o, now)))
	holder, held := holderIn(err)
	if !held {
		return err
	}
	to, _, err := u.Store.ConnectionAndFence(ctx, holder, c.s.Stack.ID)
	switch {
	case err != nil:
		return err
	case !to.usable():
		return ErrConflict
	}
	return u.Store.Commit(ctx, reported.then(c.giveWay(to, ActorRolecall, now, func(*Snapshot) {})))
}

// lose keeps why the contender failed, where no other role is on trial or serves by now. It is for the account's line alone:
// the stack is told anyway.
func (u Contests) lose(ctx context.Context, g contest, o Outcome, reason Reason, now time.Time) {
	if !g.exists() || g.connection.mayRebind() != nil {
		return
	}
	if ch, err := g.reported(u.Random, 1, now); err == nil {
		c := ch.Connection()
		_ = u.Store.Commit(ctx, ch.then(c.refusedChange(o, reason, now)))
	}
}
