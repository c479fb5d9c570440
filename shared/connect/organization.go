package connect

import (
	"context"
	"regexp"
)

type (
	// OrganizationID is an AWS organization's id, such as "o-a1b2c3d4e5".
	OrganizationID string
	// UnitID is an organization's root ("r-ab12") or one of its organizational units ("ou-ab12-c3d4e5f6").
	UnitID string
)

var (
	organizationIDRE = regexp.MustCompile(`^o-[a-z0-9]+$`)
	rootIDRE         = regexp.MustCompile(`^r-[0-9a-z]+$`)
	unitIDRE         = regexp.MustCompile(`^ou-([0-9a-z]+)-([a-z0-9]+)$`)
)

// ParseOrganizationID reads an organization's id as AWS Organizations writes it.
func ParseOrganizationID(s string) (OrganizationID, error) {
	if n := len(s) - len("o-"); n < 10 || n > 32 || !organizationIDRE.MatchString(s) {
		return "", &Error{
			Kind: KindInvalid, Code: CodeOrganizationInvalid, Message: "this is not the id of an AWS organization",
			Fix: "Give the id as AWS Organizations shows it, such as o-a1b2c3d4e5.",
		}
	}
	return OrganizationID(s), nil
}

// ParseUnitID reads the id of a root or an organizational unit.
func ParseUnitID(s string) (UnitID, error) {
	if n := len(s) - len("r-"); n >= 4 && n <= 32 && rootIDRE.MatchString(s) {
		return UnitID(s), nil
	}
	m := unitIDRE.FindStringSubmatch(s)
	if m == nil || len(m[1]) < 4 || len(m[1]) > 32 || len(m[2]) < 8 || len(m[2]) > 32 {
		return "", unitsError("these are not the ids of a root or of organizational units")
	}
	return UnitID(s), nil
}

func unitsError(message string) error {
	return &Error{
		Kind: KindInvalid, Code: CodeUnitsInvalid, Message: message,
		Fix: "Give 1 to 50 different ids as AWS Organizations shows them, such as r-ab12 for everything or ou-ab12-c3d4e5f6.",
	}
}

// Organizations tells which organization a session's account belongs to, by DescribeOrganization. It answers "" where
// the account is in none; a refusal is an [Error] of KindDenied.
type Organizations interface {
	Organization(ctx context.Context, c Credentials, p Partition) (OrganizationID, error)
}

// organization is the check that is made for accounts of an enrolment alone: whoever reads the enrolment's token could
// report any account, so the account itself is asked where it belongs. AWS answers for it; nobody else can.
func (v Verifier) organization(ctx context.Context, s Subject, session Session) Check {
	got, err := v.Organizations.Organization(ctx, session.Credentials, s.RoleARN.Partition())
	c := passed(CheckOrganization, v.Clock())
	switch {
	case isDenied(err):
		c.Verdict, c.settling = Failed, true
		c.Reason = Reason{
			Code: CodeOrganizationDenied, Message: "the role may not say which organization its account belongs to",
			Fix: inlinePolicyFix(s.RoleARN, "*", "organizations:DescribeOrganization") +
				" If it is granted already, the role's permissions boundary or a policy of your organization denies it.",
		}
	case err != nil:
		c.Verdict, c.Reason = Unknown, unavailable("AWS Organizations")
	case got != s.Organization:
		c.Verdict, c.Reason = Failed, Reason{
			Code:    CodeOrganizationMismatch,
			Message: "account " + string(s.RoleARN.Account()) + " is not in organization " + string(s.Organization),
			Fix:     "Delete this stack. To connect an account outside the organization, open a launch of its own from the platform.",
		}
	}
	return c
}
