package oidc

import (
	"embed"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

//go:embed page.html page.css
var pageFiles embed.FS

// A request is an authorization request that can be answered by a redirect.
type request struct {
	client *Client
	target *url.URL // redirect_uri
	query  url.Values
	scopes []string
}

var challengeRE = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`) // an S256 challenge

// authorize shows who can sign in.
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	req := i.readRequest(w, r, r.URL.Query())
	if req == nil {
		return
	}
	if slices.Contains(strings.Fields(req.query.Get("prompt")), "none") {
		i.answer(w, r, req, url.Values{"error": {"login_required"}, "error_description": {"this issuer remembers nobody"}})
		return
	}
	i.show(w, http.StatusOK, page{Title: "Sign in", Client: req.client.ID, People: i.cfg.People, Fields: req.query, formTarget: req.target})
}

// signIn is the click on a person.
func (i *Issuer) signIn(w http.ResponseWriter, r *http.Request) {
	if p := readForm(w, r); p != nil || !i.fromOwnPage(r) {
		i.show(w, http.StatusForbidden, page{Title: "Sign in", Problem: "Only this issuer's own page may send this."})
		return
	}
	subject := r.PostForm.Get("person")
	r.PostForm.Del("person")
	req := i.readRequest(w, r, r.PostForm)
	if req == nil {
		return
	}
	at := slices.IndexFunc(i.cfg.People, func(p Person) bool { return p.Subject == subject })
	if at < 0 {
		i.answer(w, r, req, url.Values{"error": {"access_denied"}, "error_description": {"nobody has signed in"}})
		return
	}
	now := i.cfg.Clock()
	s := &signIn{
		id: random(), client: req.client.ID, person: i.cfg.People[at], scopes: req.scopes, nonce: req.query.Get("nonce"), at: now,
		code: random(), redirect: req.query.Get("redirect_uri"), challenge: req.query.Get("code_challenge"),
		used: map[string]bool{}, expires: now.Add(codeLife),
	}
	i.grants.add(s, now)
	i.answer(w, r, req, url.Values{"code": {s.code}})
}

// fromOwnPage keeps other sites from signing somebody in behind his back.
func (i *Issuer) fromOwnPage(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	origin := r.Header.Get("Origin")
	return origin == "" || strings.HasPrefix(i.cfg.Issuer, origin+"/")
}

// readRequest answers what cannot be granted, and returns nil then. Whoever cannot be sure to be a client's own page
// gets no redirect.
func (i *Issuer) readRequest(w http.ResponseWriter, r *http.Request, query url.Values) *request {
	client := i.clientNamed(query.Get("client_id"))
	target, err := url.Parse(query.Get("redirect_uri"))
	switch {
	case len(query["client_id"]) > 1 || client == nil:
		i.show(w, http.StatusBadRequest, page{Title: "Sign in", Problem: "The client_id is not one that people sign in with."})
		return nil
	case len(query["redirect_uri"]) > 1 || err != nil || !client.leadsTo(query.Get("redirect_uri"), target):
		i.show(w, http.StatusBadRequest, page{Title: "Sign in", Problem: "The redirect_uri is not registered for " + client.ID + "."})
		return nil
	}
	req := &request{client: client, target: target, query: query, scopes: i.scopes(query.Get("scope"))}
	if code, description := i.refusal(req); code != "" {
		i.answer(w, r, req, url.Values{"error": {code}, "error_description": {description}})
		return nil
	}
	return req
}

// refusal is what is wrong with a request whose sender may be told by a redirect; "" for nothing.
func (i *Issuer) refusal(req *request) (code, description string) {
	q := req.query
	switch {
	case repeated(q) != "":
		return "invalid_request", "a parameter is given more than once"
	case q.Has("request"):
		return "request_not_supported", "request objects are not supported"
	case q.Has("request_uri"):
		return "request_uri_not_supported", "request objects are not supported"
	case q.Get("response_type") != "code":
		return "unsupported_response_type", "response_type must be code"
	case q.Get("response_mode") != "" && q.Get("response_mode") != "query":
		return "invalid_request", "response_mode must be query"
	case q.Get("code_challenge_method") != "S256" || !challengeRE.MatchString(q.Get("code_challenge")):
		return "invalid_request", "PKCE is required: code_challenge, with code_challenge_method S256"
	case q.Get("state") == "":
		return "invalid_request", "state is required"
	case slices.ContainsFunc(req.scopes, func(s string) bool {
		return s != scopeOpenID && s != scopeOffline && !slices.Contains(i.cfg.Scopes, s)
	}):
		return "invalid_scope", "the scopes are: " + strings.Join(slices.Concat([]string{scopeOpenID, scopeOffline}, i.cfg.Scopes), " ")
	}
	return "", ""
}

// scopes are those asked for, each once; all of the API's, with openid, where none is.
func (i *Issuer) scopes(asked string) []string {
	var out []string
	for _, s := range strings.Fields(asked) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return slices.Concat([]string{scopeOpenID}, i.cfg.Scopes)
	}
	return out
}

// leadsTo says whether a redirect URI is the client's. A loopback client chooses its port when it starts (RFC 8252,
// section 7.3); everything else is compared letter for letter.
func (c *Client) leadsTo(given string, parsed *url.URL) bool {
	if !c.Loopback {
		return slices.Contains(c.Redirects, given)
	}
	port := parsed.Port()
	if port == "" || parsed.User != nil {
		return slices.Contains(c.Redirects, given)
	}
	return slices.ContainsFunc(c.Redirects, func(registered string) bool {
		u, err := url.Parse(registered)
		return err == nil && given == u.Scheme+"://"+u.Host+":"+port+u.EscapedPath()
	})
}

// answer leads back to the client.
func (i *Issuer) answer(w http.ResponseWriter, r *http.Request, req *request, values url.Values) {
	if state := req.query["state"]; len(state) == 1 {
		values.Set("state", state[0])
	}
	values.Set("iss", i.cfg.Issuer) // RFC 9207
	to := *req.target
	query := to.Query()
	for name := range values {
		query.Set(name, values.Get(name))
	}
	to.RawQuery = query.Encode()
	noStore(w)
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, to.String(), http.StatusSeeOther) //nolint:gosec // one of the client's own, which readRequest has made sure of
}

// endSession ends a sign-in and leads to where the client wants, if that is registered.
func (i *Issuer) endSession(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	sid, hinted := "", ""
	if hint := query.Get("id_token_hint"); hint != "" {
		if sid, hinted = i.signInOf(hint); sid == "" {
			i.show(w, http.StatusBadRequest, page{Title: "Sign out", Problem: "The id_token_hint is not an ID token of this issuer."})
			return
		}
	}
	id := query.Get("client_id")
	if hinted != "" && id != "" && id != hinted {
		i.show(w, http.StatusBadRequest, page{Title: "Sign out", Problem: "The client_id is not the one of the id_token_hint."})
		return
	}
	if id == "" {
		id = hinted
	}
	client, to := i.clientNamed(id), query.Get("post_logout_redirect_uri")
	if to != "" && (client == nil || !slices.Contains(client.SignedOut, to)) {
		i.show(w, http.StatusBadRequest, page{Title: "Sign out", Problem: "The post_logout_redirect_uri is not registered for this client."})
		return
	}
	i.endSignIn(sid)
	if to == "" {
		i.show(w, http.StatusOK, page{Title: "Signed out", Said: "You are signed out."})
		return
	}
	if state := query.Get("state"); state != "" {
		separator := "?"
		if strings.Contains(to, "?") {
			separator = "&"
		}
		to += separator + url.Values{"state": {state}}.Encode()
	}
	noStore(w)
	http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // one of the client's own
}

func (i *Issuer) endSignIn(sid string) {
	i.grants.mu.Lock()
	defer i.grants.mu.Unlock()
	if s := i.grants.find(func(s *signIn) bool { return sid != "" && s.id == sid }); s != nil {
		i.grants.end(s)
	}
}

// A page is what page.html shows.
type page struct {
	Title, Client string
	People        []Person
	Fields        url.Values // of the request, to be sent with the click
	Problem, Said string
	Issuer        string

	formTarget *url.URL // where the click ends up
}

func (i *Issuer) show(w http.ResponseWriter, status int, p page) {
	noStore(w)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	// Browsers hold the redirect after a form against form-action, too.
	form := "'none'"
	if p.formTarget != nil {
		form = "'self' " + p.formTarget.Scheme + ":"
	}
	h.Set("Content-Security-Policy", fmt.Sprintf(
		"default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action %s", form))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	p.Issuer = i.cfg.Issuer
	_ = i.page.Execute(w, p) // a browser that went away needs no page
}

func style(w http.ResponseWriter, _ *http.Request) {
	body, err := pageFiles.ReadFile("page.css")
	if err != nil {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = w.Write(body) // a browser that went away needs no style
}

// cors lets the pages of the configured origins read the answer.
func (i *Issuer) cors(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		i.admit(w, r)
		next(w, r)
	}
}

func (i *Issuer) preflight(method string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if i.admit(w, r) {
			w.Header().Set("Access-Control-Allow-Methods", method)
			w.Header().Set("Access-Control-Allow-Headers", "content-type")
			w.Header().Set("Access-Control-Max-Age", "600")
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func (i *Issuer) admit(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if !slices.Contains(i.cfg.Origins, origin) {
		return false
	}
	w.Header().Set("Access-Control-Allow-Origin", origin)
	return true
}
