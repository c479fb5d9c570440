package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"
)

var update = flag.Bool("update", false, "write the golden files")

// assembly is what the one synthesis of this test binary made: of cdk.json's defaults, with functions that hold nothing.
var assembly struct {
	dir     string
	stacks  map[string]template
	hooked  map[string]template // the same with a webhook
	rotated map[string]template // the same with a second MAC key
}

type template struct {
	Resources map[string]resource
	Outputs   map[string]struct{ Value any }
}

type resource struct {
	Type                string
	Properties          map[string]any
	Metadata            map[string]any
	DependsOn           any
	DeletionPolicy      string
	UpdateReplacePolicy string
}

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := withAssembly(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	jsii.Close()
	os.Exit(code)
}

func withAssembly(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "rolecall-infra-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// CDK's own check of the templates is slow and stands for cfn-lint where that is not installed.
	if err := os.Setenv("CDK_VALIDATION", "true"); err != nil {
		return 0, err
	}

	if assembly.stacks, err = synthesise(dir, "out", nil); err != nil {
		return 0, err
	}
	assembly.dir = filepath.Join(dir, "out")
	if assembly.hooked, err = synthesise(dir, hookedDir, map[string]any{keyWebhookEndpoint: "https://hooks.example.com/rolecall"}); err != nil {
		return 0, err
	}
	if assembly.rotated, err = synthesise(dir, "rotated", map[string]any{keyMACKeys: "2,1"}); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// hookedDir is the folder, beside assembly.dir, of the assembly with a webhook.
const hookedDir = "hooked"

func synthesise(dir, out string, more map[string]any) (map[string]template, error) {
	functions := filepath.Join(dir, "functions")
	for _, name := range append(functionNames(), fnWebhook) {
		if err := writeBootstrap(functions, name); err != nil {
			return nil, err
		}
	}
	context, err := readContext(filepath.Join("..", "cdk.json"))
	if err != nil {
		return nil, err
	}
	maps.Copy(context, more)
	context[keyFunctionsDir] = functions
	if context[keyConsoleDir], err = writeConsole(dir); err != nil {
		return nil, err
	}
	context[keyCORSOrigins] = []any{"https://app.example.com"}
	out = filepath.Join(dir, out)
	app := awscdk.NewApp(&awscdk.AppProps{
		AnalyticsReporting: jsii.Bool(false), TreeMetadata: jsii.Bool(false), Context: &context, Outdir: jsii.String(out),
	})
	cfg, err := loadConfig(contextOf(app), func(string) string { return "" })
	if err != nil {
		return nil, err
	}
	if err := build(app, cfg); err != nil {
		return nil, err
	}
	awscdk.Aspects_Of(app).Add(cdknag.NewAwsSolutionsChecks(&cdknag.NagPackProps{Verbose: jsii.Bool(true)}), nil)
	app.Synth(nil)
	return readTemplates(out)
}

func writeBootstrap(dir, name string) error {
	if err := os.MkdirAll(filepath.Join(dir, name), 0o750); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name, "bootstrap"), []byte(name), 0o600)
}

// writeConsole makes a console that holds next to nothing.
func writeConsole(dir string) (string, error) {
	dir = filepath.Join(dir, "web")
	for _, file := range []string{"index.html", "rolecall-connect.js", "assets/index-1.js"} {
		path := filepath.Join(dir, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func readTemplates(dir string) (map[string]template, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.template.json"))
	if err != nil || len(files) == 0 {
		return nil, errors.Join(err, errors.New("nothing was synthesised"))
	}
	stacks := map[string]template{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var t template
		if err := json.Unmarshal(text, &t); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		stacks[strings.TrimSuffix(filepath.Base(file), ".template.json")] = t
	}
	return stacks, nil
}

// home is the home stack's template.
func home() template { return assembly.stacks["Rolecall"] }

// topics are the topic stacks' templates by Region.
func topics() map[string]template {
	all := map[string]template{}
	for name, t := range assembly.stacks {
		if region, ok := strings.CutPrefix(name, "RolecallTopic-"); ok {
			all[region] = t
		}
	}
	return all
}

// ofType are the resources of a type by a readable name.
func (t template) ofType(kind string) map[string]resource {
	found := map[string]resource{}
	for id, r := range t.Resources {
		if r.Type == kind {
			found[readable(id)] = r
		}
	}
	return found
}

// one is the only resource of a type with that readable name.
func (t template) one(test *testing.T, kind, name string) resource {
	test.Helper()
	r, ok := t.ofType(kind)[name]
	if !ok {
		test.Fatalf("no %s %s", kind, name)
	}
	return r
}

var hashRE = regexp.MustCompile(`^(.*[a-z])[0-9A-F]{8}$`)

// readable is a logical id without CDK's hash.
func readable(id string) string {
	if m := hashRE.FindStringSubmatch(id); m != nil {
		return m[1]
	}
	return id
}

// flat writes a value as one string; references are ${Resource} and ${Resource.Attribute}.
func flat(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		parts := make([]string, 0, len(v))
		for _, item := range v {
			parts = append(parts, flat(item))
		}
		return strings.Join(parts, ",")
	case map[string]any:
		if ref, ok := v["Ref"].(string); ok {
			return "${" + readable(ref) + "}"
		}
		if att, ok := v["Fn::GetAtt"].([]any); ok {
			return "${" + readable(flat(att[0])) + "." + flat(att[1]) + "}"
		}
		if join, ok := v["Fn::Join"].([]any); ok {
			parts := make([]string, 0, len(join[1].([]any)))
			for _, item := range join[1].([]any) {
				parts = append(parts, flat(item))
			}
			return strings.Join(parts, flat(join[0]))
		}
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for i, k := range keys {
			keys[i] = k + "=" + flat(v[k])
		}
		return strings.Join(keys, " ")
	default:
		return fmt.Sprint(v)
	}
}

// list makes a list of what IAM lets be one value or several.
func list(v any) []any {
	if items, ok := v.([]any); ok {
		return items
	}
	if v == nil {
		return nil
	}
	return []any{v}
}

// golden compares with a file of testdata, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) == got {
		return
	}
	before, after := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for _, line := range before {
		if !slices.Contains(after, line) {
			t.Errorf("gone:  %s", line)
		}
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			t.Errorf("fresh: %s", line)
		}
	}
	t.Errorf("%s differs; `go test ./infra -update` accepts it", file)
}
