package customresource

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"rolecall/shared/connect"
)

const connectionID = "conn_01jd0000000000000000000000"

func replyTo(t testing.TB) connect.ReplyTo {
	t.Helper()
	return connect.ReplyTo{
		URL: connect.NewSecret(goodURL), StackID: stackIn(t, "aws", "eu-west-1").String(), RequestID: "9f8e7d6c-0000",
		LogicalID: "Connection", PhysicalID: connectionID,
	}
}

// A step is what the bucket does with one request.
type step struct {
	code int
	err  error
	body io.ReadCloser
	then func()
}

func status(code int) step { return step{code: code} }

func broken(err error) step { return step{err: err} }

// bucket is what the sender's transport sees: requests in, one step after the other out, the last one again and again.
type bucket struct {
	steps    []step
	requests []*http.Request
	bodies   []string
}

func (b *bucket) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	b.requests, b.bodies = append(b.requests, r), append(b.bodies, string(body))
	s := b.steps[min(len(b.requests), len(b.steps))-1]
	if s.then != nil {
		s.then()
	}
	if s.err != nil {
		return nil, s.err
	}
	if s.body == nil {
		s.body = io.NopCloser(strings.NewReader("<Error/>"))
	}
	return &http.Response{StatusCode: s.code, Header: http.Header{"Location": {"https://attacker.example/"}}, Body: s.body}, nil
}

func send(t *testing.T, r connect.Reply, steps ...step) (*bucket, error) {
	t.Helper()
	b := &bucket{steps: steps}
	s := NewSender(b, atOnce)
	s.pause = 0
	return b, s.Answer(t.Context(), replyTo(t), r)
}

func TestAnswerIsWhatCloudFormationReads(t *testing.T) {
	failed := connect.Reply{Reason: connect.Reason{Code: "ROLE_NOT_ASSUMABLE", Message: "the role <x> & co cannot be assumed", Fix: "Mend it."}}
	ids := map[string]any{
		"PhysicalResourceId": connectionID, "StackId": replyTo(t).StackID, "RequestId": "9f8e7d6c-0000", "LogicalResourceId": "Connection",
		"NoEcho": false, "Data": map[string]any{"ConnectionId": connectionID},
	}
	for _, c := range []struct {
		reply connect.Reply
		more  map[string]any
	}{
		{connect.Reply{OK: true}, map[string]any{"Status": "SUCCESS"}},
		{failed, map[string]any{"Status": "FAILED", "Reason": "ROLE_NOT_ASSUMABLE: the role <x> & co cannot be assumed. Fix: Mend it."}},
		{connect.Reply{}, map[string]any{"Status": "FAILED", "Reason": "INTERNAL: the platform could not say why."}},
	} {
		b, err := send(t, c.reply, status(200))
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(b.bodies[0]), &got); err != nil {
			t.Fatal(err)
		}
		for k, v := range ids {
			c.more[k] = v
		}
		if diff := cmp.Diff(c.more, got); diff != "" {
			t.Error(diff)
		}
		r := b.requests[0]
		_, typed := r.Header["Content-Type"]
		if r.Method != http.MethodPut || r.URL.String() != goodURL || r.Host != goodHost || typed || r.ContentLength != int64(len(b.bodies[0])) {
			t.Errorf("request %s %s host %s headers %v length %d", r.Method, r.URL, r.Host, r.Header, r.ContentLength)
		}
	}
}

func TestFailureWithoutConnectionStillHasAPhysicalID(t *testing.T) {
	to := replyTo(t)
	to.PhysicalID = ""
	body, err := encode(to, connect.Reply{})
	if err != nil || !strings.Contains(string(body), `"PhysicalResourceId":"`+noConnection+`"`) || strings.Contains(string(body), "Data") {
		t.Errorf("%s, %v", body, err)
	}
}

// told is what an answer's error says of the request.
func told(err error) string {
	switch {
	case err == nil:
		return "taken"
	case errors.Is(err, connect.ErrAnswerRefused):
		return "refused"
	default:
		return "unsure"
	}
}

// What S3 says proves that CloudFormation made the request, or that it did not, or neither.
func TestTakenRefusedUnsure(t *testing.T) {
	reset := broken(errors.New("connection reset by peer"))
	says := func(code int, body string) step { return step{code: code, body: io.NopCloser(strings.NewReader(body))} }
	const xmlHeader = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	for _, c := range []struct {
		name  string
		steps []step
		tries int
		want  string
	}{
		{"taken", []step{status(200)}, 1, "taken"},
		{"503 then taken", []step{status(503), status(200)}, 2, "taken"},
		{"500 then taken", []step{status(500), status(200)}, 2, "taken"},
		{"429 then taken", []step{status(429), status(200)}, 2, "taken"},
		{"408 then taken", []step{status(408), status(200)}, 2, "taken"},
		{"RequestTimeout then taken", []step{says(400, "<Error><Code>RequestTimeout</Code></Error>"), status(200)}, 2, "taken"},
		{"reset then taken", []step{reset, status(200)}, 2, "taken"},
		{"503 then refused", []step{status(503), status(403)}, 2, "refused"},
		{"500 for ever", []step{status(500)}, 2, "unsure"},
		{"501 for ever", []step{status(501)}, 2, "unsure"},
		{"503 for ever", []step{status(503)}, 2, "unsure"},
		{"408 for ever", []step{status(408)}, 2, "unsure"},
		{"429 for ever", []step{status(429)}, 2, "unsure"},
		{"RequestTimeout, cut off", []step{says(400, xmlHeader+"<Error><Code>RequestTimeout</Code><Mess"), says(400, xmlHeader+"<Error><Code>RequestTimeout</Code></Error>")}, 2, "unsure"},
		{"reset for ever", []step{reset}, 2, "unsure"},
		{"wrong signature", []step{says(403, "<Error><Code>SignatureDoesNotMatch</Code></Error>")}, 1, "refused"},
		{"403 that claims to be a time-out", []step{says(403, "<Error><Code>RequestTimeout</Code></Error>")}, 1, "refused"},
		{"400", []step{status(400)}, 1, "refused"},
		{"400 in other words", []step{says(400, "<Error><Code>InvalidToken</Code><Message>RequestTimeout</Message></Error>")}, 1, "refused"},
		{"404", []step{status(404)}, 1, "refused"},
		{"405", []step{status(405)}, 1, "refused"},
		{"412", []step{status(412)}, 1, "refused"},
		{"499", []step{status(499)}, 1, "refused"},
		{"300", []step{status(300)}, 1, "refused"},
		{"301 is not followed", []step{status(301)}, 1, "refused"},
		{"302 is not followed", []step{status(302)}, 1, "refused"},
		{"307 is not followed", []step{status(307)}, 1, "refused"},
		{"308 is not followed", []step{status(308)}, 1, "refused"},
		{"201 is not what S3 answers", []step{status(201)}, 2, "unsure"},
		{"204 is not what S3 answers", []step{status(204)}, 2, "unsure"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := send(t, connect.Reply{OK: true}, c.steps...)
			if len(b.requests) != c.tries || told(err) != c.want {
				t.Errorf("%d tries, %s: %v", len(b.requests), told(err), err)
			}
			for _, body := range b.bodies {
				if body != b.bodies[0] || body == "" {
					t.Errorf("bodies %q", b.bodies)
				}
			}
		})
	}
}

// An address that has ended is not asked any more; one of an earlier version, which does not say when it ends, is.
func TestExpiredAddressesAreNotAsked(t *testing.T) {
	for name, c := range map[string]struct {
		ends time.Duration // from now; 0 for unknown
		want string
	}{
		"unknown": {0, "taken"}, "to come": {time.Nanosecond, "taken"}, "now": {-1, "refused"}, "long ago": {-time.Hour, "refused"},
	} {
		b := &bucket{steps: []step{status(200)}}
		s := NewSender(b, atOnce)
		to := replyTo(t)
		if c.ends != 0 {
			to.Expires = sentAt.Add(c.ends)
		}
		if name == "now" {
			to.Expires = sentAt
		}
		if err := s.Answer(t.Context(), to, connect.Reply{OK: true}); told(err) != c.want || len(b.requests) != map[string]int{"taken": 1}[c.want] {
			t.Errorf("%s: %d requests, %v", name, len(b.requests), err)
		}
	}
}

func TestErrorsNeverHaveTheURL(t *testing.T) {
	for name, does := range map[string]step{
		"status": status(403), "network": broken(errors.New("connection reset")),
		"an error that quotes the URL":           broken(fmt.Errorf("cannot reach %s", goodURL)),
		"an error of an error that quotes it":    broken(fmt.Errorf("x: %w", errors.New(goodURL))),
		"a redirect":                             status(307),
		"a bucket that answers with the request": status(501),
	} {
		_, err := send(t, connect.Reply{OK: true}, does)
		if err == nil {
			t.Fatalf("%s: no error", name)
		}
		for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", errors.Unwrap(err))} {
			if strings.Contains(text, canary) || strings.Contains(text, "X-Amz") || strings.Contains(text, key) {
				t.Errorf("%s: %s", name, text)
			}
		}
	}
}

func TestCallersPatienceEndsTheTries(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := &bucket{steps: []step{{code: 503, then: cancel}}}
	err := NewSender(b, atOnce).Answer(ctx, replyTo(t), connect.Reply{OK: true})
	if !errors.Is(err, context.Canceled) || len(b.requests) != 1 {
		t.Errorf("%d tries, %v", len(b.requests), err)
	}
}

// endless is a body that never ends, as a hostile or broken bucket may send one.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) { e.read += len(p); return len(p), nil }
func (e *endless) Close() error               { return nil }

func TestLittleOfTheBucketsAnswerIsRead(t *testing.T) {
	body := &endless{}
	_, err := send(t, connect.Reply{OK: true}, step{code: 200, body: body})
	if err != nil || body.read > 2*maxRead {
		t.Errorf("read %d bytes, %v", body.read, err)
	}
}

// overTLS is a real bucket that the sender reaches by CloudFormation's host name.
func overTLS(t *testing.T, trusted bool, h http.HandlerFunc) *Sender {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != goodHost+":443" {
			t.Errorf("dialled %s", address)
		}
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}}
	t.Cleanup(transport.CloseIdleConnections)
	if trusted {
		pool := x509.NewCertPool()
		pool.AddCert(server.Certificate())
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, ServerName: "example.com", MinVersion: tls.VersionTLS12}
	}
	s := NewSender(transport, atOnce)
	s.pause = 0
	return s
}

func TestOverTheWire(t *testing.T) {
	var got *http.Request
	var body []byte
	s := overTLS(t, true, func(_ http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
	})
	if err := s.Answer(t.Context(), replyTo(t), connect.Reply{OK: true}); err != nil {
		t.Fatal(err)
	}
	_, typed := got.Header["Content-Type"]
	if got.Method != http.MethodPut || got.Host != goodHost || got.RequestURI != key+signature || typed || got.ContentLength != int64(len(body)) || !json.Valid(body) {
		t.Errorf("%s %s host %s %v: %s", got.Method, got.RequestURI, got.Host, got.Header, body)
	}
}

func TestRedirectOverTheWireIsNotFollowed(t *testing.T) {
	hits := 0
	s := overTLS(t, true, func(w http.ResponseWriter, r *http.Request) {
		hits++
		http.Redirect(w, r, "https://attacker.example/", http.StatusTemporaryRedirect)
	})
	if err := s.Answer(t.Context(), replyTo(t), connect.Reply{OK: true}); err == nil || hits != 1 {
		t.Errorf("%d hits, %v", hits, err)
	}
}

func TestUnknownCertificatesAreRefused(t *testing.T) {
	s := overTLS(t, false, func(http.ResponseWriter, *http.Request) { t.Error("the answer was sent") })
	if err := s.Answer(t.Context(), replyTo(t), connect.Reply{OK: true}); err == nil {
		t.Error("no error")
	}
}

func TestOwnTransportUsesNoProxy(t *testing.T) {
	transport, ok := NewSender(nil, atOnce).client.Transport.(*http.Transport)
	if !ok || transport.Proxy != nil || transport.TLSClientConfig != nil {
		t.Errorf("transport %+v", transport)
	}
}

func TestLongReasonsAreCutToCloudFormationsLimit(t *testing.T) {
	const limit = 4096 // CloudFormation's
	frame := func() int {
		b, err := encode(replyTo(t), connect.Reply{Reason: connect.Reason{Code: "C", Message: ""}})
		if err != nil {
			t.Fatal(err)
		}
		return len(b) - len(".")
	}()
	for name, char := range map[string]string{
		"ASCII": "a", "two bytes": "ä", "three bytes": "€", "four bytes": "😀", "quotes": `"`, "backslashes": `\`, "controls": "\x01",
		"line separators": "\u2028", "HTML": "<", "newlines": "\n", "invalid": "\xff",
	} {
		for _, size := range []int{limit - 1, limit, limit + 1, 6108, 100_000} {
			// Filler of one byte each brings the encoded body to the very size; then come the odd characters.
			room := size - frame - len(".")
			odd := strings.Repeat(char, 50)
			encoded, _ := json.Marshal(odd)
			if char == "<" {
				encoded = []byte(`"` + odd + `"`)
			}
			message := strings.Repeat("x", room-len(encoded)+2) + odd
			body, err := encode(replyTo(t), connect.Reply{Reason: connect.Reason{Code: "C", Message: message}})
			if err != nil {
				t.Fatal(err)
			}
			var a answer
			if !json.Valid(body) || !utf8.Valid(body) || json.Unmarshal(body, &a) != nil {
				t.Fatalf("%s, %d: %s", name, size, body)
			}
			if size <= limit && len(body) != size {
				t.Errorf("%s: a body of %d bytes became %d", name, size, len(body))
			}
			if len(body) > limit || (size > limit && len(body) < limit-6) {
				t.Errorf("%s: a body of %d bytes became %d", name, size, len(body))
			}
			if strings.ContainsRune(a.Reason, utf8.RuneError) && char != "\xff" {
				t.Errorf("%s: cut within a character", name)
			}
			if a.Status != statusFailed || a.PhysicalID != connectionID || a.RequestID != "9f8e7d6c-0000" {
				t.Errorf("%s: %+v", name, a)
			}
		}
	}
}

func TestReasonsEndWithAWholeCharacter(t *testing.T) {
	for _, char := range []string{"ä", "€", "😀", "\u2028"} {
		for lead := range 8 { // wherever the characters come to lie
			body, err := encode(replyTo(t), connect.Reply{Reason: connect.Reason{Code: "C", Message: strings.Repeat("x", lead) + strings.Repeat(char, 3000)}})
			var a answer
			if err != nil || json.Unmarshal(body, &a) != nil || len(body) > 4096 || len(body) < 4096-12 {
				t.Fatalf("%d bytes, %v", len(body), err)
			}
			if strings.ContainsRune(a.Reason, utf8.RuneError) {
				t.Errorf("%q, %d: cut within a character", char, lead)
			}
		}
	}
}

func TestLongestIDsLeaveRoom(t *testing.T) {
	to := replyTo(t)
	to.RequestID, to.LogicalID, to.PhysicalID = strings.Repeat("\x01", maxID), strings.Repeat("\x01", maxID), strings.Repeat("p", maxID)
	body, err := encode(to, connect.Reply{Reason: connect.Reason{Code: "C", Message: strings.Repeat("m", 9000)}})
	if err != nil || len(body) > maxAnswer || len(body) < maxAnswer-6 {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	to.PhysicalID = strings.Repeat("p", 5000)
	if _, err := encode(to, connect.Reply{}); err == nil {
		t.Error("ids beyond the limit were encoded")
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add("C", "message", "fix", true, "1", "Connection", connectionID)
	f.Add("C", strings.Repeat("😀", 2000), "\xff", false, "1", "Connection", "")
	f.Add("", strings.Repeat("<>&", 3000), strings.Repeat("\u2028", 500), false, "", "", "x")
	stack := stackIn(f, "aws", "eu-west-1").String()
	f.Fuzz(func(t *testing.T, code, message, fix string, ok bool, request, logical, physical string) {
		request, logical, physical = cut(request, maxID), cut(logical, maxID), cut(physical, maxID)
		to := connect.ReplyTo{StackID: stack, RequestID: request, LogicalID: logical, PhysicalID: physical}
		body, err := encode(to, connect.Reply{OK: ok, Reason: connect.Reason{Code: connect.Code(code), Message: message, Fix: fix}})
		if err != nil {
			if len(request)+len(logical)+len(physical) > 500 { // three long ids full of escapes
				return
			}
			t.Fatal(err)
		}
		var a answer
		if len(body) > maxAnswer || !utf8.Valid(body) || json.Unmarshal(body, &a) != nil {
			t.Fatalf("%d bytes: %s", len(body), body)
		}
		if a.PhysicalID == "" || (a.Status == statusFailed) == ok || (!ok && a.Reason == "" && len(body) < 4000) {
			t.Fatalf("answer %+v", a)
		}
	})
}
