package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const event = `{"version":"0","detail-type":"connection.enabled","source":"rolecall","detail":{"id":"evt_1","data":{"name":"Ä <&>"}}}`

func clock() time.Time { return time.Unix(1795262400, 0) }

func noSecret(context.Context) ([]string, error) { return []string{"canary-secret"}, nil }

// posting gives a sender that takes a test's own server for public, and everything else as it is.
func posting(t *testing.T, h http.Handler, secrets func(context.Context) ([]string, error)) *Sender {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL + "/canary-path?canary=query")
	if err != nil {
		t.Fatal(err)
	}
	s := NewSender(Endpoint{url: *u}, secrets, clock)
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

func TestAPostIsSigned(t *testing.T) {
	var got *http.Request
	var body []byte
	s := posting(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
	}), func(context.Context) ([]string, error) { return []string{"new", "old"}, nil })
	if err := s.Send(t.Context(), []byte(event)); err != nil {
		t.Fatal(err)
	}
	if got.Method != http.MethodPost || got.URL.RequestURI() != "/canary-path?canary=query" || string(body) != event {
		t.Errorf("%s %s %s", got.Method, got.URL, body)
	}
	timestamp, signature := sign([]string{"new", "old"}, []byte(event), clock())
	for name, want := range map[string]string{
		"Content-Type": "application/json", HeaderEventID: "evt_1", HeaderTimestamp: "1795262400", HeaderSignature: signature,
		"User-Agent": "Rolecall-Webhook/1",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.Header.Get(name), want)
		}
	}
	if parts := strings.Split(signature, ","); timestamp != "1795262400" || len(parts) != 2 || parts[0] == parts[1] || len(parts[0]) != len("v1=")+64 {
		t.Errorf("signature %s", signature)
	}
}

// The figures are those of `printf %s '1795262400.{"a":1}' | openssl dgst -sha256 -hmac s3cret`.
func TestSignatureIsPlainHMAC(t *testing.T) {
	_, got := sign([]string{"s3cret"}, []byte(`{"a":1}`), clock())
	if want := "v1=c4f52210027800a3702223924f2cececf1e3a9145c0ab54609612ad3faf86a49"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestWhatAnswersMean(t *testing.T) {
	for status, want := range map[int]string{
		200: "delivered", 201: "delivered", 202: "delivered", 204: "delivered", 299: "delivered", 410: "gone",
		300: "again", 301: "again", 302: "again", 307: "again", 308: "again", 400: "again", 401: "again", 403: "again", 404: "again", 408: "again",
		409: "again", 429: "again", 500: "again", 503: "again",
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			calls := 0
			s := posting(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				calls++
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
			}), noSecret)
			err := s.Send(t.Context(), []byte(event))
			got := "again"
			if err == nil {
				got = "delivered"
			} else if errors.Is(err, ErrGone) {
				got = "gone"
			}
			if got != want || calls != 1 {
				t.Errorf("%s after %d calls, want %s after one: %v", got, calls, want, err)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("error tells too much: %v", err)
			}
		})
	}
}

func TestErrorsTellNoSecret(t *testing.T) {
	s := posting(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}), noSecret)
	err := s.Send(t.Context(), []byte(event))
	if err == nil || errors.Is(err, ErrGone) || strings.Contains(err.Error(), "canary") {
		t.Errorf("error %v", err)
	}
}

func TestOnlyALittleOfTheAnswerIsRead(t *testing.T) {
	written := make(chan int64, 1)
	s := posting(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n, _ := io.Copy(w, io.LimitReader(endless{}, 64<<20))
		written <- n
	}), noSecret)
	if err := s.Send(t.Context(), []byte(event)); err != nil {
		t.Fatal(err)
	}
	if n := <-written; n >= 64<<20 {
		t.Errorf("%d bytes were taken", n)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestNobodyWaitsForASlowReceiver(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	s := posting(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }), noSecret)
	if s.client.Timeout != 5*time.Second {
		t.Errorf("waits %s", s.client.Timeout)
	}
	s.client.Timeout = 50 * time.Millisecond
	var late net.Error
	if err := s.Send(t.Context(), []byte(event)); !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("error %v", err)
	}
}

func TestNoProxyIsUsed(t *testing.T) {
	transport, ok := NewSender(Endpoint{}, noSecret, clock).client.Transport.(*http.Transport)
	if !ok || transport.Proxy != nil {
		t.Error("a proxy would be asked")
	}
}

func TestWhatIsNoEventIsNotPosted(t *testing.T) {
	calls := 0
	s := posting(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls++ }), noSecret)
	for _, body := range []string{"", "{", "[]", `{"detail":{}}`, `{"detail":{"id":""}}`, `{"detail":{"id":"a\r\nb"}}`, `{"detail":"evt_1"}`} {
		if err := s.Send(t.Context(), []byte(body)); err == nil || calls > 0 {
			t.Errorf("%q: error %v, %d calls", body, err, calls)
		}
	}
}

func TestNothingIsPostedUnsigned(t *testing.T) {
	calls := 0
	s := posting(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls++ }), func(context.Context) ([]string, error) {
		return nil, errors.New("KMS is away")
	})
	if err := s.Send(t.Context(), []byte(event)); err == nil || calls > 0 {
		t.Errorf("error %v, %d calls", err, calls)
	}
}
