package connect

import (
	"crypto/sha256"
	"strings"
)

// What STS takes as a name, in characters of [A-Za-z0-9_+=,.@-].
const (
	longestSessionName    = 64 // a role session's, and a source identity
	longestFederationName = 32 // a federated user's
)

const (
	sessionPrefix = "rolecall-"
	digestMark    = "="
	digestLength  = 16 // characters of 5 bits
)

// SessionName is the caller as the customer's CloudTrail shows it: "rolecall-" and the caller, in STS's 64 characters. It
// is the source identity, too, where the role takes one.
func SessionName(caller Actor) string { return callerName(caller, longestSessionName) }

// FederationName is the caller in the 32 characters of a federated user's name.
func FederationName(caller Actor) string { return callerName(caller, longestFederationName) }

// callerName differs between different callers. A caller that must be changed or cut to fit is followed by "=" and 80
// bits of its hash, and so is one that would otherwise pass for such a name or for a session of Rolecall's own.
func callerName(caller Actor, longest int) string {
	plain := sessionPrefix + strings.Map(nameCharacter, string(caller))
	if plain == sessionPrefix+string(caller) && len(plain) <= longest && !endsWithDigest(plain) && plain != verifySession {
		return plain
	}
	digest := sha256.Sum256([]byte(caller))
	end := digestMark + lower.EncodeToString(digest[:digestLength*5/8])
	return plain[:min(len(plain), longest-len(end))] + end
}

// nameCharacter is the character itself, or a dash for one that STS does not take.
func nameCharacter(r rune) rune {
	if (r >= '0' && r <= '9') || (r >= 'A' && r <= 'Z') || (r >= 'a' && r <= 'z') || (r < 0x80 && strings.ContainsRune("_+=,.@-", r)) {
		return r
	}
	return '-'
}

// endsWithDigest tells names that could be somebody else's with a hash.
func endsWithDigest(name string) bool {
	at := len(name) - digestLength - len(digestMark)
	return at >= len(sessionPrefix) && strings.HasPrefix(name[at:], digestMark)
}
