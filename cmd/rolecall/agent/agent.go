// Package agent serves credentials on this machine, to programs that know nothing of Rolecall. Any AWS SDK takes them by
// AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_AUTHORIZATION_TOKEN (or …_TOKEN_FILE), and asks again before they end.
// The agent holds a session in memory for minutes, so that commands that begin and end share one; but for that, each request
// is one of Rolecall's, which decides and records it. Who has a token of the agent gets what that token is for, by the options
// that the agent was started with, and nothing else.
package agent

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"rolecall/cmd/rolecall/api"
	"rolecall/cmd/rolecall/printable"
)

// Path is what the paths of all credentials begin with; the connection's name or id follows.
const Path = "/credentials/"

// A Source finds connections and their credentials.
type Source interface {
	Find(ctx context.Context, nameOrID string) (api.Connection, error)
	Credentials(ctx context.Context, id string, ask api.IssueCredentials) (api.Credentials, error)
}

// An Agent is an [http.Handler] for one listener on loopback.
type Agent struct {
	source Source
	shelf  *shelf
	hosts  []string // as a request's Host may name the listener
	log    *slog.Logger

	mu     sync.Mutex
	grants []grant
	ids    map[string]string // of names; a name stays with its connection for ever
}

// A grant is what one token is for.
type grant struct {
	token string
	only  map[string]string // ids of connections, by the name in the path; nil for all that there are
}

// Options are how an agent works. Clock and Log must be set.
type Options struct {
	Ask   api.IssueCredentials // what it asks Rolecall for, whoever asks it
	Hold  time.Duration        // how long a session serves before Rolecall is asked again; 0 asks for each request
	Clock func() time.Time
	Log   *slog.Logger
}

// New makes an agent for a listener's address, such as 127.0.0.1:49152. It serves nobody until it has given a token.
func New(address string, source Source, o Options) (*Agent, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, errors.New("the agent serves this machine alone: listen on 127.0.0.1 or [::1], not on " + address)
	}
	if o.Hold < 0 || o.Hold > LongestHold {
		return nil, fmt.Errorf("a session can be held for %s at most, not for %s", LongestHold, o.Hold)
	}
	return &Agent{
		source: source, hosts: []string{address, "localhost:" + port}, log: o.Log,
		shelf: &shelf{source: source, ask: o.Ask, hold: o.Hold, clock: o.Clock, slots: map[string]*slot{}},
		ids:   map[string]string{},
	}, nil
}

// Token gives a new token for these connections alone: ids by the names that their URLs were made of. A request's
// Authorization must be the token, as it stands or after "Bearer ". It lives as long as the agent.
func (a *Agent) Token(only map[string]string) string {
	if only == nil {
		only = map[string]string{} // for none, not for all
	}
	return a.give(only)
}

// TokenForAll gives a token for every connection of the tenant, by name or id.
func (a *Agent) TokenForAll() string { return a.give(nil) }

func (a *Agent) give(only map[string]string) string {
	g := grant{rand.Text(), only}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.grants = append(a.grants, g)
	return g.token
}

// URL is where a connection's credentials are.
func (a *Agent) URL(nameOrID string) string {
	return "http://" + a.hosts[0] + Path + url.PathEscape(nameOrID)
}

// ServeHTTP implements [http.Handler].
func (a *Agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	name, found := strings.CutPrefix(r.URL.Path, Path)
	g, known := a.granted(r.Header.Get("Authorization"))
	switch {
	case !a.isOurs(r):
		// A web page in this machine's browser, perhaps by a name that its owner has made lead here.
		refuse(w, http.StatusForbidden, "FORBIDDEN", "this agent serves programs on this machine, not web pages")
	case !known:
		refuse(w, http.StatusForbidden, "UNAUTHENTICATED", "Authorization is not this agent's token; it changes when the agent starts")
	case r.Method != http.MethodGet || r.URL.RawQuery != "" || r.URL.ForceQuery || r.ContentLength != 0:
		refuse(w, http.StatusForbidden, "FORBIDDEN", "this agent takes no options: send GET without query and body, and get what it was started for")
	case !found || name == "" || !g.admits(name):
		refuse(w, http.StatusForbidden, "FORBIDDEN", "this token is "+g.purpose())
	default:
		a.credentials(w, r, g, name)
	}
}

func (g grant) admits(name string) bool {
	_, ok := g.only[name]
	return ok || g.only == nil
}

func (g grant) purpose() string {
	if g.only == nil {
		return "for the credentials at " + Path + "<name or id of a connection>"
	}
	var paths []string
	for name := range g.only {
		paths = append(paths, Path+url.PathEscape(name))
	}
	slices.Sort(paths)
	return "for the credentials at " + strings.Join(paths, " and ") + " alone"
}

func (a *Agent) isOurs(r *http.Request) bool {
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
		return false
	}
	for _, host := range a.hosts {
		if r.Host == host {
			return true
		}
	}
	return false
}

// granted is what a request's token is for. All tokens are looked at, so that the time taken tells nothing of them.
func (a *Agent) granted(authorization string) (found grant, known bool) {
	given := []byte(strings.TrimPrefix(authorization, "Bearer "))
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, g := range a.grants {
		if subtle.ConstantTimeCompare(given, []byte(g.token)) == 1 {
			found, known = g, true
		}
	}
	return found, known
}

func (a *Agent) credentials(w http.ResponseWriter, r *http.Request, g grant, name string) {
	ctx := r.Context()
	id, err := a.find(ctx, g, name)
	var out api.Credentials
	var held bool
	if err == nil {
		out, held, err = a.shelf.credentials(ctx, id)
	}
	if err != nil {
		a.log.WarnContext(ctx, "refused", slog.String("connection", name), slog.String("error", err.Error()))
		passOn(w, err)
		return
	}
	a.log.InfoContext(ctx, "handed out", slog.String("connection", name), slog.String("accessKeyId", out.AccessKeyID), slog.String("expires", out.Expiration),
		slog.Bool("held", held))
	write(w, http.StatusOK, out)
}

func (a *Agent) find(ctx context.Context, g grant, name string) (string, error) {
	if g.only != nil {
		return g.only[name], nil
	}
	a.mu.Lock()
	id := a.ids[name]
	a.mu.Unlock()
	if id != "" {
		return id, nil
	}
	c, err := a.source.Find(ctx, name)
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ids[name] = c.ID
	return c.ID, nil
}

// passOn tells Rolecall's own reason. SDKs show code and message, and try again what is 5xx or 429.
func passOn(w http.ResponseWriter, err error) {
	var p *api.Problem
	switch {
	case errors.As(err, &p):
		if p.RetryAfter != "" {
			w.Header().Set("Retry-After", p.RetryAfter)
		}
		refuse(w, p.Status, p.Code, p.Text())
	case errors.Is(err, api.ErrNoConnection):
		refuse(w, http.StatusNotFound, "CONNECTION_NOT_FOUND", err.Error())
	default:
		refuse(w, http.StatusBadGateway, "AGENT_FAILED", err.Error())
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	write(w, status, map[string]string{"code": printable.Line(code), "message": printable.Line(strings.ReplaceAll(message, "\n", " "))})
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // who went away needs no answer
}
