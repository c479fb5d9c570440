package connect_test

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

// A policyBoard plays the customer's IAM: the role's inline policies by name, and whether the role may change them.
type policyBoard struct {
	policies map[string]string // to the cutoff; inert, or the text of somebody else's
	refuses  error
	lost     bool // the answer to an attachment, which is made
	unread   error
	removed  int
}

const (
	consolesPolicy = "AWSRevokeOlderSessions"
	inert          = "inert"
)

func (p *policyBoard) cutoff() string { return p.policies[connect.RevocationPolicy] }

// refused is IAM's refusal to a session: the policy itself is one reason for it.
func (p *policyBoard) refused(c connect.Credentials) error {
	for _, text := range p.policies {
		if cutoff, err := time.Parse(time.RFC3339, text); err == nil && c.Expires.Add(-15*time.Minute).Before(cutoff) {
			return errDenied
		}
	}
	return p.refuses
}

func (p *policyBoard) DenyOlder(_ context.Context, c connect.Credentials, _ connect.RoleARN, _ connect.Region, cutoff time.Time) error {
	err := p.refused(c)
	if err == nil || p.lost {
		p.policies[connect.RevocationPolicy] = cutoff.Format(time.RFC3339)
	}
	return err
}

func (p *policyBoard) AllowOlder(_ context.Context, c connect.Credentials, _ connect.RoleARN, _ connect.Region, declared bool) error {
	if err := p.refused(c); err != nil {
		return err
	}
	p.removed++
	delete(p.policies, connect.RevocationPolicy)
	if declared {
		p.policies[connect.RevocationPolicy] = inert
	}
	return nil
}

func (p *policyBoard) RemoveFormer(_ context.Context, c connect.Credentials, _ connect.RoleARN, _ connect.Region, cutoff time.Time) error {
	if err := cmp.Or(p.unread, p.refused(c)); err != nil {
		return err
	}
	if text, there := p.policies[consolesPolicy]; there && text != cutoff.Format(time.RFC3339) {
		return connect.ErrNotOurs
	}
	delete(p.policies, consolesPolicy)
	return nil
}

// A revoking is a connection whose sessions are handed out and revoked, at a time that is moved by hand.
type revoking struct {
	*testing.T
	clock *handClock
	sts   *upstream
	board *policyBoard
	store *storetest.Memory
	out   *outbox
	u     connect.Verifications
	issue connect.Issuing
	id    string
}

func newRevoking(t *testing.T) *revoking {
	t.Helper()
	return revokingOf(t, in(t, connect.StatusEnabled))
}

func revokingOf(t *testing.T, c connect.Connection) *revoking {
	t.Helper()
	b := newBench(c)
	r := &revoking{T: t, clock: &handClock{}, board: &policyBoard{policies: map[string]string{}}, store: b.store, out: b.out, id: string(c.ID())}
	r.sts = &upstream{clock: r.clock.now}
	r.u = b.u
	r.u.Clock, r.u.Revoker, r.u.Verifier.Assumer, r.u.Sweeps = r.clock.now, r.board, assumedAt{r.clock}, b.out
	r.issue = connect.Issuing{Store: b.store, Clock: r.clock.now, Sessions: connect.NewSessionCache(r.sts, 10, r.clock.now)}
	return r
}

// assumedAt is STS, whose times are in whole seconds.
type assumedAt struct{ clock *handClock }

func (a assumedAt) AssumeRole(_ context.Context, r connect.AssumeRequest) (connect.Session, error) {
	return connect.Session{Account: r.RoleARN.Account(), Credentials: connect.Credentials{
		Expires: a.clock.now().Add(r.Duration).Truncate(time.Second),
	}}, nil
}

func (r *revoking) get() error {
	_, err := r.issue.Issue(context.Background(), connect.IssueRequest{Filter: connect.Unrestricted(), Tenant: "acme", ID: r.id, Caller: "svc", Least: connect.LeastLife})
	return err
}

func (r *revoking) revoke() connect.Revoked {
	r.Helper()
	out, err := r.u.Revoke(context.Background(), connect.Target{Filter: connect.Unrestricted(), Tenant: "acme", ID: r.id, By: "ada"})
	if err != nil {
		r.Fatal(err)
	}
	return out
}

func (r *revoking) sweep() {
	r.Helper()
	if err := r.u.Sweep(context.Background(), connect.ConnectionID(r.id)); err != nil {
		r.Fatal(err)
	}
}

func (r *revoking) connection() connect.Connection { return r.store.Get(connect.ConnectionID(r.id)) }

func (r *revoking) types() string {
	var types []string
	for _, e := range r.store.Log() {
		types = append(types, strings.TrimPrefix(string(e.Type), "connection."))
	}
	return strings.Join(types, " ")
}

// Where the role may, older sessions are denied, no newer one is, and the policy goes again when no older one is left.
func TestRevocationWhereTheRoleMay(t *testing.T) {
	r := newRevoking(t)
	r.clock.move(300 * time.Millisecond)
	if err := r.get(); err != nil {
		t.Fatal(err)
	}
	r.clock.move(400 * time.Millisecond)
	out := r.revoke()
	if !out.Denied || !out.Before.Equal(noon.Add(time.Second)) || !out.ValidUntil.IsZero() || out.Reason.Code != "" || r.board.cutoff() != "2026-11-21T12:00:01Z" {
		t.Fatalf("%+v", out)
	}
	if err := r.get(); !errors.Is(err, connect.ErrConflict) {
		t.Errorf("a session that the policy would deny: %v", err)
	}
	r.clock.move(time.Second)
	if err := r.get(); err != nil || r.sts.calls.Load() != 2 {
		t.Errorf("%d sessions made (%v): the old one was handed out again", r.sts.calls.Load(), err)
	}
	r.clock.move(30 * time.Minute)
	r.sweep()
	if r.board.removed != 0 {
		t.Error("the policy was removed while older sessions live")
	}
	r.clock.move(35 * time.Minute)
	r.sweep()
	if r.board.removed != 1 || !strings.HasPrefix(r.types(), "sessions_revoked sessions_denied") || !strings.Contains(r.types(), "revocation_lifted") {
		t.Errorf("removed %d times: %s", r.board.removed, r.types())
	}
	r.sweep()
	if r.board.removed != 1 {
		t.Error("removed once more")
	}
}

// Where it may not, hand-outs stop all the same, and the answer says what is left.
func TestRevocationWhereTheRoleMayNot(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code connect.Code
		end  string
	}{
		{errDenied, connect.CodeRevocationDenied, "sessions_revoked revocation_lifted"},
		{connect.Unavailable(connect.CodeSTSUnavailable, "down", nil), connect.CodeSTSUnavailable, "sessions_revoked"},
	} {
		r := newRevoking(t)
		if err := r.get(); err != nil {
			t.Fatal(err)
		}
		r.board.refuses = tt.err
		out := r.revoke()
		if out.Denied || !out.ValidUntil.Equal(noon.Add(time.Hour)) || out.Reason.Code != tt.code || !strings.Contains(out.Reason.Fix, "Revoke active sessions") {
			t.Errorf("%+v", out)
		}
		r.clock.move(5 * time.Second) // for which the policy may be just being attached
		if err := r.get(); err != nil || r.sts.calls.Load() != 2 {
			t.Errorf("%d sessions made (%v)", r.sts.calls.Load(), err)
		}
		if !strings.HasSuffix(r.types(), tt.end) {
			t.Error(r.types())
		}
	}
}

// A policy whose attachment was not answered is removed in time, and so is one of an earlier revocation when a later one
// fails; until then it is told what is denied and what is not.
func TestRevocationWithAPolicyThatMayBeThere(t *testing.T) {
	down := connect.Unavailable(connect.CodeSTSUnavailable, "down", nil)
	for name, tt := range map[string]struct {
		first, second error
		before        bool // the earlier revocation's cutoff is told, and kept
	}{
		"not answered":                   {down, nil, false},
		"attached, then not answered":    {nil, down, true},
		"attached, then refused":         {nil, errDenied, true},
		"not answered, and then refused": {down, errDenied, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRevoking(t)
			if err := r.get(); err != nil {
				t.Fatal(err)
			}
			r.board.refuses, r.board.lost = tt.first, true
			out := r.revoke()
			if tt.second != nil {
				r.clock.move(10 * time.Minute)
				r.board.refuses, r.board.lost = tt.second, false
				out = r.revoke()
			}
			if out.Denied || out.ValidUntil.IsZero() || out.Reason.Code == "" || out.LiftAt.IsZero() || out.Before.IsZero() == tt.before {
				t.Errorf("%+v", out)
			}
			if kept := r.connection().Snapshot().Revocation; kept == nil || !kept.Cutoff.Equal(out.Before) {
				t.Fatalf("kept %+v", kept)
			}
			r.board.refuses = nil
			r.clock.move(66 * time.Minute)
			if r.sweep(); r.board.removed != 1 {
				t.Errorf("removed %d times", r.board.removed)
			}
		})
	}
}

func TestRevocationNeedsAServingConnection(t *testing.T) {
	for _, s := range connect.Statuses() {
		_, err := in(t, s).Revoke(noon, "ada")
		if (err == nil) != (s == connect.StatusEnabled || s == connect.StatusDegraded) {
			t.Errorf("%s: %v", s, err)
		}
	}
}

// A process that dies between the two steps leaves a policy that is found and removed, and keeps nobody waiting for long.
func TestRevocationLeftHalfDone(t *testing.T) {
	r := newRevoking(t)
	c := in(t, connect.StatusEnabled)
	ch, err := c.Revoke(noon, "ada")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.store.Commit(context.Background(), ch); err != nil {
		t.Fatal(err)
	}
	if due := ch.Connection().DueAt(); !due.Equal(noon.Add(65 * time.Minute)) {
		t.Errorf("due %s", due)
	}
	if err := r.get(); !errors.Is(err, connect.ErrConflict) {
		t.Errorf("handed out while the policy is attached: %v", err)
	}
	r.clock.move(5 * time.Second)
	if err := r.get(); err != nil {
		t.Error(err)
	}
}
