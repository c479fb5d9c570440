package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	"rolecall/shared/connect"
)

// defaultPatience is how long a caller is kept waiting for a verification. API Gateway gives up after 30 seconds, and
// a try that begins at the last moment takes some too.
const defaultPatience = 20 * time.Second

// BrokerParts are what function broker is composed of.
type BrokerParts struct {
	Verifications connect.Verifications
	Issuing       connect.Issuing
	SignIns       connect.SignIns
	Intakes       connect.Intakes
	Retries       connect.Retries
	Deployment    connect.Deployment
	Tokens        connect.Tokens
	Rations       []*connect.Ration // as of APIParts
	Log           *slog.Logger
	// Patience is how long a caller is kept waiting for a verification; 0 for 20 seconds.
	Patience time.Duration
}

// NewBroker serves the routes of function broker.
func NewBroker(p BrokerParts) http.Handler {
	if p.Patience == 0 {
		p.Patience = defaultPatience
	}
	b := broker{BrokerParts: p, present: presenter{deployment: p.Deployment, tokens: launchTokens{connections: p.Tokens}}}
	return newServer(b.operations(), p.Rations, p.Log, p.Verifications.Clock)
}

type broker struct {
	BrokerParts
	present presenter
}

type (
	roleInput struct {
		ID      string `path:"id" doc:"The connection's id."`
		IfMatch string `header:"If-Match" doc:"The ETag of the connection as you know it; 412 if it has changed since."`
		Body    ReportRole
	}
)

func (b broker) operations() []operation {
	verified := []answer{
		{
			status: http.StatusOK, about: "The verification has ended; checks says how", body: reflect.TypeFor[Connection](),
			headers: []string{"ETag"},
		},
		{
			status: http.StatusAccepted, about: "Still verifying; read the connection again", body: reflect.TypeFor[Connection](),
			headers: []string{"ETag", "Retry-After"},
		},
	}
	return append([]operation{
		does(operation{
			route: "PUT /v1/connections/{id}/role", id: "reportRole", summary: "Give the ARN of a role made by hand",
			about: "Verifies the role and waits up to 20 seconds for the outcome. On an enabled connection the old role serves " +
				"until the new one has passed.",
			answers: verified,
		}, b.role),
		does(operation{
			route: "POST /v1/connections/{id}/verify", id: "verifyConnection", summary: "Test a connection now",
			about:   "Runs all checks and waits up to 20 seconds for the outcome.",
			answers: verified,
		}, b.verify),
	}, slices.Concat(b.legacyOperations(), b.issuingOperations(), b.sessionOperations(), []operation{b.retryOperation()})...)
}

func (b broker) role(ctx context.Context, c call, in roleInput) (reply, error) {
	version, err := ifMatch(in.IfMatch)
	if err != nil {
		return reply{}, err
	}
	checked, err := b.Verifications.ReportRole(ctx, target(c, in.ID, version), in.Body.RoleARN, b.Patience)
	if err != nil {
		return reply{}, err
	}
	body := b.checked(ctx, c, checked)
	if run := checked.Connection.Snapshot().LastRun; run.RoleARN.String() == in.Body.RoleARN && !run.Passed {
		body.StatusReason = reason(run.Reason) // also where the old role goes on serving
	}
	trial, running := checked.Connection.Trial()
	return b.reply(checked.Connection, body, running && trial.RoleARN.String() == in.Body.RoleARN), nil
}

func (b broker) verify(ctx context.Context, c call, in changeInput) (reply, error) {
	version, err := ifMatch(in.IfMatch)
	if err != nil {
		return reply{}, err
	}
	checked, err := b.Verifications.Verify(ctx, target(c, in.ID, version), b.Patience)
	if err != nil {
		return reply{}, err
	}
	return b.reply(checked.Connection, b.checked(ctx, c, checked), checked.Connection.Status() == connect.StatusVerifying), nil
}

// checked shows the checks that were made for this caller, which a single denial does not make the connection's own.
func (b broker) checked(ctx context.Context, to call, v connect.Checked) Connection {
	c, now := v.Connection, b.Verifications.Clock()
	body, err := b.present.launched(ctx, to.caller, c, now)
	if err != nil { // the outcome is what was asked for; the launch can be read any time
		b.Log.WarnContext(ctx, "launch not shown", slog.String("connectionId", string(c.ID())), slog.Any("error", err))
	}
	body.Checks = checks(v.Checks)
	if c.Status() == connect.StatusEnabled && (connect.Outcome{Method: c.Snapshot().Method, Checks: v.Checks}).Proven() {
		body.LastVerifiedAt = later(body.LastVerifiedAt, v.Checks[0].At)
	}
	return body
}

// reply is 202 while what the caller asked for goes on.
func (b broker) reply(c connect.Connection, body Connection, running bool) reply {
	re := reply{status: http.StatusOK, body: body, etag: etag(c.Version()), connection: c.ID()}
	if trial, ok := c.Trial(); running && ok {
		re.status, re.retryAfter = http.StatusAccepted, wait(trial.NextTryAt.Sub(b.Verifications.Clock()))
	}
	return re
}

// wait is in whole seconds, and at least one.
func wait(d time.Duration) string {
	return strconv.Itoa(max(1, int((d+time.Second-1)/time.Second)))
}

func later(a *time.Time, b time.Time) *time.Time {
	if a == nil || b.After(*a) {
		return moment(b)
	}
	return a
}
