package iam

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// FederationPath is where the sign-in endpoint is, on AWS at signin.aws.amazon.com.
const FederationPath = "/federation"

// signInLife is how long a sign-in token can be used.
const signInLife = 15 * time.Minute

// A Federation is the endpoint that exchanges a session for a browser's sign-in. There is no console to be signed in to: a
// login answers a page that says who would be, and where. SessionDuration is refused, as AWS refuses it for a role that
// was assumed by another one's session.
type Federation struct {
	iam *Service

	mu     sync.Mutex
	tokens map[string]signIn
}

type signIn struct {
	keyID, token string
	until        time.Time
}

// Federation makes the sign-in endpoint of the service's accounts.
func (s *Service) Federation() *Federation { return &Federation{iam: s, tokens: map[string]signIn{}} }

// ServeHTTP knows the actions getSigninToken and login.
func (f *Federation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	switch q := r.URL.Query(); q.Get("Action") {
	case "getSigninToken":
		f.exchange(w, q)
	case "login":
		f.login(w, q)
	default:
		http.Error(w, "the pocket sign-in endpoint knows the actions getSigninToken and login", http.StatusBadRequest)
	}
}

func (f *Federation) exchange(w http.ResponseWriter, q url.Values) {
	var session struct{ SessionID, SessionKey, SessionToken string }
	if q.Has("SessionDuration") {
		http.Error(w, "SessionDuration cannot be used with a role that was assumed by role chaining", http.StatusBadRequest)
		return
	}
	if json.Unmarshal([]byte(q.Get("Session")), &session) != nil || session.SessionToken == "" {
		http.Error(w, "Session must be JSON with sessionId, sessionKey and sessionToken", http.StatusBadRequest)
		return
	}
	secret, _ := f.iam.Secret(session.SessionID)
	if _, err := f.iam.Authenticate(session.SessionID, session.SessionToken); err != nil || secret != session.SessionKey {
		http.Error(w, "the session is not valid", http.StatusBadRequest)
		return
	}
	var random [48]byte
	_, _ = rand.Read(random[:]) // never fails
	token, now := base64.RawURLEncoding.EncodeToString(random[:]), f.iam.clock()
	f.mu.Lock()
	maps.DeleteFunc(f.tokens, func(_ string, t signIn) bool { return now.After(t.until) })
	f.tokens[token] = signIn{session.SessionID, session.SessionToken, now.Add(signInLife)}
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"SigninToken": token}) // only the connection can fail
}

func (f *Federation) login(w http.ResponseWriter, q url.Values) {
	f.mu.Lock()
	t, ok := f.tokens[q.Get("SigninToken")]
	f.mu.Unlock()
	destination, err := url.Parse(q.Get("Destination"))
	switch {
	case !ok || f.iam.clock().After(t.until):
		http.Error(w, "the sign-in token is not valid, or no longer", http.StatusForbidden)
		return
	case err != nil || destination.Scheme != "https" || !isConsole(destination.Host):
		http.Error(w, "Destination must be a page of the console", http.StatusBadRequest)
		return
	}
	p, err := f.iam.Authenticate(t.keyID, t.token)
	if err != nil {
		http.Error(w, "the session has ended", http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	_ = signedIn.Execute(w, map[string]string{"ARN": p.ARN, "Destination": destination.String()}) // only the connection can fail
}

func isConsole(host string) bool {
	for _, console := range []string{"console.aws.amazon.com", "console.amazonaws-us-gov.com", "console.amazonaws.cn"} {
		if host == console || strings.HasSuffix(host, "."+console) {
			return true
		}
	}
	return false
}

var signedIn = template.Must(template.New("").Parse(`<!doctype html><title>Signed in</title>
<h1>Signed in</h1><p>As {{.ARN}}, to {{.Destination}}. The pocket AWS has no console.</p>
`))
