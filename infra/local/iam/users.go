package iam

import (
	"crypto/rand"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"time"
)

type user struct{ entity }

// An accessKey is a long-lived key of a user, or of the account's root.
type accessKey struct {
	id, secret, account string
	user                string // "" for root
	active              bool
	created             time.Time
}

const maxAccessKeys = 2

// A UserSpec is what a user is made of; an empty path is "/".
type UserSpec struct {
	Name, Path, Boundary string
	Tags                 map[string]string
}

// A User is a user as IAM shows it.
type User struct {
	UserSpec
	ID      string // "AIDA…"
	ARN     string
	Created time.Time
}

func (u *user) view() User {
	return User{
		UserSpec: UserSpec{Name: u.name, Path: u.path, Boundary: u.grants.latest().boundary, Tags: maps.Clone(u.tags)},
		ID:       u.id, ARN: u.arn, Created: u.created,
	}
}

func (a *accountState) user(name string) *user {
	if u := a.users[strings.ToLower(name)]; u != nil && u.name == name {
		return u
	}
	return nil
}

func (a *accountState) needUser(name string) (*user, error) {
	if err := userName().check(name); err != nil {
		return nil, err
	}
	u := a.user(name)
	if u == nil {
		return nil, noSuchEntity("The user with name %s cannot be found.", name)
	}
	return u, nil
}

// CreateUser makes a user. Errors: EntityAlreadyExists, ValidationError, NoSuchEntity (the boundary), InvalidInput.
func (s *Service) CreateUser(account string, spec UserSpec) (User, error) {
	if spec.Path == "" {
		spec.Path = "/"
	}
	if err := userName().check(spec.Name); err != nil {
		return User{}, err
	}
	if err := entityPath().check(spec.Path); err != nil {
		return User{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, now := s.account(account), s.clock()
	u := &user{newEntity("user", "AIDA", account, spec.Path, spec.Name, now)}
	if a.users[strings.ToLower(spec.Name)] != nil {
		return User{}, alreadyExists(&u.entity)
	}
	if err := u.setTags(spec.Tags, nil); err != nil {
		return User{}, err
	}
	if err := u.change(now, 0, func(g *grants) error { return s.bound(a, g, spec.Boundary) }); err != nil {
		return User{}, err
	}
	a.users[strings.ToLower(spec.Name)] = u
	return u.view(), nil
}

func (s *Service) findUser(account, name string) (User, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u, err := s.look(account).needUser(name)
	if err != nil {
		return User{}, err
	}
	return u.view(), nil
}

func (s *Service) users(account string) []User {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a := s.look(account)
	out := make([]User, 0, len(a.users))
	for _, key := range slices.Sorted(maps.Keys(a.users)) {
		out = append(out, a.users[key].view())
	}
	return out
}

// DeleteUser deletes a user without keys and policies. Errors: NoSuchEntity, DeleteConflict.
func (s *Service) DeleteUser(account, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.account(account)
	u, err := a.needUser(name)
	if err != nil {
		return err
	}
	if len(s.keysOf(account, name)) > 0 {
		return deleteConflict("Cannot delete entity, must delete access keys first.")
	}
	if err := u.grants.latest().deletable(); err != nil {
		return err
	}
	delete(a.users, strings.ToLower(name))
	return nil
}

// changeUserGrants finds a user and lets f change its policies, which take effect at once.
func (s *Service) changeUserGrants(account, name string, f func(a *accountState, u *user, g *grants) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.account(account)
	u, err := a.needUser(name)
	if err != nil {
		return err
	}
	return u.change(s.clock(), 0, func(g *grants) error { return f(a, u, g) })
}

// PutUserPolicy adds or replaces an inline policy of a user. Errors: NoSuchEntity, MalformedPolicyDocument, LimitExceeded,
// ValidationError.
func (s *Service) PutUserPolicy(account, name, policy, text string) error {
	return s.changeUserGrants(account, name, func(_ *accountState, u *user, g *grants) error { return u.putInline(g, policy, text) })
}

// AttachUserPolicy attaches a managed policy to a user. Errors: NoSuchEntity, LimitExceeded, ValidationError.
func (s *Service) AttachUserPolicy(account, name, arn string) error {
	return s.changeUserGrants(account, name, func(a *accountState, u *user, g *grants) error { return s.attach(a, &u.entity, g, arn) })
}

// CreateAccessKey makes a long-lived key for a user, or for the account's root if the name is empty; it answers the key
// with its secret and without token or end. Errors: NoSuchEntity, LimitExceeded (two keys).
func (s *Service) CreateAccessKey(account, name string) (Credentials, error) {
	k, err := s.createAccessKey(account, name)
	if err != nil {
		return Credentials{}, err
	}
	return Credentials{AccessKeyID: k.id, SecretAccessKey: k.secret}, nil
}

func (s *Service) createAccessKey(account, name string) (accessKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name != "" {
		if _, err := s.look(account).needUser(name); err != nil {
			return accessKey{}, err
		}
	}
	if len(s.keysOf(account, name)) >= maxAccessKeys {
		return accessKey{}, limitExceeded("Cannot exceed quota for AccessKeysPerUser: %d", maxAccessKeys)
	}
	k := &accessKey{
		id: newKeyID("AKIA"), secret: newSecret(), account: account, user: name, active: true,
		created: s.clock().UTC().Truncate(time.Second),
	}
	s.keys[k.id] = k
	return *k, nil
}

const keySuffixLength = 16

func newKeyID(prefix string) string { return prefix + rand.Text()[:keySuffixLength] }

// newSecret makes 40 characters, as AWS's secrets are.
func newSecret() string {
	var b [30]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.StdEncoding.EncodeToString(b[:])
}

// keysOf lists a user's keys, oldest first. The caller holds the lock.
func (s *Service) keysOf(account, name string) []accessKey {
	var out []accessKey
	for _, k := range s.keys {
		if k.account == account && k.user == name {
			out = append(out, *k)
		}
	}
	slices.SortFunc(out, func(x, y accessKey) int {
		if c := x.created.Compare(y.created); c != 0 {
			return c
		}
		return strings.Compare(x.id, y.id)
	})
	return out
}

func (s *Service) accessKeys(account, name string) ([]accessKey, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if name != "" {
		if _, err := s.look(account).needUser(name); err != nil {
			return nil, err
		}
	}
	return s.keysOf(account, name), nil
}

// changeAccessKey finds a key of a user (of root if the name is empty) and lets f change or delete it.
func (s *Service) changeAccessKey(account, name, id string, f func(k *accessKey)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[id]
	if k == nil || k.account != account || k.user != name {
		return noSuchEntity("The Access Key with id %s cannot be found.", id)
	}
	f(k)
	return nil
}
