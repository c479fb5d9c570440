package connect_test

import (
	"testing"

	"rolecall/shared/connect"
)

// The first resource of an account's stack is answered by the enrolment's token, and changes nothing: its second one reports.
func TestAMembersStackStarts(t *testing.T) {
	for name, c := range map[string]struct {
		kind  connect.RequestType
		token string
		ok    bool
	}{
		"create": {connect.RequestCreate, goodToken, true}, "update": {connect.RequestUpdate, goodToken, true}, "delete": {connect.RequestDelete, goodToken, true},
		"another token": {connect.RequestCreate, "e.bad", false}, "delete with another token": {connect.RequestDelete, "e.bad", true},
	} {
		o, u := newOrganization(t)
		r := o.report(t, c.kind, customerAccount, 1, "s1")
		r.Callback.Resource, r.Callback.LogicalID = connect.ResourceStackStarted, "StackStarted"
		r.RoleARN, r.PermissionSet, r.Token = "", "", connect.NewSecret(c.token)
		reply := receive(t, u, r)
		if reply == nil || reply.OK != c.ok || (!c.ok && reply.Reason.Code != connect.CodeTokenInvalid) {
			t.Errorf("%s: %+v", name, reply)
		}
		if len(o.connections)+len(o.members)+len(o.events)+len(o.jobs)+len(o.seen)+len(o.stacks) != 0 {
			t.Errorf("%s left something behind", name)
		}
	}
}
