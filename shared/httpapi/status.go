package httpapi

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"rolecall/shared/connect"
)

// A ConnectionStatus is what a page needs to follow a connection: nothing else of the connection changes unless this does.
type ConnectionStatus struct {
	ID           string  `json:"id"`
	Status       string  `json:"status" enum:"pending,verifying,enabled,degraded,failed,disconnected,expired,deleted"`
	StatusReason *Reason `json:"statusReason,omitempty" doc:"Why the connection is not as it should be. A long message is cut, and a long fix left out: the connection has them whole."`
	Version      int64   `json:"version" doc:"Counts the connection's changes; the ETag of the connection itself."`
	StackStarted bool    `json:"stackStarted" doc:"The customer's stack has begun, or is there."`

	Verification *TrialStatus `json:"verification,omitempty" doc:"The verification in progress."`

	UpdatedAt       time.Time  `json:"updatedAt"`
	LastVerifiedAt  *time.Time `json:"lastVerifiedAt,omitempty" doc:"When Rolecall last found the role as it should be; it moves without a new version."`
	LaunchExpiresAt *time.Time `json:"launchExpiresAt,omitempty" doc:"Until when the newest launch can be used; absent where none can."`
}

// A TrialStatus is how far a verification has come.
type TrialStatus struct {
	Attempt   int       `json:"attempt" doc:"Tries made so far."`
	NextTryAt time.Time `json:"nextTryAt"`
	Deadline  time.Time `json:"deadline" doc:"From then on a denial is final."`
}

type statusInput struct {
	ID          string `path:"id" doc:"The connection's id."`
	IfNoneMatch string `header:"If-None-Match" doc:"The ETag of the last answer: 304, without a body, as long as that is true."`
}

func (a api) statusOperation() operation {
	return does(operation{
		route: "GET /v1/connections/{id}/status", id: "getConnectionStatus", summary: "Follow a connection",
		about: "For pages that wait: less than a kilobyte, and nothing at all with If-None-Match while nothing changes. Read the connection " +
			"when the ETag is another one. It is no ETag for If-Match.",
		answers: []answer{
			{status: http.StatusOK, body: reflect.TypeFor[ConnectionStatus](), headers: []string{"ETag"}},
			{status: http.StatusNotModified, about: "As the ETag in If-None-Match has it", headers: []string{"ETag"}},
		},
	}, a.status)
}

func (a api) status(ctx context.Context, c call, in statusInput) (reply, error) {
	found, err := a.Connections.Get(ctx, c.caller.Tenant, in.ID)
	if err != nil {
		return reply{}, err
	}
	body := connectionStatus(found, a.Connections.Clock())
	re := reply{status: http.StatusOK, body: body, etag: hashTag(encode(body)), connection: found.ID()}
	return re.unless(in.IfNoneMatch), nil
}

func connectionStatus(c connect.Connection, now time.Time) ConnectionStatus {
	s := c.Snapshot()
	out := ConnectionStatus{
		ID: string(s.ID), Status: string(s.Status), StatusReason: shortReason(s.StatusReason), Version: s.Version,
		StackStarted: !s.Stack.ID.IsZero(), UpdatedAt: s.UpdatedAt.UTC(), LastVerifiedAt: moment(s.LastVerifiedAt),
	}
	if v := s.Verification; v != nil {
		out.Verification = &TrialStatus{Attempt: v.Attempt, NextTryAt: v.NextTryAt.UTC(), Deadline: v.Deadline.UTC()}
	}
	if l, open := c.OpenLaunch(now); open {
		out.LaunchExpiresAt = moment(l.ExpiresAt)
	}
	return out
}

const (
	shortMessage = 160 // characters
	shortFix     = 240 // bytes; a policy that were cut would be one to paste wrongly
)

func shortReason(r connect.Reason) *Reason {
	out := reason(r)
	if out == nil {
		return nil
	}
	if text := []rune(out.Message); len(text) > shortMessage {
		out.Message = string(text[:shortMessage-1]) + "…"
	}
	if len(out.Fix) > shortFix {
		out.Fix = ""
	}
	return out
}
