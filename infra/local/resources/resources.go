// Package resources teaches the CloudFormation engine of the pocket AWS which resources there are: each type is a
// provider that calls the service which has them. A property that a provider does not know is an error that names it,
// so that a template cannot rely on what the laptop leaves out.
package resources

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"rolecall/infra/local/cfn"
	"rolecall/infra/local/dynamodb"
	"rolecall/infra/local/events"
	"rolecall/infra/local/iam"
	"rolecall/infra/local/kms"
	"rolecall/infra/local/lambda"
	"rolecall/infra/local/s3"
	"rolecall/infra/local/scheduler"
	"rolecall/infra/local/sns"
	"rolecall/infra/local/sqs"
	"rolecall/infra/local/wire"
)

// Services are what the providers call.
type Services struct {
	IAM       *iam.Service
	DynamoDB  *dynamodb.Service
	SQS       *sqs.Service
	SNS       *sns.Service
	Events    *events.Service
	KMS       *kms.Service
	S3        *s3.Service
	Scheduler *scheduler.Service
	Lambda    *lambda.Service
	APIs      *APIs
	// Asset finds the unpacked folder of a Lambda function's code by its S3 key.
	Asset func(key string) (folder string, err error)
}

// Register gives the engine every type.
func Register(e *cfn.Engine, s Services) {
	registerIAM(e, s)
	registerData(e, s)
	registerMessaging(e, s)
	registerLambda(e, s)
	registerAPI(e, s)
}

// A step makes, changes or removes one resource.
type (
	makeStep   func(ctx context.Context, r *cfn.ResourceRequest) (cfn.Result, error)
	removeStep func(ctx context.Context, r *cfn.ResourceRequest) error
)

// A provider is a resource type made of functions.
type provider struct {
	create, update makeStep
	remove         removeStep
}

func (p provider) Create(ctx context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
	return p.create(ctx, r)
}

// Update refuses where a type has no way of changing: the platform's own stack is made anew by each start of the laptop
// target, and a change that silently did nothing would mislead.
func (p provider) Update(ctx context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
	if p.update == nil {
		return cfn.Result{}, refuse("a %s cannot be changed on the laptop; start it anew", r.Type)
	}
	return p.update(ctx, r)
}

func (p provider) Delete(ctx context.Context, r *cfn.ResourceRequest) error { return p.remove(ctx, r) }

func refuse(format string, args ...any) error {
	return &wire.Error{Code: "InvalidRequest", Message: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}

// properties reads resolved properties into v and refuses those that v does not have.
func properties(in map[string]any, v any) error {
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return refuse("properties: %v", err)
	}
	return nil
}

// A document is a policy as a template writes it; it becomes the JSON text that the services take.
type document struct{ text string }

func (d *document) UnmarshalJSON(b []byte) error {
	d.text = string(b)
	return nil
}

// Templates may write numbers and flags as text, for parameters are text.
type (
	integer int
	flag    bool
)

func (n *integer) UnmarshalJSON(b []byte) error {
	v, err := strconv.Atoi(string(bytes.Trim(b, `"`)))
	*n = integer(v)
	return err
}

func (f *flag) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseBool(string(bytes.Trim(b, `"`)))
	*f = flag(v)
	return err
}

type tag struct{ Key, Value string }

func tagMap(tags []tag, stack map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range stack {
		out[k] = v
	}
	for _, t := range tags {
		out[t.Key] = t.Value
	}
	return out
}

// nothing is how to delete what goes with its owner.
func nothing(context.Context, *cfn.ResourceRequest) error { return nil }
