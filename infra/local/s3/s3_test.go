package s3_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/s3"
	"rolecall/infra/local/wire"
)

const (
	account = "111111111111"
	region  = "eu-west-1"
	public  = `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::templates/*"},` +
		`{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`
)

func now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func start(t *testing.T) *s3.Service {
	t.Helper()
	s := s3.New(now)
	if err := s.CreateBucket(account, region, "templates"); err != nil {
		t.Fatal(err)
	}
	return s
}

// answer is what a request came to.
type answer struct {
	status int
	code   string // the error's
	header http.Header
	body   string
}

// do serves one request of the account's own, headers given as "Name: value".
func do(t *testing.T, s *s3.Service, method, path string, body []byte, headers ...string) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, bytes.NewReader(body))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	call := &wire.Call{Service: "s3", Region: region, HTTP: r, Body: body, Principal: wire.Principal{Account: account}}
	_, err := s.Needs(call)
	var resp wire.Response
	if err == nil {
		resp, err = s.Serve(t.Context(), call)
	}
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return answer{status: e.Status, code: e.Code}
	}
	if err != nil {
		t.Fatal(err)
	}
	if resp.Status == 0 {
		resp.Status = http.StatusOK
	}
	return answer{status: resp.Status, header: resp.Header, body: string(resp.Raw)}
}

func (a answer) want(t *testing.T, status int, code string) {
	t.Helper()
	if a.status != status || a.code != code {
		t.Errorf("status %d, code %q; want %d, %q", a.status, a.code, status, code)
	}
}

func TestAnObjectComesBackAsItWasPut(t *testing.T) {
	s := start(t)
	put := do(t, s, "PUT", "/templates/v1/a%20b.yaml", []byte("hello"), "Content-Type: text/yaml", "X-Amz-Meta-Version: 1", "Authorization: secret")
	put.want(t, 200, "")
	if etag := put.header.Get("ETag"); etag != `"5d41402abc4b2a76b9719d911017c592"` {
		t.Errorf("ETag %s", etag)
	}
	got := do(t, s, "GET", "/templates/v1/a%20b.yaml", nil)
	got.want(t, 200, "")
	want := http.Header{
		"Content-Type": {"text/yaml"}, "X-Amz-Meta-Version": {"1"}, "Etag": {`"5d41402abc4b2a76b9719d911017c592"`},
		"Last-Modified": {"Sun, 01 Mar 2026 12:00:00 GMT"}, "Accept-Ranges": {"bytes"}, "X-Amz-Server-Side-Encryption": {"AES256"},
	}
	if diff := cmp.Diff(want, got.header); diff != "" || got.body != "hello" {
		t.Errorf("body %q, headers %s", got.body, diff)
	}
	do(t, s, "HEAD", "/templates/v1/a%20b.yaml", nil).want(t, 200, "")
	do(t, s, "DELETE", "/templates", nil).want(t, 409, "BucketNotEmpty")
	do(t, s, "DELETE", "/templates/v1/a%20b.yaml", nil).want(t, 204, "")
	do(t, s, "DELETE", "/templates/v1/a%20b.yaml", nil).want(t, 204, "")
	do(t, s, "GET", "/templates/v1/a%20b.yaml", nil).want(t, 404, "NoSuchKey")
	do(t, s, "DELETE", "/templates", nil).want(t, 204, "")
	do(t, s, "GET", "/templates/v1/a%20b.yaml", nil).want(t, 404, "NoSuchBucket")
}

func TestConditionsAndRanges(t *testing.T) {
	s := start(t)
	if err := s.PutObject("templates", "k", []byte("0123456789"), nil); err != nil {
		t.Fatal(err)
	}
	o, err := s.GetObject("templates", "k")
	if err != nil {
		t.Fatal(err)
	}
	do(t, s, "PUT", "/templates/k", []byte("x"), "If-None-Match: *").want(t, 412, "PreconditionFailed")
	do(t, s, "PUT", "/templates/k", []byte("x"), `If-Match: "other"`).want(t, 412, "PreconditionFailed")
	do(t, s, "PUT", "/templates/new", []byte("x"), "If-Match: "+o.ETag).want(t, 404, "NoSuchKey")
	do(t, s, "PUT", "/templates/new", []byte("x"), "If-None-Match: *").want(t, 200, "")
	do(t, s, "GET", "/templates/k", nil, "If-None-Match: "+o.ETag).want(t, 304, "")
	do(t, s, "GET", "/templates/k", nil, `If-Match: "other"`).want(t, 412, "PreconditionFailed")
	for asked, want := range map[string]string{
		"bytes=2-4": "234", "bytes=7-": "789", "bytes=-3": "789", "bytes=5-99": "56789", "bytes=-99": "0123456789",
	} {
		got := do(t, s, "GET", "/templates/k", nil, "Range: "+asked)
		got.want(t, 206, "")
		if got.body != want {
			t.Errorf("%s is %q", asked, got.body)
		}
	}
	if got := do(t, s, "GET", "/templates/k", nil, "Range: bytes=2-4").header.Get("Content-Range"); got != "bytes 2-4/10" {
		t.Errorf("Content-Range %q", got)
	}
	for _, asked := range []string{"bytes=10-", "bytes=4-2", "bytes=-0"} {
		do(t, s, "GET", "/templates/k", nil, "Range: "+asked).want(t, 416, "InvalidRange")
	}
	do(t, s, "GET", "/templates/k", nil, "Range: lines=1-2").want(t, 200, "")
}

// check is CRC-64/NVME of "123456789", as the algorithm's catalogue has it.
const check = 0xae8b14860a799888

func TestUploadsAsSDKsSendThem(t *testing.T) {
	crc := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, check))
	const chunked = "X-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	tests := []struct {
		name    string
		body    string
		headers []string
		status  int
		code    string
	}{
		{"plain", "123456789", nil, 200, ""},
		{"with a checksum", "123456789", []string{"X-Amz-Checksum-Crc64nvme: " + crc}, 200, ""},
		{"with CRC32", "123456789", []string{"X-Amz-Checksum-Crc32: y/Q5Jg==", "X-Amz-Sdk-Checksum-Algorithm: CRC32"}, 200, ""},
		{"with a wrong CRC32", "123456789", []string{"X-Amz-Checksum-Crc32: AAAAAA=="}, 400, "BadDigest"},
		{"with MD5", "123456789", []string{"Content-Md5: JfnnlDI7RTiF9RgfG2JNCw=="}, 200, ""},
		{"with a wrong MD5", "123456780", []string{"Content-Md5: JfnnlDI7RTiF9RgfG2JNCw=="}, 400, "BadDigest"},
		{"in chunks", "4\r\n1234\r\n5\r\n56789\r\n0\r\nx-amz-checksum-crc64nvme:" + crc + "\r\n\r\n", []string{chunked, "X-Amz-Decoded-Content-Length: 9"}, 200, ""},
		{"in signed chunks", "9;chunk-signature=00ff\r\n123456789\r\n0;chunk-signature=ff\r\n\r\n", []string{"Content-Encoding: aws-chunked, gzip"}, 200, ""},
		{"in chunks with a wrong trailer", "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", []string{chunked}, 400, "BadDigest"},
		{"in chunks of another length", "9\r\n123456789\r\n0\r\n\r\n", []string{chunked, "X-Amz-Decoded-Content-Length: 8"}, 400, "IncompleteBody"},
		{"in chunks cut short", "9\r\n1234", []string{chunked}, 400, "InvalidRequest"},
		{"in chunks without an end", "9\r\n123456789\r\n", []string{chunked}, 400, "InvalidRequest"},
		{"in no chunks", "123456789", []string{chunked}, 400, "InvalidRequest"},
		{"in a negative chunk", "-1\r\n\r\n", []string{chunked}, 400, "InvalidRequest"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := start(t)
			do(t, s, "PUT", "/templates/k", []byte(test.body), test.headers...).want(t, test.status, test.code)
			got := do(t, s, "GET", "/templates/k", nil, "X-Amz-Checksum-Mode: ENABLED")
			if test.code != "" {
				got.want(t, 404, "NoSuchKey")
				return
			}
			if got.body != "123456789" {
				t.Errorf("stored %q", got.body)
			}
			if coding := got.header.Get("Content-Encoding"); strings.Contains(coding, "chunked") {
				t.Errorf("Content-Encoding %q", coding)
			}
			if strings.Contains(test.body+strings.Join(test.headers, ""), crc) != (got.header.Get("X-Amz-Checksum-Crc64nvme") == crc) {
				t.Errorf("headers %v", got.header)
			}
		})
	}
}

func TestEverybodyReadsWhatThePolicyOpens(t *testing.T) {
	s := start(t)
	if err := s.PutObject("templates", "v1/connection.yaml", []byte("Resources: {}"), nil); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Anonymous())
	defer server.Close()
	ask := func(method, path string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	if status, body := ask("GET", "/templates/v1/connection.yaml"); status != 403 || !strings.Contains(body, "<Code>AccessDenied</Code>") {
		t.Errorf("without a policy: %d %s", status, body)
	}
	if err := s.SetPolicy("templates", public); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		method, path string
		status       int
		holds        string
	}{
		{"GET", "/templates/v1/connection.yaml", 200, "Resources: {}"},
		{"HEAD", "/templates/v1/connection.yaml", 200, ""},
		{"GET", "/templates/v1/nope.yaml", 404, "<Code>NoSuchKey</Code>"},
		{"GET", "/templates?list-type=2", 403, "<Code>AccessDenied</Code>"},
		{"PUT", "/templates/v1/connection.yaml", 403, "<Code>AccessDenied</Code>"},
		{"DELETE", "/templates/v1/connection.yaml", 403, "<Code>AccessDenied</Code>"},
		{"GET", "/", 403, "<Code>AccessDenied</Code>"},
		{"GET", "/nope/k", 404, "<Code>NoSuchBucket</Code>"},
	}
	for _, test := range tests {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			if status, body := ask(test.method, test.path); status != test.status || !strings.Contains(body, test.holds) {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}

func TestNeeds(t *testing.T) {
	s := start(t)
	if err := s.SetPolicy("templates", public); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		method, path, operation, action, resource string
		owned                                     bool
	}{
		{"GET", "/templates/a/b", "GetObject", "s3:GetObject", "arn:aws:s3:::templates/a/b", true},
		{"HEAD", "/templates/a/b?x-id=HeadObject", "HeadObject", "s3:GetObject", "arn:aws:s3:::templates/a/b", true},
		{"PUT", "/templates/a", "PutObject", "s3:PutObject", "arn:aws:s3:::templates/a", true},
		{"DELETE", "/templates/a", "DeleteObject", "s3:DeleteObject", "arn:aws:s3:::templates/a", true},
		{"GET", "/templates/?list-type=2&prefix=a", "ListObjectsV2", "s3:ListBucket", "arn:aws:s3:::templates", true},
		{"PUT", "/templates?policy", "PutBucketPolicy", "s3:PutBucketPolicy", "arn:aws:s3:::templates", true},
		{"PUT", "/fresh", "CreateBucket", "s3:CreateBucket", "arn:aws:s3:::fresh", false},
		{"GET", "/", "ListBuckets", "s3:ListAllMyBuckets", "*", false},
	}
	for _, test := range tests {
		t.Run(test.operation, func(t *testing.T) {
			call := &wire.Call{HTTP: httptest.NewRequestWithContext(t.Context(), test.method, test.path, nil)}
			needs, err := s.Needs(call)
			if err != nil || len(needs) != 1 {
				t.Fatalf("needs %v, error %v", needs, err)
			}
			n := needs[0]
			if call.Operation != test.operation || n.Action != test.action || n.Resource != test.resource {
				t.Errorf("%s needs %s on %s", call.Operation, n.Action, n.Resource)
			}
			if owned := n.ResourcePolicy != nil && n.ResourceAccount == account; owned != test.owned {
				t.Errorf("policy %v, account %q", n.ResourcePolicy, n.ResourceAccount)
			}
		})
	}
	do(t, s, "GET", "/templates/a?tagging", nil).want(t, 501, "InvalidAction")
	do(t, s, "POST", "/templates/a?uploads", nil).want(t, 501, "InvalidAction")
	do(t, s, "PUT", "/templates/a", nil, "X-Amz-Copy-Source: /templates/b").want(t, 501, "InvalidAction")
	do(t, s, "PUT", "/templates/a", nil, "X-Amz-Copy-Source: /templates/b", "If-None-Match: *").want(t, 501, "NotImplemented")
	do(t, s, "GET", "/templates/a", nil, "X-Amz-Expected-Bucket-Owner: 222222222222").want(t, 403, "AccessDenied")
}

// A bucket's policy may demand that uploads overwrite nothing, and sees of copies what it sees of uploads.
func TestThePolicySeesConditions(t *testing.T) {
	s := start(t)
	tests := []struct {
		headers []string
		want    map[string][]string
	}{
		{nil, map[string][]string{}},
		{[]string{"If-None-Match: *"}, map[string][]string{"s3:if-none-match": {"*"}}},
		{[]string{`If-Match: "a"`}, map[string][]string{"s3:if-match": {`"a"`}}},
		{[]string{"X-Amz-Copy-Source: /templates/b"}, map[string][]string{}},
		{[]string{"X-Amz-Copy-Source: /templates/b", "If-None-Match: *"}, map[string][]string{"s3:if-none-match": {"*"}}},
	}
	for _, test := range tests {
		r := httptest.NewRequestWithContext(t.Context(), "PUT", "/templates/a", nil)
		for _, h := range test.headers {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Set(name, value)
		}
		needs, err := s.Needs(&wire.Call{HTTP: r})
		if err != nil || len(needs) != 1 || needs[0].Action != "s3:PutObject" {
			t.Fatal(needs, err)
		}
		if d := cmp.Diff(test.want, needs[0].Context); d != "" {
			t.Errorf("%v: %s", test.headers, d)
		}
	}
}

func TestBuckets(t *testing.T) {
	s := start(t)
	do(t, s, "PUT", "/templates", nil).want(t, 409, "BucketAlreadyOwnedByYou")
	if err := s.CreateBucket("222222222222", region, "templates"); err == nil || !strings.Contains(err.Error(), "BucketAlreadyExists") {
		t.Errorf("another account's: %v", err)
	}
	do(t, s, "PUT", "/Upper", nil).want(t, 400, "InvalidBucketName")
	do(t, s, "GET", "/templates?policy", nil).want(t, 404, "NoSuchBucketPolicy")
	do(t, s, "PUT", "/templates?policy", []byte(`{"Statement":`)).want(t, 400, "MalformedPolicy")
	do(t, s, "PUT", "/templates?policy", []byte(public)).want(t, 204, "")
	if got := do(t, s, "GET", "/templates?policy", nil); got.body != public {
		t.Errorf("policy %s", got.body)
	}
	do(t, s, "DELETE", "/templates?policy", nil).want(t, 204, "")
	do(t, s, "GET", "/templates?policy", nil).want(t, 404, "NoSuchBucketPolicy")
}

func TestWritersAndReadersAtOnce(t *testing.T) {
	s := start(t)
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			body := bytes.Repeat([]byte{byte('a' + i%26)}, 100)
			if err := s.PutObject("templates", "k", body, nil); err != nil {
				t.Error(err)
			}
			got, err := s.GetObject("templates", "k")
			if err != nil || len(bytes.Trim(got.Body, string(got.Body[:1]))) != 0 {
				t.Errorf("read %s, error %v", got.Body, err)
			}
		})
	}
	group.Wait()
}

// everybody knows every access key as an account's root and lets it do everything.
type everybody struct{}

func (everybody) Authenticate(key, _ string) (wire.Principal, error) {
	return wire.Principal{Account: key, ARN: "arn:aws:iam::" + key + ":root", UserID: key}, nil
}

func (everybody) Authorize(wire.Principal, wire.Need) error { return nil }

func TestTheGoSDKUsesABucket(t *testing.T) {
	door := wire.NewServer(wire.Config{Authenticator: everybody{}, Authorizer: everybody{}, Clock: now})
	door.Register("s3", start(t))
	server := httptest.NewServer(door)
	defer server.Close()
	client := awss3.New(awss3.Options{
		Region: region, BaseEndpoint: &server.URL, HTTPClient: server.Client(), UsePathStyle: true,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		Credentials:                credentials.NewStaticCredentialsProvider(account, "any", ""),
	})
	ctx := t.Context()
	bucket := aws.String("made")
	if _, err := client.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		key := fmt.Sprintf("dir %d/<key>+%d", i/2, i)
		_, err := client.PutObject(ctx, &awss3.PutObjectInput{
			Bucket: bucket, Key: &key, Body: strings.NewReader(key), Metadata: map[string]string{"n": fmt.Sprint(i)},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := client.GetObject(ctx, &awss3.GetObjectInput{Bucket: bucket, Key: aws.String("dir 0/<key>+1"), ChecksumMode: s3types.ChecksumModeEnabled})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(got.Body) // compares the checksum too
	if err != nil || string(body) != "dir 0/<key>+1" || got.Metadata["n"] != "1" || aws.ToString(got.ChecksumCRC32) == "" {
		t.Errorf("got %q, %+v, error %v", body, got, err)
	}
	if err := got.Body.Close(); err != nil {
		t.Error(err)
	}
	var keys []string
	pages := awss3.NewListObjectsV2Paginator(client, &awss3.ListObjectsV2Input{Bucket: bucket, MaxKeys: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			keys = append(keys, aws.ToString(o.Key))
		}
	}
	want := []string{"dir 0/<key>+0", "dir 0/<key>+1", "dir 1/<key>+2", "dir 1/<key>+3", "dir 2/<key>+4"}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Error(diff)
	}
	var folders []string
	pages = awss3.NewListObjectsV2Paginator(client, &awss3.ListObjectsV2Input{Bucket: bucket, Delimiter: aws.String("/"), MaxKeys: aws.Int32(1)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.CommonPrefixes {
			folders = append(folders, aws.ToString(p.Prefix))
		}
	}
	if diff := cmp.Diff([]string{"dir 0/", "dir 1/", "dir 2/"}, folders); diff != "" {
		t.Error(diff)
	}
	_, err = client.GetObject(ctx, &awss3.GetObjectInput{Bucket: bucket, Key: aws.String("nope")})
	if missing := (*s3types.NoSuchKey)(nil); !errors.As(err, &missing) {
		t.Errorf("error %v", err)
	}
	_, err = client.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: bucket, Key: aws.String("nope")})
	if missing := (*s3types.NotFound)(nil); !errors.As(err, &missing) {
		t.Errorf("error %v", err)
	}
	buckets, err := client.ListBuckets(ctx, nil)
	if err != nil || len(buckets.Buckets) != 2 || !buckets.Buckets[0].CreationDate.Equal(now()) {
		t.Errorf("buckets %+v, error %v", buckets, err)
	}
}
