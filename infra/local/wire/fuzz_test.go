package wire_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"rolecall/infra/local/wire"
)

// FuzzRequest sends any header, query and body through the whole server: it must not panic, and must answer something
// that a client can read.
func FuzzRequest(f *testing.F) {
	const auth = "AWS4-HMAC-SHA256 Credential=AKIAGOOD/20260102/eu-west-1/"
	f.Add(auth+"sts/aws4_request, SignedHeaders=host, Signature=0", "", "application/x-www-form-urlencoded", "", "Action=GetCallerIdentity&Version=2011-06-15")
	f.Add(auth+"sts/aws4_request", "", "", "Action=GetCallerIdentity", "")
	f.Add(auth+"dynamodb/aws4_request", "DynamoDB_20120810.GetItem", "application/x-amz-json-1.0", "", `{"TableName":"t"}`)
	f.Add(auth+"ec2/aws4_request", "", "application/x-www-form-urlencoded", "", "Action=DescribeRegions")
	f.Add(auth+"s3/aws4_request", "", "", "list-type=2", "")
	f.Add("", "", "", "X-Amz-Credential=AKIAGOOD/20260102/eu-west-1/s3/aws4_request", "")
	f.Add("AWS4-HMAC-SHA256 ,,=,Credential", "", ";;", "%", "Action=%&Action=<x>")
	f.Add(auth+"sts/aws4_request", "", "application/x-www-form-urlencoded", "", "Action=A&Version=\x00\"><b>")

	server := wire.NewServer(wire.Config{Authenticator: door{}, Authorizer: door{}, Clock: func() time.Time { return start }})
	for name, svc := range everywhere(failing(&wire.Error{Code: "Nothing", Message: "\x00<&\xff"})) {
		server.Register(name, svc)
	}
	server.Register("iam", answering(struct{ Arn string }{"\x00<&\xff"}))

	f.Fuzz(func(t *testing.T, authorization, target, contentType, query, body string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Amz-Target", target)
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Code >= http.StatusInternalServerError && w.Code != http.StatusNotImplemented {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if err := readable(w.Header().Get("Content-Type"), w.Body.String()); err != nil {
			t.Fatalf("%v: %s", err, w.Body)
		}
	})
}

// readable reports whether a body is well-formed.
func readable(contentType, body string) error {
	if !strings.Contains(contentType, "xml") {
		if json.Valid([]byte(body)) {
			return nil
		}
		return errors.New("no JSON")
	}
	d := xml.NewDecoder(strings.NewReader(body))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// FuzzForm sends any form to a service that reads it, which must see what the client put in.
func FuzzForm(f *testing.F) {
	f.Add("Name", "a b&c=d", "eu-west-1")
	f.Add("Tags.member.1.Key", "ü\x00<>", "us-east-1")
	f.Fuzz(func(t *testing.T, name, value, version string) {
		if name == "Action" || name == "Version" {
			t.Skip("set below")
		}
		var got url.Values
		server := wire.NewServer(wire.Config{Authenticator: door{}, Authorizer: door{}, Clock: func() time.Time { return start }})
		server.Register("sts", fake{serve: func(c *wire.Call) (wire.Response, error) {
			got = c.Form
			return wire.Response{}, nil
		}})
		form := url.Values{name: {value}, "Action": {"GetCallerIdentity"}, "Version": {version}}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		sign(r, "sts", goodKey)
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if got.Get(name) != value || w.Code != http.StatusOK {
			t.Fatalf("sent %q=%q, got %q; %d %s", name, value, got, w.Code, w.Body)
		}
		if err := readable(w.Header().Get("Content-Type"), w.Body.String()); err != nil {
			t.Fatalf("%v: %s", err, w.Body)
		}
	})
}
