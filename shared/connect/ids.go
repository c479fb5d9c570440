package connect

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Identifiers. Each is made or parsed in this file alone; a value of one of these types is well-formed.
type (
	// ConnectionID is "conn_" and 26 lower-case characters that sort by time of creation.
	ConnectionID string
	// TenantID is the platform's own name for its customer: 1–128 characters of [A-Za-z0-9_.:-].
	TenantID string
	// ExternalID is what a customer's trust policy asks for: "rc-" and 32 lower-case characters, 160 random bits.
	ExternalID string
	// AccountID is a 12-digit AWS account, leading zeros kept.
	AccountID string
	// Partition is "aws", "aws-us-gov" or "aws-cn".
	Partition string
	// Region is an AWS Region's code, such as "eu-west-1".
	Region string
)

// Partitions that Rolecall serves; one deployment serves one of them.
const (
	PartitionAWS   Partition = "aws"
	PartitionGov   Partition = "aws-us-gov"
	PartitionChina Partition = "aws-cn"
)

// The forms count no repetitions: those are checked by length, for a counted one costs a function's start dear.
var (
	lower          = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)
	connectionIDRE = regexp.MustCompile(`^conn_[0-9a-hjkmnp-tv-z]+$`)
	tenantIDRE     = regexp.MustCompile(`^[A-Za-z0-9_.:-]+$`)
	digitsRE       = regexp.MustCompile(`^[0-9]+$`)
	regionRE       = regexp.MustCompile(`^[a-z][a-z]-[a-z]+(-[a-z]+)?-[0-9][0-9]?$`)
	roleARNRE      = regexp.MustCompile(`^arn:(aws|aws-cn|aws-us-gov):iam::([0-9]+):role/((?:[\w+=,.@-]+/)*)([\w+=,.@-]+)$`)
	stackARNRE     = regexp.MustCompile(`^arn:(aws|aws-cn|aws-us-gov):cloudformation:([a-z0-9-]+):([0-9]+):stack/([a-zA-Z][a-zA-Z0-9-]*)/([0-9a-zA-Z-]+)$`)
)

func isAccountID(s string) bool { return len(s) == 12 && digitsRE.MatchString(s) }

// ParseConnectionID reads a connection's id; anything else is as good as a connection that does not exist.
func ParseConnectionID(s string) (ConnectionID, error) {
	if len(s) != len("conn_")+26 || !connectionIDRE.MatchString(s) {
		return "", ErrNotFound
	}
	return ConnectionID(s), nil
}

// ParseTenantID reads a tenant's id as a token claims it. The form excludes "[a b]", which is how an array of tenants
// reaches a function behind API Gateway.
func ParseTenantID(s string) (TenantID, error) {
	if len(s) > 128 || !tenantIDRE.MatchString(s) {
		return "", Invalid(CodeTenantInvalid, "the token names no valid tenant")
	}
	return TenantID(s), nil
}

// ParseAccountID reads a 12-digit account id.
func ParseAccountID(s string) (AccountID, error) {
	if !isAccountID(s) {
		return "", Invalid(CodeAccountInvalid, "an AWS account id is 12 digits")
	}
	return AccountID(s), nil
}

// ParseRegion reads a Region's code by its form; whether the Region exists is for AWS to say.
func ParseRegion(s string) (Region, error) {
	if len(s) > 32 || !regionRE.MatchString(s) {
		return "", Invalid(CodeRegionInvalid, "a Region is written like eu-west-1")
	}
	return Region(s), nil
}

// Partition is the partition that a Region belongs to.
func (r Region) Partition() Partition {
	switch {
	case strings.HasPrefix(string(r), "cn-"):
		return PartitionChina
	case strings.HasPrefix(string(r), "us-gov-"):
		return PartitionGov
	default:
		return PartitionAWS
	}
}

// DNSSuffix is the end of the partition's host names.
func (p Partition) DNSSuffix() string {
	if p == PartitionChina {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

// A RoleARN is a well-formed ARN of an IAM role; the zero value is none.
type RoleARN struct{ arn string }

// ParseRoleARN reads a role's ARN by its full form, so that nothing but a role of one account passes: no user, no root,
// no session, no wildcard, no parent path. At most 2,048 characters.
func ParseRoleARN(s string) (RoleARN, error) {
	m := roleARNRE.FindStringSubmatch(s)
	if m == nil || len(s) > 2048 || !isAccountID(m[2]) || len(m[3]) > 511 || len(m[4]) > 64 || strings.Contains(s, "..") {
		return RoleARN{}, &Error{
			Kind: KindInvalid, Code: CodeRoleARNInvalid, Message: "this is not the ARN of an IAM role",
			Fix: "Give the role's ARN as IAM shows it: arn:aws:iam::123456789012:role/Name.",
		}
	}
	return RoleARN{s}, nil
}

func (a RoleARN) String() string { return a.arn }

// IsZero says that there is no role.
func (a RoleARN) IsZero() bool { return a.arn == "" }

func (a RoleARN) part(i int) string {
	if m := roleARNRE.FindStringSubmatch(a.arn); m != nil {
		return m[i]
	}
	return ""
}

// Partition of the role.
func (a RoleARN) Partition() Partition { return Partition(a.part(1)) }

// Account that owns the role.
func (a RoleARN) Account() AccountID { return AccountID(a.part(2)) }

// Name of the role, without its path.
func (a RoleARN) Name() string { return a.part(4) }

// A StackID is the ARN of a CloudFormation stack; the zero value is none.
type StackID struct{ arn string }

// ParseStackID reads a StackId as CloudFormation sends it.
func ParseStackID(s string) (StackID, error) {
	m := stackARNRE.FindStringSubmatch(s)
	if m == nil || len(m[2]) > 32 || !isAccountID(m[3]) || len(m[4]) > 128 || len(m[5]) > 64 {
		return StackID{}, Invalid(CodeStackInvalid, "this is not the id of a CloudFormation stack")
	}
	return StackID{s}, nil
}

func (s StackID) String() string { return s.arn }

// IsZero says that there is no stack.
func (s StackID) IsZero() bool { return s.arn == "" }

func (s StackID) part(i int) string {
	if m := stackARNRE.FindStringSubmatch(s.arn); m != nil {
		return m[i]
	}
	return ""
}

// Partition of the stack.
func (s StackID) Partition() Partition { return Partition(s.part(1)) }

// Region of the stack.
func (s StackID) Region() Region { return Region(s.part(2)) }

// Account that owns the stack.
func (s StackID) Account() AccountID { return AccountID(s.part(3)) }

// Name of the stack.
func (s StackID) Name() string { return s.part(4) }

// NewConnectionID makes an id from 48 bits of time (ms) and 80 random bits, like a ULID.
func NewConnectionID(now time.Time, random io.Reader) (ConnectionID, error) {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	if _, err := io.ReadFull(random, b[6:]); err != nil {
		return "", fmt.Errorf("connection id: %w", err)
	}
	return ConnectionID("conn_" + lower.EncodeToString(b[:])), nil
}

// NewExternalID makes an external ID: 160 bits from crypto/rand. Never from anything else, and never from a request.
func NewExternalID() ExternalID {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails, says its documentation
	return ExternalID("rc-" + lower.EncodeToString(b[:]))
}

// Wrong is this external ID with its last character changed: what a role must refuse (check external_id_matched).
func (e ExternalID) Wrong() ExternalID {
	s := string(e)
	last := byte('0')
	if strings.HasSuffix(s, "0") {
		last = '1'
	}
	return ExternalID(s[:len(s)-1] + string(last))
}

// A Name is what people call a connection: 1–64 characters, unique within its tenant for ever.
type Name string

// ParseName reads a name: Unicode form C, nothing that does not show or that reorders what does, no space at either end.
func ParseName(s string) (Name, error) {
	n := norm.NFC.String(s)
	count := 0
	for _, r := range n {
		count++
		if r == unicode.ReplacementChar || isInvisible(r) {
			return "", nameError()
		}
	}
	if count < 1 || count > 64 || strings.TrimSpace(n) != n {
		return "", nameError()
	}
	return Name(n), nil
}

func nameError() error {
	return &Error{
		Kind: KindInvalid, Code: CodeNameInvalid,
		Message: "a name has 1 to 64 characters, none of them invisible (joiners and variation selectors of emoji are), and no space at either end",
		Fix:     "Choose another name.",
	}
}

// isInvisible tells characters that show nothing, or have no meaning of their own: with them a name could read like another
// one and be none the less another.
func isInvisible(r rune) bool {
	switch {
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp, unicode.Variation_Selector):
		return true
	case unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r), r == 0x2800: // Hangul fillers and their like, blank braille
		return true
	}
	return false
}

// Folded is the form in which names are compared and reserved: compatibility form, lower case, and "ss" for the one
// letter whose upper case is two.
func (n Name) Folded() string {
	folded := strings.ToLower(norm.NFKC.String(strings.ToUpper(norm.NFKC.String(string(n)))))
	return norm.NFKC.String(strings.NewReplacer("ß", "ss", "ẞ", "ss").Replace(folded))
}
