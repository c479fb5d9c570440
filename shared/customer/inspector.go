package customer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"rolecall/shared/connect"
)

// An Inspector asks EC2 one question and IAM two. It signs the requests itself with the SDK's signer: the SDK's EC2
// package alone would add more than a minute and 3 GB of memory to every build (see ARCHITECTURE.md).
type Inspector struct {
	HTTP  *http.Client
	Clock func() time.Time
	// Endpoint replaces every service's own; "" outside a laptop.
	Endpoint string
}

// maxAnswer bounds what is read of an answer; the longest, the simulator's, has about a kilobyte for each action.
const maxAnswer = 1 << 20

type regionsAnswer struct {
	XMLName xml.Name `xml:"DescribeRegionsResponse"`
	Regions []struct {
		Name  string `xml:"regionName"`
		OptIn string `xml:"optInStatus"`
	} `xml:"regionInfo>item"`
}

// Regions implements connect.Inspector. It asks in the given Region, for an organization may forbid others; where the account
// has not enabled that one, it asks in the Region of the partition that no account can do without.
func (i Inspector) Regions(ctx context.Context, c connect.Credentials, region connect.Region) ([]connect.Region, error) {
	regions, err := i.regions(ctx, c, region)
	if always := connect.Region(iamTarget(region.Partition()).region); errors.Is(err, errNotEnabled) && region != always {
		return i.regions(ctx, c, always)
	}
	return regions, err
}

func (i Inspector) regions(ctx context.Context, c connect.Credentials, region connect.Region) ([]connect.Region, error) {
	var answer regionsAnswer
	form := url.Values{"Action": {"DescribeRegions"}, "Version": {"2016-11-15"}}
	host := fmt.Sprintf("https://ec2.%s.%s", region, region.Partition().DNSSuffix())
	if err := i.query(ctx, c, target{"ec2", string(region), host}, form, &answer); err != nil {
		return nil, err
	}
	out := make([]connect.Region, 0, len(answer.Regions))
	for _, r := range answer.Regions {
		if parsed, err := connect.ParseRegion(r.Name); err == nil && r.OptIn != "not-opted-in" {
			out = append(out, parsed)
		}
	}
	if len(out) == 0 { // every account has Regions: who knows of none has not looked
		return nil, unavailable("DescribeRegions", errors.New("an answer without Regions"))
	}
	return out, nil
}

type roleAnswer struct {
	XMLName     xml.Name `xml:"GetRoleResponse"`
	TrustPolicy string   `xml:"GetRoleResult>Role>AssumeRolePolicyDocument"`
}

// TrustPolicy implements connect.Inspector.
func (i Inspector) TrustPolicy(
	ctx context.Context, c connect.Credentials, role connect.RoleARN, region connect.Region,
) (string, error) {
	var answer roleAnswer
	form := url.Values{"Action": {"GetRole"}, "Version": {"2010-05-08"}, "RoleName": {role.Name()}}
	if err := i.query(ctx, c, iamTarget(region.Partition()), form, &answer); err != nil {
		return "", err
	}
	// IAM encodes by RFC 3986, where a plus sign is a plus sign.
	document, err := url.PathUnescape(answer.TrustPolicy)
	if err != nil {
		return "", unavailable("GetRole", err)
	}
	if document == "" {
		return "", unavailable("GetRole", errors.New("an answer without a trust policy"))
	}
	return document, nil
}

type simulationAnswer struct {
	XMLName xml.Name           `xml:"SimulatePrincipalPolicyResponse"`
	Results []simulationResult `xml:"SimulatePrincipalPolicyResult>EvaluationResults>member"`
}

type simulationResult struct {
	Action       string   `xml:"EvalActionName"`
	Decision     string   `xml:"EvalDecision"`
	Unknown      []string `xml:"MissingContextValues>member"`
	Boundary     string   `xml:"PermissionsBoundaryDecisionDetail>AllowedByPermissionsBoundary"`
	Organization string   `xml:"OrganizationsDecisionDetail>AllowedByOrganizations"`
}

// ruling reads a result. The simulator evaluates without what it is not told, and names the keys that it missed; of an
// organization's policies it ignores or misreads conditions. A denial that may come of either is not held against the role.
func (r simulationResult) ruling() connect.Ruling {
	switch {
	case r.Decision == "allowed":
		return connect.RulingAllowed
	case len(r.Unknown) > 0 || r.Organization == "false":
		return connect.RulingUndecided
	case r.Decision != "implicitDeny" && r.Decision != "explicitDeny":
		return connect.RulingUndecided
	case r.Boundary == "false":
		return connect.RulingBounded
	case r.Decision == "explicitDeny":
		return connect.RulingForbidden
	default:
		return connect.RulingMissing
	}
}

// Permissions implements connect.Inspector. The Region is told to the simulator, since policies often ask for it and
// the simulator does not know; and the present as the time when the session was made, or the policy that denies a role's older
// sessions would leave every missing permission undecided.
func (i Inspector) Permissions(
	ctx context.Context, c connect.Credentials, role connect.RoleARN, region connect.Region, actions []string,
) ([]connect.ActionRuling, error) {
	form := url.Values{
		"Action": {"SimulatePrincipalPolicy"}, "Version": {"2010-05-08"}, "PolicySourceArn": {role.String()},
		"ContextEntries.member.1.ContextKeyName":            {"aws:RequestedRegion"},
		"ContextEntries.member.1.ContextKeyType":            {"string"},
		"ContextEntries.member.1.ContextKeyValues.member.1": {string(region)},
		"ContextEntries.member.2.ContextKeyName":            {"aws:TokenIssueTime"},
		"ContextEntries.member.2.ContextKeyType":            {"date"},
		"ContextEntries.member.2.ContextKeyValues.member.1": {i.Clock().UTC().Format(time.RFC3339)},
	}
	for n, action := range actions {
		form.Set(fmt.Sprintf("ActionNames.member.%d", n+1), action)
	}
	var answer simulationAnswer
	if err := i.query(ctx, c, iamTarget(region.Partition()), form, &answer); err != nil {
		return nil, err
	}
	if len(answer.Results) == 0 {
		return nil, unavailable("SimulatePrincipalPolicy", errors.New("an answer without results"))
	}
	out := make([]connect.ActionRuling, 0, len(answer.Results))
	for _, r := range answer.Results {
		out = append(out, connect.ActionRuling{Action: r.Action, Ruling: r.ruling()})
	}
	return out, nil
}

// A target is a service's endpoint, and how requests to it are signed.
type target struct{ service, region, url string }

// iamTarget is the partition's one IAM endpoint.
func iamTarget(p connect.Partition) target {
	switch p {
	case connect.PartitionGov:
		return target{"iam", "us-gov-west-1", "https://iam.us-gov.amazonaws.com"}
	case connect.PartitionChina:
		return target{"iam", "cn-north-1", "https://iam.cn-north-1.amazonaws.com.cn"}
	case connect.PartitionAWS:
	}
	return target{"iam", "us-east-1", "https://iam.amazonaws.com"}
}

func (i Inspector) query(ctx context.Context, c connect.Credentials, t target, form url.Values, answer any) error {
	operation := form.Get("Action")
	req, err := i.signed(ctx, c, t, form)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	resp, err := i.HTTP.Do(req)
	if err != nil {
		return unavailable(operation, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return unavailable(operation, fmt.Errorf("an answer broken off: %w", err))
	}
	if resp.StatusCode != http.StatusOK {
		return answerError(operation, resp.StatusCode, body)
	}
	if err := xml.Unmarshal(body, answer); err != nil {
		return unavailable(operation, fmt.Errorf("an answer that cannot be read: %w", err))
	}
	return nil
}

func (i Inspector) signed(ctx context.Context, c connect.Credentials, t target, form url.Values) (*http.Request, error) {
	if i.Endpoint != "" {
		t.url = i.Endpoint
	}
	body := []byte(form.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	hash := sha256.Sum256(body)
	creds := aws.Credentials{
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey.Reveal(), SessionToken: c.SessionToken.Reveal(),
	}
	return req, v4.NewSigner().SignHTTP(ctx, creds, req, hex.EncodeToString(hash[:]), t.service, t.region, i.Clock())
}

// errNotEnabled is how EC2 answers in a Region that the account has not enabled: credentials are not known there.
var errNotEnabled = errors.New("the credentials are not taken in this Region")

// answerError reads the error shapes of IAM (ErrorResponse) and EC2 (Response).
func answerError(operation string, status int, body []byte) error {
	var e struct {
		IAM string `xml:"Error>Code"`
		EC2 string `xml:"Errors>Error>Code"`
	}
	if err := xml.Unmarshal(body, &e); err == nil && (isDenial(e.IAM) || isDenial(e.EC2)) {
		return denied(operation)
	}
	if e.IAM == "NoSuchEntity" {
		return unavailable(operation, errNoSuchEntity)
	}
	if e.EC2 == "AuthFailure" || e.EC2 == "OptInRequired" {
		return unavailable(operation, fmt.Errorf("%w: %s (status %d)", errNotEnabled, e.EC2, status))
	}
	return unavailable(operation, fmt.Errorf("%s%s (status %d)", e.IAM, e.EC2, status))
}
