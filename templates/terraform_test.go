package templates

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// The module's list of permissions is the manifest's, written out for Terraform.
func TestModulesPermissionSetsAreTheManifests(t *testing.T) {
	m, err := Permissions()
	if err != nil {
		t.Fatal(err)
	}
	got := m.forModule("Generated from permissions.json by go test ./templates -update.")
	file := filepath.Join("terraform", "permission_sets.json")
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (go test ./templates -update writes it):\n%s", file, d)
	}
}

// module is the module's own configuration, by file.
func module(t *testing.T) map[string]*hclsyntax.Body {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("terraform", "*.tf"))
	if err != nil || len(files) == 0 {
		t.Fatal("no module", err)
	}
	out := map[string]*hclsyntax.Body{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(hclwrite.Format(text)), string(text)); d != "" {
			t.Errorf("%s is not as terraform fmt writes it:\n%s", file, d)
		}
		parsed, diags := hclsyntax.ParseConfig(text, file, hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		out[filepath.Base(file)] = parsed.Body.(*hclsyntax.Body)
	}
	return out
}

// Every variable and output says what it is for, has a type, and stands in the README's table with its default.
func TestModuleIsDocumented(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("terraform", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	named, there := map[string]bool{}, map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(string(readme), -1) {
		named[m[1]] = true
	}
	for _, body := range module(t) {
		for _, b := range body.Blocks {
			if b.Type != "variable" && b.Type != "output" {
				continue
			}
			if b.Body.Attributes["description"] == nil || (b.Type == "variable" && b.Body.Attributes["type"] == nil) {
				t.Errorf("%s %s has no description, or no type", b.Type, b.Labels[0])
			}
			if !named[b.Labels[0]] {
				t.Errorf("terraform/README.md does not list %s %s", b.Type, b.Labels[0])
			}
			there[b.Labels[0]] = true
		}
	}
	for name := range named {
		if !there[name] {
			t.Errorf("terraform/README.md lists %s, which is not there", name)
		}
	}
}

// A revocation adds a policy that Terraform does not know: destroying the role must not fail by it.
func TestTerraformDestroysARevokedRole(t *testing.T) {
	snippet, diags := hclsyntax.ParseConfig([]byte(recipe(t, order()).Terraform), "snippet.tf", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	roles := 0
	for where, body := range map[string]*hclsyntax.Body{"module": module(t)["main.tf"], "snippet": snippet.Body.(*hclsyntax.Body)} {
		for _, b := range body.Blocks {
			if len(b.Labels) == 0 || b.Labels[0] != "aws_iam_role" {
				continue
			}
			roles++
			if forced := b.Body.Attributes["force_detach_policies"]; forced == nil {
				t.Errorf("%s: the role is not destroyed while it bears a policy of others", where)
			} else if v, diags := forced.Expr.Value(nil); diags.HasErrors() || !v.True() {
				t.Errorf("%s: force_detach_policies is %v", where, v)
			}
		}
	}
	if roles != 2 {
		t.Errorf("%d roles", roles)
	}
}

// A module within another configuration must not say where, or as whom, AWS is asked.
func TestModuleLeavesTheProviderToItsCaller(t *testing.T) {
	for file, body := range module(t) {
		for _, b := range body.Blocks {
			if b.Type == "provider" {
				t.Errorf("%s configures a provider", file)
			}
		}
	}
}

func TestTerraformFmt(t *testing.T) {
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is not installed; hclwrite has looked at the form")
	}
	snippet := filepath.Join(t.TempDir(), "snippet.tf")
	if err := os.WriteFile(snippet, []byte(recipe(t, order()).Terraform), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"terraform", filepath.Dir(snippet)} {
		out, err := exec.CommandContext(t.Context(), terraform, "fmt", "-check", "-diff", target).CombinedOutput()
		if err != nil {
			t.Errorf("terraform fmt %s: %v\n%s", target, err, out)
		}
	}
}

// The module's source must not name a permission either: the manifest does.
func TestManifestIsTheModulesOnlySource(t *testing.T) {
	m, err := Permissions()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("terraform", "main.tf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range m.Sets {
		for _, w := range append([]string{set.Name}, set.ManagedPolicies...) {
			if strings.Contains(string(text), w) {
				t.Errorf("main.tf repeats %q", w)
			}
		}
	}
}
