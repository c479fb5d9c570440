package customer_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"rolecall/shared/connect"
	"rolecall/shared/customer"
)

// canary stands in every secret that could leak.
const canary = "CANARY+/=secret"

// A fault is one way in which AWS, or what stands before it, can answer.
type fault struct {
	name    string
	answer  http.HandlerFunc
	denied  bool // a definite denial
	ec2     bool // in EC2's own words, which the others do not use
	hangs   bool // the client has to give up
	onlySTS bool
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// queryError is an error of STS and IAM, ec2Error one of EC2.
func queryError(status int, code, message string) http.HandlerFunc {
	return says(status, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>`+code+
		`</Code><Message>`+message+`</Message></Error><RequestId>r-1</RequestId></ErrorResponse>`)
}

func ec2Error(status int, code, message string) http.HandlerFunc {
	return says(status, `<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>`+code+`</Code><Message>`+message+
		`</Message></Error></Errors><RequestID>r-1</RequestID></Response>`)
}

// echo answers as AWS does to a bad signature: with the request's signed headers, the session token among them.
func echo(w http.ResponseWriter, r *http.Request) {
	text := r.Header.Get("X-Amz-Security-Token") + r.Header.Get("Authorization")
	queryError(http.StatusForbidden, "SignatureDoesNotMatch", "The Canonical String for this request should have been "+text)(w, r)
}

func faults() []fault {
	whole := `<AssumeRoleResponse><AssumeRoleResult><AssumedRoleUser><Arn>%s</Arn><AssumedRoleId>AROA:x</AssumedRoleId></AssumedRoleUser>` +
		`<Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>` + canary + `</SecretAccessKey><SessionToken>` + canary +
		`</SessionToken><Expiration>2026-11-21T12:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`
	const arn = "arn:aws:sts::" + customerAccount + ":assumed-role/R/s"
	return []fault{
		{name: "denied by STS or IAM", answer: queryError(403, "AccessDenied", "no "+canary), denied: true},
		{name: "denied in newer words", answer: queryError(403, "AccessDeniedException", "no"), denied: true},
		{name: "denied by EC2", answer: ec2Error(403, "UnauthorizedOperation", "no "+canary), denied: true, ec2: true},

		{name: "500", answer: queryError(500, "InternalFailure", canary)},
		{name: "503", answer: queryError(503, "ServiceUnavailable", "later")},
		{name: "429", answer: queryError(429, "TooManyRequestsException", "slowly")},
		{name: "throttled", answer: queryError(400, "Throttling", "Rate exceeded")},
		{name: "EC2 throttled", answer: ec2Error(503, "RequestLimitExceeded", "Request limit exceeded.")},
		{name: "EC2 internal", answer: ec2Error(500, "InternalError", "oh")},
		{name: "our own credentials ended", answer: queryError(403, "ExpiredToken", "expired")},
		{name: "our own credentials unknown", answer: queryError(403, "InvalidClientTokenId", "unknown")},
		{name: "EC2 knows not the credentials", answer: ec2Error(401, "AuthFailure", "not able to validate")},
		{name: "opt-in", answer: ec2Error(401, "OptInRequired", "sign up")},
		{name: "invalid", answer: queryError(400, "ValidationError", "1 validation error")},
		{name: "session token echoed", answer: echo},
		{name: "a denial that is only in the message", answer: queryError(400, "ValidationError", "AccessDenied UnauthorizedOperation")},
		{name: "a code that only begins like one", answer: queryError(403, "AccessDeniedish", "no")},
		{name: "403 of a proxy", answer: says(403, "<html><head><title>403 Forbidden</title></head><body>AccessDenied</body></html>")},
		{name: "403 without a body", answer: says(403, "")},
		{name: "403 of JSON", answer: says(403, `{"code":"AccessDenied"}`)},
		{name: "403 cut off", answer: says(403, "<ErrorResponse><Error><Code>AccessDenied</Co")},
		{name: "200 without a body", answer: says(200, "")},
		{name: "200 of HTML", answer: says(200, "<html><body>Welcome to the airport's network</body></html>")},
		{name: "200 of unclosed HTML", answer: says(200, "<html><body><br>Welcome & hello")},
		{name: "200 of JSON", answer: says(200, `{"ok":true}`)},
		{name: "200 of garbage", answer: says(200, "\x00\xff\xfe"+canary)},
		{name: "200 without content", answer: says(200, "<AssumeRoleResponse><AssumeRoleResult></AssumeRoleResult></AssumeRoleResponse>")},
		{name: "200 of another operation", answer: says(200, `<GetCallerIdentityResponse><GetCallerIdentityResult/></GetCallerIdentityResponse>`)},
		{name: "200 with a list of nothing", answer: says(200, "<DescribeRegionsResponse><regionInfo/></DescribeRegionsResponse>")},
		{name: "200 with half an escape", answer: says(200,
			"<GetRoleResponse><GetRoleResult><Role><AssumeRolePolicyDocument>%7B%2</AssumeRolePolicyDocument></Role></GetRoleResult></GetRoleResponse>")},
		{name: "200 cut off", answer: says(200, whole[:len(whole)-40])},
		{name: "200 cut off in Regions", answer: says(200, "<DescribeRegionsResponse><regionInfo><item><regionName>eu-west-1</regionName></item>")},
		{name: "200 shorter than announced", answer: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "4096")
			says(200, "<DescribeRegionsResponse>")(w, r)
		}},
		{name: "session without an account", answer: says(200, fmt.Sprintf(whole, "assumed-role/R/s")), onlySTS: true},
		{name: "session of a strange account", answer: says(200, fmt.Sprintf(whole, "arn:aws:sts::22222:assumed-role/R/s")), onlySTS: true},
		{name: "session without a secret", answer: says(200, strings.Replace(fmt.Sprintf(whole, arn), canary, "", 1)), onlySTS: true},
		{name: "session without an end", answer: says(200, strings.Replace(fmt.Sprintf(whole, arn), "<Expiration>2026-11-21T12:00:00Z</Expiration>", "", 1)), onlySTS: true},
		{name: "redirected", answer: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			says(http.StatusTemporaryRedirect, "")(w, r)
		}},
		{name: "broken off", answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{name: "silent", answer: func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client has left
			<-r.Context().Done()
		}, hangs: true},
	}
}

// asks are the four questions, each with every secret of its own a canary.
func asks(t *testing.T, url string, h *http.Client) map[string]func(context.Context) error {
	t.Helper()
	noRedirect := *h
	noRedirect.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	assume := customer.Assumer{Client: sts.New(sts.Options{
		Region: "eu-west-1", BaseEndpoint: &url, HTTPClient: &noRedirect, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("ASIA1", canary, canary),
	})}
	look := customer.Inspector{HTTP: &noRedirect, Clock: time.Now, Endpoint: url}
	creds := connect.Credentials{AccessKeyID: "ASIA1", SecretAccessKey: connect.NewSecret(canary), SessionToken: connect.NewSecret(canary)}
	role := roleARN(t, "arn:aws:iam::"+customerAccount+":role/R")
	return map[string]func(context.Context) error{
		"AssumeRole": func(ctx context.Context) error {
			s, err := assume.AssumeRole(ctx, probe(role, externalID))
			if s != (connect.Session{}) {
				t.Error("a failure came with a session")
			}
			return err
		},
		"Regions": func(ctx context.Context) error {
			_, err := look.Regions(ctx, creds, "eu-west-1")
			return err
		},
		"TrustPolicy": func(ctx context.Context) error {
			_, err := look.TrustPolicy(ctx, creds, role, "eu-west-1")
			return err
		},
		"Permissions": func(ctx context.Context) error {
			_, err := look.Permissions(ctx, creds, role, "eu-west-1", []string{"ec2:DescribeInstances"})
			return err
		},
	}
}

// Only a definite denial may cost a customer the connection. Whatever else goes wrong proves nothing, and nothing that
// goes wrong is told with a secret in it.
func TestOnlyDefiniteDenialsAreDenials(t *testing.T) {
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			server := httptest.NewServer(f.answer)
			defer server.Close()
			for name, ask := range asks(t, server.URL, server.Client()) {
				if f.ec2 && name != "Regions" {
					continue
				}
				if f.onlySTS && name != "AssumeRole" {
					continue
				}
				ctx := t.Context()
				if f.hangs {
					var stop context.CancelFunc
					ctx, stop = context.WithTimeout(ctx, 50*time.Millisecond)
					defer stop()
				}
				err := ask(ctx)
				want := connect.KindUnavailable
				if f.denied {
					want = connect.KindDenied
				}
				if kind(err) != want {
					t.Errorf("%s: error %v of kind %d, want kind %d", name, err, kind(err), want)
				}
				mustNotLeak(t, err)
			}
		})
	}
}

func mustNotLeak(t *testing.T, err error) {
	t.Helper()
	text := fmt.Sprintf("%v %+v %#v %q", err, err, err, err)
	for _, spelling := range []string{canary, url.QueryEscape(canary), url.PathEscape(canary), base64.StdEncoding.EncodeToString([]byte(canary))} {
		if strings.Contains(text, spelling) {
			t.Errorf("the error tells a secret: %s", text)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	of := asks(t, server.URL, http.DefaultClient)
	for name, ask := range keyAsks(t, server.URL, http.DefaultClient) {
		of["by key: "+name] = ask
	}
	for name, ask := range of {
		err := ask(t.Context())
		if kind(err) != connect.KindUnavailable {
			t.Errorf("%s: error %v, want unavailable", name, err)
		}
		mustNotLeak(t, err)
	}
}

// An answer without end must end all the same.
func TestAnEndlessAnswerIsReadOnlySoFar(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<DescribeRegionsResponse>")
		for line := []byte(strings.Repeat(" ", 1<<16)); ; {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	if err := asks(t, server.URL, server.Client())["Regions"](ctx); kind(err) != connect.KindUnavailable || ctx.Err() != nil {
		t.Errorf("error %v", err)
	}
}
