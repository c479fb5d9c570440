package customer_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"rolecall/infra/local/iam"
	"rolecall/infra/local/organizations"
	"rolecall/infra/local/wire"
	"rolecall/shared/connect"
	"rolecall/shared/customer"
)

const sayWhereIBelong = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"organizations:DescribeOrganization","Resource":"*"}]}`

func TestAnAccountSaysWhereItBelongs(t *testing.T) {
	all := organizations.New()
	if err := all.Create(organizations.Organization{
		ID: "o-a1b2c3d4e5", Management: "310000000000", Root: "r-ab12", Accounts: map[string]string{customerAccount: ""},
	}); err != nil {
		t.Fatal(err)
	}
	accounts := iam.New(time.Now)
	door := wire.NewServer(wire.Config{Authenticator: accounts, Authorizer: accounts, Clock: time.Now})
	door.Register("organizations", all)
	server := httptest.NewServer(door)
	t.Cleanup(server.Close)
	look := customer.Inspector{HTTP: server.Client(), Clock: time.Now, Endpoint: server.URL}
	made := 0
	session := func(account, rights string) connect.Credentials {
		t.Helper()
		made++
		role, err := accounts.CreateRole(account, iam.RoleSpec{
			Name: "R" + strconv.Itoa(made), Trust: `{"Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`,
			Inline: map[string]string{"rights": rights},
		})
		if err != nil {
			t.Fatal(err)
		}
		c, err := accounts.RoleSession(role.ARN, "look", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return connect.Credentials{
			AccessKeyID: c.AccessKeyID, SecretAccessKey: connect.NewSecret(c.SecretAccessKey), SessionToken: connect.NewSecret(c.Token),
		}
	}
	if got, err := look.Organization(t.Context(), session(customerAccount, sayWhereIBelong), "aws"); err != nil || got != "o-a1b2c3d4e5" {
		t.Errorf("a member: %q, %v", got, err)
	}
	if got, err := look.Organization(t.Context(), session("399999999999", sayWhereIBelong), "aws"); err != nil || got != "" {
		t.Errorf("an account of no organization: %q, %v", got, err)
	}
	blind := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:ListBucket","Resource":"*"}]}`
	if _, err := look.Organization(t.Context(), session(customerAccount, blind), "aws"); kind(err) != connect.KindDenied {
		t.Errorf("without the right: %v", err)
	}
}

func TestWhatIsNoAnswerOfOrganizations(t *testing.T) {
	for name, one := range map[string]struct {
		status int
		body   string
	}{
		"throttled":       {http.StatusBadRequest, `{"__type":"TooManyRequestsException","Message":"slow down"}`},
		"an error page":   {http.StatusBadGateway, `<html>`},
		"no organization": {http.StatusOK, `{}`},
		"another shape":   {http.StatusOK, `{"Organization":{"Id":"o-<script>"}}`},
		"no JSON":         {http.StatusOK, `o-a1b2c3d4e5`},
		"expired":         {http.StatusBadRequest, `{"__type":"ExpiredTokenException"}`},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(says(one.status, one.body))
			defer server.Close()
			look := customer.Inspector{HTTP: server.Client(), Clock: time.Now, Endpoint: server.URL}
			if got, err := look.Organization(t.Context(), connect.Credentials{}, "aws"); kind(err) != connect.KindUnavailable || got != "" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// Each partition has one endpoint, and requests are signed for its Region.
func TestOrganizationsEndpoints(t *testing.T) {
	for partition, want := range map[connect.Partition][2]string{
		"aws": {"organizations.us-east-1.amazonaws.com", "us-east-1"}, "aws-us-gov": {"organizations.us-gov-west-1.amazonaws.com", "us-gov-west-1"},
		"aws-cn": {"organizations.cn-northwest-1.amazonaws.com.cn", "cn-northwest-1"},
	} {
		var asked *http.Request
		look := customer.Inspector{Clock: time.Now, HTTP: &http.Client{Transport: asking(func(r *http.Request) { asked = r })}}
		_, _ = look.Organization(context.Background(), connect.Credentials{AccessKeyID: "ASIA1"}, partition)
		if asked.URL.Host != want[0] || asked.URL.Scheme != "https" || asked.Header.Get("X-Amz-Target") != "AWSOrganizationsV20161128.DescribeOrganization" ||
			!strings.Contains(asked.Header.Get("Authorization"), "/"+want[1]+"/organizations/aws4_request") {
			t.Errorf("%s: %s signed by %s", partition, asked.URL, asked.Header.Get("Authorization"))
		}
	}
}

// asking takes a request and answers nothing of use.
type asking func(*http.Request)

func (a asking) RoundTrip(r *http.Request) (*http.Response, error) {
	a(r)
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("{}"))}, nil
}
