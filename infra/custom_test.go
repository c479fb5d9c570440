package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rolecall/templates"
)

// A permission set of the platform's own goes into the template, and what functions must know of it into their environment.
func TestCustomPermissionsArePublished(t *testing.T) {
	custom := map[string]any{"title": "Cost data", "description": "reads bills and usage", "policy": "testdata/custom-policy.json"}
	dir := t.TempDir()
	stacks, err := synthesise(dir, "custom", map[string]any{keyCustom: custom})
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for name, f := range stacks["Rolecall"].ofType("AWS::Lambda::Function") {
		environment, _ := f.Properties["Environment"].(map[string]any)
		variables, _ := environment["Variables"].(map[string]any)
		if text, ok := variables[envCustom].(string); ok {
			told = append(told, name)
			// With the longest set that functions are told of, and names as long as AWS makes them, there is room in Lambda's 4 KB.
			size := 2_000 - len(text)
			for k, v := range variables {
				size += len(k) + len(flat(v)) + 40*strings.Count(flat(v), "${")
			}
			if size > 4096 {
				t.Errorf("%s has %d bytes of variables", name, size)
			}
			m, err := templates.Offered(text)
			if err != nil || m.Sets[len(m.Sets)-1].Title != "Cost data" {
				t.Errorf("%s is told %s: %v", name, text, err)
			}
		}
		if strings.Contains(flat(home().ofType("AWS::Lambda::Function")[name].Properties), envCustom) {
			t.Errorf("%s is told of a set that is not there", name)
		}
	}
	slices.Sort(told)
	if want := []string{"ApiFunction", "BrokerFunction", "CallbackFunction", "VerifyFunction"}; !slices.Equal(told, want) {
		t.Errorf("told: %v, want %v", told, want)
	}
	if published := stacks["Rolecall"].ofType(publishedType)["PublishedCustomPolicy"].Properties; !strings.HasPrefix(flat(published["Key"]), "permissions/custom-") {
		t.Errorf("the policy is not published: %v", published)
	}
	files, err := filepath.Glob(filepath.Join(dir, "custom", "asset.*.yaml"))
	if err != nil || len(files) != 2 { // for an account, and for an organization
		t.Fatal(files, err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"PolicyName: RolecallCustom", `"ce:GetCostAndUsage"`, "custom reads bills and usage"} {
			if !strings.Contains(string(body), want) {
				t.Errorf("%s does not hold %s", filepath.Base(file), want)
			}
		}
	}
}
