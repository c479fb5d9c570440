package customer_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"

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
