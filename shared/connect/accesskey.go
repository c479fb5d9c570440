package connect

import (
	"regexp"
	"strings"
	"time"
)

// MethodAccessKey is the way of connecting by an access key of the customer's, for those who cannot make a role yet.
const MethodAccessKey = "access_key"

// Sealed is an access key's secret and session token as ciphertext. It opens only for the tenant and the connection that
// it was sealed for.
type Sealed string

// An AccessKey is what a connection keeps of its customer's access key.
type AccessKey struct {
	ID        string
	Sealed    Sealed
	SetAt     time.Time // when this key was first given
	ExpiresAt time.Time // of a temporary one; zero for one that does not end
	OldAt     time.Time // when its age was reported; zero before
	EndingAt  time.Time // when its coming end was reported; zero before
}

// temporary keys are a session's: they end, and can make no other session.
func temporary(keyID string) bool { return strings.HasPrefix(keyID, "ASIA") }

// endingAt is when a temporary key's coming end is reported: when a quarter of the time that it was given with is left, two
// hours at most. Zero for one that does not end.
func (k AccessKey) endingAt() time.Time {
	if k.ExpiresAt.IsZero() {
		return time.Time{}
	}
	return k.ExpiresAt.Add(-min(k.ExpiresAt.Sub(k.SetAt)/4, 2*time.Hour))
}

// Warning is what is to be said of the key; the zero value for nothing.
func (k AccessKey) Warning(now time.Time) Reason {
	switch ending := k.endingAt(); {
	case !ending.IsZero() && !now.Before(ending) && now.Before(k.ExpiresAt):
		return keysEnding(k.ExpiresAt)
	case !k.OldAt.IsZero():
		return keysOld()
	}
	return Reason{}
}

func keysEnding(end time.Time) Reason {
	return Reason{
		Code: CodeKeysEnding, Message: "the temporary access key ends at " + end.UTC().Format(time.RFC3339) + ", and the connection with it",
		Fix: "Give a new one before then by PUT /v1/connections/{id}/access-key; or move to a role, which does not end, by " +
			"POST /v1/connections/{id}/launch.",
	}
}

func keysOld() Reason {
	return Reason{
		Code: CodeKeysOld, Message: "the access key is older than it should get",
		Fix: "Make a new key in IAM, give it by PUT /v1/connections/{id}/access-key and delete the old one; " +
			"or move to a role by POST /v1/connections/{id}/launch.",
	}
}

// Age is how many whole days ago the key was given.
func (k AccessKey) Age(now time.Time) int { return int(now.Sub(k.SetAt) / (24 * time.Hour)) }

// A KeyInput is an access key as somebody gives it.
type KeyInput struct {
	AccessKeyID     string
	SecretAccessKey Secret
	SessionToken    Secret // of a temporary one alone
	ExpiresAt       string // of a temporary one, RFC 3339; "" for an hour from now
}

const (
	// assumedSession is when a temporary key ends whose end nobody tells: AWS's own default for sessions.
	assumedSession = time.Hour
	// longestKey is how long AWS's longest temporary keys last.
	longestKey = 36 * time.Hour
	// Lengths. AWS fixes none for secrets and tokens; what is sealed must fit one call of KMS (4,096 bytes).
	maxKeyID, maxKeySecret, maxKeyToken = 128, 128, 3500
)

var (
	keyIDRE   = regexp.MustCompile(`^(AKIA|ASIA)[A-Z0-9]+$`)
	keyTextRE = regexp.MustCompile(`^[A-Za-z0-9+/=_.-]+$`)
)

// ParseKeys reads an access key by its form. Its errors never repeat what was given.
func ParseKeys(in KeyInput, now time.Time) (Credentials, error) {
	keys := Credentials{AccessKeyID: in.AccessKeyID, SecretAccessKey: in.SecretAccessKey, SessionToken: in.SessionToken}
	secret, token := in.SecretAccessKey.Reveal(), in.SessionToken.Reveal()
	switch {
	case len(keys.AccessKeyID) < 16 || len(keys.AccessKeyID) > maxKeyID || !keyIDRE.MatchString(keys.AccessKeyID):
		return Credentials{}, keysInvalid("an access key id is 16 or more capital letters and digits and begins with AKIA, or with ASIA if it is temporary",
			"Copy the access key id as IAM shows it.")
	case len(secret) > maxKeySecret || !keyTextRE.MatchString(secret):
		return Credentials{}, keysInvalid("the secret access key is empty, too long, or has a character in it that AWS uses in none", "Copy it again, without what stands around it.")
	case temporary(keys.AccessKeyID) && token == "":
		return Credentials{}, keysInvalid("a temporary access key (ASIA…) is of no use without its session token", "Give the session token, too.")
	case !temporary(keys.AccessKeyID) && (token != "" || in.ExpiresAt != ""):
		return Credentials{}, keysInvalid("a long-lived access key (AKIA…) has no session token and no end", "Leave sessionToken and expiresAt out, or give the temporary key that they belong to.")
	case token != "" && (len(token) > maxKeyToken || !keyTextRE.MatchString(token)):
		return Credentials{}, keysInvalid("the session token is over 3,500 characters, or has a character in it that AWS uses in none", "Copy it again, without what stands around it.")
	}
	if !temporary(keys.AccessKeyID) {
		return keys, nil
	}
	keys.Expires = now.Add(assumedSession)
	if in.ExpiresAt == "" {
		return keys, nil
	}
	end, err := time.Parse(time.RFC3339, in.ExpiresAt)
	if err != nil || !end.After(now) || end.After(now.Add(longestKey)) {
		return Credentials{}, keysInvalid("expiresAt is no time within the next 36 hours", `Write it as AWS tells it: "2026-01-02T03:04:05Z".`)
	}
	keys.Expires = end
	return keys, nil
}

func keysInvalid(message, fix string) *Error {
	return &Error{Kind: KindInvalid, Code: CodeKeysInvalid, Message: message, Fix: fix}
}

// accessKey is what the connection keeps of keys. A key that is given once more is as old as before.
func accessKey(keys Credentials, sealed Sealed, before *AccessKey, now time.Time) *AccessKey {
	k := &AccessKey{ID: keys.AccessKeyID, Sealed: sealed, SetAt: now, ExpiresAt: keys.Expires}
	if before != nil && before.ID == k.ID {
		k.SetAt, k.OldAt = before.SetAt, before.OldAt
		if k.ExpiresAt.Equal(before.ExpiresAt) {
			k.EndingAt = before.EndingAt
		}
	}
	return k
}

// CreateWithKeys makes a connection by an access key that has been proven: it is created and enabled in one. o must be
// proven for the account n names.
func CreateWithKeys(n NewConnection, id ConnectionID, external ExternalID, key AccessKey, o Outcome, now time.Time) Change {
	c := Connection{Snapshot{
		ID: id, TenantID: n.TenantID, Name: n.Name, Method: MethodAccessKey, Status: StatusPending, AccountID: n.AccountID, ExpectedAccountID: n.AccountID,
		Partition: n.Partition, DefaultRegion: n.DefaultRegion, ExternalID: external, Permissions: n.Permissions, Requested: n.Permissions,
		CreatedAt: now, CreatedBy: n.By,
	}}
	data := map[string]any{"name": string(n.Name), "method": MethodAccessKey, "permissions": string(n.Permissions)}
	if len(n.Scopes) > 0 {
		data["scopes"] = scopeData(n.Scopes)
	}
	created := c.change(EventCreated, n.By, now, data, func(s *Snapshot) { s.Scopes = n.Scopes })
	created.name = true
	enabled := Connection{created.after}.change(EventEnabled, ActorRolecall, now, keyData(n.AccountID, key, o), func(s *Snapshot) {
		s.takeKey(key, o, now)
		s.EnabledAt = now
	})
	return created.then(enabled)
}

func keyData(account AccountID, key AccessKey, o Outcome) map[string]any {
	data := map[string]any{"accountId": string(account), "accessKeyId": key.ID, "checks": checkData(o.Checks)}
	if !key.ExpiresAt.IsZero() {
		data["expiresAt"] = key.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return data
}

// takeKey makes a proven key the one that serves.
func (s *Snapshot) takeKey(key AccessKey, o Outcome, now time.Time) {
	s.AccessKey = &key
	s.Status, s.StatusReason = StatusEnabled, Reason{}
	s.Checks, s.LastVerifiedAt = o.Checks, now
	if len(o.Regions) > 0 {
		s.Regions = o.Regions
	}
	s.Strikes, s.LastStrikeAt, s.NextVerificationAt = 0, time.Time{}, time.Time{}
}

// mayTakeKeys refuses where a role serves or is awaited: going back from a role to keys would be a step down that nobody
// should take by mistake.
func (c Connection) mayTakeKeys() error {
	if c.s.Method != MethodAccessKey {
		return &Error{
			Kind: KindConflict, Code: CodeMethodMismatch, Message: "this connection is by a role and takes no access key",
			Fix: `Create a connection of its own with method "access_key".`,
		}
	}
	return c.must("take an access key", StatusEnabled, StatusDegraded)
}

// RotateKeys puts a key that has been proven in the place of the one that served. o must be proven for the connection's
// account.
func (c Connection) RotateKeys(key AccessKey, o Outcome, by Actor, now time.Time) (Change, error) {
	if err := c.mayTakeKeys(); err != nil {
		return Change{}, err
	}
	data := keyData(c.s.AccountID, key, o)
	data["from"] = c.s.AccessKey.ID
	return c.change(EventKeysRotated, by, now, data, func(s *Snapshot) { s.takeKey(key, o, now) }), nil
}

// KeysOld reports, once for each key, that a long-lived one is older than it should get. ok is false where there is
// nothing to report.
func (c Connection) KeysOld(maxAge time.Duration, now time.Time) (ch Change, ok bool) {
	k := c.s.AccessKey
	if k == nil || maxAge <= 0 || temporary(k.ID) || !k.OldAt.IsZero() || now.Before(k.SetAt.Add(maxAge)) {
		return Change{}, false
	}
	why := keysOld()
	data := map[string]any{
		"accessKeyId": k.ID, "setAt": k.SetAt.UTC().Format(time.RFC3339), "ageDays": k.Age(now),
		"code": string(why.Code), "message": why.Message, "fix": why.Fix,
	}
	return c.change(EventKeysOld, ActorRolecall, now, data, func(s *Snapshot) { s.AccessKey.OldAt = now }), true
}

// KeysEnding reports, once for each key, that a temporary one will end soon. ok is false where there is nothing to report.
func (c Connection) KeysEnding(now time.Time) (ch Change, ok bool) {
	k := c.s.AccessKey
	if k == nil || c.s.Status != StatusEnabled || !k.EndingAt.IsZero() {
		return Change{}, false
	}
	why := k.Warning(now)
	if why.Code != CodeKeysEnding {
		return Change{}, false
	}
	data := map[string]any{
		"accessKeyId": k.ID, "expiresAt": k.ExpiresAt.UTC().Format(time.RFC3339),
		"code": string(why.Code), "message": why.Message, "fix": why.Fix,
	}
	return c.change(EventKeysEnding, ActorRolecall, now, data, func(s *Snapshot) { s.AccessKey.EndingAt = now }), true
}

// keyEnded degrades a connection whose temporary key has ended. There are no further strikes to wait for, and nothing to
// look at again: no key of AWS's comes back.
func (c Connection) keyEnded(o Outcome, reason Reason, by Actor, now time.Time) (Change, bool) {
	if c.s.Status == StatusDegraded && c.s.StatusReason.Code == CodeKeysExpired {
		return Change{}, false
	}
	data := map[string]any{
		"strike": c.s.Strikes + 1, "checks": checkData(o.Checks),
		"code": string(reason.Code), "message": reason.Message, "fix": reason.Fix,
	}
	return c.change(EventDegraded, by, now, data, func(s *Snapshot) {
		s.Status, s.StatusReason, s.Checks = StatusDegraded, reason, mergeChecks(s.Checks, o.Checks)
		s.Strikes, s.LastStrikeAt, s.NextVerificationAt = c.s.Strikes+1, now, time.Time{}
	}), true
}

// byKeys says that an access key serves, or served until the connection degraded.
func (c Connection) byKeys() bool {
	return c.s.Method == MethodAccessKey && (c.s.Status == StatusEnabled || c.s.Status == StatusDegraded)
}

// upgradeWithdrawn forgets the stack that was to bring a role: the key goes on serving.
func (c Connection) upgradeWithdrawn(r Callback, now time.Time) Change {
	return c.change(EventStackDeleted, ActorStack, now, stackData(r), func(s *Snapshot) { s.Stack, s.Verification = Stack{}, nil })
}

// dropKey moves a connection from its key to the role that has just been proven.
func (s *Snapshot) dropKey() { s.Method, s.AccessKey = MethodRole, nil }
