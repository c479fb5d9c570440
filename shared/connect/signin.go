package connect

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// A Federation exchanges a session for a token that signs a browser in to AWS's console.
type Federation interface {
	SigninToken(ctx context.Context, c Credentials) (Secret, error)
}

// SignInLife is how long a sign-in link can be opened; AWS's own.
const SignInLife = 15 * time.Minute

// SignIns makes links that sign in to the console of a customer's account.
type SignIns struct {
	Issuing    Issuing
	Maker      SessionMaker
	Federation Federation
	Partition  Partition
	Endpoint   string // replaces the federation endpoint in links; "" outside a laptop
}

// A SignInRequest asks for a link.
type SignInRequest struct {
	Tenant      TenantID
	ID          string
	Caller      Actor
	Issuer      string // where AWS sends a browser whose session has ended; "" for nowhere
	Destination string // a page of the console; "" for its home in the connection's Region
	Reason      string
	Restriction
	Filter ResourceFilter // of the caller
}

// A SignIn is a link. Whoever has it is signed in, so it is a secret.
type SignIn struct {
	URL         Secret
	ExpiresAt   time.Time // of the link
	SessionName string
	AccessKeyID string
	Session     time.Time // when the session in the console ends
}

// Link makes a sign-in link by a session of its own. Its duration is the role's default: under role chaining AWS's
// federation endpoint takes neither DurationSeconds nor SessionDuration.
func (u SignIns) Link(ctx context.Context, r SignInRequest) (SignIn, error) {
	if err := checkReason(r.Reason); err != nil {
		return SignIn{}, err
	}
	if err := checkIssuer(r.Issuer); err != nil {
		return SignIn{}, err
	}
	if u.Issuing.Limits != nil {
		if err := u.Issuing.Limits.Admit(ctx, r.Tenant, r.Caller); err != nil {
			return SignIn{}, err
		}
	}
	c, err := u.Issuing.serving(ctx, Target{Tenant: r.Tenant, ID: r.ID, Filter: r.Filter})
	if err != nil {
		return SignIn{}, err
	}
	destination, err := c.destination(r.Destination)
	if err != nil {
		return SignIn{}, err
	}
	options, err := r.options(0, c)
	if err != nil {
		return SignIn{}, err
	}
	issued, err := u.Maker.Session(ctx, SessionAsk{Connection: c, Caller: r.Caller, Options: options, Reason: r.Reason, Purpose: PurposeConsole})
	if err != nil {
		return SignIn{}, err
	}
	token, err := u.Federation.SigninToken(ctx, issued.Credentials)
	if err != nil {
		return SignIn{}, err
	}
	return SignIn{
		URL: u.url(r.Issuer, destination, token), ExpiresAt: u.Issuing.Clock().Add(SignInLife), SessionName: issued.SessionName,
		AccessKeyID: issued.Credentials.AccessKeyID, Session: issued.Credentials.Expires,
	}, nil
}

func (u SignIns) url(issuer, destination string, token Secret) Secret {
	endpoint := u.Endpoint
	if endpoint == "" {
		endpoint = u.Partition.FederationEndpoint()
	}
	q := url.Values{"Action": {"login"}, "Destination": {destination}, "SigninToken": {token.Reveal()}}
	if issuer != "" {
		q.Set("Issuer", issuer)
	}
	return NewSecret(endpoint + "?" + q.Encode())
}

// FederationEndpoint is where the partition signs browsers in.
func (p Partition) FederationEndpoint() string {
	switch p {
	case PartitionGov:
		return "https://signin.amazonaws-us-gov.com/federation"
	case PartitionChina:
		return "https://signin.amazonaws.cn/federation"
	case PartitionAWS:
	}
	return "https://signin.aws.amazon.com/federation"
}

func (p Partition) consoleHost() string {
	switch p {
	case PartitionGov:
		return "console.amazonaws-us-gov.com"
	case PartitionChina:
		return "console.amazonaws.cn"
	case PartitionAWS:
	}
	return "console.aws.amazon.com"
}

// destination admits pages of the partition's console and of no other host: AWS redirects a browser there that has just
// been signed in.
func (c Connection) destination(asked string) (string, error) {
	host := c.s.Partition.consoleHost()
	if asked == "" {
		return fmt.Sprintf("https://%s/console/home?region=%s", host, c.s.DefaultRegion), nil
	}
	u, err := plainURL(asked)
	if err != nil || (u.Host != host && !strings.HasSuffix(u.Host, "."+host)) {
		return "", &Error{
			Kind: KindInvalid, Code: CodeDestinationInvalid, Message: "this is no page of the partition's console",
			Fix: "Give a URL such as https://" + host + "/s3/home.",
		}
	}
	return u.String(), nil
}

func checkIssuer(s string) error {
	if s == "" {
		return nil
	}
	if _, err := plainURL(s); err != nil {
		return &Error{
			Kind: KindInvalid, Code: CodeIssuerInvalid, Message: "the issuer is no https URL",
			Fix: "Give the URL of the page from which people sign in, such as https://app.example.com/accounts, or leave it out.",
		}
	}
	return nil
}

// plainURL reads an https URL as browsers and servers alike understand it: no user, no port, nothing but ASCII.
func plainURL(s string) (*url.URL, error) {
	if len(s) > 1024 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) {
		return nil, fmt.Errorf("a character that URLs do not have")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, err
	case u.Scheme != "https" || u.Host == "" || u.User != nil || u.Port() != "" || strings.HasSuffix(u.Host, ":") || u.Opaque != "":
		return nil, fmt.Errorf("not a plain https URL")
	}
	return u, nil
}
