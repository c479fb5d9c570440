package templates

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What was released stays as it was, and what is current is the newest: whoever changes permissions.json gives it and the
// templates a new version that is [Unreleased], and copies it to manifests/<version>.json. Its line in SHA256SUMS comes with
// its release, and never before.
func TestManifestsArePublishedOnce(t *testing.T) {
	sums, err := os.ReadFile(filepath.Join("manifests", "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, v := range versions() {
		text, err := published.ReadFile("manifests/" + v + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(text); v != Unreleased {
			got.WriteString(hex.EncodeToString(sum[:]) + "  " + v + ".json\n")
		}
		m, err := publishedManifest(v)
		if err != nil || m.Version != v {
			t.Errorf("%s.json is version %q: %v", v, m.Version, err)
		}
	}
	if d := cmp.Diff(string(sums), got.String()); d != "" {
		t.Errorf("a released manifest was changed, or one has a line in SHA256SUMS that is not released: %s", d)
	}
	if Unreleased != "" && Unreleased != Version {
		t.Errorf("%s is unreleased, and yet %s has followed it", Unreleased, Version)
	}
	all := versions()
	if newest := all[len(all)-1]; newest != Version {
		t.Errorf("the template is of version %s, the newest manifest of %s", Version, newest)
	}
	current, err := published.ReadFile("manifests/" + Version + ".json")
	if err != nil || !bytes.Equal(current, permissionsSource) {
		t.Errorf("permissions.json is not the manifest that was published as %s: a change of it needs a new version", Version)
	}
}

// A stack may come back to the set of an older template, so what was ever a set's name stays one.
func TestSetsKeepTheirNames(t *testing.T) {
	now, err := Permissions()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range versions() {
		m, err := publishedManifest(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range m.Sets {
			if !slices.ContainsFunc(now.Sets, func(o Set) bool { return o.Name == s.Name }) {
				t.Errorf("%s of %s is no longer there", s.Name, v)
			}
		}
	}
}

func TestChangesBetweenVersions(t *testing.T) {
	simulate := Change{Text: "With every permission set, the platform may also call iam:SimulatePrincipalPolicy, on the role itself."}
	reports := Change{Text: "The stack also reports its external ID, permission set and permissions boundary. Nothing more is granted."}
	names := Change{Text: "The stack also reports which version of the permission set custom it has, where the platform has one. Nothing more is granted."}
	starts := Change{Text: "The stack tells the platform that it runs before it reports its role. Nothing more is granted."}
	revokes := Change{Text: "The role has one more inline policy, RolecallRevokedSessions, which denies nothing. " +
		"When the role's sessions are revoked, the platform or you overwrite its date. Nothing more is granted."}
	for _, c := range []struct {
		from, to string
		want     []Change
	}{
		{"1.0.0", "1.1.0", []Change{simulate}},
		{"1.1.0", "1.2.0", []Change{reports}},
		{"1.0.0", "1.2.0", []Change{simulate, reports}},
		{"1.2.0", "1.3.0", []Change{names}},
		{"1.0.0", "1.3.0", []Change{simulate, reports, names}},
		{"1.3.0", "1.4.0", []Change{starts, revokes}},
		{"1.0.0", "1.4.0", []Change{simulate, reports, names, starts, revokes}},
	} {
		got, ok := Changes(c.from, c.to)
		if d := cmp.Diff(c.want, got); d != "" || !ok {
			t.Errorf("%s to %s: %t %s", c.from, c.to, ok, d)
		}
	}
	for _, c := range [][2]string{
		{"1.2.0", "1.2.0"}, {"1.2.0", "1.1.0"}, {"", "1.2.0"}, {"0.9.0", "1.2.0"}, {"1.1.0", "9.0.0"}, {"1.1", "1.2.0"}, {"../1.1.0", "1.2.0"}, {"1.-1.0", "1.2.0"},
	} {
		if got, ok := Changes(c[0], c[1]); ok || got != nil {
			t.Errorf("%q to %q: %v", c[0], c[1], got)
		}
	}
}

func TestEveryKindOfChangeHasItsWords(t *testing.T) {
	var before, after Manifest
	for text, m := range map[string]*Manifest{
		`{"always":[{"actions":["iam:GetRole"],"resource":"role"},{"actions":["ec2:DescribeRegions","a:B"],"resource":"*"}],"sets":[
			{"name":"one","managedPolicies":["Old","Kept"],"deny":[{"actions":["s3:GetObject","sqs:ReceiveMessage"]}]},{"name":"gone"}]}`: &before,
		`{"always":[{"actions":["ec2:DescribeRegions"],"resource":"*"}],"sets":[
			{"name":"one","managedPolicies":["Kept","New"],"deny":[{"actions":["s3:GetObject"]},{"actions":["kms:Decrypt"]}]},{"name":"fresh","description":"does little"}]}`: &after,
	} {
		if err := json.Unmarshal([]byte(text), m); err != nil {
			t.Fatal(err)
		}
	}
	got := append(changesOf("", before.rights(), after.rights()), setChanges(before, after)...)
	want := []Change{
		{"", "With every permission set, the platform may no longer call a:B."},
		{"", "With every permission set, the platform may no longer call iam:GetRole, on the role itself."},
		{"one", "With one, the platform also has AWS's managed policy New."},
		{"one", "With one, the platform no longer has AWS's managed policy Old."},
		{"one", "With one, the platform is also denied kms:Decrypt."},
		{"one", "With one, the platform is no longer denied sqs:ReceiveMessage."},
		{"", "There is a new permission set, fresh, which does little."},
		{"gone", "The permission set gone is no longer there."},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestVersionsAreNumbers(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"1.2.0", "1.1.9", true}, {"1.10.0", "1.9.0", true}, {"2.0.0", "1.99.99", true}, {"1.2.0", "1.2.0", false}, {"1.1.0", "1.2.0", false}, {"1.2.0", "", false}, {"x", "1.0.0", false}} {
		if newer(c.a, c.b) != c.want {
			t.Errorf("%q newer than %q: %t", c.a, c.b, !c.want)
		}
	}
}

// The command keeps every parameter that the template has, and names none that it has not.
func TestUpdatesKeepTheParameters(t *testing.T) {
	cli := UpdateCLI("eu-west-1", "arn:stack/it's", "https://t.example/x.yaml")
	doc := parse(t, render(t).Body)
	count := 0
	for name := range at(t, doc, "Parameters").(map[string]any) {
		count++
		if !strings.Contains(cli, `{"ParameterKey":"`+name+`","UsePreviousValue":true}`) {
			t.Errorf("%s is not kept", name)
		}
	}
	if strings.Count(cli, "ParameterKey") != count || !strings.Contains(cli, `--stack-name 'arn:stack/it'\''s'`) {
		t.Error(cli)
	}
}
