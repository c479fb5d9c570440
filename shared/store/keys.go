package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"rolecall/shared/connect"
)

// The table's keys. No other file knows how they are made; the CDK app and the tests repeat only the attribute names.
const (
	attrPK = "PK"
	attrSK = "SK"

	indexTenant = "tenant" // a tenant's connections, by id, which sorts by time
	indexSlot   = "slot"   // enabled and degraded connections by slot
	indexDue    = "due"    // connections by the minute in which they must be looked at

	skMeta      = "META"
	skChecked   = "CHECKED"
	eventPrefix = "EVENT#"
	minuteForm  = "2006-01-02T15:04"
	noteTime    = "2006-01-02T15:04:05.000000000Z" // always as long, so that it sorts
)

type key struct {
	PK string `dynamodbav:"PK"`
	SK string `dynamodbav:"SK"`
}

func connectionPK(id connect.ConnectionID) string { return "CONN#" + string(id) }

func tenantPK(t connect.TenantID) string { return "TENANT#" + string(t) }

func metaKey(id connect.ConnectionID) key { return key{connectionPK(id), skMeta} }

func checkedKey(id connect.ConnectionID) key { return key{connectionPK(id), skChecked} }

// eventKey sorts notes behind the change in whose state they were made, and by time among themselves.
func eventKey(e connect.Event, note bool) key {
	sk := fmt.Sprintf("%s%010d", eventPrefix, e.Sequence)
	if note {
		sk += "#" + e.At.UTC().Format(noteTime) + "#" + e.ID
	}
	if e.EnrolmentID != "" {
		return key{enrolmentPK(e.EnrolmentID), sk}
	}
	return key{connectionPK(e.ConnectionID), sk}
}

// fenceKey hashes the stack's id, whose length would not fit a key in every case.
func fenceKey(id connect.ConnectionID, s connect.StackID) key {
	h := sha256.Sum256([]byte(s.String()))
	return key{connectionPK(id), "STACK#" + hex.EncodeToString(h[:16])}
}

func nameKey(t connect.TenantID, n connect.Name) key { return key{tenantPK(t), "NAME#" + n.Folded()} }

func roleKey(t connect.TenantID, r connect.RoleARN) key {
	return key{tenantPK(t), "ROLE#" + r.String()}
}

func scopeKey(t connect.TenantID, s connect.Scope) key {
	return key{tenantPK(t), "SCOPE#" + string(s.Level) + "#" + s.ID}
}

// accountKey is held by the one connection that serves the account, of those that the tenant's enrolments made.
func accountKey(t connect.TenantID, a connect.AccountID) key {
	return key{tenantPK(t), "ACCOUNT#" + string(a)}
}

func intakeKey(t connect.TenantID) key { return key{tenantPK(t), "INTAKE"} }

func leaseKey(t connect.TenantID, of connect.Rationed, minute time.Time) key {
	return key{tenantPK(t), "LIMIT#" + string(of) + "#" + minute.UTC().Format(minuteForm)}
}

func placesKey(t connect.TenantID) key { return key{tenantPK(t), "PLACES"} }

func idempotencyKey(t connect.TenantID, k string) key { return key{tenantPK(t), "IDEMPOTENCY#" + k} }

func cursorKey() key { return key{"SWEEP#cursor", "SWEEP#cursor"} }

func slotPK(n int) string { return fmt.Sprintf("SLOT#%d", n) }

func duePK(minute time.Time) string { return "DUE#" + minute.UTC().Format(minuteForm) }
