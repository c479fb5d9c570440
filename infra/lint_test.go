package main

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// cdk-nag writes one report per stack, with a line for each rule and resource.
func TestNagFindsNothingUnjustified(t *testing.T) {
	nagFindsNothing(t, assembly.dir, assembly.stacks)
	nagFindsNothing(t, filepath.Join(assembly.dir, "..", hookedDir), assembly.hooked)
}

func nagFindsNothing(t *testing.T, dir string, stacks map[string]template) {
	t.Helper()
	checked, suppressed := 0, map[string]bool{}
	for stack := range stacks {
		rows := nagReport(t, dir, stack)
		for _, row := range rows[1:] {
			rule, path, verdict, reason := row[0], row[1], row[2], row[3]
			checked++
			switch verdict {
			case "Compliant", "N/A":
			case "Suppressed":
				suppressed[stack+" "+rule] = true
				if len(strings.Fields(reason)) < 8 {
					t.Errorf("%s %s: %q justifies nothing", path, rule, reason)
				}
			default:
				t.Errorf("%s %s: %s", path, rule, verdict)
			}
		}
	}
	if checked < 50 {
		t.Errorf("cdk-nag checked %d times: it did not run", checked)
	}
	for stack, tpl := range stacks {
		for id, r := range tpl.Resources {
			for _, rule := range suppressions(r) {
				if !suppressed[stack+" "+rule] {
					t.Errorf("%s %s suppresses %s, which finds nothing", stack, id, rule)
				}
			}
		}
	}
}

func nagReport(t *testing.T, dir, stack string) [][]string {
	t.Helper()
	file, err := os.Open(filepath.Join(dir, "AwsSolutions--"+stack+"-NagReport.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%s: %d rows, %v", stack, len(rows), err)
	}
	return rows
}

func suppressions(r resource) []string {
	nag, _ := r.Metadata["cdk_nag"].(map[string]any)
	var rules []string
	for _, rule := range list(nag["rules_to_suppress"]) {
		rules = append(rules, flat(rule.(map[string]any)["id"]))
	}
	return rules
}

// CDK checks the templates at synthesis; its report names what it found.
func TestCDKFindsNothing(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(assembly.dir, "validation-report.json"))
	if err != nil {
		t.Fatalf("CDK did not check: %v", err)
	}
	var report struct {
		PluginReports []struct {
			PluginName string
			Violations []json.RawMessage
		}
	}
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	for _, plugin := range report.PluginReports {
		for _, v := range plugin.Violations {
			t.Errorf("%s: %s", plugin.PluginName, v)
		}
	}
}

func TestCfnLint(t *testing.T) {
	lint, err := exec.LookPath("cfn-lint")
	if err != nil {
		t.Skip("cfn-lint is not installed")
	}
	args := []string{"--"}
	for stack := range assembly.stacks {
		args = append(args, filepath.Join(assembly.dir, stack+".template.json"), filepath.Join(assembly.dir, "..", hookedDir, stack+".template.json"))
	}
	if out, err := exec.CommandContext(t.Context(), lint, args...).CombinedOutput(); err != nil {
		t.Errorf("cfn-lint: %v\n%s", err, out)
	}
}
