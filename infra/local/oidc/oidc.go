// Package oidc is the laptop's token issuer: an OpenID Connect discovery document, its keys, and client_credentials
// tokens for any tenant who knows that the secret is "local". It stands where the platform's own identity provider does.
package oidc

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
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

// Config is what an Issuer is made of. All fields must be set.
type Config struct {
	Issuer      string // base URL without slash at its end: http://localhost:8080/oidc
	Audience    string
	TenantClaim string   // the claim that names the tenant
	Scopes      []string // that a token may have; a request without scope gets all
	Clock       func() time.Time
}

// An Issuer signs tokens with a key that lives as long as it does.
type Issuer struct {
	cfg    Config
	key    jwk.Key
	public []byte // the key set as served
	tenant *regexp.Regexp
	routes *http.ServeMux
}

// New makes an issuer and its 2048-bit RSA key.
func New(cfg Config) (*Issuer, error) {
	base, err := url.Parse(cfg.Issuer)
	if err != nil || base.Host == "" || strings.HasSuffix(cfg.Issuer, "/") {
		return nil, fmt.Errorf("oidc: the issuer %q is not a URL without slash at its end", cfg.Issuer)
	}
	standard := []string{"iss", "aud", "sub", "client_id", "scope", "iat", "exp", "jti"}
	if cfg.TenantClaim == "" || slices.Contains(standard, cfg.TenantClaim) {
		return nil, fmt.Errorf("oidc: the tenant claim cannot be %q", cfg.TenantClaim)
	}
	if cfg.Audience == "" || len(cfg.Scopes) == 0 || cfg.Clock == nil {
		return nil, errors.New("oidc: audience, scopes and clock must be set")
	}
	i := &Issuer{cfg: cfg, tenant: regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,128}$`), routes: http.NewServeMux()}
	if err := i.makeKey(); err != nil {
		return nil, err
	}
	i.routes.HandleFunc("GET "+base.Path+"/.well-known/openid-configuration", i.discovery)
	i.routes.HandleFunc("GET "+base.Path+"/jwks", i.keys)
	i.routes.HandleFunc("POST "+base.Path+"/token", i.token)
	return i, nil
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
		"issuer":                                i.cfg.Issuer,
		"jwks_uri":                              i.cfg.Issuer + "/jwks",
		"token_endpoint":                        i.cfg.Issuer + "/token",
		"grant_types_supported":                 []string{"client_credentials"},
		"response_types_supported":              []string{"token"},
		"subject_types_supported":               []string{"public"},
		"scopes_supported":                      i.cfg.Scopes,
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

func (i *Issuer) keys(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(i.public)
}

func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	tenant, scope, problem := i.grant(r)
	if problem != nil {
		if problem.status == http.StatusUnauthorized {
			w.Header().Set("Www-Authenticate", `Basic realm="oidc"`)
		}
		write(w, problem.status, map[string]string{"error": problem.code, "error_description": problem.description})
		return
	}
	signed, err := i.Token(tenant, strings.Fields(scope), nil)
	if err != nil {
		write(w, http.StatusInternalServerError, map[string]string{"error": "server_error"})
		return
	}
	write(w, http.StatusOK, map[string]any{
		"access_token": signed, "token_type": "Bearer", "expires_in": int(lifetime.Seconds()), "scope": scope,
	})
}

// A problem is an error answer as RFC 6749, section 5.2, has it.
type problem struct {
	status            int
	code, description string
}

// grant reads a token request.
func (i *Issuer) grant(r *http.Request) (tenant, scope string, p *problem) {
	bad := func(code, description string) (string, string, *problem) {
		return "", "", &problem{http.StatusBadRequest, code, description}
	}
	if err := r.ParseForm(); err != nil {
		return bad("invalid_request", "the body is not a form")
	}
	for name, values := range r.PostForm {
		if len(values) > 1 {
			return bad("invalid_request", fmt.Sprintf("%q is given more than once", name))
		}
	}
	switch grant := r.PostForm.Get("grant_type"); grant {
	case "client_credentials":
	case "":
		return bad("invalid_request", "grant_type is missing")
	default:
		return bad("unsupported_grant_type", "only client_credentials is supported")
	}
	tenant, p = i.client(r)
	if p != nil {
		return "", "", p
	}
	wanted := strings.Fields(r.PostForm.Get("scope"))
	if len(wanted) == 0 {
		wanted = i.cfg.Scopes
	}
	for _, s := range wanted {
		if !slices.Contains(i.cfg.Scopes, s) {
			return bad("invalid_scope", "the scopes are: "+strings.Join(i.cfg.Scopes, " "))
		}
	}
	return tenant, strings.Join(wanted, " "), nil
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
	if secret != Secret || !i.tenant.MatchString(id) {
		return "", &problem{
			http.StatusUnauthorized, "invalid_client",
			`client_id is a tenant's name (letters, digits, "_.:-") and client_secret is "` + Secret + `"`,
		}
	}
	return id, nil
}

// Token signs a token for a tenant that lasts an hour; extra claims replace the usual ones.
func (i *Issuer) Token(tenant string, scopes []string, extra map[string]any) (string, error) {
	now := i.cfg.Clock()
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	claims := map[string]any{
		"iss": i.cfg.Issuer, "aud": i.cfg.Audience, "sub": tenant, "client_id": tenant,
		"scope": strings.Join(scopes, " "), i.cfg.TenantClaim: tenant,
		"iat": now.Unix(), "exp": now.Add(lifetime).Unix(), "jti": hex.EncodeToString(id),
	}
	maps.Copy(claims, extra)
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

func write(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
