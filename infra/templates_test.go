package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rolecall/infra/local/iam"
	"rolecall/infra/local/s3"
	"rolecall/infra/local/wire"
)

// What is published stays: the bucket's own policy, as it is deployed, refuses everybody who would write over it, copy onto it
// or take it away, the function that uploads and the account's root among them.
func TestWhatIsPublishedStays(t *testing.T) {
	accounts, objects := iam.New(time.Now), s3.New(time.Now)
	if err := objects.CreateBucket(laptopAccount, "eu-west-1", "templates"); err != nil {
		t.Fatal(err)
	}
	known := map[string]string{"${Templates.Arn}": "arn:aws:s3:::templates"}
	policy := jsonOf(t, literal(home().one(t, "AWS::S3::BucketPolicy", "TemplatesPolicy").Properties["PolicyDocument"], known))
	if err := objects.SetPolicy("templates", policy); err != nil {
		t.Fatal(err)
	}
	key := "/templates/" + flat(home().one(t, publishedType, "PublishedTemplate").Properties["Key"])
	uploader := sessionOf(t, accounts, addRoleOf(t, accounts, home().one(t, "AWS::IAM::Role", "UploadRole"), known))
	root, err := accounts.Authenticate(laptopAccount, "")
	if err != nil {
		t.Fatal(err)
	}
	try := func(who wire.Principal, method, path string, headers ...string) int {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Set(name, value)
		}
		call := &wire.Call{Service: "s3", Region: "eu-west-1", HTTP: r, Body: []byte(method + who.ARN), Principal: who}
		needs, err := objects.Needs(call)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range needs {
			if accounts.Authorize(who, n) != nil {
				return http.StatusForbidden
			}
		}
		_, err = objects.Serve(t.Context(), call)
		if refused, ok := errors.AsType[*wire.Error](err); ok {
			return refused.Status
		}
		if err != nil {
			t.Fatal(err)
		}
		return http.StatusOK
	}
	const once = "If-None-Match: *"
	for _, tt := range []struct {
		what         string
		who          wire.Principal
		method, path string
		headers      []string
		want         int
	}{
		{"an upload without the condition", uploader, "PUT", key, nil, http.StatusForbidden},
		{"the upload", uploader, "PUT", key, []string{once}, http.StatusOK},
		{"a second one", uploader, "PUT", key, []string{once}, http.StatusPreconditionFailed},
		{"one over it", uploader, "PUT", key, nil, http.StatusForbidden},
		{"root's over it", root, "PUT", key, nil, http.StatusForbidden},
		{"root's with the condition", root, "PUT", key, []string{once}, http.StatusPreconditionFailed},
		{"root's on another condition", root, "PUT", key, []string{`If-Match: "0"`}, http.StatusForbidden},
		{"a copy onto it", root, "PUT", key, []string{"X-Amz-Copy-Source: /templates/other"}, http.StatusForbidden},
		{"a copy with the condition", root, "PUT", key, []string{"X-Amz-Copy-Source: /templates/other", once}, http.StatusNotImplemented},
		{"its end", root, "DELETE", key, nil, http.StatusForbidden},
		{"its end by the function", uploader, "DELETE", key, nil, http.StatusForbidden},
		{"an upload elsewhere", uploader, "PUT", "/templates/connection/evil.yaml", []string{once}, http.StatusForbidden},
		{"anybody's reading", wire.Principal{Account: "222222222222", ARN: "arn:aws:iam::222222222222:root"}, "GET", key, nil, http.StatusOK},
	} {
		if got := try(tt.who, tt.method, tt.path, tt.headers...); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.what, got, tt.want)
		}
	}
	if o, err := objects.GetObject("templates", key[len("/templates/"):]); err != nil || string(o.Body) != "PUT"+uploader.ARN {
		t.Errorf("%s, %v", o.Body, err)
	}
}
