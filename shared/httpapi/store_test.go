package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rolecall/shared/connect"
)

// tokens are made of what they prove, which is enough where nobody forges any.
type tokens struct {
	fail error
	made int
}

// Of characters that a URL cannot have as they are, so that a link shows them otherwise.
const (
	canaryToken    = "canary+callback/token=of"
	canaryEnrolled = "canary+enrolled/token=of"
)

func (t *tokens) Token(_ context.Context, id connect.ConnectionID, launch int) (connect.Secret, error) {
	t.made++
	return connect.NewSecret(fmt.Sprintf("%s.%s.%d", canaryToken, id, launch)), t.fail
}

func (t *tokens) Launch(context.Context, connect.ConnectionID, connect.Secret) (int, error) {
	return 0, errors.New("not asked for here")
}

// account is a customer's account as STS, EC2 and IAM show it.
type account struct {
	mu        sync.Mutex
	denies    bool   // even with the right external ID
	denied    string // this role alone
	elsewhere string // this role, whose session turns out to be another account's
	open      bool   // even without one
	fixed     bool   // the role may not give itself a policy
	down      bool
	calls     int
	trust     string
	mute      bool // the role may not ask about its own permissions
	right     connect.ExternalID
	now       func() time.Time
}

const (
	canaryKey   = "canary-secret-access-key"
	canaryTrust = `{"Statement":[]}`
)

var errDenied = &connect.Error{Kind: connect.KindDenied, Code: connect.CodeRoleNotAssumable, Message: "AccessDenied"}

func (a *account) AssumeRole(_ context.Context, r connect.AssumeRequest) (connect.Session, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls++
	if a.down {
		return connect.Session{}, connect.Unavailable(connect.CodeSTSUnavailable, "STS did not answer", errors.New("dial tcp: timeout"))
	}
	if a.denies || a.denied == r.RoleARN.String() || (!a.open && r.ExternalID != a.right) {
		return connect.Session{}, errDenied
	}
	owner := r.RoleARN.Account()
	if a.elsewhere == r.RoleARN.String() {
		owner = "333333333333"
	}
	return connect.Session{Account: owner, Credentials: connect.Credentials{
		AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: connect.NewSecret(canaryKey),
		SessionToken: connect.NewSecret("canary-session-token"), Expires: a.now().Add(cmp.Or(r.Duration, time.Hour)),
	}}, nil
}

func (a *account) Regions(context.Context, connect.Credentials, connect.Region) ([]connect.Region, error) {
	return []connect.Region{"eu-west-1", "us-east-1"}, nil
}

func (a *account) TrustPolicy(context.Context, connect.Credentials, connect.RoleARN, connect.Region) (string, error) {
	return a.trust, nil
}

func (a *account) Permissions(
	_ context.Context, _ connect.Credentials, _ connect.RoleARN, _ connect.Region, actions []string,
) ([]connect.ActionRuling, error) {
	if a.mute {
		return nil, errDenied
	}
	out := make([]connect.ActionRuling, 0, len(actions))
	for _, action := range actions {
		out = append(out, connect.ActionRuling{Action: action, Ruling: connect.RulingAllowed})
	}
	return out, nil
}

func (a *account) set(change func(*account)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(a)
}

// queue keeps what is queued.
type queue struct {
	mu      sync.Mutex
	jobs    []connect.VerifyJob
	reports []connect.ReportJob
}

func (q *queue) Verify(_ context.Context, job connect.VerifyJob, _ time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobs = append(q.jobs, job)
	return nil
}

func (q *queue) Report(_ context.Context, job connect.ReportJob, _ time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reports = append(q.reports, job)
	return nil
}

func (a *account) SigninToken(context.Context, connect.Credentials) (connect.Secret, error) {
	if a.down {
		return connect.Secret{}, connect.Unavailable(connect.CodeSTSUnavailable, "no answer", errors.New("dial tcp: timeout"))
	}
	return connect.NewSecret("canary-sign-in-token"), nil
}

func (a *account) DenyOlder(context.Context, connect.Credentials, connect.RoleARN, connect.Region, time.Time) error {
	if a.fixed {
		return errDenied
	}
	return nil
}

func (a *account) AllowOlder(context.Context, connect.Credentials, connect.RoleARN, connect.Region, bool) error {
	return nil
}

func (*account) RemoveFormer(context.Context, connect.Credentials, connect.RoleARN, connect.Region, time.Time) error {
	return nil
}
