package connect

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// An Expectation is what a permission set promises of a role, as far as verification asks about it.
type Expectation struct {
	Policies []string // names of AWS's managed policies that grant the set, such as "ReadOnlyAccess"
	Actions  []string // a few that tell whether the set is there, such as "ec2:DescribeInstances"
	// PolicyDigest names the policy of a platform's own set; "" of the others, which change with the template's version.
	PolicyDigest string
}

// A Ruling is what IAM's policy simulator says of one action.
type Ruling string

// Rulings.
const (
	RulingAllowed   Ruling = "allowed"
	RulingMissing   Ruling = "missing"   // no policy of the role allows the action
	RulingForbidden Ruling = "forbidden" // a policy of the role denies it
	RulingBounded   Ruling = "bounded"   // the role's permissions boundary stands in the way
	// RulingUndecided is a denial that need not be true of a real call: it hangs on conditions that the simulator knows
	// nothing of, or on an organization's policies, which it does not evaluate faithfully.
	RulingUndecided Ruling = "undecided"
)

// An ActionRuling is the ruling on one action.
type ActionRuling struct {
	Action string
	Ruling Ruling
}

// permissions is check 6: whether the role may do what the connection's permission set promises. It is asked once, of
// the role's own session. Where it may not be asked nothing is wrong with the role, so that never stands in the way.
func (v Verifier) permissions(ctx context.Context, s Subject, session Session) Check {
	want, ok := v.Expects[s.Permissions]
	if !ok || len(want.Actions) == 0 {
		return Check{Name: CheckPermissions, Verdict: Unknown, At: v.Clock(), Reason: Reason{
			Code: CodeNotAsked, Message: fmt.Sprintf("the permission set %q promises no particular actions", s.Permissions),
			Fix: "Nothing to do: the role may do what its own policies say.",
		}}
	}
	if s.hasEarlier(want) {
		return Check{Name: CheckPermissions, Verdict: Unknown, At: v.Clock(), Reason: Reason{
			Code: CodeNotAsked, Message: fmt.Sprintf("the role has an earlier policy of the permission set %q, which the platform has changed since", s.Permissions),
			Fix: "Nothing to do for what the role was made for. The connection says what has changed, and how the role comes to it.",
		}}
	}
	rulings, err := v.Inspector.Permissions(ctx, session.Credentials, s.RoleARN, s.Region, want.Actions)
	c := passed(CheckPermissions, v.Clock())
	switch {
	case isDenied(err):
		c.Verdict, c.Reason = Unknown, Reason{
			Code: CodeNotAsked, Message: "the role may not ask IAM which of its permissions it really has",
			Fix: "To have missing permissions named, let the role ask about itself. " +
				inlinePolicyFix(s.RoleARN, s.RoleARN.String(), "iam:SimulatePrincipalPolicy"),
		}
	case err != nil:
		c.Verdict, c.Reason = Unknown, unavailable("IAM")
	default:
		c.judge(s, want, rulings)
	}
	return c
}

// hasEarlier says that the role was made with another policy of the platform's own set than the current one. It lacks
// nothing of what its customer was asked for.
func (s Subject) hasEarlier(want Expectation) bool {
	return s.PolicyDigest != "" && want.PolicyDigest != "" && s.PolicyDigest != want.PolicyDigest
}

// judge fails the check where an action is denied for certain, and leaves it unknown where it is denied perhaps.
func (c *Check) judge(s Subject, want Expectation, rulings []ActionRuling) {
	by := map[Ruling][]string{}
	for _, action := range want.Actions {
		r := rulingOf(action, rulings)
		by[r] = append(by[r], action)
	}
	lost := slices.Concat(by[RulingMissing], by[RulingForbidden], by[RulingBounded])
	switch {
	case len(lost) > 0:
		c.Verdict, c.settling = Failed, true
		c.Reason = Reason{
			Code:    CodePermissionsMissing,
			Message: fmt.Sprintf("the role lacks permissions of the set %s: %s", s.Permissions, firstOf(lost)),
			Fix:     permissionsFix(s, want, by),
		}
	case len(by[RulingUndecided]) > 0:
		c.Verdict = Unknown
		c.Reason = Reason{
			Code: CodeNotAsked,
			Message: fmt.Sprintf("whether the role has permissions of the set %s hangs on conditions or on organization policies "+
				"that cannot be asked about: %s", s.Permissions, firstOf(by[RulingUndecided])),
			Fix: "Nothing to do if this is meant. Else look for conditions in the policies of the role (IAM, Roles, " +
				s.RoleARN.Name() + ", Permissions) and in the organization's service control policies.",
		}
	}
}

// rulingOf is undecided where there is no answer: an answer cut short proves nothing.
func rulingOf(action string, rulings []ActionRuling) Ruling {
	for _, r := range rulings {
		if strings.EqualFold(r.Action, action) {
			return r.Ruling
		}
	}
	return RulingUndecided
}

// maxNamed is how many actions a message names.
const maxNamed = 10

func firstOf(actions []string) string {
	if len(actions) <= maxNamed {
		return strings.Join(actions, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(actions[:maxNamed], ", "), len(actions)-maxNamed)
}

// permissionsFix says what to change for each way in which actions are denied, the most likely one first.
func permissionsFix(s Subject, want Expectation, by map[Ruling][]string) string {
	var steps []string
	where := "(IAM, Roles, " + s.RoleARN.Name() + ", Permissions)"
	if missing := by[RulingMissing]; len(missing) > 0 {
		grant := inlinePolicyFix(s.RoleARN, "*", missing...)
		if len(want.Policies) > 0 {
			grant = fmt.Sprintf("Attach AWS's managed policy %s to the role %s, or grant the actions alone: %s",
				strings.Join(want.Policies, " and "), where, grant)
		}
		steps = append(steps, grant)
	}
	if forbidden := by[RulingForbidden]; len(forbidden) > 0 {
		steps = append(steps, fmt.Sprintf("Remove the Deny of %s from the role's policies %s.", firstOf(forbidden), where))
	}
	if bounded := by[RulingBounded]; len(bounded) > 0 {
		steps = append(steps, fmt.Sprintf("The role's permissions boundary does not allow %s: remove the boundary %s, or add this "+
			"statement to its policy: %s", firstOf(bounded), where, allowStatement("*", bounded)))
	}
	return strings.Join(append(steps, "If less is meant, connect the account with a smaller permission set."), " ")
}

func allowStatement(resource string, actions []string) string {
	text, _ := json.Marshal(struct { // strings always encode
		Effect   string
		Action   []string
		Resource string
	}{"Allow", actions, resource})
	return string(text)
}

// inlinePolicyFix says how a role is granted actions, with the policy to paste.
func inlinePolicyFix(role RoleARN, resource string, actions ...string) string {
	return fmt.Sprintf(`In IAM, Roles, %s, choose Add permissions, Create inline policy, JSON, and paste: `+
		`{"Version":"2012-10-17","Statement":[%s]}`, role.Name(), allowStatement(resource, actions))
}
