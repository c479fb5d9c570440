package customresource

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"rolecall/shared/connect"
)

const (
	// maxAnswer is CloudFormation's limit of an answer, in bytes as encoded.
	maxAnswer = 4096
	// maxRead is how much of the bucket's answer is read.
	maxRead    = 64 << 10
	tries      = 2
	tryTimeout = 5 * time.Second
	tryPause   = 200 * time.Millisecond
)

// Statuses of an answer. There is no other word for either.
const (
	statusSuccess = "SUCCESS"
	statusFailed  = "FAILED"
)

// answer is what CloudFormation waits for.
type answer struct {
	Status     string
	Reason     string            `json:",omitempty"`
	PhysicalID string            `json:"PhysicalResourceId"`
	StackID    string            `json:"StackId"`
	RequestID  string            `json:"RequestId"`
	LogicalID  string            `json:"LogicalResourceId"`
	NoEcho     bool              // Data is nothing to hide
	Data       map[string]string `json:",omitempty"`
}

// A Sender tells CloudFormation how requests ended. It is safe for concurrent use; make one and keep it.
type Sender struct {
	client *http.Client
	pause  time.Duration
	clock  func() time.Time
}

// NewSender makes a sender. transport is nil for one of its own that uses no proxy; another one is for tests.
func NewSender(transport http.RoundTripper, clock func() time.Time) *Sender {
	if transport == nil {
		transport = &http.Transport{
			Proxy:               nil, // an answer goes straight to where it was signed for
			DialContext:         (&net.Dialer{Timeout: tryTimeout}).DialContext,
			TLSHandshakeTimeout: tryTimeout,
			DisableCompression:  true,
			MaxIdleConns:        8,
			IdleConnTimeout:     time.Minute,
		}
	}
	client := &http.Client{
		Transport: transport, Timeout: tryTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Sender{client: client, pause: tryPause, clock: clock}
}

// Answer puts the answer to where the request said, in at most two tries of five seconds. nil means that CloudFormation's
// bucket took it, which proves that CloudFormation made the request of the names in the address. An error that wraps
// [connect.ErrAnswerRefused] means that the bucket never will; after any other one that is not known. An error never has
// the URL in it.
func (s *Sender) Answer(ctx context.Context, to connect.ReplyTo, r connect.Reply) error {
	u, err := s.judge(to)
	if err != nil {
		return fmt.Errorf("answer: %w: %w", connect.ErrAnswerRefused, err)
	}
	body, err := encode(to, r)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := s.put(ctx, u, body)
		if err == nil || errors.Is(err, connect.ErrAnswerRefused) || try == tries {
			return err
		}
		if err := wait(ctx, s.pause); err != nil {
			return err
		}
	}
}

// judge judges the URL again, because a queue lies between: bucket and key, but not how it is signed, which S3 will do.
func (s *Sender) judge(to connect.ReplyTo) (*url.URL, error) {
	n, err := readNames(to.StackID, to.LogicalID, to.RequestID)
	if err != nil {
		return nil, err
	}
	if !to.Expires.IsZero() && !s.clock().Before(to.Expires) { // messages of earlier versions do not have it
		return nil, drop(DropExpired, "the ResponseURL has expired")
	}
	return responseURL(to.URL.Reveal(), n)
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// put makes one try.
func (s *Sender) put(ctx context.Context, u *url.URL, body []byte) error {
	// The request is built around the URL as it was judged. It bears no Content-Type: the URL is signed without one.
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, "https://cloudformation.invalid/", bytes.NewReader(body))
	if err != nil {
		return errors.New("answer: the request could not be built")
	}
	target := *u
	r.URL, r.Host = &target, u.Host
	response, err := s.client.Do(r)
	if err != nil {
		return fmt.Errorf("answer: %w", withoutURL(err))
	}
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(response.Body, maxRead)) // what is not read keeps the connection from being used again
	switch code := response.StatusCode; {
	case code == http.StatusOK:
		return nil
	case isRefusal(code, text):
		return fmt.Errorf("answer: %w: the bucket replied with status %d", connect.ErrAnswerRefused, code)
	default:
		return fmt.Errorf("answer: the bucket replied with status %d", code)
	}
}

// isRefusal says whether a bucket that answers so will never take the answer. It does not redirect, and a client's fault
// stays one, unless it is that of a slow network or of too many at once.
func isRefusal(status int, body []byte) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	case http.StatusBadRequest:
		var e struct{ Code string }
		_ = xml.Unmarshal(body, &e) // the code stands at the beginning, whatever has become of the end
		return e.Code != "RequestTimeout"
	default:
		return status >= 300 && status <= 499
	}
}

// withoutURL is what a [url.Error] wraps, without the URL that it would print. What is left names at most a host.
func withoutURL(err error) error {
	var e *url.Error
	for errors.As(err, &e) {
		err = e.Err
	}
	if err == nil || strings.Contains(err.Error(), "Signature") {
		return errors.New("the request failed")
	}
	return err
}

// encode is the answer as JSON of at most maxAnswer bytes; the reason gives way, at the end of a character.
func encode(to connect.ReplyTo, r connect.Reply) ([]byte, error) {
	a := answer{
		Status: statusSuccess, PhysicalID: to.PhysicalID, StackID: to.StackID, RequestID: to.RequestID, LogicalID: to.LogicalID,
	}
	if a.PhysicalID == "" {
		a.PhysicalID = noConnection
	}
	if _, err := connect.ParseConnectionID(to.PhysicalID); err == nil {
		a.Data = map[string]string{"ConnectionId": to.PhysicalID}
	}
	if !r.OK {
		a.Status, a.Reason = statusFailed, sentence(r.Reason)
	}
	whole := cut(a.Reason, maxAnswer) // JSON makes no text shorter
	a.Reason = whole
	body := a.json()
	for fits := len(whole); len(body) > maxAnswer; body = a.json() {
		if fits == 0 {
			return nil, errors.New("answer: the ids leave no room for an answer")
		}
		// Cutting as many bytes as are too many, escaped, takes a few rounds and never too much by more than an escape.
		fits = max(0, fits-max(1, (len(body)-maxAnswer)/6))
		a.Reason = cut(whole, fits)
		fits = len(a.Reason)
	}
	return body, nil
}

func (a answer) json() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // trust policies and tags are full of <, > and &: six bytes each
	_ = e.Encode(a)        // strings always encode
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// cut is the longest beginning of s of at most n bytes that ends with a whole character.
func cut(s string, n int) string {
	if n >= len(s) {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// sentence is a reason as the customer reads it in the stack's events. A failure always says something.
func sentence(r connect.Reason) string {
	if r.Code == "" {
		r = connect.Reason{Code: connect.CodeInternal, Message: "the platform could not say why"}
	}
	text := string(r.Code) + ": " + r.Message
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	if r.Fix != "" {
		text += " Fix: " + r.Fix
	}
	return text
}
