package gateway

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The types below are payload format 2.0.
type request struct {
	Version         string            `json:"version"`
	RouteKey        string            `json:"routeKey"`
	RawPath         string            `json:"rawPath"`
	RawQueryString  string            `json:"rawQueryString"`
	Cookies         []string          `json:"cookies,omitempty"`
	Headers         map[string]string `json:"headers"`
	Query           map[string]string `json:"queryStringParameters,omitempty"`
	Context         requestContext    `json:"requestContext"`
	PathParameters  map[string]string `json:"pathParameters,omitempty"`
	Body            string            `json:"body,omitempty"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

type requestContext struct {
	AccountID    string          `json:"accountId"`
	APIID        string          `json:"apiId"`
	Authorizer   *authorizerInfo `json:"authorizer,omitempty"`
	DomainName   string          `json:"domainName"`
	DomainPrefix string          `json:"domainPrefix"`
	HTTP         httpInfo        `json:"http"`
	RequestID    string          `json:"requestId"`
	RouteKey     string          `json:"routeKey"`
	Stage        string          `json:"stage"`
	Time         string          `json:"time"`
	TimeEpoch    int64           `json:"timeEpoch"`
}

type httpInfo struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

type authorizerInfo struct {
	JWT jwtInfo `json:"jwt"`
}

type jwtInfo struct {
	Claims map[string]string `json:"claims"`
	Scopes []string          `json:"scopes"` // null on a route without scopes
}

// request is the event that the route's function gets.
func (a *API) request(r *http.Request, m matched, claims *jwtInfo, body []byte, requestID string) ([]byte, error) {
	now := a.cfg.Clock().UTC()
	prefix, _, _ := strings.Cut(r.Host, ".")
	// API Gateway gives functions the decoded path as rawPath, whatever its name says.
	e := request{
		Version: "2.0", RouteKey: m.Key, RawPath: r.URL.Path, RawQueryString: r.URL.RawQuery,
		Cookies: cookies(r.Header), Headers: headers(r), Query: query(r.URL), PathParameters: m.parameters,
		Context: requestContext{
			AccountID: a.cfg.Account, APIID: a.cfg.ID, DomainName: r.Host, DomainPrefix: prefix,
			HTTP: httpInfo{
				Method: r.Method, Path: r.URL.Path, Protocol: r.Proto, SourceIP: sourceIP(r), UserAgent: r.UserAgent(),
			},
			RequestID: requestID, RouteKey: m.Key, Stage: a.cfg.Stage,
			Time: now.Format("02/Jan/2006:15:04:05 -0700"), TimeEpoch: now.UnixMilli(),
		},
	}
	if a.cfg.Stage != "$default" {
		e.RawPath = "/" + a.cfg.Stage + e.RawPath
		e.Context.HTTP.Path = e.RawPath
	}
	if claims != nil {
		e.Context.Authorizer = &authorizerInfo{JWT: *claims}
	}
	e.Body, e.IsBase64Encoded = encodeBody(r.Header.Get("Content-Type"), body)
	return json.Marshal(e)
}

// headers are the request's headers in lower case, several of a name joined by commas, with what API Gateway adds.
func headers(r *http.Request) map[string]string {
	all := map[string]string{"host": r.Host, "content-length": strconv.FormatInt(max(r.ContentLength, 0), 10)}
	for name, values := range r.Header {
		if name != "Cookie" {
			all[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	forwarded := sourceIP(r)
	if before := all["x-forwarded-for"]; before != "" {
		forwarded = before + ", " + forwarded
	}
	all["x-forwarded-for"] = forwarded
	all["x-forwarded-proto"], all["x-forwarded-port"] = "http", "80"
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		all["x-forwarded-port"] = port
	}
	if all["x-amzn-trace-id"] == "" {
		all["x-amzn-trace-id"] = "Root=1-" + randomHex(4) + "-" + randomHex(12)
	}
	return all
}

func cookies(h http.Header) []string {
	var list []string
	for _, line := range h.Values("Cookie") {
		for part := range strings.SplitSeq(line, ";") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
	}
	return list
}

func query(u *url.URL) map[string]string {
	values := u.Query()
	if len(values) == 0 {
		return nil
	}
	all := map[string]string{}
	for name, list := range values {
		all[name] = strings.Join(list, ",")
	}
	return all
}

func sourceIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// encodeBody keeps text as it is and encodes everything else.
func encodeBody(contentType string, body []byte) (text string, encoded bool) {
	if len(body) == 0 {
		return "", false
	}
	if isText(contentType) && utf8.Valid(body) {
		return string(body), false
	}
	return base64.StdEncoding.EncodeToString(body), true
}

func isText(contentType string) bool {
	if contentType == "" {
		return true
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	known := []string{"application/json", "application/javascript", "application/xml"}
	return strings.HasPrefix(kind, "text/") || slices.Contains(known, kind) ||
		strings.HasSuffix(kind, "+json") || strings.HasSuffix(kind, "+xml")
}

// A response is what a function answers in format 2.0. multiValueHeaders is not part of it.
type response struct {
	StatusCode      json.RawMessage `json:"statusCode"`
	Headers         map[string]any  `json:"headers"`
	Cookies         []string        `json:"cookies"`
	Body            any             `json:"body"`
	IsBase64Encoded bool            `json:"isBase64Encoded"`
}

var errMalformed = errors.New("gateway: malformed Lambda response")

// respond writes a function's answer. An answer without statusCode is the body itself. Nothing is written on an error.
func respond(w http.ResponseWriter, answer []byte, ownCORS bool) error {
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(answer, &fields) // what is no object has no statusCode
	if _, ok := fields["statusCode"]; !ok {
		return respondInferred(w, answer)
	}
	var r response
	decoder := json.NewDecoder(bytes.NewReader(answer))
	decoder.UseNumber()
	if err := decoder.Decode(&r); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	status, err := strconv.Atoi(strings.Trim(string(r.StatusCode), `"`))
	if err != nil || status < 200 || status > 599 {
		return fmt.Errorf("%w: statusCode %s", errMalformed, r.StatusCode)
	}
	body, err := r.body()
	if err != nil {
		return err
	}
	if err := r.setHeaders(w.Header(), ownCORS); err != nil {
		return err
	}
	w.WriteHeader(status)
	if status != http.StatusNoContent && status != http.StatusNotModified {
		_, _ = w.Write(body)
	}
	return nil
}

// respondInferred answers 200 with the function's JSON; a JSON string is the body as it stands.
func respondInferred(w http.ResponseWriter, answer []byte) error {
	if !json.Valid(answer) {
		return fmt.Errorf("%w: no JSON", errMalformed)
	}
	body := answer
	var text string
	if json.Unmarshal(answer, &text) == nil && bytes.HasPrefix(bytes.TrimSpace(answer), []byte(`"`)) {
		body = []byte(text)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body)
	return nil
}

func (r response) body() ([]byte, error) {
	text, ok := r.Body.(string)
	if !ok && r.Body != nil {
		return nil, fmt.Errorf("%w: body is no string", errMalformed)
	}
	if !r.IsBase64Encoded {
		return []byte(text), nil
	}
	body, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return body, nil
}

// setHeaders copies the function's headers. With CORS configured the gateway's own CORS headers stand and the function's
// are ignored; the length is counted anew.
func (r response) setHeaders(h http.Header, ownCORS bool) error {
	own := http.Header{}
	for name, value := range r.Headers {
		switch value := value.(type) {
		case string:
			own.Set(name, value)
		case json.Number:
			own.Set(name, value.String())
		case bool:
			own.Set(name, strconv.FormatBool(value))
		default:
			return fmt.Errorf("%w: header %s", errMalformed, name)
		}
	}
	for name, values := range own {
		if name == "Content-Length" || (ownCORS && strings.HasPrefix(name, "Access-Control-")) {
			continue
		}
		h[name] = values
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	}
	for _, cookie := range r.Cookies {
		h.Add("Set-Cookie", cookie)
	}
	return nil
}

// newID makes a request id; it begins with the time so that logs sort.
func newID(now time.Time) string {
	return strconv.FormatInt(now.UnixMilli(), 36) + randomHex(6)
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
