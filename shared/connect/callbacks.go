package connect

import (
	"context"
	"errors"
	"slices"
	"time"
)

// A ReplyTo is where CloudFormation waits for the answer to one request.
type ReplyTo struct {
	URL       Secret // signed: whoever has it can answer
	StackID   string
	RequestID string
	LogicalID string
	// PhysicalID is the connection's id, or the enrolment's and the account, always: a changed one would make
	// CloudFormation replace the resource.
	PhysicalID string
	// Until is when CloudFormation stops waiting; an answer after that is nobody's.
	Until time.Time
	// Expires is when the URL's signature ends. CloudFormation takes no answer after that.
	Expires time.Time
}

// AnswerTime is the ServiceTimeout of the template's custom resources: how long CloudFormation waits for an answer.
const AnswerTime = 5 * time.Minute

// lastCall is how long before CloudFormation stops waiting a stack is told of a failure of ours.
const lastCall = 75 * time.Second

// late reports whether a stack must be answered now: soon nobody listens.
func (to ReplyTo) late(now time.Time) bool { return !now.Before(to.Until.Add(-lastCall)) }

// A CallbackRequest is a custom resource's request as a stranger sent it: parsed, but nothing in it is proven.
type CallbackRequest struct {
	Callback      Callback // without its ids of ours, TokenValid, Launch, RoleARN and what is made of PermissionSet
	ConnectionID  string
	EnrolmentID   string // instead of the connection's, of an account of an organization
	Token         Secret
	RoleARN       string
	PermissionSet string // "" of templates before 1.2.0
	ReplyTo       ReplyTo
}

// CallbackTokens prove the tokens of callbacks: a wrong one is an [Error] of CodeTokenInvalid.
type CallbackTokens interface {
	// Launch is the number of the launch that the token belongs to.
	Launch(ctx context.Context, id ConnectionID, token Secret) (int, error)
	// ProveEnrolment refuses a token that is not the enrolment's.
	ProveEnrolment(ctx context.Context, id EnrolmentID, token Secret) error
}

// Callbacks receives what customers' stacks report. Nothing of a request is stored, counted or lifted before CloudFormation has
// taken our answer to it: that proves that CloudFormation made it.
type Callbacks struct {
	Store    StandingStore
	Tokens   CallbackTokens
	Jobs     Jobs
	Answerer Answerer
	Settling Settling
	Clock    func() time.Time
	// Account is the platform's own, whose roles are nobody's to connect.
	Account AccountID
	// Offers are the permission sets that stacks may report.
	Offers []Permissions
}

// Receive answers a request and then does what it asks for, or queues the first attempt to prove the role that it reports.
// [ErrAnswerRefused] says that CloudFormation did not make the request: it is to be dropped. Any other error means that nothing is
// known to be durable: the request must be delivered again.
func (u Callbacks) Receive(ctx context.Context, r CallbackRequest) error {
	r.ReplyTo.Until = r.Callback.SentAt.Add(AnswerTime)
	cb, err := u.read(r)
	if unknown(err) {
		return u.Answerer.Answer(ctx, r.ReplyTo, refusal(cb, asError(err)).reply)
	}
	if err != nil {
		return u.Answerer.Answer(ctx, r.ReplyTo, refuse(asError(err)))
	}
	if cb.Type == RequestDelete {
		return u.receiveDelete(ctx, r, cb)
	}
	g, err := u.stand(ctx, r, &cb)
	if unknown(err) {
		return u.Answerer.Answer(ctx, r.ReplyTo, refusal(cb, asError(err)).reply)
	}
	if err != nil {
		return err
	}
	ruled := g.rule(cb, u.Clock())
	if ruled.step == stepReport {
		return u.Jobs.Report(ctx, ReportJob{Report: cb, Bound: g.bound(cb), StartedAt: u.Clock(), ReplyTo: r.ReplyTo}, 0)
	}
	if err := u.Answerer.Answer(ctx, r.ReplyTo, ruled.reply); err != nil {
		return u.unsure(ctx, r, cb, ruled.reply, err)
	}
	if ruled.step == stepNothing {
		return nil
	}
	return u.later(ctx, r, cb, u.Settling.from(ctx, g, cb, nil))
}

// receiveDelete answers before anything is read: a customer must be able to delete a stack whatever has become of us.
func (u Callbacks) receiveDelete(ctx context.Context, r CallbackRequest, cb Callback) error {
	if err := u.Answerer.Answer(ctx, r.ReplyTo, succeed()); err != nil {
		return u.unsure(ctx, r, cb, succeed(), err)
	}
	g, err := u.stand(ctx, r, &cb)
	switch {
	case unknown(err):
		return nil
	case err != nil && !g.exists():
		return u.later(ctx, r, cb, err)
	}
	// A bound stack needs no token, and little is lost where that of another one cannot be proven now.
	return u.later(ctx, r, cb, u.Settling.from(ctx, g, cb, nil))
}

// unsure has an answer given again of which nobody knows whether it was taken.
func (u Callbacks) unsure(ctx context.Context, r CallbackRequest, cb Callback, reply Reply, why error) error {
	if errors.Is(why, ErrAnswerRefused) {
		return why
	}
	job := ReportJob{Report: cb, StartedAt: u.Clock(), ReplyTo: r.ReplyTo, Verdict: &ReportVerdict{Reply: reply}}
	if err := u.Jobs.Report(ctx, job, answerAgain); err != nil {
		return errors.Join(why, err)
	}
	return nil
}

// later has what CloudFormation has taken committed by the queue, where it could not be now. It is not answered again.
func (u Callbacks) later(ctx context.Context, r CallbackRequest, cb Callback, why error) error {
	if why == nil {
		return nil
	}
	job := ReportJob{Report: cb, StartedAt: u.Clock(), ReplyTo: r.ReplyTo, Taken: true}
	if err := u.Jobs.Report(ctx, job, settleAgain(0)); err != nil {
		return errors.Join(why, err)
	}
	return nil
}

// GiveUp is for a request that failed with why and may go on failing until nobody listens any more. Before that, a stack's
// creation is told so. An update is told SUCCESS, since none of a customer's may fail because of us: its role is verified
// when we can.
func (u Callbacks) GiveUp(ctx context.Context, r CallbackRequest, why error) error {
	r.ReplyTo.Until = r.Callback.SentAt.Add(AnswerTime)
	if r.Callback.Type == RequestDelete || !r.ReplyTo.late(u.Clock()) || errors.Is(why, ErrAnswerRefused) {
		return why
	}
	cb, err := u.read(r)
	if err == nil && cb.Type == RequestUpdate && cb.Resource != ResourceStackStarted {
		return u.Jobs.Report(ctx, ReportJob{Report: cb, StartedAt: u.Clock(), ReplyTo: r.ReplyTo, Verdict: &ReportVerdict{Reply: succeed(), Open: true}}, 0)
	}
	return u.Answerer.Answer(ctx, r.ReplyTo, refusal(r.Callback, ErrTrouble).reply)
}

// read takes what a request says, without asking anybody.
func (u Callbacks) read(r CallbackRequest) (cb Callback, err error) {
	cb = r.Callback
	if cb.Resource == ResourceMember || (cb.Resource == ResourceStackStarted && r.ConnectionID == "") {
		cb.EnrolmentID, err = ParseEnrolmentID(r.EnrolmentID)
	} else {
		cb.ConnectionID, err = ParseConnectionID(r.ConnectionID)
	}
	if err != nil || cb.Resource == ResourceStackStarted || cb.Type == RequestDelete {
		return cb, err
	}
	if cb.RoleARN, err = ParseRoleARN(r.RoleARN); err != nil {
		return cb, err
	}
	if err := refuseOwn(cb.RoleARN, u.Account); err != nil {
		return cb, err
	}
	return cb, u.readGrant(&cb, r.PermissionSet)
}

// stand reads what is known of the request's stack, and proves its token where that matters: a stack that speaks through a
// recorded logical id needs none, except that a reported role is tried again and again only with one.
func (u Callbacks) stand(ctx context.Context, r CallbackRequest, cb *Callback) (standing, error) {
	g, err := stand(ctx, u.Store, *cb)
	if err != nil {
		return g, err
	}
	reports := cb.Type != RequestDelete && cb.Resource != ResourceStackStarted && !g.connection.s.Stack.has(cb.RoleARN)
	if g.exists() && g.connection.recorded(g.fence, *cb) && !reports {
		return g, nil
	}
	if err := prove(ctx, u.Tokens, cb, r.Token); err != nil || !cb.TokenValid || !cb.ofMember() {
		return g, err
	}
	return g, serving(ctx, u.Store, *cb, &g)
}

// prove finds out whether the request has a valid token. An error says that the key did not answer.
func prove(ctx context.Context, tokens CallbackTokens, cb *Callback, token Secret) error {
	var err error
	if cb.ofMember() {
		err = tokens.ProveEnrolment(ctx, cb.EnrolmentID, token)
	} else {
		cb.Launch, err = tokens.Launch(ctx, cb.ConnectionID, token)
	}
	cb.TokenValid = err == nil
	if aboutRequest(err) {
		return nil
	}
	return err
}

// aboutRequest reports whether an error is about the request, and not one of ours that may pass.
func aboutRequest(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind != KindUnavailable && e.Kind != KindInternal
}

func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return ErrTrouble
}

func refuseOwn(arn RoleARN, platform AccountID) error {
	if arn.Account() != platform {
		return nil
	}
	return &Error{
		Kind: KindInvalid, Code: CodeOwnAccount, Message: "this role belongs to the platform's own account",
		Fix: "Connect the account of a customer.",
	}
}

// readGrant takes the permission set that a stack reports; it must be one of ours, to the letter.
func (u Callbacks) readGrant(cb *Callback, set string) error {
	if set == "" {
		return nil
	}
	cb.Grant.Permissions = Permissions(set)
	if slices.Contains(u.Offers, cb.Grant.Permissions) {
		return nil
	}
	cb.Grant.Withdrawn = true
	if cb.Grant.Permissions != PermissionsCustom {
		return errNotOffered
	}
	return nil
}
