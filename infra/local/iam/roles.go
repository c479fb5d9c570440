package iam

import (
	"maps"
	"slices"
	"strings"
	"time"

	"rolecall/infra/local/policy"
)

type role struct {
	entity
	description string
	maxSession  time.Duration
	visibleAt   time.Time // for STS
	trust       history[document]
}

// A RoleSpec is what a role is made of. Zero values are AWS's defaults: path "/", sessions of at most an hour.
type RoleSpec struct {
	Name        string
	Path        string
	Description string
	Trust       string        // the trust policy, JSON
	MaxSession  time.Duration // 1 to 12 hours
	Boundary    string        // the permissions boundary's ARN
	Tags        map[string]string
	Inline      map[string]string // inline policies by name, JSON
	Attached    []string          // ARNs of managed policies
}

// A Role is a role as IAM shows it, changes that have not spread yet included.
type Role struct {
	RoleSpec
	ID      string // "AROA…"
	ARN     string
	Created time.Time
}

func (r *role) view() Role {
	g := r.grants.latest()
	inline := make(map[string]string, len(g.inline))
	for name, d := range g.inline {
		inline[name] = d.text
	}
	return Role{
		ID: r.id, ARN: r.arn, Created: r.created,
		RoleSpec: RoleSpec{
			Name: r.name, Path: r.path, Description: r.description, Trust: r.trust.latest().text,
			MaxSession: r.maxSession, Boundary: g.boundary, Tags: maps.Clone(r.tags),
			Inline: inline, Attached: slices.Clone(g.attached),
		},
	}
}

// maxTrust is IAM's default quota, in characters without white space.
const maxTrust = 2048

// trustDocument reads a trust policy; the roles and users it names must exist, as in AWS. The caller holds the lock.
func (s *Service) trustDocument(text string) (document, error) {
	if text == "" {
		return document{}, (rule{field: "assumeRolePolicyDocument", min: 1}).check(text)
	}
	parsed, err := policy.Parse([]byte(text))
	if err == nil {
		err = parsed.CheckTrust()
	}
	if err != nil {
		return document{}, malformedPolicy("%s", err)
	}
	for _, p := range parsed.AWSPrincipals() {
		if !s.exists(p) {
			return document{}, malformedPolicy("Invalid principal in policy: \"AWS\":\"%s\"", p)
		}
	}
	if weight(text) > maxTrust {
		return document{}, limitExceeded("Cannot exceed quota for ACLSizePerRole: %d", maxTrust)
	}
	return document{text, parsed}, nil
}

// exists tells whether a principal that a trust policy names is there. Accounts always are, and sessions are not looked at.
func (s *Service) exists(principal string) bool {
	if account, path, name, ok := roleFromARN(principal); ok {
		r := s.look(account).role(name)
		return r != nil && r.path == path
	}
	if account, path, name, ok := fromARN(principal, ":user/"); ok {
		u := s.look(account).user(name)
		return u != nil && u.path == path
	}
	if strings.HasPrefix(principal, "A") { // a unique id, which IAM leaves behind for principals that are gone
		return false
	}
	return principal[0] != 'a' || strings.HasPrefix(principal, arnPrefix)
}

func (a *accountState) role(name string) *role {
	if r := a.roles[strings.ToLower(name)]; r != nil && r.name == name {
		return r
	}
	return nil
}

func (a *accountState) needRole(name string) (*role, error) {
	if err := roleName().check(name); err != nil {
		return nil, err
	}
	r := a.role(name)
	if r == nil {
		return nil, noSuchEntity("The role with name %s cannot be found.", name)
	}
	return r, nil
}

// CreateRole makes a role with all its policies, or nothing.
// Errors: EntityAlreadyExists, MalformedPolicyDocument, ValidationError, NoSuchEntity (a policy), LimitExceeded, InvalidInput.
func (s *Service) CreateRole(account string, spec RoleSpec) (Role, error) {
	spec = spec.withDefaults()
	if err := spec.check(); err != nil {
		return Role{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, now := s.account(account), s.clock()
	trust, err := s.trustDocument(spec.Trust)
	if err != nil {
		return Role{}, err
	}
	r := &role{
		entity:      newEntity("role", "AROA", account, spec.Path, spec.Name, now),
		description: spec.Description, maxSession: spec.MaxSession, visibleAt: now.Add(a.delays.role),
	}
	if a.roles[strings.ToLower(spec.Name)] != nil {
		return Role{}, alreadyExists(&r.entity)
	}
	if err := r.setTags(spec.Tags, nil); err != nil {
		return Role{}, err
	}
	if err := s.replaceGrants(a, r, RoleSpec{}, spec, now); err != nil {
		return Role{}, err
	}
	r.trust.set(trust, now, a.delays.trust)
	a.roles[strings.ToLower(spec.Name)] = r
	return r.view(), nil
}

func (spec RoleSpec) withDefaults() RoleSpec {
	if spec.Path == "" {
		spec.Path = "/"
	}
	if spec.MaxSession == 0 {
		spec.MaxSession = minMaxSession
	}
	return spec
}

func (spec RoleSpec) check() error {
	if err := roleName().check(spec.Name); err != nil {
		return err
	}
	if err := entityPath().check(spec.Path); err != nil {
		return err
	}
	if err := (rule{field: "description", max: maxDescription}).check(spec.Description); err != nil {
		return err
	}
	return between("maxSessionDuration", spec.MaxSession, minMaxSession, maxMaxSession)
}

// replaceGrants takes the policies of one spec from a role and gives it those of another; policies that came from
// elsewhere stay.
func (s *Service) replaceGrants(a *accountState, r *role, from, to RoleSpec, now time.Time) error {
	return r.change(now, a.delays.policies, func(g *grants) error {
		for name := range from.Inline {
			delete(g.inline, name)
		}
		g.attached = slices.DeleteFunc(g.attached, func(arn string) bool { return slices.Contains(from.Attached, arn) })
		for _, name := range slices.Sorted(maps.Keys(to.Inline)) {
			if err := r.putInline(g, name, to.Inline[name]); err != nil {
				return err
			}
		}
		for _, arn := range to.Attached {
			if err := s.attach(a, &r.entity, g, arn); err != nil {
				return err
			}
		}
		return s.bound(a, g, to.Boundary)
	})
}

// UpdateRole changes a role from one spec to another, or not at all; its name and path stay. Inline and attached
// policies that are in neither spec are left alone, as CloudFormation leaves those of AWS::IAM::Policy.
func (s *Service) UpdateRole(account string, from, to RoleSpec) (Role, error) {
	to = to.withDefaults()
	if err := to.check(); err != nil {
		return Role{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, now := s.account(account), s.clock()
	r, err := a.needRole(to.Name)
	if err != nil {
		return Role{}, err
	}
	trust, err := s.trustDocument(to.Trust)
	if err != nil {
		return Role{}, err
	}
	old := r.tags
	if err := r.setTags(to.Tags, slices.Collect(maps.Keys(from.Tags))); err != nil {
		return Role{}, err
	}
	if err := s.replaceGrants(a, r, from, to, now); err != nil {
		r.tags = old
		return Role{}, err
	}
	if trust.text != r.trust.latest().text {
		r.trust.set(trust, now, a.delays.trust)
	}
	r.description, r.maxSession = to.Description, to.MaxSession
	return r.view(), nil
}

// RemoveRole takes the policies of the spec from the role and deletes it, as CloudFormation does. A role that is gone
// already is no error; policies from elsewhere are a DeleteConflict.
func (s *Service) RemoveRole(account string, spec RoleSpec) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, now := s.account(account), s.clock()
	r := a.role(spec.Name)
	if r == nil {
		return nil
	}
	g := r.grants.latest()
	for name := range g.inline {
		if _, ours := spec.Inline[name]; !ours {
			return deleteConflict("Cannot delete entity, must delete policies first.")
		}
	}
	for _, arn := range g.attached {
		if !slices.Contains(spec.Attached, arn) {
			return deleteConflict("Cannot delete entity, must detach all policies first.")
		}
	}
	r.grants.set(grants{}, now, 0)
	delete(a.roles, strings.ToLower(r.name))
	return nil
}

// DeleteRole deletes a role without policies. Errors: NoSuchEntity, DeleteConflict.
func (s *Service) DeleteRole(account, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.account(account)
	r, err := a.needRole(name)
	if err != nil {
		return err
	}
	if err := r.grants.latest().deletable(); err != nil {
		return err
	}
	delete(a.roles, strings.ToLower(name))
	return nil
}

// Role finds a role. Error: NoSuchEntity.
func (s *Service) Role(account, name string) (Role, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, err := s.look(account).needRole(name)
	if err != nil {
		return Role{}, err
	}
	return r.view(), nil
}

// Roles lists an account's roles by name.
func (s *Service) Roles(account string) []Role {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a := s.look(account)
	out := make([]Role, 0, len(a.roles))
	for _, key := range slices.Sorted(maps.Keys(a.roles)) {
		out = append(out, a.roles[key].view())
	}
	return out
}

// changeRole finds a role and lets f change it.
func (s *Service) changeRole(account, name string, f func(a *accountState, r *role, now time.Time) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.account(account)
	r, err := a.needRole(name)
	if err != nil {
		return err
	}
	return f(a, r, s.clock())
}

func (s *Service) changeRoleGrants(account, name string, f func(a *accountState, r *role, g *grants) error) error {
	return s.changeRole(account, name, func(a *accountState, r *role, now time.Time) error {
		return r.change(now, a.delays.policies, func(g *grants) error { return f(a, r, g) })
	})
}

// SetTrust replaces a role's trust policy. Errors: NoSuchEntity, MalformedPolicyDocument, LimitExceeded.
func (s *Service) SetTrust(account, name, trust string) error {
	return s.changeRole(account, name, func(a *accountState, r *role, now time.Time) error {
		doc, err := s.trustDocument(trust)
		if err != nil {
			return err
		}
		r.trust.set(doc, now, a.delays.trust)
		return nil
	})
}

// PutRolePolicy adds or replaces an inline policy of a role. Errors: NoSuchEntity, MalformedPolicyDocument, LimitExceeded,
// ValidationError.
func (s *Service) PutRolePolicy(account, name, policy, text string) error {
	return s.changeRoleGrants(account, name, func(_ *accountState, r *role, g *grants) error { return r.putInline(g, policy, text) })
}

// DeleteRolePolicy removes an inline policy of a role. Error: NoSuchEntity.
func (s *Service) DeleteRolePolicy(account, name, policy string) error {
	return s.changeRoleGrants(account, name, func(_ *accountState, r *role, g *grants) error { return r.removeInline(g, policy) })
}

// AttachRolePolicy attaches a managed policy to a role. Errors: NoSuchEntity, LimitExceeded, ValidationError.
func (s *Service) AttachRolePolicy(account, name, arn string) error {
	return s.changeRoleGrants(account, name, func(a *accountState, r *role, g *grants) error { return s.attach(a, &r.entity, g, arn) })
}

// DetachRolePolicy detaches a managed policy from a role. Error: NoSuchEntity.
func (s *Service) DetachRolePolicy(account, name, arn string) error {
	return s.changeRoleGrants(account, name, func(_ *accountState, _ *role, g *grants) error { return detach(g, arn) })
}

// SetRoleBoundary sets a role's permissions boundary, or removes it with "". Error: NoSuchEntity.
func (s *Service) SetRoleBoundary(account, name, arn string) error {
	return s.changeRoleGrants(account, name, func(a *accountState, _ *role, g *grants) error { return s.bound(a, g, arn) })
}

// TagRole removes some tags of a role and sets others. Errors: NoSuchEntity, ValidationError, InvalidInput, LimitExceeded.
func (s *Service) TagRole(account, name string, set map[string]string, remove []string) error {
	return s.changeRole(account, name, func(_ *accountState, r *role, _ time.Time) error { return r.setTags(set, remove) })
}

// describeRole changes what UpdateRole of the API may change; nil leaves a value as it is.
func (s *Service) describeRole(account, name string, description *string, maxSession *time.Duration) error {
	return s.changeRole(account, name, func(_ *accountState, r *role, _ time.Time) error {
		spec := r.view().RoleSpec
		if description != nil {
			spec.Description = *description
		}
		if maxSession != nil {
			spec.MaxSession = *maxSession
		}
		if err := spec.check(); err != nil {
			return err
		}
		r.description, r.maxSession = spec.Description, spec.MaxSession
		return nil
	})
}
