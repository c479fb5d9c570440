package customer_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/ec2"
	"rolecall/infra/local/iam"
	"rolecall/infra/local/wire"
	"rolecall/shared/connect"
	"rolecall/shared/customer"
)

const (
	platformAccount = "111111111111"
	customerAccount = "022222222222" // its leading zero must survive
	externalID      = connect.ExternalID("rc-0123456789abcdefghjkmnpqrstvwxyz")
)

// A world is AWS with the platform's function and a customer's account in it.
type world struct {
	testing.TB
	iam    *iam.Service
	ec2    *ec2.Service
	server *httptest.Server
	assume customer.Assumer
	look   customer.Inspector
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, iam: iam.New(time.Now), ec2: ec2.New()}
	door := wire.NewServer(wire.Config{Authenticator: w.iam, Authorizer: w.iam, Clock: time.Now})
	door.Register("sts", w.iam.STS())
	door.Register("iam", w.iam)
	door.Register("ec2", w.ec2)
	w.server = httptest.NewServer(door)
	t.Cleanup(w.server.Close)

	broker, err := w.iam.CreateRole(platformAccount, iam.RoleSpec{
		Name: "broker", Path: "/rolecall/",
		Trust: `{"Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`,
		Inline: map[string]string{"rights": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` +
			`"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"],"Resource":"arn:*:iam::*:role/*"}]}`},
	})
	if err != nil {
		t.Fatal(err)
	}
	session, err := w.iam.RoleSession(broker.ARN, "broker", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	w.assume = customer.Assumer{Client: sts.New(sts.Options{
		Region: "eu-west-1", BaseEndpoint: &w.server.URL, HTTPClient: w.server.Client(), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(session.AccessKeyID, session.SecretAccessKey, session.Token),
	})}
	w.look = customer.Inspector{HTTP: w.server.Client(), Clock: time.Now, Endpoint: w.server.URL}
	return w
}

// trust is what our template writes, for the given actions.
func trust(id connect.ExternalID, actions string) string {
	return fmt.Sprintf(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::%s:root"},`+
		` "Action": %s, "Condition": {"StringEquals": {"sts:ExternalId": %q}}}]}`, platformAccount, actions, id)
}

const (
	allActions = `["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]`
	lookAtSelf = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ec2:DescribeRegions","iam:GetRole"],"Resource":"*"}]}`
)

// role makes a role in the customer's account.
func (w *world) role(name, trust, rights string) connect.RoleARN {
	w.Helper()
	spec := iam.RoleSpec{Name: name, Path: "/acme/", Trust: trust}
	if rights != "" {
		spec.Inline = map[string]string{"rights": rights}
	}
	r, err := w.iam.CreateRole(customerAccount, spec)
	if err != nil {
		w.Fatal(err)
	}
	return roleARN(w.TB, r.ARN)
}

func roleARN(t testing.TB, s string) connect.RoleARN {
	t.Helper()
	arn, err := connect.ParseRoleARN(s)
	if err != nil {
		t.Fatal(err)
	}
	return arn
}

func (w *world) session(role connect.RoleARN) connect.Session {
	w.Helper()
	s, err := w.assume.AssumeRole(w.Context(), probe(role, externalID))
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func probe(role connect.RoleARN, id connect.ExternalID) connect.AssumeRequest {
	return connect.AssumeRequest{RoleARN: role, ExternalID: id, SessionName: "rolecall-verify", Duration: 15 * time.Minute}
}

// kind is the kind of an error; an error of no kind is internal, as for drivers.
func kind(err error) connect.Kind {
	var e *connect.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return connect.KindInternal
}

func TestOnlyTheRightExternalIDOpensARole(t *testing.T) {
	w := newWorld(t)
	exact := w.role("Exact", trust(externalID, allActions), "")
	untagged := w.role("Untagged", trust(externalID, `"sts:AssumeRole"`), "")
	missing := roleARN(t, "arn:aws:iam::"+customerAccount+":role/Missing")
	tagged := func(r connect.AssumeRequest) connect.AssumeRequest {
		r.Tags, r.SourceIdentity = map[string]string{"rolecall:tenant": "acme", "rolecall:connection": "conn_1"}, "rolecall-ada"
		return r
	}
	tests := map[string]struct {
		ask    connect.AssumeRequest
		denied bool
	}{
		"right":             {probe(exact, externalID), false},
		"none":              {probe(exact, ""), true},
		"wrong":             {probe(exact, externalID.Wrong()), true},
		"tags taken":        {tagged(probe(exact, externalID)), false},
		"tags refused":      {tagged(probe(untagged, externalID)), true},
		"no tags, no right": {probe(untagged, externalID), false},
		"no such role":      {probe(missing, externalID), true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := w.assume.AssumeRole(t.Context(), tt.ask)
			if tt.denied {
				if kind(err) != connect.KindDenied {
					t.Errorf("error %v, want a denial", err)
				}
				if s != (connect.Session{}) {
					t.Error("a denial came with a session")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s.Account != customerAccount {
				t.Errorf("account %q, want %q", s.Account, customerAccount)
			}
		})
	}
}

func TestSessionIsTheCustomersOwn(t *testing.T) {
	w := newWorld(t)
	role := w.role("Exact", trust(externalID, allActions), "")
	before := time.Now()
	ask := probe(role, externalID)
	ask.SourceIdentity, ask.Tags = "rolecall-ada", map[string]string{"rolecall:tenant": "acme"}
	s, err := w.assume.AssumeRole(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	c := s.Credentials
	if left := c.Expires.Sub(before); left < 14*time.Minute || left > 16*time.Minute {
		t.Errorf("the session lasts %v, want 15m", left)
	}
	client := sts.New(sts.Options{
		Region: "eu-west-1", BaseEndpoint: &w.server.URL, HTTPClient: w.server.Client(),
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey.Reveal(), c.SessionToken.Reveal()),
	})
	who, err := client.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "arn:aws:sts::" + customerAccount + ":assumed-role/Exact/rolecall-verify"; aws.ToString(who.Arn) != want {
		t.Errorf("the session is %s, want %s", aws.ToString(who.Arn), want)
	}
	p, err := w.iam.Authenticate(c.AccessKeyID, c.SessionToken.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	if p.SourceIdentity != "rolecall-ada" || p.Tags["rolecall:tenant"] != "acme" {
		t.Errorf("source identity %q, tags %v", p.SourceIdentity, p.Tags)
	}
}

// wiretap notes a request and does not send it.
type wiretap struct {
	request *http.Request
	body    []byte
}

var errTapped = errors.New("not sent")

func (w *wiretap) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	w.request, w.body = r, body
	return nil, errTapped
}

func (w *wiretap) form(t *testing.T) url.Values {
	t.Helper()
	form, err := url.ParseQuery(string(w.body))
	if err != nil {
		t.Fatal(err)
	}
	return form
}

// scope is Region and service of the request's signature.
func (w *wiretap) scope(t *testing.T) string {
	t.Helper()
	_, rest, _ := strings.Cut(w.request.Header.Get("Authorization"), "Credential=")
	parts := strings.Split(rest, "/")
	if len(parts) < 5 {
		t.Fatalf("unsigned: %q", w.request.Header.Get("Authorization"))
	}
	return parts[2] + "/" + parts[3]
}

func TestAssumeRoleSaysWhatItIsToldAndNoMore(t *testing.T) {
	role := roleARN(t, "arn:aws:iam::"+customerAccount+":role/acme/R")
	tests := map[string]struct {
		ask  connect.AssumeRequest
		want url.Values
	}{
		"bare": {
			connect.AssumeRequest{RoleARN: role, SessionName: "s1", Duration: 15 * time.Minute},
			url.Values{"DurationSeconds": {"900"}, "RoleSessionName": {"s1"}},
		},
		"everything": {
			connect.AssumeRequest{
				RoleARN: role, ExternalID: externalID, SessionName: "s2", SourceIdentity: "ada", Duration: time.Hour,
				Tags: map[string]string{"b": "2", "a": "1", "c": "3"},
			},
			url.Values{
				"DurationSeconds": {"3600"}, "RoleSessionName": {"s2"}, "ExternalId": {string(externalID)}, "SourceIdentity": {"ada"},
				"Tags.member.1.Key": {"a"}, "Tags.member.1.Value": {"1"}, "Tags.member.2.Key": {"b"}, "Tags.member.2.Value": {"2"},
				"Tags.member.3.Key": {"c"}, "Tags.member.3.Value": {"3"},
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tap := &wiretap{}
			if _, err := tappedAssumer(tap, "eu-west-1").AssumeRole(t.Context(), tt.ask); kind(err) != connect.KindUnavailable {
				t.Fatalf("error %v", err)
			}
			tt.want["Action"], tt.want["Version"], tt.want["RoleArn"] = []string{"AssumeRole"}, []string{"2011-06-15"}, []string{role.String()}
			if diff := cmp.Diff(tt.want, tap.form(t)); diff != "" {
				t.Errorf("form (-want +got):\n%s", diff)
			}
		})
	}
}

func tappedAssumer(tap http.RoundTripper, region string) customer.Assumer {
	return customer.Assumer{Client: sts.New(sts.Options{
		Region: region, HTTPClient: &http.Client{Transport: tap}, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("ASIAPLATFORM", "secret", "token"),
	})}
}

// STS is asked in Rolecall's own Region, never at the global endpoint, whose sessions not every Region admits.
func TestSTSIsAskedInItsOwnRegion(t *testing.T) {
	for region, host := range map[string]string{
		"eu-west-1":     "sts.eu-west-1.amazonaws.com",
		"us-east-1":     "sts.us-east-1.amazonaws.com",
		"us-gov-west-1": "sts.us-gov-west-1.amazonaws.com",
		"cn-north-1":    "sts.cn-north-1.amazonaws.com.cn",
	} {
		t.Run(region, func(t *testing.T) {
			tap := &wiretap{}
			ask := probe(roleARN(t, "arn:aws:iam::"+customerAccount+":role/R"), externalID)
			if _, err := tappedAssumer(tap, region).AssumeRole(t.Context(), ask); err == nil {
				t.Fatal("an answer to what was not sent")
			}
			if u := tap.request.URL; u.Scheme != "https" || u.Host != host {
				t.Errorf("asked %s, want https://%s", u, host)
			}
			if got := tap.scope(t); got != region+"/sts" {
				t.Errorf("signed for %s", got)
			}
		})
	}
}
