package connect

import (
	"context"
	"errors"
	"time"
)

// Credentials are a session's. They are kept in memory only.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey Secret
	SessionToken    Secret
	Expires         time.Time
}

// An AssumeRequest is one call of AssumeRole.
type AssumeRequest struct {
	RoleARN        RoleARN
	ExternalID     ExternalID // "" sends none
	SessionName    string
	SourceIdentity string // "" sends none
	Tags           map[string]string
	Duration       time.Duration // 0 leaves it to STS: an hour
	Policy         string        // a session policy; "" sends none
	PolicyARNs     []string      // managed policies as session policies
}

// A Session is what STS answered.
type Session struct {
	Credentials Credentials
	Account     AccountID // of the assumed role
	// Of sessions made from access keys alone: the name by which CloudTrail shows a federated one, and that the session
	// cannot call IAM, whatever its holder may, as AWS has it for all that are made without MFA.
	Name  string
	NoIAM bool
}

// An Assumer asks STS for a session of a customer's role. An AccessDenied is an [Error] of KindDenied, what is wrong with
// the request one of KindInvalid or KindConflict; every other failure proves nothing.
type Assumer interface {
	AssumeRole(ctx context.Context, r AssumeRequest) (Session, error)
}

// An Inspector looks into a customer's account with a session. A refusal is an [Error] of KindDenied.
type Inspector interface {
	// Regions are those enabled in the account, by EC2's DescribeRegions.
	Regions(ctx context.Context, c Credentials, region Region) ([]Region, error)
	// TrustPolicy is the role's trust policy as JSON, by IAM's GetRole.
	TrustPolicy(ctx context.Context, c Credentials, role RoleARN, region Region) (string, error)
	// Permissions are the rulings on what the role may do in a Region, on all resources, by IAM's
	// SimulatePrincipalPolicy. Actions that were not ruled upon may be left out.
	Permissions(ctx context.Context, c Credentials, role RoleARN, region Region, actions []string) ([]ActionRuling, error)
}

// A Verifier proves a role safe to use, or says why it is not.
type Verifier struct {
	Platform  Platform
	Assumer   Assumer
	Inspector Inspector
	Clock     func() time.Time
	Expects   map[Permissions]Expectation // what is asked for each permission set; nothing for one that is not in it
	// Organizations is asked where a subject must belong to an organization.
	Organizations Organizations
}

// A Subject is the role that is verified, and for whom.
type Subject struct {
	RoleARN     RoleARN
	ExternalID  ExternalID
	Region      Region
	Permissions Permissions // the set that the role was meant to have
	// PolicyDigest names the platform's own policy that the role was made with; "" holds it against the current one.
	PolicyDigest string
	// Organization that the account must belong to; "" where it does not matter.
	Organization OrganizationID
}

const (
	verifySession  = "rolecall-verify"
	verifyDuration = 15 * time.Minute // STS's least
)

// Verify runs all checks. The three probes are alike but for the external ID, so that nothing else can explain a
// difference between their answers: none of them carries tags or a source identity.
func (v Verifier) Verify(ctx context.Context, s Subject) Outcome {
	o := Outcome{At: v.Clock()}
	session, first := v.assume(ctx, s)
	o.Checks = []Check{first}
	if first.Verdict != Passed {
		o.Checks = append(o.Checks, notAsked(s, o.At)...)
		return o
	}
	o.Account = session.Account
	o.Checks = append(o.Checks,
		v.refused(ctx, s, CheckExternalIDRequired, ""),
		v.refused(ctx, s, CheckExternalIDMatched, s.ExternalID.Wrong()))
	regions, check := v.regions(ctx, s, session)
	o.Regions, o.Checks = regions, append(o.Checks, check)
	trust, check := v.trust(ctx, s, session)
	o.Checks = append(o.Checks, check, v.permissions(ctx, s, session))
	if want := v.Expects[s.Permissions]; !s.hasEarlier(want) {
		o.PolicyDigest = want.PolicyDigest
	}
	if s.Organization != "" {
		o.Checks = append(o.Checks, v.organization(ctx, s, session))
	}
	o.SessionTags = v.sessionTags(ctx, s, trust, check)
	return o
}

func notAsked(s Subject, at time.Time) []Check {
	names := []CheckName{CheckExternalIDRequired, CheckExternalIDMatched, CheckRegions, CheckTrustPolicy, CheckPermissions}
	if s.Organization != "" {
		names = append(names, CheckOrganization)
	}
	var out []Check
	for _, name := range names {
		out = append(out, Check{Name: name, Verdict: Unknown, At: at, Reason: Reason{
			Code: CodeNotAsked, Message: "not asked, because the role could not be assumed",
			Fix: "Mend what the check assume_role says first.",
		}})
	}
	return out
}

func probe(s Subject, external ExternalID) AssumeRequest {
	return AssumeRequest{
		RoleARN: s.RoleARN, ExternalID: external, SessionName: verifySession, Duration: verifyDuration,
	}
}

// assume is check 1.
func (v Verifier) assume(ctx context.Context, s Subject) (Session, Check) {
	session, err := v.Assumer.AssumeRole(ctx, probe(s, s.ExternalID))
	c := passed(CheckAssumeRole, v.Clock())
	switch {
	case isDenied(err):
		c.Verdict, c.settling = Failed, true
		c.Reason = Reason{
			Code: CodeRoleNotAssumable, Message: "the role cannot be assumed with this connection's external ID",
			Fix: "Check that the role " + s.RoleARN.String() + " exists. " + v.Platform.trustFix(s) +
				" If it reads so already, a policy of your organization denies sts:AssumeRole to account " +
				string(v.Platform.Account) + ".",
		}
	case err != nil:
		c.Verdict, c.Reason = Unknown, unanswered(err)
	case session.Account != s.RoleARN.Account():
		c.Verdict, c.Reason = Failed, accountMismatch(session.Account, s.RoleARN.Account()).Reason()
	}
	return session, c
}

// refused is checks 2 and 3: the role must deny what does not carry the right external ID. Only AccessDenied proves it.
func (v Verifier) refused(ctx context.Context, s Subject, name CheckName, external ExternalID) Check {
	_, err := v.Assumer.AssumeRole(ctx, probe(s, external))
	c := passed(name, v.Clock())
	switch {
	case isDenied(err):
		return c
	case err != nil:
		c.Verdict, c.Reason = Unknown, unanswered(err)
		return c
	}
	c.Verdict, c.settling = Failed, true
	c.Reason = Reason{
		Code: CodeExternalIDNotRequired,
		Message: "the role can be assumed without an external ID: its trust policy has no condition on sts:ExternalId, " +
			"or one that also holds where none is given",
		Fix: v.Platform.trustFix(s),
	}
	if name == CheckExternalIDMatched {
		c.Reason.Code = CodeExternalIDIgnored
		c.Reason.Message = "the role can be assumed with a wrong external ID: its trust policy has no condition on " +
			"sts:ExternalId, or one with a wildcard or a negation"
	}
	return c
}

// regions is check 4.
func (v Verifier) regions(ctx context.Context, s Subject, session Session) ([]Region, Check) {
	regions, err := v.Inspector.Regions(ctx, session.Credentials, s.Region)
	c := passed(CheckRegions, v.Clock())
	switch {
	case isDenied(err):
		c.Verdict, c.settling = Failed, true
		c.Reason = Reason{
			Code: CodeRegionsDenied, Message: "the role may not list the account's Regions",
			Fix: inlinePolicyFix(s.RoleARN, "*", "ec2:DescribeRegions") +
				" If it is granted already, the role's permissions boundary or a policy of your organization denies it.",
		}
	case err != nil:
		c.Verdict, c.Reason = Unknown, unavailable("EC2")
	}
	return regions, c
}

// trust is check 5, where the role may read itself.
func (v Verifier) trust(ctx context.Context, s Subject, session Session) (trustFinding, Check) {
	document, err := v.Inspector.TrustPolicy(ctx, session.Credentials, s.RoleARN, s.Region)
	var f trustFinding
	if err == nil {
		f, err = v.Platform.readTrust(document, s.ExternalID)
	}
	c := passed(CheckTrustPolicy, v.Clock())
	switch {
	case err == nil:
		c = v.Platform.trustCheck(f, s, c.At)
	case isDenied(err):
		c.Verdict, c.Reason = Unknown, Reason{
			Code: CodeTrustUnreadable, Message: "the role's trust policy could not be read, since the role may not read itself",
			Fix: "To have the trust policy checked, let the role read itself. " +
				inlinePolicyFix(s.RoleARN, s.RoleARN.String(), "iam:GetRole"),
		}
	case errors.Is(err, errTrustUnreadable):
		c.Verdict, c.Reason = Unknown, Reason{
			Code: CodeTrustUnreadable, Message: "the role's trust policy could not be understood", Fix: v.Platform.trustFix(s),
		}
	default:
		c.Verdict, c.Reason = Unknown, unavailable("IAM")
	}
	return f, c
}

// sessionTags finds out whether sessions may carry tags and a source identity: from the trust policy, or by asking STS
// where that could not be read.
func (v Verifier) sessionTags(ctx context.Context, s Subject, f trustFinding, trust Check) bool {
	if trust.Verdict != Unknown {
		return f.sessionTags
	}
	r := probe(s, s.ExternalID)
	r.SourceIdentity, r.Tags = "rolecall", map[string]string{"rolecall": "verify"}
	_, err := v.Assumer.AssumeRole(ctx, r)
	return err == nil
}

// Recheck runs checks 1 and 2 for a role that has passed them all before.
func (v Verifier) Recheck(ctx context.Context, s Subject) Outcome {
	o := Outcome{At: v.Clock()}
	session, first := v.assume(ctx, s)
	o.Account, o.Checks = session.Account, []Check{first}
	if first.Verdict == Passed {
		o.Checks = append(o.Checks, v.refused(ctx, s, CheckExternalIDRequired, ""))
	}
	return o
}

func isDenied(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == KindDenied
}

// unanswered is why STS's answer proves nothing: most failures pass by themselves; a Region that the customer has switched
// off does not.
func unanswered(err error) Reason {
	var e *Error
	if errors.As(err, &e) && e.Code == CodeSTSRegionDisabled {
		return e.Reason()
	}
	return unavailable("STS")
}

func unavailable(service string) Reason {
	return Reason{
		Code: CodeSTSUnavailable, Message: service + " did not answer as it should; this says nothing about the role",
		Fix: "Nothing to do: Rolecall tries again.",
	}
}
