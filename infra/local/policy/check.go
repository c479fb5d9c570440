package policy

import (
	"regexp"
	"strings"
)

var sidForm = regexp.MustCompile(`^[A-Za-z0-9]*$`)

// CheckIdentity refuses what IAM refuses in a policy of a role, a user or a session; its errors are [*MalformedError].
func (d Document) CheckIdentity() error {
	for _, s := range d.Statements {
		if s.Principals != nil || s.NotPrincipals != nil {
			return malformed("Policy document should not specify a principal.")
		}
		if s.Resources == nil && s.NotResources == nil {
			return malformed("Policy statement must contain resources.")
		}
		if !sidForm.MatchString(s.Sid) {
			return malformed("Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*")
		}
	}
	return nil
}

// CheckTrust refuses what IAM refuses in a role's trust policy; its errors are [*MalformedError]. Whether the
// principals exist is for the caller to find out: see [Document.AWSPrincipals].
func (d Document) CheckTrust() error {
	for _, s := range d.Statements {
		if s.Resources != nil || s.NotResources != nil {
			return malformed("Has prohibited field Resource")
		}
		if s.Principals == nil && s.NotPrincipals == nil {
			return malformed("Missing required field Principal")
		}
		if s.NotPrincipals != nil && s.Effect == effectAllow {
			return malformed("Allow with NotPrincipal is not allowed")
		}
		if !onlySTS(s.Actions) || s.NotActions != nil {
			return malformed("AssumeRole policy may only specify STS AssumeRole actions.")
		}
	}
	return nil
}

func onlySTS(actions []string) bool {
	for _, a := range actions {
		if !strings.HasPrefix(strings.ToLower(a), "sts:") {
			return false
		}
	}
	return true
}

// CheckResource refuses a policy of a queue, topic, key or bucket that names no principal; its errors are [*MalformedError].
func (d Document) CheckResource() error {
	for _, s := range d.Statements {
		if s.Principals == nil && s.NotPrincipals == nil {
			return malformed("Missing required field Principal")
		}
	}
	return nil
}

// AWSPrincipals lists what the Principal and NotPrincipal elements name as "AWS", wildcards left out.
func (d Document) AWSPrincipals() []string {
	var out []string
	for _, s := range d.Statements {
		for _, set := range []map[string][]string{s.Principals, s.NotPrincipals} {
			for _, v := range set["AWS"] {
				if v != anyone {
					out = append(out, v)
				}
			}
		}
	}
	return out
}
