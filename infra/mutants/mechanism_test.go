package mutants_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// A mutant is the product with one of its defences taken away.
type mutant struct {
	name     string
	file     string // from the top of the module
	old, new string // old occurs once in file
	// killers are the tests that must fail then, each by itself, named as in docs/security.md: "connect.TestVerify". A subtest may
	// follow, as in "connect.TestIssue/another_account". A test of storetest's suite runs on DynamoDB's store.
	killers string
}

// A killer is a test and where it runs.
type killer struct {
	name string // as the table has it
	dir  string // from the top of the module
	test string // as Go has it, with its subtest
	args []string
}

// A module is the source tree that mutants are made of.
type module struct {
	root  string
	tests map[string][]string // directories, by "package.Test"
}

var declared = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)

// openModule finds all tests of a tree.
func openModule(root string) (module, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return module{}, err
	}
	m := module{root, map[string][]string{}}
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := e.Name(); e.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || slices.Contains([]string{"node_modules", "testdata", "build", "cdk.out"}, name)) {
				return filepath.SkipDir
			}
			return nil
		}
		if name := e.Name(); !strings.HasSuffix(name, "_test.go") && !(strings.HasPrefix(name, "suite_") && strings.HasSuffix(name, ".go")) {
			return nil
		}
		return m.read(path)
	})
	return m, err
}

// read finds the tests of one file.
func (m module) read(path string) error {
	source, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	dir, err := filepath.Rel(m.root, filepath.Dir(path))
	if err != nil {
		return err
	}
	for _, f := range declared.FindAllSubmatch(source, -1) {
		name := filepath.Base(dir) + "." + string(f[1])
		if !slices.Contains(m.tests[name], dir) { // the other half of a build tag has it, too
			m.tests[name] = append(m.tests[name], dir)
		}
	}
	return nil
}

// killers are the tests that a mutant names.
func (m module) killers(of mutant) ([]killer, error) {
	var all []killer
	for _, name := range strings.Fields(of.killers) {
		top, sub, _ := strings.Cut(name, "/")
		dirs := m.tests[top]
		if len(dirs) != 1 {
			return nil, fmt.Errorf("%d packages have a test %s: %s", len(dirs), top, strings.Join(dirs, " "))
		}
		_, test, _ := strings.Cut(top, ".")
		k := killer{name: name, dir: dirs[0], test: test}
		if k.dir == "shared/storetest" {
			k.dir, k.test = "shared/store", "TestStore/"+test
		}
		if sub != "" {
			k.test += "/" + sub
		}
		all = append(all, k)
	}
	if len(all) == 0 {
		return nil, errors.New("no test is named")
	}
	return all, nil
}

// mutate finds the text that is to be replaced in the file's source.
func (m module) mutate(of mutant) (source string, at int, err error) {
	b, err := os.ReadFile(filepath.Join(m.root, of.file))
	if err != nil {
		return "", 0, err
	}
	source = string(b)
	if n := strings.Count(source, of.old); n != 1 {
		return "", 0, fmt.Errorf("%s holds %d times, and not once:\n%s", of.file, n, of.old)
	}
	if of.old == of.new {
		return "", 0, errors.New("the mutant changes nothing")
	}
	return source, strings.Index(source, of.old), nil
}

// fits says why a mutant cannot be tried: the code has moved on, or a test has.
func (m module) fits(of mutant) error {
	_, _, err := m.mutate(of)
	if err != nil {
		return err
	}
	_, err = m.killers(of)
	return err
}

// A workshop builds and runs mutants. Those that change nothing but the body of a function are all built into one binary for
// each package of tests, and an environment variable chooses among them; any other is built by itself.
type workshop struct {
	module
	dir     string // for its files
	overlay string // puts the switched mutants into their packages

	mu     sync.Mutex
	builds map[string]func() (string, error) // binaries, by their packages' directories
}

// chosen is the environment variable that switches a mutant on, by name.
const chosen = "ROLECALL_MUTANT"

// open prepares a workshop for these mutants. One that does not fit is none of them.
func (m module) open(dir string, all []mutant) (*workshop, error) {
	w := &workshop{module: m, dir: dir, builds: map[string]func() (string, error){}}
	byFile := map[string][]mutant{}
	for _, of := range all {
		if m.fits(of) == nil && m.switchable(of) {
			byFile[of.file] = append(byFile[of.file], of)
		}
	}
	files := map[string]string{}
	for file, mutants := range byFile {
		text, pkg, err := m.switched(file, mutants)
		if err != nil {
			return nil, err
		}
		files[file] = text
		files[filepath.Join(filepath.Dir(file), "zz_mutants.go")] = "package " + pkg + "\n\nimport \"os\"\n\nvar mutantChosen = os.Getenv(\"" + chosen + "\")\n"
	}
	var err error
	w.overlay, err = m.lay(dir, files)
	return w, err
}

// lay writes files and an overlay that has Go read them in the module.
func (m module) lay(dir string, files map[string]string) (string, error) {
	replace := map[string]string{}
	for file, text := range files {
		path := filepath.Join(dir, fmt.Sprint(len(replace))+filepath.Ext(file))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(m.root, file)] = path
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, b, 0o600)
}

// try demands that each of the mutant's killers fails. dir is for the files of a mutant that is built by itself.
func (w *workshop) try(ctx context.Context, of mutant, dir string) error {
	killers, err := w.killers(of)
	if err != nil {
		return err
	}
	run := func(k killer) ([]byte, error) { return w.run(ctx, k, of.name) }
	source, at, err := w.mutate(of)
	if err != nil {
		return err
	}
	if !w.switchable(of) {
		overlay, err := w.lay(dir, map[string]string{of.file: source[:at] + of.new + source[at+len(of.old):]})
		if err != nil {
			return err
		}
		run = func(k killer) ([]byte, error) { return w.runAlone(ctx, k, overlay) }
	}
	for _, k := range killers {
		if err := verdict(k)(run(k)); err != nil {
			return err
		}
	}
	return nil
}

// verdict demands that the test itself has failed. A mutant that does not build, or a test that does not come to its end, proves
// nothing.
func verdict(k killer) func(out []byte, err error) error {
	return func(out []byte, err error) error {
		if err == nil {
			return fmt.Errorf("SURVIVES %s\n%s", k.name, out)
		}
		if !regexp.MustCompile(`(?m)^ *--- FAIL: ` + regexp.QuoteMeta(k.test) + ` \(`).Match(out) {
			return fmt.Errorf("NOT TRIED: %s did not come to its end: %w\n%s", k.name, err, out)
		}
		return nil
	}
}

// run runs one test with a mutant switched on, or with none: "".
func (w *workshop) run(ctx context.Context, k killer, name string) ([]byte, error) {
	w.mu.Lock()
	build := w.builds[k.dir]
	if build == nil {
		binary := filepath.Join(w.dir, fmt.Sprint(len(w.builds))+".test")
		build = sync.OnceValues(func() (string, error) {
			out, err := w.command(ctx, w.overlay, "go", "test", "-c", "-vet=off", "-o", binary, "./"+filepath.ToSlash(k.dir)).CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%s does not build: %w\n%s", k.dir, err, out)
			}
			return binary, err
		})
		w.builds[k.dir] = build
	}
	w.mu.Unlock()
	binary, err := build()
	if err != nil {
		return nil, err
	}
	cmd := w.command(ctx, w.overlay, binary, append([]string{"-test.timeout=10m", "-test.run", pattern(k.test)}, k.args...)...)
	cmd.Dir = filepath.Join(w.root, k.dir)
	cmd.Env = append(cmd.Env, chosen+"="+name)
	return ran(cmd)
}

// runAlone builds the test's package with an overlay of its own and runs the test.
func (w *workshop) runAlone(ctx context.Context, k killer, overlay string) ([]byte, error) {
	args := []string{"test", "-vet=off", "-count=1", "-timeout=20m", "-run", pattern(k.test), "./" + filepath.ToSlash(k.dir)}
	return ran(w.command(ctx, overlay, "go", append(args, k.args...)...))
}

func ran(cmd *exec.Cmd) ([]byte, error) {
	out, err := cmd.CombinedOutput()
	if err == nil && bytes.Contains(out, []byte("no tests to run")) {
		err = errors.New("there is no such test")
	}
	return out, err
}

// command is a command in the module. The overlay stands in its environment, since tests build programs, too.
func (m module) command(ctx context.Context, overlay, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = m.root
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return slices.ContainsFunc([]string{"ROLECALL_LONG=", "RAPID_CHECKS=", "GOFLAGS="}, func(name string) bool { return strings.HasPrefix(v, name) })
	})
	cmd.Env = append(cmd.Env, "GOFLAGS="+cmp.Or(os.Getenv("GOFLAGS"), "-mod=readonly")+" -overlay="+overlay)
	return cmd
}

// pattern selects exactly one test, or subtest.
func pattern(test string) string {
	parts := strings.Split(test, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}
