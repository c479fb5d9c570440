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
	return connect.Verifier{Platform: platform(), Assumer: a, Inspector: a, Clock: func() time.Time { return noon }}
}

func subject(t *testing.T) connect.Subject {
	return connect.Subject{RoleARN: role(t, roleR1), ExternalID: ourID, Region: "eu-west-1"}
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
		want    [5]connect.Verdict
		code    connect.Code // of the first check that did not pass
		proven  bool
		calls   int
	}{
		{"exact", account{assume: exact, trust: clean}, [5]connect.Verdict{p, p, p, p, p}, "", true, 3},
		{"not assumable", account{assume: only(func(connect.ExternalID) bool { return false })}, [5]connect.Verdict{f, u, u, u, u}, connect.CodeRoleNotAssumable, false, 1},
		{"no condition", account{assume: only(func(connect.ExternalID) bool { return true }), trust: clean}, [5]connect.Verdict{p, f, f, p, p}, connect.CodeExternalIDNotRequired, false, 3},
		{"any ID", account{assume: only(func(e connect.ExternalID) bool { return e != "" }), trust: clean}, [5]connect.Verdict{p, p, f, p, p}, connect.CodeExternalIDIgnored, false, 3},
		{"prefix", account{assume: only(func(e connect.ExternalID) bool { return strings.HasPrefix(string(e), "rc-0") }), trust: clean}, [5]connect.Verdict{p, p, f, p, p}, connect.CodeExternalIDIgnored, false, 3},
		{"if it exists", account{assume: only(func(e connect.ExternalID) bool { return e == "" || e == ourID }), trust: clean}, [5]connect.Verdict{p, f, p, p, p}, connect.CodeExternalIDNotRequired, false, 3},
		{"STS is down", account{assume: func(connect.AssumeRequest) error { return down }}, [5]connect.Verdict{u, u, u, u, u}, connect.CodeSTSUnavailable, false, 1},
		{"STS breaks down at the second probe", account{trust: clean, assume: func(r connect.AssumeRequest) error {
			if r.ExternalID == "" {
				return down
			}
			return exact(r)
		}}, [5]connect.Verdict{p, u, p, p, p}, connect.CodeSTSUnavailable, false, 3},
		{"Regions denied", account{assume: exact, regions: errDenied, trust: clean}, [5]connect.Verdict{p, p, p, f, p}, connect.CodeRegionsDenied, false, 3},
		{"EC2 is down", account{assume: exact, regions: down, trust: clean}, [5]connect.Verdict{p, p, p, u, p}, connect.CodeSTSUnavailable, false, 3},
		{"trust unreadable", account{assume: exact, trustE: errDenied}, [5]connect.Verdict{p, p, p, p, u}, connect.CodeTrustUnreadable, true, 4},
		{"trust is no JSON", account{assume: exact, trust: "{"}, [5]connect.Verdict{p, p, p, p, u}, connect.CodeTrustUnreadable, true, 4},
		{"trust admits everybody", account{assume: exact, trust: strings.Replace(clean, `{"AWS":"arn:aws:iam::111111111111:root"}`, `"*"`, 1)},
			[5]connect.Verdict{p, p, p, p, f}, connect.CodeTrustTooBroad, false, 3},
	}
	names := []connect.CheckName{
		connect.CheckAssumeRole, connect.CheckExternalIDRequired, connect.CheckExternalIDMatched, connect.CheckRegions, connect.CheckTrustPolicy,
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := tt.account
			o := verifier(&a).Verify(context.Background(), subject(t))
			var code connect.Code
			for i, c := range o.Checks {
				if c.Name != names[i] || c.Verdict != tt.want[i] {
					t.Errorf("check %d is %s %s, want %s %s", i+1, c.Name, c.Verdict, names[i], tt.want[i])
				}
				if c.Verdict != p && (c.Reason.Code == "" || c.Reason.Message == "") {
					t.Errorf("%s is %s without a reason", c.Name, c.Verdict)
				}
				if c.Verdict == f && c.Reason.Fix == "" {
					t.Errorf("%s failed without a fix", c.Name)
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
	v := connect.Verifier{Platform: platform(), Assumer: a, Inspector: a, Clock: func() time.Time { return noon }}
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
