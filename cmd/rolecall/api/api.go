// Package api is a client of Rolecall's HTTP API: of as much of it as the command-line helper needs. Its types name members
// of shared/httpapi/openapi.json and nothing else, which a test makes sure of.
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"rolecall/cmd/rolecall/printable"
)

// maxAnswer is more than any answer of Rolecall has: a page of 100 connections.
const maxAnswer = 8 << 20

// A Connection is one customer account.
type Connection struct {
	ID            string     `json:"id"`
	Name          string     `json:"name"`
	Status        string     `json:"status"`
	StatusReason  *Reason    `json:"statusReason,omitempty"`
	AccountID     string     `json:"accountId,omitempty"`
	DefaultRegion string     `json:"defaultRegion"`
	Permissions   string     `json:"permissions"`
	CreatedAt     time.Time  `json:"createdAt"`
	LastVerified  *time.Time `json:"lastVerifiedAt,omitempty"`
}

// A Reason says why a connection is not as it should be, and what to do about it.
type Reason struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
}

// Connections is a page of connections, newest first.
type Connections struct {
	Items      []Connection `json:"items"`
	NextCursor string       `json:"nextCursor,omitempty"` // "" on the last page
}

// Credentials are a session in a customer's account.
type Credentials struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string `json:"SecretAccessKey"`
	Token           string `json:"Token"`
	Expiration      string `json:"Expiration"` // RFC 3339
	AccountID       string `json:"AccountId"`
}

// IssueCredentials asks for credentials; its zero value for those that any SDK gets.
type IssueCredentials struct {
	DurationSeconds int    `json:"durationSeconds,omitempty"` // 0 for the API's own default
	ReadOnly        bool   `json:"readOnly,omitempty"`
	Reason          string `json:"reason,omitempty"`
	// Policy is an IAM policy, as it was written: it is Rolecall that judges it.
	Policy     json.RawMessage `json:"policy,omitempty"`
	PolicyARNs []string        `json:"policyArns,omitempty"`
}

// plainLeast is the shortest session that is to be had without options.
const plainLeast = 1800

// isPlain says that the API's simpler request will do, whose answers serve several callers.
func (a IssueCredentials) isPlain() bool {
	return (a.DurationSeconds == 0 || a.DurationSeconds >= plainLeast) && !a.ReadOnly && a.Reason == "" && a.Policy == nil && len(a.PolicyARNs) == 0
}

// RequestSignIn asks for a link into AWS's console.
type RequestSignIn struct {
	Destination string `json:"destination,omitempty"` // a page of the console; its home by default
	ReadOnly    bool   `json:"readOnly,omitempty"`
	Reason      string `json:"reason,omitempty"`
}

// A SignInLink signs a browser in to AWS's console. Whoever has it is signed in.
type SignInLink struct {
	URL              string    `json:"url"`
	ExpiresAt        time.Time `json:"expiresAt"` // it can be opened until then
	SessionExpiresAt time.Time `json:"sessionExpiresAt"`
}

// A Problem is an answer that says what is wrong. It is an error, in words for people.
type Problem struct {
	Status    int    `json:"status"`
	Title     string `json:"title"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	Fix       string `json:"fix,omitempty"`
	RequestID string `json:"requestId,omitempty"`

	// RetryAfter is the header of that name; "" if it was not there.
	RetryAfter string `json:"-"`
}

// Error implements error: what is wrong and its code, and in a second line what to do about it.
func (p *Problem) Error() string { return p.words(" (" + p.Code + ")") }

// Text is the same without the code, for where that is told beside it.
func (p *Problem) Text() string { return p.words("") }

func (p *Problem) words(code string) string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	if p.Code != "" {
		text += code
	}
	if p.RequestID != "" {
		text += ", request " + p.RequestID
	}
	text = printable.Line(text)
	if p.Fix != "" {
		text += "\n" + printable.Line(p.Fix)
	}
	return text
}

// ErrNoConnection is the error for a name or id that the tenant has no connection by.
var ErrNoConnection = errors.New("there is no such connection")

// A Client calls the API as one tenant. All fields must be set.
type Client struct {
	Base string // https://api.example.com, without slash at its end
	HTTP *http.Client
	// Token is an access token that is still valid for a while.
	Token func(ctx context.Context) (string, error)
}

// A Filter narrows a list. Its zero value asks for everything that is not deleted.
type Filter struct {
	Status string
	Query  string // part of the name, ignoring case
	Limit  int    // of a page, 1 to 100; 0 for the API's own
	Cursor string
}

// List answers one page.
func (c *Client) List(ctx context.Context, f Filter) (Connections, error) {
	query := url.Values{}
	set := func(name, value string) {
		if value != "" {
			query.Set(name, value)
		}
	}
	set("status", f.Status)
	set("q", f.Query)
	set("cursor", f.Cursor)
	if f.Limit != 0 {
		query.Set("limit", strconv.Itoa(f.Limit))
	}
	var page Connections
	err := c.do(ctx, http.MethodGet, "/v1/connections", query, nil, &page)
	return page, err
}

var idRE = regexp.MustCompile(`^conn_[0-9a-z]{26}$`)

// Find answers the connection with a name or an id. Names are compared as Rolecall does: ignoring case and Unicode form.
func (c *Client) Find(ctx context.Context, nameOrID string) (Connection, error) {
	if idRE.MatchString(nameOrID) {
		var found Connection
		err := c.do(ctx, http.MethodGet, "/v1/connections/"+nameOrID, nil, nil, &found)
		if p := (*Problem)(nil); errors.As(err, &p) && p.Status == http.StatusNotFound {
			err = fmt.Errorf("%w: %s", ErrNoConnection, nameOrID)
		}
		return found, err
	}
	folded := norm.NFKC.String(strings.TrimSpace(nameOrID))
	if folded == "" || len([]rune(folded)) > 64 {
		return Connection{}, fmt.Errorf("%w: %q", ErrNoConnection, nameOrID)
	}
	for f := (Filter{Query: folded, Limit: 100}); ; {
		page, err := c.List(ctx, f)
		if err != nil {
			return Connection{}, err
		}
		for _, found := range page.Items {
			if strings.EqualFold(norm.NFKC.String(found.Name), folded) {
				return found, nil
			}
		}
		if page.NextCursor == "" {
			return Connection{}, fmt.Errorf("%w: %q", ErrNoConnection, nameOrID)
		}
		f.Cursor = page.NextCursor
	}
}

// Credentials asks for a session.
func (c *Client) Credentials(ctx context.Context, id string, ask IssueCredentials) (Credentials, error) {
	method, query, in := http.MethodPost, url.Values{}, any(ask)
	if ask.isPlain() {
		method, in = http.MethodGet, nil
		if ask.DurationSeconds != 0 {
			query.Set("durationSeconds", strconv.Itoa(ask.DurationSeconds))
		}
	}
	var out Credentials
	if err := c.do(ctx, method, "/v1/connections/"+url.PathEscape(id)+"/credentials", query, in, &out); err != nil {
		return Credentials{}, err
	}
	if out.AccessKeyID == "" || out.SecretAccessKey == "" || out.Token == "" || out.Expiration == "" {
		return Credentials{}, errors.New("the API's answer is no credentials; is " + c.Base + " Rolecall's?")
	}
	return out, nil
}

// SignIn asks for a link into AWS's console.
func (c *Client) SignIn(ctx context.Context, id string, ask RequestSignIn) (SignInLink, error) {
	var out SignInLink
	if err := c.do(ctx, http.MethodPost, "/v1/connections/"+url.PathEscape(id)+"/sign-in", nil, ask, &out); err != nil {
		return SignInLink{}, err
	}
	u, err := url.Parse(out.URL)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return SignInLink{}, errors.New("the API's answer is no link; is " + c.Base + " Rolecall's?")
	}
	return out, nil
}

// do calls a route and reads its JSON answer into out. Errors hold neither tokens nor what was sent.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	token, err := c.Token(ctx)
	if err != nil {
		return err
	}
	req, err := c.request(ctx, method, path, query, in)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return fmt.Errorf("cannot reach Rolecall: %w", printable.Error(err))
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading Rolecall's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		return problem(resp, body)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return errors.New("the API's answer cannot be read; is " + c.Base + " Rolecall's?")
	}
	return nil
}

func (c *Client) request(ctx context.Context, method, path string, query url.Values, in any) (*http.Request, error) {
	address := c.Base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	return req, nil
}

// problem is an answer that is no success. API Gateway's own refusals have a message and nothing else.
func problem(resp *http.Response, body []byte) error {
	p := &Problem{}
	if json.Unmarshal(body, p) != nil || (p.Detail == "" && p.Code == "") {
		p = &Problem{Detail: "Rolecall answers " + resp.Status}
	}
	p.Status, p.RetryAfter = resp.StatusCode, resp.Header.Get("Retry-After")
	if p.Status == http.StatusUnauthorized && p.Fix == "" {
		p.Detail, p.Fix = "Rolecall does not take the access token", "Sign in again: rolecall login."
	}
	if p.Status == http.StatusForbidden && p.Code == "" {
		p.Fix = "The access token may lack a scope. Sign in again, or have your identity provider grant it."
	}
	return p
}
