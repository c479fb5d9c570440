package lambda

import (
	"slices"
	"strings"
)

// A Permission is a statement of a function's resource policy, as AWS::Lambda::Permission makes it.
type Permission struct {
	ID            string
	Principal     string // a service, such as "apigateway.amazonaws.com"
	SourceARN     string // may hold * and ?; empty admits every source of the principal
	SourceAccount string // empty admits every account
}

// Allow adds a permission to a function's resource policy; one with the same ID is replaced.
func (s *Service) Allow(arn string, permission Permission) error {
	p, err := s.pool(arn)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.permissions = append(withoutPermission(p.permissions, permission.ID), permission)
	return nil
}

// Revoke removes a permission; one that does not exist is no error.
func (s *Service) Revoke(arn, id string) error {
	p, err := s.pool(arn)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.permissions = withoutPermission(p.permissions, id)
	return nil
}

// Admits says whether a function's resource policy lets a service invoke it for a source, both in sourceAccount.
func (s *Service) Admits(arn, principal, sourceARN, sourceAccount string) bool {
	p, err := s.pool(arn)
	if err != nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.permissions, func(x Permission) bool {
		return x.Principal == principal &&
			(x.SourceARN == "" || like(x.SourceARN, sourceARN)) &&
			(x.SourceAccount == "" || x.SourceAccount == sourceAccount)
	})
}

func withoutPermission(list []Permission, id string) []Permission {
	return slices.DeleteFunc(slices.Clone(list), func(x Permission) bool { return x.ID == id })
}

// like matches an ARN pattern with * and ?.
func like(pattern, s string) bool {
	for pattern != "" {
		switch {
		case pattern[0] == '*':
			rest := strings.TrimLeft(pattern, "*")
			for i := 0; i <= len(s); i++ {
				if like(rest, s[i:]) {
					return true
				}
			}
			return false
		case s == "" || (pattern[0] != '?' && pattern[0] != s[0]):
			return false
		}
		pattern, s = pattern[1:], s[1:]
	}
	return s == ""
}
