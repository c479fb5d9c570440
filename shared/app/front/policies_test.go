package front

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"rolecall/shared/config"
	"rolecall/shared/connect"
	"rolecall/templates"
)

func ownSet(t *testing.T, actions string) templates.Set {
	t.Helper()
	s, err := templates.Custom("Cost data", "reads bills", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[`+actions+`],"Resource":"*"}]}`, "aws")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// bucket serves what lies under keys of the template bucket, as the laptop's endpoint does, and counts the requests.
func bucket(t *testing.T, objects map[string]string) (config.Config, *int) {
	t.Helper()
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		text, ok := objects[strings.TrimPrefix(r.URL.Path, "/templates-1/")]
		if !ok {
			w.WriteHeader(http.StatusForbidden)
		}
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(s.Close)
	return config.Config{Endpoint: s.URL, TemplateURL: "https://templates-1.s3.eu-west-1.amazonaws.com/connection/1-0.yaml", ModuleSHA256: strings.Repeat("a", 64)}, &asked
}

// What has changed in the platform's own policy is told from what was published, once read and then kept; what cannot be
// read, or is not what its name says, is no reason to say nothing.
func TestWhatThePlatformsOwnPolicyChanged(t *testing.T) {
	before, after := ownSet(t, `"ce:GetCostAndUsage"`), ownSet(t, `"ce:GetCostAndUsage","cur:DescribeReportDefinitions"`)
	forged := ownSet(t, `"ce:ListTagsForResource"`)
	c, asked := bucket(t, map[string]string{
		templates.PolicyKey(before.Digest): before.Policy, templates.PolicyKey(after.Digest): after.Policy, templates.PolicyKey(forged.Digest): before.Policy,
	})
	m, err := templates.Permissions()
	if err != nil {
		t.Fatal(err)
	}
	unshown := after
	unshown.Policy = "" // as where there was no room for it in a function's environment
	for name, set := range map[string]templates.Set{"told of the policy": after, "told of its name": unshown} {
		t.Run(name, func(t *testing.T) {
			d := Deployment(c, m.With(set))
			want := []string{"With custom, the platform may also call cur:DescribeReportDefinitions."}
			*asked = 0
			for range 3 {
				if got := d.Upgrades.Policy(t.Context(), before.Digest); !slices.Equal(got, want) {
					t.Errorf("%q", got)
				}
			}
			if limit := 2; *asked > limit {
				t.Errorf("asked %d times", *asked)
			}
			for _, digest := range []string{forged.Digest, "0000000000000000", "../connection"} {
				got := d.Upgrades.Policy(t.Context(), digest)
				if len(got) != 1 || !strings.Contains(got[0], "cannot be told just now") || !strings.Contains(got[0], after.Digest) {
					t.Errorf("%s: %q", digest, got)
				}
			}
			if got := d.Upgrades.Policy(t.Context(), ""); len(got) != 1 || !strings.Contains(got[0], "does not say") {
				t.Errorf("%q", got)
			}
			last := d.Permissions[len(d.Permissions)-1]
			if last.PolicyDigest != after.Digest || last.PolicyURL != "https://templates-1.s3.eu-west-1.amazonaws.com/"+templates.PolicyKey(after.Digest) {
				t.Errorf("%+v", last)
			}
			if d.TerraformModule.URL != "https://templates-1.s3.eu-west-1.amazonaws.com/"+templates.ModuleKey(c.ModuleSHA256) {
				t.Error(d.TerraformModule.URL)
			}
		})
	}
}

// However many digests customers make up, no more than so many are kept.
func TestKeptPoliciesAreBounded(t *testing.T) {
	objects := map[string]string{}
	for i := range 3 * maxPolicies {
		text := strings.Repeat("x", i+1)
		objects[templates.PolicyKey(templates.PolicyDigest(text))] = text
	}
	c, _ := bucket(t, objects)
	p := newPolicies(c)
	for _, text := range objects {
		if got, err := p.published(t.Context(), templates.PolicyDigest(text)); err != nil || got != text {
			t.Fatal(got, err)
		}
	}
	if len(p.kept) > maxPolicies {
		t.Errorf("%d are kept", len(p.kept))
	}
}

// The module holds the policy whatever its length, so its call is there where commands and resources are not.
func TestTheModuleIsOfferedWithEverySet(t *testing.T) {
	m, err := templates.Permissions()
	if err != nil {
		t.Fatal(err)
	}
	set := ownSet(t, `"ce:GetCostAndUsage"`)
	set.Policy = ""
	c, _ := bucket(t, nil)
	r := recipes{m.With(set), c}
	for name, want := range map[connect.Permissions]bool{"read-only": true, connect.PermissionsCustom: true, "gone": false} {
		got := r.Role(connect.RoleOrder{Permissions: name, Name: "rolecall-0-1", ExternalID: "rc-0", Platform: connect.Platform{Account: "111111111111"}})
		if (got.Module != "") != want || (got.Terraform != "") != (name == "read-only") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
