package customer_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/iam"
	"rolecall/shared/connect"
	"rolecall/shared/customer"
)

func TestRegionsAreThoseEnabledInTheCustomersAccount(t *testing.T) {
	w := newWorld(t)
	role := w.role("Exact", trust(externalID, allActions), lookAtSelf)
	w.ec2.OptIn(customerAccount, "eu-south-1", true)
	w.ec2.OptIn(platformAccount, "af-south-1", true)
	got, err := w.look.Regions(t.Context(), w.session(role).Credentials, "eu-west-1")
	if err != nil {
		t.Fatal(err)
	}
	for region, want := range map[connect.Region]bool{
		"eu-west-1": true, "us-east-1": true, "eu-south-1": true, "af-south-1": false,
	} {
		if slices.Contains(got, region) != want {
			t.Errorf("%s enabled: %t, want %t", region, !want, want)
		}
	}
}

// A connection's default Region may be one that the account has not enabled, where AWS knows none of its credentials.
func TestRegionsAreFoundFromARegionThatIsNotEnabled(t *testing.T) {
	w := newWorld(t)
	c := w.session(w.role("Exact", trust(externalID, allActions), lookAtSelf)).Credentials
	for _, enabled := range []bool{false, true} {
		w.ec2.OptIn(customerAccount, "eu-south-1", enabled)
		got, err := w.look.Regions(t.Context(), c, "eu-south-1")
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(got, "us-east-1") || slices.Contains(got, "eu-south-1") != enabled {
			t.Errorf("enabled %t: %v", enabled, got)
		}
	}
}

// Where the credentials are known nowhere, one more question is enough; and what is not enabled is not counted.
func TestARegionThatIsNotEnabledIsNotInsistedUpon(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		says(http.StatusUnauthorized, `<Response><Errors><Error><Code>AuthFailure</Code></Error></Errors></Response>`)(w, nil)
	}))
	defer server.Close()
	look := customer.Inspector{HTTP: server.Client(), Clock: time.Now, Endpoint: server.URL}
	for region, want := range map[connect.Region]int{"eu-south-1": 2, "us-east-1": 1, "us-gov-west-1": 1, "cn-northwest-1": 2} {
		asked = 0
		if _, err := look.Regions(t.Context(), connect.Credentials{}, region); kind(err) != connect.KindUnavailable || asked != want {
			t.Errorf("%s: asked %d times, want %d: %v", region, asked, want, err)
		}
	}
	listing := httptest.NewServer(says(http.StatusOK, `<DescribeRegionsResponse><regionInfo>`+
		`<item><regionName>eu-west-1</regionName><optInStatus>opt-in-not-required</optInStatus></item>`+
		`<item><regionName>eu-south-1</regionName><optInStatus>not-opted-in</optInStatus></item>`+
		`<item><regionName>af-south-1</regionName><optInStatus>opted-in</optInStatus></item></regionInfo></DescribeRegionsResponse>`))
	defer listing.Close()
	look = customer.Inspector{HTTP: listing.Client(), Clock: time.Now, Endpoint: listing.URL}
	got, err := look.Regions(t.Context(), connect.Credentials{}, "eu-west-1")
	if diff := cmp.Diff([]connect.Region{"eu-west-1", "af-south-1"}, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestTrustPolicyComesAsItWasWritten(t *testing.T) {
	w := newWorld(t)
	// A plus sign stands for itself in IAM's encoding, and a percent sign for more than itself.
	written := `{"Version": "2012-10-17", "Statement": [{"Sid": "A1", "Effect": "Allow", "Principal": {"AWS": "*"},` +
		` "Action": "sts:AssumeRole", "Condition": {"StringEquals": {"sts:ExternalId": "a+b%2Bc d/é&\"<"}}},` +
		trust(externalID, `"sts:AssumeRole"`)[len(`{"Version": "2012-10-17", "Statement": [`):]
	role := w.role("Plus+Sign", written, lookAtSelf)
	got, err := w.look.TrustPolicy(t.Context(), w.session(role).Credentials, role, "eu-west-1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(written, got); diff != "" {
		t.Errorf("trust policy (-written +got):\n%s", diff)
	}
}

// A form's decoder would make a space of the plus sign, and another principal of the one that is trusted.
func TestAPlusSignInATrustPolicyStaysOne(t *testing.T) {
	server := httptest.NewServer(says(http.StatusOK, `<GetRoleResponse><GetRoleResult><Role><AssumeRolePolicyDocument>`+
		`%7B%22AWS%22%3A%20%22role/A+B%22%7D</AssumeRolePolicyDocument></Role></GetRoleResult></GetRoleResponse>`))
	defer server.Close()
	look := customer.Inspector{HTTP: server.Client(), Clock: time.Now, Endpoint: server.URL}
	got, err := look.TrustPolicy(t.Context(), connect.Credentials{}, roleARN(t, "arn:aws:iam::"+customerAccount+":role/R"), "eu-west-1")
	if want := `{"AWS": "role/A+B"}`; err != nil || got != want {
		t.Errorf("%s, error %v, want %s", got, err, want)
	}
}

func TestLookingWithoutTheRightIsADenial(t *testing.T) {
	w := newWorld(t)
	role := w.role("Blind", trust(externalID, allActions), "")
	c := w.session(role).Credentials
	if got, err := w.look.Regions(t.Context(), c, "eu-west-1"); kind(err) != connect.KindDenied || got != nil {
		t.Errorf("Regions: %v, error %v, want a denial", got, err)
	}
	if got, err := w.look.TrustPolicy(t.Context(), c, role, "eu-west-1"); kind(err) != connect.KindDenied || got != "" {
		t.Errorf("TrustPolicy: %q, error %v, want a denial", got, err)
	}
	if got, err := w.look.Permissions(t.Context(), c, role, "eu-west-1", []string{"ec2:RunInstances"}); kind(err) != connect.KindDenied || got != nil {
		t.Errorf("Permissions: %v, error %v, want a denial", got, err)
	}
}

// What a role may do, by IAM's own word: of its policies, its boundary, and conditions that nobody can tell.
func TestPermissionsAreRuledUpon(t *testing.T) {
	w := newWorld(t)
	boundary, err := w.iam.CreatePolicy(customerAccount, iam.PolicySpec{
		Name:     "Boundary",
		Document: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":"rds:*","Resource":"*"}]}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	made, err := w.iam.CreateRole(customerAccount, iam.RoleSpec{
		Name: "Ruled", Trust: trust(externalID, allActions), Boundary: boundary,
		Inline: map[string]string{"rights": `{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":["ec2:RunInstances","iam:SimulatePrincipalPolicy","rds:CreateDBInstance","s3:PutObject"],"Resource":"*"},
			{"Effect":"Deny","Action":"s3:PutObject","Resource":"*"},
			{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"*","Condition":{"StringEquals":{"aws:SourceVpc":"vpc-1"}}},
			{"Effect":"Allow","Action":"sns:Publish","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":"eu-west-1"}}}]}`},
	})
	if err != nil {
		t.Fatal(err)
	}
	role := roleARN(t, made.ARN)
	want := []connect.ActionRuling{
		{Action: "ec2:RunInstances", Ruling: connect.RulingAllowed},
		{Action: "lambda:CreateFunction", Ruling: connect.RulingMissing},
		{Action: "s3:PutObject", Ruling: connect.RulingForbidden},
		{Action: "rds:CreateDBInstance", Ruling: connect.RulingBounded},
		{Action: "sqs:SendMessage", Ruling: connect.RulingUndecided},
		{Action: "sns:Publish", Ruling: connect.RulingAllowed},
	}
	var actions []string
	for _, r := range want {
		actions = append(actions, r.Action)
	}
	got, err := w.look.Permissions(t.Context(), w.session(role).Credentials, role, "eu-west-1", actions)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What only AWS says: the organization's part, and words that are not known yet.
func TestRulingsOfAnOrganization(t *testing.T) {
	result := func(decision, more string) string {
		return `<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><EvaluationResults><member><EvalActionName>a:B</EvalActionName>` +
			`<EvalDecision>` + decision + `</EvalDecision>` + more + `</member></EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>`
	}
	organization := func(allowed string) string {
		return `<OrganizationsDecisionDetail><AllowedByOrganizations>` + allowed + `</AllowedByOrganizations></OrganizationsDecisionDetail>`
	}
	tests := map[string]struct {
		answer string
		want   connect.Ruling
	}{
		"allowed":                        {result("allowed", organization("true")), connect.RulingAllowed},
		"denied by the organization":     {result("explicitDeny", organization("false")), connect.RulingUndecided},
		"not denied by the organization": {result("implicitDeny", organization("true")), connect.RulingMissing},
		"a new word":                     {result("perhaps", ""), connect.RulingUndecided},
		"a key untold":                   {result("implicitDeny", "<MissingContextValues><member>aws:SourceIp</member></MissingContextValues>"), connect.RulingUndecided},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(says(http.StatusOK, tt.answer))
			defer server.Close()
			look := customer.Inspector{HTTP: server.Client(), Clock: time.Now, Endpoint: server.URL}
			got, err := look.Permissions(t.Context(), connect.Credentials{}, roleARN(t, "arn:aws:iam::"+customerAccount+":role/R"), "eu-west-1", []string{"a:B"})
			if err != nil || len(got) != 1 || got[0].Ruling != tt.want {
				t.Errorf("%v, error %v, want %s", got, err, tt.want)
			}
		})
	}
}

func TestEveryPartitionIsAskedWhereItLives(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	creds := connect.Credentials{
		AccessKeyID: "ASIACUSTOMER", SecretAccessKey: connect.NewSecret("secret"), SessionToken: connect.NewSecret("token"),
	}
	tests := []struct {
		region, partition                    string
		ec2Host, iamHost, ec2Scope, iamScope string
	}{
		{"eu-west-1", "aws", "ec2.eu-west-1.amazonaws.com", "iam.amazonaws.com", "eu-west-1/ec2", "us-east-1/iam"},
		{"us-east-1", "aws", "ec2.us-east-1.amazonaws.com", "iam.amazonaws.com", "us-east-1/ec2", "us-east-1/iam"},
		{"us-gov-east-1", "aws-us-gov", "ec2.us-gov-east-1.amazonaws.com", "iam.us-gov.amazonaws.com", "us-gov-east-1/ec2", "us-gov-west-1/iam"},
		{"cn-northwest-1", "aws-cn", "ec2.cn-northwest-1.amazonaws.com.cn", "iam.cn-north-1.amazonaws.com.cn", "cn-northwest-1/ec2", "cn-north-1/iam"},
	}
	for _, tt := range tests {
		t.Run(tt.region, func(t *testing.T) {
			tap := &wiretap{}
			look := customer.Inspector{HTTP: &http.Client{Transport: tap}, Clock: func() time.Time { return now }}
			check := func(err error, host, scope string) {
				t.Helper()
				if kind(err) != connect.KindUnavailable {
					t.Errorf("error %v, want unavailable", err)
				}
				if u := tap.request.URL; u.Scheme != "https" || u.Host != host || tap.request.Method != http.MethodPost {
					t.Errorf("%s %s, want POST https://%s/", tap.request.Method, u, host)
				}
				if got := tap.scope(t); got != scope {
					t.Errorf("signed for %s, want %s", got, scope)
				}
				if want := resigned(t, tap, creds, now); tap.request.Header.Get("Authorization") != want {
					t.Errorf("signature\n%s\nis not of what is sent:\n%s", tap.request.Header.Get("Authorization"), want)
				}
				if got := tap.request.Header.Get("X-Amz-Security-Token"); got != "token" {
					t.Errorf("session token %q", got)
				}
			}
			_, err := look.Regions(t.Context(), creds, connect.Region(tt.region))
			check(err, tt.ec2Host, tt.ec2Scope)
			if form := tap.form(t); form.Get("Action") != "DescribeRegions" || form.Has("AllRegions") {
				t.Errorf("asked %v", form)
			}
			role := roleARN(t, "arn:"+tt.partition+":iam::"+customerAccount+":role/path/to/R+1")
			_, err = look.TrustPolicy(t.Context(), creds, role, connect.Region(tt.region))
			check(err, tt.iamHost, tt.iamScope)
			if form := tap.form(t); form.Get("Action") != "GetRole" || form.Get("RoleName") != "R+1" {
				t.Errorf("asked %v", form)
			}
			_, err = look.Permissions(t.Context(), creds, role, connect.Region(tt.region), []string{"ec2:RunInstances", "s3:PutObject"})
			check(err, tt.iamHost, tt.iamScope)
			want := url.Values{
				"Action": {"SimulatePrincipalPolicy"}, "Version": {"2010-05-08"}, "PolicySourceArn": {role.String()},
				"ActionNames.member.1": {"ec2:RunInstances"}, "ActionNames.member.2": {"s3:PutObject"},
				"ContextEntries.member.1.ContextKeyName":            {"aws:RequestedRegion"},
				"ContextEntries.member.1.ContextKeyType":            {"string"},
				"ContextEntries.member.1.ContextKeyValues.member.1": {tt.region},
				"ContextEntries.member.2.ContextKeyName":            {"aws:TokenIssueTime"},
				"ContextEntries.member.2.ContextKeyType":            {"date"},
				"ContextEntries.member.2.ContextKeyValues.member.1": {"2026-11-21T12:00:00Z"},
			}
			if diff := cmp.Diff(want, tap.form(t)); diff != "" {
				t.Errorf("simulation (-want +got):\n%s", diff)
			}
		})
	}
}

// resigned is the signature of the request as it would go out, body and all.
func resigned(t *testing.T, tap *wiretap, c connect.Credentials, now time.Time) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), tap.request.Method, tap.request.URL.String(), bytes.NewReader(tap.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = tap.request.Header.Clone()
	r.Header.Del("Authorization")
	hash := sha256.Sum256(tap.body)
	keys := aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey.Reveal(), SessionToken: c.SessionToken.Reveal()}
	_, scope, _ := bytes.Cut([]byte(tap.scope(t)), []byte("/"))
	region, _, _ := bytes.Cut([]byte(tap.scope(t)), []byte("/"))
	if err := v4.NewSigner().SignHTTP(t.Context(), keys, r, hex.EncodeToString(hash[:]), string(scope), string(region), now); err != nil {
		t.Fatal(err)
	}
	return r.Header.Get("Authorization")
}
