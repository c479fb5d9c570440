package connect_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

// asked tells a recipe's order apart.
type asked struct{ arns []string }

func (a asked) Role(o connect.RoleOrder) connect.RoleRecipe {
	return connect.RoleRecipe{PolicyARNs: a.arns, CLI: "in " + string(o.Region), Terraform: o.TrustPolicy}
}

func (asked) Stack(l connect.LaunchLink) string { return "in " + string(l.Region) }

// Each row is a deployment in one partition: what it shows to customers must be of that partition throughout, and what
// belongs to another one it must not take.
func TestEveryPartitionOfItsOwn(t *testing.T) {
	tests := []struct {
		partition         connect.Partition
		regions           []connect.Region
		quick, role       string // where the links lead
		stranger, foreign string // a Region and a role of another partition
	}{
		{
			connect.PartitionAWS,
			[]connect.Region{"eu-west-1", "us-east-1"},
			"https://us-east-1.console.aws.amazon.com/cloudformation/home?region=us-east-1#/stacks/quickcreate?", "https://console.aws.amazon.com/iam/home#/roles/create?",
			"cn-north-1", "arn:aws-us-gov:iam::222222222222:role/R",
		},
		{
			connect.PartitionGov,
			[]connect.Region{"us-gov-west-1", "us-gov-east-1"},
			"https://console.amazonaws-us-gov.com/cloudformation/home?region=us-gov-east-1#/stacks/quickcreate?", "https://console.amazonaws-us-gov.com/iam/home#/roles/create?",
			"us-east-1", "arn:aws:iam::222222222222:role/R",
		},
		{
			connect.PartitionChina,
			[]connect.Region{"cn-north-1", "cn-northwest-1"},
			"https://console.amazonaws.cn/cloudformation/home?region=cn-northwest-1#/stacks/quickcreate?", "https://console.amazonaws.cn/iam/home#/roles/create?",
			"us-gov-west-1", "arn:aws:iam::222222222222:role/R",
		},
	}
	for _, tt := range tests {
		t.Run(string(tt.partition), func(t *testing.T) {
			policy := "arn:" + string(tt.partition) + ":iam::aws:policy/ReadOnlyAccess"
			p := connect.Platform{Partition: tt.partition, Account: platformAccount}
			d := connect.Deployment{
				Platform: p, Regions: tt.regions, Recipes: asked{[]string{policy}},
				TemplateURL: "https://b.s3." + string(tt.regions[0]) + "." + tt.partition.DNSSuffix() + "/connection/1.yaml",
				Permissions: []connect.PermissionSet{{Name: "read-only"}}, CheckInterval: 24 * time.Hour,
			}
			u := connect.Connections{Store: storetest.New(), Deployment: d, Clock: func() time.Time { return noon }, Random: rand.Reader}
			c, err := u.Create(t.Context(), connect.CreateRequest{Filter: connect.Unrestricted(), Tenant: "acme", By: "ada", Name: "one", DefaultRegion: string(tt.regions[1])})
			if err != nil {
				t.Fatal(err)
			}
			link, err := d.Link(t.Context(), tokens{}, c, noon)
			if err != nil || link == nil {
				t.Fatal(link, err)
			}
			if !strings.HasPrefix(link.QuickCreateURL, tt.quick) || !strings.HasPrefix(link.CreateRoleURL, tt.role) {
				t.Errorf("links\n%s\n%s", link.QuickCreateURL, link.CreateRoleURL)
			}
			if want := "in " + string(tt.regions[1]); link.CLI != want || link.CLIStack != want {
				t.Errorf("commands %q, %q", link.CLI, link.CLIStack)
			}
			_, query, _ := strings.Cut(link.CreateRoleURL, "?")
			q, err := url.ParseQuery(query)
			want := url.Values{
				"step": {"type"}, "trustedEntityType": {"AWS_ACCOUNT"}, "awsAccount": {platformAccount}, "isThirdParty": {"true"},
				"externalId": {string(c.Snapshot().ExternalID)}, "policies": {policy},
			}
			if diff := cmp.Diff(want, q); diff != "" || err != nil {
				t.Error(diff, err)
			}
			for _, arn := range arnsIn(link.TrustPolicy) {
				if !strings.HasPrefix(arn, "arn:"+string(tt.partition)+":") {
					t.Errorf("the trust policy names %s", arn)
				}
			}

			_, err = u.Create(t.Context(), connect.CreateRequest{Filter: connect.Unrestricted(), Tenant: "acme", By: "ada", Name: "two", DefaultRegion: tt.stranger})
			if code(err) != connect.CodePartitionMismatch {
				t.Errorf("a Region of another partition: %v", err)
			}
			if _, err := c.ReportRole(role(t, tt.foreign), noon, "ada"); code(err) != connect.CodePartitionMismatch {
				t.Errorf("a role of another partition: %v", err)
			}
			own := strings.Replace(tt.foreign, tt.foreign[:strings.Index(tt.foreign, ":iam")], "arn:"+string(tt.partition), 1)
			if _, err := c.ReportRole(role(t, own), noon, "ada"); err != nil {
				t.Errorf("a role of its own: %v", err)
			}
		})
	}
}

func arnsIn(text string) (out []string) {
	for word := range strings.SplitSeq(text, `"`) {
		if strings.HasPrefix(word, "arn:") {
			out = append(out, word)
		}
	}
	return out
}

func code(err error) connect.Code {
	var e *connect.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// The trust policy that customers paste is exactly what check 5 asks for, in every partition.
func TestThePastedTrustPolicyIsExact(t *testing.T) {
	for _, partition := range []connect.Partition{connect.PartitionAWS, connect.PartitionGov, connect.PartitionChina} {
		p := connect.Platform{Partition: partition, Account: platformAccount}
		a := &account{assume: exact, trust: p.TrustPolicy(ourID)}
		v := verifier(a)
		v.Platform = p
		s := subject(t)
		s.RoleARN = role(t, "arn:"+string(partition)+":iam::"+customerAccount+":role/R")
		o := v.Verify(context.Background(), s)
		for _, k := range o.Checks {
			if k.Verdict != connect.Passed || k.Reason.Code != "" {
				t.Errorf("%s: %s %s %+v", partition, k.Name, k.Verdict, k.Reason)
			}
		}
		if !o.SessionTags {
			t.Errorf("%s: sessions may carry no tags", partition)
		}
	}
}
