package connect

import (
	"errors"
	"fmt"
	"time"
)

// A Kind says what sort of error it is; drivers translate kinds into statuses, and only there.
type Kind int

// Kinds of error. An error that is no [Error] is of KindInternal.
const (
	KindInternal    Kind = iota
	KindInvalid          // the request cannot be meant
	KindNotFound         // there is no such thing, or it is another tenant's
	KindConflict         // not in this state
	KindStale            // the caller's version is not the current one
	KindDenied           // the customer's account refuses
	KindUnavailable      // try again later
	KindLimited          // too much at once: try again after a while
)

// A Code is the stable name of an error or of a check that did not pass; programs may rely on it.
type Code string

// Codes.
const (
	CodeInternal              Code = "INTERNAL"
	CodeNotFound              Code = "CONNECTION_NOT_FOUND"
	CodeTenantInvalid         Code = "TENANT_INVALID"
	CodeNameInvalid           Code = "NAME_INVALID"
	CodeNameTaken             Code = "NAME_TAKEN"
	CodeAccountInvalid        Code = "ACCOUNT_INVALID"
	CodeRegionInvalid         Code = "REGION_INVALID"
	CodeRegionUnsupported     Code = "REGION_UNSUPPORTED"
	CodePermissionsInvalid    Code = "PERMISSIONS_INVALID"
	CodeMethodUnsupported     Code = "METHOD_UNSUPPORTED"
	CodeMethodMismatch        Code = "METHOD_MISMATCH"
	CodeKeysInvalid           Code = "KEYS_INVALID"
	CodeKeysAccountMismatch   Code = "KEYS_ACCOUNT_MISMATCH"
	CodeRootKeysRefused       Code = "ROOT_KEYS_REFUSED"
	CodeKeysExpired           Code = "KEYS_EXPIRED"
	CodeKeysOld               Code = "KEYS_OLD"
	CodeKeysEnding            Code = "KEYS_ENDING"
	CodeSealingUnavailable    Code = "SEALING_UNAVAILABLE"
	CodeKeysRefused           Code = "KEYS_REFUSED"
	CodeKeysFederationDenied  Code = "KEYS_FEDERATION_DENIED"
	CodeKeysFixed             Code = "KEYS_NOT_RESTRICTABLE"
	CodeIdempotencyRefused    Code = "IDEMPOTENCY_KEY_REFUSED"
	CodeStackInvalid          Code = "STACK_INVALID"
	CodeRoleARNInvalid        Code = "ROLE_ARN_INVALID"
	CodeRoleInUse             Code = "ROLE_IN_USE"
	CodeScopeInvalid          Code = "SCOPE_INVALID"
	CodeScopeTaken            Code = "SCOPE_TAKEN"
	CodeNoEffectiveConnection Code = "NO_EFFECTIVE_CONNECTION"
	CodeCursorInvalid         Code = "CURSOR_INVALID"
	CodeDurationInvalid       Code = "DURATION_INVALID"
	CodePolicyInvalid         Code = "POLICY_INVALID"
	CodePolicyTooLarge        Code = "POLICY_TOO_LARGE"
	CodePolicyARNInvalid      Code = "POLICY_ARN_INVALID"
	CodeReasonInvalid         Code = "REASON_INVALID"
	CodeRegionDisabled        Code = "REGION_DISABLED"
	CodeSTSRegionDisabled     Code = "STS_REGION_DISABLED"
	CodeRevocationDenied      Code = "REVOCATION_DENIED"
	CodeDestinationInvalid    Code = "DESTINATION_INVALID"
	CodeIssuerInvalid         Code = "ISSUER_INVALID"
	CodeTooManyRequests       Code = "TOO_MANY_REQUESTS"
	CodePendingLimit          Code = "PENDING_LIMIT"
	CodeConnectionNotAllowed  Code = "CONNECTION_NOT_ALLOWED"
	CodeStatus                Code = "STATUS_CONFLICT"
	CodeNotEnabled            Code = "CONNECTION_NOT_ENABLED"
	CodeVersion               Code = "VERSION_MISMATCH"
	CodeBusy                  Code = "CONNECTION_BUSY"
	CodeIdempotencyReused     Code = "IDEMPOTENCY_KEY_REUSED"
	CodeRoleNotAssumable      Code = "ROLE_NOT_ASSUMABLE"
	CodeExternalIDNotRequired Code = "EXTERNAL_ID_NOT_REQUIRED"
	CodeExternalIDIgnored     Code = "EXTERNAL_ID_IGNORED"
	CodeAccountMismatch       Code = "ACCOUNT_MISMATCH"
	CodePartitionMismatch     Code = "PARTITION_MISMATCH"
	CodeOwnAccount            Code = "PLATFORM_ACCOUNT"
	CodeTrustTooBroad         Code = "TRUST_TOO_BROAD"
	CodeTrustExtraPrincipal   Code = "TRUST_EXTRA_PRINCIPAL"
	CodeTrustUnreadable       Code = "TRUST_UNREADABLE"
	CodeRegionsDenied         Code = "REGIONS_DENIED"
	CodePermissionsMissing    Code = "PERMISSIONS_MISSING"
	CodeLaunchUsed            Code = "LAUNCH_USED"
	CodeLaunchExpired         Code = "LAUNCH_EXPIRED"
	CodeTokenInvalid          Code = "CALLBACK_TOKEN_INVALID"
	CodeExternalIDMismatch    Code = "EXTERNAL_ID_MISMATCH"
	CodeStackDeleted          Code = "STACK_DELETED"
	CodeSTSUnavailable        Code = "STS_UNAVAILABLE"
	CodeStoreUnavailable      Code = "STORE_UNAVAILABLE"
	CodeNotAsked              Code = "NOT_ASKED"
	CodeRoleStillAnswers      Code = "ROLE_STILL_ANSWERS"
	CodeEnrolmentNotFound     Code = "ENROLMENT_NOT_FOUND"
	CodeEnrolmentRevoked      Code = "ENROLMENT_REVOKED"
	CodeEnrolmentLimit        Code = "ENROLMENT_LIMIT"
	CodeEnrolmentUnsupported  Code = "ENROLMENT_UNSUPPORTED"
	CodeOrganizationInvalid   Code = "ORGANIZATION_INVALID"
	CodeUnitsInvalid          Code = "ORGANIZATIONAL_UNITS_INVALID"
	CodeNameRuleInvalid       Code = "NAME_RULE_INVALID"
	CodeOrganizationMismatch  Code = "ORG_MISMATCH"
	CodeOrganizationDenied    Code = "ORG_DENIED"
	CodeAccountConnected      Code = "ACCOUNT_CONNECTED"
)

// An Error is one that the caller can act on: a stable code, a sentence that says what is wrong, and the fix.
type Error struct {
	Kind    Kind
	Code    Code
	Message string
	Fix     string
	// Connection is the other connection of the same tenant that stands in the way; "" where there is none.
	Connection ConnectionID
	// RetryAfter is when it is worth trying again; 0 where nobody knows.
	RetryAfter time.Duration
	cause      error
}

func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

func (e *Error) Unwrap() error { return e.cause }

// Is lets errors.Is compare by code.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code
}

// Reason is the error as a connection or a check keeps it.
func (e *Error) Reason() Reason { return Reason{Code: e.Code, Message: e.Message, Fix: e.Fix} }

// Invalid makes an error of KindInvalid.
func Invalid(code Code, message string) *Error {
	return &Error{Kind: KindInvalid, Code: code, Message: message}
}

// Unavailable wraps a transient failure of something that Rolecall depends on.
func Unavailable(code Code, message string, cause error) *Error {
	return &Error{Kind: KindUnavailable, Code: code, Message: message, cause: cause}
}

// Errors that stores answer with.
var (
	// ErrNotFound is the one answer for what does not exist and for what is another tenant's.
	ErrNotFound = &Error{Kind: KindNotFound, Code: CodeNotFound, Message: "there is no such connection"}
	// ErrConflict says that the connection has changed since it was read: read it again and decide again.
	ErrConflict = &Error{Kind: KindUnavailable, Code: CodeBusy, Message: "the connection was changed by somebody else at the same time", Fix: "Try again."}
	// ErrNameTaken says that the tenant has, or has had, a connection of this name.
	ErrNameTaken = &Error{
		Kind: KindConflict, Code: CodeNameTaken,
		Message: "this name is or was already a connection's; names are never used again, not even after deletion",
		Fix:     "Choose another name.",
	}
	// ErrRoleInUse says that another connection of the tenant already has this role.
	ErrRoleInUse = &Error{
		Kind: KindConflict, Code: CodeRoleInUse, Message: "another connection already uses this role",
		Fix: "Use that connection, or delete it first.",
	}
	// ErrIdempotencyReused says that an Idempotency-Key came a second time with another request.
	ErrIdempotencyReused = &Error{
		Kind: KindInvalid, Code: CodeIdempotencyReused, Message: "this Idempotency-Key was used for another request",
		Fix: "Use a new key for each new request.",
	}
)
