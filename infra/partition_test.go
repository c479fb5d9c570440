package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// principals are AWS's own services, which are called the same in every partition.
var principals = regexp.MustCompile(`"[a-z]+(\.[a-z0-9-]+)?\.amazonaws\.com"`)

// The CDK app for each partition: no ARN, no host and no template of another one. The laptop's assembly is of aws.
func TestEveryPartitionIsSynthesised(t *testing.T) {
	for home, p := range map[string]struct{ partition, other string }{
		"us-gov-west-1": {"aws-us-gov", "us-gov-east-1"},
		"cn-north-1":    {"aws-cn", "cn-northwest-1"},
	} {
		t.Run(p.partition, func(t *testing.T) {
			stacks := inPartition(t, home, p.other)
			if len(stacks) != 3 {
				t.Fatalf("%d stacks", len(stacks))
			}
			for name, s := range stacks {
				text := written(t, s)
				for _, arn := range regexp.MustCompile(`arn:aws[a-z-]*:`).FindAllString(text, -1) {
					if arn != "arn:"+p.partition+":" {
						t.Errorf("%s names %s", name, around(text, arn))
					}
				}
				hosts := principals.ReplaceAllString(text, "")
				if i := strings.Index(hosts, "amazonaws.com"); i >= 0 {
					t.Errorf("%s names a host of another partition, or one that is written out: %s", name, hosts[max(0, i-60):min(len(hosts), i+40)])
				}
			}
			api := stacks["Rolecall"].one(t, "AWS::Lambda::Function", "ApiFunction")
			env, _ := api.Properties["Environment"].(map[string]any)["Variables"].(map[string]any)
			if env[envPartition] != p.partition || env[envRegions] != home+","+p.other {
				t.Errorf("the functions are told %v, %v", env[envPartition], env[envRegions])
			}
			if url := flat(env[envTemplateURL]); !strings.HasPrefix(url, "https://${Templates.RegionalDomainName}/connection/") {
				t.Errorf("the template is at %s", url)
			}
			assume := onRoles(t, stacks["Rolecall"])
			for _, want := range []string{"Allow arn:" + p.partition + ":iam::*:role/*", "Deny arn:" + p.partition + ":iam::111111111111:role/*"} {
				if strings.Count(assume, want) != 2 { // broker and verify
					t.Errorf("%q is not said twice:\n%s", want, assume)
				}
			}
		})
	}
}

// inPartition synthesises the app for Regions, home first.
func inPartition(t *testing.T, regions ...string) map[string]template {
	t.Helper()
	dir := t.TempDir()
	stacks, err := synthesise(dir, "out", map[string]any{keyHomeRegion: regions[0], keyRegions: strings.Join(regions, ",")})
	if err != nil {
		t.Fatal(err)
	}
	if err := assets(filepath.Join(dir, "out"), partitionOf(regions[0])); err != nil {
		t.Error(err)
	}
	// CDK knows which types there are in each Region, and reports the others.
	report, err := os.ReadFile(filepath.Join(dir, "out", "validation-report.json"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(report), "\n") {
		if strings.Contains(line, "does not exist in") {
			t.Error(strings.TrimSpace(line))
		}
	}
	return stacks
}

// assets says whether the customers' templates lie in the assembly: for an account and, where there are stack sets of
// whole organizations, for an organization.
func assets(out, partition string) error {
	want := 2
	if partition == "aws-cn" {
		want = 1
	}
	files, err := filepath.Glob(filepath.Join(out, "asset.*.yaml"))
	if err != nil || len(files) != want {
		return fmt.Errorf("customers' templates %v, not %d: %w", files, want, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && !strings.Contains(string(text), "arn:${AWS::Partition}:iam::111111111111:root") {
			err = fmt.Errorf("%s names no platform of the stack's own partition", file)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func written(t *testing.T, s template) string {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func around(text, at string) string {
	i := strings.Index(text, at)
	return text[max(0, i-60):min(len(text), i+60)]
}

// onRoles are the statements on AssumeRole, as text.
func onRoles(t *testing.T, s template) string {
	t.Helper()
	var out []string
	for _, r := range s.ofType("AWS::IAM::Role") {
		for _, policy := range list(r.Properties["Policies"]) {
			for _, st := range list(policy.(map[string]any)["PolicyDocument"].(map[string]any)["Statement"]) {
				statement := st.(map[string]any)
				if slices.Contains(list(statement["Action"]), any("sts:AssumeRole")) {
					out = append(out, flat(statement["Effect"])+" "+flat(statement["Resource"])+flat(statement["NotResource"]))
				}
			}
		}
	}
	return strings.Join(out, "\n")
}
