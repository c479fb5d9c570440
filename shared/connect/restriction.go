package connect

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of the sessions that are handed out. AWS ends role chaining at an hour.
const (
	DefaultSession = 30 * time.Minute
	LeastSession   = 15 * time.Minute // STS's own
	LongestSession = time.Hour

	// LeastLife is what the sessions that SDKs renew by themselves have left when they are handed out. They fetch new
	// ones when less than 15 minutes are left, and must not do so with every request.
	LeastLife = 20 * time.Minute

	// MaxSessionPolicy is how long a session policy and the ARNs of managed ones may be together, in characters, without
	// white space; MaxPolicyARNs is how many of those there may be. Both are STS's.
	MaxSessionPolicy = 2048
	MaxPolicyARNs    = 10

	maxReason = 256
)

// SessionOptions are what makes one session differ from another, checked and in one spelling: two that mean the same are
// equal. Only this package makes them.
type SessionOptions struct {
	Duration   time.Duration
	Policy     string // a session policy, JSON without white space; "" for none
	PolicyARNs []string
	narrowed   string // a hash of both; "" where the role's own rights are handed out
}

// PolicyHash names the restriction in audit records; "" where there is none.
func (o SessionOptions) PolicyHash() string { return o.narrowed }

// A Restriction is what a caller wants a session narrowed to, unread.
type Restriction struct {
	Policy     string   // JSON
	PolicyARNs []string // of managed policies
	ReadOnly   bool     // by AWS's ReadOnlyAccess
}

// options checks a request's options against what STS would say to them, before it is asked.
func (r Restriction) options(d time.Duration, c Connection) (SessionOptions, error) {
	o := SessionOptions{Duration: d}
	var err error
	if r.ReadOnly {
		if r.Policy != "" || len(r.PolicyARNs) > 0 {
			return o, errReadOnlyAlone
		}
		r.PolicyARNs = []string{"arn:" + string(c.s.Partition) + ":iam::aws:policy/ReadOnlyAccess"}
	}
	if r.Policy != "" {
		if o.Policy, err = normalPolicy(r.Policy); err != nil {
			return o, err
		}
	}
	if o.PolicyARNs, err = normalARNs(r.PolicyARNs, c); err != nil {
		return o, err
	}
	size := utf8.RuneCountInString(o.Policy)
	for _, arn := range o.PolicyARNs {
		size += len(arn)
	}
	if size > MaxSessionPolicy {
		return o, policyTooLarge(fmt.Sprintf("the session policies have %d characters together, STS takes %d", size, MaxSessionPolicy))
	}
	if o.Policy != "" || len(o.PolicyARNs) > 0 {
		h := sha256.Sum256([]byte(o.Policy + "\n" + strings.Join(o.PolicyARNs, "\n")))
		o.narrowed = hex.EncodeToString(h[:])
	}
	return o, nil
}

var errReadOnlyAlone = &Error{
	Kind: KindInvalid, Code: CodePolicyInvalid,
	Message: "readOnly stands alone: AWS adds session policies up, so that another one beside it could only let more through",
	Fix:     "Leave readOnly out, or policy and policyArns.",
}

func policyTooLarge(message string) *Error {
	return &Error{
		Kind: KindInvalid, Code: CodePolicyTooLarge, Message: message,
		Fix: "Shorten the session policy, for instance with wildcards, or name a managed policy of the customer's account instead.",
	}
}

func policyInvalid(message string) *Error {
	return &Error{
		Kind: KindInvalid, Code: CodePolicyInvalid, Message: message,
		Fix: `Send an IAM policy such as {"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}.`,
	}
}

// normalPolicy is the policy without white space, with its members in order. Characters are those that STS takes.
func normalPolicy(text string) (string, error) {
	var document map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&document); err != nil || document == nil {
		return "", policyInvalid("the session policy is not a JSON object")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return "", policyInvalid("something follows the session policy")
	}
	// IAM does not tell names of condition keys apart by their case, and says nothing of other names.
	if path, found := RepeatedMember([]byte(text), strings.ToLower); found {
		return "", policyInvalid("the session policy has a member twice, in the same letters or in others: " + strconv.Quote(path))
	}
	switch document["Statement"].(type) {
	case map[string]any, []any:
	default:
		return "", policyInvalid("the session policy has no Statement")
	}
	for key := range document {
		if key != "Version" && key != "Id" && key != "Statement" {
			return "", policyInvalid("a policy has the members Version, Id and Statement, and no others")
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(document); err != nil {
		return "", policyInvalid("the session policy cannot be written as JSON")
	}
	normal := strings.TrimSuffix(b.String(), "\n")
	for _, r := range normal {
		if r < ' ' || r > 'ÿ' {
			return "", policyInvalid("the session policy has a character that STS does not take; it takes Latin-1")
		}
	}
	return normal, nil
}

var policyARNRE = regexp.MustCompile(`^arn:(aws|aws-cn|aws-us-gov):iam::(aws|[0-9]{12}):policy/((?:[!-.0-~]{1,64}/)*[A-Za-z0-9_+=,.@-]{1,128})$`)

// normalARNs are the ARNs in order, each once. A managed policy must be AWS's or of the role's own account.
func normalARNs(arns []string, c Connection) ([]string, error) {
	out := slices.Compact(slices.Sorted(slices.Values(arns)))
	if len(out) > MaxPolicyARNs {
		return nil, policyInvalid(fmt.Sprintf("STS takes at most %d managed policies", MaxPolicyARNs))
	}
	for _, arn := range out {
		m := policyARNRE.FindStringSubmatch(arn)
		switch {
		case m == nil || len(arn) > MaxSessionPolicy:
			return nil, policyARNInvalid("this is not the ARN of a managed policy")
		case m[1] != string(c.s.Partition):
			return nil, policyARNInvalid("a managed policy is of another partition than the account")
		case m[2] != "aws" && m[2] != string(c.s.AccountID):
			return nil, policyARNInvalid("a managed policy is of another account than the role")
		}
	}
	return out, nil
}

func policyARNInvalid(message string) *Error {
	return &Error{
		Kind: KindInvalid, Code: CodePolicyARNInvalid, Message: message,
		Fix: "Name a policy of AWS, such as arn:aws:iam::aws:policy/ReadOnlyAccess, or one of the customer's account.",
	}
}

// sessionDuration is in whole seconds, from least to an hour.
func sessionDuration(d, least time.Duration) (time.Duration, error) {
	if d == 0 {
		return DefaultSession, nil
	}
	if d < least || d > LongestSession || d%time.Second != 0 {
		span := fmt.Sprintf("%d to %d seconds", int(least.Seconds()), int(LongestSession.Seconds()))
		return 0, &Error{
			Kind: KindInvalid, Code: CodeDurationInvalid,
			Message: "a session lasts " + span + ": AWS ends role chaining at an hour", Fix: "Ask for " + span + ".",
		}
	}
	return d, nil
}

func checkReason(s string) error {
	if len(s) <= maxReason && utf8.ValidString(s) && !strings.ContainsFunc(s, isInvisible) {
		return nil
	}
	return &Error{
		Kind: KindInvalid, Code: CodeReasonInvalid, Message: fmt.Sprintf("a reason has at most %d bytes, all of them visible", maxReason),
		Fix: "Say in a few words what the session is for, such as a ticket's number.",
	}
}

// sessionRegion is where the credentials are to be used: what was asked for, or the connection's own.
func (c Connection) sessionRegion(asked string) (Region, error) {
	if asked == "" {
		return c.s.DefaultRegion, nil
	}
	r, err := ParseRegion(asked)
	switch {
	case err != nil:
		return "", err
	case r.Partition() != c.s.Partition:
		return "", &Error{
			Kind: KindInvalid, Code: CodePartitionMismatch, Message: "this Region is of another partition than the account",
			Fix: "Choose a Region of " + string(c.s.Partition) + ".",
		}
	case len(c.s.Regions) > 0 && !slices.Contains(c.s.Regions, r):
		return "", &Error{
			Kind: KindInvalid, Code: CodeRegionDisabled, Message: "this Region was not enabled in the account when it was last looked at",
			Fix: "Choose one of the connection's regions, or have the customer enable it and verify the connection again.",
		}
	}
	return r, nil
}
