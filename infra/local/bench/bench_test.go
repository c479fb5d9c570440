package main

import (
	"archive/zip"
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// bootstrap is a function of one line of shell; the real ones take too long to build for a test.
func bootstrap(t *testing.T, folder, name, script string) {
	t.Helper()
	path := filepath.Join(folder, name, "bootstrap")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestStartsAreMeasuredInTurnAndPrinted(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a function")
	}
	host, deployed := t.TempDir(), t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(host, minimal, "bootstrap"), "./minimal")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.CopyFS(filepath.Join(host, "other"), os.DirFS(filepath.Join(host, minimal))); err != nil {
		t.Fatal(err)
	}
	bootstrap(t, deployed, "other", strings.Repeat("# this is deployed\n", 100_000))
	var out, progress bytes.Buffer
	o := options{host: host, deployed: deployed, starts: 2, clock: time.Now}
	if err := run(t.Context(), o, &out, &progress); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 6 || !strings.Contains(lines[0], "2 starts each") {
		t.Fatalf("printed\n%s", out.String())
	}
	least, other := strings.Fields(lines[4]), strings.Fields(lines[5])
	if least[0] != minimal || least[7] != "1.00" || other[0] != "other" || other[len(other)-2] == "–" {
		t.Errorf("printed\n%s", out.String())
	}
}

// A function that lacks a variable does not start, and then nothing can be measured: all that functions must be told is
// here, too.
func TestFunctionsAreToldWhatTheyNeed(t *testing.T) {
	source, err := os.ReadFile("../../../shared/config/config.go")
	if err != nil {
		t.Fatal(err)
	}
	told := strings.Join(environment(""), "\n")
	needed := regexp.MustCompile(`r\.(\w+)\("(ROLECALL_\w+)"`).FindAllStringSubmatch(string(source), -1)
	if len(needed) < 20 {
		t.Fatalf("%d variables found", len(needed))
	}
	for _, n := range needed {
		if n[1] != "optional" && n[1] != "level" && !strings.Contains(told, n[2]+"=") {
			t.Errorf("%s is missing", n[2])
		}
	}
}

func TestAFunctionThatDoesNotStartIsAnError(t *testing.T) {
	for name, script := range map[string]string{
		"environment variable ROLECALL_NEW is missing": "echo environment variable ROLECALL_NEW is missing; exit 1",
		"ended before it asked for work":               "exit 0",
	} {
		folder := t.TempDir()
		bootstrap(t, folder, "broken", script)
		f := &function{name: "broken", bootstrap: filepath.Join(folder, "broken", "bootstrap")}
		err := measure(t.Context(), []*function{f}, 1, time.Now)
		if err == nil || !strings.Contains(err.Error(), "broken: ") || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want %q", err, name)
		}
	}
}

func TestMeasuringEndsWithItsContext(t *testing.T) {
	folder := t.TempDir()
	bootstrap(t, folder, "slow", "exec sleep 60")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	f := &function{name: "slow", bootstrap: filepath.Join(folder, "slow", "bootstrap")}
	if err := measure(ctx, []*function{f}, 1, time.Now); err == nil {
		t.Error("no error")
	}
}

func TestFunctionsNeedAMinimalOneAndADeployment(t *testing.T) {
	host, deployed := t.TempDir(), t.TempDir()
	bootstrap(t, host, "api", "")
	bootstrap(t, deployed, "api", "")
	if _, err := find(host, deployed); err == nil || !strings.Contains(err.Error(), minimal) {
		t.Errorf("without a minimal one: error %v", err)
	}
	bootstrap(t, host, minimal, "")
	found, err := find(host, deployed)
	if err != nil || len(found) != 2 || found[0].name != minimal || found[1].zip == 0 {
		t.Errorf("found %+v, error %v", found, err)
	}
	bootstrap(t, host, "publish", "")
	if _, err := find(host, deployed); err == nil || !strings.Contains(err.Error(), "publish") {
		t.Errorf("without a deployment: error %v", err)
	}
}

func TestZipSizeIsThatOfTheArchive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bootstrap")
	source := rand.NewChaCha8([32]byte{})
	content := make([]byte, 100_000)
	_, _ = source.Read(content)
	content = append(content, make([]byte, 1_000_000)...)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	entry, err := w.Create("bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := entry.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := zipSize(path)
	if err != nil || got != int64(archive.Len()) || got < 100_000 || got > 110_000 {
		t.Errorf("zip of %d bytes, error %v; want %d", got, err, archive.Len())
	}
}

func TestBenchmarksAreRead(t *testing.T) {
	got := parseBenchmarks(`goos: linux
pkg: rolecall/shared/app
cpu: AMD EPYC
BenchmarkCompose/api-2         	     100	   120345 ns/op	   80123 B/op	     912 allocs/op
BenchmarkBroken-2
--- BENCH: BenchmarkBroken-2
PASS
ok  	rolecall/shared/app	1.2s
pkg: rolecall/infra/local/lambda
BenchmarkColdStart/with-dash   	      10	  5000000 ns/op	      3100 µs-to-next/op
BenchmarkNoTime-2              	      10	      3100 µs-to-next/op
`)
	want := []benchmark{
		{"rolecall/shared/app", "Compose/api", 120345, []string{"80123 B/op", "912 allocs/op"}},
		{"rolecall/infra/local/lambda", "ColdStart/with-dash", 5e6, []string{"3100 µs-to-next/op"}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(benchmark{})); diff != "" {
		t.Errorf("benchmarks (-want +got):\n%s", diff)
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		all  []time.Duration
		want time.Duration
	}{
		{[]time.Duration{7}, 7},
		{[]time.Duration{9, 1, 5}, 5},
		{[]time.Duration{8, 100, 2, 4}, 6},
	} {
		if got := median(tt.all); got != tt.want {
			t.Errorf("median of %v is %d, want %d", tt.all, got, tt.want)
		}
	}
}

func TestProcessorIsReadFromCPUInfo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cpuinfo")
	if err := os.WriteFile(path, []byte("processor\t: 0\nmodel name\t: Some: CPU @ 3 GHz\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := fromCPUInfo(path); got != "Some: CPU @ 3 GHz" {
		t.Errorf("processor %q", got)
	}
	if got := fromCPUInfo(path + "none"); got != "" {
		t.Errorf("processor %q of no file", got)
	}
}
