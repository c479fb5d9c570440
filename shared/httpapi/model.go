package httpapi

import (
	"encoding/json"
	"time"
)

// A Connection is one customer account of the calling tenant.
type Connection struct {
	ID            string        `json:"id" doc:"Names the connection; sorts by time of creation." example:"conn_01jd0000000000000000000000"`
	Name          string        `json:"name" doc:"Unique within the tenant for ever, ignoring case."`
	Provider      string        `json:"provider" enum:"aws"`
	Method        string        `json:"method" enum:"role,access_key" doc:"How the account is connected."`
	Status        string        `json:"status" enum:"pending,verifying,enabled,degraded,failed,disconnected,expired,deleted"`
	StatusReason  *Reason       `json:"statusReason,omitempty" doc:"Why the connection is not as it should be."`
	AccountID     string        `json:"accountId,omitempty" doc:"The customer's AWS account, once a role has been reported." example:"222222222222"`
	Partition     string        `json:"partition" enum:"aws,aws-us-gov,aws-cn"`
	DefaultRegion string        `json:"defaultRegion" example:"eu-west-1"`
	ExternalID    string        `json:"externalId" doc:"What the role's trust policy must ask for. Made by Rolecall, never changed, never used again."`
	RoleARN       string        `json:"roleArn,omitempty"`
	AccessKey     *AccessKey    `json:"accessKey,omitempty" doc:"The customer's access key, of a connection by access key. Its secret is never shown."`
	Permissions   string        `json:"permissions" doc:"The permission set that the role has, as the customer's stack reports it; until one does, the set that was asked for."`
	Requested     string        `json:"requestedPermissions" doc:"The permission set that the customer was asked for; the customer may have chosen another."`
	Stack         *Stack        `json:"stack,omitempty" doc:"The customer's CloudFormation stack, where there is one."`
	Scopes        []Scope       `json:"scopes" doc:"Where the connection applies, the widest scope first. Empty: nowhere by itself, it is only used by its id."`
	Checks        []Check       `json:"checks" doc:"What verification found, in the order of the checks."`
	Verification  *Verification `json:"verification,omitempty" doc:"The verification in progress."`
	Regions       []string      `json:"regions" doc:"The Regions enabled in the account, as last seen."`
	CreatedAt     time.Time     `json:"createdAt"`
	CreatedBy     string        `json:"createdBy"`
	UpdatedAt     time.Time     `json:"updatedAt"`
	EnabledAt     *time.Time    `json:"enabledAt,omitempty"`
	// LastVerifiedAt and NextVerificationAt tell when Rolecall last found the role as it should be, and looks again.
	LastVerifiedAt     *time.Time `json:"lastVerifiedAt,omitempty"`
	NextVerificationAt *time.Time `json:"nextVerificationAt,omitempty"`
	Version            int64      `json:"version" doc:"Counts the connection's changes; the ETag."`
	Launch             *Launch    `json:"launch,omitempty" doc:"What the customer needs to connect the account, while that is awaited. Only for callers with the scope connections:write who may change the connection, since it holds a secret; not in lists."`
	// LaunchExpiresAt is no secret: it tells those who may not see the launch that there is one.
	LaunchExpiresAt *time.Time `json:"launchExpiresAt,omitempty" doc:"Until when the customer's stack or role is awaited by an open launch, for callers who may not see that launch, too."`

	PolicyDigest string        `json:"policyDigest,omitempty" doc:"Of the permission set custom: which version of the platform's own policy the role was made with, as permissionSets in /v1/config names it. Absent where that is not known."`
	PolicyUpdate *PolicyUpdate `json:"policyUpdate,omitempty" doc:"How a role that was made by hand comes to the platform's current policy, where that has changed. A stack's is stack.update. Not in lists."`

	ExpectedAccountID string `json:"expectedAccountId,omitempty" doc:"The only account that the connection may be of, where one was given when it was created; any other is refused (ACCOUNT_MISMATCH). accountId is the one that it has." example:"222222222222"`

	EnrolmentID    string `json:"enrolmentId,omitempty" doc:"The enrolment that made the connection."`
	OrganizationID string `json:"organizationId,omitempty" doc:"The organization that the account must belong to; the check organization asks."`
}

// A Reason says why something is not as it should be, and what to do about it.
type Reason struct {
	Code    string `json:"code" example:"ROLE_NOT_ASSUMABLE"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
}

// A Stack is a CloudFormation stack in the customer's account.
type Stack struct {
	ID              string `json:"id"`
	Region          string `json:"region"`
	TemplateVersion string `json:"templateVersion,omitempty"`
	BoundaryARN     string `json:"permissionsBoundaryArn,omitempty" doc:"The policy that limits the role whatever its permission set grants."`

	Update *StackUpdate `json:"update,omitempty" doc:"How the stack comes to the platform's current template, where there is a newer one. Not in lists."`
}

// A PolicyUpdate is what the platform's own policy has changed since a role was made by hand, and the way to it.
type PolicyUpdate struct {
	Changes   []string `json:"changes" doc:"What changes, a sentence each."`
	PolicyURL string   `json:"policyUrl" doc:"Where the current policy (JSON) is published, for the role's inline policy RolecallCustom."`
	CLI       string   `json:"cli,omitempty" doc:"A command of the AWS CLI, for bash or zsh, that puts it. Then give the role's ARN to PUT /v1/connections/{id}/role once more: it is held against the new policy."`
}

// A StackUpdate is a newer template, or the platform's newer permission set in it, and the ways to it. The stack keeps its
// parameters, and the connection its role.
type StackUpdate struct {
	From        string   `json:"from" doc:"The version of the stack's template." example:"1.1.0"`
	To          string   `json:"to" doc:"The version of the current template; the same as from where only the permission set custom has changed." example:"1.2.0"`
	Changes     []string `json:"changes" doc:"What changes for this connection, a sentence each: permissions first."`
	UpdateURL   string   `json:"updateUrl,omitempty" doc:"Opens the customer's AWS console to update the stack. AWS does not document this link; cli does the same. Absent where a stack set made the stack: then the organization's stack is what is updated."`
	TemplateURL string   `json:"templateUrl"`
	CLI         string   `json:"cli,omitempty" doc:"Commands of the AWS CLI, for bash or zsh, that update the stack and wait for it."`
}

// A Check is the outcome of one named test. Code, message and fix are there where it did not pass, or passed with a
// warning.
type Check struct {
	Name    string    `json:"name" enum:"assume_role,external_id_required,external_id_matched,regions,trust_policy,permissions,organization,keys"`
	Verdict string    `json:"verdict" enum:"passed,failed,unknown" doc:"unknown is never as good as passed."`
	Code    string    `json:"code,omitempty"`
	Message string    `json:"message,omitempty"`
	Fix     string    `json:"fix,omitempty"`
	At      time.Time `json:"at"`
}

// A Verification is a run in progress.
type Verification struct {
	RoleARN   string    `json:"roleArn" doc:"The role on trial. While the connection is enabled the old role goes on serving."`
	Attempt   int       `json:"attempt" doc:"Tries made so far."`
	NextTryAt time.Time `json:"nextTryAt"`
	Deadline  time.Time `json:"deadline" doc:"From then on a denial is final."`
}

// A Launch is a prepared link, and its parts for those who would rather use a tool.
type Launch struct {
	QuickCreateURL string            `json:"quickCreateUrl" doc:"Opens the customer's AWS console with everything filled in."`
	TemplateURL    string            `json:"templateUrl"`
	StackName      string            `json:"stackName"`
	Region         string            `json:"region"`
	Parameters     map[string]string `json:"parameters" doc:"The template's parameters. CallbackToken is a secret of this launch; quickCreateUrl and cliStack hold it, too."`
	CreateRoleURL  string            `json:"createRoleUrl" doc:"Opens IAM's own page for making a role with the trust filled in. Best effort: AWS does not document the page's parameters. Compare with trustPolicy, then give the role's ARN to PUT /v1/connections/{id}/role."`
	TrustPolicy    string            `json:"trustPolicy" doc:"The trust policy (JSON) of a role that is made by hand."`
	CLI            string            `json:"cli,omitempty" doc:"Commands of the AWS CLI, for bash or zsh, that make the role without a stack and print its ARN, for PUT /v1/connections/{id}/role."`
	CLIStack       string            `json:"cliStack,omitempty" doc:"Commands of the AWS CLI that create the stack of the link. They hold CallbackToken."`
	Terraform      string            `json:"terraform,omitempty" doc:"A Terraform configuration (AWS provider 5 or newer) that makes the role without a stack; an output is its ARN, for PUT /v1/connections/{id}/role."`
	ExpiresAt      time.Time         `json:"expiresAt"`

	TerraformModule string `json:"terraformModule,omitempty" doc:"The same role by a call of the published Terraform module, whose URL and SHA-256 it names."`
}

// CreateConnection is the body that asks for a connection.
type CreateConnection struct {
	Name          string  `json:"name" doc:"1 to 64 characters, never used by this tenant before, not even by a deleted connection." minLength:"1" maxLength:"64"`
	Method        string  `json:"method,omitempty" enum:"role,access_key" default:"role" doc:"A role is better: it holds no secret and does not end."`
	DefaultRegion string  `json:"defaultRegion,omitempty" doc:"Where the stack is launched and where AWS is asked first; Rolecall's own Region by default."`
	Permissions   string  `json:"permissions,omitempty" doc:"A permission set from /v1/config; the first one by default."`
	Scopes        []Scope `json:"scopes,omitempty" maxItems:"20" doc:"Where the connection applies; scopes that another connection has are refused (SCOPE_TAKEN)."`
	AccountID     string  `json:"accountId,omitempty" doc:"The only account that may become the connection, 12 digits: a stack or a role of any other is refused (ACCOUNT_MISMATCH). Required with access_key, whose key must belong to it." example:"222222222222"`
	AccessKey     *Keys   `json:"accessKey,omitempty" doc:"With access_key: the key, which is verified before anything is stored."`
}

// ReportRole is the body that names a role made by hand.
type ReportRole struct {
	RoleARN string `json:"roleArn" example:"arn:aws:iam::222222222222:role/Rolecall"`
}

// Connections is a page of connections, newest first.
type Connections struct {
	Items      []Connection `json:"items"`
	NextCursor string       `json:"nextCursor,omitempty" doc:"Asks for the next page; absent on the last one."`
}

// Events is a page of a connection's timeline, newest first.
type Events struct {
	Items      []Event `json:"items"`
	NextCursor string  `json:"nextCursor,omitempty" doc:"Asks for the next page; absent on the last one."`
}

// An Event is one line of a connection's timeline.
type Event struct {
	ID       string         `json:"id" doc:"Unique for ever."`
	Sequence int64          `json:"sequence" doc:"The version of the connection that the event made, or in which it happened."`
	Type     string         `json:"type" example:"connection.enabled"`
	At       time.Time      `json:"at"`
	Actor    string         `json:"actor" doc:"The subject of a token, stack (the customer's stack) or rolecall (Rolecall itself)."`
	Data     map[string]any `json:"data"`
}

// Config is what a page needs to know before it offers to connect an account.
type Config struct {
	PlatformAccount string          `json:"platformAccount" example:"111111111111"`
	PlatformName    string          `json:"platformName"`
	Partition       string          `json:"partition"`
	Principal       string          `json:"principal" doc:"The principal of the trust policy." example:"arn:aws:iam::111111111111:root"`
	RoleARNPattern  string          `json:"roleArnPattern" doc:"The roles that assume customers' roles (aws:PrincipalArn)." example:"arn:aws:iam::111111111111:role/rolecall/*"`
	Regions         []string        `json:"regions" doc:"Where the stack can be launched; the first one is Rolecall's own."`
	PermissionSets  []PermissionSet `json:"permissionSets" doc:"The first one is the default."`
	SessionLimits   SessionLimits   `json:"sessionLimits"`
	Template        Template        `json:"template"`
	TerraformModule Template        `json:"terraformModule" doc:"The Terraform module, a zip file that a module's source can name."`
}

// A PermissionSet is one choice of rights for the customer's role.
type PermissionSet struct {
	Name            string   `json:"name" example:"read-only"`
	Title           string   `json:"title"`
	Description     string   `json:"description" doc:"Goes on from the title: what the platform may do."`
	Warning         string   `json:"warning,omitempty" doc:"What the customer should know before granting it."`
	ManagedPolicies []string `json:"managedPolicies" doc:"AWS's managed policies that it grants, such as ReadOnlyAccess; none for the set custom, whose policy is in the template."`
	DeniedActions   []string `json:"deniedActions" doc:"What it takes away again, on all resources; sorted. The set custom may name wildcards."`
	PolicyDigest    string   `json:"policyDigest,omitempty" doc:"Of the set custom: names its policy, the first 16 hex digits of the SHA-256 of what lies at policyUrl." example:"3f1f6babb91f8a14"`
	PolicyURL       string   `json:"policyUrl,omitempty" doc:"Of the set custom: where its policy (JSON) is published."`
}

// SessionLimits are in seconds.
type SessionLimits struct {
	Default int `json:"defaultSeconds"`
	Least   int `json:"leastSeconds"`
	Longest int `json:"longestSeconds"`
}

// A Template is what launches use: the CloudFormation template, or the Terraform module.
type Template struct {
	Version string `json:"version"`
	URL     string `json:"url"`
	SHA256  string `json:"sha256" doc:"Of what is published, lower-case hex."`
}

// document is JSON that goes out as it is.
type document = json.RawMessage
