package customer

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/url"
	"time"

	"rolecall/shared/connect"
)

// A Revoker attaches and lifts the policy that denies a role's older sessions.
type Revoker struct {
	Inspector
	// Text is the policy's, for a cutoff.
	Text func(cutoff time.Time) string
	// Inert is the cutoff with which templates declare the policy; no session was made before.
	Inert time.Time
}

// formerPolicy is the name that IAM's own console gives the policy, and that earlier versions of Rolecall gave theirs.
const formerPolicy = "AWSRevokeOlderSessions"

// errNoSuchEntity says that IAM knows no such role or policy.
var errNoSuchEntity = errors.New("NoSuchEntity")

// DenyOlder implements connect.Revoker.
func (r Revoker) DenyOlder(
	ctx context.Context, c connect.Credentials, role connect.RoleARN, region connect.Region, cutoff time.Time,
) error {
	form := rolePolicy("PutRolePolicy", role, connect.RevocationPolicy)
	form.Set("PolicyDocument", r.Text(cutoff))
	return r.query(ctx, c, iamTarget(region.Partition()), form, &struct{}{})
}

// AllowOlder implements connect.Revoker.
func (r Revoker) AllowOlder(
	ctx context.Context, c connect.Credentials, role connect.RoleARN, region connect.Region, declared bool,
) error {
	if declared {
		return r.DenyOlder(ctx, c, role, region, r.Inert)
	}
	return r.remove(ctx, c, role, region, connect.RevocationPolicy)
}

func (r Revoker) remove(ctx context.Context, c connect.Credentials, role connect.RoleARN, region connect.Region, policy string) error {
	err := r.query(ctx, c, iamTarget(region.Partition()), rolePolicy("DeleteRolePolicy", role, policy), &struct{}{})
	if errors.Is(err, errNoSuchEntity) {
		return nil
	}
	return err
}

// RemoveFormer implements connect.Revoker. Only the text that an earlier version wrote, to the letter, is removed.
func (r Revoker) RemoveFormer(
	ctx context.Context, c connect.Credentials, role connect.RoleARN, region connect.Region, cutoff time.Time,
) error {
	var answer struct {
		XMLName  xml.Name `xml:"GetRolePolicyResponse"`
		Document string   `xml:"GetRolePolicyResult>PolicyDocument"`
	}
	err := r.query(ctx, c, iamTarget(region.Partition()), rolePolicy("GetRolePolicy", role, formerPolicy), &answer)
	if errors.Is(err, errNoSuchEntity) {
		return nil
	}
	if err != nil {
		return err
	}
	if text, err := url.PathUnescape(answer.Document); err != nil || text != formerText(cutoff) {
		return connect.ErrNotOurs
	}
	return r.remove(ctx, c, role, region, formerPolicy)
}

func formerText(cutoff time.Time) string {
	text, _ := json.Marshal(map[string]any{ // texts always encode
		"Version": "2012-10-17",
		"Statement": []any{map[string]any{
			"Effect": "Deny", "Action": []string{"*"}, "Resource": []string{"*"},
			"Condition": map[string]any{"DateLessThan": map[string]string{"aws:TokenIssueTime": cutoff.UTC().Format(time.RFC3339)}},
		}},
	})
	return string(text)
}

// rolePolicy is a request about an inline policy of a role.
func rolePolicy(action string, role connect.RoleARN, policy string) url.Values {
	return url.Values{"Action": {action}, "Version": {"2010-05-08"}, "RoleName": {role.Name()}, "PolicyName": {policy}}
}
