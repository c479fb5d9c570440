package connect_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
)

const ourID = connect.ExternalID("rc-0123456789abcdefghjkmnpqrstvwxyz")

func verifier(a *account) connect.Verifier {
	return connect.Verifier{
		Platform: platform(), Assumer: a, Inspector: a, Clock: func() time.Time { return noon },
		Expects: map[connect.Permissions]connect.Expectation{
			"read-only": {Policies: []string{"ReadOnlyAccess"}, Actions: []string{"ec2:DescribeInstances", "iam:ListRoles", "s3:ListAllMyBuckets"}},
		},
	}
}

func subject(t testing.TB) connect.Subject {
	return connect.Subject{RoleARN: role(t, roleR1), ExternalID: ourID, Region: "eu-west-1", Permissions: "read-only"}
}

// exact is a role whose trust asks for our external ID and nothing else.
func exact(r connect.AssumeRequest) error {
	if r.ExternalID == ourID {
		return nil
	}
	return errDenied
}

// deniedBySTS is the outcome of a role that cannot be assumed (yet).
func deniedBySTS(t *testing.T) connect.Outcome {
	a := &account{assume: func(connect.AssumeRequest) error { return errDenied }}
	return verifier(a).Verify(context.Background(), subject(t))
}

func TestVerify(t *testing.T) {
	down := errors.New("connection reset")
	only := func(pass func(connect.ExternalID) bool) func(connect.AssumeRequest) error {
		return func(r connect.AssumeRequest) error {
			if pass(r.ExternalID) {
				return nil
			}
			return errDenied
		}
	}
	clean := platform().TrustPolicy(ourID)
	const p, f, u = connect.Passed, connect.Failed, connect.Unknown
	tests := []struct {
		name    string
		account account
		want    [6]connect.Verdict
		code    connect.Code // of the first check that did not pass
		proven  bool
		calls   int
	}{
		{"exact", account{assume: exact, trust: clean}, [6]connect.Verdict{p, p, p, p, p, p}, "", true, 3},
		{"not assumable", account{assume: only(func(connect.ExternalID) bool { return false })}, [6]connect.Verdict{f, u, u, u, u, u}, connect.CodeRoleNotAssumable, false, 1},
		{"no condition", account{assume: only(func(connect.ExternalID) bool { return true }), trust: clean}, [6]connect.Verdict{p, f, f, p, p, p}, connect.CodeExternalIDNotRequired, false, 3},
		{"any ID", account{assume: only(func(e connect.ExternalID) bool { return e != "" }), trust: clean}, [6]connect.Verdict{p, p, f, p, p, p}, connect.CodeExternalIDIgnored, false, 3},
		{"prefix", account{assume: only(func(e connect.ExternalID) bool { return strings.HasPrefix(string(e), "rc-0") }), trust: clean}, [6]connect.Verdict{p, p, f, p, p, p}, connect.CodeExternalIDIgnored, false, 3},
		{"if it exists", account{assume: only(func(e connect.ExternalID) bool { return e == "" || e == ourID }), trust: clean}, [6]connect.Verdict{p, f, p, p, p, p}, connect.CodeExternalIDNotRequired, false, 3},
		{"STS is down", account{assume: func(connect.AssumeRequest) error { return down }}, [6]connect.Verdict{u, u, u, u, u, u}, connect.CodeSTSUnavailable, false, 1},
		{"STS breaks down at the second probe", account{trust: clean, assume: func(r connect.AssumeRequest) error {
			if r.ExternalID == "" {
				return down
			}
			return exact(r)
		}}, [6]connect.Verdict{p, u, p, p, p, p}, connect.CodeSTSUnavailable, false, 3},
		{"Regions denied", account{assume: exact, regions: errDenied, trust: clean}, [6]connect.Verdict{p, p, p, f, p, p}, connect.CodeRegionsDenied, false, 3},
		{"EC2 is down", account{assume: exact, regions: down, trust: clean}, [6]connect.Verdict{p, p, p, u, p, p}, connect.CodeSTSUnavailable, false, 3},
		{"GetRole denied", account{assume: exact, trustE: errDenied}, [6]connect.Verdict{p, p, p, p, u, p}, connect.CodeTrustUnreadable, true, 4},
		{"GetRole fails", account{assume: exact, trustE: down}, [6]connect.Verdict{p, p, p, p, u, p}, connect.CodeSTSUnavailable, true, 4},
		{"trust is no JSON", account{assume: exact, trust: "{"}, [6]connect.Verdict{p, p, p, p, u, p}, connect.CodeTrustUnreadable, true, 4},
		{
			"trust admits everybody",
			account{assume: exact, trust: strings.Replace(clean, `{"AWS":"arn:aws:iam::111111111111:root"}`, `"*"`, 1)},
			[6]connect.Verdict{p, p, p, p, f, p},
			connect.CodeTrustTooBroad, false, 3,
		},
		{
			"a permission is missing",
			account{assume: exact, trust: clean, rules: map[string]connect.Ruling{"iam:ListRoles": connect.RulingMissing}},
			[6]connect.Verdict{p, p, p, p, p, f},
			connect.CodePermissionsMissing, false, 3,
		},
		{"permissions may not be asked", account{assume: exact, trust: clean, rulesE: errDenied}, [6]connect.Verdict{p, p, p, p, p, u}, connect.CodeNotAsked, true, 3},
		{"the simulator fails", account{assume: exact, trust: clean, rulesE: down}, [6]connect.Verdict{p, p, p, p, p, u}, connect.CodeSTSUnavailable, true, 3},
	}
	names := []connect.CheckName{
		connect.CheckAssumeRole, connect.CheckExternalIDRequired, connect.CheckExternalIDMatched,
		connect.CheckRegions, connect.CheckTrustPolicy, connect.CheckPermissions,
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := tt.account
			o := verifier(&a).Verify(context.Background(), subject(t))
			var code connect.Code
			if len(o.Checks) != len(names) {
				t.Fatalf("%d checks, want %d", len(o.Checks), len(names))
			}
			for i, c := range o.Checks {
				if c.Name != names[i] || c.Verdict != tt.want[i] {
					t.Errorf("check %d is %s %s, want %s %s", i+1, c.Name, c.Verdict, names[i], tt.want[i])
				}
				if c.Verdict != p && (c.Reason.Code == "" || c.Reason.Message == "" || c.Reason.Fix == "") {
					t.Errorf("%s is %s without a reason and a fix: %+v", c.Name, c.Verdict, c.Reason)
				}
				if code == "" && c.Verdict != p {
					code = c.Reason.Code
				}
			}
			if code != tt.code || o.Proven() != tt.proven || len(a.asked) != tt.calls {
				t.Errorf("code %s, proven %t, %d calls of STS; want %s, %t, %d", code, o.Proven(), len(a.asked), tt.code, tt.proven, tt.calls)
			}
		})
	}
}

// The probes differ in nothing but the external ID: anything else could explain a denial.
func TestProbesDifferOnlyByTheExternalID(t *testing.T) {
	a := &account{assume: exact, trust: platform().TrustPolicy(ourID)}
	verifier(a).Verify(context.Background(), subject(t))
	want := []connect.ExternalID{ourID, "", ourID.Wrong()}
	if len(a.asked) != len(want) {
		t.Fatalf("%d probes, want %d", len(a.asked), len(want))
	}
	for i, r := range a.asked {
		if r.ExternalID != want[i] {
			t.Errorf("probe %d sends %q, want %q", i, r.ExternalID, want[i])
		}
		r.ExternalID = ""
		if r.Tags != nil || r.SourceIdentity != "" || r.RoleARN.String() != roleR1 || r.SessionName != a.asked[0].SessionName {
			t.Errorf("probe %d differs in more: %+v", i, r)
		}
	}
}

func TestAnotherAccountsAnswerIsRefused(t *testing.T) {
	a := &liar{account{assume: exact, trust: platform().TrustPolicy(ourID)}}
	v := verifier(&a.account)
	v.Assumer = a
	o := v.Verify(context.Background(), subject(t))
	if c := o.Checks[0]; c.Verdict != connect.Failed || c.Reason.Code != connect.CodeAccountMismatch || o.Proven() {
		t.Fatalf("%+v", o.Checks[0])
	}
}

type liar struct{ account }

func (l *liar) AssumeRole(ctx context.Context, r connect.AssumeRequest) (connect.Session, error) {
	s, err := l.account.AssumeRole(ctx, r)
	s.Account = "999999999999"
	return s, err
}

// Reading a trust policy: what it says of itself, beside what the probes find.
func TestTrustPolicyRead(t *testing.T) {
	statement := func(principal, condition string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":"sts:AssumeRole"` + condition + `}]}`
	}
	const (
		us    = `{"AWS":"arn:aws:iam::111111111111:root"}`
		equal = `,"Condition":{"StringEquals":{"sts:ExternalId":"` + string(ourID) + `"}}`
	)
	tests := []struct {
		name, document string
		verdict        connect.Verdict
		code           connect.Code
	}{
		{"exact", statement(us, equal), connect.Passed, ""},
		{"account id alone", statement(`{"AWS":"111111111111"}`, equal), connect.Passed, ""},
		{"ignoring case", statement(us, strings.Replace(equal, "StringEquals", "StringEqualsIgnoreCase", 1)), connect.Passed, ""},
		{"like without wildcard", statement(us, strings.Replace(equal, "StringEquals", "StringLike", 1)), connect.Passed, ""},
		{"two IDs", statement(us, `,"Condition":{"StringEquals":{"sts:ExternalId":["`+string(ourID)+`","other"]}}`), connect.Passed, connect.CodeTrustExtraPrincipal},
		{"key in another case", statement(us, strings.Replace(equal, "sts:ExternalId", "STS:externalid", 1)), connect.Passed, ""},
		{"none", statement(us, ``), connect.Failed, connect.CodeTrustTooBroad},
		{"like *", statement(us, `,"Condition":{"StringLike":{"sts:ExternalId":"*"}}`), connect.Failed, connect.CodeTrustTooBroad},
		{"like abc*", statement(us, `,"Condition":{"StringLike":{"sts:ExternalId":"rc-*"}}`), connect.Failed, connect.CodeTrustTooBroad},
		{"if it exists", statement(us, strings.Replace(equal, "StringEquals", "StringEqualsIfExists", 1)), connect.Failed, connect.CodeTrustTooBroad},
		{"not equals", statement(us, `,"Condition":{"StringNotEquals":{"sts:ExternalId":"x"}}`), connect.Failed, connect.CodeTrustTooBroad},
		{"for all values", statement(us, strings.Replace(equal, "StringEquals", "ForAllValues:StringEquals", 1)), connect.Failed, connect.CodeTrustTooBroad},
		{"policy variable", statement(us, `,"Condition":{"StringEquals":{"sts:ExternalId":"${aws:username}"}}`), connect.Failed, connect.CodeTrustTooBroad},
		{"MFA only", statement(us, `,"Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}`), connect.Failed, connect.CodeTrustTooBroad},
		{"anybody with the ID", statement(`"*"`, equal), connect.Failed, connect.CodeTrustTooBroad},
		{"any AWS with the ID", statement(`{"AWS":"*"}`, equal), connect.Failed, connect.CodeTrustTooBroad},
		{"not principal", `{"Statement":{"Effect":"Allow","NotPrincipal":{"AWS":"333333333333"},"Action":"sts:AssumeRole"` + equal + `}}`, connect.Failed, connect.CodeTrustTooBroad},
		{"another vendor beside us", statement(`{"AWS":["111111111111","333333333333"]}`, equal), connect.Passed, connect.CodeTrustExtraPrincipal},
		{"a service beside us", statement(`{"AWS":"111111111111","Service":"ec2.amazonaws.com"}`, equal), connect.Passed, connect.CodeTrustExtraPrincipal},
		{"every action without the ID", `{"Statement":[{"Effect":"Allow","Principal":` + us + `,"Action":"sts:*"}]}`, connect.Failed, connect.CodeTrustTooBroad},
		{"not action", `{"Statement":[{"Effect":"Allow","Principal":` + us + `,"NotAction":"s3:*"}]}`, connect.Failed, connect.CodeTrustTooBroad},
		{"a second statement without the ID", `{"Statement":[{"Effect":"Allow","Principal":` + us + `,"Action":"sts:AssumeRole"` + equal + `},{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:role/x"},"Action":["sts:AssumeRole"]}]}`, connect.Failed, connect.CodeTrustTooBroad},
		{"a deny is no admission", `{"Statement":[{"Effect":"Allow","Principal":` + us + `,"Action":"sts:AssumeRole"` + equal + `},{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"}]}`, connect.Passed, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := &account{assume: exact, trust: tt.document}
			c := verifier(a).Verify(context.Background(), subject(t)).Checks[4]
			if c.Verdict != tt.verdict || c.Reason.Code != tt.code {
				t.Errorf("%s %q (%s), want %s %q", c.Verdict, c.Reason.Code, c.Reason.Message, tt.verdict, tt.code)
			}
		})
	}
}

// The reason says which statement of a trust policy is too broad: by its Sid where IAM would have one, else by its place.
func TestATrustPolicysStatementIsNamed(t *testing.T) {
	const (
		good   = `{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"` + string(ourID) + `"}}}`
		broad  = `{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}`
		noID   = `{"Sid":"Vendor7","Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"sts:AssumeRole"}`
		others = `{"Sid":"Others","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::333333333333:user/\u0007eve"},"Action":"sts:AssumeRole"}`
		trick  = `{"Sid":"x) is fine. Ignore (this","Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}`
	)
	tests := []struct{ name, statements, want string }{
		{"by place", good + "," + broad, "statement 2 admits any principal"},
		{"by Sid", good + "," + noID, "statement 2 (Sid Vendor7) admits account 111111111111 without asking"},
		{"the first of several", noID + "," + broad, "statement 1 (Sid Vendor7)"},
		{"a warning", good + "," + others, `statement 2 (Sid Others) also admits "arn:aws:iam::333333333333:user/\aeve"`},
		{"a Sid that IAM would not have", trick, "statement 1 admits any principal"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := &account{assume: exact, trust: `{"Statement":[` + tt.statements + `]}`}
			r := verifier(a).Verify(context.Background(), subject(t)).Checks[4].Reason
			if !strings.Contains(r.Message, tt.want) {
				t.Errorf("%q does not say %q", r.Message, tt.want)
			}
			if !strings.Contains(r.Fix, platform().TrustPolicy(ourID)) || !strings.Contains(r.Fix, "R1, Trust relationships") {
				t.Errorf("the fix lacks where, or the policy to paste: %q", r.Fix)
			}
		})
	}
}

// Fixes say where to go and what to paste, and what is pasted is a policy that does what it should.
func TestFixesCanBePasted(t *testing.T) {
	always := func(connect.AssumeRequest) error { return nil }
	tests := []struct {
		name    string
		account account
		check   int
		where   string
		paste   string
	}{
		{"not assumable", account{assume: func(connect.AssumeRequest) error { return errDenied }}, 0, roleR1, platform().TrustPolicy(ourID)},
		{"no external ID", account{assume: always}, 1, "R1, Trust relationships", platform().TrustPolicy(ourID)},
		{"any external ID", account{assume: always}, 2, "R1, Trust relationships", platform().TrustPolicy(ourID)},
		{"Regions", account{assume: exact, regions: errDenied}, 3, "Roles, R1,", grant("*", "ec2:DescribeRegions")},
		{"GetRole", account{assume: exact, trustE: errDenied}, 4, "Roles, R1,", grant(roleR1, "iam:GetRole")},
		{"simulation", account{assume: exact, rulesE: errDenied}, 5, "Roles, R1,", grant(roleR1, "iam:SimulatePrincipalPolicy")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := tt.account
			fix := verifier(&a).Verify(context.Background(), subject(t)).Checks[tt.check].Reason.Fix
			if !strings.Contains(fix, tt.where) || !strings.Contains(fix, tt.paste) {
				t.Errorf("%q lacks %q or %q", fix, tt.where, tt.paste)
			}
		})
	}
}

func grant(resource string, actions ...string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["` + strings.Join(actions, `","`) + `"],"Resource":"` + resource + `"}]}`
}

// A re-check asks STS twice and nobody else.
func TestARecheckIsCheap(t *testing.T) {
	a := &account{assume: exact, trust: platform().TrustPolicy(ourID)}
	o := verifier(a).Recheck(context.Background(), subject(t))
	if len(o.Checks) != 2 || o.Checks[0].Name != connect.CheckAssumeRole || o.Checks[1].Name != connect.CheckExternalIDRequired {
		t.Errorf("checks %+v", o.Checks)
	}
	if len(a.asked) != 2 || len(a.actions) != 0 {
		t.Errorf("%d calls of STS, %d of the simulator", len(a.asked), len(a.actions))
	}
	for _, c := range o.Checks {
		if c.Verdict != connect.Passed {
			t.Errorf("%s %s", c.Name, c.Verdict)
		}
	}
	open := &account{assume: func(connect.AssumeRequest) error { return nil }}
	if o := verifier(open).Recheck(context.Background(), subject(t)); len(o.Checks) != 2 || o.Checks[1].Verdict != connect.Failed {
		t.Errorf("a role that stands open is taken: %+v", o.Checks)
	}
}

// STS that is switched off for our Region proves nothing about the role; but unlike an outage it does not pass by itself,
// and the reason says who can switch it on.
func TestSTSThatIsSwitchedOffIsSaid(t *testing.T) {
	off := &connect.Error{Kind: connect.KindConflict, Code: connect.CodeSTSRegionDisabled, Message: "STS is switched off", Fix: "Activate it."}
	a := &account{assume: func(connect.AssumeRequest) error { return off }}
	v := connect.Verifier{Platform: platform(), Assumer: a, Inspector: a, Clock: func() time.Time { return noon }}
	o := v.Verify(context.Background(), connect.Subject{RoleARN: role(t, roleR1), ExternalID: ourID, Region: "eu-west-1", Permissions: "read-only"})
	keys := &keyAccount{whoErr: off}
	k := connect.KeyVerifier{Identifier: keys, Regions: keys, Clock: func() time.Time { return noon }}
	ko := k.Verify(context.Background(), connect.KeySubject{Account: customerAccount, Region: "eu-west-1"})
	for name, c := range map[string]connect.Check{"role": o.Checks[0], "keys": ko.Checks[0]} {
		if c.Verdict != connect.Unknown || c.Reason != off.Reason() {
			t.Errorf("%s: %s %+v", name, c.Verdict, c.Reason)
		}
	}
}
