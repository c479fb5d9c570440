package customer_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"rolecall/shared/connect"
	"rolecall/shared/customer"
)

// keyAsks are the three questions that are asked with a customer's key, each of whose secrets is a canary.
func keyAsks(t *testing.T, url string, h *http.Client) map[string]func(context.Context) error {
	t.Helper()
	noRedirect := *h
	noRedirect.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	k := customer.Keys{Client: sts.New(sts.Options{
		Region: "eu-west-1", BaseEndpoint: &url, HTTPClient: &noRedirect, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("ASIAOWN", "own", "own"),
	})}
	keys := connect.Credentials{AccessKeyID: "ASIA1", SecretAccessKey: connect.NewSecret(canary), SessionToken: connect.NewSecret(canary)}
	return map[string]func(context.Context) error{
		"GetCallerIdentity": func(ctx context.Context) error {
			who, err := k.Identity(ctx, keys)
			if who != (connect.Identity{}) {
				t.Error("a failure came with an identity")
			}
			return err
		},
		"GetSessionToken": func(ctx context.Context) error {
			c, err := k.GetSessionToken(ctx, keys, time.Hour)
			if c != (connect.Credentials{}) {
				t.Error("a failure came with credentials")
			}
			return err
		},
		"GetFederationToken": func(ctx context.Context) error {
			s, err := k.GetFederationToken(ctx, keys, connect.FederationRequest{Name: "ada", Policy: "{}", Duration: time.Hour})
			if s != (connect.Session{}) {
				t.Error("a failure came with a session")
			}
			return err
		},
	}
}

// deniesKeys are the faults of faults() that are definite denials of a customer's key, by the code each has: for keys, what
// AWS says of the credentials is said of the customer's own.
var deniesKeys = map[string]connect.Code{
	"denied by STS or IAM":        connect.CodeKeysInvalid,
	"denied in newer words":       connect.CodeKeysInvalid,
	"our own credentials ended":   connect.CodeKeysExpired,
	"our own credentials unknown": connect.CodeKeysInvalid,
	"session token echoed":        connect.CodeKeysInvalid,
}

// keyFaults are those that only an answer about keys can have.
func keyFaults() []fault {
	who := func(account, arn string) http.HandlerFunc {
		return says(200, `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>`+arn+`</Arn><Account>`+account+
			`</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`)
	}
	federated := func(user, secret string) string {
		return `<GetFederationTokenResponse><GetFederationTokenResult>` + user + `<Credentials><AccessKeyId>ASIA2</AccessKeyId><SecretAccessKey>` + secret +
			`</SecretAccessKey><SessionToken>` + canary + `</SessionToken><Expiration>2026-11-21T12:00:00Z</Expiration></Credentials>` +
			`</GetFederationTokenResult></GetFederationTokenResponse>`
	}
	user := `<FederatedUser><Arn>arn:aws:sts::` + customerAccount + `:federated-user/ada</Arn></FederatedUser>`
	return []fault{
		{name: "identity without an account", answer: who("", "arn:aws:iam::"+customerAccount+":user/u")},
		{name: "identity of a strange account", answer: who("22222222222x", "arn:aws:iam::"+customerAccount+":user/u")},
		{name: "identity without an ARN", answer: who(customerAccount, "")},
		{name: "identity with half an ARN", answer: who(customerAccount, "arn:aws:iam")},
		{name: "federated without a user", answer: says(200, federated("", canary))},
		{name: "federated user of no account", answer: says(200, federated(`<FederatedUser><Arn>arn:aws:sts</Arn></FederatedUser>`, canary))},
		{name: "federated user of a strange account", answer: says(200, federated(strings.Replace(user, customerAccount, "x", 1), canary))},
		{name: "federated without a secret", answer: says(200, federated(user, ""))},
		{name: "federated, cut off", answer: says(200, federated(user, canary)[:200])},
		{name: "signed too late", answer: queryError(403, "SignatureDoesNotMatch", "Signature expired: 20261121T115000Z is now earlier than 20261121T115500Z")},
		{name: "signed too soon", answer: queryError(403, "SignatureDoesNotMatch", "Signature not yet current: 20261121T115000Z")},
		{name: "502 of a proxy with the request in it", answer: func(w http.ResponseWriter, r *http.Request) {
			says(502, "<html>"+r.Header.Get("X-Amz-Security-Token")+r.Header.Get("Authorization"))(w, r)
		}},
		{name: "endless", answer: func(w http.ResponseWriter, _ *http.Request) {
			for line := []byte("<a>" + strings.Repeat(" ", 1<<16)); ; {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		}, hangs: true},
	}
}

// Only a definite denial of a customer's key is one. Whatever else AWS, or what stands before it, answers proves nothing,
// comes with nothing, and is told without a secret in it.
func TestHostileAnswersAboutKeys(t *testing.T) {
	for _, f := range append(faults(), keyFaults()...) {
		t.Run(f.name, func(t *testing.T) {
			server := httptest.NewServer(f.answer)
			defer server.Close()
			for name, ask := range keyAsks(t, server.URL, server.Client()) {
				if f.ec2 {
					continue // AWS's STS does not speak so
				}
				ctx, wait := t.Context(), 10*time.Second
				if f.hangs {
					wait = 50 * time.Millisecond
				}
				ctx, stop := context.WithTimeout(ctx, wait)
				err := ask(ctx)
				stop()
				f.judge(t, name, err)
				mustNotLeak(t, err)
			}
		})
	}
}

func (f fault) judge(t *testing.T, operation string, err error) {
	t.Helper()
	want, code := connect.KindUnavailable, deniesKeys[f.name]
	if code != "" {
		want = connect.KindDenied
	}
	if code == connect.CodeKeysInvalid && f.denied && operation == "GetFederationToken" {
		code = connect.CodeKeysFederationDenied
	}
	if kind(err) != want || (code != "" && codeOf(err) != code) {
		t.Errorf("%s: error %v of kind %d, code %q; want kind %d, code %q", operation, err, kind(err), codeOf(err), want, code)
	}
}

func codeOf(err error) connect.Code {
	var e *connect.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// A key is sent to nobody but the endpoint that is asked.
func TestKeysFollowNoRedirect(t *testing.T) {
	followed := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request) {
		followed = true
	}))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	for name, ask := range keyAsks(t, server.URL, server.Client()) {
		if err := ask(t.Context()); kind(err) != connect.KindUnavailable || followed {
			t.Errorf("%s: %v, followed %t", name, err, followed)
		}
	}
}
