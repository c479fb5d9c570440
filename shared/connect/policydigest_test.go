package connect_test

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// Digests of the platform's own policy.
const (
	earlierPolicy = "0123456789abcdef"
	currentPolicy = "fedcba9876543210"
)

// offering is a deployment whose own permission set has a policy.
func offering(policy string) connect.Deployment {
	return connect.Deployment{
		Platform: platform(), Regions: []connect.Region{"eu-west-1"}, TemplateURL: "https://t.example/t.yaml", TemplateVersion: "1.2.0", Upgrades: upgrades{},
		OrganizationTemplate: connect.PublishedTemplate{URL: "https://t.example/o.yaml", Version: "1.1.0"},
		Permissions: []connect.PermissionSet{
			{Name: "read-only"}, {Name: connect.PermissionsCustom, PolicyDigest: policy, PolicyURL: "https://t.example/p.json"},
		},
	}
}

// ofCustom is a connection whose stack reported the platform's own permission set.
func ofCustom(t testing.TB, version, policy string) *world {
	t.Helper()
	w := newWorld(created(t))
	cb := granting(t, connect.RequestCreate, "r1", 1, connect.PermissionsCustom)
	cb.TemplateVersion, cb.Grant.PolicyDigest = version, policy
	w.receive(t, cb)
	w.verify(t, true)
	return w
}

// A stack is offered an update when the platform's own policy has changed, though the template's version has not.
func TestAChangedPolicyIsAnUpdate(t *testing.T) {
	for name, tt := range map[string]struct {
		version, has, offered string
		changes               []string
	}{
		"the same policy":                   {"1.2.0", currentPolicy, currentPolicy, nil},
		"another policy":                    {"1.2.0", earlierPolicy, currentPolicy, []string{"another policy than " + earlierPolicy}},
		"another policy and template":       {"1.0.0", earlierPolicy, currentPolicy, []string{"more for custom", "another policy than " + earlierPolicy}},
		"an older template that says none":  {"1.0.0", "", currentPolicy, []string{"more for custom", "another policy than "}},
		"no older template that says none":  {"1.2.0", "", currentPolicy, nil},
		"a platform that has withdrawn it":  {"1.2.0", earlierPolicy, "", nil},
		"an older template, the same words": {"1.0.0", currentPolicy, currentPolicy, []string{"more for custom"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := ofCustom(t, tt.version, tt.has)
			if s := w.c.Snapshot(); s.PolicyDigest != tt.has || s.Status != connect.StatusEnabled {
				t.Fatalf("%s with %q", s.Status, s.PolicyDigest)
			}
			d := offering(tt.offered)
			u := d.StackUpdate(t.Context(), w.c)
			if (u == nil) != (tt.changes == nil) {
				t.Fatalf("%+v", u)
			}
			if u != nil && (!slices.Equal(u.Changes, tt.changes) || u.From != tt.version || u.To != "1.2.0" || u.UpdateURL == "" || u.CLI == "") {
				t.Errorf("%+v", u)
			}
			if by := d.PolicyUpdate(t.Context(), w.c); by != nil {
				t.Errorf("told to change its role by hand: %+v", by)
			}
		})
	}
	w := connectedBy12(t) // with another set
	if u := offering(currentPolicy).StackUpdate(t.Context(), w.c); u != nil {
		t.Errorf("of another set: %+v", u)
	}
}

// A stack of a template that does not report its policy is not taken to have the current one, which its role was held to.
func TestAnOlderTemplatesPolicyIsNotKnown(t *testing.T) {
	w := newWorld(created(t))
	w.receive(t, granting(t, connect.RequestCreate, "r1", 1, connect.PermissionsCustom))
	o := good(w.now)
	o.PolicyDigest = currentPolicy
	w.reports.Verifier.Expects = map[connect.Permissions]connect.Expectation{connect.PermissionsCustom: {PolicyDigest: currentPolicy}}
	w.verify(t, true)
	if s := w.c.Snapshot(); s.Status != connect.StatusEnabled || s.PolicyDigest != "" {
		t.Fatalf("%s with %q", s.Status, s.PolicyDigest)
	}
	o.Checks, o.Regions = w.c.Snapshot().Checks, w.c.Snapshot().Regions
	if ch, changed := w.c.Rechecked(o, connect.ActorRolecall, w.now.Add(time.Hour)); changed {
		t.Errorf("a look at it changes %+v", ch.Event())
	}
}

// The stack's Update moves the digest, has the role looked at, and a rollback moves it back.
func TestAnUpdateMovesThePolicy(t *testing.T) {
	w := ofCustom(t, "1.2.0", earlierPolicy)
	for i, digest := range []string{currentPolicy, earlierPolicy} {
		cb := granting(t, connect.RequestUpdate, "u"+digest, 10+i, connect.PermissionsCustom)
		cb.Grant.PolicyDigest = digest
		before := w.c.Snapshot().PolicyDigest
		d := w.receive(t, cb)
		s := w.c.Snapshot()
		if !d.Reply.OK || s.PolicyDigest != digest || s.NextVerificationAt.IsZero() || s.RoleARN.IsZero() {
			t.Fatalf("%+v, %q, looked at %s", d.Reply, s.PolicyDigest, s.NextVerificationAt)
		}
		if data := w.events[len(w.events)-1].Data; data["policyDigest"] != digest || data["fromPolicyDigest"] != before {
			t.Errorf("%v", data)
		}
	}
}

// A stack that a stack set made is not updated by itself, and never by the template of a single account.
func TestUpdatesOfAnOrganizationsStacks(t *testing.T) {
	for name, tt := range map[string]struct {
		stack string
		link  bool
	}{
		"an account's":       {"StackSet-rolecall-enr-0001", false},
		"the organization's": {"rolecall-enr", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := in(t, connect.StatusEnabled).Snapshot()
			s.EnrolmentID = "enr_01jd0000000000000000000000"
			s.Stack = connect.Stack{ID: stack(t, strings.Replace(stackOne, "stack/one/", "stack/"+tt.stack+"/", 1)), TemplateVersion: "1.0.0"}
			c := must[connect.Connection](t)(connect.Restore(s))
			u := offering(currentPolicy).StackUpdate(t.Context(), c)
			if u == nil || u.From != "1.0.0" || u.To != "1.1.0" || u.TemplateURL != "https://t.example/o.yaml" || !slices.Equal(u.Changes, []string{"more for accounts"}) {
				t.Fatalf("%+v", u)
			}
			if (u.UpdateURL != "") != tt.link || (u.CLI == "update the organization's") != tt.link {
				t.Errorf("%+v", u)
			}
		})
	}
}

// custom is a pending connection that asks for the platform's own set.
func custom(t testing.TB) connect.Connection {
	t.Helper()
	s := created(t).Snapshot()
	s.Permissions, s.Requested = connect.PermissionsCustom, connect.PermissionsCustom
	return must[connect.Connection](t)(connect.Restore(s))
}

// expecting makes a bench whose platform has a policy of its own that expects an action, which the role has or lacks.
func (b *bench) expecting(policy, action string, ruling connect.Ruling) {
	b.u.Verifier.Expects = map[connect.Permissions]connect.Expectation{
		connect.PermissionsCustom: {Actions: []string{action}, PolicyDigest: policy},
	}
	b.acct.rules = map[string]connect.Ruling{action: ruling}
}

// A role made by hand is known to have the policy that it was held against. When the platform's changes, nothing is missed
// of the role that it was never asked for; its connection says how it comes to the new one, and giving the role once more
// holds it against that.
func TestARoleByHandAndAPolicyThatChanges(t *testing.T) {
	c := custom(t)
	b := newBench(c)
	b.expecting(earlierPolicy, "ce:GetCostAndUsage", connect.RulingAllowed)
	target := connect.Target{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(c.ID()), By: "ada"}
	report := func() connect.Snapshot {
		t.Helper()
		if _, err := b.u.ReportRole(context.Background(), target, roleR1, 0); err != nil {
			t.Fatal(err)
		}
		return b.store.Get(c.ID()).Snapshot()
	}
	if s := report(); s.Status != connect.StatusEnabled || s.PolicyDigest != earlierPolicy {
		t.Fatalf("%s with %q", s.Status, s.PolicyDigest)
	}
	newest := func() connect.Event { return b.store.Log()[len(b.store.Log())-1] }
	if e := newest(); e.Type != connect.EventEnabled || e.Data["policyDigest"] != earlierPolicy {
		t.Errorf("%s %v", e.Type, e.Data)
	}

	b.expecting(currentPolicy, "cur:DescribeReportDefinitions", connect.RulingMissing)
	for range 3 {
		b.now = b.now.Add(time.Hour)
		got, err := b.u.Verify(context.Background(), target, 0)
		if err != nil {
			t.Fatal(err)
		}
		check := got.Checks[5]
		if s := got.Connection.Snapshot(); s.Status != connect.StatusEnabled || s.Strikes != 0 || check.Verdict != connect.Unknown || check.Reason.Code != connect.CodeNotAsked {
			t.Fatalf("%s with %d strikes: %+v", s.Status, s.Strikes, check)
		}
	}
	d := offering(currentPolicy)
	u := d.PolicyUpdate(t.Context(), b.store.Get(c.ID()))
	if u == nil || !slices.Equal(u.Changes, []string{"another policy than " + earlierPolicy}) || u.CLI != "put R1 in eu-west-1" || u.PolicyURL != "https://t.example/p.json" {
		t.Fatalf("%+v", u)
	}

	if s := report(); s.Strikes != 1 || s.PolicyDigest != earlierPolicy {
		t.Errorf("given again without the policy: %d strikes, %q", s.Strikes, s.PolicyDigest)
	}
	b.now = b.now.Add(6 * time.Minute)
	b.expecting(currentPolicy, "cur:DescribeReportDefinitions", connect.RulingAllowed)
	if s := report(); s.Status != connect.StatusEnabled || s.Strikes != 0 || s.PolicyDigest != currentPolicy {
		t.Errorf("given again with the policy: %s, %d strikes, %q", s.Status, s.Strikes, s.PolicyDigest)
	}
	if e := newest(); e.Type != connect.EventVerified || e.Data["policyDigest"] != currentPolicy {
		t.Errorf("%s %v", e.Type, e.Data)
	}
	if u := d.PolicyUpdate(t.Context(), b.store.Get(c.ID())); u != nil {
		t.Errorf("still to be updated: %+v", u)
	}
	version := b.store.Get(c.ID()).Version()
	b.now = b.now.Add(time.Hour)
	if s := report(); s.Version != version {
		t.Errorf("nothing new makes version %d of %d", s.Version, version)
	}
}

// The link that updates a stack is of the stack's own partition and Region.
func TestUpdateLinksOfEveryPartition(t *testing.T) {
	for stackARN, console := range map[string]string{
		"arn:aws:cloudformation:eu-north-1:222222222222:stack/one/1":           "https://eu-north-1.console.aws.amazon.com/",
		"arn:aws-us-gov:cloudformation:us-gov-east-1:222222222222:stack/one/1": "https://console.amazonaws-us-gov.com/",
		"arn:aws-cn:cloudformation:cn-northwest-1:222222222222:stack/one/1":    "https://console.amazonaws.cn/",
	} {
		id := stack(t, stackARN)
		s := in(t, connect.StatusEnabled).Snapshot()
		s.Partition, s.Stack = id.Partition(), connect.Stack{ID: id, TemplateVersion: "1.0.0"}
		d := offering(currentPolicy)
		d.Platform.Partition = id.Partition()
		u := d.StackUpdate(t.Context(), must[connect.Connection](t)(connect.Restore(s)))
		if u == nil || !strings.HasPrefix(u.UpdateURL, console+"cloudformation/home?region="+string(id.Region())+"#/stacks/update/template?stackId="+url.QueryEscape(stackARN)) {
			t.Errorf("%s: %+v", stackARN, u)
		}
	}
}
