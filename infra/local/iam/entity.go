package iam

import (
	"crypto/rand"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// An entity is what roles and users have in common.
type entity struct {
	name, path, id, arn string
	kind                string // "role" or "user", as in AWS's messages
	created             time.Time
	tags                map[string]string
	grants              history[grants]
}

// grants are the policies of an entity. A value is never changed once it is in a history: change a clone.
type grants struct {
	inline   map[string]document
	attached []string // ARNs, in the order of attachment
	boundary string   // ARN or ""
}

func (g grants) clone() grants {
	return grants{inline: maps.Clone(g.inline), attached: slices.Clone(g.attached), boundary: g.boundary}
}

// Limits of IAM on an entity's policies.
const (
	maxAttached    = 10
	maxRoleInline  = 10240
	maxUserInline  = 2048
	idSuffixLength = 17
)

func newEntity(kind, idPrefix, account, path, name string, now time.Time) entity {
	return entity{
		kind: kind, name: name, path: path, id: idPrefix + rand.Text()[:idSuffixLength],
		arn: arnPrefix + "iam::" + account + ":" + kind + path + name, created: now.UTC().Truncate(time.Second),
		tags: map[string]string{},
	}
}

func (e *entity) title() string { return strings.ToUpper(e.kind[:1]) + e.kind[1:] }

// putInline adds or replaces an inline policy in g.
func (e *entity) putInline(g *grants, name, text string) error {
	if err := policyName().check(name); err != nil {
		return err
	}
	doc, err := identityDocument(text)
	if err != nil {
		return err
	}
	if g.inline == nil {
		g.inline = map[string]document{}
	}
	g.inline[name] = doc
	total := 0
	for _, d := range g.inline {
		total += weight(d.text)
	}
	limit := maxRoleInline
	if e.kind == "user" {
		limit = maxUserInline
	}
	if total > limit {
		return limitExceeded("Maximum policy size of %d bytes exceeded for %s %s", limit, e.kind, e.name)
	}
	return nil
}

// attach adds a managed policy to g; attaching it again changes nothing.
func (s *Service) attach(a *accountState, e *entity, g *grants, arn string) error {
	if err := checkPolicyARN(arn); err != nil {
		return err
	}
	if _, ok := s.managed(a.id, arn); !ok {
		return noSuchEntity("Policy %s does not exist or is not attachable.", arn)
	}
	if slices.Contains(g.attached, arn) {
		return nil
	}
	if len(g.attached) == maxAttached {
		return limitExceeded("Cannot exceed quota for PoliciesPer%s: %d", e.title(), maxAttached)
	}
	g.attached = append(g.attached, arn)
	return nil
}

func (s *Service) bound(a *accountState, g *grants, arn string) error {
	if arn != "" {
		if _, ok := s.managed(a.id, arn); !ok {
			return noSuchEntity("Scope ARN: %s does not exist or is not attachable.", arn)
		}
	}
	g.boundary = arn
	return nil
}

// deletable answers a DeleteConflict while policies remain.
func (g grants) deletable() error {
	if len(g.attached) > 0 {
		return deleteConflict("Cannot delete entity, must detach all policies first.")
	}
	if len(g.inline) > 0 {
		return deleteConflict("Cannot delete entity, must delete policies first.")
	}
	return nil
}

// change works on a copy of an entity's policies and puts it in place if f succeeds.
func (e *entity) change(now time.Time, delay time.Duration, f func(g *grants) error) error {
	g := e.grants.latest().clone()
	if err := f(&g); err != nil {
		return err
	}
	e.grants.set(g, now, delay)
	return nil
}

func (e *entity) removeInline(g *grants, name string) error {
	if _, ok := g.inline[name]; !ok {
		return noSuchEntity("The %s policy with name %s cannot be found.", e.kind, name)
	}
	delete(g.inline, name)
	return nil
}

func detach(g *grants, arn string) error {
	i := slices.Index(g.attached, arn)
	if i < 0 {
		return noSuchEntity("Policy %s was not found.", arn)
	}
	g.attached = slices.Delete(g.attached, i, i+1)
	return nil
}

func (e *entity) setTags(add map[string]string, remove []string) error {
	if err := checkTags(add); err != nil { // before keys that differ by case replace one another
		return err
	}
	tags := maps.Clone(e.tags)
	for _, key := range remove {
		maps.DeleteFunc(tags, func(k, _ string) bool { return strings.EqualFold(k, key) })
	}
	for key, value := range add {
		maps.DeleteFunc(tags, func(k, _ string) bool { return strings.EqualFold(k, key) })
		tags[key] = value
	}
	if err := checkTags(tags); err != nil {
		return err
	}
	e.tags = tags
	return nil
}

func alreadyExists(e *entity) error {
	return fail("EntityAlreadyExists", http.StatusConflict, "%s with name %s already exists.", e.title(), e.name)
}
