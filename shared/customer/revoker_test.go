package customer_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolecall/shared/connect"
	"rolecall/shared/customer"
)

const (
	administers    = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	consolesPolicy = "AWSRevokeOlderSessions"
)

// inertCutoff and denyingBefore are the templates' date and text.
var inertCutoff = time.Unix(0, 0)

func denyingBefore(cutoff time.Time) string {
	return `{"Statement":[{"Action":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"` + cutoff.UTC().Format(time.RFC3339) +
		`"}},"Effect":"Deny","Resource":"*"}],"Version":"2012-10-17"}`
}

// A revokedRole is a role of the pocket IAM that may change its own policies.
type revokedRole struct {
	*world
	arn connect.RoleARN
	customer.Revoker
}

func newRevokedRole(t *testing.T, rights string) revokedRole {
	t.Helper()
	w := newWorld(t)
	return revokedRole{w, w.role("Revoked", trust(externalID, allActions), rights), customer.Revoker{
		Inspector: w.look, Text: denyingBefore, Inert: inertCutoff,
	}}
}

// inline are the role's policies but the one that gives it its rights.
func (r revokedRole) inline() map[string]string {
	r.Helper()
	role, err := r.iam.Role(customerAccount, "Revoked")
	if err != nil {
		r.Fatal(err)
	}
	out := map[string]string{}
	for name, text := range role.Inline {
		if name != "rights" {
			out[name] = text
		}
	}
	return out
}

func (r revokedRole) put(name, text string) {
	r.Helper()
	if err := r.iam.PutRolePolicy(customerAccount, "Revoked", name, text); err != nil {
		r.Fatal(err)
	}
}

// works says whether a session may still do something.
func (r revokedRole) works(s connect.Session) bool {
	_, err := r.look.Regions(r.Context(), s.Credentials, "eu-west-1")
	return err == nil
}

// What is declared denies nothing; a revocation overwrites it, denies older sessions and no later one, and lifting puts back the
// very text. The policy that IAM's console makes is the customer's and stays throughout.
func TestARevocationOverwritesAndRestores(t *testing.T) {
	for name, declared := range map[string]bool{"declared": true, "not declared": false} {
		t.Run(name, func(t *testing.T) {
			r := newRevokedRole(t, administers)
			theirs := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["*"],"Resource":["*"],` +
				`"Condition":{"DateLessThan":{"aws:TokenIssueTime":"2001-01-01T00:00:00Z"}}}]}`
			r.put(consolesPolicy, theirs)
			before := map[string]string{consolesPolicy: theirs}
			if declared {
				before[connect.RevocationPolicy] = denyingBefore(inertCutoff)
				r.put(connect.RevocationPolicy, before[connect.RevocationPolicy])
			}
			old := r.session(r.arn)
			if !r.works(old) {
				t.Fatal("the policy denies something as it is declared")
			}
			cutoff := time.Now().Add(time.Second)
			if err := r.DenyOlder(t.Context(), old.Credentials, r.arn, "eu-west-1", cutoff); err != nil {
				t.Fatal(err)
			}
			if r.works(old) {
				t.Error("an older session works")
			}
			if d := cmp.Diff(map[string]string{consolesPolicy: theirs, connect.RevocationPolicy: denyingBefore(cutoff)}, r.inline()); d != "" {
				t.Error(d)
			}
			if err := r.AllowOlder(t.Context(), old.Credentials, r.arn, "eu-west-1", declared); kind(err) != connect.KindDenied {
				t.Errorf("an older session lifts its own revocation: %v", err)
			}
			time.Sleep(time.Until(cutoff.Truncate(time.Second).Add(time.Second))) // a session has AWS's own time, which only passes
			fresh := r.session(r.arn)
			for range 2 { // as often as it takes
				if err := r.AllowOlder(t.Context(), fresh.Credentials, r.arn, "eu-west-1", declared); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(before, r.inline()); d != "" {
					t.Error(d)
				}
			}
			if !r.works(old) {
				t.Error("an older session is denied after the lift")
			}
		})
	}
}

// earlierVersion is what versions before wrote under the name of IAM's own, to the letter.
func earlierVersion(cutoff string) string {
	return `{"Statement":[{"Action":["*"],"Condition":{"DateLessThan":{"aws:TokenIssueTime":"` + cutoff + `"}},"Effect":"Deny","Resource":["*"]}],"Version":"2012-10-17"}`
}

func TestOnlyWhatAnEarlierVersionWroteIsRemoved(t *testing.T) {
	cutoff := time.Date(2001, 11, 30, 12, 0, 1, 0, time.UTC) // so that the session at hand is none of those that are denied
	ours := earlierVersion("2001-11-30T12:00:01Z")
	for name, c := range map[string]struct {
		there string
		stays bool
	}{
		"ours":           {ours, false},
		"none":           {"", false},
		"another time":   {earlierVersion("2001-11-30T12:00:02Z"), true},
		"as the console": {`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["*"],"Resource":["*"],"Condition":{"DateLessThan":{"aws:TokenIssueTime":"2001-11-30T12:00:01Z"}}}]}`, true},
		"ours and more":  {ours + " ", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRevokedRole(t, administers)
			if c.there != "" {
				r.put(consolesPolicy, c.there)
			}
			want := r.inline()
			if !c.stays {
				delete(want, consolesPolicy)
			}
			err := r.RemoveFormer(t.Context(), r.session(r.arn).Credentials, r.arn, "eu-west-1", cutoff)
			if c.stays != (err != nil) || (c.stays && !errors.Is(err, connect.ErrNotOurs)) {
				t.Errorf("error %v", err)
			}
			if d := cmp.Diff(want, r.inline()); d != "" {
				t.Error(d)
			}
		})
	}
	blind := newRevokedRole(t, lookAtSelf)
	blind.put(consolesPolicy, ours)
	if err := blind.RemoveFormer(t.Context(), blind.session(blind.arn).Credentials, blind.arn, "eu-west-1", cutoff); kind(err) != connect.KindDenied || len(blind.inline()) != 1 {
		t.Errorf("a policy that cannot be read: %v %v", err, blind.inline())
	}
}

// What AWS answers to a question about a policy is not taken for the policy when it is none.
func TestAnAnswerThatIsNoPolicyRemovesNone(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		says(http.StatusOK, `<GetRolePolicyResponse><GetRolePolicyResult><PolicyDocument>%zz</PolicyDocument></GetRolePolicyResult></GetRolePolicyResponse>`)(w, nil)
	}))
	defer server.Close()
	r := customer.Revoker{Inspector: customer.Inspector{HTTP: server.Client(), Clock: time.Now, Endpoint: server.URL}}
	err := r.RemoveFormer(t.Context(), connect.Credentials{}, roleARN(t, "arn:aws:iam::"+customerAccount+":role/R"), "eu-west-1", time.Now())
	if !errors.Is(err, connect.ErrNotOurs) || asked != 1 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}

// The policy that templates declare has a condition on when the session was made. The simulator is told that, or no permission could be
// found missing any more; and a revocation in force is none.
func TestPermissionsAreRuledUponBesideARevocation(t *testing.T) {
	r := newRevokedRole(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","iam:SimulatePrincipalPolicy"],"Resource":"*"}]}`)
	for _, cutoff := range []time.Time{inertCutoff, time.Now().Add(-time.Minute)} {
		r.put(connect.RevocationPolicy, denyingBefore(cutoff))
		got, err := r.look.Permissions(t.Context(), r.session(r.arn).Credentials, r.arn, "eu-west-1", []string{"s3:GetObject", "sqs:SendMessage"})
		if err != nil {
			t.Fatal(err)
		}
		want := []connect.ActionRuling{{Action: "s3:GetObject", Ruling: connect.RulingAllowed}, {Action: "sqs:SendMessage", Ruling: connect.RulingMissing}}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", cutoff, d)
		}
	}
}
