// Package customer reaches into customers' accounts: it assumes their roles and looks at what a session may see. All
// it tells of a failure is whether AWS denied the request or something else went wrong.
package customer

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"rolecall/shared/connect"
)

// An Assumer asks the STS endpoint of Rolecall's own Region.
type Assumer struct{ Client *sts.Client }

// AssumeRole implements connect.Assumer.
func (a Assumer) AssumeRole(ctx context.Context, r connect.AssumeRequest) (connect.Session, error) {
	out, err := a.Client.AssumeRole(ctx, assumeInput(r))
	if err != nil {
		return connect.Session{}, refused("AssumeRole", err)
	}
	return session(out)
}

func assumeInput(r connect.AssumeRequest) *sts.AssumeRoleInput {
	in := &sts.AssumeRoleInput{
		RoleArn: aws.String(r.RoleARN.String()), RoleSessionName: &r.SessionName,
	}
	if r.Duration > 0 {
		in.DurationSeconds = aws.Int32(int32(r.Duration.Seconds()))
	}
	if r.ExternalID != "" {
		in.ExternalId = aws.String(string(r.ExternalID))
	}
	if r.SourceIdentity != "" {
		in.SourceIdentity = &r.SourceIdentity
	}
	for k, v := range r.Tags {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String(k), Value: aws.String(v)})
	}
	if r.Policy != "" {
		in.Policy = &r.Policy
	}
	for _, arn := range r.PolicyARNs {
		in.PolicyArns = append(in.PolicyArns, types.PolicyDescriptorType{Arn: aws.String(arn)})
	}
	sort.Slice(in.Tags, func(i, j int) bool { return *in.Tags[i].Key < *in.Tags[j].Key })
	return in
}

// session reads the answer; the account is the one that STS says the session is of.
func session(out *sts.AssumeRoleOutput) (connect.Session, error) {
	if out.AssumedRoleUser == nil {
		return connect.Session{}, unavailable("AssumeRole", errors.New("an answer without a user"))
	}
	c, err := sessionCredentials("AssumeRole", out.Credentials)
	if err != nil {
		return connect.Session{}, err
	}
	parts := strings.Split(aws.ToString(out.AssumedRoleUser.Arn), ":")
	if len(parts) != 6 {
		return connect.Session{}, unavailable("AssumeRole", errors.New("an answer without an account"))
	}
	account, err := connect.ParseAccountID(parts[4])
	if err != nil {
		return connect.Session{}, unavailable("AssumeRole", err)
	}
	return connect.Session{Credentials: c, Account: account}, nil
}

// refused tells a definite denial from every other failure. Of an error of the API's own it keeps the code alone: what
// AWS says of a signature that is wrong repeats the request's headers, and the session token is one of them.
func refused(operation string, err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return unavailable(operation, err)
	}
	if isDenial(api.ErrorCode()) {
		return denied(operation)
	}
	if e := misfit(api); e != nil {
		return e
	}
	return unavailable(operation, fmt.Errorf("%s%s", api.ErrorCode(), about(err)))
}

// about is what AWS's support would ask for.
func about(err error) string {
	var r *awshttp.ResponseError
	if !errors.As(err, &r) {
		return ""
	}
	return fmt.Sprintf(" (status %d, request %s)", r.HTTPStatusCode(), r.ServiceRequestID())
}

func unavailable(operation string, cause error) error {
	return connect.Unavailable(connect.CodeSTSUnavailable, "AWS did not answer as it should", fmt.Errorf("%s: %w", operation, cause))
}

// isDenial knows the codes by which STS, IAM and EC2 deny.
func isDenial(code string) bool {
	return code == "AccessDenied" || code == "AccessDeniedException" || code == "UnauthorizedOperation"
}

func denied(operation string) error {
	return &connect.Error{Kind: connect.KindDenied, Code: connect.CodeRoleNotAssumable, Message: operation + " was denied"}
}
