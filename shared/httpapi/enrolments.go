package httpapi

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"rolecall/shared/connect"
)

// CreateEnrolment is the body that asks for an organization's accounts.
type CreateEnrolment struct {
	OrganizationID        string   `json:"organizationId" doc:"The organization's id; every account must prove that it belongs to it." example:"o-a1b2c3d4e5"`
	OrganizationalUnitIDs []string `json:"organizationalUnitIds" doc:"The root (r-…) for all accounts, or organizational units (ou-…): 1 to 50." minItems:"1" maxItems:"50"`
	Permissions           string   `json:"permissions,omitempty" doc:"A permission set from /v1/config; the first one by default."`
	DefaultRegion         string   `json:"defaultRegion,omitempty" doc:"Where the stack is launched and where AWS is asked first; Rolecall's own Region by default."`
	NameRule              string   `json:"nameRule,omitempty" doc:"Makes the names of connections: text that holds {accountId} once. A number is added where a name is taken." default:"{accountId}"`
}

// An Enrolment connects the accounts of one AWS organization by one stack.
type Enrolment struct {
	ID                    string           `json:"id" example:"enr_01jd0000000000000000000000"`
	OrganizationID        string           `json:"organizationId"`
	OrganizationalUnitIDs []string         `json:"organizationalUnitIds"`
	Status                string           `json:"status" enum:"active,revoked" doc:"A revoked one takes no further account; those that it connected stay."`
	Permissions           string           `json:"permissions"`
	DefaultRegion         string           `json:"defaultRegion"`
	NameRule              string           `json:"nameRule"`
	MostAccounts          int              `json:"mostAccounts" doc:"How many accounts may report before it is proven that they belong to the organization. Those that do are connected beyond it, too."`
	CreatedAt             time.Time        `json:"createdAt"`
	CreatedBy             string           `json:"createdBy"`
	RevokedAt             *time.Time       `json:"revokedAt,omitempty"`
	Progress              *Progress        `json:"progress,omitempty" doc:"How far its accounts have come. Not in lists."`
	Launch                *EnrolmentLaunch `json:"launch,omitempty" doc:"What the customer needs, while the enrolment is active. Only for callers with the scope connections:write who may enrol, since it holds a secret; not in lists."`
}

// Progress counts an enrolment's accounts.
type Progress struct {
	Accounts     int `json:"accounts" doc:"All that have reported."`
	Connecting   int `json:"connecting"`
	Enabled      int `json:"enabled"`
	Degraded     int `json:"degraded"`
	Failed       int `json:"failed"`
	Disconnected int `json:"disconnected"`
	Deleted      int `json:"deleted" doc:"Their connections were deleted; they cannot come back by this enrolment."`
	Linked       int `json:"linked" doc:"Another connection of the tenant served them already."`
}

// An EnrolmentLaunch is a prepared link for the organization's management account or a delegated administrator of StackSets.
type EnrolmentLaunch struct {
	QuickCreateURL string            `json:"quickCreateUrl" doc:"Opens the customer's AWS console with everything filled in."`
	TemplateURL    string            `json:"templateUrl"`
	StackName      string            `json:"stackName"`
	Region         string            `json:"region"`
	Parameters     map[string]string `json:"parameters" doc:"The template's parameters. EnrolmentToken is a secret that admits accounts until the enrolment is revoked; quickCreateUrl and cli hold it, too."`
	CLI            string            `json:"cli" doc:"The stack as one command of the AWS CLI."`
	Prerequisites  []string          `json:"prerequisites" doc:"What must be so in the organization before."`
}

// Enrolments is a page of enrolments, newest first.
type Enrolments struct {
	Items      []Enrolment `json:"items"`
	NextCursor string      `json:"nextCursor,omitempty" doc:"Asks for the next page; absent on the last one."`
}

// An EnrolledAccount is how far an enrolment has come with one account.
type EnrolledAccount struct {
	AccountID    string    `json:"accountId" example:"222222222222"`
	Status       string    `json:"status" enum:"connecting,enabled,degraded,failed,disconnected,deleted,linked"`
	ConnectionID string    `json:"connectionId,omitempty" doc:"Absent for an account that came when the enrolment had been revoked."`
	Reason       *Reason   `json:"reason,omitempty" doc:"Why it failed, or is not as it should be."`
	RolledBack   bool      `json:"rolledBack" doc:"Its stack is gone after a failure: only the customer can deploy it again; see retry."`
	StackID      string    `json:"stackId,omitempty"`
	UpdatedAt    time.Time `json:"updatedAt"`
}

// EnrolledAccounts is a page of accounts, by account.
type EnrolledAccounts struct {
	Items      []EnrolledAccount `json:"items"`
	NextCursor string            `json:"nextCursor,omitempty" doc:"Asks for the next page; absent on the last one."`
}

// RetriedAccounts is what became of an enrolment's failures.
type RetriedAccounts struct {
	Verifying []string `json:"verifying" doc:"Accounts whose roles are tried again now."`
	Redeploy  []string `json:"redeploy" doc:"Accounts whose stacks rolled back; the customer deploys those again."`
	CLI       string   `json:"cli,omitempty" doc:"The command that deploys them again, and no other account; with --call-as DELEGATED_ADMIN in a delegated administrator."`
	More      bool     `json:"more" doc:"There are further failures: ask again."`
}

type (
	enrolInput struct {
		IdempotencyKey string `header:"Idempotency-Key" doc:"As on POST /v1/connections." maxLength:"128"`
		Body           CreateEnrolment
	}
	enrolmentInput struct {
		ID string `path:"id" doc:"The enrolment's id."`
	}
	enrolmentsInput struct {
		Limit  int    `query:"limit" doc:"Items on a page." minimum:"1" maximum:"100" default:"50"`
		Cursor string `query:"cursor" doc:"nextCursor of the page before."`
	}
	accountsInput struct {
		ID     string `path:"id" doc:"The enrolment's id."`
		Limit  int    `query:"limit" doc:"Items on a page." minimum:"1" maximum:"100" default:"50"`
		Cursor string `query:"cursor" doc:"nextCursor of the page before."`
	}
)

func (a api) enrolmentOperations() []operation {
	return []operation{
		does(operation{
			route: "POST /v1/enrolments", id: "createEnrolment", summary: "Enrol an AWS organization",
			about: "Prepares one stack, for the management account or a delegated administrator, that connects every account of the " +
				"units. Each account becomes a connection when its own stack reports. " + tenantsAlone,
			answers: []answer{{
				status: http.StatusCreated, about: "Created, with its launch", body: reflect.TypeFor[Enrolment](), headers: []string{"Location"},
			}},
		}, a.enrol),
		does(operation{
			route: "GET /v1/enrolments", id: "listEnrolments", summary: "List enrolments, newest first",
			answers: []answer{{status: http.StatusOK, body: reflect.TypeFor[Enrolments]()}},
		}, a.enrolments),
		does(operation{
			route: "GET /v1/enrolments/{id}", id: "getEnrolment", summary: "Read an enrolment and how far it has come",
			about:   "With its launch while it is active, for callers who also have the scope `connections:write` and may enrol.",
			answers: []answer{{status: http.StatusOK, body: reflect.TypeFor[Enrolment]()}},
		}, a.enrolment),
		does(operation{
			route: "DELETE /v1/enrolments/{id}", id: "revokeEnrolment", summary: "Revoke an enrolment",
			about:   "Its token admits no further account. The connections that it made stay. Revoking a revoked one changes nothing. " + tenantsAlone,
			answers: []answer{{status: http.StatusNoContent, about: "Revoked"}},
		}, a.revokeEnrolment),
		does(operation{
			route: "GET /v1/enrolments/{id}/accounts", id: "listEnrolledAccounts", summary: "An enrolment's accounts, by account",
			about: "Accounts that have not reported yet are not among them; neither are those whose report named no role of theirs, another " +
				"token, or a permission set that is not on offer: their stacks' own events say why.",
			answers: []answer{{status: http.StatusOK, body: reflect.TypeFor[EnrolledAccounts]()}},
		}, a.enrolledAccounts),
	}
}

func (a api) enrol(ctx context.Context, c call, in enrolInput) (reply, error) {
	idem, err := a.idempotency(c, in.IdempotencyKey)
	if err != nil {
		return reply{}, err
	}
	made, err := a.Enrolments.Create(ctx, connect.EnrolRequest{
		Tenant: c.caller.Tenant, By: c.caller.Subject, Filter: c.caller.Filter, OrganizationID: in.Body.OrganizationID, Units: in.Body.OrganizationalUnitIDs,
		Permissions: in.Body.Permissions, DefaultRegion: in.Body.DefaultRegion, NameRule: in.Body.NameRule, Idempotency: idem,
	})
	if err != nil {
		return reply{}, err
	}
	body, err := a.launchedEnrolment(ctx, c.caller, made)
	return reply{status: http.StatusCreated, body: body, location: "/v1/enrolments/" + string(made.ID())}, err
}

func (a api) launchedEnrolment(ctx context.Context, to Caller, e connect.Enrolment) (Enrolment, error) {
	out := enrolment(e)
	link, err := a.present.deployment.EnrolmentLink(ctx, a.present.tokens.shownTo(to, to.Filter.AdmitsTenant()).enrolments, e)
	if err != nil || link == nil {
		return out, err
	}
	out.Launch = &EnrolmentLaunch{
		QuickCreateURL: link.QuickCreateURL, TemplateURL: link.TemplateURL, StackName: link.StackName, Region: string(link.Region),
		Parameters: link.Parameters, CLI: link.CLI, Prerequisites: []string{
			"The organization has all features enabled.",
			"Trusted access for StackSets is active: in the management account, aws cloudformation activate-organizations-access.",
			"The stack is created in the management account; or in a delegated administrator of StackSets, with Administrator set to " +
				"delegated-administrator, and the management account is connected by a connection of its own.",
		},
	}
	return out, nil
}

func (a api) enrolments(ctx context.Context, c call, in enrolmentsInput) (reply, error) {
	limit, err := pageSize(in.Limit)
	if err != nil {
		return reply{}, err
	}
	page, err := a.Enrolments.List(ctx, c.caller.Tenant, connect.EventQuery{Limit: limit, Cursor: in.Cursor})
	if err != nil {
		return reply{}, err
	}
	out := Enrolments{Items: make([]Enrolment, 0, len(page.Items)), NextCursor: page.Next}
	for _, e := range page.Items {
		out.Items = append(out.Items, enrolment(e))
	}
	return reply{status: http.StatusOK, body: out}, nil
}

func (a api) enrolment(ctx context.Context, c call, in enrolmentInput) (reply, error) {
	e, counts, err := a.Enrolments.Get(ctx, c.caller.Tenant, in.ID)
	if err != nil {
		return reply{}, err
	}
	body, err := a.launchedEnrolment(ctx, c.caller, e)
	body.Progress = progress(counts)
	return reply{status: http.StatusOK, body: body}, err
}

func progress(counts connect.Progress) *Progress {
	out := &Progress{
		Connecting: counts[connect.MemberConnecting], Enabled: counts[connect.MemberEnabled], Degraded: counts[connect.MemberDegraded],
		Failed: counts[connect.MemberFailed], Disconnected: counts[connect.MemberDisconnected], Deleted: counts[connect.MemberDeleted],
		Linked: counts[connect.MemberLinked],
	}
	for _, n := range counts {
		out.Accounts += n
	}
	return out
}

func (a api) revokeEnrolment(ctx context.Context, c call, in enrolmentInput) (reply, error) {
	return reply{status: http.StatusNoContent}, a.Enrolments.Revoke(ctx, target(c, in.ID, 0))
}

func (a api) enrolledAccounts(ctx context.Context, c call, in accountsInput) (reply, error) {
	limit, err := pageSize(in.Limit)
	if err != nil {
		return reply{}, err
	}
	page, err := a.Enrolments.Accounts(ctx, c.caller.Tenant, in.ID, connect.EventQuery{Limit: limit, Cursor: in.Cursor})
	if err != nil {
		return reply{}, err
	}
	out := EnrolledAccounts{Items: make([]EnrolledAccount, 0, len(page.Items)), NextCursor: page.Next}
	for _, m := range page.Items {
		out.Items = append(out.Items, EnrolledAccount{
			AccountID: string(m.AccountID), Status: string(m.State), ConnectionID: string(m.ConnectionID), Reason: reason(m.Reason),
			RolledBack: m.RolledBack, StackID: m.StackID.String(), UpdatedAt: m.UpdatedAt.UTC(),
		})
	}
	return reply{status: http.StatusOK, body: out}, nil
}

// enrolment is an enrolment without its progress and launch.
func enrolment(e connect.Enrolment) Enrolment {
	s := e.Snapshot()
	return Enrolment{
		ID: string(s.ID), OrganizationID: string(s.OrganizationID), OrganizationalUnitIDs: texts(s.Units), Status: string(s.Status),
		Permissions: string(s.Permissions), DefaultRegion: string(s.DefaultRegion), NameRule: string(s.NameRule),
		MostAccounts: connect.MaxEnrolmentAccounts, CreatedAt: s.CreatedAt.UTC(), CreatedBy: string(s.CreatedBy), RevokedAt: moment(s.RevokedAt),
	}
}

// retryOperation is broker's, since it begins verifications.
func (b broker) retryOperation() operation {
	return does(operation{
		route: "POST /v1/enrolments/{id}/retry", id: "retryEnrolment", summary: "Begin an enrolment's failed accounts again",
		about: "Failures alone. A role that is still there is tried again now. A stack that rolled back took its role with it: the " +
			"answer has the command by which the customer deploys those accounts again, and no other. " + tenantsAlone,
		answers: []answer{{status: http.StatusOK, body: reflect.TypeFor[RetriedAccounts]()}},
	}, b.retry)
}

func (b broker) retry(ctx context.Context, c call, in enrolmentInput) (reply, error) {
	retried, err := b.Retries.Retry(ctx, target(c, in.ID, 0))
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: RetriedAccounts{
		Verifying: texts(retried.Verifying), Redeploy: texts(retried.Redeploy), CLI: retried.Command, More: retried.More,
	}}, nil
}
