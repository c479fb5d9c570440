// Package s3 is the pocket AWS's Simple Storage Service: buckets with policies and objects in memory, addressed by path.
// Multipart uploads, versions and access control lists are refused; every object is private unless the bucket's policy
// says otherwise.
package s3

import (
	"crypto/md5" //nolint:gosec // S3's ETags are MD5 digests
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"time"

	"rolecall/infra/local/policy"
	"rolecall/infra/local/wire"
)

// Service holds all buckets; their names are unique among all accounts. Make one with [New].
type Service struct {
	clock      func() time.Time
	operations map[string]operation

	mu      sync.Mutex
	buckets map[string]*bucket
}

var _ wire.Service = (*Service)(nil)

// bucket is guarded by the service's mutex.
type bucket struct {
	name, account, region string

	created    time.Time
	policy     *policy.Document
	policyText string
	objects    map[string]Object // by key
}

// An Object is stored content. It is never changed: a new one takes its place.
type Object struct {
	Body     []byte
	Header   http.Header // Content-Type, Cache-Control, X-Amz-Meta-…, X-Amz-Checksum-…, as given with the object
	ETag     string      // quoted; given by PutObject
	Modified time.Time   // given by PutObject
}

// New makes a service without buckets.
func New(clock func() time.Time) *Service {
	s := &Service{clock: clock, buckets: map[string]*bucket{}}
	s.operations = s.table()
	return s
}

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// CreateBucket makes a bucket that belongs to account.
func (s *Service) CreateBucket(account, region, name string) error {
	if !bucketName.MatchString(name) {
		return fail(http.StatusBadRequest, "InvalidBucketName", "The specified bucket is not valid.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, exists := s.buckets[name]; exists {
		if old.account == account {
			return fail(http.StatusConflict, "BucketAlreadyOwnedByYou",
				"Your previous request to create the named bucket succeeded and you already own it.")
		}
		return fail(http.StatusConflict, "BucketAlreadyExists", "The requested bucket name is not available.")
	}
	s.buckets[name] = &bucket{name: name, account: account, region: region, created: s.clock(), objects: map[string]Object{}}
	return nil
}

// DeleteBucket removes an empty bucket.
func (s *Service) DeleteBucket(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(name)
	if err != nil {
		return err
	}
	if len(b.objects) > 0 {
		return fail(http.StatusConflict, "BucketNotEmpty", "The bucket you tried to delete is not empty.")
	}
	delete(s.buckets, name)
	return nil
}

// SetPolicy sets a bucket's policy; "" removes it.
func (s *Service) SetPolicy(name, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(name)
	if err != nil {
		return err
	}
	if text == "" {
		b.policy, b.policyText = nil, ""
		return nil
	}
	document, err := policy.Parse([]byte(text))
	if err == nil {
		err = document.CheckResource()
	}
	if err != nil {
		return fail(http.StatusBadRequest, "MalformedPolicy", "The policy is not valid: %v", err)
	}
	b.policy, b.policyText = &document, text
	return nil
}

// PutObject stores an object without asking who does it. The body is kept as it is: do not change it afterwards.
func (s *Service) PutObject(bucket, key string, body []byte, header http.Header) error {
	_, err := s.put(bucket, key, Object{Body: body, Header: header.Clone()}, func(Object, bool) error { return nil })
	return err
}

// put stores an object if admit, asked with the lock held, accepts what is there before it.
func (s *Service) put(name, key string, o Object, admit func(old Object, exists bool) error) (Object, error) {
	sum := md5.Sum(o.Body) //nolint:gosec // S3's ETag
	o.ETag = `"` + hex.EncodeToString(sum[:]) + `"`
	if o.Header == nil {
		o.Header = http.Header{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(name)
	if err != nil {
		return Object{}, err
	}
	old, exists := b.objects[key]
	if err := admit(old, exists); err != nil {
		return Object{}, err
	}
	o.Modified = s.clock().UTC()
	b.objects[key] = o
	return o, nil
}

// GetObject answers an object without asking who reads it; a missing one is NoSuchBucket or NoSuchKey. Do not change what
// it answers.
func (s *Service) GetObject(bucket, key string) (Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(bucket)
	if err != nil {
		return Object{}, err
	}
	o, ok := b.objects[key]
	if !ok {
		return Object{}, fail(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	}
	return o, nil
}

// DeleteObject removes an object; one that is not there is no error, as in S3.
func (s *Service) DeleteObject(bucket, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(bucket)
	if err != nil {
		return err
	}
	delete(b.objects, key)
	return nil
}

func (s *Service) find(name string) (*bucket, error) {
	b, ok := s.buckets[name]
	if !ok {
		return nil, fail(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
	}
	return b, nil
}

func fail(status int, code, format string, args ...any) *wire.Error {
	return &wire.Error{Code: code, Message: fmt.Sprintf(format, args...), Status: status}
}
