package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"reflect"
	"time"

	"rolecall/shared/connect"
)

// Sessions is a page of a connection's sessions that have not ended, newest first.
type Sessions struct {
	Items      []Session `json:"items"`
	NextCursor string    `json:"nextCursor,omitempty" doc:"Asks for the next page; absent on the last one."`
}

// A Session is one that was made for a caller, as its audit record has it.
type Session struct {
	SessionName string    `json:"sessionName" doc:"By which the customer's CloudTrail shows the caller." example:"rolecall-billing"`
	AccessKeyID string    `json:"accessKeyId"`
	Caller      string    `json:"caller"`
	RoleARN     string    `json:"roleArn"`
	IssuedAt    time.Time `json:"issuedAt"`
	ExpiresAt   time.Time `json:"expiresAt"`
	Reason      string    `json:"reason,omitempty"`
	PolicyHash  string    `json:"policyHash,omitempty" doc:"SHA-256 of the session policies, where it was narrowed."`
	Purpose     string    `json:"purpose,omitempty" enum:"console" doc:"console: the session is behind a sign-in link."`
	Denied      bool      `json:"denied" doc:"It was revoked: the customer's account denies it."`
}

// RevokedSessions tells what a revocation has stopped, and what not.
type RevokedSessions struct {
	RevokedAt       time.Time  `json:"revokedAt" doc:"No session made before is handed out any more."`
	Denied          bool       `json:"denied" doc:"The customer's account denies older sessions. IAM takes seconds to spread that."`
	DeniedBefore    *time.Time `json:"deniedBefore,omitempty" doc:"Sessions made before are denied. Where denied is false, an earlier revocation sees to that."`
	PolicyRemovedAt *time.Time `json:"policyRemovedAt,omitempty" doc:"When the policy RolecallRevokedSessions is lifted: then no older session is left."`
	ValidUntil      *time.Time `json:"validUntil,omitempty" doc:"Where older sessions are not denied: none of them works any longer than this."`
	Code            string     `json:"code,omitempty" doc:"Why older sessions are not denied."`
	Message         string     `json:"message,omitempty"`
	Fix             string     `json:"fix,omitempty"`
	Version         int64      `json:"version" doc:"Of the connection now."`
}

// RequestSignIn is the body that asks for a console link.
type RequestSignIn struct {
	Destination string `json:"destination,omitempty" doc:"A page of AWS's console; its home by default."`
	Issuer      string `json:"issuer,omitempty" doc:"An https URL: where AWS sends people whose session has ended."`
	ReadOnly    bool   `json:"readOnly,omitempty" doc:"Narrow the session to AWS's ReadOnlyAccess."`
	Reason      string `json:"reason,omitempty" doc:"What it is for; kept in the audit records." maxLength:"256"`
}

// A SignInLink signs a browser in to the customer's console. Whoever has it is signed in.
type SignInLink struct {
	URL              string    `json:"url"`
	ExpiresAt        time.Time `json:"expiresAt" doc:"The link can be opened until then."`
	SessionExpiresAt time.Time `json:"sessionExpiresAt" doc:"The session in the console ends then."`
	SessionName      string    `json:"sessionName"`
}

type (
	sessionsInput struct {
		ID     string `path:"id" doc:"The connection's id."`
		Limit  int    `query:"limit" doc:"Events read for a page." minimum:"1" maximum:"100" default:"50"`
		Cursor string `query:"cursor" doc:"nextCursor of the page before."`
	}
	signInInput struct {
		ID   string `path:"id" doc:"The connection's id."`
		Body RequestSignIn
	}
)

func (a api) sessionsOperation() operation {
	return does(operation{
		route: "GET /v1/connections/{id}/sessions", id: "listSessions", summary: "Sessions that have not ended, newest first",
		about: "From the audit records: who has credentials for the account now. A page may have fewer items than asked for, " +
			"or none, and still not be the last.",
		answers: []answer{{status: http.StatusOK, body: reflect.TypeFor[Sessions]()}},
	}, a.sessions)
}

func (a api) sessions(ctx context.Context, c call, in sessionsInput) (reply, error) {
	limit, err := pageSize(in.Limit)
	if err != nil {
		return reply{}, err
	}
	page, err := a.Connections.Sessions(ctx, c.caller.Tenant, in.ID, connect.EventQuery{Limit: limit, Cursor: in.Cursor})
	if err != nil {
		return reply{}, err
	}
	out := Sessions{Items: make([]Session, 0, len(page.Items)), NextCursor: page.Next}
	for _, s := range page.Items {
		out.Items = append(out.Items, Session{
			SessionName: s.SessionName, AccessKeyID: s.AccessKeyID, Caller: string(s.Caller), RoleARN: s.RoleARN,
			IssuedAt: s.IssuedAt.UTC(), ExpiresAt: s.ExpiresAt.UTC(), Reason: s.Reason, PolicyHash: s.PolicyHash,
			Purpose: s.Purpose, Denied: s.Denied,
		})
	}
	return reply{status: http.StatusOK, body: out}, nil
}

func (b broker) sessionOperations() []operation {
	return []operation{
		does(operation{
			route: "POST /v1/connections/{id}/sign-in", id: "signIn", summary: "A link into the customer's console",
			about:   "The link can be opened for 15 minutes; the session lasts an hour.",
			answers: []answer{{status: http.StatusOK, body: reflect.TypeFor[SignInLink]()}},
		}, b.signIn),
		does(operation{
			route: "POST /v1/connections/{id}/revoke-sessions", id: "revokeSessions", summary: "Stop the sessions that are out",
			about: "Sessions made before are not handed out any more. Where the role may give itself a policy, the customer's account " +
				"denies them as well; if not, the answer says how long they remain valid and what the customer can do.",
			answers: []answer{{status: http.StatusOK, body: reflect.TypeFor[RevokedSessions](), headers: []string{"ETag"}}},
		}, b.revoke),
	}
}

func (b broker) signIn(ctx context.Context, c call, in signInInput) (reply, error) {
	made, err := b.SignIns.Link(ctx, connect.SignInRequest{
		Tenant: c.caller.Tenant, ID: in.ID, Caller: c.caller.Subject, Issuer: in.Body.Issuer, Destination: in.Body.Destination,
		Reason: in.Body.Reason, Restriction: connect.Restriction{ReadOnly: in.Body.ReadOnly},
		Filter: c.caller.Filter,
	})
	if err != nil {
		return reply{}, err
	}
	b.Log.InfoContext(ctx, "sign-in link handed out", slog.String("tenant", string(c.caller.Tenant)),
		slog.String("connectionId", in.ID), slog.String("caller", string(c.caller.Subject)),
		slog.String("accessKeyId", made.AccessKeyID), slog.Time("expires", made.Session),
		slog.String("sessionName", made.SessionName), slog.String("reason", in.Body.Reason))
	return reply{status: http.StatusOK, body: SignInLink{
		URL: made.URL.Reveal(), ExpiresAt: made.ExpiresAt.UTC(), SessionExpiresAt: made.Session.UTC(), SessionName: made.SessionName,
	}}, nil
}

func (b broker) revoke(ctx context.Context, c call, in changeInput) (reply, error) {
	version, err := ifMatch(in.IfMatch)
	if err != nil {
		return reply{}, err
	}
	r, err := b.Verifications.Revoke(ctx, target(c, in.ID, version))
	if err != nil {
		return reply{}, err
	}
	now := r.Connection.Version()
	return reply{status: http.StatusOK, etag: etag(now), connection: r.Connection.ID(), body: RevokedSessions{
		RevokedAt: r.At.UTC(), Denied: r.Denied, DeniedBefore: moment(r.Before), PolicyRemovedAt: moment(r.LiftAt),
		ValidUntil: moment(r.ValidUntil), Code: string(r.Reason.Code), Message: r.Reason.Message, Fix: r.Reason.Fix, Version: now,
	}}, nil
}
