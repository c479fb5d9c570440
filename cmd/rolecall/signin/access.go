package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"rolecall/cmd/rolecall/vault"
)

const (
	// margin is how long an access token must at least be valid when it is used.
	margin = time.Minute
	// renewal bounds one renewal. It goes on when whoever asked has gone: a refresh token that the issuer has turned
	// over must not get lost.
	renewal = 20 * time.Second
)

// ErrSignedOut is the error of who has not signed in.
var ErrSignedOut = errors.New("not signed in\nSign in with: rolecall login")

// An Entry is what the vault keeps of one profile's sign-in.
type Entry struct {
	API      string    `json:"api"` // the tokens are sent there and nowhere else
	Issuer   string    `json:"issuer"`
	ClientID string    `json:"clientId"`
	Audience string    `json:"audience,omitempty"`
	Scopes   string    `json:"scopes"`
	Subject  string    `json:"subject,omitempty"`
	Name     string    `json:"name,omitempty"`
	Refresh  string    `json:"refresh,omitempty"` // for people
	Secret   string    `json:"secret,omitempty"`  // for machines
	Access   string    `json:"access,omitempty"`
	Expires  time.Time `json:"expires,omitzero"` // of Access
}

// Access is the access to one API. Everything up to Secret must be set, Secret may be.
type Access struct {
	API     string
	Profile string
	Client  Client
	Vault   *vault.Vault
	// Secret is a client secret that goes before what the vault has, and is not kept.
	Secret string

	mu     sync.Mutex
	tokens Tokens
}

// Token is an access token that is valid for a minute or more.
func (a *Access) Token(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fresh(a.tokens.Access, a.tokens.Expires) {
		return a.tokens.Access, nil
	}
	var err error
	if a.Secret != "" {
		if a.Client, err = a.Client.Located(ctx, a.API); err == nil {
			a.tokens, err = a.Client.Machine(ctx, a.Secret)
		}
	} else {
		a.tokens, err = a.kept(ctx)
	}
	return a.tokens.Access, err
}

func (a *Access) fresh(token string, expires time.Time) bool {
	return token != "" && expires.Sub(a.Client.Clock()) >= margin
}

// kept is the vault's token, renewed if need be. Only one process renews at a time: a refresh token works once.
func (a *Access) kept(ctx context.Context) (Tokens, error) {
	text, err := a.Vault.Read()
	if err != nil {
		return Tokens{}, err
	}
	e, err := a.entry(text)
	if err != nil {
		return Tokens{}, err
	}
	if a.fresh(e.Access, e.Expires) {
		return Tokens{Access: e.Access, Expires: e.Expires}, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewal)
	defer cancel()
	var out Tokens
	err = a.Vault.Update(func(text []byte) ([]byte, error) {
		e, err := a.entry(text)
		if err != nil {
			return nil, err
		}
		if !a.fresh(e.Access, e.Expires) {
			if err := a.renew(ctx, &e); err != nil {
				return nil, err
			}
		}
		out = Tokens{Access: e.Access, Expires: e.Expires}
		return put(text, a.Profile, &e)
	})
	return out, err
}

func (a *Access) renew(ctx context.Context, e *Entry) error {
	client := a.Client
	client.Issuer, client.ID, client.Audience, client.Scopes = e.Issuer, e.ClientID, e.Audience, strings.Fields(e.Scopes)
	var t Tokens
	var err error
	switch {
	case e.Secret != "":
		t, err = client.Machine(ctx, e.Secret)
	case e.Refresh != "":
		t, err = client.Renew(ctx, e.Refresh)
	default:
		err = ErrEnded // without a refresh token it lasts as long as the access token
	}
	if errors.Is(err, ErrEnded) {
		return fmt.Errorf("%w\nSign in again with: rolecall login", err)
	}
	if err != nil {
		return err
	}
	e.Access, e.Expires, e.Refresh = t.Access, t.Expires, t.Refresh
	return nil
}

// entry is the profile's, if it is for this API.
func (a *Access) entry(text []byte) (Entry, error) {
	all, err := entries(text)
	if err != nil {
		return Entry{}, err
	}
	e, ok := all[a.Profile]
	if !ok {
		return Entry{}, ErrSignedOut
	}
	if e.API != a.API {
		return Entry{}, fmt.Errorf("signed in to %s, not to %s\nSign in there too, as a profile of its own: rolecall --profile NAME login", e.API, a.API)
	}
	return e, nil
}

// Keep keeps a sign-in: with secret a machine's, else a person's.
func (a *Access) Keep(t Tokens, secret string) error {
	c := a.Client
	e := &Entry{
		API: a.API, Issuer: c.Issuer, ClientID: c.ID, Audience: c.Audience, Scopes: strings.Join(c.Scopes, " "), Subject: t.Subject,
		Name: t.Name, Refresh: t.Refresh, Secret: secret, Access: t.Access, Expires: t.Expires,
	}
	return a.Vault.Update(func(text []byte) ([]byte, error) { return put(text, a.Profile, e) })
}

// SignOut forgets the profile's sign-in and ends it at the issuer. unended says why the latter failed; it is no reason to
// keep the sign-in.
func (a *Access) SignOut(ctx context.Context) (unended, err error) {
	var e Entry
	err = a.Vault.Update(func(text []byte) ([]byte, error) {
		all, err := entries(text)
		if err != nil {
			return nil, err
		}
		var ok bool
		if e, ok = all[a.Profile]; !ok {
			return nil, ErrSignedOut
		}
		return put(text, a.Profile, nil)
	})
	if err != nil || e.Refresh == "" {
		return nil, err
	}
	client := a.Client
	client.Issuer, client.ID = e.Issuer, e.ClientID
	return client.Revoke(ctx, e.Refresh), nil
}

func entries(text []byte) (map[string]Entry, error) {
	all := map[string]Entry{}
	if text == nil {
		return all, nil
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, errors.New("what the vault keeps cannot be read")
	}
	return all, nil
}

// put changes one profile's entry; nil takes it away.
func put(text []byte, profile string, e *Entry) ([]byte, error) {
	all, err := entries(text)
	if err != nil {
		return nil, err
	}
	delete(all, profile)
	if e != nil {
		all[profile] = *e
	}
	if len(all) == 0 {
		return nil, nil
	}
	return json.Marshal(all) //nolint:gosec // for the vault, which seals it
}
