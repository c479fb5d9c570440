// Package upload puts what customers run into the bucket that links lead to, under keys that are written once.
package upload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"rolecall/shared/connect"
)

// An Answerer tells CloudFormation how a request ended.
type Answerer interface {
	Answer(ctx context.Context, to connect.ReplyTo, r connect.Reply) error
}

// An Uploader is the custom resource of the platform's own stack that uploads one object.
type Uploader struct {
	Client   *s3.Client
	Bucket   string
	Answerer Answerer
	Log      *slog.Logger
}

// NewClient makes a client of S3. Of two uploads of one key at a time S3 answers one with a conflict, which is then tried again.
func NewClient(cfg aws.Config) *s3.Client {
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = cfg.BaseEndpoint != nil // a laptop's hosts have no names for buckets
		o.Retryer = retry.AddWithErrorCodes(o.Retryer, "ConditionalRequestConflict")
	})
}

// Handle uploads on Create and Update, and leaves everything where it is on Delete: links and stacks name what was uploaded
// once. The physical ID is the object's key.
func (u Uploader) Handle(ctx context.Context, e cfn.Event) (err error) {
	defer connect.Recovered(&err)
	to := connect.ReplyTo{
		URL: connect.NewSecret(e.ResponseURL), StackID: e.StackID, RequestID: e.RequestID, LogicalID: e.LogicalResourceID,
		PhysicalID: e.PhysicalResourceID,
	}
	reply := connect.Reply{OK: true}
	if e.RequestType != cfn.RequestDelete {
		o := objectOf(e)
		to.PhysicalID = o.key
		if err := u.upload(ctx, o); err != nil {
			u.Log.ErrorContext(ctx, "upload", "key", o.key, "error", err)
			reply = connect.Reply{Reason: reasonOf(err)}
		}
	}
	return u.Answerer.Answer(ctx, to, reply)
}

// An object is what a custom resource asks for: its properties are From, "<bucket>/<key>" of the asset, Key and ContentType.
type object struct{ fromBucket, fromKey, key, contentType string }

func objectOf(e cfn.Event) object {
	text := func(name string) string {
		s, _ := e.ResourceProperties[name].(string)
		return s
	}
	o := object{key: text("Key"), contentType: text("ContentType")}
	o.fromBucket, o.fromKey, _ = strings.Cut(text("From"), "/")
	return o
}

// forEver is what holders of the object are told: a key's content never changes.
const forEver = "public, max-age=31536000, immutable"

// upload writes the object unless there is one. One that is there must be the same.
func (u Uploader) upload(ctx context.Context, o object) error {
	body, err := u.get(ctx, o.fromBucket, o.fromKey)
	if err != nil {
		return fmt.Errorf("read the asset: %w", err)
	}
	_, err = u.Client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &u.Bucket, Key: &o.key, Body: bytes.NewReader(body), ContentType: &o.contentType, CacheControl: aws.String(forEver),
		IfNoneMatch: aws.String("*"),
	})
	if !isThere(err) {
		return err
	}
	there, err := u.get(ctx, u.Bucket, o.key)
	if err != nil {
		return fmt.Errorf("read what is there: %w", err)
	}
	if !bytes.Equal(there, body) {
		return &connect.Error{
			Kind: connect.KindConflict, Code: connect.CodeInternal,
			Message: fmt.Sprintf("%s/%s holds other bytes (SHA-256 %x) than are to be published (%x), and published objects are never overwritten",
				u.Bucket, o.key, sha256.Sum256(there), sha256.Sum256(body)),
			Fix: "Find out who wrote the object, compare both, and publish under another key: the key has the hash of what it should hold.",
		}
	}
	return nil
}

// isThere tells S3's answer to If-None-Match for a key that has an object.
func isThere(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "PreconditionFailed"
}

func (u Uploader) get(ctx context.Context, bucket, key string) ([]byte, error) {
	out, err := u.Client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Body.Close() }()
	return io.ReadAll(out.Body)
}

func reasonOf(err error) connect.Reason {
	var e *connect.Error
	if errors.As(err, &e) {
		return e.Reason()
	}
	return connect.Reason{Code: connect.CodeInternal, Message: err.Error()}
}
