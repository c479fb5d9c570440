package signin

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"rolecall/cmd/rolecall/printable"
)

// patience is how long a person may take in the browser.
const patience = 5 * time.Minute

// Browser signs a person in. show is given the address of the issuer's page; it should not wait for the browser to end.
// A browser on another machine does not reach this one: it is led to an address that leads nowhere, and answer takes that
// address. What is not the answer that is waited for is an error, and changes nothing.
func (c Client) Browser(ctx context.Context, show func(address string, answer func(address string) error) error) (Tokens, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ctx, p, err := c.discover(ctx)
	if err != nil {
		return Tokens{}, err
	}
	listener, err := listen(ctx)
	if err != nil {
		return Tokens{}, err
	}
	back := &callback{
		host: listener.Addr().String(), state: oauth2.GenerateVerifier(), issuer: c.Issuer, saysIssuer: p.SaysIssuer,
		came: make(chan url.Values, 1), outcome: make(chan error, 1),
	}
	server := &http.Server{Handler: back, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // until it is closed
	}()
	defer func() {
		// The page that tells the outcome goes out first; a connection that a browser opened and left is not waited for.
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(ending)
		_ = server.Close()
		<-served
	}()

	config, verifier, nonce := c.oauth(p, "http://"+back.host+"/callback"), oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier), oidc.Nonce(nonce)}
	if c.Audience != "" {
		options = append(options, oauth2.SetAuthURLParam("audience", c.Audience))
	}
	if err := show(config.AuthCodeURL(back.state, options...), back.pasted); err != nil {
		return Tokens{}, err
	}
	select {
	case <-ctx.Done():
		return Tokens{}, fmt.Errorf("nobody has signed in: %w", ctx.Err())
	case q := <-back.came:
		tokens, err := c.answered(ctx, p, config, q, verifier, nonce)
		back.outcome <- err
		return tokens, err
	}
}

func (c Client) answered(ctx context.Context, p *provider, config *oauth2.Config, q url.Values, verifier, nonce string) (Tokens, error) {
	if code := q.Get("error"); code != "" {
		if description := q.Get("error_description"); description != "" {
			code += ": " + description
		}
		return Tokens{}, errors.New("the issuer refuses: " + printable.Line(code))
	}
	return c.exchange(ctx, p, config, q.Get("code"), verifier, nonce)
}

// listen takes any port of this machine's own address; by number, since a name may lead elsewhere.
func listen(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err == nil {
		return l, nil
	}
	if l, six := lc.Listen(ctx, "tcp", "[::1]:0"); six == nil {
		return l, nil
	}
	return nil, fmt.Errorf("nowhere to be called back at: %w", err)
}

// A callback takes the browser's way back, once. What does not bear the state is somebody else's, and changes nothing.
type callback struct {
	host, state, issuer string
	saysIssuer          bool

	came    chan url.Values
	outcome chan error
}

// ServeHTTP implements [http.Handler].
func (b *callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if r.Method != http.MethodGet || r.URL.Path != "/callback" || r.Host != b.host {
		http.NotFound(w, r)
		return
	}
	if err := b.take(q); err != nil {
		b.say(w, http.StatusBadRequest, err.Error())
		return
	}
	select {
	case err := <-b.outcome:
		if err != nil {
			b.say(w, http.StatusBadRequest, "Signing in has failed. The terminal says why.")
			return
		}
		b.say(w, http.StatusOK, "You are signed in. You can close this page.")
	case <-r.Context().Done():
	}
}

// pasted takes the browser's way back from the person.
func (b *callback) pasted(address string) error {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || u.Host != b.host || u.Path != "/callback" {
		return fmt.Errorf("the address begins with http://%s/callback?", b.host)
	}
	return b.take(u.Query())
}

func (b *callback) take(q url.Values) error {
	if subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(b.state)) != 1 || !b.fromIssuer(q) || (q.Get("code") == "") == (q.Get("error") == "") {
		return errors.New("this is not the answer that was waited for")
	}
	select {
	case b.came <- q:
		return nil
	default:
		return errors.New("the answer has come already")
	}
}

// fromIssuer refuses an answer of another issuer (RFC 9207).
func (b *callback) fromIssuer(q url.Values) bool {
	if !q.Has("iss") {
		return !b.saysIssuer
	}
	return q.Get("iss") == b.issuer
}

func (b *callback) say(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Connection", "close")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Rolecall</title><h1>Rolecall</h1><p>%s</p>\n", html.EscapeString(text))
}
