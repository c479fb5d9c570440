package mutants_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

func TestDiscover(t *testing.T) {
	in := os.Getenv("MTN_IN")
	if in == "" {
		t.Skip()
	}
	var rows []struct{ Name, File, Old, New, Dir, Run, Skip string }
	b, _ := os.ReadFile(in)
	if err := json.Unmarshal(b, &rows); err != nil {
		t.Fatal(err)
	}
	m := here(t)
	dir := t.TempDir()
	var ms []mutant
	for _, r := range rows {
		ms = append(ms, mutant{r.Name, r.File, r.Old, r.New, "connect.TestVerify"})
	}
	w, err := m.open(dir, ms)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	built := map[string]*sync.Once{}
	bin := func(d string) string {
		mu.Lock()
		o := built[d]
		if o == nil {
			o = &sync.Once{}
			built[d] = o
		}
		mu.Unlock()
		p := filepath.Join(dir, strings.ReplaceAll(d, "/", "_")+".test")
		o.Do(func() {
			out, err := w.command(t.Context(), w.overlay, "go", "test", "-c", "-vet=off", "-o", p, "./"+d).CombinedOutput()
			if err != nil {
				fmt.Fprintf(os.Stderr, "BUILD %s %v %s\n", d, err, out)
			}
		})
		return p
	}
	failed := regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)
	sem := make(chan int, 3)
	var wg sync.WaitGroup
	for i, r := range rows {
		wg.Add(1)
		sem <- 1
		go func() {
			defer wg.Done()
			defer func() { <-sem }()
			var args []string
			var out []byte
			var err error
			if m.switchable(ms[i]) {
				args = []string{"-test.timeout=5m", "-test.run", r.Run}
				if r.Skip != "" {
					args = append(args, "-test.skip", r.Skip)
				}
				if m.rapid[r.Dir] {
					args = append(args, "-rapid.checks=30")
				}
				cmd := w.command(t.Context(), w.overlay, bin(r.Dir), args...)
				cmd.Dir = filepath.Join(w.root, r.Dir)
				cmd.Env = append(cmd.Env, chosen+"="+r.Name)
				out, err = cmd.CombinedOutput()
			} else {
				d := t.TempDir()
				source, at, e := m.mutate(ms[i])
				if e != nil {
					fmt.Fprintf(os.Stderr, "RES\t%s\tNOFIT %v\n", r.Name, e)
					return
				}
				overlay, _ := w.lay(d, map[string]string{r.File: source[:at] + r.New + source[at+len(r.Old):]})
				args = []string{"test", "-vet=off", "-count=1", "-timeout=5m", "-run", r.Run}
				if r.Skip != "" {
					args = append(args, "-skip", r.Skip)
				}
				args = append(args, "./"+r.Dir)
				if m.rapid[r.Dir] {
					args = append(args, "-rapid.checks=30")
				}
				var cmd *exec.Cmd = w.command(t.Context(), overlay, "go", args...)
				out, err = cmd.CombinedOutput()
			}
			res := "ALIVE"
			if err != nil {
				res = "DEAD"
				k := failed.FindAllSubmatch(out, -1)
				if len(k) == 0 {
					res = "NOBUILD " + strings.ReplaceAll(string(out[:min(len(out), 600)]), "\n", " ; ")
				}
				for _, x := range k {
					res += " " + string(x[1])
				}
			}
			fmt.Fprintf(os.Stderr, "RES\t%s\t%s\n", r.Name, res)
		}()
	}
	wg.Wait()
}

func TestOverlayOnly(t *testing.T) {
	dir := os.Getenv("MTN_OVERLAY")
	if dir == "" {
		t.Skip()
	}
	if _, err := here(t).open(dir, all); err != nil {
		t.Fatal(err)
	}
}
