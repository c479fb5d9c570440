package store_test

import (
	"context"
	crand "crypto/rand"
	"fmt"
	"testing"
	"time"

	"rolecall/shared/connect"
	"rolecall/shared/store"
)

// meddled is a store in which something happens between what is read and what is committed, once.
type meddled struct {
	*store.Store
	before func()
}

func (m *meddled) meddle() {
	if f := m.before; f != nil {
		m.before = nil
		f()
	}
}

func (m *meddled) Commit(ctx context.Context, ch connect.Change) error {
	m.meddle()
	return m.Store.Commit(ctx, ch)
}

func (m *meddled) CommitMember(ctx context.Context, ch connect.MemberChange) error {
	m.meddle()
	return m.Store.CommitMember(ctx, ch)
}

// A contender's stack is deleted while the contender wins: whichever of the two is written down first, nothing serves for a
// stack that is gone, and its Delete is answered with success.
func TestAContenderWinsWhileItsStackGoes(t *testing.T) {
	for name, deleteFirst := range map[string]bool{"the Delete is first": true, "the contender is first": false} {
		t.Run(name, func(t *testing.T) {
			s, m := newStore(t), &members{prefixes: map[string]string{}}
			now := noon
			clock := func() time.Time { return now }
			e := ruled(t, s, "acme", "Contended")
			m.prefixes["there"] = e.Snapshot().Prefix
			meddling := &meddled{Store: s}
			callbacks := connect.Callbacks{
				Store: s, Jobs: m, Clock: clock, Account: "111111111111", Offers: []connect.Permissions{"read-only"},
				Members: connect.Members{Store: meddling, Tokens: anyToken{}, Random: crand.Reader},
			}
			tries := connect.Verifications{
				Store: s, Jobs: m, Sweeps: m, Answerer: m, Clock: clock, Jitter: func() float64 { return 0 },
				Contests: connect.Contests{Store: meddling, Random: crand.Reader},
				Verifier: connect.Verifier{
					Platform: connect.Platform{Partition: "aws", Account: "111111111111"}, Assumer: m, Inspector: m, Organizations: m, Clock: clock,
				},
			}
			report := func(kind connect.RequestType, number int, role string) {
				t.Helper()
				reply, err := callbacks.Receive(t.Context(), connect.CallbackRequest{
					EnrolmentID: string(e.ID()), RoleARN: "arn:aws:iam::222222222222:role/" + role, ReplyTo: connect.ReplyTo{StackID: role},
					Callback: connect.Callback{
						Type: kind, Resource: connect.ResourceMember, StackID: memberStack(t, "222222222222", number), LogicalID: "Member",
						RequestID: fmt.Sprint(kind, number), SentAt: now,
					},
				})
				if err != nil || (kind == connect.RequestDelete && (reply == nil || !reply.OK)) {
					t.Errorf("%s: %+v, %v", kind, reply, err)
				}
			}
			win := func() {
				t.Helper()
				if err := tries.Try(t.Context(), m.jobs[len(m.jobs)-1]); err != nil {
					t.Error(err)
				}
			}
			report(connect.RequestCreate, 9, "madeup-9")
			report(connect.RequestCreate, 1, "there-1")
			now = noon.Add(2 * time.Minute) // past all patience
			if deleteFirst {
				meddling.before = func() { report(connect.RequestDelete, 1, "there-1") }
				win()
			} else {
				meddling.before = win
				report(connect.RequestDelete, 1, "there-1")
			}
			page, err := s.EnrolmentMembers(t.Context(), e.ID(), connect.EventQuery{Limit: 10})
			if err != nil || len(page.Items) != 1 {
				t.Fatalf("%+v, %v", page.Items, err)
			}
			if state := page.Items[0].State; state == connect.MemberEnabled || state == connect.MemberDegraded {
				t.Errorf("the account is %s by a stack that is gone", state)
			}
			if _, serves, err := s.Serving(t.Context(), "acme", "222222222222"); serves || err != nil {
				t.Errorf("served: %t, %v", serves, err)
			}
			if told := m.answers; len(told) != 1 || told[0].OK == deleteFirst {
				t.Errorf("its report was told %+v", told)
			}
		})
	}
}
