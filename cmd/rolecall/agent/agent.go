// Package agent serves credentials on this machine, to programs that know nothing of Rolecall. Any AWS SDK takes them by
// AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_AUTHORIZATION_TOKEN (or …_TOKEN_FILE), and asks again before they end.
// The agent holds a session in memory for minutes, so that commands that begin and end share one; but for that, each request
// is one of Rolecall's, which decides and records it.
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
	"strings"
	"sync"
	"time"

	"rolecall/cmd/rolecall/api"
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
	token  string
	log    *slog.Logger

	mu  sync.Mutex
	ids map[string]string // of names; a name stays with its connection for ever
}

// Options are how an agent works. Clock and Log must be set.
type Options struct {
	Ask   api.IssueCredentials // what it asks Rolecall for, whoever asks it
	Hold  time.Duration        // how long a session serves before Rolecall is asked again; 0 asks for each request
	Clock func() time.Time
	Log   *slog.Logger
}

// New makes an agent with a token of its own for a listener's address, such as 127.0.0.1:49152.
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
		source: source, hosts: []string{address, "localhost:" + port}, token: rand.Text(), log: o.Log,
		shelf: &shelf{source: source, ask: o.Ask, hold: o.Hold, clock: o.Clock, slots: map[string]*slot{}},
		ids:   map[string]string{},
	}, nil
}

// Token is what a request's Authorization must be, as it stands or after "Bearer ". It lives as long as the agent.
func (a *Agent) Token() string { return a.token }

// URL is where a connection's credentials are.
func (a *Agent) URL(nameOrID string) string {
	return "http://" + a.hosts[0] + Path + url.PathEscape(nameOrID)
}

// ServeHTTP implements [http.Handler].
func (a *Agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	name, found := strings.CutPrefix(r.URL.Path, Path)
	switch {
	case !a.isOurs(r):
		// A web page in this machine's browser, perhaps by a name that its owner has made lead here.
		refuse(w, http.StatusForbidden, "FORBIDDEN", "this agent serves programs on this machine, not web pages")
	case !a.knows(r.Header.Get("Authorization")):
		refuse(w, http.StatusUnauthorized, "UNAUTHENTICATED", "Authorization is not this agent's token; it changes when the agent starts")
	case !found || name == "":
		refuse(w, http.StatusNotFound, "NOT_FOUND", "credentials are at "+Path+"<name or id of a connection>")
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		refuse(w, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "only GET is served")
	default:
		a.credentials(w, r, name)
	}
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

func (a *Agent) knows(authorization string) bool {
	given := strings.TrimPrefix(authorization, "Bearer ")
	return subtle.ConstantTimeCompare([]byte(given), []byte(a.token)) == 1
}

func (a *Agent) credentials(w http.ResponseWriter, r *http.Request, name string) {
	ctx := r.Context()
	id, err := a.find(ctx, name)
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

func (a *Agent) find(ctx context.Context, name string) (string, error) {
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
	write(w, status, map[string]string{"code": code, "message": strings.ReplaceAll(message, "\n", " ")})
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // who went away needs no answer
}
