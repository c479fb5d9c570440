package wire_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"rolecall/infra/local/wire"
)

const (
	bucketURL = "https://cloudformation-custom-resource-response-euwest1.s3.eu-west-1.amazonaws.com"
	objectKey = "arn:aws:cloudformation:eu-west-1:222222222222:stack/st/0a1b|Connection|9f8e ~+%"
)

// AWS's SDK signs the same address with the same signature.
func TestPresignedAddressesAreThoseOfTheSDK(t *testing.T) {
	at := time.Date(2026, 3, 4, 23, 59, 59, 0, time.UTC)
	for _, tt := range []struct {
		name, method, bucket string
		by                   wire.Credentials
		life                 time.Duration
	}{
		{"a key", "PUT", bucketURL, wire.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "secret/+="}, 7200 * time.Second},
		{"temporary", "PUT", bucketURL, wire.Credentials{AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: "s", SessionToken: "IQoJ/b3+Jp=="}, 7199 * time.Second},
		{"the laptop's bucket", "GET", "http://127.0.0.1:4566/_cfn-response", wire.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "s"}, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := url.Parse(tt.by.Presign(tt.method, tt.bucket, objectKey, "eu-west-1", at, tt.life))
			if err != nil {
				t.Fatal(err)
			}
			if decoded, _ := url.PathUnescape(strings.TrimPrefix(got.EscapedPath(), "/")); !strings.HasSuffix(decoded, objectKey) {
				t.Errorf("the key is %s", decoded)
			}
			unsigned := *got
			unsigned.RawQuery = "X-Amz-Expires=" + got.Query().Get("X-Amz-Expires")
			r, err := http.NewRequestWithContext(t.Context(), tt.method, unsigned.String(), nil)
			if err != nil {
				t.Fatal(err)
			}
			signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
			by := aws.Credentials{AccessKeyID: tt.by.AccessKeyID, SecretAccessKey: tt.by.SecretAccessKey, SessionToken: tt.by.SessionToken}
			signed, _, err := signer.PresignHTTP(t.Context(), by, r, "UNSIGNED-PAYLOAD", "s3", "eu-west-1", at)
			if err != nil {
				t.Fatal(err)
			}
			want, err := url.Parse(signed)
			if err != nil {
				t.Fatal(err)
			}
			if got.Query().Encode() != want.Query().Encode() || got.EscapedPath() != want.EscapedPath() || got.Host != want.Host {
				t.Errorf("signed\n%s, the SDK\n%s", got, want)
			}
		})
	}
}

// Whatever is changed in a presigned request, but its body and its unsigned headers, spoils the signature.
func TestPresigned(t *testing.T) {
	by := wire.Credentials{AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: "secret", SessionToken: "token"}
	address := by.Presign("PUT", bucketURL, "a:b|c", "eu-west-1", time.Unix(1772600000, 0), time.Hour)
	set := func(name, value string) func(r *http.Request) {
		return func(r *http.Request) {
			q := r.URL.Query()
			q.Set(name, value)
			r.URL.RawQuery = q.Encode()
		}
	}
	for name, tt := range map[string]struct {
		spoil  func(r *http.Request)
		secret string
		good   bool
	}{
		"as it was made":              {good: true},
		"key in other letters":        {spoil: func(r *http.Request) { r.URL.RawPath = "/a%3ab%7cc" }, good: true},
		"another header":              {spoil: func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, good: true},
		"parameters in another order": {spoil: set("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), good: true},
		"another secret":              {secret: "Secret"},
		"another method":              {spoil: func(r *http.Request) { r.Method = "GET" }},
		"another key":                 {spoil: func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/a:b|d", "" }},
		"another host":                {spoil: func(r *http.Request) { r.Host = "attacker.example" }},
		"a longer life":               {spoil: set("X-Amz-Expires", "7200")},
		"a later date":                {spoil: set("X-Amz-Date", "20260304T060000Z")},
		"another Region":              {spoil: set("X-Amz-Credential", "ASIAEXAMPLE/20260304/us-east-1/s3/aws4_request")},
		"another key id":              {spoil: set("X-Amz-Credential", "AKIAEXAMPLE/20260304/eu-west-1/s3/aws4_request")},
		"another token":               {spoil: set("X-Amz-Security-Token", "t")},
		"another signed header":       {spoil: set("X-Amz-SignedHeaders", "content-type;host")},
		"a parameter more":            {spoil: set("x-id", "PutObject")},
		"no signature":                {spoil: set("X-Amz-Signature", "")},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), "PUT", address, strings.NewReader("body"))
			if tt.spoil != nil {
				tt.spoil(r)
			}
			if tt.secret == "" {
				tt.secret = "secret"
			}
			text, ok := wire.Presigned(r, tt.secret)
			if ok != tt.good || !strings.HasPrefix(text, "AWS4-HMAC-SHA256\n2026") {
				t.Errorf("taken %v: %s", ok, text)
			}
		})
	}
}
