package connect

import (
	"fmt"
	"time"
)

// An EventType names what happened; the same names are published.
type EventType string

// Event types.
const (
	EventCreated           EventType = "connection.created"
	EventUpdated           EventType = "connection.updated"
	EventScopesChanged     EventType = "connection.scopes_changed"
	EventLaunched          EventType = "connection.launched"
	EventStackStarted      EventType = "connection.stack_started"
	EventStackRefused      EventType = "connection.stack_refused"
	EventRoleReported      EventType = "connection.role_reported"
	EventReportOvertaken   EventType = "connection.report_overtaken"
	EventVerificationBegun EventType = "connection.verification_begun"
	EventVerificationTried EventType = "connection.verification_tried"
	EventVerified          EventType = "connection.verified"
	EventEnabled           EventType = "connection.enabled"
	EventFailed            EventType = "connection.failed"
	EventCandidateFailed   EventType = "connection.candidate_failed"
	EventRoleChanged       EventType = "connection.role_changed"
	EventDenied            EventType = "connection.denied"
	EventDegraded          EventType = "connection.degraded"
	EventRecovered         EventType = "connection.recovered"
	EventKeysRotated       EventType = "connection.keys_rotated"
	EventKeysOld           EventType = "connection.keys_old"
	EventKeysEnding        EventType = "connection.keys_ending"
	EventUpgraded          EventType = "connection.upgraded"
	EventStackUpdated      EventType = "connection.stack_updated"
	EventStackDeleted      EventType = "connection.stack_deleted"
	EventDisconnected      EventType = "connection.disconnected"
	EventExpired           EventType = "connection.expired"
	EventDeleted           EventType = "connection.deleted"
	EventOffboardingTried  EventType = "connection.offboarding_tried"
	EventOffboardingProven EventType = "connection.offboarding_proven"
	EventRoleStillAnswers  EventType = "connection.role_still_answers"
	EventSessionsRevoked   EventType = "connection.sessions_revoked"
	EventSessionsDenied    EventType = "connection.sessions_denied"
	EventRevocationLifted  EventType = "connection.revocation_lifted"
	EventCredentialsIssued EventType = "credentials.issued"
	EventLinked            EventType = "connection.linked"
	EventUnlinked          EventType = "connection.unlinked"
	EventEnrolmentCreated  EventType = "enrolment.created"
	EventEnrolmentRevoked  EventType = "enrolment.revoked"
)

// An Actor is who caused an event: the subject of a token, or one of the actors below.
type Actor string

// Actors that are no person and no service of the platform.
const (
	ActorStack    Actor = "stack"    // the customer's CloudFormation stack
	ActorRolecall Actor = "rolecall" // Rolecall's own schedule or verification
)

// An Event is one line of a connection's timeline. It is the audit trail, what the API returns, and what is published.
type Event struct {
	ID           string // unique for ever; consumers deduplicate by it
	ConnectionID ConnectionID
	EnrolmentID  EnrolmentID // instead of the connection's, of what happens to an enrolment
	TenantID     TenantID
	// Sequence orders the events of a connection. A change of state takes the next number; a note beside the state,
	// such as credentials issued, bears the number of the state in which it was made.
	Sequence int64
	Type     EventType
	At       time.Time
	Actor    Actor
	Data     map[string]any // stable names in camelCase; no secrets
}

func changeEventID(id ConnectionID, sequence int64) string {
	return fmt.Sprintf("evt_%s_%d", string(id[len("conn_"):]), sequence)
}
