package connect

import (
	"context"
	"time"
)

// An IssuedSession is one that was made for a caller, as its audit record has it. Nothing in it is secret.
type IssuedSession struct {
	SessionName string
	AccessKeyID string
	Caller      Actor
	RoleARN     string
	IssuedAt    time.Time
	ExpiresAt   time.Time
	Reason      string
	PolicyHash  string
	Purpose     string // "console" for a sign-in link, else ""
	Denied      bool   // the customer's account was told to deny it
}

// sessionPages bounds the pages of the timeline that are read for one page of sessions.
const sessionPages = 10

// Sessions lists the connection's sessions that have not ended, newest first. The timeline is read back as far as the
// longest session could reach; a page may have fewer sessions than asked for, or none, and still not be the last.
func (u Connections) Sessions(ctx context.Context, tenant TenantID, id string, q EventQuery) (Page[IssuedSession], error) {
	var out Page[IssuedSession]
	c, err := owned(ctx, u.Store.Connection, tenant, id)
	if err != nil {
		return out, err
	}
	now := u.Clock()
	oldest := now.Add(-LongestSession - 5*time.Minute) // and what two clocks may differ in
	for range sessionPages {
		page, err := u.Store.Events(ctx, c.s.ID, q)
		if err != nil {
			return out, err
		}
		out.Next = page.Next
		for _, e := range page.Items {
			if e.At.Before(oldest) {
				out.Next = ""
				return out, nil
			}
			if s, ok := c.issuedSession(e); ok && now.Before(s.ExpiresAt) {
				out.Items = append(out.Items, s)
			}
		}
		if out.Next == "" || len(out.Items) > 0 {
			return out, nil
		}
		q.Cursor = out.Next
	}
	return out, nil
}

// madeAt is when a session was made by AWS's clock, which is the one that a policy's cutoff is held against.
func madeAt(e Event, expires time.Time) time.Time {
	switch seconds := e.Data["durationSeconds"].(type) {
	case int:
		return expires.Add(-time.Duration(seconds) * time.Second)
	case float64: // as stores keep it
		return expires.Add(-time.Duration(seconds) * time.Second)
	}
	return e.At
}

// issuedSession reads an audit record; ok is false for every other event.
func (c Connection) issuedSession(e Event) (s IssuedSession, ok bool) {
	if e.Type != EventCredentialsIssued {
		return s, false
	}
	text := func(name string) string {
		v, _ := e.Data[name].(string)
		return v
	}
	expires, err := time.Parse(time.RFC3339, text("expiresAt"))
	if err != nil {
		return s, false
	}
	s = IssuedSession{
		SessionName: text("sessionName"), AccessKeyID: text("accessKeyId"), Caller: e.Actor, RoleARN: text("roleArn"),
		IssuedAt: e.At, ExpiresAt: expires, Reason: text("reason"), PolicyHash: text("policyHash"), Purpose: text("purpose"),
	}
	if r := c.s.Revocation; r.attached() {
		s.Denied = madeAt(e, expires).Before(r.Cutoff) && s.RoleARN == r.RoleARN.String()
	}
	return s, true
}
