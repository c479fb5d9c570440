package templates

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
	"pgregory.net/rapid"
)

func order() Order {
	return Order{
		Partition: "aws", Region: "eu-west-1", PlatformName: "Acme Cloud (EU)", PlatformAccount: "111111111111", ConnectionID: "conn_01jd0000000000000000000000",
		PermissionSet: "read-only", RoleName: "rolecall-0000000000-1",
		TrustPolicy: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},` +
			`"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"rc-0"}}}]}`,
	}
}

func recipe(t testing.TB, o Order) Recipe {
	t.Helper()
	m, err := Permissions()
	if err != nil {
		t.Fatal(err)
	}
	r, ok := m.ByHand(o)
	if !ok {
		t.Fatalf("no set %q", o.PermissionSet)
	}
	return r
}

func TestRecipesAreGolden(t *testing.T) {
	r := recipe(t, order())
	for name, got := range map[string]string{"byhand.golden.sh": r.CLI, "byhand.golden.tf": r.Terraform} {
		golden := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), got); d != "" {
			t.Errorf("%s changed (go test ./templates -update accepts it):\n%s", name, d)
		}
	}
}

func TestASetThatIsNotOfferedHasNoRecipe(t *testing.T) {
	m, err := Permissions()
	if err != nil {
		t.Fatal(err)
	}
	o := order()
	o.PermissionSet = "everything"
	if r, ok := m.ByHand(o); ok || r.CLI != "" || r.Terraform != "" {
		t.Errorf("%+v", r)
	}
}

// Whoever is to see less must never, not for a moment, see more.
func TestWhatIsTakenAwayComesBeforeWhatIsGranted(t *testing.T) {
	r := recipe(t, order())
	if deny, grant := strings.Index(r.CLI, "RolecallExceptions"), strings.Index(r.CLI, "attach-role-policy"); deny < 0 || grant < deny {
		t.Errorf("exceptions at %d, managed policy at %d", deny, grant)
	}
	if !strings.Contains(r.Terraform, "depends_on = [aws_iam_role_policy.rolecall_0000000000_1_exceptions, ") {
		t.Error("Terraform may attach the managed policy before its exceptions")
	}
}

func TestRecipesOfEveryPartitionAndSet(t *testing.T) {
	m, err := Permissions()
	if err != nil {
		t.Fatal(err)
	}
	for _, partition := range []string{"aws", "aws-us-gov", "aws-cn"} {
		for _, set := range m.Sets {
			o := order()
			o.Partition, o.PermissionSet = partition, set.Name
			o.TrustPolicy = strings.ReplaceAll(o.TrustPolicy, "arn:aws:", "arn:"+partition+":")
			r := recipe(t, o)
			for _, p := range set.ManagedPolicies {
				arn := "arn:" + partition + ":iam::aws:policy/" + p
				if !strings.Contains(r.CLI, "'"+arn+"'") || !strings.Contains(r.Terraform, `"`+arn+`"`) {
					t.Errorf("%s, %s: the recipes do not attach %s", partition, set.Name, arn)
				}
			}
			if partition != "aws" && strings.Contains(r.CLI+r.Terraform, "arn:aws:") {
				t.Errorf("%s, %s: an ARN of another partition", partition, set.Name)
			}
		}
	}
}

// strange is text that means something to a shell, to HCL or to JSON.
var strange = rapid.StringOf(rapid.OneOf(
	rapid.SampledFrom([]rune("'\"\\$`!#%{}()<>|&;*?~ \t\n\rJSONEOF-=")), rapid.Rune(),
)).Filter(func(s string) bool { return !strings.ContainsRune(s, 0) })

// Any text is one word to a shell, and comes out of it as it went in.
func TestShellQuotingKeepsEveryText(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal("bash is what the commands are for: ", err)
	}
	rapid.Check(t, func(r *rapid.T) {
		texts := rapid.SliceOfN(strange, 1, 50).Draw(r, "texts")
		quoted := make([]string, 0, len(texts))
		for _, s := range texts {
			quoted = append(quoted, shellQuote(s))
		}
		out, err := exec.CommandContext(t.Context(), bash, "-c", `printf '%s\0' `+strings.Join(quoted, " ")).Output()
		if err != nil {
			r.Fatal(err)
		}
		if d := cmp.Diff(texts, strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")); d != "" {
			r.Fatal(d)
		}
	})
}

// Whatever the platform is called, the commands run what they would run otherwise, and nothing else.
func TestNoNameBreaksOutOfTheCommands(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		o := order()
		o.PlatformName = strange.Draw(r, "platform")
		o.TrustPolicy = trustWith(strange.Draw(r, "condition"))
		calls := run(t, recipe(t, o).CLI)
		if len(calls) != 4 || calls[0][1] != "create-role" || calls[3][1] != "attach-role-policy" {
			r.Fatalf("calls %q", calls)
		}
		if got, want := option(calls[0], "--description"), "Lets "+o.PlatformName+" (account 111111111111) in with read-only permissions - "+o.ConnectionID; got != want {
			r.Fatalf("description %q, want %q", got, want)
		}
		if got := option(calls[0], "--assume-role-policy-document"); got != o.TrustPolicy {
			r.Fatalf("trust policy %s, want %s", got, o.TrustPolicy)
		}
		if got := option(calls[2], "--policy-document"); !strings.Contains(got, `"Resource":"arn:made"`) || !json.Valid([]byte(got)) {
			r.Fatalf("verification policy %s", got)
		}
	})
}

func trustWith(value string) string {
	text, _ := json.Marshal(map[string]any{"Statement": []any{map[string]string{"value": value}}}) // texts always encode
	return string(text)
}

// run gives the commands to bash with an aws that writes down what it was called with, and answers with an ARN.
func run(t *testing.T, commands string) [][]string {
	t.Helper()
	record := filepath.Join(t.TempDir(), "calls")
	script := "aws() { printf '%s\\0' \"$@\" >>" + shellQuote(record) + "; printf '\\n\\0' >>" + shellQuote(record) + "; echo arn:made; }\n"
	if out, err := exec.CommandContext(t.Context(), "bash", "-c", script+commands).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	var calls [][]string
	for _, call := range strings.Split(strings.TrimSuffix(string(text), "\x00\n\x00"), "\x00\n\x00") {
		calls = append(calls, strings.Split(call, "\x00"))
	}
	return calls
}

func option(call []string, name string) string {
	for i := range call[:len(call)-1] {
		if call[i] == name {
			return call[i+1]
		}
	}
	return ""
}

func TestStackCommandSaysWhatTheLinkSays(t *testing.T) {
	o := StackOrder{
		Region: "eu-west-1", Name: "rolecall-1", TemplateURL: "https://b.s3.eu-west-1.amazonaws.com/connection/1.yaml",
		Parameters: []Parameter{{"CallbackToken", "1.a'b,c=d"}, {"ExternalId", "rc-0"}},
	}
	calls := run(t, o.CLI())
	if len(calls) != 2 {
		t.Fatalf("%q", calls)
	}
	want := []string{
		"cloudformation", "create-stack", "--region", "eu-west-1", "--stack-name", "rolecall-1",
		"--template-url", o.TemplateURL, "--capabilities", "CAPABILITY_NAMED_IAM",
		"--parameters", `[{"ParameterKey":"CallbackToken","ParameterValue":"1.a'b,c=d"},{"ParameterKey":"ExternalId","ParameterValue":"rc-0"}]`,
	}
	if d := cmp.Diff(want, calls[0]); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"cloudformation", "wait", "stack-create-complete", "--region", "eu-west-1", "--stack-name", "rolecall-1"}, calls[1]); d != "" {
		t.Error(d)
	}
}

// Whatever the platform is called, Terraform reads the text itself and no template in it.
func TestNoNameBreaksOutOfTheConfiguration(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		o := order()
		o.PlatformName = strings.ToValidUTF8(strange.Draw(r, "platform"), "")
		condition := strange.Draw(r, "condition")
		o.TrustPolicy = trustWith(condition)
		file, diags := hclsyntax.ParseConfig([]byte(recipe(t, o).Terraform), "x.tf", hcl.InitialPos)
		if diags.HasErrors() {
			r.Fatal(diags)
		}
		role := file.Body.(*hclsyntax.Body).Blocks[0].Body.Attributes
		if got := evaluated(r, role["description"]); got != cty.NormalizeString("Lets "+o.PlatformName+" (account 111111111111) in with read-only permissions - "+o.ConnectionID) {
			r.Fatalf("description %q", got)
		}
		var got, want any
		if err := json.Unmarshal([]byte(evaluated(r, role["assume_role_policy"])), &got); err != nil {
			r.Fatal(err)
		}
		if err := json.Unmarshal([]byte(o.TrustPolicy), &want); err != nil {
			r.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			r.Fatal(d)
		}
	})
}

func evaluated(r *rapid.T, a *hclsyntax.Attribute) string {
	v, diags := a.Expr.Value(nil)
	if diags.HasErrors() {
		r.Fatal(diags)
	}
	return v.AsString()
}

func TestConfigurationIsFormatted(t *testing.T) {
	text := recipe(t, order()).Terraform
	if d := cmp.Diff(string(hclwrite.Format([]byte(text))), text); d != "" {
		t.Errorf("(-formatted +written):\n%s", d)
	}
}
