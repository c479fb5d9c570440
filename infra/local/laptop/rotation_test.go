package laptop_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// This laptop's MAC key has been rotated once: new links bear the second key's tokens, those from before the first one's.
func TestLinksFromBeforeARotation(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-rotation")
	for what, tt := range map[string]struct {
		token  func(c connection) string
		status types.StackStatus
		ends   string
	}{
		"a new link":         {func(c connection) string { return c.Launch.Parameters["CallbackToken"] }, types.StackStatusCreateComplete, "enabled"},
		"a link from before": {func(c connection) string { return tokenFromBefore(t, c.ID) }, types.StackStatusCreateComplete, "enabled"},
		"a key that is not here": {func(c connection) string {
			return strings.Replace(c.Launch.Parameters["CallbackToken"], ".2.", ".3.", 1)
		}, types.StackStatusRollbackComplete, "pending"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			c := acme.create(what)
			if token := c.Launch.Parameters["CallbackToken"]; !regexp.MustCompile(`^1\.2\.[A-Za-z0-9_-]{43}$`).MatchString(token) {
				t.Fatalf("the new link's token does not name the second key: %s", token[:4])
			}
			c.Launch.Parameters["CallbackToken"] = tt.token(c)
			theirs := customer{t, newAccount(), c.Launch.Region}
			theirs.launch(c, nil)
			theirs.await(c.Launch.StackName, tt.status, 60*time.Second)
			if got := acme.get(c.ID); got.Status != tt.ends {
				t.Errorf("%s: %v", got.Status, theirs.reasons(c.Launch.StackName))
			}
			if tt.ends == "pending" && !strings.Contains(strings.Join(theirs.reasons(c.Launch.StackName), "\n"), "CALLBACK_TOKEN_INVALID") {
				t.Errorf("%v", theirs.reasons(c.Launch.StackName))
			}
		})
	}
}

// tokenFromBefore is the token of a connection's first launch as it was before the rotation. Nobody can make one any more: this
// gives the first key, as an administrator of the platform could, another policy for the time it takes.
func tokenFromBefore(t *testing.T, connectionID string) string {
	t.Helper()
	cfg := awsConfig("111111111111", "any", "", "eu-west-1")
	found, err := cloudformation.NewFromConfig(cfg).DescribeStackResource(t.Context(), &cloudformation.DescribeStackResourceInput{
		StackName: aws.String("Rolecall"), LogicalResourceId: aws.String("MacKey790F75A3"),
	})
	if err != nil {
		t.Fatal(err)
	}
	keys, key := kms.NewFromConfig(cfg), found.StackResourceDetail.PhysicalResourceId
	generate := func() (*kms.GenerateMacOutput, error) {
		return keys.GenerateMac(t.Context(), &kms.GenerateMacInput{
			KeyId: key, MacAlgorithm: kmstypes.MacAlgorithmSpecHmacSha256, Message: fmt.Appendf(nil, "rolecall/callback/v1\n%s\n1", connectionID),
		})
	}
	if _, err := generate(); codeOf(err) != "AccessDeniedException" {
		t.Errorf("the platform's root makes callback tokens: %v", err)
	}
	was, err := keys.GetKeyPolicy(t.Context(), &kms.GetKeyPolicyInput{KeyId: key})
	if err != nil {
		t.Fatal(err)
	}
	put := func(policy string) {
		t.Helper()
		if _, err := keys.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: key, Policy: &policy}); err != nil {
			t.Fatal(err)
		}
	}
	put(widened(t, *was.Policy))
	defer put(*was.Policy)
	out, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	return "1." + base64.RawURLEncoding.EncodeToString(out.Mac)
}

// widened is a key's policy that gives the account GenerateMac, too.
func widened(t *testing.T, policy string) string {
	t.Helper()
	var document struct {
		Version   string
		Statement []any
	}
	if err := json.Unmarshal([]byte(policy), &document); err != nil {
		t.Fatal(err)
	}
	document.Statement = append(document.Statement, map[string]any{
		"Effect": "Allow", "Principal": map[string]any{"AWS": "arn:aws:iam::111111111111:root"}, "Action": "kms:GenerateMac", "Resource": "*",
	})
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A function that a key's policy does not name is refused, whatever its role says.
func TestAKeysPolicyIsAsked(t *testing.T) {
	acme := as(t, "acme-key-policy")
	cfg := awsConfig("111111111111", "any", "", "eu-west-1")
	found, err := cloudformation.NewFromConfig(cfg).DescribeStackResources(t.Context(), &cloudformation.DescribeStackResourcesInput{StackName: aws.String("Rolecall")})
	if err != nil {
		t.Fatal(err)
	}
	var key *string
	for _, r := range found.StackResources {
		if strings.HasPrefix(*r.LogicalResourceId, "Mac2Key") {
			key = r.PhysicalResourceId
		}
	}
	keys := kms.NewFromConfig(cfg)
	was, err := keys.GetKeyPolicy(t.Context(), &kms.GetKeyPolicyInput{KeyId: key})
	if err != nil {
		t.Fatal(err)
	}
	without := strings.ReplaceAll(*was.Policy, "role/rolecall-api-eu-west-1", "role/nobody")
	if without == *was.Policy {
		t.Fatal("the key's policy does not name the function")
	}
	launches := func(policy string) bool {
		t.Helper()
		if _, err := keys.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: key, Policy: &policy}); err != nil {
			t.Fatal(err)
		}
		var c connection
		acme.want(http.StatusCreated, "POST", "/v1/connections", fmt.Sprintf(`{"name":"Asked for %d"}`, time.Now().UnixNano())).into(t, &c)
		return c.Launch != nil
	}
	refused := !launches(without)
	if !launches(*was.Policy) || !refused {
		t.Errorf("without its statement the function is refused: %v; with it, it makes tokens again or not", refused)
	}
}
