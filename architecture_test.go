// Package rolecall_test holds what is true of the whole module and belongs to no single package: who may import whom.
package rolecall_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "rolecall"

// variants are the builds that exist: for AWS, and for the laptop.
var variants = []string{"lambda.norpc", "lambda.norpc,laptop"}

// A rule says what the packages of one tree may import. Trees name folders from the top of the module; the longest tree
// that holds a package gives its rule. Every package may import its own tree.
type rule struct {
	tree  string
	ours  []string // trees of this module
	tests []string // trees of this module that tests may import beyond ours
	// foreign are module or package paths beyond the standard library; nil means any. Tests are free of this one: they
	// compare and generate with what they like.
	foreign []string
}

// nothing is the foreign list of packages that the standard library must suffice.
var nothing = []string{}

// rules are DESIGN's import rules, as ARCHITECTURE.md tells them.
var rules = []rule{
	{tree: ".", foreign: nothing},
	{tree: "shared/connect", foreign: []string{"golang.org/x/text/unicode/norm"}, tests: []string{storetest}},
	{tree: storetest, ours: []string{"shared/connect"}, foreign: nothing},
	{tree: "shared/metric", foreign: nothing},
	{tree: "shared/app", ours: []string{"shared", "events", "templates"}, tests: pocketAWS},
	{tree: "events", foreign: nothing},
	{tree: "templates"},
	{tree: "functions", ours: []string{"shared/app", "shared/config"}, foreign: []string{"github.com/aws/aws-lambda-go"}},
	{tree: "web", foreign: nothing, tests: pocketAWS},
	{tree: "infra", ours: []string{"shared/httpapi", "templates", "events", "web"}},
	// Operators' commands do what functions do, with the same code.
	{tree: "infra/republish", ours: []string{"shared/bus", "shared/connect", "shared/store", "events"}, tests: pocketAWS},
	{tree: "infra/secret", ours: []string{"shared/webhook"}, tests: pocketAWS},
	{tree: "infra/local", ours: []string{"templates", "events", "web"}},
	{tree: "infra/local/policy", foreign: nothing},
	{tree: "infra/local/wire", ours: []string{"infra/local/policy"}, foreign: nothing},
	{tree: "cmd", ours: []string{"events", "templates"}, tests: pocketAWS},
}

// adapter is the rule of every other package under shared/: an adapter or a driver of its own. All may count.
func adapter(tree string) rule {
	return rule{tree: tree, ours: []string{"shared/connect", "shared/metric", "events"}, tests: append([]string{storetest}, pocketAWS...)}
}

// storetest is what every store must do and the one in memory, for tests alone.
const storetest = "shared/storetest"

// pocketAWS is what adapters are tested against.
var pocketAWS = []string{"infra/local"}

// cdk are the libraries of which nothing deployed may depend, however far down, nor its tests.
var cdk = []string{
	"github.com/aws/aws-cdk-go", "github.com/aws/constructs-go", "github.com/aws/jsii-runtime-go", "github.com/cdklabs",
}

// A pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func TestImportRules(t *testing.T) {
	for _, tags := range variants {
		for _, p := range list(t, "-tags", tags, "./...") {
			for _, v := range violations(p) {
				t.Errorf("with tags %s: %s", tags, v)
			}
		}
	}
}

func TestNothingDeployedReachesCDK(t *testing.T) {
	for _, tags := range variants {
		for _, p := range list(t, "-deps", "-tags", tags, "./functions/...", "./shared/...") {
			if inAny(p.ImportPath, cdk) || in(p.ImportPath, module+"/infra") {
				t.Errorf("with tags %s: what is deployed depends on %s", tags, p.ImportPath)
			}
		}
		for _, p := range list(t, "-deps", "-test", "-tags", tags, "./functions/...", "./shared/...") {
			if inAny(p.ImportPath, cdk) {
				t.Errorf("with tags %s: a test of what is deployed depends on %s", tags, p.ImportPath)
			}
		}
	}
}

// A check that lets everything pass looks like a module in order, so it is shown some that are not.
func TestImportRulesCatch(t *testing.T) {
	tests := []struct {
		name string
		pkg  pkg
		want string // part of the one violation, "" for none
	}{
		{"domain on the standard library", pkg{ImportPath: "rolecall/shared/connect", Imports: []string{"context", "golang.org/x/text/unicode/norm"}}, ""},
		{"domain on an adapter", pkg{ImportPath: "rolecall/shared/connect", Imports: []string{"rolecall/shared/store"}}, "rolecall/shared/store"},
		{"domain on a library", pkg{ImportPath: "rolecall/shared/connect", Imports: []string{"github.com/aws/aws-sdk-go-v2/aws"}}, "aws-sdk-go-v2"},
		{"domain on a neighbour of what it may", pkg{ImportPath: "rolecall/shared/connect", Imports: []string{"golang.org/x/text/unicode/normal"}}, "normal"},
		{"domain's tests on a library", pkg{ImportPath: "rolecall/shared/connect", TestImports: []string{"pgregory.net/rapid"}, XTestImports: []string{"rolecall/shared/connect"}}, ""},
		{"adapter on the domain", pkg{ImportPath: "rolecall/shared/store", Imports: []string{"rolecall/shared/connect", "rolecall/shared/store/keys"}}, ""},
		{"adapter on an adapter", pkg{ImportPath: "rolecall/shared/store", Imports: []string{"rolecall/shared/sts"}}, "rolecall/shared/sts"},
		{"adapter's tests on an adapter", pkg{ImportPath: "rolecall/shared/store", XTestImports: []string{"rolecall/shared/sts"}}, "rolecall/shared/sts"},
		{"adapter's tests on the pocket AWS", pkg{ImportPath: "rolecall/shared/store", XTestImports: []string{"rolecall/infra/local/dynamodb"}}, ""},
		{"adapter on the pocket AWS", pkg{ImportPath: "rolecall/shared/store", Imports: []string{"rolecall/infra/local/dynamodb"}}, "rolecall/infra/local/dynamodb"},
		{"adapter's tests on the store in memory", pkg{ImportPath: "rolecall/shared/httpapi", TestImports: []string{"rolecall/shared/storetest"}}, ""},
		{"domain's tests on the store in memory", pkg{ImportPath: "rolecall/shared/connect", XTestImports: []string{"rolecall/shared/storetest"}}, ""},
		{"adapter on the store in memory", pkg{ImportPath: "rolecall/shared/httpapi", Imports: []string{"rolecall/shared/storetest"}}, "rolecall/shared/storetest"},
		{"composition on the store in memory", pkg{ImportPath: "rolecall/shared/app/api", Imports: []string{"rolecall/shared/storetest"}}, "rolecall/shared/storetest"},
		{"store in memory on the domain", pkg{ImportPath: "rolecall/shared/storetest", Imports: []string{"testing", "rolecall/shared/connect"}}, ""},
		{"store in memory on a store", pkg{ImportPath: "rolecall/shared/storetest", Imports: []string{"rolecall/shared/store"}}, "rolecall/shared/store"},
		{"store in memory on a library", pkg{ImportPath: "rolecall/shared/storetest", Imports: []string{"github.com/google/go-cmp/cmp"}}, "go-cmp"},
		{"function on the composition", pkg{ImportPath: "rolecall/functions/api", Imports: []string{"rolecall/shared/app", "github.com/aws/aws-lambda-go/lambda"}}, ""},
		{"function on the domain", pkg{ImportPath: "rolecall/functions/api", Imports: []string{"rolecall/shared/connect"}}, "rolecall/shared/connect"},
		{"CDK app on routes", pkg{ImportPath: "rolecall/infra", Imports: []string{"rolecall/shared/httpapi", "github.com/aws/aws-cdk-go/awscdk/v2"}}, ""},
		{"CDK app on the domain", pkg{ImportPath: "rolecall/infra", Imports: []string{"rolecall/shared/connect"}}, "rolecall/shared/connect"},
		{"pocket AWS on Rolecall", pkg{ImportPath: "rolecall/infra/local/sts", Imports: []string{"rolecall/shared/connect"}}, "rolecall/shared/connect"},
		{"wire on a service", pkg{ImportPath: "rolecall/infra/local/wire", Imports: []string{"rolecall/infra/local/sqs"}}, "rolecall/infra/local/sqs"},
		{"events on anything", pkg{ImportPath: "rolecall/events", Imports: []string{"rolecall/templates"}}, "rolecall/templates"},
		{"a name that says nothing", pkg{ImportPath: "rolecall/shared/utils"}, "says nothing"},
		{"a tree without a rule", pkg{ImportPath: "rolecall/extras"}, "no rule"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := violations(tt.pkg)
			if tt.want == "" && len(got) > 0 {
				t.Errorf("unexpected: %q", got)
			}
			if tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
				t.Errorf("got %q, want one with %q", got, tt.want)
			}
		})
	}
}

// A main loads its configuration, composes and starts; what is longer belongs into shared/app.
func TestFunctionsAreSmall(t *testing.T) {
	mains, err := filepath.Glob("functions/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range mains {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if lines := bytes.Count(text, []byte("\n")); lines > 40 {
			t.Errorf("%s has %d lines, 40 at most", path, lines)
		}
	}
}

// vague are package names that say nothing about what is inside.
var vague = regexp.MustCompile(`(^|/)(utils?|commons?|types|helpers?|mocks?|misc)(/|$)`)

// violations says what is wrong with a package, in a sentence each.
func violations(p pkg) []string {
	path := ours(p.ImportPath)
	if vague.MatchString(path) {
		return []string{p.ImportPath + " has a name that says nothing"}
	}
	r, ok := ruleOf(path)
	if !ok {
		return []string{p.ImportPath + " has no rule in architecture_test.go"}
	}
	var found []string
	for _, imported := range p.Imports {
		if !r.admits(imported) || (in(ours(imported), storetest) && !in(path, storetest)) {
			found = append(found, fmt.Sprintf("%s imports %s", p.ImportPath, imported))
		}
	}
	for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
		if inModule(imported) && !r.admits(imported) && !inAny(ours(imported), r.tests) {
			found = append(found, fmt.Sprintf("a test of %s imports %s", p.ImportPath, imported))
		}
	}
	return found
}

func ruleOf(path string) (rule, bool) {
	var best rule
	for _, r := range rules {
		if in(path, r.tree) && len(r.tree) > len(best.tree) {
			best = r
		}
	}
	if best.tree != "" {
		return best, true
	}
	if parts := strings.Split(path, "/"); parts[0] == "shared" && len(parts) > 1 {
		return adapter("shared/" + parts[1]), true
	}
	return rule{}, false
}

func (r rule) admits(imported string) bool {
	if inModule(imported) {
		return in(ours(imported), r.tree) || inAny(ours(imported), r.ours)
	}
	first, _, _ := strings.Cut(imported, "/")
	standard := !strings.Contains(first, ".")
	return standard || r.foreign == nil || inAny(imported, r.foreign)
}

func inModule(path string) bool { return in(path, module) }

// ours is a path within the module; "." is its top.
func ours(path string) string {
	if path == module || path == module+"_test" {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

func in(path, tree string) bool { return path == tree || strings.HasPrefix(path, tree+"/") }

func inAny(path string, trees []string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool { return in(path, tree) })
}

// list runs `go list -json`; folders that do not exist make it fail.
func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Imports,TestImports,XTestImports"}, args...)...)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v", strings.Join(args, " "), err)
	}
	var pkgs []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) == 0 {
		t.Fatalf("go list %s found nothing to check", strings.Join(args, " "))
	}
	return pkgs
}

// docs/security.md names a test for every threat: each of them is there, and each line has one.
func TestTheReviewersTestsExist(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests := testsByPackage(t)
	named := regexp.MustCompile("`([a-z]+)\\.((?:Test|Fuzz)[A-Za-z0-9]+)`")
	for n, line := range strings.Split(string(doc), "\n") {
		found := named.FindAllStringSubmatch(line, -1)
		if cells := strings.Count(line, "|"); len(found) == 0 && cells > 2 && !strings.Contains(line, "Shown by") && !strings.Contains(line, "---") {
			t.Errorf("docs/security.md:%d names no test", n+1)
		}
		for _, f := range found {
			if !slices.Contains(tests[f[1]], f[2]) {
				t.Errorf("docs/security.md:%d: package %s has no %s", n+1, f[1], f[2])
			}
		}
	}
}

// testsByPackage are the names of all tests, by the last element of their package's path.
func testsByPackage(t *testing.T) map[string][]string {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
	tests := map[string][]string{}
	for _, root := range []string{"shared", "infra", "templates", "cmd"} {
		err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
			if err != nil || (!strings.HasSuffix(path, "_test.go") && !strings.HasPrefix(path, storetest+"/suite_")) {
				return err
			}
			source, err := os.ReadFile(path)
			for _, f := range declared.FindAllSubmatch(source, -1) {
				pkg := filepath.Base(filepath.Dir(path))
				tests[pkg] = append(tests[pkg], string(f[1]))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return tests
}
