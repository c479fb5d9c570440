// Package events is the contract of what Rolecall publishes on its EventBridge bus.
package events

// Source is the source of every event.
const Source = "rolecall"

// A Detail is the detail of every event; the detail-type repeats Type. Events come at least once and in any order:
// deduplicate by ID, order a connection's events by Sequence.
type Detail struct {
	ID           string         `json:"id"`
	Type         string         `json:"type"`
	Version      string         `json:"version"` // of this contract: "1"
	TenantID     string         `json:"tenantId"`
	ConnectionID string         `json:"connectionId,omitempty"`
	EnrolmentID  string         `json:"enrolmentId,omitempty"` // instead of the connection's, where the type begins with "enrolment."
	Sequence     int64          `json:"sequence"`
	At           string         `json:"at"` // RFC 3339, UTC
	Actor        string         `json:"actor"`
	Data         map[string]any `json:"data"`
}

// Version of the contract.
const Version = "1"
