package connect_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"rolecall/shared/connect"
)

func TestPermissionsOfTheSet(t *testing.T) {
	const missing, forbidden, bounded, undecided = connect.RulingMissing, connect.RulingForbidden, connect.RulingBounded, connect.RulingUndecided
	type rules = map[string]connect.Ruling
	tests := []struct {
		name    string
		rules   rules
		verdict connect.Verdict
		code    connect.Code
		says    []string // in the message
		fixes   []string
	}{
		{name: "all there", verdict: connect.Passed},
		{
			"one missing",
			rules{"iam:ListRoles": missing},
			connect.Failed, connect.CodePermissionsMissing,
			[]string{"set read-only: iam:ListRoles"},
			[]string{"ReadOnlyAccess", "Roles, R1", grant("*", "iam:ListRoles")},
		},
		{
			"two missing",
			rules{"iam:ListRoles": missing, "s3:ListAllMyBuckets": missing},
			connect.Failed, connect.CodePermissionsMissing,
			[]string{"iam:ListRoles, s3:ListAllMyBuckets"},
			[]string{grant("*", "iam:ListRoles", "s3:ListAllMyBuckets")},
		},
		{
			"denied by a policy of the role",
			rules{"iam:ListRoles": forbidden},
			connect.Failed, connect.CodePermissionsMissing,
			[]string{"iam:ListRoles"},
			[]string{"Remove the Deny of iam:ListRoles"},
		},
		{
			"the boundary",
			rules{"iam:ListRoles": bounded},
			connect.Failed, connect.CodePermissionsMissing,
			[]string{"iam:ListRoles"},
			[]string{"permissions boundary does not allow iam:ListRoles", `{"Effect":"Allow","Action":["iam:ListRoles"],"Resource":"*"}`},
		},
		{"undecided", rules{"iam:ListRoles": undecided}, connect.Unknown, connect.CodeNotAsked, []string{"iam:ListRoles"}, []string{"service control policies"}},
		{
			"missing beside undecided",
			rules{"iam:ListRoles": missing, "s3:ListAllMyBuckets": undecided},
			connect.Failed, connect.CodePermissionsMissing,
			[]string{": iam:ListRoles"},
			nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := &account{assume: exact, trust: platform().TrustPolicy(ourID), rules: tt.rules}
			o := verifier(a).Verify(context.Background(), subject(t))
			c := o.Checks[5]
			if c.Verdict != tt.verdict || c.Reason.Code != tt.code || o.Proven() != (tt.verdict != connect.Failed) {
				t.Fatalf("%s %s, proven %t", c.Verdict, c.Reason.Code, o.Proven())
			}
			for _, s := range tt.says {
				if !strings.Contains(c.Reason.Message, s) {
					t.Errorf("message %q lacks %q", c.Reason.Message, s)
				}
			}
			for _, s := range tt.fixes {
				if !strings.Contains(c.Reason.Fix, s) {
					t.Errorf("fix %q lacks %q", c.Reason.Fix, s)
				}
			}
			if len(a.actions) != 1 || !slices.Equal(a.actions[0], []string{"ec2:DescribeInstances", "iam:ListRoles", "s3:ListAllMyBuckets"}) {
				t.Errorf("asked %v, want the set's actions once", a.actions)
			}
		})
	}
}

// A set of which nothing is known promises nothing: nobody is asked.
func TestASetWithoutPromisesIsNotAsked(t *testing.T) {
	a := &account{assume: exact, trust: platform().TrustPolicy(ourID)}
	s := subject(t)
	s.Permissions = "custom"
	o := verifier(a).Verify(context.Background(), s)
	if c := o.Checks[5]; c.Verdict != connect.Unknown || c.Reason.Code != connect.CodeNotAsked || !o.Proven() || len(a.actions) != 0 {
		t.Errorf("%+v, proven %t, asked %v", c, o.Proven(), a.actions)
	}
}

// silent answers about nothing that it was asked.
type silent struct{ account }

func (s *silent) Permissions(
	context.Context, connect.Credentials, connect.RoleARN, connect.Region, []string,
) ([]connect.ActionRuling, error) {
	return []connect.ActionRuling{{Action: "EC2:describeinstances", Ruling: connect.RulingAllowed}}, nil
}

func TestAnAnswerCutShortProvesNothing(t *testing.T) {
	a := &silent{account{assume: exact, trust: platform().TrustPolicy(ourID)}}
	v := verifier(&a.account)
	v.Inspector = a
	c := v.Verify(context.Background(), subject(t)).Checks[5]
	if c.Verdict != connect.Unknown || !strings.HasSuffix(c.Reason.Message, ": iam:ListRoles, s3:ListAllMyBuckets") {
		t.Errorf("%+v", c)
	}
}

// Permissions spread as slowly as everything else in IAM: what is missing may yet come, until the deadline.
func TestAMissingPermissionIsAwaited(t *testing.T) {
	c := in(t, connect.StatusVerifying)
	v, _ := c.Trial()
	a := &account{assume: exact, trust: platform().TrustPolicy(ourID), rules: map[string]connect.Ruling{"iam:ListRoles": connect.RulingMissing}}
	o := verifier(a).Verify(context.Background(), subject(t))
	ch := must[connect.Change](t)(c.Tried(v.Run, v.Attempt, o, 0, noon))
	if got := ch.Connection().Status(); got != connect.StatusVerifying {
		t.Fatalf("%s after the first try, want verifying", got)
	}
	late := must[connect.Change](t)(c.Tried(v.Run, v.Attempt, o, 0, v.Deadline)).Connection().Snapshot()
	if late.Status != connect.StatusFailed || late.StatusReason.Code != connect.CodePermissionsMissing {
		t.Fatalf("%s %s at the deadline", late.Status, late.StatusReason.Code)
	}
	soon := verifier(&account{assume: exact, trust: platform().TrustPolicy(ourID)}).Verify(context.Background(), subject(t))
	if got := must[connect.Change](t)(c.Tried(v.Run, v.Attempt, soon, 0, noon)).Connection().Status(); got != connect.StatusEnabled {
		t.Errorf("%s once the permissions are there", got)
	}
}

// A stack's event holds 4,096 bytes at most, ids and all: the longest reasons must come through whole, so that what is to
// be pasted is not cut.
func TestReasonsFitIntoAStacksEvent(t *testing.T) {
	const room = 3400 // of 4,096: status, ids and keys take about 600
	long := "arn:aws-us-gov:iam::222222222222:role/" + strings.Repeat("p", 255) + "/" + strings.Repeat("R", 64)
	s := connect.Subject{RoleARN: role(t, long), ExternalID: ourID, Region: "us-gov-west-1", Permissions: "read-only"}
	actions := make([]string, 25)
	rules := map[string]connect.Ruling{}
	for i := range actions {
		actions[i] = fmt.Sprintf("elasticloadbalancing:DescribeLoadBalancers%02d", i)
		rules[actions[i]] = []connect.Ruling{connect.RulingMissing, connect.RulingMissing, connect.RulingForbidden, connect.RulingBounded}[i%4]
	}
	broad := `{"Statement":[{"Sid":"` + strings.Repeat("S", 64) + `","Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}]}`
	extra := `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"` + strings.Repeat("é", 3000) + `"},"Action":"sts:AssumeRole"}]}`
	accounts := map[string]*account{
		"not assumable": {assume: func(connect.AssumeRequest) error { return errDenied }},
		"open":          {assume: func(connect.AssumeRequest) error { return nil }, regions: errDenied, trust: broad, rules: rules},
		"not asked":     {assume: exact, trustE: errDenied, rulesE: errDenied},
		"wide":          {assume: exact, trust: extra, rules: map[string]connect.Ruling{actions[0]: connect.RulingUndecided}},
	}
	for name, a := range accounts {
		v := verifier(a)
		v.Expects = map[connect.Permissions]connect.Expectation{"read-only": {Policies: []string{"job-function/ViewOnlyAccess"}, Actions: actions}}
		for _, c := range v.Verify(context.Background(), s).Checks {
			text, err := json.Marshal(c.Reason)
			if err != nil {
				t.Fatal(err)
			}
			if len(text) > room {
				t.Errorf("%s: the reason of %s has %d bytes, %d at most: %s", name, c.Name, len(text), room, text)
			}
			if strings.Contains(c.Reason.Message, actions[19]) {
				t.Errorf("%s: %s names more than ten actions: %s", name, c.Name, c.Reason.Message)
			}
		}
	}
}
