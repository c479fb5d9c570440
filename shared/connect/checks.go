package connect

import (
	"slices"
	"time"
)

// A Reason says why something is not as it should be, and what to do about it.
type Reason struct {
	Code    Code
	Message string
	Fix     string
}

// A Verdict is what a check found.
type Verdict string

// Verdicts. Unknown is never as good as passed.
const (
	Passed  Verdict = "passed"
	Failed  Verdict = "failed"
	Unknown Verdict = "unknown"
)

// A CheckName names one test of a verification.
type CheckName string

// Checks in the order in which they run.
const (
	CheckAssumeRole         CheckName = "assume_role"
	CheckExternalIDRequired CheckName = "external_id_required"
	CheckExternalIDMatched  CheckName = "external_id_matched"
	CheckRegions            CheckName = "regions"
	CheckTrustPolicy        CheckName = "trust_policy"
	CheckPermissions        CheckName = "permissions"
	CheckOrganization       CheckName = "organization" // of accounts of an enrolment alone
	// CheckOffboarded is made of a connection that has ended: its role must be refused.
	CheckOffboarded CheckName = "offboarded"
	// CheckKeys is made of access keys, before CheckRegions: AWS must know them as the account's, and not as its root's.
	CheckKeys CheckName = "keys"
)

// A Check is the outcome of one named test. Reason is set where it did not pass, or passed with a warning.
type Check struct {
	Name    CheckName
	Verdict Verdict
	Reason  Reason
	At      time.Time
	// settling says that IAM's spreading could still change the verdict, so it is worth another try.
	settling bool
}

func passed(name CheckName, at time.Time) Check { return Check{Name: name, Verdict: Passed, At: at} }

// An Outcome is all that one try of a verification found.
type Outcome struct {
	Method  string // of connecting; "" for a role
	Checks  []Check
	Account AccountID // of the session; empty where the role could not be assumed
	Regions []Region  // enabled in the account, where they could be read
	// SessionTags says that the role accepts session tags and a source identity.
	SessionTags bool
	// PolicyDigest is the platform's own policy that the role was held against; "" where it was held against none.
	PolicyDigest string
	At           time.Time
}

// requiredChecks must have passed before anything is issued by the method.
func requiredChecks(method string) []CheckName {
	if method == MethodAccessKey {
		return []CheckName{CheckKeys, CheckRegions}
	}
	return []CheckName{CheckAssumeRole, CheckExternalIDRequired, CheckExternalIDMatched, CheckRegions}
}

// proven says that checks allow a connection to be enabled: those that the method requires (of a role 1–4) passed and
// none failed.
func proven(method string, checks []Check) bool {
	ok := map[CheckName]bool{}
	for _, c := range checks {
		if c.Verdict == Failed {
			return false
		}
		if c.Name == CheckOrganization && c.Verdict != Passed {
			return false // where it is asked, it is as good as required
		}
		ok[c.Name] = c.Verdict == Passed
	}
	for _, name := range requiredChecks(method) {
		if !ok[name] {
			return false
		}
	}
	return true
}

// provenMember says that the account's own word of its organization is among the checks, and passed.
func provenMember(checks []Check) bool {
	return slices.ContainsFunc(checks, func(c Check) bool { return c.Name == CheckOrganization && c.Verdict == Passed })
}

// Proven says that the outcome allows the connection to be enabled.
func (o Outcome) Proven() bool { return proven(o.Method, o.Checks) }

// denial is the first failed check's reason; ok is false where nothing failed.
func (o Outcome) denial() (r Reason, settling, ok bool) {
	for _, c := range o.Checks {
		if c.Verdict == Failed {
			return c.Reason, c.settling, true
		}
	}
	return Reason{}, false, false
}

// blocker is what stands in the way: the first failed check, else the first required one that could not be decided.
func (o Outcome) blocker() Reason {
	if r, _, ok := o.denial(); ok {
		return r
	}
	for _, c := range o.Checks {
		if c.Verdict == Unknown && c.Reason.Code != CodeNotAsked &&
			(c.Name == CheckOrganization || slices.Contains(requiredChecks(o.Method), c.Name)) {
			return c.Reason
		}
	}
	return Reason{}
}

func checkData(checks []Check) []any {
	out := make([]any, 0, len(checks))
	for _, c := range checks {
		m := map[string]any{"name": string(c.Name), "verdict": string(c.Verdict)}
		if c.Reason.Code != "" {
			m["code"], m["message"], m["fix"] = string(c.Reason.Code), c.Reason.Message, c.Reason.Fix
		}
		out = append(out, m)
	}
	return out
}
