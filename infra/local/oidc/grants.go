package oidc

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
)

const (
	scopeOpenID  = "openid"
	scopeOffline = "offline_access"

	codeLife    = time.Minute
	refreshLife = 24 * time.Hour
	// maxSignIns bounds what is remembered; the oldest sign-ins are forgotten first.
	maxSignIns = 1000
)

// A signIn is one person at one client, from the click to the last refresh token.
type signIn struct {
	id     string // the ID tokens' sid
	client string
	person Person
	scopes []string
	nonce  string
	at     time.Time

	// Of the code.
	code, redirect, challenge string
	redeemed                  bool

	refresh string // the one that works; "" if there is none
	used    map[string]bool
	expires time.Time // of the code, later of the refresh token
}

// grants are the sign-ins that can still give tokens.
type grants struct {
	mu  sync.Mutex
	all []*signIn // oldest first
}

func (g *grants) add(s *signIn, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = slices.DeleteFunc(g.all, func(s *signIn) bool { return !now.Before(s.expires) })
	g.all = append(g.all, s)
	g.all = g.all[max(0, len(g.all)-maxSignIns):]
}

// end forgets a sign-in: nothing of it works any more. The caller holds the lock.
func (g *grants) end(s *signIn) {
	g.all = slices.DeleteFunc(g.all, func(other *signIn) bool { return other == s })
}

// find is the sign-in for which something is so. The caller holds the lock.
func (g *grants) find(so func(*signIn) bool) *signIn {
	if at := slices.IndexFunc(g.all, so); at >= 0 {
		return g.all[at]
	}
	return nil
}

var verifierRE = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`) // RFC 7636, section 4.1

// redeem gives tokens for a code.
func (i *Issuer) redeem(r *http.Request) (*tokens, *problem) {
	client, p := i.publicClient(r)
	if p != nil {
		return nil, p
	}
	code, redirect, verifier := r.PostForm.Get("code"), r.PostForm.Get("redirect_uri"), r.PostForm.Get("code_verifier")
	if code == "" || redirect == "" || verifier == "" {
		return nil, bad("invalid_request", "code, redirect_uri and code_verifier must be given")
	}
	i.grants.mu.Lock()
	defer i.grants.mu.Unlock()
	s := i.grants.find(func(s *signIn) bool { return s.code == code })
	if s == nil || s.client != client.ID || (!s.redeemed && !i.cfg.Clock().Before(s.expires)) {
		return nil, bad("invalid_grant", "the code is unknown, of another client, or older than a minute")
	}
	if s.redeemed {
		i.grants.end(s) // RFC 6749, section 4.1.2: somebody else has it
		return nil, bad("invalid_grant", "the code has been used; its tokens end")
	}
	if s.redirect != redirect || !verifierRE.MatchString(verifier) || !same(challengeOf(verifier), s.challenge) {
		i.grants.end(s)
		return nil, bad("invalid_grant", "redirect_uri or code_verifier is not the one of the sign-in")
	}
	s.redeemed = true
	return i.tokens(s, s.scopes)
}

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// refresh gives new tokens for a refresh token, and a new one instead of it.
func (i *Issuer) refresh(r *http.Request) (*tokens, *problem) {
	client, p := i.publicClient(r)
	if p != nil {
		return nil, p
	}
	given := r.PostForm.Get("refresh_token")
	if given == "" {
		return nil, bad("invalid_request", "refresh_token is missing")
	}
	i.grants.mu.Lock()
	defer i.grants.mu.Unlock()
	s := i.grants.find(func(s *signIn) bool { return s.refresh == given || s.used[given] })
	if s == nil || s.client != client.ID || !i.cfg.Clock().Before(s.expires) {
		return nil, bad("invalid_grant", "the refresh token is unknown, of another client, or has ended")
	}
	if s.used[given] {
		i.grants.end(s)
		return nil, bad("invalid_grant", "the refresh token has been used; the sign-in ends")
	}
	scopes := s.scopes
	if wanted := strings.Fields(r.PostForm.Get("scope")); len(wanted) > 0 {
		if slices.ContainsFunc(wanted, func(w string) bool { return !slices.Contains(s.scopes, w) }) {
			return nil, bad("invalid_scope", "the sign-in has only: "+strings.Join(s.scopes, " "))
		}
		scopes = wanted
	}
	return i.tokens(s, scopes)
}

// tokens makes the tokens of a sign-in and turns its refresh token over. The caller holds the lock.
func (i *Issuer) tokens(s *signIn, scopes []string) (*tokens, *problem) {
	access, err := i.Token(s.person.Tenant, scopes, map[string]any{"sub": s.person.Subject, "client_id": s.client, "sid": s.id})
	if err != nil {
		return nil, failed()
	}
	out := &tokens{Access: access, Type: "Bearer", Expires: int(lifetime.Seconds()), Scope: strings.Join(scopes, " ")}
	if slices.Contains(scopes, scopeOpenID) {
		if out.ID, err = i.idToken(s); err != nil {
			return nil, failed()
		}
	}
	if slices.Contains(s.scopes, scopeOffline) {
		if s.refresh != "" {
			s.used[s.refresh] = true
		}
		s.refresh, s.expires = random(), i.cfg.Clock().Add(refreshLife)
		out.Refresh = s.refresh
	}
	return out, nil
}

func (i *Issuer) idToken(s *signIn) (string, error) {
	claims := map[string]any{
		"iss": i.cfg.Issuer, "aud": s.client, "sub": s.person.Subject, "name": s.person.Name,
		i.cfg.TenantClaim: s.person.Tenant, "auth_time": s.at.Unix(), "sid": s.id,
	}
	if s.nonce != "" {
		claims["nonce"] = s.nonce
	}
	maps.Copy(claims, i.life())
	return i.sign(claims)
}

// publicClient is the client that a form names: one without a secret.
func (i *Issuer) publicClient(r *http.Request) (*Client, *problem) {
	client := i.clientNamed(r.PostForm.Get("client_id"))
	if client == nil {
		return nil, &problem{http.StatusUnauthorized, "invalid_client", "client_id must be given, and be one that people sign in with"}
	}
	if _, _, basic := r.BasicAuth(); basic || r.PostForm.Has("client_secret") {
		return nil, &problem{http.StatusUnauthorized, "invalid_client", "this client has no secret"}
	}
	return client, nil
}

func (i *Issuer) clientNamed(id string) *Client {
	if at := slices.IndexFunc(i.cfg.Clients, func(c Client) bool { return c.ID == id }); at >= 0 {
		return &i.cfg.Clients[at]
	}
	return nil
}

// revoke ends a refresh token's sign-in. A token that is unknown has ended already (RFC 7009, section 2.2); an access
// token cannot be ended before its time.
func (i *Issuer) revoke(w http.ResponseWriter, r *http.Request) {
	noStore(w)
	if p := readForm(w, r); p != nil {
		p.write(w)
		return
	}
	client, p := i.publicClient(r)
	if p != nil {
		p.write(w)
		return
	}
	given := r.PostForm.Get("token")
	if given == "" {
		bad("invalid_request", "token is missing").write(w)
		return
	}
	i.grants.mu.Lock()
	defer i.grants.mu.Unlock()
	if s := i.grants.find(func(s *signIn) bool { return s.refresh == given || s.used[given] }); s != nil && s.client == client.ID {
		i.grants.end(s)
	}
	w.WriteHeader(http.StatusOK)
}

// signInOf is the id of the sign-in that an ID token of ours came from, even if the token has ended; "" if it is not ours.
func (i *Issuer) signInOf(idToken string) (sid, client string) {
	public, err := i.key.PublicKey()
	if err != nil {
		return "", ""
	}
	payload, err := jws.Verify([]byte(idToken), jws.WithKey(jwa.RS256(), public))
	if err != nil {
		return "", ""
	}
	var claims struct {
		Session string `json:"sid"`
		Client  string `json:"aud"`
	}
	if json.Unmarshal(payload, &claims) != nil || i.clientNamed(claims.Client) == nil { // an access token's audience is the API
		return "", ""
	}
	return claims.Session, claims.Client
}
