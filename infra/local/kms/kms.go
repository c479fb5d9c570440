// Package kms is the pocket AWS's Key Management Service: symmetric encryption keys and HMAC_256 keys with key policies,
// aliases, encryption contexts and deletion. The cryptography is real (AES-256-GCM, HMAC-SHA256); the key material lives in
// memory and dies with the process, and rotation is a setting that never comes due.
//
// Needs answers, for every operation on a key, the key policy as the resource's policy with PolicyDecides set: as in AWS,
// nobody may use a key unless its policy allows it, either to the principal itself or by allowing the account's root, which
// hands the decision to the account's identity policies. A key made without a policy has that one statement.
package kms

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"rolecall/infra/local/policy"
	"rolecall/infra/local/wire"
)

// Service holds the keys of all accounts and Regions. Make one with [New].
type Service struct {
	clock      func() time.Time
	operations map[string]operation

	mu      sync.Mutex
	keys    map[string]*key   // by ARN
	aliases map[string]string // alias ARN → key ARN
}

var _ wire.Service = (*Service)(nil)

// Key specs and usages; the pocket AWS has no others.
const (
	Symmetric         = "SYMMETRIC_DEFAULT"
	HMAC256           = "HMAC_256"
	EncryptDecrypt    = "ENCRYPT_DECRYPT"
	GenerateVerifyMac = "GENERATE_VERIFY_MAC"
)

// key is guarded by the service's mutex; its material never changes.
type key struct {
	account, region, id string

	spec, usage, description string
	policy                   policy.Document
	policyText               string
	material                 [32]byte
	created                  time.Time
	disabled                 bool
	deletion                 time.Time // when the key goes; zero if it stays
	rotation                 int       // days; 0 without rotation
}

// New makes a service without keys.
func New(clock func() time.Time) *Service {
	s := &Service{clock: clock, keys: map[string]*key{}, aliases: map[string]string{}}
	s.operations = s.table()
	return s
}

// A KeyInput says what key to make.
type KeyInput struct {
	Spec        string // Symmetric, which is also the default, or HMAC256
	Usage       string // EncryptDecrypt or GenerateVerifyMac; HMAC keys must say it
	Policy      string // JSON; "" lets the account's own identity policies decide
	Description string
}

// CreateKey makes a key and answers its ARN.
func (s *Service) CreateKey(account, region string, in KeyInput) (string, error) {
	if in.Spec == "" {
		in.Spec = Symmetric
	}
	if in.Usage == "" && in.Spec == Symmetric {
		in.Usage = EncryptDecrypt
	}
	if err := in.check(); err != nil {
		return "", err
	}
	k := &key{account: account, region: region, id: newID(), spec: in.Spec, usage: in.Usage, description: in.Description}
	if in.Policy == "" {
		in.Policy = defaultPolicy(account)
	}
	if err := k.setPolicy(in.Policy); err != nil {
		return "", err
	}
	_, _ = rand.Read(k.material[:]) // never fails: crypto/rand ends the program instead
	s.mu.Lock()
	defer s.mu.Unlock()
	k.created = s.clock()
	s.keys[k.arn()] = k
	return k.arn(), nil
}

func (in KeyInput) check() error {
	if in.Spec != Symmetric && in.Spec != HMAC256 {
		return fail("UnsupportedOperationException", "Key spec %s is not part of the pocket AWS: only %s and %s are.", in.Spec, Symmetric, HMAC256)
	}
	if in.Spec == Symmetric && in.Usage != EncryptDecrypt || in.Spec == HMAC256 && in.Usage != GenerateVerifyMac {
		return fail("ValidationException", "The key usage %q does not go with key spec %s.", in.Usage, in.Spec)
	}
	return nil
}

func defaultPolicy(account string) string {
	return `{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "arn:aws:iam::` + account + `:root"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}`
}

func (k *key) setPolicy(text string) error {
	document, err := policy.Parse([]byte(text))
	if err == nil {
		err = document.CheckResource()
	}
	if err != nil {
		return fail("MalformedPolicyDocumentException", "The key policy is not valid: %v", err)
	}
	k.policy, k.policyText = document, text
	return nil
}

// SetPolicy replaces a key's policy.
func (s *Service) SetPolicy(keyARN, text string) error {
	return s.change(keyARN, func(k *key) error { return k.setPolicy(text) })
}

// SetRotation turns yearly rotation on or off; HMAC keys cannot rotate.
func (s *Service) SetRotation(keyARN string, on bool) error {
	days := 0
	if on {
		days = 365
	}
	return s.change(keyARN, func(k *key) error { return k.rotate(days) })
}

func (k *key) rotate(days int) error {
	if k.spec != Symmetric {
		return fail("UnsupportedOperationException", "%s cannot rotate: it is an HMAC key.", k.arn())
	}
	if err := k.usable(); err != nil {
		return err
	}
	k.rotation = days
	return nil
}

// SetEnabled enables or disables a key.
func (s *Service) SetEnabled(keyARN string, on bool) error {
	return s.change(keyARN, func(k *key) error {
		if !k.deletion.IsZero() {
			return k.usable()
		}
		k.disabled = !on
		return nil
	})
}

// ScheduleDeletion makes a key unusable at once and lets it go after 7 to 30 days; it answers when.
func (s *Service) ScheduleDeletion(keyARN string, days int) (time.Time, error) {
	if days < 7 || days > 30 {
		return time.Time{}, fail("ValidationException", "The pending window must be between 7 and 30 days, not %d.", days)
	}
	var when time.Time
	err := s.change(keyARN, func(k *key) error {
		if !k.deletion.IsZero() {
			return k.usable()
		}
		k.deletion = s.clock().AddDate(0, 0, days)
		when = k.deletion
		return nil
	})
	return when, err
}

// change runs what under the lock on the key with the given ARN.
func (s *Service) change(keyARN string, what func(*key) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.find(keyARN)
	if err != nil {
		return err
	}
	return what(k)
}

var aliasName = regexp.MustCompile(`^alias/[A-Za-z0-9/_-]{1,250}$`)

// CreateAlias names a key of the same account and Region; name begins with "alias/".
func (s *Service) CreateAlias(name, keyARN string) error {
	if !aliasName.MatchString(name) || strings.HasPrefix(name, "alias/aws/") {
		return fail("InvalidAliasNameException", "%q cannot be the name of an alias.", name)
	}
	return s.change(keyARN, func(k *key) error {
		arn := aliasARN(k.account, k.region, name)
		if _, exists := s.aliases[arn]; exists {
			return fail("AlreadyExistsException", "An alias with the name %s already exists", arn)
		}
		s.aliases[arn] = keyARN
		return nil
	})
}

// DeleteAlias removes an alias; its key stays.
func (s *Service) DeleteAlias(account, region, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	arn := aliasARN(account, region, name)
	if _, exists := s.aliases[arn]; !exists {
		return missingAlias(arn)
	}
	delete(s.aliases, arn)
	return nil
}

// find answers the key with the given ARN unless its time is over.
func (s *Service) find(arn string) (*key, error) {
	k, ok := s.keys[arn]
	if ok && !k.deletion.IsZero() && !s.clock().Before(k.deletion) {
		delete(s.keys, arn)
		maps.DeleteFunc(s.aliases, func(_, target string) bool { return target == arn })
		ok = false
	}
	if !ok {
		return nil, fail("NotFoundException", "Key '%s' does not exist", arn)
	}
	return k, nil
}

// resolve finds the key that a caller means by a key id, a key ARN, an alias name or an alias ARN.
func (s *Service) resolve(call *wire.Call, id string) (*key, error) {
	account, region := call.Principal.Account, call.Region
	switch {
	case id == "":
		return nil, fail("ValidationException", "1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null")
	case strings.HasPrefix(id, "alias/"):
		id = aliasARN(account, region, id)
	case !strings.HasPrefix(id, "arn:"):
		id = "arn:aws:kms:" + region + ":" + account + ":key/" + id
	}
	parts := strings.SplitN(id, ":", 6)
	if len(parts) != 6 || parts[2] != "kms" || parts[3] != region {
		return nil, fail("NotFoundException", "Invalid arn %s", region)
	}
	if !strings.HasPrefix(parts[5], "alias/") {
		return s.find(id)
	}
	target, ok := s.aliases[id]
	if !ok {
		return nil, missingAlias(id)
	}
	return s.find(target)
}

func missingAlias(arn string) error {
	return fail("NotFoundException", "Alias %s is not found.", arn)
}

// aliasesOf lists the names of a key's aliases.
func (s *Service) aliasesOf(arn string) []string {
	var names []string
	for alias, target := range s.aliases {
		if target == arn {
			names = append(names, alias[strings.LastIndex(alias, ":alias/")+1:])
		}
	}
	slices.Sort(names)
	return names
}

func (k *key) arn() string { return "arn:aws:kms:" + k.region + ":" + k.account + ":key/" + k.id }

// usable tells why a key cannot be used just now.
func (k *key) usable() error {
	switch {
	case !k.deletion.IsZero():
		return fail("KMSInvalidStateException", "%s is pending deletion.", k.arn())
	case k.disabled:
		return fail("DisabledException", "%s is disabled.", k.arn())
	}
	return nil
}

// materialFor answers the key's material for an operation that takes keys of the given usage.
func (k *key) materialFor(usage, operation string) ([32]byte, error) {
	if k.usage != usage {
		return k.material, fail("InvalidKeyUsageException", "%s key usage is %s which is not valid for %s.", k.arn(), k.usage, operation)
	}
	return k.material, k.usable()
}

func aliasARN(account, region, name string) string {
	return "arn:aws:kms:" + region + ":" + account + ":" + name
}

// newID makes a random UUID, the form of KMS's key ids.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func fail(code, format string, args ...any) *wire.Error {
	return &wire.Error{Code: code, Message: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}
