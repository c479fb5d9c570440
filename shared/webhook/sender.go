package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"rolecall/events"
)

const (
	postTimeout = 5 * time.Second
	// maxRead is how much of a receiver's answer is read.
	maxRead = 64 << 10
)

// ErrGone says that the receiver answered 410: it does not want this event, now or ever.
var ErrGone = errors.New("the receiver wants the event no more")

// A Sender posts events to an endpoint. It is safe for concurrent use; make one and keep it.
type Sender struct {
	endpoint Endpoint
	client   *http.Client
	secrets  func(context.Context) ([]string, error)
	clock    func() time.Time
}

// NewSender makes a sender that dials nothing but what the endpoint allows, by no proxy, and follows no redirect.
func NewSender(e Endpoint, secrets func(context.Context) ([]string, error), clock func() time.Time) *Sender {
	dialer := &net.Dialer{Timeout: postTimeout, Control: e.control}
	return &Sender{endpoint: e, secrets: secrets, clock: clock, client: &http.Client{
		Timeout: postTimeout,
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, TLSHandshakeTimeout: postTimeout, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
			DisableCompression: true, MaxResponseHeaderBytes: maxRead, MaxIdleConns: 2, IdleConnTimeout: time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Send posts an event, in the form in which a rule's target gets it, once. nil means that the receiver answered 2xx;
// [ErrGone] that it must not be asked again for this event; any other error that it may be. Errors never have the
// endpoint's path or query in them, nor a secret.
func (s *Sender) Send(ctx context.Context, event []byte) error {
	id, err := eventID(event)
	if err != nil {
		return err
	}
	secrets, err := s.secrets(ctx)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint.url.String(), bytes.NewReader(event))
	if err != nil {
		return errEndpoint
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Rolecall-Webhook/"+events.Version)
	timestamp, signature := sign(secrets, event, s.clock())
	r.Header.Set(HeaderTimestamp, timestamp)
	r.Header.Set(HeaderSignature, signature)
	r.Header.Set(HeaderEventID, id)
	response, err := s.client.Do(r)
	if err != nil {
		return fmt.Errorf("webhook: %w", withoutURL(err))
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxRead)) // so that the connection can be used again
	switch {
	case response.StatusCode >= http.StatusOK && response.StatusCode < http.StatusMultipleChoices:
		return nil
	case response.StatusCode == http.StatusGone:
		return ErrGone
	default:
		return fmt.Errorf("webhook: the receiver answered with status %d", response.StatusCode)
	}
}

// eventID is the id to deduplicate by: the detail's own, which stays the same however often the event is published.
func eventID(event []byte) (string, error) {
	var e struct{ Detail events.Detail }
	if err := json.Unmarshal(event, &e); err != nil || e.Detail.ID == "" {
		return "", errors.New("webhook: the message is no event of Rolecall")
	}
	for _, r := range e.Detail.ID {
		if r <= ' ' || r > '~' {
			return "", errors.New("webhook: the event's id cannot be a header")
		}
	}
	return e.Detail.ID, nil
}

// withoutURL is what a [url.Error] wraps, without the URL that it would print.
func withoutURL(err error) error {
	var e *url.Error
	for errors.As(err, &e) {
		err = e.Err
	}
	if err == nil {
		return errors.New("the request failed")
	}
	return err
}
