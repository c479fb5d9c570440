package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"rolecall/infra/local/wire"
)

// operation is one API operation. Its action is on the object if the request names one, else on the bucket.
type operation struct {
	action string
	run    func(*wire.Call, target) (wire.Response, error)
}

func (s *Service) table() map[string]operation {
	return map[string]operation{
		"ListBuckets":        {"s3:ListAllMyBuckets", s.listBuckets},
		"CreateBucket":       {"s3:CreateBucket", s.createBucket},
		"HeadBucket":         {"s3:ListBucket", s.headBucket},
		"DeleteBucket":       {"s3:DeleteBucket", s.deleteBucket},
		"GetBucketLocation":  {"s3:GetBucketLocation", s.getBucketLocation},
		"GetBucketPolicy":    {"s3:GetBucketPolicy", s.getBucketPolicy},
		"PutBucketPolicy":    {"s3:PutBucketPolicy", s.putBucketPolicy},
		"DeleteBucketPolicy": {"s3:DeleteBucketPolicy", s.deleteBucketPolicy},
		"ListObjectsV2":      {"s3:ListBucket", s.listObjects},
		"PutObject":          {"s3:PutObject", s.putObject},
		"CopyObject":         {"s3:PutObject", refuseCopy},
		"GetObject":          {"s3:GetObject", s.getObject},
		"HeadObject":         {"s3:GetObject", s.getObject}, // the HTTP server keeps the body of a HEAD to itself
		"DeleteObject":       {"s3:DeleteObject", s.deleteObject},
	}
}

// target is what a request's path names: nothing, a bucket, or an object.
type target struct{ bucket, key string }

func targetOf(r *http.Request) target {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return target{bucket, key}
}

func (t target) arn() string {
	switch {
	case t.bucket == "":
		return "*"
	case t.key == "":
		return "arn:aws:s3:::" + t.bucket
	}
	return "arn:aws:s3:::" + t.bucket + "/" + t.key
}

// Operation tells which operation of S3 a request is, as in "GetObject". A request for something that the pocket AWS does
// not have is named by its method and subresource, as in "PUT ?tagging".
func Operation(r *http.Request) string {
	t := targetOf(r)
	method := r.Method
	if sub := subresource(r.URL.Query()); sub != "" {
		return onSubresource(t, method, sub)
	}
	switch {
	case t.bucket == "":
		return pick(method, map[string]string{http.MethodGet: "ListBuckets"})
	case t.key != "" && r.Header.Get("X-Amz-Copy-Source") != "":
		return "CopyObject"
	case t.key != "":
		return pick(method, map[string]string{
			http.MethodGet: "GetObject", http.MethodHead: "HeadObject", http.MethodPut: "PutObject", http.MethodDelete: "DeleteObject",
		})
	case method == http.MethodGet && r.URL.Query().Get("list-type") != "2":
		return "ListObjects"
	}
	return pick(method, map[string]string{
		http.MethodGet: "ListObjectsV2", http.MethodHead: "HeadBucket", http.MethodPut: "CreateBucket", http.MethodDelete: "DeleteBucket",
	})
}

func onSubresource(t target, method, sub string) string {
	name := method + " ?" + sub
	if t.bucket == "" || t.key != "" {
		return name
	}
	known := map[string]string{
		"GET ?policy": "GetBucketPolicy", "PUT ?policy": "PutBucketPolicy", "DELETE ?policy": "DeleteBucketPolicy",
		"GET ?location": "GetBucketLocation",
	}
	if operation, ok := known[name]; ok {
		return operation
	}
	return name
}

// subresource answers the subresource that a query asks for, "" for none.
func subresource(query url.Values) string {
	for _, name := range []string{
		"accelerate", "acl", "analytics", "attributes", "cors", "delete", "encryption", "intelligent-tiering", "inventory",
		"legal-hold", "lifecycle", "location", "logging", "metrics", "notification", "object-lock", "ownershipControls",
		"partNumber", "policy", "policyStatus", "publicAccessBlock", "replication", "requestPayment", "restore", "retention",
		"select", "session", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
	} {
		if query.Has(name) {
			return name
		}
	}
	return ""
}

func pick(method string, names map[string]string) string {
	if name, ok := names[method]; ok {
		return name
	}
	return method
}

// Needs implements [wire.Service]. It also names the call's operation, which S3 has no header for. A bucket that does not
// exist needs nothing, so that everybody learns that it does not, as in S3.
func (s *Service) Needs(call *wire.Call) ([]wire.Need, error) {
	call.Operation = Operation(call.HTTP)
	op, known := s.operations[call.Operation]
	if !known {
		return nil, unknown(call)
	}
	t := targetOf(call.HTTP)
	need := wire.Need{Action: op.action, Resource: t.arn()}
	if call.Operation == "ListBuckets" || call.Operation == "CreateBucket" {
		return []wire.Need{need}, nil
	}
	switch call.Operation {
	case "ListObjectsV2":
		need.Context = listConditions(call.HTTP.URL.Query())
	case "PutObject", "CopyObject":
		need.Context = writeConditions(call.HTTP.Header)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, exists := s.buckets[t.bucket]
	if !exists {
		return nil, nil
	}
	if owner := call.HTTP.Header.Get("X-Amz-Expected-Bucket-Owner"); owner != "" && owner != b.account {
		return nil, fail(http.StatusForbidden, "AccessDenied", "Access Denied")
	}
	need.ResourcePolicy, need.ResourceAccount = b.policy, b.account
	return []wire.Need{need}, nil
}

func listConditions(query url.Values) map[string][]string {
	out := map[string][]string{"s3:prefix": {query.Get("prefix")}}
	for key, parameter := range map[string]string{"s3:delimiter": "delimiter", "s3:max-keys": "max-keys"} {
		if query.Has(parameter) {
			out[key] = []string{query.Get(parameter)}
		}
	}
	return out
}

// writeConditions are the conditions that an upload makes itself, so that a bucket's policy can demand them.
func writeConditions(header http.Header) map[string][]string {
	out := map[string][]string{}
	for key, name := range map[string]string{"s3:if-none-match": "If-None-Match", "s3:if-match": "If-Match"} {
		if value := header.Get(name); value != "" {
			out[key] = []string{value}
		}
	}
	return out
}

// refuseCopy is all there is of CopyObject. S3 itself cannot copy on a condition, so where a bucket's policy demands one, the
// policy refuses copies without and this refuses copies with one.
func refuseCopy(call *wire.Call, _ target) (wire.Response, error) {
	if len(writeConditions(call.HTTP.Header)) == 0 {
		return wire.Response{}, unknown(call)
	}
	return wire.Response{}, fail(http.StatusNotImplemented, "NotImplemented", "A header you provided implies functionality that is not implemented.")
}

// Serve implements [wire.Service].
func (s *Service) Serve(_ context.Context, call *wire.Call) (wire.Response, error) {
	call.Operation = Operation(call.HTTP)
	op, known := s.operations[call.Operation]
	if !known {
		return wire.Response{}, unknown(call)
	}
	return op.run(call, targetOf(call.HTTP))
}

func unknown(call *wire.Call) error {
	return fail(http.StatusNotImplemented, "InvalidAction", "The request %q is not part of the pocket AWS's S3.", call.Operation)
}

// stamp is how S3's XML writes times.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// owner is how S3's XML names an account.
type owner struct {
	ID          string
	DisplayName string
}

func ownerOf(account string) owner {
	sum := sha256.Sum256([]byte(account))
	return owner{hex.EncodeToString(sum[:]), account}
}

func (s *Service) listBuckets(call *wire.Call, _ target) (wire.Response, error) {
	type item struct {
		Name         string
		CreationDate string
		BucketRegion string
	}
	out := struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListAllMyBucketsResult"`
		Owner   owner
		Buckets []item `xml:"Buckets>Bucket"`
	}{Owner: ownerOf(call.Principal.Account)}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.buckets)) {
		if b := s.buckets[name]; b.account == call.Principal.Account {
			out.Buckets = append(out.Buckets, item{name, stamp(b.created), b.region})
		}
	}
	return wire.Response{Value: out}, nil
}

func (s *Service) createBucket(call *wire.Call, t target) (wire.Response, error) {
	if err := s.CreateBucket(call.Principal.Account, call.Region, t.bucket); err != nil {
		return wire.Response{}, err
	}
	return wire.Response{Header: http.Header{"Location": {"/" + t.bucket}}}, nil
}

func (s *Service) headBucket(_ *wire.Call, t target) (wire.Response, error) {
	b, err := s.bucket(t)
	if err != nil {
		return wire.Response{}, err
	}
	return wire.Response{Header: http.Header{"X-Amz-Bucket-Region": {b.region}}}, nil
}

// bucket answers a copy of the bucket without its objects.
func (s *Service) bucket(t target) (bucket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(t.bucket)
	if err != nil {
		return bucket{}, err
	}
	found := *b
	found.objects = nil
	return found, nil
}

func (s *Service) deleteBucket(_ *wire.Call, t target) (wire.Response, error) {
	return noContent(s.DeleteBucket(t.bucket))
}

func noContent(err error) (wire.Response, error) {
	if err != nil {
		return wire.Response{}, err
	}
	return wire.Response{Status: http.StatusNoContent}, nil
}

func (s *Service) getBucketLocation(_ *wire.Call, t target) (wire.Response, error) {
	b, err := s.bucket(t)
	if err != nil {
		return wire.Response{}, err
	}
	region := b.region
	if region == "us-east-1" {
		region = "" // S3's oldest Region has no name here
	}
	return wire.Response{Value: struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
		Region  string   `xml:",chardata"`
	}{Region: region}}, nil
}

func (s *Service) getBucketPolicy(_ *wire.Call, t target) (wire.Response, error) {
	b, err := s.bucket(t)
	if err != nil {
		return wire.Response{}, err
	}
	if b.policyText == "" {
		return wire.Response{}, fail(http.StatusNotFound, "NoSuchBucketPolicy", "The bucket policy does not exist")
	}
	return wire.Response{Raw: []byte(b.policyText), ContentType: "application/json"}, nil
}

func (s *Service) putBucketPolicy(call *wire.Call, t target) (wire.Response, error) {
	body, _, err := readBody(call.HTTP.Header, call.Body)
	if err != nil {
		return wire.Response{}, err
	}
	return noContent(s.SetPolicy(t.bucket, string(body)))
}

func (s *Service) deleteBucketPolicy(_ *wire.Call, t target) (wire.Response, error) {
	return noContent(s.SetPolicy(t.bucket, ""))
}

func (s *Service) putObject(call *wire.Call, t target) (wire.Response, error) {
	sent := call.HTTP.Header
	body, checksums, err := readBody(sent, call.Body)
	if err != nil {
		return wire.Response{}, err
	}
	o := Object{Body: body, Header: kept(sent)}
	maps.Copy(o.Header, checksums)
	o, err = s.put(t.bucket, t.key, o, func(old Object, exists bool) error { return admits(sent, old, exists) })
	if err != nil {
		return wire.Response{}, err
	}
	answer := http.Header{"Etag": {o.ETag}, "X-Amz-Server-Side-Encryption": {"AES256"}}
	for name, values := range checksums {
		if checksum(strings.ToLower(strings.TrimPrefix(name, checksumPrefix))) != nil {
			answer[name] = values
		}
	}
	return wire.Response{Header: answer}, nil
}

// kept picks the headers that S3 stores with an object.
func kept(sent http.Header) http.Header {
	out := http.Header{}
	for name, values := range sent {
		switch name {
		case "Content-Type", "Cache-Control", "Content-Disposition", "Content-Language", "Expires":
			out[name] = values
		}
		if strings.HasPrefix(name, "X-Amz-Meta-") {
			out[name] = values
		}
	}
	coding := slices.DeleteFunc(encodings(sent), func(c string) bool { return c == "aws-chunked" })
	if len(coding) > 0 {
		out.Set("Content-Encoding", strings.Join(coding, ","))
	}
	return out
}

// admits holds an upload's conditions against what is there.
func admits(sent http.Header, old Object, exists bool) error {
	if sent.Get("If-None-Match") == "*" && exists {
		return preconditionFailed()
	}
	wanted := sent.Get("If-Match")
	switch {
	case wanted == "":
		return nil
	case !exists:
		return fail(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	case strings.Trim(wanted, `"`) != strings.Trim(old.ETag, `"`):
		return preconditionFailed()
	}
	return nil
}

func preconditionFailed() error {
	return fail(http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
}

func (s *Service) getObject(call *wire.Call, t target) (wire.Response, error) {
	o, err := s.GetObject(t.bucket, t.key)
	if err != nil {
		return wire.Response{}, err
	}
	asked := call.HTTP.Header
	if wanted := asked.Get("If-Match"); wanted != "" && wanted != o.ETag {
		return wire.Response{}, preconditionFailed()
	}
	header := described(o, asked.Get("X-Amz-Checksum-Mode") == "ENABLED")
	if asked.Get("If-None-Match") == o.ETag {
		return wire.Response{Status: http.StatusNotModified, Header: header}, nil
	}
	answer := wire.Response{Raw: o.Body, Header: header}
	if answer.Raw == nil {
		answer.Raw = []byte{}
	}
	if asked.Get("Range") == "" {
		return answer, nil
	}
	return part(answer, asked.Get("Range"))
}

// described answers the headers of an object.
func described(o Object, checksums bool) http.Header {
	header := http.Header{
		"Content-Type": {"binary/octet-stream"}, "Etag": {o.ETag}, "Last-Modified": {o.Modified.Format(http.TimeFormat)},
		"Accept-Ranges": {"bytes"}, "X-Amz-Server-Side-Encryption": {"AES256"},
	}
	for name, values := range o.Header {
		if checksums || !strings.HasPrefix(name, checksumPrefix) {
			header[name] = values
		}
	}
	return header
}

// part cuts an answer to the one range asked for; what is not understood is ignored, as HTTP wants it.
func part(answer wire.Response, asked string) (wire.Response, error) {
	size := len(answer.Raw)
	from, to, ok := parseRange(asked, size)
	if !ok {
		return answer, nil
	}
	if from >= size || from > to {
		return wire.Response{}, fail(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range is not satisfiable")
	}
	answer.Status = http.StatusPartialContent
	answer.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, size))
	answer.Raw = answer.Raw[from : to+1]
	for name := range answer.Header {
		if strings.HasPrefix(name, checksumPrefix) {
			delete(answer.Header, name) // it is the whole object's
		}
	}
	return answer, nil
}

// parseRange reads "bytes=1-2", "bytes=1-" and "bytes=-2" for a body of the given size; to is part of the range.
func parseRange(asked string, size int) (from, to int, ok bool) {
	first, last, found := strings.Cut(strings.TrimPrefix(asked, "bytes="), "-")
	if !strings.HasPrefix(asked, "bytes=") || !found || strings.Contains(last, ",") {
		return 0, 0, false
	}
	if first == "" {
		count, err := strconv.ParseUint(last, 10, 31)
		return max(size-int(count), 0), size - 1, err == nil
	}
	start, err := strconv.ParseUint(first, 10, 31)
	if err != nil {
		return 0, 0, false
	}
	if last == "" {
		return int(start), size - 1, true
	}
	end, err := strconv.ParseUint(last, 10, 31)
	return int(start), min(int(end), size-1), err == nil
}

func (s *Service) deleteObject(_ *wire.Call, t target) (wire.Response, error) {
	return noContent(s.DeleteObject(t.bucket, t.key))
}
