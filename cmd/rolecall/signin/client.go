// Package signin gets access tokens of an OIDC issuer: for people by authorization code and PKCE over a listener on
// this machine (RFC 8252), for machines by client credentials, and later by refresh token. [Access] keeps what was got.
package signin

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"rolecall/cmd/rolecall/printable"
	"rolecall/cmd/rolecall/settings"
)

// A Client is this program, as the issuer knows it. All fields but Audience must be set;
// [Client.Located] finds an Issuer that is not.
type Client struct {
	Issuer   string
	ID       string
	Audience string // to ask for, with issuers that want to be asked
	Scopes   []string
	HTTP     *http.Client
	Clock    func() time.Time
}

// Tokens are what the issuer gave.
type Tokens struct {
	Access  string
	Expires time.Time // of Access
	Refresh string    // "" if there is none
	// Subject and Name are the person's, as the ID token has them; "" for machines and on renewal.
	Subject, Name string
}

// ErrEnded is the error of a refresh token that the issuer no longer takes.
var ErrEnded = errors.New("the sign-in has ended")

// A provider is an issuer, as it describes itself.
type provider struct {
	*oidc.Provider

	Revocation string   `json:"revocation_endpoint"`
	Scopes     []string `json:"scopes_supported"`
	SaysIssuer bool     `json:"authorization_response_iss_parameter_supported"`
}

func (c Client) discover(ctx context.Context) (context.Context, *provider, error) {
	ctx = oidc.ClientContext(ctx, c.HTTP)
	found, err := oidc.NewProvider(ctx, c.Issuer)
	if err != nil {
		return nil, nil, c.failed(err)
	}
	p := &provider{Provider: found}
	if err := found.Claims(p); err != nil {
		return nil, nil, c.failed(err)
	}
	for _, address := range []string{found.Endpoint().TokenURL, p.Revocation} {
		if address != "" && !settings.MaySend(address) {
			return nil, nil, fmt.Errorf("the issuer %s wants secrets sent to %s, which is not https", printable.Line(c.Issuer), printable.Line(address))
		}
	}
	return ctx, p, nil
}

// failed is an error of the issuer's, which may be in its words.
func (c Client) failed(err error) error {
	return printable.Error(fmt.Errorf("the issuer %s: %w", c.Issuer, err))
}

// oauth is the configuration of the flows for people: a public client, which names itself in the form.
func (c Client) oauth(p *provider, redirect string) *oauth2.Config {
	endpoint := p.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInParams
	scopes := slices.Concat([]string{oidc.ScopeOpenID}, c.Scopes)
	if slices.Contains(p.Scopes, oidc.ScopeOfflineAccess) { // issuers without it give refresh tokens unasked
		scopes = append(scopes, oidc.ScopeOfflineAccess)
	}
	return &oauth2.Config{ClientID: c.ID, Endpoint: endpoint, RedirectURL: redirect, Scopes: scopes}
}

// tokens takes the issuer's answer. Lifetimes are counted from here on: clocks may differ.
func (c Client) tokens(t *oauth2.Token) Tokens {
	seconds := t.ExpiresIn
	if answer, ok := t.Extra("expires_in").(float64); ok && seconds == 0 { // clientcredentials leaves it there
		seconds = int64(answer)
	}
	life := time.Duration(seconds) * time.Second
	if life <= 0 {
		life = time.Minute // it did not say; ask again soon
	}
	return Tokens{Access: t.AccessToken, Expires: c.Clock().Add(life), Refresh: t.RefreshToken}
}

// Renew gets a new access token. An issuer that turns refresh tokens over answers a new one of those, too; the old one
// is worthless from then on, so ctx had better not end in between.
func (c Client) Renew(ctx context.Context, refresh string) (Tokens, error) {
	ctx, p, err := c.discover(ctx)
	if err != nil {
		return Tokens{}, err
	}
	t, err := c.oauth(p, "").TokenSource(ctx, &oauth2.Token{RefreshToken: refresh}).Token()
	if err != nil {
		return Tokens{}, plain(err)
	}
	out := c.tokens(t)
	if out.Refresh == "" {
		out.Refresh = refresh
	}
	return out, nil
}

// Machine gets an access token by client credentials.
func (c Client) Machine(ctx context.Context, secret string) (Tokens, error) {
	ctx, p, err := c.discover(ctx)
	if err != nil {
		return Tokens{}, err
	}
	config := clientcredentials.Config{ClientID: c.ID, ClientSecret: secret, TokenURL: p.Endpoint().TokenURL, Scopes: c.Scopes}
	if c.Audience != "" {
		config.EndpointParams = url.Values{"audience": {c.Audience}}
	}
	t, err := config.Token(ctx)
	if err != nil {
		return Tokens{}, plain(err)
	}
	return c.tokens(t), nil
}

// Revoke ends a refresh token, with issuers that can.
func (c Client) Revoke(ctx context.Context, refresh string) error {
	ctx, p, err := c.discover(ctx)
	if err != nil || p.Revocation == "" {
		return err
	}
	form := url.Values{"token": {refresh}, "token_type_hint": {"refresh_token"}, "client_id": {c.ID}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Revocation, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return printable.Error(err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the issuer answers %s", printable.Line(resp.Status))
	}
	return nil
}

// exchange redeems a code and makes sure that the ID token is the answer to what was asked.
func (c Client) exchange(ctx context.Context, p *provider, config *oauth2.Config, code, verifier, nonce string) (Tokens, error) {
	t, err := config.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return Tokens{}, plain(err)
	}
	raw, _ := t.Extra("id_token").(string)
	if raw == "" {
		return Tokens{}, errors.New("the issuer gave no ID token")
	}
	id, err := p.Verifier(&oidc.Config{ClientID: c.ID, Now: c.Clock}).Verify(ctx, raw)
	if err != nil {
		return Tokens{}, fmt.Errorf("the ID token: %w", printable.Error(err))
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(nonce)) != 1 {
		return Tokens{}, errors.New("the ID token is not of this sign-in")
	}
	if id.AccessTokenHash != "" {
		if err := id.VerifyAccessToken(t.AccessToken); err != nil {
			return Tokens{}, fmt.Errorf("the access token: %w", printable.Error(err))
		}
	}
	var claims struct {
		Name string `json:"name"`
	}
	if err := id.Claims(&claims); err != nil {
		return Tokens{}, fmt.Errorf("the ID token: %w", printable.Error(err))
	}
	out := c.tokens(t)
	out.Subject, out.Name = id.Subject, claims.Name
	return out, nil
}

// plain is an issuer's refusal in its own words, without the answer's body.
func plain(err error) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		return fmt.Errorf("the issuer: %w", printable.Error(err))
	}
	text := refused.ErrorCode
	if text == "" && refused.Response != nil {
		text = refused.Response.Status
	}
	if refused.ErrorDescription != "" {
		text += ": " + refused.ErrorDescription
	}
	text = printable.Line(text)
	if refused.ErrorCode == "invalid_grant" {
		return fmt.Errorf("%w (%s)", ErrEnded, text)
	}
	return errors.New("the issuer refuses: " + text)
}
