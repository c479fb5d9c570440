package connect_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// An issuer issues from a cache, for connections that can be changed. Sessions are named in the order in which they were made.
type issuer struct {
	conns   map[connect.ConnectionID]connect.Connection
	notes   []connect.Event
	asked   []connect.AssumeRequest
	account connect.AccountID // whose sessions STS gives
	connect.Issuing
}

func newIssuer(cs ...connect.Connection) *issuer {
	i := &issuer{conns: map[connect.ConnectionID]connect.Connection{}, account: customerAccount}
	for _, c := range cs {
		i.conns[c.ID()] = c
	}
	clock := func() time.Time { return noon }
	maker := connect.SessionMaker{Store: i, Assumer: i, Clock: clock, EventID: func() string { return fmt.Sprint("evt_", len(i.notes)) }}
	i.Issuing = connect.Issuing{Clock: clock, Store: i, Sessions: connect.NewSessionCache(maker, 100, clock)}
	return i
}

// Bare implements [connect.IssuingStore].
func (i *issuer) Bare(_ context.Context, id connect.ConnectionID) (connect.Connection, error) {
	c, ok := i.conns[id]
	if !ok {
		return c, connect.ErrNotFound
	}
	return c, nil
}

// Note implements [connect.NoteStore].
func (i *issuer) Note(_ context.Context, e connect.Event) error {
	i.notes = append(i.notes, e)
	return nil
}

// AssumeRole implements [connect.Assumer].
func (i *issuer) AssumeRole(_ context.Context, r connect.AssumeRequest) (connect.Session, error) {
	i.asked = append(i.asked, r)
	return connect.Session{Account: i.account, Credentials: connect.Credentials{AccessKeyID: fmt.Sprint("ASIA", len(i.asked)), Expires: noon.Add(r.Duration)}}, nil
}

// anotherAccountsSession is part of TestIssue.
func anotherAccountsSession(t *testing.T) {
	c := in(t, connect.StatusEnabled)
	i := newIssuer(c)
	i.account = "333333333333"
	got, err := i.Issue(context.Background(), connect.IssueRequest{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(c.ID()), Caller: "svc"})
	if !errors.Is(err, &connect.Error{Code: connect.CodeAccountMismatch}) || got.Credentials.AccessKeyID != "" || len(i.asked) != 1 || len(i.notes) != 0 {
		t.Errorf("%v, %+v, %d records", err, got, len(i.notes))
	}
}

// heldSessions is part of TestIssue: what one ask was given serves that ask, and none that differs from it in anything.
func heldSessions(t *testing.T) {
	c := in(t, connect.StatusEnabled)
	other := c.Snapshot()
	other.ID = "conn_00000000000000000000000001"
	second := must[connect.Connection](t)(connect.Restore(other))
	first := connect.IssueRequest{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(c.ID()), Caller: "svc"}
	for what, change := range map[string]func(r *connect.IssueRequest, i *issuer){
		"one version of the connection": func(_ *connect.IssueRequest, i *issuer) {
			ch, ok := c.Rechecked(with(good(noon), connect.CheckAssumeRole, connect.Failed, connect.CodeRoleNotAssumable), "ada", noon.Add(time.Hour))
			if !ok || ch.Connection().Version() == c.Version() {
				t.Fatal("no further version")
			}
			i.conns[c.ID()] = ch.Connection()
		},
		"one connection": func(r *connect.IssueRequest, _ *issuer) { r.ID = string(other.ID) },
		"one caller":     func(r *connect.IssueRequest, _ *issuer) { r.Caller = "another" },
		"one duration":   func(r *connect.IssueRequest, _ *issuer) { r.Duration = connect.LeastSession },
		"one policy":     func(r *connect.IssueRequest, _ *issuer) { r.Policy = listOnly },
		"one managed policy": func(r *connect.IssueRequest, _ *issuer) {
			r.PolicyARNs = []string{"arn:aws:iam::aws:policy/ViewOnlyAccess"}
		},
		"reading or all": func(r *connect.IssueRequest, _ *issuer) { r.ReadOnly = true },
	} {
		t.Run(what, func(t *testing.T) {
			i := newIssuer(c, second)
			get := func(r connect.IssueRequest) string {
				t.Helper()
				got, err := i.Issue(context.Background(), r)
				if err != nil {
					t.Fatal(err)
				}
				return got.Credentials.AccessKeyID
			}
			held := []string{get(first), get(first)}
			changed := first
			change(&changed, i)
			held = append(held, get(changed), get(changed))
			if !slices.Equal(held, []string{"ASIA1", "ASIA1", "ASIA2", "ASIA2"}) {
				t.Errorf("handed out: %v", held)
			}
		})
	}
}
