// Package web knows how the console and the widget are served: which paths are theirs, with which headers, and what the
// console is told of its deployment. CloudFront, as the CDK app sets it up, and the laptop both take it from here, so what
// runs on a laptop is what will be deployed. The sources beside it are TypeScript; build.mjs builds them.
package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"strings"
)

// Widget is the file that host pages of other origins load. Its name never changes.
const Widget = "rolecall-connect.js"

// Index is the page that answers every path that is no file: the console finds its way by itself.
const Index = "index.html"

// ClientID is the console's default client at the OIDC issuer.
const ClientID = "rolecall-console"

// TransportSecuritySeconds is how long browsers remember to come by https only: two years, as preload lists ask.
const TransportSecuritySeconds = 63_072_000

// Settings are what the console reads from /config.json before it does anything else. None of it is a secret.
type Settings struct {
	APIBase  string `json:"apiBase"`  // "" is where the console itself comes from
	Issuer   string `json:"issuer"`   // as in the tokens' iss
	ClientID string `json:"clientId"` // a public client with PKCE, without a secret
	Scope    string `json:"scope"`    // what sign-in asks for
}

// NewSettings are for a console that is served beside its API.
func NewSettings(issuer, clientID string) Settings {
	return Settings{Issuer: issuer, ClientID: clientID, Scope: "openid connections:read connections:write credentials:issue"}
}

// JSON is the file /config.json.
func (s Settings) JSON() []byte {
	text, _ := json.Marshal(s) // strings always marshal
	return text
}

// A Header is one header of an answer.
type Header struct{ Name, Value string }

// Headers are those of everything but the API. issuer is where the console signs in: besides its own origin the only one
// that it talks to. Lit's styles are constructed style sheets, so neither scripts nor styles need to be allowed inline.
func Headers(issuer string) ([]Header, error) {
	policy, err := contentSecurityPolicy(issuer)
	if err != nil {
		return nil, err
	}
	return []Header{
		{"Content-Security-Policy", policy},
		{"Strict-Transport-Security", fmt.Sprintf("max-age=%d; includeSubDomains", TransportSecuritySeconds)},
		{"X-Content-Type-Options", "nosniff"},
		{"X-Frame-Options", "DENY"},
		{"Referrer-Policy", "no-referrer"},
		{"Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()"},
		{"Cross-Origin-Opener-Policy", "same-origin"},
	}, nil
}

func contentSecurityPolicy(issuer string) (string, error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" {
		return "", errors.Join(err, fmt.Errorf("the issuer %q is not a URL", issuer))
	}
	return strings.Join([]string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "font-src 'self'",
		"connect-src 'self' " + u.Scheme + "://" + u.Host, "manifest-src 'self'", "base-uri 'none'", "form-action 'none'",
		"frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types lit-html",
	}, "; "), nil
}

// WidgetCORS says which origins may load the widget: a module script is fetched by CORS. They are those that may call the
// API, exact, since the widget is of no use to others.
func WidgetCORS(origins []string, origin string) []Header {
	for _, o := range origins {
		if o == origin {
			return []Header{{"Access-Control-Allow-Origin", origin}, {"Vary", "Origin"}}
		}
	}
	return []Header{{"Vary", "Origin"}}
}

// CacheControl is for a file of the site, by its path without slash at its beginning. Files under assets/ have the hash of
// what they hold in their names; all others keep their names and are asked for each time.
func CacheControl(file string) string {
	if strings.HasPrefix(file, "assets/") {
		return "public, max-age=31536000, immutable"
	}
	return "public, max-age=0, must-revalidate"
}

// ContentType is a file's type by the end of its name.
func ContentType(file string) string {
	types := map[string]string{
		".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
		".svg": "image/svg+xml", ".json": "application/json", ".png": "image/png", ".txt": "text/plain; charset=utf-8",
	}
	if t, ok := types[path.Ext(file)]; ok {
		return t
	}
	return "application/octet-stream"
}

// IsAPI says that a path is the HTTP API's, not the console's.
func IsAPI(p string) bool {
	for _, pattern := range APIPatterns() {
		prefix, open := strings.CutSuffix(pattern, "*")
		if p == pattern || (open && strings.HasPrefix(p, prefix)) {
			return true
		}
	}
	return false
}

// APIDescription is the one path of the API whose answer is the same for everybody.
const APIDescription = "/openapi.json"

// APIPatterns are the API's paths as CloudFront writes them.
func APIPatterns() []string { return []string{"/v1/*", "/api/*", APIDescription} }

// Files are the built site's, by path from its root; the index comes last, so that what it names is there before it.
func Files(site fs.FS) ([]string, error) {
	var files []string
	err := fs.WalkDir(site, ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && p != Index {
			files = append(files, p)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the console's files: %w", err)
	}
	if _, err := fs.Stat(site, Index); err != nil {
		return nil, fmt.Errorf("the console has not been built: %w", err)
	}
	return append(files, Index), nil
}
