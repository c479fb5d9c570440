package mutants_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// all is the table, area by area.
var all = slices.Concat(admitting, proving, expecting, verifying, holding, issuing, restricting, calling, revoking, keeping, commanding, running)

// samples are tried in every run of the tests; they take seconds each.
var samples = []string{
	"what a newer policy takes away is not told", "a fence is not written", "a stack's update lifts", "nobody is told of trouble",
	"a webhook's host is not judged",
}

// onLaptop tells the mutants that the whole laptop is built for, minutes each.
func (of mutant) onLaptop() bool { return strings.Contains(of.killers, "laptop.") }

func here(t *testing.T) module {
	t.Helper()
	m, err := openModule(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Every mutant fits the code as it is: what it takes away is there, once, and so is each test that it names.
func TestMutantsFit(t *testing.T) {
	m, names := here(t), map[string]bool{}
	for _, of := range all {
		if err := m.fits(of); err != nil {
			t.Errorf("%s: %v", of.name, err)
		}
		if names[of.name] {
			t.Errorf("two mutants are called %q", of.name)
		}
		names[of.name] = true
	}
}

// Whichever defence is taken away, the test that is named for it fails, and passes as long as nothing is. The short run tries
// a sample, with ROLECALL_LONG it is all of them.
func TestMutantsDie(t *testing.T) {
	tried := all
	if os.Getenv("ROLECALL_LONG") == "" {
		tried = slices.DeleteFunc(slices.Clone(all), func(of mutant) bool { return !slices.Contains(samples, of.name) })
	}
	w, err := here(t).open(t.TempDir(), tried)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("nothing_taken_away", func(t *testing.T) { w.pass(t, tried) })
	var table verdicts
	t.Run("taken_away", func(t *testing.T) {
		for _, of := range tried {
			if of.onLaptop() {
				continue
			}
			t.Run(of.name, func(t *testing.T) {
				t.Parallel()
				w.dies(t, of, &table)
			})
		}
	})
	t.Run("taken_away_on_a_laptop", func(t *testing.T) { // one by one, since laptops do not share a machine well
		for _, of := range tried {
			if of.onLaptop() {
				t.Run(of.name, func(t *testing.T) { w.dies(t, of, &table) })
			}
		}
	})
	t.Logf("%d mutants of %d\n%s", len(table.lines), len(all), table.String())
	for _, name := range samples {
		if !slices.ContainsFunc(all, func(of mutant) bool { return of.name == name }) {
			t.Errorf("the sample %q is no mutant", name)
		}
	}
}

func (w *workshop) dies(t *testing.T, of mutant, table *verdicts) {
	t.Helper()
	began := time.Now()
	err := w.try(t.Context(), of, t.TempDir())
	table.add(of, err, time.Since(began))
	if err != nil {
		t.Error(err)
	}
}

// pass demands that the tests which mutants name pass when none is switched on. The laptop's are left to its own package.
func (w *workshop) pass(t *testing.T, all []mutant) {
	t.Helper()
	passes := map[string]bool{}
	for _, of := range all {
		killers, err := w.killers(of)
		if err != nil {
			t.Errorf("%s: %v", of.name, err)
		}
		for _, k := range killers {
			if passes[k.name] || of.onLaptop() {
				continue
			}
			passes[k.name] = true
			t.Run(k.name, func(t *testing.T) {
				t.Parallel()
				if out, err := w.run(t.Context(), k, ""); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
}

// verdicts are the table that is printed.
type verdicts struct {
	mu    sync.Mutex
	lines []string
}

func (v *verdicts) add(of mutant, err error, took time.Duration) {
	verdict := "dies"
	if err != nil {
		verdict, _, _ = strings.Cut(err.Error(), "\n")
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.lines = append(v.lines, fmt.Sprintf("%s\t%s\t%s\t%s\t%.1fs", of.name, of.file, of.killers, verdict, took.Seconds()))
}

func (v *verdicts) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "MUTANT\tFILE\tTEST\tVERDICT\tTIME")
	slices.Sort(v.lines)
	for _, l := range v.lines {
		_, _ = fmt.Fprintln(w, l)
	}
	_ = w.Flush()
	return b.String()
}

// Each promise of docs/security.md has a mutant that dies by a test which the promise names.
func TestEveryPromiseHasAMutant(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	killers := map[string]bool{}
	for _, of := range all {
		for _, k := range strings.Fields(of.killers) {
			test, _, _ := strings.Cut(k, "/")
			killers[test] = true
		}
	}
	named, promises := regexp.MustCompile("`([a-z]+\\.(?:Test|Fuzz)\\w+)`"), 0
	for n, line := range strings.Split(string(doc), "\n") {
		tests := named.FindAllStringSubmatch(line, -1)
		if !strings.HasPrefix(line, "|") || len(tests) == 0 {
			continue
		}
		promises++
		if !slices.ContainsFunc(tests, func(f []string) bool { return killers[f[1]] }) {
			t.Errorf("docs/security.md:%d: none of its tests has a mutant: %.80s", n+1, line)
		}
	}
	if promises < 60 {
		t.Errorf("docs/security.md makes only %d promises that this test can read", promises)
	}
}
