package templates

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// policyDigestLength is how much of a policy's SHA-256 names it, in hex digits.
const policyDigestLength = 16

// PolicyDigest names a platform's own policy: the beginning of its SHA-256. Stacks report it, so that it is known which
// policy a role was made with.
func PolicyDigest(policy string) string {
	sum := sha256.Sum256([]byte(policy))
	return hex.EncodeToString(sum[:])[:policyDigestLength]
}

// PolicyKey is where the policy with a digest is published in the template bucket, so that what has changed since can be
// told as long as there are stacks of it.
func PolicyKey(digest string) string { return "permissions/custom-" + digest + ".json" }

// PublishedPolicy is a platform's own policy as it is published: exactly what the template grants.
func PublishedPolicy(s Set) Rendered {
	sum := sha256.Sum256([]byte(s.Policy))
	digest := hex.EncodeToString(sum[:])
	return Rendered{Body: []byte(s.Policy), Version: s.Digest, SHA256: digest, Key: PolicyKey(s.Digest)}
}

// PolicyChanges tells in words what a platform's own policy after grants that before did not, and the other way round.
// An error says which of them cannot be read.
func PolicyChanges(before, after string) ([]Change, error) {
	var was, is ownPolicy
	for _, p := range []struct {
		into *ownPolicy
		text string
	}{{&was, before}, {&is, after}} {
		if err := json.Unmarshal([]byte(p.text), p.into); err != nil {
			return nil, fmt.Errorf("templates: a policy cannot be read: %w", err)
		}
	}
	old, fresh := was.rights(), is.rights()
	phrases := slices.Sorted(maps.Keys(fresh))
	for p := range old {
		if _, there := fresh[p]; !there {
			phrases = append(phrases, p)
		}
	}
	slices.Sort(phrases)
	var x, y []right
	for _, p := range phrases {
		x = append(x, right{p.more(), p.less(), old[p]})
		y = append(y, right{p.more(), p.less(), fresh[p]})
	}
	return changesOf(CustomSet, x, y), nil
}

// A phrase is what a sentence about actions says besides them. Phrases of Allow sort before those of Deny.
type phrase string

func (p phrase) parts() (effect, tail string) {
	effect, tail, _ = strings.Cut(string(p), "\x00")
	return effect, strings.ReplaceAll(tail, "%", "%%")
}

func (p phrase) more() string {
	effect, tail := p.parts()
	if effect == denyEffect {
		return "is also denied %s" + tail
	}
	return "may also call %s" + tail
}

func (p phrase) less() string {
	effect, tail := p.parts()
	if effect == denyEffect {
		return "is no longer denied %s" + tail
	}
	return "may no longer call %s" + tail
}

// rights are the policy's actions by all else that their statements say, so that neither order nor grouping of
// statements makes a difference.
func (p ownPolicy) rights() map[phrase][]string {
	out := map[phrase][]string{}
	for _, s := range p.Statements {
		key := phrase(s.Effect + "\x00" + s.scope())
		items := s.Action
		if len(s.NotAction) > 0 {
			items = []string{"everything but " + strings.Join(sorted(s.NotAction), ", ")}
		}
		out[key] = append(out[key], items...)
	}
	for key, items := range out {
		out[key] = slices.Compact(sorted(items))
	}
	return out
}

// scope says on what, and under which conditions, a statement holds; "" for everything and none.
func (s ownStatement) scope() string {
	var b strings.Builder
	switch {
	case len(s.NotResource) > 0:
		b.WriteString(" on everything but " + strings.Join(sorted(s.NotResource), ", "))
	case !slices.Contains(s.Resource, "*"):
		b.WriteString(" on " + strings.Join(sorted(s.Resource), ", "))
	}
	word := " if "
	for _, operator := range slices.Sorted(maps.Keys(s.Condition)) {
		for _, key := range slices.Sorted(maps.Keys(s.Condition[operator])) {
			b.WriteString(word + key + " " + operator + " " + strings.Join(sorted(s.Condition[operator][key]), " or "))
			word = " and "
		}
	}
	return b.String()
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

// PutPolicyCLI are commands of the AWS CLI, for bash or zsh, that give a role made by hand the platform's own policy.
func (m Manifest) PutPolicyCLI(region, roleName string) string {
	for _, s := range m.Sets {
		if s.Name == CustomSet && s.Policy != "" {
			return "aws iam put-role-policy --region " + shellQuote(region) + " --role-name " + shellQuote(roleName) +
				" --policy-name " + customPolicy + " \\\n  --policy-document " + shellQuote(s.Policy) + "\n"
		}
	}
	return ""
}
