package storetest

import (
	"fmt"
	"reflect"
	"testing"

	"rolecall/shared/connect"
)

// A transaction is one that DynamoDB would take: a hundred records at most, each of them once.
func TestTransactionsAreDynamoDBs(t *testing.T) {
	var whole transaction
	for i := range mostWrites {
		whole.put(key{"name", "acme", fmt.Sprint(i)}, connect.ConnectionID("conn_1"), nil)
	}
	m := New()
	if err := m.commit(whole); err != nil || len(m.Dump()) != mostWrites {
		t.Errorf("%d records, %v", len(m.Dump()), err)
	}
	m = New()
	if err := m.commit(append(whole, write{key: key{"name", "acme", "more"}, value: 1})); err == nil || len(m.Dump()) != 0 {
		t.Errorf("one too many: %d records, %v", len(m.Dump()), err)
	}
	if err := m.commit(append(whole[:2:2], write{key: whole[0].key})); err == nil || len(m.Dump()) != 0 {
		t.Errorf("one twice: %d records, %v", len(m.Dump()), err)
	}
}

// What the domain keeps to itself is lost, as it is in DynamoDB: nothing may rely on it after a read.
func TestWhatNoRecordHasIsLost(t *testing.T) {
	a := newArena()
	o := connect.Verifier{Platform: platform(), Assumer: a, Inspector: a, Organizations: a, Clock: a.clock}.Verify(t.Context(), connect.Subject{
		RoleARN: Role(t, roleOne), ExternalID: connect.NewExternalID(), Region: "eu-west-1",
	})
	settling := func(checks []connect.Check) bool { return reflect.ValueOf(checks[0]).FieldByName("settling").Bool() }
	if !settling(o.Checks) {
		t.Fatal("the check that is denied has nothing to lose")
	}
	if settling(kept(connect.Snapshot{Checks: o.Checks}).Checks) {
		t.Error("it is kept")
	}
}
