package laptop_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// provider is Terraform and the folder that holds its AWS provider, where a machine has both: a plug-in cache, a mirror that
// Terraform's own configuration names, or one of the places where Terraform looks by itself. Nothing is downloaded.
func provider(t *testing.T) (terraform, plugins string) {
	t.Helper()
	const instead = "configuration and module are evaluated in TestEveryMethodAndOutcome and TestEveryToolMakesTheRoleOfTheTemplate, but Terraform itself has applied nothing here"
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is not installed: ", instead)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	places := append(configured(home), os.Getenv("TF_PLUGIN_CACHE_DIR"), filepath.Join(home, ".terraform.d", "plugins"),
		"/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins")
	for _, dir := range places {
		platform := runtime.GOOS + "_" + runtime.GOARCH
		for _, form := range []string{"*/" + platform, "*_" + platform + ".zip"} {
			found, err := filepath.Glob(filepath.Join(dir, "registry.terraform.io", "hashicorp", "aws", form))
			if dir != "" && err == nil && len(found) > 0 {
				return terraform, dir
			}
		}
	}
	t.Skip("the AWS provider is neither in TF_PLUGIN_CACHE_DIR nor in a place that Terraform's configuration names: ", instead)
	return "", ""
}

var pathRE = regexp.MustCompile(`(?m)^\s*(?:path|plugin_cache_dir)\s*=\s*"([^"]+)"`)

// configured are the folders that Terraform's configuration names.
func configured(home string) (out []string) {
	file := os.Getenv("TF_CLI_CONFIG_FILE")
	if file == "" {
		file = filepath.Join(home, ".terraformrc")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil // most have none
	}
	for _, m := range pathRE.FindAllSubmatch(text, -1) {
		out = append(out, os.ExpandEnv(string(m[1])))
	}
	return out
}

// Terraform itself, with the AWS provider, applies what customers get, snippet and module beside each other; a second plan
// finds nothing to do; both connections go enabled; destroy leaves nothing.
func TestTerraformItself(t *testing.T) {
	terraform, plugins := provider(t)
	t.Parallel()
	account := newAccount()
	acme := as(t, "acme-terraform")
	bySnippet, byModule := acme.create("by the snippet"), acme.create("by the module")
	source, err := filepath.Abs(filepath.Join("..", "..", "..", "templates", "terraform"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"provider.tf": "provider \"aws\" {\n  region = \"eu-west-1\"\n  access_key = \"" + account + "\"\n  secret_key = \"any\"\n" +
			"  skip_credentials_validation = true\n  skip_metadata_api_check = true\n  skip_requesting_account_id = true\n" +
			"  endpoints {\n    iam = \"" + pocket.AWSURL + "\"\n    sts = \"" + pocket.AWSURL + "\"\n  }\n}\n",
		"snippet.tf": bySnippet.Launch.Terraform,
		"module.tf": "module \"rolecall\" {\n  source = \"" + source + "\"\n  platform_account_id = \"111111111111\"\n  external_id = \"" + byModule.ExternalID +
			"\"\n  role_path = \"/vendors/\"\n  tags = { team = \"cloud\" }\n}\n\noutput \"module_arn\" {\n  value = module.rolecall.role_arn\n}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), terraform, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1", "TF_INPUT=0", "TF_CLI_ARGS=-no-color", "TF_PLUGIN_CACHE_DIR=")
		out, err := cmd.Output()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("terraform %s: %v\n%s%s", args[0], err, out, exit.Stderr)
		}
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	run("init", "-plugin-dir="+plugins)
	run("apply", "-auto-approve")
	run("plan", "-detailed-exitcode") // fails where something has drifted
	var outputs map[string]struct{ Value string }
	if err := json.Unmarshal(run("output", "-json"), &outputs); err != nil || len(outputs) != 2 {
		t.Fatalf("outputs %v: %v", outputs, err)
	}
	var roles []string
	for name, o := range outputs {
		c := bySnippet
		if name == "module_arn" {
			c = byModule
		}
		var got connection
		acme.want(http.StatusOK, "PUT", "/v1/connections/"+c.ID+"/role", `{"roleArn":"`+o.Value+`"}`).into(t, &got)
		if got.Status != "enabled" {
			t.Errorf("%s: %s", name, got.Status)
		}
		roles = append(roles, o.Value[strings.LastIndex(o.Value, "/")+1:])
	}
	run("destroy", "-auto-approve")
	for _, role := range roles {
		var gone *iamtypes.NoSuchEntityException
		if _, err := iamOf(account).GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String(role)}); !errors.As(err, &gone) {
			t.Errorf("%s after destroy: %v", role, err)
		}
	}
}
