package httpapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"time"

	"rolecall/shared/connect"
)

// Credentials are in the shape that AWS SDKs read from AWS_CONTAINER_CREDENTIALS_FULL_URI, letter for letter.
type Credentials struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string `json:"SecretAccessKey"`
	Token           string `json:"Token"`
	Expiration      string `json:"Expiration" format:"date-time" example:"2026-01-02T03:04:05Z"`
	AccountID       string `json:"AccountId"`
	// Limits are there for connections by access key alone.
	Limits []string `json:"limits,omitempty" doc:"What the session cannot do, whatever its holder may: no-iam is that it cannot call IAM, AWS's rule for sessions made from an access key without MFA."`
}

// ProcessCredentials are what the AWS CLI and SDKs read from a credential_process, letter for letter.
type ProcessCredentials struct {
	Version         int    `json:"Version" enum:"1"`
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string `json:"SecretAccessKey"`
	SessionToken    string `json:"SessionToken"`
	Expiration      string `json:"Expiration" format:"date-time" example:"2026-01-02T03:04:05Z"`
	AccountID       string `json:"AccountId"`
}

// IssueCredentials is the body that asks for credentials with options; {} asks for those of GET.
type IssueCredentials struct {
	DurationSeconds int            `json:"durationSeconds,omitempty" doc:"How long the session lasts; at least two thirds of it are left when it is handed out. AWS ends role chaining at an hour." minimum:"900" maximum:"3600" default:"1800"`
	Policy          map[string]any `json:"policy,omitempty" doc:"A session policy (IAM JSON): the session may do what both it and the role allow. With policyArns at most 2,048 characters, white space not counted."`
	PolicyARNs      []string       `json:"policyArns,omitempty" doc:"Managed policies, AWS's or of the customer's account, that narrow the session in the same way." maxItems:"10"`
	ReadOnly        bool           `json:"readOnly,omitempty" doc:"Narrow the session to AWS's ReadOnlyAccess. Not together with policy or policyArns: AWS adds session policies up."`
	Region          string         `json:"region,omitempty" doc:"Where the credentials are to be used, one of the connection's regions; format=env sets it. The connection's defaultRegion by default."`
	Reason          string         `json:"reason,omitempty" doc:"What the session is for; kept in the audit records." maxLength:"256"`
}

type (
	credentialsInput struct {
		ID              string `path:"id" doc:"The connection's id."`
		DurationSeconds int    `query:"durationSeconds" doc:"How long the session lasts. AWS ends role chaining at an hour." minimum:"1800" maximum:"3600" default:"1800"`
		Format          string `query:"format" doc:"container: as SDKs read it from a URL; process: as they read it from a credential_process; env: lines for a shell." enum:"container,process,env" default:"container"`
	}
	effectiveCredentialsInput struct {
		Project         *string `query:"project" doc:"The project's id."`
		Environment     *string `query:"environment" doc:"The environment's id."`
		Architecture    *string `query:"architecture" doc:"The architecture's id."`
		Strict          string  `query:"strict" doc:"As on /v1/effective-connection." enum:"true,false" default:"false"`
		DurationSeconds int     `query:"durationSeconds" doc:"How long the session lasts." minimum:"1800" maximum:"3600" default:"1800"`
		Format          string  `query:"format" doc:"As on GET /v1/connections/{id}/credentials." enum:"container,process,env" default:"container"`
	}
	issueInput struct {
		ID     string `path:"id" doc:"The connection's id."`
		Format string `query:"format" doc:"As on GET." enum:"container,process,env" default:"container"`
		Body   IssueCredentials
	}
)

func (b broker) issuingOperations() []operation {
	shapes := []answer{{
		status: http.StatusOK, about: "With format=process as ProcessCredentials, with format=env as text",
		body: reflect.TypeFor[Credentials](), or: reflect.TypeFor[ProcessCredentials](), text: true,
	}}
	return []operation{
		does(operation{
			route: "GET /v1/connections/{id}/credentials", id: "getCredentials", summary: "Credentials for the customer's account",
			about: "In the shape that AWS SDKs read: set AWS_CONTAINER_CREDENTIALS_FULL_URI to this URL and " +
				"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE to a file that holds: Bearer <token>. One session is handed out several times, " +
				"never with less than 20 minutes left.",
			answers: shapes,
		}, b.credentials),
		does(operation{
			route: "POST /v1/connections/{id}/credentials", id: "issueCredentials", summary: "Credentials with options",
			about:   "Shorter ones, or ones that may do less than the role. Two thirds of their life are left at least.",
			answers: shapes,
		}, b.issue),
		does(operation{
			route: "GET /v1/effective-connection/credentials", id: "getEffectiveCredentials",
			summary: "Credentials for the account that applies at a place in the platform",
			about:   "Of the connection that GET /v1/effective-connection answers; AccountId says whose account it is.",
			answers: shapes,
		}, b.effectiveCredentials),
	}
}

func (b broker) credentials(ctx context.Context, c call, in credentialsInput) (reply, error) {
	r := request(c, in.ID, in.DurationSeconds)
	r.Shortest, r.Least = connect.DefaultSession, connect.LeastLife
	return b.handOut(ctx, r, in.Format)
}

func (b broker) effectiveCredentials(ctx context.Context, c call, in effectiveCredentialsInput) (reply, error) {
	place := effectiveInput{Project: in.Project, Environment: in.Environment, Architecture: in.Architecture, Strict: in.Strict}
	q, err := place.query()
	if err != nil {
		return reply{}, err
	}
	r := request(c, "", in.DurationSeconds)
	r.Place, r.Shortest, r.Least = &q, connect.DefaultSession, connect.LeastLife
	return b.handOut(ctx, r, in.Format)
}

func (b broker) issue(ctx context.Context, c call, in issueInput) (reply, error) {
	r := request(c, in.ID, in.Body.DurationSeconds)
	r.PolicyARNs, r.ReadOnly = in.Body.PolicyARNs, in.Body.ReadOnly
	r.Region, r.Reason = in.Body.Region, in.Body.Reason
	if in.Body.Policy != nil {
		text, err := json.Marshal(in.Body.Policy) // as it came: bind has read it
		if err != nil {
			return reply{}, err
		}
		r.Policy = string(text)
	}
	return b.handOut(ctx, r, in.Format)
}

func request(c call, id string, seconds int) connect.IssueRequest {
	return connect.IssueRequest{
		Tenant: c.caller.Tenant, ID: id, Caller: c.caller.Subject, Duration: time.Duration(seconds) * time.Second,
		Filter: c.caller.Filter,
	}
}

// handOut issues credentials and leaves a line in the audit log for each time that they go out, also where the session is
// one that was made before.
func (b broker) handOut(ctx context.Context, r connect.IssueRequest, format string) (reply, error) {
	shape, ok := shapes()[format]
	if !ok {
		return reply{}, invalidParameter("format", "must be container, process or env")
	}
	issued, err := b.Issuing.Issue(ctx, r)
	if err != nil {
		return reply{}, err
	}
	b.Log.InfoContext(ctx, "credentials handed out", slog.String("tenant", string(r.Tenant)),
		slog.String("connectionId", string(issued.Connection)), slog.String("caller", string(r.Caller)),
		slog.String("accessKeyId", issued.Credentials.AccessKeyID), slog.Time("expires", issued.Credentials.Expires),
		slog.String("sessionName", issued.SessionName), slog.Bool("held", issued.Held), slog.String("reason", r.Reason))
	return reply{status: http.StatusOK, body: shape(issued), connection: issued.Connection}, nil
}

// shapes are the ways in which credentials are written.
func shapes() map[string]func(connect.Issued) any {
	return map[string]func(connect.Issued) any{
		"": container, "container": container, "process": process, "env": environment,
	}
}

func container(i connect.Issued) any {
	return Credentials{
		AccessKeyID: i.Credentials.AccessKeyID, SecretAccessKey: i.Credentials.SecretAccessKey.Reveal(),
		Token: i.Credentials.SessionToken.Reveal(), Expiration: expiration(i), AccountID: string(i.Account),
		Limits: limits(i),
	}
}

func limits(i connect.Issued) []string {
	if i.NoIAM {
		return []string{"no-iam"}
	}
	return nil
}

func process(i connect.Issued) any {
	return ProcessCredentials{
		Version: 1, AccessKeyID: i.Credentials.AccessKeyID, SecretAccessKey: i.Credentials.SecretAccessKey.Reveal(),
		SessionToken: i.Credentials.SessionToken.Reveal(), Expiration: expiration(i), AccountID: string(i.Account),
	}
}

// environment is made to be evaluated by a shell: every value stands in single quotes.
func environment(i connect.Issued) any {
	var b strings.Builder
	for _, v := range [][2]string{
		{"AWS_ACCESS_KEY_ID", i.Credentials.AccessKeyID},
		{"AWS_SECRET_ACCESS_KEY", i.Credentials.SecretAccessKey.Reveal()},
		{"AWS_SESSION_TOKEN", i.Credentials.SessionToken.Reveal()},
		{"AWS_CREDENTIAL_EXPIRATION", expiration(i)},
		{"AWS_REGION", string(i.Region)},
		{"AWS_DEFAULT_REGION", string(i.Region)},
	} {
		b.WriteString("export " + v[0] + "='" + strings.ReplaceAll(v[1], "'", `'\''`) + "'\n")
	}
	return plainText(b.String())
}

func expiration(i connect.Issued) string { return i.Credentials.Expires.UTC().Format(time.RFC3339) }

// plainText is an answer that is no JSON.
type plainText string

func writeText(w http.ResponseWriter, status int, text plainText) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // only the connection can fail, and then nobody listens
}
