package connect

import (
	"context"
	"errors"
	"io"
	"time"
)

// A StandingStore reads what is known of the stacks that report, consistently.
type StandingStore interface {
	// ConnectionAndFence reads the connection and then the fence; ErrNotFound where there is no such connection, the zero Fence where the
	// stack has none.
	ConnectionAndFence(ctx context.Context, id ConnectionID, stack StackID) (Connection, Fence, error)
	// Membership is what is known of an account of an organization; ErrEnrolmentNotFound where there is no such enrolment.
	Membership(ctx context.Context, id EnrolmentID, stack StackID) (Membership, error)
	// Serving is a connection of the tenant's that is enabled or degraded for the account; ok is false where there is none.
	// One that no enrolment made and that has just become so may be missed.
	Serving(ctx context.Context, tenant TenantID, account AccountID) (c Connection, ok bool, err error)
}

// A SettlingStore writes what requests lead to.
type SettlingStore interface {
	StandingStore
	Commit(ctx context.Context, ch Change) error
	// CommitMember writes the change; ErrConflict where the account or the stack is no longer as it was read.
	CommitMember(ctx context.Context, ch MemberChange) error
	// KeepFence remembers a stack that is not the connection's, for ever. With a time it remembers until then a stack of which nothing
	// has been known; ErrConflict where something is by now.
	KeepFence(ctx context.Context, id ConnectionID, f Fence, until time.Time) error
	// Note keeps an event beside the connection's state.
	Note(ctx context.Context, e Event) error
}

// A Settling commits what requests lead to that CloudFormation has taken the answer to.
type Settling struct {
	Store  SettlingStore
	Jobs   Jobs
	Random io.Reader
	Clock  func() time.Time
}

// stand reads what is known of a request's stack.
func stand(ctx context.Context, store StandingStore, r Callback) (standing, error) {
	var g standing
	var err error
	id := r.ConnectionID
	if r.ofMember() {
		var m Membership
		if m, err = store.Membership(ctx, r.EnrolmentID, r.StackID); err != nil {
			return g, err
		}
		g.membership = &m
		if m.Member == nil || m.Member.Own == "" {
			return g, serving(ctx, store, r, &g)
		}
		id = m.Member.Own
	}
	g.connection, g.fence, err = store.ConnectionAndFence(ctx, id, r.StackID)
	if err != nil || !r.ofMember() {
		return g, err
	}
	return g, serving(ctx, store, r, &g)
}

// serving looks for the other connection that an account of an organization is linked to, or is to be linked to. That takes more
// than one read, so nobody has it done who has shown no token.
func serving(ctx context.Context, store StandingStore, r Callback, g *standing) error {
	if !r.TokenValid && !g.bound(r) {
		return nil
	}
	if to := g.linkedTo(); to != "" {
		var err error
		g.serving, _, err = store.ConnectionAndFence(ctx, to, r.StackID)
		if err != nil || g.serving.usable() || r.Type == RequestDelete {
			return err
		}
		g.serving = Connection{}
	}
	if r.Type == RequestDelete || g.gone() || (g.exists() && !g.connection.mayRebind()) {
		return nil
	}
	c, ok, err := store.Serving(ctx, g.membership.Enrolment.s.TenantID, r.StackID.Account())
	if ok {
		g.serving = c
	}
	return err
}

// linkedTo is the connection that the account has been linked to; "" for none.
func (g standing) linkedTo() ConnectionID {
	if g.exists() {
		return g.connection.s.LinkedTo
	}
	if m := g.membership.Member; m != nil && m.State == MemberLinked {
		return m.ConnectionID
	}
	return ""
}

// Settle commits what a request leads to whose answer CloudFormation has taken, in one transaction. v is the verdict on a role that
// was reported; nil for other requests. It can be repeated: what has been committed is not committed again.
func (u Settling) Settle(ctx context.Context, r Callback, v *ReportVerdict) error {
	g, err := stand(ctx, u.Store, r)
	if unknown(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return u.from(ctx, g, r, v)
}

// from settles a request whose standing has been read, and reads it again whenever it has changed since.
func (u Settling) from(ctx context.Context, g standing, r Callback, v *ReportVerdict) error {
	m := maker{now: u.Clock(), random: u.Random, attempt: 1}
	for range attempts + memberNames {
		e, err := g.effect(r, v, m)
		if err != nil {
			return err
		}
		err = u.commit(ctx, g, e)
		switch {
		case errors.Is(err, ErrNameTaken) && !g.exists():
			m.attempt++
		case errors.Is(err, ErrConflict):
		case err != nil:
			return u.overtaken(ctx, g, r, err)
		default:
			return u.follow(ctx, e, r)
		}
		if g, err = stand(ctx, u.Store, r); err != nil {
			return err
		}
	}
	return ErrConflict
}

// unknown reports whether the request names nothing that there is.
func unknown(err error) bool {
	return errors.Is(err, ErrNotFound) || errors.Is(err, ErrEnrolmentNotFound)
}

func (u Settling) commit(ctx context.Context, g standing, e effect) error {
	switch {
	case e.change != nil:
		err := u.Store.Commit(ctx, *e.change)
		if holder, held := holderIn(err); held && e.reported != nil {
			return u.giveWay(ctx, *e.reported, holder)
		}
		return err
	case e.member != nil:
		return u.Store.CommitMember(ctx, *e.member)
	case e.fence != nil:
		return u.Store.KeepFence(ctx, g.connection.s.ID, *e.fence, e.until)
	case e.note != nil:
		return u.Store.Note(ctx, *e.note)
	}
	return nil
}

// giveWay commits that the proven connection gives way to another enrolment's, which serves the account already.
func (u Settling) giveWay(ctx context.Context, reported Change, holder ConnectionID) error {
	to, _, err := u.Store.ConnectionAndFence(ctx, holder, reported.after.Stack.ID)
	switch {
	case err != nil:
		return err
	case !to.usable():
		return ErrConflict
	}
	c := reported.Connection()
	return u.Store.Commit(ctx, reported.then(c.giveWay(to, ActorRolecall, u.Clock(), func(*Snapshot) {})))
}

// overtaken keeps why a role that was proven could not be the connection's after all.
func (u Settling) overtaken(ctx context.Context, g standing, r Callback, why error) error {
	e, definite := g.refusedBy(why, r, u.Clock())
	if !definite {
		return why
	}
	return u.commit(ctx, g, e)
}

// follow queues what a change has to be followed by: the run that it began, or the removal of our policy that keeps
// CloudFormation from deleting the role.
func (u Settling) follow(ctx context.Context, e effect, r Callback) error {
	if e.change == nil {
		return nil
	}
	c := e.change.Connection()
	if v, ok := c.Trial(); ok && e.run {
		return u.Jobs.Verify(ctx, VerifyJob{ConnectionID: c.s.ID, Run: v.Run, Attempt: v.Attempt}, 0)
	}
	if v := c.s.Revocation; r.Type == RequestDelete && v.attached() && !v.LiftAt.After(u.Clock()) {
		return u.Jobs.Verify(ctx, VerifyJob{ConnectionID: c.s.ID, Lift: true}, 0)
	}
	return nil
}
