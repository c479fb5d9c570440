package connect

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A Platform is the AWS account that Rolecall runs in, as customers' trust policies name it.
type Platform struct {
	Partition Partition
	Account   AccountID
}

// RolesPath is the IAM path under which the functions that assume customers' roles have theirs; customers' trust
// policies admit roles of this path only.
const RolesPath = "/rolecall/"

// TrustPolicy is the trust policy that a customer's role should have, as JSON to paste.
func (p Platform) TrustPolicy(external ExternalID) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",`+
		`"Principal":{"AWS":"arn:%[1]s:iam::%[2]s:root"},`+
		`"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"],`+
		`"Condition":{"StringEquals":{"sts:ExternalId":"%[3]s"},`+
		`"ArnLike":{"aws:PrincipalArn":"arn:%[1]s:iam::%[2]s:role%[4]s*"}}}]}`, p.Partition, p.Account, external, RolesPath)
}

func (p Platform) trustFix(s Subject) string {
	return "In IAM, Roles, " + s.RoleARN.Name() + ", Trust relationships, Edit trust policy, replace the policy with: " +
		p.TrustPolicy(s.ExternalID)
}

type trustDocument struct {
	Statement oneOrMany[trustStatement]
}

type trustStatement struct {
	Sid          string
	Effect       string
	Principal    json.RawMessage
	NotPrincipal json.RawMessage
	Action       oneOrMany[string]
	NotAction    oneOrMany[string]
	Condition    map[string]map[string]oneOrMany[any]
}

// oneOrMany reads a member that IAM lets people write as one value or as a list.
type oneOrMany[T any] []T

func (l *oneOrMany[T]) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]T)(l))
	}
	var one T
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*l = []T{one}
	return nil
}

// A trustFinding is what reading a trust policy brought to light. What it says begins with the statement it is about.
type trustFinding struct {
	broad       string // why the policy admits too much; "" where it does not
	extra       string // a named principal, or an external ID, beyond the platform's own
	sessionTags bool   // the platform may tag sessions and set a source identity
}

var errTrustUnreadable = errors.New("the trust policy is no policy document")

// readTrust judges a trust policy without asking AWS: who may assume the role, and whether the platform could do so
// without this connection's external ID.
func (p Platform) readTrust(document string, external ExternalID) (trustFinding, error) {
	var doc trustDocument
	if err := json.Unmarshal([]byte(document), &doc); err != nil {
		return trustFinding{}, fmt.Errorf("%w: %w", errTrustUnreadable, err)
	}
	var f trustFinding
	var tag, identity bool
	for i, s := range doc.Statement {
		if s.Effect != "Allow" {
			continue
		}
		who := principalsOf(s)
		if s.covers("sts:AssumeRole") {
			broad, extra := p.judge(s, who, external)
			f.add(s.named(i), broad, extra)
		}
		if who.admits(p.Account) {
			tag = tag || s.covers("sts:TagSession")
			identity = identity || s.covers("sts:SetSourceIdentity")
		}
	}
	f.sessionTags = tag && identity
	return f, nil
}

// add keeps the first finding of each kind.
func (f *trustFinding) add(statement, broad, extra string) {
	if f.broad == "" && broad != "" {
		f.broad = statement + " " + broad
	}
	if f.extra == "" && extra != "" {
		f.extra = statement + " " + extra
	}
}

// named is how a reader finds a statement: by its place, counted from 1, and its Sid if that is as IAM has them.
func (s trustStatement) named(i int) string {
	if sidRE.MatchString(s.Sid) {
		return fmt.Sprintf("statement %d (Sid %s)", i+1, s.Sid)
	}
	return fmt.Sprintf("statement %d", i+1)
}

// sidRE keeps a stranger's text out of messages.
var sidRE = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)

func (p Platform) judge(s trustStatement, who principals, external ExternalID) (broad, extra string) {
	if who.wildcard {
		return "admits any principal (a wildcard or NotPrincipal)", ""
	}
	if who.admits(p.Account) {
		ids, exact := s.externalIDs()
		if !exact {
			return "admits account " + string(p.Account) + " without asking for exactly this connection's external ID", ""
		}
		for _, id := range ids {
			if !strings.EqualFold(id, string(external)) {
				extra = "also accepts another external ID"
			}
		}
	}
	if other := who.beyond(p.Account); other != "" {
		extra = "also admits " + quoted(other)
	}
	return "", extra
}

// maxQuoted is how much of a principal's name a message repeats.
const maxQuoted = 200

// quoted is a stranger's text within a message, without control characters and never long.
func quoted(text string) string {
	if r := []rune(text); len(r) > maxQuoted {
		text = string(r[:maxQuoted]) + "…"
	}
	return strconv.Quote(text)
}

// covers says that the statement's actions include action.
func (s trustStatement) covers(action string) bool {
	if len(s.NotAction) > 0 {
		for _, a := range s.NotAction {
			if matches(strings.ToLower(a), strings.ToLower(action)) {
				return false
			}
		}
		return true
	}
	for _, a := range s.Action {
		if matches(strings.ToLower(a), strings.ToLower(action)) {
			return true
		}
	}
	return false
}

// externalIDs are the IDs that the statement insists upon. exact is false where it would also do without, or with IDs
// that only resemble them.
func (s trustStatement) externalIDs() (ids []string, exact bool) {
	for operator, keys := range s.Condition {
		for key, values := range keys {
			if !strings.EqualFold(key, "sts:ExternalId") {
				continue
			}
			like := strings.EqualFold(operator, "StringLike")
			if !like && !strings.EqualFold(operator, "StringEquals") && !strings.EqualFold(operator, "StringEqualsIgnoreCase") {
				continue
			}
			if found, ok := exactValues(values, like); ok {
				return found, true
			}
		}
	}
	return nil, false
}

func exactValues(values []any, like bool) ([]string, bool) {
	ids := make([]string, 0, len(values))
	for _, v := range values {
		id, ok := v.(string)
		if !ok || strings.Contains(id, "${") || (like && strings.ContainsAny(id, "*?")) {
			return nil, false
		}
		ids = append(ids, id)
	}
	return ids, len(ids) > 0
}

type principals struct {
	wildcard bool
	named    []string
}

func principalsOf(s trustStatement) principals {
	if len(s.NotPrincipal) > 0 || len(s.Principal) == 0 {
		return principals{wildcard: true}
	}
	var one string
	if json.Unmarshal(s.Principal, &one) == nil {
		return principals{wildcard: one == "*", named: []string{one}}
	}
	var byKind map[string]oneOrMany[string]
	if json.Unmarshal(s.Principal, &byKind) != nil {
		return principals{wildcard: true} // what cannot be read is not trusted
	}
	var p principals
	for _, names := range byKind {
		for _, n := range names {
			p.wildcard = p.wildcard || strings.ContainsAny(n, "*?")
			p.named = append(p.named, n)
		}
	}
	return p
}

func accountOf(principal string) string {
	if isAccountID(principal) {
		return principal
	}
	if parts := strings.SplitN(principal, ":", 6); len(parts) == 6 && parts[0] == "arn" {
		return parts[4]
	}
	return ""
}

func (p principals) admits(platform AccountID) bool {
	if p.wildcard {
		return true
	}
	for _, n := range p.named {
		if accountOf(n) == string(platform) {
			return true
		}
	}
	return false
}

// beyond is a principal that is not the platform's; "" where there is none.
func (p principals) beyond(platform AccountID) string {
	for _, n := range p.named {
		if accountOf(n) != string(platform) {
			return n
		}
	}
	return ""
}

// matches compares with IAM's wildcards * and ?, in linear space and without backtracking over more than one star.
func matches(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// trustCheck turns a finding into check 5.
func (p Platform) trustCheck(f trustFinding, s Subject, at time.Time) Check {
	c := passed(CheckTrustPolicy, at)
	switch {
	case f.broad != "":
		c.Verdict, c.settling = Failed, true
		c.Reason = Reason{Code: CodeTrustTooBroad, Message: "the role's trust policy is too broad: " + f.broad, Fix: p.trustFix(s)}
	case f.extra != "":
		c.Reason = Reason{
			Code: CodeTrustExtraPrincipal, Message: "the role's trust policy is wider than needed: " + f.extra,
			Fix: "Nothing to do if this is meant. If not: " + p.trustFix(s),
		}
	}
	return c
}
