package httpapi

import (
	"context"
	"strings"
	"time"

	"rolecall/shared/connect"
)

// presenter turns what the domain knows into what callers see.
type presenter struct {
	deployment connect.Deployment
	tokens     launchTokens
}

// launchTokens make the tokens of launches. Whoever has such a token can have an account of their own taken for the
// customer's, so nothing that holds one is shown to callers who may only read.
type launchTokens struct {
	connections connect.Tokens
	enrolments  connect.EnrolmentTokens
}

// shownTo are the tokens that the caller may see: none without the scope for writing, nor where a claim keeps the caller from
// changing what the launch is of. No launch is made without them.
func (t launchTokens) shownTo(c Caller, admitted bool) launchTokens {
	if !admitted || !c.has(ScopeWrite) {
		return launchTokens{}
	}
	return t
}

// connection is a connection without its launch.
func (p presenter) connection(c connect.Connection, now time.Time) Connection {
	s := c.Snapshot()
	out := Connection{
		ID: string(s.ID), Name: string(s.Name), Provider: "aws", Method: s.Method, Status: string(s.Status),
		StatusReason: reason(s.StatusReason), AccountID: string(s.AccountID), ExpectedAccountID: string(s.ExpectedAccountID), Partition: string(s.Partition),
		DefaultRegion: string(s.DefaultRegion), ExternalID: string(s.ExternalID), RoleARN: s.RoleARN.String(),
		Permissions: string(s.Permissions), Requested: string(s.Requested), Scopes: scopes(s.Scopes), Checks: checks(s.Checks), Regions: texts(s.Regions),
		PolicyDigest: s.PolicyDigest, EnrolmentID: string(s.EnrolmentID), OrganizationID: string(s.OrganizationID),
		CreatedAt: s.CreatedAt.UTC(), CreatedBy: string(s.CreatedBy), UpdatedAt: s.UpdatedAt.UTC(),
		EnabledAt: moment(s.EnabledAt), LastVerifiedAt: moment(s.LastVerifiedAt),
		NextVerificationAt: moment(p.nextVerification(s, now)), Version: s.Version, LaunchExpiresAt: moment(awaitedUntil(c, now)),
	}
	if !s.Stack.ID.IsZero() {
		out.Stack = &Stack{
			ID: s.Stack.ID.String(), Region: string(s.Stack.ID.Region()), TemplateVersion: s.Stack.TemplateVersion,
			BoundaryARN: s.Stack.PermissionsBoundaryARN,
		}
	}
	out.AccessKey = accessKey(s.AccessKey, now)
	if v := s.Verification; v != nil {
		out.Verification = &Verification{
			RoleARN: v.RoleARN.String(), Attempt: v.Attempt, NextTryAt: v.NextTryAt.UTC(), Deadline: v.Deadline.UTC(),
		}
	}
	return out
}

// nextVerification of an enabled connection is its slot's next turn, unless denials have called for a sooner one.
func (p presenter) nextVerification(s connect.Snapshot, now time.Time) time.Time {
	if s.Status != connect.StatusEnabled || !s.NextVerificationAt.IsZero() {
		return s.NextVerificationAt
	}
	return connect.NextTurn(s.ID, p.deployment.CheckInterval, now)
}

// awaitedUntil is when the launch ends by which the customer's stack or role is awaited; zero where none is.
func awaitedUntil(c connect.Connection, now time.Time) time.Time {
	l, _ := c.OpenLaunch(now)
	if c.Status() != connect.StatusPending && c.Status() != connect.StatusFailed && c.Snapshot().AccessKey == nil {
		return time.Time{}
	}
	return l.ExpiresAt
}

// launched is a connection with its launch, for a caller who may see it, as long as the customer's stack or role is awaited.
func (p presenter) launched(ctx context.Context, to Caller, c connect.Connection, now time.Time) (Connection, error) {
	out := p.connection(c, now)
	if u := p.deployment.PolicyUpdate(ctx, c); u != nil {
		out.PolicyUpdate = &PolicyUpdate{Changes: u.Changes, PolicyURL: u.PolicyURL, CLI: u.CLI}
	}
	if u := p.deployment.StackUpdate(ctx, c); u != nil {
		out.Stack.Update = &StackUpdate{
			From: u.From, To: u.To, Changes: u.Changes, UpdateURL: u.UpdateURL, TemplateURL: u.TemplateURL, CLI: u.CLI,
		}
	}
	if out.LaunchExpiresAt == nil {
		return out, nil
	}
	link, err := p.deployment.Link(ctx, p.tokens.shownTo(to, to.Filter.Admits(c)).connections, c, now)
	if err != nil || link == nil {
		return out, err
	}
	out.Launch = &Launch{
		QuickCreateURL: link.QuickCreateURL, TemplateURL: link.TemplateURL, StackName: link.StackName,
		Region: string(link.Region), Parameters: link.Parameters, CreateRoleURL: link.CreateRoleURL, TrustPolicy: link.TrustPolicy,
		CLI: link.CLI, CLIStack: link.CLIStack, Terraform: link.Terraform, TerraformModule: link.TerraformModule, ExpiresAt: link.ExpiresAt.UTC(),
	}
	return out, nil
}

func (p presenter) config() Config {
	d := p.deployment
	iam := "arn:" + string(d.Platform.Partition) + ":iam::" + string(d.Platform.Account) + ":"
	out := Config{
		PlatformAccount: string(d.Platform.Account), PlatformName: d.PlatformName, Partition: string(d.Platform.Partition),
		Principal: iam + "root", RoleARNPattern: iam + "role" + connect.RolesPath + "*", Regions: texts(d.Regions),
		PermissionSets: make([]PermissionSet, 0, len(d.Permissions)),
		SessionLimits: SessionLimits{
			Default: seconds(connect.DefaultSession), Least: seconds(connect.LeastSession), Longest: seconds(connect.LongestSession),
		},
		Template:        Template{Version: d.TemplateVersion, URL: d.TemplateURL, SHA256: d.TemplateSHA256},
		TerraformModule: Template{Version: d.TerraformModule.Version, URL: d.TerraformModule.URL, SHA256: d.TerraformModule.SHA256},
	}
	for _, s := range d.Permissions {
		out.PermissionSets = append(out.PermissionSets, PermissionSet{
			Name: string(s.Name), Title: s.Title, Description: s.Description, Warning: s.Warning,
			ManagedPolicies: texts(s.ManagedPolicies), DeniedActions: texts(s.DeniedActions), PolicyDigest: s.PolicyDigest, PolicyURL: s.PolicyURL,
		})
	}
	return out
}

func event(e connect.Event) Event {
	data := e.Data
	if data == nil {
		data = map[string]any{}
	}
	return Event{
		ID: e.ID, Sequence: e.Sequence, Type: string(e.Type), At: e.At.UTC(), Actor: string(e.Actor), Data: data,
	}
}

func reason(r connect.Reason) *Reason {
	if r.Code == "" {
		return nil
	}
	return &Reason{Code: string(r.Code), Message: r.Message, Fix: r.Fix}
}

func checks(in []connect.Check) []Check {
	out := make([]Check, 0, len(in))
	for _, c := range in {
		out = append(out, Check{
			Name: string(c.Name), Verdict: string(c.Verdict), Code: string(c.Reason.Code),
			Message: c.Reason.Message, Fix: c.Reason.Fix, At: c.At.UTC(),
		})
	}
	return out
}

func texts[T ~string](in []T) []string {
	out := make([]string, 0, len(in))
	for _, v := range in {
		out = append(out, string(v))
	}
	return out
}

// moment is nil for the zero time, which JSON would write as the year 1.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func seconds(d time.Duration) int { return int(d / time.Second) }

func statusNames() string { return strings.Join(texts(connect.Statuses()), ", ") }
