package wire_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"rolecall/infra/local/wire"
)

// The SDK's own signatures are taken, whatever is in the request; with another secret, or of another request, they are not.
func TestSignaturesAreThoseOfTheSecret(t *testing.T) {
	const secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	server := wire.NewServer(wire.Config{
		Authenticator: door{}, Authorizer: door{}, Clock: time.Now,
		Secrets: func(id string) (string, bool) { return secret, id == goodKey },
	})
	for _, name := range []string{"sts", "s3", "scheduler"} {
		server.Register(name, fake{serve: func(*wire.Call) (wire.Response, error) {
			return wire.Response{Raw: []byte("{}"), ContentType: "application/json"}, nil
		}})
	}
	http1 := httptest.NewServer(server)
	defer http1.Close()
	asked := func(service, key, secret, method, path, body string, spoil func(*http.Request)) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, http1.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if service == "sts" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		}
		r.Header.Set("X-Amz-Meta-Spaces", "a   b ")
		sum := sha256.Sum256([]byte(body))
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
		err = signer.SignHTTP(context.Background(), aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}, r, hex.EncodeToString(sum[:]), service, "eu-west-1", start)
		if err != nil {
			t.Fatal(err)
		}
		spoil(r)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	as := func(*http.Request) {}
	const form = "Action=GetCallerIdentity&Version=2011-06-15"
	for _, tt := range []struct {
		name, service, key, secret, method, path, body string
		spoil                                          func(*http.Request)
		status                                         int
	}{
		{"a form", "sts", goodKey, secret, "POST", "/", form, as, 200},
		{"a path", "scheduler", goodKey, secret, "GET", "/schedules/a%20b/%C3%A4+?x=1&a=%2F+z&x=0", "", as, 200},
		{"an object", "s3", goodKey, secret, "PUT", "/bucket/a%20b/c+d?list-type=2&prefix=a%20b", "text", as, 200},
		{"another secret", "sts", goodKey, secret + "x", "POST", "/", form, as, 403},
		{"another secret for an object", "s3", goodKey, "x", "PUT", "/bucket/a", "text", as, 403},
		{"a header changed", "sts", goodKey, secret, "POST", "/", form, func(r *http.Request) { r.Header.Set("X-Amz-Meta-Spaces", "c") }, 403},
		{"a date changed", "sts", goodKey, secret, "POST", "/", form, func(r *http.Request) { r.Header.Set("X-Amz-Date", "20260102T000000Z") }, 403},
		{"a path changed", "scheduler", goodKey, secret, "GET", "/schedules/a", "", func(r *http.Request) { r.URL.Path = "/schedules/b" }, 403},
		{"no signature", "sts", goodKey, secret, "POST", "/", form, func(r *http.Request) {
			head, _, _ := strings.Cut(r.Header.Get("Authorization"), ", SignedHeaders")
			r.Header.Set("Authorization", head)
		}, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := asked(tt.service, tt.key, tt.secret, tt.method, tt.path, tt.body, tt.spoil); got != tt.status {
				t.Errorf("%d, want %d", got, tt.status)
			}
		})
	}
}
