// Package oidc is the laptop's token issuer. It stands where the platform's own identity provider does, and does of
// OpenID Connect what a careful one does, so that what signs in here signs in there:
//
//   - GET /.well-known/openid-configuration and /jwks: what it offers, and the keys of its tokens.
//   - POST /token, grant_type=client_credentials: for machines. Client id is any tenant, the secret is "local".
//   - GET /authorize: for people. A page without scripts asks which of the demo people signs in; a click leads back to
//     redirect_uri with code, state and iss. response_type=code and PKCE with S256 are required. redirect_uri must be
//     one of the client's, letter for letter; only a loopback client (RFC 8252) may name any port of 127.0.0.1 or [::1].
//     There is no session: whoever asks is asked, and prompt=none gets login_required.
//   - POST /token, grant_type=authorization_code: the code, redirect_uri, client_id and code_verifier give an access
//     token and, for the scope openid, an ID token; for offline_access, a refresh token. No secret. A code works once
//     and for a minute; used twice, it takes the refresh token that it gave with it.
//   - POST /token, grant_type=refresh_token: gives new tokens and a new refresh token. The old one ends; used again,
//     it ends the new one, too. A refresh token that nobody uses ends after 24 hours.
//   - POST /revoke (RFC 7009): ends a refresh token and all that came of the same sign-in.
//   - GET /end-session: with id_token_hint, ends the refresh tokens of that sign-in; leads to post_logout_redirect_uri if it is
//     one of the client's, letter for letter, else shows a page.
//
// Access tokens of people have sub (an address), client_id, the tenant's claim and scope; ID tokens have the client as
// their audience, nonce, name and the tenant's claim. Pages of [Config.Origins] may read everything but /authorize.
package oidc

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
)

const (
	// Secret is every client's secret.
	Secret   = "local"
	lifetime = time.Hour
	maxForm  = 64 * 1024
)

// Config is what an Issuer is made of. All fields up to Clock must be set.
type Config struct {
	Issuer      string // base URL without slash at its end: http://localhost:8080/oidc
	Audience    string
	TenantClaim string   // the claim that names the tenant
	Scopes      []string // that a token may have; a request without scope gets all
	Clock       func() time.Time
	Clients     []Client // that people may sign in with
	People      []Person // who can sign in
	Origins     []string // of pages that may ask for tokens by script: http://localhost:5173
}

// A Client is a program for people: public, without a secret, told by its redirect URIs.
type Client struct {
	ID string
	// Redirects are where a sign-in may lead back to. A Loopback client's have no port and stand for all of them.
	Redirects []string
	Loopback  bool
	// SignedOut are where a sign-out may lead to.
	SignedOut []string
}

// A Person is somebody who can sign in by a click.
type Person struct {
	Subject    string // sub: ada@acme.example
	Name       string // Ada Lovelace
	Tenant     string // acme
	TenantName string // Acme
}

// An Issuer signs tokens with a key that lives as long as it does.
type Issuer struct {
	cfg    Config
	key    jwk.Key
	public []byte // the key set as served
	tenant *regexp.Regexp
	routes *http.ServeMux
	page   *template.Template
	grants grants
}

// New makes an issuer and its 2048-bit RSA key.
func New(cfg Config) (*Issuer, error) {
	base, err := url.Parse(cfg.Issuer)
	if err != nil || base.Host == "" || strings.HasSuffix(cfg.Issuer, "/") {
		return nil, fmt.Errorf("oidc: the issuer %q is not a URL without slash at its end", cfg.Issuer)
	}
	standard := []string{"iss", "aud", "sub", "client_id", "scope", "iat", "exp", "jti", "nonce", "auth_time", "sid", "name"}
	if cfg.TenantClaim == "" || slices.Contains(standard, cfg.TenantClaim) {
		return nil, fmt.Errorf("oidc: the tenant claim cannot be %q", cfg.TenantClaim)
	}
	if cfg.Audience == "" || len(cfg.Scopes) == 0 || cfg.Clock == nil {
		return nil, errors.New("oidc: audience, scopes and clock must be set")
	}
	i := &Issuer{cfg: cfg, tenant: regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,128}$`), routes: http.NewServeMux()}
	if err := i.checkPeople(); err != nil {
		return nil, err
	}
	if i.page, err = template.ParseFS(pageFiles, "page.html"); err != nil {
		return nil, fmt.Errorf("oidc: page: %w", err)
	}
	if err := i.makeKey(); err != nil {
		return nil, err
	}
	shared := func(method, path string, h http.HandlerFunc) {
		i.routes.HandleFunc(method+" "+base.Path+path, i.cors(h))
		i.routes.HandleFunc("OPTIONS "+base.Path+path, i.preflight(method))
	}
	shared("GET", "/.well-known/openid-configuration", i.discovery)
	shared("GET", "/jwks", i.keys)
	shared("POST", "/token", i.token)
	shared("POST", "/revoke", i.revoke)
	i.routes.HandleFunc("GET "+base.Path+"/authorize", i.authorize)
	i.routes.HandleFunc("POST "+base.Path+"/authorize", i.signIn)
	i.routes.HandleFunc("GET "+base.Path+"/end-session", i.endSession)
	i.routes.HandleFunc("GET "+base.Path+"/page.css", style)
	return i, nil
}

// checkPeople refuses demo people and clients that nobody could sign in as or with.
func (i *Issuer) checkPeople() error {
	for _, p := range i.cfg.People {
		if p.Subject == "" || p.Name == "" || p.TenantName == "" || !i.tenant.MatchString(p.Tenant) {
			return fmt.Errorf("oidc: %+v lacks a subject, a name or a tenant", p)
		}
	}
	for _, c := range i.cfg.Clients {
		for _, redirect := range c.Redirects {
			u, err := url.Parse(redirect)
			if err != nil || u.Host == "" || u.Fragment != "" || (u.Scheme != "http" && u.Scheme != "https") || (c.Loopback && u.Port() != "") {
				return fmt.Errorf("oidc: client %s cannot be led to %q", c.ID, redirect)
			}
		}
	}
	return nil
}

func (i *Issuer) makeKey() error {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("oidc: making the key: %w", err)
	}
	if i.key, err = jwk.Import(private); err != nil {
		return fmt.Errorf("oidc: importing the key: %w", err)
	}
	settings := map[string]any{jwk.AlgorithmKey: jwa.RS256(), jwk.KeyUsageKey: "sig"}
	for name, value := range settings {
		if err := i.key.Set(name, value); err != nil {
			return fmt.Errorf("oidc: describing the key: %w", err)
		}
	}
	if err := jwk.AssignKeyID(i.key); err != nil {
		return fmt.Errorf("oidc: naming the key: %w", err)
	}
	public, err := i.key.PublicKey()
	if err != nil {
		return fmt.Errorf("oidc: the public key: %w", err)
	}
	i.public, err = json.Marshal(map[string]any{"keys": []jwk.Key{public}})
	return err
}

// ServeHTTP implements [http.Handler] under the path of the issuer's URL.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) { i.routes.ServeHTTP(w, r) }

func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, map[string]any{
		"issuer":                                         i.cfg.Issuer,
		"jwks_uri":                                       i.cfg.Issuer + "/jwks",
		"authorization_endpoint":                         i.cfg.Issuer + "/authorize",
		"token_endpoint":                                 i.cfg.Issuer + "/token",
		"revocation_endpoint":                            i.cfg.Issuer + "/revoke",
		"end_session_endpoint":                           i.cfg.Issuer + "/end-session",
		"grant_types_supported":                          []string{"authorization_code", "client_credentials", "refresh_token"},
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"code_challenge_methods_supported":               []string{"S256"},
		"subject_types_supported":                        []string{"public"},
		"scopes_supported":                               slices.Concat([]string{scopeOpenID, scopeOffline}, i.cfg.Scopes),
		"claims_supported":                               []string{"iss", "aud", "sub", "iat", "exp", "auth_time", "nonce", "sid", "name", i.cfg.TenantClaim},
		"token_endpoint_auth_methods_supported":          []string{"none", "client_secret_basic", "client_secret_post"},
		"revocation_endpoint_auth_methods_supported":     []string{"none"},
		"id_token_signing_alg_values_supported":          []string{"RS256"},
		"authorization_response_iss_parameter_supported": true,
	})
}

func (i *Issuer) keys(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(i.public)
}

func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	noStore(w)
	answer, problem := i.grant(w, r)
	if problem != nil {
		problem.write(w)
		return
	}
	write(w, http.StatusOK, answer)
}

func noStore(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
}

// A problem is an error answer as RFC 6749, section 5.2, has it.
type problem struct {
	status            int
	code, description string
}

func bad(code, description string) *problem {
	return &problem{http.StatusBadRequest, code, description}
}

func (p *problem) write(w http.ResponseWriter) {
	if p.status == http.StatusUnauthorized {
		w.Header().Set("Www-Authenticate", `Basic realm="oidc"`)
	}
	write(w, p.status, map[string]string{"error": p.code, "error_description": p.description})
}

// tokens are the answer to a grant.
type tokens struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"` // seconds
	Scope   string `json:"scope"`
	ID      string `json:"id_token,omitempty"`
	Refresh string `json:"refresh_token,omitempty"`
}

// grant performs a token request.
func (i *Issuer) grant(w http.ResponseWriter, r *http.Request) (*tokens, *problem) {
	if p := readForm(w, r); p != nil {
		return nil, p
	}
	switch grant := r.PostForm.Get("grant_type"); grant {
	case "client_credentials":
		return i.clientCredentials(r)
	case "authorization_code":
		return i.redeem(r)
	case "refresh_token":
		return i.refresh(r)
	case "":
		return nil, bad("invalid_request", "grant_type is missing")
	default:
		return nil, bad("unsupported_grant_type", "grant_type is authorization_code, client_credentials or refresh_token")
	}
}

// readForm reads a body in which nothing is given twice.
func readForm(w http.ResponseWriter, r *http.Request) *problem {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return bad("invalid_request", "the body is not a form")
	}
	if name := repeated(r.PostForm); name != "" {
		return bad("invalid_request", fmt.Sprintf("%q is given more than once", name))
	}
	return nil
}

func repeated(form url.Values) string {
	for name, values := range form {
		if len(values) > 1 {
			return name
		}
	}
	return ""
}

func (i *Issuer) clientCredentials(r *http.Request) (*tokens, *problem) {
	tenant, p := i.client(r)
	if p != nil {
		return nil, p
	}
	wanted := strings.Fields(r.PostForm.Get("scope"))
	if len(wanted) == 0 {
		wanted = i.cfg.Scopes
	}
	for _, s := range wanted {
		if !slices.Contains(i.cfg.Scopes, s) {
			return nil, bad("invalid_scope", "the scopes are: "+strings.Join(i.cfg.Scopes, " "))
		}
	}
	signed, err := i.Token(tenant, wanted, nil)
	if err != nil {
		return nil, failed()
	}
	return &tokens{Access: signed, Type: "Bearer", Expires: int(lifetime.Seconds()), Scope: strings.Join(wanted, " ")}, nil
}

func failed() *problem {
	return &problem{http.StatusInternalServerError, "server_error", "the token could not be made"}
}

// client authenticates the client, by Basic or in the form but not both.
func (i *Issuer) client(r *http.Request) (string, *problem) {
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if user, password, ok := r.BasicAuth(); ok {
		if secret != "" {
			return "", &problem{http.StatusBadRequest, "invalid_request", "the client authenticates in two ways"}
		}
		unescaped, err := url.QueryUnescape(user) // RFC 6749, section 2.3.1
		if err != nil || (id != "" && id != unescaped) {
			return "", &problem{http.StatusBadRequest, "invalid_request", "client_id is not the user name"}
		}
		id, secret = unescaped, password
	}
	if i.clientNamed(id) != nil {
		return "", bad("unauthorized_client", "this client is for people: it signs in at the authorization endpoint")
	}
	if secret != Secret || !i.tenant.MatchString(id) {
		return "", &problem{
			http.StatusUnauthorized, "invalid_client",
			`client_id is a tenant's name (letters, digits, "_.:-") and client_secret is "` + Secret + `"`,
		}
	}
	return id, nil
}

// Token signs a token for a tenant that lasts an hour; extra claims replace the usual ones, and nil takes one away.
func (i *Issuer) Token(tenant string, scopes []string, extra map[string]any) (string, error) {
	claims := map[string]any{
		"iss": i.cfg.Issuer, "aud": i.cfg.Audience, "sub": tenant, "client_id": tenant,
		"scope": strings.Join(scopes, " "), i.cfg.TenantClaim: tenant, "jti": random(),
	}
	maps.Copy(claims, i.life())
	maps.Copy(claims, extra)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return i.sign(claims)
}

// life are the claims that say when a token is valid.
func (i *Issuer) life() map[string]any {
	now := i.cfg.Clock()
	return map[string]any{"iat": now.Unix(), "exp": now.Add(lifetime).Unix()}
}

func (i *Issuer) sign(claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("oidc: claims: %w", err)
	}
	header := jws.NewHeaders()
	if err := header.Set(jws.TypeKey, "JWT"); err != nil {
		return "", fmt.Errorf("oidc: header: %w", err)
	}
	signed, err := jws.Sign(payload, jws.WithKey(jwa.RS256(), i.key, jws.WithProtectedHeaders(header)))
	if err != nil {
		return "", fmt.Errorf("oidc: signing: %w", err)
	}
	return string(signed), nil
}

// random is a name that nobody guesses.
func random() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

func write(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
