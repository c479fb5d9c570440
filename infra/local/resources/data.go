package resources

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"rolecall/infra/local/cfn"
	"rolecall/infra/local/dynamodb"
	"rolecall/infra/local/kms"
	"rolecall/infra/local/wire"
)

// isMissing tells that what is to be removed is gone already.
func isMissing(err error) bool {
	var e *wire.Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Status == http.StatusNotFound || strings.Contains(e.Code, "NotFound") || strings.Contains(e.Code, "NoSuch") ||
		strings.Contains(e.Code, "DoesNotExist") || strings.Contains(e.Code, "NonExistent")
}

func ignoreMissing(err error) error {
	if isMissing(err) {
		return nil
	}
	return err
}

func registerData(e *cfn.Engine, s Services) {
	e.Register("AWS::DynamoDB::Table", provider{create: createTable(s), remove: func(_ context.Context, r *cfn.ResourceRequest) error {
		return ignoreMissing(s.DynamoDB.DeleteTable(r.Account, r.Region, r.PhysicalID, true))
	}})
	e.Register("AWS::KMS::Key", provider{create: createKey(s), remove: func(_ context.Context, r *cfn.ResourceRequest) error {
		_, err := s.KMS.ScheduleDeletion(keyARN(r, r.PhysicalID), 7)
		return ignoreMissing(err)
	}})
	e.Register("AWS::S3::Bucket", provider{create: createBucket(s), remove: func(_ context.Context, r *cfn.ResourceRequest) error {
		return ignoreMissing(s.S3.DeleteBucket(r.PhysicalID))
	}})
	e.Register("AWS::S3::BucketPolicy", provider{create: bucketPolicy(s), remove: nothing})
	e.Register("AWS::Logs::LogGroup", provider{create: logGroup, remove: nothing})
}

func createTable(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var d dynamodb.Definition
		if err := properties(r.Properties, &d); err != nil {
			return cfn.Result{}, err
		}
		if d.TableName == "" {
			d.TableName = r.Name(255)
		}
		made, err := s.DynamoDB.CreateTable(r.Account, r.Region, d)
		if err != nil {
			return cfn.Result{}, err
		}
		return cfn.Result{PhysicalID: d.TableName, Attributes: map[string]any{
			"Arn": made.TableArn, "StreamArn": made.LatestStreamArn,
		}}, nil
	}
}

type keyProperties struct {
	Description       string
	KeySpec, KeyUsage string
	KeyPolicy         document
	EnableKeyRotation flag
}

func keyARN(r *cfn.ResourceRequest, id string) string {
	return fmt.Sprintf("arn:%s:kms:%s:%s:key/%s", r.Partition, r.Region, r.Account, id)
}

func createKey(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var p keyProperties
		if err := properties(r.Properties, &p); err != nil {
			return cfn.Result{}, err
		}
		arn, err := s.KMS.CreateKey(r.Account, r.Region, kms.KeyInput{
			Spec: p.KeySpec, Usage: p.KeyUsage, Policy: p.KeyPolicy.text, Description: p.Description,
		})
		if err == nil && bool(p.EnableKeyRotation) {
			err = s.KMS.SetRotation(arn, true)
		}
		if err != nil {
			return cfn.Result{}, err
		}
		id := arn[strings.LastIndex(arn, "/")+1:]
		return cfn.Result{PhysicalID: id, Attributes: map[string]any{"Arn": arn, "KeyId": id}}, nil
	}
}

// bucketProperties beyond the name describe what the pocket AWS has no need of: nothing here is on a disk, and nothing
// but the bucket's policy opens it.
type bucketProperties struct {
	BucketName                     string
	BucketEncryption               json.RawMessage
	OwnershipControls              json.RawMessage
	PublicAccessBlockConfiguration json.RawMessage
	VersioningConfiguration        json.RawMessage
	LifecycleConfiguration         json.RawMessage
	Tags                           []tag
}

func createBucket(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var p bucketProperties
		if err := properties(r.Properties, &p); err != nil {
			return cfn.Result{}, err
		}
		if p.BucketName == "" {
			p.BucketName = strings.ToLower(r.Name(63))
		}
		if err := s.S3.CreateBucket(r.Account, r.Region, p.BucketName); err != nil {
			return cfn.Result{}, err
		}
		return cfn.Result{PhysicalID: p.BucketName, Attributes: map[string]any{
			"Arn":                fmt.Sprintf("arn:%s:s3:::%s", r.Partition, p.BucketName),
			"DomainName":         p.BucketName + ".s3.amazonaws.com",
			"RegionalDomainName": fmt.Sprintf("%s.s3.%s.amazonaws.com", p.BucketName, r.Region),
		}}, nil
	}
}

func bucketPolicy(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var p struct {
			Bucket         string
			PolicyDocument document
		}
		if err := properties(r.Properties, &p); err != nil {
			return cfn.Result{}, err
		}
		return cfn.Result{PhysicalID: p.Bucket}, s.S3.SetPolicy(p.Bucket, p.PolicyDocument.text)
	}
}

// logGroup is a name: functions' lines go to the laptop's own output.
func logGroup(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
	var p struct {
		LogGroupName    string
		RetentionInDays integer
	}
	if err := properties(r.Properties, &p); err != nil {
		return cfn.Result{}, err
	}
	if p.LogGroupName == "" {
		p.LogGroupName = r.Name(512)
	}
	arn := fmt.Sprintf("arn:%s:logs:%s:%s:log-group:%s:*", r.Partition, r.Region, r.Account, p.LogGroupName)
	return cfn.Result{PhysicalID: p.LogGroupName, Attributes: map[string]any{"Arn": arn}}, nil
}
