package gateway

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
)

// A JWT is a JWT authorizer.
type JWT struct {
	Issuer         string
	Audience       []string // aud, or client_id where there is no aud, must be one of them
	IdentitySource string   // "" means $request.header.Authorization
}

// An authorizer checks tokens as API Gateway does.
type authorizer struct {
	JWT
	header string // or
	query  string // the place of the token
	clock  func() time.Time
	keys   *keySource
}

func newAuthorizer(j JWT, cfg Config) (*authorizer, error) {
	if j.IdentitySource == "" {
		j.IdentitySource = "$request.header.Authorization"
	}
	a := &authorizer{JWT: j, clock: cfg.Clock, keys: newKeySource(j.Issuer, cfg.Client, cfg.Clock)}
	if name, ok := strings.CutPrefix(j.IdentitySource, "$request.header."); ok {
		a.header = name
	}
	if name, ok := strings.CutPrefix(j.IdentitySource, "$request.querystring."); ok {
		a.query = name
	}
	if a.header == "" && a.query == "" {
		return nil, malformed("the identity source %q is not $request.header.<name> or $request.querystring.<name>", j.IdentitySource)
	}
	if j.Issuer == "" || len(j.Audience) == 0 {
		return nil, malformed("a JWT authorizer needs an issuer and at least one audience")
	}
	return a, nil
}

// A refused token says why; the reason goes to the client and holds nothing of the token.
type refused struct{ reason string }

func (e *refused) Error() string { return e.reason }

func refuse(reason string) error { return &refused{reason} }

// authorize lets a request through or answers it. The info is nil on a route without authorizer.
func (a *API) authorize(w http.ResponseWriter, r *http.Request, m matched) (*jwtInfo, bool) {
	if m.Authorizer == "" {
		return nil, true
	}
	if m.authorizer == nil {
		a.cfg.Log(m.Key + ": its authorizer is missing")
		say(w, http.StatusInternalServerError, "Internal Server Error")
		return nil, false
	}
	token := m.authorizer.token(r)
	if token == "" {
		w.Header().Set("Www-Authenticate", "Bearer")
		say(w, http.StatusUnauthorized, "Unauthorized")
		return nil, false
	}
	claims, err := m.authorizer.verify(r, token)
	if err != nil {
		a.cfg.Log(m.Key + ": token refused: " + err.Error())
		description := "signature or issuer cannot be verified"
		if why := (*refused)(nil); errors.As(err, &why) {
			description = why.reason
		}
		w.Header().Set("Www-Authenticate", `Bearer scope="" error="invalid_token" error_description="`+description+`"`)
		say(w, http.StatusUnauthorized, "Unauthorized")
		return nil, false
	}
	scopes := tokenScopes(claims)
	if len(m.Scopes) == 0 {
		return &jwtInfo{Claims: flatten(claims)}, true
	}
	if !slices.ContainsFunc(m.Scopes, func(s string) bool { return slices.Contains(scopes, s) }) {
		w.Header().Set("Www-Authenticate",
			`Bearer scope="`+strings.Join(m.Scopes, " ")+`" error="insufficient_scope" error_description="the token does not have a required scope"`)
		say(w, http.StatusForbidden, "Forbidden")
		return nil, false
	}
	return &jwtInfo{Claims: flatten(claims), Scopes: scopes}, true
}

// token is the request's token; "Bearer " before it may be left out.
func (a *authorizer) token(r *http.Request) string {
	value := r.Header.Get(a.header)
	if a.query != "" {
		value = r.URL.Query().Get(a.query)
	}
	if scheme, rest, ok := strings.Cut(value, " "); ok && strings.EqualFold(scheme, "Bearer") {
		value = rest
	}
	return strings.TrimSpace(value)
}

// verify answers the claims of a token that is signed by the issuer, meant for this API and valid now.
func (a *authorizer) verify(r *http.Request, token string) (map[string]any, error) {
	kid, err := keyID(token)
	if err != nil {
		return nil, err
	}
	key, err := a.keys.find(r.Context(), kid)
	if err != nil {
		return nil, err
	}
	payload, err := jws.Verify([]byte(token), jws.WithKey(jwa.RS256(), key))
	if err != nil {
		return nil, refuse("the token has an invalid signature")
	}
	var claims map[string]any
	decoder := json.NewDecoder(strings.NewReader(string(payload)))
	decoder.UseNumber()
	if err := decoder.Decode(&claims); err != nil || claims == nil {
		return nil, refuse("the token is malformed")
	}
	return claims, a.checkClaims(claims)
}

// keyID reads the header of a token; RS256 is the only algorithm, so that a key cannot be mistaken for a secret.
func keyID(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", refuse("the token is malformed")
	}
	var header struct {
		Alg  string   `json:"alg"`
		Kid  string   `json:"kid"`
		Crit []string `json:"crit"`
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil || json.Unmarshal(text, &header) != nil {
		return "", refuse("the token is malformed")
	}
	if header.Alg != "RS256" || len(header.Crit) > 0 {
		return "", refuse("the token has an unsupported algorithm")
	}
	if header.Kid == "" {
		return "", refuse("the token has no key id")
	}
	return header.Kid, nil
}

func (a *authorizer) checkClaims(claims map[string]any) error {
	if iss, ok := claims["iss"].(string); !ok || iss != a.Issuer {
		return refuse("the token has an invalid issuer")
	}
	if !slices.ContainsFunc(audience(claims), func(s string) bool { return slices.Contains(a.Audience, s) }) {
		return refuse("the token has an invalid audience")
	}
	now := float64(a.clock().UnixMilli()) / 1000
	expires, present, err := numericDate(claims, "exp")
	if err != nil || !present || now >= expires {
		return refuse("the token has expired")
	}
	for _, name := range []string{"nbf", "iat"} {
		from, present, err := numericDate(claims, name)
		if err != nil || (present && now < from) {
			return refuse("the token is not valid yet")
		}
	}
	return nil
}

// audience is aud, or client_id in a token without aud.
func audience(claims map[string]any) []string {
	if aud, ok := claims["aud"]; ok {
		return texts(aud)
	}
	return texts(claims["client_id"])
}

// texts is a claim that is a string or a list of strings.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var list []string
		for _, item := range v {
			if s, ok := item.(string); ok {
				list = append(list, s)
			}
		}
		return list
	default:
		return nil
	}
}

func numericDate(claims map[string]any, name string) (seconds float64, present bool, err error) {
	v, present := claims[name]
	if !present {
		return 0, false, nil
	}
	number, ok := v.(json.Number)
	if !ok {
		return 0, true, fmt.Errorf("gateway: %s is no number", name)
	}
	seconds, err = number.Float64()
	return seconds, true, err
}

// tokenScopes are the scopes of scope or scp, space-separated or a list.
func tokenScopes(claims map[string]any) []string {
	scopes := []string{}
	for _, name := range []string{"scope", "scp"} {
		for _, s := range texts(claims[name]) {
			scopes = append(scopes, strings.Fields(s)...)
		}
	}
	return scopes
}

// flatten writes all claims as strings, as functions get them; a list becomes "[a b]".
func flatten(claims map[string]any) map[string]string {
	flat := make(map[string]string, len(claims))
	for name, v := range claims {
		flat[name] = claimText(v)
	}
	return flat
}

func claimText(v any) string {
	switch v := v.(type) {
	case nil:
		return "<nil>"
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case []any:
		parts := make([]string, 0, len(v))
		for _, item := range v {
			parts = append(parts, claimText(item))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, key+":"+claimText(v[key]))
		}
		return "map[" + strings.Join(parts, " ") + "]"
	default:
		return fmt.Sprint(v)
	}
}
