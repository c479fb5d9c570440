package storetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rolecall/shared/connect"
)

// A key names a record: what kind of thing it is, whose, and which one of them. The kinds are those of ARCHITECTURE.md.
type key struct{ kind, of, name string }

func (k key) String() string { return strings.TrimRight(k.kind+" "+k.of+" "+k.name, " ") }

const (
	kindConnection = "connection" // a connect.Snapshot
	kindEvent      = "event"      // a connect.Event
	kindEnrolment  = "enrolment"  // a connect.EnrolmentSnapshot
	kindMember     = "member"     // a connect.Member
)

func connectionKey(id connect.ConnectionID) key { return key{kindConnection, string(id), ""} }

func checkedKey(id connect.ConnectionID) key { return key{"checked", string(id), ""} } // a time.Time

func fenceKey(id connect.ConnectionID, s connect.StackID) key { // a connect.Fence
	return key{"fence", string(id), s.String()}
}

// What one connection of a tenant has, by its id.

func nameKey(t connect.TenantID, n connect.Name) key { return key{"name", string(t), n.Folded()} }

func roleKey(t connect.TenantID, r connect.RoleARN) key { return key{"role", string(t), r.String()} }

func scopeKey(t connect.TenantID, s connect.Scope) key { return key{"scope", string(t), s.String()} }

func accountKey(t connect.TenantID, a connect.AccountID) key {
	return key{"account", string(t), string(a)}
}

func intakeKey(t connect.TenantID) key { return key{"intake", string(t), ""} }

// What is counted and remembered of a tenant.

func requestKey(t connect.TenantID, idempotency string) key { // a request
	return key{"request", string(t), idempotency}
}

func leaseKey(t connect.TenantID, of connect.Rationed, minute time.Time) key { // an int
	return key{"lease", string(t), string(of) + " " + minute.UTC().Format(minuteForm)}
}

func placesKey(t connect.TenantID) key { return key{"places", string(t), ""} } // places

func enrolmentKey(id connect.EnrolmentID) key { return key{kindEnrolment, string(id), ""} }

func memberKey(id connect.EnrolmentID, a connect.AccountID) key {
	return key{kindMember, string(id), string(a)}
}

func stackKey(id connect.EnrolmentID, s connect.StackID) key {
	return key{"stack", string(id), s.String()}
} // a stack

func cursorKey() key { return key{"cursor", "", ""} } // a time.Time

const minuteForm = "2006-01-02T15:04"

// get is a record of a type; its zero value where there is none.
func get[T any](m *Memory, k key) T {
	v, _ := m.records[k].(T)
	return v
}

// of are the keys of one kind of somebody's records, sorted.
func (m *Memory) of(kind, of string) []key {
	var found []key
	for k := range m.records {
		if k.kind == kind && k.of == of {
			found = append(found, k)
		}
	}
	slices.SortFunc(found, byName)
	return found
}

func byName(a, b key) int { return strings.Compare(a.name, b.name) }

// kind are the sorted owners of all records of one kind.
func (m *Memory) kind(kind string) []string {
	found := map[string]bool{}
	for k := range m.records {
		if k.kind == kind {
			found[k.of] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// A write is what a transaction does to one record.
type write struct {
	key   key
	value any // nil deletes it
	// refuse says why the record may not be written over the one that is there, nil for none; a nil refuse lets it be.
	refuse func(old any) error
}

// A transaction is written whole or not at all. Of several reasons against it the first one counts.
type transaction []write

func (t *transaction) put(k key, value any, refuse func(old any) error) {
	*t = append(*t, write{k, value, refuse})
}

// mostWrites is how many records one transaction of DynamoDB can have.
const mostWrites = 100

func (m *Memory) commit(t transaction) error {
	if len(t) > mostWrites {
		return fmt.Errorf("one transaction writes %d records, DynamoDB takes %d", len(t), mostWrites)
	}
	written := map[key]bool{}
	for _, w := range t {
		if written[w.key] {
			return fmt.Errorf("one transaction writes %s twice, which DynamoDB refuses", w.key)
		}
		written[w.key] = true
	}
	for _, w := range t {
		if w.refuse == nil {
			continue
		}
		if err := w.refuse(m.records[w.key]); err != nil {
			return err
		}
	}
	for _, w := range t {
		m.set(w.key, w.value)
	}
	return nil
}

func (m *Memory) set(k key, value any) {
	if value == nil {
		delete(m.records, k)
		return
	}
	if _, there := m.records[k]; k.kind == kindEvent && !there {
		m.log = append(m.log, k)
	}
	m.records[k] = value
}

// unless refuses with err where there is a record already.
func unless(err error) func(any) error {
	return func(old any) error {
		if old != nil {
			return err
		}
		return nil
	}
}

// only refuses with err where the record is another one; none counts as the zero value.
func only[T comparable](want T, err error) func(any) error {
	return func(old any) error {
		if is, _ := old.(T); is != want {
			return err
		}
		return nil
	}
}

// free refuses what another connection has.
func free(id connect.ConnectionID, taken func(holder connect.ConnectionID) error) func(any) error {
	return func(old any) error {
		if holder, _ := old.(connect.ConnectionID); holder != "" && holder != id {
			return taken(holder)
		}
		return nil
	}
}

func always(err error) func(connect.ConnectionID) error {
	return func(connect.ConnectionID) error { return err }
}
