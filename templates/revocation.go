package templates

import (
	"encoding/json"
	"time"
)

// RevocationPolicy is the name of the role's inline policy by which its older sessions are denied. It is ours alone: IAM's
// console gives its own another name, AWSRevokeOlderSessions, and that one is the customer's.
const RevocationPolicy = "RolecallRevokedSessions"

// Revocation is that policy's text: it denies everything to the role's sessions that were made before cutoff.
func Revocation(cutoff time.Time) string {
	text, _ := json.Marshal(map[string]any{ // texts always encode
		"Version": "2012-10-17",
		"Statement": []any{map[string]any{
			"Effect": "Deny", "Action": "*", "Resource": "*",
			"Condition": map[string]any{"DateLessThan": map[string]any{"aws:TokenIssueTime": cutoff.UTC().Format(time.RFC3339)}},
		}},
	})
	return string(text)
}

// InertCutoff is a cutoff before which no session was made: with it the policy denies nothing. That is what the templates
// declare. It never changes, nor does anything else of that resource: an update of the stack would write it anew, over a
// revocation that is in force.
func InertCutoff() time.Time { return time.Unix(0, 0).UTC() }

// inertRevocation is the statement of [Revocation] of [InertCutoff] in YAML.
func inertRevocation() []string {
	return []string{
		"Statement:",
		"  - Effect: Deny",
		"    Action: '*'",
		"    Resource: '*'",
		"    Condition:",
		"      DateLessThan:",
		"        aws:TokenIssueTime: '" + InertCutoff().Format(time.RFC3339) + "'",
	}
}
