package laptop_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

func platformObjects() *s3.Client {
	return s3.NewFromConfig(awsConfig("111111111111", "any", "", "eu-west-1"), func(o *s3.Options) { o.UsePathStyle = true })
}

// publishBefore puts something into the templates' bucket that an earlier deployment has left there.
func publishBefore(t *testing.T, bucket, key string, body []byte) {
	t.Helper()
	_, err := platformObjects().PutObject(context.Background(), &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: strings.NewReader(string(body)), IfNoneMatch: aws.String("*"),
	})
	if err != nil && codeOf(err) != "PreconditionFailed" {
		t.Fatal(err)
	}
}

func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

// objectBehind is the bucket and the key of a published template's URL.
func objectBehind(address string) (bucket, key string) {
	host, key, _ := strings.Cut(strings.TrimPrefix(address, "https://"), "/")
	bucket, _, _ = strings.Cut(host, ".s3.")
	return bucket, key
}

// What a link leads to stays what it was, whoever wants to put something else there, the platform's own root included.
func TestWhatIsPublishedStays(t *testing.T) {
	t.Parallel()
	c := as(t, "acme-published").create("Published")
	before := template(t, c)
	bucket, key := objectBehind(c.Launch.TemplateURL)
	client, evil, once := platformObjects(), "Resources: {}", aws.String("*")
	for what, attempt := range map[string]struct {
		try  func() error
		want string
	}{
		"overwriting it": {func() error {
			_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(evil)})
			return err
		}, "AccessDenied"},
		"uploading it again": {func() error {
			_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(evil), IfNoneMatch: once})
			return err
		}, "PreconditionFailed"},
		"copying onto it": {func() error {
			_, err := client.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &bucket, Key: &key, CopySource: aws.String(bucket + "/" + key)})
			return err
		}, "AccessDenied"},
		"copying on a condition": {func() error {
			_, err := client.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &bucket, Key: &key, CopySource: aws.String(bucket + "/" + key), IfNoneMatch: once})
			return err
		}, "NotImplemented"},
		"deleting it": {func() error {
			_, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key})
			return err
		}, "AccessDenied"},
	} {
		if got := codeOf(attempt.try()); got != attempt.want {
			t.Errorf("%s: %s, want %s", what, got, attempt.want)
		}
	}
	if after := template(t, c); after != before {
		t.Errorf("the link now leads to %s", after)
	}
}

// A further deployment publishes the same again, by the platform's own function, and cannot publish anything else there.
func TestPublishingAgain(t *testing.T) {
	t.Parallel()
	c := as(t, "acme-republished").create("Published again")
	before := template(t, c)
	_, key := objectBehind(c.Launch.TemplateURL)
	same, other := assetsLike(t, before)
	platform := customer{t, "111111111111", "eu-west-1"}
	deploy := func(name, asset string) {
		t.Helper()
		_, err := platform.cloudFormation().CreateStack(t.Context(), &cloudformation.CreateStackInput{
			StackName: &name, TemplateBody: aws.String(fmt.Sprintf(`{"Resources": {"Template": {"Type": "Custom::PublishedTemplate", "Properties": {
				"ServiceToken": "arn:aws:lambda:eu-west-1:111111111111:function:rolecall-upload", "ServiceTimeout": "60",
				"From": %q, "Key": %q, "ContentType": "application/yaml"}}}}`, asset, key)),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	deploy("the-same", same)
	platform.await("the-same", types.StackStatusCreateComplete, 60*time.Second)
	deploy("another", other)
	platform.await("another", types.StackStatusRollbackComplete, 60*time.Second)
	if reasons := strings.Join(platform.reasons("another"), "\n"); !strings.Contains(reasons, key+" holds other bytes") {
		t.Error(reasons)
	}
	if after := template(t, c); after != before {
		t.Errorf("the link now leads to %s", after)
	}
}

// assetsLike finds CDK's asset with this text, and another template's.
func assetsLike(t *testing.T, text string) (same, other string) {
	t.Helper()
	const bucket = "cdk-hnb659fds-assets-111111111111-eu-west-1"
	client := platformObjects()
	found, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(bucket)})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range found.Contents {
		if !strings.HasSuffix(*o.Key, ".yaml") {
			continue
		}
		got, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: o.Key})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(got.Body)
		if err != nil {
			t.Fatal(err)
		}
		if string(body) == text {
			same = bucket + "/" + *o.Key
		} else {
			other = bucket + "/" + *o.Key
		}
	}
	if same == "" || other == "" {
		t.Fatalf("of %d assets, %q is the template and %q another", len(found.Contents), same, other)
	}
	return same, other
}
