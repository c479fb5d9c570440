package terraform

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// Arguments of the types that are known, by type; as in the AWS provider's documentation.
var (
	resourceTypes = map[string][]string{
		"aws_iam_role": {
			"name", "name_prefix", "path", "description", "max_session_duration", "permissions_boundary", "tags", "assume_role_policy",
			"force_detach_policies",
		},
		"aws_iam_role_policy":            {"name", "role", "policy"},
		"aws_iam_role_policy_attachment": {"role", "policy_arn"},
	}
	dataSources = map[string][]string{"aws_partition": nil}
)

// read answers a data source.
func (a *application) read(kind string) (cty.Value, error) {
	if kind != "aws_partition" {
		return cty.NilVal, fmt.Errorf("terraform: unknown data source %s", kind)
	}
	return cty.ObjectVal(map[string]cty.Value{"partition": cty.StringVal(a.account.Partition)}), nil
}

// make creates a resource and answers what others can refer to.
func (a *application) make(ctx context.Context, kind string, in map[string]cty.Value) (cty.Value, error) {
	text := func(name string) *string {
		v, ok := in[name]
		if !ok {
			return nil
		}
		if v, err := convert.Convert(v, cty.String); err == nil {
			return aws.String(v.AsString())
		}
		return nil
	}
	var err error
	switch kind {
	case "aws_iam_role":
		return a.makeRole(ctx, in, text)
	case "aws_iam_role_policy":
		_, err = a.account.IAM.PutRolePolicy(ctx, &iam.PutRolePolicyInput{
			RoleName: text("role"), PolicyName: text("name"), PolicyDocument: text("policy"),
		})
	case "aws_iam_role_policy_attachment":
		_, err = a.account.IAM.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: text("role"), PolicyArn: text("policy_arn")})
	default:
		err = fmt.Errorf("terraform: unknown type %s", kind)
	}
	return cty.ObjectVal(in), err
}

// prefixEnd stands for what the provider appends to a prefix: the time and a counter, in 26 digits.
const prefixEnd = "20260101000000000000000001"

func (a *application) makeRole(ctx context.Context, in map[string]cty.Value, text func(string) *string) (cty.Value, error) {
	name := text("name")
	if prefix := text("name_prefix"); prefix != nil {
		if name != nil {
			return cty.NilVal, fmt.Errorf("terraform: name and name_prefix exclude each other")
		}
		name = aws.String(*prefix + prefixEnd)
	}
	input := &iam.CreateRoleInput{
		RoleName: name, Path: text("path"), Description: text("description"), PermissionsBoundary: text("permissions_boundary"),
		AssumeRolePolicyDocument: text("assume_role_policy"),
	}
	if v, ok := in["max_session_duration"]; ok {
		seconds, _ := v.AsBigFloat().Int64()
		input.MaxSessionDuration = aws.Int32(int32(seconds)) //nolint:gosec // IAM refuses what is too long
	}
	if v, ok := in["tags"]; ok {
		for k, tag := range v.AsValueMap() {
			input.Tags = append(input.Tags, iamtypes.Tag{Key: aws.String(k), Value: aws.String(tag.AsString())})
		}
	}
	out, err := a.account.IAM.CreateRole(ctx, input)
	if err != nil {
		return cty.NilVal, err
	}
	made := map[string]cty.Value{}
	for k, v := range in {
		made[k] = v
	}
	made["arn"], made["name"] = cty.StringVal(aws.ToString(out.Role.Arn)), cty.StringVal(aws.ToString(out.Role.RoleName))
	made["id"], made["unique_id"] = made["name"], cty.StringVal(strings.TrimSpace(aws.ToString(out.Role.RoleId)))
	return cty.ObjectVal(made), nil
}
