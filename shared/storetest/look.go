package storetest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"rolecall/shared/connect"
)

// Put has these connections be there, with all that they hold, as if they had come to it by changes of their own. There are
// no events of it, and nothing is refused.
func (m *Memory) Put(cs ...connect.Connection) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range cs {
		if was, err := m.connection(c.ID()); err == nil {
			for _, k := range holds(was.Snapshot()) {
				m.set(k, nil)
			}
		}
		s := c.Snapshot()
		m.set(connectionKey(s.ID), kept(s))
		for _, k := range append(holds(s), nameKey(s.TenantID, s.Name)) {
			m.set(k, s.ID)
		}
		if member, ok := connect.MemberOf(c); ok {
			m.set(memberKey(member.EnrolmentID, member.AccountID), member)
		}
	}
}

// holds are what the connection alone has within its tenant as long as it is as it is.
func holds(s connect.Snapshot) (held []key) {
	if !s.RoleARN.IsZero() && s.Status != connect.StatusDisconnected && s.Status != connect.StatusDeleted {
		held = append(held, roleKey(s.TenantID, s.RoleARN))
	}
	if s.Verification != nil {
		held = append(held, roleKey(s.TenantID, s.Verification.RoleARN))
	}
	for _, scope := range s.Scopes {
		held = append(held, scopeKey(s.TenantID, scope))
	}
	if s.EnrolmentID != "" && (s.Status == connect.StatusEnabled || s.Status == connect.StatusDegraded) {
		held = append(held, accountKey(s.TenantID, s.AccountID))
	}
	return held
}

// PutMember has an account of an enrolment be as far as that.
func (m *Memory) PutMember(member connect.Member) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.set(memberKey(member.EnrolmentID, member.AccountID), member)
}

// Get is a connection as it is now; the zero one where there is none.
func (m *Memory) Get(id connect.ConnectionID) connect.Connection {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records[connectionKey(id)] == nil {
		return connect.Connection{}
	}
	return readable(m.checked(id))
}

// All are the connections of all tenants as they are now, by id.
func (m *Memory) All() []connect.Connection {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []connect.Connection
	for _, id := range m.kind(kindConnection) {
		all = append(all, readable(m.checked(connect.ConnectionID(id))))
	}
	return all
}

// Log are the events and notes of all connections and enrolments, in the order in which they were written; of some
// connections alone where they are named.
func (m *Memory) Log(of ...connect.ConnectionID) []connect.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []connect.Event
	for _, k := range m.log {
		if e := get[connect.Event](m, k); len(of) == 0 || slices.Contains(of, e.ConnectionID) {
			out = append(out, e)
		}
	}
	return out
}

// Member is how far an account of an enrolment has come; ok is false where it is not known.
func (m *Memory) Member(id connect.EnrolmentID, account connect.AccountID) (member connect.Member, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	member, ok = m.records[memberKey(id, account)].(connect.Member)
	return member, ok
}

// readable is for what a test looks at; what the domain could not read must not be taken for nothing.
func readable[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("storetest: what was written cannot be read: %v", err))
	}
	return v
}

// A Dump is all that a store holds at one instant, by the names of its records.
type Dump map[string]any

// Dump is all that the store holds.
func (m *Memory) Dump() Dump {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := Dump{}
	for k, v := range m.records {
		d[k.String()] = v
	}
	return d
}

// Diff says what has changed until the later dump, a line for each record or field of one; "" for nothing.
func (d Dump) Diff(later Dump) string {
	var lines []string
	for name, was := range d {
		if is, there := later[name]; !there {
			lines = append(lines, "- "+name)
		} else if !reflect.DeepEqual(was, is) {
			lines = append(lines, differs(name, was, is)...)
		}
	}
	for name, is := range later {
		if _, there := d[name]; !there {
			lines = append(lines, fmt.Sprintf("+ %s: %+v", name, is))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// differs tells in which fields two records of a name do.
func differs(name string, was, is any) (lines []string) {
	a, b := reflect.ValueOf(was), reflect.ValueOf(is)
	if a.Kind() != reflect.Struct || a.Type() != b.Type() {
		return []string{fmt.Sprintf("~ %s: %v, then %v", name, was, is)}
	}
	for i := range a.NumField() {
		if x, y := text(a.Field(i)), text(b.Field(i)); x != y {
			lines = append(lines, fmt.Sprintf("~ %s: %s %s, then %s", name, a.Type().Field(i).Name, x, y))
		}
	}
	if lines == nil {
		lines = []string{fmt.Sprintf("~ %s: deep inside", name)}
	}
	return lines
}

// text shows a field, and what it points to.
func text(v reflect.Value) string {
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	return fmt.Sprintf("%+v", v)
}
