package iam_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/iam"
	"rolecall/infra/local/wire"
)

const (
	externalID = "abc123def456"
	wrongID    = "abc123def457"
	vendorRole = "arn:aws:iam::222222222222:role/vendor"
)

var mayAssume = document(allow("sts:AssumeRole", "arn:aws:iam::*:role/*"), allow("sts:TagSession", "*"), allow("sts:SetSourceIdentity", "*"))

func exactly(id string) string { return `{"StringEquals":{"sts:ExternalId":"` + id + `"}}` }

func assume(pairs ...string) []string {
	return append([]string{"RoleArn", vendorRole, "RoleSessionName", "probe"}, pairs...)
}

// TestAssumeRoleProbes makes the three probes of a verification against each trust policy of the threat model.
func TestAssumeRoleProbes(t *testing.T) {
	ours := rootOf(platform)
	single := func(condition string) []string { return []string{trusting(ours, `"sts:AssumeRole"`, condition)} }
	cases := map[string]struct {
		statements         []string
		right, none, wrong bool
	}{
		"exact":        {single(exactly(externalID)), true, false, false},
		"none":         {single(""), true, true, true},
		"like *":       {single(`{"StringLike":{"sts:ExternalId":"*"}}`), true, false, true},
		"like prefix":  {single(`{"StringLike":{"sts:ExternalId":"abc*"}}`), true, false, true},
		"if exists":    {single(`{"StringEqualsIfExists":{"sts:ExternalId":"abc123def456"}}`), true, true, false},
		"not equals":   {single(`{"StringNotEquals":{"sts:ExternalId":"x"}}`), true, true, true},
		"two ids":      {single(`{"StringEquals":{"sts:ExternalId":["abc123def456","abc123def457"]}}`), true, false, true},
		"MFA only":     {single(`{"Bool":{"aws:MultiFactorAuthPresent":"true"}}`), false, false, false},
		"deny":         {append(single(exactly(externalID)), strings.Replace(trusting(ours, `"sts:AssumeRole"`, ""), "Allow", "Deny", 1)), false, false, false},
		"wrong vendor": {[]string{trusting(rootOf("999999999999"), `"sts:AssumeRole"`, exactly(externalID))}, false, false, false},
		"ignore case":  {single(`{"StringEqualsIgnoreCase":{"sts:ExternalId":"ABC123DEF456"}}`), true, false, false},
		"anyone":       {[]string{trusting(`"*"`, `"sts:AssumeRole"`, exactly(externalID))}, true, false, false},
		"our path":     {single(`{"StringEquals":{"sts:ExternalId":"abc123def456"},"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::111111111111:role/rolecall/*"}}`), true, false, false},
		"another path": {single(`{"StringEquals":{"sts:ExternalId":"abc123def456"},"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::111111111111:role/other/*"}}`), false, false, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			broker := w.function("broker", mayAssume)
			w.role(customer, iam.RoleSpec{Name: "vendor", Trust: document(c.statements...)})
			for _, probe := range []struct {
				name  string
				pairs []string
				want  bool
			}{{"right id", assume("ExternalId", externalID), c.right}, {"no id", assume(), c.none}, {"wrong id", assume("ExternalId", wrongID), c.wrong}} {
				out, err := w.call(broker, "sts:AssumeRole", probe.pairs...)
				if probe.want && err != nil {
					t.Errorf("%s: %v, want it allowed", probe.name, err)
				}
				if !probe.want && err == nil {
					t.Errorf("%s: %s, want it denied", probe.name, out)
				}
				if !probe.want {
					message := wantError(t, err, "AccessDenied", http.StatusForbidden)
					want := "User: arn:aws:sts::111111111111:assumed-role/broker/fn is not authorized to perform: sts:AssumeRole on resource: " + vendorRole
					if message != want {
						t.Errorf("%s: message %q, want %q", probe.name, message, want)
					}
				}
			}
		})
	}
}

func TestAssumeRoleAnswer(t *testing.T) {
	w := newWorld(t)
	broker := w.function("broker", mayAssume)
	made := w.role(customer, iam.RoleSpec{
		Name: "vendor", Trust: document(trusting(rootOf(platform), `["sts:AssumeRole","sts:SetSourceIdentity","sts:TagSession"]`, exactly(externalID))),
		Inline: map[string]string{"see": document(allow("ec2:DescribeRegions", "*"))},
	})
	out := w.must(broker, "sts:AssumeRole", assume("ExternalId", externalID, "DurationSeconds", "900", "SourceIdentity", "ann",
		"Policy", document(allow("ec2:*", "*")))...)
	if got, want := field(t, out, "Arn"), "arn:aws:sts::222222222222:assumed-role/vendor/probe"; got != want {
		t.Errorf("Arn %s, want %s", got, want)
	}
	if got, want := field(t, out, "AssumedRoleId"), made.ID+":probe"; got != want {
		t.Errorf("AssumedRoleId %s, want %s", got, want)
	}
	if field(t, out, "SourceIdentity") != "ann" || field(t, out, "PackedPolicySize") == "0" {
		t.Errorf("answer %s", out)
	}
	c := credentials(t, out)
	if !regexp.MustCompile(`^ASIA[A-Z0-9]{16}$`).MatchString(c.AccessKeyID) || len(c.SecretAccessKey) != 40 || len(c.Token) < 100 {
		t.Errorf("credentials %s %d %d", c.AccessKeyID, len(c.SecretAccessKey), len(c.Token))
	}
	if !c.Expiration.Equal(w.now.Add(15 * time.Minute)) {
		t.Errorf("expires %s", c.Expiration)
	}
	session := w.as(c)
	id := w.must(session, "sts:GetCallerIdentity")
	if field(t, id, "Account") != customer || field(t, id, "UserId") != made.ID+":probe" {
		t.Errorf("identity %s", id)
	}
	if err := w.iam.Authorize(session, wire.Need{Action: "ec2:DescribeRegions", Resource: "*"}); err != nil {
		t.Error(err)
	}

	_, err := w.iam.Authenticate(c.AccessKeyID, "wrong")
	wantError(t, err, "InvalidClientTokenId", http.StatusForbidden)
	_, err = w.iam.Authenticate(c.AccessKeyID, "")
	wantError(t, err, "InvalidClientTokenId", http.StatusForbidden)
	_, err = w.iam.Authenticate("ASIAUNKNOWN", c.Token)
	wantError(t, err, "InvalidClientTokenId", http.StatusForbidden)
	w.pass(15*time.Minute - time.Nanosecond)
	w.as(c)
	w.pass(time.Nanosecond)
	_, err = w.iam.Authenticate(c.AccessKeyID, c.Token)
	wantError(t, err, "ExpiredToken", http.StatusForbidden)
}

func TestAssumeRoleInput(t *testing.T) {
	w := newWorld(t)
	broker := w.function("broker", mayAssume)
	w.role(customer, iam.RoleSpec{Name: "vendor", MaxSession: 2 * time.Hour, Trust: document(trusting(`"*"`, `["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]`, ""))})
	cases := map[string]struct {
		code  string // "" is allowed
		pairs []string
	}{
		"shortest external id":         {"", assume("ExternalId", "ab")},
		"longest external id":          {"", assume("ExternalId", strings.Repeat("x", 1224))},
		"all kinds of characters":      {"", assume("ExternalId", "aZ0_+=,.@:/-")},
		"one character":                {"ValidationError", assume("ExternalId", "a")},
		"empty":                        {"ValidationError", assume("ExternalId", "")},
		"too long":                     {"ValidationError", assume("ExternalId", strings.Repeat("x", 1225))},
		"external id with a space":     {"ValidationError", assume("ExternalId", "a b")},
		"external id with a star":      {"ValidationError", assume("ExternalId", "ab*")},
		"no session name":              {"ValidationError", assume("RoleSessionName", "")},
		"session name of one":          {"ValidationError", assume("RoleSessionName", "a")},
		"session name of 64":           {"", assume("RoleSessionName", strings.Repeat("x", 64))},
		"session name of 65":           {"ValidationError", assume("RoleSessionName", strings.Repeat("x", 65))},
		"session name with a slash":    {"ValidationError", assume("RoleSessionName", "a/b")},
		"shortest duration":            {"", assume("DurationSeconds", "900")},
		"too short":                    {"ValidationError", assume("DurationSeconds", "899")},
		"an hour, chained":             {"", assume("DurationSeconds", "3600")},
		"more than an hour, chained":   {"ValidationError", assume("DurationSeconds", "3601")},
		"more than STS has":            {"ValidationError", assume("DurationSeconds", "43201")},
		"duration is a word":           {"MalformedInput", assume("DurationSeconds", "x")},
		"role is no ARN":               {"ValidationError", assume("RoleArn", "vendor-role-of-customer")},
		"role too short":               {"ValidationError", assume("RoleArn", "arn:")},
		"role missing":                 {"AccessDenied", assume("RoleArn", "arn:aws:iam::222222222222:role/none")},
		"role with another path":       {"AccessDenied", assume("RoleArn", "arn:aws:iam::222222222222:role/x/vendor")},
		"role in another case":         {"AccessDenied", assume("RoleArn", "arn:aws:iam::222222222222:role/Vendor")},
		"a user's ARN":                 {"AccessDenied", assume("RoleArn", "arn:aws:iam::222222222222:user/vendor")},
		"another partition":            {"AccessDenied", assume("RoleArn", "arn:aws-cn:iam::222222222222:role/vendor")},
		"policy":                       {"", assume("Policy", document(allow("s3:*", "*")))},
		"policy too long":              {"ValidationError", assume("Policy", document(allow("s3:*", "arn:aws:s3:::"+strings.Repeat("x", 2048))))},
		"policy is no policy":          {"MalformedPolicyDocument", assume("Policy", "{}")},
		"policy with a principal":      {"MalformedPolicyDocument", assume("Policy", trustPlatform)},
		"ten policy ARNs":              {"", assume(policyARNs(10)...)},
		"eleven policy ARNs":           {"ValidationError", assume(policyARNs(11)...)},
		"unknown policy ARN":           {"MalformedPolicyDocument", assume("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/Nothing")},
		"tags too big to pack":         {"PackedPolicyTooLarge", assume(tags(10, 256)...)},
		"51 tags":                      {"LimitExceeded", assume(tags(51, 1)...)},
		"transitive without tag":       {"InvalidParameterValue", assume("TransitiveTagKeys.member.1", "team")},
		"source identity of aws":       {"ValidationError", assume("SourceIdentity", "aws:x")},
		"source identity with a space": {"ValidationError", assume("SourceIdentity", "a b")},
		"MFA code":                     {"AccessDenied", assume("SerialNumber", "arn:aws:iam::111111111111:mfa/x", "TokenCode", "123456")},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := w.call(broker, "sts:AssumeRole", c.pairs...)
			if c.code == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			status := http.StatusBadRequest
			switch c.code {
			case "AccessDenied":
				status = http.StatusForbidden
			case "LimitExceeded":
				status = http.StatusConflict
			}
			wantError(t, err, c.code, status)
		})
	}
}

func policyARNs(n int) []string {
	var pairs []string
	for i := range n {
		pairs = append(pairs, fmt.Sprintf("PolicyArns.member.%d.arn", i+1), "arn:aws:iam::aws:policy/ReadOnlyAccess")
	}
	return pairs
}

func tags(n, length int) []string {
	var pairs []string
	for i := range n {
		prefix := fmt.Sprintf("Tags.member.%d.", i+1)
		pairs = append(pairs, prefix+"Key", fmt.Sprintf("k%d", i), prefix+"Value", strings.Repeat("v", length))
	}
	return pairs
}

// TestDurationsWithoutChaining lets a user, who is not bound by role chaining, meet the role's own limit.
func TestDurationsWithoutChaining(t *testing.T) {
	w := newWorld(t)
	user := w.user("ann", mayAssume)
	w.role(customer, iam.RoleSpec{Name: "vendor", MaxSession: 2 * time.Hour, Trust: trustPlatform})
	w.must(user, "sts:AssumeRole", assume("DurationSeconds", "7200")...)
	w.refused(user, "ValidationError", 400, "sts:AssumeRole", assume("DurationSeconds", "7201")...)
	// Who is denied does not learn of the limit.
	w.refused(w.user("bob", document(allow("s3:*", "*"))), "AccessDenied", 403, "sts:AssumeRole", assume("DurationSeconds", "7201")...)
}

// user makes a user of the platform's account and answers a session with a key of it.
func (w *world) user(name, inline string) wire.Principal {
	w.t.Helper()
	if _, err := w.iam.CreateUser(platform, iam.UserSpec{Name: name, Tags: map[string]string{"dept": "ops"}}); err != nil {
		w.t.Fatal(err)
	}
	if err := w.iam.PutUserPolicy(platform, name, "inline", inline); err != nil {
		w.t.Fatal(err)
	}
	key, err := w.iam.CreateAccessKey(platform, name)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.as(key)
}

// TestBothSidesMustAllow walks through who needs an identity policy beside the trust policy.
func TestBothSidesMustAllow(t *testing.T) {
	const (
		session = `{"AWS":"arn:aws:sts::111111111111:assumed-role/caller/fn"}`
		role    = `{"AWS":"arn:aws:iam::111111111111:role/rolecall/caller"}`
		target  = "arn:aws:iam::%s:role/target"
	)
	other := document(allow("s3:*", "*"))
	cases := map[string]struct {
		account, principal, identity string
		want                         bool
	}{
		"across accounts, both":                {customer, rootOf(platform), mayAssume, true},
		"across accounts, trust alone":         {customer, role, other, false},
		"across accounts, named, both":         {customer, role, mayAssume, true},
		"across accounts, identity alone":      {customer, rootOf(customer), mayAssume, false},
		"across accounts, denied here":         {customer, role, document(allow("sts:*", "*"), deny("sts:AssumeRole", "arn:aws:iam::222222222222:*")), false},
		"own account, role named":              {platform, role, other, true},
		"own account, session named":           {platform, session, other, true},
		"own account, account named":           {platform, rootOf(platform), other, false},
		"own account, account named, identity": {platform, rootOf(platform), mayAssume, true},
		"own account, identity alone":          {platform, rootOf(customer), mayAssume, false},
		"own account, named but denied":        {platform, role, document(deny("sts:*", "*")), false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			caller := w.function("caller", c.identity)
			w.role(c.account, iam.RoleSpec{Name: "target", Trust: document(trusting(c.principal, `"sts:AssumeRole"`, ""))})
			_, err := w.call(caller, "sts:AssumeRole", "RoleArn", fmt.Sprintf(target, c.account), "RoleSessionName", "s1")
			if c.want && err != nil {
				t.Error(err)
			}
			if !c.want {
				wantError(t, err, "AccessDenied", http.StatusForbidden)
			}
		})
	}
}

func TestRootOfAnAccountCanAssume(t *testing.T) {
	w := newWorld(t)
	w.role(customer, iam.RoleSpec{Name: "vendor", Trust: document(trusting(rootOf(platform), `"sts:AssumeRole"`, exactly(externalID)))})
	w.must(w.root(platform), "sts:AssumeRole", assume("ExternalId", externalID)...)
	w.refused(w.root(platform), "AccessDenied", 403, "sts:AssumeRole", assume()...)
	w.refused(w.root("333333333333"), "AccessDenied", 403, "sts:AssumeRole", assume("ExternalId", externalID)...)
}

func TestTagsAndSourceIdentityNeedTheirOwnRights(t *testing.T) {
	withTag := assume("Tags.member.1.Key", "tenant", "Tags.member.1.Value", "t1")
	withIdentity := assume("SourceIdentity", "ann")
	cases := map[string]struct {
		trusted, identity string
		pairs             []string
		denied            string
	}{
		"all granted":                   {`["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]`, mayAssume, append(withTag[:len(withTag):len(withTag)], withIdentity...), ""},
		"tag not trusted":               {`"sts:AssumeRole"`, mayAssume, withTag, "sts:TagSession"},
		"tag not in the identity":       {`["sts:AssumeRole","sts:TagSession"]`, document(allow("sts:AssumeRole", "*")), withTag, "sts:TagSession"},
		"identity not trusted":          {`["sts:AssumeRole","sts:TagSession"]`, mayAssume, withIdentity, "sts:SetSourceIdentity"},
		"neither asked, neither needed": {`"sts:AssumeRole"`, mayAssume, assume(), ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			broker := w.function("broker", c.identity)
			w.role(customer, iam.RoleSpec{Name: "vendor", Trust: document(trusting(rootOf(platform), c.trusted, ""))})
			_, err := w.call(broker, "sts:AssumeRole", c.pairs...)
			if c.denied == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if message := wantError(t, err, "AccessDenied", http.StatusForbidden); !strings.Contains(message, "perform: "+c.denied+" on") {
				t.Errorf("message %q, want %s", message, c.denied)
			}
		})
	}
}

// TestTrustSeesTheRequest checks the condition keys that a trust policy may ask for.
func TestTrustSeesTheRequest(t *testing.T) {
	request := assume("Tags.member.1.Key", "tenant", "Tags.member.1.Value", "t1", "TransitiveTagKeys.member.1", "tenant", "SourceIdentity", "ann",
		"ExternalId", externalID)
	cases := map[string]bool{
		`{"StringEquals":{"sts:RoleSessionName":"probe"}}`:                                    true,
		`{"StringEquals":{"sts:RoleSessionName":"other"}}`:                                    false,
		`{"StringEquals":{"sts:SourceIdentity":"ann"}}`:                                       true,
		`{"StringEquals":{"aws:RequestTag/tenant":"t1"}}`:                                     true,
		`{"StringEquals":{"aws:RequestTag/tenant":"t2"}}`:                                     false,
		`{"ForAllValues:StringEquals":{"aws:TagKeys":["tenant"]}}`:                            true,
		`{"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}}`:                              false,
		`{"ForAnyValue:StringEquals":{"sts:TransitiveTagKeys":"tenant"}}`:                     true,
		`{"StringEquals":{"aws:PrincipalAccount":"111111111111"}}`:                            true,
		`{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111111111111:role/rolecall/broker"}}`: true,
		`{"ArnEquals":{"aws:PrincipalArn":"arn:aws:sts::111111111111:assumed-role/*"}}`:       false,
		`{"StringEquals":{"aws:PrincipalType":"AssumedRole"}}`:                                true,
		`{"StringEquals":{"aws:PrincipalTag/dept":"ops"}}`:                                    false,
		`{"Bool":{"aws:SecureTransport":"true"}}`:                                             true,
		`{"Bool":{"aws:MultiFactorAuthPresent":"false"}}`:                                     true,
		`{"DateGreaterThan":{"aws:CurrentTime":"2026-03-01T11:59:59Z"}}`:                      true,
		`{"DateGreaterThan":{"aws:CurrentTime":"2026-03-01T12:00:00Z"}}`:                      false,
		`{"StringEquals":{"aws:RequestedRegion":"eu-west-1"}}`:                                true,
		`{"StringEquals":{"aws:ResourceAccount":"222222222222"}}`:                             true,
		`{"Null":{"aws:SourceIdentity":"true"}}`:                                              true,
		`{"StringLike":{"aws:userid":"AROA*:fn"}}`:                                            true,
		`{"NumericLessThan":{"aws:EpochTime":"1772366401"}}`:                                  true,
	}
	for condition, want := range cases {
		w := newWorld(t)
		broker := w.function("broker", mayAssume)
		w.role(customer, iam.RoleSpec{Name: "vendor", Trust: document(trusting(rootOf(platform), `"sts:*"`, condition))})
		_, err := w.call(broker, "sts:AssumeRole", request...)
		if (err == nil) != want {
			t.Errorf("%s: %v, want allowed %v", condition, err, want)
		}
	}
}

func TestChainsPassOnTagsAndSourceIdentity(t *testing.T) {
	w := newWorld(t)
	broker := w.function("broker", mayAssume)
	open := document(trusting(`"*"`, `"sts:*"`, ""))
	w.role(customer, iam.RoleSpec{Name: "vendor", Trust: open, Inline: map[string]string{"go": document(allow("sts:*", "*"))}})
	w.role("333333333333", iam.RoleSpec{Name: "next", Trust: open})
	first := w.as(credentials(t, w.must(broker, "sts:AssumeRole", assume("SourceIdentity", "ann",
		"Tags.member.1.Key", "tenant", "Tags.member.1.Value", "t1", "Tags.member.2.Key", "once", "Tags.member.2.Value", "1",
		"TransitiveTagKeys.member.1", "tenant")...)))
	next := []string{"RoleArn", "arn:aws:iam::333333333333:role/next", "RoleSessionName", "s2"}
	second := w.as(credentials(t, w.must(first, "sts:AssumeRole", next...)))
	if second.SourceIdentity != "ann" {
		t.Errorf("source identity %q", second.SourceIdentity)
	}
	if diff := cmp.Diff(map[string]string{"tenant": "t1"}, second.Tags); diff != "" {
		t.Error(diff)
	}
	w.refused(first, "AccessDenied", 403, "sts:AssumeRole", append(next, "SourceIdentity", "bob")...)
	w.refused(first, "InvalidParameterValue", 400, "sts:AssumeRole", append(next, "Tags.member.1.Key", "tenant", "Tags.member.1.Value", "t2")...)
}

// TestPropagation gives a new role, its policies and its trust their own time to spread, and a changed trust as well.
func TestPropagation(t *testing.T) {
	w := newWorld(t)
	broker := w.function("broker", mayAssume)
	w.iam.SetPropagation(customer, 2*time.Second, 8*time.Second, 4*time.Second)
	w.role(customer, iam.RoleSpec{
		Name: "vendor", Trust: document(trusting(rootOf(platform), `"sts:AssumeRole"`, "")),
		Inline: map[string]string{"see": document(allow("ec2:DescribeRegions", "*"))},
	})
	if _, err := w.iam.Role(customer, "vendor"); err != nil {
		t.Errorf("IAM itself shows the role at once: %v", err)
	}
	for range 4 {
		w.refused(broker, "AccessDenied", 403, "sts:AssumeRole", assume()...)
		w.pass(time.Second)
	}
	session := w.as(credentials(t, w.must(broker, "sts:AssumeRole", assume()...)))
	need := wire.Need{Action: "ec2:DescribeRegions", Resource: "*"}
	for range 4 {
		wantError(t, w.iam.Authorize(session, need), "AccessDenied", 403)
		w.pass(time.Second)
	}
	if err := w.iam.Authorize(session, need); err != nil {
		t.Error(err)
	}

	if err := w.iam.SetTrust(customer, "vendor", document(trusting(rootOf(platform), `"sts:AssumeRole"`, exactly(externalID)))); err != nil {
		t.Fatal(err)
	}
	w.pass(4*time.Second - 1)
	w.must(broker, "sts:AssumeRole", assume()...) // the old trust still counts
	w.pass(1)
	w.refused(broker, "AccessDenied", 403, "sts:AssumeRole", assume()...)
	w.must(broker, "sts:AssumeRole", assume("ExternalId", externalID)...)

	if err := w.iam.DeleteRolePolicy(customer, "vendor", "see"); err != nil {
		t.Fatal(err)
	}
	if err := w.iam.Authorize(session, need); err != nil {
		t.Errorf("the removed policy counts until that has spread: %v", err)
	}
	w.pass(8 * time.Second)
	wantError(t, w.iam.Authorize(session, need), "AccessDenied", 403)

	w.role(platform, iam.RoleSpec{Name: "quick", Trust: document(trusting(`"*"`, `"sts:AssumeRole"`, ""))})
	w.must(broker, "sts:AssumeRole", "RoleArn", "arn:aws:iam::111111111111:role/quick", "RoleSessionName", "s1") // other accounts are not slowed
}

// TestRoleSpreadsAfterItsTrust keeps a role hidden although its trust policy has spread.
func TestRoleSpreadsAfterItsTrust(t *testing.T) {
	w := newWorld(t)
	broker := w.function("broker", mayAssume)
	w.iam.SetPropagation(customer, 3*time.Second, 0, time.Second)
	w.role(customer, iam.RoleSpec{Name: "vendor", Trust: trustPlatform})
	w.pass(3*time.Second - 1)
	w.refused(broker, "AccessDenied", 403, "sts:AssumeRole", assume()...)
	w.pass(1)
	w.must(broker, "sts:AssumeRole", assume()...)
}

func TestDeletedRole(t *testing.T) {
	w := newWorld(t)
	broker := w.function("broker", mayAssume)
	spec := iam.RoleSpec{Name: "vendor", Trust: trustPlatform}
	w.role(customer, spec)
	c := credentials(t, w.must(broker, "sts:AssumeRole", assume()...))
	if err := w.iam.RemoveRole(customer, spec); err != nil {
		t.Fatal(err)
	}
	w.refused(broker, "AccessDenied", 403, "sts:AssumeRole", assume()...)
	_, err := w.iam.Authenticate(c.AccessKeyID, c.Token)
	wantError(t, err, "InvalidClientTokenId", 403)
	w.role(customer, spec)
	_, err = w.iam.Authenticate(c.AccessKeyID, c.Token)
	wantError(t, err, "InvalidClientTokenId", 403) // a new role of the same name does not revive old sessions
	w.must(broker, "sts:AssumeRole", assume()...)
}

func TestServicesOwnSessions(t *testing.T) {
	w := newWorld(t)
	fn := w.role(platform, iam.RoleSpec{Name: "fn", Trust: document(trusting(lambda, `"sts:AssumeRole"`, ""))})
	sched := w.role(platform, iam.RoleSpec{Name: "sched", Trust: document(trusting(`{"Service":"scheduler.amazonaws.com"}`, `"sts:AssumeRole"`,
		`{"StringEquals":{"aws:SourceAccount":"111111111111","aws:SourceArn":"arn:aws:scheduler:eu-west-1:111111111111:schedule-group/default"}}`))})
	c, err := w.iam.RoleSession(fn.ARN, "name", 36*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if p := w.as(c); p.ARN != "arn:aws:sts::111111111111:assumed-role/fn/name" || !c.Expiration.Equal(w.now.Add(36*time.Hour)) {
		t.Errorf("session %s until %s", p.ARN, c.Expiration)
	}
	for _, arn := range []string{sched.ARN, "arn:aws:iam::111111111111:role/none", "fn"} {
		_, err := w.iam.RoleSession(arn, "name", time.Hour)
		wantError(t, err, "AccessDenied", 403)
	}
	q := iam.ServiceRequest{Service: "scheduler.amazonaws.com", RoleARN: sched.ARN, SessionName: "tick", Duration: time.Hour}
	_, err = w.iam.ServiceSession(q)
	wantError(t, err, "AccessDenied", 403)
	q.SourceARN = "arn:aws:scheduler:eu-west-1:111111111111:schedule-group/default"
	if _, err := w.iam.ServiceSession(q); err != nil {
		t.Error(err)
	}
}

func TestSessionToken(t *testing.T) {
	w := newWorld(t)
	user := w.user("ann", document(allow("s3:*", "*"), allow("iam:*", "*"), allow("sts:*", "*")))
	out := w.must(user, "sts:GetSessionToken", "DurationSeconds", "900")
	c := credentials(t, out)
	session := w.as(c)
	if session.ARN != user.ARN || !strings.HasPrefix(c.AccessKeyID, "ASIA") {
		t.Errorf("session of %s with %s", session.ARN, c.AccessKeyID)
	}
	if err := w.iam.Authorize(session, wire.Need{Action: "s3:GetObject", Resource: "arn:aws:s3:::b/k", ResourceAccount: platform}); err != nil {
		t.Error(err)
	}
	w.refused(session, "InvalidClientTokenId", 403, "iam:ListRoles")
	w.refused(session, "AccessDenied", 403, "sts:GetSessionToken")
	w.refused(session, "AccessDenied", 403, "sts:GetFederationToken", "Name", "joe")
	w.refused(user, "ValidationError", 400, "sts:GetSessionToken", "DurationSeconds", "129601")
	w.refused(w.function("fn", document(allow("sts:*", "*"))), "AccessDenied", 403, "sts:GetSessionToken")
	if end := credentials(t, w.must(user, "sts:GetSessionToken")).Expiration; !end.Equal(w.now.Add(12 * time.Hour)) {
		t.Errorf("by default until %s", end)
	}
	if end := credentials(t, w.must(w.root(platform), "sts:GetSessionToken")).Expiration; !end.Equal(w.now.Add(time.Hour)) {
		t.Errorf("root's until %s", end)
	}
}

func TestFederationToken(t *testing.T) {
	w := newWorld(t)
	user := w.user("ann", document(allow("s3:*", "*"), allow("iam:*", "*"), allow("sts:*", "*")))
	out := w.must(user, "sts:GetFederationToken", "Name", "joe", "Policy", document(allow("s3:Get*", "*"), allow("ec2:*", "*"), allow("iam:*", "*"), allow("sts:*", "*")))
	if field(t, out, "Arn") != "arn:aws:sts::111111111111:federated-user/joe" || field(t, out, "FederatedUserId") != "111111111111:joe" {
		t.Errorf("answer %s", out)
	}
	joe := w.as(credentials(t, out))
	for action, want := range map[string]bool{"s3:GetObject": true, "s3:PutObject": false, "ec2:DescribeRegions": false} {
		err := w.iam.Authorize(joe, wire.Need{Action: action, Resource: "*"})
		if (err == nil) != want {
			t.Errorf("%s: %v, want allowed %v", action, err, want)
		}
	}
	w.refused(joe, "InvalidClientTokenId", 403, "iam:ListRoles")
	w.must(joe, "sts:GetCallerIdentity")
	w.role(customer, iam.RoleSpec{Name: "vendor", Trust: trustPlatform})
	w.refused(joe, "AccessDenied", 403, "sts:AssumeRole", assume()...)

	bare := w.as(credentials(t, w.must(user, "sts:GetFederationToken", "Name", "bare")))
	wantError(t, w.iam.Authorize(bare, wire.Need{Action: "s3:GetObject", Resource: "*"}), "AccessDenied", 403)
	w.refused(w.user("bob", document(allow("s3:*", "*"))), "AccessDenied", 403, "sts:GetFederationToken", "Name", "joe")
	w.refused(user, "ValidationError", 400, "sts:GetFederationToken", "Name", "j")
}

func TestUnknownSTSOperation(t *testing.T) {
	w := newWorld(t)
	w.refused(w.root(platform), "InvalidAction", 400, "sts:AssumeRoot")
}
