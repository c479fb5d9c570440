package iam_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"rolecall/infra/local/iam"
	"rolecall/infra/local/policy"
	"rolecall/infra/local/wire"
)

const queue = "arn:aws:sqs:eu-west-1:111111111111:orders"

func parsed(t *testing.T, text string) *policy.Document {
	t.Helper()
	doc, err := policy.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return &doc
}

func onQueue(effect, principal string) string {
	return `{"Effect":"` + effect + `","Principal":` + principal + `,"Action":"sqs:*","Resource":"*"}`
}

// TestWhoDecides goes through the rules for identity and resource policies, within an account and across.
func TestWhoDecides(t *testing.T) {
	const (
		role    = `{"AWS":"arn:aws:iam::111111111111:role/rolecall/fn"}`
		session = `{"AWS":"arn:aws:sts::111111111111:assumed-role/fn/fn"}`
		foreign = "arn:aws:sqs:eu-west-1:222222222222:orders"
	)
	yes, no := document(allow("sqs:*", "*")), document(allow("s3:*", "*"))
	cases := map[string]struct {
		identity, resource string // resource policy's statement, "" for none
		target             string
		decides            bool
		why                string // part of the refusal, "" for allowed
	}{
		"identity":                             {yes, "", queue, false, ""},
		"nobody":                               {no, "", queue, false, "because no identity-based policy allows the sqs:SendMessage action"},
		"identity denies":                      {document(allow("*", "*"), deny("sqs:Send*", queue)), "", queue, false, "with an explicit deny in an identity-based policy"},
		"role named by the resource":           {no, onQueue("Allow", role), queue, false, ""},
		"session named by the resource":        {no, onQueue("Allow", session), queue, false, ""},
		"everyone named by the resource":       {no, onQueue("Allow", `"*"`), queue, false, ""},
		"account named leaves it to identity":  {no, onQueue("Allow", rootOf(platform)), queue, false, "identity-based policy"},
		"account named, identity":              {yes, onQueue("Allow", rootOf(platform)), queue, false, ""},
		"resource denies":                      {yes, onQueue("Deny", role), queue, false, "with an explicit deny in a resource-based policy"},
		"identity denies what resource allows": {document(deny("*", "*")), onQueue("Allow", role), queue, false, "explicit deny in an identity-based policy"},
		"foreign, both":                        {yes, onQueue("Allow", rootOf(platform)), foreign, false, ""},
		"foreign, identity alone":              {yes, "", foreign, false, "because no resource-based policy allows"},
		"foreign, resource names another":      {yes, onQueue("Allow", rootOf(customer)), foreign, false, "resource-based policy"},
		"foreign, resource alone":              {no, onQueue("Allow", role), foreign, false, "because no identity-based policy allows"},
		"deciding, names account, identity":    {yes, onQueue("Allow", rootOf(platform)), queue, true, ""},
		"deciding, names account alone":        {no, onQueue("Allow", rootOf(platform)), queue, true, "identity-based policy"},
		"deciding, names role":                 {no, onQueue("Allow", role), queue, true, ""},
		"deciding, names another":              {yes, onQueue("Allow", rootOf(customer)), queue, true, "resource-based policy"},
		"deciding, nothing":                    {yes, "", queue, true, "resource-based policy"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			need := wire.Need{Action: "sqs:SendMessage", Resource: c.target, PolicyDecides: c.decides}
			if c.resource != "" {
				need.ResourcePolicy = parsed(t, document(c.resource))
			}
			err := w.iam.Authorize(w.function("fn", c.identity), need)
			if c.why == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			message := wantError(t, err, "AccessDenied", 403)
			want := "User: arn:aws:sts::111111111111:assumed-role/fn/fn is not authorized to perform: sqs:SendMessage on resource: " + c.target + " "
			if !strings.HasPrefix(message, want) || !strings.Contains(message, c.why) {
				t.Errorf("message %q, want %q…%q", message, want, c.why)
			}
		})
	}
}

func TestBoundariesAndSessionPoliciesNarrow(t *testing.T) {
	const role = `{"AWS":"arn:aws:iam::111111111111:role/fn"}`
	const session = `{"AWS":"arn:aws:sts::111111111111:assumed-role/fn/probe"}`
	cases := map[string]struct {
		boundary, session, resource string
		why                         string
	}{
		"neither":                              {"", "", "", ""},
		"boundary allows":                      {document(allow("sqs:*", "*")), "", "", ""},
		"boundary is silent":                   {document(allow("s3:*", "*")), "", "", "because no permissions boundary allows"},
		"boundary denies":                      {document(allow("*", "*"), deny("sqs:*", "*")), "", "", "with an explicit deny in a permissions boundary"},
		"session allows":                       {"", document(allow("sqs:*", "*")), "", ""},
		"session is silent":                    {"", document(allow("s3:*", "*")), "", "because no session policy allows"},
		"session denies":                       {"", document(allow("*", "*"), deny("sqs:*", "*")), "", "with an explicit deny in a session policy"},
		"both allow":                           {document(allow("sqs:*", "*")), document(allow("sqs:Send*", "*")), "", ""},
		"a grant to the role is narrowed":      {document(allow("s3:*", "*")), "", onQueue("Allow", role), "permissions boundary"},
		"a grant to the session is not":        {document(allow("s3:*", "*")), document(allow("s3:*", "*")), onQueue("Allow", session), ""},
		"but an explicit deny counts for both": {document(deny("*", "*")), "", onQueue("Allow", session), "explicit deny in a permissions boundary"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			spec := iam.RoleSpec{
				Name: "fn", Trust: document(trusting(rootOf(platform), `"sts:AssumeRole"`, "")),
				Inline: map[string]string{"all": document(allow("sqs:*", "*"))},
			}
			if c.boundary != "" {
				arn, err := w.iam.CreatePolicy(platform, iam.PolicySpec{Name: "boundary", Document: c.boundary})
				if err != nil {
					t.Fatal(err)
				}
				spec.Boundary = arn
			}
			w.role(platform, spec)
			pairs := []string{"RoleArn", "arn:aws:iam::111111111111:role/fn", "RoleSessionName", "probe"}
			if c.session != "" {
				pairs = append(pairs, "Policy", c.session)
			}
			p := w.as(credentials(t, w.must(w.root(platform), "sts:AssumeRole", pairs...)))
			need := wire.Need{Action: "sqs:SendMessage", Resource: queue}
			if c.resource != "" {
				need.ResourcePolicy = parsed(t, document(c.resource))
			}
			err := w.iam.Authorize(p, need)
			if c.why == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if message := wantError(t, err, "AccessDenied", 403); !strings.Contains(message, c.why) {
				t.Errorf("message %q, want %q", message, c.why)
			}
		})
	}
}

// TestSessionPoliciesTogether shows that inline and managed session policies are one set, as in AWS: what either allows.
func TestSessionPoliciesTogether(t *testing.T) {
	w := newWorld(t)
	w.role(platform, iam.RoleSpec{Name: "fn", Trust: trustPlatform, Inline: map[string]string{"all": document(allow("*", "*"))}})
	p := w.as(credentials(t, w.must(w.root(platform), "sts:AssumeRole", "RoleArn", "arn:aws:iam::111111111111:role/fn", "RoleSessionName", "probe",
		"Policy", document(allow("sqs:SendMessage", "*")), "PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/ReadOnlyAccess")))
	for action, want := range map[string]bool{"sqs:SendMessage": true, "sqs:ListQueues": true, "sqs:DeleteQueue": false} {
		if err := w.iam.Authorize(p, wire.Need{Action: action, Resource: "*"}); (err == nil) != want {
			t.Errorf("%s: %v, want allowed %v", action, err, want)
		}
	}
}

func TestRootOfAnAccount(t *testing.T) {
	w := newWorld(t)
	root := w.root(platform)
	if root.UserID != platform || root.ARN != "arn:aws:iam::111111111111:root" {
		t.Errorf("root is %+v", root)
	}
	if err := w.iam.Authorize(root, wire.Need{Action: "sqs:DeleteQueue", Resource: queue}); err != nil {
		t.Error(err)
	}
	foreign := wire.Need{Action: "sqs:SendMessage", Resource: "arn:aws:sqs:eu-west-1:222222222222:q"}
	wantError(t, w.iam.Authorize(root, foreign), "AccessDenied", 403)
	foreign.ResourcePolicy = parsed(t, document(onQueue("Allow", rootOf(platform))))
	if err := w.iam.Authorize(root, foreign); err != nil {
		t.Error(err)
	}
}

func TestServiceActingForItself(t *testing.T) {
	w := newWorld(t)
	sns := wire.Principal{Service: "sns.amazonaws.com", Account: platform}
	need := wire.Need{Action: "sqs:SendMessage", Resource: queue, Context: map[string][]string{"aws:SourceArn": {"arn:aws:sns:eu-west-1:111111111111:t"}}}
	wantError(t, w.iam.Authorize(sns, need), "AccessDenied", 403)
	statement := strings.TrimSuffix(onQueue("Allow", `{"Service":"sns.amazonaws.com"}`), "}") +
		`,"Condition":{"ArnEquals":{"aws:SourceArn":"arn:aws:sns:eu-west-1:111111111111:%s"}}}`
	need.ResourcePolicy = parsed(t, document(strings.Replace(statement, "%s", "t", 1)))
	if err := w.iam.Authorize(sns, need); err != nil {
		t.Error(err)
	}
	need.ResourcePolicy = parsed(t, document(strings.Replace(statement, "%s", "other", 1)))
	wantError(t, w.iam.Authorize(sns, need), "AccessDenied", 403)
}

func TestContextKeysOfTheCaller(t *testing.T) {
	w := newWorld(t)
	with := func(condition string) string {
		return document(`{"Effect":"Allow","Action":"sqs:*","Resource":"*","Condition":` + condition + `}`)
	}
	w.role(platform, iam.RoleSpec{
		Name: "tagged", Trust: document(trusting(lambda, `"sts:AssumeRole"`, ""), trusting(rootOf(platform), `"sts:*"`, "")),
		Tags: map[string]string{"Team": "blue", "cost": "7"},
	})
	out := w.must(w.root(platform), "sts:AssumeRole", "RoleArn", "arn:aws:iam::111111111111:role/tagged", "RoleSessionName", "probe",
		"Tags.member.1.Key", "team", "Tags.member.1.Value", "red", "SourceIdentity", "ann")
	w.pass(time.Minute)
	p := w.as(credentials(t, out))
	cases := map[string]bool{
		`{"StringEquals":{"aws:PrincipalTag/team":"red"}}`:                   true,
		`{"StringEquals":{"aws:PrincipalTag/Team":"blue"}}`:                  false,
		`{"StringEquals":{"aws:PrincipalTag/cost":"7"}}`:                     true,
		`{"StringEquals":{"aws:SourceIdentity":"ann"}}`:                      true,
		`{"StringEquals":{"aws:RequestedRegion":"eu-west-1"}}`:               true,
		`{"StringEquals":{"aws:ResourceAccount":"${aws:PrincipalAccount}"}}`: true,
		`{"Bool":{"aws:ViaAWSService":"false"}}`:                             true,
		`{"Bool":{"aws:PrincipalIsAWSService":"true"}}`:                      false,
		`{"Null":{"aws:CalledVia":"true"}}`:                                  true,
		`{"DateLessThan":{"aws:TokenIssueTime":"2026-03-01T12:00:30Z"}}`:     true,
		`{"DateLessThan":{"aws:TokenIssueTime":"2026-03-01T12:00:00Z"}}`:     false,
		`{"ForAnyValue:StringEquals":{"app:given":"x"}}`:                     true,
	}
	need := wire.Need{Action: "sqs:SendMessage", Resource: queue, Context: map[string][]string{"App:Given": {"x", "y"}}}
	for condition, want := range cases {
		if err := w.iam.PutRolePolicy(platform, "tagged", "p", with(condition)); err != nil {
			t.Fatal(err)
		}
		if err := w.iam.Authorize(p, need); (err == nil) != want {
			t.Errorf("%s: %v, want allowed %v", condition, err, want)
		}
	}
	p.CalledVia = []string{"cloudformation.amazonaws.com"}
	for _, condition := range []string{
		`{"ForAnyValue:StringEquals":{"aws:CalledVia":"cloudformation.amazonaws.com"}}`,
		`{"StringEquals":{"aws:CalledViaLast":"cloudformation.amazonaws.com"},"Bool":{"aws:ViaAWSService":"true"}}`,
	} {
		if err := w.iam.PutRolePolicy(platform, "tagged", "p", with(condition)); err != nil {
			t.Fatal(err)
		}
		if err := w.iam.Authorize(p, need); err != nil {
			t.Errorf("%s: %v", condition, err)
		}
	}
}

func TestIAMAsksForThePermissionItself(t *testing.T) {
	w := newWorld(t)
	w.role(platform, iam.RoleSpec{Name: "target", Path: "/x/", Trust: trustPlatform, Tags: map[string]string{"owner": "ops"}})
	may := func(resource, condition string) wire.Principal {
		statement := strings.TrimSuffix(allow("iam:*", resource), "}") + `,"Condition":` + condition + "}"
		name := "fn" + time.Duration(len(w.iam.Roles(platform))).String()
		return w.function(name, document(statement))
	}
	w.must(may("arn:aws:iam::111111111111:role/x/*", `{}`), "iam:GetRole", "RoleName", "target")
	w.refused(may("arn:aws:iam::111111111111:role/y/*", `{}`), "AccessDenied", 403, "iam:GetRole", "RoleName", "target")
	w.must(may("*", `{"StringEquals":{"iam:ResourceTag/owner":"ops"}}`), "iam:GetRole", "RoleName", "target")
	readOnly := may("*", `{"ArnEquals":{"iam:PolicyARN":"arn:aws:iam::aws:policy/ReadOnlyAccess"}}`)
	w.must(readOnly, "iam:AttachRolePolicy", "RoleName", "target", "PolicyArn", "arn:aws:iam::aws:policy/ReadOnlyAccess")
	w.refused(readOnly, "AccessDenied", 403, "iam:AttachRolePolicy", "RoleName", "target", "PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess")
	w.must(may("arn:aws:iam::111111111111:role/new/*", `{"StringEquals":{"aws:RequestTag/a":"1"}}`), "iam:CreateRole", "RoleName", "made", "Path", "/new/",
		"AssumeRolePolicyDocument", trustPlatform, "Tags.member.1.Key", "a", "Tags.member.1.Value", "1")
	message := w.refused(w.function("none", document(allow("s3:*", "*"))), "AccessDenied", 403, "iam:GetRole", "RoleName", "absent")
	want := "User: arn:aws:sts::111111111111:assumed-role/none/fn is not authorized to perform: iam:GetRole on resource: " +
		"arn:aws:iam::111111111111:role/absent because no identity-based policy allows the iam:GetRole action"
	if message != want {
		t.Errorf("message %q, want %q", message, want)
	}
}

// TestConcurrentUse is for the race detector, and checks that exactly one of many takes a name.
func TestConcurrentUse(t *testing.T) {
	w := newWorld(t)
	broker := w.function("broker", mayAssume)
	var wg sync.WaitGroup
	made := make(chan string, 50)
	for range 50 {
		wg.Go(func() {
			if r, err := w.iam.CreateRole(customer, iam.RoleSpec{Name: "vendor", Trust: trustPlatform}); err == nil {
				made <- r.ID
			}
			_ = w.iam.PutRolePolicy(customer, "vendor", "p", document(allow("sqs:*", "*")))
			_, _ = w.call(broker, "sts:AssumeRole", assume()...)
			_ = w.iam.Authorize(broker, wire.Need{Action: "sqs:SendMessage", Resource: queue})
			_, _ = w.iam.Authenticate(platform, "")
			w.iam.Roles(customer)
		})
	}
	wg.Wait()
	if len(made) != 1 {
		t.Errorf("%d of 50 made the role, want one", len(made))
	}
}
