package iam

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

type managedPolicy struct {
	name, path, id, arn, description string
	version                          int // AWS calls it v1, v2, …
	doc                              document
	created, updated                 time.Time
	tags                             map[string]string
}

// A PolicySpec is what a customer managed policy is made of; an empty path is "/".
type PolicySpec struct {
	Name, Path, Description string
	Document                string // JSON
	Tags                    map[string]string
}

const maxManaged = 6144

var policyARNForm = regexp.MustCompile(`^arn:aws:iam::([0-9]{12}|aws):policy/[!-~]+$`)

func checkPolicyARN(arn string) error {
	if len(arn) < 20 {
		return (rule{field: "policyArn", min: 20}).check(arn)
	}
	if !policyARNForm.MatchString(arn) {
		return invalidInput("ARN %s is not valid.", arn)
	}
	return nil
}

// managed finds a policy that an account may use: its own and AWS's. The caller holds the lock.
func (s *Service) managed(account, arn string) (*managedPolicy, bool) {
	if p, ok := s.aws[arn]; ok {
		return p, true
	}
	p, ok := s.look(account).policies[arn]
	return p, ok
}

// CreatePolicy makes a customer managed policy and answers its ARN.
// Errors: EntityAlreadyExists, MalformedPolicyDocument, ValidationError, LimitExceeded, InvalidInput.
func (s *Service) CreatePolicy(account string, spec PolicySpec) (string, error) {
	p, err := s.createPolicy(account, spec)
	if err != nil {
		return "", err
	}
	return p.arn, nil
}

func (s *Service) createPolicy(account string, spec PolicySpec) (managedPolicy, error) {
	if spec.Path == "" {
		spec.Path = "/"
	}
	if err := policyName().check(spec.Name); err != nil {
		return managedPolicy{}, err
	}
	if err := entityPath().check(spec.Path); err != nil {
		return managedPolicy{}, err
	}
	if err := checkTags(spec.Tags); err != nil {
		return managedPolicy{}, err
	}
	doc, err := managedDocument(spec.Document)
	if err != nil {
		return managedPolicy{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, now := s.account(account), s.clock().UTC().Truncate(time.Second)
	p := &managedPolicy{
		name: spec.Name, path: spec.Path, description: spec.Description, doc: doc, version: 1, tags: maps.Clone(spec.Tags),
		id: "ANPA" + rand.Text()[:idSuffixLength], arn: arnPrefix + "iam::" + account + ":policy" + spec.Path + spec.Name,
		created: now, updated: now,
	}
	for _, other := range a.policies {
		if strings.EqualFold(other.name, spec.Name) {
			return managedPolicy{}, fail("EntityAlreadyExists", http.StatusConflict, "A policy called %s already exists. Duplicate names are not allowed.", spec.Name)
		}
	}
	a.policies[p.arn] = p
	return *p, nil
}

func managedDocument(text string) (document, error) {
	doc, err := identityDocument(text)
	if err == nil && weight(text) > maxManaged {
		err = limitExceeded("Cannot exceed quota for PolicySize: %d", maxManaged)
	}
	return doc, err
}

// SetPolicyDocument makes a new default version of a customer managed policy. Errors: NoSuchEntity, MalformedPolicyDocument,
// LimitExceeded.
func (s *Service) SetPolicyDocument(account, arn, text string) error {
	doc, err := managedDocument(text)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.look(account).policies[arn]
	if !ok {
		return policyNotFound(arn)
	}
	next := *p // readers may hold the old one
	next.doc, next.version, next.updated = doc, p.version+1, s.clock().UTC().Truncate(time.Second)
	s.account(account).policies[arn] = &next
	return nil
}

func policyNotFound(arn string) error {
	return noSuchEntity("Policy %s does not exist or is not attachable.", arn)
}

// DeletePolicy deletes a customer managed policy that nobody uses. Errors: NoSuchEntity, DeleteConflict.
func (s *Service) DeletePolicy(account, arn string) error {
	if err := checkPolicyARN(arn); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.account(account)
	if _, ok := a.policies[arn]; !ok {
		return policyNotFound(arn)
	}
	if attached, bounding := a.uses(arn); attached+bounding > 0 {
		return deleteConflict("Cannot delete a policy attached to entities.")
	}
	delete(a.policies, arn)
	return nil
}

// uses counts how often a policy is attached, and how often it is a boundary.
func (a *accountState) uses(arn string) (attached, bounding int) {
	count := func(e *entity) {
		g := e.grants.latest()
		if slices.Contains(g.attached, arn) {
			attached++
		}
		if g.boundary == arn {
			bounding++
		}
	}
	for _, r := range a.roles {
		count(&r.entity)
	}
	for _, u := range a.users {
		count(&u.entity)
	}
	return attached, bounding
}

// policyOf answers a copy of a managed policy with its uses in the account.
func (s *Service) policyOf(account, arn string) (p managedPolicy, attached, bounding int, err error) {
	if err := checkPolicyARN(arn); err != nil {
		return managedPolicy{}, 0, 0, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	found, ok := s.managed(account, arn)
	if !ok {
		return managedPolicy{}, 0, 0, policyNotFound(arn)
	}
	attached, bounding = s.look(account).uses(arn)
	return *found, attached, bounding, nil
}

// text is the policy's document as JSON; AWS's own policies are written when they are asked for.
func (p managedPolicy) text() (string, error) {
	if p.doc.text != "" {
		return p.doc.text, nil
	}
	text, err := json.Marshal(p.doc.parsed)
	if err != nil {
		return "", fmt.Errorf("write policy %s: %w", p.arn, err)
	}
	return string(text), nil
}
