// Package settings says which Rolecall and which identity provider the command-line helper speaks to. A flag goes before
// the environment, the environment before the file that `rolecall configure` writes, and that before the defaults, which
// are those of `make dev`. Nothing secret is among them.
package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The names of settings, as flags have them.
const (
	API      = "api"
	Issuer   = "issuer"
	ClientID = "client-id"
	Audience = "audience"
	Scopes   = "scopes"
)

// Names are all settings, in the order in which they are shown.
func Names() []string { return []string{API, Issuer, ClientID, Audience, Scopes} }

// About says what a setting is.
func About(name string) string {
	return map[string]string{
		API:      "URL of Rolecall's HTTP API",
		Issuer:   "URL of the OIDC issuer; by default the one that the API names",
		ClientID: "client at the issuer",
		Audience: "audience to ask the issuer for, where it wants to be asked",
		Scopes:   "scopes to ask the issuer for",
	}[name]
}

// Variable is the environment variable of a setting.
func Variable(name string) string {
	return "ROLECALL_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

const (
	defaultAPI    = "http://localhost:8080"
	defaultClient = "rolecall-cli"
	defaultScopes = "connections:read credentials:issue"
)

// A Value is a setting and where it comes from.
type Value struct {
	Text   string
	Source string // "flag", "environment", "file", "default"
}

// Settings are the values of one profile, by name.
type Settings map[string]Value

// Text is the value of a setting.
func (s Settings) Text(name string) string { return s[name].Text }

// A File holds the settings of profiles.
type File struct {
	Path     string                       `json:"-"`
	Profiles map[string]map[string]string `json:"profiles"`
}

// Read reads the file; one that does not exist is empty.
func Read(path string) (*File, error) {
	f := &File{Path: path, Profiles: map[string]map[string]string{}}
	text, err := os.ReadFile(path) //nolint:gosec // in the person's own folder
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	if err := json.Unmarshal(text, f); err != nil {
		return nil, fmt.Errorf("settings: %s: %w", path, err)
	}
	if f.Profiles == nil {
		f.Profiles = map[string]map[string]string{}
	}
	return f, nil
}

// Set changes settings of a profile and writes the file; "" unsets one.
func (f *File) Set(profile string, values map[string]string) error {
	if f.Profiles[profile] == nil {
		f.Profiles[profile] = map[string]string{}
	}
	for name, value := range values {
		if value == "" {
			delete(f.Profiles[profile], name)
			continue
		}
		f.Profiles[profile][name] = value
	}
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o700); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	if err := os.WriteFile(f.Path, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	return nil
}

// Resolve settles a profile's settings. flags has those that were given; getenv is the environment.
func (f *File) Resolve(profile string, flags map[string]string, getenv func(string) string) (Settings, error) {
	out := Settings{}
	for _, name := range Names() {
		if text, given := flags[name]; given {
			out[name] = Value{text, "flag"}
		} else if text := getenv(Variable(name)); text != "" {
			out[name] = Value{text, "environment"}
		} else if text := f.Profiles[profile][name]; text != "" {
			out[name] = Value{text, "file"}
		} else {
			out[name] = Value{fallback(name), "default"}
		}
	}
	for _, name := range []string{API, Issuer} {
		clean, err := check(name, out[name].Text)
		if err != nil {
			return nil, err
		}
		out[name] = Value{clean, out[name].Source}
	}
	out[Scopes] = Value{strings.Join(strings.FieldsFunc(out.Text(Scopes), isSeparator), " "), out[Scopes].Source}
	return out, nil
}

func isSeparator(r rune) bool { return r == ' ' || r == ',' || r == '\t' }

func fallback(name string) string {
	switch name {
	case API:
		return defaultAPI
	case ClientID:
		return defaultClient
	case Scopes:
		return defaultScopes
	}
	return ""
}

// check admits URLs to which a token may be sent: over TLS, or on this machine. The API's has no slash at its end; an
// issuer's is compared letter for letter and stays as it is.
func check(name, text string) (string, error) {
	if text == "" && name == Issuer {
		return "", nil // not everybody who asks needs one
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !slices.Contains([]string{"http", "https"}, u.Scheme) {
		return "", fmt.Errorf("the %s %q is no URL such as https://rolecall.example.com (--%s, %s)", name, text, name, Variable(name))
	}
	if !MaySend(text) {
		return "", fmt.Errorf("the %s %s must be https: tokens are sent there (--%s, %s)", name, text, name, Variable(name))
	}
	if name == API {
		text = strings.TrimRight(text, "/")
	}
	return text, nil
}

// MaySend says whether a secret may be sent to a URL.
func MaySend(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && (u.Scheme == "https" || (u.Scheme == "http" && isHere(u)))
}

func isHere(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
}
