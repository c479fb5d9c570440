package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// machine says in a line what was measured on.
func machine(ctx context.Context) string {
	line := fmt.Sprintf("%s, %d cores, %s/%s, %s", processor(ctx), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		line += ", load " + strings.Join(strings.Fields(string(load))[:1], "")
	}
	return line
}

// processor is the model's name, as far as this system tells it.
func processor(ctx context.Context) string {
	if name := fromCPUInfo("/proc/cpuinfo"); name != "" {
		return name
	}
	if out, err := exec.CommandContext(ctx, "sysctl", "-n", "machdep.cpu.brand_string").Output(); err == nil {
		return strings.TrimSpace(string(out))
	}
	return "unknown processor"
}

func fromCPUInfo(path string) string {
	file, err := os.Open(path) //nolint:gosec // a path of this program's own
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// printStarts prints what was measured of functions, the first of which is what the others are compared with.
func printStarts(out io.Writer, machine string, functions []*function) error {
	_, _ = fmt.Fprintf(out, "\nCold starts: exec to first request for work, %d starts each\n%s\n\n", len(functions[0].starts), machine)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "function\tmedian\tmin\tmax\t× minimal\tCPU\tbinary\tzip for AWS\t")
	least := median(functions[0].times())
	for _, f := range functions {
		zip := "–"
		if f.zip > 0 {
			zip = megabytes(f.zip)
		}
		took := f.times()
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.2f\t%s\t%s\t%s\t\n", f.name, milliseconds(median(took)), milliseconds(slices.Min(took)),
			milliseconds(slices.Max(took)), float64(median(took))/float64(least), milliseconds(median(f.cpu())), megabytes(f.size), zip)
	}
	return w.Flush()
}

func (f *function) times() []time.Duration {
	out := make([]time.Duration, 0, len(f.starts))
	for _, s := range f.starts {
		out = append(out, s.took)
	}
	return out
}

func (f *function) cpu() []time.Duration {
	out := make([]time.Duration, 0, len(f.starts))
	for _, s := range f.starts {
		out = append(out, s.cpu)
	}
	return out
}

// median of at least one.
func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.2f MB", float64(bytes)/1e6) }

func printBenchmarks(out io.Writer, benchmarks []benchmark) error {
	if len(benchmarks) == 0 {
		return nil
	}
	_, _ = fmt.Fprint(out, "\nGo benchmarks\n\n")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "package\tbenchmark\tper operation\t")
	for _, b := range benchmarks {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", b.pkg, b.name, time.Duration(b.nsPerOp), strings.Join(b.others, ", "))
	}
	return w.Flush()
}
