package httpapi

import (
	"net/http"

	"rolecall/shared/connect"
)

// Codes of errors that the domain never sees.
const (
	codeUnauthenticated       connect.Code = "UNAUTHENTICATED"
	codeScopeMissing          connect.Code = "SCOPE_MISSING"
	codeSubjectInvalid        connect.Code = "SUBJECT_INVALID"
	codeRouteNotFound         connect.Code = "ROUTE_NOT_FOUND"
	codeMethodNotAllowed      connect.Code = "METHOD_NOT_ALLOWED"
	codeContentType           connect.Code = "CONTENT_TYPE_UNSUPPORTED"
	codeBodyTooLarge          connect.Code = "BODY_TOO_LARGE"
	codeBodyMissing           connect.Code = "BODY_MISSING"
	codeBodyInvalid           connect.Code = "BODY_INVALID"
	codeUnknownField          connect.Code = "UNKNOWN_FIELD"
	codeFieldInvalid          connect.Code = "FIELD_INVALID"
	codeNothingGiven          connect.Code = "NOTHING_GIVEN"
	codeUnknownParameter      connect.Code = "UNKNOWN_PARAMETER"
	codeParameterInvalid      connect.Code = "PARAMETER_INVALID"
	codeIfMatchInvalid        connect.Code = "IF_MATCH_INVALID"
	codeIdempotencyKeyInvalid connect.Code = "IDEMPOTENCY_KEY_INVALID"
)

// A CodeInfo tells of one stable code.
type CodeInfo struct {
	Code    connect.Code
	Status  int // of the problem that bears it; 0 where it occurs only as a reason or in a check
	Meaning string
}

// Codes are all codes that answers of the API can bear, in problems, status reasons and checks.
func Codes() []CodeInfo {
	return []CodeInfo{
		{codeUnauthenticated, http.StatusUnauthorized, "No valid access token came with the request."},
		{codeScopeMissing, http.StatusForbidden, "The token lacks the route's scope."},
		{connect.CodeTenantInvalid, http.StatusForbidden, "The token names no tenant, several, or one that cannot be."},
		{codeSubjectInvalid, http.StatusForbidden, "The token does not say who calls."},
		{codeRouteNotFound, http.StatusNotFound, "There is no such route."},
		{codeMethodNotAllowed, http.StatusMethodNotAllowed, "The route does not know this method; Allow names those it knows."},
		{codeContentType, http.StatusUnsupportedMediaType, "The body is not application/json."},
		{codeBodyTooLarge, http.StatusRequestEntityTooLarge, "The body is over 64 KiB."},
		{codeBodyMissing, http.StatusBadRequest, "The route needs a body."},
		{codeBodyInvalid, http.StatusBadRequest, "The body is not one JSON object."},
		{codeUnknownField, http.StatusBadRequest, "The body has a field that the route does not know."},
		{codeFieldInvalid, http.StatusBadRequest, "A field has the wrong type, is missing or is given twice."},
		{codeNothingGiven, http.StatusBadRequest, "The body names nothing to change."},
		{codeUnknownParameter, http.StatusBadRequest, "The query has a parameter that the route does not know."},
		{codeParameterInvalid, http.StatusBadRequest, "A parameter of the query cannot be read."},
		{codeIfMatchInvalid, http.StatusBadRequest, "If-Match is no ETag of this API."},
		{codeIdempotencyKeyInvalid, http.StatusBadRequest, "Idempotency-Key is not 1 to 128 printable ASCII characters."},
		{connect.CodeIdempotencyReused, http.StatusBadRequest, "The Idempotency-Key was used for another request."},
		{connect.CodeNotFound, http.StatusNotFound, "There is no such connection of this tenant."},
		{connect.CodeNameInvalid, http.StatusBadRequest, "The name is not 1 to 64 plain characters."},
		{connect.CodeNameTaken, http.StatusConflict, "The tenant has, or has had, a connection of this name."},
		{connect.CodeAccountInvalid, http.StatusBadRequest, "An account id is 12 digits."},
		{connect.CodeRegionInvalid, http.StatusBadRequest, "This is not how Regions are written."},
		{connect.CodeRegionUnsupported, http.StatusBadRequest, "Rolecall does not serve this Region."},
		{connect.CodePermissionsInvalid, http.StatusBadRequest, "There is no such permission set."},
		{connect.CodeMethodUnsupported, http.StatusBadRequest, "There is no such method of connecting, or a field belongs to another one."},
		{connect.CodeMethodMismatch, http.StatusConflict, "The connection is by another method of connecting."},
		{connect.CodeKeysInvalid, http.StatusBadRequest, "The access key is malformed, or AWS refuses it."},
		{connect.CodeKeysAccountMismatch, http.StatusBadRequest, "The access key belongs to another account than the declared one."},
		{connect.CodeRootKeysRefused, http.StatusBadRequest, "The access key is one of the account's root user."},
		{connect.CodeKeysExpired, http.StatusBadRequest, "The temporary access key has ended."},
		{connect.CodeKeysOld, 0, "A warning, in an event and of the key: the access key is older than it should get."},
		{connect.CodeKeysEnding, 0, "A warning, in an event and of the key: the temporary access key will end soon."},
		{connect.CodeSealingUnavailable, http.StatusServiceUnavailable, "AWS KMS did not answer, so the access key could be neither sealed nor opened. Nothing was changed."},
		{connect.CodeKeysRefused, http.StatusForbidden, "AWS refuses the connection's access key."},
		{connect.CodeKeysFederationDenied, http.StatusForbidden, "The access key's user may not make sessions that are narrowed or sign in."},
		{connect.CodeKeysFixed, http.StatusConflict, "A temporary access key can be neither narrowed nor used to sign in."},
		{connect.CodeIdempotencyRefused, http.StatusBadRequest, "Idempotency-Key cannot be used where secrets go in."},
		{connect.CodeStackInvalid, http.StatusBadRequest, "This is not the id of a CloudFormation stack."},
		{connect.CodeRoleARNInvalid, http.StatusBadRequest, "This is not the ARN of an IAM role."},
		{connect.CodeRoleInUse, http.StatusConflict, "Another connection of the tenant uses the role."},
		{connect.CodeOwnAccount, http.StatusBadRequest, "The role, or the account that was named, is the platform's own."},
		{connect.CodeAccountMismatch, http.StatusBadRequest, "The role, or the stack, is of another account than was expected."},
		{connect.CodePartitionMismatch, http.StatusBadRequest, "The role or Region is of another partition."},
		{connect.CodeScopeInvalid, http.StatusBadRequest, "This is no scope, or too many of them, or one twice."},
		{connect.CodeScopeTaken, http.StatusConflict, "Another connection of the tenant has the scope; connectionId names it."},
		{connect.CodeNoEffectiveConnection, http.StatusNotFound, "No enabled connection applies to this place in the platform."},
		{connect.CodeCursorInvalid, http.StatusBadRequest, "The cursor is none that this list gave."},
		{connect.CodeDurationInvalid, http.StatusBadRequest, "A session cannot last that long, or that short."},
		{connect.CodePolicyInvalid, http.StatusBadRequest, "The session policy is none that STS takes."},
		{connect.CodePolicyTooLarge, http.StatusBadRequest, "The session policies are too large for STS."},
		{connect.CodePolicyARNInvalid, http.StatusBadRequest, "This is not the ARN of a managed policy that the role's account can use."},
		{connect.CodeReasonInvalid, http.StatusBadRequest, "The reason is too long, or has characters that do not show."},
		{connect.CodeRegionDisabled, http.StatusBadRequest, "The Region is not enabled in the customer's account."},
		{connect.CodeSTSRegionDisabled, http.StatusConflict, "The customer's account has switched STS off for Rolecall's Region."},
		{connect.CodeDestinationInvalid, http.StatusBadRequest, "The destination is no page of the partition's console."},
		{connect.CodeIssuerInvalid, http.StatusBadRequest, "The issuer is no https URL."},
		{connect.CodeTooManyRequests, http.StatusTooManyRequests, "The caller, or its tenant, asks too often; Retry-After says when to try again."},
		{connect.CodePendingLimit, http.StatusConflict, "The tenant has as many pending connections as it may; Retry-After says when to try again."},
		{connect.CodeConnectionNotAllowed, http.StatusForbidden, "A claim restricts the token to other connections, or keeps it from what concerns the whole tenant."},
		{connect.CodeStatus, http.StatusConflict, "The connection's status does not allow it."},
		{connect.CodeNotEnabled, http.StatusConflict, "Credentials are issued for enabled connections only."},
		{connect.CodeVersion, http.StatusPreconditionFailed, "The connection has changed since the ETag in If-Match."},
		{connect.CodeBusy, http.StatusServiceUnavailable, "The connection was changed by others at the same time; try again."},
		{connect.CodeRoleNotAssumable, http.StatusForbidden, "The customer's account refuses the role to us."},
		{connect.CodeSTSUnavailable, http.StatusServiceUnavailable, "AWS did not answer as it should; try again."},
		{connect.CodeStoreUnavailable, http.StatusServiceUnavailable, "Rolecall's own table did not answer as it should; try again."},
		{connect.CodeInternal, http.StatusInternalServerError, "Something went wrong at our side."},
		{connect.CodeExternalIDNotRequired, 0, "The role can be assumed without an external ID."},
		{connect.CodeExternalIDIgnored, 0, "The role can be assumed with a wrong external ID."},
		{connect.CodeTrustTooBroad, 0, "The role's trust policy admits too much."},
		{connect.CodeTrustExtraPrincipal, 0, "A warning: the trust policy admits more than the platform."},
		{connect.CodeTrustUnreadable, 0, "The trust policy could not be read."},
		{connect.CodeRegionsDenied, http.StatusBadRequest, "The role or the access key may not list the account's Regions."},
		{connect.CodePermissionsMissing, 0, "The role lacks permissions of the connection's permission set."},
		{connect.CodeNotAsked, 0, "The check could not be made: an earlier one did not pass, or the role may not ask. Nothing is proven."},
		{connect.CodeLaunchUsed, 0, "The launch link was used by another stack."},
		{connect.CodeLaunchExpired, 0, "The launch link has expired."},
		{connect.CodeExternalIDMismatch, 0, "The stack's ExternalId is not the connection's."},
		{connect.CodeTokenInvalid, 0, "The callback token is not this connection's."},
		{connect.CodeRevocationDenied, 0, "The role may not attach or remove the policy that denies older sessions."},
		{connect.CodeRoleStillAnswers, 0, "The connection has ended, but its role can still be assumed."},
		{connect.CodeStackDeleted, 0, "The customer's stack was deleted."},
		{connect.CodeEnrolmentNotFound, http.StatusNotFound, "There is no such enrolment of this tenant."},
		{connect.CodeEnrolmentLimit, http.StatusConflict, "The tenant has as many active enrolments as it may."},
		{connect.CodeEnrolmentUnsupported, http.StatusBadRequest, "Organizations cannot be enrolled in this partition."},
		{connect.CodeOrganizationInvalid, http.StatusBadRequest, "This is not the id of an AWS organization."},
		{connect.CodeUnitsInvalid, http.StatusBadRequest, "These are not 1 to 50 ids of roots or organizational units."},
		{connect.CodeNameRuleInvalid, http.StatusBadRequest, "The rule for names does not hold {accountId} once, or makes names that cannot be."},
		{connect.CodeEnrolmentRevoked, 0, "The enrolment has been revoked and takes no further account."},
		{connect.CodeAccountConnected, 0, "The account is already connected, by another stack or another connection."},
		{connect.CodeOrganizationMismatch, 0, "The account is not in the organization that was enrolled."},
		{connect.CodeOrganizationDenied, 0, "The role may not say which organization its account belongs to."},
	}
}
