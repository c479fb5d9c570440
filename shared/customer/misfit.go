package customer

import (
	"strings"

	"github.com/aws/smithy-go"

	"rolecall/shared/connect"
)

// misfit is what STS says of a request that it will never grant as it stands; nil for every other failure. What AWS says
// in words is read, but not repeated: it may quote the policy.
func misfit(api smithy.APIError) *connect.Error {
	switch api.ErrorCode() {
	case "PackedPolicyTooLarge", "PackedPolicyTooLargeException":
		return &connect.Error{
			Kind: connect.KindInvalid, Code: connect.CodePolicyTooLarge,
			Message: "the session policies and tags are too large for STS once it has packed them",
			Fix:     "Shorten the session policy, for instance with wildcards, or name fewer managed policies.",
		}
	case "MalformedPolicyDocument", "MalformedPolicyDocumentException":
		return &connect.Error{
			Kind: connect.KindInvalid, Code: connect.CodePolicyInvalid,
			Message: "STS cannot read the session policy, or a managed policy that is named does not exist",
			Fix:     "Check the policy with IAM Access Analyzer, and the ARNs in the customer's account.",
		}
	case "RegionDisabledException":
		return &connect.Error{
			Kind: connect.KindConflict, Code: connect.CodeSTSRegionDisabled,
			Message: "STS is switched off, in the customer's account, for the Region from which Rolecall asks",
			Fix: "Have the customer activate it: IAM, Account settings, Security Token Service (STS), Endpoints. A Region that must be " +
				"opted in to is enabled first, in Account, AWS Regions.",
		}
	case "ValidationError", "ValidationException":
		return invalidRequest(api.ErrorMessage())
	}
	return nil
}

// invalidRequest knows the two of STS's many complaints that a caller can cause: everything else it could complain of is
// made here, so it is our own fault, or nobody's.
func invalidRequest(message string) *connect.Error {
	switch {
	case strings.Contains(message, "MaxSessionDuration"), strings.Contains(strings.ToLower(message), "durationseconds"):
		return &connect.Error{
			Kind: connect.KindInvalid, Code: connect.CodeDurationInvalid, Message: "the role does not allow sessions that long",
			Fix: "Ask for a shorter session, or have the customer raise the role's maximum session duration in IAM.",
		}
	case strings.Contains(strings.ToLower(message), "policy"):
		return &connect.Error{
			Kind: connect.KindInvalid, Code: connect.CodePolicyInvalid, Message: "STS refuses the session policy",
			Fix: "Check the policy with IAM Access Analyzer, and the ARNs in the customer's account.",
		}
	}
	return nil
}
