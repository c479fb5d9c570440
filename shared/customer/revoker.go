package customer

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"time"

	"rolecall/shared/connect"
)

// revokePolicy is the name that IAM's own console gives the policy, so that a customer who looks knows what it is.
const revokePolicy = "AWSRevokeOlderSessions"

// errNoSuchEntity says that IAM knows no such role or policy.
var errNoSuchEntity = errors.New("NoSuchEntity")

// DenyOlder implements connect.Revoker.
func (i Inspector) DenyOlder(
	ctx context.Context, c connect.Credentials, role connect.RoleARN, region connect.Region, cutoff time.Time,
) error {
	document, err := json.Marshal(map[string]any{
		"Version": "2012-10-17",
		"Statement": []any{map[string]any{
			"Effect": "Deny", "Action": []string{"*"}, "Resource": []string{"*"},
			"Condition": map[string]any{"DateLessThan": map[string]string{"aws:TokenIssueTime": cutoff.UTC().Format(time.RFC3339)}},
		}},
	})
	if err != nil {
		return err
	}
	form := url.Values{
		"Action": {"PutRolePolicy"}, "Version": {"2010-05-08"}, "RoleName": {role.Name()}, "PolicyName": {revokePolicy},
		"PolicyDocument": {string(document)},
	}
	return i.query(ctx, c, iamTarget(region.Partition()), form, &struct{}{})
}

// AllowOlder implements connect.Revoker.
func (i Inspector) AllowOlder(ctx context.Context, c connect.Credentials, role connect.RoleARN, region connect.Region) error {
	form := url.Values{
		"Action": {"DeleteRolePolicy"}, "Version": {"2010-05-08"}, "RoleName": {role.Name()}, "PolicyName": {revokePolicy},
	}
	err := i.query(ctx, c, iamTarget(region.Partition()), form, &struct{}{})
	if errors.Is(err, errNoSuchEntity) {
		return nil
	}
	return err
}
