package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// A benchmark is one line of what `go test -bench` prints.
type benchmark struct {
	pkg     string
	name    string
	nsPerOp float64
	others  []string // "3 allocs/op", or units of the benchmark's own
}

// runBenchmarks runs all benchmarks of some packages, one package after the other.
func runBenchmarks(ctx context.Context, packages []string, benchtime string) ([]benchmark, error) {
	args := append([]string{"test", "-p", "1", "-run", "^$", "-bench", ".", "-benchmem", "-benchtime", benchtime}, packages...)
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // packages are this program's arguments
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go test: %w\n%s", err, output.String())
	}
	return parseBenchmarks(output.String()), nil
}

// parseBenchmarks reads the lines of Go's benchmark format and skips all others.
func parseBenchmarks(text string) []benchmark {
	var found []benchmark
	pkg := ""
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "pkg: "); ok {
			pkg = strings.TrimSpace(name)
			continue
		}
		if b, ok := parseBenchmark(line); ok {
			b.pkg = pkg
			found = append(found, b)
		}
	}
	return found
}

// parseBenchmark reads "BenchmarkPut-2  1000  5032 ns/op  120 B/op  3 allocs/op".
func parseBenchmark(line string) (benchmark, bool) {
	fields := strings.Fields(line)
	if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
		return benchmark{}, false
	}
	var b benchmark
	b.name = strings.TrimPrefix(fields[0], "Benchmark")
	if name, processors, ok := cutLast(b.name, "-"); ok && isNumber(processors) {
		b.name = name
	}
	timed := false
	for i := 2; i+1 < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return benchmark{}, false
		}
		if fields[i+1] == "ns/op" {
			b.nsPerOp, timed = value, true
			continue
		}
		b.others = append(b.others, fields[i]+" "+fields[i+1])
	}
	return b, timed
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}
