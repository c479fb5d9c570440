package iam_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/iam"
)

// simulation is the form of a simulation on a role for some actions, and whatever else is given.
func simulation(arn string, actions []string, more ...string) []string {
	pairs := append([]string{"PolicySourceArn", arn}, more...)
	for i, a := range actions {
		pairs = append(pairs, fmt.Sprintf("ActionNames.member.%d", i+1), a)
	}
	return pairs
}

// decisions reads action → decision out of an answer.
func decisions(text string) map[string]string {
	out := map[string]string{}
	for _, m := range regexp.MustCompile(`<EvalActionName>([^<]*)</EvalActionName><EvalResourceName>[^<]*</EvalResourceName><EvalDecision>([^<]*)<`).FindAllStringSubmatch(text, -1) {
		out[m[1]] = m[2]
	}
	return out
}

func (w *world) simulated(spec iam.RoleSpec) string {
	w.t.Helper()
	spec.Name, spec.Trust = "r", document(trusting(rootOf(platform), `"sts:AssumeRole"`, ""))
	return w.role(customer, spec).ARN
}

func TestSimulationSaysWhatAuthorizationWould(t *testing.T) {
	w := newWorld(t)
	boundary, err := w.iam.CreatePolicy(customer, iam.PolicySpec{Name: "b", Document: document(allow("*", "*"), deny("rds:*", "*"))})
	if err != nil {
		t.Fatal(err)
	}
	arn := w.simulated(iam.RoleSpec{
		Boundary: boundary, Attached: []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"},
		Inline: map[string]string{"x": document(allow("rds:CreateDBInstance", "*"), allow("s3:PutObject", "arn:aws:s3:::one/*"), deny("s3:ListAllMyBuckets", "*"))},
	})
	actions := []string{"ec2:DescribeInstances", "ec2:RunInstances", "s3:ListAllMyBuckets", "s3:PutObject", "rds:CreateDBInstance"}
	got := w.must(w.root(customer), "iam:SimulatePrincipalPolicy", simulation(arn, actions)...)
	want := map[string]string{
		"ec2:DescribeInstances": "allowed", "ec2:RunInstances": "implicitDeny", "s3:ListAllMyBuckets": "explicitDeny",
		"s3:PutObject": "implicitDeny", "rds:CreateDBInstance": "explicitDeny",
	}
	if d := cmp.Diff(want, decisions(got)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if n := strings.Count(got, "<AllowedByPermissionsBoundary>false<"); n != 1 {
		t.Errorf("the boundary stands in the way of %d actions, want 1:\n%s", n, got)
	}
	one := w.must(w.root(customer), "iam:SimulatePrincipalPolicy", simulation(arn, []string{"s3:PutObject"}, "ResourceArns.member.1", "arn:aws:s3:::one/two")...)
	if got := decisions(one)["s3:PutObject"]; got != "allowed" {
		t.Errorf("on the resource itself: %s", got)
	}
}

func TestSimulationKnowsOnlyTheContextItIsTold(t *testing.T) {
	w := newWorld(t)
	arn := w.simulated(iam.RoleSpec{Inline: map[string]string{"x": document(
		`{"Effect":"Allow","Action":"sns:*","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":"eu-west-1"}}}`)}})
	ask := func(more ...string) string {
		return w.must(w.root(customer), "iam:SimulatePrincipalPolicy", simulation(arn, []string{"sns:Publish", "sqs:SendMessage"}, more...)...)
	}
	got := ask()
	if decisions(got)["sns:Publish"] != "implicitDeny" || strings.Count(got, "<member>aws:RequestedRegion</member>") != 1 {
		t.Errorf("untold: %s", got)
	}
	told := func(region string) []string {
		return []string{
			"ContextEntries.member.1.ContextKeyName", "AWS:requestedregion", "ContextEntries.member.1.ContextKeyType", "string",
			"ContextEntries.member.1.ContextKeyValues.member.1", region,
		}
	}
	if got := ask(told("eu-west-1")...); decisions(got)["sns:Publish"] != "allowed" || strings.Contains(got, "<member>aws:RequestedRegion</member>") {
		t.Errorf("told: %s", got)
	}
	if got := ask(told("us-east-1")...); decisions(got)["sns:Publish"] != "implicitDeny" {
		t.Errorf("told another Region: %s", got)
	}
}

// A simulation sees what has spread, as authorization does.
func TestSimulationSeesWhatHasSpread(t *testing.T) {
	w := newWorld(t)
	w.iam.SetPropagation(customer, 0, 10*time.Second, 0)
	arn := w.simulated(iam.RoleSpec{Attached: []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"}})
	ask := func() string {
		return decisions(w.must(w.root(customer), "iam:SimulatePrincipalPolicy", simulation(arn, []string{"ec2:DescribeVpcs"})...))["ec2:DescribeVpcs"]
	}
	if got := ask(); got != "implicitDeny" {
		t.Errorf("at once: %s", got)
	}
	w.pass(10 * time.Second)
	if got := ask(); got != "allowed" {
		t.Errorf("later: %s", got)
	}
}

func TestWhoMaySimulateWhat(t *testing.T) {
	w := newWorld(t)
	own := w.simulated(iam.RoleSpec{})
	other := w.role(customer, iam.RoleSpec{Name: "other", Trust: document(trusting(rootOf(platform), `"sts:AssumeRole"`, ""))})
	if err := w.iam.PutRolePolicy(customer, "r", "self", document(allow("iam:SimulatePrincipalPolicy", own))); err != nil {
		t.Fatal(err)
	}
	p := w.as(credentials(t, w.must(w.function("fn", document(allow("sts:AssumeRole", "*"))), "sts:AssumeRole", "RoleArn", own, "RoleSessionName", "probe")))
	w.must(p, "iam:SimulatePrincipalPolicy", simulation(own, []string{"s3:PutObject"})...)
	w.refused(p, "AccessDenied", 403, "iam:SimulatePrincipalPolicy", simulation(other.ARN, []string{"s3:PutObject"})...)
	root := w.root(customer)
	for name, c := range map[string]struct {
		code   string
		status int
		pairs  []string
	}{
		"another account's":        {"NoSuchEntity", 404, simulation("arn:aws:iam::111111111111:role/rolecall/fn", []string{"s3:PutObject"})},
		"nobody's":                 {"NoSuchEntity", 404, simulation("arn:aws:iam::222222222222:role/none", []string{"s3:PutObject"})},
		"a session's":              {"InvalidInput", 400, simulation("arn:aws:sts::222222222222:assumed-role/r/probe", []string{"s3:PutObject"})},
		"no actions":               {"ValidationError", 400, simulation(own, nil)},
		"no action":                {"InvalidInput", 400, simulation(own, []string{"PutObject"})},
		"a wildcard":               {"InvalidInput", 400, simulation(own, []string{"s3:Put*"})},
		"what is not simulated":    {"InvalidInput", 400, simulation(own, []string{"s3:PutObject"}, "CallerArn", own)},
		"several resources":        {"InvalidInput", 400, simulation(own, []string{"s3:PutObject"}, "ResourceArns.member.2", "*")},
		"another set of documents": {"InvalidInput", 400, simulation(own, []string{"s3:PutObject"}, "PolicyInputList.member.1", document(allow("*", "*")))},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.call(root, "iam:SimulatePrincipalPolicy", c.pairs...)
			wantError(t, err, c.code, c.status)
		})
	}
}
